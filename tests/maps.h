/* maps.h - what tests of wafer maps share: simulated ones, by themselves and as data to learn from */
#pragma once

#include "inspect/classify/dataset-maps.h"
#include "inspect/simulate/maps.h"

static inline NotchSimulation
maps_of (const char *signatures, guint64 seed)
{
  NotchSimulation s;
  notch_simulate_defaults (&s);
  s.signatures = signatures;
  s.seed = seed;
  return s;
}

/* n maps of these signatures in turn. */
static inline NotchDataset *
maps_to_learn (const char *signatures, guint64 seed, int n)
{
  const NotchSimulation s = maps_of (signatures, seed);
  NotchDataset *dataset = notch_dataset_new ();
  dataset->maps = TRUE;
  for (int i = 0; i < n; i++) {
    const char *signature = NULL;
    g_autoptr (NotchBinMap) map = notch_simulate_map (&s, i, &signature);
    notch_dataset_add_map (dataset, map, g_strdup_printf ("%d", i), signature, NOTCH_PART_NONE);
  }
  notch_dataset_sort_classes (dataset);
  return dataset;
}
