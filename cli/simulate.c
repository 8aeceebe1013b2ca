/* simulate.c - notch simulate */
#include "cli/cli.h"

#include <string.h>

static NotchSimulation simulation; /* defaults until options change it */
static char *output, *truth, *dice, *size, *die, *n_dice, *origin, *snr, *layout, *classes, *clean;
static gint64 seed = 1;

static const GOptionEntry options[] = {
  { "output", 'o', 0, G_OPTION_ARG_FILENAME, &output, "where the image goes (TIFF); needed", "FILE" },
  { "truth", 0, 0, G_OPTION_ARG_FILENAME, &truth, "where the planted defects go (default: IMAGE-truth.csv)", "FILE" },
  { "dice-truth", 0, 0, G_OPTION_ARG_FILENAME, &dice, "where the dice's shifts go (default: IMAGE-dice.csv)", "FILE" },
  { "clean", 0, 0, G_OPTION_ARG_FILENAME, &clean, "write the image without noise and defects, too", "FILE" },
  { "size", 0, 0, G_OPTION_ARG_STRING, &size, "of the image, px (default 4096x4096)", "WxH" },
  { "dice", 0, 0, G_OPTION_ARG_STRING, &n_dice, "columns and rows of dice, instead of a size", "CxR" },
  { "die", 0, 0, G_OPTION_ARG_STRING, &die, "pitch of the dice, px (default 512x512)", "WxH" },
  { "origin", 0, 0, G_OPTION_ARG_STRING, &origin, "first pixel of a die (default 0,0)", "X,Y" },
  { "layout", 0, 0, G_OPTION_ARG_FILENAME, &layout, "mixed, array, logic, blank, or an image of one die", "LAYOUT" },
  { "wafer", 0, 0, G_OPTION_ARG_NONE, &simulation.wafer, "draw a round wafer with its notch", NULL },
  { "bits", 0, 0, G_OPTION_ARG_INT, &simulation.bits, "8, 12, 16, or 32 for float (default 8)", "N" },
  { "seed", 0, 0, G_OPTION_ARG_INT64, &seed, "another seed, another wafer (default 1)", "N" },
  { "pixel-um", 0, 0, G_OPTION_ARG_DOUBLE, &simulation.pixel_um, "size of a pixel, um (default 0.5)", "UM" },
  { "blur", 0, 0, G_OPTION_ARG_DOUBLE, &simulation.blur, "sigma of the optics, px (default 0.9)", "PX" },
  { "jitter", 0, 0, G_OPTION_ARG_DOUBLE, &simulation.jitter, "sigma of each die's shift, px (default 0.2)", "PX" },
  { "rotation", 0, 0, G_OPTION_ARG_DOUBLE, &simulation.rotation_mrad, "of the whole image, mrad (default 0)", "MRAD" },
  { "gain", 0, 0, G_OPTION_ARG_DOUBLE, &simulation.gain, "sigma of each die's contrast (default 0.01)", "X" },
  { "focus", 0, 0, G_OPTION_ARG_DOUBLE, &simulation.focus, "sigma of each die's blur, fraction (default 0.05)", "X" },
  { "vignetting", 0, 0, G_OPTION_ARG_DOUBLE, &simulation.vignetting, "loss in the corners (default 0.15)", "X" },
  { "read-noise", 0, 0, G_OPTION_ARG_DOUBLE, &simulation.read_noise, "sigma, 8-bit grey levels (default 1)", "X" },
  { "shot-noise", 0, 0, G_OPTION_ARG_DOUBLE, &simulation.shot_noise, "variance a grey level (default 0.02)", "X" },
  { "defects", 0, 0, G_OPTION_ARG_INT, &simulation.n_defects, "how many to plant (default 40)", "N" },
  { "snr", 0, 0, G_OPTION_ARG_STRING, &snr, "their matched signal to noise ratio (default 6:40)", "MIN[:MAX]" },
  { "classes", 0, 0, G_OPTION_ARG_STRING, &classes, "from particle,pit,scratch,bridge,open,stain", "LIST" },
  G_OPTION_ENTRY_NULL,
};

/* Reads "A<mark>B"; an absent text leaves both as they are. FALSE, and said, when it is something else. */
static gboolean
read_pair (const char *name, const char *text, char mark, gint64 least, gint64 *a, gint64 *b)
{
  if (!text)
    return TRUE;
  const char separator[] = { mark, 0 };
  g_auto (GStrv) parts = g_strsplit (text, separator, 2);
  const gint64 most = 1 << 20;
  if (g_strv_length (parts) == 2 && g_ascii_string_to_signed (parts[0], 10, least, most, a, NULL)
      && g_ascii_string_to_signed (parts[1], 10, least, most, b, NULL))
    return TRUE;
  notch_say ("--%s wants two whole numbers from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT " with %c between, not %s",
             name, least, most, mark, text);
  return FALSE;
}

static gboolean
read_snr (void)
{
  char *end = NULL;
  if (!snr)
    return TRUE;
  simulation.snr_min = simulation.snr_max = g_ascii_strtod (snr, &end);
  if (end > snr && *end == ':') {
    const char *second = end + 1;
    simulation.snr_max = g_ascii_strtod (second, &end);
    if (end == second)
      end = NULL;
  }
  if (end && end > snr && *end == 0)
    return TRUE;
  notch_say ("--snr wants MIN or MIN:MAX, for example 8:20, not %s", snr);
  return FALSE;
}

/* The image's name without its extension, and what goes after it. */
static char *
beside (const char *image, const char *ending)
{
  const char *dot = strrchr (image, '.'), *slash = strrchr (image, G_DIR_SEPARATOR);
  gsize n = dot && (!slash || dot > slash + 1) && dot > image ? (gsize) (dot - image) : strlen (image);
  return g_strdup_printf ("%.*s%s", (int) n, image, ending);
}

static int
run (int n, char **arguments, const NotchCommon *common)
{
  gint64 cols = 0, rows = 0;
  if (!output) {
    notch_say ("say where the image goes: notch simulate -o IMAGE.tif");
    return NOTCH_EXIT_TROUBLE;
  }
  if (size && n_dice) {
    notch_say ("--size and --dice both say how large the image is; leave one out");
    return NOTCH_EXIT_TROUBLE;
  }
  if (!read_pair ("size", size, 'x', 1, &simulation.width, &simulation.height)
      || !read_pair ("die", die, 'x', 1, &simulation.die_width, &simulation.die_height)
      || !read_pair ("dice", n_dice, 'x', 1, &cols, &rows)
      || !read_pair ("origin", origin, ',', -(1 << 20), &simulation.origin_x, &simulation.origin_y) || !read_snr ())
    return NOTCH_EXIT_TROUBLE;
  simulation.n_cols = (int) cols;
  simulation.n_rows = (int) rows;
  simulation.seed = (guint64) seed;
  simulation.classes = classes;
  simulation.clean = clean;
  if (layout)
    simulation.layout = layout;
  g_autofree char *truth_path = truth ? g_strdup (truth) : beside (output, "-truth.csv");
  g_autofree char *dice_path = dice ? g_strdup (dice) : beside (output, "-dice.csv");
  g_autoptr (GError) error = NULL;
  if (!notch_simulate (&simulation, output, truth_path, dice_path, &error))
    return notch_complain (error);
  return NOTCH_EXIT_OK;
}

static void
prepare (void)
{
  notch_simulate_defaults (&simulation);
}

const NotchCommand notch_command_simulate = {
  .name = "simulate",
  .arguments = "-o IMAGE.tif",
  .summary = "writes a wafer image with planted defects and the truth about them",
  .description = "Grey levels are those of an 8-bit image whatever --bits says.",
  .options = options,
  .prepare = prepare,
  .run = run,
};
