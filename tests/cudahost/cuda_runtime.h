/* cuda_runtime.h - what kernels/cuda uses of the CUDA runtime, for g++; cudahost.cpp is behind it
 *
 * Names, arguments and results are those of CUDA. Words that several threads of a launch touch through atomics are atomic
 * here too, and unordered, so that the thread sanitizer judges the rest. */
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>

/* ---- words of the language ---------------------------------------------------------------------------------------- */

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline __attribute__ ((always_inline))
#define __launch_bounds__(...)

#define CUDAHOST_VECTOR(T, name)                                                                                       \
  struct name##2                                                                                                       \
  {                                                                                                                    \
    T x, y;                                                                                                            \
  }                                                                                                                    \
  __attribute__ ((aligned (2 * sizeof (T))));                                                                          \
  struct name##3                                                                                                       \
  {                                                                                                                    \
    T x, y, z;                                                                                                         \
  };                                                                                                                   \
  struct name##4                                                                                                       \
  {                                                                                                                    \
    T x, y, z, w;                                                                                                      \
  }                                                                                                                    \
  __attribute__ ((aligned (4 * sizeof (T))));
CUDAHOST_VECTOR (int, int)
CUDAHOST_VECTOR (unsigned, uint)
CUDAHOST_VECTOR (float, float)
#undef CUDAHOST_VECTOR

struct dim3 {
  unsigned x, y, z;
  constexpr dim3 (unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x (x_), y (y_), z (z_)
  {
  }
};

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
constexpr int warpSize = 32;

/* ---- errors and devices --------------------------------------------------------------------------------------------- */

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorNoDevice = 100,
  cudaErrorInvalidDevice = 101,
  cudaErrorInvalidResourceHandle = 400,
  cudaErrorIllegalAddress = 700,
};

cudaError_t cudaGetLastError ();
const char *cudaGetErrorString (cudaError_t error);
const char *cudaGetErrorName (cudaError_t error);

struct cudaDeviceProp {
  char name[256];
  size_t totalGlobalMem;
  int major, minor, multiProcessorCount;
};
enum { cudaDeviceScheduleBlockingSync = 4 };
cudaError_t cudaGetDeviceCount (int *n);
cudaError_t cudaSetDevice (int device);
cudaError_t cudaSetDeviceFlags (unsigned flags);
cudaError_t cudaGetDeviceProperties (cudaDeviceProp *is, int device);
cudaError_t cudaDriverGetVersion (int *version);
cudaError_t cudaRuntimeGetVersion (int *version);

/* ---- memory ----------------------------------------------------------------------------------------------------------- */

enum cudaMemcpyKind { cudaMemcpyHostToHost, cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
enum { cudaHostAllocPortable = 1 };

cudaError_t cudaMalloc (void **memory, size_t bytes);
cudaError_t cudaFree (void *memory);
cudaError_t cudaHostAlloc (void **memory, size_t bytes, unsigned flags);
cudaError_t cudaFreeHost (void *memory);
cudaError_t cudaMemGetInfo (size_t *available, size_t *total);
bool cudahost_on_device (const void *address, size_t bytes); /* all in one allocation there */
void cudahost_count_plan ();
/* ---- streams ------------------------------------------------------------------------------------------------------------ */

typedef struct CUstream_st *cudaStream_t;
typedef struct CUevent_st *cudaEvent_t;
enum { cudaStreamNonBlocking = 1 };
enum { cudaEventBlockingSync = 1, cudaEventDisableTiming = 2 };

cudaError_t cudaStreamCreateWithFlags (cudaStream_t *stream, unsigned flags);
cudaError_t cudaStreamDestroy (cudaStream_t stream);
cudaError_t cudaStreamSynchronize (cudaStream_t stream);
cudaError_t cudaStreamWaitEvent (cudaStream_t stream, cudaEvent_t event, unsigned flags = 0);
cudaError_t cudaEventCreateWithFlags (cudaEvent_t *event, unsigned flags);
cudaError_t cudaEventDestroy (cudaEvent_t event);
cudaError_t cudaEventRecord (cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize (cudaEvent_t event);

cudaError_t cudaMemcpy (void *to, const void *from, size_t bytes, cudaMemcpyKind kind);
cudaError_t cudaMemcpyAsync (void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemset (void *memory, int value, size_t bytes);
cudaError_t cudaMemsetAsync (void *memory, int value, size_t bytes, cudaStream_t stream);

/* ---- launches ----------------------------------------------------------------------------------------------------------- */

/* Has a stream do `work`, after what it was given before. */
cudaError_t cudahost_enqueue (cudaStream_t stream, std::function<void ()> work);

/* Has a stream run `thread` as every thread of a grid. `name` is for messages. */
void cudahost_run (const char *name, dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
                   std::function<void ()> thread);
template <class... P, class... A>
void
cudahost_launch (const char *name, void (*kernel) (P...), dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
                 A... arguments)
{
  cudahost_run (name, grid, block, shared, stream, [=] { kernel (arguments...); });
}

/* The running block's shared memory of a declaration, which is told by an address; that of the launch for none. */
void *cudahost_shared (const void *declaration, size_t bytes);

/* ---- what threads of a block do together ------------------------------------------------------------------------------- */

#define CUDAHOST_FN(T, name, parameters, value)                                                                        \
  static inline T name parameters                                                                                      \
  {                                                                                                                    \
    return value;                                                                                                      \
  }

/* Waits for the block's threads; how many of them there are, and how many said yes. */
struct cudahost_votes {
  int n, yes;
};
cudahost_votes cudahost_barrier (bool yes);

/* Waits for the warp's threads; what each of them gave, and which there are. */
struct cudahost_words {
  const uint64_t *word;
  unsigned lanes;
};
cudahost_words cudahost_exchange (unsigned mask, uint64_t mine);
int cudahost_lane ();
void cudahost_fence ();

CUDAHOST_FN (void, __syncthreads, (), (void) cudahost_barrier (false))
CUDAHOST_FN (int, __syncthreads_count, (int yes), cudahost_barrier (yes).yes)
CUDAHOST_FN (int, __syncthreads_and, (int yes), cudahost_barrier (!yes).yes == 0)
CUDAHOST_FN (void, __threadfence, (), cudahost_fence ())

/* Of a lane that there is not its reader has its own value. */
template <class T>
static inline T
cudahost_shuffle (unsigned mask, T mine, int from)
{
  static_assert (sizeof (T) <= sizeof (uint64_t), "a shuffled value has 8 bytes at most");
  uint64_t bits = 0;
  memcpy (&bits, &mine, sizeof mine);
  cudahost_words words = cudahost_exchange (mask, bits);
  if (from >= 0 && from < warpSize && (words.lanes >> from & 1))
    memcpy (&mine, &words.word[from], sizeof mine);
  return mine;
}
template <class T>
static inline T
__shfl_up_sync (unsigned mask, T mine, unsigned by)
{
  return cudahost_shuffle (mask, mine, cudahost_lane () - static_cast<int> (by));
}
template <class T>
static inline T
__shfl_xor_sync (unsigned mask, T mine, int with)
{
  return cudahost_shuffle (mask, mine, cudahost_lane () ^ with);
}

/* ---- atomics ---------------------------------------------------------------------------------------------------------- */

/* Replaces *word by `next`, which is told by what it was; what it was. */
#define CUDAHOST_ATOMIC(T, name, next)                                                                                 \
  static inline T name (T *word, T value)                                                                              \
  {                                                                                                                    \
    T old = __atomic_load_n (word, __ATOMIC_RELAXED);                                                                  \
    while (!__atomic_compare_exchange_n (word, &old, next, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))                 \
      ;                                                                                                                \
    return old;                                                                                                        \
  }
#define CUDAHOST_ATOMICS(T)                                                                                            \
  CUDAHOST_FN (T, atomicAdd, (T * word, T value), __atomic_fetch_add (word, value, __ATOMIC_RELAXED))                  \
  CUDAHOST_ATOMIC (T, atomicMin, value < old ? value : old)                                                            \
  CUDAHOST_ATOMIC (T, atomicMax, value > old ? value : old)
CUDAHOST_ATOMICS (int)
CUDAHOST_ATOMICS (unsigned)
CUDAHOST_ATOMICS (unsigned long long)
#undef CUDAHOST_ATOMICS
#undef CUDAHOST_ATOMIC

/* ---- arithmetic ---------------------------------------------------------------------------------------------------------- */

CUDAHOST_FN (int, min, (int a, int b), b < a ? b : a)
CUDAHOST_FN (int, max, (int a, int b), a < b ? b : a)

/* The bits of one type as another of its size. */
template <class To, class From>
static inline To
cudahost_bits (From from)
{
  static_assert (sizeof (To) == sizeof (From), "types of one size");
  To to;
  memcpy (&to, &from, sizeof to);
  return to;
}
CUDAHOST_FN (int, __float_as_int, (float x), cudahost_bits<int> (x))
CUDAHOST_FN (unsigned, __float_as_uint, (float x), cudahost_bits<unsigned> (x))
CUDAHOST_FN (float, __int_as_float, (int x), cudahost_bits<float> (x))
CUDAHOST_FN (float, __uint_as_float, (unsigned x), cudahost_bits<float> (x))
#undef CUDAHOST_FN
