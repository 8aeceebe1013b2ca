/* xgboost.c - see xgboost.h */
#include "inspect/classify/xgboost.h"

#include <math.h>
#include <string.h>

#include "inspect/classify/forest.h"
#include "inspect/text.h"

/* A file on its way to a model. Whatever is not where it belongs becomes NULL, an empty array or NAN, and is told once. */
typedef struct {
  const char *path;
  GError **error;
  NotchModel *model;
  GArray *nodes, *trees;
} Reader;

static gboolean G_GNUC_PRINTF (2, 3) refuse (const Reader *reader, const char *format, ...)
{
  va_list arguments;
  va_start (arguments, format);
  g_autofree char *what = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_set_error (reader->error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: %s", reader->path, what);
  return FALSE;
}

static JsonObject *
object_in (JsonObject *object, const char *name)
{
  JsonNode *node = object ? json_object_get_member (object, name) : NULL;
  return node && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
}

static JsonArray *
array_in (JsonObject *object, const char *name)
{
  JsonNode *node = object ? json_object_get_member (object, name) : NULL;
  return node && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
}

static const char *
text_in (JsonObject *object, const char *name)
{
  JsonNode *node = object ? json_object_get_member (object, name) : NULL;
  return node && JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING
             ? json_node_get_string (node)
             : "";
}

/* A number as such, as a flag, or NAN. */
static double
number_at (JsonArray *array, guint i)
{
  JsonNode *node = json_array_get_element (array, i);
  GType type = JSON_NODE_HOLDS_VALUE (node) ? json_node_get_value_type (node) : G_TYPE_INVALID;
  if (type == G_TYPE_BOOLEAN)
    return json_node_get_boolean (node);
  return type == G_TYPE_DOUBLE || type == G_TYPE_INT64 ? json_node_get_double (node) : NAN;
}

/* XGBoost writes its parameters as text, and since 3.1 as a list in brackets what may be one a class: "5E-1", "[5E-1,-5E-1]".
 * Empty where any of it is no finite number. */
static GArray *
parameters (JsonObject *object, const char *name)
{
  g_autofree char *text = g_strdup (text_in (object, name));
  const gsize n = strlen (text);
  const gboolean list = n > 1 && text[0] == '[' && text[n - 1] == ']';
  GArray *values = g_array_new (FALSE, FALSE, sizeof (double));
  if (list)
    text[n - 1] = 0;
  g_auto (GStrv) word = g_strsplit (text + list, list ? "," : "\n", -1);
  for (char **at = word; *at; at++) {
    char *end = NULL;
    double value = g_ascii_strtod (*at, &end);
    if (end == *at || *end || !isfinite (value)) {
      g_array_set_size (values, 0);
      break;
    }
    g_array_append_val (values, value);
  }
  return values;
}

/* One number, or NAN. */
static double
parameter (JsonObject *object, const char *name)
{
  g_autoptr (GArray) values = parameters (object, name);
  return values->len == 1 ? g_array_index (values, double, 0) : NAN;
}

/* It also writes numbers that JSON does not have, NaN and Infinity: each becomes null. */
static GString *
without_such_numbers (const char *text, gsize n)
{
  static const char *const number[] = { "NaN", "-Infinity", "Infinity" };
  GString *json = g_string_sized_new (n + 1);
  gboolean quoted = FALSE;
  for (gsize i = 0; i < n;) {
    gsize length = 0;
    for (gsize k = 0; k < G_N_ELEMENTS (number) && !quoted && length == 0; k++)
      if (n - i >= strlen (number[k]) && memcmp (text + i, number[k], strlen (number[k])) == 0)
        length = strlen (number[k]);
    if (length > 0) {
      g_string_append (json, "null");
      i += length;
      continue;
    }
    if (quoted && text[i] == '\\' && i + 1 < n) /* what follows ends no string */
      g_string_append_c (json, text[i++]);
    else if (text[i] == '"')
      quoted = !quoted;
    g_string_append_c (json, text[i++]);
  }
  return json;
}

/* ---- names ----------------------------------------------------------------------------------------------------- */

static gboolean
read_features (Reader *reader, JsonObject *learner)
{
  JsonArray *names = array_in (learner, "feature_names");
  guint n = names ? json_array_get_length (names) : 0;
  if (n == 0)
    return refuse (reader, "the booster names no features; give feature_names, columns of defects.csv, when training");
  for (guint i = 0; i < n; i++) {
    JsonNode *node = json_array_get_element (names, i);
    const char *name = JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING
                           ? json_node_get_string (node)
                           : "";
    if (g_ptr_array_find_with_equal_func (reader->model->feature, name, g_str_equal, NULL))
      return refuse (reader, "two features are named \"%s\"", name);
    g_ptr_array_add (reader->model->feature, g_strdup (name));
  }
  return TRUE;
}

static gboolean
read_classes (Reader *reader, JsonObject *learner, int n)
{
  const char *list = text_in (object_in (learner, "attributes"), "classes");
  g_auto (GStrv) name = *list ? g_strsplit (list, ",", -1) : NULL;
  if (name && (int) g_strv_length (name) != n)
    return refuse (reader, "its attribute classes names %u classes, and the booster has %d", g_strv_length (name), n);
  for (int i = 0; i < n; i++) {
    g_autofree char *number = g_strdup_printf ("class_%d", i);
    const char *chosen = name ? g_strstrip (name[i]) : number;
    if (!*chosen || notch_model_class (reader->model, chosen) >= 0)
      return refuse (reader, "its attribute classes names \"%s\" twice, or has an empty name", chosen);
    notch_model_add_class (reader->model, chosen);
  }
  return TRUE;
}

/* ---- trees ----------------------------------------------------------------------------------------------------- */

static gboolean
read_tree (Reader *reader, JsonObject *tree, guint i, int class_index)
{
  static const char *const names[] = { "left_children", "right_children", "split_indices", "split_conditions",
                                       "default_left" };
  enum { LEFT, RIGHT, FEATURE, CONDITION, DEFAULT, N_NAMES };
  JsonArray *column[N_NAMES];
  const double leaf_size = parameter (object_in (tree, "tree_param"), "size_leaf_vector");
  if (leaf_size > 1)
    return refuse (reader, "a leaf of tree %u holds %.0f numbers; train with multi_strategy = one_output_per_tree", i,
                   leaf_size);
  for (int k = 0; k < N_NAMES; k++)
    column[k] = array_in (tree, names[k]);
  guint n = column[LEFT] ? json_array_get_length (column[LEFT]) : 0;
  for (int k = 0; k < N_NAMES; k++)
    if (n == 0 || !column[k] || json_array_get_length (column[k]) != n)
      return refuse (reader, "tree %u has no %s, or not one a node; save the booster anew", i, names[k]);
  JsonArray *categories = array_in (tree, "categories");
  if (categories && json_array_get_length (categories) > 0)
    return refuse (reader, "tree %u splits by categories; a defect's columns are numbers", i);
  for (guint k = 0; k < n; k++) {
    double left = number_at (column[LEFT], k), right = number_at (column[RIGHT], k);
    double feature = number_at (column[FEATURE], k), condition = number_at (column[CONDITION], k);
    gboolean leaf = left == -1;
    if (!isfinite (condition))
      return refuse (reader, "node %u of tree %u holds no finite number; train the booster anew", k, i);
    if (!(leaf || (left > k && left < n && right > k && right < n))
        || !(leaf || (feature >= 0 && feature < reader->model->feature->len && feature <= G_MAXUINT16)))
      return refuse (reader, "node %u of tree %u leads nowhere; save the booster anew", k, i);
    const NotchForestNode node = { .left = (gint32) left,
                                   .right = leaf ? -1 : (gint32) right,
                                   .feature = leaf ? 0 : (guint16) feature,
                                   .default_left = number_at (column[DEFAULT], k) != 0,
                                   .value = (float) condition };
    g_array_append_val (reader->nodes, node);
  }
  const NotchForestTree row = { n, (guint32) class_index };
  g_array_append_val (reader->trees, row);
  return TRUE;
}

static gboolean
read_trees (Reader *reader, JsonObject *learner, gboolean binary)
{
  JsonObject *booster = object_in (learner, "gradient_booster"), *model = object_in (booster, "model");
  JsonArray *trees = array_in (model, "trees"), *info = array_in (model, "tree_info");
  if (strcmp (text_in (booster, "name"), "gbtree") != 0)
    return refuse (reader, "its booster is \"%s\"; train with booster = gbtree", text_in (booster, "name"));
  if (!trees || !info || json_array_get_length (info) != json_array_get_length (trees))
    return refuse (reader, "the booster has no trees, or no classes of them; save it anew");
  for (guint i = 0; i < json_array_get_length (trees); i++) {
    JsonNode *node = json_array_get_element (trees, i);
    double class_index = binary ? 1 : number_at (info, i);
    if (!(class_index >= 0 && class_index < reader->model->class_name->len) || !JSON_NODE_HOLDS_OBJECT (node))
      return refuse (reader, "tree %u is of no class; save the booster anew", i);
    if (!read_tree (reader, json_node_get_object (node), i, (int) class_index))
      return FALSE;
  }
  return TRUE;
}

/* What the sums begin with. Of two classes it is told as the probability of the second, kept from 0 and 1 as XGBoost keeps
 * it; of several as one for all, which cancels, or as one a class. */
static gboolean
read_base (Reader *reader, JsonObject *learner, gboolean binary, float *base)
{
  g_autoptr (GArray) score = parameters (object_in (learner, "learner_model_param"), "base_score");
  const double *value = (const double *) (gpointer) score->data;
  const guint n = reader->model->class_name->len;
  if ((score->len != 1 && (binary || score->len != n)) || (binary && !(value[0] >= 0 && value[0] <= 1)))
    return refuse (reader, "its base_score is not %s; save the booster anew",
                   binary ? "one probability" : "one number, nor one a class");
  if (binary)
    base[1] = (float) -log (1 / CLAMP (value[0], 1e-6, 1 - 1e-6) - 1);
  for (guint c = 0; c < n && !binary && score->len == n; c++)
    base[c] = (float) value[c];
  return TRUE;
}

static gboolean
read_learner (Reader *reader, JsonObject *learner)
{
  const char *objective = text_in (object_in (learner, "objective"), "name");
  gboolean binary = strcmp (objective, "binary:logistic") == 0;
  double n = binary ? 2 : parameter (object_in (learner, "learner_model_param"), "num_class");
  if (!binary && strcmp (objective, "multi:softprob") != 0 && strcmp (objective, "multi:softmax") != 0)
    return refuse (reader, "its objective is \"%s\"; train with multi:softprob, or binary:logistic for two classes",
                   objective);
  if (!(n >= 2 && n <= 1024))
    return refuse (reader, "its parameter num_class is missing or not 2 to 1024; save the booster anew");
  g_autofree float *base = g_new0 (float, (int) n);
  if (!read_features (reader, learner) || !read_classes (reader, learner, (int) n)
      || !read_base (reader, learner, binary, base) || !read_trees (reader, learner, binary))
    return FALSE;
  notch_forest_write (reader->model, reader->nodes, reader->trees, base);
  return TRUE;
}

NotchModel *
notch_xgboost_model (GBytes *json, const char *path, GError **error)
{
  gsize size = 0;
  const char *text = g_bytes_get_data (json, &size);
  g_autoptr (GString) clean = without_such_numbers (text, size);
  g_autoptr (JsonNode) root = notch_json_parse (clean->str, clean->len, path, error);
  if (!root)
    return NULL;
  g_autoptr (NotchModel) model = notch_model_new ("defects", "forest");
  g_autoptr (GArray) nodes = g_array_new (FALSE, FALSE, sizeof (NotchForestNode));
  g_autoptr (GArray) trees = g_array_new (FALSE, FALSE, sizeof (NotchForestTree));
  Reader reader = { path, error, model, nodes, trees };
  JsonObject *learner = JSON_NODE_HOLDS_OBJECT (root) ? object_in (json_node_get_object (root), "learner") : NULL;
  if (!learner)
    return refuse (&reader, "is JSON, but nothing that XGBoost saved; name a model"), NULL;
  if (!read_learner (&reader, learner))
    return NULL;
  model->path = g_strdup (path);
  model->hash = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) text, size);
  return g_steal_pointer (&model);
}
