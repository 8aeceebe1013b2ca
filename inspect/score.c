/* score.c - compares a list of defects with the truth */
#include "inspect/score.h"

#include "inspect/csv.h"
#include "inspect/simulate/number.h"

#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

#define POINT_PX 12 /* what is no larger is a point or a blob: its centroid says how well places are measured */

/* ---- statistics -------------------------------------------------------------------------------------------------- */

void
notch_score_wilson (int k, int n, double *low, double *high)
{
  *low = 0;
  *high = 1;
  if (n == 0)
    return;
  const double z = 1.959963985;
  double p = (double) k / n, centre = p + z * z / (2 * n), half = z * sqrt (p * (1 - p) / n + z * z / (4.0 * n * n));
  *low = k == 0 ? 0 : (centre - half) / (1 + z * z / n);
  *high = k == n ? 1 : (centre + half) / (1 + z * z / n);
}

/* The trials on a scale of mean 0 and deviation 1. */
typedef struct {
  const double *t;
  const gboolean *captured;
  int n;
} Trials;

/* Keeps the slope finite where one SNR parts all captured from all missed. */
#define RIDGE 1e-3

static double
likelihood (const Trials *trials, double top, const double b[2])
{
  double sum = -0.5 * RIDGE * b[1] * b[1];
  for (int i = 0; i < trials->n; i++) {
    double p = top / (1 + exp (-b[0] - b[1] * trials->t[i]));
    sum += log (MAX (trials->captured[i] ? p : 1 - p, 1e-300));
  }
  return sum;
}

/* Fisher scoring for a given top, from and into b. Gives the log likelihood. */
static double
climb (const Trials *trials, double top, double b[2])
{
  double now = likelihood (trials, top, b);
  for (int round = 0; round < 100; round++) {
    double g[2] = { 0, -RIDGE * b[1] }, h[3] = { 1e-12, 0, RIDGE };
    for (int i = 0; i < trials->n; i++) {
      double t = trials->t[i], s = 1 / (1 + exp (-b[0] - b[1] * t)), p = top * s, d = top * s * (1 - s);
      double v = MAX (p * (1 - p), 1e-12), pull = (trials->captured[i] - p) * d / v, weight = d * d / v;
      g[0] += pull, g[1] += pull * t;
      h[0] += weight, h[1] += weight * t, h[2] += weight * t * t;
    }
    double det = h[0] * h[2] - h[1] * h[1], step = 1, next = now;
    double move[2] = { (h[2] * g[0] - h[1] * g[1]) / det, (h[0] * g[1] - h[1] * g[0]) / det };
    if (!(det > 0))
      return now;
    for (; step > 1e-6; step /= 2) {
      const double try[2] = { b[0] + step * move[0], b[1] + step * move[1] };
      next = likelihood (trials, top, try);
      if (next > now)
        break;
    }
    if (!(next > now))
      return now;
    b[0] += step * move[0], b[1] += step * move[1];
    gboolean settled = next - now < 1e-10;
    now = next;
    if (settled)
      return now;
  }
  return now;
}

gboolean
notch_score_fit (const double *snr, const gboolean *captured, int n, NotchScoreCurve *curve)
{
  double mean = 0, variance = 0;
  int hits = 0;
  for (int i = 0; i < n; i++)
    mean += snr[i] / n, hits += captured[i] != 0;
  for (int i = 0; i < n; i++)
    variance += (snr[i] - mean) * (snr[i] - mean) / n;
  if (n < 20 || hits < 3 || n - hits < 3 || !(variance > 0))
    return FALSE;
  double deviation = sqrt (variance);
  g_autofree double *t = g_new (double, n);
  for (int i = 0; i < n; i++)
    t[i] = (snr[i] - mean) / deviation;
  const Trials trials = { t, captured, n };
  double b[2] = { 0, 1 }, top = 1, best = climb (&trials, 1, b), full = best;
  /* A curve that stays below 1 must say clearly more than one that does not: 2 in log likelihood for its parameter. */
  for (int percent = 99; percent >= 50; percent--) {
    double other[2] = { b[0], b[1] }, value = climb (&trials, percent / 100.0, other);
    if (value > best && value > full + 2) {
      best = value, top = percent / 100.0;
      b[0] = other[0], b[1] = other[1];
    }
  }
  if (!(b[1] > 0))
    return FALSE;
  *curve = (NotchScoreCurve){ .top = top, .slope = b[1] / deviation, .snr50 = NAN, .snr90 = NAN };
  curve->middle = mean - b[0] / curve->slope;
  if (top > 0.5)
    curve->snr50 = curve->middle + log (0.5 / (top - 0.5)) / curve->slope;
  if (top > 0.95)
    curve->snr90 = curve->middle + log (0.9 / (top - 0.9)) / curve->slope;
  return TRUE;
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

typedef struct {
  const char *id, *type;  /* "" where the table has none; borrowed */
  double x, y;            /* px: centroid */
  double x0, y0, x1, y1;  /* px: box */
  double reach;           /* px: how far from the box a detection may be */
  double size, snr;       /* px; NAN where not known */
  gboolean counted;       /* by SNR and class */
  int n_found;            /* detections on it */
  double distance, peak;  /* px: of the nearest; the largest SNR of them */
  const char *class_name; /* of the one with the largest */
} Truth;

typedef struct {
  const char *id, *class_name;
  double x, y, peak; /* peak NAN where not known */
  int truth;         /* index, -1: false alarm */
} Detection;

static gboolean
need_column (const NotchCsv *csv, const char *name, const char *otherwise, int *column, GError **error)
{
  *column = notch_csv_column (csv, name);
  if (*column < 0 && otherwise)
    *column = notch_csv_column (csv, otherwise);
  if (*column >= 0)
    return TRUE;
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: has no column %s; its first line must name the columns",
               csv->path, name);
  return FALSE;
}

static gboolean
need_place (const NotchCsv *csv, guint row, int cx, int cy, double *x, double *y, GError **error)
{
  if (!notch_csv_number (csv, row, cx, x, error) || !notch_csv_number (csv, row, cy, y, error))
    return FALSE;
  if (!isnan (*x) && !isnan (*y))
    return TRUE;
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: line %" G_GINT64_FORMAT ": a defect has no place", csv->path,
               g_array_index (csv->line, gint64, row));
  return FALSE;
}

static GArray *
read_truth (const NotchCsv *csv, const NotchScoreOptions *options, GError **error)
{
  int cx, cy;
  if (!need_column (csv, "x", "x_px", &cx, error) || !need_column (csv, "y", "y_px", &cy, error))
    return NULL;
  static const char *const optional[] = { "w", "h", "snr", "area_px", "box_x", "box_y" };
  double value[G_N_ELEMENTS (optional)];
  int id = notch_csv_column (csv, "id"), type = notch_csv_column (csv, "type");
  double match = options->match_px > 0 ? options->match_px : 2;
  g_auto (GStrv) classes = options->classes ? g_strsplit (options->classes, ",", -1) : NULL;
  g_autoptr (GArray) list = g_array_new (FALSE, TRUE, sizeof (Truth));
  for (guint i = 0; i < csv->row->len; i++) {
    Truth t = { .id = notch_csv_text (csv, i, id), .type = notch_csv_text (csv, i, type) };
    if (!need_place (csv, i, cx, cy, &t.x, &t.y, error))
      return NULL;
    for (guint k = 0; k < G_N_ELEMENTS (optional); k++)
      if (!notch_csv_number (csv, i, notch_csv_column (csv, optional[k]), &value[k], error))
        return NULL;
    double w = value[0] > 0 ? value[0] : 0, h = value[1] > 0 ? value[1] : 0;
    t.size = MAX (w, h);
    t.snr = value[2];
    t.x0 = isnan (value[4]) ? t.x - w / 2 : value[4] - 0.5;
    t.y0 = isnan (value[5]) ? t.y - h / 2 : value[5] - 0.5;
    t.x1 = t.x0 + w;
    t.y1 = t.y0 + h;
    /* by area where it is known: a long thin scratch is not as wide as it is long */
    t.reach = MAX (match, 0.5 * (value[3] > 0 ? sqrt (value[3]) : MIN (w, h)));
    t.counted = !(t.snr < options->snr_min) && (!classes || g_strv_contains ((const char *const *) classes, t.type));
    g_array_append_val (list, t);
  }
  return g_steal_pointer (&list);
}

static GArray *
read_detections (const NotchCsv *csv, GError **error)
{
  int cx, cy, id = notch_csv_column (csv, "defect_id"), class_name = notch_csv_column (csv, "class");
  int peak = notch_csv_column (csv, "peak_snr");
  if (!need_column (csv, "x_px", "x", &cx, error) || !need_column (csv, "y_px", "y", &cy, error))
    return NULL;
  g_autoptr (GArray) list = g_array_new (FALSE, TRUE, sizeof (Detection));
  for (guint i = 0; i < csv->row->len; i++) {
    Detection d = { .id = notch_csv_text (csv, i, id), .class_name = notch_csv_text (csv, i, class_name), .truth = -1 };
    if (!need_place (csv, i, cx, cy, &d.x, &d.y, error) || !notch_csv_number (csv, i, peak, &d.peak, error))
      return NULL;
    g_array_append_val (list, d);
  }
  return g_steal_pointer (&list);
}

/* A detection belongs to the truth whose box is nearest, and of two as near to that whose centre is. */
static void
match (GArray *truth, GArray *found)
{
  for (guint i = 0; i < found->len; i++) {
    Detection *d = &g_array_index (found, Detection, i);
    double nearest = G_MAXDOUBLE, centre = G_MAXDOUBLE;
    for (guint k = 0; k < truth->len; k++) {
      const Truth *t = &g_array_index (truth, Truth, k);
      double dx = MAX (MAX (t->x0 - d->x, d->x - t->x1), 0), dy = MAX (MAX (t->y0 - d->y, d->y - t->y1), 0);
      if (dx > t->reach || dy > t->reach)
        continue;
      double away = hypot (dx, dy), off = hypot (d->x - t->x, d->y - t->y);
      if (away <= t->reach && (away < nearest || (away == nearest && off < centre))) {
        nearest = away, centre = off;
        d->truth = (int) k;
      }
    }
    if (d->truth < 0)
      continue;
    Truth *t = &g_array_index (truth, Truth, d->truth);
    if (t->n_found == 0 || centre < t->distance)
      t->distance = centre;
    if (t->n_found == 0 || d->peak > t->peak) {
      t->peak = d->peak;
      t->class_name = d->class_name;
    }
    t->n_found++;
  }
}

/* ---- report ------------------------------------------------------------------------------------------------------ */

/* What is written twice, for people and for machines. */
typedef struct {
  const GArray *truth, *found;
  const NotchScoreOptions *options;
  NotchScore *score;
  GString *text;
  JsonBuilder *json;
} Report;

static const double bins[] = { 0, 6, 8, 10, 12, 16, 20, 30, G_MAXDOUBLE };

static void
json_number (JsonBuilder *json, const char *name, double value)
{
  json_builder_set_member_name (json, name);
  if (isnan (value))
    json_builder_add_null_value (json);
  else
    json_builder_add_double_value (json, value);
}

static void
json_count (JsonBuilder *json, const char *name, gint64 value)
{
  json_builder_set_member_name (json, name);
  json_builder_add_int_value (json, value);
}

/* Captured of all in a class (NULL: any) and a bin of SNR (-1: any). */
static int
count (const Report *r, const char *type, int bin, int *captured)
{
  int n = 0;
  *captured = 0;
  for (guint i = 0; i < r->truth->len; i++) {
    const Truth *t = &g_array_index (r->truth, Truth, i);
    if (!t->counted || (type && strcmp (type, t->type) != 0)
        || (bin >= 0 && !(t->snr >= bins[bin] && t->snr < bins[bin + 1])))
      continue;
    n++;
    *captured += t->n_found > 0;
  }
  return n;
}

static void
write_row (Report *r, const char *type, int bin)
{
  int captured, n = count (r, type, bin, &captured);
  double low, high;
  if (n == 0)
    return;
  notch_score_wilson (captured, n, &low, &high);
  g_autofree char *range = bin < 0 ? g_strdup ("all")
                           : bins[bin + 1] == G_MAXDOUBLE
                               ? g_strdup_printf ("%d up", (int) bins[bin])
                               : g_strdup_printf ("%d to %d", (int) bins[bin], (int) bins[bin + 1]);
  g_autofree char *part = g_strdup_printf ("%d/%d", captured, n);
  g_string_append_printf (r->text, "%-12s %-9s %11s  %5s %%  %5s to %5s %%\n", type ? type : "all", range, part,
                          notch_number (100.0 * captured / n, 1).text, notch_number (100 * low, 1).text,
                          notch_number (100 * high, 1).text);
  json_builder_begin_object (r->json);
  json_builder_set_member_name (r->json, "class");
  type ? (void) json_builder_add_string_value (r->json, type) : (void) json_builder_add_null_value (r->json);
  json_number (r->json, "snr_from", bin < 0 ? NAN : bins[bin]);
  json_number (r->json, "snr_below", bin < 0 || bins[bin + 1] == G_MAXDOUBLE ? NAN : bins[bin + 1]);
  json_count (r->json, "truth", n);
  json_count (r->json, "captured", captured);
  json_number (r->json, "low", low);
  json_number (r->json, "high", high);
  json_builder_end_object (r->json);
}

static void
write_capture (Report *r)
{
  g_autoptr (GPtrArray) types = g_ptr_array_new ();
  for (guint i = 0; i < r->truth->len; i++) {
    const char *type = g_array_index (r->truth, Truth, i).type;
    if (*type && !g_ptr_array_find_with_equal_func (types, type, g_str_equal, NULL))
      g_ptr_array_add (types, (char *) type);
  }
  g_string_append (r->text, "\nclass        SNR          captured     rate  95 % interval\n");
  json_builder_set_member_name (r->json, "capture");
  json_builder_begin_array (r->json);
  for (guint k = 0; k <= types->len; k++) {
    const char *type = k < types->len ? g_ptr_array_index (types, k) : NULL;
    for (int bin = 0; bin + 1 < (int) G_N_ELEMENTS (bins); bin++)
      write_row (r, type, bin);
    write_row (r, type, -1);
  }
  json_builder_end_array (r->json);
}

static void
write_curve (Report *r)
{
  g_autofree double *snr = g_new (double, r->truth->len + 1);
  g_autofree gboolean *captured = g_new (gboolean, r->truth->len + 1);
  int n = 0;
  for (guint i = 0; i < r->truth->len; i++) {
    const Truth *t = &g_array_index (r->truth, Truth, i);
    if (t->counted && !isnan (t->snr)) {
      snr[n] = t->snr;
      captured[n++] = t->n_found > 0;
    }
  }
  NotchScoreCurve curve;
  r->score->snr50 = r->score->snr90 = NAN;
  if (n == 0)
    return;
  if (!notch_score_fit (snr, captured, n, &curve)) {
    g_string_append (r->text, "SNR50, SNR90   not to be had: that takes 20 defects, of these 3 captured and 3 missed, "
                              "and capture that rises with SNR\n");
    return;
  }
  r->score->snr50 = curve.snr50;
  r->score->snr90 = curve.snr90;
  for (int k = 0; k < 2; k++) {
    double value = k ? curve.snr90 : curve.snr50;
    g_string_append_printf (r->text, "SNR%d          %s\n", k ? 90 : 50,
                            isnan (value) ? "not reached" : notch_number (value, 2).text);
  }
}

static int
compare_down (gconstpointer a, gconstpointer b)
{
  double x = *(const double *) a, y = *(const double *) b;
  return x < y ? 1 : x > y ? -1 : 0;
}

/* Capture against false alarms: what would be left if only peaks above some SNR were kept. */
static void
write_froc (Report *r)
{
  g_autoptr (GArray) peaks = g_array_new (FALSE, FALSE, sizeof (double));
  for (guint i = 0; i < r->found->len; i++) {
    const Detection *d = &g_array_index (r->found, Detection, i);
    if (isnan (d->peak))
      return;
    if (d->truth < 0)
      g_array_append_val (peaks, d->peak);
  }
  if (peaks->len == 0 || r->score->n_truth == 0)
    return;
  g_array_sort (peaks, compare_down);
  g_string_append (r->text, "\nfalse alarms  peak SNR above     captured\n");
  json_builder_set_member_name (r->json, "froc");
  json_builder_begin_array (r->json);
  static const guint steps[] = { 0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10000 };
  for (guint k = 0; k < G_N_ELEMENTS (steps) && steps[k] < peaks->len; k++) {
    double above = g_array_index (peaks, double, steps[k]);
    int captured = 0, alarms = 0;
    for (guint i = 0; i < r->truth->len; i++) {
      const Truth *t = &g_array_index (r->truth, Truth, i);
      captured += t->counted && t->n_found > 0 && t->peak > above;
    }
    for (guint i = 0; i < peaks->len; i++)
      alarms += g_array_index (peaks, double, i) > above;
    g_string_append_printf (r->text, "%12d  %14s  %5d/%d, %s %%\n", alarms, notch_number (above, 2).text, captured,
                            r->score->n_truth, notch_number (100.0 * captured / r->score->n_truth, 1).text);
    json_builder_begin_object (r->json);
    json_count (r->json, "false_alarms", alarms);
    json_number (r->json, "peak_snr_above", above);
    json_count (r->json, "captured", captured);
    json_builder_end_object (r->json);
  }
  json_builder_end_array (r->json);
}

static void
write_ids (Report *r)
{
  json_builder_set_member_name (r->json, "missed");
  json_builder_begin_array (r->json);
  for (guint i = 0; i < r->truth->len; i++) {
    const Truth *t = &g_array_index (r->truth, Truth, i);
    if (t->counted && t->n_found == 0)
      json_builder_add_string_value (r->json, t->id);
  }
  json_builder_end_array (r->json);
  json_builder_set_member_name (r->json, "false");
  json_builder_begin_array (r->json);
  for (guint i = 0; i < r->found->len; i++) {
    const Detection *d = &g_array_index (r->found, Detection, i);
    if (d->truth < 0)
      json_builder_add_string_value (r->json, d->id);
  }
  json_builder_end_array (r->json);
}

/* Whether any class of the detections is one of the truth: else names cannot agree. */
static gboolean
share_names (const Report *r)
{
  for (guint i = 0; i < r->found->len; i++)
    for (guint k = 0; k < r->truth->len; k++) {
      const char *name = g_array_index (r->found, Detection, i).class_name;
      if (*name && strcmp (name, g_array_index (r->truth, Truth, k).type) == 0)
        return TRUE;
    }
  return FALSE;
}

static void
sum_up (Report *r)
{
  NotchScore *s = r->score;
  double points = 0, all = 0, low, high;
  int n_points = 0, right = 0;
  *s = (NotchScore){ .n_detections = (int) r->found->len };
  for (guint i = 0; i < r->truth->len; i++) {
    const Truth *t = &g_array_index (r->truth, Truth, i);
    if (!t->counted)
      continue;
    s->n_truth++;
    if (t->n_found == 0)
      continue;
    s->n_captured++;
    s->n_split += t->n_found - 1;
    all += t->distance * t->distance;
    if (t->size <= POINT_PX)
      points += t->distance * t->distance, n_points++;
    right += strcmp (t->type, t->class_name) == 0;
  }
  for (guint i = 0; i < r->found->len; i++)
    s->n_false += g_array_index (r->found, Detection, i).truth < 0;
  s->localisation_px = n_points ? sqrt (points / n_points) : NAN;
  s->localisation_all_px = s->n_captured ? sqrt (all / s->n_captured) : NAN;
  s->n_class_right = share_names (r) ? right : -1;
  notch_score_wilson (s->n_captured, s->n_truth, &low, &high);
  GString *text = r->text;
  if (s->n_truth > 0)
    g_string_append_printf (text, "captured       %d of %d, %s %% (95 %% interval %s to %s %%)\n", s->n_captured,
                            s->n_truth, notch_number (100.0 * s->n_captured / s->n_truth, 1).text,
                            notch_number (100 * low, 1).text, notch_number (100 * high, 1).text);
  g_string_append_printf (text, "false alarms   %d", s->n_false);
  if (r->options->megapixels > 0)
    g_string_append_printf (text, ", %s per Mpx", notch_number (s->n_false / r->options->megapixels, -1).text);
  g_string_append_c (text, '\n');
  if (s->n_captured == 0)
    return;
  g_string_append_printf (text, "detections     %s a captured defect, %d to spare\n",
                          notch_number ((double) (s->n_captured + s->n_split) / s->n_captured, 3).text, s->n_split);
  if (n_points > 0)
    g_string_append_printf (text, "localisation   %s px rms of %d points and blobs, %s px of all\n",
                            notch_number (s->localisation_px, 3).text, n_points,
                            notch_number (s->localisation_all_px, 3).text);
  else
    g_string_append_printf (text, "localisation   %s px rms\n", notch_number (s->localisation_all_px, 3).text);
  if (s->n_class_right >= 0)
    g_string_append_printf (text, "class right    %d of %d, %s %%\n", s->n_class_right, s->n_captured,
                            notch_number (100.0 * s->n_class_right / s->n_captured, 1).text);
}

gboolean
notch_score (const char *truth_path, const char *defects_path, const NotchScoreOptions *options, NotchScore *score,
             char **report, char **json, GError **error)
{
  g_autoptr (NotchCsv) truth_csv = notch_csv_load (truth_path, error);
  g_autoptr (NotchCsv) found_csv = truth_csv ? notch_csv_load (defects_path, error) : NULL;
  g_autoptr (GArray) truth = found_csv ? read_truth (truth_csv, options, error) : NULL;
  g_autoptr (GArray) found = truth ? read_detections (found_csv, error) : NULL;
  if (!found)
    return FALSE;
  match (truth, found);
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  Report r = { truth, found, options, score, text, builder };
  json_builder_begin_object (builder);
  sum_up (&r);
  write_curve (&r);
  json_count (builder, "truth", score->n_truth);
  json_count (builder, "captured", score->n_captured);
  json_count (builder, "detections", score->n_detections);
  json_count (builder, "false_alarms", score->n_false);
  json_number (builder, "false_alarms_per_mpx", options->megapixels > 0 ? score->n_false / options->megapixels : NAN);
  json_count (builder, "split", score->n_split);
  json_number (builder, "localisation_px", score->localisation_px);
  json_number (builder, "localisation_all_px", score->localisation_all_px);
  if (score->n_class_right >= 0)
    json_count (builder, "class_right", score->n_class_right);
  json_number (builder, "snr50", score->snr50);
  json_number (builder, "snr90", score->snr90);
  if (score->n_truth > 0)
    write_capture (&r);
  write_froc (&r);
  write_ids (&r);
  json_builder_end_object (builder);
  if (json) {
    g_autoptr (JsonNode) root = json_builder_get_root (builder);
    *json = json_to_string (root, TRUE);
  }
  *report = g_string_free (g_steal_pointer (&text), FALSE);
  return TRUE;
}
