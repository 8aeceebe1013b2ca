/* stages.h - what tests of stages share: a backend with one lane, and a tile to work on */
#pragma once

#include <math.h>
#include <string.h>

#include "tests/backend.h"

#define SIZE 96
#define HALO 16
#define AREA (SIZE * SIZE)

/* A backend with one device and one lane, a strip made of floats, and a tile of it that is one piece, compared with one
 * source. */
typedef struct {
  const NotchKernels *k;
  NotchDevice *device;
  NotchLane *lane;
  float *pixel;
  int width, height;
  const void **row;
  NotchPixels pixels;
  NotchStripMem *mem;
  NotchTile tile;
  NotchPiece piece;
  NotchSourceShift source;
  NotchBatch batch; /* of them */
  GRand *random;
} Bench;

static inline double
gaussian (GRand *random)
{
  double u = g_rand_double_range (random, 1e-12, 1), v = g_rand_double (random);
  return sqrt (-2 * log (u)) * cos (2 * G_PI * v);
}

static inline void
bench_open (Bench *bench, const NotchLaneSize *size, int width, int height)
{
  NotchFault fault = { 0 };
  *bench = (Bench){ .k = backend, .width = width, .height = height, .random = g_rand_new_with_seed (7) };
  bench->device = bench->k->open (0, &fault);
  g_assert_nonnull (bench->device);
  bench->lane = bench->k->lane_new (bench->device, size, &fault);
  g_assert_cmpstr (fault.text, ==, "");
  g_assert_nonnull (bench->lane);
  bench->pixel = g_new0 (float, (gsize) width *height);
  bench->row = g_new (const void *, height);
  for (int y = 0; y < height; y++)
    bench->row[y] = bench->pixel + (gsize) y * width;
  bench->pixels = (NotchPixels){ NOTCH_SAMPLE_F32, width, height, 0, height, bench->row, 0 };
  bench->mem = bench->k->strip_up (bench->device, &bench->pixels, &fault);
  g_assert_nonnull (bench->mem);
}

/* The pixels were changed: a device has a copy of them. Batches that name the strip are to be made after. */
static inline void
bench_changed (Bench *bench)
{
  NotchFault fault = { 0 };
  bench->k->strip_free (bench->mem);
  bench->mem = bench->k->strip_up (bench->device, &bench->pixels, &fault);
  g_assert_nonnull (bench->mem);
}

static inline void
bench_close (Bench *bench)
{
  bench->k->strip_free (bench->mem);
  bench->k->lane_free (bench->lane);
  bench->k->close (bench->device);
  g_free (bench->pixel);
  g_free (bench->row);
  g_rand_free (bench->random);
}

static const NotchLaneSize tile_size = {
  .batch = 1,
  .size = SIZE,
  .halo = HALO,
  .max_blobs = 64,
  .patch_side = 32,
  .max_patches = 8,
};

static inline NotchTile
tile_at (int64_t x, int64_t y)
{
  const int core = SIZE - 2 * HALO;
  return (NotchTile){ x, y, HALO, HALO, core, core, 0, 0, SIZE, SIZE, 0, 1, NULL };
}

/* Puts the tile there: its piece is all of it. */
static inline void
bench_place (Bench *bench, int64_t x, int64_t y, NotchSourceShift source)
{
  bench->tile = tile_at (x, y);
  bench->piece = (NotchPiece){ 0, 0, SIZE, SIZE, 0, 1, 0 };
  bench->source = source;
  bench->batch = (NotchBatch){ 1, &bench->tile, &bench->piece, &bench->source, { bench->mem } };
}

/* Filters of every kind and scale. */
static const NotchChannel bank[] = {
  { NOTCH_CHANNEL_BLOB, 0.8f, 0, 0, 1, 1 },    { NOTCH_CHANNEL_BLOB, 1.3f, 0, 0, 1, 1 },
  { NOTCH_CHANNEL_BLOB, 2.1f, 0, 0, 2, 1 },    { NOTCH_CHANNEL_BLOB, 4.5f, 0, 0, 4, 1 },
  { NOTCH_CHANNEL_LINE, 1.3f, 8, 0.5f, 2, 1 },
};
