/* csv.c - defects.csv, dice.csv and the rows of summary.csv: UTF-8, comma, header row */
#include "inspect/report/report.h"

#include <math.h>

#include "inspect/image/write.h"

static gboolean
save (const NotchReportJob *job, const char *name, const GString *text, GError **error)
{
  g_autofree char *path = g_build_filename (job->folder, name, NULL);
  return notch_write_file (path, text->str, (gssize) text->len, error);
}

/* The features up to angle_deg stand before the class, later ones after it: columns never move. */
enum { N_FIRST = NOTCH_FEATURE_ANGLE_DEG + 1 };

static void
append_features (GString *text, const NotchDefect *defect, int from, int to)
{
  for (int f = from; f < to; f++) {
    g_string_append_c (text, ',');
    if (defect)
      notch_append_number (text, defect->value[f], notch_feature_info[f].decimals);
    else
      g_string_append (text, notch_feature_info[f].name);
  }
}

gboolean
notch_report_defects (const NotchReportJob *job, GError **error)
{
  const NotchResult *result = job->result;
  g_autoptr (GString) text = g_string_new ("defect_id");
  append_features (text, NULL, 0, N_FIRST);
  g_string_append (text, ",class,confidence");
  append_features (text, NULL, N_FIRST, NOTCH_N_FEATURES);
  g_string_append (text, ",nuisance\n");
  for (guint i = 0; i < notch_n_defects (result); i++) {
    const NotchDefect *defect = notch_defect (result, i);
    g_string_append_printf (text, "%" G_GINT64_FORMAT, defect->id);
    append_features (text, defect, 0, N_FIRST);
    g_string_append_c (text, ',');
    notch_append_field (text, notch_class_name (result, defect->class_index));
    g_string_append_c (text, ',');
    notch_append_number (text, defect->confidence, 3);
    append_features (text, defect, N_FIRST, NOTCH_N_FEATURES);
    g_string_append_printf (text, ",%d\n", defect->nuisance);
  }
  return save (job, "defects.csv", text, error);
}

gboolean
notch_report_dice (const NotchReportJob *job, GError **error)
{
  const NotchGrid *grid = job->result->grid;
  g_autoptr (GString) text = g_string_new ("die_col,die_row,x_px,y_px,width_px,height_px,dx_px,dy_px,defects,status\n");
  for (guint i = 0; grid && i < grid->die->len; i++) {
    const NotchDie *die = &g_array_index (grid->die, NotchDie, i);
    const double number[] = {
      die->x, die->y, hypot (grid->ax, grid->ay), hypot (grid->bx, grid->by), die->dx, die->dy
    };
    g_string_append_printf (text, "%d,%d,", die->col, die->row);
    for (guint k = 0; k < G_N_ELEMENTS (number); k++) {
      notch_append_number (text, number[k], 3);
      g_string_append_c (text, ',');
    }
    g_string_append_printf (text, "%" G_GINT64_FORMAT ",%s\n", die->n_defects,
                            notch_status_name[notch_die_status (die)]);
  }
  return save (job, "dice.csv", text, error);
}

char *
notch_summary_header (const NotchResult *result)
{
  g_autoptr (GString) text = g_string_new ("file,stem,verdict,reasons,width_px,height_px,dice,failed_dice,defects");
  for (guint i = 0; i < notch_n_classes (result); i++) {
    g_autofree char *name = g_strconcat ("class_", notch_class_name (result, (int) i), NULL);
    g_string_append_c (text, ',');
    notch_append_field (text, name);
  }
  g_string_append (text, ",threshold,z_rms,shift_rms_px,warnings,seconds_read,seconds_inspect,seconds_report,seconds,"
                         "device,version,signature,signature_confidence\n");
  return g_string_free (g_steal_pointer (&text), FALSE);
}

static void
append_lines (GString *text, const GPtrArray *line)
{
  g_autoptr (GString) joined = g_string_new (NULL);
  for (guint i = 0; line && i < line->len; i++)
    g_string_append_printf (joined, "%s%s", i ? "; " : "", (const char *) g_ptr_array_index (line, i));
  notch_append_field (text, joined->str);
}

char *
notch_summary_row (const NotchResult *result)
{
  NotchDiceCount count = notch_count_dice (result);
  g_autoptr (GString) text = g_string_new (NULL);
  notch_append_field (text, result->path);
  g_string_append_c (text, ',');
  notch_append_field (text, result->stem);
  g_string_append_printf (text, ",%s,", notch_verdict_name[result->verdict]);
  append_lines (text, result->reason);
  const gint64 number[] = { result->width, result->height, count.dice, count.failed, notch_n_defects (result) };
  for (guint i = 0; i < G_N_ELEMENTS (number); i++)
    g_string_append_printf (text, ",%" G_GINT64_FORMAT, number[i]);
  for (guint i = 0; i < notch_n_classes (result); i++)
    g_string_append_printf (text, ",%" G_GINT64_FORMAT, result->class_count[i]);
  g_string_append_c (text, ',');
  notch_append_number (text, result->threshold, 3);
  g_string_append_c (text, ',');
  notch_append_number (text, result->z_rms, 4);
  g_string_append_c (text, ',');
  notch_append_number (text, result->shift_rms, 4);
  g_string_append_c (text, ',');
  append_lines (text, result->warning);
  for (guint i = 0; i < G_N_ELEMENTS (result->seconds); i++) {
    g_string_append_c (text, ',');
    notch_append_number (text, result->seconds[i], 3);
  }
  g_string_append_c (text, ',');
  notch_append_field (text, result->device);
  g_string_append_printf (text, ",%s,", notch_version ());
  if (result->signature) {
    notch_append_field (text, result->signature);
    g_string_append_c (text, ',');
    notch_append_number (text, result->signature_confidence, 3);
  } else
    g_string_append_c (text, ',');
  g_string_append_c (text, '\n');
  return g_string_free (g_steal_pointer (&text), FALSE);
}
