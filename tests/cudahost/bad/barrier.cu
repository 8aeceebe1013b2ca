/* barrier.cu - a sum in shared memory that doesn't wait between its steps */
#include "kernels/cuda/launch.cuh"

#include "tests/cudahost/bad/bad.h"

static __global__ void
sum_kernel (int *sum)
{
  NOTCH_SHARED (int, part, 64);
  part[threadIdx.x] = (int) threadIdx.x;
  __syncthreads ();
  for (unsigned step = 32; step > 0; step /= 2) {
    if (threadIdx.x < step)
      part[threadIdx.x] += part[threadIdx.x + step];
#ifdef FIXED
    __syncthreads ();
#endif
  }
  if (threadIdx.x == 0)
    *sum = part[0];
}

int
main ()
{
  int *sum = bad_new<int> (1);
  NOTCH_LAUNCH (sum_kernel, 1, 64, 0, 0, sum);
  return bad_end (sum, 2016);
}
