/* noise.c - see noise.h */
#include "inspect/detect/noise.h"

#include "inspect/compute/parallel.h"

#include <math.h>
#include <string.h>

enum { TERMS = 5 };

/* Non-negative least squares of a small system by coordinate descent on the normal equations; it converges for any
 * positive semi-definite matrix, and five terms need few rounds. */
static void
solve_non_negative (double m[TERMS][TERMS], const double right[TERMS], double c[TERMS])
{
  for (int round = 0; round < 2000; round++) {
    double change = 0;
    for (int i = 0; i < TERMS; i++) {
      if (m[i][i] <= 0)
        continue;
      double sum = right[i];
      for (int j = 0; j < TERMS; j++)
        if (j != i)
          sum -= m[i][j] * c[j];
      double next = MAX (sum / m[i][i], 0);
      change += fabs (next - c[i]) * sqrt (m[i][i]);
      c[i] = next;
    }
    if (change < 1e-12)
      break;
  }
}

static double
median_ratio (const NotchNoiseSample *sample, gsize n)
{
  guint64 count[4096] = { 0 }, total = 0, sum = 0;
  for (gsize i = 0; i < n; i++, total++) { /* bins of 1/16 octave */
    double r = sample[i].residual2;
    int bin = r > 0 ? (int) ((log2 (r) + 64) * 16) : 0;
    count[CLAMP (bin, 0, 4095)]++;
  }
  int bin = 0;
  while (bin < 4095 && (sum += count[bin]) * 2 < total)
    bin++;
  return exp2 ((bin + 0.5) / 16 - 64) / 0.4549; /* the median of chi-squared with one degree of freedom */
}

/* The normal equations of a round, over one part of the samples. Parts are what they are, so that sums do not depend on who
 * takes them. */
enum { PARTS = 32 };
typedef struct {
  double m[TERMS][TERMS], right[TERMS];
} Equations;

typedef struct {
  const NotchNoiseSample *sample;
  gsize n;
  const double *c; /* of the round before */
  double cut;
  gboolean first;
  Equations part[PARTS];
} Round;

static void
add_part (gpointer data, int p)
{
  Round *round = data;
  Equations sum = { 0 };
  double c[TERMS];
  memcpy (c, round->c, sizeof c);
  for (gsize i = round->n * (gsize) p / PARTS; i < round->n * (gsize) (p + 1) / PARTS; i++) {
    const NotchNoiseSample *sample = &round->sample[i];
    double level = MAX (sample->level, 0);
    const double term[TERMS] = { 1, level, sample->gradient2, sample->laplacian2, level * level };
    double variance = 0;
/* Unrolled, the sums need two thirds of the time. */
#pragma GCC unroll TERMS
    for (int j = 0; j < TERMS; j++)
      variance += c[j] * term[j];
    /* In the first round nothing is known of edges: there only the flat half is a judge of outliers. */
    if (sample->residual2 > round->cut * variance && (!round->first || sample->gradient2 < variance))
      continue;
    double weight = 1 / (variance * variance); /* the variance of a squared residual is twice its square */
#pragma GCC unroll TERMS
    for (int j = 0; j < TERMS; j++) {
#pragma GCC unroll TERMS
      for (int k = 0; k <= j; k++)
        sum.m[j][k] += weight * term[j] * term[k];
      sum.right[j] += weight * term[j] * sample->residual2;
    }
  }
  round->part[p] = sum;
}

NotchNoise
notch_noise_fit (const NotchNoiseSample *sample, gsize n, double floor, int jobs)
{
  /* Left out beyond five sigmas, a Gaussian's variance loses next to nothing; the cut only keeps defects out. */
  double c[TERMS] = { n > 0 ? MAX (median_ratio (sample, n), floor) : floor, 0, 0, 0, 0 };
  for (int number = 0; number < 6; number++) {
    Round round = { .sample = sample, .n = n, .c = c, .cut = number == 0 ? 36 : 25, .first = number == 0 };
    double m[TERMS][TERMS] = { { 0 } }, right[TERMS] = { 0 }, scale[TERMS] = { 0 };
    notch_parallel (jobs, PARTS, add_part, &round);
    for (int p = 0; p < PARTS; p++)
      for (int j = 0; j < TERMS; j++) {
        for (int i = 0; i <= j; i++)
          m[j][i] += round.part[p].m[j][i];
        right[j] += round.part[p].right[j];
      }
    for (int j = 0; j < TERMS; j++)
      scale[j] = m[j][j] > 0 ? 1 / sqrt (m[j][j]) : 0;
    for (int j = 0; j < TERMS; j++) {
      right[j] *= scale[j];
      for (int k = 0; k <= j; k++)
        m[j][k] = m[k][j] = m[j][k] * scale[j] * scale[k];
    }
    double scaled[TERMS];
    for (int j = 0; j < TERMS; j++)
      scaled[j] = scale[j] > 0 ? c[j] / scale[j] : 0;
    solve_non_negative (m, right, scaled);
    for (int j = 0; j < TERMS; j++)
      c[j] = scaled[j] * scale[j];
    c[0] = MAX (c[0], floor);
  }
  return (NotchNoise){ (float) c[0], (float) c[1], (float) c[2], (float) c[3], (float) c[4] };
}

/* ---- spectrum -------------------------------------------------------------------------------------------------- */

#define DIRECTIONS 12

void
notch_noise_smooth_spectrum (const double *sum, gint64 n_tiles, int size, float *whiten)
{
  /* Cells of radius (2 bins wide at first, wider outside) and direction; the spectrum of a residual is smooth. */
  int columns = size / 2 + 1, rings = 48;
  g_autofree double *cell = g_new0 (double, (gsize) rings *DIRECTIONS),
                    *count = g_new0 (double, (gsize) rings *DIRECTIONS);
  for (int pass = 0; pass < 2; pass++)
    for (int y = 0; y < size; y++)
      for (int x = 0; x < columns; x++) {
        double fy = (double) (y <= size / 2 ? y : y - size) / size, fx = (double) x / size;
        double ring = sqrt (hypot (fx, fy) / 0.7072) * (rings - 1), turn = (atan2 (fy, fx) / G_PI + 0.5) * DIRECTIONS;
        int r0 = MIN ((int) ring, rings - 2), d0 = (int) floor (turn - 0.5);
        double rf = ring - r0, df = turn - 0.5 - d0, value = 0, weight = 0;
        for (int i = 0; i < 4; i++) {
          int at = (r0 + i / 2) * DIRECTIONS + ((d0 + i % 2) % DIRECTIONS + DIRECTIONS) % DIRECTIONS;
          double share = (i / 2 ? rf : 1 - rf) * (i % 2 ? df : 1 - df);
          if (pass == 0) {
            cell[at] += share * sum[(gsize) y * columns + x] / MAX (n_tiles, 1);
            count[at] += share;
          } else if (count[at] > 0) {
            value += share * cell[at] / count[at];
            weight += share;
          }
        }
        if (pass == 1)
          /* Limits: what is dead would be blown up, and what a defect in the sample added would be thrown away. */
          whiten[(gsize) y * columns + x] = (float) CLAMP (weight > 0 ? value / weight : 1, 0.3, 30);
      }
  /* The spectrum's shape is the residual's, its level at least the noise model's. */
  double level = 0;
  for (int i = 0; i < size * columns; i++)
    level += whiten[i] / ((double) size * columns);
  for (int i = 0; i < size * columns && level < 1; i++)
    whiten[i] = (float) (whiten[i] / level);
}

/* ---- channels -------------------------------------------------------------------------------------------------- */

static double
upper_tail (double u) /* P (Z > u) */
{
  return 0.5 * erfc (u / G_SQRT2);
}

static gint64
count_above (const NotchChannelStats *stats, double response)
{
  gint64 n = 0;
  for (int i = MAX ((int) ceil (response / NOTCH_HISTOGRAM_STEP), 0); i < NOTCH_HISTOGRAM_BINS; i++)
    n += stats->histogram[i];
  return n;
}

double
notch_noise_spread (const NotchChannelStats *stats)
{
  gint64 total = count_above (stats, 0), sum = 0;
  if (total == 0)
    return 1;
  int bin = 0;
  while (bin < NOTCH_HISTOGRAM_BINS - 1 && (sum + stats->histogram[bin]) * 2 < total)
    sum += stats->histogram[bin++];
  double within =
      stats->histogram[bin] > 0 ? (0.5 * (double) total - (double) sum) / (double) stats->histogram[bin] : 0.5;
  return (bin + within) * NOTCH_HISTOGRAM_STEP / 0.67449;
}

/* The root of the determinant of the gradient's covariance, a sample of the response to the next; 0: nothing counted. */
static double
gradient_root (const NotchChannelStats *stats)
{
  if (stats->n == 0 || stats->sum2 <= 0)
    return 0;
  double xx = stats->sum_dx2 / stats->sum2, yy = stats->sum_dy2 / stats->sum2, xy = stats->sum_dxdy / stats->sum2;
  return sqrt (MAX (xx * yy - xy * xy, 0));
}

/* Responses of which neighbours tell the same. */
static double
patch_of (const NotchChannelStats *stats)
{
  double det = gradient_root (stats);
  return det > 0 ? MAX (2 * G_PI / det, 1) : 1;
}

/* Where edges are rough a filter's responses vary more in one place than in another. Variances that are spread like a Gamma
 * variable make responses that are Gaussian to the eye and have a long tail: the variance-gamma distribution (Madan and
 * Seneta 1990), in radar the K distribution of clutter (Jakeman and Pusey 1976). Their kurtosis tells how long, far better
 * than the few responses that lie out there, among which are defects. */
#define UNEVEN_CUT   4.5 /* spreads: what is beyond is not asked */
#define UNEVEN_MOST  1   /* the largest variance of variances */
#define UNEVEN_STEPS 64  /* in which variances are summed up */

/* Variances of mean 1 that are spread like a Gamma variable, and how many there are of each. */
typedef struct {
  double variance[UNEVEN_STEPS], part[UNEVEN_STEPS];
} Uneven;

/* `unevenness`: the variances' own variance, above 0. */
static Uneven
uneven_of (double unevenness)
{
  Uneven uneven;
  double sum = 0, shape = 1 / unevenness, low = MAX (1 - 6 * sqrt (unevenness), 0);
  double step = (1 + 8 * sqrt (unevenness) + 16 * unevenness - low) / UNEVEN_STEPS;
  for (int i = 0; i < UNEVEN_STEPS; i++) {
    double x = uneven.variance[i] = low + (i + 0.5) * step;
    sum += uneven.part[i] = exp ((shape - 1) * log (x) - shape * (x - 1));
  }
  for (int i = 0; i < UNEVEN_STEPS; i++)
    uneven.part[i] /= sum;
  return uneven;
}

/* The response that a part p of all is above. */
static double
uneven_quantile (const Uneven *uneven, double p)
{
  double low = 0, high = 40;
  for (int i = 0; i < 30; i++) {
    double middle = 0.5 * (low + high), above = 0;
    for (int k = 0; k < UNEVEN_STEPS; k++)
      above += uneven->part[k] * upper_tail (middle / sqrt (uneven->variance[k]));
    if (above > p)
      low = middle;
    else
      high = middle;
  }
  return high;
}

/* The kurtosis of what lies within UNEVEN_CUT spreads. */
static double
uneven_kurtosis (const Uneven *uneven)
{
  double cut = UNEVEN_CUT * uneven_quantile (uneven, 0.25) / 0.67449, n = 0, square = 0, fourth = 0;
  for (int i = 0; i < UNEVEN_STEPS; i++) {
    double v = uneven->variance[i], c = cut / sqrt (v), within = erf (c / G_SQRT2);
    double rim = sqrt (2 / G_PI) * c * exp (-c * c / 2);
    n += uneven->part[i] * within;
    square += uneven->part[i] * v * (within - rim);
    fourth += uneven->part[i] * v * v * (3 * within - rim * (3 + c * c));
  }
  return n * fourth / (square * square);
}

/* The least unevenness that explains the kurtosis of what was counted, but for two standard errors of it; 0 where an even
 * variance does. A kurtosis is uncertain by 24 over the number of responses that are independent in their fourth power;
 * of a patch there are four. */
static double
unevenness (const NotchChannelStats *stats, gint64 total, double patch)
{
  int last = MIN ((int) (UNEVEN_CUT * notch_noise_spread (stats) / NOTCH_HISTOGRAM_STEP), NOTCH_HISTOGRAM_BINS - 1);
  double n = 0, square = 0, fourth = 0, low = 1e-3, high = UNEVEN_MOST;
  for (int i = 0; i < last; i++) {
    double size2 = pow ((i + 0.5) * NOTCH_HISTOGRAM_STEP, 2), here = (double) stats->histogram[i];
    n += here, square += here * size2, fourth += here * size2 * size2;
  }
  double proven = square > 0 ? n * fourth / (square * square) - 2 * sqrt (6 * patch / (double) total) : 0;
  const Uneven least = uneven_of (low);
  if (proven <= uneven_kurtosis (&least))
    return 0;
  for (int i = 0; i < 12; i++) {
    double middle = 0.5 * (low + high);
    const Uneven uneven = uneven_of (middle);
    if (uneven_kurtosis (&uneven) < proven)
      low = middle;
    else
      high = middle;
  }
  return low;
}

/* How much further out, in spreads, as many responses lie as a Gaussian has above u. */
static double
uneven_widening (double unevenness, double u)
{
  if (unevenness == 0)
    return 1;
  const Uneven uneven = uneven_of (unevenness);
  return uneven_quantile (&uneven, upper_tail (u)) / (u * uneven_quantile (&uneven, 0.25) / 0.67449);
}

double
notch_noise_channel_gain (const NotchChannelStats *stats, double u)
{
  gint64 total = count_above (stats, 0);
  if (total == 0)
    return 1;
  /* A measured spread is uncertain, and a threshold far out in the tail forgives too small a spread less than it thanks for
   * one too large: a standard error is added, that of the median of a Gaussian's size. */
  double patch = patch_of (stats), error = 1 + 1.17 / sqrt (2 * (double) total / patch);
  double measured = notch_noise_spread (stats), widen = uneven_widening (unevenness (stats, total, patch), u);
  /* Quieter than the model says is no reason to see more in it: a binarised image has next to no noise, and a recipe may
   * ask for a margin. */
  double spread = MAX (measured, 0.9), tamed = 1;
  /* Where more exceeds t spreads than a Gaussian gives, the response is divided by t / (the t that would give as many);
   * the largest such factor between 3 and 4.5 counts. Neighbouring responses go together, so a count is as uncertain as
   * that of its independent patches, and only what two standard deviations leave of it is proof. */
  for (double t = 3; t <= 4.5; t += 0.5) {
    double n = (double) count_above (stats, t * spread * error), proven = n - 2 * sqrt (n * patch);
    double p = proven / (double) total / 2, low = 0, high = 10;
    if (proven <= 0)
      break;
    for (int i = 0; i < 50; i++) {
      double middle = 0.5 * (low + high);
      if (upper_tail (middle) > p)
        low = middle;
      else
        high = middle;
    }
    tamed = MAX (tamed, t / low);
  }
  return 1 / (error * MAX (spread * MIN (tamed, 2), measured * MIN (widen, 2)));
}

double
notch_noise_peaks (const NotchChannelStats *stats, int decimate, double u, gboolean two_sided)
{
  double peaks = gradient_root (stats) * pow (2 * G_PI, -1.5) * u * exp (-u * u / 2);
  return (two_sided ? 2 : 1) * MIN (peaks, upper_tail (u)) / ((double) decimate * decimate);
}

double
notch_noise_threshold (int n_channels, const NotchChannel *channel, const NotchChannelStats *stats, int n_areas,
                       const NotchNoiseArea *area, gboolean two_sided, double expected)
{
  double low = 2, high = 40;
  for (int i = 0; i < 60; i++) {
    double middle = 0.5 * (low + high), total = 0;
    for (int a = 0; a < n_areas; a++)
      for (int c = 0; c < n_channels; c++)
        total +=
            area[a].n_pixels * notch_noise_peaks (&stats[c], channel[c].decimate, middle / area[a].weight, two_sided);
    if (total > expected)
      low = middle;
    else
      high = middle;
  }
  return high;
}
