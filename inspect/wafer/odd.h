/* odd.h - places of a periodic pattern that are not like the others: dice that are blank, misplaced, inverted */
#pragma once

#include <glib.h>

#include "inspect/wafer/period.h"

/* How much of the places that could be compared agrees with none, 0 to 1. */
typedef struct {
  double unlike; /* or less than the others do: these get the weight 0 */
  double odd;    /* less than half as well as the others do */
} NotchOddPart;

/* Weights for a pattern g, width x height values without their mean: those of `mask` (NULL: 1 everywhere), but 0 in and
 * beside places that along the rows or the columns are unlike all of the places one or two periods away. Both
 * pitches are px, above 0. Places are squares of a fraction of the pitch; two that are both flat agree. NULL when there is no
 * memory; g_free. */
float *notch_odd_places (const float *g, const float *mask, int width, int height, const NotchPeriod *period,
                         NotchOddPart *part);
