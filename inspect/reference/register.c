/* register.c - where the pattern of every die lies: patches of one die are looked for in all others */
#include "inspect/reference/register.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PATCHES 9

struct NotchAnchor {
  int side, n;
  double col[MAX_PATCHES], row[MAX_PATCHES];     /* a patch's middle, in cells from the die's corner */
  double off_x[MAX_PATCHES], off_y[MAX_PATCHES]; /* what rounding moved the patch by */
  void *pixels;                                  /* n squares one under the other */
  const void **line;
  NotchPixels image;
};

void
notch_anchor_free (NotchAnchor *anchor)
{
  if (!anchor)
    return;
  g_free (anchor->pixels);
  g_free (anchor->line);
  g_free (anchor);
}

gboolean
notch_anchor_is_empty (const NotchAnchor *anchor)
{
  return anchor->n == 0;
}

static NotchDie *
die_at (const NotchPlan *plan, int i)
{
  return &g_array_index (plan->grid->die, NotchDie, i);
}

gboolean
notch_die_inspected (const NotchPlan *plan, const NotchDie *die)
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

/* Where a patch begins in its own image, by what its place says; and the same in whole pixels. */
static void
patch_corner (const NotchAnchorPlace *place, const NotchAnchor *anchor, int i, double *x, double *y)
{
  *x = place->x + anchor->col[i] * place->width + anchor->row[i] * place->lean - 0.5 * anchor->side;
  *y = place->y + anchor->row[i] * place->height + anchor->col[i] * place->fall - 0.5 * anchor->side;
}

/* The corner of a die in simple images is at a half, a tie: what rounding left of it must not decide. */
static gint64
nearest (double value)
{
  return (gint64) floor (value + 0.5 + 1e-6);
}

/* Looks for patches with structure in one die: every candidate is registered with itself, which tells the bound and
 * whether the pattern repeats. The best come first. */
static gboolean
choose_patches (const NotchAnchorPlace *place, double search_px, NotchCrew *crew, const NotchCompute *compute,
                NotchAnchor *anchor, GError **error)
{
  double width = place->width, height = place->height;
  int nx = CLAMP ((int) (width / anchor->side), 1, 5), ny = CLAMP ((int) (height / anchor->side), 1, 5);
  int most = width >= 4 * anchor->side && height >= 4 * anchor->side ? MAX_PATCHES : 4;
  NotchRows rows = { (gint64) floor (place->y + MIN (place->fall, 0)),
                     (gint64) ceil (height + fabs (place->fall)) + 2 };
  g_autoptr (NotchStrip) strip = notch_store_strip (place->store, &rows, 1, error);
  if (!strip)
    return FALSE;
  NotchPair pair[25];
  NotchShiftFound found[25];
  double candidate[25][3];
  int n = 0;
  for (int j = 0; j < ny; j++)
    for (int i = 0; i < nx; i++, n++) {
      double u = nx == 1 ? 0.5 * (width - anchor->side) : i * (width - anchor->side) / (nx - 1);
      double v = ny == 1 ? 0.5 * (height - anchor->side) : j * (height - anchor->side) / (ny - 1);
      candidate[n][0] = (u + 0.5 * anchor->side) / width;
      candidate[n][1] = (v + 0.5 * anchor->side) / height;
      gint64 x = nearest (place->x + u + candidate[n][1] * place->lean);
      gint64 y = nearest (place->y + v + candidate[n][0] * place->fall);
      pair[n] = (NotchPair){ x, y, x, y, NOTCH_MEM_IMAGE, NOTCH_MEM_IMAGE, (float) search_px };
    }
  if (!notch_reference_shifts (crew, compute, notch_strip_pixels (strip), NULL, n, pair, found, error))
    return FALSE;
  for (int i = 0; i < n; i++)
    candidate[i][2] = notch_reference_trusted (&found[i]) ? found[i].crlb * (1 + 4 * found[i].ambiguity) : INFINITY;
  qsort (candidate, (size_t) n, sizeof candidate[0], compare_patches);
  anchor->n = 0;
  for (int i = 0; i < n && i < most && isfinite (candidate[i][2]); i++) {
    anchor->col[anchor->n] = candidate[i][0];
    anchor->row[anchor->n++] = candidate[i][1];
  }
  return TRUE;
}

/* Cuts the chosen patches out of the anchor die into an image of their own. */
static gboolean
cut_patches (const NotchAnchorPlace *place, NotchAnchor *anchor, GError **error)
{
  gsize n_rows = (gsize) anchor->n * (gsize) anchor->side, line = 0;
  for (int i = 0; i < anchor->n; i++) {
    double exact_x = 0, exact_y = 0;
    patch_corner (place, anchor, i, &exact_x, &exact_y);
    gint64 x = nearest (exact_x), y = nearest (exact_y);
    anchor->off_x[i] = (double) x - exact_x;
    anchor->off_y[i] = (double) y - exact_y;
    NotchRows rows = { y, anchor->side };
    g_autoptr (NotchStrip) strip = notch_store_strip (place->store, &rows, 1, error);
    if (!strip)
      return FALSE;
    const NotchPixels *pixels = notch_strip_pixels (strip);
    gsize sample = notch_sample_size (pixels->sample);
    if (pixels->width < anchor->side || pixels->n_rows < 1) {
      g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT,
                   "its %" G_GINT64_FORMAT
                   " columns hold no patch of %d px to align dice by; check the pitch in [dice]",
                   pixels->width, anchor->side);
      return FALSE;
    }
    if (i == 0) {
      line = sample * (gsize) anchor->side;
      anchor->pixels = g_malloc (line * n_rows);
      anchor->line = g_new (const void *, n_rows);
      anchor->image = (NotchPixels){ pixels->sample, anchor->side, (gint64) n_rows, 0, (gint64) n_rows, anchor->line };
    }
    x = CLAMP (x, 0, pixels->width - anchor->side);
    for (int r = 0; r < anchor->side; r++) {
      gint64 from = CLAMP (y + r - pixels->y, 0, pixels->n_rows - 1);
      gsize at = (gsize) i * (gsize) anchor->side + (gsize) r;
      char *to = (char *) anchor->pixels + at * line;
      memcpy (to, (const char *) pixels->row[from] + (gsize) x * sample, line);
      anchor->line[at] = to;
    }
  }
  return TRUE;
}

static NotchAnchor *
anchor_of_size (double width, double height, GError **error)
{
  int side = notch_reference_patch_size (width, height);
  if (side == 0) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT,
                 "dice of %.1f x %.1f px are too small to be aligned; at least 24 px", width, height);
    return NULL;
  }
  NotchAnchor *anchor = g_new0 (NotchAnchor, 1);
  anchor->side = side;
  return anchor;
}

static NotchCrew *
crew_for (int side, const NotchCompute *compute, GError **error)
{
  NotchLaneSize size = {
    .batch = 1, .size = 32, .halo = 4, .shift_size = side, .max_blobs = 1, .patch_side = 1, .max_patches = 1
  };
  return notch_crew_new (compute, &size, error);
}

NotchAnchor *
notch_anchor_new (const NotchAnchorPlace *place, double search_px, const NotchCompute *compute, GError **error)
{
  g_autoptr (NotchAnchor) anchor = anchor_of_size (place->width, place->height, error);
  g_autoptr (NotchCrew) crew = anchor ? crew_for (anchor->side, compute, error) : NULL;
  if (!crew || !choose_patches (place, search_px, crew, compute, anchor, error) || !cut_patches (place, anchor, error))
    return NULL;
  return g_steal_pointer (&anchor);
}

NotchAnchor *
notch_anchor_find (const NotchPlan *plan, const NotchCompute *compute, GError **error)
{
  const NotchGrid *grid = plan->grid;
  NotchAnchorPlace place = { plan->store, 0, 0, fabs (grid->ax), fabs (grid->by), grid->ay, grid->bx };
  g_autoptr (NotchAnchor) anchor = anchor_of_size (place.width, place.height, error);
  g_autoptr (NotchCrew) crew = anchor ? crew_for (anchor->side, compute, error) : NULL;
  if (!crew)
    return NULL;
  g_autoptr (GArray) list = dice_from_the_middle (plan);
  for (guint i = 0; i < list->len && i < 16; i++) { /* the middle die may be blank; not sixteen in a row */
    const NotchDie *die = die_at (plan, g_array_index (list, Ranked, i).die);
    place.x = die->x, place.y = die->y;
    if (!choose_patches (&place, plan->recipe->dice.search_px, crew, compute, anchor, error))
      return NULL;
    if (anchor->n > 0)
      return cut_patches (&place, anchor, error) ? g_steal_pointer (&anchor) : NULL;
  }
  return g_steal_pointer (&anchor); /* nothing to register by anywhere */
}

/* ---- dice ------------------------------------------------------------------------------------------------------ */

/* Where the lattice has a patch's first pixel in a die. */
static void
patch_in_die (const NotchGrid *grid, const NotchAnchor *anchor, int i, const NotchDie *die, double *x, double *y)
{
  *x = die->x + anchor->col[i] * grid->ax + anchor->row[i] * grid->bx - 0.5 * anchor->side;
  *y = die->y + anchor->col[i] * grid->ay + anchor->row[i] * grid->by - 0.5 * anchor->side;
}

/* Registers the dice of one row on one patch. `found` has a row of n patches for each of them. */
static gboolean
register_row (const NotchPlan *plan, NotchCrew *crew, const NotchCompute *compute, const NotchAnchor *anchor, int row,
              int patch, NotchShiftFound (*found)[MAX_PATCHES], GError **error)
{
  const NotchGrid *grid = plan->grid;
  g_autofree NotchPair *pair = g_new (NotchPair, grid->n_cols);
  g_autofree NotchShiftFound *measured = g_new (NotchShiftFound, grid->n_cols);
  g_autofree int *index = g_new (int, grid->n_cols);
  g_autofree double *exact = g_new (double, 2 * grid->n_cols); /* where the lattice has the patch */
  int n = 0;
  gint64 top = G_MAXINT64, bottom = G_MININT64;
  for (int c = 0; c < grid->n_cols; c++) {
    int at = row * grid->n_cols + c;
    const NotchDie *die = die_at (plan, at);
    patch_in_die (grid, anchor, patch, die, &exact[2 * n], &exact[2 * n + 1]);
    gint64 x = nearest (exact[2 * n]), y = nearest (exact[2 * n + 1]);
    if (!notch_die_inspected (plan, die) || x < 0 || y < 0 || x + anchor->side > plan->source->width
        || y + anchor->side > plan->source->height)
      continue;
    pair[n] = (NotchPair){
      0, (gint64) patch * anchor->side, x, y, NOTCH_MEM_REFERENCE, NOTCH_MEM_IMAGE, (float) plan->recipe->dice.search_px
    };
    index[n++] = c;
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
    NotchShiftFound *to = &found[index[i]][patch];
    *to = measured[i];
    to->dx += (float) ((double) pair[i].bx - exact[2 * i] - anchor->off_x[patch]);
    to->dy += (float) ((double) pair[i].by - exact[2 * i + 1] - anchor->off_y[patch]);
  }
  return TRUE;
}

/* Turns a die's patches into its warp and its trust. */
static void
settle_die (NotchPlan *plan, const NotchAnchor *anchor, int at, const NotchShiftFound *found)
{
  NotchDie *die = die_at (plan, at);
  NotchWarp *warp = &plan->warp[at];
  double x[MAX_PATCHES], y[MAX_PATCHES], dx[MAX_PATCHES], dy[MAX_PATCHES], weight[MAX_PATCHES];
  int trusted = 0, measured = 0, flat = 0;
  for (int i = 0; i < anchor->n; i++) {
    gboolean well = notch_reference_trusted (&found[i]);
    patch_in_die (plan->grid, anchor, i, die, &x[i], &y[i]);
    x[i] += 0.5 * anchor->side, y[i] += 0.5 * anchor->side;
    dx[i] = found[i].dx, dy[i] = found[i].dy;
    double bound = MAX (found[i].crlb, 0.002);
    weight[i] = well ? 1 / (bound * bound) : 0;
    trusted += well;
    measured += found[i].psr > 0 || found[i].crlb > 0;
    flat += found[i].crlb > 0 && !isfinite (found[i].crlb);
  }
  *warp = (NotchWarp){ .centre_x = die->x + 0.5 * (plan->grid->ax + plan->grid->bx),
                       .centre_y = die->y + 0.5 * (plan->grid->ay + plan->grid->by) };
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

gboolean
notch_register_dice (NotchPlan *plan, const NotchCompute *compute, const NotchAnchor *anchor, GError **error)
{
  const NotchGrid *grid = plan->grid;
  guint n = grid->die->len;
  g_autoptr (NotchCrew) crew = crew_for (anchor->side, compute, error);
  if (!crew)
    return FALSE;
  g_free (plan->warp); /* of another method */
  plan->warp = g_try_new0 (NotchWarp, n);
  NotchShiftFound (*found)[MAX_PATCHES] = g_malloc (sizeof *found * (gsize) grid->n_cols); /* of a row */
  gboolean well = plan->warp != NULL;
  if (!well)
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT,
                 "no memory for the shifts of %u dice; give a larger pitch in [dice]", n);
  for (int row = 0; row < grid->n_rows && well; row++) {
    memset (found, 0, sizeof *found * (gsize) grid->n_cols);
    for (int i = 0; i < anchor->n && well; i++)
      well = register_row (plan, crew, compute, anchor, row, i, found, error);
    for (int c = 0; c < grid->n_cols && well; c++)
      settle_die (plan, anchor, row * grid->n_cols + c, found[c]);
  }
  g_free (found);
  if (!well)
    return FALSE;
  if (anchor->n == 0)
    g_ptr_array_add (plan->warning,
                     g_strdup ("no die has structure to align by; dice are taken to lie exactly on the grid"));
  smooth_shifts (plan);
  return TRUE;
}

/* ---- which dice ------------------------------------------------------------------------------------------------ */

void
notch_die_cell (const NotchGrid *grid, const NotchDie *die, gint64 *x0, gint64 *y0, gint64 *x1, gint64 *y1)
{
  *x0 = (gint64) floor (die->x + MIN (grid->bx, 0) + 0.5), *y0 = (gint64) floor (die->y + MIN (grid->ay, 0) + 0.5);
  *x1 = (gint64) floor (die->x + grid->ax + MAX (grid->bx, 0) + 0.5);
  *y1 = (gint64) floor (die->y + grid->by + MAX (grid->ay, 0) + 0.5);
}

void
notch_dice_between (const NotchPlan *plan, gint64 x, gint64 y, gint64 w, gint64 h, NotchDieFunc each, gpointer data)
{
  const NotchGrid *grid = plan->grid;
  double slope_x = fabs (grid->bx) * (grid->n_rows + 1), slope_y = fabs (grid->ay) * (grid->n_cols + 1);
  int first_row = (int) floor (((double) y - grid->y - slope_y) / grid->by) - 1;
  int last_row = (int) ceil (((double) (y + h) - grid->y + slope_y) / grid->by) + 1;
  int first_col = (int) floor (((double) x - grid->x - slope_x) / grid->ax) - 1;
  int last_col = (int) ceil (((double) (x + w) - grid->x + slope_x) / grid->ax) + 1;
  first_row = MAX (first_row, grid->first_row), first_col = MAX (first_col, grid->first_col);
  last_row = MIN (last_row, grid->first_row + grid->n_rows - 1);
  last_col = MIN (last_col, grid->first_col + grid->n_cols - 1);
  for (int row = first_row; row <= last_row; row++)
    for (int col = first_col; col <= last_col; col++) {
      int at = (row - grid->first_row) * grid->n_cols + (col - grid->first_col);
      const NotchDie *die = die_at (plan, at);
      gint64 x0, y0, x1, y1;
      notch_die_cell (grid, die, &x0, &y0, &x1, &y1);
      if (x0 < x + w && y0 < y + h && x1 > x && y1 > y)
        each (plan, at, die, data);
    }
}

/* ---- whose pixels ---------------------------------------------------------------------------------------------- */

/* A border may lie this far from where the lattice has it, px: streets are wider. */
#define MOST_OFF 1.5

typedef struct {
  gint64 x0, y0, x1, y1; /* px: what is cut */
  NotchCutFunc each;
  gpointer data;
} Cutting;

/* Hands on what is left of pixels x0 <= x < x1 and so on of die `at`. */
static void
add_rectangle (const NotchPlan *plan, int at, const Cutting *c, gint64 x0, gint64 y0, gint64 x1, gint64 y1)
{
  x0 = MAX (x0, c->x0), y0 = MAX (y0, c->y0);
  x1 = MIN (x1, c->x1), y1 = MIN (y1, c->y1);
  const NotchCut cut = { x0, y0, x1 - x0, y1 - y0 };
  if (x0 < x1 && y0 < y1)
    c->each (plan, at, &cut, c->data);
}

static void
add_box (const NotchPlan *plan, int at, const NotchDie *die, gpointer data)
{
  gint64 x0, y0, x1, y1;
  notch_die_cell (plan->grid, die, &x0, &y0, &x1, &y1);
  if (notch_die_inspected (plan, die))
    add_rectangle (plan, at, data, x0, y0, x1, y1);
}

/* The strips along the borders of a turned die that boxes of its neighbours cover, cut so short that they follow the
 * slant in steps; dice on both sides of a border cut it at the same places. */
static void
add_borders (const NotchPlan *plan, int at, const NotchDie *die, gpointer data)
{
  const NotchGrid *grid = plan->grid;
  int n_x = (int) ceil (fabs (grid->ay) / (2 * MOST_OFF)), n_y = (int) ceil (fabs (grid->bx) / (2 * MOST_OFF));
  gint64 thick_x = (gint64) ceil (fabs (grid->bx)) + 1, thick_y = (gint64) ceil (fabs (grid->ay)) + 1;
  for (int far = 0; far < 2; far++) {
    for (int k = 0; k < n_y; k++) { /* left and right */
      double x = die->x + far * grid->ax + (k + 0.5) / n_y * grid->bx, y = die->y + far * grid->ay;
      gint64 edge = (gint64) floor (x + 0.5);
      add_rectangle (plan, at, data, far ? edge - thick_x : edge, (gint64) floor (y + grid->by * k / n_y + 0.5),
                     far ? edge : edge + thick_x, (gint64) floor (y + grid->by * (k + 1) / n_y + 0.5));
    }
    for (int k = 0; k < n_x; k++) { /* above and below */
      double x = die->x + far * grid->bx, y = die->y + far * grid->by + (k + 0.5) / n_x * grid->ay;
      gint64 edge = (gint64) floor (y + 0.5);
      add_rectangle (plan, at, data, (gint64) floor (x + grid->ax * k / n_x + 0.5), far ? edge - thick_y : edge,
                     (gint64) floor (x + grid->ax * (k + 1) / n_x + 0.5), far ? edge : edge + thick_y);
    }
  }
}

void
notch_dice_cut (const NotchPlan *plan, gint64 x, gint64 y, gint64 w, gint64 h, NotchCutFunc each, gpointer data)
{
  Cutting cutting = { MAX (x, 0), MAX (y, 0), MIN (x + w, plan->source->width), MIN (y + h, plan->source->height),
                      each,       data };
  notch_dice_between (plan, x, y, w, h, add_box, &cutting);
  if (MAX (fabs (plan->grid->ay), fabs (plan->grid->bx)) > 2 * MOST_OFF)
    notch_dice_between (plan, x, y, w, h, add_borders, &cutting);
}
