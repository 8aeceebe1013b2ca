/* fn.h - a function that gcc and nvcc both read
 *
 * What a pixel, a sample or a blob is stands once, in these headers. The language is what C11 and C++17 have in common.
 * No explicit fused multiply-add, and both compilers are told not to contract: + - x / and square root then round alike
 * on every device. */
#pragma once

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __CUDACC__
#define NOTCH_FN static __host__ __device__ __forceinline__
#else
#define NOTCH_FN static inline __attribute__ ((always_inline, unused))
#endif
