/* result.h - what tests of reports share: a made-up result in a folder of its own, and its reports */
#pragma once

#include "inspect/report/report.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "inspect/image/write.h"

typedef struct {
  gint64 width, height;
  int cols, rows; /* dice; 0: no grid */
  int n_defects;
  gboolean pixel_known, wafer;
  NotchSample sample;
  const char *stem; /* NULL: "image" */
  int reduction;    /* 0: 4 */
  int overlay_px;   /* 0: the default */
} Setup;

typedef struct {
  char *folder, *out;
  NotchRecipe *recipe;
  NotchSource *source;
  NotchStore *store;
  NotchResult *result;
} Scene;

static const char *const class_name[] = { "particle", "pit", "scratch", "bridge", "open", "stain", "other" };

/* Grey levels of 8 bits: a die of blocks and lines, noise that follows from the place, dark outside the wafer. */
static double
level_at (const Setup *setup, gint64 x, gint64 y)
{
  guint32 hash = (guint32) (x * 73856093) ^ (guint32) (y * 19349663);
  hash = (hash ^ hash >> 13) * 0x5bd1e995u;
  double noise = (double) (hash >> 24) / 255 * 16 - 8;
  if (setup->wafer) {
    double dx = (double) x - (double) setup->width / 2, dy = (double) y - (double) setup->height / 2;
    if (hypot (dx, dy) > (double) MIN (setup->width, setup->height) * 0.49)
      return 12 + noise / 4;
  }
  gint64 pitch_x = setup->width / MAX (setup->cols, 1), pitch_y = setup->height / MAX (setup->rows, 1);
  double u = (double) (x % pitch_x) / (double) pitch_x, v = (double) (y % pitch_y) / (double) pitch_y;
  double level = 105;
  if (u < 0.04 || v < 0.04)
    level = 60;
  else if (u < 0.5 && v < 0.5)
    level = (x / 6 + y / 6) % 2 ? 150 : 95;
  else if (u > 0.55 && v > 0.6)
    level = x / 4 % 3 ? 85 : 170;
  return level + noise;
}

static void
write_image (const Setup *setup, const char *path)
{
  int bits = setup->sample == NOTCH_SAMPLE_U8 ? 8 : setup->sample == NOTCH_SAMPLE_U16 ? 16 : 32;
  NotchTiffLayout layout = { .width = setup->width, .height = setup->height, .sample = setup->sample, .bits = bits };
  GError *error = NULL;
  g_autoptr (NotchTiffWriter) writer = notch_tiff_writer_new (path, &layout, &error);
  g_assert_no_error (error);
  g_autofree void *row = g_malloc (setup->width * notch_sample_size (setup->sample));
  for (gint64 y = 0; y < setup->height; y++) {
    for (gint64 x = 0; x < setup->width; x++) {
      double level = level_at (setup, x, y);
      if (setup->sample == NOTCH_SAMPLE_U8)
        ((guint8 *) row)[x] = (guint8) level;
      else if (setup->sample == NOTCH_SAMPLE_U16)
        ((guint16 *) row)[x] = (guint16) (level * 257);
      else
        ((float *) row)[x] = (float) level;
    }
    notch_tiff_writer_rows (writer, row, 1, &error);
    g_assert_no_error (error);
  }
  notch_tiff_writer_commit (writer, &error);
  g_assert_no_error (error);
}

static void
add_grid (NotchResult *result, const Setup *setup)
{
  NotchGrid *grid = g_new0 (NotchGrid, 1);
  grid->x = grid->y = -0.5;
  grid->ax = (double) (setup->width / setup->cols);
  grid->by = (double) (setup->height / setup->rows);
  grid->sure = 0.97;
  grid->n_cols = setup->cols;
  grid->n_rows = setup->rows;
  grid->die = g_array_new (FALSE, TRUE, sizeof (NotchDie));
  for (int row = 0; row < setup->rows; row++)
    for (int col = 0; col < setup->cols; col++) {
      NotchDie die = { .col = col,
                       .row = row,
                       .x = grid->x + col * grid->ax,
                       .y = grid->y + row * grid->by,
                       .dx = 0.12,
                       .dy = -0.00001,
                       .trust = 1 };
      if (setup->wafer) {
        int in = 0;
        for (int k = 0; k < 4; k++) {
          double dx = die.x + k % 2 * grid->ax - result->outline.x, dy = die.y + k / 2 * grid->by - result->outline.y;
          in += hypot (dx, dy) < result->outline.radius * 0.97;
        }
        die.kind = in == 4 ? NOTCH_DIE_WHOLE : in ? NOTCH_DIE_PARTIAL : NOTCH_DIE_OUTSIDE;
      }
      g_array_append_val (grid->die, die);
    }
  result->grid = grid;
  if (setup->cols > 3 && setup->rows > 3) {
    notch_grid_die (grid, 2, 2)->failed = TRUE;
    notch_grid_die (grid, 3, 2)->kind = NOTCH_DIE_EXCLUDED;
    notch_grid_die (grid, 1, 3)->blank = TRUE;
  }
}

static void
add_defect (NotchResult *result, const Setup *setup, GRand *rand)
{
  NotchDefect defect = { .id = result->defect->len + 1,
                         .class_index = g_rand_int_range (rand, 0, G_N_ELEMENTS (class_name)),
                         .confidence = g_rand_double (rand) };
  gboolean large = g_rand_int_range (rand, 0, 8) == 0;
  int w = large ? g_rand_int_range (rand, 20, 90) : g_rand_int_range (rand, 2, 8);
  int h = large ? g_rand_int_range (rand, 10, 60) : g_rand_int_range (rand, 2, 8);
  do {
    defect.x0 = g_rand_int_range (rand, 0, (int) setup->width - w);
    defect.y0 = g_rand_int_range (rand, 0, (int) setup->height - h);
  } while (setup->wafer
           && hypot ((double) defect.x0 - result->outline.x, (double) defect.y0 - result->outline.y)
                  > result->outline.radius * 0.9);
  defect.x1 = defect.x0 + w - 1;
  defect.y1 = defect.y0 + h - 1;
  double *value = defect.value;
  for (int f = 0; f < NOTCH_N_FEATURES; f++)
    value[f] = g_rand_double (rand);
  value[NOTCH_FEATURE_X] = (double) (defect.x0 + defect.x1) / 2;
  value[NOTCH_FEATURE_Y] = (double) (defect.y0 + defect.y1) / 2;
  value[NOTCH_FEATURE_WIDTH] = w;
  value[NOTCH_FEATURE_HEIGHT] = h;
  value[NOTCH_FEATURE_PEAK_SNR] = 5 + 20 * g_rand_double (rand);
  value[NOTCH_FEATURE_SIZE_UM] = hypot (w, h) * (result->pixel_known ? result->pixel_um : 1);
  value[NOTCH_FEATURE_DIE_COL] = value[NOTCH_FEATURE_DIE_ROW] = NAN;
  NotchDie *die =
      result->grid ? notch_grid_locate (result->grid, value[NOTCH_FEATURE_X], value[NOTCH_FEATURE_Y]) : NULL;
  if (die) {
    value[NOTCH_FEATURE_DIE_COL] = die->col;
    value[NOTCH_FEATURE_DIE_ROW] = die->row;
    die->n_defects++;
  }
  int side = result->patch_side;
  defect.patch = g_new (float, 2 * side * side);
  for (int i = 0; i < 2 * side * side; i++) {
    int x = i % side, y = i / side % side;
    double away = hypot (x - side / 2, y - side / 2), blob = i < side * side ? 60 * exp (-away * away / (w * h)) : 0;
    defect.patch[i] =
        (float) (level_at (setup, defect.x0 + x, defect.y0 + y) + blob + (i < side * side ? 0 : 3 * sin (i * 12.9898)));
  }
  result->class_count[defect.class_index]++;
  g_array_append_val (result->defect, defect);
}

static void
reduce (Scene *scene, const Setup *setup)
{
  NotchResult *result = scene->result;
  int k = result->reduction = setup->reduction ? setup->reduction : 4;
  result->reduced_width = setup->width / k;
  result->reduced_height = setup->height / k;
  result->reduced = g_new0 (float, result->reduced_width * result->reduced_height);
  double unit = setup->sample == NOTCH_SAMPLE_U16 ? 257 : 1;
  for (gint64 y = 0; y < result->reduced_height; y++)
    for (gint64 x = 0; x < result->reduced_width; x++)
      result->reduced[y * result->reduced_width + x] = (float) (level_at (setup, x * k, y * k) * unit);
  result->grey_low = 30 * unit;
  result->grey_high = 190 * unit;
}

static Scene *
scene_new (const Setup *setup)
{
  Scene *scene = g_new0 (Scene, 1);
  GError *error = NULL;
  scene->folder = g_dir_make_tmp ("notch-report-XXXXXX", &error);
  g_assert_no_error (error);
  const char *stem = setup->stem ? setup->stem : "image";
  g_autofree char *name = g_strconcat (stem, ".tif", NULL);
  g_autofree char *path = g_build_filename (scene->folder, name, NULL);
  scene->out = g_build_filename (scene->folder, stem, NULL);
  g_assert_cmpint (g_mkdir (scene->out, 0777), ==, 0);
  write_image (setup, path);
  NotchSourceOptions options = { .colour = NOTCH_CHANNEL_LUMINANCE, .budget = 256 << 20 };
  scene->source = notch_source_open (path, &options, &error);
  g_assert_no_error (error);
  scene->store = notch_store_new (scene->source, 256 << 20, 2);
  scene->recipe = notch_recipe_new ();
  scene->recipe->limits.defects = 3;
  if (setup->overlay_px)
    scene->recipe->report.overlay_px = setup->overlay_px;

  NotchResult *result = scene->result = g_new0 (NotchResult, 1);
  result->path = g_strdup (path);
  result->stem = g_strdup (stem);
  result->width = setup->width;
  result->height = setup->height;
  result->page = 1;
  result->sample = setup->sample;
  result->full_scale = scene->source->full_scale;
  result->pixel_known = setup->pixel_known;
  result->pixel_um = setup->pixel_known ? 0.65 : 0;
  result->recipe = scene->recipe;
  result->reference_name = g_strdup (setup->cols ? "die" : "template");
  result->defect = g_array_new (FALSE, FALSE, sizeof (NotchDefect));
  result->patch_side = 32;
  result->class_name = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < G_N_ELEMENTS (class_name); i++)
    g_ptr_array_add (result->class_name, g_strdup (class_name[i]));
  result->class_count = g_new0 (gint64, G_N_ELEMENTS (class_name));
  result->inspected_px = setup->width * setup->height;
  result->threshold = 5.31;
  result->noise[0] = 2.5;
  result->z_rms = 1.01;
  result->shift_rms = 0.12;
  result->warning = g_ptr_array_new_with_free_func (g_free);
  result->reason = g_ptr_array_new_with_free_func (g_free);
  result->device = g_strdup ("cpu");
  result->outline.notch_angle = NAN;
  if (setup->wafer)
    result->outline = (NotchOutline){ .x = (double) setup->width / 2,
                                      .y = (double) setup->height / 2,
                                      .radius = (double) MIN (setup->width, setup->height) * 0.49,
                                      .arc = 1,
                                      .notch_angle = -G_PI_2 };
  reduce (scene, setup);
  if (setup->cols)
    add_grid (result, setup);
  g_autoptr (GRand) rand = g_rand_new_with_seed (7);
  for (int i = 0; i < setup->n_defects; i++)
    add_defect (result, setup, rand);
  if (setup->n_defects > 3) {
    result->verdict = NOTCH_VERDICT_REJECT;
    g_ptr_array_add (result->reason, g_strdup_printf ("%d defects, at most 3 are allowed", setup->n_defects));
  }
  return scene;
}

static void
remove_tree (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  for (const char *name; dir && (name = g_dir_read_name (dir));) {
    g_autofree char *inside = g_build_filename (path, name, NULL);
    remove_tree (inside);
  }
  g_remove (path);
}

static void
scene_free (Scene *scene)
{
  notch_result_free (scene->result);
  notch_store_free (scene->store);
  notch_source_close (scene->source);
  notch_recipe_free (scene->recipe);
  remove_tree (scene->folder);
  g_free (scene->folder);
  g_free (scene->out);
  g_free (scene);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Scene, scene_free)

static void
write_reports (const Scene *scene, const char *formats, int jobs)
{
  GError *error = NULL;
  NotchReportJob job = { .result = scene->result, .folder = scene->out, .store = scene->store, .jobs = jobs };
  notch_reports_write (&job, formats, &error);
  g_assert_no_error (error);
}

static char *
read_file (const Scene *scene, const char *name, gsize *n)
{
  g_autofree char *path = g_build_filename (scene->out, name, NULL);
  char *bytes = NULL;
  GError *error = NULL;
  g_file_get_contents (path, &bytes, n, &error);
  g_assert_no_error (error);
  return bytes;
}

static gboolean
is_there (const Scene *scene, const char *name)
{
  g_autofree char *path = g_build_filename (scene->out, name, NULL);
  return g_file_test (path, G_FILE_TEST_IS_REGULAR);
}

/* A spectrum with two notches, of an array of cells. */
static void
add_spectrum (NotchResult *result)
{
  enum { SIZE = 128, COLUMNS = SIZE / 2 + 1 };
  NotchSpectrum *spectrum = result->spectrum = notch_spectrum_new (SIZE);
  NotchArrays *arrays = result->arrays = g_new0 (NotchArrays, 1);
  arrays->n = 1;
  arrays->cell[0] = (NotchCell){ 8, 0, 0, 12.8 };
  g_autoptr (GRand) rand = g_rand_new_with_seed (2);
  for (int i = 0; i < SIZE * COLUMNS; i++)
    spectrum->image[i] = spectrum->residual[i] = (float) -log (1 - g_rand_double (rand));
  spectrum->lift[10 * COLUMNS + 16] = spectrum->lift[20 * COLUMNS] = 9;
  spectrum->n_notches = 2;
  spectrum->removed = 0.0003;
}
