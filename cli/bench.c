/* bench.c - notch bench: how fast every stage is here, and classifiers */
#include "cli/cli.h"

#include <signal.h>

static char *size, *rounds, *jobs, *csv;
static gboolean stages;

static const GOptionEntry entries[] = {
  { "size", 0, 0, G_OPTION_ARG_STRING, &size, "side of the image that is inspected, px (4096)", "PX" },
  { "rounds", 0, 0, G_OPTION_ARG_STRING, &rounds, "how often everything is timed (3)", "N" },
  { "jobs", 'j', 0, G_OPTION_ARG_STRING, &jobs, "threads (one a processor)", "N" },
  { "stages", 0, 0, G_OPTION_ARG_NONE, &stages, "leave whole inspections out", NULL },
  { "csv", 0, 0, G_OPTION_ARG_FILENAME, &csv, "write the figures as a table, too", "FILE.csv" },
  G_OPTION_ENTRY_NULL,
};

static volatile sig_atomic_t caught;

static void catch (int signal_)
{
  caught = signal_;
}

typedef struct {
  gboolean verbose;
  const char *said; /* the step that was told last */
} Told;

static gboolean
on_step (const char *step, double done, gpointer data)
{
  Told *told = data;
  if (told->verbose && step != told->said)
    notch_say ("%s", step);
  told->said = step;
  return caught == 0;
}

static int
run (int n, char **arguments, const NotchCommon *common)
{
  NotchBenchOptions options = { .device = common->device, .csv = csv, .stages_only = stages };
  if (!notch_read_whole ("--size", size, 1024, 32768, &options.size)
      || !notch_read_whole ("--rounds", rounds, 1, 1000, &options.rounds)
      || !notch_read_whole ("--jobs", jobs, 1, NOTCH_MAX_JOBS, &options.jobs))
    return NOTCH_EXIT_TROUBLE;
  struct sigaction action = { .sa_handler = catch, .sa_flags = (int) SA_RESETHAND }; /* a second one ends it at once */
  sigaction (SIGINT, &action, NULL);
  sigaction (SIGTERM, &action, NULL);
  g_autoptr (GError) error = NULL;
  g_autofree char *report = NULL;
  Told told = { common->verbose, NULL };
  gboolean well = notch_bench (&options, on_step, &told, &report, &error);
  if (report && !common->quiet)
    notch_put (report);
  if (well)
    return NOTCH_EXIT_OK;
  notch_complain (error);
  return caught ? 128 + (int) caught : NOTCH_EXIT_TROUBLE;
}

const NotchCommand notch_command_bench = {
  .name = "bench",
  .arguments = "",
  .summary = "times every stage on this machine, beside the machine's own limits",
  .options = entries,
  .least = 0,
  .most = 0,
  .run = run,
};
