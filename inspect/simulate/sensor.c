/* sensor.c */
#include "inspect/simulate/sensor.h"

#include "inspect/random.h"
#include "inspect/simulate/scene.h"

/* Rec. 709 weights of the luminance, and how much of the light each channel gets: a warm film whose luminance is the
 * grey level. */
static const double weight[3] = { 0.2126, 0.7152, 0.0722 };
#define RED_LIGHT  1.12
#define BLUE_LIGHT 0.8

/* Light of a channel at `waves` of the film's fringes, which shift colour from blue to red. */
static double
channel_light (int channel, double waves)
{
  double light[3] = { RED_LIGHT + waves, 0, BLUE_LIGHT - waves };
  light[1] = (1 - weight[0] * light[0] - weight[2] * light[2]) / weight[1];
  return light[channel];
}

NotchSample
notch_sensor_sample (int bits)
{
  return bits == 8 ? NOTCH_SAMPLE_U8 : bits == 32 ? NOTCH_SAMPLE_F32 : NOTCH_SAMPLE_U16;
}

double
notch_sensor_scale (int bits)
{
  return bits == 32 ? 1 : ((1 << bits) - 1) / 255.0;
}

void
notch_sensor_noise (const NotchSimulation *s, double *a, double *b)
{
  double scale = notch_sensor_scale (s->bits), rounding = s->bits == 32 ? 0 : 1 / 12.0, squares = 1, light = 1;
  if (s->channels == 3) {
    squares = light = 0;
    for (int c = 0; c < 3; c++) {
      squares += weight[c] * weight[c];
      light += weight[c] * weight[c] * channel_light (c, 0);
    }
  }
  *a = squares * (scale * scale * s->read_noise * s->read_noise + rounding);
  if (s->channels == 3)
    *a += rounding; /* the luminance is rounded again */
  *b = light * scale * s->shot_noise;
}

double
notch_scene_variance (const NotchSimulation *simulation, double grey)
{
  double a, b, scale = notch_sensor_scale (simulation->bits);
  notch_sensor_noise (simulation, &a, &b);
  return (a + b * scale * MAX (grey, 0)) / (scale * scale);
}

/* What the camera's columns make of a row of light: gain and offset, the same in every row, and in every swath, for it
 * is the same camera. */
static void
add_columns (const NotchSimulation *s, int channel, float *light)
{
  gint64 width = s->swath >= 1 ? (gint64) s->swath : s->width;
  for (gint64 x = 0; x < s->width; x++) {
    NotchRandom random = notch_random_at (s->seed, NOTCH_STREAM_COLUMNS, x % width, channel);
    double normal[2];
    notch_random_normals (&random, normal);
    light[x] = (float) (light[x] * (1 + s->prnu * normal[0]) + s->column_offset * normal[1]);
  }
}

static void
expose_channel (const NotchSimulation *s, const float *light, gint64 y, int channel, gboolean noise, void *to)
{
  double full = s->bits == 32 ? 0 : (1 << s->bits) - 1, scale = notch_sensor_scale (s->bits);
  double read = s->read_noise * s->read_noise, normal[2] = { 0, 0 };
  for (gint64 x = 0; x < s->width; x++) {
    if (noise && (x & 1) == 0) { /* two pixels share the two deviates of a pair */
      NotchRandom random = notch_random_at (s->seed, NOTCH_STREAM_NOISE, y, (x >> 1) + ((gint64) channel << 32));
      notch_random_normals (&random, normal);
    }
    double value = light[x], sigma = sqrt (read + s->shot_noise * MAX (value, 0));
    value += sigma * normal[x & 1];
    value = scale * (s->saturation < 255 ? MIN (value, s->saturation) : value);
    gint64 at = x * s->channels + channel;
    if (s->bits == 32)
      ((float *) to)[at] = (float) value;
    else if (s->bits == 8)
      ((guint8 *) to)[at] = (guint8) floor (CLAMP (value, 0, full) + 0.5);
    else
      ((guint16 *) to)[at] = (guint16) floor (CLAMP (value, 0, full) + 0.5);
  }
}

void
notch_sensor_expose (const NotchSimulation *s, const float *grey, gint64 y, gboolean noise, void *to)
{
  g_autofree float *light = g_new (float, s->width);
  double cx = (double) (s->width - 1) / 2, cy = (double) (s->height - 1) / 2;
  double rim = s->wafer ? notch_scene_wafer_radius (s) : hypot (cx, cy);
  for (int c = 0; c < s->channels; c++) {
    for (gint64 x = 0; x < s->width; x++) {
      double waves = s->film > 0 ? s->film * sin (2 * G_PI * hypot ((double) x - cx, (double) y - cy) / rim) : 0;
      light[x] = s->channels == 3 ? (float) (grey[x] * channel_light (c, waves)) : grey[x];
    }
    if (s->prnu > 0 || s->column_offset > 0)
      add_columns (s, c, light);
    expose_channel (s, light, y, c, noise, to);
  }
}
