/* chance.h - numbers by chance that are the same in every run, for tests of networks */
#pragma once

#include "inspect/random.h"

static NotchRandom chance;

/* From here on the numbers are those of the beginning: a test is the same, whatever ran before it. */
static inline void
begin (void)
{
  chance = notch_random_at (1, NOTCH_STREAM_NOISE, 0, 0);
}

static inline float
normal (void)
{
  double two[2];
  notch_random_normals (&chance, two);
  return (float) two[0];
}

/* n of them, to be freed. */
static inline float *
normals (gsize n)
{
  float *to = g_new (float, n);
  for (gsize i = 0; i < n; i++)
    to[i] = normal ();
  return to;
}
