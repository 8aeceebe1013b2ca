/* follow.c - edges that wander are followed: follow */
#include "kernels/math/follow.h"
#include "kernels/cpu/lane.h"

#include <string.h>

/* What the pixels of a row say, a plane each; where nothing is judged, nothing. */
NOTCH_CLONES static void
say_row (const NotchNoise *noise, const float *res, const float *g, const uint8_t *judged, int stride, int n,
         float *const to[4])
{
  for (int i = 0; i < n; i++) {
    NotchFollowPixel pixel = notch_follow_pixel (noise, judged[i] ? res[i] : 0, g[i], notch_grad_x (g + i),
                                                 notch_grad_y (g + i, stride), notch_laplacian (g + i, stride));
    float counts = judged[i];
    to[0][i] = counts * pixel.moved_x, to[1][i] = counts * pixel.known_x;
    to[2][i] = counts * pixel.moved_y, to[3][i] = counts * pixel.known_y;
  }
}

/* Adds what lies `step` on both sides of n pixels, times a weight. */
NOTCH_CLONES static void
add_both (const float *before, const float *behind, float weight, int n, float *sum)
{
  for (int i = 0; i < n; i++)
    sum[i] += weight * (before[i] + behind[i]);
}

NOTCH_CLONES static void
across_row (const float *above, const float *row, const float *below, int n, float *to)
{
  for (int i = 0; i < n; i++)
    to[i] = row[i] + NOTCH_FOLLOW_BESIDE * (above[i] + below[i]);
}

NOTCH_CLONES static void
follow_row (const float *const sum[4], const uint8_t *judged, const float *g, int stride, float variance, int n,
            float *res)
{
  for (int i = 0; i < n; i++) {
    const NotchFollowPixel along = { sum[0][i], sum[1][i], sum[2][i], sum[3][i] };
    float left = notch_follow_residual (res[i], notch_grad_x (g + i), notch_grad_y (g + i, stride), &along, variance);
    res[i] = judged[i] ? left : res[i];
  }
}

/* What all pixels of the tile say. */
static void
say_all (NotchLane *lane, const NotchNoise *noise, float *const say[4])
{
  int size = lane->is.size;
  for (int y = 1; y < size - 1; y++) {
    ptrdiff_t at = (ptrdiff_t) y * size + 1;
    float *const to[4] = { say[0] + at, say[1] + at, say[2] + at, say[3] + at };
    say_row (noise, lane->plane[NOTCH_PLANE_RES] + at, lane->plane[NOTCH_PLANE_REF] + at, lane->judged + at, size,
             size - 2, to);
  }
}

/* How far each cell of a piece is off. */
static void
measure_cells (const float *const say[4], int size, const NotchPiece *piece, const NotchPiece *const *above,
               int n_above, float variance, NotchFollowShift *cell)
{
  int n_x = notch_follow_cells (piece->w), n_y = notch_follow_cells (piece->h);
  for (int i = 0; i < n_x * n_y; i++) {
    int x0 = piece->x + i % n_x * piece->w / n_x, x1 = piece->x + (i % n_x + 1) * piece->w / n_x;
    int y0 = piece->y + i / n_x * piece->h / n_y, y1 = piece->y + (i / n_x + 1) * piece->h / n_y;
    double sum[4] = { 0 };
    for (int y = y0; y < y1; y++)
      for (int x = x0; x < x1; x++) {
        if (n_above > 0 && notch_cpu_is_hidden (above, n_above, x, y))
          continue;
        for (int k = 0; k < 4; k++)
          sum[k] += (double) say[k][(ptrdiff_t) y * size + x];
      }
    cell[i] = notch_follow_shift (sum, variance);
  }
}

/* Takes out of the residual what cells of pieces are off by as a whole. */
static void
follow_pieces (NotchLane *lane, const NotchFollow *a, const float *const say[4])
{
  int size = lane->is.size;
  const float *ref = lane->plane[NOTCH_PLANE_REF];
  float *res = lane->plane[NOTCH_PLANE_RES];
  const NotchPiece *above[NOTCH_CPU_MOST_ABOVE];
  NotchFollowShift cell[NOTCH_FOLLOW_CELLS * NOTCH_FOLLOW_CELLS];
  for (int p = 0; p < lane->tile->n_pieces; p++) {
    const NotchPiece *piece = &a->batch->piece[lane->tile->first_piece + p];
    int n_above = notch_cpu_pieces_above (lane, a->batch, p, above);
    if (piece->n_sources == 0)
      continue;
    measure_cells (say, size, piece, above, n_above, a->noise.c, cell);
    for (int y = piece->y; y < piece->y + piece->h; y++)
      for (int x = piece->x; x < piece->x + piece->w; x++) {
        ptrdiff_t at = (ptrdiff_t) y * size + x;
        if (!lane->judged[at] || (n_above > 0 && notch_cpu_is_hidden (above, n_above, x, y)))
          continue;
        NotchFollowShift off = notch_follow_shift_at (cell, piece, x, y);
        res[at] -= off.x * notch_grad_x (ref + at) + off.y * notch_grad_y (ref + at, size);
      }
  }
}

int
notch_cpu_follow (NotchLane *lane, const NotchFollow *a)
{
  enum { PAD = NOTCH_FOLLOW_REACH };
  int size = lane->is.size, wide = size + 2 * PAD;
  ptrdiff_t area = (ptrdiff_t) size * size;
  const float *ref = lane->plane[NOTCH_PLANE_REF];
  /* None of these is in use before `filter`. */
  float *say[4] = { lane->plane[NOTCH_PLANE_Z], lane->plane[NOTCH_PLANE_SCORE], lane->plane[NOTCH_PLANE_FINE],
                    lane->response };
  float *row[2] = { lane->product, lane->product + wide }, *none = lane->product + 2 * wide;
  float *sum[4];
  for (int k = 0; k < 4; k++) {
    memset (say[k], 0, sizeof (float) * (size_t) area);
    sum[k] = lane->product + (3 + k) * wide;
  }
  memset (lane->product, 0, sizeof (float) * 3 * (size_t) wide);
  say_all (lane, &a->noise, say);
  follow_pieces (lane, a, (const float *const *) say);
  say_all (lane, &a->noise, say);
  for (int y = 1; y < size - 1; y++) {
    ptrdiff_t at = (ptrdiff_t) y * size;
    for (int k = 0; k < 2; k++) { /* upright edges: along y, then across */
      float weight = 1;
      memset (row[0] + PAD, 0, sizeof (float) * (size_t) size);
      for (int j = NOTCH_FOLLOW_GUARD + 1; j <= NOTCH_FOLLOW_REACH; j++, weight *= NOTCH_FOLLOW_FADE)
        add_both (y >= j ? say[k] + at - (ptrdiff_t) j * size : none,
                  y + j < size ? say[k] + at + (ptrdiff_t) j * size : none, weight, size, row[0] + PAD);
      across_row (row[0] + PAD - 1, row[0] + PAD, row[0] + PAD + 1, size, sum[k]);
    }
    for (int k = 2; k < 4; k++) { /* level ones: across, then along x */
      float weight = 1;
      across_row (say[k] + at - size, say[k] + at, say[k] + at + size, size, row[1] + PAD);
      memset (sum[k], 0, sizeof (float) * (size_t) size);
      for (int j = NOTCH_FOLLOW_GUARD + 1; j <= NOTCH_FOLLOW_REACH; j++, weight *= NOTCH_FOLLOW_FADE)
        add_both (row[1] + PAD - j, row[1] + PAD + j, weight, size, sum[k]);
    }
    const float *const along[4] = { sum[0] + 1, sum[1] + 1, sum[2] + 1, sum[3] + 1 };
    follow_row (along, lane->judged + at + 1, ref + at + 1, size, a->noise.c, size - 2,
                lane->plane[NOTCH_PLANE_RES] + at + 1);
  }
  return 0;
}
