/* tell.c - what validation found, for people and for machines */
#include "inspect/validate/validate.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <math.h>

#include "inspect/image/write.h"
#include "inspect/report/report.h"
#include "inspect/simulate/number.h"
#include "inspect/text.h"
#include "inspect/validate/plots.h"

static const char *
class_name (const NotchValidation *v, int k)
{
  return k < v->metrics->n_classes ? v->trained->model->class_name->pdata[k] : NOTCH_UNKNOWN;
}

/* Of what was called a class the wafer and true class are names of the dataset. */
static const char *
true_name (const NotchValidation *v, guint i)
{
  return v->dataset->class_name->pdata[g_array_index (v->answers->example, NotchExample, i).class_index];
}

/* ---- text ---------------------------------------------------------------------------------------------------------- */

static void
append_metric (GString *text, const char *name, const NotchMetric *metric)
{
  g_string_append_printf (text, "%-14s %s", name, isnan (metric->value) ? "-" : notch_number (metric->value, 4).text);
  if (!isnan (metric->low))
    g_string_append_printf (text, " (95 %% interval %s to %s)", notch_number (metric->low, 4).text,
                            notch_number (metric->high, 4).text);
  g_string_append_c (text, '\n');
}

/* A figure of a class in a column of the table, in per cent. */
static void
append_column (GString *text, const NotchMetric *metric)
{
  g_autofree char *interval = isnan (metric->low)
                                  ? g_strdup ("")
                                  : g_strdup_printf (" (%s to %s)", notch_number (100 * metric->low, 1).text,
                                                     notch_number (100 * metric->high, 1).text);
  g_autofree char *cell =
      g_strdup_printf ("%s%s", isnan (metric->value) ? "-" : notch_number (100 * metric->value, 1).text, interval);
  g_string_append_printf (text, "  %-22s", cell);
}

static gint64
row_sum (const NotchMetrics *m, int k)
{
  gint64 sum = 0;
  for (int j = 0; j <= m->n_classes; j++)
    sum += m->confusion[k * (m->n_classes + 1) + j];
  return sum;
}

static void
tell_classes (const NotchValidation *v, GString *text)
{
  const NotchMetrics *m = v->metrics;
  g_string_append_printf (text, "\n%-20s examples  %-22s  %-22s  F1, %%\n", "class", "purity, %", "recall, %");
  for (int k = 0; k < m->n_classes; k++) {
    g_string_append_printf (text, "%-20s %8" G_GINT64_FORMAT, class_name (v, k), row_sum (m, k));
    append_column (text, &m->purity[k]);
    append_column (text, &m->recall[k]);
    append_column (text, &m->f1[k]);
    while (text->len > 0 && text->str[text->len - 1] == ' ')
      g_string_truncate (text, text->len - 1);
    g_string_append_c (text, '\n');
  }
}

static gint64
count_unknown (const NotchAnswers *a, guint from, guint to)
{
  gint64 n = 0;
  for (guint i = from; i < to; i++)
    n += a->called[i] == a->n_classes;
  return n;
}

static void
tell_unknown (const NotchValidation *v, GString *text)
{
  const NotchAnswers *a = v->answers;
  g_string_append_printf (text, "unknown        %" G_GINT64_FORMAT " of %u examples are called so\n",
                          count_unknown (a, 0, a->n_known), a->n_known);
  if (v->strangers.n > 0)
    g_string_append_printf (
        text,
        "other classes  %" G_GINT64_FORMAT " of %u examples are called unknown; area under the curve: "
        "by confidence %s, by distance %s\n",
        count_unknown (a, a->n_known, a->n), v->strangers.n, notch_number (v->strangers.confidence, 3).text,
        isnan (v->strangers.distance) ? "-" : notch_number (v->strangers.distance, 3).text);
}

static void
tell_left_out (const NotchValidation *v, GString *text)
{
  if (!v->left_out)
    return;
  g_string_append_printf (text, "\n%-20s examples  %s\n", "class left out",
                          "area under the curve by confidence, by distance");
  for (guint i = 0; i < v->left_out->len; i++) {
    const NotchLeftOut *left = &g_array_index (v->left_out, NotchLeftOut, i);
    g_string_append_printf (text, "%-20s %8u  %s  %s\n", left->name, left->strangers.n,
                            notch_number (left->strangers.confidence, 3).text,
                            notch_number (left->strangers.distance, 3).text);
  }
}

/* What is to be known of the data. */
static void
tell_notes (const NotchValidation *v, GString *text)
{
  for (guint i = 0; i < v->dataset->note->len; i++)
    g_string_append_printf (text, "%s%s\n", i == 0 ? "\n" : "", (const char *) v->dataset->note->pdata[i]);
}

/* What a model has learned from, and whether it counts. */
static void
tell_seen (const NotchValidation *v, guint n, int n_wafers, const char *how, GString *text)
{
  if (n > 0)
    g_string_append_printf (text, "; %u of %d wafer%s were %s and %s", n, n_wafers, n_wafers == 1 ? "" : "s", how,
                            v->seen_count ? "count, which flatters" : "are left out");
}

char *
notch_validation_text (const NotchValidation *v)
{
  const NotchMetrics *m = v->metrics;
  const NotchModel *model = v->trained->model;
  GString *text = g_string_new (NULL);
  g_string_append_printf (text, "model          %s, a %s of %d classes, %.12s\n", model->path, model->classifier,
                          m->n_classes, model->hash);
  g_string_append_printf (text, "examples       %" G_GINT64_FORMAT " of %d wafer%s", m->n, m->n_wafers,
                          m->n_wafers == 1 ? ": no intervals" : "s");
  tell_seen (v, v->n_seen, v->n_seen_wafers, "learned from", text);
  tell_seen (v, v->n_seen_other, v->n_seen_other_wafers, "learned from by the other model", text);
  g_string_append_c (text, '\n');
  append_metric (text, "macro-F1", &m->macro_f1);
  append_metric (text, "accuracy", &m->accuracy);
  append_metric (text, "kappa", &m->kappa);
  append_metric (text, "calibration", &m->ece);
  append_metric (text, "Brier score", &m->brier);
  g_string_append_printf (text, "temperature    %s; %s would fit these examples best\n",
                          notch_number (model->temperature, 3).text, notch_number (v->temperature, 3).text);
  tell_unknown (v, text);
  if (v->curve)
    g_string_append_printf (
        text, "nuisances      %s %% can be taken out, and %s %% of the others kept, at a probability of %s\n",
        notch_number (100 * v->chosen.removed, 1).text, notch_number (100 * v->chosen.kept, 2).text,
        isfinite (v->chosen.above) ? notch_number (v->chosen.above, 3).text : "none");
  if (v->other)
    g_string_append_printf (text,
                            "against        %s: accuracy %s; %" G_GINT64_FORMAT " right here only, %" G_GINT64_FORMAT
                            " there only, McNemar's p %s\n",
                            v->other->model->path, notch_number (v->other_accuracy, 4).text, v->only_this,
                            v->only_other, notch_number (v->p, -1).text);
  tell_classes (v, text);
  tell_left_out (v, text);
  tell_notes (v, text);
  return g_string_free (text, FALSE);
}

/* ---- JSON ---------------------------------------------------------------------------------------------------------- */

static void
add_number (JsonBuilder *to, const char *name, double value)
{
  json_builder_set_member_name (to, name);
  if (isfinite (value))
    json_builder_add_double_value (to, value);
  else
    json_builder_add_null_value (to);
}

static void
add_count (JsonBuilder *to, const char *name, gint64 value)
{
  json_builder_set_member_name (to, name);
  json_builder_add_int_value (to, value);
}

static void
add_text (JsonBuilder *to, const char *name, const char *value)
{
  g_autofree char *valid = g_utf8_make_valid (value, -1);
  json_builder_set_member_name (to, name);
  json_builder_add_string_value (to, valid);
}

static void
begin (JsonBuilder *to, const char *name)
{
  json_builder_set_member_name (to, name);
  json_builder_begin_object (to);
}

/* [value, low, high] */
static void
add_metric (JsonBuilder *to, const char *name, const NotchMetric *metric)
{
  const double value[] = { metric->value, metric->low, metric->high };
  json_builder_set_member_name (to, name);
  json_builder_begin_array (to);
  for (guint i = 0; i < G_N_ELEMENTS (value); i++)
    if (isfinite (value[i]))
      json_builder_add_double_value (to, value[i]);
    else
      json_builder_add_null_value (to);
  json_builder_end_array (to);
}

static void
add_strangers (JsonBuilder *to, const char *name, const NotchStrangers *strangers)
{
  begin (to, name);
  add_count (to, "examples", strangers->n);
  add_number (to, "auroc_confidence", strangers->confidence);
  add_number (to, "auroc_distance", strangers->distance);
  json_builder_end_object (to);
}

static void
add_classes (JsonBuilder *to, const NotchValidation *v)
{
  const NotchMetrics *m = v->metrics;
  begin (to, "classes");
  for (int k = 0; k < m->n_classes; k++) {
    begin (to, class_name (v, k));
    add_count (to, "examples", row_sum (m, k));
    add_metric (to, "purity", &m->purity[k]);
    add_metric (to, "recall", &m->recall[k]);
    add_metric (to, "f1", &m->f1[k]);
    json_builder_end_object (to);
  }
  json_builder_end_object (to);
}

static void
add_rest (JsonBuilder *to, const NotchValidation *v)
{
  if (v->strangers.n > 0)
    add_strangers (to, "other_classes", &v->strangers);
  if (v->curve) {
    begin (to, "nuisances");
    add_number (to, "kept", v->chosen.kept);
    add_number (to, "removed", v->chosen.removed);
    add_number (to, "probability", v->chosen.above);
    json_builder_end_object (to);
  }
  if (v->other) {
    begin (to, "against");
    add_text (to, "sha256", v->other->model->hash);
    add_count (to, "only_other_learned", v->n_seen_other);
    add_number (to, "accuracy", v->other_accuracy);
    add_count (to, "only_this_right", v->only_this);
    add_count (to, "only_other_right", v->only_other);
    add_number (to, "p", v->p);
    json_builder_end_object (to);
  }
  if (v->left_out) {
    begin (to, "left_out");
    for (guint i = 0; i < v->left_out->len; i++) {
      const NotchLeftOut *left = &g_array_index (v->left_out, NotchLeftOut, i);
      add_strangers (to, left->name, &left->strangers);
    }
    json_builder_end_object (to);
  }
}

JsonNode *
notch_validation_json (const NotchValidation *v)
{
  const NotchMetrics *m = v->metrics;
  g_autoptr (JsonBuilder) to = json_builder_new ();
  json_builder_begin_object (to);
  add_text (to, "version", notch_version ());
  add_text (to, "model_sha256", v->trained->model->hash);
  add_count (to, "seed", (gint64) v->options->seed);
  add_count (to, "examples", m->n);
  add_count (to, "wafers", m->n_wafers);
  add_count (to, "learned_examples", v->n_seen);
  json_builder_set_member_name (to, "learned_count");
  json_builder_add_boolean_value (to, v->seen_count && v->n_seen + v->n_seen_other > 0);
  add_metric (to, "macro_f1", &m->macro_f1);
  add_metric (to, "accuracy", &m->accuracy);
  add_metric (to, "kappa", &m->kappa);
  add_metric (to, "ece", &m->ece);
  add_metric (to, "brier", &m->brier);
  add_number (to, "temperature", v->trained->model->temperature);
  add_number (to, "best_temperature", v->temperature);
  add_count (to, "called_unknown", count_unknown (v->answers, 0, v->answers->n_known));
  add_classes (to, v);
  add_rest (to, v);
  json_builder_end_object (to);
  return json_builder_get_root (to);
}

/* ---- files --------------------------------------------------------------------------------------------------------- */

static gboolean
write_text (const char *folder, const char *name, const GString *text, GError **error)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  return notch_write_file (path, text->str, (gssize) text->len, error);
}

static gboolean
write_confusion (const NotchValidation *v, const char *folder, GError **error)
{
  const NotchMetrics *m = v->metrics;
  g_autoptr (GString) text = g_string_new ("class");
  for (int k = 0; k <= m->n_classes; k++) {
    g_string_append_c (text, ',');
    notch_append_field (text, class_name (v, k));
  }
  for (int row = 0; row < m->n_classes; row++) {
    g_string_append_c (text, '\n');
    notch_append_field (text, class_name (v, row));
    for (int k = 0; k <= m->n_classes; k++)
      g_string_append_printf (text, ",%" G_GINT64_FORMAT, m->confusion[row * (m->n_classes + 1) + k]);
  }
  g_string_append_c (text, '\n');
  return write_text (folder, "confusion.csv", text, error);
}

/* A row an example, those of classes that the model does not know last. */
static gboolean
write_predictions (const NotchValidation *v, const char *folder, GError **error)
{
  const NotchAnswers *a = v->answers;
  g_autoptr (GString) text = g_string_new ("example,wafer,class,called,confidence,distance");
  for (int k = 0; k < a->n_classes; k++) {
    g_autofree char *name = g_strconcat ("p_", class_name (v, k), NULL);
    g_string_append_c (text, ',');
    notch_append_field (text, name);
  }
  g_string_append_c (text, '\n');
  for (guint i = 0; i < a->n; i++) {
    const char *field[] = { g_array_index (a->example, NotchExample, i).name,
                            v->dataset->wafer_name->pdata[a->wafer[i]], true_name (v, i),
                            class_name (v, a->called[i]) };
    for (guint f = 0; f < G_N_ELEMENTS (field); f++) {
      notch_append_field (text, field[f]);
      g_string_append_c (text, ',');
    }
    notch_append_number (text, a->confidence[i], 6);
    g_string_append_c (text, ',');
    notch_append_number (text, a->distance[i], 4);
    for (int k = 0; k < a->n_classes; k++) {
      g_string_append_c (text, ',');
      notch_append_number (text, (double) a->probability[i * (gsize) a->n_classes + (gsize) k], 6);
    }
    g_string_append_c (text, '\n');
  }
  return write_text (folder, "predictions.csv", text, error);
}

static gboolean
write_pictures (const NotchValidation *v, const char *folder, GError **error)
{
  g_autofree char *confusion = g_build_filename (folder, "confusion.png", NULL);
  g_autofree char *reliability = g_build_filename (folder, "reliability.png", NULL);
  g_autofree char *nuisances = g_build_filename (folder, "nuisances.png", NULL);
  return notch_plot_confusion (v->metrics, (const char *const *) v->trained->model->class_name->pdata, confusion, error)
         && notch_plot_reliability (v->metrics, v->trained->model->temperature, reliability, error)
         && (!v->curve || notch_plot_nuisance (v->curve, &v->chosen, nuisances, error));
}

gboolean
notch_validation_write (const NotchValidation *v, const char *folder, GError **error)
{
  g_autoptr (JsonNode) node = notch_validation_json (v);
  g_autofree char *json = notch_json_text (node);
  g_autoptr (GString) text = g_string_new (json);
  g_string_append_c (text, '\n');
  if (g_mkdir_with_parents (folder, 0777) != 0) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_WRITE, "%s: the folder cannot be made: %s; name another one with -o",
                 folder, g_strerror (errno));
    return FALSE;
  }
  return write_confusion (v, folder, error) && write_predictions (v, folder, error) && write_pictures (v, folder, error)
         && write_text (folder, "metrics.json", text, error);
}
