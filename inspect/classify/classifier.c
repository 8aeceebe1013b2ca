/* classifier.c - the table of classifiers, and models that are ready to classify */
#include "inspect/classify/known.h"

#include <math.h>
#include <string.h>

#include "inspect/classify/metrics.h"

const NotchClassifier *const notch_classifiers[] = { &notch_classifier_forest, &notch_classifier_net,
                                                     &notch_classifier_signature, &notch_classifier_signature_net,
                                                     NULL };

const NotchClassifier *
notch_classifier_find (const char *name, GError **error)
{
  g_autoptr (GString) known = g_string_new (NULL);
  for (int i = 0; notch_classifiers[i]; i++) {
    if (strcmp (notch_classifiers[i]->name, name) == 0)
      return notch_classifiers[i];
    g_string_append_printf (known, "%s%s", i > 0 ? ", " : "", notch_classifiers[i]->name);
  }
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE, "there is no classifier \"%s\"; choose from %s", name,
               known->str);
  return NULL;
}

gboolean
notch_enough_classes (const GPtrArray *class_name, GError **error)
{
  if (class_name->len >= 2)
    return TRUE;
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE, "training: there %s; give examples of at least two",
               class_name->len == 1 ? "is one class only" : "are no classes");
  return FALSE;
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
  if (classifier->maps != (strcmp (model->purpose, "signature") == 0)) {
    notch_model_refuse (model, error, "a %s is not for what its header says, %s; train it anew", classifier->name,
                        model->purpose);
    return NULL;
  }
  static const char *const none[] = { NOTCH_UNKNOWN, NOTCH_ODD };
  for (gsize i = 0; i < G_N_ELEMENTS (none); i++)
    if (notch_model_class (model, none[i]) >= 0) {
      notch_model_refuse (model, error, "a class is named \"%s\", which is said of what is none; rename it", none[i]);
      return NULL;
    }
  gpointer state = classifier->open (model, error);
  if (!state)
    return NULL;
  g_autoptr (NotchTrained) trained = g_new0 (NotchTrained, 1);
  trained->model = g_steal_pointer (&owned);
  trained->classifier = classifier;
  trained->state = state;
  trained->nuisance = g_new0 (gboolean, trained->model->class_name->len + 1); /* the last one is "unknown" */
  for (guint k = 0; k < trained->model->class_name->len; k++)
    trained->nuisance[k] = notch_is_nuisance (trained->model->class_name->pdata[k]);
  return notch_known_open (trained, error) ? g_steal_pointer (&trained) : NULL;
}

NotchTrained *
notch_trained_load (const char *path, const char *purpose, GError **error)
{
  g_autoptr (NotchModel) model = strcmp (path, NOTCH_MODEL_SHIPPED) == 0
                                     ? notch_model_shipped (purpose ? purpose : "defects", error)
                                     : notch_model_load (path, error);
  if (!model)
    return NULL;
  if (purpose && strcmp (model->purpose, purpose) != 0) {
    notch_model_refuse (model, error, "its purpose is \"%s\", not \"%s\"; name another model", model->purpose, purpose);
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
  g_free (trained->nuisance);
  notch_novelty_free (trained->novelty);
  notch_model_free (trained->model);
  g_free (trained);
}

void
notch_trained_temper (const NotchTrained *trained, float *probability, guint n)
{
  if (trained->model->temperature != 1)
    notch_temper (probability, n, (int) trained->model->class_name->len, trained->model->temperature);
}

gboolean
notch_trained_probabilities (const NotchTrained *trained, const NotchExample *example, guint n, int patch_side,
                             const NotchCompute *compute, float *probability, GError **error)
{
  const NotchSaid said = { .probability = probability };
  if (!trained->classifier->classify (trained->state, example, n, patch_side, compute, &said, error))
    return FALSE;
  notch_trained_temper (trained, probability, n);
  return TRUE;
}

int
notch_trained_decide (const NotchTrained *trained, const float *probability, double distance, double *confidence)
{
  const int n = (int) trained->model->class_name->len;
  const int best = notch_most_probable (probability, n);
  *confidence = (double) probability[best];
  gboolean far = isinf (distance) || (trained->novelty && distance > trained->novelty->limit);
  return far || *confidence < trained->model->threshold[best] ? n : best;
}

gboolean
notch_trained_flags (const NotchTrained *trained, const float *probability, int called)
{
  const NotchModel *model = trained->model;
  if (isnan (model->nuisance))
    return trained->nuisance[called];
  return notch_nuisance_score (probability, trained->nuisance, (int) model->class_name->len) >= model->nuisance;
}

char *
notch_classifiers_describe (void)
{
  GString *text = g_string_new (NULL);
  for (int i = 0; notch_classifiers[i]; i++)
    g_string_append_printf (text, "  %-13s %s\n", notch_classifiers[i]->name, notch_classifiers[i]->summary);
  return g_string_free (text, FALSE);
}
