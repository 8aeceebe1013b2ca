/* raster.h - polygons as grey levels, by the area of each pixel that they cover */
#pragma once

#include <glib.h>

typedef struct {
  double x, y;
} NotchPoint;

/* Polygons that are one: where they overlap they cover once. */
typedef struct {
  int layer, datatype;
  double grey, area;     /* area: summed, without regard to overlaps */
  double x0, y0, x1, y1; /* of all points; x1 < x0: none */
  GArray *edge;
} NotchShape;

NotchShape *notch_shape_new (int layer, int datatype);
void notch_shape_free (NotchShape *shape);
/* Adds a polygon of n points, not closed, either way round. */
void notch_shape_add (NotchShape *shape, const NotchPoint *point, guint n);
/* Draws over w x h grey levels; a point's place is (scale x + dx, dy - scale y) px, pixel 0 reaching from 0 to 1. Exact
 * along x, by SUBROWS lines a pixel along y. */
void notch_shape_draw (const NotchShape *shape, double scale, double dx, double dy, gint64 w, gint64 h, float *to);
