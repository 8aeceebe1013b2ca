/* discover.h - what a recipe leaves open, from the image: the wafer's edge, the pixel size, the lattice of dice */
#pragma once

#include "inspect/image/reduce.h"
#include "inspect/wafer/grid.h"

/* The longer side of the overview that discovery wants, px at most. */
#define NOTCH_OVERVIEW_PX 2048

/* A grid that is less sure than this is no grid. */
#define NOTCH_SURE 0.5

/* Finds what `recipe` does not give and writes it there: [wafer] radius, centre, diameter and pixel size, [dice] pitch,
 * origin and angle. `reduced` is an overview of the whole image; beside it a few bands of rows are read. `outline` gets
 * radius 0 where there is no wafer's edge. *grid gets the dice, or NULL where no grid is sure enough. `notes` gets a line
 * (char *) a finding, and how sure it is. FALSE when reading fails, when what the recipe does give cannot be true for the
 * image, and, if `needs_dice`, when there is no grid. */
gboolean notch_discover (NotchStore *store, const NotchSource *source, NotchRecipe *recipe, const NotchReduced *reduced,
                         gboolean needs_dice, NotchGrid **grid, NotchOutline *outline, GPtrArray *notes,
                         GError **error);
