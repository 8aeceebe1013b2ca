/* words.cu - the words in which kernels are written mean what CUDA says: on the stand-in, and the same text on a card */
#include "kernels/cuda/launch.cuh"

#include <cub/cub.cuh>
#include <cublas_v2.h>
#include <cufft.h>
#include <math.h>
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
    cudaMalloc ((void **) &at, n * sizeof (T));
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
  const int i = threadIdx.x;
  int *mine = to + i * 4;
  mine[0] = __syncthreads_count (i % 3 == 0);
  mine[1] = __syncthreads_and (i != 40) * 2 + __syncthreads_and (i != 64);
  mine[2] = __shfl_up_sync (0xffffffffu, i, 3);
  mine[3] = (int) __shfl_xor_sync (0xffffffffu, 0.5 * i, 9);
}

static void
test_votes ()
{
  Array<int> to (64 * 4);
  NOTCH_LAUNCH (votes_kernel, 1, 64, 0, 0, to.at);
  bool well = cudaGetLastError () == cudaSuccess;
  std::vector<int> got = to.home ();
  for (int i = 0; i < 64; i++) {
    const int first = i / 32 * 32, lane = i % 32;
    const int expected[4] = { 22, 1, lane < 3 ? i : i - 3, (first + (lane ^ 9)) / 2 };
    for (int k = 0; k < 4; k++)
      well &= got[i * 4 + k] == expected[k];
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
atomics_kernel (int *i, unsigned *u, unsigned long long *l)
{
  const int me = (int) (blockIdx.x * blockDim.x + threadIdx.x);
  atomicAdd (&i[0], me);
  atomicMin (&i[1], me);
  atomicMax (&i[2], me);
  atomicAdd (&u[0], 1u);
  atomicAdd (&l[0], 1ull << 40);
  atomicMax (&l[1], 1ull << me % 64);
}

static void
test_atomics ()
{
  Array<int> i (std::vector<int>{ 0, 99, -1 }), part (10), done (std::vector<int> (1)), sum (1);
  Array<unsigned> u (std::vector<unsigned>{ ~0u });
  Array<unsigned long long> l (std::vector<unsigned long long>{ 0, 0 });
  NOTCH_LAUNCH (atomics_kernel, 2, 64, 0, 0, i.at, u.at, l.at);
  std::vector<int> gi = i.home ();
  std::vector<unsigned long long> gl = l.home ();
  ok (gi[0] == 127 * 64 && gi[1] == 0 && gi[2] == 127 && u.home ()[0] == 127 && gl[0] == 128ull << 40
          && gl[1] == 1ull << 63,
      "atomics");
  NOTCH_LAUNCH (last_kernel, 10, 32, 0, 0, part.at, done.at, sum.at);
  ok (sum.home ()[0] == 55, "the last block sees what the others stored");
}

/* ---- launches and streams -----------------------------------------------------------------------------------------------  */

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
  cudaEventCreateWithFlags (&added, cudaEventDisableTiming);
  cudaHostAlloc ((void **) &pinned, 32 * sizeof *pinned, cudaHostAllocPortable);
  for (int i = 0; i < 32; i++)
    pinned[i] = i;
  cudaMemcpyAsync (to.at, pinned, 32 * sizeof *pinned, cudaMemcpyHostToDevice, a);
  cudaEventRecord (copied, a);
  cudaStreamWaitEvent (b, copied, 0);
  NOTCH_LAUNCH (add_kernel, 1, 32, 0, b, to.at, 3);
  cudaEventRecord (added, b);
  cudaStreamWaitEvent (a, added, 0);
  NOTCH_LAUNCH (add_kernel, 1, 32, 0, a, to.at, 5);
  cudaMemcpyAsync (pinned, to.at, 32 * sizeof *pinned, cudaMemcpyDeviceToHost, a);
  bool well = cudaStreamSynchronize (a) == cudaSuccess;
  for (int i = 0; i < 32; i++)
    well &= pinned[i] == (i * 2 + 3) * 2 + 5;
  ok (well && cudaEventSynchronize (added) == cudaSuccess, "streams wait for each other's events");
  cudaFreeHost (pinned);
  cudaEventDestroy (copied);
  cudaEventDestroy (added);
  cudaStreamDestroy (a);
  cudaStreamDestroy (b);
}

/* ---- libraries ----------------------------------------------------------------------------------------------------------- */

static const double pi = 3.14159265358979323846;

/* The spectrum of a cosine, and the way back. */
static bool
transform ()
{
  const int ny = 6, nx = 10, half = nx / 2 + 1, n_tiles = 3;
  int n[2] = { ny, nx }, spectrum[2] = { ny, half };
  std::vector<float> value (n_tiles * ny * nx);
  for (int t = 0; t < n_tiles; t++)
    for (int y = 0; y < ny; y++)
      for (int x = 0; x < nx; x++)
        value[(t * ny + y) * nx + x] = (float) cos (2 * pi * ((t + 1.0) * x / nx + 2.0 * y / ny));
  Array<float> from (value), back (value.size ());
  Array<float2> to (n_tiles * ny * half);
  cufftHandle plan[2];
  bool well = true;
  for (int i = 0; i < 2; i++) {
    size_t bytes = 0;
    int *in = i ? spectrum : n, *out = i ? n : spectrum;
    well &= cufftCreate (&plan[i]) == CUFFT_SUCCESS && cufftSetAutoAllocation (plan[i], 0) == CUFFT_SUCCESS;
    well &= cufftMakePlanMany (plan[i], 2, n, in, 1, in[0] * in[1], out, 1, out[0] * out[1], i ? CUFFT_C2R : CUFFT_R2C,
                               n_tiles, &bytes)
            == CUFFT_SUCCESS;
    Array<char> work (bytes + 1);
    well &= cufftSetWorkArea (plan[i], work.at) == CUFFT_SUCCESS;
    well &= (i ? cufftExecC2R (plan[i], to.at, back.at) : cufftExecR2C (plan[i], from.at, to.at)) == CUFFT_SUCCESS;
    if (i > 0)
      break;
    std::vector<float2> got = to.home ();
    for (int t = 0; t < n_tiles; t++)
      for (int y = 0; y < ny; y++)
        for (int x = 0; x < half; x++) {
          bool here = x == t + 1 && y == 2;
          float2 z = got[(t * ny + y) * half + x];
          well &= fabsf (z.x - (here ? ny * nx / 2.0f : 0)) < 1e-4f && fabsf (z.y) < 1e-4f;
        }
  }
  std::vector<float> again = back.home ();
  for (size_t i = 0; i < value.size (); i++)
    well &= fabsf (again[i] / (ny * nx) - value[i]) < 1e-5f;
  well &= cufftExecC2R (plan[0], to.at, back.at) == CUFFT_INVALID_TYPE;
  return well & (cufftDestroy (plan[0]) == CUFFT_SUCCESS) & (cufftDestroy (plan[1]) == CUFFT_SUCCESS);
}

/* A product of matrices with gaps between the columns, either of them turned or not; what is outside of it stays. */
static bool
multiply (bool turn_a, bool turn_b, float keep, bool brief)
{
  const cublasComputeType_t how = brief ? CUBLAS_COMPUTE_32F_FAST_16BF : CUBLAS_COMPUTE_32F;
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
  well &= cublasGemmEx (handle, turn_a ? CUBLAS_OP_T : CUBLAS_OP_N, turn_b ? CUBLAS_OP_T : CUBLAS_OP_N, m, n, k, &two,
                        at_a.at, CUDA_R_32F, lda, at_b.at, CUDA_R_32F, ldb, &keep, at_c.at, CUDA_R_32F, ldc, how,
                        CUBLAS_GEMM_DEFAULT)
          == CUBLAS_STATUS_SUCCESS;
  std::vector<float> got = at_c.home ();
  for (int j = 0; j < n; j++)
    for (int i = 0; i < ldc; i++) {
      float sum = 0; /* of whole numbers of seven bits: exact in any order, and in bfloat16 */
      for (int p = 0; p < k && i < m; p++)
        sum += (turn_a ? a[i * lda + p] : a[p * lda + i]) * (turn_b ? b[p * ldb + j] : b[j * ldb + p]);
      float was = c[j * ldc + i];
      well &= got[j * ldc + i] == (i >= m ? was : 2 * sum + (keep != 0 ? keep * was : 0));
    }
  well &= cublasGemmEx (handle, CUBLAS_OP_N, CUBLAS_OP_N, m, n, k, &two, at_a.at, CUDA_R_32F, m - 1, at_b.at,
                        CUDA_R_32F, ldb, &keep, at_c.at, CUDA_R_32F, ldc, how, CUBLAS_GEMM_DEFAULT)
          == CUBLAS_STATUS_INVALID_VALUE;
  return well & (cublasDestroy (handle) == CUBLAS_STATUS_SUCCESS);
}

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
  std::vector<unsigned char> flag (n);
  for (int i = 0; i < n; i++) {
    value[i] = i * 37 % 101 - 50;
    flag[i] = i % 7 == 0;
  }
  Array<int> in (value), out (n), count (1);
  Array<unsigned char> flags (flag);
  CUB (DeviceScan::ExclusiveSum, in.at, out.at, n);
  CUB (DeviceScan::ExclusiveSum, in.at, in.at, n);
  std::vector<int> got = out.home (), in_place = in.home ();
  for (int i = 0, sum = 0; i < n; sum += value[i++])
    well &= got[i] == sum && in_place[i] == sum;
  ok (well, "cub: scan");

  CUB (DeviceSelect::Flagged, thrust::counting_iterator<int> (0), flags.at, out.at, count.at, n);
  ok (well && count.home ()[0] == 143 && out.home ()[142] == 994, "cub: select");
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
  ok (transform (), "cuFFT: tiles to spectra and back");
  for (int turns = 0; turns < 4; turns++)
    for (int brief = 0; brief < 2; brief++)
      ok (multiply (turns & 1, turns & 2, turns == 3 ? 0.5f : 0, brief != 0), "cuBLAS: products");
  test_cub ();
  printf ("1..%d\n", tests);
  return failures != 0;
}
