/* metrics.c - figures of a classifier against cases done by hand, and against the plainest way to compute them */
#include "inspect/classify/metrics.h"
#include "inspect/random.h"

#include <math.h>
#include <string.h>

/* Ten examples of three classes on three wafers. */
static const int truth[] = { 0, 0, 0, 0, 1, 1, 1, 2, 2, 2 };
static const int called[] = { 0, 0, 0, 1, 1, 1, 3, 2, 0, 2 }; /* 3 is unknown */
static const int wafer[] = { 0, 1, 7, 0, 1, 7, 0, 1, 7, 0 };
static const float probability[] = { 0.9f,  0.05f, 0.05f, 0.8f, 0.1f, 0.1f, 0.6f, 0.2f, 0.2f, 0.3f,
                                     0.6f,  0.1f,  0.1f,  0.8f, 0.1f, 0.2f, 0.7f, 0.1f, 0.4f, 0.35f,
                                     0.25f, 0.1f,  0.1f,  0.8f, 0.7f, 0.2f, 0.1f, 0.0f, 0.0f, 1.0f };
enum { N = G_N_ELEMENTS (truth), C = 3 };

#define near(a, b) g_assert_cmpfloat_with_epsilon (a, b, 1e-6)

static void
test_by_hand (void)
{
  g_autoptr (NotchMetrics) m = notch_metrics_new (truth, called, wafer, probability, N, C, 1);
  static const gint64 confusion[] = { 3, 1, 0, 0, 0, 2, 0, 1, 1, 0, 2, 0 };
  g_assert_cmpint (m->n, ==, 10);
  g_assert_cmpint (m->n_wafers, ==, 3);
  for (guint i = 0; i < G_N_ELEMENTS (confusion); i++)
    g_assert_cmpint (m->confusion[i], ==, confusion[i]);
  near (m->accuracy.value, 0.7);
  near (m->purity[0].value, 3. / 4);
  near (m->recall[0].value, 3. / 4);
  near (m->purity[1].value, 2. / 3);
  near (m->recall[1].value, 2. / 3);
  near (m->purity[2].value, 1);
  near (m->recall[2].value, 2. / 3);
  near (m->f1[2].value, 0.8);
  near (m->macro_f1.value, (0.75 + 2. / 3 + 0.8) / 3);
  /* by chance 4/10 * 4/10 + 3/10 * 3/10 + 3/10 * 2/10 */
  near (m->kappa.value, (0.7 - 0.31) / (1 - 0.31));
  /* most probable: right, right, right, wrong, right, right, wrong (0.4), right, wrong (0.7), right */
  /* bins that hold 0.9; 0.8 three times; 0.7 twice; 0.6 twice; 0.4; 1 */
  near (m->ece.value, (0.1 + (3 - 2.4) + (1.4 - 1) + (1.2 - 1) + 0.4 + 0) / 10);
  double brier = 0;
  for (int i = 0; i < N; i++)
    for (int k = 0; k < C; k++)
      brier += pow ((double) probability[i * C + k] - (truth[i] == k), 2) / N;
  near (m->brier.value, brier);
  g_assert_cmpint (m->bin[14].n, ==, 1);
  g_assert_cmpint (m->bin[11].n, ==, 3); /* 0.8 is the end of its bin */
  near (m->bin[11].accuracy, 1);
  near (m->bin[11].confidence, 0.8);
  g_assert_cmpint (m->bin[12].n, ==, 0);
  g_assert_true (isnan (m->bin[0].accuracy));
}

static void
test_undecided (void)
{
  static const int one[] = { 0, 0 }, same[] = { 4, 4 };
  static const float sure[] = { 1, 0, 1, 0 };
  g_autoptr (NotchMetrics) m = notch_metrics_new (one, one, same, sure, 2, 2, 1);
  g_assert_cmpfloat (m->accuracy.value, ==, 1);
  g_assert_true (isnan (m->accuracy.low) && isnan (m->accuracy.high)); /* one wafer says nothing about wafers */
  g_assert_true (isnan (m->recall[1].value) && isnan (m->purity[1].value) && isnan (m->f1[1].value));
  g_assert_cmpfloat (m->macro_f1.value, ==, 1);
  g_assert_true (isnan (m->kappa.value));
  g_autoptr (NotchMetrics) none = notch_metrics_new (one, one, same, sure, 0, 2, 1);
  g_assert_true (isnan (none->accuracy.value) && isnan (none->macro_f1.value) && isnan (none->ece.value));
}

/* A classifier that is right with a chance of its own on each of many wafers. */
typedef struct {
  int n, *truth, *called, *wafer;
  float *probability;
} Trial;

static Trial
make_trial (int n_wafers, int per_wafer, double spread)
{
  Trial t = { .n = n_wafers * per_wafer };
  t.truth = g_new (int, t.n);
  t.called = g_new (int, t.n);
  t.wafer = g_new (int, t.n);
  t.probability = g_new (float, 2 * (gsize) t.n);
  NotchRandom random = { 5 };
  for (int w = 0, i = 0; w < n_wafers; w++) {
    double good = 0.8 + spread * (notch_random_unit (&random) - 0.5);
    for (int k = 0; k < per_wafer; k++, i++) {
      t.wafer[i] = w;
      t.truth[i] = notch_random_below (&random, 2);
      t.called[i] = notch_random_unit (&random) < good ? t.truth[i] : 1 - t.truth[i];
      t.probability[2 * i + t.called[i]] = 0.8f;
      t.probability[2 * i + 1 - t.called[i]] = 0.2f;
    }
  }
  return t;
}

static void
clear_trial (Trial *t)
{
  g_free (t->truth);
  g_free (t->called);
  g_free (t->wafer);
  g_free (t->probability);
}

/* The interval is as wide as the scatter of wafers says it should be: where all wafers are alike that of a binomial
 * share, else wider. */
static void
test_bootstrap (void)
{
  for (int uneven = 0; uneven < 2; uneven++) {
    Trial t = make_trial (100, 50, uneven ? 0.4 : 0);
    g_autoptr (NotchMetrics) m = notch_metrics_new (t.truth, t.called, t.wafer, t.probability, t.n, 2, 3);
    g_autoptr (NotchMetrics) again = notch_metrics_new (t.truth, t.called, t.wafer, t.probability, t.n, 2, 3);
    g_autoptr (NotchMetrics) other = notch_metrics_new (t.truth, t.called, t.wafer, t.probability, t.n, 2, 4);
    double p = m->accuracy.value, sum = 0;
    for (int w = 0; w < 100; w++) {
      double right = 0;
      for (int i = w * 50; i < w * 50 + 50; i++)
        right += t.truth[i] == t.called[i];
      sum += pow (right / 50 - p, 2) / 99;
    }
    double half = 1.96 * sqrt (sum / 100), binomial = 1.96 * sqrt (p * (1 - p) / t.n);
    g_assert_cmpfloat_with_epsilon (m->accuracy.high - p, half, 0.15 * half);
    g_assert_cmpfloat_with_epsilon (p - m->accuracy.low, half, 0.15 * half);
    if (uneven)
      g_assert_cmpfloat (m->accuracy.high - p, >, 1.5 * binomial);
    g_assert_cmpfloat (m->accuracy.low, ==, again->accuracy.low);
    g_assert_cmpfloat (m->kappa.high, ==, again->kappa.high);
    g_assert_true (m->kappa.low != other->kappa.low || m->kappa.high != other->kappa.high);
    g_assert_true (m->macro_f1.low < m->macro_f1.value && m->macro_f1.value < m->macro_f1.high);
    clear_trial (&t);
  }
}

/* Every pair counted. */
static void
test_auroc (void)
{
  NotchRandom random = { 9 };
  double score[60];
  gboolean positive[60];
  for (int trial = 0; trial < 20; trial++) {
    double pairs = 0, won = 0;
    for (int i = 0; i < 60; i++) {
      score[i] = notch_random_below (&random, trial < 10 ? 5 : 1000); /* with many ties, and with few */
      positive[i] = notch_random_unit (&random) < 0.3;
    }
    for (int i = 0; i < 60; i++)
      for (int k = 0; k < 60; k++)
        if (positive[i] && !positive[k]) {
          pairs++;
          won += score[i] > score[k] ? 1 : score[i] == score[k] ? 0.5 : 0;
        }
    near (notch_auroc (score, positive, 60), won / pairs);
  }
  g_assert_true (isnan (notch_auroc (score, (const gboolean[]){ 0, 0, 0 }, 3)));
}

static void
test_nuisance (void)
{
  static const double score[] = { 0.9, 0.8, 0.8, 0.4, 0.3, 0.1 };
  static const gboolean nuisance[] = { TRUE, TRUE, FALSE, TRUE, FALSE, FALSE };
  g_autoptr (GArray) curve = notch_nuisance_curve (score, nuisance, 6);
  static const NotchNuisancePoint wanted[] = { { INFINITY, 1, 0 }, { 0.9, 1, 1. / 3 }, { 0.8, 2. / 3, 2. / 3 },
                                               { 0.4, 2. / 3, 1 }, { 0.3, 1. / 3, 1 }, { 0.1, 0, 1 } };
  g_assert_cmpuint (curve->len, ==, G_N_ELEMENTS (wanted));
  for (guint i = 0; i < curve->len; i++) {
    const NotchNuisancePoint *point = &g_array_index (curve, NotchNuisancePoint, i);
    g_assert_cmpfloat (point->above, ==, wanted[i].above);
    near (point->kept, wanted[i].kept);
    near (point->removed, wanted[i].removed);
  }
  near (notch_nuisance_at (curve, 0.995).removed, 1. / 3);
  near (notch_nuisance_at (curve, 0.6).above, 0.4);
  g_assert_null (notch_nuisance_curve (score, (const gboolean[]){ 0, 0 }, 2));
}

static void
test_mcnemar (void)
{
  near (notch_mcnemar (0, 0), 1);
  near (notch_mcnemar (5, 5), 1);
  near (notch_mcnemar (0, 5), 2. / 32);
  near (notch_mcnemar (5, 0), 2. / 32);
  near (notch_mcnemar (1, 9), 2 * 11. / 1024);
  /* of many the normal law with continuity correction */
  g_assert_cmpfloat_with_epsilon (notch_mcnemar (4900, 5100), erfc (199 / sqrt (10000) / sqrt (2)), 1e-4);
}

/* Probabilities that were made with a temperature are brought back by it. */
static void
test_temperature (void)
{
  enum { MANY = 20000 };
  static const double wanted[] = { 0.5, 1, 2.5 };
  g_autofree float *p = g_new (float, 3 * MANY), *tempered = g_new (float, 3 * MANY);
  g_autofree int *is = g_new (int, MANY);
  for (guint t = 0; t < G_N_ELEMENTS (wanted); t++) {
    NotchRandom random = { 2 };
    for (int i = 0; i < MANY; i++) {
      double l[3], sum = 0, u;
      for (int k = 0; k < 3; k++)
        sum += l[k] = exp (3 * notch_random_unit (&random));
      for (int k = 0; k < 3; k++)
        p[3 * i + k] = (float) (l[k] / sum);
      u = notch_random_unit (&random);
      is[i] = u < p[3 * i] ? 0 : u < p[3 * i] + p[3 * i + 1] ? 1 : 2;
    }
    memcpy (tempered, p, sizeof *p * 3 * MANY);
    notch_temper (tempered, MANY, 3, 1 / wanted[t]);
    g_assert_cmpfloat_with_epsilon (notch_temperature (is, tempered, MANY, 3), wanted[t], 0.03 * wanted[t]);
    notch_temper (tempered, MANY, 3, wanted[t]);
    for (int i = 0; i < 3 * MANY; i++)
      g_assert_cmpfloat_with_epsilon (tempered[i], p[i], 1e-5);
  }
}

/* No temperature nearby is better. */
static void
test_temperature_is_best (void)
{
  double found = notch_temperature (truth, probability, N, C), best = INFINITY, at = 0;
  for (int step = 0; step <= 2000; step++) {
    double t = 0.05 * pow (400, step / 2000.), loss = 0;
    float row[N * C];
    memcpy (row, probability, sizeof row);
    notch_temper (row, N, C, t);
    for (int i = 0; i < N; i++)
      loss -= log ((double) row[i * C + truth[i]]);
    if (loss < best)
      best = loss, at = t;
  }
  g_assert_cmpfloat_with_epsilon (found, at, 0.01 * at);
  static const float sure[] = { 0.6f, 0.4f, 0.3f, 0.7f }, wrong[] = { 0.4f, 0.6f, 0.7f, 0.3f };
  static const int is[] = { 0, 1 };
  near (notch_temperature (is, sure, 2, 2), 0.05); /* all right: as sure as can be */
  near (notch_temperature (is, wrong, 2, 2), 20);
  near (notch_temperature (is, sure, 0, 2), 1);
}

static void
test_thresholds (void)
{
  /* class 0: right at 0.9 and 0.8, wrong at 0.7, right at 0.6 and 0.55; class 1: one, wrong; class 2: never called */
  static const int is[] = { 0, 0, 1, 0, 0, 0 };
  static const float p[] = {
    0.9f, 0.1f, 0, 0.8f, 0.2f, 0, 0.7f, 0.3f, 0, 0.6f, 0.4f, 0, 0.55f, 0.45f, 0, 0.1f, 0.9f, 0
  };
  double threshold[3];
  notch_purity_thresholds (is, p, 6, 3, 0.95, threshold);
  near (threshold[0], 0.75);
  near (threshold[1], 0);
  near (threshold[2], 0);
  notch_purity_thresholds (is, p, 6, 3, 0.8, threshold);
  near (threshold[0], 0);
  notch_purity_thresholds (is, p, 6, 3, 0.78, threshold); /* 3 of 4 do not do, 4 of 5 do */
  near (threshold[0], 0);
  /* a wrong one on top: the best that can be had is 2 of 3 */
  static const int wrong_first[] = { 1, 0, 0, 1 };
  static const float q[] = { 0.9f, 0.1f, 0.8f, 0.2f, 0.7f, 0.3f, 0.6f, 0.4f };
  notch_purity_thresholds (wrong_first, q, 4, 2, 0.95, threshold);
  near (threshold[0], 0.65);
  /* equals stay together */
  static const float tied[] = { 0.8f, 0.2f, 0.8f, 0.2f, 0.7f, 0.3f, 0.7f, 0.3f };
  static const int half[] = { 0, 0, 0, 1 };
  notch_purity_thresholds (half, tied, 4, 2, 0.9, threshold);
  near (threshold[0], 0.75);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/metrics/by-hand", test_by_hand);
  g_test_add_func ("/metrics/undecided", test_undecided);
  g_test_add_func ("/metrics/bootstrap", test_bootstrap);
  g_test_add_func ("/metrics/auroc", test_auroc);
  g_test_add_func ("/metrics/nuisance", test_nuisance);
  g_test_add_func ("/metrics/mcnemar", test_mcnemar);
  g_test_add_func ("/metrics/temperature", test_temperature);
  g_test_add_func ("/metrics/temperature-is-best", test_temperature_is_best);
  g_test_add_func ("/metrics/thresholds", test_thresholds);
  return g_test_run ();
}
