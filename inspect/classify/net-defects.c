/* net-defects.c - the network over a defect's patch: how the test differs, what it shows, what it should show */
#include "inspect/classify/augment.h"
#include "inspect/classify/net-classifier.h"
#include "inspect/wafer/median.h"

#include <math.h>

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
  const NotchNetExamples *examples = images->data;
  int side = examples->side, n = side * side;
  g_autofree float *scratch = g_new (float, n);
  float *test = image + n, *reference = image + 2 * n;
  cut_middle (examples->example[i]->patch, examples->patch_side, side, test, reference);
  double mean = 0, spread = 0;
  mean_and_spread (reference, n, &mean, &spread);
  double noise = noise_of (test, reference, n, spread, scratch);
  if (random) {
    NotchPatchPair pair = { side, noise, test, reference, scratch };
    const gboolean oriented = examples->oriented && examples->oriented[examples->example[i]->class_index];
    notch_augment (&pair, NOTCH_AUGMENT_PATCH & ~(oriented ? NOTCH_AUGMENT_DIRECTION : 0u), random);
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

/* ---- the row ----------------------------------------------------------------------------------------------------- */

/* 0.4 million weights; a patch of 64 px takes 15 million products. */
const NotchNetSight notch_net_of_defects = {
  .name = "net",
  .purpose = "defects",
  .shape = { .channels = 3,
             .side = NOTCH_MOST_PATCH_SIDE,
             .n_blocks = 5,
             .block = { { 32, 2 }, { 64, 2 }, { 128, 2 }, { 128, 2 }, { 128, 1 } },
             .embedding = 128 },
  .least_side = 1,
  .batch = 64,
  .least_per_epoch = 5000,
  .views = 1,
  .draw = draw,
  .none = "no example to learn from has a patch, which a network looks at; inspect with --format patches, "
          "or take --classifier forest",
};

static NotchModel *
train (const NotchDataset *dataset, const guint8 *part, const NotchTrainHow *how, GError **error)
{
  return notch_net_learn (&notch_net_of_defects, dataset, part, how, error);
}

static gpointer
open_model (const NotchModel *model, GError **error)
{
  return notch_net_open (&notch_net_of_defects, model, error);
}

const NotchClassifier notch_classifier_net = {
  .name = "net",
  .summary = "convolutional network over the patch: test, reference and their difference",
  .patches = TRUE,
  .epochs = TRUE,
  .train = train,
  .open = open_model,
  .classify = notch_net_classify,
  .embedding_length = notch_net_embedding_length,
  .close = notch_net_close,
};
