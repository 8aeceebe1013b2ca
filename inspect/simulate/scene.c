/* scene.c - where dice are, and how their pattern looks through the optics
 *
 * The optics are a Gaussian, so a blurred rectangle is a product of two differences of error functions: exact at any
 * sub-pixel shift, any focus, and, as a Gaussian is round, in any turned frame. Nothing is sampled before it is
 * blurred, so nothing aliases. */
#include "inspect/simulate/scene.h"

#include "inspect/simulate/random.h"

#define EDGE_REACH 5   /* sigmas beyond which an edge is not felt: 3e-7 of its step */
#define EDGE_STEPS 512 /* table entries a sigma: linear interpolation is good to 1.2e-7 */

static double edge_table[2 * EDGE_REACH * EDGE_STEPS + 2], bell_table[EDGE_REACH * EDGE_STEPS + 2];

static void
fill_tables (void)
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

double
notch_scene_variance (const NotchSimulation *simulation, double grey)
{
  double step = simulation->bits == 32 ? 0 : 255 / (double) ((1 << simulation->bits) - 1);
  return simulation->read_noise * simulation->read_noise + simulation->shot_noise * MAX (grey, 0) + step * step / 12;
}

void
notch_scene_to_image (const NotchScene *scene, double u, double v, double *x, double *y)
{
  double a = u - scene->cx, b = v - scene->cy;
  *x = scene->cx + scene->cosine * a - scene->sine * b;
  *y = scene->cy + scene->sine * a + scene->cosine * b;
}

void
notch_scene_to_frame (const NotchScene *scene, double x, double y, double *u, double *v)
{
  double a = x - scene->cx, b = y - scene->cy;
  *u = scene->cx + scene->cosine * a + scene->sine * b;
  *v = scene->cy - scene->sine * a + scene->cosine * b;
}

/* ---- dice -------------------------------------------------------------------------------------------------------- */

/* The pattern ends this fraction of the radius before the wafer does; the bevel is half as wide again as soft. */
#define WAFER_EXCLUSION 0.02
#define WAFER_BEVEL     0.002
#define WAFER_BARE      62.0
#define WAFER_DARK      7.0
/* SEMI M1: a V of 90 degrees, 1.0 to 1.25 mm deep on a radius of 150 mm. */
#define WAFER_NOTCH (1.15 / 150)

/* Whether a cell is printed on the wafer at all, reaches into the image, is on both wholly. */
static void
judge_cell (const NotchScene *scene, NotchSceneDie *die)
{
  double u = die->x, v = die->y;
  const NotchSimulation *s = scene->simulation;
  double w = (double) s->die_width, h = (double) s->die_height, printed = scene->radius * (1 - WAFER_EXCLUSION);
  double x0 = G_MAXDOUBLE, y0 = G_MAXDOUBLE, x1 = -G_MAXDOUBLE, y1 = -G_MAXDOUBLE, far = 0;
  for (int i = 0; i < 4; i++) {
    double x, y;
    notch_scene_to_image (scene, u + (i & 1) * w, v + (i >> 1) * h, &x, &y);
    x0 = MIN (x0, x), x1 = MAX (x1, x), y0 = MIN (y0, y), y1 = MAX (y1, y);
    far = MAX (far, hypot (x - scene->cx, y - scene->cy));
  }
  double near = hypot (MAX (fabs (u + w / 2 - scene->cx) - w / 2, 0), MAX (fabs (v + h / 2 - scene->cy) - h / 2, 0));
  die->printed = scene->radius == 0 || near < printed;
  die->present = die->printed && x1 > -0.5 && y1 > -0.5 && x0 < s->width - 0.5 && y0 < s->height - 0.5;
  die->whole = x0 >= -0.501 && y0 >= -0.501 && x1 <= s->width - 0.499 && y1 <= s->height - 0.499
               && (scene->radius == 0 || far <= printed);
}

NotchScene *
notch_scene_new (const NotchSimulation *simulation, NotchLayout *layout, GError **error)
{
  fill_tables ();
  const NotchSimulation *s = simulation;
  g_autoptr (NotchScene) scene = g_new0 (NotchScene, 1);
  scene->simulation = simulation;
  scene->layout = layout;
  scene->planted = g_array_new (FALSE, FALSE, sizeof (NotchPlanted));
  scene->cx = (s->width - 1) / 2.0;
  scene->cy = (s->height - 1) / 2.0;
  scene->cosine = cos (s->rotation_mrad / 1000);
  scene->sine = sin (s->rotation_mrad / 1000);
  scene->radius = s->wafer ? 0.485 * MIN (s->width, s->height) : 0;
  double left = s->origin_x - 0.5, top = s->origin_y - 0.5, w = (double) s->die_width, h = (double) s->die_height;
  double u0 = G_MAXDOUBLE, v0 = G_MAXDOUBLE, u1 = -G_MAXDOUBLE, v1 = -G_MAXDOUBLE;
  for (int i = 0; i < 4; i++) {
    double u, v;
    notch_scene_to_frame (scene, (i & 1) * (double) s->width - 0.5, (i >> 1) * (double) s->height - 0.5, &u, &v);
    u0 = MIN (u0, u), u1 = MAX (u1, u), v0 = MIN (v0, v), v1 = MAX (v1, v);
  }
  /* one more all around: their blurred pattern reaches into the image */
  gint64 col0 = (gint64) floor ((u0 - left) / w) - 1, row0 = (gint64) floor ((v0 - top) / h) - 1;
  gint64 n_cols = (gint64) ceil ((u1 - left) / w) + 1 - col0, n_rows = (gint64) ceil ((v1 - top) / h) + 1 - row0;
  if (n_cols * n_rows > 4000000)
    return g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
                        "%" G_GINT64_FORMAT " x %" G_GINT64_FORMAT
                        " dice are more than 4 million; choose larger dice or a smaller size",
                        n_cols, n_rows),
           NULL;
  scene->n_cols = (int) n_cols;
  scene->n_rows = (int) n_rows;
  scene->die = g_new0 (NotchSceneDie, n_cols * n_rows);
  int first_col = G_MAXINT, first_row = G_MAXINT, any_col = G_MAXINT, any_row = G_MAXINT;
  for (int j = 0; j < scene->n_rows; j++)
    for (int i = 0; i < scene->n_cols; i++) {
      NotchSceneDie *die = &scene->die[(gint64) j * scene->n_cols + i];
      NotchRandom random = notch_random_at (s->seed, NOTCH_STREAM_DICE, col0 + i, row0 + j);
      double shift[2], other[2];
      notch_random_normals (&random, shift);
      notch_random_normals (&random, other);
      *die = (NotchSceneDie){ .col = i, .row = j, .x = left + (col0 + i) * w, .y = top + (row0 + j) * h };
      die->dx = s->jitter * shift[0];
      die->dy = s->jitter * shift[1];
      die->gain = MAX (0.1, 1 + s->gain * other[0]);
      die->blur = MAX (0.3, s->blur * (1 + s->focus * other[1]));
      judge_cell (scene, die);
      if (die->whole)
        first_col = MIN (first_col, i), first_row = MIN (first_row, j);
      if (die->present)
        any_col = MIN (any_col, i), any_row = MIN (any_row, j);
    }
  if (first_col == G_MAXINT)
    first_col = any_col, first_row = any_row;
  for (gint64 k = 0; k < n_cols * n_rows; k++) {
    scene->die[k].col -= first_col;
    scene->die[k].row -= first_row;
  }
  return g_steal_pointer (&scene);
}

void
notch_scene_free (NotchScene *scene)
{
  if (!scene)
    return;
  for (guint i = 0; i < scene->planted->len; i++)
    g_free (g_array_index (scene->planted, NotchPlanted, i).delta);
  g_array_unref (scene->planted);
  g_free (scene->die);
  g_free (scene);
}

/* ---- pattern ----------------------------------------------------------------------------------------------------- */

/* A region of the image in the cell of a die: u = ux + c x + s y, v = vy - s x + c y, x and y from the region's first
 * pixel. */
typedef struct {
  double ux, vy, c, s;
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

static void
add_rect (const View *view, const NotchRect *rect, double gain, double blur, int w, int h, float *to, float *profile)
{
  int box[4];
  if (!reach (view, rect, EDGE_REACH * blur, w, h, box))
    return;
  double k = 1 / blur, tone = gain * rect->tone;
  if (view->s == 0) {
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
      double u = view->ux + view->c * x + view->s * y, v = view->vy - view->s * x + view->c * y;
      double along = notch_scene_edge ((u - rect->x0) * k) - notch_scene_edge ((u - rect->x1) * k);
      double across = notch_scene_edge ((v - rect->y0) * k) - notch_scene_edge ((v - rect->y1) * k);
      to[(gsize) y * (gsize) w + (gsize) x] += (float) (tone * along * across);
    }
}

void
notch_scene_add_rect (const NotchScene *scene, const NotchSceneDie *die, const NotchRect *rect, gint64 x, gint64 y,
                      int w, int h, float *to)
{
  View view = view_of (scene, die, x, y);
  g_autofree float *profile = g_new (float, w);
  add_rect (&view, rect, 1, die->blur, w, h, to, profile);
}

/* A picture instead of rectangles: every pixel of the cell is the picture blurred at its sub-pixel place. The picture
 * goes on beyond its border with the next copy of itself, as dice on a wafer do. */
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
  g_autofree double *weight = g_new (double, 2 * n);
  double *wx = weight, *wy = weight + n, k = 1 / die->blur;
  for (int y = box[1]; y < box[3]; y++)
    for (int x = box[0]; x < box[2]; x++) {
      double u = cell.ux + cell.c * x + cell.s * y, v = cell.vy - cell.s * x + cell.c * y;
      if (u < 0 || v < 0 || u >= whole.x1 || v >= whole.y1)
        continue;
      /* picture pixel i has its centre at i + 0.5 */
      u = view.ux + view.c * x + view.s * y - 0.5, v = view.vy - view.s * x + view.c * y - 0.5;
      gint64 left = (gint64) floor (u + 0.5) - taps, top = (gint64) floor (v + 0.5) - taps;
      double sum_x = 0, sum_y = 0, sum = 0;
      for (int i = 0; i < n; i++) {
        sum_x += wx[i] = bell (k * (u - (double) (left + i)));
        sum_y += wy[i] = bell (k * (v - (double) (top + i)));
      }
      left = (left % layout->width + layout->width) % layout->width;
      for (int j = 0; j < n; j++) {
        const float *from =
            layout->picture + ((top + j) % layout->height + layout->height) % layout->height * layout->width;
        double row = 0;
        gint64 px = left;
        for (int i = 0; i < n; i++) {
          row += wx[i] * from[px];
          px = px + 1 == layout->width ? 0 : px + 1;
        }
        sum += wy[j] * row;
      }
      to[(gsize) y * (gsize) w + (gsize) x] += (float) (die->gain * sum / (sum_x * sum_y));
    }
}

/* ---- light ------------------------------------------------------------------------------------------------------- */

/* How much of pattern and of wafer is at a frame position, 0 to 1 each. */
static void
wafer_at (const NotchScene *scene, double u, double v, double *pattern, double *silicon)
{
  double x = u - scene->cx, y = v - scene->cy, inside = scene->radius - hypot (x, y);
  double in_notch = (y - scene->radius * (1 - WAFER_NOTCH) - fabs (x)) / G_SQRT2;
  *pattern = notch_scene_edge ((inside - WAFER_EXCLUSION * scene->radius) / 1.5);
  *silicon = notch_scene_edge (MIN (inside, -in_notch) / MAX (1, WAFER_BEVEL * scene->radius));
}

void
notch_scene_render (const NotchScene *scene, gint64 x0, gint64 y0, int w, int h, float *to)
{
  const NotchSimulation *s = scene->simulation;
  gsize n = (gsize) w * (gsize) h;
  for (gsize i = 0; i < n; i++)
    to[i] = 0;
  g_autofree float *profile = g_new (float, w);
  const NotchRect cell = { 0, 0, (double) s->die_width, (double) s->die_height, 0 };
  for (gint64 k = 0; k < (gint64) scene->n_cols * scene->n_rows; k++) {
    const NotchSceneDie *die = &scene->die[k];
    View view = view_of (scene, die, x0, y0);
    int box[4];
    if (!die->printed || !reach (&view, &cell, EDGE_REACH * die->blur + 4, w, h, box))
      continue;
    if (scene->layout->picture)
      add_picture (scene, die, x0, y0, w, h, to);
    else
      for (guint i = 0; i < scene->layout->rect->len; i++)
        add_rect (&view, &g_array_index (scene->layout->rect, NotchRect, i), die->gain, die->blur, w, h, to, profile);
  }
  double corner = 1 / (scene->cx * scene->cx + scene->cy * scene->cy + 1e-9);
  for (int j = 0; j < h; j++)
    for (int i = 0; i < w; i++) {
      double x = (double) (x0 + i) - scene->cx, y = (double) (y0 + j) - scene->cy;
      double grey = scene->layout->base + to[(gsize) j * (gsize) w + (gsize) i];
      if (scene->radius > 0) {
        double u, v, pattern, silicon;
        notch_scene_to_frame (scene, (double) (x0 + i), (double) (y0 + j), &u, &v);
        wafer_at (scene, u, v, &pattern, &silicon);
        grey = WAFER_DARK + silicon * (WAFER_BARE - WAFER_DARK + pattern * (grey - WAFER_BARE));
      }
      grey *= 1 - s->vignetting * (x * x + y * y) * corner;
      to[(gsize) j * (gsize) w + (gsize) i] = (float) grey;
    }
}

void
notch_scene_add_planted (const NotchScene *scene, gint64 x, gint64 y, int w, int h, float *to)
{
  for (guint k = 0; k < scene->planted->len; k++) {
    const NotchPlanted *p = &g_array_index (scene->planted, NotchPlanted, k);
    gint64 left = MAX (p->x0, x), right = MIN (p->x0 + p->w, x + w);
    for (gint64 j = MAX (p->y0, y); j < MIN (p->y0 + p->h, y + h); j++)
      for (gint64 i = left; i < right; i++)
        to[(j - y) * w + i - x] += p->delta[(j - p->y0) * p->w + i - p->x0];
  }
}
