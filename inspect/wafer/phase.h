/* phase.h - a small picture of a die: where the die begins that discovery found only by its pitch, and whether it is it */
#pragma once

#include "inspect/image/reduce.h"
#include "inspect/wafer/grid.h"

/* A picture of a die, small enough to be looked for; w x h px from (x, y), which may reach out of the image. NULL: reading
 * failed. */
NotchReduced *notch_phase_picture (NotchStore *store, gint64 width, gint64 height, double x, double y, double w,
                                   double h, GError **error);
/* Looks for the picture around the whole die nearest to the middle of the grid, up to half a pitch away. *dx and *dy
 * (px) are by how much the grid is to be moved; 0 where it is right to a few px already (`slack`), or where no other place
 * looks clearly more like the picture. FALSE: reading failed. */
gboolean notch_phase_find (const NotchReduced *picture, NotchStore *store, gint64 width, gint64 height,
                           const NotchGrid *grid, double slack, double *dx, double *dy, GError **error);

/* The correlation of the picture with whole dice where they were registered, over that of these dice among each other,
 * which noise lowers too: medians of a few. Near 1 or above for one product, whatever its brightness; 1 where no die was
 * registered. */
#define NOTCH_ALIKE 0.85 /* less is another product */
gboolean notch_phase_likeness (const NotchReduced *picture, NotchStore *store, gint64 width, gint64 height,
                               const NotchGrid *grid, double *likeness, GError **error);
