/* text.c - see text.h */
#include "inspect/text.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

void
notch_append_shortest (GString *to, double value)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];
  if (isnan (value))
    return;
  if (value == floor (value) && fabs (value) < 1e15) {
    g_string_append (to, g_ascii_formatd (text, sizeof text, "%.0f", value + 0.0));
    return;
  }
  for (int digits = 1; digits <= 17; digits++) {
    char format[8];
    g_snprintf (format, sizeof format, "%%.%dg", digits);
    g_ascii_formatd (text, sizeof text, format, value);
    if (g_ascii_strtod (text, NULL) == value)
      break;
  }
  g_string_append (to, text);
}

char *
notch_json_text (JsonNode *root)
{
  g_autofree char *long_text = json_to_string (root, TRUE);
  GString *text = g_string_new (NULL);
  gboolean quoted = FALSE;
  for (const char *c = long_text; *c;) {
    gsize n = quoted ? 0 : strspn (c, "+-.0123456789eE");
    if (n > 0 && strcspn (c, ".") < n) { /* "e" alone is of true and false */
      notch_append_shortest (text, g_ascii_strtod (c, NULL));
      c += n;
      continue;
    }
    quoted ^= *c == '"';
    if (*c == '\\') /* what follows ends no string */
      g_string_append_c (text, *c++);
    g_string_append_c (text, *c++);
  }
  return g_string_free (text, FALSE);
}

/* How deep brackets nest, strings left out. */
static int
json_depth (const char *text, gsize n)
{
  int depth = 0, most = 0;
  gboolean quoted = FALSE;
  for (gsize i = 0; i < n; i++) {
    if (quoted && text[i] == '\\')
      i++;
    else if (text[i] == '"')
      quoted = !quoted;
    else if (!quoted && (text[i] == '[' || text[i] == '{'))
      most = MAX (most, ++depth);
    else if (!quoted && (text[i] == ']' || text[i] == '}'))
      depth--;
  }
  return most;
}

JsonNode *
notch_json_parse (const char *text, gsize n, const char *path, GError **error)
{
  g_autoptr (JsonParser) parser = json_parser_new_immutable ();
  g_autoptr (GError) fault = NULL;
  if (json_depth (text, n) > 64)
    return g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: its JSON nests too deep; make the file anew", path),
           NULL;
  if (n > G_MAXSSIZE || !json_parser_load_from_data (parser, text, (gssize) n, &fault))
    return g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: its JSON is broken (%s); make the file anew", path,
                        fault ? fault->message : "too long"),
           NULL;
  JsonNode *root = json_parser_steal_root (parser);
  if (!root)
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: its JSON is empty; make the file anew", path);
  return root;
}

gboolean
notch_bytes_load (const char *path, const char *wanted, char **bytes, gsize *n, GError **error)
{
  if (!*path)
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "an empty file name; name %s", wanted);
  else if (g_file_test (path, G_FILE_TEST_IS_DIR))
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: is a folder; name %s", path, wanted);
  else if (g_access (path, R_OK) != 0)
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: cannot be read (%s); check the name and its permissions",
                 path, g_strerror (errno));
  else if (!g_file_get_contents (path, bytes, n, NULL))
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: cannot be read to its end; check the disk it is on", path);
  else
    return TRUE;
  return FALSE;
}

char *
notch_text_load (const char *path, const char *wanted, GError **error)
{
  g_autofree char *text = NULL;
  gsize n = 0;
  if (!notch_bytes_load (path, wanted, &text, &n, error))
    return NULL;
  if (!memchr (text, 0, n))
    return g_steal_pointer (&text);
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: is not text; name %s", path, wanted);
  return NULL;
}
