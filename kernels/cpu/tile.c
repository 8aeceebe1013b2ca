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
  lane->all_judged = !tile->weight && !memchr (lane->known, 0, (size_t) size * (size_t) size) && tile->inside_x <= 0
                     && tile->inside_y <= 0 && tile->inside_x + tile->inside_w >= size
                     && tile->inside_y + tile->inside_h >= size;
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
  lane->n_inspected = lane->n_lost = 0;
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

NOTCH_CLONES static void
taps_across (const float *const row[NOTCH_TAPS], const float tap[NOTCH_TAPS], int n, float *to)
{
  const float *r0 = row[0], *r1 = row[1], *r2 = row[2], *r3 = row[3], *r4 = row[4], *r5 = row[5];
  float t0 = tap[0], t1 = tap[1], t2 = tap[2], t3 = tap[3], t4 = tap[4], t5 = tap[5];
  for (int i = 0; i < n; i++)
    to[i] = ((r0[i] * t0 + r1[i] * t1) + (r2[i] * t2 + r3[i] * t3)) + (r4[i] * t4 + r5[i] * t5);
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

/* Median over k rows, element by element, in blocks that stay in the first cache. */
#define BLOCK 64
NOTCH_CLONES static void
median_rows (const Network *network, float *const row[], int k, int n, float *to)
{
  float v[NOTCH_MAX_SOURCES][BLOCK];
  for (int x = 0; x < n; x += BLOCK) {
    int length = n - x < BLOCK ? n - x : BLOCK;
    for (int j = 0; j < k; j++)
      memcpy (v[j], row[j] + x, sizeof (float) * (size_t) length);
    for (int c = 0; c < network->n; c++) {
      float *low = v[network->low[c]], *high = v[network->high[c]];
      for (int i = 0; i < length; i++) {
        float a = low[i], b = high[i];
        low[i] = a < b ? a : b;
        high[i] = a > b ? a : b;
      }
    }
    const float *low = v[(k - 1) / 2], *high = v[k / 2];
    for (int i = 0; i < length; i++)
      to[x + i] = 0.5f * (low[i] + high[i]);
  }
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
  float *out, *raw, *mixed;
  double level, slope_x, slope_y; /* what it is multiplied by: in the piece's middle, and over its width and height */
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
  source->mixed = memory + (ptrdiff_t) (NOTCH_TAPS + 2) * stride;
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

static void
source_filter_row (Source *source, int row, int w)
{
  float *to = source->ring[row % NOTCH_TAPS];
  if (source->plain_x)
    notch_cpu_fetch (source->pixels, source->x + NOTCH_TAP_ORIGIN, source->y + row, w, to);
  else {
    notch_cpu_fetch (source->pixels, source->x, source->y + row, w + NOTCH_TAPS - 1, source->raw);
    taps_along (source->raw, source->along, w, to);
  }
}

/* Row y of a piece from a coarse source: rows of mem first, for there are few samples, then columns. */
static float *
coarse_row (Source *source, int y, int w)
{
  double at = source->top + y * source->zoom, last = source->left + (w - 1) * source->zoom;
  int64_t first = (int64_t) floor (at) - NOTCH_TAP_ORIGIN;
  int n = (int) ((int64_t) floor (last) - NOTCH_TAP_ORIGIN - source->x) + NOTCH_TAPS;
  float tap[NOTCH_TAPS];
  notch_lanczos_taps (at - floor (at), tap);
  memset (source->mixed, 0, sizeof (float) * (size_t) n);
  for (int k = 0; k < NOTCH_TAPS; k++) {
    notch_cpu_fetch (source->pixels, source->x, first + k, n, source->raw);
    for (int i = 0; i < n; i++)
      source->mixed[i] += tap[k] * source->raw[i];
  }
  for (int i = 0; i < w; i++) {
    const float *from =
        source->mixed + ((int64_t) floor (source->left + i * source->zoom) - NOTCH_TAP_ORIGIN - source->x);
    float sum = 0;
    for (int k = 0; k < NOTCH_TAPS; k++)
      sum += source->ring[k][i] * from[k];
    source->out[i] = sum;
  }
  return source->out;
}

/* Row y of the piece, interpolated; rows are asked for in order from 0. */
static float *
source_row (Source *source, int y, int w)
{
  if (source->coarse)
    return coarse_row (source, y, w);
  if (y == 0)
    for (int i = 0; i < NOTCH_TAPS - 1; i++)
      source_filter_row (source, i, w);
  source_filter_row (source, y + NOTCH_TAPS - 1, w);
  if (source->plain_y)
    return source->ring[(y + NOTCH_TAP_ORIGIN) % NOTCH_TAPS];
  const float *row[NOTCH_TAPS];
  for (int i = 0; i < NOTCH_TAPS; i++)
    row[i] = source->ring[(y + i) % NOTCH_TAPS];
  taps_across (row, source->across, w, source->out);
  return source->out;
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
    float part = 0;
    for (int x = b * w / EQUAL_BLOCKS; x < (b + 1) * w / EQUAL_BLOCKS; x++)
      part += row[x];
    sum[b] += (double) part;
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

NOTCH_CLONES static void
scale_along (const float *from, float factor, float step, int n, float *to)
{
  for (int i = 0; i < n; i++)
    to[i] = from[i] * (factor + step * (float) i);
}

/* Row y of a source at the brightness that it was given. */
static float *
equal_row (Source *source, int y, const NotchPiece *piece)
{
  float *row = source_row (source, y, piece->w);
  if (source->level == 1 && source->slope_x == 0 && source->slope_y == 0)
    return row;
  double factor =
      source->level + source->slope_y * ((y + 0.5) / piece->h - 0.5) + source->slope_x * (0.5 / piece->w - 0.5);
  scale_along (row, (float) factor, (float) (source->slope_x / piece->w), piece->w, source->mixed);
  return source->mixed;
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

/* Looks through a row of medians for places where a source is no number: there the others' median counts, and without
 * any the pixel is lost. `at` is the row's first pixel in the tile. */
static void
mend_row (NotchLane *lane, float *const row[], int k, int n, ptrdiff_t at, float *to)
{
  bool well = true;
  for (int j = 0; j < k && well; j++)
    well = all_numbers (row[j], n);
  for (int x = 0; x < n && !well; x++) {
    float value[NOTCH_MAX_SOURCES];
    int found = 0;
    for (int j = 0; j < k; j++) {
      float v = row[j][x];
      int i = found;
      if (!is_number (v))
        continue;
      for (; i > 0 && value[i - 1] > v; i--)
        value[i] = value[i - 1];
      value[i] = v;
      found++;
    }
    if (found == 0)
      notch_cpu_lose (lane, at + x, NOTCH_KNOWN_REF_LOST);
    to[x] = found > 0 ? 0.5f * (value[(found - 1) / 2] + value[found / 2]) : 0;
  }
}

/* The median over sources `first` to `first` + k - 1 of a piece. */
static void
refer_piece (NotchLane *lane, const NotchBatch *batch, const NotchPiece *piece, int first, int k, float *plane,
             NotchRefNoise *noise)
{
  int size = lane->is.size, stride = size + 32;
  Source source[NOTCH_MAX_SOURCES];
  Network network;
  median_network (&network, k);
  bool floats = false;
  for (int j = 0; j < k; j++) {
    source_start (&source[j], batch, lane->tile, piece, &batch->source[first + j],
                  lane->stack + (ptrdiff_t) j * NOTCH_SOURCE_ROWS * stride, stride);
    floats |= source[j].pixels->sample == NOTCH_SAMPLE_F32;
  }
  equalise (source, k, piece);
  if (noise)
    *noise = noise_of (source, &batch->source[first], piece);
  for (int y = 0; y < piece->h && k > 0; y++) {
    float *row[NOTCH_MAX_SOURCES], *to = plane + (ptrdiff_t) (piece->y + y) * size + piece->x;
    for (int j = 0; j < k; j++)
      row[j] = equal_row (&source[j], y, piece);
    if (k == 1)
      memcpy (to, row[0], sizeof (float) * (size_t) piece->w);
    else
      median_rows (&network, row, k, piece->w, to);
    if (floats)
      mend_row (lane, row, k, piece->w, to - plane, to);
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
    refer_piece (lane, a->batch, piece, piece->first_source, piece->n_sources, lane->plane[NOTCH_PLANE_REF],
                 &lane->ref_noise[p]);
    if (piece->n_spreads > 0)
      refer_piece (lane, a->batch, piece, piece->first_source + piece->n_sources, 1, lane->plane[NOTCH_PLANE_SPREAD],
                   NULL);
  }
  if (lane->any_lost)
    notch_cpu_judge (lane);
  return 0;
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
weighted_dot (const float *a, const float *b, const float *w, int n)
{
  double lane[8] = { 0 };
  for (int i = 0; i < n; i += 8)
    for (int j = 0; j < 8; j++)
      lane[j] += (double) (a[i + j] * w[i + j]) * (double) b[i + j];
  return ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
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
solve (double matrix[NOTCH_FIT_MAX][NOTCH_FIT_MAX], double right[NOTCH_FIT_MAX], const double least[NOTCH_FIT_MAX],
       int m)
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
fit_samples (NotchLane *lane, int n, int terms, int area, const NotchRefNoise *noise, float coefficient[NOTCH_FIT_MAX])
{
  int use[NOTCH_FIT_MAX], m = terms_in_use (terms, area, use), stride = NOTCH_FIT_SAMPLES + 64;
  int padded = (n + 7) / 8 * 8;
  float *basis = lane->basis, *right = basis + (ptrdiff_t) NOTCH_FIT_MAX * stride, *left = right + stride;
  float *weight = lane->normal_weight;
  double variance = 0, count = n; /* of the image's noise; samples that have weight */
  for (int i = 0; i < padded; i++)
    weight[i] = i < n;
  for (int i = n; i < padded; i++)
    for (int j = 0; j <= NOTCH_FIT_MAX; j++)
      basis[(ptrdiff_t) j * stride + i] = 0;
  for (int round = 0;; round++) {
    double matrix[NOTCH_FIT_MAX][NOTCH_FIT_MAX], solution[NOTCH_FIT_MAX], least[NOTCH_FIT_MAX];
    for (int i = 0; i < m; i++) {
      const float *term = basis + (ptrdiff_t) use[i] * stride;
      for (int j = 0; j <= i; j++)
        matrix[i][j] = weighted_dot (term, basis + (ptrdiff_t) use[j] * stride, weight, padded)
                       - variance * count * noise_product (noise, use[i], use[j]);
      /* The reference has its noise with the other sign in test - reference. */
      solution[i] = weighted_dot (term, right, weight, padded) + variance * count * noise_product (noise, use[i], 1);
      least[i] = 0.5 * variance * count * noise_product (noise, use[i], use[i]);
    }
    solve (matrix, solution, least, m);
    memset (coefficient, 0, sizeof (float) * NOTCH_FIT_MAX);
    for (int i = 0; i < m; i++)
      coefficient[use[i]] = (float) solution[i];
    if (round == 2)
      return;
    for (int i = 0; i < n; i++) {
      float r = right[i];
      for (int j = 0; j < m; j++)
        r -= coefficient[use[j]] * basis[(ptrdiff_t) use[j] * stride + i];
      left[i] = fabsf (r);
    }
    memcpy (weight, left, sizeof (float) * (size_t) n);
    float spread = 1.4826f * quick_select (weight, n, n / 2), cut = 4 * spread + 1e-6f;
    variance = (double) spread * (double) spread / (1 + noise->level);
    count = 0;
    for (int i = 0; i < n; i++) {
      weight[i] = left[i] <= cut;
      count += (double) weight[i];
    }
  }
}

NOTCH_CLONES static void
apply_row (const float *test, const float *g, int stride, const float c[NOTCH_FIT_MAX], float u0, float du, float v,
           int n, float *ref, float *res)
{
  float base = c[0], gain = c[1] + c[6] * v + c[9] * v * v, slope = c[5] + c[8] * v;
  for (int i = 0; i < n; i++) {
    float u = u0 + du * (float) i;
    float model = g[i] + base + g[i] * (gain + u * (slope + c[7] * u)) + c[2] * notch_grad_x (g + i)
                  + c[3] * notch_grad_y (g + i, stride) + c[4] * notch_laplacian (g + i, stride);
    ref[i] = model;
    res[i] = test[i] - model;
  }
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
  const float *test = lane->plane[NOTCH_PLANE_TEST], *ref = lane->plane[NOTCH_PLANE_REF];
  /* The model goes to Z for now: derivatives of the raw reference are needed until the last row is done. */
  float *model = lane->plane[NOTCH_PLANE_Z], *res = lane->plane[NOTCH_PLANE_RES];
  memset (res, 0, sizeof (float) * (size_t) size * (size_t) size);
  memcpy (model, ref, sizeof (float) * (size_t) size * (size_t) size);
  const NotchPiece *above[MOST_ABOVE];
  for (int p = 0; p < tile->n_pieces; p++) {
    const NotchPiece *piece = &a->batch->piece[tile->first_piece + p];
    memset (lane->fit[p], 0, sizeof lane->fit[p]);
    if (piece->n_sources == 0)
      continue;
    /* Derivatives at a piece's rim look into the next piece's reference, which is the same pattern; only the tile's
     * own rim has no neighbour. */
    int x0 = piece->x > 0 ? piece->x : 1, y0 = piece->y > 0 ? piece->y : 1;
    int x1 = piece->x + piece->w < size ? piece->x + piece->w : size - 1;
    int y1 = piece->y + piece->h < size ? piece->y + piece->h : size - 1;
    int step = 1;
    while (((x1 - x0) / step + 1) * ((y1 - y0) / step + 1) > NOTCH_FIT_SAMPLES)
      step++;
    float du = 2.0f / (float) piece->w, dv = 2.0f / (float) piece->h;
    int n = 0, n_above = pieces_above (lane, a->batch, p, above);
    for (int y = y0; y < y1; y += step)
      for (int x = x0 + (y / step * 7) % step; x < x1; x += step) {
        ptrdiff_t at = (ptrdiff_t) y * size + x;
        if (!lane->judged[at] || is_hidden (above, n_above, x, y))
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
      fit_samples (lane, n, a->terms, piece->w * piece->h, &lane->ref_noise[p], lane->fit[p]);
    for (int y = y0; y < y1; y++) {
      ptrdiff_t at = (ptrdiff_t) y * size + x0;
      apply_row (test + at, ref + at, size, lane->fit[p], du * (float) (x0 - piece->x) - 1, du,
                 dv * (float) (y - piece->y) - 1, x1 - x0, model + at, res + at);
    }
  }
  for (ptrdiff_t i = 0; i < (ptrdiff_t) size * size && lane->any_lost; i++)
    if (!lane->judged[i] && (lane->known[i] & NOTCH_KNOWN_COVERED))
      res[i] = NAN;
  lane->plane[NOTCH_PLANE_Z] = lane->plane[NOTCH_PLANE_REF];
  lane->plane[NOTCH_PLANE_REF] = model;
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
  memset (z, 0, sizeof (float) * (size_t) size * (size_t) size);
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
