/* fft.c - FFTW behind fft.h */
#include "kernels/cpu/fft.h"

#include <fftw3.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

struct NotchFft {
  fftwf_plan forward, inverse;
};

static pthread_mutex_t planning = PTHREAD_MUTEX_INITIALIZER;

const char *
notch_fft_library (void)
{
  return fftwf_version;
}

/* FFTW's own memory is aligned for half of the widest vectors, and each of those would lie in two lines of the cache. */
enum { CACHE_LINE = 64 };

float *
notch_fft_alloc (size_t n_floats)
{
  void *memory = NULL;
  if (n_floats > SIZE_MAX / sizeof (float) || posix_memalign (&memory, CACHE_LINE, n_floats * sizeof (float)) != 0)
    return NULL;
  return memory;
}

void
notch_fft_release (float *memory)
{
  free (memory);
}

NotchFft *
notch_fft_new (int ny, int nx)
{
  NotchFft *fft = calloc (1, sizeof *fft);
  float *real = notch_fft_alloc ((size_t) ny * (size_t) nx);
  fftwf_complex *complex_ = (fftwf_complex *) notch_fft_alloc (2 * (size_t) ny * (size_t) (nx / 2 + 1));
  if (fft && real && complex_) {
    pthread_mutex_lock (&planning);
    fft->forward = fftwf_plan_dft_r2c_2d (ny, nx, real, complex_, FFTW_ESTIMATE | FFTW_PRESERVE_INPUT);
    fft->inverse = fftwf_plan_dft_c2r_2d (ny, nx, complex_, real, FFTW_ESTIMATE | FFTW_DESTROY_INPUT);
    pthread_mutex_unlock (&planning);
  }
  notch_fft_release (real);
  notch_fft_release ((float *) complex_);
  if (fft && (!fft->forward || !fft->inverse)) {
    notch_fft_free (fft);
    fft = NULL;
  }
  return fft;
}

void
notch_fft_free (NotchFft *fft)
{
  if (!fft)
    return;
  pthread_mutex_lock (&planning);
  fftwf_destroy_plan (fft->forward);
  fftwf_destroy_plan (fft->inverse);
  pthread_mutex_unlock (&planning);
  free (fft);
}

void
notch_fft_forward (const NotchFft *fft, float *in, float *out)
{
  fftwf_execute_dft_r2c (fft->forward, in, (fftwf_complex *) out);
}

void
notch_fft_inverse (const NotchFft *fft, float *in, float *out)
{
  fftwf_execute_dft_c2r (fft->inverse, (fftwf_complex *) in, out);
}
