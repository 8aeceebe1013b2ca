/* augment.c - the table of what may be done to a patch */
#include "inspect/classify/augment.h"

#include <string.h>

/* Moves an image by (dx, dy) px, interpolated linearly; its edge is repeated. */
static void
move (NotchPatchPair *pair, float *image, double dx, double dy)
{
  int side = pair->side;
  memcpy (pair->scratch, image, (gsize) side * (gsize) side * sizeof *image);
  int left = (int) floor (dx), up = (int) floor (dy);
  float fx = (float) (dx - left), fy = (float) (dy - up);
  for (int y = 0; y < side; y++) {
    const float *row = pair->scratch + CLAMP (y + up, 0, side - 1) * side;
    const float *next = pair->scratch + CLAMP (y + up + 1, 0, side - 1) * side;
    for (int x = 0; x < side; x++) {
      int x0 = CLAMP (x + left, 0, side - 1), x1 = CLAMP (x + left + 1, 0, side - 1);
      image[y * side + x] = (1 - fy) * ((1 - fx) * row[x0] + fx * row[x1]) + fy * ((1 - fx) * next[x0] + fx * next[x1]);
    }
  }
}

static void
shift (NotchPatchPair *pair, NotchRandom *random)
{
  double dx = notch_random_between (random, -2, 2), dy = notch_random_between (random, -2, 2);
  move (pair, pair->test, dx, dy);
  move (pair, pair->reference, dx, dy);
}

static void
misregister (NotchPatchPair *pair, NotchRandom *random)
{
  double dx = notch_random_between (random, -0.1, 0.1);
  move (pair, pair->reference, dx, notch_random_between (random, -0.1, 0.1));
}

/* Pixel (x, y) becomes what (y, x) was, or what (side - 1 - x, y) was. */
static void
transpose (float *image, int side)
{
  for (int y = 0; y < side; y++)
    for (int x = 0; x < y; x++) {
      float swap = image[y * side + x];
      image[y * side + x] = image[x * side + y], image[x * side + y] = swap;
    }
}

static void
reverse_rows (float *image, int side)
{
  for (int y = 0; y < side; y++)
    for (int x = 0; x < side / 2; x++) {
      float swap = image[y * side + x];
      image[y * side + x] = image[y * side + side - 1 - x], image[y * side + side - 1 - x] = swap;
    }
}

static void
mirror_pair (NotchPatchPair *pair)
{
  reverse_rows (pair->test, pair->side);
  reverse_rows (pair->reference, pair->side);
}

static void
turn_pair (NotchPatchPair *pair, int quarters)
{
  for (; quarters > 0; quarters--) {
    transpose (pair->test, pair->side), reverse_rows (pair->test, pair->side);
    transpose (pair->reference, pair->side), reverse_rows (pair->reference, pair->side);
  }
}

void
notch_view (NotchPatchPair *pair, int way)
{
  if (way & 4)
    mirror_pair (pair);
  turn_pair (pair, way & 3);
}

static void
mirror (NotchPatchPair *pair, NotchRandom *random)
{
  if (notch_random_below (random, 2))
    mirror_pair (pair);
}

static void
turn (NotchPatchPair *pair, NotchRandom *random)
{
  turn_pair (pair, notch_random_below (random, 4));
}

static void
gain (NotchPatchPair *pair, NotchRandom *random)
{
  int n = pair->side * pair->side;
  float factor = (float) notch_random_between (random, 0.97, 1.03);
  double sum = 0;
  for (int i = 0; i < n; i++)
    sum += (double) pair->test[i];
  float mean = (float) (sum / n);
  for (int i = 0; i < n; i++)
    pair->test[i] = mean + factor * (pair->test[i] - mean);
}

static void
offset (NotchPatchPair *pair, NotchRandom *random)
{
  float by = (float) (pair->noise * notch_random_between (random, -0.5, 0.5));
  for (int i = 0; i < pair->side * pair->side; i++)
    pair->test[i] += by;
}

/* Of [v/2, 1 - v, v/2] along rows and columns, whose variance is v px squared. */
static void
blur (NotchPatchPair *pair, float *image, double variance)
{
  int side = pair->side;
  float far = (float) (variance / 2), near = (float) (1 - variance);
  for (int along = 0; along < 2; along++) {
    int step = along ? side : 1, across = along ? 1 : side;
    memcpy (pair->scratch, image, (gsize) side * (gsize) side * sizeof *image);
    for (int j = 0; j < side; j++)
      for (int i = 0; i < side; i++) {
        const float *line = pair->scratch + j * across;
        image[j * across + i * step] =
            near * line[i * step] + far * (line[MAX (i - 1, 0) * step] + line[MIN (i + 1, side - 1) * step]);
      }
  }
}

static void
defocus (NotchPatchPair *pair, NotchRandom *random)
{
  double variance = notch_random_between (random, 0, 0.45), test = notch_random_between (random, 0, 0.05);
  blur (pair, pair->test, variance + test);
  blur (pair, pair->reference, variance + notch_random_between (random, 0, 0.05));
}

static void
noise (NotchPatchPair *pair, NotchRandom *random)
{
  double sigma = pair->noise * notch_random_unit (random), normal[2] = { 0 };
  for (int i = 0; i < pair->side * pair->side; i++) {
    if (i % 2 == 0)
      notch_random_normals (random, normal);
    pair->test[i] += (float) (sigma * normal[i % 2]);
  }
}

static void
flip (NotchPatchPair *pair, NotchRandom *random)
{
  const double rate = notch_random_between (random, 0, 0.04);
  for (int i = 0; i < pair->side * pair->side; i++)
    if (notch_random_unit (random) < rate)
      pair->test[i] = 1 - pair->test[i];
}

static const struct {
  NotchAugment bit;
  void (*change) (NotchPatchPair *, NotchRandom *);
} way[] = {
  { NOTCH_AUGMENT_SHIFT, shift },   { NOTCH_AUGMENT_REGISTER, misregister }, { NOTCH_AUGMENT_MIRROR, mirror },
  { NOTCH_AUGMENT_TURN, turn },     { NOTCH_AUGMENT_DEFOCUS, defocus },      { NOTCH_AUGMENT_GAIN, gain },
  { NOTCH_AUGMENT_OFFSET, offset }, { NOTCH_AUGMENT_NOISE, noise },          { NOTCH_AUGMENT_FLIP, flip },
};

void
notch_augment (NotchPatchPair *pair, guint allowed, NotchRandom *random)
{
  for (gsize i = 0; i < G_N_ELEMENTS (way); i++)
    if (allowed & way[i].bit)
      way[i].change (pair, random);
}
