/* polygons.h - areas with straight sides, and which pixels of a row lie in them
 *
 * A place is inside when a line from it to the left crosses an odd number of sides (even-odd rule), so a polygon in another
 * one is a hole. */
#pragma once

#include "inspect/wafer/coords.h"

typedef struct NotchPolygons NotchPolygons;

/* Reads polygon,x_um,y_um: a row a corner, the rows of a polygon one after the other. Errors name the file. */
NotchPolygons *notch_polygons_load (const char *path, GError **error);
NotchPolygons *notch_polygons_rectangle (double x_um, double y_um, double width_um, double height_um);
void notch_polygons_free (NotchPolygons *polygons);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchPolygons, notch_polygons_free)

/* The box around all corners. */
void notch_polygons_extent (const NotchPolygons *polygons, double *x0_um, double *y0_um, double *x1_um, double *y1_um);
/* Says where they lie in px; needed before rows are asked for. */
void notch_polygons_place (NotchPolygons *polygons, const NotchAffine *to_px);
/* For the n places (x, y), (x + 1, y), …: 1 inside, else 0. */
void notch_polygons_row (const NotchPolygons *polygons, double x, double y, int n, guint8 *inside);
