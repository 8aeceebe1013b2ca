/* recipe.c - notch recipe: writes one from an image, checks one */
#include "cli/cli.h"

#include <string.h>

static char *base_path, *output, *page_text;
static char **settings;
static int page;

static const GOptionEntry options[] = {
  { "output", 'o', 0, G_OPTION_ARG_FILENAME, &output, "new: write to a file (standard output)", "FILE" },
  { "recipe", 'r', 0, G_OPTION_ARG_FILENAME, &base_path, "new: begin with this recipe; what it gives is kept", "FILE" },
  { "set", 0, 0, G_OPTION_ARG_STRING_ARRAY, &settings, "override a key", "GROUP.KEY=VALUE" },
  { "page", 0, 0, G_OPTION_ARG_STRING, &page_text, "page of a multi-page TIFF (1)", "N" },
  G_OPTION_ENTRY_NULL,
};

static NotchRecipe *
read_recipe (const char *path, GError **error)
{
  g_autoptr (NotchRecipe) recipe = path ? notch_recipe_load (path, error) : notch_recipe_new ();
  return recipe && notch_apply_settings (recipe, settings, error) && notch_recipe_verify (recipe, error)
             ? g_steal_pointer (&recipe)
             : NULL;
}

static void
print_report (const char *image, const char *report, const NotchCommon *common)
{
  g_auto (GStrv) lines = g_strsplit (report, "\n", -1);
  for (int i = 0; lines[i] && !common->quiet; i++)
    if (*lines[i])
      notch_say ("%s: %s", image, lines[i]);
}

static gboolean
make (const char *image, const NotchCommon *common, GError **error)
{
  g_autoptr (NotchRecipe) base = read_recipe (base_path, error);
  g_autofree char *report = NULL;
  g_autoptr (NotchRecipe) recipe = base ? notch_recipe_discover (image, page, base, &report, error) : NULL;
  if (!recipe)
    return FALSE;
  print_report (image, report, common);
  if (output)
    return notch_recipe_save (recipe, output, error);
  g_autofree char *text = notch_recipe_to_string (recipe);
  notch_put (text);
  return TRUE;
}

static gboolean
check (const char *path, const char *image, const NotchCommon *common, GError **error)
{
  g_autoptr (NotchRecipe) recipe = read_recipe (path, error);
  if (!recipe)
    return FALSE;
  if (image) {
    g_autofree char *report = NULL;
    g_autoptr (NotchRecipe) whole = notch_recipe_discover (image, page, recipe, &report, error);
    if (!whole)
      return FALSE;
    print_report (image, report, common);
  }
  if (!common->quiet)
    notch_say (image ? "%s: OK, and fits %s" : "%s: OK", path, image);
  return TRUE;
}

static int
run (int n, char **arguments, const NotchCommon *common)
{
  g_autoptr (GError) error = NULL;
  if (!notch_read_whole ("--page", page_text, 1, NOTCH_MAX_PAGE, &page))
    return NOTCH_EXIT_TROUBLE;
  if (strcmp (arguments[0], "new") != 0 && strcmp (arguments[0], "check") != 0) {
    notch_say ("recipe %s: there is no such word; it wants %s", arguments[0], notch_command_recipe.arguments);
    return NOTCH_EXIT_TROUBLE;
  }
  if (strcmp (arguments[0], "new") == 0 && n == 2)
    return make (arguments[1], common, &error) ? NOTCH_EXIT_OK : notch_complain (error);
  if (strcmp (arguments[0], "check") == 0)
    return check (arguments[1], n > 2 ? arguments[2] : NULL, common, &error) ? NOTCH_EXIT_OK : notch_complain (error);
  notch_say ("recipe new wants one IMAGE; `notch recipe --help` tells more");
  return NOTCH_EXIT_TROUBLE;
}

const NotchCommand notch_command_recipe = {
  .name = "recipe",
  .arguments = "new IMAGE | check RECIPE [IMAGE]",
  .summary = "writes a commented recipe for an image, or checks one",
  .description =
      "new finds the wafer's edge and the grid of dice, tells on standard error what it found and how sure it "
      "is, and writes\na recipe with every key. check says whether a recipe is right and, with an image, "
      "whether it fits.",
  .options = options,
  .least = 2,
  .most = 3,
  .run = run,
};
