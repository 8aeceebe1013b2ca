/* reclassify.c - another model for results that are there already */
#include <json-glib/json-glib.h>
#include <string.h>

#include "inspect/classify/classes.h"
#include "inspect/classify/known.h"
#include "inspect/classify/limits.h"
#include "inspect/classify/mine.h"
#include "inspect/image/write.h"
#include "inspect/report/report.h"
#include "inspect/text.h"

typedef struct {
  NotchClasses *classes;
  const NotchCompute *compute;
  gint64 n_defects, n_changed; /* of a folder */
} Reclassify;

/* An image of a folder, and what becomes of its files once all images could be done. */
typedef struct {
  char *stem, *defects, *summary; /* paths, but for the stem */
  char *defects_text, *summary_text;
  gint64 *count; /* of each class */
  gint64 n_nuisances;
  GArray *drift;       /* NotchDrift, or NULL */
  const char *verdict; /* of the constant names */
  char *reasons;       /* as summary.csv has them */
} Image;

static void
image_free (gpointer data)
{
  Image *image = data;
  g_free (image->stem);
  g_free (image->defects);
  g_free (image->summary);
  g_free (image->defects_text);
  g_free (image->summary_text);
  g_free (image->count);
  g_clear_pointer (&image->drift, g_array_unref);
  g_free (image->reasons);
  g_free (image);
}

/* ---- defects.csv ----------------------------------------------------------------------------------------------- */

static void
append_row (GString *text, char *const *field, int n)
{
  for (int k = 0; k < n; k++) {
    g_string_append (text, k > 0 ? "," : "");
    notch_append_field (text, field[k]);
  }
  g_string_append_c (text, '\n');
}

static gboolean
classify_defects (Reclassify *work, Image *image, const char *folder, GError **error)
{
  g_autoptr (NotchDataset) dataset = notch_dataset_new ();
  g_autoptr (NotchCsv) csv = notch_dataset_add_folder (dataset, folder, error);
  if (!csv)
    return FALSE;
  const guint n = dataset->example->len;
  static const char *const column_name[] = { "class", "confidence", "nuisance" };
  int column[G_N_ELEMENTS (column_name)];
  for (gsize k = 0; k < G_N_ELEMENTS (column_name); k++) {
    column[k] = notch_csv_column (csv, column_name[k]);
    if (column[k] < 0) {
      g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: has no column %s; inspect the image anew", csv->path,
                   column_name[k]);
      return FALSE;
    }
  }
  if (n > 0 && work->classes->trained->classifier->patches && dataset->patch_side == 0) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                 "%s: the model looks at patches, and there are none; inspect with --format patches besides", folder);
    return FALSE;
  }
  const NotchExample *example = (const NotchExample *) (gpointer) dataset->example->data;
  g_autofree int *class_index = g_new (int, n + 1);
  g_autofree NotchCall *call = g_new (NotchCall, n + 1);
  if (!notch_classes_assign_examples (work->classes, example, n, dataset->patch_side, work->compute, call, error)) {
    g_prefix_error (error, "%s: ", csv->path);
    return FALSE;
  }
  for (guint i = 0; i < n; i++)
    class_index[i] = call[i].class_index;
  image->drift = notch_classes_drift_examples (work->classes, example, class_index, n);
  g_autoptr (GString) text = g_string_new (NULL);
  append_row (text, csv->name, csv->n_columns);
  for (guint i = 0; i < n; i++) {
    char **field = csv->row->pdata[i];
    const char *name = work->classes->name->pdata[class_index[i]];
    g_autoptr (GString) sure = g_string_new (NULL);
    notch_append_number (sure, call[i].confidence, 3);
    const char *const now[] = { name, sure->str, call[i].nuisance ? "1" : "0" };
    work->n_changed += strcmp (field[column[0]], name) != 0;
    for (gsize k = 0; k < G_N_ELEMENTS (now); k++) {
      g_free (field[column[k]]);
      field[column[k]] = g_strdup (now[k]);
    }
    append_row (text, field, csv->n_columns);
    image->count[class_index[i]]++;
    image->n_nuisances += call[i].nuisance;
  }
  work->n_defects += n;
  image->defects_text = g_string_free (g_steal_pointer (&text), FALSE);
  return TRUE;
}

/* ---- summary.json ---------------------------------------------------------------------------------------------- */

static JsonObject *
object_in (JsonObject *object, const char *name)
{
  JsonNode *node = json_object_get_member (object, name);
  return node && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
}

/* The text of a value, or NULL. */
static const char *
text_of (JsonNode *node)
{
  return node && JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING
             ? json_node_get_string (node)
             : NULL;
}

static gint64
count_of (JsonObject *object, const char *name)
{
  JsonNode *node = object ? json_object_get_member (object, name) : NULL;
  return node && JSON_NODE_HOLDS_VALUE (node) ? json_node_get_int (node) : 0;
}

static double
number_of (JsonObject *object, const char *name, double fallback)
{
  JsonNode *node = object ? json_object_get_member (object, name) : NULL;
  GType type = node && JSON_NODE_HOLDS_VALUE (node) ? json_node_get_value_type (node) : G_TYPE_INVALID;
  return type == G_TYPE_DOUBLE || type == G_TYPE_INT64 ? json_node_get_double (node) : fallback;
}

/* What the limit on drift said before. */
static char *
drift_before (JsonObject *summary, double most)
{
  JsonObject *model = object_in (summary, "model"), *drift = model ? object_in (model, "drift") : NULL;
  const char *column = drift ? text_of (json_object_get_member (drift, "column")) : NULL;
  return notch_limits_drift_reason (column, most, drift ? number_of (drift, "largest", 0) : 0);
}

/* Takes the lines out that limits of classes and of drift gave before, and adds those that they give now. NULL where the model
 * does not give a class that is limited. */
static JsonArray *
judge_again (const Reclassify *work, const Image *image, JsonObject *summary, JsonArray *lines, GError **error)
{
  g_autoptr (JsonArray) reasons = json_array_new ();
  JsonObject *limits = object_in (summary, "limits"), *before = object_in (summary, "classes");
  JsonObject *most = limits ? object_in (limits, "classes") : NULL;
  g_autoptr (GList) name = most ? json_object_get_members (most) : NULL;
  const double most_drift = number_of (limits, "drift", -1);
  g_autofree char *drifted = drift_before (summary, most_drift);
  for (guint i = 0; lines && i < json_array_get_length (lines); i++) {
    const char *line = text_of (json_array_get_element (lines, i));
    gboolean stays = line && g_strcmp0 (line, drifted) != 0;
    for (GList *l = name; l && stays; l = l->next) {
      g_autofree char *old = notch_limits_class_reason (l->data, count_of (most, l->data), count_of (before, l->data));
      stays = g_strcmp0 (old, line) != 0;
    }
    if (stays)
      json_array_add_string_element (reasons, line);
  }
  for (GList *l = name; l; l = l->next) {
    guint c = 0;
    g_autofree char *place = g_strdup_printf ("%s: limits: class.%s", image->summary, (const char *) l->data);
    if (!notch_limits_find_class (work->classes->name, l->data, place, &c, error))
      return NULL;
    g_autofree char *now = notch_limits_class_reason (l->data, count_of (most, l->data), image->count[c]);
    if (now)
      json_array_add_string_element (reasons, now);
  }
  const NotchDrift *drift = image->drift ? notch_drift_largest (image->drift) : NULL;
  g_autofree char *drifts =
      notch_limits_drift_reason (drift ? drift->name : NULL, most_drift, drift ? drift->index : 0);
  if (drifts)
    json_array_add_string_element (reasons, drifts);
  return g_steal_pointer (&reasons);
}

/* Is there a limit among the reasons that cannot be judged? */
static gboolean
any_unjudged (JsonArray *reasons)
{
  for (guint i = 0; reasons && i < json_array_get_length (reasons); i++) {
    const char *line = text_of (json_array_get_element (reasons, i));
    if (line && notch_limits_unjudged (line))
      return TRUE;
  }
  return FALSE;
}

/* Verdict and reasons by the limits that the image was inspected with, as an inspection with this model would have them; one
 * that is in trouble, and not for a limit that cannot be judged, is left alone. */
static gboolean
set_verdict (const Reclassify *work, Image *image, JsonObject *summary, GError **error)
{
  JsonNode *said = json_object_get_member (summary, "reasons");
  JsonArray *before = said && JSON_NODE_HOLDS_ARRAY (said) ? json_node_get_array (said) : NULL;
  const char *verdict = text_of (json_object_get_member (summary, "verdict"));
  gboolean alone =
      before && g_strcmp0 (verdict, notch_verdict_name[NOTCH_VERDICT_TROUBLE]) == 0 && !any_unjudged (before);
  JsonArray *reasons = alone ? json_array_ref (before) : judge_again (work, image, summary, before, error);
  if (!reasons)
    return FALSE;
  const guint n = json_array_get_length (reasons);
  image->verdict = notch_verdict_name[alone || any_unjudged (reasons) ? NOTCH_VERDICT_TROUBLE
                                      : n > 0                         ? NOTCH_VERDICT_REJECT
                                                                      : NOTCH_VERDICT_PASS];
  g_autoptr (GString) joined = g_string_new (NULL);
  for (guint i = 0; i < n; i++) {
    const char *line = text_of (json_array_get_element (reasons, i));
    g_string_append_printf (joined, "%s%s", i > 0 ? "; " : "", line ? line : "");
  }
  image->reasons = g_string_free (g_steal_pointer (&joined), FALSE);
  json_object_set_string_member (summary, "verdict", image->verdict);
  json_object_set_array_member (summary, "reasons", reasons);
  return TRUE;
}

/* As an inspection writes it. */
static void
set_drift (JsonObject *model, const GArray *drift)
{
  if (!drift) {
    json_object_set_null_member (model, "drift");
    return;
  }
  const NotchDrift *largest = notch_drift_largest (drift);
  JsonObject *object = json_object_new (), *columns = json_object_new ();
  json_object_set_double_member (object, "largest", largest->index);
  json_object_set_string_member (object, "column", largest->name);
  for (guint i = 0; i < drift->len; i++)
    json_object_set_double_member (columns, g_array_index (drift, NotchDrift, i).name,
                                   g_array_index (drift, NotchDrift, i).index);
  json_object_set_object_member (object, "columns", columns);
  json_object_set_object_member (model, "drift", object);
}

static gboolean
classify_summary (const Reclassify *work, Image *image, GError **error)
{
  g_autofree char *text = notch_text_load (image->summary, "a summary.json", error);
  g_autoptr (JsonNode) root = text ? notch_json_parse (text, strlen (text), image->summary, error) : NULL;
  if (!root)
    return FALSE;
  if (!JSON_NODE_HOLDS_OBJECT (root)) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: is no summary of an inspection; inspect the image anew",
                 image->summary);
    return FALSE;
  }
  JsonObject *summary = json_node_get_object (root);
  if (!set_verdict (work, image, summary, error))
    return FALSE;
  JsonObject *counts = json_object_new (), *model = json_object_new ();
  for (guint c = 0; c < work->classes->name->len; c++)
    json_object_set_int_member (counts, work->classes->name->pdata[c], image->count[c]);
  json_object_set_int_member (summary, "nuisances", image->n_nuisances);
  json_object_set_object_member (summary, "classes", counts);
  g_autofree char *file = g_utf8_make_valid (work->classes->trained->model->path, -1);
  json_object_set_string_member (model, "file", file);
  json_object_set_string_member (model, "sha256", work->classes->trained->model->hash);
  set_drift (model, image->drift);
  json_object_set_object_member (summary, "model", model);
  json_object_set_null_member (summary, "asked"); /* nobody asked for this in one go: --resume does the image anew */
  g_autofree char *lines = notch_json_text (root);
  image->summary_text = g_strconcat (lines, "\n", NULL);
  return TRUE;
}

/* ---- summary.csv ----------------------------------------------------------------------------------------------- */

static const Image *
find_image (const GPtrArray *images, const char *stem)
{
  for (guint i = 0; i < images->len; i++)
    if (strcmp (((const Image *) images->pdata[i])->stem, stem) == 0)
      return images->pdata[i];
  return NULL;
}

/* The run's table with the model's classes in place of those before; of an image without results, they are 0. */
static char *
write_table (const Reclassify *work, const NotchCsv *csv, const GPtrArray *images)
{
  const int stem = notch_csv_column (csv, "stem"), verdict = notch_csv_column (csv, "verdict");
  const int reasons = notch_csv_column (csv, "reasons"), defects = notch_csv_column (csv, "defects");
  GString *text = g_string_new (NULL);
  for (guint r = 0; r <= csv->row->len; r++) { /* 0: the header */
    char *const *field = r == 0 ? csv->name : csv->row->pdata[r - 1];
    const Image *image = r == 0 ? NULL : find_image (images, notch_csv_text (csv, r - 1, stem));
    for (int k = 0; k < csv->n_columns; k++) {
      if (g_str_has_prefix (csv->name[k], "class_"))
        continue;
      g_string_append (text, k > 0 ? "," : "");
      notch_append_field (text, image && k == verdict   ? image->verdict
                                : image && k == reasons ? image->reasons
                                                        : field[k]);
      for (guint c = 0; k == defects && c < work->classes->name->len; c++) {
        g_autofree char *name = g_strconcat ("class_", work->classes->name->pdata[c], NULL);
        g_string_append_c (text, ',');
        if (r == 0)
          notch_append_field (text, name);
        else
          g_string_append_printf (text, "%" G_GINT64_FORMAT, image ? image->count[c] : 0);
      }
    }
    g_string_append_c (text, '\n');
  }
  return g_string_free (text, FALSE);
}

/* ---- a folder -------------------------------------------------------------------------------------------------- */

static int
compare_texts (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* Whether this is the folder of an image that an inspection finished. */
static gboolean
is_finished (const char *folder)
{
  g_autofree char *defects = g_build_filename (folder, "defects.csv", NULL);
  g_autofree char *summary = g_build_filename (folder, "summary.json", NULL);
  return g_file_test (defects, G_FILE_TEST_IS_REGULAR) && g_file_test (summary, G_FILE_TEST_IS_REGULAR);
}

/* Names of the folders in one that an inspection finished. */
static GPtrArray *
list_stems (const char *folder)
{
  GPtrArray *list = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  for (const char *name; dir && (name = g_dir_read_name (dir));) {
    g_autofree char *own = g_build_filename (folder, name, NULL);
    if (is_finished (own))
      g_ptr_array_add (list, g_strdup (name));
  }
  g_ptr_array_sort (list, compare_texts);
  return list;
}

static Image *
classify_image (Reclassify *work, const char *folder, const char *stem, GError **error)
{
  g_autofree char *own = g_build_filename (folder, stem, NULL);
  Image *image = g_new0 (Image, 1);
  image->stem = g_strdup (stem);
  image->defects = g_build_filename (own, "defects.csv", NULL);
  image->summary = g_build_filename (own, "summary.json", NULL);
  image->count = g_new0 (gint64, work->classes->name->len);
  if (classify_defects (work, image, own, error) && classify_summary (work, image, error))
    return image;
  image_free (image);
  return NULL;
}

static gboolean
put (const char *path, const char *text, GError **error)
{
  return notch_write_file (path, text, (gssize) strlen (text), error);
}

/* Nothing is written before all of it is known. */
static gboolean
classify_folder (Reclassify *work, const char *folder, GError **error)
{
  g_autoptr (GPtrArray) stems = list_stems (folder), images = g_ptr_array_new_with_free_func (image_free);
  g_autofree char *table = g_build_filename (folder, "summary.csv", NULL);
  if (stems->len == 0) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                 is_finished (folder)
                     ? "%s: is the folder of one image; name the output folder of notch inspect that it lies in"
                     : "%s: holds no finished image; name an output folder of notch inspect, with defects among its "
                       "reports",
                 folder);
    return FALSE;
  }
  g_autoptr (NotchCsv) csv = notch_csv_load (table, error);
  if (!csv)
    return FALSE;
  for (guint i = 0; i < stems->len; i++) {
    Image *image = classify_image (work, folder, stems->pdata[i], error);
    if (!image)
      return FALSE;
    g_ptr_array_add (images, image);
  }
  g_autofree char *text = write_table (work, csv, images);
  for (guint i = 0; i < images->len; i++) {
    const Image *image = images->pdata[i];
    if (!put (image->defects, image->defects_text, error) || !put (image->summary, image->summary_text, error))
      return FALSE;
  }
  return put (table, text, error);
}

/* Where the device has no room for the model, the processors do this folder and those to come; where an error has spoiled it,
 * only those to come. */
static gboolean
classify_anywhere (Reclassify *work, const char *folder, NotchCompute *processors, void (*tell) (const char *line),
                   GError **error)
{
  g_autoptr (GError) fault = NULL;
  work->n_defects = work->n_changed = 0;
  if (classify_folder (work, folder, &fault))
    return TRUE;
  gboolean full = g_error_matches (fault, NOTCH_ERROR, NOTCH_ERROR_DEVICE_FULL);
  if (work->compute->kernels != &notch_kernels_cpu
      && (full || g_error_matches (fault, NOTCH_ERROR, NOTCH_ERROR_DEVICE))) {
    if (!notch_compute_open (processors, "cpu", 1, work->compute->jobs, NULL, error))
      return FALSE;
    work->compute = processors;
  }
  if (!full || work->compute != processors) {
    g_propagate_error (error, g_steal_pointer (&fault));
    return FALSE;
  }
  g_autofree char *line =
      g_strdup_printf ("%s: classified on the CPU, for the GPU could not take it: %s", folder, fault->message);
  if (tell)
    tell (line);
  work->n_defects = work->n_changed = 0;
  return classify_folder (work, folder, error);
}

gboolean
notch_classify (char **folders, const char *model, const char *device, int jobs, void (*tell) (const char *line),
                char **report, GError **error)
{
  g_auto (NotchCompute) compute = { 0 }, processors = { 0 };
  g_autoptr (NotchRecipe) recipe = notch_recipe_new ();
  g_autoptr (GString) text = g_string_new (NULL);
  g_free (recipe->classify.model);
  recipe->classify.model =
      strcmp (model, NOTCH_MODEL_SHIPPED) == 0 ? g_strdup (model) : g_canonicalize_filename (model, NULL);
  g_clear_pointer (&recipe->classify.signature_model, g_free); /* of defects, here */
  g_autoptr (NotchClasses) classes = notch_classes_new (recipe, error);
  if (!classes || !notch_compute_open (&compute, device, 1, jobs, NULL, error))
    return FALSE;
  guint n_failed = 0;
  Reclassify work = { .classes = classes, .compute = &compute };
  for (int i = 0; folders[i]; i++) {
    g_autoptr (GError) fault = NULL;
    if (classify_anywhere (&work, folders[i], &processors, tell, &fault)) {
      g_string_append_printf (text, "%s: %" G_GINT64_FORMAT " defects, %" G_GINT64_FORMAT " in another class now\n",
                              folders[i], work.n_defects, work.n_changed);
      continue;
    }
    n_failed++;
    if (tell)
      tell (fault->message);
    if (error && !*error)
      g_propagate_error (error, g_steal_pointer (&fault));
  }
  if (report)
    *report = g_string_free (g_steal_pointer (&text), FALSE);
  return n_failed == 0;
}

/* ---- what to review -------------------------------------------------------------------------------------------- */

/* All defects of all folders. */
typedef struct {
  NotchDataset *dataset;
  GPtrArray *id; /* char *, beside the examples */
} Pool;

static gboolean
pool_folder (Pool *pool, const char *folder, GError **error)
{
  g_autoptr (GPtrArray) stems = list_stems (folder);
  for (guint i = 0; i < stems->len; i++) {
    g_autofree char *own = g_build_filename (folder, stems->pdata[i], NULL);
    g_autoptr (NotchCsv) csv = notch_dataset_add_folder (pool->dataset, own, error);
    if (!csv)
      return FALSE;
    for (guint row = 0; row < csv->row->len; row++)
      g_ptr_array_add (pool->id, g_strdup (notch_csv_text (csv, row, notch_csv_column (csv, "defect_id"))));
  }
  return TRUE;
}

/* The rows of those that were chosen, the most telling first. */
static char *
write_chosen (const NotchTrained *trained, const Pool *pool, const GArray *chosen, const float *probability,
              const double *distance, const double *worth)
{
  GString *text = g_string_new ("folder,defect_id,x_px,y_px,class,confidence,distance,worth\n");
  const gsize n_classes = trained->model->class_name->len;
  for (guint k = 0; k < chosen->len; k++) {
    const gsize i = g_array_index (chosen, gsize, k);
    const NotchExample *example = notch_example (pool->dataset, (guint) i);
    double confidence = 0;
    const guint called = (guint) notch_trained_decide (trained, probability + i * n_classes, distance[i], &confidence);
    const double number[] = { confidence, distance[i], worth[i] };
    notch_append_field (text, pool->dataset->wafer_name->pdata[example->wafer]);
    g_string_append_printf (text, ",%s,", (const char *) pool->id->pdata[i]);
    notch_append_number (text, example->value[NOTCH_FEATURE_X], 3);
    g_string_append_c (text, ',');
    notch_append_number (text, example->value[NOTCH_FEATURE_Y], 3);
    g_string_append_c (text, ',');
    notch_append_field (text, called < n_classes ? trained->model->class_name->pdata[called] : NOTCH_UNKNOWN);
    for (guint f = 0; f < G_N_ELEMENTS (number); f++) {
      g_string_append_c (text, ',');
      notch_append_number (text, number[f], 4);
    }
    g_string_append_c (text, '\n');
  }
  return g_string_free (text, FALSE);
}

static char *
choose (const NotchTrained *trained, const Pool *pool, int most, const NotchCompute *compute, GError **error)
{
  const guint n = pool->dataset->example->len;
  const NotchExample *example = (const NotchExample *) (gpointer) pool->dataset->example->data;
  const int side = pool->dataset->patch_side, n_classes = (int) trained->model->class_name->len;
  int length = 0;
  g_autofree double *place = notch_known_places (trained, example, n, side, compute, &length, error);
  g_autofree double *distance = g_new (double, n + 1), *rarity = g_new (double, n + 1), *worth = g_new (double, n + 1);
  g_autofree float *probability = g_new (float, (gsize) n *(gsize) n_classes + 1);
  if (!place || !notch_known_classify (trained, example, n, side, compute, probability, distance, error))
    return NULL;
  notch_mine_rarity (distance, n, rarity);
  for (guint i = 0; i < n; i++)
    worth[i] = notch_mine_worth (probability + (gsize) i * (gsize) n_classes, n_classes, rarity[i]);
  g_autoptr (GArray) chosen = notch_mine (worth, place, n, length, (gsize) most);
  return write_chosen (trained, pool, chosen, probability, distance, worth);
}

char *
notch_choose_for_review (char **folders, const char *model, const char *device, int most, int jobs, GError **error)
{
  g_auto (NotchCompute) compute = { 0 };
  g_autoptr (NotchTrained) trained = notch_trained_load (model, "defects", error);
  if (!trained)
    return NULL;
  g_autoptr (NotchDataset) dataset = notch_dataset_new ();
  g_autoptr (GPtrArray) id = g_ptr_array_new_with_free_func (g_free);
  Pool pool = { dataset, id };
  for (int i = 0; folders[i]; i++)
    if (!pool_folder (&pool, folders[i], error))
      return NULL;
  if (dataset->example->len == 0) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                 "%s: holds no finished image with defects; name output folders of notch inspect", folders[0]);
    return NULL;
  }
  return notch_compute_open (&compute, device, 1, jobs, NULL, error) ? choose (trained, &pool, most, &compute, error)
                                                                     : NULL;
}
