/* chance.c - see chance.h */
#include "inspect/sign/chance.h"

#include "inspect/compute/parallel.h"
#include "inspect/random.h"
#include "inspect/sign/signature.h"

#include <string.h>

enum { N_MAPS = 200 }; /* the observed one first */
#define SEED 1

typedef struct {
  const NotchBinMap *map;
  double value[N_MAPS][NOTCH_STAND_OUTS];
} Deals;

/* Deal i; deal 0 is the map as it is. */
static void
deal (gpointer data, int i)
{
  Deals *deals = data;
  const NotchBinMap *map = deals->map;
  const gsize n = (gsize) map->width * (gsize) map->height;
  NotchRandom random = notch_random_at (SEED, NOTCH_STREAM_CHANCE, i, 0);
  NotchRaster raster;
  g_autofree guint8 *bin = g_memdup2 (map->bin, n);
  const NotchBinMap dealt = { map->width, map->height, bin };
  gint64 dice = notch_binmap_count (map, NOTCH_BIN_PASS) + notch_binmap_count (map, NOTCH_BIN_FAIL);
  gint64 fails = notch_binmap_count (map, NOTCH_BIN_FAIL);
  for (gsize k = 0; k < n && i > 0; k++)
    if (bin[k] != NOTCH_BIN_NONE) {
      gboolean fail = notch_random_unit (&random) * (double) dice < (double) fails;
      bin[k] = fail ? NOTCH_BIN_FAIL : NOTCH_BIN_PASS;
      fails -= fail;
      dice--;
    }
  notch_binmap_rasterize (&dealt, &raster);
  notch_signature_stand_out (&raster, deals->value[i]);
}

double
notch_binmap_chance (const NotchBinMap *map, int jobs)
{
  if (notch_binmap_count (map, NOTCH_BIN_FAIL) == 0 || notch_binmap_count (map, NOTCH_BIN_PASS) == 0)
    return 1;
  g_autofree Deals *deals = g_new (Deals, 1);
  deals->map = map;
  notch_parallel (jobs, N_MAPS, deal, deals);
  int best[N_MAPS], as_good = 0; /* maps that stand out as much, in the way in which a map does so most */
  for (int i = 0; i < N_MAPS; i++) {
    best[i] = N_MAPS;
    for (int k = 0; k < NOTCH_STAND_OUTS; k++) {
      int rank = 0;
      for (int j = 0; j < N_MAPS; j++)
        rank += deals->value[j][k] >= deals->value[i][k];
      best[i] = MIN (best[i], rank);
    }
    as_good += best[i] <= best[0];
  }
  return (double) as_good / N_MAPS;
}
