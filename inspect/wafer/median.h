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
