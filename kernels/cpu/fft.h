/* fft.h - the CPU's Fourier transform, behind this one file
 *
 * FFTW is under the GPL; another library fits here by giving these functions. Plans are made under a lock and by
 * estimate only: timing would make the choice, and so the last bits, a matter of chance. Executing is thread-safe. */
#pragma once

#include <stddef.h>

typedef struct NotchFft NotchFft;

/* A pair of real transforms of ny x nx. NULL when there is no memory. */
NotchFft *notch_fft_new (int ny, int nx);
void notch_fft_free (NotchFft *fft);
/* `in`: ny x nx floats, kept. `out`: ny x (nx/2 + 1) interleaved complex. Both from notch_fft_alloc. */
void notch_fft_forward (const NotchFft *fft, float *in, float *out);
/* The other way, without the factor 1/(ny nx). `in` is overwritten. */
void notch_fft_inverse (const NotchFft *fft, float *in, float *out);

/* Which library it is, and its version. */
const char *notch_fft_library (void);

/* Memory aligned for transforms and for vectors of any width; NULL when there is none. Freed by notch_fft_release. */
float *notch_fft_alloc (size_t n_floats);
void notch_fft_release (float *memory);
