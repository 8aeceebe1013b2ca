/* defects.c - plants defects whose matched signal to noise ratio is known
 *
 * A defect is drawn with a peak near 1, then scaled so that the square root of the sum of (delta / sigma)^2 over its
 * pixels is the ratio that was drawn, sigma being the sensor's noise on the clean image. That is what the best linear
 * detector would see if the reference were perfect. A class is one function and one row of the table. */
#include "inspect/simulate/random.h"
#include "inspect/simulate/scene.h"

#include <string.h>

#define APART_PX      40   /* between two defects in the image */
#define APART_CELL_PX 30   /* between their places in the cell, for dice that may serve each other as reference */
#define NEAR_DICE     2    /* which these are: so many columns and rows away */
#define BORDER_PX     8    /* from the cell's and the image's border */
#define MASK_LEVEL    0.25 /* of the peak: what counts as the defect's extent */
#define TRIES         400  /* a defect */

/* What a class draws on: w x h pixels from (x0, y0), the sign included. */
typedef struct {
  const NotchScene *scene;
  const NotchSceneDie *die;
  NotchRandom *random;
  gint64 x0, y0;
  int w, h;
  float *delta;
} Canvas;

static void
open_canvas (Canvas *canvas, double x, double y, double reach_x, double reach_y)
{
  canvas->x0 = (gint64) floor (x - reach_x);
  canvas->y0 = (gint64) floor (y - reach_y);
  canvas->w = (int) ((gint64) ceil (x + reach_x) - canvas->x0) + 1;
  canvas->h = (int) ((gint64) ceil (y + reach_y) - canvas->y0) + 1;
  canvas->delta = g_new0 (float, (gsize) canvas->w *(gsize) canvas->h);
}

/* A place in the canvas's die, px in the image, `margin` away from the cell's border. */
static void
choose_place (const Canvas *canvas, double margin, double *x, double *y)
{
  const NotchSimulation *s = canvas->scene->simulation;
  double w = (double) s->die_width, h = (double) s->die_height;
  margin = MIN (margin + BORDER_PX, MIN (w, h) / 2);
  double u = canvas->die->x + notch_random_between (canvas->random, margin, w - margin);
  double v = canvas->die->y + notch_random_between (canvas->random, margin, h - margin);
  notch_scene_to_image (canvas->scene, u, v, x, y);
}

/* An elliptical Gaussian of sigmas a and b, a turned by `angle` from +x towards +y. */
static void
add_gaussian (const Canvas *canvas, double x, double y, double a, double b, double angle, double peak)
{
  double c = cos (angle), s = sin (angle), reach = 5 * MAX (a, b);
  gint64 x1 = MIN ((gint64) ceil (x + reach) - canvas->x0 + 1, canvas->w);
  gint64 y1 = MIN ((gint64) ceil (y + reach) - canvas->y0 + 1, canvas->h);
  for (gint64 j = MAX ((gint64) floor (y - reach) - canvas->y0, 0); j < y1; j++)
    for (gint64 i = MAX ((gint64) floor (x - reach) - canvas->x0, 0); i < x1; i++) {
      double dx = (double) (canvas->x0 + i) - x, dy = (double) (canvas->y0 + j) - y;
      double p = (c * dx + s * dy) / a, q = (c * dy - s * dx) / b;
      canvas->delta[j * canvas->w + i] += (float) (peak * exp (-0.5 * (p * p + q * q)));
    }
}

static double
either_sign (const Canvas *canvas)
{
  return notch_random_unit (canvas->random) < 0.5 ? -1 : 1;
}

/* Dirt: a round spot, or from 1.5 px on, half of them, a disc with a soft rim. */
static gboolean
draw_particle (Canvas *canvas)
{
  double size = notch_random_between (canvas->random, 0.7, 3), sign = either_sign (canvas), x, y;
  double sigma = MAX (size, canvas->die->blur), reach = 5 * sigma;
  choose_place (canvas, 2 * sigma, &x, &y);
  open_canvas (canvas, x, y, reach, reach);
  if (size < 1.5 || notch_random_unit (canvas->random) < 0.5)
    add_gaussian (canvas, x, y, sigma, sigma, 0, sign);
  else
    for (int j = 0; j < canvas->h; j++)
      for (int i = 0; i < canvas->w; i++) {
        double r = hypot ((double) (canvas->x0 + i) - x, (double) (canvas->y0 + j) - y);
        canvas->delta[j * canvas->w + i] = (float) (sign * notch_scene_edge ((1.5 * size - r) / canvas->die->blur));
      }
  return TRUE;
}

/* A dark hole smaller than the optics resolve. */
static gboolean
draw_pit (Canvas *canvas)
{
  double hole = notch_random_between (canvas->random, 0, 0.6), sigma = hypot (hole, canvas->die->blur), x, y;
  choose_place (canvas, 2 * sigma, &x, &y);
  open_canvas (canvas, x, y, 5 * sigma, 5 * sigma);
  add_gaussian (canvas, x, y, sigma, sigma, 0, -1);
  return TRUE;
}

/* An arc of constant width: Gaussians in a row, a quarter of a pixel apart, so that the sum is smooth. */
static gboolean
draw_scratch (Canvas *canvas)
{
  const NotchSimulation *s = canvas->scene->simulation;
  NotchRandom *r = canvas->random;
  double most = CLAMP (0.6 * MIN (s->die_width, s->die_height), 20, 200), step = 0.25, x, y;
  double length = notch_random_between (r, 15, most), bend = notch_random_between (r, -0.8, 0.8);
  double heading = notch_random_between (r, 0, G_PI), width = notch_random_between (r, 0.6, 2);
  double sigma = hypot (width / sqrt (12), canvas->die->blur), sign = either_sign (canvas);
  double reach = length / 2 + 5 * sigma + 1;
  int n = (int) (length / step);
  choose_place (canvas, 4, &x, &y);
  open_canvas (canvas, x, y, reach, reach);
  for (int way = -1; way <= 1; way += 2) { /* from the middle to both ends */
    double px = x, py = y;
    for (int k = 0; k < n / 2; k++) {
      double angle = heading + bend * way * (k + 0.5) / n;
      px += way * step * cos (angle), py += way * step * sin (angle);
      add_gaussian (canvas, px, py, sigma, sigma, 0, sign * step / (sigma * sqrt (2 * G_PI)));
    }
  }
  return TRUE;
}

/* A faint wide spot. */
static gboolean
draw_stain (Canvas *canvas)
{
  const NotchSimulation *s = canvas->scene->simulation;
  double most = CLAMP (MIN (s->die_width, s->die_height) / 20.0, 3, 12), x, y;
  double a = notch_random_between (canvas->random, MIN (5, most / 2), most), sign = either_sign (canvas);
  double b = MAX (a * notch_random_between (canvas->random, 0.7, 1), MIN (5, most / 2));
  choose_place (canvas, 2 * a, &x, &y);
  open_canvas (canvas, x, y, 5 * a, 5 * a);
  add_gaussian (canvas, x, y, a, b, notch_random_between (canvas->random, 0, G_PI), sign);
  return TRUE;
}

/* A piece of a conductor, or of the space between two, that is not as it should be. It shifts and blurs as its die. */
static gboolean
draw_wire_piece (Canvas *canvas, const GArray *wires, double sign, double least, double most)
{
  NotchRandom *r = canvas->random;
  const NotchWire *wire = &g_array_index (wires, NotchWire, notch_random_below (r, (int) wires->len));
  NotchRect rect = wire->rect;
  double *from = wire->along_x ? &rect.x0 : &rect.y0, *to = wire->along_x ? &rect.x1 : &rect.y1;
  double length = notch_random_between (r, least, most), x, y;
  if (*to - *from < length + 4)
    return FALSE;
  *from = notch_random_between (r, *from + 2, *to - 2 - length);
  *to = *from + length;
  rect.tone = rect.tone < 0 ? -sign : sign;
  const NotchSceneDie *die = canvas->die;
  notch_scene_to_image (canvas->scene, die->x + (rect.x0 + rect.x1) / 2, die->y + (rect.y0 + rect.y1) / 2, &x, &y);
  double half = hypot (rect.x1 - rect.x0, rect.y1 - rect.y0) / 2 + 5 * die->blur + 1;
  open_canvas (canvas, x + die->dx, y + die->dy, half, half);
  notch_scene_add_rect (canvas->scene, die, &rect, canvas->x0, canvas->y0, canvas->w, canvas->h, canvas->delta);
  return TRUE;
}

static gboolean
draw_bridge (Canvas *canvas)
{
  return draw_wire_piece (canvas, canvas->scene->layout->gap, 1, 2.5, 5);
}

static gboolean
draw_open (Canvas *canvas)
{
  return draw_wire_piece (canvas, canvas->scene->layout->wire, -1, 3, 6);
}

static const struct {
  const char *name;
  gboolean wires; /* needs conductors */
  gboolean (*draw) (Canvas *canvas);
} classes[] = {
  { "particle", FALSE, draw_particle }, { "pit", FALSE, draw_pit },  { "scratch", FALSE, draw_scratch },
  { "bridge", TRUE, draw_bridge },      { "open", TRUE, draw_open }, { "stain", FALSE, draw_stain },
};

gboolean
notch_defect_class_known (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (classes); i++)
    if (strcmp (classes[i].name, name) == 0)
      return TRUE;
  return FALSE;
}

/* Centroid, mask and peak of what a class has drawn. */
static void
measure (const Canvas *canvas, NotchPlanted *p)
{
  double sum = 0, sx = 0, sy = 0;
  float top = 0;
  int x0 = canvas->w, y0 = canvas->h, x1 = -1, y1 = -1;
  for (gsize i = 0; i < (gsize) canvas->w * (gsize) canvas->h; i++)
    top = MAX (top, fabsf (canvas->delta[i]));
  for (int j = 0; j < canvas->h; j++)
    for (int i = 0; i < canvas->w; i++) {
      double a = fabsf (canvas->delta[j * canvas->w + i]);
      sum += a, sx += a * i, sy += a * j;
      if (a >= MASK_LEVEL * top) {
        x0 = MIN (x0, i), x1 = MAX (x1, i), y0 = MIN (y0, j), y1 = MAX (y1, j);
        p->area++;
      }
    }
  p->x = (double) canvas->x0 + sx / sum;
  p->y = (double) canvas->y0 + sy / sum;
  p->box_x = canvas->x0 + x0;
  p->box_y = canvas->y0 + y0;
  p->box_w = x1 - x0 + 1;
  p->box_h = y1 - y0 + 1;
}

/* Whether two boxes are at least `apart` from each other along x or y. */
static gboolean
clear_of (double ax, double ay, const NotchPlanted *a, double bx, double by, const NotchPlanted *b, double apart)
{
  return ax + a->box_w + apart <= bx || bx + b->box_w + apart <= ax || ay + a->box_h + apart <= by
         || by + b->box_h + apart <= ay;
}

/* Whether a defect may stay: inside its cell and the image, and away from all others. */
static gboolean
has_room (const NotchScene *scene, const NotchSceneDie *die, const NotchPlanted *p)
{
  const NotchSimulation *s = scene->simulation;
  if (p->box_x < BORDER_PX || p->box_y < BORDER_PX || p->box_x + p->box_w > s->width - BORDER_PX
      || p->box_y + p->box_h > s->height - BORDER_PX)
    return FALSE;
  double u0, v0, u1, v1;
  notch_scene_to_frame (scene, (double) p->box_x, (double) p->box_y, &u0, &v0);
  notch_scene_to_frame (scene, (double) (p->box_x + p->box_w), (double) (p->box_y + p->box_h), &u1, &v1);
  if (MIN (u0, u1) < die->x + 2 || MIN (v0, v1) < die->y + 2 || MAX (u0, u1) > die->x + s->die_width - 2
      || MAX (v0, v1) > die->y + s->die_height - 2)
    return FALSE;
  double apart = MIN (APART_CELL_PX, MIN (s->die_width, s->die_height) / 16.0);
  for (guint i = 0; i < scene->planted->len; i++) {
    const NotchPlanted *q = &g_array_index (scene->planted, NotchPlanted, i);
    if (!clear_of ((double) p->box_x, (double) p->box_y, p, (double) q->box_x, (double) q->box_y, q, APART_PX))
      return FALSE;
    int cols = q->col - p->col, rows = q->row - p->row;
    if (ABS (cols) <= NEAR_DICE && ABS (rows) <= NEAR_DICE
        && !clear_of ((double) p->box_x, (double) p->box_y, p, (double) (q->box_x - cols * s->die_width),
                      (double) (q->box_y - rows * s->die_height), q, apart))
      return FALSE;
  }
  return TRUE;
}

/* Scales what was drawn to the ratio wanted. FALSE when the sensor would clip it. */
static gboolean
scale (const NotchScene *scene, const Canvas *canvas, double snr, NotchPlanted *p)
{
  gsize n = (gsize) canvas->w * (gsize) canvas->h;
  g_autofree float *clean = g_new (float, n);
  notch_scene_render (scene, canvas->x0, canvas->y0, canvas->w, canvas->h, clean);
  double energy = 0;
  for (gsize i = 0; i < n; i++)
    energy += canvas->delta[i] * (double) canvas->delta[i] / notch_scene_variance (scene->simulation, clean[i]);
  double factor = snr / sqrt (energy);
  p->snr = 0;
  p->peak = 0;
  for (gsize i = 0; i < n; i++) {
    double variance = notch_scene_variance (scene->simulation, clean[i]), grey;
    canvas->delta[i] = (float) (factor * canvas->delta[i]);
    grey = clean[i] + canvas->delta[i];
    if (grey < 3 || grey > 250)
      return FALSE;
    p->snr += canvas->delta[i] * (double) canvas->delta[i] / variance;
    if (fabs (canvas->delta[i]) > fabs (p->peak)) {
      p->peak = canvas->delta[i];
      p->sigma = sqrt (variance);
    }
  }
  p->snr = sqrt (p->snr);
  return TRUE;
}

static gboolean
plant_one (NotchScene *scene, const GArray *dice, guint class_index, NotchRandom *random)
{
  const NotchSimulation *s = scene->simulation;
  for (int try = 0; try < TRIES; try++) {
    Canvas canvas = { .scene = scene, .random = random };
    canvas.die = g_array_index (dice, const NotchSceneDie *, notch_random_below (random, (int) dice->len));
    double snr = notch_random_between (random, s->snr_min, s->snr_max);
    if (!classes[class_index].draw (&canvas))
      continue;
    g_autofree float *delta = canvas.delta;
    NotchPlanted p = { .type = classes[class_index].name, .col = canvas.die->col, .row = canvas.die->row };
    p.x0 = canvas.x0, p.y0 = canvas.y0, p.w = canvas.w, p.h = canvas.h;
    measure (&canvas, &p);
    if (!has_room (scene, canvas.die, &p) || !scale (scene, &canvas, snr, &p))
      continue;
    p.delta = g_steal_pointer (&delta);
    g_array_append_val (scene->planted, p);
    return TRUE;
  }
  return FALSE;
}

/* The classes to plant, as indices of the table. */
static GArray *
chosen_classes (const NotchScene *scene, GError **error)
{
  const NotchSimulation *s = scene->simulation;
  g_autoptr (GArray) chosen = g_array_new (FALSE, FALSE, sizeof (guint));
  g_auto (GStrv) names = s->classes ? g_strsplit (s->classes, ",", -1) : NULL;
  gboolean wires = scene->layout->wire->len > 0 && scene->layout->gap->len > 0;
  for (guint i = 0; i < G_N_ELEMENTS (classes); i++) {
    gboolean asked = names && g_strv_contains ((const char *const *) names, classes[i].name);
    if (asked && classes[i].wires && !wires)
      return g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
                          "classes has %s, but layout %s has no conductors; leave it out", classes[i].name, s->layout),
             NULL;
    if (names ? asked : wires || !classes[i].wires)
      g_array_append_val (chosen, i);
  }
  return g_steal_pointer (&chosen);
}

gboolean
notch_scene_plant (NotchScene *scene, GError **error)
{
  const NotchSimulation *s = scene->simulation;
  if (s->n_defects == 0)
    return TRUE;
  if (notch_scene_variance (s, 0) <= 0 && s->shot_noise <= 0)
    return g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
                        "defects are planted by their signal to noise ratio: read-noise and shot-noise are both 0"),
           FALSE;
  g_autoptr (GArray) chosen = chosen_classes (scene, error);
  if (!chosen)
    return FALSE;
  g_autoptr (GArray) dice = g_array_new (FALSE, FALSE, sizeof (NotchSceneDie *));
  for (gint64 k = 0; k < (gint64) scene->n_cols * scene->n_rows; k++) {
    const NotchSceneDie *die = &scene->die[k];
    if (die->present && die->whole)
      g_array_append_val (dice, die);
  }
  if (dice->len == 0)
    return g_set_error (
               error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
               "no die is whole on this image, so no defect can be planted; choose smaller dice, a larger size "
               "or 0 defects"),
           FALSE;
  NotchRandom random = notch_random_at (s->seed, NOTCH_STREAM_DEFECTS, 0, 0);
  for (int k = 0; k < s->n_defects; k++)
    if (!plant_one (scene, dice, g_array_index (chosen, guint, (guint) k % chosen->len), &random))
      return g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
                          "there is room for %d of %d defects only; ask for fewer, for a lower snr or for more dice", k,
                          s->n_defects),
             FALSE;
  return TRUE;
}
