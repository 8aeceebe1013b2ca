/* noise.h - how much a pixel of the residual may vary */
#pragma once

#include "kernels/kernels.h"
#include "kernels/math/fn.h"

/* Derivatives of a plane at p, rows `stride` apart; p must have a neighbour on every side. */
NOTCH_FN float
notch_grad_x (const float *p)
{
  return 0.5f * (p[1] - p[-1]);
}

NOTCH_FN float
notch_grad_y (const float *p, ptrdiff_t stride)
{
  return 0.5f * (p[stride] - p[-stride]);
}

NOTCH_FN float
notch_laplacian (const float *p, ptrdiff_t stride)
{
  return (p[1] + p[-1]) + (p[stride] + p[-stride]) - 4.0f * p[0];
}

/* Variance of the residual where the reference has this level and these derivatives: read noise and quantisation (a),
 * shot noise (b), what is left of misregistration (c) and of focus differences (d) at edges, gain (e).
 * Grey levels squared. */
NOTCH_FN float
notch_noise_variance (const NotchNoise *noise, float level, float gx, float gy, float laplacian)
{
  float positive = level > 0.0f ? level : 0.0f;
  return noise->a + noise->b * positive + noise->c * (gx * gx + gy * gy) + noise->d * (laplacian * laplacian)
         + noise->e * (positive * positive);
}

/* How far a value is beyond an interval, with its sign; 0 within. */
NOTCH_FN float
notch_noise_beyond (float value, float low, float high)
{
  return value > high ? value - high : value < low ? value - low : 0.0f;
}

/* The model's variance joined with what a golden die saw at this very place: many dice know more of an edge that wanders
 * than a model does, few know less. Never less than the model: a place that happened to be quiet proves nothing. */
NOTCH_FN float
notch_noise_joined (float variance, float spread, float trust)
{
  float seen = trust * (spread * spread) + (1.0f - trust) * variance;
  return seen > variance ? seen : variance;
}
