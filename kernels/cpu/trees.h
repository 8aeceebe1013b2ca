/* trees.h - sums of decision trees, on the CPU */
#pragma once

#include <stddef.h>

#include "kernels/math/trees.h"

#define NOTCH_TREE_ROWS 64 /* that are worked on together */

/* What the trees say of n rows of n_features values each (NAN: missing): n x n_classes sums, those of a class in the order of
 * its trees. `bins`: scratch, NOTCH_TREE_ROWS x 2 n_features. */
void notch_cpu_trees (const NotchTrees *trees, const float *row, size_t n, uint16_t *bins, float *sum);
