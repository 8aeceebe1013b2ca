/* A sum in shared memory that doesn't wait between its steps. */
static __global__ void
sum_kernel (int *sum, bool planted)
{
  NOTCH_SHARED (int, part, 64);
  part[threadIdx.x] = (int) threadIdx.x;
  __syncthreads ();
  for (unsigned step = 32; step > 0; step /= 2) {
    if (threadIdx.x < step)
      part[threadIdx.x] += part[threadIdx.x + step];
    if (!planted)
      __syncthreads ();
  }
  if (threadIdx.x == 0)
    *sum = part[0];
}

static bool
barrier (bool planted)
{
  Memory<int> sum (1);
  NOTCH_LAUNCH (sum_kernel, 1, 64, 0, 0, sum.at, planted);
  return sum.home (0) == 2016;
}
