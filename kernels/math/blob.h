/* blob.h - what one pixel adds to a blob; integers, so that the order does not matter */
#pragma once

#include "kernels/kernels.h"
#include "kernels/math/fn.h"
#include "kernels/math/noise.h"

/* 256 cos (k pi / 8) and 256 sin (k pi / 8), rounded. */
#define NOTCH_FERET_COS                                                                                                \
  {                                                                                                                    \
    256, 237, 181, 98, 0, -98, -181, -237, -256, -237, -181, -98, 0, 98, 181, 237                                      \
  }
#define NOTCH_FERET_SIN                                                                                                \
  {                                                                                                                    \
    0, 98, 181, 237, 256, 237, 181, 98, 0, -98, -181, -237, -256, -237, -181, -98                                      \
  }

/* A number in 1/256, rounded; far outliers are cut so that sums cannot overflow, and what is no number is nothing. */
NOTCH_FN int64_t
notch_fixed (float value)
{
  float scaled = value * 256.0f;
  scaled = scaled > 1e12f ? 1e12f : scaled < -1e12f ? -1e12f : scaled == scaled ? scaled : 0.0f;
  return (int64_t) floorf (scaled + 0.5f);
}

/* What a pixel counts for in the centroid: squared, so that a wide blob's many weak pixels, noise mostly, do not. */
NOTCH_FN int64_t
notch_blob_weight (float fine)
{
  float most = fine < -256.0f || fine > 256.0f ? 256.0f : fine;
  return notch_fixed (most * most);
}

NOTCH_FN void
notch_blob_clear (NotchBlob *blob)
{
  NotchBlob none = { 0 };
  none.x0 = none.y0 = INT32_MAX;
  none.x1 = none.y1 = INT32_MIN;
  for (int k = 0; k < NOTCH_FERET_DIRECTIONS; k++)
    none.feret[k] = INT32_MIN;
  none.peak = -1;
  *blob = none;
}

/* Places of a window are sought in so many steps; each halves what is left to go, or better. */
#define NOTCH_PLACE_STEPS 8

/* How far from a blob's peak the middle of it lies, seen through a window of the width of the filter that gave the peak:
 * where the first moment of Z in the window is 0. For a window like the defect that is the maximum of the likelihood, and
 * twice the moment is Newton's step towards it (SExtractor's windowed positions). The window is (1 - r^2 / 8 s^2)^4, next to
 * a Gaussian of sigma s. Sums are of whole numbers, so that they can be taken in any order. `z` is a plane of the tile,
 * `size` px a side; where the middle would be more than s + 1 px away the peak stays. */
NOTCH_FN void
notch_blob_place (NotchBlob *blob, const float *z, int size, float sigma)
{
  float reach2 = 8.0f * sigma * sigma;
  int reach = (int) sqrtf (reach2) + 1, most = (int) (256.0f * (sigma + 1.0f)), cx = 0, cy = 0;
  for (int step = 0; step < NOTCH_PLACE_STEPS; step++) {
    int64_t sum = 0, sum_x = 0, sum_y = 0;
    int mx = blob->peak_x + (cx >> 8), my = blob->peak_y + (cy >> 8);
    int x0 = mx - reach > 0 ? mx - reach : 0, x1 = mx + reach + 1 < size ? mx + reach + 1 : size - 1;
    int y0 = my - reach > 0 ? my - reach : 0, y1 = my + reach + 1 < size ? my + reach + 1 : size - 1;
    for (int y = y0; y <= y1; y++)
      for (int x = x0; x <= x1; x++) {
        float dx = (float) (x - blob->peak_x) - (float) cx / 256.0f,
              dy = (float) (y - blob->peak_y) - (float) cy / 256.0f;
        float window = 1.0f - (dx * dx + dy * dy) / reach2;
        window = window > 0.0f ? window * window : 0.0f;
        float seen = window * window * z[(ptrdiff_t) y * size + x];
        sum += notch_fixed (seen), sum_x += notch_fixed (seen * dx), sum_y += notch_fixed (seen * dy);
      }
    if (sum == 0 || (sum < 0) != blob->peak_dark)
      return;
    int go_x = (int) (512 * sum_x / sum), go_y = (int) (512 * sum_y / sum);
    if (go_x == 0 && go_y == 0) /* and would stay there */
      break;
    cx += go_x, cy += go_y;
    if (cx < -most || cx > most || cy < -most || cy > most)
      return;
  }
  blob->peak_dx = cx, blob->peak_dy = cy;
}

/* What the planes say at one pixel of a blob. */
typedef struct {
  int x, y;
  float fine, res, ref, edge, z;
  bool seed;
} NotchBlobPixel;

/* Keeps the peak; ties go to the smaller y, then x. */
NOTCH_FN void
notch_blob_peak (NotchBlob *blob, int x, int y, float score, int channel, bool dark)
{
  int32_t peak = (int32_t) notch_fixed (score > 8e6f ? 8e6f : score);
  if (peak > blob->peak || (peak == blob->peak && (y < blob->peak_y || (y == blob->peak_y && x < blob->peak_x)))) {
    blob->peak = peak;
    blob->peak_x = x, blob->peak_y = y;
    blob->peak_channel = channel;
    blob->peak_dark = dark;
  }
}

NOTCH_FN void
notch_blob_add (NotchBlob *blob, const NotchBlobPixel *pixel)
{
  const int cosine[NOTCH_FERET_DIRECTIONS] = NOTCH_FERET_COS, sine[NOTCH_FERET_DIRECTIONS] = NOTCH_FERET_SIN;
  int64_t x = pixel->x, y = pixel->y;
  int64_t weight = notch_blob_weight (pixel->fine), res = notch_fixed (pixel->res);
  blob->n++;
  blob->n_seed += pixel->seed;
  blob->x += x, blob->y += y;
  blob->xx += x * x, blob->yy += y * y, blob->xy += x * y;
  blob->w += weight, blob->wx += weight * x, blob->wy += weight * y;
  blob->res += res, blob->res_abs += res < 0 ? -res : res;
  blob->ref += notch_fixed (pixel->ref), blob->ref_edge += notch_fixed (pixel->edge);
  blob->z += notch_fixed (pixel->z);
  if (pixel->x < blob->x0)
    blob->x0 = pixel->x;
  if (pixel->x > blob->x1)
    blob->x1 = pixel->x;
  if (pixel->y < blob->y0)
    blob->y0 = pixel->y;
  if (pixel->y > blob->y1)
    blob->y1 = pixel->y;
  for (int k = 0; k < NOTCH_FERET_DIRECTIONS; k++) {
    int32_t reach = pixel->x * cosine[k] + pixel->y * sine[k];
    if (reach > blob->feret[k])
      blob->feret[k] = reach;
  }
}

/* The planes that a blob is measured in, size x size each. */
typedef struct {
  const float *fine, *res, *ref, *z;
} NotchBlobPlanes;

/* Adds what the planes have at (x, y), which has a neighbour on every side. */
NOTCH_FN void
notch_blob_measure (NotchBlob *blob, const NotchBlobPlanes *planes, int size, int x, int y, bool seed)
{
  ptrdiff_t at = (ptrdiff_t) y * size + x;
  const float *g = planes->ref + at;
  float gx = notch_grad_x (g), gy = notch_grad_y (g, size);
  NotchBlobPixel pixel = {
    x, y, planes->fine[at], planes->res[at], g[0], sqrtf (gx * gx + gy * gy), planes->z[at], seed
  };
  notch_blob_add (blob, &pixel);
}

/* Which of two blobs has the stronger peak; of equals the first one in the tile. */
NOTCH_FN bool
notch_blob_stronger (const NotchBlob *a, const NotchBlob *b)
{
  if (a->peak != b->peak)
    return a->peak > b->peak;
  return a->peak_y != b->peak_y ? a->peak_y < b->peak_y : a->peak_x < b->peak_x;
}

/* First pixel along one axis of a crop of `side` px around a blob, kept in a tile of `size` px: `weighted` and `sum` are the
 * blob's sums of that coordinate with and without its weight. */
NOTCH_FN int
notch_blob_crop (const NotchBlob *blob, int64_t weighted, int64_t sum, int side, int size)
{
  int first = (int) (blob->w ? (weighted + blob->w / 2) / blob->w : sum / blob->n) - side / 2;
  return first < 0 ? 0 : first > size - side ? size - side : first;
}

/* What `label` makes of a pixel. */
enum { NOTCH_MASK_OUT, NOTCH_MASK_GROWN, NOTCH_MASK_SEED };

NOTCH_FN uint8_t
notch_mask_of (float score, float fine, float seed, float grow)
{
  return (uint8_t) (score >= seed ? NOTCH_MASK_SEED : fabsf (fine) >= grow ? NOTCH_MASK_GROWN : NOTCH_MASK_OUT);
}

/* Could a blob beyond the core's border be connected to this pixel? */
NOTCH_FN bool
notch_mask_near_seam (const NotchTile *tile, int x, int y, int reach)
{
  return x < tile->core_x + reach || y < tile->core_y + reach || x >= tile->core_x + tile->core_w - reach
         || y >= tile->core_y + tile->core_h - reach;
}
