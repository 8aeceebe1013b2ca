/* drift.c - is what is seen now what a model was made for? */
#include "inspect/classify/drift.h"
#include "inspect/classify/known.h"
#include "inspect/random.h"

#include <math.h>

static const char *const names[] = { "size", "line", "never" };
enum { COLUMNS = 3, CLASSES = 4 };

/* A size that is log-normal, a flag, and a column that is missing in one of ten. */
static double *
draw (gsize n, guint64 seed, double larger, double flag, int *class_index)
{
  double *value = g_new (double, n *COLUMNS), z[2];
  NotchRandom random = { seed };
  for (gsize i = 0; i < n; i++) {
    notch_random_normals (&random, z);
    value[i * COLUMNS] = larger * exp (0.5 * z[0]);
    value[i * COLUMNS + 1] = notch_random_unit (&random) < flag;
    value[i * COLUMNS + 2] = notch_random_unit (&random) < 0.1 ? NAN : 3;
    class_index[i] = notch_random_below (&random, CLASSES);
  }
  return value;
}

static double
drift_of (const GPtrArray *then, const GPtrArray *now, guint k)
{
  return notch_histogram_drift (then->pdata[k], now->pdata[k]);
}

static void
test_bins (void)
{
  static const double value[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 };
  static const int class_index[] = { 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, -1 };
  g_autoptr (GPtrArray) profile = notch_profile_new (value, class_index, 11, names, 1, 2);
  const NotchHistogram *size = profile->pdata[0], *classes = profile->pdata[1];
  g_assert_cmpint (size->n_edges, ==, 9);
  g_assert_cmpfloat (size->edge[0], ==, 2);
  g_assert_cmpfloat (size->edge[8], ==, 10);
  g_assert_cmpint (size->count[0], ==, 2); /* 1 and 2 */
  g_assert_cmpint (size->count[8], ==, 1);
  g_assert_cmpint (size->count[9], ==, 1); /* 11 */
  g_assert_cmpint (size->count[10], ==, 0);
  g_assert_null (classes->name);
  g_assert_cmpint (classes->count[0], ==, 2);
  g_assert_cmpint (classes->count[1], ==, 8);
  static const double now[] = { -5, NAN, 2.5, 99 };
  g_autoptr (GPtrArray) later = notch_profile_like (profile, now, class_index, 4);
  const NotchHistogram *seen = later->pdata[0];
  g_assert_cmpint (seen->count[0], ==, 1);
  g_assert_cmpint (seen->count[1], ==, 1);
  g_assert_cmpint (seen->count[9], ==, 1);
  g_assert_cmpint (seen->count[10], ==, 1);
}

/* Half and half against 80 and 20 %: (0.3) ln (0.8 / 0.5) + (-0.3) ln (0.2 / 0.5), less chance's part. */
static void
test_by_hand (void)
{
  gint64 a[] = { 5000, 5000 }, b[] = { 800, 200 }, few[] = { 4, 1 }, gone[] = { 0, 0 };
  const NotchHistogram then = { .n_bins = 2, .count = a }, now = { .n_bins = 2, .count = b };
  const NotchHistogram little = { .n_bins = 2, .count = few }, nothing = { .n_bins = 2, .count = gone };
  double wanted = 0.3 * log (1.6) - 0.3 * log (0.4) - (1. / 10000 + 1. / 1000);
  g_assert_cmpfloat_with_epsilon (notch_histogram_drift (&then, &now), wanted, 1e-9);
  g_assert_cmpfloat (notch_histogram_drift (&then, &little), ==, 0); /* four of five may be chance */
  g_assert_cmpfloat (notch_histogram_drift (&then, &nothing), ==, 0);
  g_assert_cmpfloat (notch_histogram_drift (&nothing, &now), ==, 0);
}

/* What is drawn alike is alike, in small images as in large ones; what is not is found. */
static void
test_chance (void)
{
  int class_index[5000];
  g_autofree double *before = draw (5000, 1, 1, 0.3, class_index);
  g_autoptr (GPtrArray) then = notch_profile_new (before, class_index, 5000, names, COLUMNS, CLASSES);
  for (guint64 seed = 2; seed < 200; seed++) {
    gsize n = seed % 2 ? 30 : 1000;
    g_autofree double *alike = draw (n, seed, 1, 0.3, class_index);
    g_autoptr (GPtrArray) now = notch_profile_like (then, alike, class_index, n);
    for (guint k = 0; k <= COLUMNS; k++)
      g_assert_cmpfloat (drift_of (then, now, k), ==, 0);
  }
  g_autofree double *larger = draw (300, 7, 2, 0.3, class_index);
  g_autoptr (GPtrArray) grown = notch_profile_like (then, larger, class_index, 300);
  g_assert_cmpfloat (drift_of (then, grown, 0), >, NOTCH_DRIFT_LARGE);
  g_assert_cmpfloat (drift_of (then, grown, 1), ==, 0);
  g_autofree double *flags = draw (300, 8, 1, 0.9, class_index);
  g_autoptr (GPtrArray) flagged = notch_profile_like (then, flags, class_index, 300);
  g_assert_cmpfloat (drift_of (then, flagged, 1), >, NOTCH_DRIFT_LARGE);
  for (int i = 0; i < 300; i++)
    class_index[i] = 2;
  g_autoptr (GPtrArray) one_class = notch_profile_like (then, before, class_index, 300);
  g_assert_cmpfloat (drift_of (then, one_class, COLUMNS), >, NOTCH_DRIFT_LARGE);
}

static void
test_json (void)
{
  int class_index[100];
  g_autofree double *value = draw (100, 1, 1, 0.3, class_index);
  g_autoptr (GPtrArray) then = notch_profile_new (value, class_index, 100, names, COLUMNS, CLASSES);
  g_autoptr (JsonNode) node = notch_profile_to_json (then);
  g_autofree char *text = json_to_string (node, FALSE);
  g_autoptr (JsonNode) read = json_from_string (text, NULL);
  g_autoptr (GPtrArray) again = notch_profile_from_json (read, COLUMNS, CLASSES);
  g_assert_nonnull (again);
  g_autoptr (JsonNode) written = notch_profile_to_json (again);
  g_autofree char *same = json_to_string (written, FALSE);
  g_assert_cmpstr (text, ==, same);
  g_assert_null (notch_profile_from_json (read, COLUMNS - 1, CLASSES));
  g_assert_null (notch_profile_from_json (read, COLUMNS, CLASSES + 1));
  g_assert_null (notch_profile_from_json (NULL, COLUMNS, CLASSES));
  static const char *const lies[] = {
    "[]",
    "{}",
    "[7, 8]",
    "[{\"column\": \"a\", \"edges\": [1], \"counts\": [1, 2]}, {\"counts\": [1]}]",
    "[{\"column\": \"a\", \"edges\": [2, 1], \"counts\": [1, 2, 3, 4]}, {\"counts\": [1]}]",
    "[{\"column\": \"a\", \"edges\": [1], \"counts\": [1, -2, 3]}, {\"counts\": [1]}]",
    "[{\"column\": 5, \"edges\": [1], \"counts\": [1, 2, 3]}, {\"counts\": [1]}]",
    "[{\"edges\": [1], \"counts\": [1, 2, 3]}, {\"counts\": [1]}]",
    "[{\"column\": \"a\", \"edges\": [\"x\"], \"counts\": [1, 2, 3]}, {\"counts\": [1]}]",
    "[{\"column\": \"a\", \"edges\": [1], \"counts\": [1, 2, 3]}, {\"counts\": null}]",
  };
  for (guint i = 0; i < G_N_ELEMENTS (lies); i++) {
    g_autoptr (JsonNode) lie = json_from_string (lies[i], NULL);
    g_assert_null (notch_profile_from_json (lie, 1, 1));
  }
}

/* A model expects the mix that it calls, unknown and all, and looks at its columns as before. */
static void
test_calls (void)
{
  static const double value[] = { 1, 2, 3, 4, 5, 6 };
  static const int truth[] = { 0, 0, 0, 1, 1, 1 }, called[] = { 1, 1, 2, 1 };
  static const char *const column[] = { "peak_snr" };
  g_autoptr (NotchModel) model = notch_model_new ("defects", "forest");
  notch_model_add_class (model, "a");
  notch_model_add_class (model, "b");
  g_ptr_array_add (model->feature, g_strdup (column[0]));
  model->training = json_object_new ();
  notch_known_expect_calls (model, called, 4);
  g_assert_null (notch_known_profile (model));
  g_autoptr (GPtrArray) first = notch_profile_new (value, truth, 6, column, 1, 3);
  json_object_set_member (model->training, "profile", notch_profile_to_json (first));
  notch_known_expect_calls (model, called, 4);
  g_autoptr (GPtrArray) then = notch_known_profile (model);
  const NotchHistogram *size = then->pdata[0], *classes = then->pdata[1];
  g_assert_cmpint (size->count[0], ==, ((NotchHistogram *) first->pdata[0])->count[0]);
  g_assert_cmpint (classes->count[0], ==, 0);
  g_assert_cmpint (classes->count[1], ==, 3);
  g_assert_cmpint (classes->count[2], ==, 1);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/drift/bins", test_bins);
  g_test_add_func ("/drift/by-hand", test_by_hand);
  g_test_add_func ("/drift/chance", test_chance);
  g_test_add_func ("/drift/json", test_json);
  g_test_add_func ("/drift/calls", test_calls);
  return g_test_run ();
}
