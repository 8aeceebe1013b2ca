/* verify.c - is a recipe right? Everything that can be said without an image. */
#include "inspect/classify/classes.h"
#include "inspect/classify/limits.h"
#include "inspect/reference/reference.h"
#include "inspect/wafer/regions.h"

gboolean
notch_recipe_verify (const NotchRecipe *recipe, GError **error)
{
  if (!notch_recipe_check (recipe, error))
    return FALSE;
  g_autoptr (NotchClasses) classes = notch_classes_new (recipe, error);
  if (!classes)
    return FALSE;
  g_autoptr (NotchRegions) regions = notch_regions_load (recipe, error);
  return regions && notch_reference_check (recipe, FALSE, error) && notch_limits_check (recipe, classes->name, error);
}
