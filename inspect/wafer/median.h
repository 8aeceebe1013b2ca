/* median.h - middles of small sets of numbers */
#pragma once

#include <stddef.h>

/* What would be value[k] of n > k numbers, none of them NAN, if they were sorted; moves them. Linear in n on the average
 * (Hoare 1961, FIND). */
static inline float
notch_select (float *value, size_t n, size_t k)
{
  for (size_t first = 0, last = n - 1; first < last;) {
    float pivot = value[first + (last - first) / 2];
    size_t i = first, j = last;
    for (;; i++, j--) { /* below the crossing nothing is greater than the pivot, above it nothing less */
      while (value[i] < pivot)
        i++;
      while (pivot < value[j])
        j--;
      if (i >= j)
        break;
      float swap = value[i];
      value[i] = value[j];
      value[j] = swap;
    }
    if (k <= j)
      last = j;
    else
      first = j + 1;
  }
  return value[k];
}

/* The value below which a fraction of n > 0 numbers lies; moves them. */
static inline float
notch_quantile (float *value, size_t n, double fraction)
{
  return notch_select (value, n, (size_t) (fraction * (double) (n - 1) + 0.5));
}

static inline float
notch_median (float *value, size_t n)
{
  return notch_quantile (value, n, 0.5);
}
