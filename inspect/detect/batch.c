/* batch.c - tiles and bands: what the worker loop is fed with */
#include "inspect/detect/survey.h"

#include "inspect/detect/noise.h"
#include "inspect/reference/register.h"

#include <math.h>

struct NotchBand {
  const NotchKernels *kernels;
  int device; /* whose memory it lies in */
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
  const NotchMethods methods = notch_reference_methods (plan->recipe, reference);
  for (int k = 0; k < methods.n; k++) {
    NotchNeeds more = { 0 };
    methods.method[k]->needs (plan, row * plan->tiling.core - plan->tiling.halo, plan->tiling.size, &more);
    notch_reference_add_needs (&needs, &more);
  }
  g_autoptr (NotchBand) band = g_atomic_rc_box_new0 (NotchBand);
  band->kernels = compute->kernels;
  band->device = (int) (row % compute->n_devices);
  for (int i = 0; i < NOTCH_MAX_MEM; i++) {
    NotchFault fault = { 0 };
    if (needs.n[i] == 0)
      continue;
    band->strip[i] =
        notch_store_strip (i == NOTCH_MEM_IMAGE ? plan->store : plan->mem_store[i], needs.rows[i], needs.n[i], error);
    if (!band->strip[i])
      return NULL;
    band->mem[i] =
        compute->kernels->strip_up (compute->device[band->device], notch_strip_pixels (band->strip[i]), &fault);
    if (!band->mem[i]) {
      notch_fault_error (&fault, compute->kernels->name, error);
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

int
notch_band_device (const NotchBand *band)
{
  return band->device;
}

void
notch_band_release (NotchBand *band)
{
  if (band)
    g_atomic_rc_box_release_full (band, clear_band);
}

NotchTileBatch *
notch_tile_batch_new (const NotchBand *band, NotchTileJob *const *job, int n)
{
  NotchTileBatch *batch = g_new0 (NotchTileBatch, 1);
  batch->tile = g_array_new (FALSE, FALSE, sizeof (NotchTile));
  batch->piece = g_array_new (FALSE, FALSE, sizeof (NotchPiece));
  batch->source = g_array_new (FALSE, FALSE, sizeof (NotchSourceShift));
  for (int i = 0; i < n; i++) {
    NotchTile tile = job[i]->tile;
    guint first_source = batch->source->len;
    tile.first_piece = (int) batch->piece->len;
    g_array_append_val (batch->tile, tile);
    g_array_append_vals (batch->piece, job[i]->piece->data, job[i]->piece->len);
    g_array_append_vals (batch->source, job[i]->source->data, job[i]->source->len);
    for (guint p = (guint) tile.first_piece; p < batch->piece->len; p++)
      g_array_index (batch->piece, NotchPiece, p).first_source += (int) first_source;
  }
  batch->batch = (NotchBatch){
    .n_tiles = n,
    .tile = (const NotchTile *) batch->tile->data,
    .piece = (const NotchPiece *) batch->piece->data,
    .source = (const NotchSourceShift *) batch->source->data,
  };
  for (int i = 0; i < NOTCH_MAX_MEM; i++)
    batch->batch.mem[i] = band->mem[i];
  return batch;
}

void
notch_tile_batch_free (NotchTileBatch *batch)
{
  if (!batch)
    return;
  g_array_unref (batch->tile);
  g_array_unref (batch->piece);
  g_array_unref (batch->source);
  g_free (batch);
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
  if (!edge && !plan->regions)
    return TRUE;
  float *weight = g_try_new (float, (gsize) size *(gsize) size);
  if (!weight) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT,
                 "no memory for the sensitivities of %d x %d px; use smaller tiles ([detect] tile_px)", size, size);
    return FALSE;
  }
  for (int y = 0; y < size; y++)
    notch_care_row (&care, (double) tile_x, (double) (tile_y + y), size, weight + (gsize) y * (gsize) size);
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

/* A region's piece is no narrower than this, unless the tile's edge cuts it: there is too little to fit in less. */
#define LEAST_PIECE 16

/* What the methods of regions have for a tile. */
typedef struct {
  const NotchPlan *plan;
  NotchTileJob *job;
  NotchMethods methods;                                         /* the image's own first */
  GArray *piece[NOTCH_MAX_METHODS], *source[NOTCH_MAX_METHODS]; /* NULL: not asked yet */
} RegionPieces;

/* Appends what a region's method has in a box; where that is nothing, the image's own pieces count. */
static void
append_box (const NotchRegion *region, const NotchDie *die, const NotchRegionBox *box, gpointer data)
{
  RegionPieces *all = data;
  NotchTileJob *job = all->job;
  const NotchTile *tile = &job->tile;
  const NotchReference *method = notch_reference_of_region (region);
  int k = 0, size = all->plan->tiling.size;
  while (k < all->methods.n && all->methods.method[k] != method)
    k++;
  if (k == all->methods.n || (die && !notch_die_inspected (all->plan, die)))
    return;
  if (!all->piece[k]) {
    all->piece[k] = g_array_new (FALSE, FALSE, sizeof (NotchPiece));
    all->source[k] = g_array_new (FALSE, FALSE, sizeof (NotchSourceShift));
    method->pieces (all->plan, tile->x, tile->y, size, all->piece[k], all->source[k]);
  }
  for (guint i = 0; i < all->piece[k]->len; i++) {
    NotchPiece piece = g_array_index (all->piece[k], NotchPiece, i);
    int x0 = MAX (piece.x, (int) (box->x0 - tile->x)), x1 = MIN (piece.x + piece.w, (int) (box->x1 - tile->x));
    int y0 = MAX (piece.y, (int) (box->y0 - tile->y)), y1 = MIN (piece.y + piece.h, (int) (box->y1 - tile->y));
    gboolean narrow = x1 - x0 < MIN (LEAST_PIECE, piece.w) && x0 > 0 && x1 < size;
    gboolean flat = y1 - y0 < MIN (LEAST_PIECE, piece.h) && y0 > 0 && y1 < size;
    if (piece.n_sources == 0 || x0 >= x1 || y0 >= y1 || narrow || flat)
      continue;
    const NotchSourceShift *shift = &g_array_index (all->source[k], NotchSourceShift, piece.first_source);
    piece.x = x0, piece.y = y0, piece.w = x1 - x0, piece.h = y1 - y0;
    piece.first_source = (int) job->source->len;
    g_array_append_vals (job->source, shift, (guint) (piece.n_sources + piece.n_spreads));
    g_array_append_val (job->piece, piece);
  }
}

static void
append_regions (const NotchPlan *plan, const NotchReference *reference, NotchTileJob *job)
{
  RegionPieces all = { .plan = plan, .job = job, .methods = notch_reference_methods (plan->recipe, reference) };
  if (!plan->regions || all.methods.n == 1) /* one method for all is one piece for all */
    return;
  notch_regions_boxes (plan->regions, job->tile.x, job->tile.y, plan->tiling.size, plan->tiling.size, append_box, &all);
  for (int k = 0; k < all.methods.n; k++) {
    g_clear_pointer (&all.piece[k], g_array_unref);
    g_clear_pointer (&all.source[k], g_array_unref);
  }
}

/* Regions whose method has something to compare them with. */
typedef struct {
  const NotchPlan *plan;
  GHashTable *well; /* NotchRegion */
} RegionCheck;

static void
check_box (const NotchRegion *region, const NotchDie *die, const NotchRegionBox *box, gpointer data)
{
  const RegionCheck *check = data;
  const NotchPlan *plan = check->plan;
  int size = plan->tiling.size;
  if (die && !notch_die_inspected (plan, die))
    return;
  for (gint64 y = box->y0; y < box->y1; y += size)
    for (gint64 x = box->x0; x < box->x1 && !g_hash_table_contains (check->well, region); x += size) {
      g_autoptr (GArray) piece = g_array_new (FALSE, FALSE, sizeof (NotchPiece));
      g_autoptr (GArray) source = g_array_new (FALSE, FALSE, sizeof (NotchSourceShift));
      notch_reference_of_region (region)->pieces (plan, x, y, size, piece, source);
      for (guint i = 0; i < piece->len; i++) {
        const NotchPiece *one = &g_array_index (piece, NotchPiece, i);
        if (one->n_sources > 0 && x + one->x < box->x1 && y + one->y < box->y1)
          g_hash_table_add (check->well, (gpointer) region);
      }
    }
}

gboolean
notch_tile_jobs_check (const NotchPlan *plan, GError **error)
{
  g_autoptr (GHashTable) well = g_hash_table_new (NULL, NULL);
  RegionCheck check = { plan, well };
  if (plan->regions)
    notch_regions_boxes (plan->regions, 0, 0, plan->source->width, plan->source->height, check_box, &check);
  for (guint i = 0; i < plan->recipe->region->len; i++) {
    const NotchRegion *region = plan->recipe->region->pdata[i];
    const NotchReference *method = notch_reference_of_region (region);
    if (!method || g_hash_table_contains (well, region))
      continue;
    g_autofree char *group = g_strconcat ("region ", region->name, NULL);
    g_autofree char *place = notch_recipe_place (plan->recipe, group, "method");
    g_set_error (
        error, NOTCH_ERROR, NOTCH_ERROR_RECIPE,
        "%s: the method %s has nothing to compare with anywhere in this region; look where it lies, or leave its "
        "method out",
        place, method->name);
    return FALSE;
  }
  return TRUE;
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
  append_regions (plan, reference, job);
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

/* ---- areas ----------------------------------------------------------------------------------------------------- */

/* Places that the image is sampled at: enough for areas to a per cent, and a moment's work. */
#define AREA_PLACES (1 << 18)

static int
compare_areas (gconstpointer a, gconstpointer b)
{
  const NotchNoiseArea *x = a, *y = b;
  return (x->weight > y->weight) - (x->weight < y->weight);
}

static void
add_place (GArray *areas, double sensitivity, double n_pixels)
{
  for (guint i = 0; i < areas->len; i++) {
    NotchNoiseArea *area = &g_array_index (areas, NotchNoiseArea, i);
    if (area->weight == sensitivity) {
      area->n_pixels += n_pixels;
      return;
    }
  }
  const NotchNoiseArea area = { sensitivity, n_pixels };
  g_array_append_val (areas, area);
}

/* The first of the places every `step` px at or after `from`. */
static gint64
first_place (gint64 from, gint64 step)
{
  return (from + step - 1 - step / 2) / step * step + step / 2;
}

/* Adds the places of a tile's core that have something to be compared with. */
static void
measure_tile (const NotchCare *care, const NotchTileJob *job, gint64 step, GArray *areas)
{
  const NotchTile *tile = &job->tile;
  int end_x = MIN (tile->core_x + tile->core_w, tile->inside_x + tile->inside_w);
  int end_y = MIN (tile->core_y + tile->core_h, tile->inside_y + tile->inside_h);
  g_autofree float *row = g_new (float, tile->core_w);
  for (gint64 y = first_place (tile->y + MAX (tile->core_y, tile->inside_y), step); y < tile->y + end_y; y += step) {
    notch_care_row (care, (double) (tile->x + tile->core_x), (double) y, tile->core_w, row);
    for (gint64 x = first_place (tile->x + MAX (tile->core_x, tile->inside_x), step); x < tile->x + end_x; x += step) {
      gboolean covered = FALSE;
      for (guint i = job->piece->len; i-- > 0;) { /* the last one counts */
        const NotchPiece *piece = &g_array_index (job->piece, NotchPiece, i);
        if (x - tile->x < piece->x || y - tile->y < piece->y || x - tile->x >= piece->x + piece->w
            || y - tile->y >= piece->y + piece->h)
          continue;
        covered = piece->n_sources > 0;
        break;
      }
      float sensitivity = covered ? row[x - tile->x - tile->core_x] : 0;
      if (sensitivity > 0)
        add_place (areas, sensitivity, (double) (step * step));
    }
  }
}

GArray *
notch_care_measure (NotchPlan *plan, const NotchReference *reference)
{
  const NotchTiling *tiling = &plan->tiling;
  gint64 width = plan->source->width, height = plan->source->height;
  gint64 step = MAX ((gint64) ceil (sqrt ((double) width * (double) height / AREA_PLACES)), 1);
  GArray *areas = g_array_new (FALSE, FALSE, sizeof (NotchNoiseArea));
  plan->keenest = 0;
  NotchCare care = notch_care_new (plan);
  for (gint64 row = 0; row < tiling->n_rows; row++) {
    if (first_place (row * tiling->core, step) >= (row + 1) * tiling->core)
      continue;
    for (gint64 col = 0; col < tiling->n_cols; col++) {
      if (first_place (col * tiling->core, step) >= (col + 1) * tiling->core)
        continue;
      g_autoptr (NotchTileJob) job = notch_tile_job_new (plan, reference, col, row);
      if (job)
        measure_tile (&care, job, step, areas);
    }
  }
  if (areas->len == 0) /* less than the places show: as if it were all */
    add_place (areas, 1, (double) width * (double) height);
  g_array_sort (areas, compare_areas);
  plan->keenest = g_array_index (areas, NotchNoiseArea, areas->len - 1).weight;
  for (guint i = 0; i < areas->len; i++)
    g_array_index (areas, NotchNoiseArea, i).weight /= plan->keenest;
  return areas;
}

NotchFit
notch_plan_fit (const NotchPlan *plan, const NotchReference *reference, const NotchBatch *batch)
{
  const NotchRecipe *recipe = plan->recipe;
  if (reference->exact || reference->smooth)
    return (NotchFit){ batch, NOTCH_FIT_NOTHING, reference->exact ? (float) recipe->reference.scale : 1, 0, 0, 0, 0 };
  return (NotchFit){ batch,
                     NOTCH_FIT_GAIN | NOTCH_FIT_SHIFT | (recipe->reference.shading ? NOTCH_FIT_SHADE : 0)
                         | (recipe->reference.focus ? NOTCH_FIT_FOCUS : 0),
                     1,
                     recipe->reference.wander_px,
                     (float) recipe->detect.least_sigma,
                     (float) recipe->reference.contrast,
                     plan->speed->fit_samples };
}
