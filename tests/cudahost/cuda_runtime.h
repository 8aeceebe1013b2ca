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
#define __noinline__    /* nothing, as the C++ library has the word among attributes */
#define __launch_bounds__(...)
#define __align__(n) __attribute__ ((aligned (n)))

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
  __attribute__ ((aligned (4 * sizeof (T) < 16 ? 4 * sizeof (T) : 16)));                                               \
  static inline name##2 make_##name##2(T x, T y)                                                                       \
  {                                                                                                                    \
    return { x, y };                                                                                                   \
  }                                                                                                                    \
  static inline name##3 make_##name##3(T x, T y, T z)                                                                  \
  {                                                                                                                    \
    return { x, y, z };                                                                                                \
  }                                                                                                                    \
  static inline name##4 make_##name##4(T x, T y, T z, T w)                                                             \
  {                                                                                                                    \
    return { x, y, z, w };                                                                                             \
  }
CUDAHOST_VECTOR (unsigned char, uchar)
CUDAHOST_VECTOR (short, short)
CUDAHOST_VECTOR (unsigned short, ushort)
CUDAHOST_VECTOR (int, int)
CUDAHOST_VECTOR (unsigned, uint)
CUDAHOST_VECTOR (long long, longlong)
CUDAHOST_VECTOR (float, float)
CUDAHOST_VECTOR (double, double)
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
  cudaErrorNotReady = 600,
  cudaErrorIllegalAddress = 700,
};

cudaError_t cudaGetLastError ();
cudaError_t cudaPeekAtLastError ();
const char *cudaGetErrorString (cudaError_t error);
const char *cudaGetErrorName (cudaError_t error);

struct cudaDeviceProp {
  char name[256];
  size_t totalGlobalMem, sharedMemPerBlock, sharedMemPerBlockOptin, sharedMemPerMultiprocessor;
  int major, minor, multiProcessorCount, warpSize, maxThreadsPerBlock, maxThreadsPerMultiProcessor, l2CacheSize;
  int asyncEngineCount;
};
enum cudaDeviceAttr {
  cudaDevAttrMaxThreadsPerBlock = 1,
  cudaDevAttrMaxSharedMemoryPerBlock = 8,
  cudaDevAttrMultiProcessorCount = 16,
  cudaDevAttrL2CacheSize = 38,
  cudaDevAttrMaxThreadsPerMultiProcessor = 39,
  cudaDevAttrComputeCapabilityMajor = 75,
  cudaDevAttrComputeCapabilityMinor = 76,
  cudaDevAttrMaxSharedMemoryPerMultiprocessor = 81,
  cudaDevAttrMaxSharedMemoryPerBlockOptin = 97,
};
cudaError_t cudaGetDeviceCount (int *n);
cudaError_t cudaGetDevice (int *device);
cudaError_t cudaSetDevice (int device);
cudaError_t cudaGetDeviceProperties (cudaDeviceProp *is, int device);
cudaError_t cudaDeviceGetAttribute (int *value, cudaDeviceAttr attribute, int device);
cudaError_t cudaDriverGetVersion (int *version);
cudaError_t cudaRuntimeGetVersion (int *version);
cudaError_t cudaDeviceSynchronize ();

/* ---- memory ----------------------------------------------------------------------------------------------------------- */

enum cudaMemcpyKind {
  cudaMemcpyHostToHost,
  cudaMemcpyHostToDevice,
  cudaMemcpyDeviceToHost,
  cudaMemcpyDeviceToDevice,
  cudaMemcpyDefault
};
enum { cudaHostAllocDefault = 0, cudaHostAllocPortable = 1, cudaHostAllocWriteCombined = 4 };

cudaError_t cudaMalloc (void **memory, size_t bytes);
cudaError_t cudaFree (void *memory);
cudaError_t cudaMallocHost (void **memory, size_t bytes);
cudaError_t cudaHostAlloc (void **memory, size_t bytes, unsigned flags);
cudaError_t cudaFreeHost (void *memory);
cudaError_t cudaMemGetInfo (size_t *available, size_t *total);
bool cudahost_on_device (const void *address, size_t bytes); /* all in one allocation there */
template <class T>
cudaError_t
cudaMalloc (T **memory, size_t bytes)
{
  return cudaMalloc (reinterpret_cast<void **> (memory), bytes);
}
template <class T>
cudaError_t
cudaMallocHost (T **memory, size_t bytes)
{
  return cudaMallocHost (reinterpret_cast<void **> (memory), bytes);
}
template <class T>
cudaError_t
cudaHostAlloc (T **memory, size_t bytes, unsigned flags)
{
  return cudaHostAlloc (reinterpret_cast<void **> (memory), bytes, flags);
}

/* ---- streams ------------------------------------------------------------------------------------------------------------ */

typedef struct CUstream_st *cudaStream_t;
typedef struct CUevent_st *cudaEvent_t;
enum { cudaStreamDefault = 0, cudaStreamNonBlocking = 1 };
enum { cudaEventDefault = 0, cudaEventBlockingSync = 1, cudaEventDisableTiming = 2 };

cudaError_t cudaStreamCreate (cudaStream_t *stream);
cudaError_t cudaStreamCreateWithFlags (cudaStream_t *stream, unsigned flags);
cudaError_t cudaStreamDestroy (cudaStream_t stream);
cudaError_t cudaStreamSynchronize (cudaStream_t stream);
cudaError_t cudaStreamQuery (cudaStream_t stream);
cudaError_t cudaStreamWaitEvent (cudaStream_t stream, cudaEvent_t event, unsigned flags = 0);
cudaError_t cudaEventCreate (cudaEvent_t *event);
cudaError_t cudaEventCreateWithFlags (cudaEvent_t *event, unsigned flags);
cudaError_t cudaEventDestroy (cudaEvent_t event);
cudaError_t cudaEventRecord (cudaEvent_t event, cudaStream_t stream = nullptr);
cudaError_t cudaEventSynchronize (cudaEvent_t event);
cudaError_t cudaEventQuery (cudaEvent_t event);
cudaError_t cudaEventElapsedTime (float *ms, cudaEvent_t from, cudaEvent_t to);

cudaError_t cudaMemcpy (void *to, const void *from, size_t bytes, cudaMemcpyKind kind);
cudaError_t cudaMemcpyAsync (void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                             cudaStream_t stream = nullptr);
cudaError_t cudaMemcpy2DAsync (void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                               size_t height, cudaMemcpyKind kind, cudaStream_t stream = nullptr);
cudaError_t cudaMemset (void *memory, int value, size_t bytes);
cudaError_t cudaMemsetAsync (void *memory, int value, size_t bytes, cudaStream_t stream = nullptr);

/* ---- launches ----------------------------------------------------------------------------------------------------------- */

enum cudaFuncAttribute {
  cudaFuncAttributeMaxDynamicSharedMemorySize = 8,
  cudaFuncAttributePreferredSharedMemoryCarveout = 9
};
cudaError_t cudahost_function_attribute (const void *kernel, cudaFuncAttribute attribute, int value);
template <class K>
cudaError_t
cudaFuncSetAttribute (K *kernel, cudaFuncAttribute attribute, int value)
{
  return cudahost_function_attribute (reinterpret_cast<const void *> (kernel), attribute, value);
}

/* Has a stream do `work`, after what it was given before. Work that starts kernels runs them by cudahost_run. */
cudaError_t cudahost_enqueue (cudaStream_t stream, std::function<void ()> work);

/* Has a stream run `thread` as every thread of a grid. `name` is for messages. */
void cudahost_run (const char *name, const void *kernel, dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
                   std::function<void ()> thread);
template <class... P, class... A>
void
cudahost_launch (const char *name, void (*kernel) (P...), dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
                 A... arguments)
{
  cudahost_run (name, reinterpret_cast<const void *> (kernel), grid, block, shared, stream,
                [=] { kernel (arguments...); });
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
  bool all () const
  {
    return yes == n;
  }
};
cudahost_votes cudahost_barrier (bool yes);

/* Waits for the warp's threads; what each of them gave, and which there are. `ordered`: memory is as at a barrier. */
struct cudahost_words {
  const uint64_t *word;
  unsigned lanes;
};
cudahost_words cudahost_exchange (unsigned mask, uint64_t mine, bool ordered);
int cudahost_lane ();
void cudahost_fence ();

CUDAHOST_FN (void, __syncthreads, (), (void) cudahost_barrier (false))
CUDAHOST_FN (int, __syncthreads_count, (int yes), cudahost_barrier (yes).yes)
CUDAHOST_FN (int, __syncthreads_or, (int yes), cudahost_barrier (yes).yes > 0)
CUDAHOST_FN (int, __syncthreads_and, (int yes), cudahost_barrier (yes).all ())
CUDAHOST_FN (void, __syncwarp, (unsigned mask = 0xffffffffu), (void) cudahost_exchange (mask, 0, true))
CUDAHOST_FN (void, __threadfence, (), cudahost_fence ())
CUDAHOST_FN (void, __threadfence_block, (), cudahost_fence ())

static inline unsigned
__ballot_sync (unsigned mask, int yes)
{
  cudahost_words words = cudahost_exchange (mask, yes != 0, false);
  unsigned votes = 0;
  for (int i = 0; i < warpSize; i++)
    if ((words.lanes >> i & 1) && words.word[i])
      votes |= 1u << i;
  return votes;
}
CUDAHOST_FN (int, __any_sync, (unsigned mask, int yes), __ballot_sync (mask, yes) != 0)
CUDAHOST_FN (int, __all_sync, (unsigned mask, int yes), __ballot_sync (mask, !yes) == 0)

/* Lanes that there are not, and those of another group of `width`, give their reader's own value. */
template <class T>
static inline T
cudahost_shuffle (unsigned mask, T mine, int from, int width)
{
  static_assert (sizeof (T) <= sizeof (uint64_t), "a shuffled value has 8 bytes at most");
  uint64_t bits = 0;
  memcpy (&bits, &mine, sizeof mine);
  cudahost_words words = cudahost_exchange (mask, bits, false);
  int first = cudahost_lane () & ~(width - 1);
  if (from >= first && from < first + width && (words.lanes >> from & 1))
    memcpy (&mine, &words.word[from], sizeof mine);
  return mine;
}
template <class T>
static inline T
__shfl_sync (unsigned mask, T mine, int from, int width = warpSize)
{
  return cudahost_shuffle (mask, mine, (cudahost_lane () & ~(width - 1)) + (from & (width - 1)), width);
}
template <class T>
static inline T
__shfl_up_sync (unsigned mask, T mine, unsigned by, int width = warpSize)
{
  return cudahost_shuffle (mask, mine, cudahost_lane () - static_cast<int> (by), width);
}
template <class T>
static inline T
__shfl_down_sync (unsigned mask, T mine, unsigned by, int width = warpSize)
{
  return cudahost_shuffle (mask, mine, cudahost_lane () + static_cast<int> (by), width);
}
template <class T>
static inline T
__shfl_xor_sync (unsigned mask, T mine, int with, int width = warpSize)
{
  return cudahost_shuffle (mask, mine, cudahost_lane () ^ with, width);
}

/* ---- atomics ---------------------------------------------------------------------------------------------------------- */

/* Replaces *word by change (*word); what it was. */
template <class T, class F>
static inline T
cudahost_atomic (T *word, F change)
{
  T old, next;
  __atomic_load (word, &old, __ATOMIC_RELAXED);
  do
    next = change (old);
  while (!__atomic_compare_exchange (word, &old, &next, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return old;
}

#define CUDAHOST_ATOMIC(T, name, next)                                                                                 \
  static inline T name (T *word, T value)                                                                              \
  {                                                                                                                    \
    return cudahost_atomic (word, [=] ([[maybe_unused]] T old) -> T { return next; });                                 \
  }
#define CUDAHOST_ATOMICS(T)                                                                                            \
  CUDAHOST_FN (T, atomicAdd, (T * word, T value), __atomic_fetch_add (word, value, __ATOMIC_RELAXED))                  \
  CUDAHOST_FN (T, atomicAnd, (T * word, T value), __atomic_fetch_and (word, value, __ATOMIC_RELAXED))                  \
  CUDAHOST_FN (T, atomicOr, (T * word, T value), __atomic_fetch_or (word, value, __ATOMIC_RELAXED))                    \
  CUDAHOST_FN (T, atomicXor, (T * word, T value), __atomic_fetch_xor (word, value, __ATOMIC_RELAXED))                  \
  CUDAHOST_ATOMIC (T, atomicMin, value < old ? value : old)                                                            \
  CUDAHOST_ATOMIC (T, atomicMax, value > old ? value : old)                                                            \
  CUDAHOST_ATOMIC (T, atomicExch, value)                                                                               \
  static inline T atomicCAS (T *word, T expected, T value)                                                             \
  {                                                                                                                    \
    return cudahost_atomic (word, [=] (T old) { return old == expected ? value : old; });                              \
  }
CUDAHOST_ATOMICS (int)
CUDAHOST_ATOMICS (unsigned)
CUDAHOST_ATOMICS (unsigned long long)
CUDAHOST_FN (int, atomicSub, (int *word, int value), __atomic_fetch_sub (word, value, __ATOMIC_RELAXED))
CUDAHOST_FN (unsigned, atomicSub, (unsigned *word, unsigned value), __atomic_fetch_sub (word, value, __ATOMIC_RELAXED))
CUDAHOST_ATOMIC (long long, atomicMin, value < old ? value : old)
CUDAHOST_ATOMIC (long long, atomicMax, value > old ? value : old)
CUDAHOST_ATOMIC (float, atomicAdd, old + value)
CUDAHOST_ATOMIC (float, atomicExch, value)
CUDAHOST_ATOMIC (double, atomicAdd, old + value)
#undef CUDAHOST_ATOMICS
#undef CUDAHOST_ATOMIC

/* ---- arithmetic ---------------------------------------------------------------------------------------------------------- */

#define CUDAHOST_LEAST_AND_MOST(T)                                                                                     \
  CUDAHOST_FN (T, min, (T a, T b), b < a ? b : a)                                                                      \
  CUDAHOST_FN (T, max, (T a, T b), a < b ? b : a)
CUDAHOST_LEAST_AND_MOST (int)
CUDAHOST_LEAST_AND_MOST (unsigned)
CUDAHOST_LEAST_AND_MOST (long)
CUDAHOST_LEAST_AND_MOST (long long)
CUDAHOST_LEAST_AND_MOST (unsigned long)
CUDAHOST_LEAST_AND_MOST (unsigned long long)
#undef CUDAHOST_LEAST_AND_MOST
CUDAHOST_FN (float, min, (float a, float b), fminf (a, b))
CUDAHOST_FN (float, max, (float a, float b), fmaxf (a, b))
CUDAHOST_FN (double, min, (double a, double b), fmin (a, b))
CUDAHOST_FN (double, max, (double a, double b), fmax (a, b))

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
CUDAHOST_FN (long long, __double_as_longlong, (double x), cudahost_bits<long long> (x))
CUDAHOST_FN (double, __longlong_as_double, (long long x), cudahost_bits<double> (x))
CUDAHOST_FN (int, __popc, (unsigned x), __builtin_popcount (x))
CUDAHOST_FN (int, __popcll, (unsigned long long x), __builtin_popcountll (x))
CUDAHOST_FN (int, __ffs, (int x), __builtin_ffs (x))
CUDAHOST_FN (int, __ffsll, (long long x), __builtin_ffsll (x))
CUDAHOST_FN (int, __clz, (int x), x ? __builtin_clz (static_cast<unsigned> (x)) : 32)
CUDAHOST_FN (int, __clzll, (long long x), x ? __builtin_clzll (static_cast<unsigned long long> (x)) : 64)
template <class T>
static inline T
__ldg (const T *word)
{
  return *word;
}
#undef CUDAHOST_FN
