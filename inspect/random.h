/* random.h - numbers by chance that depend on a seed and on where they are used, never on the order of work
 *
 * The mixing function is the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014). */
#pragma once

#include <glib.h>
#include <math.h>

/* What a stream of numbers is for: streams of one seed have nothing to do with each other. */
typedef enum {
  NOTCH_STREAM_LAYOUT = 1,
  NOTCH_STREAM_DICE,
  NOTCH_STREAM_DEFECTS,
  NOTCH_STREAM_NOISE,
  NOTCH_STREAM_VARIATION,
  NOTCH_STREAM_SWATH,
  NOTCH_STREAM_GRAIN,
  NOTCH_STREAM_COLUMNS,
  NOTCH_STREAM_REPEATERS,
  NOTCH_STREAM_CLUSTERS,
  NOTCH_STREAM_SCRATCHES,
  NOTCH_STREAM_NUISANCES,
  NOTCH_STREAM_HOT,
  NOTCH_STREAM_TEXTURE,
  NOTCH_STREAM_BOOTSTRAP,
} NotchStream;

typedef struct {
  guint64 state;
} NotchRandom;

static inline guint64
notch_random_mix (guint64 z)
{
  z = (z ^ (z >> 30)) * G_GUINT64_CONSTANT (0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * G_GUINT64_CONSTANT (0x94d049bb133111eb);
  return z ^ (z >> 31);
}

/* The generator of place (a, b) in a stream. */
static inline NotchRandom
notch_random_at (guint64 seed, NotchStream stream, gint64 a, gint64 b)
{
  guint64 z = notch_random_mix (seed + (guint64) stream * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15));
  z = notch_random_mix (z + (guint64) a * G_GUINT64_CONSTANT (0xd1342543de82ef95));
  return (NotchRandom){ notch_random_mix (z + (guint64) b * G_GUINT64_CONSTANT (0xaf251af3b0f025b5)) };
}

static inline guint64
notch_random_next (NotchRandom *r)
{
  r->state += G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);
  return notch_random_mix (r->state);
}

/* Uniform in [0, 1). */
static inline double
notch_random_unit (NotchRandom *r)
{
  return (double) (notch_random_next (r) >> 11) * 0x1p-53;
}

static inline double
notch_random_between (NotchRandom *r, double low, double high)
{
  return low + (high - low) * notch_random_unit (r);
}

/* 0 to n - 1. */
static inline int
notch_random_below (NotchRandom *r, int n)
{
  return (int) (notch_random_unit (r) * n);
}

/* Two independent normal deviates (Box and Muller 1958). In double precision, so that another C library's last bit does
 * not change what a pixel is rounded to. */
static inline void
notch_random_normals (NotchRandom *r, double to[2])
{
  double radius = sqrt (-2 * log (1 - notch_random_unit (r))), angle = 2 * G_PI * notch_random_unit (r);
  to[0] = radius * cos (angle);
  to[1] = radius * sin (angle);
}
