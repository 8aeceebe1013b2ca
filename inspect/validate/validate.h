/* validate.h - what validation is made of: answers to examples, figures of them, limits, and what is told */
#pragma once

#include <json-glib/json-glib.h>

#include "inspect/classify/known.h"
#include "inspect/classify/metrics.h"

/* ---- answers (answers.c) ------------------------------------------------------------------------------------------- */

/* What a model says of examples: n_known of classes that it knows, then those of others. */
typedef struct {
  GArray *example; /* NotchExample, borrowed from the dataset */
  guint n, n_known;
  int n_classes;
  int *truth;         /* n_known: class of the model */
  int *called;        /* n: class of the model, n_classes: unknown */
  int *wafer;         /* n: of the dataset */
  float *probability; /* n x n_classes */
  double *confidence; /* n: of the most probable class */
  double *distance;   /* n: from what is known; NAN: the model cannot tell */
} NotchAnswers;

/* To the examples whose `use` is not 0 and whose class is known to the dataset. NULL where memory or a device does not do. */
NotchAnswers *notch_answers_new (const NotchTrained *trained, const NotchDataset *dataset, const guint8 *use,
                                 const NotchCompute *compute, GError **error);
void notch_answers_free (NotchAnswers *answers);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchAnswers, notch_answers_free)

/* How well examples of unknown classes are told from the others: areas under the curve by confidence, and by distance. NAN
 * where there are none, or no distances. */
typedef struct {
  guint n; /* examples of unknown classes */
  double confidence, distance;
} NotchStrangers;
NotchStrangers notch_answers_strangers (const NotchAnswers *answers);

/* ---- figures ------------------------------------------------------------------------------------------------------- */

/* A class that was left out of training, and how well it was then told from the others. */
typedef struct {
  char *name;
  NotchStrangers strangers;
} NotchLeftOut;

typedef struct {
  const NotchValidateOptions *options;
  NotchDataset *dataset;
  NotchTrained *trained;
  NotchAnswers *answers;
  NotchMetrics *metrics;
  NotchStrangers strangers;
  double temperature;  /* that would be best here */
  guint n_seen;        /* examples that the model learned from */
  int n_seen_wafers;   /* and their wafers */
  gboolean seen_count; /* they are among the answers */
  /* nuisances */
  gboolean *nuisance; /* classes of the model */
  GArray *curve;      /* NotchNuisancePoint; NULL: none, or nothing else */
  NotchNuisancePoint chosen;
  /* another model, on the examples of known class */
  NotchTrained *other;
  gint64 only_this, only_other; /* right */
  double p, other_accuracy;
  guint n_seen_other;      /* examples that only the other model learned from, */
  int n_seen_other_wafers; /* and their wafers; they count as those of n_seen do */
  GArray *left_out;        /* NotchLeftOut; NULL: not asked for */
} NotchValidation;

/* ---- limits (gate.c) ----------------------------------------------------------------------------------------------- */

/* Reads a file of limits. The error names file, line and key, and what may stand there. */
typedef struct NotchGate NotchGate;
NotchGate *notch_gate_load (const char *path, const GPtrArray *class_name, GError **error);
void notch_gate_free (NotchGate *gate);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchGate, notch_gate_free)
/* Adds a line (char *) to `unmet` for every limit that is not met. What cannot be judged is not met. */
void notch_gate_judge (const NotchGate *gate, const NotchValidation *validation, GPtrArray *unmet);

/* ---- what is told (tell.c) ----------------------------------------------------------------------------------------- */

char *notch_validation_text (const NotchValidation *validation);
/* For machines: metrics.json, and the record that goes into a model. */
JsonNode *notch_validation_json (const NotchValidation *validation);
/* confusion.csv, predictions.csv, metrics.json and the pictures. */
gboolean notch_validation_write (const NotchValidation *validation, const char *folder, GError **error);
