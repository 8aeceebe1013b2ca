/* answers.c - what a model says of examples */
#include "inspect/validate/validate.h"

#include <math.h>
#include <stdlib.h>

void
notch_answers_free (NotchAnswers *answers)
{
  if (!answers)
    return;
  g_array_unref (answers->example);
  g_free (answers->truth);
  g_free (answers->called);
  g_free (answers->wafer);
  g_free (answers->probability);
  g_free (answers->confidence);
  g_free (answers->distance);
  g_free (answers);
}

/* Adds the examples whose class the model knows, or those whose class it does not. */
static void
take_examples (NotchAnswers *answers, const NotchModel *model, const NotchDataset *dataset, const guint8 *use,
               gboolean known)
{
  for (guint i = 0; i < dataset->example->len; i++) {
    const NotchExample *example = notch_example (dataset, i);
    if (!use[i] || example->class_index == -1)
      continue;
    const char *name = example->class_index >= 0 ? dataset->class_name->pdata[example->class_index] : NOTCH_ODD;
    if ((notch_model_class (model, name) >= 0) == known)
      g_array_append_val (answers->example, *example);
  }
}

NotchAnswers *
notch_answers_new (const NotchTrained *trained, const NotchDataset *dataset, const guint8 *use,
                   const NotchCompute *compute, GError **error)
{
  const NotchModel *model = trained->model;
  g_autoptr (NotchAnswers) answers = g_new0 (NotchAnswers, 1);
  answers->n_classes = (int) model->class_name->len;
  answers->example = g_array_new (FALSE, FALSE, sizeof (NotchExample));
  take_examples (answers, model, dataset, use, TRUE);
  answers->n_known = answers->example->len;
  take_examples (answers, model, dataset, use, FALSE);
  const guint n = answers->n = answers->example->len;
  const gsize c = (gsize) answers->n_classes;
  const NotchExample *example = (const NotchExample *) (gpointer) answers->example->data;
  answers->truth = g_new (int, answers->n_known + 1);
  answers->called = g_new (int, n + 1);
  answers->wafer = g_new (int, n + 1);
  answers->probability = g_new (float, n *c + 1);
  answers->confidence = g_new (double, n + 1);
  answers->distance = g_new (double, n + 1);
  if (!notch_known_classify (trained, example, n, dataset->patch_side, compute, answers->probability, answers->distance,
                             error))
    return NULL;
  for (guint i = 0; i < n; i++) {
    answers->called[i] =
        notch_trained_decide (trained, answers->probability + i * c, answers->distance[i], &answers->confidence[i]);
    answers->wafer[i] = example[i].wafer;
    if (i < answers->n_known)
      answers->truth[i] = notch_model_class (model, dataset->class_name->pdata[example[i].class_index]);
  }
  return g_steal_pointer (&answers);
}

/* ---- strangers ----------------------------------------------------------------------------------------------------- */

NotchStrangers
notch_answers_strangers (const NotchAnswers *answers)
{
  const guint n = answers->n, n_known = answers->n_known;
  NotchStrangers strangers = { n - n_known, NAN, NAN };
  if (n == n_known || n_known == 0)
    return strangers;
  g_autofree double *doubt = g_new (double, n);
  g_autofree gboolean *strange = g_new (gboolean, n);
  for (guint i = 0; i < n; i++) {
    doubt[i] = 1 - answers->confidence[i];
    strange[i] = i >= n_known;
  }
  strangers.confidence = notch_auroc (doubt, strange, n);
  if (!isnan (answers->distance[0]))
    strangers.distance = notch_auroc (answers->distance, strange, n);
  return strangers;
}
