/* noise.c - the noise model, the spectrum, the filters' null, and whether the promise of false alarms is kept */
#include "inspect/detect/noise.h"

#include <math.h>
#include <string.h>

static double
gaussian (GRand *random)
{
  double u = g_rand_double_range (random, 1e-12, 1), v = g_rand_double (random);
  return sqrt (-2 * log (u)) * cos (2 * G_PI * v);
}

static void
assert_near (double value, double truth, double share)
{
  g_assert_cmpfloat_with_epsilon (value / truth, 1, share);
}

/* ---- the model ------------------------------------------------------------------------------------------------- */

#define N_SAMPLES 300000

/* Half of the pixels lie flat, half on edges; one in a hundred is a defect. */
static NotchNoiseSample *
draw_samples (const NotchNoise *truth, gsize n)
{
  g_autoptr (GRand) random = g_rand_new_with_seed (11);
  NotchNoiseSample *sample = g_new (NotchNoiseSample, n);
  for (gsize i = 0; i < n; i++) {
    gboolean edge = g_rand_boolean (random), defect = g_rand_int_range (random, 0, 100) == 0;
    double level = g_rand_double_range (random, 0, 220);
    double gradient2 = edge ? pow (30 * g_rand_double (random), 2) : 0;
    double laplacian2 = edge ? pow (40 * g_rand_double (random), 2) : 0;
    double variance =
        truth->a + truth->b * level + truth->c * gradient2 + truth->d * laplacian2 + truth->e * level * level;
    double residual = sqrt (variance) * gaussian (random) + (defect ? g_rand_double_range (random, 30, 200) : 0);
    sample[i] =
        (NotchNoiseSample){ (float) level, (float) gradient2, (float) laplacian2, (float) (residual * residual) };
  }
  return sample;
}

static void
test_fit (void)
{
  const NotchNoise truth = { 2, 0.05f, 0.01f, 0.004f, 2e-4f };
  g_autofree NotchNoiseSample *sample = draw_samples (&truth, N_SAMPLES);
  NotchNoise got = notch_noise_fit (sample, N_SAMPLES, 1.0 / 12, 2);
  g_test_message ("a %.3f b %.4f c %.5f d %.5f e %.6f", got.a, got.b, got.c, got.d, got.e);
  assert_near (got.a, truth.a, 0.05);
  assert_near (got.b, truth.b, 0.1); /* b G and e G^2 go together */
  assert_near (got.c, truth.c, 0.05);
  assert_near (got.d, truth.d, 0.05);
  assert_near (got.e, truth.e, 0.1);
  NotchNoise alone = notch_noise_fit (sample, N_SAMPLES, 1.0 / 12, 1);
  g_assert_cmpmem (&got, sizeof got, &alone, sizeof alone);
}

/* What is not there is not found: read noise and shot noise alone. */
static void
test_fit_simple (void)
{
  const NotchNoise truth = { 1.5f, 0.03f, 0, 0, 0 };
  g_autofree NotchNoiseSample *sample = draw_samples (&truth, N_SAMPLES);
  NotchNoise got = notch_noise_fit (sample, N_SAMPLES, 1.0 / 12, 2);
  assert_near (got.a, truth.a, 0.05);
  assert_near (got.b, truth.b, 0.1);
  g_assert_cmpfloat (got.c * 900, <, 0.1); /* of a variance of about 5 where the gradient is largest */
  g_assert_cmpfloat (got.d * 1600, <, 0.1);
  g_assert_cmpfloat (got.e * 220 * 220, <, 0.5);
  g_assert_true (got.c >= 0 && got.d >= 0 && got.e >= 0);
}

/* Without noise, or without samples, the floor is all there is. */
static void
test_fit_floor (void)
{
  const NotchNoise none = { 0 };
  g_autofree NotchNoiseSample *sample = draw_samples (&none, 20000);
  NotchNoise still = notch_noise_fit (sample, 20000, 1.0 / 12, 1), empty = notch_noise_fit (NULL, 0, 0.25, 2);
  g_assert_cmpfloat_with_epsilon (still.a, 1.0 / 12, 1e-6);
  g_assert_cmpfloat (still.b + still.c + still.d + still.e, <, 1e-6);
  g_assert_cmpfloat (empty.a, ==, 0.25);
  g_assert_cmpfloat (empty.b + empty.c + empty.d + empty.e, ==, 0);
}

/* ---- the spectrum ---------------------------------------------------------------------------------------------- */

#define SPECTRUM_SIZE  240
#define SPECTRUM_TILES 24

static double
white (double fx, double fy)
{
  return 1;
}

/* A blur that lifts low frequencies, more along one direction than the other. */
static double
coloured (double fx, double fy)
{
  double u = fx * cos (0.6) + fy * sin (0.6), v = fy * cos (0.6) - fx * sin (0.6);
  return 0.6 + 3 * exp (-(u * u / (2 * 0.2 * 0.2) + v * v / (2 * 0.12 * 0.12)));
}

/* Below the floor, and above the limit. */
static double
extreme (double fx, double fy)
{
  return hypot (fx, fy) < 0.2 ? 1000 : 1e-6;
}

/* The mean of tiles' spectra scatters about the truth as it would in an image; the smoothed one hardly does. */
static void
check_spectrum (double (*truth) (double fx, double fy), double most, double most_rms)
{
  enum { N = SPECTRUM_SIZE, COLUMNS = N / 2 + 1 };
  g_autoptr (GRand) random = g_rand_new_with_seed (12);
  g_autofree double *sum = g_new0 (double, N *COLUMNS);
  g_autofree float *whiten = g_new (float, N *COLUMNS);
  double sum2 = 0, worst = 0;
  int n = 0;
  for (int i = 0; i < N * COLUMNS; i++) {
    int y = i / COLUMNS;
    double fy = (double) (y <= N / 2 ? y : y - N) / N, fx = (double) (i % COLUMNS) / N;
    for (int t = 0; t < SPECTRUM_TILES; t++)
      sum[i] -= truth (fx, fy) * log (1 - g_rand_double (random));
  }
  notch_noise_smooth_spectrum (sum, SPECTRUM_TILES, N, whiten);
  for (int i = 0; i < N * COLUMNS; i++) {
    int y = i / COLUMNS;
    double fy = (double) (y <= N / 2 ? y : y - N) / N, fx = (double) (i % COLUMNS) / N, f = hypot (fx, fy);
    double error = fabs (whiten[i] / CLAMP (truth (fx, fy), 0.3, 30) - 1);
    if (f < 0.05 || (truth == extreme && fabs (f - 0.2) < 0.03)) /* rings of few bins, and the step itself */
      continue;
    worst = MAX (worst, error);
    sum2 += error * error, n++;
  }
  g_test_message ("off by %.3f at most, %.3f rms", worst, sqrt (sum2 / n));
  g_assert_cmpfloat (worst, <, most);
  g_assert_cmpfloat (sqrt (sum2 / n), <, most_rms);
}

static void
test_spectrum (void)
{
  check_spectrum (white, 0.15, 0.02);
  check_spectrum (coloured, 0.15, 0.03);
}

static void
test_spectrum_limits (void)
{
  check_spectrum (extreme, 1e-6, 1e-6);
}

/* ---- a channel's gain ------------------------------------------------------------------------------------------ */

/* Adds n responses of a Gaussian of this spread, in their exact shares. */
static void
add_gaussian (NotchChannelStats *stats, double spread, double n)
{
  for (int i = 0; i < NOTCH_HISTOGRAM_BINS; i++) {
    double low = i * NOTCH_HISTOGRAM_STEP / spread / G_SQRT2, high = (i + 1) * NOTCH_HISTOGRAM_STEP / spread / G_SQRT2;
    stats->histogram[i] += (gint64) round (n * (erfc (low) - (i < NOTCH_HISTOGRAM_BINS - 1 ? erfc (high) : 0)));
  }
}

static void
test_gain (void)
{
  const double spreads[] = { 0.3, 0.7, 1, 1.4, 3 };
  for (gsize i = 0; i < G_N_ELEMENTS (spreads); i++) {
    NotchChannelStats stats = { 0 };
    add_gaussian (&stats, spreads[i], 4e6);
    assert_near (notch_noise_channel_gain (&stats, 6), 1 / MAX (spreads[i], 0.9),
                 0.01); /* never louder than the model */
  }
}

/* What a gain makes of a tail that so many responses prove: from 3 to 4.5 spreads no more responses lie beyond than a
 * Gaussian has there, and the gain is no smaller than that takes. */
static void
test_gain_tail (void)
{
  double last = 1;
  for (double wide = 1.5; wide <= 2.1; wide += 0.25) {
    NotchChannelStats stats = { 0 };
    add_gaussian (&stats, 1, 4e8);
    add_gaussian (&stats, wide, 4e6);
    double gain = notch_noise_channel_gain (&stats, 4.5), fullest = 0;
    g_assert_cmpfloat (gain, <, 0.99 * last);
    last = gain;
    for (double t = 3; t <= 4.5; t += 0.5) {
      double beyond = 4e8 * erfc (t / G_SQRT2) + 4e6 * erfc (t / wide / G_SQRT2);
      fullest = MAX (fullest, beyond / (4.04e8 * erfc (t * gain / G_SQRT2)));
    }
    g_assert_cmpfloat_with_epsilon (fullest, 1, 0.15);
  }
  /* A tail of defects, not of noise: it is tamed to a half and no further. */
  NotchChannelStats stats = { 0 };
  add_gaussian (&stats, 1, 4e8);
  stats.histogram[NOTCH_HISTOGRAM_BINS - 1] += 20000000;
  double gain = notch_noise_channel_gain (&stats, 6);
  g_assert_cmpfloat (gain, <, 0.6);
  g_assert_cmpfloat (gain, >, 0.45);
}

/* Responses whose variance is spread like a Gamma variable of mean 1: no more of them lie beyond the threshold than a Gaussian
 * has there, though none that was counted says so, and not many fewer. */
static void
test_gain_uneven (void)
{
  const double spreads[] = { 0.02, 0.05, 0.1, 0.2 }, u = 6, step = 0.002, n = 4e12;
  for (gsize i = 0; i < G_N_ELEMENTS (spreads); i++) {
    NotchChannelStats stats = { 0 };
    double shape = 1 / spreads[i], whole = 0, beyond = 0;
    for (double x = step; x < 8; x += step)
      whole += exp ((shape - 1) * log (x) - shape * (x - 1));
    for (double x = step; x < 8; x += step)
      add_gaussian (&stats, sqrt (x), n * exp ((shape - 1) * log (x) - shape * (x - 1)) / whole);
    double gain = notch_noise_channel_gain (&stats, u);
    for (double x = step; x < 8; x += step)
      beyond += exp ((shape - 1) * log (x) - shape * (x - 1)) / whole * erfc (u / gain / sqrt (x) / G_SQRT2);
    g_test_message ("%g: %.3f times", spreads[i], beyond / erfc (u / G_SQRT2));
    g_assert_cmpfloat (beyond, <, 1.2 * erfc (u / G_SQRT2));
    g_assert_cmpfloat (beyond, >, 0.8 * erfc (u / G_SQRT2));
  }
}

/* An image without noise, and a channel that saw nothing. */
static void
test_gain_nothing (void)
{
  NotchChannelStats stats = { 0 };
  g_assert_cmpfloat (notch_noise_channel_gain (&stats, 6), ==, 1);
  stats.histogram[0] = 1000000;
  assert_near (notch_noise_channel_gain (&stats, 6), 1 / 0.9, 2e-3); /* a standard error of a million */
}

/* ---- the threshold --------------------------------------------------------------------------------------------- */

/* The null of a smooth field of unit spread, whose gradient has this variance along x and y. */
static NotchChannelStats
null_of (double xx, double yy, double xy)
{
  return (
      NotchChannelStats){ .n = 1000000, .sum2 = 1e6, .sum_dx2 = 1e6 * xx, .sum_dy2 = 1e6 * yy, .sum_dxdy = 1e6 * xy };
}

static void
test_peaks (void)
{
  const NotchChannelStats stats = null_of (0.1, 0.2, 0.05), nothing = { 0 };
  double last = G_MAXDOUBLE;
  for (double u = 1.5; u < 12; u += 0.25) {
    double peaks = notch_noise_peaks (&stats, 1, u, FALSE);
    g_assert_cmpfloat (peaks, >, 0);
    g_assert_cmpfloat (peaks, <, last);
    g_assert_cmpfloat (peaks, <=, 0.5 * erfc (u / G_SQRT2)); /* no more than pixels */
    g_assert_cmpfloat (notch_noise_peaks (&stats, 1, u, TRUE), ==, 2 * peaks);
    assert_near (notch_noise_peaks (&stats, 4, u, FALSE), peaks / 16, 1e-12);
    last = peaks;
  }
  /* By hand: sqrt (0.1 0.2 - 0.05^2) = 0.132288, (2 pi)^-1.5 = 0.0634936, 5 exp (-12.5) = 1.863327e-5. */
  assert_near (notch_noise_peaks (&stats, 1, 5, FALSE), 0.132288 * 0.0634936 * 1.863327e-5, 1e-5);
  g_assert_cmpfloat (notch_noise_peaks (&nothing, 1, 5, FALSE), ==, 0);
}

static void
test_threshold (void)
{
  const NotchChannelStats stats[] = { null_of (0.4, 0.4, 0), null_of (0.1, 0.15, 0.02) };
  const NotchChannel channel[] = { { NOTCH_CHANNEL_BLOB, 0.8f, 0, 0, 1, 1 }, { NOTCH_CHANNEL_BLOB, 2, 0, 0, 2, 1 } };
  const double n = 1e9;
  const NotchNoiseArea one = { 1, n }, two = { 1, 2 * n };
  double last = G_MAXDOUBLE;
  for (double expected = 1e-3; expected < 1e5; expected *= 10) {
    double u = notch_noise_threshold (2, channel, stats, 1, &one, TRUE, expected);
    g_assert_cmpfloat (u, <, last);
    last = u;
    double total = 0;
    for (int c = 0; c < 2; c++)
      total += n * notch_noise_peaks (&stats[c], channel[c].decimate, u, TRUE);
    assert_near (total, expected, 1e-6);
    g_assert_cmpfloat (notch_noise_threshold (2, channel, stats, 1, &two, TRUE, expected), >, u);
    g_assert_cmpfloat (notch_noise_threshold (1, channel, stats, 1, &one, TRUE, expected), <, u);
    g_assert_cmpfloat (notch_noise_threshold (2, channel, stats, 1, &one, FALSE, expected), <, u);
  }
}

/* Every sensitivity has its own threshold, and all of them together the peaks that are expected. */
static void
test_areas (void)
{
  const NotchChannelStats stats = null_of (0.2, 0.2, 0);
  const NotchChannel channel = { NOTCH_CHANNEL_BLOB, 1, 0, 0, 1, 1 };
  const NotchNoiseArea apart[] = { { 0.5, 3e6 }, { 1, 1e6 } }, alike[] = { { 1, 3e6 }, { 1, 1e6 } };
  const NotchNoiseArea all = { 1, 4e6 }, quarter = { 1, 1e6 }, weak = { 0.9, 3e6 };
  const NotchNoiseArea near[] = { weak, quarter };
  double u = notch_noise_threshold (1, &channel, &stats, 1, &all, TRUE, 1);
  g_assert_cmpfloat (notch_noise_threshold (1, &channel, &stats, 2, alike, TRUE, 1), ==, u);
  /* At half the weight 10 sigmas are needed, which no noise has: the quarter has all the alarms. */
  assert_near (notch_noise_threshold (1, &channel, &stats, 2, apart, TRUE, 1),
               notch_noise_threshold (1, &channel, &stats, 1, &quarter, TRUE, 1), 1e-9);
  u = notch_noise_threshold (1, &channel, &stats, 2, near, TRUE, 1);
  assert_near (1e6 * notch_noise_peaks (&stats, 1, u, TRUE) + 3e6 * notch_noise_peaks (&stats, 1, u / 0.9, TRUE), 1,
               1e-6);
}

/* ---- the promise ----------------------------------------------------------------------------------------------- */

#define SIZE     384
#define HALO     48
#define AREA     (SIZE * SIZE)
#define CORE     (SIZE - 2 * HALO)
#define N_SURVEY 12
#define N_TILES  48
#define EXPECTED 20.0

typedef struct {
  const char *name;
  gboolean bright; /* only what is brighter counts */
  double blur;     /* how much of its neighbours a pixel takes */
  gboolean lines;
  float weight; /* of three quarters of every tile; 1 elsewhere */
} Promise;

/* White noise, or such as a camera's interpolation leaves: correlated between neighbours. */
static void
draw_noise (float *z, double blur, GRand *random)
{
  static float raw[AREA];
  for (int i = 0; i < AREA; i++)
    raw[i] = (float) gaussian (random);
  double norm = sqrt (1 + 2 * blur * blur);
  for (int y = 0; y < SIZE; y++)
    for (int x = 0; x < SIZE; x++)
      z[y * SIZE + x] =
          (float) ((raw[y * SIZE + x] + blur * raw[y * SIZE + (x + 1) % SIZE] + blur * raw[(y + 1) % SIZE * SIZE + x])
                   / norm);
}

static int
make_bank (gboolean lines, NotchChannel *bank)
{
  int n = 0;
  for (double s = 0.8; s <= 14; s *= 1.6, n++)
    bank[n] = (NotchChannel){ NOTCH_CHANNEL_BLOB, (float) s, 0, 0, s >= 4.2 ? 4 : s >= 2 ? 2 : 1, 1 };
  for (int i = 0; lines && i < 12; i++)
    bank[n++] = (NotchChannel){ NOTCH_CHANNEL_LINE, 1.3f, 10, (float) (i * G_PI / 12), 2, 1 };
  return n;
}

/* Survey and inspection of noise alone: spectrum, null, gains and threshold from some tiles, then the false alarms that
 * filter and label find in others. */
static void
test_promise (gconstpointer data)
{
  const Promise *promise = data;
  const NotchKernels *k = &notch_kernels_cpu;
  g_autoptr (GRand) random = g_rand_new_with_seed (13);
  NotchFault fault = { 0 };
  NotchChannel bank[NOTCH_MAX_CHANNELS];
  int n_channels = make_bank (promise->lines, bank);
  static float z[N_SURVEY][AREA];
  static double power[SIZE * (SIZE / 2 + 1)];
  static float whiten[SIZE * (SIZE / 2 + 1)];
  memset (power, 0, sizeof power);
  for (int i = 0; i < N_SURVEY; i++)
    draw_noise (z[i], promise->blur, random);
  NotchTile tile = { 0, 0, HALO, HALO, CORE, CORE, 0, 0, SIZE, SIZE, 0, 1, NULL };
  NotchPiece piece = { 0, 0, SIZE, SIZE, 0, 1, 0 };
  NotchBatch batch = { .n_tiles = 1, .tile = &tile, .piece = &piece };
  NotchLaneSize size = {
    .batch = 1, .size = SIZE, .halo = HALO, .max_blobs = 4096, .patch_side = 1, .n_channels = 1, .channel = bank
  };
  NotchDevice *device = k->open (0, &fault);
  NotchLane *lane = k->lane_new (device, &size, &fault);
  g_assert_nonnull (lane);
  gint64 n_power = 0;
  for (int i = 0; i < N_SURVEY; i++) {
    k->gather (lane, &(NotchGather){ &batch });
    k->poke (lane, 0, NOTCH_PLANE_Z, z[i]);
    g_assert_cmpint (k->power (lane, &(NotchPower){ &batch, power, &n_power }), ==, 0);
  }
  k->lane_free (lane);
  notch_noise_smooth_spectrum (power, n_power, SIZE, whiten);

  size.n_channels = n_channels, size.whiten = whiten;
  lane = k->lane_new (device, &size, &fault);
  g_assert_nonnull (lane);
  g_autofree NotchChannelStats *stats = g_new0 (NotchChannelStats, n_channels);
  for (int i = 0; i < N_SURVEY; i++) {
    k->gather (lane, &(NotchGather){ &batch });
    k->poke (lane, 0, NOTCH_PLANE_Z, z[i]);
    g_assert_cmpint (k->filter (lane, &(NotchFilter){ &batch, n_channels, bank, stats }), ==, 0);
  }
  const double area = (double) N_TILES * CORE * CORE;
  const NotchNoiseArea areas[] = { { promise->weight, 0.75 * area }, { 1, 0.25 * area } };
  static float weight[AREA];
  for (int i = 0; i < AREA; i++)
    weight[i] = i / SIZE < SIZE / 2 && i % SIZE < SIZE / 2 ? 1 : promise->weight;
  tile.weight = promise->weight < 1 ? weight : NULL;
  double threshold =
      notch_noise_threshold (n_channels, bank, stats, G_N_ELEMENTS (areas), areas, !promise->bright, EXPECTED);
  for (int c = 0; c < n_channels; c++) {
    bank[c].gain = (float) notch_noise_channel_gain (&stats[c], threshold);
    g_assert_cmpfloat_with_epsilon (bank[c].gain, 1, 0.35); /* the coarsest have few independent responses */
  }
  int alarms = 0;
  for (int i = 0; i < N_TILES; i++) {
    NotchTileFound found;
    draw_noise (z[0], promise->blur, random);
    k->gather (lane, &(NotchGather){ &batch });
    k->poke (lane, 0, NOTCH_PLANE_Z, z[0]);
    g_assert_cmpint (k->filter (lane, &(NotchFilter){ &batch, n_channels, bank, NULL }), ==, 0);
    g_assert_cmpint (k->label (lane, &(NotchLabel){ &batch, (float) threshold, 3, 3 }), ==, 0);
    k->finish (lane, &found);
    g_assert_false (found.swamped);
    for (int b = 0; b < found.n_blobs; b++)
      alarms += found.blob[b].n_seed > 0 && !(promise->bright && found.blob[b].peak_dark);
  }
  g_test_message ("%s: %.0f promised, %d observed in %.1f Mpx at %.2f sigmas", promise->name, EXPECTED, alarms,
                  N_TILES * CORE * CORE / 1e6, threshold);
  g_assert_cmpfloat (alarms, >=, EXPECTED / 2.5);
  g_assert_cmpfloat (alarms, <=, EXPECTED * 2.5);
  k->lane_free (lane);
  k->close (device);
}

int
main (int argc, char **argv)
{
  static const Promise promises[] = {
    { "white", FALSE, 0, FALSE, 1 },
    { "white, bright", TRUE, 0, FALSE, 1 },
    { "white, lines", FALSE, 0, TRUE, 1 },
    { "coloured, lines", FALSE, 0.35, TRUE, 1 },
    { "two sensitivities", FALSE, 0, TRUE, 0.5f },
    { "two sensitivities, nearly alike", FALSE, 0, TRUE, 0.95f },
  };
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/noise/fit", test_fit);
  g_test_add_func ("/noise/fit/simple", test_fit_simple);
  g_test_add_func ("/noise/fit/floor", test_fit_floor);
  g_test_add_func ("/noise/spectrum", test_spectrum);
  g_test_add_func ("/noise/spectrum/limits", test_spectrum_limits);
  g_test_add_func ("/noise/gain", test_gain);
  g_test_add_func ("/noise/gain/tail", test_gain_tail);
  g_test_add_func ("/noise/gain/uneven", test_gain_uneven);
  g_test_add_func ("/noise/gain/nothing", test_gain_nothing);
  g_test_add_func ("/noise/peaks", test_peaks);
  g_test_add_func ("/noise/threshold", test_threshold);
  g_test_add_func ("/noise/areas", test_areas);
  for (gsize i = 0; i < G_N_ELEMENTS (promises); i++) {
    g_autofree char *path = g_strdup_printf ("/noise/promise/%s", promises[i].name);
    g_test_add_data_func (path, &promises[i], test_promise);
  }
  return g_test_run ();
}
