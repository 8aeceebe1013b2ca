/* stages.c - every stage of a backend against a slow double-precision reference that is obviously right; fits, filters and
 * labels have files of their own */
#include "tests/stages.h"
#include "tests/few.h"

#include "kernels/math/noise.h"

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
    bench_place (&bench, place[p][0], place[p][1], (NotchSourceShift){ .zoom = 1 });
    float got[AREA];
    g_assert_cmpint (bench.k->gather (bench.lane, &(NotchGather){ &bench.batch }), ==, 0);
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
  g_assert_cmpint (k->fit (bench->lane, &(NotchFit){ &batch, 0, 1, 0, 0, 0, 0 }), ==, 0);
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

static void
test_power (void)
{
  Bench bench;
  NotchLaneSize size = tile_size;
  size.n_channels = 1, size.channel = bank;
  bench_open (&bench, &size, 8, 8);
  bench_place (&bench, 0, 0, (NotchSourceShift){ .zoom = 1 });
  static float z[AREA];
  double sum[SIZE * (SIZE / 2 + 1)] = { 0 };
  gint64 n = 0;
  double energy = 0, power = 0;
  for (int i = 0; i < AREA; i++) {
    z[i] = (float) gaussian (bench.random);
    energy += (double) z[i] * z[i];
  }
  bench.k->gather (bench.lane, &(NotchGather){ &bench.batch });
  bench.k->poke (bench.lane, 0, NOTCH_PLANE_Z, z);
  g_assert_cmpint (bench.k->power (bench.lane, &(NotchPower){ &bench.batch, sum, &n }), ==, 0);
  g_assert_cmpint (n, ==, 1);
  for (int y = 0; y < SIZE; y++)
    for (int x = 0; x <= SIZE / 2; x++)
      power += (x == 0 || x == SIZE / 2 ? 1 : 2) * sum[y * (SIZE / 2 + 1) + x];
  g_assert_cmpfloat_with_epsilon (power / AREA, energy / AREA, 1e-4); /* Parseval */
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
  NotchPixels pixels = { NOTCH_SAMPLE_F32, 256, 256, 0, 256, row, 0 };
  NotchFault fault = { 0 };
  NotchStripMem *mem = bench.k->strip_up (bench.device, &pixels, &fault);
  g_autofree float *still = g_new (float, 256 * 256);
  draw_tile (still, 256, 256, kind, 0, 0);
  double sum2 = 0;
  int flagged = 0;
  /* Many tell how good the estimate is; that another backend's is the same, a few. */
  const int rounds = (kind == BLANK ? 20 : 60) / (backend == &notch_kernels_cpu ? few (1, 4) : 4);
  for (int i = 0; i < rounds; i++) {
    double dx = g_rand_double_range (bench.random, -2, 2), dy = g_rand_double_range (bench.random, -2, 2);
    memcpy (bench.pixel, still, 256 * 256 * sizeof *still);
    draw_tile (other, 256, 256, kind, dx, dy);
    add_noise (bench.pixel, 256 * 256, bench.random);
    add_noise (other, 256 * 256, bench.random);
    bench_changed (&bench);
    bench.k->strip_free (mem);
    mem = bench.k->strip_up (bench.device, &pixels, &fault);
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
  NotchFault fault = { 0 };
  NotchDevice *device = backend->open (0, &fault);
  NotchLaneSize size = tile_size;
  const NotchChannel odd = { NOTCH_CHANNEL_BLOB, 1, 0, 0, 3, 1 };
  size.n_channels = 1, size.channel = &odd;
  g_assert_null (backend->lane_new (device, &size, &fault));
  g_assert_cmpstr (fault.text, !=, "");
  size.n_channels = 0;
  NotchLane *lane = backend->lane_new (device, &size, &fault);
  NotchTile tile = tile_at (0, 0);
  NotchBatch batch = { .n_tiles = 1, .tile = &tile };
  g_assert_cmpint (backend->patch (lane, &(NotchPatch){ &batch, SIZE + 1, 1 }), ==, -1);
  g_assert_cmpstr (backend->fault (lane)->text, !=, "");
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
  backend_add ("/stages/normalise", (BackendTest){ .plain = test_normalise });
  backend_add ("/stages/power", (BackendTest){ .plain = test_power });
  backend_add ("/stages/shift/logic", (BackendTest){ .test = test_shift, .data = GINT_TO_POINTER (LOGIC) });
  backend_add ("/stages/shift/array", (BackendTest){ .test = test_shift, .data = GINT_TO_POINTER (ARRAY) });
  backend_add ("/stages/shift/blank", (BackendTest){ .test = test_shift, .data = GINT_TO_POINTER (BLANK) });
  backend_add ("/stages/fault", (BackendTest){ .plain = test_fault });
  backend_add ("/stages/copy", (BackendTest){ .plain = test_copy });
  return g_test_run ();
}
