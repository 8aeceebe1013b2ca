/* join.c - blobs of tiles against a labelling of the whole image at once */
#include "inspect/detect/join.h"

#include "kernels/math/blob.h"

#include <string.h>

#define SIDE 2 /* px of a test patch: its first number tells whose it is */

/* A small image, pixel (0, 0) of which is at (x, y) of a large one. */
typedef struct {
  int width, height;
  gint64 x, y;
  gboolean *mask;
  int *score, *fine, *res, *ref, *edge, *z; /* 1/256 */
} Image;

/* What such a pixel counts for: its square, rounded to 1/256. */
static gint64
weight_of (int fine)
{
  return notch_blob_weight ((float) fine / 256);
}

static Image *
image_new (GRand *rand, int width, int height, gint64 x, gint64 y, double density)
{
  const int n = width * height;
  Image *image = g_new0 (Image, 1);
  *image = (Image){ width,
                    height,
                    x,
                    y,
                    g_new0 (gboolean, n),
                    g_new0 (int, n),
                    g_new0 (int, n),
                    g_new0 (int, n),
                    g_new0 (int, n),
                    g_new0 (int, n),
                    g_new0 (int, n) };
  for (int i = 0; i < n; i++) {
    image->mask[i] = g_rand_double (rand) < density;
    image->score[i] = g_rand_int_range (rand, 0, 20); /* many ties */
    image->fine[i] = g_rand_int_range (rand, 0, 3000);
    image->res[i] = g_rand_int_range (rand, -5000, 5000);
    image->ref[i] = g_rand_int_range (rand, 0, 65536);
    image->edge[i] = g_rand_int_range (rand, 0, 9999);
    image->z[i] = g_rand_int_range (rand, 0, 99999);
  }
  return image;
}

static void
image_free (Image *image)
{
  g_free (image->mask);
  g_free (image->score);
  g_free (image->fine);
  g_free (image->res);
  g_free (image->ref);
  g_free (image->edge);
  g_free (image->z);
  g_free (image);
}

/* Labels a rectangle by flooding, the slow and obvious way; 0 is no blob. */
static int
flood (const Image *image, int x0, int y0, int width, int height, int reach, int *label)
{
  int n = 0;
  g_autoptr (GArray) stack = g_array_new (FALSE, FALSE, sizeof (int));

  memset (label, 0, sizeof (int) * image->width * image->height);
  for (int start = 0; start < image->width * image->height; start++) {
    const int sx = start % image->width, sy = start / image->width;
    if (sx < x0 || sx >= x0 + width || sy < y0 || sy >= y0 + height || !image->mask[start] || label[start] != 0)
      continue;
    label[start] = ++n;
    g_array_append_val (stack, start);
    while (stack->len > 0) {
      const int at = g_array_index (stack, int, stack->len - 1);
      g_array_set_size (stack, stack->len - 1);
      for (int y = at / image->width - reach; y <= at / image->width + reach; y++)
        for (int x = at % image->width - reach; x <= at % image->width + reach; x++) {
          const int to = y * image->width + x;
          if (x < x0 || x >= x0 + width || y < y0 || y >= y0 + height || !image->mask[to] || label[to] != 0)
            continue;
          label[to] = n;
          g_array_append_val (stack, to);
        }
    }
  }
  return n;
}

static const int feret_cos[NOTCH_FERET_DIRECTIONS] = NOTCH_FERET_COS;
static const int feret_sin[NOTCH_FERET_DIRECTIONS] = NOTCH_FERET_SIN;

#define SEED 15

/* Pixel i joins a blob whose coordinates are relative to (x, y) of the image. */
static void
blob_add (NotchBlob *blob, const Image *image, int i, int origin_x, int origin_y)
{
  const int x = i % image->width - origin_x, y = i / image->width - origin_y;
  const gboolean first = blob->n == 0;

  blob->n++;
  blob->n_seed += image->score[i] >= SEED;
  blob->x += x;
  blob->y += y;
  blob->xx += x * x;
  blob->yy += y * y;
  blob->xy += x * y;
  blob->w += weight_of (image->fine[i]);
  blob->wx += weight_of (image->fine[i]) * x;
  blob->wy += weight_of (image->fine[i]) * y;
  blob->res += image->res[i];
  blob->res_abs += ABS (image->res[i]);
  blob->ref += image->ref[i];
  blob->ref_edge += image->edge[i];
  blob->z += image->z[i];
  blob->x0 = first ? x : MIN (blob->x0, x);
  blob->y0 = first ? y : MIN (blob->y0, y);
  blob->x1 = first ? x : MAX (blob->x1, x);
  blob->y1 = first ? y : MAX (blob->y1, y);
  for (int k = 0; k < NOTCH_FERET_DIRECTIONS; k++) {
    const int f = x * feret_cos[k] + y * feret_sin[k];
    blob->feret[k] = first ? f : MAX (blob->feret[k], f);
  }
  if (first || image->score[i] > blob->peak) { /* pixels come row by row, so the first of equals stays */
    blob->peak = image->score[i];
    blob->peak_x = x;
    blob->peak_y = y;
    blob->peak_channel = image->fine[i] % 7;
    blob->peak_dark = image->fine[i] % 2;
    blob->peak_dx = (int) (image->fine[i] % 14), blob->peak_dy = (int) (image->fine[i] % 7);
  }
}

/* What the sums must be, pixel by pixel in wide numbers at the pixels' own places. */
static void
joined_add (NotchJoined *joined, const Image *image, int i)
{
  const gint64 x = image->x + i % image->width, y = image->y + i / image->width;
  const gboolean first = joined->n == 0;

  joined->n++;
  joined->n_seed += image->score[i] >= SEED;
  joined->x += x;
  joined->y += y;
  joined->xx += (NotchWide) x * x;
  joined->yy += (NotchWide) y * y;
  joined->xy += (NotchWide) x * y;
  joined->w += weight_of (image->fine[i]);
  joined->wx += (NotchWide) x * weight_of (image->fine[i]);
  joined->wy += (NotchWide) y * weight_of (image->fine[i]);
  joined->res += image->res[i];
  joined->res_abs += ABS (image->res[i]);
  joined->ref += image->ref[i];
  joined->ref_edge += image->edge[i];
  joined->z += image->z[i];
  joined->x0 = first ? x : MIN (joined->x0, x);
  joined->y0 = first ? y : MIN (joined->y0, y);
  joined->x1 = first ? x : MAX (joined->x1, x);
  joined->y1 = first ? y : MAX (joined->y1, y);
  for (int k = 0; k < NOTCH_FERET_DIRECTIONS; k++) {
    const gint64 f = x * feret_cos[k] + y * feret_sin[k];
    joined->feret[k] = first ? f : MAX (joined->feret[k], f);
  }
  if (first || image->score[i] > joined->peak) {
    joined->peak = image->score[i];
    joined->peak_x = x;
    joined->peak_y = y;
    joined->peak_channel = image->fine[i] % 7;
    joined->peak_dark = image->fine[i] % 2;
    joined->peak_dx = (int) (image->fine[i] % 14), joined->peak_dy = (int) (image->fine[i] % 7);
  }
}

static float
patch_mark (gint64 x, gint64 y)
{
  return (float) (x % 997 * 1000 + y % 997);
}

/* One tile labelled by itself. */
typedef struct {
  int row;
  NotchTile tile;
  NotchTileFound found;
  NotchBlob *blob;
  GArray *seam;
  int32_t *patch_blob;
  float *patch;
  int *label; /* of the whole image, 1 + index into blob */
} Part;

static void
part_clear (Part *part)
{
  g_free (part->blob);
  g_array_unref (part->seam);
  g_free (part->patch_blob);
  g_free (part->patch);
  g_free (part->label);
}

static Part
part_make (const Image *image, int row, int x0, int y0, int width, int height, int reach, int halo, int per_tile)
{
  Part part = { .row = row, .seam = g_array_new (FALSE, FALSE, sizeof (NotchSeam)) };
  const int origin_x = x0 - halo, origin_y = y0 - halo;

  part.label = g_new (int, image->width * image->height);
  const int n = flood (image, x0, y0, width, height, reach, part.label);
  part.blob = g_new0 (NotchBlob, n + 1);
  for (int i = 0; i < image->width * image->height; i++) {
    const int x = i % image->width, y = i / image->width;
    if (part.label[i] == 0)
      continue;
    blob_add (&part.blob[part.label[i] - 1], image, i, origin_x, origin_y);
    if (x - x0 < reach || y - y0 < reach || x0 + width - x <= reach || y0 + height - y <= reach) {
      const NotchSeam seam = { x - origin_x, y - origin_y, part.label[i] - 1 };
      g_array_append_val (part.seam, seam);
    }
  }
  /* patches for the first blobs that have a seed */
  int n_patches = 0;
  part.patch_blob = g_new0 (int32_t, per_tile + 1);
  part.patch = g_new0 (float, (per_tile + 1) * 2 * SIDE * SIDE);
  for (int b = 0; b < n && n_patches < per_tile; b++)
    if (part.blob[b].n_seed > 0) {
      part.patch_blob[n_patches] = b;
      part.patch[n_patches * 2 * SIDE * SIDE] =
          patch_mark (part.blob[b].peak_x + origin_x + image->x, part.blob[b].peak_y + origin_y + image->y);
      n_patches++;
    }
  part.tile = (NotchTile){ .x = image->x + origin_x,
                           .y = image->y + origin_y,
                           .core_x = halo,
                           .core_y = halo,
                           .core_w = width,
                           .core_h = height };
  part.found = (NotchTileFound){ .n_blobs = n,
                                 .n_seams = part.seam->len,
                                 .n_patches = n_patches,
                                 .blob = part.blob,
                                 .seam = (const NotchSeam *) part.seam->data,
                                 .patch_blob = part.patch_blob,
                                 .patch = part.patch };
  return part;
}

/* Cuts `length` at random places; returns the number of pieces, their ends in `end`. */
static int
cut (GRand *rand, int length, int most, int *end)
{
  int n = 0;
  for (int at = 0; at < length; n++) {
    at += g_rand_int_range (rand, 1, most + 1); /* not inside MIN: it would draw twice */
    end[n] = at = MIN (length, at);
  }
  return n;
}

static int
compare_by_place (gconstpointer a, gconstpointer b)
{
  const NotchJoined *p = a, *q = b;
  if (p->y0 != q->y0)
    return p->y0 < q->y0 ? -1 : 1;
  if (p->x0 != q->x0)
    return p->x0 < q->x0 ? -1 : 1;
  if (p->peak != q->peak)
    return p->peak > q->peak ? -1 : 1;
  if (p->peak_y != q->peak_y)
    return p->peak_y < q->peak_y ? -1 : 1;
  return p->peak_x < q->peak_x ? -1 : p->peak_x > q->peak_x;
}

static int
compare_by_patch (gconstpointer a, gconstpointer b)
{
  const NotchJoined *p = *(NotchJoined *const *) a, *q = *(NotchJoined *const *) b;
  if (p->patch_peak != q->patch_peak)
    return p->patch_peak > q->patch_peak ? -1 : 1;
  if (p->patch_y != q->patch_y)
    return p->patch_y < q->patch_y ? -1 : 1;
  return p->patch_x < q->patch_x ? -1 : p->patch_x > q->patch_x;
}

/* The blobs of the whole image; patch is 1 where one must be kept. */
static GArray *
expected (const Image *image, int reach, const Part *part, int n_parts, guint max_patches, gboolean **has_patch)
{
  const int n = image->width * image->height;
  g_autofree int *label = g_new (int, n);
  const int n_blobs = flood (image, 0, 0, image->width, image->height, reach, label);
  g_autoptr (GArray) all = g_array_new (FALSE, TRUE, sizeof (NotchJoined));
  g_array_set_size (all, n_blobs);
  for (int i = 0; i < n; i++)
    if (label[i] > 0)
      joined_add (&g_array_index (all, NotchJoined, label[i] - 1), image, i);

  /* the strongest patch that any tile gave for a part of the blob */
  for (int t = 0; t < n_parts; t++)
    for (int k = 0; k < part[t].found.n_patches; k++) {
      const NotchBlob *blob = &part[t].blob[part[t].patch_blob[k]];
      const gint64 x = part[t].tile.x + blob->peak_x, y = part[t].tile.y + blob->peak_y;
      NotchJoined *joined = &g_array_index (all, NotchJoined, label[(y - image->y) * image->width + x - image->x] - 1);
      NotchJoined other = { .patch_peak = blob->peak, .patch_x = x, .patch_y = y };
      const gpointer a = &other, b = joined;
      if (joined->patch_peak == 0 || compare_by_patch (&a, &b) < 0) { /* a seed's peak is above 0 */
        joined->patch_peak = blob->peak;
        joined->patch_x = x;
        joined->patch_y = y;
      }
    }

  GArray *seeded = g_array_new (FALSE, FALSE, sizeof (NotchJoined));
  for (guint i = 0; i < all->len; i++)
    if (g_array_index (all, NotchJoined, i).n_seed > 0)
      g_array_append_val (seeded, g_array_index (all, NotchJoined, i));
  g_array_sort (seeded, compare_by_place);

  g_autoptr (GPtrArray) strongest = g_ptr_array_new ();
  *has_patch = g_new0 (gboolean, seeded->len + 1);
  for (guint i = 0; i < seeded->len; i++)
    if (g_array_index (seeded, NotchJoined, i).patch_peak > 0)
      g_ptr_array_add (strongest, &g_array_index (seeded, NotchJoined, i));
  g_ptr_array_sort (strongest, compare_by_patch);
  for (guint i = 0; i < MIN (strongest->len, max_patches); i++)
    (*has_patch)[(NotchJoined *) strongest->pdata[i] - (NotchJoined *) seeded->data] = TRUE;
  return seeded;
}

#define SAME(field) g_assert_true (a->field == b->field)

static void
check_same (const GArray *found, const GArray *want, const gboolean *has_patch)
{
  g_assert_cmpuint (found->len, ==, want->len);
  for (guint i = 0; i < want->len; i++) {
    const NotchJoined *a = &g_array_index (found, NotchJoined, i), *b = &g_array_index (want, NotchJoined, i);
    SAME (n);
    SAME (n_seed);
    SAME (x);
    SAME (y);
    SAME (xx);
    SAME (yy);
    SAME (xy);
    SAME (w);
    SAME (wx);
    SAME (wy);
    SAME (res);
    SAME (res_abs);
    SAME (ref);
    SAME (ref_edge);
    SAME (z);
    SAME (x0);
    SAME (y0);
    SAME (x1);
    SAME (y1);
    for (int k = 0; k < NOTCH_FERET_DIRECTIONS; k++)
      SAME (feret[k]);
    SAME (peak);
    SAME (peak_channel);
    SAME (peak_dark);
    SAME (peak_x);
    SAME (peak_y);
    SAME (peak_dx);
    SAME (peak_dy);
    g_assert_cmpint (a->patch != NULL, ==, has_patch[i]);
    if (a->patch != NULL) {
      SAME (patch_peak);
      SAME (patch_x);
      SAME (patch_y);
      g_assert_cmpfloat (a->patch[0], ==, patch_mark (a->patch_x, a->patch_y));
    }
  }
}

static void
shuffle (GRand *rand, int *order, int n)
{
  for (int i = 0; i < n; i++)
    order[i] = i;
  for (int i = n - 1; i > 0; i--) {
    const int j = g_rand_int_range (rand, 0, i + 1), keep = order[i];
    order[i] = order[j];
    order[j] = keep;
  }
}

static void
one_trial (GRand *rand, int width, int height, gint64 x, gint64 y)
{
  const int reach = g_rand_int_range (rand, 1, 6), halo = g_rand_int_range (rand, 0, 9);
  const double density = g_rand_double (rand) * (g_rand_boolean (rand) ? 0.5 : 0.1) / (reach * reach);
  const guint max_patches = g_rand_int_range (rand, 0, 12);
  const int per_tile = g_rand_int_range (rand, 0, 4);
  Image *image = image_new (rand, width, height, x, y, density);

  g_autofree int *col_end = g_new (int, width), *row_end = g_new (int, height);
  const int n_cols = cut (rand, width, g_rand_int_range (rand, 1, 20), col_end);
  const int n_rows = cut (rand, height, g_rand_int_range (rand, 1, 20), row_end);
  const int n_parts = n_cols * n_rows;
  g_autofree Part *part = g_new (Part, n_parts);
  g_autofree int *tiles_in_row = g_new (int, n_rows), *order = g_new (int, n_parts);
  for (int r = 0; r < n_rows; r++) {
    const int y0 = r > 0 ? row_end[r - 1] : 0;
    tiles_in_row[r] = n_cols;
    for (int c = 0; c < n_cols; c++) {
      const int x0 = c > 0 ? col_end[c - 1] : 0;
      part[r * n_cols + c] = part_make (image, r, x0, y0, col_end[c] - x0, row_end[r] - y0, reach, halo, per_tile);
    }
  }

  g_autofree gboolean *has_patch = NULL;
  g_autoptr (GArray) want = expected (image, reach, part, n_parts, max_patches, &has_patch);
  for (int round = 0; round < 3; round++) {
    g_autoptr (NotchJoin) join = notch_join_new (reach, n_rows, tiles_in_row, SIDE, max_patches);
    shuffle (rand, order, n_parts);
    for (int i = 0; i < n_parts; i++) {
      const int t = round == 0 ? i : order[i];
      notch_join_add (join, part[t].row, &part[t].tile, &part[t].found, NULL);
    }
    g_autoptr (GArray) found = notch_join_finish (join);
    check_same (found, want, has_patch);
  }
  for (int t = 0; t < n_parts; t++)
    part_clear (&part[t]);
  image_free (image);
}

static void
test_random (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (20);

  for (int trial = 0; trial < 400; trial++)
    one_trial (rand, g_rand_int_range (rand, 1, 60), g_rand_int_range (rand, 1, 60), 0, 0);
}

static void
test_far (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (21);

  for (int trial = 0; trial < 50; trial++)
    one_trial (rand, 50, 50, G_GINT64_CONSTANT (1000000000) + g_rand_int_range (rand, 0, 9),
               G_GINT64_CONSTANT (3000000000) + g_rand_int_range (rand, 0, 9));
}

/* A blob as large as a whole image of 300 000 x 300 000 px: its sums need more than 64 bits. */
static void
test_huge (void)
{
  const gint64 core = 10000, n = 30;
  const NotchTile model = { .core_w = core, .core_h = core };
  NotchBlob blob = { .n = core * core,
                     .n_seed = 1,
                     .x = core * core * (core - 1) / 2,
                     .y = core * core * (core - 1) / 2,
                     .xx = core * ((core - 1) * core * (2 * core - 1) / 6),
                     .yy = core * ((core - 1) * core * (2 * core - 1) / 6),
                     .xy = core * (core - 1) / 2 * (core * (core - 1) / 2),
                     .x1 = core - 1,
                     .y1 = core - 1 };
  const NotchSeam seam[] = { { 5, 0, 0 }, { 5, core - 1, 0 }, { 0, 5, 0 }, { core - 1, 5, 0 } }; /* one a side do */
  const NotchTileFound found = { .n_blobs = 1, .blob = &blob, .n_seams = G_N_ELEMENTS (seam), .seam = seam };
  g_autofree int *tiles_in_row = g_new (int, n);
  for (int r = 0; r < n; r++)
    tiles_in_row[r] = n;
  g_autoptr (NotchJoin) join = notch_join_new (1, n, tiles_in_row, SIDE, 10);
  for (int i = 0; i < n * n; i++) {
    NotchTile tile = model;
    tile.x = i % n * core;
    tile.y = i / n * core;
    notch_join_add (join, i / n, &tile, &found, NULL);
  }
  g_autoptr (GArray) joined = notch_join_finish (join);
  g_assert_cmpuint (joined->len, ==, 1);
  const NotchJoined *one = &g_array_index (joined, NotchJoined, 0);
  const NotchWide side = core * n;
  g_assert_cmpint (one->n, ==, core * core * n * n);
  g_assert_cmpint (one->n_seed, ==, n * n);
  g_assert_true (one->x == side * side * (side - 1) / 2);
  g_assert_true (one->yy == side * ((side - 1) * side * (2 * side - 1) / 6));
  g_assert_true (one->xy == side * (side - 1) / 2 * (side * (side - 1) / 2));
  g_assert_cmpint (one->x1, ==, core * n - 1);
}

/* Rows without tiles between others, tiles that never come, and nothing at all. */
static void
test_gaps (void)
{
  const int tiles_in_row[] = { 0, 1, 0, 1, 2, 0 };
  NotchBlob blob = { .n = 1, .n_seed = 1, .peak = 300 };
  const NotchSeam seam = { 0, 0, 0 };
  const NotchTileFound found = { .n_blobs = 1, .blob = &blob, .n_seams = 1, .seam = &seam };
  g_autoptr (NotchJoin) join = notch_join_new (3, G_N_ELEMENTS (tiles_in_row), tiles_in_row, SIDE, 0);
  const NotchTile one = { .x = 7, .y = 10, .core_w = 1, .core_h = 1 };
  const NotchTile within = { .x = 10, .y = 13, .core_w = 1, .core_h = 1 };
  const NotchTile beyond = { .x = 14, .y = 14, .core_w = 1, .core_h = 1 };

  notch_join_add (join, 4, &beyond, &found, NULL);
  notch_join_add (join, 3, &within, &found, NULL);
  notch_join_add (join, 1, &one, &found, NULL);
  g_autoptr (GArray) joined = notch_join_finish (join);
  g_assert_cmpuint (joined->len, ==, 2);
  g_assert_cmpint (g_array_index (joined, NotchJoined, 0).n, ==, 2);
  g_assert_cmpint (g_array_index (joined, NotchJoined, 0).x1, ==, 10);
  g_assert_cmpint (g_array_index (joined, NotchJoined, 1).x0, ==, 14);

  g_autoptr (NotchJoin) empty = notch_join_new (1, 0, NULL, 0, 0);
  g_autoptr (GArray) none = notch_join_finish (empty);
  g_assert_cmpuint (none->len, ==, 0);
}

/* The tile of the image that begins at (x0, y0), as a plane; `of` is one of the image's arrays, in 1/256. */
static void
poke_plane (NotchLane *lane, NotchPlane plane, const Image *image, const int *of, int x0, int y0, int size)
{
  g_autofree float *values = g_new0 (float, size *size);
  for (int y = MAX (0, -y0); y < MIN (size, image->height - y0); y++)
    for (int x = MAX (0, -x0); x < MIN (size, image->width - x0); x++)
      values[y * size + x] = (float) of[(y0 + y) * image->width + x0 + x] / 256;
  g_assert_cmpint (notch_kernels_cpu.poke (lane, 0, plane, values), ==, 0);
}

/* The CPU's own labelling of tiles, joined, is the labelling of the whole. */
static void
one_label_trial (GRand *rand, NotchLane *lane, int size, int halo)
{
  enum { GROW = 7 * 900 };
  const int core = size - 2 * halo, reach = g_rand_int_range (rand, 1, 6);
  Image *image = image_new (rand, g_rand_int_range (rand, 1, 150), g_rand_int_range (rand, 1, 150), 0, 0, 0);
  const int n = image->width * image->height, n_cols = (image->width + core - 1) / core,
            n_rows = (image->height + core - 1) / core;
  for (int i = 0; i < n; i++) {
    const gboolean is_bright = g_rand_int_range (rand, 0, 15 * reach * reach) == 0;
    image->score[i] = g_rand_int_range (rand, 0, 200) == 0 ? SEED + 2 : g_rand_int_range (rand, 0, SEED);
    image->fine[i] = 14 * (is_bright ? g_rand_int_range (rand, 450, 1000) : g_rand_int_range (rand, 0, 450));
    image->mask[i] = image->score[i] >= SEED || image->fine[i] >= GROW;
    image->ref[i] = 25600; /* flat, so that there are no edges */
    image->edge[i] = image->z[i] = 0;
  }
  g_autofree gboolean *has_patch = NULL;
  g_autoptr (GArray) want = expected (image, reach, NULL, 0, 0, &has_patch);

  g_autofree float *row = g_new0 (float, image->width);
  g_autofree const void **rows = g_new (const void *, image->height);
  for (int y = 0; y < image->height; y++)
    rows[y] = row;
  const NotchPixels pixels = { NOTCH_SAMPLE_F32, image->width, image->height, 0, image->height, rows, 0 };
  NotchFault fault;
  NotchStripMem *mem = notch_kernels_cpu.strip_up (NULL, &pixels, &fault);
  g_autofree int *tiles_in_row = g_new (int, n_rows), *order = g_new (int, n_cols *n_rows);
  for (int r = 0; r < n_rows; r++)
    tiles_in_row[r] = n_cols;
  g_autoptr (NotchJoin) join = notch_join_new (reach, n_rows, tiles_in_row, 0, 0);
  shuffle (rand, order, n_cols * n_rows);
  for (int i = 0; i < n_cols * n_rows; i++) {
    const int x0 = order[i] % n_cols * core - halo, y0 = order[i] / n_cols * core - halo;
    const NotchPiece piece = { 0, 0, size, size, 0, 0, 0 };
    const NotchTile tile = { .x = x0,
                             .y = y0,
                             .core_x = halo,
                             .core_y = halo,
                             .core_w = MIN (core, image->width - x0 - halo),
                             .core_h = MIN (core, image->height - y0 - halo),
                             .n_pieces = 1 };
    const NotchBatch batch = { .n_tiles = 1, .tile = &tile, .piece = &piece, .mem = { mem } };
    NotchTileFound found;
    const NotchGather gather = { .batch = &batch };
    g_assert_cmpint (notch_kernels_cpu.gather (lane, &gather), ==, 0);
    poke_plane (lane, NOTCH_PLANE_SCORE, image, image->score, x0, y0, size);
    poke_plane (lane, NOTCH_PLANE_FINE, image, image->fine, x0, y0, size);
    poke_plane (lane, NOTCH_PLANE_RES, image, image->res, x0, y0, size);
    poke_plane (lane, NOTCH_PLANE_Z, image, image->z, x0, y0, size);
    g_autofree float *flat = g_new (float, size *size);
    for (int k = 0; k < size * size; k++)
      flat[k] = 100;
    g_assert_cmpint (notch_kernels_cpu.poke (lane, 0, NOTCH_PLANE_REF, flat), ==, 0);
    const NotchLabel label = { &batch, SEED / 256.0f, GROW / 256.0f, reach };
    g_assert_cmpint (notch_kernels_cpu.label (lane, &label), ==, 0);
    g_assert_cmpint (notch_kernels_cpu.finish (lane, &found), ==, 0);
    g_assert_false (found.swamped);
    notch_join_add (join, order[i] / n_cols, &tile, &found, NULL);
  }
  g_autoptr (GArray) found = notch_join_finish (join);
  check_same (found, want, has_patch);
  notch_kernels_cpu.strip_free (mem);
  image_free (image);
}

static void
test_label (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (22);
  const NotchLaneSize size = { .batch = 1, .size = 48, .halo = 6, .max_blobs = 4000 };
  NotchFault fault;
  NotchDevice *device = notch_kernels_cpu.open (0, &fault);
  NotchLane *lane = notch_kernels_cpu.lane_new (device, &size, &fault);

  g_assert_nonnull (lane);
  for (int trial = 0; trial < 60; trial++)
    one_label_trial (rand, lane, size.size, size.halo);
  notch_kernels_cpu.lane_free (lane);
  notch_kernels_cpu.close (device);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/join/random", test_random);
  g_test_add_func ("/join/far", test_far);
  g_test_add_func ("/join/huge", test_huge);
  g_test_add_func ("/join/gaps", test_gaps);
  g_test_add_func ("/join/label", test_label);
  return g_test_run ();
}
