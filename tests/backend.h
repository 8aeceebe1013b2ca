/* backend.h - tests that run on every backend: the CPU's, the CUDA one on the stand-in for CUDA, and that on a card
 *
 * A test that lacks its device is skipped with the reason; it never runs on another one. */
#pragma once

#include "inspect/compute/device.h"

typedef struct {
  const char *backend;
  GTestFunc plain; /* or: */
  GTestDataFunc test;
  gconstpointer data;
} BackendTest;

static const NotchKernels *backend; /* the one that a test runs on; its first device is the one */
static const char *backend_taken;   /* what tests call it; NULL: none is open */

/* Takes a backend by its name among tests; FALSE and the test is skipped where it is not to be had. To open one has it
 * inspect an image first whose answer is known, so that one is taken once for all tests that follow each other on it. */
static gboolean
backend_take (const char *name)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *modules = NULL, *module = NULL;
  if (g_strcmp0 (name, backend_taken) == 0)
    return TRUE;
  backend_taken = NULL;
  if (strcmp (name, "cpu") == 0) {
    backend = &notch_kernels_cpu;
    return TRUE;
  }
  if (strcmp (name, "cudahost") == 0)
    modules = g_test_build_filename (G_TEST_BUILT, "cudahost", ".libs", NULL);
  else
    modules = g_test_build_filename (G_TEST_BUILT, "..", "kernels", ".libs", NULL);
  module = g_build_filename (modules, "notch-cuda." G_MODULE_SUFFIX, NULL);
  if (!g_file_test (module, G_FILE_TEST_EXISTS)) {
    g_test_skip ("its module was not built");
    return FALSE;
  }
  g_setenv ("NOTCH_MODULES", modules, TRUE);
  NotchCompute compute;
  gboolean works = notch_compute_open (&compute, "cuda:0", 1, 1, NULL, &error);
  if (!works && strcmp (name, "cuda") == 0 && strstr (error->message, "has no CUDA device")) {
    g_test_skip (error->message);
    return FALSE;
  }
  g_assert_no_error (error);
  backend = compute.kernels;
  notch_compute_close (&compute);
  backend_taken = name;
  return TRUE;
}

static void
backend_run (gconstpointer data)
{
  const BackendTest *of = data;
  if (!backend_take (of->backend))
    return;
  if (of->plain)
    of->plain ();
  else
    of->test (of->data);
}

/* Adds a test of one backend: /stages/fit of cpu as /cpu/stages/fit; none where BACKEND names another one. */
static inline void
backend_add_to (const char *name, const char *path, BackendTest test)
{
  const char *only = g_getenv ("BACKEND");
  if (only && strcmp (only, name) != 0)
    return;
  g_autofree char *full = g_strconcat ("/", name, path, NULL);
  BackendTest *one = g_memdup2 (&test, sizeof test);
  one->backend = name;
  g_test_add_data_func_full (full, one, backend_run, g_free);
}

/* Adds a test once a backend: /stages/fit as /cpu/stages/fit, /cudahost/stages/fit and /cuda/stages/fit; or only for the one
 * that BACKEND names, where the others have been tested and do not change. */
static inline void
backend_add (const char *path, BackendTest test)
{
  static const char *const name[] = { "cpu", "cudahost", "cuda" };
  for (gsize i = 0; i < G_N_ELEMENTS (name); i++)
    backend_add_to (name[i], path, test);
}
