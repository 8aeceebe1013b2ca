/* resample.h - Lanczos-3 interpolation by a constant shift: six taps an axis */
#pragma once

#include "kernels/math/fn.h"

#define NOTCH_TAPS       6
#define NOTCH_TAP_ORIGIN 2 /* tap NOTCH_TAP_ORIGIN lies on floor (position) */

/* Taps for a sample that lies `fraction` (0 <= fraction < 1) behind floor (position). They sum to one, so that flat
 * areas stay flat. Made once a piece, in double precision. */
NOTCH_FN void
notch_lanczos_taps (double fraction, float tap[NOTCH_TAPS])
{
  const double pi = 3.14159265358979323846;
  double weight[NOTCH_TAPS], sum = 0;
  for (int i = 0; i < NOTCH_TAPS; i++) {
    double t = i - NOTCH_TAP_ORIGIN - fraction;
    if (t > -1e-9 && t < 1e-9)
      weight[i] = 1;
    else if (t <= -3 || t >= 3)
      weight[i] = 0;
    else
      weight[i] = 3 * sin (pi * t) * sin (pi * t / 3) / (pi * pi * t * t);
    sum += weight[i];
  }
  for (int i = 0; i < NOTCH_TAPS; i++)
    tap[i] = (float) (weight[i] / sum);
}

/* Six samples times six taps; the order of the sum is part of the result. */
NOTCH_FN float
notch_taps_sum (float s0, float s1, float s2, float s3, float s4, float s5, const float tap[NOTCH_TAPS])
{
  return ((s0 * tap[0] + s1 * tap[1]) + (s2 * tap[2] + s3 * tap[3])) + (s4 * tap[4] + s5 * tap[5]);
}
