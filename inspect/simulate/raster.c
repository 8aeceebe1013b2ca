/* raster.c - a sweep over lines: where a line is inside by the winding number it covers */
#include "inspect/simulate/raster.h"

#include <math.h>

#define SUBROWS 16

typedef struct {
  NotchPoint low, high; /* low.y < high.y */
  int way;
} Edge;

typedef struct {
  double x;
  int way;
} Crossing;

NotchShape *
notch_shape_new (int layer, int datatype)
{
  NotchShape *shape = g_new0 (NotchShape, 1);
  shape->layer = layer;
  shape->datatype = datatype;
  shape->x0 = shape->y0 = G_MAXDOUBLE;
  shape->x1 = shape->y1 = -G_MAXDOUBLE;
  shape->edge = g_array_new (FALSE, FALSE, sizeof (Edge));
  return shape;
}

void
notch_shape_free (NotchShape *shape)
{
  if (!shape)
    return;
  g_array_unref (shape->edge);
  g_free (shape);
}

void
notch_shape_add (NotchShape *shape, const NotchPoint *point, guint n)
{
  double area = 0;
  for (guint i = 0; i < n; i++) {
    const NotchPoint *p = &point[i], *q = &point[(i + 1) % n];
    area += p->x * q->y - q->x * p->y;
    shape->x0 = MIN (shape->x0, p->x), shape->x1 = MAX (shape->x1, p->x);
    shape->y0 = MIN (shape->y0, p->y), shape->y1 = MAX (shape->y1, p->y);
  }
  shape->area += fabs (area) / 2;
  int turn = area < 0 ? -1 : 1; /* all go the same way round, lest two that overlap cancel */
  for (guint i = 0; i < n; i++) {
    const NotchPoint *p = &point[i], *q = &point[(i + 1) % n];
    if (p->y == q->y)
      continue;
    Edge edge = p->y < q->y ? (Edge){ *p, *q, turn } : (Edge){ *q, *p, -turn };
    g_array_append_val (shape->edge, edge);
  }
}

/* From the top of the picture, where y is largest. */
static int
from_top (gconstpointer a, gconstpointer b)
{
  const Edge *p = a, *q = b;
  return p->high.y > q->high.y ? -1 : p->high.y < q->high.y;
}

static int
from_left (gconstpointer a, gconstpointer b)
{
  const Crossing *p = a, *q = b;
  return p->x < q->x ? -1 : p->x > q->x;
}

static void
cover (double x0, double x1, gint64 w, float *row)
{
  x0 = MAX (x0, 0), x1 = MIN (x1, (double) w);
  if (x1 <= x0)
    return;
  gint64 first = (gint64) floor (x0), last = MIN ((gint64) floor (x1), w - 1);
  const float line = 1.0f / SUBROWS;
  if (first == last) {
    row[first] += line * (float) (x1 - x0);
    return;
  }
  row[first] += line * (float) ((double) (first + 1) - x0);
  for (gint64 i = first + 1; i < last; i++)
    row[i] += line;
  row[last] += line * (float) (x1 - (double) last);
}

void
notch_shape_draw (const NotchShape *shape, double scale, double dx, double dy, gint64 w, gint64 h, float *to)
{
  g_autoptr (GArray) edges = g_array_copy (shape->edge), active = g_array_new (FALSE, FALSE, sizeof (guint));
  g_autoptr (GArray) crossings = g_array_new (FALSE, FALSE, sizeof (Crossing));
  g_autofree float *row = g_new (float, w);
  g_array_sort (edges, from_top);
  guint next = 0;
  for (gint64 j = 0; j < h && (next < edges->len || active->len > 0); j++) {
    for (gint64 i = 0; i < w; i++)
      row[i] = 0;
    for (int k = 0; k < SUBROWS; k++) {
      double y = (dy - ((double) j + (k + 0.5) / SUBROWS)) / scale; /* in units of the points */
      for (; next < edges->len && g_array_index (edges, Edge, next).high.y > y; next++)
        g_array_append_val (active, next);
      g_array_set_size (crossings, 0);
      for (guint i = active->len; i-- > 0;) {
        const Edge *e = &g_array_index (edges, Edge, g_array_index (active, guint, i));
        if (e->low.y > y) {
          g_array_remove_index_fast (active, i);
          continue;
        }
        double x = e->low.x + (e->high.x - e->low.x) * (y - e->low.y) / (e->high.y - e->low.y);
        const Crossing crossing = { scale * x + dx, e->way };
        g_array_append_val (crossings, crossing);
      }
      g_array_sort (crossings, from_left);
      int winding = 0;
      for (guint i = 0; i + 1 < crossings->len; i++) {
        const Crossing *c = &g_array_index (crossings, Crossing, i);
        winding += c->way;
        if (winding != 0)
          cover (c[0].x, c[1].x, w, row);
      }
    }
    float *out = to + (gsize) j * (gsize) w;
    for (gint64 i = 0; i < w; i++)
      out[i] += MIN (row[i], 1) * ((float) shape->grey - out[i]);
  }
}
