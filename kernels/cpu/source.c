/* source.c - the part of `refer` that is one source: its rows and its brightness */
#include "kernels/cpu/source.h"
#include "kernels/math/number.h"

#include <string.h>

NOTCH_CLONES static void
taps_along (const float *from, const float tap[NOTCH_TAPS], int n, float *to)
{
  const float t[NOTCH_TAPS] = { tap[0], tap[1], tap[2], tap[3], tap[4], tap[5] };
  for (int i = 0; i < n; i++)
    to[i] = notch_taps_sum (from[i], from[i + 1], from[i + 2], from[i + 3], from[i + 4], from[i + 5], t);
}

/* Rows lie pages apart, where the processor does not look ahead: the pixels of one that will be wanted soon are asked for
 * while this one is mixed. */
static void
look_ahead (NotchSource *source, int64_t y)
{
  const NotchPixels *pixels = source->pixels;
  int64_t i = y - pixels->y, x = source->place.x < 0 ? 0 : source->place.x;
  bool there = i >= 0 && i < pixels->n_rows && pixels->row[i] && x < pixels->width;
  source->ahead = there ? (const char *) pixels->row[i] + x * source->pixel_bytes : NULL;
}

void
notch_cpu_source_start (NotchSource *source, const NotchBatch *batch, const NotchTile *tile, const NotchPiece *piece,
                        const NotchSourceShift *shift, float *memory, int stride)
{
  const NotchSourcePlace *place = &source->place;
  notch_source_place (&source->place, tile->x + piece->x, tile->y + piece->y, shift);
  source->pixels = &batch->mem[shift->mem]->pixels;
  source->pixel_bytes = source->pixels->sample == NOTCH_SAMPLE_U8    ? 1
                        : source->pixels->sample == NOTCH_SAMPLE_U16 ? 2
                                                                     : 4;
  source->ahead = NULL;
  for (int i = 0; i < NOTCH_TAPS; i++)
    source->ring[i] = memory + (ptrdiff_t) i * stride;
  source->out = memory + (ptrdiff_t) NOTCH_TAPS * stride;
  source->raw = memory + (ptrdiff_t) (NOTCH_TAPS + 1) * stride;
  for (int i = 0; i < piece->w && place->coarse; i++) {
    double at = place->left + i * place->zoom;
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
  if (source->place.plain_x)
    notch_cpu_fetch (source->pixels, source->place.x + NOTCH_TAP_ORIGIN, source->place.y + row, w, to);
  else {
    notch_cpu_fetch (source->pixels, source->place.x, source->place.y + row, w + NOTCH_TAPS - 1, source->raw);
    taps_along (source->raw, source->place.along, w, to);
  }
}

/* Row y of a piece from a coarse source: rows of mem first, for there are few samples, then columns. */
static void
coarse_row (NotchSource *source, int y, int w)
{
  float *mixed = source->out, *to = source->raw;
  double at = source->place.top + y * source->place.zoom, last = source->place.left + (w - 1) * source->place.zoom;
  int64_t first = (int64_t) floor (at) - NOTCH_TAP_ORIGIN;
  int n = (int) ((int64_t) floor (last) - NOTCH_TAP_ORIGIN - source->place.x) + NOTCH_TAPS;
  float tap[NOTCH_TAPS];
  notch_lanczos_taps (at - floor (at), tap);
  memset (mixed, 0, sizeof (float) * (size_t) n);
  for (int k = 0; k < NOTCH_TAPS; k++) {
    notch_cpu_fetch (source->pixels, source->place.x, first + k, n, source->raw);
    for (int i = 0; i < n; i++)
      mixed[i] += tap[k] * source->raw[i];
  }
  for (int i = 0; i < w; i++) {
    const float *from =
        mixed + ((int64_t) floor (source->place.left + i * source->place.zoom) - NOTCH_TAP_ORIGIN - source->place.x);
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
  source->factor = notch_source_factor (&source->place, y);
  source->ready = source->place.coarse || source->place.plain_y;
  if (source->place.coarse) {
    coarse_row (source, y, w);
    return;
  }
  if (y == 0)
    for (int i = 0; i < NOTCH_TAPS - 1; i++)
      source_filter_row (source, i, w);
  source_filter_row (source, y + NOTCH_TAPS - 1, w);
  look_ahead (source, source->place.y + y + NOTCH_TAPS - 1 + AHEAD);
  for (int i = 0; i < NOTCH_TAPS; i++)
    source->row[i] = source->ring[(y + i) % NOTCH_TAPS];
  if (source->place.plain_y)
    source->row[0] = source->ring[(y + NOTCH_TAP_ORIGIN) % NOTCH_TAPS];
}
/* ---- equal brightness ------------------------------------------------------------------------------------------------- */

/* Adds up a row by blocks. */
static void
add_blocks (const float *row, int w, double sum[NOTCH_EQUAL_BLOCKS])
{
  for (int b = 0; b < NOTCH_EQUAL_BLOCKS; b++) {
    int x = b * w / NOTCH_EQUAL_BLOCKS, end = (b + 1) * w / NOTCH_EQUAL_BLOCKS;
    float part[8] = { 0 };
    for (; x + 8 <= end; x += 8)
      for (int i = 0; i < 8; i++)
        part[i] += row[x + i];
    for (; x < end; x++)
      part[0] += row[x];
    sum[b] += notch_equal_join (part);
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

/* Sums of a source over the cells of a piece; whole pixels do. FALSE: there is nothing to divide by. */
static bool
sum_cells (const NotchSource *source, const NotchPiece *piece, double sum[NOTCH_EQUAL_CELLS])
{
  int64_t x = (int64_t) floor (source->place.left + 0.5), y = (int64_t) floor (source->place.top + 0.5);
  bool any = true;
  memset (sum, 0, sizeof (double) * NOTCH_EQUAL_CELLS);
  for (int b = 0; b < NOTCH_EQUAL_BLOCKS; b++)
    for (int v = b * piece->h / NOTCH_EQUAL_BLOCKS; v < (b + 1) * piece->h / NOTCH_EQUAL_BLOCKS;
         v += NOTCH_EQUAL_STEP) {
      notch_cpu_fetch (source->pixels, x, y + v, piece->w, source->raw);
      if (source->pixels->sample == NOTCH_SAMPLE_F32 && !fill_row (source->raw, piece->w))
        return false;
      add_blocks (source->raw, piece->w, sum + (ptrdiff_t) b * NOTCH_EQUAL_BLOCKS);
    }
  for (int cell = 0; cell < NOTCH_EQUAL_CELLS; cell++)
    any &= sum[cell] > 0;
  return any;
}

void
notch_cpu_equalise (NotchSource *source, int k, const NotchPiece *piece)
{
  double sum[NOTCH_MAX_SOURCES][NOTCH_EQUAL_CELLS], ratio[NOTCH_EQUAL_CELLS];
  if (k < 3 || piece->w < NOTCH_EQUAL_LEAST || piece->h < NOTCH_EQUAL_LEAST)
    return;
  for (int j = 0; j < k; j++)
    if (source[j].place.coarse || !sum_cells (&source[j], piece, sum[j]))
      return;
  for (int j = 0; j < k; j++) {
    for (int cell = 0; cell < NOTCH_EQUAL_CELLS; cell++)
      ratio[cell] = notch_equal_ratio (notch_equal_mean (sum[0], k, cell), sum[j][cell]);
    notch_equal_plane (ratio, piece->w, piece->h, &source[j].place);
  }
}
