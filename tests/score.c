/* score.c - tables, statistics and matching */
#include "inspect/score/score.h"
#include "inspect/csv.h"
#include "inspect/random.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

typedef struct {
  char *folder, *truth, *found;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  f->folder = g_dir_make_tmp ("notch-score-XXXXXX", NULL);
  g_assert_nonnull (f->folder);
  f->truth = g_build_filename (f->folder, "truth.csv", NULL);
  f->found = g_build_filename (f->folder, "defects.csv", NULL);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  g_remove (f->truth);
  g_remove (f->found);
  g_assert_cmpint (g_rmdir (f->folder), ==, 0);
  g_free (f->folder);
  g_free (f->truth);
  g_free (f->found);
}

static gboolean
score_one (const Fixture *f, const NotchScoreOptions *options, NotchScore *score, char **report, char **json,
           GError **error)
{
  return notch_score (&(NotchScorePair){ f->truth, f->found }, 1, options, score, report, json, error);
}

static void
write_text (const char *path, const char *text)
{
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

static void
test_csv (Fixture *f, gconstpointer data)
{
  write_text (f->truth,
              "\xef\xbb\xbfname, x ,\"a \"\"b\"\"\"\r\n\r\n\"one, two\",1.5,\r\n\"two\nlines\",-2e1,z\nlast,,z");
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchCsv) csv = notch_csv_load (f->truth, &error);
  double x;
  g_assert_no_error (error);
  g_assert_cmpint (csv->n_columns, ==, 3);
  g_assert_cmpint (notch_csv_column (csv, "x"), ==, 1);
  g_assert_cmpint (notch_csv_column (csv, "a \"b\""), ==, 2);
  g_assert_cmpint (notch_csv_column (csv, "y"), ==, -1);
  g_assert_cmpuint (csv->row->len, ==, 3);
  g_assert_cmpstr (notch_csv_text (csv, 0, 0), ==, "one, two");
  g_assert_cmpstr (notch_csv_text (csv, 0, 2), ==, "");
  g_assert_cmpstr (notch_csv_text (csv, 1, 0), ==, "two\nlines");
  g_assert_cmpint (g_array_index (csv->line, gint64, 1), ==, 4);
  g_assert_cmpint (g_array_index (csv->line, gint64, 2), ==, 6);
  g_assert_true (notch_csv_number (csv, 1, 1, &x, &error));
  g_assert_cmpfloat (x, ==, -20);
  g_assert_true (notch_csv_number (csv, 2, 1, &x, &error));
  g_assert_true (isnan (x));
  g_assert_false (notch_csv_number (csv, 2, 2, &x, &error));
  g_assert_nonnull (strstr (error->message, "line 6: a \"b\" is \"z\", which is no number"));
}

static void
test_csv_trouble (Fixture *f, gconstpointer data)
{
  static const char *const bad[][2] = {
    { "a,b\n1,2\n1,2,3\n", "line 3 has 3 fields where the header has 2" },
    { "a,b\n1,2\n\"1,2\n\n", "line 3: a quote is opened and never closed" },
    { "", "is empty" },
    { "\n\n", "is empty" },
  };
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;
    write_text (f->truth, bad[i][0]);
    g_assert_null (notch_csv_load (f->truth, &error));
    g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
    g_assert_nonnull (strstr (error->message, bad[i][1]));
    g_assert_nonnull (strstr (error->message, f->truth));
  }
  g_autoptr (GError) error = NULL;
  g_assert_null (notch_csv_load (f->folder, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
  g_clear_error (&error);
  g_assert_true (g_file_set_contents (f->truth, "a\0b", 3, NULL));
  g_assert_null (notch_csv_load (f->truth, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
}

/* ---- statistics -------------------------------------------------------------------------------------------------- */

/* Roots of (p - k/n)^2 = z^2 p (1 - p) / n, which is how the interval is defined. */
static void
test_wilson (void)
{
  static const int trial[][2] = { { 8, 10 }, { 1, 10 }, { 50, 100 }, { 199, 200 } };
  double low, high;
  for (guint i = 0; i < G_N_ELEMENTS (trial); i++) {
    double n = trial[i][1], p = trial[i][0] / n;
    notch_score_wilson (trial[i][0], trial[i][1], &low, &high);
    g_assert_true (low < p && p < high);
    g_assert_cmpfloat_with_epsilon (fabs (low - p), 1.959964 * sqrt (low * (1 - low) / n), 1e-6);
    g_assert_cmpfloat_with_epsilon (fabs (high - p), 1.959964 * sqrt (high * (1 - high) / n), 1e-6);
  }
  notch_score_wilson (8, 10, &low, &high);
  g_assert_cmpfloat_with_epsilon (low, 0.4902, 1e-4);
  g_assert_cmpfloat_with_epsilon (high, 0.9433, 1e-4);
  notch_score_wilson (0, 10, &low, &high);
  g_assert_cmpfloat (low, ==, 0);
  g_assert_cmpfloat_with_epsilon (high, 0.2775, 1e-4);
  notch_score_wilson (10, 10, &low, &high);
  g_assert_cmpfloat_with_epsilon (low, 0.7225, 1e-4);
  g_assert_cmpfloat (high, ==, 1);
  notch_score_wilson (0, 0, &low, &high);
  g_assert_true (low == 0 && high == 1);
}

/* Of a count's interval P (X >= k) at the lower end and P (X <= k) at the upper are 1/40. */
static void
test_poisson (void)
{
  static const double known[][3] = {
    { 0, 0, 3.6889 }, { 1, 0.0253, 5.5716 }, { 10, 4.7954, 18.3904 }, { 100, 81.364, 121.627 }
  };
  for (guint i = 0; i < G_N_ELEMENTS (known); i++) {
    double low, high;
    notch_score_poisson ((int) known[i][0], &low, &high);
    g_assert_cmpfloat_with_epsilon (low, known[i][1], 1e-3);
    g_assert_cmpfloat_with_epsilon (high, known[i][2], 1e-3);
  }
  double low, high; /* large counts neither overflow nor lose their way */
  notch_score_poisson (100000, &low, &high);
  g_assert_cmpfloat_with_epsilon (low, 100000 - 1.96 * 316.2, 10);
  g_assert_cmpfloat_with_epsilon (high, 100000 + 1.96 * 316.2, 10);
}

static gboolean
fit_synthetic (double top, double middle, double slope, int n, NotchScoreCurve *curve)
{
  NotchRandom random = notch_random_at (5, NOTCH_STREAM_DEFECTS, n, 0);
  g_autofree double *snr = g_new (double, n);
  g_autofree gboolean *captured = g_new (gboolean, n);
  for (int i = 0; i < n; i++) {
    snr[i] = notch_random_between (&random, 2, 20);
    captured[i] = notch_random_unit (&random) < top / (1 + exp (-slope * (snr[i] - middle)));
  }
  return notch_score_fit (snr, captured, n, curve);
}

static void
test_fit (void)
{
  NotchScoreCurve curve;
  g_assert_true (fit_synthetic (1, 9, 0.8, 4000, &curve));
  g_assert_cmpfloat_with_epsilon (curve.snr50, 9, 0.25);
  g_assert_cmpfloat_with_epsilon (curve.snr90, 9 + log (9) / 0.8, 0.4);
  g_assert_true (fit_synthetic (0.8, 7, 1.2, 4000, &curve));
  g_assert_cmpfloat_with_epsilon (curve.top, 0.8, 0.04);
  g_assert_cmpfloat_with_epsilon (curve.middle, 7, 0.3);
  g_assert_true (isnan (curve.snr90));
  g_assert_true (fit_synthetic (1, 9, 1000, 200, &curve)); /* one SNR parts them: no finite slope fits best */
  g_assert_cmpfloat_with_epsilon (curve.snr50, 9, 0.3);
  g_assert_true (curve.snr90 > curve.snr50 && curve.snr90 < 10.5);
  g_assert_false (fit_synthetic (1, 9, 0.8, 19, &curve));
  g_assert_false (fit_synthetic (1, -20, 1, 500, &curve)); /* nothing is missed */
  g_assert_false (fit_synthetic (1, 11, -2, 500, &curve)); /* falls with SNR */
}

/* An interval holds the truth in about 95 of 100 samples, and that of the gap too, which is narrower than if both were
 * sampled apart. */
static void
test_bootstrap (void)
{
  enum { N = 300, SAMPLES = 40 };
  int holds = 0, gap_holds = 0;
  double gap_width = 0, width = 0;
  for (int sample = 0; sample < SAMPLES; sample++) {
    NotchRandom random = notch_random_at (9, NOTCH_STREAM_DEFECTS, sample, 1);
    double snr[N];
    gboolean one[N], two[N];
    for (int i = 0; i < N; i++) {
      snr[i] = notch_random_between (&random, 2, 20);
      double chance = notch_random_unit (&random);
      one[i] = chance < 1 / (1 + exp (-(snr[i] - 10)));
      two[i] = chance < 1 / (1 + exp (-(snr[i] - 9)));
    }
    NotchScoreCurve a, b;
    NotchScoreSpread spread;
    g_assert_true (notch_score_fit (snr, one, N, &a) && notch_score_fit (snr, two, N, &b));
    if (isnan (a.snr90) || isnan (b.snr90))
      continue;
    notch_score_bootstrap (snr, one, &a, two, &b, N, &spread);
    holds += spread.snr90.low < 10 + log (9) && 10 + log (9) < spread.snr90.high;
    gap_holds += spread.gap.low < 1 && 1 < spread.gap.high;
    gap_width += spread.gap.high - spread.gap.low;
    width += spread.snr90.high - spread.snr90.low;
  }
  g_assert_cmpint (holds, >=, 34);
  g_assert_cmpint (gap_holds, >=, 34);
  g_assert_cmpfloat (gap_width, <, 1.2 * width);
}

/* ---- matching ---------------------------------------------------------------------------------------------------- */

static void
test_matching (Fixture *f, gconstpointer data)
{
  /* a point of 3 x 3, a scratch of 100 x 4 and 250 px, a large round stain, a point that nobody finds */
  write_text (f->truth, "id,type,x,y,w,h,snr,area_px\n1,particle,100,100,3,3,9,7\n2,scratch,300,200,100,4,11,250\n"
                        "3,stain,500,500,30,30,14,700\n4,particle,700,700,3,3,5,7\n");
  write_text (f->found, "defect_id,x_px,y_px,peak_snr,class\n"
                        "1,103.4,100,8,particle\n"  /* 1.9 from the box */
                        "2,100,103.6,8,particle\n"  /* 2.1: false */
                        "3,260,201,9,scratch\n"     /* both on the scratch */
                        "4,340,209,7,other\n"       /* sqrt (250) / 2 = 7.9 */
                        "5,340,211,7,other\n"       /* 9: false */
                        "6,500,525,12,particle\n"); /* 10, under sqrt (700) / 2 = 13.2; another class */
  NotchScoreOptions options = { .megapixels = 2 };
  NotchScore score;
  g_autofree char *report = NULL, *json = NULL;
  g_autoptr (GError) error = NULL;
  score_one (f, &options, &score, &report, &json, &error);
  g_assert_no_error (error);
  g_assert_cmpint (score.n_truth, ==, 4);
  g_assert_cmpint (score.n_captured, ==, 3);
  g_assert_cmpint (score.n_detections, ==, 6);
  g_assert_cmpint (score.n_false, ==, 2);
  g_assert_cmpint (score.n_split, ==, 1);
  g_assert_cmpint (score.n_class_right, ==, 2);
  g_assert_cmpfloat_with_epsilon (score.localisation_px, 3.4, 1e-9);
  g_assert_cmpfloat_with_epsilon (score.localisation_all_px, sqrt ((3.4 * 3.4 + 40 * 40 + 1 + 25 * 25) / 3), 1e-9);
  g_assert_true (isnan (score.snr50));
  g_assert_nonnull (strstr (report, "captured       3 of 4, 75.0 %"));
  g_assert_nonnull (strstr (report, "false alarms   2, 1 per Mpx"));
  g_assert_nonnull (strstr (report, "not to be had"));
  g_assert_nonnull (strstr (json, "\"false_alarms\" : 2"));
  g_assert_nonnull (strstr (json, "\"missed\" : [\n    \"4\"\n  ]"));
  g_clear_pointer (&report, g_free);
  g_clear_pointer (&json, g_free);

  options.snr_min = 10; /* what is found of the weak one is no false alarm */
  options.match_px = 1;
  score_one (f, &options, &score, &report, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (score.n_truth, ==, 2);
  g_assert_cmpint (score.n_captured, ==, 2);
  g_assert_cmpint (score.n_false, ==, 3);
  g_clear_pointer (&report, g_free);
  options = (NotchScoreOptions){ .classes = "stain,pti" };
  g_assert_false (score_one (f, &options, &score, &report, NULL, &error));
  g_assert_nonnull (strstr (error->message, "\"pti\"; they have particle, scratch, stain, other"));
  g_clear_error (&error);
  options.classes = NULL;
  const NotchScorePair swapped = { .truth = f->found, .defects = f->truth };
  g_assert_false (notch_score (&swapped, 1, &options, &score, &report, NULL, &error));
  g_assert_nonnull (strstr (error->message, "are the files swapped?"));
  g_clear_error (&error);
  options = (NotchScoreOptions){ .classes = "stain,pit" };
  score_one (f, &options, &score, &report, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (score.n_truth, ==, 1);
  g_assert_cmpint (score.n_false, ==, 2);
}

/* The nearest truth wins; places alone will do; the box may be given apart from the centroid. */
static void
test_nearest (Fixture *f, gconstpointer data)
{
  write_text (f->truth, "x,y\n10,10\n13,10\n");
  write_text (f->found, "x_px,y_px\n11.8,10\n");
  NotchScoreOptions options = { .match_px = 2 };
  NotchScore score;
  g_autofree char *report = NULL, *json = NULL;
  g_autoptr (GError) error = NULL;
  score_one (f, &options, &score, &report, &json, &error);
  g_assert_no_error (error);
  g_assert_cmpint (score.n_captured, ==, 1);
  g_assert_cmpint (score.n_class_right, ==, -1);
  g_assert_cmpfloat_with_epsilon (score.localisation_px, 1.2, 1e-9);
  g_clear_pointer (&report, g_free);
  g_clear_pointer (&json, g_free);
  write_text (f->truth, "x,y,w,h,box_x,box_y\n50,50,20,2,35,50\n");
  write_text (f->found, "x_px,y_px,peak_snr\n33,50,5\n57,50,9\n90,90,7\n91,95,6\n");
  score_one (f, &options, &score, &report, &json, &error);
  g_assert_no_error (error);
  g_assert_cmpint (score.n_captured, ==, 1); /* 33 is 1.5 from the box, 57 is 2.5 from it */
  g_assert_cmpint (score.n_split, ==, 0);
  g_assert_cmpint (score.n_false, ==, 3);
  g_assert_nonnull (strstr (json, "\"froc\""));
}

/* Two images: places of one do not match those of the other, counts add up, nuisances are neither. */
static void
test_several (Fixture *f, gconstpointer data)
{
  g_autofree char *truth = g_build_filename (f->folder, "truth-2.csv", NULL);
  g_autofree char *found = g_build_filename (f->folder, "found-2.csv", NULL);
  g_autofree char *froc = g_build_filename (f->folder, "froc.csv", NULL);
  g_autofree char *plot = g_build_filename (f->folder, "plot.png", NULL), *table = NULL;
  g_autofree char *report = NULL, *json = NULL;
  g_autoptr (GError) error = NULL;
  write_text (f->truth, "id,type,x,y,w,h,snr,nuisance\n1,particle,100,100,3,3,9,0\n2,grain,200,200,9,9,30,1\n");
  write_text (f->found, "x_px,y_px,peak_snr,class,width_px,height_px\n100,100,8,particle,6,3\n200,200,9,pit,9,9\n"
                        "400,400,6.5,pit,3,3\n");
  write_text (truth, "id,type,x,y,w,h,snr\n1,pit,400,400,3,3,7\n2,arc-scratch,600,600,60,60,12\n"
                     "3,nuisance-ler,402,400,9,9,30\n");
  write_text (found, "x_px,y_px,peak_snr,class,width_px,height_px\n400,400,6,pit,3,3\n100,100,5.5,pit,3,3\n");
  const NotchScorePair pair[] = { { f->truth, f->found }, { truth, found } };
  NotchScoreOptions options = { .megapixels = 2, .promised = 0.01, .froc = froc, .plot = plot };
  NotchScore score;
  notch_score (pair, 2, &options, &score, &report, &json, &error);
  g_assert_no_error (error);
  g_assert_cmpint (score.n_truth, ==, 3);
  g_assert_cmpint (score.n_captured, ==, 2);
  g_assert_cmpint (score.n_false, ==, 2);
  g_assert_cmpint (score.n_nuisance, ==, 2);
  g_assert_cmpint (score.n_nuisance_found, ==, 1); /* the pit beside the other takes its detection */
  g_assert_nonnull (strstr (report, "false alarms   2 in 2 images, 1 an image, 0.5 per Mpx"));
  g_assert_nonnull (strstr (report, "promised       0.02; with 2 the mean is 0.24 to 7.22 (95 % interval): more than"));
  g_assert_nonnull (strstr (report, "size           1.00 of the true one"));
  g_assert_nonnull (strstr (report, "points and blobs        2"));
  g_assert_nonnull (strstr (report, "scratches               1"));
  g_assert_nonnull (strstr (json, "\"missed\" : [\n    \"2:2\"\n  ]"));
  g_assert_true (g_file_get_contents (froc, &table, NULL, NULL));
  /* peaks 8 and 6, alarms 6.5 and 5.5 */
  g_assert_nonnull (strstr (table, "\nall,6.500,1,3,0.3333,0.0615,0.7923,0,0.0000,0.000000\n"
                                   "all,5.500,2,3,0.6667,0.2077,0.9385,1,0.5000,0.250000\n"
                                   "all,,2,3,0.6667,0.2077,0.9385,2,1.0000,0.500000\n"));
  g_assert_true (g_file_test (plot, G_FILE_TEST_EXISTS));
  g_remove (truth);
  g_remove (found);
  g_remove (froc);
  g_remove (plot);
  /* Without peaks there is nothing to put a threshold on. */
  options = (NotchScoreOptions){ .froc = froc };
  write_text (f->found, "x_px,y_px\n1,1\n");
  g_clear_pointer (&report, g_free);
  g_assert_false (score_one (f, &options, &score, &report, NULL, &error));
  g_assert_nonnull (strstr (error->message, "froc.csv: the defects have no peak_snr"));
}

static void
test_empty (Fixture *f, gconstpointer data)
{
  write_text (f->truth, "x,y\n");
  write_text (f->found, "x_px,y_px\n1,1\n");
  NotchScoreOptions options = { 0 };
  NotchScore score;
  g_autofree char *report = NULL;
  g_autoptr (GError) error = NULL;
  score_one (f, &options, &score, &report, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (score.n_truth, ==, 0);
  g_assert_cmpint (score.n_false, ==, 1);
}

static void
test_trouble (Fixture *f, gconstpointer data)
{
  static const char *const bad[][3] = {
    { "x,y\n1,2\n", "a,b\n1,2\n", "defects.csv: has no column x_px" },
    { "x\n1\n", "x_px,y_px\n1,2\n", "truth.csv: has no column y" },
    { "x,y\n1,2\n3,up\n", "x_px,y_px\n1,2\n", "truth.csv: line 3: y is \"up\"" },
    { "x,y\n1,2\n", "x_px,y_px\n,2\n", "defects.csv: line 2: a defect has no place" },
    { "x,y,snr\n1,2,inf\n", "x_px,y_px\n,2\n", "truth.csv: line 2: snr is \"inf\"" },
  };
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    NotchScoreOptions options = { 0 };
    NotchScore score;
    char *report = NULL;
    g_autoptr (GError) error = NULL;
    write_text (f->truth, bad[i][0]);
    write_text (f->found, bad[i][1]);
    g_assert_false (score_one (f, &options, &score, &report, NULL, &error));
    g_assert_null (report);
    g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
    g_assert_nonnull (strstr (error->message, bad[i][2]));
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/score/csv", Fixture, NULL, set_up, test_csv, tear_down);
  g_test_add ("/score/csv/trouble", Fixture, NULL, set_up, test_csv_trouble, tear_down);
  g_test_add_func ("/score/wilson", test_wilson);
  g_test_add_func ("/score/poisson", test_poisson);
  g_test_add_func ("/score/fit", test_fit);
  g_test_add_func ("/score/bootstrap", test_bootstrap);
  g_test_add ("/score/matching", Fixture, NULL, set_up, test_matching, tear_down);
  g_test_add ("/score/nearest", Fixture, NULL, set_up, test_nearest, tear_down);
  g_test_add ("/score/several", Fixture, NULL, set_up, test_several, tear_down);
  g_test_add ("/score/empty", Fixture, NULL, set_up, test_empty, tear_down);
  g_test_add ("/score/trouble", Fixture, NULL, set_up, test_trouble, tear_down);
  return g_test_run ();
}
