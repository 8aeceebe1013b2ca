/* launch.cuh - the words in which kernels are written
 *
 * Every .cu file is compiled twice from one text: by nvcc for cards, and by g++ against a stand-in for the CUDA runtime
 * (tests/cudahost) that runs it on the host under sanitizers. This is the one place where the two differ. Kernels
 *
 *   - are launched by NOTCH_LAUNCH, and the launch is judged by cudaGetLastError ();
 *   - have shared memory by NOTCH_SHARED and NOTCH_SHARED_DYNAMIC;
 *   - read and write by NOTCH_LOAD and NOTCH_STORE what threads of the same launch write with no barrier between, and count
 *     on no order among such words; __threadfence () orders, on both sides of the word that tells;
 *   - shuffle and vote as whole warps: blocks are multiples of 32 threads, none of which has left. */
#pragma once

#include <cuda_runtime.h>

#ifdef __CUDACC__

/* Starts kernel (arguments...) on `grid` blocks of `block` threads with `shared` bytes of dynamic shared memory. A template's
 * name with a comma in it goes in parentheses. */
/* clang-format off */
#define NOTCH_LAUNCH(kernel, grid, block, shared, stream, ...) kernel<<<grid, block, shared, stream>>> (__VA_ARGS__)
/* clang-format on */

/* T name[n], one a block; n is a constant. Its values are anything at first. */
#define NOTCH_SHARED(T, name, n) __shared__ T name[n]

/* T *name: the dynamic shared memory that the launch asked for, aligned to 16 bytes. */
#define NOTCH_SHARED_DYNAMIC(T, name)                                                                                  \
  extern __shared__ uint4 notch_shared_dynamic[];                                                                      \
  T *name = reinterpret_cast<T *> (notch_shared_dynamic)

template <class T>
static __device__ __forceinline__ T
NOTCH_LOAD (const T *word)
{
  return *const_cast<const volatile T *> (word);
}

template <class T>
static __device__ __forceinline__ void
NOTCH_STORE (T *word, T value)
{
  *const_cast<volatile T *> (word) = value;
}

#else

#define NOTCH_LAUNCH(kernel, grid, block, shared, stream, ...)                                                         \
  cudahost_launch (#kernel, kernel, grid, block, shared, stream, __VA_ARGS__)

#define NOTCH_SHARED(T, name, n)                                                                                       \
  static const char name##_is_here = 0;                                                                                \
  T (&name)[n] = *static_cast<T (*)[n]> (cudahost_shared (&name##_is_here, sizeof (T[n])))

#define NOTCH_SHARED_DYNAMIC(T, name) T *name = static_cast<T *> (cudahost_shared (nullptr, 0))

template <class T>
static inline T
NOTCH_LOAD (const T *word)
{
  T value;
  __atomic_load (word, &value, __ATOMIC_RELAXED);
  return value;
}

template <class T>
static inline void
NOTCH_STORE (T *word, T value)
{
  __atomic_store (word, &value, __ATOMIC_RELAXED);
}

#endif
