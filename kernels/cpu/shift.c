/* shift.c - how far one patch is from another, to a hundredth of a pixel
 *
 * The peak of the plain (never phase-normalised) cross-correlation, found by FFT on whole pixels and refined by Newton's
 * method on its Fourier series, whose derivatives are exact. After Guizar-Sicairos, Thurman and Fienup, Optics Letters
 * 33 (2008), with Newton steps in place of a finer and finer grid. */
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
      float r = (q[-n - 1] + q[-n + 1] + q[n - 1] + q[n + 1]) - 2 * (q[-n] + q[-1] + q[1] + q[n]) + 4 * q[0];
      float gx = notch_grad_x (q), gy = notch_grad_y (q, n);
      laplace2[i] += r * r, xx[i] += gx * gx, xy[i] += gx * gy, yy[i] += gy * gy;
    }
  RowSums sums = { 0 };
  for (int i = 0; i < 16; i++)
    sums.laplace2 += laplace2[i], sums.xx += xx[i], sums.xy += xy[i], sums.yy += yy[i];
  return sums;
}

/* What a patch alone tells of how well it can be registered. */
typedef struct {
  double variance;           /* of white noise in it */
  double xx, xy, yy, pixels; /* structure tensor, and over how many pixels */
} Quality;

/* The noise is measured blind to structure: by the mask of Immerkaer, Computer Vision and Image Understanding 64 (1996),
 * whose weights kill planes and straight edges; its mean square over 36. The quietest of eight bands of rows counts, so
 * that texture does not. */
static Quality
quality_of (const float *p, int n)
{
  Quality quality = { .variance = INFINITY };
  int rows = (n - 2) / 8, columns = (n - 2) / 16 * 16;
  for (int band = 0; band < 8; band++) {
    double laplace2 = 0;
    for (int y = 1 + band * rows; y < 1 + (band + 1) * rows; y++) {
      RowSums sums = sum_row (p + (ptrdiff_t) y * n, n);
      laplace2 += sums.laplace2, quality.xx += sums.xx, quality.xy += sums.xy, quality.yy += sums.yy;
    }
    double variance = laplace2 / (36.0 * rows * columns);
    quality.variance = variance < quality.variance ? variance : quality.variance;
  }
  quality.pixels = 8.0 * rows * columns;
  return quality;
}

/* The Cramer-Rao bound of the shift's worse axis, px: noise over the structure tensor's smaller eigenvalue. The noise's
 * own gradients (variance / 2 a pixel) are taken off first. */
static float
shift_bound (const Quality *quality, double variance)
{
  double pixels = quality->pixels, spread = variance / 2 * sqrt (8.0 * pixels);
  double mean = (quality->xx + quality->yy) / 2, half_xx = (quality->xx - quality->yy) / 2;
  double least = mean - sqrt (half_xx * half_xx + quality->xy * quality->xy) - variance / 2 * pixels;
  /* What noise alone could pretend is no structure: its chance, and a tenth of it for the variance being a guess. */
  if (least <= spread + 0.1 * variance / 2 * pixels)
    return INFINITY;
  return (float) sqrt (2 * (variance > 1e-3 ? variance : 1e-3) / least);
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

/* Value, gradient and second derivatives of the correlation at (x, y), from its half spectrum. */
typedef struct {
  double f, fx, fy, fxx, fxy, fyy;
} Series;

/* A row of the spectrum times the waves of a shift along x, and that times the frequency and its square, summed. */
typedef struct {
  double re[3], im[3];
} Moments;

/* `wave`: cosine, sine and weight of each of n columns, one after the other. */
NOTCH_CLONES static Moments
row_moments (const float *spectrum, const double *wave, double step, int n)
{
  double re[3][4] = { { 0 } }, im[3][4] = { { 0 } };
  Moments moments = { { 0 }, { 0 } };
  const double *cosine = wave, *sine = wave + n, *weight = wave + 2 * n;
  for (int k = 0; k < n; k += 4)
    for (int i = 0; i < 4; i++) {
      double a = (double) spectrum[2 * (k + i)], b = (double) spectrum[2 * (k + i) + 1], w = step * (double) (k + i);
      double u = weight[k + i] * (a * cosine[k + i] - b * sine[k + i]);
      double v = weight[k + i] * (a * sine[k + i] + b * cosine[k + i]);
      re[0][i] += u, re[1][i] += w * u, re[2][i] += w * w * u;
      im[0][i] += v, im[1][i] += w * v, im[2][i] += w * w * v;
    }
  for (int m = 0; m < 3; m++)
    for (int i = 0; i < 4; i++)
      moments.re[m] += re[m][i], moments.im[m] += im[m][i];
  return moments;
}

/* `wave` is room for 3 columns, of which there are n / 2 in fours. */
static Series
series_at (const float *spectrum, int n, double x, double y, double *wave)
{
  const double two_pi = 2 * 3.14159265358979323846;
  int columns = (n / 2 + 3) / 4 * 4;
  Series s = { 0 };
  for (int kx = 0; kx < columns; kx++) {
    double phase = two_pi * kx / n * x;
    wave[kx] = cos (phase), wave[columns + kx] = sin (phase);
    wave[2 * columns + kx] = kx >= n / 2 ? 0 : kx == 0 ? 1 : 2; /* the highest frequency has no partner */
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

/* Whole-pixel peak within `search`, the second peak outside 5 x 5 around it, mean and spread outside 11 x 11. */
typedef struct {
  int x, y;
  float value, second;
  double mean, deviation;
} Peak;

static float
at_shift (const float *r, int n, int x, int y)
{
  return r[(ptrdiff_t) ((y % n + n) % n) * n + (x % n + n) % n];
}

static Peak
find_peak (const float *r, int n, float search)
{
  int reach = search < (float) n / 2 - 2 ? (int) ceilf (search) : n / 2 - 2;
  Peak peak = { .value = -INFINITY, .second = -INFINITY };
  for (int y = -reach; y <= reach; y++)
    for (int x = -reach; x <= reach; x++)
      if (at_shift (r, n, x, y) > peak.value)
        peak.value = at_shift (r, n, x, y), peak.x = x, peak.y = y;
  for (int y = -reach; y <= reach; y++)
    for (int x = -reach; x <= reach; x++) {
      if (abs (x - peak.x) <= 2 && abs (y - peak.y) <= 2)
        continue;
      float v = at_shift (r, n, x, y); /* a rival is a maximum of its own, not the flank of the first */
      if (v > peak.second && v >= at_shift (r, n, x - 1, y) && v >= at_shift (r, n, x + 1, y)
          && v >= at_shift (r, n, x, y - 1) && v >= at_shift (r, n, x, y + 1))
        peak.second = v;
    }
  Sums sums = sum_all (r, (ptrdiff_t) n * n);
  double count = (double) n * n - 121;
  for (int y = -5; y <= 5; y++)
    for (int x = -5; x <= 5; x++) {
      double v = at_shift (r, n, peak.x + x, peak.y + y);
      sums.sum -= v, sums.sum2 -= v * v;
    }
  peak.mean = sums.sum / count;
  double variance = sums.sum2 / count - peak.mean * peak.mean;
  peak.deviation = variance > 0 ? sqrt (variance) : 0;
  return peak;
}

/* Makes the coarsest frequencies count little: they hold slopes of brightness, which lie otherwise in every patch and pull
 * the peak aside, and next to nothing that tells a shift. */
static void
weigh_coarse (float *spectrum, int n)
{
  for (int row = 0; row < n; row++)
    for (int x = 0; x <= 8 && x <= n / 2; x++) {
      int y = row <= n / 2 ? row : row - n, square = x * x + y * y;
      float *at = spectrum + 2 * ((ptrdiff_t) row * (n / 2 + 1) + x);
      float weight = square > 64 ? 1 : 1 - expf (-(float) square / 8);
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
find_shift (NotchLane *lane, const NotchShift *a, const NotchPair *pair, bool fresh_a, Quality *quality_a,
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
  Quality quality_b = quality_of (lane->shift_b, n);
  double variance = a->noise > 0 ? (double) a->noise * a->noise : 0.5 * (quality_a->variance + quality_b.variance);
  float bound_a = shift_bound (quality_a, variance), bound_b = shift_bound (&quality_b, variance);
  *found = (NotchShiftFound){ .crlb = bound_a > bound_b ? bound_a : bound_b, .ambiguity = 1 };
  prepare (lane, lane->shift_b);
  notch_fft_forward (lane->shift_fft, lane->shift_b, lane->shift_fb);
  correlate (lane->shift_fa, lane->shift_fb, (ptrdiff_t) n * (n / 2 + 1));
  memcpy (lane->shift_product, lane->shift_fb, sizeof (float) * 2 * (size_t) n * (size_t) (n / 2 + 1));
  notch_fft_inverse (lane->shift_fft, lane->shift_product, lane->shift_b);
  Peak peak = find_peak (lane->shift_b, n, pair->search);
  if (!(peak.value > 0) || peak.deviation <= 0)
    return;
  found->psr = (float) ((peak.value - peak.mean) / peak.deviation);
  found->ambiguity = peak.second > 0 ? peak.second / peak.value : 0;
  double x = peak.x, y = peak.y;
  for (int round = 0; round < 4; round++) {
    Series s = series_at (lane->shift_fb, n, x, y, lane->shift_wave);
    double det = s.fxx * s.fyy - s.fxy * s.fxy;
    if (!(s.fxx < 0) || !(det > 0)) /* not a maximum's bowl: stay with what is known */
      break;
    double dx = -(s.fyy * s.fx - s.fxy * s.fy) / det, dy = -(s.fxx * s.fy - s.fxy * s.fx) / det;
    if (fabs (dx) > 1 || fabs (dy) > 1)
      break;
    x += dx, y += dy;
    if (fabs (dx) < 1e-4 && fabs (dy) < 1e-4)
      break;
  }
  if (fabs (x - peak.x) <= 1.5 && fabs (y - peak.y) <= 1.5)
    found->dx = (float) x, found->dy = (float) y;
  else
    found->dx = (float) peak.x, found->dy = (float) peak.y, found->ambiguity = 1;
}

int
notch_cpu_shift (NotchLane *lane, const NotchShift *a)
{
  if (!lane->shift_fft)
    return notch_cpu_fail (lane, "the lane was made without a patch size");
  Quality quality_a = { 0 };
  for (int i = 0; i < a->n; i++) {
    const NotchPair *pair = &a->pair[i], *last = pair - 1;
    bool fresh = i == 0 || pair->mem_a != last->mem_a || pair->ax != last->ax || pair->ay != last->ay;
    find_shift (lane, a, pair, fresh, &quality_a, &a->found[i]);
  }
  return 0;
}
