/* distortion.c - the field that a template's pattern is bent by, beyond an affine warp */
#include "inspect/wafer/distortion.h"

#include <math.h>

#define SIDE 640

typedef double (*Pattern) (double x, double y);
typedef void (*Warp) (double x, double y, double *dx, double *dy);

/* Something everywhere, and no two places alike. */
static double
texture (double x, double y)
{
  double sum = 120;
  for (int i = 1; i <= 12; i++)
    sum +=
        12 * sin (x * 0.045 * (i % 5 + 1) + 1.7 * i + 2 * sin (0.013 * i * y)) * cos (y * 0.04 * (i % 4 + 1) + 0.9 * i);
  return sum;
}

static double
edge (double at)
{
  return 0.5 + 0.5 * tanh (at / 1.2);
}

/* Lines along y, none alike in width: nothing tells a shift along them. */
static double
lines (double x, double y)
{
  double period = fmod (x + 1000, 40), middle = 20 + 4 * sin (floor ((x + 1000) / 40));
  return 40 + 160 * edge (7 - fabs (period - middle));
}

/* Rectangles in the left third, nothing in the rest. */
static double
partly (double x, double y)
{
  return x < 200 ? 40 + 160 * edge (8 - fabs (fmod (x + 1000, 50) - 25)) * edge (9 - fabs (fmod (y + 1000, 50) - 25))
                 : 40;
}

static void
affine (double x, double y, double *dx, double *dy)
{
  *dx = 0.6 + 0.001 * x - 0.002 * y;
  *dy = -0.4 + 0.002 * x + 0.0015 * y;
}

static void
waves (double x, double y, double *dx, double *dy)
{
  affine (x, y, dx, dy);
  *dx += 2 * sin (x * 2 * G_PI / 700 + 0.5) * cos (y * 2 * G_PI / 900);
  *dy += 1.5 * cos (x * 2 * G_PI / 800) * sin (y * 2 * G_PI / 750 + 1);
}

/* A bend along x alone, so that lines along y see all of it. */
static void
sideways (double x, double y, double *dx, double *dy)
{
  *dx = 2 * sin (y * 2 * G_PI / 800 + 0.3) * cos (x * 2 * G_PI / 900);
  *dy = 0;
}

typedef struct {
  NotchSource *image_source, *other_source;
  NotchStore *image, *other;
} Pair;

/* The other is the pattern as drawn, the image what the warp makes of it: image (p) = other (p + d). */
static void
pair_open (Pair *pair, Pattern pattern, Warp warp, double noise, int n_defects, int width, int height)
{
  g_autoptr (GRand) random = g_rand_new_with_seed (5);
  float *a = g_new (float, (gsize) width *(gsize) height), *b = g_new (float, (gsize) width *(gsize) height);
  for (int y = 0; y < height; y++)
    for (int x = 0; x < width; x++) {
      double dx, dy, more[2];
      warp (x, y, &dx, &dy);
      for (int i = 0; i < 2; i++) /* nearly normal */
        more[i] = noise > 0
                      ? noise * (g_rand_double (random) + g_rand_double (random) + g_rand_double (random) - 1.5) * 2
                      : 0;
      a[(gsize) y * (gsize) width + (gsize) x] = (float) (1.1 * pattern (x + dx, y + dy) + 7 + more[0]);
      b[(gsize) y * (gsize) width + (gsize) x] = (float) (pattern (x, y) + more[1]);
    }
  for (int i = 0; i < n_defects; i++) {
    int left = g_rand_int_range (random, 20, width - 40), top = g_rand_int_range (random, 20, height - 40);
    for (int y = top; y < top + 16; y++)
      for (int x = left; x < left + 14; x++)
        a[(gsize) y * (gsize) width + (gsize) x] = i % 2 ? 0 : 250;
  }
  pair->image_source = notch_source_from_memory ("image", width, height, NOTCH_SAMPLE_F32, a);
  pair->other_source = notch_source_from_memory ("other", width, height, NOTCH_SAMPLE_F32, b);
  pair->image = notch_store_new (pair->image_source, 1 << 24, 1);
  pair->other = notch_store_new (pair->other_source, 1 << 24, 1);
}

static void
pair_close (Pair *pair)
{
  notch_store_free (pair->image);
  notch_store_free (pair->other);
  notch_source_close (pair->image_source);
  notch_source_close (pair->other_source);
}

static const NotchWarp found = {
  .centre_x = 0, .centre_y = 0, .dx = 0.6, .dy = -0.4, .xx = 0.001, .xy = -0.002, .yx = 0.002, .yy = 0.0015
};
static const NotchWarp none = { 0 };

static NotchDistortion *
fit (const Pair *pair, const NotchWarp *warp)
{
  g_autoptr (GError) error = NULL;
  NotchDistortion *field = NULL;
  g_assert_true (notch_distortion_fit (pair->image, pair->other, pair->image_source->width, pair->image_source->height,
                                       warp, &field, &error));
  g_assert_no_error (error);
  return field;
}

/* The rms difference of warp and field from the truth, between x0 and x1 and away from the rim. */
static void
check_field (const NotchDistortion *field, const NotchWarp *warp, Warp truth, int x0, int x1, double most_x,
             double most_y)
{
  double sum_x = 0, sum_y = 0;
  int n = 0;
  for (int y = 16; y < SIDE - 16; y += 4)
    for (int x = x0; x < x1; x += 4, n++) {
      double dx, dy, ex, ey, tx, ty;
      notch_warp_at (warp, x, y, &dx, &dy);
      notch_distortion_at (field, x, y, &ex, &ey);
      truth (x, y, &tx, &ty);
      sum_x += (dx + ex - tx) * (dx + ex - tx), sum_y += (dy + ey - ty) * (dy + ey - ty);
    }
  g_test_message ("rms %.4f %.4f px", sqrt (sum_x / n), sqrt (sum_y / n));
  g_assert_cmpfloat (sqrt (sum_x / n), <, most_x);
  g_assert_cmpfloat (sqrt (sum_y / n), <, most_y);
}

static void
test_texture (void)
{
  Pair pair;
  pair_open (&pair, texture, waves, 0, 0, SIDE, SIDE);
  g_autoptr (NotchDistortion) field = fit (&pair, &found);
  g_assert_nonnull (field);
  check_field (field, &found, waves, 16, SIDE - 16, 0.05, 0.05);
  g_assert_cmpfloat (field->peak, >, 1.5);
  g_assert_cmpfloat (field->rms, >, 0.5);
  g_assert_false (field->at_limit);
  pair_close (&pair);
}

/* Lines tell one component; the other stays what neighbours say, which is nothing. */
static void
test_lines (void)
{
  Pair pair;
  pair_open (&pair, lines, sideways, 0, 0, SIDE, SIDE);
  g_autoptr (NotchDistortion) field = fit (&pair, &none);
  g_assert_nonnull (field);
  check_field (field, &none, sideways, 16, SIDE - 16, 0.05, 0.05);
  pair_close (&pair);
}

/* What is affine, or the same, needs no field; neither do defects or noise. */
static void
test_affine (void)
{
  for (int i = 0; i < 3; i++) {
    Pair pair;
    pair_open (&pair, i == 2 ? lines : texture, affine, i == 1 ? 6 : 0, i == 0 ? 0 : 12, SIDE, SIDE);
    g_autoptr (NotchDistortion) field = fit (&pair, &found);
    g_assert_null (field);
    pair_close (&pair);
  }
}

static void
test_defects (void)
{
  Pair pair;
  pair_open (&pair, texture, waves, 3, 12, SIDE, SIDE);
  g_autoptr (NotchDistortion) field = fit (&pair, &found);
  g_assert_nonnull (field);
  check_field (field, &found, waves, 16, SIDE - 16, 0.08, 0.08);
  pair_close (&pair);
}

static double
nothing (double x, double y)
{
  return 100;
}

/* Blank parts follow what has edges, and do not run away on noise; blank images have no field. */
static void
test_blank (void)
{
  Pair pair;
  pair_open (&pair, partly, waves, 3, 0, SIDE, SIDE);
  g_autoptr (NotchDistortion) field = fit (&pair, &found);
  g_assert_nonnull (field);
  check_field (field, &found, waves, 16, 190, 0.1, 0.1);
  for (int i = 0; i < (field->n_x + 1) * (field->n_y + 1); i++)
    g_assert_cmpfloat (hypot (field->dx[i], field->dy[i]), <, 4);
  pair_close (&pair);
  for (int i = 0; i < 2; i++) {
    pair_open (&pair, nothing, affine, 4 * i, 0, 200, 300);
    g_autoptr (NotchDistortion) blank = fit (&pair, &none);
    g_assert_null (blank);
    pair_close (&pair);
  }
}

/* Sizes that make less than a cell, or squares that reach beyond the image; pixels that are no numbers. */
static void
test_sizes (void)
{
  const int size[][2] = { { 40, 400 }, { 96, 96 }, { 97, 333 }, { 2000, 100 } };
  for (gsize i = 0; i < G_N_ELEMENTS (size); i++) {
    Pair pair;
    pair_open (&pair, texture, waves, 1, 0, size[i][0], size[i][1]);
    g_autoptr (NotchDistortion) field = fit (&pair, &found);
    double dx, dy;
    if (field)
      notch_distortion_at (field, -5, 1e6, &dx, &dy);
    pair_close (&pair);
  }
  Pair pair;
  float *lost = g_new (float, 300 * 300);
  pair_open (&pair, texture, waves, 0, 0, 300, 300);
  for (int i = 0; i < 300 * 300; i++)
    lost[i] = NAN;
  notch_store_free (pair.other);
  notch_source_close (pair.other_source);
  pair.other_source = notch_source_from_memory ("lost", 300, 300, NOTCH_SAMPLE_F32, lost);
  pair.other = notch_store_new (pair.other_source, 1 << 24, 1);
  g_autoptr (NotchDistortion) field = fit (&pair, &none);
  g_assert_null (field);
  pair_close (&pair);
}

/* How steep it is where it is asked for. */
static void
test_steepness (void)
{
  double dx[6] = { 0, 1, 1, 0, 1, 3 }, dy[6] = { 0 };
  NotchDistortion field = { .n_x = 2, .n_y = 1, .step_x = 50, .step_y = 40, .dx = dx, .dy = dy };
  g_assert_cmpfloat_with_epsilon (notch_distortion_steepness (&field, 0, 0, 40, 40), 1.0 / 50, 1e-12);
  g_assert_cmpfloat_with_epsilon (notch_distortion_steepness (&field, 0, 0, 90, 40), 2.0 / 50 + 2.0 / 40, 1e-12);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/distortion/texture", test_texture);
  g_test_add_func ("/distortion/lines", test_lines);
  g_test_add_func ("/distortion/affine", test_affine);
  g_test_add_func ("/distortion/defects", test_defects);
  g_test_add_func ("/distortion/blank", test_blank);
  g_test_add_func ("/distortion/sizes", test_sizes);
  g_test_add_func ("/distortion/steepness", test_steepness);
  return g_test_run ();
}
