/* refer.cu - the reference of a tile: the median over the sources of each piece: refer
 *
 * A *layer* is what is drawn of a piece: its reference, or the spread of a golden die. It consists of *blocks* that one shift
 * serves each, mostly one (math/source.h), and those of *cells* of 32 x 16 px, a cell a CUDA block. Layers of as many sources
 * are drawn together, by a kernel made for that number; blocks by ranges, for there is room for the sources of so many. Pieces
 * that overlap do not meet, for each pixel is drawn by the piece that owns it. */
#include "kernels/cuda/lane.cuh"
#include "kernels/math/number.h"

#include <algorithm>
#include <new>
#include <string.h>
#include <utility>

enum {
  CELL_W = 32,
  CELL_H = 16,
  CELL_THREADS = 256,
  RAW_W = CELL_W + 8, /* samples of a row of a cell, with those that its taps reach */
  RAW_H = CELL_H + NOTCH_TAPS - 1,
  SUM_THREADS = NOTCH_EQUAL_CELLS
};

struct Layer {
  NotchPiece piece, wide; /* wide: with its rim where it has one */
  NotchBlocks blocks;
  int owner, tile; /* its number in the tile */
  int whole;       /* in the batch */
  int n_sources;   /* the piece's, from first_source on; 1 for a spread */
  bool spread;
  int64_t rim; /* in lane.rim; -1: none */
  int first_block, first_cell;
  int cells_x, cells_y; /* a block */
};

/* A source made ready in the memory of a block; coarse ones have taps for every column, then for every row. */
struct Source {
  NotchSourcePlace place;
  int coarse; /* which of the tables of taps; -1: none */
};

struct Taps {
  float tap[NOTCH_TAPS];
  int at; /* sample of the first one, from the source's first pixel */
};

struct NotchCudaRefer {
  int max_layers, max_blocks, max_coarse; /* at once */
  Layer *layer, *home_layer;
  int64_t *home_piece_rim;
  Source *source;        /* NOTCH_MAX_SOURCES a block */
  double *sum;           /* NOTCH_EQUAL_CELLS a source of a layer */
  NotchRefNoise *noise;  /* a block */
  Taps *taps;            /* 2 (size + 2) a coarse source */
  int *n_coarse;         /* tables of them in use */
  cudaEvent_t layers_up; /* the pinned tables may be written again */
};

/* What the kernels of a range share. */
struct Range {
  const Layer *layer;
  int n_layers, k;
  int first_block, n_blocks, first_cell;
  int first_layer, n_touched; /* the layers that its blocks are of */
  Source *source;
  double *sum;
  NotchRefNoise *noise;
  Taps *taps;
  int size;
  NotchStripView strip[NOTCH_MAX_MEM];
};

/* ---- who and where --- */

/* The layer that holds a block or a cell: the last one that does not begin behind it. */
template <int Layer::*first>
static __device__ __forceinline__ const Layer *
find_layer (const Range &range, int which)
{
  int low = 0, high = range.n_layers - 1;
  while (low < high) {
    int middle = (low + high + 1) / 2;
    if (range.layer[middle].*first <= which)
      low = middle;
    else
      high = middle - 1;
  }
  return &range.layer[low];
}

/* The rectangle of block i of a layer. */
static __device__ __forceinline__ NotchPiece
block_of (const Layer *layer, int i)
{
  return notch_source_block (&layer->wide, &layer->blocks, i);
}

/* ---- sources ------------------------------------------------------------------------------------------------------------  */

/* Places every source of a range; a thread each. */
static __global__ void
place_sources (NotchLane lane, Range range, int *n_coarse)
{
  int i = blockIdx.x * blockDim.x + threadIdx.x, block = i / range.k, j = i % range.k;
  if (block >= range.n_blocks)
    return;
  const Layer *layer = find_layer<&Layer::first_block> (range, range.first_block + block);
  const NotchTile *tile = &lane.tile[layer->tile];
  NotchPiece at = block_of (layer, range.first_block + block - layer->first_block);
  NotchSourceShift shift = lane.source[layer->piece.first_source + j];
  Source *source = &range.source[(ptrdiff_t) block * NOTCH_MAX_SOURCES + j];
  if (layer->blocks.bent)
    shift = notch_source_bend (&shift, &layer->piece, &at);
  notch_source_place (&source->place, tile->x + at.x, tile->y + at.y, &shift);
  source->coarse = source->place.coarse ? atomicAdd (n_coarse, 1) : -1;
}

/* Taps of the columns and rows of coarse sources; blockIdx.y is the source. */
static __global__ void
place_taps (Range range)
{
  int block = blockIdx.y / range.k, i = blockIdx.x * blockDim.x + threadIdx.x, side = range.size + 2;
  const Source *source = &range.source[(ptrdiff_t) block * NOTCH_MAX_SOURCES + blockIdx.y % range.k];
  const NotchSourcePlace *place = &source->place;
  if (source->coarse < 0 || i >= 2 * side)
    return;
  Taps *taps = &range.taps[(ptrdiff_t) source->coarse * 2 * side + i];
  double at = i < side ? place->left + i * place->zoom : place->top + (i - side) * place->zoom;
  notch_lanczos_taps (at - floor (at), taps->tap);
  taps->at = (int) ((int64_t) floor (at) - NOTCH_TAP_ORIGIN - (i < side ? place->x : place->y));
}

/* ---- equal brightness ---------------------------------------------------------------------------------------------------- */

/* Can a layer's sources be made equally bright? */
static __device__ bool
is_comparable (const NotchLane &lane, const Layer *layer)
{
  int k = layer->n_sources;
  bool fine = k > 2 && layer->wide.w >= NOTCH_EQUAL_LEAST && layer->wide.h >= NOTCH_EQUAL_LEAST;
  for (int j = 0; j < k && fine; j++)
    fine = lane.source[layer->piece.first_source + j].zoom == 1;
  return fine;
}

/* The sums of a layer's sources. */
static __device__ __forceinline__ double *
sums_of (const Range &range, const Layer *layer)
{
  return range.sum + (layer - range.layer - range.first_layer) * NOTCH_MAX_SOURCES * NOTCH_EQUAL_CELLS;
}

/* The mean of a row's numbers over a CUDA block of SUM_THREADS; NAN where there are none. `sum` and `n`: a word a warp. */
static __device__ float
mean_of_row (const NotchStripView &strip, const unsigned char *row, int64_t x, int w, double *sum, int *n)
{
  double mine = 0;
  int found = 0;
  for (int i = threadIdx.x; i < w; i += SUM_THREADS) {
    float value = notch_cuda_sample (strip, row, x + i);
    if (notch_is_number (value))
      mine += (double) value, found++;
  }
  for (int by = 16; by > 0; by /= 2) {
    mine += __shfl_xor_sync (0xffffffffu, mine, by);
    found += __shfl_xor_sync (0xffffffffu, found, by);
  }
  __syncthreads ();
  if (threadIdx.x % 32 == 0)
    sum[threadIdx.x / 32] = mine, n[threadIdx.x / 32] = found;
  __syncthreads ();
  return n[0] + n[1] > 0 ? (float) ((sum[0] + sum[1]) / (n[0] + n[1])) : NAN;
}

/* Sums of a source over a row of cells; whole pixels do. Eight threads a cell add by turns what the CPU's vector units do, in
 * the same order. blockIdx.x: the layer, .y: the source, .z: the row of cells. */
static __global__ void
sum_cells (NotchLane lane, Range range)
{
  NOTCH_SHARED (double, row_sum, 2);
  NOTCH_SHARED (int, row_n, 2);
  int j = blockIdx.y, b = blockIdx.z, c = threadIdx.x / 8, part = threadIdx.x % 8;
  const Layer *layer = &range.layer[range.first_layer + (int) blockIdx.x];
  if (!is_comparable (lane, layer))
    return;
  const NotchPiece &at = layer->wide;
  const NotchTile *tile = &lane.tile[layer->tile];
  const NotchSourceShift *shift = &lane.source[layer->piece.first_source + j];
  const NotchStripView &strip = range.strip[shift->mem];
  int64_t x = (int64_t) floor ((double) (tile->x + at.x) + shift->dx + 0.5);
  int64_t y = (int64_t) floor ((double) (tile->y + at.y) + shift->dy + 0.5);
  int first = c * at.w / NOTCH_EQUAL_BLOCKS, end = (c + 1) * at.w / NOTCH_EQUAL_BLOCKS;
  int whole = first + (end - first) / 8 * 8;
  double sum = 0;
  bool none = false;
  for (int v = b * at.h / NOTCH_EQUAL_BLOCKS; v < (b + 1) * at.h / NOTCH_EQUAL_BLOCKS; v += NOTCH_EQUAL_STEP) {
    const unsigned char *row = notch_cuda_row (strip, y + v);
    float mean = strip.sample == NOTCH_SAMPLE_F32 ? mean_of_row (strip, row, x, at.w, row_sum, row_n) : 0;
    float mine = 0;
    for (int i = first + part; i < whole; i += 8) {
      float value = notch_cuda_sample (strip, row, x + i);
      mine += notch_is_number (value) ? value : mean;
    }
    for (int i = whole; i < end && part == 0; i++) {
      float value = notch_cuda_sample (strip, row, x + i);
      mine += notch_is_number (value) ? value : mean;
    }
    mine += __shfl_xor_sync (0xffffffffu, mine, 1);
    mine += __shfl_xor_sync (0xffffffffu, mine, 2);
    mine += __shfl_xor_sync (0xffffffffu, mine, 4);
    sum += (double) mine;
    none |= isnan (mean);
  }
  if (part == 0)
    sums_of (range, layer)[j * NOTCH_EQUAL_CELLS + b * NOTCH_EQUAL_BLOCKS + c] = none ? 0 : sum;
}

/* What each source of a block is multiplied by, and the noise of their median. A CUDA block of SUM_THREADS a block. */
static __global__ void
settle (NotchLane lane, Range range)
{
  NOTCH_SHARED (double, ratio, NOTCH_MAX_SOURCES *NOTCH_EQUAL_CELLS);
  NOTCH_SHARED (NotchRefNoise, part, NOTCH_MAX_SOURCES);
  int block = blockIdx.x, cell = threadIdx.x, j = threadIdx.x;
  const Layer *layer = find_layer<&Layer::first_block> (range, range.first_block + block);
  NotchPiece at = block_of (layer, range.first_block + block - layer->first_block);
  Source *source = range.source + (ptrdiff_t) block * NOTCH_MAX_SOURCES;
  const double *sum = sums_of (range, layer);
  int equal = is_comparable (lane, layer);
  if (equal) {
    double mean = notch_equal_mean (sum, range.k, cell);
    for (int i = 0; i < range.k; i++) {
      double one = sum[(ptrdiff_t) i * NOTCH_EQUAL_CELLS + cell];
      equal &= one > 0;
      ratio[i * NOTCH_EQUAL_CELLS + cell] = notch_equal_ratio (mean, one);
    }
  }
  if (j < range.k) {
    NotchRefNoise none = { 0, 0, 0, 0, 0 };
    part[j] = none;
    notch_source_noise (&source[j].place, &layer->piece, &part[j]);
  }
  equal = __syncthreads_and (equal);
  if (j < range.k && equal) {
    NotchSourcePlace whole;
    notch_equal_plane (ratio + j * NOTCH_EQUAL_CELLS, layer->wide.w, layer->wide.h, &whole);
    notch_equal_part (&whole, at.x - layer->wide.x, at.y - layer->wide.y, &source[j].place);
  }
  if (threadIdx.x > 0)
    return;
  NotchRefNoise noise = { 0, 0, 0, 0, 0 };
  for (int i = 0; i < range.k; i++)
    notch_ref_noise_add (&noise, &part[i], 1);
  range.noise[block] = noise;
}

/* Adds the noise of a range's blocks to that of their pieces, block after block; a thread a layer. */
static __global__ void
join_noise (NotchLane lane, Range range)
{
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= range.n_layers || range.layer[i].spread)
    return;
  const Layer *layer = &range.layer[i];
  int n = layer->blocks.n_x * layer->blocks.n_y, last = range.first_block + range.n_blocks;
  NotchRefNoise *whole = &lane.ref_noise[layer->whole], noise = { 0, 0, 0, 0, 0 };
  for (int b = 0; b < n; b++) {
    int block = layer->first_block + b;
    if (block < range.first_block || block >= last)
      continue;
    if (b == 0)
      *whole = noise;
    NotchPiece at = block_of (layer, b);
    notch_ref_noise_add (whole, &range.noise[block - range.first_block],
                         (double) (at.w * at.h) / (double) (layer->wide.w * layer->wide.h));
  }
}

/* ---- the median ---------------------------------------------------------------------------------------------------------  */

/* Batcher's odd-even merge sort for K values, as pairs of which the smaller value goes low; known when this is compiled, so
 * that values stay in registers, and what the median does not depend on is left out. */
template <int K> struct Network {
  int n;
  int low[80], high[80];
  constexpr Network () : n (0), low (), high ()
  {
    for (int p = 1; p < K; p *= 2)
      for (int q = p; q >= 1; q /= 2)
        for (int j = q % p; j + q < K; j += 2 * q)
          for (int m = j; m < j + q && m + q < K; m++)
            if (m / (2 * p) == (m + q) / (2 * p))
              low[n] = m, high[n++] = m + q;
  }
};

template <int K> struct Length {
  static constexpr int n = Network<K> ().n;
};

template <int LOW, int HIGH, int K>
static __device__ __forceinline__ void
exchange (float (&v)[K])
{
  float a = v[LOW], b = v[HIGH];
  v[LOW] = a < b ? a : b;
  v[HIGH] = a > b ? a : b;
}

template <int K, size_t... I>
static __device__ __forceinline__ float
sorted_median (float (&v)[K], std::index_sequence<I...>)
{
  constexpr Network<K> network;
  (exchange<network.low[I], network.high[I]> (v), ...);
  return 0.5f * (v[(K - 1) / 2] + v[K / 2]);
}

/* ---- drawing ------------------------------------------------------------------------------------------------------------- */

/* The samples of a source that a cell's pixels reach. (x, y): the cell's first pixel in the block. */
static __device__ void
load_raw (const NotchStripView &strip, const NotchSourcePlace *place, int x, int y, float *raw)
{
  for (int i = threadIdx.x; i < RAW_H * (CELL_W + NOTCH_TAPS - 1); i += CELL_THREADS) {
    int row = i / (CELL_W + NOTCH_TAPS - 1), column = i % (CELL_W + NOTCH_TAPS - 1);
    raw[row * RAW_W + column] =
        notch_cuda_sample (strip, notch_cuda_row (strip, place->y + y + row), place->x + x + column);
  }
}

/* Rows that are filtered along x already. */
static __device__ void
filter_rows (const NotchSourcePlace *place, const float *raw, float *row)
{
  for (int i = threadIdx.x; i < RAW_H * CELL_W; i += CELL_THREADS) {
    const float *s = raw + i / CELL_W * RAW_W + i % CELL_W;
    row[i / CELL_W * RAW_W + i % CELL_W] =
        place->plain_x ? s[NOTCH_TAP_ORIGIN] : notch_taps_sum (s[0], s[1], s[2], s[3], s[4], s[5], place->along);
  }
}

/* A coarse source: rows of samples are mixed first, for there are few. */
static __device__ void
mix_rows (const NotchStripView &strip, const NotchSourcePlace *place, const Taps *column, const Taps *down, int w,
          int h, float *row)
{
  int first = column[0].at, n = column[w - 1].at - first + NOTCH_TAPS;
  for (int i = threadIdx.x; i < h * n; i += CELL_THREADS) {
    const Taps *taps = &down[i / n];
    float sum = 0;
    for (int k = 0; k < NOTCH_TAPS; k++)
      sum += taps->tap[k]
             * notch_cuda_sample (strip, notch_cuda_row (strip, place->y + taps->at + k), place->x + first + i % n);
    row[i / n * RAW_W + i % n] = sum;
  }
}

/* A pixel from rows that are ready; (x, y) counts from the cell. */
static __device__ __forceinline__ float
mix_pixel (const Source *source, const Taps *column, const float *row, int x, int y)
{
  const NotchSourcePlace *place = &source->place;
  if (source->coarse >= 0) {
    const float *from = row + y * RAW_W + (column[x].at - column[0].at);
    float sum = 0;
    for (int k = 0; k < NOTCH_TAPS; k++)
      sum += column[x].tap[k] * from[k];
    return sum;
  }
  const float *r = row + y * RAW_W + x;
  return place->plain_y
             ? r[NOTCH_TAP_ORIGIN * RAW_W]
             : notch_taps_sum (r[0], r[RAW_W], r[2 * RAW_W], r[3 * RAW_W], r[4 * RAW_W], r[5 * RAW_W], place->across);
}

/* Puts a pixel where it belongs: into the plane, if its piece owns the place, or into the rim. */
static __device__ void
store_pixel (const NotchLane &lane, const Layer *layer, int x, int y, float value, bool lost)
{
  const NotchPiece *piece = &layer->piece;
  if (x < piece->x || y < piece->y || x >= piece->x + piece->w || y >= piece->y + piece->h) {
    lane.rim[layer->rim + notch_rim_at (piece, x, y)] = value;
    return;
  }
  size_t at = (size_t) layer->tile * lane.area + (size_t) y * lane.is.size + x;
  if (lane.owner[at] != layer->owner)
    return;
  lane.plane[layer->spread ? NOTCH_PLANE_SPREAD : NOTCH_PLANE_REF][at] = value;
  if (!lost)
    return;
  NOTCH_STORE (&lane.known[at],
               (uint8_t) (NOTCH_LOAD (&lane.known[at]) | NOTCH_KNOWN_REF_LOST)); /* so says its spread */
  NOTCH_STORE (&lane.state[layer->tile].any_lost, 1);
}

/* Draws the cells of a range, a CUDA block each. */
template <int K>
static __global__ void
__launch_bounds__ (CELL_THREADS, 3) draw (NotchLane lane, Range range)
{
  NOTCH_SHARED (float, raw, RAW_H *RAW_W);
  NOTCH_SHARED (float, row, RAW_H *RAW_W);
  NOTCH_SHARED (float, factor, K *CELL_H);
  NOTCH_SHARED (float, value, K *CELL_W *CELL_H);
  int cell = range.first_cell + (int) blockIdx.x;
  const Layer *layer = find_layer<&Layer::first_cell> (range, cell);
  int in_block = layer->cells_x * layer->cells_y, block = (cell - layer->first_cell) / in_block;
  NotchPiece at = block_of (layer, block);
  cell = (cell - layer->first_cell) % in_block;
  int x0 = cell % layer->cells_x * CELL_W, y0 = cell / layer->cells_x * CELL_H;
  int w = min (at.w - x0, (int) CELL_W), h = min (at.h - y0, (int) CELL_H);
  const Source *source =
      range.source + (ptrdiff_t) (layer->first_block + block - range.first_block) * NOTCH_MAX_SOURCES;
  if (w <= 0 || h <= 0) /* blocks of a piece differ by a pixel */
    return;
  for (int i = threadIdx.x; i < K * CELL_H; i += CELL_THREADS)
    factor[i] = notch_source_factor (&source[i / CELL_H].place, y0 + i % CELL_H);
  for (int j = 0; j < K; j++) {
    const NotchSourcePlace *place = &source[j].place;
    const NotchStripView &strip = range.strip[place->mem];
    const Taps *column = NULL;
    if (source[j].coarse >= 0)
      column = range.taps + (ptrdiff_t) source[j].coarse * 2 * (range.size + 2) + x0;
    else
      load_raw (strip, place, x0, y0, raw);
    __syncthreads ();
    if (column)
      mix_rows (strip, place, column, column - x0 + (range.size + 2) + y0, w, h, row);
    else
      filter_rows (place, raw, row);
    __syncthreads ();
    for (int i = threadIdx.x; i < CELL_W * CELL_H; i += CELL_THREADS) {
      int x = i % CELL_W, y = i / CELL_W;
      if (x < w && y < h)
        value[j * CELL_W * CELL_H + i] =
            mix_pixel (&source[j], column, row, x, y) * (factor[j * CELL_H + y] + place->step * (float) (x0 + x));
    }
  }
  for (int i = threadIdx.x; i < CELL_W * CELL_H; i += CELL_THREADS) {
    int x = i % CELL_W, y = i / CELL_W;
    float v[K], median;
    bool well = true;
    if (x >= w || y >= h)
      continue;
#pragma unroll
    for (int j = 0; j < K; j++) {
      v[j] = value[j * CELL_W * CELL_H + i];
      well &= notch_is_number (v[j]);
    }
    if (well)
      median = K == 1 ? v[0] : sorted_median<K> (v, std::make_index_sequence<Length<K>::n> ());
    else
      well = notch_source_median (value + i, CELL_W * CELL_H, K, &median);
    store_pixel (lane, layer, at.x + x0 + x, at.y + y0 + y, median, !well);
  }
}

/* ---- the stage --------------------------------------------------------------------------------------------------------- * */

typedef void (*Draw) (NotchLane, Range);

template <size_t... I>
static Draw
draw_for (int k, std::index_sequence<I...>)
{
  static const Draw all[] = { draw<(int) I + 1>... };
  return all[k - 1];
}

int
notch_cuda_refer_new (NotchLane *lane)
{
  NotchCudaRefer *refer = new (std::nothrow) NotchCudaRefer ();
  if (!refer)
    return notch_cuda_fail_at (lane, cudaErrorMemoryAllocation, "memory of the host");
  lane->refer = refer;
  refer->max_layers = 2 * NOTCH_MAX_PIECES;
  refer->max_blocks = 64 * lane->is.batch + 192;
  refer->max_coarse = 4 * lane->is.batch + NOTCH_MAX_SOURCES;
  size_t sources = (size_t) refer->max_blocks * NOTCH_MAX_SOURCES;
  size_t taps = (size_t) refer->max_coarse * 2 * ((size_t) lane->is.size + 2);
  NOTCH_CUDA (lane, "an event", cudaEventCreateWithFlags (&refer->layers_up, NOTCH_CUDA_EVENT));
  return notch_cuda_allocate (lane, &refer->layer, (size_t) refer->max_layers)
                 || notch_cuda_allocate_pinned (lane, &refer->home_layer, (size_t) refer->max_layers)
                 || notch_cuda_allocate_pinned (lane, &refer->home_piece_rim, NOTCH_MAX_PIECES)
                 || notch_cuda_allocate (lane, &refer->source, sources)
                 || notch_cuda_allocate (lane, &refer->sum, sources * NOTCH_EQUAL_CELLS)
                 || notch_cuda_allocate (lane, &refer->noise, (size_t) refer->max_blocks)
                 || notch_cuda_allocate (lane, &refer->n_coarse, 1) || notch_cuda_allocate (lane, &refer->taps, taps)
             ? -1
             : 0;
}

void
notch_cuda_refer_free (NotchLane *lane)
{
  if (lane->refer && lane->refer->layers_up)
    cudaEventDestroy (lane->refer->layers_up);
  delete lane->refer;
}

/* The layers of a batch, those of few sources first; they begin at [k - 1] and end at [k]. */
static void
make_layers (NotchLane *lane, int begin[NOTCH_MAX_SOURCES + 1])
{
  NotchCudaRefer *refer = lane->refer;
  int size = lane->is.size, n = 0;
  int64_t n_rim = 0;
  for (int p = 0; p < lane->n_pieces; p++) {
    const NotchPiece *piece = &lane->home_piece[p];
    int t = lane->home_piece_tile[p];
    if (p == 0 || lane->home_piece_tile[p - 1] != t)
      n_rim = 0;
    refer->home_piece_rim[p] = -1;
    if (piece->n_sources == 0)
      continue;
    Layer layer = {};
    layer.piece = layer.wide = *piece;
    const NotchSourceShift *shift = lane->home_source + piece->first_source;
    layer.blocks = notch_source_blocks (piece, shift, piece->n_sources, size);
    layer.owner = p - lane->home_tile[t].first_piece;
    layer.tile = t, layer.whole = p;
    layer.n_sources = piece->n_sources;
    layer.rim = -1;
    if (n_rim + notch_rim_length (piece) <= lane->max_rim) {
      layer.wide = notch_piece_with_rim (piece, size);
      layer.rim = refer->home_piece_rim[p] = t * lane->max_rim + n_rim;
      n_rim += notch_rim_length (piece);
    }
    refer->home_layer[n++] = layer;
    if (piece->n_spreads == 0)
      continue;
    layer.spread = true;
    layer.wide = *piece, layer.rim = -1;
    layer.blocks = notch_source_blocks (piece, shift + piece->n_sources, 1, size);
    layer.piece.first_source += piece->n_sources;
    layer.n_sources = 1;
    refer->home_layer[n++] = layer;
  }
  std::stable_sort (refer->home_layer, refer->home_layer + n,
                    [] (const Layer &a, const Layer &b) { return a.n_sources < b.n_sources; });
  int at = 0;
  for (int k = 1; k <= NOTCH_MAX_SOURCES; k++) {
    int block = 0, cell = 0;
    begin[k - 1] = at;
    for (; at < n && refer->home_layer[at].n_sources == k; at++) {
      Layer *layer = &refer->home_layer[at];
      const NotchBlocks *blocks = &layer->blocks;
      int w = (layer->wide.w + blocks->n_x - 1) / blocks->n_x, h = (layer->wide.h + blocks->n_y - 1) / blocks->n_y;
      layer->cells_x = (w + CELL_W - 1) / CELL_W, layer->cells_y = (h + CELL_H - 1) / CELL_H;
      layer->first_block = block, layer->first_cell = cell;
      block += blocks->n_x * blocks->n_y;
      cell += blocks->n_x * blocks->n_y * layer->cells_x * layer->cells_y;
    }
  }
  begin[NOTCH_MAX_SOURCES] = at;
}

static int
blocks_of (const Layer *layer)
{
  return layer->blocks.n_x * layer->blocks.n_y;
}

/* How many cells of a group of layers lie before a block. */
static int
cells_before (const Layer *layer, int n, int block)
{
  int cell = 0;
  for (int i = 0; i < n; i++) {
    int blocks = blocks_of (&layer[i]), first = layer[i].first_block;
    int of_it = block >= first + blocks ? blocks : block > first ? block - first : 0;
    cell += of_it * layer[i].cells_x * layer[i].cells_y;
  }
  return cell;
}

/* Draws blocks from range->first_block on. */
static int
draw_range (NotchLane *lane, Range *range, const Layer *home, bool coarse)
{
  unsigned blocks = (unsigned) range->n_blocks, k = (unsigned) range->k;
  int end_block = range->first_block + range->n_blocks, end = cells_before (home, range->n_layers, end_block);
  range->first_cell = cells_before (home, range->n_layers, range->first_block);
  while (home[range->first_layer].first_block + blocks_of (&home[range->first_layer]) <= range->first_block)
    range->first_layer++;
  range->n_touched = 0;
  for (int i = range->first_layer; i < range->n_layers && home[i].first_block < end_block; i++)
    range->n_touched++;
  NOTCH_CUDA (lane, "interpolating", cudaMemsetAsync (lane->refer->n_coarse, 0, sizeof (int), lane->stream));
  NOTCH_LAUNCH (place_sources, dim3 ((blocks * k + 63) / 64), dim3 (64), 0, lane->stream, *lane, *range,
                lane->refer->n_coarse);
  if (coarse)
    NOTCH_LAUNCH (place_taps, dim3 ((2 * ((unsigned) lane->is.size + 2) + 63) / 64, blocks * k), dim3 (64), 0,
                  lane->stream, *range);
  if (k > 2)
    NOTCH_LAUNCH (sum_cells, dim3 ((unsigned) range->n_touched, k, NOTCH_EQUAL_BLOCKS), dim3 (SUM_THREADS), 0,
                  lane->stream, *lane, *range);
  NOTCH_LAUNCH (settle, dim3 (blocks), dim3 (SUM_THREADS), 0, lane->stream, *lane, *range);
  NOTCH_LAUNCH (join_noise, dim3 (((unsigned) range->n_layers + 63) / 64), dim3 (64), 0, lane->stream, *lane, *range);
  Draw kernel = draw_for (range->k, std::make_index_sequence<NOTCH_MAX_SOURCES> ());
  NOTCH_LAUNCH (kernel, dim3 ((unsigned) (end - range->first_cell)), dim3 (CELL_THREADS), 0, lane->stream, *lane,
                *range);
  NOTCH_CUDA_LAUNCHED (lane, "interpolating");
  return 0;
}

int
notch_cuda_refer (NotchLane *lane, const NotchRefer *a)
{
  NotchCudaRefer *refer = lane->refer;
  int begin[NOTCH_MAX_SOURCES + 1];
  if (notch_cuda_enter (lane))
    return -1;
  NOTCH_CUDA (lane, "tables", cudaEventSynchronize (refer->layers_up));
  make_layers (lane, begin);
  Range range = {};
  bool floats = false, spread = false, coarse = false;
  for (int i = 0; i < NOTCH_MAX_MEM; i++)
    if (a->batch->mem[i]) {
      range.strip[i] = a->batch->mem[i]->view;
      floats |= range.strip[i].sample == NOTCH_SAMPLE_F32;
      if (notch_cuda_await (lane, a->batch->mem[i]))
        return -1;
    }
  for (int p = 0; p < lane->n_pieces; p++)
    spread |= lane->home_piece[p].n_spreads > 0;
  for (int i = 0; i < lane->n_sources; i++)
    coarse |= lane->home_source[i].zoom != 1;
  size_t bytes = (size_t) lane->n_tiles * lane->area * sizeof (float);
  NOTCH_CUDA (lane, "tables",
              cudaMemcpyAsync (refer->layer, refer->home_layer,
                               (size_t) begin[NOTCH_MAX_SOURCES] * sizeof *refer->layer, cudaMemcpyHostToDevice,
                               lane->stream));
  NOTCH_CUDA (lane, "tables",
              cudaMemcpyAsync (lane->piece_rim, refer->home_piece_rim,
                               (size_t) lane->n_pieces * sizeof *lane->piece_rim, cudaMemcpyHostToDevice,
                               lane->stream));
  NOTCH_CUDA (lane, "tables", cudaEventRecord (refer->layers_up, lane->stream));
  NOTCH_CUDA (lane, "clearing", cudaMemsetAsync (lane->plane[NOTCH_PLANE_REF], 0, bytes, lane->stream));
  if (spread)
    NOTCH_CUDA (lane, "clearing", cudaMemsetAsync (lane->plane[NOTCH_PLANE_SPREAD], 0, bytes, lane->stream));
  range.source = refer->source, range.sum = refer->sum, range.noise = refer->noise, range.taps = refer->taps;
  range.size = lane->is.size;
  for (int k = 1; k <= NOTCH_MAX_SOURCES; k++) {
    const Layer *home = refer->home_layer + begin[k - 1];
    range.layer = refer->layer + begin[k - 1];
    range.n_layers = begin[k] - begin[k - 1], range.k = k, range.first_layer = 0;
    if (range.n_layers == 0)
      continue;
    const Layer *last = &home[range.n_layers - 1];
    int n_blocks = last->first_block + blocks_of (last);
    int most = coarse ? std::min (refer->max_blocks, refer->max_coarse / k) : refer->max_blocks;
    for (range.first_block = 0; range.first_block < n_blocks; range.first_block += most) {
      range.n_blocks = std::min (most, n_blocks - range.first_block);
      if (draw_range (lane, &range, home, coarse))
        return -1;
    }
  }
  return floats ? notch_cuda_judge (lane) : 0;
}
