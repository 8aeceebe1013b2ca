/* novelty.c - distances from what is known */
#include "inspect/classify/novelty.h"
#include "inspect/classify/metrics.h"
#include "inspect/random.h"

#include <math.h>
#include <string.h>

enum { LENGTH = 3, CLASSES = 2 };

/* Two classes with the same scatter: x' = A z + mean, z normal. */
static const double spread[LENGTH][LENGTH] = { { 10, 0, 0 }, { 6, 3, 0 }, { 0, 0.1, 0.1 } };
static const double middle[CLASSES][LENGTH] = { { 100, 0, 5 }, { 100, 40, 5.2 } };

static void
draw (NotchRandom *random, int k, float x[LENGTH])
{
  double z[4];
  notch_random_normals (random, z);
  notch_random_normals (random, z + 2);
  for (int i = 0; i < LENGTH; i++) {
    double sum = middle[k][i];
    for (int j = 0; j < LENGTH; j++)
      sum += spread[i][j] * z[j];
    x[i] = (float) sum;
  }
}

static float *
draw_all (gsize n, guint64 seed, int *class_index)
{
  float *vector = g_new (float, n *LENGTH);
  NotchRandom random = { seed };
  for (gsize i = 0; i < n; i++) {
    class_index[i] = (int) (i % CLASSES);
    draw (&random, class_index[i], vector + i * LENGTH);
  }
  return vector;
}

/* The distance by the scatter that the examples were drawn with, solved by hand: A is lower triangular. */
static double
true_distance (const float x[LENGTH])
{
  double least = INFINITY;
  for (int k = 0; k < CLASSES; k++) {
    double z[LENGTH], sum = 0;
    for (int i = 0; i < LENGTH; i++) {
      z[i] = (double) x[i] - middle[k][i];
      for (int j = 0; j < i; j++)
        z[i] -= spread[i][j] * z[j];
      z[i] /= spread[i][i];
      sum += z[i] * z[i];
    }
    least = MIN (least, sqrt (sum));
  }
  return least;
}

static void
test_distance (void)
{
  enum { N = 40000 };
  g_autofree int *class_index = g_new (int, N);
  g_autofree float *vector = draw_all (N, 3, class_index);
  g_autoptr (NotchNovelty) novelty = notch_novelty_new (vector, class_index, N, LENGTH, CLASSES);
  g_assert_nonnull (novelty);
  for (int i = 0; i < 500; i++) {
    double wanted = true_distance (vector + i * LENGTH);
    g_assert_cmpfloat_with_epsilon (notch_novelty_distance (novelty, vector + i * LENGTH), wanted,
                                    0.05 + 0.03 * wanted);
  }
  g_assert_true (isinf (novelty->limit));
  /* 99.5 % of a chi distribution of three are within 3.583; the nearer of two classes takes little off */
  notch_novelty_set_limit (novelty, vector, NULL, N);
  g_assert_cmpfloat_with_epsilon (novelty->limit, 3.583, 0.08);
  gsize within = 0;
  for (gsize i = 0; i < N; i++)
    within += notch_novelty_distance (novelty, vector + i * LENGTH) <= novelty->limit;
  g_assert_cmpuint (within, ==, (gsize) (NOTCH_NOVELTY_SHARE * N));
}

/* What is off in the direction that hardly varies is found, though no number of it stands out. */
static void
test_unknown (void)
{
  enum { N = 2000 };
  int class_index[N];
  double score[N];
  gboolean unknown[N];
  g_autofree float *vector = draw_all (N, 8, class_index), *test = draw_all (N, 9, class_index);
  g_autoptr (NotchNovelty) novelty = notch_novelty_new (vector, class_index, N, LENGTH, CLASSES);
  for (int i = 0; i < N; i++) {
    unknown[i] = i % 4 == 0;
    if (unknown[i])
      test[i * LENGTH + 1] += 15;
    score[i] = notch_novelty_distance (novelty, test + i * LENGTH);
  }
  g_assert_cmpfloat (notch_auroc (score, unknown, N), >, 0.99);
}

/* What lies among the known ones and has nothing that speaks for it is strange, what is far too; and how much so, bytes say as
 * well. */
static void
test_evidence (void)
{
  enum { N = 4000 };
  int class_index[N];
  double evidence[N], score[N];
  gboolean unknown[N];
  g_autofree float *vector = draw_all (N, 12, class_index), *test = draw_all (N, 13, class_index);
  GRand *rand = g_rand_new_with_seed (3);
  for (int i = 0; i < N; i++)
    evidence[i] = 4 + g_rand_double (rand) + g_rand_double (rand) + g_rand_double (rand);
  g_autoptr (NotchNovelty) novelty = notch_novelty_new (vector, class_index, N, LENGTH, CLASSES);
  notch_novelty_set_limit (novelty, vector, evidence, N);
  g_assert_cmpfloat_with_epsilon (novelty->evidence_mean, 5.5, 0.05);
  g_assert_cmpfloat_with_epsilon (novelty->evidence_sd, 0.5, 0.02); /* of three, each of 1 / 12 */
  g_autoptr (GBytes) bytes = notch_novelty_to_bytes (novelty);
  g_autoptr (NotchNovelty) again = notch_novelty_from_bytes (bytes, LENGTH, CLASSES);
  gsize beyond = 0;
  for (int i = 0; i < N; i++) {
    beyond += notch_novelty_strangeness (novelty, vector + i * LENGTH, evidence[i]) > novelty->limit;
    unknown[i] = i % 3 == 0;
    if (unknown[i] && i % 2 == 0)
      test[i * LENGTH + 1] += 15;
    score[i] = notch_novelty_strangeness (novelty, test + i * LENGTH, unknown[i] && i % 2 ? 2 : evidence[i]);
    g_assert_cmpfloat (score[i], ==,
                       notch_novelty_strangeness (again, test + i * LENGTH, unknown[i] && i % 2 ? 2 : evidence[i]));
  }
  g_rand_free (rand);
  g_assert_cmpuint (beyond, ==, N - (gsize) (NOTCH_NOVELTY_SHARE * N));
  g_assert_cmpfloat (notch_auroc (score, unknown, N), >, 0.94);
  g_assert_true (isfinite (notch_novelty_strangeness (novelty, vector, -1e6)));
}

static void
test_few (void)
{
  /* four examples in three dimensions, a number missing, one that never varies, a class without examples, one to leave out */
  static const float vector[] = { 1, 5, 0, 2, 5, NAN, 3, 5, 1, 4, 5, 2, 99, 99, 99 };
  static const int class_index[] = { 0, 0, 2, 2, -1 };
  g_autoptr (NotchNovelty) novelty = notch_novelty_new (vector, class_index, 5, 3, 4);
  g_assert_nonnull (novelty);
  for (int i = 0; i < 4; i++)
    g_assert_cmpfloat (notch_novelty_distance (novelty, vector + 3 * i), <, 3);
  g_assert_cmpfloat (notch_novelty_distance (novelty, vector + 12), >, 100);
  static const float none[] = { NAN, NAN, NAN };
  g_assert_true (isfinite (notch_novelty_distance (novelty, none)));
  g_assert_null (notch_novelty_new (vector, class_index, 1, 3, 4));
  g_assert_null (notch_novelty_new (vector, class_index, 5, 0, 4));
  g_assert_null (notch_novelty_new (vector, class_index, 5, NOTCH_NOVELTY_MOST + 1, 4));
}

static void
test_bytes (void)
{
  int class_index[100];
  g_autofree float *vector = draw_all (100, 4, class_index);
  g_autoptr (NotchNovelty) novelty = notch_novelty_new (vector, class_index, 100, LENGTH, CLASSES);
  notch_novelty_set_limit (novelty, vector, NULL, 100);
  g_autoptr (GBytes) bytes = notch_novelty_to_bytes (novelty);
  g_autoptr (NotchNovelty) again = notch_novelty_from_bytes (bytes, LENGTH, CLASSES);
  g_assert_nonnull (again);
  g_assert_cmpfloat (again->limit, ==, novelty->limit);
  for (int i = 0; i < 100; i++)
    g_assert_cmpfloat (notch_novelty_distance (again, vector + i * LENGTH), ==,
                       notch_novelty_distance (novelty, vector + i * LENGTH));
  g_assert_null (notch_novelty_from_bytes (bytes, LENGTH, CLASSES + 1));
  g_assert_null (notch_novelty_from_bytes (bytes, LENGTH + 1, CLASSES));
  gsize n = 0;
  g_autofree double *lie = g_memdup2 (g_bytes_get_data (bytes, &n), g_bytes_get_size (bytes));
  lie[6 + LENGTH] = 0; /* a scale */
  g_autoptr (GBytes) lied = g_bytes_new (lie, n);
  g_assert_null (notch_novelty_from_bytes (lied, LENGTH, CLASSES));
  lie[6 + LENGTH] = 1;
  lie[0] = NAN; /* the limit */
  g_autoptr (GBytes) lied_again = g_bytes_new (lie, n);
  g_assert_null (notch_novelty_from_bytes (lied_again, LENGTH, CLASSES));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/novelty/distance", test_distance);
  g_test_add_func ("/novelty/unknown", test_unknown);
  g_test_add_func ("/novelty/evidence", test_evidence);
  g_test_add_func ("/novelty/few", test_few);
  g_test_add_func ("/novelty/bytes", test_bytes);
  return g_test_run ();
}
