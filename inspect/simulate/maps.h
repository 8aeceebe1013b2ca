/* maps.h - wafer maps with signatures: which dice of a wafer fail, and why */
#pragma once

#include "inspect/notch.h"
#include "inspect/sign/binmap.h"

/* Whether the name is one of a signature, a mixture ("Center+Scratch"), or "all" or "mixed". */
gboolean notch_signature_known (const char *name);
/* The names that notch_signature_known takes, comma separated, but the mixtures' own. */
char *notch_signature_names (void);

/* Map `index`, from 0, of a simulation that has been checked, and its signature (static). Depends on the simulation's
 * seed, its options of maps and the index only. NULL when there is no memory. */
NotchBinMap *notch_simulate_map (const NotchSimulation *simulation, int index, const char **signature);
