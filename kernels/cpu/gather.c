/* gather.c - raw rows as floats, and which of their pixels can be judged: gather */
#include "kernels/cpu/lane.h"
#include "kernels/math/number.h"

#include <string.h>

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

/* Static, because what chooses between the clones of a hidden function is not hidden. */
NOTCH_CLONES static bool
all_numbers (const float *row, int n)
{
  int odd = 0;
  for (int i = 0; i < n; i++)
    odd |= !(fabsf (row[i]) <= NOTCH_LARGEST_PIXEL);
  return !odd;
}

bool
notch_cpu_all_numbers (const float *row, int n)
{
  return all_numbers (row, n);
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
    if (mem->pixels.sample != NOTCH_SAMPLE_F32 || notch_cpu_all_numbers (row, size))
      continue;
    for (int x = 0; x < size; x++)
      if (!notch_is_number (row[x])) {
        notch_cpu_lose (lane, (ptrdiff_t) y * size + x, NOTCH_KNOWN_TEST_LOST);
        row[x] = 0;
      }
  }
  notch_cpu_judge (lane);
  return 0;
}
