/* dataset.c - lists of examples: names, parts, and what is wrong with them; dataset-read.c fills them */
#include "inspect/classify/dataset.h"

#include "inspect/classify/classifier.h"

#include <math.h>
#include <string.h>

/* Fewer examples than this teach little. */
enum { FEW = 20 };

static void
example_clear (gpointer data)
{
  NotchExample *example = data;
  g_free (example->name);
  g_free (example->patch);
}

NotchDataset *
notch_dataset_new (void)
{
  NotchDataset *dataset = g_new0 (NotchDataset, 1);
  dataset->class_name = g_ptr_array_new_with_free_func (g_free);
  dataset->wafer_name = g_ptr_array_new_with_free_func (g_free);
  dataset->example = g_array_new (FALSE, TRUE, sizeof (NotchExample));
  g_array_set_clear_func (dataset->example, example_clear);
  dataset->note = g_ptr_array_new_with_free_func (g_free);
  return dataset;
}

void
notch_dataset_free (NotchDataset *dataset)
{
  if (!dataset)
    return;
  g_ptr_array_unref (dataset->class_name);
  g_ptr_array_unref (dataset->wafer_name);
  g_array_unref (dataset->example);
  g_ptr_array_unref (dataset->note);
  g_free (dataset);
}

int
notch_dataset_name (GPtrArray *list, const char *name)
{
  guint i = 0;
  if (!g_ptr_array_find_with_equal_func (list, name, g_str_equal, &i)) {
    i = list->len;
    g_ptr_array_add (list, g_strdup (name));
  }
  return (int) i;
}

int
notch_dataset_class (NotchDataset *dataset, const char *name)
{
  if (strcmp (name, NOTCH_ODD) == 0)
    return NOTCH_CLASS_ODD;
  return *name && strcmp (name, NOTCH_UNKNOWN) != 0 ? notch_dataset_name (dataset->class_name, name) : -1;
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

void
notch_dataset_sort_classes (NotchDataset *dataset)
{
  const guint n = dataset->class_name->len;
  g_autofree gpointer *before = g_memdup2 (dataset->class_name->pdata, n * sizeof *before);
  g_autofree int *now = g_new (int, n + 1);
  g_ptr_array_sort (dataset->class_name, compare_names);
  for (guint i = 0; i < n; i++) {
    guint at = 0;
    g_ptr_array_find (dataset->class_name, before[i], &at);
    now[i] = (int) at;
  }
  for (guint i = 0; i < dataset->example->len; i++) {
    NotchExample *example = &g_array_index (dataset->example, NotchExample, i);
    if (example->class_index >= 0)
      example->class_index = now[example->class_index];
  }
}

void
notch_dataset_keep (NotchDataset *dataset, NotchSplit part)
{
  const NotchSplit other = part == NOTCH_PART_TRAIN ? NOTCH_PART_HELD_OUT : NOTCH_PART_TRAIN;
  const guint n = dataset->example->len;
  guint kept = 0;
  for (guint i = 0; i < n; i++) {
    NotchExample example = *notch_example (dataset, i);
    memset (&g_array_index (dataset->example, NotchExample, i), 0, sizeof example);
    if (example.mark == other)
      example_clear (&example);
    else
      g_array_index (dataset->example, NotchExample, kept++) = example;
  }
  g_array_set_size (dataset->example, kept);
  if (kept < n)
    g_ptr_array_add (dataset->note, g_strdup_printf ("%u of %u examples are marked for %s and left out", n - kept, n,
                                                     other == NOTCH_PART_TRAIN ? "training" : "a test"));
}

/* ---- parts ----------------------------------------------------------------------------------------------------- */

typedef struct {
  int wafer;
  gint64 n;       /* examples */
  guint8 key[32]; /* by name and seed */
} Wafer;

static int
compare_wafers (gconstpointer a, gconstpointer b)
{
  const Wafer *x = a, *y = b;
  int order = memcmp (x->key, y->key, sizeof x->key);
  return order ? order : (x->wafer > y->wafer) - (x->wafer < y->wafer);
}

/* The wafers that have examples of a class, or with `odd` those that have odd ones only, in an order that their names and the
 * seed give. */
static GArray *
shuffle_wafers (const NotchDataset *dataset, gboolean odd, guint64 seed)
{
  GArray *wafers = g_array_new (FALSE, TRUE, sizeof (Wafer));
  const guint n_wafers = dataset->wafer_name->len;
  g_autofree gint64 *known = g_new0 (gint64, n_wafers + 1), *strange = g_new0 (gint64, n_wafers + 1);
  for (guint i = 0; i < dataset->example->len; i++) {
    const NotchExample *example = notch_example (dataset, i);
    known[example->wafer] += example->class_index >= 0;
    strange[example->wafer] += example->class_index == NOTCH_CLASS_ODD;
  }
  for (guint w = 0; w < n_wafers; w++) {
    Wafer wafer = { .wafer = (int) w, .n = !odd ? known[w] : known[w] == 0 ? strange[w] : 0 };
    gsize size = sizeof wafer.key;
    g_autofree char *text = g_strdup_printf ("%" G_GUINT64_FORMAT " %s", seed, (char *) dataset->wafer_name->pdata[w]);
    g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
    g_checksum_update (sum, (const guchar *) text, -1);
    g_checksum_get_digest (sum, wafer.key, &size);
    if (wafer.n > 0)
      g_array_append_val (wafers, wafer);
  }
  g_array_sort (wafers, compare_wafers);
  return wafers;
}

/* Marks the wafers that are held out. */
static void
hold_out (const GArray *wafers, double share, gboolean *held)
{
  gint64 whole = 0, taken = 0;
  for (guint w = 0; w < wafers->len; w++)
    whole += g_array_index (wafers, Wafer, w).n;
  const Wafer *least = NULL;
  for (guint w = 0; w < wafers->len && wafers->len > 1 && share > 0; w++) {
    const Wafer *wafer = &g_array_index (wafers, Wafer, w);
    gboolean near = (double) taken + (double) wafer->n / 2 <= share * (double) whole;
    if ((taken > 0 && !near) || taken + wafer->n == whole)
      break;
    if (!least || wafer->n < least->n)
      least = wafer;
    if (near)
      held[wafer->wafer] = TRUE, taken += wafer->n;
  }
  if (least && taken == 0) /* all are more than half too large */
    held[least->wafer] = TRUE;
}

guint8 *
notch_dataset_split (NotchDataset *dataset, double share, guint64 seed)
{
  const guint n = dataset->example->len;
  guint8 *part = g_new0 (guint8, n + 1);
  g_autofree gboolean *held = g_new0 (gboolean, dataset->wafer_name->len + 1);
  g_autoptr (GArray) known = shuffle_wafers (dataset, FALSE, seed), odd = shuffle_wafers (dataset, TRUE, seed);
  hold_out (known, share, held);
  hold_out (odd, share, held);
  if (share > 0 && known->len == 1)
    g_ptr_array_add (dataset->note, g_strdup ("all examples are of one image, so nothing can be held out; give more"));
  for (guint i = 0; i < n; i++)
    if (notch_example (dataset, i)->class_index != -1)
      part[i] = held[notch_example (dataset, i)->wafer] ? NOTCH_PART_HELD_OUT : NOTCH_PART_TRAIN;
  return part;
}

int *
notch_dataset_folds (const NotchDataset *dataset, int k, guint64 seed)
{
  int *fold = g_new (int, dataset->example->len + 1);
  g_autofree int *of_wafer = g_new0 (int, dataset->wafer_name->len + 1);
  g_autofree gint64 *size = g_new0 (gint64, k);
  g_autoptr (GArray) wafers = shuffle_wafers (dataset, FALSE, seed);
  for (guint w = 0; w < wafers->len; w++) {
    int least = 0;
    for (int f = 1; f < k; f++)
      if (size[f] < size[least])
        least = f;
    of_wafer[g_array_index (wafers, Wafer, w).wafer] = least;
    size[least] += g_array_index (wafers, Wafer, w).n;
  }
  for (guint i = 0; i < dataset->example->len; i++) {
    const NotchExample *example = notch_example (dataset, i);
    fold[i] = example->class_index >= 0 ? of_wafer[example->wafer] : -1;
  }
  return fold;
}

int *
notch_dataset_class_index (const NotchDataset *dataset)
{
  int *class_index = g_new (int, dataset->example->len + 1);
  for (guint i = 0; i < dataset->example->len; i++)
    class_index[i] = notch_example (dataset, i)->class_index;
  return class_index;
}

gint64 *
notch_dataset_count (const NotchDataset *dataset, const guint8 *parts, int part)
{
  gint64 *count = g_new0 (gint64, dataset->class_name->len + 1);
  for (guint i = 0; i < dataset->example->len; i++) {
    const NotchExample *example = notch_example (dataset, i);
    if (example->class_index != -1 && (!parts || parts[i] == part))
      count[example->class_index >= 0 ? (guint) example->class_index : dataset->class_name->len]++;
  }
  return count;
}

/* ---- what is wrong with them ----------------------------------------------------------------------------------- */

/* What two examples have in common that are the same to every classifier. */
static char *
look_of (const NotchDataset *dataset, const NotchExample *example)
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  gsize patch = 2 * (gsize) dataset->patch_side * (gsize) dataset->patch_side * sizeof *example->patch;
  for (int f = 0; f < NOTCH_N_FEATURES; f++)
    if (notch_feature_info[f].learn && !isnan (example->value[f])) {
      g_checksum_update (sum, (const guchar *) &f, sizeof f);
      g_checksum_update (sum, (const guchar *) &example->value[f], sizeof example->value[f]);
    }
  if (example->patch)
    g_checksum_update (sum, (const guchar *) example->patch, (gssize) patch);
  return g_strdup (g_checksum_get_string (sum));
}

typedef struct {
  gint64 n;
  const char *first, *second; /* names of a pair */
} Pairs;

static void
count_pair (Pairs *pairs, const NotchExample *a, const NotchExample *b)
{
  if (pairs->n++ == 0)
    pairs->first = a->name, pairs->second = b->name;
}

static void
note_pairs (NotchDataset *dataset, const Pairs *pairs, const char *what)
{
  if (pairs->n > 0)
    g_ptr_array_add (dataset->note,
                     g_strdup_printf ("%" G_GINT64_FORMAT " example%s %s: %s and %s%s", pairs->n,
                                      pairs->n == 1 ? " is the same as another" : "s are the same as others", what,
                                      pairs->first, pairs->second, pairs->n > 1 ? ", and so on" : ""));
}

void
notch_dataset_check (NotchDataset *dataset, const guint8 *parts)
{
  g_autofree gint64 *count = notch_dataset_count (dataset, parts, NOTCH_PART_TRAIN),
                    *held = notch_dataset_count (dataset, parts, NOTCH_PART_HELD_OUT);
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  Pairs conflict = { 0 }, across = { 0 }, twice = { 0 };
  for (guint c = 0; c < dataset->class_name->len; c++)
    if (count[c] + held[c] < FEW)
      g_ptr_array_add (dataset->note, g_strdup_printf ("class %s has %" G_GINT64_FORMAT " example%s; give at least %d",
                                                       (char *) dataset->class_name->pdata[c], count[c] + held[c],
                                                       count[c] + held[c] == 1 ? "" : "s", FEW));
  for (guint c = 0; c < dataset->class_name->len; c++)
    if (count[c] == 0 && held[c] > 0)
      g_ptr_array_add (dataset->note, g_strdup_printf ("class %s: none of its %" G_GINT64_FORMAT
                                                       " examples is left to learn from; hold out "
                                                       "less, or give more images of it",
                                                       (char *) dataset->class_name->pdata[c], held[c]));
  for (guint i = 0; i < dataset->example->len; i++) {
    const NotchExample *example = notch_example (dataset, i);
    if (parts[i] == NOTCH_PART_NONE)
      continue;
    char *look = look_of (dataset, example);
    guint before = GPOINTER_TO_UINT (g_hash_table_lookup (seen, look));
    if (before == 0) {
      g_hash_table_insert (seen, look, GUINT_TO_POINTER (i + 1));
      continue;
    }
    g_free (look);
    const NotchExample *other = notch_example (dataset, before - 1);
    if (other->class_index != example->class_index)
      count_pair (&conflict, other, example);
    else
      count_pair (parts[before - 1] != parts[i] ? &across : &twice, other, example);
  }
  note_pairs (dataset, &conflict, "but of another class; look at them and decide for one");
  note_pairs (dataset, &across, "in what is held out, which then is no test; leave one of each out");
  note_pairs (dataset, &twice, "of the same class; they count twice");
}
