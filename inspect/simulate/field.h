/* field.h - smooth noise in the plane, the same wherever its drawing begins */
#pragma once

#include <glib.h>

/* Adds noise of zero mean, sigma `amplitude` and smooth on the scale of cell_x by cell_y px (both at least 1) to w x h
 * pixels from image position (x0, y0); rows of `to` are `stride` apart. Nothing is correlated over more than two cells.
 * Noise on a lattice, interpolated (Perlin 1985), with weights whose squares sum to one, so that sigma is the same on
 * and between the nodes. */
void notch_field_add (guint64 key, double cell_x, double cell_y, double amplitude, gint64 x0, gint64 y0, int w, int h,
                      gsize stride, float *to);
