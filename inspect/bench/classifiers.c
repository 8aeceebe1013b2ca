/* classifiers.c - a forest over rows of numbers, the network of defects' patches, and its learning
 *
 * Trees and weights are by chance, and so is what they say; it takes as long. Each figure is of as many items at once as take
 * long enough to be timed: on one thread and on all where the processors compute. Beside a GPU all threads make images, as
 * in an inspection. */
#include "inspect/bench/bench.h"
#include "inspect/classify/engine.h"
#include "inspect/classify/forest.h"
#include "inspect/classify/net-classifier.h"

#include <math.h>
#include <string.h>

#define CLASSES 16
#define TREES   100
#define DEPTH   6 /* of a tree, all of whose leaves are there */
#define ROWS    1024
#define PATCHES 64 /* these and the rows are repeated as often as is needed */

#define LEAST_SECONDS 0.1
#define MEGABYTES     256 /* of items that are there before they are classified, at most */
#define MOST_ITEMS    (1 << 16)

enum { FOREST, IMAGES, NETWORK, LEARNING, N_FIGURES };

/* What is classified. */
typedef struct {
  NotchModel *model; /* of the forest */
  NotchNetShape shape;
  float *row; /* ROWS x features */
  NotchExample example[PATCHES];
  NotchNetExamples patches;
  const NotchExample *patch[MOST_ITEMS]; /* of patches */
  int label[PATCHES];
  float *image; /* PATCHES: what the network sees of them */
} Items;

/* What classifies, with so many threads; forest and network keep what they have made on the device. */
typedef struct {
  const NotchBench *bench;
  const Items *items;
  NotchCompute compute;
  NotchForest *forest;
  NotchNet *net;
  gsize count[N_FIGURES]; /* of items at once; 0: not known yet */
} Set;

/* ---- items ----------------------------------------------------------------------------------------------------- */

/* A heap of nodes: the children of node i are 2 i + 1 and 2 i + 2. */
static void
plant (NotchModel *model, GRand *random)
{
  g_autoptr (GArray) nodes = g_array_new (FALSE, FALSE, sizeof (NotchForestNode));
  g_autoptr (GArray) trees = g_array_new (FALSE, FALSE, sizeof (NotchForestTree));
  const float base[CLASSES] = { 0 };
  const int n_inner = (1 << DEPTH) - 1, n_nodes = 2 * n_inner + 1;
  for (int t = 0; t < TREES; t++) {
    for (int i = 0; i < n_nodes; i++) {
      gboolean leaf = i >= n_inner;
      const NotchForestNode node = { .left = leaf ? -1 : 2 * i + 1,
                                     .right = leaf ? -1 : 2 * i + 2,
                                     .feature = (guint16) g_rand_int_range (random, 0, (gint32) model->feature->len),
                                     .value = (float) g_rand_double_range (random, -1, 1) };
      g_array_append_val (nodes, node);
    }
    const NotchForestTree tree = { (guint32) n_nodes, (guint32) (t % CLASSES) };
    g_array_append_val (trees, tree);
  }
  notch_forest_write (model, nodes, trees, base);
}

static NotchModel *
make_forest (GRand *random)
{
  NotchModel *model = notch_model_new ("defects", "forest");
  for (int c = 0; c < CLASSES; c++) {
    g_autofree char *name = g_strdup_printf ("class %d", c);
    notch_model_add_class (model, name);
  }
  for (int f = 0; f < NOTCH_N_FEATURES; f++)
    if (notch_feature_info[f].learn)
      g_ptr_array_add (model->feature, g_strdup (notch_feature_info[f].name));
  plant (model, random);
  return model;
}

/* A fine pattern with noise, and a spot in the test. */
static float *
draw_patch (int side, GRand *random)
{
  int area = side * side, middle = side / 2 * side + side / 2;
  float *patch = g_new (float, 2 * area);
  for (int p = 0; p < area; p++) {
    int x = p % side, y = p / side;
    patch[area + p] = (float) (100 + 40 * sin (2 * G_PI * x / 14) * sin (2 * G_PI * y / 16));
    patch[p] = patch[area + p] + (float) g_rand_double_range (random, -5, 5);
  }
  for (int p = 0; p < 9; p++)
    patch[middle + p / 3 * side + p % 3] += 60;
  return patch;
}

static void
items_free (Items *items)
{
  notch_model_free (items->model);
  g_free (items->row);
  for (int i = 0; i < PATCHES; i++)
    g_free (items->example[i].patch);
  g_free (items->image);
  g_free (items);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Items, items_free)

static Items *
items_new (void)
{
  g_autoptr (GRand) random = g_rand_new_with_seed (3);
  g_autoptr (NotchRecipe) recipe = notch_recipe_new ();
  Items *items = g_new0 (Items, 1);
  items->model = make_forest (random);
  const gsize n_values = ROWS * (gsize) items->model->feature->len;
  items->row = g_new (float, n_values);
  for (gsize i = 0; i < n_values; i++)
    items->row[i] = (float) g_rand_double_range (random, -1, 1);
  const int side = recipe->report.crop_px;
  items->shape = notch_net_sight_shape (&notch_net_of_defects, side, CLASSES);
  items->patches =
      (NotchNetExamples){ .example = items->patch, .patch_side = side, .side = items->shape.side, .views = 1 };
  for (int i = 0; i < PATCHES; i++) {
    items->example[i].patch = draw_patch (side, random);
    items->label[i] = i % CLASSES;
  }
  for (int i = 0; i < MOST_ITEMS; i++)
    items->patch[i] = &items->example[i % PATCHES];
  const NotchNetImages images = notch_net_sight_images (&notch_net_of_defects, &items->patches, PATCHES, NULL);
  items->image = g_new (float, PATCHES *notch_net_pixels (&items->shape));
  for (gsize i = 0; i < PATCHES; i++)
    images.draw (&images, i, NULL, items->image + i * notch_net_pixels (&items->shape));
  return items;
}

/* n items of `length` floats, which are the `count` of `from` again and again; freed with g_free. */
static float *
repeat (const float *from, gsize count, gsize length, gsize n, GError **error)
{
  float *to = g_try_new (float, n *length);
  for (gsize i = 0; to && i < n; i += count)
    memcpy (to + i * length, from, MIN (count, n - i) * length * sizeof *to);
  if (!to)
    g_set_error_literal (error, NOTCH_ERROR, NOTCH_ERROR_READ, "there is no memory for what classifiers are timed on");
  return to;
}

/* ---- what is timed --------------------------------------------------------------------------------------------- */

static gboolean
time_forest (const Set *set, gsize n, double *seconds, GError **error)
{
  const Items *items = set->items;
  g_autofree float *row = repeat (items->row, ROWS, items->model->feature->len, n, error);
  g_autofree float *probability = g_new (float, n *CLASSES);
  double start = notch_bench_now ();
  gboolean well = row && notch_forest_apply (set->forest, row, n, &set->compute, probability, NULL, error);
  *seconds = notch_bench_now () - start;
  return well;
}

static gboolean
time_network (const Set *set, const NotchNetImages *images, double *seconds, GError **error)
{
  g_autofree float *probability = g_new (float, images->n *CLASSES);
  double start = notch_bench_now ();
  gboolean well = notch_net_apply (set->net, images, &set->compute, probability, NULL, error);
  *seconds = notch_bench_now () - start;
  return well;
}

static gboolean
time_images (const Set *set, gsize n, double *seconds, GError **error)
{
  g_autofree float *image = repeat (set->items->image, PATCHES, notch_net_pixels (&set->items->shape), n, error);
  const NotchNetImages images = { .n = n, .image = image };
  return image && time_network (set, &images, seconds, error);
}

static gboolean
time_patches (const Set *set, gsize n, double *seconds, GError **error)
{
  const NotchNetImages images = notch_net_sight_images (&notch_net_of_defects, &set->items->patches, n, NULL);
  return time_network (set, &images, seconds, error);
}

/* The seconds of a training until the ends of its two epochs. */
typedef struct {
  const NotchBench *bench;
  double seconds[2];
} Epochs;

static gboolean
note_epoch (const NotchNetEpoch *is, gpointer data)
{
  Epochs *epochs = data;
  epochs->seconds[is->epoch - 1] = is->seconds;
  return notch_bench_go_on (epochs->bench, 0);
}

/* An epoch of n images. What a training begins with is in the epoch before. */
static gboolean
time_learning (const Set *set, gsize n, double *seconds, GError **error)
{
  const Items *items = set->items;
  g_autoptr (NotchNet) net = notch_net_new (&items->shape, 1, error);
  const NotchNetImages images = notch_net_sight_images (&notch_net_of_defects, &items->patches, PATCHES, items->label);
  Epochs epochs = { .bench = set->bench };
  const NotchNetTraining how = { .seed = 1,
                                 .epochs = G_N_ELEMENTS (epochs.seconds),
                                 .batch = notch_net_of_defects.batch,
                                 .per_epoch = n,
                                 .step = note_epoch,
                                 .data = &epochs };
  gboolean well = net && notch_net_train (net, &images, NULL, &how, &set->compute, error);
  *seconds = epochs.seconds[1] - epochs.seconds[0];
  return well;
}

static const struct {
  const char *name;
  gboolean (*time) (const Set *, gsize n, double *seconds, GError **);
} figures[N_FIGURES] = {
  [FOREST] = { "forest", time_forest },
  [IMAGES] = { "network images", time_images },
  [NETWORK] = { "network", time_patches },
  [LEARNING] = { "network learning", time_learning },
};

/* The fewest items of a figure that a device computes without idling, and the most that there is memory for. */
static void
bounds_of (const Set *set, int figure, gsize *least, gsize *most)
{
  const gsize bytes = MEGABYTES << 20, row = set->items->model->feature->len * sizeof (float);
  const gsize image = notch_net_pixels (&set->items->shape) * sizeof (float);
  *least = figure == FOREST     ? ROWS
           : figure == LEARNING ? (gsize) notch_net_of_defects.batch
                                : (gsize) notch_engine_images (&set->compute);
  *most = figure == FOREST ? bytes / row : figure == IMAGES ? bytes / image : MOST_ITEMS;
}

/* Times a figure; the first time so many items that they take LEAST_SECONDS, and as many ever after. */
static gboolean
time_figure (Set *set, int figure, double *ns, GError **error)
{
  gsize least = 0, most = 0, *count = &set->count[figure];
  gboolean known = *count > 0;
  double seconds = 0;
  bounds_of (set, figure, &least, &most);
  do {
    *count = known ? *count : MAX (least, 2 * *count);
    if (!figures[figure].time (set, *count, &seconds, error))
      return FALSE;
  } while (!known && seconds < LEAST_SECONDS && 2 * *count <= most);
  *ns = 1e9 * seconds / (double) *count;
  return TRUE;
}

/* ---- rounds ---------------------------------------------------------------------------------------------------- */

/* One thread and all of them, where these compute. */
static int
n_sets (const NotchBench *bench)
{
  return bench->compute.kernels == &notch_kernels_cpu && bench->compute.jobs > 1 ? 2 : 1;
}

int
notch_bench_classifiers_steps (const NotchBench *bench)
{
  return bench->rounds * n_sets (bench) * N_FIGURES;
}

/* Classifies once, for things are made then that stay. */
static gboolean
set_make (Set *set, const NotchBench *bench, const Items *items, gboolean alone, GError **error)
{
  *set = (Set){ .bench = bench, .items = items, .compute = bench->compute };
  if (alone)
    set->compute.jobs = 1;
  set->forest = notch_forest_new (items->model, error);
  set->net = set->forest ? notch_net_new (&items->shape, 1, error) : NULL;
  const gsize images = (gsize) notch_engine_images (&set->compute);
  double seconds = 0;
  return set->net && time_forest (set, ROWS, &seconds, error) && time_images (set, images, &seconds, error);
}

static void
set_clear (Set *set)
{
  notch_net_free (set->net);
  notch_forest_free (set->forest);
}

gboolean
notch_bench_classifiers (NotchBench *bench, GError **error)
{
  g_autoptr (Items) items = items_new ();
  Set sets[2] = { 0 };
  const int n = n_sets (bench);
  gboolean well = TRUE;
  for (int s = 0; s < n && well; s++)
    well = set_make (&sets[s], bench, items, s + 1 < n, error);
  for (int round = 0; round < bench->rounds; round++)
    for (int s = 0; s < n; s++)
      for (int f = 0; f < N_FIGURES && well; f++) {
        double ns = 0;
        well = notch_bench_next (bench, s + 1 < n ? "classifiers, one thread" : "classifiers, all threads", error)
               && time_figure (&sets[s], f, &ns, error);
        if (well)
          notch_bench_note (bench, NOTCH_BENCH_CLASSIFIER, figures[f].name, sets[s].compute.jobs, 0, ns);
      }
  for (int s = 0; s < n; s++)
    set_clear (&sets[s]);
  return well;
}
