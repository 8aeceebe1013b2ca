/* tsan-glib.c - tells the thread sanitizer what GLib's locks and queues order
 *
 * GLib is not compiled with the sanitizer and locks with futexes of its own, so the sanitizer sees no order between
 * what a thread did before it pushed to a queue and what another does after popping, and calls every correct hand-over
 * a race. Preloaded into a program that was compiled with the sanitizer, this file wraps those of GLib's calls that
 * order things and says so; without the sanitizer it only passes the calls on. */
#include <dlfcn.h>
#include <glib.h>

extern void __tsan_acquire (void *address) __attribute__ ((weak));
extern void __tsan_release (void *address) __attribute__ ((weak));

static void
acquire (gconstpointer address)
{
  if (__tsan_acquire)
    __tsan_acquire ((void *) address);
}

static void
release (gconstpointer address)
{
  if (__tsan_release)
    __tsan_release ((void *) address);
}

/* The function that GLib has under the name of the one that calls this. */
#define REAL(name) ((typeof (&name)) dlsym (RTLD_NEXT, #name))

#define EXPORT __attribute__ ((visibility ("default")))

/* `before` and `after` are what a call does to the order. */
#define WRAP_VOID(name, parameters, arguments, before, after)                                                          \
  EXPORT void name parameters                                                                                          \
  {                                                                                                                    \
    before;                                                                                                            \
    REAL (name) arguments;                                                                                             \
    after;                                                                                                             \
  }
#define WRAP(type, name, parameters, arguments, before, after)                                                         \
  EXPORT type name parameters                                                                                          \
  {                                                                                                                    \
    before;                                                                                                            \
    type result = REAL (name) arguments;                                                                               \
    after;                                                                                                             \
    return result;                                                                                                     \
  }

WRAP_VOID (g_mutex_lock, (GMutex * lock), (lock), , acquire (lock))
WRAP_VOID (g_mutex_unlock, (GMutex * lock), (lock), release (lock), )
WRAP (gboolean, g_mutex_trylock, (GMutex * lock), (lock), , acquire (lock))
WRAP_VOID (g_rec_mutex_lock, (GRecMutex * lock), (lock), , acquire (lock))
WRAP_VOID (g_rec_mutex_unlock, (GRecMutex * lock), (lock), release (lock), )
WRAP_VOID (g_cond_wait, (GCond * cond, GMutex *lock), (cond, lock), release (lock), acquire (lock))
WRAP (gboolean, g_cond_wait_until, (GCond * cond, GMutex *lock, gint64 end), (cond, lock, end), release (lock),
      acquire (lock))

WRAP_VOID (g_async_queue_push, (GAsyncQueue * queue, gpointer data), (queue, data), release (queue), )
WRAP_VOID (g_async_queue_push_front, (GAsyncQueue * queue, gpointer data), (queue, data), release (queue), )
WRAP (gpointer, g_async_queue_pop, (GAsyncQueue * queue), (queue), , acquire (queue))
WRAP (gpointer, g_async_queue_try_pop, (GAsyncQueue * queue), (queue), , acquire (queue))
WRAP (gpointer, g_async_queue_timeout_pop, (GAsyncQueue * queue, guint64 timeout), (queue, timeout), , acquire (queue))

#undef g_once_init_leave
WRAP_VOID (g_once_init_leave, (volatile void *location, gsize result), (location, result),
           release ((void *) location), )
#undef g_once_init_enter
WRAP (gboolean, g_once_init_enter, (volatile void *location), (location), , acquire ((void *) location))

WRAP_VOID (g_atomic_rc_box_release, (gpointer box), (box), release (box), )

/* The last owner clears what the others wrote. */
static __thread GDestroyNotify clear_box;

static void
clear_after_all (gpointer box)
{
  acquire (box);
  clear_box (box);
}

EXPORT void
g_atomic_rc_box_release_full (gpointer box, GDestroyNotify clear)
{
  GDestroyNotify outer = clear_box;
  clear_box = clear;
  release (box);
  REAL (g_atomic_rc_box_release_full) (box, clear_after_all);
  clear_box = outer;
}

/* A pool's work runs after it was pushed, and before the pool is freed. */
typedef struct {
  GFunc work;
  gpointer data;
} Pool;

static void
work_in_pool (gpointer item, gpointer data)
{
  Pool *pool = data;
  acquire (pool);
  pool->work (item, pool->data);
  release (pool);
}

EXPORT GThreadPool *
g_thread_pool_new (GFunc work, gpointer data, gint most, gboolean exclusive, GError **error)
{
  Pool *pool = g_new (Pool, 1);
  *pool = (Pool){ work, data };
  return REAL (g_thread_pool_new) (work_in_pool, pool, most, exclusive, error);
}

EXPORT gboolean
g_thread_pool_push (GThreadPool *pool, gpointer item, GError **error)
{
  if (pool->func == work_in_pool)
    release (pool->user_data);
  return REAL (g_thread_pool_push) (pool, item, error);
}

EXPORT void
g_thread_pool_free (GThreadPool *pool, gboolean immediate, gboolean wait)
{
  Pool *ours = pool->func == work_in_pool ? pool->user_data : NULL;
  REAL (g_thread_pool_free) (pool, immediate, wait);
  if (ours && wait) {
    acquire (ours);
    g_free (ours);
  }
}
