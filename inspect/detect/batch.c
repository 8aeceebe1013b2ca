/* batch.c - tiles and bands: what the worker loop is fed with */
#include "inspect/detect/survey.h"

#include <math.h>

struct NotchBand {
  const NotchKernels *kernels;
  NotchStrip *strip[NOTCH_MAX_MEM];
  NotchStripMem *mem[NOTCH_MAX_MEM];
};

static void
clear_band (gpointer data)
{
  NotchBand *band = data;
  for (int i = 0; i < NOTCH_MAX_MEM; i++) {
    if (band->mem[i])
      band->kernels->strip_free (band->mem[i]);
    g_clear_pointer (&band->strip[i], notch_strip_release);
  }
}

NotchBand *
notch_band_new (const NotchPlan *plan, const NotchReference *reference, const NotchCompute *compute, gint64 row,
                GError **error)
{
  NotchNeeds needs = { 0 };
  reference->needs (plan, row * plan->tiling.core - plan->tiling.halo, plan->tiling.size, &needs);
  g_autoptr (NotchBand) band = g_atomic_rc_box_new0 (NotchBand);
  band->kernels = compute->kernels;
  for (int i = 0; i < NOTCH_MAX_MEM; i++) {
    char fault[256] = "";
    if (needs.n[i] == 0)
      continue;
    band->strip[i] =
        notch_store_strip (i == NOTCH_MEM_IMAGE ? plan->store : plan->mem_store[i], needs.rows[i], needs.n[i], error);
    if (!band->strip[i])
      return NULL;
    band->mem[i] = compute->kernels->strip_up (compute->device, notch_strip_pixels (band->strip[i]), fault);
    if (!band->mem[i]) {
      g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_DEVICE, "%s: %s", compute->kernels->name, fault);
      return NULL;
    }
  }
  return g_steal_pointer (&band);
}

NotchBand *
notch_band_acquire (NotchBand *band)
{
  return g_atomic_rc_box_acquire (band);
}

void
notch_band_release (NotchBand *band)
{
  if (band)
    g_atomic_rc_box_release_full (band, clear_band);
}

NotchBatch
notch_band_batch (const NotchBand *band, const NotchTileJob *job)
{
  NotchBatch batch = {
    .n_tiles = 1,
    .tile = &job->tile,
    .piece = (const NotchPiece *) job->piece->data,
    .source = (const NotchSourceShift *) job->source->data,
  };
  for (int i = 0; i < NOTCH_MAX_MEM; i++)
    batch.mem[i] = band->mem[i];
  return batch;
}

/* ---- sensitivities ---------------------------------------------------------------------------------------------- */

gboolean
notch_tile_job_weigh (const NotchPlan *plan, NotchTileJob *job, GError **error)
{
  const NotchOutline *outline = &plan->outline;
  gint64 tile_x = job->tile.x, tile_y = job->tile.y;
  int size = plan->tiling.size;
  NotchCare care = notch_care_new (plan);
  double far_x = MAX (fabs ((double) tile_x - outline->x), fabs ((double) (tile_x + size) - outline->x));
  double far_y = MAX (fabs ((double) tile_y - outline->y), fabs ((double) (tile_y + size) - outline->y));
  gboolean edge = care.radius > 0 && hypot (far_x, far_y) > care.radius;
  if (!edge && plan->recipe->region->len == 0)
    return TRUE;
  float *weight = g_try_new (float, (gsize) size *(gsize) size);
  if (!weight) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT,
                 "no memory for the sensitivities of %d x %d px; use smaller tiles ([detect] tile_px)", size, size);
    return FALSE;
  }
  for (int y = 0; y < size; y++)
    for (int x = 0; x < size; x++)
      weight[(gsize) y * (gsize) size + (gsize) x] =
          notch_care_at (&care, (double) (tile_x + x), (double) (tile_y + y));
  job->weight = weight;
  job->tile.weight = weight;
  return TRUE;
}

/* ---- tiles ----------------------------------------------------------------------------------------------------- */

void
notch_tile_job_free (NotchTileJob *job)
{
  if (!job)
    return;
  g_array_unref (job->piece);
  g_array_unref (job->source);
  g_free (job->weight);
  g_free (job);
}

NotchTileJob *
notch_tile_job_new (const NotchPlan *plan, const NotchReference *reference, gint64 col, gint64 row)
{
  const NotchTiling *tiling = &plan->tiling;
  gint64 left = col * tiling->core, top = row * tiling->core;
  g_autoptr (NotchTileJob) job = g_new0 (NotchTileJob, 1);
  job->piece = g_array_new (FALSE, FALSE, sizeof (NotchPiece));
  job->source = g_array_new (FALSE, FALSE, sizeof (NotchSourceShift));
  job->tile = (NotchTile){
    .x = left - tiling->halo,
    .y = top - tiling->halo,
    .core_x = tiling->halo,
    .core_y = tiling->halo,
    .core_w = (int) MIN (tiling->core, plan->source->width - left),
    .core_h = (int) MIN (tiling->core, plan->source->height - top),
    .inside_x = (int) MAX (NOTCH_BORDER - (left - tiling->halo), 0),
    .inside_y = (int) MAX (NOTCH_BORDER - (top - tiling->halo), 0),
  };
  job->tile.inside_w = (int) MIN (plan->source->width - NOTCH_BORDER - job->tile.x, tiling->size) - job->tile.inside_x;
  job->tile.inside_h = (int) MIN (plan->source->height - NOTCH_BORDER - job->tile.y, tiling->size) - job->tile.inside_y;
  reference->pieces (plan, job->tile.x, job->tile.y, tiling->size, job->piece, job->source);
  gboolean anything = FALSE;
  for (guint i = 0; i < job->piece->len && !anything; i++) {
    const NotchPiece *piece = &g_array_index (job->piece, NotchPiece, i);
    anything = piece->n_sources > 0 && piece->x < job->tile.core_x + job->tile.core_w
               && piece->x + piece->w > job->tile.core_x && piece->y < job->tile.core_y + job->tile.core_h
               && piece->y + piece->h > job->tile.core_y;
  }
  if (!anything)
    return NULL;
  job->tile.n_pieces = (int) job->piece->len;
  return g_steal_pointer (&job);
}

NotchFit
notch_plan_fit (const NotchPlan *plan, const NotchReference *reference, const NotchBatch *batch)
{
  const NotchRecipe *recipe = plan->recipe;
  if (reference->exact || reference->smooth)
    return (NotchFit){ batch, NOTCH_FIT_NOTHING, reference->exact ? (float) recipe->reference.scale : 1, 0, 0 };
  return (NotchFit){ batch,
                     NOTCH_FIT_GAIN | NOTCH_FIT_SHIFT | (recipe->reference.shading ? NOTCH_FIT_SHADE : 0)
                         | (recipe->reference.focus ? NOTCH_FIT_FOCUS : 0),
                     1, recipe->reference.wander_px, (float) recipe->detect.least_sigma };
}
