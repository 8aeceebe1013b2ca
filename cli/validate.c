/* validate.c - notch validate: how good a model is, and whether it may be used */
#include "cli/cli.h"

#include <signal.h>

static char *output, *gate, *against, *record, *nuisances, *seed, *jobs;
static gboolean all, leave_out, json;

static const GOptionEntry entries[] = {
  { "output", 'o', 0, G_OPTION_ARG_FILENAME, &output, "write figures, predictions and pictures", "DIR" },
  { "gate", 0, 0, G_OPTION_ARG_FILENAME, &gate, "status 1 when the limits of this file are not met", "FILE" },
  { "against", 0, 0, G_OPTION_ARG_FILENAME, &against, "compare with another model", "MODEL" },
  { "record", 0, 0, G_OPTION_ARG_FILENAME, &record, "write the model with these figures in it", "FILE" },
  { "nuisances", 0, 0, G_OPTION_ARG_STRING, &nuisances, "classes to filter, besides those named nuisance…", "LIST" },
  { "all", 0, 0, G_OPTION_ARG_NONE, &all, "count the wafers that the model learned from, too", NULL },
  { "leave-out", 0, 0, G_OPTION_ARG_NONE, &leave_out, "train anew without each class: is it known to be none?", NULL },
  { "seed", 0, 0, G_OPTION_ARG_STRING, &seed, "of intervals and of what is trained anew (1)", "N" },
  { "jobs", 'j', 0, G_OPTION_ARG_STRING, &jobs, "threads (one a processor)", "N" },
  { "json", 0, 0, G_OPTION_ARG_NONE, &json, "print a JSON object instead of a table", NULL },
  G_OPTION_ENTRY_NULL,
};

static volatile sig_atomic_t caught;

static void catch (int signal_)
{
  caught = signal_;
}

static gboolean
show (const char *line, G_GNUC_UNUSED double done, gpointer data)
{
  const NotchCommon *common = data;
  if (line && !common->quiet)
    notch_say ("%s", line);
  return caught == 0;
}

/* What was asked for on stdout; what is not met on stderr. */
static int
tell (char *const *unmet, const char *report, const char *object, const NotchCommon *common)
{
  if (object) {
    notch_put (object);
    notch_put ("\n");
  } else if (!common->quiet)
    notch_put (report);
  for (int i = 0; unmet[i]; i++)
    notch_say ("%s: %s", gate, unmet[i]);
  return unmet[0] ? NOTCH_EXIT_REJECT : NOTCH_EXIT_OK;
}

static int
run (int n, char **arguments, const NotchCommon *common)
{
  g_autoptr (GError) error = NULL;
  NotchValidateOptions options = { .output = output,
                                   .gate = gate,
                                   .against = against,
                                   .record = record,
                                   .nuisances = nuisances,
                                   .all = all,
                                   .leave_out = leave_out,
                                   .seed = 1,
                                   .device = common->device };
  if (!notch_read_whole ("--jobs", jobs, 1, NOTCH_MAX_JOBS, &options.jobs))
    return NOTCH_EXIT_TROUBLE;
  if (seed && !g_ascii_string_to_unsigned (seed, 10, 0, G_MAXINT64, &options.seed, NULL)) {
    notch_say ("--seed %s: give a whole number from 0", seed);
    return NOTCH_EXIT_TROUBLE;
  }
  /* A second one ends it at once; what is being read is read on. */
  struct sigaction action = { .sa_handler = catch, .sa_flags = (int) SA_RESETHAND | SA_RESTART };
  sigaction (SIGINT, &action, NULL);
  sigaction (SIGTERM, &action, NULL);
  g_auto (GStrv) datasets = g_new0 (char *, n);
  for (int i = 1; i < n; i++)
    datasets[i - 1] = g_strdup (arguments[i]);
  g_auto (GStrv) unmet = NULL;
  g_autofree char *report = NULL, *object = NULL;
  if (!notch_validate (arguments[0], datasets, &options, show, (gpointer) common, &unmet, &report,
                       json ? &object : NULL, &error)) {
    notch_complain (error);
    return caught ? 128 + (int) caught : NOTCH_EXIT_TROUBLE;
  }
  return tell (unmet, report, object, common);
}

const NotchCommand notch_command_validate = {
  .name = "validate",
  .arguments = "MODEL DATASET…",
  .summary = "measures a classifier on defects that it has not learned from",
  .description = "DATASET is as for `notch train`. The status is 0, or 1 when a limit of --gate is not met.",
  .options = entries,
  .least = 2,
  .most = -1,
  .run = run,
};
