/* parallel.c - threads that take the next number until there is none */
#include "inspect/compute/parallel.h"

typedef struct {
  void (*f) (gpointer data, int i);
  gpointer data;
  int n, next; /* next is atomic */
} Team;

static gpointer
help (gpointer data)
{
  Team *team = data;
  for (int i; (i = g_atomic_int_add (&team->next, 1)) < team->n;)
    team->f (team->data, i);
  return NULL;
}

void
notch_parallel (int jobs, int n, void (*f) (gpointer data, int i), gpointer data)
{
  Team team = { f, data, n, 0 };
  g_autoptr (GPtrArray) helper = g_ptr_array_new ();
  for (int k = 1; k < MIN (jobs, n); k++) {
    GThread *thread = g_thread_try_new ("parallel", help, &team, NULL);
    if (!thread)
      break; /* the others do its share */
    g_ptr_array_add (helper, thread);
  }
  help (&team);
  for (guint k = 0; k < helper->len; k++)
    g_thread_join (g_ptr_array_index (helper, k));
}
