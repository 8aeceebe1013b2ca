/* gate.c - limits that a model has to meet before it is let loose
 *
 *   [gate]            overall figures, and how they are judged
 *   [purity]          classes: at least; * is every class that has no line of its own
 *   [recall] */
#include "inspect/validate/validate.h"

#include <math.h>
#include <string.h>

#include "inspect/ini.h"
#include "inspect/simulate/number.h"
#include "inspect/text.h"

/* A key of [gate]. */
typedef struct {
  const char *name, *summary;
  double least, most;    /* what may be asked for */
  gboolean is_ceiling;   /* the figure may be so large at most */
  gboolean has_interval; /* given enough wafers */
  NotchMetric (*figure) (const NotchValidation *validation);
  const char *way_out; /* NULL, or what to do where it cannot be judged */
} GateKey;

static NotchMetric
alone (double value)
{
  return (NotchMetric){ value, NAN, NAN };
}

static NotchMetric
macro_f1_of (const NotchValidation *v)
{
  return v->metrics->macro_f1;
}

static NotchMetric
accuracy_of (const NotchValidation *v)
{
  return v->metrics->accuracy;
}

static NotchMetric
kappa_of (const NotchValidation *v)
{
  return v->metrics->kappa;
}

static NotchMetric
ece_of (const NotchValidation *v)
{
  return v->metrics->ece;
}

static NotchMetric
brier_of (const NotchValidation *v)
{
  return v->metrics->brier;
}

/* The worst class that was left out, else the strangers among the data. */
static NotchMetric
unknown_of (const NotchValidation *v)
{
  double least = v->left_out ? INFINITY : v->strangers.distance;
  for (guint i = 0; v->left_out && i < v->left_out->len; i++) {
    const double one = g_array_index (v->left_out, NotchLeftOut, i).strangers.distance;
    least = isnan (least) || isnan (one) ? NAN : MIN (least, one); /* one that cannot tell leaves all open */
  }
  return alone (isfinite (least) ? least : NAN);
}

static NotchMetric
nuisance_of (const NotchValidation *v)
{
  return alone (v->curve ? v->chosen.removed : NAN);
}

/* A model that is better than the other is never told from it for the worse. */
static NotchMetric
against_of (const NotchValidation *v)
{
  return alone (!v->other ? NAN : v->only_this >= v->only_other ? 1 : v->p);
}

static const GateKey gate_keys[] = {
  { "macro_f1", "macro-F1", 0, 1, FALSE, TRUE, macro_f1_of, NULL },
  { "accuracy", "accuracy", 0, 1, FALSE, TRUE, accuracy_of, NULL },
  { "kappa", "kappa", -1, 1, FALSE, TRUE, kappa_of, NULL },
  { "ece", "calibration error", 0, 1, TRUE, TRUE, ece_of, NULL },
  { "brier", "Brier score", 0, 2, TRUE, TRUE, brier_of, NULL },
  { "unknown_auroc", "area under the curve of unknown classes", 0, 1, FALSE, FALSE, unknown_of,
    "give --leave-out and enough of each class, or examples of classes that the model does not know" },
  { "nuisance_removed", "share of nuisances taken out", 0, 1, FALSE, FALSE, nuisance_of,
    "give examples of nuisances and of others, and --nuisances where their names do not tell" },
  { "against_p", "McNemar's p of being worse than the other model", 0, 1, FALSE, FALSE, against_of,
    "compare with --against MODEL" },
};

enum { N_KEYS = G_N_ELEMENTS (gate_keys) };

struct NotchGate {
  double limit[N_KEYS];    /* NAN: none */
  double *purity, *recall; /* of each class; NAN: none */
  gboolean by_interval;    /* the end of the interval that is worse counts, not the figure */
};

void
notch_gate_free (NotchGate *gate)
{
  if (!gate)
    return;
  g_free (gate->purity);
  g_free (gate->recall);
  g_free (gate);
}

/* ---- reading ------------------------------------------------------------------------------------------------------- */

static gboolean refuse (const NotchIniLine *line, const char *path, GError **error, const char *format, ...)
    G_GNUC_PRINTF (4, 5);
static gboolean
refuse (const NotchIniLine *line, const char *path, GError **error, const char *format, ...)
{
  va_list arguments;
  va_start (arguments, format);
  g_autofree char *what = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s:%d: [%s]%s%s: %s", path, line->line, line->group,
               line->key ? " " : "", line->key ? line->key : "", what);
  return FALSE;
}

static gboolean
read_limit (const NotchIniLine *line, const char *path, double least, double most, double *limit, GError **error)
{
  char *end;
  double value = g_ascii_strtod (line->value, &end);
  if (!isnan (*limit))
    return refuse (line, path, error, "it stands here for the second time; keep one");
  if (end == line->value || *end || !(value >= least && value <= most))
    return refuse (line, path, error, "\"%s\" is no number from %s to %s", line->value, notch_number (least, -1).text,
                   notch_number (most, -1).text);
  *limit = value;
  return TRUE;
}

static gboolean
read_key (NotchGate *gate, const NotchIniLine *line, const char *path, GError **error)
{
  g_autoptr (GString) known = g_string_new ("judge");
  const char *nearest = NULL;
  guint best = G_MAXUINT;
  if (strcmp (line->key, "judge") == 0) {
    gate->by_interval = strcmp (line->value, "interval") == 0;
    return gate->by_interval || strcmp (line->value, "figure") == 0
           || refuse (line, path, error, "\"%s\" is neither figure nor interval", line->value);
  }
  for (int i = 0; i < N_KEYS; i++) {
    guint distance = notch_edit_distance (line->key, gate_keys[i].name);
    if (distance == 0)
      return read_limit (line, path, gate_keys[i].least, gate_keys[i].most, &gate->limit[i], error);
    if (distance < best)
      best = distance, nearest = gate_keys[i].name;
    g_string_append_printf (known, ", %s", gate_keys[i].name);
  }
  if (notch_is_near (best, line->key))
    return refuse (line, path, error, "there is no such key; did you mean %s?", nearest);
  return refuse (line, path, error, "there is no such key; the group has %s", known->str);
}

/* A class's limit, or with * that of those without; `others` is the latter. */
static gboolean
read_class (double *limit, double *others, const NotchIniLine *line, const char *path, const GPtrArray *class_name,
            GError **error)
{
  g_autoptr (GString) known = g_string_new (NULL);
  if (strcmp (line->key, "*") == 0)
    return read_limit (line, path, 0, 1, others, error);
  for (guint k = 0; k < class_name->len; k++) {
    if (strcmp (class_name->pdata[k], line->key) == 0)
      return read_limit (line, path, 0, 1, &limit[k], error);
    g_string_append_printf (known, "%s%s", k > 0 ? ", " : "", (char *) class_name->pdata[k]);
  }
  return refuse (line, path, error, "the model has no such class; it has %s, and * is every other", known->str);
}

static double *
no_limits (guint n)
{
  double *limit = g_new (double, n + 1);
  for (guint k = 0; k <= n; k++)
    limit[k] = NAN;
  return limit;
}

NotchGate *
notch_gate_load (const char *path, const GPtrArray *class_name, GError **error)
{
  g_autofree char *text = notch_text_load (path, "a file of limits", error);
  g_autoptr (GPtrArray) lines = text ? notch_ini_scan (text, path, error) : NULL;
  if (!lines)
    return NULL;
  g_autoptr (NotchGate) gate = g_new0 (NotchGate, 1);
  double other_purity = NAN, other_recall = NAN;
  gate->purity = no_limits (class_name->len);
  gate->recall = no_limits (class_name->len);
  for (int i = 0; i < N_KEYS; i++)
    gate->limit[i] = NAN;
  for (guint i = 0; i < lines->len; i++) {
    const NotchIniLine *line = lines->pdata[i];
    gboolean purity = strcmp (line->group, "purity") == 0, recall = strcmp (line->group, "recall") == 0;
    if (!purity && !recall && strcmp (line->group, "gate") != 0)
      return refuse (line, path, error, "there is no such group; there are gate, purity and recall"), NULL;
    if (line->key && purity && !read_class (gate->purity, &other_purity, line, path, class_name, error))
      return NULL;
    if (line->key && recall && !read_class (gate->recall, &other_recall, line, path, class_name, error))
      return NULL;
    if (line->key && !purity && !recall && !read_key (gate, line, path, error))
      return NULL;
  }
  for (guint k = 0; k < class_name->len; k++) {
    gate->purity[k] = isnan (gate->purity[k]) ? other_purity : gate->purity[k];
    gate->recall[k] = isnan (gate->recall[k]) ? other_recall : gate->recall[k];
  }
  return g_steal_pointer (&gate);
}

/* ---- judging ------------------------------------------------------------------------------------------------------- */

/* By the worse end of the interval where that is asked for; a figure that could have one and has none, as of a single wafer,
 * cannot be judged then. */
static void
judge_one (const NotchGate *gate, const char *what, const NotchMetric *metric, gboolean has_interval, double limit,
           gboolean is_ceiling, const char *way_out, GPtrArray *unmet)
{
  const gboolean interval = gate->by_interval && has_interval;
  const double value = !interval ? metric->value : is_ceiling ? metric->high : metric->low;
  if (isnan (limit) || (is_ceiling ? value <= limit : value >= limit))
    return;
  if (isnan (value) && !isnan (metric->value))
    way_out = "it has no interval, give more wafers";
  if (isnan (value))
    g_ptr_array_add (unmet, g_strdup_printf ("%s cannot be judged by these data, %s %s is asked for%s%s", what,
                                             is_ceiling ? "at most" : "at least", notch_number (limit, -1).text,
                                             way_out ? "; " : "", way_out ? way_out : ""));
  else
    g_ptr_array_add (unmet, g_strdup_printf ("%s is %s%s, %s %s is asked for", what, interval ? "by its interval " : "",
                                             notch_number (value, 4).text, is_ceiling ? "at most" : "at least",
                                             notch_number (limit, -1).text));
}

void
notch_gate_judge (const NotchGate *gate, const NotchValidation *validation, GPtrArray *unmet)
{
  const GPtrArray *name = validation->trained->model->class_name;
  for (int i = 0; i < N_KEYS; i++) {
    NotchMetric metric = gate_keys[i].figure (validation);
    judge_one (gate, gate_keys[i].summary, &metric, gate_keys[i].has_interval, gate->limit[i], gate_keys[i].is_ceiling,
               gate_keys[i].way_out, unmet);
  }
  for (guint k = 0; k < name->len; k++) {
    g_autofree char *purity = g_strdup_printf ("purity of class %s", (char *) name->pdata[k]);
    g_autofree char *recall = g_strdup_printf ("recall of class %s", (char *) name->pdata[k]);
    judge_one (gate, purity, &validation->metrics->purity[k], TRUE, gate->purity[k], FALSE, NULL, unmet);
    judge_one (gate, recall, &validation->metrics->recall[k], TRUE, gate->recall[k], FALSE, NULL, unmet);
  }
}
