/* forest.h - gradient-boosted trees: in a model file, and over rows of numbers
 *
 * Section "nodes": NotchForestNode, those of a tree together and its root first; section "trees": NotchForestTree. The
 * object settings has "base", numbers, a class each: what the sums begin with. Probabilities are the softmax of the sums
 * (Friedman 2001). A forest that has seen what is of none of its classes sums that up as one class more, behind the last; then
 * settings has "odd", true. */
#pragma once

#include "inspect/classify/model.h"
#include "inspect/compute/device.h"

#define NOTCH_FOREST_ODD "odd" /* in settings */

/* Little-endian, as all of a section. */
typedef struct {
  gint32 left, right; /* counted in the tree, both behind this one; -1: a leaf */
  guint16 feature;    /* into NotchModel.feature */
  guint16 default_left;
  float value; /* left when the feature is below it; of a leaf: what it adds */
} NotchForestNode;

typedef struct {
  guint32 n_nodes, class_index;
} NotchForestTree;

/* Reads the sections and checks all that they say. Arrays of NotchForestNode and NotchForestTree, in the host's order. */
gboolean notch_forest_read (const NotchModel *model, GArray **nodes, GArray **trees, float **base, GError **error);
/* Writes them. */
void notch_forest_write (NotchModel *model, const GArray *nodes, const GArray *trees, const float *base);

/* A forest that is ready to classify rows of model->feature->len numbers, whatever they are. */
typedef struct NotchForest NotchForest;
NotchForest *notch_forest_new (const NotchModel *model, GError **error);
void notch_forest_free (NotchForest *forest);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchForest, notch_forest_free)
/* n rows (NAN: missing, which goes the way that training chose) become n x classes probabilities, equal to XGBoost's to 1e-6,
 * and how much speaks for any class, n numbers: the logarithm of the sum of the exponentials of a row's sums (Liu et al.,
 * NeurIPS 2020), less the sum of what is odd; NULL: not wanted. `compute` as for notch_net_apply; the result depends neither
 * on its device nor on its threads. FALSE where a device does not do. */
gboolean notch_forest_apply (const NotchForest *forest, const float *row, gsize n, const NotchCompute *compute,
                             float *probability, double *evidence, GError **error);
