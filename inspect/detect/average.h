/* average.h - one tile of a golden die: the robust mean and scatter of many dice, die by die
 *
 * A tile lies in the golden die as tiles lie in an image. First a few dice, the witnesses, are held side by side: their
 * median is the centre, their scatter says what is out of the ordinary. Then every die is brought onto the centre (gain,
 * shading, shift and focus are fitted as in an inspection), and what does not stick out is summed up. Sums are taken in the
 * order of the dice, so nothing depends on threads or memory. */
#pragma once

#include "inspect/reference/reference.h"
#include "inspect/wafer/golden.h"

#define NOTCH_WITNESSES 16 /* at most */

typedef struct {
  int x0, y0, x1, y1; /* px, first and one beyond last */
} NotchBox;

typedef struct {
  const NotchGolden *golden; /* borrowed */
  const NotchKernels *kernels;
  NotchTile tile;
  int size;
  NotchBox frame; /* what of the tile is golden die */
  NotchBox cell;  /* the frame without its margin */
  NotchBox box;   /* what is summed up: the core and what smoothing looks at around it */
  NotchFit fit;   /* what is taken out of a die; without a batch */
  int n_witnesses;
  float *witness[NOTCH_WITNESSES]; /* size x size, or NULL */
  NotchBox valid[NOTCH_WITNESSES];
  float *centre, *cut; /* size x size: what is further from the centre than the cut is left out */
  double *sum, *sum2;  /* size x size: of residuals */
  gint32 *count;
  NotchNoise noise;  /* of the witnesses, about the centre */
  double noise_gain; /* sum over dice: what interpolation left of white noise's variance */
  int n_dice, n_left_out;
  GArray *sample; /* NotchNoiseSample, every `stride`-th pixel of every die */
  int stride;
} NotchAverage;

/* Bytes that a tile of this size takes at most. */
guint64 notch_average_bytes (int size);
NotchAverage *notch_average_new (const NotchGolden *golden, const NotchKernels *kernels, const NotchTiling *tiling,
                                 gint64 col, gint64 row, NotchFit fit, int stride);
void notch_average_free (NotchAverage *average);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchAverage, notch_average_free)

/* One die on its way: made by the thread that runs the crew, worked on by a lane, then added. */
typedef struct {
  NotchAverage *average;
  const NotchStripMem *strip; /* the rows of notch_average_rows */
  GArray *piece, *source;
  NotchBox valid; /* where the image has pixels */
  double noise_gain;
  float *value; /* size x size: after the work, the die as the golden die has it, or the residual against the centre */
} NotchAverageDie;

/* Image rows that a die's part of the tile is interpolated from. */
NotchRows notch_average_rows (const NotchAverage *average, const NotchGoldenDie *die);
NotchAverageDie *notch_average_die_new (NotchAverage *average, const NotchGoldenDie *die, const NotchStripMem *strip,
                                        gint64 width, gint64 height);
void notch_average_die_free (NotchAverageDie *die);
/* NotchCrewWork: a die that is a witness to be. */
gboolean notch_average_interpolate (NotchLane *lane, gpointer die, GError **error);
/* NotchCrewWork: a die against the centre. */
gboolean notch_average_compare (NotchLane *lane, gpointer die, GError **error);
/* NotchCrewWork on a NotchAverage: from the witnesses to the centre and the cut; the witnesses are freed. */
gboolean notch_average_settle (NotchLane *lane, gpointer average, GError **error);

/* Keeps what notch_average_interpolate made. */
void notch_average_witness (NotchAverage *average, NotchAverageDie *die);
/* Sums up what notch_average_compare made. FALSE: the die differs so much that it was left out. */
gboolean notch_average_add (NotchAverage *average, const NotchAverageDie *die);
/* The core's means, standard deviations and counts, core_w x core_h floats each. */
void notch_average_finish (NotchAverage *average, float *mean, float *sigma, float *count);
