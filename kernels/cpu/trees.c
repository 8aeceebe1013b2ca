/* trees.c - see trees.h */
#include "kernels/cpu/trees.h"

#include "kernels/cpu/lane.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 64 }; /* that walk a tree together */

struct NotchTreesMem {
  NotchTrees trees; /* whose arrays are the caller's */
};

NotchTreesMem *
notch_cpu_trees_up (NotchDevice *device, const NotchTrees *trees, NotchFault *fault)
{
  NotchTreesMem *mem = malloc (sizeof *mem);
  if (mem)
    mem->trees = *trees;
  else
    *fault = (NotchFault){ "out of memory", true };
  return mem;
}

void
notch_cpu_trees_free (NotchTreesMem *mem)
{
  free (mem);
}

/* The search of one row halves as that of any other, so rows are searched for side by side, without a branch. */
NOTCH_CLONES static void
quantise (const NotchTrees *trees, const float *row, int n, uint16_t *bins)
{
  const ptrdiff_t n_features = trees->n_features;
  for (int f = 0; f < trees->n_features; f++) {
    const float *threshold = trees->threshold + trees->first[f];
    float value[ROWS];
    int at[ROWS];
    for (int r = 0; r < n; r++)
      value[r] = row[r * n_features + f], at[r] = 0;
    for (int half, left = trees->first[f + 1] - trees->first[f]; left > 0; left -= half) {
      half = (left + 1) / 2;
      for (int r = 0; r < n; r++)
        at[r] = notch_tree_halve (threshold, at[r], half, value[r]);
    }
    for (int r = 0; r < n; r++)
      notch_tree_pair (at[r], value[r], bins + 2 * (r * n_features + f));
  }
}

/* Rows do not wait for each other: where one's node is still on its way from memory, the next one's is asked for. */
NOTCH_CLONES static void
walk (const NotchTrees *trees, int tree, const uint16_t *bins, int n, float *sum)
{
  uint32_t at[ROWS];
  const NotchTreeNode *node = trees->node;
  const ptrdiff_t stride = 2 * (ptrdiff_t) trees->n_features;
  for (int r = 0; r < n; r++)
    at[r] = trees->root[tree];
  for (int step = 0; step < trees->depth[tree]; step++)
    for (int r = 0; r < n; r++)
      at[r] = notch_tree_step (node[at[r]], bins[r * stride + node[at[r]].column]);
  for (int r = 0; r < n; r++)
    sum[(ptrdiff_t) r * trees->n_classes] += trees->leaf[at[r]];
}

static void
sum_rows (const NotchTrees *trees, const float *row, int n, uint16_t *bins, float *sum)
{
  quantise (trees, row, n, bins);
  for (int c = 0; c < trees->n_classes; c++) {
    for (int r = 0; r < n; r++)
      sum[(ptrdiff_t) r * trees->n_classes + c] = trees->base[c];
    for (int tree = trees->first_tree[c]; tree < trees->first_tree[c + 1]; tree++)
      walk (trees, tree, bins, n, sum + c);
  }
}

int
notch_cpu_trees_sum (NotchTreesMem *mem, const float *row, size_t n, float *sum, NotchFault *fault)
{
  const NotchTrees *trees = &mem->trees;
  size_t n_features = (size_t) trees->n_features, n_classes = (size_t) trees->n_classes;
  uint16_t *bins = malloc (ROWS * 2 * n_features * sizeof *bins + 1);
  if (!bins) {
    snprintf (fault->text, sizeof fault->text, "out of memory for %d rows of %d features", (int) ROWS,
              trees->n_features);
    fault->full = true;
    return -1;
  }
  for (size_t first = 0; first < n; first += ROWS)
    sum_rows (trees, row + first * n_features, n - first < ROWS ? (int) (n - first) : ROWS, bins,
              sum + first * n_classes);
  free (bins);
  return 0;
}
