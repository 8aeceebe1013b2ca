/* stages-filter.c - the bank of filters against a slow double-precision reference that is obviously right */
#include "tests/stages.h"

#include "kernels/math/template.h"

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
  NotchFault fault = { 0 };
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
  NotchDevice *device = backend->open (0, &fault);
  NotchLane *lane[6];
  for (int i = 0; i < 6; i++)
    lane[i] = backend->lane_new (device, &size[i], &fault);
  for (int i = 0; i < 6; i++) {
    NotchDevice *other = backend->open (0, &fault);
    NotchLane *alone = backend->lane_new (other, &size[i], &fault);
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

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  backend_add ("/stages/filter/calibration", (BackendTest){ .plain = test_filter_calibration });
  backend_add ("/stages/filter/lanes", (BackendTest){ .plain = test_filter_lanes });
  backend_add ("/stages/filter/sum", (BackendTest){ .plain = test_filter_sum });
  return g_test_run ();
}
