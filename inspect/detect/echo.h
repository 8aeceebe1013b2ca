/* echo.h - what is no find of its own, but the answer to a stronger defect */
#pragma once

#include "inspect/detect/pipeline.h"

/* Drops what the recipe's polarity leaves out, and the echoes of strong defects: lobes and skirts of the matched filters
 * beside them, ghosts in the dice that are compared with theirs. What is below the threshold is dropped more readily, for
 * it proves nothing by itself. Blobs keep their order. */
void notch_echo_drop (NotchFound *found, const NotchPlan *plan);
