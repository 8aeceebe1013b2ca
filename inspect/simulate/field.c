/* field.c */
#include "inspect/simulate/field.h"

#include "inspect/random.h"

/* Nearly normal, sigma 1: the sum of four uniform numbers. */
static float
node (guint64 key, gint64 i, gint64 j)
{
  guint64 z = notch_random_mix (key + (guint64) i * G_GUINT64_CONSTANT (0xd1342543de82ef95));
  z = notch_random_mix (z + (guint64) j * G_GUINT64_CONSTANT (0xaf251af3b0f025b5));
  double sum = (double) ((z & 0xffff) + (z >> 16 & 0xffff) + (z >> 32 & 0xffff) + (z >> 48));
  return (float) ((sum / 65535 - 2) * 1.7320508075688772);
}

/* Which node is left of a position, and the weights of this and the next. */
static gint64
weigh (double at, float weight[2])
{
  double left = floor (at), t = at - left, s = t * t * (3 - 2 * t), norm = 1 / sqrt (s * s + (1 - s) * (1 - s));
  weight[0] = (float) ((1 - s) * norm);
  weight[1] = (float) (s * norm);
  return (gint64) left;
}

void
notch_field_add (guint64 key, double cell_x, double cell_y, double amplitude, gint64 x0, gint64 y0, int w, int h,
                 gsize stride, float *to)
{
  if (w < 1 || h < 1 || amplitude == 0)
    return;
  gint64 first = (gint64) floor ((double) x0 / cell_x), last = (gint64) floor ((double) (x0 + w - 1) / cell_x) + 1;
  gsize n = (gsize) (last - first + 1);
  g_autofree float *line = g_new (float, 2 * n), *weight = g_new (float, 2 * (gsize) w);
  g_autofree gint64 *left = g_new (gint64, w);
  gint64 known = G_MININT64; /* the row of nodes in the first half of `line` */
  for (int i = 0; i < w; i++)
    left[i] = weigh ((double) (x0 + i) / cell_x, weight + 2 * i) - first;
  for (int j = 0; j < h; j++) {
    float across[2];
    gint64 top = weigh ((double) (y0 + j) / cell_y, across);
    if (top != known)
      for (gsize k = 0; k < 2 * n; k++)
        line[k] = (float) amplitude * node (key, first + (gint64) (k % n), top + (gint64) (k / n));
    known = top;
    float *row = to + (gsize) j * stride;
    for (int i = 0; i < w; i++) {
      const float *a = line + left[i], *b = a + n, *p = weight + 2 * i;
      row[i] += across[0] * (p[0] * a[0] + p[1] * a[1]) + across[1] * (p[0] * b[0] + p[1] * b[1]);
    }
  }
}
