/* features.h - a joined blob becomes the numbers that notch_feature_info lists */
#pragma once

#include "inspect/detect/join.h"
#include "inspect/detect/result.h"
#include "inspect/wafer/coords.h"

/* What is the same for all defects of an image. */
typedef struct {
  NotchFrame frame;            /* where the wafer's centre is, and the pixel size */
  const NotchGrid *grid;       /* NULL: no dice, their features are NAN */
  const NotchChannel *channel; /* the filters that peak_channel counts */
  int n_channels;
} NotchFeatureContext;

/* Fills value; a feature that does not apply is NAN. The blob has at least one pixel.
 *
 * The centroid is weighted with |fine|, the response of the finest filter; without any weight it is the plain one. The
 * die is the one whose cell holds the centroid; the place in it is measured from its pattern, so the die's measured
 * shift is taken off.
 *
 * A pixel has an extent: second moments get the 1/12 px^2 of a unit square per axis, so that a single pixel has
 * elongation 1 and a line of n pixels n. Feret diameters, the largest of 8 directions pi / 8 apart (at most 2 %
 * short), get 1 px, as if a pixel were a disc: then a size does not depend on the direction. */
void notch_features_measure (const NotchJoined *blob, const NotchFeatureContext *context,
                             double value[NOTCH_N_FEATURES]);

/* What a reader of defects.csv makes of a value: it is written with so many decimals. */
double notch_feature_as_written (NotchFeature feature, double value);
