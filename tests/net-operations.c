/* net-operations.c - operations of networks against finite differences, on every backend */
#include "kernels/cpu/product.h"
#include "tests/backend.h"
#include "tests/chance.h"

#include <math.h>
#include <string.h>

/* ---- the product ------------------------------------------------------------------------------------------------- */

static void
test_product (void)
{
  static const int shape[][3] = { { 1, 1, 1 }, { 8, 16, 3 }, { 13, 21, 300 }, { 7, 15, 257 }, { 40, 33, 17 } };
  for (gsize s = 0; s < G_N_ELEMENTS (shape); s++)
    for (int turns = 0; turns < 8; turns++) {
      int m = shape[s][0], n = shape[s][1], k = shape[s][2];
      gboolean turn_a = turns & 1, turn_b = turns & 2, add = turns & 4;
      g_autofree float *a = normals ((gsize) m * k), *b = normals ((gsize) k * n), *c = normals ((gsize) m * (n + 2));
      g_autofree float *before = g_memdup2 (c, sizeof (float) * m * (n + 2));
      g_autofree float *scratch = g_new (float, notch_cpu_product_scratch (n));
      notch_cpu_product (m, n, k, turn_a ? (NotchCpuMatrix){ a, 1, m } : (NotchCpuMatrix){ a, k, 1 },
                         turn_b ? (NotchCpuMatrix){ b, 1, k } : (NotchCpuMatrix){ b, n, 1 }, c, n + 2, add, scratch);
      for (int i = 0; i < m; i++) {
        for (int j = 0; j < n; j++) {
          float sum = add ? before[i * (n + 2) + j] : 0; /* the same order of the same roundings */
          for (int p = 0; p < k; p++) {
            float product = (turn_a ? a[p * m + i] : a[i * k + p]) * (turn_b ? b[j * k + p] : b[p * n + j]);
            sum += product;
          }
          g_assert_cmpfloat (c[i * (n + 2) + j], ==, sum);
        }
        g_assert_cmpfloat (c[i * (n + 2) + n], ==, before[i * (n + 2) + n]); /* nothing beyond a row */
      }
    }
}

/* ---- operations against finite differences ------------------------------------------------------------------------ */

typedef struct {
  const NotchNetKernels *k;
  NotchDevice *device;
  NotchNetLane *lane;
} Bench;

static Bench
bench_new (const NotchNetGeometry *is, int jobs)
{
  NotchFault fault = { 0 };
  begin ();
  Bench b = { backend->net, backend->open (0, &fault), NULL };
  g_assert_cmpstr (fault.text, ==, "");
  b.lane = b.k->lane_new (b.device, &(NotchNetSize){ jobs, is->n, 1, is, 0 }, &fault);
  g_assert_cmpstr (fault.text, ==, "");
  return b;
}

static void
bench_clear (Bench *b)
{
  b->k->lane_free (b->lane);
  backend->close (b->device);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Bench, bench_clear)

static float *
room (const Bench *b, gsize n)
{
  float *memory = NULL;
  g_assert_cmpint (b->k->allocate (b->lane, n, &memory), ==, 0);
  return memory;
}

static float *
put (const Bench *b, const float *from, gsize n)
{
  float *to = room (b, n);
  g_assert_cmpint (b->k->up (b->lane, to, from, n), ==, 0);
  return to;
}

static float *
get (const Bench *b, const float *from, gsize n)
{
  float *to = g_new (float, n);
  g_assert_cmpint (b->k->down (b->lane, to, from, n), ==, 0);
  return to;
}

/* The sum of values times what each counts: a loss whose derivatives by the values are what they count. */
static double
weigh (const Bench *b, const float *values, const float *count, gsize n)
{
  g_autofree float *is = get (b, values, n);
  double sum = 0;
  for (gsize i = 0; i < n; i++)
    sum += (double) is[i] * (double) count[i];
  return sum;
}

/* Loss as a function of what `at` holds on the device. */
typedef double (*LossOf) (const Bench *b, gpointer data);

/* Holds derivatives by n values against differences of the loss over 2 h, along random directions: a wrong one shows in all
 * of them. What is linear has no error but that of rounding, some 1e-6 over h, and may be differed widely; else h squared
 * comes to it. */
static void
check_derivative (const Bench *b, float *at, gsize n, const float *derivative, double h, LossOf loss_of, gpointer data)
{
  g_autofree float *before = get (b, at, n), *is = get (b, derivative, n), *moved = g_new (float, n);
  for (int direction = 0; direction < 6; direction++) {
    g_autofree float *along = g_new0 (float, n);
    double expected = 0, size = 0;
    for (gsize i = 0; i < n; i++) {
      along[i] = direction == 0 ? 1 : direction == 1 ? (float) (i + 1 == n) : normal ();
      expected += (double) along[i] * (double) is[i];
      size += pow ((double) along[i] * (double) is[i], 2);
    }
    double loss[2];
    for (int side = 0; side < 2; side++) {
      for (gsize i = 0; i < n; i++)
        moved[i] = before[i] + (side ? 1 : -1) * (float) h * along[i];
      g_assert_cmpint (b->k->up (b->lane, at, moved, n), ==, 0);
      loss[side] = loss_of (b, data);
    }
    double found = (loss[1] - loss[0]) / (2 * h);
    g_assert_cmpfloat (fabs (found - expected), <=, 3e-3 * (fabs (expected) + sqrt (size)) + 1e-6 / h);
  }
  g_assert_cmpint (b->k->up (b->lane, at, before, n), ==, 0);
}

typedef struct {
  NotchNetConvolve forward;
  const float *count; /* on the host */
  gsize n;
} Convolved;

static double
convolved_loss (const Bench *b, gpointer data)
{
  const Convolved *is = data;
  g_assert_cmpint (b->k->convolve (b->lane, &is->forward), ==, 0);
  return weigh (b, is->forward.y, is->count, is->n);
}

static void
test_convolve (gconstpointer data)
{
  const NotchNetGeometry *is = data;
  g_auto (Bench) b = bench_new (is, 3);
  gsize side = (gsize) notch_net_side_out (is), filters = (gsize) is->filters;
  gsize n_x = (gsize) is->n * is->side * is->side * is->channels, n_y = (gsize) is->n * side * side * filters;
  gsize n_weight = (gsize) notch_net_weight_rows (is) * filters;
  g_autofree float *x = normals (n_x), *weight = normals (n_weight), *bias = normals (filters), *count = normals (n_y);
  float *on_x = put (&b, x, n_x), *on_weight = put (&b, weight, n_weight), *on_bias = put (&b, bias, filters);
  Convolved convolved = { { *is, on_x, on_weight, on_bias, false, room (&b, n_y) }, count, n_y };
  NotchNetConvolveBack back = {
    *is, on_x, on_weight, put (&b, count, n_y), room (&b, n_x), room (&b, n_weight), room (&b, filters)
  };
  g_assert_cmpint (b.k->convolve_back (b.lane, &back), ==, 0);
  check_derivative (&b, on_x, n_x, back.dx, 0.5, convolved_loss, &convolved);
  check_derivative (&b, on_weight, n_weight, back.dweight, 0.5, convolved_loss, &convolved);
  check_derivative (&b, on_bias, filters, back.dbias, 0.5, convolved_loss, &convolved);

  /* One pixel by hand: the sum over the kernel, with zeros around the image. */
  int image = is->n - 1, oy = 0, ox = (int) side - 1, half = is->kernel / 2;
  double sum = (double) bias[0];
  for (int ky = 0; ky < is->kernel; ky++)
    for (int kx = 0; kx < is->kernel; kx++) {
      int iy = oy * is->stride + ky - half, ix = ox * is->stride + kx - half;
      for (int c = 0; c < is->channels && iy >= 0 && iy < is->side && ix >= 0 && ix < is->side; c++)
        sum += (double) x[(((gsize) image * is->side + iy) * is->side + ix) * is->channels + c]
               * (double) weight[(gsize) ((ky * is->kernel + kx) * is->channels + c) * filters];
    }
  gsize at = ((gsize) image * side * side + (gsize) oy * side + (gsize) ox) * filters;
  convolved_loss (&b, &convolved);
  g_autofree float *plain = get (&b, convolved.forward.y, n_y);
  g_assert_cmpfloat_with_epsilon (plain[at], sum, 1e-4);
  convolved.forward.rectify = true;
  convolved_loss (&b, &convolved);
  g_autofree float *rectified = get (&b, convolved.forward.y, n_y);
  for (gsize i = 0; i < n_y; i++)
    g_assert_cmpfloat (rectified[i], ==, MAX (plain[i], 0));
}

typedef struct {
  NotchNetNorm forward;
  const float *count;
} Normed;

static double
normed_loss (const Bench *b, gpointer data)
{
  const Normed *is = data;
  g_assert_cmpint (b->k->norm (b->lane, &is->forward), ==, 0);
  return weigh (b, is->forward.y, is->count, (gsize) is->forward.rows * (gsize) is->forward.channels);
}

static void
test_norm (void)
{
  const NotchNetGeometry is = { 32, 3, 1, 1, 1, 13 };
  g_auto (Bench) b = bench_new (&is, 2);
  gsize rows = 32 * 9, c = 13, n = rows * c;
  g_autofree float *x = normals (n), *gain = normals (c), *shift = normals (c), *count = normals (n);
  for (gsize i = 0; i < n; i++)
    x[i] = 2 * x[i] + (float) (i % c);
  for (gsize i = 0; i < c; i++) { /* columns that are above 0, and below: none comes across it */
    gain[i] = (gain[i] < 0 ? -1 : 1) * (0.5f + fabsf (gain[i]));
    shift[i] = 5 * fabsf (gain[i]) * (i % 3 ? 1 : -1);
  }
  Normed normed = { { (int64_t) rows, (int) c, put (&b, x, n), put (&b, gain, c), put (&b, shift, c), room (&b, c),
                      room (&b, c), room (&b, c), room (&b, c), 0.5f, room (&b, n) },
                    count };
  normed_loss (&b, &normed);
  g_autofree float *mean = get (&b, normed.forward.mean, c), *running = get (&b, normed.forward.running_mean, c);
  g_autofree float *inverse = get (&b, normed.forward.inverse, c);
  for (gsize i = 0; i < c; i++) {
    g_assert_cmpfloat_with_epsilon (mean[i], i, 0.6);
    g_assert_cmpfloat_with_epsilon (running[i], 0.5f * mean[i], 1e-6);
    g_assert_cmpfloat_with_epsilon (inverse[i], 0.5, 0.06);
  }
  NotchNetNormBack back = { (int64_t) rows,
                            (int) c,
                            normed.forward.x,
                            normed.forward.y,
                            normed.forward.gain,
                            normed.forward.mean,
                            normed.forward.inverse,
                            put (&b, count, n),
                            room (&b, n),
                            room (&b, c),
                            room (&b, c) };
  g_assert_cmpint (b.k->norm_back (b.lane, &back), ==, 0);
  check_derivative (&b, (float *) normed.forward.x, n, back.dx, 4e-3, normed_loss, &normed);
  check_derivative (&b, (float *) normed.forward.gain, c, back.dgain, 4e-3, normed_loss, &normed);
  check_derivative (&b, (float *) normed.forward.shift, c, back.dshift, 4e-3, normed_loss, &normed);
}

typedef struct {
  NotchNetPool forward;
  const float *count;
} Pooled;

static double
pooled_loss (const Bench *b, gpointer data)
{
  const Pooled *is = data;
  g_assert_cmpint (b->k->pool (b->lane, &is->forward), ==, 0);
  return weigh (b, is->forward.y, is->count, (gsize) is->forward.n * (gsize) is->forward.channels);
}

static void
test_pool (void)
{
  const NotchNetGeometry is = { 32, 3, 1, 1, 1, 5 };
  g_auto (Bench) b = bench_new (&is, 2);
  gsize n_x = 32 * 9 * 5, n_y = 32 * 5;
  g_autofree float *x = normals (n_x), *count = normals (n_y);
  Pooled pooled = { { 32, 9, 5, put (&b, x, n_x), room (&b, n_y) }, count };
  NotchNetPoolBack back = { 32, 9, 5, put (&b, count, n_y), room (&b, n_x) };
  g_assert_cmpint (b.k->pool_back (b.lane, &back), ==, 0);
  check_derivative (&b, (float *) pooled.forward.x, n_x, back.dx, 0.5, pooled_loss, &pooled);
}

static double
judged_loss (const Bench *b, gpointer data)
{
  static const float one[32] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
  const NotchNetLoss *is = data;
  g_assert_cmpint (b->k->loss (b->lane, is), ==, 0);
  return weigh (b, is->loss, one, 32);
}

static void
test_loss (void)
{
  const NotchNetGeometry is = { 32, 1, 1, 1, 1, 7 };
  g_auto (Bench) b = bench_new (&is, 2);
  gsize n = 32 * 7;
  g_autofree float *logit = normals (n), *target = g_new0 (float, n);
  for (gsize i = 0; i < n; i++) {
    logit[i] *= 4;
    target[i] = i % 7 == i / 7 % 7 ? 0.9f : 0.1f / 6;
  }
  logit[0] = 200, logit[1] = -200; /* nothing overflows */
  NotchNetLoss loss = {
    32, 7, put (&b, logit, n), room (&b, n), put (&b, target, n), 0.3f, room (&b, 32), room (&b, n)
  };
  g_assert_true (isfinite (judged_loss (&b, &loss)));
  check_derivative (&b, (float *) loss.logit, n, loss.dlogit, 1e-2, judged_loss, &loss);
  judged_loss (&b, &loss);
  g_autofree float *probability = get (&b, loss.probability, n);
  for (gsize row = 0; row < 32; row++) {
    double sum = 0;
    for (gsize c = 0; c < 7; c++)
      sum += (double) probability[row * 7 + c];
    g_assert_cmpfloat_with_epsilon (sum, 1, 1e-6);
  }
}

static void
test_adamw (void)
{
  const NotchNetGeometry is = { 16, 1, 1, 1, 1, 1 };
  g_auto (Bench) b = bench_new (&is, 2);
  const gsize n = 40000;
  g_autofree float *weight = normals (n);
  double w = (double) weight[n - 1], m = 0, v = 0;
  NotchNetAdamW step = { n, put (&b, weight, n), room (&b, n), room (&b, n), NULL, 0.01f, 0.1f, 0 };
  for (step.step = 1; step.step <= 5; step.step++) {
    g_autofree float *gradient = normals (n);
    double g = (double) gradient[n - 1];
    step.gradient = put (&b, gradient, n);
    g_assert_cmpint (b.k->adamw (b.lane, &step), ==, 0);
    m = 0.9 * m + 0.1 * g, v = 0.999 * v + 0.001 * g * g;
    w -= 0.01
         * (m / (1 - pow (0.9, (double) step.step)) / (sqrt (v / (1 - pow (0.999, (double) step.step))) + 1e-8)
            + 0.1 * w);
  }
  g_autofree float *found = get (&b, step.weight, n);
  g_assert_cmpfloat_with_epsilon (found[n - 1], w, 2e-6);
}

int
main (int argc, char **argv)
{
  static const NotchNetGeometry geometry[] = { { 16, 8, 3, 3, 1, 4 },  { 32, 9, 2, 3, 2, 5 }, { 16, 8, 5, 3, 2, 17 },
                                               { 48, 1, 30, 1, 1, 7 }, { 16, 5, 4, 1, 2, 3 }, { 16, 1, 3, 3, 1, 4 },
                                               { 16, 20, 1, 3, 1, 2 } };
  g_test_init (&argc, &argv, NULL);
  begin ();
  g_test_add_func ("/net/product", test_product);
  for (gsize i = 0; i < G_N_ELEMENTS (geometry); i++) {
    g_autofree char *path = g_strdup_printf ("/net/convolve/%" G_GSIZE_FORMAT, i);
    backend_add (path, (BackendTest){ .test = test_convolve, .data = &geometry[i] });
  }
  backend_add ("/net/norm", (BackendTest){ .plain = test_norm });
  backend_add ("/net/pool", (BackendTest){ .plain = test_pool });
  backend_add ("/net/softmax", (BackendTest){ .plain = test_loss });
  backend_add ("/net/adamw", (BackendTest){ .plain = test_adamw });
  return g_test_run ();
}
