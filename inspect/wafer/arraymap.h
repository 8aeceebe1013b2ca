/* arraymap.h - parts of the search for arrays: what arrays.c is made of */
#pragma once

#include "inspect/wafer/arrays.h"

/* Where the search looks: whole dice, or the image; all of one size. */
#define NOTCH_MAX_FIELDS 3
typedef struct {
  NotchStore *store;
  gint64 width, height; /* px, of a field */
  int n;
  gint64 x[NOTCH_MAX_FIELDS], y[NOTCH_MAX_FIELDS]; /* px in the image: a field's corner */
} NotchFields;

/* Reads w x h px from (x, y) of the image, all inside, as floats. */
gboolean notch_fields_read (const NotchFields *fields, gint64 x, gint64 y, gint64 w, gint64 h, float *to,
                            GError **error);

/* The map of n cells that may be repeated, n_cols x n_rows blocks of `block` px: 1 + the number of the cell that a block
 * repeats by a majority of the fields, 0: none. */
#define NOTCH_MAX_CELLS 8
typedef struct {
  int n;
  NotchCell cell[NOTCH_MAX_CELLS];
  int block, n_cols, n_rows;
} NotchCellMap;
gboolean notch_array_map (const NotchFields *fields, const NotchCellMap *map, guint8 *index, GError **error);

/* Makes the cell of an array exact by the phases of its harmonics in windows that lie in it. *in_step: whether it could be
 * known, and the whole array is in step. */
gboolean notch_array_refine (const NotchFields *fields, const NotchArrays *arrays, int array, NotchCell *cell,
                             gboolean *in_step, GError **error);
