/* care.h - which places of an image are inspected, and how sensitively */
#pragma once

#include "inspect/wafer/plan.h"

typedef struct {
  const NotchPlan *plan;
  double radius; /* px: of what is inspected of the wafer; 0: no edge is known */
  gboolean any_care;
} NotchCare;
NotchCare notch_care_new (const NotchPlan *plan);
/* The sensitivity at a place: 0 beyond the edge exclusion and where the recipe's regions exclude it. Whether the place has
 * anything to be compared with is another matter. */
float notch_care_at (const NotchCare *care, double x, double y);
