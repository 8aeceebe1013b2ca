/* bench.c - a benchmark's rounds, and its figures as a table and as CSV */
#include "inspect/bench/bench.h"
#include "inspect/compute/device.h"
#include "inspect/image/write.h"
#include "inspect/report/report.h"

#include <math.h>
#include <string.h>
#include <time.h>

#define DEFAULT_SIZE 4096
#define LEAST_SIZE   1024
#define MOST_SIZE    32768
#define ROUNDS       3
#define MOST_ROUNDS  1000

static const char *const part_name[] = { "limit", "stage", "host", "image", "classifier" };

double
notch_bench_now (void)
{
  struct timespec now;
  clock_gettime (CLOCK_MONOTONIC, &now);
  return (double) now.tv_sec + 1e-9 * (double) now.tv_nsec;
}

gboolean
notch_bench_go_on (const NotchBench *bench, double done)
{
  return !bench->step || bench->step (bench->now, (bench->steps - 1 + done) / bench->n_steps, bench->data);
}

gboolean
notch_bench_next (NotchBench *bench, const char *step, GError **error)
{
  bench->steps++;
  bench->now = step;
  if (notch_bench_go_on (bench, 0))
    return TRUE;
  g_set_error_literal (error, NOTCH_ERROR, NOTCH_ERROR_CANCELLED, "interrupted");
  return FALSE;
}

static void
row_free (gpointer data)
{
  NotchBenchRow *row = data;
  g_array_unref (row->ns);
  g_free (row);
}

void
notch_bench_note (NotchBench *bench, NotchBenchPart part, const char *name, int lanes, double bytes_px, double ns)
{
  NotchBenchRow *row = NULL;
  for (guint i = 0; i < bench->row->len && !row; i++) {
    NotchBenchRow *one = bench->row->pdata[i];
    if (one->part == part && one->lanes == lanes && strcmp (one->name, name) == 0)
      row = one;
  }
  if (!row) {
    row = g_new0 (NotchBenchRow, 1);
    *row = (NotchBenchRow){ part, name, lanes, bytes_px, g_array_new (FALSE, FALSE, sizeof (double)) };
    g_ptr_array_add (bench->row, row);
  }
  g_array_append_val (row->ns, ns);
}

/* ---- figures --------------------------------------------------------------------------------------------------- */

static int
compare_doubles (gconstpointer a, gconstpointer b)
{
  double x = *(const double *) a, y = *(const double *) b;
  return (x > y) - (x < y);
}

static double
value_of (const NotchBenchRow *row, guint i)
{
  return g_array_index (row->ns, double, i);
}

static double
median_of (const NotchBenchRow *row)
{
  return 0.5 * (value_of (row, (row->ns->len - 1) / 2) + value_of (row, row->ns->len / 2));
}

/* Bytes a nanosecond. */
static double
rate_of (const NotchBenchRow *row)
{
  return row->bytes_px / median_of (row);
}

/* What bounds a row: what the same lanes copied; on the way up to a device, what pinned memory gave. */
static double
limit_of (const NotchBench *bench, const NotchBenchRow *row)
{
  const gboolean way_up =
      row->part == NOTCH_BENCH_HOST || (row->part == NOTCH_BENCH_IMAGE && bench->compute.kernels->up);
  double limit = 0;
  for (guint i = 0; i < bench->row->len; i++) {
    const NotchBenchRow *one = bench->row->pdata[i];
    if (way_up ? one->part == NOTCH_BENCH_HOST && strcmp (one->name, "pinned") == 0
               : one->part == NOTCH_BENCH_LIMIT && one->lanes == row->lanes)
      limit = rate_of (one);
  }
  return limit;
}

/* What is not known stays empty. */
static void
append_figures (GString *text, gboolean known, const double *figure, guint n)
{
  for (guint k = 0; k < n; k++) {
    g_string_append_c (text, ',');
    notch_append_number (text, known ? figure[k] : NAN, 6);
  }
}

static char *
make_csv (const NotchBench *bench, const char *device)
{
  GString *text = g_string_new ("device,part,name,lanes,rounds,ns_per_px,ns_per_px_least,ns_per_px_most,Mpx_per_s,"
                                "bytes_per_px,GB_per_s,share_of_copy,ns_per_item,ns_per_item_least,ns_per_item_most,"
                                "items_per_s\n");
  for (guint i = 0; i < bench->row->len; i++) {
    const NotchBenchRow *row = bench->row->pdata[i];
    notch_append_field (text, device);
    g_string_append_printf (text, ",%s,%s,%d,%u", part_name[row->part], row->name, row->lanes, row->ns->len);
    const double median = median_of (row), least = value_of (row, 0), most = value_of (row, row->ns->len - 1);
    const double pixel[] = {
      median, least, most, 1e3 / median, row->bytes_px, rate_of (row), rate_of (row) / limit_of (bench, row)
    };
    const double item[] = { median, least, most, 1e9 / median };
    const gboolean of_items = row->part == NOTCH_BENCH_CLASSIFIER;
    append_figures (text, !of_items, pixel, G_N_ELEMENTS (pixel));
    append_figures (text, of_items, item, G_N_ELEMENTS (item));
    g_string_append_c (text, '\n');
  }
  return g_string_free (text, FALSE);
}

static void
append_column (GString *text, double value, int decimals, int width)
{
  g_autoptr (GString) number = g_string_new (NULL);
  notch_append_number (number, value, decimals);
  g_string_append_printf (text, "%*s", width, number->str);
}

/* Median, least and most. */
static void
append_spread (GString *text, const NotchBenchRow *row, int decimals, int width)
{
  append_column (text, median_of (row), decimals, width);
  append_column (text, value_of (row, 0), decimals, width + 1);
  g_string_append (text, " to");
  append_column (text, value_of (row, row->ns->len - 1), decimals, width);
}

/* Rows of one part and so many lanes, below their header. */
static void
append_rows (GString *text, const NotchBench *bench, const char *header, NotchBenchPart part, int lanes)
{
  g_string_append_printf (text, "\n%-23s   ns/px    least to most     Mpx/s    B/px     GB/s   of copy\n", header);
  for (guint i = 0; i < bench->row->len; i++) {
    const NotchBenchRow *row = bench->row->pdata[i];
    if (row->lanes != lanes || (row->part != part && !(part == NOTCH_BENCH_STAGE && row->part == NOTCH_BENCH_LIMIT)))
      continue;
    g_string_append_printf (text, "%-23s", row->name);
    append_spread (text, row, 3, 8);
    append_column (text, 1e3 / median_of (row), 1, 10);
    append_column (text, row->bytes_px, 2, 8);
    append_column (text, rate_of (row), 3, 9);
    append_column (text, 100 * rate_of (row) / limit_of (bench, row), 2, 8);
    g_string_append (text, " %\n");
  }
}

/* Likewise of classifiers. */
static void
append_items (GString *text, const NotchBench *bench, int threads)
{
  g_autofree char *header =
      threads == 1 ? g_strdup ("classifiers, 1 thread") : g_strdup_printf ("classifiers, %d threads", threads);
  g_string_append_printf (text, "\n%-23s     ns/item        least to most         items/s\n", header);
  for (guint i = 0; i < bench->row->len; i++) {
    const NotchBenchRow *row = bench->row->pdata[i];
    if (row->part != NOTCH_BENCH_CLASSIFIER || row->lanes != threads)
      continue;
    g_string_append_printf (text, "%-23s", row->name);
    append_spread (text, row, 1, 12);
    append_column (text, 1e9 / median_of (row), 0, 14);
    g_string_append_c (text, '\n');
  }
}

static char *
make_report (const NotchBench *bench, const char *device)
{
  GString *text = g_string_new (NULL);
  const NotchCompute *compute = &bench->compute;
  int lanes = compute->kernels->workers (compute->device[0], compute->jobs);
  g_string_append_printf (
      text,
      "notch %s on %s\nmedians of %d round%s; GB/s are counted bytes, read and written; \"tile\" is "
      "gather to patch\n",
      notch_version (), device, bench->rounds, bench->rounds == 1 ? "" : "s");
  append_rows (text, bench, "one lane", NOTCH_BENCH_STAGE, 1);
  g_autofree char *all = g_strdup_printf ("%d lanes together", lanes);
  if (lanes > 1)
    append_rows (text, bench, all, NOTCH_BENCH_STAGE, lanes);
  if (compute->kernels->up)
    append_rows (text, bench, "up to the device", NOTCH_BENCH_HOST, 1);
  if (compute->jobs > 1 && compute->kernels == &notch_kernels_cpu)
    append_items (text, bench, 1);
  append_items (text, bench, compute->jobs);
  if (bench->stages_only)
    return g_string_free (text, FALSE);
  g_autofree char *image = g_strdup_printf ("image %" G_GINT64_FORMAT "x%" G_GINT64_FORMAT, bench->size, bench->size);
  append_rows (text, bench, image, NOTCH_BENCH_IMAGE, lanes);
  return g_string_free (text, FALSE);
}

/* ---- the benchmark --------------------------------------------------------------------------------------------- */

static gboolean
check_options (const NotchBench *bench, GError **error)
{
  if (bench->size < LEAST_SIZE || bench->size > MOST_SIZE)
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
                 "an image of %" G_GINT64_FORMAT " px is no benchmark; it may have %d to %d px a side", bench->size,
                 LEAST_SIZE, MOST_SIZE);
  else if (bench->rounds < 1 || bench->rounds > MOST_ROUNDS)
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE, "%d rounds are no benchmark; there may be 1 to %d",
                 bench->rounds, MOST_ROUNDS);
  else
    return TRUE;
  return FALSE;
}

gboolean
notch_bench (const NotchBenchOptions *options, NotchBenchStep step, gpointer data, char **report, GError **error)
{
  NotchBench bench = {
    .rounds = options->rounds ? options->rounds : ROUNDS,
    .size = options->size ? options->size : DEFAULT_SIZE,
    .stages_only = options->stages_only,
    .step = step,
    .data = data,
  };
  *report = NULL;
  if (!check_options (&bench, error) || (options->csv && !notch_can_write (options->csv, error)))
    return FALSE;
  if (!notch_compute_open (&bench.compute, options->device, 1, options->jobs, NULL, error))
    return FALSE;
  g_autofree char *device = notch_compute_describe (&bench.compute);
  bench.row = g_ptr_array_new_with_free_func (row_free);
  bench.n_steps = notch_bench_stages_steps (&bench) + notch_bench_host_steps (&bench)
                  + notch_bench_classifiers_steps (&bench)
                  + (bench.stages_only ? 0 : notch_bench_images_steps (&bench));
  gboolean well = (bench.stages_only || notch_bench_images (&bench, error)) && notch_bench_stages (&bench, error)
                  && notch_bench_host (&bench, error) && notch_bench_classifiers (&bench, error);
  for (guint i = 0; i < bench.row->len; i++)
    g_array_sort (((NotchBenchRow *) bench.row->pdata[i])->ns, compare_doubles);
  *report = well ? make_report (&bench, device) : NULL;
  if (well && options->csv) {
    g_autofree char *csv = make_csv (&bench, device);
    well = notch_write_file (options->csv, csv, (gssize) strlen (csv), error);
  }
  g_ptr_array_unref (bench.row);
  notch_compute_close (&bench.compute);
  return well;
}
