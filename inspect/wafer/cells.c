/* cells.c - see cells.h */
#include "inspect/wafer/cells.h"

#include <math.h>

#include "kernels/cpu/fft.h"

/* px: shorter periods than this cannot be told from the correlation of neighbouring pixels. */
#define LEAST_PERIOD 2.5
/* Of the highest peak: what is lower is no repeat of the cell but of something in it. */
#define SAME 0.9
/* Of the highest peak: how far the autocorrelation falls on all sides of a peak. Along a line that does not end it does
 * not fall. */
#define FALL 0.03
/* Less than this part of the variance that repeats is chance. */
#define LEAST_STRENGTH 0.15
#define MOST_PEAKS     4096

G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchFft, notch_fft_free)

static void
release (float **memory)
{
  notch_fft_release (*memory);
}
#define auto_floats __attribute__ ((cleanup (release))) float *

static void
point (double *x, double *y)
{
  if (fabs (*x) >= fabs (*y) ? *x < 0 : *y < 0)
    *x = -*x, *y = -*y;
}

void
notch_cell_reduce (NotchCell *cell)
{
  for (int i = 0; i < 100; i++) {
    if (hypot (cell->ax, cell->ay) > hypot (cell->bx, cell->by) * (1 + 1e-9))
      *cell = (NotchCell){ cell->bx, cell->by, cell->ax, cell->ay };
    double square = cell->ax * cell->ax + cell->ay * cell->ay;
    double times = rint ((cell->ax * cell->bx + cell->ay * cell->by) / square * (1 - 1e-9));
    if (times == 0)
      break;
    cell->bx -= times * cell->ax, cell->by -= times * cell->ay;
  }
  point (&cell->ax, &cell->ay);
  point (&cell->bx, &cell->by);
}

static gboolean
on_lattice (const NotchCell *cell, double x, double y, double tolerance)
{
  NotchCell f = notch_cell_reciprocal (cell);
  double i = rint (f.ax * x + f.ay * y), j = rint (f.bx * x + f.by * y);
  return hypot (x - i * cell->ax - j * cell->bx, y - i * cell->ay - j * cell->by) < tolerance;
}

gboolean
notch_cell_holds (const NotchCell *cell, const NotchCell *other, double tolerance)
{
  return on_lattice (cell, other->ax, other->ay, tolerance) && on_lattice (cell, other->bx, other->by, tolerance);
}

/* ---- autocorrelation ------------------------------------------------------------------------------------------- */

/* The values without their mean, slopes and far outliers, under a Hann window. */
static void
window (const float *value, int side, float *to)
{
  double middle = 0.5 * (side - 1), n = (double) side * side, sum = 0, sum_x = 0, sum_y = 0, sum2 = 0;
  for (int y = 0; y < side; y++)
    for (int x = 0; x < side; x++) {
      double v = value[(gsize) y * (gsize) side + (gsize) x];
      sum += v, sum_x += v * (x - middle), sum_y += v * (y - middle);
    }
  double spread = n * ((double) side * side - 1) / 12;
  double mean = sum / n, slope_x = sum_x / spread, slope_y = sum_y / spread;
  for (int y = 0; y < side; y++)
    for (int x = 0; x < side; x++) {
      gsize i = (gsize) y * (gsize) side + (gsize) x;
      to[i] = (float) (value[i] - mean - slope_x * (x - middle) - slope_y * (y - middle));
      sum2 += (double) to[i] * to[i];
    }
  float most = (float) (4 * sqrt (sum2 / n));
  for (int y = 0; y < side; y++)
    for (int x = 0; x < side; x++) {
      gsize i = (gsize) y * (gsize) side + (gsize) x;
      double wx = sin (G_PI * (x + 0.5) / side), wy = sin (G_PI * (y + 0.5) / side);
      to[i] = CLAMP (to[i], -most, most) * (float) (wx * wx * wy * wy);
    }
}

/* The window's own autocorrelation along one axis, at lags of half pixels up to a half of the side. */
static void
window_overlap (int side, double *overlap)
{
  for (int lag = 0; lag <= side; lag++) {
    double sum = 0;
    for (int x = 0; x < side; x++) {
      double other = x + 0.5 * lag + 0.5;
      double u = sin (G_PI * (x + 0.5) / side), v = other < side ? sin (G_PI * other / side) : 0;
      sum += u * u * v * v;
    }
    overlap[lag] = sum;
  }
}

/* Autocorrelation on half pixels: twice the side each way, lag (0, 0) first, negative lags wrapped, 1 at no lag. Twice
 * as fine as the values, because a sharp peak between two pixels would look lower than it is. */
static float *
autocorrelation (const float *value, int side)
{
  int twice = 2 * side, columns = side / 2 + 1;
  g_autoptr (NotchFft) fft = notch_fft_new (side, side);
  g_autoptr (NotchFft) back = notch_fft_new (twice, twice);
  auto_floats in = notch_fft_alloc ((size_t) side * (size_t) side);
  auto_floats out = notch_fft_alloc (2 * (size_t) side * (size_t) columns);
  auto_floats power = notch_fft_alloc (2 * (size_t) twice * (size_t) (side + 1));
  float *lag = notch_fft_alloc ((size_t) twice * (size_t) twice);
  g_autofree double *overlap = g_new (double, side + 1);
  if (!fft || !back || !in || !out || !power || !lag) {
    notch_fft_release (lag);
    return NULL;
  }
  window (value, side, in);
  notch_fft_forward (fft, in, out);
  for (gsize i = 0; i < 2 * (gsize) twice * (gsize) (side + 1); i++)
    power[i] = 0;
  for (int y = 0; y < side; y++)
    for (int x = 0; x < columns - 1; x++) {
      const float *c = out + 2 * ((gsize) y * (gsize) columns + (gsize) x);
      int row = y < side / 2 ? y : y + side;
      if (y != side / 2)
        power[2 * ((gsize) row * (gsize) (side + 1) + (gsize) x)] = c[0] * c[0] + c[1] * c[1];
    }
  notch_fft_inverse (back, power, lag);
  window_overlap (side, overlap);
  double scale = lag[0] > 0 ? overlap[0] * overlap[0] / (double) lag[0] : 0;
  for (int y = 0; y < twice; y++)
    for (int x = 0; x < twice; x++) {
      double w = overlap[y <= side ? y : twice - y] * overlap[x <= side ? x : twice - x];
      float *to = lag + (gsize) y * (gsize) twice + (gsize) x;
      *to = w > 1e-3 * overlap[0] * overlap[0] ? (float) (*to * scale / w) : 0;
    }
  return lag;
}

/* ---- peaks ----------------------------------------------------------------------------------------------------- */

typedef struct {
  double x, y, height; /* px */
} Peak;

typedef struct {
  const float *lag;
  int side; /* of the values: half of the lags' */
} Lags;

static float
lag_at (const Lags *lags, int x, int y)
{
  int twice = 2 * lags->side;
  return lags->lag[(gsize) ((y + twice) % twice) * (gsize) twice + (gsize) ((x + twice) % twice)];
}

/* Whether the correlation falls from (x, y), half px, to all sides on the way to no lag's distance. */
static gboolean
falls (const Lags *lags, int x, int y, double fall)
{
  double far = CLAMP (0.6 * hypot (x, y), 4, 32);
  for (int i = 0; i < 16; i++) {
    double c = cos (i * G_PI / 8), s = sin (i * G_PI / 8), least = INFINITY;
    for (double r = 1; r <= far; r++)
      least = MIN (least, lag_at (lags, x + (int) lround (r * c), y + (int) lround (r * s)));
    if (lag_at (lags, x, y) - least < fall)
      return FALSE;
  }
  return TRUE;
}

/* The top of the parabola through three values; the offset is within one step. */
static double
parabola (double before, double at, double after, double *height)
{
  double bend = before - 2 * at + after, offset = bend < 0 ? 0.5 * (before - after) / bend : 0;
  *height += bend < 0 ? -0.25 * (before - after) * offset : 0;
  return CLAMP (offset, -1, 1);
}

/* Local maxima at up to half of the side, in the half plane where a side may point. */
static GArray *
find_peaks (const Lags *lags)
{
  GArray *list = g_array_new (FALSE, FALSE, sizeof (Peak));
  int most = lags->side;
  for (int y = 0; y < most && list->len < MOST_PEAKS; y++)
    for (int x = y == 0 ? 1 : 1 - most; x < most && list->len < MOST_PEAKS; x++) {
      float at = lag_at (lags, x, y);
      gboolean top = at > 0 && hypot (x, y) >= 2 * LEAST_PERIOD;
      for (int i = 0; i < 9 && top; i++)
        top = i == 4 || at > lag_at (lags, x + i % 3 - 1, y + i / 3 - 1)
              || (i > 4 && at == lag_at (lags, x + i % 3 - 1, y + i / 3 - 1));
      if (!top)
        continue;
      Peak peak = { 0, 0, at };
      peak.x = 0.5 * (x + parabola (lag_at (lags, x - 1, y), at, lag_at (lags, x + 1, y), &peak.height));
      peak.y = 0.5 * (y + parabola (lag_at (lags, x, y - 1), at, lag_at (lags, x, y + 1), &peak.height));
      g_array_append_val (list, peak);
    }
  return list;
}

/* The two shortest peaks of full height that make a cell. */
static gboolean
choose_sides (const Lags *lags, const GArray *peaks, double least, double fall, NotchCell *cell)
{
  Peak chosen[2] = { { 0 } };
  for (int k = 0; k < 2; k++) {
    double best = INFINITY;
    for (guint i = 0; i < peaks->len; i++) {
      const Peak *peak = &g_array_index (peaks, Peak, i);
      double length = hypot (peak->x, peak->y), other = hypot (chosen[0].x, chosen[0].y);
      if (length >= best || length > 0.25 * lags->side || peak->height < least)
        continue;
      if (k == 1 && fabs (peak->x * chosen[0].y - peak->y * chosen[0].x) < 0.35 * length * other)
        continue;
      if (!falls (lags, (int) lround (2 * peak->x), (int) lround (2 * peak->y), fall))
        continue;
      best = length;
      chosen[k] = *peak;
    }
    if (!isfinite (best))
      return FALSE;
  }
  *cell = (NotchCell){ chosen[0].x, chosen[0].y, chosen[1].x, chosen[1].y };
  notch_cell_reduce (cell);
  return TRUE;
}

/* Least squares over all peaks that lie on the lattice, farther and farther away. FALSE: too few of the repeats that
 * there should be are there. */
static gboolean
fit_sides (const Lags *lags, const GArray *peaks, double least, NotchCell *cell)
{
  double reach = 0.5 * lags->side, wanted = 0, seen = 0;
  for (double far = 0.15 * lags->side; far <= reach; far *= 1.4) {
    double ii = 0, ij = 0, jj = 0, ix = 0, iy = 0, jx = 0, jy = 0;
    NotchCell f = notch_cell_reciprocal (cell);
    double near = 0.2 * MIN (hypot (cell->ax, cell->ay), 10);
    seen = 0;
    wanted = 0.5 * G_PI * far * far / notch_cell_area (cell); /* in the half plane */
    for (guint k = 0; k < peaks->len; k++) {
      const Peak *peak = &g_array_index (peaks, Peak, k);
      double i = rint (f.ax * peak->x + f.ay * peak->y), j = rint (f.bx * peak->x + f.by * peak->y);
      if (hypot (peak->x, peak->y) > far || peak->height < least
          || hypot (peak->x - i * cell->ax - j * cell->bx, peak->y - i * cell->ay - j * cell->by) > near)
        continue;
      ii += i * i, ij += i * j, jj += j * j;
      ix += i * peak->x, iy += i * peak->y, jx += j * peak->x, jy += j * peak->y;
      seen++;
    }
    double det = ii * jj - ij * ij;
    if (det < 1e-6 * ii * jj || seen < 2)
      return FALSE;
    *cell = (NotchCell){ (ix * jj - jx * ij) / det, (iy * jj - jy * ij) / det, (jx * ii - ix * ij) / det,
                         (jy * ii - iy * ij) / det };
  }
  notch_cell_reduce (cell);
  return seen >= 0.5 * wanted;
}

gboolean
notch_cell_find (const float *value, int side, NotchCell *found, double *strength)
{
  *strength = 0;
  auto_floats lag = autocorrelation (value, side);
  if (!lag)
    return FALSE;
  Lags lags = { lag, side };
  g_autoptr (GArray) peaks = find_peaks (&lags);
  double highest = 0;
  for (guint i = 0; i < peaks->len; i++) {
    const Peak *peak = &g_array_index (peaks, Peak, i);
    if (hypot (peak->x, peak->y) <= 0.25 * side)
      highest = MAX (highest, peak->height);
  }
  NotchCell cell;
  if (highest < LEAST_STRENGTH || !choose_sides (&lags, peaks, SAME * highest, FALL * highest, &cell)
      || !fit_sides (&lags, peaks, 0.5 * SAME * highest, &cell))
    return TRUE;
  *found = cell;
  *strength = MIN (highest, 1);
  return TRUE;
}
