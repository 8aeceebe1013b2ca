/* fit.h - the regression of the test on the reference: its terms, its samples, its equations */
#pragma once

#include "kernels/math/noise.h"
#include "kernels/math/source.h"

/* At most so many samples a piece. Where most of it is one tone, what few pixels have of another tells the gain; with
 * 4096 of them a gain is off by a part in 400, which on a bright pad is five sigmas of a wide filter. */
#define NOTCH_FIT_SAMPLES 16384
#define NOTCH_FIT_LEAST   16 /* fewer tell nothing */

/* The reference and its derivatives at a pixel. */
typedef struct {
  float g, x, y, laplacian;
} NotchFitPixel;

NOTCH_FN NotchFitPixel
notch_fit_pixel (const float *g, ptrdiff_t stride)
{
  NotchFitPixel pixel = { g[0], notch_grad_x (g), notch_grad_y (g, stride), notch_laplacian (g, stride) };
  return pixel;
}

/* The terms there, in the order of NOTCH_FIT_MAX; u and v run from -1 to 1 over the piece. */
NOTCH_FN void
notch_fit_terms (const NotchFitPixel *pixel, float u, float v, float term[NOTCH_FIT_MAX])
{
  term[0] = 1;
  term[1] = pixel->g;
  term[2] = pixel->x;
  term[3] = pixel->y;
  term[4] = pixel->laplacian;
  term[5] = pixel->g * u;
  term[6] = pixel->g * v;
  term[7] = term[5] * u;
  term[8] = term[5] * v;
  term[9] = term[6] * v;
}

/* Which terms a piece of `area` px can carry: their indices, ascending; returns how many. */
NOTCH_FN int
notch_fit_use (int terms, int area, int use[NOTCH_FIT_MAX])
{
  int m = 0;
  use[m++] = 0;
  if (area >= 64 && (terms & NOTCH_FIT_GAIN))
    use[m++] = 1;
  if (area >= 512 && (terms & NOTCH_FIT_SHIFT)) {
    use[m++] = 2;
    use[m++] = 3;
  }
  if (area >= 512 && (terms & NOTCH_FIT_FOCUS))
    use[m++] = 4;
  if (area >= 2048 && (terms & NOTCH_FIT_SHADE))
    for (int j = 5; j < 10; j++)
      use[m++] = j;
  return m;
}

/* ---- samples ----------------------------------------------------------------------------------------------------------- */

/* The pixels of a piece that are fitted, and squares of step x step in them of which each gives a sample. */
typedef struct {
  int x0, y0, x1, y1; /* px, in the tile */
  int step;
  float du, dv; /* of u and v, a pixel */
} NotchFitArea;

/* With `samples` (NotchFit) at most. */
NOTCH_FN NotchFitArea
notch_fit_area (const NotchPiece *piece, int size, int samples)
{
  NotchFitArea area;
  int most = samples > 0 && samples < NOTCH_FIT_SAMPLES ? samples : NOTCH_FIT_SAMPLES;
  area.x0 = piece->x > 0 ? piece->x : 1;
  area.y0 = piece->y > 0 ? piece->y : 1;
  area.x1 = piece->x + piece->w < size ? piece->x + piece->w : size - 1;
  area.y1 = piece->y + piece->h < size ? piece->y + piece->h : size - 1;
  area.step = 1;
  while (((area.x1 - area.x0) / area.step + 1) * ((area.y1 - area.y0) / area.step + 1) > most)
    area.step++;
  area.du = 2.0f / (float) piece->w, area.dv = 2.0f / (float) piece->h;
  return area;
}

/* A number that looks like chance (the finaliser of MurmurHash3, Appleby 2011). */
NOTCH_FN uint32_t
notch_scatter (uint32_t x)
{
  x = (x ^ (x >> 16)) * 0x85ebca6bu;
  x = (x ^ (x >> 13)) * 0xc2b2ae35u;
  return x ^ (x >> 16);
}

/* The pixel of a square that is its sample, by turns: on a lattice, a line between two of its rows would never be seen. False:
 * it lies outside. (left, top) is the square's first pixel. */
NOTCH_FN bool
notch_fit_sample (const NotchFitArea *area, int left, int top, int *x, int *y)
{
  uint32_t turn = notch_scatter ((uint32_t) (top - area->y0) * 65536u + (uint32_t) (left - area->x0));
  uint32_t step = (uint32_t) area->step, down, along;
  switch (step) { /* most pieces have one of these, and a constant divides fast */
  case 1:
    down = along = 0;
    break;
  case 2:
    down = turn % 2, along = turn / 2 % 2;
    break;
  case 3:
    down = turn % 3, along = turn / 3 % 3;
    break;
  case 4:
    down = turn % 4, along = turn / 4 % 4;
    break;
  default:
    down = turn % step, along = turn / step % step;
    break;
  }
  *y = top + (int) down;
  *x = left + (int) along;
  return *y < area->y1 && *x < area->x1;
}

/* u and v of a pixel. */
NOTCH_FN float
notch_fit_u (const NotchFitArea *area, const NotchPiece *piece, int x)
{
  return area->du * (float) (x - piece->x) - 1;
}
NOTCH_FN float
notch_fit_v (const NotchFitArea *area, const NotchPiece *piece, int y)
{
  return area->dv * (float) (y - piece->y) - 1;
}

/* ---- equations --------------------------------------------------------------------------------------------------------- */

/* Products of the terms in use, summed over samples; the last row is that of the right side, test - reference. */
typedef double NotchFitMatrix[NOTCH_FIT_MAX + 1][NOTCH_FIT_MAX + 1];

/* Solves the m x m system by Cholesky with a ridge on the scale of each term. A term of which no more than `least` is left
 * beside those before it gets 0: in a flat piece there is nothing to tell a gain or a focus by. */
NOTCH_FN void
notch_fit_solve (NotchFitMatrix matrix, double right[NOTCH_FIT_MAX], const double least[NOTCH_FIT_MAX], int m)
{
  bool left_out[NOTCH_FIT_MAX] = { false };
  for (int i = 0; i < m; i++)
    matrix[i][i] *= 1 + 1e-6;
  for (int i = 0; i < m; i++)
    for (int j = 0; j <= i; j++) {
      double sum = matrix[i][j];
      for (int k = 0; k < j; k++)
        sum -= matrix[i][k] * matrix[j][k];
      if (i != j)
        matrix[i][j] = left_out[j] ? 0 : sum / matrix[j][j];
      else {
        left_out[i] = sum <= least[i] || sum <= 1e-12 * (1 + matrix[i][i]);
        matrix[i][i] = left_out[i] ? 1 : sqrt (sum);
        for (int k = 0; left_out[i] && k < i; k++)
          matrix[i][k] = 0;
      }
    }
  for (int i = 0; i < m; i++) {
    for (int k = 0; k < i; k++)
      right[i] -= matrix[i][k] * right[k];
    right[i] = left_out[i] ? 0 : right[i] / matrix[i][i];
  }
  for (int i = m - 1; i >= 0; i--) {
    for (int k = i + 1; k < m; k++)
      right[i] -= matrix[k][i] * right[k];
    right[i] = left_out[i] ? 0 : right[i] / matrix[i][i];
  }
}

/* Powers of u and v that a term's reference is multiplied by; -1: none of it. */
NOTCH_FN int
notch_fit_power_u (int term)
{
  return term == 7 ? 2 : term == 5 || term == 8 ? 1 : term == 1 || term == 6 || term == 9 ? 0 : -1;
}
NOTCH_FN int
notch_fit_power_v (int term)
{
  return term == 9 ? 2 : term == 6 || term == 8 ? 1 : term == 1 || term == 5 || term == 7 ? 0 : -1;
}

/* The mean of u to the n for u from -1 to 1, n up to 4. */
NOTCH_FN double
notch_fit_mean_power (int n)
{
  return n == 0 ? 1 : n == 2 ? 1.0 / 3 : n == 4 ? 1.0 / 5 : 0;
}

/* What the reference's own noise adds to the products of two terms, a sample; u and v run evenly from -1 to 1. */
NOTCH_FN double
notch_fit_noise_product (const NotchRefNoise *noise, int a, int b)
{
  int a_u = notch_fit_power_u (a), a_v = notch_fit_power_v (a), b_u = notch_fit_power_u (b),
      b_v = notch_fit_power_v (b);
  if (a_u >= 0 && b_u >= 0)
    return noise->level * notch_fit_mean_power (a_u + b_u) * notch_fit_mean_power (a_v + b_v);
  if (a == b)
    return a == 2 ? noise->slope_x : a == 3 ? noise->slope_y : a == 4 ? noise->bend : 0;
  int other_u = a == 4 ? b_u : b == 4 ? a_u : -1, other_v = a == 4 ? b_v : a_v;
  return other_u >= 0 ? noise->level_bend * notch_fit_mean_power (other_u) * notch_fit_mean_power (other_v) : 0;
}

/* Is a piece with these coefficients its reference but for exposure? Over the piece u^2 and v^2 are 1/3 in the mean. */
NOTCH_FN bool
notch_fit_alike (const float c[NOTCH_FIT_MAX], float contrast)
{
  float gain = 1 + c[1] + (c[7] + c[9]) / 3;
  return !(contrast > 0) || (gain <= contrast && gain * contrast >= 1);
}

/* A round of the fit: from the products over `count` samples, which it overwrites, to coefficients. The terms are made of a
 * reference that is noisy itself, and its noise stands in the difference, too; after the first round the image's noise, of
 * this variance, is known, and what it adds to the products is taken off (Fuller, Measurement Error Models, 1987, 2.2).
 * Otherwise the fit would smooth the reference by its Laplacian, and make up for the contrast that this costs by a gain that
 * is wrong for all that is flat. A piece that is not its reference at another exposure gets the offset alone, so that what is
 * wrong with it is seen. */
NOTCH_FN void
notch_fit_round (NotchFitMatrix matrix, const int use[NOTCH_FIT_MAX], int m, double count, double variance,
                 const NotchRefNoise *noise, float contrast, float coefficient[NOTCH_FIT_MAX])
{
  double solution[NOTCH_FIT_MAX], least[NOTCH_FIT_MAX];
  for (int i = 0; i < m; i++) {
    for (int j = 0; j <= i; j++)
      matrix[i][j] -= variance * count * notch_fit_noise_product (noise, use[i], use[j]);
    /* The reference has its noise with the other sign in test - reference. */
    solution[i] = matrix[m][i] + variance * count * notch_fit_noise_product (noise, use[i], 1);
    least[i] = 0.5 * variance * count * notch_fit_noise_product (noise, use[i], use[i]);
  }
  notch_fit_solve (matrix, solution, least, m);
  for (int i = 0; i < NOTCH_FIT_MAX; i++)
    coefficient[i] = 0;
  for (int i = 0; i < m; i++)
    coefficient[use[i]] = (float) solution[i];
  if (notch_fit_alike (coefficient, contrast))
    return;
  for (int i = 0; i < NOTCH_FIT_MAX; i++)
    coefficient[i] = 0;
  coefficient[0] = (float) (matrix[m][0] / (count > 1 ? count : 1));
}

/* What comes of the median of the sizes of the residuals: what a sample may be off by in the next round, and the variance of
 * the image's noise. */
NOTCH_FN void
notch_fit_spread (float median, float quiet, const NotchRefNoise *noise, double *cut, double *variance)
{
  float spread = 1.4826f * median;
  *cut = (double) (4 * (spread > quiet ? spread : quiet) + 1e-6f);
  *variance = (double) spread * (double) spread / (1 + noise->level);
}

/* ---- the model -------------------------------------------------------------------------------------------------------- */

/* The coefficients along a row. */
typedef struct {
  float base, gain, slope, bend, shift_x, shift_y, focus;
} NotchFitRow;

NOTCH_FN NotchFitRow
notch_fit_row (const float c[NOTCH_FIT_MAX], float v)
{
  NotchFitRow row = { c[0], c[1] + c[6] * v + c[9] * v * v, c[5] + c[8] * v, c[7], c[2], c[3], c[4] };
  return row;
}

/* The fitted reference. */
NOTCH_FN float
notch_fit_model (const NotchFitRow *row, const NotchFitPixel *pixel, float u)
{
  return pixel->g + row->base + pixel->g * (row->gain + u * (row->slope + row->bend * u)) + row->shift_x * pixel->x
         + row->shift_y * pixel->y + row->focus * pixel->laplacian;
}

/* ---- borders ----------------------------------------------------------------------------------------------------------- */

#define NOTCH_BORDER_WIDTH 3             /* px: as far as interpolation looks */
#define NOTCH_BORDER_LEAST 32            /* px: a shorter line tells too little of itself; the halo is as wide */
#define NOTCH_BORDER_CUT   (4 * 1.4826f) /* medians of the residual's size that a pixel may be off by */

#define NOTCH_BORDER_EDGE 0.25f /* px: what an edge may be off by */

/* What a pixel's residual tells of its line's level, `spread` being that of flat pixels: where an edge is off by a fraction
 * of a pixel all along the line, as rough ones are, it would pass for brightness. */
NOTCH_FN float
notch_border_weight (float spread, float gx, float gy)
{
  float flat = spread * spread, edge = NOTCH_BORDER_EDGE * NOTCH_BORDER_EDGE * (gx * gx + gy * gy);
  return edge > 0.0f ? flat / (flat + edge) : 1.0f;
}

/* A line of pixels along a piece's border. */
typedef struct {
  int x, y, n;  /* first pixel, in the tile; n px */
  bool upright; /* a column */
} NotchBorderLine;

/* Line i of 4 NOTCH_BORDER_WIDTH, in the order in which they are levelled: at each depth left, above, right, below. False:
 * there is none, for the piece ends at the tile or is too thin. */
NOTCH_FN bool
notch_border_line (const NotchPiece *piece, int size, int i, NotchBorderLine *line)
{
  int k = i / 4, side = i % 4, right = piece->x + piece->w, below = piece->y + piece->h;
  line->upright = side % 2 == 0;
  line->n = line->upright ? piece->h : piece->w;
  line->x = side == 0 ? piece->x + k : side == 2 ? right - 1 - k : piece->x;
  line->y = side == 1 ? piece->y + k : side == 3 ? below - 1 - k : piece->y;
  if (2 * k >= (line->upright ? piece->w : piece->h))
    return false;
  return side == 0 ? piece->x > 0 : side == 1 ? piece->y > 0 : side == 2 ? right < size : below < size;
}
