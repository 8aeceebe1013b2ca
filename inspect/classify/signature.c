/* signature.c - see signature.h; the row "signature" of the table of classifiers: trees over what wafer maps measure
 *
 * Examples are those of dataset-maps.c. What the trees look at does not change when a map is turned by a right angle or
 * mirrored, so no map needs to be shown to them twice. */
#include "inspect/classify/signature.h"

#include "inspect/classify/boost.h"
#include "inspect/classify/classifier.h"
#include "inspect/classify/forest.h"
#include "inspect/compute/parallel.h"
#include "inspect/sign/chance.h"
#include "inspect/sign/signature.h"

#include <math.h>
#include <string.h>

/* Maps are few and what they measure is much: shallow trees, each of which sees a part of the maps and few numbers at a
 * split. */
enum { DEPTH = 4, TREES = 4, ROUNDS = 50 };
#define RATE    0.2
#define ROWS    0.6
#define COLUMNS 0.1

typedef struct {
  const NotchExample *example;
  gsize n_features;
  float *row;
} Measuring;

static void
measure_map (gpointer data, int i)
{
  const Measuring *measuring = data;
  double value[NOTCH_SIGNATURE_MOST];
  notch_signature_measure (measuring->example[i].raster, value);
  for (gsize f = 0; f < measuring->n_features; f++)
    measuring->row[(gsize) i * measuring->n_features + f] = (float) value[f];
}

/* n rows of what the examples' maps measure; freed with g_free. */
static float *
measure_maps (const NotchExample *example, guint n, int jobs)
{
  gsize n_features = (gsize) notch_signature_count ();
  Measuring measuring = { example, n_features, g_new (float, (gsize) n *n_features + 1) };
  notch_parallel (jobs, (int) n, measure_map, &measuring);
  return measuring.row;
}

static GPtrArray *
feature_names (void)
{
  GPtrArray *names = g_ptr_array_new ();
  for (int f = 0; f < notch_signature_count (); f++)
    g_ptr_array_add (names, (gpointer) notch_signature_name (f));
  return names;
}

static NotchModel *
train (const NotchDataset *dataset, const guint8 *part, const NotchTrainHow *how, GError **error)
{
  const guint n = dataset->example->len;
  g_autoptr (GPtrArray) feature = feature_names ();
  g_autofree float *row =
      measure_maps ((const NotchExample *) (gpointer) dataset->example->data, n, notch_compute_jobs (how->compute));
  g_autofree int *class_index = notch_dataset_class_index (dataset);
  for (guint i = 0; i < n; i++)
    class_index[i] = MAX (class_index[i], -1); /* of maps nobody asks what is odd */
  const NotchBoostData data = { .feature = feature,
                                .class_name = dataset->class_name,
                                .row = row,
                                .class_index = class_index,
                                .part = part,
                                .n = n,
                                .depth = DEPTH,
                                .trees = TREES,
                                .rate = RATE,
                                .rows = ROWS,
                                .columns = COLUMNS };
  NotchTrainHow rounds = *how;
  if (rounds.rounds <= 0)
    rounds.rounds = ROUNDS;
  NotchModel *model = notch_boost_fit (&data, &rounds, error);
  if (!model)
    return NULL;
  g_free (model->purpose);
  g_free (model->classifier);
  model->purpose = g_strdup ("signature");
  model->classifier = g_strdup ("signature");
  return model;
}

static gpointer
open_model (const NotchModel *model, GError **error)
{
  g_autoptr (GPtrArray) feature = feature_names ();
  gboolean same = model->feature->len == feature->len;
  for (guint f = 0; f < feature->len && same; f++)
    same = strcmp (model->feature->pdata[f], feature->pdata[f]) == 0;
  if (same)
    return notch_forest_new (model, error);
  notch_model_refuse (model, error,
                      "it looks at other numbers of a wafer map than this program measures; train it anew");
  return NULL;
}

static gboolean
classify (gconstpointer state, const NotchExample *example, guint n, G_GNUC_UNUSED int patch_side,
          const NotchCompute *compute, const NotchSaid *said, GError **error)
{
  g_autofree float *row = measure_maps (example, n, notch_compute_jobs (compute));
  return notch_forest_apply (state, row, n, compute, said->probability, NULL, error);
}

static void
close_model (gpointer state)
{
  notch_forest_free (state);
}

const NotchClassifier notch_classifier_signature = {
  .name = "signature",
  .summary = "gradient-boosted trees over what wafer maps measure",
  .patches = TRUE,
  .maps = TRUE,
  .train = train,
  .open = open_model,
  .classify = classify,
  .close = close_model,
};

/* ---- a wafer ----------------------------------------------------------------------------------------------------- */

#define ALPHA 0.05

static gboolean
is_place (const char *name)
{
  static const char *const no_place[] = { NOTCH_SIGNATURE_NONE, "Random", "Near-full", NULL };
  return !g_strv_contains (no_place, name);
}

/* Cut dice are left out whether they fail or pass, also where the recipe has them inspected: they are smaller and all lie
 * along the edge, so counted they would fail more rarely there, and counted only when they fail more often; either looks like
 * a signature. */
static int
bin_of (const NotchDie *die)
{
  if (die->kind != NOTCH_DIE_WHOLE)
    return NOTCH_BIN_NONE;
  return die->n_defects > 0 || die->failed ? NOTCH_BIN_FAIL : NOTCH_BIN_PASS;
}

NotchBinMap *
notch_binmap_of_grid (const NotchGrid *grid)
{
  if (grid->n_cols > NOTCH_BINMAP_MOST_SIDE || grid->n_rows > NOTCH_BINMAP_MOST_SIDE)
    return NULL;
  g_autoptr (NotchBinMap) map = notch_binmap_new (grid->n_cols, grid->n_rows);
  if (!map)
    return NULL;
  gint64 dice = 0;
  for (guint i = 0; i < grid->die->len; i++) {
    map->bin[i] = (guint8) bin_of (&g_array_index (grid->die, NotchDie, i));
    dice += map->bin[i] != NOTCH_BIN_NONE;
  }
  return dice < NOTCH_SIGNATURE_LEAST_DICE ? NULL : g_steal_pointer (&map);
}

gboolean
notch_signature_read (const NotchTrained *trained, const NotchBinMap *map, const NotchCompute *compute,
                      NotchSignature *signature, GError **error)
{
  const GPtrArray *class_name = trained->model->class_name;
  const int n_classes = (int) class_name->len;
  g_autofree float *probability = g_new (float, n_classes);
  NotchRaster raster;
  notch_binmap_rasterize (map, &raster);
  const NotchExample example = { .raster = &raster };
  if (!notch_trained_probabilities (trained, &example, 1, NOTCH_RASTER_SIDE, compute, probability, error))
    return FALSE;
  *signature = (NotchSignature){ .chance = NAN };
  int best = notch_trained_decide (trained, probability, NAN, &signature->confidence);
  if (best == n_classes || is_place (class_name->pdata[best]))
    signature->chance = notch_binmap_chance (map, notch_compute_jobs (compute));
  if (signature->chance > ALPHA) {
    for (int c = 0; c < n_classes; c++)
      if (is_place (class_name->pdata[c]))
        probability[c] = -1; /* less than any */
    best = notch_trained_decide (trained, probability, NAN, &signature->confidence);
  }
  signature->name = best < n_classes ? class_name->pdata[best] : NOTCH_UNKNOWN;
  if (signature->confidence < 0) { /* all classes are places, so the model has no say */
    signature->name = NOTCH_SIGNATURE_NONE;
    signature->confidence = NAN;
  }
  return TRUE;
}
