/* die.c - the same place in neighbouring dice: the median of the K nearest whole dice, the die itself left out */
#include "inspect/reference/register.h"

#include <math.h>

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

static NotchDie *
die_at (const NotchPlan *plan, int i)
{
  return &g_array_index (plan->grid->die, NotchDie, i);
}

/* The nearest whole dice in this row and the rows beside it; those that could not be registered are no witnesses
 * unless there are no others. */
static void
choose_neighbours (NotchPlan *plan)
{
  const NotchGrid *grid = plan->grid;
  guint n = grid->die->len;
  int most = MIN (plan->recipe->reference.neighbours, plan->speed->sources);
  gboolean any_trusted = FALSE;
  for (guint i = 0; i < n; i++)
    any_trusted |= die_at (plan, (int) i)->trust > 0;
  for (guint i = 0; i < n; i++) {
    const NotchDie *die = die_at (plan, (int) i);
    NotchNeighbours *neighbours = &plan->neighbours[i];
    neighbours->n = 0;
    if (!notch_die_inspected (plan, die))
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

static NotchDiscovery *
discover (NotchPlan *plan, const NotchReduced *reduced, NotchRecipe *recipe, GError **error)
{
  return notch_discover (plan->store, plan->source, reduced, recipe, error);
}

static gboolean
prepare (NotchPlan *plan, const NotchCompute *compute, GError **error)
{
  if (!plan->warp) { /* else another method has registered them, on what is given: what is between dice is the same */
    g_autoptr (NotchAnchor) anchor = notch_anchor_find (plan, compute, error);
    if (!anchor || !notch_register_dice (plan, compute, anchor, error))
      return FALSE;
  }
  plan->neighbours = g_try_new0 (NotchNeighbours, plan->grid->die->len);
  if (!plan->neighbours) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT,
                 "no memory for the neighbours of %u dice; give a larger pitch in [dice]", plan->grid->die->len);
    return FALSE;
  }
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
  *shift = (NotchSourceShift){ .dx = apart_x + bx - ax, .dy = apart_y + by - ay, .zoom = 1, .mem = NOTCH_MEM_IMAGE };
}

/* The rows above and below that a die's sources reach to, by their row of dice against its own: -1, 0, 1. */
typedef struct {
  double low[3], high[3];
  gboolean used[3];
} Reach;

static void
widen_reach (const NotchPlan *plan, int at, const NotchDie *die, gpointer data)
{
  Reach *reach = data;
  gint64 x0, y0, x1, y1;
  notch_die_cell (plan->grid, die, &x0, &y0, &x1, &y1);
  Context context = { plan, at };
  for (int k = 0; k < plan->neighbours[at].n; k++) {
    int side = die_at (plan, plan->neighbours[at].die[k])->row - die->row + 1;
    for (int corner = 0; corner < 4; corner++) {
      NotchSourceShift shift;
      shift_at (&context, corner % 2 ? (double) x1 : (double) x0, corner / 2 ? (double) y1 : (double) y0, k, &shift);
      reach->low[side] = reach->used[side] ? MIN (reach->low[side], shift.dy) : shift.dy;
      reach->high[side] = reach->used[side] ? MAX (reach->high[side], shift.dy) : shift.dy;
      reach->used[side] = TRUE;
    }
  }
}

static void
needs (const NotchPlan *plan, gint64 y, int size, NotchNeeds *needs)
{
  Reach reach = { .used = { FALSE, TRUE, FALSE } };
  notch_dice_between (plan, 0, y, plan->source->width, size, widen_reach, &reach);
  needs->n[NOTCH_MEM_IMAGE] = 0;
  for (int side = 0; side < 3; side++)
    if (reach.used[side]) {
      gint64 from = y + (gint64) floor (reach.low[side]) - 3, to = y + size + (gint64) ceil (reach.high[side]) + 4;
      needs->rows[NOTCH_MEM_IMAGE][needs->n[NOTCH_MEM_IMAGE]++] = (NotchRows){ from, to - from };
    }
}

typedef struct {
  gint64 x, y;
  GArray *piece, *source;
} Tile;

/* What is compared with no die gets a piece without sources, which masks it. */
static void
add_piece (const NotchPlan *plan, int at, const NotchCut *cut, gpointer data)
{
  const Tile *tile = data;
  const NotchNeighbours *neighbours = &plan->neighbours[at];
  Context context = { plan, at };
  const NotchPieceMaker maker = { tile->x, tile->y, neighbours->n, 0, 0, shift_at, &context };
  notch_reference_append (&maker, (int) (cut->x - tile->x), (int) (cut->y - tile->y), (int) cut->w, (int) cut->h,
                          tile->piece, tile->source);
}

static void
pieces (const NotchPlan *plan, gint64 x, gint64 y, int size, GArray *piece, GArray *source)
{
  Tile tile = { x, y, piece, source };
  notch_dice_cut (plan, x, y, size, size, add_piece, &tile);
}

const NotchReference notch_reference_die = {
  .name = "die",
  .summary = "the same place in neighbouring dice",
  .dice = TRUE,
  .discover = discover,
  .prepare = prepare,
  .needs = needs,
  .pieces = pieces,
};
