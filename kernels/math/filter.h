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
