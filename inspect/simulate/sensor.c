/* sensor.c */
#include "inspect/simulate/sensor.h"

#include "inspect/simulate/random.h"

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
notch_sensor_expose (const NotchSimulation *simulation, const float *grey, gint64 y, gboolean noise, void *to)
{
  const NotchSimulation *s = simulation;
  double full = s->bits == 32 ? 0 : (1 << s->bits) - 1, scale = notch_sensor_scale (s->bits);
  double read = s->read_noise * s->read_noise, normal[2] = { 0, 0 };
  for (gint64 x = 0; x < s->width; x++) {
    if (noise && (x & 1) == 0) { /* two pixels share the two deviates of a pair */
      NotchRandom random = notch_random_at (s->seed, NOTCH_STREAM_NOISE, y, x >> 1);
      notch_random_normals (&random, normal);
    }
    double value = grey[x], sigma = sqrt (read + s->shot_noise * MAX (value, 0));
    value = scale * (value + sigma * normal[x & 1]);
    if (s->bits == 32)
      ((float *) to)[x] = (float) value;
    else if (s->bits == 8)
      ((guint8 *) to)[x] = (guint8) floor (CLAMP (value, 0, full) + 0.5);
    else
      ((guint16 *) to)[x] = (guint16) floor (CLAMP (value, 0, full) + 0.5);
  }
}
