/* trees.cu - sums of decision trees on a card: a thread a row and class
 *
 * Bins lie feature by feature, so that threads of a warp whose nodes ask for the same feature read the same line of the cache;
 * there are few others, for near its root a tree has few nodes. The trees of a class are in that cache, too, while its blocks
 * run. A thread adds up its class's trees in their order, as the CPU does. */
#include "kernels/cuda/lane.cuh"

#include <new>
#include <stdio.h>

enum { BLOCK = 128, BIN_ROWS = 32, BIN_FEATURES = 8, MOST_GRID_Y = 65535, N_TABLES = 8 };

/* Bytes that rows in work may take. */
static const size_t most_bytes = (size_t) 256 << 20;

struct NotchTreesMem {
  NotchDevice *device;
  cudaStream_t stream;
  NotchTrees trees; /* whose arrays are on the device */
  void *table[N_TABLES];
  std::mutex lock; /* guards what follows: one call at a time */
  size_t rows;     /* that there is room for */
  float *row, *sum;
  uint16_t *bins; /* n_features x the rows in work x 2 */
};

/* ---- kernels ----------------------------------------------------------------------------------------------------- */

/* The bins of 32 rows. */
static __global__ void
bin_kernel (NotchTrees trees, const float *row, size_t n, uint16_t *bins)
{
  size_t r = (size_t) blockIdx.x * BIN_ROWS + threadIdx.x, n_features = (size_t) trees.n_features;
  if (r >= n)
    return;
  for (size_t f = threadIdx.y; f < n_features; f += BIN_FEATURES)
    notch_tree_bins (&trees, (int) f, row[r * n_features + f], bins + 2 * (f * n + r));
}

/* A class's sum of a row; blockIdx.y is the class. There are fewer than 2^32 bins. */
static __global__ void
sum_kernel (NotchTrees trees, const uint16_t *bins, uint32_t n, float *sum)
{
  uint32_t r = blockIdx.x * BLOCK + threadIdx.x;
  if (r >= n)
    return;
  for (int c = (int) blockIdx.y; c < trees.n_classes; c += (int) gridDim.y) {
    float all = trees.base[c];
    for (int tree = trees.first_tree[c]; tree < trees.first_tree[c + 1]; tree++) {
      uint32_t at = trees.root[tree];
      for (int step = 0, depth = trees.depth[tree]; step < depth; step++) {
        const NotchTreeNode node = trees.node[at];
        at = notch_tree_step (node, bins[2 * (node.column / 2 * n + r) + node.column % 2]);
      }
      all += trees.leaf[at];
    }
    sum[(size_t) r * (size_t) trees.n_classes + (size_t) c] = all;
  }
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static void
release_rows (NotchTreesMem *mem)
{
  cudaFree (mem->row);
  cudaFree (mem->bins);
  cudaFree (mem->sum);
  mem->row = mem->sum = nullptr;
  mem->bins = nullptr;
  mem->rows = 0;
}

void
notch_cuda_trees_free (NotchTreesMem *mem)
{
  if (!mem)
    return;
  cudaSetDevice (mem->device->index);
  release_rows (mem);
  for (int i = 0; i < N_TABLES; i++)
    cudaFree (mem->table[i]);
  if (mem->stream)
    cudaStreamDestroy (mem->stream);
  delete mem;
  cudaGetLastError ();
}

/* Copies an array of the host's; *array is then the device's. */
template <class T>
static cudaError_t
send (NotchTreesMem *mem, int table, const T **array, size_t n)
{
  const T *from = *array;
  cudaError_t error = notch_cuda_device_memory (mem->device, &mem->table[table], (n + 1) * sizeof (T));
  if (error == cudaSuccess)
    error = cudaMemcpyAsync (mem->table[table], from, n * sizeof (T), cudaMemcpyHostToDevice, mem->stream);
  *array = static_cast<const T *> (mem->table[table]);
  return error;
}

static cudaError_t
send_all (NotchTreesMem *mem)
{
  NotchTrees *is = &mem->trees;
  size_t features = (size_t) is->n_features, classes = (size_t) is->n_classes, trees = (size_t) is->n_trees;
  size_t thresholds = (size_t) is->first[features], nodes = is->n_nodes;
  cudaError_t error = cudaStreamCreateWithFlags (&mem->stream, cudaStreamNonBlocking);
  int table = 0;
#define SEND(array, n)                                                                                                 \
  if (error == cudaSuccess)                                                                                            \
  error = send (mem, table++, &is->array, n)
  SEND (threshold, thresholds);
  SEND (first, features + 1);
  SEND (node, nodes);
  SEND (leaf, nodes);
  SEND (root, trees);
  SEND (depth, trees);
  SEND (first_tree, classes + 1);
  SEND (base, classes);
#undef SEND
  return error == cudaSuccess ? cudaStreamSynchronize (mem->stream) : error;
}

NotchTreesMem *
notch_cuda_trees_up (NotchDevice *device, const NotchTrees *trees, NotchFault *fault)
{
  NotchTreesMem *mem = new (std::nothrow) NotchTreesMem ();
  if (!mem) {
    *fault = { "out of memory", true };
    return nullptr;
  }
  mem->device = device;
  mem->trees = *trees;
  cudaError_t error = cudaSetDevice (device->index);
  if (error == cudaSuccess)
    error = send_all (mem);
  if (error == cudaSuccess)
    return mem;
  notch_cuda_tell (fault, "sending trees", error);
  notch_cuda_trees_free (mem);
  return nullptr;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

/* How many of n rows are worked on at once. */
static size_t
rows_at_once (const NotchTrees *trees, size_t n)
{
  size_t bytes = 2 * sizeof (float) * (size_t) trees->n_features + sizeof (float) * (size_t) trees->n_classes;
  size_t most = most_bytes / (bytes + 1), largest = NOTCH_CUDA_TREES_ROWS, least = BIN_ROWS;
  most = most < least ? least : most > largest ? largest : most;
  return n < most ? n : most;
}

static cudaError_t
make_room (NotchTreesMem *mem, size_t rows)
{
  if (rows <= mem->rows)
    return cudaSuccess;
  release_rows (mem);
  size_t features = rows * (size_t) mem->trees.n_features + 1, sums = rows * (size_t) mem->trees.n_classes + 1;
  cudaError_t error = notch_cuda_device_memory (mem->device, (void **) &mem->row, features * sizeof *mem->row);
  if (error == cudaSuccess)
    error = notch_cuda_device_memory (mem->device, (void **) &mem->bins, 2 * features * sizeof *mem->bins);
  if (error == cudaSuccess)
    error = notch_cuda_device_memory (mem->device, (void **) &mem->sum, sums * sizeof *mem->sum);
  if (error == cudaSuccess)
    mem->rows = rows;
  return error;
}

/* Rows that there is room for, at least one. */
static cudaError_t
start_rows (NotchTreesMem *mem, const float *row, size_t n, float *sum)
{
  const NotchTrees *trees = &mem->trees;
  size_t values = n * (size_t) trees->n_features, sums = n * (size_t) trees->n_classes;
  int most = trees->n_classes < MOST_GRID_Y ? trees->n_classes : MOST_GRID_Y;
  cudaError_t error = cudaMemcpyAsync (mem->row, row, values * sizeof *row, cudaMemcpyHostToDevice, mem->stream);
  if (error != cudaSuccess)
    return error;
  NOTCH_LAUNCH (bin_kernel, dim3 ((unsigned) ((n + BIN_ROWS - 1) / BIN_ROWS)), dim3 (BIN_ROWS, BIN_FEATURES), 0,
                mem->stream, *trees, mem->row, n, mem->bins);
  if ((error = cudaGetLastError ()) != cudaSuccess)
    return error;
  NOTCH_LAUNCH (sum_kernel, dim3 ((unsigned) ((n + BLOCK - 1) / BLOCK), (unsigned) most), dim3 (BLOCK), 0, mem->stream,
                *trees, mem->bins, (uint32_t) n, mem->sum);
  if ((error = cudaGetLastError ()) != cudaSuccess)
    return error;
  return cudaMemcpyAsync (sum, mem->sum, sums * sizeof *sum, cudaMemcpyDeviceToHost, mem->stream);
}

/* Waits in any case, so that nothing comes to the caller's memory later. */
int
notch_cuda_trees_sum (NotchTreesMem *mem, const float *row, size_t n, float *sum, NotchFault *fault)
{
  std::lock_guard<std::mutex> guard (mem->lock);
  size_t features = (size_t) mem->trees.n_features, classes = (size_t) mem->trees.n_classes;
  size_t rows = rows_at_once (&mem->trees, n);
  cudaError_t error = cudaSetDevice (mem->device->index);
  if (error == cudaSuccess)
    error = make_room (mem, rows);
  for (size_t first = 0; first < n && error == cudaSuccess; first += rows)
    error = start_rows (mem, row + first * features, n - first < rows ? n - first : rows, sum + first * classes);
  cudaError_t late = cudaStreamSynchronize (mem->stream);
  error = error == cudaSuccess ? late : error;
  if (error == cudaSuccess)
    return 0;
  notch_cuda_tell (fault, "walking trees", error);
  return -1;
}
