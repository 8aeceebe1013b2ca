/* plots.c - pictures of a classifier's figures */
#include "inspect/validate/plots.h"

#include "inspect/random.h"

#include <glib/gstdio.h>
#include <math.h>

/* Where pictures go: away afterwards, or into the folder that NOTCH_KEEP names, to be looked at. */
static char *
picture_path (const char *name)
{
  const char *keep = g_getenv ("NOTCH_KEEP");
  return g_build_filename (keep ? keep : g_get_tmp_dir (), name, NULL);
}

/* A PNG file of a size. */
static void
check_picture (const char *path, guint width, guint height)
{
  g_autofree char *bytes = NULL;
  gsize n;
  g_assert_true (g_file_get_contents (path, &bytes, &n, NULL));
  g_assert_cmpuint (n, >, 1000);
  g_assert_cmpmem (bytes, 8, "\x89PNG\r\n\x1a\n", 8);
  guint32 size[2];
  memcpy (size, bytes + 16, sizeof size);
  g_assert_cmpuint (GUINT32_FROM_BE (size[0]), ==, width);
  g_assert_cmpuint (GUINT32_FROM_BE (size[1]), ==, height);
  if (!g_getenv ("NOTCH_KEEP"))
    g_remove (path);
}

/* A classifier that is right three times of four and errs to the next class. */
static NotchMetrics *
make_metrics (int c)
{
  enum { MANY = 4000 };
  g_autofree int *truth = g_new (int, MANY), *called = g_new (int, MANY), *wafer = g_new (int, MANY);
  g_autofree float *p = g_new0 (float, MANY *(gsize) c);
  NotchRandom random = { 3 };
  for (int i = 0; i < MANY; i++) {
    truth[i] = notch_random_below (&random, c);
    double sure = notch_random_between (&random, 0.5, 1);
    int said = notch_random_unit (&random) < sure ? truth[i] : (truth[i] + 1) % c;
    called[i] = sure < 0.6 ? c : said;
    wafer[i] = i % 7;
    p[i * c + said] = (float) sure;
    p[i * c + (said + 1) % c] = (float) (1 - sure);
  }
  return notch_metrics_new (truth, called, wafer, p, MANY, c, 1);
}

static void
test_confusion (void)
{
  static const char *const names[] = { "bridge",  "cd",        "chip", "discoloration", "extra", "haze",
                                       "missing", "mousebite", "open", "particle",      "pit",   "residue",
                                       "ring",    "scratch",   "spur", "stain" };
  static const int size[] = { 2, 16 };
  for (guint i = 0; i < G_N_ELEMENTS (size); i++) {
    g_autoptr (NotchMetrics) m = make_metrics (size[i]);
    g_autoptr (GError) error = NULL;
    g_autofree char *name = g_strdup_printf ("notch-confusion-%d.png", size[i]), *path = picture_path (name);
    g_assert_true (notch_plot_confusion (m, names, path, &error));
    g_assert_no_error (error);
    g_autofree char *bytes = NULL;
    g_assert_true (g_file_get_contents (path, &bytes, NULL, NULL));
    guint32 width;
    memcpy (&width, bytes + 16, sizeof width);
    check_picture (path, GUINT32_FROM_BE (width), GUINT32_FROM_BE (*(const guint32 *) (const void *) (bytes + 20)));
    g_assert_cmpuint (GUINT32_FROM_BE (width), >=, 42 * 17);
  }
}

static void
test_reliability (void)
{
  g_autoptr (NotchMetrics) m = make_metrics (4);
  g_autoptr (GError) error = NULL;
  g_autofree char *path = picture_path ("notch-reliability.png");
  g_assert_true (notch_plot_reliability (m, 1.3, path, &error));
  g_assert_no_error (error);
  check_picture (path, 1260, 650);
}

static void
test_nuisance (void)
{
  double score[2000];
  gboolean nuisance[2000];
  NotchRandom random = { 8 };
  for (int i = 0; i < 2000; i++) {
    nuisance[i] = i % 2;
    score[i] = sqrt (notch_random_unit (&random)) * (nuisance[i] ? 1 : 0.5);
  }
  g_autoptr (GArray) curve = notch_nuisance_curve (score, nuisance, 2000);
  NotchNuisancePoint chosen = notch_nuisance_at (curve, 0.995);
  g_autoptr (GError) error = NULL;
  g_autofree char *path = picture_path ("notch-nuisance.png");
  g_assert_true (notch_plot_nuisance (curve, &chosen, path, &error));
  g_assert_no_error (error);
  check_picture (path, 800, 590);
}

static void
test_learning (void)
{
  double loss[30], held_loss[30], accuracy[30], held_accuracy[30];
  for (int i = 0; i < 30; i++) {
    loss[i] = 2.3 * exp (-i / 6.0) + 0.1;
    held_loss[i] = i == 3 ? NAN : 2.3 * exp (-i / 6.0) + 0.2 + 0.006 * i;
    accuracy[i] = 1 - 0.8 * exp (-i / 5.0);
    held_accuracy[i] = 0.95 - 0.75 * exp (-i / 5.0);
  }
  g_autoptr (GError) error = NULL;
  g_autofree char *path = picture_path ("notch-learning.png");
  g_assert_true (
      notch_plot_learning (&(NotchLearning){ 30, loss, held_loss, accuracy, held_accuracy, 24 }, path, &error));
  g_assert_no_error (error);
  check_picture (path, 1340, 590);
  g_assert_false (notch_plot_learning (&(NotchLearning){ 1, loss, held_loss, accuracy, held_accuracy, 0 },
                                       "/nowhere/to/be.png", &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_WRITE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/plots/confusion", test_confusion);
  g_test_add_func ("/plots/reliability", test_reliability);
  g_test_add_func ("/plots/nuisance", test_nuisance);
  g_test_add_func ("/plots/learning", test_learning);
  return g_test_run ();
}
