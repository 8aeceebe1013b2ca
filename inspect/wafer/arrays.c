/* arrays.c - see arrays.h: which cells there are, and the map as rectangles */
#include "inspect/wafer/arrays.h"

#include <math.h>
#include <string.h>

#include "inspect/wafer/arraymap.h"

/* px: the squares in which cells are looked for; the small ones find small arrays, the large ones large cells. */
static const int square_side[] = { 128, 512 };
/* Of each size, so many a side at most. */
static const int most_squares[] = { 14, 5 };
/* The map has no more blocks than this; a block is then more than 4 px. */
#define MOST_BLOCKS (1 << 20)

void
notch_arrays_free (NotchArrays *arrays)
{
  if (!arrays)
    return;
  if (arrays->rect)
    g_array_unref (arrays->rect);
  g_free (arrays->index);
  g_free (arrays->count);
  g_free (arrays);
}

gboolean
notch_fields_read (const NotchFields *fields, gint64 x, gint64 y, gint64 w, gint64 h, float *to, GError **error)
{
  NotchRows rows = { y, h };
  g_autoptr (NotchStrip) strip = notch_store_strip (fields->store, &rows, 1, error);
  if (!strip)
    return FALSE;
  const NotchPixels *pixels = notch_strip_pixels (strip);
  for (gint64 r = 0; r < h; r++)
    for (gint64 c = 0; c < w; c++) {
      float value = notch_sample_at (pixels->row[y + r - pixels->y], pixels->sample, x + c);
      to[r * w + c] = isfinite (value) ? value : 0;
    }
  return TRUE;
}

/* ---- where to look --------------------------------------------------------------------------------------------- */

typedef struct {
  int die;
  double distance;
} Ranked;

static int
compare_ranked (gconstpointer a, gconstpointer b)
{
  const Ranked *x = a, *y = b;
  return x->distance != y->distance ? (x->distance > y->distance) - (x->distance < y->distance) : x->die - y->die;
}

/* The whole dice nearest to the middle of the grid: an odd number, for they vote. */
static void
choose_dice (const NotchGrid *grid, gint64 width, gint64 height, NotchFields *fields)
{
  g_autoptr (GArray) list = g_array_new (FALSE, FALSE, sizeof (Ranked));
  fields->width = (gint64) floor (fabs (grid->ax)), fields->height = (gint64) floor (fabs (grid->by));
  for (guint i = 0; i < grid->die->len; i++) {
    const NotchDie *die = &g_array_index (grid->die, NotchDie, i);
    double col = die->col - grid->first_col - 0.5 * (grid->n_cols - 1);
    double row = die->row - grid->first_row - 0.5 * (grid->n_rows - 1);
    Ranked ranked = { (int) i, hypot (col, row) };
    if (die->kind == NOTCH_DIE_WHOLE && !die->blank)
      g_array_append_val (list, ranked);
  }
  g_array_sort (list, compare_ranked);
  for (guint i = 0; i < list->len && fields->n < NOTCH_MAX_FIELDS; i++) {
    const NotchDie *die = &g_array_index (grid->die, NotchDie, g_array_index (list, Ranked, i).die);
    gint64 x = (gint64) floor (die->x + die->dx + 0.5), y = (gint64) floor (die->y + die->dy + 0.5);
    if (x < 0 || y < 0 || x + fields->width > width || y + fields->height > height)
      continue;
    fields->x[fields->n] = x, fields->y[fields->n++] = y;
  }
  fields->n -= fields->n == 2;
}

/* ---- cells ----------------------------------------------------------------------------------------------------- */

typedef struct {
  NotchCell cell;
  double strength, votes;
} Candidate;

static int
compare_candidates (gconstpointer a, gconstpointer b)
{
  const Candidate *x = a, *y = b;
  if (x->votes != y->votes)
    return x->votes < y->votes ? 1 : -1;
  return (notch_cell_area (&x->cell) > notch_cell_area (&y->cell))
         - (notch_cell_area (&x->cell) < notch_cell_area (&y->cell));
}

/* Adds a vote to the candidate whose lattice this cell is on, or a new candidate. Of two descriptions of the same
 * lattice the stronger is the better. */
static void
add_candidate (GArray *candidates, const NotchCell *cell, double strength)
{
  for (guint i = 0; i < candidates->len; i++) {
    Candidate *c = &g_array_index (candidates, Candidate, i);
    double tolerance = 0.25 + 0.01 * hypot (cell->bx, cell->by);
    gboolean coarser = notch_cell_holds (&c->cell, cell, tolerance);
    if (!coarser && !notch_cell_holds (cell, &c->cell, tolerance))
      continue;
    c->votes += strength;
    gboolean same = notch_cell_area (cell) < 1.3 * notch_cell_area (&c->cell);
    if (strength > c->strength && coarser && same)
      c->cell = *cell, c->strength = strength;
    return;
  }
  Candidate added = { *cell, strength, strength };
  g_array_append_val (candidates, added);
}

/* Squares that overlap by half a side or more, as long as `most` are enough for that. */
static int
squares_along (gint64 length, int side, int most)
{
  int step = side / 2;
  return (int) MIN (1 + (length - side + step - 1) / step, most);
}

/* Looks at squares spread over the first field. */
static gboolean
find_candidates (const NotchFields *fields, int side, int most, GArray *candidates, GError **error)
{
  if (fields->width < side || fields->height < side)
    return TRUE;
  int nx = squares_along (fields->width, side, most), ny = squares_along (fields->height, side, most);
  g_autofree float *value = g_new (float, (gsize) side *(gsize) side);
  for (int j = 0; j < ny; j++)
    for (int i = 0; i < nx; i++) {
      gint64 x = nx == 1 ? (fields->width - side) / 2 : i * (fields->width - side) / (nx - 1);
      gint64 y = ny == 1 ? (fields->height - side) / 2 : j * (fields->height - side) / (ny - 1);
      NotchCell cell;
      double strength;
      if (!notch_fields_read (fields, fields->x[0] + x, fields->y[0] + y, side, side, value, error))
        return FALSE;
      if (!notch_cell_find (value, side, &cell, &strength)) {
        g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "there is no memory to look for repeated cells");
        return FALSE;
      }
      if (strength > 0)
        add_candidate (candidates, &cell, strength);
    }
  return TRUE;
}

/* ---- the map --------------------------------------------------------------------------------------------------- */

/* Rectangles that cover the map: runs of blocks of one kind, joined with the same run of the row above. */
static void
make_rects (NotchArrays *arrays)
{
  g_autoptr (GArray) open = g_array_new (FALSE, FALSE, sizeof (NotchArrayRect));
  g_autoptr (GArray) next = g_array_new (FALSE, FALSE, sizeof (NotchArrayRect));
  for (int row = 0; row < arrays->n_rows; row++) {
    const guint8 *at = arrays->index + (gsize) row * (gsize) arrays->n_cols;
    gint64 y0 = (gint64) row * arrays->block, y1 = MIN (y0 + arrays->block, arrays->height);
    guint k = 0;
    g_array_set_size (next, 0);
    for (int col = 0; col < arrays->n_cols;) {
      int end = col + 1;
      while (end < arrays->n_cols && at[end] == at[col])
        end++;
      NotchArrayRect rect = { (gint64) col * arrays->block, y0, MIN ((gint64) end * arrays->block, arrays->width), y1,
                              at[col] - 1 };
      while (k < open->len && g_array_index (open, NotchArrayRect, k).x0 < rect.x0)
        k++;
      NotchArrayRect *above = k < open->len ? &g_array_index (open, NotchArrayRect, k) : NULL;
      if (above && above->x0 == rect.x0 && above->x1 == rect.x1 && above->array == rect.array) {
        rect.y0 = above->y0;
        above->y1 = -1; /* goes on */
      }
      g_array_append_val (next, rect);
      col = end;
    }
    for (guint i = 0; i < open->len; i++)
      if (g_array_index (open, NotchArrayRect, i).y1 >= 0)
        g_array_append_val (arrays->rect, g_array_index (open, NotchArrayRect, i));
    GArray *swap = open;
    open = next, next = swap;
  }
  g_array_append_vals (arrays->rect, open->data, open->len);
}

/* The rectangles, without parts of arrays so thin that they are but a wavering of the border. */
static void
settle_rects (NotchArrays *arrays)
{
  gboolean thin = TRUE;
  for (int round = 0; round < 4 && thin; round++) {
    thin = FALSE;
    g_array_set_size (arrays->rect, 0);
    make_rects (arrays);
    for (guint i = 0; i < arrays->rect->len; i++) {
      NotchArrayRect *rect = &g_array_index (arrays->rect, NotchArrayRect, i);
      if (rect->array < 0 || MIN (rect->x1 - rect->x0, rect->y1 - rect->y0) >= 3 * arrays->block)
        continue;
      thin = TRUE;
      rect->array = -1;
      for (gint64 row = rect->y0 / arrays->block; row * arrays->block < rect->y1; row++)
        for (gint64 col = rect->x0 / arrays->block; col * arrays->block < rect->x1; col++)
          arrays->index[row * arrays->n_cols + col] = 0;
    }
  }
}

/* Rectangles and sums of the map as it is. */
static void
take_map (NotchArrays *arrays)
{
  gsize line = (gsize) arrays->n_cols + 1;
  settle_rects (arrays);
  for (int row = 0; row < arrays->n_rows; row++) {
    const guint32 *above = arrays->count + (gsize) row * line;
    guint32 *to = arrays->count + (gsize) (row + 1) * line, sum = 0;
    for (int col = 0; col < arrays->n_cols; col++) {
      sum += arrays->index[(gsize) row * (gsize) arrays->n_cols + (gsize) col] > 0;
      to[col + 1] = above[col + 1] + sum;
    }
  }
}

gboolean
notch_arrays_hold (const NotchArrays *arrays, int array, gint64 x0, gint64 y0, gint64 x1, gint64 y1)
{
  if (x0 < 0 || y0 < 0 || x1 > arrays->width || y1 > arrays->height || x0 >= x1 || y0 >= y1)
    return FALSE;
  gsize line = (gsize) arrays->n_cols + 1;
  const guint32 *count = arrays->count;
  gsize c0 = (gsize) (x0 / arrays->block), c1 = (gsize) ((x1 - 1) / arrays->block + 1);
  gsize r0 = (gsize) (y0 / arrays->block), r1 = (gsize) ((y1 - 1) / arrays->block + 1);
  /* A rectangle full of arrays is in one of them, for they do not touch. */
  return arrays->index[r0 * (gsize) arrays->n_cols + c0] == array + 1
         && count[r1 * line + c1] - count[r0 * line + c1] - count[r1 * line + c0] + count[r0 * line + c0]
                == (c1 - c0) * (r1 - r0);
}

/* ---- arrays one by one ----------------------------------------------------------------------------------------- */

/* Parts of the map with one cell, still by the cell's number. */
typedef struct {
  GArray *block; /* gsize: their places */
  int cell;
} Part;

static void
part_free (gpointer data)
{
  Part *part = data;
  g_array_unref (part->block);
  g_free (part);
}

static int
compare_parts (gconstpointer a, gconstpointer b)
{
  const Part *x = *(Part *const *) a, *y = *(Part *const *) b;
  if (x->block->len != y->block->len)
    return x->block->len < y->block->len ? 1 : -1;
  gsize at_x = g_array_index (x->block, gsize, 0), at_y = g_array_index (y->block, gsize, 0);
  return (at_x > at_y) - (at_x < at_y);
}

/* All that is connected with a block; it is taken out of `cells`. */
static Part *
take_part (const NotchArrays *arrays, guint8 *cells, gsize start)
{
  Part *part = g_new0 (Part, 1);
  guint8 kind = cells[start];
  part->cell = kind - 1;
  part->block = g_array_new (FALSE, FALSE, sizeof (gsize));
  g_array_append_val (part->block, start);
  cells[start] = 0;
  for (guint i = 0; i < part->block->len; i++) {
    gsize at = g_array_index (part->block, gsize, i);
    int x = (int) (at % (gsize) arrays->n_cols), y = (int) (at / (gsize) arrays->n_cols);
    const int step[4][2] = { { -1, 0 }, { 1, 0 }, { 0, -1 }, { 0, 1 } };
    for (int k = 0; k < 4; k++) {
      int u = x + step[k][0], v = y + step[k][1];
      gsize to = (gsize) v * (gsize) arrays->n_cols + (gsize) u;
      if (u < 0 || v < 0 || u >= arrays->n_cols || v >= arrays->n_rows || cells[to] != kind)
        continue;
      cells[to] = 0;
      g_array_append_val (part->block, to);
    }
  }
  return part;
}

/* Between two cells that meet a block's width is left to neither. */
static void
part_cells (const NotchArrays *arrays, guint8 *cells)
{
  for (int y = 0; y < arrays->n_rows; y++)
    for (int x = 0; x < arrays->n_cols; x++) {
      gsize at = (gsize) y * (gsize) arrays->n_cols + (gsize) x;
      for (int k = 0; k < 4 && cells[at]; k++) {
        static const int step[4][2] = { { 1, 0 }, { -1, 1 }, { 0, 1 }, { 1, 1 } };
        int u = x + step[k][0], v = y + step[k][1];
        gsize to = (gsize) v * (gsize) arrays->n_cols + (gsize) u;
        if (u >= 0 && u < arrays->n_cols && v < arrays->n_rows && cells[to] && cells[to] != cells[at])
          cells[at] = 0;
      }
    }
}

/* From the map of cells to arrays, the largest first, each with a cell of its own; those that are not in step go. */
static gboolean
split_arrays (NotchArrays *arrays, const NotchFields *fields, const NotchCellMap *map, guint8 *cells, GError **error)
{
  gsize n = (gsize) arrays->n_cols * (gsize) arrays->n_rows;
  g_autoptr (GPtrArray) parts = g_ptr_array_new_with_free_func (part_free);
  part_cells (arrays, cells);
  for (gsize at = 0; at < n; at++)
    if (cells[at])
      g_ptr_array_add (parts, take_part (arrays, cells, at));
  g_ptr_array_sort (parts, compare_parts);
  arrays->n = (int) MIN (parts->len, NOTCH_MAX_ARRAYS);
  for (int i = 0; i < arrays->n; i++) {
    const Part *part = parts->pdata[i];
    arrays->cell[i] = map->cell[part->cell];
    for (guint k = 0; k < part->block->len; k++)
      arrays->index[g_array_index (part->block, gsize, k)] = (guint8) (i + 1);
  }
  take_map (arrays);
  guint8 number[NOTCH_MAX_ARRAYS + 1] = { 0 };
  int kept = 0;
  for (int i = 0; i < arrays->n; i++) {
    const Part *part = parts->pdata[i];
    gboolean in_step;
    if (!notch_array_refine (fields, arrays, i, &arrays->cell[i], &in_step, error))
      return FALSE;
    if (!in_step)
      continue;
    arrays->cell[kept] = arrays->cell[i];
    arrays->share[kept] = (double) part->block->len / (double) n;
    number[i + 1] = (guint8) ++kept;
  }
  arrays->n = kept;
  for (gsize at = 0; at < n; at++)
    arrays->index[at] = number[arrays->index[at]];
  take_map (arrays);
  return TRUE;
}

static gboolean
no_memory (const NotchArrays *arrays, GError **error)
{
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "there is no memory for a map of %d x %d blocks", arrays->n_cols,
               arrays->n_rows);
  return FALSE;
}

static gboolean
map_arrays (NotchArrays *arrays, const NotchFields *fields, NotchCellMap *map, GError **error)
{
  arrays->block = 4;
  while (((arrays->width - 1) / arrays->block + 1) * ((arrays->height - 1) / arrays->block + 1) > MOST_BLOCKS)
    arrays->block *= 2;
  map->block = arrays->block;
  map->n_cols = arrays->n_cols = (int) ((arrays->width - 1) / arrays->block + 1);
  map->n_rows = arrays->n_rows = (int) ((arrays->height - 1) / arrays->block + 1);
  gsize n = (gsize) arrays->n_cols * (gsize) arrays->n_rows;
  g_autofree guint8 *cells = g_try_malloc0 (n);
  arrays->index = g_try_malloc0 (n);
  arrays->count = g_try_new0 (guint32, ((gsize) arrays->n_cols + 1) * ((gsize) arrays->n_rows + 1));
  if (!cells || !arrays->index || !arrays->count)
    return no_memory (arrays, error);
  return notch_array_map (fields, map, cells, error) && split_arrays (arrays, fields, map, cells, error);
}

NotchArrays *
notch_arrays_find (NotchStore *store, gint64 width, gint64 height, const NotchGrid *grid, GError **error)
{
  g_autoptr (NotchArrays) arrays = g_new0 (NotchArrays, 1);
  g_autoptr (GArray) candidates = g_array_new (FALSE, FALSE, sizeof (Candidate));
  NotchFields fields = { .store = store };
  NotchCellMap map = { 0 };
  arrays->rect = g_array_new (FALSE, FALSE, sizeof (NotchArrayRect));
  arrays->in_dice = grid != NULL;
  if (grid)
    choose_dice (grid, width, height, &fields);
  else
    fields = (NotchFields){ store, width, height, 1, { 0 }, { 0 } };
  arrays->width = fields.width, arrays->height = fields.height;
  if (fields.n == 0)
    return g_steal_pointer (&arrays);
  for (gsize i = 0; i < G_N_ELEMENTS (square_side); i++)
    if (!find_candidates (&fields, square_side[i], most_squares[i], candidates, error))
      return NULL;
  g_array_sort (candidates, compare_candidates);
  map.n = (int) MIN (candidates->len, NOTCH_MAX_CELLS);
  for (int i = 0; i < map.n; i++)
    map.cell[i] = g_array_index (candidates, Candidate, i).cell;
  if (map.n > 0 && !map_arrays (arrays, &fields, &map, error))
    return NULL;
  return g_steal_pointer (&arrays);
}

char *
notch_arrays_describe (const NotchArrays *arrays)
{
  GString *text = g_string_new (NULL);
  for (int i = 0; i < arrays->n; i++) {
    const NotchCell *c = &arrays->cell[i];
    char number[7][G_ASCII_DTOSTR_BUF_SIZE];
    const double value[6] = { hypot (c->ax, c->ay), hypot (c->bx, c->by), c->ax, c->ay, c->bx, c->by };
    for (int k = 0; k < 6; k++)
      g_ascii_formatd (number[k], sizeof number[k], "%.4f", value[k]);
    g_ascii_formatd (number[6], sizeof number[6], "%.1f", 100 * arrays->share[i]);
    g_string_append_printf (text, "array %d: cells of %s x %s px, sides %s, %s and %s, %s; %s %% of %s\n", i + 1,
                            number[0], number[1], number[2], number[3], number[4], number[5], number[6],
                            arrays->in_dice ? "a die" : "the image");
  }
  return g_string_free (text, FALSE);
}
