/* pattern.c - how the pattern of dice looks through the optics
 *
 * The optics are a Gaussian, so a blurred rectangle is a product of two differences of error functions: exact at any
 * sub-pixel shift, any focus, and, as a Gaussian is round, in any turned frame. Nothing is sampled before it is
 * blurred, so nothing aliases. What moves from pixel to pixel (rotation, roughness and the like) moves the place where
 * a pixel looks, which is as good as exact while it changes little over a few pixels. */
#include "inspect/simulate/scene.h"

#include <math.h>

#define EDGE_REACH 5   /* sigmas beyond which an edge is not felt: 3e-7 of its step */
#define EDGE_STEPS 512 /* table entries a sigma: linear interpolation is good to 1.2e-7 */

static double edge_table[2 * EDGE_REACH * EDGE_STEPS + 2], bell_table[EDGE_REACH * EDGE_STEPS + 2];

void
notch_scene_prepare (void)
{
  static gsize filled;
  if (!g_once_init_enter (&filled))
    return;
  for (guint i = 0; i < G_N_ELEMENTS (edge_table); i++)
    edge_table[i] = 0.5 * (1 + erf ((i / (double) EDGE_STEPS - EDGE_REACH) / G_SQRT2));
  for (guint i = 0; i < G_N_ELEMENTS (bell_table); i++)
    bell_table[i] = exp (-0.5 * i * i / (double) (EDGE_STEPS * EDGE_STEPS));
  g_once_init_leave (&filled, 1);
}

double
notch_scene_edge (double t)
{
  if (t <= -EDGE_REACH)
    return 0;
  if (t >= EDGE_REACH)
    return 1;
  double at = (t + EDGE_REACH) * EDGE_STEPS;
  int i = (int) at;
  return edge_table[i] + (at - i) * (edge_table[i + 1] - edge_table[i]);
}

/* exp (-t^2 / 2) likewise. */
static double
bell (double t)
{
  double at = fabs (t) * EDGE_STEPS;
  if (at >= EDGE_REACH * EDGE_STEPS)
    return 0;
  int i = (int) at;
  return bell_table[i] + (at - i) * (bell_table[i + 1] - bell_table[i]);
}

/* ---- pattern ----------------------------------------------------------------------------------------------------- */

/* A region of the image in the cell of a die: u = ux + c x + s y, v = vy - s x + c y, x and y from the region's first
 * pixel. Where pixels move on their own, mx and my say from where: of pixel (x, y) at [(y - y0) * stride + x - x0]. */
typedef struct {
  double ux, vy, c, s;
  const float *mx, *my;
  int x0, y0;
  gsize stride;
} View;

static View
view_of (const NotchScene *scene, const NotchSceneDie *die, gint64 x, gint64 y)
{
  View view = { .c = scene->cosine, .s = scene->sine };
  notch_scene_to_frame (scene, x - die->dx, y - die->dy, &view.ux, &view.vy);
  view.ux -= die->x;
  view.vy -= die->y;
  return view;
}

/* The pixels of a w x h region that a rectangle of a cell can touch, x0 <= x < x1 and so on; FALSE: none. */
static gboolean
reach (const View *view, const NotchRect *rect, double margin, int w, int h, int box[4])
{
  double u = (rect->x0 + rect->x1) / 2 - view->ux, v = (rect->y0 + rect->y1) / 2 - view->vy;
  double hu = (rect->x1 - rect->x0) / 2 + margin, hv = (rect->y1 - rect->y0) / 2 + margin;
  double x = view->c * u - view->s * v, y = view->s * u + view->c * v;
  double hx = view->c * hu + fabs (view->s) * hv, hy = fabs (view->s) * hu + view->c * hv;
  if (x + hx < 0 || y + hy < 0 || x - hx > w - 1 || y - hy > h - 1)
    return FALSE;
  box[0] = (int) ceil (MAX (x - hx, 0)), box[1] = (int) ceil (MAX (y - hy, 0));
  box[2] = (int) floor (MIN (x + hx, w - 1)) + 1, box[3] = (int) floor (MIN (y + hy, h - 1)) + 1;
  return box[0] < box[2] && box[1] < box[3];
}

/* Position in the cell that a pixel of the region shows. */
static inline void
look (const View *view, int x, int y, double *u, double *v)
{
  double a = x, b = y;
  if (view->mx) {
    gsize at = (gsize) (y - view->y0) * view->stride + (gsize) (x - view->x0);
    a -= view->mx[at];
    b -= view->my[at];
  }
  *u = view->ux + view->c * a + view->s * b;
  *v = view->vy - view->s * a + view->c * b;
}

static void
add_rect (const View *view, const NotchSceneDie *die, const NotchRect *drawn, double gain, double margin, int w, int h,
          float *to, float *profile)
{
  int box[4];
  const double grow = die->grow, blur = die->blur;
  const NotchRect grown = { drawn->x0 - grow, drawn->y0 - grow, drawn->x1 + grow, drawn->y1 + grow, drawn->tone };
  const NotchRect *rect = &grown;
  if (grown.x1 <= grown.x0 || grown.y1 <= grown.y0 || !reach (view, rect, EDGE_REACH * blur + margin, w, h, box))
    return;
  double k = 1 / blur, tone = gain * rect->tone;
  if (view->s == 0 && !view->mx) {
    for (int x = box[0]; x < box[2]; x++)
      profile[x] =
          (float) (notch_scene_edge ((view->ux + x - rect->x0) * k) - notch_scene_edge ((view->ux + x - rect->x1) * k));
    for (int y = box[1]; y < box[3]; y++) {
      float across = (float) (tone
                              * (notch_scene_edge ((view->vy + y - rect->y0) * k)
                                 - notch_scene_edge ((view->vy + y - rect->y1) * k)));
      float *row = to + (gsize) y * (gsize) w;
      for (int x = box[0]; x < box[2]; x++)
        row[x] += across * profile[x];
    }
    return;
  }
  for (int y = box[1]; y < box[3]; y++)
    for (int x = box[0]; x < box[2]; x++) {
      double u, v;
      look (view, x, y, &u, &v);
      double along = notch_scene_edge ((u - rect->x0) * k) - notch_scene_edge ((u - rect->x1) * k);
      double across = notch_scene_edge ((v - rect->y0) * k) - notch_scene_edge ((v - rect->y1) * k);
      to[(gsize) y * (gsize) w + (gsize) x] += (float) (tone * along * across);
    }
}

/* The moves of a box of pixels, one half for each direction; NULL where nothing moves. */
static float *
moves_of (const NotchScene *scene, const NotchSceneDie *die, gint64 x, gint64 y, const int box[4], View *view)
{
  if (!notch_scene_moves (scene->simulation))
    return NULL;
  int w = box[2] - box[0], h = box[3] - box[1];
  gsize n = (gsize) w * (gsize) h;
  float *moves = g_new (float, 2 * n);
  notch_scene_moves_at (scene, die, x + box[0], y + box[1], w, h, (gsize) w, moves, moves + n);
  view->mx = moves;
  view->my = moves + n;
  view->x0 = box[0];
  view->y0 = box[1];
  view->stride = (gsize) w;
  return moves;
}

void
notch_scene_add_rect (const NotchScene *scene, const NotchSceneDie *die, const NotchRect *rect, gint64 x, gint64 y,
                      int w, int h, float *to)
{
  View view = view_of (scene, die, x, y);
  const int whole[4] = { 0, 0, w, h };
  g_autofree float *profile = g_new (float, w), *moves = moves_of (scene, die, x, y, whole, &view);
  add_rect (&view, die, rect, 1, notch_scene_move_reach (scene, die), w, h, to, profile);
}

/* Weights of a Gaussian about `at` for n pixels from `first`; slope: of its derivative, whose sum over a unit step is 1. */
static double
fill_weights (double at, gint64 first, int n, double k, double *weight, double *slope)
{
  double sum = 0;
  for (int i = 0; i < n; i++) {
    double t = k * (at - (double) (first + i));
    sum += weight[i] = bell (t);
    slope[i] = -k * t * weight[i];
  }
  return sum;
}

/* A picture instead of rectangles: every pixel of the cell is the picture blurred at its sub-pixel place. The picture
 * goes on beyond its border with the next copy of itself, as dice on a wafer do. What is brighter than what lies around
 * it grows by the slope times the way of its edge, to first order. */
static void
add_picture (const NotchScene *scene, const NotchSceneDie *die, gint64 x0, gint64 y0, int w, int h, float *to)
{
  const NotchLayout *layout = scene->layout;
  View view = view_of (scene, die, x0, y0), cell = view;
  notch_scene_to_frame (scene, x0, y0, &cell.ux, &cell.vy);
  cell.ux -= die->x, cell.vy -= die->y;
  const NotchRect whole = { 0, 0, (double) layout->width, (double) layout->height, 1 };
  int box[4], taps = (int) ceil (3.5 * die->blur), n = 2 * taps + 1;
  if (!reach (&cell, &whole, 1, w, h, box))
    return;
  g_autofree float *moves = moves_of (scene, die, x0, y0, box, &view);
  g_autofree double *weight = g_new (double, 4 * n);
  double *wx = weight, *wy = weight + n, *slope_x = weight + 2 * n, *slope_y = weight + 3 * n, k = 1 / die->blur;
  for (int y = box[1]; y < box[3]; y++)
    for (int x = box[0]; x < box[2]; x++) {
      double u = cell.ux + cell.c * x + cell.s * y, v = cell.vy - cell.s * x + cell.c * y;
      if (u < 0 || v < 0 || u >= whole.x1 || v >= whole.y1)
        continue;
      /* picture pixel i has its centre at i + 0.5 */
      look (&view, x, y, &u, &v);
      u -= 0.5, v -= 0.5;
      gint64 left = (gint64) floor (u + 0.5) - taps, top = (gint64) floor (v + 0.5) - taps;
      double sum_x = fill_weights (u, left, n, k, wx, slope_x), sum_y = fill_weights (v, top, n, k, wy, slope_y);
      double sum = 0, du = 0, dv = 0;
      left = (left % layout->width + layout->width) % layout->width;
      for (int j = 0; j < n; j++) {
        const float *from =
            layout->picture + ((top + j) % layout->height + layout->height) % layout->height * layout->width;
        double row = 0, row_slope = 0;
        gint64 px = left;
        for (int i = 0; i < n; i++) {
          row += wx[i] * from[px];
          row_slope += slope_x[i] * from[px];
          px = px + 1 == layout->width ? 0 : px + 1;
        }
        sum += wy[j] * row;
        du += wy[j] * row_slope;
        dv += slope_y[j] * row;
      }
      sum += die->grow * hypot (du, dv);
      to[(gsize) y * (gsize) w + (gsize) x] += (float) (die->gain * sum / (sum_x * sum_y));
    }
}

void
notch_scene_add_pattern (const NotchScene *scene, gint64 x0, gint64 y0, int w, int h, float *to)
{
  const NotchSimulation *s = scene->simulation;
  const NotchRect cell = { 0, 0, (double) s->die_width, (double) s->die_height, 0 };
  g_autofree float *profile = g_new (float, w);
  for (gint64 k = 0; k < (gint64) scene->n_cols * scene->n_rows; k++) {
    const NotchSceneDie *die = &scene->die[k];
    View view = view_of (scene, die, x0, y0);
    double margin = notch_scene_move_reach (scene, die);
    int box[4];
    if (!die->printed || !reach (&view, &cell, EDGE_REACH * die->blur + 4 + margin, w, h, box))
      continue;
    if (scene->layout->picture) {
      add_picture (scene, die, x0, y0, w, h, to);
      continue;
    }
    g_autofree float *moves = moves_of (scene, die, x0, y0, box, &view);
    for (guint i = 0; i < scene->layout->rect->len; i++)
      add_rect (&view, die, &g_array_index (scene->layout->rect, NotchRect, i), die->gain, margin, w, h, to, profile);
  }
}
