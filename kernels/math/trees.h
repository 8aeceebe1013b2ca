/* trees.h - what a decision tree makes of a row of features
 *
 * Thresholds are quantised: of a feature only those that its trees compare with matter, so a value becomes the number of
 * them that it is not below, and x < threshold k is bin (x) <= k, exactly. A row has every feature twice, for where it is
 * missing: bin 0, which is never above, and then NOTCH_BIN_RIGHT, which always is; a node looks at the one that goes its
 * way. A leaf leads to itself, so that all rows take as many steps as the tree is deep, without a branch. */
#pragma once

#include "kernels/math/fn.h"

#define NOTCH_BIN_RIGHT       0xffff
#define NOTCH_MOST_THRESHOLDS 0xfffe /* of a feature */

typedef struct {
  uint16_t column; /* of the row of bins: 2 feature, and 1 more where what is missing goes right */
  uint16_t bin;    /* left when the row's is at most this; of a leaf NOTCH_BIN_RIGHT */
  uint32_t left;   /* node; the right one comes next. A leaf: itself */
} NotchTreeNode;

/* All arrays are borrowed. */
typedef struct {
  int n_features, n_classes, n_trees;
  uint32_t n_nodes;
  const float *threshold;    /* of all features, one after the other, ascending in each */
  const int32_t *first;      /* n_features + 1: where each feature's begin */
  const NotchTreeNode *node; /* of all trees */
  const float *leaf;         /* beside it: what a leaf adds */
  const uint32_t *root;      /* of each tree, those of a class together */
  const int32_t *depth;      /* steps from its root to its lowest leaf */
  const int32_t *first_tree; /* n_classes + 1: where the trees that speak for each class begin */
  const float *base;         /* n_classes: what the sums begin with */
} NotchTrees;

/* Halves what is searched: goes on behind `half` of the thresholds from `at` where a value is below none of these. */
NOTCH_FN int
notch_tree_halve (const float *threshold, int at, int half, float value)
{
  return at + (threshold[at + half - 1] <= value ? half : 0);
}

/* How many of n ascending thresholds a value is not below; none for what is no number. */
NOTCH_FN int
notch_tree_bin (const float *threshold, int n, float value)
{
  int at = 0;
  for (int half; n > 0; n -= half) {
    half = (n + 1) / 2;
    at = notch_tree_halve (threshold, at, half, value);
  }
  return at;
}

/* The two bins of a value that is not below `at` thresholds. */
NOTCH_FN void
notch_tree_pair (int at, float value, uint16_t bin[2])
{
  bin[0] = (uint16_t) at;
  bin[1] = (uint16_t) (isnan (value) ? NOTCH_BIN_RIGHT : at);
}

/* Likewise of a value of a feature. */
NOTCH_FN void
notch_tree_bins (const NotchTrees *trees, int feature, float value, uint16_t bin[2])
{
  int first = trees->first[feature];
  notch_tree_pair (notch_tree_bin (trees->threshold + first, trees->first[feature + 1] - first, value), value, bin);
}

/* The node that comes next, from the row's bin in the node's column. */
NOTCH_FN uint32_t
notch_tree_step (NotchTreeNode is, uint16_t bin)
{
  return is.left + (bin > is.bin);
}
