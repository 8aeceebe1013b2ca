/* inspect.c - notch inspect: the main job */
#include "cli/cli.h"
#include "cli/progress.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static char *recipe_path, *output, *reference, *golden, *model, *speed, *formats, *shard, *jobs, *page, *false_alarms;
static char **settings;
static gboolean resume, as_json, no_progress;
static char description[2048];

static const GOptionEntry entries[] = {
  { "recipe", 'r', 0, G_OPTION_ARG_FILENAME, &recipe_path, "recipe to follow; without one the die grid is found",
    "FILE" },
  { "output", 'o', 0, G_OPTION_ARG_FILENAME, &output, "folder for the results (notch-out)", "DIR" },
  { "reference", 0, 0, G_OPTION_ARG_FILENAME, &reference, "template image to compare with", "IMAGE" },
  { "golden", 0, 0, G_OPTION_ARG_FILENAME, &golden, "golden reference to compare with", "FILE" },
  { "model", 0, 0, G_OPTION_ARG_FILENAME, &model, "trained classifier", "FILE" },
  { "speed", 0, 0, G_OPTION_ARG_STRING, &speed, "full, or fast for a quick screen", "SPEED" },
  { "jobs", 'j', 0, G_OPTION_ARG_STRING, &jobs, "threads (one a processor)", "N" },
  { "page", 0, 0, G_OPTION_ARG_STRING, &page, "page of a multi-page TIFF (1)", "N" },
  { "resume", 0, 0, G_OPTION_ARG_NONE, &resume, "leave out images that are finished", NULL },
  { "shard", 0, 0, G_OPTION_ARG_STRING, &shard, "do every N-th image, beginning with the I-th", "I/N" },
  { "false-alarms", 0, 0, G_OPTION_ARG_STRING, &false_alarms,
    "false alarms to expect on an image without defects (0.1)", "X" },
  { "format", 0, 0, G_OPTION_ARG_STRING, &formats, "reports to write, with commas between, see below", "LIST" },
  { "set", 0, 0, G_OPTION_ARG_STRING_ARRAY, &settings, "override a key of the recipe", "GROUP.KEY=VALUE" },
  { "json", 0, 0, G_OPTION_ARG_NONE, &as_json, "print a summary of the run on standard output", NULL },
  { "no-progress", 0, 0, G_OPTION_ARG_NONE, &no_progress, "no bar and no line an image", NULL },
  G_OPTION_ENTRY_NULL,
};

static volatile sig_atomic_t caught;

static void catch (int signal_)
{
  caught = signal_;
}

static NotchRecipe *
make_recipe (GError **error)
{
  g_autoptr (NotchRecipe) recipe = recipe_path ? notch_recipe_load (recipe_path, error) : notch_recipe_new ();
  if (!recipe || !notch_apply_settings (recipe, settings, error))
    return NULL;
  if (false_alarms) {
    /* An empty value would be the default, which nobody asks for in this way. */
    g_autofree char *setting = g_strconcat ("detect.false_alarms=", *false_alarms ? false_alarms : "\"\"", NULL);
    g_autofree char *option = g_strconcat ("--false-alarms ", false_alarms, NULL);
    if (!notch_recipe_set_by (recipe, option, setting, error))
      return NULL;
  }
  return g_steal_pointer (&recipe);
}

static gboolean
parse_shard (NotchInspectOptions *options)
{
  if (!shard)
    return TRUE;
  g_auto (GStrv) part = g_strsplit (shard, "/", 2);
  guint64 i = 0, n = 0;
  if (!part[0] || !part[1] || !g_ascii_string_to_unsigned (part[0], 10, 1, 1000000, &i, NULL)
      || !g_ascii_string_to_unsigned (part[1], 10, i, 1000000, &n, NULL))
    return FALSE;
  options->shard = (int) i, options->n_shards = (int) n;
  return TRUE;
}

static gboolean
on_progress (const NotchProgress *progress, gpointer data)
{
  notch_progress_show (data, progress);
  return caught == 0;
}

static int
run (int n, char **arguments, const NotchCommon *common)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchRecipe) recipe = make_recipe (&error);
  if (!recipe)
    return notch_complain (error);
  NotchInspectOptions options = {
    .recipe = recipe,
    .output = output,
    .reference = reference,
    .golden = golden,
    .model = model,
    .device = common->device,
    .formats = formats,
    .resume = resume,
    .fast = g_strcmp0 (speed, "fast") == 0,
  };
  if (speed && !options.fast && strcmp (speed, "full") != 0) {
    notch_say ("--speed %s: give full or fast", speed);
    return NOTCH_EXIT_TROUBLE;
  }
  if (output && !*output) {
    notch_say ("--output: name a folder");
    return NOTCH_EXIT_TROUBLE;
  }
  if (!notch_read_whole ("--jobs", jobs, 1, NOTCH_MAX_JOBS, &options.jobs)
      || !notch_read_whole ("--page", page, 1, NOTCH_MAX_PAGE, &options.page))
    return NOTCH_EXIT_TROUBLE;
  if (!parse_shard (&options)) {
    notch_say ("--shard %s: give I/N with I from 1 to N", shard);
    return NOTCH_EXIT_TROUBLE;
  }
  struct sigaction action = { .sa_handler = catch, .sa_flags = (int) SA_RESETHAND }; /* a second one ends it at once */
  sigaction (SIGINT, &action, NULL);
  sigaction (SIGTERM, &action, NULL);
  NotchRunSummary summary = { 0 };
  g_autofree char *json = NULL;
  g_auto (GStrv) images = g_new0 (char *, n + 1);
  for (int i = 0; i < n; i++)
    images[i] = g_strdup (arguments[i]);
  g_autoptr (NotchProgressLine) line = notch_progress_new (common->quiet, no_progress);
  gboolean well = notch_inspect_run (images, &options, on_progress, line, &summary, &json, &error);
  notch_progress_end (line);
  if (as_json && json) {
    notch_put (json);
    notch_put ("\n");
  }
  if (!well) {
    notch_complain (error);
    return caught ? 128 + (int) caught : NOTCH_EXIT_TROUBLE;
  }
  return summary.n_trouble > 0 ? NOTCH_EXIT_TROUBLE : summary.n_reject > 0 ? NOTCH_EXIT_REJECT : NOTCH_EXIT_OK;
}

static void
prepare (void)
{
  g_autofree char *reports = notch_reports_describe ();
  g_snprintf (description, sizeof description,
              "Exit status: 0 all images are within the recipe's limits, 1 at least one is not, 2 trouble.\n\n"
              "Reports for --format; those with * are written without it:\n%s",
              reports);
}

const NotchCommand notch_command_inspect = {
  .name = "inspect",
  .arguments = "IMAGE…",
  .summary = "finds, measures and classifies defects, and writes reports",
  .description = description,
  .options = entries,
  .prepare = prepare,
  .least = 1,
  .most = -1,
  .run = run,
};
