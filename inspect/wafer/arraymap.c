/* arraymap.c - the map: where does the pattern equal itself one cell away?
 *
 * For every block and both sides of every cell the difference to what lies a side away is taken, and compared with the
 * pattern in a box around the block. Noise is in the difference, too; but it is white, and a pattern, whether it is the
 * array's or what is left of another one, is alike in neighbouring pixels. So products of neighbours are compared
 * instead of squares, and a faint array in noise is as much of an array as a clear one. */
#include "inspect/wafer/arraymap.h"

#include <math.h>
#include <string.h>

#include "kernels/math/resample.h"

/* Least correlation with what lies a cell away. */
#define LEAST_NCC 0.95
/* Part of the variance that is no noise, but alike in neighbouring pixels. */
#define LEAST_PATTERN 0.1
/* px: the box in which it is measured, unless the cell is larger. */
#define BOX 48
/* An array has at least so many cells a side. */
#define LEAST_CELLS 8
/* px: what a box may have beyond the array's border and correlate all the same. */
#define BORDER 8
/* Part of the variance of the most varied tenth of an array that each of its cells has at least. */
#define TEXTURE 0.4f
/* px: a place that is no array, but surrounded by it, is taken for a defect up to so many a side. */
#define LARGEST_HOLE 128
/* px: the image is worked through in pieces so wide. */
#define CHUNK 4096
#define BAND  64

/* ---- differences, block by block ------------------------------------------------------------------------------- */

/* Sums over the pixels of each block. */
typedef struct {
  float *n, *sum, *sum2, *beside; /* values, squares, products with the pixel to the left and the one above */
  float *diff[2 * NOTCH_MAX_CELLS], *pairs[2 * NOTCH_MAX_CELLS]; /* such products of differences; how many */
} Sums;

static void
sums_free (Sums *sums)
{
  g_free (sums->n);
  g_free (sums->sum);
  g_free (sums->sum2);
  g_free (sums->beside);
  for (int i = 0; i < 2 * NOTCH_MAX_CELLS; i++) {
    g_free (sums->diff[i]);
    g_free (sums->pairs[i]);
  }
  g_free (sums);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Sums, sums_free)

static Sums *
sums_new (const NotchCellMap *map, GError **error)
{
  g_autoptr (Sums) sums = g_new0 (Sums, 1);
  gsize n = (gsize) map->n_cols * (gsize) map->n_rows;
  gboolean well = (sums->n = g_try_new0 (float, n)) && (sums->sum = g_try_new0 (float, n))
                  && (sums->sum2 = g_try_new0 (float, n)) && (sums->beside = g_try_new0 (float, n));
  for (int i = 0; i < 2 * map->n && well; i++)
    well = (sums->diff[i] = g_try_new0 (float, n)) && (sums->pairs[i] = g_try_new0 (float, n));
  if (!well) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "there is no memory for a map of %d x %d blocks", map->n_cols,
                 map->n_rows);
    return NULL;
  }
  return g_steal_pointer (&sums);
}

/* A part of a field: w x h values, of which those from (left, top) to (left + use_w, top + use_h) are to be summed; the
 * others only are what these are compared with. */
typedef struct {
  const float *value;
  gint64 w, h, left, top, use_w, use_h;
  gint64 x, y; /* px in the field, of (left, top) */
} Part;

static void
add_values (const Part *part, const NotchCellMap *map, Sums *sums)
{
  for (gint64 y = 0; y < part->use_h; y++) {
    const float *row = part->value + (part->top + y) * part->w + part->left;
    const float *above = part->top + y > 0 ? row - part->w : row + part->w;
    gint64 blocks = (part->y + y) / map->block * map->n_cols;
    for (gint64 x = 0; x < part->use_w; x++) {
      gint64 at = blocks + (part->x + x) / map->block;
      float before = part->left + x > 0 ? row[x - 1] : row[x + 1];
      sums->n[at]++, sums->sum[at] += row[x], sums->sum2[at] += row[x] * row[x];
      sums->beside[at] += 0.5f * row[x] * (before + above[x]);
    }
  }
}

/* What interpolated white noise has of its variance between neighbours, along one axis. */
static double
share_beside (const float tap[NOTCH_TAPS], double *variance)
{
  double sum = 0;
  *variance = 0;
  for (int k = 0; k < NOTCH_TAPS; k++) {
    *variance += (double) tap[k] * (double) tap[k];
    sum += k > 0 ? (double) tap[k] * (double) tap[k - 1] : 0;
  }
  return sum;
}

/* Compares every pixel with what lies (dx, dy) away, interpolated, where that is in the part. `spare` holds three rows. */
static void
add_differences (const Part *part, const NotchCellMap *map, double dx, double dy, float *spare, float *diff,
                 float *pairs)
{
  gint64 ix = (gint64) floor (dx) - NOTCH_TAP_ORIGIN, iy = (gint64) floor (dy) - NOTCH_TAP_ORIGIN;
  float along[NOTCH_TAPS], across[NOTCH_TAPS], *last = spare + part->w, *now = spare + 2 * part->w;
  notch_lanczos_taps (dx - floor (dx), along);
  notch_lanczos_taps (dy - floor (dy), across);
  /* Interpolation smooths noise, so that its neighbours are a little alike: this part of the variance of a difference is
   * no pattern. */
  double var_x, var_y, beside_x = share_beside (along, &var_x), beside_y = share_beside (across, &var_y);
  float white = (float) (0.5 * (beside_x * var_y + beside_y * var_x) / (1 + var_x * var_y));
  gint64 from = MAX (0, -(part->left + ix));
  gint64 to = MIN (part->use_w, part->w - part->left - ix - NOTCH_TAPS + 1);
  gboolean any = FALSE; /* is `last` the row above? */
  for (gint64 y = 0; y < part->use_h; y++) {
    gint64 other = part->top + y + iy;
    if (other < 0 || other + NOTCH_TAPS > part->h) {
      any = FALSE;
      continue;
    }
    const float *row = part->value + (part->top + y) * part->w + part->left, *q = part->value + other * part->w;
    for (gint64 x = 0; x < part->w; x++) {
      float sum = 0;
      for (int k = 0; k < NOTCH_TAPS; k++)
        sum += across[k] * q[k * part->w + x];
      spare[x] = sum;
    }
    gint64 blocks = (part->y + y) / map->block * map->n_cols;
    for (gint64 x = from; x < to; x++) {
      const float *s = spare + part->left + x + ix;
      float d = row[x];
      for (int k = 0; k < NOTCH_TAPS; k++)
        d -= along[k] * s[k];
      now[x] = d;
      if (x == from)
        continue;
      gint64 at = blocks + (part->x + x) / map->block;
      float beside = any ? 0.5f * (now[x - 1] + last[x]) : now[x - 1];
      diff[at] += d * beside - white * d * d;
      pairs[at]++;
    }
    float *swap = last;
    last = now, now = swap;
    any = TRUE;
  }
}

/* How far the sides of the cells reach, interpolation included. */
static void
reach_of (const NotchCellMap *map, gint64 *reach_x, gint64 *reach_y)
{
  double x = 0, y = 0;
  for (int i = 0; i < map->n; i++) {
    x = MAX (x, MAX (fabs (map->cell[i].ax), fabs (map->cell[i].bx)));
    y = MAX (y, MAX (fabs (map->cell[i].ay), fabs (map->cell[i].by)));
  }
  *reach_x = (gint64) ceil (x) + NOTCH_TAPS;
  *reach_y = (gint64) ceil (y) + NOTCH_TAPS;
}

static gboolean
sum_field (const NotchFields *fields, int field, const NotchCellMap *map, Sums *sums, GError **error)
{
  gint64 reach_x, reach_y;
  reach_of (map, &reach_x, &reach_y);
  gsize most_w = (gsize) (CHUNK + 2 * reach_x), most_h = (gsize) (BAND + 2 * reach_y);
  g_autofree float *value = g_new (float, most_w *most_h), *spare = g_new (float, 3 * most_w);
  float level = 0;
  for (gint64 y = 0; y < fields->height; y += BAND)
    for (gint64 x = 0; x < fields->width; x += CHUNK) {
      gint64 x0 = MAX (x - reach_x, 0), y0 = MAX (y - reach_y, 0);
      gint64 x1 = MIN (x + CHUNK + reach_x, fields->width), y1 = MIN (y + BAND + reach_y, fields->height);
      Part part = {
        value, x1 - x0, y1 - y0, x - x0, y - y0, MIN (CHUNK, fields->width - x), MIN (BAND, fields->height - y), x, y
      };
      if (!notch_fields_read (fields, fields->x[field] + x0, fields->y[field] + y0, part.w, part.h, value, error))
        return FALSE;
      /* Small numbers keep their digits in float sums. */
      if (x == 0 && y == 0)
        level = value[0];
      for (gint64 i = 0; i < part.w * part.h; i++)
        value[i] -= level;
      add_values (&part, map, sums);
      for (int i = 0; i < map->n; i++) {
        const NotchCell *cell = &map->cell[i];
        add_differences (&part, map, cell->ax, cell->ay, spare, sums->diff[2 * i], sums->pairs[2 * i]);
        add_differences (&part, map, cell->bx, cell->by, spare, sums->diff[2 * i + 1], sums->pairs[2 * i + 1]);
      }
    }
  return TRUE;
}

/* ---- boxes ----------------------------------------------------------------------------------------------------- */

/* Replaces every value by the sum over the box of 2 half + 1 blocks a side around it. */
static void
box_sums (float *value, int n_cols, int n_rows, int half)
{
  g_autofree double *line = g_new (double, MAX (n_cols, n_rows) + 1);
  line[0] = 0;
  for (int axis = 0; axis < 2; axis++) {
    int lines = axis ? n_cols : n_rows, n = axis ? n_rows : n_cols;
    gsize step = axis ? (gsize) n_cols : 1, next = axis ? 1 : (gsize) n_cols;
    for (int k = 0; k < lines; k++) {
      float *at = value + (gsize) k * next;
      for (int i = 0; i < n; i++)
        line[i + 1] = line[i] + (double) at[(gsize) i * step];
      for (int i = 0; i < n; i++)
        at[(gsize) i * step] = (float) (line[MIN (i + half + 1, n)] - line[MAX (i - half, 0)]);
    }
  }
}

/* Half the mean product of differences to what lies a side away, on that side of the box where it is less: at an
 * array's border only one side has the array. `before` is how many blocks a side is long. INFINITY where there is none. */
static double
least_difference (const NotchCellMap *map, const float *diff, const float *pairs, int col, int row, int before_x,
                  int before_y, double enough)
{
  double least = INFINITY;
  for (int side = 0; side < 2; side++) {
    int c = col - side * before_x, r = row - side * before_y;
    if (c < 0 || r < 0 || c >= map->n_cols || r >= map->n_rows)
      continue;
    gsize at = (gsize) r * (gsize) map->n_cols + (gsize) c;
    if ((double) pairs[at] >= enough)
      least = MIN (least, 0.5 * (double) diff[at] / (double) pairs[at]);
  }
  return least;
}

static int
compare_floats (gconstpointer a, gconstpointer b)
{
  float x = *(const float *) a, y = *(const float *) b;
  return (x > y) - (x < y);
}

/* Correlation of every block's box with what lies a side of the cell away; 0 where there is no pattern. */
static void
correlate (const NotchCellMap *map, const Sums *sums, int which, float *ncc)
{
  const NotchCell *cell = &map->cell[which];
  const double sides[2][2] = { { cell->ax, cell->ay }, { cell->bx, cell->by } };
  for (gsize at = 0; at < (gsize) map->n_cols * (gsize) map->n_rows; at++) {
    int col = (int) (at % (gsize) map->n_cols), row = (int) (at / (gsize) map->n_cols);
    double count = MAX ((double) sums->n[at], 1), mean = (double) sums->sum[at] / count, worst = 0;
    for (int k = 0; k < 2; k++)
      worst = MAX (worst, least_difference (map, sums->diff[2 * which + k], sums->pairs[2 * which + k], col, row,
                                            (int) lround (sides[k][0] / map->block),
                                            (int) lround (sides[k][1] / map->block), 0.6 * count));
    double variance = (double) sums->sum2[at] / count - mean * mean;
    double pattern = (double) sums->beside[at] / count - mean * mean;
    ncc[at] = pattern > LEAST_PATTERN * variance ? (float) (1 - worst / pattern) : 0;
  }
}

/* Clears the blocks of the mask around which a box as large as a cell varies much less than in the middle of the array: a
 * flat surrounding equals itself a cell away, too. `raw` has sums that no box was made of yet. */
static void
keep_textured (const NotchCellMap *map, const Sums *raw, const NotchCell *cell, guint8 *mask)
{
  gsize n = (gsize) map->n_cols * (gsize) map->n_rows;
  double side = MAX (MAX (fabs (cell->ax), fabs (cell->bx)), MAX (fabs (cell->ay), fabs (cell->by)));
  int half = (int) ceil (0.5 * side / map->block);
  g_autofree float *count = g_memdup2 (raw->n, sizeof (float) * n), *sum = g_memdup2 (raw->sum, sizeof (float) * n);
  g_autofree float *sum2 = g_memdup2 (raw->sum2, sizeof (float) * n);
  box_sums (count, map->n_cols, map->n_rows, half);
  box_sums (sum, map->n_cols, map->n_rows, half);
  box_sums (sum2, map->n_cols, map->n_rows, half);
  g_autoptr (GArray) usual = g_array_new (FALSE, FALSE, sizeof (float));
  for (gsize at = 0; at < n; at++) {
    float mean = sum[at] / count[at];
    sum2[at] = sum2[at] / count[at] - mean * mean;
    if (mask[at])
      g_array_append_val (usual, sum2[at]);
  }
  if (usual->len == 0)
    return;
  g_array_sort (usual, compare_floats);
  float least = TEXTURE * g_array_index (usual, float, usual->len - 1 - usual->len / 10);
  for (gsize at = 0; at < n; at++)
    mask[at] &= sum2[at] >= least;
}

/* ---- shapes ---------------------------------------------------------------------------------------------------- */

/* Sets to `value` where the box of `half_x` x `half_y` blocks around a block is (nearly) full of ones (erosion), or has
 * any (dilation). Beyond the map all is as at its border. */
static void
reshape (guint8 *mask, int n_cols, int n_rows, int half_x, int half_y, gboolean grow)
{
  g_autofree int *line = g_new (int, MAX (n_cols, n_rows) + 1);
  line[0] = 0;
  for (int axis = 0; axis < 2; axis++) {
    int lines = axis ? n_cols : n_rows, n = axis ? n_rows : n_cols, half = axis ? half_y : half_x;
    gsize step = axis ? (gsize) n_cols : 1, next = axis ? 1 : (gsize) n_cols;
    for (int k = 0; k < lines; k++) {
      guint8 *at = mask + (gsize) k * next;
      for (int i = 0; i < n; i++)
        line[i + 1] = line[i] + at[(gsize) i * step];
      for (int i = 0; i < n; i++) {
        int from = MAX (i - half, 0), to = MIN (i + half + 1, n), ones = line[to] - line[from];
        at[(gsize) i * step] = grow ? ones > 0 : ones == to - from;
      }
    }
  }
}

/* Fills what is enclosed by the mask and small enough to be a defect. */
static void
fill_holes (guint8 *mask, int n_cols, int n_rows, int largest)
{
  g_autofree guint8 *seen = g_new0 (guint8, (gsize) n_cols * (gsize) n_rows);
  g_autoptr (GArray) hole = g_array_new (FALSE, FALSE, sizeof (gsize));
  for (gsize start = 0; start < (gsize) n_cols * (gsize) n_rows; start++) {
    if (mask[start] || seen[start])
      continue;
    gboolean open = FALSE;
    int x0 = n_cols, x1 = 0, y0 = n_rows, y1 = 0;
    g_array_set_size (hole, 0);
    g_array_append_val (hole, start);
    seen[start] = 1;
    for (guint i = 0; i < hole->len; i++) {
      gsize at = g_array_index (hole, gsize, i);
      int x = (int) (at % (gsize) n_cols), y = (int) (at / (gsize) n_cols);
      x0 = MIN (x0, x), x1 = MAX (x1, x), y0 = MIN (y0, y), y1 = MAX (y1, y);
      open |= x == 0 || y == 0 || x == n_cols - 1 || y == n_rows - 1;
      const int step[4][2] = { { -1, 0 }, { 1, 0 }, { 0, -1 }, { 0, 1 } };
      for (int k = 0; k < 4; k++) {
        int u = x + step[k][0], v = y + step[k][1];
        gsize to = (gsize) v * (gsize) n_cols + (gsize) u;
        if (u < 0 || v < 0 || u >= n_cols || v >= n_rows || mask[to] || seen[to])
          continue;
        seen[to] = 1;
        g_array_append_val (hole, to);
      }
    }
    for (guint i = 0; i < hole->len && !open && x1 - x0 < largest && y1 - y0 < largest; i++)
      mask[g_array_index (hole, gsize, i)] = 1;
  }
}

/* From blocks whose box correlates to the blocks of arrays. */
static void
shape_array (const NotchCellMap *map, const Sums *raw, const NotchCell *cell, int half, gboolean holes, guint8 *mask)
{
  int n_cols = map->n_cols, n_rows = map->n_rows;
  double wide = MAX (fabs (cell->ax), fabs (cell->bx)), high = MAX (fabs (cell->ay), fabs (cell->by));
  reshape (mask, n_cols, n_rows, half, half, TRUE); /* a box that correlates does so as a whole */
  keep_textured (map, raw, cell, mask);
  if (holes)
    fill_holes (mask, n_cols, n_rows, LARGEST_HOLE / map->block);
  /* Nothing of a border may be left: the box tolerates a little of it. */
  int border = (BORDER + map->block - 1) / map->block;
  reshape (mask, n_cols, n_rows, border, border, FALSE);
  int least_x = (int) (0.5 * LEAST_CELLS * wide / map->block), least_y = (int) (0.5 * LEAST_CELLS * high / map->block);
  least_x = MIN (least_x, (n_cols - 1) / 2), least_y = MIN (least_y, (n_rows - 1) / 2);
  guint8 *core = g_memdup2 (mask, (gsize) n_cols * (gsize) n_rows);
  reshape (core, n_cols, n_rows, least_x, least_y, FALSE);
  reshape (core, n_cols, n_rows, least_x, least_y, TRUE);
  for (gsize i = 0; i < (gsize) n_cols * (gsize) n_rows; i++)
    mask[i] &= core[i];
  g_free (core);
}

/* Votes of one field: the cell that a block's box correlates best with. */
static gboolean
vote (const NotchFields *fields, int field, const NotchCellMap *map, guint8 *votes, GError **error)
{
  g_autoptr (Sums) sums = sums_new (map, error);
  g_autoptr (Sums) raw = g_new0 (Sums, 1);
  if (!sums || !sum_field (fields, field, map, sums, error))
    return FALSE;
  int n_cols = map->n_cols, n_rows = map->n_rows;
  gsize n = (gsize) n_cols * (gsize) n_rows;
  raw->n = g_memdup2 (sums->n, sizeof (float) * n);
  raw->sum = g_memdup2 (sums->sum, sizeof (float) * n);
  raw->sum2 = g_memdup2 (sums->sum2, sizeof (float) * n);
  int largest = BOX;
  for (int i = 0; i < map->n; i++)
    largest = MAX (largest, (int) (1.5 * hypot (map->cell[i].bx, map->cell[i].by)));
  int half = MAX (largest / map->block / 2, 1);
  box_sums (sums->n, n_cols, n_rows, half);
  box_sums (sums->sum, n_cols, n_rows, half);
  box_sums (sums->sum2, n_cols, n_rows, half);
  box_sums (sums->beside, n_cols, n_rows, half);
  for (int i = 0; i < 2 * map->n; i++) {
    box_sums (sums->diff[i], n_cols, n_rows, half);
    box_sums (sums->pairs[i], n_cols, n_rows, half);
  }
  g_autofree float *best = g_new0 (float, n), *ncc = g_new (float, n);
  g_autofree guint8 *index = g_new0 (guint8, n), *mask = g_new (guint8, n);
  for (int i = 0; i < map->n; i++) {
    correlate (map, sums, i, ncc);
    for (gsize at = 0; at < n; at++)
      if (ncc[at] > (float) LEAST_NCC && ncc[at] > best[at] + 1e-3f)
        best[at] = ncc[at], index[at] = (guint8) (i + 1);
  }
  for (int i = 0; i < map->n; i++) {
    for (gsize at = 0; at < n; at++)
      mask[at] = index[at] == i + 1;
    shape_array (map, raw, &map->cell[i], half, fields->n < 3, mask);
    for (gsize at = 0; at < n; at++)
      votes[(gsize) i * n + at] += mask[at];
  }
  return TRUE;
}

gboolean
notch_array_map (const NotchFields *fields, const NotchCellMap *map, guint8 *index, GError **error)
{
  gsize n = (gsize) map->n_cols * (gsize) map->n_rows;
  g_autofree guint8 *votes = g_try_malloc0 (n * (gsize) map->n);
  if (!votes) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "there is no memory for a map of %d x %d blocks", map->n_cols,
                 map->n_rows);
    return FALSE;
  }
  for (int field = 0; field < fields->n; field++)
    if (!vote (fields, field, map, votes, error))
      return FALSE;
  for (gsize at = 0; at < n; at++) {
    index[at] = 0;
    int most = fields->n / 2;
    for (int i = 0; i < map->n; i++)
      if (votes[(gsize) i * n + at] > most)
        most = votes[(gsize) i * n + at], index[at] = (guint8) (i + 1);
  }
  return TRUE;
}
