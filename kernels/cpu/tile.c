/* tile.c - from raw rows to sigmas: gather, refer, fit, normalise */
#include "kernels/cpu/lane.h"
#include "kernels/math/noise.h"
#include "kernels/math/resample.h"

#include <stdlib.h>
#include <string.h>

NOTCH_CLONES static void
widen_u8 (const uint8_t *from, int n, float *to)
{
  for (int i = 0; i < n; i++)
    to[i] = from[i];
}

NOTCH_CLONES static void
widen_u16 (const uint16_t *from, int n, float *to)
{
  for (int i = 0; i < n; i++)
    to[i] = from[i];
}

static void
widen (const NotchPixels *pixels, const void *row, int64_t x, int n, float *to)
{
  if (pixels->sample == NOTCH_SAMPLE_U8)
    widen_u8 ((const uint8_t *) row + x, n, to);
  else if (pixels->sample == NOTCH_SAMPLE_U16)
    widen_u16 ((const uint16_t *) row + x, n, to);
  else
    memcpy (to, (const float *) row + x, sizeof (float) * (size_t) n);
}

static const void *
row_at (const NotchPixels *pixels, int64_t y)
{
  int64_t i = y - pixels->y;
  i = i < 0 ? 0 : i >= pixels->n_rows ? pixels->n_rows - 1 : i;
  for (int64_t away = 0; away < pixels->n_rows; away++) {
    if (i - away >= 0 && pixels->row[i - away])
      return pixels->row[i - away];
    if (i + away < pixels->n_rows && pixels->row[i + away])
      return pixels->row[i + away];
  }
  return NULL;
}

void
notch_cpu_fetch (const NotchPixels *pixels, int64_t x, int64_t y, int n, float *to)
{
  const void *row = row_at (pixels, y);
  if (!row) {
    memset (to, 0, sizeof (float) * (size_t) n);
    return;
  }
  int64_t from = x < 0 ? 0 : x, end = x + n > pixels->width ? pixels->width : x + n;
  if (from >= end) { /* wholly outside: the edge's pixel all along */
    float edge = 0;
    widen (pixels, row, x < 0 ? 0 : pixels->width - 1, 1, &edge);
    for (int i = 0; i < n; i++)
      to[i] = edge;
    return;
  }
  widen (pixels, row, from, (int) (end - from), to + (from - x));
  for (int64_t i = 0; i < from - x; i++)
    to[i] = to[from - x];
  for (int64_t i = end - x; i < n; i++)
    to[i] = to[end - x - 1];
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

static int
clip (int value, int most)
{
  return value < 0 ? 0 : value > most ? most : value;
}

/* Which pixels have a reference. */
static void
mark_covered (NotchLane *lane, const NotchBatch *batch)
{
  const NotchTile *tile = lane->tile;
  int size = lane->is.size;
  lane->any_spread = lane->any_lost = false;
  memset (lane->known, 0, (size_t) size * (size_t) size);
  for (int p = 0; p < tile->n_pieces; p++) {
    const NotchPiece *piece = &batch->piece[tile->first_piece + p];
    for (int y = piece->y; y < piece->y + piece->h; y++)
      memset (lane->known + (ptrdiff_t) y * size + piece->x, piece->n_sources > 0 ? NOTCH_KNOWN_COVERED : 0,
              (size_t) piece->w);
    lane->any_spread |= piece->n_spreads > 0;
  }
  lane->all_covered = !memchr (lane->known, 0, (size_t) size * (size_t) size);
  lane->all_judged = !tile->weight && lane->all_covered && tile->inside_x <= 0 && tile->inside_y <= 0
                     && tile->inside_x + tile->inside_w >= size && tile->inside_y + tile->inside_h >= size;
}

void
notch_cpu_lose (NotchLane *lane, ptrdiff_t at, uint8_t why)
{
  lane->known[at] |= why;
  lane->any_lost = true;
  lane->all_judged = false;
}

/* Which pixels can be judged: numbers inside, with a reference and a weight, and with neighbours that have a reference,
 * for the noise model looks at its derivatives. */
void
notch_cpu_judge (NotchLane *lane)
{
  const NotchTile *tile = lane->tile;
  int size = lane->is.size;
  memset (lane->judged, 0, (size_t) size * (size_t) size);
  int x0 = clip (tile->inside_x, size), y0 = clip (tile->inside_y, size);
  int x1 = clip (tile->inside_x + tile->inside_w, size), y1 = clip (tile->inside_y + tile->inside_h, size);
  x0 = x0 < 1 ? 1 : x0, y0 = y0 < 1 ? 1 : y0, x1 = x1 > size - 1 ? size - 1 : x1, y1 = y1 > size - 1 ? size - 1 : y1;
  for (int y = y0; y < y1; y++) {
    const uint8_t *k = lane->known + (ptrdiff_t) y * size;
    uint8_t *judged = lane->judged + (ptrdiff_t) y * size;
    for (int x = x0; x < x1; x++)
      judged[x] = k[x] & k[x - 1] & k[x + 1] & k[x - size] & k[x + size] & NOTCH_KNOWN_COVERED;
    for (int x = x0; x < x1 && lane->any_lost; x++) {
      int beside = k[x] | k[x - 1] | k[x + 1] | k[x - size] | k[x + size];
      judged[x] &= !(k[x] & NOTCH_KNOWN_TEST_LOST) && !(beside & NOTCH_KNOWN_REF_LOST);
    }
    for (int x = x0; x < x1 && tile->weight; x++)
      judged[x] &= tile->weight[(ptrdiff_t) y * size + x] > 0;
  }
}

static bool
is_number (float value)
{
  return fabsf (value) <= NOTCH_LARGEST_PIXEL;
}

NOTCH_CLONES static bool
all_numbers (const float *row, int n)
{
  int odd = 0;
  for (int i = 0; i < n; i++)
    odd |= !(fabsf (row[i]) <= NOTCH_LARGEST_PIXEL);
  return !odd;
}

int
notch_cpu_gather (NotchLane *lane, const NotchGather *a)
{
  const NotchTile *tile = a->batch->tile;
  const NotchStripMem *mem = a->batch->mem[0];
  int size = lane->is.size;
  lane->tile = tile;
  lane->n_blobs = lane->n_seams = lane->n_patches = 0;
  lane->swamped = false;
  lane->n_inspected = lane->n_lost = lane->n_rim = 0;
  for (int p = 0; p < tile->n_pieces && p < lane->max_pieces; p++) {
    lane->rim_at[p] = -1;
    lane->ref_noise[p] = (NotchRefNoise){ 0 };
  }
  mark_covered (lane, a->batch);
  for (int y = 0; y < size && mem; y++) {
    float *row = lane->plane[NOTCH_PLANE_TEST] + (ptrdiff_t) y * size;
    notch_cpu_fetch (&mem->pixels, tile->x, tile->y + y, size, row);
    if (mem->pixels.sample != NOTCH_SAMPLE_F32 || all_numbers (row, size))
      continue;
    for (int x = 0; x < size; x++)
      if (!is_number (row[x])) {
        notch_cpu_lose (lane, (ptrdiff_t) y * size + x, NOTCH_KNOWN_TEST_LOST);
        row[x] = 0;
      }
  }
  notch_cpu_judge (lane);
  return 0;
}

/* ---- refer ----------------------------------------------------------------------------------------------------- */

NOTCH_CLONES static void
taps_along (const float *from, const float tap[NOTCH_TAPS], int n, float *to)
{
  float t0 = tap[0], t1 = tap[1], t2 = tap[2], t3 = tap[3], t4 = tap[4], t5 = tap[5];
  for (int i = 0; i < n; i++)
    to[i] = ((from[i] * t0 + from[i + 1] * t1) + (from[i + 2] * t2 + from[i + 3] * t3))
            + (from[i + 4] * t4 + from[i + 5] * t5);
}

/* A sorting network: pairs (low, high) of which the smaller value goes low. */
typedef struct {
  int n;
  uint8_t low[80], high[80];
} Network;

/* Batcher's odd-even merge sort for k values, without the comparators that the median does not depend on. Comparators
 * beyond k would only meet values that are larger than all, and are left out too. */
static void
median_network (Network *network, int k)
{
  Network all = { 0 };
  bool needed[NOTCH_MAX_SOURCES] = { false };
  for (int p = 1; p < k; p *= 2)
    for (int q = p; q >= 1; q /= 2)
      for (int j = q % p; j + q < k; j += 2 * q)
        for (int m = j; m < j + q && m + q < k; m++)
          if (m / (2 * p) == (m + q) / (2 * p))
            all.low[all.n] = (uint8_t) m, all.high[all.n++] = (uint8_t) (m + q);
  needed[(k - 1) / 2] = needed[k / 2] = true;
  int kept = 0;
  for (int i = all.n - 1; i >= 0; i--) /* marks from the end: what a needed value came from is needed */
    if (needed[all.low[i]] || needed[all.high[i]]) {
      needed[all.low[i]] = needed[all.high[i]] = true;
      all.low[all.n - 1 - kept] = all.low[i], all.high[all.n - 1 - kept] = all.high[i];
      kept++;
    }
  network->n = kept;
  memcpy (network->low, all.low + (all.n - kept), (size_t) kept);
  memcpy (network->high, all.high + (all.n - kept), (size_t) kept);
}

/* One source of a piece. At full scale its shift is one for the whole piece, so there is one set of taps an axis, and a
 * ring of rows that are filtered along x already; a coarser one has taps of its own for every column. */
typedef struct {
  const NotchPixels *pixels;
  bool coarse;
  int64_t x, y; /* pixel of mem: the first tap of the piece's first pixel */
  float along[NOTCH_TAPS], across[NOTCH_TAPS];
  bool plain_x, plain_y;   /* a whole shift: nothing to interpolate */
  double left, top, zoom;  /* coarse: position of the piece's first pixel in mem, and the step from pixel to pixel */
  float *ring[NOTCH_TAPS]; /* rows filtered along x; coarse: taps by column */
  float *out, *raw;
  double level, slope_x, slope_y; /* what it is multiplied by: in the piece's middle, and over its width and height */
  /* the row in work: rows to mix by `across`, or one that is ready; and factor + step x at column x */
  const float *row[NOTCH_TAPS];
  bool ready;
  float factor, step;
} Source;

static void
source_start (Source *source, const NotchBatch *batch, const NotchTile *tile, const NotchPiece *piece,
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
source_filter_row (Source *source, int row, int w)
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
coarse_row (Source *source, int y, int w)
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

/* Makes row y of the piece ready to be mixed; rows are asked for in order from 0. */
static void
source_row (Source *source, int y, const NotchPiece *piece)
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
  if (all_numbers (row, n))
    return true;
  for (int i = 0; i < n; i++)
    if (is_number (row[i]))
      sum += (double) row[i], found++;
  for (int i = 0; i < n && found > 0; i++)
    if (!is_number (row[i]))
      row[i] = (float) (sum / found);
  return found > 0;
}

/* Sums of a source over the blocks of a piece; whole pixels do. FALSE: there is nothing to divide by. */
static bool
sum_blocks (Source *source, const NotchPiece *piece, double sum[EQUAL_BLOCKS][EQUAL_BLOCKS])
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

/* Dice are lit and focused differently; a median over values that differ by more than noise would follow one source here
 * and another there. Each source is multiplied by what makes it as bright as their mean, a plane over the piece; what
 * the mean itself is off by, `fit` finds. */
static void
equalise (Source *source, int k, const NotchPiece *piece)
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

/* The noise of the median of k sources as a part of an image's: white before it was interpolated. A golden die's mean
 * and a mesh have next to none. */
static NotchRefNoise
noise_of (const Source *source, const NotchSourceShift *shift, const NotchPiece *piece)
{
  int k = piece->n_sources;
  NotchRefNoise noise = { 0 };
  /* A median of k Gaussians varies more than their mean; beyond two it is a sixth to a half, here what eight have. */
  double share = (k > 2 ? 1.25 : 1.0) / ((double) k * (double) k);
  for (int j = 0; j < k; j++) {
    const Source *s = &source[j];
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

/* ---- the median ------------------------------------------------------------------------------------------------ */

#define BLOCK 64 /* px: values of all sources that stay in the first cache */

typedef float Values[NOTCH_MAX_SOURCES][BLOCK];

/* Values of all sources at n columns from x on, n a multiple of 8. */
NOTCH_FN void
mix_block (const Source *source, int k, int x, int n, Values v)
{
  for (int j = 0; j < k; j++) {
    const float *r0 = source[j].row[0] + x;
    float factor = source[j].factor, step = source[j].step;
    if (source[j].ready) {
      for (int i = 0; i < n; i++)
        v[j][i] = r0[i] * (factor + step * (float) (x + i));
      continue;
    }
    const float *r1 = source[j].row[1] + x, *r2 = source[j].row[2] + x, *r3 = source[j].row[3] + x;
    const float *r4 = source[j].row[4] + x, *r5 = source[j].row[5] + x, *tap = source[j].across;
    float t0 = tap[0], t1 = tap[1], t2 = tap[2], t3 = tap[3], t4 = tap[4], t5 = tap[5];
    for (int i = 0; i < n; i++)
      v[j][i] = (((r0[i] * t0 + r1[i] * t1) + (r2[i] * t2 + r3[i] * t3)) + (r4[i] * t4 + r5[i] * t5))
                * (factor + step * (float) (x + i));
  }
}

/* The medians of n values each, where all are numbers; they lie in v[0]. */
NOTCH_FN void
sort_block (const Network *network, int k, int n, Values v)
{
  for (int c = 0; c < network->n; c++) {
    float *low = v[network->low[c]], *high = v[network->high[c]];
    for (int i = 0; i < n; i++) {
      float a = low[i], b = high[i];
      low[i] = a < b ? a : b;
      high[i] = a > b ? a : b;
    }
  }
  const float *low = v[(k - 1) / 2], *high = v[k / 2];
  for (int i = 0; i < n; i++)
    v[0][i] = 0.5f * (low[i] + high[i]);
}

/* Likewise where a source may be no number: there the others' median counts; false where there is none. */
static bool
mend_value (int k, int at, Values v)
{
  float value[NOTCH_MAX_SOURCES];
  int found = 0;
  for (int j = 0; j < k; j++) {
    float one = v[j][at];
    int i = found;
    if (!is_number (one))
      continue;
    for (; i > 0 && value[i - 1] > one; i--)
      value[i] = value[i - 1];
    value[i] = one;
    found++;
  }
  v[0][at] = found > 0 ? 0.5f * (value[(found - 1) / 2] + value[found / 2]) : 0;
  return found > 0;
}

/* Medians of a row of w px, and where there is none, `lost`; that is looked for only in floats. */
NOTCH_CLONES static bool
median_row (const Source *source, const Network *network, int k, int w, bool floats, float *to, uint8_t *lost)
{
  Values v;
  bool any_lost = false;
  for (int x = 0; x < w; x += BLOCK) {
    int n = w - x < BLOCK ? w - x : BLOCK;
    if (n == BLOCK)
      mix_block (source, k, x, BLOCK, v);
    else
      mix_block (source, k, x, (n + 7) & ~7, v);
    bool well = true;
    for (int j = 0; j < k && floats; j++)
      well &= all_numbers (v[j], n);
    if (!well)
      for (int i = 0; i < n; i++) {
        lost[x + i] = !mend_value (k, i, v);
        any_lost |= lost[x + i];
      }
    else if (k > 1 && n == BLOCK)
      sort_block (network, k, BLOCK, v);
    else if (k > 1)
      sort_block (network, k, (n + 7) & ~7, v);
    memcpy (to + x, v[0], sizeof (float) * (size_t) n);
    if (well && floats)
      memset (lost + x, 0, (size_t) n);
  }
  return any_lost;
}

/* A piece and the pixels around it that are in the tile. */
static NotchPiece
with_rim (const NotchPiece *piece, int size)
{
  NotchPiece wide = *piece;
  int right = piece->x + piece->w, below = piece->y + piece->h;
  wide.x = piece->x > 0 ? piece->x - 1 : 0;
  wide.y = piece->y > 0 ? piece->y - 1 : 0;
  wide.w = (right < size ? right + 1 : size) - wide.x;
  wide.h = (below < size ? below + 1 : size) - wide.y;
  return wide;
}

/* Room for a piece's rim; NULL: the lane has no more, and the neighbours' reference has to do. */
static float *
take_rim (NotchLane *lane, int p, const NotchPiece *piece)
{
  ptrdiff_t length = 2 * (ptrdiff_t) (piece->w + 2) + 2 * (ptrdiff_t) piece->h;
  if (lane->n_rim + length > lane->max_rim)
    return NULL;
  lane->rim_at[p] = lane->n_rim;
  lane->n_rim += length;
  return lane->rim + lane->rim_at[p];
}

/* Puts a row of a piece with its rim where it belongs; y counts from the piece's first row. */
static void
store_row (const float *row, const NotchPiece *piece, const NotchPiece *wide, int y, int size, float *plane, float *rim)
{
  int left = piece->x - wide->x, right = wide->x + wide->w - piece->x - piece->w;
  if (y < 0 || y == piece->h) {
    memcpy (rim + (y < 0 ? 0 : piece->w + 2) + 1 - left, row, sizeof (float) * (size_t) wide->w);
    return;
  }
  memcpy (plane + (ptrdiff_t) (piece->y + y) * size + piece->x, row + left, sizeof (float) * (size_t) piece->w);
  float *beside = rim + 2 * (piece->w + 2) + 2 * y;
  if (left)
    beside[0] = row[0];
  if (right)
    beside[1] = row[wide->w - 1];
}

/* Swaps a piece's rim and what the plane has there. */
static void
swap_rim (float *plane, const NotchPiece *piece, int size, float *rim)
{
  NotchPiece wide = with_rim (piece, size);
  for (int y = wide.y; y < wide.y + wide.h; y++) {
    bool beside = y >= piece->y && y < piece->y + piece->h;
    float *kept = beside ? rim + 2 * (piece->w + 2) + 2 * (y - piece->y) : rim + (y < piece->y ? 0 : piece->w + 2);
    for (int x = wide.x; x < wide.x + wide.w; x++) {
      if (beside && x == piece->x)
        x = piece->x + piece->w; /* the piece itself stays */
      if (x == wide.x + wide.w)
        break;
      float *at = plane + (ptrdiff_t) y * size + x, *other = beside ? kept + (x > piece->x) : kept + x - piece->x + 1;
      float value = *at;
      *at = *other, *other = value;
    }
  }
}

/* The median over the k sources of a piece, and of its rim if that is kept. */
static void
refer_piece (NotchLane *lane, const NotchBatch *batch, const NotchPiece *inner, const NotchSourceShift *shift, int k,
             float *plane, NotchRefNoise *noise, float *rim)
{
  NotchPiece wide = rim ? with_rim (inner, lane->is.size) : *inner;
  const NotchPiece *piece = &wide;
  int size = lane->is.size, stride = size + NOTCH_SOURCE_PAD;
  Source source[NOTCH_MAX_SOURCES];
  Network network;
  median_network (&network, k);
  bool floats = false;
  for (int j = 0; j < k; j++) {
    source_start (&source[j], batch, lane->tile, piece, &shift[j],
                  lane->stack + (ptrdiff_t) j * NOTCH_SOURCE_ROWS * stride, stride);
    floats |= source[j].pixels->sample == NOTCH_SAMPLE_F32;
  }
  equalise (source, k, piece);
  if (noise)
    *noise = noise_of (source, shift, piece);
  uint8_t *lost = (uint8_t *) lane->response; /* of a row, and then the row */
  float *row = lane->response + stride;
  for (int y = 0; y < piece->h && k > 0; y++) {
    int from_inner = piece->y + y - inner->y;
    for (int j = 0; j < k; j++)
      source_row (&source[j], y, piece);
    bool any_lost = median_row (source, &network, k, piece->w, floats, row, lost);
    store_row (row, inner, piece, from_inner, size, plane, rim);
    if (!any_lost || from_inner < 0 || from_inner >= inner->h)
      continue;
    for (int x = inner->x - piece->x; x < inner->x - piece->x + inner->w; x++)
      if (lost[x])
        notch_cpu_lose (lane, (ptrdiff_t) (piece->y + y) * size + piece->x + x, NOTCH_KNOWN_REF_LOST);
  }
}

/* The same for piece p of the tile, whose shifts may change over it: then it is made of blocks at whose ends they are off by
 * no more than a twentieth of a pixel, if that leaves them 8 px. It has no rim then, for beyond it the shift just goes on. */
static void
refer_bent (NotchLane *lane, const NotchBatch *batch, int p, const NotchSourceShift *shift)
{
  const NotchPiece *piece = &batch->piece[lane->tile->first_piece + p];
  float *plane = lane->plane[NOTCH_PLANE_REF];
  NotchRefNoise *noise = &lane->ref_noise[p];
  int k = piece->n_sources;
  double slope = 0;
  for (int j = 0; j < k; j++) {
    double x = fabs (shift[j].xx) + fabs (shift[j].xy), y = fabs (shift[j].yx) + fabs (shift[j].yy);
    slope = x > slope ? x : slope, slope = y > slope ? y : slope;
  }
  if (slope == 0) {
    refer_piece (lane, batch, piece, shift, k, plane, noise, take_rim (lane, p, piece));
    return;
  }
  int side = slope > 0.1 / 8 ? 8 : slope > 0.1 / lane->is.size ? (int) (0.1 / slope) : lane->is.size;
  int n_x = (piece->w - 1) / side + 1, n_y = (piece->h - 1) / side + 1;
  *noise = (NotchRefNoise){ 0 };
  for (int i = 0; i < n_x * n_y; i++) {
    int x0 = i % n_x * piece->w / n_x, x1 = (i % n_x + 1) * piece->w / n_x;
    int y0 = i / n_x * piece->h / n_y, y1 = (i / n_x + 1) * piece->h / n_y;
    NotchPiece block = { piece->x + x0, piece->y + y0, x1 - x0, y1 - y0, piece->first_source, k, piece->n_spreads };
    NotchSourceShift at[NOTCH_MAX_SOURCES];
    NotchRefNoise one;
    double u = 0.5 * (x0 + x1 - piece->w), v = 0.5 * (y0 + y1 - piece->h);
    for (int j = 0; j < k; j++) {
      at[j] = shift[j];
      at[j].dx += shift[j].xx * u + shift[j].xy * v, at[j].dy += shift[j].yx * u + shift[j].yy * v;
    }
    refer_piece (lane, batch, &block, at, k, plane, &one, NULL);
    double share = (double) (block.w * block.h) / (double) (piece->w * piece->h);
    noise->level += share * one.level, noise->slope_x += share * one.slope_x, noise->slope_y += share * one.slope_y;
    noise->level_bend += share * one.level_bend, noise->bend += share * one.bend;
  }
}

int
notch_cpu_refer (NotchLane *lane, const NotchRefer *a)
{
  const NotchTile *tile = lane->tile;
  size_t area = (size_t) lane->is.size * (size_t) lane->is.size;
  if (tile->n_pieces > lane->max_pieces)
    return notch_cpu_fail (lane,
                           "a tile holds %d pieces of dice, more than %d; dice this small need a larger image scale",
                           tile->n_pieces, lane->max_pieces);
  memset (lane->plane[NOTCH_PLANE_REF], 0, sizeof (float) * area);
  if (lane->any_spread)
    memset (lane->plane[NOTCH_PLANE_SPREAD], 0, sizeof (float) * area);
  for (int p = 0; p < tile->n_pieces; p++) {
    const NotchPiece *piece = &a->batch->piece[tile->first_piece + p];
    if (piece->n_sources == 0)
      continue;
    for (int y = piece->y; y < piece->y + piece->h && lane->any_lost; y++) /* what an earlier piece lost here */
      for (int x = piece->x; x < piece->x + piece->w; x++)
        lane->known[(ptrdiff_t) y * lane->is.size + x] &= (uint8_t) ~NOTCH_KNOWN_REF_LOST;
    const NotchSourceShift *shift = &a->batch->source[piece->first_source];
    refer_bent (lane, a->batch, p, shift);
    if (piece->n_spreads > 0)
      refer_piece (lane, a->batch, piece, shift + piece->n_sources, 1, lane->plane[NOTCH_PLANE_SPREAD], NULL, NULL);
  }
  if (lane->any_lost)
    notch_cpu_judge (lane);
  return 0;
}

/* Clears what no piece writes to: all that has no reference, and the tile's rim. */
static void
clear_rest (const NotchLane *lane, float *plane)
{
  int size = lane->is.size;
  if (!lane->all_covered) {
    memset (plane, 0, sizeof (float) * (size_t) size * (size_t) size);
    return;
  }
  for (int i = 0; i < size; i++) {
    ptrdiff_t last = (ptrdiff_t) (size - 1) * size, row = (ptrdiff_t) i * size;
    plane[i] = plane[last + i] = plane[row] = plane[row + size - 1] = 0;
  }
}

/* ---- fit ------------------------------------------------------------------------------------------------------- */

/* The terms at a pixel of the reference, in the order of NOTCH_FIT_MAX. */
NOTCH_FN void
terms_at (const float *g, int stride, float u, float v, float term[NOTCH_FIT_MAX])
{
  term[0] = 1;
  term[1] = g[0];
  term[2] = notch_grad_x (g);
  term[3] = notch_grad_y (g, stride);
  term[4] = notch_laplacian (g, stride);
  term[5] = g[0] * u;
  term[6] = g[0] * v;
  term[7] = term[5] * u;
  term[8] = term[5] * v;
  term[9] = term[6] * v;
}

static int
terms_in_use (int terms, int area, int use[NOTCH_FIT_MAX])
{
  int m = 0;
  use[m++] = 0; /* small pieces can carry few terms */
  if (area >= 64 && (terms & NOTCH_FIT_GAIN))
    use[m++] = 1;
  if (area >= 512 && (terms & NOTCH_FIT_SHIFT))
    use[m++] = 2, use[m++] = 3;
  if (area >= 512 && (terms & NOTCH_FIT_FOCUS))
    use[m++] = 4;
  if (area >= 4096 && (terms & NOTCH_FIT_SHADE))
    for (int j = 5; j < 10; j++)
      use[m++] = j;
  return m;
}

NOTCH_CLONES static double
dot (const float *a, const float *b, int n)
{
  double lane[8] = { 0 };
  for (int i = 0; i < n; i += 8)
    for (int j = 0; j < 8; j++)
      lane[j] += (double) a[i + j] * (double) b[i + j];
  return ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}

/* What m terms leave of `right`, its size. */
NOTCH_CLONES static void
residuals (const float *const term[], const float coefficient[], int m, const float *right, int n, float *left)
{
  for (int i = 0; i < n; i++)
    left[i] = right[i] - coefficient[0] * term[0][i];
  for (int j = 1; j < m; j++)
    for (int i = 0; i < n; i++)
      left[i] -= coefficient[j] * term[j][i];
  for (int i = 0; i < n; i++)
    left[i] = fabsf (left[i]);
}

static float
quick_select (float *v, int n, int k)
{
  int low = 0, high = n - 1;
  while (low < high) {
    float pivot = v[low + (high - low) / 2];
    int i = low, j = high;
    while (i <= j) {
      while (v[i] < pivot)
        i++;
      while (v[j] > pivot)
        j--;
      if (i <= j) {
        float t = v[i];
        v[i++] = v[j], v[j--] = t;
      }
    }
    if (k <= j)
      high = j;
    else if (k >= i)
      low = i;
    else
      break;
  }
  return v[k];
}

/* Solves the m x m system by Cholesky with a ridge on the scale of each term. A term of which no more than `least` is left
 * beside those before it gets 0: in a flat piece there is nothing to tell a gain or a focus by. */
static void
solve (double matrix[NOTCH_FIT_MAX + 1][NOTCH_FIT_MAX + 1], double right[NOTCH_FIT_MAX],
       const double least[NOTCH_FIT_MAX], int m)
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

/* What the reference's own noise adds to the products of two terms, a sample; u and v run evenly from -1 to 1. */
static double
noise_product (const NotchRefNoise *noise, int a, int b)
{
  /* Powers of u and v that a term's reference is multiplied by; -1: none of it. */
  static const int power_u[NOTCH_FIT_MAX] = { -1, 0, -1, -1, -1, 1, 0, 2, 1, 0 },
                   power_v[NOTCH_FIT_MAX] = { -1, 0, -1, -1, -1, 0, 1, 0, 1, 2 };
  static const double mean[5] = { 1, 0, 1.0 / 3, 0, 1.0 / 5 }; /* of u^0 to u^4 */
  if (power_u[a] >= 0 && power_u[b] >= 0)
    return noise->level * mean[power_u[a] + power_u[b]] * mean[power_v[a] + power_v[b]];
  if (a == b)
    return a == 2 ? noise->slope_x : a == 3 ? noise->slope_y : a == 4 ? noise->bend : 0;
  int other = a == 4 ? b : b == 4 ? a : 0;
  return power_u[other] >= 0 ? noise->level_bend * mean[power_u[other]] * mean[power_v[other]] : 0;
}

/* Robust least squares of test - reference on the terms, reweighted three times: pixels beyond four robust sigmas of the
 * last round are left out (Holland and Welsch 1977). The terms are made of a reference that is noisy itself, and its noise
 * stands in the difference, too; after the first round the noise is known, and what it adds to the products is taken off
 * (Fuller, Measurement Error Models, 1987, 2.2). Otherwise the fit would smooth the reference by its Laplacian, and make
 * up for the contrast that this costs by a gain that is wrong for all that is flat. `n` samples lie in columns of `basis`. */
static void
fit_samples (NotchLane *lane, int n, int terms, int area, const NotchRefNoise *noise, float quiet,
             float coefficient[NOTCH_FIT_MAX])
{
  int use[NOTCH_FIT_MAX], m = terms_in_use (terms, area, use), stride = NOTCH_FIT_SAMPLES + 64;
  int padded = (n + 7) / 8 * 8;
  float *right = lane->basis + (ptrdiff_t) NOTCH_FIT_MAX * stride, *left = right + stride,
        *sorted = lane->normal_sorted;
  const float *term[NOTCH_FIT_MAX + 1]; /* the last one is the right side */
  for (int j = 0; j <= NOTCH_FIT_MAX; j++)
    for (int i = n; i < padded; i++)
      lane->basis[(ptrdiff_t) j * stride + i] = 0;
  for (int i = 0; i < m; i++)
    term[i] = lane->basis + (ptrdiff_t) use[i] * stride;
  term[m] = right;
  double product[NOTCH_FIT_MAX + 1][NOTCH_FIT_MAX + 1]; /* of all samples */
  for (int i = 0; i <= m; i++)
    for (int j = 0; j <= i && j < m; j++)
      product[i][j] = dot (term[i], term[j], padded);
  double variance = 0, cut = INFINITY; /* of the image's noise; samples beyond it are left out */
  for (int round = 0;; round++) {
    double matrix[NOTCH_FIT_MAX + 1][NOTCH_FIT_MAX + 1], solution[NOTCH_FIT_MAX], least[NOTCH_FIT_MAX], count = n;
    memcpy (matrix, product, sizeof matrix);
    for (int k = 0; k < n && round > 0; k++) {
      if ((double) left[k] <= cut)
        continue;
      count--;
      for (int i = 0; i <= m; i++)
        for (int j = 0; j <= i && j < m; j++)
          matrix[i][j] -= (double) term[i][k] * (double) term[j][k];
    }
    for (int i = 0; i < m; i++) {
      for (int j = 0; j <= i; j++)
        matrix[i][j] -= variance * count * noise_product (noise, use[i], use[j]);
      /* The reference has its noise with the other sign in test - reference. */
      solution[i] = matrix[m][i] + variance * count * noise_product (noise, use[i], 1);
      least[i] = 0.5 * variance * count * noise_product (noise, use[i], use[i]);
    }
    solve (matrix, solution, least, m);
    float found[NOTCH_FIT_MAX];
    memset (coefficient, 0, sizeof (float) * NOTCH_FIT_MAX);
    for (int i = 0; i < m; i++)
      coefficient[use[i]] = found[i] = (float) solution[i];
    if (round == 2)
      return;
    residuals (term, found, m, right, n, left);
    memcpy (sorted, left, sizeof (float) * (size_t) n);
    float spread = 1.4826f * quick_select (sorted, n, n / 2);
    cut = (double) (4 * (spread > quiet ? spread : quiet) + 1e-6f);
    variance = (double) spread * (double) spread / (1 + noise->level);
  }
}

NOTCH_CLONES static void
apply_row (const float *test, const float *g, int stride, const float c[NOTCH_FIT_MAX], float u0, float du, float v,
           int n, float *restrict ref, float *restrict res)
{
  float base = c[0], gain = c[1] + c[6] * v + c[9] * v * v, slope = c[5] + c[8] * v, bend = c[7];
  float shift_x = c[2], shift_y = c[3], focus = c[4];
  for (int i = 0; i < n; i++) {
    float u = u0 + du * (float) i;
    float model = g[i] + base + g[i] * (gain + u * (slope + bend * u)) + shift_x * notch_grad_x (g + i)
                  + shift_y * notch_grad_y (g + i, stride) + focus * notch_laplacian (g + i, stride);
    ref[i] = model;
    res[i] = test[i] - model;
  }
}

/* ---- borders ------------------------------------------------------------------------------------------------------- */

#define BORDER_WIDTH 3   /* px: as far as interpolation looks */
#define BORDER_LEAST 128 /* px: a shorter line tells too little of itself */

/* Takes what a line of pixels has in common off its residual: a part of the reference, by least squares without what
 * sticks out. `step` apart, n of them. */
static void
level_line (NotchLane *lane, float *res, float *ref, const uint8_t *judged, ptrdiff_t step, int n)
{
  float *size = lane->normal_sorted;
  double products = 0, squares = 0;
  int found = 0;
  for (int i = 0; i < n; i++)
    if (judged[i * step])
      size[found++] = fabsf (res[i * step]);
  if (found < BORDER_LEAST)
    return;
  float cut = 4 * 1.4826f * quick_select (size, found, found / 2);
  for (int i = 0; i < n; i++) {
    float r = res[i * step], g = ref[i * step];
    if (!judged[i * step] || fabsf (r) > cut)
      continue;
    products += (double) r * (double) g;
    squares += (double) g * (double) g;
  }
  float share = squares > 0 ? (float) (products / squares) : 0;
  for (int i = 0; i < n; i++)
    if (judged[i * step]) {
      res[i * step] -= share * ref[i * step];
      ref[i * step] += share * ref[i * step];
    }
}

/* Where two dice meet, interpolation mixes what belongs to one with what belongs to the other, and they are not lit and
 * placed alike. All along such a border this makes a faint line, which the long filters would see. */
static void
level_borders (NotchLane *lane, const NotchPiece *piece, float *res, float *ref)
{
  int size = lane->is.size, right = piece->x + piece->w, below = piece->y + piece->h;
  for (int k = 0; k < BORDER_WIDTH; k++) {
    const int column[2] = { piece->x + k, right - 1 - k }, row[2] = { piece->y + k, below - 1 - k };
    const bool at_column[2] = { piece->x > 0, right < size }, at_row[2] = { piece->y > 0, below < size };
    for (int side = 0; side < 2; side++) {
      ptrdiff_t first = (ptrdiff_t) piece->y * size + column[side];
      if (at_column[side] && 2 * k < piece->w)
        level_line (lane, res + first, ref + first, lane->judged + first, size, piece->h);
      first = (ptrdiff_t) row[side] * size + piece->x;
      if (at_row[side] && 2 * k < piece->h)
        level_line (lane, res + first, ref + first, lane->judged + first, 1, piece->w);
    }
  }
}

/* A number that looks like chance (the finaliser of MurmurHash3, Appleby 2011). */
static uint32_t
scatter (uint32_t x)
{
  x = (x ^ (x >> 16)) * 0x85ebca6bu;
  x = (x ^ (x >> 13)) * 0xc2b2ae35u;
  return x ^ (x >> 16);
}

/* Later pieces that overlap one, at most so many: there the reference is theirs, and may be of another kind. */
#define MOST_ABOVE 256

static int
pieces_above (const NotchLane *lane, const NotchBatch *batch, int p, const NotchPiece *above[MOST_ABOVE])
{
  const NotchPiece *all = &batch->piece[lane->tile->first_piece], *piece = &all[p];
  int n = 0;
  for (int q = p + 1; q < lane->tile->n_pieces && n < MOST_ABOVE; q++)
    if (all[q].x < piece->x + piece->w && all[q].x + all[q].w > piece->x && all[q].y < piece->y + piece->h
        && all[q].y + all[q].h > piece->y)
      above[n++] = &all[q];
  return n;
}

static inline bool
is_hidden (const NotchPiece *const *above, int n, int x, int y)
{
  for (int i = 0; i < n; i++)
    if (x >= above[i]->x && y >= above[i]->y && x < above[i]->x + above[i]->w && y < above[i]->y + above[i]->h)
      return true;
  return false;
}

int
notch_cpu_fit (NotchLane *lane, const NotchFit *a)
{
  const NotchTile *tile = lane->tile;
  int size = lane->is.size, stride = NOTCH_FIT_SAMPLES + 64;
  const float *test = lane->plane[NOTCH_PLANE_TEST];
  float *ref = lane->plane[NOTCH_PLANE_REF];
  /* The model goes to Z for now: derivatives of the raw reference are needed until the last row is done. */
  float *model = lane->plane[NOTCH_PLANE_Z], *res = lane->plane[NOTCH_PLANE_RES];
  clear_rest (lane, res);
  if (!lane->all_covered)
    memcpy (model, ref, sizeof (float) * (size_t) size * (size_t) size);
  for (int i = 0; i < size; i++) { /* the rim, that has no derivatives */
    ptrdiff_t last = (ptrdiff_t) (size - 1) * size, row = (ptrdiff_t) i * size;
    model[i] = ref[i], model[last + i] = ref[last + i];
    model[row] = ref[row], model[row + size - 1] = ref[row + size - 1];
  }
  const NotchPiece *above[MOST_ABOVE];
  for (int p = 0; p < tile->n_pieces; p++) {
    const NotchPiece *piece = &a->batch->piece[tile->first_piece + p];
    memset (lane->fit[p], 0, sizeof lane->fit[p]);
    if (piece->n_sources == 0)
      continue;
    /* Derivatives look one pixel beyond a piece, where another one's reference is off by its own brightness: a jump that a
     * difference of focus would draw along the border. Only beyond the tile there is nothing. */
    float *rim = lane->rim_at[p] >= 0 ? lane->rim + lane->rim_at[p] : NULL;
    if (rim)
      swap_rim (ref, piece, size, rim);
    int x0 = piece->x > 0 ? piece->x : 1, y0 = piece->y > 0 ? piece->y : 1;
    int x1 = piece->x + piece->w < size ? piece->x + piece->w : size - 1;
    int y1 = piece->y + piece->h < size ? piece->y + piece->h : size - 1;
    int step = 1;
    while (((x1 - x0) / step + 1) * ((y1 - y0) / step + 1) > NOTCH_FIT_SAMPLES)
      step++;
    float du = 2.0f / (float) piece->w, dv = 2.0f / (float) piece->h;
    int n = 0, n_above = pieces_above (lane, a->batch, p, above);
    /* A pixel of every square of step x step, by turns: on a lattice, a line between two of its rows would never be seen. */
    for (int top = y0; top < y1; top += step)
      for (int left = x0; left < x1; left += step) {
        uint32_t turn = scatter ((uint32_t) (top - y0) * 65536u + (uint32_t) (left - x0));
        int y = top + (int) (turn % (uint32_t) step), x = left + (int) (turn / (uint32_t) step % (uint32_t) step);
        ptrdiff_t at = (ptrdiff_t) y * size + x;
        if (y >= y1 || x >= x1 || !lane->judged[at] || is_hidden (above, n_above, x, y))
          continue;
        float term[NOTCH_FIT_MAX];
        terms_at (ref + at, size, du * (float) (x - piece->x) - 1, dv * (float) (y - piece->y) - 1, term);
        for (int j = 0; j < NOTCH_FIT_MAX; j++)
          lane->basis[(ptrdiff_t) j * stride + n] = term[j];
        lane->basis[(ptrdiff_t) NOTCH_FIT_MAX * stride + n] = test[at] - ref[at];
        n++;
      }
    if (a->terms == NOTCH_FIT_NOTHING)
      lane->fit[p][1] = a->gain - 1;
    else if (n >= 16)
      fit_samples (lane, n, a->terms, piece->w * piece->h, &lane->ref_noise[p], a->least, lane->fit[p]);
    for (int y = y0; y < y1; y++) {
      ptrdiff_t at = (ptrdiff_t) y * size + x0;
      apply_row (test + at, ref + at, size, lane->fit[p], du * (float) (x0 - piece->x) - 1, du,
                 dv * (float) (y - piece->y) - 1, x1 - x0, model + at, res + at);
    }
    if (rim)
      swap_rim (ref, piece, size, rim);
    if (a->terms != NOTCH_FIT_NOTHING)
      level_borders (lane, piece, res, model);
  }
  for (ptrdiff_t i = 0; i < (ptrdiff_t) size * size && lane->any_lost; i++)
    if (!lane->judged[i] && (lane->known[i] & NOTCH_KNOWN_COVERED))
      res[i] = NAN;
  lane->plane[NOTCH_PLANE_Z] = lane->plane[NOTCH_PLANE_REF];
  lane->plane[NOTCH_PLANE_REF] = model;
  if (a->wander > 0)
    notch_cpu_wander (lane, a->wander);
  return 0;
}

/* ---- normalise ------------------------------------------------------------------------------------------------- */

NOTCH_CLONES static void
normalise_row (const float *res, const float *g, int stride, const NotchNoise *noise, int n, float *z)
{
  for (int i = 0; i < n; i++) {
    float variance = notch_noise_variance (noise, g[i], notch_grad_x (g + i), notch_grad_y (g + i, stride),
                                           notch_laplacian (g + i, stride));
    z[i] = res[i] / sqrtf (variance);
  }
}

NOTCH_CLONES static void
normalise_spread_row (const float *res, const float *g, int stride, const NotchNoise *noise, const float *spread,
                      float trust, int n, float *z)
{
  for (int i = 0; i < n; i++) {
    float variance = notch_noise_variance (noise, g[i], notch_grad_x (g + i), notch_grad_y (g + i, stride),
                                           notch_laplacian (g + i, stride));
    z[i] = res[i] / sqrtf (notch_noise_joined (variance, spread[i], trust));
  }
}

int
notch_cpu_normalise (NotchLane *lane, const NotchNormalise *a)
{
  const NotchTile *tile = lane->tile;
  int size = lane->is.size;
  float *z = lane->plane[NOTCH_PLANE_Z];
  clear_rest (lane, z);
  for (int p = 0; p < tile->n_pieces; p++) {
    const NotchPiece *piece = &a->batch->piece[tile->first_piece + p];
    if (piece->n_sources == 0)
      continue;
    int x0 = piece->x > 0 ? piece->x : 1, y0 = piece->y > 0 ? piece->y : 1;
    int x1 = piece->x + piece->w < size ? piece->x + piece->w : size - 1;
    int y1 = piece->y + piece->h < size ? piece->y + piece->h : size - 1;
    for (int y = y0; y < y1 && x1 > x0; y++) {
      ptrdiff_t at = (ptrdiff_t) y * size + x0;
      const float *res = lane->plane[NOTCH_PLANE_RES] + at, *g = lane->plane[NOTCH_PLANE_REF] + at;
      if (piece->n_spreads > 0)
        normalise_spread_row (res, g, size, &a->noise, lane->plane[NOTCH_PLANE_SPREAD] + at, a->trust, x1 - x0, z + at);
      else
        normalise_row (res, g, size, &a->noise, x1 - x0, z + at);
      for (int x = 0; !lane->all_judged && x < x1 - x0; x++)
        if (!lane->judged[at + x])
          z[at + x] = 0;
    }
  }
  return 0;
}
