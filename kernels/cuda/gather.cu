/* gather.cu - a batch's tables, its raw rows as floats, and which of their pixels can be judged: gather */
#include "kernels/cuda/lane.cuh"
#include "kernels/math/number.h"

#include <string.h>

/* ---- tables ----------------------------------------------------------------------------------------------------------- */

/* Copies what the batch says of its tiles to pinned memory, their pieces and sources close together. */
static int
copy_tables (NotchLane *lane, const NotchBatch *batch)
{
  lane->n_tiles = batch->n_tiles;
  lane->n_pieces = lane->n_sources = 0;
  for (int t = 0; t < batch->n_tiles; t++) {
    NotchTile *tile = &lane->home_tile[t];
    *tile = batch->tile[t];
    if (tile->n_pieces > NOTCH_MAX_PIECES - lane->n_pieces)
      return notch_cuda_fail (lane,
                              "a batch holds more than %d pieces of dice; dice this small need a larger image scale",
                              NOTCH_MAX_PIECES);
    const NotchPiece *from = batch->piece + tile->first_piece;
    tile->first_piece = lane->n_pieces;
    for (int p = 0; p < tile->n_pieces; p++) {
      NotchPiece *piece = &lane->home_piece[lane->n_pieces];
      int n = from[p].n_sources + from[p].n_spreads;
      *piece = from[p];
      piece->first_source = lane->n_sources;
      lane->home_piece_tile[lane->n_pieces++] = t;
      if (batch->source)
        memcpy (lane->home_source + lane->n_sources, batch->source + from[p].first_source,
                (size_t) n * sizeof *batch->source);
      lane->n_sources += n;
    }
    if (tile->weight) {
      memcpy (lane->home_weight + (size_t) t * lane->area, tile->weight, lane->area * sizeof (float));
      tile->weight = lane->weight + (size_t) t * lane->area;
    }
  }
  return 0;
}

template <class T>
static cudaError_t
up (NotchLane *lane, T *to, const T *from, size_t n)
{
  return n > 0 ? cudaMemcpyAsync (to, from, n * sizeof (T), cudaMemcpyHostToDevice, lane->stream) : cudaSuccess;
}

static int
send_tables (NotchLane *lane)
{
  size_t pieces = (size_t) lane->n_pieces;
  NOTCH_CUDA (lane, "tables", up (lane, lane->tile, lane->home_tile, (size_t) lane->n_tiles));
  NOTCH_CUDA (lane, "tables", up (lane, lane->piece, lane->home_piece, pieces));
  NOTCH_CUDA (lane, "tables", up (lane, lane->piece_tile, lane->home_piece_tile, pieces));
  NOTCH_CUDA (lane, "tables", up (lane, lane->source, lane->home_source, (size_t) lane->n_sources));
  for (int t = 0; t < lane->n_tiles; t++)
    if (lane->home_tile[t].weight) {
      size_t at = (size_t) t * lane->area;
      NOTCH_CUDA (lane, "weights", up (lane, lane->weight + at, lane->home_weight + at, lane->area));
    }
  NOTCH_CUDA (lane, "tables", cudaEventRecord (lane->tables_up, lane->stream));
  return 0;
}

/* ---- pixels ------------------------------------------------------------------------------------------------------------ */

/* Which piece a pixel belongs to, and whether it has a reference: the last piece over it counts, and one without sources masks
 * what came before it. */
static __global__ void
cover (NotchLane lane)
{
  int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y, size = lane.is.size;
  const NotchTile *tile = &lane.tile[blockIdx.z];
  if (x >= size || y >= size)
    return;
  int owner = -1;
  bool masked = false, covered = false;
  for (int p = tile->n_pieces - 1; p >= 0 && owner < 0; p--) {
    const NotchPiece *piece = &lane.piece[tile->first_piece + p];
    if (x < piece->x || y < piece->y || x >= piece->x + piece->w || y >= piece->y + piece->h)
      continue;
    if (piece->n_sources > 0)
      owner = p, covered = !masked;
    masked = true;
  }
  size_t at = (size_t) blockIdx.z * lane.area + (size_t) y * size + x;
  lane.owner[at] = (int16_t) owner;
  lane.known[at] = covered ? NOTCH_KNOWN_COVERED : 0;
  if (!covered)
    NOTCH_STORE (&lane.state[blockIdx.z].uncovered, 1);
}

/* Test pixels as floats; one that is no number is lost, and 0. */
static __global__ void
cut (NotchLane lane, NotchStripView strip)
{
  int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y, size = lane.is.size;
  const NotchTile *tile = &lane.tile[blockIdx.z];
  if (x >= size || y >= size)
    return;
  size_t at = (size_t) blockIdx.z * lane.area + (size_t) y * size + x;
  float value = notch_cuda_sample (strip, notch_cuda_row (strip, tile->y + y), tile->x + x);
  if (!notch_is_number (value)) {
    value = 0;
    lane.known[at] |= NOTCH_KNOWN_TEST_LOST;
    NOTCH_STORE (&lane.state[blockIdx.z].any_lost, 1);
  }
  lane.plane[NOTCH_PLANE_TEST][at] = value;
}

/* Which pixels can be judged: numbers inside, with a reference and a weight, and with neighbours that have a reference, for the
 * noise model looks at its derivatives. */
static __global__ void
judge (NotchLane lane)
{
  int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y, size = lane.is.size;
  const NotchTile *tile = &lane.tile[blockIdx.z];
  if (x >= size || y >= size)
    return;
  size_t at = (size_t) blockIdx.z * lane.area + (size_t) y * size + x;
  bool well = x > 0 && y > 0 && x < size - 1 && y < size - 1 && x >= tile->inside_x && y >= tile->inside_y
              && x < tile->inside_x + tile->inside_w && y < tile->inside_y + tile->inside_h;
  if (well) {
    const uint8_t *k = lane.known + at;
    int all = k[0] & k[-1] & k[1] & k[-size] & k[size], any = k[0] | k[-1] | k[1] | k[-size] | k[size];
    well = (all & NOTCH_KNOWN_COVERED) && !(k[0] & NOTCH_KNOWN_TEST_LOST) && !(any & NOTCH_KNOWN_REF_LOST);
  }
  if (well && tile->weight)
    well = tile->weight[(size_t) y * size + x] > 0;
  lane.judged[at] = well;
}

int
notch_cuda_judge (NotchLane *lane)
{
  NOTCH_LAUNCH (judge, notch_cuda_pixel_grid (lane), NOTCH_CUDA_PIXEL_BLOCK, 0, lane->stream, *lane);
  NOTCH_CUDA_LAUNCHED (lane, "judging");
  return 0;
}

int
notch_cuda_gather (NotchLane *lane, const NotchGather *a)
{
  const NotchStripMem *mem = a->batch->mem[NOTCH_MEM_IMAGE];
  if (a->batch->n_tiles < 1 || a->batch->n_tiles > lane->is.batch)
    return notch_cuda_fail (lane, "a batch of %d tiles for a lane of %d", a->batch->n_tiles, lane->is.batch);
  if (notch_cuda_enter (lane))
    return -1;
  NOTCH_CUDA (lane, "tables",
              cudaEventSynchronize (lane->tables_up)); /* long ago, but for a batch that nobody finished */
  if (copy_tables (lane, a->batch) || send_tables (lane))
    return -1;
  size_t tiles = (size_t) lane->n_tiles;
  NOTCH_CUDA (lane, "gathering", cudaMemsetAsync (lane->state, 0, tiles * sizeof *lane->state, lane->stream));
  NOTCH_CUDA (lane, "gathering", cudaMemsetAsync (lane->head, 0, tiles * sizeof *lane->head, lane->stream));
  if (lane->n_pieces > 0) { /* no rim, and no noise, before there is a reference */
    size_t pieces = (size_t) lane->n_pieces;
    NOTCH_CUDA (lane, "gathering",
                cudaMemsetAsync (lane->piece_rim, 0xff, pieces * sizeof *lane->piece_rim, lane->stream)); /* -1 */
    NOTCH_CUDA (lane, "gathering",
                cudaMemsetAsync (lane->ref_noise, 0, pieces * sizeof *lane->ref_noise, lane->stream));
  }
  NOTCH_LAUNCH (cover, notch_cuda_pixel_grid (lane), NOTCH_CUDA_PIXEL_BLOCK, 0, lane->stream, *lane);
  NOTCH_CUDA_LAUNCHED (lane, "gathering");
  if (mem) {
    if (notch_cuda_await (lane, mem))
      return -1;
    NOTCH_LAUNCH (cut, notch_cuda_pixel_grid (lane), NOTCH_CUDA_PIXEL_BLOCK, 0, lane->stream, *lane, mem->view);
    NOTCH_CUDA_LAUNCHED (lane, "gathering");
  }
  return notch_cuda_judge (lane);
}
