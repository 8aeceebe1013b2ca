/* dataset-read.c - the kinds of data that examples come from, one row each in the table at the end */
#include <json-glib/json-glib.h>
#include <string.h>

#include "inspect/classify/dataset-crops.h"
#include "inspect/classify/dataset-maps.h"
#include "inspect/score/score.h"

static gboolean
is_folder (const char *path)
{
  return g_file_test (path, G_FILE_TEST_IS_DIR);
}

/* Whether a folder has a file. */
static gboolean
has (const char *folder, const char *file)
{
  g_autofree char *path = g_build_filename (folder, file, NULL);
  return g_file_test (path, G_FILE_TEST_IS_REGULAR);
}

static int
compare_texts (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

GPtrArray *
notch_list_folder (const char *folder)
{
  GPtrArray *list = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  for (const char *name; dir && (name = g_dir_read_name (dir));)
    if (name[0] != '.')
      g_ptr_array_add (list, g_build_filename (folder, name, NULL));
  g_ptr_array_sort (list, compare_texts);
  return list;
}

/* ---- tables of defects ----------------------------------------------------------------------------------------- */

/* Where the classes of a table of defects are. */
typedef struct {
  const char *folder;  /* of notch inspect, or NULL */
  const char *defects; /* the table */
  const char *truth;   /* what it is matched with, or NULL */
  const char *review;  /* rows of numbers and classes, or NULL */
} Reviewed;

/* Adds the defects of a table, without classes. */
static NotchCsv *
read_defects (NotchDataset *dataset, const char *path, const char *wafer, GError **error)
{
  g_autoptr (NotchCsv) csv = notch_csv_load (path, error);
  int column[NOTCH_N_FEATURES], id = csv ? notch_csv_column (csv, "defect_id") : -1;
  if (!csv)
    return NULL;
  for (int f = 0; f < NOTCH_N_FEATURES; f++) {
    column[f] = notch_csv_column (csv, notch_feature_info[f].name);
    if (column[f] >= 0 || !notch_feature_info[f].learn)
      continue;
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                 "%s: has no column %s, which classifiers learn from; inspect the image anew", path,
                 notch_feature_info[f].name);
    return NULL;
  }
  const int index = notch_dataset_name (dataset->wafer_name, wafer);
  for (guint i = 0; i < csv->row->len; i++) {
    NotchExample example = { .class_index = -1, .wafer = index };
    for (int f = 0; f < NOTCH_N_FEATURES; f++)
      if (!notch_csv_number (csv, i, column[f], &example.value[f], error))
        return NULL;
    example.name = g_strdup_printf ("%s #%s", wafer, notch_csv_text (csv, i, id));
    g_array_append_val (dataset->example, example);
  }
  return g_steal_pointer (&csv);
}

NotchCsv *
notch_dataset_add_folder (NotchDataset *dataset, const char *folder, GError **error)
{
  const guint first = dataset->example->len;
  g_autofree char *path = g_build_filename (folder, "defects.csv", NULL);
  g_autoptr (NotchCsv) csv = read_defects (dataset, path, folder, error);
  return csv && notch_read_patches (dataset, first, folder, error) ? g_steal_pointer (&csv) : NULL;
}

static void
set_class (NotchDataset *dataset, guint i, const char *name)
{
  const int class_index = notch_dataset_class (dataset, name);
  if (class_index != -1)
    g_array_index (dataset->example, NotchExample, i).class_index = class_index;
}

static gboolean
take_truth (NotchDataset *dataset, guint first, const Reviewed *from, GError **error)
{
  const NotchScorePair pair = { from->truth, from->defects };
  const NotchScoreOptions options = { 0 };
  g_autoptr (NotchTally) tally = notch_tally_new (&pair, 1, &options, error);
  guint unmatched = 0;
  if (!tally)
    return FALSE;
  for (guint i = 0; i < tally->found->len; i++) {
    const NotchDetection *found = notch_tally_found (tally, i);
    if (found->truth >= 0)
      set_class (dataset, first + i, notch_tally_truth (tally, (guint) found->truth)->type);
    else
      unmatched++;
  }
  if (unmatched > 0)
    g_ptr_array_add (dataset->note, g_strdup_printf ("%s: %u defect%s not in %s and left out", from->defects, unmatched,
                                                     unmatched == 1 ? " is" : "s are", from->truth));
  return TRUE;
}

/* Rows of a review: the defect's number and its class; an empty class leaves it open. Who wrote a number twice meant another
 * defect, maybe of another image. */
static gboolean
take_review (NotchDataset *dataset, guint first, const NotchCsv *defects, const Reviewed *from, GError **error)
{
  g_autoptr (NotchCsv) review = notch_csv_load (from->review, error);
  g_autoptr (GHashTable) row = g_hash_table_new (g_str_hash, g_str_equal);
  if (!review)
    return FALSE;
  int id = notch_csv_column (review, "defect_id"), name = notch_csv_column (review, "class");
  int own = notch_csv_column (defects, "defect_id");
  if (id < 0)
    id = notch_csv_column (review, "id");
  if (id < 0 || name < 0 || own < 0) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: has no column %s; a review has defect_id and class",
                 own < 0 ? from->defects : from->review, name < 0 ? "class" : "defect_id");
    return FALSE;
  }
  for (guint i = 0; i < defects->row->len; i++)
    g_hash_table_insert (row, (gpointer) notch_csv_text (defects, i, own), GUINT_TO_POINTER (i + 1));
  g_autofree gboolean *told = g_new0 (gboolean, defects->row->len + 1);
  for (guint i = 0; i < review->row->len; i++) {
    const char *number = notch_csv_text (review, i, id);
    const gint64 line = g_array_index (review->line, gint64, i);
    guint at = GPOINTER_TO_UINT (g_hash_table_lookup (row, number));
    if (at == 0 || told[at - 1]) {
      if (at == 0)
        g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                     "%s: line %" G_GINT64_FORMAT ": there is no defect %s in %s; was the image inspected again since?",
                     from->review, line, number, from->defects);
      else
        g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                     "%s: line %" G_GINT64_FORMAT ": defect %s is there twice; leave one of them out", from->review,
                     line, number);
      return FALSE;
    }
    told[at - 1] = TRUE;
    set_class (dataset, first + at - 1, notch_csv_text (review, i, name));
  }
  return TRUE;
}

/* Without truth and review the table's own column `class` counts: somebody named the table itself. */
static gboolean
read_reviewed (NotchDataset *dataset, const Reviewed *from, GError **error)
{
  const guint first = dataset->example->len;
  g_autofree char *own = g_path_get_dirname (from->defects);
  g_autoptr (NotchCsv) csv = read_defects (dataset, from->defects, from->folder ? from->folder : from->defects, error);
  if (!csv || !notch_read_patches (dataset, first, own, error))
    return FALSE;
  if (from->truth)
    return take_truth (dataset, first, from, error);
  if (from->review)
    return take_review (dataset, first, csv, from, error);
  int name = notch_csv_column (csv, "class");
  for (guint i = 0; i < csv->row->len; i++)
    set_class (dataset, first + i, notch_csv_text (csv, i, name));
  return TRUE;
}

static gboolean
is_table (const char *path)
{
  return g_str_has_suffix (path, ".csv") && !is_folder (path);
}

static gboolean
read_table (NotchDataset *dataset, const char *path, GError **error)
{
  return read_reviewed (dataset, &(Reviewed){ NULL, path, NULL, NULL }, error);
}

/* ---- folders of notch inspect ---------------------------------------------------------------------------------- */

/* The image that a folder is about, as its summary says; NULL where it does not. A path that was given from some folder means
 * nothing from another one, where an image of that name may be another image: then the way from the results counts. */
static char *
image_of (const char *folder)
{
  g_autofree char *path = g_build_filename (folder, "summary.json", NULL);
  g_autoptr (JsonParser) parser = json_parser_new ();
  JsonNode *root = json_parser_load_from_file (parser, path, NULL) ? json_parser_get_root (parser) : NULL;
  if (!root || !JSON_NODE_HOLDS_OBJECT (root))
    return NULL;
  JsonObject *summary = json_node_get_object (root);
  const char *file = json_object_get_string_member_with_default (summary, "file", NULL);
  const char *from_here = json_object_get_string_member_with_default (summary, "file_from_here", NULL);
  if (file && g_path_is_absolute (file))
    return g_strdup (file);
  g_autofree char *way = from_here ? g_build_filename (folder, from_here, NULL) : NULL;
  return way ? g_canonicalize_filename (way, NULL) : NULL;
}

/* Where the truth about a folder's image is: truth.csv in it, or IMAGE-truth.csv beside the image, as notch simulate names it;
 * NULL where the folder does not tell of which image it is. */
static char *
truth_of (const char *folder)
{
  if (has (folder, "truth.csv"))
    return g_build_filename (folder, "truth.csv", NULL);
  g_autofree char *image = image_of (folder);
  char *dot = image ? strrchr (image, '.') : NULL;
  if (!dot || strchr (dot, G_DIR_SEPARATOR))
    return NULL;
  *dot = 0;
  return g_strconcat (image, "-truth.csv", NULL);
}

static gboolean
read_folder (NotchDataset *dataset, const char *folder, const char *given, GError **error)
{
  g_autofree char *defects = g_build_filename (folder, "defects.csv", NULL);
  g_autofree char *review = g_build_filename (folder, "review.csv", NULL);
  const gboolean reviewed = !given && has (folder, "review.csv");
  g_autofree char *truth = given ? g_strdup (given) : reviewed ? NULL : truth_of (folder);
  if (!given && !reviewed && !(truth && g_file_test (truth, G_FILE_TEST_IS_REGULAR))) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                 "%s: nothing says which class its defects are%s%s; put review.csv (defect_id, class) there, give "
                 "%s=TRUTH.csv, or name %s itself when its column class was reviewed",
                 folder, truth ? ", and there is no " : "", truth ? truth : "", folder, defects);
    return FALSE;
  }
  return read_reviewed (dataset, &(Reviewed){ folder, defects, truth, reviewed ? review : NULL }, error);
}

static gboolean
is_result (const char *path)
{
  return is_folder (path) && has (path, "defects.csv");
}

static gboolean
read_result (NotchDataset *dataset, const char *path, GError **error)
{
  return read_folder (dataset, path, NULL, error);
}

/* FOLDER=TRUTH.csv */
static gboolean
is_pair (const char *path)
{
  g_autofree char *folder = g_strdup (path);
  char *equals = strrchr (folder, '=');
  if (!equals || is_folder (path))
    return FALSE;
  *equals = 0;
  return is_result (folder);
}

static gboolean
read_pair (NotchDataset *dataset, const char *path, GError **error)
{
  g_autofree char *folder = g_strdup (path);
  char *equals = strrchr (folder, '=');
  *equals = 0;
  return read_folder (dataset, folder, equals + 1, error);
}

static gboolean
is_run (const char *path)
{
  g_autoptr (GPtrArray) list = notch_list_folder (path);
  for (guint i = 0; i < list->len; i++)
    if (is_result (list->pdata[i]))
      return TRUE;
  return FALSE;
}

static gboolean
read_run (NotchDataset *dataset, const char *path, GError **error)
{
  g_autoptr (GPtrArray) list = notch_list_folder (path);
  for (guint i = 0; i < list->len; i++)
    if (is_result (list->pdata[i]) && !read_result (dataset, list->pdata[i], error))
      return FALSE;
  return TRUE;
}

/* ---- the table ------------------------------------------------------------------------------------------------- */

static const struct {
  const char *what;
  gboolean (*detect) (const char *path);
  gboolean (*read) (NotchDataset *dataset, const char *path, GError **error);
  gboolean maps;
} kinds[] = {
  { "a folder of notch inspect and its truth, FOLDER=TRUTH.csv", is_pair, read_pair, FALSE },
  { "a table of wafer maps", notch_is_map_table, notch_read_map_table, TRUE },
  { "a defects.csv with reviewed classes", is_table, read_table, FALSE },
  { "a folder of notch inspect", is_result, read_result, FALSE },
  { "the output folder of notch inspect", is_run, read_run, FALSE },
  { "a folder with a folder of wafer maps for each class", notch_is_map_folder, notch_read_map_folder, TRUE },
  { "a folder with a folder of crops for each class", notch_is_crops, notch_read_crops, FALSE },
};

static gboolean
read_path (NotchDataset *dataset, const char *path, GError **error)
{
  for (gsize k = 0; k < G_N_ELEMENTS (kinds); k++)
    if (kinds[k].detect (path)) {
      if (dataset->example->len > 0 && dataset->maps != kinds[k].maps) {
        g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
                     "%s: is %s; a model learns from defects or from wafer maps, so leave one of them out", path,
                     kinds[k].what);
        return FALSE;
      }
      dataset->maps = kinds[k].maps;
      return kinds[k].read (dataset, path, error);
    }
  g_autoptr (GString) known = g_string_new (NULL);
  for (gsize k = 0; k < G_N_ELEMENTS (kinds); k++)
    g_string_append_printf (known, "%s%s", k > 0 ? "; " : "", kinds[k].what);
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: %s; give one of: %s", path,
               g_file_test (path, G_FILE_TEST_EXISTS) ? "holds no examples" : "does not exist", known->str);
  return FALSE;
}

NotchDataset *
notch_dataset_load (char **paths, GError **error)
{
  g_autoptr (NotchDataset) dataset = notch_dataset_new ();
  for (int i = 0; paths[i]; i++)
    if (!read_path (dataset, paths[i], error))
      return NULL;
  notch_dataset_note_sides (dataset);
  notch_dataset_sort_classes (dataset);
  return g_steal_pointer (&dataset);
}
