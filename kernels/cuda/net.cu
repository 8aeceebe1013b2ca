/* net.cu - a network's operations on a card: products by cuBLAS, all else by kernels of a thread an element
 *
 * What is summed over rows is summed in PARTS parts, and those in their order, so that the same comes out every time. */
#include "kernels/cuda/lane.cuh"
#include "kernels/math/net.h"

#include <cublas_v2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { BLOCK = 256, PARTS = 64, SUM_COLUMNS = 32, SUM_ROWS = 8 };
enum { LEAST_BFLOAT16 = 8 }; /* compute capability from which on tensor cores multiply bfloat16 */

struct NetMemory {
  float *at;
  NetMemory *next;
};

struct NotchNetLane {
  NotchDevice *device;
  NotchFault fault;
  cudaStream_t stream;
  cublasHandle_t blas;
  bool brief; /* bfloat16 is what is multiplied */
  NetMemory *memory;
  float *surroundings; /* of all images, of the layer in work */
  double *sums;        /* PARTS x 2 x channels */
};

/* ---- faults and memory ------------------------------------------------------------------------------------------- */

static int __attribute__ ((format (printf, 3, 4))) fail (NotchNetLane *lane, bool full, const char *format, ...)
{
  va_list arguments;
  va_start (arguments, format);
  vsnprintf (lane->fault.text, sizeof lane->fault.text, format, arguments);
  va_end (arguments);
  lane->fault.full = full;
  cudaGetLastError ();
  return -1;
}

#define TRY(lane, doing, call)                                                                                         \
  do {                                                                                                                 \
    cudaError_t error_ = (call);                                                                                       \
    if (error_ != cudaSuccess) {                                                                                       \
      notch_cuda_tell (&lane->fault, doing, error_);                                                                   \
      return -1;                                                                                                       \
    }                                                                                                                  \
  } while (0)

static int
enter (NotchNetLane *lane)
{
  TRY (lane, "taking the device", cudaSetDevice (lane->device->index));
  return 0;
}

static int
launched (NotchNetLane *lane, const char *doing)
{
  TRY (lane, doing, cudaGetLastError ());
  return 0;
}

static void
lane_free (NotchNetLane *lane)
{
  if (!lane)
    return;
  cudaSetDevice (lane->device->index);
  if (lane->stream)
    cudaStreamSynchronize (lane->stream);
  if (lane->blas)
    cublasDestroy (lane->blas);
  while (lane->memory) {
    NetMemory *next = lane->memory->next;
    cudaFree (lane->memory->at);
    free (lane->memory);
    lane->memory = next;
  }
  if (lane->stream)
    cudaStreamDestroy (lane->stream);
  free (lane);
  cudaGetLastError ();
}

static int
allocate (NotchNetLane *lane, size_t n, float **memory)
{
  NetMemory *is = (NetMemory *) calloc (1, sizeof *is);
  *memory = nullptr;
  if (!is || n > SIZE_MAX / sizeof (float) - 1) {
    free (is);
    return fail (lane, true, "out of memory for %zu numbers of a network", n);
  }
  cudaError_t error = notch_cuda_device_memory (lane->device, (void **) &is->at, (n + 1) * sizeof (float));
  if (error != cudaSuccess)
    free (is);
  TRY (lane, "memory of a network", error);
  is->next = lane->memory;
  lane->memory = is;
  TRY (lane, "memory of a network", cudaMemsetAsync (is->at, 0, (n + 1) * sizeof (float), lane->stream));
  *memory = is->at;
  return 0;
}

/* A handle of cuBLAS that cannot be made for want of memory says either. */
static bool
is_full (cublasStatus_t status)
{
  return status == CUBLAS_STATUS_ALLOC_FAILED || status == CUBLAS_STATUS_NOT_INITIALIZED;
}

static int
fill_lane (NotchNetLane *lane, const NotchNetSize *is)
{
  size_t surroundings = 0, channels = 1;
  for (int i = 0; i < is->n_layers; i++) {
    size_t own = (size_t) is->images * notch_net_surroundings (&is->layer[i]), filters = (size_t) is->layer[i].filters;
    surroundings = own > surroundings ? own : surroundings;
    channels = filters > channels ? filters : channels;
  }
  if (enter (lane) != 0)
    return -1;
  TRY (lane, "a stream", cudaStreamCreateWithFlags (&lane->stream, cudaStreamNonBlocking));
  lane->brief = is->brief != 0 && lane->device->major >= LEAST_BFLOAT16;
  cublasStatus_t status;
  do
    status = cublasCreate (&lane->blas);
  while (is_full (status) && notch_cuda_make_room (lane->device));
  if (status == CUBLAS_STATUS_SUCCESS)
    status = cublasSetStream (lane->blas, lane->stream);
  TRY (lane, "setting up cuBLAS", cudaStreamSynchronize (lane->stream));
  if (status != CUBLAS_STATUS_SUCCESS)
    return fail (lane, is_full (status), "cuBLAS cannot be set up (%d)", (int) status);
  float *sums = nullptr;
  if (allocate (lane, surroundings, &lane->surroundings) != 0
      || allocate (lane, PARTS * 2 * channels * sizeof (double) / sizeof (float), &sums) != 0)
    return -1;
  lane->sums = reinterpret_cast<double *> (sums);
  return 0;
}

static NotchNetLane *
lane_new (NotchDevice *device, const NotchNetSize *is, NotchFault *fault)
{
  NotchNetLane *lane = (NotchNetLane *) calloc (1, sizeof *lane);
  if (!lane) {
    *fault = { "out of memory", true };
    return nullptr;
  }
  lane->device = device;
  if (fill_lane (lane, is) == 0)
    return lane;
  *fault = lane->fault;
  lane_free (lane);
  return nullptr;
}

static const NotchFault *
fault_of (NotchNetLane *lane)
{
  return &lane->fault;
}

/* Both wait, so that the host's memory is free again. */
static int
up (NotchNetLane *lane, float *to, const float *from, size_t n)
{
  if (enter (lane) != 0)
    return -1;
  TRY (lane, "sending numbers", cudaMemcpyAsync (to, from, n * sizeof *to, cudaMemcpyHostToDevice, lane->stream));
  TRY (lane, "sending numbers", cudaStreamSynchronize (lane->stream));
  return 0;
}

static int
down (NotchNetLane *lane, float *to, const float *from, size_t n)
{
  if (enter (lane) != 0)
    return -1;
  TRY (lane, "fetching numbers", cudaMemcpyAsync (to, from, n * sizeof *to, cudaMemcpyDeviceToHost, lane->stream));
  TRY (lane, "fetching numbers", cudaStreamSynchronize (lane->stream));
  return 0;
}

/* ---- convolution ------------------------------------------------------------------------------------------------- */

/* Blocks for n threads, and a thread's number. */
static dim3
blocks (size_t n)
{
  return dim3 ((unsigned) ((n + BLOCK - 1) / BLOCK));
}

static __device__ __forceinline__ size_t
thread_number (void)
{
  return (size_t) blockIdx.x * BLOCK + threadIdx.x;
}

/* The surroundings of each pixel that comes out, a row each; a thread a number. */
static __global__ void
gather_kernel (NotchNetGeometry is, int out, const float *x, size_t n, float *to)
{
  size_t i = thread_number ();
  if (i >= n)
    return;
  int columns = is.kernel * is.kernel * is.channels, column = (int) (i % (size_t) columns);
  size_t row = i / (size_t) columns, image = row / (size_t) (out * out);
  int pixel = (int) (row % (size_t) (out * out)), tap = column / is.channels, half = is.kernel / 2;
  int ix = pixel % out * is.stride + tap % is.kernel - half, iy = pixel / out * is.stride + tap / is.kernel - half;
  bool inside = ix >= 0 && ix < is.side && iy >= 0 && iy < is.side;
  to[i] = inside ? x[((image * (size_t) is.side + (size_t) iy) * (size_t) is.side + (size_t) ix) * (size_t) is.channels
                     + (size_t) (column % is.channels)]
                 : 0;
}

/* What was found for the surroundings, summed for the pixels that they are of; a thread a number that comes in. */
static __global__ void
scatter_kernel (NotchNetGeometry is, int out, const float *from, size_t n, float *dx)
{
  size_t i = thread_number ();
  if (i >= n)
    return;
  int channel = (int) (i % (size_t) is.channels), half = is.kernel / 2;
  size_t pixel = i / (size_t) is.channels, image = pixel / (size_t) (is.side * is.side);
  int ix = (int) (pixel % (size_t) is.side), iy = (int) (pixel / (size_t) is.side % (size_t) is.side);
  float sum = 0;
  for (int ky = 0; ky < is.kernel; ky++)
    for (int kx = 0; kx < is.kernel; kx++) {
      int x = ix + half - kx, y = iy + half - ky, ox = x / is.stride, oy = y / is.stride;
      if (x < 0 || y < 0 || x % is.stride || y % is.stride || ox >= out || oy >= out)
        continue;
      size_t row = (image * (size_t) out + (size_t) oy) * (size_t) out + (size_t) ox;
      sum += from[(row * (size_t) (is.kernel * is.kernel) + (size_t) (ky * is.kernel + kx)) * (size_t) is.channels
                  + (size_t) channel];
    }
  dx[i] = sum;
}

static __global__ void
finish_kernel (float *y, const float *bias, size_t n, int filters, bool rectify)
{
  size_t i = thread_number ();
  if (i >= n)
    return;
  float v = y[i] + bias[i % (size_t) filters];
  y[i] = rectify && !(v > 0) ? 0 : v;
}

/* c = a b of matrices whose rows lie one behind the other, c of m x n; either may be turned. cuBLAS takes columns for rows:
 * to it c is turned, and so is the order of the factors. In a lane that is brief it rounds a and b on their way to the tensor
 * cores; they are single in memory, as c is, and so are the sums. */
static int
multiply (NotchNetLane *lane, int m, int n, int k, const float *a, bool turn_a, const float *b, bool turn_b, float *c)
{
  const float one = 1, zero = 0;
  const cublasComputeType_t how = lane->brief ? CUBLAS_COMPUTE_32F_FAST_16BF : CUBLAS_COMPUTE_32F;
  cublasStatus_t status = cublasGemmEx (
      lane->blas, turn_b ? CUBLAS_OP_T : CUBLAS_OP_N, turn_a ? CUBLAS_OP_T : CUBLAS_OP_N, n, m, k, &one, b, CUDA_R_32F,
      turn_b ? k : n, a, CUDA_R_32F, turn_a ? m : k, &zero, c, CUDA_R_32F, n, how, CUBLAS_GEMM_DEFAULT);
  return status == CUBLAS_STATUS_SUCCESS ? 0
                                         : fail (lane, is_full (status), "cuBLAS: a product failed (%d)", (int) status);
}

/* A matrix of surroundings; what comes in itself where that is the same. -1 where it cannot be made. */
static int
surroundings (NotchNetLane *lane, const NotchNetGeometry *is, const float *x, const float **found)
{
  *found = x;
  if (is->kernel == 1 && is->stride == 1)
    return 0;
  size_t n = (size_t) is->n * notch_net_surroundings (is);
  NOTCH_LAUNCH (gather_kernel, blocks (n), BLOCK, 0, lane->stream, *is, notch_net_side_out (is), x, n,
                lane->surroundings);
  *found = lane->surroundings;
  return launched (lane, "gathering surroundings");
}

static int
convolve (NotchNetLane *lane, const NotchNetConvolve *a)
{
  int side = notch_net_side_out (&a->is), rows = a->is.n * side * side;
  const float *x = nullptr;
  if (enter (lane) != 0 || surroundings (lane, &a->is, a->x, &x) != 0
      || multiply (lane, rows, a->is.filters, notch_net_weight_rows (&a->is), x, false, a->weight, false, a->y) != 0)
    return -1;
  size_t n = (size_t) rows * (size_t) a->is.filters;
  if (a->bias)
    NOTCH_LAUNCH (finish_kernel, blocks (n), BLOCK, 0, lane->stream, a->y, a->bias, n, a->is.filters, a->rectify);
  return launched (lane, "convolving");
}

/* ---- sums of columns --------------------------------------------------------------------------------------------- */

/* What is summed of element i, in column c. */
struct Squares {
  const float *x;
  __device__ void operator() (size_t i, int c, double &first, double &second) const
  {
    first += (double) x[i], second += (double) x[i] * (double) x[i];
  }
};

struct Derivatives {
  const float *x, *y, *dy, *mean, *inverse;
  __device__ void operator() (size_t i, int c, double &first, double &second) const
  {
    float d = y[i] > 0 ? dy[i] : 0;
    first += (double) d, second += (double) (d * ((x[i] - mean[c]) * inverse[c]));
  }
};

/* Sums a part of the rows, for 32 columns: blockIdx.x is which, blockIdx.y the part. */
template <class Terms>
static __global__ void
sum_kernel (Terms terms, int64_t rows, int channels, double *sums)
{
  NOTCH_SHARED (double, shared, 2 * SUM_ROWS * SUM_COLUMNS);
  int lane = (int) threadIdx.x, c = (int) blockIdx.x * SUM_COLUMNS + lane, part = (int) blockIdx.y;
  int64_t share = (rows + PARTS - 1) / PARTS, first = part * share, end = first + share < rows ? first + share : rows;
  double sum[2] = { 0, 0 };
  for (int64_t r = first + (int) threadIdx.y; r < end && c < channels; r += SUM_ROWS)
    terms ((size_t) r * (size_t) channels + (size_t) c, c, sum[0], sum[1]);
  for (int k = 0; k < 2; k++)
    shared[(k * SUM_ROWS + (int) threadIdx.y) * SUM_COLUMNS + lane] = sum[k];
  __syncthreads ();
  if (threadIdx.y < 2 && c < channels) {
    double all = 0;
    for (int r = 0; r < SUM_ROWS; r++)
      all += shared[((int) threadIdx.y * SUM_ROWS + r) * SUM_COLUMNS + lane];
    sums[((size_t) part * 2 + threadIdx.y) * (size_t) channels + (size_t) c] = all;
  }
}

static __device__ double
all_parts (const double *sums, int which, int channels, int c)
{
  double sum = 0;
  for (int part = 0; part < PARTS; part++)
    sum += sums[((size_t) part * 2 + (size_t) which) * (size_t) channels + (size_t) c];
  return sum;
}

template <class Terms>
static int
sum_columns (NotchNetLane *lane, Terms terms, int64_t rows, int channels)
{
  dim3 grid ((unsigned) ((channels + SUM_COLUMNS - 1) / SUM_COLUMNS), PARTS);
  NOTCH_LAUNCH (sum_kernel<Terms>, grid, dim3 (SUM_COLUMNS, SUM_ROWS), 0, lane->stream, terms, rows, channels,
                lane->sums);
  return launched (lane, "summing columns");
}

/* The two sums of each column, to where they are wanted; either may be nowhere. */
static __global__ void
store_sums_kernel (const double *sums, int channels, float *first, float *second)
{
  int c = (int) thread_number ();
  if (c >= channels)
    return;
  first[c] = (float) all_parts (sums, 0, channels, c);
  if (second)
    second[c] = (float) all_parts (sums, 1, channels, c);
}

static int
convolve_back (NotchNetLane *lane, const NotchNetConvolveBack *a)
{
  int side = notch_net_side_out (&a->is), rows = a->is.n * side * side, filters = a->is.filters;
  int weight_rows = notch_net_weight_rows (&a->is);
  const float *x = nullptr;
  if (enter (lane) != 0 || surroundings (lane, &a->is, a->x, &x) != 0
      || multiply (lane, weight_rows, filters, rows, x, true, a->dy, false, a->dweight) != 0)
    return -1;
  if (a->dbias) {
    if (sum_columns (lane, Squares{ a->dy }, rows, filters) != 0)
      return -1;
    NOTCH_LAUNCH (store_sums_kernel, blocks ((size_t) filters), BLOCK, 0, lane->stream, lane->sums, filters, a->dbias,
                  (float *) nullptr);
  }
  if (!a->dx)
    return launched (lane, "convolving back");
  bool same = a->is.kernel == 1 && a->is.stride == 1;
  if (multiply (lane, rows, weight_rows, filters, a->dy, false, a->weight, true, same ? a->dx : lane->surroundings)
      != 0)
    return -1;
  size_t n = (size_t) a->is.n * (size_t) a->is.side * (size_t) a->is.side * (size_t) a->is.channels;
  if (!same)
    NOTCH_LAUNCH (scatter_kernel, blocks (n), BLOCK, 0, lane->stream, a->is, side, lane->surroundings, n, a->dx);
  return launched (lane, "convolving back");
}

/* ---- norm -------------------------------------------------------------------------------------------------------- */

static __global__ void
settle_kernel (NotchNetNorm a, const double *sums)
{
  int c = (int) thread_number ();
  if (c < a.channels)
    notch_net_settle (all_parts (sums, 0, a.channels, c), all_parts (sums, 1, a.channels, c), (double) a.rows,
                      a.momentum, &a.mean[c], &a.inverse[c], &a.running_mean[c], &a.running_variance[c]);
}

static __global__ void
norm_kernel (NotchNetNorm a, size_t n)
{
  size_t i = thread_number (), c = i % (size_t) a.channels;
  if (i < n)
    a.y[i] = notch_net_normal (a.x[i], a.mean[c], a.inverse[c], a.gain[c], a.shift[c]);
}

static int
norm (NotchNetLane *lane, const NotchNetNorm *a)
{
  size_t n = (size_t) a->rows * (size_t) a->channels;
  if (enter (lane) != 0 || sum_columns (lane, Squares{ a->x }, a->rows, a->channels) != 0)
    return -1;
  NOTCH_LAUNCH (settle_kernel, blocks ((size_t) a->channels), BLOCK, 0, lane->stream, *a, lane->sums);
  NOTCH_LAUNCH (norm_kernel, blocks (n), BLOCK, 0, lane->stream, *a, n);
  return launched (lane, "normalising a batch");
}

static __global__ void
norm_back_kernel (NotchNetNormBack a, size_t n)
{
  size_t i = thread_number (), c = i % (size_t) a.channels;
  float share = 1 / (float) a.rows;
  if (i < n)
    a.dx[i] = notch_net_normal_back (a.x[i], a.y[i], a.dy[i], a.mean[c], a.inverse[c], a.gain[c], a.dshift[c] * share,
                                     a.dgain[c] * share);
}

static int
norm_back (NotchNetLane *lane, const NotchNetNormBack *a)
{
  size_t n = (size_t) a->rows * (size_t) a->channels;
  Derivatives terms = { a->x, a->y, a->dy, a->mean, a->inverse };
  if (enter (lane) != 0 || sum_columns (lane, terms, a->rows, a->channels) != 0)
    return -1;
  NOTCH_LAUNCH (store_sums_kernel, blocks ((size_t) a->channels), BLOCK, 0, lane->stream, lane->sums, a->channels,
                a->dshift, a->dgain);
  NOTCH_LAUNCH (norm_back_kernel, blocks (n), BLOCK, 0, lane->stream, *a, n);
  return launched (lane, "normalising back");
}

/* ---- pool, loss, AdamW -------------------------------------------------------------------------------------------- */

static __global__ void
pool_kernel (NotchNetPool a, size_t n)
{
  size_t i = thread_number (), channels = (size_t) a.channels;
  if (i >= n)
    return;
  const float *x = a.x + i / channels * (size_t) a.area * channels + i % channels;
  float sum = 0;
  for (int p = 0; p < a.area; p++)
    sum += x[(size_t) p * channels];
  a.y[i] = sum / (float) a.area;
}

static int
pool (NotchNetLane *lane, const NotchNetPool *a)
{
  size_t n = (size_t) a->n * (size_t) a->channels;
  if (enter (lane) != 0)
    return -1;
  NOTCH_LAUNCH (pool_kernel, blocks (n), BLOCK, 0, lane->stream, *a, n);
  return launched (lane, "pooling");
}

static __global__ void
pool_back_kernel (NotchNetPoolBack a, size_t n)
{
  size_t i = thread_number (), channels = (size_t) a.channels;
  if (i < n)
    a.dx[i] = a.dy[i / channels / (size_t) a.area * channels + i % channels] / (float) a.area;
}

static int
pool_back (NotchNetLane *lane, const NotchNetPoolBack *a)
{
  size_t n = (size_t) a->n * (size_t) a->area * (size_t) a->channels;
  if (enter (lane) != 0)
    return -1;
  NOTCH_LAUNCH (pool_back_kernel, blocks (n), BLOCK, 0, lane->stream, *a, n);
  return launched (lane, "pooling back");
}

static __global__ void
loss_kernel (NotchNetLoss a)
{
  int row = (int) thread_number ();
  if (row < a.n)
    notch_net_loss_row (&a, row);
}

static int
loss (NotchNetLane *lane, const NotchNetLoss *a)
{
  if (enter (lane) != 0)
    return -1;
  NOTCH_LAUNCH (loss_kernel, blocks ((size_t) a->n), BLOCK, 0, lane->stream, *a);
  return launched (lane, "judging");
}

static __global__ void
adamw_kernel (NotchNetAdamW a, float unbias1, float unbias2)
{
  size_t i = thread_number ();
  if (i < a.n)
    notch_net_adamw (&a.weight[i], &a.mean[i], &a.square[i], a.gradient[i], a.rate, a.decay, unbias1, unbias2);
}

static int
adamw (NotchNetLane *lane, const NotchNetAdamW *a)
{
  if (enter (lane) != 0)
    return -1;
  NOTCH_LAUNCH (adamw_kernel, blocks (a->n), BLOCK, 0, lane->stream, *a,
                notch_net_unbias ((double) NOTCH_NET_BETA1, a->step),
                notch_net_unbias ((double) NOTCH_NET_BETA2, a->step));
  return launched (lane, "a step");
}

const NotchNetKernels notch_cuda_net = { 512,
                                         lane_new,
                                         lane_free,
                                         fault_of,
                                         allocate,
                                         up,
                                         down,
#define NOTCH_NET_OPERATION(name, Args) name,
                                         NOTCH_NET_OPERATIONS (NOTCH_NET_OPERATION)
#undef NOTCH_NET_OPERATION
};
