/* gate.c - limits that a model has to meet */
#include "inspect/validate/validate.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

/* A model of three classes on six examples of two wafers: one "particle" is called a pit. */
typedef struct {
  NotchModel *model;
  NotchTrained trained;
  NotchValidation v;
  char *path;
} Fixture;

static void
set_up (Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
  static const int truth[] = { 0, 0, 1, 1, 1, 1 }, called[] = { 0, 1, 1, 1, 1, 1 }, wafer[] = { 0, 1, 0, 1, 0, 1 };
  static const float probability[] = { 0.9f, 0.1f, 0, 0.4f, 0.6f, 0, 0.1f, 0.9f, 0, 0.1f, 0.9f, 0, 0, 1, 0, 0, 1, 0 };
  static const char *const name[] = { "particle", "pit", "scratch" };
  f->model = notch_model_new ("defects", "forest");
  for (guint k = 0; k < G_N_ELEMENTS (name); k++)
    notch_model_add_class (f->model, name[k]);
  f->trained.model = f->model;
  f->v.trained = &f->trained;
  f->v.metrics = notch_metrics_new (truth, called, wafer, probability, 6, 3, 1);
  f->v.strangers = (NotchStrangers){ 0, NAN, NAN };
  int file = g_file_open_tmp ("notch-gate-XXXXXX.ini", &f->path, NULL);
  g_assert_cmpint (file, >=, 0);
  g_close (file, NULL);
}

static void
tear_down (Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
  notch_metrics_free (f->v.metrics);
  notch_model_free (f->model);
  g_remove (f->path);
  g_free (f->path);
}

/* The limits of a text that are not met, a line each. */
static char *
unmet_of (Fixture *f, const char *text)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) unmet = g_ptr_array_new_null_terminated (4, g_free, TRUE);
  g_assert_true (g_file_set_contents (f->path, text, -1, NULL));
  g_autoptr (NotchGate) gate = notch_gate_load (f->path, f->model->class_name, &error);
  g_assert_no_error (error);
  notch_gate_judge (gate, &f->v, unmet);
  return g_strjoinv ("\n", (char **) unmet->pdata);
}

static void
check (Fixture *f, const char *text, const char *wanted)
{
  g_autofree char *unmet = unmet_of (f, text);
  g_assert_cmpstr (unmet, ==, wanted);
}

static void
test_figures (Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
  check (f, "", "");
  check (f, "# nothing\n[gate]\n", "");
  check (f, "[gate]\naccuracy = 0.83\n", "");
  check (f, "[gate]\naccuracy = 0.9\nece = 0.3\n", "accuracy is 0.8333, at least 0.9 is asked for");
  check (f, "[gate]\nece=0.05\n", "calibration error is 0.1500, at most 0.05 is asked for");
  check (f, "[recall]\nparticle=0.6\npit=1\n", "recall of class particle is 0.5000, at least 0.6 is asked for");
  check (f, "[purity]\n* = 0.75\npit = 0.9\nscratch = 0\n",
         "purity of class pit is 0.8000, at least 0.9 is asked for\n"
         "purity of class scratch cannot be judged by these data, at least 0 is asked for");
}

/* What is not there cannot be met. */
static void
test_rest (Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
  check (f, "[gate]\nagainst_p=0.05\n",
         "McNemar's p of being worse than the other model cannot be judged by these data, at least 0.05 is asked for; "
         "compare with --against MODEL");
  f->v.other = &f->trained;
  f->v.only_this = 30, f->v.only_other = 10;
  f->v.p = notch_mcnemar (30, 10);
  check (f, "[gate]\nagainst_p=0.05\n", ""); /* another model, but a better one */
  f->v.only_this = 10, f->v.only_other = 30;
  check (f, "[gate]\nagainst_p=0.05\n",
         "McNemar's p of being worse than the other model is 0.0022, at least 0.05 is asked for");
  f->v.strangers = (NotchStrangers){ 5, 0.8, 0.97 };
  check (f, "[gate]\nunknown_auroc=0.95\n", "");
  NotchLeftOut left[] = { { "a", { 5, 0.8, 0.99 } }, { "b", { 5, 0.99, 0.94 } } };
  f->v.left_out = g_array_new (FALSE, FALSE, sizeof (NotchLeftOut));
  g_array_append_vals (f->v.left_out, left, 2);
  check (f, "[gate]\nunknown_auroc=0.95\n",
         "area under the curve of unknown classes is 0.9400, at least 0.95 is asked for");
  g_array_unref (f->v.left_out);
}

static void
test_interval (Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
  f->v.metrics->accuracy = (NotchMetric){ 0.9, 0.85, 0.95 };
  f->v.metrics->ece = (NotchMetric){ 0.02, 0.01, 0.04 };
  check (f, "[gate]\naccuracy=0.9\nece=0.03\njudge=figure\n", "");
  check (f, "[gate]\naccuracy=0.9\nece=0.03\njudge=interval\n",
         "accuracy is by its interval 0.8500, at least 0.9 is asked for\n"
         "calibration error is by its interval 0.0400, at most 0.03 is asked for");
}

/* Of one wafer a figure has no interval, which is no reason to take the figure; what never has one is judged as it is. */
static void
test_no_interval (Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
  f->v.metrics->accuracy = (NotchMetric){ 0.9, NAN, NAN };
  f->v.metrics->ece = (NotchMetric){ 0.02, NAN, NAN };
  f->v.metrics->recall[0] = (NotchMetric){ 1, NAN, NAN };
  f->v.strangers = (NotchStrangers){ 5, 0.8, 0.97 };
  check (f, "[gate]\naccuracy=0.9\nece=0.03\nunknown_auroc=0.95\n[recall]\nparticle=0.5\n", "");
  check (f, "[gate]\naccuracy=0.9\nece=0.03\nunknown_auroc=0.95\njudge=interval\n[recall]\nparticle=0.5\n",
         "accuracy cannot be judged by these data, at least 0.9 is asked for; it has no interval, give more wafers\n"
         "calibration error cannot be judged by these data, at most 0.03 is asked for; it has no interval, give more "
         "wafers\n"
         "recall of class particle cannot be judged by these data, at least 0.5 is asked for; it has no interval, give "
         "more wafers");
  check (f, "[gate]\nunknown_auroc=0.98\njudge=interval\n",
         "area under the curve of unknown classes is 0.9700, at least 0.98 is asked for");
}

static void
test_trouble (Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
  static const char *const bad[][2] = {
    { "[gate]\nmacro_f2=1\n", ":2: [gate] macro_f2: there is no such key; did you mean macro_f1?" },
    { "[gate]\n\nanything=1\n", ":3: [gate] anything: there is no such key; the group has judge, macro_f1, accuracy" },
    { "[gate]\nece=high\n", ":2: [gate] ece: \"high\" is no number from 0 to 1" },
    { "[gate]\nece=0.1x\n", "is no number from 0 to 1" },
    { "[gate]\nkappa=-2\n", "\"-2\" is no number from -1 to 1" },
    { "[gate]\nece=nan\n", "is no number" },
    { "[gate]\nece=0.1\nece=0.2\n", ":3: [gate] ece: it stands here for the second time" },
    { "[gate]\njudge=well\n", "\"well\" is neither figure nor interval" },
    { "[limits]\nece=0.1\n", ":1: [limits]: there is no such group; there are gate, purity and recall" },
    { "[recall]\npits=1\n", ":2: [recall] pits: the model has no such class; it has particle, pit, scratch" },
    { "ece=0.1\n", ":1: this is neither" },
  };
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_true (g_file_set_contents (f->path, bad[i][0], -1, NULL));
    g_assert_null (notch_gate_load (f->path, f->model->class_name, &error));
    g_assert_nonnull (error);
    g_assert_true (g_str_has_prefix (error->message, f->path));
    if (!strstr (error->message, bad[i][1]))
      g_error ("%s is not in %s", bad[i][1], error->message);
  }
  g_autoptr (GError) error = NULL;
  g_assert_null (notch_gate_load ("/nowhere/gate.ini", f->model->class_name, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/gate/figures", Fixture, NULL, set_up, test_figures, tear_down);
  g_test_add ("/gate/rest", Fixture, NULL, set_up, test_rest, tear_down);
  g_test_add ("/gate/interval", Fixture, NULL, set_up, test_interval, tear_down);
  g_test_add ("/gate/no-interval", Fixture, NULL, set_up, test_no_interval, tear_down);
  g_test_add ("/gate/trouble", Fixture, NULL, set_up, test_trouble, tear_down);
  return g_test_run ();
}
