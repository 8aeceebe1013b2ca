/* ini.h - lines of "[group]" and "key=value" with their numbers, which GKeyFile does not tell, and words that were meant */
#pragma once

#include "inspect/notch.h"

typedef struct {
  char *group, *key, *value; /* key and value NULL: the group's own line */
  int line;                  /* from 1 */
} NotchIniLine;

/* The lines of a text that are groups or keys, in their order; `#` begins a comment. The error says that a line is neither,
 * and of which file, for which `name` stands. */
GPtrArray *notch_ini_scan (const char *text, const char *name, GError **error);

/* Edits (insert, delete, replace) between two words, and whether so many may be a slip. */
guint notch_edit_distance (const char *a, const char *b);
gboolean notch_is_near (guint distance, const char *word);
