/* regions.h - the recipe's regions on an image: what is inspected, and how sensitively */
#pragma once

#include "inspect/wafer/coords.h"

typedef struct NotchRegions NotchRegions;

/* The regions of a recipe, which is borrowed, with the files that they name. The error names the region, and the file and
 * what is wrong with it. */
NotchRegions *notch_regions_load (const NotchRecipe *recipe, GError **error);
void notch_regions_free (NotchRegions *regions);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchRegions, notch_regions_free)

/* Where things are in an image. */
typedef struct {
  const NotchGrid *grid; /* borrowed for as long as rows are asked for; NULL: no dice */
  const NotchOutline *outline;
  gint64 width, height; /* px */
  double pixel_um;      /* 0: not known, 1 is taken */
} NotchRegionPlace;

/* Lays the regions over an image; in one without dice those of a die count from the image's lower left corner. An error where
 * a region does not fit, or the image does not show what it counts from. */
gboolean notch_regions_place (NotchRegions *regions, const NotchRegionPlace *place, GError **error);

/* Calls `each` with the pixels x0, y0 to x1 - 1, y1 - 1 of every rectangle with a method of its own that meets the pixels
 * (x, y) to (x + w, y + h), cut to them: regions in order, dice row by row. Where the rectangle is turned it is the
 * largest upright one inside. `die` is NULL where the region is not in dice. */
typedef struct {
  gint64 x0, y0, x1, y1;
} NotchRegionBox;
typedef void (*NotchRegionBoxFunc) (const NotchRegion *region, const NotchDie *die, const NotchRegionBox *box,
                                    gpointer data);
void notch_regions_boxes (const NotchRegions *regions, gint64 x, gint64 y, gint64 w, gint64 h, NotchRegionBoxFunc each,
                          gpointer data);

/* The sensitivities of the n places (x, y), (x + 1, y), …. The strictest exclusion wins, then the last care area that holds
 * a place. With care areas in the recipe, what lies in none of them has 0, else 1. */
void notch_regions_row (const NotchRegions *regions, double x, double y, int n, float *sensitivity);
/* Sets those of excluded places to 0 and leaves the others. */
void notch_regions_exclude_row (const NotchRegions *regions, double x, double y, int n, float *sensitivity);
