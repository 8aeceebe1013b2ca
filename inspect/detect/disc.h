/* disc.h - the disc that a residual is most like, and what it leaves (shape.h) */
#pragma once

#include "inspect/detect/shape.h"

enum { NOTCH_DISC_MOST = 64 }; /* px: side of what it is fitted to */

/* The share of a normal distribution below t sigmas: an edge, blurred; to 1e-6. */
double notch_blurred_edge (double t);

/* Fills what the shape says of discs. `residual` is n x n px, n at most NOTCH_DISC_MOST, positive where the defect is, with
 * noise of `variance`, and `level` what the reference has there, of either sign; a spot at (x, y), about as large as a disc
 * of `radius` px, explains so much of its sum of squares. */
void notch_disc_measure (const double *residual, const double *level, int n, double x, double y, double radius,
                         double explained, double variance, NotchShape *shape);
