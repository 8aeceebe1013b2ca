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
#define MOST_FILM 10

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

/* Where a place is, seen from a disc: how far from its middle, which way, how far out the outline is there over the radius and
 * how that turns with the angle, and sigmas of the rim from the outline. */
typedef struct {
  double r, cx, cy, turn, t;
  double wave[2 * WAVES]; /* cosines and sines of two to five times the angle */
} Seen;

static void
see (const double *p, int n_waves, double x, double y, Seen *at)
{
  const double dx = x - p[MIDDLE_X], dy = y - p[MIDDLE_Y], r = sqrt (dx * dx + dy * dy) + 1e-9;
  double c = dx / r, s = dy / r, out = 1, turn = 0;
  at->r = r, at->cx = c, at->cy = s;
  for (int k = 0; k < n_waves; k++) {
    const double next = c * at->cx - s * at->cy;
    s = s * at->cx + c * at->cy, c = next; /* of k + 2 times the angle */
    out += p[WAVE + 2 * k] * c + p[WAVE + 2 * k + 1] * s;
    turn += (k + 2) * (p[WAVE + 2 * k + 1] * c - p[WAVE + 2 * k] * s);
    at->wave[2 * k] = c, at->wave[2 * k + 1] = s;
  }
  at->turn = turn;
  at->t = (p[RADIUS] * out - r) / (p[SOFT] * p[RADIUS]);
}

/* What a disc of height 1 is at a place. */
static double
disc_at (const double *p, int n_waves, double x, double y)
{
  Seen at;
  see (p, n_waves, x, y, &at);
  return notch_blurred_edge (at.t);
}

/* How a disc grows with each parameter; `value`: what one of height 1 is there. How many can differ from 0: all at the
 * rim, its height within it, none outside. */
static int
slopes_at (const double *p, int n_waves, const Seen *at, double value, double *slope)
{
  const double rim = p[SOFT] * p[RADIUS];
  slope[HEIGHT] = value;
  if (!(fabs (at->t) < NORMAL_REACH))
    return value > 0;
  const double steep = p[HEIGHT] * exp (-0.5 * at->t * at->t) / sqrt (2 * G_PI) / rim;
  slope[MIDDLE_X] = steep * (at->cx + p[RADIUS] * at->turn * at->cy / at->r);
  slope[MIDDLE_Y] = steep * (at->cy - p[RADIUS] * at->turn * at->cx / at->r);
  slope[RADIUS] = steep * at->r / p[RADIUS];
  slope[SOFT] = -steep * at->t * p[RADIUS];
  for (int k = 0; k < 2 * n_waves; k++)
    slope[WAVE + k] = at->wave[k] * (steep * p[RADIUS]);
  return WAVE + 2 * n_waves;
}

/* The normal equations of a step from where a disc is; what is above the diagonal is not looked at. */
typedef struct {
  double a[MOST_PARAMETERS][MOST_PARAMETERS], b[MOST_PARAMETERS];
} Equations;

/* What is left of the residual, and the equations that lead on from here. */
static double
sum_squares (const Coarse *c, const double *p, int n_waves, Equations *e)
{
  double slope[MOST_PARAMETERS], sum = 0;
  *e = (Equations){ 0 };
  for (int y = 0; y < c->n; y++)
    for (int x = 0; x < c->n; x++) {
      Seen at;
      see (p, n_waves, x, y, &at);
      const double value = notch_blurred_edge (at.t), off = c->residual[y * c->n + x] - p[HEIGHT] * value;
      const int n = slopes_at (p, n_waves, &at, value, slope);
      sum += off * off;
      for (int j = 0; j < n; j++) {
        e->b[j] += slope[j] * off;
        for (int k = 0; k <= j; k++)
          e->a[j][k] += slope[j] * slope[k];
      }
    }
  return sum;
}

/* Solves a x = b for a positive definite a, n x n; both are overwritten, b by x. */
static gboolean
solve (Equations *e, int n)
{
  double (*a)[MOST_PARAMETERS] = e->a, *b = e->b;
  for (int j = 0; j < n; j++)
    for (int k = 0; k <= j; k++) {
      double sum = a[j][k];
      for (int i = 0; i < k; i++)
        sum -= a[j][i] * a[k][i];
      if (j == k && !(sum > 0))
        return FALSE;
      a[j][k] = j == k ? sqrt (sum) : sum / a[k][k];
    }
  for (int j = 0; j < n; j++) {
    for (int k = 0; k < j; k++)
      b[j] -= a[j][k] * b[k];
    b[j] /= a[j][j];
  }
  for (int j = n - 1; j >= 0; j--) {
    for (int k = j + 1; k < n; k++)
      b[j] -= a[k][j] * b[k];
    b[j] /= a[j][j];
  }
  return TRUE;
}

/* Levenberg's and Marquardt's steps; gives what is left of the residual. */
static double
fit_disc (const Coarse *c, double *p, int n_waves)
{
  const int n = WAVE + 2 * n_waves;
  Equations here, there;
  double damp = 0.01, left = sum_squares (c, p, n_waves, &here);
  for (int round = 0; round < 12 && damp < 100; round++) {
    Equations e = here;
    double q[MOST_PARAMETERS];
    for (int j = 0; j < n; j++)
      e.a[j][j] += damp * e.a[j][j] + 1e-12;
    if (!solve (&e, n))
      break;
    for (int j = 0; j < n; j++)
      q[j] = p[j] + e.b[j];
    q[RADIUS] = CLAMP (q[RADIUS], 1, c->n);
    q[SOFT] = CLAMP (q[SOFT], 0.05, 0.8); /* a softer one is a spot */
    for (int j = WAVE; j < n; j++)
      q[j] = CLAMP (q[j], -0.5, 0.5);
    const double next = sum_squares (c, q, n_waves, &there), gain = left - next;
    if (gain > 0) {
      memcpy (p, q, (gsize) n * sizeof *p);
      here = there, left = next;
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
      const double r = sqrt ((x - x0) * (x - x0) + (y - y0) * (y - y0)) / radius;
      if (r < RIM_MOST)
        sum[r >= RIM_LEAST] += smooth[y * n + x] * smooth[y * n + x], count[r >= RIM_LEAST]++;
    }
  const double noise = variance / (4 * G_PI * sigma * sigma);
  *inside = count[0] > 0 ? sum[0] / count[0] / noise : NAN;
  *rim = count[1] > 0 ? sum[1] / count[1] / noise : NAN;
}

/* How the residual R goes with the grey level T where the disc m is: R = a m + b m (T / M - 1), M the mean of T weighted by the
 * square of m, so that the two are at right angles. */
static void
measure_film (const double *residual, const double *level, const double *disc, int n, double variance,
              NotchShape *shape)
{
  double mm = 0, rm = 0, mean = 0, qq = 0, rq = 0;
  for (int i = 0; i < n * n; i++)
    mm += disc[i] * disc[i], rm += residual[i] * disc[i], mean += disc[i] * disc[i] * level[i];
  mean /= mm;
  for (int i = 0; i < n * n; i++) {
    const double q = disc[i] * (level[i] / mean - 1);
    qq += q * q, rq += residual[i] * q;
  }
  if (!(mm > 0 && qq > 0 && rm > 0 && isfinite (qq)))
    return;
  shape->film = CLAMP (rq / qq / (rm / mm), -MOST_FILM, MOST_FILM);
  shape->film_snr = rq / sqrt (qq * variance);
}

static void
measure_left (const double *residual, const double *level, int n, const double *p, int step, double variance,
              NotchShape *shape)
{
  const double aside = (step - 1) / 2.0;
  g_autofree double *disc = g_new (double, (gsize) n *(gsize) n), *left = g_new (double, (gsize) n *(gsize) n);
  for (int y = 0; y < n; y++)
    for (int x = 0; x < n; x++) {
      const double height = p[HEIGHT] * disc_at (p, WAVES, (x - aside) / step, (y - aside) / step);
      disc[y * n + x] = height / step;
      left[y * n + x] = residual[y * n + x] - height / step;
    }
  measure_film (residual, level, disc, n, variance, shape);
  const double x = p[MIDDLE_X] * step + aside, y = p[MIDDLE_Y] * step + aside, radius = p[RADIUS] * step;
  measure_lumps (left, n, x, y, radius, FINE_PX, variance, &shape->lumps_fine, &shape->rim_fine);
  measure_lumps (left, n, x, y, radius, COARSE_PX, variance, &shape->lumps_coarse, &shape->rim_coarse);
}

void
notch_disc_measure (const double *residual, const double *level, int n, double x, double y, double radius,
                    double explained, double variance, NotchShape *shape)
{
  Coarse c = { 0 };
  const double whole = make_coarse (residual, n, &c), aside = (c.step - 1) / 2.0;
  double product = 0, square = 0;
  double p[MOST_PARAMETERS] = { 1, (x - aside) / c.step, (y - aside) / c.step, radius / c.step, 0.3 };
  for (int i = 0; i < c.n * c.n; i++) {
    const double m = disc_at (p, 0, i % c.n, i / c.n);
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
  measure_left (residual, level, n, p, c.step, variance, shape);
}
