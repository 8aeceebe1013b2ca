/* binmap.c - see binmap.h */
#include "inspect/sign/binmap.h"

#include <math.h>
#include <string.h>

NotchBinMap *
notch_binmap_new (int width, int height)
{
  g_autofree guint8 *bin = g_try_malloc0 ((gsize) width * (gsize) height);
  if (!bin)
    return NULL;
  NotchBinMap *map = g_new (NotchBinMap, 1);
  *map = (NotchBinMap){ width, height, g_steal_pointer (&bin) };
  return map;
}

void
notch_binmap_free (NotchBinMap *map)
{
  if (!map)
    return;
  g_free (map->bin);
  g_free (map);
}

gint64
notch_binmap_count (const NotchBinMap *map, int bin)
{
  gint64 n = 0;
  for (gsize i = 0; i < (gsize) map->width * (gsize) map->height; i++)
    n += map->bin[i] == bin;
  return n;
}

void
notch_binmap_rasterize (const NotchBinMap *map, NotchRaster *raster)
{
  const int side = NOTCH_RASTER_SIDE;
  int x0 = map->width, x1 = -1, y0 = map->height, y1 = -1;
  for (int y = 0; y < map->height; y++)
    for (int x = 0; x < map->width; x++)
      if (map->bin[(gsize) y * (gsize) map->width + (gsize) x] != NOTCH_BIN_NONE) {
        x0 = MIN (x0, x), x1 = MAX (x1, x);
        y0 = MIN (y0, y), y1 = MAX (y1, y);
      }
  memset (raster, 0, sizeof *raster);
  if (x1 < 0)
    return;
  /* in units in which a die is `side` and a cell is as many as there are dice, all borders are whole numbers */
  const gint64 columns = x1 - x0 + 1, rows = y1 - y0 + 1;
  for (gint64 v = 0; v < side; v++)
    for (gint64 u = 0; u < side; u++) {
      gint64 present = 0, fail = 0;
      for (gint64 y = v * rows / side; y * side < (v + 1) * rows; y++) {
        gint64 high = MIN ((y + 1) * side, (v + 1) * rows) - MAX (y * side, v * rows);
        const guint8 *bin = map->bin + (gsize) (y0 + y) * (gsize) map->width + x0;
        for (gint64 x = u * columns / side; x * side < (u + 1) * columns; x++) {
          gint64 area = high * (MIN ((x + 1) * side, (u + 1) * columns) - MAX (x * side, u * columns));
          present += bin[x] != NOTCH_BIN_NONE ? area : 0;
          fail += bin[x] == NOTCH_BIN_FAIL ? area : 0;
        }
      }
      gsize cell = (gsize) (v * side + u);
      raster->present[cell] = (float) ((double) present / (double) (columns * rows));
      raster->fail[cell] = present ? (float) ((double) fail / (double) present) : 0;
    }
}
