/* register.h - where the pattern of every die lies, and what methods that go die by die have in common */
#pragma once

#include "inspect/reference/reference.h"

/* Patches of one die, whose structure other dice are registered by. */
typedef struct NotchAnchor NotchAnchor;

/* A die in some image: where its cell begins, and its size, px; where it is turned, by how much it falls over its width and
 * leans to the right over its height. */
typedef struct {
  NotchStore *store;
  double x, y, width, height;
  double fall, lean;
} NotchAnchorPlace;

/* Cuts the patches with the best structure out of one die; with no structure in it the anchor is empty. `search_px` is how
 * far dice may lie from their places. NULL: reading or the device failed, or the die is too small (24 px). */
NotchAnchor *notch_anchor_new (const NotchAnchorPlace *place, double search_px, const NotchCompute *compute,
                               GError **error);
/* The same from the whole die nearest to the middle of the plan's grid that has structure. */
NotchAnchor *notch_anchor_find (const NotchPlan *plan, const NotchCompute *compute, GError **error);
void notch_anchor_free (NotchAnchor *anchor);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchAnchor, notch_anchor_free)

/* Has it nothing to register by? */
gboolean notch_anchor_is_empty (const NotchAnchor *anchor);

/* Registers every die of the plan's grid on the anchor: fills plan->warp, the dice's shifts and their trust, and
 * plan->shift_rms. The anchor may come from another image: its patches are looked for where the plan's lattice has them. */
gboolean notch_register_dice (NotchPlan *plan, const NotchCompute *compute, const NotchAnchor *anchor, GError **error);

/* Is the die compared with anything? */
gboolean notch_die_inspected (const NotchPlan *plan, const NotchDie *die);
/* The box around a die's cell in whole pixels, first and one beyond last; without a gap between neighbours, and where dice
 * are turned they overlap. */
void notch_die_cell (const NotchGrid *grid, const NotchDie *die, gint64 *x0, gint64 *y0, gint64 *x1, gint64 *y1);

/* Calls `each` for every die whose cell meets the pixels (x, y) to (x + w, y + h), row by row; `at` is its index. */
typedef void (*NotchDieFunc) (const NotchPlan *plan, int at, const NotchDie *die, gpointer data);
void notch_dice_between (const NotchPlan *plan, gint64 x, gint64 y, gint64 w, gint64 h, NotchDieFunc each,
                         gpointer data);

/* Cuts the part of a rectangle that lies in the image along the borders of dice: calls `each` with rectangles x, y, w, h of
 * the image and the die that they belong to. Of rectangles that overlap the last one counts. Dice that are not inspected
 * come where one that is reaches into their cells. */
typedef struct {
  gint64 x, y, w, h;
} NotchCut;
typedef void (*NotchCutFunc) (const NotchPlan *plan, int at, const NotchCut *cut, gpointer data);
void notch_dice_cut (const NotchPlan *plan, gint64 x, gint64 y, gint64 w, gint64 h, NotchCutFunc each, gpointer data);
