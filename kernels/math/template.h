/* template.h - how alike two filters' templates are, and what one therefore sees of the other's find */
#pragma once

#include "kernels/kernels.h"
#include "kernels/math/fn.h"
#include "kernels/math/noise.h"

/* Squared distance, in the spreads of two templates together, at which one sees nothing more of the other's find. */
#define NOTCH_TEMPLATE_END 18.0f

/* A template taken for a Gaussian: its spreads, and the direction of the longer one. */
typedef struct {
  float along, across; /* px */
  float flat;          /* px: so far along a line's answer to a speck is one and the same */
  float ux, uy;
  float coarse; /* px: a response that is computed on some pixels only stands for those up to so far away */
  bool line;    /* of a scratch, not of a speck */
} NotchTemplate;

/* A line is taken for a Gaussian of the same second moment. Host only: made once a filter. */
static inline NotchTemplate
notch_template_of (const NotchChannel *c)
{
  NotchTemplate t = { c->sigma, c->sigma, 0, 1, 0, (float) (c->decimate / 2), c->kind == NOTCH_CHANNEL_LINE };
  if (t.line) {
    t.along = c->length / sqrtf (3.0f);
    t.flat = c->length;
    t.ux = cosf (c->angle), t.uy = sinf (c->angle);
  }
  return t;
}

/* Variance of a template in the direction (x, y), a unit vector. */
NOTCH_FN float
notch_template_variance (const NotchTemplate *t, float x, float y)
{
  float along = x * t->ux + y * t->uy, across = y * t->ux - x * t->uy;
  return t->along * t->along * along * along + t->across * t->across * across * across;
}

/* Around a strong small defect the filters that are wider, or longer, respond, too: skirts, and rays like those of a star.
 * What a template `own` can see at (dx, dy) px from a peak of 1 sigma that the template `of` gave is the correlation of the
 * two; 0 where `own` is not wider than `of` in one direction at least. It is let fall off half as fast as that of two
 * Gaussians would, for all of them have lobes, and along a line only beyond its end. */
NOTCH_FN float
notch_template_skirt (const NotchTemplate *own, const NotchTemplate *of, float dx, float dy)
{
  float turn = own->ux * of->ux + own->uy * of->uy; /* a line along another one is the same scratch, not its skirt */
  if (own->flat > 0.0f && of->flat > 0.0f && turn * turn > 0.75f)
    return 0.0f;
  float along = notch_template_variance (of, own->ux, own->uy),
        across = notch_template_variance (of, -own->uy, own->ux);
  if (own->along * own->along <= 1.7f * along && own->across * own->across <= 1.7f * across)
    return 0.0f;
  /* The sum of both covariances, along x and y. */
  float own_xx = notch_template_variance (own, 1.0f, 0.0f), own_yy = notch_template_variance (own, 0.0f, 1.0f);
  float of_xx = notch_template_variance (of, 1.0f, 0.0f), of_yy = notch_template_variance (of, 0.0f, 1.0f);
  float xx = own_xx + of_xx, yy = own_yy + of_yy;
  float xy = own->ux * own->uy * (own->along * own->along - own->across * own->across)
             + of->ux * of->uy * (of->along * of->along - of->across * of->across);
  float det = xx * yy - xy * xy, ahead = dx * own->ux + dy * own->uy, aside = dy * own->ux - dx * own->uy;
  float coarse = own->coarse + of->coarse, end = own->flat + coarse; /* both may have been seen so much nearer */
  ahead = notch_noise_beyond (ahead, -end, end), aside = notch_noise_beyond (aside, -coarse, coarse);
  dx = ahead * own->ux - aside * own->uy, dy = ahead * own->uy + aside * own->ux;
  float q = (yy * dx * dx - 2.0f * xy * dx * dy + xx * dy * dy) / det;
  float likeness = 2.0f * sqrtf (own->along * own->across * of->along * of->across / det);
  return q < NOTCH_TEMPLATE_END ? likeness * expf (-0.25f * q) : 0.0f;
}

/* Is a response no more than what peaks around explain? `seen` is the sum of their skirts, sigmas; a quarter and two
 * sigmas are allowed for the templates' shapes and the noise. */
NOTCH_FN bool
notch_template_explains (float seen, float score)
{
  return seen > 0.0f && score <= 1.25f * seen + 2.0f;
}
