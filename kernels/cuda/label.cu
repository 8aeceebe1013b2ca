/* label.cu - connected components by union-find over the masked pixels, and crops around them: label, patch
 *
 * The mask is a byte a pixel; CUB lists its pixels in order, and all that follows runs over that list, which is short. A
 * pixel's parent is one before it, so that a component's root is its first pixel, whatever threads do; union by atomic
 * minimum as in Playne and Hawick, IEEE Transactions on Parallel and Distributed Systems 29 (2018), from stretches of a row
 * that are joined to begin with. Components come out in the order of their roots, as the CPU's do. What kernels keep for
 * every pixel (`parent`, `blob_of`, `peak_key`, `tie`) is written and read at masked pixels only. */
#include "kernels/cuda/lane.cuh"
#include "kernels/cuda/select.cuh"
#include "kernels/math/blob.h"
#include "kernels/math/score.h"
#include "kernels/math/skirt.h"

#include <climits>
#include <new>

enum {
  LIST_BLOCK = 128,  /* threads of kernels over a list */
  STRETCH = 32,      /* px: pixels of a row that have one parent to begin with, and that one thread measures */
  CELL = NOTCH_PEAK_APART + 1, /* px: a square of this side has one peak at most */
  /* What is kept in a byte of the mask beside NOTCH_MASK_*. */
  MASK = 3,
  ROOT = 4, /* the first pixel of a component that makes a blob */
  SEAM = 8, /* it comes home as a NotchSeam */
};

/* What the kernels count in a tile. */
struct Count {
  int components; /* worth a blob, before skirts are cut */
  int peaks;
  int roots; /* components worth a blob */
};

struct NotchCudaLabel {
  uint8_t *mask;                /* a byte a pixel */
  int32_t *parent;              /* a pixel's, its place in the tile */
  int32_t *blob_of;             /* at a root: first whether it is worth a blob, then which; -1: none */
  unsigned long long *peak_key; /* at a root: the component's peak, see key_of */
  int32_t *tie;                 /* at a seam: where the peak of its component was before skirts were cut, then its blob */
  int32_t *list, *roots, *seams; /* pixels of the batch: in the mask, roots, seams */
  int32_t *n_list;               /* how long these lists are, one behind the other */
  Count *count;                  /* a tile each */
  NotchPeak *peak;               /* by cells, notch_cells x notch_cells a tile */
  int32_t *cell;                 /* 1 where a cell has a peak */
  int32_t *square;               /* by squares, notch_peak_squares x notch_peak_squares a tile */
  NotchTemplate *template_;      /* n_channels */
  unsigned long long *blob_key;  /* a blob's peak */
  void *work;                    /* CUB's */
  size_t work_bytes;
};

/* All that kernels look at; `tiles` and what is counted a tile begin with the batch's first one. */
struct View {
  const NotchTile *tiles;
  const float *score, *fine;
  NotchBlobPlanes planes; /* of the batch */
  uint8_t *mask;
  int32_t *parent, *blob_of, *tie;
  unsigned long long *peak_key, *blob_key;
  Count *count;
  NotchTileHead *head;
  NotchPeak *peak;
  int32_t *cell, *square;
  const NotchTemplate *template_;
  NotchBlob *blob;
  NotchSeam *seam;
  int n_tiles, size, area, reach, n_channels, max_blobs, max_seams;
  float seed, grow;
};

/* ---- keys of peaks ------------------------------------------------------------------------------------------------------ */

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

/* ---- union-find --------------------------------------------------------------------------------------------------------- */

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

/* A pixel of a list: its tile, and its place there. */
struct Place {
  int tile, at, x, y;
  size_t first; /* pixel of the tile */
};

static __device__ __forceinline__ Place
place_at (const View &v, int32_t pixel)
{
  Place p;
  p.tile = pixel / v.area, p.at = pixel - p.tile * v.area;
  p.y = p.at / v.size, p.x = p.at - p.y * v.size;
  p.first = (size_t) p.tile * v.area;
  return p;
}

/* The loop of every kernel over a list: as many threads as there are take turns. */
#define EACH(i, n) int i = (int) (blockIdx.x * blockDim.x + threadIdx.x); i < (n); i += (int) (gridDim.x * blockDim.x)

/* ---- kernels ------------------------------------------------------------------------------------------------------------- */

/* The mask of the core, 0 elsewhere, and how many of its pixels are inspected, and lost. Pixels of tiles. */
static __global__ void
mask_kernel (View v, const uint8_t *judged, const uint8_t *known, const NotchTileState *state)
{
  int x = (int) (blockIdx.x * blockDim.x + threadIdx.x), y = (int) (blockIdx.y * blockDim.y + threadIdx.y);
  const NotchTile *tile = &v.tiles[blockIdx.z];
  size_t in_tile = (size_t) y * v.size + x, at = (size_t) blockIdx.z * v.area + in_tile;
  bool core = x >= tile->core_x && y >= tile->core_y && x < tile->core_x + tile->core_w && y < tile->core_y + tile->core_h;
  int inspected = 0, lost = 0;
  if (core) {
    v.mask[at] = notch_mask_of (v.score[at], v.fine[at], v.seed, v.grow);
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
begin_kernel (View v, const int32_t *list, const int32_t *n)
{
  for (EACH (i, *n)) {
    Place p = place_at (v, list[i]);
    if (!(v.mask[list[i]] & MASK))
      continue;
    int32_t parent = p.at;
    while (!begins_stretch (v, p))
      parent = --p.at, p.x--;
    v.parent[list[i]] = parent;
    v.blob_of[list[i]] = 0;
    v.peak_key[list[i]] = 0;
  }
}

/* Unites what lies within reach: the stretch before it in the row, and pixels of the rows above. A pixel on the right of one
 * of the mask has only the column to look at that the other one does not reach; and of a row of pixels the first will do. */
static __global__ void
unite_kernel (View v, const int32_t *list, const int32_t *n)
{
  for (EACH (i, *n)) {
    Place p = place_at (v, list[i]);
    const uint8_t *mask = v.mask + p.first;
    int32_t *parent = v.parent + p.first;
    const NotchTile *tile = &v.tiles[p.tile];
    if (!(mask[p.at] & MASK))
      continue;
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
settle_kernel (View v, const int32_t *list, const int32_t *n)
{
  for (EACH (i, *n)) {
    Place p = place_at (v, list[i]);
    int mask = v.mask[list[i]] & MASK;
    if (mask == NOTCH_MASK_OUT)
      continue;
    int32_t root = root_of (v.parent + p.first, p.at);
    NOTCH_STORE (&v.parent[list[i]], root);
    if (mask == NOTCH_MASK_SEED || notch_mask_near_seam (&v.tiles[p.tile], p.x, p.y, v.reach))
      NOTCH_STORE (&v.blob_of[p.first + root], (int32_t) 1);
    raise_key (&v.peak_key[p.first + root], key_of (v.score[list[i]], p.at));
  }
}

static __device__ __forceinline__ int
cells_of (int size)
{
  return size / CELL + 1;
}

/* Before skirts are cut: counts components, finds the peaks of seeds, and notes which peak a pixel at the seam belongs to. */
static __global__ void
peak_kernel (View v, const int32_t *list, const int32_t *n)
{
  for (EACH (i, *n)) {
    Place p = place_at (v, list[i]);
    float score = v.score[list[i]];
    int32_t root = v.parent[list[i]];
    if (root == p.at && v.blob_of[list[i]])
      atomicAdd (&v.count[p.tile].components, 1);
    if (notch_mask_near_seam (&v.tiles[p.tile], p.x, p.y, v.reach))
      v.tie[list[i]] = place_of (v.peak_key[p.first + root]);
    if (v.mask[list[i]] != NOTCH_MASK_SEED || notch_score_channel (score) >= v.n_channels
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
  int x0 = i % squares * across, y0 = i / squares * across, x1 = min (x0 + across, cells), y1 = min (y0 + across, cells);
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
cut_kernel (View v, const int32_t *list, const int32_t *n)
{
  int squares = notch_peak_squares (v.size), cells = cells_of (v.size);
  for (EACH (i, *n)) {
    Place p = place_at (v, list[i]);
    if (v.mask[list[i]] != NOTCH_MASK_SEED || !is_parted (v, p.tile))
      continue;
    NotchPeaks peaks = { v.peak + (size_t) p.tile * cells * cells, v.square + (size_t) p.tile * squares * squares,
                         squares, v.template_, v.n_channels };
    if (notch_peak_explains (&peaks, p.x, p.y, v.score[list[i]]))
      v.mask[list[i]] = fabsf (v.fine[list[i]]) >= v.grow ? NOTCH_MASK_GROWN : NOTCH_MASK_OUT;
  }
}

/* Marks the roots that make a blob. */
static __global__ void
root_kernel (View v, const int32_t *list, const int32_t *n)
{
  for (EACH (i, *n)) {
    Place p = place_at (v, list[i]);
    if ((v.mask[list[i]] & MASK) == NOTCH_MASK_OUT || v.parent[list[i]] != p.at)
      continue;
    if (v.blob_of[list[i]]) {
      v.mask[list[i]] |= ROOT;
      atomicAdd (&v.count[p.tile].roots, 1);
    } else
      v.blob_of[list[i]] = -1;
  }
}

/* Counts the blobs of the tiles, and clears them: blockIdx.y is the tile. */
static __global__ void
clear_kernel (View v)
{
  int tile = (int) blockIdx.y, roots = v.count[tile].roots;
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
number_kernel (View v, const int32_t *roots, const int32_t *n)
{
  for (EACH (i, *n)) {
    int32_t tile = roots[i] / v.area, before = 0;
    for (int t = 0; t < tile; t++)
      before += v.count[t].roots;
    int32_t blob = v.head[tile].swamped ? 0 : i - before;
    v.blob_of[roots[i]] = blob;
    atomicMax (&v.blob_key[(size_t) tile * (v.max_blobs + 1) + blob], v.peak_key[roots[i]]);
  }
}

/* The blob that a pixel is part of; -1: none. */
static __device__ __forceinline__ int32_t
blob_at (const View &v, size_t first, int at)
{
  return v.mask[first + at] & MASK ? v.blob_of[first + v.parent[first + at]] : -1;
}

/* Adds a pixel's sums to those of a blob that others add to. */
static __device__ __forceinline__ void
add_sum (int64_t *to, int64_t value)
{
  if (value != 0)
    atomicAdd ((unsigned long long *) to, (unsigned long long) value);
}

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
measure_kernel (View v, const int32_t *list, const int32_t *n)
{
  for (EACH (i, *n)) {
    Place p = place_at (v, list[i]);
    if (!(v.mask[list[i]] & MASK) || !begins_stretch (v, p))
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

/* Whose a pixel at the seam is: the blob's that it is part of, or, where it was cut as a skirt, that of the peak that it was
 * connected to. */
static __global__ void
tie_kernel (View v, const int32_t *list, const int32_t *n)
{
  for (EACH (i, *n)) {
    Place p = place_at (v, list[i]);
    if (!notch_mask_near_seam (&v.tiles[p.tile], p.x, p.y, v.reach))
      continue;
    int32_t blob = blob_at (v, p.first, p.at);
    if (blob < 0)
      blob = blob_at (v, p.first, v.tie[list[i]]);
    v.tie[list[i]] = blob;
  }
}

/* Marks and counts the seams, when nobody looks at the mask any more. */
static __global__ void
seam_kernel (View v, const int32_t *list, const int32_t *n)
{
  for (EACH (i, *n)) {
    Place p = place_at (v, list[i]);
    if (!notch_mask_near_seam (&v.tiles[p.tile], p.x, p.y, v.reach) || v.tie[list[i]] < 0)
      continue;
    v.mask[list[i]] |= SEAM;
    atomicAdd (&v.head[p.tile].n_seams, 1);
  }
}

static __global__ void
put_seam_kernel (View v, const int32_t *seams, const int32_t *n)
{
  for (EACH (i, *n)) {
    Place p = place_at (v, seams[i]);
    int32_t before = 0;
    for (int t = 0; t < p.tile; t++)
      before += v.head[t].n_seams;
    NotchSeam seam = { p.x, p.y, v.tie[seams[i]] };
    v.seam[(size_t) p.tile * v.max_seams + (i - before)] = seam;
  }
}

/* ---- patch ---------------------------------------------------------------------------------------------------------------- */

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
             const float *test, const float *ref, const uint8_t *known, int size, int max_blobs, int max_patches, int side,
             size_t per_tile, float *patch)
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

/* ---- what a lane keeps ------------------------------------------------------------------------------------------------- */

int
notch_cuda_label_new (NotchLane *lane)
{
  size_t batch = (size_t) lane->is.batch, pixels = batch * lane->area;
  size_t squares = (size_t) notch_peak_squares (lane->is.size), cells = (size_t) lane->is.size / CELL + 1;
  if (pixels > INT_MAX)
    return notch_cuda_fail (lane, "%d tiles of %d x %d pixels are more than can be counted", lane->is.batch,
                            lane->is.size, lane->is.size);
  NotchCudaLabel *l = lane->label = new (std::nothrow) NotchCudaLabel{};
  if (!l)
    return notch_cuda_fail (lane, "out of memory");
  NOTCH_CUDA (lane, "preparing to label", notch_cuda_select_bytes ((int) pixels, &l->work_bytes));
  NotchTemplate own[NOTCH_MAX_CHANNELS];
  int n_channels = lane->is.n_channels;
  for (int c = 0; c < n_channels; c++)
    own[c] = notch_template_of (&lane->is.channel[c]);
  /* Of four pixels in a square one at most is a root. */
  size_t half = ((size_t) lane->is.size + 1) / 2, most_roots = half * half;
  size_t most_seams = lane->area < (size_t) lane->max_seams ? lane->area : (size_t) lane->max_seams;
  l->parent = (int32_t *) lane->scratch, l->blob_of = l->parent + pixels;
  if (notch_cuda_allocate (lane, &l->mask, pixels) != 0 || notch_cuda_allocate (lane, &l->peak_key, pixels) != 0
      || notch_cuda_allocate (lane, &l->tie, pixels) != 0 || notch_cuda_allocate (lane, &l->list, pixels) != 0
      || notch_cuda_allocate (lane, &l->roots, batch * most_roots) != 0
      || notch_cuda_allocate (lane, &l->seams, batch * most_seams) != 0
      || notch_cuda_allocate (lane, &l->n_list, 3) != 0 || notch_cuda_allocate (lane, &l->count, batch) != 0
      || notch_cuda_allocate (lane, &l->peak, batch * cells * cells) != 0
      || notch_cuda_allocate (lane, &l->cell, batch * cells * cells) != 0
      || notch_cuda_allocate (lane, &l->square, batch * squares * squares) != 0
      || notch_cuda_allocate (lane, &l->template_, NOTCH_MAX_CHANNELS) != 0
      || notch_cuda_allocate (lane, &l->blob_key, batch * ((size_t) lane->is.max_blobs + 1)) != 0
      || notch_cuda_allocate_bytes (lane, &l->work, l->work_bytes, false) != 0)
    return -1;
  NOTCH_CUDA (lane, "preparing to label",
              cudaMemcpy (l->template_, own, sizeof *own * n_channels, cudaMemcpyHostToDevice));
  return 0;
}

void
notch_cuda_label_free (NotchLane *lane)
{
  delete lane->label;
  lane->label = nullptr;
}

/* ---- stages ------------------------------------------------------------------------------------------------------------ */

static View
view_of (NotchLane *lane, const NotchLabel *a)
{
  NotchCudaLabel *l = lane->label;
  View v = {};
  v.tiles = lane->tile;
  v.score = lane->plane[NOTCH_PLANE_SCORE], v.fine = lane->plane[NOTCH_PLANE_FINE];
  v.planes = NotchBlobPlanes{ v.fine, lane->plane[NOTCH_PLANE_RES], lane->plane[NOTCH_PLANE_REF],
                              lane->plane[NOTCH_PLANE_Z] };
  v.mask = l->mask, v.parent = l->parent, v.blob_of = l->blob_of, v.tie = l->tie;
  v.peak_key = l->peak_key, v.blob_key = l->blob_key;
  v.count = l->count, v.head = lane->head;
  v.peak = l->peak, v.cell = l->cell, v.square = l->square, v.template_ = l->template_;
  v.blob = lane->blob, v.seam = lane->seam;
  v.n_tiles = lane->n_tiles, v.size = lane->is.size, v.area = (int) lane->area, v.reach = a->reach;
  v.n_channels = lane->is.n_channels, v.max_blobs = lane->is.max_blobs, v.max_seams = lane->max_seams;
  v.seed = a->seed, v.grow = a->grow;
  return v;
}

/* Starts a kernel over a list. */
static void
over_list (NotchLane *lane, void (*kernel) (View, const int32_t *, const int32_t *), const View &view,
           const int32_t *list, const int32_t *n)
{
  unsigned blocks = (unsigned) (8 * lane->device->processors);
  NOTCH_LAUNCH (kernel, blocks, LIST_BLOCK, 0, lane->stream, view, list, n);
}

static int
select (NotchLane *lane, uint8_t bits, int32_t *list, int32_t *n)
{
  NotchCudaLabel *l = lane->label;
  NOTCH_CUDA (lane, "labelling",
              notch_cuda_select (l->work, l->work_bytes, l->mask, bits, (int) (lane->area * lane->n_tiles), list, n,
                                 lane->stream));
  return 0;
}

/* Connects the mask. */
static void
find_components (NotchLane *lane, const View &view)
{
  NotchCudaLabel *l = lane->label;
  over_list (lane, begin_kernel, view, l->list, l->n_list);
  over_list (lane, unite_kernel, view, l->list, l->n_list);
  over_list (lane, settle_kernel, view, l->list, l->n_list);
}

/* Two strong points are not one defect because a wide filter sees them both: takes the skirts out, and connects anew. */
static void
part_blobs (NotchLane *lane, const View &view)
{
  NotchCudaLabel *l = lane->label;
  unsigned squares = (unsigned) notch_peak_squares (view.size);
  over_list (lane, peak_kernel, view, l->list, l->n_list);
  NOTCH_LAUNCH (chain_kernel, dim3 ((squares * squares + LIST_BLOCK - 1) / LIST_BLOCK, (unsigned) view.n_tiles),
                LIST_BLOCK, 0, lane->stream, view);
  over_list (lane, cut_kernel, view, l->list, l->n_list);
  find_components (lane, view);
}

int
notch_cuda_label (NotchLane *lane, const NotchLabel *a)
{
  NotchCudaLabel *l = lane->label;
  int32_t *n_list = l->n_list, *n_roots = l->n_list + 1, *n_seams = l->n_list + 2;
  size_t n_tiles = (size_t) lane->n_tiles, cells = (size_t) lane->is.size / CELL + 1;
  if (notch_cuda_enter (lane) != 0)
    return -1;
  if (a->reach < 1 || 4 * a->reach * lane->is.size > lane->max_seams)
    return notch_cuda_fail (lane, "a reach of %d pixels is more than a lane can join", a->reach);
  View view = view_of (lane, a);
  NOTCH_CUDA (lane, "labelling", cudaMemsetAsync (lane->head, 0, sizeof *lane->head * n_tiles, lane->stream));
  NOTCH_CUDA (lane, "labelling", cudaMemsetAsync (l->count, 0, sizeof *l->count * n_tiles, lane->stream));
  NOTCH_CUDA (lane, "labelling",
              cudaMemsetAsync (l->cell, 0, sizeof *l->cell * n_tiles * cells * cells, lane->stream));
  NOTCH_LAUNCH (mask_kernel, notch_cuda_pixel_grid (lane), NOTCH_CUDA_PIXEL_BLOCK, 0, lane->stream, view, lane->judged,
                lane->known, lane->state);
  if (select (lane, MASK, l->list, n_list) != 0)
    return -1;
  find_components (lane, view);
  part_blobs (lane, view);
  over_list (lane, root_kernel, view, l->list, n_list);
  if (select (lane, ROOT, l->roots, n_roots) != 0)
    return -1;
  dim3 each_blob ((unsigned) (view.max_blobs + LIST_BLOCK) / LIST_BLOCK, (unsigned) n_tiles);
  NOTCH_LAUNCH (clear_kernel, each_blob, LIST_BLOCK, 0, lane->stream, view);
  over_list (lane, number_kernel, view, l->roots, n_roots);
  over_list (lane, measure_kernel, view, l->list, n_list);
  NOTCH_LAUNCH (crown_kernel, each_blob, LIST_BLOCK, 0, lane->stream, view);
  over_list (lane, tie_kernel, view, l->list, n_list);
  over_list (lane, seam_kernel, view, l->list, n_list);
  if (select (lane, SEAM, l->seams, n_seams) != 0)
    return -1;
  over_list (lane, put_seam_kernel, view, l->seams, n_seams);
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
