/* order.h - numbers in order */
#pragma once

/* Of two doubles, for qsort: the lower one first. Numbers only: a NaN equals everything. */
static inline int
notch_compare_up (const void *a, const void *b)
{
  double x = *(const double *) a, y = *(const double *) b;
  return (x > y) - (x < y);
}
