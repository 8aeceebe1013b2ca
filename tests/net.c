/* net.c - operations of networks against finite differences, and networks that learn, on every backend */
#include "inspect/classify/engine.h"
#include "kernels/cpu/product.h"
#include "tests/backend.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

static NotchRandom chance;

static float
normal (void)
{
  double two[2];
  notch_random_normals (&chance, two);
  return (float) two[0];
}

static float *
normals (gsize n)
{
  float *to = g_new (float, n);
  for (gsize i = 0; i < n; i++)
    to[i] = normal ();
  return to;
}

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
  char fault[256] = "";
  Bench b = { backend->net, backend->open (backend_device, fault), NULL };
  g_assert_cmpstr (fault, ==, "");
  b.lane = b.k->lane_new (b.device, &(NotchNetSize){ jobs, is->n, 1, is }, fault);
  g_assert_cmpstr (fault, ==, "");
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

/* Holds derivatives by n values against differences of the loss over 2 h, along random directions: a wrong one shows in all of
 * them. What is linear has no error but that of rounding, some 1e-6 over h, and may be differed widely; else h squared comes to it. */
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
  for (gsize i = 0; i < c; i++) { /* columns that are mostly above 0, and mostly below, so that few come across it */
    gain[i] = (gain[i] < 0 ? -1 : 1) * (0.5f + fabsf (gain[i]));
    shift[i] = 3 * fabsf (gain[i]) * (i % 3 ? 1 : -1);
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
test_loss (gconstpointer several)
{
  const NotchNetGeometry is = { 32, 1, 1, 1, 1, 7 };
  g_auto (Bench) b = bench_new (&is, 2);
  gsize n = 32 * 7;
  g_autofree float *logit = normals (n), *target = g_new0 (float, n), *weight = g_new (float, n);
  for (gsize i = 0; i < n; i++) {
    logit[i] *= 4;
    weight[i] = 0.1f * (float) (1 + i % 7);
    target[i] = several ? (float) (i % 3 == 0) : i % 7 == i / 7 % 7 ? 0.9f : 0.1f / 6;
  }
  logit[0] = 200, logit[1] = -200; /* nothing overflows */
  NotchNetLoss loss = { 32,
                        7,
                        several != NULL,
                        put (&b, logit, n),
                        room (&b, n),
                        put (&b, target, n),
                        put (&b, weight, n),
                        room (&b, 32),
                        room (&b, n) };
  g_assert_true (isfinite (judged_loss (&b, &loss)));
  check_derivative (&b, (float *) loss.logit, n, loss.dlogit, 1e-2, judged_loss, &loss);
  judged_loss (&b, &loss);
  g_autofree float *probability = get (&b, loss.probability, n);
  for (gsize i = 0; i < n; i++)
    if (several)
      g_assert_cmpfloat_with_epsilon (probability[i], 1 / (1 + exp (-(double) logit[i])), 1e-6);
  for (gsize row = 0; row < 32 && !several; row++) {
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

/* ---- whole networks ------------------------------------------------------------------------------------------------ */

static const NotchNetShape small = {
  .channels = 2, .side = 9, .n_blocks = 3, .block = { { 8, 1 }, { 12, 2 }, { 16, 2 } }, .embedding = 10, .classes = 3
};

/* Images of three kinds that no single pixel tells: stripes along x, along y, a blob; in noise. */
static float *
kinds (gsize n, int *label)
{
  float *image = normals (n * 162);
  for (gsize i = 0; i < n; i++) {
    label[i] = (int) (i % 3);
    double phase = notch_random_between (&chance, 0, 6), x0 = notch_random_between (&chance, 2, 6);
    for (int p = 0; p < 162; p++) {
      int x = p % 9, y = p % 81 / 9;
      double signal = label[i] == 0   ? sin (phase + 2 * x)
                      : label[i] == 1 ? sin (phase + 2 * y)
                                      : 2 * exp (-(pow (x - x0, 2) + pow (y - 4, 2)) / 2);
      image[i * 162 + (gsize) p] = 0.3f * image[i * 162 + (gsize) p] + (p < 81 ? 1 : -1) * (float) signal;
    }
  }
  return image;
}

static NotchCompute
compute_by (int jobs)
{
  return (NotchCompute){ backend, NULL, jobs };
}

static void
test_wiring (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchNet) net = notch_net_new (&small, 5, &error);
  const NotchCompute compute = compute_by (2);
  g_autoptr (NotchEngine) engine = notch_engine_new (net, &compute, 32, TRUE, &error);
  g_assert_no_error (error);
  g_autofree float *image = normals (32 * 162), *target = g_new0 (float, 96), *weight = g_new (float, 96);
  for (int i = 0; i < 96; i++)
    weight[i] = 1.0f / 32, target[i] = i % 3 == i / 3 % 3;
  float loss[2][32], probability[96];
  gsize n = net->n_parameters;
  g_autofree float *gradient = g_new (float, n), *moved = g_new (float, n);
  g_assert_true (notch_engine_derive (engine, image, target, weight, loss[0], probability, &error));
  g_assert_true (notch_engine_get_state (engine, NOTCH_ENGINE_GRADIENT, gradient, &error));
  /* Along the gradient of each part of the parameters the loss grows by its square. */
  for (int l = 0; l < net->n_layers; l++)
    for (int part = 0; part < 3; part++) {
      const NotchNetLayer *layer = &net->layer[l];
      gsize filters = (gsize) layer->is.filters;
      gsize from = part == 0 ? layer->weight : part == 1 ? layer->shift : layer->gain;
      gsize to = from + (part == 0 ? (gsize) notch_net_weight_rows (&layer->is) * filters : filters);
      if (part == 2 && !layer->normed)
        continue;
      double square = 0, found = 0;
      for (gsize i = from; i < to; i++)
        square += (double) gradient[i] * (double) gradient[i];
      double h = 2e-3 / sqrt (square);
      for (int side = 0; side < 2; side++) {
        for (gsize i = 0; i < n; i++)
          moved[i] = net->parameter[i] + (i >= from && i < to ? (side ? 1 : -1) * (float) h * gradient[i] : 0);
        g_assert_true (notch_engine_set_state (engine, NOTCH_ENGINE_PARAMETER, moved, &error));
        g_assert_true (notch_engine_derive (engine, image, target, weight, loss[side], probability, &error));
      }
      for (int i = 0; i < 32; i++)
        found += ((double) loss[1][i] - (double) loss[0][i]) / (2 * h);
      g_assert_cmpfloat_with_epsilon (found / square, 1, 0.03); /* kinks, and h squared */
    }
}

typedef struct {
  GArray *loss; /* double */
  int stop;     /* after this epoch; 0: never */
} Curve;

static gboolean
note_epoch (const NotchNetEpoch *epoch, gpointer data)
{
  Curve *curve = data;
  g_array_append_val (curve->loss, epoch->loss);
  return epoch->epoch != curve->stop;
}

/* Adds noise, and turns the image upside down or not. */
static void
draw_changed (const NotchNetImages *images, gsize i, NotchRandom *random, float *image)
{
  const float *from = (const float *) images->data + i * 162;
  gboolean flip = random && notch_random_unit (random) < 0.5;
  for (int p = 0; p < 162; p++)
    image[p] = from[flip ? p / 81 * 81 + (8 - p % 81 / 9) * 9 + p % 9 : p];
  for (int p = 0; random && p < 162; p++)
    image[p] += (float) notch_random_between (random, -0.1, 0.1);
}

static void
test_learns (void)
{
  g_autoptr (GError) error = NULL;
  int label[240], held_label[90];
  g_autofree float *image = kinds (240, label), *held = kinds (90, held_label);
  const NotchNetImages images = { .n = 240, .draw = draw_changed, .data = image, .label = label };
  const NotchNetImages held_out = { .n = 90, .image = held, .label = held_label };
  Curve curve = { g_array_new (FALSE, FALSE, sizeof (double)), 0 };
  const NotchNetTraining how = {
    .seed = 3, .epochs = 12, .batch = 32, .rate = 1e-2, .step = note_epoch, .data = &curve
  };
  g_autoptr (NotchNet) net = notch_net_new (&small, 1, &error);
  const NotchCompute compute = compute_by (2);
  g_assert_true (notch_net_train (net, &images, &held_out, &how, &compute, &error));
  g_assert_no_error (error);
  g_assert_cmpfloat (g_array_index (curve.loss, double, curve.loss->len - 1), <, 0.5);
  g_array_unref (curve.loss);
  float probability[270], embedding[900], alone[3];
  g_assert_true (notch_net_apply (net, &held_out, &compute, probability, embedding, &error));
  for (int i = 0; i < 90; i++) {
    for (int c = 0; c < 3; c++)
      if (c != held_label[i])
        g_assert_cmpfloat (probability[3 * i + c], <, probability[3 * i + held_label[i]]);
    for (int e = 0; e < 10; e++)
      g_assert_true (embedding[10 * i + e] >= 0);
  }
  /* One image alone is what it is among others. */
  const NotchNetImages one = { .n = 1, .image = held + 77 * 162 };
  g_assert_true (notch_net_apply (net, &one, &compute, alone, NULL, &error));
  g_assert_cmpmem (alone, sizeof alone, probability + 231, sizeof alone);

  /* What is kept in a model says the same, and is refused where it does not fit. */
  g_autoptr (NotchModel) model = notch_model_new ("defects", "net");
  notch_net_to_model (net, model);
  g_autoptr (NotchNet) again = notch_net_from_model (model, &error);
  g_assert_no_error (error);
  float said[270];
  g_assert_true (notch_net_apply (again, &held_out, &compute, said, NULL, &error));
  g_assert_cmpmem (said, sizeof said, probability, sizeof probability);
  JsonObject *shape = json_object_get_object_member (model->settings, "net");
  json_object_set_int_member (shape, "embedding", 11);
  g_assert_null (notch_net_from_model (model, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
  g_clear_error (&error);
  json_object_set_string_member (shape, "embedding", "many");
  g_assert_null (notch_net_from_model (model, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
}

/* Several classes at once: stripes and a blob may be in one image, or neither. */
static void
test_several (void)
{
  g_autoptr (GError) error = NULL;
  int label[240], other_label[240];
  g_autofree float *image = kinds (240, label), *other = kinds (240, other_label), *target = g_new0 (float, 720);
  for (int i = 0; i < 240; i++) {
    int second = (i / 3) % 3; /* a third of the images have one kind only */
    target[3 * i + label[i]] = target[3 * i + second] = 1;
    for (int p = 0; p < 162; p++)
      image[162 * i + p] += other[162 * (i - i % 3 + second) + p];
  }
  NotchNetShape shape = small;
  shape.several = TRUE;
  g_autoptr (NotchNet) net = notch_net_new (&shape, 1, &error);
  const NotchNetImages images = { .n = 240, .image = image, .target = target };
  const NotchNetTraining how = { .seed = 3, .epochs = 20, .batch = 48, .rate = 1e-2 };
  const NotchCompute compute = compute_by (2);
  g_assert_true (notch_net_train (net, &images, NULL, &how, &compute, &error));
  g_autofree float *probability = g_new (float, 720);
  g_assert_true (notch_net_apply (net, &images, &compute, probability, NULL, &error));
  int right = 0;
  for (int i = 0; i < 720; i++)
    right += (probability[i] > 0.5f) == (target[i] > 0.5f);
  g_assert_cmpint (right, >=, 700);
}

/* Trains for six epochs; with a checkpoint it is interrupted after the third and resumed. */
static NotchNet *
train_six (int jobs, const char *checkpoint)
{
  g_autoptr (GError) error = NULL;
  int label[200], held_label[30];
  chance = notch_random_at (9, NOTCH_STREAM_NOISE, 0, 0);
  g_autofree float *image = kinds (200, label), *held = kinds (30, held_label);
  label[7] = 2; /* classes are not equally many */
  const NotchNetImages images = { .n = 200, .draw = draw_changed, .data = image, .label = label };
  const NotchNetImages held_out = { .n = 30, .image = held, .label = held_label };
  Curve curve = { g_array_new (FALSE, FALSE, sizeof (double)), checkpoint ? 3 : 0 };
  NotchNetTraining how = {
    .seed = 4, .epochs = 6, .batch = 64, .rate = 3e-3, .checkpoint = checkpoint, .step = note_epoch, .data = &curve
  };
  NotchNet *net = notch_net_new (&small, 1, &error);
  const NotchCompute compute = compute_by (jobs);
  if (checkpoint) {
    g_assert_false (notch_net_train (net, &images, &held_out, &how, &compute, &error));
    g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_CANCELLED);
    g_clear_error (&error);
    g_assert_true (g_file_test (checkpoint, G_FILE_TEST_EXISTS));
    how.rate = 1e-3; /* another training */
    g_assert_false (notch_net_train (net, &images, &held_out, &how, &compute, &error));
    g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
    g_clear_error (&error);
    how.rate = 3e-3;
    notch_net_free (net);
    net = notch_net_new (&small, 1, &error);
  }
  g_assert_true (notch_net_train (net, &images, &held_out, &how, &compute, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (curve.loss->len, ==, 6);
  g_array_unref (curve.loss);
  return net;
}

static void
test_same_bytes (void)
{
  g_autofree char *folder = g_dir_make_tmp ("notch-net-XXXXXX", NULL);
  g_autofree char *checkpoint = g_build_filename (folder, "checkpoint", NULL);
  g_autoptr (NotchNet) one = train_six (1, NULL), three = train_six (3, NULL), resumed = train_six (2, checkpoint);
  gsize n = one->n_parameters * sizeof (float), running = one->n_running * sizeof (float);
  g_assert_cmpmem (one->parameter, n, three->parameter, n);
  g_assert_cmpmem (one->running, running, three->running, running);
  g_assert_cmpmem (one->parameter, n, resumed->parameter, n);
  g_assert_cmpmem (one->running, running, resumed->running, running);
  g_assert_false (g_file_test (checkpoint, G_FILE_TEST_EXISTS));
  g_assert_cmpint (g_rmdir (folder), ==, 0);
}

/* The loss of 50 steps, which the processors' must be within 1e-4 of. */
static void
fifty_steps (double loss[50])
{
  g_autoptr (GError) error = NULL;
  int label[1600];
  chance = notch_random_at (2, NOTCH_STREAM_NOISE, 0, 0);
  g_autofree float *image = kinds (1600, label);
  g_autoptr (NotchNet) net = notch_net_new (&small, 1, &error);
  const NotchNetImages images = { .n = 32, .image = image, .label = label };
  Curve curve = { g_array_new (FALSE, FALSE, sizeof (double)), 0 };
  const NotchNetTraining how = { .seed = 4, .epochs = 50, .batch = 32, .step = note_epoch, .data = &curve };
  const NotchCompute compute = compute_by (2);
  g_assert_true (notch_net_train (net, &images, NULL, &how, &compute, &error));
  g_assert_no_error (error);
  memcpy (loss, curve.loss->data, 50 * sizeof *loss);
  g_array_unref (curve.loss);
}

static void
test_curve (void)
{
  double here[50], cpu[50];
  fifty_steps (here);
  const NotchKernels *other = backend;
  int device = backend_device;
  backend = notch_device_choose ("cpu", &backend_device, NULL, NULL);
  fifty_steps (cpu);
  backend = other, backend_device = device;
  for (int i = 0; i < 50; i++)
    g_assert_cmpfloat_with_epsilon (here[i], cpu[i], 1e-4 * cpu[i]);
  g_assert_cmpfloat (here[49], <, 0.7 * here[0]);
}

static void
test_half (void)
{
  for (guint half = 0; half < 0x7c00; half++) {
    float value = notch_half_to_float ((guint16) half), next = notch_half_to_float ((guint16) (half + 1));
    g_assert_cmpuint (notch_half (value), ==, half);
    g_assert_cmpuint (notch_half (-value), ==, half | 0x8000);
    if (half + 1 == 0x7c00)
      break;
    float middle = value + (next - value) / 2;
    g_assert_cmpuint (notch_half (middle), ==, half + (half & 1)); /* of two as near the even one */
    g_assert_cmpuint (notch_half (nextafterf (middle, INFINITY)), ==, half + 1);
  }
  g_assert_cmpfloat (notch_half_to_float (notch_half (1e9f)), ==, 65504);
  g_assert_cmpfloat (notch_half_to_float (0x3c00), ==, 1);
}

static void
test_shapes (void)
{
  g_autoptr (GError) error = NULL;
  NotchNetShape shape = small;
  shape.block[1].stride = 3;
  g_assert_null (notch_net_new (&shape, 1, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE);
  g_clear_error (&error);
  shape = small;
  shape.n_blocks = NOTCH_NET_MAX_BLOCKS + 1;
  g_assert_null (notch_net_new (&shape, 1, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE);
}

int
main (int argc, char **argv)
{
  static const NotchNetGeometry geometry[] = { { 16, 8, 3, 3, 1, 4 },  { 32, 9, 2, 3, 2, 5 }, { 16, 8, 5, 3, 2, 17 },
                                               { 48, 1, 30, 1, 1, 7 }, { 16, 5, 4, 1, 2, 3 }, { 16, 1, 3, 3, 1, 4 },
                                               { 16, 20, 1, 3, 1, 2 } };
  g_test_init (&argc, &argv, NULL);
  chance = notch_random_at (1, NOTCH_STREAM_NOISE, 0, 0);
  g_test_add_func ("/net/product", test_product);
  g_test_add_func ("/net/half", test_half);
  g_test_add_func ("/net/shapes", test_shapes);
  for (gsize i = 0; i < G_N_ELEMENTS (geometry); i++) {
    g_autofree char *path = g_strdup_printf ("/net/convolve/%" G_GSIZE_FORMAT, i);
    backend_add (path, (BackendTest){ .test = test_convolve, .data = &geometry[i] });
  }
  backend_add ("/net/norm", (BackendTest){ .plain = test_norm });
  backend_add ("/net/pool", (BackendTest){ .plain = test_pool });
  backend_add ("/net/softmax", (BackendTest){ .test = test_loss, .data = NULL });
  backend_add ("/net/sigmoids", (BackendTest){ .test = test_loss, .data = "several" });
  backend_add ("/net/adamw", (BackendTest){ .plain = test_adamw });
  backend_add ("/net/wiring", (BackendTest){ .plain = test_wiring });
  backend_add ("/net/learns", (BackendTest){ .plain = test_learns });
  backend_add ("/net/several", (BackendTest){ .plain = test_several });
  backend_add ("/net/same-bytes", (BackendTest){ .plain = test_same_bytes });
  backend_add ("/net/curve", (BackendTest){ .plain = test_curve });
  return g_test_run ();
}
