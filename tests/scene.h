/* scene.h - drawn wafers for tests: one die, seen many times through optics and noise */
#pragma once

#include <glib.h>
#include <math.h>

typedef enum { SCENE_MIXED, SCENE_ARRAY, SCENE_BLANK, SCENE_TWINS, SCENE_RANDOM, SCENE_FLAT } SceneLayout;

typedef struct {
  int width, height;
  double pitch_x, pitch_y, x, y; /* px; corner of die (0, 0) */
  double angle;                  /* rad, rows towards +y */
  double jitter, noise, vignetting;
  double radius; /* px of a wafer in the middle, notch below; 0: dice everywhere */
  SceneLayout layout;
  gboolean soft; /* optics of sigma 1.0 px, not 0.7 */
  guint32 seed;
} Scene;

static double
scene_normal (GRand *rand)
{
  double u = 1 - g_rand_double (rand), v = g_rand_double (rand);
  return sqrt (-2 * log (u)) * cos (2 * G_PI * v);
}

#define SCENE_FINE 2 /* samples a px in the drawn die */

typedef struct {
  int w, h;
  float *tone;
} SceneDie;

static void
scene_rect (SceneDie *die, double x0, double y0, double x1, double y1, float tone)
{
  for (int y = MAX (0, (int) lround (y0 * SCENE_FINE)); y < MIN (die->h, (int) lround (y1 * SCENE_FINE)); y++)
    for (int x = MAX (0, (int) lround (x0 * SCENE_FINE)); x < MIN (die->w, (int) lround (x1 * SCENE_FINE)); x++)
      die->tone[(gsize) y * die->w + x] = tone;
}

static void
scene_cells (SceneDie *die, double x0, double y0, double x1, double y1, double px, double py)
{
  scene_rect (die, x0, y0, x1, y1, 70);
  for (double y = y0 + 1; y + py <= y1; y += py)
    for (double x = x0 + 1; x + px <= x1; x += px) {
      scene_rect (die, x + 0.1 * px, y + 0.1 * py, x + 0.6 * px, y + 0.5 * py, 150);
      scene_rect (die, x + 0.7 * px, y + 0.6 * py, x + 0.9 * px, y + 0.9 * py, 110);
    }
}

/* The optics: without it hard edges would be sampled at other places in every die. Four passes make a sigma of 0.7 px. */
static void
scene_blur (SceneDie *die, int passes)
{
  g_autofree float *line = g_new (float, MAX (die->w, die->h));
  for (int pass = 0; pass < passes; pass++) {
    for (int y = 0; y < die->h; y++) {
      float *q = die->tone + (gsize) y * die->w;
      for (int x = 0; x < die->w; x++)
        line[x] = 0.5f * q[x] + 0.25f * (q[MAX (x - 1, 0)] + q[MIN (x + 1, die->w - 1)]);
      for (int x = 0; x < die->w; x++)
        q[x] = line[x];
    }
    for (int x = 0; x < die->w; x++) {
      float *q = die->tone + x;
      for (int y = 0; y < die->h; y++)
        line[y] = 0.5f * q[(gsize) y * die->w]
                  + 0.25f * (q[(gsize) MAX (y - 1, 0) * die->w] + q[(gsize) MIN (y + 1, die->h - 1) * die->w]);
      for (int y = 0; y < die->h; y++)
        q[(gsize) y * die->w] = line[y];
    }
  }
}

/* A die of w x h px: a street of 6 px on each side, and inside it what the layout says. */
static SceneDie
scene_draw_die (const Scene *scene, GRand *rand)
{
  double w = scene->pitch_x, h = scene->pitch_y, s = 6;
  SceneDie die = { (int) ceil (w * SCENE_FINE) + 1, (int) ceil (h * SCENE_FINE) + 1, NULL };
  die.tone = g_new0 (float, (gsize) die.w *die.h);
  scene_rect (&die, 0, 0, w + 2, h + 2, 40);
  scene_rect (&die, s, s, w - s, h - s, 80);
  if (scene->layout == SCENE_ARRAY)
    scene_cells (&die, s + 3, s + 3, w - s - 3, h - s - 3, 9.3, 7.6);
  if (scene->layout == SCENE_TWINS) { /* two equal halves with a gap between: half the pitch nearly repeats */
    scene_cells (&die, s + 3, s + 3, w / 2 - 3, h - s - 3, 12.1, 10.3);
    scene_cells (&die, w / 2 + 3, s + 3, w - s - 3, h - s - 3, 12.1, 10.3);
  }
  if (scene->layout == SCENE_MIXED) {
    scene_cells (&die, s + 4, s + 4, w * 0.55, h * 0.6, 11.3, 8.7);
    for (int i = 0; i < 60; i++) {
      double x = g_rand_double_range (rand, s + 4, w - s - 20), y = g_rand_double_range (rand, h * 0.62, h - s - 10);
      gboolean across = g_rand_boolean (rand);
      scene_rect (&die, x, y, x + (across ? 14 : 3), y + (across ? 3 : 8), (float) g_rand_double_range (rand, 90, 190));
    }
    for (double y = s + 6; y < h * 0.55; y += 14)
      scene_rect (&die, w * 0.6, y, w - s - 6, y + 5, 160);
    scene_rect (&die, w * 0.2, 1, w * 0.28, s - 1, 90); /* a test key */
  }
  scene_blur (&die, scene->soft ? 8 : 4);
  return die;
}

/* 8-bit grey levels as floats, width x height. */
static float *
scene_draw (const Scene *scene)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (scene->seed);
  float *image = g_new (float, (gsize) scene->width * scene->height);
  SceneDie die = scene_draw_die (scene, rand);
  double c = cos (scene->angle), s = sin (scene->angle);
  double middle_x = (scene->width - 1) / 2.0, middle_y = (scene->height - 1) / 2.0;
  int side = 4 + 2 * (int) (hypot (scene->width, scene->height) / MIN (scene->pitch_x, scene->pitch_y));
  g_autofree double *shift = g_new (double, 2 * (gsize) side * (gsize) side);
  for (int i = 0; i < 2 * side * side; i++)
    shift[i] = scene->jitter * scene_normal (rand);
  for (int y = 0; y < scene->height; y++)
    for (int x = 0; x < scene->width; x++) {
      double far = hypot (x - middle_x, y - middle_y), value = 90;
      if (scene->layout == SCENE_RANDOM) /* blocks that never repeat */
        value = 40 + 30 * (((x / 23) * 2654435761u ^ (y / 17) * 40503u ^ ((x / 23) * (y / 17) * 97u)) >> 5 & 3);
      else if (scene->layout != SCENE_FLAT) {
        double u = x - scene->x, v = y - scene->y, along = c * u + s * v, down = c * v - s * u;
        int col = (int) floor (along / scene->pitch_x), row = (int) floor (down / scene->pitch_y);
        gsize k = (gsize) ((row % side + side) % side) * side + (gsize) ((col % side + side) % side);
        double px = CLAMP ((along - col * scene->pitch_x - shift[2 * k] + 0.25) * SCENE_FINE - 0.5, 0, die.w - 2);
        double py = CLAMP ((down - row * scene->pitch_y - shift[2 * k + 1] + 0.25) * SCENE_FINE - 0.5, 0, die.h - 2);
        int ix = (int) px, iy = (int) py;
        double fx = px - ix, fy = py - iy;
        const float *q = die.tone + (gsize) iy * die.w + ix;
        value = (1 - fy) * ((1 - fx) * q[0] + fx * q[1]) + fy * ((1 - fx) * q[die.w] + fx * q[die.w + 1]);
      }
      if (scene->radius > 0) {
        double edge = scene->radius - far;
        double notch = 0.008 * scene->radius - (scene->radius - (y - middle_y)) - fabs (x - middle_x);
        edge = fmin (edge, notch > -1 && y > middle_y ? -notch : edge);
        value = 12 + (value - 12) * CLAMP (edge + 0.5, 0, 1);
      }
      value *= 1 - scene->vignetting * far * far / (middle_x * middle_x + middle_y * middle_y);
      image[(gsize) y * scene->width + x] = (float) CLAMP (round (value + scene->noise * scene_normal (rand)), 0, 255);
    }
  g_free (die.tone);
  return image;
}
