/* median.h - middles of small sets of numbers */
#pragma once

#include <stdlib.h>

static inline int
notch_compare_floats (const void *a, const void *b)
{
  float x = *(const float *) a, y = *(const float *) b;
  return (x > y) - (x < y);
}

/* The value below which a fraction of n > 0 numbers lies; sorts them. */
static inline float
notch_quantile (float *value, size_t n, double fraction)
{
  qsort (value, n, sizeof *value, notch_compare_floats);
  return value[(size_t) (fraction * (double) (n - 1) + 0.5)];
}

static inline float
notch_median (float *value, size_t n)
{
  return notch_quantile (value, n, 0.5);
}
