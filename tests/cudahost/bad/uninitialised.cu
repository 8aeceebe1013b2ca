/* uninitialised.cu - threads count into a total that nobody has set to 0 */
#include "kernels/cuda/launch.cuh"

#include "tests/cudahost/bad/bad.h"

static __global__ void
count_kernel (int *total)
{
  atomicAdd (total, 1);
}

int
main ()
{
  int *total = bad_new<int> (1);
#ifdef FIXED
  cudaMemset (total, 0, sizeof *total);
#endif
  NOTCH_LAUNCH (count_kernel, 3, 32, 0, 0, total);
  return bad_end (total, 96);
}
