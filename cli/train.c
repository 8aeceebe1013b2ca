/* train.c - notch train: a classifier from defects of known class */
#include "cli/cli.h"

#include <math.h>
#include <signal.h>
#include <string.h>

static char *output, *classifier, *curve, *seed, *jobs, *rounds, *oriented;
static double hold_out, purity;
static gboolean resume;
static char description[2048];

static const GOptionEntry entries[] = {
  { "output", 'o', 0, G_OPTION_ARG_FILENAME, &output, "where the model goes; needed", "MODEL" },
  { "classifier", 0, 0, G_OPTION_ARG_STRING, &classifier, "what is trained, see below (forest)", "NAME" },
  { "hold-out", 0, 0, G_OPTION_ARG_DOUBLE, &hold_out, "share of the examples to test on, whole images of it (0.2)",
    "X" },
  { "purity", 0, 0, G_OPTION_ARG_DOUBLE, &purity,
    "say \"unknown\" rather than let less of a class be right on what is held out, 0 to 1 (0: never)", "X" },
  { "seed", 0, 0, G_OPTION_ARG_STRING, &seed, "decides what is held out, and chance in training (1)", "N" },
  { "rounds", 0, 0, G_OPTION_ARG_STRING, &rounds, "at most: trees a class, or epochs (as many as help)", "N" },
  { "curve", 0, 0, G_OPTION_ARG_FILENAME, &curve, "draw a network's learning curve", "FILE.png" },
  { "resume", 0, 0, G_OPTION_ARG_NONE, &resume, "go on with a network whose training was interrupted", NULL },
  { "oriented", 0, 0, G_OPTION_ARG_STRING, &oriented,
    "classes whose direction means something: a network sees them neither mirrored nor turned", "CLASS,CLASS…" },
  { "jobs", 'j', 0, G_OPTION_ARG_STRING, &jobs, "threads (one a processor)", "N" },
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
  if (line && !common->quiet) {
    g_autofree char *clean = notch_one_line (line);
    g_printerr ("%s\n", clean);
  }
  return caught == 0;
}

static void
prepare (void)
{
  hold_out = 0.2;
  purity = 0;
  g_autofree char *classifiers = notch_classifiers_describe ();
  g_snprintf (
      description, sizeof description,
      "DATASET is a folder of `notch inspect` with review.csv (defect_id, class) or with the truth of `notch "
      "simulate` beside its image, such a folder and its truth as FOLDER=TRUTH.csv, a defects.csv with reviewed "
      "classes, a folder with a folder of crops for each class, or wafer maps: a table of "
      "them, or a folder with a folder of them for each class.\n\nClassifiers:\n%s",
      classifiers);
}

static int
run (int n, char **arguments, const NotchCommon *common)
{
  g_autoptr (GError) error = NULL;
  guint64 start = 1;
  if (!output || !*output) {
    notch_say ("say where the model goes: notch train -o MODEL DATASET…");
    return NOTCH_EXIT_TROUBLE;
  }
  if (!(hold_out >= 0 && hold_out <= 0.9) || !(purity >= 0 && purity <= 1)) {
    notch_say ("%s", !(purity >= 0 && purity <= 1) ? "--purity: give a number from 0 to 1"
                                                   : "--hold-out: give a share from 0 to 0.9");
    return NOTCH_EXIT_TROUBLE;
  }
  if (seed && !g_ascii_string_to_unsigned (seed, 10, 0, G_MAXINT64, &start, NULL)) {
    notch_say ("--seed %s: give a whole number from 0", seed);
    return NOTCH_EXIT_TROUBLE;
  }
  NotchTrainOptions options = { .classifier = classifier,
                                .seed = start,
                                .hold_out = hold_out > 0 ? hold_out : -1,
                                .purity = purity,
                                .device = common->device,
                                .curve = curve,
                                .resume = resume,
                                .oriented = oriented };
  if (!notch_read_whole ("--jobs", jobs, 1, NOTCH_MAX_JOBS, &options.jobs)
      || !notch_read_whole ("--rounds", rounds, 1, 100000, &options.rounds))
    return NOTCH_EXIT_TROUBLE;
  /* A second one ends it at once; what is being read is read on. */
  struct sigaction action = { .sa_handler = catch, .sa_flags = (int) SA_RESETHAND | SA_RESTART };
  sigaction (SIGINT, &action, NULL);
  sigaction (SIGTERM, &action, NULL);
  g_auto (GStrv) datasets = g_new0 (char *, n + 1);
  for (int i = 0; i < n; i++)
    datasets[i] = g_strdup (arguments[i]);
  g_autofree char *report = NULL;
  if (!notch_train (datasets, output, &options, show, (gpointer) common, &report, &error)) {
    notch_complain (error);
    return caught ? 128 + (int) caught : NOTCH_EXIT_TROUBLE;
  }
  if (!common->quiet)
    g_printerr ("%s", report);
  return NOTCH_EXIT_OK;
}

const NotchCommand notch_command_train = {
  .name = "train",
  .arguments = "-o MODEL DATASET…",
  .summary = "trains a classifier on defects of known class",
  .description = description,
  .options = entries,
  .prepare = prepare,
  .least = 1,
  .most = -1,
  .run = run,
};
