/* bundle.h - Fourier transforms of many series side by side
 *
 * A *bundle* is 16 series of one length: rows of 16 floats, of which row k has sample k of each. Where samples are complex, a
 * row of real parts is followed by one of imaginary parts. Whatever is done to a series is so done to vectors, of whatever
 * width the processor has, and needs a third of the time that a library takes which transforms a row at a time. Lengths have
 * no factors but 2, 3 and 5. Nothing is divided by the length. */
#pragma once

#include <stddef.h>

#define NOTCH_BUNDLE 16

typedef struct NotchBundleFft NotchBundleFft;

/* For series of n samples; n is even where they are real. NULL: n has another factor, or there is no memory. */
NotchBundleFft *notch_bundle_fft_new (int n);
void notch_bundle_fft_free (NotchBundleFft *fft);

/* All of these overwrite `in` and `work`, which are of one size; `out` is neither of them. */
void notch_bundle_forward (const NotchBundleFft *fft, float *in, float *work, float *out);
void notch_bundle_inverse (const NotchBundleFft *fft, float *in, float *work, float *out);
/* `in`: n real samples; `out`: n/2 + 1 complex frequencies. */
void notch_bundle_real_forward (const NotchBundleFft *fft, float *in, float *work, float *out);
/* The other way. The highest frequency is not read: it is taken for 0. */
void notch_bundle_real_inverse (const NotchBundleFft *fft, float *in, float *work, float *out);

/* Puts rows where columns were: `columns` rows of `rows` floats. Strides are in floats. */
void notch_bundle_turn (const float *from, ptrdiff_t from_stride, int rows, int columns, float *to,
                        ptrdiff_t to_stride);
