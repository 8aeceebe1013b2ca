/* source.h - where a reference source lies in its strip, how bright it is made, and what noise it brings */
#pragma once

#include "kernels/kernels.h"
#include "kernels/math/number.h"
#include "kernels/math/resample.h"

/* ---- place --- */

/* A source of a rectangle of a tile that one shift serves. */
typedef struct {
  double left, top, zoom; /* samples of mem: where the rectangle's first pixel is, and the step from pixel to pixel */
  int64_t x, y;           /* pixel of mem: the first tap of the first pixel */
  bool coarse;            /* a step that is not 1: taps are those of each column and row, not these */
  bool plain_x, plain_y;  /* a whole shift: nothing to interpolate */
  int mem;
  float along[NOTCH_TAPS], across[NOTCH_TAPS];
  double first, down; /* what it is multiplied by: at the first pixel, and how that changes from row to row */
  float step;         /* and from column to column */
} NotchSourcePlace;

/* (x, y): position in the image of the rectangle's first pixel. */
NOTCH_FN void
notch_source_place (NotchSourcePlace *place, int64_t x, int64_t y, const NotchSourceShift *shift)
{
  place->coarse = shift->zoom != 1;
  place->mem = shift->mem;
  place->left = ((double) x + shift->dx) * shift->zoom;
  place->top = ((double) y + shift->dy) * shift->zoom;
  place->zoom = shift->zoom;
  double floor_x = floor (place->left), floor_y = floor (place->top);
  place->x = (int64_t) floor_x - NOTCH_TAP_ORIGIN;
  place->y = (int64_t) floor_y - NOTCH_TAP_ORIGIN;
  place->plain_x = place->left - floor_x < 1e-6;
  place->plain_y = place->top - floor_y < 1e-6;
  notch_lanczos_taps (place->left - floor_x, place->along);
  notch_lanczos_taps (place->top - floor_y, place->across);
  place->first = 1, place->down = 0, place->step = 0;
}

/* ---- shifts that change ------------------------------------------------------------------------------------------------ * */

/* A piece whose k sources' shifts change over it is made of n_x x n_y blocks, at whose ends they are off by no more than a
 * fiftieth of a pixel, if that leaves them 8 px. */
typedef struct {
  bool bent;
  int n_x, n_y;
} NotchBlocks;

NOTCH_FN NotchBlocks
notch_source_blocks (const NotchPiece *piece, const NotchSourceShift *shift, int k, int size)
{
  NotchBlocks blocks = { false, 1, 1 };
  double slope = 0;
  for (int j = 0; j < k; j++) {
    double x = fabs (shift[j].xx) + fabs (shift[j].xy), y = fabs (shift[j].yx) + fabs (shift[j].yy);
    slope = x > slope ? x : slope;
    slope = y > slope ? y : slope;
  }
  int side = slope > 0.04 / 8 ? 8 : slope > 0.04 / size ? (int) (0.04 / slope) : size;
  blocks.n_x = (piece->w - 1) / side + 1;
  blocks.n_y = (piece->h - 1) / side + 1;
  blocks.bent = blocks.n_x * blocks.n_y > 1;
  return blocks;
}

/* Block i of a piece, row by row, as a piece of its own. */
NOTCH_FN NotchPiece
notch_source_block (const NotchPiece *piece, const NotchBlocks *blocks, int i)
{
  NotchPiece block = *piece;
  int column = i % blocks->n_x, row = i / blocks->n_x;
  int x0 = column * piece->w / blocks->n_x, x1 = (column + 1) * piece->w / blocks->n_x;
  int y0 = row * piece->h / blocks->n_y, y1 = (row + 1) * piece->h / blocks->n_y;
  block.x = piece->x + x0, block.y = piece->y + y0, block.w = x1 - x0, block.h = y1 - y0;
  return block;
}

/* A source's shift in the middle of a block of its piece. */
NOTCH_FN NotchSourceShift
notch_source_bend (const NotchSourceShift *shift, const NotchPiece *piece, const NotchPiece *block)
{
  NotchSourceShift bent = *shift;
  double u = 0.5 * (2 * (block->x - piece->x) + block->w - piece->w);
  double v = 0.5 * (2 * (block->y - piece->y) + block->h - piece->h);
  bent.dx += shift->xx * u + shift->xy * v;
  bent.dy += shift->yx * u + shift->yy * v;
  return bent;
}

/* ---- equal brightness ---------------------------------------------------------------------------------------------------  */

#define NOTCH_EQUAL_BLOCKS 8  /* a side of a piece */
#define NOTCH_EQUAL_LEAST  64 /* px: a smaller piece tells too little */
#define NOTCH_EQUAL_STEP   4  /* px: rows that are looked at */
#define NOTCH_EQUAL_CELLS  (NOTCH_EQUAL_BLOCKS * NOTCH_EQUAL_BLOCKS)

/* Eight sums that were taken by turns, as one. */
NOTCH_FN double
notch_equal_join (const float part[8])
{
  return (double) (((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7])));
}

/* The mean of k sources in a cell; sums of source i lie at i NOTCH_EQUAL_CELLS. */
NOTCH_FN double
notch_equal_mean (const double *sum, int k, int cell)
{
  double mean = 0;
  for (int i = 0; i < k; i++)
    mean += sum[(ptrdiff_t) i * NOTCH_EQUAL_CELLS + cell] / k;
  return mean;
}

NOTCH_FN double
notch_equal_ratio (double mean, double sum)
{
  double ratio = mean / sum;
  return ratio < 0.5 ? 0.5 : ratio > 2 ? 2 : ratio;
}

/* Sets what a source of w x h px is multiplied by: a plane through its ratios in the cells. */
NOTCH_FN void
notch_equal_plane (const double ratio[NOTCH_EQUAL_CELLS], int w, int h, NotchSourcePlace *place)
{
  double level = 0, slope_x = 0, slope_y = 0, squares = 0;
  for (int cell = 0; cell < NOTCH_EQUAL_CELLS; cell++) {
    double u = (cell % NOTCH_EQUAL_BLOCKS + 0.5) / NOTCH_EQUAL_BLOCKS - 0.5;
    double v = (cell / NOTCH_EQUAL_BLOCKS + 0.5) / NOTCH_EQUAL_BLOCKS - 0.5;
    level += ratio[cell];
    slope_x += ratio[cell] * u, slope_y += ratio[cell] * v;
    squares += u * u;
  }
  level /= NOTCH_EQUAL_CELLS;
  slope_x /= squares, slope_y /= squares; /* of a whole width, a whole height */
  place->first = level + slope_x * (0.5 / w - 0.5) + slope_y * (0.5 / h - 0.5);
  place->down = slope_y / h;
  place->step = (float) (slope_x / w);
}

/* What a block of a piece is multiplied by, whose first pixel is (x, y) of the piece. */
NOTCH_FN void
notch_equal_part (const NotchSourcePlace *whole, int x, int y, NotchSourcePlace *block)
{
  block->first = whole->first + whole->down * y + (double) whole->step * x;
  block->down = whole->down;
  block->step = whole->step;
}

/* What row y of a source is multiplied by in its first column. */
NOTCH_FN float
notch_source_factor (const NotchSourcePlace *place, int y)
{
  return (float) (place->first + place->down * y);
}

/* ---- noise --------------------------------------------------------------------------------------------------------------- */

/* The noise of a piece's reference in variances of the image's: of its level, its slopes and its Laplacian, and level times
 * Laplacian; the other products are 0. */
typedef struct {
  double level, slope_x, slope_y, bend, level_bend;
} NotchRefNoise;

/* Autocovariance of taps at a distance. */
NOTCH_FN double
notch_tap_likeness (const float tap[NOTCH_TAPS], bool plain, int apart)
{
  double sum = 0;
  if (plain)
    return apart == 0;
  for (int i = 0; i + apart < NOTCH_TAPS; i++)
    sum += (double) tap[i] * (double) tap[i + apart];
  return sum;
}

/* Adds what one source brings to the noise of the median of a piece's k sources, as a part of an image's: white before it was
 * interpolated. A golden die's mean and a mesh have next to none. */
NOTCH_FN void
notch_source_noise (const NotchSourcePlace *place, const NotchPiece *piece, NotchRefNoise *noise)
{
  int k = piece->n_sources;
  /* A median of k Gaussians varies more than their mean; beyond two it is a fifth to a half, here what eight have. */
  double share = (k > 2 ? 1.34 : 1.0) / ((double) k * (double) k);
  if (place->coarse || (place->mem != NOTCH_MEM_IMAGE && piece->n_spreads > 0))
    return;
  double x[3], y[3];
  for (int apart = 0; apart < 3; apart++) {
    x[apart] = notch_tap_likeness (place->along, place->plain_x, apart);
    y[apart] = notch_tap_likeness (place->across, place->plain_y, apart);
  }
  noise->level += share * x[0] * y[0];
  noise->slope_x += share * 0.5 * (x[0] - x[2]) * y[0];
  noise->slope_y += share * 0.5 * (y[0] - y[2]) * x[0];
  noise->level_bend += share * (2 * x[1] * y[0] + 2 * x[0] * y[1] - 4 * x[0] * y[0]);
  noise->bend +=
      share
      * (20 * x[0] * y[0] + 2 * x[2] * y[0] + 2 * x[0] * y[2] + 8 * x[1] * y[1] - 16 * (x[1] * y[0] + x[0] * y[1]));
}

/* Adds the noise of a part of a piece to that of the whole. */
NOTCH_FN void
notch_ref_noise_add (NotchRefNoise *noise, const NotchRefNoise *part, double share)
{
  noise->level += share * part->level;
  noise->slope_x += share * part->slope_x, noise->slope_y += share * part->slope_y;
  noise->level_bend += share * part->level_bend;
  noise->bend += share * part->bend;
}

/* The median of those of k sources' values that are numbers, at most NOTCH_MAX_SOURCES, `step` floats apart; false, and 0: none
 * is. */
NOTCH_FN bool
notch_source_median (const float *v, ptrdiff_t step, int k, float *median)
{
  float value[NOTCH_MAX_SOURCES];
  int found = 0;
  for (int j = 0; j < k; j++) {
    float one = v[j * step];
    int i = found;
    if (!notch_is_number (one))
      continue;
    for (; i > 0 && value[i - 1] > one; i--)
      value[i] = value[i - 1];
    value[i] = one;
    found++;
  }
  *median = found > 0 ? 0.5f * (value[(found - 1) / 2] + value[found / 2]) : 0;
  return found > 0;
}

/* ---- rims ---------------------------------------------------------------------------------------------------------------- */

/* A piece and the pixels around it that are in the tile. */
NOTCH_FN NotchPiece
notch_piece_with_rim (const NotchPiece *piece, int size)
{
  NotchPiece wide = *piece;
  int right = piece->x + piece->w, below = piece->y + piece->h;
  wide.x = piece->x > 0 ? piece->x - 1 : 0;
  wide.y = piece->y > 0 ? piece->y - 1 : 0;
  wide.w = (right < size ? right + 1 : size) - wide.x;
  wide.h = (below < size ? below + 1 : size) - wide.y;
  return wide;
}

/* Floats that a piece's rim takes: a row above, a row below, then left and right by turns. */
NOTCH_FN ptrdiff_t
notch_rim_length (const NotchPiece *piece)
{
  return 2 * (ptrdiff_t) (piece->w + 2) + 2 * (ptrdiff_t) piece->h;
}

/* Where in a rim pixel (x, y) of the tile is, which is beside the piece. */
NOTCH_FN ptrdiff_t
notch_rim_at (const NotchPiece *piece, int x, int y)
{
  if (y < piece->y || y >= piece->y + piece->h)
    return (y < piece->y ? 0 : piece->w + 2) + (x - piece->x + 1);
  return 2 * (ptrdiff_t) (piece->w + 2) + 2 * (ptrdiff_t) (y - piece->y) + (x > piece->x);
}
