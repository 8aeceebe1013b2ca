/* distortion.h - how a template's pattern lies against the image's beyond an affine warp: a smooth field of shifts */
#pragma once

#include "inspect/wafer/plan.h"

/* The largest shift beyond the warp along either axis, px. */
#define NOTCH_DISTORTION_REACH 7.0

/* Shifts at the corners of n_x x n_y equal cells that cover the image; bilinear between them. */
struct NotchDistortion {
  int n_x, n_y;
  double step_x, step_y;  /* px: a cell */
  double *dx, *dy;        /* px: of (n_x + 1) x (n_y + 1) corners, row by row; added to the warp's shift */
  double rms, peak;       /* px: across the edges that were seen, beyond the warp; of any corner */
  double low_dy, high_dy; /* px: least and largest dy */
  gboolean at_limit;      /* some corner would go further than it may */
};

/* Fits a field to the difference of two images of the plan's size, of which `other` lies against the image as `warp` says.
 * Gauss-Newton with Huber weights on blurred gradients, coarse blur first (Lucas and Kanade 1981); corners that see edges in
 * one direction, or none, follow their neighbours. Whole images are looked at up to 1536 px a side, of larger ones squares
 * of 64 px. `*field` is NULL where a field does not pay: it must take off 3 of chi squared a parameter, and move edges by more
 * than 0.15 px rms. FALSE: reading failed, or there is no memory. */
gboolean notch_distortion_fit (NotchStore *image, NotchStore *other, gint64 width, gint64 height, const NotchWarp *warp,
                               NotchDistortion **field, GError **error);
void notch_distortion_free (NotchDistortion *field);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchDistortion, notch_distortion_free)

/* What is added to the warp's shift at a position. */
void notch_distortion_at (const NotchDistortion *field, double x, double y, double *dx, double *dy);
/* The steepest change of a shift between (x0, y0) and (x1, y1), px a px. */
double notch_distortion_steepness (const NotchDistortion *field, double x0, double y0, double x1, double y1);
