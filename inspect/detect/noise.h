/* noise.h - the statistics behind the promise: the noise model, the filters' null, the threshold */
#pragma once

#include "inspect/notch.h"
#include "kernels/kernels.h"

/* One pixel of the survey: what the model is fitted to. */
typedef struct {
  float level, gradient2, laplacian2, residual2;
} NotchNoiseSample;

/* Fits variance = a + b G + c |grad G|^2 + d (lap G)^2 + e G^2 with non-negative coefficients to n samples, robustly:
 * pixels beyond five sigmas of the last round are left out. a is at least `floor`. On up to `jobs` threads. */
NotchNoise notch_noise_fit (const NotchNoiseSample *sample, gsize n, double floor, int jobs);

/* Smooths the mean of n_tiles power spectra, size x (size/2 + 1) in units where white noise of sigma 1 is 1, by rings and
 * directions, and limits it to 0.3 to 30, so that it can be divided by. */
void notch_noise_smooth_spectrum (const double *sum, gint64 n_tiles, int size, float *whiten);

/* A Gaussian's sigma from the median of its size; 1 when nothing was counted. */
double notch_noise_spread (const NotchChannelStats *stats);

/* The gain that gives a channel's responses unit spread (median) and, where its tail is heavier than a Gaussian's, tames
 * that too: as counted between 3 and 4.5 sigmas, and as expected at the threshold u of responses whose variance is not the
 * same everywhere, as near rough edges (noise.c). Responses were counted with gain 1. */
double notch_noise_channel_gain (const NotchChannelStats *stats, double u);

/* Peaks a pixel of the full image above a threshold u that one channel gives without defects: the Euler characteristic
 * of a smooth Gaussian field, N sqrt (det Lambda) (2 pi)^-3/2 u exp (-u^2/2), Lambda the covariance of the gradient
 * (Adler 1981; Worsley et al. 1992), but never more than the pixels above it. Both polarities count when `two_sided`. */
double notch_noise_peaks (const NotchChannelStats *stats, int decimate, double u, gboolean two_sided);

/* Pixels whose scores are multiplied by `weight`, 0 to 1, before they meet the threshold. */
typedef struct {
  double weight, n_pixels;
} NotchNoiseArea;

/* The threshold at which the channels together give `expected` peaks in all areas: what is weighted by w has its own
 * threshold, u / w. */
double notch_noise_threshold (int n_channels, const NotchChannel *channel, const NotchChannelStats *stats, int n_areas,
                              const NotchNoiseArea *area, gboolean two_sided, double expected);
