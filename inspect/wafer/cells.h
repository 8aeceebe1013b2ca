/* cells.h - the cell that a pattern repeats, from a square of it */
#pragma once

#include "inspect/notch.h"

/* The sides of a repeated cell, px: what is at (x, y) is also at (x + i ax + j bx, y + i ay + j by). Both point
 * more to the right or downwards than elsewhere; a is the shortest side, b the shortest that is not along a. */
typedef struct {
  double ax, ay, bx, by;
} NotchCell;

/* Looks for a cell of at most a quarter of the square's side in side x side values (a power of two, at least 64), by the
 * peaks of their autocorrelation. `found` is good to some hundredths of a pixel. *strength (0 to 1) is the part of the
 * variance that repeats; 0 when nothing does, or only in one direction. FALSE only when there is no memory. */
gboolean notch_cell_find (const float *value, int side, NotchCell *found, double *strength);

/* Puts the sides in order: reduced (Gauss, Lagrange), and pointing where NotchCell says. */
void notch_cell_reduce (NotchCell *cell);

/* Whether the sides of `other` are whole multiples of those of `cell`, within `tolerance` px. */
gboolean notch_cell_holds (const NotchCell *cell, const NotchCell *other, double tolerance);

/* px^2 */
static inline double
notch_cell_area (const NotchCell *cell)
{
  double area = cell->ax * cell->by - cell->ay * cell->bx;
  return area < 0 ? -area : area;
}

/* The reciprocal lattice: (x, y) of the frequencies f with f a = 1, f b = 0, and the other way round, cycles a px; and
 * the cell of such frequencies: the relation is its own inverse. */
static inline NotchCell
notch_cell_reciprocal (const NotchCell *cell)
{
  double det = cell->ax * cell->by - cell->ay * cell->bx;
  return (NotchCell){ cell->by / det, -cell->bx / det, -cell->ay / det, cell->ax / det };
}
