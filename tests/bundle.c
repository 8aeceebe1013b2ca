/* bundle.c - transforms of sixteen series at once against sums in double precision */
#include <glib.h>
#include <math.h>
#include <string.h>

#include "kernels/cpu/bundle.h"

enum { ROW = NOTCH_BUNDLE, PAIR = 2 * NOTCH_BUNDLE };

/* Rounding of n samples of size 1 at most, added up in log n steps. */
#define TOLERANCE 2e-6

typedef struct {
  int n;
  NotchBundleFft *fft;
  float *given, *in, *work, *out; /* n + 1 pairs of rows */
} Bench;

static void
bench_open (Bench *bench, int n, GRand *random)
{
  gsize floats = (gsize) (n + 1) * PAIR;
  *bench = (Bench){ n,
                    notch_bundle_fft_new (n),
                    g_new (float, floats),
                    g_new (float, floats),
                    g_new (float, floats),
                    g_new (float, floats) };
  g_assert_nonnull (bench->fft);
  for (gsize i = 0; i < floats; i++)
    bench->given[i] = (float) g_rand_double_range (random, -1, 1);
  memcpy (bench->in, bench->given, floats * sizeof (float));
}

#define UNTOUCHED 77.0f

/* Marks what lies behind the first `n_in` floats of in and work, and the first `n_out` of out, as far as memory goes; or, when
 * `after`, sees that the marks are there: no sanitizer watches these transforms. */
static void
watch (Bench *bench, gsize n_in, gsize n_out, gboolean after)
{
  const gsize end = (gsize) (bench->n + 1) * PAIR, first[] = { n_in, n_in, n_out };
  float *const buffer[] = { bench->in, bench->work, bench->out };
  for (gsize b = 0; b < G_N_ELEMENTS (buffer); b++)
    for (gsize i = first[b]; i < end; i++)
      if (after)
        g_assert_cmpfloat (buffer[b][i], ==, UNTOUCHED);
      else
        buffer[b][i] = UNTOUCHED;
}

static void
bench_close (Bench *bench)
{
  notch_bundle_fft_free (bench->fft);
  g_free (bench->given);
  g_free (bench->in);
  g_free (bench->work);
  g_free (bench->out);
}

/* Sample k of a series that is transformed: the sum of its n numbers times exp (sign 2 pi i j k / n). */
static void
sum_series (const Bench *bench, int series, gboolean real, int sign, int k, double *re, double *im)
{
  *re = *im = 0;
  for (int j = 0; j < bench->n; j++) {
    const float *at = bench->given + (gsize) j * (real ? ROW : PAIR) + series;
    double angle = sign * 2 * G_PI * (double) ((gint64) j * k % bench->n) / bench->n;
    double a = at[0], b = real ? 0 : at[ROW];
    *re += a * cos (angle) - b * sin (angle), *im += a * sin (angle) + b * cos (angle);
  }
}

static void
assert_near (const Bench *bench, double value, double expected)
{
  double error = fabs (value - expected) / sqrt (bench->n);
  g_assert_cmpfloat (error, <, TOLERANCE);
}

static void
check_complex (Bench *bench, gboolean back)
{
  memcpy (bench->in, bench->given, sizeof (float) * PAIR * (gsize) bench->n);
  const gsize n = (gsize) bench->n * PAIR;
  watch (bench, n, n, FALSE);
  (back ? notch_bundle_inverse : notch_bundle_forward) (bench->fft, bench->in, bench->work, bench->out);
  watch (bench, n, n, TRUE);
  for (int k = 0; k < bench->n; k++)
    for (int i = 0; i < ROW; i += 5) {
      double re, im;
      sum_series (bench, i, FALSE, back ? 1 : -1, k, &re, &im);
      assert_near (bench, (double) bench->out[k * PAIR + i], re);
      assert_near (bench, (double) bench->out[k * PAIR + ROW + i], im);
    }
}

static void
check_real (Bench *bench)
{
  int half = bench->n / 2;
  memcpy (bench->in, bench->given, sizeof (float) * ROW * (gsize) bench->n);
  const gsize n = (gsize) bench->n * ROW;
  watch (bench, n, (gsize) (half + 1) * PAIR, FALSE);
  notch_bundle_real_forward (bench->fft, bench->in, bench->work, bench->out);
  watch (bench, n, (gsize) (half + 1) * PAIR, TRUE);
  for (int k = 0; k <= half; k++)
    for (int i = 0; i < ROW; i += 5) {
      double re, im;
      sum_series (bench, i, TRUE, -1, k, &re, &im);
      assert_near (bench, (double) bench->out[k * PAIR + i], re);
      assert_near (bench, (double) bench->out[k * PAIR + ROW + i], im);
    }
  /* Back again, but for the highest frequency, which is taken for 0: that is an alternating part. */
  double highest[ROW];
  for (int i = 0; i < ROW; i++)
    highest[i] = (double) bench->out[half * PAIR + i];
  memcpy (bench->in, bench->out, sizeof (float) * PAIR * (gsize) half);
  watch (bench, n, n, FALSE);
  notch_bundle_real_inverse (bench->fft, bench->in, bench->work, bench->out);
  watch (bench, n, n, TRUE);
  for (int j = 0; j < bench->n; j++)
    for (int i = 0; i < ROW; i++) {
      double expected = (double) bench->given[j * ROW + i] * bench->n - (j % 2 ? -1 : 1) * highest[i];
      g_assert_cmpfloat (fabs ((double) bench->out[j * ROW + i] - expected) / bench->n, <, TOLERANCE);
    }
}

/* All radices, first and last, alone and one after the other; lengths of tiles. */
static void
test_transforms (void)
{
  static const int lengths[] = { 1,  2,  3,  4,  5,  6,   8,   9,   10,  12,  15, 24,
                                 27, 30, 64, 75, 96, 120, 144, 256, 288, 512, 540 };
  g_autoptr (GRand) random = g_rand_new_with_seed (5);
  for (gsize i = 0; i < G_N_ELEMENTS (lengths); i++) {
    Bench bench;
    bench_open (&bench, lengths[i], random);
    check_complex (&bench, FALSE);
    check_complex (&bench, TRUE);
    if (lengths[i] % 2 == 0)
      check_real (&bench);
    bench_close (&bench);
  }
}

static void
test_refused (void)
{
  g_assert_null (notch_bundle_fft_new (0));
  g_assert_null (notch_bundle_fft_new (7));
  g_assert_null (notch_bundle_fft_new (2 * 11));
}

/* Whatever the shape, every number goes to its place, and nothing is written beside. */
static void
test_turn (void)
{
  enum { SIDE = 40 };
  g_autofree float *from = g_new (float, SIDE *SIDE), *to = g_new (float, SIDE *SIDE);
  for (int i = 0; i < SIDE * SIDE; i++)
    from[i] = (float) i;
  for (int rows = 0; rows <= 18; rows++)
    for (int columns = 0; columns <= 18; columns++) {
      for (int i = 0; i < SIDE * SIDE; i++)
        to[i] = -1;
      notch_bundle_turn (from, SIDE, rows, columns, to, SIDE - 1);
      for (int i = 0; i < SIDE - 1; i++)
        for (int j = 0; j < SIDE - 1; j++) {
          float expected = i < columns && j < rows ? (float) (j * SIDE + i) : -1;
          g_assert_cmpfloat (to[i * (SIDE - 1) + j], ==, expected);
        }
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/bundle/transforms", test_transforms);
  g_test_add_func ("/bundle/refused", test_refused);
  g_test_add_func ("/bundle/turn", test_turn);
  return g_test_run ();
}
