/* discover.c - the grid of dice, from drawn images alone: pitch, angle, origin, and when there is none */
#include "inspect/wafer/discover.h"

#include <glib/gstdio.h>
#include <string.h>

#include "inspect/image/write.h"
#include "inspect/wafer/period.h"
#include "tests/few.h"
#include "tests/scene.h"

static char *folder;

/* Writes an image of a scene's size to a file; freed and removed by the caller. */
static char *
write_image (const Scene *scene, const float *image, double pixel_um)
{
  g_autofree guint8 *row = g_new (guint8, scene->width);
  char *path = g_build_filename (folder, "scene.tif", NULL);
  g_autoptr (GError) error = NULL;
  NotchTiffLayout layout = { scene->width, scene->height, NOTCH_SAMPLE_U8, 8, pixel_um, FALSE, NULL, 1 };
  g_autoptr (NotchTiffWriter) writer = notch_tiff_writer_new (path, &layout, &error);
  g_assert_no_error (error);
  for (int y = 0; y < scene->height; y++) {
    for (int x = 0; x < scene->width; x++)
      row[x] = (guint8) image[(gsize) y * scene->width + x];
    g_assert_true (notch_tiff_writer_rows (writer, row, 1, &error));
  }
  g_assert_true (notch_tiff_writer_commit (writer, &error));
  return path;
}

static char *
write_scene (const Scene *scene, double pixel_um)
{
  g_autofree float *image = scene_draw (scene);
  return write_image (scene, image, pixel_um);
}

static NotchRecipe *
discover (const Scene *scene, const NotchRecipe *base, double pixel_um, char **report)
{
  g_autofree char *path = write_scene (scene, pixel_um);
  g_autoptr (GError) error = NULL;
  NotchRecipe *recipe = notch_recipe_discover (path, 0, base, report, &error);
  g_assert_no_error (error);
  g_remove (path);
  return recipe;
}

/* The distance of a point from the nearest corner of dice, cells times px, along x and y. */
static void
check_origin (const Scene *scene, const NotchRecipe *recipe, double tolerance)
{
  double u = recipe->dice.origin_x_px - scene->x, v = recipe->dice.origin_y_px - scene->y;
  double c = cos (scene->angle), s = sin (scene->angle);
  g_assert_cmpfloat (fabs (remainder (c * u + s * v, scene->pitch_x)), <, tolerance);
  g_assert_cmpfloat (fabs (remainder (c * v - s * u, scene->pitch_y)), <, tolerance);
}

static void
check (const Scene *scene, double pitch, double angle_mrad, double origin)
{
  g_autofree char *report = NULL;
  g_autoptr (NotchRecipe) recipe = discover (scene, NULL, 0, &report);
  g_test_message ("%s", report);
  g_assert_cmpfloat_with_epsilon (recipe->dice.pitch_x_px, scene->pitch_x, pitch);
  g_assert_cmpfloat_with_epsilon (recipe->dice.pitch_y_px, scene->pitch_y, pitch);
  g_assert_cmpfloat_with_epsilon (recipe->dice.angle_mrad, scene->angle * 1000, angle_mrad);
  check_origin (scene, recipe, origin);
}

static const Scene plain = {
  .width = 1280,
  .height = 1280,
  .pitch_x = 160,
  .pitch_y = 160,
  .x = -0.5,
  .y = -0.5,
  .noise = 3,
  .vignetting = 0.15,
  .seed = 1,
};

/* Without jitter the pitch is known to a thousandth of a pixel; with it, as well as the mean over the dice allows: the
 * slope of 8 x 8 dice that are off by 0.2 px has a standard deviation of 0.2 / sqrt (8 * 42) = 0.011 px. */
static void
test_exact (void)
{
  for (SceneLayout layout = SCENE_MIXED; layout <= SCENE_TWINS; layout++) {
    Scene scene = plain;
    scene.layout = layout;
    check (&scene, layout == SCENE_BLANK ? 0.01 : 0.002, 0.05, 0.3);
    scene.jitter = 0.2;
    check (&scene, 0.035, 0.3, 0.5);
  }
}

/* Pitches that are no whole numbers, another one each way, the first die anywhere. */
static void
test_uneven (void)
{
  for (SceneLayout layout = SCENE_MIXED; layout <= SCENE_TWINS; layout++) {
    Scene scene = plain;
    scene.layout = layout;
    scene.pitch_x = 210.37;
    scene.pitch_y = 130.61;
    scene.x = 33;
    scene.y = 70;
    check (&scene, 0.01, 0.05, 1);
  }
}

static void
test_turned (void)
{
  static const double angle[] = { 0.002, -0.012, 0.03 };
  for (gsize i = 0; i < G_N_ELEMENTS (angle); i++) {
    Scene scene = plain;
    scene.pitch_x = 210.37;
    scene.pitch_y = 130.61;
    scene.angle = angle[i];
    check (&scene, 0.01, 0.05, 1.5);
  }
}

static void
test_sizes (void)
{
  Scene scene = plain;
  scene.pitch_x = 64;
  scene.pitch_y = 70;
  check (&scene, 0.002, 0.05, 0.5);
  scene.pitch_x = 33.4;
  scene.pitch_y = 40;
  check (&scene, 0.002, 0.05, 0.5);
  scene.pitch_x = 640;
  scene.pitch_y = 427;
  check (&scene, 0.01, 0.1, 0.6);
  scene.noise = 15;
  check (&scene, 0.05, 0.2, 0.6);
}

/* Where nothing repeats there is no grid, and neither where only cells inside a die do. */
static void
test_none (void)
{
  Scene scene = plain;
  scene.layout = SCENE_RANDOM;
  Scene scenes[5] = { scene, plain, plain, plain, plain };
  scenes[1].layout = SCENE_FLAT;
  for (int i = 2; i < 5; i++) {
    scenes[i].pitch_x = 900;
    scenes[i].pitch_y = 950;
    scenes[i].layout = i == 2 ? SCENE_MIXED : i == 3 ? SCENE_ARRAY : SCENE_BLANK;
  }
  for (int i = 0; i < 5; i++) {
    g_autofree char *report = NULL;
    g_autoptr (NotchRecipe) recipe = discover (&scenes[i], NULL, 0, &report);
    g_test_message ("%s", report);
    g_assert_cmpfloat (recipe->dice.pitch_x_px, ==, 0);
    g_assert_true (isnan (recipe->dice.origin_x_px));
  }
}

/* A round wafer: outline, notch, diameter from the pixel size, and dice numbered from the first whole ones. */
static void
test_wafer (void)
{
  Scene scene = plain;
  scene.pitch_x = 90;
  scene.pitch_y = 75.5;
  scene.radius = 600;
  g_autofree char *report = NULL;
  g_autoptr (NotchRecipe) recipe = discover (&scene, NULL, 166.7, &report);
  g_test_message ("%s", report);
  g_assert_cmpfloat_with_epsilon (recipe->dice.pitch_x_px, 90, 0.01);
  g_assert_cmpfloat_with_epsilon (recipe->dice.pitch_y_px, 75.5, 0.01);
  check_origin (&scene, recipe, 1);
  g_assert_cmpfloat_with_epsilon (recipe->wafer.radius_px, 600, 1);
  g_assert_cmpfloat_with_epsilon (recipe->wafer.centre_x_px, 639.5, 1);
  g_assert_cmpfloat (recipe->wafer.diameter_mm, ==, 200);
  g_assert_cmpfloat_with_epsilon (recipe->wafer.pixel_um, 166.7, 0.01);
  g_assert_nonnull (strstr (report, "notch down"));
  g_assert_cmpint (recipe->wafer.notch, ==, 0);
  NotchOutline outline = { .x = 639.5, .y = 639.5, .radius = 600, .notch_angle = NAN };
  g_autoptr (NotchGrid) grid = notch_grid_new (recipe, 1280, 1280, recipe->wafer.pixel_um, &outline, NULL);
  int col = G_MAXINT, row = G_MAXINT;
  for (guint i = 0; i < grid->die->len; i++) {
    const NotchDie *die = &g_array_index (grid->die, NotchDie, i);
    if (die->kind == NOTCH_DIE_WHOLE) {
      col = MIN (col, die->col);
      row = MIN (row, die->row);
    }
  }
  g_assert_cmpint (col, ==, 0);
  g_assert_cmpint (row, ==, 0);
}

/* One row of dice, or one column: cells as high, or wide, as the image lets them be. */
static void
test_single (void)
{
  for (int k = 0; k < 4; k++) {
    Scene scene = plain;
    gboolean column = k & 1;
    scene.angle = k < 2 ? 0 : 0.02;
    scene.pitch_x = column ? 300 : 171.3;
    scene.pitch_y = column ? 171.3 : 300;
    scene.width = column ? 330 : 1280;
    scene.height = column ? 1280 : 330;
    g_autofree char *report = NULL;
    g_autoptr (NotchRecipe) recipe = discover (&scene, NULL, 0, &report);
    g_test_message ("%s", report);
    double along = column ? recipe->dice.pitch_y_px : recipe->dice.pitch_x_px;
    double across = column ? recipe->dice.pitch_x_px : recipe->dice.pitch_y_px;
    g_assert_cmpfloat_with_epsilon (along, 171.3, 0.01);
    g_assert_cmpfloat_with_epsilon (across, 330 - 1280 * scene.angle, 2);
    g_assert_cmpfloat_with_epsilon (recipe->dice.angle_mrad, 1000 * scene.angle, 0.1);
    NotchOutline outline = { .notch_angle = NAN };
    g_autoptr (NotchGrid) grid = notch_grid_new (recipe, scene.width, scene.height, 0, &outline, NULL);
    g_assert_cmpint (notch_grid_count (grid, NOTCH_DIE_WHOLE), >=, 6);
  }
}

/* What a recipe gives is kept; a pitch in µm is made exact, and its origin found. */
static void
test_given (void)
{
  Scene scene = plain;
  scene.x = 40;
  scene.y = 25;
  g_autoptr (NotchRecipe) base = notch_recipe_new ();
  base->dice.pitch_x_um = 80.1;
  base->dice.pitch_y_um = 79.95;
  g_autofree char *report = NULL;
  g_autoptr (NotchRecipe) recipe = discover (&scene, base, 0.5, &report);
  g_assert_cmpfloat_with_epsilon (recipe->dice.pitch_x_px, 160, 0.003);
  g_assert_cmpfloat_with_epsilon (recipe->dice.pitch_y_px, 160, 0.003);
  check_origin (&scene, recipe, 1);

  base->dice.pitch_x_um = base->dice.pitch_y_um = 0;
  base->dice.pitch_x_px = base->dice.pitch_y_px = 111.5;
  base->dice.origin_x_px = 3;
  base->dice.origin_y_px = 4;
  g_autoptr (NotchRecipe) kept = discover (&scene, base, 0.5, NULL);
  g_assert_cmpfloat (kept->dice.pitch_x_px, ==, 111.5);
  g_assert_cmpfloat (kept->dice.origin_y_px, ==, 4);
}

/* Two dice, which see each other once: their pitch is given, and where they begin is found. */
static void
test_pair (void)
{
  for (int k = 0; k < 2; k++) {
    Scene scene = plain;
    scene.width = k ? 160 : 320;
    scene.height = k ? 320 : 160;
    g_autoptr (NotchRecipe) base = notch_recipe_new ();
    base->dice.pitch_x_px = base->dice.pitch_y_px = 160;
    g_autofree char *report = NULL;
    g_autoptr (NotchRecipe) recipe = discover (&scene, base, 0, &report);
    g_test_message ("%s", report);
    g_assert_cmpfloat_with_epsilon (recipe->dice.pitch_x_px, 160, 0.1);
    g_assert_cmpfloat_with_epsilon (recipe->dice.pitch_y_px, 160, 0.1);
    check_origin (&scene, recipe, 1);
    g_assert_null (strstr (report, "inf"));
    g_assert_nonnull (strstr (report, "too few dice"));
  }
}

/* Resolution tags that no recipe may have, as of 1 dot an inch, are not believed: what is written can be read. */
static void
test_pixel (void)
{
  g_autofree char *report = NULL;
  g_autoptr (NotchRecipe) recipe = discover (&plain, NULL, 25400, &report);
  g_assert_cmpfloat (recipe->wafer.pixel_um, ==, 0);
  g_assert_nonnull (strstr (report, "25400 µm wide, which is not believed"));
  g_assert_nonnull (strstr (report, "pixel: size not known"));

  static const struct {
    double x, y, given, wanted;
    const char *warning;
  } cases[] = {
    { 0.5, 0.5, 0, 0.5, NULL },
    { 0.5, 0.502, 0, 0.5, NULL },
    { 0.5, 0, 0, 0.5, NULL },
    { 0, 0.5, 0, 0, NULL },
    { 0.5, 0.25, 2, 2, NULL },
    { 25400, 25400, 2, 2, NULL },
    { 1e-5, 1e-5, 0, 0, "1e-05 µm wide" },
    { INFINITY, 1, 0, 0, "inf" },
    { 0.5, 0.25, 0, 0.5, "0.5 µm wide and 0.25 µm high" },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (NotchRecipe) base = notch_recipe_new ();
    g_autoptr (GPtrArray) warning = g_ptr_array_new_with_free_func (g_free);
    NotchSource source = { .pixel_um_x = cases[i].x, .pixel_um_y = cases[i].y };
    base->wafer.pixel_um = cases[i].given;
    g_assert_cmpfloat (notch_pixel_um (base, &source, warning), ==, cases[i].wanted);
    g_assert_cmpuint (warning->len, ==, cases[i].warning ? 1 : 0);
    if (cases[i].warning)
      g_assert_nonnull (strstr (warning->pdata[0], cases[i].warning));
  }
}

typedef enum { SPOILT_BLANK, SPOILT_SHIFTED, SPOILT_INVERTED, SPOILT_FAINT, N_SPOILT } Spoilt;

/* Spoils w x h px at (x, y) of an image. */
static void
spoil (const Scene *scene, float *image, int x, int y, int w, int h, Spoilt how, GRand *rand)
{
  g_autofree float *part = g_new (float, (gsize) w *(gsize) h);
  for (int j = 0; j < h; j++)
    for (int i = 0; i < w; i++)
      part[(gsize) j * (gsize) w + (gsize) i] = image[(gsize) (y + j) * (gsize) scene->width + (gsize) (x + i)];
  int by_x = h > w ? 0 : 50, by_y = h > w ? 50 : 0; /* across a die, and not by its pitch */
  for (int j = 0; j < h; j++)
    for (int i = 0; i < w; i++) {
      float value = part[(gsize) j * (gsize) w + (gsize) i];
      float away = part[(gsize) ((j + by_y) % h) * (gsize) w + (gsize) ((i + by_x) % w)];
      float is[N_SPOILT] = { (float) CLAMP (120 + 2 * scene_normal (rand), 0, 255), away, 255 - value, 60 + value / 2 };
      image[(gsize) (y + j) * (gsize) scene->width + (gsize) (x + i)] = is[how];
    }
}

/* A row of dice, a column, or one die, the second or a middle one, that is not like the others: the pitch is found all the
 * same, or the answer is said to be unsure; with six dice a side and more it is found. Of four rows one that is faint is
 * still a row: two of them may be taken for one. */
static void
test_spoilt (void)
{
  static const int grid[] = { 4, 6, 8 };
  static const char *const names[] = { "blank", "shifted", "inverted", "faint" };
  for (gsize g = 0; g < G_N_ELEMENTS (grid); g++) {
    Scene scene = plain;
    int n = grid[g], pitch = 120;
    scene.pitch_x = scene.pitch_y = pitch;
    scene.width = scene.height = n * pitch;
    g_autofree float *image = scene_draw (&scene);
    g_autoptr (GRand) rand = g_rand_new_with_seed (7);
    for (int k = 0; k < 6 * N_SPOILT; k += few (1, 5)) {
      Spoilt how = (Spoilt) (k / 6);
      int what = k % 3, at = (k % 6 < 3 ? 1 : n / 2 - 1) * pitch;
      g_autofree float *spoilt = g_memdup2 (image, sizeof (float) * (gsize) scene.width * (gsize) scene.height);
      spoil (&scene, spoilt, what == 0 ? 0 : at, what == 1 ? 0 : at, what == 0 ? scene.width : pitch,
             what == 1 ? scene.height : pitch, how, rand);
      g_autofree char *path = write_image (&scene, spoilt, 0);
      g_autofree char *report = NULL;
      g_autoptr (GError) error = NULL;
      g_autoptr (NotchRecipe) recipe = notch_recipe_discover (path, 0, NULL, &report, &error);
      g_assert_no_error (error);
      g_remove (path);
      gboolean found = fabs (recipe->dice.pitch_x_px - pitch) < 0.1 && fabs (recipe->dice.pitch_y_px - pitch) < 0.1;
      gboolean unsure = !(recipe->dice.pitch_x_px > 0) || strstr (report, "% sure only") != NULL;
      if (!found)
        g_test_message ("%d x %d dice, %s %d px on %s: %s", n, n,
                        what == 0   ? "row"
                        : what == 1 ? "column"
                                    : "die",
                        at, names[how], report);
      g_assert_true (found || unsure || (n == 4 && how == SPOILT_FAINT));
      g_assert_true (found || n == 4 || how == SPOILT_INVERTED);
    }
  }
}

static void
test_errors (void)
{
  static const char *const settings[][4] = {
    { "dice.pitch_x_px=1500", "dice.pitch_y_px=100", NULL, "larger than the image" },
    { "dice.pitch_x_um=10", "dice.pitch_y_um=10", NULL, "pixel size is not known" },
    { "region a.width_um=200", "region a.height_um=20", NULL, "reaches out of the die" },
    { "dice.pitch_x_px=1000", "dice.pitch_y_px=1000", "dice.origin_x_px=700", "not one die" },
  };
  g_autofree char *path = write_scene (&plain, 0);
  for (gsize i = 0; i < G_N_ELEMENTS (settings); i++) {
    g_autoptr (NotchRecipe) base = notch_recipe_new ();
    g_autoptr (GError) error = NULL;
    base->dice.origin_y_px = i == 3 ? 0 : NAN;
    for (int k = 0; k < 3 && settings[i][k]; k++)
      g_assert_true (notch_recipe_set (base, settings[i][k], NULL));
    g_autoptr (NotchRecipe) recipe = notch_recipe_discover (path, 0, base, NULL, &error);
    g_assert_null (recipe);
    g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE);
    g_assert_true (g_str_has_prefix (error->message, path));
    g_assert_nonnull (strstr (error->message, settings[i][3]));
  }
  g_remove (path);
  g_autoptr (GError) error = NULL;
  g_assert_null (notch_recipe_discover (path, 0, NULL, NULL, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
}

/* The overview is the mean over squares, and the same whether made at once or in two steps. */
static void
test_reduce (void)
{
  Scene scene = plain;
  scene.width = 103;
  scene.height = 77;
  g_autofree char *path = write_scene (&scene, 0);
  g_autofree float *image = scene_draw (&scene);
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchSource) source = notch_source_open (path, NULL, &error);
  g_autoptr (NotchStore) store = notch_store_new (source, 1 << 20, 1);
  g_autoptr (NotchReduced) reduced = notch_reduce (store, 0, 0, 103, 77, 6, &error);
  g_assert_no_error (error);
  g_assert_cmpint (reduced->width, ==, 18);
  g_assert_cmpint (reduced->height, ==, 13);
  double sum = 0;
  for (int y = 72; y < 77; y++)
    sum += image[y * 103 + 102];
  g_assert_cmpfloat_with_epsilon (reduced->value[12 * 18 + 17], sum / 5, 1e-4);
  g_autoptr (NotchReduced) half = notch_reduce (store, 1, 2, 96, 72, 2, &error);
  g_autoptr (NotchReduced) sixth = notch_reduce_again (half, 3, &error);
  g_autoptr (NotchReduced) once = notch_reduce (store, 1, 2, 96, 72, 6, &error);
  g_assert_cmpint (sixth->factor, ==, 6);
  g_assert_cmpint (sixth->width * sixth->height, ==, 16 * 12);
  for (int i = 0; i < 16 * 12; i++)
    g_assert_cmpfloat_with_epsilon (sixth->value[i], once->value[i], 1e-3);
  g_assert_cmpint (notch_reduce_factor (2049, 5, 2048), ==, 2);
  g_assert_cmpint (notch_reduce_factor (2048, 5, 2048), ==, 1);
  g_remove (path);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("notch-discover-XXXXXX", NULL);
  g_test_add_func ("/discover/reduce", test_reduce);
  g_test_add_func ("/discover/exact", test_exact);
  g_test_add_func ("/discover/uneven", test_uneven);
  g_test_add_func ("/discover/turned", test_turned);
  g_test_add_func ("/discover/sizes", test_sizes);
  g_test_add_func ("/discover/none", test_none);
  g_test_add_func ("/discover/wafer", test_wafer);
  g_test_add_func ("/discover/single", test_single);
  g_test_add_func ("/discover/given", test_given);
  g_test_add_func ("/discover/pair", test_pair);
  g_test_add_func ("/discover/pixel", test_pixel);
  g_test_add_func ("/discover/spoilt", test_spoilt);
  g_test_add_func ("/discover/errors", test_errors);
  int status = g_test_run ();
  g_rmdir (folder);
  g_free (folder);
  return status;
}
