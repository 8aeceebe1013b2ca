/* simulate.c - notch simulate */
#include "cli/cli.h"

#include <string.h>

#define MOST_OPTIONS 80

typedef struct {
  char *name, *value;
} Given;

static char *output, *truth, *dice, *suite;
static GOptionEntry options[MOST_OPTIONS];
static GArray *given; /* Given, in the order of the command line */
static char description[4096];

/* What the simulation knows is kept until the suite has been taken. */
static gboolean
keep (const char *option, const char *value, gpointer data, GError **error)
{
  Given pair = { g_strdup (option + 2), g_strdup (value ? value : "1") };
  g_array_append_val (given, pair);
  return TRUE;
}

static void
prepare (void)
{
  const GOptionEntry own[] = {
    { "output", 'o', 0, G_OPTION_ARG_FILENAME, &output, "where the image (TIFF) or the maps (CSV) go; needed", "FILE" },
    { "truth", 0, 0, G_OPTION_ARG_FILENAME, &truth, "where the planted defects go (default: IMAGE-truth.csv)", "FILE" },
    { "dice-truth", 0, 0, G_OPTION_ARG_FILENAME, &dice, "where the dice's shifts go (default: IMAGE-dice.csv)",
      "FILE" },
    { "suite", 0, 0, G_OPTION_ARG_STRING, &suite, "S1 to S8, see below; other options change it", "NAME" },
  };
  int n = 0;
  for (guint i = 0; i < G_N_ELEMENTS (own); i++)
    options[n++] = own[i];
  const char *name = NULL, *sign = NULL;
  char *help = NULL; /* lives as long as the program */
  for (int i = 0; n < MOST_OPTIONS - 1 && notch_simulation_option (i, &name, &sign, &help); i++) {
    gboolean file = sign && (strcmp (sign, "FILE") == 0 || strcmp (sign, "LAYOUT") == 0);
    int flags = sign ? file ? G_OPTION_FLAG_FILENAME : 0 : G_OPTION_FLAG_NO_ARG;
    options[n++] = (GOptionEntry){ name, 0, flags, G_OPTION_ARG_CALLBACK, (gpointer) keep, help, sign };
  }
  given = g_array_new (FALSE, FALSE, sizeof (Given));
  g_autofree char *suites = notch_simulation_suites ();
  g_snprintf (description, sizeof description,
              "Grey levels are those of an 8-bit image whatever --bits says. A suite sets:\n%s", suites);
}

/* The image's name without its extension, and what goes after it; NULL beside a device or a pipe. */
static char *
beside (const char *image, const char *ending)
{
  if (g_file_test (image, G_FILE_TEST_EXISTS) && !g_file_test (image, G_FILE_TEST_IS_REGULAR))
    return NULL;
  const char *dot = strrchr (image, '.'), *slash = strrchr (image, G_DIR_SEPARATOR);
  gsize n = dot && (!slash || dot > slash + 1) && dot > image ? (gsize) (dot - image) : strlen (image);
  return g_strdup_printf ("%.*s%s", (int) n, image, ending);
}

static gboolean
was_given (const char *name)
{
  for (guint i = 0; i < given->len; i++)
    if (strcmp (g_array_index (given, Given, i).name, name) == 0)
      return TRUE;
  return FALSE;
}

static gboolean
take_options (NotchSimulation *simulation)
{
  g_autoptr (GError) error = NULL;
  notch_simulate_defaults (simulation);
  if (suite && !notch_simulation_take_suite (simulation, suite, &error)) {
    notch_complain (error);
    return FALSE;
  }
  for (guint i = 0; i < given->len; i++) {
    const Given *pair = &g_array_index (given, Given, i);
    if (!notch_simulation_set (simulation, pair->name, pair->value, &error)) {
      notch_say ("--%s", error->message);
      return FALSE;
    }
  }
  return TRUE;
}

static int
write_maps (const NotchCommon *common)
{
  NotchSimulation simulation;
  g_autoptr (GError) error = NULL;
  if (!take_options (&simulation))
    return NOTCH_EXIT_TROUBLE;
  if (!notch_simulate_maps (&simulation, output, &error))
    return notch_complain (error);
  if (common->verbose)
    notch_say ("%s: written", output);
  return NOTCH_EXIT_OK;
}

static int
run (int n, char **arguments, const NotchCommon *common)
{
  NotchSimulation simulation;
  g_autoptr (GError) error = NULL;
  if (!output) {
    notch_say ("say where the image goes: notch simulate -o IMAGE.tif");
    return NOTCH_EXIT_TROUBLE;
  }
  const char *dot = strrchr (output, '.');
  if (was_given ("maps"))
    return write_maps (common);
  if (dot && (g_ascii_strcasecmp (dot, ".png") == 0 || g_ascii_strcasecmp (dot, ".jpg") == 0)) {
    notch_say ("%s: what is written is TIFF; give it a name that ends with .tif", output);
    return NOTCH_EXIT_TROUBLE;
  }
  if (was_given ("size") && was_given ("dice")) {
    notch_say ("--size and --dice both say how large the image is; leave one out");
    return NOTCH_EXIT_TROUBLE;
  }
  if (!take_options (&simulation))
    return NOTCH_EXIT_TROUBLE;
  g_autofree char *truth_path = truth ? g_strdup (truth) : beside (output, "-truth.csv");
  g_autofree char *dice_path = dice ? g_strdup (dice) : beside (output, "-dice.csv");
  if (!notch_simulate (&simulation, output, truth_path, dice_path, &error))
    return notch_complain (error);
  const char *const written[] = { output, truth_path, dice_path, simulation.clean };
  for (gsize i = 0; i < G_N_ELEMENTS (written) && common->verbose; i++)
    if (written[i])
      notch_say ("%s: written", written[i]);
  return NOTCH_EXIT_OK;
}

const NotchCommand notch_command_simulate = {
  .name = "simulate",
  .arguments = "-o IMAGE.tif",
  .summary = "writes a wafer image with planted defects and the truth about them",
  .description = description,
  .options = options,
  .prepare = prepare,
  .run = run,
};
