/* scene.c - where dice are, and the light that falls on them */
#include "inspect/simulate/scene.h"

#include "inspect/random.h"

double
notch_scene_wafer_radius (const NotchSimulation *s)
{
  return 0.485 * (double) MIN (s->width, s->height);
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
  notch_scene_prepare ();
  const NotchSimulation *s = simulation;
  g_autoptr (NotchScene) scene = g_new0 (NotchScene, 1);
  scene->simulation = simulation;
  scene->layout = layout;
  scene->planted = g_array_new (FALSE, FALSE, sizeof (NotchPlanted));
  scene->cx = (s->width - 1) / 2.0;
  scene->cy = (s->height - 1) / 2.0;
  scene->cosine = cos (s->rotation_mrad / 1000);
  scene->sine = sin (s->rotation_mrad / 1000);
  scene->radius = s->wafer ? notch_scene_wafer_radius (s) : 0;
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
      notch_scene_vary_die (s, col0 + i, row0 + j, die);
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
  for (guint i = 0; i < scene->planted->len; i++) {
    g_free (g_array_index (scene->planted, NotchPlanted, i).delta);
    g_free (g_array_index (scene->planted, NotchPlanted, i).shape);
  }
  g_array_unref (scene->planted);
  g_free (scene->die);
  g_free (scene);
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

/* Adds the planted defects, or the planted nuisances, that reach into a region. */
static void
add_planted (const NotchScene *scene, gboolean nuisances, gint64 x, gint64 y, int w, int h, float *to)
{
  for (guint k = 0; k < scene->planted->len; k++) {
    const NotchPlanted *p = &g_array_index (scene->planted, NotchPlanted, k);
    gint64 left = MAX (p->x0, x), right = MIN (p->x0 + p->w, x + w);
    if (p->nuisance != nuisances)
      continue;
    for (gint64 j = MAX (p->y0, y); j < MIN (p->y0 + p->h, y + h); j++)
      for (gint64 i = left; i < right; i++)
        to[(j - y) * w + i - x] += p->delta[(j - p->y0) * p->w + i - p->x0];
  }
}

void
notch_scene_render (const NotchScene *scene, gint64 x0, gint64 y0, int w, int h, float *to)
{
  const NotchSimulation *s = scene->simulation;
  gsize n = (gsize) w * (gsize) h;
  for (gsize i = 0; i < n; i++)
    to[i] = 0;
  notch_scene_add_pattern (scene, x0, y0, w, h, to);
  notch_scene_add_grain (scene, x0, y0, w, h, to);
  g_autofree float *gain = g_new (float, w);
  notch_scene_stage_gains (scene, x0, w, gain);
  double corner = 1 / (scene->cx * scene->cx + scene->cy * scene->cy + 1e-9);
  double rim = scene->radius > 0 ? scene->radius : hypot (scene->cx, scene->cy);
  for (int j = 0; j < h; j++)
    for (int i = 0; i < w; i++) {
      double x = (double) (x0 + i) - scene->cx, y = (double) (y0 + j) - scene->cy;
      double grey = scene->layout->base + to[(gsize) j * (gsize) w + (gsize) i];
      if (s->film > 0)
        grey *= 1 + s->film * cos (2 * G_PI * hypot (x, y) / rim);
      if (scene->radius > 0) {
        double u, v, pattern, silicon;
        notch_scene_to_frame (scene, (double) (x0 + i), (double) (y0 + j), &u, &v);
        wafer_at (scene, u, v, &pattern, &silicon);
        grey = WAFER_DARK + silicon * (WAFER_BARE - WAFER_DARK + pattern * (grey - WAFER_BARE));
      }
      grey *= (1 - s->vignetting * (x * x + y * y) * corner) * gain[i];
      to[(gsize) j * (gsize) w + (gsize) i] = (float) grey;
    }
  add_planted (scene, TRUE, x0, y0, w, h, to);
}

void
notch_scene_add_planted (const NotchScene *scene, gint64 x, gint64 y, int w, int h, float *to)
{
  add_planted (scene, FALSE, x, y, w, h, to);
}

gboolean
notch_planted_covers (const NotchPlanted *p, int i, int j)
{
  return fabsf ((p->shape ? p->shape : p->delta)[(gsize) j * (gsize) p->w + (gsize) i]) >= p->level;
}
