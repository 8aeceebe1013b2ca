/* classifier.c - the table of classifiers, and models that are ready to classify */
#include "inspect/classify/classifier.h"

#include <math.h>
#include <string.h>

const NotchClassifier *const notch_classifiers[] = { &notch_classifier_forest, NULL };

const NotchClassifier *
notch_classifier_find (const char *name, GError **error)
{
  g_autoptr (GString) known = g_string_new (NULL);
  for (int i = 0; notch_classifiers[i]; i++) {
    if (strcmp (notch_classifiers[i]->name, name) == 0)
      return notch_classifiers[i];
    g_string_append_printf (known, "%s%s", i > 0 ? ", " : "", notch_classifiers[i]->name);
  }
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE, "there is no classifier \"%s\"; choose from %s", name, known->str);
  return NULL;
}

NotchTrained *
notch_trained_new (NotchModel *model, GError **error)
{
  g_autoptr (NotchModel) owned = model;
  const NotchClassifier *classifier = notch_classifier_find (model->classifier, NULL);
  if (!classifier) {
    notch_model_refuse (model, error, "its classifier is \"%s\", which this program does not know", model->classifier);
    return NULL;
  }
  gpointer state = classifier->open (model, error);
  if (!state)
    return NULL;
  NotchTrained *trained = g_new (NotchTrained, 1);
  *trained = (NotchTrained){ g_steal_pointer (&owned), classifier, state };
  return trained;
}

NotchTrained *
notch_trained_load (const char *path, const char *purpose, GError **error)
{
  g_autoptr (NotchModel) model = notch_model_load (path, error);
  if (!model)
    return NULL;
  if (strcmp (model->purpose, purpose) != 0) {
    notch_model_refuse (model, error, "is a model for %s, not for %s; name another", model->purpose, purpose);
    return NULL;
  }
  return notch_trained_new (g_steal_pointer (&model), error);
}

void
notch_trained_free (NotchTrained *trained)
{
  if (!trained)
    return;
  trained->classifier->close (trained->state);
  notch_model_free (trained->model);
  g_free (trained);
}

void
notch_trained_probabilities (const NotchTrained *trained, const NotchExample *example, guint n, int patch_side,
                             int jobs, float *probability)
{
  const guint n_classes = trained->model->class_name->len;
  const double temperature = trained->model->temperature;
  trained->classifier->classify (trained->state, example, n, patch_side, jobs, probability);
  for (gsize i = 0; i < n && temperature != 1; i++) {
    float *row = probability + i * n_classes;
    double whole = 0;
    for (guint c = 0; c < n_classes; c++)
      whole += pow ((double) row[c], 1 / temperature);
    for (guint c = 0; c < n_classes && whole > 0; c++)
      row[c] = (float) (pow ((double) row[c], 1 / temperature) / whole);
  }
}

int
notch_trained_decide (const NotchTrained *trained, const float *probability, double *confidence)
{
  const int n = (int) trained->model->class_name->len;
  int best = 0;
  for (int c = 1; c < n; c++)
    if (probability[c] > probability[best])
      best = c;
  *confidence = (double) probability[best];
  return *confidence < trained->model->threshold[best] ? n : best;
}
