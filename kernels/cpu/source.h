/* source.h - one reference source of a piece, ready a row at a time */
#pragma once

#include "kernels/cpu/lane.h"
#include "kernels/math/source.h"

/* One source of a piece. At full scale its shift is one for the whole piece, so there is one set of taps an axis, and a
 * ring of rows that are filtered along x already; a coarser one has taps of its own for every column. */
typedef struct {
  const NotchPixels *pixels;
  NotchSourcePlace place;
  float *ring[NOTCH_TAPS]; /* rows filtered along x; coarse: taps by column */
  float *out, *raw;
  /* the row in work: rows to mix by `across`, or one that is ready; and factor + step x at column x */
  const float *row[NOTCH_TAPS];
  bool ready;
  float factor;
  const char *ahead; /* pixels of a row to come; NULL: of none */
  int pixel_bytes;
} NotchSource;

/* `memory`: NOTCH_SOURCE_ROWS rows of `stride` floats. */
void notch_cpu_source_start (NotchSource *source, const NotchBatch *batch, const NotchTile *tile,
                             const NotchPiece *piece, const NotchSourceShift *shift, float *memory, int stride);
/* Makes row y of the piece ready to be mixed; rows are asked for in order from 0. */
void notch_cpu_source_row (NotchSource *source, int y, const NotchPiece *piece);

/* Dice are lit and focused differently; a median over values that differ by more than noise would follow one source here
 * and another there. Each of k sources is multiplied by what makes it as bright as their mean, a plane over the piece; what
 * the mean itself is off by, `fit` finds. */
void notch_cpu_equalise (NotchSource *source, int k, const NotchPiece *piece);
