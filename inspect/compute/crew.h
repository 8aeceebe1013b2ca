/* crew.h - the one worker loop: lanes of one or several devices, a thread each, that work off tasks
 *
 * The survey's registration, the noise samples and the inspection are all tasks of it. push waits while enough tasks are
 * waiting already, so that whoever makes tasks never runs ahead of memory. */
#pragma once

#include "inspect/compute/device.h"

typedef struct NotchCrew NotchCrew;

/* Does one task on a lane; called from a worker thread, which owns the lane meanwhile. Frees the task in any case: when
 * `lane` is NULL the run was given up and freeing is all there is to do. */
typedef gboolean (*NotchCrewWork) (NotchLane *lane, gpointer task, GError **error);

/* Where a device has no room for lanes of so many tiles, their number is halved until all have; NULL with
 * NOTCH_ERROR_DEVICE_FULL when there is none for one. */
NotchCrew *notch_crew_new (const NotchCompute *compute, const NotchLaneSize *size, GError **error);
/* A task for the lanes of compute->device[device], which holds the strips that the task reads. FALSE when the crew has given
 * up; the task is freed all the same. */
gboolean notch_crew_push (NotchCrew *crew, int device, NotchCrewWork work, gpointer task);
/* Waits until every task is done. FALSE with the first error. */
gboolean notch_crew_wait (NotchCrew *crew, GError **error);
/* Ends the run from outside: waiting tasks are freed undone, wait reports NOTCH_ERROR_CANCELLED. */
void notch_crew_cancel (NotchCrew *crew);
int notch_crew_size (const NotchCrew *crew);
/* Tiles that a lane of it takes at once. */
int notch_crew_batch (const NotchCrew *crew);
void notch_crew_free (NotchCrew *crew);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchCrew, notch_crew_free)

/* The GError of a lane's fault (notch_fault_error). Always FALSE. */
gboolean notch_kernels_error (const NotchKernels *kernels, NotchLane *lane, GError **error);
