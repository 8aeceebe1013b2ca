/* region.c - rectangles, polygons and masks in dice, on a wafer, in an image: against a place by place judgement */
#include "inspect/wafer/regions.h"

#include <glib/gstdio.h>
#include <math.h>

#include "inspect/image/write.h"

#define WIDTH  700
#define HEIGHT 500

static char *folder;

static char *
write_text (const char *name, const char *text)
{
  char *path = g_build_filename (folder, name, NULL);
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  return path;
}

/* An image of 8 bits. */
static char *
write_mask (const char *name, int width, int height, const guint8 *value)
{
  char *path = g_build_filename (folder, name, NULL);
  const NotchTiffLayout layout = { .width = width, .height = height, .sample = NOTCH_SAMPLE_U8, .bits = 8 };
  g_autoptr (NotchTiffWriter) writer = notch_tiff_writer_new (path, &layout, NULL);
  g_assert_true (notch_tiff_writer_rows (writer, value, height, NULL) && notch_tiff_writer_commit (writer, NULL));
  return path;
}

/* Dice of 60 x 45 µm at half a µm a pixel, turned; a wafer's edge with its notch on the left. */
typedef struct {
  NotchRecipe *recipe;
  NotchGrid *grid;
  NotchOutline outline;
  NotchRegions *regions;
} Fixture;

static NotchGrid *
make_grid (NotchRecipe *recipe)
{
  const NotchOutline none = { .notch_angle = NAN };
  recipe->dice.pitch_x_px = 120.37, recipe->dice.pitch_y_px = 90.11;
  recipe->dice.origin_x_px = -33.3, recipe->dice.origin_y_px = -21.7;
  recipe->dice.angle_mrad = 18;
  recipe->dice.partial = TRUE;
  NotchGrid *grid = notch_grid_new (recipe, WIDTH, HEIGHT, 0.5, &none, NULL);
  g_assert_nonnull (grid);
  return grid;
}

static void
set_up (Fixture *f, const char *text)
{
  g_autoptr (GError) error = NULL;
  f->recipe = notch_recipe_parse (text, "r", &error);
  g_assert_no_error (error);
  f->grid = make_grid (f->recipe);
  f->outline = (NotchOutline){ .x = 340.2, .y = 251.9, .radius = 300, .notch_angle = G_PI };
  f->regions = notch_regions_load (f->recipe, &error);
  g_assert_no_error (error);
  const NotchRegionPlace place = { f->grid, &f->outline, WIDTH, HEIGHT, 0.5 };
  notch_regions_place (f->regions, &place, &error);
  g_assert_no_error (error);
}

static void
tear_down (Fixture *f)
{
  notch_regions_free (f->regions);
  notch_grid_free (f->grid);
  notch_recipe_free (f->recipe);
}

/* Judges a place by its µm; NAN: too near a border to tell. */
typedef double (*Judge) (const Fixture *f, double x, double y);

static void
compare (const Fixture *f, Judge judge)
{
  float row[WIDTH], one;
  int seen[2] = { 0, 0 };
  for (int y = 0; y < HEIGHT; y++) {
    notch_regions_row (f->regions, 0, y, WIDTH, row);
    for (int x = 0; x < WIDTH; x++) {
      double wanted = judge (f, x, y);
      if (isnan (wanted))
        continue;
      if (row[x] != (float) wanted)
        g_error ("%d, %d has %g, not %g", x, y, (double) row[x], wanted);
      seen[row[x] > 0]++;
    }
    /* A place is judged alike wherever its row begins. */
    int x = (y * 37) % WIDTH;
    notch_regions_row (f->regions, x, y, 1, &one);
    g_assert_cmpfloat (one, ==, row[x]);
  }
  g_assert_cmpint (seen[0], >, WIDTH * HEIGHT / 20);
  g_assert_cmpint (seen[1], >, WIDTH * HEIGHT / 20);
}

static gboolean
to_die (const Fixture *f, double x, double y, double *x_um, double *y_um)
{
  const NotchDie *die = notch_grid_locate (f->grid, x, y);
  if (die)
    notch_die_to_um (f->grid, die, 0.5, x, y, x_um, y_um);
  return die != NULL;
}

/* ---- rectangles -------------------------------------------------------------------------------------------------- */

static double
judge_rectangles (const Fixture *f, double x, double y)
{
  double u, v;
  if (!to_die (f, x, y, &u, &v))
    return 0;
  if (u >= 35 && u < 45 && v >= 3 && v < 40)
    return 0; /* excluded, whatever comes later */
  if (u >= 20 && u < 50 && v >= 10 && v < 20)
    return 2;
  return u >= 5 && v >= 2 && u < 55 && v < 32 ? 0.5 : 0;
}

static void
test_rectangles (void)
{
  Fixture f;
  set_up (&f, "[region wide]\nx_um=5\ny_um=2\nwidth_um=50\nheight_um=30\nsensitivity=0.5\n"
              "[region out]\nkind=exclude\nx_um=35\ny_um=3\nwidth_um=10\nheight_um=37\n"
              "[region keen]\nx_um=20\ny_um=10\nwidth_um=30\nheight_um=10\nsensitivity=2\n");
  compare (&f, judge_rectangles);
  tear_down (&f);
}

/* Without dice a die's frame is the image's; with whole µm borders lie between pixels. */
static void
test_without_dice (void)
{
  g_autoptr (NotchRecipe) recipe =
      notch_recipe_parse ("[region a]\nx_um=10\ny_um=20\nwidth_um=30\nheight_um=40\n", "r", NULL);
  g_autoptr (NotchRegions) regions = notch_regions_load (recipe, NULL);
  const NotchOutline none = { .notch_angle = NAN };
  const NotchRegionPlace place = { NULL, &none, 100, 90, 0 };
  g_assert_true (notch_regions_place (regions, &place, NULL));
  float row[100];
  for (int y = 0; y < 90; y++) {
    notch_regions_row (regions, 0, y, 100, row);
    for (int x = 0; x < 100; x++)
      g_assert_cmpfloat (row[x], ==, x >= 10 && x < 40 && 89 - y >= 20 && 89 - y < 60);
  }
}

/* ---- polygons ---------------------------------------------------------------------------------------------------- */

static const double star[][2] = { { 2, 3 },   { 30, 12 },  { 58, 2 },  { 45, 22 }, { 57, 43 },
                                  { 31, 33 }, { 3, 44.5 }, { 16, 22 }, { 9, 15 } };
static const double hole[][2] = { { 22, 18 }, { 38, 16 }, { 33, 27 }, { 24, 28 } };

/* Crossings to the left; NAN when a side is hit too nearly. */
static double
count_sides (const double (*corner)[2], int n, double x, double y)
{
  int crossed = 0;
  for (int i = 0; i < n; i++) {
    const double *a = corner[i], *b = corner[(i + 1) % n];
    double length = hypot (b[0] - a[0], b[1] - a[1]);
    double off = ((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])) / length;
    if (fabs (off) < 1e-9 || fabs (y - a[1]) < 1e-12)
      return NAN;
    if ((a[1] <= y) != (b[1] <= y))
      crossed += a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0]) < x;
  }
  return crossed;
}

static double
judge_star (double x, double y)
{
  double n = count_sides (star, G_N_ELEMENTS (star), x, y) + count_sides (hole, G_N_ELEMENTS (hole), x, y);
  return isnan (n) ? NAN : (int) n % 2;
}

static double
judge_star_in_die (const Fixture *f, double x, double y)
{
  double u, v;
  return to_die (f, x, y, &u, &v) ? judge_star (u, v) : 0;
}

static double
judge_star_in_wafer (const Fixture *f, double x, double y)
{
  double u, v;
  const NotchFrame frame = notch_frame_new (f->recipe, f->grid, &f->outline, WIDTH, HEIGHT, 0.5);
  notch_frame_to_wafer (&frame, x, y, &u, &v);
  return judge_star (u / 5 + 30, v / 5 + 20);
}

static void
append_star (GString *csv, double scale, double x, double y)
{
  for (guint i = 0; i < G_N_ELEMENTS (star); i++)
    g_string_append_printf (csv, "star,%.17g,%.17g\n", scale * (star[i][0] - x), scale * (star[i][1] - y));
  for (guint i = 0; i < G_N_ELEMENTS (hole); i++)
    g_string_append_printf (csv, "\"a hole\",%.17g,%.17g\n", scale * (hole[i][0] - x), scale * (hole[i][1] - y));
}

static void
test_polygons (void)
{
  g_autoptr (GString) in_die = g_string_new ("polygon,x_um,y_um\n"), on_wafer = g_string_new ("polygon,x_um,y_um\n");
  append_star (in_die, 1, 0, 0);
  append_star (on_wafer, 5, 30, 20);
  g_autofree char *die_csv = write_text ("die.csv", in_die->str), *wafer_csv = write_text ("wafer.csv", on_wafer->str);
  g_autofree char *die_text = g_strdup_printf ("[region a]\npolygons=%s\n", die_csv);
  g_autofree char *wafer_text = g_strdup_printf ("[region a]\nframe=wafer\npolygons=%s\n", wafer_csv);
  Fixture f;
  set_up (&f, die_text);
  compare (&f, judge_star_in_die);
  tear_down (&f);
  set_up (&f, wafer_text);
  compare (&f, judge_star_in_wafer);
  tear_down (&f);
}

/* A comb whose teeth cross all rows, so that there can be few bands, and many sides in each. */
static void
test_comb (void)
{
  g_autoptr (GString) csv = g_string_new ("polygon,x_um,y_um\n");
  for (int i = 0; i < 300; i++)
    g_string_append_printf (csv, "%d,%d,0\n%d,%d,0\n%d,%d,500\n%d,%d,500\n", i, 2 * i, i, 2 * i + 1, i, 2 * i + 1, i,
                            2 * i);
  g_autofree char *path = write_text ("comb.csv", csv->str);
  g_autofree char *text = g_strdup_printf ("[region a]\nkind=exclude\nframe=image\npolygons=%s\n", path);
  g_autoptr (NotchRecipe) recipe = notch_recipe_parse (text, "r", NULL);
  g_autoptr (NotchRegions) regions = notch_regions_load (recipe, NULL);
  const NotchOutline none = { .notch_angle = NAN };
  const NotchRegionPlace place = { NULL, &none, WIDTH, HEIGHT, 1 };
  g_assert_true (notch_regions_place (regions, &place, NULL));
  float row[WIDTH];
  for (int y = 0; y < HEIGHT; y += 7) {
    notch_regions_row (regions, 0, y, WIDTH, row);
    for (int x = 0; x < WIDTH; x++)
      g_assert_cmpfloat (row[x], ==, x >= 600 || x % 2 == 1);
  }
}

/* ---- masks ------------------------------------------------------------------------------------------------------- */

static const guint8 picture[5][4] = {
  { 0, 9, 0, 0 }, { 0, 9, 0, 0 }, { 1, 0, 255, 255 }, { 0, 0, 0, 0 }, { 7, 7, 7, 0 }
};

/* Place (u, v) of a box, from its upper left corner. */
static double
judge_picture (double u, double v, double width, double height)
{
  double col = 4 * u / width, row = 5 * v / height;
  if (fabs (col - rint (col)) < 1e-9 || fabs (row - rint (row)) < 1e-9)
    return NAN;
  return col > 0 && row > 0 && col < 4 && row < 5 && picture[(int) row][(int) col] > 0;
}

static double
judge_mask_of_die (const Fixture *f, double x, double y)
{
  double u, v;
  return to_die (f, x, y, &u, &v) ? judge_picture (u, 90.11 / 2 - v, 120.37 / 2, 90.11 / 2) : 0;
}

static double
judge_mask_in_box (const Fixture *f, double x, double y)
{
  double u, v;
  return to_die (f, x, y, &u, &v) ? judge_picture (u - 8, 4 + 36 - v, 50, 36) : 0;
}

static double
judge_mask_of_image (const Fixture *f G_GNUC_UNUSED, double x, double y)
{
  return judge_picture (x + 0.5, y + 0.5, WIDTH, HEIGHT);
}

static double
judge_mask_of_wafer (const Fixture *f, double x, double y)
{
  double u, v;
  const NotchFrame frame = notch_frame_new (f->recipe, f->grid, &f->outline, WIDTH, HEIGHT, 0.5);
  notch_frame_to_wafer (&frame, x, y, &u, &v);
  return judge_picture (u + 150, 150 - v, 300, 300);
}

static void
test_masks (void)
{
  const struct {
    const char *more;
    Judge judge;
  } list[] = { { "", judge_mask_of_die },
               { "x_um=8\ny_um=4\nwidth_um=50\nheight_um=36\n", judge_mask_in_box },
               { "frame=wafer\n", judge_mask_of_wafer },
               { "frame=image\nwidth_um=350\nheight_um=250\n", judge_mask_of_image } };
  g_autofree char *path = write_mask ("mask.tif", 4, 5, picture[0]);
  for (gsize i = 0; i < G_N_ELEMENTS (list); i++) {
    g_autofree char *text = g_strdup_printf ("[region a]\nmask=%s\n%s", path, list[i].more);
    Fixture f;
    set_up (&f, text);
    compare (&f, list[i].judge);
    tear_down (&f);
  }
}

/* ---- methods ----------------------------------------------------------------------------------------------------- */

typedef struct {
  const Fixture *fixture;
  int n;
} Boxes;

/* An upright box lies in its turned rectangle, and is hardly smaller. */
static void
check_box (const NotchRegion *region, const NotchDie *die, const NotchRegionBox *box, gpointer data)
{
  Boxes *boxes = data;
  gboolean whole = box->x0 > 0 && box->y0 > 0 && box->x1 < WIDTH && box->y1 < HEIGHT;
  g_assert_cmpstr (region->name, ==, "memory");
  for (int corner = 0; corner < 4; corner++) {
    double u, v;
    notch_die_to_um (boxes->fixture->grid, die, 0.5, (double) (corner & 1 ? box->x1 - 1 : box->x0),
                     (double) (corner >> 1 ? box->y1 - 1 : box->y0), &u, &v);
    g_assert_true (u >= 10 - 1e-9 && u < 50 + 1e-9 && v >= 5 - 1e-9 && v < 35 + 1e-9);
  }
  g_assert_true (!whole || (box->x1 - box->x0 >= 77 && box->y1 - box->y0 >= 57)); /* of 80 x 60 px */
  boxes->n++;
}

static void
test_boxes (void)
{
  Fixture f;
  set_up (&f, "[region rest]\nwidth_um=60\nheight_um=45\n"
              "[region memory]\nx_um=10\ny_um=5\nwidth_um=40\nheight_um=30\nmethod=array\n");
  Boxes boxes = { &f, 0 };
  notch_regions_boxes (f.regions, 0, 0, WIDTH, HEIGHT, check_box, &boxes);
  g_assert_cmpint (boxes.n, >, 25);
  tear_down (&f);
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

static void
test_bad_files (void)
{
  static const struct {
    const char *key, *text, *message; /* text NULL: there is no such file */
  } bad[] = {
    { "polygons", NULL, "r:2: [region a] polygons: * cannot be read" },
    { "polygons", "", "is empty" },
    { "polygons", "name,x_um,y_um\n", "there is no column polygon; the first line must be polygon,x_um,y_um" },
    { "polygons", "polygon,x_um\na,1\n", "there is no column y_um" },
    { "polygons", "polygon,x_um,y_um\n", "there is no polygon in it" },
    { "polygons", "polygon,x_um,y_um\na,1,1\na,2,2\nb,1,1\nb,2,1\nb,2,2\n", "line 2: polygon \"a\" has 2 corners" },
    { "polygons", "polygon,x_um,y_um\na,1,1\na,2,1\na,2,2\nb,1,1\n", "line 5: polygon \"b\" has 1 corner;" },
    { "polygons", "polygon,x_um,y_um\na,1,1\na,2,1\na,2,two\n", "line 4: y_um is \"two\", which is no number" },
    { "polygons", "polygon,x_um,y_um\na,1,1\na,2,1\na,2,inf\n", "line 4: y_um is \"inf\"" },
    { "polygons", "polygon,x_um,y_um\na,1,1\na,,1\na,2,2\n", "line 3: x_um is empty" },
    { "polygons", "polygon,x_um,y_um\na,1,1\na,1,2\na,1,3\n", "lie on one line" },
    { "mask", NULL, "r:2: [region a] mask: " },
    { "mask", "no image at all", "bad" },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;
    g_autofree char *path = bad[i].text ? write_text ("bad", bad[i].text) : g_build_filename (folder, "none", NULL);
    g_autofree char *text = g_strdup_printf ("[region a]\n%s=%s\n", bad[i].key, path);
    g_autoptr (NotchRecipe) recipe = notch_recipe_parse (text, "r", NULL);
    g_autoptr (NotchRegions) regions = notch_regions_load (recipe, &error);
    g_assert_null (regions);
    g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE);
    g_autofree char *pattern = g_strconcat ("*", bad[i].message, "*", NULL);
    if (!g_pattern_match_simple (pattern, error->message))
      g_error ("\"%s\" is not in \"%s\"", bad[i].message, error->message);
    g_assert_null (strchr (error->message, '\n'));
  }
  static const guint8 black[4][4];
  g_autofree char *path = write_mask ("black.tif", 4, 4, black[0]),
                  *text = g_strdup_printf ("[region a]\nmask=%s\n", path);
  g_autoptr (NotchRecipe) recipe = notch_recipe_parse (text, "r", NULL);
  g_autoptr (GError) error = NULL;
  g_assert_null (notch_regions_load (recipe, &error));
  g_assert_nonnull (strstr (error->message, "black.tif: no pixel is above 0, so nothing is inside"));
}

/* Noise is no mask, and is told before it fills the memory. */
static void
test_ragged (void)
{
  const int side = 3000;
  g_autofree guint8 *value = g_new (guint8, side * side);
  for (int i = 0; i < side * side; i++)
    value[i] = (guint8) (g_test_rand_int () & 1);
  g_autofree char *path = write_mask ("ragged.tif", side, side, value);
  g_autofree char *text = g_strdup_printf ("[detect]\nmemory_mib=16\n[region a]\nmask=%s\n", path);
  g_autoptr (NotchRecipe) recipe = notch_recipe_parse (text, "r", NULL);
  g_autoptr (GError) error = NULL;
  g_assert_null (notch_regions_load (recipe, &error));
  g_assert_nonnull (strstr (error->message, "so ragged that it does not fit into the memory"));
}

static void
test_bad_places (void)
{
  g_autofree char *far = write_text ("far.csv", "polygon,x_um,y_um\na,1,1\na,70,1\na,1,20\n");
  g_autofree char *mask = write_mask ("square.tif", 4, 4, picture[0]);
  g_autofree char *texts[] = { g_strdup_printf ("[region a]\npolygons=%s\n", far),
                               g_strdup ("[region a]\nframe=wafer\nx_um=-5\nwidth_um=10\nheight_um=10\n"),
                               g_strdup_printf ("[region a]\nframe=image\nmask=%s\n", mask) };
  static const char *const message[] = { "corners lie between x_um of 1 and 70, and the die ends at 60.185",
                                         "[region a] frame: the image shows no wafer's edge",
                                         "it has 4 x 4 px and the image 700 x 500; it must show the whole image" };
  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (NotchRecipe) recipe = notch_recipe_parse (texts[i], "r", &error);
    g_assert_no_error (error);
    g_autoptr (NotchGrid) grid = make_grid (recipe);
    g_autoptr (NotchRegions) regions = notch_regions_load (recipe, NULL);
    const NotchOutline none = { .notch_angle = NAN };
    const NotchRegionPlace place = { grid, &none, WIDTH, HEIGHT, 0.5 };
    g_assert_false (notch_regions_place (regions, &place, &error));
    g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE);
    if (!strstr (error->message, message[i]))
      g_error ("\"%s\" is not in \"%s\"", message[i], error->message);
    g_free (g_steal_pointer (&texts[i]));
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("notch-regions-XXXXXX", NULL);
  g_test_add_func ("/regions/rectangles", test_rectangles);
  g_test_add_func ("/regions/without-dice", test_without_dice);
  g_test_add_func ("/regions/polygons", test_polygons);
  g_test_add_func ("/regions/comb", test_comb);
  g_test_add_func ("/regions/masks", test_masks);
  g_test_add_func ("/regions/boxes", test_boxes);
  g_test_add_func ("/regions/bad-files", test_bad_files);
  g_test_add_func ("/regions/ragged", test_ragged);
  g_test_add_func ("/regions/bad-places", test_bad_places);
  int status = g_test_run ();
  static const char *const left[] = { "die.csv", "wafer.csv", "comb.csv",   "mask.tif",  "bad",
                                      "far.csv", "black.tif", "square.tif", "ragged.tif" };
  for (gsize i = 0; i < G_N_ELEMENTS (left); i++) {
    g_autofree char *path = g_build_filename (folder, left[i], NULL);
    g_remove (path);
  }
  g_rmdir (folder);
  g_free (folder);
  return status;
}
