/* text.h - small files of text, read whole; numbers as text */
#pragma once

#include <json-glib/json-glib.h>

#include "inspect/notch.h"

/* The shortest text that gives the same number again; none for NAN. */
void notch_append_shortest (GString *to, double value);
/* JSON in lines, its numbers as short as they can be: json-glib writes 0.1 as 0.10000000000000001. */
char *notch_json_text (JsonNode *root);

/* What JSON text of n bytes holds. Text that nests deeper than 64 levels is refused: the parser recurses. `path` stands in
 * the error. */
JsonNode *notch_json_parse (const char *text, gsize n, const char *path, GError **error);

/* The file's text. The error says what is wrong and to name `wanted`, "a recipe". */
char *notch_text_load (const char *path, const char *wanted, GError **error);
/* Likewise the bytes of any file; a 0 follows them. */
gboolean notch_bytes_load (const char *path, const char *wanted, char **bytes, gsize *n, GError **error);
