/* near.c - see near.h */
#include "inspect/sign/near.h"

#include <math.h>
#include <stdlib.h>

typedef struct {
  gint64 key; /* of the square, row by row */
  guint index;
} Entry;

struct NotchNear {
  const NotchPoint *point;
  guint n;
  double side, x0, y0;
  gint64 n_cols;
  Entry *entry;
};

static int
compare_entries (const void *a, const void *b)
{
  const Entry *p = a, *q = b;
  if (p->key != q->key)
    return p->key < q->key ? -1 : 1;
  return (p->index > q->index) - (p->index < q->index);
}

static gint64
col_of (const NotchNear *near, double x)
{
  return (gint64) floor ((x - near->x0) / near->side);
}

static gint64
row_of (const NotchNear *near, double y)
{
  return (gint64) floor ((y - near->y0) / near->side);
}

NotchNear *
notch_near_new (const NotchPoint *point, guint n, double reach)
{
  NotchNear *near = g_new0 (NotchNear, 1);
  double x1 = 0, y1 = 0;
  near->point = point;
  near->n = n;
  for (guint i = 0; i < n; i++) {
    near->x0 = i ? MIN (near->x0, point[i].x) : point[i].x, x1 = i ? MAX (x1, point[i].x) : point[i].x;
    near->y0 = i ? MIN (near->y0, point[i].y) : point[i].y, y1 = i ? MAX (y1, point[i].y) : point[i].y;
  }
  /* A million squares a side are fine enough, and their numbers fit. */
  near->side = MAX (MAX (reach, MAX (x1 - near->x0, y1 - near->y0) / 1e6), 1e-9);
  near->n_cols = col_of (near, x1) + 1;
  near->entry = g_new (Entry, n);
  for (guint i = 0; i < n; i++)
    near->entry[i] = (Entry){ row_of (near, point[i].y) * near->n_cols + col_of (near, point[i].x), i };
  if (n > 0) /* without entries there is no array */
    qsort (near->entry, n, sizeof *near->entry, compare_entries);
  return near;
}

void
notch_near_free (NotchNear *near)
{
  if (!near)
    return;
  g_free (near->entry);
  g_free (near);
}

/* The first entry whose key is not below. */
static guint
first_from (const NotchNear *near, gint64 key)
{
  guint low = 0, high = near->n;
  while (low < high) {
    guint middle = low + (high - low) / 2;
    if (near->entry[middle].key < key)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

void
notch_near_find (const NotchNear *near, double x, double y, double r, GArray *found)
{
  g_array_set_size (found, 0);
  gint64 col = CLAMP (col_of (near, x), -2, near->n_cols + 1), row = row_of (near, y);
  gint64 from = MAX (col - 1, 0), to = MIN (col + 1, near->n_cols - 1);
  for (gint64 k = MAX (row - 1, 0); k <= row + 1 && from <= to; k++)
    for (guint i = first_from (near, k * near->n_cols + from);
         i < near->n && near->entry[i].key <= k * near->n_cols + to; i++) {
      const NotchPoint *p = &near->point[near->entry[i].index];
      if ((p->x - x) * (p->x - x) + (p->y - y) * (p->y - y) <= r * r)
        g_array_append_val (found, near->entry[i].index);
    }
}
