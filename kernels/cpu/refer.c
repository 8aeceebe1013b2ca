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

/* Puts a row of a block where it belongs: into the plane what is of its piece, and what is beside that into the piece's rim.
 * (block->x, y): the row's first pixel, in the tile. */
static void
store_row (const float *row, const NotchPiece *block, const NotchPiece *piece, int y, int size, float *plane,
           float *rim)
{
  bool left = block->x < piece->x;
  bool right = block->x + block->w > piece->x + piece->w;
  int w = block->w - left - right;
  if (y < piece->y || y >= piece->y + piece->h) {
    memcpy (rim + notch_rim_at (piece, block->x, y), row, sizeof (float) * (size_t) block->w);
    return;
  }
  memcpy (plane + (ptrdiff_t) y * size + block->x + left, row + left, sizeof (float) * (size_t) w);
  if (left)
    rim[notch_rim_at (piece, block->x, y)] = row[0];
  if (right)
    rim[notch_rim_at (piece, block->x + block->w - 1, y)] = row[block->w - 1];
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

/* The median over k sources in a block of a piece. */
static void
refer_block (NotchLane *lane, NotchSource *source, const Network *network, int k, const NotchPiece *block,
             const NotchPiece *piece, float *plane, float *rim)
{
  int size = lane->is.size;
  bool floats = false;
  for (int j = 0; j < k; j++)
    floats |= source[j].pixels->sample == NOTCH_SAMPLE_F32;
  uint8_t *lost = (uint8_t *) lane->response; /* of a row, and then the row */
  float *row = lane->response + size + NOTCH_SOURCE_PAD;
  for (int v = 0; v < block->h && k > 0; v++) {
    int y = block->y + v;
    for (int j = 0; j < k; j++)
      notch_cpu_source_row (&source[j], v, block);
    bool any_lost = median_row (source, network, k, block->w, floats, row, lost);
    store_row (row, block, piece, y, size, plane, rim);
    if (!any_lost || y < piece->y || y >= piece->y + piece->h)
      continue;
    for (int x = piece->x; x < piece->x + piece->w; x++)
      if (x >= block->x && x < block->x + block->w && lost[x - block->x])
        notch_cpu_lose (lane, (ptrdiff_t) y * size + x, NOTCH_KNOWN_REF_LOST);
  }
}

/* The same over the k sources of a piece, and of its rim if that is kept, block by block where their shifts change. */
static void
refer_piece (NotchLane *lane, const NotchBatch *batch, const NotchPiece *piece, const NotchSourceShift *shift, int k,
             float *plane, NotchRefNoise *noise, float *rim)
{
  int size = lane->is.size, stride = size + NOTCH_SOURCE_PAD;
  NotchPiece wide = rim ? notch_piece_with_rim (piece, size) : *piece;
  NotchBlocks blocks = notch_source_blocks (piece, shift, k, size);
  Network network;
  median_network (&network, k);
  NotchSource source[NOTCH_MAX_SOURCES];
  NotchSourcePlace whole[NOTCH_MAX_SOURCES];
  for (int j = 0; j < k; j++)
    notch_cpu_source_start (&source[j], batch, lane->tile, &wide, &shift[j],
                            lane->stack + (ptrdiff_t) j * NOTCH_SOURCE_ROWS * stride, stride);
  notch_cpu_equalise (source, k, &wide);
  for (int j = 0; j < k; j++)
    whole[j] = source[j].place;
  for (int i = 0; i < blocks.n_x * blocks.n_y; i++) {
    NotchPiece block = notch_source_block (&wide, &blocks, i);
    double share = (double) (block.w * block.h) / (double) (wide.w * wide.h);
    NotchRefNoise part = { 0 };
    for (int j = 0; j < k; j++) {
      NotchSourceShift bent = notch_source_bend (&shift[j], piece, &block);
      if (blocks.bent)
        notch_cpu_source_start (&source[j], batch, lane->tile, &block, &bent,
                                lane->stack + (ptrdiff_t) j * NOTCH_SOURCE_ROWS * stride, stride);
      notch_equal_part (&whole[j], block.x - wide.x, block.y - wide.y, &source[j].place);
      notch_source_noise (&source[j].place, piece, &part);
    }
    notch_ref_noise_add (noise, &part, share);
    refer_block (lane, source, &network, k, &block, piece, plane, rim);
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
    NotchRefNoise unused = { 0 };
    lane->ref_noise[p] = unused;
    refer_piece (lane, a->batch, piece, shift, piece->n_sources, lane->plane[NOTCH_PLANE_REF], &lane->ref_noise[p],
                 take_rim (lane, p, piece));
    if (piece->n_spreads > 0)
      refer_piece (lane, a->batch, piece, shift + piece->n_sources, 1, lane->plane[NOTCH_PLANE_SPREAD], &unused, NULL);
  }
  if (lane->any_lost)
    notch_cpu_judge (lane);
  return 0;
}
