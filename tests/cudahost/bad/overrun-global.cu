/* The last block has more threads than there are values. */
static __global__ void
double_kernel (float *value, int n, bool planted)
{
  int i = (int) (blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n || planted)
    value[i] *= 2;
}

static bool
overrun_global (bool planted)
{
  const int n = 100;
  Memory<float> value (n);
  cudaMemset (value.at, 0, n * sizeof (float));
  NOTCH_LAUNCH (double_kernel, (n + 31) / 32, 32, 0, 0, value.at, n, planted);
  return value.home (n - 1) == 0;
}
