/* template.h - how alike two filters' templates are, and what one therefore sees of the other's find */
#pragma once

#include "kernels/kernels.h"
#include "kernels/math/fn.h"

/* Spreads of a filter's template along and across, px: a line is taken for a Gaussian of the same second moment. */
NOTCH_FN void
notch_template_spread (const NotchChannel *c, float *along, float *across)
{
  *along = c->kind == NOTCH_CHANNEL_LINE ? c->length / sqrtf (3.0f) : c->sigma;
  *across = c->sigma;
}

/* Around a strong small defect the wide filters respond, too. That skirt is what a template much wider than the peak's can
 * see of it: at most the correlation of the two templates, taken for Gaussians with common axes, times the peak, and not
 * further away than both reach. A quarter and two sigmas are allowed for the templates' shapes and the noise. `score` is
 * the response of filter `own`, (dx, dy) px from a peak of `peak` sigmas that filter `of` gave. */
NOTCH_FN bool
notch_template_skirt (const NotchChannel *own, float score, const NotchChannel *of, float peak, float dx, float dy)
{
  float a, b, peak_a, peak_b;
  notch_template_spread (own, &a, &b);
  notch_template_spread (of, &peak_a, &peak_b);
  float reach2 = a * a + peak_a * peak_a;
  float likeness = sqrtf (4.0f * a * peak_a * b * peak_b / (reach2 * (b * b + peak_b * peak_b)));
  return a * b > 1.5f * peak_a * peak_b && dx * dx + dy * dy <= 9.0f * reach2
         && score <= 1.25f * likeness * peak + 2.0f;
}
