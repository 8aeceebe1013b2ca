/* learn.c - notch learn: a golden reference from known-good dice */
#include "cli/cli.h"
#include "cli/progress.h"

#include <signal.h>

static char *recipe_path, *output;
static char **settings;
static int jobs, page;
static gboolean no_progress;

static const GOptionEntry entries[] = {
  { "output", 'o', 0, G_OPTION_ARG_FILENAME, &output, "where the golden reference goes; needed", "FILE" },
  { "recipe", 'r', 0, G_OPTION_ARG_FILENAME, &recipe_path, "recipe to follow; without one the die grid is found",
    "FILE" },
  { "set", 0, 0, G_OPTION_ARG_STRING_ARRAY, &settings, "override a key of the recipe", "GROUP.KEY=VALUE" },
  { "jobs", 'j', 0, G_OPTION_ARG_INT, &jobs, "threads (one a processor)", "N" },
  { "page", 0, 0, G_OPTION_ARG_INT, &page, "page of multi-page TIFFs (1)", "N" },
  { "no-progress", 0, 0, G_OPTION_ARG_NONE, &no_progress, "no bar and no line about what was learned", NULL },
  G_OPTION_ENTRY_NULL,
};

static volatile sig_atomic_t caught;

static void catch (int signal_)
{
  caught = signal_;
}

static gboolean
on_progress (const NotchProgress *progress, gpointer data)
{
  notch_progress_show (data, progress);
  return caught == 0;
}

static NotchRecipe *
make_recipe (GError **error)
{
  g_autoptr (NotchRecipe) recipe = recipe_path ? notch_recipe_load (recipe_path, error) : notch_recipe_new ();
  for (int i = 0; recipe && settings && settings[i]; i++)
    if (!notch_recipe_set (recipe, settings[i], error))
      return NULL;
  return g_steal_pointer (&recipe);
}

static int
run (int n, char **arguments, const NotchCommon *common)
{
  g_autoptr (GError) error = NULL;
  if (!output || !*output) {
    notch_say ("say where the golden reference goes: notch learn -o GOLDEN.tif IMAGE…");
    return NOTCH_EXIT_TROUBLE;
  }
  if (jobs < 0 || page < 0) {
    notch_say ("%s", jobs < 0 ? "--jobs: give a number from 1" : "--page: pages count from 1");
    return NOTCH_EXIT_TROUBLE;
  }
  g_autoptr (NotchRecipe) recipe = make_recipe (&error);
  if (!recipe)
    return notch_complain (error);
  NotchLearnOptions options = { .recipe = recipe, .device = common->device, .page = page, .jobs = jobs };
  struct sigaction action = { .sa_handler = catch, .sa_flags = (int) SA_RESETHAND }; /* a second one ends it at once */
  sigaction (SIGINT, &action, NULL);
  sigaction (SIGTERM, &action, NULL);
  g_auto (GStrv) images = g_new0 (char *, n + 1);
  for (int i = 0; i < n; i++)
    images[i] = g_strdup (arguments[i]);
  g_autofree char *report = NULL;
  g_autoptr (NotchProgressLine) line = notch_progress_new (common->quiet, no_progress);
  gboolean well = notch_learn (images, output, &options, on_progress, line, &report, &error);
  notch_progress_end (line);
  if (!well) {
    notch_complain (error);
    return caught ? 128 + (int) caught : NOTCH_EXIT_TROUBLE;
  }
  if (!common->quiet && !no_progress)
    g_printerr ("%s", report);
  return NOTCH_EXIT_OK;
}

const NotchCommand notch_command_learn = {
  .name = "learn",
  .arguments = "-o GOLDEN.tif IMAGE…",
  .summary = "makes a golden reference from images of known-good dice",
  .description = "`notch inspect --golden GOLDEN.tif` compares every die with it.",
  .options = entries,
  .least = 1,
  .most = -1,
  .run = run,
};
