/* features.c - features of drawn shapes against sums in long double, pixel by pixel */
#include "inspect/detect/features.h"

#include <math.h>
#include <string.h>

#include "inspect/report/report.h"
#include "kernels/math/blob.h"

/* Pixels of a shape around (0, 0), with a weight and a residual each. */
typedef struct {
  int x, y;
  float fine, res, ref, edge, score;
  gboolean seed;
} Spot;

static GArray *
shape_new (void)
{
  return g_array_new (FALSE, FALSE, sizeof (Spot));
}

static void
shape_add (GArray *shape, GRand *rand, int x, int y)
{
  /* multiples of 1/256, so that the blob's whole numbers hold them exactly */
  const Spot spot = { .x = x,
                      .y = y,
                      .fine = (float) g_rand_int_range (rand, -2560, 2560) / 256,
                      .res = (float) g_rand_int_range (rand, -9000, 12000) / 256,
                      .ref = (float) g_rand_int_range (rand, 0, 60000) / 256,
                      .edge = (float) g_rand_int_range (rand, 0, 6000) / 256,
                      .score = (float) g_rand_int_range (rand, 256, 9999) / 256,
                      .seed = g_rand_boolean (rand) };
  g_array_append_val (shape, spot);
}

/* The blob as a tile at (x, y) sees it: its own first pixel 400 px up and to the left of the shape's centre. */
static NotchJoined
shape_blob (const GArray *shape, gint64 x, gint64 y)
{
  NotchBlob blob;
  NotchJoined joined;

  notch_blob_clear (&blob);
  for (guint i = 0; i < shape->len; i++) {
    const Spot *spot = &g_array_index (shape, Spot, i);
    const NotchBlobPixel pixel = { .x = spot->x + 400,
                                   .y = spot->y + 400,
                                   .fine = spot->fine,
                                   .res = spot->res,
                                   .ref = spot->ref,
                                   .edge = spot->edge,
                                   .seed = spot->seed };
    notch_blob_add (&blob, &pixel);
    notch_blob_peak (&blob, pixel.x, pixel.y, spot->score, 1, false);
  }
  notch_joined_init (&joined, &blob, x - 400, y - 400);
  return joined;
}

#define NEAR(a, b, within) g_assert_cmpfloat_with_epsilon ((a), (b), (within))

static const NotchChannel channels[] = { { NOTCH_CHANNEL_BLOB, 0.7f, 0, 0, 1, 1 },
                                         { NOTCH_CHANNEL_LINE, 1.6f, 10, 0.3f, 1, 1 },
                                         { NOTCH_CHANNEL_BLOB, 4.2f, 0, 0, 4, 1 } };

static NotchFeatureContext
plain_context (void)
{
  return (NotchFeatureContext){ .frame = { .x = 0, .y = 0, .pixel_um = 1, .cos = 1, .sin = 0 },
                                .channel = channels,
                                .n_channels = G_N_ELEMENTS (channels) };
}

/* Everything that follows from the pixels alone, the long way. Moments are taken about the shape's own origin, where
 * the numbers are small wherever the shape lies in the image. */
static void
check_shape (const GArray *shape, gint64 x, gint64 y)
{
  const NotchJoined blob = shape_blob (shape, x, y);
  NotchFeatureContext context = plain_context ();
  double value[NOTCH_N_FEATURES];
  const long double n = shape->len;
  long double w = 0, wx = 0, wy = 0, sx = 0, sy = 0, res = 0, res_abs = 0, ref = 0, edge = 0, peak = 0;
  int seeds = 0, x0 = G_MAXINT, x1 = G_MININT, y0 = G_MAXINT, y1 = G_MININT;

  context.frame.pixel_um = 0.5;
  notch_features_measure (&blob, &context, value);
  for (guint i = 0; i < shape->len; i++) {
    const Spot *spot = &g_array_index (shape, Spot, i);
    const long double weight = floorl (spot->fine * spot->fine * 256 + 0.5L) / 256;
    w += weight;
    wx += weight * spot->x;
    wy += weight * spot->y;
    sx += spot->x;
    sy += spot->y;
    res += spot->res;
    res_abs += fabsf (spot->res);
    ref += spot->ref;
    edge += spot->edge;
    seeds += spot->seed;
    peak = MAX (peak, spot->score);
    x0 = MIN (x0, spot->x);
    x1 = MAX (x1, spot->x);
    y0 = MIN (y0, spot->y);
    y1 = MAX (y1, spot->y);
  }
  long double xx = 0, yy = 0, xy = 0;
  for (guint i = 0; i < shape->len; i++) {
    const Spot *spot = &g_array_index (shape, Spot, i);
    xx += (spot->x - sx / n) * (spot->x - sx / n);
    yy += (spot->y - sy / n) * (spot->y - sy / n);
    xy += (spot->x - sx / n) * (spot->y - sy / n);
  }
  xx = xx / n + 1 / 12.0L;
  yy = yy / n + 1 / 12.0L;
  xy /= n;

  const double there = 1e-15 * (double) MAX (x, y) + 1e-9; /* a double's grain so far out */
  NEAR (value[NOTCH_FEATURE_X] - (double) x, (double) (w > 0 ? wx / w : sx / n), there);
  NEAR (value[NOTCH_FEATURE_Y] - (double) y, (double) (w > 0 ? wy / w : sy / n), there);
  g_assert_cmpfloat (value[NOTCH_FEATURE_WIDTH], ==, x1 - x0 + 1);
  g_assert_cmpfloat (value[NOTCH_FEATURE_HEIGHT], ==, y1 - y0 + 1);
  g_assert_cmpfloat (value[NOTCH_FEATURE_AREA], ==, shape->len);
  g_assert_cmpfloat (value[NOTCH_FEATURE_AREA_UM2], ==, shape->len / 4.0);
  g_assert_cmpfloat (value[NOTCH_FEATURE_SEED_PX], ==, seeds);
  NEAR (value[NOTCH_FEATURE_PEAK_SNR], (double) peak, 1e-9);
  NEAR (value[NOTCH_FEATURE_CONTRAST], (double) (res / n), 1e-9);
  NEAR (value[NOTCH_FEATURE_FLUX], (double) res, 1e-6);
  NEAR (value[NOTCH_FEATURE_BIPOLARITY], (double) (1 - fabsl (res) / res_abs), 1e-9);
  NEAR (value[NOTCH_FEATURE_REFERENCE], (double) (ref / n), 1e-9);
  NEAR (value[NOTCH_FEATURE_EDGE], (double) (edge / n), 1e-9);
  NEAR (value[NOTCH_FEATURE_FILL], (double) (n / (x1 - x0 + 1) / (y1 - y0 + 1)), 1e-12);
  g_assert_cmpfloat (value[NOTCH_FEATURE_SCALE_PX], ==, 1.6f);
  g_assert_cmpfloat (value[NOTCH_FEATURE_LINE], ==, 1);
  g_assert_true (isnan (value[NOTCH_FEATURE_DIE_COL]) && isnan (value[NOTCH_FEATURE_DIE_X_UM]));

  /* The principal axes by turning: the direction with the largest variance, to 1/1000 degree. */
  long double major = 0, minor = INFINITY, best = 0;
  for (int k = -89999; k <= 90000; k++) {
    const long double angle = k / 1000.0L * acosl (-1) / 180, c = cosl (angle), s = -sinl (angle); /* y up */
    const long double variance = c * c * xx + s * s * yy + 2 * c * s * xy;
    if (variance > major) {
      major = variance;
      best = k / 1000.0L;
    }
    minor = MIN (minor, variance);
  }
  NEAR (value[NOTCH_FEATURE_ELONGATION], (double) sqrtl (major / minor), 1e-6 * (double) sqrtl (major / minor));
  if (major / minor > 1.01L) {
    double off = fabs (value[NOTCH_FEATURE_ANGLE_DEG] - (double) best);
    off = MIN (off, 180 - off);
    g_assert_cmpfloat (off, <=, 0.0011);
  }
  g_assert_cmpfloat (value[NOTCH_FEATURE_ANGLE_DEG], >, -90);
  g_assert_cmpfloat (value[NOTCH_FEATURE_ANGLE_DEG], <=, 90);

  /* The largest distance between two pixels, plus one; the directions' grain makes it up to 2 % less. */
  double feret = 0;
  for (guint i = 0; i < shape->len; i++)
    for (guint j = 0; j < i; j++) {
      const Spot *a = &g_array_index (shape, Spot, i), *b = &g_array_index (shape, Spot, j);
      feret = fmax (feret, hypot (a->x - b->x, a->y - b->y));
    }
  g_assert_cmpfloat (value[NOTCH_FEATURE_SIZE_UM], <=, (feret + 1) / 2 + 1e-9);
  g_assert_cmpfloat (value[NOTCH_FEATURE_SIZE_UM], >=, (feret * cos (G_PI / 15.8) + 1) / 2 - 1e-9);
}

static const gint64 places[] = { 400, 70000, G_GINT64_CONSTANT (1000000000), G_GINT64_CONSTANT (4000000007) };

static void
check_everywhere (const GArray *shape)
{
  for (gsize i = 0; i < G_N_ELEMENTS (places); i++)
    check_shape (shape, places[i], places[G_N_ELEMENTS (places) - 1 - i]);
}

static void
test_discs (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);

  for (int r = 0; r < 6; r++) {
    g_autoptr (GArray) shape = shape_new ();
    for (int y = -r; y <= r; y++)
      for (int x = -r; x <= r; x++)
        if (x * x + y * y <= r * r)
          shape_add (shape, rand, x, y);
    check_everywhere (shape);
  }
}

static void
test_lines (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (2);

  for (int trial = 0; trial < 6; trial++) {
    const int length = g_rand_int_range (rand, 2, 120);
    const double angle = trial * G_PI / 6 + 0.1;
    g_autoptr (GArray) shape = shape_new ();
    int last_x = G_MAXINT, last_y = 0;
    for (int i = 0; i < 2 * length; i++) {
      const int x = (int) lrint (i * 0.5 * cos (angle)), y = (int) lrint (i * 0.5 * sin (angle));
      if (x != last_x || y != last_y)
        shape_add (shape, rand, x, y);
      last_x = x;
      last_y = y;
    }
    check_everywhere (shape);
  }
}

static void
test_corners (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (3);

  for (int trial = 0; trial < 4; trial++) {
    const int a = g_rand_int_range (rand, 2, 60), b = g_rand_int_range (rand, 2, 60);
    g_autoptr (GArray) shape = shape_new ();
    for (int i = 0; i < a; i++)
      shape_add (shape, rand, trial & 1 ? i : -i, 0);
    for (int i = 1; i < b; i++)
      shape_add (shape, rand, 0, trial & 2 ? i : -i);
    check_everywhere (shape);
  }
}

/* Known without arithmetic. */
static void
test_known (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (4);
  NotchFeatureContext context = plain_context ();
  double value[NOTCH_N_FEATURES];

  g_autoptr (GArray) shape = shape_new ();
  shape_add (shape, rand, 0, 0);
  NotchJoined blob = shape_blob (shape, 1000, 2000);
  notch_features_measure (&blob, &context, value);
  g_assert_cmpfloat (value[NOTCH_FEATURE_ELONGATION], ==, 1);
  g_assert_cmpfloat (value[NOTCH_FEATURE_SIZE_UM], ==, 1);
  g_assert_cmpfloat (value[NOTCH_FEATURE_ANGLE_DEG], ==, 0);
  g_assert_false (signbit (value[NOTCH_FEATURE_ANGLE_DEG]));

  for (int i = 1; i < 9; i++)
    shape_add (shape, rand, 0, i);
  blob = shape_blob (shape, 1000, 2000);
  notch_features_measure (&blob, &context, value);
  NEAR (value[NOTCH_FEATURE_ELONGATION], 9, 1e-9);
  g_assert_cmpfloat (value[NOTCH_FEATURE_SIZE_UM], ==, 9);
  g_assert_cmpfloat (value[NOTCH_FEATURE_ANGLE_DEG], ==, 90);

  /* from the lower left to the upper right is +45 degrees */
  g_array_set_size (shape, 0);
  for (int i = 0; i < 9; i++)
    shape_add (shape, rand, i, -i);
  blob = shape_blob (shape, 1000, 2000);
  notch_features_measure (&blob, &context, value);
  NEAR (value[NOTCH_FEATURE_ANGLE_DEG], 45, 1e-9);
  NEAR (value[NOTCH_FEATURE_SIZE_UM], 8 * sqrt (2) + 1, 1e-9);

  /* where a blob's filter has its peak near the centroid the place is the peak's, to the 1/256 px; of what a line saw, of
   * linked pieces, and where most lies elsewhere it is the centroid */
  g_array_set_size (shape, 0);
  for (int i = -2; i <= 2; i++)
    shape_add (shape, rand, i, 0);
  for (guint i = 0; i < shape->len; i++)
    g_array_index (shape, Spot, i).fine = 5;
  blob = shape_blob (shape, 1000, 2000);
  blob.peak_x = 1001, blob.peak_y = 1999;
  blob.peak_dx = 64, blob.peak_dy = -128;
  static const struct {
    int channel, parts;
    gint64 away;
    double x, y;
  } place[] = { { 0, 0, 0, 1001.25, 1998.5 }, { 0, 0, 3, 1000, 2000 }, { 2, 0, 3, 1004.25, 1998.5 },
                { 1, 0, 0, 1000, 2000 },      { 0, 2, 0, 1000, 2000 }, { 0, 1, 0, 1001.25, 1998.5 } };
  for (gsize k = 0; k < G_N_ELEMENTS (place); k++) {
    blob.peak_channel = place[k].channel, blob.linked.parts = place[k].parts, blob.peak_x = 1001 + place[k].away;
    notch_features_measure (&blob, &context, value);
    g_assert_cmpfloat (value[NOTCH_FEATURE_X], ==, place[k].x);
    g_assert_cmpfloat (value[NOTCH_FEATURE_Y], ==, place[k].y);
  }
  blob.linked.parts = 0;

  /* without weight the plain centroid, without residual no bipolarity, without a filter no scale */
  g_array_set_size (shape, 0);
  for (int i = 0; i < 9; i++)
    shape_add (shape, rand, i, -i);
  for (guint i = 0; i < shape->len; i++) {
    g_array_index (shape, Spot, i).fine = 0;
    g_array_index (shape, Spot, i).res = 0;
  }
  blob = shape_blob (shape, 1000, 2000);
  blob.peak_channel = G_N_ELEMENTS (channels);
  notch_features_measure (&blob, &context, value);
  g_assert_cmpfloat (value[NOTCH_FEATURE_X], ==, 1004);
  g_assert_cmpfloat (value[NOTCH_FEATURE_Y], ==, 1996);
  g_assert_true (isnan (value[NOTCH_FEATURE_BIPOLARITY]) && isnan (value[NOTCH_FEATURE_SCALE_PX]));
  g_assert_true (isnan (value[NOTCH_FEATURE_LINE]));
}

/* Two columns and a row of dice of 100 x 50 px at (-0.5, -0.5); the right one's pattern lies 2 px right, 3 px down. */
static void
test_dice (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (5);
  g_autoptr (GArray) dice = g_array_new (FALSE, TRUE, sizeof (NotchDie));
  const NotchDie left = { .col = 0, .row = 0, .x = -0.5, .y = -0.5 };
  const NotchDie right = { .col = 1, .row = 0, .x = 99.5, .y = -0.5, .dx = 2, .dy = 3 };
  g_array_append_val (dice, left);
  g_array_append_val (dice, right);
  const NotchGrid grid = {
    .x = -0.5, .y = -0.5, .ax = 100, .by = 50, .sure = 1, .n_cols = 2, .n_rows = 1, .die = dice
  };
  NotchFeatureContext context = plain_context ();
  context.frame = (NotchFrame){ .x = 99.5, .y = 24.5, .pixel_um = 2, .cos = 1 };
  context.grid = &grid;
  g_autoptr (GArray) shape = shape_new ();
  shape_add (shape, rand, 0, 0);
  double value[NOTCH_N_FEATURES];

  NotchJoined blob = shape_blob (shape, 0, 49); /* the lower left pixel */
  notch_features_measure (&blob, &context, value);
  g_assert_cmpfloat (value[NOTCH_FEATURE_DIE_COL], ==, 0);
  g_assert_cmpfloat (value[NOTCH_FEATURE_DIE_ROW], ==, 0);
  NEAR (value[NOTCH_FEATURE_DIE_X_UM], 1, 1e-9);
  NEAR (value[NOTCH_FEATURE_DIE_Y_UM], 1, 1e-9);
  NEAR (value[NOTCH_FEATURE_WAFER_X_UM], -199, 1e-9);
  NEAR (value[NOTCH_FEATURE_WAFER_Y_UM], -49, 1e-9);
  g_assert_cmpfloat (value[NOTCH_FEATURE_SIZE_UM], ==, 2);
  g_assert_cmpfloat (value[NOTCH_FEATURE_AREA_UM2], ==, 4);

  blob = shape_blob (shape, 112, 43);
  notch_features_measure (&blob, &context, value);
  g_assert_cmpfloat (value[NOTCH_FEATURE_DIE_COL], ==, 1);
  NEAR (value[NOTCH_FEATURE_DIE_X_UM], 2 * (112 - 99.5 - 2), 1e-9);
  NEAR (value[NOTCH_FEATURE_DIE_Y_UM], 2 * (49.5 - 43 + 3), 1e-9);

  blob = shape_blob (shape, 500, 20); /* beside the dice */
  notch_features_measure (&blob, &context, value);
  g_assert_true (isnan (value[NOTCH_FEATURE_DIE_COL]) && isnan (value[NOTCH_FEATURE_DIE_ROW]));
  g_assert_true (isnan (value[NOTCH_FEATURE_DIE_X_UM]) && isnan (value[NOTCH_FEATURE_DIE_Y_UM]));
  NEAR (value[NOTCH_FEATURE_WAFER_X_UM], 801, 1e-9);
}

/* The columns that scripts hold on to, in their order. */
static void
test_names (void)
{
  static const char *const name[] = {
    "x_px",       "y_px",       "width_px",    "height_px",  "area_px",      "die_col",    "die_row",     "die_x_um",
    "die_y_um",   "wafer_x_um", "wafer_y_um",  "size_um",    "area_um2",     "peak_snr",   "contrast",    "elongation",
    "angle_deg",  "cluster",    "repeater",    "seed_px",    "flux",         "bipolarity", "scale_px",    "fill",
    "reference",  "edge",       "line",        "parts",      "length_um",    "dice",       "die_edge_px", "polarity",
    "core_px",    "roundness",  "stretch",     "holes",      "hollow",       "skirt",      "roughness",   "clarity",
    "step",       "tone",       "bright",      "changed",    "touched",      "left",       "taken",       "rim",
    "edge_fit",   "tone_fit",   "spot_px",     "spot_ratio", "spot_snr",     "box_long",   "box_short",   "box_gain",
    "both_loss",  "one_loss",   "four_loss",   "gap_px",     "gap_fill",     "gap_off",    "edges",       "disc_px",
    "disc_soft",  "disc_gain",  "wavy",        "wavy_gain",  "box_share",    "both_share", "one_share",   "four_share",
    "disc_share", "wavy_share", "disc_rim_px", "lumps_fine", "lumps_coarse", "rim_fine",   "rim_coarse",  "far_1",
    "far_2",      "far_4",      "far_8",       "wide_px",    "wide_off",     "film",       "film_snr"
  };

  g_assert_cmpuint (G_N_ELEMENTS (name), ==, NOTCH_N_FEATURES);
  for (int i = 0; i < NOTCH_N_FEATURES; i++) {
    g_assert_cmpstr (notch_feature_info[i].name, ==, name[i]);
    g_assert_nonnull (notch_feature_info[i].unit);
    g_assert_cmpuint (strlen (notch_feature_info[i].summary), >, 3);
    g_assert_cmpint (notch_feature_info[i].decimals, >=, 0);
  }
}

/* Values as defects.csv has them are those that reading it gives, ties and their neighbours too. */
static void
test_written (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (5);
  for (int i = 0; i < 300000; i++) {
    const NotchFeature f = (NotchFeature) (i % NOTCH_N_FEATURES);
    const int decimals = notch_feature_info[f].decimals;
    g_assert_cmpint (decimals, <=, 6);
    double value = g_rand_double_range (rand, -1, 1) * pow (10, g_rand_double_range (rand, -7, 17));
    if (i % 3 > 0) /* half a last decimal beside a short one, or what comes next to it */
      value = ((double) g_rand_int_range (rand, -40000, 40000) + 0.5) / pow (10, decimals);
    if (i % 3 == 2)
      value = nextafter (value, g_rand_boolean (rand) ? 1e9 : -1e9);
    g_autoptr (GString) text = g_string_new (NULL);
    notch_append_number (text, value, decimals);
    g_assert_cmpfloat (notch_feature_as_written (f, value), ==, g_ascii_strtod (text->str, NULL));
  }
  g_assert_false (signbit (notch_feature_as_written (NOTCH_FEATURE_X, -1e-9)));
  g_assert_true (isnan (notch_feature_as_written (NOTCH_FEATURE_X, INFINITY)));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/features/discs", test_discs);
  g_test_add_func ("/features/lines", test_lines);
  g_test_add_func ("/features/corners", test_corners);
  g_test_add_func ("/features/known", test_known);
  g_test_add_func ("/features/dice", test_dice);
  g_test_add_func ("/features/names", test_names);
  g_test_add_func ("/features/written", test_written);
  return g_test_run ();
}
