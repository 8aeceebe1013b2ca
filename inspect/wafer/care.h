/* care.h - which places of an image are inspected, and how sensitively */
#pragma once

#include "inspect/wafer/plan.h"

typedef struct {
  const NotchPlan *plan;
  const NotchRegions *regions; /* the plan's; NULL: none count */
  double radius;               /* px: of what is inspected of the wafer; 0: no edge is known */
} NotchCare;
NotchCare notch_care_new (const NotchPlan *plan);
/* The weight of a place, which is its sensitivity in units of the plan's keenest: 0 beyond the edge exclusion and where the
 * recipe's regions exclude it. Whether the place has anything to be compared with is another matter. */
float notch_care_at (const NotchCare *care, double x, double y);
/* The same for n places (x, y), (x + 1, y), …. */
void notch_care_row (const NotchCare *care, double x, double y, int n, float *weight);
