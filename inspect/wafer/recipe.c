/* recipe.c - the table of keys, recipes as lists of them, and whether keys fit each other; recipe-read.c and
 * recipe-write.c have the rest */
#include "inspect/wafer/keys.h"

#include <math.h>
#include <string.h>

#include "inspect/text.h"
#include "kernels/kernels.h"

static const char *const notch_choice[] = { "auto", "down", "left", "up", "right", NULL };
static const char *const method_choice[] = { "auto", "die", "template", "exact", "golden", "array", "surface", NULL };
static const char *const polarity_choice[] = { "both", "bright", "dark", NULL };
static const char *const colour_choice[] = { "luminance", "red", "green", "blue", NULL };
static const char *const kind_choice[] = { "care", "exclude", NULL };
static const char *const frame_choice[] = { "die", "wafer", "image", NULL };

#define AT(field)        G_STRUCT_OFFSET (NotchRecipe, field)
#define IN_REGION(field) G_STRUCT_OFFSET (NotchRegion, field)
#define SWITCH           0, 1, "", NULL

/* clang-format off */
const NotchKey notch_keys[] = {
  { "wafer", "diameter_mm", KEY_DOUBLE, AT (wafer.diameter_mm), 0, 1, 450, "mm", NULL,
    "the wafer's diameter; 0: from the image, if its edge is seen and the pixel size known" },
  { "wafer", "edge_exclusion_mm", KEY_DOUBLE, AT (wafer.edge_exclusion_mm), 3, 0, 50, "mm", NULL,
    "ring along a wafer's edge where no die is whole" },
  { "wafer", "notch", KEY_CHOICE, AT (wafer.notch), -1, -1, 3, "", notch_choice,
    "where the notch or flat is in the image; auto: found, else down" },
  { "wafer", "pixel_um", KEY_DOUBLE, AT (wafer.pixel_um), 0, 0.0001, 10000, "µm", NULL,
    "a pixel's side; 0: from the image's resolution tags, else unknown and 1" },
  { "wafer", "round", KEY_BOOL, AT (wafer.round), 1, SWITCH,
    "look for a wafer's edge in the image" },
  { "wafer", "centre_x_px", KEY_DOUBLE, AT (wafer.centre_x_px), 0, -1e7, 1e7, "px", NULL,
    "the wafer's centre in the image, used when radius_px is given" },
  { "wafer", "centre_y_px", KEY_DOUBLE, AT (wafer.centre_y_px), 0, -1e7, 1e7, "px", NULL,
    "the wafer's centre in the image, downwards, used when radius_px is given" },
  { "wafer", "radius_px", KEY_DOUBLE, AT (wafer.radius_px), 0, 1, 1e7, "px", NULL,
    "the wafer's radius in the image; 0: found" },

  { "dice", "pitch_x_um", KEY_DOUBLE, AT (dice.pitch_x_um), 0, 0.01, 1e6, "µm", NULL,
    "from die to die along a row, street included; 0: from pitch_x_px, else found" },
  { "dice", "pitch_y_um", KEY_DOUBLE, AT (dice.pitch_y_um), 0, 0.01, 1e6, "µm", NULL,
    "from die to die down a column, street included; 0: from pitch_y_px, else found" },
  { "dice", "pitch_x_px", KEY_DOUBLE, AT (dice.pitch_x_px), 0, 8, 1e6, "px", NULL,
    "the same in this image, and what counts where both are given; they must agree to 1 %; 0: from pitch_x_um" },
  { "dice", "pitch_y_px", KEY_DOUBLE, AT (dice.pitch_y_px), 0, 8, 1e6, "px", NULL,
    "the same in this image, likewise; 0: from pitch_y_um" },
  { "dice", "origin_x_px", KEY_DOUBLE, AT (dice.origin_x_px), NAN, -1e7, 1e7, "px", NULL,
    "left border of die 0,0, empty: found; a die that begins with the first pixel has -0.5" },
  { "dice", "origin_y_px", KEY_DOUBLE, AT (dice.origin_y_px), NAN, -1e7, 1e7, "px", NULL,
    "upper border of die 0,0, likewise" },
  { "dice", "angle_mrad", KEY_DOUBLE, AT (dice.angle_mrad), 0, -50, 50, "mrad", NULL,
    "how far the rows are turned, clockwise as one sees the image" },
  { "dice", "partial", KEY_BOOL, AT (dice.partial), 0, SWITCH,
    "inspect dice that the image's or the wafer's edge cuts" },
  { "dice", "search_px", KEY_DOUBLE, AT (dice.search_px), 8, 0.5, 64, "px", NULL,
    "how far a die may be from its place in the grid" },
  { "dice", "excluded", KEY_PAIRS, AT (dice.excluded), 0, -1e6, 1e6, "", NULL,
    "dice to leave out" },

  { "reference", "method", KEY_CHOICE, AT (reference.method), 0, 0, 6, "", method_choice,
    "what a place is compared with; auto: the golden reference or the template if there is one, else the neighbouring "
    "dice, or where there are none but arrays the cells around, or where there is no pattern at all the background" },
  { "reference", "image", KEY_STRING, AT (reference.image), 0, 0, 0, "", NULL,
    "the template's file: beside the recipe if the recipe names it, else (--set, --reference) in the current folder" },
  { "reference", "golden", KEY_STRING, AT (reference.golden), 0, 0, 0, "", NULL,
    "the golden reference's file, likewise; notch learn makes one" },
  { "reference", "neighbours", KEY_INT, AT (reference.neighbours), 8, 1, NOTCH_MAX_SOURCES, "dice", NULL,
    "how many dice make the reference" },
  { "reference", "mesh_px", KEY_INT, AT (reference.mesh_px), 64, 16, 256, "px", NULL,
    "method surface: side of the squares that tell the background; what is as large as one is background" },
  { "reference", "contrast", KEY_DOUBLE, AT (reference.contrast), 1.5, 0, 1000, "", NULL,
    "a part of a die with more than so many times its reference's contrast, or less than that part of it, is not taken for "
    "another exposure: all that differs is a defect; 0: any contrast is harmless, the opposite one too" },
  { "reference", "shading", KEY_BOOL, AT (reference.shading), 1, SWITCH,
    "take slow changes of brightness for harmless" },
  { "reference", "focus", KEY_BOOL, AT (reference.focus), 1, SWITCH,
    "take changes of focus for harmless" },
  { "reference", "wander_px", KEY_INT, AT (reference.wander_px), 0, 0, 16, "px", NULL,
    "what the reference has this near is no difference: for prints whose edges wander, and images in black and white" },
  { "reference", "noise_a", KEY_DOUBLE, AT (reference.noise_a), 1, 1e-12, 1e12, "grey levels squared", NULL,
    "method exact: variance of the noise where the image is black" },
  { "reference", "noise_b", KEY_DOUBLE, AT (reference.noise_b), 0, 0, 1e6, "grey levels", NULL,
    "method exact: what the noise's variance gains with each grey level" },
  { "reference", "scale", KEY_DOUBLE, AT (reference.scale), 1, 1e-6, 1e6, "", NULL,
    "method exact: grey levels of the image for one of the template" },

  { "detect", "false_alarms", KEY_DOUBLE, AT (detect.false_alarms), 0.1, 1e-6, 1e6, "per image", NULL,
    "how many to expect on an image without defects: sets the threshold" },
  { "detect", "polarity", KEY_CHOICE, AT (detect.polarity), 0, 0, 2, "", polarity_choice,
    "defects to look for: brighter or darker than the reference" },
  { "detect", "smallest_px", KEY_DOUBLE, AT (detect.smallest_px), 0.8, 0.3, 16, "px", NULL,
    "sigma of the finest filter" },
  { "detect", "largest_px", KEY_DOUBLE, AT (detect.largest_px), 14, 0.3, 32, "px", NULL,
    "sigma of the coarsest filter" },
  { "detect", "least_sigma", KEY_DOUBLE, AT (detect.least_sigma), 0, 0, 1e9, "grey levels", NULL,
    "no pixel is taken to be quieter, whatever the image says" },
  { "detect", "edge_px", KEY_DOUBLE, AT (detect.edge_px), 0, 0, 10, "px", NULL,
    "sigma of how far an edge may wander and be harmless; more where the image says so" },
  { "detect", "lines", KEY_BOOL, AT (detect.lines), 1, SWITCH,
    "filter for scratches too" },
  { "detect", "grow_sigma", KEY_DOUBLE, AT (detect.grow_sigma), 3, 1, 10, "sigma", NULL,
    "a defect grows from its peak over pixels at least so strong" },
  { "detect", "merge_px", KEY_INT, AT (detect.merge_px), 3, 1, 16, "px", NULL,
    "parts this close are one defect; 1: only what touches" },
  { "detect", "candidate_sigma", KEY_DOUBLE, AT (detect.candidate_sigma), 4, 0, 40, "sigma", NULL,
    "what is below the threshold but this strong counts where several of it make a scratch; 0: never" },
  { "detect", "cluster_px", KEY_DOUBLE, AT (detect.cluster_px), 0, 1, 1e6, "px", NULL,
    "defects are clustered that are this close; 0: as far apart as chance says" },
  { "detect", "tile_px", KEY_INT, AT (detect.tile_px), 512, 128, 2048, "px", NULL,
    "side of the squares that are worked on; a multiple of 8 without prime factors but 2, 3 and 5" },
  { "detect", "halo_px", KEY_INT, AT (detect.halo_px), 32, 8, 256, "px", NULL,
    "how far tiles overlap" },
  { "detect", "memory_mib", KEY_INT64, AT (detect.memory_mib), 512, 16, 1048576, "MiB", NULL,
    "for the image's rows, and as much for those who work on them; changes speed, never results" },
  { "detect", "colour", KEY_CHOICE, AT (detect.colour), -1, -1, 2, "", colour_choice,
    "channel of a colour image to inspect" },

  { "region", "kind", KEY_CHOICE, IN_REGION (exclude), 0, 0, 1, "", kind_choice,
    "care: inspect it with a sensitivity of its own; exclude: leave it out. With a care area, only care areas count" },
  { "region", "frame", KEY_CHOICE, IN_REGION (frame), 0, 0, 2, "", frame_choice,
    "what it counts from, y up: each die's lower left corner, the wafer's centre with the notch down, or the image's lower "
    "left corner" },
  { "region", "x_um", KEY_DOUBLE, IN_REGION (x_um), 0, -1e6, 1e6, "µm", NULL,
    "left side; in a die or an image at least 0" },
  { "region", "y_um", KEY_DOUBLE, IN_REGION (y_um), 0, -1e6, 1e6, "µm", NULL,
    "lower side, likewise" },
  { "region", "width_um", KEY_DOUBLE, IN_REGION (width_um), 0, 0.001, 1e6, "µm", NULL,
    "size along the row; must be given, but for a mask of the whole frame and polygons" },
  { "region", "height_um", KEY_DOUBLE, IN_REGION (height_um), 0, 0.001, 1e6, "µm", NULL,
    "size along the column, likewise" },
  { "region", "mask", KEY_STRING, IN_REGION (mask), 0, 0, 0, "", NULL,
    "an image, PNG or TIFF, that is laid upright over the rectangle or, without one, over the whole die, wafer or image; "
    "inside is where it is not black. Beside the recipe if the recipe names it, else (--set) in the current folder" },
  { "region", "polygons", KEY_STRING, IN_REGION (polygons), 0, 0, 0, "", NULL,
    "a CSV file with the columns polygon, x_um, y_um and a row a corner, instead of a rectangle; found likewise. Inside is "
    "what lies in an odd number of polygons" },
  { "region", "method", KEY_CHOICE, IN_REGION (method), 0, 0, 6, "", method_choice,
    "what it is compared with, if it is a rectangle; auto: as the rest. Where in the region the method has nothing "
    "to compare with, the rest's is kept; if that is all of it, the recipe is wrong" },
  { "region", "sensitivity", KEY_DOUBLE, IN_REGION (sensitivity), 1, 0.01, 100, "", NULL,
    "against other regions: 2 finds defects of half the strength of those that 1 finds. The false alarms stay as many as "
    "are asked for" },

  { "classify", "model", KEY_STRING, AT (classify.model), 0, 0, 0, "", NULL,
    "a trained classifier's file, which decides instead of the rules: beside the recipe if the recipe names it, else (--set, "
    "--model) in the current folder; notch train makes one. shipped is the one that comes with notch, and the default of a recipe "
    "that has no rules; empty: the rules decide" },
  { "classify", "signature_model", KEY_STRING, AT (classify.signature_model), 0, 0, 0, "", NULL,
    "likewise a model of wafer maps, which says what the failed dice of a wafer look like together. shipped, the default, says so "
    "of whole wafers, whose edge the image has all around; empty: no signature" },
  { "classify", "class.", KEY_RULES, AT (classify.rule), 0, 0, 0, "", NULL,
    "an expression over a defect's columns; the first that holds gives the class, else it is \"other\"" },

  { "limits", "defects", KEY_WHOLE, AT (limits.defects), -1, 0, 1e12, "per image", NULL,
    "an image with more is rejected; -1: no limit" },
  { "limits", "defects_per_die", KEY_WHOLE, AT (limits.defects_per_die), -1, 0, 1e12, "per die", NULL,
    "an image that has a die with more is rejected; -1: no limit" },
  { "limits", "density_per_cm2", KEY_DOUBLE, AT (limits.density_per_cm2), -1, 0, 1e12, "1/cm²", NULL,
    "an image with more defects an inspected area is rejected; -1: no limit" },
  { "limits", "failed_dice", KEY_WHOLE, AT (limits.failed_dice), -1, 0, 1e12, "dice", NULL,
    "an image with more dice that differ nearly everywhere, or are blank, is rejected; -1: no limit" },
  { "limits", "drift", KEY_DOUBLE, AT (limits.drift), -1, 0, 1e6, "", NULL,
    "an image whose defects are farther from what the model learned from, in a column or in the mix of classes, is rejected: "
    "the population stability index, 0.25 is a lot; -1: no limit" },
  { "limits", "class.", KEY_CLASS_LIMITS, AT (limits.per_class), 0, 0, 1e12, "per image", NULL,
    "an image with more defects of that class is rejected; -1: no limit" },

  { "report", "crops", KEY_INT, AT (report.crops), 100, 0, 100000, "per image", NULL,
    "pictures of the strongest defects" },
  { "report", "crop_px", KEY_INT, AT (report.crop_px), 64, 16, 256, "px", NULL,
    "side of such a picture, at most twice halo_px" },
  { "report", "overlay_px", KEY_INT, AT (report.overlay_px), 8192, 256, 30000, "px", NULL,
    "longer side of the overlay; a larger image is drawn reduced" },
};
/* clang-format on */

const char *const notch_key_groups[][2] = {
  { "wafer", "The wafer and the camera." },
  { "dice", "Where dice are." },
  { "reference", "What a place should look like." },
  { "detect", "What counts as a difference." },
  { "region", "[region NAME], any number: parts of the die, the wafer or the image." },
  { "classify", "What a defect is: class.NAME = expression, tried in this order, or a trained model." },
  { "limits", "When an image is rejected." },
  { "report", "What is written." },
};

/* In px, for that is what a filter sees, whatever the camera. A scratch is long; a stain is wider than any speck; a
 * pit is dark and no larger than the spot of the optics; other specks are particles, bright or dark, unless they are
 * half bright and half dark, as an edge out of place is. */
const char *const notch_default_rules[][2] = {
  { "scratch", "elongation > 3 && sqrt (width_px * width_px + height_px * height_px) > 12" },
  { "stain", "scale_px > 4 && line == 0" },
  { "pit", "contrast < 0 && scale_px < 1.2 && bipolarity < 0.5" },
  { "particle", "bipolarity < 0.5" },
};

const gsize notch_n_keys = G_N_ELEMENTS (notch_keys), notch_n_key_groups = G_N_ELEMENTS (notch_key_groups),
            notch_n_default_rules = G_N_ELEMENTS (notch_default_rules);

/* ---- lists ------------------------------------------------------------------------------------------------------- */

static void
free_region (gpointer data)
{
  NotchRegion *region = data;
  g_free (region->name);
  g_free (region->mask);
  g_free (region->polygons);
  g_free (region);
}

static void
free_rule (gpointer data)
{
  NotchRule *rule = data;
  g_free (rule->name);
  g_free (rule->expression);
  g_free (rule);
}

static void
free_class_limit (gpointer data)
{
  NotchClassLimit *limit = data;
  g_free (limit->name);
  g_free (limit);
}

void
notch_recipe_add_rule (GPtrArray *rules, const char *name, const char *expression)
{
  NotchRule *rule = g_new0 (NotchRule, 1);
  rule->name = g_strdup (name);
  rule->expression = g_strdup (expression);
  g_ptr_array_add (rules, rule);
}

void
notch_recipe_add_class_limit (GPtrArray *limits, const char *name, gint64 most)
{
  NotchClassLimit *limit = g_new0 (NotchClassLimit, 1);
  limit->name = g_strdup (name);
  limit->most = most;
  g_ptr_array_add (limits, limit);
}

gboolean
notch_key_in_region (const NotchKey *key)
{
  return strcmp (key->group, "region") == 0;
}

void
notch_key_set_default (const NotchKey *key, gpointer base)
{
  gpointer at = G_STRUCT_MEMBER_P (base, key->offset);
  switch (key->type) {
  case KEY_DOUBLE:
  case KEY_WHOLE:
    *(double *) at = key->fallback;
    break;
  case KEY_INT64:
    *(gint64 *) at = (gint64) key->fallback;
    break;
  case KEY_INT:
  case KEY_BOOL:
  case KEY_CHOICE:
    *(int *) at = (int) key->fallback;
    break;
  case KEY_STRING:
    g_clear_pointer ((char **) at, g_free);
    break;
  case KEY_PAIRS:
    g_array_set_size (*(GArray **) at, 0);
    break;
  case KEY_RULES:
  case KEY_CLASS_LIMITS:
    break;
  }
}

NotchRecipe *
notch_recipe_new (void)
{
  NotchRecipe *recipe = g_new0 (NotchRecipe, 1);
  recipe->dice.excluded = g_array_new (FALSE, FALSE, 2 * sizeof (int));
  recipe->region = g_ptr_array_new_with_free_func (free_region);
  recipe->classify.rule = g_ptr_array_new_with_free_func (free_rule);
  recipe->limits.per_class = g_ptr_array_new_with_free_func (free_class_limit);
  recipe->place = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  for (gsize i = 0; i < notch_n_keys; i++)
    if (!notch_key_in_region (&notch_keys[i]))
      notch_key_set_default (&notch_keys[i], recipe);
  for (gsize i = 0; i < notch_n_default_rules; i++)
    notch_recipe_add_rule (recipe->classify.rule, notch_default_rules[i][0], notch_default_rules[i][1]);
  recipe->classify.model = g_strdup (NOTCH_MODEL_SHIPPED); /* until a rule or a model is given */
  recipe->classify.signature_model = g_strdup (NOTCH_MODEL_SHIPPED);
  return recipe;
}

NotchRecipe *
notch_recipe_copy (const NotchRecipe *recipe)
{
  NotchRecipe *copy = g_memdup2 (recipe, sizeof *recipe);
  copy->path = g_strdup (recipe->path);
  copy->reference.image = g_strdup (recipe->reference.image);
  copy->reference.golden = g_strdup (recipe->reference.golden);
  copy->classify.model = g_strdup (recipe->classify.model);
  copy->classify.signature_model = g_strdup (recipe->classify.signature_model);
  copy->dice.excluded = g_array_copy (recipe->dice.excluded);
  copy->region = g_ptr_array_new_with_free_func (free_region);
  for (guint i = 0; i < recipe->region->len; i++) {
    NotchRegion *region = g_memdup2 (recipe->region->pdata[i], sizeof *region);
    region->name = g_strdup (region->name);
    region->mask = g_strdup (region->mask);
    region->polygons = g_strdup (region->polygons);
    g_ptr_array_add (copy->region, region);
  }
  copy->classify.rule = g_ptr_array_new_with_free_func (free_rule);
  for (guint i = 0; i < recipe->classify.rule->len; i++) {
    const NotchRule *rule = recipe->classify.rule->pdata[i];
    notch_recipe_add_rule (copy->classify.rule, rule->name, rule->expression);
  }
  copy->limits.per_class = g_ptr_array_new_with_free_func (free_class_limit);
  for (guint i = 0; i < recipe->limits.per_class->len; i++) {
    const NotchClassLimit *limit = recipe->limits.per_class->pdata[i];
    notch_recipe_add_class_limit (copy->limits.per_class, limit->name, limit->most);
  }
  copy->place = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  GHashTableIter iter;
  gpointer key, place;
  g_hash_table_iter_init (&iter, recipe->place);
  while (g_hash_table_iter_next (&iter, &key, &place))
    g_hash_table_insert (copy->place, g_strdup (key), g_strdup (place));
  return copy;
}

void
notch_recipe_free (NotchRecipe *recipe)
{
  if (!recipe)
    return;
  g_free (recipe->path);
  g_free (recipe->reference.image);
  g_free (recipe->reference.golden);
  g_free (recipe->classify.model);
  g_free (recipe->classify.signature_model);
  g_array_unref (recipe->dice.excluded);
  g_ptr_array_unref (recipe->region);
  g_ptr_array_unref (recipe->classify.rule);
  g_ptr_array_unref (recipe->limits.per_class);
  g_hash_table_unref (recipe->place);
  g_free (recipe);
}

gboolean
notch_key_has_names (const NotchKey *key)
{
  return key->type == KEY_RULES || key->type == KEY_CLASS_LIMITS;
}

/* ---- words and numbers ------------------------------------------------------------------------------------------- */

void
notch_key_append_range (GString *to, const NotchKey *key)
{
  switch (key->type) {
  case KEY_BOOL:
    g_string_append_printf (to, "true or false, default %s", key->fallback != 0 ? "true" : "false");
    break;
  case KEY_CHOICE:
    for (int i = 0; key->choice[i]; i++)
      g_string_append_printf (to, "%s%s", i ? (key->choice[i + 1] ? ", " : " or ") : "", key->choice[i]);
    g_string_append_printf (to, ", default %s", key->choice[(int) (key->fallback - key->least)]);
    break;
  case KEY_STRING: {
    g_autoptr (NotchRecipe) fresh = notch_recipe_new ();
    const char *fallback = notch_key_in_region (key) ? NULL : G_STRUCT_MEMBER (char *, fresh, key->offset);
    g_string_append_printf (to, "a file name, default %s", fallback ? fallback : "none");
    break;
  }
  case KEY_PAIRS:
    g_string_append (to, "a list col,row;col,row, default none");
    break;
  case KEY_RULES:
    g_string_append (to, "an expression");
    break;
  case KEY_CLASS_LIMITS:
    g_string_append (to, "a whole number, 0 or more, default -1");
    break;
  case KEY_DOUBLE:
  case KEY_WHOLE:
  case KEY_INT:
  case KEY_INT64:
    notch_append_shortest (to, key->least);
    g_string_append (to, " to ");
    notch_append_shortest (to, key->most);
    g_string_append_printf (to, "%s%s, default ", *key->unit ? " " : "", key->unit);
    notch_append_shortest (to, key->fallback);
    if (isnan (key->fallback))
      g_string_append (to, "empty");
    break;
  }
}

/* ---- what one key alone does not show ---------------------------------------------------------------------------- */

static gboolean
is_smooth (int n)
{
  for (int prime = 2; prime <= 5; prime++)
    while (n % prime == 0)
      n /= prime;
  return n == 1;
}

void
notch_recipe_set_place (NotchRecipe *recipe, const char *group, const char *key, char *place)
{
  g_hash_table_replace (recipe->place, g_strdup_printf ("%s]%s", group, key ? key : ""), place);
}

char *
notch_recipe_place (const NotchRecipe *recipe, const char *group, const char *key)
{
  g_autofree char *whole = g_strdup_printf ("%s]%s", group, key), *only = g_strdup_printf ("%s]", group);
  const char *place = g_hash_table_lookup (recipe->place, whole);
  place = place ? place : g_hash_table_lookup (recipe->place, only);
  place = place ? place : recipe->path;
  return g_strdup_printf ("%s%s[%s] %s", place ? place : "", place ? ": " : "", group, key);
}

static gboolean clash (const NotchRecipe *recipe, const char *group, const char *key, GError **error,
                       const char *format, ...) G_GNUC_PRINTF (5, 6);

/* A key that does not fit others: names the one to change. */
static gboolean
clash (const NotchRecipe *recipe, const char *group, const char *key, GError **error, const char *format, ...)
{
  g_autofree char *place = notch_recipe_place (recipe, group, key);
  va_list arguments;
  va_start (arguments, format);
  g_autofree char *what = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE, "%s: %s", place, what);
  return FALSE;
}

/* Two ways to give one length. */
static gboolean
check_pitch (const NotchRecipe *recipe, char axis, double um, double px, GError **error)
{
  const char px_key[] = { 'p', 'i', 't', 'c', 'h', '_', axis, '_', 'p', 'x', 0 };
  double pixel = recipe->wafer.pixel_um;
  if (!(um > 0) || !(px > 0) || !(pixel > 0) || fabs (px * pixel - um) <= 0.01 * um)
    return TRUE;
  char text[3][G_ASCII_DTOSTR_BUF_SIZE];
  const double value[] = { px, px * pixel, um };
  for (int i = 0; i < 3; i++)
    g_ascii_formatd (text[i], sizeof text[i], "%.7g", value[i]);
  return clash (recipe, "dice", px_key, error, "%s px are %s µm, and pitch_%c_um is %s; set one of the two to 0",
                text[0], text[1], axis, text[2]);
}

/* Whether it says once, and wholly, where a region is. */
static gboolean
check_region (const NotchRecipe *recipe, const NotchRegion *region, GError **error)
{
  g_autofree char *group = g_strconcat ("region ", region->name, NULL);
  gboolean mask = region->mask && *region->mask, polygons = region->polygons && *region->polygons;
  gboolean wide = region->width_um > 0, high = region->height_um > 0;
  if (mask && polygons)
    return clash (recipe, group, "polygons", error,
                  "there is a mask already; make two regions of them, or leave one out");
  if (polygons && (wide || high || region->x_um != 0 || region->y_um != 0)) {
    const char *key = wide ? "width_um" : high ? "height_um" : region->x_um != 0 ? "x_um" : "y_um";
    return clash (recipe, group, key, error, "the polygons say themselves where they are; leave it out");
  }
  if (!polygons && (wide != high || !(wide || mask)))
    return clash (recipe, group, wide ? "height_um" : "width_um", error, "it must be given, 0.001 to 1000000 (µm)");
  if (!wide && (region->x_um != 0 || region->y_um != 0))
    return clash (recipe, group, "width_um", error,
                  "without it the mask lies over all there is, whatever x_um and y_um; "
                  "give the size too, or neither");
  if (region->method != NOTCH_REFERENCE_AUTO && region->exclude)
    return clash (recipe, group, "method", error, "what is left out is compared with nothing; leave the method out");
  if (region->method != NOTCH_REFERENCE_AUTO && (mask || polygons))
    return clash (recipe, group, "method", error,
                  "only a rectangle has a method of its own; give its place, and the %s in a region without a method",
                  mask ? "mask" : "polygons");
  if (region->frame != NOTCH_FRAME_WAFER && (region->x_um < 0 || region->y_um < 0))
    return clash (recipe, group, region->x_um < 0 ? "x_um" : "y_um", error,
                  "it is outside the %s, which begins at 0; it may be 0 to 1000000 (µm)",
                  region->frame == NOTCH_FRAME_DIE ? "die" : "image");
  return TRUE;
}

gboolean
notch_recipe_check (const NotchRecipe *recipe, GError **error)
{
  int tile = recipe->detect.tile_px, halo = recipe->detect.halo_px;
  if (!is_smooth (tile) || tile % 8 != 0) /* the coarsest filters work on every fourth pixel, in pairs */
    return clash (recipe, "detect", "tile_px", error,
                  "%d is no multiple of 8, or has a prime factor other than 2, 3 and 5; 256, 360, 480, 512, 600, 640, "
                  "720, 768, 960 and 1024 will do",
                  tile);
  if (4 * halo > tile)
    return clash (recipe, "detect", "halo_px", error,
                  "%d leaves little of a tile of %d px; it may be at most a quarter of tile_px", halo, tile);
  if (recipe->reference.contrast > 0 && recipe->reference.contrast < 1)
    return clash (recipe, "reference", "contrast", error,
                  "less than 1 leaves nothing that is alike; it may be 0 (any), or 1 or more");
  if (recipe->detect.largest_px < recipe->detect.smallest_px)
    return clash (recipe, "detect", "largest_px", error, "it is below smallest_px; it may be that or more");
  gboolean has_x = recipe->dice.pitch_x_um > 0 || recipe->dice.pitch_x_px > 0;
  gboolean has_y = recipe->dice.pitch_y_um > 0 || recipe->dice.pitch_y_px > 0;
  if (has_x != has_y)
    return clash (recipe, "dice", "pitch_y_px", error,
                  "one pitch is given and the other is not; give pitch_x and pitch_y, or neither");
  if (!check_pitch (recipe, 'x', recipe->dice.pitch_x_um, recipe->dice.pitch_x_px, error)
      || !check_pitch (recipe, 'y', recipe->dice.pitch_y_um, recipe->dice.pitch_y_px, error))
    return FALSE;
  if (recipe->report.crop_px > 2 * halo)
    return clash (recipe, "report", "crop_px", error,
                  "%d is more than twice halo_px, which is %d; make it smaller or the halo larger",
                  recipe->report.crop_px, halo);
  for (guint i = 0; i < recipe->region->len; i++)
    if (!check_region (recipe, recipe->region->pdata[i], error))
      return FALSE;
  return TRUE;
}

gboolean
notch_recipe_asks_for (const NotchRecipe *recipe, NotchReferenceKind method)
{
  gboolean asks = recipe->reference.method == method;
  for (guint i = 0; i < recipe->region->len; i++)
    asks |= ((const NotchRegion *) recipe->region->pdata[i])->method == method;
  return asks;
}

gboolean
notch_recipe_check_regions (const NotchRecipe *recipe, double width, double height, const char *unit, GError **error)
{
  const double slack = 1.001;
  for (guint i = 0; i < recipe->region->len; i++) {
    const NotchRegion *region = recipe->region->pdata[i];
    g_autofree char *group = g_strconcat ("region ", region->name, NULL);
    gboolean wide = region->x_um + region->width_um > width * slack;
    if (region->frame != NOTCH_FRAME_DIE)
      continue;
    if (!wide && region->y_um + region->height_um <= height * slack)
      continue;
    double from = wide ? region->x_um : region->y_um, most = (wide ? width : height) - from;
    char text[2][G_ASCII_DTOSTR_BUF_SIZE];
    g_ascii_formatd (text[0], sizeof text[0], "%.6g", wide ? width : height);
    g_ascii_formatd (text[1], sizeof text[1], "%.6g", MAX (most, 0));
    if (most > 0)
      return clash (recipe, group, wide ? "width_um" : "height_um", error,
                    "the region reaches out of the die, which is %s %s %s; with this %s it may be at most %s %s",
                    text[0], unit, wide ? "wide" : "high", wide ? "x_um" : "y_um", text[1], unit);
    return clash (recipe, group, wide ? "x_um" : "y_um", error,
                  "the region begins outside the die, which is %s %s %s; it must be less than that", text[0], unit,
                  wide ? "wide" : "high");
  }
  return TRUE;
}
