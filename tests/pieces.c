/* pieces.c - gather, refer, fit and normalise of a backend against the CPU's, on batches of tiles that are cut into pieces by
 * chance
 *
 * Pieces overlap, are masked, bend, have up to 16 sources of all samples and scales, and images with gaps and with pixels that
 * are no numbers. The CPU works tile by tile, the other backend on all tiles at once. */
#include <glib.h>
#include <math.h>
#include <string.h>

#include "tests/backend.h"

enum { MOST_TILES = 4, MOST_PIECES = 6, WIDTH = 480, HEIGHT = 350, FIRST_ROW = 7, HALO = 8 };

/* What a coefficient or a pixel of the two may be apart, of its size and grey levels: a card's sine, and so a tap, may be off
 * in its last bit, and regressions sum in another order. On the stand-in for CUDA there is no difference at all. */
#define NEAR 1e-4

/* Images in the memory of both, by NOTCH_MEM. */
typedef struct {
  float *pixel; /* of whatever sample */
  const void *row[HEIGHT];
  NotchPixels pixels;
  NotchStripMem *mem[2];
} Image;

typedef struct {
  const NotchKernels *k[2]; /* the CPU's, and the one under test */
  NotchDevice *device[2];
  GRand *random;
  Image image[NOTCH_MAX_MEM];
  int size, n_tiles;
  NotchTile tile[MOST_TILES];
  GArray *piece, *source;
  float *weight[MOST_TILES];
  NotchFit fit;
  gboolean follow; /* edges that wander */
  int apart;       /* pixels of all rounds that differ at all */
} Twins;

static gboolean
one_in (Twins *twins, int n)
{
  return g_rand_int_range (twins->random, 0, n) == 0;
}

static double
gaussian (GRand *random)
{
  double u = g_rand_double_range (random, 1e-12, 1), v = g_rand_double (random);
  return sqrt (-2 * log (u)) * cos (2 * G_PI * v);
}

/* A pattern with noise and specks, or a spread of a few grey levels. */
static double
level_at (Twins *twins, int mem, int x, int y)
{
  double speck = one_in (twins, 5000) ? 90 : 0;
  if (mem == NOTCH_MEM_SPREAD)
    return 3 + g_rand_double (twins->random);
  return 120 + 40 * sin (0.23 * x) * cos (0.31 * y) + 20 * sin (0.001 * x * y) + 2 * gaussian (twins->random) + speck;
}

static void
draw_image (Twins *twins, int mem)
{
  Image *image = &twins->image[mem];
  NotchSample sample = (NotchSample) g_rand_int_range (twins->random, 0, 3);
  gboolean gaps = one_in (twins, 3);
  NotchFault fault = { 0 };
  image->pixel = g_new (float, WIDTH *HEIGHT);
  for (int y = 0; y < HEIGHT; y++) {
    for (int x = 0; x < WIDTH; x++) {
      double value = level_at (twins, mem, x, y);
      int at = y * WIDTH + x;
      if (sample == NOTCH_SAMPLE_U8)
        ((guint8 *) image->pixel)[at] = (guint8) CLAMP (value, 0, 255);
      else if (sample == NOTCH_SAMPLE_U16)
        ((guint16 *) image->pixel)[at] = (guint16) CLAMP (20 * value, 0, 65535);
      else
        image->pixel[at] = !one_in (twins, 10000) ? (float) value : one_in (twins, 2) ? NAN : 3e38f;
    }
    int bytes = sample == NOTCH_SAMPLE_U8 ? 1 : sample == NOTCH_SAMPLE_U16 ? 2 : 4;
    image->row[y] = gaps && y % 37 < 9 ? NULL : (const guint8 *) image->pixel + (gsize) y * WIDTH * (gsize) bytes;
  }
  image->pixels = (NotchPixels){ sample, WIDTH, HEIGHT + 20, FIRST_ROW, HEIGHT, image->row, 0 };
  for (int i = 0; i < 2; i++) {
    image->mem[i] = twins->k[i]->strip_up (twins->device[i], &image->pixels, &fault);
    g_assert_cmpstr (fault.text, ==, "");
  }
}

static void
add_sources (Twins *twins, NotchPiece *piece)
{
  GRand *random = twins->random;
  gboolean bent = one_in (twins, 5), coarse = one_in (twins, 6);
  piece->n_sources = one_in (twins, 8) ? 0 : g_rand_int_range (random, 1, NOTCH_MAX_SOURCES + 1);
  piece->n_spreads = piece->n_sources > 0 && one_in (twins, 5);
  piece->first_source = (int) twins->source->len;
  for (int j = 0; j < piece->n_sources + piece->n_spreads; j++) {
    NotchSourceShift shift = { .dx = g_rand_int_range (random, -60, 60), .dy = g_rand_int_range (random, -60, 60) };
    shift.zoom = 1;
    shift.mem = j == piece->n_sources ? NOTCH_MEM_SPREAD : one_in (twins, 6) ? NOTCH_MEM_REFERENCE : NOTCH_MEM_IMAGE;
    if (!one_in (twins, 5)) /* whole shifts take another way */
      shift.dx += g_rand_double (random), shift.dy += g_rand_double (random);
    if (coarse && j < piece->n_sources && one_in (twins, 2))
      shift.zoom = one_in (twins, 2) ? 1.0 / 3 : 1.0 / 32, shift.mem = NOTCH_MEM_MESH;
    double slope = !bent ? 0 : one_in (twins, 2) ? 0.02 : 0.002;
    shift.xx = slope * gaussian (random), shift.xy = slope * gaussian (random);
    shift.yx = slope * gaussian (random), shift.yy = slope * gaussian (random);
    g_array_append_val (twins->source, shift);
  }
}

/* Pieces of a tile: one, columns, quarters of different size, or rectangles anywhere. */
static void
draw_pieces (Twins *twins, NotchTile *tile)
{
  GRand *random = twins->random;
  int size = twins->size, kind = g_rand_int_range (random, 0, 4), half = size / 2 - 7;
  int n = kind == 0 ? 1 : kind == 1 ? g_rand_int_range (random, 2, 4) : kind == 2 ? 4 : MOST_PIECES;
  tile->first_piece = (int) twins->piece->len;
  tile->n_pieces = n;
  for (int p = 0; p < n; p++) {
    NotchPiece piece = { 0, 0, size, size, 0, 0, 0 };
    if (kind == 1)
      piece.x = p * (size / n), piece.w = p == n - 1 ? size - piece.x : size / n;
    if (kind == 2) {
      piece.x = p % 2 * half, piece.w = p % 2 ? size - half : half;
      piece.y = p / 2 * half, piece.h = p / 2 ? size - half : half;
    }
    if (kind == 3) {
      piece.x = g_rand_int_range (random, 0, size - 12), piece.y = g_rand_int_range (random, 0, size - 12);
      piece.w = g_rand_int_range (random, 12, size - piece.x + 1);
      piece.h = g_rand_int_range (random, 12, size - piece.y + 1);
    }
    add_sources (twins, &piece);
    g_array_append_val (twins->piece, piece);
  }
}

static void
draw_tiles (Twins *twins)
{
  GRand *random = twins->random;
  int size = twins->size, core = size - 2 * HALO;
  for (int t = 0; t < twins->n_tiles; t++) {
    int edge = one_in (twins, 3) ? 20 : 0, x = g_rand_int_range (random, -50, WIDTH - 50);
    int y = g_rand_int_range (random, -50, HEIGHT - 50);
    twins->tile[t] =
        (NotchTile){ x, y, HALO, HALO, core, core, edge, edge / 4, size - edge, size - 2 * edge, 0, 0, NULL };
    draw_pieces (twins, &twins->tile[t]);
    if (!one_in (twins, 4))
      continue;
    twins->weight[t] = g_new (float, size *size);
    for (int i = 0; i < size * size; i++)
      twins->weight[t][i] = one_in (twins, 10) ? 0 : (float) g_rand_double (random);
    twins->tile[t].weight = twins->weight[t];
  }
}

static NotchBatch
batch_of (const Twins *twins, int which, int first, int n)
{
  NotchBatch batch = { n,
                       &twins->tile[first],
                       (const NotchPiece *) twins->piece->data,
                       (const NotchSourceShift *) twins->source->data,
                       { NULL } };
  for (int i = 0; i < NOTCH_MAX_MEM; i++)
    batch.mem[i] = twins->image[i].mem[which];
  return batch;
}

static void
compute (Twins *twins, int which, NotchLane *lane, int first, int n, NotchTileFound *found)
{
  static const NotchNoise noise = { 4, 0.01f, 0.02f, 0.01f, 1e-4f };
  const NotchKernels *k = twins->k[which];
  NotchBatch batch = batch_of (twins, which, first, n);
  NotchFit fit = twins->fit;
  fit.batch = &batch;
  g_assert_cmpint (k->gather (lane, &(NotchGather){ &batch }), ==, 0);
  g_assert_cmpint (k->refer (lane, &(NotchRefer){ &batch }), ==, 0);
  g_assert_cmpint (k->fit (lane, &fit), ==, 0);
  if (twins->follow)
    g_assert_cmpint (k->follow (lane, &(NotchFollow){ &batch, noise }), ==, 0);
  g_assert_cmpint (k->normalise (lane, &(NotchNormalise){ &batch, noise, 0.6f }), ==, 0);
  g_assert_cmpint (k->finish (lane, found), ==, 0);
}

static void
check_tile (Twins *twins, NotchLane *const lane[2], int t, const NotchTileFound *theirs, const NotchTileFound *ours)
{
  static const NotchPlane plane[] = { NOTCH_PLANE_TEST, NOTCH_PLANE_REF, NOTCH_PLANE_RES, NOTCH_PLANE_Z };
  gsize area = (gsize) twins->size * (gsize) twins->size;
  g_autofree float *a = g_new (float, area), *b = g_new (float, area);
  for (int p = 0; p < twins->tile[t].n_pieces; p++)
    for (int j = 0; j < NOTCH_FIT_MAX; j++) {
      double should = theirs->fit[p][j];
      g_assert_cmpfloat_with_epsilon (ours->fit[p][j], should, NEAR * (1 + fabs (should)));
    }
  for (gsize i = 0; i < G_N_ELEMENTS (plane); i++) {
    g_assert_cmpint (twins->k[0]->peek (lane[0], 0, plane[i], a), ==, 0);
    g_assert_cmpint (twins->k[1]->peek (lane[1], t, plane[i], b), ==, 0);
    for (gsize at = 0; at < area; at++) {
      if (isnan (a[at]) && isnan (b[at]))
        continue;
      twins->apart += a[at] != b[at];
      if (!(fabsf (a[at] - b[at]) <= NEAR * (1 + fabsf (a[at]))))
        g_error ("tile %d, plane %d at %d, %d: %.9g is not %.9g", t, plane[i], (int) at % twins->size,
                 (int) at / twins->size, (double) b[at], (double) a[at]);
    }
  }
}

static void
do_round (Twins *twins, guint32 seed)
{
  static const int size[] = { 60, 96, 128, 200 };
  g_rand_set_seed (twins->random, seed);
  twins->size = size[seed % G_N_ELEMENTS (size)];
  twins->n_tiles = g_rand_int_range (twins->random, 1, MOST_TILES + 1);
  twins->piece = g_array_new (FALSE, FALSE, sizeof (NotchPiece));
  twins->source = g_array_new (FALSE, FALSE, sizeof (NotchSourceShift));
  for (int mem = 0; mem < NOTCH_MAX_MEM; mem++)
    draw_image (twins, mem);
  draw_tiles (twins);
  twins->fit = (NotchFit){ .terms = one_in (twins, 6) ? NOTCH_FIT_NOTHING : g_rand_int_range (twins->random, 0, 16),
                           .gain = 1.02f,
                           .wander = one_in (twins, 3) ? g_rand_int_range (twins->random, 1, 4) : 0,
                           .least = one_in (twins, 2) ? 3 : 0,
                           .samples = one_in (twins, 3) ? g_rand_int_range (twins->random, 1, 4000) : 0 };
  twins->follow = one_in (twins, 2);
  NotchLaneSize is = { .size = twins->size, .halo = HALO, .max_blobs = 8, .patch_side = 8, .max_patches = 1 };
  NotchLane *lane[2];
  NotchTileFound theirs, ours[MOST_TILES];
  NotchFault fault = { 0 };
  for (int i = 0; i < 2; i++) {
    is.batch = i ? MOST_TILES : 1;
    lane[i] = twins->k[i]->lane_new (twins->device[i], &is, &fault);
    g_assert_cmpstr (fault.text, ==, "");
  }
  compute (twins, 1, lane[1], 0, twins->n_tiles, ours);
  for (int t = 0; t < twins->n_tiles; t++) {
    compute (twins, 0, lane[0], t, 1, &theirs);
    check_tile (twins, lane, t, &theirs, &ours[t]);
  }
  for (int i = 0; i < 2; i++)
    twins->k[i]->lane_free (lane[i]);
  for (int mem = 0; mem < NOTCH_MAX_MEM; mem++) {
    for (int i = 0; i < 2; i++)
      twins->k[i]->strip_free (twins->image[mem].mem[i]);
    g_free (twins->image[mem].pixel);
  }
  for (int t = 0; t < MOST_TILES; t++)
    g_clear_pointer (&twins->weight[t], g_free);
  g_array_unref (twins->piece);
  g_array_unref (twins->source);
}

static void
test_pieces (void)
{
  if (backend == &notch_kernels_cpu) {
    g_test_skip ("it is the one that others are compared with");
    return;
  }
  NotchFault fault = { 0 };
  Twins twins = { .k = { &notch_kernels_cpu, backend }, .random = g_rand_new () };
  for (int i = 0; i < 2; i++) {
    twins.device[i] = twins.k[i]->open (0, &fault);
    g_assert_cmpstr (fault.text, ==, "");
  }
  const guint32 rounds =
      g_getenv ("BACKEND") ? 3 : 12; /* a backend alone: its threads have another order, tiles are as ever */
  for (guint32 seed = 1; seed <= rounds; seed++)
    do_round (&twins, seed);
  g_test_message ("%d pixels differ at all", twins.apart);
  for (int i = 0; i < 2; i++)
    twins.k[i]->close (twins.device[i]);
  g_rand_free (twins.random);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  backend_add ("/pieces", (BackendTest){ .plain = test_pieces });
  return g_test_run ();
}
