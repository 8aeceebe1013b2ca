/* net-defects.c - the network over a defect's patch: how the test differs, what it shows, what it should show */
#include "inspect/classify/augment.h"
#include "inspect/classify/classifier.h"
#include "inspect/classify/net.h"
#include "inspect/wafer/median.h"

#include <math.h>
#include <string.h>

enum {
  MOST_SIDE = 64,
  CHANNELS = 3,
  BATCH = 64,
  LEAST_PER_EPOCH = 5000 /* few examples are shown more often, each time changed */
};

/* 0.4 million weights; a patch of 64 px takes 15 million products. */
static NotchNetShape
shape_for (int patch_side, int classes)
{
  return (NotchNetShape){ .channels = CHANNELS,
                          .side = MIN (patch_side, MOST_SIDE),
                          .n_blocks = 5,
                          .block = { { 32, 2 }, { 64, 2 }, { 128, 2 }, { 128, 2 }, { 128, 1 } },
                          .embedding = 128,
                          .classes = classes };
}

/* ---- from a patch to an image ------------------------------------------------------------------------------------ */

/* The middle side x side of a patch of another side, edges repeated; what is no number becomes what the other image has
 * there, and 0 where neither has. */
static void
cut_middle (const float *patch, int patch_side, int side, float *test, float *reference)
{
  int aside = (patch_side - side) / 2;
  for (int y = 0; y < side; y++)
    for (int x = 0; x < side; x++) {
      int at = CLAMP (y + aside, 0, patch_side - 1) * patch_side + CLAMP (x + aside, 0, patch_side - 1);
      float t = patch[at], r = patch[patch_side * patch_side + at];
      test[y * side + x] = isfinite (t) ? t : isfinite (r) ? r : 0;
      reference[y * side + x] = isfinite (r) ? r : test[y * side + x];
    }
}

/* Sigma of the test's noise: a quarter of all differences are smaller than 0.32 of it, also where most of the patch is a
 * defect. What is less than a hundredth of what the reference varies by is none. */
static double
noise_of (const float *test, const float *reference, int n, double spread, float *scratch)
{
  for (int i = 0; i < n; i++)
    scratch[i] = fabsf (test[i] - reference[i]);
  return (double) notch_select (scratch, (gsize) n, (gsize) n / 4) / 0.3186 + 0.01 * spread + 1e-6;
}

static void
mean_and_spread (const float *v, int n, double *mean, double *spread)
{
  double sum = 0, squares = 0;
  for (int i = 0; i < n; i++)
    sum += (double) v[i], squares += (double) v[i] * (double) v[i];
  *mean = sum / n;
  *spread = sqrt (MAX (squares / n - *mean * *mean, 0));
}

typedef struct {
  const NotchExample **example;
  int patch_side, side;
} Patches;

/* What is small stays, what is large comes no further than 8. */
static inline float
squash (float x)
{
  return x / (1 + fabsf (x) * 0.125f);
}

/* The difference in sigmas of the noise, and test and reference less the reference's mean, over its spread. */
static void
draw (const NotchNetImages *images, gsize i, NotchRandom *random, float *image)
{
  const Patches *patches = images->data;
  int side = patches->side, n = side * side;
  g_autofree float *scratch = g_new (float, n);
  float *test = image + n, *reference = image + 2 * n;
  cut_middle (patches->example[i]->patch, patches->patch_side, side, test, reference);
  double mean = 0, spread = 0;
  mean_and_spread (reference, n, &mean, &spread);
  double noise = noise_of (test, reference, n, spread, scratch);
  if (random) {
    NotchPatchPair pair = { side, noise, test, reference, scratch };
    notch_augment (&pair, NOTCH_AUGMENT_ALL, random);
    mean_and_spread (reference, n, &mean, &spread);
    noise = noise_of (test, reference, n, spread, scratch);
  }
  float per_noise = (float) (1 / noise), per_spread = (float) (1 / hypot (spread, noise));
  for (int k = 0; k < n; k++) {
    image[k] = 0.5f * squash ((test[k] - reference[k]) * per_noise);
    test[k] = squash ((test[k] - (float) mean) * per_spread);
    reference[k] = squash ((reference[k] - (float) mean) * per_spread);
  }
}

/* ---- training ---------------------------------------------------------------------------------------------------- */

/* Examples of one part that have a patch and a class. */
typedef struct {
  GPtrArray *example; /* const NotchExample * */
  GArray *label;      /* int */
} Part;

static void
clear_part (Part *part)
{
  g_ptr_array_unref (part->example);
  g_array_unref (part->label);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Part, clear_part)

static Part
part_of (const NotchDataset *dataset, const guint8 *parts, int which)
{
  Part part = { g_ptr_array_new (), g_array_new (FALSE, FALSE, sizeof (int)) };
  for (guint i = 0; i < dataset->example->len; i++) {
    const NotchExample *example = notch_example (dataset, i);
    if (parts[i] != which || !example->patch || example->class_index < 0)
      continue;
    g_ptr_array_add (part.example, (gpointer) example);
    g_array_append_val (part.label, example->class_index);
  }
  return part;
}

static NotchNetImages
images_of (const Part *part, const Patches *patches)
{
  return (NotchNetImages){
    .n = part->example->len, .draw = draw, .data = patches, .label = (const int *) (gpointer) part->label->data
  };
}

/* With a decimal point, whatever the locale. */
static void
add_figures (GString *line, double loss, double accuracy)
{
  char text[2][G_ASCII_DTOSTR_BUF_SIZE];
  g_ascii_formatd (text[0], sizeof text[0], "%.4f", loss);
  g_ascii_formatd (text[1], sizeof text[1], "%5.1f", 100 * accuracy);
  g_string_append_printf (line, "loss %s, right %s %%", text[0], text[1]);
}

static gboolean
tell (const NotchNetEpoch *is, gpointer data)
{
  const NotchTrainHow *how = data;
  if (!how->step)
    return TRUE;
  g_autoptr (GString) line = g_string_new (NULL);
  g_string_append_printf (line, "epoch %2d of %d, %4d s: ", is->epoch, is->epochs, (int) is->seconds);
  add_figures (line, is->loss, is->accuracy);
  if (!isnan (is->held_loss)) {
    g_string_append (line, "; held out: ");
    add_figures (line, is->held_loss, is->held_accuracy);
    g_string_append (line, is->best ? ", the best" : "");
  }
  return how->step (line->str, (double) is->epoch / is->epochs, how->data);
}

/* A row an epoch: loss, accuracy, and those of what is held out, null where nothing is. */
static JsonArray *
curve_to_json (const GArray *curve)
{
  JsonArray *rows = json_array_new ();
  for (guint i = 0; i < curve->len; i += NOTCH_NET_FIGURES) {
    JsonArray *row = json_array_new ();
    for (guint k = i; k < i + NOTCH_NET_FIGURES; k++) {
      double value = g_array_index (curve, double, k);
      if (isnan (value))
        json_array_add_null_element (row);
      else
        json_array_add_double_element (row, value);
    }
    json_array_add_array_element (rows, row);
  }
  return rows;
}

static NotchModel *
make_model (const NotchDataset *dataset, const NotchNet *net, const GArray *curve)
{
  NotchModel *model = notch_model_new ("defects", "net");
  for (guint c = 0; c < dataset->class_name->len; c++)
    notch_model_add_class (model, dataset->class_name->pdata[c]);
  notch_net_to_model (net, model);
  json_object_set_array_member (model->settings, "curve", curve_to_json (curve));
  return model;
}

static NotchModel *
train (const NotchDataset *dataset, const guint8 *part, const NotchTrainHow *how, GError **error)
{
  g_auto (Part) learn = part_of (dataset, part, NOTCH_PART_TRAIN), held = part_of (dataset, part, NOTCH_PART_HELD_OUT);
  if (learn.example->len == 0) {
    g_set_error_literal (
        error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
        "no example to learn from has a patch, which a network looks at; inspect with --format patches, "
        "or take --classifier forest");
    return NULL;
  }
  NotchNetShape shape = shape_for (dataset->patch_side, (int) dataset->class_name->len);
  g_autoptr (NotchNet) net = notch_net_new (&shape, how->seed, error);
  if (!net)
    return NULL;
  Patches patches[] = { { (const NotchExample **) learn.example->pdata, dataset->patch_side, shape.side },
                        { (const NotchExample **) held.example->pdata, dataset->patch_side, shape.side } };
  const NotchNetImages images = images_of (&learn, &patches[0]), held_out = images_of (&held, &patches[1]);
  g_autoptr (GArray) curve = g_array_new (FALSE, FALSE, sizeof (double));
  const NotchNetTraining training = { .seed = how->seed,
                                      .epochs = how->rounds,
                                      .batch = BATCH,
                                      .per_epoch = MAX (learn.example->len, LEAST_PER_EPOCH),
                                      .checkpoint = how->checkpoint,
                                      .resume = how->resume,
                                      .curve = curve,
                                      .step = tell,
                                      .data = (gpointer) how };
  return notch_net_train (net, &images, &held_out, &training, how->compute, error) ? make_model (dataset, net, curve)
                                                                                   : NULL;
}

/* ---- use --------------------------------------------------------------------------------------------------------- */

typedef struct {
  NotchNet *net;
  gsize classes, embedding;
} State;

static gpointer
state_new (const NotchModel *model, GError **error)
{
  g_autoptr (NotchNet) net = notch_net_from_model (model, error);
  if (!net)
    return NULL;
  const NotchNetShape *shape = notch_net_shape (net);
  if (shape->channels != CHANNELS || shape->classes != (int) model->class_name->len) {
    notch_model_refuse (model, error, "its network is not one for patches of defects of its classes; train it anew");
    return NULL;
  }
  State *state = g_new (State, 1);
  *state = (State){ g_steal_pointer (&net), (gsize) shape->classes, (gsize) shape->embedding };
  return state;
}

static void
state_free (gpointer data)
{
  State *state = data;
  notch_net_free (state->net);
  g_free (state);
}

/* Applies the network to those that have a patch; the rows of others stay as they are. */
static gboolean
apply (const State *state, const NotchExample *example, guint n, int patch_side, const NotchCompute *compute,
       float *probability, float *vector, GError **error)
{
  g_autoptr (GPtrArray) with = g_ptr_array_new ();
  for (guint i = 0; i < n; i++)
    if (example[i].patch && patch_side > 0)
      g_ptr_array_add (with, (gpointer) &example[i]);
  Patches patches = { (const NotchExample **) with->pdata, patch_side, notch_net_shape (state->net)->side };
  const NotchNetImages images = { .n = with->len, .draw = draw, .data = &patches };
  g_autofree float *answers = g_new (float, with->len * state->classes + 1);
  g_autofree float *vectors = vector ? g_new (float, with->len * state->embedding + 1) : NULL;
  if (!notch_net_apply (state->net, &images, compute, answers, vectors, error))
    return FALSE;
  for (guint k = 0; k < with->len; k++) {
    gsize i = (gsize) ((const NotchExample *) with->pdata[k] - example);
    if (probability)
      memcpy (probability + i * state->classes, answers + k * state->classes, state->classes * sizeof *answers);
    if (vector)
      memcpy (vector + i * state->embedding, vectors + k * state->embedding, state->embedding * sizeof *vectors);
  }
  return TRUE;
}

static gboolean
classify (gconstpointer data, const NotchExample *example, guint n, int patch_side, const NotchCompute *compute,
          float *probability, GError **error)
{
  const State *state = data;
  for (gsize i = 0; i < n * state->classes; i++)
    probability[i] = 1 / (float) state->classes;
  return apply (state, example, n, patch_side, compute, probability, NULL, error);
}

static int
embedding_length (gconstpointer data)
{
  return (int) ((const State *) data)->embedding;
}

static gboolean
embed (gconstpointer data, const NotchExample *example, guint n, int patch_side, const NotchCompute *compute,
       float *vector, GError **error)
{
  const State *state = data;
  memset (vector, 0, n * state->embedding * sizeof *vector);
  return apply (state, example, n, patch_side, compute, NULL, vector, error);
}

const NotchClassifier notch_classifier_net = {
  .name = "net",
  .summary = "convolutional network over the patch: test, reference and their difference",
  .patches = TRUE,
  .epochs = TRUE,
  .train = train,
  .open = state_new,
  .classify = classify,
  .embedding_length = embedding_length,
  .embed = embed,
  .close = state_free,
};
