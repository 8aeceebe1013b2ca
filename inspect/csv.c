/* csv.c */
#include "inspect/csv.h"
#include "inspect/text.h"

#include <math.h>
#include <string.h>

/* Reads the record at *at, which is moved behind it. The fields, or NULL with error set for a quote that never ends. */
static char **
read_record (const char *path, const char **at, gint64 *line, GError **error)
{
  g_autoptr (GPtrArray) fields = g_ptr_array_new_with_free_func (g_free);
  const char *p = *at;
  gint64 first = *line;
  for (gboolean more = TRUE; more;) {
    g_autoptr (GString) field = g_string_new (NULL);
    while (*p == ' ' || *p == '\t')
      p++;
    if (*p == '"') {
      for (p++; *p && !(*p == '"' && p[1] != '"'); p++) {
        if (*p == '"')
          p++; /* a doubled quote is one */
        *line += *p == '\n';
        g_string_append_c (field, *p);
      }
      if (!*p)
        return g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                            "%s: line %" G_GINT64_FORMAT ": a quote is opened and never closed", path, first),
               NULL;
      p++;
    }
    gsize quoted = field->len; /* blanks in quotes are meant */
    for (; *p && *p != ',' && *p != '\n' && *p != '\r'; p++)
      g_string_append_c (field, *p);
    while (field->len > quoted && g_ascii_isspace (field->str[field->len - 1]))
      g_string_truncate (field, field->len - 1);
    g_ptr_array_add (fields, g_string_free (g_steal_pointer (&field), FALSE));
    more = *p == ',';
    p += more;
  }
  *line += *p != 0;
  p += *p == '\r';
  p += *p == '\n';
  *at = p;
  g_ptr_array_add (fields, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&fields), FALSE);
}

NotchCsv *
notch_csv_load (const char *path, GError **error)
{
  g_autofree char *text = notch_text_load (path, "a CSV file", error);
  if (!text)
    return NULL;
  g_autoptr (NotchCsv) csv = g_new0 (NotchCsv, 1);
  csv->path = g_strdup (path);
  csv->row = g_ptr_array_new_with_free_func ((GDestroyNotify) g_strfreev);
  csv->line = g_array_new (FALSE, FALSE, sizeof (gint64));
  gint64 line = 1;
  const char *at = g_str_has_prefix (text, "\xef\xbb\xbf") ? text + 3 : text;
  while (*at) {
    gint64 first = line;
    g_auto (GStrv) fields = read_record (path, &at, &line, error);
    if (!fields)
      return NULL;
    int count = (int) g_strv_length (fields);
    if (count == 1 && !*fields[0])
      continue;
    if (!csv->name) {
      csv->name = g_steal_pointer (&fields);
      csv->n_columns = count;
      continue;
    }
    if (count != csv->n_columns)
      return g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                          "%s: line %" G_GINT64_FORMAT " has %d fields where the header has %d", path, first, count,
                          csv->n_columns),
             NULL;
    g_ptr_array_add (csv->row, g_steal_pointer (&fields));
    g_array_append_val (csv->line, first);
  }
  if (!csv->name)
    return g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: is empty; its first line must name the columns",
                        path),
           NULL;
  return g_steal_pointer (&csv);
}

void
notch_csv_free (NotchCsv *csv)
{
  if (!csv)
    return;
  g_free (csv->path);
  g_strfreev (csv->name);
  g_ptr_array_unref (csv->row);
  g_array_unref (csv->line);
  g_free (csv);
}

int
notch_csv_column (const NotchCsv *csv, const char *name)
{
  for (int i = 0; i < csv->n_columns; i++)
    if (strcmp (csv->name[i], name) == 0)
      return i;
  return -1;
}

const char *
notch_csv_text (const NotchCsv *csv, guint row, int column)
{
  return column < 0 ? "" : ((char **) g_ptr_array_index (csv->row, row))[column];
}

gboolean
notch_csv_number (const NotchCsv *csv, guint row, int column, double *value, GError **error)
{
  const char *text = notch_csv_text (csv, row, column);
  char *end = NULL;
  *value = *text ? g_ascii_strtod (text, &end) : NAN;
  if (!*text || (*end == 0 && isfinite (*value)))
    return TRUE;
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: line %" G_GINT64_FORMAT ": %s is \"%s\", which is no number",
               csv->path, g_array_index (csv->line, gint64, row), csv->name[column], text);
  return FALSE;
}
