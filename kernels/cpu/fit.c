/* fit.c - the reference brought to the test's scale, and what is left in sigmas: fit, normalise */
#include "kernels/cpu/lane.h"
#include "kernels/math/noise.h"

#include <string.h>

/* The terms at a pixel of the reference, in the order of NOTCH_FIT_MAX. */
NOTCH_FN void
terms_at (const float *g, int stride, float u, float v, float term[NOTCH_FIT_MAX])
{
  term[0] = 1;
  term[1] = g[0];
  term[2] = notch_grad_x (g);
  term[3] = notch_grad_y (g, stride);
  term[4] = notch_laplacian (g, stride);
  term[5] = g[0] * u;
  term[6] = g[0] * v;
  term[7] = term[5] * u;
  term[8] = term[5] * v;
  term[9] = term[6] * v;
}

NOTCH_CLONES static void
apply_row (const float *test, const float *g, int stride, const float c[NOTCH_FIT_MAX], float u0, float du, float v,
           int n, float *restrict ref, float *restrict res)
{
  float base = c[0], gain = c[1] + c[6] * v + c[9] * v * v, slope = c[5] + c[8] * v, bend = c[7];
  float shift_x = c[2], shift_y = c[3], focus = c[4];
  for (int i = 0; i < n; i++) {
    float u = u0 + du * (float) i;
    float model = g[i] + base + g[i] * (gain + u * (slope + bend * u)) + shift_x * notch_grad_x (g + i)
                  + shift_y * notch_grad_y (g + i, stride) + focus * notch_laplacian (g + i, stride);
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
/* A number that looks like chance (the finaliser of MurmurHash3, Appleby 2011). */
static uint32_t
scatter (uint32_t x)
{
  x = (x ^ (x >> 16)) * 0x85ebca6bu;
  x = (x ^ (x >> 13)) * 0xc2b2ae35u;
  return x ^ (x >> 16);
}

/* Later pieces that overlap one, at most so many: there the reference is theirs, and may be of another kind. */
#define MOST_ABOVE 256

static int
pieces_above (const NotchLane *lane, const NotchBatch *batch, int p, const NotchPiece *above[MOST_ABOVE])
{
  const NotchPiece *all = &batch->piece[lane->tile->first_piece], *piece = &all[p];
  int n = 0;
  for (int q = p + 1; q < lane->tile->n_pieces && n < MOST_ABOVE; q++)
    if (all[q].x < piece->x + piece->w && all[q].x + all[q].w > piece->x && all[q].y < piece->y + piece->h
        && all[q].y + all[q].h > piece->y)
      above[n++] = &all[q];
  return n;
}

static inline bool
is_hidden (const NotchPiece *const *above, int n, int x, int y)
{
  for (int i = 0; i < n; i++)
    if (x >= above[i]->x && y >= above[i]->y && x < above[i]->x + above[i]->w && y < above[i]->y + above[i]->h)
      return true;
  return false;
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
  const NotchPiece *above[MOST_ABOVE];
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
    int x0 = piece->x > 0 ? piece->x : 1, y0 = piece->y > 0 ? piece->y : 1;
    int x1 = piece->x + piece->w < size ? piece->x + piece->w : size - 1;
    int y1 = piece->y + piece->h < size ? piece->y + piece->h : size - 1;
    int step = 1;
    while (((x1 - x0) / step + 1) * ((y1 - y0) / step + 1) > NOTCH_FIT_SAMPLES)
      step++;
    float du = 2.0f / (float) piece->w, dv = 2.0f / (float) piece->h;
    int n = 0, n_above = pieces_above (lane, a->batch, p, above);
    /* A pixel of every square of step x step, by turns: on a lattice, a line between two of its rows would never be seen. */
    for (int top = y0; top < y1; top += step)
      for (int left = x0; left < x1; left += step) {
        uint32_t turn = scatter ((uint32_t) (top - y0) * 65536u + (uint32_t) (left - x0));
        int y = top + (int) (turn % (uint32_t) step), x = left + (int) (turn / (uint32_t) step % (uint32_t) step);
        ptrdiff_t at = (ptrdiff_t) y * size + x;
        if (y >= y1 || x >= x1 || !lane->judged[at] || is_hidden (above, n_above, x, y))
          continue;
        float term[NOTCH_FIT_MAX];
        terms_at (ref + at, size, du * (float) (x - piece->x) - 1, dv * (float) (y - piece->y) - 1, term);
        for (int j = 0; j < NOTCH_FIT_MAX; j++)
          lane->basis[(ptrdiff_t) j * stride + n] = term[j];
        lane->basis[(ptrdiff_t) NOTCH_FIT_MAX * stride + n] = test[at] - ref[at];
        n++;
      }
    if (a->terms == NOTCH_FIT_NOTHING)
      lane->fit[p][1] = a->gain - 1;
    else if (n >= 16)
      notch_cpu_regress (lane, n, a->terms, piece->w * piece->h, &lane->ref_noise[p], a->least, lane->fit[p]);
    for (int y = y0; y < y1; y++) {
      ptrdiff_t at = (ptrdiff_t) y * size + x0;
      apply_row (test + at, ref + at, size, lane->fit[p], du * (float) (x0 - piece->x) - 1, du,
                 dv * (float) (y - piece->y) - 1, x1 - x0, model + at, res + at);
    }
    if (rim)
      notch_cpu_swap_rim (ref, piece, size, rim);
    if (a->terms != NOTCH_FIT_NOTHING)
      notch_cpu_level_borders (lane, piece, res, model);
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
