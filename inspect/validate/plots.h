/* plots.h - pictures of how good a classifier is, each a PNG at `path` */
#pragma once

#include "inspect/classify/metrics.h"
#include "inspect/notch.h"

/* A row a true class, a column a class that was said, shaded by its share of the row; recall beside, purity below. */
gboolean notch_plot_confusion (const NotchMetrics *metrics, const char *const *class_name, const char *path,
                               GError **error);
/* Accuracy against confidence, bin by bin, beside how many examples have which confidence. `temperature` is the model's. */
gboolean notch_plot_reliability (const NotchMetrics *metrics, double temperature, const char *path, GError **error);
/* Defects of interest that are kept against nuisances that are taken out, of notch_nuisance_curve; `chosen` is marked. */
gboolean notch_plot_nuisance (const GArray *curve, const NotchNuisancePoint *chosen, const char *path, GError **error);

/* Epoch by epoch; NAN where something was not measured. */
typedef struct {
  gsize n;
  const double *loss, *held_loss, *accuracy, *held_accuracy; /* accuracies 0 to 1 */
  gsize best; /* the epoch, from 1, whose weights were taken; 0: not known */
} NotchLearning;
/* Loss and accuracy beside each other, of what was learned from and of what was held out. */
gboolean notch_plot_learning (const NotchLearning *learning, const char *path, GError **error);
