/* Golden references: where their pixels lie, what their files may say, what is learned, and what it finds. */
#include "inspect/wafer/golden.h"
#include "inspect/csv.h"
#include "inspect/image/write.h"
#include "tests/few.h"
#include "tests/scene.h"

#include <glib/gstdio.h>
#include <string.h>

#define PITCH_X 120
#define PITCH_Y 104
#define COLS    6
#define ROWS    5

static char *folder;

static char *
in_folder (const char *name)
{
  return g_build_filename (folder, name, NULL);
}

static void
write_image (const char *path, const float *value, int width, int height, double pixel_um)
{
  g_autoptr (GError) error = NULL;
  NotchTiffLayout layout = {
    .width = width, .height = height, .sample = NOTCH_SAMPLE_F32, .bits = 32, .pixel_um = pixel_um
  };
  g_autoptr (NotchTiffWriter) writer = notch_tiff_writer_new (path, &layout, &error);
  g_assert_no_error (error);
  g_assert_true (notch_tiff_writer_rows (writer, value, height, &error));
  g_assert_true (notch_tiff_writer_commit (writer, &error));
}

/* ---- where pixels lie ------------------------------------------------------------------------------------------ */

static void
test_there_and_back (void)
{
  const NotchGolden golden = { .die_width = 200, .die_height = 150 };
  double angle = 0.001, worst = 0;
  NotchGrid grid = {
    .ax = 200.1 * cos (angle), .ay = 200.1 * sin (angle), .bx = -150 * sin (angle), .by = 150 * cos (angle)
  };
  const NotchDie die = { .x = 412.25, .y = 99.5 };
  const NotchWarp warp = { .centre_x = 512, .centre_y = 175, .dx = 1.3, .dy = -0.7, .xx = 1e-4, .yx = -2e-4 };
  NotchGoldenDie at = notch_golden_die (&grid, &die, &warp);
  for (int y = 0; y <= 166; y += 83)
    for (int x = 0; x <= 216; x += 54) {
      double image_x, image_y, back_x, back_y;
      notch_golden_to_image (&golden, &at, x, y, &image_x, &image_y);
      notch_golden_from_image (&golden, &at, image_x, image_y, &back_x, &back_y);
      worst = MAX (worst, hypot (back_x - x, back_y - y));
    }
  /* The warp is taken at either end of a shift of about a pixel, and changes by 2e-4 a pixel between. */
  g_assert_cmpfloat (worst, <, 5e-4);
  /* An upright die at its place: its first pixel is the first one behind the margin. */
  const NotchGrid plain = { .ax = 200, .by = 150 };
  const NotchDie first = { .x = -0.5, .y = -0.5 };
  const NotchWarp none = { 0 };
  double x, y;
  at = notch_golden_die (&plain, &first, &none);
  notch_golden_from_image (&golden, &at, 0, 0, &x, &y);
  g_assert_cmpfloat (x, ==, NOTCH_GOLDEN_MARGIN);
  g_assert_cmpfloat (y, ==, NOTCH_GOLDEN_MARGIN);
  g_assert_cmpfloat (notch_golden_slope (&golden, &at), ==, 0);
}

/* ---- files that lie -------------------------------------------------------------------------------------------- */

/* Writes pages of a golden reference with this description, cut to `bytes` where that is not 0. */
static char *
write_golden (const char *description, int width, int height, int pages)
{
  char *path = in_folder ("lie.tif");
  g_autoptr (GError) error = NULL;
  g_autofree float *value = g_new0 (float, width *height);
  NotchTiffLayout layout = {
    .width = width, .height = height, .sample = NOTCH_SAMPLE_F32, .bits = 32, .description = description, .pages = pages
  };
  g_autoptr (NotchTiffWriter) writer = notch_tiff_writer_new (path, &layout, &error);
  for (int page = 0; page < pages; page++) {
    g_assert_true (page == 0 || notch_tiff_writer_next_page (writer, &error));
    g_assert_true (notch_tiff_writer_rows (writer, value, height, &error));
  }
  g_assert_true (notch_tiff_writer_commit (writer, &error));
  return path;
}

static char *
describe (void)
{
  char hash[] = "0123";
  const NotchGolden golden = { .die_width = 100.25,
                               .die_height = 80,
                               .pixel_um = 0.5,
                               .n_images = 2,
                               .n_dice = 30,
                               .noise = { 1, 0.5f, 0, 0, 0 },
                               .recipe = hash };
  return notch_golden_describe (&golden);
}

static char *
replaced (const char *from, const char *to)
{
  g_autofree char *text = describe ();
  g_auto (GStrv) part = g_strsplit (text, from, 2);
  g_assert_cmpuint (g_strv_length (part), ==, 2);
  return g_strjoin (to, part[0], part[1], NULL);
}

static void
refused (const char *description, int width, int height, int pages, const char *why)
{
  g_autofree char *path = write_golden (description, width, height, pages);
  for (int page = NOTCH_GOLDEN_SIGMA; page <= NOTCH_GOLDEN_COUNT; page++) {
    g_autoptr (GError) error = NULL;
    g_assert_null (notch_golden_open (path, page, 1 << 24, NULL, &error));
    g_assert_nonnull (error);
    if (!g_str_has_prefix (error->message, path) || !strstr (error->message, why) || strchr (error->message, '\n'))
      g_error ("\"%s\" does not name the file and tell \"%s\"", error->message, why);
  }
}

static void
test_files (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchGolden) golden = NULL;
  g_autofree char *text = describe (), *path = write_golden (text, 116, 96, 3);
  g_autoptr (NotchSource) source = notch_golden_open (path, NOTCH_GOLDEN_COUNT, 1 << 24, &golden, &error);
  g_assert_no_error (error);
  g_assert_cmpfloat (golden->die_width, ==, 100.25);
  g_assert_cmpfloat (golden->pixel_um, ==, 0.5);
  g_assert_cmpint (golden->n_dice, ==, 30);
  g_assert_cmpfloat (golden->noise.b, ==, 0.5);
  g_assert_cmpstr (golden->recipe, ==, "0123");

  const struct {
    const char *from, *to, *why;
  } lie[] = {
    { "\"notch_golden\" : 1", "\"notch_golden\" : 2", "version 2" },
    { "\"notch_golden\" : 1", "\"notch_golden\" : \"1\"", "is no golden reference" },
    { "\"notch_golden\" : 1", "\"notch_silver\" : 1", "is no golden reference" },
    { "100.25", "90", "damaged" },
    { "100.25", "1e400", "damaged" },
    { "100.25", "-100.25", "damaged" },
    { "100.25", "null", "damaged" },
    { "\"margin_px\" : 8", "\"margin_px\" : 4", "damaged" },
    { "\"dice\" : 30", "\"dice\" : 0", "damaged" },
    { "\"dice\" : 30", "\"dice\" : [30]", "damaged" },
    { "\"recipe_sha256\" : \"0123\"", "\"recipe_sha256\" : 123", "damaged" },
    { "\"b\" : 0.5", "\"b\" : -1", "damaged" },
    { "\"b\" : 0.5", "\"f\" : 1", "damaged" },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (lie); i++) {
    g_autofree char *wrong = replaced (lie[i].from, lie[i].to);
    refused (wrong, 116, 96, 3, lie[i].why);
  }
  refused (NULL, 116, 96, 3, "is no golden reference");
  refused ("notch simulate, seed 3", 116, 96, 3, "is no golden reference");
  refused ("[1, 2", 116, 96, 3, "is no golden reference");
  refused ("[1, 2]", 116, 96, 3, "is no golden reference");
  refused (text, 117, 96, 3, "damaged");
  refused (text, 116, 96, 1, "has 1 page");
}

static void
test_fits (void)
{
  const NotchGolden golden = { .die_width = 1000, .die_height = 800, .pixel_um = 0.5 };
  const struct {
    double width, height, pixel_um;
    const char *why; /* NULL: it fits */
  } dice[] = {
    { 1000, 800, 0.5, NULL },  { 1001.4, 799, 0.5012, NULL },   { 1000, 800, 0, NULL },
    { 1010, 800, 0.5, "die" }, { 1000, 400, 0.5, "800.00 px" }, { 1000, 800, 0.52, "pixels of 0.5" },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (dice); i++) {
    g_autoptr (GError) error = NULL;
    const NotchGrid grid = { .ax = dice[i].width, .by = dice[i].height };
    g_assert_cmpint (notch_golden_fits (&golden, "g.tif", &grid, dice[i].pixel_um, &error), ==, dice[i].why == NULL);
    if (dice[i].why && (!strstr (error->message, dice[i].why) || !g_str_has_prefix (error->message, "g.tif ")))
      g_error ("\"%s\" does not tell \"%s\"", error->message, dice[i].why);
  }
}

/* ---- learning and inspecting ----------------------------------------------------------------------------------- */

/* The same product on every wafer: one drawing, with other noise, gains and defects each time. */
typedef struct {
  int width, height;
  float *value;
} Wafer;

static Wafer
wafer_new (double offset, guint32 seed)
{
  const Scene scene = { .width = PITCH_X * COLS,
                        .height = PITCH_Y * ROWS,
                        .pitch_x = PITCH_X,
                        .pitch_y = PITCH_Y,
                        .x = offset,
                        .y = -offset / 2,
                        .vignetting = 0.1,
                        .layout = SCENE_MIXED,
                        .seed = 7 };
  Wafer wafer = { scene.width, scene.height, scene_draw (&scene) };
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
  for (int i = 0; i < wafer.width * wafer.height; i++)
    wafer.value[i] += (float) (1.5 * scene_normal (rand));
  return wafer;
}

/* A bright spot of sigma 1 px. */
static void
paint (Wafer *wafer, double x, double y, double peak)
{
  for (int j = MAX ((int) y - 4, 0); j <= MIN ((int) y + 4, wafer->height - 1); j++)
    for (int i = MAX ((int) x - 4, 0); i <= MIN ((int) x + 4, wafer->width - 1); i++)
      wafer->value[j * wafer->width + i] += (float) (peak * exp (-((i - x) * (i - x) + (j - y) * (j - y)) / 2));
}

static char *
save (Wafer *wafer, const char *name)
{
  char *path = in_folder (name);
  write_image (path, wafer->value, wafer->width, wafer->height, 0.5);
  g_clear_pointer (&wafer->value, g_free);
  return path;
}

static NotchRecipe *
recipe_new (void)
{
  g_autoptr (GError) error = NULL;
  NotchRecipe *recipe = notch_recipe_new ();
  static const char *const setting[] = { "dice.pitch_x_px=120", "dice.pitch_y_px=104", "dice.origin_x_px=-0.5",
                                         "dice.origin_y_px=-0.5", "wafer.round=false" };
  for (gsize i = 0; i < G_N_ELEMENTS (setting); i++)
    g_assert_true (notch_recipe_set (recipe, setting[i], &error));
  return recipe;
}

static void
learn (char **images, const char *golden)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchRecipe) recipe = recipe_new ();
  const NotchLearnOptions options = { .recipe = recipe, .device = "cpu", .jobs = 2 };
  g_autofree char *report = NULL;
  gboolean well = notch_learn (images, golden, &options, NULL, NULL, &report, &error);
  g_assert_no_error (error);
  g_assert_true (well);
  g_test_message ("%s", report);
}

/* The page of a golden reference. */
static float *
read_page (const char *path, int page, gint64 *width, gint64 *height)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchSource) source = notch_golden_open (path, page, 1 << 26, NULL, &error);
  g_assert_no_error (error);
  *width = source->width, *height = source->height;
  float *value = g_new (float, source->width * source->height);
  g_assert_true (notch_source_read (source, 0, source->height, value, 1, &error));
  return value;
}

static int
compare_floats (const void *a, const void *b)
{
  float x = *(const float *) a, y = *(const float *) b;
  return (x > y) - (x < y);
}

static void
test_learn (void)
{
  Wafer one = wafer_new (0, 1), two = wafer_new (0.4, 2);
  for (int k = 0; k < 5; k++) /* a defect at the same place of a few dice, and a die that is blank */
    paint (&one, PITCH_X * (k + 1) + 40, PITCH_Y * (k % 3) + 30, 60);
  for (int y = PITCH_Y; y < 2 * PITCH_Y; y++)
    for (int x = 0; x < PITCH_X; x++)
      two.value[y * two.width + x] = 60;
  g_autofree char *a = save (&one, "a.tif"), *b = save (&two, "b.tif"), *golden = in_folder ("learned.tif");
  char *images[] = { a, b, NULL };
  learn (images, golden);
  gint64 width, height;
  g_autofree float *mean = read_page (golden, NOTCH_GOLDEN_MEAN, &width, &height);
  g_autofree float *sigma = read_page (golden, NOTCH_GOLDEN_SIGMA, &width, &height);
  g_autofree float *count = read_page (golden, NOTCH_GOLDEN_COUNT, &width, &height);
  g_assert_cmpint (width, ==, PITCH_X + 2 * NOTCH_GOLDEN_MARGIN);
  g_assert_cmpint (height, ==, PITCH_Y + 2 * NOTCH_GOLDEN_MARGIN);
  gint64 middle = height / 2 * width + width / 2;
  g_assert_cmpfloat (count[middle], >=, 2 * COLS * ROWS - 3);
  g_assert_cmpfloat (count[middle], <=, 2 * COLS * ROWS - 1);
  /* The corner of the margin is seen only where a die has neighbours on that side. */
  g_assert_cmpfloat (count[0], >, 2 * (COLS - 1) * (ROWS - 1) - 8);
  g_assert_cmpfloat (count[0], <=, 2 * (COLS - 1) * (ROWS - 1));
  qsort (sigma, (size_t) (width * height), sizeof *sigma, compare_floats);
  /* Whole grey levels and noise: sqrt (1.5^2 + 1/12) = 1.53; 60 dice tell it within 9 % a pixel, the median far better. */
  g_assert_cmpfloat_with_epsilon (sigma[width * height / 2], 1.53, 0.08);
  /* Where the defects were it is as dark as in a wafer without them. */
  Wafer clean = wafer_new (0, 3);
  g_autofree char *c = save (&clean, "clean.tif"), *other = in_folder ("other.tif");
  char *again[] = { c, NULL };
  learn (again, other);
  g_autofree float *without = read_page (other, NOTCH_GOLDEN_MEAN, &width, &height);
  double worst = 0, sum2 = 0, shade = 0;
  int n = 0;
  for (int y = NOTCH_GOLDEN_MARGIN + 15; y < NOTCH_GOLDEN_MARGIN + 45; y++)
    for (int x = NOTCH_GOLDEN_MARGIN + 25; x < NOTCH_GOLDEN_MARGIN + 55; x++, n++)
      shade += (double) mean[y * width + x] / (double) without[y * width + x];
  shade /= n;
  for (int y = NOTCH_GOLDEN_MARGIN + 15; y < NOTCH_GOLDEN_MARGIN + 45; y++)
    for (int x = NOTCH_GOLDEN_MARGIN + 25; x < NOTCH_GOLDEN_MARGIN + 55; x++) {
      double difference = (double) mean[y * width + x] / shade - (double) without[y * width + x];
      worst = MAX (worst, fabs (difference)), sum2 += difference * difference;
    }
  /* Means of about 60 and 30 dice differ by 1.53 sqrt (1/60 + 1/30) = 0.34, and by what a shift of a few hundredths of a
   * pixel between their frames does at edges. Five dice of 60 with a spot of 60 would lift its middle by 5. */
  g_assert_cmpfloat (sqrt (sum2 / n), <, 0.8);
  g_assert_cmpfloat (worst, <, 2.5);
}

static GArray *
defects_of (const char *image, const char *golden, gboolean partial)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchRecipe) recipe = recipe_new ();
  g_autofree char *output = in_folder ("out"), *name = g_path_get_basename (image);
  recipe->dice.partial = partial;
  if (partial) /* the grid is found */
    g_assert_true (notch_recipe_set (recipe, "dice.origin_x_px=", &error)
                   && notch_recipe_set (recipe, "dice.origin_y_px=", &error));
  const NotchInspectOptions options = {
    .recipe = recipe, .output = output, .golden = golden, .device = "cpu", .formats = "defects", .jobs = 2
  };
  char *images[] = { (char *) image, NULL };
  NotchRunSummary summary = { 0 };
  g_autofree char *json = NULL;
  gboolean well = notch_inspect_run (images, &options, NULL, NULL, &summary, &json, &error);
  g_assert_no_error (error);
  g_assert_true (well);
  if (summary.n_trouble != 0)
    g_error ("%s", json);
  *strrchr (name, '.') = 0;
  g_autofree char *table = g_build_filename (output, name, "defects.csv", NULL);
  g_autoptr (NotchCsv) csv = notch_csv_load (table, &error);
  g_assert_no_error (error);
  GArray *list = g_array_new (FALSE, FALSE, 2 * sizeof (double));
  for (guint i = 0; i < csv->row->len; i++) {
    const double place[2] = { g_ascii_strtod (notch_csv_text (csv, i, notch_csv_column (csv, "x_px")), NULL),
                              g_ascii_strtod (notch_csv_text (csv, i, notch_csv_column (csv, "y_px")), NULL) };
    g_array_append_vals (list, place, 1);
  }
  return list;
}

static gboolean
found (const GArray *defects, double x, double y)
{
  for (guint i = 0; i < defects->len; i++) {
    const double *place = (const double *) (gconstpointer) defects->data + 2 * i;
    if (hypot (place[0] - x, place[1] - y) < 1.5)
      return TRUE;
  }
  return FALSE;
}

static char *
learn_product (void)
{
  Wafer wafer = wafer_new (0, 11);
  g_autofree char *image = save (&wafer, "product.tif");
  char *golden = in_folder ("golden.tif"), *images[] = { image, NULL };
  learn (images, golden);
  return golden;
}

/* The mask has a fault: every die has the same defect. Neighbours have it too; the golden die does not. */
static void
test_repeater (void)
{
  g_autofree char *golden = learn_product ();
  Wafer wafer = wafer_new (0.3, 12);
  for (int row = 0; row < ROWS; row++)
    for (int col = 0; col < COLS; col++)
      paint (&wafer, col * PITCH_X + 83.3, row * PITCH_Y + 52.8, 15);
  paint (&wafer, 2 * PITCH_X + 40, PITCH_Y + 80, 20);
  g_autofree char *image = save (&wafer, "repeaters.tif");
  g_autoptr (GArray) by_die = defects_of (image, NULL, FALSE), by_golden = defects_of (image, golden, FALSE);
  int seen_by_die = 0, seen_by_golden = 0;
  for (int row = 0; row < ROWS; row++)
    for (int col = 0; col < COLS; col++) {
      seen_by_die += found (by_die, col * PITCH_X + 83.3, row * PITCH_Y + 52.8);
      seen_by_golden += found (by_golden, col * PITCH_X + 83.3, row * PITCH_Y + 52.8);
    }
  g_assert_cmpint (seen_by_die, ==, 0);
  g_assert_cmpint (seen_by_golden, ==, COLS * ROWS);
  g_assert_true (found (by_die, 2 * PITCH_X + 40, PITCH_Y + 80));
  g_assert_true (found (by_golden, 2 * PITCH_X + 40, PITCH_Y + 80));
  g_assert_cmpuint (by_golden->len, <=, COLS * ROWS + 2);
}

/* Part of a wafer's image, as another file. */
static char *
save_part (const Wafer *wafer, int x, int y, int w, int h, const char *name)
{
  Wafer part = { w, h, g_new (float, w *h) };
  for (int row = 0; row < h; row++)
    memcpy (part.value + row * w, wafer->value + (y + row) * wafer->width + x, sizeof (float) * (gsize) w);
  return save (&part, name);
}

static void
test_few_dice (void)
{
  g_autofree char *golden = learn_product ();
  Wafer wafer = wafer_new (0.3, 13);
  paint (&wafer, 2 * PITCH_X + 30, 2 * PITCH_Y + 40, 25);
  paint (&wafer, 4 * PITCH_X - 8, 2 * PITCH_Y + 70, 25);
  /* One die, some pixels off the middle of its image, and further than registration looks. */
  for (int off = 10; off <= 50; off += few (20, 40)) {
    g_autofree char *single =
        save_part (&wafer, 2 * PITCH_X - off, 2 * PITCH_Y - 4, PITCH_X + off, PITCH_Y + 10, "one.tif");
    g_autoptr (GArray) in_single = defects_of (single, golden, TRUE);
    g_assert_true (found (in_single, 30 + off, 44));
    g_assert_cmpuint (in_single->len, <=, 2);
  }
  /* Exactly one die. */
  g_autofree char *exact = save_part (&wafer, 2 * PITCH_X, 2 * PITCH_Y, PITCH_X, PITCH_Y, "exact.tif");
  g_autoptr (GArray) in_exact = defects_of (exact, golden, TRUE);
  g_assert_true (found (in_exact, 30, 40));
  g_assert_cmpuint (in_exact->len, <=, 2);
  /* Six dice and partial ones around them. */
  g_autofree char *many =
      save_part (&wafer, PITCH_X - 50, PITCH_Y - 40, 3 * PITCH_X + 80, 2 * PITCH_Y + 80, "many.tif");
  g_autoptr (GArray) in_many = defects_of (many, golden, TRUE);
  g_assert_true (found (in_many, PITCH_X + 30 + 50, PITCH_Y + 40 + 40));
  g_assert_true (found (in_many, 3 * PITCH_X - 8 + 50, PITCH_Y + 70 + 40));
  /* Two more: of a partial die there is a strip too narrow to fit its brightness well, in which wide filters see something. */
  g_assert_cmpuint (in_many->len, <=, 4);
  g_free (wafer.value);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("notch-golden-XXXXXX", NULL);
  g_test_add_func ("/golden/there-and-back", test_there_and_back);
  g_test_add_func ("/golden/files", test_files);
  g_test_add_func ("/golden/fits", test_fits);
  g_test_add_func ("/golden/learn", test_learn);
  g_test_add_func ("/golden/repeater", test_repeater);
  g_test_add_func ("/golden/few-dice", test_few_dice);
  int status = g_test_run ();
  g_autofree char *command = g_strdup_printf ("rm -r '%s'", folder);
  if (!g_spawn_command_line_sync (command, NULL, NULL, NULL, NULL))
    status = 1;
  g_free (folder);
  return status;
}
