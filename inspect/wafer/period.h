/* period.h - the lattice of dice in a reduced image, roughly: where autocorrelation peaks */
#pragma once

#include "inspect/notch.h"

typedef struct {
  double pitch_x, pitch_y; /* px of the array; 0: none was found; one of them 0: a single row or column repeats */
  double angle;            /* rad, of the rows, from +x towards +y (down) */
  double sure;             /* 0 to 1, from how far the peaks stand out */
} NotchPeriod;

/* Looks for a rectangular lattice in width x height values, turned by at most 2 degrees, with pitches from `least` px to
 * half the array. `mask` (NULL: everything) has width x height weights, 0 where there is no wafer. The die's period is
 * chosen, not that of cells inside: every multiple of it must correlate as well as the best lag does. FALSE only when
 * there is no memory. */
gboolean notch_period_find (const float *value, const float *mask, int width, int height, double least,
                            NotchPeriod *found, GError **error);
