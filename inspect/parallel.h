/* parallel.h - work that falls into n parts, on several threads */
#pragma once

#include <glib.h>

/* Calls f (data, i) for i from 0 to n - 1 on up to `jobs` threads, this one among them; back when all are done. */
void notch_parallel (int jobs, int n, void (*f) (gpointer data, int i), gpointer data);
