/* classes.c - see classes.h */
#include "inspect/classify/classes.h"

#include "inspect/classify/drift.h"
#include "inspect/classify/known.h"
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
  classes->profile = notch_known_profile (classes->trained->model);
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
  g_clear_pointer (&classes->profile, g_ptr_array_unref);
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

gboolean
notch_classes_assign_examples (const NotchClasses *classes, const NotchExample *example, guint n, int patch_side,
                               const NotchCompute *compute, NotchCall *call, GError **error)
{
  const gsize n_classes = classes->trained->model->class_name->len;
  g_autofree float *probability = g_new (float, (gsize) n *n_classes + 1);
  g_autofree double *distance = g_new (double, n + 1);
  if (!notch_known_classify (classes->trained, example, n, patch_side, compute, probability, distance, error))
    return FALSE;
  for (guint i = 0; i < n; i++) {
    const float *own = probability + i * n_classes;
    call[i].class_index = notch_trained_decide (classes->trained, own, distance[i], &call[i].confidence);
    /* What lacks all that the classifier looks at nobody knows. */
    call[i].nuisance = !isinf (distance[i]) && notch_trained_flags (classes->trained, own, call[i].class_index);
  }
  return TRUE;
}

/* The defects as a model sees them; their patches are borrowed. */
static NotchExample *
make_examples (const NotchDefect *defect, guint n)
{
  NotchExample *example = g_new0 (NotchExample, n + 1);
  for (guint i = 0; i < n; i++) {
    example[i].patch = defect[i].patch;
    for (int f = 0; f < NOTCH_N_FEATURES; f++)
      example[i].value[f] = notch_feature_as_written (f, defect[i].value[f]);
  }
  return example;
}

gboolean
notch_classes_assign (const NotchClasses *classes, NotchDefect *defect, guint n, int patch_side,
                      const NotchCompute *compute, GError **error)
{
  if (classes->rules) {
    for (guint i = 0; i < n; i++) {
      defect[i].class_index = notch_rules_classify (classes->rules, defect[i].value, &defect[i].confidence);
      defect[i].nuisance = notch_is_nuisance (classes->name->pdata[defect[i].class_index]);
    }
    return TRUE;
  }
  g_autofree NotchExample *example = make_examples (defect, n);
  g_autofree NotchCall *call = g_new (NotchCall, n + 1);
  if (!notch_classes_assign_examples (classes, example, n, patch_side, compute, call, error))
    return FALSE;
  for (guint i = 0; i < n; i++) {
    defect[i].class_index = call[i].class_index;
    defect[i].confidence = call[i].confidence;
    defect[i].nuisance = call[i].nuisance;
  }
  return TRUE;
}

static void
clear_drift (gpointer data)
{
  g_free (((NotchDrift *) data)->name);
}

GArray *
notch_classes_drift_examples (const NotchClasses *classes, const NotchExample *example, const int *class_index, guint n)
{
  if (!classes->profile)
    return NULL;
  g_autoptr (GPtrArray) now =
      notch_known_profile_of (classes->trained->model, classes->profile, example, class_index, n);
  GArray *drift = g_array_new (FALSE, FALSE, sizeof (NotchDrift));
  g_array_set_clear_func (drift, clear_drift);
  for (guint k = 0; k < now->len; k++) {
    const NotchHistogram *then = classes->profile->pdata[k];
    NotchDrift one = { g_strdup (then->name ? then->name : "class"), notch_histogram_drift (then, now->pdata[k]) };
    g_array_append_val (drift, one);
  }
  return drift;
}

GArray *
notch_classes_drift (const NotchClasses *classes, const NotchDefect *defect, guint n)
{
  if (!classes->profile)
    return NULL;
  g_autofree NotchExample *example = make_examples (defect, n);
  g_autofree int *class_index = g_new (int, n + 1);
  for (guint i = 0; i < n; i++)
    class_index[i] = defect[i].class_index;
  return notch_classes_drift_examples (classes, example, class_index, n);
}
