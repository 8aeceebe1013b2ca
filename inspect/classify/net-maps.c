/* net-maps.c - the network over a wafer map: where dice failed, where there are dice, and how far from the middle
 *
 * A wafer may lie in a machine either way round, so a map has eight views that say the same: their mean does not depend on
 * which one is given. */
#include "inspect/classify/augment.h"
#include "inspect/classify/net-classifier.h"

enum { SIDE = NOTCH_RASTER_SIDE, CELLS = NOTCH_RASTER_CELLS, VIEWS = 8 };

/* Three planes: of each cell twice the part that failed, the part that passed, and where there are dice the square of the
 * distance from the middle, in radii. Without dice all are 0, as beyond the image's edge. */
static void
draw (const NotchNetImages *images, gsize i, NotchRandom *random, float *image)
{
  const NotchNetExamples *examples = images->data;
  const gsize views = (gsize) examples->views;
  NotchRaster raster = *examples->example[i / views]->raster;
  float scratch[CELLS];
  NotchPatchPair pair = { SIDE, 0, raster.fail, raster.present, scratch };
  if (random)
    notch_augment (&pair, NOTCH_AUGMENT_MAP, random);
  notch_view (&pair, (int) (i % views));
  for (int k = 0; k < CELLS; k++) {
    const float x = 2 * ((float) (k % SIDE) + 0.5f) / SIDE - 1, y = 2 * ((float) (k / SIDE) + 0.5f) / SIDE - 1;
    image[k] = 2 * raster.present[k] * raster.fail[k];
    image[CELLS + k] = raster.present[k] * (1 - raster.fail[k]);
    image[2 * CELLS + k] = raster.present[k] * (x * x + y * y);
  }
}

/* 59 thousand weights; a map takes a million products a view. */
static const NotchNetSight sight = {
  .name = "signature-net",
  .purpose = "signature",
  .shape = { .channels = 3,
             .side = SIDE,
             .n_blocks = 3,
             .block = { { 24, 2 }, { 48, 2 }, { 96, 2 } },
             .embedding = 64 },
  .least_side = SIDE,
  .batch = 64,
  .rate = 0.003,
  .least_per_epoch = 5000,
  .views = VIEWS,
  .draw = draw,
  .none = "there is no map to learn from",
};

static NotchModel *
train (const NotchDataset *dataset, const guint8 *part, const NotchTrainHow *how, GError **error)
{
  return notch_net_learn (&sight, dataset, part, how, error);
}

static gpointer
open_model (const NotchModel *model, GError **error)
{
  return notch_net_open (&sight, model, error);
}

const NotchClassifier notch_classifier_signature_net = {
  .name = "signature-net",
  .summary = "convolutional network over wafer maps",
  .patches = TRUE,
  .maps = TRUE,
  .epochs = TRUE,
  .train = train,
  .open = open_model,
  .classify = notch_net_classify,
  .embedding_length = notch_net_embedding_length,
  .close = notch_net_close,
};
