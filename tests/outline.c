/* outline.c - the wafer's edge, its notch or flat, on drawn discs */
#include <math.h>

#include "inspect/wafer/outline.h"

typedef struct {
  int size;
  double x, y, radius, notch, flat; /* px; notch and flat: angle, from +x up, NAN for none */
  double noise;
  double street; /* grey level of the streets of a patterned wafer; 0: blank */
} Disc;

static double
normal (GRand *rand)
{
  double u = 1 - g_rand_double (rand), v = g_rand_double (rand);
  return sqrt (-2 * log (u)) * cos (2 * G_PI * v);
}

/* Distance inside the disc, less the notch: 1/120 of the radius deep, flanks of 90 degrees; or the flat: 5 % deep. */
static double
inside (const Disc *disc, double x, double y)
{
  double u = x - disc->x, v = disc->y - y, edge = disc->radius - hypot (u, v);
  if (!isnan (disc->notch)) {
    double along = u * cos (disc->notch) + v * sin (disc->notch);
    double across = fabs (v * cos (disc->notch) - u * sin (disc->notch));
    if (along > 0)
      edge = fmin (edge, -(along - disc->radius * (1 - 1 / 120.0) - across) * G_SQRT2 / 2);
  }
  if (!isnan (disc->flat))
    edge = fmin (edge, 0.95 * disc->radius - (u * cos (disc->flat) + v * sin (disc->flat)));
  return edge;
}

static NotchReduced *
draw (const Disc *disc)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (7);
  NotchReduced *image = g_new0 (NotchReduced, 1);
  image->factor = 4;
  image->width = image->height = disc->size;
  image->value = g_new (float, (gsize) disc->size * disc->size);
  for (int y = 0; y < disc->size; y++)
    for (int x = 0; x < disc->size; x++) {
      double die = x % 40 < 3 || y % 30 < 3 ? disc->street : x / 7 % 2 ? 120 : 80;
      double value = disc->street > 0 ? die : 100, share = CLAMP (inside (disc, x, y) + 0.5, 0, 1);
      image->value[(gsize) y * disc->size + x] = (float) (20 + share * (value - 20) + disc->noise * normal (rand));
    }
  return image;
}

/* Was the notch found? On a patterned wafer it may be hidden by a street that ends there; it must never be wrong. */
static gboolean
check (const Disc *disc, double tolerance)
{
  g_autoptr (NotchReduced) image = draw (disc);
  NotchOutline outline = { 0 };
  notch_outline_find (image, &outline);
  /* Reduced pixel 0 is the middle of pixels 0 to 3. */
  g_assert_cmpfloat_with_epsilon (outline.radius, 4 * disc->radius, 4 * tolerance);
  g_assert_cmpfloat_with_epsilon (outline.x, 4 * disc->x + 1.5, 4 * tolerance);
  g_assert_cmpfloat_with_epsilon (outline.y, 4 * disc->y + 1.5, 4 * tolerance);
  double angle = isnan (disc->flat) ? disc->notch : disc->flat;
  if (disc->street > 0 && isnan (outline.notch_angle))
    return FALSE;
  g_assert_cmpint (isnan (outline.notch_angle), ==, isnan (angle));
  g_assert_cmpint (outline.flat, ==, !isnan (disc->flat));
  if (!isnan (angle))
    g_assert_cmpfloat (fabs (remainder (outline.notch_angle - angle, 2 * G_PI)), <, 0.005);
  return !isnan (outline.notch_angle);
}

static void
test_disc (void)
{
  check (&(Disc){ 600, 301.3, 297.8, 270.4, NAN, NAN, 0, 0 }, 0.1);
  check (&(Disc){ 600, 301.3, 297.8, 270.4, NAN, NAN, 6, 0 }, 0.3);
  /* Streets nearly as dark as the ground: rays slip in along them. */
  check (&(Disc){ 900, 450, 440, 410.7, NAN, NAN, 5, 25 }, 0.6);
}

static void
test_notch (void)
{
  static const double angle[] = { -G_PI_2, 0, 2.2, G_PI };
  int patterned = 0;
  for (gsize i = 0; i < G_N_ELEMENTS (angle); i++) {
    check (&(Disc){ 1000, 500.2, 499.1, 460.5, angle[i], NAN, 3, 0 }, 0.3);
    patterned += check (&(Disc){ 1000, 508.2, 497.1, 460.5, angle[i], NAN, 3, 50 }, 0.6);
    check (&(Disc){ 600, 300.2, 301.1, 260.5, NAN, angle[i], 3, 0 }, 0.3);
  }
  g_assert_cmpint (patterned, >=, 3);
}

/* Streets that reach the edge beside a notch may hide it, but nothing else is taken for it. */
static void
test_notch_among_dice (void)
{
  int found = 0, n = 0;
  for (double angle = -3; angle < 3; angle += 0.53, n++) {
    const Disc disc = { 1000, 500.2, 499.1, 460.5, angle, NAN, 3, 50 };
    g_autoptr (NotchReduced) image = draw (&disc);
    NotchOutline outline = { 0 };
    notch_outline_find (image, &outline);
    g_assert_cmpfloat_with_epsilon (outline.radius, 4 * disc.radius, 4 * 0.6);
    if (isnan (outline.notch_angle))
      continue;
    g_assert_cmpfloat (fabs (remainder (outline.notch_angle - angle, 2 * G_PI)), <, 0.01);
    found++;
  }
  g_assert_cmpint (found, >, n / 2);
}

/* A part of a wafer, and one that the image cuts. */
static void
test_partial (void)
{
  check (&(Disc){ 700, 80.5, 60.2, 520.3, NAN, NAN, 4, 0 }, 0.5);
  check (&(Disc){ 700, 349.5, 349.5, 380.3, NAN, NAN, 4, 0 }, 0.5);
}

/* Images without a wafer's edge. */
static void
test_none (void)
{
  NotchOutline outline = { 0 };
  const Disc whole[] = {
    { 400, 200, 200, 2000, NAN, NAN, 4, 25 }, /* dice only */
    { 400, 200, 200, 2000, NAN, NAN, 4, 0 },  /* blank */
    { 400, 200, 200, -10, NAN, NAN, 4, 0 },   /* background only */
    { 400, 200, 200, 4, NAN, NAN, 1, 0 },     /* a speck */
    { 50, 25, 25, 20, NAN, NAN, 0, 0 },       /* too small to tell */
  };
  for (gsize i = 0; i < G_N_ELEMENTS (whole); i++) {
    g_autoptr (NotchReduced) image = draw (&whole[i]);
    notch_outline_find (image, &outline);
    g_assert_cmpfloat (outline.radius, ==, 0);
    g_assert_true (isnan (outline.notch_angle));
  }
  /* A bright square on dark ground is no disc. */
  g_autoptr (NotchReduced) square = draw (&whole[2]);
  for (int y = 60; y < 340; y++)
    for (int x = 60; x < 340; x++)
      square->value[y * 400 + x] += 100;
  notch_outline_find (square, &outline);
  g_assert_cmpfloat (outline.radius, ==, 0);
}

static void
test_mask (void)
{
  const Disc disc = { 300, 150, 150, 120, NAN, NAN, 0, 0 };
  g_autoptr (NotchReduced) image = draw (&disc);
  NotchOutline outline = { .x = 601.5, .y = 601.5, .radius = 480, .notch_angle = NAN };
  g_autofree float *mask = notch_outline_mask (&outline, image, 40);
  double sum = 0;
  for (int i = 0; i < 300 * 300; i++)
    sum += mask[i];
  g_assert_cmpfloat_with_epsilon (sum / (G_PI * 110 * 110), 1, 0.01);
  outline.radius = 0;
  g_assert_null (notch_outline_mask (&outline, image, 40));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/outline/disc", test_disc);
  g_test_add_func ("/outline/notch", test_notch);
  g_test_add_func ("/outline/notch-among-dice", test_notch_among_dice);
  g_test_add_func ("/outline/partial", test_partial);
  g_test_add_func ("/outline/none", test_none);
  g_test_add_func ("/outline/mask", test_mask);
  return g_test_run ();
}
