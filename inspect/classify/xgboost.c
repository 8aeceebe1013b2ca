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

/* XGBoost writes its parameters as text; later versions a list of one in brackets. */
static double
parameter (JsonObject *object, const char *name)
{
  const char *text = text_in (object, name);
  char *end = NULL;
  text += *text == '[';
  double value = g_ascii_strtod (text, &end);
  return end > text && (!*end || strcmp (end, "]") == 0) ? value : NAN;
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
    if (!(leaf || (left > k && left < n && right > k && right < n)) || !isfinite (condition)
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

static gboolean
read_learner (Reader *reader, JsonObject *learner)
{
  const char *objective = text_in (object_in (learner, "objective"), "name");
  JsonObject *parameters = object_in (learner, "learner_model_param");
  gboolean binary = strcmp (objective, "binary:logistic") == 0;
  double n = binary ? 2 : parameter (parameters, "num_class"), score = parameter (parameters, "base_score");
  if (!binary && strcmp (objective, "multi:softprob") != 0 && strcmp (objective, "multi:softmax") != 0)
    return refuse (reader, "its objective is \"%s\"; train with multi:softprob, or binary:logistic for two classes",
                   objective);
  if (!(n >= 2 && n <= 1024) || !isfinite (score) || (binary && !(score > 0 && score < 1)))
    return refuse (reader, "its parameters num_class or base_score are missing or out of range; save the booster anew");
  if (!read_features (reader, learner) || !read_classes (reader, learner, (int) n)
      || !read_trees (reader, learner, binary))
    return FALSE;
  /* A base score that is the same for all classes cancels; that of two classes is the second's probability. */
  g_autofree float *base = g_new0 (float, (int) n);
  if (binary)
    base[1] = (float) -log (1 / score - 1);
  notch_forest_write (reader->model, reader->nodes, reader->trees, base);
  return TRUE;
}

NotchModel *
notch_xgboost_model (GBytes *json, const char *path, GError **error)
{
  gsize size = 0;
  const char *text = g_bytes_get_data (json, &size);
  g_autoptr (JsonNode) root = notch_json_parse (text, size, path, error);
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
