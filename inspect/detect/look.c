/* look.c - see look.h */
#include "inspect/detect/look.h"

#include <math.h>
#include <string.h>

#include "inspect/wafer/median.h"

/* What is worked on; planes of side x side. */
typedef struct {
  int side, n;
  const float *test, *reference;
  guint8 *known;  /* both are numbers */
  float *res;     /* test - reference; 0 where not known */
  float *smooth;  /* the same, smoothed */
  float *work;    /* scratch */
  guint8 *core;   /* the core */
  guint8 *bright; /* of the reference */
  guint8 *near;   /* where components are counted */
  int *label;     /* of components; 0: none */
  int *queue;
  double sigma, sigma_smooth; /* of res and smooth */
  double dark, step;          /* grey levels: the darker tone, and how much brighter the other is; 0: one tone only */
  double x, y, radius;        /* px: of the core */
  int n_core, sign;
} Look;

NotchLook
notch_look_none (void)
{
  return (NotchLook){ NAN,
                      NAN,
                      NAN,
                      NAN,
                      NAN,
                      NAN,
                      NAN,
                      NAN,
                      NAN,
                      NAN,
                      NAN,
                      NAN,
                      NAN,
                      NAN,
                      NAN,
                      NAN,
                      NAN,
                      NAN,
                      NAN,
                      notch_shape_none (),
                      notch_scales_none () };
}

/* ---- residual -------------------------------------------------------------------------------------------------- */

/* The lowest or highest of what is within `reach` along an axis: `stride` apart, n long. */
static void
extreme_line (const float *from, int n, int stride, int reach, gboolean highest, float *to)
{
  for (int i = 0; i < n; i++) {
    float value = from[i * stride];
    for (int k = MAX (i - reach, 0); k <= MIN (i + reach, n - 1); k++)
      value = highest ? fmaxf (value, from[k * stride]) : fminf (value, from[k * stride]); /* which leave NAN aside */
    to[i * stride] = value;
  }
}

/* What the reference has within `reach` px of each place, at least or at most. */
static void
extreme_plane (Look *l, int reach, gboolean highest, float *to)
{
  for (int y = 0; y < l->side; y++)
    extreme_line (l->reference + y * l->side, l->side, 1, reach, highest, l->work + y * l->side);
  for (int x = 0; x < l->side; x++)
    extreme_line (l->work + x, l->side, l->side, reach, highest, to + x);
}

static void
find_residual (Look *l, int wander)
{
  for (int i = 0; i < l->n; i++) {
    l->known[i] = isfinite (l->test[i]) && isfinite (l->reference[i]);
    l->res[i] = l->known[i] ? l->test[i] - l->reference[i] : 0;
  }
  if (wander <= 0)
    return;
  for (int highest = 0; highest < 2; highest++) {
    extreme_plane (l, wander, highest != 0, l->smooth);
    for (int i = 0; i < l->n; i++) {
      float off = l->known[i] ? l->test[i] - l->smooth[i] : 0;
      if (highest ? l->res[i] > 0 : l->res[i] < 0)
        l->res[i] = highest ? fmaxf (off, 0) : fminf (off, 0);
    }
  }
}

static void
blur_line (const float *from, int n, int stride, const float *tap, int reach, float *to)
{
  for (int i = 0; i < n; i++)
    to[i * stride] = 0;
  for (int off = -MIN (reach, n - 1); off <= MIN (reach, n - 1); off++)
    for (int i = MAX (-off, 0); i < MIN (n - off, n); i++)
      to[i * stride] += tap[ABS (off)] * from[(i + off) * stride];
}

static void
blur (const Look *l, const float *from, const float *tap, int reach, float *to)
{
  for (int y = 0; y < l->side; y++)
    blur_line (from + y * l->side, l->side, 1, tap, reach, l->work + y * l->side);
  for (int x = 0; x < l->side; x++)
    blur_line (l->work + x, l->side, l->side, tap, reach, to + x);
}

/* Gaussian means of what is known. */
static void
smooth_residual (Look *l, double scale)
{
  const double sigma = CLAMP (0.6 * scale, 0.6, l->side / 8.0);
  const int reach = (int) ceil (3 * sigma);
  g_autofree float *tap = g_new (float, reach + 1), *weight = g_new (float, 2 * (gsize) l->n);
  for (int k = 0; k <= reach; k++)
    tap[k] = (float) exp (-0.5 * k * k / (sigma * sigma));
  for (int i = 0; i < l->n; i++)
    weight[l->n + i] = l->known[i];
  blur (l, weight + l->n, tap, reach, weight);
  blur (l, l->res, tap, reach, l->smooth);
  for (int i = 0; i < l->n; i++)
    l->smooth[i] = l->known[i] ? l->smooth[i] / weight[i] : 0;
}

/* Sigma of what is known of a plane, from the median of its sizes. */
static double
spread (const Look *l, const float *plane)
{
  int n = 0;
  for (int i = 0; i < l->n; i++)
    if (l->known[i])
      l->work[n++] = fabsf (plane[i]);
  return n > 0 ? 1.4826 * (double) notch_select (l->work, (gsize) n, (gsize) n / 2) : 0;
}

/* ---- components ------------------------------------------------------------------------------------------------ */

/* Labels what is connected to pixel `from` among pixels where in[] is `wanted`; gives the number of pixels. */
static int
flood (Look *l, int from, const guint8 *in, guint8 wanted, const guint8 *within, gboolean diagonal, int label)
{
  static const int dx[] = { -1, 1, 0, 0, -1, 1, -1, 1 }, dy[] = { 0, 0, -1, 1, -1, -1, 1, 1 };
  int n = 1;
  l->queue[0] = from;
  l->label[from] = label;
  for (int k = 0; k < n; k++) {
    const int x = l->queue[k] % l->side, y = l->queue[k] / l->side;
    for (int d = 0; d < (diagonal ? 8 : 4); d++) {
      const int u = x + dx[d], v = y + dy[d], at = v * l->side + u;
      if (u < 0 || v < 0 || u >= l->side || v >= l->side || l->label[at] || in[at] != wanted || (within && !within[at]))
        continue;
      l->label[at] = label;
      l->queue[n++] = at;
    }
  }
  return n;
}

/* Whether one of the four neighbours has a label; 0: none. */
static gboolean
beside (const Look *l, int at, int label)
{
  const int x = at % l->side, y = at / l->side;
  return (x > 0 && l->label[at - 1] == label) || (x < l->side - 1 && l->label[at + 1] == label)
         || (y > 0 && l->label[at - l->side] == label) || (y < l->side - 1 && l->label[at + l->side] == label);
}

/* Where edges may wander, what is near one is no difference, and a spur seems to stand beside its conductor: takes back what
 * differs all the same within that reach of the core. */
static void
grow_core (Look *l, int wander, float least)
{
  for (int step = 1; step <= wander; step++) {
    for (int i = 0; i < l->n; i++)
      if (!l->label[i] && l->known[i] && beside (l, i, step)
          && (float) l->sign * (l->test[i] - l->reference[i]) > least)
        l->label[i] = step + 1;
    for (int i = 0; i < l->n; i++) /* also what lies beside an earlier ring only through this one */
      l->label[i] = l->label[i] == step ? step + 1 : l->label[i];
  }
  l->n_core = 0;
  for (int i = 0; i < l->n; i++) {
    l->label[i] = l->label[i] != 0;
    l->n_core += l->label[i];
  }
}

/* ---- the core -------------------------------------------------------------------------------------------------- */

static gboolean
find_core (Look *l, const NotchLookPlace *place, NotchLook *look)
{
  int peak = -1;
  for (int y = MAX (place->y0, 0); y <= MIN (place->y1, l->side - 1); y++)
    for (int x = MAX (place->x0, 0); x <= MIN (place->x1, l->side - 1); x++) {
      const int at = y * l->side + x;
      if (l->known[at] && (peak < 0 || fabsf (l->smooth[at]) > fabsf (l->smooth[peak])))
        peak = at;
    }
  if (peak < 0 || !(fabsf (l->smooth[peak]) > 0))
    return FALSE;
  l->sign = l->smooth[peak] > 0 ? 1 : -1;
  const float least = fabsf (l->smooth[peak]) / 2;
  for (int i = 0; i < l->n; i++)
    l->core[i] = (float) l->sign * l->smooth[i] > least;
  memset (l->label, 0, (gsize) l->n * sizeof *l->label);
  flood (l, peak, l->core, 1, NULL, TRUE, 1);
  grow_core (l, place->wander, least);
  double sx = 0, sy = 0, sxx = 0, syy = 0, sxy = 0, edges = 0;
  for (int i = 0; i < l->n; i++) {
    l->core[i] = l->label[i] == 1;
    if (!l->core[i])
      continue;
    const double x = i % l->side, y = i / l->side;
    sx += x, sy += y, sxx += x * x, syy += y * y, sxy += x * y;
    edges += !(i % l->side > 0 && l->label[i - 1] == 1) + !(i % l->side < l->side - 1 && l->label[i + 1] == 1)
             + !(i >= l->side && l->label[i - l->side] == 1) + !(i < l->n - l->side && l->label[i + l->side] == 1);
  }
  l->x = sx / l->n_core, l->y = sy / l->n_core;
  l->radius = sqrt (l->n_core / G_PI);
  const double xx = sxx / l->n_core - l->x * l->x + 1.0 / 12, yy = syy / l->n_core - l->y * l->y + 1.0 / 12;
  const double xy = sxy / l->n_core - l->x * l->y, apart = hypot (xx - yy, 2 * xy);
  const double outline = edges * G_PI / 4; /* of a disc, steps are 4 / pi longer than the circle */
  look->polarity = l->sign;
  look->core_px = l->radius;
  look->roundness = 4 * G_PI * l->n_core / (outline * outline);
  look->stretch = sqrt ((xx + yy + apart) / MAX (xx + yy - apart, 1.0 / 6));
  look->clarity = l->sigma_smooth > 0 ? (double) fabsf (l->smooth[peak]) / l->sigma_smooth : NAN;
  return TRUE;
}

/* What is not core and not connected to the patch's border. */
static void
count_holes (Look *l, NotchLook *look)
{
  memset (l->label, 0, (gsize) l->n * sizeof *l->label);
  for (int i = 0; i < l->n; i++) {
    const int x = i % l->side, y = i / l->side;
    if ((x == 0 || y == 0 || x == l->side - 1 || y == l->side - 1) && !l->core[i] && !l->label[i])
      flood (l, i, l->core, 0, NULL, FALSE, 1);
  }
  int label = 2;
  for (int i = 0; i < l->n; i++)
    if (!l->core[i] && !l->label[i])
      flood (l, i, l->core, 0, NULL, FALSE, label++);
  look->holes = label - 2;
}

/* Means over rings around the core's middle, and what is rough in it. */
static void
find_profile (const Look *l, NotchLook *look)
{
  double sum[3] = { 0 }, n[3] = { 0 }, rough = 0, rough_n = 0, whole = 0, whole_n = 0;
  for (int i = 0; i < l->n; i++) {
    if (!l->known[i])
      continue;
    const double dx = i % l->side - l->x, dy = i / l->side - l->y, r = sqrt (dx * dx + dy * dy) / l->radius;
    const double off = (double) (l->res[i] - l->smooth[i]);
    const int ring = r < 0.5 ? 0 : r < 1 ? 1 : r < 1.5 ? 2 : -1;
    if (ring >= 0)
      sum[ring] += l->sign * (double) l->res[i], n[ring]++;
    if (l->core[i])
      rough += off * off, rough_n++;
    else
      whole += off * off, whole_n++;
  }
  const double inner = n[0] > 0 ? sum[0] / n[0] : NAN, outer = n[1] > 0 ? sum[1] / n[1] : NAN;
  const double within = (sum[0] + sum[1]) / (n[0] + n[1]);
  look->hollow = outer > 0 ? CLAMP (inner / outer, -10, 10) : NAN;
  look->skirt = n[2] > 0 && within > 0 ? CLAMP (sum[2] / n[2] / within, -10, 10) : NAN;
  look->roughness = rough_n > 0 && whole > 0 ? sqrt (rough / rough_n / (whole / whole_n)) : NAN;
}

/* ---- the pattern ----------------------------------------------------------------------------------------------- */

/* Parts the reference into two tones where their means are furthest apart for their numbers (Otsu 1979), counted in LEVELS
 * steps from the darkest to the brightest; l->step stays 0 where it has one only. */
static void
find_tones (Look *l)
{
  enum { LEVELS = 1024 };
  int count[LEVELS] = { 0 }, n = 0;
  double sum[LEVELS] = { 0 }, whole = 0, best = 0;
  float low = INFINITY, high = -INFINITY;
  for (int i = 0; i < l->n; i++)
    if (l->known[i])
      low = MIN (low, l->reference[i]), high = MAX (high, l->reference[i]);
  const float scale = (LEVELS - 1) / (high - low);
  if (!(high > low) || !isfinite (scale) || scale == 0) /* one level, or further apart than numbers go */
    return;
  for (int i = 0; i < l->n; i++)
    if (l->known[i]) {
      const int level = CLAMP ((int) ((l->reference[i] - low) * scale), 0, LEVELS - 1);
      count[level]++, n++;
      sum[level] += (double) l->reference[i];
      whole += (double) l->reference[i];
    }
  double below = 0;
  for (int level = 0, k = 0; level < LEVELS - 1; level++) { /* k are dark */
    k += count[level], below += sum[level];
    if (count[level] == 0 || k == n)
      continue;
    const double apart = (whole - below) / (n - k) - below / k, between = (double) k * (n - k) * apart * apart;
    if (between > best)
      best = between, l->dark = below / k, l->step = apart;
  }
  if (l->step < 4 * l->sigma || !(l->step > 0)) {
    l->step = 0;
    return;
  }
  const float threshold = (float) (l->dark + l->step / 2);
  for (int i = 0; i < l->n; i++)
    l->bright[i] = l->known[i] && l->reference[i] > threshold;
}

/* Correlation of two lists of numbers that were summed up. */
static double
correlation (double n, double a, double b, double aa, double bb, double ab)
{
  const double va = aa - a * a / n, vb = bb - b * b / n;
  return va > 0 && vb > 0 ? (ab - a * b / n) / sqrt (va * vb) : NAN;
}

static void
fit_pattern (const Look *l, NotchLook *look)
{
  double n = 0, r = 0, rr = 0, edge = 0, edge2 = 0, edge_r = 0, tone = 0, tone2 = 0, tone_r = 0;
  const double reach = MAX (1.5 * l->radius, 3);
  for (int y = 1; y < l->side - 1; y++)
    for (int x = 1; x < l->side - 1; x++) {
      const int at = y * l->side + x;
      const double dx = x - l->x, dy = y - l->y;
      if (dx * dx + dy * dy > reach * reach || !l->known[at] || !l->known[at - 1] || !l->known[at + 1]
          || !l->known[at - l->side] || !l->known[at + l->side])
        continue;
      const double value = l->sign * (double) l->res[at], level = (double) l->reference[at];
      const double slope = (double) hypotf (l->reference[at + 1] - l->reference[at - 1],
                                            l->reference[at + l->side] - l->reference[at - l->side])
                           / 2;
      n++, r += value, rr += value * value;
      edge += slope, edge2 += slope * slope, edge_r += slope * value;
      tone += level, tone2 += level * level, tone_r += level * value;
    }
  look->edge_fit = n > 8 ? correlation (n, r, edge, rr, edge2, edge_r) : NAN;
  look->tone_fit = n > 8 ? correlation (n, r, tone, rr, tone2, tone_r) : NAN;
}

static void
measure_tones (const Look *l, NotchLook *look)
{
  double res = 0, level = 0, bright = 0, known = 0, n = 0;
  for (int i = 0; i < l->n; i++) {
    if (l->core[i] && l->known[i])
      res += (double) l->res[i], level += (double) l->reference[i], n++;
    bright += l->bright[i], known += l->known[i];
  }
  look->step = res / n / l->step;
  look->tone = (level / n - l->dark) / l->step;
  look->bright = bright / known;
}

/* Components of a tone, but for what is changed, that touch what is changed; *area receives their pixels. */
static int
count_touching (Look *l, guint8 tone, const guint8 *changed, double *area)
{
  int label = 1, count = 0;
  memset (l->label, 0, (gsize) l->n * sizeof *l->label);
  for (int i = 0; i < l->n; i++)
    if (changed[i])
      l->label[i] = -1;
  *area = 0;
  for (int i = 0; i < l->n; i++) {
    if (l->bright[i] != tone || l->label[i] || !l->near[i])
      continue;
    const int n = flood (l, i, l->bright, tone, l->near, FALSE, label++);
    gboolean touches = FALSE;
    for (int k = 0; k < n && !touches; k++)
      touches = beside (l, l->queue[k], -1);
    count += touches;
    *area += touches ? n : 0;
  }
  return count;
}

/* What the core makes of bright and dark. */
static void
find_topology (Look *l, NotchLook *look)
{
  const guint8 taken = l->sign < 0; /* the tone that it takes away */
  int x0 = l->side, y0 = l->side, x1 = -1, y1 = -1, n = 0, edges = 0, on_edge = 0;
  g_autofree guint8 *changed = g_new0 (guint8, l->n);
  for (int i = 0; i < l->n; i++)
    if (l->core[i]) {
      x0 = MIN (x0, i % l->side), x1 = MAX (x1, i % l->side), y0 = MIN (y0, i / l->side), y1 = MAX (y1, i / l->side);
      changed[i] = l->known[i] && l->bright[i] == taken;
      n += changed[i];
    }
  look->changed = (double) n / l->n_core;
  if (n == 0)
    return;
  const int margin = MAX (5, MAX (x1 - x0, y1 - y0) / 2);
  for (int i = 0; i < l->n; i++) {
    const int x = i % l->side, y = i / l->side;
    l->near[i] = l->known[i] && x >= x0 - margin && x <= x1 + margin && y >= y0 - margin && y <= y1 + margin;
  }
  double area = 0;
  look->touched = count_touching (l, !taken, changed, &area);
  look->left = count_touching (l, taken, changed, &area);
  look->taken = n / (n + area);
  for (int i = 0; i < l->n; i++) {
    static const int dx[] = { -1, 1, 0, 0 }, dy[] = { 0, 0, -1, 1 };
    for (int d = 0; d < 4 && changed[i]; d++) {
      const int u = i % l->side + dx[d], v = i / l->side + dy[d], at = v * l->side + u;
      if (u < 0 || v < 0 || u >= l->side || v >= l->side || changed[at])
        continue;
      edges++;
      on_edge += l->bright[at] != taken;
    }
  }
  look->rim = edges > 0 ? (double) on_edge / edges : NAN;
}

NotchLook
notch_look_measure (const float *patch, int side, const NotchLookPlace *place)
{
  NotchLook look = notch_look_none ();
  const int n = side * side;
  g_autofree float *planes = g_new (float, 3 * (gsize) n + 1);
  g_autofree guint8 *masks = g_new0 (guint8, 4 * (gsize) n + 1);
  g_autofree int *numbers = g_new (int, 2 * (gsize) n + 1);
  Look l = { .side = side, .n = n, .test = patch, .reference = patch + n };
  l.res = planes, l.smooth = planes + n, l.work = planes + 2 * n;
  l.known = masks, l.core = masks + n, l.bright = masks + 2 * n, l.near = masks + 3 * n;
  l.label = numbers, l.queue = numbers + n;
  find_residual (&l, place->wander);
  l.sigma = spread (&l, l.res);
  smooth_residual (&l, place->scale);
  l.sigma_smooth = spread (&l, l.smooth);
  if (!find_core (&l, place, &look))
    return look;
  count_holes (&l, &look);
  find_profile (&l, &look);
  look.shape = notch_shape_measure (l.res, l.reference, side, l.sign, l.x, l.y, l.radius, l.sigma);
  look.scales = notch_scales_measure (l.res, side, l.sign, l.x, l.y, l.radius);
  find_tones (&l);
  if (l.step <= 0)
    return look;
  measure_tones (&l, &look);
  fit_pattern (&l, &look);
  find_topology (&l, &look);
  return look;
}
