/* filter.h - transfer functions of the matched filters
 *
 * A defect that has the shape t in noise of power spectrum S is found best by correlating with t / S; every response is
 * scaled to unit variance on that noise, so that responses are SNRs. */
#pragma once

#include "kernels/kernels.h"
#include "kernels/math/fn.h"

/* Transfer of a channel's template at the frequency (fx, fy), cycles a pixel. A blob is a Gaussian; a line is a Gaussian
 * across times a box along, smoothed at its ends. A wider Gaussian is taken off so that slow shading does not pass: for
 * scale s it has 3.5 s, for a line at least 12 px, as it costs more SNR across a line than around a blob; but at most the
 * tile's halo: what little reaches further wraps around, and is noise like the rest. */
static inline double
notch_channel_transfer (const NotchChannel *channel, double halo, double fx, double fy)
{
  const double pi = 3.14159265358979323846;
  double f2 = fx * fx + fy * fy, s = channel->sigma;
  double wide = 3.5 * s;
  if (channel->kind == NOTCH_CHANNEL_LINE && wide < 12)
    wide = 12;
  if (wide > halo)
    wide = halo;
  if (wide < 4)
    wide = 4;
  double template_, wide2 = wide * wide;
  if (channel->kind == NOTCH_CHANNEL_LINE) {
    double along = fx * cos (channel->angle) + fy * sin (channel->angle);
    double across = -fx * sin (channel->angle) + fy * cos (channel->angle);
    double t = 2 * pi * along * channel->length;
    double box = t > -1e-9 && t < 1e-9 ? 1 : sin (t) / t;
    template_ = box * exp (-2 * pi * pi * (s * s * across * across + along * along));
    f2 = across * across;
  } else
    template_ = exp (-2 * pi * pi * s * s * f2);
  return template_ * (1 - exp (-2 * pi * pi * wide2 * f2));
}

/* How often a channel's response is halved: 0, 1 or 2; -1: the decimation is none of ours. */
NOTCH_FN int
notch_channel_level (int decimate)
{
  return decimate == 1 ? 0 : decimate == 2 ? 1 : decimate == 4 ? 2 : -1;
}

/* The signed frequency of bin i of n, cycles a pixel. */
static inline double
notch_bin_frequency (int i, int n)
{
  return (double) (i <= n / 2 ? i : i - n) / n;
}

/* What bin (x, y) of a tile's spectrum is multiplied by, for a response of side x side pixels of a tile of size x size, but
 * for notch_channel_scale of all the variance that bins add up. `whiten`: as in NotchLaneSize. */
static inline double
notch_channel_bin (const NotchChannel *channel, const float *whiten, int halo, int size, int side, int x, int y,
                   double *variance)
{
  double fy = notch_bin_frequency (y, side) * side / size, fx = (double) x / size;
  /* The highest frequency of a reduced spectrum has no partner; it carries next to nothing. */
  if (y == side / 2 || x >= side / 2)
    return 0;
  ptrdiff_t at = (ptrdiff_t) (fy < 0 ? y - side + size : y) * (size / 2 + 1) + x;
  double noise = whiten ? whiten[at] : 1;
  double transfer = notch_channel_transfer (channel, halo, fx, fy) / noise;
  *variance += (x == 0 ? 1 : 2) * transfer * transfer * noise;
  return transfer;
}

/* White noise of sigma 1 has E |Z|^2 = size^2 in every bin, and the inverse transform is not divided by size^2. */
static inline double
notch_channel_scale (double variance, int size)
{
  return variance > 0 ? 1 / (sqrt (variance) * size) : 0;
}

/* The bin of a channel's histogram that a response of this size is in. */
NOTCH_FN int
notch_histogram_bin (float size)
{
  float bin = size / NOTCH_HISTOGRAM_STEP; /* compared before the cast, which knows no large number */
  return bin < NOTCH_HISTOGRAM_BINS ? (int) bin : NOTCH_HISTOGRAM_BINS - 1;
}

#define NOTCH_NULL_SIGMA 4 /* responses below are the null's, and count for its variance */

/* Of a response on every d-th pixel, those samples that have their own pixel and the next one in a core from `first` on that
 * is n px long: from *begin to before *end. */
NOTCH_FN void
notch_null_range (int first, int n, int d, int *begin, int *end)
{
  *begin = (first + d - 1) / d;
  *end = (first + n) / d - 1;
}
