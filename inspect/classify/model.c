/* model.c - see model.h */
#include "inspect/classify/model.h"

#include <gio/gio.h>
#include <math.h>
#include <string.h>

#include "inspect/classify/xgboost.h"
#include "inspect/image/write.h"
#include "inspect/text.h"

enum { VERSION = 1, ALIGN = 64, HASH_BYTES = 32, MOST_CLASSES = 1024, MOST_SECTIONS = 1024 };
static const char magic[] = NOTCH_MODEL_MAGIC;
#define FIRST_LINE_BYTES 40 /* of "notch model 1 000000000000 000000000000\n" */

/* ---- in memory ------------------------------------------------------------------------------------------------- */

static void
section_free (gpointer data)
{
  NotchSection *section = data;
  g_free (section->name);
  g_bytes_unref (section->bytes);
  g_free (section);
}

NotchModel *
notch_model_new (const char *purpose, const char *classifier)
{
  NotchModel *model = g_new0 (NotchModel, 1);
  model->purpose = g_strdup (purpose);
  model->classifier = g_strdup (classifier);
  model->class_name = g_ptr_array_new_with_free_func (g_free);
  model->feature = g_ptr_array_new_with_free_func (g_free);
  model->temperature = 1;
  model->nuisance = NAN;
  model->settings = json_object_new ();
  model->section = g_ptr_array_new_with_free_func (section_free);
  return model;
}

void
notch_model_free (NotchModel *model)
{
  if (!model)
    return;
  g_free (model->path);
  g_free (model->hash);
  g_free (model->purpose);
  g_free (model->classifier);
  g_ptr_array_unref (model->class_name);
  g_ptr_array_unref (model->feature);
  g_free (model->threshold);
  json_object_unref (model->settings);
  g_clear_pointer (&model->training, json_object_unref);
  g_clear_pointer (&model->validation, json_object_unref);
  g_ptr_array_unref (model->section);
  g_free (model);
}

void
notch_model_add_class (NotchModel *model, const char *name)
{
  g_ptr_array_add (model->class_name, g_strdup (name));
  model->threshold = g_renew (double, model->threshold, model->class_name->len);
  model->threshold[model->class_name->len - 1] = 0;
}

gboolean
notch_is_nuisance (const char *class_name)
{
  return g_str_has_prefix (class_name, "nuisance");
}

static NotchSection *
find_section (const NotchModel *model, const char *name)
{
  for (guint i = 0; i < model->section->len; i++) {
    NotchSection *section = model->section->pdata[i];
    if (strcmp (section->name, name) == 0)
      return section;
  }
  return NULL;
}

void
notch_model_set_section (NotchModel *model, const char *name, GBytes *bytes)
{
  NotchSection *section = find_section (model, name);
  if (!section) {
    section = g_new0 (NotchSection, 1);
    section->name = g_strdup (name);
    g_ptr_array_add (model->section, section);
  }
  GBytes *before = section->bytes;
  section->bytes = g_bytes_ref (bytes);
  g_clear_pointer (&before, g_bytes_unref);
}

gboolean
notch_model_refuse (const NotchModel *model, GError **error, const char *format, ...)
{
  va_list arguments;
  va_start (arguments, format);
  g_autofree char *what = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: %s", model->path ? model->path : "the model", what);
  return FALSE;
}

GBytes *
notch_model_section (const NotchModel *model, const char *name, GError **error)
{
  const NotchSection *section = find_section (model, name);
  if (section)
    return section->bytes;
  notch_model_refuse (model, error, "the model has no section \"%s\"; train it anew", name);
  return NULL;
}

int
notch_model_class (const NotchModel *model, const char *name)
{
  for (guint i = 0; i < model->class_name->len; i++)
    if (strcmp (model->class_name->pdata[i], name) == 0)
      return (int) i;
  return -1;
}

int *
notch_model_columns (const NotchModel *model, GError **error)
{
  g_autofree int *column = g_new0 (int, model->feature->len + 1);
  for (guint i = 0; i < model->feature->len; i++) {
    const char *name = model->feature->pdata[i];
    while (column[i] < NOTCH_N_FEATURES && strcmp (notch_feature_info[column[i]].name, name) != 0)
      column[i]++;
    if (column[i] < NOTCH_N_FEATURES)
      continue;
    notch_model_refuse (model, error, "it looks at \"%s\", which is no column of defects.csv; train it anew", name);
    return NULL;
  }
  return g_steal_pointer (&column);
}

/* ---- the header ------------------------------------------------------------------------------------------------ */

static gsize
align (gsize n)
{
  return (n + ALIGN - 1) / ALIGN * ALIGN;
}

static void
add_text (JsonBuilder *to, const char *name, const char *value)
{
  json_builder_set_member_name (to, name);
  json_builder_add_string_value (to, value);
}

static void
add_number (JsonBuilder *to, const char *name, double value)
{
  json_builder_set_member_name (to, name);
  json_builder_add_double_value (to, value);
}

static void
add_names (JsonBuilder *to, const char *name, const GPtrArray *list)
{
  json_builder_set_member_name (to, name);
  json_builder_begin_array (to);
  for (guint i = 0; i < list->len; i++)
    json_builder_add_string_value (to, list->pdata[i]);
  json_builder_end_array (to);
}

static void
add_object (JsonBuilder *to, const char *name, JsonObject *object)
{
  json_builder_set_member_name (to, name);
  if (!object) {
    json_builder_add_null_value (to);
    return;
  }
  JsonNode *node = json_node_new (JSON_NODE_OBJECT);
  json_node_set_object (node, object);
  json_builder_add_value (to, node);
}

static char *
header_of (const NotchModel *model)
{
  g_autoptr (JsonBuilder) to = json_builder_new ();
  json_builder_begin_object (to);
  add_text (to, "purpose", model->purpose);
  add_text (to, "classifier", model->classifier);
  add_names (to, "classes", model->class_name);
  json_builder_set_member_name (to, "thresholds");
  json_builder_begin_array (to);
  for (guint i = 0; i < model->class_name->len; i++)
    json_builder_add_double_value (to, model->threshold[i]);
  json_builder_end_array (to);
  json_builder_set_member_name (to, "nuisance");
  if (isnan (model->nuisance))
    json_builder_add_null_value (to);
  else
    json_builder_add_double_value (to, model->nuisance);
  add_number (to, "temperature", model->temperature);
  add_names (to, "features", model->feature);
  add_number (to, "features_version", NOTCH_FEATURES_VERSION);
  add_object (to, "settings", model->settings);
  add_object (to, "training", model->training);
  add_object (to, "validation", model->validation);
  json_builder_set_member_name (to, "sections");
  json_builder_begin_array (to);
  gsize offset = 0; /* from where the first one begins */
  for (guint i = 0; i < model->section->len; i++) {
    const NotchSection *section = model->section->pdata[i];
    json_builder_begin_object (to);
    add_text (to, "name", section->name);
    add_number (to, "offset", (double) offset);
    add_number (to, "size", (double) g_bytes_get_size (section->bytes));
    json_builder_end_object (to);
    offset += align (g_bytes_get_size (section->bytes));
  }
  json_builder_end_array (to);
  json_builder_end_object (to);
  g_autoptr (JsonNode) root = json_builder_get_root (to);
  return notch_json_text (root);
}

static void
pad (GByteArray *bytes)
{
  static const guint8 zero[ALIGN] = { 0 };
  g_byte_array_append (bytes, zero, (guint) (align (bytes->len) - bytes->len));
}

static void
take_hash (NotchModel *model, const guint8 *hash)
{
  GString *text = g_string_new (NULL);
  for (int i = 0; i < HASH_BYTES; i++)
    g_string_append_printf (text, "%02x", hash[i]);
  g_free (model->hash);
  model->hash = g_string_free (text, FALSE);
}

static void
compute_hash (const guint8 *data, gsize n, guint8 hash[HASH_BYTES])
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  gsize size = HASH_BYTES;
  g_checksum_update (sum, data, (gssize) n);
  g_checksum_get_digest (sum, hash, &size);
}

/* Bytes of the file but its hash; 0 where they are more than a byte array has room for. */
static gsize
file_bytes (const NotchModel *model, gsize n_header)
{
  const guint64 most = G_MAXUINT32 - HASH_BYTES - ALIGN;
  guint64 n = align (FIRST_LINE_BYTES + n_header);
  for (guint i = 0; i < model->section->len && n < most; i++) {
    const guint64 size = g_bytes_get_size (((NotchSection *) model->section->pdata[i])->bytes);
    n = size < most ? n + align (size) : most;
  }
  return n < most ? (gsize) n : 0;
}

GBytes *
notch_model_to_bytes (NotchModel *model, GError **error)
{
  g_autofree char *header = header_of (model);
  const gsize n_header = strlen (header), n = file_bytes (model, n_header);
  if (n == 0) {
    notch_model_refuse (model, error,
                        "needs more than the 4 GiB that a model file can have; learn fewer trees or weights");
    return NULL;
  }
  char first[FIRST_LINE_BYTES + 1];
  g_snprintf (first, sizeof first, "%s%d %012" G_GSIZE_FORMAT " %012" G_GSIZE_FORMAT "\n", magic, VERSION, n_header,
              n + HASH_BYTES);
  GByteArray *bytes = g_byte_array_sized_new ((guint) (n + HASH_BYTES));
  g_byte_array_append (bytes, (const guint8 *) first, FIRST_LINE_BYTES);
  g_byte_array_append (bytes, (const guint8 *) header, (guint) n_header);
  pad (bytes);
  for (guint i = 0; i < model->section->len; i++) {
    gsize size = 0;
    const guint8 *data = g_bytes_get_data (((NotchSection *) model->section->pdata[i])->bytes, &size);
    g_byte_array_append (bytes, data, (guint) size);
    pad (bytes);
  }
  guint8 hash[HASH_BYTES];
  compute_hash (bytes->data, bytes->len, hash);
  g_byte_array_append (bytes, hash, HASH_BYTES);
  take_hash (model, hash);
  return g_byte_array_free_to_bytes (bytes);
}

gboolean
notch_model_save (NotchModel *model, const char *path, GError **error)
{
  g_autoptr (GBytes) bytes = notch_model_to_bytes (model, error);
  gsize n = 0;
  const char *data = bytes ? g_bytes_get_data (bytes, &n) : NULL;
  if (!data || !notch_write_file (path, data, (gssize) n, error))
    return FALSE;
  g_free (model->path);
  model->path = g_strdup (path);
  return TRUE;
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

/* A member of a kind, or NULL. */
static JsonNode *
member (JsonObject *object, const char *name, JsonNodeType type)
{
  JsonNode *node = json_object_get_member (object, name);
  return node && json_node_get_node_type (node) == type ? node : NULL;
}

static gboolean
read_text (JsonObject *object, const char *name, char **text)
{
  JsonNode *node = member (object, name, JSON_NODE_VALUE);
  if (!node || json_node_get_value_type (node) != G_TYPE_STRING)
    return FALSE;
  g_free (*text);
  *text = json_node_dup_string (node);
  return **text != 0;
}

static gboolean
read_number (JsonNode *node, double least, double most, double *value)
{
  GType type = node && JSON_NODE_HOLDS_VALUE (node) ? json_node_get_value_type (node) : G_TYPE_INVALID;
  if (type != G_TYPE_DOUBLE && type != G_TYPE_INT64)
    return FALSE;
  *value = json_node_get_double (node);
  return *value >= least && *value <= most;
}

static gboolean
read_names (JsonObject *object, const char *name, GPtrArray *list)
{
  JsonNode *node = member (object, name, JSON_NODE_ARRAY);
  JsonArray *array = node ? json_node_get_array (node) : NULL;
  if (!array || json_array_get_length (array) > MOST_CLASSES)
    return FALSE;
  for (guint i = 0; i < json_array_get_length (array); i++) {
    JsonNode *element = json_array_get_element (array, i);
    if (!JSON_NODE_HOLDS_VALUE (element) || json_node_get_value_type (element) != G_TYPE_STRING)
      return FALSE;
    const char *text = json_node_get_string (element);
    if (!*text || g_ptr_array_find_with_equal_func (list, text, g_str_equal, NULL))
      return FALSE;
    g_ptr_array_add (list, g_strdup (text));
  }
  return TRUE;
}

/* An object or null; TRUE for either. */
static gboolean
read_object (JsonObject *object, const char *name, JsonObject **to)
{
  JsonNode *node = json_object_get_member (object, name);
  if (!node || !(JSON_NODE_HOLDS_OBJECT (node) || JSON_NODE_HOLDS_NULL (node)))
    return FALSE;
  g_clear_pointer (to, json_object_unref);
  if (JSON_NODE_HOLDS_OBJECT (node))
    *to = json_node_dup_object (node);
  return TRUE;
}

static gboolean
read_thresholds (JsonObject *object, NotchModel *model)
{
  JsonNode *node = member (object, "thresholds", JSON_NODE_ARRAY);
  JsonArray *array = node ? json_node_get_array (node) : NULL;
  guint n = model->class_name->len;
  if (!array || json_array_get_length (array) != n)
    return FALSE;
  model->threshold = g_new0 (double, n + 1);
  for (guint i = 0; i < n; i++)
    if (!read_number (json_array_get_element (array, i), 0, 1, &model->threshold[i]))
      return FALSE;
  return TRUE;
}

/* Models of before it was there have none. */
static gboolean
read_nuisance (JsonObject *object, NotchModel *model)
{
  JsonNode *node = json_object_get_member (object, "nuisance");
  return !node || JSON_NODE_HOLDS_NULL (node) || read_number (node, 0, NOTCH_NO_NUISANCE, &model->nuisance);
}

/* Sections lie one behind the other, as they were written, up to the hash. */
static gboolean
read_sections (JsonObject *object, NotchModel *model, GBytes *bytes, gsize first)
{
  JsonNode *node = member (object, "sections", JSON_NODE_ARRAY);
  JsonArray *array = node ? json_node_get_array (node) : NULL;
  gsize room = g_bytes_get_size (bytes) - HASH_BYTES - first, at = 0;
  if (!array || json_array_get_length (array) > MOST_SECTIONS)
    return FALSE;
  for (guint i = 0; i < json_array_get_length (array); i++) {
    JsonNode *element = json_array_get_element (array, i);
    g_autofree char *name = NULL;
    double offset = 0, size = 0;
    if (!JSON_NODE_HOLDS_OBJECT (element))
      return FALSE;
    JsonObject *row = json_node_get_object (element);
    if (!read_text (row, "name", &name) || find_section (model, name)
        || !read_number (json_object_get_member (row, "offset"), (double) at, (double) at, &offset)
        || !read_number (json_object_get_member (row, "size"), 0, (double) (room - at), &size))
      return FALSE;
    g_autoptr (GBytes) part = g_bytes_new_from_bytes (bytes, first + at, (gsize) size);
    notch_model_set_section (model, name, part);
    at += align ((gsize) size);
    if (at > room)
      return FALSE;
  }
  return at == room;
}

static gboolean
read_header (NotchModel *model, const char *text, gsize n, GBytes *bytes, GError **error)
{
  g_autoptr (JsonNode) root = notch_json_parse (text, n, model->path, error);
  double version = 0;
  if (!root)
    return FALSE;
  JsonObject *object = JSON_NODE_HOLDS_OBJECT (root) ? json_node_get_object (root) : NULL;
  if (!object || !read_text (object, "purpose", &model->purpose)
      || !read_text (object, "classifier", &model->classifier) || !read_names (object, "classes", model->class_name)
      || !read_thresholds (object, model) || !read_nuisance (object, model)
      || !read_names (object, "features", model->feature)
      || !read_number (json_object_get_member (object, "temperature"), 1e-6, 1e6, &model->temperature)
      || !read_number (json_object_get_member (object, "features_version"), 0, 1e9, &version)
      || !read_object (object, "settings", &model->settings) || !model->settings
      || !read_object (object, "training", &model->training) || !read_object (object, "validation", &model->validation)
      || !read_sections (object, model, bytes, align (FIRST_LINE_BYTES + n)) || model->class_name->len == 0)
    return notch_model_refuse (model, error, "its header is not that of a model; train it anew");
  if (version != NOTCH_FEATURES_VERSION)
    return notch_model_refuse (model, error,
                               "it learned version %.0f of a defect's columns, and this program measures version %d; "
                               "train it anew",
                               version, NOTCH_FEATURES_VERSION);
  return TRUE;
}

NotchModel *
notch_model_from_bytes (GBytes *bytes, const char *path, GError **error)
{
  g_autoptr (NotchModel) model = notch_model_new ("", "");
  gsize n = 0;
  const char *data = g_bytes_get_data (bytes, &n);
  guint64 version = 0, n_header = 0, n_file = 0;
  model->path = g_strdup (path);
  if (n < sizeof magic - 1 || memcmp (data, magic, sizeof magic - 1) != 0)
    return notch_model_refuse (model, error, "is no model; name what notch train wrote, or XGBoost as JSON"), NULL;
  g_autofree char *line = g_strndup (data + sizeof magic - 1, MIN (n, FIRST_LINE_BYTES) - (sizeof magic - 1));
  g_auto (GStrv) word = g_strsplit (g_strchomp (line), " ", 4);
  gboolean well = g_strv_length (word) >= 1 && g_ascii_string_to_unsigned (word[0], 10, 0, G_MAXINT, &version, NULL);
  if (well && version != VERSION)
    return notch_model_refuse (model, error,
                               "is a model of version %" G_GUINT64_FORMAT ", and this program reads version %d; train "
                               "it anew, or use the program that wrote it",
                               version, VERSION),
           NULL;
  if (!well || n < FIRST_LINE_BYTES + HASH_BYTES || g_strv_length (word) != 3
      || !g_ascii_string_to_unsigned (word[1], 10, 0, n, &n_header, NULL)
      || !g_ascii_string_to_unsigned (word[2], 10, 0, G_MAXSSIZE, &n_file, NULL) || n_file != n
      || n_header > n - FIRST_LINE_BYTES - HASH_BYTES || align (FIRST_LINE_BYTES + n_header) > n - HASH_BYTES)
    return notch_model_refuse (model, error, "the model is cut off or damaged; copy or train it anew"), NULL;
  guint8 hash[HASH_BYTES];
  compute_hash ((const guint8 *) data, n - HASH_BYTES, hash);
  if (memcmp (hash, data + n - HASH_BYTES, HASH_BYTES) != 0)
    return notch_model_refuse (model, error,
                               "the model is damaged: its content does not fit its hash; copy or train it "
                               "anew"),
           NULL;
  take_hash (model, hash);
  return read_header (model, data + FIRST_LINE_BYTES, n_header, bytes, error) ? g_steal_pointer (&model) : NULL;
}

G_GNUC_INTERNAL GResource *notch_models_get_resource (void); /* made by the build */

NotchModel *
notch_model_shipped (const char *purpose, GError **error)
{
  g_autofree char *name = g_strdup_printf ("/notch/%s.model", purpose);
  g_autoptr (GBytes) bytes = g_resource_lookup_data (notch_models_get_resource (), name, 0, error);
  return bytes ? notch_model_from_bytes (bytes, NOTCH_MODEL_SHIPPED, error) : NULL;
}

NotchModel *
notch_model_load (const char *path, GError **error)
{
  g_autofree char *data = NULL;
  gsize n = 0;
  if (!notch_bytes_load (path, "a model", &data, &n, error))
    return NULL;
  g_autoptr (GBytes) bytes = g_bytes_new_take (g_steal_pointer (&data), n);
  const char *text = g_bytes_get_data (bytes, NULL);
  gsize blank = 0;
  while (blank < n && g_ascii_isspace (text[blank]))
    blank++;
  if (blank < n && text[blank] == '{')
    return notch_xgboost_model (bytes, path, error);
  return notch_model_from_bytes (bytes, path, error);
}
