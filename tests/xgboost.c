/* xgboost.c - what XGBoost saves, and what it could have saved and did not */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "inspect/classify/forest.h"
#include "inspect/classify/xgboost.h"

/* A booster of one feature and a class a tree of one leaf, in the words of a version. */
static NotchModel *
booster (const char *objective, const char *n_classes, const char *base_score, const char *leaf, GError **error)
{
  g_auto (GStrv) value = g_strsplit (leaf, " ", -1);
  g_autoptr (GString) text = g_string_new (NULL);
  g_string_append_printf (text,
                          "{\"version\":[3,2,0],\"learner\":{\"attributes\":{},\"feature_names\":[\"\\\"NaN\"],"
                          "\"objective\":{\"name\":\"%s\"},\"learner_model_param\":{\"num_class\":\"%s\","
                          "\"base_score\":\"%s\"},\"gradient_booster\":{\"name\":\"gbtree\",\"model\":{\"trees\":[",
                          objective, n_classes, base_score);
  for (int c = 0; value[c]; c++)
    g_string_append_printf (text,
                            "%s{\"left_children\":[-1],\"right_children\":[-1],\"split_indices\":[0],"
                            "\"split_conditions\":[%s],\"default_left\":[0],\"loss_changes\":[-Infinity],"
                            "\"tree_param\":{\"size_leaf_vector\":\"1\"}}",
                            c > 0 ? "," : "", value[c]);
  g_string_append (text, "],\"tree_info\":[");
  for (int c = 0; value[c]; c++)
    g_string_append_printf (text, "%s%d", c > 0 ? "," : "", c);
  g_string_append (text, "]}}}}");
  g_autoptr (GBytes) bytes = g_bytes_new (text->str, text->len);
  return notch_xgboost_model (bytes, "a file", error);
}

/* What a model begins with: of several classes sums, of two a probability. Versions before 3.1 tell one number, and later ones
 * a list. */
static void
test_base (void)
{
  static const struct {
    const char *objective, *n_classes, *base_score, *leaf;
    double sum[3]; /* up to what is the same for all */
  } file[] = {
    { "multi:softprob", "3", "5E-1", "0.25 0 -1", { 0.25, 0, -1 } },
    { "multi:softprob", "3", "[3E-1,3E-1,3E-1]", "0.25 0 -1", { 0.25, 0, -1 } },
    { "multi:softmax", "3", "[-5.1E-1,5.0E-1,1.1E-2]", "0.25 0 -1", { -0.26, 0.5, -0.989 } },
    { "binary:logistic", "0", "2E-1", "0.75", { 0, 0.75 - 1.3862943611 } },
    { "binary:logistic", "0", "[2E-1]", "0.75", { 0, 0.75 - 1.3862943611 } },
    { "binary:logistic", "0", "[0E0]", "0.75", { 0, 0.75 - 13.8155095580 } }, /* as if it were a millionth */
    { "binary:logistic", "0", "[1E0]", "0.75", { 0, 0.75 + 13.8155095580 } },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (file); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (NotchModel) model =
        booster (file[i].objective, file[i].n_classes, file[i].base_score, file[i].leaf, &error);
    g_assert_no_error (error);
    g_assert_cmpstr (model->feature->pdata[0], ==, "\"NaN");
    g_autoptr (NotchForest) forest = notch_forest_new (model, &error);
    g_assert_no_error (error);
    const float row = NAN;
    float probability[3] = { 0 };
    double whole = 0;
    g_assert_true (notch_forest_apply (forest, &row, 1, NULL, probability, NULL, &error));
    for (guint c = 0; c < model->class_name->len; c++)
      whole += exp (file[i].sum[c]);
    for (guint c = 0; c < model->class_name->len; c++)
      g_assert_cmpfloat_with_epsilon ((double) probability[c], exp (file[i].sum[c]) / whole, 1e-6);
  }
}

static void
test_no_base (void)
{
  static const struct {
    const char *objective, *n_classes, *base_score, *leaf, *says;
  } file[] = {
    { "multi:softprob", "3", "[1E-1,2E-1]", "0 0 0", "base_score is not one number, nor one a class" },
    { "multi:softprob", "3", "[1E-1,nan,1E-1]", "0 0 0", "base_score" },
    { "multi:softprob", "3", "[1E-1,2E-1,1E-1", "0 0 0", "base_score" },
    { "multi:softprob", "3", "[]", "0 0 0", "base_score" },
    { "multi:softprob", "3", "", "0 0 0", "base_score" },
    { "binary:logistic", "0", "[2E-1,8E-1]", "0", "base_score is not one probability" },
    { "binary:logistic", "0", "1.5", "0", "base_score" },
    { "multi:softprob", "1", "5E-1", "0", "num_class" },
    { "multi:softprob", "[3,3]", "5E-1", "0 0 0", "num_class" },
    { "multi:softprob", "3", "5E-1", "0 NaN 0", "node 0 of tree 1 holds no finite number" },
    { "multi:softprob", "3", "5E-1", "0 0 -Infinity", "node 0 of tree 2 holds no finite number" },
    { "multi:softprob", "3", "5E-1", "0 Inf 0", "broken" },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (file); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_null (booster (file[i].objective, file[i].n_classes, file[i].base_score, file[i].leaf, &error));
    g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
    g_assert_nonnull (strstr (error->message, file[i].says));
  }
}

/* What XGBoost could have written, and did not. */
static void
test_lies (void)
{
#define HEAD(objective, booster, names)                                                                                \
  "{\"learner\":{\"attributes\":{},\"feature_names\":" names ",\"objective\":{\"name\":\"" objective "\"},"            \
  "\"learner_model_param\":{\"base_score\":\"5E-1\",\"num_class\":\"2\"},\"gradient_booster\":{\"name\":\"" booster    \
  "\",\"model\":{\"tree_info\":[0],\"trees\":["
#define TREE(left, right, feature)                                                                                     \
  "{\"left_children\":[" left ",-1,-1],\"right_children\":[" right ",-1,-1],\"split_indices\":[" feature ",0,0],"      \
  "\"split_conditions\":[1E0,2,-3.5E-1],\"default_left\":[1,0,0]}"
/* With multi_strategy = multi_output_tree: a number a class in each leaf, as 2.1 writes it. */
#define VECTOR_TREE                                                                                                    \
  "{\"left_children\":[1,-1,-1],\"right_children\":[2,-1,-1],\"split_indices\":[0,0,0],"                               \
  "\"split_conditions\":[1E0,NaN,NaN],\"default_left\":[1,0,0],\"base_weights\":[0,0,1,-1,2,-2],"                      \
  "\"tree_param\":{\"size_leaf_vector\":\"2\"}}"
#define TAIL "]}}}}"
  static const struct {
    const char *json, *says;
  } file[] = {
    { HEAD ("multi:softprob", "gbtree", "[\"area_px\"]") TREE ("1", "2", "0") TAIL, NULL },
    { HEAD ("multi:softprob", "gbtree", "[]") TREE ("1", "2", "0") TAIL, "feature_names" },
    { HEAD ("multi:softprob", "gbtree", "[\"area_px\",\"area_px\"]") TREE ("1", "2", "0") TAIL, "two features" },
    { HEAD ("multi:softprob", "dart", "[\"area_px\"]") TREE ("1", "2", "0") TAIL, "gbtree" },
    { HEAD ("reg:squarederror", "gbtree", "[\"area_px\"]") TREE ("1", "2", "0") TAIL, "objective" },
    { HEAD ("multi:softprob", "gbtree", "[\"area_px\"]") TREE ("0", "2", "0") TAIL, "node 0 of tree 0" },
    { HEAD ("multi:softprob", "gbtree", "[\"area_px\"]") TREE ("1", "3", "0") TAIL, "node 0 of tree 0" },
    { HEAD ("multi:softprob", "gbtree", "[\"area_px\"]") TREE ("1", "2", "1") TAIL, "node 0 of tree 0" },
    { HEAD ("multi:softprob", "gbtree", "[\"area_px\"]") TREE ("1", "2", "0.5e99") TAIL, "node 0 of tree 0" },
    { HEAD ("multi:softprob", "gbtree", "[\"area_px\"]") "{}" TAIL, "left_children" },
    { HEAD ("multi:softprob", "gbtree", "[\"area_px\"]") "7" TAIL, "no class" },
    { HEAD ("multi:softprob", "gbtree", "[\"area_px\"]") VECTOR_TREE TAIL,
      "a leaf of tree 0 holds 2 numbers; train with multi_strategy = one_output_per_tree" },
    { "{}", "nothing that XGBoost" },
    { "{\"learner\":7}", "nothing that XGBoost" },
    { "{\"learner\":{", "broken" },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (file); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (GString) text = g_string_new (file[i].json);
    g_autofree char *folder = g_dir_make_tmp ("notch-xgboost-XXXXXX", NULL);
    g_autofree char *path = g_build_filename (folder, "m.json", NULL);
    g_assert_true (g_file_set_contents (path, text->str, (gssize) text->len, NULL));
    g_autoptr (NotchModel) model = notch_model_load (path, &error);
    if (file[i].says) {
      g_assert_null (model);
      g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
      g_assert_nonnull (strstr (error->message, file[i].says));
      g_assert_true (g_str_has_prefix (error->message, path));
    } else
      g_assert_no_error (error);
    g_remove (path);
    g_rmdir (folder);
  }
  g_autoptr (GString) deep = g_string_new (NULL);
  for (int i = 0; i < 100000; i++)
    g_string_append_c (deep, '[');
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = g_bytes_new (deep->str, deep->len);
  g_assert_null (notch_xgboost_model (bytes, "a file", &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/xgboost/base", test_base);
  g_test_add_func ("/xgboost/no-base", test_no_base);
  g_test_add_func ("/xgboost/lies", test_lies);
  return g_test_run ();
}
