/* odd.c - defects of no class: any outline, any texture, anywhere, and any way of changing what is there
 *
 * What a classifier knows ends where its classes do, and nothing tells it where that is but examples of what they are not
 * (Hendrycks, Mazeika and Dietterich, ICLR 2019). So these are drawn from everything that classes are drawn from, each
 * part by itself. Some look as defects of a class do; a class is where many more of its own are. */
#include "inspect/simulate/canvas.h"
#include "inspect/simulate/field.h"

#define LEAST_PX   0.6 /* radius of a blob */
#define MOST_PX    30  /* likewise, and sides of a rectangle */
#define LEAST_SIDE 0.8 /* px: of a rectangle */

static gboolean
with_chance (const NotchCanvas *canvas, double chance)
{
  return notch_random_unit (canvas->random) < chance;
}

/* Even in the logarithm. */
static double
any_length (const NotchCanvas *canvas, double least, double most)
{
  return least * pow (most / least, notch_random_unit (canvas->random));
}

/* A blob with any axes and a wavy outline, whose rim may be soft; hollow, or not. */
static void
draw_blob (NotchCanvas *canvas)
{
  NotchRandom *r = canvas->random;
  const NotchSimulation *s = canvas->scene->simulation;
  const double least = (double) MIN (s->die_width, s->die_height), blur = canvas->die->blur;
  const double radius = any_length (canvas, LEAST_PX, CLAMP (least / 10, 2, MOST_PX));
  const double stretch = with_chance (canvas, 0.3) ? any_length (canvas, 1.2, 6) : 1;
  const double ratio = MIN (stretch, MAX (least / 6 / radius, 1)); /* of its axes */
  const double turn = notch_random_between (r, 0, G_PI), c = cos (turn), sn = sin (turn);
  const double soft = with_chance (canvas, 0.5) ? blur : any_length (canvas, blur, MAX (0.8 * radius, 1.1 * blur));
  const double wave = with_chance (canvas, 0.5) ? notch_random_between (r, 0.05, 0.4) : 0;
  const double hole = with_chance (canvas, 0.2) ? notch_random_between (r, 0.4, 1) : 0;
  const double inner = radius - MIN (any_length (canvas, 1.2, 5), radius / 2);
  const int waves = 2 + notch_random_below (r, 5);
  const double phase = notch_random_between (r, 0, 2 * G_PI);
  const double reach = ratio * (radius * (1 + wave) + 5 * soft);
  double x, y;
  notch_canvas_choose_place (canvas, reach / 2, &x, &y);
  notch_canvas_open (canvas, x, y, reach, reach);
  for (int j = 0; j < canvas->h; j++)
    for (int i = 0; i < canvas->w; i++) {
      const double dx = (double) (canvas->x0 + i) - x, dy = (double) (canvas->y0 + j) - y;
      const double u = (c * dx + sn * dy) / ratio, v = c * dy - sn * dx, d = hypot (u, v);
      const double edge = radius * (1 + wave * sin (waves * atan2 (v, u) + phase));
      const double cover = notch_scene_edge ((edge - d) / soft);
      canvas->delta[j * canvas->w + i] = (float) (cover * (1 - hole * notch_scene_edge ((inner - d) / soft)));
    }
}

/* The ends of a rectangle along an axis, beside those that a part of the pattern has: on them or anywhere near. */
static void
any_ends (const NotchCanvas *canvas, double *low, double *high)
{
  const double from = *low, width = *high - *low;
  double end[2];
  for (int i = 0; i < 2; i++) {
    const double choice = notch_random_unit (canvas->random);
    end[i] = from + width * (choice < 0.25 ? 0 : choice < 0.5 ? 1 : notch_random_between (canvas->random, -0.7, 1.7));
  }
  *low = MIN (end[0], end[1]), *high = MAX (end[0], end[1]);
}

/* A rectangle in, on or beside a conductor, what is between two, or any other part of the pattern. */
static gboolean
draw_piece (NotchCanvas *canvas)
{
  const NotchLayout *layout = canvas->scene->layout;
  NotchRandom *r = canvas->random;
  const double choice = notch_random_unit (r);
  const GArray *wires = choice < 0.35 ? layout->wire : layout->gap;
  NotchRect rect;
  if (choice < 0.7) {
    if (wires->len == 0)
      return FALSE;
    const NotchWire *wire = &g_array_index (wires, NotchWire, notch_random_below (r, (int) wires->len));
    rect = wire->rect;
    double *from = wire->along_x ? &rect.x0 : &rect.y0, *to = wire->along_x ? &rect.x1 : &rect.y1;
    const double length = any_length (canvas, 1, 14);
    *from = notch_random_between (r, *from - length / 2, *to - length / 2);
    *to = *from + length;
    any_ends (canvas, wire->along_x ? &rect.y0 : &rect.x0, wire->along_x ? &rect.y1 : &rect.x1);
  } else {
    if (layout->rect->len == 0)
      return FALSE;
    rect = g_array_index (layout->rect, NotchRect, notch_random_below (r, (int) layout->rect->len));
    any_ends (canvas, &rect.x0, &rect.x1);
    any_ends (canvas, &rect.y0, &rect.y1);
  }
  const double least = MIN (rect.x1 - rect.x0, rect.y1 - rect.y0), most = MAX (rect.x1 - rect.x0, rect.y1 - rect.y0);
  if (least < LEAST_SIDE || most > MOST_PX)
    return FALSE;
  rect.tone = 1;
  notch_canvas_draw_rect (canvas, &rect);
  return TRUE;
}

/* Makes the cover that was drawn lumpy, of lumps of any size. */
static void
add_lumps (NotchCanvas *canvas)
{
  const double cell = any_length (canvas, 1.3, MAX (canvas->w / 6.0, 2)),
               much = notch_random_between (canvas->random, 0.2, 1);
  g_autofree float *field = notch_canvas_make_field (canvas, cell, cell);
  for (int i = 0; i < canvas->w * canvas->h; i++)
    canvas->delta[i] *= MAX (1 + (float) much * field[i], 0);
}

/* Turns a cover into grey levels: added; as a film, which scales; as paint, which hides; along the pattern's edges; or
 * noise. */
static void
change (NotchCanvas *canvas)
{
  const gsize n = (gsize) canvas->w * (gsize) canvas->h;
  const double way = notch_random_unit (canvas->random), sign = with_chance (canvas, 0.5) ? 1 : -1;
  g_autofree float *clean = g_new (float, 3 * n), *field = NULL;
  float low = G_MAXFLOAT, high = -G_MAXFLOAT;
  canvas->shape = g_memdup2 (canvas->delta, n * sizeof *canvas->delta);
  notch_canvas_render_slopes (canvas, clean, clean + n, clean + 2 * n);
  for (gsize i = 0; i < n; i++)
    low = MIN (low, clean[i]), high = MAX (high, clean[i]);
  const float paint = sign > 0 ? high + 20 : low - 20;
  if (way > 0.65 && way <= 0.8)
    canvas->most = 100; /* times 1 / 100: opaque */
  if (way > 0.95)
    field = notch_canvas_make_field (canvas, 1.3, 1.3);
  if (way > 0.8 && way <= 0.95)
    canvas->least = 0.05, canvas->most = 0.5; /* px */
  for (gsize i = 0; i < n; i++)
    canvas->delta[i] *= way <= 0.5    ? (float) sign
                        : way <= 0.65 ? (float) sign * clean[i] / 100
                        : way <= 0.8  ? (paint - clean[i]) / 100
                        : way <= 0.95 ? (float) sign * hypotf (clean[n + i], clean[2 * n + i])
                                      : field[i];
}

gboolean
notch_draw_odd (NotchCanvas *canvas)
{
  if (with_chance (canvas, 0.4)) {
    if (!draw_piece (canvas))
      return FALSE;
  } else
    draw_blob (canvas);
  if (with_chance (canvas, 0.3))
    add_lumps (canvas);
  change (canvas);
  return TRUE;
}
