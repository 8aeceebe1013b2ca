/* join.c - connected components over the seams of tiles: a grid of cells, union-find, and additions */
#include "inspect/detect/join.h"

#include <math.h>

#include "kernels/math/blob.h"

/* A pixel at a seam, and which blob of the array beside it it belongs to. */
typedef struct {
  gint64 x, y;
  guint part;
} Pixel;

typedef struct {
  int missing;   /* tiles still to come */
  gint64 bottom; /* px: first image row below the cores */
  GArray *part;  /* NotchJoined */
  GArray *pixel; /* Pixel */
} Row;

struct NotchJoin {
  gint64 reach;
  int patch_side;
  gsize max_patches;
  int n_rows, next_row; /* rows before next_row are resolved */
  Row *row;
  GArray *open;     /* NotchJoined that later rows can touch */
  GArray *frontier; /* Pixel: where they can be touched */
  GArray *closed;   /* NotchJoined with a seed that nothing can touch any more */
  gsize n_patches;  /* in closed */
  gboolean full;    /* max_patches patches of closed blobs are stronger than or equal to `weakest` */
  NotchJoined weakest;
};

static const gint64 feret_cos[NOTCH_FERET_DIRECTIONS] = NOTCH_FERET_COS;
static const gint64 feret_sin[NOTCH_FERET_DIRECTIONS] = NOTCH_FERET_SIN;
_Static_assert(G_N_ELEMENTS (feret_cos) == NOTCH_FERET_DIRECTIONS, "a cosine each direction");
_Static_assert(G_N_ELEMENTS (feret_sin) == NOTCH_FERET_DIRECTIONS, "a sine each direction");

/* ---- one blob -------------------------------------------------------------------------------------------------- */

void
notch_joined_init (NotchJoined *joined, const NotchBlob *blob, gint64 x, gint64 y)
{
  const NotchWide dx = x, dy = y, n = blob->n;

  *joined = (NotchJoined){
    .n = n,
    .n_seed = blob->n_seed,
    .x = blob->x + n * dx,
    .y = blob->y + n * dy,
    .xx = blob->xx + 2 * dx * blob->x + n * dx * dx,
    .yy = blob->yy + 2 * dy * blob->y + n * dy * dy,
    .xy = blob->xy + dy * blob->x + dx * blob->y + n * dx * dy,
    .w = blob->w,
    .wx = blob->wx + dx * blob->w,
    .wy = blob->wy + dy * blob->w,
    .res = blob->res,
    .res_abs = blob->res_abs,
    .ref = blob->ref,
    .ref_edge = blob->ref_edge,
    .z = blob->z,
    .x0 = x + blob->x0,
    .y0 = y + blob->y0,
    .x1 = x + blob->x1,
    .y1 = y + blob->y1,
    .peak = blob->peak,
    .peak_channel = blob->peak_channel,
    .peak_dark = blob->peak_dark,
    .peak_x = x + blob->peak_x,
    .peak_y = y + blob->peak_y,
    .peak_dx = blob->peak_dx,
    .peak_dy = blob->peak_dy,
    .look = notch_look_none (),
  };
  for (int k = 0; k < NOTCH_FERET_DIRECTIONS; k++)
    joined->feret[k] = blob->feret[k] + x * feret_cos[k] + y * feret_sin[k];
}

void
notch_joined_clear (NotchJoined *joined)
{
  g_clear_pointer (&joined->patch, g_free);
  g_clear_pointer (&joined->linked.part, g_array_unref);
}

void
notch_joined_forget (NotchJoined *joined)
{
  joined->patch = NULL;
  joined->linked.part = NULL;
}

/* Below zero when the first peak comes first: the higher one, then the one further up, then further left. */
static int
compare_peaks (int peak_a, gint64 xa, gint64 ya, int peak_b, gint64 xb, gint64 yb)
{
  if (peak_a != peak_b)
    return peak_a > peak_b ? -1 : 1;
  if (ya != yb)
    return ya < yb ? -1 : 1;
  return (xa > xb) - (xa < xb);
}

static int
compare_patches (const NotchJoined *a, const NotchJoined *b)
{
  return compare_peaks (a->patch_peak, a->patch_x, a->patch_y, b->patch_peak, b->patch_x, b->patch_y);
}

static void
take_patch (NotchJoined *to, NotchJoined *from)
{
  g_free (to->patch);
  to->patch = g_steal_pointer (&from->patch);
  to->look = from->look;
  to->patch_peak = from->patch_peak;
  to->patch_x = from->patch_x;
  to->patch_y = from->patch_y;
}

void
notch_joined_merge (NotchJoined *to, NotchJoined *from)
{
  to->n += from->n;
  to->n_seed += from->n_seed;
  to->x += from->x;
  to->y += from->y;
  to->xx += from->xx;
  to->yy += from->yy;
  to->xy += from->xy;
  to->w += from->w;
  to->wx += from->wx;
  to->wy += from->wy;
  to->res += from->res;
  to->res_abs += from->res_abs;
  to->ref += from->ref;
  to->ref_edge += from->ref_edge;
  to->z += from->z;
  to->x0 = MIN (to->x0, from->x0);
  to->y0 = MIN (to->y0, from->y0);
  to->x1 = MAX (to->x1, from->x1);
  to->y1 = MAX (to->y1, from->y1);
  for (int k = 0; k < NOTCH_FERET_DIRECTIONS; k++)
    to->feret[k] = MAX (to->feret[k], from->feret[k]);
  if (compare_peaks (from->peak, from->peak_x, from->peak_y, to->peak, to->peak_x, to->peak_y) < 0) {
    to->peak = from->peak;
    to->peak_channel = from->peak_channel;
    to->peak_dark = from->peak_dark;
    to->peak_x = from->peak_x;
    to->peak_y = from->peak_y;
    to->peak_dx = from->peak_dx;
    to->peak_dy = from->peak_dy;
  }
  if (from->patch_peak > 0 && (to->patch_peak == 0 || compare_patches (from, to) < 0))
    take_patch (to, from);
  notch_joined_clear (from);
}

void
notch_joined_move (GArray *to, guint i, NotchJoined *from)
{
  NotchJoined moved = *from;
  notch_joined_forget (from);
  g_array_index (to, NotchJoined, i) = moved;
}

/* Moves a blob to the end of an array, and its patch with it. */
static void
move (GArray *to, NotchJoined *from)
{
  g_array_append_vals (to, from, 1);
  notch_joined_forget (from);
}

/* ---- which pixels belong together ------------------------------------------------------------------------------ */

static guint
find (guint *parent, guint i)
{
  while (parent[i] != i) {
    parent[i] = parent[parent[i]];
    i = parent[i];
  }
  return i;
}

/* The root is the lowest index, so a part always merges into one before it. */
static void
unite (guint *parent, guint a, guint b)
{
  a = find (parent, a);
  b = find (parent, b);
  parent[MAX (a, b)] = MIN (a, b);
}

/* The pixels of one square of reach + 1 px: all of them are within reach of each other. */
typedef struct {
  gint64 col, row;
  guint first, n;        /* in the sorted pixels */
  gint64 x0, y0, x1, y1; /* what they span, inclusive */
} Cell;

static int
compare_cells (gconstpointer a, gconstpointer b, gpointer data)
{
  const Pixel *p = a, *q = b;
  const gint64 side = *(const gint64 *) data;

  if (p->y / side != q->y / side)
    return p->y / side < q->y / side ? -1 : 1;
  return (p->x / side > q->x / side) - (p->x / side < q->x / side);
}

/* Is any pixel of one cell within reach of any of a neighbouring cell? Side by side, the cells' other coordinates
 * differ by at most reach whatever the pixels, so their spans decide; over a corner both coordinates count, pair by
 * pair. */
static gboolean
touch (const Pixel *pixel, const Cell *a, const Cell *b, gint64 reach)
{
  if (MAX (b->x0 - a->x1, a->x0 - b->x1) > reach || MAX (b->y0 - a->y1, a->y0 - b->y1) > reach)
    return FALSE;
  if (a->col == b->col || a->row == b->row)
    return TRUE;
  for (guint i = a->first; i < a->first + a->n; i++)
    for (guint j = b->first; j < b->first + b->n; j++)
      if (ABS (pixel[i].x - pixel[j].x) <= reach && ABS (pixel[i].y - pixel[j].y) <= reach)
        return TRUE;
  return FALSE;
}

static GArray *
make_cells (const GArray *pixels, gint64 side, guint *parent)
{
  GArray *cells = g_array_new (FALSE, FALSE, sizeof (Cell));
  const Pixel *pixel = (const Pixel *) pixels->data;

  for (guint i = 0; i < pixels->len; i++) {
    const gint64 x = pixel[i].x, y = pixel[i].y;
    Cell *last = cells->len > 0 ? &g_array_index (cells, Cell, cells->len - 1) : NULL;
    if (last != NULL && last->col == x / side && last->row == y / side) {
      last->n++;
      last->x0 = MIN (last->x0, x);
      last->y0 = MIN (last->y0, y);
      last->x1 = MAX (last->x1, x);
      last->y1 = MAX (last->y1, y);
      unite (parent, pixel[last->first].part, pixel[i].part);
    } else {
      const Cell cell = { x / side, y / side, i, 1, x, y, x, y };
      g_array_append_val (cells, cell);
    }
  }
  return cells;
}

/* Unites the parts of all pixels that are within reach of each other; sorts the pixels. */
static void
connect (GArray *pixels, gint64 reach, guint *parent)
{
  gint64 side = reach + 1;

  g_array_sort_with_data (pixels, compare_cells, &side);
  g_autoptr (GArray) cells = make_cells (pixels, side, parent);
  const Pixel *pixel = (const Pixel *) pixels->data;
  const Cell *cell = (const Cell *) cells->data;
  guint below = 0; /* the first cell that is not before the left lower neighbour */
  for (guint i = 0; i < cells->len; i++) {
    const Cell *a = &cell[i];
    while (below < cells->len
           && (cell[below].row <= a->row || (cell[below].row == a->row + 1 && cell[below].col < a->col - 1)))
      below++;
    if (i + 1 < cells->len && cell[i + 1].row == a->row && cell[i + 1].col == a->col + 1
        && touch (pixel, a, &cell[i + 1], reach))
      unite (parent, pixel[a->first].part, pixel[cell[i + 1].first].part);
    for (guint j = below; j < cells->len && cell[j].row == a->row + 1 && cell[j].col <= a->col + 1; j++) {
      const guint p = pixel[a->first].part, q = pixel[cell[j].first].part;
      if (find (parent, p) != find (parent, q) && touch (pixel, a, &cell[j], reach))
        unite (parent, p, q);
    }
  }
}

/* ---- patches --------------------------------------------------------------------------------------------------- */

static int
compare_patches_of (gconstpointer a, gconstpointer b)
{
  return compare_patches (*(NotchJoined *const *) a, *(NotchJoined *const *) b);
}

/* Leaves max_patches patches to the closed blobs. */
static void
trim_patches (NotchJoin *join)
{
  if (join->n_patches <= join->max_patches)
    return;
  g_autoptr (GPtrArray) holder = g_ptr_array_sized_new (join->n_patches);
  for (guint i = 0; i < join->closed->len; i++) {
    NotchJoined *joined = &g_array_index (join->closed, NotchJoined, i);
    if (joined->patch != NULL)
      g_ptr_array_add (holder, joined);
  }
  g_ptr_array_sort (holder, compare_patches_of);
  for (guint i = join->max_patches; i < holder->len; i++)
    notch_joined_clear (holder->pdata[i]);
  join->n_patches = join->max_patches;
  join->weakest = *(NotchJoined *) holder->pdata[join->max_patches - 1];
  join->weakest.patch = NULL; /* only its rank counts */
  join->full = TRUE;
}

/* May a patch still be among the strongest? What is refused here would not be in the result either way, so that the
 * result does not depend on when tiles come. */
static gboolean
patch_counts (const NotchJoin *join, const NotchJoined *joined)
{
  return join->max_patches > 0 && (!join->full || compare_patches (joined, &join->weakest) < 0);
}

/* ---- rows of tiles --------------------------------------------------------------------------------------------- */

static GArray *
blobs_new (void)
{
  GArray *blobs = g_array_new (FALSE, FALSE, sizeof (NotchJoined));
  g_array_set_clear_func (blobs, (GDestroyNotify) notch_joined_clear);
  return blobs;
}

static void
close_blob (NotchJoin *join, NotchJoined *joined)
{
  if (joined->n_seed == 0)
    return;
  if (joined->patch != NULL && !patch_counts (join, joined))
    notch_joined_clear (joined);
  if (joined->patch != NULL)
    join->n_patches++;
  move (join->closed, joined);
  if (join->n_patches / 2 > join->max_patches) /* not at every one: trimming sorts */
    trim_patches (join);
}

/* Joins the next row of tiles to what is open above it. */
static void
resolve (NotchJoin *join)
{
  Row *row = &join->row[join->next_row++];
  if (row->part == NULL) /* no tiles: what is open may touch the row after it */
    return;

  g_autoptr (GArray) blobs = g_steal_pointer (&join->open);
  g_autoptr (GArray) pixels = g_steal_pointer (&join->frontier);
  const guint n_open = blobs->len;
  for (guint i = 0; i < row->part->len; i++)
    move (blobs, &g_array_index (row->part, NotchJoined, i));
  for (guint i = 0; i < row->pixel->len; i++)
    g_array_index (row->pixel, Pixel, i).part += n_open;
  g_array_append_vals (pixels, row->pixel->data, row->pixel->len);
  g_clear_pointer (&row->part, g_array_unref);
  g_clear_pointer (&row->pixel, g_array_unref);

  g_autofree guint *parent = g_new (guint, blobs->len);
  for (guint i = 0; i < blobs->len; i++)
    parent[i] = i;
  connect (pixels, join->reach, parent);
  for (guint i = 0; i < blobs->len; i++)
    if (find (parent, i) != i)
      notch_joined_merge (&g_array_index (blobs, NotchJoined, find (parent, i)),
                          &g_array_index (blobs, NotchJoined, i));

  /* What has a pixel within reach of the rows below stays open, under a new index; the rest is done. */
  g_autofree guint *index = g_new (guint, blobs->len);
  for (guint i = 0; i < blobs->len; i++)
    index[i] = G_MAXUINT;
  join->open = blobs_new ();
  join->frontier = g_array_new (FALSE, FALSE, sizeof (Pixel));
  for (guint i = 0; i < pixels->len; i++) {
    Pixel pixel = g_array_index (pixels, Pixel, i);
    const guint root = find (parent, pixel.part);
    if (pixel.y + join->reach < row->bottom)
      continue;
    if (index[root] == G_MAXUINT) {
      index[root] = join->open->len;
      move (join->open, &g_array_index (blobs, NotchJoined, root));
    }
    pixel.part = index[root];
    g_array_append_val (join->frontier, pixel);
  }
  for (guint i = 0; i < blobs->len; i++)
    if (parent[i] == i && index[i] == G_MAXUINT)
      close_blob (join, &g_array_index (blobs, NotchJoined, i));
}

NotchJoin *
notch_join_new (int reach, int n_rows, const int *tiles_in_row, int patch_side, gsize max_patches)
{
  g_return_val_if_fail (reach >= 1 && n_rows >= 0 && patch_side >= 0, NULL);

  NotchJoin *join = g_new0 (NotchJoin, 1);
  join->reach = reach;
  join->patch_side = patch_side;
  join->max_patches = MIN (max_patches, G_MAXUINT / 4); /* trimming counts in guint */
  join->n_rows = n_rows;
  join->row = g_new0 (Row, n_rows);
  for (int i = 0; i < n_rows; i++)
    join->row[i].missing = tiles_in_row[i];
  join->open = blobs_new ();
  join->frontier = g_array_new (FALSE, FALSE, sizeof (Pixel));
  join->closed = blobs_new ();
  return join;
}

void
notch_join_free (NotchJoin *join)
{
  if (join == NULL)
    return;
  for (int i = 0; i < join->n_rows; i++) {
    g_clear_pointer (&join->row[i].part, g_array_unref);
    g_clear_pointer (&join->row[i].pixel, g_array_unref);
  }
  g_free (join->row);
  g_array_unref (join->open);
  g_array_unref (join->frontier);
  g_array_unref (join->closed);
  g_free (join);
}

void
notch_join_add (NotchJoin *join, int row_index, const NotchTile *tile, const NotchTileFound *found,
                const NotchLook *look)
{
  g_return_if_fail (row_index >= join->next_row && row_index < join->n_rows && join->row[row_index].missing > 0);

  Row *row = &join->row[row_index];
  if (row->part == NULL) {
    row->part = blobs_new ();
    row->pixel = g_array_new (FALSE, FALSE, sizeof (Pixel));
  }
  const guint first = row->part->len;
  row->bottom = MAX (row->bottom, tile->y + tile->core_y + tile->core_h);
  for (int i = 0; i < found->n_blobs; i++) {
    NotchJoined joined;
    notch_joined_init (&joined, &found->blob[i], tile->x, tile->y);
    g_array_append_val (row->part, joined);
  }
  for (int i = 0; i < found->n_seams; i++) {
    const NotchSeam *seam = &found->seam[i];
    const Pixel pixel = { tile->x + seam->x, tile->y + seam->y, first + seam->blob };
    g_array_append_val (row->pixel, pixel);
  }
  const gsize floats = (gsize) 2 * join->patch_side * join->patch_side;
  for (int i = 0; i < found->n_patches; i++) {
    NotchJoined *joined = &g_array_index (row->part, NotchJoined, first + found->patch_blob[i]);
    joined->patch_peak = joined->peak;
    joined->patch_x = joined->peak_x;
    joined->patch_y = joined->peak_y;
    if (look)
      joined->look = look[i];
    if (patch_counts (join, joined))
      joined->patch = g_memdup2 (found->patch + i * floats, floats * sizeof (float));
  }
  row->missing--;
  while (join->next_row < join->n_rows && join->row[join->next_row].missing == 0)
    resolve (join);
}

static int
compare_places (gconstpointer a, gconstpointer b)
{
  const NotchJoined *p = a, *q = b;

  if (p->y0 != q->y0)
    return p->y0 < q->y0 ? -1 : 1;
  if (p->x0 != q->x0)
    return p->x0 < q->x0 ? -1 : 1;
  return compare_peaks (p->peak, p->peak_x, p->peak_y, q->peak, q->peak_x, q->peak_y); /* no two share a pixel */
}

GArray *
notch_join_finish (NotchJoin *join)
{
  while (join->next_row < join->n_rows)
    resolve (join);
  for (guint i = 0; i < join->open->len; i++)
    close_blob (join, &g_array_index (join->open, NotchJoined, i));
  g_array_set_size (join->open, 0);
  g_array_set_size (join->frontier, 0);
  trim_patches (join);
  g_array_sort (join->closed, compare_places);

  GArray *closed = g_steal_pointer (&join->closed);
  join->closed = blobs_new ();
  join->n_patches = 0;
  return closed;
}
