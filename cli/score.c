/* score.c - notch score */
#include "cli/cli.h"

#include <math.h>

static double match_px, megapixels, snr_min, min_capture, promised;
static int max_false, jobs;
static char *classes, *froc, *plot, *oracle, *recipe;
static gboolean json;

static const GOptionEntry options[] = {
  { "match", 0, 0, G_OPTION_ARG_DOUBLE, &match_px, "how far off a point may be (default 2)", "PX" },
  { "megapixels", 0, 0, G_OPTION_ARG_DOUBLE, &megapixels, "size of an image, for rates", "MPX" },
  { "min-snr", 0, 0, G_OPTION_ARG_DOUBLE, &snr_min, "count only defects of at least this matched SNR", "X" },
  { "classes", 0, 0, G_OPTION_ARG_STRING, &classes, "count only defects of these classes", "LIST" },
  { "min-capture", 0, 0, G_OPTION_ARG_DOUBLE, &min_capture, "status 1 when less is captured, 0 to 1", "X" },
  { "max-false", 0, 0, G_OPTION_ARG_INT, &max_false, "status 1 when there are more false alarms", "N" },
  { "promised", 0, 0, G_OPTION_ARG_DOUBLE, &promised, "false alarms an image that were promised", "X" },
  { "froc", 0, 0, G_OPTION_ARG_FILENAME, &froc, "write capture against false alarms as a table", "FILE.csv" },
  { "plot", 0, 0, G_OPTION_ARG_FILENAME, &plot, "draw capture against SNR and against false alarms", "FILE.png" },
  { "oracle", 0, 0, G_OPTION_ARG_FILENAME, &oracle,
    "inspect with the clean images as references too, into this folder; needs the truth's JSON file", "DIR" },
  { "recipe", 'r', 0, G_OPTION_ARG_FILENAME, &recipe, "the oracle's (default: recipe.ini beside the defects)", "FILE" },
  { "jobs", 'j', 0, G_OPTION_ARG_INT, &jobs, "the oracle's threads (default: one a core)", "N" },
  { "json", 0, 0, G_OPTION_ARG_NONE, &json, "print a JSON object instead of a table", NULL },
  G_OPTION_ENTRY_NULL,
};

static void
prepare (void)
{
  match_px = 2;
  min_capture = max_false = -1;
}

static int
run (int n, char **arguments, const NotchCommon *common)
{
  if (!(match_px > 0 && match_px <= 1000)) {
    notch_say ("--match %g is outside 0 to 1000 px", match_px);
    return NOTCH_EXIT_TROUBLE;
  }
  if (!(megapixels >= 0 && isfinite (megapixels)) || !(snr_min >= 0 && isfinite (snr_min))) {
    notch_say ("--megapixels and --min-snr must not be below 0");
    return NOTCH_EXIT_TROUBLE;
  }
  if (min_capture != -1 && !(min_capture >= 0 && min_capture <= 1)) {
    notch_say ("--min-capture %g is outside 0 to 1", min_capture);
    return NOTCH_EXIT_TROUBLE;
  }
  if (max_false < -1) {
    notch_say ("--max-false %d must not be below 0", max_false);
    return NOTCH_EXIT_TROUBLE;
  }
  if (!(promised >= 0 && isfinite (promised))) {
    notch_say ("--promised %g must not be below 0", promised);
    return NOTCH_EXIT_TROUBLE;
  }
  if (jobs < 0) {
    notch_say ("--jobs: give a number from 1");
    return NOTCH_EXIT_TROUBLE;
  }
  if (n % 2 != 0) {
    notch_say ("%s has no defect list beside it; give TRUTH.csv DEFECTS.csv, once for every image", arguments[n - 1]);
    return NOTCH_EXIT_TROUBLE;
  }
  const NotchScoreOptions how = {
    .match_px = match_px,
    .megapixels = megapixels,
    .snr_min = snr_min,
    .classes = classes,
    .promised = promised,
    .froc = froc,
    .plot = plot,
    .oracle = oracle,
    .recipe = recipe,
    .device = common->device,
    .jobs = jobs,
  };
  g_autofree NotchScorePair *pair = g_new0 (NotchScorePair, n);
  for (int i = 0; i < n / 2; i++)
    pair[i] = (NotchScorePair){ arguments[2 * i], arguments[2 * i + 1] };
  g_autofree char *report = NULL, *object = NULL;
  g_autoptr (GError) error = NULL;
  NotchScore score;
  if (!notch_score (pair, n / 2, &how, &score, &report, json ? &object : NULL, &error))
    return notch_complain (error);
  if (json) {
    notch_put (object);
    notch_put ("\n");
  } else if (!common->quiet)
    notch_put (report);
  int status = NOTCH_EXIT_OK;
  if (min_capture >= 0 && score.n_truth == 0) {
    notch_say ("%s: no defect to count, so --min-capture cannot be judged", arguments[0]);
    return NOTCH_EXIT_TROUBLE;
  }
  if (min_capture >= 0 && score.n_captured < min_capture * score.n_truth - 1e-9) {
    notch_say ("%s: captured %d of %d, less than %g %%", arguments[1], score.n_captured, score.n_truth,
               100 * min_capture);
    status = NOTCH_EXIT_REJECT;
  }
  if (max_false >= 0 && score.n_false > max_false) {
    notch_say ("%s: %d false alarms, more than %d", arguments[1], score.n_false, max_false);
    status = NOTCH_EXIT_REJECT;
  }
  return status;
}

const NotchCommand notch_command_score = {
  .name = "score",
  .arguments = "TRUTH.csv DEFECTS.csv [TRUTH.csv DEFECTS.csv …]",
  .summary = "compares found defects with the truth: capture, false alarms, places, classes",
  .description = "The status is 0, or 1 when --min-capture or --max-false is not met.",
  .options = options,
  .prepare = prepare,
  .least = 2,
  .most = -1,
  .run = run,
};
