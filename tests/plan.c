/* plan.c - tiles that cover an image, and the robust fit of a warp */
#include "inspect/detect/survey.h"

#include <math.h>

/* ---- tiling ---------------------------------------------------------------------------------------------------- */

/* One piece that covers the whole tile. */
static void
whole_tile (const NotchPlan *plan, gint64 x, gint64 y, int size, GArray *piece, GArray *source)
{
  const NotchPiece whole = { 0, 0, size, size, 0, 1, 0 };
  const NotchSourceShift here = { .zoom = 1 };
  g_array_append_val (piece, whole);
  g_array_append_val (source, here);
}

/* The cores of all tiles cover every pixel once, and a tile judges what is a border away from the image's edge. */
static void
check_cover (const NotchRecipe *recipe, int width, int height, int size, int halo)
{
  const NotchReference reference = { .name = "whole", .pieces = whole_tile };
  NotchSource source = { .width = width, .height = height };
  const NotchPlan plan = {
    .recipe = recipe, .source = &source, .tiling = notch_tiling_new (width, height, size, halo), .pixel_um = 1
  };
  g_autofree guint8 *count = g_new0 (guint8, (gsize) width * (gsize) height);
  g_assert_cmpint (plan.tiling.core + 2 * halo, ==, size);
  for (gint64 row = 0; row < plan.tiling.n_rows; row++)
    for (gint64 col = 0; col < plan.tiling.n_cols; col++) {
      g_autoptr (NotchTileJob) job = notch_tile_job_new (&plan, &reference, col, row);
      g_assert_nonnull (job);
      const NotchTile *tile = &job->tile;
      g_assert_cmpint (tile->core_w, >, 0);
      g_assert_cmpint (tile->core_h, >, 0);
      g_assert_cmpint (tile->core_x + tile->core_w, <=, size - halo);
      g_assert_cmpint (tile->core_y + tile->core_h, <=, size - halo);
      for (int y = 0; y < tile->core_h; y++)
        for (int x = 0; x < tile->core_w; x++) {
          gint64 px = tile->x + tile->core_x + x, py = tile->y + tile->core_y + y;
          g_assert_true (px >= 0 && py >= 0 && px < width && py < height);
          count[py * width + px]++;
          int ix = tile->core_x + x - tile->inside_x, iy = tile->core_y + y - tile->inside_y;
          gboolean inside = ix >= 0 && iy >= 0 && ix < tile->inside_w && iy < tile->inside_h;
          g_assert_cmpint (inside, ==,
                           px >= NOTCH_BORDER && py >= NOTCH_BORDER && px < width - NOTCH_BORDER
                               && py < height - NOTCH_BORDER);
        }
    }
  for (gsize i = 0; i < (gsize) width * (gsize) height; i++)
    g_assert_cmpint (count[i], ==, 1);
}

static void
test_tiling (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchRecipe) recipe = notch_recipe_parse ("", "none", &error);
  g_assert_no_error (error);
  const int shape[][4] = {
    { 1, 1, 64, 8 },    { 48, 48, 64, 8 },  { 49, 47, 64, 8 },   { 97, 144, 64, 8 },
    { 145, 1, 64, 16 }, { 1, 777, 96, 32 }, { 611, 409, 60, 7 }, { 5, 1003, 128, 63 },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (shape); i++)
    check_cover (recipe, shape[i][0], shape[i][1], shape[i][2], shape[i][3]);
}

/* A wafer at a tenth of a micrometre: more pixels than 32 bits count. */
static void
test_tiling_large (void)
{
  NotchTiling tiling = notch_tiling_new (G_GINT64_CONSTANT (3000000001), G_GINT64_CONSTANT (2999999744), 512, 64);
  g_assert_cmpint (tiling.core, ==, 384);
  g_assert_cmpint (tiling.n_cols, ==, 7812501);
  g_assert_cmpint (tiling.n_rows, ==, 7812500);
}

/* ---- warps ----------------------------------------------------------------------------------------------------- */

#define SIDE  5
#define N     (SIDE * SIDE)
#define PITCH 400.0

/* Shifts measured on a lattice of places of a die. */
typedef struct {
  double x[N], y[N], dx[N], dy[N], weight[N];
} Shifts;

static double
gaussian (GRand *random)
{
  double u = g_rand_double_range (random, 1e-12, 1), v = g_rand_double (random);
  return sqrt (-2 * log (u)) * cos (2 * G_PI * v);
}

static void
measure (const NotchWarp *truth, double noise, GRand *random, Shifts *shifts)
{
  for (int i = 0; i < N; i++) {
    shifts->x[i] = truth->centre_x + (i % SIDE - SIDE / 2) * PITCH;
    shifts->y[i] = truth->centre_y + (double) (i / SIDE - SIDE / 2) * PITCH;
    notch_warp_at (truth, shifts->x[i], shifts->y[i], &shifts->dx[i], &shifts->dy[i]);
    shifts->dx[i] += noise * gaussian (random);
    shifts->dy[i] += noise * gaussian (random);
    shifts->weight[i] = 1;
  }
}

static gboolean
fit (NotchWarp *warp, int n, const Shifts *shifts)
{
  return notch_warp_fit (warp, n, shifts->x, shifts->y, shifts->dx, shifts->dy, shifts->weight);
}

static gboolean
is_rigid (const NotchWarp *warp)
{
  return warp->xx == 0 && warp->xy == 0 && warp->yx == 0 && warp->yy == 0;
}

/* Over the die, how far a warp is from the true one at most, px. */
static double
largest_error (const NotchWarp *warp, const NotchWarp *truth)
{
  double worst = 0;
  for (int i = 0; i < 4; i++) {
    double x = truth->centre_x + (i % 2 ? 1 : -1) * 2 * PITCH, y = truth->centre_y + (i / 2 ? 1 : -1) * 2 * PITCH;
    double dx, dy, true_dx, true_dy;
    notch_warp_at (warp, x, y, &dx, &dy);
    notch_warp_at (truth, x, y, &true_dx, &true_dy);
    worst = MAX (worst, hypot (dx - true_dx, dy - true_dy));
  }
  return worst;
}

static const NotchWarp rigid = { 7000, 3000, 1.25, -0.75, 0, 0, 0, 0 };
/* A turn by 0.2 mrad and a stretch by 0.3 in a thousand: a third of a pixel at the corners. */
static const NotchWarp affine = { 7000, 3000, -0.4, 0.9, 3e-4, -2e-4, 2e-4, -1e-4 };

/* Noise is taken for a warp in no more than one die in twenty, and then by little; a warp is always seen. */
static void
test_warp (void)
{
  g_autoptr (GRand) random = g_rand_new_with_seed (5);
  Shifts shifts;
  int taken = 0;
  for (int round = 0; round < 400; round++) {
    NotchWarp warp = { .centre_x = 7000, .centre_y = 3000 };
    measure (&rigid, 0.02, random, &shifts);
    g_assert_true (fit (&warp, N, &shifts));
    taken += !is_rigid (&warp);
    g_assert_cmpfloat (largest_error (&warp, &rigid), <, 0.04);
    measure (&affine, 0.02, random, &shifts);
    g_assert_true (fit (&warp, N, &shifts));
    g_assert_false (is_rigid (&warp));
    g_assert_cmpfloat (largest_error (&warp, &affine), <, 0.04);
  }
  g_test_message ("%d of 400 rigid dice were bent", taken);
  g_assert_cmpint (taken, <=, 20);
  /* A bend that is not worth having: significant, but of a thousandth of a pixel. */
  NotchWarp bent = rigid, warp = { .centre_x = 7000, .centre_y = 3000 };
  bent.xx = 2e-6;
  measure (&bent, 0, random, &shifts);
  g_assert_true (fit (&warp, N, &shifts));
  g_assert_true (is_rigid (&warp));
}

/* Two patches that locked onto a neighbouring line, and one that has no weight, do not matter. */
static void
test_warp_outliers (void)
{
  g_autoptr (GRand) random = g_rand_new_with_seed (6);
  const NotchWarp *const truth[] = { &rigid, &affine };
  for (gsize i = 0; i < G_N_ELEMENTS (truth); i++) {
    Shifts shifts;
    NotchWarp warp = { .centre_x = 7000, .centre_y = 3000 };
    measure (truth[i], 0.02, random, &shifts);
    shifts.dx[3] += 4, shifts.dy[17] -= 12;
    shifts.dx[8] = 0.5, shifts.dy[8] = -0.5, shifts.weight[8] = 0;
    g_assert_true (fit (&warp, N, &shifts));
    g_assert_cmpint (is_rigid (&warp), ==, i == 0);
    g_assert_cmpfloat (largest_error (&warp, truth[i]), <, 0.04);
  }
}

/* Four of 25 patches that are wrong, by how much ever, next to a warp that spreads the shifts by as much. */
static void
test_warp_many_outliers (void)
{
  g_autoptr (GRand) random = g_rand_new_with_seed (7);
  const double far[] = { 0.8, 3, 8, 300 }; /* px */
  const double much[] = { 0, 5e-4, 3e-3 }; /* of the affine part: 0.6 and 3.4 px at the corners */
  for (gsize f = 0; f < G_N_ELEMENTS (far); f++)
    for (gsize m = 0; m < G_N_ELEMENTS (much); m++) {
      const NotchWarp truth = { 7000, 3000, 1.25, -0.75, much[m], -much[m], much[m], much[m] };
      const int wrong[] = { 0, 7, 13, 24 };
      Shifts shifts;
      NotchWarp warp = { .centre_x = 7000, .centre_y = 3000 };
      measure (&truth, 0.01, random, &shifts);
      for (gsize i = 0; i < G_N_ELEMENTS (wrong); i++)
        shifts.dx[wrong[i]] += i % 2 ? far[f] : -far[f], shifts.dy[wrong[i]] += 0.3 * far[f];
      g_assert_true (fit (&warp, N, &shifts));
      g_assert_cmpint (is_rigid (&warp), ==, m == 0);
      g_assert_cmpfloat (largest_error (&warp, &truth), <, 0.04);
    }
}

/* A shift counts by its weight. */
static void
test_warp_weights (void)
{
  Shifts shifts = { .dx = { 1, 1.4 }, .dy = { 2, 2 }, .weight = { 3, 1 } };
  NotchWarp warp = { 0 };
  g_assert_true (fit (&warp, 2, &shifts));
  g_assert_true (is_rigid (&warp));
  g_assert_cmpfloat_with_epsilon (warp.dx, 1.1, 1e-12);
  g_assert_cmpfloat_with_epsilon (warp.dy, 2, 1e-12);
}

/* Places in one line cannot tell how the shift changes across it: rigid, rather than anything. */
static void
test_warp_line (void)
{
  for (int turn = 0; turn < 50; turn++) {
    Shifts shifts = { 0 };
    NotchWarp warp = { .centre_x = 7000, .centre_y = 3000 };
    double angle = turn * G_PI / 50;
    for (int i = 0; i < 8; i++) {
      double along = (i - 3.3) * 217.7;
      shifts.x[i] = 7000.37 + along * cos (angle) - 333.3 * sin (angle);
      shifts.y[i] = 3000.11 + along * sin (angle) + 333.3 * cos (angle);
      shifts.dx[i] = 1 + 3e-4 * along, shifts.dy[i] = 2;
      shifts.weight[i] = 250000;
    }
    g_assert_true (fit (&warp, 8, &shifts));
    g_assert_true (is_rigid (&warp));
  }
}

static void
test_warp_nothing (void)
{
  NotchWarp warp = affine;
  Shifts shifts = { .dx = { 1, 2 } };
  g_assert_false (fit (&warp, 0, &shifts));
  g_assert_false (fit (&warp, 2, &shifts)); /* no weight */
  g_assert_cmpmem (&warp, sizeof warp, &affine, sizeof affine);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/plan/tiling", test_tiling);
  g_test_add_func ("/plan/tiling/large", test_tiling_large);
  g_test_add_func ("/plan/warp", test_warp);
  g_test_add_func ("/plan/warp/outliers", test_warp_outliers);
  g_test_add_func ("/plan/warp/many-outliers", test_warp_many_outliers);
  g_test_add_func ("/plan/warp/weights", test_warp_weights);
  g_test_add_func ("/plan/warp/line", test_warp_line);
  g_test_add_func ("/plan/warp/nothing", test_warp_nothing);
  return g_test_run ();
}
