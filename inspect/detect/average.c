/* average.c - see average.h */
#include "inspect/detect/average.h"

#include "inspect/detect/noise.h"
#include "kernels/math/noise.h"
#include "kernels/math/resample.h"

#include <math.h>
#include <stdlib.h>

/* A die is left out of a tile when more than this part of it sticks out. */
#define MOST_OUTLIERS 0.05
/* How many sigmas stick out. */
#define CUT 4
/* Dice that a model of the noise is worth, where few dice scatter at one place. */
#define MODEL_DICE 20
/* The variance is smoothed by a Gaussian of sigma 0.8 px: taps from the middle outwards. */
#define SMOOTH 2
static const double smooth_tap[SMOOTH + 1] = { 0.4991, 0.2285, 0.0219 };

/* ---- memory ---------------------------------------------------------------------------------------------------- */

static gsize
area_of (const NotchAverage *average)
{
  return (gsize) average->size * (gsize) average->size;
}

guint64
notch_average_bytes (int size)
{
  return (guint64) size * (guint64) size
         * ((NOTCH_WITNESSES + 2) * sizeof (float) + 2 * sizeof (double) + sizeof (gint32));
}

static NotchBox
meet (NotchBox a, NotchBox b)
{
  return (NotchBox){ MAX (a.x0, b.x0), MAX (a.y0, b.y0), MIN (a.x1, b.x1), MIN (a.y1, b.y1) };
}

NotchAverage *
notch_average_new (const NotchGolden *golden, const NotchKernels *kernels, const NotchTiling *tiling, gint64 col,
                   gint64 row, NotchFit fit, int stride)
{
  NotchAverage *average = g_new0 (NotchAverage, 1);
  gint64 width, height, left = col * tiling->core, top = row * tiling->core;
  notch_golden_size (golden, &width, &height);
  int size = average->size = tiling->size, halo = tiling->halo;
  average->golden = golden;
  average->kernels = kernels;
  average->fit = fit;
  average->stride = stride;
  average->tile = (NotchTile){
    .x = left - halo,
    .y = top - halo,
    .core_x = halo,
    .core_y = halo,
    .core_w = (int) MIN (tiling->core, width - left),
    .core_h = (int) MIN (tiling->core, height - top),
    .inside_w = size,
    .inside_h = size,
  };
  const NotchTile *tile = &average->tile;
  average->frame = (NotchBox){ (int) MAX (-tile->x, 0), (int) MAX (-tile->y, 0), (int) MIN (width - tile->x, size),
                               (int) MIN (height - tile->y, size) };
  average->cell =
      meet (average->frame, (NotchBox){ (int) (NOTCH_GOLDEN_MARGIN - tile->x), (int) (NOTCH_GOLDEN_MARGIN - tile->y),
                                        (int) MIN (width - NOTCH_GOLDEN_MARGIN - tile->x, size),
                                        (int) MIN (height - NOTCH_GOLDEN_MARGIN - tile->y, size) });
  average->box = meet (average->frame, (NotchBox){ halo - SMOOTH, halo - SMOOTH, halo + tile->core_w + SMOOTH,
                                                   halo + tile->core_h + SMOOTH });
  gsize area = area_of (average);
  average->centre = g_new0 (float, area);
  average->cut = g_new0 (float, area);
  average->sum = g_new0 (double, area);
  average->sum2 = g_new0 (double, area);
  average->count = g_new0 (gint32, area);
  average->sample = g_array_new (FALSE, FALSE, sizeof (NotchNoiseSample));
  return average;
}

static void
free_witnesses (NotchAverage *average)
{
  for (int k = 0; k < NOTCH_WITNESSES; k++)
    g_clear_pointer (&average->witness[k], g_free);
}

void
notch_average_free (NotchAverage *average)
{
  if (!average)
    return;
  free_witnesses (average);
  g_free (average->centre);
  g_free (average->cut);
  g_free (average->sum);
  g_free (average->sum2);
  g_free (average->count);
  g_array_unref (average->sample);
  g_free (average);
}

/* ---- a die on its way ------------------------------------------------------------------------------------------ */

typedef struct {
  const NotchGolden *golden;
  const NotchGoldenDie *die;
} Context;

static void
shift_at (const void *data, double x, double y, int k, NotchSourceShift *shift)
{
  const Context *context = data;
  double image_x, image_y;
  notch_golden_to_image (context->golden, context->die, x, y, &image_x, &image_y);
  *shift = (NotchSourceShift){ .dx = image_x - x, .dy = image_y - y, .zoom = 1, .mem = NOTCH_MEM_REFERENCE };
}

/* The image position of a tile's pixel. */
static void
to_image (const NotchAverage *average, const NotchGoldenDie *die, int x, int y, double *image_x, double *image_y)
{
  notch_golden_to_image (average->golden, die, (double) (average->tile.x + x), (double) (average->tile.y + y), image_x,
                         image_y);
}

NotchRows
notch_average_rows (const NotchAverage *average, const NotchGoldenDie *die)
{
  const NotchBox *frame = &average->frame;
  double low = INFINITY, high = -INFINITY;
  for (int corner = 0; corner < 4; corner++) {
    double x, y;
    to_image (average, die, corner % 2 ? frame->x1 : frame->x0, corner / 2 ? frame->y1 : frame->y0, &x, &y);
    low = MIN (low, y), high = MAX (high, y);
  }
  gint64 first = (gint64) floor (low) - NOTCH_TAPS;
  return (NotchRows){ first, (gint64) ceil (high) + NOTCH_TAPS - first };
}

/* Is the image position of a tile's pixel in the image? */
static gboolean
in_image (const NotchAverage *average, const NotchGoldenDie *die, int x, int y, gint64 width, gint64 height)
{
  double image_x, image_y;
  to_image (average, die, x, y, &image_x, &image_y);
  return image_x > -0.5 && image_y > -0.5 && image_x < (double) width - 0.5 && image_y < (double) height - 0.5;
}

/* The part of the frame that the image shows: sides move inwards until both their ends are in it. */
static NotchBox
visible (const NotchAverage *average, const NotchGoldenDie *die, gint64 width, gint64 height)
{
  NotchBox box = average->frame;
  const int middle_x = (box.x0 + box.x1) / 2, middle_y = (box.y0 + box.y1) / 2;
  while (box.x0 < box.x1 && !in_image (average, die, box.x0, middle_y, width, height))
    box.x0++;
  while (box.x0 < box.x1 && !in_image (average, die, box.x1 - 1, middle_y, width, height))
    box.x1--;
  while (box.y0 < box.y1 && !in_image (average, die, middle_x, box.y0, width, height))
    box.y0++;
  while (box.y0 < box.y1 && !in_image (average, die, middle_x, box.y1 - 1, width, height))
    box.y1--;
  return box;
}

#define GAIN_SIDE 16 /* places a side of a die that it is asked at */

/* What interpolation with these taps leaves of the variance of white noise. */
static double
noise_gain (const NotchSourceShift *shift)
{
  double gain = 1;
  const double d[2] = { shift->dx, shift->dy };
  for (int axis = 0; axis < 2; axis++) {
    float tap[NOTCH_TAPS];
    double sum = 0;
    notch_lanczos_taps (d[axis] - floor (d[axis]), tap);
    for (int i = 0; i < NOTCH_TAPS; i++)
      sum += (double) tap[i] * (double) tap[i];
    gain *= sum;
  }
  return gain;
}

NotchAverageDie *
notch_average_die_new (NotchAverage *average, const NotchGoldenDie *die, const NotchStripMem *strip, gint64 width,
                       gint64 height)
{
  NotchAverageDie *made = g_new0 (NotchAverageDie, 1);
  const NotchBox *frame = &average->frame;
  Context context = { average->golden, die };
  NotchPieceMaker maker = { average->tile.x, average->tile.y, 1, 0, 0, shift_at, &context };
  made->average = average;
  made->strip = strip;
  made->piece = g_array_new (FALSE, FALSE, sizeof (NotchPiece));
  made->source = g_array_new (FALSE, FALSE, sizeof (NotchSourceShift));
  made->valid = visible (average, die, width, height);
  notch_reference_append (&maker, frame->x0, frame->y0, frame->x1 - frame->x0, frame->y1 - frame->y0, made->piece,
                          made->source);
  for (int i = 0; i < GAIN_SIDE * GAIN_SIDE; i++) {
    NotchSourceShift shift;
    double u = (i % GAIN_SIDE + 0.5) / GAIN_SIDE, v = (i / GAIN_SIDE + 0.5) / GAIN_SIDE;
    shift_at (&context, (double) (average->tile.x + frame->x0) + u * (double) (frame->x1 - frame->x0),
              (double) (average->tile.y + frame->y0) + v * (double) (frame->y1 - frame->y0), 0, &shift);
    made->noise_gain += noise_gain (&shift) / (GAIN_SIDE * GAIN_SIDE);
  }
  return made;
}

void
notch_average_die_free (NotchAverageDie *die)
{
  if (!die)
    return;
  g_array_unref (die->piece);
  g_array_unref (die->source);
  g_free (die->value);
  g_free (die);
}

gboolean
notch_average_interpolate (NotchLane *lane, gpointer data, GError **error)
{
  NotchAverageDie *die = data;
  const NotchKernels *k = die->average->kernels;
  if (!lane)
    return FALSE;
  NotchTile tile = die->average->tile;
  tile.n_pieces = (int) die->piece->len;
  NotchBatch batch = { .n_tiles = 1,
                       .tile = &tile,
                       .piece = (const NotchPiece *) die->piece->data,
                       .source = (const NotchSourceShift *) die->source->data };
  NotchBatch sourced = batch;
  sourced.mem[NOTCH_MEM_REFERENCE] = die->strip;
  if (!die->value)
    die->value = g_new (float, area_of (die->average));
  return (k->gather (lane, &(NotchGather){ &batch }) == 0 && k->refer (lane, &(NotchRefer){ &sourced }) == 0
          && k->peek (lane, 0, NOTCH_PLANE_REF, die->value) == 0)
         || notch_kernels_error (k, lane, error);
}

/* Replaces a die's values by what is left of them once the centre is fitted. */
static gboolean
fit_centre (NotchLane *lane, const NotchAverage *average, NotchBox valid, float *value, GError **error)
{
  const NotchKernels *k = average->kernels;
  const NotchSourceShift none = { .zoom = 1, .mem = NOTCH_MEM_REFERENCE };
  const NotchPiece piece = { valid.x0, valid.y0, valid.x1 - valid.x0, valid.y1 - valid.y0, 0, 1, 0 };
  NotchTile tile = average->tile;
  tile.n_pieces = piece.w > 0 && piece.h > 0;
  NotchFit fit = average->fit;
  NotchBatch batch = { .n_tiles = 1, .tile = &tile, .piece = &piece, .source = &none };
  fit.batch = &batch;
  return (k->gather (lane, &(NotchGather){ &batch }) == 0 && k->poke (lane, 0, NOTCH_PLANE_TEST, value) == 0
          && k->poke (lane, 0, NOTCH_PLANE_REF, average->centre) == 0 && k->fit (lane, &fit) == 0
          && k->peek (lane, 0, NOTCH_PLANE_RES, value) == 0)
         || notch_kernels_error (k, lane, error);
}

gboolean
notch_average_compare (NotchLane *lane, gpointer data, GError **error)
{
  NotchAverageDie *die = data;
  return lane && notch_average_interpolate (lane, die, error)
         && fit_centre (lane, die->average, die->valid, die->value, error);
}

/* ---- the centre ------------------------------------------------------------------------------------------------ */

void
notch_average_witness (NotchAverage *average, NotchAverageDie *die)
{
  g_assert (average->n_witnesses < NOTCH_WITNESSES);
  average->valid[average->n_witnesses] = die->valid;
  average->witness[average->n_witnesses++] = g_steal_pointer (&die->value);
}

static int
compare_floats (const void *a, const void *b)
{
  float x = *(const float *) a, y = *(const float *) b;
  return (x > y) - (x < y);
}

/* Of a few values, which are sorted. */
static float
median (float *v, int n)
{
  if (n > 16)
    qsort (v, (size_t) n, sizeof *v, compare_floats);
  for (int i = 1; i < n && n <= 16; i++)
    for (int j = i; j > 0 && v[j - 1] > v[j]; j--) {
      float swap = v[j];
      v[j] = v[j - 1], v[j - 1] = swap;
    }
  return n == 0 ? 0 : 0.5f * (v[(n - 1) / 2] + v[n / 2]);
}

static gboolean
holds (const NotchBox *box, int x, int y)
{
  return x >= box->x0 && x < box->x1 && y >= box->y0 && y < box->y1;
}

/* Light that fell off, or a brighter lamp, must not decide which die is the median: the witnesses are brought to one mean
 * grey level. */
static void
level_witnesses (NotchAverage *average)
{
  float mean[NOTCH_WITNESSES], sorted[NOTCH_WITNESSES];
  int n = 0;
  for (int k = 0; k < average->n_witnesses; k++) {
    NotchBox box = meet (average->box, average->valid[k]);
    double sum = 0;
    gint64 pixels = 0;
    for (int y = box.y0; y < box.y1; y++)
      for (int x = box.x0; x < box.x1; x++, pixels++)
        sum += average->witness[k][(gsize) y * (gsize) average->size + (gsize) x];
    mean[k] = pixels > 0 ? (float) (sum / (double) pixels) : 0;
    if (mean[k] > 0)
      sorted[n++] = mean[k];
  }
  float common = median (sorted, n);
  for (int k = 0; k < average->n_witnesses; k++)
    for (gsize i = 0; mean[k] > 0 && i < area_of (average); i++)
      average->witness[k][i] *= common / mean[k];
}

/* The witnesses' values at a pixel: of those that show it, or else of all, for beyond an image its edge is repeated. */
static int
witnesses_at (const NotchAverage *average, int x, int y, gboolean only_valid, float v[NOTCH_WITNESSES])
{
  gsize at = (gsize) y * (gsize) average->size + (gsize) x;
  int n = 0;
  for (int k = 0; k < average->n_witnesses; k++)
    if (isfinite (average->witness[k][at]) && (!only_valid || holds (&average->valid[k], x, y)))
      v[n++] = average->witness[k][at];
  return n;
}

static NotchNoiseSample
sample_at (const NotchAverage *average, int x, int y, float residual)
{
  const float *g = average->centre + (gsize) y * (gsize) average->size + (gsize) x;
  float gx = notch_grad_x (g), gy = notch_grad_y (g, average->size), laplacian = notch_laplacian (g, average->size);
  return (NotchNoiseSample){ g[0], gx * gx + gy * gy, laplacian * laplacian, residual * residual };
}

/* The frame without its rim, where derivatives would look beyond it. */
static NotchBox
inner (const NotchAverage *average)
{
  NotchBox box = average->frame;
  return meet (average->box, (NotchBox){ box.x0 + 1, box.y0 + 1, box.x1 - 1, box.y1 - 1 });
}

static void
fit_noise (NotchAverage *average)
{
  g_autoptr (GArray) taken = g_array_new (FALSE, FALSE, sizeof (NotchNoiseSample));
  NotchBox box = inner (average);
  for (int k = 0; k < average->n_witnesses; k++) {
    NotchBox part = meet (box, average->valid[k]);
    for (int y = part.y0; y < part.y1; y += 3)
      for (int x = part.x0 + (y + k) % 3; x < part.x1; x += 3) {
        float residual = average->witness[k][(gsize) y * (gsize) average->size + (gsize) x];
        NotchNoiseSample one = sample_at (average, x, y, residual);
        if (isfinite (residual) && residual != 0)
          g_array_append_val (taken, one);
      }
  }
  average->noise = notch_noise_fit ((const NotchNoiseSample *) taken->data, taken->len, 1e-12, 1);
}

/* What sticks out, from the witnesses' scatter at the place joined with the model, which a few dice cannot replace. */
static void
set_cut (NotchAverage *average)
{
  NotchBox box = inner (average);
  for (int y = average->box.y0; y < average->box.y1; y++)
    for (int x = average->box.x0; x < average->box.x1; x++) {
      int inner_x = CLAMP (x, box.x0, box.x1 - 1), inner_y = CLAMP (y, box.y0, box.y1 - 1);
      const float *g = average->centre + (gsize) inner_y * (gsize) average->size + (gsize) inner_x;
      float model = notch_noise_variance (&average->noise, g[0], notch_grad_x (g), notch_grad_y (g, average->size),
                                          notch_laplacian (g, average->size));
      float v[NOTCH_WITNESSES];
      int n = witnesses_at (average, x, y, TRUE, v);
      for (int i = 0; i < n; i++)
        v[i] = fabsf (v[i]);
      float spread = 1.4826f * median (v, n);
      float joined = ((float) n * spread * spread + MODEL_DICE * model) / (float) (n + MODEL_DICE);
      average->cut[(gsize) y * (gsize) average->size + (gsize) x] = CUT * sqrtf (MAX (model, joined));
    }
}

gboolean
notch_average_settle (NotchLane *lane, gpointer data, GError **error)
{
  NotchAverage *average = data;
  if (!lane)
    return FALSE;
  level_witnesses (average);
  for (int y = average->frame.y0; y < average->frame.y1; y++)
    for (int x = average->frame.x0; x < average->frame.x1; x++) {
      float v[NOTCH_WITNESSES];
      int n = witnesses_at (average, x, y, TRUE, v);
      if (n == 0)
        n = witnesses_at (average, x, y, FALSE, v);
      average->centre[(gsize) y * (gsize) average->size + (gsize) x] = median (v, n);
    }
  for (int k = 0; k < average->n_witnesses; k++)
    if (!fit_centre (lane, average, average->valid[k], average->witness[k], error))
      return FALSE;
  fit_noise (average);
  set_cut (average);
  free_witnesses (average);
  return TRUE;
}

/* ---- sums ------------------------------------------------------------------------------------------------------ */

gboolean
notch_average_add (NotchAverage *average, const NotchAverageDie *die)
{
  NotchBox box = meet (average->box, die->valid), rim = inner (average);
  NotchBox own = meet (box, average->cell); /* a bad neighbour is not the die's fault */
  gint64 outliers = 0, pixels = 0;
  for (int y = own.y0; y < own.y1; y++)
    for (int x = own.x0; x < own.x1; x++, pixels++) {
      gsize at = (gsize) y * (gsize) average->size + (gsize) x;
      outliers += !(fabsf (die->value[at]) <= average->cut[at]);
    }
  if ((double) outliers > MOST_OUTLIERS * (double) pixels) {
    average->n_left_out++;
    return FALSE;
  }
  for (int y = box.y0; y < box.y1; y++)
    for (int x = box.x0; x < box.x1; x++) {
      gsize at = (gsize) y * (gsize) average->size + (gsize) x;
      double residual = die->value[at];
      if (!(fabs (residual) <= average->cut[at]))
        continue;
      average->sum[at] += residual;
      average->sum2[at] += residual * residual;
      average->count[at]++;
      if ((y * average->size + x + average->n_dice) % average->stride == 0 && holds (&rim, x, y)) {
        NotchNoiseSample one = sample_at (average, x, y, (float) residual);
        g_array_append_val (average->sample, one);
      }
    }
  average->noise_gain += die->noise_gain;
  average->n_dice++;
  return TRUE;
}

/* The variance at a pixel of the box. Interpolation smoothed the white noise of the dice; what it took off is given back,
 * so that the sigma is that of a camera's pixel. */
static double
variance_at (const NotchAverage *average, int x, int y)
{
  gsize at = (gsize) y * (gsize) average->size + (gsize) x;
  double n = average->count[at], mean_gain = average->n_dice > 0 ? average->noise_gain / average->n_dice : 1;
  if (n < 2)
    return 0;
  double variance = MAX (average->sum2[at] - average->sum[at] * average->sum[at] / n, 0) / (n - 1);
  double white = (double) average->noise.a + (double) average->noise.b * MAX ((double) average->centre[at], 0);
  return variance + white * (1 / MIN (mean_gain, 1) - 1);
}

static double
smoothed (const NotchAverage *average, const double *variance, int x, int y)
{
  const NotchBox *box = &average->box;
  double sum = 0, weight = 0;
  for (int j = MAX (y - SMOOTH, box->y0); j <= MIN (y + SMOOTH, box->y1 - 1); j++)
    for (int i = MAX (x - SMOOTH, box->x0); i <= MIN (x + SMOOTH, box->x1 - 1); i++) {
      gsize at = (gsize) j * (gsize) average->size + (gsize) i;
      double tap = smooth_tap[abs (i - x)] * smooth_tap[abs (j - y)];
      if (average->count[at] >= 2)
        sum += tap * variance[at], weight += tap;
    }
  return weight > 0 ? sum / weight : 0;
}

void
notch_average_finish (NotchAverage *average, float *mean, float *sigma, float *count)
{
  const NotchTile *tile = &average->tile;
  double *variance = average->sum2; /* in place: only its own sums make a pixel's variance */
  for (int y = average->box.y0; y < average->box.y1; y++)
    for (int x = average->box.x0; x < average->box.x1; x++)
      variance[(gsize) y * (gsize) average->size + (gsize) x] = variance_at (average, x, y);
  gsize to = 0;
  for (int y = tile->core_y; y < tile->core_y + tile->core_h; y++)
    for (int x = tile->core_x; x < tile->core_x + tile->core_w; x++, to++) {
      gsize at = (gsize) y * (gsize) average->size + (gsize) x;
      double n = average->count[at];
      mean[to] = (float) (average->centre[at] + (n > 0 ? average->sum[at] / n : 0));
      sigma[to] = n < 2 ? 0 : (float) sqrt (smoothed (average, variance, x, y));
      count[to] = (float) n;
    }
}
