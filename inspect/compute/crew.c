/* crew.c - threads, lanes and a bounded queue */
#include "inspect/compute/crew.h"

typedef struct {
  NotchCrewWork work;
  gpointer task;
} Job;

/* What waits for one device. */
typedef struct {
  GQueue waiting; /* Job, twice the lanes; more while another device has nothing to do */
  int lanes;
} Desk;

struct NotchCrew {
  const NotchKernels *kernels;
  int n, batch, n_desks;
  NotchLane **lane;
  GThread **thread;
  GMutex lock;
  GCond changed; /* a job came, went or ended */
  Desk desk[NOTCH_MAX_DEVICES];
  int n_waiting, working;
  int making; /* lanes */
  gboolean over, given_up;
  GError *error; /* the first one */
};

typedef struct {
  NotchCrew *crew;
  NotchLane **lane; /* to make and to work on */
  NotchDevice *device;
  Desk *desk;
  const NotchLaneSize *size;
} Worker;

/* Filters take time to make, so every worker makes its own lane. */
static void
make_lane (const Worker *worker)
{
  NotchCrew *crew = worker->crew;
  NotchFault fault = { 0 };
  NotchLane *lane = crew->kernels->lane_new (worker->device, worker->size, &fault);
  g_mutex_lock (&crew->lock);
  *worker->lane = lane;
  if (!lane && !crew->error)
    notch_fault_error (&fault, crew->kernels->name, &crew->error);
  crew->making--;
  g_cond_broadcast (&crew->changed);
  g_mutex_unlock (&crew->lock);
}

static gpointer
work_off (gpointer data)
{
  Worker *worker = data;
  NotchCrew *crew = worker->crew;
  make_lane (worker);
  g_mutex_lock (&crew->lock);
  for (;;) {
    while (!crew->over && g_queue_is_empty (&worker->desk->waiting))
      g_cond_wait (&crew->changed, &crew->lock);
    g_autofree Job *job = g_queue_pop_head (&worker->desk->waiting);
    if (!job)
      break;
    NotchLane *lane = crew->given_up ? NULL : *worker->lane;
    crew->n_waiting--;
    crew->working++;
    g_cond_broadcast (&crew->changed);
    g_mutex_unlock (&crew->lock);
    g_autoptr (GError) error = NULL;
    gboolean well = job->work (lane, job->task, &error);
    g_mutex_lock (&crew->lock);
    crew->working--;
    if (!well && lane) {
      crew->given_up = TRUE;
      if (!crew->error)
        crew->error = g_steal_pointer (&error);
    }
    g_cond_broadcast (&crew->changed);
  }
  g_mutex_unlock (&crew->lock);
  g_free (worker);
  return NULL;
}

/* A crew whose lanes are of this very size. */
static NotchCrew *
make_crew (const NotchCompute *compute, const NotchLaneSize *size, GError **error)
{
  g_autoptr (NotchCrew) crew = g_new0 (NotchCrew, 1);
  g_mutex_init (&crew->lock);
  g_cond_init (&crew->changed);
  crew->kernels = compute->kernels;
  crew->batch = size->batch;
  crew->n_desks = compute->n_devices;
  for (int d = 0; d < crew->n_desks; d++) {
    g_queue_init (&crew->desk[d].waiting);
    crew->n += crew->desk[d].lanes = compute->kernels->workers (compute->device[d], compute->jobs);
  }
  crew->lane = g_new0 (NotchLane *, crew->n);
  crew->thread = g_new0 (GThread *, crew->n);
  crew->making = crew->n;
  for (int d = 0, i = 0; d < crew->n_desks; d++)
    for (int k = 0; k < crew->desk[d].lanes; k++, i++) {
      Worker *worker = g_new (Worker, 1);
      *worker = (Worker){ crew, &crew->lane[i], compute->device[d], &crew->desk[d], size };
      crew->thread[i] = g_thread_try_new ("notch-lane", work_off, worker, error);
      if (!crew->thread[i]) {
        g_free (worker);
        g_prefix_error (error, "a worker thread could not be started: ");
        crew->n = i;
        return NULL;
      }
    }
  g_mutex_lock (&crew->lock);
  while (crew->making > 0)
    g_cond_wait (&crew->changed, &crew->lock);
  GError *fault = g_steal_pointer (&crew->error);
  g_mutex_unlock (&crew->lock);
  if (fault) {
    g_propagate_error (error, fault);
    return NULL;
  }
  return g_steal_pointer (&crew);
}

NotchCrew *
notch_crew_new (const NotchCompute *compute, const NotchLaneSize *size, GError **error)
{
  for (NotchLaneSize smaller = *size;; smaller.batch /= 2) {
    g_autoptr (GError) fault = NULL;
    NotchCrew *crew = make_crew (compute, &smaller, &fault);
    if (crew)
      return crew;
    if (smaller.batch < 2 || !g_error_matches (fault, NOTCH_ERROR, NOTCH_ERROR_DEVICE_FULL)) {
      g_propagate_error (error, g_steal_pointer (&fault));
      return NULL;
    }
  }
}

/* Whether nothing waits for some device: who waits for the others meanwhile lets it stand idle. */
static gboolean
one_is_idle (const NotchCrew *crew)
{
  for (int d = 0; d < crew->n_desks; d++)
    if (crew->desk[d].waiting.length == 0)
      return TRUE;
  return FALSE;
}

gboolean
notch_crew_push (NotchCrew *crew, int device, NotchCrewWork work, gpointer task)
{
  Desk *desk = &crew->desk[device];
  g_mutex_lock (&crew->lock);
  while (!crew->given_up && desk->waiting.length >= (guint) (2 * desk->lanes) && !one_is_idle (crew))
    g_cond_wait (&crew->changed, &crew->lock);
  gboolean well = !crew->given_up;
  if (well) {
    Job *job = g_new (Job, 1);
    *job = (Job){ work, task };
    g_queue_push_tail (&desk->waiting, job);
    crew->n_waiting++;
    g_cond_broadcast (&crew->changed);
  }
  g_mutex_unlock (&crew->lock);
  if (!well)
    work (NULL, task, NULL);
  return well;
}

gboolean
notch_crew_wait (NotchCrew *crew, GError **error)
{
  g_mutex_lock (&crew->lock);
  while (crew->working > 0 || crew->n_waiting > 0)
    g_cond_wait (&crew->changed, &crew->lock);
  gboolean well = !crew->given_up;
  if (!well && crew->error)
    g_propagate_error (error, g_error_copy (crew->error));
  g_mutex_unlock (&crew->lock);
  return well;
}

void
notch_crew_cancel (NotchCrew *crew)
{
  g_mutex_lock (&crew->lock);
  crew->given_up = TRUE;
  if (!crew->error)
    crew->error = g_error_new_literal (NOTCH_ERROR, NOTCH_ERROR_CANCELLED, "interrupted");
  g_cond_broadcast (&crew->changed);
  g_mutex_unlock (&crew->lock);
}

int
notch_crew_size (const NotchCrew *crew)
{
  return crew->n;
}

int
notch_crew_batch (const NotchCrew *crew)
{
  return crew->batch;
}

void
notch_crew_free (NotchCrew *crew)
{
  if (!crew)
    return;
  g_mutex_lock (&crew->lock);
  crew->over = TRUE;
  g_cond_broadcast (&crew->changed);
  g_mutex_unlock (&crew->lock);
  for (int i = 0; i < crew->n; i++)
    if (crew->thread[i])
      g_thread_join (crew->thread[i]);
  for (int i = 0; i < crew->n; i++)
    if (crew->lane[i])
      crew->kernels->lane_free (crew->lane[i]);
  g_free (crew->lane);
  g_free (crew->thread);
  g_clear_error (&crew->error);
  g_mutex_clear (&crew->lock);
  g_cond_clear (&crew->changed);
  g_free (crew);
}

gboolean
notch_kernels_error (const NotchKernels *kernels, NotchLane *lane, GError **error)
{
  return notch_fault_error (kernels->fault (lane), kernels->name, error);
}
