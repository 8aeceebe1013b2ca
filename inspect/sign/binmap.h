/* binmap.h - a wafer's dice, each good or failed: what a signature is read from */
#pragma once

#include <glib.h>

enum { NOTCH_BIN_NONE, NOTCH_BIN_PASS, NOTCH_BIN_FAIL };

/* The side, in dice, of the map that all maps are brought to, and the most that a map may have. */
enum {
  NOTCH_RASTER_SIDE = 26,
  NOTCH_RASTER_CELLS = NOTCH_RASTER_SIDE * NOTCH_RASTER_SIDE,
  NOTCH_BINMAP_MOST_SIDE = 4096
};

typedef struct {
  int width, height; /* columns and rows of dice, 1 to NOTCH_BINMAP_MOST_SIDE */
  guint8 *bin;       /* width x height from the top left: NOTCH_BIN_NONE where there is no die */
} NotchBinMap;

/* A map without dice; NULL when there is no memory for it. */
NotchBinMap *notch_binmap_new (int width, int height);
void notch_binmap_free (NotchBinMap *map);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchBinMap, notch_binmap_free)

/* How many dice are a bin. */
gint64 notch_binmap_count (const NotchBinMap *map, int bin);

/* A map of another size. `present` is the part of a cell's area that has dice, `fail` the part of these that failed (0
 * where there are none); both 0 to 1. */
typedef struct {
  float present[NOTCH_RASTER_CELLS], fail[NOTCH_RASTER_CELLS];
} NotchRaster;

/* The rectangle around all dice becomes the square: a wafer is round, whatever the shape of its dice. Each cell is the mean
 * of what it covers, by area; a map that has the raster's size stays as it is. A map without dice is empty. */
void notch_binmap_rasterize (const NotchBinMap *map, NotchRaster *raster);
