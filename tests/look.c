/* look.c - what drawn defects look like: what they touch, part and leave, and their outlines */
#include "inspect/detect/look.h"

#include <math.h>

enum { SIDE = 64 };

typedef struct {
  float value[2 * SIDE * SIDE]; /* test, reference */
  NotchLookPlace place;
} Patch;

/* Two conductors along x, rows 20 to 27 and 36 to 43, on a dark ground, and noise that is the same in every test. */
static void
draw_wires (Patch *patch)
{
  GRand *rand = g_rand_new_with_seed (8);
  for (int i = 0; i < SIDE * SIDE; i++) {
    const int y = i / SIDE;
    const float tone = (y >= 20 && y < 28) || (y >= 36 && y < 44) ? 120 : 60;
    patch->value[SIDE * SIDE + i] = tone;
    patch->value[i] = tone + (float) g_rand_double_range (rand, -2, 2);
  }
  patch->place = (NotchLookPlace){ 24, 24, 40, 40, 1, 0 };
  g_rand_free (rand);
}

static void
add (Patch *patch, int x0, int y0, int x1, int y1, float value)
{
  for (int y = y0; y < y1; y++)
    for (int x = x0; x < x1; x++)
      patch->value[y * SIDE + x] += value;
}

static NotchLook
look_at (const Patch *patch)
{
  return notch_look_measure (patch->value, SIDE, &patch->place);
}

static void
test_topology (void)
{
  static const struct {
    const char *name;
    int x0, y0, x1, y1;
    float value;
    double polarity, touched, left;
  } defect[] = {
    { "bridge", 30, 28, 34, 36, 60, 1, 2, 2 },       { "spur", 30, 28, 34, 32, 60, 1, 1, 1 },
    { "island", 30, 30, 34, 34, 60, 1, 0, 1 },       { "open", 30, 20, 34, 28, -60, -1, 2, 2 },
    { "mouse bite", 30, 20, 34, 24, -60, -1, 1, 1 }, { "pin hole", 30, 22, 33, 25, -60, -1, 0, 1 },
    { "faint bridge", 30, 28, 34, 36, 25, 1, 2, 2 },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (defect); i++) {
    Patch patch;
    draw_wires (&patch);
    add (&patch, defect[i].x0, defect[i].y0, defect[i].x1, defect[i].y1, defect[i].value);
    patch.place.y0 = defect[i].y0 - 2, patch.place.y1 = defect[i].y1 + 1;
    const NotchLook look = look_at (&patch);
    g_test_message ("%s: touched %g, left %g, changed %g", defect[i].name, look.touched, look.left, look.changed);
    g_assert_cmpfloat (look.polarity, ==, defect[i].polarity);
    g_assert_cmpfloat (look.touched, ==, defect[i].touched);
    g_assert_cmpfloat (look.left, ==, defect[i].left);
    g_assert_cmpfloat_with_epsilon (look.step, (double) defect[i].value / 60, 0.25);
    g_assert_cmpfloat_with_epsilon (look.tone, defect[i].polarity > 0 ? 0 : 1, 0.2);
    g_assert_cmpfloat (look.changed, >, 0.7);
  }
}

/* A whole square of the pattern that is not there leaves nothing of it. */
static void
test_missing (void)
{
  Patch patch;
  for (int i = 0; i < 2 * SIDE * SIDE; i++)
    patch.value[i] = 60 + (float) (i * 7 % 5 - 2) * 0.2f;
  for (int y = 28; y < 36; y++)
    for (int x = 28; x < 36; x++)
      patch.value[SIDE * SIDE + y * SIDE + x] = 120;
  patch.place = (NotchLookPlace){ 26, 26, 37, 37, 1, 0 };
  const NotchLook look = look_at (&patch);
  g_assert_cmpfloat (look.left, ==, 0);
  g_assert_cmpfloat (look.touched, ==, 1);
  g_assert_cmpfloat (look.taken, >, 0.9);
  g_assert_cmpfloat (look.rim, >, 0.7);
  g_assert_cmpfloat (look.tone_fit, >, 0.8);
}

/* A disc that brightens the pattern by a factor, by as much everywhere, and one that hides it. */
static void
test_film (void)
{
  double film[3];
  for (int kind = 0; kind < 3; kind++) {
    Patch patch;
    draw_wires (&patch);
    for (int i = 0; i < SIDE * SIDE; i++) {
      const float cover = hypot (i % SIDE - 32, i / SIDE - 32) < 12 ? 0.2f : 0, tone = patch.value[SIDE * SIDE + i];
      patch.value[i] += cover * (kind == 0 ? tone : kind == 1 ? 90 : 200 - tone);
    }
    patch.place = (NotchLookPlace){ 20, 20, 44, 44, 3, 0 };
    const NotchLook look = look_at (&patch);
    g_test_message ("film %g, %g sigmas", look.shape.film, look.shape.film_snr);
    film[kind] = look.shape.film;
    if (kind == 1)
      g_assert_cmpfloat (fabs (look.shape.film_snr), <, 5);
    else
      g_assert_cmpfloat (kind == 0 ? look.shape.film_snr : -look.shape.film_snr, >, 10);
  }
  g_assert_cmpfloat_with_epsilon (film[0], 1, 0.15);
  g_assert_cmpfloat_with_epsilon (film[1], 0, 0.15);
  g_assert_cmpfloat_with_epsilon (film[2], -82.5 / (200 - 82.5), 0.2); /* by the mean tone there */
}

/* On a plain ground: a disc, a ring, and a Gaussian that is faint against the noise of a pixel. */
static void
test_outline (void)
{
  for (int kind = 0; kind < 3; kind++) {
    Patch patch;
    GRand *rand = g_rand_new_with_seed (4);
    for (int i = 0; i < SIDE * SIDE; i++) {
      const double r = hypot (i % SIDE - 32, i / SIDE - 32);
      const double delta = kind == 0   ? (r < 8 ? 40 : 0)
                           : kind == 1 ? 40 * exp (-(r - 9) * (r - 9) / 3)
                                       : 6 * exp (-r * r / 72);
      patch.value[SIDE * SIDE + i] = 90;
      patch.value[i] = (float) (90 - delta + g_rand_double_range (rand, -3, 3));
    }
    patch.place = (NotchLookPlace){ 16, 16, 48, 48, kind == 2 ? 6 : 1, 0 };
    const NotchLook look = look_at (&patch);
    g_assert_cmpfloat (look.polarity, ==, -1);
    g_assert_true (isnan (look.step) && isnan (look.touched)); /* there is no pattern */
    g_assert_cmpfloat (look.holes, ==, kind == 1);
    g_assert_cmpfloat (look.stretch, <, 1.35);
    if (kind == 0) {
      g_assert_cmpfloat_with_epsilon (look.core_px, 8, 0.7);
      g_assert_cmpfloat_with_epsilon (look.roundness, 1, 0.2);
      g_assert_cmpfloat_with_epsilon (look.hollow, 1, 0.15);
      g_assert_cmpfloat (look.skirt, <, 0.2);
    } else if (kind == 1) {
      g_assert_cmpfloat (look.hollow, <, 0.5);
    } else {
      g_assert_cmpfloat (look.skirt, >, 0.25);
      g_assert_cmpfloat (look.hollow, >, 1.1);
    }
    g_rand_free (rand);
  }
}

/* Wires as an optic of 1 px shows them, and a defect from (x0, y0) to (x1, y1) that is no stronger than a few sigmas. */
static NotchShape
shape_of (double x0, double y0, double x1, double y1, double height)
{
  static const double edge[] = { 20, 28, 36, 44 };
  Patch patch;
  GRand *rand = g_rand_new_with_seed (6);
  for (int i = 0; i < SIDE * SIDE; i++) {
    const double x = i % SIDE + 0.5, y = i / SIDE + 0.5;
    double tone = 60, in_x = 0.5 * (erf ((x - x0) / G_SQRT2) - erf ((x - x1) / G_SQRT2));
    for (int k = 0; k < 4; k++)
      tone += (k % 2 ? -30 : 30) * (1 + erf ((y - edge[k]) / G_SQRT2));
    patch.value[SIDE * SIDE + i] = (float) tone;
    patch.value[i] = (float) (tone + height * in_x * 0.5 * (erf ((y - y0) / G_SQRT2) - erf ((y - y1) / G_SQRT2))
                              + g_rand_double_range (rand, -2, 2));
  }
  g_rand_free (rand);
  patch.place = (NotchLookPlace){ (int) x0 - 2, (int) y0 - 2, (int) x1 + 1, (int) y1 + 1, 1, 0 };
  return look_at (&patch).shape;
}

/* Which of its sides lie on the pattern's edges, in sigmas that leave no doubt, and what the fit says of its size. */
static void
test_edges (void)
{
  const NotchShape bridge = shape_of (30, 28, 34, 36, 12), spur = shape_of (30, 28, 34, 32, 15);
  const NotchShape open = shape_of (30, 20, 34, 28, -12), bite = shape_of (30, 24, 34, 28, -15);
  const NotchShape both[] = { bridge, open }, one[] = { spur, bite };
  for (int i = 0; i < 2; i++) {
    g_test_message ("both: losses %g and %g, spur or bite: %g and %g, fill %g and %g", both[i].both_loss,
                    both[i].one_loss, one[i].both_loss, one[i].one_loss, both[i].gap_fill, one[i].gap_fill);
    g_assert_cmpfloat (both[i].both_loss, <, 10);
    g_assert_cmpfloat (one[i].both_loss, >, 40);
    g_assert_cmpfloat (one[i].one_loss, <, 10);
    g_assert_cmpfloat_with_epsilon (both[i].gap_px, 8, 0.4);
    g_assert_cmpfloat_with_epsilon (both[i].gap_fill, 1, 0.15);
    g_assert_cmpfloat_with_epsilon (one[i].gap_fill, 0.5, 0.15);
    g_assert_cmpfloat (both[i].gap_off, <, 0.1);
    g_assert_cmpfloat_with_epsilon (one[i].gap_off, 0.25, 0.1);
    g_assert_cmpfloat_with_epsilon (both[i].box_long, 8, 1);
    g_assert_cmpfloat_with_epsilon (both[i].box_short, 4, 1);
    g_assert_cmpfloat (both[i].box_gain, >, 5);
  }
}

/* A spot, a disc and one with three waves around it, each known by what explains it best. */
static void
test_shapes (void)
{
  NotchShape shape[3];
  for (int kind = 0; kind < 3; kind++) {
    Patch patch;
    GRand *rand = g_rand_new_with_seed (9);
    for (int i = 0; i < SIDE * SIDE; i++) {
      const double x = i % SIDE - 33.2, y = i / SIDE - 31.4, r = hypot (x, y);
      const double outline = kind == 2 ? 11 * (1 + 0.25 * cos (3 * atan2 (y, x))) : 11;
      const double delta = kind == 0 ? 8 * exp (-r * r / 50) : 4 * (1 + erf ((outline - r) / 2));
      patch.value[SIDE * SIDE + i] = 90;
      patch.value[i] = (float) (90 + delta + g_rand_double_range (rand, -3, 3));
    }
    g_rand_free (rand);
    patch.place = (NotchLookPlace){ 20, 20, 44, 44, 4, 0 };
    shape[kind] = look_at (&patch).shape;
  }
  g_assert_cmpfloat_with_epsilon (shape[0].spot_px, 5, 0.4);
  g_assert_cmpfloat (shape[0].spot_ratio, <, 1.2);
  g_assert_cmpfloat (shape[0].disc_soft, >, 0.45);
  g_assert_cmpfloat_with_epsilon (shape[1].disc_px, 11, 0.7);
  g_assert_cmpfloat (shape[1].disc_soft, <, 0.25);
  g_assert_cmpfloat (shape[1].disc_gain, >, shape[0].disc_gain + 50);
  g_assert_cmpfloat (shape[1].wavy, <, 0.08);
  g_assert_cmpfloat_with_epsilon (shape[2].wavy, 0.25 / G_SQRT2, 0.05);
  g_assert_cmpfloat (shape[2].wavy_gain, >, shape[1].wavy_gain + 50);
  g_assert_true (isnan (shape[1].box_gain)); /* larger than parts of a pattern are */
}

/* Lines close to each other look sharper than the optics are; how sharp those are, the edge of a pad beside them tells, and so
 * how large a small defect is. */
static void
test_dense (void)
{
  Patch patch;
  GRand *rand = g_rand_new_with_seed (5);
  for (int i = 0; i < SIDE * SIDE; i++) {
    const double x = i % SIDE + 0.5, y = i / SIDE + 0.5;
    double tone = 60 + 30 * (1 + erf ((x - 48) / G_SQRT2));
    for (int line = 0; line < 7; line++)
      tone += 30 * (erf ((x - 2 - 6 * line) / G_SQRT2) - erf ((x - 5 - 6 * line) / G_SQRT2));
    patch.value[SIDE * SIDE + i] = (float) tone;
    patch.value[i] = (float) (tone
                              + 15 * (erf ((x - 30) / G_SQRT2) - erf ((x - 33) / G_SQRT2))
                                    * (erf ((y - 31) / G_SQRT2) - erf ((y - 34) / G_SQRT2))
                              + g_rand_double_range (rand, -2, 2));
  }
  g_rand_free (rand);
  patch.place = (NotchLookPlace){ 28, 29, 35, 36, 1, 0 };
  const NotchShape shape = look_at (&patch).shape;
  g_assert_cmpfloat_with_epsilon (shape.box_long, 3, 0.3);
  g_assert_cmpfloat_with_epsilon (shape.box_short, 3, 0.3);
}

/* What a disc leaves of one that is even is noise, of one with a hole in it and of one that is ragged it is not. */
static void
test_lumps (void)
{
  NotchShape shape[3];
  for (int kind = 0; kind < 3; kind++) {
    Patch patch;
    GRand *rand = g_rand_new_with_seed (7);
    for (int i = 0; i < SIDE * SIDE; i++) {
      const double x = i % SIDE - 32, y = i / SIDE - 31, r = hypot (x, y);
      const double outline = kind == 2 ? 11 * (1 + 0.2 * cos (8 * atan2 (y, x))) : 11;
      const double hole = kind == 1 ? exp (-((x - 4) * (x - 4) + y * y) / 8) : 0;
      patch.value[SIDE * SIDE + i] = 90;
      patch.value[i] = (float) (90 + 5 * (1 + erf (outline - r) - 2 * hole) + g_rand_double_range (rand, -3, 3));
    }
    g_rand_free (rand);
    patch.place = (NotchLookPlace){ 20, 20, 44, 44, 4, 0 };
    shape[kind] = look_at (&patch).shape;
  }
  g_assert_cmpfloat (shape[0].lumps_fine, <, 2);
  g_assert_cmpfloat (shape[0].lumps_coarse, <, 3);
  g_assert_cmpfloat (shape[0].rim_coarse, <, 3);
  g_assert_cmpfloat (shape[1].lumps_fine, >, 3 * shape[0].lumps_fine);
  g_assert_cmpfloat (shape[1].lumps_coarse, >, 3 * shape[0].lumps_coarse);
  g_assert_cmpfloat (shape[2].rim_fine, >, 2 * shape[0].rim_fine);
}

/* A spot alone is all that there is; beside a line it is not. */
static void
test_scales (void)
{
  Patch patch;
  draw_wires (&patch);
  add (&patch, 30, 30, 34, 34, 60);
  const NotchScales alone = look_at (&patch).scales;
  for (int k = 0; k < NOTCH_N_SCALES; k++)
    g_assert_cmpfloat (alone.far[k], <=, 1);
  g_assert_cmpfloat (alone.wide_off, <, 1.5);
  add (&patch, 4, 50, 60, 53, 60);
  const NotchScales beside = look_at (&patch).scales;
  g_assert_cmpfloat (beside.far[2], >, 1.1);
  g_assert_cmpfloat (beside.wide_px, >, 1.5 * alone.wide_px);
  g_assert_cmpfloat (beside.wide_off, >, 10);
}

/* What the reference has near is no difference, where it may wander. */
static void
test_wander (void)
{
  Patch patch;
  draw_wires (&patch);
  for (int x = 0; x < SIDE; x++)
    patch.value[28 * SIDE + x] = 120; /* the conductor's lower edge is a pixel further down */
  patch.place.wander = 2;
  add (&patch, 30, 31, 34, 35, 60);
  g_assert_cmpfloat (look_at (&patch).touched, ==, 0); /* an island */
  g_assert_cmpfloat (look_at (&patch).core_px, <, 3);
  add (&patch, 30, 29, 34, 31, 60);
  NotchLook look = look_at (&patch);
  g_assert_cmpfloat (look.touched, ==, 1); /* a spur, which begins where edges may wander */
  g_assert_cmpfloat (look.core_px, <, 4.5);
  patch.place.wander = 0;
  look = look_at (&patch);
  g_assert_cmpfloat (look.core_px, >, 4.5); /* all of the edge is part of it */
}

/* Without any number there is nothing to see, and nothing to fall over; half without is fine. */
static void
test_nothing (void)
{
  Patch patch;
  for (int i = 0; i < 2 * SIDE * SIDE; i++)
    patch.value[i] = NAN;
  patch.place = (NotchLookPlace){ -9, -9, 99, 99, 14, 2 };
  g_assert_true (isnan (look_at (&patch).polarity));
  for (int i = 0; i < 2 * SIDE * SIDE; i++)
    patch.value[i] = 50;
  g_assert_true (isnan (look_at (&patch).polarity)); /* no difference at all */
  draw_wires (&patch);
  add (&patch, 30, 28, 34, 36, 60);
  for (int i = 0; i < 2 * SIDE * SIDE; i++)
    if (i % SIDE > 36)
      patch.value[i] = NAN;
  g_assert_cmpfloat (look_at (&patch).touched, ==, 2);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/look/topology", test_topology);
  g_test_add_func ("/look/missing", test_missing);
  g_test_add_func ("/look/film", test_film);
  g_test_add_func ("/look/outline", test_outline);
  g_test_add_func ("/look/edges", test_edges);
  g_test_add_func ("/look/shapes", test_shapes);
  g_test_add_func ("/look/dense", test_dense);
  g_test_add_func ("/look/lumps", test_lumps);
  g_test_add_func ("/look/scales", test_scales);
  g_test_add_func ("/look/wander", test_wander);
  g_test_add_func ("/look/nothing", test_nothing);
  return g_test_run ();
}
