/* pictures.c - reports that are pictures, of made-up results */
#include "tests/result.h"

#include <png.h>

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
  int offset = -1;
  for (gsize i = 0; i + 20 < n && offset < 0; i++)
    if (!memcmp (bytes + i, " is page pixel (x / ", 20))
      offset = (int) g_ascii_strtoll (g_strstr_len (bytes + i, -1, "+ ") + 2, NULL, 10);
  if (offset < 0)
    g_test_fail_printf ("overlay.png does not tell its offset");
  return MAX (offset, 0);
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

/* Two notches, each with its mirror image (four marks of six solid pixels at least), are drawn on the residual's side; the
 * lattice on the image's. */
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

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/report/overlay", test_overlay);
  g_test_add_func ("/report/overlay-reduced", test_overlay_reduced);
  g_test_add_func ("/report/class-looks", test_class_looks);
  g_test_add_func ("/report/map", test_map);
  g_test_add_func ("/report/crops", test_crops);
  g_test_add_func ("/report/spectrum", test_spectrum);
  g_test_add_func ("/report/variants", test_variants);
  return g_test_run ();
}
