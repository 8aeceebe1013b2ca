/* parallel.h - the same work on many things, on some threads */
#pragma once

#include <glib.h>

/* Calls f (data, i) for i from 0 to n - 1 on up to `jobs` threads, of which the caller's is one. */
void notch_parallel (int jobs, int n, void (*f) (gpointer data, int i), gpointer data);
