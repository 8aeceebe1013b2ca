/* array.c - the periodic part of the image itself: the same place in the cells around
 *
 * A piece of an array is compared with itself at up to sixteen whole combinations of the cell's sides, fewer at the fast speed.
 * They are chosen to lie in the array as the piece does, in many directions, so that a scratch along one of them spoils few;
 * near whole pixels, where nothing is interpolated and aliases stay what they are; and not so near that a stain covers them,
 * too. */
#include "inspect/reference/register.h"

#include <math.h>

#include "kernels/math/resample.h"

/* px: at least so far around a place cells are taken from, at most so far. */
#define LEAST_REACH 150
#define MOST_REACH  400
/* px: a piece is not cut smaller to have better sources. */
#define LEAST_PIECE 64
/* Fewer sources than this make a noisier reference than the noise model is fitted to. */
#define FEWEST 5
/* px: what lies this near to one line through the place is spoilt by one scratch; what is this near to the place, by one
 * stain. */
#define SCRATCH 6
#define STAIN   32

typedef struct {
  double dx, dy; /* px */
  double cost;
} Step;

/* An array of one die, or of the image, and the tile that it is in. */
typedef struct {
  const NotchPlan *plan;
  gint64 x, y; /* px in the tile: where the map begins */
  int array;
  GArray *step;                  /* Step: all within reach, whether they can be used or not */
  Step usual[NOTCH_MAX_SOURCES]; /* those of a piece deep in the array */
  int n_usual;
  GArray *piece, *source;
} Array;

/* A quarter of the circle around a place in a corner of the array has enough cells. */
static double
cell_reach (const NotchCell *cell)
{
  return CLAMP (6 * sqrt (notch_cell_area (cell)), LEAST_REACH, MOST_REACH);
}

static int
reach_of (const NotchPlan *plan)
{
  double reach = 0;
  for (int i = 0; i < plan->arrays->n; i++)
    reach = MAX (reach, cell_reach (&plan->arrays->cell[i]));
  return (int) ceil (reach);
}

/* All combinations of the cell's sides within reach, each with what speaks against it. */
static GArray *
list_steps (const NotchCell *cell)
{
  GArray *list = g_array_new (FALSE, FALSE, sizeof (Step));
  double reach = cell_reach (cell), height = notch_cell_area (cell) / hypot (cell->ax, cell->ay);
  int most_j = (int) (reach / height) + 1;
  for (int j = -most_j; j <= most_j; j++) {
    double square = cell->ax * cell->ax + cell->ay * cell->ay;
    double middle = -j * (cell->ax * cell->bx + cell->ay * cell->by) / square, wide = reach / sqrt (square);
    for (int i = (int) floor (middle - wide); i <= (int) ceil (middle + wide); i++) {
      Step step = { i * cell->ax + j * cell->bx, i * cell->ay + j * cell->by, 0 };
      double length = hypot (step.dx, step.dy);
      if ((i == 0 && j == 0) || length > reach)
        continue;
      double off = hypot (step.dx - rint (step.dx), step.dy - rint (step.dy));
      step.cost = 0.5 * length / reach + 2 * off + (length < STAIN ? 1 : 0);
      g_array_append_val (list, step);
    }
  }
  return list;
}

/* Whether w x h px at (x, y) of the map, a step away and with what interpolation needs around, lie in the array. */
static gboolean
can_use (const Array *array, const Step *step, gint64 x, gint64 y, int w, int h)
{
  gint64 from_x = x + (gint64) floor (step->dx) - NOTCH_TAP_ORIGIN;
  gint64 from_y = y + (gint64) floor (step->dy) - NOTCH_TAP_ORIGIN;
  return notch_arrays_hold (array->plan->arrays, array->array, from_x, from_y, from_x + w + NOTCH_TAPS,
                            from_y + h + NOTCH_TAPS);
}

/* The steps that speak least against each other; w 0: wherever they lead. Returns how many. */
static int
choose_steps (const Array *array, gint64 x, gint64 y, int w, int h, Step chosen[NOTCH_MAX_SOURCES])
{
  const GArray *list = array->step;
  g_autofree double *cost = g_new (double, list->len + 1);
  for (guint i = 0; i < list->len; i++) {
    const Step *step = &g_array_index (list, Step, i);
    cost[i] = w == 0 || can_use (array, step, x, y, w, h) ? step->cost : INFINITY;
  }
  int n = 0;
  while (n < array->plan->speed->sources) {
    guint best = 0;
    for (guint i = 1; i < list->len; i++)
      if (cost[i] < cost[best])
        best = i;
    if (list->len == 0 || !isfinite (cost[best]))
      break;
    Step taken = chosen[n++] = g_array_index (list, Step, best);
    cost[best] = INFINITY;
    for (guint i = 0; i < list->len; i++) {
      const Step *step = &g_array_index (list, Step, i);
      double aside = fabs (step->dx * taken.dy - step->dy * taken.dx) / hypot (taken.dx, taken.dy);
      if (aside < SCRATCH)
        cost[i] += 0.5;
      if (hypot (step->dx - taken.dx, step->dy - taken.dy) < STAIN)
        cost[i] += 0.25;
    }
  }
  return n;
}

/* ---- pieces ---------------------------------------------------------------------------------------------------- */

/* Without steps: a piece that is masked. */
static void
append (const Array *array, const Step *step, int n, int x, int y, int w, int h)
{
  NotchPiece piece = { .x = x, .y = y, .w = w, .h = h, .first_source = (int) array->source->len, .n_sources = n };
  for (int k = 0; k < n; k++) {
    NotchSourceShift shift = { .dx = step[k].dx, .dy = step[k].dy, .zoom = 1, .mem = NOTCH_MEM_IMAGE };
    g_array_append_val (array->source, shift);
  }
  g_array_append_val (array->piece, piece);
}

static gboolean
is_deep (const Array *array, int x, int y, int w, int h)
{
  gboolean deep = array->n_usual >= FEWEST;
  for (int i = 0; i < array->n_usual && deep; i++)
    deep = can_use (array, &array->usual[i], x - array->x, y - array->y, w, h);
  return deep;
}

/* Appends w x h px of the tile that lie in the array, cut where its border is near: there, only some of the cells around
 * are in the array, and not the same ones for all pieces. */
static void
append_part (const Array *array, int x, int y, int w, int h)
{
  if (is_deep (array, x, y, w, h)) {
    append (array, array->usual, array->n_usual, x, y, w, h);
    return;
  }
  if (MAX (w, h) > LEAST_PIECE) {
    int left = w / 2, top = h / 2;
    /* Across or along? What leaves one part deep in the array; else the longer side. */
    int across = w > LEAST_PIECE ? is_deep (array, x, y, left, h) + is_deep (array, x + left, y, w - left, h) : -1;
    int along = h > LEAST_PIECE ? is_deep (array, x, y, w, top) + is_deep (array, x, y + top, w, h - top) : -1;
    if (across > along || (across == along && w >= h)) {
      append_part (array, x, y, left, h);
      append_part (array, x + left, y, w - left, h);
    } else {
      append_part (array, x, y, w, top);
      append_part (array, x, y + top, w, h - top);
    }
    return;
  }
  Step step[NOTCH_MAX_SOURCES];
  int n = choose_steps (array, x - array->x, y - array->y, w, h, step);
  append (array, step, n >= FEWEST ? n : 0, x, y, w, h);
}

/* Appends a rectangle of the tile, all of one die or of the image: parts of arrays, the rest masked. */
static void
append_cut (Array *array, int x, int y, int w, int h)
{
  const NotchArrays *arrays = array->plan->arrays;
  append (array, NULL, 0, x, y, w, h); /* what follows counts where it overlaps */
  for (guint i = 0; i < arrays->rect->len; i++) {
    const NotchArrayRect *rect = &g_array_index (arrays->rect, NotchArrayRect, i);
    gint64 x0 = MAX (rect->x0 + array->x, x), x1 = MIN (rect->x1 + array->x, x + w);
    gint64 y0 = MAX (rect->y0 + array->y, y), y1 = MIN (rect->y1 + array->y, y + h);
    if (rect->array < 0 || x0 >= x1 || y0 >= y1)
      continue;
    if (rect->array != array->array) {
      g_clear_pointer (&array->step, g_array_unref);
      array->step = list_steps (&arrays->cell[rect->array]);
      array->array = rect->array;
      array->n_usual = choose_steps (array, 0, 0, 0, 0, array->usual);
    }
    append_part (array, (int) x0, (int) y0, (int) (x1 - x0), (int) (y1 - y0));
  }
}

/* ---- the method ------------------------------------------------------------------------------------------------ */

static NotchDiscovery *
discover (NotchPlan *plan, const NotchReduced *reduced, NotchRecipe *recipe, GError **error)
{
  return notch_discover (plan->store, plan->source, reduced, recipe, error);
}

/* An image without arrays has nothing else; of a region without them it is told where the recipe asks for it. */
static gboolean
prepare (NotchPlan *plan, const NotchCompute *compute, GError **error)
{
  if (plan->arrays || plan->recipe->reference.method != NOTCH_REFERENCE_ARRAY)
    return TRUE;
  g_set_error_literal (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT,
                       "nothing in the image repeats as the cells of an array do; compare it with neighbouring dice "
                       "([reference] method = die) or with another image (--reference)");
  return FALSE;
}

static void
needs (const NotchPlan *plan, gint64 y, int size, NotchNeeds *needs)
{
  if (!plan->arrays)
    return;
  int reach = reach_of (plan) + NOTCH_TAPS;
  needs->n[NOTCH_MEM_IMAGE] = 1;
  needs->rows[NOTCH_MEM_IMAGE][0] = (NotchRows){ y - reach, size + 2 * reach };
}

typedef struct {
  gint64 x, y;
  Array array;
} Tile;

/* A die that is not inspected is masked. */
static void
add_cut (const NotchPlan *plan, int at, const NotchCut *cut, gpointer data)
{
  Tile *tile = data;
  const NotchDie *die = &g_array_index (plan->grid->die, NotchDie, at);
  int x = (int) (cut->x - tile->x), y = (int) (cut->y - tile->y);
  tile->array.x = (gint64) floor (die->x + 0.5) - tile->x;
  tile->array.y = (gint64) floor (die->y + 0.5) - tile->y;
  if (notch_die_inspected (plan, die))
    append_cut (&tile->array, x, y, (int) cut->w, (int) cut->h);
  else
    append (&tile->array, NULL, 0, x, y, (int) cut->w, (int) cut->h);
}

static void
pieces (const NotchPlan *plan, gint64 x, gint64 y, int size, GArray *piece, GArray *source)
{
  if (!plan->arrays)
    return;
  Tile tile = { x, y, { .plan = plan, .x = -x, .y = -y, .array = -1, .piece = piece, .source = source } };
  gint64 x0 = MAX (x, 0), x1 = MIN (x + size, plan->source->width);
  gint64 y0 = MAX (y, 0), y1 = MIN (y + size, plan->source->height);
  if (plan->arrays->in_dice)
    notch_dice_cut (plan, x, y, size, size, add_cut, &tile);
  else
    append_cut (&tile.array, (int) (x0 - x), (int) (y0 - y), (int) (x1 - x0), (int) (y1 - y0));
  g_clear_pointer (&tile.array.step, g_array_unref);
}

const NotchReference notch_reference_array = {
  .name = "array",
  .summary = "the periodic part of the image itself: the same place in the cells around",
  .discover = discover,
  .prepare = prepare,
  .needs = needs,
  .pieces = pieces,
};
