/* team.c - a job is a number that grows under a lock, and parts that are taken by counting */
#include "kernels/cpu/team.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

typedef struct {
  NotchTeam *team;
  int member;
  pthread_t thread;
} Member;

struct NotchTeam {
  int members;
  Member *member; /* [0] is the caller */
  pthread_mutex_t lock;
  pthread_cond_t begun, ended;
  unsigned job; /* counts up */
  int busy;     /* members in it */
  bool over;
  NotchTeamWork work;
  void *data;
  int parts;
  atomic_int next;
};

static void
take_parts (NotchTeam *team, int member)
{
  for (int part; (part = atomic_fetch_add (&team->next, 1)) < team->parts;)
    team->work (team->data, part, member);
}

static void *
serve (void *data)
{
  Member *is = data;
  NotchTeam *team = is->team;
  unsigned job = 0;
  pthread_mutex_lock (&team->lock);
  for (;;) {
    while (!team->over && team->job == job)
      pthread_cond_wait (&team->begun, &team->lock);
    if (team->over)
      break;
    job = team->job;
    pthread_mutex_unlock (&team->lock);
    take_parts (team, is->member);
    pthread_mutex_lock (&team->lock);
    if (--team->busy == 0)
      pthread_cond_signal (&team->ended);
  }
  pthread_mutex_unlock (&team->lock);
  return NULL;
}

NotchTeam *
notch_team_new (int members)
{
  NotchTeam *team = calloc (1, sizeof *team);
  Member *member = calloc ((size_t) (members > 0 ? members : 1), sizeof *member);
  if (!team || !member) {
    free (team);
    free (member);
    return NULL;
  }
  pthread_mutex_init (&team->lock, NULL);
  pthread_cond_init (&team->begun, NULL);
  pthread_cond_init (&team->ended, NULL);
  team->member = member;
  for (team->members = 1; team->members < members; team->members++) {
    Member *is = &member[team->members];
    *is = (Member){ .team = team, .member = team->members };
    if (pthread_create (&is->thread, NULL, serve, is) != 0)
      break;
  }
  return team;
}

void
notch_team_free (NotchTeam *team)
{
  if (!team)
    return;
  pthread_mutex_lock (&team->lock);
  team->over = true;
  pthread_cond_broadcast (&team->begun);
  pthread_mutex_unlock (&team->lock);
  for (int i = 1; i < team->members; i++)
    pthread_join (team->member[i].thread, NULL);
  pthread_cond_destroy (&team->ended);
  pthread_cond_destroy (&team->begun);
  pthread_mutex_destroy (&team->lock);
  free (team->member);
  free (team);
}

int
notch_team_members (const NotchTeam *team)
{
  return team->members;
}

void
notch_team_do (NotchTeam *team, int parts, NotchTeamWork work, void *data)
{
  pthread_mutex_lock (&team->lock);
  team->work = work, team->data = data, team->parts = parts;
  atomic_store (&team->next, 0);
  if (parts > 1 && team->members > 1) {
    team->busy = team->members - 1;
    team->job++;
    pthread_cond_broadcast (&team->begun);
  }
  pthread_mutex_unlock (&team->lock);
  take_parts (team, 0);
  pthread_mutex_lock (&team->lock);
  while (team->busy > 0)
    pthread_cond_wait (&team->ended, &team->lock);
  pthread_mutex_unlock (&team->lock);
}
