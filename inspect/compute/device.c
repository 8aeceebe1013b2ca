/* device.c - finds backends, and chooses one */
#include "inspect/compute/device.h"

#include "inspect/compute/check.h"

#include <gmodule.h>
#include <string.h>

#define MODULE "notch-cuda." G_MODULE_SUFFIX

/* The folders where a module may lie, in order. */
static char **
module_folders (void)
{
  const char *only = g_getenv ("NOTCH_MODULES");
  g_autoptr (GStrvBuilder) folders = g_strv_builder_new ();
  if (only) {
    g_strv_builder_add (folders, only);
    return g_strv_builder_end (folders);
  }
  g_autofree char *program = g_file_read_link ("/proc/self/exe", NULL);
  g_autofree char *beside = program ? g_path_get_dirname (program) : NULL;
  g_autofree char *moved = beside ? g_canonicalize_filename ("../lib/notch", beside) : NULL;
  g_autofree char *built =
      beside ? g_canonicalize_filename ("../kernels/.libs", beside) : NULL; /* libtool's place, seen from its .libs */
  /* What came with the program is before what another version may have installed. */
  const char *const order[] = { moved, NOTCH_MODULE_DIR, beside, built };
  for (gsize i = 0; i < G_N_ELEMENTS (order); i++)
    if (order[i])
      g_strv_builder_add (folders, order[i]);
  return g_strv_builder_end (folders);
}

/* The GPU backend, or NULL and why there is none. */
static const NotchKernels *
open_module (char **why)
{
  g_auto (GStrv) folders = module_folders ();
  g_autofree char *path = NULL;
  for (int i = 0; folders[i] && !path; i++) {
    g_autofree char *candidate = g_build_filename (folders[i], MODULE, NULL);
    if (g_file_test (candidate, G_FILE_TEST_EXISTS))
      path = g_steal_pointer (&candidate);
  }
  if (!path) {
    *why = g_strdup_printf ("there is no " MODULE " in %s: notch was built without CUDA", folders[0]);
    return NULL;
  }
  GModule *module = g_module_open (path, G_MODULE_BIND_LOCAL);
  if (!module) {
    *why = g_strdup_printf ("its module cannot be loaded: %s", g_module_error ());
    return NULL;
  }
  gpointer symbol = NULL;
  if (!g_module_symbol (module, NOTCH_KERNELS_MODULE_SYMBOL, &symbol) || !symbol) {
    *why = g_strdup_printf ("%s is not a module of notch", path);
    g_module_close (module);
    return NULL;
  }
  const NotchKernels *kernels = ((NotchKernelsModule) symbol) (NOTCH_KERNELS_ABI);
  if (!kernels) {
    *why = g_strdup_printf ("%s belongs to another version of notch; install both from one build", path);
    g_module_close (module);
    return NULL;
  }
  g_module_make_resident (module); /* its functions are used until the program ends */
  return kernels;
}

/* Opens and closes a device: TRUE and its description, or FALSE and what is wrong with it. A GPU is let compute a known
 * answer, for a card that is broken, or a driver that is, mostly says nothing. */
static gboolean
try_device (const NotchKernels *kernels, int index, char **text)
{
  char line[256] = "";
  gboolean works = FALSE;
  *text = NULL;
  NotchDevice *device = kernels->open (index, line);
  if (device) {
    kernels->describe (device, line);
    works = kernels == &notch_kernels_cpu || notch_device_computes (kernels, device, text);
    kernels->close (device);
  }
  if (!*text)
    *text = g_strdup (line);
  return works;
}

/* The first GPU that works. */
static const NotchKernels *
choose_gpu (int *index, char **why)
{
  const NotchKernels *kernels = open_module (why);
  if (!kernels)
    return NULL;
  int n = kernels->count ();
  g_autofree char *fault = NULL;
  for (int i = 0; i < n; i++) {
    g_autofree char *text = NULL;
    if (try_device (kernels, i, &text)) {
      *index = i;
      *why = g_strdup_printf ("%s:%d, %s", kernels->name, i, text);
      return kernels;
    }
    if (!fault)
      fault = g_strdup_printf ("%s:%d does not work: %s", kernels->name, i, text);
  }
  *why = fault ? g_steal_pointer (&fault) : g_strdup ("this machine has no CUDA device, or its driver is not loaded");
  return NULL;
}

/* GPU number N, as asked for. */
static const NotchKernels *
choose_numbered (int wanted, char **why)
{
  const NotchKernels *kernels = open_module (why);
  if (!kernels)
    return NULL;
  int n = kernels->count ();
  if (wanted >= n) {
    *why = n > 0 ? g_strdup_printf ("this machine has %d, numbered from 0", n)
                 : g_strdup ("this machine has no CUDA device, or its driver is not loaded");
    return NULL;
  }
  g_autofree char *text = NULL;
  gboolean works = try_device (kernels, wanted, &text);
  *why = works ? g_strdup_printf ("%s:%d, %s", kernels->name, wanted, text) : g_steal_pointer (&text);
  return works ? kernels : NULL;
}

const NotchKernels *
notch_device_choose (const char *name, int *index, char **why, GError **error)
{
  g_autofree char *reason = NULL;
  const NotchKernels *kernels = NULL;
  guint64 number = 0;
  *index = 0;
  if (!name || strcmp (name, "auto") == 0) {
    kernels = choose_gpu (index, &reason);
    if (!kernels) {
      g_autofree char *no_gpu = g_steal_pointer (&reason);
      reason = g_strdup_printf ("cpu, as no GPU can be used: %s", no_gpu);
      kernels = &notch_kernels_cpu;
    }
  } else if (strcmp (name, "cpu") == 0) {
    reason = g_strdup ("cpu");
    kernels = &notch_kernels_cpu;
  } else if (strcmp (name, "cuda") == 0
             || (g_str_has_prefix (name, "cuda:")
                 && g_ascii_string_to_unsigned (name + strlen ("cuda:"), 10, 0, G_MAXINT, &number, NULL))) {
    *index = (int) number;
    kernels = choose_numbered (*index, &reason);
    if (!kernels) {
      g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_DEVICE, "device %s cannot be used: %s; take --device auto or cpu",
                   name, reason);
      return NULL;
    }
  } else {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
                 "there is no device \"%s\"; it may be auto, cpu, cuda or cuda:N", name);
    return NULL;
  }
  if (why)
    *why = g_steal_pointer (&reason);
  return kernels;
}

gboolean
notch_device_check (const char *name, GError **error)
{
  int index = 0;
  return notch_device_choose (name, &index, NULL, error) != NULL;
}

char *
notch_devices_describe (void)
{
  GString *to = g_string_new (NULL);
  g_autofree char *text = NULL;
  try_device (&notch_kernels_cpu, 0, &text);
  g_string_append_printf (to, "%-8s %s\n", notch_kernels_cpu.name, text);
  g_autofree char *none = NULL;
  const NotchKernels *gpu = open_module (&none);
  int n = gpu ? gpu->count () : 0;
  for (int i = 0; i < n; i++) {
    g_autofree char *name = g_strdup_printf ("%s:%d", gpu->name, i);
    g_autofree char *line = NULL;
    gboolean works = try_device (gpu, i, &line);
    g_string_append_printf (to, "%-8s %s%s\n", name, works ? "" : "does not work: ", line);
  }
  g_autofree char *why = NULL;
  int index = 0;
  notch_device_choose ("auto", &index, &why, NULL);
  g_string_append_printf (to, "%-8s takes %s\n", "auto", why);
  return g_string_free (to, FALSE);
}
