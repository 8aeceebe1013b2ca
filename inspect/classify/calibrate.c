/* calibrate.c - probabilities that mean what they say, and where a class begins */
#include "inspect/classify/metrics.h"

#include <math.h>
#include <stdlib.h>

#define LEAST 1e-9 /* probability: a class that a forest has never seen has not the logarithm of 0 */

static double
logarithm (float probability)
{
  return log (MAX ((double) probability, LEAST));
}

void
notch_temper (float *probability, gint64 n, int n_classes, double temperature)
{
  for (gint64 i = 0; i < n; i++) {
    float *row = probability + (gsize) i * (gsize) n_classes;
    double largest = logarithm (row[notch_most_probable (row, n_classes)]), sum = 0;
    for (int k = 0; k < n_classes; k++)
      sum += exp ((logarithm (row[k]) - largest) / temperature);
    for (int k = 0; k < n_classes; k++)
      row[k] = (float) (exp ((logarithm (row[k]) - largest) / temperature) / sum);
  }
}

/* ---- temperature --------------------------------------------------------------------------------------------------- */

/* How the negative log likelihood grows with 1 / temperature, and how that grows: it is convex in it. */
static double
slope (const int *truth, const float *probability, gint64 n, int c, double cold, double *curvature)
{
  double sum = 0;
  *curvature = 0;
  for (gint64 i = 0; i < n; i++) {
    const float *row = probability + (gsize) i * (gsize) c;
    double largest = logarithm (row[notch_most_probable (row, c)]), weight = 0, mean = 0, square = 0;
    for (int k = 0; k < c; k++) {
      double l = logarithm (row[k]) - largest, w = exp (cold * l);
      weight += w;
      mean += w * l;
      square += w * l * l;
    }
    mean /= weight;
    sum += mean - (logarithm (row[truth[i]]) - largest);
    *curvature += square / weight - mean * mean;
  }
  return sum;
}

/* Newton's steps, halving where they leave the bracket. */
double
notch_temperature (const int *truth, const float *probability, gint64 n, int n_classes)
{
  double low = 0.05, high = 20, cold = 1, curvature; /* of 1 / temperature, the range's ends are each other's inverse */
  if (n == 0)
    return 1;
  for (int round = 0; round < 100 && high - low > 1e-9 * low; round++) {
    double s = slope (truth, probability, n, n_classes, cold, &curvature), next = cold - s / curvature;
    if (s > 0)
      high = cold;
    else
      low = cold;
    if (fabs (next - cold) < 1e-9 * cold)
      break;
    cold = next > low && next < high ? next : 0.5 * (low + high);
  }
  return 1 / cold;
}

/* ---- thresholds ---------------------------------------------------------------------------------------------------- */

typedef struct {
  float confidence;
  gboolean right;
} Call;

static int
compare_down (const void *a, const void *b)
{
  float x = ((const Call *) a)->confidence, y = ((const Call *) b)->confidence;
  return (x < y) - (x > y);
}

/* Calls of one class, the surest first. A threshold lies midway between a call that it lets pass and the next. */
static double
find_threshold (const Call *call, gint64 n, double purity)
{
  double best = 0, threshold = 0;
  gint64 right = 0;
  for (gint64 i = 0; i < n; i++) {
    right += call[i].right;
    if (i + 1 < n && call[i + 1].confidence == call[i].confidence)
      continue;
    double pure = (double) right / (double) (i + 1);
    if (pure < best)
      continue;
    best = MIN (pure, purity); /* purer than asked for is no better */
    threshold = i + 1 < n ? 0.5 * ((double) call[i].confidence + call[i + 1].confidence) : 0;
  }
  return threshold;
}

void
notch_purity_thresholds (const int *truth, const float *probability, gint64 n, int n_classes, double purity,
                         double *threshold)
{
  g_autofree Call *call = g_new (Call, n);
  for (int k = 0; k < n_classes; k++) {
    gint64 n_called = 0;
    for (gint64 i = 0; i < n; i++) {
      const float *row = probability + (gsize) i * (gsize) n_classes;
      if (notch_most_probable (row, n_classes) == k)
        call[n_called++] = (Call){ row[k], truth[i] == k };
    }
    qsort (call, (gsize) n_called, sizeof *call, compare_down);
    threshold[k] = find_threshold (call, n_called, purity);
  }
}
