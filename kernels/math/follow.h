/* follow.h - how far an edge has wandered at a pixel, told by what lies beside it along the edge
 *
 * A rough edge is off to one side for tens of pixels. Its residual is the reference's gradient times how far it is off, so
 * that the pixels along it tell that by least squares, with the variance of the wandering as what is known beforehand
 * (Kriging with a window; Wackernagel, Multivariate Geostatistics, 2003). Upright edges move along x and are followed
 * along y; level ones the other way. The pixel itself and its neighbours have no say, and what sticks out has little, so a
 * defect is not explained away. */
#pragma once

#include "kernels/math/noise.h"

#define NOTCH_FOLLOW_GUARD  1    /* px on both sides that have no say */
#define NOTCH_FOLLOW_REACH  12   /* px on both sides that have one: short against the roughness of edges */
#define NOTCH_FOLLOW_FADE   0.9f /* by which each further pixel counts less */
#define NOTCH_FOLLOW_BESIDE 0.5f /* what the pixels on both sides across the edge count: an edge is some pixels wide */
#define NOTCH_FOLLOW_CUT    3.0f /* sigmas that a residual counts for at most */

/* What a pixel says: gradient times residual and gradient squared, over the variance of its noise, for x and y. */
typedef struct {
  float moved_x, known_x, moved_y, known_y;
} NotchFollowPixel;

NOTCH_FN NotchFollowPixel
notch_follow_pixel (const NotchNoise *noise, float res, float g, float gx, float gy, float laplacian)
{
  const NotchNoise flat = { noise->a, noise->b, 0, 0, noise->e };
  float least = 1.0f / notch_noise_variance (&flat, g, gx, gy, laplacian);
  float most = NOTCH_FOLLOW_CUT * sqrtf (notch_noise_variance (noise, g, gx, gy, laplacian));
  float r = res > most ? most : res < -most ? -most : res;
  NotchFollowPixel pixel = { gx * r * least, gx * gx * least, gy * r * least, gy * gy * least };
  return pixel;
}

/* ---- as a whole ---------------------------------------------------------------------------------------------------------- */

/* Before edges are followed one by one, what all of a region say together is taken out: a die is fitted one shift, and where it
 * is turned or distorted by more than its patches could tell, its edges are off for more than 12 px. */
#define NOTCH_FOLLOW_CELL  64    /* px, about */
#define NOTCH_FOLLOW_CELLS 8     /* a side of a piece at most */
#define NOTCH_FOLLOW_OFF   0.03f /* px: a sigma of what a cell is off by, at least */

/* How many cells a side of a piece has; cell i goes from i side / n to (i + 1) side / n. */
NOTCH_FN int
notch_follow_cells (int side)
{
  int n = (side + NOTCH_FOLLOW_CELL / 2) / NOTCH_FOLLOW_CELL;
  return n < 1 ? 1 : n > NOTCH_FOLLOW_CELLS ? NOTCH_FOLLOW_CELLS : n;
}

/* px: how far a cell's edges are off, along x and y. */
typedef struct {
  float x, y;
} NotchFollowShift;

/* From the sums of what a cell's pixels say. `variance`: of the wandering of edges. */
NOTCH_FN NotchFollowShift
notch_follow_shift (const double sum[4], float variance)
{
  const float least = NOTCH_FOLLOW_OFF * NOTCH_FOLLOW_OFF;
  double prior = 1 / (double) (variance > least ? variance : least);
  NotchFollowShift shift = { (float) (sum[0] / (sum[1] + prior)), (float) (sum[2] / (sum[3] + prior)) };
  return shift;
}

/* Where a pixel of a side is between the middles of its n cells: the cell before it, and how far from there to the next. */
NOTCH_FN int
notch_follow_between (int at, int side, int n, float *part)
{
  float u = ((float) at + 0.5f) * (float) n / (float) side - 0.5f;
  int cell = u > 0.0f ? (int) u : 0;
  *part = cell + 1 < n && u > 0.0f ? u - (float) cell : 0.0f;
  return cell;
}

/* How far the edges at a pixel of a piece are off, (x, y) in the tile. `cell`: n_x x n_y. */
NOTCH_FN NotchFollowShift
notch_follow_shift_at (const NotchFollowShift *cell, const NotchPiece *piece, int x, int y)
{
  int n_x = notch_follow_cells (piece->w), n_y = notch_follow_cells (piece->h);
  float right, down;
  int column = notch_follow_between (x - piece->x, piece->w, n_x, &right);
  int row = notch_follow_between (y - piece->y, piece->h, n_y, &down);
  const NotchFollowShift *a = cell + row * n_x + column, *b = a + (right > 0.0f);
  const NotchFollowShift *c = a + (down > 0.0f ? n_x : 0), *d = b + (down > 0.0f ? n_x : 0);
  NotchFollowShift shift = {
    (1 - down) * ((1 - right) * a->x + right * b->x) + down * ((1 - right) * c->x + right * d->x),
    (1 - down) * ((1 - right) * a->y + right * b->y) + down * ((1 - right) * c->y + right * d->y)
  };
  return shift;
}

/* ---- along edges ------------------------------------------------------------------------------------------------------- * */

/* What is left of a residual. `along`: the sums of what the pixels say. */
NOTCH_FN float
notch_follow_residual (float res, float gx, float gy, const NotchFollowPixel *along, float variance)
{
  float prior = 1.0f / variance;
  return res - (gx * (along->moved_x / (along->known_x + prior)) + gy * (along->moved_y / (along->known_y + prior)));
}
