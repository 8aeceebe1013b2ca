/* refer.c - the reference of a tile: the median over the sources of each piece: refer */
#include "kernels/cpu/source.h"

#include <string.h>

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
/* ---- the median ------------------------------------------------------------------------------------------------ */

#define BLOCK 64 /* px: values of all sources that stay in the first cache */

typedef float Values[NOTCH_MAX_SOURCES][BLOCK];

/* Values of all sources at n columns from x on, n a multiple of 8. */
NOTCH_FN void
mix_block (const NotchSource *source, int k, int x, int n, Values v)
{
  for (int j = 0; j < k; j++) {
    const float *r0 = source[j].row[0] + x;
    float factor = source[j].factor, step = source[j].place.step;
    const char *ahead = source[j].ahead;
    for (int at = 0; ahead && at < n * source[j].pixel_bytes; at += 64)
      __builtin_prefetch (ahead + x * source[j].pixel_bytes + at);
    if (source[j].ready) {
      for (int i = 0; i < n; i++)
        v[j][i] = r0[i] * (factor + step * (float) (x + i));
      continue;
    }
    const float *r1 = source[j].row[1] + x, *r2 = source[j].row[2] + x, *r3 = source[j].row[3] + x;
    const float *r4 = source[j].row[4] + x, *r5 = source[j].row[5] + x;
    const float *across = source[j].place.across;
    const float t[NOTCH_TAPS] = { across[0], across[1], across[2], across[3], across[4], across[5] };
    for (int i = 0; i < n; i++)
      v[j][i] = notch_taps_sum (r0[i], r1[i], r2[i], r3[i], r4[i], r5[i], t) * (factor + step * (float) (x + i));
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

/* Medians of a row of w px, and where there is none, `lost`; that is looked for only in floats. */
NOTCH_CLONES static bool
median_row (const NotchSource *source, const Network *network, int k, int w, bool floats, float *to, uint8_t *lost)
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
      well &= notch_cpu_all_numbers (v[j], n);
    if (!well)
      for (int i = 0; i < n; i++) {
        lost[x + i] = !notch_source_median (v[0] + i, BLOCK, k, &v[0][i]);
        any_lost |= lost[x + i];
      }
    else if (k > 1 && n == BLOCK)
      sort_block (network, k, BLOCK, v);
    else if (k > 1)
      sort_block (network, k, (n + 7) & ~7, v);
    for (int i = 0; i < n; i++)
      to[x + i] = v[0][i];
    for (int i = 0; i < n && well && floats; i++)
      lost[x + i] = false;
  }
  return any_lost;
}

/* Room for a piece's rim; NULL: the lane has no more, and the neighbours' reference has to do. */
static float *
take_rim (NotchLane *lane, int p, const NotchPiece *piece)
{
  ptrdiff_t length = notch_rim_length (piece);
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

void
notch_cpu_swap_rim (float *plane, const NotchPiece *piece, int size, float *rim)
{
  NotchPiece wide = notch_piece_with_rim (piece, size);
  for (int y = wide.y; y < wide.y + wide.h; y++)
    for (int x = wide.x; x < wide.x + wide.w; x++) {
      if (y >= piece->y && y < piece->y + piece->h && x == piece->x)
        x = piece->x + piece->w; /* the piece itself stays */
      if (x == wide.x + wide.w)
        break;
      float *at = plane + (ptrdiff_t) y * size + x, *other = rim + notch_rim_at (piece, x, y), value = *at;
      *at = *other, *other = value;
    }
}

/* The median over the k sources of a piece, and of its rim if that is kept. */
static void
refer_piece (NotchLane *lane, const NotchBatch *batch, const NotchPiece *inner, const NotchSourceShift *shift, int k,
             float *plane, NotchRefNoise *noise, float *rim)
{
  NotchPiece wide = rim ? notch_piece_with_rim (inner, lane->is.size) : *inner;
  const NotchPiece *piece = &wide;
  int size = lane->is.size, stride = size + NOTCH_SOURCE_PAD;
  NotchSource source[NOTCH_MAX_SOURCES];
  Network network;
  median_network (&network, k);
  bool floats = false;
  for (int j = 0; j < k; j++) {
    notch_cpu_source_start (&source[j], batch, lane->tile, piece, &shift[j],
                            lane->stack + (ptrdiff_t) j * NOTCH_SOURCE_ROWS * stride, stride);
    floats |= source[j].pixels->sample == NOTCH_SAMPLE_F32;
  }
  notch_cpu_equalise (source, k, piece);
  for (int j = 0; j < k && noise; j++)
    notch_source_noise (&source[j].place, piece, noise);
  uint8_t *lost = (uint8_t *) lane->response; /* of a row, and then the row */
  float *row = lane->response + stride;
  for (int y = 0; y < piece->h && k > 0; y++) {
    int from_inner = piece->y + y - inner->y;
    for (int j = 0; j < k; j++)
      notch_cpu_source_row (&source[j], y, piece);
    bool any_lost = median_row (source, &network, k, piece->w, floats, row, lost);
    store_row (row, inner, piece, from_inner, size, plane, rim);
    if (!any_lost || from_inner < 0 || from_inner >= inner->h)
      continue;
    for (int x = inner->x - piece->x; x < inner->x - piece->x + inner->w; x++)
      if (lost[x])
        notch_cpu_lose (lane, (ptrdiff_t) (piece->y + y) * size + piece->x + x, NOTCH_KNOWN_REF_LOST);
  }
}

/* The same for piece p of the tile, whose shifts may change over it. It has no rim then, for beyond it the shift just goes
 * on. */
static void
refer_bent (NotchLane *lane, const NotchBatch *batch, int p, const NotchSourceShift *shift)
{
  const NotchPiece *piece = &batch->piece[lane->tile->first_piece + p];
  float *plane = lane->plane[NOTCH_PLANE_REF];
  NotchRefNoise *noise = &lane->ref_noise[p];
  int k = piece->n_sources;
  NotchBlocks blocks = notch_source_blocks (piece, shift, lane->is.size);
  *noise = (NotchRefNoise){ 0 };
  if (!blocks.bent) {
    refer_piece (lane, batch, piece, shift, k, plane, noise, take_rim (lane, p, piece));
    return;
  }
  for (int i = 0; i < blocks.n_x * blocks.n_y; i++) {
    NotchPiece block = notch_source_block (piece, &blocks, i);
    NotchSourceShift at[NOTCH_MAX_SOURCES];
    NotchRefNoise part = { 0 };
    for (int j = 0; j < k; j++)
      at[j] = notch_source_bend (&shift[j], piece, &block);
    refer_piece (lane, batch, &block, at, k, plane, &part, NULL);
    notch_ref_noise_add (noise, &part, (double) (block.w * block.h) / (double) (piece->w * piece->h));
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
  if (!lane->all_covered) /* else every pixel is some piece's */
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
