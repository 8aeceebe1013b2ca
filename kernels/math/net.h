/* net.h - what an element of a network's layer is */
#pragma once

#include "kernels/math/fn.h"
#include "kernels/net.h"

/* ---- batch normalisation ---------------------------------------------------------------------------------------- */

NOTCH_FN float
notch_net_normal (float x, float mean, float inverse, float gain, float shift)
{
  float y = (x - mean) * inverse * gain + shift;
  return y > 0 ? y : 0;
}

/* Mean, 1 / sd and the running ones of a channel, from the sums of n values and of their squares. */
NOTCH_FN void
notch_net_settle (double sum, double squares, double n, float momentum, float *mean, float *inverse,
                  float *running_mean, float *running_variance)
{
  double m = sum / n, variance = squares / n - m * m;
  variance = variance > 0 ? variance : 0;
  *mean = (float) m;
  *inverse = (float) (1 / sqrt (variance + (double) NOTCH_NET_EPSILON));
  *running_mean += momentum * ((float) m - *running_mean);
  *running_variance += momentum * ((float) variance - *running_variance);
}

/* The derivative by x, from that by y, where y is above 0; the other two are the sums over the rows, divided by their
 * number, of the derivative by `shift` and by `gain`. */
NOTCH_FN float
notch_net_normal_back (float x, float y, float dy, float mean, float inverse, float gain, float dshift, float dgain)
{
  float d = y > 0 ? dy : 0;
  return gain * inverse * (d - dshift - (x - mean) * inverse * dgain);
}

/* ---- loss ---------------------------------------------------------------------------------------------------------- */

/* Softmax of a row, and where there is a target its loss and derivatives. */
NOTCH_FN float
notch_net_softmax (const float *logit, const float *target, float weight, int classes, float *probability,
                   float *dlogit)
{
  float largest = logit[0], sum = 0, loss = 0;
  for (int c = 1; c < classes; c++)
    largest = logit[c] > largest ? logit[c] : largest;
  for (int c = 0; c < classes; c++)
    sum += probability[c] = expf (logit[c] - largest);
  for (int c = 0; c < classes; c++)
    probability[c] /= sum;
  for (int c = 0; target && c < classes; c++) {
    loss += weight * target[c] * (largest + logf (sum) - logit[c]);
    dlogit[c] = weight * (probability[c] - target[c]);
  }
  return loss;
}

/* A row of `loss`. */
NOTCH_FN void
notch_net_loss_row (const NotchNetLoss *a, int row)
{
  size_t at = (size_t) row * (size_t) a->classes;
  const float *target = a->target ? a->target + at : NULL;
  float loss = notch_net_softmax (a->logit + at, target, a->weight, a->classes, a->probability + at,
                                  target ? a->dlogit + at : NULL);
  if (target)
    a->loss[row] = loss;
}

/* ---- AdamW --------------------------------------------------------------------------------------------------------- */

#define NOTCH_NET_BETA1 0.9f
#define NOTCH_NET_BETA2 0.999f

/* What the running means of `step` steps lack, for they began at 0: 1 / (1 - beta^step). */
NOTCH_FN float
notch_net_unbias (double beta, int64_t step)
{
  return (float) (1 / (1 - pow (beta, (double) step)));
}

NOTCH_FN void
notch_net_adamw (float *weight, float *mean, float *square, float gradient, float rate, float decay, float unbias1,
                 float unbias2)
{
  *mean += (1 - NOTCH_NET_BETA1) * (gradient - *mean);
  *square += (1 - NOTCH_NET_BETA2) * (gradient * gradient - *square);
  *weight -= rate * (*mean * unbias1 / (sqrtf (*square * unbias2) + 1e-8f) + decay * *weight);
}
