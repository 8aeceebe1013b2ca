/* classifier.h - ways to tell classes by learning; one file a way, one row in the table of classifier.c */
#pragma once

#include "inspect/classify/dataset.h"
#include "inspect/classify/model.h"
#include "inspect/classify/novelty.h"
#include "inspect/compute/device.h"

/* Fields that are 0 or NULL mean the default. Borrowed for the call. */
typedef struct {
  guint64 seed;
  int rounds; /* at most: trees a class, or epochs */
  /* What it is learned on; the model does not depend on the number of threads. NULL: the processors. */
  const NotchCompute *compute;
  /* NULL, or a file that a classifier which learns in epochs keeps what it has learned in, until it is done; and whether it
   * goes on from there. */
  const char *checkpoint;
  gboolean resume;
  const gboolean *oriented; /* NULL, or of each class: its examples must not be mirrored or turned. Of patches */
  NotchTrainStep step;
  gpointer data;
} NotchTrainHow;

/* What a classifier says of n examples; NULL: it is not asked for that. Evidence is how much speaks for any of the classes:
 * what is like nothing that was learned has little of it, also where one class has most of that little. */
typedef struct {
  float *probability; /* n x classes, each row's sum 1 */
  double *evidence;   /* n */
  float *vector;      /* n x embedding_length: near is alike */
} NotchSaid;

typedef struct {
  const char *name;    /* "forest" */
  const char *summary; /* one line */
  gboolean patches;    /* it looks at patches, or rasters of maps; without it, at features only */
  gboolean maps;       /* of wafer maps; without it, of defects */
  gboolean epochs;     /* it learns in epochs: its settings tell their "curve", and a checkpoint is kept */
  gboolean evidence;   /* it can be asked for that */
  /* Learns from the examples of `dataset` whose part is NOTCH_PART_TRAIN, one entry an example, and stops where those of
   * NOTCH_PART_HELD_OUT get no better. Gives a model of its purpose with classes, features and sections; what is
   * known of the data is added by the caller. */
  NotchModel *(*train) (const NotchDataset *dataset, const guint8 *part, const NotchTrainHow *how, GError **error);
  /* Gets ready to classify; the model stays as long as the state does. Whatever the sections say is checked here. */
  gpointer (*open) (const NotchModel *model, GError **error);
  /* Fills what is asked for of n examples. Patches are of patch_side px; an example that lacks what the classifier needs gets
   * equal probabilities and a vector of zeros. `compute` as for notch_net_apply. FALSE where memory or a device does not do. */
  gboolean (*classify) (gconstpointer state, const NotchExample *example, guint n, int patch_side,
                        const NotchCompute *compute, const NotchSaid *said, GError **error);
  int (*embedding_length) (gconstpointer state); /* NULL: it has no vectors */
  void (*close) (gpointer state);
} NotchClassifier;

extern const NotchClassifier *const notch_classifiers[]; /* NULL at the end */
extern const NotchClassifier notch_classifier_forest, notch_classifier_net, notch_classifier_signature,
    notch_classifier_signature_net;

/* The row of a name; the error lists the names. */
const NotchClassifier *notch_classifier_find (const char *name, GError **error);

/* Whether there are two classes to tell apart; the error is a usage error. */
gboolean notch_enough_classes (const GPtrArray *class_name, GError **error);

/* What is said of a defect that is not sure to be any of a model's classes; no class has this name. */
#define NOTCH_UNKNOWN "unknown"

/* A model that is ready to classify. */
typedef struct {
  NotchModel *model;
  const NotchClassifier *classifier;
  gpointer state;
  gboolean *nuisance;    /* of each class whether it is one of nuisances */
  NotchNovelty *novelty; /* distances from what it has learned; NULL: it cannot tell */
} NotchTrained;
/* Takes the model, also when it fails. */
NotchTrained *notch_trained_new (NotchModel *model, GError **error);
/* Loads a model of a purpose; NULL: of any. The path may be NOTCH_MODEL_SHIPPED, which is of defects where any will do. */
NotchTrained *notch_trained_load (const char *path, const char *purpose, GError **error);
void notch_trained_free (NotchTrained *trained);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchTrained, notch_trained_free)

/* Applies the model's temperature to n x classes probabilities as the classifier gives them. */
void notch_trained_temper (const NotchTrained *trained, float *probability, guint n);
/* The classifier's probabilities with the model's temperature applied, n x classes. */
gboolean notch_trained_probabilities (const NotchTrained *trained, const NotchExample *example, guint n, int patch_side,
                                      const NotchCompute *compute, float *probability, GError **error);
/* The most probable class of a row of probabilities, or class_name->len, which is "unknown", where that is below the
 * class's threshold or the example's distance (known.h; NAN: not known; INFINITY: the classifier has nothing to go by)
 * beyond what nearly all known examples are within.
 * *confidence is the probability of the most probable class. */
int notch_trained_decide (const NotchTrained *trained, const float *probability, double distance, double *confidence);
/* Whether an example that is called so is flagged as a nuisance: by its probability of being any, where the model knows from
 * where on, else by its class. */
gboolean notch_trained_flags (const NotchTrained *trained, const float *probability, int called);
