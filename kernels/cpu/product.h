/* product.h - the CPU's matrix product */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Element (i, j) is at[i row + j column]. */
typedef struct {
  const float *at;
  ptrdiff_t row, column;
} NotchCpuMatrix;

enum { NOTCH_CPU_PRODUCT_ROWS = 8, NOTCH_CPU_PRODUCT_COLUMNS = 16, NOTCH_CPU_PRODUCT_DEPTH = 256 };

/* Floats of scratch for products with n columns; it is best aligned to 64 bytes. */
size_t notch_cpu_product_scratch (int n);

/* c = a b, or c += a b where `add` is true; c is m x n with rows of `stride` floats, and a has k columns. Each element is
 * summed in the order of a's columns, whatever m and n are, without fused multiply-add: the same bits on every machine. */
void notch_cpu_product (int m, int n, int k, NotchCpuMatrix a, NotchCpuMatrix b, float *c, ptrdiff_t stride, bool add,
                        float *scratch);
