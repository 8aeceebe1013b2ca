/* fit.c - the statistics of scoring: intervals of proportions and counts, capture against SNR */
#include "inspect/score/score.h"

#include "inspect/order.h"
#include "inspect/random.h"

#include <math.h>

void
notch_score_wilson (int k, int n, double *low, double *high)
{
  *low = 0;
  *high = 1;
  if (n == 0)
    return;
  const double z = 1.959963985;
  double p = (double) k / n, centre = p + z * z / (2 * n), half = z * sqrt (p * (1 - p) / n + z * z / (4.0 * n * n));
  *low = k == 0 ? 0 : (centre - half) / (1 + z * z / n);
  *high = k == n ? 1 : (centre + half) / (1 + z * z / n);
}

/* P (X <= k) for a Poisson count of mean m, m >= k + 1; P (X >= k), m <= k. Terms fall from k on. */
static double
poisson_tail (int k, double m, gboolean below)
{
  double term = exp (k * log (m) - m - lgamma (k + 1.0)), sum = 0;
  for (double i = k; term > 1e-17 * sum && i >= 0; i += below ? -1 : 1) {
    sum += term;
    term *= below ? i / m : m / (i + 1);
  }
  return sum;
}

void
notch_score_poisson (int k, double *low, double *high)
{
  double from = 0, to = k;
  for (int i = 0; i < 60 && k > 0; i++) {
    double middle = 0.5 * (from + to);
    if (poisson_tail (k, middle, FALSE) < 0.025)
      from = middle;
    else
      to = middle;
  }
  *low = from;
  from = k + 1, to = k + 20 + 10 * sqrt (k);
  for (int i = 0; i < 60; i++) {
    double middle = 0.5 * (from + to);
    if (poisson_tail (k, middle, TRUE) > 0.025)
      from = middle;
    else
      to = middle;
  }
  *high = to;
}

/* ---- capture against SNR ----------------------------------------------------------------------------------------- */

/* The trials on a scale of mean 0 and deviation 1. */
typedef struct {
  const double *t;
  const gboolean *captured;
  int n;
} Trials;

/* Keeps the slope finite where one SNR parts all captured from all missed. */
#define RIDGE 1e-3

static double
likelihood (const Trials *trials, double top, const double b[2])
{
  double sum = -0.5 * RIDGE * b[1] * b[1];
  for (int i = 0; i < trials->n; i++) {
    double p = top / (1 + exp (-b[0] - b[1] * trials->t[i]));
    sum += log (MAX (trials->captured[i] ? p : 1 - p, 1e-300));
  }
  return sum;
}

/* Fisher scoring for a given top, from and into b. Gives the log likelihood. */
static double
climb (const Trials *trials, double top, double b[2])
{
  double now = likelihood (trials, top, b);
  for (int round = 0; round < 100; round++) {
    double g[2] = { 0, -RIDGE * b[1] }, h[3] = { 1e-12, 0, RIDGE };
    for (int i = 0; i < trials->n; i++) {
      double t = trials->t[i], s = 1 / (1 + exp (-b[0] - b[1] * t)), p = top * s, d = top * s * (1 - s);
      double v = MAX (p * (1 - p), 1e-12), pull = (trials->captured[i] - p) * d / v, weight = d * d / v;
      g[0] += pull, g[1] += pull * t;
      h[0] += weight, h[1] += weight * t, h[2] += weight * t * t;
    }
    double det = h[0] * h[2] - h[1] * h[1], step = 1, next = now;
    double move[2] = { (h[2] * g[0] - h[1] * g[1]) / det, (h[0] * g[1] - h[1] * g[0]) / det };
    if (!(det > 0))
      return now;
    for (; step > 1e-6; step /= 2) {
      const double try[2] = { b[0] + step * move[0], b[1] + step * move[1] };
      next = likelihood (trials, top, try);
      if (next > now)
        break;
    }
    if (!(next > now))
      return now;
    b[0] += step * move[0], b[1] += step * move[1];
    gboolean settled = next - now < 1e-10;
    now = next;
    if (settled)
      return now;
  }
  return now;
}

/* With `fixed` the top is that, else it is found. */
static gboolean
fit (const double *snr, const gboolean *captured, int n, double fixed, NotchScoreCurve *curve)
{
  double mean = 0, variance = 0, largest = 0;
  int hits = 0;
  for (int i = 0; i < n; i++) {
    mean += snr[i] / n, hits += captured[i] != 0;
    largest = MAX (largest, snr[i]);
  }
  for (int i = 0; i < n; i++)
    variance += (snr[i] - mean) * (snr[i] - mean) / n;
  if (n < 20 || hits < 3 || n - hits < 3 || !(variance > 0))
    return FALSE;
  double deviation = sqrt (variance);
  g_autofree double *t = g_new (double, n);
  for (int i = 0; i < n; i++)
    t[i] = (snr[i] - mean) / deviation;
  const Trials trials = { t, captured, n };
  double b[2] = { 0, 1 }, top = fixed > 0 ? fixed : 1, best = climb (&trials, top, b), full = best;
  /* A curve that stays below 1 must say clearly more than one that does not: 2 in log likelihood for its parameter. */
  for (int percent = 99; percent >= 50 && !(fixed > 0); percent--) {
    double other[2] = { b[0], b[1] }, value = climb (&trials, percent / 100.0, other);
    if (value > best && value > full + 2) {
      best = value, top = percent / 100.0;
      b[0] = other[0], b[1] = other[1];
    }
  }
  if (!(b[1] > 0))
    return FALSE;
  *curve = (NotchScoreCurve){ .top = top, .slope = b[1] / deviation, .snr50 = NAN, .snr90 = NAN };
  curve->middle = mean - b[0] / curve->slope;
  if (top > 0.5)
    curve->snr50 = curve->middle + log (0.5 / (top - 0.5)) / curve->slope;
  if (top > 0.95)
    curve->snr90 = curve->middle + log (0.9 / (top - 0.9)) / curve->slope;
  /* What lies beyond all trials was not measured. */
  if (curve->snr50 > largest)
    curve->snr50 = NAN;
  if (curve->snr90 > largest)
    curve->snr90 = NAN;
  return TRUE;
}

gboolean
notch_score_fit (const double *snr, const gboolean *captured, int n, NotchScoreCurve *curve)
{
  return fit (snr, captured, n, 0, curve);
}

/* ---- bootstrap --------------------------------------------------------------------------------------------------- */

#define ROUNDS 400

/* Percentiles; an end that lies among the rounds that had no value is open. */
static NotchScoreInterval
percentiles (double value[ROUNDS], gboolean known)
{
  qsort (value, ROUNDS, sizeof *value, notch_compare_up);
  double low = value[(int) (0.025 * ROUNDS)], high = value[(int) (0.975 * ROUNDS)];
  return (NotchScoreInterval){ known && isfinite (low) ? low : NAN, known && isfinite (high) ? high : NAN };
}

void
notch_score_bootstrap (const double *snr, const gboolean *captured, const NotchScoreCurve *curve, const gboolean *other,
                       const NotchScoreCurve *other_curve, int n, NotchScoreSpread *spread)
{
  double snr50[ROUNDS], snr90[ROUNDS], gap[ROUNDS];
  g_autofree double *s = g_new (double, n);
  g_autofree gboolean *c = g_new (gboolean, n), *o = g_new (gboolean, n);
  NotchRandom random = { 1 };
  for (int round = 0; round < ROUNDS; round++) {
    NotchScoreCurve one, two;
    for (int i = 0; i < n; i++) {
      int from = notch_random_below (&random, n);
      s[i] = snr[from], c[i] = captured[from], o[i] = other && other[from];
    }
    gboolean fits = fit (s, c, n, curve->top, &one);
    snr50[round] = fits && !isnan (one.snr50) ? one.snr50 : INFINITY;
    snr90[round] = fits && !isnan (one.snr90) ? one.snr90 : INFINITY;
    gboolean both = fits && other && fit (s, o, n, other_curve->top, &two) && !isnan (one.snr90) && !isnan (two.snr90);
    gap[round] = both ? one.snr90 - two.snr90 : INFINITY;
  }
  spread->snr50 = percentiles (snr50, !isnan (curve->snr50));
  spread->snr90 = percentiles (snr90, !isnan (curve->snr90));
  spread->gap = percentiles (gap, other && !isnan (curve->snr90) && !isnan (other_curve->snr90));
}
