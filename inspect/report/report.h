/* report.h - a finished image's results in one format; one file a format, one row in the table of report.c */
#pragma once

#include "inspect/detect/result.h"

typedef struct {
  const NotchResult *result;
  const char *folder; /* OUT/STEM, exists */
  NotchStore *store;  /* the image's rows, for what is drawn at full size */
  int jobs;
  gint64 start;        /* g_get_monotonic_time () when the reports were begun; 0: not known */
  const char *formats; /* the list that is being written; notch_reports_write fills it in */
} NotchReportJob;

typedef struct {
  const char *name;  /* for --format: "defects", "overlay", "json" */
  const char *files; /* what it writes, relative to the folder; "ID" stands for each defect's number */
  const char *summary;
  gboolean by_default;
  gboolean reads_rows; /* from the store, which one thread may ask: the caller's writes it */
  gboolean (*write) (const NotchReportJob *job, GError **error);
} NotchReport;

extern const NotchReport *const notch_reports[]; /* NULL at the end; summary.json is last, it marks a finished image */

/* The reports. */
gboolean notch_report_defects (const NotchReportJob *job, GError **error);
gboolean notch_report_dice (const NotchReportJob *job, GError **error);
gboolean notch_report_overlay (const NotchReportJob *job, GError **error);
gboolean notch_report_map (const NotchReportJob *job, GError **error);
gboolean notch_report_crops (const NotchReportJob *job, GError **error);
gboolean notch_report_patches (const NotchReportJob *job, GError **error);
gboolean notch_report_spectrum (const NotchReportJob *job, GError **error);
gboolean notch_report_haze (const NotchReportJob *job, GError **error);
gboolean notch_report_haze_table (const NotchReportJob *job, GError **error);
gboolean notch_report_json (const NotchReportJob *job, GError **error);

/* Checks a --format list, names with commas between; NULL is the default set. */
gboolean notch_reports_check (const char *formats, GError **error);
/* Is a report in the list? What marks a finished image is in every list. */
gboolean notch_reports_wanted (const NotchReport *report, const char *formats);
/* Likewise of a report by its name. */
gboolean notch_reports_want (const char *formats, const char *name);
/* Removes every file that a report of the table can have written into a folder, and what an interrupted run left of
 * them; other files stay, and so does `spared`, by whatever name: a recipe that was written here may be followed now.
 * NULL: none. */
void notch_reports_remove (const char *folder, const char *spared);
/* Writes the reports of a list: side by side on job->jobs threads, then by this thread those that read rows, and last what
 * marks a finished image. */
gboolean notch_reports_write (const NotchReportJob *job, const char *formats, GError **error);

/* The row of summary.csv for an image, and its header, both with a newline. */
char *notch_summary_header (const NotchResult *result);
char *notch_summary_row (const NotchResult *result);

/* What became of a die. */
typedef enum {
  NOTCH_STATUS_OK,        /* inspected, nothing found */
  NOTCH_STATUS_DEFECTIVE, /* has defects */
  NOTCH_STATUS_FAILED,    /* differs from its neighbours nearly everywhere */
  NOTCH_STATUS_BLANK,     /* nothing in it to register by, nothing found */
  NOTCH_STATUS_PARTIAL,   /* cut by an edge, nothing found or not inspected */
  NOTCH_STATUS_EXCLUDED,  /* by the recipe */
  NOTCH_STATUS_OUTSIDE,   /* not on the wafer */
  NOTCH_N_STATUS
} NotchDieStatus;
extern const char *const notch_status_name[NOTCH_N_STATUS];
NotchDieStatus notch_die_status (const NotchDie *die);

/* The counts of an image: dice of each status; dice that were inspected; of them, those that failed or
 * are blank, as [limits] counts them. */
typedef struct {
  gint64 status[NOTCH_N_STATUS], dice, failed;
} NotchDiceCount;
NotchDiceCount notch_count_dice (const NotchResult *result);

/* A surface in a few numbers. */
typedef struct {
  const char *unit;          /* ppm of full scale, or grey levels where there is none */
  double median, p95, noise; /* of the cells' levels; of their sigmas the median */
  double crowded;            /* 0 to 1: share of the cells */
} NotchHaze;
/* `result` has a mesh. */
NotchHaze notch_haze_of (const NotchResult *result);

extern const char *const notch_verdict_name[]; /* "pass", "reject", "trouble" */

/* Each of these is 0 or empty where the result has no such list. */
guint notch_n_defects (const NotchResult *result);
guint notch_n_classes (const NotchResult *result);
const NotchDefect *notch_defect (const NotchResult *result, guint i);
const char *notch_class_name (const NotchResult *result, int class_index);

/* Orders const NotchDefect * by SNR, the strongest first; equal ones by number. */
int notch_defect_compare_strength (gconstpointer a, gconstpointer b);

/* Which defects have a picture: const NotchDefect *, ordered as in the result, at most recipe.report.crops. */
GPtrArray *notch_crops_chosen (const NotchResult *result);

/* A CSV field, in quotes where it needs them; made valid UTF-8. */
void notch_append_field (GString *to, const char *text);
/* The same number on every machine and locale; NAN gives "". */
void notch_append_number (GString *to, double value, int decimals);
