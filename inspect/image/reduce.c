/* reduce.c - means over squares of pixels */
#include "inspect/image/reduce.h"

#include <math.h>

void
notch_reduced_free (NotchReduced *reduced)
{
  if (!reduced)
    return;
  g_free (reduced->value);
  g_free (reduced);
}

int
notch_reduce_factor (gint64 width, gint64 height, gint64 most)
{
  gint64 side = MAX (width, height);
  return (int) (side / most + (side % most != 0));
}

static NotchReduced *
reduced_new (gint64 x, gint64 y, gint64 w, gint64 h, int factor, GError **error)
{
  g_autoptr (NotchReduced) reduced = g_new0 (NotchReduced, 1);
  reduced->factor = factor;
  reduced->x = x;
  reduced->y = y;
  reduced->width = w / factor + (w % factor != 0);
  reduced->height = h / factor + (h % factor != 0);
  gsize n = 0;
  if (g_size_checked_mul (&n, (gsize) reduced->width, (gsize) reduced->height))
    reduced->value = g_try_new0 (float, n);
  if (!reduced->value) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                 "there is no memory for an overview of %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT " px", reduced->width,
                 reduced->height);
    return NULL;
  }
  return g_steal_pointer (&reduced);
}

/* Adds a row's w samples from x on to the sums of its blocks. Whole numbers need not wait for each other's rounding. */
#define ADD_ROW(Type)                                                                                                  \
  static void add_row_##Type (const Type *row, gint64 w, int factor, float *sum)                                       \
  {                                                                                                                    \
    for (gint64 i = 0; i < w; sum++) {                                                                                 \
      guint64 s = 0;                                                                                                   \
      for (gint64 end = MIN (i + factor, w); i < end; i++)                                                             \
        s += row[i];                                                                                                   \
      *sum += (float) s;                                                                                               \
    }                                                                                                                  \
  }
ADD_ROW (guint8)
ADD_ROW (guint16)

static void
add_row_float (const float *row, gint64 w, int factor, float *sum)
{
  for (gint64 i = 0; i < w; sum++) {
    float s = 0;
    for (gint64 end = MIN (i + factor, w); i < end; i++)
      s += fabsf (row[i]) <= NOTCH_LARGEST_PIXEL ? row[i] : 0;
    *sum += s;
  }
}

static void
add_row (const void *row, NotchSample sample, gint64 x, gint64 w, int factor, float *sum)
{
  if (sample == NOTCH_SAMPLE_U8)
    add_row_guint8 ((const guint8 *) row + x, w, factor, sum);
  else if (sample == NOTCH_SAMPLE_U16)
    add_row_guint16 ((const guint16 *) row + x, w, factor, sum);
  else
    add_row_float ((const float *) row + x, w, factor, sum);
}

/* From the sums over a row of blocks, `rows` px high, to means. */
static void
divide (float *sum, gint64 w, int factor, gint64 rows)
{
  for (gint64 i = 0; i * factor < w; i++)
    sum[i] /= (float) (rows * MIN (factor, w - i * factor));
}

NotchReduced *
notch_reduce (NotchStore *store, gint64 x, gint64 y, gint64 w, gint64 h, int factor, GError **error)
{
  g_autoptr (NotchReduced) reduced = reduced_new (x, y, w, h, factor, error);
  if (!reduced)
    return NULL;
  for (gint64 row = 0; row < reduced->height; row++) {
    gint64 n = MIN (factor, h - row * factor);
    NotchRows rows = { y + row * factor, n };
    g_autoptr (NotchStrip) strip = notch_store_strip (store, &rows, 1, error);
    if (!strip)
      return NULL;
    const NotchPixels *pixels = notch_strip_pixels (strip);
    float *sum = reduced->value + row * reduced->width;
    for (gint64 k = 0; k < n; k++)
      add_row (pixels->row[rows.y + k - pixels->y], pixels->sample, x, w, factor, sum);
    divide (sum, w, factor, n);
  }
  return g_steal_pointer (&reduced);
}

NotchReduced *
notch_reduce_again (const NotchReduced *from, int factor, GError **error)
{
  g_autoptr (NotchReduced) reduced = reduced_new (from->x, from->y, from->width, from->height, factor, error);
  if (!reduced)
    return NULL;
  reduced->factor = from->factor * factor;
  for (gint64 row = 0; row < reduced->height; row++) {
    gint64 n = MIN (factor, from->height - row * factor);
    float *sum = reduced->value + row * reduced->width;
    for (gint64 k = 0; k < n; k++)
      add_row_float (from->value + (row * factor + k) * from->width, from->width, factor, sum);
    divide (sum, from->width, factor, n);
  }
  return g_steal_pointer (&reduced);
}
