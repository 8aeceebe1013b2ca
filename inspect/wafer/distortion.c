/* distortion.c - a smooth field of shifts, fitted to what an affine warp leaves */
#include "inspect/wafer/distortion.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CELL       48 /* px: in small images */
#define MOST_CELLS 24 /* a side: what a large image costs */
#define MOST_ASKED 6  /* a side: what it costs to see that there is nothing to do */
#define MOST_SIDE  64 /* px: of the square that is looked at in a cell */
#define AROUND     8  /* px: of the other that may come to lie on a square, on each side */
#define PAD        9  /* px: what the blur needs around a square */

/* What neighbouring corners may differ by, and how much that may change from one to the next, px in CELL px. */
#define SLOPE_SIGMA 0.75
#define BEND_SIGMA  0.25
#define SHIFT_SIGMA 4.0

#define N_LEVELS 3
static const struct {
  double blur; /* px */
  int rounds;
} level_of[N_LEVELS] = { { 3, 6 }, { 1.5, 3 }, { 1, 3 } };

/* A square of the image, and what of the other may come to lie on it. */
typedef struct {
  gint64 x, y;              /* first pixel, without the pad */
  gint64 other_x, other_y;  /* first pixel of the other's, with pad and reach */
  float *image, *other;     /* as read */
  float *soft, *soft_other; /* blurred */
  gboolean blank;
} Square;

/* The normal equations of a cell's four corners; unknowns are dx, dy of each. */
typedef struct {
  double matrix[8][8], right[8];
} Normal;

typedef struct {
  NotchDistortion *field;
  const NotchWarp *warp;
  int side, image_side, other_side; /* px: of squares, without and with what is around them */
  Square *square;                   /* one a cell */
  Normal *normal;
  float *pixels;
  double noise; /* of the other's pixels */
  double sigma; /* of the blurred difference at edges */
  double slope; /* rms gradient there */
} Fit;

/* ---- field ----------------------------------------------------------------------------------------------------------- */

void
notch_distortion_free (NotchDistortion *field)
{
  if (!field)
    return;
  g_free (field->dx);
  g_free (field->dy);
  g_free (field);
}

static NotchDistortion *
field_new (gint64 width, gint64 height, int most)
{
  NotchDistortion *field = g_new0 (NotchDistortion, 1);
  field->n_x = (int) CLAMP (width / CELL, 1, most), field->n_y = (int) CLAMP (height / CELL, 1, most);
  field->step_x = (double) width / field->n_x, field->step_y = (double) height / field->n_y;
  gsize corners = (gsize) (field->n_x + 1) * (gsize) (field->n_y + 1);
  field->dx = g_new0 (double, corners);
  field->dy = g_new0 (double, corners);
  return field;
}

/* Which cell a position is in along one axis, and how far. */
static int
cell_at (double at, double step, int n, double *part)
{
  double cell = at / step;
  int i = (int) CLAMP (floor (cell), 0, n - 1);
  *part = CLAMP (cell - i, 0, 1);
  return i;
}

void
notch_distortion_at (const NotchDistortion *field, double x, double y, double *dx, double *dy)
{
  double u, v;
  int i = cell_at (x, field->step_x, field->n_x, &u), j = cell_at (y, field->step_y, field->n_y, &v);
  gsize a = (gsize) j * (gsize) (field->n_x + 1) + (gsize) i, b = a + (gsize) field->n_x + 1;
  const double *p = field->dx, *q = field->dy;
  *dx = (1 - v) * ((1 - u) * p[a] + u * p[a + 1]) + v * ((1 - u) * p[b] + u * p[b + 1]);
  *dy = (1 - v) * ((1 - u) * q[a] + u * q[a + 1]) + v * ((1 - u) * q[b] + u * q[b + 1]);
}

double
notch_distortion_steepness (const NotchDistortion *field, double x0, double y0, double x1, double y1)
{
  double part, steepest = 0;
  int i0 = cell_at (x0, field->step_x, field->n_x, &part), i1 = cell_at (x1, field->step_x, field->n_x, &part);
  int j0 = cell_at (y0, field->step_y, field->n_y, &part), j1 = cell_at (y1, field->step_y, field->n_y, &part);
  for (int j = j0; j <= j1; j++)
    for (int i = i0; i <= i1; i++) {
      gsize a = (gsize) j * (gsize) (field->n_x + 1) + (gsize) i, b = a + (gsize) field->n_x + 1;
      for (const double *d = field->dx; d; d = d == field->dx ? field->dy : NULL) {
        double along = MAX (fabs (d[a + 1] - d[a]), fabs (d[b + 1] - d[b])) / field->step_x;
        double across = MAX (fabs (d[b] - d[a]), fabs (d[b + 1] - d[a + 1])) / field->step_y;
        steepest = MAX (steepest, along + across);
      }
    }
  return steepest;
}

/* ---- squares --------------------------------------------------------------------------------------------------------- */

/* Copies side x side pixels from (x, y); beyond the image its edge goes on. FALSE: some are no numbers. */
static gboolean
copy_square (const NotchPixels *pixels, gint64 x, gint64 y, int side, float *to)
{
  gboolean well = TRUE;
  for (int v = 0; v < side; v++) {
    const void *row = pixels->row[CLAMP (y + v - pixels->y, 0, pixels->n_rows - 1)];
    for (int u = 0; u < side; u++) {
      float value = notch_sample_at (row, pixels->sample, CLAMP (x + u, 0, pixels->width - 1));
      to[(gsize) v * (gsize) side + (gsize) u] = value;
      well &= fabsf (value) <= NOTCH_LARGEST_PIXEL;
    }
  }
  return well;
}

/* Reads the squares of one row of cells. */
static gboolean
read_row (Fit *fit, NotchStore *image, NotchStore *other, int row, GError **error)
{
  const NotchDistortion *field = fit->field;
  Square *square = fit->square + (gsize) row * (gsize) field->n_x;
  gint64 least = G_MAXINT64, most = G_MININT64;
  for (int i = 0; i < field->n_x; i++) {
    double dx, dy, x = (i + 0.5) * field->step_x - 0.5 * fit->side, y = (row + 0.5) * field->step_y - 0.5 * fit->side;
    square[i].x = (gint64) floor (x + 0.5), square[i].y = (gint64) floor (y + 0.5);
    notch_warp_at (fit->warp, x + 0.5 * fit->side, y + 0.5 * fit->side, &dx, &dy);
    square[i].other_x = square[i].x + (gint64) floor (dx + 0.5) - PAD - AROUND;
    square[i].other_y = square[i].y + (gint64) floor (dy + 0.5) - PAD - AROUND;
    least = MIN (least, square[i].other_y), most = MAX (most, square[i].other_y);
  }
  NotchRows rows = { square[0].y - PAD, fit->image_side }, other_rows = { least, most - least + fit->other_side };
  g_autoptr (NotchStrip) strip = notch_store_strip (image, &rows, 1, error);
  g_autoptr (NotchStrip) other_strip = strip ? notch_store_strip (other, &other_rows, 1, error) : NULL;
  if (!other_strip)
    return FALSE;
  const NotchPixels *pixels = notch_strip_pixels (strip), *other_pixels = notch_strip_pixels (other_strip);
  for (int i = 0; i < field->n_x; i++)
    square[i].blank =
        pixels->n_rows < 1 || other_pixels->n_rows < 1
        || !copy_square (pixels, square[i].x - PAD, square[i].y - PAD, fit->image_side, square[i].image)
        || !copy_square (other_pixels, square[i].other_x, square[i].other_y, fit->other_side, square[i].other);
  return TRUE;
}

static int
compare_floats (const void *a, const void *b)
{
  float x = *(const float *) a, y = *(const float *) b;
  return (x > y) - (x < y);
}

static double
quantile (GArray *list, double share)
{
  if (list->len == 0)
    return 0;
  g_array_sort (list, compare_floats);
  return (double) g_array_index (list, float, (guint) (share * (list->len - 1)));
}

/* The noise of the other's pixels, by a mask that planes and straight edges do not answer to (Immerkaer 1996); of the tenth
 * of the squares that have the least. */
static double
noise_of (const Fit *fit, int n)
{
  g_autoptr (GArray) all = g_array_new (FALSE, FALSE, sizeof (float));
  g_autoptr (GArray) one = g_array_new (FALSE, FALSE, sizeof (float));
  for (int i = 0; i < n; i++) {
    if (fit->square[i].blank)
      continue;
    g_array_set_size (one, 0);
    for (int v = 1; v < fit->other_side - 1; v += 3)
      for (int u = 1; u < fit->other_side - 1; u += 3) {
        const float *p = fit->square[i].other + (gsize) v * (gsize) fit->other_side + (gsize) u;
        const float *a = p - fit->other_side, *b = p + fit->other_side;
        float answer = fabsf (a[-1] + a[1] + b[-1] + b[1] - 2 * (a[0] + b[0] + p[-1] + p[1]) + 4 * p[0]);
        g_array_append_val (one, answer);
      }
    float noise = (float) (1.4826 / 6 * quantile (one, 0.5));
    g_array_append_val (all, noise);
  }
  return quantile (all, 0.1);
}

static void
blur_square (const float *from, int side, double sigma, float *aside, float *to)
{
  float tap[PAD + 1], sum = 0;
  int reach = MIN (PAD, (int) ceil (3 * sigma));
  for (int k = 0; k <= reach; k++) {
    tap[k] = (float) exp (-0.5 * k * k / (sigma * sigma));
    sum += k == 0 ? tap[k] : 2 * tap[k];
  }
  for (int v = 0; v < side; v++)
    for (int u = 0; u < side; u++) {
      const float *row = from + (gsize) v * (gsize) side;
      float value = tap[0] * row[u];
      for (int k = 1; k <= reach; k++)
        value += tap[k] * (row[MAX (u - k, 0)] + row[MIN (u + k, side - 1)]);
      aside[(gsize) v * (gsize) side + (gsize) u] = value / sum;
    }
  for (int v = 0; v < side; v++) {
    float *row = to + (gsize) v * (gsize) side;
    const float *middle = aside + (gsize) v * (gsize) side;
    for (int u = 0; u < side; u++)
      row[u] = tap[0] * middle[u];
    for (int k = 1; k <= reach; k++) {
      const float *above = aside + (gsize) MAX (v - k, 0) * (gsize) side;
      const float *below = aside + (gsize) MIN (v + k, side - 1) * (gsize) side;
      for (int u = 0; u < side; u++)
        row[u] += tap[k] * (above[u] + below[u]);
    }
    for (int u = 0; u < side; u++)
      row[u] /= sum;
  }
}

/* ---- normal equations ------------------------------------------------------------------------------------------------- */

/* An edge pixel of a square. */
typedef struct {
  float image, other, gx, gy;
  float u, v; /* where in the cell */
} Edge;

/* The edge pixels of a cell's square, with the other taken from where warp and field (or the warp alone) put it; and what
 * both images' levels differ by there. */
static int
find_edges (const Fit *fit, int cell, double blur, gboolean with_field, Edge *edge)
{
  const NotchDistortion *field = fit->field;
  const Square *square = &fit->square[cell];
  int column = cell % field->n_x, line = cell / field->n_x, n = 0, w = fit->other_side;
  double sums[5] = { 0 }, count = 0;
  /* Four and a half times what noise has after the blur: one pixel of noise in 25000. */
  double least = 20.25 * 2 * fit->noise * fit->noise / (8 * G_PI * pow (blur, 4));
  for (int v = 0; v < fit->side; v++)
    for (int u = 0; u < fit->side; u++) {
      double x = (double) (square->x + u), y = (double) (square->y + v), dx, dy, ex = 0, ey = 0;
      notch_warp_at (fit->warp, x, y, &dx, &dy);
      if (with_field)
        notch_distortion_at (field, x, y, &ex, &ey);
      double px = CLAMP (x + dx + ex - (double) square->other_x, 1, w - 3);
      double py = CLAMP (y + dy + ey - (double) square->other_y, 1, w - 3);
      int ix = (int) px, iy = (int) py;
      float fx = (float) (px - ix), fy = (float) (py - iy);
      const float *a = square->soft_other + (gsize) iy * (gsize) w + (gsize) ix, *b = a + w, *c = b + w, *z = a - w;
      float wa = (1 - fx) * (1 - fy), wb = fx * (1 - fy), wc = (1 - fx) * fy, wd = fx * fy;
      float value = wa * a[0] + wb * a[1] + wc * b[0] + wd * b[1];
      float gx = 0.5f * (wa * (a[1] - a[-1]) + wb * (a[2] - a[0]) + wc * (b[1] - b[-1]) + wd * (b[2] - b[0]));
      float gy = 0.5f * (wa * (b[0] - z[0]) + wb * (b[1] - z[1]) + wc * (c[0] - a[0]) + wd * (c[1] - a[1]));
      float image = square->soft[(gsize) (v + PAD) * (gsize) fit->image_side + (gsize) (u + PAD)];
      sums[0] += (double) image, sums[1] += (double) value;
      sums[2] += (double) image * (double) image, sums[3] += (double) value * (double) value, count++;
      if ((double) (gx * gx + gy * gy) > least + 1e-9 * (double) (value * value)) /* and more than rounding makes */
        edge[n++] = (Edge){ image,
                            value,
                            gx,
                            gy,
                            (float) CLAMP (x / field->step_x - column, 0, 1),
                            (float) CLAMP (y / field->step_y - line, 0, 1) };
    }
  double mean = sums[0] / count, other_mean = sums[1] / count;
  double spread = sums[2] / count - mean * mean, other_spread = sums[3] / count - other_mean * other_mean;
  double gain = spread > 0 && other_spread > 0 ? CLAMP (sqrt (spread / other_spread), 0.25, 4) : 1;
  for (int i = 0; i < n; i++)
    edge[i].image = (float) (((double) edge[i].image - mean) / gain + other_mean);
  return n;
}

/* Huber's weight of a difference; none where it would mean a shift that the gradient cannot tell. */
static double
weight_of (const Edge *edge, double difference, double sigma, double blur)
{
  double slope = (double) (edge->gx * edge->gx + edge->gy * edge->gy), far = fabs (difference);
  double most = 2 * blur + 1;
  if (far * far > most * most * slope)
    return 0;
  return far <= 1.5 * sigma ? 1 : 1.5 * sigma / far;
}

static void
add_edge (Normal *normal, const Edge *edge, double weight, double difference)
{
  double u = (double) edge->u, v = (double) edge->v, term[8];
  const double share[4] = { (1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v };
  for (int k = 0; k < 4; k++) {
    term[2 * k] = share[k] * (double) edge->gx;
    term[2 * k + 1] = share[k] * (double) edge->gy;
  }
  for (int i = 0; i < 8; i++) {
    double by = weight * term[i];
    normal->right[i] += by * difference;
    for (int j = 0; j < 8; j++)
      normal->matrix[i][j] += by * term[j];
  }
}

/* What all squares say with the field as it is. */
typedef struct {
  double chi2;           /* Huber's loss in sigmas */
  double along, squares; /* weighted sums of (gradient x field)^2 and gradient^2 */
} Told;

static void
build (Fit *fit, double blur, gboolean with_field, Edge *edge, Told *told)
{
  int n_cells = fit->field->n_x * fit->field->n_y, seen = 0;
  g_autoptr (GArray) sample = g_array_new (FALSE, FALSE, sizeof (float));
  double squares = 0, total = 0;
  *told = (Told){ 0 };
  for (int cell = 0; cell < n_cells; cell++) {
    Normal *normal = &fit->normal[cell];
    memset (normal, 0, sizeof *normal);
    int n = fit->square[cell].blank ? 0 : find_edges (fit, cell, blur, with_field, edge);
    for (int i = 0; i < n; i++) {
      double difference = (double) (edge[i].image - edge[i].other);
      double slope = (double) (edge[i].gx * edge[i].gx + edge[i].gy * edge[i].gy);
      double weight = fit->sigma > 0 ? weight_of (&edge[i], difference, fit->sigma, blur) : 1;
      squares += slope, total++;
      if (seen++ % 16 == 0) {
        float far = (float) fabs (difference);
        g_array_append_val (sample, far);
      }
      if (fit->sigma > 0) {
        double far = MIN (fabs (difference), (2 * blur + 1) * sqrt (slope)) / fit->sigma;
        told->chi2 += far <= 1.5 ? far * far : 3 * far - 2.25;
      }
      if (weight > 0)
        add_edge (normal, &edge[i], weight, difference);
      if (with_field) {
        double dx, dy;
        notch_distortion_at (fit->field, ((double) edge[i].u + cell % fit->field->n_x) * fit->field->step_x,
                             ((double) edge[i].v + cell / fit->field->n_x) * fit->field->step_y, &dx, &dy);
        double across = (double) edge[i].gx * dx + (double) edge[i].gy * dy;
        told->along += weight * across * across, told->squares += weight * slope;
      }
    }
  }
  fit->slope = total > 0 ? sqrt (squares / total) : 0;
  if (with_field) /* no edge is known to better than a hundredth of a pixel */
    fit->sigma = MAX (1.4826 * quantile (sample, 0.5), 0.01 * fit->slope);
}

/* ---- solution --------------------------------------------------------------------------------------------------------- */

/* Adds the smoothness of a field d (dx, dy in turn) to `to`: first and second differences along x and y, and a little of d
 * itself, each in units of what it may be. */
static void
add_smoothness (const NotchDistortion *field, const double *d, double *to)
{
  int w = field->n_x + 1, h = field->n_y + 1;
  double shift = 1 / (SHIFT_SIGMA * SHIFT_SIGMA);
  for (int k = 0; k < 2 * w * h; k++)
    to[k] += shift * d[k];
  for (int axis = 0; axis < 2; axis++) {
    double length = (axis ? field->step_y : field->step_x) / CELL;
    double slope = pow (SLOPE_SIGMA * length, -2), bend = pow (BEND_SIGMA * length, -2);
    int next = 2 * (axis ? w : 1);
    for (int j = 0; j < h; j++)
      for (int i = 0; i < w; i++)
        for (int c = 0; c < 2; c++) {
          int at = 2 * (j * w + i) + c, place = axis ? j : i, n = axis ? h : w;
          if (place + 1 < n) {
            double change = slope * (d[at + next] - d[at]);
            to[at + next] += change, to[at] -= change;
          }
          if (place > 0 && place + 1 < n) {
            double change = bend * (d[at - next] - 2 * d[at] + d[at + next]);
            to[at - next] += change, to[at] -= 2 * change, to[at + next] += change;
          }
        }
  }
}

static void
corners_of (const NotchDistortion *field, int cell, int corner[4])
{
  int w = field->n_x + 1, first = cell / field->n_x * w + cell % field->n_x;
  corner[0] = first, corner[1] = first + 1, corner[2] = first + w, corner[3] = first + w + 1;
}

/* to = (scale x normal equations + smoothness) d */
static void
multiply (const Fit *fit, double scale, const double *d, double *to)
{
  const NotchDistortion *field = fit->field;
  int n = 2 * (field->n_x + 1) * (field->n_y + 1), corner[4];
  memset (to, 0, sizeof *to * (gsize) n);
  for (int cell = 0; cell < field->n_x * field->n_y; cell++) {
    const Normal *normal = &fit->normal[cell];
    corners_of (field, cell, corner);
    for (int i = 0; i < 8; i++) {
      double sum = 0;
      for (int j = 0; j < 8; j++)
        sum += normal->matrix[i][j] * d[2 * corner[j / 2] + j % 2];
      to[2 * corner[i / 2] + i % 2] += scale * sum;
    }
  }
  add_smoothness (field, d, to);
}

static double
dot (const double *a, const double *b, int n)
{
  double sum = 0;
  for (int i = 0; i < n; i++)
    sum += a[i] * b[i];
  return sum;
}

/* One step: conjugate gradients, in a fixed order. Returns the largest change of a corner, px. */
static double
step (Fit *fit, double scale)
{
  NotchDistortion *field = fit->field;
  int corners = (field->n_x + 1) * (field->n_y + 1), n = 2 * corners, corner[4];
  g_autofree double *memory = g_new0 (double, 5 * (gsize) n);
  double *x = memory, *r = x + n, *p = r + n, *q = p + n, *now = q + n;
  for (int i = 0; i < corners; i++)
    now[2 * i] = field->dx[i], now[2 * i + 1] = field->dy[i];
  add_smoothness (field, now, q);
  for (int i = 0; i < n; i++)
    r[i] = -q[i];
  for (int cell = 0; cell < field->n_x * field->n_y; cell++) {
    corners_of (field, cell, corner);
    for (int i = 0; i < 8; i++)
      r[2 * corner[i / 2] + i % 2] += scale * fit->normal[cell].right[i];
  }
  memcpy (p, r, sizeof *p * (gsize) n);
  double left = dot (r, r, n), first = left;
  for (int round = 0; round < 400 && left > 1e-12 * first && left > 0; round++) {
    multiply (fit, scale, p, q);
    double length = left / dot (p, q, n), before = left;
    for (int i = 0; i < n; i++)
      x[i] += length * p[i], r[i] -= length * q[i];
    left = dot (r, r, n);
    for (int i = 0; i < n; i++)
      p[i] = r[i] + left / before * p[i];
  }
  double most = 0;
  for (int i = 0; i < corners; i++) {
    most = MAX (most, MAX (fabs (x[2 * i]), fabs (x[2 * i + 1])));
    field->dx[i] = CLAMP (field->dx[i] + x[2 * i], -NOTCH_DISTORTION_REACH, NOTCH_DISTORTION_REACH);
    field->dy[i] = CLAMP (field->dy[i] + x[2 * i + 1], -NOTCH_DISTORTION_REACH, NOTCH_DISTORTION_REACH);
  }
  return most;
}

/* Blurred pixels tell no more than one in this many. */
static double
likeness (double blur)
{
  return 4 * G_PI * blur * blur;
}

/* Fits, and tells whether the field pays. */
static gboolean
solve (Fit *fit)
{
  NotchDistortion *field = fit->field;
  int n_cells = field->n_x * field->n_y;
  g_autofree float *aside = g_new (float, (gsize) fit->other_side *(gsize) fit->other_side);
  g_autofree Edge *edge = g_new (Edge, (gsize) fit->side * (gsize) fit->side);
  Told told, rigid;
  fit->noise = noise_of (fit, n_cells);
  for (int level = 0; level < N_LEVELS; level++) {
    double blur = level_of[level].blur;
    for (int i = 0; i < n_cells; i++) {
      Square *square = &fit->square[i];
      if (square->blank)
        continue;
      blur_square (square->image, fit->image_side, blur, aside, square->soft);
      blur_square (square->other, fit->other_side, blur, aside, square->soft_other);
    }
    fit->sigma = 0;
    build (fit, blur, TRUE, edge, &told);
    if (fit->slope == 0)
      return FALSE;
    for (int round = 0; round < level_of[level].rounds; round++) {
      build (fit, blur, TRUE, edge, &told);
      if (step (fit, 1 / (fit->sigma * fit->sigma * likeness (blur))) < 0.01)
        break;
    }
  }
  double blur = level_of[N_LEVELS - 1].blur;
  build (fit, blur, TRUE, edge, &told);
  double sigma = fit->sigma;
  build (fit, blur, TRUE, edge, &told);
  fit->sigma = sigma;
  build (fit, blur, FALSE, edge, &rigid);
  int corners = (field->n_x + 1) * (field->n_y + 1);
  for (int i = 0; i < corners; i++) {
    field->peak = MAX (field->peak, hypot (field->dx[i], field->dy[i]));
    field->at_limit |= MAX (fabs (field->dx[i]), fabs (field->dy[i])) >= NOTCH_DISTORTION_REACH;
    field->low_dy = MIN (field->low_dy, field->dy[i]), field->high_dy = MAX (field->high_dy, field->dy[i]);
  }
  field->rms = told.squares > 0 ? sqrt (told.along / told.squares) : 0;
  return field->rms > 0.15 && rigid.chi2 - told.chi2 > 3 * 2 * corners * likeness (blur);
}

/* ---- fit -------------------------------------------------------------------------------------------------------------- */

/* Fits a field of at most `most` cells a side. */
static gboolean
fit_cells (NotchStore *image, NotchStore *other, gint64 width, gint64 height, const NotchWarp *warp, int most,
           NotchDistortion **field, GError **error)
{
  g_autoptr (NotchDistortion) made = field_new (width, height, most);
  int side = (int) MIN (ceil (MAX (made->step_x, made->step_y)), MOST_SIDE);
  Fit fit = { .field = made, .warp = warp, .side = side, .image_side = side + 2 * PAD };
  fit.other_side = fit.image_side + 2 * AROUND;
  gsize n = (gsize) made->n_x * (gsize) made->n_y;
  gsize area = (gsize) fit.image_side * (gsize) fit.image_side,
        other_area = (gsize) fit.other_side * (gsize) fit.other_side;
  g_autofree float *pixels = g_try_new (float, 2 * n * (area + other_area));
  g_autofree Square *square = g_new0 (Square, n);
  g_autofree Normal *normal = g_new (Normal, n);
  if (!pixels) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT, "no memory to align image and reference");
    return FALSE;
  }
  fit.square = square, fit.normal = normal;
  for (gsize i = 0; i < n; i++) {
    square[i].image = pixels + 2 * i * (area + other_area);
    square[i].soft = square[i].image + area;
    square[i].other = square[i].soft + area;
    square[i].soft_other = square[i].other + other_area;
  }
  for (int row = 0; row < made->n_y; row++)
    if (!read_row (&fit, image, other, row, error))
      return FALSE;
  if (solve (&fit))
    *field = g_steal_pointer (&made);
  return TRUE;
}

gboolean
notch_distortion_fit (NotchStore *image, NotchStore *other, gint64 width, gint64 height, const NotchWarp *warp,
                      NotchDistortion **field, GError **error)
{
  *field = NULL;
  if (width < 2 * CELL || height < 2 * CELL)
    return TRUE;
  /* A few squares tell whether a large image needs one at all. */
  if (MAX (width, height) > MOST_CELLS * MOST_SIDE) {
    g_autoptr (NotchDistortion) asked = NULL;
    if (!fit_cells (image, other, width, height, warp, MOST_ASKED, &asked, error))
      return FALSE;
    if (!asked)
      return TRUE;
  }
  return fit_cells (image, other, width, height, warp, MOST_CELLS, field, error);
}
