/* block.cuh - what the threads of a CUDA block find together: sums, and the value in the middle */
#pragma once

#include "kernels/cuda/launch.cuh"

/* The sum over a warp, in every thread of it. */
template <class T>
static __device__ __forceinline__ T
notch_warp_sum (T value)
{
  for (int by = 16; by > 0; by /= 2)
    value += __shfl_xor_sync (0xffffffffu, value, by);
  return value;
}

/* The sum over a block, in every thread of it. `word`: shared, one a warp. The order is always the same. */
template <class T>
static __device__ __forceinline__ T
notch_block_sum (T value, T *word)
{
  int warps = (int) blockDim.x / 32;
  T sum = 0;
  value = notch_warp_sum (value);
  __syncthreads ();
  if (threadIdx.x % 32 == 0)
    word[threadIdx.x / 32] = value;
  __syncthreads ();
  for (int i = 0; i < warps; i++)
    sum += word[i];
  return sum;
}

/* Where one of 256 counts holds the k-th value, and how many lie before it; by the block's first warp. */
static __device__ __forceinline__ void
notch_pick_count (const unsigned *count, unsigned k, unsigned *pick)
{
  int lane = (int) threadIdx.x;
  unsigned mine = 0;
  for (int i = 0; i < 8; i++)
    mine += count[8 * lane + i];
  unsigned before = mine;
  for (unsigned by = 1; by < 32; by *= 2) {
    unsigned other = __shfl_up_sync (0xffffffffu, before, by);
    before += lane >= (int) by ? other : 0;
  }
  before -= mine;
  if (k < before || k >= before + mine)
    return;
  int bin = 8 * lane;
  for (; before + count[bin] <= k; bin++)
    before += count[bin];
  pick[0] = (unsigned) bin, pick[1] = before;
}

/* The value that k of a block's values are less than; none is negative. `each (take)` has every thread give its own, the same
 * ones each time; `count` and `pick` are shared, 256 and 2 words. A number that is not negative orders like its bits: they are
 * found eight at a time. */
template <class Each>
static __device__ __forceinline__ float
notch_block_select (unsigned k, Each each, unsigned *count, unsigned *pick)
{
  unsigned prefix = 0, mask = 0;
  for (int shift = 24; shift >= 0; shift -= 8) {
    for (unsigned i = threadIdx.x; i < 256; i += blockDim.x)
      count[i] = 0;
    __syncthreads ();
    each ([=] (float value) {
      unsigned bits = __float_as_uint (value);
      if ((bits & mask) == prefix)
        atomicAdd (&count[bits >> shift & 255], 1u);
    });
    __syncthreads ();
    if (threadIdx.x < 32)
      notch_pick_count (count, k, pick);
    __syncthreads ();
    prefix |= pick[0] << shift, mask |= 255u << shift;
    k -= pick[1];
    __syncthreads ();
  }
  return __uint_as_float (prefix);
}
