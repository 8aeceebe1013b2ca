/* die.c - the same place in neighbouring dice: the median of the K nearest whole dice, the die itself left out */
#include "inspect/reference/reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PATCHES 9

/* The parts of a die that it is registered by, cut from one die that has structure in them. */
typedef struct {
  int side, n;
  double x[MAX_PATCHES], y[MAX_PATCHES]; /* px from the die's corner */
  double quality[MAX_PATCHES];
  double off_x[MAX_PATCHES], off_y[MAX_PATCHES]; /* what rounding moved the anchor's patch by */
  void *pixels;                                  /* n squares one under the other */
  const void **row;
  NotchPixels image;
} Anchor;

static void
anchor_free (Anchor *anchor)
{
  g_free (anchor->pixels);
  g_free (anchor->row);
  g_free (anchor);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Anchor, anchor_free)

static NotchDie *
die_at (const NotchPlan *plan, int i)
{
  return &g_array_index (plan->grid->die, NotchDie, i);
}

static gboolean
inspected (const NotchPlan *plan, const NotchDie *die)
{
  return die->kind == NOTCH_DIE_WHOLE || (die->kind == NOTCH_DIE_PARTIAL && plan->recipe->dice.partial);
}

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

/* Whole dice by their distance from the middle of the grid. */
static GArray *
dice_from_the_middle (const NotchPlan *plan)
{
  const NotchGrid *grid = plan->grid;
  double middle_col = grid->first_col + 0.5 * (grid->n_cols - 1),
         middle_row = grid->first_row + 0.5 * (grid->n_rows - 1);
  GArray *list = g_array_new (FALSE, FALSE, sizeof (Ranked));
  for (guint i = 0; i < grid->die->len; i++) {
    const NotchDie *die = die_at (plan, (int) i);
    Ranked ranked = { (int) i, hypot (die->col - middle_col, die->row - middle_row) };
    if (die->kind == NOTCH_DIE_WHOLE)
      g_array_append_val (list, ranked);
  }
  g_array_sort (list, compare_ranked);
  return list;
}

static int
compare_patches (const void *a, const void *b)
{
  const double *x = a, *y = b;
  return (x[2] > y[2]) - (x[2] < y[2]);
}

/* Looks for patches with structure in one die: every candidate is registered with itself, which tells the bound and
 * whether the pattern repeats. Fills x, y, n, best first; FALSE with error only when something failed. */
static gboolean
choose_patches (const NotchPlan *plan, NotchCrew *crew, const NotchCompute *compute, const NotchDie *die,
                Anchor *anchor, GError **error)
{
  double width = fabs (plan->grid->ax), height = fabs (plan->grid->by);
  int nx = CLAMP ((int) (width / anchor->side), 1, 5), ny = CLAMP ((int) (height / anchor->side), 1, 5);
  int most = width >= 4 * anchor->side && height >= 4 * anchor->side ? MAX_PATCHES : 4;
  NotchRows rows = { (gint64) floor (die->y), (gint64) ceil (height) + 2 };
  g_autoptr (NotchStrip) strip = notch_store_strip (plan->store, &rows, 1, error);
  if (!strip)
    return FALSE;
  NotchPair pair[25];
  NotchShiftFound found[25];
  double candidate[25][3];
  int n = 0;
  for (int j = 0; j < ny; j++)
    for (int i = 0; i < nx; i++, n++) {
      candidate[n][0] = nx == 1 ? 0.5 * (width - anchor->side) : i * (width - anchor->side) / (nx - 1);
      candidate[n][1] = ny == 1 ? 0.5 * (height - anchor->side) : j * (height - anchor->side) / (ny - 1);
      gint64 x = (gint64) floor (die->x + candidate[n][0] + 0.5), y = (gint64) floor (die->y + candidate[n][1] + 0.5);
      pair[n] = (NotchPair){ x, y, x, y, 0, 0, (float) plan->recipe->dice.search_px };
    }
  if (!notch_reference_shifts (crew, compute, notch_strip_pixels (strip), NULL, n, pair, found, error))
    return FALSE;
  for (int i = 0; i < n; i++)
    candidate[i][2] = notch_reference_trusted (&found[i]) ? found[i].crlb * (1 + 4 * found[i].ambiguity) : INFINITY;
  qsort (candidate, (size_t) n, sizeof candidate[0], compare_patches);
  anchor->n = 0;
  for (int i = 0; i < n && i < most && isfinite (candidate[i][2]); i++) {
    anchor->x[anchor->n] = candidate[i][0];
    anchor->y[anchor->n] = candidate[i][1];
    anchor->quality[anchor->n++] = candidate[i][2];
  }
  return TRUE;
}

/* Cuts the chosen patches out of the anchor die into an image of their own. */
static gboolean
cut_patches (const NotchPlan *plan, const NotchDie *die, Anchor *anchor, GError **error)
{
  gsize sample = notch_sample_size (plan->source->sample), line = sample * (gsize) anchor->side;
  gsize n_rows = (gsize) anchor->n * (gsize) anchor->side;
  anchor->pixels = g_malloc (line * n_rows);
  anchor->row = g_new (const void *, n_rows);
  for (int i = 0; i < anchor->n; i++) {
    double exact_x = die->x + anchor->x[i], exact_y = die->y + anchor->y[i];
    gint64 x = (gint64) floor (exact_x + 0.5), y = (gint64) floor (exact_y + 0.5);
    anchor->off_x[i] = (double) x - exact_x;
    anchor->off_y[i] = (double) y - exact_y;
    NotchRows rows = { y, anchor->side };
    g_autoptr (NotchStrip) strip = notch_store_strip (plan->store, &rows, 1, error);
    if (!strip)
      return FALSE;
    const NotchPixels *pixels = notch_strip_pixels (strip);
    x = CLAMP (x, 0, pixels->width - anchor->side);
    for (int r = 0; r < anchor->side; r++) {
      gint64 from = CLAMP (y + r - pixels->y, 0, pixels->n_rows - 1);
      gsize at = (gsize) i * (gsize) anchor->side + (gsize) r;
      char *to = (char *) anchor->pixels + at * line;
      memcpy (to, (const char *) pixels->row[from] + (gsize) x * sample, line);
      anchor->row[at] = to;
    }
  }
  anchor->image = (NotchPixels){ plan->source->sample, anchor->side, (gint64) n_rows, 0, (gint64) n_rows, anchor->row };
  return TRUE;
}

static Anchor *
find_anchor (const NotchPlan *plan, NotchCrew *crew, const NotchCompute *compute, int side, GError **error)
{
  g_autoptr (Anchor) anchor = g_new0 (Anchor, 1);
  anchor->side = side;
  g_autoptr (GArray) list = dice_from_the_middle (plan);
  for (guint i = 0; i < list->len && i < 16; i++) { /* the middle die may be blank; not sixteen in a row */
    const NotchDie *die = die_at (plan, g_array_index (list, Ranked, i).die);
    if (!choose_patches (plan, crew, compute, die, anchor, error))
      return NULL;
    if (anchor->n > 0)
      return cut_patches (plan, die, anchor, error) ? g_steal_pointer (&anchor) : NULL;
  }
  return g_steal_pointer (&anchor); /* nothing to register by anywhere */
}

/* Registers the dice of one row on one patch. `found` has a row of n patches a die. */
static gboolean
register_row (const NotchPlan *plan, NotchCrew *crew, const NotchCompute *compute, const Anchor *anchor, int row,
              int patch, NotchShiftFound (*found)[MAX_PATCHES], GError **error)
{
  const NotchGrid *grid = plan->grid;
  g_autofree NotchPair *pair = g_new (NotchPair, grid->n_cols);
  g_autofree NotchShiftFound *measured = g_new (NotchShiftFound, grid->n_cols);
  g_autofree int *index = g_new (int, grid->n_cols);
  int n = 0;
  gint64 top = G_MAXINT64, bottom = G_MININT64;
  for (int c = 0; c < grid->n_cols; c++) {
    int at = row * grid->n_cols + c;
    const NotchDie *die = die_at (plan, at);
    gint64 x = (gint64) floor (die->x + anchor->x[patch] + 0.5), y = (gint64) floor (die->y + anchor->y[patch] + 0.5);
    if (!inspected (plan, die) || x < 0 || y < 0 || x + anchor->side > plan->source->width
        || y + anchor->side > plan->source->height)
      continue;
    pair[n] = (NotchPair){ 0, (gint64) patch * anchor->side, x, y, 1, 0, (float) plan->recipe->dice.search_px };
    index[n++] = at;
    top = MIN (top, y), bottom = MAX (bottom, y + anchor->side);
  }
  if (n == 0)
    return TRUE;
  NotchRows rows = { top, bottom - top };
  g_autoptr (NotchStrip) strip = notch_store_strip (plan->store, &rows, 1, error);
  if (!strip
      || !notch_reference_shifts (crew, compute, notch_strip_pixels (strip), &anchor->image, n, pair, measured, error))
    return FALSE;
  for (int i = 0; i < n; i++) {
    const NotchDie *die = die_at (plan, index[i]);
    NotchShiftFound *to = &found[index[i]][patch];
    *to = measured[i];
    to->dx += (float) ((double) pair[i].bx - (die->x + anchor->x[patch]) - anchor->off_x[patch]);
    to->dy += (float) ((double) pair[i].by - (die->y + anchor->y[patch]) - anchor->off_y[patch]);
  }
  return TRUE;
}

/* Turns a die's patches into its warp and its trust. */
static void
settle_die (NotchPlan *plan, const Anchor *anchor, int at, const NotchShiftFound *found)
{
  NotchDie *die = die_at (plan, at);
  NotchWarp *warp = &plan->warp[at];
  double x[MAX_PATCHES], y[MAX_PATCHES], dx[MAX_PATCHES], dy[MAX_PATCHES], weight[MAX_PATCHES];
  int trusted = 0, measured = 0, flat = 0;
  for (int i = 0; i < anchor->n; i++) {
    gboolean well = notch_reference_trusted (&found[i]);
    x[i] = die->x + anchor->x[i] + 0.5 * anchor->side, y[i] = die->y + anchor->y[i] + 0.5 * anchor->side;
    dx[i] = found[i].dx, dy[i] = found[i].dy;
    double bound = MAX (found[i].crlb, 0.002);
    weight[i] = well ? 1 / (bound * bound) : 0;
    trusted += well;
    measured += found[i].psr > 0 || found[i].crlb > 0;
    flat += found[i].crlb > 0 && !isfinite (found[i].crlb);
  }
  *warp =
      (NotchWarp){ .centre_x = die->x + 0.5 * fabs (plan->grid->ax), .centre_y = die->y + 0.5 * fabs (plan->grid->by) };
  die->blank = die->kind == NOTCH_DIE_WHOLE && measured > 0 && flat == measured; /* a sliver may well be empty */
  die->trust = 0;
  if (trusted > 0 && notch_warp_fit (warp, anchor->n, x, y, dx, dy, weight))
    die->trust = (float) trusted / (float) anchor->n;
}

/* Shifts change smoothly over the wafer: a plane through all of them predicts those that could not be measured, and
 * unmasks those that were measured wrongly (more than 3.5 MAD and half a pixel off). */
static void
smooth_shifts (NotchPlan *plan)
{
  const NotchGrid *grid = plan->grid;
  guint n = grid->die->len;
  g_autofree double *v = g_new0 (double, 5 * (gsize) n);
  double *x = v, *y = v + n, *dx = v + 2 * n, *dy = v + 3 * n, *weight = v + 4 * n;
  for (guint i = 0; i < n; i++) {
    x[i] = plan->warp[i].centre_x, y[i] = plan->warp[i].centre_y;
    dx[i] = plan->warp[i].dx, dy[i] = plan->warp[i].dy;
    weight[i] = die_at (plan, (int) i)->trust > 0;
  }
  NotchWarp wafer = { .centre_x = 0.5 * (double) plan->source->width, .centre_y = 0.5 * (double) plan->source->height };
  gboolean known = notch_warp_fit (&wafer, (int) n, x, y, dx, dy, weight);
  double sum = 0;
  int count = 0;
  for (guint i = 0; i < n && known; i++) {
    double px, py;
    notch_warp_at (&wafer, x[i], y[i], &px, &py);
    NotchDie *die = die_at (plan, (int) i);
    double off = hypot (dx[i] - px, dy[i] - py);
    if (die->trust > 0 && off < 3) {
      sum += off * off;
      count++;
    }
  }
  plan->shift_rms = count > 0 ? sqrt (sum / count) : 0;
  double cut = MAX (6 * plan->shift_rms, 0.5);
  for (guint i = 0; i < n; i++) {
    NotchDie *die = die_at (plan, (int) i);
    double px = 0, py = 0;
    if (known)
      notch_warp_at (&wafer, x[i], y[i], &px, &py);
    if (die->trust == 0 || hypot (dx[i] - px, dy[i] - py) > cut) {
      die->trust = 0;
      plan->warp[i].dx = px, plan->warp[i].dy = py;
      plan->warp[i].xx = plan->warp[i].xy = plan->warp[i].yx = plan->warp[i].yy = 0;
    }
    die->dx = plan->warp[i].dx, die->dy = plan->warp[i].dy;
  }
}

/* The K nearest whole dice in this row and the rows beside it; those that could not be registered are no witnesses
 * unless there are no others. */
static void
choose_neighbours (NotchPlan *plan)
{
  const NotchGrid *grid = plan->grid;
  guint n = grid->die->len;
  int most = plan->recipe->reference.neighbours;
  gboolean any_trusted = FALSE;
  for (guint i = 0; i < n; i++)
    any_trusted |= die_at (plan, (int) i)->trust > 0;
  for (guint i = 0; i < n; i++) {
    const NotchDie *die = die_at (plan, (int) i);
    NotchNeighbours *neighbours = &plan->neighbours[i];
    neighbours->n = 0;
    if (!inspected (plan, die))
      continue;
    g_autoptr (GArray) near = g_array_new (FALSE, FALSE, sizeof (Ranked));
    for (int row = MAX (die->row - 1, grid->first_row); row <= MIN (die->row + 1, grid->first_row + grid->n_rows - 1);
         row++)
      for (int col = MAX (die->col - most, grid->first_col);
           col <= MIN (die->col + most, grid->first_col + grid->n_cols - 1); col++) {
        int at = (row - grid->first_row) * grid->n_cols + (col - grid->first_col);
        const NotchDie *other = die_at (plan, at);
        if (other == die || other->kind != NOTCH_DIE_WHOLE || (any_trusted && other->trust == 0))
          continue;
        Ranked ranked = { at, hypot ((col - die->col) * grid->ax, (row - die->row) * grid->by) };
        g_array_append_val (near, ranked);
      }
    g_array_sort (near, compare_ranked);
    for (guint k = 0; k < near->len && neighbours->n < most; k++)
      neighbours->die[neighbours->n++] = g_array_index (near, Ranked, k).die;
  }
}

static gboolean
prepare (NotchPlan *plan, const NotchCompute *compute, GError **error)
{
  const NotchGrid *grid = plan->grid;
  guint n = grid->die->len;
  plan->warp = g_new0 (NotchWarp, n);
  plan->neighbours = g_new0 (NotchNeighbours, n);
  int side = notch_reference_patch_size (fabs (grid->ax), fabs (grid->by));
  if (side == 0) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT,
                 "dice of %.1f x %.1f px are too small to be aligned; at least 24 px", fabs (grid->ax),
                 fabs (grid->by));
    return FALSE;
  }
  NotchLaneSize size = {
    .batch = 1, .size = 32, .halo = 4, .shift_size = side, .max_blobs = 1, .patch_side = 1, .max_patches = 1
  };
  g_autoptr (NotchCrew) crew = notch_crew_new (compute->kernels, compute->device, compute->jobs, &size, error);
  if (!crew)
    return FALSE;
  g_autoptr (Anchor) anchor = find_anchor (plan, crew, compute, side, error);
  if (!anchor)
    return FALSE;
  NotchShiftFound (*found)[MAX_PATCHES] = g_malloc0 (sizeof *found * n);
  gboolean well = TRUE;
  for (int row = 0; row < grid->n_rows && well; row++)
    for (int i = 0; i < anchor->n && well; i++)
      well = register_row (plan, crew, compute, anchor, row, i, found, error);
  for (guint i = 0; i < n && well; i++)
    settle_die (plan, anchor, (int) i, found[i]);
  g_free (found);
  if (!well)
    return FALSE;
  if (anchor->n == 0)
    g_ptr_array_add (plan->warning,
                     g_strdup ("no die has structure to align by; dice are taken to lie exactly on the grid"));
  smooth_shifts (plan);
  choose_neighbours (plan);
  return TRUE;
}

/* ---- sources --------------------------------------------------------------------------------------------------- */

typedef struct {
  const NotchPlan *plan;
  int die;
} Context;

static void
shift_at (const void *data, double x, double y, int k, NotchSourceShift *shift)
{
  const Context *context = data;
  const NotchPlan *plan = context->plan;
  int other = plan->neighbours[context->die].die[k];
  const NotchDie *a = die_at (plan, context->die), *b = die_at (plan, other);
  double apart_x = b->x - a->x, apart_y = b->y - a->y, ax, ay, bx, by;
  notch_warp_at (&plan->warp[context->die], x, y, &ax, &ay);
  notch_warp_at (&plan->warp[other], x + apart_x, y + apart_y, &bx, &by);
  *shift = (NotchSourceShift){ apart_x + bx - ax, apart_y + by - ay, 1, NOTCH_MEM_IMAGE };
}

static double
steepness (const NotchWarp *warp)
{
  return MAX (fabs (warp->xx) + fabs (warp->xy), fabs (warp->yx) + fabs (warp->yy));
}

/* The cell of a die in whole pixels, first and one beyond last; cells of neighbours meet without a gap. */
static void
cell_of (const NotchGrid *grid, const NotchDie *die, gint64 *x0, gint64 *y0, gint64 *x1, gint64 *y1)
{
  *x0 = (gint64) floor (die->x + 0.5), *y0 = (gint64) floor (die->y + 0.5);
  *x1 = (gint64) floor (die->x + grid->ax + 0.5), *y1 = (gint64) floor (die->y + grid->by + 0.5);
}

/* Rows of dice whose cells meet the image rows y to y + n. */
static void
rows_between (const NotchPlan *plan, gint64 y, gint64 n, int *first, int *last)
{
  const NotchGrid *grid = plan->grid;
  double slope = fabs (grid->ay) * (grid->n_cols + 1);
  *first = (int) floor (((double) y - grid->y - slope) / grid->by) - 1;
  *last = (int) ceil (((double) (y + n) - grid->y + slope) / grid->by) + 1;
  *first = CLAMP (*first, grid->first_row, grid->first_row + grid->n_rows);
  *last = CLAMP (*last, grid->first_row - 1, grid->first_row + grid->n_rows - 1);
}

static void
needs (const NotchPlan *plan, gint64 y, int size, NotchNeeds *needs)
{
  const NotchGrid *grid = plan->grid;
  double low[3] = { 0, 0, 0 }, high[3] = { 0, 0, 0 };
  gboolean used[3] = { FALSE, TRUE, FALSE };
  int first, last;
  rows_between (plan, y, size, &first, &last);
  for (int row = first; row <= last; row++)
    for (int col = 0; col < grid->n_cols; col++) {
      int at = (row - grid->first_row) * grid->n_cols + col;
      const NotchDie *die = die_at (plan, at);
      gint64 x0, y0, x1, y1;
      cell_of (grid, die, &x0, &y0, &x1, &y1);
      if (y1 <= y || y0 >= y + size)
        continue;
      Context context = { plan, at };
      for (int k = 0; k < plan->neighbours[at].n; k++) {
        const NotchDie *other = die_at (plan, plan->neighbours[at].die[k]);
        int side = other->row - die->row + 1;
        for (int corner = 0; corner < 4; corner++) {
          NotchSourceShift shift;
          shift_at (&context, corner % 2 ? (double) x1 : (double) x0, corner / 2 ? (double) y1 : (double) y0, k,
                    &shift);
          low[side] = used[side] ? MIN (low[side], shift.dy) : shift.dy;
          high[side] = used[side] ? MAX (high[side], shift.dy) : shift.dy;
          used[side] = TRUE;
        }
      }
    }
  needs->n[0] = 0, needs->n[1] = 0;
  for (int side = 0; side < 3; side++)
    if (used[side]) {
      gint64 from = y + (gint64) floor (low[side]) - 3, to = y + size + (gint64) ceil (high[side]) + 4;
      needs->rows[0][needs->n[0]++] = (NotchRows){ from, to - from };
    }
}

static void
pieces (const NotchPlan *plan, gint64 x, gint64 y, int size, GArray *piece, GArray *source)
{
  const NotchGrid *grid = plan->grid;
  int first, last;
  rows_between (plan, y, size, &first, &last);
  double slope = fabs (grid->bx) * (grid->n_rows + 1);
  int first_col = (int) floor (((double) x - grid->x - slope) / grid->ax) - 1;
  int last_col = (int) ceil (((double) (x + size) - grid->x + slope) / grid->ax) + 1;
  first_col = MAX (first_col, grid->first_col);
  last_col = MIN (last_col, grid->first_col + grid->n_cols - 1);
  for (int row = first; row <= last; row++)
    for (int col = first_col; col <= last_col; col++) {
      int at = (row - grid->first_row) * grid->n_cols + (col - grid->first_col);
      const NotchDie *die = die_at (plan, at);
      const NotchNeighbours *neighbours = &plan->neighbours[at];
      gint64 x0, y0, x1, y1;
      cell_of (grid, die, &x0, &y0, &x1, &y1);
      x0 = MAX (MAX (x0, x), 0), y0 = MAX (MAX (y0, y), 0);
      x1 = MIN (MIN (x1, x + size), plan->source->width), y1 = MIN (MIN (y1, y + size), plan->source->height);
      if (x0 >= x1 || y0 >= y1 || !inspected (plan, die) || neighbours->n == 0)
        continue;
      Context context = { plan, at };
      NotchPieceMaker maker = { x, y, neighbours->n, 0, steepness (&plan->warp[at]), shift_at, &context };
      for (int k = 0; k < neighbours->n; k++)
        maker.slope = MAX (maker.slope, steepness (&plan->warp[at]) + steepness (&plan->warp[neighbours->die[k]]));
      notch_reference_append (&maker, (int) (x0 - x), (int) (y0 - y), (int) (x1 - x0), (int) (y1 - y0), piece, source);
    }
}

const NotchReference notch_reference_die = {
  .name = "die",
  .summary = "the same place in neighbouring dice",
  .prepare = prepare,
  .needs = needs,
  .pieces = pieces,
};
