/* words.cu - the words in which kernels are written mean what CUDA says: on the stand-in, and the same text on a card */
#include "kernels/cuda/launch.cuh"

#include <cub/cub.cuh>
#include <cublas_v2.h>
#include <cufft.h>
#include <math.h>
#include <numeric>
#include <stdio.h>
#include <thrust/iterator/counting_iterator.h>
#include <vector>

static int tests, failures;

static void
ok (bool well, const char *what)
{
  failures += !well;
  printf ("%sok %d - %s\n", well ? "" : "not ", ++tests, what);
}

/* n values on the device. */
template <class T> struct Array {
  size_t n;
  T *at = nullptr;
  explicit Array (size_t n_) : n (n_)
  {
    cudaMalloc (&at, n * sizeof (T));
  }
  explicit Array (const std::vector<T> &from) : Array (from.size ())
  {
    cudaMemcpy (at, from.data (), n * sizeof (T), cudaMemcpyHostToDevice);
  }
  ~Array ()
  {
    cudaFree (at);
  }
  std::vector<T> home () const
  {
    std::vector<T> to (n);
    cudaMemcpy (to.data (), at, n * sizeof (T), cudaMemcpyDeviceToHost);
    return to;
  }
};

/* ---- blocks and warps ---------------------------------------------------------------------------------------------------- */

static __global__ void
where_kernel (int *to)
{
  unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  to[block * blockDim.x * blockDim.y * blockDim.z + thread] = (int) (block * 1000 + thread);
}

static void
test_where ()
{
  Array<int> to (24 * 30);
  NOTCH_LAUNCH (where_kernel, dim3 (4, 3, 2), dim3 (5, 3, 2), 0, 0, to.at);
  bool well = cudaGetLastError () == cudaSuccess;
  std::vector<int> got = to.home ();
  for (int i = 0; i < 24 * 30; i++)
    well &= got[i] == i / 30 * 1000 + i % 30;
  ok (well, "every thread of a grid runs once");
}

/* Every element from its mirror image, through both kinds of shared memory. */
template <int n>
static __global__ void
mirror_kernel (const int *from, int *to)
{
  NOTCH_SHARED (int, still, n);
  NOTCH_SHARED_DYNAMIC (int, asked);
  const int i = threadIdx.x;
  for (int round = 0; round < 3; round++) {
    still[i] = from[blockIdx.x * n + i] + round;
    asked[i] = round;
    __syncthreads ();
    to[blockIdx.x * n + i] = still[n - 1 - i] - asked[n - 1 - i];
    __syncthreads ();
  }
}

static void
test_barrier ()
{
  std::vector<int> value (5 * 96);
  for (size_t i = 0; i < value.size (); i++)
    value[i] = (int) (i * i % 977);
  Array<int> from (value), to (value.size ());
  NOTCH_LAUNCH (mirror_kernel<96>, 5, 96, 96 * sizeof (int), 0, from.at, to.at);
  bool well = cudaGetLastError () == cudaSuccess;
  std::vector<int> got = to.home ();
  for (int i = 0; i < 5 * 96; i++)
    well &= got[i] == value[i / 96 * 96 + 95 - i % 96];
  ok (well, "barriers order shared memory");
}

static __global__ void
votes_kernel (int *to)
{
  const int i = threadIdx.x, lane = i % 32;
  int *mine = to + i * 12;
  mine[0] = __syncthreads_count (i % 3 == 0);
  mine[1] = __syncthreads_or (i == 40);
  mine[2] = __syncthreads_and (i != 40);
  mine[3] = (int) __ballot_sync (0xffffffffu, lane % 2);
  mine[4] = __any_sync (0xffffffffu, i == 7);
  mine[5] = __all_sync (0xffffffffu, i >= 32);
  mine[6] = __shfl_sync (0xffffffffu, i, 5);
  mine[7] = __shfl_up_sync (0xffffffffu, i, 3);
  mine[8] = __shfl_down_sync (0xffffffffu, i, 3);
  mine[9] = (int) __shfl_xor_sync (0xffffffffu, 0.5 * i, 9);
  mine[10] = __shfl_down_sync (0xffffffffu, i, 5, 8);
  mine[11] = __shfl_sync (0xffffffffu, i, 11, 8);
}

static void
test_votes ()
{
  Array<int> to (64 * 12);
  NOTCH_LAUNCH (votes_kernel, 1, 64, 0, 0, to.at);
  bool well = cudaGetLastError () == cudaSuccess;
  std::vector<int> got = to.home ();
  for (int i = 0; i < 64; i++) {
    const int first = i / 32 * 32, lane = i % 32;
    const int expected[12] = { 22,
                               1,
                               0,
                               (int) 0xaaaaaaaau,
                               i < 32,
                               i >= 32,
                               first + 5,
                               lane < 3 ? i : i - 3,
                               lane < 29 ? i + 3 : i,
                               (first + (lane ^ 9)) / 2,
                               lane % 8 < 3 ? i + 5 : i,
                               i / 8 * 8 + 3 };
    for (int k = 0; k < 12; k++)
      well &= got[i * 12 + k] == expected[k];
  }
  ok (well, "votes and shuffles");
}

/* The last block to come adds up what all have stored. */
static __global__ void
last_kernel (int *part, int *n_done, int *sum)
{
  if (threadIdx.x == 0) {
    NOTCH_STORE (part + blockIdx.x, (int) blockIdx.x + 1);
    __threadfence ();
    if (atomicAdd (n_done, 1) == (int) gridDim.x - 1) {
      __threadfence ();
      *sum = 0;
      for (unsigned i = 0; i < gridDim.x; i++)
        *sum += NOTCH_LOAD (part + i);
    }
  }
}

static __global__ void
atomics_kernel (int *i, unsigned *u, unsigned long long *l, float *f)
{
  const int me = (int) (blockIdx.x * blockDim.x + threadIdx.x);
  atomicAdd (&i[0], me);
  atomicMin (&i[1], me);
  atomicMax (&i[2], me);
  atomicSub (&i[3], 1);
  atomicCAS (&i[4], 0, me + 1);
  atomicExch (&i[5], 77);
  atomicOr (&u[0], 1u << me % 32);
  atomicAnd (&u[1], ~(1u << me % 32));
  atomicXor (&u[2], 1u << me % 32);
  atomicAdd (&l[0], 1ull << 40);
  atomicMax (&l[1], 1ull << me % 64);
  atomicAdd (f, 0.5f);
}

static void
test_atomics ()
{
  Array<int> i (std::vector<int>{ 0, 99, -1, 0, 0, 0 }), part (10), done (std::vector<int> (1)), sum (1);
  Array<unsigned> u (std::vector<unsigned>{ 0, ~0u, 0 });
  Array<unsigned long long> l (std::vector<unsigned long long>{ 0, 0 });
  Array<float> f (std::vector<float> (1));
  NOTCH_LAUNCH (atomics_kernel, 2, 64, 0, 0, i.at, u.at, l.at, f.at);
  std::vector<int> gi = i.home ();
  std::vector<unsigned> gu = u.home ();
  std::vector<unsigned long long> gl = l.home ();
  ok (gi[0] == 127 * 64 && gi[1] == 0 && gi[2] == 127 && gi[3] == -128 && gi[4] > 0 && gi[4] <= 128 && gi[5] == 77
          && gu[0] == ~0u && gu[1] == 0 && gu[2] == 0 && gl[0] == 128ull << 40 && gl[1] == 1ull << 63
          && f.home ()[0] == 64,
      "atomics");
  NOTCH_LAUNCH (last_kernel, 10, 32, 0, 0, part.at, done.at, sum.at);
  ok (sum.home ()[0] == 55, "the last block sees what the others stored");
}

/* ---- launches and streams ----------------------------------------------------------------------------------------------- */

static void
test_limits ()
{
  Array<int> to (2048);
  bool well = true;
  NOTCH_LAUNCH (where_kernel, 1, 1025, 0, 0, to.at);
  well &= cudaGetLastError () != cudaSuccess;
  NOTCH_LAUNCH (where_kernel, 0, 32, 0, 0, to.at);
  well &= cudaGetLastError () != cudaSuccess;
  NOTCH_LAUNCH (where_kernel, dim3 (1, 65536), 32, 0, 0, to.at);
  well &= cudaGetLastError () != cudaSuccess;
  NOTCH_LAUNCH (mirror_kernel<32>, 1, 32, 60 << 10, 0, to.at, to.at + 32);
  well &= cudaGetLastError () != cudaSuccess;
  ok (well, "launches beyond the limits are errors");
  well = cudaFuncSetAttribute (mirror_kernel<32>, cudaFuncAttributeMaxDynamicSharedMemorySize, 60 << 10) == cudaSuccess;
  NOTCH_LAUNCH (mirror_kernel<32>, 1, 32, 60 << 10, 0, to.at, to.at + 32);
  well &= cudaGetLastError () == cudaSuccess && cudaDeviceSynchronize () == cudaSuccess;
  ok (well, "more shared memory for who asks");
  int here = 0;
  ok (cudaMemcpy (to.at, &here, sizeof here, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue
          && cudaGetLastError () == cudaErrorInvalidValue && cudaGetLastError () == cudaSuccess,
      "a copy the wrong way is an error, once");
}

static __global__ void
add_kernel (int *to, int what)
{
  to[threadIdx.x] = to[threadIdx.x] * 2 + what;
}

static void
test_streams ()
{
  cudaStream_t a, b;
  cudaEvent_t copied, added;
  int *pinned = nullptr;
  Array<int> to (32);
  cudaStreamCreateWithFlags (&a, cudaStreamNonBlocking);
  cudaStreamCreateWithFlags (&b, cudaStreamNonBlocking);
  cudaEventCreateWithFlags (&copied, cudaEventDisableTiming);
  cudaEventCreate (&added);
  cudaMallocHost (&pinned, 32 * sizeof *pinned);
  for (int i = 0; i < 32; i++)
    pinned[i] = i;
  cudaMemcpyAsync (to.at, pinned, 32 * sizeof *pinned, cudaMemcpyHostToDevice, a);
  cudaEventRecord (copied, a);
  cudaStreamWaitEvent (b, copied);
  NOTCH_LAUNCH (add_kernel, 1, 32, 0, b, to.at, 3);
  cudaEventRecord (added, b);
  cudaStreamWaitEvent (a, added);
  NOTCH_LAUNCH (add_kernel, 1, 32, 0, a, to.at, 5);
  cudaMemcpyAsync (pinned, to.at, 32 * sizeof *pinned, cudaMemcpyDeviceToHost, a);
  bool well = cudaStreamSynchronize (a) == cudaSuccess;
  for (int i = 0; i < 32; i++)
    well &= pinned[i] == (i * 2 + 3) * 2 + 5;
  cudaError_t state;
  while ((state = cudaEventQuery (added)) == cudaErrorNotReady)
    ;
  ok (well && state == cudaSuccess, "streams wait for each other's events");
  cudaFreeHost (pinned);
  cudaEventDestroy (copied);
  cudaEventDestroy (added);
  cudaStreamDestroy (a);
  cudaStreamDestroy (b);
}

/* ---- libraries ------------------------------------------------------------------------------------------------------------ */

static const double pi = 3.14159265358979323846;

/* The spectrum of a cosine, and the way back, for tiles with gaps between the rows or without. */
static bool
transform (bool gaps)
{
  const int ny = 6, nx = 10, half = nx / 2 + 1, n_tiles = 3, row = gaps ? 2 * half + 2 : nx;
  int n[2] = { ny, nx }, real[2] = { ny, row }, spectrum[2] = { ny, half };
  std::vector<float> value (n_tiles * ny * row, NAN);
  for (int t = 0; t < n_tiles; t++)
    for (int y = 0; y < ny; y++)
      for (int x = 0; x < nx; x++)
        value[(t * ny + y) * row + x] = (float) cos (2 * pi * ((t + 1.0) * x / nx + 2.0 * y / ny));
  Array<float> from (value), back (value.size ());
  Array<float2> to (n_tiles * ny * half);
  cufftHandle forward, inverse;
  bool well = cufftPlanMany (&forward, 2, n, gaps ? real : NULL, 1, ny * row, gaps ? spectrum : NULL, 1, ny * half,
                             CUFFT_R2C, n_tiles)
              == CUFFT_SUCCESS;
  size_t bytes = 0;
  well &= cufftCreate (&inverse) == CUFFT_SUCCESS && cufftSetAutoAllocation (inverse, 0) == CUFFT_SUCCESS;
  well &= cufftMakePlanMany (inverse, 2, n, gaps ? spectrum : NULL, 1, ny * half, gaps ? real : NULL, 1, ny * row,
                             CUFFT_C2R, n_tiles, &bytes)
          == CUFFT_SUCCESS;
  Array<char> work (bytes + 1);
  well &= cufftSetWorkArea (inverse, work.at) == CUFFT_SUCCESS;
  well &= cufftExecR2C (forward, from.at, to.at) == CUFFT_SUCCESS;
  std::vector<float2> got = to.home ();
  for (int t = 0; t < n_tiles; t++)
    for (int y = 0; y < ny; y++)
      for (int x = 0; x < half; x++) {
        bool here = x == t + 1 && y == 2;
        float2 z = got[(t * ny + y) * half + x];
        well &= fabsf (z.x - (here ? ny * nx / 2.0f : 0)) < 1e-4f && fabsf (z.y) < 1e-4f;
      }
  well &= cufftExecC2R (inverse, to.at, back.at) == CUFFT_SUCCESS;
  std::vector<float> again = back.home ();
  for (size_t i = 0; i < value.size (); i++)
    well &= value[i] != value[i] || fabsf (again[i] / (ny * nx) - value[i]) < 1e-5f;
  well &= cufftExecC2R (forward, to.at, back.at) == CUFFT_INVALID_TYPE;
  return well & (cufftDestroy (forward) == CUFFT_SUCCESS) & (cufftDestroy (inverse) == CUFFT_SUCCESS);
}

/* A product of matrices with gaps between the columns, either of them turned or not; what is outside of it stays. */
static bool
multiply (bool turn_a, bool turn_b, float keep)
{
  const int m = 7, n = 5, k = 9, gap = 3, lda = (turn_a ? k : m) + gap, ldb = (turn_b ? n : k) + gap, ldc = m + gap;
  std::vector<float> a ((size_t) lda * (turn_a ? m : k)), b ((size_t) ldb * (turn_b ? k : n)), c ((size_t) ldc * n);
  for (size_t i = 0; i < a.size (); i++)
    a[i] = (float) (i * 37 % 101) - 50;
  for (size_t i = 0; i < b.size (); i++)
    b[i] = (float) (i * 53 % 97) - 48;
  for (size_t i = 0; i < c.size (); i++)
    c[i] = keep != 0 || i % (size_t) ldc >= (size_t) m ? (float) i : NAN;
  Array<float> at_a (a), at_b (b), at_c (c);
  const float two = 2;
  cublasHandle_t handle;
  bool well =
      cublasCreate (&handle) == CUBLAS_STATUS_SUCCESS && cublasSetStream (handle, NULL) == CUBLAS_STATUS_SUCCESS;
  well &= cublasSgemm (handle, turn_a ? CUBLAS_OP_T : CUBLAS_OP_N, turn_b ? CUBLAS_OP_T : CUBLAS_OP_N, m, n, k, &two,
                       at_a.at, lda, at_b.at, ldb, &keep, at_c.at, ldc)
          == CUBLAS_STATUS_SUCCESS;
  std::vector<float> got = at_c.home ();
  for (int j = 0; j < n; j++)
    for (int i = 0; i < ldc; i++) {
      float sum = 0; /* of whole numbers: exact in any order */
      for (int p = 0; p < k && i < m; p++)
        sum += (turn_a ? a[i * lda + p] : a[p * lda + i]) * (turn_b ? b[p * ldb + j] : b[j * ldb + p]);
      float was = c[j * ldc + i];
      well &= got[j * ldc + i] == (i >= m ? was : 2 * sum + (keep != 0 ? keep * was : 0));
    }
  well &=
      cublasSgemm (handle, CUBLAS_OP_N, CUBLAS_OP_N, m, n, k, &two, at_a.at, m - 1, at_b.at, ldb, &keep, at_c.at, ldc)
      == CUBLAS_STATUS_INVALID_VALUE;
  return well & (cublasDestroy (handle) == CUBLAS_STATUS_SUCCESS);
}

struct Odd {
  __host__ __device__ bool operator() (int i) const
  {
    return i % 2 != 0;
  }
};

/* Both calls of one of CUB's: how much memory, and do it. */
#define CUB(call, ...)                                                                                                 \
  do {                                                                                                                 \
    size_t wants = 0;                                                                                                  \
    well &= cub::call (nullptr, wants, __VA_ARGS__) == cudaSuccess;                                                    \
    Array<char> memory (wants + 1);                                                                                    \
    well &= cub::call (memory.at, wants, __VA_ARGS__) == cudaSuccess;                                                  \
  } while (0)

static void
test_cub ()
{
  const int n = 1000;
  bool well = true;
  std::vector<int> value (n);
  std::vector<float> key (n);
  std::vector<unsigned char> flag (n);
  for (int i = 0; i < n; i++) {
    value[i] = i * 37 % 101 - 50;
    key[i] = (float) value[i];
    flag[i] = i % 7 == 0;
  }
  Array<int> in (value), out (n), count (1), order (n);
  Array<unsigned char> flags (flag);
  Array<float> keys (key), sorted (n);
  CUB (DeviceScan::ExclusiveSum, in.at, out.at, n);
  std::vector<int> got = out.home ();
  for (int i = 0, sum = 0; i < n; sum += value[i++])
    well &= got[i] == sum;
  CUB (DeviceScan::InclusiveSum, in.at, out.at, n);
  well &= out.home ()[1] == value[0] + value[1];
  ok (well, "cub: scan");

  CUB (DeviceSelect::Flagged, thrust::counting_iterator<int> (0), flags.at, out.at, count.at, n);
  well &= count.home ()[0] == 143 && out.home ()[142] == 994;
  CUB (DeviceSelect::If, thrust::counting_iterator<int> (0), out.at, count.at, n, Odd ());
  well &= count.home ()[0] == 500 && out.home ()[499] == 999;
  ok (well, "cub: select");

  CUB (DeviceReduce::Max, in.at, count.at, n);
  well &= count.home ()[0] == 50;
  CUB (DeviceReduce::Min, in.at, count.at, n);
  well &= count.home ()[0] == -50;
  CUB (DeviceReduce::Sum, in.at, count.at, n);
  well &= count.home ()[0] == std::accumulate (value.begin (), value.end (), 0);
  ok (well, "cub: reduce");

  CUB (DeviceSelect::If, thrust::counting_iterator<int> (0), out.at, count.at, n, Odd ());
  CUB (DeviceRadixSort::SortPairsDescending, keys.at, sorted.at, in.at, order.at, n);
  got = order.home ();
  for (int i = 1; i < n; i++)
    well &= got[i - 1] >= got[i];
  CUB (DeviceRadixSort::SortKeys, in.at, out.at, n);
  got = out.home ();
  for (int i = 1; i < n; i++)
    well &= got[i - 1] <= got[i];
  ok (well, "cub: sort");
}

int
main ()
{
  int n_devices = 0;
  if (cudaGetDeviceCount (&n_devices) != cudaSuccess) {
    printf ("1..0 # SKIP %s\n", cudaGetErrorString (cudaGetLastError ()));
    return 0;
  }
  test_where ();
  test_barrier ();
  test_votes ();
  test_atomics ();
  test_limits ();
  test_streams ();
  ok (transform (false), "cuFFT: plain layout");
  ok (transform (true), "cuFFT: rows with gaps");
  for (int turns = 0; turns < 4; turns++)
    ok (multiply (turns & 1, turns & 2, turns == 3 ? 0.5f : 0), "cuBLAS: products");
  test_cub ();
  printf ("1..%d\n", tests);
  return failures != 0;
}
