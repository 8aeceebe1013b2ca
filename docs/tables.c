/* tables.c - fills the tables into a page's frame: @KEYS@ are the recipe's keys, @COLUMNS@ those of a defect, @VERSION@
 * is the version. Run by the Makefile, so that the page always says what the program does. */
#include "inspect/detect/result.h"

#include <stdio.h>

static char *
columns (void)
{
  GString *to = g_string_new (NULL);
  for (int i = 0; i < NOTCH_N_FEATURES; i++) {
    const NotchFeatureInfo *info = &notch_feature_info[i];
    g_string_append_printf (to, ".TP\n.B %s\n%s%s%s\n", info->name, info->summary, *info->unit ? ", " : "", info->unit);
  }
  return g_string_free (to, FALSE);
}

static void
replace (GString *page, const char *mark, char *text)
{
  if (g_string_replace (page, mark, text, 0) == 0)
    g_error ("the frame has no %s", mark);
  g_free (text);
}

int
main (int argc, char **argv)
{
  g_autofree char *frame = NULL;
  g_autoptr (GError) error = NULL;
  if (argc != 2 || !g_file_get_contents (argv[1], &frame, NULL, &error)) {
    g_printerr ("tables: %s\n", error ? error->message : "wants the frame's file");
    return 2;
  }
  g_autoptr (GString) page = g_string_new (frame);
  replace (page, "@KEYS@\n", notch_recipe_describe ());
  replace (page, "@COLUMNS@\n", columns ());
  replace (page, "@VERSION@", g_strdup (notch_version ()));
  fputs (page->str, stdout); /* g_print would turn what the locale lacks into question marks */
  return 0;
}
