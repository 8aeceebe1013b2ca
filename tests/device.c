/* device.c - choosing a backend: with and without modules, good and bad ones */
#include "inspect/compute/device.h"

#include <glib/gstdio.h>

/* Modules are looked for in this folder of the build tree only. */
static void
use_modules (const char *name)
{
  g_autofree char *folder = g_test_build_filename (G_TEST_BUILT, name, ".libs", NULL);
  g_setenv ("NOTCH_MODULES", folder, TRUE);
  g_unsetenv ("NOTCH_TEST_DEVICES");
}

static void
expect_refused (const char *device, int code, const char *message)
{
  g_autoptr (GError) error = NULL;
  NotchCompute compute;
  g_assert_false (notch_compute_open (&compute, device, NOTCH_MAX_DEVICES, 1, NULL, &error));
  g_assert_cmpint (compute.n_devices, ==, 0);
  g_assert_error (error, NOTCH_ERROR, code);
  if (!g_pattern_match_simple (message, error->message))
    g_error ("\"%s\" is not like \"%s\"", error->message, message);
}

/* At most `most` devices of a name are taken, and they are told like this. */
static void
expect_taken (const char *device, int most, const char *kernels, int n_devices, const char *told)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *why = NULL;
  NotchCompute compute;
  notch_compute_open (&compute, device, most, 3, &why, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (compute.kernels->name, ==, kernels);
  g_assert_cmpint (compute.n_devices, ==, n_devices);
  g_assert_cmpint (compute.jobs, ==, 3);
  if (!g_pattern_match_simple (told, why))
    g_error ("\"%s\" is not like \"%s\"", why, told);
  notch_compute_close (&compute);
}

/* auto takes the CPU and says why. */
static void
expect_cpu (const char *reason)
{
  g_autofree char *told = g_strconcat ("cpu, as no GPU can be used: ", reason, NULL);
  expect_taken ("auto", NOTCH_MAX_DEVICES, "cpu", 1, told);
}

static void
test_names (void)
{
  use_modules ("nowhere");
  expect_taken ("cpu", NOTCH_MAX_DEVICES, "cpu", 1, "cpu");
  expect_taken (NULL, 1, "cpu", 1, "cpu, as *");
  const char *const wrong[] = {
    "gpu", "", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "cuda:99999999999", "CPU", "cpu:0"
  };
  for (gsize i = 0; i < G_N_ELEMENTS (wrong); i++)
    expect_refused (wrong[i], NOTCH_ERROR_USAGE, "there is no device \"*\"; it may be auto, cpu, cuda or cuda:N");
}

static void
test_missing (void)
{
  use_modules ("nowhere");
  expect_cpu ("there is no notch-cuda.so in */nowhere/.libs: notch was built without CUDA");
  expect_refused ("cuda", NOTCH_ERROR_DEVICE,
                  "device cuda cannot be used: there is no notch-cuda.so in *; take --device *");
}

static void
test_works (void)
{
  use_modules ("module");
  expect_taken ("auto", NOTCH_MAX_DEVICES, "cuda", 1, "cuda:1, a card of paper, number 1");
  expect_taken ("cuda", NOTCH_MAX_DEVICES, "cuda", 1, "cuda:1, a card of paper, number 1");
  expect_taken ("cuda:1", NOTCH_MAX_DEVICES, "cuda", 1, "cuda:1, a card of paper, number 1");
  expect_taken ("cpu", NOTCH_MAX_DEVICES, "cpu", 1, "cpu");
  expect_refused ("cuda:0", NOTCH_ERROR_DEVICE,
                  "device cuda:0 cannot be used: cuda:0 does not work: it is on fire; take *");
  expect_refused ("cuda:2", NOTCH_ERROR_DEVICE,
                  "device cuda:2 cannot be used: this machine has 2, numbered from 0; take *");

  g_setenv ("NOTCH_TEST_DEVICES", "4", TRUE);
  expect_taken ("cuda", NOTCH_MAX_DEVICES, "cuda", 2,
                "cuda:1, a card of paper, number 1; cuda:3, a card of paper, number 3");
  expect_taken ("auto", 1, "cuda", 1, "cuda:1, a card of paper, number 1");
  expect_refused ("cuda:2", NOTCH_ERROR_DEVICE,
                  "device cuda:2 cannot be used: cuda:2 does not work: it computes wrongly: what is found differs from "
                  "what the CPU finds; take *");
  g_setenv ("NOTCH_TEST_DEVICES", "1", TRUE);
  expect_cpu ("cuda:0 does not work: it is on fire");
  expect_refused ("cuda", NOTCH_ERROR_DEVICE,
                  "device cuda cannot be used: cuda:0 does not work: it is on fire; take *");
  g_setenv ("NOTCH_TEST_DEVICES", "0", TRUE);
  expect_cpu ("this machine has no CUDA device, or its driver is not loaded: nothing is plugged in");
  expect_refused ("cuda:0", NOTCH_ERROR_DEVICE, "device cuda:0 cannot be used: this machine has no CUDA device*");
}

static void
test_refused (void)
{
  use_modules ("module-other");
  expect_cpu ("*notch-cuda.so belongs to another version of notch; install both from one build");
  expect_refused ("cuda", NOTCH_ERROR_DEVICE, "*belongs to another version of notch*");
  use_modules ("module-none");
  expect_cpu ("*notch-cuda.so is not a module of notch");

  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_dir_make_tmp ("notch-device-XXXXXX", &error);
  g_assert_no_error (error);
  g_autofree char *path = g_build_filename (folder, "notch-cuda.so", NULL);
  g_assert_true (g_file_set_contents (path, "this is not a library", -1, NULL));
  g_setenv ("NOTCH_MODULES", folder, TRUE);
  expect_cpu ("its module cannot be loaded: *notch-cuda.so: *");
  g_remove (path);
  g_rmdir (folder);
}

static void
test_describe (void)
{
  use_modules ("module");
  g_autofree char *text = notch_devices_describe ();
  g_auto (GStrv) line = g_strsplit (text, "\n", -1);
  g_assert_cmpuint (g_strv_length (line), ==, 5);
  g_assert_true (g_str_has_prefix (line[0], "cpu      "));
  g_assert_cmpstr (line[1], ==, "cuda:0   does not work: it is on fire");
  g_assert_cmpstr (line[2], ==, "cuda:1   a card of paper, number 1");
  g_assert_cmpstr (line[3], ==, "auto     takes cuda:1, a card of paper, number 1");
  g_assert_cmpstr (line[4], ==, "");

  use_modules ("nowhere");
  g_autofree char *without = notch_devices_describe ();
  g_assert_true (g_pattern_match_simple ("cpu      ?*\nauto     takes cpu, as no GPU can be used: *\n", without));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/device/names", test_names);
  g_test_add_func ("/device/missing", test_missing);
  g_test_add_func ("/device/works", test_works);
  g_test_add_func ("/device/refused", test_refused);
  g_test_add_func ("/device/describe", test_describe);
  return g_test_run ();
}
