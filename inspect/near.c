/* near.c - see near.h */
#include "inspect/near.h"

#include <math.h>

/* Squares in rows, numbered; those of a row lie in line, and so do the points in them. */
struct NotchNear {
  double side, x0, y0;
  gint64 n_cols, n_rows;
  guint *start;      /* of each square and of the end: in the two below */
  NotchPoint *point; /* square by square, and there in order */
  guint *index;      /* of each in the caller's array */
};

static gint64
col_of (const NotchNear *near, double x)
{
  return (gint64) CLAMP (floor ((x - near->x0) / near->side), -2, (double) near->n_cols + 1);
}

static gint64
row_of (const NotchNear *near, double y)
{
  return (gint64) CLAMP (floor ((y - near->y0) / near->side), -2, (double) near->n_rows + 1);
}

NotchNear *
notch_near_new (const NotchPoint *point, guint n, double reach)
{
  NotchNear *near = g_new0 (NotchNear, 1);
  double x1 = 0, y1 = 0;
  for (guint i = 0; i < n; i++) {
    near->x0 = i ? MIN (near->x0, point[i].x) : point[i].x, x1 = i ? MAX (x1, point[i].x) : point[i].x;
    near->y0 = i ? MIN (near->y0, point[i].y) : point[i].y, y1 = i ? MAX (y1, point[i].y) : point[i].y;
  }
  /* However the points lie, squares are about as many, or three times as many. */
  double wide = x1 - near->x0, high = y1 - near->y0;
  near->side = MAX (MAX (reach, MAX (sqrt (wide * high / (n + 1.0)), MAX (wide, high) / (n + 1.0))), 1e-9);
  near->n_cols = (gint64) floor (wide / near->side) + 1;
  near->n_rows = (gint64) floor (high / near->side) + 1;
  gsize n_squares = (gsize) (near->n_cols * near->n_rows);
  near->start = g_new0 (guint, n_squares + 1);
  near->point = g_new (NotchPoint, n);
  near->index = g_new (guint, n);
  for (guint i = 0; i < n; i++)
    near->start[row_of (near, point[i].y) * near->n_cols + col_of (near, point[i].x)]++;
  for (gsize k = 1; k <= n_squares; k++)
    near->start[k] += near->start[k - 1];
  for (guint i = n; i-- > 0;) { /* from the end of each square down to its start */
    guint at = --near->start[row_of (near, point[i].y) * near->n_cols + col_of (near, point[i].x)];
    near->point[at] = point[i];
    near->index[at] = i;
  }
  return near;
}

void
notch_near_free (NotchNear *near)
{
  if (!near)
    return;
  g_free (near->start);
  g_free (near->point);
  g_free (near->index);
  g_free (near);
}

void
notch_near_find (const NotchNear *near, double x, double y, double r, GArray *found)
{
  g_array_set_size (found, 0);
  gint64 col = col_of (near, x), row = row_of (near, y);
  gint64 from = MAX (col - 1, 0), to = MIN (col + 1, near->n_cols - 1);
  for (gint64 k = MAX (row - 1, 0); k <= MIN (row + 1, near->n_rows - 1) && from <= to; k++)
    for (guint i = near->start[k * near->n_cols + from]; i < near->start[k * near->n_cols + to + 1]; i++) {
      const NotchPoint *p = &near->point[i];
      if ((p->x - x) * (p->x - x) + (p->y - y) * (p->y - y) <= r * r)
        g_array_append_val (found, near->index[i]);
    }
}
