/* follow.c - edges that wander are followed: follow */
#include "kernels/math/follow.h"
#include "kernels/cpu/lane.h"

#include <string.h>

/* What the pixels of a row say, a plane each; where nothing is judged, nothing. */
NOTCH_CLONES static void
say_row (const NotchNoise *noise, const float *res, const float *g, const uint8_t *judged, int stride, int n,
         float *const to[4])
{
  for (int i = 0; i < n; i++) {
    NotchFollowPixel pixel = notch_follow_pixel (noise, judged[i] ? res[i] : 0, g[i], notch_grad_x (g + i),
                                                 notch_grad_y (g + i, stride), notch_laplacian (g + i, stride));
    float counts = judged[i];
    to[0][i] = counts * pixel.moved_x, to[1][i] = counts * pixel.known_x;
    to[2][i] = counts * pixel.moved_y, to[3][i] = counts * pixel.known_y;
  }
}

/* Adds what lies `step` on both sides of n pixels, times a weight. */
NOTCH_CLONES static void
add_both (const float *before, const float *behind, float weight, int n, float *sum)
{
  for (int i = 0; i < n; i++)
    sum[i] += weight * (before[i] + behind[i]);
}

NOTCH_CLONES static void
across_row (const float *above, const float *row, const float *below, int n, float *to)
{
  for (int i = 0; i < n; i++)
    to[i] = row[i] + NOTCH_FOLLOW_BESIDE * (above[i] + below[i]);
}

NOTCH_CLONES static void
follow_row (const float *const sum[4], const uint8_t *judged, const float *g, int stride, float variance, int n,
            float *res)
{
  for (int i = 0; i < n; i++) {
    const NotchFollowPixel along = { sum[0][i], sum[1][i], sum[2][i], sum[3][i] };
    float left = notch_follow_residual (res[i], notch_grad_x (g + i), notch_grad_y (g + i, stride), &along, variance);
    res[i] = judged[i] ? left : res[i];
  }
}

int
notch_cpu_follow (NotchLane *lane, const NotchFollow *a)
{
  enum { PAD = NOTCH_FOLLOW_REACH };
  int size = lane->is.size, wide = size + 2 * PAD;
  ptrdiff_t area = (ptrdiff_t) size * size;
  const float *ref = lane->plane[NOTCH_PLANE_REF];
  /* None of these is in use before `filter`. */
  float *say[4] = { lane->plane[NOTCH_PLANE_Z], lane->plane[NOTCH_PLANE_SCORE], lane->plane[NOTCH_PLANE_FINE],
                    lane->response };
  float *row[2] = { lane->product, lane->product + wide }, *none = lane->product + 2 * wide;
  float *sum[4];
  for (int k = 0; k < 4; k++) {
    memset (say[k], 0, sizeof (float) * (size_t) area);
    sum[k] = lane->product + (3 + k) * wide;
  }
  memset (lane->product, 0, sizeof (float) * 3 * (size_t) wide);
  for (int y = 1; y < size - 1; y++) {
    ptrdiff_t at = (ptrdiff_t) y * size + 1;
    float *const to[4] = { say[0] + at, say[1] + at, say[2] + at, say[3] + at };
    say_row (&a->noise, lane->plane[NOTCH_PLANE_RES] + at, ref + at, lane->judged + at, size, size - 2, to);
  }
  for (int y = 1; y < size - 1; y++) {
    ptrdiff_t at = (ptrdiff_t) y * size;
    for (int k = 0; k < 2; k++) { /* upright edges: along y, then across */
      float weight = 1;
      memset (row[0] + PAD, 0, sizeof (float) * (size_t) size);
      for (int j = NOTCH_FOLLOW_GUARD + 1; j <= NOTCH_FOLLOW_REACH; j++, weight *= NOTCH_FOLLOW_FADE)
        add_both (y >= j ? say[k] + at - (ptrdiff_t) j * size : none,
                  y + j < size ? say[k] + at + (ptrdiff_t) j * size : none, weight, size, row[0] + PAD);
      across_row (row[0] + PAD - 1, row[0] + PAD, row[0] + PAD + 1, size, sum[k]);
    }
    for (int k = 2; k < 4; k++) { /* level ones: across, then along x */
      float weight = 1;
      across_row (say[k] + at - size, say[k] + at, say[k] + at + size, size, row[1] + PAD);
      memset (sum[k], 0, sizeof (float) * (size_t) size);
      for (int j = NOTCH_FOLLOW_GUARD + 1; j <= NOTCH_FOLLOW_REACH; j++, weight *= NOTCH_FOLLOW_FADE)
        add_both (row[1] + PAD - j, row[1] + PAD + j, weight, size, sum[k]);
    }
    const float *const along[4] = { sum[0] + 1, sum[1] + 1, sum[2] + 1, sum[3] + 1 };
    follow_row (along, lane->judged + at + 1, ref + at + 1, size, a->noise.c, size - 2,
                lane->plane[NOTCH_PLANE_RES] + at + 1);
  }
  return 0;
}
