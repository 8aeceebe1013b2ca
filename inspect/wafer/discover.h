/* discover.h - what a recipe leaves open, from the image: the wafer's edge, the pixel size, the lattice of dice */
#pragma once

#include "inspect/image/reduce.h"
#include "inspect/wafer/arrays.h"
#include "inspect/wafer/grid.h"

/* The longer side of the overview that discovery wants, px at most. */
#define NOTCH_OVERVIEW_PX 2048

/* Dice smaller than this are not looked for. */
#define NOTCH_LEAST_DIE_PX 32

/* How sure a grid is, 0 to 1: the lesser of how far the repeat stands out of what else the image does (three quarters at
 * most where no more than two dice follow each other) and of how many of the dice that were looked at lie where the grid
 * has them (all from 60 %, none below 20 %). A grid that is less sure than this is no grid; */
#define NOTCH_SURE 0.5
/* one that is less sure than this comes with a warning. */
#define NOTCH_QUITE_SURE 0.7

/* Degrees: a wafer that lies straight is not turned by more. */
#define NOTCH_MOST_TURN 10

typedef struct {
  NotchOutline outline; /* radius 0: none */
  double pixel_um;      /* 0: not known */
  double pitch_error;   /* px: standard error of the larger pitch that was found; 0: given */
  NotchGrid *grid;      /* NULL: no dice, or not surely */
  gboolean strip;       /* a single row or column: across it, cells are as long as the image lets them be */
  NotchArrays *arrays;  /* NULL: none, or the recipe's method has no use for them */
  char *report;         /* a line a finding, and how sure it is */
  GPtrArray *warning;   /* char *, lines that the user must see */
} NotchDiscovery;

/* The side of a pixel in µm: the recipe's, else what the image's resolution tags say; 0: not known. Tags that say what no
 * recipe may are not believed, and of pixels that are not square the width counts; that is added to `warning`, unless it
 * is NULL. */
double notch_pixel_um (const NotchRecipe *recipe, const NotchSource *source, GPtrArray *warning);

void notch_discovery_free (NotchDiscovery *discovery);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchDiscovery, notch_discovery_free)

/* Finds what `recipe` does not give and writes it there: [wafer] radius, centre, diameter and pixel size, [dice] pitch,
 * origin and angle. `reduced` is an overview of the whole image; beside it a few bands of rows are read. NULL when reading
 * fails, or when what the recipe does give cannot be true for the image. */
NotchDiscovery *notch_discover (NotchStore *store, const NotchSource *source, const NotchReduced *reduced,
                                NotchRecipe *recipe, GError **error);
/* Finds only the wafer and the pixel size; dice are those that the recipe gives. */
NotchDiscovery *notch_discover_wafer (NotchStore *store, const NotchSource *source, const NotchReduced *reduced,
                                      NotchRecipe *recipe, GError **error);
