/* repeat.h - defects at one place of several dice, and the field of dice that was exposed at once */
#pragma once

#include "inspect/near.h"
#include "inspect/wafer/grid.h"

/* A defect as it lies in its die. */
typedef struct {
  const NotchDie *die; /* of the grid */
  double x, y;         /* px, in the die */
  double reach;        /* px: how far from it the same defect of another die may be */
  double peak;         /* sigmas */
  gboolean bright;     /* against the reference; bright and dark are never one thing */
} NotchPlace;

typedef struct {
  guint n;      /* dice that have it */
  double x, y;  /* px: mean place in the die */
  int col, row; /* of the die in the reticle's field, from 0; 0, 0 where that is one die */
  double p;     /* chance of so many at one place */
} NotchRepeat;

/* Finds places where more dice have a defect than chance puts there. With n_dice inspected dice and a density of defects in
 * a die, a place of radius r has a Poisson count of mean n_dice x density x pi r^2; its upper tail p, times all places of
 * a die, all dice of a field and all 36 fields that are tried, is the number of such groups to expect by chance: fewer
 * than 1e-3 of at least 3 dice make a repeater. A defect beside an opposite one at least three times as strong, in one
 * of the dice around, is that one's ghost in the reference, and does not count.
 *
 * The mask that was exposed may hold one die or several: fields of 1 to 6 by 1 to 6 dice are tried, as long as two of
 * them fit along a row and a column. The one is chosen that explains the groups best: the log of their likelihood over
 * that of chance, less what trying costs; with dice that lack the defect counting against a field as those that
 * have it count for it, so that the smallest field wins that is as good.
 *
 * inspected tells the dice that were compared. repeat: numbers beside the places, 0 for none, 1 about the largest
 * group. Gives the groups (NotchRepeat; owned by the caller); the field is 0 x 0 where there are none. */
GArray *notch_repeat_find (const NotchPlace *place, guint n, const NotchGrid *grid,
                           gboolean (*inspected) (gconstpointer data, const NotchDie *die), gconstpointer data,
                           int *repeat, int *field_cols, int *field_rows);
