/* outline.h - the wafer's edge and its notch or flat, from a reduced image */
#pragma once

#include "inspect/image/reduce.h"
#include "inspect/wafer/grid.h"

/* Looks for a round edge against a background that at least one corner of the image shows. Lengths in `outline` are px
 * of the image. radius 0 where there is none: an image of dice alone is legal. */
void notch_outline_find (const NotchReduced *reduced, NotchOutline *outline);

/* Weights for every pixel of a reduced image, 1 inside the outline less `margin` px of the image and 0 outside; NULL
 * without an outline. */
float *notch_outline_mask (const NotchOutline *outline, const NotchReduced *reduced, double margin);
