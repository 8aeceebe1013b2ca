/* scales.h - what of a residual is seen when it is smoothed more and more, near a defect and in all of its patch */
#pragma once

#include <glib.h>

enum { NOTCH_N_SCALES = 4 }; /* sigmas of about 1, 2, 4 and 8 px */

/* NAN: cannot be told. A ring or a scratch of which the detector saw a piece, and a haze, go on elsewhere. */
typedef struct {
  double
      far[NOTCH_N_SCALES]; /* largest response of a Gaussian anywhere, over the largest of all four near the defect */
  double wide_px;          /* px: radius of a disc as large as what is above half of the peak at 4 px */
  double wide_off;         /* px: from the middle of that to the defect's */
} NotchScales;

NotchScales notch_scales_none (void); /* all NAN */

/* `residual` is side x side px, 0 where it is not known; `sign` is 1 for a defect that is brighter, -1 for one that is darker,
 * around (x, y) and about as large as a disc of `radius` px. */
NotchScales notch_scales_measure (const float *residual, int side, int sign, double x, double y, double radius);
