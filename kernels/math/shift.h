/* shift.h - what registration makes of a patch, of a spectrum and of a correlation */
#pragma once

#include "kernels/kernels.h"
#include "kernels/math/fn.h"

/* Sample i of n of the window that a patch fades out by along an axis (Hann). Host only: made once a lane. */
static inline float
notch_shift_window (int i, int n)
{
  return (float) (0.5 - 0.5 * cos (2 * 3.14159265358979323846 * i / (n - 1)));
}

/* What a patch alone tells of how well it can be registered. */
typedef struct {
  double variance;           /* of white noise in it */
  double xx, xy, yy, pixels; /* structure tensor, and over how many pixels */
} NotchQuality;

/* The noise is measured in so many bands of rows, and the quietest counts, so that texture does not; columns are a whole
 * number of these. */
#define NOTCH_QUALITY_BANDS   8
#define NOTCH_QUALITY_COLUMNS 16

/* The mask of Immerkaer, Computer Vision and Image Understanding 64 (1996), whose weights kill planes and straight edges;
 * the mean of its square is 36 times the variance of white noise. */
NOTCH_FN float
notch_quality_mask (const float *q, ptrdiff_t stride)
{
  return (q[-stride - 1] + q[-stride + 1] + q[stride - 1] + q[stride + 1]) - 2 * (q[-stride] + q[-1] + q[1] + q[stride])
         + 4 * q[0];
}

/* The Cramer-Rao bound of the shift's worse axis, px: noise over the structure tensor's smaller eigenvalue. The noise's
 * own gradients (variance / 2 a pixel) are taken off first. */
NOTCH_FN float
notch_quality_bound (const NotchQuality *quality, double variance)
{
  double pixels = quality->pixels, spread = variance / 2 * sqrt (8.0 * pixels);
  double mean = (quality->xx + quality->yy) / 2, half_xx = (quality->xx - quality->yy) / 2;
  double least = mean - sqrt (half_xx * half_xx + quality->xy * quality->xy) - variance / 2 * pixels;
  /* What noise alone could pretend is no structure: its chance, and a tenth of it for the variance being a guess. */
  if (least <= spread + 0.1 * variance / 2 * pixels)
    return INFINITY;
  return (float) sqrt (2 * (variance > 1e-3 ? variance : 1e-3) / least);
}

/* The noise that two patches' bounds go by: given, or what both have in the mean; but not less than a patch has itself, or
 * noise that only one of them has would be its structure. */
NOTCH_FN double
notch_quality_noise (const NotchQuality *own, const NotchQuality *other, double given)
{
  if (given > 0)
    return given * given;
  return own->variance > other->variance ? own->variance : 0.5 * (own->variance + other->variance);
}

/* Cycles a patch: beyond these a frequency counts in full. */
#define NOTCH_COARSE 8

/* The coarsest frequencies count little: they hold slopes of brightness, which lie otherwise in every patch and pull the
 * peak aside, and next to nothing that tells a shift. `square`: of the frequency, cycles a patch. */
NOTCH_FN float
notch_coarse_weight (int square)
{
  return square > NOTCH_COARSE * NOTCH_COARSE ? 1 : 1 - expf (-(float) square / 8);
}

/* The highest frequency of an even number of samples has no partner and is left out; the others stand for two, but for the
 * lowest. */
NOTCH_FN double
notch_series_weight (int kx, int n)
{
  return kx >= n / 2 ? 0 : kx == 0 ? 1 : 2;
}

/* Value, gradient and second derivatives of a correlation. */
typedef struct {
  double f, fx, fy, fxx, fxy, fyy;
} NotchSeries;

/* Newton's step to the maximum from where the series was taken, px; false: there is none near. */
NOTCH_FN bool
notch_series_step (const NotchSeries *s, double *dx, double *dy)
{
  double det = s->fxx * s->fyy - s->fxy * s->fxy;
  if (!(s->fxx < 0) || !(det > 0)) /* not a maximum's bowl */
    return false;
  *dx = -(s->fyy * s->fx - s->fxy * s->fy) / det, *dy = -(s->fxx * s->fy - s->fxy * s->fx) / det;
  return fabs (*dx) <= 1 && fabs (*dy) <= 1;
}

#define NOTCH_SERIES_STEPS 4

/* Is the step the last one that is worth taking? */
NOTCH_FN bool
notch_series_done (double dx, double dy)
{
  return fabs (dx) < 1e-4 && fabs (dy) < 1e-4;
}

/* Whole-pixel peak within the search, the second peak outside 5 x 5 around it, mean and spread outside 11 x 11. */
typedef struct {
  int x, y;
  float value, second;
  double mean, deviation;
} NotchCorrelation;

#define NOTCH_PEAK_NEAR 2 /* px: what is this near a peak is part of it */
#define NOTCH_PEAK_SIDE 5 /* px: what is further is side lobes */

NOTCH_FN int
notch_correlation_reach (float search, int n)
{
  return search < (float) n / 2 - 2 ? (int) ceilf (search) : n / 2 - 2;
}

/* The sample at a shift of (x, y) px, which may be negative, of a correlation of n x n px. */
NOTCH_FN float
notch_correlation_at (const float *r, int n, int x, int y)
{
  return r[(ptrdiff_t) ((y % n + n) % n) * n + (x % n + n) % n];
}

/* Is it a maximum of its own, not the flank of another? */
NOTCH_FN bool
notch_correlation_rival (const float *r, int n, int x, int y, float v)
{
  return v >= notch_correlation_at (r, n, x - 1, y) && v >= notch_correlation_at (r, n, x + 1, y)
         && v >= notch_correlation_at (r, n, x, y - 1) && v >= notch_correlation_at (r, n, x, y + 1);
}

/* Mean and spread of the side lobes, from the sums over all n x n samples less those around the peak. */
NOTCH_FN void
notch_correlation_lobes (const float *r, int n, double sum, double sum2, NotchCorrelation *peak)
{
  const int side = 2 * NOTCH_PEAK_SIDE + 1;
  double count = (double) n * n - side * side;
  for (int y = -NOTCH_PEAK_SIDE; y <= NOTCH_PEAK_SIDE; y++)
    for (int x = -NOTCH_PEAK_SIDE; x <= NOTCH_PEAK_SIDE; x++) {
      double v = notch_correlation_at (r, n, peak->x + x, peak->y + y);
      sum -= v, sum2 -= v * v;
    }
  peak->mean = sum / count;
  double variance = sum2 / count - peak->mean * peak->mean;
  peak->deviation = variance > 0 ? sqrt (variance) : 0;
}

/* Fills in what the peak on whole pixels tells; false: there is none. */
NOTCH_FN bool
notch_shift_begin (const NotchCorrelation *peak, NotchShiftFound *found)
{
  if (!(peak->value > 0) || peak->deviation <= 0)
    return false;
  found->psr = (float) ((peak->value - peak->mean) / peak->deviation);
  found->ambiguity = peak->second > 0 ? peak->second / peak->value : 0;
  return true;
}

/* And where the refinement ended; one that ran away is not believed. */
NOTCH_FN void
notch_shift_end (const NotchCorrelation *peak, double x, double y, NotchShiftFound *found)
{
  if (fabs (x - peak->x) <= 1.5 && fabs (y - peak->y) <= 1.5)
    found->dx = (float) x, found->dy = (float) y;
  else
    found->dx = (float) peak->x, found->dy = (float) peak->y, found->ambiguity = 1;
}
