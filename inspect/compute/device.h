/* device.h - which backend computes, and on which of its devices
 *
 * The CPU backend is linked in. A GPU's is a module, notch-cuda.so, that is opened when it is first asked for, so that
 * the program itself starts on machines without a driver. It is looked for in the folder NOTCH_MODULES alone where that
 * is set in the environment; else in ../lib/notch from the program, for an installation may be moved as a whole; where notch
 * was installed; beside the program; and in its build tree. */
#pragma once

#include "inspect/notch.h"
#include "kernels/kernels.h"

/* More cards than this of one machine are left alone. */
enum { NOTCH_MAX_DEVICES = 16 };

/* The devices that compute, all of one backend. */
typedef struct {
  const NotchKernels *kernels;
  int n_devices; /* at least 1, until one is left out */
  NotchDevice *device[NOTCH_MAX_DEVICES];
  int jobs;      /* CPU threads, at least 1 */
  int n_spoiled; /* devices behind those that compute: they do not any more, and wait for being closed */
} NotchCompute;

/* Opens at most `most` devices by name: "auto" or NULL takes every GPU that works, else the CPU; "cpu"; "cuda" is every GPU
 * that works; "cuda:N", from 0, that one. A GPU works when it finds a known answer. jobs of 0 are one a core. `why`, if not
 * NULL, receives one line that says what was taken and, for "auto", why not a GPU; free it. FALSE with NOTCH_ERROR_USAGE
 * for a name that means nothing, NOTCH_ERROR_DEVICE for a GPU that was asked for and does not work. */
gboolean notch_compute_open (NotchCompute *compute, const char *name, int most, int jobs, char **why, GError **error);
void notch_compute_close (NotchCompute *compute);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (NotchCompute, notch_compute_close)
/* Leaves out the devices that an error has spoiled, with what they hold, until all are closed. How many these are. */
int notch_compute_leave_out (NotchCompute *compute);
/* "cuda: " and what each device is; free it. */
char *notch_compute_describe (const NotchCompute *compute);
/* Turns what went wrong into a GError, "who: what": NOTCH_ERROR_DEVICE_FULL where it was for want of memory, else
 * NOTCH_ERROR_DEVICE; the one place where kernels' errors become ours. Always FALSE. */
gboolean notch_fault_error (const NotchFault *fault, const char *who, GError **error);
/* Adds the way out to an error that is for want of a GPU's memory, where nothing else is asked to do the work. Always FALSE. */
gboolean notch_compute_advise (const NotchCompute *compute, GError **error);
/* CPU threads: those of `compute`, which may be NULL, or where it does not say one a processor. */
static inline int
notch_compute_jobs (const NotchCompute *compute)
{
  return compute && compute->jobs > 0 ? compute->jobs : (int) g_get_num_processors ();
}
/* Tiles that a lane on any of the devices takes at once. */
int notch_compute_batch (const NotchCompute *compute);
