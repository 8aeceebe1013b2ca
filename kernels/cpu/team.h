/* team.h - threads that share the parts of one job, and wait between jobs */
#pragma once

typedef struct NotchTeam NotchTeam;

/* Part 0 to parts - 1 of a job, done by thread `member` of the team. */
typedef void (*NotchTeamWork) (void *data, int part, int member);

/* The caller is one of `members`; NULL when there is no memory. Where threads cannot be had there are fewer. */
NotchTeam *notch_team_new (int members);
void notch_team_free (NotchTeam *team); /* which may be NULL */
int notch_team_members (const NotchTeam *team);
/* Does all parts, in any order; returns when they are done. One caller at a time. */
void notch_team_do (NotchTeam *team, int parts, NotchTeamWork work, void *data);
