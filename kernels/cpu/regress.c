/* regress.c - the part of `fit` that finds the coefficients */
#include "kernels/cpu/lane.h"

#include <math.h>
#include <string.h>

static int
terms_in_use (int terms, int area, int use[NOTCH_FIT_MAX])
{
  int m = 0;
  use[m++] = 0; /* small pieces can carry few terms */
  if (area >= 64 && (terms & NOTCH_FIT_GAIN))
    use[m++] = 1;
  if (area >= 512 && (terms & NOTCH_FIT_SHIFT))
    use[m++] = 2, use[m++] = 3;
  if (area >= 512 && (terms & NOTCH_FIT_FOCUS))
    use[m++] = 4;
  if (area >= 4096 && (terms & NOTCH_FIT_SHADE))
    for (int j = 5; j < 10; j++)
      use[m++] = j;
  return m;
}

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

/* Solves the m x m system by Cholesky with a ridge on the scale of each term. A term of which no more than `least` is left
 * beside those before it gets 0: in a flat piece there is nothing to tell a gain or a focus by. */
static void
solve (double matrix[NOTCH_FIT_MAX + 1][NOTCH_FIT_MAX + 1], double right[NOTCH_FIT_MAX],
       const double least[NOTCH_FIT_MAX], int m)
{
  bool left_out[NOTCH_FIT_MAX] = { false };
  for (int i = 0; i < m; i++)
    matrix[i][i] *= 1 + 1e-6;
  for (int i = 0; i < m; i++)
    for (int j = 0; j <= i; j++) {
      double sum = matrix[i][j];
      for (int k = 0; k < j; k++)
        sum -= matrix[i][k] * matrix[j][k];
      if (i != j)
        matrix[i][j] = left_out[j] ? 0 : sum / matrix[j][j];
      else {
        left_out[i] = sum <= least[i] || sum <= 1e-12 * (1 + matrix[i][i]);
        matrix[i][i] = left_out[i] ? 1 : sqrt (sum);
        for (int k = 0; left_out[i] && k < i; k++)
          matrix[i][k] = 0;
      }
    }
  for (int i = 0; i < m; i++) {
    for (int k = 0; k < i; k++)
      right[i] -= matrix[i][k] * right[k];
    right[i] = left_out[i] ? 0 : right[i] / matrix[i][i];
  }
  for (int i = m - 1; i >= 0; i--) {
    for (int k = i + 1; k < m; k++)
      right[i] -= matrix[k][i] * right[k];
    right[i] = left_out[i] ? 0 : right[i] / matrix[i][i];
  }
}

/* What the reference's own noise adds to the products of two terms, a sample; u and v run evenly from -1 to 1. */
static double
noise_product (const NotchRefNoise *noise, int a, int b)
{
  /* Powers of u and v that a term's reference is multiplied by; -1: none of it. */
  static const int power_u[NOTCH_FIT_MAX] = { -1, 0, -1, -1, -1, 1, 0, 2, 1, 0 },
                   power_v[NOTCH_FIT_MAX] = { -1, 0, -1, -1, -1, 0, 1, 0, 1, 2 };
  static const double mean[5] = { 1, 0, 1.0 / 3, 0, 1.0 / 5 }; /* of u^0 to u^4 */
  if (power_u[a] >= 0 && power_u[b] >= 0)
    return noise->level * mean[power_u[a] + power_u[b]] * mean[power_v[a] + power_v[b]];
  if (a == b)
    return a == 2 ? noise->slope_x : a == 3 ? noise->slope_y : a == 4 ? noise->bend : 0;
  int other = a == 4 ? b : b == 4 ? a : 0;
  return power_u[other] >= 0 ? noise->level_bend * mean[power_u[other]] * mean[power_v[other]] : 0;
}

void
notch_cpu_regress (NotchLane *lane, int n, int terms, int area, const NotchRefNoise *noise, float quiet,
                   float coefficient[NOTCH_FIT_MAX])
{
  int use[NOTCH_FIT_MAX], m = terms_in_use (terms, area, use), stride = NOTCH_FIT_SAMPLES + 64;
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
  double product[NOTCH_FIT_MAX + 1][NOTCH_FIT_MAX + 1]; /* of all samples */
  for (int i = 0; i <= m; i++)
    for (int j = 0; j <= i && j < m; j++)
      product[i][j] = dot (term[i], term[j], padded);
  double variance = 0, cut = INFINITY; /* of the image's noise; samples beyond it are left out */
  for (int round = 0;; round++) {
    double matrix[NOTCH_FIT_MAX + 1][NOTCH_FIT_MAX + 1], solution[NOTCH_FIT_MAX], least[NOTCH_FIT_MAX], count = n;
    memcpy (matrix, product, sizeof matrix);
    for (int k = 0; k < n && round > 0; k++) {
      if ((double) left[k] <= cut)
        continue;
      count--;
      for (int i = 0; i <= m; i++)
        for (int j = 0; j <= i && j < m; j++)
          matrix[i][j] -= (double) term[i][k] * (double) term[j][k];
    }
    for (int i = 0; i < m; i++) {
      for (int j = 0; j <= i; j++)
        matrix[i][j] -= variance * count * noise_product (noise, use[i], use[j]);
      /* The reference has its noise with the other sign in test - reference. */
      solution[i] = matrix[m][i] + variance * count * noise_product (noise, use[i], 1);
      least[i] = 0.5 * variance * count * noise_product (noise, use[i], use[i]);
    }
    solve (matrix, solution, least, m);
    float found[NOTCH_FIT_MAX];
    memset (coefficient, 0, sizeof (float) * NOTCH_FIT_MAX);
    for (int i = 0; i < m; i++)
      coefficient[use[i]] = found[i] = (float) solution[i];
    if (round == 2)
      return;
    residuals (term, found, m, right, n, left);
    memcpy (sorted, left, sizeof (float) * (size_t) n);
    float spread = 1.4826f * notch_cpu_select (sorted, n, n / 2);
    cut = (double) (4 * (spread > quiet ? spread : quiet) + 1e-6f);
    variance = (double) spread * (double) spread / (1 + noise->level);
  }
}
