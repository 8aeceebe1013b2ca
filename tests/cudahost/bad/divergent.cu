/* Half a warp waits for the other half, which goes another way. */
static __global__ void
branch_kernel (int *to, bool planted)
{
  if (threadIdx.x < 16 || !planted)
    to[threadIdx.x] = __shfl_xor_sync (0xffffffffu, (int) threadIdx.x, 1);
  __syncthreads ();
}

static bool
divergent (bool planted)
{
  Memory<int> to (32);
  NOTCH_LAUNCH (branch_kernel, 1, 32, 0, 0, to.at, planted);
  return to.home (5) == 4;
}
