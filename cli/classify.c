/* classify.c - notch classify: another model for results that are there already */
#include "cli/cli.h"

static char *model, *jobs, *mine;

static const GOptionEntry entries[] = {
  { "model", 0, 0, G_OPTION_ARG_FILENAME, &model, "trained classifier; needed", "FILE" },
  { "mine", 0, 0, G_OPTION_ARG_STRING, &mine, "change nothing; print the N defects that are most worth a review", "N" },
  { "jobs", 'j', 0, G_OPTION_ARG_STRING, &jobs, "threads (one a processor)", "N" },
  G_OPTION_ENTRY_NULL,
};

static void
tell (const char *line)
{
  notch_say ("%s", line);
}

static int
run (int n, char **arguments, const NotchCommon *common)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *report = NULL;
  int threads = 0, most = 0;
  if (!model || !*model) {
    notch_say ("say which model classifies: notch classify --model MODEL DIR…");
    return NOTCH_EXIT_TROUBLE;
  }
  if (!notch_read_whole ("--jobs", jobs, 1, NOTCH_MAX_JOBS, &threads)
      || !notch_read_whole ("--mine", mine, 1, G_MAXINT, &most))
    return NOTCH_EXIT_TROUBLE;
  g_auto (GStrv) folders = g_new0 (char *, n + 1);
  for (int i = 0; i < n; i++)
    folders[i] = g_strdup (arguments[i]);
  if (mine) {
    g_autofree char *list = notch_choose_for_review (folders, model, common->device, most, threads, &error);
    if (!list)
      return notch_complain (error);
    notch_put (list);
    return NOTCH_EXIT_OK;
  }
  gboolean well = notch_classify (folders, model, common->device, threads, tell, &report, &error);
  if (!common->quiet && report)
    g_printerr ("%s", report);
  if (!well && !report) /* not even the model could be taken; what failed of a folder is told */
    return notch_complain (error);
  return well ? NOTCH_EXIT_OK : NOTCH_EXIT_TROUBLE;
}

const NotchCommand notch_command_classify = {
  .name = "classify",
  .arguments = "--model MODEL DIR…",
  .summary = "classifies the defects in output folders again, by another model",
  .description = "Rewrites class and confidence in every defects.csv, and counts and verdicts in summary.json and "
                 "summary.csv. The images are not looked at; pictures keep the classes that they were drawn with.",
  .options = entries,
  .least = 1,
  .most = -1,
  .run = run,
};
