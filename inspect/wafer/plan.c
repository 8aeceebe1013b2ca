/* plan.c - the plan's memory, the tiling, and the robust fit of a warp */
#include "inspect/wafer/plan.h"

#include "inspect/wafer/distortion.h"
#include "inspect/wafer/golden.h"
#include "inspect/wafer/mesh.h"

#include <math.h>
#include <stdlib.h>

/* Five sources have a median that two of them cannot spoil, and the array method wants as many. */
const NotchSpeed notch_speed_full = {
  .sources = NOTCH_MAX_SOURCES, .fit_samples = 0, .sample_tiles = 25, .lines = TRUE
};
const NotchSpeed notch_speed_fast = { .sources = 5, .fit_samples = 8192, .sample_tiles = 16, .lines = FALSE };

void
notch_plan_free (NotchPlan *plan)
{
  if (!plan)
    return;
  for (int i = 0; i < NOTCH_MAX_MEM; i++) {
    g_clear_pointer (&plan->mem_store[i], notch_store_free);
    g_clear_pointer (&plan->mem_source[i], notch_source_close);
  }
  g_clear_pointer (&plan->distortion, notch_distortion_free);
  g_clear_pointer (&plan->golden, notch_golden_free);
  g_clear_pointer (&plan->mesh, notch_mesh_free);
  g_clear_pointer (&plan->grid, notch_grid_free);
  g_clear_pointer (&plan->arrays, notch_arrays_free);
  g_clear_pointer (&plan->regions, notch_regions_free);
  g_free (plan->warp);
  g_free (plan->neighbours);
  g_free (plan->whiten);
  g_clear_pointer (&plan->spectrum, notch_spectrum_free);
  g_clear_pointer (&plan->warning, g_ptr_array_unref);
  g_free (plan);
}

NotchTiling
notch_tiling_new (gint64 width, gint64 height, int size, int halo)
{
  NotchTiling tiling = { .size = size, .halo = halo, .core = size - 2 * halo };
  tiling.n_cols = (width - 1) / tiling.core + 1;
  tiling.n_rows = (height - 1) / tiling.core + 1;
  return tiling;
}

static int
compare_doubles (const void *a, const void *b)
{
  double x = *(const double *) a, y = *(const double *) b;
  return (x > y) - (x < y);
}

static double
median_of (double *v, int n)
{
  qsort (v, (size_t) n, sizeof *v, compare_doubles);
  return n == 0 ? 0 : 0.5 * (v[(n - 1) / 2] + v[n / 2]);
}

/* Weighted least squares of value = c0 + c1 u + c2 v; with n_terms 1 only c0. FALSE: the places, near
 * enough in one line or one spot, cannot tell. */
static gboolean
fit_plane (int n, const double *u, const double *v, const double *value, const double *weight, int n_terms, double c[3])
{
  double m[3][4] = { { 0 } };
  for (int i = 0; i < n; i++) {
    const double term[3] = { 1, u[i], v[i] };
    for (int j = 0; j < n_terms; j++) {
      for (int k = 0; k < n_terms; k++)
        m[j][k] += weight[i] * term[j] * term[k];
      m[j][3] += weight[i] * term[j] * value[i];
    }
  }
  /* Elimination needs no pivoting: the matrix is positive. What a term has left of itself once the others are taken off
   * is how far the places spread in its direction; less than a hundredth of their distance decides nothing. */
  const double whole[3] = { m[0][0], m[1][1], m[2][2] };
  for (int j = 0; j < n_terms; j++) {
    if (!(m[j][j] > 1e-4 * whole[j]))
      return FALSE;
    for (int i = 0; i < n_terms; i++)
      for (int k = 3; i != j && k >= j; k--)
        m[i][k] -= m[i][j] / m[j][j] * m[j][k];
  }
  for (int j = 0; j < 3; j++)
    c[j] = j < n_terms ? m[j][3] / m[j][j] : 0;
  return TRUE;
}

static double
residual2 (int n, const double *u, const double *v, const double *value, const double *weight, const double c[3])
{
  double sum = 0;
  for (int i = 0; i < n; i++) {
    double r = value[i] - c[0] - c[1] * u[i] - c[2] * v[i];
    sum += weight[i] * r * r;
  }
  return sum;
}

/* How far a shift is from what the planes c say. */
static double
distance (double c[2][3], double u, double v, double dx, double dy)
{
  return hypot (dx - c[0][0] - c[0][1] * u - c[0][2] * v, dy - c[1][0] - c[1][1] * u - c[1][2] * v);
}

/* Zeroes the weights of shifts that no affine warp of the others explains, found by reweighting with the tails of a
 * Cauchy distribution; how many are left. `scratch` holds n. Six points or fewer are no majority against one. */
static int
drop_outliers (int n, const double *u, const double *v, const double *dx, const double *dy, double *weight,
               double *scratch)
{
  g_autofree double *w = g_memdup2 (weight, sizeof *weight * (gsize) n);
  double c[2][3], spread = 0;
  int used = 0;
  for (int i = 0; i < n; i++)
    used += weight[i] > 0;
  for (int round = 0; round < 20 && used > 6; round++) {
    if (!fit_plane (n, u, v, dx, w, 3, c[0]) || !fit_plane (n, u, v, dy, w, 3, c[1]))
      return used;
    int k = 0;
    for (int i = 0; i < n; i++)
      if (weight[i] > 0)
        scratch[k++] = distance (c, u[i], v[i], dx[i], dy[i]);
    spread = MAX (1.4826 * median_of (scratch, k), 0.005);
    for (int i = 0; i < n; i++) {
      double far = distance (c, u[i], v[i], dx[i], dy[i]) / spread;
      w[i] = weight[i] / (1 + far * far);
    }
  }
  for (int i = 0; i < n && used > 6; i++)
    if (weight[i] > 0 && distance (c, u[i], v[i], dx[i], dy[i]) > MAX (3.5 * spread, 0.05))
      weight[i] = 0;
  used = 0;
  for (int i = 0; i < n; i++)
    used += weight[i] > 0;
  return used;
}

gboolean
notch_warp_fit (NotchWarp *warp, int n, const double *x, const double *y, const double *dx, const double *dy,
                const double *weight)
{
  g_autofree double *u = g_new (double, n + 1), *v = g_new (double, n + 1), *w = g_new (double, n + 1);
  g_autofree double *scratch = g_new (double, n + 1);
  double centre[2] = { 0, 0 };
  int used = 0;
  for (int i = 0; i < n; i++)
    if (weight[i] > 0)
      scratch[used++] = dx[i];
  if (used == 0)
    return FALSE;
  centre[0] = median_of (scratch, used);
  used = 0;
  for (int i = 0; i < n; i++)
    if (weight[i] > 0)
      scratch[used++] = dy[i];
  centre[1] = median_of (scratch, used);
  for (int i = used = 0; i < n; i++)
    if (weight[i] > 0)
      scratch[used++] = hypot (dx[i] - centre[0], dy[i] - centre[1]);
  /* An affine warp spreads the shifts; half a pixel of it is no outlier. */
  double cut = MAX (3.5 * 1.4826 * median_of (scratch, used), 0.5);
  for (int i = 0; i < n; i++) {
    u[i] = x[i] - warp->centre_x;
    v[i] = y[i] - warp->centre_y;
    w[i] = weight[i] > 0 && hypot (dx[i] - centre[0], dy[i] - centre[1]) <= cut ? weight[i] : 0;
  }
  int kept = drop_outliers (n, u, v, dx, dy, w, scratch);
  double rigid[2][3], affine[2][3];
  if (!fit_plane (n, u, v, dx, w, 1, rigid[0]) || !fit_plane (n, u, v, dy, w, 1, rigid[1]))
    return FALSE;
  double before = residual2 (n, u, v, dx, w, rigid[0]) + residual2 (n, u, v, dy, w, rigid[1]);
  gboolean better = FALSE;
  if (kept >= 5 && fit_plane (n, u, v, dx, w, 3, affine[0]) && fit_plane (n, u, v, dy, w, 3, affine[1])) {
    double after = residual2 (n, u, v, dx, w, affine[0]) + residual2 (n, u, v, dy, w, affine[1]);
    /* An F test in plain words: each of the four terms must take off more than ten times what is left a degree of freedom (of
     * nine patches, chance does that once in a thousand dice), and what is taken off must be worth having (a hundredth of a
     * pixel rms). A warp that is not there is not undone later: `fit` has one shift for a whole die. */
    double total = 0;
    for (int i = 0; i < n; i++)
      total += w[i];
    better = before - after > 10 * 4 * after / (2 * kept - 6) && before - after > 1e-4 * total;
  }
  const double (*best)[3] = better ? (const double (*)[3]) affine : (const double (*)[3]) rigid;
  warp->dx = best[0][0], warp->dy = best[1][0];
  warp->xx = best[0][1], warp->xy = best[0][2];
  warp->yx = best[1][1], warp->yy = best[1][2];
  return TRUE;
}
