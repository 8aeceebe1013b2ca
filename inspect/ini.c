/* ini.c - lines of "[group]" and "key=value" */
#include "inspect/ini.h"

#include <string.h>

guint
notch_edit_distance (const char *a, const char *b)
{
  gsize n = strlen (b);
  g_autofree guint *row = g_new (guint, n + 1);
  for (gsize j = 0; j <= n; j++)
    row[j] = (guint) j;
  for (gsize i = 0; a[i]; i++) {
    guint diagonal = row[0];
    row[0] = (guint) i + 1;
    for (gsize j = 0; j < n; j++) {
      guint replace = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = MIN (replace, MIN (row[j], diagonal) + 1);
    }
  }
  return row[n];
}

gboolean
notch_is_near (guint distance, const char *word)
{
  return distance <= MAX (2, strlen (word) / 3);
}

static void
free_line (gpointer data)
{
  NotchIniLine *line = data;
  g_free (line->group);
  g_free (line->key);
  g_free (line->value);
  g_free (line);
}

GPtrArray *
notch_ini_scan (const char *text, const char *name, GError **error)
{
  g_autoptr (GPtrArray) found = g_ptr_array_new_with_free_func (free_line);
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  const char *group = NULL;
  for (int i = 0; lines[i]; i++) {
    char *line = g_strstrip (lines[i]);
    if (*line == '\0' || *line == '#')
      continue;
    gboolean is_group = *line == '[';
    char *word = is_group ? line + 1 : line;
    char *end = strchr (word, is_group ? ']' : '=');
    gboolean ok = end && end > word && (is_group ? end[1] == '\0' : group != NULL);
    if (ok)
      *end = '\0';
    if (!ok || strpbrk (g_strchomp (word), "[]")) {
      g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE,
                   "%s:%d: this is neither \"[group]\", \"key=value\" below a group, nor a comment that begins with #",
                   name, i + 1);
      return NULL;
    }
    if (is_group)
      group = word;
    NotchIniLine *one = g_new0 (NotchIniLine, 1);
    one->group = g_strdup (group);
    one->key = is_group ? NULL : g_strdup (word);
    one->value = is_group ? NULL : g_strdup (g_strchug (end + 1));
    one->line = i + 1;
    g_ptr_array_add (found, one);
  }
  return g_steal_pointer (&found);
}
