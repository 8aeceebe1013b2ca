/* trees.h - sums of decision trees, on the CPU */
#pragma once

#include "kernels/kernels.h"

#define NOTCH_CPU_TREES_ROWS 1024 /* that a thread takes at once */

NotchTreesMem *notch_cpu_trees_up (NotchDevice *device, const NotchTrees *trees, NotchFault *fault);
void notch_cpu_trees_free (NotchTreesMem *mem);
int notch_cpu_trees_sum (NotchTreesMem *mem, const float *row, size_t n, float *sum, NotchFault *fault);
