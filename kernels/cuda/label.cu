/* label.cu - connected components by union-find over the masked pixels, and crops around them: label, patch
 *
 * The mask is a byte a pixel. CUB lists in order which chunks of 32 pixels have one of it, and all that follows runs over that
 * list, which is short, a warp a chunk. A pixel's parent is one before it, so that a component's root is its first pixel,
 * whatever threads do; union by atomic minimum as in Playne and Hawick, IEEE Transactions on Parallel and Distributed
 * Systems 29 (2018), from stretches of a row that are joined to begin with. Components come out in the order of their roots,
 * as the CPU's do. What kernels keep for every pixel (`parent`, `blob_of`, `peak_key`, `tie`) is written and read at masked
 * pixels only. */
#include "kernels/cuda/block.cuh"
#include "kernels/cuda/lane.cuh"
#include "kernels/cuda/select.cuh"
#include "kernels/math/blob.h"
#include "kernels/math/score.h"
#include "kernels/math/skirt.h"

#include <climits>
#include <new>

enum {
  LIST_BLOCK = 128, /* threads of kernels over a list */
  CHUNK = 32,       /* pixels, one after the other in a tile, that are listed together */
  STRETCH = 32,     /* px: pixels of a row that have one parent to begin with, and that one thread measures */
  CELL = NOTCH_PEAK_APART + 1, /* px: a square of this side has one peak at most */
  /* What is kept in a byte of the mask beside NOTCH_MASK_*. */
  MASK = 3,
  ROOT = 4, /* the first pixel of a component that makes a blob */
  SEAM = 8, /* it comes home as a NotchSeam */
  CUT = 16, /* it was cut as a skirt */
};

/* How many cells lie along a side of a tile. */
NOTCH_FN int
cells_of (int size)
{
  return size / CELL + 1;
}

/* What the kernels count in a tile. */
struct Count {
  int components; /* worth a blob, before skirts are cut */
  int peaks;
};

struct NotchCudaLabel {
  uint8_t *mask;                /* a byte a pixel */
  int32_t *parent;              /* a pixel's, its place in the tile */
  int32_t *blob_of;             /* at a root: first whether it is worth a blob, then which; -1: none */
  unsigned long long *peak_key; /* at a root: the component's peak, see key_of */
  int32_t *tie;             /* at a seam: where the peak of its component was before skirts were cut, then its blob */
  uint8_t *full;            /* 1 for chunks with a pixel of the mask, */
  int32_t *list, *n_list;   /* which those are, and how many */
  int32_t *roots, *seams;   /* how many a chunk has; then how many all before it have */
  Count *count;             /* a tile each */
  NotchPeak *peak;          /* by cells, cells_of x cells_of a tile */
  int32_t *cell;            /* 1 where a cell has a peak */
  int32_t *square;          /* by squares, notch_peak_squares x notch_peak_squares a tile */
  NotchTemplate *template_; /* n_channels */
  unsigned long long *blob_key; /* a blob's peak */
  void *work;                   /* CUB's */
  size_t work_bytes;
};

/* All that kernels look at, of all tiles of the batch. */
struct View {
  const NotchTile *tiles;
  const float *score, *fine;
  NotchBlobPlanes planes;
  uint8_t *mask, *full;
  int32_t *parent, *blob_of, *tie;
  const int32_t *list, *n_list;
  int32_t *roots, *seams;
  unsigned long long *peak_key, *blob_key;
  Count *count;
  NotchTileHead *head;
  NotchPeak *peak;
  int32_t *cell, *square;
  const NotchTemplate *template_;
  NotchBlob *blob;
  NotchSeam *seam;
  int n_tiles, size, area, chunks, reach, n_channels, max_blobs, max_seams; /* chunks: of a tile */
  float seed, grow;
};

/* ---- keys of peaks ------------------------------------------------------------------------------------------------------  */

/* A peak as a number that orders as notch_blob_peak does: strength, then the first place. 0 is less than any. */
static __device__ __forceinline__ unsigned long long
key_of (float score, int at)
{
  int32_t peak = (int32_t) notch_fixed (score > 8e6f ? 8e6f : score);
  return peak < 0 ? 0 : ((unsigned long long) (peak + 1) << 32) | (unsigned) (INT_MAX - at);
}

/* A key's place in the tile; 0 has the first one. */
static __device__ __forceinline__ int
place_of (unsigned long long key)
{
  return key ? INT_MAX - (int) (key & 0xffffffffu) : 0;
}

/* Raises a key that others raise, too; most of the time it is high enough already. */
static __device__ __forceinline__ void
raise_key (unsigned long long *key, unsigned long long to)
{
  if (NOTCH_LOAD (key) < to)
    atomicMax (key, to);
}

/* ---- union-find ---------------------------------------------------------------------------------------------------------  */

static __device__ __forceinline__ int32_t
root_of (const int32_t *parent, int32_t at)
{
  for (int32_t up = NOTCH_LOAD (&parent[at]); up != at; up = NOTCH_LOAD (&parent[at]))
    at = up;
  return at;
}

static __device__ __forceinline__ void
unite (int32_t *parent, int32_t a, int32_t b)
{
  for (;;) {
    a = root_of (parent, a), b = root_of (parent, b);
    if (a == b)
      return;
    int32_t later = max (a, b), first = min (a, b), was = atomicMin (&parent[later], first);
    if (was == later)
      return;
    a = was, b = first; /* another thread was here first: its parent and ours belong together */
  }
}

/* A pixel of the list: its tile and its chunk, and where it is. */
struct Place {
  int tile, chunk;
  int32_t at; /* in the tile */
  int x, y;
  size_t first, pixel; /* of the batch: the tile's first one, and this one */
};

/* Pixel i of the list; false: the mask has none of `bits` there. */
static __device__ __forceinline__ bool
find_place (const View &v, int i, int bits, Place *p)
{
  p->chunk = v.list[i / CHUNK];
  p->tile = p->chunk / v.chunks;
  p->at = (p->chunk - p->tile * v.chunks) * CHUNK + i % CHUNK;
  p->first = (size_t) p->tile * v.area, p->pixel = p->first + p->at;
  p->y = p->at / v.size, p->x = p->at - p->y * v.size;
  return p->at < v.area && (v.mask[p->pixel] & bits) != 0;
}

/* The loop of every kernel over the list: as many threads as there are take turns. */
#define EACH(i, n)                                                                                                     \
  int i = (int) (blockIdx.x * blockDim.x + threadIdx.x);                                                               \
  i < (n);                                                                                                             \
  i += (int) (gridDim.x * blockDim.x)
#define EACH_PIXEL(i, v) EACH (i, *(v).n_list *CHUNK)

/* ---- kernels ------------------------------------------------------------------------------------------------------------- */

/* The mask of the core, 0 elsewhere, and how many of its pixels are inspected, and lost. Pixels of tiles. */
static __global__ void
mask_kernel (View v, const uint8_t *judged, const uint8_t *known, const NotchTileState *state)
{
  int x = (int) (blockIdx.x * blockDim.x + threadIdx.x), y = (int) (blockIdx.y * blockDim.y + threadIdx.y);
  const NotchTile *tile = &v.tiles[blockIdx.z];
  size_t in_tile = (size_t) y * v.size + x, at = (size_t) blockIdx.z * v.area + in_tile;
  bool core =
      x >= tile->core_x && y >= tile->core_y && x < tile->core_x + tile->core_w && y < tile->core_y + tile->core_h;
  int inspected = 0, lost = 0;
  if (core) {
    v.mask[at] = notch_mask_of (v.score[at], v.fine[at], v.seed, v.grow);
    if (v.mask[at] != NOTCH_MASK_OUT)
      NOTCH_STORE (&v.full[(size_t) blockIdx.z * v.chunks + in_tile / CHUNK], (uint8_t) 1);
    inspected = notch_cuda_all_judged (tile, &state[blockIdx.z], v.size) || judged[at];
    lost = state[blockIdx.z].any_lost && (known[at] & NOTCH_KNOWN_COVERED) && (known[at] & ~NOTCH_KNOWN_COVERED)
           && (!tile->weight || tile->weight[in_tile] > 0);
  } else if (x < v.size && y < v.size)
    v.mask[at] = NOTCH_MASK_OUT;
  inspected = __syncthreads_count (inspected);
  lost = __syncthreads_count (lost);
  if (threadIdx.x == 0 && threadIdx.y == 0 && inspected > 0)
    atomicAdd (&v.head[blockIdx.z].n_inspected, (unsigned long long) inspected);
  if (threadIdx.x == 0 && threadIdx.y == 0 && lost > 0)
    atomicAdd (&v.head[blockIdx.z].n_lost, (unsigned long long) lost);
}

/* Does a stretch of a row begin at a pixel of the mask? */
static __device__ __forceinline__ bool
begins_stretch (const View &v, const Place &p)
{
  return p.x % STRETCH == 0 || (v.mask[p.first + p.at - 1] & MASK) == NOTCH_MASK_OUT;
}

/* A pixel's parent is the first of its stretch. */
static __global__ void
begin_kernel (View v)
{
  for (EACH_PIXEL (i, v)) {
    Place p;
    if (!find_place (v, i, MASK, &p))
      continue;
    int32_t parent = p.at;
    while (!begins_stretch (v, p))
      parent = --p.at, p.x--;
    v.parent[p.pixel] = parent;
    v.blob_of[p.pixel] = 0;
    v.peak_key[p.pixel] = 0;
  }
}

/* Unites what lies within reach: the stretch before it in the row, and pixels of the rows above. A pixel on the right of one
 * of the mask has only the column to look at that the other one does not reach; and of a row of pixels the first will do. */
static __global__ void
unite_kernel (View v)
{
  for (EACH_PIXEL (i, v)) {
    Place p;
    if (!find_place (v, i, MASK, &p))
      continue;
    const uint8_t *mask = v.mask + p.first;
    int32_t *parent = v.parent + p.first;
    const NotchTile *tile = &v.tiles[p.tile];
    bool behind = p.x > tile->core_x && (mask[p.at - 1] & MASK);
    if (begins_stretch (v, p))
      for (int away = 1; away <= v.reach && p.x - away >= tile->core_x; away++)
        if (mask[p.at - away] & MASK) {
          unite (parent, p.at, p.at - away);
          break;
        }
    int x0 = behind ? p.x + v.reach : max (p.x - v.reach, tile->core_x);
    int x1 = min (p.x + v.reach, tile->core_x + tile->core_w - 1);
    for (int y = max (p.y - v.reach, tile->core_y); y < p.y; y++) {
      bool before = behind && x0 <= x1 && x0 > tile->core_x && (mask[y * v.size + x0 - 1] & MASK);
      for (int x = x0; x <= x1; x++) {
        bool here = mask[y * v.size + x] & MASK;
        if (here && !before)
          unite (parent, p.at, y * v.size + x);
        before = here;
      }
    }
  }
}

/* Every pixel learns its root; the root, whether it is worth a blob, for it has a seed or one beyond the seam may claim it,
 * and its peak. */
static __global__ void
settle_kernel (View v)
{
  for (EACH_PIXEL (i, v)) {
    Place p;
    if (!find_place (v, i, MASK, &p))
      continue;
    int32_t root = root_of (v.parent + p.first, p.at);
    NOTCH_STORE (&v.parent[p.pixel], root);
    if (v.mask[p.pixel] == NOTCH_MASK_SEED || notch_mask_near_seam (&v.tiles[p.tile], p.x, p.y, v.reach))
      NOTCH_STORE (&v.blob_of[p.first + root], (int32_t) 1);
    raise_key (&v.peak_key[p.first + root], key_of (v.score[p.pixel], p.at));
  }
}

/* Before skirts are cut: counts components, finds the peaks of seeds, and notes which peak a pixel at the seam belongs to. */
static __global__ void
peak_kernel (View v)
{
  for (EACH_PIXEL (i, v)) {
    Place p;
    if (!find_place (v, i, MASK, &p))
      continue;
    float score = v.score[p.pixel];
    int32_t root = v.parent[p.pixel];
    if (root == p.at && v.blob_of[p.pixel])
      atomicAdd (&v.count[p.tile].components, 1);
    if (notch_mask_near_seam (&v.tiles[p.tile], p.x, p.y, v.reach))
      v.tie[p.pixel] = place_of (v.peak_key[p.first + root]);
    if (v.mask[p.pixel] != NOTCH_MASK_SEED || notch_score_channel (score) >= v.n_channels
        || !notch_peak_is (v.score + p.first, v.mask + p.first, &v.tiles[p.tile], v.size, p.x, p.y))
      continue;
    int cells = cells_of (v.size);
    size_t cell = (size_t) p.tile * cells * cells + (size_t) (p.y / CELL) * cells + p.x / CELL;
    NotchPeak peak = { p.x, p.y, -1, score };
    v.peak[cell] = peak;
    v.cell[cell] = 1;
    atomicAdd (&v.count[p.tile].peaks, 1);
  }
}

/* Are the tile's skirts cut? */
static __device__ __forceinline__ bool
is_parted (const View &v, int tile)
{
  return v.count[tile].components <= v.max_blobs && v.count[tile].peaks <= NOTCH_MAX_PEAKS;
}

/* Chains the peaks of a square, a thread each, from the last to the first. */
static __global__ void
chain_kernel (View v)
{
  int squares = notch_peak_squares (v.size), cells = cells_of (v.size), tile = (int) blockIdx.y;
  int i = (int) (blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= squares * squares)
    return;
  NotchPeak *peak = v.peak + (size_t) tile * cells * cells;
  const int32_t *cell = v.cell + (size_t) tile * cells * cells;
  const int across = NOTCH_PEAK_SQUARE / CELL;
  int x0 = i % squares * across, y0 = i / squares * across, x1 = min (x0 + across, cells),
      y1 = min (y0 + across, cells);
  int32_t last = -1;
  for (int y = y0; y < y1 && is_parted (v, tile); y++)
    for (int row = 0; row < CELL; row++)
      for (int x = x0; x < x1; x++) {
        int32_t at = y * cells + x;
        if (cell[at] && peak[at].y == y * CELL + row) {
          peak[at].next = last;
          last = at;
        }
      }
  v.square[(size_t) tile * squares * squares + i] = last;
}

/* Takes the skirts around the peaks out of the mask, but for what the finest filter sees. */
static __global__ void
cut_kernel (View v)
{
  int squares = notch_peak_squares (v.size), cells = cells_of (v.size);
  for (EACH_PIXEL (i, v)) {
    Place p;
    if (!find_place (v, i, MASK, &p) || v.mask[p.pixel] != NOTCH_MASK_SEED || !is_parted (v, p.tile))
      continue;
    NotchPeaks peaks = { v.peak + (size_t) p.tile * cells * cells, v.square + (size_t) p.tile * squares * squares,
                         squares, v.template_, v.n_channels };
    if (!notch_peak_explains (&peaks, p.x, p.y, v.score[p.pixel]))
      continue;
    if (fabsf (v.fine[p.pixel]) >= v.grow)
      v.mask[p.pixel] = NOTCH_MASK_GROWN;
    else
      v.mask[p.pixel] = CUT;
  }
}

/* Marks the roots that make a blob. */
static __global__ void
root_kernel (View v)
{
  for (EACH_PIXEL (i, v)) {
    Place p;
    if (!find_place (v, i, MASK, &p) || v.parent[p.pixel] != p.at)
      continue;
    if (v.blob_of[p.pixel]) {
      v.mask[p.pixel] |= ROOT;
      atomicAdd (&v.roots[p.chunk], 1);
    } else
      v.blob_of[p.pixel] = -1;
  }
}

/* How many of a tile's pixels have a bit and come before this one, from what its chunks count. */
static __device__ __forceinline__ int32_t
rank_of (const View &v, const Place &p, const int32_t *before, int bit)
{
  int32_t rank = before[p.chunk] - before[p.tile * v.chunks];
  for (size_t other = p.pixel - p.at % CHUNK; other < p.pixel; other++)
    rank += (v.mask[other] & bit) != 0;
  return rank;
}

/* Counts the blobs of the tiles, and clears them: blockIdx.y is the tile. */
static __global__ void
clear_kernel (View v)
{
  int tile = (int) blockIdx.y, roots = v.roots[(tile + 1) * v.chunks] - v.roots[tile * v.chunks];
  bool swamped = roots > v.max_blobs;
  int n = swamped ? 1 : roots;
  if (blockIdx.x == 0 && threadIdx.x == 0) {
    v.head[tile].n_blobs = n;
    v.head[tile].swamped = swamped;
  }
  for (EACH (i, n)) {
    size_t at = (size_t) tile * (v.max_blobs + 1) + i;
    notch_blob_clear (&v.blob[at]);
    v.blob_key[at] = 0;
  }
}

/* Numbers the blobs of each tile in the order of their roots. */
static __global__ void
number_kernel (View v)
{
  for (EACH_PIXEL (i, v)) {
    Place p;
    if (!find_place (v, i, ROOT, &p))
      continue;
    int32_t blob = v.head[p.tile].swamped ? 0 : rank_of (v, p, v.roots, ROOT);
    v.blob_of[p.pixel] = blob;
    atomicMax (&v.blob_key[(size_t) p.tile * (v.max_blobs + 1) + blob], v.peak_key[p.pixel]);
  }
}

/* The blob that a pixel is part of; -1: none. */
static __device__ __forceinline__ int32_t
blob_at (const View &v, size_t first, int at)
{
  return v.mask[first + at] & MASK ? v.blob_of[first + v.parent[first + at]] : -1;
}

/* Adds to a sum that others add to. */
static __device__ __forceinline__ void
add_sum (int64_t *to, int64_t value)
{
  if (value != 0)
    atomicAdd ((unsigned long long *) to, (unsigned long long) value);
}

/* Adds a part of a blob to it, beside others. */
static __device__ __forceinline__ void
join_blob (NotchBlob *to, const NotchBlob *from)
{
  add_sum (&to->n, from->n), add_sum (&to->n_seed, from->n_seed);
  add_sum (&to->x, from->x), add_sum (&to->y, from->y);
  add_sum (&to->xx, from->xx), add_sum (&to->yy, from->yy), add_sum (&to->xy, from->xy);
  add_sum (&to->w, from->w), add_sum (&to->wx, from->wx), add_sum (&to->wy, from->wy);
  add_sum (&to->res, from->res), add_sum (&to->res_abs, from->res_abs);
  add_sum (&to->ref, from->ref), add_sum (&to->ref_edge, from->ref_edge);
  add_sum (&to->z, from->z);
  atomicMin (&to->x0, from->x0), atomicMin (&to->y0, from->y0);
  atomicMax (&to->x1, from->x1), atomicMax (&to->y1, from->y1);
  for (int k = 0; k < NOTCH_FERET_DIRECTIONS; k++)
    atomicMax (&to->feret[k], from->feret[k]);
}

/* Measures the blobs, a stretch at a time. */
static __global__ void
measure_kernel (View v)
{
  for (EACH_PIXEL (i, v)) {
    Place p;
    if (!find_place (v, i, MASK, &p) || !begins_stretch (v, p))
      continue;
    int32_t blob = blob_at (v, p.first, p.at);
    if (blob < 0)
      continue;
    NotchBlobPlanes planes = { v.planes.fine + p.first, v.planes.res + p.first, v.planes.ref + p.first,
                               v.planes.z + p.first };
    int end = min ((p.x / STRETCH + 1) * STRETCH, v.tiles[p.tile].core_x + v.tiles[p.tile].core_w);
    NotchBlob part;
    notch_blob_clear (&part);
    const uint8_t *mask = v.mask + p.first + p.y * v.size;
    for (int x = p.x; x < end && (mask[x] & MASK); x++)
      notch_blob_measure (&part, &planes, v.size, x, p.y, (mask[x] & MASK) == NOTCH_MASK_SEED);
    join_blob (&v.blob[(size_t) p.tile * (v.max_blobs + 1) + blob], &part);
  }
}

/* Gives the blobs their peaks. blockIdx.y is the tile. */
static __global__ void
crown_kernel (View v)
{
  int tile = (int) blockIdx.y;
  for (EACH (i, v.head[tile].n_blobs)) {
    size_t at = (size_t) tile * (v.max_blobs + 1) + i;
    if (v.blob_key[at] == 0)
      continue;
    int place = place_of (v.blob_key[at]), y = place / v.size;
    float score = v.score[(size_t) tile * v.area + place];
    notch_blob_peak (&v.blob[at], place - y * v.size, y, score, notch_score_channel (score), notch_score_dark (score));
  }
}

/* Gives those that have a seed and are no lines their places, a warp each, whose threads look through a window's columns by
 * turns. blockIdx.y is the tile. */
static __global__ void
place_kernel (View v)
{
  int tile = (int) blockIdx.y, lane = (int) threadIdx.x % 32, warps = (int) (gridDim.x * blockDim.x) / 32;
  const float *z = v.planes.z + (size_t) tile * v.area;
  for (int i = (int) (blockIdx.x * blockDim.x + threadIdx.x) / 32; i < v.head[tile].n_blobs; i += warps) {
    NotchBlob *blob = &v.blob[(size_t) tile * (v.max_blobs + 1) + i];
    if (blob->n_seed == 0 || blob->peak_channel >= v.n_channels || v.template_[blob->peak_channel].line)
      continue;
    float sigma = v.template_[blob->peak_channel].across;
    NotchBlobWindow window = { 0, 0, 0, 0, 0 };
    NotchBlobWindowState state = NOTCH_WINDOW_MOVES;
    for (int step = 0; step < NOTCH_PLACE_STEPS && state == NOTCH_WINDOW_MOVES; step++) {
      notch_blob_look (&window, blob, z, v.size, sigma, lane, 32);
      window.sum = notch_warp_sum (window.sum);
      window.sum_x = notch_warp_sum (window.sum_x), window.sum_y = notch_warp_sum (window.sum_y);
      state = notch_blob_move (&window, blob, sigma); /* the same in every thread */
    }
    if (lane == 0 && state != NOTCH_WINDOW_LOST)
      blob->peak_dx = window.cx, blob->peak_dy = window.cy;
  }
}

/* Whose a pixel at the seam is: the blob's that it is part of, or, where it was cut as a skirt, that of the peak that it was
 * connected to. */
static __global__ void
tie_kernel (View v)
{
  for (EACH_PIXEL (i, v)) {
    Place p;
    if (!find_place (v, i, MASK | CUT, &p) || !notch_mask_near_seam (&v.tiles[p.tile], p.x, p.y, v.reach))
      continue;
    int32_t blob = blob_at (v, p.first, p.at);
    v.tie[p.pixel] = blob >= 0 ? blob : blob_at (v, p.first, v.tie[p.pixel]);
  }
}

/* Marks and counts the seams, when nobody looks at the mask any more. */
static __global__ void
seam_kernel (View v)
{
  for (EACH_PIXEL (i, v)) {
    Place p;
    if (!find_place (v, i, MASK | CUT, &p) || !notch_mask_near_seam (&v.tiles[p.tile], p.x, p.y, v.reach)
        || v.tie[p.pixel] < 0)
      continue;
    v.mask[p.pixel] |= SEAM;
    atomicAdd (&v.seams[p.chunk], 1);
    atomicAdd (&v.head[p.tile].n_seams, 1);
  }
}

static __global__ void
put_seam_kernel (View v)
{
  for (EACH_PIXEL (i, v)) {
    Place p;
    if (!find_place (v, i, SEAM, &p))
      continue;
    NotchSeam seam = { p.x, p.y, v.tie[p.pixel] };
    v.seam[(size_t) p.tile * v.max_seams + rank_of (v, p, v.seams, SEAM)] = seam;
  }
}

/* ---- patch --------------------------------------------------------------------------------------------------------------- */

/* Ranks the blobs of each tile that have a seed, strongest first. blockIdx.y is the tile. */
static __global__ void
rank_kernel (NotchTileHead *head, const NotchBlob *blobs, int max_blobs, int max_patches, int most, int32_t *patch_blob)
{
  int tile = (int) blockIdx.y, n = head[tile].n_blobs;
  const NotchBlob *blob = blobs + (size_t) tile * (max_blobs + 1);
  for (EACH (i, n)) {
    int rank = 0;
    if (blob[i].n_seed == 0)
      continue;
    for (int other = 0; other < n && rank < most; other++)
      rank += other != i && blob[other].n_seed > 0 && notch_blob_stronger (&blob[other], &blob[i]);
    if (rank < most) {
      patch_blob[tile * max_patches + rank] = i;
      atomicMax (&head[tile].n_patches, rank + 1);
    }
  }
}

/* Cuts a blob's crops: blockIdx.x is its rank, blockIdx.y the tile. Where a crop has no pixel of the image, and no reference,
 * it has no number. */
static __global__ void
crop_kernel (const NotchTile *tiles, const NotchTileHead *head, const NotchBlob *blobs, const int32_t *patch_blob,
             const float *test, const float *ref, const uint8_t *known, int size, int max_blobs, int max_patches,
             int side, size_t per_tile, float *patch)
{
  int rank = (int) blockIdx.x, t = (int) blockIdx.y;
  const NotchTile *tile = &tiles[t];
  if (rank >= head[t].n_patches)
    return;
  const NotchBlob *blob = &blobs[(size_t) t * (max_blobs + 1) + patch_blob[t * max_patches + rank]];
  int x0 = notch_blob_crop (blob, blob->wx, blob->x, side, size);
  int y0 = notch_blob_crop (blob, blob->wy, blob->y, side, size);
  float *to = patch + t * per_tile + (size_t) 2 * rank * side * side;
  for (int i = (int) threadIdx.x; i < side * side; i += (int) blockDim.x) {
    int x = x0 + i % side, y = y0 + i / side;
    size_t at = ((size_t) t * size + y) * size + x;
    bool inside = x >= tile->inside_x && x < tile->inside_x + tile->inside_w && y >= tile->inside_y
                  && y < tile->inside_y + tile->inside_h;
    int is = known[at] | NOTCH_KNOWN_TEST_LOST;
    to[i] = !inside || (known[at] & NOTCH_KNOWN_TEST_LOST) ? NAN : test[at];
    to[side * side + i] = !inside || is != (NOTCH_KNOWN_COVERED | NOTCH_KNOWN_TEST_LOST) ? NAN : ref[at];
  }
}

/* ---- what a lane keeps ------------------------------------------------------------------------------------------------- * */

/* Of a tile. */
static size_t
chunks_of (const NotchLane *lane)
{
  return (lane->area + CHUNK - 1) / CHUNK;
}

int
notch_cuda_label_new (NotchLane *lane)
{
  size_t batch = (size_t) lane->is.batch, pixels = batch * lane->area;
  size_t squares = (size_t) notch_peak_squares (lane->is.size), cells = (size_t) cells_of (lane->is.size);
  size_t chunks = batch * chunks_of (lane);
  if (pixels > INT_MAX - CHUNK * batch)
    return notch_cuda_fail (lane, "%d tiles of %d x %d pixels are more than can be counted", lane->is.batch,
                            lane->is.size, lane->is.size);
  NotchCudaLabel *l = lane->label = new (std::nothrow) NotchCudaLabel{};
  if (!l)
    return notch_cuda_fail_at (lane, cudaErrorMemoryAllocation, "memory of the host");
  NOTCH_CUDA (lane, "preparing to label", notch_cuda_select_bytes ((int) chunks + 1, &l->work_bytes));
  NotchTemplate own[NOTCH_MAX_CHANNELS];
  int n_channels = lane->is.n_channels;
  for (int c = 0; c < n_channels; c++)
    own[c] = notch_template_of (&lane->is.channel[c]);
  l->parent = (int32_t *) lane->scratch, l->blob_of = l->parent + pixels;
  if (notch_cuda_allocate (lane, &l->mask, pixels) != 0 || notch_cuda_allocate (lane, &l->peak_key, pixels) != 0
      || notch_cuda_allocate (lane, &l->tie, pixels) != 0 || notch_cuda_allocate (lane, &l->full, chunks) != 0
      || notch_cuda_allocate (lane, &l->list, chunks) != 0 || notch_cuda_allocate (lane, &l->n_list, 1) != 0
      || notch_cuda_allocate (lane, &l->roots, chunks + 1) != 0
      || notch_cuda_allocate (lane, &l->seams, chunks + 1) != 0 || notch_cuda_allocate (lane, &l->count, batch) != 0
      || notch_cuda_allocate (lane, &l->peak, batch * cells * cells) != 0
      || notch_cuda_allocate (lane, &l->cell, batch * cells * cells) != 0
      || notch_cuda_allocate (lane, &l->square, batch * squares * squares) != 0
      || notch_cuda_allocate (lane, &l->template_, NOTCH_MAX_CHANNELS) != 0
      || notch_cuda_allocate (lane, &l->blob_key, batch * ((size_t) lane->is.max_blobs + 1)) != 0
      || notch_cuda_allocate_bytes (lane, &l->work, l->work_bytes, false) != 0)
    return -1;
  return notch_cuda_send (lane, "preparing to label", l->template_, own, n_channels);
}

void
notch_cuda_label_free (NotchLane *lane)
{
  delete lane->label;
  lane->label = nullptr;
}

/* ---- stages ------------------------------------------------------------------------------------------------------------ * */

static View
view_of (NotchLane *lane, const NotchLabel *a)
{
  NotchCudaLabel *l = lane->label;
  View v = {};
  v.tiles = lane->tile;
  v.score = lane->plane[NOTCH_PLANE_SCORE], v.fine = lane->plane[NOTCH_PLANE_FINE];
  v.planes =
      NotchBlobPlanes{ v.fine, lane->plane[NOTCH_PLANE_RES], lane->plane[NOTCH_PLANE_REF], lane->plane[NOTCH_PLANE_Z] };
  v.mask = l->mask, v.full = l->full, v.list = l->list, v.n_list = l->n_list;
  v.roots = l->roots, v.seams = l->seams, v.parent = l->parent, v.blob_of = l->blob_of, v.tie = l->tie;
  v.peak_key = l->peak_key, v.blob_key = l->blob_key;
  v.count = l->count, v.head = lane->head;
  v.peak = l->peak, v.cell = l->cell, v.square = l->square, v.template_ = l->template_;
  v.blob = lane->blob, v.seam = lane->seam;
  v.n_tiles = lane->n_tiles, v.size = lane->is.size, v.area = (int) lane->area;
  v.chunks = (int) chunks_of (lane), v.reach = a->reach;
  v.n_channels = lane->is.n_channels, v.max_blobs = lane->is.max_blobs, v.max_seams = lane->max_seams;
  v.seed = a->seed, v.grow = a->grow;
  return v;
}

/* Starts a kernel over the list. */
static void
over_list (NotchLane *lane, void (*kernel) (View), const View &view)
{
  NOTCH_LAUNCH (kernel, (unsigned) (8 * lane->device->processors), LIST_BLOCK, 0, lane->stream, view);
}

/* Starts a kernel over all that a tile may have of something, a thread each. */
static void
over_tiles (NotchLane *lane, void (*kernel) (View), const View &view, int most)
{
  NOTCH_LAUNCH (kernel, dim3 ((unsigned) (most + LIST_BLOCK - 1) / LIST_BLOCK, (unsigned) view.n_tiles), LIST_BLOCK, 0,
                lane->stream, view);
}

/* Connects the mask. */
static void
find_components (NotchLane *lane, const View &view)
{
  over_list (lane, begin_kernel, view);
  over_list (lane, unite_kernel, view);
  over_list (lane, settle_kernel, view);
}

/* Two strong points are not one defect because a wide filter sees them both: takes the skirts out, and connects anew. */
static void
part_blobs (NotchLane *lane, const View &view)
{
  int squares = notch_peak_squares (view.size);
  over_list (lane, peak_kernel, view);
  over_tiles (lane, chain_kernel, view, squares * squares);
  over_list (lane, cut_kernel, view);
  find_components (lane, view);
}

/* Lets what chunks count be what lies before them; the place behind the last one has all. */
static cudaError_t
sum_before (NotchLane *lane, const View &view, int32_t *count)
{
  NotchCudaLabel *l = lane->label;
  return notch_cuda_sum_before (l->work, l->work_bytes, count, view.n_tiles * view.chunks + 1, lane->stream);
}

static int
clear_counts (NotchLane *lane, const View &view)
{
  NotchCudaLabel *l = lane->label;
  size_t n_tiles = (size_t) view.n_tiles, chunks = n_tiles * (size_t) view.chunks;
  size_t cells = (size_t) cells_of (view.size);
  NOTCH_CUDA (lane, "labelling", cudaMemsetAsync (lane->head, 0, sizeof *lane->head * n_tiles, lane->stream));
  NOTCH_CUDA (lane, "labelling", cudaMemsetAsync (l->count, 0, sizeof *l->count * n_tiles, lane->stream));
  NOTCH_CUDA (lane, "labelling", cudaMemsetAsync (l->full, 0, chunks, lane->stream));
  NOTCH_CUDA (lane, "labelling", cudaMemsetAsync (l->roots, 0, sizeof *l->roots * (chunks + 1), lane->stream));
  NOTCH_CUDA (lane, "labelling", cudaMemsetAsync (l->seams, 0, sizeof *l->seams * (chunks + 1), lane->stream));
  NOTCH_CUDA (lane, "labelling", cudaMemsetAsync (l->cell, 0, sizeof *l->cell * n_tiles * cells * cells, lane->stream));
  return 0;
}

int
notch_cuda_label (NotchLane *lane, const NotchLabel *a)
{
  NotchCudaLabel *l = lane->label;
  if (notch_cuda_enter (lane) != 0)
    return -1;
  if (a->reach < 1 || 4 * a->reach * lane->is.size > lane->max_seams)
    return notch_cuda_fail (lane, "a reach of %d pixels is more than a lane can join", a->reach);
  View view = view_of (lane, a);
  if (clear_counts (lane, view) != 0)
    return -1;
  NOTCH_LAUNCH (mask_kernel, notch_cuda_pixel_grid (lane), NOTCH_CUDA_PIXEL_BLOCK, 0, lane->stream, view, lane->judged,
                lane->known, lane->state);
  NOTCH_CUDA (lane, "labelling",
              notch_cuda_select (l->work, l->work_bytes, l->full, view.n_tiles * view.chunks, l->list, l->n_list,
                                 lane->stream));
  find_components (lane, view);
  part_blobs (lane, view);
  over_list (lane, root_kernel, view);
  NOTCH_CUDA (lane, "labelling", sum_before (lane, view, l->roots));
  over_tiles (lane, clear_kernel, view, view.max_blobs + 1);
  over_list (lane, number_kernel, view);
  over_list (lane, measure_kernel, view);
  over_tiles (lane, crown_kernel, view, view.max_blobs + 1);
  over_tiles (lane, place_kernel, view, view.max_blobs + 1);
  over_list (lane, tie_kernel, view);
  over_list (lane, seam_kernel, view);
  NOTCH_CUDA (lane, "labelling", sum_before (lane, view, l->seams));
  over_list (lane, put_seam_kernel, view);
  NOTCH_CUDA_LAUNCHED (lane, "labelling");
  return 0;
}

int
notch_cuda_patch (NotchLane *lane, const NotchPatch *a)
{
  const NotchLaneSize *is = &lane->is;
  int most = a->per_tile < is->max_patches ? a->per_tile : is->max_patches;
  if (notch_cuda_enter (lane) != 0)
    return -1;
  if (a->side > is->patch_side || a->side > is->size)
    return notch_cuda_fail (lane, "crops of %d pixels do not fit", a->side);
  if (most <= 0)
    return 0;
  NOTCH_LAUNCH (rank_kernel, dim3 ((unsigned) (is->max_blobs + LIST_BLOCK) / LIST_BLOCK, (unsigned) lane->n_tiles),
                LIST_BLOCK, 0, lane->stream, lane->head, lane->blob, is->max_blobs, is->max_patches, most,
                lane->patch_blob);
  NOTCH_LAUNCH (crop_kernel, dim3 ((unsigned) most, (unsigned) lane->n_tiles), 256, 0, lane->stream, lane->tile,
                lane->head, lane->blob, lane->patch_blob, lane->plane[NOTCH_PLANE_TEST], lane->plane[NOTCH_PLANE_REF],
                lane->known, is->size, is->max_blobs, is->max_patches, a->side,
                (size_t) 2 * is->max_patches * is->patch_side * is->patch_side, lane->patch);
  NOTCH_CUDA_LAUNCHED (lane, "cutting crops");
  return 0;
}
