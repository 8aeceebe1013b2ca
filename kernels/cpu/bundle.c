/* bundle.c - see bundle.h
 *
 * Stockham's form of the fast Fourier transform: a pass of radix r makes of `step` series of n samples, one woven into the
 * other, `step` times r series of n / r. Samples come out in order, and every pass goes through whole rows. (Van Loan,
 * Computational Frameworks for the Fast Fourier Transform, 1992, 1.7.) */
#include "kernels/cpu/bundle.h"
#include "kernels/cpu/lane.h"

#include <stdlib.h>
#include <string.h>

enum { ROW = NOTCH_BUNDLE, PAIR = 2 * NOTCH_BUNDLE, MOST_PASSES = 24 };

/* The complex transform of a length. */
typedef struct {
  int n, n_passes, radix[MOST_PASSES];
  float *turn; /* pass after pass: exp (-2 pi i p k / n) for p below n / radix and k from 1 to radix - 1 */
} Series;

struct NotchBundleFft {
  int n;
  Series whole, half; /* half: of n / 2; real samples are taken two by two for complex ones */
  float *turn;        /* exp (2 pi i k / n), k up to n / 4 */
};

/* ---- what is made once ------------------------------------------------------------------------------------------ */

static const double two_pi = 2 * 3.14159265358979323846;

static void
put_turn (float *to, double part)
{
  to[0] = (float) cos (two_pi * part), to[1] = (float) sin (two_pi * part);
}

static bool
series_make (Series *series, int n)
{
  static const int radices[] = { 8, 5, 4, 3, 2 };
  int left = n;
  size_t n_turns = 0;
  series->n = n;
  for (size_t i = 0; i < sizeof radices / sizeof *radices; i++)
    for (; left % radices[i] == 0; left /= radices[i], series->radix[series->n_passes++] = radices[i])
      n_turns += (size_t) (left / radices[i]) * (size_t) (radices[i] - 1);
  if (left != 1 || !(series->turn = malloc (sizeof (float) * 2 * (n_turns + 1))))
    return false;
  float *turn = series->turn;
  for (int pass = 0, length = n; pass < series->n_passes; length /= series->radix[pass], pass++)
    for (int p = 0; p < length / series->radix[pass]; p++)
      for (int k = 1; k < series->radix[pass]; k++, turn += 2)
        put_turn (turn, -(double) p * k / length);
  return true;
}

NotchBundleFft *
notch_bundle_fft_new (int n)
{
  NotchBundleFft *fft = n > 0 ? calloc (1, sizeof *fft) : NULL;
  if (!fft)
    return NULL;
  fft->n = n;
  fft->turn = malloc (sizeof (float) * 2 * ((size_t) n / 4 + 1));
  if (!fft->turn || !series_make (&fft->whole, n) || (n % 2 == 0 && !series_make (&fft->half, n / 2))) {
    notch_bundle_fft_free (fft);
    return NULL;
  }
  for (int k = 0; k <= n / 4; k++)
    put_turn (fft->turn + 2 * (ptrdiff_t) k, (double) k / n);
  return fft;
}

void
notch_bundle_fft_free (NotchBundleFft *fft)
{
  if (!fft)
    return;
  free (fft->whole.turn);
  free (fft->half.turn);
  free (fft->turn);
  free (fft);
}

/* ---- passes ----------------------------------------------------------------------------------------------------- */

typedef struct {
  float re, im;
} Complex;

/* Real parts are at `re`, imaginary ones at `im` of a pair of rows. */
typedef struct {
  int re, im;
} Parts;

NOTCH_FN Complex
load (const float *from, Parts parts)
{
  return (Complex){ from[parts.re], from[parts.im] };
}

NOTCH_FN void
store (float *to, Parts parts, Complex a)
{
  to[parts.re] = a.re, to[parts.im] = a.im;
}

NOTCH_FN Complex
add (Complex a, Complex b)
{
  return (Complex){ a.re + b.re, a.im + b.im };
}

NOTCH_FN Complex
subtract (Complex a, Complex b)
{
  return (Complex){ a.re - b.re, a.im - b.im };
}

NOTCH_FN Complex
scale (Complex a, float by)
{
  return (Complex){ a.re * by, a.im * by };
}

NOTCH_FN Complex
rotate (Complex a, const float *turn)
{
  return (Complex){ a.re * turn[0] - a.im * turn[1], a.re * turn[1] + a.im * turn[0] };
}

/* Times -i. */
NOTCH_FN Complex
quarter (Complex a)
{
  return (Complex){ a.im, -a.re };
}

/* The transforms of so many samples, to `a` itself. */

NOTCH_FN void
of_2 (Complex *a)
{
  Complex sum = add (a[0], a[1]);
  a[1] = subtract (a[0], a[1]), a[0] = sum;
}

NOTCH_FN void
of_3 (Complex *a)
{
  Complex sum = add (a[1], a[2]), across = scale (quarter (subtract (a[1], a[2])), 0.866025403784438647f);
  Complex middle = subtract (a[0], scale (sum, 0.5f));
  a[0] = add (a[0], sum), a[1] = add (middle, across), a[2] = subtract (middle, across);
}

NOTCH_FN void
of_4 (Complex *a)
{
  Complex even = add (a[0], a[2]), odd = add (a[1], a[3]);
  Complex even_rest = subtract (a[0], a[2]), odd_rest = quarter (subtract (a[1], a[3]));
  a[0] = add (even, odd), a[1] = add (even_rest, odd_rest);
  a[2] = subtract (even, odd), a[3] = subtract (even_rest, odd_rest);
}

NOTCH_FN void
of_5 (Complex *a)
{
  const float c1 = 0.309016994374947424f, c2 = -0.809016994374947424f; /* cosines of 2 pi / 5 and 4 pi / 5, and sines */
  const float s1 = 0.951056516295153572f, s2 = 0.587785252292473129f;
  Complex near = add (a[1], a[4]), far = add (a[2], a[3]);
  Complex near_rest = quarter (subtract (a[1], a[4])), far_rest = quarter (subtract (a[2], a[3]));
  Complex m1 = add (a[0], add (scale (near, c1), scale (far, c2)));
  Complex m2 = add (a[0], add (scale (near, c2), scale (far, c1)));
  Complex r1 = add (scale (near_rest, s1), scale (far_rest, s2));
  Complex r2 = subtract (scale (near_rest, s2), scale (far_rest, s1));
  a[0] = add (a[0], add (near, far));
  a[1] = add (m1, r1), a[2] = add (m2, r2), a[3] = subtract (m2, r2), a[4] = subtract (m1, r1);
}

NOTCH_FN void
of_8 (Complex *a)
{
  const float half = 0.707106781186547524f;
  Complex even[4] = { a[0], a[2], a[4], a[6] }, odd[4] = { a[1], a[3], a[5], a[7] };
  of_4 (even);
  of_4 (odd);
  odd[1] = (Complex){ half * (odd[1].re + odd[1].im), half * (odd[1].im - odd[1].re) };
  odd[2] = quarter (odd[2]);
  odd[3] = (Complex){ half * (odd[3].im - odd[3].re), -half * (odd[3].re + odd[3].im) };
  for (int k = 0; k < 4; k++)
    a[k] = add (even[k], odd[k]), a[k + 4] = subtract (even[k], odd[k]);
}

/* One pass; `m` is n / radix. Rows of `from` and `to` have nothing in common, which the compiler cannot know. */
#define PASS(radix)                                                                                                    \
  NOTCH_FN void pass_##radix (const float *from, float *to, const float *turn, int m, int step, Parts parts)           \
  {                                                                                                                    \
    ptrdiff_t apart = (ptrdiff_t) step * m * PAIR, next = (ptrdiff_t) step * PAIR;                                     \
    for (int p = 0; p < m; p++, turn += 2 * (radix - 1))                                                               \
      for (int q = 0; q < step; q++) {                                                                                 \
        const float *read = from + (q + (ptrdiff_t) step * p) * PAIR;                                                  \
        float *write = to + (q + (ptrdiff_t) step * radix * p) * PAIR;                                                 \
        _Pragma ("GCC ivdep") for (int i = 0; i < ROW; i++)                                                            \
        {                                                                                                              \
          Complex a[radix];                                                                                            \
          for (int k = 0; k < radix; k++)                                                                              \
            a[k] = load (read + i + k * apart, parts);                                                                 \
          of_##radix (a);                                                                                              \
          store (write + i, parts, a[0]);                                                                              \
          for (int k = 1; k < radix; k++)                                                                              \
            store (write + i + k * next, parts, rotate (a[k], turn + 2 * (k - 1)));                                    \
        }                                                                                                              \
      }                                                                                                                \
  }
PASS (2)
PASS (3)
PASS (4)
PASS (5)
PASS (8)
#undef PASS

/* The way back is the way there with real and imaginary parts in each other's place. */
NOTCH_CLONES static void
transform (const Series *series, bool back, float *in, float *work, float *out)
{
  const Parts parts = { back ? ROW : 0, back ? 0 : ROW };
  const float *turn = series->turn;
  float *from = in, *other = work;
  for (int pass = 0, step = 1, m; pass < series->n_passes; pass++) {
    int radix = series->radix[pass];
    float *to = pass == series->n_passes - 1 ? out : other;
    m = series->n / step / radix;
    switch (radix) {
    case 2:
      pass_2 (from, to, turn, m, step, parts);
      break;
    case 3:
      pass_3 (from, to, turn, m, step, parts);
      break;
    case 4:
      pass_4 (from, to, turn, m, step, parts);
      break;
    case 5:
      pass_5 (from, to, turn, m, step, parts);
      break;
    default:
      pass_8 (from, to, turn, m, step, parts);
      break;
    }
    turn += 2 * (ptrdiff_t) m * (radix - 1);
    step *= radix;
    other = from, from = to;
  }
  if (series->n_passes == 0)
    memcpy (out, in, sizeof (float) * PAIR);
}

void
notch_bundle_forward (const NotchBundleFft *fft, float *in, float *work, float *out)
{
  transform (&fft->whole, false, in, work, out);
}

void
notch_bundle_inverse (const NotchBundleFft *fft, float *in, float *work, float *out)
{
  transform (&fft->whole, true, in, work, out);
}

/* ---- real samples ----------------------------------------------------------------------------------------------- */

/* Two by two, real samples are h = n / 2 complex ones z, whose transform Z has that of even samples and that of odd ones in
 * one: X[k] = (Z[k] + Z*[h - k]) / 2 - i exp (-2 pi i k / n) (Z[k] - Z*[h - k]) / 2. From Z to X in its place. */
NOTCH_CLONES static void
unfold (float *z, const float *turn, int h)
{
  const Parts parts = { 0, ROW };
  for (int i = 0; i < ROW; i++) {
    Complex first = load (z + i, parts);
    store (z + i, parts, (Complex){ first.re + first.im, 0 });
    store (z + (ptrdiff_t) h * PAIR + i, parts, (Complex){ first.re - first.im, 0 });
  }
  for (int k = 1; 2 * k <= h; k++) {
    float *low = z + (ptrdiff_t) k * PAIR, *high = z + (ptrdiff_t) (h - k) * PAIR;
    const float back[2] = { turn[2 * k], -turn[2 * k + 1] };
#pragma GCC ivdep
    for (int i = 0; i < ROW; i++) {
      Complex a = load (low + i, parts), b = load (high + i, parts);
      Complex even = { 0.5f * (a.re + b.re), 0.5f * (a.im - b.im) };
      Complex odd = rotate (quarter ((Complex){ 0.5f * (a.re - b.re), 0.5f * (a.im + b.im) }), back);
      store (low + i, parts, add (even, odd));
      store (high + i, parts, (Complex){ even.re - odd.re, odd.im - even.im });
    }
  }
}

/* From X to twice Z. */
NOTCH_CLONES static void
fold (float *x, const float *turn, int h)
{
  const Parts parts = { 0, ROW };
  for (int i = 0; i < ROW; i++)
    store (x + i, parts, (Complex){ x[i], x[i] });
  for (int k = 1; 2 * k <= h; k++) {
    float *low = x + (ptrdiff_t) k * PAIR, *high = x + (ptrdiff_t) (h - k) * PAIR;
    const float there[2] = { turn[2 * k], turn[2 * k + 1] };
#pragma GCC ivdep
    for (int i = 0; i < ROW; i++) {
      Complex a = load (low + i, parts), b = load (high + i, parts);
      Complex even = { a.re + b.re, a.im - b.im };
      Complex odd = quarter (rotate ((Complex){ b.re - a.re, -b.im - a.im }, there));
      store (low + i, parts, add (even, odd));
      store (high + i, parts, (Complex){ even.re - odd.re, odd.im - even.im });
    }
  }
}

void
notch_bundle_real_forward (const NotchBundleFft *fft, float *in, float *work, float *out)
{
  transform (&fft->half, false, in, work, out);
  unfold (out, fft->turn, fft->n / 2);
}

void
notch_bundle_real_inverse (const NotchBundleFft *fft, float *in, float *work, float *out)
{
  fold (in, fft->turn, fft->n / 2);
  transform (&fft->half, true, in, work, out);
}

/* ---- from rows to columns --------------------------------------------------------------------------------------- */

typedef float Four __attribute__ ((vector_size (16), aligned (4), may_alias));

/* The first halves of two vectors by turns, or the second ones. */
#ifdef __clang__
#define BY_TURNS(a, b, end)                                                                                            \
  (Four)                                                                                                               \
  {                                                                                                                    \
    a[2 * (end)], b[2 * (end)], a[2 * (end) + 1], b[2 * (end) + 1]                                                     \
  }
#else
typedef int Places __attribute__ ((vector_size (16)));
#define BY_TURNS(a, b, end) __builtin_shuffle (a, b, (Places){ 2 * (end), 4 + 2 * (end), 1 + 2 * (end), 5 + 2 * (end) })
#endif

NOTCH_FN void
turn_fours (const float *from, ptrdiff_t from_stride, int rows, int columns, float *to, ptrdiff_t to_stride)
{
  for (int i = 0; i < rows; i += 4)
    for (int j = 0; j < columns; j += 4) {
      const float *read = from + i * from_stride + j;
      float *write = to + j * to_stride + i;
      Four a = *(const Four *) read, b = *(const Four *) (read + from_stride);
      Four c = *(const Four *) (read + 2 * from_stride), d = *(const Four *) (read + 3 * from_stride);
      Four ac = BY_TURNS (a, c, 0), ac_end = BY_TURNS (a, c, 1), bd = BY_TURNS (b, d, 0), bd_end = BY_TURNS (b, d, 1);
      *(Four *) write = BY_TURNS (ac, bd, 0);
      *(Four *) (write + to_stride) = BY_TURNS (ac, bd, 1);
      *(Four *) (write + 2 * to_stride) = BY_TURNS (ac_end, bd_end, 0);
      *(Four *) (write + 3 * to_stride) = BY_TURNS (ac_end, bd_end, 1);
    }
}

NOTCH_CLONES void
notch_bundle_turn (const float *from, ptrdiff_t from_stride, int rows, int columns, float *to, ptrdiff_t to_stride)
{
  int row_fours = rows / 4 * 4, column_fours = columns / 4 * 4;
  if (rows == ROW) /* nearly always; blocks of as many columns stay in the first cache */
    for (; columns >= ROW; columns -= ROW, column_fours -= ROW, from += ROW, to += ROW * to_stride)
      turn_fours (from, from_stride, ROW, ROW, to, to_stride);
  turn_fours (from, from_stride, row_fours, column_fours, to, to_stride);
  for (int i = 0; i < rows; i++)
    for (int j = i < row_fours ? column_fours : 0; j < columns; j++)
      to[j * to_stride + i] = from[i * from_stride + j];
}
