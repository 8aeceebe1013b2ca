/* inspect.c - see inspect.h */
#include "inspect/detect/inspect.h"

#include "inspect/classify/drift.h"

#include "inspect/classify/limits.h"
#include "inspect/classify/signature.h"
#include "inspect/detect/echo.h"
#include "inspect/detect/features.h"
#include "inspect/detect/join.h"
#include "inspect/image/reduce.h"
#include "inspect/sign/sign.h"
#include "inspect/wafer/discover.h"
#include "inspect/wafer/distortion.h"
#include "inspect/wafer/median.h"

#include <math.h>
#include <string.h>

/* A die of which more than this part differs was not made like its neighbours. */
#define FAILED_SHARE 0.25

/* Left out of the noise: defects alone are not so many. */
#define MOST_LEFT_OUT 0.03

/* What a worker's memory is for each pixel of a tile: planes, spectra, filters and runs. */
#define LANE_BYTES 64

/* Parts of an image without dice that arrays are: least, to inspect them alone; so much that nothing is missing. */
#define LEAST_ARRAYS 0.5
#define WHOLE        0.95

void
notch_inspection_free (NotchInspection *inspection)
{
  if (!inspection)
    return;
  g_clear_pointer (&inspection->result, notch_result_free);
  g_clear_pointer (&inspection->store, notch_store_free);
  g_clear_pointer (&inspection->source, notch_source_close);
  g_clear_pointer (&inspection->recipe, notch_recipe_free);
  g_free (inspection);
}

NotchInspection *
notch_inspection_new (NotchSource *source, const NotchRecipe *recipe, int jobs)
{
  NotchInspection *inspection = g_new0 (NotchInspection, 1);
  inspection->recipe = notch_recipe_copy (recipe);
  inspection->source = source;
  inspection->store = notch_store_new (source, (guint64) recipe->detect.memory_mib << 20, jobs);
  return inspection;
}

NotchInspection *
notch_inspection_open (const char *path, int page, const NotchRecipe *recipe, int jobs, GError **error)
{
  const NotchSourceOptions options = { page, recipe->detect.colour, (guint64) recipe->detect.memory_mib << 20 };
  NotchSource *source = notch_source_open (path, &options, error);
  return source ? notch_inspection_new (source, recipe, jobs) : NULL;
}

/* ---- geometry -------------------------------------------------------------------------------------------------- */

/* What overviews draw as black and white: all but the outermost half per cent. */
static void
stretch (NotchResult *result)
{
  gint64 n = result->reduced_width * result->reduced_height, step = n / 100000 + 1, taken = 0;
  g_autofree float *sample = g_new (float, n / step + 1);
  for (gint64 i = 0; i < n; i += step)
    if (!isnan (result->reduced[i]))
      sample[taken++] = result->reduced[i];
  if (taken == 0)
    sample[taken++] = 0;
  result->grey_low = notch_select (sample, (gsize) taken, (gsize) (taken / 200));
  result->grey_high = notch_select (sample, (gsize) taken, (gsize) (taken - 1 - taken / 200));
  if (result->grey_high <= result->grey_low)
    result->grey_high = result->grey_low + 1;
}

/* Of the image, or of every die. */
static double
share_of_arrays (const NotchArrays *arrays)
{
  double share = 0;
  for (int i = 0; arrays && i < arrays->n; i++)
    share += arrays->share[i];
  return share;
}

/* Without dice, arrays are what there is to inspect if they are most of the image, and the bare surface is if nothing in
 * it but noise stands out of a smooth background. The geometry that was found is the plan's. */
static gboolean
choose_method (NotchPlan *plan, const NotchReference **reference, GError **error)
{
  double share = share_of_arrays (plan->arrays);
  gboolean unset = !plan->grid && plan->recipe->reference.method == NOTCH_REFERENCE_AUTO;
  if (unset && share >= LEAST_ARRAYS)
    *reference = &notch_reference_array;
  else if (unset) {
    plan->mesh = notch_mesh_new (plan, plan->recipe->reference.mesh_px, error);
    if (!plan->mesh)
      return FALSE;
    if (notch_mesh_is_bare (plan->mesh)) {
      *reference = &notch_reference_surface;
      g_info ("%s: no pattern: %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT
              " squares of %d px are noise on a smooth background, so it is inspected as a bare surface",
              plan->source->path, plan->mesh->n_known - plan->mesh->n_patterned, plan->mesh->n_known, plan->mesh->px);
    }
  }
  if (*reference == &notch_reference_array && plan->arrays && share < WHOLE)
    g_ptr_array_add (plan->warning,
                     g_strdup_printf ("arrays are %.0f %% of %s, and only they are inspected; what is around "
                                      "them wants neighbouring dice or an image to compare with",
                                      100 * share, plan->grid ? "a die" : "the image"));
  return TRUE;
}

/* An image that shows nothing at all is told so, rather than what its dice lack. */
static gboolean
check_contrast (const NotchReduced *reduced, NotchSample sample, GError **error)
{
  gint64 n = reduced->width * reduced->height, same = 1;
  while (same < n && reduced->value[same] == reduced->value[0])
    same++;
  if (same < n)
    return TRUE;
  if (sample == NOTCH_SAMPLE_F32 && reduced->value[0] == 0) /* which is what pixels that are no numbers count as */
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT,
                 "has no contrast, its pixels are 0 or no numbers; check how it was exported");
  else
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT,
                 "has no contrast, all of it is at level %g; check how it was exposed and exported",
                 (double) reduced->value[0]);
  return FALSE;
}

static gboolean
find_geometry (NotchInspection *inspection, NotchPlan *plan, const NotchReference **reference, GError **error)
{
  NotchResult *result = inspection->result;
  int factor = notch_reduce_factor (inspection->source->width, inspection->source->height, NOTCH_OVERVIEW_PX);
  g_autoptr (NotchReduced) reduced =
      notch_reduce (inspection->store, 0, 0, inspection->source->width, inspection->source->height, factor, error);
  if (!reduced)
    return FALSE;
  NotchMethods methods = notch_reference_methods (inspection->recipe, *reference);
  const NotchReference *finder = notch_reference_finder (&methods);
  if (finder) {
    g_autoptr (NotchDiscovery) found = finder->discover (plan, reduced, inspection->recipe, error);
    if (!found)
      return FALSE;
    g_auto (GStrv) line = g_strsplit (found->report, "\n", -1);
    for (int i = 0; line[i]; i++)
      if (*line[i])
        g_info ("%s: %s", inspection->source->path, line[i]);
    g_ptr_array_extend_and_steal (plan->warning, g_steal_pointer (&found->warning));
    plan->grid = g_steal_pointer (&found->grid);
    plan->arrays = g_steal_pointer (&found->arrays);
    plan->outline = found->outline;
    plan->pixel_known = found->pixel_um > 0;
    plan->pixel_um = plan->pixel_known ? found->pixel_um : 1;
    if (!choose_method (plan, reference, error))
      return FALSE;
    methods = notch_reference_methods (inspection->recipe, *reference);
    gboolean dice = FALSE;
    for (int k = 0; k < methods.n; k++)
      dice |= methods.method[k]->dice;
    if (!plan->grid && dice) {
      if (!check_contrast (reduced, inspection->source->sample, error))
        return FALSE;
      g_set_error (
          error, NOTCH_ERROR, NOTCH_ERROR_INSPECT,
          "no dice were found that repeat in its %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT
          " px; at least two of %d px or more must be in it, side by side, unless most of it is one array; give "
          "their pitch in a recipe ([dice] pitch_x_um and pitch_y_um), or an image to compare with "
          "(--reference); a bare or blanket wafer wants [reference] method = surface",
          inspection->source->width, inspection->source->height, NOTCH_LEAST_DIE_PX);
      return FALSE;
    }
  } else { /* dice are not needed; where the recipe has them, defects are placed in them */
    g_autoptr (GError) no_grid = NULL;
    plan->grid = notch_grid_new (inspection->recipe, inspection->source->width, inspection->source->height,
                                 inspection->recipe->wafer.pixel_um, &plan->outline, &no_grid);
    if (no_grid) {
      g_propagate_error (error, g_steal_pointer (&no_grid));
      return FALSE;
    }
  }
  result->reduction = reduced->factor;
  result->reduced_width = reduced->width;
  result->reduced_height = reduced->height;
  result->reduced = g_steal_pointer (&reduced->value);
  stretch (result);
  return TRUE;
}

/* The regions of the recipe, laid over the image. */
static gboolean
place_regions (NotchPlan *plan, GError **error)
{
  const NotchRegionPlace place = { plan->grid, &plan->outline, plan->source->width, plan->source->height,
                                   plan->pixel_known ? plan->pixel_um : 0 };
  if (plan->recipe->region->len == 0)
    return TRUE;
  plan->regions = notch_regions_load (plan->recipe, error);
  return plan->regions && notch_regions_place (plan->regions, &place, error);
}

/* ---- results --------------------------------------------------------------------------------------------------- */

static NotchDie *
die_of (const NotchResult *result, const NotchDefect *defect)
{
  double col = defect->value[NOTCH_FEATURE_DIE_COL], row = defect->value[NOTCH_FEATURE_DIE_ROW];
  return result->grid && isfinite (col) && isfinite (row) ? notch_grid_die (result->grid, (int) col, (int) row) : NULL;
}

static int
compare_defects (gconstpointer a, gconstpointer b)
{
  static const NotchFeature order[] = { NOTCH_FEATURE_DIE_ROW, NOTCH_FEATURE_DIE_COL, NOTCH_FEATURE_Y,
                                        NOTCH_FEATURE_X };
  const NotchDefect *x = a, *y = b;
  for (gsize i = 0; i < G_N_ELEMENTS (order); i++) { /* outside the grid comes last */
    double u = isfinite (x->value[order[i]]) ? x->value[order[i]] : INFINITY;
    double v = isfinite (y->value[order[i]]) ? y->value[order[i]] : INFINITY;
    if (u != v)
      return u < v ? -1 : 1;
  }
  return (x->x0 > y->x0) - (x->x0 < y->x0);
}

/* A scratch counts in every die that a part of it lies in. */
static void
count_in_dice (const NotchResult *result, const NotchDefect *defect)
{
  g_autoptr (GHashTable) dice = g_hash_table_new (NULL, NULL);
  g_hash_table_add (dice, die_of (result, defect));
  for (guint k = 0; result->grid && defect->part && k < defect->part->len; k++) {
    const NotchPart *part = &g_array_index (defect->part, NotchPart, k);
    g_hash_table_add (dice, notch_grid_locate (result->grid, part->x, part->y));
  }
  GHashTableIter iter;
  gpointer die;
  g_hash_table_iter_init (&iter, dice);
  while (g_hash_table_iter_next (&iter, &die, NULL))
    if (die)
      ((NotchDie *) die)->n_defects++;
}

static gboolean
collect_defects (NotchInspection *inspection, const NotchPlan *plan, const NotchClasses *classes,
                 const NotchCompute *compute, NotchFound *found, GError **error)
{
  NotchResult *result = inspection->result;
  NotchFeatureContext context = {
    .frame =
        notch_frame_new (inspection->recipe, plan->grid, &plan->outline, result->width, result->height, plan->pixel_um),
    .grid = plan->grid,
    .channel = plan->channel,
    .n_channels = plan->n_channels,
  };
  NotchCare care = notch_care_new (plan);
  notch_echo_drop (found, plan);
  notch_sign_blobs (found, plan, &context);
  for (guint i = 0; i < found->blob->len; i++) {
    NotchJoined *blob = &g_array_index (found->blob, NotchJoined, i);
    NotchDefect defect = { .x0 = blob->x0, .y0 = blob->y0, .x1 = blob->x1, .y1 = blob->y1 };
    notch_features_measure (blob, &context, defect.value);
    float weight = notch_care_at (&care, (double) blob->peak_x, (double) blob->peak_y);
    if (weight > 0) /* what a filter saw, wherever it is */
      defect.value[NOTCH_FEATURE_PEAK_SNR] /= weight;
    defect.patch = g_steal_pointer (&blob->patch);
    defect.part = g_steal_pointer (&blob->linked.part);
    g_array_append_val (result->defect, defect);
  }
  g_array_sort (result->defect, compare_defects);
  notch_sign_defects (result, plan);
  if (!notch_classes_assign (classes, (NotchDefect *) (gpointer) result->defect->data, result->defect->len,
                             result->patch_side, compute, error))
    return FALSE;
  for (guint i = 0; i < result->defect->len; i++) {
    NotchDefect *defect = &g_array_index (result->defect, NotchDefect, i);
    defect->id = i + 1;
    result->class_count[defect->class_index]++;
    count_in_dice (result, defect);
  }
  return TRUE;
}

/* Adds what a blob covers of each die, the blob taken to fill its box evenly. */
static void
cover_dice (const NotchGrid *grid, gint64 x0, gint64 y0, gint64 x1, gint64 y1, double area, double *covered)
{
  double cell = fabs (grid->ax * grid->by - grid->ay * grid->bx);
  double box = (double) (x1 - x0 + 1) * (double) (y1 - y0 + 1), fill = area / box;
  if (box < 0.001 * cell)
    return;
  /* Dice that the box can meet: those between the cells of its corners, and a border for skewed lattices. */
  gint64 col0 = G_MAXINT, col1 = G_MININT, row0 = G_MAXINT, row1 = G_MININT;
  for (int corner = 0; corner < 4; corner++) {
    double col, row;
    notch_grid_to_cells (grid, (double) (corner % 2 ? x1 + 1 : x0), (double) (corner / 2 ? y1 + 1 : y0), &col, &row);
    col0 = MIN (col0, (gint64) floor (col) - 1), col1 = MAX (col1, (gint64) floor (col) + 1);
    row0 = MIN (row0, (gint64) floor (row) - 1), row1 = MAX (row1, (gint64) floor (row) + 1);
  }
  col0 = MAX (col0, grid->first_col), col1 = MIN (col1, grid->first_col + grid->n_cols - 1);
  row0 = MAX (row0, grid->first_row), row1 = MIN (row1, grid->first_row + grid->n_rows - 1);
  gint64 across = MAX (col1 - col0 + 1, 0), n = across * MAX (row1 - row0 + 1, 0);
  for (gint64 k = 0; k < n; k++) {
    gint64 d = (row0 + k / across - grid->first_row) * grid->n_cols + (col0 + k % across - grid->first_col);
    const NotchDie *die = &g_array_index (grid->die, NotchDie, d);
    double w = MIN (die->x + grid->ax, (double) x1 + 1) - MAX (die->x, (double) x0);
    double h = MIN (die->y + grid->by, (double) y1 + 1) - MAX (die->y, (double) y0);
    if (w > 0 && h > 0)
      covered[d] += w * h * fill;
  }
}

static void
find_failed_dice (NotchResult *result)
{
  NotchGrid *grid = result->grid;
  if (!grid)
    return;
  g_autofree double *covered = g_new0 (double, grid->die->len);
  double cell = fabs (grid->ax * grid->by - grid->ay * grid->bx);
  for (guint i = 0; i < result->defect->len; i++) {
    const NotchDefect *defect = &g_array_index (result->defect, NotchDefect, i);
    if (!defect->part)
      cover_dice (grid, defect->x0, defect->y0, defect->x1, defect->y1, defect->value[NOTCH_FEATURE_AREA], covered);
    for (guint k = 0; defect->part && k < defect->part->len; k++) {
      const NotchPart *part = &g_array_index (defect->part, NotchPart, k);
      cover_dice (grid, part->x0, part->y0, part->x1, part->y1, (double) part->n, covered);
    }
  }
  for (guint d = 0; d < grid->die->len; d++)
    g_array_index (grid->die, NotchDie, d).failed = covered[d] > FAILED_SHARE * cell;
}

/* One line for the dice that could not be compared like the others; at most a few of them by name. */
static void
tell_bad_dice (NotchResult *result, gboolean blank)
{
  g_autoptr (GString) names = g_string_new (NULL);
  int n = 0;
  for (guint d = 0; result->grid && d < result->grid->die->len; d++) {
    const NotchDie *die = &g_array_index (result->grid->die, NotchDie, d);
    if (blank ? !die->blank : !die->failed || die->blank)
      continue;
    if (++n <= 5)
      g_string_append_printf (names, "%s(%d, %d)", n > 1 ? ", " : "", die->col, die->row);
  }
  if (n == 0)
    return;
  if (n > 5)
    g_string_append_printf (names, " and %d more", n - 5);
  char *line = blank
                   ? g_strdup_printf ("%d %s blank, with nothing to align by: %s; look at the image there, or exclude "
                                      "them with [dice] excluded",
                                      n, n == 1 ? "die is" : "dice are", names->str)
                   : g_strdup_printf ("%d %s from the neighbours nearly everywhere: %s; look at the image there, or "
                                      "exclude them with [dice] excluded",
                                      n, n == 1 ? "die differs" : "dice differ", names->str);
  g_ptr_array_add (result->warning, line);
  /* A recipe that limits failed dice has said what to make of them; otherwise part of the image was not inspected. */
  if (result->recipe->limits.failed_dice < 0) {
    result->verdict = NOTCH_VERDICT_TROUBLE;
    g_ptr_array_add (result->reason, g_strdup (line));
  }
}

/* What was not inspected as it should have been. */
static void
tell_unseen (NotchResult *result, const NotchFound *found)
{
  if (found->lost_px > 0)
    g_ptr_array_add (result->warning,
                     g_strdup_printf ("%" G_GINT64_FORMAT " %s; %s not inspected", found->lost_px,
                                      found->lost_px == 1 ? "pixel is no number" : "pixels are no numbers",
                                      found->lost_px == 1 ? "it was" : "they were"));
  if (found->inspected_px == 0) {
    const char *line =
        "nothing was inspected: no pixel is a number, has one to be compared with, and lies in a care area; "
        "check the image, the reference and the regions";
    g_ptr_array_add (result->warning, g_strdup (line));
    result->verdict = NOTCH_VERDICT_TROUBLE;
    g_ptr_array_add (result->reason, g_strdup (line));
  }
  if (found->swamped_tiles > 0) {
    char *line = g_strdup_printf ("%" G_GINT64_FORMAT " %s nearly everywhere, and what was found there is one defect; "
                                  "look at the image there, or check the reference and the die grid",
                                  found->swamped_tiles, found->swamped_tiles == 1 ? "tile differs" : "tiles differ");
    g_ptr_array_add (result->warning, line);
    if (!result->grid || result->recipe->limits.failed_dice < 0) { /* else the dice there have failed, as is judged */
      result->verdict = NOTCH_VERDICT_TROUBLE;
      g_ptr_array_add (result->reason, g_strdup (line));
    }
  }
}

/* A threshold is worth what the noise was measured on. Where dice have failed, that is why, and it is told already. */
static void
tell_noise (NotchResult *result, const NotchPlan *plan)
{
  if (plan->noise_left_out <= MOST_LEFT_OUT || result->verdict == NOTCH_VERDICT_TROUBLE)
    return;
  char *line = g_strdup_printf (
      "%.0f %% of the pixels that the noise was measured on differ from their reference, so the threshold may be "
      "wrong; check the reference and the die grid",
      100 * plan->noise_left_out);
  g_ptr_array_add (result->warning, line);
  if (plan->noise_known)
    return;
  result->verdict = NOTCH_VERDICT_TROUBLE;
  g_ptr_array_add (result->reason, g_strdup (line));
}

/* Whether the wafer's whole edge is in the image, but for what a tight frame cuts. */
static gboolean
is_whole_wafer (const NotchResult *result)
{
  const NotchOutline *edge = &result->outline;
  const double reach = 0.98 * edge->radius;
  return edge->radius > 0 && edge->x >= reach && edge->y >= reach && (double) result->width - edge->x >= reach
         && (double) result->height - edge->y >= reach;
}

/* The model that comes with notch has seen whole wafers: where dice are a part of one, centre and edge mean nothing. What a
 * recipe names is for what it inspects. */
static gboolean
read_signature (NotchResult *result, const NotchClasses *classes, const NotchCompute *compute, GError **error)
{
  gboolean fits =
      classes->signature && result->grid
      && (g_strcmp0 (result->recipe->classify.signature_model, NOTCH_MODEL_SHIPPED) != 0 || is_whole_wafer (result));
  g_autoptr (NotchBinMap) map = fits ? notch_binmap_of_grid (result->grid) : NULL;
  NotchSignature signature;
  if (!map)
    return TRUE;
  if (!notch_signature_read (classes->signature, map, compute, &signature, error))
    return FALSE;
  result->signature = g_strdup (signature.name);
  result->signature_confidence = signature.confidence;
  result->signature_chance = signature.chance;
  return TRUE;
}

/* That a line differs from the simulated wafers of the model that comes with notch is no news. */
static void
tell_drift (NotchResult *result)
{
  const NotchDrift *drift = result->drift ? notch_drift_largest (result->drift) : NULL;
  char index[G_ASCII_DTOSTR_BUF_SIZE];
  if (g_strcmp0 (result->recipe->classify.model, NOTCH_MODEL_SHIPPED) != 0 && drift
      && drift->index >= NOTCH_DRIFT_LARGE)
    g_ptr_array_add (
        result->warning,
        g_strdup_printf ("the defects are not like those that the model learned from, least in %s (stability "
                         "index %s); look at their classes, and train with such images",
                         drift->name, g_ascii_formatd (index, sizeof index, "%.2f", drift->index)));
}

static NotchResult *
result_new (const NotchInspection *inspection, const NotchClasses *classes, const NotchReference *reference)
{
  const NotchSource *source = inspection->source;
  NotchResult *result = g_new0 (NotchResult, 1);
  result->path = g_strdup (source->path);
  result->width = source->width, result->height = source->height;
  result->sample = source->sample;
  result->full_scale = source->full_scale;
  result->recipe = inspection->recipe;
  result->reference_name = g_strdup (reference->name);
  result->defect = g_array_new (FALSE, TRUE, sizeof (NotchDefect));
  result->class_name = notch_classes_names (classes);
  if (classes->trained) {
    result->model = g_strdup (classes->trained->model->path);
    result->model_hash = g_strdup (classes->trained->model->hash);
  }
  if (classes->signature) {
    result->signature_model = g_strdup (classes->signature->model->path);
    result->signature_model_hash = g_strdup (classes->signature->model->hash);
  }
  result->class_count = g_new0 (gint64, result->class_name->len);
  result->warning = g_ptr_array_new_with_free_func (g_free);
  result->reason = g_ptr_array_new_with_free_func (g_free);
  return result;
}

/* What the plan knows and the result reports. */
static void
take_plan (NotchResult *result, NotchPlan *plan)
{
  result->pixel_um = plan->pixel_known ? plan->pixel_um : 0;
  result->pixel_known = plan->pixel_known;
  result->outline = plan->outline;
  result->threshold = plan->threshold;
  const double noise[5] = { plan->noise.a, plan->noise.b, plan->noise.c, plan->noise.d, plan->noise.e };
  memcpy (result->noise, noise, sizeof noise);
  result->z_rms = plan->z_rms;
  result->shift_rms = plan->shift_rms;
  if (plan->distortion)
    result->distortion[0] = plan->distortion->rms, result->distortion[1] = plan->distortion->peak;
  for (guint i = 0; i < plan->warning->len; i++)
    g_ptr_array_add (result->warning, g_strdup (plan->warning->pdata[i]));
  result->grid = g_steal_pointer (&plan->grid);
  result->arrays = g_steal_pointer (&plan->arrays);
  result->spectrum = g_steal_pointer (&plan->spectrum);
  result->mesh = g_steal_pointer (&plan->mesh);
}

/* Workers beyond what there is to do, or what their memory leaves of the budget, would only cost. */
static int
useful_jobs (const NotchPlan *plan, int jobs)
{
  gint64 tiles = plan->tiling.n_cols * plan->tiling.n_rows;
  gint64 area = (gint64) plan->tiling.size * plan->tiling.size;
  gint64 lane_bytes = area * LANE_BYTES, budget = plan->recipe->detect.memory_mib << 20;
  return (int) CLAMP (MIN (tiles, budget / lane_bytes), 1, jobs);
}

typedef struct {
  NotchInspectStep step;
  gpointer data;
} Told;

static gboolean
tell_inspecting (double done, gpointer data)
{
  const Told *told = data;
  return told->step ("inspecting", done, told->data);
}

gboolean
notch_inspection_run (NotchInspection *inspection, const NotchCompute *compute, const NotchClasses *classes,
                      gboolean fast, NotchInspectStep step, gpointer data, GError **error)
{
  const NotchSource *source = inspection->source;
  const NotchReference *reference = notch_reference_of (inspection->recipe);
  gint64 start = g_get_monotonic_time ();
  NotchResult *result = inspection->result = result_new (inspection, classes, reference);
  g_autoptr (NotchPlan) plan = g_new0 (NotchPlan, 1);
  plan->recipe = inspection->recipe;
  plan->speed = fast ? &notch_speed_fast : &notch_speed_full;
  plan->source = inspection->source;
  plan->store = inspection->store;
  plan->tiling = notch_tiling_new (source->width, source->height, inspection->recipe->detect.tile_px,
                                   inspection->recipe->detect.halo_px);
  plan->all_patches = inspection->patches || (classes->trained && classes->trained->classifier->patches);
  plan->warning = g_ptr_array_new_with_free_func (g_free);
  double pixel_um = notch_pixel_um (inspection->recipe, source, plan->warning);
  plan->pixel_known = pixel_um > 0;
  plan->pixel_um = plan->pixel_known ? pixel_um : 1;
  inspection->recipe->wafer.pixel_um = plan->pixel_known ? pixel_um : 0;
  if (!step ("survey", 0, data)) {
    g_set_error_literal (error, NOTCH_ERROR, NOTCH_ERROR_CANCELLED, "interrupted");
    return FALSE;
  }
  NotchCompute crew = *compute;
  crew.jobs = useful_jobs (plan, compute->jobs);
  if (!find_geometry (inspection, plan, &reference, error) || !place_regions (plan, error)
      || !notch_survey (plan, reference, &crew, error))
    return FALSE;
  gint64 surveyed = g_get_monotonic_time ();
  NotchFound found = { 0 };
  Told told = { step, data };
  if (!notch_pipeline_run (plan, reference, &crew, tell_inspecting, &told, &found, error))
    return FALSE;
  g_free (result->reference_name);
  result->reference_name = g_strdup (reference->name);
  result->reference_names = g_ptr_array_new ();
  NotchMethods methods = notch_reference_methods (inspection->recipe, reference);
  for (int k = 0; k < methods.n; k++)
    g_ptr_array_add (result->reference_names, (gpointer) methods.method[k]->name);
  result->inspected_px = found.inspected_px;
  result->patch_side = MIN (inspection->recipe->report.crop_px, 2 * plan->tiling.halo);
  take_plan (result, plan);
  plan->grid = result->grid; /* lent back while features are measured */
  gboolean classified = collect_defects (inspection, plan, classes, compute, &found, error);
  plan->grid = NULL;
  g_array_unref (found.blob);
  g_clear_pointer (&found.candidate, g_array_unref);
  if (!classified)
    return FALSE;
  find_failed_dice (result);
  if (!read_signature (result, classes, compute, error))
    return FALSE;
  tell_unseen (result, &found);
  tell_bad_dice (result, TRUE);
  tell_bad_dice (result, FALSE);
  tell_noise (result, plan);
  result->drift =
      notch_classes_drift (classes, (const NotchDefect *) (gpointer) result->defect->data, result->defect->len);
  tell_drift (result);
  notch_limits_judge (result);
  gint64 end = g_get_monotonic_time ();
  result->seconds[0] = (double) (surveyed - start) / 1e6;
  result->seconds[1] = (double) (end - surveyed) / 1e6;
  result->seconds[3] = (double) (end - start) / 1e6;
  return TRUE;
}
