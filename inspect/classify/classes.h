/* classes.h - which class a defect is, and a wafer: by the recipe's model, or without one by its rules */
#pragma once

#include "inspect/classify/classifier.h"
#include "inspect/classify/rules.h"

typedef struct {
  NotchRules *rules;       /* NULL with a model */
  NotchTrained *trained;   /* NULL with rules */
  NotchTrained *signature; /* of wafer maps, or NULL */
  GPtrArray *profile; /* NotchHistogram, of what the model learned from (known.h); NULL: rules, or it does not know */
  GPtrArray *name;    /* char *: of the rules, "other" last; or of the model, "unknown" last */
} NotchClasses;

/* Loads the recipe's models where it names them, without one of defects compiles its rules; the recipe is not kept. */
NotchClasses *notch_classes_new (const NotchRecipe *recipe, GError **error);
void notch_classes_free (NotchClasses *classes);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchClasses, notch_classes_free)
/* A copy of the names, owned by the caller. */
GPtrArray *notch_classes_names (const NotchClasses *classes);

/* What is said of a defect. */
typedef struct {
  int class_index; /* into `name` */
  double confidence;
  gboolean nuisance; /* flagged, and not left out */
} NotchCall;

/* Gives n defects class, confidence and flag. A model sees values as defects.csv has them, and so says the same of them
 * later. FALSE where memory or a device for its classifier does not do. */
gboolean notch_classes_assign (const NotchClasses *classes, NotchDefect *defect, guint n, int patch_side,
                               const NotchCompute *compute, GError **error);
/* Likewise of examples; with a model. */
gboolean notch_classes_assign_examples (const NotchClasses *classes, const NotchExample *example, guint n,
                                        int patch_side, const NotchCompute *compute, NotchCall *call, GError **error);

/* How far n classified defects are from what the model learned from: NotchDrift, a list that owns the names; NULL where that
 * is not known. */
GArray *notch_classes_drift (const NotchClasses *classes, const NotchDefect *defect, guint n);
GArray *notch_classes_drift_examples (const NotchClasses *classes, const NotchExample *example, const int *class_index,
                                      guint n);
