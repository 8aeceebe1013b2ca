/* known.h - what a model remembers of the examples that it learned from, and how far others are from them
 *
 * In the training record "wafers" has a digest of each wafer's examples, "profile" the histograms of the columns that the
 * model looks at, or of all that mean the same everywhere where it looks at patches only (drift.h), and of its classes.
 * Section "novelty" has where the classes lie (novelty.h). */
#pragma once

#include "inspect/classify/classifier.h"

#define NOTCH_NOVELTY_SECTION "novelty"

/* Reads the section into trained->novelty where the model has it. The error says what does not fit of it and of the record. */
gboolean notch_known_open (NotchTrained *trained, GError **error);

/* Fills record and section from the examples that have a part; the limit of distances is set by those that are held out, or
 * by all where none are. The model has a training record. FALSE where the classifier cannot embed them. */
gboolean notch_known_learn (NotchTrained *trained, const NotchDataset *dataset, const guint8 *part,
                            const NotchCompute *compute, GError **error);

/* For every wafer of a dataset whether the model has learned from it: its examples' numbers are the same. Freed with
 * g_free. */
gboolean *notch_known_wafers (const NotchModel *model, const NotchDataset *dataset);

/* Which of these classes the model was told are oriented (see NotchTrainHow); NULL: none. Freed with g_free. */
gboolean *notch_known_oriented (const NotchModel *model, const GPtrArray *class_name);

/* Histograms of the columns, then of classes (and "unknown", the last bin), as notch_profile_new has them; NULL where the
 * model has none. */
GPtrArray *notch_known_profile (const NotchModel *model);
/* Likewise of n examples that were called so, in the bins of that profile. */
GPtrArray *notch_known_profile_of (const NotchModel *model, const GPtrArray *profile, const NotchExample *example,
                                   const int *called, guint n);
/* From here on the mix of classes to expect is that of n calls (one of the classes, or their number: unknown), as the model
 * makes them of examples that it did not learn from; what they truly are is another mix, and none of it is unknown. */
void notch_known_expect_calls (const NotchModel *model, const int *called, guint n);

/* The classifier's probabilities of n examples as notch_trained_probabilities, and how far each is from what is known, or how
 * strange it is where the classifier has evidence (novelty.h); NAN where the model cannot tell. The classifier is asked
 * once. */
gboolean notch_known_classify (const NotchTrained *trained, const NotchExample *example, guint n, int patch_side,
                               const NotchCompute *compute, float *probability, double *distance, GError **error);
/* Where each lies, n x *length, so that near is alike; NULL where the classifier fails, or with NOTCH_ERROR_READ
 * where the model does not tell what is far. Freed with g_free. */
double *notch_known_places (const NotchTrained *trained, const NotchExample *example, guint n, int patch_side,
                            const NotchCompute *compute, int *length, GError **error);
