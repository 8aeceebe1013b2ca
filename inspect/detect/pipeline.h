/* pipeline.h - the second pass: follow the plan over every tile, join what was found */
#pragma once

#include "inspect/detect/survey.h"

/* Called from the thread that runs the pass; FALSE cancels it. done: 0 to 1. */
typedef gboolean (*NotchStepFunc) (double done, gpointer data);

typedef struct {
  GArray *blob;      /* NotchJoined, owned */
  GArray *candidate; /* likewise: what peaks below the threshold, but above the recipe's candidate_sigma; or NULL */
  gint64 inspected_px;
  gint64 lost_px;       /* no numbers, or without any to compare with */
  gint64 swamped_tiles; /* tiles that differ everywhere: their blobs are one */
} NotchFound;

gboolean notch_pipeline_run (const NotchPlan *plan, const NotchReference *reference, const NotchCompute *compute,
                             NotchStepFunc step, gpointer data, NotchFound *found, GError **error);
