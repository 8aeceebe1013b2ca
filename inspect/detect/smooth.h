/* smooth.h - sums along the lines of a small plane, weighed by taps that are the same to both sides */
#pragma once

#include <glib.h>

/* n lines of n values that lie `along` apart, the lines `stride`; what is beyond their ends is 0. tap[0] to tap[reach]. */
static inline void
notch_smooth_lines (const double *from, int n, int along, int stride, const double *tap, int reach, double *to)
{
  for (int line = 0; line < n; line++)
    for (int i = 0; i < n; i++) {
      double sum = 0;
      for (int k = MAX (i - reach, 0); k <= MIN (i + reach, n - 1); k++)
        sum += tap[ABS (k - i)] * from[line * stride + k * along];
      to[line * stride + i * along] = sum;
    }
}
