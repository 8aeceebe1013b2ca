/* keys.h - the table of a recipe's keys, for recipe.c, recipe-read.c and recipe-write.c */
#pragma once

#include "inspect/wafer/recipe.h"

typedef enum {
  KEY_DOUBLE,
  KEY_WHOLE, /* a double that is a whole number */
  KEY_INT,
  KEY_INT64,
  KEY_BOOL,
  KEY_CHOICE, /* an int, `least` + the index in `choice` */
  KEY_STRING,
  KEY_PAIRS,       /* GArray of int pairs */
  KEY_RULES,       /* GPtrArray of NotchRule, key is a prefix before the class's name */
  KEY_CLASS_LIMITS /* GPtrArray of NotchClassLimit, likewise */
} NotchKeyType;

/* `fallback` is legal even where it is not in the range: it stands for "found" or "none", and so does NAN, which is
 * written as nothing. */
typedef struct {
  const char *group, *key;
  NotchKeyType type;
  gsize offset; /* in NotchRecipe, or in NotchRegion for the group "region" */
  double fallback, least, most;
  const char *unit;
  const char *const *choice;
  const char *summary;
} NotchKey;

extern const NotchKey notch_keys[];
extern const char *const notch_key_groups[][2];    /* name, what it is about */
extern const char *const notch_default_rules[][2]; /* class, expression */
extern const gsize notch_n_keys, notch_n_key_groups, notch_n_default_rules;

gboolean notch_key_in_region (const NotchKey *key);
/* Is it a prefix before names? */
gboolean notch_key_has_names (const NotchKey *key);
/* Writes the default into a NotchRecipe or, for a key of a region, a NotchRegion. */
void notch_key_set_default (const NotchKey *key, gpointer base);
/* "true or false", "auto, down, …", "0.1 to 7, default 3": what a key may be. */
void notch_key_append_range (GString *to, const NotchKey *key);

void notch_recipe_add_rule (GPtrArray *rules, const char *name, const char *expression);
void notch_recipe_add_class_limit (GPtrArray *limits, const char *name, gint64 most);
/* Where a group or, with a key, that key was given is remembered for messages that come later; takes `place` over. */
void notch_recipe_set_place (NotchRecipe *recipe, const char *group, const char *key, char *place);
