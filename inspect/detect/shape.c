/* shape.c - see shape.h */
#include "inspect/detect/shape.h"

#include <math.h>
#include <string.h>

#include "inspect/detect/disc.h"

enum {
  MOST = NOTCH_DISC_MOST, /* px: side of the window at most */
  EDGE_STEPS = 6          /* px: what an edge is looked at over */
};

#define MOST_BOX   9    /* px: radius; what is larger is no part of a pattern */
#define LEAST_DISC 1    /* px: radius; what is smaller has no outline */
#define EDGE_FLAT  0.05 /* of an edge's step: what a px at its ends may rise */
#define LEAST_STEP 0.12 /* of the reference's range: less is no edge */

/* A square around the defect, and what is the same all over it. */
typedef struct {
  int n;                                            /* px: its side */
  int x0, y0;                                       /* its corner in the patch */
  double residual[MOST * MOST], level[MOST * MOST]; /* n x n; times sign, so that the defect rises */
  double blur;                                      /* px: sigma of the optics */
  double range;                                     /* of level */
} Window;

/* Along one axis, from the window's first pixel: a box's width, a spot's sigma. */
typedef struct {
  double middle, width;
} Axis;

typedef enum { SPOT, BOX } Kind;

typedef struct {
  Axis x, y;
  double explained; /* of the residual's sum of squares */
} Fit;

/* ---- spots and boxes: a function of x times one of y --------------------------------------------------------------- */

static void
draw_axis (Kind kind, const Axis *axis, double blur, int n, double *to)
{
  for (int i = 0; i < n; i++) {
    const double t = i - axis->middle;
    to[i] = kind == SPOT
                ? exp (-0.5 * t * t / (axis->width * axis->width))
                : notch_blurred_edge ((t + axis->width / 2) / blur) - notch_blurred_edge ((t - axis->width / 2) / blur);
  }
}

/* How much an axis explains of v, a sum over the other one. */
static double
explained_by (Kind kind, const Axis *axis, double blur, const double *v, int n)
{
  double shape[MOST], product = 0, square = 0;
  draw_axis (kind, axis, blur, n, shape);
  for (int i = 0; i < n; i++)
    product += v[i] * shape[i], square += shape[i] * shape[i];
  return product > 0 && square > 0 ? product * product / square : 0;
}

/* Sums of a plane over one axis, weighed with its shape; the other one remains: x where `keep_x`. */
static void
sum_over (const Window *w, const double *plane, Kind kind, const Axis *axis, gboolean keep_x, double *v)
{
  double shape[MOST], square = 0;
  draw_axis (kind, axis, w->blur, w->n, shape);
  for (int i = 0; i < w->n; i++)
    square += shape[i] * shape[i];
  const double scale = square > 0 ? 1 / sqrt (square) : 0;
  for (int i = 0; i < w->n; i++) {
    double sum = 0;
    for (int k = 0; k < w->n; k++)
      sum += shape[k] * (keep_x ? plane[k * w->n + i] : plane[i * w->n + k]);
    v[i] = scale * sum;
  }
}

/* Which sides of an axis may move. */
typedef enum { ALL_SIDES, LOW_SIDE, HIGH_SIDE } Freedom;

/* Moves an axis by smaller and smaller steps while that explains more of v; gives how much it does. */
static double
improve (const Window *w, Kind kind, Freedom freedom, const double *v, Axis *axis)
{
  const double least = kind == SPOT ? w->blur : 0.3, most = w->n * (kind == SPOT ? 0.4 : 0.9);
  axis->width = CLAMP (axis->width, least, most);
  double best = explained_by (kind, axis, w->blur, v, w->n);
  for (double step = 1; step > 0.02; step /= 2) {
    gboolean better = TRUE;
    for (int tries = 0; better && tries < 12; tries++) {
      better = FALSE;
      for (int way = 0; way < (freedom == ALL_SIDES ? 4 : 2); way++) {
        const double move = way & 1 ? step : -step;
        Axis next = *axis;
        if (freedom == ALL_SIDES && way < 2)
          next.middle += move;
        else if (freedom == ALL_SIDES)
          next.width += 1.5 * move;
        else
          next.width += move, next.middle += freedom == HIGH_SIDE ? move / 2 : -move / 2;
        if (next.width < least || next.width > most || next.middle < 0 || next.middle > w->n - 1)
          continue;
        const double explained = explained_by (kind, &next, w->blur, v, w->n);
        if (explained > best)
          best = explained, *axis = next, better = TRUE;
      }
    }
  }
  return best;
}

/* One axis after the other, until neither explains more. */
static void
fit_shape (const Window *w, Kind kind, Fit *fit)
{
  double v[MOST], before = -1;
  for (int round = 0; round < 6 && fit->explained > 1.0005 * before; round++) {
    before = fit->explained;
    sum_over (w, w->residual, kind, &fit->y, TRUE, v);
    improve (w, kind, ALL_SIDES, v, &fit->x);
    sum_over (w, w->residual, kind, &fit->x, FALSE, v);
    fit->explained = improve (w, kind, ALL_SIDES, v, &fit->y);
  }
}

/* ---- the pattern's edges -------------------------------------------------------------------------------------------- */

/* What is between two edges of the pattern; NAN where there is none, with a step of 0. */
typedef struct {
  double low, high, step; /* px; grey levels of the weaker edge */
} Gap;

/* The nearest place where `level`, which is n long, rises from `from` on one way, and by how much; NAN: nowhere. */
static double
find_edge (const double *level, int n, double from, int way, double least, double *step)
{
  for (int i = (int) lround (from); i > 1 && i < n - 2; i += way) {
    const double before = level[i] - level[i - way], here = level[i + way] - level[i];
    const double after = level[i + 2 * way] - level[i + way];
    if (!(here > 0 && here >= before && here > after))
      continue;
    *step = here;
    for (int k = i + way; k > 0 && k < n - 1 && level[k + way] - level[k] > 0.1 * here; k += way)
      *step += level[k + way] - level[k];
    for (int k = i; k > 0 && k < n - 1 && level[k] - level[k - way] > 0.1 * here; k -= way)
      *step += level[k] - level[k - way];
    const double bend = before - 2 * here + after;
    if (*step >= least)
      return i + way * (0.5 + (bend < 0 ? CLAMP (0.5 * (before - after) / bend, -0.5, 0.5) : 0));
  }
  *step = 0;
  return NAN;
}

static Gap
find_gap (const Window *w, const Fit *box, gboolean along_x)
{
  const Axis *across = along_x ? &box->y : &box->x, *along = along_x ? &box->x : &box->y;
  double shape[MOST], level[MOST], sum = 0, square = 0, low_step, high_step;
  draw_axis (BOX, across, w->blur, w->n, shape);
  sum_over (w, w->level, BOX, across, along_x, level);
  for (int i = 0; i < w->n; i++)
    sum += shape[i], square += shape[i] * shape[i];
  for (int i = 0; i < w->n; i++)
    level[i] *= sqrt (square) / sum; /* the mean over the box's width */
  Gap gap = { 0 };
  gap.low = find_edge (level, w->n, along->middle, -1, LEAST_STEP * w->range, &low_step);
  gap.high = find_edge (level, w->n, along->middle, 1, LEAST_STEP * w->range, &high_step);
  gap.step = MIN (low_step, high_step);
  return gap;
}

static Axis
axis_between (double low, double high)
{
  return (Axis){ (low + high) / 2, high - low };
}

/* Boxes with sides on the edges along one axis. */
typedef struct {
  Gap gap;
  double both, one; /* explained with two sides there, with one; 0: there are no such edges */
  double fill, off;
} Across;

static Across
measure_across (const Window *w, const Fit *box, gboolean along_x)
{
  Across a = { find_gap (w, box, along_x), 0, 0, NAN, NAN };
  const Axis *along = along_x ? &box->x : &box->y, *across = along_x ? &box->y : &box->x;
  double v[MOST];
  sum_over (w, w->residual, BOX, across, along_x, v);
  for (int side = 0; side < 2; side++) {
    const double edge = side ? a.gap.high : a.gap.low;
    Axis axis = side ? axis_between (edge - along->width, edge) : axis_between (edge, edge + along->width);
    const double one = isnan (edge) ? 0 : improve (w, BOX, side ? LOW_SIDE : HIGH_SIDE, v, &axis);
    if (one > a.one)
      a.one = one, a.fill = axis.width / (a.gap.high - a.gap.low);
  }
  if (!isnan (a.gap.low) && !isnan (a.gap.high)) {
    const Axis axis = axis_between (a.gap.low, a.gap.high);
    Axis free = *across;
    sum_over (w, w->residual, BOX, &axis, !along_x, v);
    a.both = improve (w, BOX, ALL_SIDES, v, &free);
    a.off = fabs (along->middle - axis.middle) / axis.width;
  }
  return a;
}

static double
explained_by_four (const Window *w, const Gap *x, const Gap *y)
{
  double v[MOST];
  if (isnan (x->low) || isnan (x->high) || isnan (y->low) || isnan (y->high))
    return 0;
  const Axis along_x = axis_between (x->low, x->high), along_y = axis_between (y->low, y->high);
  sum_over (w, w->residual, BOX, &along_y, TRUE, v);
  return explained_by (BOX, &along_x, w->blur, v, w->n);
}

static void
measure_box (const Window *w, const Fit *spot, double sigma, NotchShape *shape)
{
  const double variance = sigma * sigma;
  Fit box = { { spot->x.middle, MAX (3 * spot->x.width - 2, 1) },
              { spot->y.middle, MAX (3 * spot->y.width - 2, 1) },
              0 };
  fit_shape (w, BOX, &box);
  shape->box_gain = (box.explained - spot->explained) / variance;
  shape->box_long = MAX (box.x.width, box.y.width);
  shape->box_short = MIN (box.x.width, box.y.width);
  if (!(w->range > 4 * sigma)) /* no pattern */
    return;
  const Across x = measure_across (w, &box, TRUE), y = measure_across (w, &box, FALSE);
  const Across *a = x.one > y.one || (x.one == y.one && x.both > y.both) ? &x : &y;
  shape->both_loss = (box.explained - MAX (x.both, y.both)) / variance;
  shape->one_loss = (box.explained - MAX (x.one, y.one)) / variance;
  shape->four_loss = (box.explained - explained_by_four (w, &x.gap, &y.gap)) / variance;
  shape->gap_px = a->gap.high - a->gap.low;
  shape->gap_fill = a->fill;
  shape->gap_off = a->off;
  shape->edges = a->gap.step / w->range;
}

/* ---- all ------------------------------------------------------------------------------------------------------------ */

/* Sigma of the optics. How an edge rises that is alone, monotonous and flat on both sides, is a distribution whose variance is
 * that of the optics and that of a step of a pixel: the mean over all such edges of the reference, which weigh as the square
 * of their step. Two edges close to each other look sharper than the optics are. 1 px where there is none. */
static double
measure_blur (const float *reference, int side)
{
  float low = INFINITY, high = -INFINITY;
  double sum = 0, weight = 0;
  for (int i = 0; i < side * side; i++)
    if (isfinite (reference[i]))
      low = MIN (low, reference[i]), high = MAX (high, reference[i]);
  for (int along = 0; along < 2; along++)
    for (int y = 0; y < side; y++)
      for (int x = 0; x + EDGE_STEPS < side; x++) {
        const int stride = along ? side : 1;
        const float *line = reference + (along ? x * side + y : y * side + x);
        const double step = (double) (line[EDGE_STEPS * stride] - line[0]);
        if (!(fabs (step) > (double) (high - low) / 3))
          continue;
        gboolean alone = TRUE;
        double first = 0, second = 0;
        for (int k = 0; k < EDGE_STEPS && alone; k++) {
          const double rise = (double) (line[(k + 1) * stride] - line[k * stride]) / step,
                       t = k - (EDGE_STEPS - 1) / 2.0;
          alone = rise >= -EDGE_FLAT && (rise <= EDGE_FLAT || (k > 0 && k < EDGE_STEPS - 1));
          first += t * rise, second += t * t * rise;
        }
        if (!alone || fabs (first) > 0.5)
          continue;
        sum += step * step * (second - first * first - 1.0 / 12);
        weight += step * step;
      }
  return weight > 0 ? CLAMP (sqrt (MAX (sum / weight, 0)), 0.5, 3) : 1;
}

static void
open_window (Window *w, const float *residual, const float *reference, int side, int sign, double x, double y,
             double radius)
{
  const int half = (int) CLAMP (ceil (2.2 * radius + 4), 6, MOST / 2);
  double low = INFINITY, high = -INFINITY, level = 0;
  w->n = MIN (2 * half, side);
  w->x0 = CLAMP ((int) lround (x) - half, 0, side - w->n);
  w->y0 = CLAMP ((int) lround (y) - half, 0, side - w->n);
  for (int j = 0; j < w->n; j++)
    for (int i = 0; i < w->n; i++) {
      const int at = (w->y0 + j) * side + w->x0 + i;
      if (isfinite (reference[at]))
        level = sign * (double) reference[at], low = MIN (low, level), high = MAX (high, level);
      w->residual[j * w->n + i] = sign * (double) residual[at];
      w->level[j * w->n + i] = level; /* where it is not known, as beside it */
    }
  w->range = high > low ? high - low : 0;
  w->blur = measure_blur (reference, side);
}

NotchShape
notch_shape_none (void)
{
  return (NotchShape){ NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN,
                       NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN };
}

NotchShape
notch_shape_measure (const float *residual, const float *reference, int side, int sign, double x, double y,
                     double radius, double sigma)
{
  NotchShape shape = notch_shape_none ();
  if (side < 12 || !(sigma > 0))
    return shape;
  g_autofree Window *w = g_new (Window, 1);
  open_window (w, residual, reference, side, sign, x, y, radius);
  Fit spot = { { x - w->x0, radius }, { y - w->y0, radius }, 0 };
  fit_shape (w, SPOT, &spot);
  shape.spot_px = sqrt (spot.x.width * spot.y.width);
  shape.spot_ratio = MAX (spot.x.width, spot.y.width) / MIN (spot.x.width, spot.y.width);
  shape.spot_snr = sqrt (spot.explained) / sigma;
  if (radius >= LEAST_DISC)
    notch_disc_measure (w->residual, w->level, w->n, spot.x.middle, spot.y.middle, radius, spot.explained,
                        sigma * sigma, &shape);
  if (radius <= MOST_BOX)
    measure_box (w, &spot, sigma, &shape);
  return shape;
}
