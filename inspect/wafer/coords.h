/* coords.h - the three frames: image, wafer, die
 *
 * image  px, pixel centres whole numbers, y down
 * wafer  µm from the wafer's centre, y up, the notch or flat at the bottom (-y), the dice's rows along x
 * die    µm from the cell's lower left corner as the image shows it, y up
 *
 * Without an outline the image's centre is the wafer's. Where the pixel size is not known a pixel counts as 1 µm. */
#pragma once

#include "inspect/wafer/grid.h"

typedef struct {
  double x, y;     /* px: the wafer's centre */
  double pixel_um; /* 1 where it is not known */
  double cos, sin; /* of the turn that brings the mark to the bottom */
  int mark;        /* where the mark is in the image: 0 down, 1 left, 2 up, 3 right, as in the recipe */
} NotchFrame;

/* The wafer's frame of an image of width x height px. The rows of `grid` (NULL: none) give the fine angle, for they are
 * known better than the notch; the recipe's notch, or the one that was found, only which side is down. */
NotchFrame notch_frame_new (const NotchRecipe *recipe, const NotchGrid *grid, const NotchOutline *outline, gint64 width,
                            gint64 height, double pixel_um);
void notch_frame_to_wafer (const NotchFrame *frame, double x, double y, double *x_um, double *y_um);
void notch_frame_to_image (const NotchFrame *frame, double x_um, double y_um, double *x, double *y);

/* (u, v) goes to (xx u + xy v + x, yx u + yy v + y). */
typedef struct {
  double xx, xy, x;
  double yx, yy, y;
} NotchAffine;

static inline void
notch_affine_at (const NotchAffine *affine, double u, double v, double *x, double *y)
{
  *x = affine->xx * u + affine->xy * v + affine->x;
  *y = affine->yx * u + affine->yy * v + affine->y;
}
NotchAffine notch_affine_inverse (const NotchAffine *affine);

/* From µm of a frame to px of the image; for a die, to px from its corner (die->x, die->y), which is the same for all dice. */
NotchAffine notch_affine_of_frame (const NotchFrame *frame);
NotchAffine notch_affine_of_die (const NotchGrid *grid, double pixel_um);
/* From µm of the image's lower left corner, y up. */
NotchAffine notch_affine_of_image (gint64 height, double pixel_um);

/* A point of the image in the die whose cell it lies in, by the lattice: 0 <= x_um < pitch, likewise y_um. */
void notch_die_to_um (const NotchGrid *grid, const NotchDie *die, double pixel_um, double x, double y, double *x_um,
                      double *y_um);
/* The inverse. */
void notch_die_to_image (const NotchGrid *grid, const NotchDie *die, double pixel_um, double x_um, double y_um,
                         double *x, double *y);
