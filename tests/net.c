/* net.c - networks that learn, on every backend */
#include "inspect/classify/engine.h"
#include "tests/backend.h"
#include "tests/chance.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

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
  return (NotchCompute){ .kernels = backend, .jobs = jobs };
}

static void
test_wiring (void)
{
  g_autoptr (GError) error = NULL;
  begin ();
  g_autoptr (NotchNet) net = notch_net_new (&small, 5, &error);
  const NotchCompute compute = compute_by (2);
  g_autoptr (NotchEngine) engine = notch_engine_new (net, &compute, 32, NOTCH_ENGINE_LEARNS_IN_SINGLE, &error);
  g_assert_no_error (error);
  g_autofree float *image = normals (32 * 162), *target = g_new0 (float, 96);
  for (int i = 0; i < 96; i++)
    target[i] = i % 3 == i / 3 % 3;
  float loss[2][32], probability[96];
  gsize n = net->n_parameters;
  g_autofree float *gradient = g_new (float, n), *moved = g_new (float, n);
  g_assert_true (notch_engine_derive (engine, image, target, loss[0], probability, &error));
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
        g_assert_true (notch_engine_derive (engine, image, target, loss[side], probability, &error));
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
  begin ();
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
  NotchNetTraining how = { .seed = 4,
                           .epochs = 6,
                           .batch = 64,
                           .rate = 3e-3,
                           .checkpoint = checkpoint,
                           .resume = TRUE,
                           .step = note_epoch,
                           .data = &curve };
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
    /* One of another version. */
    g_autoptr (NotchModel) kept = notch_model_load (checkpoint, &error);
    g_assert_no_error (error);
    const gint64 version = json_object_get_int_member (kept->settings, "version");
    json_object_remove_member (kept->settings, "version");
    g_assert_true (notch_model_save (kept, checkpoint, NULL));
    g_assert_false (notch_net_train (net, &images, &held_out, &how, &compute, &error));
    g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
    g_assert_nonnull (strstr (error->message, "is a checkpoint of version 1"));
    g_clear_error (&error);
    json_object_set_int_member (kept->settings, "version", version);
    g_assert_true (notch_model_save (kept, checkpoint, NULL));
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
  backend = &notch_kernels_cpu;
  fifty_steps (cpu);
  backend = other;
  /* A card that multiplies in bfloat16 comes to another loss, which falls as far; the stand-in is one only if it is told to. */
  const gboolean brief = g_strcmp0 (backend_taken, "cuda") == 0 || g_getenv ("CUDAHOST_MAJOR");
  for (int i = 0; i < 50; i++)
    g_assert_cmpfloat_with_epsilon (here[i], cpu[i], (brief ? 0.1 : 1e-4) * cpu[i]);
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
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/net/half", test_half);
  g_test_add_func ("/net/shapes", test_shapes);
  backend_add ("/net/wiring", (BackendTest){ .plain = test_wiring });
  backend_add ("/net/learns", (BackendTest){ .plain = test_learns });
  backend_add ("/net/same-bytes", (BackendTest){ .plain = test_same_bytes });
  backend_add ("/net/curve", (BackendTest){ .plain = test_curve });
  return g_test_run ();
}
