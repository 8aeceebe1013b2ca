/* sign.c - see sign.h */
#include "inspect/sign/sign.h"

#include "inspect/sign/cluster.h"
#include "inspect/sign/repeat.h"
#include "inspect/sign/scratch.h"

#include <math.h>

#define FALSE_CHAINS 0.1     /* of the false alarms that the recipe allows */
#define HEAVIER      0.7     /* sigmas above the threshold: chains of two can be made in more ways */
#define MOST_PLACES  100000  /* more defects are no repeaters but a wafer that failed */
#define MOST_PIECES  1000000 /* likewise */

void
notch_sign_blobs (NotchFound *found, const NotchPlan *plan, const NotchFeatureContext *context)
{
  guint n = found->blob->len + (found->candidate ? found->candidate->len : 0);
  if (n <= MOST_PIECES)
    notch_scratch_link (found->blob, found->candidate, context, (double) found->inspected_px,
                        FALSE_CHAINS * plan->recipe->detect.false_alarms, plan->threshold + HEAVIER);
}

static gboolean
die_inspected (gconstpointer data, const NotchDie *die)
{
  const NotchPlan *plan = data;
  return !die->blank
         && (die->kind == NOTCH_DIE_WHOLE || (die->kind == NOTCH_DIE_PARTIAL && plan->recipe->dice.partial));
}

/* Without warps dice are not what is compared, and all of the image is. */
static gboolean
place_inspected (gconstpointer data, double x, double y)
{
  const NotchCare *care = data;
  const NotchPlan *plan = care->plan;
  const NotchDie *die = plan->grid && plan->warp ? notch_grid_locate (plan->grid, x, y) : NULL;
  if (plan->grid && plan->warp && (!die || !die_inspected (plan, die)))
    return FALSE;
  return notch_care_at (care, x, y) > 0;
}

static void
find_clusters (NotchResult *result, const NotchPlan *plan)
{
  guint n = 0;
  NotchCare care = notch_care_new (plan);
  NotchField field = { (double) result->width, (double) result->height, place_inspected, &care };
  g_autofree NotchPoint *point = g_new (NotchPoint, result->defect->len);
  g_autofree int *number = g_new0 (int, result->defect->len);
  g_autofree guint *whose = g_new (guint, result->defect->len);
  for (guint i = 0; i < result->defect->len; i++) {
    const double *value = g_array_index (result->defect, NotchDefect, i).value;
    if (value[NOTCH_FEATURE_REPEATER] > 0) /* why it is there is known */
      continue;
    whose[n] = i;
    point[n++] = (NotchPoint){ value[NOTCH_FEATURE_X], value[NOTCH_FEATURE_Y] };
  }
  g_autoptr (GArray) p = notch_cluster_find (point, n, &field, plan->recipe->detect.cluster_px, number);
  result->cluster = g_array_new (FALSE, TRUE, sizeof (NotchCluster));
  g_array_set_size (result->cluster, p->len);
  for (guint i = 0; i < n; i++) {
    if (!number[i])
      continue;
    NotchCluster *cluster = &g_array_index (result->cluster, NotchCluster, number[i] - 1);
    gboolean first = cluster->n++ == 0;
    cluster->p = g_array_index (p, double, number[i] - 1);
    cluster->x0 = first ? point[i].x : MIN (cluster->x0, point[i].x);
    cluster->x1 = first ? point[i].x : MAX (cluster->x1, point[i].x);
    cluster->y0 = first ? point[i].y : MIN (cluster->y0, point[i].y);
    cluster->y1 = first ? point[i].y : MAX (cluster->y1, point[i].y);
    g_array_index (result->defect, NotchDefect, whose[i]).value[NOTCH_FEATURE_CLUSTER] = number[i];
  }
}

/* Three sigmas of how far a defect may seem to be from its place: what registration leaves, and what its own noise does
 * to its centroid. */
static double
reach_of (const double *value)
{
  double scale = isfinite (value[NOTCH_FEATURE_SCALE_PX]) ? value[NOTCH_FEATURE_SCALE_PX] : 1;
  return CLAMP (3 * hypot (0.5, 2 * scale / MAX (value[NOTCH_FEATURE_PEAK_SNR], 1)), 1.5, 8);
}

static void
find_repeaters (NotchResult *result, const NotchPlan *plan)
{
  const NotchGrid *grid = result->grid;
  const guint n = result->defect->len;
  double pixel_um = plan->pixel_um > 0 ? plan->pixel_um : 1;
  g_autoptr (GArray) place = g_array_new (FALSE, FALSE, sizeof (NotchPlace));
  g_autoptr (GArray) whose = g_array_new (FALSE, FALSE, sizeof (guint));
  result->repeater = g_array_new (FALSE, FALSE, sizeof (NotchRepeater));
  for (guint i = 0; i < n && grid && n <= MOST_PLACES; i++) {
    const double *value = g_array_index (result->defect, NotchDefect, i).value;
    double col = value[NOTCH_FEATURE_DIE_COL], row = value[NOTCH_FEATURE_DIE_ROW];
    const NotchDie *die = isfinite (col) && isfinite (row) ? notch_grid_die (grid, (int) col, (int) row) : NULL;
    if (!die || !die_inspected (plan, die))
      continue;
    NotchPlace one = { .die = die,
                       .x = value[NOTCH_FEATURE_DIE_X_UM] / pixel_um,
                       .y = value[NOTCH_FEATURE_DIE_Y_UM] / pixel_um,
                       .reach = reach_of (value),
                       .peak = value[NOTCH_FEATURE_PEAK_SNR],
                       .bright = value[NOTCH_FEATURE_CONTRAST] > 0 };
    g_array_append_val (place, one);
    g_array_append_val (whose, i);
  }
  if (place->len == 0)
    return;
  g_autofree int *number = g_new (int, place->len);
  g_autoptr (GArray) found = notch_repeat_find ((const NotchPlace *) place->data, place->len, grid, die_inspected, plan,
                                                number, &result->reticle_cols, &result->reticle_rows);
  for (guint k = 0; k < found->len; k++) {
    const NotchRepeat *repeat = &g_array_index (found, NotchRepeat, k);
    NotchRepeater one = { repeat->n, repeat->x * pixel_um, repeat->y * pixel_um, repeat->col, repeat->row, repeat->p };
    g_array_append_val (result->repeater, one);
  }
  for (guint i = 0; i < place->len; i++)
    g_array_index (result->defect, NotchDefect, g_array_index (whose, guint, i)).value[NOTCH_FEATURE_REPEATER] =
        number[i];
  if (found->len)
    g_info ("%s: %u repeater%s; what repeats is a field of %d x %d dice", result->path, found->len,
            found->len == 1 ? "" : "s", result->reticle_cols, result->reticle_rows);
}

void
notch_sign_defects (NotchResult *result, const NotchPlan *plan)
{
  find_repeaters (result, plan);
  find_clusters (result, plan);
}
