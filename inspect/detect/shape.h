/* shape.h - which plain shape a residual has, and how that lies in the pattern */
#pragma once

#include <glib.h>

/* Lengths are px. A gain is how much more of the residual's sum of squares one shape explains than another, a loss how much
 * less, in units of the noise's variance: twice the logarithm of their likelihoods' ratio where noise is white and normal.
 * NAN: cannot be told.
 *
 * A spot is a Gaussian with axes along rows and columns; a box has sides along them, as sharp as edges of the reference that
 * are alone; a disc has a rim of any sharpness. A side of the box is on the pattern's edge where the pattern goes over,
 * outwards, to the tone that the defect makes: there they join. So a bridge or an open has its sides on two opposite edges, a
 * spur or a mouse bite has one there, a missing part all four, and what fell there by chance none. */
typedef struct {
  double spot_px;             /* sigma of the spot, geometric mean of its axes */
  double spot_ratio;          /* of its axes, 1 or more */
  double spot_snr;            /* sigmas: root of what the spot explains */
  double box_long, box_short; /* px: sides of the box */
  double box_gain;            /* of the box over the spot */
  double both_loss;           /* of a box with opposite sides on edges, against one that lies anywhere */
  double one_loss;            /* of one with a side on an edge */
  double four_loss;           /* of one with all sides on edges */
  double gap_px;              /* between the edges on both sides of the box */
  double gap_fill;            /* share of it that a box takes which begins at one of them */
  double gap_off;             /* from its middle to the box's, over the gap */
  double edges;               /* step of the weaker of these edges, over the reference's range around the defect */
  double disc_px;             /* radius of the disc */
  double disc_soft;           /* sigma of its rim over the radius, up to 0.8 */
  double disc_gain;           /* of the disc over the spot */
  double wavy;                /* rms of two to five waves around the disc's outline, over the radius */
  double wavy_gain;           /* of a disc with such an outline over a round one */
  /* What that disc leaves, smoothed: its mean square over that of as smooth noise, within the disc and around its rim. */
  double lumps_fine, lumps_coarse, rim_fine, rim_coarse;
  /* How the residual goes with the pattern's grey level within it: 1 where it scales the pattern, 0 where it is added, less
   * where it is brighter and hides the pattern; and how many sigmas that is from 0. */
  double film, film_snr;
} NotchShape;

/* All NAN. */
NotchShape notch_shape_none (void);

/* `residual` and `reference` are side x side px, side at least 12: test - reference, 0 where it is not known, with noise of
 * `sigma` grey levels; `sign` is 1 for a defect that is brighter, -1 for one that is darker; it lies around (x, y) and is
 * about as large as a disc of `radius` px. */
NotchShape notch_shape_measure (const float *residual, const float *reference, int side, int sign, double x, double y,
                                double radius, double sigma);
