/* device.h - which backend computes, and on which of its devices
 *
 * The CPU backend is linked in. A GPU's is a module, notch-cuda.so, that is opened when it is first asked for, so that
 * the program itself starts on machines without a driver. It is looked for in the folder NOTCH_MODULES alone where that
 * is set in the environment; else where notch was installed, then beside the program and in its build tree. */
#pragma once

#include "inspect/notch.h"
#include "kernels/kernels.h"

/* A device that is open, and how many threads may work for it. */
typedef struct {
  const NotchKernels *kernels;
  NotchDevice *device;
  int jobs;
} NotchCompute;

/* Chooses by name: "auto" or NULL takes the first GPU that opens, else the CPU; "cpu"; "cuda" is "cuda:0"; "cuda:N"
 * from 0. `index` is what to give to the backend's open. `why`, if not NULL, receives one line that says what was taken
 * and, for "auto", why not a GPU; free it. Returns static memory, or NULL with NOTCH_ERROR_USAGE for a name that means
 * nothing, NOTCH_ERROR_DEVICE for a GPU that was asked for and does not work. */
const NotchKernels *notch_device_choose (const char *name, int *index, char **why, GError **error);
