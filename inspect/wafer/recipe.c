/* recipe.c - the table of keys, and what follows from it: reading, checking, writing, the man page
 *
 * GKeyFile reads the values; it tells no line numbers, so a scan of the same text finds where every key stands and
 * drives the reading in the file's order. */
#include "inspect/wafer/recipe.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "kernels/kernels.h"

typedef enum {
  KEY_DOUBLE,
  KEY_INT,
  KEY_INT64,
  KEY_BOOL,
  KEY_CHOICE, /* an int, `least` + the index in `choice` */
  KEY_STRING,
  KEY_PAIRS,       /* GArray of int pairs */
  KEY_RULES,       /* GPtrArray of NotchRule, key is a prefix before the class's name */
  KEY_CLASS_LIMITS /* GPtrArray of NotchClassLimit, likewise */
} KeyType;

/* `fallback` is legal even where it is not in the range: it stands for "found" or "none", and so does NAN, which is
 * written as nothing. */
typedef struct {
  const char *group, *key;
  KeyType type;
  gsize offset; /* in NotchRecipe, or in NotchRegion for the group "region" */
  double fallback, least, most;
  const char *unit;
  const char *const *choice;
  const char *summary;
} Key;

static const char *const notch_choice[] = { "auto", "down", "left", "up", "right", NULL };
static const char *const method_choice[] = { "auto", "die", "template", "exact", NULL };
static const char *const polarity_choice[] = { "both", "bright", "dark", NULL };
static const char *const colour_choice[] = { "luminance", "red", "green", "blue", NULL };
static const char *const kind_choice[] = { "care", "exclude", NULL };

#define AT(field)        G_STRUCT_OFFSET (NotchRecipe, field)
#define IN_REGION(field) G_STRUCT_OFFSET (NotchRegion, field)
#define SWITCH           0, 1, "", NULL

/* clang-format off */
static const Key keys[] = {
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
    "from die to die along a row, street included; 0: pitch_x_px rules" },
  { "dice", "pitch_y_um", KEY_DOUBLE, AT (dice.pitch_y_um), 0, 0.01, 1e6, "µm", NULL,
    "from die to die down a column, street included; 0: pitch_y_px rules" },
  { "dice", "pitch_x_px", KEY_DOUBLE, AT (dice.pitch_x_px), 0, 8, 1e6, "px", NULL,
    "the same in the image; 0: from pitch_x_um, else found" },
  { "dice", "pitch_y_px", KEY_DOUBLE, AT (dice.pitch_y_px), 0, 8, 1e6, "px", NULL,
    "the same in the image; 0: from pitch_y_um, else found" },
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

  { "reference", "method", KEY_CHOICE, AT (reference.method), 0, 0, 3, "", method_choice,
    "what a place is compared with; auto: the template if there is one, else the neighbouring dice" },
  { "reference", "image", KEY_STRING, AT (reference.image), 0, 0, 0, "", NULL,
    "the template's file, from the current folder" },
  { "reference", "neighbours", KEY_INT, AT (reference.neighbours), 8, 1, NOTCH_MAX_SOURCES, "dice", NULL,
    "how many dice make the reference" },
  { "reference", "shading", KEY_BOOL, AT (reference.shading), 1, SWITCH,
    "take slow changes of brightness for harmless" },
  { "reference", "focus", KEY_BOOL, AT (reference.focus), 1, SWITCH,
    "take changes of focus for harmless" },
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
    "side of the squares that are worked on; no prime factor but 2, 3 and 5" },
  { "detect", "halo_px", KEY_INT, AT (detect.halo_px), 32, 8, 256, "px", NULL,
    "how far tiles overlap" },
  { "detect", "memory_mib", KEY_INT64, AT (detect.memory_mib), 512, 16, 1048576, "MiB", NULL,
    "for the image's rows; changes speed, never results" },
  { "detect", "colour", KEY_CHOICE, AT (detect.colour), -1, -1, 2, "", colour_choice,
    "channel of a colour image to inspect" },

  { "region", "kind", KEY_CHOICE, IN_REGION (exclude), 0, 0, 1, "", kind_choice,
    "care: inspect it with a sensitivity of its own; exclude: leave it out. With a care area, only care areas count" },
  { "region", "x_um", KEY_DOUBLE, IN_REGION (x_um), 0, 0, 1e6, "µm", NULL,
    "left side, from the die's lower left corner" },
  { "region", "y_um", KEY_DOUBLE, IN_REGION (y_um), 0, 0, 1e6, "µm", NULL,
    "lower side, upwards from the die's lower left corner" },
  { "region", "width_um", KEY_DOUBLE, IN_REGION (width_um), 0, 0.001, 1e6, "µm", NULL,
    "size along the row; must be given" },
  { "region", "height_um", KEY_DOUBLE, IN_REGION (height_um), 0, 0.001, 1e6, "µm", NULL,
    "size along the column; must be given" },
  { "region", "sensitivity", KEY_DOUBLE, IN_REGION (sensitivity), 1, 0.01, 100, "", NULL,
    "2 finds defects of half the strength, 0.5 only those of twice" },

  { "classify", "class.", KEY_RULES, AT (classify.rule), 0, 0, 0, "", NULL,
    "an expression over a defect's columns; the first that holds gives the class, else it is \"other\"" },

  { "limits", "defects", KEY_DOUBLE, AT (limits.defects), -1, 0, 1e12, "per image", NULL,
    "an image with more is rejected; -1: no limit" },
  { "limits", "defects_per_die", KEY_DOUBLE, AT (limits.defects_per_die), -1, 0, 1e12, "per die", NULL,
    "an image that has a die with more is rejected; -1: no limit" },
  { "limits", "density_per_cm2", KEY_DOUBLE, AT (limits.density_per_cm2), -1, 0, 1e12, "1/cm²", NULL,
    "an image with more defects an inspected area is rejected; -1: no limit" },
  { "limits", "failed_dice", KEY_DOUBLE, AT (limits.failed_dice), -1, 0, 1e12, "dice", NULL,
    "an image with more dice that differ nearly everywhere, or are blank, is rejected; -1: no limit" },
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

static const char *const groups[][2] = {
  { "wafer", "The wafer and the camera." },
  { "dice", "Where dice are." },
  { "reference", "What a place should look like." },
  { "detect", "What counts as a difference." },
  { "region", "[region NAME], any number: a rectangle in every die." },
  { "classify", "class.NAME = expression, tried in this order." },
  { "limits", "When an image is rejected." },
  { "report", "What is written." },
};

/* In px, for that is what a filter sees, whatever the camera. A scratch is long; a stain is wider than any speck; a
 * pit is dark and no larger than the spot of the optics; other specks are particles, bright or dark, unless they are
 * half bright and half dark, as an edge out of place is. */
static const char *const default_rules[][2] = {
  { "scratch", "elongation > 3 && sqrt (width_px * width_px + height_px * height_px) > 12" },
  { "stain", "scale_px > 4 && line == 0" },
  { "pit", "contrast < 0 && scale_px < 1.2 && bipolarity < 0.5" },
  { "particle", "bipolarity < 0.5" },
};

/* ---- lists ------------------------------------------------------------------------------------------------------- */

static void
free_region (gpointer data)
{
  NotchRegion *region = data;
  g_free (region->name);
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

static void
add_rule (GPtrArray *rules, const char *name, const char *expression)
{
  NotchRule *rule = g_new0 (NotchRule, 1);
  rule->name = g_strdup (name);
  rule->expression = g_strdup (expression);
  g_ptr_array_add (rules, rule);
}

static void
add_class_limit (GPtrArray *limits, const char *name, gint64 most)
{
  NotchClassLimit *limit = g_new0 (NotchClassLimit, 1);
  limit->name = g_strdup (name);
  limit->most = most;
  g_ptr_array_add (limits, limit);
}

static gboolean
in_region (const Key *key)
{
  return strcmp (key->group, "region") == 0;
}

static void
set_default (const Key *key, gpointer base)
{
  gpointer at = G_STRUCT_MEMBER_P (base, key->offset);
  switch (key->type) {
  case KEY_DOUBLE:
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
  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++)
    if (!in_region (&keys[i]))
      set_default (&keys[i], recipe);
  for (gsize i = 0; i < G_N_ELEMENTS (default_rules); i++)
    add_rule (recipe->classify.rule, default_rules[i][0], default_rules[i][1]);
  return recipe;
}

NotchRecipe *
notch_recipe_copy (const NotchRecipe *recipe)
{
  NotchRecipe *copy = g_memdup2 (recipe, sizeof *recipe);
  copy->path = g_strdup (recipe->path);
  copy->reference.image = g_strdup (recipe->reference.image);
  copy->dice.excluded = g_array_copy (recipe->dice.excluded);
  copy->region = g_ptr_array_new_with_free_func (free_region);
  for (guint i = 0; i < recipe->region->len; i++) {
    NotchRegion *region = g_memdup2 (recipe->region->pdata[i], sizeof *region);
    region->name = g_strdup (region->name);
    g_ptr_array_add (copy->region, region);
  }
  copy->classify.rule = g_ptr_array_new_with_free_func (free_rule);
  for (guint i = 0; i < recipe->classify.rule->len; i++) {
    const NotchRule *rule = recipe->classify.rule->pdata[i];
    add_rule (copy->classify.rule, rule->name, rule->expression);
  }
  copy->limits.per_class = g_ptr_array_new_with_free_func (free_class_limit);
  for (guint i = 0; i < recipe->limits.per_class->len; i++) {
    const NotchClassLimit *limit = recipe->limits.per_class->pdata[i];
    add_class_limit (copy->limits.per_class, limit->name, limit->most);
  }
  return copy;
}

void
notch_recipe_free (NotchRecipe *recipe)
{
  if (!recipe)
    return;
  g_free (recipe->path);
  g_free (recipe->reference.image);
  g_array_unref (recipe->dice.excluded);
  g_ptr_array_unref (recipe->region);
  g_ptr_array_unref (recipe->classify.rule);
  g_ptr_array_unref (recipe->limits.per_class);
  g_free (recipe);
}

/* ---- words and numbers ------------------------------------------------------------------------------------------- */

/* The shortest text that gives the same number again; none for NAN. */
static void
append_number (GString *to, double value)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];
  if (isnan (value))
    return;
  if (value == floor (value) && fabs (value) < 1e15) {
    g_string_append (to, g_ascii_formatd (text, sizeof text, "%.0f", value + 0.0));
    return;
  }
  for (int digits = 1; digits <= 17; digits++) {
    char format[8];
    g_snprintf (format, sizeof format, "%%.%dg", digits);
    g_ascii_formatd (text, sizeof text, format, value);
    if (g_ascii_strtod (text, NULL) == value)
      break;
  }
  g_string_append (to, text);
}

/* "true or false", "auto, down, …", "0.1 to 7, default 3": what a key may be. */
static void
append_range (GString *to, const Key *key)
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
  case KEY_STRING:
    g_string_append (to, "a file name, default none");
    break;
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
  case KEY_INT:
  case KEY_INT64:
    append_number (to, key->least);
    g_string_append (to, " to ");
    append_number (to, key->most);
    g_string_append_printf (to, "%s%s, default ", *key->unit ? " " : "", key->unit);
    append_number (to, key->fallback);
    if (isnan (key->fallback))
      g_string_append (to, "empty");
    break;
  }
}

/* Edits (insert, delete, replace) between two words. */
static guint
edit_distance (const char *a, const char *b)
{
  gsize n = strlen (b);
  g_autofree guint *row = g_new (guint, n + 1);
  for (gsize j = 0; j <= n; j++)
    row[j] = (guint) j;
  for (gsize i = 0; a[i]; i++) {
    guint diagonal = row[0];
    row[0] = (guint) i + 1;
    for (gsize j = 0; j < n; j++) {
      guint replace = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = MIN (replace, MIN (row[j], diagonal) + 1);
    }
  }
  return row[n];
}

static gboolean
is_near (guint distance, const char *word)
{
  return distance <= MAX (2, strlen (word) / 3);
}

static gboolean
is_class_name (const char *name)
{
  gsize n = strspn (name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");
  return n > 0 && n <= 64 && name[n] == '\0';
}

/* ---- one assignment ---------------------------------------------------------------------------------------------- */

static const char *
known_group (const char *group)
{
  const char *kind = g_str_has_prefix (group, "region ") ? "region" : group;
  for (gsize i = 0; i < G_N_ELEMENTS (groups); i++)
    if (strcmp (groups[i][0], kind) == 0)
      return groups[i][0];
  return NULL;
}

/* A group that exists: one of the table, or a region with a name. */
static gboolean
check_group (const char *group, GError **error)
{
  if (g_strcmp0 (known_group (group), "region") == 0) {
    if (strlen (group) > strlen ("region ") && !strchr (group, '.'))
      return TRUE;
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE, "[%s]: a region wants a name without dots, [region NAME]",
                 group);
    return FALSE;
  }
  if (known_group (group))
    return TRUE;
  const char *nearest = NULL;
  guint best = G_MAXUINT;
  for (gsize i = 0; i < G_N_ELEMENTS (groups); i++) {
    guint distance = edit_distance (group, groups[i][0]);
    if (distance < best) {
      best = distance;
      nearest = groups[i][0];
    }
  }
  if (is_near (best, group))
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE, "[%s]: there is no such group; did you mean [%s]?", group,
                 nearest);
  else
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE,
                 "[%s]: there is no such group; there are wafer, dice, reference, detect, region NAME, classify, "
                 "limits and report",
                 group);
  return FALSE;
}

static gboolean
has_names (const Key *key)
{
  return key->type == KEY_RULES || key->type == KEY_CLASS_LIMITS;
}

static const Key *
find_key (const char *group, const char *name, GError **error)
{
  const char *kind = known_group (group);
  const Key *nearest = NULL;
  guint best = G_MAXUINT;
  g_autoptr (GString) all = g_string_new (NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++) {
    const Key *key = &keys[i];
    if (strcmp (key->group, kind) != 0)
      continue;
    if (has_names (key) ? g_str_has_prefix (name, key->key) : strcmp (key->key, name) == 0)
      return key;
    g_string_append_printf (all, "%s%s%s", all->len ? ", " : "", key->key, has_names (key) ? "NAME" : "");
    guint distance = has_names (key) ? G_MAXUINT : edit_distance (name, key->key);
    if (distance < best) {
      best = distance;
      nearest = key;
    }
  }
  if (nearest && is_near (best, name))
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE, "[%s] %s: there is no such key; did you mean %s?", group, name,
                 nearest->key);
  else
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE, "[%s] %s: there is no such key; the group has %s", group, name,
                 all->str);
  return NULL;
}

/* The value is wrong; says what it may be. */
static gboolean
refuse (const Key *key, const char *group, const char *name, const char *value, const char *what, GError **error)
{
  g_autoptr (GString) range = g_string_new (NULL);
  append_range (range, key);
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE, "[%s] %s: \"%s\" %s; it may be %s", group, name, value, what,
               range->str);
  return FALSE;
}

static gboolean
parse_number (const char *text, double *value)
{
  char *end = NULL;
  *value = g_ascii_strtod (text, &end);
  return end != text && *end == '\0';
}

static gboolean
parse_pairs (const char *text, const Key *key, GArray *to)
{
  g_array_set_size (to, 0);
  g_auto (GStrv) item = g_strsplit (text, ";", -1);
  for (int i = 0; item[i]; i++) {
    if (*g_strstrip (item[i]) == '\0' && !item[i + 1])
      break; /* a list may end with ';' */
    g_auto (GStrv) number = g_strsplit (item[i], ",", -1);
    if (g_strv_length (number) != 2)
      return FALSE;
    int pair[2];
    for (int k = 0; k < 2; k++) {
      gint64 value = 0;
      if (!g_ascii_string_to_signed (g_strstrip (number[k]), 10, (gint64) key->least, (gint64) key->most, &value, NULL))
        return FALSE;
      pair[k] = (int) value;
    }
    g_array_append_vals (to, pair, 1);
  }
  return TRUE;
}

static void
set_rule (GPtrArray *rules, const char *name, const char *expression)
{
  for (guint i = 0; i < rules->len; i++) {
    NotchRule *rule = rules->pdata[i];
    if (strcmp (rule->name, name) != 0)
      continue;
    if (*expression == '\0') {
      g_ptr_array_remove_index (rules, i);
      return;
    }
    g_free (rule->expression);
    rule->expression = g_strdup (expression);
    return;
  }
  if (*expression)
    add_rule (rules, name, expression);
}

static void
set_class_limit (GPtrArray *limits, const char *name, gint64 most)
{
  for (guint i = 0; i < limits->len; i++) {
    NotchClassLimit *limit = limits->pdata[i];
    if (strcmp (limit->name, name) != 0)
      continue;
    if (most < 0)
      g_ptr_array_remove_index (limits, i);
    else
      limit->most = most;
    return;
  }
  if (most >= 0)
    add_class_limit (limits, name, most);
}

/* The region a group names, made when it is new. */
static NotchRegion *
get_region (NotchRecipe *recipe, const char *group)
{
  const char *name = group + strlen ("region ");
  for (guint i = 0; i < recipe->region->len; i++) {
    NotchRegion *region = recipe->region->pdata[i];
    if (strcmp (region->name, name) == 0)
      return region;
  }
  NotchRegion *region = g_new0 (NotchRegion, 1);
  region->name = g_strdup (name);
  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++)
    if (in_region (&keys[i]))
      set_default (&keys[i], region);
  g_ptr_array_add (recipe->region, region);
  return region;
}

/* Sets [group] name to a value; an empty one is the default. The group exists. */
static gboolean
assign (NotchRecipe *recipe, const char *group, const char *name, const char *text, GError **error)
{
  const Key *key = find_key (group, name, error);
  if (!key)
    return FALSE;
  g_autofree char *value = g_strstrip (g_strdup (text));
  gpointer base = in_region (key) ? (gpointer) get_region (recipe, group) : (gpointer) recipe;
  gpointer at = G_STRUCT_MEMBER_P (base, key->offset);
  const char *class_name = has_names (key) ? name + strlen (key->key) : NULL;
  if (class_name && !is_class_name (class_name)) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE,
                 "[%s] %s: a class's name has 1 to 64 letters, digits, \"_\" and \"-\"", group, name);
    return FALSE;
  }
  if (key->type == KEY_RULES) {
    set_rule (*(GPtrArray **) at, class_name, value);
    return TRUE;
  }
  if (*value == '\0' && key->type == KEY_CLASS_LIMITS) {
    set_class_limit (*(GPtrArray **) at, class_name, -1);
    return TRUE;
  }
  if (*value == '\0') {
    set_default (key, base);
    return TRUE;
  }
  double number = 0;
  switch (key->type) {
  case KEY_DOUBLE:
  case KEY_INT:
  case KEY_INT64:
  case KEY_CLASS_LIMITS: {
    if (!parse_number (value, &number))
      return refuse (key, group, name, value, "is not a number", error);
    gboolean none = key->type == KEY_CLASS_LIMITS ? number == -1 : number == key->fallback;
    if (!none && !(number >= key->least && number <= key->most))
      return refuse (key, group, name, value, "is out of range", error);
    if (key->type != KEY_DOUBLE && number != floor (number))
      return refuse (key, group, name, value, "is not a whole number", error);
    if (key->type == KEY_DOUBLE)
      *(double *) at = number;
    else if (key->type == KEY_INT)
      *(int *) at = (int) number;
    else if (key->type == KEY_INT64)
      *(gint64 *) at = (gint64) number;
    else
      set_class_limit (*(GPtrArray **) at, class_name, (gint64) number);
    return TRUE;
  }
  case KEY_BOOL:
    if (strcmp (value, "true") != 0 && strcmp (value, "false") != 0)
      return refuse (key, group, name, value, "is neither", error);
    *(gboolean *) at = *value == 't';
    return TRUE;
  case KEY_CHOICE:
    for (int i = 0; key->choice[i]; i++)
      if (strcmp (key->choice[i], value) == 0) {
        *(int *) at = (int) key->least + i;
        return TRUE;
      }
    return refuse (key, group, name, value, "is none of its words", error);
  case KEY_STRING:
    g_free (*(char **) at);
    *(char **) at = g_steal_pointer (&value);
    return TRUE;
  case KEY_PAIRS:
    if (!parse_pairs (value, key, *(GArray **) at))
      return refuse (key, group, name, value, "is not such a list", error);
    return TRUE;
  case KEY_RULES:
    break;
  }
  return TRUE;
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

/* Keys that do not fit each other; names the one to change. */
static char *
find_conflict (const NotchRecipe *recipe, const char **group, const char **key)
{
  *group = "detect";
  *key = "tile_px";
  if (!is_smooth (recipe->detect.tile_px))
    return g_strdup_printf ("%d has a prime factor other than 2, 3 and 5; 256, 360, 480, 512, 600, 640, 720, 768, 960 "
                            "and 1024 have none",
                            recipe->detect.tile_px);
  *key = "halo_px";
  if (4 * recipe->detect.halo_px > recipe->detect.tile_px)
    return g_strdup_printf ("%d leaves little of a tile of %d px; it may be at most a quarter of tile_px",
                            recipe->detect.halo_px, recipe->detect.tile_px);
  *key = "largest_px";
  if (recipe->detect.largest_px < recipe->detect.smallest_px)
    return g_strdup ("it is below smallest_px; it may be that or more");
  *group = "dice";
  *key = "pitch_y_px";
  gboolean has_x = recipe->dice.pitch_x_um > 0 || recipe->dice.pitch_x_px > 0;
  gboolean has_y = recipe->dice.pitch_y_um > 0 || recipe->dice.pitch_y_px > 0;
  if (has_x != has_y)
    return g_strdup ("one pitch is given and the other is not; give pitch_x and pitch_y, or neither");
  *group = "report";
  *key = "crop_px";
  if (recipe->report.crop_px > 2 * recipe->detect.halo_px)
    return g_strdup_printf ("%d is more than twice halo_px, which is %d; make it smaller or the halo larger",
                            recipe->report.crop_px, recipe->detect.halo_px);
  for (guint i = 0; i < recipe->region->len; i++) {
    const NotchRegion *region = recipe->region->pdata[i];
    *group = region->name;
    *key = !(region->width_um > 0) ? "width_um" : "height_um";
    if (!(region->width_um > 0) || !(region->height_um > 0))
      return g_strdup ("it must be given, 0.001 to 1000000 (µm)");
  }
  return NULL;
}

gboolean
notch_recipe_check (const NotchRecipe *recipe, GError **error)
{
  const char *group = NULL, *key = NULL;
  g_autofree char *conflict = find_conflict (recipe, &group, &key);
  if (!conflict)
    return TRUE;
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE, "[%s%s] %s: %s", known_group (group) ? "" : "region ", group,
               key, conflict);
  return FALSE;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

typedef struct {
  char *group, *key; /* key NULL: the group's own line */
  int line;          /* from 1 */
} Place;

static void
free_place (gpointer data)
{
  Place *place = data;
  g_free (place->group);
  g_free (place->key);
  g_free (place);
}

/* Where groups and keys stand in the text. NULL with the line in `wrong` where there is no such thing as that line. */
static GPtrArray *
scan_lines (const char *text, int *wrong)
{
  g_autoptr (GPtrArray) places = g_ptr_array_new_with_free_func (free_place);
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  const char *group = NULL;
  for (int i = 0; lines[i]; i++) {
    char *line = g_strstrip (lines[i]);
    if (*line == '\0' || *line == '#')
      continue;
    gboolean is_group = *line == '[';
    char *name = is_group ? line + 1 : line;
    char *end = strchr (name, is_group ? ']' : '=');
    gboolean ok = end && end > name && (is_group ? end[1] == '\0' : group != NULL);
    if (ok)
      *end = '\0';
    if (!ok || strpbrk (g_strchomp (name), "[]")) {
      *wrong = i + 1;
      return NULL;
    }
    if (is_group)
      group = name;
    Place *place = g_new0 (Place, 1);
    place->group = g_strdup (group);
    place->key = is_group ? NULL : g_strdup (name);
    place->line = i + 1;
    g_ptr_array_add (places, place);
  }
  return g_steal_pointer (&places);
}

static int
find_line (const GPtrArray *places, const char *group, const char *key)
{
  int line = 0;
  for (guint i = 0; i < places->len; i++) {
    const Place *place = places->pdata[i];
    const char *name = g_str_has_prefix (place->group, "region ") ? place->group + strlen ("region ") : place->group;
    if (strcmp (name, group) != 0)
      continue;
    if (!place->key)
      line = line ? line : place->line;
    else if (strcmp (place->key, key) == 0)
      return place->line;
  }
  return MAX (line, 1);
}

NotchRecipe *
notch_recipe_parse (const char *text, const char *name, GError **error)
{
  if (!g_utf8_validate (text, -1, NULL)) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE, "%s: it is not UTF-8 text, so it is no recipe", name);
    return NULL;
  }
  int wrong = 0;
  g_autoptr (GPtrArray) places = scan_lines (text, &wrong);
  if (!places) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE,
                 "%s:%d: this is neither \"[group]\", \"key=value\" below a group, nor a comment that begins with #",
                 name, wrong);
    return NULL;
  }
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GError) local = NULL;
  if (*text && !g_key_file_load_from_data (file, text, strlen (text), G_KEY_FILE_NONE, &local)) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE, "%s: %s", name, local->message);
    return NULL;
  }
  g_autoptr (NotchRecipe) recipe = notch_recipe_new ();
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  for (guint i = 0; i < places->len; i++) {
    const Place *place = places->pdata[i];
    gboolean ok = TRUE;
    if (!g_hash_table_add (seen, g_strdup_printf ("%s]%s", place->group, place->key ? place->key : ""))) {
      g_set_error (&local, NOTCH_ERROR, NOTCH_ERROR_RECIPE, "[%s]%s%s: it stands here for the second time; keep one",
                   place->group, place->key ? " " : "", place->key ? place->key : "");
      ok = FALSE;
    } else if (!place->key) {
      ok = check_group (place->group, &local);
      if (ok && strcmp (place->group, "classify") == 0)
        g_ptr_array_set_size (recipe->classify.rule, 0); /* the file's list takes the place of the default one */
      else if (ok && g_str_has_prefix (place->group, "region "))
        get_region (recipe, place->group);
    } else {
      ok = find_key (place->group, place->key, &local) != NULL;
      g_autofree char *value = ok ? g_key_file_get_string (file, place->group, place->key, &local) : NULL;
      ok = value && !local && assign (recipe, place->group, place->key, value, &local);
    }
    if (!ok) {
      g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE, "%s:%d: %s", name, place->line, local->message);
      return NULL;
    }
  }
  const char *group = NULL, *key = NULL;
  g_autofree char *conflict = find_conflict (recipe, &group, &key);
  if (conflict) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE, "%s:%d: [%s%s] %s: %s", name, find_line (places, group, key),
                 known_group (group) ? "" : "region ", group, key, conflict);
    return NULL;
  }
  return g_steal_pointer (&recipe);
}

NotchRecipe *
notch_recipe_load (const char *path, GError **error)
{
  g_autofree char *text = NULL;
  gsize n = 0;
  g_autoptr (GError) local = NULL;
  if (!g_file_get_contents (path, &text, &n, &local)) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                 "%s: the recipe cannot be read (%s); check the name and its permissions", path,
                 g_access (path, R_OK) != 0 ? g_strerror (errno) : local->message);
    return NULL;
  }
  if (memchr (text, '\0', n)) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE, "%s: it is not text, so it is no recipe", path);
    return NULL;
  }
  NotchRecipe *recipe = notch_recipe_parse (text, path, error);
  if (!recipe)
    return NULL;
  recipe->path = g_strdup (path);
  /* A recipe and its template travel together: the name counts from the recipe's folder. */
  if (recipe->reference.image && *recipe->reference.image) {
    g_autofree char *folder = g_path_get_dirname (path), *from = g_canonicalize_filename (folder, NULL);
    g_autofree char *given = g_steal_pointer (&recipe->reference.image);
    recipe->reference.image = g_canonicalize_filename (given, from);
  }
  return recipe;
}

gboolean
notch_recipe_set (NotchRecipe *recipe, const char *assignment, GError **error)
{
  const char *equals = strchr (assignment, '=');
  g_autofree char *left = g_strndup (assignment, equals ? (gsize) (equals - assignment) : 0);
  g_strstrip (left);
  /* A region's name may hold anything but a dot, a class's name none: the first dot ends the group. */
  char *dot = strchr (left, '.');
  if (!equals || !dot || dot == left || dot[1] == '\0') {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE, "\"%s\": this is not group.key=value", assignment);
    return FALSE;
  }
  *dot = '\0';
  if (check_group (left, error) && assign (recipe, left, dot + 1, equals + 1, error))
    return TRUE;
  g_prefix_error (error, "\"%s\": ", assignment);
  return FALSE;
}

static void
append_comment (GString *to, const Key *key)
{
  g_string_append_printf (to, "# %s%s%s (", has_names (key) ? key->key : "", has_names (key) ? "NAME: " : "",
                          key->summary);
  append_range (to, key);
  g_string_append (to, ")\n");
}

static void
append_string (GString *to, const char *name, const char *value)
{
  g_autoptr (GKeyFile) file = g_key_file_new (); /* knows how to write blanks and backslashes */
  g_key_file_set_string (file, "group", "key", value);
  g_autofree char *raw = g_key_file_get_value (file, "group", "key", NULL);
  g_string_append_printf (to, "%s=%s\n", name, raw);
}

static void
append_value (GString *to, const Key *key, gconstpointer base)
{
  gconstpointer at = G_STRUCT_MEMBER_P (base, key->offset);
  if (key->type == KEY_RULES) {
    const GPtrArray *rules = *(GPtrArray *const *) at;
    for (guint i = 0; i < rules->len; i++) {
      const NotchRule *rule = rules->pdata[i];
      g_autofree char *name = g_strconcat (key->key, rule->name, NULL);
      append_string (to, name, rule->expression);
    }
    return;
  }
  if (key->type == KEY_CLASS_LIMITS) {
    const GPtrArray *limits = *(GPtrArray *const *) at;
    for (guint i = 0; i < limits->len; i++) {
      const NotchClassLimit *limit = limits->pdata[i];
      g_string_append_printf (to, "%s%s=%" G_GINT64_FORMAT "\n", key->key, limit->name, limit->most);
    }
    return;
  }
  if (key->type == KEY_STRING) {
    const char *value = *(char *const *) at;
    append_string (to, key->key, value ? value : "");
    return;
  }
  g_string_append_printf (to, "%s=", key->key);
  switch (key->type) {
  case KEY_DOUBLE:
    append_number (to, *(const double *) at);
    break;
  case KEY_INT:
    g_string_append_printf (to, "%d", *(const int *) at);
    break;
  case KEY_INT64:
    g_string_append_printf (to, "%" G_GINT64_FORMAT, *(const gint64 *) at);
    break;
  case KEY_BOOL:
    g_string_append (to, *(const gboolean *) at ? "true" : "false");
    break;
  case KEY_CHOICE:
    g_string_append (to, key->choice[*(const int *) at - (int) key->least]);
    break;
  case KEY_PAIRS: {
    const GArray *pairs = *(GArray *const *) at;
    for (guint i = 0; i < pairs->len; i++) {
      const int *pair = (const int *) (gconstpointer) pairs->data + 2 * i;
      g_string_append_printf (to, "%s%d,%d", i ? ";" : "", pair[0], pair[1]);
    }
    break;
  }
  case KEY_STRING:
  case KEY_RULES:
  case KEY_CLASS_LIMITS:
    break;
  }
  g_string_append_c (to, '\n');
}

/* The regions there are; without one, what one would look like. */
static void
append_regions (GString *to, const NotchRecipe *recipe)
{
  for (guint i = 0; i < MAX (1, recipe->region->len); i++) {
    const NotchRegion *region = recipe->region->len ? recipe->region->pdata[i] : NULL;
    g_string_append_printf (to, "\n%s[region %s]\n", region ? "" : "#", region ? region->name : "NAME");
    for (gsize k = 0; k < G_N_ELEMENTS (keys); k++) {
      if (!in_region (&keys[k]))
        continue;
      append_comment (to, &keys[k]);
      if (region)
        append_value (to, &keys[k], region);
      else
        g_string_append_printf (to, "#%s=\n", keys[k].key);
    }
  }
}

char *
notch_recipe_to_string (const NotchRecipe *recipe)
{
  GString *to = g_string_new ("# A recipe of notch. Every key is here; notch-recipe(5) tells more.\n");
  for (gsize g = 0; g < G_N_ELEMENTS (groups); g++) {
    g_string_append_printf (to, "\n# %s\n", groups[g][1]);
    if (strcmp (groups[g][0], "region") == 0) {
      append_regions (to, recipe);
      continue;
    }
    g_string_append_printf (to, "[%s]\n", groups[g][0]);
    for (gsize i = 0; i < G_N_ELEMENTS (keys); i++)
      if (strcmp (keys[i].group, groups[g][0]) == 0) {
        append_comment (to, &keys[i]);
        append_value (to, &keys[i], recipe);
      }
  }
  return g_string_free (to, FALSE);
}

gboolean
notch_recipe_save (const NotchRecipe *recipe, const char *path, GError **error)
{
  g_autofree char *text = notch_recipe_to_string (recipe);
  g_autoptr (GError) local = NULL;
  if (g_file_set_contents (path, text, -1, &local)) /* writes aside and renames */
    return TRUE;
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_WRITE, "%s: the recipe cannot be written: %s", path, local->message);
  return FALSE;
}

/* Text for man (7): backslashes and hyphens are special there. */
static void
append_roff (GString *to, const char *text)
{
  for (const char *p = text; *p; p++)
    if (*p == '-')
      g_string_append (to, "\\-");
    else if (*p == '\\')
      g_string_append (to, "\\e");
    else
      g_string_append_c (to, *p);
}

char *
notch_recipe_describe (void)
{
  GString *to = g_string_new (NULL);
  for (gsize g = 0; g < G_N_ELEMENTS (groups); g++) {
    gboolean region = strcmp (groups[g][0], "region") == 0;
    g_string_append_printf (to, ".SS [%s%s]\n%s\n", groups[g][0], region ? " NAME" : "", groups[g][1]);
    for (gsize i = 0; i < G_N_ELEMENTS (keys); i++) {
      const Key *key = &keys[i];
      if (strcmp (key->group, groups[g][0]) != 0)
        continue;
      g_autoptr (GString) range = g_string_new (NULL);
      append_range (range, key);
      g_string_append_printf (to, ".TP\n.BR %s%s\n", key->key, has_names (key) ? " NAME" : "");
      append_roff (to, key->summary);
      g_string_append (to, ".\nMay be ");
      append_roff (to, range->str);
      g_string_append (to, ".\n");
    }
    if (strcmp (groups[g][0], "classify") == 0) {
      g_string_append (to, ".PP\nThe default list:\n.PP\n.nf\n");
      for (gsize i = 0; i < G_N_ELEMENTS (default_rules); i++) {
        g_string_append_printf (to, "class.%s = ", default_rules[i][0]);
        append_roff (to, default_rules[i][1]);
        g_string_append_c (to, '\n');
      }
      g_string_append (to, ".fi\n");
    }
  }
  return g_string_free (to, FALSE);
}
