/* shift.c - how far one patch is from another, to a hundredth of a pixel
 *
 * The peak of the plain (never phase-normalised) cross-correlation, found by FFT on whole pixels and refined by Newton's
 * method on its Fourier series, whose derivatives are exact. After Guizar-Sicairos, Thurman and Fienup, Optics Letters
 * 33 (2008), with Newton steps in place of a finer and finer grid. */
#include "kernels/math/shift.h"
#include "kernels/cpu/lane.h"
#include "kernels/math/noise.h"
#include "kernels/math/number.h"

#include <stdlib.h>
#include <string.h>

static void
fetch_patch (const NotchLane *lane, const NotchPixels *pixels, int64_t x, int64_t y, float *to)
{
  int n = lane->is.shift_size;
  for (int row = 0; row < n; row++)
    notch_cpu_fetch (pixels, x, y + row, n, to + (ptrdiff_t) row * n);
  if (pixels->sample != NOTCH_SAMPLE_F32)
    return;
  double sum = 0; /* what is no number becomes the mean of the rest, which pulls nowhere */
  int64_t found = 0;
  for (ptrdiff_t i = 0; i < (ptrdiff_t) n * n; i++)
    if (notch_is_number (to[i]))
      sum += to[i], found++;
  for (ptrdiff_t i = 0; i < (ptrdiff_t) n * n && found < (int64_t) n * n; i++)
    if (!notch_is_number (to[i]))
      to[i] = found > 0 ? (float) (sum / (double) found) : 0;
}

/* Sums of squares over a row, in lanes that a vector unit fills; their order is fixed. */
typedef struct {
  double laplace2, xx, xy, yy;
} RowSums;

NOTCH_CLONES static RowSums
sum_row (const float *p, int n)
{
  float laplace2[16] = { 0 }, xx[16] = { 0 }, xy[16] = { 0 }, yy[16] = { 0 };
  int last = 1 + (n - 2) / 16 * 16;
  for (int x = 1; x < last; x += 16)
    for (int i = 0; i < 16; i++) {
      const float *q = p + x + i;
      float r = notch_quality_mask (q, n);
      float gx = notch_grad_x (q), gy = notch_grad_y (q, n);
      laplace2[i] += r * r, xx[i] += gx * gx, xy[i] += gx * gy, yy[i] += gy * gy;
    }
  RowSums sums = { 0 };
  for (int i = 0; i < 16; i++)
    sums.laplace2 += laplace2[i], sums.xx += xx[i], sums.xy += xy[i], sums.yy += yy[i];
  return sums;
}

static NotchQuality
quality_of (const float *p, int n)
{
  NotchQuality quality = { .variance = INFINITY };
  int rows = (n - 2) / NOTCH_QUALITY_BANDS, columns = (n - 2) / NOTCH_QUALITY_COLUMNS * NOTCH_QUALITY_COLUMNS;
  for (int band = 0; band < NOTCH_QUALITY_BANDS; band++) {
    double laplace2 = 0;
    for (int y = 1 + band * rows; y < 1 + (band + 1) * rows; y++) {
      RowSums sums = sum_row (p + (ptrdiff_t) y * n, n);
      laplace2 += sums.laplace2, quality.xx += sums.xx, quality.xy += sums.xy, quality.yy += sums.yy;
    }
    double variance = laplace2 / (36.0 * rows * columns);
    quality.variance = variance < quality.variance ? variance : quality.variance;
  }
  quality.pixels = (double) NOTCH_QUALITY_BANDS * rows * columns;
  return quality;
}

/* The sum of n values and of their squares, in lanes that a vector unit fills; their order is fixed. */
typedef struct {
  double sum, sum2;
} Sums;

NOTCH_CLONES static Sums
sum_all (const float *p, ptrdiff_t n)
{
  double sum[8] = { 0 }, sum2[8] = { 0 };
  Sums sums = { 0 };
  ptrdiff_t last = n / 8 * 8;
  for (ptrdiff_t k = 0; k < last; k += 8)
    for (int i = 0; i < 8; i++) {
      double value = (double) p[k + i];
      sum[i] += value, sum2[i] += value * value;
    }
  for (ptrdiff_t k = last; k < n; k++)
    sum[0] += (double) p[k], sum2[0] += (double) p[k] * (double) p[k];
  for (int i = 0; i < 8; i++)
    sums.sum += sum[i], sums.sum2 += sum2[i];
  return sums;
}

static void
prepare (const NotchLane *lane, float *p)
{
  int n = lane->is.shift_size;
  float mean = (float) (sum_all (p, (ptrdiff_t) n * n).sum / ((double) n * n));
  for (int y = 0; y < n; y++)
    for (int x = 0; x < n; x++)
      p[(ptrdiff_t) y * n + x] = (p[(ptrdiff_t) y * n + x] - mean) * lane->shift_window[x] * lane->shift_window[y];
}

/* A row of the spectrum times the waves of a shift along x, and that times the frequency and its square, summed. */
typedef struct {
  double re[3], im[3];
} Moments;

/* Sums are taken in four lanes. Left to the compiler, the widest vectors hold several of them across, and are slow. */
typedef double Four __attribute__ ((vector_size (32), aligned (8), may_alias));

/* `wave`: cosine, sine and weight of each of n columns, one after the other. */
NOTCH_CLONES static Moments
row_moments (const float *spectrum, const double *wave, double step, int n)
{
  Four re[3] = { { 0 } }, im[3] = { { 0 } };
  for (int k = 0; k < n; k += 4) {
    const float *at = spectrum + 2 * k;
    const Four a = { at[0], at[2], at[4], at[6] }, b = { at[1], at[3], at[5], at[7] };
    const Four w = step * (Four){ k, k + 1, k + 2, k + 3 };
    Four cosine = *(const Four *) (wave + k), sine = *(const Four *) (wave + n + k),
         weight = *(const Four *) (wave + 2 * n + k);
    Four u = weight * (a * cosine - b * sine), v = weight * (a * sine + b * cosine);
    re[0] += u, re[1] += w * u, re[2] += w * w * u;
    im[0] += v, im[1] += w * v, im[2] += w * w * v;
  }
  Moments moments = { { 0 }, { 0 } };
  for (int m = 0; m < 3; m++)
    for (int i = 0; i < 4; i++)
      moments.re[m] += re[m][i], moments.im[m] += im[m][i];
  return moments;
}

/* Value and derivatives of the correlation at (x, y), from its half spectrum. `wave` is room for 3 columns, of which there
 * are n / 2 in fours. */
static NotchSeries
series_at (const float *spectrum, int n, double x, double y, double *wave)
{
  const double two_pi = 2 * 3.14159265358979323846;
  int columns = (n / 2 + 3) / 4 * 4;
  NotchSeries s = { 0 };
  for (int kx = 0; kx < columns; kx++) {
    double phase = two_pi * kx / n * x;
    wave[kx] = cos (phase), wave[columns + kx] = sin (phase);
    wave[2 * columns + kx] = notch_series_weight (kx, n);
  }
  for (int row = 0; row < n; row++) {
    int ky = row <= n / 2 ? row : row - n;
    if (2 * row == n)
      continue;
    double wy = two_pi * ky / n, c = cos (wy * y), d = sin (wy * y);
    Moments m = row_moments (spectrum + 2 * (ptrdiff_t) row * (n / 2 + 1), wave, two_pi / n, columns);
    double re0 = m.re[0] * c - m.im[0] * d, im0 = m.re[0] * d + m.im[0] * c;
    double re1 = m.re[1] * c - m.im[1] * d, im1 = m.re[1] * d + m.im[1] * c;
    double re2 = m.re[2] * c - m.im[2] * d;
    s.f += re0;
    s.fx -= im1, s.fy -= wy * im0;
    s.fxx -= re2, s.fxy -= wy * re1, s.fyy -= wy * wy * re0;
  }
  return s;
}

static NotchCorrelation
find_peak (const float *r, int n, float search)
{
  int reach = notch_correlation_reach (search, n);
  NotchCorrelation peak = { .value = -INFINITY, .second = -INFINITY };
  for (int y = -reach; y <= reach; y++)
    for (int x = -reach; x <= reach; x++)
      if (notch_correlation_at (r, n, x, y) > peak.value)
        peak.value = notch_correlation_at (r, n, x, y), peak.x = x, peak.y = y;
  for (int y = -reach; y <= reach; y++)
    for (int x = -reach; x <= reach; x++) {
      if (abs (x - peak.x) <= NOTCH_PEAK_NEAR && abs (y - peak.y) <= NOTCH_PEAK_NEAR)
        continue;
      float v = notch_correlation_at (r, n, x, y);
      if (v > peak.second && notch_correlation_rival (r, n, x, y, v))
        peak.second = v;
    }
  Sums sums = sum_all (r, (ptrdiff_t) n * n);
  notch_correlation_lobes (r, n, sums.sum, sums.sum2, &peak);
  return peak;
}

static void
weigh_coarse (float *spectrum, int n)
{
  for (int row = 0; row < n; row++)
    for (int x = 0; x <= NOTCH_COARSE && x <= n / 2; x++) {
      int y = row <= n / 2 ? row : row - n, square = x * x + y * y;
      float *at = spectrum + 2 * ((ptrdiff_t) row * (n / 2 + 1) + x);
      float weight = notch_coarse_weight (square);
      at[0] *= weight, at[1] *= weight;
    }
}

/* The spectrum of a correlation: b times the conjugate of a, n complex numbers, to b. */
NOTCH_CLONES static void
correlate (const float *restrict a, float *restrict b, ptrdiff_t n)
{
  for (ptrdiff_t i = 0; i < n; i++) {
    float ar = a[2 * i], ai = a[2 * i + 1], br = b[2 * i], bi = b[2 * i + 1];
    b[2 * i] = ar * br + ai * bi;
    b[2 * i + 1] = ar * bi - ai * br;
  }
}

static void
find_shift (NotchLane *lane, const NotchShift *a, const NotchPair *pair, bool fresh_a, NotchQuality *quality_a,
            NotchShiftFound *found)
{
  int n = lane->is.shift_size;
  /* One patch is compared with many: what is known of the last `a` is kept. */
  if (fresh_a) {
    fetch_patch (lane, &a->mem[pair->mem_a]->pixels, pair->ax, pair->ay, lane->shift_a);
    *quality_a = quality_of (lane->shift_a, n);
    prepare (lane, lane->shift_a);
    notch_fft_forward (lane->shift_fft, lane->shift_a, lane->shift_fa);
    weigh_coarse (lane->shift_fa, n);
  }
  fetch_patch (lane, &a->mem[pair->mem_b]->pixels, pair->bx, pair->by, lane->shift_b);
  NotchQuality quality_b = quality_of (lane->shift_b, n);
  float bound_a = notch_quality_bound (quality_a, notch_quality_noise (quality_a, &quality_b, (double) a->noise));
  float bound_b = notch_quality_bound (&quality_b, notch_quality_noise (&quality_b, quality_a, (double) a->noise));
  *found = (NotchShiftFound){ .crlb = bound_a > bound_b ? bound_a : bound_b, .ambiguity = 1 };
  prepare (lane, lane->shift_b);
  notch_fft_forward (lane->shift_fft, lane->shift_b, lane->shift_fb);
  correlate (lane->shift_fa, lane->shift_fb, (ptrdiff_t) n * (n / 2 + 1));
  memcpy (lane->shift_product, lane->shift_fb, sizeof (float) * 2 * (size_t) n * (size_t) (n / 2 + 1));
  notch_fft_inverse (lane->shift_fft, lane->shift_product, lane->shift_b);
  NotchCorrelation peak = find_peak (lane->shift_b, n, pair->search);
  if (!notch_shift_begin (&peak, found))
    return;
  double x = peak.x, y = peak.y, dx, dy;
  for (int step = 0; step < NOTCH_SERIES_STEPS; step++) {
    NotchSeries s = series_at (lane->shift_fb, n, x, y, lane->shift_wave);
    if (!notch_series_step (&s, &dx, &dy))
      break; /* stay with what is known */
    x += dx, y += dy;
    if (notch_series_done (dx, dy))
      break;
  }
  notch_shift_end (&peak, x, y, found);
}

int
notch_cpu_shift (NotchLane *lane, const NotchShift *a)
{
  if (!lane->shift_fft)
    return notch_cpu_fail (lane, "the lane was made without a patch size");
  NotchQuality quality_a = { 0 };
  for (int i = 0; i < a->n; i++) {
    const NotchPair *pair = &a->pair[i], *last = pair - 1;
    bool fresh = i == 0 || pair->mem_a != last->mem_a || pair->ax != last->ax || pair->ay != last->ay;
    find_shift (lane, a, pair, fresh, &quality_a, &a->found[i]);
  }
  return 0;
}
