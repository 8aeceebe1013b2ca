/* look.h - what a defect looks like in its patch: outline, profile, texture, and what it does to the pattern */
#pragma once

#include <glib.h>

#include "inspect/detect/scales.h"
#include "inspect/detect/shape.h"

/* All without unit unless they say otherwise, so that they mean the same whatever the camera; NAN: cannot be told.
 *
 * The core is what of the residual, smoothed as the filter that found the defect does, is above half of its peak, of the
 * peak's sign and connected to it. The reference is parted into bright and dark (Otsu 1979) where its two tones differ by
 * more than four sigmas of the residual; `changed` is what of the core is of the tone that the defect takes away: dark
 * where it is brighter than the reference, bright where it is darker. Components are counted near the core only, for two
 * conductors that a bridge joins may be one elsewhere. */
typedef struct {
  double polarity;  /* 1: brighter than the reference, -1: darker */
  double core_px;   /* px: radius of a disc of the core's area */
  double roundness; /* 4 pi area / perimeter^2: 1 for a disc */
  double stretch;   /* axis ratio of the core, from second moments */
  double holes;     /* in the core */
  double hollow;    /* mean residual in the inner half of the core's radius over that in the outer half */
  double skirt;     /* mean residual from 1 to 1.5 radii over that within 1 */
  double roughness; /* rms of what smoothing takes away in the core, over that of the patch */
  double clarity;   /* peak of the smoothed residual over its own sigma in the patch */
  double step;      /* mean residual of the core over the difference of the two tones */
  double tone;      /* of the reference under the core: 0 dark, 1 bright */
  double bright;    /* share of the patch */
  double changed;   /* share of the core */
  double touched;   /* components of the other tone that touch what is changed: a bridge has 2, a spur 1, an island 0 */
  double left;  /* pieces that are left around it of what it changed: an open has 2, a mouse bite 1, a missing part 0 */
  double taken; /* share of the components that it changes: a missing part's is near 1 */
  double rim;   /* share of the outline of what is changed that lies on the pattern's edge */
  double edge_fit;  /* correlation of the residual, times polarity, with the reference's gradient */
  double tone_fit;  /* the same with the reference */
  NotchShape shape; /* of the residual */
  NotchScales scales;
} NotchLook;

NotchLook notch_look_none (void); /* all NAN */

/* Where the defect is in the patch, and how it was found. */
typedef struct {
  int x0, y0, x1, y1; /* px, inclusive: its box, as far as it is in the patch */
  double scale;       /* px: sigma of the filter that responds most */
  int wander;         /* px: what the reference has this near is no difference */
} NotchLookPlace;

/* `patch` is 2 x side x side, test and reference; what is no number is left out. */
NotchLook notch_look_measure (const float *patch, int side, const NotchLookPlace *place);
