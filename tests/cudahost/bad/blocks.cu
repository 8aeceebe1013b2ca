/* blocks.cu - a block reads what another one writes, in one launch */
#include "kernels/cuda/launch.cuh"

#include "tests/cudahost/bad/bad.h"

static __global__ void
smooth_kernel (const int *from, int *to, int n)
{
  int i = (int) (blockIdx.x * blockDim.x + threadIdx.x);
  to[i] = from[i] + (i + 1 < n ? from[i + 1] : 0);
}

int
main ()
{
  const int n = 64;
  int *from = bad_new<int> (n), *to = bad_new<int> (n);
  cudaMemset (from, 1, n * sizeof *from);
#ifndef FIXED
  to = from; /* in place */
#endif
  NOTCH_LAUNCH (smooth_kernel, 2, 32, 0, 0, from, to, n);
  return bad_end (to + 31, 0x02020202);
}
