/* run.c - a batch of images: one after the other, each with its folder, all with one summary */
#include "inspect/classify/limits.h"
#include "inspect/compute/device.h"
#include "inspect/csv.h"
#include "inspect/detect/inspect.h"
#include "inspect/image/write.h"
#include "inspect/report/report.h"
#include "inspect/text.h"
#include "inspect/wafer/golden.h"
#include "inspect/wafer/regions.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* What an earlier run into the same folder found. */
typedef struct {
  NotchVerdict verdict;
  gint64 n_defects;
} Earlier;

typedef struct {
  const NotchInspectOptions *options;
  NotchRecipe *recipe;
  NotchClasses *classes;
  NotchCompute compute;
  char *device; /* for the results */
  const char *output;
  char **image;
  char **stem; /* beside image */
  int n;
  char *header, **row; /* of summary.csv */
  gboolean *ours;      /* beside row: it is this run's, whatever summary.csv says */
  Earlier *earlier;    /* beside row, as long as that is an earlier run's */
  GString *others;     /* rows of images that are not this run's */
  NotchProgressFunc progress;
  gpointer data;
  NotchProgress now;
  gint64 pixels_before; /* of the images that are done */
  gint64 pixels;        /* of the image in work */
  NotchRunSummary *summary;
  JsonBuilder *json;
  gboolean cancelled;
} Run;

/* ---- names ----------------------------------------------------------------------------------------------------- */

/* Names in the output folder that are no image's. */
static const char *const reserved[] = { ".", "..", "summary.csv", "summary.json", "index.html" };

static gboolean
is_file (GHashTable *files, const char *output, const char *stem)
{
  g_autofree char *folder = g_build_filename (output, stem, NULL);
  g_autofree char *whole = g_canonicalize_filename (folder, NULL);
  return g_hash_table_contains (files, whole);
}

/* The image's name without its last extension; two with one stem, one that is reserved, and one whose folder would be an
 * image, get -2, -3. */
static char **
choose_stems (char **image, int n, const char *output)
{
  g_autoptr (GHashTable) taken = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GHashTable) files = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  for (int i = 0; i < n; i++)
    g_hash_table_add (files, g_canonicalize_filename (image[i], NULL));
  char **stem = g_new0 (char *, n + 1);
  for (gsize i = 0; i < G_N_ELEMENTS (reserved); i++)
    g_hash_table_add (taken, (gpointer) reserved[i]);
  for (int i = 0; i < n; i++) {
    g_autofree char *name = g_path_get_basename (image[i]);
    g_strdelimit (name, G_DIR_SEPARATOR_S, '-');
    char *dot = strrchr (name, '.');
    if (dot && dot != name)
      *dot = 0;
    stem[i] = g_strdup (name);
    for (int k = 2; g_hash_table_contains (taken, stem[i]) || is_file (files, output, stem[i]); k++) {
      g_free (stem[i]);
      stem[i] = g_strdup_printf ("%s-%d", name, k);
    }
    g_hash_table_add (taken, stem[i]);
  }
  return stem;
}

static gboolean
make_folder (const char *path, GError **error)
{
  if (g_mkdir_with_parents (path, 0777) == 0)
    return TRUE;
  int reason = errno;
  if (g_file_test (path, G_FILE_TEST_EXISTS)) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_WRITE, "%s: is a file; name a folder with -o", path);
    return FALSE;
  }
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_WRITE, "%s: the folder cannot be made: %s; name another with -o", path,
               g_strerror (reason));
  return FALSE;
}

/* Whether anything can be written there is better known before an hour of work than after it. */
static gboolean
make_output (const char *path, GError **error)
{
  if (!make_folder (path, error))
    return FALSE;
  if (g_access (path, W_OK | X_OK) == 0)
    return TRUE;
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_WRITE,
               "%s: nothing can be written there: %s; name another folder with -o", path, g_strerror (errno));
  return FALSE;
}

/* ---- what was asked for ---------------------------------------------------------------------------------------- */

/* A file as it is now: another size or another time, another file. */
static void
append_file (GString *to, const char *path)
{
  GStatBuf info;
  if (path && *path && g_stat (path, &info) == 0)
    g_string_append_printf (to, "%s %" G_GINT64_FORMAT " %" G_GINT64_FORMAT ".%09ld\n", path, (gint64) info.st_size,
                            (gint64) info.st_mtim.tv_sec, (long) info.st_mtim.tv_nsec);
}

/* One word for everything that an image's results follow from, before anything is found in it: version, recipe, options,
 * the image and the files that the recipe names. */
static char *
ask (const Run *run, int i)
{
  const NotchInspectOptions *options = run->options;
  g_autofree char *recipe = notch_recipe_to_string (run->recipe);
  g_autoptr (GString) text = g_string_new (recipe);
  g_string_append_printf (text, "%s %s %d %d\n", notch_version (), options->formats ? options->formats : "",
                          MAX (options->page, 1), options->fast);
  append_file (text, run->image[i]);
  append_file (text, run->recipe->reference.image);
  append_file (text, run->recipe->reference.golden);
  if (run->classes->trained)
    g_string_append_printf (text, "model %s\n", run->classes->trained->model->hash);
  if (run->classes->signature)
    g_string_append_printf (text, "signature %s\n", run->classes->signature->model->hash);
  for (guint k = 0; k < run->recipe->region->len; k++) {
    const NotchRegion *region = run->recipe->region->pdata[k];
    append_file (text, region->mask);
    append_file (text, region->polygons);
  }
  return g_compute_checksum_for_string (G_CHECKSUM_SHA256, text->str, (gssize) text->len);
}

/* What a finished image was asked for; NULL where it is not finished. */
static char *
asked_before (const char *marker)
{
  g_autoptr (JsonParser) parser = json_parser_new ();
  if (!json_parser_load_from_file (parser, marker, NULL))
    return NULL;
  JsonNode *root = json_parser_get_root (parser);
  if (!root || !JSON_NODE_HOLDS_OBJECT (root))
    return NULL;
  return g_strdup (json_object_get_string_member_with_default (json_node_get_object (root), "asked", NULL));
}

/* Finished is what has its row and its marker, which is the last file that an image gets, if that was asked for the
 * same. All others start anew and lose both. */
static gboolean
finished_before (Run *run, int i)
{
  g_autofree char *marker = g_build_filename (run->output, run->stem[i], "summary.json", NULL);
  if (run->options->resume && run->row[i]) {
    g_autofree char *before = asked_before (marker), *now = ask (run, i);
    if (g_strcmp0 (before, now) == 0)
      return TRUE;
  }
  g_unlink (marker);
  g_clear_pointer (&run->row[i], g_free);
  run->ours[i] = TRUE;
  return FALSE;
}

/* ---- summary.csv ----------------------------------------------------------------------------------------------- */

/* What tells an image's row from others: its first two fields. */
static char *
row_key (const char *file, const char *stem)
{
  g_autoptr (GString) key = g_string_new (NULL);
  notch_append_field (key, file);
  g_string_append_c (key, ',');
  notch_append_field (key, stem);
  return g_string_free (g_steal_pointer (&key), FALSE);
}

static char *
join_fields (char **field)
{
  g_autoptr (GString) line = g_string_new (NULL);
  for (int k = 0; field[k]; k++) {
    g_string_append (line, k > 0 ? "," : "");
    notch_append_field (line, field[k]);
  }
  g_string_append_c (line, '\n');
  return g_string_free (g_steal_pointer (&line), FALSE);
}

static NotchVerdict
parse_verdict (const char *name)
{
  NotchVerdict verdict = NOTCH_VERDICT_PASS;
  while (verdict < NOTCH_VERDICT_TROUBLE && strcmp (name, notch_verdict_name[verdict]) != 0)
    verdict++;
  return verdict;
}

/* Rows that are not this run's: those of earlier runs, and of other shards. Images that this run was not given keep
 * theirs, but one whose folder now is another's. A table that cannot be read, or has other columns, as another recipe
 * gives it, has none. */
static void
load_rows (Run *run)
{
  g_string_truncate (run->others, 0);
  g_autofree char *path = g_build_filename (run->output, "summary.csv", NULL);
  g_autoptr (NotchCsv) csv = notch_csv_load (path, NULL);
  g_autofree char *header = csv ? join_fields (csv->name) : NULL;
  if (g_strcmp0 (header, run->header) != 0)
    return;
  g_autoptr (GHashTable) index = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GHashTable) folders = g_hash_table_new (g_str_hash, g_str_equal);
  for (int i = 0; i < run->n; i++) {
    g_hash_table_insert (index, row_key (run->image[i], run->stem[i]), GINT_TO_POINTER (i + 1));
    g_hash_table_add (folders, run->stem[i]);
  }
  int file = notch_csv_column (csv, "file"), stem = notch_csv_column (csv, "stem");
  int verdict = notch_csv_column (csv, "verdict"), defects = notch_csv_column (csv, "defects");
  for (guint k = 0; k < csv->row->len; k++) {
    g_autofree char *key = row_key (notch_csv_text (csv, k, file), notch_csv_text (csv, k, stem));
    int i = GPOINTER_TO_INT (g_hash_table_lookup (index, key)) - 1;
    if (i < 0 ? g_hash_table_contains (folders, notch_csv_text (csv, k, stem)) : run->ours[i])
      continue;
    g_autofree char *row = join_fields (csv->row->pdata[k]);
    if (i < 0) {
      g_string_append (run->others, row);
      continue;
    }
    g_free (run->row[i]);
    run->row[i] = g_steal_pointer (&row);
    run->earlier[i].verdict = parse_verdict (notch_csv_text (csv, k, verdict));
    run->earlier[i].n_defects = g_ascii_strtoll (notch_csv_text (csv, k, defects), NULL, 10);
  }
}

/* Other shards may write the table at the same time: whoever does holds the folder. -1 where the file system knows no
 * such thing; then there is nobody to wait for. */
static int
hold_folder (const char *path)
{
  int fd = g_open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  int held = -1;
  while (fd >= 0 && (held = flock (fd, LOCK_EX)) != 0 && errno == EINTR)
    ;
  if (fd >= 0 && held != 0) {
    close (fd);
    return -1;
  }
  return fd;
}

static gboolean
save_rows (Run *run, GError **error)
{
  int folder = hold_folder (run->output);
  if (run->options->resume || run->options->n_shards > 0)
    load_rows (run);
  g_autofree char *path = g_build_filename (run->output, "summary.csv", NULL);
  g_autoptr (GString) text = g_string_new (run->header);
  for (int i = 0; i < run->n; i++)
    if (run->row[i])
      g_string_append (text, run->row[i]);
  g_string_append (text, run->others->str);
  gboolean well = notch_write_file (path, text->str, (gssize) text->len, error);
  if (folder >= 0)
    close (folder);
  return well;
}

/* ---- progress -------------------------------------------------------------------------------------------------- */

static gboolean
tell (Run *run, const char *step, double done)
{
  run->now.step = step;
  run->now.done = done;
  run->now.pixels_done = run->pixels_before + (gint64) (done * (double) run->pixels);
  /* What is not opened yet is taken to be like the mean of what was. */
  int opened = run->now.index + 1 - run->summary->n_skipped;
  run->now.pixels_total =
      (run->pixels_before + run->pixels) / MAX (opened, 1) * (run->now.n_images - run->summary->n_skipped);
  if (run->progress && !run->progress (&run->now, run->data))
    run->cancelled = TRUE;
  run->now.finished = NULL;
  run->now.warning = NULL;
  return !run->cancelled;
}

/* Asked between rows, where nothing else is told: whether to go on. */
static gboolean
go_on (gpointer data)
{
  Run *run = data;
  return tell (run, run->now.step, run->now.done);
}

static gboolean
tell_step (const char *step, double done, gpointer data)
{
  /* The survey is a quarter of an image's time, the reports an eighth. */
  double whole = strcmp (step, "survey") == 0 ? 0.25 * done : 0.25 + 0.62 * done;
  return tell (data, step, whole);
}

static void
warn (Run *run, const char *line)
{
  run->now.warning = line;
  tell (run, run->now.step, run->now.done);
}

/* ---- one image ------------------------------------------------------------------------------------------------- */

static void
note_result (Run *run, const NotchResult *result)
{
  g_autoptr (GString) line = g_string_new (NULL);
  const char *verdict = notch_verdict_name[result->verdict];
  g_string_printf (line, "%s: %s, %u defect%s in %.1f s (%.1f Mpx/s)", result->path, verdict, result->defect->len,
                   result->defect->len == 1 ? "" : "s", result->seconds[3],
                   (double) result->width * (double) result->height / 1e6 / MAX (result->seconds[3], 1e-6));
  for (guint k = 0; k < result->reason->len && result->verdict == NOTCH_VERDICT_REJECT; k++)
    g_string_append_printf (line, "%s%s", k > 0 ? "; " : ": ", (const char *) result->reason->pdata[k]);
  run->now.verdict = result->verdict;
  run->now.finished = line->str;
  tell (run, "reports", 1);
}

/* What the user must see: the warnings, and why there is trouble where no warning says it. */
static void
tell_warnings (Run *run, const NotchResult *result)
{
  const GPtrArray *list[] = { result->warning, result->reason };
  for (int l = 0; l < (result->verdict == NOTCH_VERDICT_TROUBLE ? 2 : 1); l++)
    for (guint k = 0; k < list[l]->len; k++) {
      const char *text = list[l]->pdata[k];
      if (l > 0 && g_ptr_array_find_with_equal_func (result->warning, text, g_str_equal, NULL))
        continue;
      g_autofree char *line = g_strdup_printf ("%s: %s", result->path, text);
      warn (run, line);
    }
}

static void
json_text (Run *run, const char *name, const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1); /* JSON is UTF-8, file names need not be */
  json_builder_set_member_name (run->json, name);
  json_builder_add_string_value (run->json, valid);
}

/* An image of the run, done now or before. */
static void
count_image (Run *run, int i, NotchVerdict verdict, gint64 n_defects, gboolean skipped, const char *message)
{
  run->summary->n_defects += n_defects;
  run->summary->n_pass += verdict == NOTCH_VERDICT_PASS;
  run->summary->n_reject += verdict == NOTCH_VERDICT_REJECT;
  run->summary->n_trouble += verdict == NOTCH_VERDICT_TROUBLE;
  run->summary->n_skipped += skipped;
  json_builder_begin_object (run->json);
  json_text (run, "file", run->image[i]);
  json_text (run, "stem", run->stem[i]);
  json_text (run, "verdict", notch_verdict_name[verdict]);
  json_builder_set_member_name (run->json, "defects");
  json_builder_add_int_value (run->json, n_defects);
  json_builder_set_member_name (run->json, "skipped");
  json_builder_add_boolean_value (run->json, skipped);
  if (message)
    json_text (run, "message", message);
  json_builder_end_object (run->json);
}

static void
keep_row (Run *run, int i, const NotchResult *result)
{
  g_free (run->row[i]);
  run->row[i] = notch_summary_row (result);
}

/* Opens an image and inspects it on a device. */
static NotchInspection *
inspect_on (Run *run, int i, const NotchCompute *compute, GError **error)
{
  const NotchInspectOptions *options = run->options;
  g_autoptr (NotchInspection) inspection =
      notch_inspection_open (run->image[i], options->page, run->recipe, compute->jobs, error);
  if (!inspection)
    return NULL;
  run->pixels = inspection->source->width * inspection->source->height;
  notch_store_watch (inspection->store, go_on, run);
  inspection->patches = notch_reports_want (options->formats, "patches");
  if (!notch_inspection_run (inspection, compute, run->classes, options->fast, tell_step, run, error))
    return NULL;
  return g_steal_pointer (&inspection);
}

/* The same on the processors, where the device could not take it. */
static NotchInspection *
inspect_instead (Run *run, int i, const char *why, GError **error)
{
  NotchCompute compute;
  if (!notch_compute_open (&compute, "cpu", 1, run->compute.jobs, NULL, error))
    return NULL;
  NotchInspection *inspection = inspect_on (run, i, &compute, error);
  if (inspection)
    inspection->result->device = notch_compute_describe (&compute);
  notch_compute_close (&compute);
  if (!inspection)
    return NULL;
  g_ptr_array_add (inspection->result->warning,
                   g_strdup_printf ("inspected on the CPU, for the GPU could not take it: %s", why));
  return inspection;
}

/* A device that an error has spoiled takes no more images; the user hears it with the one that it ended. */
static void
leave_out_devices (Run *run, GError *fault)
{
  if (run->compute.kernels == &notch_kernels_cpu || notch_compute_leave_out (&run->compute) == 0)
    return;
  g_autofree char *told = g_steal_pointer (&fault->message);
  fault->message =
      g_strdup_printf ("%s; the device takes no more images, so inspect this one again with --resume", told);
}

/* On the devices that are left, and on the processors where none is or none has room. */
static NotchInspection *
inspect_anywhere (Run *run, int i, GError **error)
{
  g_autoptr (GError) fault = NULL;
  if (run->compute.n_devices == 0)
    return inspect_instead (run, i, "none works any more, after an error in an image before", error);
  NotchInspection *inspection = inspect_on (run, i, &run->compute, &fault);
  if (inspection) {
    inspection->result->device = notch_compute_describe (&run->compute);
    return inspection;
  }
  if (run->compute.kernels != &notch_kernels_cpu && g_error_matches (fault, NOTCH_ERROR, NOTCH_ERROR_DEVICE_FULL))
    return inspect_instead (run, i, fault->message, error);
  if (g_error_matches (fault, NOTCH_ERROR, NOTCH_ERROR_DEVICE))
    leave_out_devices (run, fault);
  g_propagate_error (error, g_steal_pointer (&fault));
  return NULL;
}

static gboolean
is_interrupted (const Run *run, const GError *error)
{
  return run->cancelled || g_error_matches (error, NOTCH_ERROR, NOTCH_ERROR_CANCELLED);
}

static gboolean
inspect_image (Run *run, int i, GError **error)
{
  const NotchInspectOptions *options = run->options;
  g_autofree char *folder = g_build_filename (run->output, run->stem[i], NULL);
  g_autofree char *asked = ask (run, i); /* before it is opened: who replaces it meanwhile has replaced it */
  g_autofree char *name = g_strconcat (run->image[i], *run->image[i] ? ": " : "", NULL);
  g_autoptr (GError) fault = NULL;
  run->pixels = 0;
  tell (run, "reading", 0);
  g_autoptr (NotchInspection) inspection = inspect_anywhere (run, i, &fault);
  if (inspection || !is_interrupted (run, fault)) /* what an earlier run found is kept until this one knows more */
    notch_reports_remove (folder, run->recipe->path);
  if (!inspection) {
    if (!g_str_has_prefix (fault->message, name)) /* what went wrong in the image's own file names it already */
      g_prefix_error_literal (&fault, name);
    g_propagate_error (error, g_steal_pointer (&fault));
    return FALSE;
  }
  NotchResult *result = inspection->result;
  result->stem = g_strdup (run->stem[i]);
  result->asked = g_steal_pointer (&asked);
  result->page = MAX (options->page, 1);
  gint64 start = g_get_monotonic_time ();
  tell (run, "reports", 0.87);
  if (!make_folder (folder, error))
    return FALSE;
  NotchReportJob job = {
    .result = result, .folder = folder, .store = inspection->store, .jobs = run->compute.jobs, .start = start
  };
  if (!notch_reports_write (&job, options->formats, error))
    return FALSE;
  result->seconds[2] = (double) (g_get_monotonic_time () - start) / 1e6;
  result->seconds[3] += result->seconds[2];
  keep_row (run, i, result);
  tell_warnings (run, result);
  count_image (run, i, result->verdict, result->defect->len, FALSE, NULL);
  note_result (run, result);
  return TRUE;
}

/* ---- the run --------------------------------------------------------------------------------------------------- */

/* A template or golden reference that cannot be read is told once, not with every image. */
static gboolean
check_reference (const NotchRecipe *recipe, GError **error)
{
  const char *path = recipe->reference.image, *golden = recipe->reference.golden;
  if (notch_reference_of (recipe) == &notch_reference_golden && golden && *golden) {
    g_autoptr (NotchSource) sigma =
        notch_golden_open (golden, NOTCH_GOLDEN_SIGMA, (guint64) recipe->detect.memory_mib << 20, NULL, error);
    return sigma != NULL;
  }
  if (notch_reference_of (recipe) == &notch_reference_die || !path || !*path)
    return TRUE;
  const NotchSourceOptions options = { 0, recipe->detect.colour, (guint64) recipe->detect.memory_mib << 20 };
  g_autoptr (NotchSource) source = notch_source_open (path, &options, error);
  return source != NULL;
}

static void
make_whole (char **path)
{
  if (!*path || !**path)
    return;
  g_autofree char *given = g_steal_pointer (path);
  *path = g_canonicalize_filename (given, NULL);
}

static void
make_model_whole (char **name)
{
  if (g_strcmp0 (*name, NOTCH_MODEL_SHIPPED) != 0)
    make_whole (name);
}

/* Likewise the files of regions; the recipe as used finds them from every folder. */
static gboolean
check_regions (NotchRecipe *recipe, GError **error)
{
  for (guint i = 0; i < recipe->region->len; i++) {
    NotchRegion *region = recipe->region->pdata[i];
    make_whole (&region->mask);
    make_whole (&region->polygons);
  }
  g_autoptr (NotchRegions) regions = notch_regions_load (recipe, error);
  return regions && notch_reference_check (recipe, TRUE, error);
}

static gboolean
prepare (Run *run, GError **error)
{
  const NotchInspectOptions *options = run->options;
  run->recipe = options->recipe ? notch_recipe_copy (options->recipe) : notch_recipe_new ();
  const char *template = options->reference ? options->reference : run->recipe->reference.image;
  if (template && *template) { /* the recipe as used finds it from every folder */
    char *whole = g_canonicalize_filename (template, NULL);
    g_free (run->recipe->reference.image);
    run->recipe->reference.image = whole;
  }
  if (options->reference) {
    if (run->recipe->reference.method == NOTCH_REFERENCE_AUTO)
      run->recipe->reference.method = NOTCH_REFERENCE_TEMPLATE;
  }
  if (options->golden) {
    g_free (run->recipe->reference.golden);
    run->recipe->reference.golden = g_canonicalize_filename (options->golden, NULL);
    if (run->recipe->reference.method == NOTCH_REFERENCE_AUTO)
      run->recipe->reference.method = NOTCH_REFERENCE_GOLDEN;
  }
  if (options->model) {
    g_free (run->recipe->classify.model);
    run->recipe->classify.model = g_strdup (options->model);
  }
  make_model_whole (&run->recipe->classify.model);
  make_model_whole (&run->recipe->classify.signature_model);
  if (options->n_shards < 0 || (options->n_shards > 0 && (options->shard < 1 || options->shard > options->n_shards))) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE, "--shard %d/%d: give I/N with I from 1 to N", options->shard,
                 options->n_shards);
    return FALSE;
  }
  if (!notch_recipe_check (run->recipe, error) || !notch_reports_check (options->formats, error))
    return FALSE;
  run->classes = notch_classes_new (run->recipe, error);
  if (!run->classes)
    return FALSE;
  GPtrArray *names = run->classes->name;
  if (!notch_limits_check (run->recipe, names, error) || !check_regions (run->recipe, error))
    return FALSE;
  gint64 none = 0;
  const NotchResult columns = { .class_name = names, .class_count = &none };
  run->header = notch_summary_header (&columns);
  if (!notch_compute_open (&run->compute, options->device, NOTCH_MAX_DEVICES, options->jobs, NULL, error))
    return FALSE;
  run->device = notch_compute_describe (&run->compute);
  return check_reference (run->recipe, error) && make_output (run->output, error);
}

static void
clear_run (Run *run)
{
  g_clear_pointer (&run->classes, notch_classes_free); /* they keep memory on devices */
  notch_compute_close (&run->compute);
  g_clear_pointer (&run->recipe, notch_recipe_free);
  g_clear_object (&run->json);
  g_strfreev (run->stem);
  for (int i = 0; i < run->n; i++)
    g_free (run->row[i]);
  g_free (run->row);
  g_free (run->ours);
  g_free (run->earlier);
  g_string_free (run->others, TRUE);
  g_free (run->header);
  g_free (run->device);
}

/* An image that an earlier run finished. */
static void
note_earlier (Run *run, int i)
{
  const Earlier *earlier = &run->earlier[i];
  g_autofree char *line =
      g_strdup_printf ("%s: %s, %" G_GINT64_FORMAT " defect%s, from an earlier run", run->image[i],
                       notch_verdict_name[earlier->verdict], earlier->n_defects, earlier->n_defects == 1 ? "" : "s");
  count_image (run, i, earlier->verdict, earlier->n_defects, TRUE, NULL);
  run->pixels = 0;
  run->now.verdict = earlier->verdict;
  run->now.finished = line;
  tell (run, "reports", 1);
}

/* An image failed: it is told, counted and has its row, and the run goes on. */
static void
note_failure (Run *run, int i, const GError *error)
{
  GPtrArray *classes = run->classes->name;
  g_autoptr (GPtrArray) reason = g_ptr_array_new ();
  g_autofree gint64 *class_count = g_new0 (gint64, classes->len);
  g_ptr_array_add (reason, error->message);
  NotchResult nothing = {
    .path = run->image[i],
    .stem = run->stem[i],
    .device = run->device,
    .verdict = NOTCH_VERDICT_TROUBLE,
    .threshold = NAN,
    .z_rms = NAN,
    .shift_rms = NAN,
    .reason = reason,
    .class_name = classes,
    .class_count = class_count,
  };
  keep_row (run, i, &nothing);
  count_image (run, i, NOTCH_VERDICT_TROUBLE, 0, FALSE, error->message);
  run->now.verdict = NOTCH_VERDICT_TROUBLE;
  warn (run, error->message);
}

static gboolean
in_shard (const Run *run, int i)
{
  return run->options->n_shards == 0 || i % run->options->n_shards == run->options->shard - 1;
}

static gboolean
run_images (Run *run, GError **error)
{
  run->now.n_images = 0;
  for (int i = 0; i < run->n; i++)
    run->now.n_images += in_shard (run, i);
  for (int i = 0; i < run->n; i++) {
    g_autoptr (GError) failure = NULL;
    if (!in_shard (run, i))
      continue;
    run->now.image = run->image[i];
    run->now.index = run->summary->n_images;
    run->now.verdict = NOTCH_VERDICT_PASS;
    run->summary->n_images++;
    if (finished_before (run, i)) {
      note_earlier (run, i);
      continue;
    }
    if (!inspect_image (run, i, &failure)) {
      if (is_interrupted (run, failure)) {
        g_propagate_error (error, g_error_new_literal (NOTCH_ERROR, NOTCH_ERROR_CANCELLED,
                                                       "interrupted; what was finished is whole, --resume goes on"));
        return FALSE;
      }
      note_failure (run, i, failure);
    }
    run->pixels_before += run->pixels;
    if (!save_rows (run, error))
      return FALSE;
  }
  return TRUE;
}

static void
finish_json (Run *run, char **json)
{
  const struct {
    const char *name;
    gint64 value;
  } count[] = {
    { "images", run->summary->n_images },   { "pass", run->summary->n_pass },
    { "reject", run->summary->n_reject },   { "trouble", run->summary->n_trouble },
    { "skipped", run->summary->n_skipped }, { "defects", run->summary->n_defects },
  };
  json_builder_end_array (run->json);
  for (gsize i = 0; i < G_N_ELEMENTS (count); i++) {
    json_builder_set_member_name (run->json, count[i].name);
    json_builder_add_int_value (run->json, count[i].value);
  }
  json_builder_end_object (run->json);
  g_autoptr (JsonNode) root = json_builder_get_root (run->json);
  if (json)
    *json = notch_json_text (root);
}

gboolean
notch_inspect_run (char **images, const NotchInspectOptions *options, NotchProgressFunc progress, gpointer data,
                   NotchRunSummary *summary, char **json, GError **error)
{
  NotchRunSummary counted = { 0 };
  int n = (int) g_strv_length (images);
  const char *output = options->output ? options->output : "notch-out";
  Run run = {
    .options = options,
    .output = output,
    .image = images,
    .n = n,
    .stem = choose_stems (images, n, output),
    .row = g_new0 (char *, n + 1),
    .ours = g_new0 (gboolean, n + 1),
    .earlier = g_new0 (Earlier, n + 1),
    .others = g_string_new (NULL),
    .progress = progress,
    .data = data,
    .summary = &counted,
    .json = json_builder_new (),
  };
  run.now.step = "reading";
  gboolean well = prepare (&run, error);
  if (well) {
    json_builder_begin_object (run.json);
    json_text (&run, "version", notch_version ());
    json_text (&run, "device", run.device);
    json_text (&run, "output", run.output);
    json_builder_set_member_name (run.json, "inspected");
    json_builder_begin_array (run.json);
    if (options->resume || options->n_shards > 0)
      load_rows (&run);
    well = run_images (&run, error);
    finish_json (&run, json);
  }
  if (summary)
    *summary = counted;
  clear_run (&run);
  return well;
}
