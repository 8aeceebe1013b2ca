/* trees.c - see trees.h */
#include "kernels/cpu/trees.h"

#include "kernels/cpu/lane.h"

static void
quantise (const NotchTrees *trees, const float *row, int n, uint16_t *bins)
{
  for (int f = 0; f < trees->n_features; f++)
    for (int r = 0; r < n; r++)
      notch_tree_bins (trees, f, row[(ptrdiff_t) r * trees->n_features + f],
                       bins + 2 * ((ptrdiff_t) r * trees->n_features + f));
}

/* Rows do not wait for each other: where one's node is still on its way from memory, the next one's is asked for. */
NOTCH_CLONES static void
walk (const NotchTrees *trees, int tree, const uint16_t *bins, int n, float *sum)
{
  uint32_t at[NOTCH_TREE_ROWS];
  const NotchTreeNode *node = trees->node;
  const ptrdiff_t stride = 2 * (ptrdiff_t) trees->n_features;
  for (int r = 0; r < n; r++)
    at[r] = trees->root[tree];
  for (int step = 0; step < trees->depth[tree]; step++)
    for (int r = 0; r < n; r++)
      at[r] = notch_tree_step (node, at[r], bins + r * stride);
  for (int r = 0; r < n; r++)
    sum[(ptrdiff_t) r * trees->n_classes + trees->class_of[tree]] += trees->leaf[at[r]];
}

void
notch_cpu_trees (const NotchTrees *trees, const float *row, size_t n, uint16_t *bins, float *sum)
{
  for (size_t first = 0; first < n; first += NOTCH_TREE_ROWS) {
    int rows = n - first < NOTCH_TREE_ROWS ? (int) (n - first) : NOTCH_TREE_ROWS;
    float *to = sum + first * (size_t) trees->n_classes;
    quantise (trees, row + first * (size_t) trees->n_features, rows, bins);
    for (int r = 0; r < rows; r++)
      for (int c = 0; c < trees->n_classes; c++)
        to[(ptrdiff_t) r * trees->n_classes + c] = trees->base[c];
    for (int tree = 0; tree < trees->n_trees; tree++)
      walk (trees, tree, bins, rows, to);
  }
}
