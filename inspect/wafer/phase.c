/* phase.c - the correlation of a die's picture with the surroundings of a cell */
#include "inspect/wafer/phase.h"

#include "kernels/cpu/fft.h"

#include <math.h>

/* The picture's longer side, px at most. */
#define PICTURE_PX 512
/* A place must be so much more like the picture than where the grid has the die. */
#define CLEARLY 1.2

NotchReduced *
notch_phase_picture (NotchStore *store, gint64 width, gint64 height, double x, double y, double w, double h,
                     GError **error)
{
  gint64 x0 = CLAMP ((gint64) floor (x + 0.5), 0, width - 1), y0 = CLAMP ((gint64) floor (y + 0.5), 0, height - 1);
  gint64 x1 = CLAMP ((gint64) floor (x + w + 0.5), x0 + 1, width);
  gint64 y1 = CLAMP ((gint64) floor (y + h + 0.5), y0 + 1, height);
  int factor = notch_reduce_factor ((gint64) w, (gint64) h, PICTURE_PX);
  return notch_reduce (store, x0, y0, x1 - x0, y1 - y0, factor, error);
}

/* FFT libraries like even sizes; the last column of an odd one costs nothing. */
static int
even (gint64 n)
{
  return (int) (n + n % 2);
}

/* The values less their mean, in the corner of ny x nx zeros. */
static void
pad (const NotchReduced *from, int nx, int ny, float *to)
{
  double sum = 0;
  for (gint64 i = 0; i < from->width * from->height; i++)
    sum += from->value[i];
  float mean = (float) (sum / ((double) from->width * (double) from->height));
  for (gint64 i = 0; i < (gint64) nx * ny; i++)
    to[i] = 0;
  for (gint64 y = 0; y < from->height; y++)
    for (gint64 x = 0; x < from->width; x++)
      to[y * nx + x] = from->value[y * from->width + x] - mean;
}

/* Correlation of `b` with `a` at every shift, in place of `a`'s padded values; NULL: no memory. */
static float *
correlate (const NotchReduced *a, const NotchReduced *b, int nx, int ny)
{
  gsize n = (gsize) nx * (gsize) ny, bins = 2 * (gsize) ny * (gsize) (nx / 2 + 1);
  NotchFft *fft = notch_fft_new (ny, nx);
  float *value = notch_fft_alloc (n), *fa = notch_fft_alloc (bins), *fb = notch_fft_alloc (bins);
  gboolean well = fft && value && fa && fb;
  if (well) {
    pad (a, nx, ny, value);
    notch_fft_forward (fft, value, fa);
    pad (b, nx, ny, value);
    notch_fft_forward (fft, value, fb);
    for (gsize i = 0; i < bins; i += 2) {
      float re = fa[i] * fb[i] + fa[i + 1] * fb[i + 1], im = fa[i] * fb[i + 1] - fa[i + 1] * fb[i];
      fb[i] = re, fb[i + 1] = im;
    }
    notch_fft_inverse (fft, fb, value);
  } else
    g_clear_pointer (&value, notch_fft_release);
  notch_fft_release (fa);
  notch_fft_release (fb);
  notch_fft_free (fft);
  return value;
}

static const NotchDie *
middle_die (const NotchGrid *grid)
{
  const NotchDie *best = NULL;
  double least = INFINITY;
  for (guint i = 0; i < grid->die->len; i++) {
    const NotchDie *die = &g_array_index (grid->die, NotchDie, i);
    double far = hypot (die->col - grid->first_col - 0.5 * (grid->n_cols - 1),
                        die->row - grid->first_row - 0.5 * (grid->n_rows - 1));
    if (die->kind == NOTCH_DIE_WHOLE && far < least)
      best = die, least = far;
  }
  return best;
}

/* How far beside the middle of three values, in steps, a parabola through them has its top. */
static double
vertex (double left, double middle, double right)
{
  double curve = left - 2 * middle + right;
  return curve < 0 ? CLAMP (0.5 * (left - right) / curve, -0.5, 0.5) : 0;
}

gboolean
notch_phase_find (const NotchReduced *picture, NotchStore *store, gint64 width, gint64 height, const NotchGrid *grid,
                  double slack, double *dx, double *dy, GError **error)
{
  const NotchDie *die = middle_die (grid);
  double w = hypot (grid->ax, grid->ay), h = hypot (grid->bx, grid->by);
  *dx = *dy = 0;
  if (!die)
    return TRUE;
  gint64 x0 = MAX ((gint64) floor (die->x + 0.5 - w / 2), 0), y0 = MAX ((gint64) floor (die->y + 0.5 - h / 2), 0);
  gint64 x1 = MIN ((gint64) ceil (die->x + 1.5 * w), width), y1 = MIN ((gint64) ceil (die->y + 1.5 * h), height);
  if (x1 <= x0 || y1 <= y0)
    return TRUE;
  g_autoptr (NotchReduced) around = notch_reduce (store, x0, y0, x1 - x0, y1 - y0, picture->factor, error);
  if (!around)
    return FALSE;
  int nx = even (around->width + picture->width), ny = even (around->height + picture->height);
  float *value = correlate (picture, around, nx, ny);
  if (!value) {
    g_set_error_literal (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT, "no memory for a correlation of pictures of a die");
    return FALSE;
  }
  /* Shifts are counted in reduced px from where the grid has the die. */
  double f = picture->factor, place_x = (die->x + 0.5 - (double) x0) / f, place_y = (die->y + 0.5 - (double) y0) / f;
  int best_x = 0, best_y = 0;
  float best = -INFINITY, here = -INFINITY;
  double reach_x = w / f / 2, reach_y = h / f / 2, near = MAX (slack / f, 1.5);
  for (int y = (int) ceil (place_y - reach_y); y <= place_y + reach_y; y++)
    for (int x = (int) ceil (place_x - reach_x); x <= place_x + reach_x; x++) {
      float v = value[(gsize) ((y + ny) % ny) * (gsize) nx + (gsize) ((x + nx) % nx)];
      if (v > best)
        best = v, best_x = x, best_y = y;
      if (fabs (x - place_x) <= near && fabs (y - place_y) <= near)
        here = MAX (here, v);
    }
  if (best > 0 && best > CLEARLY * here) {
#define AT(x, y) (double) value[(gsize) (((y) + ny) % ny) * (gsize) nx + (gsize) (((x) + nx) % nx)]
    double fine_x = vertex (AT (best_x - 1, best_y), AT (best_x, best_y), AT (best_x + 1, best_y));
    double fine_y = vertex (AT (best_x, best_y - 1), AT (best_x, best_y), AT (best_x, best_y + 1));
#undef AT
    *dx = floor ((best_x + fine_x - place_x) * f + 0.5);
    *dy = floor ((best_y + fine_y - place_y) * f + 0.5);
  }
  notch_fft_release (value);
  return TRUE;
}

/* ---- likeness -------------------------------------------------------------------------------------------------- */

/* So many dice are compared at most, in pictures of at most so many px: noise and a pixel's shift then hardly count. */
#define LIKENESS_DICE 9
#define LIKENESS_PX   128

static double
correlation (const NotchReduced *a, const NotchReduced *b)
{
  gint64 w = MIN (a->width, b->width), h = MIN (a->height, b->height);
  double n = (double) w * (double) h, sum_a = 0, sum_b = 0, aa = 0, bb = 0, ab = 0;
  for (gint64 y = 0; y < h; y++)
    for (gint64 x = 0; x < w; x++) {
      double u = a->value[y * a->width + x], v = b->value[y * b->width + x];
      sum_a += u, sum_b += v, aa += u * u, bb += v * v, ab += u * v;
    }
  double var_a = aa - sum_a * sum_a / n, var_b = bb - sum_b * sum_b / n;
  return var_a > 0 && var_b > 0 ? (ab - sum_a * sum_b / n) / sqrt (var_a * var_b) : 0;
}

static int
compare_doubles (gconstpointer a, gconstpointer b)
{
  double x = *(const double *) a, y = *(const double *) b;
  return (x > y) - (x < y);
}

gboolean
notch_phase_likeness (const NotchReduced *picture, NotchStore *store, gint64 width, gint64 height,
                      const NotchGrid *grid, double *likeness, GError **error)
{
  g_autoptr (GArray) dice = g_array_new (FALSE, FALSE, sizeof (const NotchDie *));
  g_autoptr (GArray) found = g_array_new (FALSE, FALSE, sizeof (double));
  g_autoptr (GArray) among = g_array_new (FALSE, FALSE, sizeof (double)); /* the dice themselves */
  g_autoptr (NotchReduced) last = NULL;
  for (guint i = 0; i < grid->die->len; i++) {
    const NotchDie *die = &g_array_index (grid->die, NotchDie, i);
    if (die->kind == NOTCH_DIE_WHOLE && die->trust > 0)
      g_array_append_val (dice, die);
  }
  *likeness = 1;
  int again = notch_reduce_factor (picture->width, picture->height, LIKENESS_PX);
  g_autoptr (NotchReduced) small = notch_reduce_again (picture, again, error);
  if (!small)
    return FALSE;
  guint n = MIN (dice->len, LIKENESS_DICE);
  for (guint k = 0; k < n; k++) {
    const NotchDie *die = g_array_index (dice, const NotchDie *, (2 * k + 1) * dice->len / (2 * n));
    g_autoptr (NotchReduced) whole =
        notch_phase_picture (store, width, height, die->x + die->dx + 0.5, die->y + die->dy + 0.5,
                             hypot (grid->ax, grid->ay), hypot (grid->bx, grid->by), error);
    g_autoptr (NotchReduced) other = whole ? notch_reduce_again (whole, again, error) : NULL;
    if (!other)
      return FALSE;
    double value = correlation (small, other);
    g_array_append_val (found, value);
    value = last ? correlation (last, other) : 1;
    if (last)
      g_array_append_val (among, value);
    g_clear_pointer (&last, notch_reduced_free);
    last = g_steal_pointer (&other);
  }
  g_array_sort (found, compare_doubles);
  g_array_sort (among, compare_doubles);
  if (n > 0)
    *likeness = g_array_index (found, double, n / 2);
  if (among->len > 0)
    *likeness /= CLAMP (g_array_index (among, double, among->len / 2), 0.05, 1);
  g_info ("dice: like the picture to %d in 1000", (int) (1000 * *likeness));
  return TRUE;
}
