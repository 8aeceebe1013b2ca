/* images.c - whole inspections of a simulated image: its rows in memory, or in an uncompressed TIFF that was just written
 * and so is in the page cache */
#include "inspect/bench/bench.h"
#include "inspect/detect/inspect.h"
#include "inspect/report/report.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#define DIE       512    /* px */
#define A_DEFECT  335544 /* px of the image for each */
#define BIT_DEPTH 16

static const struct {
  gboolean file, fast;
  const char *name, *with_reports;
} kinds[] = {
  { FALSE, FALSE, "memory", "memory reports" },
  { TRUE, FALSE, "tiff", "tiff reports" },
  { FALSE, TRUE, "memory fast", "memory fast reports" },
  { TRUE, TRUE, "tiff fast", "tiff fast reports" },
};

/* A folder of its own, and what is in it. */
typedef struct {
  char *path, *image, *truth, *facts, *dice, *reports;
  guint16 *pixel;
  gsize bytes;     /* of pixel */
  double pixel_um; /* as the file has it */
} Folder;

static void
folder_free (Folder *folder)
{
  if (!folder)
    return;
  g_unlink (folder->image);
  g_unlink (folder->truth);
  g_unlink (folder->facts);
  g_unlink (folder->dice);
  notch_reports_remove (folder->reports, NULL);
  g_rmdir (folder->reports);
  g_rmdir (folder->path);
  g_free (folder->path);
  g_free (folder->image);
  g_free (folder->truth);
  g_free (folder->facts);
  g_free (folder->dice);
  g_free (folder->reports);
  g_free (folder->pixel);
  g_free (folder);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Folder, folder_free)

static Folder *
folder_new (GError **error)
{
  g_autoptr (GError) why = NULL;
  char *path = g_dir_make_tmp ("notch-bench-XXXXXX", &why);
  if (!path) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_WRITE, "%s; name a folder that can be written to in TMPDIR",
                 why->message);
    return NULL;
  }
  g_autoptr (Folder) folder = g_new0 (Folder, 1);
  folder->path = path;
  folder->image = g_build_filename (path, "wafer.tif", NULL);
  folder->truth = g_build_filename (path, "truth.csv", NULL);
  folder->facts = g_build_filename (path, "truth.json", NULL); /* the simulator's, beside the truth */
  folder->dice = g_build_filename (path, "dice.csv", NULL);
  folder->reports = g_build_filename (path, "reports", NULL);
  if (g_mkdir (folder->reports, 0777) == 0)
    return g_steal_pointer (&folder);
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_WRITE, "%s: the folder cannot be made: %s", folder->reports,
               g_strerror (errno));
  return NULL;
}

/* Draws the image into its file and reads it back. */
static gboolean
make_image (const NotchBench *bench, Folder *folder, GError **error)
{
  NotchSimulation simulation;
  notch_simulate_defaults (&simulation);
  simulation.width = simulation.height = bench->size;
  simulation.die_width = simulation.die_height = DIE;
  simulation.bits = BIT_DEPTH;
  simulation.n_defects = (int) (bench->size * bench->size / A_DEFECT);
  if (!notch_simulate (&simulation, folder->image, folder->truth, folder->dice, error))
    return FALSE;
  g_autoptr (NotchSource) source = notch_source_open (folder->image, NULL, error);
  if (!source)
    return FALSE;
  folder->bytes = (gsize) source->width * (gsize) source->height * sizeof *folder->pixel;
  folder->pixel_um = source->pixel_um_x;
  folder->pixel = g_try_malloc (folder->bytes);
  if (folder->pixel)
    return notch_source_read (source, 0, source->height, folder->pixel, bench->compute.jobs, error);
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
               "there is no memory for an image of %" G_GSIZE_FORMAT " MiB; give a smaller --size",
               folder->bytes >> 20);
  return FALSE;
}

static NotchInspection *
open_image (const NotchBench *bench, const Folder *folder, gboolean file, guint16 *pixel, const NotchRecipe *recipe,
            GError **error)
{
  if (file)
    return notch_inspection_open (folder->image, 0, recipe, bench->compute.jobs, error);
  NotchSource *source = notch_source_from_memory ("memory", bench->size, bench->size, NOTCH_SAMPLE_U16, pixel);
  source->pixel_um_x = source->pixel_um_y = folder->pixel_um;
  return notch_inspection_new (source, recipe, bench->compute.jobs);
}

static gboolean
go_on (const char *step, double done, gpointer data)
{
  return notch_bench_go_on (data, strcmp (step, "survey") == 0 ? 0 : done);
}

/* Inspects once and writes the reports; notes the time before and after them. */
static gboolean
run_once (NotchBench *bench, const Folder *folder, guint kind, GError **error)
{
  g_autoptr (NotchRecipe) recipe = notch_recipe_new ();
  g_autoptr (NotchClasses) classes = notch_classes_new (recipe, error);
  if (!classes)
    return FALSE;
  guint16 *pixel = kinds[kind].file ? NULL : g_try_malloc (folder->bytes);
  if (!kinds[kind].file && !pixel) {
    g_set_error_literal (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                         "there is no memory for a second image; give a smaller --size");
    return FALSE;
  }
  if (pixel)
    memcpy (pixel, folder->pixel, folder->bytes);
  const NotchKernels *k = bench->compute.kernels;
  const guint64 sent = k->sent (bench->compute.device[0]);
  double start = notch_bench_now ();
  g_autoptr (NotchInspection) inspection = open_image (bench, folder, kinds[kind].file, pixel, recipe, error);
  if (!inspection
      || !notch_inspection_run (inspection, &bench->compute, classes, kinds[kind].fast, go_on, bench, error))
    return FALSE;
  double inspected = notch_bench_now ();
  NotchResult *result = inspection->result;
  result->stem = g_strdup ("wafer");
  result->device = g_strdup (bench->compute.kernels->name);
  const NotchReportJob job = {
    .result = result, .folder = folder->reports, .store = inspection->store, .jobs = bench->compute.jobs
  };
  if (!notch_reports_write (&job, NULL, error))
    return FALSE;
  double reported = notch_bench_now ();
  double ns_px = 1e9 / ((double) bench->size * (double) bench->size);
  int lanes = bench->compute.kernels->workers (bench->compute.device[0], bench->compute.jobs);
  /* The image's own bytes, or, where they go up to a device, those that did. */
  double bytes_px = k->up ? (double) (k->sent (bench->compute.device[0]) - sent) * ns_px / 1e9 : sizeof *pixel;
  notch_bench_note (bench, NOTCH_BENCH_IMAGE, kinds[kind].name, lanes, bytes_px, ns_px * (inspected - start));
  notch_bench_note (bench, NOTCH_BENCH_IMAGE, kinds[kind].with_reports, lanes, bytes_px, ns_px * (reported - start));
  return TRUE;
}

int
notch_bench_images_steps (const NotchBench *bench)
{
  return 1 + bench->rounds * (int) G_N_ELEMENTS (kinds);
}

gboolean
notch_bench_images (NotchBench *bench, GError **error)
{
  g_autoptr (Folder) folder = folder_new (error);
  if (!folder || !notch_bench_next (bench, "simulating an image", error) || !make_image (bench, folder, error))
    return FALSE;
  for (int round = 0; round < bench->rounds; round++)
    for (guint kind = 0; kind < G_N_ELEMENTS (kinds); kind++)
      if (!notch_bench_next (bench, kinds[kind].name, error) || !run_once (bench, folder, kind, error))
        return FALSE;
  return TRUE;
}
