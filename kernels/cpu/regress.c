/* regress.c - the part of `fit` that finds the coefficients */
#include "kernels/cpu/lane.h"

#include <math.h>
#include <string.h>

#define ABREAST 4 /* sums that share a factor, which is then read and widened once */

/* Sums of products of a with each of b, n a multiple of 8. */
NOTCH_CLONES static void
dots (const float *a, const float *const b[ABREAST], int n, double sum[ABREAST])
{
  const float *b0 = b[0], *b1 = b[1], *b2 = b[2], *b3 = b[3];
  double lane[ABREAST][8] = { { 0 } };
  for (int i = 0; i < n; i += 8)
    for (int j = 0; j < 8; j++) {
      double value = (double) a[i + j];
      lane[0][j] += value * (double) b0[i + j];
      lane[1][j] += value * (double) b1[i + j];
      lane[2][j] += value * (double) b2[i + j];
      lane[3][j] += value * (double) b3[i + j];
    }
  for (int k = 0; k < ABREAST; k++) {
    const double *l = lane[k];
    sum[k] = ((l[0] + l[1]) + (l[2] + l[3])) + ((l[4] + l[5]) + (l[6] + l[7]));
  }
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

static float
quickselect (float *v, int n, int k)
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

#define GUESS_OF  512 /* values that tell where the one in question is about */
#define GUESS_OFF 34  /* ranks among them that it may be off by: three sigmas at a median */

NOTCH_CLONES static void
count_to (const float *v, int n, float low, float high, int *below, int *up_to)
{
  int less = 0, no_more = 0;
  for (int i = 0; i < n; i++) {
    less += v[i] < low;
    no_more += v[i] <= high;
  }
  *below = less, *up_to = no_more;
}

/* Of many values, few tell bounds that the one in question is likely within (Floyd and Rivest, CACM 18, 1975); what lies
 * outside is then only counted, without a branch on any value. */
float
notch_cpu_select (float *v, int n, int k)
{
  if (n < 4 * GUESS_OF)
    return quickselect (v, n, k);
  float few[GUESS_OF];
  for (int i = 0; i < GUESS_OF; i++)
    few[i] = v[(int64_t) i * n / GUESS_OF];
  int rank = (int) ((int64_t) k * GUESS_OF / n), first = rank - GUESS_OFF, last = rank + GUESS_OFF, below, up_to;
  float low = quickselect (few, GUESS_OF, first > 0 ? first : 0);
  float high = quickselect (few, GUESS_OF, last < GUESS_OF ? last : GUESS_OF - 1);
  count_to (v, n, low, high, &below, &up_to);
  if (k < below || k >= up_to)
    return quickselect (v, n, k);
  int kept = 0;
  for (int i = 0; i < n; i++) {
    float value = v[i];
    v[kept] = value;
    kept += (value >= low) & (value <= high);
  }
  return quickselect (v, kept, k - below);
}

void
notch_cpu_regress (NotchLane *lane, int n, const NotchFit *a, int area, const NotchRefNoise *noise,
                   float coefficient[NOTCH_FIT_MAX])
{
  int use[NOTCH_FIT_MAX], m = notch_fit_use (a->terms, area, use), stride = NOTCH_FIT_SAMPLES + 64;
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
  NotchFitMatrix product; /* of all samples; what is above the diagonal is not read */
  for (int i = 0; i <= m; i++)
    for (int j = 0; j <= i && j < m; j += ABREAST) {
      const float *with[ABREAST];
      double sum[ABREAST];
      for (int k = 0; k < ABREAST; k++)
        with[k] = term[j + k < m ? j + k : m];
      dots (term[i], with, padded, sum);
      for (int k = 0; k < ABREAST && j + k < m; k++)
        product[i][j + k] = sum[k];
    }
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
    notch_fit_round (matrix, use, m, count, variance, noise, a->contrast, coefficient);
    if (round == 2)
      return;
    float found[NOTCH_FIT_MAX];
    for (int i = 0; i < m; i++)
      found[i] = coefficient[use[i]];
    residuals (term, found, m, right, n, left);
    memcpy (sorted, left, sizeof (float) * (size_t) n);
    notch_fit_spread (notch_cpu_select (sorted, n, n / 2), a->least, noise, &cut, &variance);
  }
}
