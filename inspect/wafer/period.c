/* period.c - autocorrelation of a reduced image, normalised lag by lag, and which of its peaks is the die
 *
 * The normalisation by the energies of the two overlapping parts (Padfield, IEEE Transactions on Image Processing 21
 * (2012)) makes lags comparable however little overlaps, and takes a mask. */
#include "inspect/wafer/period.h"

#include <math.h>
#include <string.h>

#include "inspect/wafer/median.h"
#include "inspect/wafer/odd.h"
#include "kernels/cpu/fft.h"

/* px: what is smoother than this is shading, not pattern (three passes of a box of that half width) */
#define SHADING 24
/* Tangent of the largest rotation that is looked for. */
#define SLOPE 0.036
/* The part of the places that is unlike the others from which on the rest is looked at alone; so often at most. */
#define SOME_UNLIKE 0.01
#define ROUNDS      3
/* How sure a period must be in an image that has none, or one along one axis only, as long as all of it counts. */
#define LEAST_GUESS 0.5

typedef struct {
  int width, height; /* lags from -width/2 to width/2, likewise */
  float *value;      /* height x width, lag (0, 0) first, negative lags wrapped */
} Correlation;

G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchFft, notch_fft_free)

static void
release (float **memory)
{
  notch_fft_release (*memory);
}
#define auto_floats __attribute__ ((cleanup (release))) float *

/* ---- the pattern without its shading ----------------------------------------------------------------------------- */

/* Sum over 2 half + 1 values, fewer at the ends. */
static void
box (const float *from, float *to, int n, gsize step, int half)
{
  double sum = 0;
  for (int i = 0; i < MIN (half, n); i++)
    sum += from[(gsize) i * step];
  for (int i = 0; i < n; i++) {
    if (i + half < n)
      sum += from[(gsize) (i + half) * step];
    if (i - half - 1 >= 0)
      sum -= from[(gsize) (i - half - 1) * step];
    to[(gsize) i * step] = (float) sum;
  }
}

static void
blur (float *value, float *spare, int width, int height, int half)
{
  for (int y = 0; y < height; y++)
    box (value + (gsize) y * (gsize) width, spare + (gsize) y * (gsize) width, width, 1, half);
  for (int x = 0; x < width; x++)
    box (spare + x, value + x, height, (gsize) width, half);
}

/* Binomial smoothing, sigma 1.4 px: cells inside a die count less than the die's plan, and peaks are wide enough for the
 * whole-pixel lags to meet their tops. */
static void
smooth (float *value, float *spare, int width, int height)
{
  for (int pass = 0; pass < 4; pass++) {
    for (int y = 0; y < height; y++) {
      float *row = value + (gsize) y * (gsize) width;
      for (int x = 0; x < width; x++)
        spare[x] = 0.5f * row[x] + 0.25f * (row[MAX (x - 1, 0)] + row[MIN (x + 1, width - 1)]);
      memcpy (row, spare, sizeof *row * (gsize) width);
    }
    for (int y = 0; y < height; y++) {
      const float *up = value + (gsize) MAX (y - 1, 0) * (gsize) width, *row = value + (gsize) y * (gsize) width;
      const float *below = value + (gsize) MIN (y + 1, height - 1) * (gsize) width;
      for (int x = 0; x < width; x++)
        spare[(gsize) y * (gsize) width + (gsize) x] = 0.5f * row[x] + 0.25f * (up[x] + below[x]);
    }
    memcpy (value, spare, sizeof *value * (gsize) width * (gsize) height);
  }
}

/* g = I minus its masked local mean, cut at four robust sigmas so that a stain does not rule the sum. */
static gboolean
flatten (const float *value, const float *mask, int width, int height, float *g)
{
  gsize n = (gsize) width * (gsize) height;
  g_autofree float *sum = g_try_new (float, n);
  g_autofree float *weight = g_try_new (float, n);
  g_autofree float *spare = g_try_new (float, n);
  if (!sum || !weight || !spare)
    return FALSE;
  for (gsize i = 0; i < n; i++) {
    weight[i] = mask ? mask[i] : 1;
    sum[i] = weight[i] * value[i];
  }
  for (int pass = 0; pass < 2; pass++) {
    blur (sum, spare, width, height, SHADING);
    blur (weight, spare, width, height, SHADING);
    for (gsize i = 0; i < n; i++) { /* means of means where the mask has anything */
      sum[i] = weight[i] > 1e-3f ? sum[i] / weight[i] : 0;
      weight[i] = mask ? mask[i] : 1;
      if (pass == 0)
        sum[i] *= weight[i];
    }
  }
  gsize inside = 0;
  for (gsize i = 0; i < n; i++) {
    g[i] = weight[i] > 0 ? value[i] - sum[i] : 0;
    inside += weight[i] > 0;
  }
  if (inside == 0)
    return TRUE;
  /* The smoothing must not carry what lies outside the mask into it: outside, g is 0, like flat pattern. */
  smooth (g, spare, width, height);
  inside = 0;
  for (gsize i = 0; i < n; i++) {
    g[i] *= weight[i];
    if (weight[i] > 0)
      spare[inside++] = fabsf (g[i]);
  }
  /* Where more than half is flat, the median says nothing about the pattern: the loudest tenth does. */
  float most = fmaxf (4 * 1.4826f * notch_median (spare, inside), notch_quantile (spare, inside, 0.9));
  for (gsize i = 0; i < n; i++)
    g[i] = CLAMP (g[i], -most, most);
  return TRUE;
}

/* ---- autocorrelation --------------------------------------------------------------------------------------------- */

static int
smooth_size (int least)
{
  for (int n = least;; n++) {
    int rest = n;
    for (int prime = 2; prime <= 5; prime++)
      while (rest % prime == 0)
        rest /= prime;
    if (rest == 1 && n % 2 == 0)
      return n;
  }
}

static void
place (const float *from, int width, int height, float *to, int to_width, int to_height)
{
  memset (to, 0, sizeof *to * (gsize) to_width * (gsize) to_height);
  for (int y = 0; y < height; y++)
    memcpy (to + (gsize) y * (gsize) to_width, from + (gsize) y * (gsize) width, sizeof *to * (gsize) width);
}

/* product = conj (a) b, for spectra of n complex numbers */
static void
multiply (const float *a, const float *b, float *product, gsize n)
{
  for (gsize i = 0; i < n; i++) {
    float re = a[2 * i] * b[2 * i] + a[2 * i + 1] * b[2 * i + 1];
    float im = a[2 * i] * b[2 * i + 1] - a[2 * i + 1] * b[2 * i];
    product[2 * i] = re;
    product[2 * i + 1] = im;
  }
}

/* c(l) = sum g(x) g(x + l) / sqrt (sum g^2(x) m(x + l) sum m(x) g^2(x + l)), the sums over what overlaps; 0 where less
 * than a seventh of the mask does. `c` has lags up to half the array and a little more. */
static gboolean
correlate (const float *g, const float *mask, int width, int height, Correlation *c)
{
  c->width = smooth_size (width + width / 2 + 8);
  c->height = smooth_size (height + height / 2 + 8);
  gsize n = (gsize) width * (gsize) height, all = (gsize) c->width * (gsize) c->height;
  gsize half = (gsize) c->height * (gsize) (c->width / 2 + 1);
  g_autoptr (NotchFft) fft = notch_fft_new (c->height, c->width);
  g_autofree float *plane = g_try_new (float, n);
  auto_floats real = notch_fft_alloc (all);
  auto_floats energy = notch_fft_alloc (all);
  auto_floats spectrum = notch_fft_alloc (2 * half);
  auto_floats spectrum_mask = notch_fft_alloc (2 * half);
  c->value = notch_fft_alloc (all);
  if (!fft || !plane || !real || !energy || !spectrum || !spectrum_mask || !c->value)
    return FALSE;
  for (gsize i = 0; i < n; i++)
    plane[i] = mask ? mask[i] : 1;
  place (plane, width, height, real, c->width, c->height);
  notch_fft_forward (fft, real, spectrum_mask);
  for (gsize i = 0; i < n; i++)
    plane[i] = g[i] * g[i];
  place (plane, width, height, real, c->width, c->height);
  notch_fft_forward (fft, real, spectrum);
  multiply (spectrum, spectrum_mask, spectrum, half);
  notch_fft_inverse (fft, spectrum, energy); /* g^2(x) m(x + l) */
  multiply (spectrum_mask, spectrum_mask, spectrum, half);
  notch_fft_inverse (fft, spectrum, c->value); /* what overlaps */
  place (g, width, height, real, c->width, c->height);
  notch_fft_forward (fft, real, spectrum);
  multiply (spectrum, spectrum, spectrum, half);
  notch_fft_inverse (fft, spectrum, real);
  float least = c->value[0] / 7, silence = 1e-6f * energy[0];
  for (int y = 0; y < c->height; y++)
    for (int x = 0; x < c->width; x++) {
      gsize at = (gsize) y * (gsize) c->width + (gsize) x;
      gsize mirror = (gsize) ((c->height - y) % c->height) * (gsize) c->width + (gsize) ((c->width - x) % c->width);
      gboolean useful = c->value[at] > least && energy[at] > silence && energy[mirror] > silence;
      c->value[at] = useful ? real[at] / (sqrtf (energy[at]) * sqrtf (energy[mirror])) : 0;
    }
  return TRUE;
}

static float
at_lag (const Correlation *c, int x, int y)
{
  if (abs (x) >= c->width / 2 || abs (y) >= c->height / 2)
    return 0;
  return c->value[(gsize) ((y + c->height) % c->height) * (gsize) c->width + (gsize) ((x + c->width) % c->width)];
}

/* ---- one axis ---------------------------------------------------------------------------------------------------- */

/* The best correlation at each lag along an axis, whatever the slant. */
typedef struct {
  const Correlation *c;
  gboolean down; /* the axis is y */
  int n;         /* lags 0 to n - 1 */
  float *best;
  int *across; /* where, on the other axis */
  float *most; /* the best at this lag or any longer one: what a die's multiple can be held to */
} Profile;

static float
at_axis (const Profile *p, int along, int across)
{
  return p->down ? at_lag (p->c, across, along) : at_lag (p->c, along, across);
}

/* Fills in the lags up to where too little overlaps to be known, which is sooner than the array ends if a wafer is round. */
static void
fill_profile (Profile *p)
{
  int known = 1;
  while (known < p->n && at_axis (p, known, 0) != 0)
    known++;
  p->n = known;
  for (int lag = 1; lag < p->n; lag++) {
    int reach = (int) ceil (SLOPE * lag);
    p->best[lag] = -1;
    for (int k = 0; k <= 2 * reach; k++) {
      int across = (k & 1 ? 1 : -1) * ((k + 1) / 2); /* the straight one first: it wins ties */
      float v = at_axis (p, lag, across);
      if (v > p->best[lag]) {
        p->best[lag] = v;
        p->across[lag] = across;
      }
    }
  }
  p->most[p->n - 1] = p->best[p->n - 1];
  for (int lag = p->n - 2; lag >= 0; lag--)
    p->most[lag] = fmaxf (p->most[lag + 1], p->best[lag]);
}

/* Top of the parabola through three values, relative to the middle one. */
static double
parabola (double left, double middle, double right)
{
  double curve = left - 2 * middle + right;
  return curve < 0 ? CLAMP (0.5 * (left - right) / curve, -0.5, 0.5) : 0;
}

/* A lag and what is known about its multiples. */
typedef struct {
  double pitch;    /* px, from the farthest multiple */
  double slant;    /* px across at that multiple, a pitch */
  int n;           /* multiples */
  double mean;     /* of their correlations */
  double short_of; /* the most that one of them lacks to the best at its lag or beyond */
} Family;

#define MOST_MULTIPLES 64

/* Follows the multiples of a lag as far as they reach, refining it on the way. `value` receives each one's peak: its top
 * between the whole lags, or a pitch that is no whole number would look worse than twice it. */
static Family
follow (const Profile *p, int lag, float value[MOST_MULTIPLES])
{
  Family f = { .pitch = lag };
  for (int k = 1; k <= MOST_MULTIPLES; k++) {
    double expected = k * f.pitch;
    int around = (int) lround (expected), top = around, reach = k == 1 ? 0 : 2;
    if (around + reach + 1 >= p->n)
      break;
    for (int l = around - reach; l <= around + reach; l++)
      if (p->best[l] > p->best[top])
        top = l;
    int across = p->across[top];
    double middle = p->best[top], v = middle;
    double before = at_axis (p, top - 1, across), after = at_axis (p, top + 1, across);
    double along = parabola (before, middle, after);
    v += 0.25 * (after - before) * along;
    before = at_axis (p, top, across - 1);
    after = at_axis (p, top, across + 1);
    double aside = parabola (before, middle, after);
    v += 0.25 * (after - before) * aside;
    value[k - 1] = (float) v;
    f.n = k;
    f.mean += v;
    f.short_of = fmax (f.short_of, p->most[top] - v);
    f.pitch = (top + along) / k;
    f.slant = (across + aside) / k;
  }
  if (f.n > 0)
    f.mean /= f.n;
  return f;
}

/* Cells inside a die peak at every multiple, but higher where the die repeats. The least number of periods that
 * separates the multiples into high and low ones beyond doubt; 1: all are alike. */
static int
coarser (const float *value, int n)
{
  for (int m = 2; m <= n / 2; m++) {
    double sum[2] = { 0 }, sum2[2] = { 0 };
    int count[2] = { 0 };
    for (int k = 1; k <= n; k++) {
      int high = k % m == 0;
      sum[high] += value[k - 1];
      sum2[high] += (double) value[k - 1] * value[k - 1];
      count[high]++;
    }
    double high = sum[1] / count[1], low = sum[0] / count[0];
    double spread = fmax (0, sum2[1] - sum[1] * high) + fmax (0, sum2[0] - sum[0] * low);
    double error = sqrt (spread / n * (1.0 / count[0] + 1.0 / count[1]));
    if (high - low > 0.005 && high - low > 5 * error)
      return m;
  }
  return 1;
}

static double
ramp (double value, double zero, double one)
{
  double t = CLAMP ((value - zero) / (one - zero), 0, 1);
  return t * t * (3 - 2 * t);
}

static double
median_of (const float *value, int n)
{
  g_autofree float *sorted = g_memdup2 (value, sizeof *value * (gsize) n);
  return notch_median (sorted, (gsize) n);
}

/* The die's period along an axis; n 0: there is none. `sure` from how far its peaks stand above what lies between. */
static Family
choose (const Profile *p, double least, double *sure)
{
  float value[MOST_MULTIPLES];
  int first = MAX (3, (int) ceil (least));
  double best = INFINITY;
  *sure = 0;
  if (p->n <= first + 1)
    return (Family){ 0 };
  /* The best that any lag's worst multiple does. A lag with one multiple alone may be chance, so it counts a bit less. */
  for (int lag = first; lag + 1 < p->n; lag++)
    if (p->best[lag] >= p->best[lag - 1] && p->best[lag] > p->best[lag + 1]) {
      Family f = follow (p, lag, value);
      if (f.n > 0 && f.mean > 0)
        best = fmin (best, f.short_of + (f.n == 1 ? 0.02 : 0));
    }
  if (!isfinite (best))
    return (Family){ 0 };
  double level = median_of (p->best + first, p->n - first);
  for (int lag = first; lag + 1 < p->n; lag++) {
    if (!(p->best[lag] >= p->best[lag - 1] && p->best[lag] > p->best[lag + 1]))
      continue;
    Family f = follow (p, lag, value);
    if (f.n == 0 || !(f.mean > 0) || f.short_of > best + 0.01 + 0.05 * fmax (0, f.mean - level))
      continue;
    int periods = coarser (value, f.n);
    if (periods > 1)
      f = follow (p, (int) lround (periods * f.pitch), value);
    if (f.n == 0)
      continue;
    *sure = ramp ((f.mean - level) / (1 - level), 0.08, 0.5) * ramp (f.mean, 0.15, 0.45);
    if (f.n == 1) /* two in a row are little to go by */
      *sure *= 0.75;
    return f;
  }
  return (Family){ 0 };
}

/* Looks in a pattern g for the lattice. FALSE only when there is no memory. */
static gboolean
search (const float *g, const float *mask, int width, int height, double least, NotchPeriod *found)
{
  Correlation c = { 0 };
  *found = (NotchPeriod){ 0 };
  gboolean ok = correlate (g, mask, width, height, &c);
  if (ok) {
    Family axis[2];
    double sure[2] = { 0 };
    for (int down = 0; down < 2; down++) {
      int n = (down ? height : width) / 2 + 4;
      g_autofree float *best = g_new0 (float, n);
      g_autofree float *most = g_new0 (float, n);
      g_autofree int *across = g_new0 (int, n);
      Profile p = { &c, down, n, best, across, most };
      fill_profile (&p);
      axis[down] = choose (&p, least, &sure[down]);
    }
    /* One row of dice, or one column: three must follow each other, for no second axis bears witness. */
    int lone = sure[0] < 0.2 ? 1 : 0;
    if (axis[lone].n > 1 && sure[1 - lone] < 0.2) {
      double pitch = hypot (axis[lone].pitch, axis[lone].slant);
      found->pitch_x = lone == 0 ? pitch : 0;
      found->pitch_y = lone == 1 ? pitch : 0;
      found->angle = (lone == 0 ? 1 : -1) * atan2 (axis[lone].slant, axis[lone].pitch);
      found->sure = sure[lone];
    } else if (axis[0].n > 0 && axis[1].n > 0) {
      /* Rows slant down by what columns slant to the left. */
      double x = axis[0].pitch * axis[0].n, y = axis[1].pitch * axis[1].n;
      found->angle = atan2 (x * axis[0].slant * axis[0].n - y * axis[1].slant * axis[1].n, x * x + y * y);
      found->pitch_x = hypot (axis[0].pitch, axis[0].slant);
      found->pitch_y = hypot (axis[1].pitch, axis[1].slant);
      found->sure = MIN (sure[0], sure[1]);
      /* Two axes that disagree on the angle are two different things. */
      double disagree = fabs (axis[0].slant / axis[0].pitch + axis[1].slant / axis[1].pitch);
      found->sure *= 1 - ramp (disagree, 0.01 + 1.0 / fmin (x, y), 0.02 + 3.0 / fmin (x, y));
    }
  }
  notch_fft_release (c.value);
  return ok;
}

/* What the pattern is in strength: dice that are inverted are like the others in that. */
static void
rectify (const float *g, const float *mask, gsize n, float *strength)
{
  double sum = 0, count = 0;
  for (gsize i = 0; i < n; i++) {
    gboolean inside = !mask || mask[i] > 0;
    sum += inside ? (double) fabsf (g[i]) : 0;
    count += inside;
  }
  float mean = count > 0 ? (float) (sum / count) : 0;
  for (gsize i = 0; i < n; i++)
    strength[i] = !mask || mask[i] > 0 ? fabsf (g[i]) - mean : 0;
}

static gboolean
has_both (const NotchPeriod *period)
{
  return period->pitch_x > 0 && period->pitch_y > 0;
}

/* Whether a period is whole multiples of another one along both axes. */
static gboolean
is_multiple (const NotchPeriod *period, const NotchPeriod *of)
{
  double x = period->pitch_x / of->pitch_x, y = period->pitch_y / of->pitch_y;
  return has_both (of) && fabs (x - rint (x)) < 0.05 * rint (x) && fabs (y - rint (y)) < 0.05 * rint (y);
}

/* A row of dice that is not like the others, or one die of few, lets those periods win that have the fewest pairs with it:
 * two or more dice for one, or a single row. So what agrees with nothing a period away is left out and the rest is looked
 * at alone, for as long as that finds a fraction of the period, or one that is clearly surer. */
static gboolean
leave_out_odd (const float *g, const float *mask, int width, int height, double least, NotchPeriod *found)
{
  gsize n = (gsize) width * (gsize) height;
  g_autofree float *rest = g_try_new (float, n);
  if (!rest)
    return FALSE;
  NotchPeriod guess = *found;
  if (!has_both (found)) {
    rectify (g, mask, n, rest);
    if (!search (rest, mask, width, height, least, &guess))
      return FALSE;
    if (guess.sure < LEAST_GUESS || !has_both (&guess))
      return TRUE;
  }
  for (int round = 0;; round++) {
    NotchPeriod other;
    NotchOddPart part;
    g_autofree float *weight = notch_odd_places (g, mask, width, height, &guess, &part);
    if (!weight)
      return FALSE;
    gboolean done = part.unlike < SOME_UNLIKE || round == ROUNDS;
    if (!done) {
      for (gsize i = 0; i < n; i++)
        rest[i] = weight[i] > 0 ? g[i] : 0;
      if (!search (rest, weight, width, height, least, &other))
        return FALSE;
      gboolean finer =
          is_multiple (&guess, &other) && other.pitch_x * other.pitch_y < 0.7 * guess.pitch_x * guess.pitch_y;
      double enough = !has_both (found) ? LEAST_GUESS : finer ? found->sure - 0.05 : found->sure + 0.1;
      done = !has_both (&other) || other.sure < enough;
    }
    if (done) {
      if (has_both (found))
        found->sure *= 1 - ramp (part.odd, 0.15, 0.4);
      return TRUE;
    }
    guess = *found = other;
  }
}

gboolean
notch_period_find (const float *value, const float *mask, int width, int height, double least, NotchPeriod *found,
                   GError **error)
{
  *found = (NotchPeriod){ 0 };
  if (width < 16 || height < 16)
    return TRUE;
  g_autofree float *g = g_try_new (float, (gsize) width *(gsize) height);
  gboolean ok = g && flatten (value, mask, width, height, g) && search (g, mask, width, height, least, found)
                && leave_out_odd (g, mask, width, height, least, found);
  if (!ok)
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT,
                 "there is no memory to look for dice in an overview of %d x %d px", width, height);
  return ok;
}
