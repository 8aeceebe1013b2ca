/* report.h - a finished image's results in one format; one file a format, one row in the table of report.c */
#pragma once

#include "inspect/detect/result.h"

typedef struct {
  const NotchResult *result;
  const char *folder; /* OUT/STEM, exists */
  NotchStore *store;  /* the image's rows, for what is drawn at full size */
  int jobs;
} NotchReportJob;

typedef struct {
  const char *name;  /* for --format: "csv", "json", "overlay" */
  const char *files; /* what it writes, for help */
  const char *summary;
  gboolean by_default;
  gboolean (*write) (const NotchReportJob *job, GError **error);
} NotchReport;

extern const NotchReport *const notch_reports[]; /* NULL at the end; summary.json is last, it marks a finished image */

/* Checks a --format list; NULL is the default set. */
gboolean notch_reports_check (const char *formats, GError **error);
/* Writes the reports of a list. */
gboolean notch_reports_write (const NotchReportJob *job, const char *formats, GError **error);

/* The row of summary.csv for an image, and its header, both with a newline. */
char *notch_summary_header (const NotchResult *result);
char *notch_summary_row (const NotchResult *result);

/* The same number on every machine and locale; NAN gives "". */
void notch_append_number (GString *to, double value, int decimals);
