/* metrics.c - figures of a classifier, and how sure they are */
#include "inspect/classify/metrics.h"

#include "inspect/order.h"
#include "inspect/random.h"

#include <stdlib.h>
#include <string.h>

/* ---- figures of sums ----------------------------------------------------------------------------------------------- */

/* Whatever a figure is made of; each example adds to it, as often as its wafer was drawn. */
typedef struct {
  int c;
  gint64 n;
  gint64 *confusion; /* c x (c + 1) */
  double brier;
  double confidence[NOTCH_RELIABILITY_BINS];
  gint64 in_bin[NOTCH_RELIABILITY_BINS], right_in_bin[NOTCH_RELIABILITY_BINS];
} Sums;

/* What an example adds. */
typedef struct {
  int cell, bin;
  gboolean right; /* its most probable class is the true one */
  double confidence, brier;
} Share;

/* The figures in a row: these, then purity, recall and F1 of every class. */
enum { MACRO_F1, ACCURACY, KAPPA, ECE, BRIER, N_OVERALL };

int
notch_most_probable (const float *probability, int n_classes)
{
  int best = 0;
  for (int k = 1; k < n_classes; k++)
    if (probability[k] > probability[best])
      best = k;
  return best;
}

static Share
share_of (int truth, int called, const float *probability, int c)
{
  int best = notch_most_probable (probability, c);
  Share share = { .cell = truth * (c + 1) + called, .right = best == truth, .confidence = probability[best] };
  /* a float just above the end of its bin is meant to be in it */
  double above = share.confidence * NOTCH_RELIABILITY_BINS - 1e-5;
  share.bin = CLAMP ((int) ceil (above) - 1, 0, NOTCH_RELIABILITY_BINS - 1);
  for (int k = 0; k < c; k++) {
    double off = probability[k] - (k == truth);
    share.brier += off * off;
  }
  return share;
}

static void
add_share (Sums *sums, const Share *share, gint64 times)
{
  sums->n += times;
  sums->confusion[share->cell] += times;
  sums->brier += (double) times * share->brier;
  sums->confidence[share->bin] += (double) times * share->confidence;
  sums->in_bin[share->bin] += times;
  sums->right_in_bin[share->bin] += times * share->right;
}

static double
ratio (double part, double whole)
{
  return whole > 0 ? part / whole : NAN;
}

static double
calibration_error (const Sums *sums)
{
  double sum = 0;
  for (int i = 0; i < NOTCH_RELIABILITY_BINS; i++)
    sum += fabs ((double) sums->right_in_bin[i] - sums->confidence[i]);
  return ratio (sum, (double) sums->n);
}

static void
make_figures (const Sums *sums, double *figure)
{
  int c = sums->c, n_present = 0;
  double *purity = figure + N_OVERALL, *recall = purity + c, *f1 = recall + c;
  double right = 0, by_chance = 0, f1_sum = 0, n = (double) sums->n;
  for (int k = 0; k < c; k++) {
    double is = 0, called = 0, both = (double) sums->confusion[k * (c + 1) + k];
    for (int j = 0; j <= c; j++)
      is += (double) sums->confusion[k * (c + 1) + j];
    for (int j = 0; j < c; j++)
      called += (double) sums->confusion[j * (c + 1) + k];
    purity[k] = ratio (both, called);
    recall[k] = ratio (both, is);
    f1[k] = is > 0 ? 2 * both / (is + called) : NAN;
    f1_sum += is > 0 ? f1[k] : 0;
    n_present += is > 0;
    right += both;
    by_chance += is * called;
  }
  figure[MACRO_F1] = ratio (f1_sum, n_present);
  figure[ACCURACY] = ratio (right, n);
  figure[KAPPA] = ratio (right * n - by_chance, n * n - by_chance);
  figure[ECE] = calibration_error (sums);
  figure[BRIER] = ratio (sums->brier, n);
}

/* ---- bootstrap ----------------------------------------------------------------------------------------------------- */

/* 2.5 and 97.5 % of the rounds that gave the figure; nothing when those are not most. */
static void
set_interval (NotchMetric *metric, const double *value, gsize stride)
{
  double known[NOTCH_BOOTSTRAP_ROUNDS];
  int n = 0;
  for (gsize round = 0; round < NOTCH_BOOTSTRAP_ROUNDS; round++)
    if (!isnan (value[round * stride]))
      known[n++] = value[round * stride];
  metric->low = metric->high = NAN;
  if (isnan (metric->value) || 2 * n <= NOTCH_BOOTSTRAP_ROUNDS)
    return;
  qsort (known, (gsize) n, sizeof *known, notch_compare_up);
  metric->low = known[(int) (0.025 * (n - 1) + 0.5)];
  metric->high = known[(int) (0.975 * (n - 1) + 0.5)];
}

static NotchMetric **
list_metrics (NotchMetrics *m)
{
  int c = m->n_classes;
  NotchMetric **list = g_new (NotchMetric *, N_OVERALL + 3 * (gsize) c);
  list[MACRO_F1] = &m->macro_f1;
  list[ACCURACY] = &m->accuracy;
  list[KAPPA] = &m->kappa;
  list[ECE] = &m->ece;
  list[BRIER] = &m->brier;
  for (int k = 0; k < c; k++) {
    list[N_OVERALL + k] = &m->purity[k];
    list[N_OVERALL + c + k] = &m->recall[k];
    list[N_OVERALL + 2 * c + k] = &m->f1[k];
  }
  return list;
}

static void
clear_sums (Sums *sums)
{
  gint64 *confusion = sums->confusion;
  int c = sums->c;
  memset (confusion, 0, sizeof *confusion * (gsize) c * (c + 1));
  *sums = (Sums){ .c = c, .confusion = confusion };
}

/* The figures of every round, a row each. */
static void
resample (const Share *share, const int *wafer, const NotchMetrics *m, guint64 seed, Sums *sums, double *figure)
{
  gsize stride = N_OVERALL + 3 * (gsize) m->n_classes;
  g_autofree gint64 *times = g_new (gint64, m->n_wafers);
  for (int round = 0; round < NOTCH_BOOTSTRAP_ROUNDS; round++) {
    NotchRandom random = notch_random_at (seed, NOTCH_STREAM_BOOTSTRAP, round, 0);
    memset (times, 0, sizeof *times * (gsize) m->n_wafers);
    for (int i = 0; i < m->n_wafers; i++)
      times[notch_random_below (&random, m->n_wafers)]++;
    clear_sums (sums);
    for (gint64 i = 0; i < m->n; i++)
      if (times[wafer[i]] > 0)
        add_share (sums, &share[i], times[wafer[i]]);
    make_figures (sums, figure + (gsize) round * stride);
  }
}

/* Wafers that have examples, numbered anew from 0: those without must not be drawn. */
static int *
number_wafers (const int *wafer, gint64 n, int *n_wafers)
{
  int *dense = g_new (int, n), largest = 0;
  for (gint64 i = 0; i < n; i++)
    largest = MAX (largest, wafer[i]);
  g_autofree int *number = g_new (int, (gsize) largest + 1);
  memset (number, -1, sizeof *number * ((gsize) largest + 1));
  *n_wafers = 0;
  for (gint64 i = 0; i < n; i++) {
    if (number[wafer[i]] < 0)
      number[wafer[i]] = (*n_wafers)++;
    dense[i] = number[wafer[i]];
  }
  return dense;
}

NotchMetrics *
notch_metrics_new (const int *truth, const int *called, const int *wafer, const float *probability, gint64 n,
                   int n_classes, guint64 seed)
{
  NotchMetrics *m = g_new0 (NotchMetrics, 1);
  gsize c = (gsize) n_classes, n_figures = N_OVERALL + 3 * c;
  m->n_classes = n_classes;
  m->n = n;
  m->confusion = g_new0 (gint64, c * (c + 1));
  m->purity = g_new0 (NotchMetric, c);
  m->recall = g_new0 (NotchMetric, c);
  m->f1 = g_new0 (NotchMetric, c);
  g_autofree int *dense = number_wafers (wafer, n, &m->n_wafers);
  g_autofree Share *share = g_new (Share, n);
  g_autofree gint64 *counts = g_new0 (gint64, c * (c + 1));
  Sums sums = { .c = n_classes, .confusion = counts };
  for (gint64 i = 0; i < n; i++) {
    share[i] = share_of (truth[i], called[i], probability + (gsize) i * c, n_classes);
    add_share (&sums, &share[i], 1);
  }
  memcpy (m->confusion, counts, sizeof *counts * c * (c + 1));
  for (int i = 0; i < NOTCH_RELIABILITY_BINS; i++) {
    double in_bin = (double) sums.in_bin[i];
    m->bin[i] = (NotchReliability){ sums.in_bin[i], ratio (sums.confidence[i], in_bin),
                                    ratio ((double) sums.right_in_bin[i], in_bin) };
  }
  g_autofree double *figure = g_new (double, n_figures), *rounds = NULL;
  g_autofree NotchMetric **metric = list_metrics (m);
  make_figures (&sums, figure);
  if (m->n_wafers > 1) {
    rounds = g_new (double, n_figures *NOTCH_BOOTSTRAP_ROUNDS);
    resample (share, dense, m, seed, &sums, rounds);
  }
  for (gsize i = 0; i < n_figures; i++) {
    *metric[i] = (NotchMetric){ figure[i], NAN, NAN };
    if (rounds)
      set_interval (metric[i], rounds + i, n_figures);
  }
  return m;
}

void
notch_metrics_free (NotchMetrics *metrics)
{
  if (!metrics)
    return;
  g_free (metrics->confusion);
  g_free (metrics->purity);
  g_free (metrics->recall);
  g_free (metrics->f1);
  g_free (metrics);
}

/* ---- ranks --------------------------------------------------------------------------------------------------------- */

typedef struct {
  double score;
  gboolean positive;
} Scored;

static int
compare_down (const void *a, const void *b)
{
  double x = ((const Scored *) a)->score, y = ((const Scored *) b)->score;
  return (x < y) - (x > y);
}

static Scored *
rank (const double *score, const gboolean *positive, gint64 n, gint64 *n_positive)
{
  Scored *list = g_new (Scored, n);
  *n_positive = 0;
  for (gint64 i = 0; i < n; i++) {
    list[i] = (Scored){ score[i], positive[i] != 0 };
    *n_positive += list[i].positive;
  }
  qsort (list, (gsize) n, sizeof *list, compare_down);
  return list;
}

/* The end of the scores that equal list[i]'s. */
static gint64
end_of_ties (const Scored *list, gint64 n, gint64 i)
{
  gint64 end = i + 1;
  while (end < n && list[end].score == list[i].score)
    end++;
  return end;
}

double
notch_auroc (const double *score, const gboolean *positive, gint64 n)
{
  gint64 n_positive, above = 0;
  g_autofree Scored *list = rank (score, positive, n, &n_positive);
  double area = 0;
  for (gint64 i = 0, end; i < n; i = end) {
    gint64 here = 0;
    end = end_of_ties (list, n, i);
    for (gint64 k = i; k < end; k++)
      here += list[k].positive;
    area += (double) (end - i - here) * ((double) above + 0.5 * (double) here);
    above += here;
  }
  return ratio (area, (double) n_positive * (double) (n - n_positive));
}

GArray *
notch_nuisance_curve (const double *score, const gboolean *nuisance, gint64 n)
{
  gint64 n_nuisance, out[2] = { 0, 0 };
  g_autofree Scored *list = rank (score, nuisance, n, &n_nuisance);
  if (n_nuisance == 0 || n_nuisance == n)
    return NULL;
  GArray *curve = g_array_new (FALSE, FALSE, sizeof (NotchNuisancePoint));
  NotchNuisancePoint point = { INFINITY, 1, 0 };
  g_array_append_val (curve, point);
  for (gint64 i = 0, end; i < n; i = end) {
    end = end_of_ties (list, n, i);
    for (gint64 k = i; k < end; k++)
      out[list[k].positive]++;
    point.above = list[i].score;
    point.kept = 1 - (double) out[0] / (double) (n - n_nuisance);
    point.removed = (double) out[1] / (double) n_nuisance;
    g_array_append_val (curve, point);
  }
  return curve;
}

double
notch_nuisance_score (const float *probability, const gboolean *nuisance, int n_classes)
{
  double score = 0;
  for (int k = 0; k < n_classes; k++)
    score += nuisance[k] ? (double) probability[k] : 0;
  return score;
}

NotchNuisancePoint
notch_nuisance_at (const GArray *curve, double kept)
{
  NotchNuisancePoint best = g_array_index (curve, NotchNuisancePoint, 0);
  for (guint i = 1; i < curve->len; i++) {
    const NotchNuisancePoint *point = &g_array_index (curve, NotchNuisancePoint, i);
    if (point->kept >= kept && point->removed > best.removed)
      best = *point;
  }
  return best;
}

double
notch_mcnemar (gint64 only_first_right, gint64 only_second_right)
{
  gint64 n = only_first_right + only_second_right, least = MIN (only_first_right, only_second_right);
  double sum = 0;
  for (gint64 k = 0; k <= least; k++)
    sum += exp (lgamma ((double) n + 1) - lgamma ((double) k + 1) - lgamma ((double) (n - k) + 1) - (double) n * G_LN2);
  return MIN (2 * sum, 1);
}
