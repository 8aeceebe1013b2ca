/* crew.c - the worker loop: every task once, the first error, cancelling, and nobody's task lost */
#include "inspect/compute/crew.h"

#define N_TASKS 1000

/* What all tasks of a test write to. */
typedef struct {
  int begun[N_TASKS], freed[N_TASKS]; /* atomic, of every task */
  int pushed, over;                   /* atomic: pushes that began, tasks that ended */
  int most_under_way;                 /* pushed and not over; -1: not looked at */
  int fails;                          /* the first task that fails; -1: none */
  GMutex lock;                        /* guards what follows */
  GCond changed;
  GHashTable *thread_of; /* lane to thread */
  gboolean closed;       /* tasks wait while it is */
  int waiting;           /* tasks that do */
} Yard;

typedef struct {
  Yard *yard;
  int number;
} Task;

static void
yard_open (Yard *yard)
{
  *yard = (Yard){ .most_under_way = -1, .fails = -1, .thread_of = g_hash_table_new (NULL, NULL) };
  g_mutex_init (&yard->lock);
  g_cond_init (&yard->changed);
}

/* Closes a yard whose tasks 0 to n - 1 were each freed once, and no other. */
static void
yard_close (Yard *yard, int n)
{
  for (int i = 0; i < N_TASKS; i++)
    g_assert_cmpint (yard->freed[i], ==, i < n);
  g_hash_table_unref (yard->thread_of);
  g_mutex_clear (&yard->lock);
  g_cond_clear (&yard->changed);
}

static int
count_begun (const Yard *yard)
{
  int n = 0;
  for (int i = 0; i < N_TASKS; i++)
    n += yard->begun[i];
  return n;
}

static gboolean
work (NotchLane *lane, gpointer data, GError **error)
{
  g_autofree Task *task = data;
  Yard *yard = task->yard;
  g_atomic_int_inc (&yard->freed[task->number]);
  if (!lane)
    return FALSE;
  g_atomic_int_inc (&yard->begun[task->number]);
  if (yard->most_under_way >= 0) {
    int over = g_atomic_int_get (&yard->over); /* before pushed, so that the difference errs on the large side */
    g_assert_cmpint (g_atomic_int_get (&yard->pushed) - over, <=, yard->most_under_way);
  }
  g_mutex_lock (&yard->lock);
  GThread *owner = g_hash_table_lookup (yard->thread_of, lane);
  g_assert_true (!owner || owner == g_thread_self ());
  g_hash_table_insert (yard->thread_of, lane, g_thread_self ());
  yard->waiting++;
  g_cond_broadcast (&yard->changed);
  while (yard->closed)
    g_cond_wait (&yard->changed, &yard->lock);
  yard->waiting--;
  g_mutex_unlock (&yard->lock);
  g_atomic_int_inc (&yard->over);
  if (yard->fails < 0 || task->number < yard->fails)
    return TRUE;
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT, "task %d", task->number);
  return FALSE;
}

static gboolean
push (NotchCrew *crew, Yard *yard, int number)
{
  Task *task = g_new (Task, 1);
  *task = (Task){ yard, number };
  g_atomic_int_inc (&yard->pushed);
  return notch_crew_push (crew, 0, work, task);
}

static void
await_waiting (Yard *yard, int n)
{
  g_mutex_lock (&yard->lock);
  while (yard->waiting < n)
    g_cond_wait (&yard->changed, &yard->lock);
  g_mutex_unlock (&yard->lock);
}

static void
open_gate (Yard *yard)
{
  g_mutex_lock (&yard->lock);
  yard->closed = FALSE;
  g_cond_broadcast (&yard->changed);
  g_mutex_unlock (&yard->lock);
}

static const NotchLaneSize lane_size = { .batch = 1, .size = 16, .halo = 2, .max_blobs = 1, .patch_side = 1 };

static NotchDevice *
open_device (void)
{
  NotchFault fault = { 0 };
  NotchDevice *device = notch_kernels_cpu.open (0, &fault);
  g_assert_cmpstr (fault.text, ==, "");
  return device;
}

static NotchCrew *
crew_of (NotchDevice *device, int n)
{
  g_autoptr (GError) error = NULL;
  const NotchCompute compute = { .kernels = &notch_kernels_cpu, .n_devices = 1, .device = { device }, .jobs = n };
  NotchCrew *crew = notch_crew_new (&compute, &lane_size, &error);
  g_assert_no_error (error);
  g_assert_cmpint (notch_crew_size (crew), ==, n);
  return crew;
}

/* Every task is done once, a lane belongs to one thread, and nobody runs ahead: at most twice as many tasks as workers
 * wait, one is being pushed, and each worker has one. Two rounds, as a crew may be waited for and go on. */
static void
test_once (gconstpointer workers)
{
  int n = GPOINTER_TO_INT (workers);
  NotchDevice *device = open_device ();
  NotchCrew *crew = crew_of (device, n);
  g_autoptr (GError) error = NULL;
  Yard yard;
  yard_open (&yard);
  yard.most_under_way = 3 * n + 1;
  for (int round = 0; round < 2; round++) {
    for (int i = round * N_TASKS / 2; i < (round + 1) * N_TASKS / 2; i++)
      g_assert_true (push (crew, &yard, i));
    g_assert_true (notch_crew_wait (crew, &error));
    g_assert_no_error (error);
    g_assert_cmpint (count_begun (&yard), ==, (round + 1) * N_TASKS / 2);
  }
  g_assert_cmpint (g_hash_table_size (yard.thread_of), <=, n);
  yard_close (&yard, N_TASKS);
  notch_crew_free (crew);
  notch_kernels_cpu.close (device);
}

/* As many tasks as there are workers are under way at the same time. */
static void
test_together (void)
{
  NotchDevice *device = open_device ();
  NotchCrew *crew = crew_of (device, 4);
  Yard yard;
  yard_open (&yard);
  yard.closed = TRUE;
  for (int i = 0; i < 4; i++)
    g_assert_true (push (crew, &yard, i));
  await_waiting (&yard, 4);
  g_assert_cmpint (g_hash_table_size (yard.thread_of), ==, 4);
  open_gate (&yard);
  g_assert_true (notch_crew_wait (crew, NULL));
  yard_close (&yard, 4);
  notch_crew_free (crew);
  notch_kernels_cpu.close (device);
}

/* Freed without waiting, a crew first works off what it was given. */
static void
test_free (void)
{
  NotchDevice *device = open_device ();
  NotchCrew *crew = crew_of (device, 4);
  Yard yard;
  yard_open (&yard);
  for (int i = 0; i < 50; i++)
    g_assert_true (push (crew, &yard, i));
  notch_crew_free (crew);
  g_assert_cmpint (count_begun (&yard), ==, 50);
  yard_close (&yard, 50);
  notch_kernels_cpu.close (device);
}

/* With one worker the order is known: nothing after the task that failed is done. */
static void
test_error (void)
{
  NotchDevice *device = open_device ();
  NotchCrew *crew = crew_of (device, 1);
  g_autoptr (GError) error = NULL;
  Yard yard;
  yard_open (&yard);
  yard.fails = 5;
  gboolean went = TRUE;
  for (int i = 0; i < N_TASKS; i++)
    went = push (crew, &yard, i);
  g_assert_false (went);
  g_assert_false (notch_crew_wait (crew, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT);
  g_assert_cmpstr (error->message, ==, "task 5");
  g_assert_cmpint (count_begun (&yard), ==, 6);
  g_assert_false (notch_crew_wait (crew, NULL)); /* it stays given up */
  yard_close (&yard, N_TASKS);
  notch_crew_free (crew);
  notch_kernels_cpu.close (device);
}

/* All workers fail at the same time: one error is told, none leaks, and cancelling does not hide it. */
static void
test_errors (void)
{
  NotchDevice *device = open_device ();
  NotchCrew *crew = crew_of (device, 4);
  g_autoptr (GError) error = NULL;
  Yard yard;
  yard_open (&yard);
  yard.fails = 0;
  yard.closed = TRUE;
  for (int i = 0; i < 8; i++)
    g_assert_true (push (crew, &yard, i));
  await_waiting (&yard, 4);
  open_gate (&yard);
  g_assert_false (notch_crew_wait (crew, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT);
  g_clear_error (&error);
  notch_crew_cancel (crew);
  g_assert_false (notch_crew_wait (crew, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT);
  yard_close (&yard, 8);
  notch_crew_free (crew);
  notch_kernels_cpu.close (device);
}

static void
test_cancel (void)
{
  NotchDevice *device = open_device ();
  NotchCrew *crew = crew_of (device, 1);
  g_autoptr (GError) error = NULL;
  Yard yard;
  yard_open (&yard);
  yard.closed = TRUE;
  for (int i = 0; i < 3; i++)
    g_assert_true (push (crew, &yard, i));
  await_waiting (&yard, 1);
  notch_crew_cancel (crew);
  open_gate (&yard); /* what is under way is done, what waits is not */
  g_assert_false (notch_crew_wait (crew, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_CANCELLED);
  g_assert_cmpint (count_begun (&yard), ==, 1);
  g_assert_false (push (crew, &yard, 3));
  g_assert_cmpint (yard.freed[3], ==, 1);
  g_assert_cmpint (count_begun (&yard), ==, 1);
  yard_close (&yard, 4);
  notch_crew_free (crew);
  notch_kernels_cpu.close (device);
}

static gpointer
cancel_later (gpointer crew)
{
  notch_crew_cancel (crew);
  return NULL;
}

/* A push that waits for room is woken by cancelling: the worker is held, so that room never comes. */
static void
test_cancel_wakes (void)
{
  NotchDevice *device = open_device ();
  NotchCrew *crew = crew_of (device, 1);
  Yard yard;
  yard_open (&yard);
  yard.closed = TRUE;
  g_assert_true (push (crew, &yard, 0));
  await_waiting (&yard, 1);
  g_assert_true (push (crew, &yard, 1));
  g_assert_true (push (crew, &yard, 2));
  GThread *thread = g_thread_new ("cancel", cancel_later, crew);
  g_assert_false (push (crew, &yard, 3));
  g_thread_join (thread);
  open_gate (&yard);
  g_assert_false (notch_crew_wait (crew, NULL));
  yard_close (&yard, 4);
  notch_crew_free (crew);
  notch_kernels_cpu.close (device);
}

static void
test_no_lane (void)
{
  NotchDevice *device = open_device ();
  g_autoptr (GError) error = NULL;
  const NotchChannel odd = { NOTCH_CHANNEL_BLOB, 1, 0, 0, 3, 1 };
  NotchLaneSize size = lane_size;
  size.n_channels = 1, size.channel = &odd;
  const NotchCompute compute = { .kernels = &notch_kernels_cpu, .n_devices = 1, .device = { device }, .jobs = 4 };
  g_assert_null (notch_crew_new (&compute, &size, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_DEVICE);
  g_assert_true (g_str_has_prefix (error->message, "cpu: a filter cannot be reduced 3 times"));
  notch_kernels_cpu.close (device);
}

/* ---- several devices ------------------------------------------------------------------------------------------- */

enum { N_LANES = 2 };
static NotchDevice *machine[2];
static int made[2];                    /* lanes */
static NotchLane *lane_of[2][N_LANES]; /* of each device */
static GMutex making;

static NotchLane *
noted_lane_new (NotchDevice *device, const NotchLaneSize *size, NotchFault *fault)
{
  NotchLane *lane = notch_kernels_cpu.lane_new (device, size, fault);
  int d = device == machine[1];
  g_mutex_lock (&making);
  g_assert_cmpint (made[d], <, N_LANES);
  lane_of[d][made[d]++] = lane;
  g_mutex_unlock (&making);
  return lane;
}

typedef struct {
  Yard *yard;
  int number, device;
} Placed;

/* A task on a lane of its own device. */
static gboolean
work_placed (NotchLane *lane, gpointer data, GError **error)
{
  Placed *placed = data;
  g_assert_true (lane == lane_of[placed->device][0] || lane == lane_of[placed->device][1]);
  Task *task = g_new (Task, 1);
  *task = (Task){ placed->yard, placed->number };
  g_free (placed);
  return work (lane, task, error);
}

static gboolean
push_placed (NotchCrew *crew, Yard *yard, int number, int device)
{
  Placed *placed = g_new (Placed, 1);
  *placed = (Placed){ yard, number, device };
  return notch_crew_push (crew, device, work_placed, placed);
}

/* Tasks are done by lanes of the device that holds their strips, and a device that is busy keeps nobody from giving another
 * one work: with all lanes of the first held, far more tasks than its queue has room for are taken as long as the second
 * has none. */
static void
test_devices (void)
{
  static NotchKernels noted;
  noted = notch_kernels_cpu;
  noted.lane_new = noted_lane_new;
  machine[0] = open_device (), machine[1] = open_device ();
  const NotchCompute compute = {
    .kernels = &noted, .n_devices = 2, .device = { machine[0], machine[1] }, .jobs = N_LANES
  };
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchCrew) crew = notch_crew_new (&compute, &lane_size, &error);
  g_assert_no_error (error);
  g_assert_cmpint (notch_crew_size (crew), ==, 2 * N_LANES);
  g_assert_cmpint (made[0] + made[1], ==, 2 * N_LANES);
  Yard yard;
  yard_open (&yard);
  yard.closed = TRUE;
  for (int i = 0; i < 40; i++)
    g_assert_true (push_placed (crew, &yard, i, 0));
  await_waiting (&yard, N_LANES);
  open_gate (&yard);
  for (int i = 40; i < N_TASKS; i++)
    g_assert_true (push_placed (crew, &yard, i, i / 7 % 2));
  g_assert_true (notch_crew_wait (crew, &error));
  g_assert_no_error (error);
  g_assert_cmpint (count_begun (&yard), ==, N_TASKS);
  yard_close (&yard, N_TASKS);
  g_clear_pointer (&crew, notch_crew_free);
  notch_kernels_cpu.close (machine[0]);
  notch_kernels_cpu.close (machine[1]);
}

/* A lane of a device that has room for three tiles. */
static NotchLane *
small_lane_new (NotchDevice *device, const NotchLaneSize *size, NotchFault *fault)
{
  *fault = (NotchFault){ "out of memory", true };
  return size->batch > 3 ? NULL : notch_kernels_cpu.lane_new (device, size, fault);
}

/* Batches are halved until lanes have room. */
static void
test_halved (void)
{
  static NotchKernels small;
  static const struct {
    int wanted, had;
  } batch[] = { { 1, 1 }, { 3, 3 }, { 4, 2 }, { 16, 2 }, { 15, 3 } };
  small = notch_kernels_cpu;
  small.lane_new = small_lane_new;
  NotchDevice *device = open_device ();
  for (gsize i = 0; i < G_N_ELEMENTS (batch); i++) {
    g_autoptr (GError) error = NULL;
    NotchLaneSize size = lane_size;
    size.batch = batch[i].wanted;
    const NotchCompute compute = { .kernels = &small, .n_devices = 1, .device = { device }, .jobs = 2 };
    g_autoptr (NotchCrew) crew = notch_crew_new (&compute, &size, &error);
    g_assert_no_error (error);
    g_assert_cmpint (notch_crew_batch (crew), ==, batch[i].had);
  }
  notch_kernels_cpu.close (device);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/crew/once/1", GINT_TO_POINTER (1), test_once);
  g_test_add_data_func ("/crew/once/4", GINT_TO_POINTER (4), test_once);
  g_test_add_func ("/crew/together", test_together);
  g_test_add_func ("/crew/free", test_free);
  g_test_add_func ("/crew/error", test_error);
  g_test_add_func ("/crew/errors", test_errors);
  g_test_add_func ("/crew/cancel", test_cancel);
  g_test_add_func ("/crew/cancel/wakes", test_cancel_wakes);
  g_test_add_func ("/crew/no-lane", test_no_lane);
  g_test_add_func ("/crew/halved", test_halved);
  g_test_add_func ("/crew/devices", test_devices);
  return g_test_run ();
}
