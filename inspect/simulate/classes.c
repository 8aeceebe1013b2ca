/* classes.c - what defects of each class look like: one function and one row of the table each */
#include "inspect/simulate/canvas.h"
#include "inspect/simulate/field.h"

#include <string.h>

#define BORDER_PX 8    /* from the cell's border */
#define SEEN      0.05 /* of a feature's tone: less of it is not seen */
#define OPAQUE    20   /* grey levels: residue is so much brighter or darker than what it lies on */
#define EVEN      8    /* grey levels: what differs less is of one tone */

void
notch_canvas_open (NotchCanvas *canvas, double x, double y, double reach_x, double reach_y)
{
  canvas->x0 = (gint64) floor (x - reach_x);
  canvas->y0 = (gint64) floor (y - reach_y);
  canvas->w = (int) ((gint64) ceil (x + reach_x) - canvas->x0) + 1;
  canvas->h = (int) ((gint64) ceil (y + reach_y) - canvas->y0) + 1;
  canvas->delta = g_new0 (float, (gsize) canvas->w *(gsize) canvas->h);
}

void
notch_canvas_clear (NotchCanvas *canvas)
{
  g_clear_pointer (&canvas->delta, g_free);
  g_clear_pointer (&canvas->shape, g_free);
}

/* A place in the canvas's die, px in the image, `margin` away from the cell's border. */
void
notch_canvas_choose_place (NotchCanvas *canvas, double margin, double *x, double *y)
{
  const NotchSimulation *s = canvas->scene->simulation;
  double w = (double) s->die_width, h = (double) s->die_height;
  margin = MIN (margin + BORDER_PX, MIN (w, h) / 2);
  double u = canvas->die->x + notch_random_between (canvas->random, margin, w - margin);
  double v = canvas->die->y + notch_random_between (canvas->random, margin, h - margin);
  if (canvas->place)
    u = canvas->die->x + canvas->place[0], v = canvas->die->y + canvas->place[1];
  canvas->chosen[0] = u - canvas->die->x;
  canvas->chosen[1] = v - canvas->die->y;
  notch_scene_to_image (canvas->scene, u, v, x, y);
}

void
notch_canvas_add_gaussian (const NotchCanvas *canvas, double x, double y, double a, double b, double angle, double peak)
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
either_sign (const NotchCanvas *canvas)
{
  return notch_random_unit (canvas->random) < 0.5 ? -1 : 1;
}

/* Dirt: a round spot, or from 1.5 px on, half of them, a disc with a soft rim. */
static gboolean
draw_particle (NotchCanvas *canvas)
{
  double size = notch_random_between (canvas->random, 0.7, 3), sign = either_sign (canvas), x, y;
  double sigma = hypot (size, canvas->die->blur), reach = 5 * sigma;
  notch_canvas_choose_place (canvas, 2 * sigma, &x, &y);
  notch_canvas_open (canvas, x, y, reach, reach);
  if (size < 1.5 || notch_random_unit (canvas->random) < 0.5)
    notch_canvas_add_gaussian (canvas, x, y, sigma, sigma, 0, sign);
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
draw_pit (NotchCanvas *canvas)
{
  double hole = notch_random_between (canvas->random, 0, 0.6), sigma = hypot (hole, canvas->die->blur), x, y;
  notch_canvas_choose_place (canvas, 2 * sigma, &x, &y);
  notch_canvas_open (canvas, x, y, 5 * sigma, 5 * sigma);
  notch_canvas_add_gaussian (canvas, x, y, sigma, sigma, 0, -1);
  return TRUE;
}

/* An arc of constant width: Gaussians in a row, a quarter of a pixel apart, so that the sum is smooth. */
static gboolean
draw_scratch (NotchCanvas *canvas)
{
  const NotchSimulation *s = canvas->scene->simulation;
  NotchRandom *r = canvas->random;
  double most = CLAMP (0.6 * MIN (s->die_width, s->die_height), 20, 200), step = 0.25, x, y;
  double length = notch_random_between (r, 15, most), bend = notch_random_between (r, -0.8, 0.8);
  double heading = notch_random_between (r, 0, G_PI), width = notch_random_between (r, 0.6, 2);
  double sigma = hypot (width / sqrt (12), canvas->die->blur), sign = either_sign (canvas);
  double reach = length / 2 + 5 * sigma + 1;
  int n = (int) (length / step);
  notch_canvas_choose_place (canvas, 4, &x, &y);
  notch_canvas_open (canvas, x, y, reach, reach);
  for (int way = -1; way <= 1; way += 2) { /* from the middle to both ends */
    double px = x, py = y;
    for (int k = 0; k < n / 2; k++) {
      double angle = heading + bend * way * (k + 0.5) / n;
      px += way * step * cos (angle), py += way * step * sin (angle);
      notch_canvas_add_gaussian (canvas, px, py, sigma, sigma, 0, sign * step / (sigma * sqrt (2 * G_PI)));
    }
  }
  return TRUE;
}

/* A faint wide spot. */
static gboolean
draw_stain (NotchCanvas *canvas)
{
  const NotchSimulation *s = canvas->scene->simulation;
  double most = CLAMP (MIN (s->die_width, s->die_height) / 20.0, 3, 12), x, y;
  double a = notch_random_between (canvas->random, MIN (5, most / 2), most), sign = either_sign (canvas);
  double b = MAX (a * notch_random_between (canvas->random, 0.7, 1), MIN (5, most / 2));
  notch_canvas_choose_place (canvas, 2 * a, &x, &y);
  notch_canvas_open (canvas, x, y, 5 * a, 5 * a);
  notch_canvas_add_gaussian (canvas, x, y, a, b, notch_random_between (canvas->random, 0, G_PI), sign);
  return TRUE;
}

/* Opens the canvas around a rectangle of the cell and draws it, shifted and blurred as its die. */
void
notch_canvas_draw_rect (NotchCanvas *canvas, const NotchRect *rect)
{
  const NotchSceneDie *die = canvas->die;
  double x, y, half = hypot (rect->x1 - rect->x0, rect->y1 - rect->y0) / 2 + 5 * die->blur + 1;
  half += notch_scene_move_reach (canvas->scene, die);
  notch_scene_to_image (canvas->scene, die->x + (rect->x0 + rect->x1) / 2, die->y + (rect->y0 + rect->y1) / 2, &x, &y);
  notch_canvas_open (canvas, x + die->dx, y + die->dy, half, half);
  notch_scene_add_rect (canvas->scene, die, rect, canvas->x0, canvas->y0, canvas->w, canvas->h, canvas->delta);
}

/* A piece of a conductor, or of the space between two, that is not as it should be. A `part` of less than 1 is at one
 * side only. */
static gboolean
draw_wire_piece (NotchCanvas *canvas, const GArray *wires, double sign, double least, double most, double part)
{
  NotchRandom *r = canvas->random;
  const NotchWire *wire = &g_array_index (wires, NotchWire, notch_random_below (r, (int) wires->len));
  NotchRect rect = wire->rect;
  double *from = wire->along_x ? &rect.x0 : &rect.y0, *to = wire->along_x ? &rect.x1 : &rect.y1;
  double length = notch_random_between (r, least, most);
  if (*to - *from < length + 4)
    return FALSE;
  *from = notch_random_between (r, *from + 2, *to - 2 - length);
  *to = *from + length;
  rect.tone = rect.tone < 0 ? -sign : sign;
  if (part < 1) {
    double *low = wire->along_x ? &rect.y0 : &rect.x0, *high = wire->along_x ? &rect.y1 : &rect.x1;
    double depth = part * (*high - *low);
    if (notch_random_unit (r) < 0.5)
      *high = *low + depth;
    else
      *low = *high - depth;
  }
  notch_canvas_draw_rect (canvas, &rect);
  return TRUE;
}

static gboolean
draw_bridge (NotchCanvas *canvas)
{
  return draw_wire_piece (canvas, canvas->scene->layout->gap, 1, 2.5, 5, 1);
}

static gboolean
draw_open (NotchCanvas *canvas)
{
  return draw_wire_piece (canvas, canvas->scene->layout->wire, -1, 3, 6, 1);
}

/* A bite out of one side of a conductor, and a thorn on it. */
static gboolean
draw_mousebite (NotchCanvas *canvas)
{
  return draw_wire_piece (canvas, canvas->scene->layout->wire, -1, 2.5, 5, 0.5);
}

static gboolean
draw_spur (NotchCanvas *canvas)
{
  return draw_wire_piece (canvas, canvas->scene->layout->gap, 1, 2, 4, 0.5);
}

/* A contact, a via or the like: small on both sides. */
static gboolean
is_feature (const NotchRect *rect)
{
  double w = rect->x1 - rect->x0, h = rect->y1 - rect->y0;
  return MIN (w, h) >= 1.5 && MAX (w, h) <= 14 && fabs (rect->tone) >= 10;
}

static gboolean
choose_feature (const NotchCanvas *canvas, NotchRect *feature)
{
  const GArray *rects = canvas->scene->layout->rect;
  *feature = g_array_index (rects, NotchRect, notch_random_below (canvas->random, (int) rects->len));
  return is_feature (feature);
}

/* A feature that is not there. */
static gboolean
draw_missing (NotchCanvas *canvas)
{
  NotchRect rect;
  if (!choose_feature (canvas, &rect))
    return FALSE;
  rect.tone = rect.tone < 0 ? 1 : -1;
  notch_canvas_draw_rect (canvas, &rect);
  return TRUE;
}

/* Whether all that is seen of what was drawn lies on one tone: what touches a feature is a part of that. */
static gboolean
is_apart (const NotchCanvas *canvas)
{
  gsize n = (gsize) canvas->w * (gsize) canvas->h;
  g_autofree float *clean = g_new (float, n);
  float low = G_MAXFLOAT, high = -G_MAXFLOAT;
  notch_scene_render (canvas->scene, canvas->x0, canvas->y0, canvas->w, canvas->h, clean);
  for (gsize i = 0; i < n; i++)
    if (fabsf (canvas->delta[i]) > SEEN)
      low = MIN (low, clean[i]), high = MAX (high, clean[i]);
  return high - low < EVEN;
}

/* A feature where none should be, apart from others. */
static gboolean
draw_extra (NotchCanvas *canvas)
{
  const NotchSimulation *s = canvas->scene->simulation;
  NotchRect rect;
  if (!choose_feature (canvas, &rect))
    return FALSE;
  double w = rect.x1 - rect.x0, h = rect.y1 - rect.y0, margin = BORDER_PX + MAX (w, h);
  rect.x0 = notch_random_between (canvas->random, margin, (double) s->die_width - margin);
  rect.y0 = notch_random_between (canvas->random, margin, (double) s->die_height - margin);
  rect.x1 = rect.x0 + w, rect.y1 = rect.y0 + h;
  rect.tone = rect.tone < 0 ? -1 : 1;
  notch_canvas_draw_rect (canvas, &rect);
  return is_apart (canvas);
}

/* ---- patches ----------------------------------------------------------------------------------------------------- */

/* A radius between two, but no more than a part of the die. */
static double
choose_radius (const NotchCanvas *canvas, double least, double most, double part)
{
  const NotchSimulation *s = canvas->scene->simulation;
  double top = CLAMP (part * (double) MIN (s->die_width, s->die_height), 3, most), low = MIN (least, top / 2);
  return low * pow (top / low, notch_random_unit (canvas->random));
}

/* Smooth noise of sigma 1 on the canvas, another one each time. */
float *
notch_canvas_make_field (const NotchCanvas *canvas, double cell_x, double cell_y)
{
  float *field = g_new0 (float, (gsize) canvas->w *(gsize) canvas->h);
  notch_field_add (notch_random_next (canvas->random), MAX (cell_x, 1), MAX (cell_y, 1), 1, 0, 0, canvas->w, canvas->h,
                   (gsize) canvas->w, field);
  return field;
}

/* Distance of a pixel of the canvas from a place. */
static double
distance (const NotchCanvas *canvas, int i, int j, double x, double y)
{
  return hypot ((double) (canvas->x0 + i) - x, (double) (canvas->y0 + j) - y);
}

/* A window that is 1 inside a radius and ends softly; the mask of what has no outline of its own. */
static void
open_patch (NotchCanvas *canvas, double radius)
{
  double x, y, soft = MAX (radius / 6, 1);
  notch_canvas_choose_place (canvas, radius + 3 * soft, &x, &y);
  notch_canvas_open (canvas, x, y, radius + 5 * soft, radius + 5 * soft);
  canvas->shape = g_new (float, (gsize) canvas->w *(gsize) canvas->h);
  for (int j = 0; j < canvas->h; j++)
    for (int i = 0; i < canvas->w; i++)
      canvas->shape[j * canvas->w + i] = (float) notch_scene_edge ((radius - distance (canvas, i, j, x, y)) / soft);
}

/* What is there without the defect, and how it rises a px along x and y. */
void
notch_canvas_render_slopes (const NotchCanvas *canvas, float *clean, float *along_x, float *along_y)
{
  int w = canvas->w, h = canvas->h, stride = w + 2;
  g_autofree float *wide = g_new (float, (gsize) stride *(gsize) (h + 2));
  notch_scene_render (canvas->scene, canvas->x0 - 1, canvas->y0 - 1, stride, h + 2, wide);
  for (int j = 0; j < h; j++)
    for (int i = 0; i < w; i++) {
      const float *at = wide + (j + 1) * stride + i + 1;
      clean[j * w + i] = *at;
      along_x[j * w + i] = (at[1] - at[-1]) / 2;
      along_y[j * w + i] = (at[stride] - at[-stride]) / 2;
    }
}

/* Edges of a patch are further out, or further in: to first order their way times the slope. */
static gboolean
draw_cd (NotchCanvas *canvas)
{
  double sign = either_sign (canvas);
  open_patch (canvas, choose_radius (canvas, 5, 40, 0.15));
  gsize n = (gsize) canvas->w * (gsize) canvas->h;
  g_autofree float *slopes = g_new (float, 3 * n);
  notch_canvas_render_slopes (canvas, slopes, slopes + n, slopes + 2 * n);
  for (gsize i = 0; i < n; i++)
    canvas->delta[i] = (float) sign * canvas->shape[i] * hypotf (slopes[n + i], slopes[2 * n + i]);
  canvas->least = 0.05, canvas->most = 0.5; /* px */
  return TRUE;
}

/* A cloud of scatterers too small to be seen one by one: more noise than elsewhere. */
static gboolean
draw_haze (NotchCanvas *canvas)
{
  open_patch (canvas, choose_radius (canvas, 10, 40, 0.12));
  g_autofree float *field = notch_canvas_make_field (canvas, 1.3, 1.3);
  for (int i = 0; i < canvas->w * canvas->h; i++)
    canvas->delta[i] = canvas->shape[i] * field[i];
  return TRUE;
}

/* Material that hides the pattern below it, as far as it is opaque: brighter than all of it or darker, with lumps and a
 * ragged outline, which the optics blur. */
static gboolean
draw_residue (NotchCanvas *canvas)
{
  double a = choose_radius (canvas, 4, 12, 0.05), sign = either_sign (canvas), x, y;
  notch_canvas_choose_place (canvas, 2 * a, &x, &y);
  notch_canvas_open (canvas, x, y, 3.5 * a, 3.5 * a);
  int w = canvas->w, h = canvas->h;
  gsize n = (gsize) w * (gsize) h;
  g_autofree float *clean = g_new (float, n), *level = notch_canvas_make_field (canvas, 0.8 * a, 0.8 * a);
  g_autofree float *fine = notch_canvas_make_field (canvas, 0.35 * a, 0.35 * a);
  notch_scene_render (canvas->scene, canvas->x0, canvas->y0, w, h, clean);
  float low = clean[0], high = clean[0];
  for (int j = 0; j < h; j++)
    for (int i = 0; i < w; i++) {
      double r = distance (canvas, i, j, x, y) / a;
      float *at = level + j * w + i;
      *at = (float) exp (-r * r / 2) * (1 + 0.45F * *at + 0.25F * fine[j * w + i]) - 0.5F;
      low = MIN (low, clean[j * w + i]), high = MAX (high, clean[j * w + i]);
    }
  double grey = sign > 0 ? high + OPAQUE : low - OPAQUE;
  canvas->shape = g_new0 (float, n);
  canvas->most = 100; /* times 1 / 100: opaque */
  for (int j = 1; j + 1 < h; j++)
    for (int i = 1; i + 1 < w; i++) {
      const float *at = level + j * w + i;
      double slope = hypot (at[1] - at[-1], at[w] - at[-w]) / 2; /* a px: the level over it is the way to the outline */
      float cover = (float) notch_scene_edge (*at / (slope * canvas->die->blur + 1e-6));
      canvas->shape[j * w + i] = cover;
      canvas->delta[j * w + i] = cover * (float) (grey - clean[j * w + i]) / 100;
    }
  return TRUE;
}

/* What a drop leaves that dried: a rim, and less inside. */
static gboolean
draw_ring (NotchCanvas *canvas)
{
  double radius = choose_radius (canvas, 8, 30, 0.08), width = notch_random_between (canvas->random, 1.2, 2.2);
  double sign = either_sign (canvas), reach = radius + 5 * width, x, y;
  notch_canvas_choose_place (canvas, radius + 2 * width, &x, &y);
  notch_canvas_open (canvas, x, y, reach, reach);
  g_autofree float *field = notch_canvas_make_field (canvas, radius, radius);
  for (int j = 0; j < canvas->h; j++)
    for (int i = 0; i < canvas->w; i++) {
      double r = distance (canvas, i, j, x, y), t = (r - radius) / width;
      double rim = exp (-t * t / 2) * (1 + 0.2 * field[j * canvas->w + i]);
      canvas->delta[j * canvas->w + i] = (float) (sign * (rim + 0.15 * notch_scene_edge (-t)));
    }
  return TRUE;
}

/* A film of another thickness, with a wavy outline: the pattern below gets brighter or darker by a factor. */
static gboolean
draw_discoloration (NotchCanvas *canvas)
{
  double radius = choose_radius (canvas, 8, 40, 0.12), sign = either_sign (canvas), x, y, reach = 1.6 * radius + 12;
  notch_canvas_choose_place (canvas, 1.3 * radius, &x, &y);
  notch_canvas_open (canvas, x, y, reach, reach);
  gsize n = (gsize) canvas->w * (gsize) canvas->h;
  g_autofree float *field = notch_canvas_make_field (canvas, radius, radius);
  canvas->shape = g_new (float, n);
  notch_scene_render (canvas->scene, canvas->x0, canvas->y0, canvas->w, canvas->h, canvas->delta);
  for (int j = 0; j < canvas->h; j++)
    for (int i = 0; i < canvas->w; i++) {
      gsize at = (gsize) (j * canvas->w + i);
      double edge = radius * (1 + 0.12 * CLAMP (field[at], -3, 3));
      canvas->shape[at] = (float) notch_scene_edge ((edge - distance (canvas, i, j, x, y)) / 2.5);
      canvas->delta[at] *= (float) sign * canvas->shape[at] / 100;
    }
  return TRUE;
}

/* A piece that broke out at the die's edge: straight on the side of the street, ragged inside. */
static gboolean
draw_chip (NotchCanvas *canvas)
{
  const NotchSimulation *s = canvas->scene->simulation;
  const NotchSceneDie *die = canvas->die;
  NotchRandom *r = canvas->random;
  double least = (double) MIN (s->die_width, s->die_height), depth = MIN (notch_random_between (r, 3, 10), least / 12);
  double half = depth * notch_random_between (r, 0.8, 1.6), w = (double) s->die_width, h = (double) s->die_height;
  double inset = canvas->scene->layout->street;
  int side = notch_random_below (r, 4); /* left, top, right, bottom */
  double at = notch_random_between (r, half + inset + 4, (side & 1 ? w : h) - half - inset - 4);
  double edge = side == 0 || side == 1 ? inset : (side == 2 ? w : h) - inset, x, y;
  double u = side & 1 ? at : edge, v = side & 1 ? edge : at, reach = MAX (half, depth) + 6 * die->blur + 2;
  notch_scene_to_image (canvas->scene, die->x + u, die->y + v, &x, &y);
  notch_canvas_open (canvas, x + die->dx, y + die->dy, reach, reach);
  g_autofree float *field = notch_canvas_make_field (canvas, 3, 3);
  for (int j = 0; j < canvas->h; j++)
    for (int i = 0; i < canvas->w; i++) {
      double pu, pv;
      notch_scene_to_frame (canvas->scene, (double) (canvas->x0 + i) - die->dx, (double) (canvas->y0 + j) - die->dy,
                            &pu, &pv);
      pu -= die->x, pv -= die->y;
      double along = (side & 1 ? pu : pv) - at, inside = (side & 1 ? pv : pu) - edge;
      inside = side < 2 ? inside : -inside;
      double t = along / half, ragged = depth * (1 - t * t) + 0.7 * field[j * canvas->w + i];
      double cut = notch_scene_edge (inside / die->blur) * notch_scene_edge ((ragged - inside) / die->blur);
      canvas->delta[j * canvas->w + i] = (float) -cut;
    }
  return TRUE;
}

/* ---- nuisances: real differences that hurt no chip ---------------------------------------------------------------- */

/* Edges rougher than elsewhere. */
static gboolean
draw_rough (NotchCanvas *canvas)
{
  const double across = 3, along = 30;
  open_patch (canvas, choose_radius (canvas, 12, 40, 0.12));
  gsize n = (gsize) canvas->w * (gsize) canvas->h;
  g_autofree float *slopes = g_new (float, 3 * n), *way_x = notch_canvas_make_field (canvas, across, along);
  g_autofree float *way_y = notch_canvas_make_field (canvas, along, across);
  notch_canvas_render_slopes (canvas, slopes, slopes + n, slopes + 2 * n);
  for (gsize i = 0; i < n; i++)
    canvas->delta[i] = -canvas->shape[i] * (way_x[i] * slopes[n + i] + way_y[i] * slopes[2 * n + i]);
  canvas->most = 0.5; /* px */
  return TRUE;
}

/* Coarse texture of metal. */
static gboolean
draw_grain (NotchCanvas *canvas)
{
  open_patch (canvas, choose_radius (canvas, 12, 40, 0.12));
  gsize n = (gsize) canvas->w * (gsize) canvas->h;
  g_autofree float *clean = g_new (float, n), *field = notch_canvas_make_field (canvas, 2, 2);
  notch_scene_render (canvas->scene, canvas->x0, canvas->y0, canvas->w, canvas->h, clean);
  for (gsize i = 0; i < n; i++)
    canvas->delta[i] = canvas->shape[i] * field[i] * CLAMP ((clean[i] - 70) / 40, 0, 1);
  return TRUE;
}

/* A film a little thicker or thinner: pattern and all gets brighter or darker, smoothly. */
static gboolean
draw_colour (NotchCanvas *canvas)
{
  double radius = choose_radius (canvas, 30, 120, 0.1), sign = either_sign (canvas), x, y;
  notch_canvas_choose_place (canvas, 1.5 * radius, &x, &y);
  notch_canvas_open (canvas, x, y, 2.5 * radius, 2.5 * radius);
  gsize n = (gsize) canvas->w * (gsize) canvas->h;
  g_autofree float *clean = g_new (float, n);
  notch_scene_render (canvas->scene, canvas->x0, canvas->y0, canvas->w, canvas->h, clean);
  notch_canvas_add_gaussian (canvas, x, y, radius / 2, radius / 2, 0, sign / 100);
  for (gsize i = 0; i < n; i++)
    canvas->delta[i] *= clean[i];
  return TRUE;
}

/* Lines of the layer below that shine through, out of focus. */
static gboolean
draw_layer (NotchCanvas *canvas)
{
  double radius = choose_radius (canvas, 12, 40, 0.12), pitch = notch_random_between (canvas->random, 8, 14);
  gboolean along_x = notch_random_unit (canvas->random) < 0.5;
  open_patch (canvas, radius);
  for (int j = 0; j < canvas->h; j++)
    for (int i = 0; i < canvas->w; i++)
      canvas->delta[j * canvas->w + i] =
          canvas->shape[j * canvas->w + i] * (float) cos (2 * G_PI * (along_x ? j : i) / pitch);
  return TRUE;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static const NotchDefectClass classes[] = {
  { "particle", NOTCH_CLASS_BASIC, NOTCH_NEEDS_NOTHING, draw_particle },
  { "pit", NOTCH_CLASS_BASIC, NOTCH_NEEDS_NOTHING, draw_pit },
  { "scratch", NOTCH_CLASS_BASIC, NOTCH_NEEDS_NOTHING, draw_scratch },
  { "bridge", NOTCH_CLASS_BASIC, NOTCH_NEEDS_WIRES, draw_bridge },
  { "open", NOTCH_CLASS_BASIC, NOTCH_NEEDS_WIRES, draw_open },
  { "stain", NOTCH_CLASS_BASIC, NOTCH_NEEDS_NOTHING, draw_stain },
  { "mousebite", NOTCH_CLASS_FURTHER, NOTCH_NEEDS_WIRES, draw_mousebite },
  { "spur", NOTCH_CLASS_FURTHER, NOTCH_NEEDS_WIRES, draw_spur },
  { "missing", NOTCH_CLASS_FURTHER, NOTCH_NEEDS_FEATURES, draw_missing },
  { "extra", NOTCH_CLASS_FURTHER, NOTCH_NEEDS_FEATURES, draw_extra },
  { "residue", NOTCH_CLASS_FURTHER, NOTCH_NEEDS_NOTHING, draw_residue },
  { "haze", NOTCH_CLASS_FURTHER, NOTCH_NEEDS_NOTHING, draw_haze },
  { "chip", NOTCH_CLASS_FURTHER, NOTCH_NEEDS_NOTHING, draw_chip },
  { "cd", NOTCH_CLASS_FURTHER, NOTCH_NEEDS_PATTERN, draw_cd },
  { "ring", NOTCH_CLASS_FURTHER, NOTCH_NEEDS_NOTHING, draw_ring },
  { "discoloration", NOTCH_CLASS_FURTHER, NOTCH_NEEDS_NOTHING, draw_discoloration },
  { "ler", NOTCH_CLASS_NUISANCE, NOTCH_NEEDS_PATTERN, draw_rough },
  { "grain", NOTCH_CLASS_NUISANCE, NOTCH_NEEDS_PATTERN, draw_grain },
  { "colour", NOTCH_CLASS_NUISANCE, NOTCH_NEEDS_NOTHING, draw_colour },
  { "layer", NOTCH_CLASS_NUISANCE, NOTCH_NEEDS_NOTHING, draw_layer },
  { "odd", NOTCH_CLASS_NONE, NOTCH_NEEDS_NOTHING, notch_draw_odd },
};

const NotchDefectClass *
notch_defect_class (guint index)
{
  return index < G_N_ELEMENTS (classes) ? &classes[index] : NULL;
}

gboolean
notch_defect_class_fits (const NotchDefectClass *class, const NotchLayout *layout)
{
  gboolean features = FALSE;
  for (guint i = 0; class->need == NOTCH_NEEDS_FEATURES && i < layout->rect->len && !features; i++)
    features = is_feature (&g_array_index (layout->rect, NotchRect, i));
  switch (class->need) {
  case NOTCH_NEEDS_WIRES:
    return layout->wire->len > 0 && layout->gap->len > 0;
  case NOTCH_NEEDS_FEATURES:
    return features;
  case NOTCH_NEEDS_PATTERN:
    return layout->rect->len > 0 || layout->picture;
  case NOTCH_NEEDS_NOTHING:
    break;
  }
  return TRUE;
}

char *
notch_defect_class_names (void)
{
  GString *names = g_string_new (NULL);
  for (guint i = 0; i < G_N_ELEMENTS (classes) && classes[i].kind != NOTCH_CLASS_NUISANCE; i++)
    g_string_append_printf (names, "%s%s", i > 0 ? "," : "", classes[i].name);
  return g_string_free (names, FALSE);
}

gboolean
notch_defect_class_known (const char *name)
{
  gboolean known = strcmp (name, "all") == 0;
  for (guint i = 0; i < G_N_ELEMENTS (classes) && !known; i++)
    known = classes[i].kind != NOTCH_CLASS_NUISANCE && strcmp (classes[i].name, name) == 0;
  return known;
}
