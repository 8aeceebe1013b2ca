/* boost.c - see boost.h */
#include "config.h"

#include "inspect/classify/boost.h"

#include <math.h>
#include <string.h>

#include "inspect/classify/forest.h"
#include "inspect/classify/xgboost.h"

#ifdef HAVE_XGBOOST

#include <xgboost/c_api.h>

enum { MOST_ROUNDS = 300, ROUNDS_ALONE = 100, PATIENCE = 30 };

typedef struct {
  const NotchBoostData *data;
  const NotchTrainHow *how;
  guint n_labels;            /* classes, and what is odd where any of it is learned from */
  DMatrixHandle train, held; /* held NULL: nothing is held out */
  BoosterHandle booster;
  GError **error;
} Boost;

static gboolean
fine (Boost *boost, int status)
{
  if (status == 0)
    return TRUE;
  g_autofree char *said = g_strdup (XGBGetLastError ());
  g_strdelimit (said, "\n", ' ');
  g_set_error (boost->error, NOTCH_ERROR, NOTCH_ERROR_INSPECT, "training: XGBoost gives up: %s", said);
  return FALSE;
}

/* What an example is to be told as: its class, or behind the last what is odd; -1: it is left out. */
static int
label_of (const NotchBoostData *data, guint i)
{
  return data->class_index[i] == NOTCH_CLASS_ODD ? (int) data->class_name->len : data->class_index[i];
}

/* What an example of each label weighs, so that the mean is 1. */
static double *
class_weights (const NotchBoostData *data, guint n_classes)
{
  g_autofree double *count = g_new0 (double, n_classes);
  double *weight = g_new0 (double, n_classes), n = 0, whole = 0;
  for (guint i = 0; i < data->n; i++)
    if (data->part[i] == NOTCH_PART_TRAIN && label_of (data, i) >= 0)
      count[label_of (data, i)]++, n++;
  for (guint c = 0; c < n_classes; c++) {
    weight[c] = 1 / sqrt (MAX (count[c], 1));
    whole += count[c] * weight[c];
  }
  for (guint c = 0; c < n_classes; c++)
    weight[c] *= whole > 0 ? n / whole : 1;
  return weight;
}

/* The examples of a part; *matrix stays NULL where there are none. */
static gboolean
make_matrix (Boost *boost, int part, const double *weight, DMatrixHandle *matrix)
{
  const NotchBoostData *data = boost->data;
  const gsize n_features = data->feature->len;
  g_autofree float *row = g_new (float, (gsize) data->n *n_features + 1);
  g_autofree float *label = g_new (float, data->n + 1), *weights = g_new (float, data->n + 1);
  gsize n = 0;
  for (guint i = 0; i < data->n; i++)
    if (data->part[i] == part && label_of (data, i) >= 0 && label_of (data, i) < (int) boost->n_labels) {
      memcpy (row + n * n_features, data->row + i * n_features, n_features * sizeof *row);
      label[n] = (float) label_of (data, i);
      weights[n++] = (float) weight[label_of (data, i)];
    }
  if (n == 0)
    return TRUE;
  /* One thread: with several, sums are in another order. */
  return fine (boost, XGDMatrixCreateFromMat_omp (row, n, n_features, NAN, matrix, 1))
         && fine (boost, XGDMatrixSetFloatInfo (*matrix, "label", label, n))
         && fine (boost, XGDMatrixSetFloatInfo (*matrix, "weight", weights, n));
}

static gboolean
make_booster (Boost *boost)
{
  DMatrixHandle known[] = { boost->train, boost->held };
  g_autofree char *classes = g_strdup_printf ("%u", boost->n_labels);
  g_autofree char *seed = g_strdup_printf ("%" G_GUINT64_FORMAT, boost->how->seed & G_MAXINT32);
  g_autofree char *depth = g_strdup_printf ("%d", boost->data->depth > 0 ? boost->data->depth : 6);
  g_autofree char *trees = g_strdup_printf ("%d", MAX (boost->data->trees, 1));
  char rate[G_ASCII_DTOSTR_BUF_SIZE], rows[G_ASCII_DTOSTR_BUF_SIZE], columns[G_ASCII_DTOSTR_BUF_SIZE];
  g_ascii_dtostr (rate, sizeof rate, boost->data->rate > 0 ? boost->data->rate : 0.1);
  g_ascii_dtostr (rows, sizeof rows, boost->data->rows > 0 ? boost->data->rows : 1);
  g_ascii_dtostr (columns, sizeof columns, boost->data->columns > 0 ? boost->data->columns : 1);
  const char *const parameter[][2] = {
    { "objective", "multi:softprob" }, { "num_class", classes }, { "tree_method", "hist" }, { "max_depth", depth },
    { "num_parallel_tree", trees },    { "eta", rate },          { "lambda", "1" },         { "subsample", rows },
    { "colsample_bynode", columns },   { "seed", seed },         { "nthread", "1" },        { "verbosity", "0" },
    { "eval_metric", "mlogloss" },
  };
  if (!fine (boost, XGBoosterCreate (known, boost->held ? 2 : 1, &boost->booster)))
    return FALSE;
  for (gsize i = 0; i < G_N_ELEMENTS (parameter); i++)
    if (!fine (boost, XGBoosterSetParam (boost->booster, parameter[i][0], parameter[i][1])))
      return FALSE;
  return fine (boost,
               XGBoosterSetStrFeatureInfo (boost->booster, "feature_name", (const char **) boost->data->feature->pdata,
                                           boost->data->feature->len));
}

/* The loss that a name stands for in "[3]\ttrain-mlogloss:0.5\theld-mlogloss:0.6". */
static double
loss_of (const char *told, const char *name)
{
  g_autofree char *mark = g_strconcat (name, "-mlogloss:", NULL);
  const char *at = strstr (told, mark);
  return at ? g_ascii_strtod (at + strlen (mark), NULL) : NAN;
}

/* *best receives how many rounds are worth keeping. */
static gboolean
run_rounds (Boost *boost, int *best)
{
  const NotchTrainHow *how = boost->how;
  const int most = how->rounds > 0 ? how->rounds : boost->held ? MOST_ROUNDS : ROUNDS_ALONE;
  DMatrixHandle known[] = { boost->train, boost->held };
  const char *name[] = { "train", "held" };
  double least = INFINITY;
  *best = 0;
  for (int round = 0; round < most && (!boost->held || round < *best + PATIENCE); round++) {
    const char *told = NULL;
    if (!fine (boost, XGBoosterUpdateOneIter (boost->booster, round, boost->train))
        || !fine (boost, XGBoosterEvalOneIter (boost->booster, round, known, name, boost->held ? 2 : 1, &told)))
      return FALSE;
    double loss = loss_of (told, "train"), held = boost->held ? loss_of (told, "held") : -round;
    if (held < least)
      least = held, *best = round + 1;
    char text[2][G_ASCII_DTOSTR_BUF_SIZE];
    g_ascii_formatd (text[0], sizeof text[0], "%.4f", loss);
    g_ascii_formatd (text[1], sizeof text[1], "%.4f", held);
    g_autofree char *line = boost->held
                                ? g_strdup_printf ("round %d: loss %s, held out %s", round + 1, text[0], text[1])
                                : g_strdup_printf ("round %d: loss %s", round + 1, text[0]);
    gboolean tell = round % 10 == 9 || round + 1 == most;
    if (how->step && !how->step (tell ? line : NULL, (round + 1.0) / most, how->data)) {
      g_set_error_literal (boost->error, NOTCH_ERROR, NOTCH_ERROR_CANCELLED, "interrupted; no model was written");
      return FALSE;
    }
  }
  return TRUE;
}

/* The first rounds as a model. */
static NotchModel *
make_model (Boost *boost, int rounds)
{
  BoosterHandle part = NULL;
  const char *json = NULL;
  bst_ulong n = 0;
  NotchModel *model = NULL;
  if (fine (boost, XGBoosterSlice (boost->booster, 0, rounds, 1, &part))
      && fine (boost, XGBoosterSetStrFeatureInfo (part, "feature_name", (const char **) boost->data->feature->pdata,
                                                  boost->data->feature->len))
      && fine (boost, XGBoosterSaveModelToBuffer (part, "{\"format\": \"json\"}", &n, &json))) {
    g_autoptr (GBytes) bytes = g_bytes_new (json, n);
    model = notch_xgboost_model (bytes, "training", boost->error);
  }
  if (part)
    XGBoosterFree (part);
  if (!model)
    return NULL;
  g_ptr_array_set_size (model->class_name, 0); /* a list in an attribute could not hold every name */
  for (guint c = 0; c < boost->data->class_name->len; c++)
    notch_model_add_class (model, boost->data->class_name->pdata[c]);
  if (boost->n_labels > boost->data->class_name->len)
    json_object_set_boolean_member (model->settings, NOTCH_FOREST_ODD, TRUE);
  g_clear_pointer (&model->path, g_free);
  g_clear_pointer (&model->hash, g_free);
  return model;
}

NotchModel *
notch_boost_fit (const NotchBoostData *data, const NotchTrainHow *how, GError **error)
{
  Boost boost = { .data = data, .how = how, .error = error };
  NotchModel *model = NULL;
  int rounds = 0;
  if (!notch_enough_classes (data->class_name, error))
    return NULL;
  gboolean known = FALSE, odd = FALSE;
  for (guint i = 0; i < data->n; i++)
    if (data->part[i] == NOTCH_PART_TRAIN) {
      known |= data->class_index[i] >= 0;
      odd |= data->class_index[i] == NOTCH_CLASS_ODD;
    }
  if (!known) {
    g_set_error_literal (error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
                         "training: no example is left to learn from; hold out less, or give more images");
    return NULL;
  }
  boost.n_labels = data->class_name->len + odd;
  g_autofree double *weight = class_weights (data, boost.n_labels);
  if (make_matrix (&boost, NOTCH_PART_TRAIN, weight, &boost.train)
      && make_matrix (&boost, NOTCH_PART_HELD_OUT, weight, &boost.held) && make_booster (&boost)
      && run_rounds (&boost, &rounds))
    model = make_model (&boost, rounds);
  if (boost.booster)
    XGBoosterFree (boost.booster);
  if (boost.train)
    XGDMatrixFree (boost.train);
  if (boost.held)
    XGDMatrixFree (boost.held);
  if (model)
    json_object_set_int_member (model->settings, "rounds", rounds);
  return model;
}

char *
notch_boost_library (void)
{
  int major = 0, minor = 0, patch = 0;
  XGBoostVersion (&major, &minor, &patch);
  return g_strdup_printf ("XGBoost %d.%d.%d", major, minor, patch);
}

#else

NotchModel *
notch_boost_fit (G_GNUC_UNUSED const NotchBoostData *data, G_GNUC_UNUSED const NotchTrainHow *how, GError **error)
{
  g_set_error_literal (
      error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
      "training: this notch was built without XGBoost, which trains forests; install libxgboost-dev and "
      "build it anew, or train in Python and give its JSON as the model");
  return NULL;
}

char *
notch_boost_library (void)
{
  return NULL;
}

#endif

NotchModel *
notch_boost_train (const NotchDataset *dataset, const guint8 *part, const NotchTrainHow *how, GError **error)
{
  g_autoptr (GPtrArray) feature = g_ptr_array_new ();
  const guint n = dataset->example->len;
  int column[NOTCH_N_FEATURES];
  for (int f = 0; f < NOTCH_N_FEATURES; f++)
    if (notch_feature_info[f].learn) {
      column[feature->len] = f;
      g_ptr_array_add (feature, (gpointer) notch_feature_info[f].name);
    }
  g_autofree float *row = g_new (float, (gsize) n * feature->len + 1);
  g_autofree int *class_index = notch_dataset_class_index (dataset);
  for (guint i = 0; i < n; i++)
    for (guint f = 0; f < feature->len; f++)
      row[(gsize) i * feature->len + f] = (float) notch_example (dataset, i)->value[column[f]];
  const NotchBoostData data = { .feature = feature,
                                .class_name = dataset->class_name,
                                .row = row,
                                .class_index = class_index,
                                .part = part,
                                .n = n,
                                .depth = 4,
                                .rows = 0.8,
                                .columns = 0.4 };
  return notch_boost_fit (&data, how, error);
}
