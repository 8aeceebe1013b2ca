/* overrun-global.cu - the last block has more threads than there are values */
#include "kernels/cuda/launch.cuh"

#include "tests/cudahost/bad/bad.h"

static __global__ void
double_kernel (float *value, int n)
{
  int i = (int) (blockIdx.x * blockDim.x + threadIdx.x);
#ifdef FIXED
  if (i >= n)
    return;
#endif
  value[i] *= 2;
}

int
main ()
{
  const int n = 100;
  float *value = bad_new<float> (n);
  cudaMemset (value, 0, n * sizeof *value);
  NOTCH_LAUNCH (double_kernel, (n + 31) / 32, 32, 0, 0, value, n);
  return bad_end (value, 0.0f);
}
