/* A block's count starts from what its shared memory happens to hold, and the grid's from what a card's memory does. */
static __global__ void
count_kernel (int *total, bool planted)
{
  NOTCH_SHARED (int, n, 1);
  if (threadIdx.x == 0 && !planted)
    *n = 0;
  __syncthreads ();
  atomicAdd (n, 1);
  __syncthreads ();
  if (threadIdx.x == 0)
    atomicAdd (total, *n);
}

static bool
uninitialised_shared (bool planted)
{
  Memory<int> total (1);
  cudaMemset (total.at, 0, sizeof (int));
  NOTCH_LAUNCH (count_kernel, 3, 32, 0, 0, total.at, planted);
  return total.home (0) == 96;
}

static bool
uninitialised_global (bool planted)
{
  Memory<int> total (1);
  if (!planted)
    cudaMemset (total.at, 0, sizeof (int));
  NOTCH_LAUNCH (count_kernel, 3, 32, 0, 0, total.at, false);
  return total.home (0) == 96;
}
