/* parallel.h - the same for many things, by several threads */
#pragma once

#include <glib.h>

/* Calls f (data, 0) … f (data, n - 1), by up to `jobs` threads, in any order; returns when all have. */
void notch_parallel (int jobs, int n, void (*f) (gpointer data, int i), gpointer data);
