/* scales.c - see scales.h */
#include "inspect/detect/scales.h"

#include <math.h>

#include "inspect/detect/smooth.h"

#define SIGMA_PX 0.9 /* of the optics' spot, in pixels that are twice as wide each time */
#define NEAR_PX  6   /* px, or 1.5 radii: near */

enum {
  REACH = 3,
  WIDE = 2 /* the scale at which it is asked how wide it all is */
};

typedef struct {
  int side, width;             /* of the plane, in pixels of `width` px */
  double *plane, *work, *blur; /* the residual, and that smoothed */
} Level;

/* Response of a matched filter of Gaussian shape: white noise has the same sigma at each scale. */
static void
respond (Level *level)
{
  double tap[REACH + 1], square = 0;
  for (int k = -REACH; k <= REACH; k++) {
    tap[ABS (k)] = exp (-0.5 * k * k / (SIGMA_PX * SIGMA_PX));
    square += tap[ABS (k)] * tap[ABS (k)];
  }
  for (int k = 0; k <= REACH; k++)
    tap[k] /= sqrt (square);
  notch_smooth_lines (level->plane, level->side, 1, level->side, tap, REACH, level->work);
  notch_smooth_lines (level->work, level->side, level->side, 1, tap, REACH, level->blur);
}

/* Four pixels become one; white noise stays as it is. */
static void
halve (Level *level)
{
  const int n = level->side, half = n / 2;
  for (int y = 0; y < half; y++)
    for (int x = 0; x < half; x++) {
      const double *at = level->plane + 2 * y * n + 2 * x;
      level->plane[y * half + x] = (at[0] + at[1] + at[n] + at[n + 1]) / 2;
    }
  level->side = half;
  level->width *= 2;
}

/* Where pixel i of a line is in the patch. */
static double
place_of (const Level *level, int i)
{
  return i * level->width + (level->width - 1) / 2.0;
}

static void
measure_wide (const Level *level, double x, double y, NotchScales *scales)
{
  const int side = level->side;
  double top = 0, n = 0, sum = 0, sx = 0, sy = 0;
  for (int i = 0; i < side * side; i++)
    top = MAX (top, level->blur[i]);
  for (int i = 0; i < side * side; i++)
    if (level->blur[i] > top / 2) {
      n++, sum += level->blur[i];
      sx += level->blur[i] * place_of (level, i % side), sy += level->blur[i] * place_of (level, i / side);
    }
  if (n == 0)
    return;
  scales->wide_px = level->width * sqrt (n / G_PI);
  scales->wide_off = hypot (sx / sum - x, sy / sum - y);
}

NotchScales
notch_scales_none (void)
{
  return (NotchScales){ { NAN, NAN, NAN, NAN }, NAN, NAN };
}

NotchScales
notch_scales_measure (const float *residual, int side, int sign, double x, double y, double radius)
{
  NotchScales scales = notch_scales_none ();
  const double reach = MAX (NEAR_PX, 1.5 * radius);
  const gsize n = (gsize) side * (gsize) side;
  g_autofree double *planes = g_new (double, 3 * n + 1);
  Level level = { side, 1, planes, planes + n, planes + 2 * n };
  double near = 0, anywhere[NOTCH_N_SCALES] = { 0 };
  for (gsize i = 0; i < n; i++)
    level.plane[i] = sign * (double) residual[i];
  for (int k = 0; k < NOTCH_N_SCALES; k++) {
    respond (&level);
    for (int i = 0; i < level.side * level.side; i++) {
      const double dx = place_of (&level, i % level.side) - x, dy = place_of (&level, i / level.side) - y;
      anywhere[k] = MAX (anywhere[k], level.blur[i]);
      if (dx * dx + dy * dy < reach * reach)
        near = MAX (near, level.blur[i]);
    }
    if (k == WIDE)
      measure_wide (&level, x, y, &scales);
    halve (&level);
  }
  for (int k = 0; k < NOTCH_N_SCALES && near > 0; k++)
    scales.far[k] = anywhere[k] / near;
  return scales;
}
