/* check.c - a known answer: every stage of a device against the CPU's, on one tile */
#include "inspect/compute/check.h"

#include "kernels/math/fit.h"

#include <math.h>
#include <string.h>

enum {
  PITCH = 300,       /* px: of the dice */
  WIDTH = 3 * PITCH, /* px: of the image */
  HEIGHT = 300,      /* px */
  SIZE = 256,        /* px: of the tile */
  HALO = 24,         /* px */
  X = PITCH + 22,
  Y = 22,     /* px: the tile's place, on the die in the middle */
  PATCH = 64, /* px: that is registered */
  CROP = 32,  /* px */
  MOST_BLOBS = 16,
  PLACE = 13, /* 1/256 px */
  N_CHANNELS = 4
};

static const NotchChannel bank[N_CHANNELS] = { { NOTCH_CHANNEL_BLOB, 0.8f, 0, 0, 1, 1 },
                                               { NOTCH_CHANNEL_BLOB, 2.1f, 0, 0, 2, 1 },
                                               { NOTCH_CHANNEL_BLOB, 4.5f, 0, 0, 4, 1 },
                                               { NOTCH_CHANNEL_LINE, 1.3f, 10, 0.5f, 2, 1 } };

/* What a device makes of the tile. */
typedef struct {
  int n_blobs, n_patches;
  gint64 n_inspected;
  NotchBlob blob[MOST_BLOBS];
  float fit[NOTCH_FIT_MAX];
  double crop;  /* mean of the pixels around the blobs */
  double power; /* mean of the spectrum */
  double rms[N_CHANNELS];
  NotchShiftFound shift;
} Answer;

/* Three dice of one pattern with noise of 100 grey levels; the middle one has a bright and a dark spot. */
static guint16
pixel_at (int x, int y)
{
  guint32 chance = notch_scatter ((guint32) (y * WIDTH + x));
  double noise = ((chance & 255) + (chance >> 8 & 255) + (chance >> 16 & 255) + (chance >> 24) - 510) / 1.48;
  int u = x % PITCH, v = y;
  double pattern = 20000 + 5000 * sin (0.31 * u + 0.2 * v) + 3000 * cos (0.17 * u - 0.41 * v);
  double bright = hypot (x - X - 90, y - Y - 70), dark = hypot (x - X - 150.5, y - Y - 180.25);
  double spots = 4000 * exp (-bright * bright / 5) - 3000 * exp (-dark * dark / 12);
  return (guint16) (pattern + noise + spots + 0.5);
}

static gboolean
compute (const NotchKernels *k, NotchLane *lane, NotchStripMem *mem, Answer *answer)
{
  const NotchTile tile = { X, Y, HALO, HALO, SIZE - 2 * HALO, SIZE - 2 * HALO, 0, 0, SIZE, SIZE, 0, 1, NULL };
  const NotchPiece piece = { 0, 0, SIZE, SIZE, 0, 3, 0 };
  const NotchSourceShift source[] = { { .dx = -PITCH + 0.25, .dy = -0.125, .zoom = 1, .mem = NOTCH_MEM_IMAGE },
                                      { .dx = PITCH, .zoom = 1, .mem = NOTCH_MEM_IMAGE },
                                      { .dx = -PITCH, .dy = 0.0625, .zoom = 1, .mem = NOTCH_MEM_IMAGE } };
  const NotchBatch batch = { 1, &tile, &piece, source, { mem } };
  const NotchNoise noise = { 15000, 0, 0, 0, 0 }, rough = { 15000, 0, 0.05, 0, 0 };
  const NotchPair pair = { X, Y, X + PITCH - 3, Y + 2, NOTCH_MEM_IMAGE, NOTCH_MEM_IMAGE, 8 };
  const int terms = NOTCH_FIT_GAIN | NOTCH_FIT_SHADE | NOTCH_FIT_SHIFT | NOTCH_FIT_FOCUS;
  const gsize n_power = (gsize) SIZE * (SIZE / 2 + 1);
  g_autofree double *power = g_new0 (double, n_power);
  g_autofree NotchChannelStats *stats = g_new0 (NotchChannelStats, N_CHANNELS);
  gint64 n = 0;
  NotchTileFound found;
  if (k->gather (lane, &(NotchGather){ &batch }) != 0 || k->refer (lane, &(NotchRefer){ &batch }) != 0
      || k->fit (lane, &(NotchFit){ &batch, terms, 1, 0, 0, 0, 0 }) != 0
      || k->follow (lane, &(NotchFollow){ &batch, rough }) != 0
      || k->normalise (lane, &(NotchNormalise){ &batch, noise, 0 }) != 0
      || k->power (lane, &(NotchPower){ &batch, power, &n }) != 0
      || k->filter (lane, &(NotchFilter){ &batch, N_CHANNELS, bank, stats }) != 0
      || k->label (lane, &(NotchLabel){ &batch, 6, 3.5f, 2 }) != 0
      || k->patch (lane, &(NotchPatch){ &batch, CROP, MOST_BLOBS }) != 0 || k->finish (lane, &found) != 0
      || k->shift (lane, &(NotchShift){ { mem }, 1, &pair, 0, &answer->shift }) != 0)
    return FALSE;
  answer->n_blobs = CLAMP (found.n_blobs, 0, MOST_BLOBS);
  answer->n_patches = CLAMP (found.n_patches, 0, MOST_BLOBS);
  answer->n_inspected = found.n_inspected;
  memcpy (answer->blob, found.blob, sizeof *found.blob * (gsize) answer->n_blobs);
  memcpy (answer->fit, found.fit[0], sizeof answer->fit);
  for (int i = 0; i < answer->n_patches * 2 * CROP * CROP; i++)
    answer->crop += found.patch[i] / (answer->n_patches * 2.0 * CROP * CROP);
  for (gsize i = 0; i < n_power; i++)
    answer->power += power[i] / (double) n_power;
  for (int c = 0; c < N_CHANNELS; c++)
    answer->rms[c] = sqrt (stats[c].sum2 / (double) MAX (stats[c].n, 1));
  return TRUE;
}

static gboolean
answer_of (const NotchKernels *kernels, NotchDevice *device, const NotchPixels *pixels, Answer *answer, char **why)
{
  const NotchLaneSize size = { .batch = 1,
                               .size = SIZE,
                               .halo = HALO,
                               .shift_size = PATCH,
                               .max_blobs = MOST_BLOBS,
                               .patch_side = CROP,
                               .max_patches = MOST_BLOBS,
                               .n_channels = N_CHANNELS,
                               .channel = bank };
  NotchFault fault = { 0 };
  NotchStripMem *mem = kernels->strip_up (device, pixels, &fault);
  NotchLane *lane = mem ? kernels->lane_new (device, &size, &fault) : NULL;
  gboolean well = lane && compute (kernels, lane, mem, answer);
  if (!well)
    *why = g_strdup (lane ? kernels->fault (lane)->text : fault.text);
  if (lane)
    kernels->lane_free (lane);
  if (mem)
    kernels->strip_free (mem);
  return well;
}

static gboolean
is_near (double a, double b, double most)
{
  return fabs (a - b) <= most;
}

/* The blob of the other answer at the place of this one, or NULL. */
static const NotchBlob *
blob_like (const NotchBlob *blob, const Answer *answer)
{
  for (int i = 0; i < answer->n_blobs; i++) {
    const NotchBlob *other = &answer->blob[i];
    if (is_near ((double) blob->wx / (double) blob->w, (double) other->wx / (double) other->w, 0.05)
        && is_near ((double) blob->wy / (double) blob->w, (double) other->wy / (double) other->w, 0.05)
        && is_near (blob->peak, other->peak, 0.01 * blob->peak)
        && is_near (256 * blob->peak_x + blob->peak_dx, 256 * other->peak_x + other->peak_dx, PLACE)
        && is_near (256 * blob->peak_y + blob->peak_dy, 256 * other->peak_y + other->peak_dy, PLACE))
      return other;
  }
  return NULL;
}

/* The first stage whose result differs from the CPU's, or NULL. */
static const char *
find_difference (const Answer *is, const Answer *should)
{
  for (int j = 0; j < NOTCH_FIT_MAX; j++)
    if (!is_near (is->fit[j], should->fit[j], 1e-4 * (1 + fabs (should->fit[j]))))
      return "the fit of the reference";
  if (!is_near (is->power, should->power, 1e-3 * should->power))
    return "the spectrum";
  for (int c = 0; c < N_CHANNELS; c++)
    if (!is_near (is->rms[c], should->rms[c], 1e-3 * should->rms[c]))
      return "a filter";
  if (is->n_blobs != should->n_blobs || is->n_inspected != should->n_inspected)
    return "what is found";
  for (int b = 0; b < should->n_blobs; b++)
    if (!blob_like (&should->blob[b], is))
      return "where it is found";
  if (is->n_patches != should->n_patches || !is_near (is->crop, should->crop, 1e-4 * should->crop))
    return "the pixels around it";
  if (!is_near (is->shift.dx, should->shift.dx, 0.005) || !is_near (is->shift.dy, should->shift.dy, 0.005))
    return "the registration";
  return NULL;
}

gboolean
notch_device_computes (const NotchKernels *kernels, NotchDevice *device, char **why)
{
  g_autofree guint16 *pixel = g_new (guint16, WIDTH * HEIGHT);
  g_autofree const void **row = g_new (const void *, HEIGHT);
  for (int y = 0; y < HEIGHT; y++) {
    row[y] = pixel + (gsize) y * WIDTH;
    for (int x = 0; x < WIDTH; x++)
      pixel[y * WIDTH + x] = pixel_at (x, y);
  }
  const NotchPixels pixels = { NOTCH_SAMPLE_U16, WIDTH, HEIGHT, 0, HEIGHT, row, 0 };
  Answer is = { 0 }, should = { 0 };
  NotchFault fault = { 0 };
  NotchDevice *processors = notch_kernels_cpu.open (0, &fault);
  if (!processors) {
    *why = g_strdup (fault.text);
    return FALSE;
  }
  gboolean well = answer_of (&notch_kernels_cpu, processors, &pixels, &should, why)
                  && answer_of (kernels, device, &pixels, &is, why);
  notch_kernels_cpu.close (processors);
  const char *differs = well ? find_difference (&is, &should) : NULL;
  if (differs)
    *why = g_strdup_printf ("it computes wrongly: %s differs from what the CPU finds", differs);
  return well && !differs;
}
