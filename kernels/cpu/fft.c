/* fft.c - FFTW behind fft.h */
#include "kernels/cpu/fft.h"

#include <fftw3.h>
#include <pthread.h>
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

float *
notch_fft_alloc (size_t n_floats)
{
  return fftwf_alloc_real (n_floats);
}

void
notch_fft_release (float *memory)
{
  fftwf_free (memory);
}

NotchFft *
notch_fft_new (int ny, int nx)
{
  NotchFft *fft = calloc (1, sizeof *fft);
  float *real = fftwf_alloc_real ((size_t) ny * (size_t) nx);
  fftwf_complex *complex_ = fftwf_alloc_complex ((size_t) ny * (size_t) (nx / 2 + 1));
  if (fft && real && complex_) {
    pthread_mutex_lock (&planning);
    fft->forward = fftwf_plan_dft_r2c_2d (ny, nx, real, complex_, FFTW_ESTIMATE | FFTW_PRESERVE_INPUT);
    fft->inverse = fftwf_plan_dft_c2r_2d (ny, nx, complex_, real, FFTW_ESTIMATE | FFTW_DESTROY_INPUT);
    pthread_mutex_unlock (&planning);
  }
  fftwf_free (real);
  fftwf_free (complex_);
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

struct NotchFftPass {
  fftwf_plan row_forward, row_inverse, columns_forward, columns_inverse;
};

NotchFftPass *
notch_fft_pass_new (int n, int stride)
{
  const int many = NOTCH_FFT_COLUMNS;
  NotchFftPass *pass = calloc (1, sizeof *pass);
  float *row = fftwf_alloc_real ((size_t) n);
  fftwf_complex *half = fftwf_alloc_complex ((size_t) n / 2 + 1), *block = fftwf_alloc_complex ((size_t) (n * many)),
                *wide = fftwf_alloc_complex ((size_t) n * (size_t) stride);
  if (pass && row && half && block && wide) {
    pthread_mutex_lock (&planning);
    pass->row_forward = fftwf_plan_dft_r2c_1d (n, row, half, FFTW_ESTIMATE | FFTW_PRESERVE_INPUT);
    pass->row_inverse = fftwf_plan_dft_c2r_1d (n, half, row, FFTW_ESTIMATE | FFTW_DESTROY_INPUT);
    pass->columns_forward =
        fftwf_plan_many_dft (1, &n, many, block, NULL, many, 1, block, NULL, many, 1, FFTW_FORWARD, FFTW_ESTIMATE);
    pass->columns_inverse = fftwf_plan_many_dft (1, &n, many, block, NULL, many, 1, wide, NULL, stride, 1,
                                                 FFTW_BACKWARD, FFTW_ESTIMATE | FFTW_DESTROY_INPUT);
    pthread_mutex_unlock (&planning);
  }
  fftwf_free (row);
  fftwf_free (half);
  fftwf_free (block);
  fftwf_free (wide);
  if (pass && (!pass->row_forward || !pass->row_inverse || !pass->columns_forward || !pass->columns_inverse)) {
    notch_fft_pass_free (pass);
    pass = NULL;
  }
  return pass;
}

void
notch_fft_pass_free (NotchFftPass *pass)
{
  if (!pass)
    return;
  pthread_mutex_lock (&planning);
  fftwf_destroy_plan (pass->row_forward);
  fftwf_destroy_plan (pass->row_inverse);
  fftwf_destroy_plan (pass->columns_forward);
  fftwf_destroy_plan (pass->columns_inverse);
  pthread_mutex_unlock (&planning);
  free (pass);
}

void
notch_fft_row_forward (const NotchFftPass *pass, float *in, float *out)
{
  fftwf_execute_dft_r2c (pass->row_forward, in, (fftwf_complex *) out);
}

void
notch_fft_row_inverse (const NotchFftPass *pass, float *in, float *out)
{
  fftwf_execute_dft_c2r (pass->row_inverse, (fftwf_complex *) in, out);
}

void
notch_fft_columns_forward (const NotchFftPass *pass, float *block)
{
  fftwf_execute_dft (pass->columns_forward, (fftwf_complex *) block, (fftwf_complex *) block);
}

void
notch_fft_columns_inverse (const NotchFftPass *pass, float *block, float *out)
{
  fftwf_execute_dft (pass->columns_inverse, (fftwf_complex *) block, (fftwf_complex *) out);
}
