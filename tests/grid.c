/* grid.c - the lattice of dice, what kind each is, and the frames of coordinates */
#include <math.h>

#include "inspect/wafer/coords.h"

static const NotchOutline no_outline = { .notch_angle = NAN };

static NotchRecipe *
make_recipe (double pitch_x, double pitch_y, double x, double y)
{
  NotchRecipe *recipe = notch_recipe_new ();
  recipe->dice.pitch_x_px = pitch_x;
  recipe->dice.pitch_y_px = pitch_y;
  recipe->dice.origin_x_px = x;
  recipe->dice.origin_y_px = y;
  return recipe;
}

static void
test_exact (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchRecipe) recipe = make_recipe (100.004, 50, -0.5, -0.5);
  g_autoptr (NotchGrid) grid = notch_grid_new (recipe, 800, 200, 0, &no_outline, &error);
  g_assert_no_error (error);
  g_assert_cmpint (grid->n_cols, ==, 8);
  g_assert_cmpint (grid->n_rows, ==, 4);
  g_assert_cmpint (notch_grid_count (grid, NOTCH_DIE_WHOLE), ==, 32);
  g_assert_cmpfloat (grid->sure, ==, 1);
  NotchDie *die = notch_grid_die (grid, 7, 3);
  g_assert_cmpfloat_with_epsilon (die->x, 700.028 - 0.5, 1e-9);
  g_assert_cmpfloat_with_epsilon (die->y, 149.5, 1e-9);
  g_assert_null (notch_grid_die (grid, 8, 0));
  g_assert_null (notch_grid_die (grid, 0, -1));
}

static void
test_partial (void)
{
  g_autoptr (NotchRecipe) recipe = make_recipe (100, 80, 29.5, 9.5);
  g_assert_true (notch_recipe_set (recipe, "dice.excluded=1,1;-1,-1", NULL));
  g_autoptr (NotchGrid) grid = notch_grid_new (recipe, 400, 300, 0, &no_outline, NULL);
  g_assert_cmpint (grid->first_col, ==, -1);
  g_assert_cmpint (grid->first_row, ==, -1);
  g_assert_cmpint (grid->n_cols, ==, 5);
  g_assert_cmpint (grid->n_rows, ==, 5);
  g_assert_cmpint (notch_grid_count (grid, NOTCH_DIE_WHOLE), ==, 3 * 3 - 1);
  g_assert_cmpint (notch_grid_count (grid, NOTCH_DIE_EXCLUDED), ==, 2);
  g_assert_cmpint (notch_grid_count (grid, NOTCH_DIE_PARTIAL), ==, 25 - 9 - 1);
  g_assert_cmpint (notch_grid_die (grid, 1, 1)->kind, ==, NOTCH_DIE_EXCLUDED);
  /* A cell owns its left and its lower border. */
  NotchDie *die = notch_grid_locate (grid, 129.5, 89.5);
  g_assert_true (die && die->col == 1 && die->row == 0);
  g_assert_null (notch_grid_locate (grid, 1e300, 0));
}

static void
test_wafer (void)
{
  g_autoptr (NotchRecipe) recipe = make_recipe (50, 50, -0.5, -0.5);
  recipe->wafer.edge_exclusion_mm = 1;
  NotchOutline outline = { .x = 499.5, .y = 499.5, .radius = 480, .notch_angle = NAN };
  g_autoptr (NotchGrid) grid = notch_grid_new (recipe, 1000, 1000, 100, &outline, NULL);
  for (guint i = 0; i < grid->die->len; i++) {
    const NotchDie *die = &g_array_index (grid->die, NotchDie, i);
    double far = 0;
    for (int k = 0; k < 4; k++)
      far = fmax (far, hypot (die->x + 50 * (k & 1) - 499.5, die->y + 50 * (k >> 1) - 499.5));
    g_assert_cmpint (die->kind == NOTCH_DIE_WHOLE, ==, far <= 470);
  }
  g_assert_cmpint (notch_grid_count (grid, NOTCH_DIE_OUTSIDE), >, 4);
  g_assert_cmpint (notch_grid_count (grid, NOTCH_DIE_PARTIAL), >, 20);
  /* Without a pixel size the diameter gives the scale. */
  recipe->wafer.diameter_mm = 200;
  g_assert_cmpfloat_with_epsilon (notch_outline_exclusion (&outline, recipe, 0), 1 / 200.0 * 960, 1e-9);
  /* 960 px of 0.5 um are no wafer. */
  g_assert_cmpfloat_with_epsilon (notch_outline_exclusion (&outline, recipe, 0.5), 1 / 200.0 * 960, 1e-9);
}

static void
test_errors (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchRecipe) none = notch_recipe_new ();
  g_assert_null (notch_grid_new (none, 100, 100, 0, &no_outline, &error));
  g_assert_no_error (error);
  g_autoptr (NotchRecipe) large = make_recipe (100, 150, 0, 0);
  g_assert_null (notch_grid_new (large, 120, 120, 0, &no_outline, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE);
  g_clear_error (&error);
  g_autoptr (NotchRecipe) many = make_recipe (8, 8, 0, 0);
  g_assert_null (notch_grid_new (many, 100000, 100000, 0, &no_outline, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE);
  g_clear_error (&error);
  g_autoptr (NotchRecipe) um = notch_recipe_new ();
  um->dice.pitch_x_um = um->dice.pitch_y_um = 40;
  g_assert_null (notch_grid_new (um, 200, 200, 0, &no_outline, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE);
  g_clear_error (&error);
  g_autoptr (NotchGrid) grid = notch_grid_new (um, 200, 200, 0.5, &no_outline, &error);
  g_assert_no_error (error);
  g_assert_cmpfloat (grid->ax, ==, 80);
}

/* A turned lattice: cells and points are inverse, and the wafer's x runs along the rows. */
static void
test_frames (void)
{
  g_autoptr (NotchRecipe) recipe = make_recipe (120, 90, 40, 30);
  recipe->dice.angle_mrad = 20;
  g_autoptr (NotchGrid) grid = notch_grid_new (recipe, 1500, 1000, 0.5, &no_outline, NULL);
  for (int i = 0; i < 200; i++) {
    double x = g_test_rand_double_range (200, 1300), y = g_test_rand_double_range (200, 800);
    NotchDie *die = notch_grid_locate (grid, x, y);
    g_assert_nonnull (die);
    double x_um = 0, y_um = 0, x2 = 0, y2 = 0;
    notch_die_to_um (grid, die, 0.5, x, y, &x_um, &y_um);
    g_assert_true (x_um >= 0 && x_um < 60 && y_um >= 0 && y_um < 45);
    notch_die_to_image (grid, die, 0.5, x_um, y_um, &x2, &y2);
    g_assert_cmpfloat_with_epsilon (x, x2, 1e-9);
    g_assert_cmpfloat_with_epsilon (y, y2, 1e-9);
  }
  static const double notch_at[4] = { -G_PI_2, G_PI, G_PI_2, 0 }; /* down, left, up, right; from +x, up */
  for (int mark = -1; mark < 4; mark++)
    for (int found = 0; found < 4; found++) {
      NotchOutline outline = { .x = 700, .y = 480, .radius = 450, .notch_angle = notch_at[found] - 0.02 };
      recipe->wafer.notch = mark;
      NotchFrame frame = notch_frame_new (recipe, grid, &outline, 1500, 1000, 0.5);
      g_assert_cmpint (frame.mark, ==, mark < 0 ? found : mark);
      /* The recipe's word counts more than what was found. The mark is at the wafer's bottom. */
      double angle = notch_at[frame.mark] - 0.02, x_um = 0, y_um = 0;
      notch_frame_to_wafer (&frame, 700 + 450 * cos (angle), 480 - 450 * sin (angle), &x_um, &y_um);
      g_assert_cmpfloat_with_epsilon (x_um, 0, 1e-9);
      g_assert_cmpfloat_with_epsilon (y_um, -225, 1e-9);
      double x = 0, y = 0;
      notch_frame_to_wafer (&frame, 12, 34, &x_um, &y_um);
      notch_frame_to_image (&frame, x_um, y_um, &x, &y);
      g_assert_cmpfloat_with_epsilon (x, 12, 1e-9);
      g_assert_cmpfloat_with_epsilon (y, 34, 1e-9);
    }
  recipe->wafer.notch = -1;
  NotchFrame frame = notch_frame_new (recipe, NULL, &no_outline, 101, 51, 0);
  double x_um = 0, y_um = 0;
  notch_frame_to_wafer (&frame, 60, 20, &x_um, &y_um);
  g_assert_cmpfloat (x_um, ==, 10);
  g_assert_cmpfloat (y_um, ==, 5);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/grid/exact", test_exact);
  g_test_add_func ("/grid/partial", test_partial);
  g_test_add_func ("/grid/wafer", test_wafer);
  g_test_add_func ("/grid/errors", test_errors);
  g_test_add_func ("/grid/frames", test_frames);
  return g_test_run ();
}
