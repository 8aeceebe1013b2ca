/* settings.c - the options of a simulation, one row each, and the suites made of them
 *
 * Names, units, ranges and help of the command, what a suite may set and what is checked all come from this table. */
#include "inspect/simulate/settings.h"

#include "inspect/simulate/maps.h"
#include "inspect/simulate/number.h"
#include "inspect/simulate/scene.h"

#include <string.h>

typedef enum {
  SETTING_REAL,
  SETTING_INT,
  SETTING_SEED,
  SETTING_FLAG,
  SETTING_TEXT,
  SETTING_CROSS, /* two gint64, AxB */
  SETTING_COMMA, /* two gint64, A,B */
  SETTING_RANGE, /* two doubles, A or A:B */
} Kind;

#define AT(field) G_STRUCT_OFFSET (NotchSimulation, field)
#define MOST_PX   1048576

static const struct {
  const char *name;
  Kind kind;
  gsize offset;
  double least, most;
  const char *unit, *sign, *help;
} settings[] = {
  { "size", SETTING_CROSS, AT (width), 32, MOST_PX, "px", "WxH", "of the image" },
  { "dice", SETTING_CROSS, AT (n_cols), 0, 10000, "", "CxR", "columns and rows of dice, instead of a size" },
  { "die", SETTING_CROSS, AT (die_width), 1, MOST_PX, "px", "WxH", "pitch of the dice" },
  { "origin", SETTING_COMMA, AT (origin_x), -MOST_PX, MOST_PX, "px", "X,Y", "first pixel of a die" },
  { "layout", SETTING_TEXT, AT (layout), 0, 0, "", "LAYOUT", "mixed, array, logic, blank, an image or GDSII of a die" },
  { "nm-per-px", SETTING_REAL, AT (nm_per_px), 0.01, 1e6, "nm", "NM", "size of a pixel in a GDSII layout" },
  { "layers", SETTING_TEXT, AT (layers), 0, 0, "", "LIST", "its layers, lowest first: 68/20=120,69/20=180" },
  { "wafer", SETTING_FLAG, AT (wafer), 0, 1, "", NULL, "draw a round wafer with its notch" },
  { "bits", SETTING_INT, AT (bits), 8, 32, "", "N", "8, 12, 16, or 32 for float" },
  { "channels", SETTING_INT, AT (channels), 1, 3, "", "N", "1, or 3 for colour" },
  { "seed", SETTING_SEED, AT (seed), 0, 0, "", "N", "another seed, another wafer" },
  { "pixel-um", SETTING_REAL, AT (pixel_um), 0, 10000, "um", "UM", "size of a pixel, written into the file" },
  { "blur", SETTING_REAL, AT (blur), 0.3, 10, "px", "PX", "sigma of the optics" },
  { "rotation", SETTING_REAL, AT (rotation_mrad), -50, 50, "mrad", "MRAD", "of the whole image" },
  { "jitter", SETTING_REAL, AT (jitter), 0, 20, "px", "PX", "sigma of each die's shift" },
  { "die-rotation", SETTING_REAL, AT (die_rotation_mrad), 0, 20, "mrad", "MRAD", "sigma of each die's rotation" },
  { "die-scale", SETTING_REAL, AT (die_scale_ppm), 0, 5000, "ppm", "PPM", "sigma of each die's scale" },
  { "warp", SETTING_REAL, AT (warp), 0, 5, "px", "PX", "sigma of each of four modes of warp inside a die" },
  { "gain", SETTING_REAL, AT (gain), 0, 0.3, "", "X", "sigma of each die's contrast, a fraction" },
  { "focus", SETTING_REAL, AT (focus), 0, 0.3, "", "X", "sigma of each die's blur, a fraction" },
  { "cd", SETTING_REAL, AT (cd), 0, 1, "px", "PX", "sigma by which each die's edges move" },
  { "ler", SETTING_REAL, AT (ler), 0, 2, "px", "PX", "sigma of the edges' roughness, new in each die" },
  { "ler-length", SETTING_REAL, AT (ler_length), 2, 1000, "px", "PX", "correlation length of the roughness" },
  { "grain", SETTING_REAL, AT (grain), 0, 30, "grey levels", "X", "sigma of texture on bright parts" },
  { "vignetting", SETTING_REAL, AT (vignetting), 0, 0.9, "", "X", "loss of light in the corners, a fraction" },
  { "film", SETTING_REAL, AT (film), 0, 0.5, "", "X", "waves of brightness from the middle, a fraction" },
  { "swath", SETTING_REAL, AT (swath), 0, MOST_PX, "px", "PX", "width of the swaths that make the image, 0: one" },
  { "swath-shift", SETTING_REAL, AT (swath_shift), 0, 5, "px", "PX", "sigma of a swath's shift" },
  { "swath-gain", SETTING_REAL, AT (swath_gain), 0, 0.3, "", "X", "sigma of a swath's brightness, a fraction" },
  { "vibration", SETTING_REAL, AT (vibration), 0, 5, "px", "PX", "amplitude of a sideways wave down the image" },
  { "vibration-period", SETTING_REAL, AT (vibration_period), 8, MOST_PX, "px", "PX", "its period" },
  { "read-noise", SETTING_REAL, AT (read_noise), 0, 50, "grey levels", "X", "sigma" },
  { "shot-noise", SETTING_REAL, AT (shot_noise), 0, 10, "", "X", "variance a grey level" },
  { "prnu", SETTING_REAL, AT (prnu), 0, 0.2, "", "X", "sigma of a camera column's gain, a fraction" },
  { "column-offset", SETTING_REAL, AT (column_offset), 0, 20, "grey levels", "X", "sigma of a camera column's offset" },
  { "hot-pixels", SETTING_REAL, AT (hot_pixels), 0, 0.001, "", "X", "fraction of pixels that are always white" },
  { "saturation", SETTING_REAL, AT (saturation), 10, 255, "grey levels", "X", "where the sensor is full" },
  { "defects", SETTING_INT, AT (n_defects), 0, 10000, "", "N", "how many to plant" },
  { "snr", SETTING_RANGE, AT (snr_min), 0.1, 10000, "", "MIN[:MAX]", "their matched signal to noise ratio" },
  { "classes", SETTING_TEXT, AT (classes), 0, 0, "", "LIST", "classes to plant in turn, or all" },
  { "repeaters", SETTING_INT, AT (n_repeaters), 0, 100, "", "N", "defects at one place of every die" },
  { "reticle", SETTING_CROSS, AT (reticle_cols), 1, 100, "", "CxR", "repeaters are in one die of such a field" },
  { "clusters", SETTING_INT, AT (n_clusters), 0, 100, "", "N", "groups of particles and pits" },
  { "long-scratches", SETTING_INT, AT (n_long_scratches), 0, 100, "", "N", "scratches across dice" },
  { "nuisances", SETTING_INT, AT (n_nuisances), 0, 10000, "", "N", "what differs and is no defect" },
  { "maps", SETTING_INT, AT (n_maps), 0, 1000000, "", "N", "write so many wafer maps and no image" },
  { "signature", SETTING_TEXT, AT (signatures), 0, 0, "", "LIST", "signatures of the maps in turn, all or mixed" },
  { "map-side", SETTING_RANGE, AT (map_side_min), 5, 1000, "dice", "MIN[:MAX]", "across a map" },
  { "map-density", SETTING_RANGE, AT (map_density_min), 0, 1, "", "MIN[:MAX]",
    "part of a map's dice that fail anyway" },
  { "map-edge", SETTING_RANGE, AT (map_edge_min), 0, 100, "", "MIN[:MAX]", "how much more of them at the edge, times" },
  { "clean", SETTING_TEXT, AT (clean), 0, 0, "", "FILE", "write the image without noise and defects, too" },
  { "clean-bits", SETTING_INT, AT (clean_bits), 0, 32, "", "N", "its depth, 0: the image's" },
  { "mask", SETTING_TEXT, AT (mask), 0, 0, "", "FILE", "write an image with the id of the defect on each pixel" },
};

static const struct {
  const char *name, *help, *sets;
} suites[] = {
  { "S1", "easy: all dice alike",
    "size=4096x4096 die=512x512 jitter=0 gain=0 focus=0 vignetting=0 defects=120 clean-bits=32" },
  { "S2", "standard",
    "size=8192x8192 die=512x512 jitter=0.2 focus=0.05 vignetting=0.15 gain=0.01 defects=400 classes=all "
    "clean-bits=32" },
  { "S3", "hard: dice that differ, rough edges",
    "size=8192x8192 die=512x512 jitter=0.5 focus=0.1 vignetting=0.3 gain=0.03 ler=0.1 ler-length=30 die-rotation=0.1 "
    "die-scale=20 defects=400 classes=all nuisances=40 clean-bits=32" },
  { "S4", "memory only, turned, no period a whole number",
    "size=4096x4096 die=1021x1021 layout=array rotation=0.5 defects=120 clean-bits=32" },
  { "S5", "bare wafer with shading",
    "size=4096x4096 die=512x512 layout=blank wafer=1 vignetting=0.3 film=0.1 jitter=0 gain=0 defects=90 "
    "classes=particle,scratch,haze clean-bits=32" },
  { "S6", "whole wafer in colour",
    "size=4096x4096 die=160x160 wafer=1 channels=3 film=0.05 pixel-um=75 defects=60 "
    "classes=particle,scratch,stain,ring,discoloration,residue clean-bits=32" },
  { "S7", "three dice only", "dice=3x1 die=1024x1024 jitter=0.2 defects=24 clean-bits=32" },
  { "S8", "no defect on a gigapixel", "size=32768x32768 die=1024x1024 defects=0" },
};

static gboolean refuse (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

static gboolean
refuse (GError **error, const char *format, ...)
{
  va_list arguments;
  va_start (arguments, format);
  g_autofree char *text = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_set_error_literal (error, NOTCH_ERROR, NOTCH_ERROR_USAGE, text);
  return FALSE;
}

void
notch_simulate_defaults (NotchSimulation *simulation)
{
  *simulation = (NotchSimulation){
    .width = 4096,
    .height = 4096,
    .die_width = 512,
    .die_height = 512,
    .bits = 8,
    .channels = 1,
    .seed = 1,
    .pixel_um = 0.5,
    .layout = "mixed",
    .nm_per_px = 10,
    .blur = 0.9,
    .jitter = 0.2,
    .gain = 0.01,
    .focus = 0.05,
    .ler_length = 30,
    .vignetting = 0.15,
    .vibration_period = 300,
    .read_noise = 1,
    .shot_noise = 0.02,
    .saturation = 255,
    .n_defects = 40,
    .snr_min = 6,
    .snr_max = 40,
    .reticle_cols = 1,
    .reticle_rows = 1,
    .signatures = "all",
    .map_side_min = 20,
    .map_side_max = 60,
    .map_density_min = 0.01,
    .map_density_max = 0.15,
    .map_edge_max = 2,
  };
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static gboolean
read_real (const char *text, double *value)
{
  char *end = NULL;
  *value = g_ascii_strtod (text, &end);
  return end > text && *end == 0;
}

static gboolean
read_pair (const char *text, char mark, double least, double most, gint64 pair[2])
{
  const char separator[] = { mark, 0 };
  g_auto (GStrv) parts = g_strsplit (text, separator, 2);
  return g_strv_length (parts) == 2
         && g_ascii_string_to_signed (parts[0], 10, (gint64) least, (gint64) most, &pair[0], NULL)
         && g_ascii_string_to_signed (parts[1], 10, (gint64) least, (gint64) most, &pair[1], NULL);
}

static gboolean
read_range (const char *text, double range[2])
{
  g_auto (GStrv) parts = g_strsplit (text, ":", 2);
  if (!parts[0] || !read_real (parts[0], &range[0]))
    return FALSE;
  range[1] = range[0];
  return !parts[1] || read_real (parts[1], &range[1]);
}

gboolean
notch_simulation_set (NotchSimulation *simulation, const char *name, const char *value, GError **error)
{
  guint i = 0;
  while (i < G_N_ELEMENTS (settings) && strcmp (settings[i].name, name) != 0)
    i++;
  if (i == G_N_ELEMENTS (settings))
    return refuse (error, "a simulation has no %s", name);
  gpointer at = G_STRUCT_MEMBER_P (simulation, settings[i].offset);
  double least = settings[i].least, most = settings[i].most, real = 0;
  gint64 whole = 0, pair[2] = { 0, 0 };
  switch (settings[i].kind) {
  case SETTING_REAL:
    if (!read_real (value, &real))
      return refuse (error, "%s wants a number from %s to %s, not %s", name, notch_number (least, -1).text,
                     notch_number (most, -1).text, value);
    *(double *) at = real;
    break;
  case SETTING_INT:
    if (!g_ascii_string_to_signed (value, 10, G_MININT, G_MAXINT, &whole, NULL))
      return refuse (error, "%s wants a whole number from %s to %s, not %s", name, notch_number (least, -1).text,
                     notch_number (most, -1).text, value);
    *(int *) at = (int) whole;
    break;
  case SETTING_SEED:
    if (!g_ascii_string_to_signed (value, 10, G_MININT64, G_MAXINT64, &whole, NULL))
      return refuse (error, "%s wants a whole number, not %s", name, value);
    *(guint64 *) at = (guint64) whole;
    break;
  case SETTING_FLAG:
    if (!g_ascii_string_to_signed (value, 10, 0, 1, &whole, NULL))
      return refuse (error, "%s is 0 or 1, not %s", name, value);
    *(gboolean *) at = whole != 0;
    break;
  case SETTING_TEXT:
    *(const char **) at = g_intern_string (value);
    break;
  case SETTING_CROSS:
  case SETTING_COMMA:
    if (!read_pair (value, settings[i].kind == SETTING_CROSS ? 'x' : ',', least, most, pair))
      return refuse (error, "%s wants two whole numbers from %s to %s as %s, not %s", name,
                     notch_number (least, 0).text, notch_number (most, 0).text, settings[i].sign, value);
    ((gint64 *) at)[0] = pair[0];
    ((gint64 *) at)[1] = pair[1];
    if (settings[i].offset == AT (width))
      simulation->n_cols = simulation->n_rows = 0; /* the one that is said last counts */
    break;
  case SETTING_RANGE:
    if (!read_range (value, at))
      return refuse (error, "%s wants MIN or MIN:MAX, for example 8:20, not %s", name, value);
    break;
  }
  return TRUE;
}

gboolean
notch_simulation_take_suite (NotchSimulation *simulation, const char *name, GError **error)
{
  guint i = 0;
  while (i < G_N_ELEMENTS (suites) && strcmp (suites[i].name, name) != 0)
    i++;
  if (i == G_N_ELEMENTS (suites))
    return refuse (error, "there is no suite %s; choose from S1 to S%u", name, (guint) G_N_ELEMENTS (suites));
  g_auto (GStrv) words = g_strsplit (suites[i].sets, " ", -1);
  for (int k = 0; words[k]; k++) {
    char *value = strchr (words[k], '=');
    *value++ = 0;
    if (!notch_simulation_set (simulation, words[k], value, error))
      return FALSE;
  }
  simulation->suite = suites[i].name;
  return TRUE;
}

/* ---- telling ----------------------------------------------------------------------------------------------------- */

static char *
tell_default (guint i)
{
  NotchSimulation s;
  notch_simulate_defaults (&s);
  gconstpointer at = G_STRUCT_MEMBER_P (&s, settings[i].offset);
  const gint64 *pair = at;
  const double *real = at;
  switch (settings[i].kind) {
  case SETTING_REAL:
    return g_strdup (notch_number (*real, -1).text);
  case SETTING_INT:
    return g_strdup_printf ("%d", *(const int *) at);
  case SETTING_SEED:
    return g_strdup_printf ("%" G_GUINT64_FORMAT, *(const guint64 *) at);
  case SETTING_CROSS:
    return settings[i].offset == AT (n_cols)
               ? NULL
               : g_strdup_printf ("%" G_GINT64_FORMAT "x%" G_GINT64_FORMAT, pair[0], pair[1]);
  case SETTING_COMMA:
    return g_strdup_printf ("%" G_GINT64_FORMAT ",%" G_GINT64_FORMAT, pair[0], pair[1]);
  case SETTING_RANGE:
    return g_strdup_printf ("%s:%s", notch_number (real[0], -1).text, notch_number (real[1], -1).text);
  case SETTING_TEXT:
    return g_strdup (*(const char *const *) at);
  case SETTING_FLAG:
    break;
  }
  return NULL;
}

gboolean
notch_simulation_option (int index, const char **name, const char **sign, char **help)
{
  if (index < 0 || index >= (int) G_N_ELEMENTS (settings))
    return FALSE;
  g_autofree char *start = tell_default ((guint) index);
  const char *unit = settings[index].unit;
  g_autoptr (GString) text = g_string_new (settings[index].help);
  if (*unit)
    g_string_append_printf (text, ", %s", unit);
  if (start)
    g_string_append_printf (text, " (default %s)", start);
  *name = settings[index].name;
  *sign = settings[index].sign;
  *help = g_string_free (g_steal_pointer (&text), FALSE);
  return TRUE;
}

char *
notch_simulation_suites (void)
{
  GString *text = g_string_new (NULL);
  for (guint i = 0; i < G_N_ELEMENTS (suites); i++)
    g_string_append_printf (text, "  %s  %s:\n      %s\n", suites[i].name, suites[i].help, suites[i].sets);
  return g_string_free (text, FALSE);
}

/* ---- checking ---------------------------------------------------------------------------------------------------- */

static gboolean
check_range (const NotchSimulation *s, guint i, GError **error)
{
  gconstpointer at = G_STRUCT_MEMBER_P (s, settings[i].offset);
  double least = settings[i].least, most = settings[i].most, value[2] = { least, least };
  switch (settings[i].kind) {
  case SETTING_INT:
    value[0] = *(const int *) at;
    break;
  case SETTING_RANGE:
    value[1] = ((const double *) at)[1];
    value[0] = ((const double *) at)[0];
    if (value[0] > value[1])
      return refuse (error, "%s %s:%s has its larger end first", settings[i].name, notch_number (value[0], -1).text,
                     notch_number (value[1], -1).text);
    break;
  case SETTING_REAL:
    value[0] = *(const double *) at;
    break;
  case SETTING_CROSS:
  case SETTING_COMMA: /* the layout and a number of dice have a say in some of these */
    if (settings[i].offset != AT (n_cols) && settings[i].offset != AT (reticle_cols))
      return TRUE;
    value[0] = (double) ((const gint64 *) at)[0];
    value[1] = (double) ((const gint64 *) at)[1];
    if (!(value[0] >= least && value[0] <= most && value[1] >= least && value[1] <= most))
      return refuse (error, "%s %sx%s is outside 1 to %s", settings[i].name, notch_number (value[0], 0).text,
                     notch_number (value[1], 0).text, notch_number (most, 0).text);
    return TRUE;
  case SETTING_SEED:
  case SETTING_FLAG:
  case SETTING_TEXT:
    return TRUE;
  }
  for (int k = 0; k < 2; k++)
    if (!(value[k] >= least && value[k] <= most))
      return refuse (error, "%s %s is outside %s to %s%s%s", settings[i].name, notch_number (value[k], -1).text,
                     notch_number (least, -1).text, notch_number (most, -1).text, *settings[i].unit ? " " : "",
                     settings[i].unit);
  return TRUE;
}

static gboolean
known_depth (int bits)
{
  return bits == 8 || bits == 12 || bits == 16 || bits == 32;
}

static gboolean
check_names (const char *name, const char *list, gboolean (*is_known) (const char *), const char *known, GError **error)
{
  g_auto (GStrv) names = g_strsplit (list, ",", -1);
  for (int i = 0; names[i] || i == 0; i++)
    if (!names[i] || !is_known (names[i]))
      return refuse (error, "%s has \"%s\"; choose from %s, or all", name, names[i] ? names[i] : "", known);
  return TRUE;
}

gboolean
notch_simulation_check (const NotchSimulation *s, GError **error)
{
  if (!known_depth (s->bits))
    return refuse (error, "bits %d is none of 8, 12, 16 and 32 (float)", s->bits);
  if (s->clean_bits != 0 && !known_depth (s->clean_bits))
    return refuse (error, "clean-bits %d is none of 0, 8, 12, 16 and 32 (float)", s->clean_bits);
  if (s->channels == 2)
    return refuse (error, "channels 2 is neither 1 nor 3");
  for (guint i = 0; i < G_N_ELEMENTS (settings); i++)
    if (!check_range (s, i, error))
      return FALSE;
  g_autofree char *signatures = notch_signature_names ();
  if (!check_names ("signature", s->signatures, notch_signature_known, signatures, error))
    return FALSE;
  g_autofree char *classes = notch_defect_class_names ();
  return !s->classes || check_names ("classes", s->classes, notch_defect_class_known, classes, error);
}
