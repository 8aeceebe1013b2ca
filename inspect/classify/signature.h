/* signature.h - the class of a whole wafer map, by a model of purpose "signature" */
#pragma once

#include "inspect/classify/classifier.h"
#include "inspect/sign/binmap.h"
#include "inspect/wafer/grid.h"

#define NOTCH_SIGNATURE_NONE "none"

/* Fewer dice are no map of a wafer. */
enum { NOTCH_SIGNATURE_LEAST_DICE = 30 };

typedef struct {
  const char *name;  /* of the model's, "unknown", or "none"; static or the model's */
  double confidence; /* the model's probability, 0 to 1; NAN: it knows no class that could be said */
  double chance;     /* of notch_binmap_chance; NAN: not asked, for the model sees no place on the wafer */
} NotchSignature;

/* The whole dice of a grid that were inspected: failed where they have defects or differ nearly everywhere.
 * NULL where they are fewer than NOTCH_SIGNATURE_LEAST_DICE or there is no memory. */
NotchBinMap *notch_binmap_of_grid (const NotchGrid *grid);

/* The most probable class, "unknown" below its threshold. Where that is a place on the wafer, and not none, Random or
 * Near-full, or unknown, and failed dice lie together no more than chance would have it at least once in 20 wafers, only those
 * three count; their probabilities stay what the model gives, little where it is sure of a place. A model that has none of
 * them leaves it to the test: none. So of wafers whose dice fail by chance at most one in 20 is said to have a signature,
 * whatever the model. FALSE where the classifier fails. */
gboolean notch_signature_read (const NotchTrained *trained, const NotchBinMap *map, const NotchCompute *compute,
                               NotchSignature *signature, GError **error);
