/* validate.c - how good a model is on examples that it has not learned from */
#include "inspect/validate/validate.h"

#include "inspect/image/write.h"
#include "inspect/text.h"

#include <math.h>
#include <string.h>

static void
clear_left_out (gpointer data)
{
  g_free (((NotchLeftOut *) data)->name);
}

static void
clear (NotchValidation *v)
{
  g_clear_pointer (&v->dataset, notch_dataset_free);
  g_clear_pointer (&v->trained, notch_trained_free);
  g_clear_pointer (&v->other, notch_trained_free);
  g_clear_pointer (&v->answers, notch_answers_free);
  g_clear_pointer (&v->metrics, notch_metrics_free);
  g_clear_pointer (&v->curve, g_array_unref);
  g_clear_pointer (&v->left_out, g_array_unref);
  g_clear_pointer (&v->nuisance, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (NotchValidation, clear)

/* Which examples count: those of wafers that neither model has learned from, for one that knows them looks better. */
static guint8 *
choose_examples (NotchValidation *v)
{
  const guint n = v->dataset->example->len;
  guint8 *use = g_new0 (guint8, n + 1);
  g_autofree gboolean *seen = notch_known_wafers (v->trained->model, v->dataset);
  g_autofree gboolean *seen_other =
      v->other ? notch_known_wafers (v->other->model, v->dataset) : g_new0 (gboolean, v->dataset->wafer_name->len + 1);
  v->seen_count = v->options->all;
  for (guint w = 0; w < v->dataset->wafer_name->len; w++) {
    v->n_seen_wafers += seen[w];
    v->n_seen_other_wafers += seen_other[w] && !seen[w];
  }
  for (guint i = 0; i < n; i++) {
    const NotchExample *example = notch_example (v->dataset, i);
    const gboolean here = seen[example->wafer], there = seen_other[example->wafer];
    v->n_seen += here && example->class_index >= 0;
    v->n_seen_other += there && !here && example->class_index >= 0;
    use[i] = v->options->all || (!here && !there);
  }
  return use;
}

static gboolean
answer (NotchValidation *v, const NotchCompute *compute, GError **error)
{
  g_autofree guint8 *use = choose_examples (v);
  const char *path = v->trained->model->path;
  v->answers = notch_answers_new (v->trained, v->dataset, use, compute, error);
  const NotchAnswers *a = v->answers;
  if (!a)
    return FALSE;
  if (a->n_known == 0 && v->n_seen + v->n_seen_other > 0) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
                 "%s: the model%s%s has learned from all wafers that are given; give others, or --all for figures that "
                 "flatter",
                 path, v->n_seen_other > 0 ? " or " : "", v->n_seen_other > 0 ? v->other->model->path : "");
    return FALSE;
  }
  if (a->n_known == 0) {
    g_set_error (
        error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
        "%s: no example is of a class that the model knows; its classes are %s%s, check how the data name theirs", path,
        (const char *) v->trained->model->class_name->pdata[0], a->n_classes > 1 ? " and others" : "");
    return FALSE;
  }
  v->metrics =
      notch_metrics_new (a->truth, a->called, a->wafer, a->probability, a->n_known, a->n_classes, v->options->seed);
  v->strangers = notch_answers_strangers (a);
  v->temperature =
      v->trained->model->temperature * notch_temperature (a->truth, a->probability, a->n_known, a->n_classes);
  return TRUE;
}

/* ---- nuisances ----------------------------------------------------------------------------------------------------- */

/* Marks the classes that are nuisances. The error names one that the model does not know. */
static gboolean
mark_nuisances (NotchValidation *v, GError **error)
{
  const NotchModel *model = v->trained->model;
  g_auto (GStrv) names = v->options->nuisances ? g_strsplit (v->options->nuisances, ",", -1) : NULL;
  v->nuisance = g_new0 (gboolean, model->class_name->len + 1);
  for (guint k = 0; k < model->class_name->len; k++)
    v->nuisance[k] = notch_is_nuisance (model->class_name->pdata[k]);
  for (int i = 0; names && names[i]; i++) {
    int k = notch_model_class (model, g_strstrip (names[i]));
    if (k < 0) {
      g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE, "--nuisances %s: %s has no class \"%s\"",
                   v->options->nuisances, model->path, names[i]);
      return FALSE;
    }
    v->nuisance[k] = TRUE;
  }
  return TRUE;
}

/* What a filter on the probability of being any nuisance would take out. */
static void
filter_nuisances (NotchValidation *v)
{
  const NotchAnswers *a = v->answers;
  g_autofree double *score = g_new (double, a->n_known);
  g_autofree gboolean *is = g_new (gboolean, a->n_known);
  for (guint i = 0; i < a->n_known; i++) {
    is[i] = v->nuisance[a->truth[i]];
    score[i] = notch_nuisance_score (a->probability + i * (gsize) a->n_classes, v->nuisance, a->n_classes);
  }
  v->curve = notch_nuisance_curve (score, is, a->n_known);
  if (v->curve)
    v->chosen = notch_nuisance_at (v->curve, NOTCH_NUISANCE_KEPT);
}

/* ---- another model ------------------------------------------------------------------------------------------------- */

/* Both are asked the same; a class that the other one does not know it gets wrong. */
static gboolean
compare (NotchValidation *v, const NotchCompute *compute, GError **error)
{
  const NotchAnswers *a = v->answers;
  const GPtrArray *own = v->trained->model->class_name, *others = v->other->model->class_name;
  const gsize c = others->len;
  const NotchExample *example = (const NotchExample *) (gpointer) a->example->data;
  g_autofree float *probability = g_new (float, a->n_known *c + 1);
  g_autofree double *distance = g_new (double, a->n_known + 1);
  gint64 right = 0;
  if (!notch_known_classify (v->other, example, a->n_known, v->dataset->patch_side, compute, probability, distance,
                             error))
    return FALSE;
  for (guint i = 0; i < a->n_known; i++) {
    double confidence;
    int called = notch_trained_decide (v->other, probability + i * c, distance[i], &confidence);
    gboolean there = called < (int) c && strcmp (others->pdata[called], own->pdata[a->truth[i]]) == 0;
    gboolean here = a->called[i] == a->truth[i];
    right += there;
    v->only_this += here && !there;
    v->only_other += there && !here;
  }
  v->p = notch_mcnemar (v->only_this, v->only_other);
  v->other_accuracy = (double) right / a->n_known;
  return TRUE;
}

/* ---- classes left out ---------------------------------------------------------------------------------------------- */

#define LEFT_OUT_TEST (1 / 3.) /* of the examples are on wafers to test on */

/* The same examples where a class is not known to exist; patches and names are borrowed. */
static void
forget_class (const NotchDataset *dataset, int class_index, NotchDataset *rest)
{
  *rest = *dataset;
  rest->class_name = g_ptr_array_new_with_free_func (g_free);
  for (guint k = 0; k < dataset->class_name->len; k++)
    if ((int) k != class_index)
      g_ptr_array_add (rest->class_name, g_strdup (dataset->class_name->pdata[k]));
  rest->example = g_array_new (FALSE, FALSE, sizeof (NotchExample));
  for (guint i = 0; i < dataset->example->len; i++) {
    NotchExample example = *notch_example (dataset, i);
    if (example.class_index == class_index)
      example.class_index = -1;
    else if (example.class_index > class_index)
      example.class_index--;
    g_array_append_val (rest->example, example);
  }
}

/* Trains anew without a class, and looks whether its examples on other wafers are told from the rest. */
static gboolean
leave_out (NotchValidation *v, int class_index, const guint8 *part, const NotchTrainHow *how, GError **error)
{
  const guint n = v->dataset->example->len;
  NotchDataset rest;
  forget_class (v->dataset, class_index, &rest);
  g_autoptr (GPtrArray) names = rest.class_name;
  g_autoptr (GArray) examples = rest.example;
  g_autofree guint8 *rest_part = g_memdup2 (part, n + 1), *held = g_new0 (guint8, n + 1);
  for (guint i = 0; i < n; i++) {
    const NotchExample *example = notch_example (v->dataset, i);
    const gboolean bare = v->trained->classifier->patches && !example->patch; /* nothing that it looks at */
    held[i] = !bare && part[i] == NOTCH_PART_HELD_OUT && example->class_index >= 0;
    if (bare || notch_example (&rest, i)->class_index == -1)
      rest_part[i] = NOTCH_PART_NONE;
  }
  g_autofree gboolean *oriented = notch_known_oriented (v->trained->model, rest.class_name);
  NotchTrainHow alike = *how;
  alike.oriented = oriented;
  NotchModel *model = v->trained->classifier->train (&rest, rest_part, &alike, error);
  if (!model)
    return FALSE;
  if (!model->training)
    model->training = json_object_new ();
  g_autoptr (NotchTrained) trained = notch_trained_new (model, error);
  if (!trained)
    return FALSE;
  g_autoptr (NotchAnswers) answers = notch_known_learn (trained, &rest, rest_part, how->compute, error)
                                         ? notch_answers_new (trained, v->dataset, held, how->compute, error)
                                         : NULL;
  if (!answers)
    return FALSE;
  NotchLeftOut left = { g_strdup (v->dataset->class_name->pdata[class_index]), notch_answers_strangers (answers) };
  g_array_append_val (v->left_out, left);
  return TRUE;
}

/* A training that is no news: only its cancelling is asked for. */
typedef struct {
  NotchTrainStep step;
  gpointer data;
} Listener;

static gboolean
pass_on (G_GNUC_UNUSED const char *line, double done, gpointer data)
{
  const Listener *listener = data;
  return !listener->step || listener->step (NULL, done, listener->data);
}

/* Says what is done, unless it is no news, and asks whether to go on. */
static gboolean
go_on (const Listener *listener, const char *line, double done, GError **error)
{
  if (!listener->step || listener->step (line, done, listener->data))
    return TRUE;
  g_set_error_literal (error, NOTCH_ERROR, NOTCH_ERROR_CANCELLED, "interrupted; nothing was written");
  return FALSE;
}

static gboolean
leave_each_out (NotchValidation *v, Listener *listener, const NotchCompute *compute, GError **error)
{
  const NotchTrainHow how = { .seed = v->options->seed, .compute = compute, .step = pass_on, .data = listener };
  g_autofree guint8 *part = notch_dataset_split (v->dataset, LEFT_OUT_TEST, how.seed);
  v->left_out = g_array_new (FALSE, FALSE, sizeof (NotchLeftOut));
  g_array_set_clear_func (v->left_out, clear_left_out);
  for (guint k = 0; k < v->dataset->class_name->len; k++) {
    g_autofree char *line = g_strdup_printf ("training without class %s", (char *) v->dataset->class_name->pdata[k]);
    if (!go_on (listener, line, (double) k / v->dataset->class_name->len, error))
      return FALSE;
    if (!leave_out (v, (int) k, part, &how, error))
      return FALSE;
  }
  return TRUE;
}

/* ---- the whole ----------------------------------------------------------------------------------------------------- */

static gboolean
measure (NotchValidation *v, const char *model, char **datasets, const Listener *listener, const NotchCompute *compute,
         GError **error)
{
  v->dataset = notch_dataset_load (datasets, error);
  if (!v->dataset)
    return FALSE;
  const char *of_data =
      v->dataset->maps ? "signature" : "defects"; /* of those that come with notch there is one for each */
  v->trained = notch_trained_load (model, strcmp (model, NOTCH_MODEL_SHIPPED) == 0 ? of_data : NULL, error);
  if (!v->trained || !mark_nuisances (v, error))
    return FALSE;
  v->other = v->options->against ? notch_trained_load (v->options->against, v->trained->model->purpose, error) : NULL;
  if (v->options->against && !v->other)
    return FALSE;
  if (v->dataset->maps != v->trained->classifier->maps)
    return notch_model_refuse (
        v->trained->model, error, "is a model for %s, and the data are %s; give other data or another model",
        v->trained->classifier->maps ? "wafer maps" : "defects", v->dataset->maps ? "wafer maps" : "defects");
  if (v->options->leave_out && v->dataset->class_name->len < 3) {
    g_set_error (
        error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
        "--leave-out: the examples are of %u classes, and without one of them there is nothing to tell apart; give "
        "three or more",
        v->dataset->class_name->len);
    return FALSE;
  }
  notch_dataset_keep (v->dataset, NOTCH_PART_HELD_OUT);
  if (!go_on (listener, NULL, 0, error) || !answer (v, compute, error) || !go_on (listener, NULL, 0, error))
    return FALSE;
  filter_nuisances (v);
  return !v->other || (compare (v, compute, error) && go_on (listener, NULL, 0, error));
}

/* The model with these figures in it. */
static gboolean
record (const NotchValidation *v, JsonNode *node, GError **error)
{
  NotchModel *model = v->trained->model;
  g_clear_pointer (&model->validation, json_object_unref);
  model->validation = json_node_dup_object (node);
  return notch_model_save (model, v->options->record, error);
}

gboolean
notch_validate (const char *model, char **datasets, const NotchValidateOptions *options, NotchTrainStep step,
                gpointer data, char ***unmet, char **report, char **json, GError **error)
{
  g_auto (NotchCompute) compute = { 0 };
  Listener listener = { step, data };
  g_auto (NotchValidation) v = { .options = options };
  g_autoptr (GPtrArray) lines = g_ptr_array_new_null_terminated (8, g_free, TRUE);
  if ((options->record && !notch_can_replace (options->record, NOTCH_MODEL_MAGIC, error))
      || !notch_compute_open (&compute, options->device, 1, options->jobs, NULL, error)
      || !measure (&v, model, datasets, &listener, &compute, error))
    return notch_compute_advise (&compute, error);
  g_autoptr (NotchGate) gate = NULL;
  if (options->gate) {
    gate = notch_gate_load (options->gate, v.trained->model->class_name, error);
    if (!gate)
      return FALSE;
  }
  if (options->leave_out && !leave_each_out (&v, &listener, &compute, error))
    return notch_compute_advise (&compute, error);
  if (!go_on (&listener, NULL, 1, error))
    return FALSE;
  if (gate)
    notch_gate_judge (gate, &v, lines);
  if (options->output && !notch_validation_write (&v, options->output, error))
    return FALSE;
  g_autofree char *text = notch_validation_text (&v); /* before the model has another name and hash */
  g_autoptr (JsonNode) node = notch_validation_json (&v);
  if (options->record && !record (&v, node, error))
    return FALSE;
  *unmet = (char **) g_ptr_array_free (g_steal_pointer (&lines), FALSE);
  if (report)
    *report = g_steal_pointer (&text);
  if (json)
    *json = notch_json_text (node);
  return TRUE;
}
