/* limits.c - verdicts and their reasons */
#include "inspect/classify/limits.h"

#include <string.h>

/* An image of 10 000 x 10 000 px of 1 µm, 1 cm^2, with 17 defects: 12 particles, 4 scratches, 1 other. Of its three
 * dice the middle one has most, and the last one failed. */
typedef struct {
  NotchRecipe *recipe;
  NotchResult *result;
  gint64 class_count[3];
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  static const NotchDie dice[] = { { .col = -1, .n_defects = 3 },
                                   { .col = 0, .row = 2, .n_defects = 9 },
                                   { .col = 1, .n_defects = 5, .failed = TRUE } };
  NotchResult *result = fixture->result = g_new0 (NotchResult, 1);

  fixture->recipe = notch_recipe_new ();
  fixture->class_count[0] = 12;
  fixture->class_count[1] = 4;
  fixture->class_count[2] = 1;
  result->recipe = fixture->recipe;
  result->pixel_um = 1;
  result->pixel_known = TRUE;
  result->inspected_px = 100000000;
  result->grid = g_new0 (NotchGrid, 1);
  result->grid->die = g_array_new (FALSE, FALSE, sizeof (NotchDie));
  g_array_append_vals (result->grid->die, dice, G_N_ELEMENTS (dice));
  result->defect = g_array_new (FALSE, TRUE, sizeof (NotchDefect));
  g_array_set_size (result->defect, 17);
  result->class_name = g_ptr_array_new ();
  g_ptr_array_add (result->class_name, (char *) "particle");
  g_ptr_array_add (result->class_name, (char *) "scratch");
  g_ptr_array_add (result->class_name, (char *) "other");
  result->class_count = fixture->class_count;
  result->reason = g_ptr_array_new_with_free_func (g_free);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  NotchResult *result = fixture->result;

  g_array_unref (result->defect);
  g_ptr_array_unref (result->class_name);
  g_ptr_array_unref (result->reason);
  g_clear_pointer (&result->grid, notch_grid_free);
  g_free (result);
  notch_recipe_free (fixture->recipe);
}

static void
add_class_limit (NotchRecipe *recipe, const char *name, gint64 most)
{
  NotchClassLimit *limit = g_new0 (NotchClassLimit, 1);
  limit->name = g_strdup (name);
  limit->most = most;
  g_ptr_array_add (recipe->limits.per_class, limit);
}

/* Judges; the reasons, one after the other with a bar between, must be these. */
static void
expect (NotchResult *result, NotchVerdict verdict, const char *reasons)
{
  g_autoptr (GString) all = g_string_new (NULL);

  result->verdict = NOTCH_VERDICT_PASS;
  g_ptr_array_set_size (result->reason, 0);
  notch_limits_judge (result);
  for (guint i = 0; i < result->reason->len; i++)
    g_string_append_printf (all, "%s%s", i > 0 ? "|" : "", (const char *) result->reason->pdata[i]);
  g_test_message ("%s", all->str);
  g_assert_cmpint (result->verdict, ==, verdict);
  g_assert_true (g_pattern_match_simple (reasons, all->str));
}

static void
test_none (Fixture *fixture, gconstpointer data)
{
  expect (fixture->result, NOTCH_VERDICT_PASS, "");
  fixture->result->pixel_known = FALSE; /* without a limit nothing is missed */
  g_clear_pointer (&fixture->result->grid, notch_grid_free);
  expect (fixture->result, NOTCH_VERDICT_PASS, "");
}

static void
test_defects (Fixture *fixture, gconstpointer data)
{
  fixture->recipe->limits.defects = 17;
  expect (fixture->result, NOTCH_VERDICT_PASS, "");
  fixture->recipe->limits.defects = 10;
  expect (fixture->result, NOTCH_VERDICT_REJECT, "17 defects, at most 10 allowed");
  fixture->recipe->limits.defects = 0;
  g_array_set_size (fixture->result->defect, 1);
  expect (fixture->result, NOTCH_VERDICT_REJECT, "1 defect, at most 0 allowed");
  g_array_set_size (fixture->result->defect, 0);
  expect (fixture->result, NOTCH_VERDICT_PASS, "");
}

static void
test_dice (Fixture *fixture, gconstpointer data)
{
  fixture->recipe->limits.defects_per_die = 9;
  fixture->recipe->limits.failed_dice = 1;
  expect (fixture->result, NOTCH_VERDICT_PASS, "");
  fixture->recipe->limits.defects_per_die = 3.5;
  expect (fixture->result, NOTCH_VERDICT_REJECT,
          "dice with too many defects: 2; die (0, 2) has most, 9, at most 3.5 allowed");
  fixture->recipe->limits.failed_dice = 0;
  expect (fixture->result, NOTCH_VERDICT_REJECT, "dice with too many*|1 failed die, at most 0 allowed");
  g_clear_pointer (&fixture->result->grid, notch_grid_free);
  expect (fixture->result, NOTCH_VERDICT_TROUBLE, "the image has no dice*");
}

static void
test_density (Fixture *fixture, gconstpointer data)
{
  fixture->recipe->limits.density_per_cm2 = 17;
  expect (fixture->result, NOTCH_VERDICT_PASS, "");
  fixture->result->pixel_um = 0.5;
  expect (fixture->result, NOTCH_VERDICT_REJECT, "68 defects per cm², at most 17 allowed");
  fixture->result->inspected_px = 0;
  expect (fixture->result, NOTCH_VERDICT_TROUBLE, "nothing was inspected*");
  fixture->result->pixel_known = FALSE;
  expect (fixture->result, NOTCH_VERDICT_TROUBLE, "the pixel size is not known*");
}

static void
test_classes (Fixture *fixture, gconstpointer data)
{
  add_class_limit (fixture->recipe, "particle", 12);
  add_class_limit (fixture->recipe, "scratch", -1);
  expect (fixture->result, NOTCH_VERDICT_PASS, "");
  add_class_limit (fixture->recipe, "other", 0);
  fixture->class_count[0] = 13;
  expect (fixture->result, NOTCH_VERDICT_REJECT,
          "13 defects of class particle, at most 12 allowed|1 defect of class other, at most 0 allowed");
}

static void
test_drift (Fixture *fixture, gconstpointer data)
{
  static const NotchDrift drift[] = { { (char *) "area_px", 0.1 }, { (char *) "fill", 0.25 }, { (char *) "class", 0 } };
  fixture->recipe->limits.drift = 0.25;
  expect (fixture->result, NOTCH_VERDICT_TROUBLE, "no model tells what it learned from*");
  fixture->result->drift = g_array_new (FALSE, FALSE, sizeof (NotchDrift));
  g_array_append_vals (fixture->result->drift, drift, G_N_ELEMENTS (drift));
  expect (fixture->result, NOTCH_VERDICT_PASS, "");
  fixture->recipe->limits.drift = 0.2;
  expect (fixture->result, NOTCH_VERDICT_REJECT,
          "fill has drifted by 0.25 from what the model learned from, at most 0.2 allowed");
  g_array_unref (fixture->result->drift);
}

/* Every limit has its say, and trouble outweighs a reject. */
static void
test_all (Fixture *fixture, gconstpointer data)
{
  fixture->recipe->limits.defects = 1;
  fixture->recipe->limits.defects_per_die = 1;
  fixture->recipe->limits.density_per_cm2 = 1;
  add_class_limit (fixture->recipe, "scratch", 0);
  expect (fixture->result, NOTCH_VERDICT_REJECT, "17 defects, *|dice with *|17 defects per *|4 defects of class*");
  fixture->result->pixel_known = FALSE;
  expect (fixture->result, NOTCH_VERDICT_TROUBLE, "17 defects, *|dice with *|the pixel size *|4 defects of class*");
}

static void
test_trouble (Fixture *fixture, gconstpointer data)
{
  fixture->recipe->limits.defects = 0;
  fixture->result->verdict = NOTCH_VERDICT_TROUBLE;
  g_ptr_array_add (fixture->result->reason, g_strdup ("it is broken"));
  notch_limits_judge (fixture->result);
  g_assert_cmpint (fixture->result->verdict, ==, NOTCH_VERDICT_TROUBLE);
  g_assert_cmpuint (fixture->result->reason->len, ==, 1);
}

static void
test_check (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  add_class_limit (fixture->recipe, "scratch", 3);
  g_assert_true (notch_limits_check (fixture->recipe, fixture->result->class_name, &error));
  g_assert_no_error (error);
  add_class_limit (fixture->recipe, "scratches", 3);
  g_assert_false (notch_limits_check (fixture->recipe, fixture->result->class_name, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE);
  g_assert_cmpstr (
      error->message, ==,
      "[limits] class.scratches: no rule or model of [classify] gives this class; classes are particle, scratch, "
      "other");
}

#define ADD(name, test) g_test_add ("/limits/" name, Fixture, NULL, set_up, test, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("none", test_none);
  ADD ("defects", test_defects);
  ADD ("dice", test_dice);
  ADD ("density", test_density);
  ADD ("classes", test_classes);
  ADD ("drift", test_drift);
  ADD ("all", test_all);
  ADD ("trouble", test_trouble);
  ADD ("check", test_check);
  return g_test_run ();
}
