/* inspect.h - one image, from its file to its results */
#pragma once

#include "inspect/classify/classes.h"
#include "inspect/detect/pipeline.h"
#include "inspect/detect/result.h"

/* What an image leaves behind: its results, and what the reports still draw from. */
typedef struct {
  NotchSource *source;
  NotchStore *store;
  NotchRecipe *recipe; /* as used */
  NotchResult *result;
  gboolean patches; /* wanted of all defects, up to thousands, not of those with a picture only */
} NotchInspection;

void notch_inspection_free (NotchInspection *inspection);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchInspection, notch_inspection_free)

/* Opened and ready: the size is known, nothing is computed yet. `recipe` is copied. */
NotchInspection *notch_inspection_open (const char *path, int page, const NotchRecipe *recipe, int jobs,
                                        GError **error);
/* The same of a source that is open already, which it takes. */
NotchInspection *notch_inspection_new (NotchSource *source, const NotchRecipe *recipe, int jobs);

/* Told what is being done, and how far it is (0 to 1); FALSE cancels. */
typedef gboolean (*NotchInspectStep) (const char *step, double done, gpointer data);

/* Surveys, inspects, measures and classifies; `inspection->result` is whole but for the reports' time. */
gboolean notch_inspection_run (NotchInspection *inspection, const NotchCompute *compute, const NotchClasses *classes,
                               gboolean fast, NotchInspectStep step, gpointer data, GError **error);
