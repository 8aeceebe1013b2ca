/* stages-label.c - blobs of what filters answer, and patches of them */
#include "tests/stages.h"

#include "kernels/math/score.h"
#include "kernels/math/template.h"

static void
test_label (void)
{
  Bench bench;
  NotchLaneSize size = tile_size;
  size.n_channels = 1, size.channel = bank;
  bench_open (&bench, &size, 200, 200);
  bench_place (&bench, 0, 0, (NotchSourceShift){ .zoom = 1 });
  static float score[AREA], fine[AREA], flat[AREA];
  for (int i = 0; i < AREA; i++)
    flat[i] = 10;
  for (int y = 30; y < 34; y++) /* a seed and its grown rim, inside */
    for (int x = 40; x < 47; x++)
      fine[y * SIZE + x] = 4;
  score[31 * SIZE + 42] = 9;
  score[60 * SIZE + 70] = 7; /* two seeds two pixels apart: one blob at reach 2 */
  score[60 * SIZE + 72] = 8;
  fine[50 * SIZE + 50] = 5;   /* no seed, inside: dropped */
  fine[40 * SIZE + HALO] = 5; /* no seed, at the seam: kept for the neighbour to claim */
  score[5 * SIZE + 5] = 20;   /* in the halo: the neighbour's */
  bench.k->gather (bench.lane, &(NotchGather){ &bench.batch });
  bench.k->poke (bench.lane, 0, NOTCH_PLANE_REF, flat);
  bench.k->poke (bench.lane, 0, NOTCH_PLANE_SCORE, score);
  bench.k->poke (bench.lane, 0, NOTCH_PLANE_FINE, fine);
  bench.k->poke (bench.lane, 0, NOTCH_PLANE_RES, fine);
  g_assert_cmpint (bench.k->label (bench.lane, &(NotchLabel){ &bench.batch, 6, 3, 2 }), ==, 0);
  g_assert_cmpint (bench.k->patch (bench.lane, &(NotchPatch){ &bench.batch, 8, 8 }), ==, 0);
  NotchTileFound found;
  bench.k->finish (bench.lane, &found);
  g_assert_cmpint (found.n_blobs, ==, 3);
  g_assert_false (found.swamped);
  const NotchBlob *big = &found.blob[0], *seam = &found.blob[1], *pair = &found.blob[2];
  g_assert_cmpint (big->n, ==, 28);
  g_assert_cmpint (big->n_seed, ==, 1);
  g_assert_cmpint (big->peak, ==, 9 * 256);
  g_assert_cmpint (big->x0, ==, 40);
  g_assert_cmpint (big->y1, ==, 33);
  g_assert_cmpint (big->res, ==, 28 * 4 * 256);
  g_assert_cmpint (big->ref, ==, 28 * 10 * 256);
  g_assert_cmpint (seam->n, ==, 1);
  g_assert_cmpint (seam->n_seed, ==, 0);
  g_assert_cmpint (pair->n, ==, 2);
  g_assert_cmpint (pair->peak_x, ==, 72);
  g_assert_cmpint (found.n_seams, ==, 1);
  g_assert_cmpint (found.seam[0].blob, ==, 1);
  g_assert_cmpint (found.n_inspected, ==, (SIZE - 2 * HALO) * (SIZE - 2 * HALO));
  g_assert_cmpint (found.n_patches, ==, 2); /* strongest first; nothing without a seed */
  g_assert_cmpint (found.patch_blob[0], ==, 0);
  g_assert_cmpint (found.patch_blob[1], ==, 2);
  g_assert_cmpfloat (found.patch[8 * 8], ==, 10); /* the reference follows the test */

  /* Where the image ends a crop has no pixels, where the pieces end it has no reference. */
  bench.tile.inside_x = 40, bench.tile.inside_w = SIZE - 40;
  bench.piece.h = 33;
  bench.k->gather (bench.lane, &(NotchGather){ &bench.batch });
  g_assert_cmpint (bench.k->label (bench.lane, &(NotchLabel){ &bench.batch, 6, 3, 2 }), ==, 0);
  g_assert_cmpint (bench.k->patch (bench.lane, &(NotchPatch){ &bench.batch, 8, 8 }), ==, 0);
  bench.k->finish (bench.lane, &found);
  g_assert_cmpint (found.n_patches, >=, 1);
  const float *crop = found.patch;
  int n_test = 0, n_reference = 0;
  for (int i = 0; i < 64; i++)
    n_test += isfinite (crop[i]), n_reference += isfinite (crop[64 + i]);
  g_assert_cmpint (n_test, >, 0);
  g_assert_cmpint (n_test % 8, ==, 0);
  g_assert_cmpint (n_test, <, 64);
  g_assert_cmpint (n_reference, >, 0);
  g_assert_cmpint (n_reference, <, n_test);
  bench_close (&bench);
}

/* A score with the filter that gave it. */
static float
scored (float response, int32_t channel)
{
  int32_t bits = notch_score_pack (response, channel);
  float score;
  memcpy (&score, &bits, sizeof score);
  return score;
}

/* Two strong points that a wide filter sees as one are two; what the wide filter alone sees beyond the seam is tied to the
 * point that it comes from. */
static void
test_label_skirts (void)
{
  Bench bench;
  NotchLaneSize size = tile_size;
  size.n_channels = G_N_ELEMENTS (bank), size.channel = bank;
  bench_open (&bench, &size, 200, 200);
  bench_place (&bench, 0, 0, (NotchSourceShift){ .zoom = 1 });
  static float score[AREA], fine[AREA];
  const int wide = 3, y = 60, left = HALO + 5, right = HALO + 26;
  const NotchTemplate own = notch_template_of (&bank[wide]), of = notch_template_of (&bank[0]);
  int n_seams = 0;
  for (int v = HALO; v < SIZE - HALO; v++)
    for (int x = HALO; x < SIZE - HALO; x++) {
      float seen = 30 * notch_template_skirt (&own, &of, (float) (x - left), (float) (v - y))
                   + 25 * notch_template_skirt (&own, &of, (float) (x - right), (float) (v - y));
      score[v * SIZE + x] = seen > 6 ? scored (seen, wide) : 0;
      n_seams += seen > 6 && x < HALO + 2;
    }
  g_assert_cmpint (n_seams, >, 10); /* the skirt comes near the seam */
  score[y * SIZE + left] = scored (30, 0);
  score[y * SIZE + right] = scored (25, 0);
  fine[y * SIZE + left] = 30, fine[y * SIZE + right] = 25;
  bench.k->gather (bench.lane, &(NotchGather){ &bench.batch });
  bench.k->poke (bench.lane, 0, NOTCH_PLANE_SCORE, score);
  bench.k->poke (bench.lane, 0, NOTCH_PLANE_FINE, fine);
  g_assert_cmpint (bench.k->label (bench.lane, &(NotchLabel){ &bench.batch, 6, 3, 2 }), ==, 0);
  NotchTileFound found;
  bench.k->finish (bench.lane, &found);
  g_assert_cmpint (found.n_blobs, ==, 2);
  g_assert_cmpint (found.blob[0].peak_x, ==, left);
  g_assert_cmpint (found.blob[1].peak_x, ==, right);
  for (int b = 0; b < 2; b++)
    g_assert_cmpint (found.blob[b].n, ==, 1);
  g_assert_cmpint (found.n_seams, ==, n_seams);
  for (int i = 0; i < found.n_seams; i++)
    g_assert_cmpint (found.seam[i].blob, ==, 0);
  bench_close (&bench);
}

/* The middle of a Gaussian defect at a place between pixels, seen by a filter that need not fit it; a tile's edge may cut
 * the window, but a blob that a line was seen at, or that is of the other sign around its peak, keeps the peak's pixel. */
static void
test_label_place (void)
{
  static const struct {
    double x, y, sigma, height;
    int channel;
    gboolean placed;
  } spot[] = {
    { 40.3, 30.45, 0.9, 9, 0, TRUE }, { 40.3, 30.45, 1.5, -9, 1, TRUE }, { 51.5, 49.7, 1.3, 20, 2, TRUE },
    { 45.2, 60.6, 3.0, 8, 2, TRUE },  { 45.2, 60.6, 5.5, -5, 3, TRUE },  { 41.2, 60.6, 1.3, 8, 4, FALSE },
  };
  Bench bench;
  NotchLaneSize size = tile_size;
  size.n_channels = G_N_ELEMENTS (bank), size.channel = bank;
  bench_open (&bench, &size, 200, 200);
  bench_place (&bench, 0, 0, (NotchSourceShift){ .zoom = 1 });
  for (gsize k = 0; k < 2 * G_N_ELEMENTS (spot); k++) {
    const int s = (int) k / 2, x = (int) spot[s].x, y = (int) spot[s].y; /* the peak is a pixel beside the middle */
    const gboolean other_sign = k % 2;
    static float z[AREA], score[AREA], zero[AREA];
    for (int i = 0; i < AREA; i++) {
      double dx = i % SIZE - spot[s].x, dy = i / SIZE - spot[s].y; /* NOLINT(bugprone-integer-division): a row */
      z[i] = (float) (spot[s].height * exp (-(dx * dx + dy * dy) / (2 * spot[s].sigma * spot[s].sigma)));
      score[i] = 0;
    }
    score[y * SIZE + x] = scored ((spot[s].height > 0) == other_sign ? -9 : 9, spot[s].channel);
    bench.k->gather (bench.lane, &(NotchGather){ &bench.batch });
    bench.k->poke (bench.lane, 0, NOTCH_PLANE_SCORE, score);
    bench.k->poke (bench.lane, 0, NOTCH_PLANE_FINE, zero);
    bench.k->poke (bench.lane, 0, NOTCH_PLANE_Z, z);
    g_assert_cmpint (bench.k->label (bench.lane, &(NotchLabel){ &bench.batch, 6, 3, 2 }), ==, 0);
    NotchTileFound found;
    bench.k->finish (bench.lane, &found);
    g_assert_cmpint (found.n_blobs, ==, 1);
    const NotchBlob *blob = &found.blob[0];
    if (spot[s].placed && !other_sign) {
      g_assert_cmpfloat_with_epsilon (blob->peak_x + blob->peak_dx / 256.0, spot[s].x, 0.02);
      g_assert_cmpfloat_with_epsilon (blob->peak_y + blob->peak_dy / 256.0, spot[s].y, 0.02);
    } else
      g_assert_true (blob->peak_dx == 0 && blob->peak_dy == 0);
  }
  bench_close (&bench);
}

/* A response on every fourth pixel stands for those two pixels away, too, and is no less of a skirt there. */
static void
test_label_coarse (void)
{
  NotchChannel channel = { NOTCH_CHANNEL_BLOB, 8.4f, 0, 0, 1, 1 };
  const NotchTemplate of = notch_template_of (&bank[1]), plain = notch_template_of (&channel);
  channel.decimate = 4;
  const NotchTemplate coarse = notch_template_of (&channel);
  const float seen = notch_template_skirt (&plain, &of, 5, 0);
  g_assert_cmpfloat (seen, >, 0);
  g_assert_cmpfloat (notch_template_skirt (&coarse, &of, 7, -2), ==, seen);
  g_assert_cmpfloat (notch_template_skirt (&coarse, &of, -7, 1), ==, seen);
  g_assert_cmpfloat (notch_template_skirt (&coarse, &of, 8, 0), <, seen);
}

static void
test_label_swamped (void)
{
  Bench bench;
  NotchLaneSize size = tile_size;
  size.max_blobs = 4;
  size.n_channels = 1, size.channel = bank;
  bench_open (&bench, &size, 200, 200);
  bench_place (&bench, 0, 0, (NotchSourceShift){ .zoom = 1 });
  static float score[AREA], zero[AREA];
  int n = 0;
  for (int y = HALO; y < SIZE - HALO; y += 4)
    for (int x = HALO; x < SIZE - HALO; x += 4, n++)
      score[y * SIZE + x] = 10;
  bench.k->gather (bench.lane, &(NotchGather){ &bench.batch });
  bench.k->poke (bench.lane, 0, NOTCH_PLANE_SCORE, score);
  bench.k->poke (bench.lane, 0, NOTCH_PLANE_FINE, zero);
  g_assert_cmpint (bench.k->label (bench.lane, &(NotchLabel){ &bench.batch, 6, 3, 1 }), ==, 0);
  NotchTileFound found;
  bench.k->finish (bench.lane, &found);
  g_assert_true (found.swamped);
  g_assert_cmpint (found.n_blobs, ==, 1);
  g_assert_cmpint (found.blob[0].n, ==, n); /* nothing is lost */
  bench_close (&bench);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  backend_add ("/stages/label", (BackendTest){ .plain = test_label });
  backend_add ("/stages/label/skirts", (BackendTest){ .plain = test_label_skirts });
  backend_add ("/stages/label/place", (BackendTest){ .plain = test_label_place });
  backend_add ("/stages/label/coarse", (BackendTest){ .plain = test_label_coarse });
  backend_add ("/stages/label/swamped", (BackendTest){ .plain = test_label_swamped });
  return g_test_run ();
}
