/* recipe-write.c - from a recipe to text, and its table as a man page */
#include "inspect/wafer/keys.h"

#include <string.h>

#include "inspect/image/write.h"
#include "inspect/text.h"

static void
append_comment (GString *to, const NotchKey *key)
{
  g_string_append_printf (to, "# %s%s%s (", notch_key_has_names (key) ? key->key : "",
                          notch_key_has_names (key) ? "NAME: " : "", key->summary);
  notch_key_append_range (to, key);
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
append_value (GString *to, const NotchKey *key, gconstpointer base)
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
  case KEY_WHOLE:
    notch_append_shortest (to, *(const double *) at);
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
    for (gsize k = 0; k < notch_n_keys; k++) {
      if (!notch_key_in_region (&notch_keys[k]))
        continue;
      append_comment (to, &notch_keys[k]);
      if (region)
        append_value (to, &notch_keys[k], region);
      else
        g_string_append_printf (to, "#%s=\n", notch_keys[k].key);
    }
  }
}

char *
notch_recipe_to_string (const NotchRecipe *recipe)
{
  GString *to = g_string_new ("# A recipe of notch. Every key is here; notch-recipe(5) tells more.\n");
  for (gsize g = 0; g < notch_n_key_groups; g++) {
    g_string_append_printf (to, "\n# %s\n", notch_key_groups[g][1]);
    if (strcmp (notch_key_groups[g][0], "region") == 0) {
      append_regions (to, recipe);
      continue;
    }
    g_string_append_printf (to, "[%s]\n", notch_key_groups[g][0]);
    for (gsize i = 0; i < notch_n_keys; i++)
      if (strcmp (notch_keys[i].group, notch_key_groups[g][0]) == 0) {
        append_comment (to, &notch_keys[i]);
        append_value (to, &notch_keys[i], recipe);
      }
  }
  return g_string_free (to, FALSE);
}

gboolean
notch_recipe_save (const NotchRecipe *recipe, const char *path, GError **error)
{
  g_autofree char *text = notch_recipe_to_string (recipe);
  return notch_write_file (path, text, -1, error);
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
  for (gsize g = 0; g < notch_n_key_groups; g++) {
    gboolean region = strcmp (notch_key_groups[g][0], "region") == 0;
    g_string_append_printf (to, ".SS [%s%s]\n%s\n", notch_key_groups[g][0], region ? " NAME" : "",
                            notch_key_groups[g][1]);
    for (gsize i = 0; i < notch_n_keys; i++) {
      const NotchKey *key = &notch_keys[i];
      if (strcmp (key->group, notch_key_groups[g][0]) != 0)
        continue;
      g_autoptr (GString) range = g_string_new (NULL);
      notch_key_append_range (range, key);
      g_string_append_printf (to, ".TP\n.BR %s%s\n", key->key, notch_key_has_names (key) ? " NAME" : "");
      append_roff (to, key->summary);
      g_string_append (to, ".\nMay be ");
      append_roff (to, range->str);
      g_string_append (to, ".\n");
    }
    if (strcmp (notch_key_groups[g][0], "classify") == 0) {
      g_string_append (to, ".PP\nThe default list:\n.PP\n.nf\n");
      for (gsize i = 0; i < notch_n_default_rules; i++) {
        g_string_append_printf (to, "class.%s = ", notch_default_rules[i][0]);
        append_roff (to, notch_default_rules[i][1]);
        g_string_append_c (to, '\n');
      }
      g_string_append (to, ".fi\n");
    }
  }
  return g_string_free (to, FALSE);
}
