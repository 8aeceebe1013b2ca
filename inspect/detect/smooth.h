/* smooth.h - sums along the lines of a small plane, weighed by taps that are the same to both sides */
#pragma once

#include <glib.h>

/* n lines of n values that lie `along` apart, the lines `stride`; what is beyond their ends is 0. tap[0] to tap[reach]. One tap
 * after the other for a whole line: sums that do not wait for each other. */
static inline void
notch_smooth_lines (const double *from, int n, int along, int stride, const double *tap, int reach, double *to)
{
  for (int line = 0; line < n; line++) {
    double *sum = to + line * stride;
    for (int i = 0; i < n; i++)
      sum[i * along] = 0;
    for (int off = -MIN (reach, n - 1); off <= MIN (reach, n - 1); off++) {
      const double *at = from + line * stride + off * along, weight = tap[ABS (off)];
      for (int i = MAX (-off, 0); i < MIN (n - off, n); i++)
        sum[i * along] += weight * at[i * along];
    }
  }
}
