/* care.c - see care.h */
#include "inspect/wafer/care.h"

#include "inspect/wafer/coords.h"

#include <math.h>

/* A film may end just where the exclusion does, the wafer's edge is found to a thousandth of its radius, and optics blur: so
 * much more than the exclusion is left out, a part of the radius, and px. */
#define RIM       0.003
#define LEAST_RIM 4

/* Sensitivity of a point of a die: the strictest exclusion wins, then the last care area that holds it. With care areas
 * in the recipe, what lies in none of them is not inspected. */
static float
sensitivity_at (const NotchRecipe *recipe, double x_um, double y_um, gboolean any_care)
{
  float value = any_care ? 0 : 1;
  for (guint i = 0; i < recipe->region->len; i++) {
    const NotchRegion *region = recipe->region->pdata[i];
    if (x_um < region->x_um || y_um < region->y_um || x_um >= region->x_um + region->width_um
        || y_um >= region->y_um + region->height_um)
      continue;
    if (region->exclude)
      return 0;
    value = (float) region->sensitivity;
  }
  return value;
}

NotchCare
notch_care_new (const NotchPlan *plan)
{
  NotchCare care = { .plan = plan };
  for (guint i = 0; i < plan->recipe->region->len; i++)
    care.any_care |= !((const NotchRegion *) plan->recipe->region->pdata[i])->exclude;
  if (plan->outline.radius > 0)
    care.radius = plan->outline.radius - notch_outline_exclusion (&plan->outline, plan->recipe, plan->pixel_um)
                  - MAX (LEAST_RIM, RIM * plan->outline.radius);
  return care;
}

float
notch_care_at (const NotchCare *care, double x, double y)
{
  const NotchPlan *plan = care->plan;
  if (care->radius > 0 && hypot (x - plan->outline.x, y - plan->outline.y) > care->radius)
    return 0;
  if (plan->recipe->region->len == 0)
    return 1;
  double x_um = x * plan->pixel_um, y_um = ((double) plan->source->height - 1 - y) * plan->pixel_um;
  const NotchDie *die = plan->grid ? notch_grid_locate (plan->grid, x, y) : NULL;
  if (die)
    notch_die_to_um (plan->grid, die, plan->pixel_um, x, y, &x_um, &y_um);
  return sensitivity_at (plan->recipe, x_um, y_um, care->any_care);
}
