/* coords.c - between image, wafer and die */
#include "inspect/wafer/coords.h"

#include <math.h>

NotchFrame
notch_frame_new (const NotchRecipe *recipe, const NotchGrid *grid, const NotchOutline *outline, gint64 width,
                 gint64 height, double pixel_um)
{
  NotchFrame frame = { (width - 1) / 2.0, (height - 1) / 2.0, pixel_um > 0 ? pixel_um : 1, 1, 0, recipe->wafer.notch };
  if (outline->radius > 0) {
    frame.x = outline->x;
    frame.y = outline->y;
  }
  double row_angle = grid ? atan2 (grid->ay, grid->ax) : 0;
  double turn = row_angle + MAX (frame.mark, 0) * G_PI_2;
  if (frame.mark < 0) {
    frame.mark = 0;
    if (outline->radius > 0 && !isnan (outline->notch_angle)) {
      double from_notch = -G_PI_2 - outline->notch_angle;
      double quarters = round ((from_notch - row_angle) / G_PI_2);
      frame.mark = (int) fmod (quarters + 8, 4);
      turn = grid ? row_angle + quarters * G_PI_2 : from_notch;
    }
  }
  frame.cos = cos (turn);
  frame.sin = sin (turn);
  return frame;
}

void
notch_frame_to_wafer (const NotchFrame *frame, double x, double y, double *x_um, double *y_um)
{
  double u = x - frame->x, v = y - frame->y;
  *x_um = frame->pixel_um * (frame->cos * u + frame->sin * v);
  *y_um = frame->pixel_um * (frame->sin * u - frame->cos * v);
}

void
notch_frame_to_image (const NotchFrame *frame, double x_um, double y_um, double *x, double *y)
{
  *x = frame->x + (frame->cos * x_um + frame->sin * y_um) / frame->pixel_um;
  *y = frame->y + (frame->sin * x_um - frame->cos * y_um) / frame->pixel_um;
}

void
notch_die_to_um (const NotchGrid *grid, const NotchDie *die, double pixel_um, double x, double y, double *x_um,
                 double *y_um)
{
  double scale = pixel_um > 0 ? pixel_um : 1;
  double col = 0, row = 0;
  notch_grid_to_cells (grid, x, y, &col, &row);
  *x_um = (col - die->col) * hypot (grid->ax, grid->ay) * scale;
  *y_um = (die->row + 1 - row) * hypot (grid->bx, grid->by) * scale;
}

void
notch_die_to_image (const NotchGrid *grid, const NotchDie *die, double pixel_um, double x_um, double y_um, double *x,
                    double *y)
{
  double scale = pixel_um > 0 ? pixel_um : 1;
  double col = die->col + x_um / scale / hypot (grid->ax, grid->ay);
  double row = die->row + 1 - y_um / scale / hypot (grid->bx, grid->by);
  notch_grid_from_cells (grid, col, row, x, y);
}

NotchAffine
notch_affine_inverse (const NotchAffine *a)
{
  double det = a->xx * a->yy - a->xy * a->yx;
  NotchAffine inverse = { a->yy / det, -a->xy / det, 0, -a->yx / det, a->xx / det, 0 };
  inverse.x = -(inverse.xx * a->x + inverse.xy * a->y);
  inverse.y = -(inverse.yx * a->x + inverse.yy * a->y);
  return inverse;
}

NotchAffine
notch_affine_of_frame (const NotchFrame *frame)
{
  double c = frame->cos / frame->pixel_um, s = frame->sin / frame->pixel_um;
  return (NotchAffine){ c, s, frame->x, s, -c, frame->y };
}

NotchAffine
notch_affine_of_die (const NotchGrid *grid, double pixel_um)
{
  double scale = pixel_um > 0 ? pixel_um : 1;
  double a = hypot (grid->ax, grid->ay) * scale, b = hypot (grid->bx, grid->by) * scale;
  return (NotchAffine){ grid->ax / a, -grid->bx / b, grid->bx, grid->ay / a, -grid->by / b, grid->by };
}

NotchAffine
notch_affine_of_image (gint64 height, double pixel_um)
{
  double scale = pixel_um > 0 ? pixel_um : 1;
  return (NotchAffine){ 1 / scale, 0, -0.5, 0, -1 / scale, (double) height - 0.5 };
}
