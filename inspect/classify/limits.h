/* limits.h - is an image good enough? */
#pragma once

#include "inspect/detect/result.h"

/* Whether every class that the recipe limits is one of class_names (char *). The error names those there are. */
gboolean notch_limits_check (const NotchRecipe *recipe, const GPtrArray *class_names, GError **error);

/* The index of a class that is limited; the error names the place of the limit and the classes that there are. */
gboolean notch_limits_find_class (const GPtrArray *class_names, const char *name, const char *place, guint *index,
                                  GError **error);

/* Fills verdict, and adds a line to `reason` for every limit of the recipe that is exceeded: NOTCH_VERDICT_REJECT. A limit
 * that cannot be judged (a density without a pixel size, dice where there are none, drift without a model) must not pass
 * unseen: NOTCH_VERDICT_TROUBLE, with the reason. An image that is in trouble already is left alone. */
void notch_limits_judge (NotchResult *result);

/* Does a reason say that a limit cannot be judged? */
gboolean notch_limits_unjudged (const char *reason);
/* Why an image whose largest drift is an index of a column is rejected, or, with NULL, cannot be judged; NULL where `most`
 * (below 0: no limit) allows it. */
char *notch_limits_drift_reason (const char *column, double most, double index);
/* Why an image with n defects of a class is rejected, or NULL where `most` (below 0: no limit) allows them. */
char *notch_limits_class_reason (const char *name, gint64 most, gint64 n);
