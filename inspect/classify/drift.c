/* drift.c - histograms of what a model was made for and of what it sees */
#include "inspect/classify/drift.h"

#include "inspect/order.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DECILES = 10 };

/* A G statistic beyond this chance does not count as drift: ten columns over a thousand images give one in a hundred. */
#define CHANCE 1e-6

void
notch_histogram_free (NotchHistogram *histogram)
{
  g_free (histogram->name);
  g_free (histogram->edge);
  g_free (histogram->count);
  g_free (histogram);
}

/* Takes `edge` over. */
static NotchHistogram *
histogram_new (const char *name, double *edge, int n_edges, int n_bins)
{
  NotchHistogram *histogram = g_new0 (NotchHistogram, 1);
  *histogram = (NotchHistogram){ g_strdup (name), n_edges, edge, n_bins, g_new0 (gint64, n_bins) };
  return histogram;
}

static GPtrArray *
profile_new (void)
{
  return g_ptr_array_new_with_free_func ((GDestroyNotify) notch_histogram_free);
}

static int
bin_of (const NotchHistogram *histogram, double value)
{
  int bin = 0;
  if (isnan (value))
    return histogram->n_edges + 1;
  while (bin < histogram->n_edges && value > histogram->edge[bin])
    bin++;
  return bin;
}

/* Deciles, each once: whole numbers have fewer than nine. */
static NotchHistogram *
make_bins (const double *value, gsize n, int column, int n_columns, const char *name)
{
  g_autofree double *known = g_new (double, n + 1);
  double *edge = g_new (double, DECILES);
  gsize n_known = 0;
  int n_edges = 0;
  for (gsize i = 0; i < n; i++)
    if (!isnan (value[i * (gsize) n_columns + (gsize) column]))
      known[n_known++] = value[i * (gsize) n_columns + (gsize) column];
  qsort (known, n_known, sizeof *known, notch_compare_up);
  for (int d = 1; d < DECILES && n_known > 0; d++) {
    double at = known[(gsize) d * (n_known - 1) / DECILES];
    if (n_edges == 0 || at > edge[n_edges - 1])
      edge[n_edges++] = at;
  }
  return histogram_new (name, edge, n_edges, n_edges + 2);
}

GPtrArray *
notch_profile_new (const double *value, const int *class_index, gsize n, const char *const *name, int n_columns,
                   int n_classes)
{
  g_autoptr (GPtrArray) empty = profile_new ();
  for (int j = 0; j < n_columns; j++)
    g_ptr_array_add (empty, make_bins (value, n, j, n_columns, name[j]));
  g_ptr_array_add (empty, histogram_new (NULL, NULL, 0, n_classes));
  return notch_profile_like (empty, value, class_index, n);
}

GPtrArray *
notch_profile_like (const GPtrArray *profile, const double *value, const int *class_index, gsize n)
{
  GPtrArray *now = profile_new ();
  gsize n_columns = profile->len - 1;
  for (guint k = 0; k < profile->len; k++) {
    const NotchHistogram *then = profile->pdata[k];
    double *edge = then->n_edges > 0 ? g_memdup2 (then->edge, sizeof *edge * (gsize) then->n_edges) : NULL;
    NotchHistogram *histogram = histogram_new (then->name, edge, then->n_edges, then->n_bins);
    for (gsize i = 0; i < n; i++)
      if (then->name)
        histogram->count[bin_of (then, value[i * n_columns + k])]++;
      else if (class_index[i] >= 0 && class_index[i] < then->n_bins)
        histogram->count[class_index[i]]++;
    g_ptr_array_add (now, histogram);
  }
  return now;
}

/* ---- drift --------------------------------------------------------------------------------------------------------- */

/* The chance of a chi-square of k degrees of freedom beyond x (Wilson and Hilferty 1931). */
static double
chi_square_tail (double x, int k)
{
  double spread = 2.0 / (9.0 * k), z = (cbrt (x / k) - (1 - spread)) / sqrt (spread);
  return 0.5 * erfc (z / G_SQRT2);
}

static double
sum_of (const NotchHistogram *histogram)
{
  double sum = 0;
  for (int i = 0; i < histogram->n_bins; i++)
    sum += (double) histogram->count[i];
  return sum;
}

double
notch_histogram_drift (const NotchHistogram *then, const NotchHistogram *now)
{
  double n_then = sum_of (then), n_now = sum_of (now), index = 0, g = 0;
  int used = 0;
  if (!(n_then > 0) || !(n_now > 0))
    return 0;
  for (int i = 0; i < then->n_bins; i++) {
    double a = (double) then->count[i], b = (double) now->count[i], both = (a + b) / (n_then + n_now);
    if (a + b == 0)
      continue;
    used++;
    g += 2 * (a > 0 ? a * log (a / (n_then * both)) : 0) + 2 * (b > 0 ? b * log (b / (n_now * both)) : 0);
    /* half an example in a bin that is empty */
    double share_then = MAX (a, 0.5) / n_then, share_now = MAX (b, 0.5) / n_now;
    index += (share_now - share_then) * log (share_now / share_then);
  }
  if (used < 2 || chi_square_tail (g, used - 1) > CHANCE)
    return 0;
  return MAX (index - (used - 1) * (1 / n_then + 1 / n_now), 0);
}

/* ---- JSON ---------------------------------------------------------------------------------------------------------- */

JsonNode *
notch_profile_to_json (const GPtrArray *profile)
{
  g_autoptr (JsonBuilder) to = json_builder_new ();
  json_builder_begin_array (to);
  for (guint k = 0; k < profile->len; k++) {
    const NotchHistogram *histogram = profile->pdata[k];
    json_builder_begin_object (to);
    if (histogram->name) {
      json_builder_set_member_name (to, "column");
      json_builder_add_string_value (to, histogram->name);
      json_builder_set_member_name (to, "edges");
      json_builder_begin_array (to);
      for (int i = 0; i < histogram->n_edges; i++)
        json_builder_add_double_value (to, histogram->edge[i]);
      json_builder_end_array (to);
    }
    json_builder_set_member_name (to, "counts");
    json_builder_begin_array (to);
    for (int i = 0; i < histogram->n_bins; i++)
      json_builder_add_int_value (to, histogram->count[i]);
    json_builder_end_array (to);
    json_builder_end_object (to);
  }
  json_builder_end_array (to);
  return json_builder_get_root (to);
}

/* The numbers of an array, at most `most` of them, `least` or more each; NULL where it is none. */
static double *
read_numbers (JsonObject *object, const char *name, double least, guint most, int *n)
{
  JsonNode *node = json_object_get_member (object, name);
  JsonArray *array = node && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
  if (!array || json_array_get_length (array) > most)
    return NULL;
  *n = (int) json_array_get_length (array);
  g_autofree double *number = g_new (double, *n + 1);
  for (int i = 0; i < *n; i++) {
    JsonNode *element = json_array_get_element (array, (guint) i);
    GType type = JSON_NODE_HOLDS_VALUE (element) ? json_node_get_value_type (element) : G_TYPE_INVALID;
    if (type != G_TYPE_DOUBLE && type != G_TYPE_INT64)
      return NULL;
    number[i] = json_node_get_double (element);
    if (!(number[i] >= least && number[i] < 1e15))
      return NULL;
  }
  return g_steal_pointer (&number);
}

/* A column's where `is_column`, else the classes'. */
static NotchHistogram *
read_histogram (JsonNode *node, gboolean is_column, int n_classes)
{
  int n_edges = 0, n_bins = 0;
  JsonObject *object = node && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
  g_autofree double *count = object ? read_numbers (object, "counts", 0, G_MAXINT / 2, &n_bins) : NULL;
  JsonNode *name = count && is_column ? json_object_get_member (object, "column") : NULL;
  g_autofree double *edge = name ? read_numbers (object, "edges", -1e15, DECILES, &n_edges) : NULL;
  if (!count || n_bins != (is_column ? n_edges + 2 : n_classes))
    return NULL;
  if (is_column && (!edge || !JSON_NODE_HOLDS_VALUE (name) || json_node_get_value_type (name) != G_TYPE_STRING))
    return NULL;
  for (int i = 1; i < n_edges; i++)
    if (!(edge[i] > edge[i - 1]))
      return NULL;
  NotchHistogram *histogram =
      histogram_new (is_column ? json_node_get_string (name) : NULL, g_steal_pointer (&edge), n_edges, n_bins);
  for (int i = 0; i < n_bins; i++)
    histogram->count[i] = (gint64) count[i];
  return histogram;
}

GPtrArray *
notch_profile_from_json (JsonNode *node, int n_columns, int n_classes)
{
  JsonArray *array = node && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
  g_autoptr (GPtrArray) profile = profile_new ();
  if (!array || json_array_get_length (array) != (guint) n_columns + 1)
    return NULL;
  for (int k = 0; k <= n_columns; k++) {
    NotchHistogram *histogram = read_histogram (json_array_get_element (array, (guint) k), k < n_columns, n_classes);
    if (!histogram)
      return NULL;
    g_ptr_array_add (profile, histogram);
  }
  return g_steal_pointer (&profile);
}
