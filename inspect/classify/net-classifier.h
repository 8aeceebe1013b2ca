/* net-classifier.h - what networks have in common as classifiers, whatever they look at */
#pragma once

#include "inspect/classify/classifier.h"
#include "inspect/classify/net.h"

/* Examples as images. */
typedef struct {
  const NotchExample **example;
  int patch_side, side;     /* of the examples' patches, and of the images */
  int views;                /* that an example has; image i is view i % views of example i / views, view 0 as it is */
  const gboolean *oriented; /* see NotchTrainHow */
} NotchNetExamples;

/* What a network looks at. */
typedef struct {
  const char *name, *purpose; /* of its models */
  NotchNetShape shape;        /* with the largest side that patches are cut to, and without classes */
  int least_side;             /* that its images have */
  int batch;                  /* images a step of training */
  double rate;                /* see NotchNetTraining */
  gsize least_per_epoch;      /* few examples are shown more often, each time changed */
  int views;                  /* whose mean is the answer */
  /* NotchNetImages.draw; its data are NotchNetExamples. */
  void (*draw) (const NotchNetImages *images, gsize i, NotchRandom *random, float *image);
  const char *none; /* the complaint where no example has a patch */
} NotchNetSight;

extern const NotchNetSight notch_net_of_defects; /* patches: test, reference and their difference */

/* Of a network that sees patches of patch_side px. */
NotchNetShape notch_net_sight_shape (const NotchNetSight *sight, int patch_side, int classes);
/* The first n views of the examples, n images; changed by chance where that is asked for. All is borrowed; `label`, of each
 * image, may be NULL. */
NotchNetImages notch_net_sight_images (const NotchNetSight *sight, const NotchNetExamples *examples, gsize n,
                                       const int *label);

/* What a row of the table of classifiers has of the same name, for a sight. */
NotchModel *notch_net_learn (const NotchNetSight *sight, const NotchDataset *dataset, const guint8 *part,
                             const NotchTrainHow *how, GError **error);
gpointer notch_net_open (const NotchNetSight *sight, const NotchModel *model, GError **error);
gboolean notch_net_classify (gconstpointer state, const NotchExample *example, guint n, int patch_side,
                             const NotchCompute *compute, const NotchSaid *said, GError **error);
int notch_net_embedding_length (gconstpointer state);
void notch_net_close (gpointer state);
