/* contrast.c - dice that are wrong as a whole, and references that are of something else: neither may pass for an exposure,
 * and light that falls off may pass for neither */
#include "inspect/compute/device.h"
#include "inspect/detect/inspect.h"
#include "inspect/image/write.h"
#include "tests/few.h"
#include "tests/scene.h"

#include <glib/gstdio.h>
#include <string.h>

#define PITCH 240
#define SIDE  4 /* dice a row and a column */

/* SIDE x SIDE dice with noise. */
static float *
draw (int pitch, double vignetting, guint32 seed)
{
  const Scene scene = { .width = pitch * SIDE,
                        .height = pitch * SIDE,
                        .pitch_x = pitch,
                        .pitch_y = pitch,
                        .vignetting = vignetting,
                        .layout = SCENE_MIXED,
                        .seed = 7 };
  float *value = scene_draw (&scene);
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
  for (int i = 0; i < scene.width * scene.height; i++)
    value[i] += (float) (1.5 * scene_normal (rand));
  return value;
}

/* Gives a die another contrast about a grey, and noise on top. */
static void
expose (float *value, int col, int row, double gain, double noise)
{
  const double grey = 80;
  g_autoptr (GRand) rand = g_rand_new_with_seed (99);
  for (int y = row * PITCH; y < (row + 1) * PITCH; y++)
    for (int x = col * PITCH; x < (col + 1) * PITCH; x++) {
      float *at = &value[y * PITCH * SIDE + x];
      *at = (float) (grey + gain * ((double) *at - grey) + noise * scene_normal (rand));
    }
}

static NotchRecipe *
recipe_new (int pitch, const char *set)
{
  g_autoptr (GError) error = NULL;
  NotchRecipe *recipe = notch_recipe_new ();
  const char *const setting[] = { "dice.origin_x_px=-0.5", "dice.origin_y_px=-0.5", "wafer.round=false", set };
  recipe->dice.pitch_x_px = recipe->dice.pitch_y_px = pitch;
  for (gsize i = 0; i < G_N_ELEMENTS (setting) && setting[i]; i++)
    g_assert_true (notch_recipe_set (recipe, setting[i], &error));
  return recipe;
}

static gboolean
go_on (const char *step G_GNUC_UNUSED, double done G_GNUC_UNUSED, gpointer data G_GNUC_UNUSED)
{
  return TRUE;
}

/* Inspects and frees an image; NULL: `error` says why it cannot be. */
static NotchInspection *
inspect (float *value, const NotchRecipe *recipe, GError **error)
{
  gint64 side = (gint64) recipe->dice.pitch_x_px * SIDE;
  NotchCompute compute;
  g_autoptr (NotchClasses) classes = notch_classes_new (recipe, error);
  g_assert_no_error (*error);
  g_assert_true (notch_compute_open (&compute, "cpu", 1, 2, NULL, error));
  NotchSource *source = notch_source_from_memory ("dice", side, side, NOTCH_SAMPLE_F32, value);
  NotchInspection *inspection = notch_inspection_new (source, recipe, 2);
  if (!notch_inspection_run (inspection, &compute, classes, FALSE, go_on, NULL, error))
    g_clear_pointer (&inspection, notch_inspection_free);
  notch_compute_close (&compute);
  return inspection;
}

static gboolean
failed (const NotchInspection *inspection, int col, int row)
{
  const NotchDie *die = notch_grid_die (inspection->result->grid, col, row);
  return die->failed || die->blank;
}

/* A die of its own exposure: in the middle or, by turns, in the corner, which fewer neighbours tell of. */
static void
test_die (void)
{
  const struct {
    double gain, noise;
    const char *set;
    gboolean failed;
  } dice[] = {
    { 1, 0, NULL, FALSE },
    { 0.8, 0, NULL, FALSE },
    { 1.3, 0, NULL, FALSE },
    { 0.5, 0, NULL, TRUE },
    { 0.2, 0, NULL, TRUE },
    { 0, 0, NULL, TRUE },
    { 0, 2.5, NULL, TRUE },
    { -1, 0, NULL, TRUE },
    { -0.5, 0, NULL, TRUE },
    { 2, 0, NULL, TRUE },
    { 0.5, 0, "reference.contrast=3", FALSE },
    { -1, 0, "reference.contrast=0", FALSE },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (dice); i += few (1, 5)) { /* of either outcome one at least */
    g_autoptr (GError) error = NULL;
    g_autoptr (NotchRecipe) recipe = recipe_new (PITCH, dice[i].set);
    float *value = draw (PITCH, 0.05, 3);
    int at = i % 2 ? 2 : 0;
    expose (value, at, at, dice[i].gain, dice[i].noise);
    g_autoptr (NotchInspection) inspection = inspect (value, recipe, &error);
    g_assert_no_error (error);
    if (failed (inspection, at, at) != dice[i].failed)
      g_error ("die %d,%d, contrast %g, noise %g: failed %d", at, at, dice[i].gain, dice[i].noise, !dice[i].failed);
    g_assert_false (failed (inspection, 3, 0)); /* none of the neighbours of either */
    if (dice[i].gain == 1 && inspection->result->defect->len > 1)
      g_error ("%u defects where nothing is wrong", inspection->result->defect->len);
  }
}

/* In a small image brightness falls off within few pixels, and the last tile may hold a corner of it alone. */
static void
test_corner (void)
{
  for (int pitch = 116; pitch <= 122; pitch += few (1, 6)) {
    g_autoptr (GError) error = NULL;
    g_autoptr (NotchRecipe) recipe = recipe_new (pitch, "detect.false_alarms=0.001");
    g_autoptr (NotchInspection) inspection = inspect (draw (pitch, 0.15, 6), recipe, &error);
    g_assert_no_error (error);
    g_assert_cmpuint (inspection->result->defect->len, ==, 0);
  }
}

static void
write_image (const char *path, const float *value)
{
  g_autoptr (GError) error = NULL;
  const NotchTiffLayout layout = {
    .width = PITCH * SIDE, .height = PITCH * SIDE, .sample = NOTCH_SAMPLE_F32, .bits = 32
  };
  g_autoptr (NotchTiffWriter) writer = notch_tiff_writer_new (path, &layout, &error);
  g_assert_no_error (error);
  g_assert_true (notch_tiff_writer_rows (writer, value, PITCH * SIDE, &error));
  g_assert_true (notch_tiff_writer_commit (writer, &error));
}

/* What the template is of is what the image has to be of. */
static void
test_template (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_dir_make_tmp ("notch-contrast-XXXXXX", &error),
                  *path = g_build_filename (folder, "t.tif", NULL);
  g_autofree float *template = draw (PITCH, 0.05, 4);
  write_image (path, template);
  g_autofree char *set = g_strconcat ("reference.image=", path, NULL);
  g_autoptr (NotchRecipe) recipe = recipe_new (PITCH, set);
  const struct {
    double gain, noise;
    gboolean alike;
  } images[] = { { 1, 0, TRUE }, { 1.2, 0, TRUE }, { 0, 0, FALSE }, { 0, 30, FALSE }, { -1, 0, FALSE } };
  for (gsize i = 0; i < G_N_ELEMENTS (images); i += few (1, 2)) {
    float *value = draw (PITCH, 0.05, 5);
    for (int k = 0; k < SIDE * SIDE; k++)
      expose (value, k % SIDE, k / SIDE, images[i].gain, images[i].noise);
    g_autoptr (NotchInspection) inspection = inspect (value, recipe, &error);
    g_assert_cmpint (inspection != NULL, ==, images[i].alike);
    if (!images[i].alike) {
      g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT);
      g_assert_nonnull (strstr (error->message, "nothing in it looks like the reference"));
      g_clear_error (&error);
    }
  }
  /* And where most of it is not: said. */
  float *value = draw (PITCH, 0.05, 5);
  for (int k = 0; k < SIDE * 3; k++)
    expose (value, k % SIDE, k / SIDE, 0, 2);
  g_autoptr (NotchInspection) inspection = inspect (value, recipe, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (inspection->result->defect->len, >, 0);
  gboolean warned = FALSE;
  for (guint i = 0; i < inspection->result->warning->len; i++)
    warned |= strstr (inspection->result->warning->pdata[i], "looks like the reference at") != NULL;
  g_assert_true (warned);
  g_unlink (path);
  g_rmdir (folder);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/contrast/die", test_die);
  g_test_add_func ("/contrast/corner", test_corner);
  g_test_add_func ("/contrast/template", test_template);
  return g_test_run ();
}
