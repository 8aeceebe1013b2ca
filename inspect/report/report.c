/* report.c - the table of reports, and what several of them need */
#include "inspect/report/report.h"

#include "inspect/compute/parallel.h"
#include "inspect/image/write.h"
#include "inspect/report/paint.h"

#include <float.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

const char *const notch_status_name[NOTCH_N_STATUS] = { "ok",      "defective", "failed", "blank",
                                                        "partial", "excluded",  "outside" };
const char *const notch_verdict_name[] = { "pass", "reject", "trouble" };

static gboolean
write_recipe (const NotchReportJob *job, GError **error)
{
  g_autofree char *path = g_build_filename (job->folder, "recipe.ini", NULL);
  return notch_recipe_save (job->result->recipe, path, error);
}

static const NotchReport defects = { "defects", "defects.csv", "one row a defect, with every number measured",
                                     TRUE,      FALSE,         notch_report_defects };
static const NotchReport dice = { "dice", "dice.csv", "one row a die: place, shift, defects, status",
                                  TRUE,   FALSE,      notch_report_dice };
static const NotchReport overlay = { "overlay", "overlay.png", "the image with every defect marked",
                                     TRUE,      TRUE,          notch_report_overlay };
static const NotchReport map = { "map", "map.png", "wafer map: dice by status, defects as dots",
                                 TRUE,  FALSE,     notch_report_map };
static const NotchReport crops = { "crops", "crops/ID.png", "test, reference and difference of each defect",
                                   TRUE,    FALSE,          notch_report_crops };
static const NotchReport patches = {
  "patches", "patches.tif", "test and reference around each defect as numbers, for notch train",
  FALSE,     FALSE,         notch_report_patches
};
static const NotchReport spectrum = {
  "spectrum", "spectrum.png", "power spectra, with the lattice of arrays and the notches",
  FALSE,      FALSE,          notch_report_spectrum
};
static const NotchReport haze = { "haze", "haze.png", "level and noise of a bare surface as maps",
                                  FALSE,  FALSE,      notch_report_haze };
static const NotchReport haze_table = { "haze", "haze.csv", "the same as a table, a row a square of the mesh",
                                        FALSE,  FALSE,      notch_report_haze_table };
static const NotchReport recipe = { "recipe", "recipe.ini", "the recipe as used", TRUE, FALSE, write_recipe };
static const NotchReport json = { "json", "summary.json", "everything about the image for programs; always written",
                                  TRUE,   FALSE,          notch_report_json };

const NotchReport *const notch_reports[] = { &defects,  &dice, &overlay,    &map,    &crops, &patches,
                                             &spectrum, &haze, &haze_table, &recipe, &json,  NULL };

gboolean
notch_reports_check (const char *formats, GError **error)
{
  if (!formats)
    return TRUE;
  g_auto (GStrv) name = g_strsplit (formats, ",", -1);
  for (int i = 0; !i || name[i]; i++) {
    const NotchReport *const *report = notch_reports;
    while (*report && g_strcmp0 ((*report)->name, name[0] ? g_strstrip (name[i]) : NULL))
      report++;
    if (*report)
      continue;
    g_autoptr (GString) known = g_string_new (NULL);
    for (report = notch_reports; *report; report++)
      if (report == notch_reports || strcmp (report[0]->name, report[-1]->name)) /* a report may write two files */
        g_string_append_printf (known, "%s%s", report == notch_reports ? "" : ", ", (*report)->name);
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE, "--format: there is no report \"%s\"; choose from %s",
                 name[0] ? name[i] : "", known->str);
    return FALSE;
  }
  return TRUE;
}

char *
notch_reports_describe (void)
{
  GString *text = g_string_new (NULL);
  for (const NotchReport *const *report = notch_reports; *report; report++)
    g_string_append_printf (text, "  %-8s %c %s (%s)\n", (*report)->name, (*report)->by_default ? '*' : ' ',
                            (*report)->summary, (*report)->files);
  return g_string_free (text, FALSE);
}

gboolean
notch_reports_wanted (const NotchReport *report, const char *formats)
{
  if (report == &json)
    return TRUE;
  if (!formats)
    return report->by_default;
  g_auto (GStrv) name = g_strsplit (formats, ",", -1);
  for (char **n = name; *n; n++)
    if (!strcmp (g_strstrip (*n), report->name))
      return TRUE;
  return FALSE;
}

gboolean
notch_reports_want (const char *formats, const char *name)
{
  for (const NotchReport *const *report = notch_reports; *report; report++)
    if (strcmp ((*report)->name, name) == 0)
      return notch_reports_wanted (*report, formats);
  return FALSE;
}

/* Files of a folder that are named by a number. */
static void
remove_numbered (const char *folder, const char *ending)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  for (const char *name; dir && (name = g_dir_read_name (dir));) {
    gsize digits = strspn (name, "0123456789");
    g_autofree char *path = g_build_filename (folder, name, NULL);
    if (digits && !strcmp (name + digits, ending))
      g_unlink (path);
  }
}

static gboolean
is_same_file (const char *a, const char *b)
{
  GStatBuf x, y;
  return b && g_stat (a, &x) == 0 && g_stat (b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

void
notch_reports_remove (const char *folder, const char *spared)
{
  for (gsize i = G_N_ELEMENTS (notch_reports) - 1; i-- > 0;) { /* the marker first: half a folder is not finished */
    const char *files = notch_reports[i]->files, *number = strstr (files, "ID");
    g_autofree char *path = g_build_filename (folder, files, NULL);
    if (!number) {
      if (!is_same_file (path, spared))
        g_unlink (path);
      continue;
    }
    g_autofree char *within = g_path_get_dirname (path);
    remove_numbered (within, number + 2);
    notch_aside_sweep (within);
    g_rmdir (within);
  }
  notch_aside_sweep (folder);
}

/* Reports that are written side by side. */
typedef struct {
  const NotchReportJob *job;
  const NotchReport *report[G_N_ELEMENTS (notch_reports)];
  GError *error[G_N_ELEMENTS (notch_reports)]; /* of each; NULL: written */
  int n;
} Desk;

static void
write_report (gpointer data, int i)
{
  Desk *desk = data;
  desk->report[i]->write (desk->job, &desk->error[i]);
}

/* All of them; when several fail, the error is of the first. */
static gboolean
write_desk (Desk *desk, GError **error)
{
  GError *first = NULL;
  notch_parallel (desk->job->jobs, desk->n, write_report, desk);
  for (int i = 0; i < desk->n; i++)
    if (first)
      g_clear_error (&desk->error[i]);
    else
      first = desk->error[i];
  if (first)
    g_propagate_error (error, first);
  return !first;
}

gboolean
notch_reports_write (const NotchReportJob *job, const char *formats, GError **error)
{
  if (!notch_reports_check (formats, error))
    return FALSE;
  NotchReportJob full = *job;
  full.formats = formats;
  Desk desk = { .job = &full };
  for (const NotchReport *const *report = notch_reports; *report != &json; report++)
    if (!(*report)->reads_rows && notch_reports_wanted (*report, formats))
      desk.report[desk.n++] = *report;
  if (!notch_store_go_on (job->store, error) || !write_desk (&desk, error))
    return FALSE;
  for (const NotchReport *const *report = notch_reports; *report; report++)
    if (((*report)->reads_rows || *report == &json) && notch_reports_wanted (*report, formats)
        && (!notch_store_go_on (job->store, error) || !(*report)->write (&full, error)))
      return FALSE;
  return TRUE;
}

/* ---- what is in a result --------------------------------------------------------------------------------------- */

guint
notch_n_defects (const NotchResult *result)
{
  return result->defect ? result->defect->len : 0;
}

guint
notch_n_classes (const NotchResult *result)
{
  return result->class_name && result->class_count ? result->class_name->len : 0;
}

const NotchDefect *
notch_defect (const NotchResult *result, guint i)
{
  return &g_array_index (result->defect, NotchDefect, i);
}

const char *
notch_class_name (const NotchResult *result, int class_index)
{
  gboolean known = class_index >= 0 && (guint) class_index < notch_n_classes (result);
  return known ? g_ptr_array_index (result->class_name, class_index) : "";
}

int
notch_defect_compare_strength (gconstpointer a, gconstpointer b)
{
  const NotchDefect *p = *(const NotchDefect *const *) a, *q = *(const NotchDefect *const *) b;
  double from = p->value[NOTCH_FEATURE_PEAK_SNR], to = q->value[NOTCH_FEATURE_PEAK_SNR];
  return from > to ? -1 : from < to ? 1 : (p->id > q->id) - (p->id < q->id);
}

NotchDieStatus
notch_die_status (const NotchDie *die)
{
  return die->kind == NOTCH_DIE_OUTSIDE    ? NOTCH_STATUS_OUTSIDE
         : die->kind == NOTCH_DIE_EXCLUDED ? NOTCH_STATUS_EXCLUDED
         : die->failed                     ? NOTCH_STATUS_FAILED
         : die->n_defects > 0              ? NOTCH_STATUS_DEFECTIVE
         : die->kind == NOTCH_DIE_PARTIAL  ? NOTCH_STATUS_PARTIAL
         : die->blank                      ? NOTCH_STATUS_BLANK
                                           : NOTCH_STATUS_OK;
}

NotchDiceCount
notch_count_dice (const NotchResult *result)
{
  NotchDiceCount count = { 0 };
  for (guint i = 0; result->grid && i < result->grid->die->len; i++) {
    const NotchDie *die = &g_array_index (result->grid->die, NotchDie, i);
    NotchDieStatus status = notch_die_status (die);
    count.status[status]++;
    count.failed += die->failed || die->blank;
    count.dice += die->kind == NOTCH_DIE_WHOLE || (die->kind == NOTCH_DIE_PARTIAL && result->recipe->dice.partial);
  }
  return count;
}

/* ---- text ------------------------------------------------------------------------------------------------------ */

void
notch_append_number (GString *to, double value, int decimals)
{
  if (!isfinite (value))
    return;
  char format[16], text[DBL_MAX_10_EXP + 64];
  g_snprintf (format, sizeof format, "%%.%df", CLAMP (decimals, 0, 40));
  g_ascii_formatd (text, sizeof text, format, value);
  /* What rounds to zero has no sign. */
  g_string_append (to, text[0] == '-' && !strpbrk (text, "123456789") ? text + 1 : text);
}

void
notch_append_field (GString *to, const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text ? text : "", -1);
  gsize n = strlen (valid);
  gboolean quote = strpbrk (valid, ",\"\r\n") || (n && (g_ascii_isspace (valid[0]) || g_ascii_isspace (valid[n - 1])));
  if (!quote) {
    g_string_append (to, valid);
    return;
  }
  g_string_append_c (to, '"');
  for (const char *c = valid; *c; c++) {
    if (*c == '"')
      g_string_append_c (to, '"');
    g_string_append_c (to, *c);
  }
  g_string_append_c (to, '"');
}
