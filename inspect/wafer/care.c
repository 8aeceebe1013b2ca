/* care.c - see care.h */
#include "inspect/wafer/care.h"

#include "inspect/wafer/coords.h"

#include <math.h>

/* A film may end just where the exclusion does, the wafer's edge is found to a thousandth of its radius, and optics blur: so
 * much more than the exclusion is left out, a part of the radius, and px. */
#define RIM       0.003
#define LEAST_RIM 4

NotchCare
notch_care_new (const NotchPlan *plan)
{
  NotchCare care = { .plan = plan, .regions = plan->regions };
  if (plan->outline.radius > 0)
    care.radius = plan->outline.radius - notch_outline_exclusion (&plan->outline, plan->recipe, plan->pixel_um)
                  - MAX (LEAST_RIM, RIM * plan->outline.radius);
  return care;
}

void
notch_care_row (const NotchCare *care, double x, double y, int n, float *weight)
{
  const NotchPlan *plan = care->plan;
  if (care->regions)
    notch_regions_row (care->regions, x, y, n, weight);
  for (int i = 0; i < n; i++) {
    gboolean beyond = care->radius > 0 && hypot (x + i - plan->outline.x, y - plan->outline.y) > care->radius;
    float sensitivity = beyond ? 0 : care->regions ? weight[i] : 1;
    weight[i] = plan->keenest > 0 ? (float) (sensitivity / plan->keenest) : sensitivity;
  }
}

float
notch_care_at (const NotchCare *care, double x, double y)
{
  float weight;
  notch_care_row (care, x, y, 1, &weight);
  return weight;
}
