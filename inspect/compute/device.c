/* device.c - finds backends, and chooses one */
#include "inspect/compute/device.h"

#include "inspect/compute/check.h"

#include <gmodule.h>
#include <string.h>

#define MODULE "notch-cuda." G_MODULE_SUFFIX

gboolean
notch_fault_error (const NotchFault *fault, const char *who, GError **error)
{
  g_set_error (error, NOTCH_ERROR, fault->full ? NOTCH_ERROR_DEVICE_FULL : NOTCH_ERROR_DEVICE, "%s: %s", who,
               fault->text);
  return FALSE;
}

gboolean
notch_compute_advise (const NotchCompute *compute, GError **error)
{
  if (error && g_error_matches (*error, NOTCH_ERROR, NOTCH_ERROR_DEVICE_FULL) && compute->kernels
      && compute->kernels != &notch_kernels_cpu) {
    char *line = g_strconcat ((*error)->message, "; take --device cpu", NULL);
    g_free ((*error)->message);
    (*error)->message = line;
  }
  return FALSE;
}

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
    const char *fault = g_module_error ();
    *why = g_strdup_printf ("its module cannot be loaded: %s%s", fault,
                            g_str_has_prefix (fault, path)
                                ? ""
                                : "; install that library of the CUDA toolkit, or put it beside those of notch");
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

/* Opens a device and tells what it is, or NULL and what is wrong with it. A GPU is let compute a known answer, for a card
 * that is broken, or a driver that is, mostly says nothing. */
static NotchDevice *
open_tested (const NotchKernels *kernels, int index, char **text)
{
  char line[256] = "";
  NotchFault fault = { 0 };
  *text = NULL;
  NotchDevice *device = kernels->open (index, &fault);
  if (device && kernels != &notch_kernels_cpu && !notch_device_computes (kernels, device, text)) {
    kernels->close (device);
    return NULL;
  }
  if (device)
    kernels->describe (device, line);
  *text = g_strdup (device ? line : fault.text);
  return device;
}

/* GPUs from the first to before the `end`th, at most so many of those that work. FALSE and why there is none. */
static gboolean
open_gpus (NotchCompute *compute, int first, int end, int most, char **why)
{
  g_autoptr (GString) taken = g_string_new (NULL);
  g_autofree char *fault = NULL;
  for (int i = first; i < end && compute->n_devices < most; i++) {
    g_autofree char *text = NULL;
    NotchDevice *device = open_tested (compute->kernels, i, &text);
    if (device) {
      compute->device[compute->n_devices++] = device;
      g_string_append_printf (taken, "%s%s:%d, %s", taken->len ? "; " : "", compute->kernels->name, i, text);
    } else if (!fault)
      fault = g_strdup_printf ("%s:%d does not work: %s", compute->kernels->name, i, text);
  }
  *why = compute->n_devices > 0 ? g_string_free (g_steal_pointer (&taken), FALSE) : g_steal_pointer (&fault);
  return compute->n_devices > 0;
}

/* Every GPU (`wanted` below 0), or the one that was asked for. */
static gboolean
choose_gpus (NotchCompute *compute, int wanted, int most, char **why)
{
  NotchFault fault = { 0 };
  compute->kernels = open_module (why);
  int n = compute->kernels ? compute->kernels->count (&fault) : 0;
  if (!compute->kernels)
    return FALSE;
  if (n == 0)
    *why = g_strdup_printf ("this machine has no CUDA device, or its driver is not loaded%s%s", *fault.text ? ": " : "",
                            fault.text);
  else if (wanted >= n)
    *why = g_strdup_printf ("this machine has %d, numbered from 0", n);
  else
    return open_gpus (compute, MAX (wanted, 0), wanted < 0 ? n : wanted + 1, most, why);
  return FALSE;
}

static gboolean
choose_cpu (NotchCompute *compute, GError **error)
{
  NotchFault fault = { 0 };
  compute->kernels = &notch_kernels_cpu;
  compute->device[0] = compute->kernels->open (0, &fault);
  compute->n_devices = compute->device[0] != NULL;
  if (!compute->device[0])
    notch_fault_error (&fault, compute->kernels->name, error);
  return compute->n_devices > 0;
}

gboolean
notch_compute_open (NotchCompute *compute, const char *name, int most, int jobs, char **why, GError **error)
{
  g_autofree char *reason = NULL;
  guint64 number = 0;
  gboolean any = !name || strcmp (name, "auto") == 0, all = name && strcmp (name, "cuda") == 0;
  gboolean one = name && g_str_has_prefix (name, "cuda:")
                 && g_ascii_string_to_unsigned (name + strlen ("cuda:"), 10, 0, G_MAXINT, &number, NULL);
  most = CLAMP (most, 1, NOTCH_MAX_DEVICES);
  *compute = (NotchCompute){ .jobs = jobs > 0 ? jobs : (int) g_get_num_processors () };
  if (any || all || one) {
    if (!choose_gpus (compute, one ? (int) number : -1, most, &reason) && !any) {
      g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_DEVICE, "device %s cannot be used: %s; take --device auto or cpu",
                   name, reason);
      return FALSE;
    }
  } else if (strcmp (name, "cpu") != 0) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
                 "there is no device \"%s\"; it may be auto, cpu, cuda or cuda:N", name);
    return FALSE;
  }
  if (compute->n_devices == 0 && !choose_cpu (compute, error))
    return FALSE;
  if (why)
    *why = compute->kernels != &notch_kernels_cpu ? g_steal_pointer (&reason)
           : any                                  ? g_strdup_printf ("cpu, as no GPU can be used: %s", reason)
                                                  : g_strdup ("cpu");
  return TRUE;
}

void
notch_compute_close (NotchCompute *compute)
{
  for (int i = 0; i < compute->n_devices + compute->n_spoiled; i++)
    compute->kernels->close (compute->device[i]);
  compute->n_devices = compute->n_spoiled = 0;
}

int
notch_compute_leave_out (NotchCompute *compute)
{
  NotchDevice *spoiled[NOTCH_MAX_DEVICES];
  int kept = 0, n = 0;
  for (int i = 0; i < compute->n_devices; i++) {
    NotchFault fault = { 0 };
    if (compute->kernels->works (compute->device[i], &fault))
      compute->device[kept++] = compute->device[i];
    else
      spoiled[n++] = compute->device[i];
  }
  for (int i = 0; i < n; i++)
    compute->device[kept + i] = spoiled[i];
  compute->n_devices = kept;
  compute->n_spoiled += n;
  return n;
}

char *
notch_compute_describe (const NotchCompute *compute)
{
  GString *to = g_string_new (compute->kernels->name);
  for (int i = 0; i < compute->n_devices; i++) {
    char text[256] = "";
    compute->kernels->describe (compute->device[i], text);
    g_string_append_printf (to, "%s%s", i == 0 ? ": " : "; ", text);
  }
  return g_string_free (to, FALSE);
}

int
notch_compute_batch (const NotchCompute *compute)
{
  int least = compute->kernels->batch (compute->device[0]);
  for (int i = 1; i < compute->n_devices; i++)
    least = MIN (least, compute->kernels->batch (compute->device[i]));
  return least;
}

gboolean
notch_device_check (const char *name, GError **error)
{
  NotchCompute compute;
  if (!notch_compute_open (&compute, name, NOTCH_MAX_DEVICES, 1, NULL, error))
    return FALSE;
  notch_compute_close (&compute);
  return TRUE;
}

static void
describe_device (GString *to, const NotchKernels *kernels, int index, const char *name)
{
  g_autofree char *text = NULL;
  NotchDevice *device = open_tested (kernels, index, &text);
  g_string_append_printf (to, "%-8s %s%s\n", name, device ? "" : "does not work: ", text);
  if (device)
    kernels->close (device);
}

char *
notch_devices_describe (void)
{
  GString *to = g_string_new (NULL);
  describe_device (to, &notch_kernels_cpu, 0, notch_kernels_cpu.name);
  g_autofree char *none = NULL;
  NotchFault fault = { 0 };
  const NotchKernels *gpu = open_module (&none);
  int n = gpu ? gpu->count (&fault) : 0; /* "auto" tells why there are none */
  for (int i = 0; i < n; i++) {
    g_autofree char *name = g_strdup_printf ("%s:%d", gpu->name, i);
    describe_device (to, gpu, i, name);
  }
  g_autofree char *why = NULL;
  NotchCompute compute;
  if (notch_compute_open (&compute, "auto", NOTCH_MAX_DEVICES, 1, &why, NULL)) {
    g_string_append_printf (to, "%-8s takes %s\n", "auto", why);
    notch_compute_close (&compute);
  }
  return g_string_free (to, FALSE);
}
