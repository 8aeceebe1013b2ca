/* known.c - what a model remembers of its examples */
#include "inspect/classify/known.h"

#include "inspect/classify/drift.h"

#include <math.h>
#include <string.h>

enum { DIGEST = 16 }; /* hexadecimal digits */

/* ---- vectors ------------------------------------------------------------------------------------------------------- */

/* What is known of n examples: vectors, which are a network's embedding, or the columns that the model looks at, squeezed so
 * that a large area is not all that counts; and what speaks for any class, NULL where the classifier does not tell. */
typedef struct {
  int length; /* of a vector; 0: there are none */
  float *vector;
  double *evidence;
} Seen;

static void
seen_clear (Seen *seen)
{
  g_free (seen->vector);
  g_free (seen->evidence);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Seen, seen_clear)

static void
squeeze_columns (const NotchTrained *trained, const NotchExample *example, guint n, Seen *seen)
{
  g_autofree int *column = notch_model_columns (trained->model, NULL);
  const gsize d = column ? trained->model->feature->len : 0;
  seen->length = (int) d;
  seen->vector = g_new (float, n *d + 1);
  for (guint i = 0; i < n; i++)
    for (gsize j = 0; j < d; j++)
      seen->vector[i * d + j] = (float) asinh (example[i].value[column[j]]);
}

/* Asks the classifier once for all of it, and for probabilities where they are wanted. */
static gboolean
see (const NotchTrained *trained, const NotchExample *example, guint n, int patch_side, const NotchCompute *compute,
     float *probability, Seen *seen, GError **error)
{
  const NotchClassifier *classifier = trained->classifier;
  if (classifier->embedding_length) {
    seen->length = classifier->embedding_length (trained->state);
    seen->vector = g_new (float, (gsize) n *(gsize) seen->length + 1);
  } else
    squeeze_columns (trained, example, n, seen);
  seen->evidence = classifier->evidence ? g_new (double, n + 1) : NULL;
  const NotchSaid said = { probability, seen->evidence, classifier->embedding_length ? seen->vector : NULL };
  const gboolean asked = said.probability || said.evidence || said.vector;
  return !asked || classifier->classify (trained->state, example, n, patch_side, compute, &said, error);
}

static double
distance_of (const NotchTrained *trained, const NotchExample *example, const Seen *seen, guint i)
{
  if (trained->classifier->patches && !example->patch)
    return INFINITY;
  return trained->novelty ? notch_novelty_strangeness (trained->novelty, seen->vector + i * (gsize) seen->length,
                                                       seen->evidence ? seen->evidence[i] : NAN)
                          : NAN;
}

gboolean
notch_known_classify (const NotchTrained *trained, const NotchExample *example, guint n, int patch_side,
                      const NotchCompute *compute, float *probability, double *distance, GError **error)
{
  g_auto (Seen) seen = { 0 };
  if (!trained->novelty) {
    if (!notch_trained_probabilities (trained, example, n, patch_side, compute, probability, error))
      return FALSE;
  } else {
    if (!see (trained, example, n, patch_side, compute, probability, &seen, error))
      return FALSE;
    notch_trained_temper (trained, probability, n);
  }
  for (guint i = 0; i < n; i++)
    distance[i] = distance_of (trained, &example[i], &seen, i);
  return TRUE;
}

double *
notch_known_places (const NotchTrained *trained, const NotchExample *example, guint n, int patch_side,
                    const NotchCompute *compute, int *length, GError **error)
{
  if (!trained->novelty) {
    notch_model_refuse (trained->model, error,
                        "the model does not tell what is far from what it learned from; train it with notch train");
    return NULL;
  }
  g_auto (Seen) seen = { 0 };
  if (!see (trained, example, n, patch_side, compute, NULL, &seen, error))
    return NULL;
  *length = seen.length;
  gsize d = (gsize) seen.length;
  double *place = g_new (double, n *d + 1);
  for (guint i = 0; i < n; i++)
    notch_novelty_place (trained->novelty, seen.vector + i * d, place + i * d);
  return place;
}

/* The examples of a part, and their classes as the model counts them; -1 where it does not know the class. */
static GArray *
take_part (const NotchTrained *trained, const NotchDataset *dataset, const guint8 *part, int which, GArray *class_index)
{
  GArray *example = g_array_new (FALSE, FALSE, sizeof (NotchExample));
  for (guint i = 0; i < dataset->example->len; i++)
    if (part[i] == which && notch_example (dataset, i)->class_index >= 0) {
      const char *name = dataset->class_name->pdata[notch_example (dataset, i)->class_index];
      int known = notch_model_class (trained->model, name);
      g_array_append_val (example, *notch_example (dataset, i));
      g_array_append_val (class_index, known);
    }
  return example;
}

/* By the examples of a part. */
static gboolean
set_limit (const NotchTrained *trained, const GArray *examples, int patch_side, const NotchCompute *compute,
           GError **error)
{
  g_auto (Seen) seen = { 0 };
  const NotchExample *example = (const NotchExample *) (gpointer) examples->data;
  if (!see (trained, example, examples->len, patch_side, compute, NULL, &seen, error))
    return FALSE;
  notch_novelty_set_limit (trained->novelty, seen.vector, seen.evidence, examples->len);
  return TRUE;
}

static gboolean
learn_novelty (NotchTrained *trained, const NotchDataset *dataset, const guint8 *part, const NotchCompute *compute,
               GError **error)
{
  g_auto (Seen) seen = { 0 };
  g_autoptr (GArray) known = g_array_new (FALSE, FALSE, sizeof (int)), other = g_array_new (FALSE, FALSE, sizeof (int));
  g_autoptr (GArray) learned = take_part (trained, dataset, part, NOTCH_PART_TRAIN, known);
  g_autoptr (GArray) held = take_part (trained, dataset, part, NOTCH_PART_HELD_OUT, other);
  if (!see (trained, (const NotchExample *) (gpointer) learned->data, learned->len, dataset->patch_side, compute, NULL,
            &seen, error))
    return FALSE;
  g_clear_pointer (&trained->novelty, notch_novelty_free);
  if (seen.length > 0)
    trained->novelty = notch_novelty_new (seen.vector, (const int *) (gpointer) known->data, known->len, seen.length,
                                          (int) trained->model->class_name->len);
  if (!trained->novelty)
    return TRUE;
  if (!set_limit (trained, held->len > 0 ? held : learned, dataset->patch_side, compute, error))
    return FALSE;
  g_autoptr (GBytes) bytes = notch_novelty_to_bytes (trained->novelty);
  notch_model_set_section (trained->model, NOTCH_NOVELTY_SECTION, bytes);
  return TRUE;
}

/* ---- wafers -------------------------------------------------------------------------------------------------------- */

/* A digest of each wafer's examples, what they look like and in which order. */
static GPtrArray *
digest_wafers (const NotchDataset *dataset)
{
  g_autoptr (GPtrArray) sum = g_ptr_array_new_with_free_func ((GDestroyNotify) g_checksum_free);
  GPtrArray *digest = g_ptr_array_new_with_free_func (g_free);
  gsize patch = 2 * (gsize) dataset->patch_side * (gsize) dataset->patch_side * sizeof (float);
  for (guint w = 0; w < dataset->wafer_name->len; w++)
    g_ptr_array_add (sum, g_checksum_new (G_CHECKSUM_SHA256));
  for (guint i = 0; i < dataset->example->len; i++) {
    const NotchExample *example = notch_example (dataset, i);
    GChecksum *own = sum->pdata[example->wafer];
    for (int f = 0; f < NOTCH_N_FEATURES; f++) {
      double value = isnan (example->value[f]) ? NAN : example->value[f];
      if (notch_feature_info[f].learn)
        g_checksum_update (own, (const guchar *) &value, sizeof value);
    }
    if (example->patch)
      g_checksum_update (own, (const guchar *) example->patch, (gssize) patch);
  }
  for (guint w = 0; w < sum->len; w++)
    g_ptr_array_add (digest, g_strndup (g_checksum_get_string (sum->pdata[w]), DIGEST));
  return digest;
}

static void
record_wafers (JsonObject *record, const NotchDataset *dataset, const guint8 *part)
{
  g_autoptr (GPtrArray) digest = digest_wafers (dataset);
  g_autofree gboolean *used = g_new0 (gboolean, dataset->wafer_name->len + 1);
  JsonArray *wafers = json_array_new ();
  for (guint i = 0; i < dataset->example->len; i++)
    if (part[i] != NOTCH_PART_NONE)
      used[notch_example (dataset, i)->wafer] = TRUE;
  for (guint w = 0; w < digest->len; w++)
    if (used[w])
      json_array_add_string_element (wafers, digest->pdata[w]);
  json_object_set_array_member (record, "wafers", wafers);
}

/* The digests that a model has, each a text; NULL where it has none. */
static JsonArray *
recorded_wafers (const NotchModel *model)
{
  JsonNode *node = model->training ? json_object_get_member (model->training, "wafers") : NULL;
  JsonArray *wafers = node && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
  for (guint i = 0; wafers && i < json_array_get_length (wafers); i++) {
    JsonNode *element = json_array_get_element (wafers, i);
    if (!JSON_NODE_HOLDS_VALUE (element) || json_node_get_value_type (element) != G_TYPE_STRING)
      return NULL;
  }
  return wafers;
}

gboolean *
notch_known_wafers (const NotchModel *model, const NotchDataset *dataset)
{
  gboolean *seen = g_new0 (gboolean, dataset->wafer_name->len + 1);
  JsonArray *wafers = recorded_wafers (model);
  g_autoptr (GHashTable) known = g_hash_table_new (g_str_hash, g_str_equal);
  for (guint i = 0; wafers && i < json_array_get_length (wafers); i++)
    g_hash_table_add (known, (gpointer) json_array_get_string_element (wafers, i));
  g_autoptr (GPtrArray) digest = digest_wafers (dataset);
  for (guint w = 0; w < digest->len; w++)
    seen[w] = g_hash_table_contains (known, digest->pdata[w]);
  return seen;
}

gboolean *
notch_known_oriented (const NotchModel *model, const GPtrArray *class_name)
{
  JsonNode *node = model->training ? json_object_get_member (model->training, "oriented") : NULL;
  JsonArray *names = node && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
  if (!names)
    return NULL;
  gboolean *oriented = g_new0 (gboolean, class_name->len + 1);
  for (guint i = 0; i < json_array_get_length (names); i++) {
    JsonNode *name = json_array_get_element (names, i);
    const char *text = JSON_NODE_HOLDS_VALUE (name) ? json_node_get_string (name) : NULL; /* NULL where it is none */
    for (guint c = 0; c < class_name->len; c++)
      oriented[c] |= g_strcmp0 (class_name->pdata[c], text) == 0;
  }
  return oriented;
}

/* ---- profiles ------------------------------------------------------------------------------------------------------ */

/* The columns that a profile is of: those that the model looks at, or, where it looks at patches only, all that mean the same
 * on every wafer. Freed with g_free. */
static int *
profile_columns (const NotchModel *model, int *n)
{
  *n = (int) model->feature->len;
  if (*n > 0)
    return notch_model_columns (model, NULL);
  int *column = g_new (int, NOTCH_N_FEATURES);
  for (int f = 0; f < NOTCH_N_FEATURES; f++)
    if (notch_feature_info[f].learn)
      column[(*n)++] = f;
  return column;
}

/* The values of those columns, n x n_columns. */
static double *
take_values (const int *column, int n_columns, const NotchExample *example, guint n)
{
  gsize d = (gsize) n_columns;
  double *value = g_new (double, n *d + 1);
  for (guint i = 0; i < n; i++)
    for (gsize j = 0; j < d; j++)
      value[i * d + j] = example[i].value[column[j]];
  return value;
}

static void
record_profile (const NotchModel *model, const NotchDataset *dataset, const guint8 *part)
{
  if (dataset->maps) /* nothing is measured of them that a line could drift in */
    return;
  int n_columns = 0;
  g_autofree int *column = profile_columns (model, &n_columns);
  if (!column)
    return;
  g_autoptr (GArray) example = g_array_new (FALSE, FALSE, sizeof (NotchExample)),
                     called = g_array_new (FALSE, FALSE, sizeof (int));
  for (guint i = 0; i < dataset->example->len; i++)
    if (part[i] != NOTCH_PART_NONE && notch_example (dataset, i)->class_index >= 0) {
      int known = notch_model_class (model, dataset->class_name->pdata[notch_example (dataset, i)->class_index]);
      g_array_append_val (example, *notch_example (dataset, i));
      g_array_append_val (called, known);
    }
  const char *name[NOTCH_N_FEATURES];
  for (int j = 0; j < n_columns; j++)
    name[j] = notch_feature_info[column[j]].name;
  g_autofree double *value =
      take_values (column, n_columns, (const NotchExample *) (gpointer) example->data, example->len);
  g_autoptr (GPtrArray) profile = notch_profile_new (value, (const int *) (gpointer) called->data, example->len, name,
                                                     n_columns, (int) model->class_name->len + 1);
  json_object_set_member (model->training, "profile", notch_profile_to_json (profile));
}

GPtrArray *
notch_known_profile (const NotchModel *model)
{
  int n_columns = 0;
  g_autofree int *column = profile_columns (model, &n_columns);
  JsonNode *node = model->training ? json_object_get_member (model->training, "profile") : NULL;
  return column ? notch_profile_from_json (node, n_columns, (int) model->class_name->len + 1) : NULL;
}

void
notch_known_expect_calls (const NotchModel *model, const int *called, guint n)
{
  g_autoptr (GPtrArray) profile = notch_known_profile (model);
  if (!profile)
    return;
  NotchHistogram *classes = profile->pdata[profile->len - 1];
  memset (classes->count, 0, (gsize) classes->n_bins * sizeof *classes->count);
  for (guint i = 0; i < n; i++)
    classes->count[called[i]]++;
  json_object_set_member (model->training, "profile", notch_profile_to_json (profile));
}

GPtrArray *
notch_known_profile_of (const NotchModel *model, const GPtrArray *profile, const NotchExample *example,
                        const int *called, guint n)
{
  int n_columns = 0;
  g_autofree int *column = profile_columns (model, &n_columns);
  g_autofree double *value = take_values (column, n_columns, example, n);
  return notch_profile_like (profile, value, called, n);
}

/* Whether what training records of its examples is there whole, where it is there. */
static gboolean
check_record (const NotchModel *model, GError **error)
{
  JsonObject *record = model->training;
  g_autoptr (GPtrArray) profile = notch_known_profile (model);
  const char *broken = !record                                                                 ? NULL
                       : json_object_has_member (record, "wafers") && !recorded_wafers (model) ? "wafers"
                       : json_object_has_member (record, "profile") && !profile                ? "profile"
                                                                                               : NULL;
  return !broken
         || notch_model_refuse (model, error, "the \"%s\" of its training record does not fit the model; train it anew",
                                broken);
}

gboolean
notch_known_open (NotchTrained *trained, GError **error)
{
  const NotchModel *model = trained->model;
  if (!check_record (model, error))
    return FALSE;
  GBytes *bytes = notch_model_section (model, NOTCH_NOVELTY_SECTION, NULL);
  int length = trained->classifier->embedding_length ? trained->classifier->embedding_length (trained->state)
                                                     : (int) model->feature->len;
  if (!bytes)
    return TRUE;
  trained->novelty = notch_novelty_from_bytes (bytes, length, (int) model->class_name->len);
  return trained->novelty
         || notch_model_refuse (model, error,
                                "its section \"" NOTCH_NOVELTY_SECTION "\" does not fit its vectors; train "
                                "it anew");
}

gboolean
notch_known_learn (NotchTrained *trained, const NotchDataset *dataset, const guint8 *part, const NotchCompute *compute,
                   GError **error)
{
  record_wafers (trained->model->training, dataset, part);
  record_profile (trained->model, dataset, part);
  return learn_novelty (trained, dataset, part, compute, error);
}
