/* survey.c - registration, then noise, filters and threshold from tiles spread over the image
 *
 * The sample tiles' residuals are kept and go through the later stages again: first for the noise model, then for the
 * spectrum, then for the filters' null, each of which needs the one before. Defects in the sample would make all three
 * believe in more noise than there is, so a few filters look for them first, and what they find is left out. */
#include "inspect/detect/survey.h"
#include "inspect/reference/register.h"

#include "inspect/detect/noise.h"
#include "kernels/math/noise.h"
#include "kernels/math/score.h"

#include <math.h>
#include <string.h>

/* What a filter sees this far out, in its own spreads, is left out of the sample: without defects it happens a few times
 * in all of it, so next to nothing of the null's tail is lost. */
#define SCREEN_SIGMA 5.5

/* The filters that look for it: points to stains, three steps apart. */
static const NotchChannel screen[] = {
  { NOTCH_CHANNEL_BLOB, 1.1f, 0, 0, 1, 1 },
  { NOTCH_CHANNEL_BLOB, 3.2f, 0, 0, 2, 1 },
  { NOTCH_CHANNEL_BLOB, 9.0f, 0, 0, 4, 1 },
};
#define N_SCREEN ((int) G_N_ELEMENTS (screen))

/* Which part of a pixel's variance edges have where there are some, and where there are none; how many pixels tell of them,
 * and how much more than those without their responses have to vary; times that the two terms are widened. */
#define EDGES       0.1
#define NO_EDGES    0.03
#define EDGE_LEAST  5000
#define EDGE_ENOUGH 1.05
#define EDGE_ROUNDS 3

/* px: edges that wander by less than this sigma need not be followed. */
#define WANDER_LEAST 0.02f
/* px: nor those of dice that are turned by less than this at their ends. */
#define TURNED_LEAST 0.05

/* A sample tile between the rounds. */
typedef struct {
  const NotchPlan *plan;
  const NotchReference *reference;
  const NotchKernels *kernels;
  NotchBand *band; /* only in the first round */
  int device;      /* that works on it */
  NotchTileJob *job;
  float *ref, *res, *spread; /* size x size; spread is NULL where the method knows none */
  double *power;             /* this tile's spectrum */
  double z2, z_count, wild;  /* wild: pixels beyond 5 sigmas */
  NotchChannelStats *stats;
  double edge2, n_edge, share, flat2, n_flat; /* squared responses at edges, pixels, edges' shares; elsewhere */
  gboolean usable;
} Sample;

static void
sample_free (gpointer data)
{
  Sample *sample = data;
  notch_band_release (sample->band);
  notch_tile_job_free (sample->job);
  g_free (sample->ref);
  g_free (sample->res);
  g_free (sample->spread);
  g_free (sample->power);
  g_free (sample->stats);
  g_free (sample);
}

/* Round one: reference and residual. */
static gboolean
take_residual (NotchLane *lane, gpointer data, GError **error)
{
  Sample *sample = data;
  const NotchKernels *k = sample->kernels;
  if (!lane)
    return FALSE;
  if (!notch_tile_job_weigh (sample->plan, sample->job, error))
    return FALSE;
  g_autoptr (NotchTileBatch) tiles = notch_tile_batch_new (sample->band, &sample->job, 1);
  const NotchBatch batch = tiles->batch;
  gsize area = (gsize) sample->plan->tiling.size * (gsize) sample->plan->tiling.size;
  gboolean spread = sample->plan->mem_store[NOTCH_MEM_SPREAD] != NULL;
  sample->ref = g_try_new (float, area);
  sample->res = g_try_new (float, area);
  sample->spread = spread ? g_try_new (float, area) : NULL;
  if (!sample->ref || !sample->res || (spread && !sample->spread)) {
    g_set_error_literal (
        error, NOTCH_ERROR, NOTCH_ERROR_INSPECT,
        "no memory for the sample that the noise is measured on; use smaller tiles ([detect] tile_px)");
    return FALSE;
  }
  const NotchFit fit = notch_plan_fit (sample->plan, sample->reference, &batch);
  gboolean well = k->gather (lane, &(NotchGather){ &batch }) == 0 && k->refer (lane, &(NotchRefer){ &batch }) == 0
                  && k->fit (lane, &fit) == 0 && k->peek (lane, 0, NOTCH_PLANE_REF, sample->ref) == 0
                  && k->peek (lane, 0, NOTCH_PLANE_RES, sample->res) == 0
                  && (!sample->spread || k->peek (lane, 0, NOTCH_PLANE_SPREAD, sample->spread) == 0);
  g_clear_pointer (&sample->band, notch_band_release);
  return well || notch_kernels_error (k, lane, error);
}

/* Brings a sample back onto a lane, up to z. */
static gboolean
put_back (NotchLane *lane, Sample *sample, const NotchBatch *batch, GError **error)
{
  const NotchKernels *k = sample->kernels;
  return (k->gather (lane, &(NotchGather){ batch }) == 0 && k->poke (lane, 0, NOTCH_PLANE_REF, sample->ref) == 0
          && k->poke (lane, 0, NOTCH_PLANE_RES, sample->res) == 0
          && (!sample->spread || k->poke (lane, 0, NOTCH_PLANE_SPREAD, sample->spread) == 0)
          && k->normalise (lane, &(NotchNormalise){ batch, sample->plan->noise, sample->plan->spread_trust }) == 0)
         || notch_kernels_error (k, lane, error);
}

/* A batch without a strip: later rounds read no image. */
static NotchBatch
bare_batch (const Sample *sample)
{
  NotchBatch batch = { .n_tiles = 1,
                       .tile = &sample->job->tile,
                       .piece = (const NotchPiece *) sample->job->piece->data };
  return batch;
}

/* Takes the discs around what a filter of the screen sees out of a sample. */
static void
mask_defects (Sample *sample, const float *score, const double *spread)
{
  const NotchTile *tile = &sample->job->tile;
  int size = sample->plan->tiling.size;
  for (int y = tile->core_y; y < tile->core_y + tile->core_h; y++)
    for (int x = tile->core_x; x < tile->core_x + tile->core_w; x++) {
      float seen = score[(gsize) y * size + x];
      int c = notch_score_channel (seen);
      if (c >= N_SCREEN || seen < SCREEN_SIGMA * spread[c])
        continue;
      int radius = (int) (2 + 1.5 * screen[c].sigma);
      for (int v = MAX (y - radius, 0); v <= MIN (y + radius, size - 1); v++) {
        int half = (int) sqrt ((double) radius * radius - (double) (v - y) * (v - y));
        for (int u = MAX (x - half, 0); u <= MIN (x + half, size - 1); u++)
          sample->job->weight[(gsize) v * size + u] = 0;
      }
    }
}

static gboolean
take_screen (NotchLane *lane, gpointer data, GError **error)
{
  Sample *sample = data;
  if (!lane)
    return FALSE;
  gsize area = (gsize) sample->plan->tiling.size * (gsize) sample->plan->tiling.size;
  NotchBatch batch = bare_batch (sample);
  g_autofree NotchChannelStats *stats = g_new0 (NotchChannelStats, N_SCREEN);
  g_autofree float *score = g_new (float, area);
  NotchFilter filter = { &batch, N_SCREEN, screen, stats };
  double spread[N_SCREEN];
  if (!put_back (lane, sample, &batch, error))
    return FALSE;
  if (sample->kernels->filter (lane, &filter) != 0 || sample->kernels->peek (lane, 0, NOTCH_PLANE_SCORE, score) != 0)
    return notch_kernels_error (sample->kernels, lane, error);
  for (int c = 0; c < N_SCREEN; c++)
    spread[c] = MAX (notch_noise_spread (&stats[c]), 0.9);
  if (!sample->job->weight) {
    sample->job->weight = g_new (float, area);
    for (gsize i = 0; i < area; i++)
      sample->job->weight[i] = 1;
    sample->job->tile.weight = sample->job->weight;
  }
  mask_defects (sample, score, spread);
  return TRUE;
}

/* Once the noise is known: edges that wander are followed from here on. */
static gboolean
take_follow (NotchLane *lane, gpointer data, GError **error)
{
  Sample *sample = data;
  const NotchKernels *k = sample->kernels;
  if (!lane)
    return FALSE;
  NotchBatch batch = bare_batch (sample);
  return put_back (lane, sample, &batch, error)
         && ((k->follow (lane, &(NotchFollow){ &batch, sample->plan->follow }) == 0
              && k->peek (lane, 0, NOTCH_PLANE_RES, sample->res) == 0)
             || notch_kernels_error (k, lane, error));
}

/* How much the screen's finest filter varies at edges, and where there are none. */
static gboolean
take_edges (NotchLane *lane, gpointer data, GError **error)
{
  Sample *sample = data;
  if (!lane)
    return FALSE;
  const NotchTile *tile = &sample->job->tile;
  const NotchNoise *noise = &sample->plan->noise, flat = { noise->a, noise->b, 0, 0, noise->e };
  int size = sample->plan->tiling.size;
  NotchBatch batch = bare_batch (sample);
  g_autofree float *score = g_new (float, (gsize) size *(gsize) size);
  NotchFilter filter = { &batch, 1, screen, NULL };
  if (!put_back (lane, sample, &batch, error))
    return FALSE;
  if (sample->kernels->filter (lane, &filter) != 0 || sample->kernels->peek (lane, 0, NOTCH_PLANE_SCORE, score) != 0)
    return notch_kernels_error (sample->kernels, lane, error);
  sample->edge2 = sample->n_edge = sample->share = sample->flat2 = sample->n_flat = 0;
  for (int y = tile->core_y; y < tile->core_y + tile->core_h; y++)
    for (int x = tile->core_x; x < tile->core_x + tile->core_w; x++) {
      const float *g = sample->ref + (gsize) y * size + x;
      double seen = (double) score[(gsize) y * size + x];
      if (seen < 1e-6) /* not judged */
        continue;
      float gx = notch_grad_x (g), gy = notch_grad_y (g, size), laplacian = notch_laplacian (g, size);
      double share = 1
                     - (double) notch_noise_variance (&flat, g[0], gx, gy, laplacian)
                           / (double) notch_noise_variance (noise, g[0], gx, gy, laplacian);
      if (share > EDGES)
        sample->edge2 += seen * seen, sample->n_edge++, sample->share += share;
      else if (share < NO_EDGES)
        sample->flat2 += seen * seen, sample->n_flat++;
    }
  return TRUE;
}

static gboolean
take_power (NotchLane *lane, gpointer data, GError **error)
{
  Sample *sample = data;
  if (!lane)
    return FALSE;
  int size = sample->plan->tiling.size;
  NotchBatch batch = bare_batch (sample);
  g_autofree float *z = g_new (float, (gsize) size *(gsize) size);
  gint64 n = 0;
  /* Written, not just asked to be zero: pages that are added to before they are written cost every core an interrupt each. */
  const gsize bytes = (gsize) size * (gsize) (size / 2 + 1) * sizeof (double);
  sample->power = memset (g_malloc (bytes), 0, bytes);
  if (!put_back (lane, sample, &batch, error))
    return FALSE;
  if (sample->kernels->power (lane, &(NotchPower){ &batch, sample->power, &n }) != 0
      || sample->kernels->peek (lane, 0, NOTCH_PLANE_Z, z) != 0)
    return notch_kernels_error (sample->kernels, lane, error);
  gint64 inside = 0, wild = 0;
  for (int i = 0; i < size * size; i++)
    if (z[i] != 0) {
      inside++;
      if (fabsf (z[i]) < 5) {
        sample->z2 += (double) z[i] * z[i];
        sample->z_count++;
      } else
        wild++;
    }
  sample->wild = (double) wild;
  /* A tile that is half empty, or full of defects, tells nothing of the noise. */
  sample->usable = inside > (gint64) size * size / 2 && wild < inside / 50;
  double share = inside > 0 ? (double) size * size / (double) inside : 0;
  for (gsize i = 0; i < (gsize) size * (gsize) (size / 2 + 1); i++)
    sample->power[i] *= share;
  return TRUE;
}

static gboolean
take_null (NotchLane *lane, gpointer data, GError **error)
{
  Sample *sample = data;
  if (!lane)
    return FALSE;
  const NotchPlan *plan = sample->plan;
  NotchBatch batch = bare_batch (sample);
  sample->stats = g_new0 (NotchChannelStats, plan->n_channels);
  NotchFilter filter = { &batch, plan->n_channels, plan->channel, sample->stats };
  return put_back (lane, sample, &batch, error)
         && (sample->kernels->filter (lane, &filter) == 0 || notch_kernels_error (sample->kernels, lane, error));
}

/* ---- the bank -------------------------------------------------------------------------------------------------- */

/* Lines: short ones for what is bent or short, long ones for what is faint. Across they are a little wider than most
 * scratches, for those are hardly straight. */
static const struct {
  float sigma, length; /* px; half length */
  int n_angles;
} lines[] = { { 1.3f, 10, 12 }, { 1.5f, 24, 16 } };

/* Blobs at a ratio of 1.6 lose less than 3 % of a defect's SNR between two scales. What is smooth enough is computed on
 * every second or fourth pixel only. */
void
notch_plan_make_bank (NotchPlan *plan)
{
  const NotchRecipe *recipe = plan->recipe;
  plan->n_channels = 0;
  for (double s = recipe->detect.smallest_px; s <= recipe->detect.largest_px * 1.0001 && plan->n_channels < 12;
       s *= 1.6) {
    int decimate = s >= 4.2 ? 4 : s >= 2 ? 2 : 1;
    plan->channel[plan->n_channels] =
        (NotchChannel){ NOTCH_CHANNEL_BLOB, (float) s, 0, 0, plan->n_channels ? decimate : 1, 1 };
    plan->n_channels++;
  }
  if (!plan->speed->lines || !recipe->detect.lines)
    return;
  for (gsize k = 0; k < G_N_ELEMENTS (lines); k++)
    for (int i = 0; i < lines[k].n_angles; i++)
      plan->channel[plan->n_channels++] = (NotchChannel){
        NOTCH_CHANNEL_LINE, lines[k].sigma, lines[k].length, (float) (i * G_PI / lines[k].n_angles), 2, 1
      };
}

/* Lanes with these filters. */
static NotchCrew *
crew_with (const NotchPlan *plan, const NotchCompute *compute, int n_channels, const NotchChannel *channel,
           GError **error)
{
  NotchLaneSize size = {
    .batch = 1,
    .size = plan->tiling.size,
    .halo = plan->tiling.halo,
    .max_blobs = 1,
    .patch_side = 1,
    .max_patches = 1,
    .n_channels = n_channels,
    .channel = channel,
    .whiten = plan->whiten,
  };
  return notch_crew_new (compute, &size, error);
}

/* Every sample once through `work`. */
static gboolean
run_round (const NotchPlan *plan, NotchCrew *crew, GPtrArray *samples, NotchCrewWork work, GError **error)
{
  for (guint i = 0; i < samples->len; i++) {
    Sample *sample = samples->pdata[i];
    if (!notch_store_go_on (plan->store, NULL))
      notch_crew_cancel (crew);
    if (!notch_crew_push (crew, sample->device, work, sample))
      break;
  }
  return notch_crew_wait (crew, error);
}

/* Tiles of the sample: spread over those that have something to inspect, in order. */
static GPtrArray *
choose_samples (const NotchPlan *plan, const NotchReference *reference, const NotchCompute *compute)
{
  const NotchTiling *tiling = &plan->tiling;
  GPtrArray *list = g_ptr_array_new_with_free_func (sample_free);
  gint64 total = tiling->n_cols * tiling->n_rows;
  int side = (int) ceil (sqrt (plan->speed->sample_tiles));
  gboolean all = total <= plan->speed->sample_tiles;
  gint64 n = all ? total : (gint64) side * side;
  for (gint64 i = 0; i < n; i++) {
    gint64 row = all ? i / tiling->n_cols : (2 * (i / side) + 1) * tiling->n_rows / (2 * side);
    gint64 col = all ? i % tiling->n_cols : (2 * (i % side) + 1) * tiling->n_cols / (2 * side);
    NotchTileJob *job = notch_tile_job_new (plan, reference, col, row);
    if (!job)
      continue;
    Sample *sample = g_new0 (Sample, 1);
    sample->plan = plan;
    sample->reference = reference;
    sample->kernels = compute->kernels;
    sample->job = job;
    g_ptr_array_add (list, sample);
  }
  return list;
}

static gboolean
take_residuals (const NotchPlan *plan, const NotchReference *reference, const NotchCompute *compute, NotchCrew *crew,
                GPtrArray *samples, GError **error)
{
  g_autoptr (NotchBand) band = NULL;
  gint64 band_row = -1;
  for (guint i = 0; i < samples->len; i++) {
    Sample *sample = samples->pdata[i];
    gint64 row = (sample->job->tile.y + plan->tiling.halo) / plan->tiling.core;
    if (row != band_row) {
      g_clear_pointer (&band, notch_band_release);
      band = notch_band_new (plan, reference, compute, row, error);
      band_row = row;
    }
    if (!band) { /* the error is set: only wait for what is under way */
      notch_crew_wait (crew, NULL);
      return FALSE;
    }
    sample->band = notch_band_acquire (band);
    sample->device = notch_band_device (band);
    if (!notch_crew_push (crew, sample->device, take_residual, sample))
      break;
  }
  return notch_crew_wait (crew, error);
}

static void
fit_noise (NotchPlan *plan, const NotchReference *reference, GPtrArray *samples, int jobs)
{
  if (reference->exact) { /* nothing is unknown but what the recipe says */
    plan->noise =
        (NotchNoise){ .a = (float) plan->recipe->reference.noise_a, .b = (float) plan->recipe->reference.noise_b };
    return;
  }
  g_autoptr (GArray) taken = g_array_new (FALSE, FALSE, sizeof (NotchNoiseSample));
  int size = plan->tiling.size;
  for (guint i = 0; i < samples->len; i++) {
    const Sample *sample = samples->pdata[i];
    const NotchTile *tile = &sample->job->tile;
    for (int y = tile->core_y; y < tile->core_y + tile->core_h; y += 3)
      for (int x = tile->core_x + y % 3; x < tile->core_x + tile->core_w; x += 3) {
        const float *g = sample->ref + (gsize) y * size + x;
        float res = sample->res[(gsize) y * size + x];
        if (res == 0 || isnan (res) || (tile->weight && tile->weight[(gsize) y * size + x] == 0))
          continue;
        float gx = 0.5f * (g[1] - g[-1]), gy = 0.5f * (g[size] - g[-size]);
        float laplacian = g[1] + g[-1] + g[size] + g[-size] - 4 * g[0];
        /* Where nothing has an edge, none can wander. */
        float edge = reference->smooth ? 0 : 1;
        NotchNoiseSample one = { g[0], edge * (gx * gx + gy * gy), edge * laplacian * laplacian, res * res };
        g_array_append_val (taken, one);
      }
  }
  /* Quantisation alone gives 1/12 where samples are whole numbers. */
  double floor = plan->source->sample == NOTCH_SAMPLE_F32 ? 1e-12 : 1.0 / 12;
  plan->noise = notch_noise_fit ((const NotchNoiseSample *) taken->data, taken->len, floor, jobs);
  const NotchRecipe *recipe = plan->recipe;
  plan->noise.a = MAX (plan->noise.a, (float) (recipe->detect.least_sigma * recipe->detect.least_sigma));
  plan->noise.c = MAX (plan->noise.c, (float) (recipe->detect.edge_px * recipe->detect.edge_px));
}

/* The spectrum of the tile that has most of its pixels compared, as an example. */
static gboolean
take_example (const NotchPlan *plan, GPtrArray *samples, GError **error)
{
  int size = plan->tiling.size;
  gsize area = (gsize) size * (gsize) size;
  g_autofree float *value = g_new (float, area);
  const Sample *best = NULL;
  double most = 0, mean = 0, count = 0;
  for (guint i = 0; i < samples->len; i++) {
    const Sample *sample = samples->pdata[i];
    if (sample->usable && sample->z_count > most)
      best = sample, most = sample->z_count;
  }
  if (!best)
    return TRUE;
  for (gsize i = 0; i < area; i++) { /* where nothing is compared both are 0 */
    value[i] = best->ref[i] + best->res[i];
    value[i] = isfinite (value[i]) ? value[i] : 0;
    mean += value[i], count += value[i] != 0;
  }
  for (gsize i = 0; i < area; i++)
    value[i] = value[i] != 0 ? value[i] : (float) (mean / MAX (count, 1));
  plan->spectrum->x = best->job->tile.x, plan->spectrum->y = best->job->tile.y;
  if (notch_spectrum_take_image (plan->spectrum, value))
    return TRUE;
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT, "there is no memory for a spectrum of %d x %d px", size, size);
  return FALSE;
}

static gboolean
fit_spectrum (NotchPlan *plan, GPtrArray *samples, GError **error)
{
  int size = plan->tiling.size;
  gsize bins = (gsize) size * (gsize) (size / 2 + 1);
  g_autofree double *sum = g_new0 (double, bins);
  gint64 n = 0;
  double z2 = 0, z_count = 0, wild = 0, calm = 0;
  for (guint i = 0; i < samples->len; i++) {
    const Sample *sample = samples->pdata[i];
    wild += sample->wild, calm += sample->z_count;
    plan->noise_known |= sample->wild <= (sample->wild + sample->z_count) / 50;
    if (!sample->usable)
      continue;
    for (gsize b = 0; b < bins; b++)
      sum[b] += sample->power[b];
    z2 += sample->z2, z_count += sample->z_count;
    n++;
  }
  plan->noise_left_out = wild + calm > 0 ? wild / (wild + calm) : 0;
  plan->z_rms = z_count > 0 ? sqrt (z2 / z_count) : 1;
  g_free (plan->whiten);
  plan->whiten = NULL;
  if (n == 0)
    return TRUE;
  g_clear_pointer (&plan->spectrum, notch_spectrum_free);
  plan->spectrum = notch_spectrum_new (size);
  for (gsize b = 0; b < bins; b++)
    plan->spectrum->residual[b] = (float) (sum[b] / (double) n);
  notch_spectrum_find_lines (plan->spectrum, plan->arrays, sum, n);
  plan->whiten = g_new (float, bins);
  notch_noise_smooth_spectrum (sum, n, size, plan->whiten);
  for (gsize b = 0; b < bins; b++) /* dividing by a line's own power notches it out */
    plan->whiten[b] *= plan->spectrum->lift[b];
  return take_example (plan, samples, error);
}

static void
set_threshold (NotchPlan *plan, GPtrArray *samples, const GArray *areas)
{
  g_autofree NotchChannelStats *stats = g_new0 (NotchChannelStats, plan->n_channels);
  gboolean any_usable = FALSE;
  for (guint i = 0; i < samples->len; i++)
    any_usable |= ((const Sample *) samples->pdata[i])->usable;
  for (guint i = 0; i < samples->len; i++) {
    const Sample *sample = samples->pdata[i];
    if (any_usable && !sample->usable)
      continue;
    for (int c = 0; c < plan->n_channels; c++) {
      for (int b = 0; b < NOTCH_HISTOGRAM_BINS; b++)
        stats[c].histogram[b] += sample->stats[c].histogram[b];
      stats[c].sum2 += sample->stats[c].sum2, stats[c].n += sample->stats[c].n;
      stats[c].sum_dx2 += sample->stats[c].sum_dx2, stats[c].sum_dy2 += sample->stats[c].sum_dy2;
      stats[c].sum_dxdy += sample->stats[c].sum_dxdy;
    }
  }
  plan->threshold = notch_noise_threshold (
      plan->n_channels, plan->channel, stats, (int) areas->len, (const NotchNoiseArea *) areas->data,
      plan->recipe->detect.polarity == NOTCH_POLARITY_BOTH, plan->recipe->detect.false_alarms);
  for (int c = 0; c < plan->n_channels; c++)
    plan->channel[c].gain = (float) notch_noise_channel_gain (&stats[c], plan->threshold);
}

/* A rough edge is off to one side for tens of pixels, and so are its residuals, which a filter adds up: at edges it varies more
 * than each pixel's variance says. With a share `s` of it from edges, of which the filter sees K times as much, the
 * response's is 1 - s + K s; the edges' terms are made as large as they look to the filter. */
static gboolean
widen_edges (NotchPlan *plan, NotchCrew *crew, GPtrArray *samples, GError **error)
{
  for (int round = 0; round < EDGE_ROUNDS && (plan->noise.c > 0 || plan->noise.d > 0); round++) {
    double edge2 = 0, n_edge = 0, share = 0, flat2 = 0, n_flat = 0;
    if (!run_round (plan, crew, samples, take_edges, error))
      return FALSE;
    for (guint i = 0; i < samples->len; i++) {
      const Sample *sample = samples->pdata[i];
      edge2 += sample->edge2, n_edge += sample->n_edge, share += sample->share;
      flat2 += sample->flat2, n_flat += sample->n_flat;
    }
    if (n_edge < EDGE_LEAST || n_flat < EDGE_LEAST || edge2 * n_flat < EDGE_ENOUGH * flat2 * n_edge)
      break;
    double wider = 1 + (edge2 * n_flat / (flat2 * n_edge) - 1) * n_edge / share;
    plan->noise.c *= (float) wider, plan->noise.d *= (float) wider;
  }
  return TRUE;
}

/* Is any die turned or stretched against the others, so that its ends are elsewhere? How much is known from a few patches
 * only. */
static gboolean
any_turned (const NotchPlan *plan)
{
  gboolean turned = FALSE;
  if (!plan->warp)
    return FALSE;
  double far = 0.5 * MAX (hypot (plan->grid->ax, plan->grid->ay), hypot (plan->grid->bx, plan->grid->by));
  for (guint i = 0; i < plan->grid->die->len && !turned; i++)
    turned = notch_warp_steepness (&plan->warp[i]) * far > TURNED_LEAST;
  return turned;
}

/* What comes before the filters' null needs no filters but the screen's, and shares their lanes. */
static gboolean
measure_noise (NotchPlan *plan, const NotchReference *reference, const NotchCompute *compute, GPtrArray *samples,
               GError **error)
{
  g_autoptr (NotchCrew) crew = crew_with (plan, compute, N_SCREEN, screen, error);
  if (!crew || !take_residuals (plan, reference, compute, crew, samples, error))
    return FALSE;
  fit_noise (plan, reference, samples, compute->jobs);
  if (!run_round (plan, crew, samples, take_screen, error))
    return FALSE;
  fit_noise (plan, reference, samples, compute->jobs);
  /* Where wandering is forgiven, or a golden die knows how much every edge does, nothing is left to follow. */
  if ((plan->noise.c > WANDER_LEAST * WANDER_LEAST || (plan->noise.c > 0 && any_turned (plan)))
      && plan->recipe->reference.wander_px == 0 && !plan->mem_store[NOTCH_MEM_SPREAD]) {
    plan->follow = plan->noise;
    if (!run_round (plan, crew, samples, take_follow, error))
      return FALSE;
    fit_noise (plan, reference, samples, compute->jobs);
  }
  return widen_edges (plan, crew, samples, error) && run_round (plan, crew, samples, take_power, error);
}

gboolean
notch_survey (NotchPlan *plan, const NotchReference *reference, const NotchCompute *compute, GError **error)
{
  const NotchMethods methods = notch_reference_methods (plan->recipe, reference);
  for (int k = 0; k < methods.n; k++)
    if (!methods.method[k]->prepare (plan, compute, error))
      return FALSE;
  if (!notch_tile_jobs_check (plan, error))
    return FALSE;
  notch_plan_make_bank (plan);
  g_autoptr (GPtrArray) samples = choose_samples (plan, reference, compute);
  if (samples->len == 0) {
    g_set_error_literal (
        error, NOTCH_ERROR, NOTCH_ERROR_INSPECT,
        "nothing of the image can be compared with anything; check the die grid, the neighbours and the "
        "care areas of the recipe");
    return FALSE;
  }
  g_autoptr (GArray) areas = notch_care_measure (plan, reference);
  if (!measure_noise (plan, reference, compute, samples, error) || !fit_spectrum (plan, samples, error))
    return FALSE;
  g_autoptr (NotchCrew) crew = crew_with (plan, compute, plan->n_channels, plan->channel, error);
  if (!crew || !run_round (plan, crew, samples, take_null, error))
    return FALSE;
  set_threshold (plan, samples, areas);
  return TRUE;
}
