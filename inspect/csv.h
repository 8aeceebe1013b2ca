/* csv.h - tables in text files: comma, a header row, fields in quotes where they need it */
#pragma once

#include "inspect/notch.h"

typedef struct {
  char *path;
  char **name; /* of the columns */
  int n_columns;
  GPtrArray *row; /* char **, n_columns fields each, no blanks around */
  GArray *line;   /* gint64: line of the file that a row begins on, from 1 */
} NotchCsv;

/* Reads a whole table. Empty lines are left out; a byte order mark and CRLF are taken. Errors name file and line. */
NotchCsv *notch_csv_load (const char *path, GError **error);
void notch_csv_free (NotchCsv *csv);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchCsv, notch_csv_free)

/* The column of a name, or -1. */
int notch_csv_column (const NotchCsv *csv, const char *name);
/* A field as text, "" where the column is -1. */
const char *notch_csv_text (const NotchCsv *csv, guint row, int column);
/* A field as a number: NAN where it is empty or the column is -1. FALSE with the file, line and column in the error
 * when it is none. */
gboolean notch_csv_number (const NotchCsv *csv, guint row, int column, double *value, GError **error);
