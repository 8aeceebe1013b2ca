/* golden.c - known-good dice: every die against the mean that notch learn made, with the scatter it saw */
#include "inspect/wafer/golden.h"

#include "inspect/reference/register.h"
#include "inspect/wafer/phase.h"

#include <math.h>

/* Scatter of fewer dice than this says less than a model does. */
#define LEAST_SPREAD_DICE 8
/* Dice that the noise model is worth where the golden die's scatter is joined with it. */
#define MODEL_DICE 20
/* px a px: dice turned or stretched further than this against the golden die are off at the ends of a piece. */
#define STEEP 0.002

/* ---- the survey ------------------------------------------------------------------------------------------------ */

static gboolean
open_pages (NotchPlan *plan, const NotchRecipe *recipe, GError **error)
{
  const char *path = recipe->reference.golden;
  guint64 budget = (guint64) recipe->detect.memory_mib << 20;
  if (!path || !*path) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
                 "the golden method needs a golden reference; give --golden FILE or [reference] golden");
    return FALSE;
  }
  plan->mem_source[NOTCH_MEM_REFERENCE] = notch_golden_open (path, NOTCH_GOLDEN_MEAN, budget, &plan->golden, error);
  if (plan->golden)
    plan->mem_source[NOTCH_MEM_SPREAD] = notch_golden_open (path, NOTCH_GOLDEN_SIGMA, budget, NULL, error);
  if (!plan->mem_source[NOTCH_MEM_SPREAD])
    return FALSE;
  for (int mem = NOTCH_MEM_REFERENCE; mem <= NOTCH_MEM_SPREAD; mem++)
    plan->mem_store[mem] = notch_store_new (plan->mem_source[mem], budget / 4, 1);
  return TRUE;
}

static NotchReduced *
take_picture (const NotchPlan *plan, GError **error)
{
  const NotchSource *mean = plan->mem_source[NOTCH_MEM_REFERENCE];
  return notch_phase_picture (plan->mem_store[NOTCH_MEM_REFERENCE], mean->width, mean->height, NOTCH_GOLDEN_MARGIN,
                              NOTCH_GOLDEN_MARGIN, plan->golden->die_width, plan->golden->die_height, error);
}

static NotchDiscovery *
discover (NotchPlan *plan, const NotchReduced *reduced, NotchRecipe *recipe, GError **error)
{
  if (!open_pages (plan, recipe, error))
    return NULL;
  g_autoptr (NotchReduced) picture = take_picture (plan, error);
  return picture ? notch_golden_discover (plan->golden, picture, plan->store, plan->source, reduced, recipe, error)
                 : NULL;
}

/* An image of something else would be nothing but defects. */
static gboolean
check_likeness (const NotchPlan *plan, GError **error)
{
  int whole = 0, alike = 0;
  for (guint i = 0; i < plan->grid->die->len; i++) {
    const NotchDie *die = &g_array_index (plan->grid->die, NotchDie, i);
    whole += die->kind == NOTCH_DIE_WHOLE && !die->blank;
    alike += die->kind == NOTCH_DIE_WHOLE && !die->blank && die->trust > 0;
  }
  if (2 * alike >= whole) {
    double likeness = 0;
    g_autoptr (NotchReduced) picture = take_picture (plan, error);
    if (!picture
        || !notch_phase_likeness (picture, plan->store, plan->source->width, plan->source->height, plan->grid,
                                  &likeness, error))
      return FALSE;
    if (likeness >= NOTCH_ALIKE)
      return TRUE;
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT,
                 "the dice do not look like those of %s (correlation %d %%); learn one from this product",
                 plan->recipe->reference.golden, (int) (100 * likeness));
    return FALSE;
  }
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT,
               "only %d of %d dice lie where %s would have them; check that it shows this product, and [dice] origin",
               alike, whole, plan->recipe->reference.golden);
  return FALSE;
}

static gboolean
prepare (NotchPlan *plan, const NotchCompute *compute, GError **error)
{
  const NotchGolden *golden = plan->golden;
  if (!notch_golden_fits (golden, plan->recipe->reference.golden, plan->grid, plan->pixel_known ? plan->pixel_um : 0,
                          error))
    return FALSE;
  const NotchAnchorPlace place = { plan->mem_store[NOTCH_MEM_REFERENCE],
                                   NOTCH_GOLDEN_MARGIN - 0.5,
                                   NOTCH_GOLDEN_MARGIN - 0.5,
                                   golden->die_width,
                                   golden->die_height,
                                   0,
                                   0 };
  g_autoptr (NotchAnchor) anchor = notch_anchor_new (&place, plan->recipe->dice.search_px, compute, error);
  if (!anchor || !notch_register_dice (plan, compute, anchor, error))
    return FALSE;
  if (!notch_anchor_is_empty (anchor) && !check_likeness (plan, error))
    return FALSE;
  plan->spread_trust =
      golden->n_dice < LEAST_SPREAD_DICE ? 0 : (float) golden->n_dice / (float) (golden->n_dice + MODEL_DICE);
  double slope = 0;
  for (guint i = 0; i < plan->grid->die->len; i++) {
    const NotchDie *die = &g_array_index (plan->grid->die, NotchDie, i);
    NotchGoldenDie at = notch_golden_die (plan->grid, die, &plan->warp[i]);
    if (die->trust > 0)
      slope = MAX (slope, notch_golden_slope (golden, &at));
  }
  if (slope > STEEP)
    g_ptr_array_add (plan->warning,
                     g_strdup_printf ("dice are turned or stretched by up to %.1f px in 1000 against the golden die; "
                                      "align the image better, or edges will hide defects",
                                      1000 * slope));
  return TRUE;
}

/* ---- sources --------------------------------------------------------------------------------------------------- */

typedef struct {
  const NotchGolden *golden;
  NotchGoldenDie die;
} Context;

static void
shift_at (const void *data, double x, double y, int k, NotchSourceShift *shift)
{
  const Context *context = data;
  double golden_x, golden_y;
  notch_golden_from_image (context->golden, &context->die, x, y, &golden_x, &golden_y);
  *shift = (NotchSourceShift){
    .dx = golden_x - x, .dy = golden_y - y, .zoom = 1, .mem = k == 0 ? NOTCH_MEM_REFERENCE : NOTCH_MEM_SPREAD
  };
}

static Context
context_of (const NotchPlan *plan, int at, const NotchDie *die)
{
  return (Context){ plan->golden, notch_golden_die (plan->grid, die, &plan->warp[at]) };
}

/* The part of a die's cell in a rectangle of the image. FALSE: none. */
static gboolean
cut_cell (const NotchPlan *plan, const NotchDie *die, const NotchRows *columns, const NotchRows *rows, gint64 *x0,
          gint64 *y0, gint64 *x1, gint64 *y1)
{
  notch_die_cell (plan->grid, die, x0, y0, x1, y1);
  *x0 = MAX (MAX (*x0, columns->y), 0), *y0 = MAX (MAX (*y0, rows->y), 0);
  *x1 = MIN (MIN (*x1, columns->y + columns->n), plan->source->width);
  *y1 = MIN (MIN (*y1, rows->y + rows->n), plan->source->height);
  return *x0 < *x1 && *y0 < *y1 && notch_die_inspected (plan, die);
}

typedef struct {
  NotchRows columns, rows; /* of the image */
  NotchNeeds *needs;
  GArray *piece, *source;
} Tile;

/* Adds golden rows; ranges that meet become one, and so does all that would be one too many. */
static void
add_rows (NotchNeeds *needs, gint64 first, gint64 end)
{
  int *n = &needs->n[NOTCH_MEM_REFERENCE];
  NotchRows *rows = needs->rows[NOTCH_MEM_REFERENCE];
  for (int i = *n - 1; i >= 0; i--)
    if (*n == NOTCH_MAX_RANGES || (first <= rows[i].y + rows[i].n && end >= rows[i].y)) {
      first = MIN (first, rows[i].y), end = MAX (end, rows[i].y + rows[i].n);
      rows[i] = rows[--*n];
    }
  rows[(*n)++] = (NotchRows){ first, end - first };
}

static void
add_needs (const NotchPlan *plan, int at, const NotchDie *die, gpointer data)
{
  const Tile *tile = data;
  Context context = context_of (plan, at, die);
  gint64 x0, y0, x1, y1;
  double low = INFINITY, high = -INFINITY;
  if (!cut_cell (plan, die, &tile->columns, &tile->rows, &x0, &y0, &x1, &y1))
    return;
  for (int corner = 0; corner < 4; corner++) {
    double x, y;
    notch_golden_from_image (context.golden, &context.die, (double) (corner % 2 ? x1 : x0),
                             (double) (corner / 2 ? y1 : y0), &x, &y);
    low = MIN (low, y), high = MAX (high, y);
  }
  add_rows (tile->needs, (gint64) floor (low) - 3, (gint64) ceil (high) + 4);
}

static void
needs (const NotchPlan *plan, gint64 y, int size, NotchNeeds *needs)
{
  Tile tile = { .columns = { 0, plan->source->width }, .rows = { y, size }, .needs = needs };
  needs->n[NOTCH_MEM_IMAGE] = 1;
  needs->rows[NOTCH_MEM_IMAGE][0] = tile.rows;
  notch_dice_between (plan, 0, y, plan->source->width, size, add_needs, &tile);
  needs->n[NOTCH_MEM_SPREAD] = needs->n[NOTCH_MEM_REFERENCE];
  for (int i = 0; i < needs->n[NOTCH_MEM_REFERENCE]; i++)
    needs->rows[NOTCH_MEM_SPREAD][i] = needs->rows[NOTCH_MEM_REFERENCE][i];
}

/* A die that is not inspected gets a piece without sources, which masks it. */
static void
add_piece (const NotchPlan *plan, int at, const NotchCut *cut, gpointer data)
{
  const Tile *tile = data;
  const NotchDie *die = &g_array_index (plan->grid->die, NotchDie, at);
  Context context = context_of (plan, at, die);
  gboolean inspected = notch_die_inspected (plan, die);
  gint64 left = tile->columns.y, top = tile->rows.y;
  NotchPieceMaker maker = { left, top, inspected, inspected && plan->spread_trust > 0, 0, shift_at, &context };
  notch_reference_append (&maker, (int) (cut->x - left), (int) (cut->y - top), (int) cut->w, (int) cut->h, tile->piece,
                          tile->source);
}

static void
pieces (const NotchPlan *plan, gint64 x, gint64 y, int size, GArray *piece, GArray *source)
{
  Tile tile = { .columns = { x, size }, .rows = { y, size }, .piece = piece, .source = source };
  notch_dice_cut (plan, x, y, size, size, add_piece, &tile);
}

const NotchReference notch_reference_golden = {
  .name = "golden",
  .summary = "the same place in known-good dice",
  .dice = TRUE,
  .file_key = "golden",
  .file = G_STRUCT_OFFSET (NotchRecipe, reference.golden),
  .discover = discover,
  .prepare = prepare,
  .needs = needs,
  .pieces = pieces,
};
