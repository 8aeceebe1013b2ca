/* tell.c - what scoring found, for people and for machines */
#include <math.h>
#include <string.h>

#include "inspect/order.h"
#include "inspect/score/score.h"
#include "inspect/simulate/number.h"

#define POINT_PX 12 /* what is no larger is a point or a blob: its centroid says how well places are measured */

typedef struct {
  const NotchTally *tally;
  const NotchScoreOptions *options;
  NotchScore *score;
  GString *text;
  JsonBuilder *json;
} Report;

static void
json_number (JsonBuilder *json, const char *name, double value)
{
  json_builder_set_member_name (json, name);
  if (isfinite (value))
    json_builder_add_double_value (json, value);
  else
    json_builder_add_null_value (json);
}

static void
json_count (JsonBuilder *json, const char *name, gint64 value)
{
  json_builder_set_member_name (json, name);
  json_builder_add_int_value (json, value);
}

static void
json_text (JsonBuilder *json, const char *name, const char *value)
{
  g_autofree char *valid = g_utf8_make_valid (value, -1);
  json_builder_set_member_name (json, name);
  json_builder_add_string_value (json, valid);
}

static void
json_begin_array (JsonBuilder *json, const char *name)
{
  json_builder_set_member_name (json, name);
  json_builder_begin_array (json);
}

static void
json_interval (JsonBuilder *json, const char *name, const NotchScoreInterval *interval)
{
  g_autofree char *low = g_strconcat (name, "_low", NULL), *high = g_strconcat (name, "_high", NULL);
  json_number (json, low, interval->low);
  json_number (json, high, interval->high);
}

/* ---- counts ------------------------------------------------------------------------------------------------------ */

/* Whether any class of the detections is one of the truth: else names cannot agree. */
static gboolean
share_names (const NotchTally *tally)
{
  for (guint i = 0; i < tally->found->len; i++)
    for (guint k = 0; k < tally->truth->len; k++) {
      const char *name = notch_tally_found (tally, i)->class_name;
      if (*name && strcmp (name, notch_tally_truth (tally, k)->type) == 0)
        return TRUE;
    }
  return FALSE;
}

/* Sums of squared distances, of points and of all. */
typedef struct {
  double points, all;
  int n_points;
} Offsets;

static void
count_truth (Report *r, const NotchTruth *t, Offsets *off, int *right)
{
  NotchScore *s = r->score;
  s->n_nuisance += t->nuisance;
  s->n_nuisance_found += t->nuisance && t->n_found > 0;
  s->n_truth += t->counted;
  if (!t->counted || t->n_found == 0)
    return;
  s->n_captured++;
  s->n_split += t->n_found - 1;
  off->all += t->distance * t->distance;
  if (t->size <= POINT_PX)
    off->points += t->distance * t->distance, off->n_points++;
  *right += strcmp (t->type, t->class_name) == 0;
}

static Offsets
count_all (Report *r)
{
  NotchScore *s = r->score;
  Offsets off = { 0 };
  int right = 0;
  *s = (NotchScore){ .n_detections = (int) r->tally->found->len };
  for (guint i = 0; i < r->tally->truth->len; i++)
    count_truth (r, notch_tally_truth (r->tally, i), &off, &right);
  for (guint i = 0; i < r->tally->found->len; i++)
    s->n_false += notch_tally_found (r->tally, i)->truth < 0;
  s->localisation_px = off.n_points ? sqrt (off.points / off.n_points) : NAN;
  s->localisation_all_px = s->n_captured ? sqrt (off.all / s->n_captured) : NAN;
  s->n_class_right = share_names (r->tally) ? right : -1;
  json_count (r->json, "images", r->tally->n_images);
  json_count (r->json, "truth", s->n_truth);
  json_count (r->json, "captured", s->n_captured);
  json_count (r->json, "detections", s->n_detections);
  json_count (r->json, "nuisance", s->n_nuisance);
  json_count (r->json, "nuisance_found", s->n_nuisance_found);
  json_count (r->json, "split", s->n_split);
  json_number (r->json, "localisation_px", s->localisation_px);
  json_number (r->json, "localisation_all_px", s->localisation_all_px);
  if (s->n_class_right >= 0)
    json_count (r->json, "class_right", s->n_class_right);
  return off;
}

static void
tell_captured (Report *r)
{
  const NotchScore *s = r->score;
  double low, high;
  notch_score_wilson (s->n_captured, s->n_truth, &low, &high);
  if (s->n_truth > 0)
    g_string_append_printf (r->text, "captured       %d of %d, %s %% (95 %% interval %s to %s %%)\n", s->n_captured,
                            s->n_truth, notch_number (100.0 * s->n_captured / s->n_truth, 1).text,
                            notch_number (100 * low, 1).text, notch_number (100 * high, 1).text);
}

/* What else is to be said of defects that were found. */
static void
tell_found (Report *r, const Offsets *off)
{
  const NotchScore *s = r->score;
  if (s->n_nuisance > 0)
    g_string_append_printf (r->text, "nuisance       %d of %d found, neither captured nor false\n", s->n_nuisance_found,
                            s->n_nuisance);
  if (s->n_captured == 0)
    return;
  g_string_append_printf (r->text, "detections     %s a captured defect, %d to spare\n",
                          notch_number ((double) (s->n_captured + s->n_split) / s->n_captured, 3).text, s->n_split);
  if (off->n_points > 0)
    g_string_append_printf (r->text, "localisation   %s px rms of %d points and blobs, %s px of all\n",
                            notch_number (s->localisation_px, 3).text, off->n_points,
                            notch_number (s->localisation_all_px, 3).text);
  else
    g_string_append_printf (r->text, "localisation   %s px rms\n", notch_number (s->localisation_all_px, 3).text);
  if (s->n_class_right >= 0)
    g_string_append_printf (r->text, "class right    %d of %d, %s %%\n", s->n_class_right, s->n_captured,
                            notch_number (100.0 * s->n_class_right / s->n_captured, 1).text);
}

/* How many came, and whether that fits what was promised. */
static void
tell_false (Report *r)
{
  int n = r->score->n_false, images = r->tally->n_images;
  double mpx = r->options->megapixels * images, promised = r->options->promised * images, low, high;
  notch_score_poisson (n, &low, &high);
  g_string_append_printf (r->text, "false alarms   %d", n);
  if (images > 1)
    g_string_append_printf (r->text, " in %d images, %s an image", images, notch_number ((double) n / images, -1).text);
  if (mpx > 0)
    g_string_append_printf (r->text, ", %s per Mpx", notch_number (n / mpx, -1).text);
  g_string_append_c (r->text, '\n');
  json_count (r->json, "false_alarms", n);
  json_number (r->json, "false_alarms_low", low);
  json_number (r->json, "false_alarms_high", high);
  json_number (r->json, "false_alarms_per_image", (double) n / images);
  json_number (r->json, "false_alarms_per_mpx", mpx > 0 ? n / mpx : NAN);
  if (!(promised > 0))
    return;
  json_number (r->json, "false_alarms_promised", promised);
  g_string_append_printf (r->text, "promised       %s; with %d the mean is %s to %s (95 %% interval): %s\n",
                          notch_number (promised, -1).text, n, notch_number (low, 2).text, notch_number (high, 2).text,
                          promised < low    ? "more than promised"
                          : promised > high ? "fewer than promised"
                                            : "kept");
}

/* ---- size -------------------------------------------------------------------------------------------------------- */

/* Longer sides of boxes, found over true: the middle and the middle half. */
static void
tell_size (Report *r)
{
  g_autoptr (GArray) ratio = g_array_new (FALSE, FALSE, sizeof (double));
  for (guint i = 0; i < r->tally->truth->len; i++) {
    const NotchTruth *t = notch_tally_truth (r->tally, i);
    double value = t->found_size / t->size;
    if (t->counted && t->n_found > 0 && t->size > 0 && value > 0)
      g_array_append_val (ratio, value);
  }
  if (ratio->len == 0)
    return;
  g_array_sort (ratio, notch_compare_up);
  double quartile[3];
  for (guint q = 0; q < 3; q++)
    quartile[q] = g_array_index (ratio, double, (q + 1) * (ratio->len - 1) / 4);
  g_string_append_printf (r->text, "size           %s of the true one (middle half %s to %s)\n",
                          notch_number (quartile[1], 2).text, notch_number (quartile[0], 2).text,
                          notch_number (quartile[2], 2).text);
  json_number (r->json, "size_ratio", quartile[1]);
  json_number (r->json, "size_ratio_low", quartile[0]);
  json_number (r->json, "size_ratio_high", quartile[2]);
}

/* ---- capture ----------------------------------------------------------------------------------------------------- */

/* A row of the table: a group in a bin of SNR, or in all (-1). */
static void
tell_bin (Report *r, const NotchScoreGroup *group, int bin)
{
  int n = bin < 0 ? group->n : 0, captured = bin < 0 ? group->n_captured : 0;
  double from = bin < 0 ? NAN : notch_score_bins[bin], below = bin < 0 ? NAN : notch_score_bins[bin + 1], low, high;
  for (int i = 0; i < group->n_trials && bin >= 0; i++)
    if (group->snr[i] >= from && group->snr[i] < below) {
      n++;
      captured += group->captured[i] != 0;
    }
  if (n == 0)
    return;
  notch_score_wilson (captured, n, &low, &high);
  g_autofree char *part = g_strdup_printf ("%d/%d", captured, n);
  g_autofree char *range = bin < 0                       ? g_strdup ("all")
                           : bin == NOTCH_SCORE_BINS - 1 ? g_strdup_printf ("%d up", (int) from)
                                                         : g_strdup_printf ("%d to %d", (int) from, (int) below);
  g_string_append_printf (r->text, "%-17s %-9s %11s  %5s %%  %5s to %5s %%\n", group->name, range, part,
                          notch_number (100.0 * captured / n, 1).text, notch_number (100 * low, 1).text,
                          notch_number (100 * high, 1).text);
  json_builder_begin_object (r->json);
  json_text (r->json, "group", group->name);
  json_number (r->json, "snr_from", from);
  json_number (r->json, "snr_below", bin == NOTCH_SCORE_BINS - 1 ? NAN : below);
  json_count (r->json, "truth", n);
  json_count (r->json, "captured", captured);
  json_number (r->json, "low", low);
  json_number (r->json, "high", high);
  json_builder_end_object (r->json);
}

static void
tell_capture (Report *r, const GPtrArray *groups)
{
  g_string_append (r->text, "\ngroup             SNR          captured     rate  95 % interval\n");
  json_begin_array (r->json, "capture");
  for (guint g = 0; g < groups->len; g++)
    for (int bin = 0; bin <= NOTCH_SCORE_BINS; bin++)
      tell_bin (r, groups->pdata[g], bin < NOTCH_SCORE_BINS ? bin : -1);
  json_builder_end_array (r->json);
}

/* A value with its interval, "-" where there is none. */
static char *
with_interval (double value, const NotchScoreInterval *interval)
{
  if (isnan (value))
    return g_strdup ("-");
  return g_strdup_printf ("%s (%s to %s)", notch_number (value, 2).text,
                          isnan (interval->low) ? "?" : notch_number (interval->low, 2).text,
                          isnan (interval->high) ? "?" : notch_number (interval->high, 2).text);
}

static void
tell_group (Report *r, const NotchScoreGroup *group, gboolean oracle)
{
  const NotchScoreCurve *curve = &group->curve, *other = &group->other_curve;
  const NotchScoreSpread *spread = &group->spread;
  double gap = curve->snr90 - other->snr90;
  g_autofree char *snr50 = with_interval (curve->snr50, &spread->snr50);
  g_autofree char *snr90 = with_interval (curve->snr90, &spread->snr90);
  g_autofree char *gap_text = with_interval (gap, &spread->gap);
  g_string_append_printf (r->text, "%-17s %7d  %-23s  %s", group->name, group->n, snr50, snr90);
  if (oracle)
    g_string_append_printf (r->text, "%*s  %-7s  %s", MAX (0, 23 - (int) strlen (snr90)), "",
                            isnan (other->snr90) ? "-" : notch_number (other->snr90, 2).text, gap_text);
  g_string_append_c (r->text, '\n');
  json_builder_begin_object (r->json);
  json_text (r->json, "group", group->name);
  json_count (r->json, "truth", group->n);
  json_count (r->json, "captured", group->n_captured);
  json_number (r->json, "top", curve->top);
  json_number (r->json, "snr50", curve->snr50);
  json_interval (r->json, "snr50", &spread->snr50);
  json_number (r->json, "snr90", curve->snr90);
  json_interval (r->json, "snr90", &spread->snr90);
  if (oracle) {
    json_number (r->json, "oracle_snr50", other->snr50);
    json_number (r->json, "oracle_snr90", other->snr90);
    json_number (r->json, "gap", gap);
    json_interval (r->json, "gap", &spread->gap);
  }
  json_builder_end_object (r->json);
}

/* SNR50 and SNR90 of every group, and how far the oracle's are. */
static void
tell_groups (Report *r, const GPtrArray *groups, gboolean oracle)
{
  const NotchScoreGroup *all = groups->pdata[groups->len - 1];
  r->score->snr50 = all->curve.snr50;
  r->score->snr90 = all->curve.snr90;
  r->score->oracle_snr90 = all->other_curve.snr90;
  json_number (r->json, "snr50", r->score->snr50);
  json_number (r->json, "snr90", r->score->snr90);
  if (all->n_trials > 0 && !all->fitted)
    g_string_append (r->text,
                     "\nSNR50, SNR90   not to be had: that takes 20 defects, of these 3 captured and 3 missed, "
                     "and capture that rises with SNR\n");
  g_string_append_printf (r->text, "\ngroup             defects  SNR50 (95 %%)             SNR90 (95 %%)%s\n",
                          oracle ? "             oracle   gap (95 %)" : "");
  json_begin_array (r->json, "groups");
  for (guint g = 0; g < groups->len; g++)
    tell_group (r, groups->pdata[g], oracle);
  json_builder_end_array (r->json);
}

/* What the oracle did with the same images. */
static void
tell_oracle (Report *r, const NotchTally *oracle)
{
  int captured = 0, alarms = 0;
  for (guint i = 0; i < oracle->truth->len; i++)
    captured += notch_tally_truth (oracle, i)->counted && notch_tally_truth (oracle, i)->n_found > 0;
  for (guint i = 0; i < oracle->found->len; i++)
    alarms += notch_tally_found (oracle, i)->truth < 0;
  g_string_append_printf (r->text, "oracle         captured %d, false alarms %d\n", captured, alarms);
  json_count (r->json, "oracle_captured", captured);
  json_count (r->json, "oracle_false_alarms", alarms);
}

/* ---- the trade --------------------------------------------------------------------------------------------------- */

static void
tell_froc (Report *r, const NotchScoreGroup *all)
{
  g_autoptr (GArray) points = notch_score_froc (r->tally, all);
  if (!points || r->score->n_false == 0)
    return;
  g_string_append (r->text, "\nfalse alarms  peak SNR above     captured\n");
  json_begin_array (r->json, "froc");
  static const int steps[] = { 0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10000, G_MAXINT };
  for (guint i = 0, step = 0; i < points->len; i++) {
    const NotchFrocPoint *p = &g_array_index (points, NotchFrocPoint, i);
    if (p->alarms < steps[step] && i + 1 < points->len)
      continue;
    while (steps[step] <= p->alarms)
      step++;
    g_string_append_printf (r->text, "%12d  %14s  %5d/%d, %s %%\n", p->alarms,
                            isinf (p->above) ? "any" : notch_number (p->above, 2).text, p->captured, all->n,
                            notch_number (100.0 * p->captured / all->n, 1).text);
    json_builder_begin_object (r->json);
    json_count (r->json, "false_alarms", p->alarms);
    json_number (r->json, "peak_snr_above", p->above);
    json_count (r->json, "captured", p->captured);
    json_builder_end_object (r->json);
  }
  json_builder_end_array (r->json);
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* What captured defects of each class were called. */
static void
tell_confusion (Report *r)
{
  g_autoptr (GHashTable) count = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  for (guint i = 0; i < r->tally->truth->len; i++) {
    const NotchTruth *t = notch_tally_truth (r->tally, i);
    if (!t->counted || t->n_found == 0)
      continue;
    char *key = g_strjoin ("\n", t->type, t->class_name, NULL);
    int n = GPOINTER_TO_INT (g_hash_table_lookup (count, key));
    g_hash_table_insert (count, key, GINT_TO_POINTER (n + 1));
  }
  g_autoptr (GPtrArray) keys = g_ptr_array_new ();
  GHashTableIter iter;
  gpointer key;
  g_hash_table_iter_init (&iter, count);
  while (g_hash_table_iter_next (&iter, &key, NULL))
    g_ptr_array_add (keys, key);
  g_ptr_array_sort (keys, compare_names);
  json_begin_array (r->json, "confusion");
  for (guint i = 0; i < keys->len; i++) {
    g_auto (GStrv) part = g_strsplit (keys->pdata[i], "\n", 2);
    json_builder_begin_object (r->json);
    json_text (r->json, "type", part[0]);
    json_text (r->json, "class", part[1]);
    json_count (r->json, "count", GPOINTER_TO_INT (g_hash_table_lookup (count, keys->pdata[i])));
    json_builder_end_object (r->json);
  }
  json_builder_end_array (r->json);
}

/* Of one image the id alone; of several "image:id", images counted from 1. */
static void
add_id (Report *r, int image, const char *id)
{
  g_autofree char *name = r->tally->n_images > 1 ? g_strdup_printf ("%d:%s", image + 1, id) : g_strdup (id),
                  *valid = g_utf8_make_valid (name, -1);
  json_builder_add_string_value (r->json, valid);
}

static void
tell_ids (Report *r)
{
  json_begin_array (r->json, "missed");
  for (guint i = 0; i < r->tally->truth->len; i++) {
    const NotchTruth *t = notch_tally_truth (r->tally, i);
    if (t->counted && t->n_found == 0)
      add_id (r, t->image, t->id);
  }
  json_builder_end_array (r->json);
  json_begin_array (r->json, "false");
  for (guint i = 0; i < r->tally->found->len; i++) {
    const NotchDetection *d = notch_tally_found (r->tally, i);
    if (d->truth < 0)
      add_id (r, d->image, d->id);
  }
  json_builder_end_array (r->json);
}

void
notch_score_tell (const NotchTally *tally, const NotchTally *oracle, const GPtrArray *groups,
                  const NotchScoreOptions *options, NotchScore *score, GString *text, JsonBuilder *json)
{
  Report r = { tally, options, score, text, json };
  json_builder_begin_object (json);
  Offsets off = count_all (&r);
  tell_captured (&r);
  tell_false (&r);
  tell_found (&r, &off);
  tell_size (&r);
  if (oracle)
    tell_oracle (&r, oracle);
  score->snr50 = score->snr90 = score->oracle_snr90 = NAN;
  if (groups->len > 0) {
    tell_groups (&r, groups, oracle != NULL);
    tell_capture (&r, groups);
    tell_froc (&r, groups->pdata[groups->len - 1]);
  }
  tell_confusion (&r);
  tell_ids (&r);
  json_builder_end_object (json);
}
