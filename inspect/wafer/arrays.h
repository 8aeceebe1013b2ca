/* arrays.h - where the pattern repeats a cell: memories and other arrays, in every die or over the whole image */
#pragma once

#include "inspect/image/store.h"
#include "inspect/wafer/cells.h"
#include "inspect/wafer/grid.h"

#define NOTCH_MAX_ARRAYS 64

/* A rectangle of the map: a part of an array (0, 1, …), or of what is none (-1), px. Rectangles cover the map without
 * overlapping. */
typedef struct {
  gint64 x0, y0, x1, y1;
  int array;
} NotchArrayRect;

/* Arrays that do not touch are two, though their cells may be alike: they need not be in step. */
typedef struct {
  gboolean in_dice;     /* the map is of a die, and begins at its corner; else it is of the image */
  gint64 width, height; /* px */
  int n;
  NotchCell cell[NOTCH_MAX_ARRAYS]; /* of each */
  double share[NOTCH_MAX_ARRAYS];   /* of the map that the array takes */
  GArray *rect;                     /* NotchArrayRect */
  int block;                        /* px: the map's grain */
  int n_cols, n_rows;               /* blocks */
  guint8 *index;                    /* of each block: 1 + the array's number, 0: none; different ones do not touch */
  guint32 *count;                   /* summed-area table, (n_cols + 1) x (n_rows + 1), of blocks in any array */
} NotchArrays;

void notch_arrays_free (NotchArrays *arrays);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchArrays, notch_arrays_free)

/* Looks for arrays in whole dice from the middle of the grid (or, without a grid, in the image), by their autocorrelation;
 * refines their cells by the phases of their harmonics over distances as long as the array; and maps where the
 * pattern equals itself one cell away, as far as noise lets it. At least eight cells a side are an array. A result
 * with n = 0 when there is none; NULL only when reading fails or memory lacks. */
NotchArrays *notch_arrays_find (NotchStore *store, gint64 width, gint64 height, const NotchGrid *grid, GError **error);

/* Whether a rectangle, px of the map, lies in one array altogether. */
gboolean notch_arrays_hold (const NotchArrays *arrays, int array, gint64 x0, gint64 y0, gint64 x1, gint64 y1);

/* What was found, a line an array; "" without any. */
char *notch_arrays_describe (const NotchArrays *arrays);
