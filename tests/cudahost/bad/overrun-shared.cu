/* Every thread leaves its neighbour a value; there is no place for the last one's. */
static __global__ void
slope_kernel (float *slope, bool planted)
{
  NOTCH_SHARED (float, value, 64);
  const unsigned here = threadIdx.x, next = here < 63 || planted ? here + 1 : 0;
  float *place = value;
  place[next] = (float) here;
  __syncthreads ();
  slope[here] = value[here];
}

static bool
overrun_shared (bool planted)
{
  Memory<float> slope (64);
  NOTCH_LAUNCH (slope_kernel, 1, 64, 0, 0, slope.at, planted);
  return slope.home (0) == 63;
}
