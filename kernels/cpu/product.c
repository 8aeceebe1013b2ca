/* product.c - the product of two matrices, block by block
 *
 * A library would do this too, but rounds as its kernels for a machine do; here it is the same everywhere, and a network
 * says on the line what it said when it was validated. As in Goto and van de Geijn (2008) what the inner loop reads is
 * copied first, so that it lies in a row: of b `depth` rows for all columns, which the second cache holds, of a eight
 * rows, which the first one does. The inner loop keeps 8 x 16 sums in registers. */
#include "kernels/cpu/product.h"

#include "kernels/cpu/lane.h"

#include <string.h>

enum { ROWS = NOTCH_CPU_PRODUCT_ROWS, COLUMNS = NOTCH_CPU_PRODUCT_COLUMNS, DEPTH = NOTCH_CPU_PRODUCT_DEPTH };

typedef float Wide __attribute__ ((vector_size (4 * NOTCH_CPU_PRODUCT_COLUMNS), aligned (4), may_alias));

static inline int
rounded_up (int n)
{
  return (n + COLUMNS - 1) / COLUMNS * COLUMNS;
}

size_t
notch_cpu_product_scratch (int n)
{
  return (size_t) DEPTH * (size_t) (rounded_up (n) + ROWS);
}

/* Copies rows p0 to p0 + depth of b: one panel of 16 columns after the other, zeros beyond the last column. */
static void
pack_columns (NotchCpuMatrix b, int p0, int depth, int n, float *to)
{
  for (int j0 = 0; j0 < n; j0 += COLUMNS)
    for (int p = 0; p < depth; p++, to += COLUMNS) {
      const float *from = b.at + (p0 + p) * b.row + j0 * b.column;
      int width = n - j0 < COLUMNS ? n - j0 : COLUMNS;
      if (b.column == 1 && width == COLUMNS)
        memcpy (to, from, sizeof (Wide));
      else
        for (int j = 0; j < COLUMNS; j++)
          to[j] = j < width ? from[j * b.column] : 0;
    }
}

/* Likewise eight rows of a, column after column. */
static void
pack_rows (NotchCpuMatrix a, int i0, int rows, int p0, int depth, float *to)
{
  const float *from = a.at + i0 * a.row + p0 * a.column;
  for (int i = 0; i < ROWS; i++)
    for (int p = 0; p < depth; p++)
      to[p * ROWS + i] = i < rows ? from[i * a.row + p * a.column] : 0;
}

/* sum[i] += a (i, p) b (p, .), from p = 0 on. */
static inline __attribute__ ((always_inline)) void
multiply (int depth, const float *a, const float *b, Wide sum[ROWS])
{
  for (int p = 0; p < depth; p++) {
    Wide row = *(const Wide *) (b + (ptrdiff_t) p * COLUMNS);
    for (int i = 0; i < ROWS; i++)
      sum[i] += a[p * ROWS + i] * row;
  }
}

/* Rows of c that are less than eight, or columns that are less than sixteen. */
static void
load_part (const float *c, ptrdiff_t stride, int rows, int width, Wide sum[ROWS])
{
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < width; j++)
      sum[i][j] = c[i * stride + j];
}

static void
store_part (const Wide sum[ROWS], int rows, int width, float *c, ptrdiff_t stride)
{
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < width; j++)
      c[i * stride + j] = sum[i][j];
}

/* Eight rows of c, of packed rows of a with all panels of b. */
NOTCH_CLONES static void
multiply_rows (int n, int depth, const float *a, const float *b, float *c, ptrdiff_t stride, int rows, bool add)
{
  for (int j0 = 0; j0 < n; j0 += COLUMNS, b += (ptrdiff_t) depth * COLUMNS) {
    Wide sum[ROWS] = { { 0 } };
    bool whole = rows == ROWS && n - j0 >= COLUMNS;
    int width = n - j0 < COLUMNS ? n - j0 : COLUMNS;
    if (add && whole)
      for (int i = 0; i < ROWS; i++)
        sum[i] = *(const Wide *) (c + i * stride + j0);
    else if (add)
      load_part (c + j0, stride, rows, width, sum);
    multiply (depth, a, b, sum);
    if (whole)
      for (int i = 0; i < ROWS; i++)
        *(Wide *) (c + i * stride + j0) = sum[i];
    else
      store_part (sum, rows, width, c + j0, stride);
  }
}

void
notch_cpu_product (int m, int n, int k, NotchCpuMatrix a, NotchCpuMatrix b, float *c, ptrdiff_t stride, bool add,
                   float *scratch)
{
  float *rows_of_a = scratch, *panels = scratch + DEPTH * ROWS;
  for (int p0 = 0; p0 < k; p0 += DEPTH) {
    int depth = k - p0 < DEPTH ? k - p0 : DEPTH;
    pack_columns (b, p0, depth, n, panels);
    for (int i0 = 0; i0 < m; i0 += ROWS) {
      int rows = m - i0 < ROWS ? m - i0 : ROWS;
      pack_rows (a, i0, rows, p0, depth, rows_of_a);
      multiply_rows (n, depth, rows_of_a, panels, c + i0 * stride, stride, rows, add || p0 > 0);
    }
  }
}
