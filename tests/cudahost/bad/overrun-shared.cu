/* overrun-shared.cu - every thread keeps a value and its right neighbour's place, which the last one has not */
#include "kernels/cuda/launch.cuh"

#include "tests/cudahost/bad/bad.h"

static __global__ void
slope_kernel (float *slope)
{
#ifdef FIXED
  NOTCH_SHARED (float, value, 65);
#else
  NOTCH_SHARED (float, value, 64);
#endif
  float *mine = value + threadIdx.x;
  if (threadIdx.x == 0)
    mine[0] = 0;
  mine[1] = (float) threadIdx.x + 1;
  __syncthreads ();
  slope[threadIdx.x] = mine[1] - mine[0];
}

int
main ()
{
  float *slope = bad_new<float> (64);
  NOTCH_LAUNCH (slope_kernel, 1, 64, 0, 0, slope);
  return bad_end (slope + 63, 1.0f);
}
