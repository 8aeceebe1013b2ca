/* recipe-read.c - from text to a recipe
 *
 * GKeyFile reads the values; it tells no line numbers, so a scan of the same text finds where every key stands and
 * drives the reading in the file's order. */
#include "inspect/wafer/keys.h"

#include <math.h>
#include <string.h>

#include "inspect/ini.h"
#include "inspect/text.h"

/* ---- words ------------------------------------------------------------------------------------------------------- */

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
  for (gsize i = 0; i < notch_n_key_groups; i++)
    if (strcmp (notch_key_groups[i][0], kind) == 0)
      return notch_key_groups[i][0];
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
  for (gsize i = 0; i < notch_n_key_groups; i++) {
    guint distance = notch_edit_distance (group, notch_key_groups[i][0]);
    if (distance < best) {
      best = distance;
      nearest = notch_key_groups[i][0];
    }
  }
  if (notch_is_near (best, group))
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE, "[%s]: there is no such group; did you mean [%s]?", group,
                 nearest);
  else
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE,
                 "[%s]: there is no such group; there are wafer, dice, reference, detect, region NAME, classify, "
                 "limits and report",
                 group);
  return FALSE;
}

static const NotchKey *
find_key (const char *group, const char *name, GError **error)
{
  const char *kind = known_group (group);
  const NotchKey *nearest = NULL;
  guint best = G_MAXUINT;
  g_autoptr (GString) all = g_string_new (NULL);
  for (gsize i = 0; i < notch_n_keys; i++) {
    const NotchKey *key = &notch_keys[i];
    if (strcmp (key->group, kind) != 0)
      continue;
    if (notch_key_has_names (key) ? g_str_has_prefix (name, key->key) : strcmp (key->key, name) == 0)
      return key;
    g_string_append_printf (all, "%s%s%s", all->len ? ", " : "", key->key, notch_key_has_names (key) ? "NAME" : "");
    guint distance = notch_key_has_names (key) ? G_MAXUINT : notch_edit_distance (name, key->key);
    if (distance < best) {
      best = distance;
      nearest = key;
    }
  }
  if (nearest && notch_is_near (best, name))
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE, "[%s] %s: there is no such key; did you mean %s?", group, name,
                 nearest->key);
  else
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE, "[%s] %s: there is no such key; the group has %s", group, name,
                 all->str);
  return NULL;
}

gboolean
notch_recipe_allows (const char *group, const char *key, double value)
{
  const NotchKey *known = find_key (group, key, NULL);
  return known && value >= known->least && value <= known->most;
}

/* The value is wrong; says what it may be. */
static gboolean
refuse (const NotchKey *key, const char *group, const char *name, const char *value, const char *what, GError **error)
{
  g_autoptr (GString) range = g_string_new (NULL);
  notch_key_append_range (range, key);
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
parse_pairs (const char *text, const NotchKey *key, GArray *to)
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
    notch_recipe_add_rule (rules, name, expression);
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
    notch_recipe_add_class_limit (limits, name, most);
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
  for (gsize i = 0; i < notch_n_keys; i++)
    if (notch_key_in_region (&notch_keys[i]))
      notch_key_set_default (&notch_keys[i], region);
  g_ptr_array_add (recipe->region, region);
  return region;
}

/* Sets [group] name to a value; an empty one is the default. The group exists. */
static gboolean
assign (NotchRecipe *recipe, const char *group, const char *name, const char *text, GError **error)
{
  const NotchKey *key = find_key (group, name, error);
  if (!key)
    return FALSE;
  g_autofree char *value = g_strstrip (g_strdup (text));
  gpointer base = notch_key_in_region (key) ? (gpointer) get_region (recipe, group) : (gpointer) recipe;
  gpointer at = G_STRUCT_MEMBER_P (base, key->offset);
  const char *class_name = notch_key_has_names (key) ? name + strlen (key->key) : NULL;
  if (class_name && !is_class_name (class_name)) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE,
                 "[%s] %s: a class's name has 1 to 64 letters, digits, \"_\" and \"-\"", group, name);
    return FALSE;
  }
  if (key->type == KEY_RULES) {
    /* rules of one's own take the place of a model that nobody named */
    if (!g_hash_table_contains (recipe->place, "classify]model"))
      g_clear_pointer (&recipe->classify.model, g_free);
    set_rule (*(GPtrArray **) at, class_name, value);
    return TRUE;
  }
  if (*value == '\0' && key->type == KEY_CLASS_LIMITS) {
    set_class_limit (*(GPtrArray **) at, class_name, -1);
    return TRUE;
  }
  if (*value == '\0') {
    notch_key_set_default (key, base);
    return TRUE;
  }
  double number = 0;
  switch (key->type) {
  case KEY_DOUBLE:
  case KEY_WHOLE:
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
    if (key->type == KEY_DOUBLE || key->type == KEY_WHOLE)
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

/* ---- files ------------------------------------------------------------------------------------------------------- */

NotchRecipe *
notch_recipe_parse (const char *text, const char *name, GError **error)
{
  if (!g_utf8_validate (text, -1, NULL)) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE, "%s: it is not UTF-8 text, so it is no recipe", name);
    return NULL;
  }
  text += g_str_has_prefix (text, "\xef\xbb\xbf") ? 3 : 0; /* a byte order mark, as some editors write */
  g_autoptr (GPtrArray) places = notch_ini_scan (text, name, error);
  if (!places)
    return NULL;
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GError) local = NULL;
  if (*text && !g_key_file_load_from_data (file, text, strlen (text), G_KEY_FILE_NONE, &local)) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE, "%s: %s", name, local->message);
    return NULL;
  }
  g_autoptr (NotchRecipe) recipe = notch_recipe_new ();
  recipe->path = g_strdup (name);
  for (guint i = 0; i < places->len; i++) {
    const NotchIniLine *place = places->pdata[i];
    gboolean ok = TRUE;
    g_autofree char *key = g_strdup_printf ("%s]%s", place->group, place->key ? place->key : "");
    if (g_hash_table_contains (recipe->place, key)) {
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
    notch_recipe_set_place (recipe, place->group, place->key, g_strdup_printf ("%s:%d", name, place->line));
  }
  return notch_recipe_check (recipe, error) ? g_steal_pointer (&recipe) : NULL;
}

/* A recipe and its references travel together: their names count from the recipe's folder. */
static void
resolve (char **name, const char *recipe_path)
{
  if (!*name || !**name)
    return;
  g_autofree char *folder = g_path_get_dirname (recipe_path), *from = g_canonicalize_filename (folder, NULL);
  g_autofree char *given = g_steal_pointer (name);
  *name = g_canonicalize_filename (given, from);
}

static void
resolve_model (char **name, const char *recipe_path)
{
  if (g_strcmp0 (*name, NOTCH_MODEL_SHIPPED) != 0)
    resolve (name, recipe_path);
}

NotchRecipe *
notch_recipe_load (const char *path, GError **error)
{
  g_autofree char *text = notch_text_load (path, "a recipe", error);
  NotchRecipe *recipe = text ? notch_recipe_parse (text, path, error) : NULL;
  if (!recipe)
    return NULL;
  resolve (&recipe->reference.image, path);
  resolve (&recipe->reference.golden, path);
  resolve_model (&recipe->classify.model, path);
  resolve_model (&recipe->classify.signature_model, path);
  for (guint i = 0; i < recipe->region->len; i++) {
    NotchRegion *region = recipe->region->pdata[i];
    resolve (&region->mask, path);
    resolve (&region->polygons, path);
  }
  return recipe;
}

gboolean
notch_recipe_set (NotchRecipe *recipe, const char *assignment, GError **error)
{
  g_autofree char *option = g_strdup_printf ("--set %s", assignment);
  return notch_recipe_set_by (recipe, option, assignment, error);
}

gboolean
notch_recipe_set_by (NotchRecipe *recipe, const char *option, const char *assignment, GError **error)
{
  const char *equals = strchr (assignment, '=');
  g_autofree char *left = g_strndup (assignment, equals ? (gsize) (equals - assignment) : 0);
  g_strstrip (left);
  /* A region's name may hold anything but a dot, a class's name none: the first dot ends the group. */
  char *dot = strchr (left, '.');
  if (!equals || !dot || dot == left || dot[1] == '\0') {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE, "%s: this is not group.key=value", option);
    return FALSE;
  }
  *dot = '\0';
  if (!check_group (left, error) || !assign (recipe, left, dot + 1, equals + 1, error)) {
    g_prefix_error (error, "%s: ", option);
    return FALSE;
  }
  /* Messages about other keys of the group may well come from this change. */
  notch_recipe_set_place (recipe, left, dot + 1, g_strdup (option));
  notch_recipe_set_place (recipe, left, NULL, g_strdup (option));
  return TRUE;
}
