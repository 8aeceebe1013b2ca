/* arrayphase.c - the cell made exact: the phases of its harmonics, window by window
 *
 * In a window at p a pattern with the reciprocal lattice (f, g) has a harmonic C (p) = sum I (x) exp (-2 pi i (m f + n g) x).
 * While the lattice is exact, C has the same phase in all windows; where it is off by (df, dg), the phase of
 * C (p + D) conj C (p), summed over all pairs of windows that are D apart, is 2 pi (m df + n dg) D. D doubles until it
 * is as long as the array, so that the phase never goes round. */
#include <complex.h>
#include <math.h>
#include <string.h>

#include "inspect/wafer/arraymap.h"

#define HARMONICS 16
/* Windows a side; the first round has them close together, every round spreads them four times as far. */
#define SIDE   12
#define NARROW 64
#define SPREAD 4
#define PI2    (2 * G_PI)
/* The least part of the harmonics that has one phase at the largest distance. */
#define IN_STEP 0.7

typedef double complex Harmonics[HARMONICS];

/* The windows of a round: those that lie in the array, of every field. */
typedef struct {
  int window, n_x, n_y;  /* px; windows a side */
  gint64 x, y;           /* px in the field: the first one's corner */
  double step_x, step_y; /* px */
  Harmonics *value;      /* a field's n_x x n_y, then the next field's */
  gboolean *used;
} Round;

typedef struct {
  int m, n;
  double strength;
} Harmonic;

/* ---- harmonics ------------------------------------------------------------------------------------------------- */

/* A harmonic of a window whose first pixel is at (x0, y0) of the field, under a Hann window, phases counted from the
 * field's corner. `across` has room for the window's width. */
static double complex
harmonic_of (const float *value, int window, double x0, double y0, double fx, double fy, const double *hann,
             double complex *across)
{
  double complex sum = 0;
  for (int x = 0; x < window; x++)
    across[x] = hann[x] * cexp (-I * PI2 * fx * (x0 + x));
  for (int y = 0; y < window; y++) {
    const float *row = value + (gsize) y * (gsize) window;
    double complex line = 0;
    for (int x = 0; x < window; x++)
      line += (double) row[x] * across[x];
    sum += hann[y] * cexp (-I * PI2 * fy * (y0 + y)) * line;
  }
  return sum;
}

static void
prepare_window (float *value, int window, double *hann)
{
  double mean = 0;
  for (int i = 0; i < window * window; i++)
    mean += (double) value[i] / ((double) window * window);
  for (int i = 0; i < window * window; i++)
    value[i] -= (float) mean;
  for (int x = 0; x < window; x++)
    hann[x] = pow (sin (G_PI * (x + 0.5) / window), 2);
}

static int
compare_harmonics (const void *a, const void *b)
{
  const Harmonic *x = a, *y = b;
  if (x->strength != y->strength)
    return x->strength < y->strength ? 1 : -1;
  return x->m != y->m ? x->m - y->m : x->n - y->n;
}

/* The strongest harmonics of a window, of those that sampling keeps. */
static int
choose_harmonics (const float *value, int window, const NotchCell *f, const double *hann, double complex *across,
                  Harmonic chosen[HARMONICS])
{
  g_autoptr (GArray) list = g_array_new (FALSE, FALSE, sizeof (Harmonic));
  for (int m = -12; m <= 12; m++)
    for (int n = 0; n <= 12; n++) {
      double fx = m * f->ax + n * f->bx, fy = m * f->ay + n * f->by;
      if ((n == 0 && m <= 0) || fabs (fx) > 0.47 || fabs (fy) > 0.47)
        continue;
      Harmonic h = { m, n, cabs (harmonic_of (value, window, 0, 0, fx, fy, hann, across)) };
      g_array_append_val (list, h);
    }
  qsort (list->data, list->len, sizeof (Harmonic), compare_harmonics);
  int kept = (int) MIN (list->len, HARMONICS);
  while (kept > 0
         && g_array_index (list, Harmonic, kept - 1).strength < 0.03 * g_array_index (list, Harmonic, 0).strength)
    kept--;
  memcpy (chosen, list->data, sizeof (Harmonic) * (gsize) kept);
  return kept;
}

/* ---- rounds ---------------------------------------------------------------------------------------------------- */

static gboolean
measure (const NotchFields *fields, const NotchArrays *arrays, int array, const NotchCell *f, Harmonic *harmonic,
         int *n_harmonics, Round *round, GError **error)
{
  int window = round->window;
  g_autofree float *value = g_new (float, (gsize) window *(gsize) window);
  g_autofree double *hann = g_new (double, window);
  g_autofree double complex *across = g_new (double complex, window);
  gsize at = 0;
  for (int field = 0; field < fields->n; field++)
    for (int j = 0; j < round->n_y; j++)
      for (int i = 0; i < round->n_x; i++, at++) {
        gint64 x = round->x + (gint64) floor (i * round->step_x), y = round->y + (gint64) floor (j * round->step_y);
        round->used[at] = notch_arrays_hold (arrays, array, x, y, x + window, y + window);
        if (!round->used[at])
          continue;
        if (!notch_fields_read (fields, fields->x[field] + x, fields->y[field] + y, window, window, value, error))
          return FALSE;
        prepare_window (value, window, hann);
        if (*n_harmonics == 0)
          *n_harmonics = choose_harmonics (value, window, f, hann, across, harmonic);
        for (int h = 0; h < *n_harmonics; h++)
          round->value[at][h] =
              harmonic_of (value, window, (double) x, (double) y, harmonic[h].m * f->ax + harmonic[h].n * f->bx,
                           harmonic[h].m * f->ay + harmonic[h].n * f->by, hann, across);
      }
  return TRUE;
}

/* Sum of C (p + D) conj C (p) over the pairs of windows that are `far` windows apart along an axis, the windows turned
 * by the correction (dfx, dfy) that is known so far. */
static double complex
compare_windows (const NotchFields *fields, const NotchArrays *arrays, int array, const Round *round, int h, int axis,
                 int far, double dfx, double dfy, double *total)
{
  double complex sum = 0;
  gsize a_field = (gsize) round->n_x * (gsize) round->n_y;
  for (int field = 0; field < fields->n; field++)
    for (int j = 0; j + (axis ? far : 0) < round->n_y; j++)
      for (int i = 0; i + (axis ? 0 : far) < round->n_x; i++) {
        int u = i + (axis ? 0 : far), v = j + (axis ? far : 0);
        gsize a = (gsize) field * a_field + (gsize) j * (gsize) round->n_x + (gsize) i;
        gsize b = (gsize) field * a_field + (gsize) v * (gsize) round->n_x + (gsize) u;
        if (!round->used[a] || !round->used[b])
          continue;
        gint64 x = round->x + (gint64) floor (i * round->step_x), y = round->y + (gint64) floor (j * round->step_y);
        gint64 x1 = round->x + (gint64) floor (u * round->step_x), y1 = round->y + (gint64) floor (v * round->step_y);
        /* Two arrays that do not touch need not be in step. */
        if (!notch_arrays_hold (arrays, array, x, y, x1 + round->window, y1 + round->window))
          continue;
        double dx = (double) (x1 - x), dy = (double) (y1 - y);
        *total += cabs (round->value[b][h]) * cabs (round->value[a][h]);
        sum += round->value[b][h] * conj (round->value[a][h]) * cexp (-I * PI2 * (dfx * dx + dfy * dy));
      }
  return sum;
}

/* Corrects f by the phases along both axes, at distances that double. Whether anything could be compared both ways;
 * *alike is the part of the harmonics that then has one phase at the largest distances. */
static gboolean
correct (const NotchFields *fields, const NotchArrays *arrays, int array, const Round *round, const Harmonic *harmonic,
         int n_harmonics, NotchCell *f, double *alike)
{
  NotchCell d = { 0 }; /* what f is off by */
  int largest[2] = { 0, 0 };
  for (int axis = 0; axis < 2; axis++)
    for (int far = 1; far < (axis ? round->n_y : round->n_x); far *= 2) {
      double mm = 0, mn = 0, nn = 0, ms = 0, ns = 0, step = far * (axis ? round->step_y : round->step_x), total = 0;
      for (int h = 0; h < n_harmonics; h++) {
        double m = harmonic[h].m, n = harmonic[h].n;
        double complex sum = compare_windows (fields, arrays, array, round, h, axis, far, m * d.ax + n * d.bx,
                                              m * d.ay + n * d.by, &total);
        double weight = cabs (sum), slope = weight > 0 ? carg (sum) / (PI2 * step) : 0;
        mm += weight * m * m, mn += weight * m * n, nn += weight * n * n;
        ms += weight * m * slope, ns += weight * n * slope;
      }
      double det = mm * nn - mn * mn;
      if (!(det > 1e-9 * mm * nn))
        break;
      double of_f = (ms * nn - ns * mn) / det, of_g = (ns * mm - ms * mn) / det;
      *(axis ? &d.ay : &d.ax) += of_f;
      *(axis ? &d.by : &d.bx) += of_g;
      largest[axis] = far;
    }
  *alike = 1;
  for (int axis = 0; axis < 2 && largest[axis] > 0; axis++) {
    double complex sum = 0;
    double total = 0;
    for (int h = 0; h < n_harmonics; h++)
      sum += compare_windows (fields, arrays, array, round, h, axis, largest[axis],
                              harmonic[h].m * d.ax + harmonic[h].n * d.bx, harmonic[h].m * d.ay + harmonic[h].n * d.by,
                              &total);
    *alike = MIN (*alike, total > 0 ? creal (sum) / total : 0);
  }
  *f = (NotchCell){ f->ax + d.ax, f->ay + d.ay, f->bx + d.bx, f->by + d.by };
  return largest[0] > 0 && largest[1] > 0;
}

/* The array's box in the map, px, and the middle of its largest rectangle. */
static void
bounds (const NotchArrays *arrays, int array, gint64 box[4], gint64 middle[2])
{
  gint64 largest = 0;
  box[0] = arrays->width, box[1] = arrays->height, box[2] = box[3] = 0;
  for (guint i = 0; i < arrays->rect->len; i++) {
    const NotchArrayRect *rect = &g_array_index (arrays->rect, NotchArrayRect, i);
    gint64 least = MIN (rect->x1 - rect->x0, rect->y1 - rect->y0);
    if (rect->array != array)
      continue;
    box[0] = MIN (box[0], rect->x0), box[1] = MIN (box[1], rect->y0);
    box[2] = MAX (box[2], rect->x1), box[3] = MAX (box[3], rect->y1);
    if (least > largest) {
      largest = least;
      middle[0] = (rect->x0 + rect->x1) / 2, middle[1] = (rect->y0 + rect->y1) / 2;
    }
  }
}

gboolean
notch_array_refine (const NotchFields *fields, const NotchArrays *arrays, int array, NotchCell *cell, gboolean *in_step,
                    GError **error)
{
  NotchCell f = notch_cell_reciprocal (cell);
  gint64 box[4], middle[2] = { 0, 0 };
  bounds (arrays, array, box, middle);
  /* Four cells fit a window, so that harmonics stay apart; in a small array three must do, to leave room. */
  double length = hypot (cell->bx, cell->by), least = (double) MIN (box[2] - box[0], box[3] - box[1]);
  int window = (int) MIN (CLAMP (4 * length, NARROW, 512), MAX (0.5 * least, 3 * length));
  Harmonic harmonic[HARMONICS];
  int n_harmonics = 0;
  gsize most = (gsize) fields->n * SIDE * SIDE;
  g_autofree Harmonics *value = g_new0 (Harmonics, most);
  g_autofree gboolean *used = g_new0 (gboolean, most);
  double alike = 0;
  *in_step = FALSE;
  for (double span = 6.0 * window;; span *= SPREAD) {
    gint64 x0 = MAX (box[0], middle[0] - (gint64) (0.5 * span)), x1 = MIN (box[2], middle[0] + (gint64) (0.5 * span));
    gint64 y0 = MAX (box[1], middle[1] - (gint64) (0.5 * span)), y1 = MIN (box[3], middle[1] + (gint64) (0.5 * span));
    gint64 room_x = x1 - x0 - window, room_y = y1 - y0 - window;
    if (room_x < SIDE || room_y < SIDE)
      return TRUE;
    Round round = {
      window, SIDE, SIDE, x0, y0, (double) room_x / (SIDE - 1), (double) room_y / (SIDE - 1), value, used
    };
    if (!measure (fields, arrays, array, &f, harmonic, &n_harmonics, &round, error))
      return FALSE;
    if (n_harmonics == 0 || !correct (fields, arrays, array, &round, harmonic, n_harmonics, &f, &alike))
      return TRUE;
    if (x0 == box[0] && x1 == box[2] && y0 == box[1] && y1 == box[3])
      break;
  }
  NotchCell exact = notch_cell_reciprocal (&f);
  /* What moved farther than the first guess can be off went astray. */
  if (alike < IN_STEP || hypot (exact.ax - cell->ax, exact.ay - cell->ay) > 0.1 + 0.03 * hypot (cell->ax, cell->ay)
      || hypot (exact.bx - cell->bx, exact.by - cell->by) > 0.1 + 0.03 * length)
    return TRUE;
  *cell = exact;
  *in_step = TRUE;
  return TRUE;
}
