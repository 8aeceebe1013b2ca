/* regress.c - the part of `fit` that finds the coefficients */
#include "kernels/cpu/lane.h"

#include <math.h>
#include <string.h>

NOTCH_CLONES static double
dot (const float *a, const float *b, int n)
{
  double lane[8] = { 0 };
  for (int i = 0; i < n; i += 8)
    for (int j = 0; j < 8; j++)
      lane[j] += (double) a[i + j] * (double) b[i + j];
  return ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}

/* What m terms leave of `right`, its size. */
NOTCH_CLONES static void
residuals (const float *const term[], const float coefficient[], int m, const float *right, int n, float *left)
{
  for (int i = 0; i < n; i++)
    left[i] = right[i] - coefficient[0] * term[0][i];
  for (int j = 1; j < m; j++)
    for (int i = 0; i < n; i++)
      left[i] -= coefficient[j] * term[j][i];
  for (int i = 0; i < n; i++)
    left[i] = fabsf (left[i]);
}

float
notch_cpu_select (float *v, int n, int k)
{
  int low = 0, high = n - 1;
  while (low < high) {
    float pivot = v[low + (high - low) / 2];
    int i = low, j = high;
    while (i <= j) {
      while (v[i] < pivot)
        i++;
      while (v[j] > pivot)
        j--;
      if (i <= j) {
        float t = v[i];
        v[i++] = v[j], v[j--] = t;
      }
    }
    if (k <= j)
      high = j;
    else if (k >= i)
      low = i;
    else
      break;
  }
  return v[k];
}

void
notch_cpu_regress (NotchLane *lane, int n, int terms, int area, const NotchRefNoise *noise, float quiet,
                   float coefficient[NOTCH_FIT_MAX])
{
  int use[NOTCH_FIT_MAX], m = notch_fit_use (terms, area, use), stride = NOTCH_FIT_SAMPLES + 64;
  int padded = (n + 7) / 8 * 8;
  float *right = lane->basis + (ptrdiff_t) NOTCH_FIT_MAX * stride, *left = right + stride,
        *sorted = lane->normal_sorted;
  const float *term[NOTCH_FIT_MAX + 1]; /* the last one is the right side */
  for (int j = 0; j <= NOTCH_FIT_MAX; j++)
    for (int i = n; i < padded; i++)
      lane->basis[(ptrdiff_t) j * stride + i] = 0;
  for (int i = 0; i < m; i++)
    term[i] = lane->basis + (ptrdiff_t) use[i] * stride;
  term[m] = right;
  NotchFitMatrix product; /* of all samples */
  for (int i = 0; i <= m; i++)
    for (int j = 0; j <= i && j < m; j++)
      product[i][j] = dot (term[i], term[j], padded);
  double variance = 0, cut = INFINITY; /* of the image's noise; samples beyond it are left out */
  for (int round = 0;; round++) {
    NotchFitMatrix matrix;
    double count = n;
    memcpy (matrix, product, sizeof matrix);
    for (int k = 0; k < n && round > 0; k++) {
      if ((double) left[k] <= cut)
        continue;
      count--;
      for (int i = 0; i <= m; i++)
        for (int j = 0; j <= i && j < m; j++)
          matrix[i][j] -= (double) term[i][k] * (double) term[j][k];
    }
    notch_fit_round (matrix, use, m, count, variance, noise, coefficient);
    if (round == 2)
      return;
    float found[NOTCH_FIT_MAX];
    for (int i = 0; i < m; i++)
      found[i] = coefficient[use[i]];
    residuals (term, found, m, right, n, left);
    memcpy (sorted, left, sizeof (float) * (size_t) n);
    notch_fit_spread (notch_cpu_select (sorted, n, n / 2), quiet, noise, &cut, &variance);
  }
}
