/* verify.c - is a recipe right? Everything that can be said without an image. */
#include "inspect/classify/limits.h"
#include "inspect/classify/rules.h"
#include "inspect/reference/reference.h"
#include "inspect/wafer/regions.h"

gboolean
notch_recipe_verify (const NotchRecipe *recipe, GError **error)
{
  if (!notch_recipe_check (recipe, error))
    return FALSE;
  g_autoptr (NotchRules) rules = notch_rules_new (recipe, error);
  if (!rules)
    return FALSE;
  g_autoptr (GPtrArray) names = notch_rules_class_names (rules);
  g_autoptr (NotchRegions) regions = notch_regions_load (recipe, error);
  return regions && notch_reference_check (recipe, FALSE, error) && notch_limits_check (recipe, names, error);
}
