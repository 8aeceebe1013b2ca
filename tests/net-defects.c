/* net-defects.c - what augmentation does to a patch, and the network as a classifier of defects */
#include "inspect/classify/augment.h"
#include "inspect/classify/classifier.h"
#include "tests/chance.h"
#include "tests/few.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

enum { SIDE = 16, AREA = SIDE * SIDE };

/* ---- augmentation ------------------------------------------------------------------------------------------------ */

typedef struct {
  float test[AREA], reference[AREA], scratch[AREA];
} Pair;

/* A pair of which each pixel is another number, changed in some ways. */
static void
changed (guint ways, gint64 seed, Pair *to)
{
  for (int i = 0; i < AREA; i++)
    to->test[i] = (float) (i % SIDE + 100 * (i / SIDE)), to->reference[i] = to->test[i] + 7;
  NotchRandom random = notch_random_at (3, NOTCH_STREAM_AUGMENT, seed, 0);
  notch_augment (&(NotchPatchPair){ SIDE, 2, to->test, to->reference, to->scratch }, ways, &random);
}

static double
mean_of (const float *v)
{
  double sum = 0;
  for (int i = 0; i < AREA; i++)
    sum += (double) v[i];
  return sum / AREA;
}

static void
test_nothing (void)
{
  Pair pair;
  changed (0, 1, &pair);
  for (int i = 0; i < AREA; i++)
    g_assert_cmpfloat (pair.test[i], ==, i % SIDE + 100 * (i / SIDE));
}

/* Mirrors and turns give all eight, each a whole patch: distances between pixels stay, and test and reference go together. */
static void
test_turns (void)
{
  gboolean seen[8] = { FALSE };
  for (gint64 seed = 0; seed < 100; seed++) {
    Pair pair;
    changed (NOTCH_AUGMENT_MIRROR | NOTCH_AUGMENT_TURN, seed, &pair);
    int corner = (int) pair.test[0], beside = (int) pair.test[1];
    int x = corner % 100, y = corner / 100, dx = beside % 100 - x, dy = beside / 100 - y;
    g_assert_true ((x == 0 || x == SIDE - 1) && (y == 0 || y == SIDE - 1) && ABS (dx) + ABS (dy) == 1);
    seen[(x > 0) | (y > 0) << 1 | (dx == 0) << 2] = TRUE;
    g_autofree gboolean *found = g_new0 (gboolean, AREA);
    for (int i = 0; i < AREA; i++) {
      g_assert_cmpfloat (pair.reference[i], ==, pair.test[i] + 7);
      int at = (int) pair.test[i] / 100 * SIDE + (int) pair.test[i] % 100;
      g_assert_false (found[at]);
      found[at] = TRUE;
    }
  }
  for (int i = 0; i < 8; i++)
    g_assert_true (seen[i]);
}

/* A ramp that is moved is a ramp: by up to 2 px, and the reference by 0.1 px more. */
static void
test_shifts (void)
{
  double most = 0;
  for (gint64 seed = 0; seed < 50; seed++) {
    Pair pair;
    changed (NOTCH_AUGMENT_SHIFT, seed, &pair);
    int middle = AREA / 2 + SIDE / 2;
    double by = (double) pair.test[middle] - (SIDE / 2 + 100 * (SIDE / 2)), dy = round (by / 100), dx = by - 100 * dy;
    most = MAX (most, fabs (by) / 100);
    g_assert_cmpfloat (fabs (by), <=, 202);
    g_assert_cmpfloat (fabs (dx), <=, 52);
    for (int y = 4; y < SIDE - 4; y++)
      for (int x = 4; x < SIDE - 4; x++) {
        g_assert_cmpfloat_with_epsilon (pair.test[y * SIDE + x], x + 100 * y + by, 1e-2);
        g_assert_cmpfloat_with_epsilon (pair.reference[y * SIDE + x], pair.test[y * SIDE + x] + 7, 1e-2);
      }
    changed (NOTCH_AUGMENT_REGISTER, seed, &pair);
    g_assert_cmpfloat (pair.test[middle], ==, SIDE / 2 + 100 * (SIDE / 2));
    g_assert_cmpfloat (fabsf (pair.reference[middle] - pair.test[middle] - 7), <=, 10.2);
  }
  g_assert_cmpfloat (most, >, 1.5);
}

static void
test_brightness (void)
{
  double most_noise = 0;
  for (gint64 seed = 0; seed < 50; seed++) {
    Pair pair, plain;
    changed (0, seed, &plain);
    changed (NOTCH_AUGMENT_GAIN, seed, &pair);
    g_assert_cmpfloat_with_epsilon (mean_of (pair.test), mean_of (plain.test), 0.01);
    double factor = (double) (pair.test[AREA - 1] - pair.test[0]) / (double) (plain.test[AREA - 1] - plain.test[0]);
    g_assert_true (factor >= 0.969 && factor <= 1.031 && factor != 1);
    changed (NOTCH_AUGMENT_OFFSET, seed, &pair);
    g_assert_cmpfloat (fabs (mean_of (pair.test) - mean_of (plain.test)), <=, 1.01); /* half of a sigma of 2 */
    changed (NOTCH_AUGMENT_NOISE, seed, &pair);
    double square = 0;
    for (int i = 0; i < AREA; i++) {
      square += pow ((double) (pair.test[i] - plain.test[i]), 2);
      g_assert_cmpfloat (pair.reference[i], ==, plain.reference[i]);
    }
    most_noise = MAX (most_noise, sqrt (square / AREA));
    g_assert_cmpfloat (sqrt (square / AREA), <=, 2.3);
  }
  g_assert_cmpfloat (most_noise, >, 1.6);
}

/* A point that is blurred keeps its sum. */
static void
test_defocus (void)
{
  Pair pair = { { 0 }, { 0 }, { 0 } };
  int middle = AREA / 2 + SIDE / 2;
  pair.test[middle] = pair.reference[middle] = 100;
  NotchRandom random = notch_random_at (3, NOTCH_STREAM_AUGMENT, 1, 0);
  notch_augment (&(NotchPatchPair){ SIDE, 2, pair.test, pair.reference, pair.scratch }, NOTCH_AUGMENT_DEFOCUS, &random);
  g_assert_cmpfloat_with_epsilon (mean_of (pair.test) * AREA, 100, 1e-3);
  g_assert_cmpfloat (pair.test[middle], <, 100);
  g_assert_cmpfloat (pair.test[middle], >, 25);
  g_assert_cmpfloat (pair.test[middle + 1], ==, pair.test[middle - SIDE]);
}

/* Of a map a few dice pass that failed, or fail that passed; where there are dice stays. */
static void
test_flips (void)
{
  int most = 0;
  for (gint64 seed = 0; seed < 50; seed++) {
    Pair pair;
    for (int i = 0; i < AREA; i++)
      pair.test[i] = (float) (i % 3 == 0), pair.reference[i] = 1;
    NotchRandom random = notch_random_at (3, NOTCH_STREAM_AUGMENT, seed, 0);
    notch_augment (&(NotchPatchPair){ SIDE, 0, pair.test, pair.reference, pair.scratch }, NOTCH_AUGMENT_FLIP, &random);
    int n = 0;
    for (int i = 0; i < AREA; i++) {
      g_assert_true ((pair.test[i] == 0 || pair.test[i] == 1) && pair.reference[i] == 1);
      n += pair.test[i] != (float) (i % 3 == 0);
    }
    most = MAX (most, n);
    g_assert_cmpint (n, <, AREA / 10);
  }
  g_assert_cmpint (most, >, 4);
}

/* ---- the classifier ---------------------------------------------------------------------------------------------- */

/* Dark and bright blobs of some size on a pattern, and rings; every fifth example is held out. */
static NotchDataset *
make_dataset (int n, guint8 **part)
{
  static const char *const name[] = { "bright", "dark", "ring" };
  NotchDataset *dataset = notch_dataset_new ();
  dataset->patch_side = SIDE;
  for (gsize c = 0; c < G_N_ELEMENTS (name); c++)
    notch_dataset_name (dataset->class_name, name[c]);
  notch_dataset_name (dataset->wafer_name, "one");
  *part = g_new (guint8, n);
  for (int i = 0; i < n; i++) {
    NotchExample example = { .name = g_strdup_printf ("example %d", i), .class_index = i % 3 };
    example.patch = g_new (float, 2 * AREA);
    double level = notch_random_between (&chance, 50, 150), size = notch_random_between (&chance, 1.5, 2.5);
    for (int p = 0; p < AREA; p++) {
      double x = p % SIDE - SIDE / 2, y = p / SIDE - SIDE / 2, r = sqrt (x * x + y * y),
             blob = exp (-r * r / (2 * size * size));
      double ring = exp (-(r - 6) * (r - 6) / 2);
      float reference = (float) (level + 30 * sin (p % SIDE * 0.8));
      double what = i % 3 == 0 ? blob : i % 3 == 1 ? -blob : ring;
      example.patch[p] = reference + (float) (15 * what) + 2 * normal ();
      example.patch[AREA + p] = reference;
    }
    if (i % 7 == 0)
      example.patch[3] = example.patch[AREA + 9] = NAN;
    g_array_append_val (dataset->example, example);
    (*part)[i] = i % 5 == 0 ? NOTCH_PART_HELD_OUT : NOTCH_PART_TRAIN;
  }
  return dataset;
}

static gboolean
count_lines (const char *line, double done, gpointer data)
{
  g_assert_true (g_str_has_prefix (line, "epoch ") && done > 0 && done <= 1);
  (*(int *) data)++;
  return TRUE;
}

static gboolean
stop_after (const char *line, double done, gpointer data)
{
  (void) line, (void) done;
  return --*(int *) data > 0;
}

static void
test_classifier (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree guint8 *part = NULL;
  g_autoptr (NotchDataset) dataset = make_dataset (300, &part);
  const NotchClassifier *net = notch_classifier_find ("net", &error);
  int lines = 0;
  const NotchTrainHow how = {
    .seed = 1, .rounds = 2, .compute = &(NotchCompute){ .jobs = 2 }, .step = count_lines, .data = &lines
  };
  g_autoptr (NotchModel) model = net->train (dataset, part, &how, &error);
  g_assert_no_error (error);
  g_assert_cmpint (lines, ==, 2);
  g_assert_cmpuint (json_array_get_length (json_object_get_array_member (model->settings, "curve")), ==, 2);
  /* Interrupted after an epoch and resumed it is the same. */
  g_autofree char *folder = g_dir_make_tmp ("notch-net-XXXXXX", NULL),
                  *checkpoint = g_build_filename (folder, "c", NULL);
  NotchTrainHow again_how = how;
  int stop = 1;
  again_how.checkpoint = checkpoint, again_how.step = stop_after, again_how.data = &stop;
  g_assert_null (net->train (dataset, part, &again_how, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_CANCELLED);
  g_assert_true (g_str_has_suffix (error->message, "interrupted after epoch 1 of 2; --resume goes on from there"));
  g_clear_error (&error);
  stop = 2, again_how.resume = TRUE; /* one more line */
  g_autoptr (NotchModel) resumed = net->train (dataset, part, &again_how, &error);
  g_assert_no_error (error);
  g_assert_cmpint (stop, ==, 1);
  g_autoptr (GBytes) once = notch_model_to_bytes (model, NULL), twice = notch_model_to_bytes (resumed, NULL);
  g_assert_true (g_bytes_equal (once, twice));
  g_assert_false (g_file_test (checkpoint, G_FILE_TEST_EXISTS));
  g_rmdir (folder);
  gpointer state = net->open (model, &error);
  g_assert_no_error (error);

  guint n = dataset->example->len;
  NotchExample *example = (NotchExample *) (gpointer) dataset->example->data;
  g_autofree float *probability = g_new (float, 3 * n), *again = g_new (float, 3 * n);
  g_assert_true (net->classify (state, example, n, SIDE, &(NotchCompute){ .jobs = 2 },
                                &(NotchSaid){ .probability = probability }, &error));
  g_assert_true (net->classify (state, example, n, SIDE, &(NotchCompute){ .jobs = 1 },
                                &(NotchSaid){ .probability = again }, &error));
  g_assert_cmpmem (probability, 3 * n * sizeof (float), again, 3 * n * sizeof (float));
  for (guint i = 0; i < n; i++)
    for (guint c = 0; c < 3; c++)
      if (part[i] == NOTCH_PART_HELD_OUT && c != i % 3)
        g_assert_cmpfloat (probability[3 * i + c], <, probability[3 * i + i % 3]);
  /* What has no patch is nothing in particular. */
  NotchExample none = { 0 };
  g_assert_true (net->classify (state, &none, 1, SIDE, NULL, &(NotchSaid){ .probability = probability }, &error));
  for (int c = 0; c < 3; c++)
    g_assert_cmpfloat (probability[c], ==, 1.0f / 3);
  /* A larger patch with the same middle is the same defect. */
  const int wide = SIDE + 8;
  NotchExample larger = { .patch = g_new0 (float, 2 * wide * wide) };
  for (int k = 0; k < 2; k++)
    for (int p = 0; p < AREA; p++)
      larger.patch[(k * wide + p / SIDE + 4) * wide + p % SIDE + 4] = example[1].patch[k * AREA + p];
  g_assert_true (net->classify (state, &larger, 1, wide, NULL, &(NotchSaid){ .probability = probability }, &error));
  g_assert_cmpmem (probability, 3 * sizeof (float), again + 3, 3 * sizeof (float));
  g_free (larger.patch);
  int length = net->embedding_length (state);
  g_autofree float *vector = g_new (float, 2 * length);
  g_assert_true (net->classify (state, example, 2, SIDE, NULL, &(NotchSaid){ .vector = vector }, &error));
  g_assert_cmpint (memcmp (vector, vector + length, (gsize) length * sizeof *vector), !=, 0);
  net->close (state);

  notch_model_add_class (model, "another");
  g_assert_null (net->open (model, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
}

/* Two classes that are each other's mirror image can be told apart only where neither is mirrored nor turned; and what was
 * learned the one way is not gone on with the other way. */
static void
test_oriented (void)
{
  if (few (FALSE, TRUE)) {
    g_test_skip ("it takes the code of the test before");
    return;
  }
  g_autoptr (GError) error = NULL;
  g_autofree guint8 *part = NULL;
  g_autoptr (NotchDataset) dataset = make_dataset (120, &part);
  const guint n = dataset->example->len;
  for (guint i = 0; i < n; i++) {
    NotchExample *example = &g_array_index (dataset->example, NotchExample, i);
    example->class_index = (int) (i % 2);
    for (int p = 0; p < AREA; p++) {
      double x = p % SIDE - (i % 2 == 0 ? 0.3 : 0.7) * SIDE, y = p / SIDE - 0.5 * SIDE;
      example->patch[AREA + p] = 100;
      example->patch[p] = (float) (100 + 30 * exp (-(x * x + y * y) / 8) + normal ());
    }
  }
  g_ptr_array_set_size (dataset->class_name, 2);
  g_autofree char *folder = g_dir_make_tmp ("notch-net-XXXXXX", NULL),
                  *checkpoint = g_build_filename (folder, "c", NULL);
  const gboolean oriented[] = { TRUE, TRUE };
  for (int k = 0; k < 2; k++) {
    int stop = 1;
    NotchTrainHow how = { .seed = 1,
                          .rounds = 2,
                          .compute = &(NotchCompute){ .jobs = 2 },
                          .checkpoint = checkpoint,
                          .oriented = k ? oriented : NULL,
                          .step = stop_after,
                          .data = &stop };
    g_assert_null (notch_classifier_net.train (dataset, part, &how, &error));
    g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_CANCELLED);
    g_clear_error (&error);
    how.resume = TRUE, how.step = NULL;
    how.oriented = k ? NULL : oriented;
    g_assert_null (notch_classifier_net.train (dataset, part, &how, &error));
    g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
    g_clear_error (&error);
    how.oriented = k ? oriented : NULL;
    g_autoptr (NotchModel) model = notch_classifier_net.train (dataset, part, &how, &error);
    g_assert_no_error (error);
    gpointer state = notch_classifier_net.open (model, &error);
    g_assert_no_error (error);
    g_autofree float *probability = g_new (float, 2 * n);
    g_assert_true (notch_classifier_net.classify (state, (NotchExample *) (gpointer) dataset->example->data, n, SIDE,
                                                  NULL, &(NotchSaid){ .probability = probability }, &error));
    guint right = 0;
    for (guint i = 0; i < n; i++)
      right += probability[2 * i + i % 2] > 0.9f;
    if (k)
      g_assert_cmpuint (right, >=, n * 9 / 10);
    else
      g_assert_cmpuint (right, <=, n / 10);
    notch_classifier_net.close (state);
  }
  g_rmdir (folder);
}

static void
test_no_patches (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree guint8 *part = NULL;
  g_autoptr (NotchDataset) dataset = make_dataset (6, &part);
  for (guint i = 0; i < dataset->example->len; i++)
    g_clear_pointer (&g_array_index (dataset->example, NotchExample, i).patch, g_free);
  const NotchTrainHow how = { .seed = 1 };
  g_assert_null (notch_classifier_net.train (dataset, part, &how, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  begin ();
  g_test_add_func ("/augment/nothing", test_nothing);
  g_test_add_func ("/augment/turns", test_turns);
  g_test_add_func ("/augment/shifts", test_shifts);
  g_test_add_func ("/augment/brightness", test_brightness);
  g_test_add_func ("/augment/defocus", test_defocus);
  g_test_add_func ("/augment/flips", test_flips);
  g_test_add_func ("/net/classifier", test_classifier);
  g_test_add_func ("/net/oriented", test_oriented);
  g_test_add_func ("/net/no-patches", test_no_patches);
  return g_test_run ();
}
