/* follow.h - how far an edge has wandered at a pixel, told by what lies beside it along the edge
 *
 * A rough edge is off to one side for tens of pixels. Its residual is the reference's gradient times how far it is off, so
 * that the pixels along it tell that by least squares, with the variance of the wandering as what is known beforehand
 * (Kriging with a window; Wackernagel, Multivariate Geostatistics, 2003). Upright edges move along x and are followed
 * along y; level ones the other way. The pixel itself and its neighbours have no say, and what sticks out has little, so a
 * defect is not explained away. */
#pragma once

#include "kernels/math/noise.h"

#define NOTCH_FOLLOW_GUARD  1    /* px on both sides that have no say */
#define NOTCH_FOLLOW_REACH  12   /* px on both sides that have one: short against the roughness of edges */
#define NOTCH_FOLLOW_FADE   0.9f /* by which each further pixel counts less */
#define NOTCH_FOLLOW_BESIDE 0.5f /* what the pixels on both sides across the edge count: an edge is some pixels wide */
#define NOTCH_FOLLOW_CUT    3.0f /* sigmas that a residual counts for at most */

/* What a pixel says: gradient times residual and gradient squared, over the variance of its noise, for x and y. */
typedef struct {
  float moved_x, known_x, moved_y, known_y;
} NotchFollowPixel;

NOTCH_FN NotchFollowPixel
notch_follow_pixel (const NotchNoise *noise, float res, float g, float gx, float gy, float laplacian)
{
  const NotchNoise flat = { noise->a, noise->b, 0, 0, noise->e };
  float least = 1.0f / notch_noise_variance (&flat, g, gx, gy, laplacian);
  float most = NOTCH_FOLLOW_CUT * sqrtf (notch_noise_variance (noise, g, gx, gy, laplacian));
  float r = res > most ? most : res < -most ? -most : res;
  NotchFollowPixel pixel = { gx * r * least, gx * gx * least, gy * r * least, gy * gy * least };
  return pixel;
}

/* What is left of a residual. `along`: the sums of what the pixels say. */
NOTCH_FN float
notch_follow_residual (float res, float gx, float gy, const NotchFollowPixel *along, float variance)
{
  float prior = 1.0f / variance;
  return res - (gx * (along->moved_x / (along->known_x + prior)) + gy * (along->moved_y / (along->known_y + prior)));
}
