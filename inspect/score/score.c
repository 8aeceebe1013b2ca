/* score.c - compares lists of defects with the truth: reading and matching */
#include "inspect/score/score.h"
#include "inspect/text.h"

#include <math.h>
#include <string.h>

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

/* Each file has a place under the other's name: nobody means that. */
static gboolean
check_order (const NotchCsv *truth, const NotchCsv *found, GError **error)
{
  if (notch_csv_column (truth, "x") >= 0 || notch_csv_column (found, "x_px") >= 0
      || notch_csv_column (truth, "x_px") < 0 || notch_csv_column (found, "x") < 0)
    return TRUE;
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
               "%s: has the columns of found defects, and %s those of the truth; are the files swapped? The truth "
               "comes first",
               truth->path, found->path);
  return FALSE;
}

/* A class that neither file has, nor any wafer that is simulated, is a slip. */
static gboolean
check_classes (const NotchCsv *truth, const NotchCsv *found, const char *classes, GError **error)
{
  g_auto (GStrv) wanted = classes ? g_strsplit (classes, ",", -1) : NULL;
  g_autoptr (GString) known = g_string_new (NULL);
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  for (int file = 0; wanted && file < 2; file++) {
    const NotchCsv *csv = file == 0 ? truth : found;
    int column = notch_csv_column (csv, file == 0 ? "type" : "class");
    for (guint i = 0; i < csv->row->len; i++) {
      const char *name = notch_csv_text (csv, i, column);
      if (*name && g_hash_table_add (seen, (gpointer) name))
        g_string_append_printf (known, "%s%s", known->len ? ", " : "", name);
    }
  }
  static const char *const usual[] = { "particle", "pit", "scratch", "bridge", "open", "stain", NULL };
  for (int k = 0; wanted && wanted[k]; k++)
    if (!g_hash_table_contains (seen, wanted[k]) && !g_strv_contains (usual, wanted[k])) {
      g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
                   "--classes %s: neither %s nor %s has a defect of class \"%s\"; they have %s", classes, truth->path,
                   found->path, wanted[k], known->len ? known->str : "no classes");
      return FALSE;
    }
  return TRUE;
}

static gboolean
read_truth (const NotchCsv *csv, int image, const NotchScoreOptions *options, GArray *list, GError **error)
{
  int cx, cy;
  if (!need_column (csv, "x", "x_px", &cx, error) || !need_column (csv, "y", "y_px", &cy, error))
    return FALSE;
  static const char *const optional[] = { "w", "h", "snr", "area_px", "box_x", "box_y", "nuisance" };
  double value[G_N_ELEMENTS (optional)];
  int id = notch_csv_column (csv, "id"), type = notch_csv_column (csv, "type");
  double match = options->match_px > 0 ? options->match_px : 2;
  g_auto (GStrv) classes = options->classes ? g_strsplit (options->classes, ",", -1) : NULL;
  for (guint i = 0; i < csv->row->len; i++) {
    NotchTruth t = { .id = notch_csv_text (csv, i, id), .type = notch_csv_text (csv, i, type), .image = image };
    if (!need_place (csv, i, cx, cy, &t.x, &t.y, error))
      return FALSE;
    for (guint k = 0; k < G_N_ELEMENTS (optional); k++)
      if (!notch_csv_number (csv, i, notch_csv_column (csv, optional[k]), &value[k], error))
        return FALSE;
    double w = value[0] > 0 ? value[0] : 0, h = value[1] > 0 ? value[1] : 0;
    t.size = MAX (w, h);
    t.snr = value[2];
    t.x0 = isnan (value[4]) ? t.x - w / 2 : value[4] - 0.5;
    t.y0 = isnan (value[5]) ? t.y - h / 2 : value[5] - 0.5;
    t.x1 = t.x0 + w;
    t.y1 = t.y0 + h;
    /* by area where it is known: a long thin scratch is not as wide as it is long */
    t.reach = MAX (match, 0.5 * (value[3] > 0 ? sqrt (value[3]) : MIN (w, h)));
    t.nuisance = value[6] > 0 || g_str_has_prefix (t.type, "nuisance");
    t.counted = !t.nuisance && !(t.snr < options->snr_min)
                && (!classes || g_strv_contains ((const char *const *) classes, t.type));
    g_array_append_val (list, t);
  }
  return TRUE;
}

static gboolean
read_detections (const NotchCsv *csv, int image, GArray *list, GError **error)
{
  int cx, cy, id = notch_csv_column (csv, "defect_id"), class_name = notch_csv_column (csv, "class");
  int peak = notch_csv_column (csv, "peak_snr");
  int width = notch_csv_column (csv, "width_px"), height = notch_csv_column (csv, "height_px");
  if (!need_column (csv, "x_px", "x", &cx, error) || !need_column (csv, "y_px", "y", &cy, error))
    return FALSE;
  for (guint i = 0; i < csv->row->len; i++) {
    double w, h;
    NotchDetection d = { .id = notch_csv_text (csv, i, id), .class_name = notch_csv_text (csv, i, class_name) };
    d.image = image, d.truth = -1;
    if (!need_place (csv, i, cx, cy, &d.x, &d.y, error) || !notch_csv_number (csv, i, peak, &d.peak, error)
        || !notch_csv_number (csv, i, width, &w, error) || !notch_csv_number (csv, i, height, &h, error))
      return FALSE;
    d.size = MAX (w, h);
    g_array_append_val (list, d);
  }
  return TRUE;
}

/* A detection belongs to the truth whose box is nearest, and of two as near to that whose centre is; to a nuisance only
 * where there is no defect. Both arrays are one image's from `first` on. */
static void
match (GArray *truth, guint first_truth, GArray *found, guint first_found)
{
  for (guint i = first_found; i < found->len; i++) {
    NotchDetection *d = &g_array_index (found, NotchDetection, i);
    double nearest = G_MAXDOUBLE, centre = G_MAXDOUBLE;
    gboolean nuisance = TRUE;
    for (guint k = first_truth; k < truth->len; k++) {
      const NotchTruth *t = &g_array_index (truth, NotchTruth, k);
      double dx = MAX (MAX (t->x0 - d->x, d->x - t->x1), 0), dy = MAX (MAX (t->y0 - d->y, d->y - t->y1), 0);
      double away = hypot (dx, dy), off = hypot (d->x - t->x, d->y - t->y);
      if (away > t->reach || (t->nuisance && !nuisance))
        continue;
      if ((nuisance && !t->nuisance) || away < nearest || (away == nearest && off < centre)) {
        nearest = away, centre = off;
        nuisance = t->nuisance;
        d->truth = (int) k;
      }
    }
    if (d->truth < 0)
      continue;
    NotchTruth *t = &g_array_index (truth, NotchTruth, d->truth);
    if (t->n_found == 0 || centre < t->distance)
      t->distance = centre;
    if (t->n_found == 0 || d->size > t->found_size)
      t->found_size = d->size;
    if (t->n_found == 0 || d->peak > t->peak) {
      t->peak = d->peak;
      t->class_name = d->class_name;
    }
    t->n_found++;
  }
}

/* ---- tally ------------------------------------------------------------------------------------------------------- */

void
notch_tally_free (NotchTally *tally)
{
  if (!tally)
    return;
  g_array_unref (tally->truth);
  g_array_unref (tally->found);
  g_ptr_array_unref (tally->table);
  g_free (tally);
}

static const NotchCsv *
load (NotchTally *tally, const char *path, GError **error)
{
  NotchCsv *csv = notch_csv_load (path, error);
  if (csv)
    g_ptr_array_add (tally->table, csv);
  return csv;
}

NotchTally *
notch_tally_new (const NotchScorePair *pair, int n, const NotchScoreOptions *options, GError **error)
{
  g_autoptr (NotchTally) tally = g_new0 (NotchTally, 1);
  tally->table = g_ptr_array_new_with_free_func ((GDestroyNotify) notch_csv_free);
  tally->truth = g_array_new (FALSE, TRUE, sizeof (NotchTruth));
  tally->found = g_array_new (FALSE, TRUE, sizeof (NotchDetection));
  tally->n_images = n;
  for (int i = 0; i < n; i++) {
    guint first_truth = tally->truth->len, first_found = tally->found->len;
    const NotchCsv *truth = load (tally, pair[i].truth, error),
                   *found = truth ? load (tally, pair[i].defects, error) : NULL;
    if (!found || !check_order (truth, found, error) || !check_classes (truth, found, options->classes, error)
        || !read_truth (truth, i, options, tally->truth, error) || !read_detections (found, i, tally->found, error))
      return NULL;
    match (tally->truth, first_truth, tally->found, first_found);
  }
  return g_steal_pointer (&tally);
}

gboolean
notch_score (const NotchScorePair *pair, int n, const NotchScoreOptions *options, NotchScore *score, char **report,
             char **json, GError **error)
{
  g_autoptr (NotchTally) tally = notch_tally_new (pair, n, options, error), oracle = NULL;
  if (!tally || (options->oracle && !(oracle = notch_score_oracle (pair, n, options, error))))
    return FALSE;
  g_autoptr (GPtrArray) groups = notch_score_groups (tally, oracle);
  if (options->froc && !notch_score_write_froc (tally, groups, options->megapixels, options->froc, error))
    return FALSE;
  if (options->plot && !notch_score_write_plot (tally, oracle, groups, options->megapixels, options->plot, error))
    return FALSE;
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  notch_score_tell (tally, oracle, groups, options, score, text, builder);
  if (json) {
    g_autoptr (JsonNode) root = json_builder_get_root (builder);
    *json = notch_json_text (root);
  }
  *report = g_string_free (g_steal_pointer (&text), FALSE);
  return TRUE;
}
