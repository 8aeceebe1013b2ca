/* forest.c - gradient-boosted trees: from a model's sections to probabilities */
#include "inspect/classify/forest.h"

#include <math.h>
#include <string.h>

#include "inspect/classify/boost.h"
#include "inspect/classify/classifier.h"
#include "inspect/compute/parallel.h"

/* ---- sections -------------------------------------------------------------------------------------------------- */

static float
swap_float (float value)
{
  guint32 bits;
  memcpy (&bits, &value, sizeof bits);
  bits = GUINT32_TO_LE (bits);
  memcpy (&value, &bits, sizeof bits);
  return value;
}

/* From the host's order to the file's, or back. */
static NotchForestNode
swap_node (NotchForestNode node)
{
  return (NotchForestNode){ (gint32) GINT32_TO_LE (node.left), (gint32) GINT32_TO_LE (node.right),
                            GUINT16_TO_LE (node.feature), GUINT16_TO_LE (node.default_left), swap_float (node.value) };
}

static gboolean
has_odd (const NotchModel *model)
{
  JsonNode *node = json_object_get_member (model->settings, NOTCH_FOREST_ODD);
  return node && JSON_NODE_HOLDS_VALUE (node) && json_node_get_boolean (node);
}

/* What there is a sum of. */
static guint
count_sums (const NotchModel *model)
{
  return model->class_name->len + has_odd (model);
}

void
notch_forest_write (NotchModel *model, const GArray *nodes, const GArray *trees, const float *base)
{
  g_autofree NotchForestNode *node = g_new0 (NotchForestNode, nodes->len + 1);
  g_autofree NotchForestTree *tree = g_new0 (NotchForestTree, trees->len + 1);
  for (guint i = 0; i < nodes->len; i++)
    node[i] = swap_node (g_array_index (nodes, NotchForestNode, i));
  for (guint i = 0; i < trees->len; i++) {
    const NotchForestTree *from = &g_array_index (trees, NotchForestTree, i);
    tree[i] = (NotchForestTree){ GUINT32_TO_LE (from->n_nodes), GUINT32_TO_LE (from->class_index) };
  }
  g_autoptr (GBytes) node_bytes = g_bytes_new (node, nodes->len * sizeof *node);
  g_autoptr (GBytes) tree_bytes = g_bytes_new (tree, trees->len * sizeof *tree);
  notch_model_set_section (model, "nodes", node_bytes);
  notch_model_set_section (model, "trees", tree_bytes);
  JsonArray *array = json_array_new ();
  for (guint i = 0; i < count_sums (model); i++)
    json_array_add_double_element (array, (double) base[i]);
  json_object_set_array_member (model->settings, "base", array);
}

static gboolean
read_base (const NotchModel *model, float *base)
{
  JsonNode *node = json_object_get_member (model->settings, "base");
  JsonArray *array = node && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
  guint n = count_sums (model);
  if (!array || json_array_get_length (array) != n)
    return FALSE;
  for (guint i = 0; i < n; i++) {
    JsonNode *element = json_array_get_element (array, i);
    GType type = JSON_NODE_HOLDS_VALUE (element) ? json_node_get_value_type (element) : G_TYPE_INVALID;
    if (type != G_TYPE_DOUBLE && type != G_TYPE_INT64)
      return FALSE;
    base[i] = (float) json_node_get_double (element);
    if (!(fabsf (base[i]) < 1e6f))
      return FALSE;
  }
  return TRUE;
}

/* Children come behind their parents, so no walk goes round. */
static gboolean
node_fits (const NotchForestNode *node, guint32 at, guint32 n_nodes, guint n_features)
{
  if (!isfinite (node->value))
    return FALSE;
  if (node->left == -1)
    return TRUE;
  return node->left > (gint64) at && node->left < (gint64) n_nodes && node->right > (gint64) at
         && node->right < (gint64) n_nodes && node->feature < n_features;
}

gboolean
notch_forest_read (const NotchModel *model, GArray **nodes, GArray **trees, float **base, GError **error)
{
  GBytes *node_bytes = notch_model_section (model, "nodes", error);
  GBytes *tree_bytes = node_bytes ? notch_model_section (model, "trees", error) : NULL;
  if (!tree_bytes)
    return FALSE;
  gsize node_size = 0, tree_size = 0;
  const char *node = g_bytes_get_data (node_bytes, &node_size), *tree = g_bytes_get_data (tree_bytes, &tree_size);
  g_autofree float *begin = g_new0 (float, count_sums (model) + 1);
  if (node_size % sizeof (NotchForestNode) != 0 || tree_size % sizeof (NotchForestTree) != 0
      || node_size / sizeof (NotchForestNode) >= G_MAXINT32 || tree_size / sizeof (NotchForestTree) >= G_MAXINT32
      || !read_base (model, begin))
    return notch_model_refuse (model, error, "the forest's sections have odd sizes, or it has no base; train it anew");
  guint n_nodes = (guint) (node_size / sizeof (NotchForestNode)), used = 0;
  g_autoptr (GArray) all = g_array_sized_new (FALSE, FALSE, sizeof (NotchForestNode), n_nodes);
  g_autoptr (GArray) rows = g_array_new (FALSE, FALSE, sizeof (NotchForestTree));
  for (guint i = 0; i < tree_size / sizeof (NotchForestTree); i++) {
    NotchForestTree row;
    memcpy (&row, tree + i * sizeof row, sizeof row);
    row = (NotchForestTree){ GUINT32_FROM_LE (row.n_nodes), GUINT32_FROM_LE (row.class_index) };
    if (row.n_nodes == 0 || row.n_nodes > n_nodes - used || row.class_index >= count_sums (model))
      return notch_model_refuse (model, error, "tree %u has no nodes, or no class; train the model anew", i);
    for (guint k = 0; k < row.n_nodes; k++, used++) {
      NotchForestNode from;
      memcpy (&from, node + used * sizeof from, sizeof from);
      from = swap_node (from);
      if (!node_fits (&from, k, row.n_nodes, model->feature->len))
        return notch_model_refuse (model, error, "node %u of tree %u leads nowhere; train the model anew", k, i);
      g_array_append_val (all, from);
    }
    g_array_append_val (rows, row);
  }
  if (used != n_nodes)
    return notch_model_refuse (model, error, "%u nodes are of no tree; train the model anew", n_nodes - used);
  *nodes = g_steal_pointer (&all);
  *trees = g_steal_pointer (&rows);
  *base = g_steal_pointer (&begin);
  return TRUE;
}

/* ---- the state ------------------------------------------------------------------------------------------------- */

struct NotchForest {
  NotchTrees trees;
  GArray *threshold, *first, *node, *leaf, *root, *depth, *first_tree;
  float *base;
  int n_classes; /* without what is odd */
  GMutex lock;   /* guards what notch_forest_apply keeps */
  const NotchKernels *kernels;
  NotchDevice *device;
  NotchTreesMem *mem; /* the trees on that device */
};

void
notch_forest_free (NotchForest *forest)
{
  if (!forest)
    return;
  if (forest->mem)
    forest->kernels->trees_free (forest->mem);
  g_mutex_clear (&forest->lock);
  GArray *list[] = { forest->threshold, forest->first, forest->node,      forest->leaf,
                     forest->root,      forest->depth, forest->first_tree };
  for (gsize i = 0; i < G_N_ELEMENTS (list); i++)
    g_array_unref (list[i]);
  g_free (forest->base);
  g_free (forest);
}

static int
compare_floats (gconstpointer a, gconstpointer b)
{
  float x = *(const float *) a, y = *(const float *) b;
  return (x > y) - (x < y);
}

/* The thresholds of each feature, ascending, each once. */
static gboolean
collect_thresholds (NotchForest *forest, const GArray *nodes, guint n_features)
{
  gint32 first = 0;
  for (guint f = 0; f < n_features; f++) {
    g_autoptr (GArray) own = g_array_new (FALSE, FALSE, sizeof (float));
    for (guint i = 0; i < nodes->len; i++) {
      const NotchForestNode *node = &g_array_index (nodes, NotchForestNode, i);
      if (node->left >= 0 && node->feature == f)
        g_array_append_val (own, node->value);
    }
    g_array_sort (own, compare_floats);
    g_array_append_val (forest->first, first);
    for (guint i = 0; i < own->len; i++)
      if (i == 0 || g_array_index (own, float, i) != g_array_index (own, float, i - 1)) {
        g_array_append_val (forest->threshold, g_array_index (own, float, i));
        first++;
      }
    if (first - g_array_index (forest->first, gint32, f) > NOTCH_MOST_THRESHOLDS)
      return FALSE;
  }
  g_array_append_val (forest->first, first);
  return TRUE;
}

/* Lays a tree out breadth first, so that siblings are neighbours. */
static void
lay_out (NotchForest *forest, const NotchForestNode *from, const NotchForestTree *tree)
{
  g_autofree guint32 *queue = g_new (guint32, tree->n_nodes), *level = g_new (guint32, tree->n_nodes);
  const guint32 root = forest->node->len;
  guint32 n = 1;
  gint32 depth = 0;
  queue[0] = level[0] = 0;
  for (guint32 i = 0; i < n; i++) {
    const NotchForestNode *node = &from[queue[i]];
    NotchTreeNode to = { 0, NOTCH_BIN_RIGHT, root + i };
    float leaf = node->value;
    depth = MAX (depth, (gint32) level[i]);
    if (node->left >= 0) {
      gint32 first = g_array_index (forest->first, gint32, node->feature);
      gint32 end = g_array_index (forest->first, gint32, node->feature + 1);
      const float *threshold = &g_array_index (forest->threshold, float, first);
      to.column = (guint16) (2 * node->feature + !node->default_left);
      to.bin = (guint16) (notch_tree_bin (threshold, end - first, node->value) - 1);
      to.left = root + n;
      leaf = 0;
      queue[n] = (guint32) node->left, queue[n + 1] = (guint32) node->right;
      level[n] = level[n + 1] = level[i] + 1;
      n += 2;
    }
    g_array_append_val (forest->node, to);
    g_array_append_val (forest->leaf, leaf);
  }
  g_array_append_val (forest->root, root);
  g_array_append_val (forest->depth, depth);
}

/* Class by class, and a class's trees in their order. */
static void
lay_out_all (NotchForest *forest, const NotchForestNode *node, const GArray *trees, guint n_classes)
{
  const NotchForestTree *tree = (const NotchForestTree *) (gpointer) trees->data;
  g_array_set_size (forest->first_tree, n_classes + 1);
  gint32 *first = (gint32 *) (gpointer) forest->first_tree->data;
  for (guint t = 0; t < trees->len; t++)
    first[tree[t].class_index + 1]++;
  for (guint c = 0; c < n_classes; c++)
    first[c + 1] += first[c];
  g_autofree gint32 *next = g_memdup2 (first, (n_classes + 1) * sizeof *first);
  g_autofree guint *order = g_new (guint, trees->len + 1), *begin = g_new (guint, trees->len + 1);
  for (guint t = 0, at = 0; t < trees->len; at += tree[t++].n_nodes) {
    order[next[tree[t].class_index]++] = t;
    begin[t] = at;
  }
  for (guint i = 0; i < trees->len; i++)
    lay_out (forest, node + begin[order[i]], &tree[order[i]]);
}

/* Whether every node of a tree has one way to it: what is laid out is then no more than there is. */
static gboolean
is_tree (const NotchForestNode *node, guint32 n)
{
  g_autofree guint8 *reached = g_new0 (guint8, n);
  for (guint32 i = 0; i < n; i++)
    if (node[i].left >= 0 && (node[i].left == node[i].right || reached[node[i].left]++ || reached[node[i].right]++))
      return FALSE;
  return TRUE;
}

NotchForest *
notch_forest_new (const NotchModel *model, GError **error)
{
  g_autoptr (GArray) nodes = NULL, trees = NULL;
  float *base = NULL;
  guint n_features = model->feature->len, at = 0;
  if (!notch_forest_read (model, &nodes, &trees, &base, error))
    return NULL;
  g_autoptr (NotchForest) forest = g_new0 (NotchForest, 1);
  g_mutex_init (&forest->lock);
  forest->base = base;
  forest->threshold = g_array_new (FALSE, FALSE, sizeof (float));
  forest->first = g_array_new (FALSE, FALSE, sizeof (gint32));
  forest->node = g_array_new (FALSE, FALSE, sizeof (NotchTreeNode));
  forest->leaf = g_array_new (FALSE, FALSE, sizeof (float));
  forest->root = g_array_new (FALSE, FALSE, sizeof (guint32));
  forest->depth = g_array_new (FALSE, FALSE, sizeof (gint32));
  forest->first_tree = g_array_new (FALSE, TRUE, sizeof (gint32));
  if (!collect_thresholds (forest, nodes, n_features)) {
    notch_model_refuse (model, error, "its trees compare one feature with more than %d numbers; train a smaller one",
                        NOTCH_MOST_THRESHOLDS);
    return NULL;
  }
  for (guint i = 0; i < trees->len; i++) {
    const NotchForestTree *tree = &g_array_index (trees, NotchForestTree, i);
    const NotchForestNode *node = &g_array_index (nodes, NotchForestNode, at);
    if (!is_tree (node, tree->n_nodes)) {
      notch_model_refuse (model, error, "tree %u has a node that two lead to; train the model anew", i);
      return NULL;
    }
    at += tree->n_nodes;
  }
  lay_out_all (forest, (const NotchForestNode *) (gpointer) nodes->data, trees, count_sums (model));
  forest->n_classes = (int) model->class_name->len;
  forest->trees = (NotchTrees){ .n_features = (int) n_features,
                                .n_classes = (int) count_sums (model),
                                .n_trees = (int) trees->len,
                                .n_nodes = forest->node->len,
                                .threshold = (const float *) (gpointer) forest->threshold->data,
                                .first = (const gint32 *) (gpointer) forest->first->data,
                                .node = (const NotchTreeNode *) (gpointer) forest->node->data,
                                .leaf = (const float *) (gpointer) forest->leaf->data,
                                .root = (const guint32 *) (gpointer) forest->root->data,
                                .depth = (const gint32 *) (gpointer) forest->depth->data,
                                .first_tree = (const gint32 *) (gpointer) forest->first_tree->data,
                                .base = forest->base };
  return g_steal_pointer (&forest);
}

static double
log_sum (const float *sum, int n)
{
  double most = (double) sum[0], whole = 0;
  for (int c = 1; c < n; c++)
    most = MAX (most, (double) sum[c]);
  for (int c = 0; c < n; c++)
    whole += exp ((double) sum[c] - most);
  return most + log (whole);
}

/* From sums to probabilities, as XGBoost rounds them. */
static void
softmax (const float *sum, int n, float *probability)
{
  float most = sum[0];
  double whole = 0;
  for (int c = 1; c < n; c++)
    most = MAX (most, sum[c]);
  for (int c = 0; c < n; c++)
    whole += (double) (probability[c] = expf (sum[c] - most));
  for (int c = 0; c < n; c++)
    probability[c] /= (float) whole;
}

typedef struct {
  NotchForest *forest;
  const float *row;
  gsize n;
  float *probability; /* n x classes, or NULL; then: */
  double *evidence;   /* n */
  GMutex lock;        /* guards: */
  GError *error;
} Rows;

static void
classify_rows (gpointer data, int i)
{
  Rows *rows = data;
  const NotchForest *forest = rows->forest;
  const gsize at_once = forest->kernels->trees_rows, first = (gsize) i * at_once, n = MIN (rows->n - first, at_once);
  const gsize n_features = (gsize) forest->trees.n_features, n_sums = (gsize) forest->trees.n_classes;
  g_autofree float *sum = g_new (float, n *n_sums + 1);
  NotchFault fault = { 0 };
  if (forest->kernels->trees_sum (forest->mem, rows->row + first * n_features, n, sum, &fault) != 0) {
    g_mutex_lock (&rows->lock);
    if (!rows->error)
      notch_fault_error (&fault, "a forest cannot be computed", &rows->error);
    g_mutex_unlock (&rows->lock);
    return;
  }
  for (gsize r = 0; r < n; r++) {
    const float *own = sum + r * n_sums;
    if (rows->probability)
      softmax (own, forest->n_classes, rows->probability + (first + r) * (gsize) forest->n_classes);
    if (rows->evidence)
      rows->evidence[first + r] = log_sum (own, forest->n_classes)
                                  - (forest->trees.n_classes > forest->n_classes ? (double) own[forest->n_classes] : 0);
  }
}

/* Has the trees where they are to be walked; the ones of a place are kept. Holds the lock. */
static gboolean
send_trees (NotchForest *forest, const NotchCompute *compute, GError **error)
{
  const NotchKernels *kernels = compute && compute->kernels ? compute->kernels : &notch_kernels_cpu;
  NotchDevice *device = kernels != &notch_kernels_cpu ? compute->device[0] : NULL;
  NotchFault fault = { 0 };
  if (forest->mem && forest->kernels == kernels && forest->device == device)
    return TRUE;
  if (forest->mem)
    forest->kernels->trees_free (forest->mem);
  forest->kernels = kernels;
  forest->device = device;
  forest->mem = kernels->trees_up (device, &forest->trees, &fault);
  if (!forest->mem)
    notch_fault_error (&fault, "a forest cannot be computed", error);
  return forest->mem != NULL;
}

static gboolean
walk (Rows *rows, const NotchCompute *compute, GError **error)
{
  NotchForest *own = rows->forest;
  g_mutex_lock (&own->lock);
  if (send_trees (own, compute, &rows->error)) {
    const gsize at_once = own->kernels->trees_rows;
    g_mutex_init (&rows->lock);
    notch_parallel (notch_compute_jobs (compute), (int) ((rows->n + at_once - 1) / at_once), classify_rows, rows);
    g_mutex_clear (&rows->lock);
  }
  g_mutex_unlock (&own->lock);
  if (rows->error)
    g_propagate_error (error, rows->error);
  return !rows->error;
}

gboolean
notch_forest_apply (const NotchForest *forest, const float *row, gsize n, const NotchCompute *compute,
                    float *probability, double *evidence, GError **error)
{
  NotchForest *own = (NotchForest *) forest; /* what it says does not change: only where its trees are kept */
  return walk (&(Rows){ .forest = own, .row = row, .n = n, .probability = probability, .evidence = evidence }, compute,
               error);
}

/* ---- defects --------------------------------------------------------------------------------------------------- */

typedef struct {
  NotchForest *forest;
  guint n_features, n_classes;
  int *column; /* of a defect, beside the features */
} State;

static void
state_free (gpointer data)
{
  State *state = data;
  notch_forest_free (state->forest);
  g_free (state->column);
  g_free (state);
}

static gpointer
state_new (const NotchModel *model, GError **error)
{
  g_autofree int *column = notch_model_columns (model, error);
  NotchForest *forest = column ? notch_forest_new (model, error) : NULL;
  if (!forest)
    return NULL;
  State *state = g_new (State, 1);
  *state = (State){ forest, model->feature->len, model->class_name->len, g_steal_pointer (&column) };
  return state;
}

static float *
make_rows (const State *state, const NotchExample *example, guint n)
{
  float *row = g_new (float, (gsize) n * state->n_features + 1);
  for (gsize r = 0; r < n; r++)
    for (gsize f = 0; f < state->n_features; f++)
      row[r * state->n_features + f] = (float) example[r].value[state->column[f]];
  return row;
}

static gboolean
classify (gconstpointer data, const NotchExample *example, guint n, G_GNUC_UNUSED int patch_side,
          const NotchCompute *compute, const NotchSaid *said, GError **error)
{
  const State *state = data;
  g_autofree float *row = make_rows (state, example, n);
  return notch_forest_apply (state->forest, row, n, compute, said->probability, said->evidence, error);
}

const NotchClassifier notch_classifier_forest = {
  .name = "forest",
  .summary = "gradient-boosted trees over the measured columns",
  .train = notch_boost_train,
  .open = state_new,
  .classify = classify,
  .evidence = TRUE,
  .close = state_free,
};
