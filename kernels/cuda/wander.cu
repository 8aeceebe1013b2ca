/* wander.cu - the part of `fit` that forgives edges which wander */
#include "kernels/cuda/lane.cuh"
#include "kernels/math/noise.h"

/* The least and the largest of what lies up to `reach` beside each pixel of a row; beyond its ends there is nothing. */
static __global__ void
extremes_along (NotchLane lane, int reach, float *low, float *high)
{
  int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y, size = lane.is.size;
  if (x >= size || y >= size)
    return;
  size_t row = (size_t) blockIdx.z * lane.area + (size_t) y * size;
  const float *ref = lane.plane[NOTCH_PLANE_REF] + row;
  float least = ref[x], most = least;
  for (int u = max (x - reach, 0); u <= min (x + reach, size - 1); u++) {
    least = ref[u] < least ? ref[u] : least;
    most = ref[u] > most ? ref[u] : most;
  }
  low[row + x] = least, high[row + x] = most;
}

/* The same along columns, and what is beyond. A residual that is no number stays one; where nothing is compared it stays 0. */
static __global__ void
forgive (NotchLane lane, int reach, const float *low, const float *high)
{
  int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y, size = lane.is.size;
  if (x >= size || y >= size)
    return;
  size_t tile = (size_t) blockIdx.z * lane.area + x, at = tile + (size_t) y * size;
  float least = low[at], most = high[at], res = lane.plane[NOTCH_PLANE_RES][at];
  for (int v = max (y - reach, 0); v <= min (y + reach, size - 1); v++) {
    float a = low[tile + (size_t) v * size], b = high[tile + (size_t) v * size];
    least = a < least ? a : least;
    most = b > most ? b : most;
  }
  if (res > 0.0f || res < 0.0f)
    lane.plane[NOTCH_PLANE_RES][at] = notch_noise_beyond (lane.plane[NOTCH_PLANE_TEST][at], least, most);
}

int
notch_cuda_wander (NotchLane *lane, int reach)
{
  float *low = lane->plane[NOTCH_PLANE_Z], *high = lane->scratch; /* neither is in use before normalise */
  NOTCH_LAUNCH (extremes_along, notch_cuda_pixel_grid (lane), NOTCH_CUDA_PIXEL_BLOCK, 0, lane->stream, *lane, reach,
                low, high);
  NOTCH_LAUNCH (forgive, notch_cuda_pixel_grid (lane), NOTCH_CUDA_PIXEL_BLOCK, 0, lane->stream, *lane, reach, low,
                high);
  NOTCH_CUDA_LAUNCHED (lane, "forgiving edges");
  return 0;
}
