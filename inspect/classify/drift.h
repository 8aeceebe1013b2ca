/* drift.h - whether what is seen now is what a model was made for
 *
 * A profile has, for each column that a model looks at, how many examples were in each of some ten bins, and how many were of
 * each class. Two profiles differ by their population stability index, sum (a - b) ln (a / b) over the bins' shares: below 0.1
 * they are taken to be alike, above 0.25 not. Chance alone makes it (bins - 1) (1 / n + 1 / N) large, which is taken off, and
 * what a G test (Woolf 1957) lets chance explain counts as 0. */
#pragma once

#include <json-glib/json-glib.h>

#define NOTCH_DRIFT_LARGE 0.25

typedef struct {
  char *name;  /* of the column; NULL: the classes */
  int n_edges; /* of a column */
  double *
      edge; /* bin i holds what is at most edge[i] and in no bin before; the last one but one the rest; the last what is
                 * missing */
  int n_bins;
  gint64 *count;
} NotchHistogram;
void notch_histogram_free (NotchHistogram *histogram);

/* A list of NotchHistogram, with a function that frees them: first `names`' columns, then the classes. `value` has a row of
 * n_columns for each of n examples, NAN where a number is missing; bins end at the deciles. */
GPtrArray *notch_profile_new (const double *value, const int *class_index, gsize n, const char *const *name,
                              int n_columns, int n_classes);
/* Another one in the same bins; classes beyond those there are do not count. */
GPtrArray *notch_profile_like (const GPtrArray *profile, const double *value, const int *class_index, gsize n);

/* How far two histograms of the same bins are apart, as said above: 0 or more. */
double notch_histogram_drift (const NotchHistogram *then, const NotchHistogram *now);

/* The profile as JSON (an array), and back; NULL where it is none that has n_columns columns and n_classes classes. */
JsonNode *notch_profile_to_json (const GPtrArray *profile);
GPtrArray *notch_profile_from_json (JsonNode *node, int n_columns, int n_classes);
