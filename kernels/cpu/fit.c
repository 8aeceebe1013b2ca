/* fit.c - the reference brought to the test's scale, and what is left in sigmas: fit, normalise */
#include "kernels/math/fit.h"
#include "kernels/cpu/lane.h"

#include <string.h>

NOTCH_CLONES static void
apply_row (const float *test, const float *g, int stride, const float c[NOTCH_FIT_MAX], float u0, float du, float v,
           int n, float *restrict ref, float *restrict res)
{
  NotchFitRow row = notch_fit_row (c, v);
  for (int i = 0; i < n; i++) {
    NotchFitPixel pixel = notch_fit_pixel (g + i, stride);
    float model = notch_fit_model (&row, &pixel, u0 + du * (float) i);
    ref[i] = model;
    res[i] = test[i] - model;
  }
}

/* Clears what no piece writes to: all that has no reference, and the tile's rim. */
static void
clear_rest (const NotchLane *lane, float *plane)
{
  int size = lane->is.size;
  if (!lane->all_covered) {
    memset (plane, 0, sizeof (float) * (size_t) size * (size_t) size);
    return;
  }
  for (int i = 0; i < size; i++) {
    ptrdiff_t last = (ptrdiff_t) (size - 1) * size, row = (ptrdiff_t) i * size;
    plane[i] = plane[last + i] = plane[row] = plane[row + size - 1] = 0;
  }
}

int
notch_cpu_pieces_above (const NotchLane *lane, const NotchBatch *batch, int p,
                        const NotchPiece *above[NOTCH_CPU_MOST_ABOVE])
{
  const NotchPiece *all = &batch->piece[lane->tile->first_piece], *piece = &all[p];
  int n = 0;
  for (int q = p + 1; q < lane->tile->n_pieces && n < NOTCH_CPU_MOST_ABOVE; q++)
    if (all[q].x < piece->x + piece->w && all[q].x + all[q].w > piece->x && all[q].y < piece->y + piece->h
        && all[q].y + all[q].h > piece->y)
      above[n++] = &all[q];
  return n;
}

int
notch_cpu_fit (NotchLane *lane, const NotchFit *a)
{
  const NotchTile *tile = lane->tile;
  int size = lane->is.size, stride = NOTCH_FIT_SAMPLES + 64;
  const float *test = lane->plane[NOTCH_PLANE_TEST];
  float *ref = lane->plane[NOTCH_PLANE_REF];
  /* The model goes to Z for now: derivatives of the raw reference are needed until the last row is done. */
  float *model = lane->plane[NOTCH_PLANE_Z], *res = lane->plane[NOTCH_PLANE_RES];
  clear_rest (lane, res);
  if (!lane->all_covered)
    memcpy (model, ref, sizeof (float) * (size_t) size * (size_t) size);
  for (int i = 0; i < size; i++) { /* the rim, that has no derivatives */
    ptrdiff_t last = (ptrdiff_t) (size - 1) * size, row = (ptrdiff_t) i * size;
    model[i] = ref[i], model[last + i] = ref[last + i];
    model[row] = ref[row], model[row + size - 1] = ref[row + size - 1];
  }
  const NotchPiece *above[NOTCH_CPU_MOST_ABOVE];
  for (int p = 0; p < tile->n_pieces; p++) {
    const NotchPiece *piece = &a->batch->piece[tile->first_piece + p];
    memset (lane->fit[p], 0, sizeof lane->fit[p]);
    if (piece->n_sources == 0)
      continue;
    /* Derivatives look one pixel beyond a piece, where another one's reference is off by its own brightness: a jump that a
     * difference of focus would draw along the border. Only beyond the tile there is nothing. */
    float *rim = lane->rim_at[p] >= 0 ? lane->rim + lane->rim_at[p] : NULL;
    if (rim)
      notch_cpu_swap_rim (ref, piece, size, rim);
    const NotchFitArea area = notch_fit_area (piece, size, a->samples);
    int n = 0, n_above = notch_cpu_pieces_above (lane, a->batch, p, above);
    for (int top = area.y0; top < area.y1; top += area.step)
      for (int left = area.x0; left < area.x1; left += area.step) {
        int x, y;
        if (!notch_fit_sample (&area, left, top, &x, &y))
          continue;
        ptrdiff_t at = (ptrdiff_t) y * size + x;
        if (!lane->judged[at] || notch_cpu_is_hidden (above, n_above, x, y))
          continue;
        float term[NOTCH_FIT_MAX];
        NotchFitPixel pixel = notch_fit_pixel (ref + at, size);
        notch_fit_terms (&pixel, notch_fit_u (&area, piece, x), notch_fit_v (&area, piece, y), term);
        for (int j = 0; j < NOTCH_FIT_MAX; j++)
          lane->basis[(ptrdiff_t) j * stride + n] = term[j];
        lane->basis[(ptrdiff_t) NOTCH_FIT_MAX * stride + n] = test[at] - ref[at];
        n++;
      }
    if (a->terms == NOTCH_FIT_NOTHING)
      lane->fit[p][1] = a->gain - 1;
    else if (n >= NOTCH_FIT_LEAST)
      notch_cpu_regress (lane, n, a, piece->w * piece->h, &lane->ref_noise[p], lane->fit[p]);
    for (int y = area.y0; y < area.y1; y++) {
      ptrdiff_t at = (ptrdiff_t) y * size + area.x0;
      apply_row (test + at, ref + at, size, lane->fit[p], notch_fit_u (&area, piece, area.x0), area.du,
                 notch_fit_v (&area, piece, y), area.x1 - area.x0, model + at, res + at);
    }
    if (rim)
      notch_cpu_swap_rim (ref, piece, size, rim);
    if (a->terms != NOTCH_FIT_NOTHING)
      notch_cpu_level_borders (lane, piece, above, n_above, res, model);
  }
  for (ptrdiff_t i = 0; i < (ptrdiff_t) size * size && lane->any_lost; i++)
    if (!lane->judged[i] && (lane->known[i] & NOTCH_KNOWN_COVERED))
      res[i] = NAN;
  lane->plane[NOTCH_PLANE_Z] = lane->plane[NOTCH_PLANE_REF];
  lane->plane[NOTCH_PLANE_REF] = model;
  if (a->wander > 0)
    notch_cpu_wander (lane, a->wander);
  return 0;
}
/* ---- normalise ------------------------------------------------------------------------------------------------- */

NOTCH_CLONES static void
normalise_row (const float *res, const float *g, int stride, const NotchNoise *noise, int n, float *z)
{
  for (int i = 0; i < n; i++) {
    float variance = notch_noise_variance (noise, g[i], notch_grad_x (g + i), notch_grad_y (g + i, stride),
                                           notch_laplacian (g + i, stride));
    z[i] = res[i] / sqrtf (variance);
  }
}

NOTCH_CLONES static void
normalise_spread_row (const float *res, const float *g, int stride, const NotchNoise *noise, const float *spread,
                      float trust, int n, float *z)
{
  for (int i = 0; i < n; i++) {
    float variance = notch_noise_variance (noise, g[i], notch_grad_x (g + i), notch_grad_y (g + i, stride),
                                           notch_laplacian (g + i, stride));
    z[i] = res[i] / sqrtf (notch_noise_joined (variance, spread[i], trust));
  }
}

int
notch_cpu_normalise (NotchLane *lane, const NotchNormalise *a)
{
  const NotchTile *tile = lane->tile;
  int size = lane->is.size;
  float *z = lane->plane[NOTCH_PLANE_Z];
  clear_rest (lane, z);
  for (int p = 0; p < tile->n_pieces; p++) {
    const NotchPiece *piece = &a->batch->piece[tile->first_piece + p];
    if (piece->n_sources == 0)
      continue;
    int x0 = piece->x > 0 ? piece->x : 1, y0 = piece->y > 0 ? piece->y : 1;
    int x1 = piece->x + piece->w < size ? piece->x + piece->w : size - 1;
    int y1 = piece->y + piece->h < size ? piece->y + piece->h : size - 1;
    for (int y = y0; y < y1 && x1 > x0; y++) {
      ptrdiff_t at = (ptrdiff_t) y * size + x0;
      const float *res = lane->plane[NOTCH_PLANE_RES] + at, *g = lane->plane[NOTCH_PLANE_REF] + at;
      if (piece->n_spreads > 0)
        normalise_spread_row (res, g, size, &a->noise, lane->plane[NOTCH_PLANE_SPREAD] + at, a->trust, x1 - x0, z + at);
      else
        normalise_row (res, g, size, &a->noise, x1 - x0, z + at);
      for (int x = 0; !lane->all_judged && x < x1 - x0; x++)
        if (!lane->judged[at + x])
          z[at + x] = 0;
    }
  }
  return 0;
}
