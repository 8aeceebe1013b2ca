/* sign.h - what defects say together: scratches in pieces, clusters, repeaters */
#pragma once

#include "inspect/detect/features.h"
#include "inspect/detect/pipeline.h"
#include "inspect/detect/result.h"

/* Before blobs become defects: links the pieces of scratches, with the help of candidates. What candidates add to the
 * false alarms is a tenth of what the recipe allows. */
void notch_sign_blobs (NotchFound *found, const NotchPlan *plan, const NotchFeatureContext *context);

/* Once the result has its defects and its grid: fills its lists of clusters and repeaters and the defects' columns. */
void notch_sign_defects (NotchResult *result, const NotchPlan *plan);
