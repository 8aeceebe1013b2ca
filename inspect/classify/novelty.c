/* novelty.c - distances from what is known */
#include "inspect/classify/novelty.h"

#include "inspect/order.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EVIDENCE_WEIGHT 4
#define LEAST_SD        1e-3

enum { HEAD = 6 }; /* doubles before the arrays */

static NotchNovelty *
allocate (int length, int n_classes)
{
  NotchNovelty *novelty = g_new0 (NotchNovelty, 1);
  gsize n = (gsize) length;
  novelty->length = length;
  novelty->n_classes = n_classes;
  novelty->centre = g_new0 (double, n);
  novelty->scale = g_new0 (double, n);
  novelty->factor = g_new0 (double, n *n);
  novelty->mean = g_new0 (double, n *(gsize) n_classes);
  novelty->evidence_mean = NAN;
  novelty->far_sd = novelty->evidence_sd = 1;
  novelty->evidence_weight = EVIDENCE_WEIGHT;
  novelty->limit = INFINITY;
  return novelty;
}

void
notch_novelty_free (NotchNovelty *novelty)
{
  if (!novelty)
    return;
  g_free (novelty->centre);
  g_free (novelty->scale);
  g_free (novelty->factor);
  g_free (novelty->mean);
  g_free (novelty);
}

/* ---- learning ------------------------------------------------------------------------------------------------------ */

/* What is learned from. */
typedef struct {
  const float *vector;
  const int *class_index;
  gsize n;
  double *class_mean; /* n_classes x length, of the vectors as they are; 0 where a class has none */
} Known;

static double
number_at (const Known *known, gsize i, const NotchNovelty *novelty, int j)
{
  float value = known->vector[i * (gsize) novelty->length + (gsize) j];
  return isnan (value) ? novelty->centre[j] : (double) value;
}

/* Means over all and in the classes; then the scatter in the classes. FALSE where there is too little. */
static gboolean
find_scale (NotchNovelty *novelty, Known *known, gint64 *count)
{
  gint64 all = 0;
  for (int j = 0; j < novelty->length; j++) {
    gint64 n = 0;
    for (gsize i = 0; i < known->n; i++) {
      float value = known->vector[i * (gsize) novelty->length + (gsize) j];
      if (known->class_index[i] < 0 || isnan (value))
        continue;
      novelty->centre[j] += (double) value;
      n++;
    }
    novelty->centre[j] /= (double) MAX (n, 1);
  }
  for (gsize i = 0; i < known->n; i++)
    if (known->class_index[i] >= 0) {
      double *mean = known->class_mean + known->class_index[i] * (gsize) novelty->length;
      all++, count[known->class_index[i]]++;
      for (int j = 0; j < novelty->length; j++)
        mean[j] += number_at (known, i, novelty, j);
    }
  for (int k = 0; k < novelty->n_classes; k++)
    for (int j = 0; j < novelty->length; j++)
      known->class_mean[k * (gsize) novelty->length + (gsize) j] /= (double) MAX (count[k], 1);
  if (all < 2)
    return FALSE;
  for (int j = 0; j < novelty->length; j++) {
    double sum = 0;
    for (gsize i = 0; i < known->n; i++)
      if (known->class_index[i] >= 0) {
        double off = number_at (known, i, novelty, j)
                     - known->class_mean[known->class_index[i] * (gsize) novelty->length + (gsize) j];
        sum += off * off;
      }
    /* what never varies in a class says all when it does, but not infinitely much */
    novelty->scale[j] = sqrt (sum / (double) all);
    novelty->scale[j] = MAX (novelty->scale[j], 1e-3 * MAX (fabs (novelty->centre[j]), 1e-3));
  }
  return TRUE;
}

/* Correlations in the classes into the factor's lower triangle, shrunk: their off-diagonal by 1 - lambda, where lambda is
 * the sum of their variances over the sum of their squares. */
static void
find_correlation (NotchNovelty *novelty, const Known *known)
{
  gsize d = (gsize) novelty->length;
  g_autofree double *z = g_new (double, d), *square = g_new0 (double, d *d);
  double n = 0, variance = 0, power = 0;
  for (gsize i = 0; i < known->n; i++) {
    if (known->class_index[i] < 0)
      continue;
    const double *mean = known->class_mean + known->class_index[i] * d;
    for (gsize j = 0; j < d; j++)
      z[j] = (number_at (known, i, novelty, (int) j) - mean[j]) / novelty->scale[j];
    for (gsize j = 0; j < d; j++)
      for (gsize k = 0; k <= j; k++) {
        double product = z[j] * z[k];
        novelty->factor[j * d + k] += product;
        square[j * d + k] += product * product;
      }
    n++;
  }
  for (gsize j = 0; j < d; j++)
    for (gsize k = 0; k < j; k++) {
      double r = novelty->factor[j * d + k] / n;
      variance += (square[j * d + k] / n - r * r) / n;
      power += r * r;
    }
  double lambda = power > 0 ? CLAMP (variance / power, 0, 1) : 1;
  for (gsize j = 0; j < d; j++)
    for (gsize k = 0; k <= j; k++)
      novelty->factor[j * d + k] = j == k ? 1 : (1 - lambda) * novelty->factor[j * d + k] / n;
}

/* Cholesky, in place. Where correlations are too perfect the diagonal is raised until it is positive. */
static gboolean
factorise (double *a, gsize d, double more)
{
  for (gsize j = 0; j < d; j++)
    for (gsize k = 0; k <= j; k++) {
      double sum = j == k ? a[j * d + k] + more : a[j * d + k];
      for (gsize i = 0; i < k; i++)
        sum -= a[j * d + i] * a[k * d + i];
      if (j == k && !(sum > 1e-9))
        return FALSE;
      a[j * d + k] = j == k ? sqrt (sum) : sum / a[k * d + k];
    }
  return TRUE;
}

static void
make_factor (NotchNovelty *novelty)
{
  gsize d = (gsize) novelty->length;
  g_autofree double *correlation = g_memdup2 (novelty->factor, sizeof (double) * d * d);
  for (double more = 1e-6; !factorise (novelty->factor, d, more); more *= 10)
    memcpy (novelty->factor, correlation, sizeof (double) * d * d);
}

/* From the factor's unit to places: solves factor x place = z, in place. */
static void
solve (const NotchNovelty *novelty, double *z)
{
  gsize d = (gsize) novelty->length;
  for (gsize j = 0; j < d; j++) {
    for (gsize k = 0; k < j; k++)
      z[j] -= novelty->factor[j * d + k] * z[k];
    z[j] /= novelty->factor[j * d + j];
  }
}

NotchNovelty *
notch_novelty_new (const float *vector, const int *class_index, gsize n, int length, int n_classes)
{
  if (length < 1 || length > NOTCH_NOVELTY_MOST || n_classes < 1 || n_classes > NOTCH_NOVELTY_MOST)
    return NULL;
  g_autoptr (NotchNovelty) novelty = allocate (length, n_classes);
  g_autofree double *class_mean = g_new0 (double, (gsize) length *(gsize) n_classes);
  g_autofree gint64 *count = g_new0 (gint64, n_classes);
  Known known = { vector, class_index, n, class_mean };
  if (!find_scale (novelty, &known, count))
    return NULL;
  find_correlation (novelty, &known);
  make_factor (novelty);
  for (int k = 0; k < n_classes; k++) {
    double *mean = novelty->mean + k * (gsize) length;
    for (int j = 0; j < length; j++)
      mean[j] = (class_mean[k * (gsize) length + (gsize) j] - novelty->centre[j]) / novelty->scale[j];
    solve (novelty, mean);
    for (int j = 0; j < length && count[k] == 0; j++)
      mean[j] = NAN;
  }
  return g_steal_pointer (&novelty);
}

/* ---- use ----------------------------------------------------------------------------------------------------------- */

void
notch_novelty_place (const NotchNovelty *novelty, const float *vector, double *place)
{
  for (int j = 0; j < novelty->length; j++)
    place[j] = isnan (vector[j]) ? 0 : ((double) vector[j] - novelty->centre[j]) / novelty->scale[j];
  solve (novelty, place);
}

double
notch_novelty_distance (const NotchNovelty *novelty, const float *vector)
{
  double place[NOTCH_NOVELTY_MOST], least = INFINITY;
  notch_novelty_place (novelty, vector, place);
  for (int k = 0; k < novelty->n_classes; k++) {
    const double *mean = novelty->mean + k * (gsize) novelty->length;
    double sum = 0;
    for (int j = 0; j < novelty->length; j++)
      sum += (place[j] - mean[j]) * (place[j] - mean[j]);
    if (sum < least)
      least = sum;
  }
  return sqrt (least);
}

static double
log_far (const NotchNovelty *novelty, const float *vector)
{
  return log (MAX (notch_novelty_distance (novelty, vector), 1e-9));
}

/* - ln of the share of a normal distribution that is z sigmas or more above its mean. */
static double
rareness (double z)
{
  return z < 20 ? -log (0.5 * erfc (z / G_SQRT2)) : 0.5 * z * z + log (z * sqrt (2 * G_PI));
}

double
notch_novelty_strangeness (const NotchNovelty *novelty, const float *vector, double evidence)
{
  if (isnan (novelty->evidence_mean))
    return notch_novelty_distance (novelty, vector);
  return rareness ((log_far (novelty, vector) - novelty->far_mean) / novelty->far_sd)
         + novelty->evidence_weight * rareness ((novelty->evidence_mean - evidence) / novelty->evidence_sd);
}

static void
mean_and_sd (const double *value, gsize n, double *mean, double *sd)
{
  double sum = 0, squares = 0;
  for (gsize i = 0; i < n; i++)
    sum += value[i];
  *mean = sum / (double) n;
  for (gsize i = 0; i < n; i++)
    squares += (value[i] - *mean) * (value[i] - *mean);
  *sd = MAX (sqrt (squares / (double) n), LEAST_SD);
}

void
notch_novelty_set_limit (NotchNovelty *novelty, const float *vector, const double *evidence, gsize n)
{
  const gsize d = (gsize) novelty->length;
  g_autofree double *strange = g_new (double, n + 1);
  if (evidence && n > 0) {
    for (gsize i = 0; i < n; i++)
      strange[i] = log_far (novelty, vector + i * d);
    mean_and_sd (strange, n, &novelty->far_mean, &novelty->far_sd);
    mean_and_sd (evidence, n, &novelty->evidence_mean, &novelty->evidence_sd);
  }
  for (gsize i = 0; i < n; i++)
    strange[i] = notch_novelty_strangeness (novelty, vector + i * d, evidence ? evidence[i] : NAN);
  qsort (strange, n, sizeof *strange, notch_compare_up);
  novelty->limit = n > 0 ? strange[MIN ((gsize) ceil (NOTCH_NOVELTY_SHARE * (double) n), n) - 1] : INFINITY;
}

/* ---- bytes --------------------------------------------------------------------------------------------------------- */

/* Doubles, little-endian: the limit, means and sigmas of distances and of evidence, its weight, then centre, scale, factor
 * and means. */
static gsize
n_doubles (int length, int n_classes)
{
  gsize d = (gsize) length;
  return HEAD + 2 * d + d * d + d * (gsize) n_classes;
}

static void
swap_into (guint64 *to, const double *from, gsize n)
{
  memcpy (to, from, n * sizeof *to);
  for (gsize i = 0; i < n; i++)
    to[i] = GUINT64_TO_LE (to[i]);
}

GBytes *
notch_novelty_to_bytes (const NotchNovelty *novelty)
{
  gsize d = (gsize) novelty->length, n = n_doubles (novelty->length, novelty->n_classes);
  guint64 *to = g_new (guint64, n);
  const double head[HEAD] = { novelty->limit,         novelty->far_mean,    novelty->far_sd,
                              novelty->evidence_mean, novelty->evidence_sd, novelty->evidence_weight };
  swap_into (to, head, HEAD);
  swap_into (to + HEAD, novelty->centre, d);
  swap_into (to + HEAD + d, novelty->scale, d);
  swap_into (to + HEAD + 2 * d, novelty->factor, d * d);
  swap_into (to + HEAD + 2 * d + d * d, novelty->mean, d * (gsize) novelty->n_classes);
  return g_bytes_new_take (to, n * sizeof *to);
}

static void
swap_out (double *to, const guint64 *from, gsize n)
{
  for (gsize i = 0; i < n; i++) {
    guint64 bits = GUINT64_FROM_LE (from[i]);
    memcpy (&to[i], &bits, sizeof bits);
  }
}

NotchNovelty *
notch_novelty_from_bytes (GBytes *bytes, int length, int n_classes)
{
  gsize d = (gsize) length, size = 0;
  if (length < 1 || length > NOTCH_NOVELTY_MOST || n_classes < 1 || n_classes > NOTCH_NOVELTY_MOST
      || g_bytes_get_size (bytes) != n_doubles (length, n_classes) * sizeof (guint64))
    return NULL;
  g_autofree guint64 *from = g_memdup2 (g_bytes_get_data (bytes, &size), g_bytes_get_size (bytes));
  g_autoptr (NotchNovelty) novelty = allocate (length, n_classes);
  double head[HEAD];
  swap_out (head, from, HEAD);
  novelty->limit = head[0];
  novelty->far_mean = head[1], novelty->far_sd = head[2];
  novelty->evidence_mean = head[3], novelty->evidence_sd = head[4], novelty->evidence_weight = head[5];
  swap_out (novelty->centre, from + HEAD, d);
  swap_out (novelty->scale, from + HEAD + d, d);
  swap_out (novelty->factor, from + HEAD + 2 * d, d * d);
  swap_out (novelty->mean, from + HEAD + 2 * d + d * d, d * (gsize) n_classes);
  if (!(novelty->limit >= 0) || !isfinite (novelty->far_mean) || !(novelty->far_sd > 0)
      || isinf (novelty->evidence_mean) || !(novelty->evidence_sd > 0) || !(novelty->evidence_weight >= 0)
      || isinf (novelty->evidence_weight))
    return NULL;
  for (gsize j = 0; j < d; j++)
    if (!isfinite (novelty->centre[j]) || !(novelty->scale[j] > 0) || !(novelty->factor[j * d + j] > 0))
      return NULL;
  return g_steal_pointer (&novelty);
}
