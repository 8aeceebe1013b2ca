/* variation.c - what moves a die's pattern beside its shift, and what the wafer and the stage add */
#include "inspect/simulate/field.h"
#include "inspect/random.h"
#include "inspect/simulate/scene.h"

#define LER_ACROSS_PX 4 /* how soon edges side by side move on their own */
#define LER_SIGMAS    4 /* no edge moves further */

/* Parts of the roughness: long waves are strongest, as its power falls with the frequency. */
static const struct {
  double length, part; /* in correlation lengths; sigma */
} ler_octaves[] = { { 2, 0.84 }, { 1, 0.44 }, { 0.5, 0.32 } };

void
notch_scene_vary_die (const NotchSimulation *s, gint64 col, gint64 row, NotchSceneDie *die)
{
  NotchRandom random = notch_random_at (s->seed, NOTCH_STREAM_VARIATION, col, row);
  double n[8];
  for (int i = 0; i < 8; i += 2)
    notch_random_normals (&random, n + i);
  die->key = notch_random_next (&random);
  die->turn = s->die_rotation_mrad / 1000 * n[0];
  die->stretch = s->die_scale_ppm * 1e-6 * n[1];
  die->grow = CLAMP (s->cd * n[2], -1.5, 1.5);
  for (int i = 0; i < 4; i++)
    die->warp[i] = s->warp * n[4 + i];
}

static gboolean
swath_at (const NotchSimulation *s, gint64 x, double *dx, double *dy, double *gain)
{
  if (s->swath < 1)
    return FALSE;
  NotchRandom random = notch_random_at (s->seed, NOTCH_STREAM_SWATH, (gint64) floor ((double) x / s->swath), 0);
  double shift[2], other[2];
  notch_random_normals (&random, shift);
  notch_random_normals (&random, other);
  *dx = s->swath_shift * CLAMP (shift[0], -4, 4);
  *dy = s->swath_shift * CLAMP (shift[1], -4, 4);
  *gain = s->swath_gain * CLAMP (other[0], -3, 3);
  return TRUE;
}

gboolean
notch_scene_moves (const NotchSimulation *s)
{
  return s->die_rotation_mrad > 0 || s->die_scale_ppm > 0 || s->warp > 0 || s->ler > 0 || s->vibration > 0
         || (s->swath >= 1 && s->swath_shift > 0);
}

double
notch_scene_move_reach (const NotchScene *scene, const NotchSceneDie *die)
{
  const NotchSimulation *s = scene->simulation;
  if (!notch_scene_moves (s))
    return 0;
  double half = hypot ((double) s->die_width, (double) s->die_height) / 2 + 8, warp = 0;
  for (int i = 0; i < 4; i++)
    warp += 3 * fabs (die->warp[i]);
  return half * (fabs (die->turn) + fabs (die->stretch)) + warp + LER_SIGMAS * s->ler + s->vibration
         + (s->swath >= 1 ? 4 * s->swath_shift : 0);
}

void
notch_scene_moves_at (const NotchScene *scene, const NotchSceneDie *die, gint64 x0, gint64 y0, int w, int h,
                      gsize stride, float *mx, float *my)
{
  const NotchSimulation *s = scene->simulation;
  for (int j = 0; j < h; j++)
    for (int i = 0; i < w; i++)
      mx[(gsize) j * stride + (gsize) i] = my[(gsize) j * stride + (gsize) i] = 0;
  for (guint k = 0; s->ler > 0 && k < G_N_ELEMENTS (ler_octaves); k++) {
    double along = MAX (ler_octaves[k].length * s->ler_length, 1), sigma = s->ler * ler_octaves[k].part;
    notch_field_add (die->key + 2 * k, LER_ACROSS_PX, along, sigma, x0, y0, w, h, stride, mx);
    notch_field_add (die->key + 2 * k + 1, along, LER_ACROSS_PX, sigma, x0, y0, w, h, stride, my);
  }
  double cx, cy, half_w = (double) s->die_width / 2, half_h = (double) s->die_height / 2;
  notch_scene_to_image (scene, die->x + half_w, die->y + half_h, &cx, &cy);
  g_autofree double *swath = g_new0 (double, 2 * (gsize) w);
  for (int i = 0; i < w; i++) {
    double gain;
    swath_at (s, x0 + i, &swath[2 * i], &swath[2 * i + 1], &gain);
  }
  const double most = LER_SIGMAS * s->ler;
  for (int j = 0; j < h; j++) {
    double y = (double) (y0 + j) - cy, b = CLAMP (y / half_h, -1.2, 1.2);
    double wave = s->vibration * sin (2 * G_PI * (double) (y0 + j) / s->vibration_period);
    for (int i = 0; i < w; i++) {
      gsize at = (gsize) j * stride + (gsize) i;
      double x = (double) (x0 + i) - cx, a = CLAMP (x / half_w, -1.2, 1.2), r = a * a + b * b;
      const double *m = die->warp; /* bow along x, bow along y, trapezium, barrel */
      double dx = die->stretch * x - die->turn * y + m[0] * b * b + m[2] * a * b + m[3] * a * r;
      double dy = die->stretch * y + die->turn * x + m[1] * a * a + m[3] * b * r;
      mx[at] = (float) (dx + swath[2 * i] + wave + CLAMP (mx[at], -most, most));
      my[at] = (float) (dy + swath[2 * i + 1] + CLAMP (my[at], -most, most));
    }
  }
}

void
notch_scene_add_grain (const NotchScene *scene, gint64 x0, gint64 y0, int w, int h, float *pattern)
{
  const NotchSimulation *s = scene->simulation;
  if (s->grain == 0)
    return;
  gsize n = (gsize) w * (gsize) h;
  guint64 key = notch_random_at (s->seed, NOTCH_STREAM_GRAIN, 0, 0).state;
  double dark = scene->layout->picture ? 60 : 0; /* of a picture, only what is brighter than this is metal */
  g_autofree float *field = g_new0 (float, n);
  notch_field_add (key, 1.5, 1.5, s->grain, x0, y0, w, h, (gsize) w, field);
  for (gsize i = 0; i < n; i++)
    pattern[i] += field[i] * (float) CLAMP ((pattern[i] - dark) / 60, 0, 1);
}

void
notch_scene_stage_gains (const NotchScene *scene, gint64 x0, int w, float *gain)
{
  for (int i = 0; i < w; i++) {
    double dx, dy, more = 0;
    swath_at (scene->simulation, x0 + i, &dx, &dy, &more);
    gain[i] = (float) (1 + more);
  }
}
