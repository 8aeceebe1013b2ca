/* few.h - FEW in the environment: of many cases that the same code goes through, some. It is for builds in which everything
 * takes ten times as long, and which look for something else than the answers, as with sanitizers. */
#pragma once

#include <glib.h>

/* A number of cases, or the step from one to the next: `all`, and where FEW is set `some`. */
static inline int
few (int all, int some)
{
  return g_getenv ("FEW") ? some : all;
}
