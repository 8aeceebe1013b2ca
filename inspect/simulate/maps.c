/* maps.c - see maps.h
 *
 * A signature is a chance to fail for each die, a formula in the wafer's coordinates with parameters by chance: turned by
 * any angle and mirrored, with wavy outlines. Dice fail by that chance or by the background's. The classes are those of
 * WM-811K (Wu, Jang and Chen, IEEE Trans. Semicond. Manuf. 28, 2015), the mixtures after MixedWM38 (Wang et al., IEEE
 * Trans. Semicond. Manuf. 33, 2020). */
#include "inspect/simulate/maps.h"

#include "inspect/image/write.h"
#include "inspect/random.h"
#include "inspect/simulate/settings.h"

#include <math.h>
#include <string.h>

#define MOST_DICE G_GINT64_CONSTANT (200000000)
#define N_WAVES   4

/* A wafer in the making; the disc of radius 1 holds the dice. */
typedef struct {
  NotchBinMap *map;
  double *fails;           /* the chance of each die */
  double pitch_x, pitch_y; /* of dice */
  NotchRandom *random;
} Wafer;

/* A wave around a figure, so that no outline is a circle. */
typedef struct {
  double amplitude[N_WAVES], phase[N_WAVES];
} Wave;

static double
between (const Wafer *wafer, double low, double high)
{
  return notch_random_between (wafer->random, low, high);
}

static Wave
draw_wave (const Wafer *wafer, double amplitude)
{
  Wave wave;
  for (int m = 0; m < N_WAVES; m++) {
    wave.amplitude[m] = between (wafer, 0, amplitude / (m + 1));
    wave.phase[m] = between (wafer, 0, 2 * G_PI);
  }
  return wave;
}

static double
wave_at (const Wave *wave, double angle)
{
  double sum = 1;
  for (int m = 0; m < N_WAVES; m++)
    sum += wave->amplitude[m] * cos ((m + 2) * angle + wave->phase[m]);
  return sum;
}

static double
die_x (const Wafer *wafer, int column)
{
  return (column + 0.5) * wafer->pitch_x - 1;
}

static double
die_y (const Wafer *wafer, int row)
{
  return (row + 0.5) * wafer->pitch_y - 1;
}

/* One cause more. */
static void
add_chance (Wafer *wafer, int column, int row, double chance)
{
  double *fails = &wafer->fails[(gsize) row * (gsize) wafer->map->width + (gsize) column];
  *fails = 1 - (1 - *fails) * (1 - chance);
}

/* From 1 inside to 0 outside, with an edge about `soft` wide. */
static double
inside (double distance, double soft)
{
  return 1 / (1 + exp (4 * distance / soft));
}

static void
add_background (Wafer *wafer, double chance, double edge)
{
  for (int row = 0; row < wafer->map->height; row++)
    for (int column = 0; column < wafer->map->width; column++) {
      double r = hypot (die_x (wafer, column), die_y (wafer, row));
      add_chance (wafer, column, row, MIN (chance * (1 + edge * pow (r, 8)), 1));
    }
}

/* An ellipse with half axes `a` and `b` at a distance from the centre. `hole`: part of it that is left out. */
static void
add_blob (Wafer *wafer, double distance, double a, double b, double hole)
{
  double angle = between (wafer, 0, 2 * G_PI), turn = between (wafer, 0, 2 * G_PI);
  double x0 = distance * cos (angle), y0 = distance * sin (angle), c = cos (turn), s = sin (turn);
  double chance = between (wafer, 0.75, 1), soft = between (wafer, 0.05, 0.3);
  Wave wave = draw_wave (wafer, 0.12);
  for (int row = 0; row < wafer->map->height; row++)
    for (int column = 0; column < wafer->map->width; column++) {
      double x = die_x (wafer, column) - x0, y = die_y (wafer, row) - y0;
      double u = (c * x + s * y) / a, v = (c * y - s * x) / b, far = hypot (u, v) / wave_at (&wave, atan2 (v, u));
      double out = MAX (far - 1, hole - far);
      add_chance (wafer, column, row, chance * inside (out, soft));
    }
}

/* A part of the wafer's edge, `span` of the circle, `depth` deep. */
static void
add_edge (Wafer *wafer, double span, double depth)
{
  double middle = between (wafer, -G_PI, G_PI), chance = between (wafer, 0.75, 1), soft = between (wafer, 0.02, 0.08);
  Wave wave = draw_wave (wafer, 0.15);
  for (int row = 0; row < wafer->map->height; row++)
    for (int column = 0; column < wafer->map->width; column++) {
      double x = die_x (wafer, column), y = die_y (wafer, row), r = hypot (x, y), angle = atan2 (y, x);
      double aside = fabs (remainder (angle - middle, 2 * G_PI)) - span * G_PI,
             deep = 1 - depth * wave_at (&wave, angle);
      double ends = span < 1 ? inside (aside, 0.15) : 1;
      add_chance (wafer, column, row, chance * ends * inside (deep - r, soft));
    }
}

/* An arc, marked die by die. */
static void
add_scratch (Wafer *wafer)
{
  double length = between (wafer, 0.6, 1.5), bend = between (wafer, -1.2, 1.2), chance = between (wafer, 0.8, 1);
  double angle = between (wafer, 0, 2 * G_PI), distance = sqrt (between (wafer, 0, 0.25)),
         turn = between (wafer, 0, 2 * G_PI);
  double heading = turn - bend * length / 2, step = MIN (wafer->pitch_x, wafer->pitch_y) / 8;
  /* where it begins, so that its middle is where it was drawn */
  double x = distance * cos (angle) - length / 2 * cos (turn), y = distance * sin (angle) - length / 2 * sin (turn);
  gsize last = G_MAXSIZE;
  for (double at = 0; at < length; at += step) {
    x += step * cos (heading);
    y += step * sin (heading);
    heading += bend * step;
    int column = (int) floor ((x + 1) / wafer->pitch_x), row = (int) floor ((y + 1) / wafer->pitch_y);
    if (column < 0 || column >= wafer->map->width || row < 0 || row >= wafer->map->height)
      continue;
    gsize die = (gsize) row * (gsize) wafer->map->width + (gsize) column;
    if (die != last)
      add_chance (wafer, column, row, chance);
    last = die;
  }
}

/* ---- signatures -------------------------------------------------------------------------------------------------- */

/* The least half axis of what is to be seen as a blob: some dice. */
static double
least_axis (const Wafer *wafer)
{
  return 1.6 * MAX (wafer->pitch_x, wafer->pitch_y);
}

static void
draw_center (Wafer *wafer)
{
  double a = MAX (between (wafer, 0.15, 0.4), least_axis (wafer)),
         b = MAX (a * between (wafer, 0.6, 1), least_axis (wafer));
  add_blob (wafer, between (wafer, 0, 0.12), a, b, -1);
}

static void
draw_donut (Wafer *wafer)
{
  double a = MAX (between (wafer, 0.4, 0.75), 4 * MAX (wafer->pitch_x, wafer->pitch_y));
  add_blob (wafer, between (wafer, 0, 0.15), a, a * between (wafer, 0.8, 1), between (wafer, 0.4, 0.65));
}

static void
draw_edge_loc (Wafer *wafer)
{
  add_edge (wafer, between (wafer, 0.08, 0.35), MAX (between (wafer, 0.12, 0.35), least_axis (wafer)));
}

static void
draw_edge_ring (Wafer *wafer)
{
  add_edge (wafer, between (wafer, 0.75, 1.1), MAX (between (wafer, 0.06, 0.18), least_axis (wafer) / 1.2));
}

static void
draw_loc (Wafer *wafer)
{
  double b = MAX (between (wafer, 0.12, 0.22), least_axis (wafer)), a = MIN (b * between (wafer, 1, 2), 0.4);
  add_blob (wafer, between (wafer, 0.35, 0.6), MAX (a, b), b, -1);
}

static void
draw_near_full (Wafer *wafer)
{
  add_background (wafer, between (wafer, 0.8, 1), 0);
}

static void
draw_random (Wafer *wafer)
{
  add_background (wafer, between (wafer, 0.3, 0.65), 0);
}

static const struct {
  const char *name;
  void (*draw) (Wafer *wafer); /* NULL: nothing but the background */
} signatures[] = {
  { "Center", draw_center },       { "Donut", draw_donut },   { "Edge-Loc", draw_edge_loc },
  { "Edge-Ring", draw_edge_ring }, { "Loc", draw_loc },       { "Scratch", add_scratch },
  { "Near-full", draw_near_full }, { "Random", draw_random }, { "none", NULL },
};

/* Two signatures that leave each other's marks visible, by their indices. */
static const struct {
  const char *name;
  int part[2];
} mixtures[] = {
  { "Center+Edge-Loc", { 0, 2 } },  { "Center+Edge-Ring", { 0, 3 } }, { "Center+Loc", { 0, 4 } },
  { "Center+Scratch", { 0, 5 } },   { "Donut+Edge-Loc", { 1, 2 } },   { "Donut+Edge-Ring", { 1, 3 } },
  { "Donut+Loc", { 1, 4 } },        { "Donut+Scratch", { 1, 5 } },    { "Edge-Loc+Loc", { 2, 4 } },
  { "Edge-Loc+Scratch", { 2, 5 } }, { "Edge-Ring+Loc", { 3, 4 } },    { "Edge-Ring+Scratch", { 3, 5 } },
  { "Loc+Scratch", { 4, 5 } },
};

enum { N_SINGLE = G_N_ELEMENTS (signatures), N_MIXED = G_N_ELEMENTS (mixtures) };

static int
index_of (const char *name)
{
  for (int i = 0; i < N_SINGLE + N_MIXED; i++)
    if (strcmp (name, i < N_SINGLE ? signatures[i].name : mixtures[i - N_SINGLE].name) == 0)
      return i;
  return -1;
}

gboolean
notch_signature_known (const char *name)
{
  return strcmp (name, "all") == 0 || strcmp (name, "mixed") == 0 || index_of (name) >= 0;
}

char *
notch_signature_names (void)
{
  GString *text = g_string_new (NULL);
  for (int i = 0; i < N_SINGLE; i++)
    g_string_append_printf (text, "%s%s", i ? ", " : "", signatures[i].name);
  return g_string_free (text, FALSE);
}

/* The signature of a map: those of the list in turn. */
static int
choose (const char *list, int index)
{
  g_auto (GStrv) names = g_strsplit (list, ",", -1);
  g_autoptr (GArray) chosen = g_array_new (FALSE, FALSE, sizeof (int));
  for (int k = 0; names[k]; k++) {
    gboolean mixed = strcmp (names[k], "mixed") == 0, all = strcmp (names[k], "all") == 0;
    int first = mixed ? N_SINGLE : all ? 0 : index_of (names[k]);
    int end = mixed ? N_SINGLE + N_MIXED : all ? N_SINGLE : first + 1;
    for (int i = first; i < end; i++)
      g_array_append_val (chosen, i);
  }
  return g_array_index (chosen, int, (guint) index % chosen->len);
}

NotchBinMap *
notch_simulate_map (const NotchSimulation *s, int index, const char **signature)
{
  int which = choose (s->signatures, index);
  NotchRandom random = notch_random_at (s->seed, NOTCH_STREAM_MAPS, index, 0);
  /* dice are up to 1.6 times as long as wide; sides are as likely in each octave */
  double side = exp (notch_random_between (&random, log (s->map_side_min), log (s->map_side_max)));
  double aspect = exp (notch_random_between (&random, -0.25, 0.25));
  int width = (int) lrint (side * aspect), height = (int) lrint (side / aspect);
  width = CLAMP (width, (int) s->map_side_min, (int) s->map_side_max);
  height = CLAMP (height, (int) s->map_side_min, (int) s->map_side_max);
  g_autoptr (NotchBinMap) map = notch_binmap_new (width, height);
  g_autofree double *fails = g_try_new0 (double, (gsize) width *(gsize) height);
  if (!map || !fails)
    return NULL;
  Wafer wafer = { map, fails, 2.0 / width, 2.0 / height, &random };
  double edge_of_dice = notch_random_between (&random, 0.97, 1.02);
  add_background (&wafer, notch_random_between (&random, s->map_density_min, s->map_density_max),
                  notch_random_between (&random, s->map_edge_min, s->map_edge_max));
  if (which < N_SINGLE) {
    if (signatures[which].draw)
      signatures[which].draw (&wafer);
  } else
    for (int k = 0; k < 2; k++)
      signatures[mixtures[which - N_SINGLE].part[k]].draw (&wafer);
  for (int row = 0; row < height; row++)
    for (int column = 0; column < width; column++) {
      gsize die = (gsize) row * (gsize) width + (gsize) column;
      gboolean failed = notch_random_unit (&random) < fails[die];
      if (hypot (die_x (&wafer, column), die_y (&wafer, row)) <= edge_of_dice)
        map->bin[die] = failed ? NOTCH_BIN_FAIL : NOTCH_BIN_PASS;
    }
  *signature = which < N_SINGLE ? signatures[which].name : mixtures[which - N_SINGLE].name;
  return g_steal_pointer (&map);
}

gboolean
notch_simulate_maps (const NotchSimulation *s, const char *path, GError **error)
{
  if (!notch_simulation_check (s, error))
    return FALSE;
  if (s->n_maps < 1)
    return g_set_error_literal (error, NOTCH_ERROR, NOTCH_ERROR_USAGE, "maps 0 are none; say how many"), FALSE;
  if ((double) s->n_maps * s->map_side_max * s->map_side_max > (double) MOST_DICE)
    return g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
                        "maps %d of up to %d x %d dice are more than %" G_GINT64_FORMAT
                        " dice; write fewer, or several files with other seeds",
                        s->n_maps, (int) s->map_side_max, (int) s->map_side_max, MOST_DICE),
           FALSE;
  g_autoptr (GString) text = g_string_new ("index,split,class,width,height,map\n");
  for (int i = 0; i < s->n_maps; i++) {
    const char *signature = NULL;
    g_autoptr (NotchBinMap) map = notch_simulate_map (s, i, &signature);
    if (!map)
      return g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_WRITE, "%s: not enough memory for a map", path), FALSE;
    g_string_append_printf (text, "%d,,%s,%d,%d,", i, signature, map->width, map->height);
    for (gsize k = 0; k < (gsize) map->width * (gsize) map->height; k++)
      g_string_append_c (text, (char) ('0' + map->bin[k]));
    g_string_append_c (text, '\n');
  }
  return notch_write_file (path, text->str, (gssize) text->len, error);
}
