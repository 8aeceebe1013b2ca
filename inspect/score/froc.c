/* froc.c - capture against false alarms, over all thresholds at or above the one that was used
 *
 * What was found is not found anew at each threshold: a defect counts as captured as long as its strongest detection
 * stays. */
#include "inspect/score/score.h"

#include <math.h>

#include "inspect/image/write.h"
#include "inspect/simulate/number.h"

#define POINTS_AN_OCTAVE 16

static int
compare_down (gconstpointer a, gconstpointer b)
{
  double x = *(const double *) a, y = *(const double *) b;
  return x < y ? 1 : x > y ? -1 : 0;
}

/* How many of a falling list are above a value. */
static int
count_above (const GArray *falling, double value)
{
  guint low = 0, high = falling->len;
  while (low < high) {
    guint middle = (low + high) / 2;
    if (g_array_index (falling, double, middle) > value)
      low = middle + 1;
    else
      high = middle;
  }
  return (int) low;
}

GArray *
notch_score_froc (const NotchTally *tally, const NotchScoreGroup *group)
{
  g_autoptr (GArray) alarm = g_array_new (FALSE, FALSE, sizeof (double)),
                     hit = g_array_new (FALSE, FALSE, sizeof (double));
  for (guint i = 0; i < tally->found->len; i++) {
    const NotchDetection *d = notch_tally_found (tally, i);
    if (isnan (d->peak))
      return NULL;
    if (d->truth < 0)
      g_array_append_val (alarm, d->peak);
  }
  for (guint i = 0; i < tally->truth->len; i++) {
    const NotchTruth *t = notch_tally_truth (tally, i);
    if (t->n_found > 0 && notch_score_in_group (group, t))
      g_array_append_val (hit, t->peak);
  }
  g_array_sort (alarm, compare_down);
  g_array_sort (hit, compare_down);
  GArray *points = g_array_new (FALSE, FALSE, sizeof (NotchFrocPoint));
  int last = -1;
  for (guint k = 0; k <= alarm->len; k++) {
    double above = k < alarm->len ? g_array_index (alarm, double, k) : -INFINITY;
    NotchFrocPoint point = { above, count_above (hit, above), count_above (alarm, above) };
    /* Alarms of the same peak come together; many come ever farther apart, for the axis is logarithmic. */
    if (point.alarms == last || (k < alarm->len && last > POINTS_AN_OCTAVE && k < last * (1 + 1. / POINTS_AN_OCTAVE)))
      continue;
    g_array_append_val (points, point);
    last = point.alarms;
  }
  return points;
}

gboolean
notch_score_write_froc (const NotchTally *tally, const GPtrArray *groups, double megapixels, const char *path,
                        GError **error)
{
  g_autoptr (GString) text = g_string_new ("group,peak_snr_above,captured,truth,capture,capture_low,capture_high,"
                                           "false_alarms,false_alarms_per_image,false_alarms_per_mpx\n");
  for (guint g = 0; g < groups->len; g++) {
    const NotchScoreGroup *group = groups->pdata[g];
    g_autoptr (GArray) points = notch_score_froc (tally, group);
    if (!points) {
      g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                   "%s: the defects have no peak_snr to put a threshold on; leave --froc out", path);
      return FALSE;
    }
    for (guint i = 0; i < points->len; i++) {
      const NotchFrocPoint *p = &g_array_index (points, NotchFrocPoint, i);
      double low, high;
      notch_score_wilson (p->captured, group->n, &low, &high);
      g_string_append_printf (text, "%s,%s,%d,%d,", group->name,
                              isinf (p->above) ? "" : notch_number (p->above, 3).text, p->captured, group->n);
      g_string_append_printf (text, "%s,%s,%s,%d,%s,", notch_number ((double) p->captured / group->n, 4).text,
                              notch_number (low, 4).text, notch_number (high, 4).text, p->alarms,
                              notch_number ((double) p->alarms / tally->n_images, 4).text);
      if (megapixels > 0)
        g_string_append (text, notch_number (p->alarms / (megapixels * tally->n_images), 6).text);
      g_string_append_c (text, '\n');
    }
  }
  return notch_write_file (path, text->str, (gssize) text->len, error);
}
