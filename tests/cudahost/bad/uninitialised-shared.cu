/* uninitialised-shared.cu - a block's count starts from what the block before has left */
#include "kernels/cuda/launch.cuh"

#include "tests/cudahost/bad/bad.h"

static __global__ void
count_kernel (int *most)
{
  NOTCH_SHARED (int, n, 1);
#ifdef FIXED
  if (threadIdx.x == 0)
    *n = 0;
  __syncthreads ();
#endif
  atomicAdd (n, 1);
  __syncthreads ();
  if (threadIdx.x == 0)
    atomicMax (most, *n);
}

int
main ()
{
  int *most = bad_new<int> (1);
  cudaMemset (most, 0, sizeof *most);
  NOTCH_LAUNCH (count_kernel, 3, 32, 0, 0, most);
  return bad_end (most, 32);
}
