/* report.c - every report of made-up results, read back */
#include "inspect/report/report.h"

#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <math.h>
#include <png.h>
#include <string.h>

#include "inspect/image/write.h"

/* ---- a result -------------------------------------------------------------------------------------------------- */

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

/* ---- text ------------------------------------------------------------------------------------------------------ */

static void
test_number (void)
{
  const struct {
    double value;
    int decimals;
    const char *text;
  } of[] = { { 1.0 / 3, 3, "0.333" },
             { -2.5, 1, "-2.5" },
             { 7, 0, "7" },
             { -0.0004, 3, "0.000" },
             { NAN, 3, "" },
             { INFINITY, 3, "" },
             { -0.0005001, 3, "-0.001" },
             { 1e15, 0, "1000000000000000" },
             { -0.0, 0, "0" } };
  for (guint i = 0; i < G_N_ELEMENTS (of); i++) {
    g_autoptr (GString) text = g_string_new ("|");
    notch_append_number (text, of[i].value, of[i].decimals);
    g_assert_cmpstr (text->str + 1, ==, of[i].text);
  }
  g_autoptr (GString) large = g_string_new (NULL);
  notch_append_number (large, -G_MAXDOUBLE, 40);
  g_assert_cmpuint (large->len, ==, 1 + 309 + 1 + 40);
}

static void
test_field (void)
{
  const char *const of[][2] = { { "plain", "plain" },
                                { "a,b", "\"a,b\"" },
                                { "say \"a\"", "\"say \"\"a\"\"\"" },
                                { "two words", "two words" },
                                { " edge", "\" edge\"" },
                                { "a\nb", "\"a\nb\"" },
                                { "Größe µm", "Größe µm" },
                                { "", "" },
                                { "\xff", "\xef\xbf\xbd" } };
  for (guint i = 0; i < G_N_ELEMENTS (of); i++) {
    g_autoptr (GString) text = g_string_new (NULL);
    notch_append_field (text, of[i][0]);
    g_assert_cmpstr (text->str, ==, of[i][1]);
  }
}

static void
test_formats (void)
{
  const char *const good[] = { "defects", "defects,dice", "overlay, map ,crops,recipe,json", "spectrum" };
  const char *const bad[] = { "", "defects,", "klarf", "defects,,dice", "Defects" };
  for (guint i = 0; i < G_N_ELEMENTS (good); i++)
    g_assert_true (notch_reports_check (good[i], NULL));
  g_assert_true (notch_reports_check (NULL, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_false (notch_reports_check (bad[i], &error));
    g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE);
    g_assert_nonnull (strstr (error->message, "defects, dice, overlay, map, crops, patches, spectrum, haze, recipe, json"));
  }
  guint n = 0;
  while (notch_reports[n])
    n++;
  g_assert_cmpstr (notch_reports[n - 1]->files, ==, "summary.json");
}

static void
test_only_wanted (void)
{
  g_autoptr (Scene) scene = scene_new (&(Setup){ .width = 64, .height = 64, .n_defects = 1 });
  write_reports (scene, "dice", 1);
  g_assert_true (is_there (scene, "dice.csv"));
  g_assert_true (is_there (scene, "summary.json")); /* marks the image as finished */
  g_assert_false (is_there (scene, "defects.csv"));
  g_assert_false (is_there (scene, "overlay.png"));
}

/* Plain fields only: no quotes. */
static void
test_defects_csv (void)
{
  const char *const columns =
      "defect_id,x_px,y_px,width_px,height_px,area_px,die_col,die_row,die_x_um,die_y_um,wafer_x_um,wafer_y_um,size_um,"
      "area_um2,peak_snr,contrast,elongation,angle_deg,class,confidence,cluster,repeater,seed_px,";
  g_autoptr (Scene) scene =
      scene_new (&(Setup){ .width = 256, .height = 200, .cols = 2, .rows = 2, .n_defects = 20, .pixel_known = TRUE });
  NotchDefect *defect = &g_array_index (scene->result->defect, NotchDefect, 4);
  defect->value[NOTCH_FEATURE_DIE_COL] = defect->value[NOTCH_FEATURE_DIE_ROW] = NAN;
  defect->value[NOTCH_FEATURE_X] = 12.3456;
  defect->value[NOTCH_FEATURE_CLUSTER] = 3;
  defect->value[NOTCH_FEATURE_REPEATER] = 9;
  write_reports (scene, "defects", 1);
  g_autofree char *text = read_file (scene, "defects.csv", NULL);
  g_auto (GStrv) line = g_strsplit (text, "\n", -1);
  g_assert_cmpuint (g_strv_length (line), ==, 22);
  g_assert_cmpstr (line[21], ==, "");
  g_assert_true (g_str_has_prefix (line[0], columns));
  g_auto (GStrv) head = g_strsplit (line[0], ",", -1);
  g_assert_cmpuint (g_strv_length (head), ==, 1 + NOTCH_N_FEATURES + 2);
  for (int f = NOTCH_FEATURE_CLUSTER; f < NOTCH_N_FEATURES; f++)
    g_assert_cmpstr (head[1 + 2 + f], ==, notch_feature_info[f].name);
  for (int i = 1; i <= 20; i++) {
    g_auto (GStrv) field = g_strsplit (line[i], ",", -1);
    g_assert_cmpuint (g_strv_length (field), ==, g_strv_length (head));
    g_assert_cmpint (g_ascii_strtoll (field[0], NULL, 10), ==, i);
    g_assert_cmpstr (field[18], ==, class_name[g_array_index (scene->result->defect, NotchDefect, i - 1).class_index]);
  }
  g_auto (GStrv) field = g_strsplit (line[5], ",", -1);
  g_assert_cmpstr (field[1], ==, "12.346");
  g_assert_cmpstr (field[6], ==, "");
  g_assert_cmpstr (field[7], ==, "");
  g_assert_cmpstr (field[20], ==, "3");
  g_assert_cmpstr (field[21], ==, "9");
}

static void
test_dice_csv (void)
{
  g_autoptr (Scene) scene = scene_new (&(Setup){ .width = 256, .height = 256, .cols = 4, .rows = 4, .n_defects = 0 });
  NotchGrid *grid = scene->result->grid;
  notch_grid_die (grid, 0, 0)->kind = NOTCH_DIE_OUTSIDE;
  notch_grid_die (grid, 1, 0)->kind = NOTCH_DIE_PARTIAL;
  notch_grid_die (grid, 2, 0)->n_defects = 5;
  write_reports (scene, "dice", 1);
  g_autofree char *text = read_file (scene, "dice.csv", NULL);
  g_auto (GStrv) line = g_strsplit (text, "\n", -1);
  g_assert_cmpuint (g_strv_length (line), ==, 1 + 16 + 1);
  g_assert_cmpstr (line[0], ==, "die_col,die_row,x_px,y_px,width_px,height_px,dx_px,dy_px,defects,status");
  g_assert_cmpstr (line[1], ==, "0,0,-0.500,-0.500,64.000,64.000,0.120,0.000,0,outside");
  g_assert_cmpstr (line[2], ==, "1,0,63.500,-0.500,64.000,64.000,0.120,0.000,0,partial");
  g_assert_cmpstr (line[3], ==, "2,0,127.500,-0.500,64.000,64.000,0.120,0.000,5,defective");
  g_assert_true (g_str_has_suffix (line[4], ",ok"));
  g_assert_true (g_str_has_suffix (line[1 + 2 * 4 + 2], ",failed"));
  g_assert_true (g_str_has_suffix (line[1 + 2 * 4 + 3], ",excluded"));
  g_assert_true (g_str_has_suffix (line[1 + 3 * 4 + 1], ",blank"));

  NotchDiceCount count = notch_count_dice (scene->result);
  g_assert_cmpint (count.dice, ==, 16 - 3); /* outside, partial, excluded are not inspected */
  g_assert_cmpint (count.failed, ==, 2);
  scene->recipe->dice.partial = TRUE;
  g_assert_cmpint (notch_count_dice (scene->result).dice, ==, 16 - 2);
}

/* Fields of a line with quotes. */
static GPtrArray *
split (const char *line)
{
  GPtrArray *field = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GString) text = g_string_new (NULL);
  gboolean quoted = FALSE;
  for (const char *c = line; *c && (quoted || *c != '\n'); c++)
    if (*c == '"' && quoted && c[1] == '"')
      g_string_append_c (text, *c++);
    else if (*c == '"')
      quoted = !quoted;
    else if (*c == ',' && !quoted) {
      g_ptr_array_add (field, g_strdup (text->str));
      g_string_truncate (text, 0);
    } else
      g_string_append_c (text, *c);
  g_ptr_array_add (field, g_strdup (text->str));
  return field;
}

static const char *
field_of (const GPtrArray *head, const GPtrArray *row, const char *name)
{
  for (guint i = 0; i < head->len; i++)
    if (!strcmp (g_ptr_array_index (head, i), name))
      return g_ptr_array_index (row, i);
  g_test_fail_printf ("no column %s", name);
  return "";
}

static void
test_summary_csv (void)
{
  g_autoptr (Scene) scene = scene_new (
      &(Setup){ .width = 128, .height = 96, .cols = 2, .rows = 2, .n_defects = 9, .stem = "lot \"7\", wafer µ" });
  g_ptr_array_add (scene->result->reason, g_strdup ("2 of pit, at most 1"));
  g_ptr_array_add (scene->result->warning, g_strdup ("a warning"));
  g_autofree char *header = notch_summary_header (scene->result), *line = notch_summary_row (scene->result);
  g_assert_true (g_str_has_suffix (header, "\n"));
  g_assert_true (g_str_has_suffix (line, "\n"));
  g_autoptr (GPtrArray) head = split (header), row = split (line);
  g_assert_cmpuint (head->len, ==, row->len);
  g_assert_cmpstr (field_of (head, row, "file"), ==, scene->result->path);
  g_assert_cmpstr (field_of (head, row, "stem"), ==, "lot \"7\", wafer µ");
  g_assert_cmpstr (field_of (head, row, "verdict"), ==, "reject");
  g_assert_cmpstr (field_of (head, row, "reasons"), ==, "9 defects, at most 3 are allowed; 2 of pit, at most 1");
  g_assert_cmpstr (field_of (head, row, "width_px"), ==, "128");
  g_assert_cmpstr (field_of (head, row, "height_px"), ==, "96");
  g_assert_cmpstr (field_of (head, row, "dice"), ==, "4");
  g_assert_cmpstr (field_of (head, row, "defects"), ==, "9");
  g_assert_cmpstr (field_of (head, row, "threshold"), ==, "5.310");
  g_assert_cmpstr (field_of (head, row, "warnings"), ==, "a warning");
  g_assert_cmpstr (field_of (head, row, "device"), ==, "cpu");
  g_assert_cmpstr (field_of (head, row, "version"), ==, notch_version ());
  gint64 sum = 0;
  for (guint i = 0; i < G_N_ELEMENTS (class_name); i++) {
    g_autofree char *name = g_strconcat ("class_", class_name[i], NULL);
    sum += g_ascii_strtoll (field_of (head, row, name), NULL, 10);
  }
  g_assert_cmpint (sum, ==, 9);
}

static void
test_json (void)
{
  g_autoptr (Scene) scene = scene_new (&(Setup){ .width = 256,
                                                 .height = 256,
                                                 .cols = 4,
                                                 .rows = 4,
                                                 .n_defects = 12,
                                                 .pixel_known = TRUE,
                                                 .wafer = TRUE,
                                                 .stem = "a \"b\" ü" });
  write_reports (scene, "json,defects,crops", 2);
  g_autofree char *text = read_file (scene, "summary.json", NULL);
  g_autoptr (JsonNode) root = json_from_string (text, NULL);
  g_assert_nonnull (root);
  JsonObject *object = json_node_get_object (root);
  g_assert_cmpstr (json_object_get_string_member (object, "stem"), ==, "a \"b\" ü");
  g_assert_cmpstr (json_object_get_string_member (object, "verdict"), ==, "reject");
  g_assert_cmpint (json_object_get_int_member (object, "defects"), ==, 12);
  JsonObject *image = json_object_get_object_member (object, "image");
  g_assert_cmpint (json_object_get_int_member (image, "width_px"), ==, 256);
  g_assert_cmpfloat (json_object_get_double_member (image, "pixel_um"), ==, 0.65);
  g_assert_cmpstr (json_object_get_string_member (image, "sample"), ==, "uint8");
  JsonObject *limits = json_object_get_object_member (object, "limits");
  g_assert_cmpfloat (json_object_get_double_member (limits, "defects"), ==, 3);
  g_assert_true (json_object_get_null_member (limits, "failed_dice"));
  JsonObject *dice = json_object_get_object_member (object, "dice");
  g_assert_cmpint (json_object_get_int_member (dice, "failed"), ==, 1);
  g_assert_cmpint (json_object_get_int_member (dice, "excluded"), ==, 1);
  g_assert_cmpfloat (json_object_get_double_member (json_object_get_object_member (object, "wafer"), "notch_angle_deg"),
                     ==, -90);
  g_assert_cmpfloat (json_object_get_double_member (json_object_get_object_member (object, "grid"), "sure"), ==, 0.97);
  JsonObject *detection = json_object_get_object_member (object, "detection");
  g_assert_cmpfloat (json_object_get_double_member (detection, "threshold"), ==, 5.31);
  g_assert_cmpfloat (json_object_get_double_member (json_object_get_object_member (detection, "noise"), "a"), ==, 2.5);
  JsonObject *classes = json_object_get_object_member (object, "classes");
  for (guint i = 0; i < G_N_ELEMENTS (class_name); i++)
    g_assert_cmpint (json_object_get_int_member (classes, class_name[i]), ==, scene->result->class_count[i]);
  JsonArray *files = json_object_get_array_member (object, "files");
  g_assert_cmpuint (json_array_get_length (files), ==, 1 + 12 + 1);
  for (guint i = 0; i < json_array_get_length (files); i++)
    g_assert_true (is_there (scene, json_array_get_string_element (files, i)));
}

static void
test_json_unknowns (void)
{
  g_autoptr (Scene) scene = scene_new (&(Setup){ .width = 64, .height = 64 });
  scene->result->z_rms = NAN;
  write_reports (scene, "json", 1);
  g_autofree char *text = read_file (scene, "summary.json", NULL);
  g_autoptr (JsonNode) root = json_from_string (text, NULL);
  g_assert_nonnull (root);
  JsonObject *object = json_node_get_object (root);
  g_assert_true (json_object_get_null_member (object, "grid"));
  g_assert_true (json_object_get_null_member (object, "wafer"));
  g_assert_true (json_object_get_null_member (json_object_get_object_member (object, "image"), "pixel_um"));
  g_assert_true (json_object_get_null_member (json_object_get_object_member (object, "detection"), "z_rms"));
}

/* ---- pictures -------------------------------------------------------------------------------------------------- */

typedef struct {
  int width, height;
  guint8 *rgb;
} Picture;

static void
picture_free (Picture *picture)
{
  g_free (picture->rgb);
  g_free (picture);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Picture, picture_free)

static Picture *
load (const Scene *scene, const char *name)
{
  g_autofree char *path = g_build_filename (scene->out, name, NULL);
  png_image image = { .version = PNG_IMAGE_VERSION };
  g_assert_true (png_image_begin_read_from_file (&image, path));
  image.format = PNG_FORMAT_RGB;
  Picture *picture = g_new0 (Picture, 1);
  picture->width = (int) image.width;
  picture->height = (int) image.height;
  picture->rgb = g_malloc (PNG_IMAGE_SIZE (image));
  g_assert_true (png_image_finish_read (&image, NULL, picture->rgb, 0, NULL));
  return picture;
}

static const guint8 *
pixel (const Picture *picture, int x, int y)
{
  g_assert_true (x >= 0 && y >= 0 && x < picture->width && y < picture->height);
  return picture->rgb + 3 * ((gsize) y * picture->width + x);
}

/* Pixels of a box that are within `off` of a colour in every channel. */
static int
count_colour (const Picture *picture, int x0, int y0, int x1, int y1, guint32 rgb, int off)
{
  int n = 0;
  for (int y = MAX (y0, 0); y <= MIN (y1, picture->height - 1); y++)
    for (int x = MAX (x0, 0); x <= MIN (x1, picture->width - 1); x++) {
      const guint8 *p = pixel (picture, x, y);
      n += ABS (p[0] - (int) (rgb >> 16 & 255)) <= off && ABS (p[1] - (int) (rgb >> 8 & 255)) <= off
           && ABS (p[2] - (int) (rgb & 255)) <= off;
    }
  return n;
}

/* The page row of image row 0, as the Description says. */
static int
offset_of (const Scene *scene)
{
  gsize n;
  g_autofree char *bytes = read_file (scene, "overlay.png", &n);
  for (gsize i = 0; i + 20 < n; i++)
    if (!memcmp (bytes + i, " is page pixel (x / ", 20)) {
      const char *plus = strstr (bytes + i, "+ ");
      return (int) g_ascii_strtoll (plus + 2, NULL, 10);
    }
  g_test_fail_printf ("overlay.png does not tell its offset");
  return 0;
}

static void
check_overlay (NotchSample sample)
{
  g_autoptr (Scene) scene =
      scene_new (&(Setup){ .width = 700, .height = 520, .n_defects = 1, .pixel_known = TRUE, .sample = sample });
  NotchDefect *defect = &g_array_index (scene->result->defect, NotchDefect, 0);
  defect->class_index = 5; /* stain: a yellow square */
  defect->x0 = 300, defect->x1 = 309, defect->y0 = 250, defect->y1 = 259;
  write_reports (scene, "overlay", 2);
  g_autoptr (Picture) page = load (scene, "overlay.png");
  int top = offset_of (scene);
  g_assert_cmpint (page->width, ==, 700);
  g_assert_cmpint (page->height, >, 520 + top);
  g_assert_cmpint (top, >, 20);
  const guint32 yellow = 0xf0e442;
  g_assert_cmpint (count_colour (page, 285, top + 235, 324, top + 274, yellow, 40), >, 40);
  g_assert_cmpint (count_colour (page, 300, top + 250, 309, top + 259, yellow, 90), ==, 0); /* the defect is free */
  /* Far from the mark the image is as it was, on the scale from grey_low to grey_high. */
  double unit = sample == NOTCH_SAMPLE_U16 ? 257 : 1;
  Setup setup = { .width = 700, .height = 520 };
  for (int y = 20; y < 500; y += 37)
    for (int x = 10; x < 250; x += 31) {
      double level = level_at (&setup, x, y);
      if (sample == NOTCH_SAMPLE_U8)
        level = floor (level);
      double grey =
          CLAMP ((level * unit - scene->result->grey_low) / (scene->result->grey_high - scene->result->grey_low), 0, 1);
      g_assert_cmpfloat_with_epsilon (pixel (page, x, top + y)[1], grey * 255, 255. / 95);
    }
}

static void
test_overlay (void)
{
  check_overlay (NOTCH_SAMPLE_U8);
  check_overlay (NOTCH_SAMPLE_U16);
  check_overlay (NOTCH_SAMPLE_F32);
}

static void
test_overlay_reduced (void)
{
  g_autoptr (Scene) scene = scene_new (&(Setup){
      .width = 1600, .height = 1200, .n_defects = 5, .cols = 4, .rows = 4, .reduction = 2, .overlay_px = 400 });
  write_reports (scene, "overlay", 2);
  g_autoptr (Picture) page = load (scene, "overlay.png");
  g_assert_cmpint (page->width, ==, 460); /* the margins need this much; the image is 400 wide */
  g_assert_cmpint (page->height, >, 300 + offset_of (scene));
}

static void
test_class_looks (void)
{
  g_autoptr (Scene) scene = scene_new (&(Setup){ .width = 900, .height = 300, .n_defects = 7 });
  /* Usual names have their own colours, wherever they stand. */
  const guint32 ink[] = { 0x009e73, 0xcc79a7, 0xd55e00, 0xe69f00, 0x56b4e9, 0xf0e442, 0xffffff };
  for (int i = 0; i < 7; i++) {
    NotchDefect *defect = &g_array_index (scene->result->defect, NotchDefect, i);
    defect->class_index = i;
    defect->x0 = 100 + 100 * i, defect->x1 = defect->x0 + 3;
    defect->y0 = 150, defect->y1 = 153;
  }
  write_reports (scene, "overlay", 1);
  g_autoptr (Picture) page = load (scene, "overlay.png");
  int top = offset_of (scene);
  for (int i = 0; i < 7; i++)
    g_assert_cmpint (count_colour (page, 90 + 100 * i, top + 142, 113 + 100 * i, top + 163, ink[i], 25), >, 5);
}

static void
test_map (void)
{
  g_autoptr (Scene) scene = scene_new (&(Setup){
      .width = 800, .height = 600, .cols = 8, .rows = 6, .n_defects = 30, .pixel_known = TRUE, .wafer = TRUE });
  write_reports (scene, "map", 2);
  g_autoptr (Picture) page = load (scene, "map.png");
  g_assert_cmpint (page->width, >=, 1000);
  g_assert_cmpint (page->width, <=, 1400);
  g_assert_cmpint (page->height, >, page->width * 3 / 5);
  const guint32 failed = 0x5a5a5a, ok = 0xdbf1eb, edge = 0x0072b2;
  g_assert_cmpint (count_colour (page, 0, 0, page->width, page->height, failed, 6), >, 5000);
  g_assert_cmpint (count_colour (page, 0, 0, page->width, page->height, ok, 8), >, 5000);
  g_assert_cmpint (count_colour (page, 0, 0, page->width, page->height, edge, 30), >, 1500);
}

static void
test_crops (void)
{
  g_autoptr (Scene) scene = scene_new (&(Setup){ .width = 300, .height = 200, .n_defects = 12, .pixel_known = TRUE });
  NotchResult *result = scene->result;
  scene->recipe->report.crops = 5;
  double weakest = G_MAXDOUBLE;
  g_autoptr (GPtrArray) chosen = notch_crops_chosen (result);
  g_assert_cmpuint (chosen->len, ==, 5);
  for (guint i = 0; i < chosen->len; i++) {
    const NotchDefect *defect = g_ptr_array_index (chosen, i);
    weakest = MIN (weakest, defect->value[NOTCH_FEATURE_PEAK_SNR]);
    if (i)
      g_assert_cmpint (defect->id, >, ((const NotchDefect *) g_ptr_array_index (chosen, i - 1))->id);
  }
  guint stronger = 0;
  for (guint i = 0; i < 12; i++)
    stronger += notch_defect (result, i)->value[NOTCH_FEATURE_PEAK_SNR] >= weakest;
  g_assert_cmpuint (stronger, ==, 5);

  /* The first columns have no reference: they are hatched, and the scale is not theirs. */
  const int side = result->patch_side, blank = 6;
  for (guint i = 0; i < chosen->len; i++)
    for (int k = 0; k < side * side; k++)
      if (k % side < blank)
        ((const NotchDefect *) g_ptr_array_index (chosen, i))->patch[side * side + k] = NAN;

  /* One of an earlier run goes, what is not ours stays. */
  g_autofree char *folder = g_build_filename (scene->out, "crops", NULL);
  g_autofree char *old = g_build_filename (folder, "99.png", NULL), *note = g_build_filename (folder, "note.txt", NULL);
  g_mkdir (folder, 0777);
  g_file_set_contents (old, "", 0, NULL);
  g_file_set_contents (note, "", 0, NULL);
  write_reports (scene, "crops", 3);
  g_assert_false (g_file_test (old, G_FILE_TEST_EXISTS));
  g_assert_true (g_file_test (note, G_FILE_TEST_EXISTS));
  for (guint i = 0; i < chosen->len; i++) {
    const NotchDefect *defect = g_ptr_array_index (chosen, i);
    g_autofree char *name = g_strdup_printf ("crops/%" G_GINT64_FORMAT ".png", defect->id);
    g_autoptr (Picture) page = load (scene, name);
    g_assert_cmpint (page->width, >=, 3 * 32 * 4);
    g_assert_cmpint (page->height, >, 32 * 4);
    /* The made-up defect is brighter than its reference: vermillion in the right third, nowhere blue as strong. */
    int third = page->width * 2 / 3;
    g_assert_cmpint (count_colour (page, third, 0, page->width, page->height, 0xd55e00, 20), >, 4);
    g_assert_cmpint (count_colour (page, third, 0, page->width, page->height, 0x0072b2, 20), ==, 0);
    g_assert_cmpint (count_colour (page, third, 0, page->width, page->height, 0x6b6b6b, 3), >, blank * side * 16 / 6);
  }
}

/* ---- spectrum -------------------------------------------------------------------------------------------------- */

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

/* Two notches, each with its mirror image (four marks of six solid pixels at least), are drawn on the residual's side; the lattice on the image's. */
static void
test_spectrum (void)
{
  g_autoptr (Scene) scene = scene_new (&(Setup){ .width = 100, .height = 80 });
  write_reports (scene, "spectrum", 1);
  g_assert_false (is_there (scene, "spectrum.png")); /* nothing was measured */
  add_spectrum (scene->result);
  write_reports (scene, "spectrum", 3);
  g_autoptr (Picture) page = load (scene, "spectrum.png");
  int middle = page->width / 2, legend = page->height - 60;
  g_assert_cmpint (count_colour (page, middle, 0, page->width, legend, 0xd55e00, 60), >, 4 * 6);
  g_assert_cmpint (count_colour (page, 0, 60, middle, legend, 0xd55e00, 30), ==, 0);
  g_assert_cmpint (count_colour (page, 0, 60, middle, legend, 0x56b4e9, 40), >, 500);
  g_assert_cmpint (count_colour (page, middle, 60, page->width, legend, 0x56b4e9, 40), ==, 0);
}

/* ---- all together ---------------------------------------------------------------------------------------------- */

static void
test_variants (void)
{
  const Setup variant[] = {
    { .width = 640, .height = 480, .cols = 4, .rows = 4, .n_defects = 0 },
    { .width = 700, .height = 500, .cols = 4, .rows = 4, .n_defects = 5000, .pixel_known = TRUE },
    { .width = 120, .height = 700, .n_defects = 9 },
    { .width = 2000, .height = 90, .cols = 20, .rows = 1, .n_defects = 9, .sample = NOTCH_SAMPLE_F32 },
    { .width = 600, .height = 600, .cols = 100, .rows = 100, .n_defects = 9, .wafer = TRUE },
    { .width = 97, .height = 96, .n_defects = 3, .sample = NOTCH_SAMPLE_U16, .stem = "lot, \"A\" 50% — ü日本" },
  };
  for (guint i = 0; i < G_N_ELEMENTS (variant); i++) {
    g_autoptr (Scene) scene = scene_new (&variant[i]);
    scene->recipe->report.crops = 20;
    write_reports (scene, NULL, 2);
    for (const NotchReport *const *report = notch_reports; *report; report++)
      g_assert_true (strstr ((*report)->files, "ID") || is_there (scene, (*report)->files) == (*report)->by_default);
    g_autoptr (Picture) overlay = load (scene, "overlay.png"), map = load (scene, "map.png");
    g_assert_cmpint (overlay->width, >=, variant[i].width);
    g_assert_cmpint (overlay->height, >, variant[i].height);
    g_assert_cmpint (map->height, >, 0);
  }
}

/* A result that holds nothing but an image. */
static void
test_bare (void)
{
  g_autoptr (Scene) scene = scene_new (&(Setup){ .width = 100, .height = 80 });
  NotchResult *result = scene->result;
  g_clear_pointer (&result->defect, g_array_unref);
  g_clear_pointer (&result->class_name, g_ptr_array_unref);
  g_clear_pointer (&result->warning, g_ptr_array_unref);
  g_clear_pointer (&result->reason, g_ptr_array_unref);
  result->verdict = NOTCH_VERDICT_TROUBLE;
  write_reports (scene, NULL, 1);
  g_autofree char *row = notch_summary_row (result);
  g_assert_nonnull (strstr (row, ",trouble,"));
}

static void
test_jobs (void)
{
  const char *const name[] = { "defects.csv", "dice.csv", "overlay.png", "map.png", "crops/3.png", "summary.json" };
  g_autoptr (Scene) scene =
      scene_new (&(Setup){ .width = 900, .height = 800, .cols = 5, .rows = 5, .n_defects = 40, .wafer = TRUE });
  char *before[G_N_ELEMENTS (name)] = { NULL };
  gsize length[G_N_ELEMENTS (name)];
  const int jobs[] = { 1, 2, 7 };
  for (guint j = 0; j < G_N_ELEMENTS (jobs); j++) {
    write_reports (scene, NULL, jobs[j]);
    for (guint i = 0; i < G_N_ELEMENTS (name); i++) {
      gsize n;
      char *now = read_file (scene, name[i], &n);
      if (before[i])
        g_assert_cmpmem (before[i], length[i], now, n);
      g_free (before[i]);
      before[i] = now;
      length[i] = n;
    }
  }
  for (guint i = 0; i < G_N_ELEMENTS (name); i++)
    g_free (before[i]);
}

static void
test_unwritable (void)
{
  g_autoptr (Scene) scene = scene_new (&(Setup){ .width = 64, .height = 64, .n_defects = 2 });
  add_spectrum (scene->result);
  /* A file where the folder should be: nobody can write below it. */
  g_autofree char *folder = g_build_filename (scene->folder, "file", NULL);
  g_file_set_contents (folder, "", 0, NULL);
  for (const NotchReport *const *report = notch_reports; *report; report++) {
    g_autoptr (GError) error = NULL;
    NotchReportJob job = { .result = scene->result, .folder = folder, .store = scene->store, .jobs = 2 };
    if (strcmp ((*report)->name, "haze") == 0) /* dice have none, so nothing is written */
      continue;
    g_assert_false ((*report)->write (&job, &error));
    g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_WRITE);
    g_assert_nonnull (strstr (error->message, folder));
    g_autoptr (GError) all = NULL;
    g_assert_false (notch_reports_write (&job, (*report)->name, &all));
    g_assert_nonnull (all);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/report/number", test_number);
  g_test_add_func ("/report/field", test_field);
  g_test_add_func ("/report/formats", test_formats);
  g_test_add_func ("/report/only-wanted", test_only_wanted);
  g_test_add_func ("/report/defects-csv", test_defects_csv);
  g_test_add_func ("/report/dice-csv", test_dice_csv);
  g_test_add_func ("/report/summary-csv", test_summary_csv);
  g_test_add_func ("/report/json", test_json);
  g_test_add_func ("/report/json-unknowns", test_json_unknowns);
  g_test_add_func ("/report/overlay", test_overlay);
  g_test_add_func ("/report/overlay-reduced", test_overlay_reduced);
  g_test_add_func ("/report/class-looks", test_class_looks);
  g_test_add_func ("/report/map", test_map);
  g_test_add_func ("/report/crops", test_crops);
  g_test_add_func ("/report/spectrum", test_spectrum);
  g_test_add_func ("/report/variants", test_variants);
  g_test_add_func ("/report/bare", test_bare);
  g_test_add_func ("/report/jobs", test_jobs);
  g_test_add_func ("/report/unwritable", test_unwritable);
  return g_test_run ();
}
