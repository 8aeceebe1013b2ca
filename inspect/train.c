/* train.c - from data to a model file */
#include <math.h>
#include <string.h>

#include "inspect/classify/known.h"
#include "inspect/classify/metrics.h"
#include "inspect/image/write.h"
#include "inspect/validate/plots.h"

typedef struct {
  const NotchTrainOptions *options;
  NotchTrainHow how;
  NotchDataset *dataset;
  guint8 *part;
  gboolean *oriented; /* of each class */
  NotchTrained *trained;
  GString *report;
} Training;

static gboolean
tell (const Training *training, const char *line, GError **error)
{
  if (!training->how.step || training->how.step (line, 0, training->how.data))
    return TRUE;
  g_set_error_literal (error, NOTCH_ERROR, NOTCH_ERROR_CANCELLED, "interrupted; no model was written");
  return FALSE;
}

/* What there is of each class, and what is wrong with it, before anything is learned. */
static gboolean
tell_data (const Training *training, GError **error)
{
  NotchDataset *dataset = training->dataset;
  g_autofree gint64 *train = notch_dataset_count (dataset, training->part, NOTCH_PART_TRAIN);
  g_autofree gint64 *held = notch_dataset_count (dataset, training->part, NOTCH_PART_HELD_OUT);
  const guint odd = dataset->class_name->len, n_images = dataset->wafer_name->len;
  gint64 n = 0;
  for (guint c = 0; c <= odd; c++)
    n += train[c] + held[c];
  g_autofree char *head = g_strdup_printf ("%" G_GINT64_FORMAT " example%s of %u image%s", n, n == 1 ? "" : "s",
                                           n_images, n_images == 1 ? "" : "s");
  if (!tell (training, head, error))
    return FALSE;
  for (guint c = 0; c < dataset->class_name->len; c++) {
    g_autofree char *line =
        g_strdup_printf ("  %-20s %6" G_GINT64_FORMAT " to learn from, %6" G_GINT64_FORMAT " held out",
                         (char *) dataset->class_name->pdata[c], train[c], held[c]);
    if (!tell (training, line, error))
      return FALSE;
  }
  g_autofree char *none =
      g_strdup_printf ("  %-20s %6" G_GINT64_FORMAT " to learn from, %6" G_GINT64_FORMAT " held out", "none of these",
                       train[odd], held[odd]);
  if (train[odd] + held[odd] > 0 && !tell (training, none, error))
    return FALSE;
  for (guint i = 0; i < dataset->note->len; i++)
    if (!tell (training, dataset->note->pdata[i], error))
      return FALSE;
  return TRUE;
}

/* ---- the record ------------------------------------------------------------------------------------------------ */

static void
add_counts (JsonObject *record, const char *name, const NotchDataset *dataset, const guint8 *part, int which)
{
  g_autofree gint64 *count = notch_dataset_count (dataset, part, which);
  JsonObject *counts = json_object_new ();
  for (guint c = 0; c < dataset->class_name->len; c++)
    json_object_set_int_member (counts, dataset->class_name->pdata[c], count[c]);
  if (count[dataset->class_name->len] > 0)
    json_object_set_int_member (counts, NOTCH_ODD, count[dataset->class_name->len]);
  json_object_set_object_member (record, name, counts);
}

static void
add_record (const Training *training, NotchModel *model)
{
  JsonObject *record = json_object_new ();
  json_object_set_string_member (record, "version", notch_version ());
  json_object_set_int_member (record, "seed", (gint64) training->options->seed);
  json_object_set_int_member (record, "images", training->dataset->wafer_name->len);
  add_counts (record, "learned", training->dataset, training->part, NOTCH_PART_TRAIN);
  add_counts (record, "held_out", training->dataset, training->part, NOTCH_PART_HELD_OUT);
  if (training->oriented) {
    JsonArray *oriented = json_array_new ();
    for (guint c = 0; c < training->dataset->class_name->len; c++)
      if (training->oriented[c])
        json_array_add_string_element (oriented, training->dataset->class_name->pdata[c]);
    json_object_set_array_member (record, "oriented", oriented);
  }
  g_clear_pointer (&model->training, json_object_unref);
  model->training = record;
}

/* ---- what is held out ------------------------------------------------------------------------------------------ */

typedef struct {
  GArray *example; /* NotchExample, borrowed from the dataset */
  int *truth, *wafer, *called;
  float *probability;
} Held;

static void
held_clear (Held *held)
{
  g_clear_pointer (&held->example, g_array_unref);
  g_free (held->truth);
  g_free (held->wafer);
  g_free (held->called);
  g_free (held->probability);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Held, held_clear)

static void
hold (const Training *training, Held *held)
{
  const NotchDataset *dataset = training->dataset;
  held->example = g_array_new (FALSE, FALSE, sizeof (NotchExample));
  for (guint i = 0; i < dataset->example->len; i++)
    if (training->part[i] == NOTCH_PART_HELD_OUT && notch_example (dataset, i)->class_index >= 0)
      g_array_append_val (held->example, g_array_index (dataset->example, NotchExample, i));
  const guint n = held->example->len;
  held->truth = g_new (int, n + 1);
  held->wafer = g_new (int, n + 1);
  held->called = g_new (int, n + 1);
  held->probability = g_new (float, (gsize) n * dataset->class_name->len + 1);
  for (guint i = 0; i < n; i++) {
    held->truth[i] = g_array_index (held->example, NotchExample, i).class_index;
    held->wafer[i] = g_array_index (held->example, NotchExample, i).wafer;
  }
}

/* From which probability on something is flagged as a nuisance, where what is held out has some and others. */
static void
flag_nuisances (Training *training, const Held *held)
{
  const NotchTrained *trained = training->trained;
  const int n_classes = (int) trained->model->class_name->len;
  const guint n = held->example->len;
  g_autofree double *score = g_new (double, n);
  g_autofree gboolean *is = g_new (gboolean, n);
  for (guint i = 0; i < n; i++) {
    is[i] = trained->nuisance[held->truth[i]];
    score[i] = notch_nuisance_score (held->probability + (gsize) i * (gsize) n_classes, trained->nuisance, n_classes);
  }
  g_autoptr (GArray) curve = notch_nuisance_curve (score, is, n);
  if (!curve)
    return;
  const NotchNuisancePoint point = notch_nuisance_at (curve, NOTCH_NUISANCE_KEPT);
  trained->model->nuisance = MIN (point.above, NOTCH_NO_NUISANCE);
  if (isinf (point.above)) {
    g_string_append (training->report,
                     "nothing is flagged as a nuisance: too many others held out look more like one\n");
    return;
  }
  char kept[G_ASCII_DTOSTR_BUF_SIZE], removed[G_ASCII_DTOSTR_BUF_SIZE], above[G_ASCII_DTOSTR_BUF_SIZE];
  g_ascii_formatd (kept, sizeof kept, "%.1f", 100 * point.kept);
  g_ascii_formatd (removed, sizeof removed, "%.1f", 100 * point.removed);
  g_ascii_formatd (above, sizeof above, "%.3f", trained->model->nuisance);
  g_string_append_printf (training->report,
                          "nuisances are flagged from a probability of %s on: %s %% of those held out, after fitting "
                          "to them, and %s %% of others are not\n",
                          above, removed, kept);
}

/* Temperature and thresholds from what is held out, and how right the model is there with them. The same examples told when
 * to stop and set the limit of distances, so that this flatters, and is told with a word on it. */
static gboolean
judge (Training *training, GError **error)
{
  NotchModel *model = training->trained->model;
  const NotchDataset *dataset = training->dataset;
  const int n_classes = (int) dataset->class_name->len;
  g_auto (Held) held = { 0 };
  hold (training, &held);
  const guint n = held.example->len;
  if (n == 0) {
    g_string_append (training->report, "nothing was held out: how right the model is nobody knows yet\n");
    return TRUE;
  }
  const NotchExample *example = (const NotchExample *) (gpointer) held.example->data;
  const NotchCompute *compute = training->how.compute;
  g_autofree double *distance = g_new (double, n + 1);
  if (!notch_known_classify (training->trained, example, n, dataset->patch_side, compute, held.probability, distance,
                             error))
    return FALSE;
  model->temperature = notch_temperature (held.truth, held.probability, n, n_classes);
  notch_temper (held.probability, n, n_classes, model->temperature);
  if (training->options->purity > 0)
    notch_purity_thresholds (held.truth, held.probability, n, n_classes, training->options->purity, model->threshold);
  flag_nuisances (training, &held);
  for (guint i = 0; i < n; i++) {
    double confidence = 0;
    held.called[i] = notch_trained_decide (training->trained, held.probability + (gsize) i * (gsize) n_classes,
                                           distance[i], &confidence);
  }
  notch_known_expect_calls (model, held.called, n);
  g_autoptr (NotchMetrics) metrics =
      notch_metrics_new (held.truth, held.called, held.wafer, held.probability, n, n_classes, training->options->seed);
  json_object_set_double_member (model->training, "accuracy", metrics->accuracy.value);
  json_object_set_double_member (model->training, "macro_f1", metrics->macro_f1.value);
  char number[4][G_ASCII_DTOSTR_BUF_SIZE];
  const double figure[] = { metrics->accuracy.value, metrics->macro_f1.value, metrics->ece.value, model->temperature };
  for (int k = 0; k < 4; k++)
    g_ascii_formatd (number[k], sizeof number[k], "%.3f", figure[k]);
  g_string_append_printf (
      training->report,
      "held out, %u example%s, after fitting to them: accuracy %s, macro-F1 %s, calibration error %s, temperature %s\n",
      n, n == 1 ? "" : "s", number[0], number[1], number[2], number[3]);
  return TRUE;
}

/* ---- the learning curve ---------------------------------------------------------------------------------------- */

/* Row by row what a network's settings have of each epoch: loss and accuracy, and those of what is held out. */
static gboolean
draw_curve (const NotchModel *model, const char *path, GError **error)
{
  JsonNode *node = json_object_get_member (model->settings, "curve");
  JsonArray *curve = node && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
  const gsize n = curve ? json_array_get_length (curve) : 0;
  g_autofree double *value = g_new (double, 4 * n + 1);
  NotchLearning learning = { n, value, value + 2 * n, value + n, value + 3 * n, 0 };
  for (gsize i = 0; i < n; i++) {
    JsonArray *row = json_array_get_array_element (curve, (guint) i);
    for (gsize k = 0; k < 4; k++)
      value[k * n + i] =
          json_array_get_null_element (row, (guint) k) ? NAN : json_array_get_double_element (row, (guint) k);
    if (!isnan (value[2 * n + i]) && (learning.best == 0 || value[2 * n + i] < value[2 * n + learning.best - 1]))
      learning.best = i + 1;
  }
  return notch_plot_learning (&learning, path, error);
}

/* Whether anything was measured of any example: nothing is of a folder of crops. */
static gboolean
any_measured (const NotchDataset *dataset)
{
  for (guint i = 0; i < dataset->example->len; i++)
    for (int f = 0; f < NOTCH_N_FEATURES; f++)
      if (notch_feature_info[f].learn && isfinite (notch_example (dataset, i)->value[f]))
        return TRUE;
  return FALSE;
}

/* The classes that options name as oriented. */
static gboolean
read_oriented (Training *training, const NotchClassifier *classifier, GError **error)
{
  const GPtrArray *known = training->dataset->class_name;
  g_auto (GStrv) name = g_strsplit (training->options->oriented, ",", -1);
  if (!classifier->patches || classifier->maps) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE, "--oriented: a %s does not tell directions; leave it out",
                 classifier->name);
    return FALSE;
  }
  training->oriented = g_new0 (gboolean, known->len + 1);
  for (int i = 0; name[i]; i++) {
    guint c = 0;
    while (c < known->len && strcmp (known->pdata[c], g_strstrip (name[i])) != 0)
      c++;
    if (c == known->len) {
      g_autoptr (GString) list = g_string_new (NULL);
      for (guint k = 0; k < known->len; k++)
        g_string_append_printf (list, "%s%s", k > 0 ? ", " : "", (char *) known->pdata[k]);
      g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE, "--oriented: there is no class \"%s\"; the classes are %s",
                   name[i], list->str);
      return FALSE;
    }
    training->oriented[c] = TRUE;
  }
  training->how.oriented = training->oriented;
  return TRUE;
}

/* Whether the options are for this classifier and for these data. */
static gboolean
check_options (Training *training, const NotchClassifier *classifier, GError **error)
{
  const NotchTrainOptions *options = training->options;
  if ((options->curve || options->resume) && !classifier->epochs) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE, "--%s: a %s does not learn in epochs; leave it out",
                 options->curve ? "curve" : "resume", classifier->name);
    return FALSE;
  }
  if (classifier->maps != training->dataset->maps) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE, "training: a %s learns from %s, and these are %s; choose a %s",
                 classifier->name, classifier->maps ? "wafer maps" : "defects",
                 classifier->maps ? "defects" : "wafer maps", classifier->maps ? "forest" : "signature");
    return FALSE;
  }
  if (classifier->patches && training->dataset->patch_side == 0) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
                 "training: a %s learns from patches, and there are none; inspect with --format defects,patches",
                 classifier->name);
    return FALSE;
  }
  if (!classifier->patches && !classifier->maps && !any_measured (training->dataset)) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
                 "training: a %s learns from what is measured of defects, and of these nothing is; choose a net",
                 classifier->name);
    return FALSE;
  }
  return !training->options->oriented || read_oriented (training, classifier, error);
}

/* Examples without a patch, for a classifier that looks at nothing else: of a tile with many defects only the strongest have
 * one. */
static void
leave_out_bare (Training *training)
{
  NotchDataset *dataset = training->dataset;
  guint n = 0;
  for (guint i = 0; i < dataset->example->len; i++)
    if (!notch_example (dataset, i)->patch && training->part[i] != NOTCH_PART_NONE) {
      training->part[i] = NOTCH_PART_NONE;
      n++;
    }
  if (n > 0)
    g_ptr_array_add (dataset->note, g_strdup_printf ("%u example%s left out", n,
                                                     n == 1 ? " has no patch and is" : "s have no patch and are"));
}

static gboolean
train (Training *training, const char *path, GError **error)
{
  const char *usual = training->dataset->maps ? "signature" : "forest";
  const NotchClassifier *classifier =
      notch_classifier_find (training->options->classifier ? training->options->classifier : usual, error);
  g_autofree char *checkpoint = g_strconcat (path, ".checkpoint", NULL);
  if (!classifier || !check_options (training, classifier, error))
    return FALSE;
  if (classifier->patches)
    leave_out_bare (training);
  if (training->options->resume && !g_file_test (checkpoint, G_FILE_TEST_EXISTS))
    g_ptr_array_add (training->dataset->note,
                     g_strdup_printf ("%s: is not there, so training begins at the first epoch", checkpoint));
  notch_dataset_check (training->dataset, training->part);
  if (!tell_data (training, error))
    return FALSE;
  training->how.checkpoint = notch_is_stream (path) ? NULL : checkpoint;
  g_autoptr (NotchModel) model = classifier->train (training->dataset, training->part, &training->how, error);
  if (!model)
    return FALSE;
  add_record (training, model);
  training->trained = notch_trained_new (g_steal_pointer (&model), error);
  if (!training->trained)
    return FALSE;
  if (!notch_known_learn (training->trained, training->dataset, training->part, training->how.compute, error)
      || !judge (training, error) || !notch_model_save (training->trained->model, path, error))
    return FALSE;
  if (training->options->curve && !draw_curve (training->trained->model, training->options->curve, error))
    return FALSE;
  g_string_append_printf (training->report, "%s: %s of %u classes, %.12s\n", path, classifier->name,
                          training->dataset->class_name->len, training->trained->model->hash);
  return TRUE;
}

gboolean
notch_train (char **datasets, const char *path, const NotchTrainOptions *options, NotchTrainStep step, gpointer data,
             char **report, GError **error)
{
  g_auto (NotchCompute) compute = { 0 };
  Training training = { .options = options };
  training.how = (NotchTrainHow){ .seed = options->seed,
                                  .rounds = options->rounds,
                                  .compute = &compute,
                                  .resume = options->resume,
                                  .step = step,
                                  .data = data };
  if (!(options->hold_out <= 0.9) || !(options->purity >= 0 && options->purity <= 1)) {
    g_set_error_literal (error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
                         "training: 0 to 0.9 of the examples can be held out, and a purity is 0 to 1");
    return FALSE;
  }
  if (options->classifier && !notch_classifier_find (options->classifier, error))
    return FALSE;
  /* Nobody should learn after hours that the result has no place. */
  if (!notch_can_replace (path, NOTCH_MODEL_MAGIC, error)
      || (options->curve && !notch_can_replace (options->curve, NOTCH_PNG_MAGIC, error)))
    return FALSE;
  if (!notch_compute_open (&compute, options->device, 1, options->jobs, NULL, error))
    return FALSE;
  training.dataset = notch_dataset_load (datasets, error);
  if (!training.dataset)
    return FALSE;
  notch_dataset_keep (training.dataset, NOTCH_PART_TRAIN);
  training.report = g_string_new (NULL);
  double share = options->hold_out == 0 ? 0.2 : MAX (options->hold_out, 0);
  training.part = notch_dataset_split (training.dataset, share, options->seed);
  gboolean well = train (&training, path, error) || notch_compute_advise (&compute, error);
  if (well && report)
    *report = g_strdup (training.report->str);
  g_string_free (training.report, TRUE);
  notch_trained_free (training.trained);
  notch_dataset_free (training.dataset);
  g_free (training.part);
  g_free (training.oriented);
  return well;
}
