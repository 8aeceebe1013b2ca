/* source.c - the part of `refer` that is one source: its rows, its brightness, its noise */
#include "kernels/cpu/source.h"
#include "kernels/math/number.h"

#include <string.h>

NOTCH_CLONES static void
taps_along (const float *from, const float tap[NOTCH_TAPS], int n, float *to)
{
  float t0 = tap[0], t1 = tap[1], t2 = tap[2], t3 = tap[3], t4 = tap[4], t5 = tap[5];
  for (int i = 0; i < n; i++)
    to[i] = ((from[i] * t0 + from[i + 1] * t1) + (from[i + 2] * t2 + from[i + 3] * t3))
            + (from[i + 4] * t4 + from[i + 5] * t5);
}

/* Asks for the pixels of a row that will be wanted soon: rows lie pages apart, where the processor does not look ahead. */
static void
prefetch (const NotchPixels *pixels, int64_t x, int64_t y, int n)
{
  int64_t i = y - pixels->y, first = x < 0 ? 0 : x, end = x + n > pixels->width ? pixels->width : x + n;
  if (i < 0 || i >= pixels->n_rows || !pixels->row[i] || first >= end)
    return;
  int64_t bytes = pixels->sample == NOTCH_SAMPLE_U8 ? 1 : pixels->sample == NOTCH_SAMPLE_U16 ? 2 : 4;
  const char *from = (const char *) pixels->row[i] + first * bytes;
  for (int64_t at = 0; at < (end - first) * bytes; at += 64)
    __builtin_prefetch (from + at);
}

void
notch_cpu_source_start (NotchSource *source, const NotchBatch *batch, const NotchTile *tile, const NotchPiece *piece,
                        const NotchSourceShift *shift, float *memory, int stride)
{
  double x = (double) (tile->x + piece->x) + shift->dx, y = (double) (tile->y + piece->y) + shift->dy;
  source->pixels = &batch->mem[shift->mem]->pixels;
  source->coarse = shift->zoom != 1;
  source->left = x * shift->zoom, source->top = y * shift->zoom, source->zoom = shift->zoom;
  double floor_x = floor (source->left), floor_y = floor (source->top);
  source->x = (int64_t) floor_x - NOTCH_TAP_ORIGIN;
  source->y = (int64_t) floor_y - NOTCH_TAP_ORIGIN;
  source->plain_x = source->left - floor_x < 1e-6;
  source->plain_y = source->top - floor_y < 1e-6;
  for (int i = 0; i < NOTCH_TAPS; i++)
    source->ring[i] = memory + (ptrdiff_t) i * stride;
  source->out = memory + (ptrdiff_t) NOTCH_TAPS * stride;
  source->raw = memory + (ptrdiff_t) (NOTCH_TAPS + 1) * stride;
  if (!source->coarse) {
    notch_lanczos_taps (source->left - floor_x, source->along);
    notch_lanczos_taps (source->top - floor_y, source->across);
    return;
  }
  for (int i = 0; i < piece->w; i++) {
    double at = source->left + i * shift->zoom;
    float tap[NOTCH_TAPS];
    notch_lanczos_taps (at - floor (at), tap);
    for (int k = 0; k < NOTCH_TAPS; k++)
      source->ring[k][i] = tap[k];
  }
}

enum { AHEAD = 2 }; /* rows */

static void
source_filter_row (NotchSource *source, int row, int w)
{
  float *to = source->ring[row % NOTCH_TAPS];
  prefetch (source->pixels, source->x, source->y + row + AHEAD, w + NOTCH_TAPS - 1);
  if (source->plain_x)
    notch_cpu_fetch (source->pixels, source->x + NOTCH_TAP_ORIGIN, source->y + row, w, to);
  else {
    notch_cpu_fetch (source->pixels, source->x, source->y + row, w + NOTCH_TAPS - 1, source->raw);
    taps_along (source->raw, source->along, w, to);
  }
}

/* Row y of a piece from a coarse source: rows of mem first, for there are few samples, then columns. */
static void
coarse_row (NotchSource *source, int y, int w)
{
  float *mixed = source->out, *to = source->raw;
  double at = source->top + y * source->zoom, last = source->left + (w - 1) * source->zoom;
  int64_t first = (int64_t) floor (at) - NOTCH_TAP_ORIGIN;
  int n = (int) ((int64_t) floor (last) - NOTCH_TAP_ORIGIN - source->x) + NOTCH_TAPS;
  float tap[NOTCH_TAPS];
  notch_lanczos_taps (at - floor (at), tap);
  memset (mixed, 0, sizeof (float) * (size_t) n);
  for (int k = 0; k < NOTCH_TAPS; k++) {
    notch_cpu_fetch (source->pixels, source->x, first + k, n, source->raw);
    for (int i = 0; i < n; i++)
      mixed[i] += tap[k] * source->raw[i];
  }
  for (int i = 0; i < w; i++) {
    const float *from = mixed + ((int64_t) floor (source->left + i * source->zoom) - NOTCH_TAP_ORIGIN - source->x);
    float sum = 0;
    for (int k = 0; k < NOTCH_TAPS; k++)
      sum += source->ring[k][i] * from[k];
    to[i] = sum;
  }
  source->row[0] = to;
}

void
notch_cpu_source_row (NotchSource *source, int y, const NotchPiece *piece)
{
  int w = piece->w;
  source->factor =
      (float) (source->level + source->slope_y * ((y + 0.5) / piece->h - 0.5) + source->slope_x * (0.5 / w - 0.5));
  source->step = (float) (source->slope_x / w);
  source->ready = source->coarse || source->plain_y;
  if (source->coarse) {
    coarse_row (source, y, w);
    return;
  }
  if (y == 0)
    for (int i = 0; i < NOTCH_TAPS - 1; i++)
      source_filter_row (source, i, w);
  source_filter_row (source, y + NOTCH_TAPS - 1, w);
  for (int i = 0; i < NOTCH_TAPS; i++)
    source->row[i] = source->ring[(y + i) % NOTCH_TAPS];
  if (source->plain_y)
    source->row[0] = source->ring[(y + NOTCH_TAP_ORIGIN) % NOTCH_TAPS];
}
/* ---- equal brightness ------------------------------------------------------------------------------------------------- */

#define EQUAL_BLOCKS 8  /* a side of a piece */
#define EQUAL_LEAST  64 /* px: a smaller piece tells too little */
#define EQUAL_STEP   4  /* px: rows that are looked at */

/* Adds up a row by blocks. */
static void
add_blocks (const float *row, int w, double sum[EQUAL_BLOCKS])
{
  for (int b = 0; b < EQUAL_BLOCKS; b++) {
    int x = b * w / EQUAL_BLOCKS, end = (b + 1) * w / EQUAL_BLOCKS;
    float part[8] = { 0 };
    for (; x + 8 <= end; x += 8)
      for (int i = 0; i < 8; i++)
        part[i] += row[x + i];
    for (; x < end; x++)
      part[0] += row[x];
    sum[b] += (double) (((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7])));
  }
}

/* Puts the mean of a row's numbers where there is none; FALSE: it has none at all. */
static bool
fill_row (float *row, int n)
{
  double sum = 0;
  int found = 0;
  if (notch_cpu_all_numbers (row, n))
    return true;
  for (int i = 0; i < n; i++)
    if (notch_is_number (row[i]))
      sum += (double) row[i], found++;
  for (int i = 0; i < n && found > 0; i++)
    if (!notch_is_number (row[i]))
      row[i] = (float) (sum / found);
  return found > 0;
}

/* Sums of a source over the blocks of a piece; whole pixels do. FALSE: there is nothing to divide by. */
static bool
sum_blocks (NotchSource *source, const NotchPiece *piece, double sum[EQUAL_BLOCKS][EQUAL_BLOCKS])
{
  int64_t x = (int64_t) floor (source->left + 0.5), y = (int64_t) floor (source->top + 0.5);
  bool any = true;
  memset (sum, 0, sizeof (double) * EQUAL_BLOCKS * EQUAL_BLOCKS);
  for (int b = 0; b < EQUAL_BLOCKS; b++) {
    for (int v = b * piece->h / EQUAL_BLOCKS; v < (b + 1) * piece->h / EQUAL_BLOCKS; v += EQUAL_STEP) {
      notch_cpu_fetch (source->pixels, x, y + v, piece->w, source->raw);
      if (source->pixels->sample == NOTCH_SAMPLE_F32 && !fill_row (source->raw, piece->w))
        return false;
      add_blocks (source->raw, piece->w, sum[b]);
    }
    for (int c = 0; c < EQUAL_BLOCKS; c++)
      any &= sum[b][c] > 0;
  }
  return any;
}

void
notch_cpu_equalise (NotchSource *source, int k, const NotchPiece *piece)
{
  double sum[NOTCH_MAX_SOURCES][EQUAL_BLOCKS][EQUAL_BLOCKS];
  for (int j = 0; j < k; j++)
    source[j].level = 1, source[j].slope_x = source[j].slope_y = 0;
  if (k < 3 || piece->w < EQUAL_LEAST || piece->h < EQUAL_LEAST)
    return;
  for (int j = 0; j < k; j++)
    if (source[j].coarse || !sum_blocks (&source[j], piece, sum[j]))
      return;
  for (int j = 0; j < k; j++) {
    double level = 0, slope_x = 0, slope_y = 0, squares = 0;
    for (int b = 0; b < EQUAL_BLOCKS; b++)
      for (int c = 0; c < EQUAL_BLOCKS; c++) {
        double mean = 0, u = (c + 0.5) / EQUAL_BLOCKS - 0.5, v = (b + 0.5) / EQUAL_BLOCKS - 0.5;
        for (int i = 0; i < k; i++)
          mean += sum[i][b][c] / k;
        double ratio = mean / sum[j][b][c];
        ratio = ratio < 0.5 ? 0.5 : ratio > 2 ? 2 : ratio;
        level += ratio, slope_x += ratio * u, slope_y += ratio * v;
        squares += u * u;
      }
    source[j].level = level / (EQUAL_BLOCKS * EQUAL_BLOCKS);
    source[j].slope_x = slope_x / squares, source[j].slope_y = slope_y / squares; /* of a whole width, a whole height */
  }
}

/* ---- what noise a reference carries ------------------------------------------------------------------------------------ */

/* Autocovariance of taps at a distance. */
static double
tap_likeness (const float tap[NOTCH_TAPS], bool plain, int apart)
{
  double sum = 0;
  if (plain)
    return apart == 0;
  for (int i = 0; i + apart < NOTCH_TAPS; i++)
    sum += (double) tap[i] * (double) tap[i + apart];
  return sum;
}

NotchRefNoise
notch_cpu_ref_noise (const NotchSource *source, const NotchSourceShift *shift, const NotchPiece *piece)
{
  int k = piece->n_sources;
  NotchRefNoise noise = { 0 };
  /* A median of k Gaussians varies more than their mean; beyond two it is a sixth to a half, here what eight have. */
  double share = (k > 2 ? 1.25 : 1.0) / ((double) k * (double) k);
  for (int j = 0; j < k; j++) {
    const NotchSource *s = &source[j];
    if (s->coarse || (shift[j].mem != NOTCH_MEM_IMAGE && piece->n_spreads > 0))
      continue;
    double x[3], y[3];
    for (int apart = 0; apart < 3; apart++) {
      x[apart] = tap_likeness (s->along, s->plain_x, apart);
      y[apart] = tap_likeness (s->across, s->plain_y, apart);
    }
    noise.level += share * x[0] * y[0];
    noise.slope_x += share * 0.5 * (x[0] - x[2]) * y[0];
    noise.slope_y += share * 0.5 * (y[0] - y[2]) * x[0];
    noise.level_bend += share * (2 * x[1] * y[0] + 2 * x[0] * y[1] - 4 * x[0] * y[0]);
    noise.bend +=
        share
        * (20 * x[0] * y[0] + 2 * x[2] * y[0] + 2 * x[0] * y[2] + 8 * x[1] * y[1] - 16 * (x[1] * y[0] + x[0] * y[1]));
  }
  return noise;
}
