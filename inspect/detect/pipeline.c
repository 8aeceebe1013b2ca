/* pipeline.c - strips to batches, batches to blobs, blobs joined over seams */
#include "inspect/detect/pipeline.h"

#include "inspect/detect/join.h"
#include "kernels/math/blob.h"

#define MAX_BLOBS   4096 /* a tile; beyond that a tile differs everywhere and all becomes one blob */
#define MAX_PATCHES 32   /* a tile */
#define ALL_PATCHES 8192 /* an image, where patches of all defects are wanted; 256 MiB of 64 px */

typedef struct {
  const NotchPlan *plan;
  const NotchReference *reference;
  const NotchKernels *kernels;
  int patch_side;
  GMutex lock;                  /* guards what follows */
  NotchJoin *join, *candidates; /* NULL: none are wanted */
  NotchFound found;             /* but for the blobs */
} Pass;

/* Tiles of one row that are worked on together. */
typedef struct {
  Pass *pass;
  NotchBand *band;
  GPtrArray *job; /* NotchTileJob */
  int row;
} Task;

static void
task_free (Task *task)
{
  notch_band_release (task->band);
  g_ptr_array_unref (task->job);
  g_free (task);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Task, task_free)

/* What the patches of a tile look like, beside them; freed with g_free. */
static NotchLook *
look_at (const Pass *pass, const NotchTileFound *found)
{
  const NotchPlan *plan = pass->plan;
  const int side = pass->patch_side, size = plan->tiling.size;
  NotchLook *look = g_new (NotchLook, found->n_patches + 1);
  for (int i = 0; i < found->n_patches; i++) {
    const NotchBlob *blob = &found->blob[found->patch_blob[i]];
    const int x = notch_blob_crop (blob, blob->wx, blob->x, side, size);
    const int y = notch_blob_crop (blob, blob->wy, blob->y, side, size);
    const gboolean filtered = blob->peak_channel >= 0 && blob->peak_channel < plan->n_channels;
    const NotchLookPlace place = { blob->x0 - x,
                                   blob->y0 - y,
                                   blob->x1 - x,
                                   blob->y1 - y,
                                   filtered ? (double) plan->channel[blob->peak_channel].sigma : 1,
                                   plan->recipe->reference.wander_px };
    look[i] = notch_look_measure (found->patch + 2 * (gsize) i * (gsize) side * (gsize) side, side, &place);
  }
  return look;
}

/* Joins what was found in a task's tiles; `counted`: how much was looked at, too. */
static void
join_found (const Task *task, NotchJoin *join, const NotchTileFound *found, gboolean counted)
{
  g_autoptr (GPtrArray) looks = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < task->job->len; i++)
    g_ptr_array_add (looks, look_at (task->pass, &found[i]));
  Pass *pass = task->pass;
  g_mutex_lock (&pass->lock);
  for (guint i = 0; i < task->job->len; i++) {
    const NotchTileJob *job = task->job->pdata[i];
    notch_join_add (join, task->row, &job->tile, &found[i], looks->pdata[i]);
    if (!counted)
      continue;
    pass->found.inspected_px += found[i].n_inspected;
    pass->found.lost_px += found[i].n_lost;
    pass->found.swamped_tiles += found[i].swamped;
  }
  g_mutex_unlock (&pass->lock);
}

/* The pipeline itself: a batch's way from raw rows to blobs. */
static gboolean
inspect_tiles (NotchLane *lane, gpointer data, GError **error)
{
  g_autoptr (Task) task = data;
  if (!lane)
    return FALSE;
  Pass *pass = task->pass;
  const NotchPlan *plan = pass->plan;
  const NotchKernels *k = pass->kernels;
  const NotchRecipe *recipe = plan->recipe;
  int n = (int) task->job->len;
  for (int i = 0; i < n; i++)
    if (!notch_tile_job_weigh (plan, task->job->pdata[i], error))
      return FALSE;
  g_autoptr (NotchTileBatch) tiles = notch_tile_batch_new (task->band, (NotchTileJob *const *) task->job->pdata, n);
  const NotchBatch *batch = &tiles->batch;
  float seed = (float) plan->threshold, grow = MIN ((float) recipe->detect.grow_sigma, seed);
  const NotchFit fit = notch_plan_fit (plan, pass->reference, batch);
  g_autofree NotchTileFound *found = g_new0 (NotchTileFound, n);
  gboolean well = k->gather (lane, &(NotchGather){ batch }) == 0 && k->refer (lane, &(NotchRefer){ batch }) == 0
                  && k->fit (lane, &fit) == 0
                  && (plan->follow.c == 0 || k->follow (lane, &(NotchFollow){ batch, plan->follow }) == 0)
                  && k->normalise (lane, &(NotchNormalise){ batch, plan->noise, plan->spread_trust }) == 0
                  && k->filter (lane, &(NotchFilter){ batch, plan->n_channels, plan->channel, NULL }) == 0
                  && k->label (lane, &(NotchLabel){ batch, seed, grow, recipe->detect.merge_px }) == 0
                  && k->patch (lane, &(NotchPatch){ batch, pass->patch_side, MAX_PATCHES }) == 0
                  && k->finish (lane, found) == 0;
  if (!well)
    return notch_kernels_error (k, lane, error);
  join_found (task, pass->join, found, TRUE);
  if (!pass->candidates)
    return TRUE;
  /* Once more, for what is weaker; its blobs have nothing to do with those above, which stay as they are. */
  seed = (float) recipe->detect.candidate_sigma;
  if (k->label (lane, &(NotchLabel){ batch, seed, MIN (grow, seed), recipe->detect.merge_px }) != 0
      || k->finish (lane, found) != 0)
    return notch_kernels_error (k, lane, error);
  for (int i = 0; i < n; i++)
    found[i].n_patches = 0;
  join_found (task, pass->candidates, found, FALSE);
  return TRUE;
}

/* How many crops are kept: those that become pictures, or nearly all; never as many as memory holds, for what a classifier
 * sees must not depend on it. */
static gsize
most_patches (const NotchPlan *plan)
{
  gsize pictures = (gsize) MAX (plan->recipe->report.crops, 0);
  return plan->all_patches ? MAX (pictures, ALL_PATCHES) : pictures;
}

/* A batch is of one row of tiles; a row's are as even as can be, for a device may take as long for one that is not full. */
static NotchLaneSize
lane_size (const NotchPlan *plan, int most, int patch_side)
{
  gint64 n_batches = (plan->tiling.n_cols + most - 1) / most;
  return (NotchLaneSize){
    .batch = (int) ((plan->tiling.n_cols + n_batches - 1) / n_batches),
    .size = plan->tiling.size,
    .halo = plan->tiling.halo,
    .max_blobs = MAX_BLOBS,
    .patch_side = patch_side,
    .max_patches = MAX_PATCHES,
    .n_channels = plan->n_channels,
    .channel = plan->channel,
    .whiten = plan->whiten,
  };
}

/* A tile without anything to inspect still has to be known to join. */
static void
add_empty (Pass *pass, int row)
{
  const NotchTile tile = { 0 };
  const NotchTileFound nothing = { 0 };
  g_mutex_lock (&pass->lock);
  notch_join_add (pass->join, row, &tile, &nothing, NULL);
  if (pass->candidates)
    notch_join_add (pass->candidates, row, &tile, &nothing, NULL);
  g_mutex_unlock (&pass->lock);
}

/* Makes the tasks of one row of tiles; FALSE when the crew has given up. */
static gboolean
push_row (Pass *pass, NotchCrew *crew, const NotchReference *reference, NotchBand *band, int row)
{
  Task *task = NULL;
  guint n_pieces = 0;
  gboolean well = TRUE;
  for (gint64 col = 0; col < pass->plan->tiling.n_cols && well; col++) {
    NotchTileJob *job = notch_tile_job_new (pass->plan, reference, col, row);
    if (!job) {
      add_empty (pass, row);
      continue;
    }
    if (!notch_store_go_on (pass->plan->store, NULL))
      notch_crew_cancel (crew);
    if (task && (task->job->len == (guint) notch_crew_batch (crew) || n_pieces + job->piece->len > NOTCH_MAX_PIECES))
      well = notch_crew_push (crew, notch_band_device (band), inspect_tiles, g_steal_pointer (&task));
    if (!task) {
      task = g_new (Task, 1);
      *task = (Task){ pass, notch_band_acquire (band), NULL, row };
      task->job = g_ptr_array_new_with_free_func ((GDestroyNotify) notch_tile_job_free);
      n_pieces = 0;
    }
    n_pieces += job->piece->len;
    g_ptr_array_add (task->job, job);
  }
  if (task && !well)
    task_free (task);
  else if (task)
    well = notch_crew_push (crew, notch_band_device (band), inspect_tiles, task);
  return well;
}

/* The blobs of the second labelling that no found blob is part of. */
static GArray *
finish_candidates (NotchJoin *join, double threshold)
{
  GArray *all = notch_join_finish (join);
  guint kept = 0;
  for (guint i = 0; i < all->len; i++) { /* none has a patch */
    NotchJoined *blob = &g_array_index (all, NotchJoined, i);
    blob->n_seed = 0; /* of the threshold that counts */
    if (blob->peak < threshold * 256)
      g_array_index (all, NotchJoined, kept++) = *blob;
  }
  g_array_set_size (all, kept);
  return all;
}

gboolean
notch_pipeline_run (const NotchPlan *plan, const NotchReference *reference, const NotchCompute *compute,
                    NotchStepFunc step, gpointer data, NotchFound *found, GError **error)
{
  const NotchTiling *tiling = &plan->tiling;
  int patch_side = MIN (plan->recipe->report.crop_px, 2 * tiling->halo);
  NotchLaneSize size = lane_size (plan, notch_compute_batch (compute), patch_side);
  g_autoptr (NotchCrew) crew = notch_crew_new (compute, &size, error);
  if (!crew)
    return FALSE;
  g_autofree int *tiles_in_row = g_new (int, tiling->n_rows);
  for (gint64 row = 0; row < tiling->n_rows; row++)
    tiles_in_row[row] = (int) tiling->n_cols;
  Pass pass = { .plan = plan, .reference = reference, .kernels = compute->kernels, .patch_side = patch_side };
  pass.join = notch_join_new (plan->recipe->detect.merge_px, (int) tiling->n_rows, tiles_in_row, patch_side,
                              most_patches (plan));
  double candidate = plan->recipe->detect.candidate_sigma;
  if (candidate > 0 && candidate < plan->threshold)
    pass.candidates = notch_join_new (plan->recipe->detect.merge_px, (int) tiling->n_rows, tiles_in_row, 0, 0);
  g_mutex_init (&pass.lock);
  gboolean read = TRUE, pushed = TRUE;
  for (gint64 row = 0; row < tiling->n_rows && read && pushed; row++) {
    g_autoptr (NotchBand) band = notch_band_new (plan, reference, compute, row, error);
    read = band != NULL;
    pushed = read && push_row (&pass, crew, reference, band, (int) row);
    if (step && !step ((double) (row + 1) / (double) tiling->n_rows, data))
      notch_crew_cancel (crew);
  }
  gboolean well = notch_crew_wait (crew, read ? error : NULL) && read;
  if (well) {
    *found = pass.found;
    found->blob = notch_join_finish (pass.join);
    found->candidate = pass.candidates ? finish_candidates (pass.candidates, plan->threshold) : NULL;
  }
  notch_join_free (pass.join);
  notch_join_free (pass.candidates);
  g_mutex_clear (&pass.lock);
  return well;
}
