/* net.h - a small convolutional network: classes of small images, learnt from examples
 *
 * Blocks of a 3 x 3 convolution, batch normalisation (Ioffe and Szegedy 2015) and max (0, x), each with a stride of 1 or 2;
 * the mean over what is left of the image; a layer of the same kind whose values are the embedding; a linear layer, and
 * softmax.
 *
 * Images are channels x side x side floats, plane after plane, of about unit variance. The arithmetic is a device's
 * (kernels/net.h); what a network says of an image depends neither on the images beside it nor on the number of threads. */
#pragma once

#include "inspect/classify/model.h"
#include "inspect/compute/device.h"
#include "inspect/random.h"

enum { NOTCH_NET_MAX_BLOCKS = 12, NOTCH_NET_MAX_SIDE = 512, NOTCH_NET_MAX_WIDTH = 1024 };
enum { NOTCH_NET_FIGURES = 4 }; /* that a learning curve has of an epoch */

typedef struct {
  int channels, side; /* of an image */
  int n_blocks;
  struct {
    int width;  /* channels that the block makes */
    int stride; /* 1 or 2: the side becomes (side + stride - 1) / stride */
  } block[NOTCH_NET_MAX_BLOCKS];
  int embedding; /* values */
  int classes;
} NotchNetShape;

typedef struct NotchNet NotchNet;

/* A network with weights by chance (He et al. 2015) that depend on the seed alone. NULL with NOTCH_ERROR_USAGE for a shape
 * that cannot be. */
NotchNet *notch_net_new (const NotchNetShape *shape, guint64 seed, GError **error);
void notch_net_free (NotchNet *net);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchNet, notch_net_free)

const NotchNetShape *notch_net_shape (const NotchNet *net);
gsize notch_net_n_parameters (const NotchNet *net);

/* ---- images ------------------------------------------------------------------------------------------------------ */

typedef struct NotchNetImages NotchNetImages;
struct NotchNetImages {
  gsize n;
  const float *image; /* n images, or NULL where `draw` makes them */
  /* Writes image i. `random` is NULL where it is wanted as it is; else it may be changed by chance, as the numbers of
   * `random` have it. Called by several threads at once. */
  void (*draw) (const NotchNetImages *images, gsize i, NotchRandom *random, float *image);
  gconstpointer data; /* of draw */
  const int *label;   /* n classes; of training */
};

/* ---- use --------------------------------------------------------------------------------------------------------- */

/* The probability of each class for each image, n x classes; and, where it is not NULL, its embedding, n x embedding.
 * Labels are not looked at. `compute` may be NULL: on the processors, a thread each; else its first device computes, and the
 * network keeps memory there until it is freed, which is to be before the device is closed. FALSE where memory or a device does
 * not do. */
gboolean notch_net_apply (const NotchNet *net, const NotchNetImages *images, const NotchCompute *compute,
                          float *probability, float *embedding, GError **error);

/* Puts the network into a model's settings ("net") and sections ("net.weights", "net.vectors"), and takes it out again.
 * Weights are kept in 16 bits (IEEE 754 binary16); training rounds them to that before it ends, so that what was measured
 * is what is kept. */
void notch_net_to_model (const NotchNet *net, NotchModel *model);
NotchNet *notch_net_from_model (const NotchModel *model, GError **error);

/* ---- training ---------------------------------------------------------------------------------------------------- */

/* An epoch, told when it ends. */
typedef struct {
  int epoch, epochs;               /* from 1 */
  double loss, accuracy;           /* mean over the images learnt from, as they were while learning */
  double held_loss, held_accuracy; /* of what is held out, NAN where nothing is */
  double seconds;                  /* since training began, or was resumed */
  gboolean best;                   /* held_loss was never lower: these weights would be taken */
} NotchNetEpoch;

/* Fields that are 0 or NULL mean the default, which is in brackets. */
typedef struct {
  guint64 seed;
  int epochs;             /* at most [30] */
  int patience;           /* epochs without a lower loss on what is held out that end it; -1: none do [8] */
  int batch;              /* images a step [128] */
  gsize per_epoch;        /* images an epoch [as many as there are] */
  double rate;            /* largest step of AdamW [0.001] */
  double decay;           /* of weights [0.01]; negative: none */
  double smoothing;       /* of labels [0.05]; negative: none */
  double balance;         /* 0: images are drawn as often as they are; 1: classes equally often; -1 means 0 [1] */
  const char *manner;     /* NULL, or how images are changed by chance, in words that a checkpoint must agree with */
  const char *checkpoint; /* NULL, or a file: written after each epoch, and gone when training is over */
  gboolean resume;        /* go on from the checkpoint where it is there, to the same bytes */
  GArray
      *curve; /* NULL, or double: gets each epoch's loss, accuracy, held_loss and held_accuracy, a resumed one's too */
  gboolean (*step) (const NotchNetEpoch *epoch, gpointer data); /* NULL, or told of each epoch; FALSE ends training */
  gpointer data;
} NotchNetTraining;

/* Learns from `images`; keeps the weights that do best on `held_out` (NULL or empty: the last ones). The weights depend on
 * the data, the seed and the device's kind, not on the number of threads. FALSE where memory, a device or the checkpoint
 * does not do, or NOTCH_ERROR_CANCELLED when `step` ended it. */
gboolean notch_net_train (NotchNet *net, const NotchNetImages *images, const NotchNetImages *held_out,
                          const NotchNetTraining *how, const NotchCompute *compute, GError **error);
