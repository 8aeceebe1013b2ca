/* disc.c - see disc.h */
#include "inspect/detect/disc.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "inspect/detect/smooth.h"

enum {
  COARSE = 20,      /* side of the window where discs are fitted, in steps of several px */
  WAVES = 4,        /* of a disc's outline: two to five around it */
  NORMAL_REACH = 5, /* sigmas */
  NORMAL_STEPS = 256,
  MOST_TAPS = 16 /* to one side: 3 sigmas of the coarser smoothing */
};

#define FINE_PX   1.2 /* sigmas that what a disc leaves is smoothed with */
#define COARSE_PX 3.2
#define RIM_LEAST 0.75 /* radii: the rim is from here */
#define RIM_MOST  1.3  /* to here */

static double normal[2 * NORMAL_REACH * NORMAL_STEPS + 2];

static void
make_normal (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (normal); i++)
    normal[i] = 0.5 * (1 + erf (((double) i / NORMAL_STEPS - NORMAL_REACH) / G_SQRT2));
}

double
notch_blurred_edge (double t)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once (&once, make_normal);
  if (!(t > -NORMAL_REACH)) /* nor what is no number */
    return 0;
  const double at = (MIN (t, NORMAL_REACH) + NORMAL_REACH) * NORMAL_STEPS;
  const int i = (int) at;
  return normal[i] + (at - i) * (normal[i + 1] - normal[i]);
}

/* ---- the fit -------------------------------------------------------------------------------------------------------- */

/* The residual, step x step px together. */
typedef struct {
  int n, step;
  double residual[COARSE * COARSE];
} Coarse;

/* A disc's parameters: its height, middle and radius; the rim's sigma over the radius; the outline's waves. */
enum { HEIGHT, MIDDLE_X, MIDDLE_Y, RADIUS, SOFT, WAVE, MOST_PARAMETERS = WAVE + 2 * WAVES };

/* What it is at a place, and how that grows with each parameter. */
static double
disc_at (const double *p, int n_waves, double x, double y, double *slope)
{
  const double dx = x - p[MIDDLE_X], dy = y - p[MIDDLE_Y], r = hypot (dx, dy) + 1e-9, cx = dx / r, cy = dy / r;
  double c = cx, s = cy, out = 1, turn = 0;
  for (int k = 0; k < n_waves; k++) {
    const double next = c * cx - s * cy;
    s = s * cx + c * cy, c = next; /* of k + 2 times the angle */
    out += p[WAVE + 2 * k] * c + p[WAVE + 2 * k + 1] * s;
    turn += (k + 2) * (p[WAVE + 2 * k + 1] * c - p[WAVE + 2 * k] * s);
    slope[WAVE + 2 * k] = c, slope[WAVE + 2 * k + 1] = s;
  }
  const double rim = p[SOFT] * p[RADIUS], t = (p[RADIUS] * out - r) / rim, value = notch_blurred_edge (t);
  const double steep = fabs (t) < NORMAL_REACH ? p[HEIGHT] * exp (-0.5 * t * t) / sqrt (2 * G_PI) / rim : 0;
  slope[HEIGHT] = value;
  slope[MIDDLE_X] = steep * (cx + p[RADIUS] * turn * cy / r);
  slope[MIDDLE_Y] = steep * (cy - p[RADIUS] * turn * cx / r);
  slope[RADIUS] = steep * r / p[RADIUS];
  slope[SOFT] = -steep * t * p[RADIUS];
  for (int k = 0; k < 2 * n_waves; k++)
    slope[WAVE + k] *= steep * p[RADIUS];
  return p[HEIGHT] * value;
}

/* What is left of the residual; `a` and `b`, where they are not NULL, receive the normal equations. */
static double
sum_squares (const Coarse *c, const double *p, int n_waves, double *a, double *b)
{
  const int n = WAVE + 2 * n_waves;
  double slope[MOST_PARAMETERS], sum = 0;
  for (int y = 0; y < c->n; y++)
    for (int x = 0; x < c->n; x++) {
      const double off = c->residual[y * c->n + x] - disc_at (p, n_waves, x, y, slope);
      sum += off * off;
      for (int j = 0; a && j < n; j++) {
        b[j] += slope[j] * off;
        for (int k = 0; k <= j; k++)
          a[j * n + k] += slope[j] * slope[k];
      }
    }
  return sum;
}

/* Solves a x = b for a positive definite a, n x n, of which the lower triangle is looked at; both are overwritten. */
static gboolean
solve (double *a, double *b, int n)
{
  for (int j = 0; j < n; j++)
    for (int k = 0; k <= j; k++) {
      double sum = a[j * n + k];
      for (int i = 0; i < k; i++)
        sum -= a[j * n + i] * a[k * n + i];
      if (j == k && !(sum > 0))
        return FALSE;
      a[j * n + k] = j == k ? sqrt (sum) : sum / a[k * n + k];
    }
  for (int j = 0; j < n; j++) {
    for (int k = 0; k < j; k++)
      b[j] -= a[j * n + k] * b[k];
    b[j] /= a[j * n + j];
  }
  for (int j = n - 1; j >= 0; j--) {
    for (int k = j + 1; k < n; k++)
      b[j] -= a[k * n + j] * b[k];
    b[j] /= a[j * n + j];
  }
  return TRUE;
}

/* Levenberg's and Marquardt's steps; gives what is left of the residual. */
static double
fit_disc (const Coarse *c, double *p, int n_waves)
{
  const int n = WAVE + 2 * n_waves;
  double damp = 0.01, left = sum_squares (c, p, n_waves, NULL, NULL);
  for (int round = 0; round < 12 && damp < 100; round++) {
    double a[MOST_PARAMETERS * MOST_PARAMETERS] = { 0 }, b[MOST_PARAMETERS] = { 0 }, q[MOST_PARAMETERS];
    sum_squares (c, p, n_waves, a, b);
    for (int j = 0; j < n; j++)
      a[j * n + j] += damp * a[j * n + j] + 1e-12;
    if (!solve (a, b, n))
      break;
    for (int j = 0; j < n; j++)
      q[j] = p[j] + b[j];
    q[RADIUS] = CLAMP (q[RADIUS], 1, c->n);
    q[SOFT] = CLAMP (q[SOFT], 0.05, 0.8); /* a softer one is a spot */
    for (int j = WAVE; j < n; j++)
      q[j] = CLAMP (q[j], -0.5, 0.5);
    const double next = sum_squares (c, q, n_waves, NULL, NULL), gain = left - next;
    if (gain > 0) {
      memcpy (p, q, (gsize) n * sizeof *p);
      left = next;
      damp /= 5;
      if (gain < 1e-4 * left)
        break;
    } else
      damp *= 5;
  }
  return left;
}

/* Sums of step x step px of n x n. */
static double
make_coarse (const double *residual, int n, Coarse *c)
{
  double whole = 0;
  c->step = (n + COARSE - 1) / COARSE;
  c->n = n / c->step;
  for (int y = 0; y < c->n; y++)
    for (int x = 0; x < c->n; x++) {
      double sum = 0;
      for (int v = 0; v < c->step; v++)
        for (int u = 0; u < c->step; u++)
          sum += residual[(y * c->step + v) * n + x * c->step + u];
      c->residual[y * c->n + x] = sum / c->step; /* noise as that of a pixel */
      whole += sum * sum / (c->step * c->step);
    }
  return whole;
}

/* ---- what it leaves -------------------------------------------------------------------------------------------------- */

/* Mean squares of what the disc leaves once that is smoothed, over those of as smooth noise: within it, and around its rim. */
static void
measure_lumps (const double *left, int n, double x0, double y0, double radius, double sigma, double variance,
               double *inside, double *rim)
{
  double sum[2] = { 0 }, count[2] = { 0 };
  g_autofree double *work = g_new (double, (gsize) n *(gsize) n), *smooth = g_new (double, (gsize) n *(gsize) n);
  const int reach = (int) ceil (3 * sigma);
  double tap[MOST_TAPS], whole = 0;
  for (int k = -reach; k <= reach; k++)
    whole += tap[ABS (k)] = exp (-0.5 * k * k / (sigma * sigma));
  for (int k = 0; k <= reach; k++)
    tap[k] /= whole;
  notch_smooth_lines (left, n, 1, n, tap, reach, work);
  notch_smooth_lines (work, n, n, 1, tap, reach, smooth);
  for (int y = 0; y < n; y++)
    for (int x = 0; x < n; x++) {
      const double r = hypot (x - x0, y - y0) / radius;
      if (r < RIM_MOST)
        sum[r >= RIM_LEAST] += smooth[y * n + x] * smooth[y * n + x], count[r >= RIM_LEAST]++;
    }
  const double noise = variance / (4 * G_PI * sigma * sigma);
  *inside = count[0] > 0 ? sum[0] / count[0] / noise : NAN;
  *rim = count[1] > 0 ? sum[1] / count[1] / noise : NAN;
}

static void
measure_left (const double *residual, int n, const double *p, int step, double variance, NotchShape *shape)
{
  const double aside = (step - 1) / 2.0;
  double slope[MOST_PARAMETERS];
  g_autofree double *left = g_new (double, (gsize) n *(gsize) n);
  for (int y = 0; y < n; y++)
    for (int x = 0; x < n; x++)
      left[y * n + x] = residual[y * n + x] - disc_at (p, WAVES, (x - aside) / step, (y - aside) / step, slope) / step;
  const double x = p[MIDDLE_X] * step + aside, y = p[MIDDLE_Y] * step + aside, radius = p[RADIUS] * step;
  measure_lumps (left, n, x, y, radius, FINE_PX, variance, &shape->lumps_fine, &shape->rim_fine);
  measure_lumps (left, n, x, y, radius, COARSE_PX, variance, &shape->lumps_coarse, &shape->rim_coarse);
}

void
notch_disc_measure (const double *residual, int n, double x, double y, double radius, double explained, double variance,
                    NotchShape *shape)
{
  Coarse c = { 0 };
  const double whole = make_coarse (residual, n, &c), aside = (c.step - 1) / 2.0;
  double product = 0, square = 0, slope[MOST_PARAMETERS];
  double p[MOST_PARAMETERS] = { 1, (x - aside) / c.step, (y - aside) / c.step, radius / c.step, 0.3 };
  for (int i = 0; i < c.n * c.n; i++) {
    const double m = disc_at (p, 0, i % c.n, i / c.n, slope);
    product += m * c.residual[i], square += m * m;
  }
  p[HEIGHT] = product / MAX (square, 1e-9);
  const double round = fit_disc (&c, p, 0);
  shape->disc_px = p[RADIUS] * c.step;
  shape->disc_soft = p[SOFT];
  shape->disc_gain = (whole - round - explained) / variance;
  const double waved = fit_disc (&c, p, WAVES);
  double wave = 0;
  for (int k = 0; k < 2 * WAVES; k++)
    wave += p[WAVE + k] * p[WAVE + k] / 2;
  shape->wavy = sqrt (wave);
  shape->wavy_gain = (round - waved) / variance;
  measure_left (residual, n, p, c.step, variance, shape);
}
