/* metrics.h - how good a classifier is, from what it said of examples whose class is known; plain arrays only
 *
 * Throughout, n examples are of c classes: truth[i] is 0 to c - 1; called[i] is too, or c where the classifier said
 * "unknown"; wafer[i] is 0 to n_wafers - 1; probability has a row of c for each example, whose sum is 1. What the examples
 * do not decide is NAN: the recall of a class without one, an interval where there is one wafer. */
#pragma once

#include <glib.h>

enum { NOTCH_RELIABILITY_BINS = 15, NOTCH_BOOTSTRAP_ROUNDS = 1000 };

/* A figure and its 95 % interval. */
typedef struct {
  double value, low, high;
} NotchMetric;

/* Examples whose largest probability is in a bin: bin i of 15 is from i / 15, without it, to (i + 1) / 15. */
typedef struct {
  gint64 n;
  double confidence, accuracy; /* means: of the largest probability, and of whether its class is the true one */
} NotchReliability;

typedef struct {
  int n_classes, n_wafers;
  gint64 n;
  gint64 *confusion;    /* c x (c + 1): a row a true class, a column a class that was said, "unknown" last */
  NotchMetric macro_f1; /* mean F1 of the classes that have examples */
  NotchMetric accuracy; /* share that is right; "unknown" is not */
  NotchMetric kappa;    /* Cohen (1960): agreement beyond that of chance, 1 at most */
  NotchMetric ece;   /* expected calibration error (Guo et al., ICML 2017): mean of |accuracy - confidence| over bins */
  NotchMetric brier; /* Brier (1950): squared distance of probabilities and truth, 0 to 2 */
  /* of each class */
  NotchMetric *purity; /* of what was called so, the share that is: precision */
  NotchMetric *recall; /* of what is so, the share that was called so */
  NotchMetric *f1;     /* their harmonic mean; NAN without examples */
  NotchReliability bin[NOTCH_RELIABILITY_BINS];
} NotchMetrics;

/* Intervals are percentiles over 1000 rounds in which as many wafers as there are were drawn again, with replacement
 * (Efron 1979): examples of a wafer come or stay away together, for they are no independent witnesses. The same seed
 * gives the same figures. */
NotchMetrics *notch_metrics_new (const int *truth, const int *called, const int *wafer, const float *probability,
                                 gint64 n, int n_classes, guint64 seed);
void notch_metrics_free (NotchMetrics *metrics);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchMetrics, notch_metrics_free)

/* The class of the largest of c probabilities, the first of equals. */
int notch_most_probable (const float *probability, int n_classes);

/* The chance that a positive has the larger score of a positive and a negative, ties counting half: the area under the
 * receiver operating characteristic (Hanley and McNeil 1982). NAN without both kinds. */
double notch_auroc (const double *score, const gboolean *positive, gint64 n);

/* How likely an example of c probabilities is to be any nuisance. */
double notch_nuisance_score (const float *probability, const gboolean *nuisance, int n_classes);
/* What is left when all whose nuisance score is at least `above` are taken out. */
typedef struct {
  double above;
  double kept, removed; /* 0 to 1: of the defects of interest those kept, of the nuisances those taken out */
} NotchNuisancePoint;
/* One point a score that occurs, from the highest down, after one where nothing is taken out (above is INFINITY).
 * NULL when there is not at least one of both. */
GArray *notch_nuisance_curve (const double *score, const gboolean *nuisance, gint64 n);
/* What an operating point of the nuisance filter keeps at least of the defects of interest. */
#define NOTCH_NUISANCE_KEPT 0.995
/* The point that takes out most nuisances of those that keep at least a share of the defects of interest. */
NotchNuisancePoint notch_nuisance_at (const GArray *curve, double kept);

/* McNemar (1947), exact: of the examples that one of two classifiers got right and the other wrong, as many or more of one
 * kind came by chance, were both as likely; two-sided. 1 when there are none. */
double notch_mcnemar (gint64 only_first_right, gint64 only_second_right);

/* ---- calibration (calibrate.c) ------------------------------------------------------------------------------------- */

/* Divides the logarithms of n x c probabilities by a temperature > 0, and makes rows of sum 1 of them again. Probabilities
 * below 1e-9 count as that. */
void notch_temper (float *probability, gint64 n, int n_classes, double temperature);
/* The temperature that makes the truth most likely (Guo et al., ICML 2017), 0.05 to 20; 1 for no examples. Examples must not
 * be those that the classifier learned from. */
double notch_temperature (const int *truth, const float *probability, gint64 n, int n_classes);
/* For each class the lowest probability at which what is called so is of at least a purity: 0 where all is. Where no
 * probability gives that purity, the one that gives the best. A class that is never called gets 0. */
void notch_purity_thresholds (const int *truth, const float *probability, gint64 n, int n_classes, double purity,
                              double *threshold);
