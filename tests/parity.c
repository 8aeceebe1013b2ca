/* parity.c - a backend's stages that are written twice, against the CPU's on the same planes: filter, power, label, patch,
 * shift
 *
 * The CPU works tile by tile, the other backend on all tiles of a batch at once. */
#include <glib.h>
#include <math.h>
#include <string.h>

#include "kernels/math/score.h"
#include "kernels/math/template.h"
#include "tests/backend.h"
#include "tests/few.h"

enum { MOST = 4, SIDE = 16, MOST_PATCHES = 8 };

static const NotchChannel bank[] = {
  { NOTCH_CHANNEL_BLOB, 0.8f, 0, 0, 1, 1 },        { NOTCH_CHANNEL_BLOB, 1.3f, 0, 0, 1, 1.1f },
  { NOTCH_CHANNEL_BLOB, 2.1f, 0, 0, 2, 0.9f },     { NOTCH_CHANNEL_BLOB, 4.5f, 0, 0, 4, 1 },
  { NOTCH_CHANNEL_LINE, 1.3f, 8, 0.5f, 2, 1 },     { NOTCH_CHANNEL_BLOB, 1, 0, 0, 1, 1 },
  { NOTCH_CHANNEL_LINE, 1.3f, 10, 1, 2, 1 },       { NOTCH_CHANNEL_LINE, 1.3f, 10, 1.5f, 2, 1 },
  { NOTCH_CHANNEL_LINE, 1.3f, 10, 2, 2, 1 },       { NOTCH_CHANNEL_LINE, 1.3f, 10, 2.5f, 2, 1 },
  { NOTCH_CHANNEL_LINE, 1.8f, 24, 2.8f, 2, 1 },    { NOTCH_CHANNEL_LINE, 1.8f, 24, 0.3f, 2, 1 },
  { NOTCH_CHANNEL_LINE, 1.8f, 24, 0.7f, 2, 1.2f }, { NOTCH_CHANNEL_BLOB, 8, 0, 0, 4, 1 },
};
enum { BANK = G_N_ELEMENTS (bank) };

static double
gaussian (GRand *random)
{
  double u = g_rand_double_range (random, 1e-12, 1), v = g_rand_double (random);
  return sqrt (-2 * log (u)) * cos (2 * G_PI * v);
}

/* A lane of either backend, and the tiles that both work on. */
typedef struct {
  const NotchKernels *k[2]; /* the CPU's, and the one under test */
  NotchDevice *device[2];
  NotchLane *lane[2];
  int size, area, n_tiles;
  NotchTile tile[MOST];
  NotchPiece piece[MOST];
  float *weight[MOST];
  float *plane[MOST][NOTCH_N_PLANES]; /* as they were poked; NULL: not yet */
  GRand *random;
} Twins;

static void
twins_open (Twins *twins, const NotchLaneSize *size, int n_tiles, guint32 seed)
{
  NotchFault fault = { 0 };
  *twins = (Twins){ .k = { &notch_kernels_cpu, backend },
                    .size = size->size,
                    .area = size->size * size->size,
                    .n_tiles = n_tiles,
                    .random = g_rand_new_with_seed (seed) };
  for (int i = 0; i < 2; i++) {
    twins->device[i] = twins->k[i]->open (0, &fault);
    g_assert_cmpstr (fault.text, ==, "");
    twins->lane[i] = twins->k[i]->lane_new (twins->device[i], size, &fault);
    g_assert_cmpstr (fault.text, ==, "");
  }
}

static void
twins_close (Twins *twins)
{
  for (int i = 0; i < 2; i++) {
    twins->k[i]->lane_free (twins->lane[i]);
    twins->k[i]->close (twins->device[i]);
  }
  for (int t = 0; t < MOST; t++) {
    g_free (twins->weight[t]);
    for (int p = 0; p < NOTCH_N_PLANES; p++)
      g_free (twins->plane[t][p]);
  }
  g_rand_free (twins->random);
}

/* Tiles of all kinds: whole, with a core that is smaller, at the image's edge, half without a reference, with weights. */
static void
draw_tiles (Twins *twins, int halo)
{
  GRand *random = twins->random;
  int core = twins->size - 2 * halo;
  for (int t = 0; t < twins->n_tiles; t++) {
    int w = t % 2 ? g_rand_int_range (random, core / 2, core) : core;
    twins->tile[t] = (NotchTile){ 0, 0, halo, halo, w, core - t, 0, 0, twins->size, twins->size, t, 1, NULL };
    twins->piece[t] = (NotchPiece){ 0, 0, twins->size, twins->size, 0, 1, 0 };
    if (g_rand_boolean (random))
      twins->piece[t].h = twins->size - halo - 3;
    if (g_rand_boolean (random))
      twins->tile[t].inside_x = halo + 2, twins->tile[t].inside_w = twins->size - halo - 9;
    if (g_rand_int_range (random, 0, 3) > 0)
      continue;
    twins->weight[t] = g_new (float, twins->area);
    for (int i = 0; i < twins->area; i++)
      twins->weight[t][i] = g_rand_int_range (random, 0, 4) ? 1 : g_rand_boolean (random) ? 0.7f : 0;
    twins->tile[t].weight = twins->weight[t];
  }
}

static NotchBatch
batch_of (Twins *twins, int first, int n)
{
  return (NotchBatch){ .n_tiles = n, .tile = &twins->tile[first], .piece = twins->piece };
}

/* Fills a plane of a tile with what `value` gives for each pixel. */
static float *
plane_of (Twins *twins, int t, NotchPlane plane)
{
  if (!twins->plane[t][plane])
    twins->plane[t][plane] = g_new0 (float, twins->area);
  return twins->plane[t][plane];
}

/* Begins a batch of n tiles from `first` on, and pokes all planes that were made. */
static void
begin (Twins *twins, int which, int first, int n)
{
  const NotchKernels *k = twins->k[which];
  NotchBatch batch = batch_of (twins, first, n);
  g_assert_cmpint (k->gather (twins->lane[which], &(NotchGather){ &batch }), ==, 0);
  for (int t = 0; t < n; t++)
    for (int p = 0; p < NOTCH_N_PLANES; p++)
      if (twins->plane[first + t][p])
        g_assert_cmpint (k->poke (twins->lane[which], t, (NotchPlane) p, twins->plane[first + t][p]), ==, 0);
}

/* ---- filter and power ---------------------------------------------------------------------------------------------- */

static void
check_stats (const NotchChannelStats *ours, const NotchChannelStats *theirs)
{
  gint64 apart = 0;
  for (int b = 0; b < NOTCH_HISTOGRAM_BINS; b++)
    apart += ABS (ours->histogram[b] - theirs->histogram[b]);
  /* Responses differ in their last bits: what lies on the border of two bins, or at 4 sigmas, may fall on either side. */
  g_assert_cmpint (apart, <=, 8);
  g_assert_cmpint (ABS (ours->n - theirs->n), <=, 2);
  g_assert_cmpfloat_with_epsilon (ours->sum2 / theirs->sum2, 1, 1e-3);
  g_assert_cmpfloat_with_epsilon (ours->sum_dx2 / theirs->sum_dx2, 1, 1e-3);
  g_assert_cmpfloat_with_epsilon (ours->sum_dy2 / theirs->sum_dy2, 1, 1e-3);
  g_assert_cmpfloat_with_epsilon (ours->sum_dxdy / theirs->sum_dx2, theirs->sum_dxdy / theirs->sum_dx2, 1e-3);
}

static void
check_scores (const Twins *twins, int t, const float *score, const float *fine, const float *score_cpu,
              const float *fine_cpu)
{
  const NotchTile *tile = &twins->tile[t];
  for (int y = tile->core_y; y < tile->core_y + tile->core_h; y++)
    for (int x = 0; x < twins->size; x++) {
      int at = y * twins->size + x;
      /* A transform of up to 2^14 points rounds a few times 2^-24 of the largest responses, 40 here; of a score 2^-16 are the
       * channel's and the side's. */
      g_assert_cmpfloat_with_epsilon (fine[at], fine_cpu[at], 4e-5);
      g_assert_cmpfloat_with_epsilon (score[at], score_cpu[at], 4e-5 + score_cpu[at] / 65536);
    }
}

static void
run_filter (Twins *twins, int n_channels)
{
  NotchBatch all = batch_of (twins, 0, twins->n_tiles);
  g_autofree NotchChannelStats *ours = g_new0 (NotchChannelStats, n_channels);
  g_autofree NotchChannelStats *theirs = g_new0 (NotchChannelStats, n_channels);
  g_autofree float *room = g_new (float, 4 * twins->area);
  float *score[] = { room, room + twins->area }, *fine[] = { room + 2 * twins->area, room + 3 * twins->area };
  begin (twins, 1, 0, twins->n_tiles);
  g_assert_cmpint (twins->k[1]->filter (twins->lane[1], &(NotchFilter){ &all, n_channels, bank, ours }), ==, 0);
  for (int t = 0; t < twins->n_tiles; t++) {
    NotchBatch one = batch_of (twins, t, 1);
    begin (twins, 0, t, 1);
    g_assert_cmpint (twins->k[0]->filter (twins->lane[0], &(NotchFilter){ &one, n_channels, bank, theirs }), ==, 0);
    for (int i = 0; i < 2; i++) {
      twins->k[i]->peek (twins->lane[i], i ? t : 0, NOTCH_PLANE_SCORE, score[i]);
      twins->k[i]->peek (twins->lane[i], i ? t : 0, NOTCH_PLANE_FINE, fine[i]);
    }
    check_scores (twins, t, score[1], fine[1], score[0], fine[0]);
  }
  for (int c = 0; c < n_channels; c++)
    check_stats (&ours[c], &theirs[c]);
}

static void
test_filter (void)
{
  static const struct {
    int size, halo, n_tiles, n_channels;
  } given[] = { { 96, 16, 3, BANK }, { 128, 12, 1, 5 }, { 48, 8, 4, 1 }, { 24, 4, 2, 2 } };
  for (gsize i = 0; i < G_N_ELEMENTS (given); i++)
    for (int white = 0; white < 2; white++) {
      NotchLaneSize size = { .batch = MOST,
                             .size = given[i].size,
                             .halo = given[i].halo,
                             .max_blobs = 1,
                             .patch_side = 1,
                             .max_patches = 1,
                             .n_channels = i == 3 ? 2 : BANK, /* of some lanes a part is asked for */
                             .channel = bank };
      g_autoptr (GRand) random = g_rand_new_with_seed (5);
      g_autofree float *whiten = g_new (float, size.size *(size.size / 2 + 1));
      for (int k = 0; k < size.size * (size.size / 2 + 1); k++)
        whiten[k] = (float) g_rand_double_range (random, 0.5, 2);
      size.whiten = white ? NULL : whiten;
      Twins twins;
      twins_open (&twins, &size, given[i].n_tiles, 11 + (guint32) i);
      draw_tiles (&twins, given[i].halo);
      for (int t = 0; t < twins.n_tiles; t++) {
        float *z = plane_of (&twins, t, NOTCH_PLANE_Z);
        for (int k = 0; k < twins.area; k++)
          z[k] = (float) gaussian (twins.random);
        for (int k = 0; k < 5; k++)
          z[g_rand_int_range (twins.random, 0, twins.area)] += (float) g_rand_double_range (twins.random, -30, 30);
      }
      run_filter (&twins, given[i].n_channels);
      twins_close (&twins);
    }
}

/* What a tile comes to has nothing to do with those beside it in the batch. */
static void
test_alone (void)
{
  NotchLaneSize size = { .batch = MOST,
                         .size = 96,
                         .halo = 16,
                         .max_blobs = 1,
                         .patch_side = 1,
                         .max_patches = 1,
                         .n_channels = BANK,
                         .channel = bank };
  Twins twins;
  g_autofree float *together = NULL, *alone = NULL;
  twins_open (&twins, &size, MOST, 3);
  draw_tiles (&twins, 16);
  together = g_new (float, MOST *twins.area);
  alone = g_new (float, twins.area);
  for (int t = 0; t < MOST; t++)
    for (int i = 0; i < twins.area; i++)
      plane_of (&twins, t, NOTCH_PLANE_Z)[i] = (float) gaussian (twins.random);
  for (int n = MOST; n >= 1; n -= MOST - 1)
    for (int first = 0; first < MOST; first += n) {
      NotchBatch batch = batch_of (&twins, first, n);
      begin (&twins, 1, first, n);
      g_assert_cmpint (twins.k[1]->filter (twins.lane[1], &(NotchFilter){ &batch, BANK, bank, NULL }), ==, 0);
      for (int t = 0; t < n; t++)
        twins.k[1]->peek (twins.lane[1], t, NOTCH_PLANE_SCORE, n > 1 ? together + t * twins.area : alone);
      if (n == 1)
        g_assert_cmpmem (alone, sizeof (float) * (gsize) twins.area, together + first * twins.area,
                         sizeof (float) * (gsize) twins.area);
    }
  twins_close (&twins);
}

static void
test_power (void)
{
  NotchLaneSize size = { .batch = MOST,
                         .size = 96,
                         .halo = 16,
                         .max_blobs = 1,
                         .patch_side = 1,
                         .max_patches = 1,
                         .n_channels = 1,
                         .channel = bank };
  enum { BINS = 96 * 49 };
  static double sum[2][BINS];
  gint64 n[2] = { 7, 7 };
  Twins twins;
  twins_open (&twins, &size, 3, 2);
  draw_tiles (&twins, 16);
  for (int i = 0; i < BINS; i++)
    sum[0][i] = sum[1][i] = 3; /* it is added to */
  for (int t = 0; t < 3; t++)
    for (int i = 0; i < twins.area; i++)
      plane_of (&twins, t, NOTCH_PLANE_Z)[i] = (float) gaussian (twins.random);
  for (int t = 0; t < 3; t++) {
    NotchBatch one = batch_of (&twins, t, 1);
    begin (&twins, 0, t, 1);
    g_assert_cmpint (twins.k[0]->power (twins.lane[0], &(NotchPower){ &one, sum[0], &n[0] }), ==, 0);
  }
  NotchBatch all = batch_of (&twins, 0, 3);
  begin (&twins, 1, 0, 3);
  g_assert_cmpint (twins.k[1]->power (twins.lane[1], &(NotchPower){ &all, sum[1], &n[1] }), ==, 0);
  g_assert_cmpint (n[0], ==, 10);
  g_assert_cmpint (n[1], ==, 10);
  for (int i = 0; i < BINS; i++) /* amplitudes round a few times 2^-24 of the largest ones, 3 here */
    g_assert_cmpfloat_with_epsilon (sum[1][i], sum[0][i], 1e-5);
  twins_close (&twins);
}

/* ---- label and patch ----------------------------------------------------------------------------------------------- */

static float
scored (double response, int channel)
{
  int32_t bits = notch_score_pack ((float) response, channel);
  float score;
  memcpy (&score, &bits, sizeof score);
  return score;
}

enum { SPECKS, FULL, MAZE, SPIRAL, SKIRTS, CROWD, GRID, N_KINDS };

/* An arm of `gap` px between its turns, so that it is one component, or as many as it has pixels in a row. */
static void
draw_spiral (int size, int halo, int gap, float *score)
{
  int x0 = halo, y0 = halo, x1 = size - halo - 1, y1 = size - halo - 1, x = x0, y = y0, dx = 1, dy = 0;
  while (x0 <= x1 && y0 <= y1) {
    score[y * size + x] = 7;
    if (x + dx < x0 || x + dx > x1 || y + dy < y0 || y + dy > y1) {
      if (dx == 1)
        y0 += 1 + gap;
      else if (dy == 1)
        x1 -= 1 + gap;
      else if (dx == -1)
        y1 -= 1 + gap;
      else
        x0 += 1 + gap;
      int turned = dx;
      dx = -dy, dy = turned;
      if (x + dx < x0 || x + dx > x1 || y + dy < y0 || y + dy > y1)
        return;
    }
    x += dx, y += dy;
  }
}

/* Points, and what all filters see of them, a little more or less than is explained. */
static void
draw_skirts (GRand *random, int size, int halo, int n, bool any, float *score, float *fine)
{
  g_autofree int *x = g_new (int, n), *y = g_new (int, n), *channel = g_new (int, n);
  g_autofree float *peak = g_new (float, n);
  NotchTemplate template_[BANK];
  for (int c = 0; c < BANK; c++)
    template_[c] = notch_template_of (&bank[c]);
  for (int i = 0; i < n; i++) {
    x[i] = g_rand_int_range (random, halo, size - halo), y[i] = g_rand_int_range (random, halo, size - halo);
    channel[i] = any ? g_rand_int_range (random, 0, BANK) : 0;
    peak[i] = (float) g_rand_double_range (random, 15, 60);
  }
  for (int v = 0; v < size; v++)
    for (int u = 0; u < size; u++) {
      float most = 0;
      int of = 0;
      for (int c = 1; c < BANK; c++) {
        float sum = 0;
        for (int i = 0; i < n; i++)
          sum += peak[i]
                 * notch_template_skirt (&template_[c], &template_[channel[i]], (float) (u - x[i]), (float) (v - y[i]));
        if (sum > most)
          most = sum, of = c;
      }
      score[v * size + u] = scored (most * g_rand_double_range (random, 0.9, 1.5), of);
      fine[v * size + u] = (float) g_rand_double_range (random, -3.1, 3.1);
    }
  for (int i = 0; i < n; i++) {
    score[y[i] * size + x[i]] = scored (peak[i], channel[i]);
    for (int u = x[i] - 1; u <= x[i] + 1; u++)
      fine[y[i] * size + u] = 0.6f * peak[i];
  }
}

static void
draw_planes (Twins *twins, int t, int kind, int halo, int reach)
{
  GRand *random = twins->random;
  int size = twins->size, area = twins->area;
  float *score = plane_of (twins, t, NOTCH_PLANE_SCORE), *fine = plane_of (twins, t, NOTCH_PLANE_FINE);
  float *res = plane_of (twins, t, NOTCH_PLANE_RES), *ref = plane_of (twins, t, NOTCH_PLANE_REF);
  float *z = plane_of (twins, t, NOTCH_PLANE_Z), *test = plane_of (twins, t, NOTCH_PLANE_TEST);
  double seeds = g_rand_double_range (random, 0, 0.02), grown = g_rand_double_range (random, 0, 0.1);
  for (int i = 0; i < area; i++) {
    res[i] = (float) (10 * gaussian (random)), ref[i] = (float) g_rand_double_range (random, 0, 255);
    z[i] = (float) gaussian (random), test[i] = ref[i] + res[i];
    score[i] = kind == FULL ? scored (g_rand_int_range (random, 5, 9), i % 20)
               : kind == GRID && i % size % (reach + 3) == 0 && i / size % (reach + 3) == 0 ? 10
               : kind == SPECKS && g_rand_double (random) < seeds
                   ? scored (g_rand_double_range (random, 5, 30), g_rand_int_range (random, 0, BANK))
               : kind == MAZE && g_rand_double (random) < 0.002 ? 8
                                                                : 0;
    fine[i] = kind == SPECKS && g_rand_double (random) < grown      ? (float) g_rand_double_range (random, -9, 9)
              : kind == MAZE && g_rand_double (random) < 20 * grown ? -4.0f
                                                                    : (float) g_rand_double_range (random, -3.1, 3.1);
  }
  if (kind == SPIRAL)
    draw_spiral (size, halo, reach, score);
  if (kind == SKIRTS || kind == CROWD)
    draw_skirts (random, size, halo, kind == CROWD ? 60 : g_rand_int_range (random, 1, 8), t % 2, score, fine);
  for (int i = 0; i < 20 && t == 0; i++)
    res[g_rand_int_range (random, 0, area)] = NAN;
}

static void
check_same_blobs (const NotchTileFound *ours, const NotchTileFound *theirs)
{
  g_assert_cmpint (ours->swamped, ==, theirs->swamped);
  g_assert_cmpint (ours->n_inspected, ==, theirs->n_inspected);
  g_assert_cmpint (ours->n_lost, ==, theirs->n_lost);
  g_assert_cmpmem (ours->blob, sizeof (NotchBlob) * (gsize) ours->n_blobs, theirs->blob,
                   sizeof (NotchBlob) * (gsize) theirs->n_blobs);
  g_assert_cmpmem (ours->seam, sizeof (NotchSeam) * (gsize) ours->n_seams, theirs->seam,
                   sizeof (NotchSeam) * (gsize) theirs->n_seams);
  g_assert_cmpmem (ours->patch_blob, sizeof (gint32) * (gsize) ours->n_patches, theirs->patch_blob,
                   sizeof (gint32) * (gsize) theirs->n_patches);
  for (int i = 0; i < 2 * SIDE * SIDE * ours->n_patches; i++)
    g_assert_true (ours->patch[i] == theirs->patch[i] || (isnan (ours->patch[i]) && isnan (theirs->patch[i])));
}

/* The same planes have the same blobs, bit for bit, and so they have the second time. */
static void
check_label (Twins *twins, int reach)
{
  NotchTileFound ours[MOST], theirs;
  NotchBatch all = batch_of (twins, 0, twins->n_tiles);
  begin (twins, 1, 0, twins->n_tiles);
  for (int round = 0; round < 2; round++) {
    const NotchKernels *k = twins->k[1];
    g_assert_cmpint (k->label (twins->lane[1], &(NotchLabel){ &all, round ? 6 : 9, 3, reach }), ==, 0);
    g_assert_cmpint (k->patch (twins->lane[1], &(NotchPatch){ &all, SIDE, MOST_PATCHES }), ==, 0);
    g_assert_cmpint (k->finish (twins->lane[1], ours), ==, 0);
  }
  for (int t = 0; t < twins->n_tiles; t++) {
    const NotchKernels *k = twins->k[0];
    NotchBatch one = batch_of (twins, t, 1);
    begin (twins, 0, t, 1);
    g_assert_cmpint (k->label (twins->lane[0], &(NotchLabel){ &one, 6, 3, reach }), ==, 0);
    g_assert_cmpint (k->patch (twins->lane[0], &(NotchPatch){ &one, SIDE, MOST_PATCHES }), ==, 0);
    g_assert_cmpint (k->finish (twins->lane[0], &theirs), ==, 0);
    check_same_blobs (&ours[t], &theirs);
  }
}

static void
test_label (void)
{
  for (int round = 0; round < 3 * N_KINDS; round += few (1, 3)) {
    int kind = round % N_KINDS, reach = 1 + round % 4, halo = 8 + round % 3;
    NotchLaneSize size = { .batch = MOST,
                           .size = round % 2 ? 64 : 96,
                           .halo = halo,
                           .max_blobs = round % 5 ? 300 : 12, /* some are swamped */
                           .patch_side = SIDE,
                           .max_patches = MOST_PATCHES,
                           .n_channels = BANK,
                           .channel = bank };
    Twins twins;
    twins_open (&twins, &size, 1 + round % MOST, (guint32) round);
    draw_tiles (&twins, halo);
    for (int t = 0; t < twins.n_tiles; t++)
      draw_planes (&twins, t, kind, halo, reach);
    check_label (&twins, reach);
    twins_close (&twins);
  }
}

/* ---- shift ----------------------------------------------------------------------------------------------------------- */

/* A strip of waves, and noise, with a few pixels that are no numbers; the second one is the first one, moved. */
static NotchStripMem *
make_strip (const NotchKernels *k, NotchDevice *device, NotchSample sample, int side, double dx, double dy,
            guint32 seed)
{
  NotchFault fault = { 0 };
  g_autoptr (GRand) random = g_rand_new_with_seed (seed);
  static union {
    guint8 u8[200 * 200];
    guint16 u16[200 * 200];
    float f32[200 * 200];
  } pixel[2][2];
  static const void *row[2][2][200];
  int which = k != &notch_kernels_cpu, other = dx != 0; /* the CPU reads the rows when it is asked */
  for (int i = 0; i < side * side; i++) {
    double x = i % side - dx, y = i / side - dy;
    double value = floor (100 + 30 * sin (0.31 * x + 0.2 * y) + 25 * cos (0.17 * x - 0.41 * y) + 2 * gaussian (random));
    if (sample == NOTCH_SAMPLE_U8)
      pixel[which][other].u8[i] = (guint8) value;
    else if (sample == NOTCH_SAMPLE_U16)
      pixel[which][other].u16[i] = (guint16) value;
    else
      pixel[which][other].f32[i] = i % 997 == 3 ? NAN : (float) value;
  }
  gsize bytes = sample == NOTCH_SAMPLE_U8 ? 1 : sample == NOTCH_SAMPLE_U16 ? 2 : 4;
  for (int y = 0; y < side; y++)
    row[which][other][y] = (const char *) &pixel[which][other] + (gsize) (y * side) * bytes;
  NotchPixels pixels = { sample, side, side, 0, side, row[which][other], 0 };
  NotchStripMem *mem = k->strip_up (device, &pixels, &fault);
  g_assert_nonnull (mem);
  return mem;
}

static void
check_shift (int n, NotchSample sample, int n_pairs)
{
  NotchLaneSize size = {
    .batch = 1, .size = 32, .halo = 4, .shift_size = n, .max_blobs = 1, .patch_side = 1, .max_patches = 1
  };
  NotchPair pair[40];
  NotchShiftFound found[2][40];
  Twins twins;
  twins_open (&twins, &size, 0, (guint32) n);
  g_assert_cmpint (n_pairs, <=, (int) G_N_ELEMENTS (pair));
  for (int i = 0; i < n_pairs; i++)
    pair[i] = (NotchPair){ 20, 20, g_rand_int_range (twins.random, 18, 23), g_rand_int_range (twins.random, 18, 23), 0,
                           1,  6 };
  pair[0].ax = pair[0].bx = -5; /* beyond the edge */
  for (int i = 0; i < 2; i++) {
    NotchStripMem *a = make_strip (twins.k[i], twins.device[i], sample, n + 40, 0, 0, 1);
    NotchStripMem *b = make_strip (twins.k[i], twins.device[i], sample, n + 40, 0.37, -1.21, 2);
    NotchShift shift = { .mem = { a, b }, .n = n_pairs, .pair = pair, .noise = n % 3 ? 0 : 2, .found = found[i] };
    g_assert_cmpint (twins.k[i]->shift (twins.lane[i], &shift), ==, 0);
    twins.k[i]->strip_free (a);
    twins.k[i]->strip_free (b);
  }
  for (int i = 0; i < n_pairs; i++) {
    const NotchShiftFound *ours = &found[1][i], *theirs = &found[0][i];
    /* Sums over a patch have another order and single-precision terms on the CPU: 2^-24 of them, a few hundred times. */
    g_assert_cmpfloat_with_epsilon (ours->dx, theirs->dx, 2e-5);
    g_assert_cmpfloat_with_epsilon (ours->dy, theirs->dy, 2e-5);
    g_assert_cmpfloat_with_epsilon (ours->psr / theirs->psr, 1, 1e-4);
    g_assert_cmpfloat_with_epsilon (ours->ambiguity, theirs->ambiguity, 1e-4);
    g_assert_cmpfloat_with_epsilon (ours->crlb / theirs->crlb, 1, 1e-3);
  }
  twins_close (&twins);
}

static void
test_shift (void)
{
  check_shift (64, NOTCH_SAMPLE_F32, 40); /* more than go at once */
  check_shift (96, NOTCH_SAMPLE_U16, 17);
  check_shift (128, NOTCH_SAMPLE_U8, 3);
  check_shift (25, NOTCH_SAMPLE_U8, 1);
}

static const struct {
  const char *path;
  GTestFunc test;
} tests[] = { { "/parity/filter", test_filter },
              { "/parity/alone", test_alone },
              { "/parity/power", test_power },
              { "/parity/label", test_label },
              { "/parity/shift", test_shift } };

static void
compare (gconstpointer data)
{
  if (backend == &notch_kernels_cpu)
    g_test_skip ("it is the one that others are compared with");
  else
    tests[GPOINTER_TO_UINT (data)].test ();
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (tests); i++)
    backend_add (tests[i].path, (BackendTest){ .test = compare, .data = GUINT_TO_POINTER (i) });
  return g_test_run ();
}
