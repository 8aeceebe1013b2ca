/* gds.h - layouts in GDSII stream files: read, flattened, drawn as grey levels */
#pragma once

#include "inspect/notch.h"

/* A layer's polygons are `grey` where they cover a pixel. */
typedef struct {
  int layer, datatype;
  double grey;
} NotchGdsLayer;

#define NOTCH_GDS_STREET_PX 8 /* left free around the cell */

/* Draws the first cell that no other refers to at `nm_per_px`, y up as in the file, with anti-aliasing by area. `list`
 * says what to draw, lowest layer first, "68/20=120,69/20=180"; NULL: all layers, the one that covers most below, from
 * dark to bright. Gives width x height grey levels of an 8-bit image, or NULL: the error tells the file and the offset
 * of the record that is wrong. */
float *notch_gds_draw (const char *path, double nm_per_px, const char *list, gint64 *width, gint64 *height,
                       GError **error);
/* Whether a file begins as a GDSII file does. */
gboolean notch_gds_detect (const char *path);
