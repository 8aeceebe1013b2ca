/* score.h - the statistics of scoring */
#pragma once

#include "inspect/notch.h"

/* 95 % confidence interval of a proportion k / n (Wilson 1927); 0 to 1 when n is 0. */
void notch_score_wilson (int k, int n, double *low, double *high);

/* Capture against SNR: P = top / (1 + exp (-slope (SNR - middle))). */
typedef struct {
  double top, slope, middle;
  double snr50, snr90; /* where P is 0.5 and 0.9; NAN where the curve does not get there */
} NotchScoreCurve;
/* Fits the curve to n trials by maximum likelihood. FALSE when there are fewer than 20 trials, 3 captured or 3 missed,
 * or capture does not rise with SNR: nothing can be said then. */
gboolean notch_score_fit (const double *snr, const gboolean *captured, int n, NotchScoreCurve *curve);
