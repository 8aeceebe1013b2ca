/* check.h - does a device compute what the processors do? */
#pragma once

#include "inspect/notch.h"
#include "kernels/kernels.h"

/* Takes a small image with two defects through every stage of a device, and through those of the CPU. TRUE: they find the
 * same, within what two orders of a sum may differ by; FALSE and why not, which is to be freed. */
gboolean notch_device_computes (const NotchKernels *kernels, NotchDevice *device, char **why);
