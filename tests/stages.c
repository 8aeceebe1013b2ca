/* stages.c - every stage of a backend against a slow double-precision reference that is obviously right */
#include <glib.h>
#include <math.h>
#include <string.h>

#include "kernels/math/noise.h"
#include "kernels/math/resample.h"
#include "kernels/math/score.h"
#include "kernels/math/template.h"
#include "tests/backend.h"

#define SIZE 96
#define HALO 16
#define AREA (SIZE * SIZE)

/* A backend with one device and one lane, and a strip made of floats. */
typedef struct {
  const NotchKernels *k;
  NotchDevice *device;
  NotchLane *lane;
  float *pixel;
  int width, height;
  const void **row;
  NotchPixels pixels;
  NotchStripMem *mem;
  GRand *random;
} Bench;

static double
gaussian (GRand *random)
{
  double u = g_rand_double_range (random, 1e-12, 1), v = g_rand_double (random);
  return sqrt (-2 * log (u)) * cos (2 * G_PI * v);
}

static void
bench_open (Bench *bench, const NotchLaneSize *size, int width, int height)
{
  char fault[256] = "";
  *bench = (Bench){ .k = backend, .width = width, .height = height, .random = g_rand_new_with_seed (7) };
  bench->device = bench->k->open (0, fault);
  g_assert_nonnull (bench->device);
  bench->lane = bench->k->lane_new (bench->device, size, fault);
  g_assert_cmpstr (fault, ==, "");
  g_assert_nonnull (bench->lane);
  bench->pixel = g_new0 (float, (gsize) width *height);
  bench->row = g_new (const void *, height);
  for (int y = 0; y < height; y++)
    bench->row[y] = bench->pixel + (gsize) y * width;
  bench->pixels = (NotchPixels){ NOTCH_SAMPLE_F32, width, height, 0, height, bench->row };
  bench->mem = bench->k->strip_up (bench->device, &bench->pixels, fault);
  g_assert_nonnull (bench->mem);
}

/* The pixels were changed: a device has a copy of them. Batches that name the strip are to be made after. */
static void
bench_changed (Bench *bench)
{
  char fault[256] = "";
  bench->k->strip_free (bench->mem);
  bench->mem = bench->k->strip_up (bench->device, &bench->pixels, fault);
  g_assert_nonnull (bench->mem);
}

static void
bench_close (Bench *bench)
{
  bench->k->strip_free (bench->mem);
  bench->k->lane_free (bench->lane);
  bench->k->close (bench->device);
  g_free (bench->pixel);
  g_free (bench->row);
  g_rand_free (bench->random);
}

static const NotchLaneSize tile_size = {
  .batch = 1,
  .size = SIZE,
  .halo = HALO,
  .max_blobs = 64,
  .patch_side = 32,
  .max_patches = 8,
};

static NotchTile
tile_at (int64_t x, int64_t y)
{
  const int core = SIZE - 2 * HALO;
  return (NotchTile){ x, y, HALO, HALO, core, core, 0, 0, SIZE, SIZE, 0, 1, NULL };
}

static void
test_gather (void)
{
  Bench bench;
  bench_open (&bench, &tile_size, 150, 130);
  for (int i = 0; i < 150 * 130; i++)
    bench.pixel[i] = (float) g_rand_double (bench.random);
  bench_changed (&bench);
  const int64_t place[][2] = { { 0, 0 }, { -20, -13 }, { 100, 90 }, { 31, 17 } };
  for (gsize p = 0; p < G_N_ELEMENTS (place); p++) {
    NotchTile tile = tile_at (place[p][0], place[p][1]);
    NotchPiece piece = { 0, 0, SIZE, SIZE, 0, 1, 0 };
    NotchBatch batch = { .n_tiles = 1, .tile = &tile, .piece = &piece, .mem = { bench.mem } };
    float got[AREA];
    g_assert_cmpint (bench.k->gather (bench.lane, &(NotchGather){ &batch }), ==, 0);
    bench.k->peek (bench.lane, 0, NOTCH_PLANE_TEST, got);
    for (int y = 0; y < SIZE; y++)
      for (int x = 0; x < SIZE; x++) {
        int64_t px = CLAMP (place[p][0] + x, 0, 149), py = CLAMP (place[p][1] + y, 0, 129);
        g_assert_cmpfloat (got[y * SIZE + x], ==, bench.pixel[py * 150 + px]);
      }
  }
  bench_close (&bench);
}

/* Runs a tile of a float strip, whose reference is three shifted copies in a second strip, up to the scores. */
static NotchTileFound
run_lost (Bench *bench, Bench *other, float *res, float *score)
{
  static const NotchSourceShift source[] = { { .dx = 0.3, .zoom = 1, .mem = 1 },
                                             { .dy = 0.4, .zoom = 1, .mem = 1 },
                                             { .zoom = 1, .mem = 1 } };
  static const NotchChannel channel = { NOTCH_CHANNEL_BLOB, 1, 0, 0, 1, 1 };
  NotchChannelStats stats = { 0 };
  NotchTile tile = tile_at (20, 20);
  bench_changed (bench);
  bench_changed (other);
  NotchPiece piece = { 0, 0, SIZE, SIZE, 0, 3, 0 };
  NotchBatch batch = { 1, &tile, &piece, source, { bench->mem, other->mem } };
  NotchNoise noise = { 4, 0, 0, 0, 0 };
  NotchTileFound found;
  const NotchKernels *k = bench->k;
  g_assert_cmpint (k->gather (bench->lane, &(NotchGather){ &batch }), ==, 0);
  g_assert_cmpint (k->refer (bench->lane, &(NotchRefer){ &batch }), ==, 0);
  g_assert_cmpint (k->fit (bench->lane, &(NotchFit){ &batch, 0, 1, 0, 0, 0 }), ==, 0);
  g_assert_cmpint (k->normalise (bench->lane, &(NotchNormalise){ &batch, noise, 0 }), ==, 0);
  g_assert_cmpint (k->filter (bench->lane, &(NotchFilter){ &batch, 1, &channel, &stats }), ==, 0);
  g_assert_cmpint (k->label (bench->lane, &(NotchLabel){ &batch, 6, 3, 1 }), ==, 0);
  g_assert_cmpint (k->finish (bench->lane, &found), ==, 0);
  k->peek (bench->lane, 0, NOTCH_PLANE_RES, res);
  k->peek (bench->lane, 0, NOTCH_PLANE_SCORE, score);
  return found;
}

/* One pixel that is no number costs itself, and never a tile; a source that is none is left to the others. */
static void
test_lost (void)
{
  static const float odd[] = { NAN, INFINITY, -INFINITY, -3.4e38f };
  static const NotchChannel channel = { NOTCH_CHANNEL_BLOB, 1, 0, 0, 1, 1 };
  NotchLaneSize size = tile_size;
  size.n_channels = 1, size.channel = &channel;
  Bench bench, other;
  bench_open (&bench, &size, 150, 150);
  bench_open (&other, &tile_size, 150, 150);
  for (int i = 0; i < 150 * 150; i++) {
    bench.pixel[i] = 100 + (float) (2 * gaussian (bench.random));
    other.pixel[i] = 100;
  }
  for (int y = 0; y < 4; y++) /* a defect, at (40, 50) of the tile */
    for (int x = 0; x < 4; x++)
      bench.pixel[(70 + y) * 150 + 60 + x] += 40;
  g_autofree float *res = g_new (float, AREA), *score = g_new (float, AREA);
  NotchTileFound whole = run_lost (&bench, &other, res, score);
  gint64 inspected = whole.n_inspected;
  g_assert_cmpint (whole.n_lost, ==, 0);
  g_assert_cmpint (whole.n_blobs, ==, 1);
  int peak = whole.blob[0].peak;
  for (gsize i = 0; i < G_N_ELEMENTS (odd); i++) {
    float kept = bench.pixel[45 * 150 + 50];
    bench.pixel[45 * 150 + 50] = odd[i]; /* at (30, 25) */
    NotchTileFound found = run_lost (&bench, &other, res, score);
    g_assert_cmpint (found.n_lost, ==, 1);
    g_assert_cmpint (found.n_inspected, ==, inspected - 1);
    g_assert_cmpint (found.n_blobs, ==, 1);
    g_assert_cmpint (ABS (found.blob[0].peak - peak), <=, 26); /* a tenth of a sigma */
    g_assert_true (isnan (res[25 * SIZE + 30]));
    g_assert_cmpfloat (score[25 * SIZE + 30], <, 1e-30f);
    bench.k->poke (bench.lane, 0, NOTCH_PLANE_RES, res); /* what the survey does: the mark comes back with it */
    bench.pixel[45 * 150 + 50] = kept;

    kept = other.pixel[45 * 150 + 50];
    other.pixel[45 * 150 + 50] = odd[i];
    found = run_lost (&bench, &other, res, score); /* two of three sources there and beside are left or more */
    g_assert_cmpint (found.n_blobs, ==, 1);
    g_assert_cmpint (found.n_inspected, >=, inspected - 5);
    g_assert_cmpint (found.n_lost, ==, 1); /* all three see it in its very place */
    g_assert_true (isfinite (res[25 * SIZE + 27]));
    other.pixel[45 * 150 + 50] = kept;
  }
  bench.pixel[45 * 150 + 50] = 1e18f; /* a number, if a mad one: no crash */
  g_assert_cmpint (run_lost (&bench, &other, res, score).n_lost, ==, 0);
  bench_close (&bench);
  bench_close (&other);
}

static int
compare_doubles (const void *a, const void *b)
{
  double x = *(const double *) a, y = *(const double *) b;
  return (x > y) - (x < y);
}

/* Lanczos-3 in two dimensions, in double precision. */
static double
interpolated (const Bench *bench, int side, double x, double y)
{
  float ax[NOTCH_TAPS], ay[NOTCH_TAPS];
  double sum = 0;
  notch_lanczos_taps (x - floor (x), ax);
  notch_lanczos_taps (y - floor (y), ay);
  for (int v = 0; v < NOTCH_TAPS; v++)
    for (int u = 0; u < NOTCH_TAPS; u++) {
      int px = (int) floor (x) - NOTCH_TAP_ORIGIN + u, py = (int) floor (y) - NOTCH_TAP_ORIGIN + v;
      sum += (double) ax[u] * ay[v] * bench->pixel[CLAMP (py, 0, side - 1) * side + CLAMP (px, 0, side - 1)];
    }
  return sum;
}

/* The reference of a piece is the median of its sources, fine and coarse; a source behind them tells the spread. */
static void
test_refer (void)
{
  Bench bench;
  bench_open (&bench, &tile_size, 300, 300);
  for (int i = 0; i < 300 * 300; i++)
    bench.pixel[i] = (float) (100 * g_rand_double (bench.random));
  bench_changed (&bench);
  for (int k = 1; k <= NOTCH_MAX_SOURCES; k++) {
    NotchTile tile = tile_at (100, 90);
    NotchPiece piece = { 5, 9, 37 + k, 41, 0, k, k % 2 };
    NotchSourceShift source[NOTCH_MAX_SOURCES + 1];
    for (int j = 0; j < k + piece.n_spreads; j++)
      source[j] = (NotchSourceShift){ .dx = g_rand_double_range (bench.random, -80, 80),
                                      .dy = g_rand_double_range (bench.random, -70, 70),
                                      .zoom = 1 };
    if (k > 2)
      source[1].dx = 12, source[2].dy = -7; /* whole shifts take another way */
    if (k > 1)
      source[0].zoom = 1.0 / k, source[k - 1].zoom = 1.0 / 64; /* and so do coarse sources */
    NotchBatch batch = { 1, &tile, &piece, source, { bench.mem } };
    static float got[AREA], spread[AREA];
    bench.k->gather (bench.lane, &(NotchGather){ &batch });
    g_assert_cmpint (bench.k->refer (bench.lane, &(NotchRefer){ &batch }), ==, 0);
    bench.k->peek (bench.lane, 0, NOTCH_PLANE_REF, got);
    bench.k->peek (bench.lane, 0, NOTCH_PLANE_SPREAD, spread);
    for (int y = 0; y < piece.h; y++)
      for (int x = 0; x < piece.w; x++) {
        double value[NOTCH_MAX_SOURCES + 1];
        for (int j = 0; j < k + piece.n_spreads; j++)
          value[j] = interpolated (&bench, 300, (100.0 + piece.x + x + source[j].dx) * source[j].zoom,
                                   (90.0 + piece.y + y + source[j].dy) * source[j].zoom);
        int at = (piece.y + y) * SIZE + piece.x + x;
        if (piece.n_spreads > 0)
          g_assert_cmpfloat_with_epsilon (spread[at], value[k], 1e-4);
        qsort (value, (gsize) k, sizeof *value, compare_doubles);
        double median = 0.5 * (value[(k - 1) / 2] + value[k / 2]);
        /* Twelve products of numbers up to 100, each rounded to 24 bits. */
        g_assert_cmpfloat_with_epsilon (got[at], median, 1e-4);
      }
    g_assert_cmpfloat (got[0], ==, 0);
    if (piece.n_spreads > 0)
      g_assert_cmpfloat (spread[0], ==, 0);
  }
  bench_close (&bench);
}

/* A smooth pattern with structure at every scale that the pixels can hold. */
static double
pattern (double x, double y)
{
  return 100 + 20 * sin (0.31 * x + 0.2 * y) + 15 * cos (0.17 * x - 0.41 * y + 1)
         + 10 * sin (0.05 * x * 0.7 + 0.9 * y * 0.5) + 8 * sin (0.8 * x + 0.1 * y);
}

static void
test_fit (void)
{
  Bench bench;
  bench_open (&bench, &tile_size, 400, 200);
  /* Left: the reference; 200 px to the right: the same, brighter, shifted, a little shaded, with a defect in it. */
  for (int y = 0; y < 200; y++)
    for (int x = 0; x < 400; x++)
      bench.pixel[y * 400 + x] =
          (float) (x < 200 ? pattern (x, y) : (1.05 + 2e-4 * (x - 200)) * pattern (x - 200 + 0.05, y - 0.03) + 3);
  for (int y = 90; y < 95; y++)
    for (int x = 290; x < 295; x++)
      bench.pixel[y * 400 + x] += 500;
  bench_changed (&bench);
  NotchTile tile = tile_at (250, 50);
  NotchPiece piece = { 0, 0, SIZE, SIZE, 0, 1, 0 };
  NotchSourceShift source = { .dx = -200, .zoom = 1 };
  NotchBatch batch = { 1, &tile, &piece, &source, { bench.mem } };
  static float res[AREA], ref[AREA], test[AREA];
  int terms = NOTCH_FIT_GAIN | NOTCH_FIT_SHADE | NOTCH_FIT_SHIFT | NOTCH_FIT_FOCUS;
  bench.k->gather (bench.lane, &(NotchGather){ &batch });
  bench.k->refer (bench.lane, &(NotchRefer){ &batch });
  g_assert_cmpint (bench.k->fit (bench.lane, &(NotchFit){ &batch, terms, 1, 0, 0, 0 }), ==, 0);
  bench.k->peek (bench.lane, 0, NOTCH_PLANE_RES, res);
  bench.k->peek (bench.lane, 0, NOTCH_PLANE_REF, ref);
  bench.k->peek (bench.lane, 0, NOTCH_PLANE_TEST, test);
  NotchTileFound found;
  g_assert_cmpint (bench.k->finish (bench.lane, &found), ==, 0);
  double sum2 = 0, n = 0;
  for (int y = 2; y < SIZE - 2; y++)
    for (int x = 2; x < SIZE - 2; x++) {
      gboolean defect = y >= 40 && y < 45 && x >= 40 && x < 45;
      g_assert_cmpfloat_with_epsilon (test[y * SIZE + x] - ref[y * SIZE + x], res[y * SIZE + x], 1e-3);
      if (defect)
        g_assert_cmpfloat_with_epsilon (res[y * SIZE + x], 500, 5);
      else
        sum2 += (double) res[y * SIZE + x] * res[y * SIZE + x], n++;
    }
  /* The pattern's rms is 28; unfitted the residual would be 8. What is left is the shift's second order. */
  g_assert_cmpfloat (sqrt (sum2 / n), <, 0.1);
  /* Shift coefficients are those of the gradient, on the reference's scale: 1.05 times 0.05 and -0.03 px. */
  g_assert_cmpfloat_with_epsilon (found.fit[0][2], 1.07 * 0.05, 0.01);
  g_assert_cmpfloat_with_epsilon (found.fit[0][3], 1.07 * -0.03, 0.01);
  bench_close (&bench);
}

/* What a later piece covers, with another kind of reference, has no say in the fit of the earlier one. */
static void
test_fit_overlap (void)
{
  Bench bench;
  bench_open (&bench, &tile_size, 400, 200);
  for (int y = 0; y < 200; y++)
    for (int x = 0; x < 400; x++)
      bench.pixel[y * 400 + x] = (float) (x < 200 ? pattern (x, y) : 1.1 * pattern (x - 200, y) + 3);
  bench_changed (&bench);
  NotchTile tile = tile_at (250, 50);
  tile.n_pieces = 2;
  const NotchPiece piece[] = { { 0, 0, SIZE, SIZE, 0, 1, 0 }, { 20, 10, 60, 70, 1, 1, 0 } };
  const NotchSourceShift source[] = { { .dx = -200, .zoom = 1 }, { .zoom = 1 } };
  NotchBatch batch = { 1, &tile, piece, source, { bench.mem } };
  static float res[AREA];
  NotchTileFound found;
  bench.k->gather (bench.lane, &(NotchGather){ &batch });
  bench.k->refer (bench.lane, &(NotchRefer){ &batch });
  g_assert_cmpint (bench.k->fit (bench.lane, &(NotchFit){ .batch = &batch, .terms = NOTCH_FIT_GAIN, .gain = 1 }), ==,
                   0);
  bench.k->peek (bench.lane, 0, NOTCH_PLANE_RES, res);
  g_assert_cmpint (bench.k->finish (bench.lane, &found), ==, 0);
  g_assert_cmpfloat_with_epsilon (found.fit[0][1], 0.1, 1e-4);
  g_assert_cmpfloat_with_epsilon (found.fit[1][1], 0, 1e-4);
  for (int y = 2; y < SIZE - 2; y++)
    for (int x = 2; x < SIZE - 2; x++)
      g_assert_cmpfloat_with_epsilon (res[y * SIZE + x], 0, 0.02);
  bench_close (&bench);
}

/* A reference that is to be taken as it is: all that differs is the residual, an offset too. */
static void
test_fit_nothing (void)
{
  Bench bench;
  bench_open (&bench, &tile_size, 400, 200);
  for (int y = 0; y < 200; y++)
    for (int x = 0; x < 400; x++)
      bench.pixel[y * 400 + x] = (float) (x < 200 ? pattern (x, y) : 3 * pattern (x - 200, y) + 7);
  bench_changed (&bench);
  NotchTile tile = tile_at (250, 50);
  NotchPiece piece = { 0, 0, SIZE, SIZE, 0, 1, 0 };
  NotchSourceShift source = { .dx = -200, .zoom = 1 };
  NotchBatch batch = { 1, &tile, &piece, &source, { bench.mem } };
  static float res[AREA];
  bench.k->gather (bench.lane, &(NotchGather){ &batch });
  bench.k->refer (bench.lane, &(NotchRefer){ &batch });
  g_assert_cmpint (bench.k->fit (bench.lane, &(NotchFit){ &batch, NOTCH_FIT_NOTHING, 3, 0, 0, 0 }), ==, 0);
  bench.k->peek (bench.lane, 0, NOTCH_PLANE_RES, res);
  for (int y = 2; y < SIZE - 2; y++)
    for (int x = 2; x < SIZE - 2; x++) /* values up to 500 in 24 bits */
      g_assert_cmpfloat_with_epsilon (res[y * SIZE + x], 7, 1e-3);
  bench_close (&bench);
}

/* A shift that changes over a piece is followed to a twentieth of a pixel where it is gentle, to half of 8 px of it where it is
 * steep; all pixels of the piece are filled. */
static void
test_refer_bent (void)
{
  Bench bench;
  bench_open (&bench, &tile_size, 400, 200);
  for (int y = 0; y < 200; y++)
    for (int x = 0; x < 400; x++)
      bench.pixel[y * 400 + x] = (float) (3 * x + 2 * y); /* a plane tells where each pixel comes from */
  bench_changed (&bench);
  NotchTile tile = tile_at (250, 50);
  NotchPiece piece = { 4, 6, SIZE - 9, SIZE - 20, 0, 1, 0 };
  static float ref[AREA];
  for (int steep = 0; steep < 2; steep++) {
    double slope = steep ? 0.05 : 0.004, most = steep ? 4 * slope : 0.05;
    NotchSourceShift source = {
      .dx = -200.3, .dy = 2, .zoom = 1, .xx = slope, .xy = -slope / 2, .yx = slope / 3, .yy = slope
    };
    NotchBatch batch = { 1, &tile, &piece, &source, { bench.mem } };
    bench.k->gather (bench.lane, &(NotchGather){ &batch });
    g_assert_cmpint (bench.k->refer (bench.lane, &(NotchRefer){ &batch }), ==, 0);
    bench.k->peek (bench.lane, 0, NOTCH_PLANE_REF, ref);
    for (int y = piece.y; y < piece.y + piece.h; y++)
      for (int x = piece.x; x < piece.x + piece.w; x++) {
        double u = x - piece.x - 0.5 * (piece.w - 1), v = y - piece.y - 0.5 * (piece.h - 1);
        double from_x = 250 + x + source.dx + source.xx * u + source.xy * v;
        double from_y = 50 + y + source.dy + source.yx * u + source.yy * v;
        g_assert_cmpfloat_with_epsilon (ref[y * SIZE + x], 3 * from_x + 2 * from_y, 1.5 * 5 * most);
      }
  }
  bench_close (&bench);
}

/* The gain of a piece that is an array of little contrast but for one bright pad: what noise makes of it is not to lift or
 * sink the pad by what a wide filter sees there. */
static void
test_fit_pad (void)
{
  enum { SIDE = 384, TRIALS = 12, PAD = 20 };
  const double sigma = 2, contrast = 6, pad = 65;
  Bench bench;
  NotchLaneSize size = tile_size;
  size.size = SIDE;
  bench_open (&bench, &size, SIDE, SIDE);
  NotchTile tile = { 0, 0, HALO, HALO, SIDE - 2 * HALO, SIDE - 2 * HALO, 0, 0, SIDE, SIDE, 0, 1, NULL };
  NotchPiece piece = { 0, 0, SIDE, SIDE, 0, 1, 0 };
  NotchSourceShift source = { .zoom = 0.5 }; /* one that has no noise of its own; the plane is poked */
  g_autofree float *ref = g_new (float, SIDE *SIDE), *fitted = g_new (float, SIDE *SIDE);
  for (int y = 0; y < SIDE; y++)
    for (int x = 0; x < SIDE; x++)
      ref[y * SIDE + x] = (float) (x >= 300 && x < 300 + PAD && y >= 60 && y < 60 + PAD
                                       ? 95 + pad
                                       : 95 + 2 * contrast * sin (2 * G_PI * x / 8.7) * sin (2 * G_PI * y / 7.3));
  double squares = 0;
  for (int trial = 0; trial < TRIALS; trial++) {
    for (int i = 0; i < SIDE * SIDE; i++)
      bench.pixel[i] = (float) ((double) ref[i] + sigma * gaussian (bench.random));
    bench_changed (&bench);
    const NotchBatch batch = { 1, &tile, &piece, &source, { bench.mem } };
    bench.k->gather (bench.lane, &(NotchGather){ &batch });
    bench.k->refer (bench.lane, &(NotchRefer){ &batch });
    bench.k->poke (bench.lane, 0, NOTCH_PLANE_REF, ref);
    const NotchFit fit = { &batch, NOTCH_FIT_GAIN | NOTCH_FIT_SHADE | NOTCH_FIT_SHIFT | NOTCH_FIT_FOCUS, 1, 0, 0, 0 };
    g_assert_cmpint (bench.k->fit (bench.lane, &fit), ==, 0);
    bench.k->peek (bench.lane, 0, NOTCH_PLANE_REF, fitted);
    const int middle = (60 + PAD / 2) * SIDE + 300 + PAD / 2;
    squares += pow ((double) fitted[middle] - (double) ref[middle], 2);
  }
  g_test_message ("rms %.3f", sqrt (squares / TRIALS));
  g_assert_cmpfloat (sqrt (squares / TRIALS), <, 0.4);
  bench_close (&bench);
}

/* In an image in black and white most pixels fit exactly; the edges of a shifted pattern are no outliers for that. */
static void
test_fit_quiet (void)
{
  Bench bench;
  bench_open (&bench, &tile_size, 400, 200);
  for (int y = 0; y < 200; y++)
    for (int x = 0; x < 400; x++) /* black, and a white block near the corner */
      bench.pixel[y * 400 + x] = x % 200 >= 62 && x % 200 < 70 && y >= 55 && y < 65 ? 255 : 0;
  bench_changed (&bench);
  NotchTile tile = tile_at (250, 50);
  NotchPiece piece = { 0, 0, SIZE, SIZE, 0, 1, 0 };
  NotchSourceShift source = { .dx = -199.7, .zoom = 1 };
  NotchBatch batch = { 1, &tile, &piece, &source, { bench.mem } };
  static float ref[AREA];
  bench.k->gather (bench.lane, &(NotchGather){ &batch });
  bench.k->refer (bench.lane, &(NotchRefer){ &batch });
  g_assert_cmpint (bench.k->fit (bench.lane, &(NotchFit){ &batch, NOTCH_FIT_GAIN | NOTCH_FIT_SHIFT, 1, 0, 60, 0 }), ==,
                   0);
  bench.k->peek (bench.lane, 0, NOTCH_PLANE_REF, ref);
  g_assert_cmpfloat (ref[10 * SIZE + 16], >, 200);
  g_assert_cmpfloat (fabsf (ref[30 * SIZE + 30]), <, 5);
  bench_close (&bench);
}

/* A reference that is poked has no noise that is known, whatever the lane made before. */
static void
test_fit_poked (void)
{
  Bench bench;
  bench_open (&bench, &tile_size, 400, 200);
  static float test[AREA], ref[AREA], res[2][AREA];
  for (int i = 0; i < 400 * 200; i++)
    bench.pixel[i] = (float) gaussian (bench.random);
  for (int i = 0; i < AREA; i++) {
    ref[i] = (float) g_rand_double_range (bench.random, 90, 110);
    test[i] = ref[i] + (float) gaussian (bench.random);
  }
  NotchTile tile = tile_at (100, 50);
  NotchPiece piece = { 0, 0, SIZE, SIZE, 0, 1, 0 };
  NotchSourceShift source = { .dx = 100.3, .dy = 0.4, .zoom = 1 };
  NotchBatch batch = { 1, &tile, &piece, &source, { bench.mem } }, bare = { 1, &tile, &piece, &source, { NULL } };
  for (int k = 0; k < 2; k++) {
    bench.k->gather (bench.lane, &(NotchGather){ &bare });
    bench.k->poke (bench.lane, 0, NOTCH_PLANE_TEST, test);
    bench.k->poke (bench.lane, 0, NOTCH_PLANE_REF, ref);
    g_assert_cmpint (bench.k->fit (bench.lane, &(NotchFit){ &bare, NOTCH_FIT_GAIN | NOTCH_FIT_FOCUS, 1, 0, 0, 0 }), ==,
                     0);
    bench.k->peek (bench.lane, 0, NOTCH_PLANE_RES, res[k]);
    bench.k->gather (bench.lane, &(NotchGather){ &batch }); /* another tile, whose reference is noisy */
    g_assert_cmpint (bench.k->refer (bench.lane, &(NotchRefer){ &batch }), ==, 0);
  }
  g_assert_cmpmem (res[0], sizeof res[0], res[1], sizeof res[1]);
  bench_close (&bench);
}

/* What the fitted reference has within two pixels is no difference; what is beyond it differs by how far. */
static void
test_fit_wander (void)
{
  Bench bench;
  bench_open (&bench, &tile_size, 400, 200);
  for (int y = 0; y < 200; y++)
    for (int x = 0; x < 400; x++)
      bench.pixel[y * 400 + x] = (float) (100 * g_rand_double (bench.random));
  bench_changed (&bench);
  NotchTile tile = tile_at (250, 50);
  NotchPiece piece = { 0, 0, SIZE, SIZE - 20, 0, 1, 0 };
  NotchSourceShift source = { .dx = -200, .zoom = 1 };
  NotchBatch batch = { 1, &tile, &piece, &source, { bench.mem } };
  static float res[AREA], ref[AREA], test[AREA];
  int n_beyond = 0;
  bench.k->gather (bench.lane, &(NotchGather){ &batch });
  bench.k->refer (bench.lane, &(NotchRefer){ &batch });
  g_assert_cmpint (bench.k->fit (bench.lane, &(NotchFit){ &batch, NOTCH_FIT_NOTHING, 1.02f, 2, 0, 0 }), ==, 0);
  bench.k->peek (bench.lane, 0, NOTCH_PLANE_RES, res);
  bench.k->peek (bench.lane, 0, NOTCH_PLANE_REF, ref);
  bench.k->peek (bench.lane, 0, NOTCH_PLANE_TEST, test);
  for (int y = 1; y < SIZE - 1; y++)
    for (int x = 1; x < SIZE - 1; x++) {
      float low = INFINITY, high = -INFINITY;
      for (int v = MAX (y - 2, 0); v <= MIN (y + 2, SIZE - 1); v++)
        for (int u = MAX (x - 2, 0); u <= MIN (x + 2, SIZE - 1); u++)
          low = MIN (low, ref[v * SIZE + u]), high = MAX (high, ref[v * SIZE + u]);
      float t = test[y * SIZE + x], beyond = t > high ? t - high : t < low ? t - low : 0;
      g_assert_cmpfloat (res[y * SIZE + x], ==, y < SIZE - 20 ? beyond : 0); /* no reference: nothing differs */
      n_beyond += y < SIZE - 20 && beyond != 0;
    }
  g_assert_cmpint (n_beyond, >, 20);
  bench_close (&bench);
}

/* A bright bar of which all edges are off: what lies along them tells by how much. A defect on an edge stays, and so does what is
 * flat; what is masked neither tells anything nor changes. */
static void
test_follow (void)
{
  enum { LEFT = 12, RIGHT = 44, TOP = 10, BOTTOM = 50, BAD_X = 11, BAD_Y = 30 };
  Bench bench;
  bench_open (&bench, &tile_size, 200, 200);
  NotchTile tile = tile_at (0, 0);
  static float weight[AREA], ref[AREA], res[AREA], left[AREA];
  double off2 = 0, left2 = 0;
  for (int y = 0; y < SIZE; y++)
    for (int x = 0; x < SIZE; x++) {
      ref[y * SIZE + x] = x >= LEFT && x < RIGHT && y >= TOP && y < BOTTOM ? 120 : 40;
      weight[y * SIZE + x] = !(x == BAD_X && y >= BAD_Y + 8);
    }
  for (int y = 1; y < SIZE - 1; y++)
    for (int x = 1; x < SIZE - 1; x++) {
      const float *g = ref + y * SIZE + x;
      res[y * SIZE + x] = 0.1f * 0.5f * (g[1] - g[-1]) - 0.1f * 0.5f * (g[SIZE] - g[-SIZE]);
    }
  res[BAD_Y * SIZE + BAD_X] += 20;
  res[5 * SIZE + 5] = 9;
  tile.weight = weight;
  NotchPiece piece = { 0, 0, SIZE, SIZE, 0, 1, 0 };
  NotchSourceShift source = { .zoom = 1 };
  NotchBatch batch = { 1, &tile, &piece, &source, { bench.mem } };
  const NotchNoise noise = { .a = 1, .b = 0.01f, .c = 0.01f };
  bench.k->gather (bench.lane, &(NotchGather){ &batch });
  bench.k->poke (bench.lane, 0, NOTCH_PLANE_REF, ref);
  bench.k->poke (bench.lane, 0, NOTCH_PLANE_RES, res);
  g_assert_cmpint (bench.k->follow (bench.lane, &(NotchFollow){ &batch, noise }), ==, 0);
  bench.k->peek (bench.lane, 0, NOTCH_PLANE_RES, left);
  for (int y = 1; y < SIZE - 1; y++)
    for (int x = 1; x < SIZE - 1; x++) {
      int at = y * SIZE + x;
      gboolean flat = ref[at + 1] == ref[at - 1] && ref[at + SIZE] == ref[at - SIZE];
      if (flat || weight[at] == 0)
        g_assert_cmpfloat (left[at], ==, res[at]);
      else if (x != BAD_X || y != BAD_Y)
        off2 += res[at] * res[at], left2 += left[at] * left[at];
    }
  g_assert_cmpfloat (left2, <, 0.05 * off2);
  g_assert_cmpfloat (left[BAD_Y * SIZE + BAD_X], >, 18);
  g_assert_cmpfloat (left[5 * SIZE + 5], ==, 9);
  bench_close (&bench);
}

static void
test_normalise (void)
{
  Bench bench;
  bench_open (&bench, &tile_size, 200, 200);
  NotchTile tile = tile_at (0, 0);
  static float weight[AREA], res[AREA], ref[AREA], spread[AREA], z[AREA];
  for (int i = 0; i < AREA; i++) {
    weight[i] = i % 7 != 0;
    spread[i] = (float) (5 * g_rand_double (bench.random));
    res[i] = (float) gaussian (bench.random);
    ref[i] = (float) (200 * g_rand_double (bench.random) - 20);
  }
  tile.weight = weight;
  NotchPiece piece[2] = { { 0, 0, 50, SIZE, 0, 1, 0 }, { 60, 10, 30, 40, 0, 1, 1 } };
  NotchSourceShift source[2] = { { .zoom = 1 }, { .zoom = 1 } }; /* the second piece has a spread behind its source */
  tile.n_pieces = 2;
  NotchBatch batch = { 1, &tile, piece, source, { bench.mem } };
  NotchNoise noise = { 1.5f, 0.02f, 0.003f, 0.001f, 1e-5f };
  bench.k->gather (bench.lane, &(NotchGather){ &batch });
  bench.k->poke (bench.lane, 0, NOTCH_PLANE_RES, res);
  bench.k->poke (bench.lane, 0, NOTCH_PLANE_REF, ref);
  bench.k->poke (bench.lane, 0, NOTCH_PLANE_SPREAD, spread);
  g_assert_cmpint (bench.k->normalise (bench.lane, &(NotchNormalise){ &batch, noise, 0.6f }), ==, 0);
  bench.k->peek (bench.lane, 0, NOTCH_PLANE_Z, z);
  for (int y = 0; y < SIZE; y++)
    for (int x = 0; x < SIZE; x++) {
      int at = y * SIZE + x;
      gboolean inside = (x < 49 || (x > 60 && x < 89 && y > 10 && y < 49)) && x > 0 && y > 0 && y < SIZE - 1;
      double expected = 0;
      if (inside && weight[at] > 0) {
        double gx = 0.5 * (ref[at + 1] - ref[at - 1]), gy = 0.5 * (ref[at + SIZE] - ref[at - SIZE]),
               g = MAX (ref[at], 0);
        double lap = (double) ref[at + 1] + ref[at - 1] + ref[at + SIZE] + ref[at - SIZE] - 4.0 * ref[at];
        double model = 1.5 + 0.02 * g + 0.003 * (gx * gx + gy * gy) + 0.001 * lap * lap + 1e-5 * g * g;
        double seen = x > 60 ? 0.6 * spread[at] * spread[at] + 0.4 * model : 0;
        expected = res[at] / sqrt (MAX (model, seen));
      }
      g_assert_cmpfloat_with_epsilon (z[at], expected, 1e-5);
    }
  bench_close (&bench);
}

/* ---- filter ---------------------------------------------------------------------------------------------------- */

static const NotchChannel bank[] = {
  { NOTCH_CHANNEL_BLOB, 0.8f, 0, 0, 1, 1 },    { NOTCH_CHANNEL_BLOB, 1.3f, 0, 0, 1, 1 },
  { NOTCH_CHANNEL_BLOB, 2.1f, 0, 0, 2, 1 },    { NOTCH_CHANNEL_BLOB, 4.5f, 0, 0, 4, 1 },
  { NOTCH_CHANNEL_LINE, 1.3f, 8, 0.5f, 2, 1 },
};

/* On white noise every response has unit spread; a template in the noise is found at its SNR, and where it is. */
static void
test_filter_calibration (void)
{
  Bench bench;
  NotchLaneSize size = tile_size;
  size.size = 256, size.halo = 32, size.n_channels = G_N_ELEMENTS (bank), size.channel = bank;
  bench_open (&bench, &size, 8, 8);
  NotchTile tile = { 0, 0, 32, 32, 192, 192, 0, 0, 256, 256, 0, 1, NULL };
  NotchPiece piece = { 0, 0, 256, 256, 0, 1, 0 };
  NotchBatch batch = { .n_tiles = 1, .tile = &tile, .piece = &piece, .mem = { bench.mem } };
  NotchChannelStats stats[G_N_ELEMENTS (bank)];
  memset (stats, 0, sizeof stats);
  g_autofree float *z = g_new (float, 256 * 256);
  g_autofree float *score = g_new (float, 256 * 256);
  for (int round = 0; round < 6; round++) {
    for (int i = 0; i < 256 * 256; i++)
      z[i] = (float) gaussian (bench.random);
    bench.k->gather (bench.lane, &(NotchGather){ &batch });
    bench.k->poke (bench.lane, 0, NOTCH_PLANE_Z, z);
    NotchFilter filter = { &batch, G_N_ELEMENTS (bank), bank, stats };
    g_assert_cmpint (bench.k->filter (bench.lane, &filter), ==, 0);
  }
  for (gsize c = 0; c < G_N_ELEMENTS (bank); c++) {
    double rms = sqrt (stats[c].sum2 / (double) stats[c].n);
    gint64 total = 0;
    for (int b = 0; b < NOTCH_HISTOGRAM_BINS; b++)
      total += stats[c].histogram[b];
    g_assert_cmpint (total, >=, stats[c].n);
    /* The coarsest filter has only some hundred independent responses here. */
    g_assert_cmpfloat_with_epsilon (rms, 1, c == 3 ? 0.12 : 0.04);
  }
  /* A Gaussian of the first channel's width with matched SNR 20 and no noise. */
  double norm = 0;
  for (int y = -8; y <= 8; y++)
    for (int x = -8; x <= 8; x++)
      norm += exp (-(x * x + y * y) / (0.8 * 0.8));
  for (int y = 0; y < 256; y++)
    for (int x = 0; x < 256; x++) {
      double r2 = (x - 100) * (x - 100) + (y - 140) * (y - 140);
      z[y * 256 + x] = (float) (20 / sqrt (norm) * exp (-r2 / (2 * 0.8 * 0.8)));
    }
  bench.k->poke (bench.lane, 0, NOTCH_PLANE_Z, z);
  NotchFilter filter = { &batch, G_N_ELEMENTS (bank), bank, NULL };
  bench.k->filter (bench.lane, &filter);
  bench.k->peek (bench.lane, 0, NOTCH_PLANE_SCORE, score);
  int best = 0;
  for (int i = 0; i < 256 * 256; i++)
    if (score[i] > score[best])
      best = i;
  g_assert_cmpint (best % 256, ==, 100);
  g_assert_cmpint (best / 256, ==, 140);
  g_assert_cmpfloat (score[best], >, 19); /* the high pass costs a little */
  g_assert_cmpfloat (score[best], <, 20.01);
  bench_close (&bench);
}

/* Filters the same pixels on a lane. */
static void
score_on (NotchLane *lane, const NotchLaneSize *size, const float *z, float *score)
{
  NotchTile tile = { 0, 0, HALO, HALO, SIZE - 2 * HALO, SIZE - 2 * HALO, 0, 0, SIZE, SIZE, 0, 1, NULL };
  NotchPiece piece = { 0, 0, SIZE, SIZE, 0, 1, 0 };
  NotchBatch batch = { .n_tiles = 1, .tile = &tile, .piece = &piece };
  g_assert_nonnull (lane);
  backend->gather (lane, &(NotchGather){ &batch });
  backend->poke (lane, 0, NOTCH_PLANE_Z, z);
  g_assert_cmpint (backend->filter (lane, &(NotchFilter){ &batch, size->n_channels, size->channel, NULL }), ==, 0);
  backend->peek (lane, 0, NOTCH_PLANE_SCORE, score);
}

/* What a device has made for one lane does not change another's filters, be they the same, others, for noise of another
 * colour or of fewer scales; and a lane keeps its own. */
static void
test_filter_lanes (void)
{
  char fault[256] = "";
  g_autofree float *z = g_new (float, AREA), *score = g_new0 (float, AREA), *fresh = g_new0 (float, AREA),
                   *whiten = g_new (float, AREA);
  g_autoptr (GRand) random = g_rand_new_with_seed (3);
  for (int i = 0; i < AREA; i++)
    z[i] = (float) gaussian (random), whiten[i] = 1 + (float) (i % 7);
  NotchLaneSize size[6];
  for (int i = 0; i < 6; i++) { /* each is another than the last in one thing; the first two are the same */
    size[i] = i == 0 ? tile_size : size[i - 1];
    if (i == 0)
      size[i].n_channels = 2, size[i].channel = bank;
    if (i == 2)
      size[i].whiten = whiten;
    if (i == 3)
      size[i].n_channels = 1;
    if (i == 4)
      size[i].channel = bank + 1;
    if (i == 5)
      size[i].halo = 4;
  }
  NotchDevice *device = backend->open (0, fault);
  NotchLane *lane[6];
  for (int i = 0; i < 6; i++)
    lane[i] = backend->lane_new (device, &size[i], fault);
  for (int i = 0; i < 6; i++) {
    NotchDevice *other = backend->open (0, fault);
    NotchLane *alone = backend->lane_new (other, &size[i], fault);
    score_on (lane[i], &size[i], z, score);
    score_on (alone, &size[i], z, fresh);
    g_assert_cmpmem (score, sizeof (float) * AREA, fresh, sizeof (float) * AREA);
    backend->lane_free (alone);
    backend->close (other);
    backend->lane_free (lane[i]);
  }
  backend->close (device);
}

/* A response against a plain sum over all frequencies, in double precision. */
static void
test_filter_sum (void)
{
  enum { N = 24 };
  Bench bench;
  NotchLaneSize size = tile_size;
  size.size = N, size.halo = 4, size.n_channels = 2, size.channel = bank;
  size.patch_side = 4;
  bench_open (&bench, &size, 8, 8);
  NotchTile tile = { 0, 0, 0, 0, N, N, 0, 0, N, N, 0, 1, NULL };
  NotchPiece piece = { 0, 0, N, N, 0, 1, 0 };
  NotchBatch batch = { .n_tiles = 1, .tile = &tile, .piece = &piece, .mem = { bench.mem } };
  float z[N * N], shifted[N * N], fine[N * N], moved[N * N];
  for (int i = 0; i < N * N; i++)
    z[i] = (float) gaussian (bench.random);
  for (int y = 0; y < N; y++)
    for (int x = 0; x < N; x++)
      shifted[(y + 3) % N * N + (x + 5) % N] = z[y * N + x];
  NotchFilter filter = { &batch, 1, bank, NULL };
  bench.k->gather (bench.lane, &(NotchGather){ &batch });
  bench.k->poke (bench.lane, 0, NOTCH_PLANE_Z, z);
  bench.k->filter (bench.lane, &filter);
  bench.k->peek (bench.lane, 0, NOTCH_PLANE_FINE, fine);
  bench.k->poke (bench.lane, 0, NOTCH_PLANE_Z, shifted);
  bench.k->filter (bench.lane, &filter);
  bench.k->peek (bench.lane, 0, NOTCH_PLANE_FINE, moved);
  double wide = 4, sum = 0, kernel[N][N];
  for (int y = 0; y < N; y++)
    for (int x = 0; x < N; x++) {
      kernel[y][x] = 0;
      for (int v = 0; v < N; v++)
        for (int u = 0; u < N; u++) {
          int fu = u <= N / 2 ? u : u - N, fv = v <= N / 2 ? v : v - N;
          double f2 = (double) (fu * fu + fv * fv) / (N * N);
          double h = exp (-2 * G_PI * G_PI * 0.8f * 0.8f * f2) * (1 - exp (-2 * G_PI * G_PI * wide * wide * f2));
          if (u == N / 2 || v == N / 2)
            h = 0;
          kernel[y][x] += h * cos (2 * G_PI * (u * x + v * y) / N);
        }
      sum += kernel[y][x] * kernel[y][x];
    }
  for (int y = 0; y < N; y++)
    for (int x = 0; x < N; x++) {
      double expected = 0;
      for (int v = 0; v < N; v++)
        for (int u = 0; u < N; u++)
          expected += kernel[(y - v + N) % N][(x - u + N) % N] * z[v * N + u];
      g_assert_cmpfloat_with_epsilon (fine[y * N + x], expected / sqrt (sum), 1e-4);
      g_assert_cmpfloat_with_epsilon (moved[(y + 3) % N * N + (x + 5) % N], fine[y * N + x], 1e-5);
    }
  bench_close (&bench);
}

static void
test_power (void)
{
  Bench bench;
  NotchLaneSize size = tile_size;
  size.n_channels = 1, size.channel = bank;
  bench_open (&bench, &size, 8, 8);
  NotchTile tile = tile_at (0, 0);
  NotchPiece piece = { 0, 0, SIZE, SIZE, 0, 1, 0 };
  NotchBatch batch = { .n_tiles = 1, .tile = &tile, .piece = &piece, .mem = { bench.mem } };
  static float z[AREA];
  double sum[SIZE * (SIZE / 2 + 1)] = { 0 };
  gint64 n = 0;
  double energy = 0, power = 0;
  for (int i = 0; i < AREA; i++) {
    z[i] = (float) gaussian (bench.random);
    energy += (double) z[i] * z[i];
  }
  bench.k->gather (bench.lane, &(NotchGather){ &batch });
  bench.k->poke (bench.lane, 0, NOTCH_PLANE_Z, z);
  g_assert_cmpint (bench.k->power (bench.lane, &(NotchPower){ &batch, sum, &n }), ==, 0);
  g_assert_cmpint (n, ==, 1);
  for (int y = 0; y < SIZE; y++)
    for (int x = 0; x <= SIZE / 2; x++)
      power += (x == 0 || x == SIZE / 2 ? 1 : 2) * sum[y * (SIZE / 2 + 1) + x];
  g_assert_cmpfloat_with_epsilon (power / AREA, energy / AREA, 1e-4); /* Parseval */
  bench_close (&bench);
}

/* ---- label and patch ------------------------------------------------------------------------------------------- */

static void
test_label (void)
{
  Bench bench;
  NotchLaneSize size = tile_size;
  size.n_channels = 1, size.channel = bank;
  bench_open (&bench, &size, 200, 200);
  NotchTile tile = tile_at (0, 0);
  NotchPiece piece = { 0, 0, SIZE, SIZE, 0, 1, 0 };
  NotchSourceShift source = { .zoom = 1 };
  NotchBatch batch = { 1, &tile, &piece, &source, { bench.mem } };
  static float score[AREA], fine[AREA], flat[AREA];
  for (int i = 0; i < AREA; i++)
    flat[i] = 10;
  for (int y = 30; y < 34; y++) /* a seed and its grown rim, inside */
    for (int x = 40; x < 47; x++)
      fine[y * SIZE + x] = 4;
  score[31 * SIZE + 42] = 9;
  score[60 * SIZE + 70] = 7; /* two seeds two pixels apart: one blob at reach 2 */
  score[60 * SIZE + 72] = 8;
  fine[50 * SIZE + 50] = 5;   /* no seed, inside: dropped */
  fine[40 * SIZE + HALO] = 5; /* no seed, at the seam: kept for the neighbour to claim */
  score[5 * SIZE + 5] = 20;   /* in the halo: the neighbour's */
  bench.k->gather (bench.lane, &(NotchGather){ &batch });
  bench.k->poke (bench.lane, 0, NOTCH_PLANE_REF, flat);
  bench.k->poke (bench.lane, 0, NOTCH_PLANE_SCORE, score);
  bench.k->poke (bench.lane, 0, NOTCH_PLANE_FINE, fine);
  bench.k->poke (bench.lane, 0, NOTCH_PLANE_RES, fine);
  g_assert_cmpint (bench.k->label (bench.lane, &(NotchLabel){ &batch, 6, 3, 2 }), ==, 0);
  g_assert_cmpint (bench.k->patch (bench.lane, &(NotchPatch){ &batch, 8, 8 }), ==, 0);
  NotchTileFound found;
  bench.k->finish (bench.lane, &found);
  g_assert_cmpint (found.n_blobs, ==, 3);
  g_assert_false (found.swamped);
  const NotchBlob *big = &found.blob[0], *seam = &found.blob[1], *pair = &found.blob[2];
  g_assert_cmpint (big->n, ==, 28);
  g_assert_cmpint (big->n_seed, ==, 1);
  g_assert_cmpint (big->peak, ==, 9 * 256);
  g_assert_cmpint (big->x0, ==, 40);
  g_assert_cmpint (big->y1, ==, 33);
  g_assert_cmpint (big->res, ==, 28 * 4 * 256);
  g_assert_cmpint (big->ref, ==, 28 * 10 * 256);
  g_assert_cmpint (seam->n, ==, 1);
  g_assert_cmpint (seam->n_seed, ==, 0);
  g_assert_cmpint (pair->n, ==, 2);
  g_assert_cmpint (pair->peak_x, ==, 72);
  g_assert_cmpint (found.n_seams, ==, 1);
  g_assert_cmpint (found.seam[0].blob, ==, 1);
  g_assert_cmpint (found.n_inspected, ==, (SIZE - 2 * HALO) * (SIZE - 2 * HALO));
  g_assert_cmpint (found.n_patches, ==, 2); /* strongest first; nothing without a seed */
  g_assert_cmpint (found.patch_blob[0], ==, 0);
  g_assert_cmpint (found.patch_blob[1], ==, 2);
  g_assert_cmpfloat (found.patch[8 * 8], ==, 10); /* the reference follows the test */

  /* Where the image ends a crop has no pixels, where the pieces end it has no reference. */
  tile.inside_x = 40, tile.inside_w = SIZE - 40;
  piece.h = 33;
  bench.k->gather (bench.lane, &(NotchGather){ &batch });
  g_assert_cmpint (bench.k->label (bench.lane, &(NotchLabel){ &batch, 6, 3, 2 }), ==, 0);
  g_assert_cmpint (bench.k->patch (bench.lane, &(NotchPatch){ &batch, 8, 8 }), ==, 0);
  bench.k->finish (bench.lane, &found);
  g_assert_cmpint (found.n_patches, >=, 1);
  const float *crop = found.patch;
  int n_test = 0, n_reference = 0;
  for (int i = 0; i < 64; i++)
    n_test += isfinite (crop[i]), n_reference += isfinite (crop[64 + i]);
  g_assert_cmpint (n_test, >, 0);
  g_assert_cmpint (n_test % 8, ==, 0);
  g_assert_cmpint (n_test, <, 64);
  g_assert_cmpint (n_reference, >, 0);
  g_assert_cmpint (n_reference, <, n_test);
  bench_close (&bench);
}

/* A score with the filter that gave it. */
static float
scored (float response, int32_t channel)
{
  int32_t bits = notch_score_pack (response, channel);
  float score;
  memcpy (&score, &bits, sizeof score);
  return score;
}

/* Two strong points that a wide filter sees as one are two; what the wide filter alone sees beyond the seam is tied to the
 * point that it comes from. */
static void
test_label_skirts (void)
{
  Bench bench;
  NotchLaneSize size = tile_size;
  size.n_channels = G_N_ELEMENTS (bank), size.channel = bank;
  bench_open (&bench, &size, 200, 200);
  NotchTile tile = tile_at (0, 0);
  NotchPiece piece = { 0, 0, SIZE, SIZE, 0, 1, 0 };
  NotchBatch batch = { 1, &tile, &piece, NULL, { bench.mem } };
  static float score[AREA], fine[AREA];
  const int wide = 3, y = 60, left = HALO + 5, right = HALO + 26;
  const NotchTemplate own = notch_template_of (&bank[wide]), of = notch_template_of (&bank[0]);
  int n_seams = 0;
  for (int v = HALO; v < SIZE - HALO; v++)
    for (int x = HALO; x < SIZE - HALO; x++) {
      float seen = 30 * notch_template_skirt (&own, &of, (float) (x - left), (float) (v - y))
                   + 25 * notch_template_skirt (&own, &of, (float) (x - right), (float) (v - y));
      score[v * SIZE + x] = seen > 6 ? scored (seen, wide) : 0;
      n_seams += seen > 6 && x < HALO + 2;
    }
  g_assert_cmpint (n_seams, >, 10); /* the skirt comes near the seam */
  score[y * SIZE + left] = scored (30, 0);
  score[y * SIZE + right] = scored (25, 0);
  fine[y * SIZE + left] = 30, fine[y * SIZE + right] = 25;
  bench.k->gather (bench.lane, &(NotchGather){ &batch });
  bench.k->poke (bench.lane, 0, NOTCH_PLANE_SCORE, score);
  bench.k->poke (bench.lane, 0, NOTCH_PLANE_FINE, fine);
  g_assert_cmpint (bench.k->label (bench.lane, &(NotchLabel){ &batch, 6, 3, 2 }), ==, 0);
  NotchTileFound found;
  bench.k->finish (bench.lane, &found);
  g_assert_cmpint (found.n_blobs, ==, 2);
  g_assert_cmpint (found.blob[0].peak_x, ==, left);
  g_assert_cmpint (found.blob[1].peak_x, ==, right);
  for (int b = 0; b < 2; b++)
    g_assert_cmpint (found.blob[b].n, ==, 1);
  g_assert_cmpint (found.n_seams, ==, n_seams);
  for (int i = 0; i < found.n_seams; i++)
    g_assert_cmpint (found.seam[i].blob, ==, 0);
  bench_close (&bench);
}

/* The middle of a Gaussian defect at a place between pixels, seen by a filter that need not fit it; a tile's edge may cut
 * the window, but a blob that a line was seen at, or that is of the other sign around its peak, keeps the peak's pixel. */
static void
test_label_place (void)
{
  static const struct {
    double x, y, sigma, height;
    int channel;
    gboolean placed;
  } spot[] = {
    { 40.3, 30.45, 0.9, 9, 0, TRUE }, { 40.3, 30.45, 1.5, -9, 1, TRUE }, { 51.5, 49.7, 1.3, 20, 2, TRUE },
    { 45.2, 60.6, 3.0, 8, 2, TRUE },  { 45.2, 60.6, 5.5, -5, 3, TRUE },  { 41.2, 60.6, 1.3, 8, 4, FALSE },
  };
  Bench bench;
  NotchLaneSize size = tile_size;
  size.n_channels = G_N_ELEMENTS (bank), size.channel = bank;
  bench_open (&bench, &size, 200, 200);
  NotchTile tile = tile_at (0, 0);
  NotchPiece piece = { 0, 0, SIZE, SIZE, 0, 1, 0 };
  NotchBatch batch = { 1, &tile, &piece, NULL, { bench.mem } };
  for (gsize k = 0; k < 2 * G_N_ELEMENTS (spot); k++) {
    const int s = (int) k / 2, x = (int) spot[s].x, y = (int) spot[s].y; /* the peak is a pixel beside the middle */
    const gboolean other_sign = k % 2;
    static float z[AREA], score[AREA], zero[AREA];
    for (int i = 0; i < AREA; i++) {
      double dx = i % SIZE - spot[s].x, dy = i / SIZE - spot[s].y; /* NOLINT(bugprone-integer-division): a row */
      z[i] = (float) (spot[s].height * exp (-(dx * dx + dy * dy) / (2 * spot[s].sigma * spot[s].sigma)));
      score[i] = 0;
    }
    score[y * SIZE + x] = scored ((spot[s].height > 0) == other_sign ? -9 : 9, spot[s].channel);
    bench.k->gather (bench.lane, &(NotchGather){ &batch });
    bench.k->poke (bench.lane, 0, NOTCH_PLANE_SCORE, score);
    bench.k->poke (bench.lane, 0, NOTCH_PLANE_FINE, zero);
    bench.k->poke (bench.lane, 0, NOTCH_PLANE_Z, z);
    g_assert_cmpint (bench.k->label (bench.lane, &(NotchLabel){ &batch, 6, 3, 2 }), ==, 0);
    NotchTileFound found;
    bench.k->finish (bench.lane, &found);
    g_assert_cmpint (found.n_blobs, ==, 1);
    const NotchBlob *blob = &found.blob[0];
    if (spot[s].placed && !other_sign) {
      g_assert_cmpfloat_with_epsilon (blob->peak_x + blob->peak_dx / 256.0, spot[s].x, 0.02);
      g_assert_cmpfloat_with_epsilon (blob->peak_y + blob->peak_dy / 256.0, spot[s].y, 0.02);
    } else
      g_assert_true (blob->peak_dx == 0 && blob->peak_dy == 0);
  }
  bench_close (&bench);
}

/* A response on every fourth pixel stands for those two pixels away, too, and is no less of a skirt there. */
static void
test_label_coarse (void)
{
  NotchChannel channel = { NOTCH_CHANNEL_BLOB, 8.4f, 0, 0, 1, 1 };
  const NotchTemplate of = notch_template_of (&bank[1]), plain = notch_template_of (&channel);
  channel.decimate = 4;
  const NotchTemplate coarse = notch_template_of (&channel);
  const float seen = notch_template_skirt (&plain, &of, 5, 0);
  g_assert_cmpfloat (seen, >, 0);
  g_assert_cmpfloat (notch_template_skirt (&coarse, &of, 7, -2), ==, seen);
  g_assert_cmpfloat (notch_template_skirt (&coarse, &of, -7, 1), ==, seen);
  g_assert_cmpfloat (notch_template_skirt (&coarse, &of, 8, 0), <, seen);
}

static void
test_label_swamped (void)
{
  Bench bench;
  NotchLaneSize size = tile_size;
  size.max_blobs = 4;
  size.n_channels = 1, size.channel = bank;
  bench_open (&bench, &size, 200, 200);
  NotchTile tile = tile_at (0, 0);
  NotchPiece piece = { 0, 0, SIZE, SIZE, 0, 1, 0 };
  NotchBatch batch = { 1, &tile, &piece, NULL, { bench.mem } };
  static float score[AREA], zero[AREA];
  int n = 0;
  for (int y = HALO; y < SIZE - HALO; y += 4)
    for (int x = HALO; x < SIZE - HALO; x += 4, n++)
      score[y * SIZE + x] = 10;
  bench.k->gather (bench.lane, &(NotchGather){ &batch });
  bench.k->poke (bench.lane, 0, NOTCH_PLANE_SCORE, score);
  bench.k->poke (bench.lane, 0, NOTCH_PLANE_FINE, zero);
  g_assert_cmpint (bench.k->label (bench.lane, &(NotchLabel){ &batch, 6, 3, 1 }), ==, 0);
  NotchTileFound found;
  bench.k->finish (bench.lane, &found);
  g_assert_true (found.swamped);
  g_assert_cmpint (found.n_blobs, ==, 1);
  g_assert_cmpint (found.blob[0].n, ==, n); /* nothing is lost */
  bench_close (&bench);
}

/* ---- shift ----------------------------------------------------------------------------------------------------- */

/* A rectangle as optics of sigma 0.9 px show it, at any sub-pixel place: products of error functions, exact. */
static void
add_rectangle (float *to, int width, int height, double x, double y, double w, double h, double contrast)
{
  const double s = 0.9 * G_SQRT2;
  int left = MAX ((int) (x - 6), 0), right = MIN ((int) (x + w + 6), width - 1);
  for (int j = MAX ((int) (y - 6), 0); j <= MIN ((int) (y + h + 6), height - 1); j++)
    for (int i = left; i <= right; i++)
      to[j * width + i] += (float) (contrast * 0.25 * (erf ((i - x) / s) - erf ((i - x - w) / s))
                                    * (erf ((j - y) / s) - erf ((j - y - h) / s)));
}

enum { LOGIC, ARRAY, BLANK };

static void
draw_tile (float *to, int width, int height, int kind, double dx, double dy)
{
  g_autoptr (GRand) random = g_rand_new_with_seed (3);
  for (int i = 0; i < width * height; i++)
    to[i] = 60;
  if (kind == LOGIC)
    for (int i = 0; i < 160; i++) {
      gboolean across = g_rand_boolean (random);
      double length = g_rand_double_range (random, 15, 70), wide = g_rand_double_range (random, 3, 7);
      double x = g_rand_double_range (random, -40, 300), y = g_rand_double_range (random, -40, 300);
      add_rectangle (to, width, height, x + dx, y + dy, across ? length : wide, across ? wide : length, 60);
    }
  else if (kind == ARRAY)
    for (int j = -2; j < 33; j++)
      for (int i = -2; i < 26; i++)
        add_rectangle (to, width, height, i * 12.37 + dx, j * 9.71 + dy, 6.2, 4.1, 70);
}

static void
add_noise (float *to, int n, GRand *random)
{
  for (int i = 0; i < n; i++) /* an 8-bit camera: shot and read noise, then whole grey levels */
    to[i] = floorf (to[i] + (float) (sqrt (0.9 + 0.02 * to[i]) * gaussian (random)) + 0.5f);
}

static void
check_shifts (int kind)
{
  Bench bench;
  NotchLaneSize size = tile_size;
  size.shift_size = 256;
  bench_open (&bench, &size, 256, 256);
  float *other = g_new (float, 256 * 256);
  const void *row[256];
  for (int y = 0; y < 256; y++)
    row[y] = other + y * 256;
  NotchPixels pixels = { NOTCH_SAMPLE_F32, 256, 256, 0, 256, row };
  char fault[256] = "";
  NotchStripMem *mem = bench.k->strip_up (bench.device, &pixels, fault);
  double sum2 = 0;
  int flagged = 0;
  const int rounds = kind == BLANK ? 20 : 60;
  for (int i = 0; i < rounds; i++) {
    double dx = g_rand_double_range (bench.random, -2, 2), dy = g_rand_double_range (bench.random, -2, 2);
    draw_tile (bench.pixel, 256, 256, kind, 0, 0);
    draw_tile (other, 256, 256, kind, dx, dy);
    add_noise (bench.pixel, 256 * 256, bench.random);
    add_noise (other, 256 * 256, bench.random);
    bench_changed (&bench);
    bench.k->strip_free (mem);
    mem = bench.k->strip_up (bench.device, &pixels, fault);
    g_assert_nonnull (mem);
    NotchPair pair = { 0, 0, 0, 0, 0, 1, 4 };
    NotchShiftFound found;
    NotchShift shift = { { bench.mem, mem }, 1, &pair, 0, &found };
    g_assert_cmpint (bench.k->shift (bench.lane, &shift), ==, 0);
    flagged += !(found.crlb < 0.05);
    sum2 += (found.dx - dx) * (found.dx - dx) + (found.dy - dy) * (found.dy - dy);
    if (kind != BLANK) {
      g_assert_cmpfloat_with_epsilon (found.dx, dx, 0.06);
      g_assert_cmpfloat_with_epsilon (found.dy, dy, 0.06);
    }
  }
  g_test_message ("rms %.4f px an axis, %d of %d flagged", sqrt (sum2 / (2 * rounds)), flagged, rounds);
  if (kind == BLANK)
    g_assert_cmpint (flagged, ==, rounds);
  else {
    g_assert_cmpint (flagged, ==, 0);
    g_assert_cmpfloat (sqrt (sum2 / (2 * rounds)), <=, 0.02);
  }
  bench.k->strip_free (mem);
  g_free (other);
  bench_close (&bench);
}

static void
test_shift (gconstpointer kind)
{
  check_shifts (GPOINTER_TO_INT (kind));
}

static void
test_fault (void)
{
  char fault[256] = "";
  NotchDevice *device = backend->open (0, fault);
  NotchLaneSize size = tile_size;
  const NotchChannel odd = { NOTCH_CHANNEL_BLOB, 1, 0, 0, 3, 1 };
  size.n_channels = 1, size.channel = &odd;
  g_assert_null (backend->lane_new (device, &size, fault));
  g_assert_cmpstr (fault, !=, "");
  size.n_channels = 0;
  NotchLane *lane = backend->lane_new (device, &size, fault);
  NotchTile tile = tile_at (0, 0);
  NotchBatch batch = { .n_tiles = 1, .tile = &tile };
  g_assert_cmpint (backend->patch (lane, &(NotchPatch){ &batch, SIZE + 1, 1 }), ==, -1);
  g_assert_cmpstr (backend->fault (lane), !=, "");
  g_assert_cmpint (backend->shift (lane, &(NotchShift){ .n = 1 }), ==, -1);
  backend->lane_free (lane);
  backend->close (device);
}

/* A copy for benchmarks takes its memory itself, more of it when more is wanted. */
static void
test_copy (void)
{
  Bench bench;
  bench_open (&bench, &tile_size, 10, 10);
  g_assert_cmpint (bench.k->copy (bench.lane, 1000, 3), ==, 0);
  g_assert_cmpint (bench.k->copy (bench.lane, 100000, 1), ==, 0);
  g_assert_cmpint (bench.k->copy (bench.lane, 1000, 1), ==, 0);
  bench_close (&bench);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  backend_add ("/stages/gather", (BackendTest){ .plain = test_gather });
  backend_add ("/stages/lost", (BackendTest){ .plain = test_lost });
  backend_add ("/stages/refer", (BackendTest){ .plain = test_refer });
  backend_add ("/stages/fit", (BackendTest){ .plain = test_fit });
  backend_add ("/stages/fit/nothing", (BackendTest){ .plain = test_fit_nothing });
  backend_add ("/stages/refer/bent", (BackendTest){ .plain = test_refer_bent });
  backend_add ("/stages/fit/quiet", (BackendTest){ .plain = test_fit_quiet });
  backend_add ("/stages/fit/poked", (BackendTest){ .plain = test_fit_poked });
  backend_add ("/stages/fit/pad", (BackendTest){ .plain = test_fit_pad });
  backend_add ("/stages/fit/wander", (BackendTest){ .plain = test_fit_wander });
  backend_add ("/stages/fit/overlap", (BackendTest){ .plain = test_fit_overlap });
  backend_add ("/stages/follow", (BackendTest){ .plain = test_follow });
  backend_add ("/stages/normalise", (BackendTest){ .plain = test_normalise });
  backend_add ("/stages/filter/calibration", (BackendTest){ .plain = test_filter_calibration });
  backend_add ("/stages/filter/lanes", (BackendTest){ .plain = test_filter_lanes });
  backend_add ("/stages/filter/sum", (BackendTest){ .plain = test_filter_sum });
  backend_add ("/stages/power", (BackendTest){ .plain = test_power });
  backend_add ("/stages/label", (BackendTest){ .plain = test_label });
  backend_add ("/stages/label/skirts", (BackendTest){ .plain = test_label_skirts });
  backend_add ("/stages/label/place", (BackendTest){ .plain = test_label_place });
  backend_add ("/stages/label/coarse", (BackendTest){ .plain = test_label_coarse });
  backend_add ("/stages/label/swamped", (BackendTest){ .plain = test_label_swamped });
  backend_add ("/stages/shift/logic", (BackendTest){ .test = test_shift, .data = GINT_TO_POINTER (LOGIC) });
  backend_add ("/stages/shift/array", (BackendTest){ .test = test_shift, .data = GINT_TO_POINTER (ARRAY) });
  backend_add ("/stages/shift/blank", (BackendTest){ .test = test_shift, .data = GINT_TO_POINTER (BLANK) });
  backend_add ("/stages/fault", (BackendTest){ .plain = test_fault });
  backend_add ("/stages/copy", (BackendTest){ .plain = test_copy });
  return g_test_run ();
}
