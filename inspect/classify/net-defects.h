/* net-defects.h - the network over a defect's patch: its shape, and what it sees of a patch */
#pragma once

#include "inspect/classify/dataset.h"
#include "inspect/classify/net.h"

enum { NOTCH_NET_DEFECTS_BATCH = 64 }; /* images that it learns from at a step */

/* 0.4 million weights; a patch of 64 px takes 15 million products. Of larger patches it sees the middle. */
NotchNetShape notch_net_defects_shape (int patch_side, int classes);

typedef struct {
  const NotchExample **example; /* each with a patch */
  int patch_side;               /* px: of a patch */
  int side;                     /* px: that the network sees */
  const gboolean *oriented;     /* see NotchTrainHow */
} NotchNetPatches;

/* The first n patches as images: how test and reference differ, in sigmas of the noise, and test and reference less the
 * reference's mean, over its spread; changed by chance as the image's physics has it (augment.h) where that is asked for.
 * All is borrowed; `label` may be NULL. */
NotchNetImages notch_net_defects_images (const NotchNetPatches *patches, gsize n, const int *label);
