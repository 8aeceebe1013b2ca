/* store.c - strips of a source that exists by formula only: the same rows whatever the budget, from any thread */
#include "config.h"

#include "inspect/image/store.h"

#include <string.h>
#include <sys/resource.h>

/* Sample x of row y is level (x, y). */
typedef struct {
  NotchSource source;
  gint64 n_rows;    /* read so far */
  gint64 next;      /* stream: where it stands */
  gint64 n_rewinds; /* stream: how often a row was behind */
  gint64 bad_row;   /* reading it fails; -1 for none */
} Formula;

static guint16
level (gint64 x, gint64 y)
{
  return (guint16) (x * 31 + y * 1009);
}

static gboolean
read_formula (NotchSource *source, gint64 y, gint64 n, void *to, int jobs, GError **error)
{
  Formula *formula = (Formula *) source;
  if (y < formula->next)
    formula->n_rewinds++;
  formula->next = y + n;
  formula->n_rows += n;
  if (y <= formula->bad_row && formula->bad_row < y + n) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: row %d is bad", source->path, (int) formula->bad_row);
    return FALSE;
  }
  for (gint64 i = 0; i < n * source->width; i++)
    ((guint16 *) to)[i] = level (i % source->width, y + i / source->width);
  return TRUE;
}

static const NotchSourceFormat formula_format = { .name = "formula", .read_rows = read_formula };

static Formula
formula_of (gint64 width, gint64 height, gint64 block_rows, gboolean random_access)
{
  return (Formula){ .source = { .format = &formula_format,
                                .path = (char *) "formula",
                                .width = width,
                                .height = height,
                                .sample = NOTCH_SAMPLE_U16,
                                .block_rows = block_rows,
                                .random_access = random_access },
                    .bad_row = -1 };
}

static gboolean
is_asked (const NotchRows *rows, int n_ranges, gint64 y)
{
  for (int i = 0; i < n_ranges; i++)
    if (y >= rows[i].y && (double) y - (double) rows[i].y < (double) rows[i].n) /* no overflow */
      return TRUE;
  return FALSE;
}

static void
check_strip (const NotchStrip *strip, const NotchSource *source, const NotchRows *rows, int n_ranges)
{
  const NotchPixels *pixels = notch_strip_pixels (strip);
  g_assert_cmpint (pixels->sample, ==, source->sample);
  g_assert_cmpint (pixels->width, ==, source->width);
  g_assert_cmpint (pixels->height, ==, source->height);
  gint64 n_seen = 0, n_asked = 0;
  for (gint64 y = 0; y < source->height; y++)
    n_asked += is_asked (rows, n_ranges, y);
  for (gint64 i = 0; i < pixels->n_rows; i++) {
    gint64 y = pixels->y + i;
    const guint16 *row = pixels->row[i];
    g_assert_cmpint (row != NULL, ==, is_asked (rows, n_ranges, y));
    if (row == NULL)
      continue;
    n_seen++;
    for (gint64 x = 0; x < source->width; x++)
      g_assert_cmpint (row[x], ==, level (x, y));
    g_assert_cmpfloat (notch_sample_at (row, pixels->sample, 0), ==, level (0, y));
  }
  g_assert_cmpint (n_seen, ==, n_asked);
  g_assert_true (n_asked == 0 || (pixels->row[0] != NULL && pixels->row[pixels->n_rows - 1] != NULL));
}

static void
test_budgets (void)
{
  static const guint64 budgets[] = { 0, 1, 20000, 100000, (guint64) 1 << 30 };
  static const gint64 blocks[] = { 1, 16, 100, 5000 };
  for (gsize b = 0; b < G_N_ELEMENTS (budgets); b++)
    for (gsize k = 0; k < G_N_ELEMENTS (blocks); k++)
      for (int random_access = 0; random_access < 2; random_access++) {
        Formula formula = formula_of (57, 1003, blocks[k], random_access);
        g_autoptr (NotchStore) store = notch_store_new (&formula.source, budgets[b], 2);
        g_autoptr (GRand) rand = g_rand_new_with_seed (5);
        NotchStrip *kept[3] = { NULL, NULL, NULL };
        for (int turn = 0; turn < 40; turn++) {
          NotchRows rows[4];
          int n_ranges = g_rand_int_range (rand, 1, 5);
          for (int i = 0; i < n_ranges; i++)
            rows[i] = (NotchRows){ g_rand_int_range (rand, -200, 1200), g_rand_int_range (rand, 0, 250) };
          GError *error = NULL;
          NotchStrip *strip = notch_store_strip (store, rows, n_ranges, &error);
          g_assert_no_error (error);
          check_strip (strip, &formula.source, rows, n_ranges);
          notch_strip_release (kept[turn % 3]); /* three strips live side by side */
          kept[turn % 3] = strip;
        }
        for (int i = 0; i < 3; i++)
          notch_strip_release (kept[i]);
        if (budgets[b] == (guint64) 1 << 30) { /* all of it fits: no row is read twice */
          g_assert_cmpint (formula.n_rows, <=, 1003);
          g_assert_cmpint (formula.n_rewinds, ==, random_access ? formula.n_rewinds : 0);
        }
      }
}

static void
test_outside (void)
{
  Formula formula = formula_of (5, 90, 1, TRUE);
  g_autoptr (NotchStore) store = notch_store_new (&formula.source, 1 << 20, 1);
  static const NotchRows cases[][2] = { { { -50, 50 }, { 90, 10 } },
                                        { { G_MININT64, 10 }, { G_MAXINT64, G_MAXINT64 } },
                                        { { 10, 0 }, { 20, -5 } },
                                        { { -10, 20 }, { 80, G_MAXINT64 } },
                                        { { -1, G_MAXINT64 }, { 5, 5 } } };
  static const gint64 first[] = { 0, 0, 0, 0, 0 }, n[] = { 0, 0, 0, 90, 90 };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (NotchStrip) strip = notch_store_strip (store, cases[i], 2, NULL);
    g_assert_nonnull (strip);
    g_assert_cmpint (notch_strip_pixels (strip)->y, ==, first[i]);
    g_assert_cmpint (notch_strip_pixels (strip)->n_rows, ==, n[i]);
    check_strip (strip, &formula.source, cases[i], 2);
  }
}

/* A stream with room for all keeps what it decodes on its way down, and never starts again. */
static void
test_stream (void)
{
  Formula formula = formula_of (40, 2000, 1, FALSE);
  g_autoptr (NotchStore) store = notch_store_new (&formula.source, 1 << 20, 1);
  static const gint64 at[] = { 1900, 100, 900, 0, 1500 };
  for (gsize i = 0; i < G_N_ELEMENTS (at); i++) {
    NotchRows rows = { at[i], 30 };
    g_autoptr (NotchStrip) strip = notch_store_strip (store, &rows, 1, NULL);
    check_strip (strip, &formula.source, &rows, 1);
  }
  g_assert_cmpint (formula.n_rewinds, ==, 0);
  g_assert_cmpint (formula.n_rows, <=, 2000);
  /* With hardly any room the ranges of one strip are still read downwards: one start for it at most. */
  Formula narrow = formula_of (40, 2000, 1, FALSE);
  g_autoptr (NotchStore) small = notch_store_new (&narrow.source, 6000, 1);
  for (int turn = 0; turn < 5; turn++) {
    NotchRows rows[] = { { 1500, 10 }, { 20, 10 }, { 800, 10 } };
    g_autoptr (NotchStrip) strip = notch_store_strip (small, rows, 3, NULL);
    check_strip (strip, &narrow.source, rows, 3);
  }
  g_assert_cmpint (narrow.n_rewinds, <=, 4);
}

static void
test_failure (void)
{
  Formula formula = formula_of (40, 500, 1, TRUE);
  formula.bad_row = 300;
  g_autoptr (NotchStore) store = notch_store_new (&formula.source, 1 << 20, 1);
  NotchRows rows = { 0, 500 };
  for (int turn = 0; turn < 2; turn++) {
    GError *error = NULL;
    g_autoptr (NotchStrip) strip = notch_store_strip (store, &rows, 1, &error);
    g_assert_null (strip);
    g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
    g_assert_cmpstr (error->message, ==, "formula: row 300 is bad");
    g_clear_error (&error);
  }
  formula.bad_row = -1;
  g_autoptr (NotchStrip) strip = notch_store_strip (store, &rows, 1, NULL);
  check_strip (strip, &formula.source, &rows, 1);
}

/* Counted: the rows stay until the last one lets go, even when the store is gone. */
static void
test_counted (void)
{
  Formula formula = formula_of (40, 500, 1, TRUE);
  NotchStore *store = notch_store_new (&formula.source, 0, 1);
  NotchRows rows = { 100, 300 };
  NotchStrip *strip = notch_store_strip (store, &rows, 1, NULL);
  NotchStrip *again = notch_strip_acquire (strip);
  notch_strip_release (strip);
  check_strip (again, &formula.source, &rows, 1);
  notch_store_free (store);
  check_strip (again, &formula.source, &rows, 1);
  notch_strip_release (again);
  notch_strip_release (NULL);
  notch_store_free (NULL);
}

typedef struct {
  NotchStrip *strip;
  const NotchSource *source;
  NotchRows rows;
} Reading;

static gpointer
read_and_release (gpointer data)
{
  Reading *reading = data;
  check_strip (reading->strip, reading->source, &reading->rows, 1);
  notch_strip_release (reading->strip);
  return NULL;
}

static void
test_threads (void)
{
  static const guint64 budgets[] = { 0, 30000, 1 << 20 };
  for (gsize b = 0; b < G_N_ELEMENTS (budgets); b++) {
    Formula formula = formula_of (33, 800, 8, TRUE);
    NotchStore *store = notch_store_new (&formula.source, budgets[b], 1);
    Reading reading[4];
    GThread *thread[4] = { NULL, NULL, NULL, NULL };
    g_autoptr (GRand) rand = g_rand_new_with_seed (7);
    for (int turn = 0; turn < 200; turn++) {
      int k = turn % 4;
      if (thread[k] != NULL)
        g_thread_join (thread[k]);
      reading[k] = (Reading){ .source = &formula.source, .rows = { g_rand_int_range (rand, -20, 780), 90 } };
      reading[k].strip = notch_store_strip (store, &reading[k].rows, 1, NULL);
      g_assert_nonnull (reading[k].strip);
      if (turn % 3 == 0) {
        NotchStrip *mine = notch_strip_acquire (reading[k].strip);
        thread[k] = g_thread_new ("reader", read_and_release, &reading[k]);
        notch_strip_release (mine);
      } else {
        thread[k] = g_thread_new ("reader", read_and_release, &reading[k]);
      }
    }
    notch_store_free (store); /* the last strips outlive it */
    for (int k = 0; k < 4; k++)
      g_thread_join (thread[k]);
  }
}

static void
test_no_memory (void)
{
#ifdef NOTCH_SANITIZE
  g_test_skip ("a sanitizer needs more address space than this test leaves");
#else
  if (!g_test_subprocess ()) {
    g_test_trap_subprocess (NULL, 0, 0);
    g_test_trap_assert_passed ();
    return;
  }
  struct rlimit limit = { (rlim_t) 1 << 28, (rlim_t) 1 << 28 };
  g_assert_cmpint (setrlimit (RLIMIT_AS, &limit), ==, 0);
  Formula formula = formula_of (1 << 18, 1 << 20, 1, TRUE); /* rows of 512 KiB */
  g_autoptr (NotchStore) store = notch_store_new (&formula.source, 1 << 20, 1);
  GError *error = NULL;
  NotchRows rows = { 0, 4096 };
  g_autoptr (NotchStrip) strip = notch_store_strip (store, &rows, 1, &error);
  g_assert_null (strip);
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
  g_assert_true (g_pattern_match_simple ("formula: no memory: up to 2048 MiB*MiB are in use*", error->message));
  g_clear_error (&error);
#endif
}

/* What is in memory already has strips like a file. */
static void
test_memory (void)
{
  const gint64 width = 37, height = 300;
  float *values = g_new (float, width *height);
  for (gint64 i = 0; i < width * height; i++)
    values[i] = (float) i;
  g_autoptr (NotchSource) source = notch_source_from_memory ("mesh", width, height, NOTCH_SAMPLE_F32, values);
  g_autoptr (NotchStore) store = notch_store_new (source, 1 << 20, 2);
  const NotchRows rows = { 200, 7 };
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchStrip) strip = notch_store_strip (store, &rows, 1, &error);
  g_assert_no_error (error);
  const NotchPixels *pixels = notch_strip_pixels (strip);
  for (gint64 y = 200; y < 207; y++)
    for (gint64 x = 0; x < width; x++)
      g_assert_cmpfloat (notch_sample_at (pixels->row[y - pixels->y], pixels->sample, x), ==, (float) (y * width + x));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/store/budgets", test_budgets);
  g_test_add_func ("/store/outside", test_outside);
  g_test_add_func ("/store/stream", test_stream);
  g_test_add_func ("/store/failure", test_failure);
  g_test_add_func ("/store/counted", test_counted);
  g_test_add_func ("/store/threads", test_threads);
  g_test_add_func ("/store/no-memory", test_no_memory);
  g_test_add_func ("/store/memory", test_memory);
  return g_test_run ();
}
