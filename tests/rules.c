/* rules.c - expressions, their errors, and classes */
#include "inspect/classify/rules.h"

#include <locale.h>
#include <math.h>
#include <string.h>

static double value[NOTCH_N_FEATURES];

static void
reset_values (void)
{
  for (int i = 0; i < NOTCH_N_FEATURES; i++)
    value[i] = NAN;
  value[NOTCH_FEATURE_AREA] = 12;
  value[NOTCH_FEATURE_ELONGATION] = 4;
  value[NOTCH_FEATURE_CONTRAST] = -8;
  value[NOTCH_FEATURE_SIZE_UM] = 2.5;
}

static double
result_of (const char *text)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchExpression) expression = notch_expression_new (text, &error);

  g_assert_no_error (error);
  g_assert_nonnull (expression);
  return notch_expression_value (expression, value);
}

static void
test_values (void)
{
  static const struct {
    const char *text;
    double value;
  } cases[] = { { "1", 1 },
                { " 0.5 ", 0.5 },
                { ".25", 0.25 },
                { "1e3", 1000 },
                { "2 + 3 * 4", 14 },
                { "(2 + 3) * 4", 20 },
                { "10 - 4 - 3", 3 },
                { "16 / 4 / 2", 2 },
                { "-2 * -3", 6 },
                { "--5", 5 },
                { "2 - -3", 5 },
                { "-elongation + 5", 1 },
                { "area_px", 12 },
                { "area_px/elongation", 3 },
                { "abs (contrast)", 8 },
                { "sqrt(elongation)", 2 },
                { "log (1)", 0 },
                { "min (area_px, elongation)", 4 },
                { "max (area_px, max (1, 20))", 20 },
                { "1 < 2", 1 },
                { "2 < 2", 0 },
                { "2 <= 2", 1 },
                { "3 > 2", 1 },
                { "2 >= 3", 0 },
                { "2 == 2", 1 },
                { "2 != 2", 0 },
                { "1 + 1 == 2", 1 },
                { "1 || 0 && 0", 1 },
                { "(1 || 0) && 0", 0 },
                { "!0", 1 },
                { "!3 < 2", 1 },  /* of the comparison, not of 3 */
                { "!1 || 1", 1 }, /* of the 1 alone */
                { "!!7", 1 },
                { "!(1 && 0)", 1 },
                { "elongation > 3 && size_um < 10 && contrast < 0", 1 },
                { "(1 < 2) + (3 > 2) + (1 > 2)", 2 },
                { "\t7\n", 7 } };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_test_message ("%s", cases[i].text);
    g_assert_cmpfloat (result_of (cases[i].text), ==, cases[i].value);
  }
}

/* x_px is NAN here. */
static void
test_nan (void)
{
  static const char *const is_false[] = { "x_px < 1",          "x_px <= 1",     "x_px > 1",  "x_px >= 1",
                                          "x_px == x_px",      "x_px != 1",     "1 != x_px", "min (x_px, 1) < 2",
                                          "max (1, x_px) > 0", "x_px && 1",     "x_px || 0", "sqrt (-1) > 0",
                                          "log (-1) < 0",      "0 / 0 == 0 / 0" };

  for (gsize i = 0; i < G_N_ELEMENTS (is_false); i++) {
    g_test_message ("%s", is_false[i]);
    g_assert_cmpfloat (result_of (is_false[i]), ==, 0);
  }
  g_assert_cmpfloat (result_of ("!(x_px < 1)"), ==, 1);
  g_assert_cmpfloat (result_of ("x_px < 1 || elongation == 4"), ==, 1);
  g_assert_true (isnan (result_of ("x_px + 1")));
  g_assert_true (isinf (result_of ("1 / 0")));
}

static void
test_errors (void)
{
  static const struct {
    const char *text, *message;
  } cases[] = { { "", "column 1: the end is too early; *" },
                { "1 +", "column 4: the end is too early; here stands a number, *" },
                { "elongation > ", "column 14: *" },
                { "* 3", "column 1: \"*\" is out of place; *" },
                { "1 + µ", "column 5: \"µ\" is out of place; *" },
                { "µ > 1", "column 1: *" },
                { "1 < 2 < 3", "column 7: comparisons do not chain; *&&*" },
                { "(1 + 2", "column 1: *never closed*" },
                { "1 + 2)", "column 6: \")\" is left over; *" },
                { "1 2", "column 3: \"2\" is left over; *" },
                { "contrast = 3", "column 10: \"= 3\" is left over; *==*" },
                { "1 & 1", "column 3: \"& 1\" is left over; *&&*" },
                { "sise_um > 1", "column 1: \"sise_um\" is unknown (did you mean \"size_um\"?); columns are x_px, *" },
                { "1 < elongaton",
                  "column 5: \"elongaton\" is unknown (did you mean \"elongation\"?*, film_snr; functions "
                  "are abs, sqrt, log, min, max" },
                { "snr > 1", "column 1: \"snr\" is unknown (did you mean \"peak_snr\"?*" },
                { "qqq > 1", "column 1: \"qqq\" is unknown; columns are *" },
                { "min (1)", "column 7: min takes 2 arguments*" },
                { "min 1", "column 5: ( is missing after the function min" },
                { "abs (1, 2)", "column 7: ) is missing after 1 argument of abs" },
                { "max (1, 2", "column 10: ) is missing after 2 arguments of max" },
                { "1e999", "column 1: the number is too large" },
                { "1 + \xff", "column 5: this is no UTF-8 text" },
                { "1 + !1", "column 5: \"!\" is out of place; *" } };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_null (notch_expression_new (cases[i].text, &error));
    g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE);
    g_test_message ("%s", error->message);
    g_assert_true (g_pattern_match_simple (cases[i].message, error->message));
    g_assert_null (strchr (error->message, '\n'));
  }
}

static char *
repeat (const char *text, int n)
{
  GString *all = g_string_new (NULL);
  for (int i = 0; i < n; i++)
    g_string_append (all, text);
  return g_string_free (all, FALSE);
}

/* Nesting is refused where it gets deep, whichever way; width is not limited. */
static void
test_hostile (void)
{
  static const char *const openers[] = { "(", "-", "!", "abs (", "min (1, ", "0 || 0 && 0 < 0 + 1 * (", "1 - (-(" };

  for (gsize i = 0; i < G_N_ELEMENTS (openers); i++) {
    g_autofree char *deep = repeat (openers[i], 200000);
    g_autoptr (GError) error = NULL;
    g_assert_null (notch_expression_new (deep, &error));
    g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE);
    g_assert_true (g_pattern_match_simple ("column *: nested deeper than 32 levels; *", error->message));
  }
  /* the deepest that is taken, with an operand waiting for every operator */
  g_autofree char *open = repeat ("0 || 1 && 0 < 1 + 1 * max (0, ", 32), *close = repeat (")", 32);
  g_autofree char *deepest = g_strdup_printf ("%s0 || 1 && 0 < 1 + 1 * 1%s", open, close);
  g_assert_cmpfloat (result_of (deepest), ==, 1);

  g_autofree char *sum = repeat ("1 + ", 100000), *wide = g_strdup_printf ("%s1", sum);
  g_assert_cmpfloat (result_of (wide), ==, 100001);
}

/* No text may do harm; what compiles can be evaluated. */
static void
test_noise (void)
{
  static const char *const piece[] = { "(", ")",  "-",   "!",     "<",   "<=",     "==",      "&&",      "||",
                                       "+", "*",  "/",   ",",     "1",   ".",      "2.",      "e5",      " ",
                                       "=", "&",  "abs", "min (", "max", "sqrt (", "log",     "line",    "xy",
                                       "µ", "\n", "0x",  "_",     "nan", "inf",    "area_px", "contrast" };
  g_autoptr (GRand) rand = g_rand_new_with_seed (6);
  int n_good = 0;

  for (int trial = 0; trial < 20000; trial++) {
    g_autoptr (GString) text = g_string_new (NULL);
    for (int n = g_rand_int_range (rand, 0, 9); n > 0; n--)
      g_string_append (text, piece[g_rand_int_range (rand, 0, G_N_ELEMENTS (piece))]);
    g_autoptr (GError) error = NULL;
    g_autoptr (NotchExpression) expression = notch_expression_new (text->str, &error);
    g_assert_true ((expression == NULL) == (error != NULL));
    if (expression != NULL) {
      n_good++;
      notch_expression_value (expression, value);
    }
  }
  g_assert_cmpint (n_good, >, 100);
}

/* Numbers are written with a point whatever the locale. */
static void
test_locale (void)
{
  if (!setlocale (LC_NUMERIC, "de_DE.UTF-8")) {
    g_test_skip ("the locale de_DE.UTF-8 is not installed");
    return;
  }
  g_assert_cmpfloat (result_of ("max (1.5, 0)"), ==, 1.5);
  setlocale (LC_NUMERIC, "C");
}

/* ---- rules ----------------------------------------------------------------------------------------------------- */

static NotchRecipe *
recipe_of (const char *const rules[][2])
{
  NotchRecipe *recipe = notch_recipe_new ();
  g_ptr_array_set_size (recipe->classify.rule, 0);
  for (int i = 0; rules[i][0] != NULL; i++) {
    NotchRule *rule = g_new0 (NotchRule, 1);
    rule->name = g_strdup (rules[i][0]);
    rule->expression = g_strdup (rules[i][1]);
    g_ptr_array_add (recipe->classify.rule, rule);
  }
  return recipe;
}

static NotchRules *
rules_of (const char *const list[][2])
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchRecipe) recipe = recipe_of (list);
  NotchRules *rules = notch_rules_new (recipe, &error);
  g_assert_no_error (error);
  return rules;
}

static void
test_classes (void)
{
  static const char *const list[][2] = {
    { "long", "elongation > 4" }, { "big", "area_px > 10" }, { "dark", "contrast < 0" }, { NULL, NULL }
  };
  g_autoptr (NotchRules) rules = rules_of (list);
  g_autoptr (GPtrArray) names = notch_rules_class_names (rules);
  double confidence = 0;

  g_assert_cmpuint (names->len, ==, 4);
  g_assert_cmpstr (names->pdata[0], ==, "long");
  g_assert_cmpstr (names->pdata[3], ==, "other");

  g_assert_cmpint (notch_rules_classify (rules, value, &confidence), ==, 1); /* not long by a hair */
  g_assert_cmpfloat (confidence, ==, 0.5);
  value[NOTCH_FEATURE_ELONGATION] = 12;
  g_assert_cmpint (notch_rules_classify (rules, value, &confidence), ==, 0);
  g_assert_cmpfloat (confidence, ==, 1);
  value[NOTCH_FEATURE_ELONGATION] = 5;
  g_assert_cmpint (notch_rules_classify (rules, value, &confidence), ==, 0);
  g_assert_cmpfloat (confidence, ==, 0.5 + 1.0 / 9);
  value[NOTCH_FEATURE_ELONGATION] = 1;
  g_assert_cmpint (notch_rules_classify (rules, value, &confidence), ==, 1); /* surely not long, hardly big */
  g_assert_cmpfloat (confidence, ==, 0.5 + 2.0 / 22);
  value[NOTCH_FEATURE_AREA] = 1;
  g_assert_cmpint (notch_rules_classify (rules, value, &confidence), ==, 2);
  g_assert_cmpfloat (confidence, ==, 1);
  value[NOTCH_FEATURE_CONTRAST] = 8;
  g_assert_cmpint (notch_rules_classify (rules, value, &confidence), ==, 3);
  g_assert_cmpfloat (confidence, ==, 1);
  value[NOTCH_FEATURE_ELONGATION] = NAN; /* who knows */
  g_assert_cmpint (notch_rules_classify (rules, value, &confidence), ==, 3);
  g_assert_cmpfloat (confidence, ==, 0.5);
  reset_values ();
}

/* The degree of single expressions, by way of a rule of their own. */
static void
test_confidence (void)
{
  static const struct {
    const char *text;
    gboolean holds;
    double confidence;
  } cases[] = { { "1 < 3", TRUE, 1 },
                { "3 < 5", TRUE, 0.75 },
                { "5 < 3", FALSE, 0.75 },
                { "-1 < 1", TRUE, 1 },
                { "3 < 3", FALSE, 0.5 },
                { "3 <= 3", TRUE, 0.5 },
                { "0 >= 0", TRUE, 0.5 },
                { "2 == 2", TRUE, 1 },
                { "2 != 2", FALSE, 1 },
                { "1 / 0 > 5", TRUE, 1 },
                { "3 < 5 && 1 < 9", TRUE, 0.75 },
                { "3 < 5 && 9 < 1", FALSE, 1 },
                { "5 < 3 || 9 < 1", FALSE, 0.75 },
                { "5 < 3 || 1 < 9", TRUE, 1 },
                { "!(5 < 3)", TRUE, 0.75 },
                { "x_px > 1", FALSE, 0.5 },
                { "!(x_px > 1)", TRUE, 0.5 },
                { "x_px > 1 || 1 < 9", TRUE, 1 },
                { "x_px", FALSE, 0.5 },
                { "7", TRUE, 1 } };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    const char *const list[][2] = { { "one", cases[i].text }, { NULL, NULL } };
    g_autoptr (NotchRules) rules = rules_of (list);
    double confidence = 0;
    g_test_message ("%s", cases[i].text);
    g_assert_cmpint (notch_rules_classify (rules, value, &confidence), ==, cases[i].holds ? 0 : 1);
    g_assert_cmpfloat (confidence, ==, cases[i].confidence);
  }
}

/* Whatever the rules and the numbers, a decision is at least as clear as a coin on its edge. */
static void
test_at_least_half (void)
{
  static const char *const list[][2] = { { "a", "x_px < y_px && !(flux >= edge || fill < line)" },
                                         { "b", "!(x_px < 2 * flux) || edge == fill || fill" },
                                         { "c", "min (x_px, flux) > edge - fill && line" },
                                         { NULL, NULL } };
  g_autoptr (NotchRules) rules = rules_of (list);
  g_autoptr (GRand) rand = g_rand_new_with_seed (7);
  int seen[4] = { 0 };

  for (int trial = 0; trial < 20000; trial++) {
    for (int i = 0; i < NOTCH_N_FEATURES; i++)
      value[i] = g_rand_int_range (rand, 0, 10) == 0 ? NAN : g_rand_int_range (rand, -4, 5);
    double confidence = 0;
    seen[notch_rules_classify (rules, value, &confidence)]++;
    g_assert_cmpfloat (confidence, >=, 0.5);
    g_assert_cmpfloat (confidence, <=, 1);
  }
  for (int i = 0; i < 4; i++)
    g_assert_cmpint (seen[i], >, 0);
  reset_values ();
}

static void
test_bad_rules (void)
{
  static const struct {
    const char *rules[3][2], *message;
  } cases[] = {
    { { { "dirt", "size > 3" } }, "*class.dirt = size > 3: column 1: \"size\" is unknown*size_um*" },
    { { { "other", "1" } }, "*class.other*choose another name" },
    { { { "a", "1" }, { "a", "2" } }, "*class.a = 2: there are two rules of this name*" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (NotchRecipe) recipe = recipe_of (cases[i].rules);
    g_assert_null (notch_rules_new (recipe, &error));
    g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE);
    g_test_message ("%s", error->message);
    g_assert_true (g_pattern_match_simple (cases[i].message, error->message));
  }
  const char *const one[][2] = { { "dirt", "1 +" }, { NULL, NULL } };
  g_autoptr (NotchRecipe) recipe = recipe_of (one);
  g_autoptr (GError) error = NULL;
  g_free (recipe->path);
  recipe->path = g_strdup ("wafer.ini");
  g_assert_null (notch_rules_new (recipe, &error));
  g_assert_true (g_str_has_prefix (error->message, "wafer.ini: [classify] class.dirt = 1 +: column 4: "));
}

static const char *
default_class (NotchRules *rules, double width, double height, double elongation, double contrast, double scale,
               double line, double bipolarity)
{
  double confidence = 0;
  g_autoptr (GPtrArray) names = notch_rules_class_names (rules);

  value[NOTCH_FEATURE_WIDTH] = width;
  value[NOTCH_FEATURE_HEIGHT] = height;
  value[NOTCH_FEATURE_ELONGATION] = elongation;
  value[NOTCH_FEATURE_CONTRAST] = contrast;
  value[NOTCH_FEATURE_SCALE_PX] = scale;
  value[NOTCH_FEATURE_LINE] = line;
  value[NOTCH_FEATURE_BIPOLARITY] = bipolarity;
  return g_intern_string (names->pdata[notch_rules_classify (rules, value, &confidence)]);
}

/* What a recipe has by default compiles. */
static void
test_recipe (void)
{
  g_autoptr (NotchRecipe) recipe = notch_recipe_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchRules) rules = notch_rules_new (recipe, &error);

  g_assert_no_error (error);
  g_autoptr (GPtrArray) names = notch_rules_class_names (rules);
  g_assert_cmpuint (names->len, ==, recipe->classify.rule->len + 1);
}

static void
test_default (void)
{
  g_autoptr (NotchRecipe) recipe = notch_recipe_new ();
  g_autoptr (NotchRules) rules = notch_rules_new (recipe, NULL);

  g_assert_cmpstr (default_class (rules, 40, 3, 14, 20, 0.7, 1, 0), ==, "scratch");
  g_assert_cmpstr (default_class (rules, 14, 14, 6, -20, 0.7, 0, 0.1), ==, "scratch");
  g_assert_cmpstr (default_class (rules, 4, 1, 4, 20, 0.7, 0, 0), ==, "particle"); /* long for its width, yet tiny */
  g_assert_cmpstr (default_class (rules, 22, 19, 1.2, -3, 7, 0, 0), ==, "stain");
  g_assert_cmpstr (default_class (rules, 3, 3, 1.1, -30, 0.7, 0, 0), ==, "pit");
  g_assert_cmpstr (default_class (rules, 3, 3, 1.1, 30, 0.7, 0, 0), ==, "particle");
  g_assert_cmpstr (default_class (rules, 7, 7, 1.1, -30, 2.6, 0, 0), ==, "particle");
  g_assert_cmpstr (default_class (rules, 5, 4, 1.3, 1, 1, 0, 0.9), ==, "other");
  g_assert_cmpstr (default_class (rules, NAN, NAN, NAN, NAN, NAN, NAN, NAN), ==, "other");
  reset_values ();
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  reset_values ();
  g_test_add_func ("/rules/values", test_values);
  g_test_add_func ("/rules/nan", test_nan);
  g_test_add_func ("/rules/errors", test_errors);
  g_test_add_func ("/rules/hostile", test_hostile);
  g_test_add_func ("/rules/noise", test_noise);
  g_test_add_func ("/rules/locale", test_locale);
  g_test_add_func ("/rules/classes", test_classes);
  g_test_add_func ("/rules/confidence", test_confidence);
  g_test_add_func ("/rules/at-least-half", test_at_least_half);
  g_test_add_func ("/rules/bad", test_bad_rules);
  g_test_add_func ("/rules/default", test_default);
  g_test_add_func ("/rules/recipe", test_recipe);
  return g_test_run ();
}
