/* classes.c - see classes.h */
#include "inspect/classify/classes.h"

#include "inspect/detect/features.h"

NotchClasses *
notch_classes_new (const NotchRecipe *recipe, GError **error)
{
  g_autoptr (NotchClasses) classes = g_new0 (NotchClasses, 1);
  const char *signature = recipe->classify.signature_model;
  if (signature && *signature) {
    classes->signature = notch_trained_load (signature, "signature", error);
    if (!classes->signature)
      return NULL;
  }
  if (!recipe->classify.model || !*recipe->classify.model) {
    classes->rules = notch_rules_new (recipe, error);
    if (!classes->rules)
      return NULL;
    classes->name = notch_rules_class_names (classes->rules);
    return g_steal_pointer (&classes);
  }
  classes->trained = notch_trained_load (recipe->classify.model, "defects", error);
  if (!classes->trained)
    return NULL;
  const GPtrArray *name = classes->trained->model->class_name;
  classes->name = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < name->len; i++)
    g_ptr_array_add (classes->name, g_strdup (name->pdata[i]));
  g_ptr_array_add (classes->name, g_strdup (NOTCH_UNKNOWN));
  return g_steal_pointer (&classes);
}

void
notch_classes_free (NotchClasses *classes)
{
  if (!classes)
    return;
  notch_rules_free (classes->rules);
  notch_trained_free (classes->trained);
  notch_trained_free (classes->signature);
  g_clear_pointer (&classes->name, g_ptr_array_unref);
  g_free (classes);
}

GPtrArray *
notch_classes_names (const NotchClasses *classes)
{
  GPtrArray *names = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < classes->name->len; i++)
    g_ptr_array_add (names, g_strdup (classes->name->pdata[i]));
  return names;
}

void
notch_classes_assign_examples (const NotchClasses *classes, const NotchExample *example, guint n, int patch_side,
                               int jobs, int *class_index, double *confidence)
{
  const gsize n_classes = classes->trained->model->class_name->len;
  g_autofree float *probability = g_new (float, (gsize) n *n_classes + 1);
  notch_trained_probabilities (classes->trained, example, n, patch_side, jobs, probability);
  for (guint i = 0; i < n; i++)
    class_index[i] = notch_trained_decide (classes->trained, probability + i * n_classes, &confidence[i]);
}

void
notch_classes_assign (const NotchClasses *classes, NotchDefect *defect, guint n, int patch_side, int jobs)
{
  if (classes->rules) {
    for (guint i = 0; i < n; i++)
      defect[i].class_index = notch_rules_classify (classes->rules, defect[i].value, &defect[i].confidence);
    return;
  }
  g_autofree NotchExample *example = g_new0 (NotchExample, n + 1);
  g_autofree int *class_index = g_new (int, n + 1);
  g_autofree double *confidence = g_new (double, n + 1);
  for (guint i = 0; i < n; i++) {
    example[i].patch = defect[i].patch; /* borrowed */
    for (int f = 0; f < NOTCH_N_FEATURES; f++)
      example[i].value[f] = notch_feature_as_written (f, defect[i].value[f]);
  }
  notch_classes_assign_examples (classes, example, n, patch_side, jobs, class_index, confidence);
  for (guint i = 0; i < n; i++)
    defect[i].class_index = class_index[i], defect[i].confidence = confidence[i];
}
