/* mask.c - see mask.h */
#include "inspect/wafer/mask.h"

#include <math.h>
#include <string.h>

#include "inspect/image/source.h"

struct NotchMask {
  gint64 width, height; /* px */
  gsize *first;         /* height + 1: of a row in `change`; rows that are alike share */
  gsize *n;             /* height: how many */
  GArray *change;       /* guint32 columns: out to in, in to out, … */
  NotchAffine from_px;
};

void
notch_mask_free (NotchMask *mask)
{
  if (!mask)
    return;
  g_free (mask->first);
  g_free (mask->n);
  g_array_unref (mask->change);
  g_free (mask);
}

gint64
notch_mask_width (const NotchMask *mask)
{
  return mask->width;
}

gint64
notch_mask_height (const NotchMask *mask)
{
  return mask->height;
}

static gboolean
is_marked (NotchSample sample, const void *row, gint64 x)
{
  switch (sample) {
  case NOTCH_SAMPLE_U8:
    return ((const guint8 *) row)[x] > 0;
  case NOTCH_SAMPLE_U16:
    return ((const guint16 *) row)[x] > 0;
  case NOTCH_SAMPLE_F32:
    return ((const float *) row)[x] > 0;
  }
  return FALSE;
}

/* Appends where a row changes, unless it is like the one above. */
static void
add_row (NotchMask *mask, gint64 y, NotchSample sample, const void *row)
{
  gsize first = mask->change->len;
  gboolean before = FALSE;
  for (gint64 x = 0; x < mask->width; x++) {
    gboolean marked = is_marked (sample, row, x);
    guint32 at = (guint32) x;
    if (marked != before)
      g_array_append_val (mask->change, at);
    before = marked;
  }
  gsize n = mask->change->len - first;
  const guint32 *change = (const guint32 *) (gconstpointer) mask->change->data;
  mask->first[y] = first, mask->n[y] = n;
  if (y > 0 && mask->n[y - 1] == n
      && (n == 0 || memcmp (change + first, change + mask->first[y - 1], n * sizeof *change) == 0)) {
    mask->first[y] = mask->first[y - 1];
    g_array_set_size (mask->change, (guint) first);
  }
}

static gboolean
read_rows (NotchMask *mask, NotchSource *source, guint64 budget, GError **error)
{
  gint64 at_once = CLAMP (source->block_rows, 1, mask->height);
  gsize row = (gsize) mask->width * notch_sample_size (source->sample);
  g_autofree char *pixels = g_try_malloc_n ((gsize) at_once, row);
  guint64 most = MIN (budget / sizeof (guint32), G_MAXUINT / 2);
  if (!pixels) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                 "%s: no memory for %" G_GINT64_FORMAT " rows of it; make it smaller", source->path, at_once);
    return FALSE;
  }
  for (gint64 y = 0; y < mask->height; y += at_once) {
    gint64 n = MIN (at_once, mask->height - y);
    if (!notch_source_read (source, y, n, pixels, 1, error))
      return FALSE;
    for (gint64 i = 0; i < n; i++) {
      add_row (mask, y + i, source->sample, pixels + (gsize) i * row);
      if (mask->change->len > most) {
        g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                     "%s: it is so ragged that it does not fit into the memory; a mask has areas, not noise; or raise "
                     "[detect] memory_mib",
                     source->path);
        return FALSE;
      }
    }
  }
  if (mask->change->len > 0)
    return TRUE;
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: no pixel is above 0, so nothing is inside; check the mask",
               source->path);
  return FALSE;
}

NotchMask *
notch_mask_load (const char *path, guint64 budget, GError **error)
{
  const NotchSourceOptions options = { 0, NOTCH_CHANNEL_LUMINANCE, budget };
  g_autoptr (NotchSource) source = notch_source_open (path, &options, error);
  if (!source)
    return NULL;
  g_autoptr (NotchMask) mask = g_new0 (NotchMask, 1);
  mask->width = source->width, mask->height = source->height;
  mask->change = g_array_new (FALSE, FALSE, sizeof (guint32));
  mask->first = g_try_new (gsize, mask->height);
  mask->n = g_try_new (gsize, mask->height);
  if (!mask->first || !mask->n || mask->width > G_MAXUINT32) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: it is too large for a mask; make it smaller", path);
    return NULL;
  }
  return read_rows (mask, source, budget, error) ? g_steal_pointer (&mask) : NULL;
}

void
notch_mask_place (NotchMask *mask, const NotchAffine *to_px, double x_um, double y_um, double width_um,
                  double height_um)
{
  /* From columns and rows of the mask, its first pixel's corner being 0, to µm to px, and that turned round. */
  double sx = width_um / (double) mask->width, sy = -height_um / (double) mask->height;
  NotchAffine there = { to_px->xx * sx, to_px->xy * sy, 0, to_px->yx * sx, to_px->yy * sy, 0 };
  notch_affine_at (to_px, x_um, y_um + height_um, &there.x, &there.y);
  mask->from_px = notch_affine_inverse (&there);
}

void
notch_mask_row (const NotchMask *mask, double x, double y, int n, guint8 *inside)
{
  const NotchAffine *from = &mask->from_px;
  const guint32 *all = (const guint32 *) (gconstpointer) mask->change->data;
  gint64 low = 0, high = 0, row = -1; /* columns low to high - 1 of the row are alike */
  guint8 alike = 0;
  for (int i = 0; i < n; i++) {
    double u, v;
    notch_affine_at (from, x + i, y, &u, &v);
    inside[i] = 0;
    if (!(u >= 0 && v >= 0 && u < (double) mask->width && v < (double) mask->height))
      continue;
    gint64 col = (gint64) u;
    if ((gint64) v != row || col < low || col >= high) {
      row = (gint64) v;
      const guint32 *change = all + mask->first[row];
      gsize from_k = 0, to_k = mask->n[row]; /* how many changes lie at or before the column */
      while (from_k < to_k) {
        gsize middle = (from_k + to_k) / 2;
        if (change[middle] <= col)
          from_k = middle + 1;
        else
          to_k = middle;
      }
      low = from_k > 0 ? change[from_k - 1] : 0;
      high = from_k < mask->n[row] ? change[from_k] : mask->width;
      alike = from_k % 2;
    }
    inside[i] = alike;
  }
}
