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

/* And w sums, at 0. */
static NotchReduced *
reduced_new (gint64 x, gint64 y, gint64 w, gint64 h, int factor, float **sum, GError **error)
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
  *sum = g_try_new0 (float, w);
  if (!reduced->value || (w > 0 && !*sum)) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                 "there is no memory for an overview of %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT " px", reduced->width,
                 reduced->height);
    return NULL;
  }
  return g_steal_pointer (&reduced);
}

/* Adds a row to the sums of its columns; in lanes, so that any compiler takes several at once. */
#define ADD_ROW(Type, value)                                                                                           \
  static void add_##Type (const Type *row, gint64 w, float *sum)                                                       \
  {                                                                                                                    \
    enum { LANES = 16 };                                                                                               \
    gint64 i = 0;                                                                                                      \
    for (; i + LANES <= w; i += LANES)                                                                                 \
      for (int k = 0; k < LANES; k++)                                                                                  \
        sum[i + k] += value (row[i + k]);                                                                              \
    for (; i < w; i++)                                                                                                 \
      sum[i] += value (row[i]);                                                                                        \
  }
#define WHOLE(sample) ((float) (sample))
#define REAL(sample)  (fabsf (sample) <= NOTCH_LARGEST_PIXEL ? (sample) : 0)
ADD_ROW (guint8, WHOLE)
ADD_ROW (guint16, WHOLE)
ADD_ROW (float, REAL)

static void
add_row (const void *row, NotchSample sample, gint64 x, gint64 w, float *sum)
{
  if (sample == NOTCH_SAMPLE_U8)
    add_guint8 ((const guint8 *) row + x, w, sum);
  else if (sample == NOTCH_SAMPLE_U16)
    add_guint16 ((const guint16 *) row + x, w, sum);
  else
    add_float ((const float *) row + x, w, sum);
}

/* Means of blocks from the sums of w columns, which are `rows` px high; leaves the sums at 0. */
static void
take_means (float *sum, gint64 w, int factor, gint64 rows, float *mean)
{
  for (gint64 i = 0; i < w; i += factor) {
    gint64 end = MIN (i + factor, w);
    double s = 0;
    for (gint64 k = i; k < end; k++)
      s += sum[k], sum[k] = 0;
    *mean++ = (float) (s / (double) (rows * (end - i)));
  }
}

NotchReduced *
notch_reduce (NotchStore *store, gint64 x, gint64 y, gint64 w, gint64 h, int factor, GError **error)
{
  g_autofree float *sum = NULL;
  g_autoptr (NotchReduced) reduced = reduced_new (x, y, w, h, factor, &sum, error);
  if (!reduced)
    return NULL;
  for (gint64 row = 0; row < reduced->height; row++) {
    gint64 n = MIN (factor, h - row * factor);
    NotchRows rows = { y + row * factor, n };
    g_autoptr (NotchStrip) strip = notch_store_strip (store, &rows, 1, error);
    if (!strip)
      return NULL;
    const NotchPixels *pixels = notch_strip_pixels (strip);
    for (gint64 k = 0; k < n; k++)
      add_row (pixels->row[rows.y + k - pixels->y], pixels->sample, x, w, sum);
    take_means (sum, w, factor, n, reduced->value + row * reduced->width);
  }
  return g_steal_pointer (&reduced);
}

NotchReduced *
notch_reduce_again (const NotchReduced *from, int factor, GError **error)
{
  g_autofree float *sum = NULL;
  g_autoptr (NotchReduced) reduced = reduced_new (from->x, from->y, from->width, from->height, factor, &sum, error);
  if (!reduced)
    return NULL;
  reduced->factor = from->factor * factor;
  for (gint64 row = 0; row < reduced->height; row++) {
    gint64 n = MIN (factor, from->height - row * factor);
    for (gint64 k = 0; k < n; k++)
      add_float (from->value + (row * factor + k) * from->width, from->width, sum);
    take_means (sum, from->width, factor, n, reduced->value + row * reduced->width);
  }
  return g_steal_pointer (&reduced);
}
