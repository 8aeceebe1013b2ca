/* forest.c - forests against plain walks, on every backend, and against XGBoost itself */
#include "config.h"

#include "inspect/classify/boost.h"
#include "inspect/classify/forest.h"
#include "tests/backend.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

/* ---- plain walks ------------------------------------------------------------------------------------------------- */

/* A number that is often one of a few, so that values meet thresholds exactly; now and then none. */
static float
any_value (GRand *rand)
{
  double dice = g_rand_double (rand);
  return dice < 0.1   ? NAN
         : dice < 0.5 ? (float) g_rand_int_range (rand, -3, 4)
                      : (float) g_rand_double_range (rand, -4, 4);
}

/* Grows a tree from node `at`, its children at the end. */
static void
grow (GRand *rand, GArray *nodes, guint root, guint at, int n_features, int depth)
{
  NotchForestNode node = { .left = -1, .right = -1, .value = (float) g_rand_double_range (rand, -1, 1) };
  if (depth > 0 && g_rand_double (rand) < 0.8) {
    const NotchForestNode leaf = { 0 };
    float threshold = any_value (rand);
    node.left = (gint32) (nodes->len - root), node.right = node.left + 1;
    node.feature = (guint16) g_rand_int_range (rand, 0, n_features);
    node.default_left = (guint16) g_rand_boolean (rand);
    node.value = isnan (threshold) ? 0 : threshold;
    g_array_append_val (nodes, leaf);
    g_array_append_val (nodes, leaf);
  }
  g_array_index (nodes, NotchForestNode, at) = node;
  if (node.left >= 0) {
    grow (rand, nodes, root, root + (guint) node.left, n_features, depth - 1);
    grow (rand, nodes, root, root + (guint) node.right, n_features, depth - 1);
  }
}

static float
walk (const NotchForestNode *node, const float *row)
{
  int at = 0;
  while (node[at].left >= 0) {
    const float value = row[node[at].feature];
    at = (isnan (value) ? node[at].default_left : value < node[at].value) ? node[at].left : node[at].right;
  }
  return node[at].value;
}

/* A forest by chance, and rows for it. */
typedef struct {
  int n_features, n_classes, n_trees, depth;
  gsize n_rows;
} Shape;

typedef struct {
  Shape is;
  GArray *nodes, *trees;
  float *base, *row;
  NotchForest *forest;
} Grove;

/* Classes come in any order, one may have no tree, and a tree may be a leaf. */
static void
plant (Grove *grove, const Shape *is)
{
  GRand *rand = g_rand_new_with_seed (5);
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchModel) model = notch_model_new ("defects", "forest");
  *grove = (Grove){ *is,
                    g_array_new (FALSE, FALSE, sizeof (NotchForestNode)),
                    g_array_new (FALSE, FALSE, sizeof (NotchForestTree)),
                    g_new (float, is->n_classes),
                    g_new (float, is->n_rows *(gsize) is->n_features),
                    NULL };
  for (int c = 0; c < is->n_classes; c++) {
    g_autofree char *name = g_strdup_printf ("class %d", c);
    notch_model_add_class (model, name);
    grove->base[c] = (float) g_rand_double_range (rand, -1, 1);
  }
  for (int f = 0; f < is->n_features; f++)
    g_ptr_array_add (model->feature, g_strdup_printf ("f%d", f));
  for (int t = 0; t < is->n_trees; t++) {
    const NotchForestNode leaf = { 0 };
    guint root = grove->nodes->len;
    g_array_append_val (grove->nodes, leaf);
    grow (rand, grove->nodes, root, root, is->n_features, t % (is->depth + 1));
    const NotchForestTree tree = { grove->nodes->len - root, (guint32) g_rand_int_range (rand, 0, is->n_classes) };
    g_array_append_val (grove->trees, tree);
  }
  for (gsize i = 0; i < is->n_rows * (gsize) is->n_features; i++)
    grove->row[i] = any_value (rand);
  notch_forest_write (model, grove->nodes, grove->trees, grove->base);
  grove->forest = notch_forest_new (model, &error);
  g_assert_no_error (error);
  g_rand_free (rand);
}

static void
clear_grove (Grove *grove)
{
  notch_forest_free (grove->forest);
  g_array_unref (grove->nodes);
  g_array_unref (grove->trees);
  g_free (grove->base);
  g_free (grove->row);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Grove, clear_grove)

/* The sums of a row, by plain walks in the order of the trees. */
static void
sum_plainly (const Grove *grove, gsize r, float *sum)
{
  const NotchForestNode *node = (const NotchForestNode *) (gpointer) grove->nodes->data;
  memcpy (sum, grove->base, (gsize) grove->is.n_classes * sizeof *sum);
  for (guint t = 0; t < grove->trees->len; t++) {
    const NotchForestTree *tree = &g_array_index (grove->trees, NotchForestTree, t);
    sum[tree->class_index] += walk (node, grove->row + r * (gsize) grove->is.n_features);
    node += tree->n_nodes;
  }
}

static void
test_walks (void)
{
  static const Shape shape = { 7, 3, 40, 8, 3000 };
  g_auto (Grove) grove = { 0 };
  plant (&grove, &shape);
  const gsize n_classes = (gsize) shape.n_classes;
  g_autofree float *probability = g_new (float, shape.n_rows *n_classes), *sum = g_new (float, n_classes);
  g_assert_true (notch_forest_apply (grove.forest, grove.row, shape.n_rows, NULL, probability, NULL, NULL));
  for (gsize r = 0; r < shape.n_rows; r++) {
    double whole = 0;
    sum_plainly (&grove, r, sum);
    for (gsize c = 0; c < n_classes; c++)
      whole += exp ((double) sum[c]);
    for (gsize c = 0; c < n_classes; c++)
      g_assert_cmpfloat_with_epsilon ((double) probability[r * n_classes + c], exp ((double) sum[c]) / whole, 1e-6);
  }
}

/* The processors' bits come out on every device, for any number of threads and in any company. */
static void
test_same (gconstpointer data)
{
  const Shape *shape = data;
  g_auto (NotchCompute) compute = { 0 };
  g_auto (Grove) grove = { 0 };
  g_autoptr (GError) error = NULL;
  g_assert_true (notch_compute_open (&compute, backend->name, 1, 3, NULL, &error));
  g_assert_true (compute.kernels == backend);
  plant (&grove, shape);
  const NotchCompute one = { .jobs = 1 };
  const gsize n = shape->n_rows * (gsize) shape->n_classes, few = MIN (shape->n_rows, 3);
  g_autofree float *expected = g_new (float, n), *found = g_new (float, n);
  g_assert_true (notch_forest_apply (grove.forest, grove.row, shape->n_rows, &one, expected, NULL, &error));
  for (int again = 0; again < 2; again++) {
    memset (found, 0xff, n * sizeof *found);
    g_assert_true (notch_forest_apply (grove.forest, grove.row, few, &compute, found, NULL, &error));
    g_assert_cmpmem (found, few * (gsize) shape->n_classes * sizeof *found, expected,
                     few * (gsize) shape->n_classes * sizeof *found);
    g_assert_true (notch_forest_apply (grove.forest, grove.row, shape->n_rows, &compute, found, NULL, &error));
    g_assert_cmpmem (found, n * sizeof *found, expected, n * sizeof *found);
  }
}

static NotchTreesMem *
refuse_trees (NotchDevice *device, const NotchTrees *trees, NotchFault *fault)
{
  (void) device, (void) trees;
  *fault = (NotchFault){ "no room for trees", true };
  return NULL;
}

static int
refuse_rows (NotchTreesMem *mem, const float *row, size_t n, float *sum, NotchFault *fault)
{
  (void) mem, (void) row, (void) n, (void) sum;
  *fault = (NotchFault){ "no room for rows", true };
  return -1;
}

static NotchTreesMem *
break_trees (NotchDevice *device, const NotchTrees *trees, NotchFault *fault)
{
  (void) device, (void) trees;
  *fault = (NotchFault){ "no trees any more", false };
  return NULL;
}

/* A device without room is told from one that is broken, so that another one can be asked, and that one does it. */
static void
test_full (void)
{
  static const Shape shape = { 7, 3, 40, 8, 3000 };
  g_auto (Grove) grove = { 0 };
  plant (&grove, &shape);
  NotchKernels fails[3] = { notch_kernels_cpu, notch_kernels_cpu, notch_kernels_cpu };
  static const char *const told[] = { "no room for trees", "no room for rows", "no trees any more" };
  fails[0].trees_up = refuse_trees;
  fails[1].trees_sum = refuse_rows;
  fails[2].trees_up = break_trees;
  g_autofree float *probability = g_new (float, shape.n_rows *(gsize) shape.n_classes);
  for (int i = 0; i < 3; i++) {
    g_autoptr (GError) error = NULL;
    const NotchCompute compute = { .kernels = &fails[i], .jobs = 3 };
    g_assert_false (notch_forest_apply (grove.forest, grove.row, shape.n_rows, &compute, probability, NULL, &error));
    g_assert_true (g_error_matches (error, NOTCH_ERROR, i < 2 ? NOTCH_ERROR_DEVICE_FULL : NOTCH_ERROR_DEVICE));
    g_assert_nonnull (strstr (error->message, told[i]));
    g_assert_true (notch_forest_apply (grove.forest, grove.row, shape.n_rows, NULL, probability, NULL, NULL));
  }
}

/* ---- XGBoost ----------------------------------------------------------------------------------------------------- */

#ifdef HAVE_XGBOOST

#include <xgboost/c_api.h>

#define OK(call) g_assert_cmpint (call, ==, 0)

enum { COLUMNS = 5, TRAIN = 2000, TEST = 4000 };

/* Rows of which a tenth is missing, and a class that follows from them. */
static void
make_rows (GRand *rand, int n, int classes, float *row, float *label)
{
  for (int i = 0; i < n; i++) {
    double sum = 0;
    for (int k = 0; k < COLUMNS; k++) {
      float value = (float) g_rand_double_range (rand, -2, 2);
      sum += (k + 1) * (double) value * (double) value;
      row[i * COLUMNS + k] = g_rand_double (rand) < 0.1 ? NAN : value;
    }
    label[i] = (float) MIN ((int) (sum * classes / 40), classes - 1);
  }
}

/* A booster trained with parameters, saved as JSON and read by notch, says what the library says. */
static void
compare (const char *objective, int classes, const char *const parameter[][2], int n_parameters, const char *names)
{
  static const char *feature[COLUMNS] = { "area_px", "elongation", "peak_snr", "bipolarity", "fill" };
  GRand *rand = g_rand_new_with_seed (11);
  g_autofree float *row = g_new (float, TRAIN *COLUMNS), *label = g_new (float, TRAIN),
                   *test = g_new (float, TEST *COLUMNS), *ignored = g_new (float, TEST),
                   *ours = g_new (float, TEST *(gsize) MAX (classes, 2));
  g_autofree char *number = g_strdup_printf ("%d", classes);
  g_autofree char *folder = g_dir_make_tmp ("notch-forest-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "m.json", NULL);
  const gboolean binary = strcmp (objective, "binary:logistic") == 0;
  DMatrixHandle matrix = NULL, rows = NULL;
  BoosterHandle booster = NULL;
  make_rows (rand, TRAIN, classes, row, label);
  make_rows (rand, TEST, classes, test, ignored);
  OK (XGDMatrixCreateFromMat_omp (row, TRAIN, COLUMNS, NAN, &matrix, 1));
  OK (XGDMatrixSetFloatInfo (matrix, "label", label, TRAIN));
  OK (XGDMatrixCreateFromMat_omp (test, TEST, COLUMNS, NAN, &rows, 1));
  OK (XGBoosterCreate (&matrix, 1, &booster));
  OK (XGBoosterSetParam (booster, "objective", objective));
  OK (XGBoosterSetParam (booster, "nthread", "1"));
  if (!binary)
    OK (XGBoosterSetParam (booster, "num_class", number));
  for (int i = 0; i < n_parameters; i++)
    OK (XGBoosterSetParam (booster, parameter[i][0], parameter[i][1]));
  OK (XGBoosterSetStrFeatureInfo (booster, "feature_name", feature, COLUMNS));
  if (names)
    OK (XGBoosterSetAttr (booster, "classes", names));
  for (int round = 0; round < 12; round++)
    OK (XGBoosterUpdateOneIter (booster, round, matrix));
  OK (XGBoosterSaveModel (booster, path));
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchModel) model = notch_model_load (path, &error);
  g_assert_no_error (error);
  g_autoptr (NotchForest) forest = notch_forest_new (model, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (model->class_name->pdata[1], ==, names ? "other one" : "class_1");
  g_assert_true (notch_forest_apply (forest, test, TEST, NULL, ours, NULL, NULL));
  bst_ulong n = 0;
  const float *theirs = NULL;
  OK (XGBoosterPredict (booster, rows, 0, 0, 0, &n, &theirs));
  g_assert_cmpint ((int) n, ==, TEST * (binary ? 1 : classes));
  for (bst_ulong i = 0; i < n; i++)
    g_assert_cmpfloat_with_epsilon ((double) ours[binary ? 2 * i + 1 : i], (double) theirs[i], 1e-6);
  XGBoosterFree (booster);
  XGDMatrixFree (matrix);
  XGDMatrixFree (rows);
  g_remove (path);
  g_rmdir (folder);
  g_rand_free (rand);
}

static void
test_library (void)
{
  static const char *const plain[][2] = { { "tree_method", "hist" } };
  static const char *const deep[][2] = {
    { "tree_method", "exact" }, { "max_depth", "12" }, { "eta", "0.3" }, { "base_score", "0.7" }
  };
  static const char *const forest[][2] = { { "num_parallel_tree", "3" }, { "subsample", "0.6" }, { "seed", "3" } };
  compare ("multi:softprob", 4, plain, 1, NULL);
  compare ("multi:softprob", 3, deep, 4, "one, other one,third");
  compare ("multi:softprob", 6, forest, 3, NULL);
  compare ("binary:logistic", 2, deep, 4, NULL);
}

static void
test_training (void)
{
  GRand *rand = g_rand_new_with_seed (3);
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) feature = g_ptr_array_new (), classes = g_ptr_array_new ();
  g_autofree float *row = g_new (float, TRAIN *COLUMNS), *label = g_new (float, TRAIN);
  int class_index[TRAIN];
  guint8 part[TRAIN];
  static const char *const names[] = { "area_px", "elongation", "peak_snr", "bipolarity", "fill" };
  for (int k = 0; k < COLUMNS; k++)
    g_ptr_array_add (feature, (gpointer) names[k]);
  g_ptr_array_add (classes, "comma, in it");
  g_ptr_array_add (classes, "b");
  make_rows (rand, TRAIN, 2, row, label);
  for (int i = 0; i < TRAIN; i++) {
    class_index[i] = i % 50 == 7 ? -1 : (int) label[i];
    part[i] = i < TRAIN / 4 ? NOTCH_PART_HELD_OUT : NOTCH_PART_TRAIN;
  }
  const NotchBoostData data = {
    .feature = feature, .class_name = classes, .row = row, .class_index = class_index, .part = part, .n = TRAIN
  };
  NotchTrainHow how = { .seed = 9, .rounds = 80, .compute = &(NotchCompute){ .jobs = 1 } };
  g_autoptr (NotchModel) model = notch_boost_fit (&data, &how, &error);
  g_assert_no_error (error);
  how.compute = &(NotchCompute){ .jobs = 4 };
  g_autoptr (NotchModel) again = notch_boost_fit (&data, &how, &error);
  g_autoptr (GBytes) a = notch_model_to_bytes (model, NULL), b = notch_model_to_bytes (again, NULL);
  g_assert_true (g_bytes_equal (a, b));
  g_assert_cmpstr (model->class_name->pdata[0], ==, "comma, in it");
  g_autoptr (NotchForest) forest = notch_forest_new (model, &error);
  g_assert_no_error (error);
  g_autofree float *probability = g_new (float, TRAIN * 2);
  g_assert_true (notch_forest_apply (forest, row, TRAIN, NULL, probability, NULL, NULL));
  int right = 0;
  for (int i = 0; i < TRAIN / 4; i++)
    right += (probability[2 * i + 1] > 0.5f) == (label[i] > 0);
  g_assert_cmpint (right, >, TRAIN / 4 * 8 / 10); /* a coin has half of them */
  classes->len = 1;
  g_assert_null (notch_boost_fit (&data, &how, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE);
  g_rand_free (rand);
}

/* Two classes are near (1, 0) and (-1, 0), and what is odd is anywhere. Near (0, 1) nothing speaks for a class, whose
 * probabilities sum up to 1 all the same; and a file has it all. */
static void
test_odd (void)
{
  GRand *rand = g_rand_new_with_seed (5);
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) feature = g_ptr_array_new (), classes = g_ptr_array_new ();
  g_autofree float *row = g_new (float, 2 * TRAIN);
  int class_index[TRAIN];
  guint8 part[TRAIN];
  g_ptr_array_add (feature, "fill");
  g_ptr_array_add (feature, "flux");
  g_ptr_array_add (classes, "a");
  g_ptr_array_add (classes, "b");
  for (int i = 0; i < TRAIN; i++) {
    const gboolean odd = i % 3 == 2;
    class_index[i] = odd ? NOTCH_CLASS_ODD : i % 3;
    part[i] = i % 5 == 0 ? NOTCH_PART_HELD_OUT : NOTCH_PART_TRAIN;
    for (int k = 0; k < 2; k++)
      row[2 * i + k] = (float) (odd ? g_rand_double_range (rand, -3, 3) : g_rand_double_range (rand, -0.4, 0.4));
    if (!odd)
      row[2 * i] += i % 3 == 0 ? 1 : -1;
  }
  const NotchBoostData data = {
    .feature = feature, .class_name = classes, .row = row, .class_index = class_index, .part = part, .n = TRAIN
  };
  const NotchTrainHow how = { .seed = 9, .rounds = 40 };
  g_autoptr (NotchModel) trained = notch_boost_fit (&data, &how, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (trained->class_name->len, ==, 2);
  g_autoptr (GBytes) bytes = notch_model_to_bytes (trained, NULL);
  g_autoptr (NotchModel) model = notch_model_from_bytes (bytes, "odd.model", &error);
  g_assert_no_error (error);
  g_autoptr (NotchForest) forest = notch_forest_new (model, &error);
  g_assert_no_error (error);
  static const float place[] = { 1, 0, -1, 0, 0, 1.5f, 2.5f, -2 };
  float probability[8];
  double evidence[4];
  g_assert_true (notch_forest_apply (forest, place, 4, NULL, probability, NULL, &error));
  g_assert_true (notch_forest_apply (forest, place, 4, NULL, NULL, evidence, &error));
  for (int i = 0; i < 4; i++)
    g_assert_cmpfloat_with_epsilon ((double) (probability[2 * i] + probability[2 * i + 1]), 1, 1e-6);
  g_assert_cmpfloat ((double) probability[0], >, 0.9);
  g_assert_cmpfloat ((double) probability[3], >, 0.9);
  g_assert_cmpfloat (MIN (evidence[0], evidence[1]), >, MAX (evidence[2], evidence[3]) + 3);
  g_autoptr (GArray) nodes = NULL, trees = NULL;
  g_autofree float *base = NULL;
  g_assert_true (notch_forest_read (model, &nodes, &trees, &base, &error));
  notch_forest_write (model, nodes, trees, base);
  g_autoptr (GBytes) again = notch_model_to_bytes (model, NULL);
  g_assert_true (g_bytes_equal (bytes, again));
  /* The file may say that it has no such sum, or one more than it has. */
  json_object_remove_member (model->settings, NOTCH_FOREST_ODD);
  g_assert_null (notch_forest_new (model, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
  g_clear_error (&error);
  notch_model_add_class (model, "c");
  g_autoptr (NotchForest) three = notch_forest_new (model, &error); /* with a third class it is one of classes only */
  g_assert_no_error (error);
  json_object_set_boolean_member (model->settings, NOTCH_FOREST_ODD, TRUE);
  g_assert_null (notch_forest_new (model, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
  g_clear_error (&error);
  for (int i = 0; i < TRAIN; i++) /* nothing but what is odd */
    class_index[i] = NOTCH_CLASS_ODD;
  g_assert_null (notch_boost_fit (&data, &how, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE);
  g_rand_free (rand);
}

#else

static void
test_odd (void)
{
  g_test_skip ("built without XGBoost");
}

static void
test_library (void)
{
  g_test_skip ("built without XGBoost");
}

static void
test_training (void)
{
  g_test_skip ("built without XGBoost");
}

#endif

int
main (int argc, char **argv)
{
  /* The last ones: more rows than one launch takes, more features than threads of a block, and leaves alone. */
  static const Shape shape[] = { { 7, 3, 40, 8, 3001 },     { 24, 16, 200, 6, 333 }, { 1, 1, 1, 1, 1 },
                                 { 40, 150, 300, 5, 127 },  { 3, 2, 30, 12, 31 },    { 2, 2, 3, 2, (1 << 17) + 77 },
                                 { 2500, 300, 40, 11, 65 }, { 2, 4, 3, 0, 33 } };
  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (shape); i++) {
    g_autofree char *path = g_strdup_printf ("/forest/same/%" G_GSIZE_FORMAT, i);
    backend_add (path, (BackendTest){ .test = test_same, .data = &shape[i] });
  }
  if (g_getenv ("BACKEND")) /* that backend alone */
    return g_test_run ();
  g_test_add_func ("/forest/walks", test_walks);
  g_test_add_func ("/forest/full", test_full);
  g_test_add_func ("/forest/library", test_library);
  g_test_add_func ("/forest/training", test_training);
  g_test_add_func ("/forest/odd", test_odd);
  return g_test_run ();
}
