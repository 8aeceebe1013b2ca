/* dataset-crops.c - see dataset-crops.h */
#include "inspect/classify/dataset-crops.h"

#include <math.h>

#include "inspect/image/source.h"

enum { MOST_SIDE = 1024 }; /* px, of a patch or crop in a file */

/* ---- pages ------------------------------------------------------------------------------------------------------- */

/* Whether a page has the size of n patches one below the other, or, where n is 0, of a crop. A file may say anything, so it
 * is asked before there is memory for its pixels. */
static gboolean
check_size (const NotchSource *source, guint n, GError **error)
{
  if (source->width <= MOST_SIDE && (n > 0 ? source->height == source->width * n : source->height <= MOST_SIDE))
    return TRUE;
  if (n > 0)
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                 "%s: does not hold a patch for each of the %u defects beside it; inspect the image anew", source->path,
                 n);
  else
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                 "%s: is %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT " px, too large for a crop of at most %d px a side",
                 source->path, source->width, source->height, MOST_SIDE);
  return FALSE;
}

/* A page of n patches, or of a crop, as floats, which the caller frees. */
static float *
read_page (const char *path, int page, guint n, gint64 *width, gint64 *height, GError **error)
{
  const NotchSourceOptions options = { page, NOTCH_CHANNEL_LUMINANCE, NOTCH_EXAMPLE_BUDGET };
  g_autoptr (NotchSource) source = notch_source_open (path, &options, error);
  if (!source || !check_size (source, n, error))
    return NULL;
  const gsize pixels = (gsize) source->width * (gsize) source->height;
  g_autofree void *raw = g_try_malloc (pixels * notch_sample_size (source->sample));
  g_autofree float *value = g_try_new (float, pixels);
  if (!raw || !value) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: no memory for its pixels", path);
    return NULL;
  }
  if (!notch_source_read (source, 0, source->height, raw, 1, error))
    return NULL;
  for (gsize i = 0; i < pixels; i++)
    value[i] = source->sample == NOTCH_SAMPLE_U8    ? (float) ((const guint8 *) raw)[i]
               : source->sample == NOTCH_SAMPLE_U16 ? (float) ((const guint16 *) raw)[i]
                                                    : ((const float *) raw)[i];
  *width = source->width, *height = source->height;
  return g_steal_pointer (&value);
}

/* Test and reference, which is NULL where there is no second page, both w x h; freed by the caller. */
static gboolean
read_pages (const char *path, guint n, float **test, float **reference, gint64 *w, gint64 *h, GError **error)
{
  g_autoptr (GError) fault = NULL;
  gint64 w2 = 0, h2 = 0;
  *test = read_page (path, 1, n, w, h, &fault);
  *reference = *test ? read_page (path, 2, n, &w2, &h2, &fault) : NULL;
  if (g_error_matches (fault, NOTCH_ERROR, NOTCH_ERROR_PAGE)) /* there is none */
    g_clear_error (&fault);
  if (*reference && (w2 != *w || h2 != *h))
    g_set_error (&fault, NOTCH_ERROR, NOTCH_ERROR_READ,
                 "%s: its second page, the reference, is not as large as the first; make them alike", path);
  if (!fault)
    return TRUE;
  g_clear_pointer (test, g_free);
  g_clear_pointer (reference, g_free);
  g_propagate_error (error, g_steal_pointer (&fault));
  return FALSE;
}

/* ---- patches ----------------------------------------------------------------------------------------------------- */

/* Copies a plane of w x h into the middle of one of side x side, edges repeated, as a network does; without a plane all is no
 * number. The middle is pixel side / 2, so that it does not matter in how many steps a patch grows. */
static void
centre_plane (const float *from, gint64 w, gint64 h, float *to, gint64 side)
{
  for (gint64 y = 0; y < side; y++)
    for (gint64 x = 0; x < side; x++) {
      const gint64 u = CLAMP (x + w / 2 - side / 2, 0, w - 1), v = CLAMP (y + h / 2 - side / 2, 0, h - 1);
      to[y * side + x] = from ? from[v * w + u] : NAN;
    }
}

static float *
centre_patch (const float *test, const float *reference, gint64 w, gint64 h, int side)
{
  const gsize area = (gsize) side * (gsize) side;
  float *patch = g_new (float, 2 * area);
  centre_plane (test, w, h, patch, side);
  centre_plane (reference, w, h, patch + area, side);
  return patch;
}

/* Brings the patches that are there to a larger side. */
static void
grow_patches (NotchDataset *dataset, int side)
{
  const int before = dataset->patch_side;
  dataset->patch_side = side;
  for (guint i = 0; i < dataset->example->len; i++) {
    NotchExample *example = &g_array_index (dataset->example, NotchExample, i);
    if (!example->patch)
      continue;
    float *patch = centre_patch (example->patch, example->patch + before * before, before, before, side);
    g_free (example->patch);
    example->patch = patch;
  }
}

/* A patch of the dataset's side, which is that of the largest. */
static float *
make_patch (NotchDataset *dataset, const float *test, const float *reference, gint64 w, gint64 h)
{
  const int side = (int) MIN (MAX (w, h), NOTCH_MOST_PATCH_SIDE);
  dataset->n_of_side[side]++;
  if (side > dataset->patch_side)
    grow_patches (dataset, side);
  return centre_patch (test, reference, w, h, dataset->patch_side);
}

void
notch_dataset_note_sides (NotchDataset *dataset)
{
  guint smaller = 0;
  for (int side = 1; side < dataset->patch_side; side++)
    smaller += dataset->n_of_side[side];
  if (smaller > 0)
    g_ptr_array_add (
        dataset->note,
        g_strdup_printf ("%u of %u patches are smaller than the largest, which is of %d px a side or more, and "
                         "are continued by their edges; better cut all alike",
                         smaller, smaller + dataset->n_of_side[dataset->patch_side], dataset->patch_side));
}

static gboolean
any_number (const float *value, gsize n)
{
  for (gsize i = 0; i < n; i++)
    if (isfinite (value[i]))
      return TRUE;
  return FALSE;
}

gboolean
notch_read_patches (NotchDataset *dataset, guint first, const char *folder, GError **error)
{
  g_autofree char *path = g_build_filename (folder, "patches.tif", NULL);
  const guint n = dataset->example->len - first;
  g_autofree float *test = NULL, *reference = NULL;
  gint64 w = 0, h = 0;
  if (n == 0 || !g_file_test (path, G_FILE_TEST_IS_REGULAR))
    return TRUE;
  if (!read_pages (path, n, &test, &reference, &w, &h, error))
    return FALSE;
  if (!reference) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                 "%s: has no second page, which is the reference; inspect the image anew", path);
    return FALSE;
  }
  const gsize area = (gsize) w * (gsize) w;
  for (guint i = 0; i < n; i++)
    if (any_number (test + i * area, area))
      g_array_index (dataset->example, NotchExample, first + i).patch =
          make_patch (dataset, test + i * area, reference + i * area, w, w);
  return TRUE;
}

/* ---- crops ------------------------------------------------------------------------------------------------------- */

static gboolean
is_image (const char *path)
{
  g_autofree char *lower = g_ascii_strdown (path, -1);
  return g_str_has_suffix (lower, ".png") || g_str_has_suffix (lower, ".tif") || g_str_has_suffix (lower, ".tiff");
}

/* Images of the folder itself, or of a folder in it. */
static gboolean
has_images (const char *folder, gboolean deep)
{
  g_autoptr (GPtrArray) list = notch_list_folder (folder);
  for (guint i = 0; i < list->len; i++)
    if (is_image (list->pdata[i]) || (deep && has_images (list->pdata[i], FALSE)))
      return TRUE;
  return FALSE;
}

gboolean
notch_is_crops (const char *path)
{
  g_autoptr (GPtrArray) list = notch_list_folder (path);
  for (guint i = 0; i < list->len; i++)
    if (has_images (list->pdata[i], TRUE))
      return TRUE;
  return FALSE;
}

static gboolean
read_crop (NotchDataset *dataset, const char *path, const char *wafer, const char *class_name, GError **error)
{
  g_autofree float *test = NULL, *reference = NULL;
  gint64 w = 0, h = 0;
  if (!read_pages (path, 0, &test, &reference, &w, &h, error))
    return FALSE;
  NotchExample example = { .name = g_strdup (path), .wafer = notch_dataset_name (dataset->wafer_name, wafer) };
  for (int f = 0; f < NOTCH_N_FEATURES; f++)
    example.value[f] = NAN;
  example.patch = make_patch (dataset, test, reference, w, h);
  example.class_index = notch_dataset_class (dataset, class_name);
  g_array_append_val (dataset->example, example);
  return TRUE;
}

/* The images of a folder; of a wafer, or, with NULL, each of its own. */
static gboolean
read_images (NotchDataset *dataset, const GPtrArray *list, const char *wafer, const char *class_name, GError **error)
{
  for (guint i = 0; i < list->len; i++)
    if (is_image (list->pdata[i])
        && !read_crop (dataset, list->pdata[i], wafer ? wafer : list->pdata[i], class_name, error))
      return FALSE;
  return TRUE;
}

/* A class: crops of nobody knows which wafer, and folders of those of one, whatever class they are of. */
static gboolean
read_class (NotchDataset *dataset, const char *path, const char *folder, guint *n_loose, GError **error)
{
  const guint first = dataset->example->len;
  g_autoptr (GPtrArray) list = notch_list_folder (folder);
  g_autofree char *class_name = g_path_get_basename (folder);
  if (!read_images (dataset, list, NULL, class_name, error))
    return FALSE;
  *n_loose += dataset->example->len - first;
  for (guint i = 0; i < list->len; i++) {
    g_autoptr (GPtrArray) inner = notch_list_folder (list->pdata[i]);
    g_autofree char *name = g_path_get_basename (list->pdata[i]), *wafer = g_build_filename (path, name, NULL);
    if (!read_images (dataset, inner, wafer, class_name, error))
      return FALSE;
  }
  return TRUE;
}

gboolean
notch_read_crops (NotchDataset *dataset, const char *path, GError **error)
{
  g_autoptr (GPtrArray) classes = notch_list_folder (path);
  guint n_loose = 0;
  for (guint c = 0; c < classes->len; c++)
    if (!read_class (dataset, path, classes->pdata[c], &n_loose, error))
      return FALSE;
  if (n_loose > 0)
    g_ptr_array_add (
        dataset->note,
        g_strdup_printf ("%s: %u crop%s a wafer each, so others of the same wafer may be on the other side of "
                         "a test; put them in CLASS/WAFER/",
                         path, n_loose, n_loose == 1 ? " counts as" : "s count as"));
  return TRUE;
}
