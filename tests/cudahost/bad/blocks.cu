/* A block reads what another one writes in the same launch. */
static __global__ void
pair_kernel (const int *from, int *to, int n)
{
  int i = (int) (blockIdx.x * blockDim.x + threadIdx.x);
  to[i] = from[i] + (i + 1 < n ? from[i + 1] : 0);
}

static bool
blocks (bool planted)
{
  const int n = 64;
  Memory<int> from (n), to (n);
  int *result = planted ? from.at : to.at;
  cudaMemset (from.at, 1, n * sizeof (int));
  NOTCH_LAUNCH (pair_kernel, 2, 32, 0, 0, from.at, result, n);
  return (planted ? from : to).home (31) == 0x02020202;
}
