/* follow.cu - edges that wander are followed: follow */
#include "kernels/cuda/block.cuh"
#include "kernels/cuda/lane.cuh"
#include "kernels/math/follow.h"

/* What the pixels say, a plane each; none of these is in use before `filter`. */
typedef struct {
  float *moved_x, *known_x, *moved_y, *known_y;
} Said;

static __global__ void
say (NotchLane lane, NotchNoise noise, Said said)
{
  int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y, size = lane.is.size;
  if (x >= size || y >= size)
    return;
  size_t at = (size_t) blockIdx.z * lane.area + (size_t) y * size + x;
  NotchFollowPixel pixel = { 0, 0, 0, 0 };
  if (lane.judged[at]) { /* which a pixel of the tile's rim never is */
    const float *g = lane.plane[NOTCH_PLANE_REF] + at;
    pixel = notch_follow_pixel (&noise, lane.plane[NOTCH_PLANE_RES][at], g[0], notch_grad_x (g), notch_grad_y (g, size),
                                notch_laplacian (g, size));
  }
  said.moved_x[at] = pixel.moved_x, said.known_x[at] = pixel.known_x;
  said.moved_y[at] = pixel.moved_y, said.known_y[at] = pixel.known_y;
}

enum { CELL_THREADS = 256, MOST_CELLS = NOTCH_FOLLOW_CELLS * NOTCH_FOLLOW_CELLS };

/* How far each cell of a piece is off; blockIdx.x: the cell, .y: the piece. */
static __global__ void
measure_cells (NotchLane lane, float variance, Said said)
{
  NOTCH_SHARED (double, word, CELL_THREADS / 32);
  int i = blockIdx.x, p = blockIdx.y, t = lane.piece_tile[p], owner = p - lane.tile[t].first_piece;
  const NotchPiece *piece = &lane.piece[p];
  int n_x = notch_follow_cells (piece->w), n_y = notch_follow_cells (piece->h);
  if (i >= n_x * n_y || piece->n_sources == 0)
    return;
  int x0 = piece->x + i % n_x * piece->w / n_x, w = piece->x + (i % n_x + 1) * piece->w / n_x - x0;
  int y0 = piece->y + i / n_x * piece->h / n_y, h = piece->y + (i / n_x + 1) * piece->h / n_y - y0;
  const float *const say[4] = { said.moved_x, said.known_x, said.moved_y, said.known_y };
  double sum[4] = { 0, 0, 0, 0 };
  for (int j = threadIdx.x; j < w * h; j += CELL_THREADS) {
    size_t at = (size_t) t * lane.area + (size_t) (y0 + j / w) * lane.is.size + (x0 + j % w);
    for (int k = 0; k < 4 && lane.owner[at] == owner; k++)
      sum[k] += (double) say[k][at];
  }
  for (int k = 0; k < 4; k++)
    sum[k] = notch_block_sum (sum[k], word);
  if (threadIdx.x == 0)
    lane.cell[(size_t) p * MOST_CELLS + i] = notch_follow_shift (sum, variance);
}

/* Takes out of the residual what cells of pieces are off by as a whole. */
static __global__ void
follow_pieces (NotchLane lane)
{
  int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y, size = lane.is.size;
  size_t at = (size_t) blockIdx.z * lane.area + (size_t) y * size + x;
  if (x >= size || y >= size || !lane.judged[at] || lane.owner[at] < 0)
    return;
  int p = lane.tile[blockIdx.z].first_piece + lane.owner[at];
  const float *g = lane.plane[NOTCH_PLANE_REF] + at;
  NotchFollowShift off = notch_follow_shift_at (lane.cell + (size_t) p * MOST_CELLS, &lane.piece[p], x, y);
  lane.plane[NOTCH_PLANE_RES][at] -= off.x * notch_grad_x (g) + off.y * notch_grad_y (g, size);
}

/* A pixel of a tile's plane; beyond the tile there is nothing. */
static __device__ __forceinline__ float
value_at (const float *tile, int size, int x, int y)
{
  return x >= 0 && y >= 0 && x < size && y < size ? tile[(size_t) y * size + x] : 0.0f;
}

/* A pixel and what lies beside it on both sides. */
static __device__ __forceinline__ float
across (float before, float middle, float behind)
{
  return middle + NOTCH_FOLLOW_BESIDE * (before + behind);
}

/* Of an upright edge: along y, then across. */
static __device__ float
sum_upright (const float *tile, int size, int x, int y)
{
  float column[3] = { 0, 0, 0 }, weight = 1;
  for (int j = NOTCH_FOLLOW_GUARD + 1; j <= NOTCH_FOLLOW_REACH; j++, weight *= NOTCH_FOLLOW_FADE)
    for (int i = 0; i < 3; i++)
      column[i] += weight * (value_at (tile, size, x + i - 1, y - j) + value_at (tile, size, x + i - 1, y + j));
  return across (column[0], column[1], column[2]);
}

/* Of a level one: across, then along x. */
static __device__ float
sum_level (const float *tile, int size, int x, int y)
{
  float sum = 0, weight = 1;
  for (int j = NOTCH_FOLLOW_GUARD + 1; j <= NOTCH_FOLLOW_REACH; j++, weight *= NOTCH_FOLLOW_FADE) {
    float side[2];
    for (int i = 0; i < 2; i++) {
      int u = i ? x + j : x - j;
      side[i] = across (value_at (tile, size, u, y - 1), value_at (tile, size, u, y), value_at (tile, size, u, y + 1));
    }
    sum += weight * (side[0] + side[1]);
  }
  return sum;
}

static __global__ void
follow (NotchLane lane, float variance, Said said)
{
  int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y, size = lane.is.size;
  size_t tile = (size_t) blockIdx.z * lane.area, at = tile + (size_t) y * size + x;
  if (x >= size || y >= size || !lane.judged[at])
    return;
  const float *g = lane.plane[NOTCH_PLANE_REF] + at;
  const NotchFollowPixel along = { sum_upright (said.moved_x + tile, size, x, y),
                                   sum_upright (said.known_x + tile, size, x, y),
                                   sum_level (said.moved_y + tile, size, x, y),
                                   sum_level (said.known_y + tile, size, x, y) };
  float *res = lane.plane[NOTCH_PLANE_RES] + at;
  *res = notch_follow_residual (*res, notch_grad_x (g), notch_grad_y (g, size), &along, variance);
}

int
notch_cuda_follow (NotchLane *lane, const NotchFollow *a)
{
  const Said said = { lane->plane[NOTCH_PLANE_Z], lane->plane[NOTCH_PLANE_SCORE], lane->plane[NOTCH_PLANE_FINE],
                      lane->scratch };
  if (notch_cuda_enter (lane))
    return -1;
  NOTCH_LAUNCH (say, notch_cuda_pixel_grid (lane), NOTCH_CUDA_PIXEL_BLOCK, 0, lane->stream, *lane, a->noise, said);
  if (lane->n_pieces > 0) {
    NOTCH_LAUNCH (measure_cells, dim3 (MOST_CELLS, (unsigned) lane->n_pieces), dim3 (CELL_THREADS), 0, lane->stream,
                  *lane, a->noise.c, said);
    NOTCH_LAUNCH (follow_pieces, notch_cuda_pixel_grid (lane), NOTCH_CUDA_PIXEL_BLOCK, 0, lane->stream, *lane);
    NOTCH_LAUNCH (say, notch_cuda_pixel_grid (lane), NOTCH_CUDA_PIXEL_BLOCK, 0, lane->stream, *lane, a->noise, said);
  }
  NOTCH_LAUNCH (follow, notch_cuda_pixel_grid (lane), NOTCH_CUDA_PIXEL_BLOCK, 0, lane->stream, *lane, a->noise.c, said);
  NOTCH_CUDA_LAUNCHED (lane, "following edges");
  return 0;
}
