/* resample.h - Lanczos-3 interpolation by a constant shift: six taps an axis */
#pragma once

#include "kernels/math/fn.h"

#define NOTCH_TAPS       6
#define NOTCH_TAP_ORIGIN 2 /* tap NOTCH_TAP_ORIGIN lies on floor (position) */

/* Taps for a sample that lies `fraction` (0 <= fraction < 1) behind floor (position). They sum to one, so that flat
 * areas stay flat. Host only: made once a piece, in double precision. */
static inline void
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
