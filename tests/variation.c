/* variation.c - what differs from die to die, along the stage and in the camera; and that the clean image has it all */
#include "inspect/image/source.h"
#include "inspect/simulate/field.h"
#include "inspect/simulate/scene.h"
#include "inspect/simulate/sensor.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

enum { SIDE = 512, DIE = 256 };

static NotchSimulation
still (void)
{
  NotchSimulation s;
  notch_simulate_defaults (&s);
  s.width = s.height = SIDE;
  s.die_width = s.die_height = DIE;
  s.n_defects = 0;
  s.jitter = s.gain = s.focus = s.vignetting = 0;
  return s;
}

static float *
render (const NotchSimulation *s)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchLayout) layout = notch_layout_new (s, &error);
  g_assert_no_error (error);
  g_autoptr (NotchScene) scene = notch_scene_new (s, layout, &error);
  g_assert_no_error (error);
  float *grey = g_new (float, SIDE *SIDE);
  notch_scene_render (scene, 0, 0, SIDE, SIDE, grey);
  return grey;
}

/* The moves of the first whole die's pixels, x then y. */
static float *
moves (const NotchSimulation *s, NotchSceneDie *die, double *reach)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchLayout) layout = notch_layout_new (s, &error);
  g_assert_no_error (error);
  g_autoptr (NotchScene) scene = notch_scene_new (s, layout, &error);
  g_assert_no_error (error);
  const NotchSceneDie *whole = scene->die;
  while (!whole->whole)
    whole++;
  float *m = g_new (float, 2 * DIE * DIE);
  notch_scene_moves_at (scene, whole, (gint64) ceil (whole->x), (gint64) ceil (whole->y), DIE, DIE, DIE, m,
                        m + DIE * DIE);
  *die = *whole;
  *reach = notch_scene_move_reach (scene, whole);
  return m;
}

static double
mean_product (const float *a, const float *b, int n)
{
  double sum = 0;
  for (int i = 0; i < n; i++)
    sum += (double) a[i] * b[i];
  return sum / n;
}

/* Sigma is what it should be on the nodes and between them, nothing reaches further than two cells, and a part drawn on
 * its own is the same. */
static void
test_field (void)
{
  enum { N = 1024 };
  g_autofree float *a = g_new0 (float, N *N), *part = g_new0 (float, 100 * 50);
  notch_field_add (77, 3.3, 7, 2, -20, 5, N, N, N, a);
  double square[2] = { 0, 0 }, far = 0;
  for (int j = 0; j + 15 < N; j++)
    for (int i = 0; i < N; i++) {
      double v = a[j * N + i];
      square[(j + 5) % 7 == 0] += v * v;
      far += v * a[(j + 15) * N + i];
    }
  int on = (N - 15 + 5) / 7;
  g_assert_cmpfloat_with_epsilon (square[1] / (on * N), 4, 0.2);
  g_assert_cmpfloat_with_epsilon (square[0] / ((N - 15 - on) * N), 4, 0.15);
  g_assert_cmpfloat_with_epsilon (far / ((N - 15) * N), 0, 0.1);
  g_assert_cmpfloat (mean_product (a, a + 1, N * N - 1), >, 2.5);
  notch_field_add (77, 3.3, 7, 2, 280, 205, 100, 50, 100, part);
  for (int j = 0; j < 50; j++)
    for (int i = 0; i < 100; i++)
      g_assert_cmpfloat (part[j * 100 + i], ==, a[(200 + j) * N + 300 + i]);
}

/* Edges move by the sigma asked for, together along their length and on their own across. */
static void
test_roughness (void)
{
  NotchSimulation s = still ();
  NotchSceneDie die;
  double reach;
  s.ler = 0.2;
  s.ler_length = 12;
  g_autofree float *m = moves (&s, &die, &reach);
  double square = mean_product (m, m, DIE * DIE), close = mean_product (m, m + 2 * DIE, DIE * (DIE - 2));
  double along = mean_product (m, m + 12 * DIE, DIE * (DIE - 12)), across = mean_product (m, m + 8, DIE * DIE - 8);
  double far = mean_product (m, m + 60 * DIE, DIE * (DIE - 60));
  g_assert_cmpfloat_with_epsilon (sqrt (square), 0.2, 0.02);
  g_assert_cmpfloat (close / square, >, 0.85);
  g_assert_cmpfloat (along / square, >, 0.15);
  g_assert_cmpfloat (along / square, <, 0.6);
  g_assert_cmpfloat (fabs (far / square), <, 0.2);
  g_assert_cmpfloat (fabs (across / square), <, 0.2);
  g_assert_cmpfloat_with_epsilon (sqrt (mean_product (m + DIE * DIE, m + DIE * DIE, DIE * DIE)), 0.2, 0.02);
  /* another die, other edges */
  s.width = 2 * SIDE;
  s.seed = 2;
  g_autofree float *other = moves (&s, &die, &reach);
  g_assert_cmpfloat (fabs (mean_product (m, other, DIE * DIE)) / square, <, 0.2);
}

/* Rotation and scale are those of the table of dice; nothing goes further than it is said to. */
static void
test_moves (void)
{
  NotchSimulation s = still ();
  NotchSceneDie die;
  double reach;
  s.die_rotation_mrad = 2;
  s.die_scale_ppm = 800;
  g_autofree float *m = moves (&s, &die, &reach);
  const float *x = m, *y = m + DIE * DIE;
  int right = 128 * DIE + 255, left = 128 * DIE, low = 255 * DIE + 128, top = 128;
  g_assert_cmpfloat (fabs (die.turn), >, 0);
  g_assert_cmpfloat_with_epsilon (y[right] - y[left], 255 * die.turn, 1e-4);
  g_assert_cmpfloat_with_epsilon (x[low] - x[top], -255 * die.turn, 1e-4);
  g_assert_cmpfloat_with_epsilon (x[right] - x[left], 255 * die.stretch, 1e-4);
  g_assert_cmpfloat_with_epsilon (x[128 * DIE + 128], 0, 0.01);
  s.warp = 1.5;
  s.ler = 0.3;
  s.vibration = 0.7;
  s.swath = 100;
  s.swath_shift = 0.5;
  g_autofree float *all = moves (&s, &die, &reach);
  double most = 0;
  for (int i = 0; i < DIE * DIE; i++)
    most = MAX (most, hypot (all[i], all[i + DIE * DIE]));
  g_assert_cmpfloat (most, >, 0.5);
  g_assert_cmpfloat (most, <=, reach * G_SQRT2);
  /* rows do not depend on the band that they are drawn in */
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchLayout) layout = notch_layout_new (&s, &error);
  g_autoptr (NotchScene) scene = notch_scene_new (&s, layout, &error);
  g_assert_no_error (error);
  g_autofree float *whole = render (&s), *band = g_new (float, SIDE * 10);
  for (gint64 v = 0; v + 10 <= SIDE; v += 97) {
    notch_scene_render (scene, 0, v, SIDE, 10, band);
    for (int i = 0; i < SIDE * 10; i++)
      g_assert_cmpfloat_with_epsilon (band[i], whole[v * SIDE + i], 1e-3);
  }
}

/* A wave moves the pattern sideways, a swath moves and brightens its own columns, and edges that grow cover more. */
static void
test_stage (void)
{
  NotchSimulation s = still ();
  NotchSceneDie die;
  double reach;
  s.vibration = 0.6;
  s.vibration_period = 64;
  g_autofree float *wave = moves (&s, &die, &reach);
  for (int j = 0; j < DIE; j++)
    g_assert_cmpfloat_with_epsilon (wave[j * DIE + 9], 0.6 * sin (2 * G_PI * (ceil (die.y) + j) / 64), 1e-4);
  s = still ();
  s.layout = "blank";
  s.swath = 100;
  s.swath_gain = 0.05;
  g_autofree float *swaths = render (&s);
  for (int i = 1; i < SIDE; i++)
    g_assert_true ((swaths[i] != swaths[i - 1]) == (i % 100 == 0));
  s = still ();
  s.cd = 0.3;
  g_autofree float *grown = render (&s);
  s.cd = 0;
  g_autofree float *plain = render (&s);
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchLayout) layout = notch_layout_new (&s, &error);
  s.cd = 0.3;
  g_autoptr (NotchScene) scene = notch_scene_new (&s, layout, &error);
  g_assert_no_error (error);
  int n = 0;
  for (int k = 0; k < scene->n_cols * scene->n_rows; k++) {
    const NotchSceneDie *d = &scene->die[k];
    double more = 0;
    if (!d->whole)
      continue;
    for (int j = 0; j < DIE; j++)
      for (int i = 0; i < DIE; i++) {
        gsize at = (gsize) (ceil (d->y) + j) * SIDE + (gsize) (ceil (d->x) + i);
        more += grown[at] - plain[at];
      }
    g_assert_true ((more > 0) == (d->grow > 0));
    g_assert_cmpfloat (fabs (more), >, 1000 * fabs (d->grow));
    n++;
  }
  g_assert_cmpint (n, ==, 4);
}

/* A layout from a picture grows, too: by its way times the slope. */
static void
test_picture_grows (void)
{
  NotchSimulation s = still ();
  s.cd = 0.3;
  s.die_width = s.die_height = 64;
  s.width = s.height = 128;
  float picture[64 * 64];
  for (int i = 0; i < 64 * 64; i++)
    picture[i] = i % 64 >= 20 && i % 64 < 40 && i / 64 >= 20 && i / 64 < 40 ? 150 : 50;
  NotchLayout layout = { .width = 64, .height = 64, .picture = picture };
  layout.rect = layout.wire = layout.gap = g_array_new (FALSE, FALSE, sizeof (NotchRect));
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchScene) scene = notch_scene_new (&s, &layout, &error);
  g_assert_no_error (error);
  for (int k = 0; k < scene->n_cols * scene->n_rows; k++) {
    const NotchSceneDie *d = &scene->die[k];
    if (!d->whole)
      continue;
    float row[64];
    double sum = 0;
    notch_scene_render (scene, (gint64) ceil (d->x), (gint64) ceil (d->y) + 30, 64, 1, row);
    for (int i = 0; i < 64; i++)
      sum += row[i] - 50;
    g_assert_cmpfloat_with_epsilon (sum / 100, 20 + 2 * d->grow, 0.02); /* the bar's width */
  }
  g_array_unref (layout.rect);
}

static void
test_texture (void)
{
  NotchSimulation s = still ();
  g_autofree float *plain = render (&s);
  s.grain = 5;
  g_autofree float *grain = render (&s);
  double metal = 0, street = 0;
  int n = 0, m = 0;
  for (int i = 0; i < SIDE * SIDE; i++) {
    double d = grain[i] - plain[i];
    if (plain[i] > 62 + 60)
      metal += d * d, n++;
    else if (plain[i] < 62.1)
      street += d * d, m++;
  }
  g_assert_cmpint (MIN (n, m), >, 1000);
  g_assert_cmpfloat_with_epsilon (sqrt (metal / n), 5, 0.3);
  g_assert_cmpfloat (sqrt (street / m), <, 0.05);
  s = still ();
  s.layout = "blank";
  s.film = 0.1;
  g_autofree float *film = render (&s);
  float least = G_MAXFLOAT, most = 0;
  for (int i = 0; i < SIDE * SIDE; i++)
    least = MIN (least, film[i]), most = MAX (most, film[i]);
  g_assert_cmpfloat_with_epsilon (most / 118, 1.1, 2e-3);
  g_assert_cmpfloat_with_epsilon (least / 118, 0.9, 2e-3);
}

/* Columns of the camera differ by gain and offset, alike in all rows and swaths; it is full at its saturation. */
static void
test_camera (void)
{
  NotchSimulation s = still ();
  float light[SIDE], dark[SIDE], out[2][SIDE];
  s.bits = 32;
  s.prnu = 0.01;
  s.column_offset = 2;
  s.swath = 128;
  for (int i = 0; i < SIDE; i++)
    light[i] = 200, dark[i] = 0;
  notch_sensor_expose (&s, light, 3, FALSE, out[0]);
  notch_sensor_expose (&s, light, 4, FALSE, out[1]);
  g_assert_cmpmem (out[0], sizeof out[0], out[1], sizeof out[1]);
  notch_sensor_expose (&s, dark, 3, FALSE, out[1]);
  double gain = 0, offset = 0;
  for (int i = 0; i < 128; i++) {
    double g = (out[0][i] - out[1][i]) / 200 - 1;
    gain += g * g, offset += (double) out[1][i] * out[1][i];
    g_assert_cmpfloat (out[0][i], ==, out[0][i + 128]);
  }
  g_assert_cmpfloat_with_epsilon (sqrt (gain / 128), 0.01, 0.002);
  g_assert_cmpfloat_with_epsilon (sqrt (offset / 128), 2, 0.4);
  s = still ();
  s.bits = 32;
  s.saturation = 150;
  notch_sensor_expose (&s, light, 0, TRUE, out[0]);
  for (int i = 0; i < SIDE; i++)
    g_assert_cmpfloat (out[0][i], ==, 150);
}

/* ---- clean and noisy ----------------------------------------------------------------------------------------------- */

static float *
load (const char *path)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchSource) source = notch_source_open (path, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (source->width, ==, SIDE);
  gsize size = notch_sample_size (source->sample);
  g_autofree guint8 *raw = g_malloc (SIDE * SIDE * size);
  float *to = g_new (float, SIDE *SIDE);
  g_assert_true (notch_source_read (source, 0, SIDE, raw, 1, &error));
  for (int i = 0; i < SIDE * SIDE; i++)
    to[i] = size == 1 ? raw[i] : size == 2 ? ((guint16 *) (void *) raw)[i] : ((float *) (void *) raw)[i];
  return to;
}

static double
number_after (const char *text, const char *key)
{
  const char *at = strstr (text, key);
  g_assert_nonnull (at);
  return g_ascii_strtod (at + strlen (key), NULL);
}

/* With all variation on, the image less the clean image is noise of the variance that the .json says, and the defects
 * and nothing else: the nuisances are in both. */
static void
test_clean (gconstpointer data)
{
  const char *const *set = data;
  NotchSimulation s = still ();
  g_autoptr (GError) error = NULL;
  for (int i = 0; set[i]; i += 2) {
    notch_simulation_set (&s, set[i], set[i + 1], &error);
    g_assert_no_error (error);
  }
  g_autofree char *folder = g_dir_make_tmp ("notch-variation-XXXXXX", NULL);
  static const char *const names[] = { "a.tif", "t.csv", "d.csv", "c.tif", "m.tif", "t.json" };
  char *path[6];
  for (int i = 0; i < 6; i++)
    path[i] = g_build_filename (folder, names[i], NULL);
  s.clean = path[3];
  s.clean_bits = 32;
  s.mask = path[4];
  s.jitter = 0.3, s.gain = 0.02, s.focus = 0.05, s.vignetting = 0.2;
  s.ler = 0.2, s.warp = 0.3, s.die_rotation_mrad = 0.2, s.cd = 0.1, s.grain = 2, s.film = 0.05;
  s.swath = 200, s.swath_shift = 0.3, s.swath_gain = 0.01, s.vibration = 0.2, s.prnu = 0.005, s.column_offset = 0.5;
  s.hot_pixels = 2e-5;
  s.n_defects = 8;
  s.n_nuisances = 4;
  notch_simulate (&s, path[0], path[1], path[2], &error);
  g_assert_no_error (error);
  g_autofree float *image = load (path[0]), *clean = load (path[3]), *mask = load (path[4]);
  g_autofree char *facts = NULL;
  g_assert_true (g_file_get_contents (path[5], &facts, NULL, NULL));
  double a = number_after (facts, "\"a\": "), b = number_after (facts, "\"b\": ");
  double scale = number_after (facts, "\"scale\": "), sum = 0, square = 0;
  int n = 0, largest = 0;
  for (int i = 0; i < SIDE * SIDE; i++) {
    double grey = scale * clean[i], z = (image[i] - grey) / sqrt (a + b * MAX (grey, 0));
    largest = MAX (largest, (int) mask[i]);
    if ((mask[i] > 0 && mask[i] <= 8) || grey > 254 * scale)
      continue;
    sum += z, square += z * z, n++;
    g_assert_cmpfloat (fabs (z), <, 8);
  }
  g_assert_cmpint (largest, ==, 8 + 4 + 5); /* defects, nuisances, hot pixels */
  g_assert_cmpint (n, >, SIDE * SIDE * 9 / 10);
  g_assert_cmpfloat_with_epsilon (sum / n, 0, 0.03); /* the rims of defects are outside their masks */
  g_assert_cmpfloat_with_epsilon (square / n, 1, 0.02);
  for (int i = 0; i < 6; i++) {
    g_assert_cmpint (g_remove (path[i]), ==, 0);
    g_free (path[i]);
  }
  g_assert_cmpint (g_rmdir (folder), ==, 0);
}

int
main (int argc, char **argv)
{
  static const char *const grey8[] = { "bits", "8", NULL }, *const grey16[] = { "bits", "16", NULL };
  static const char *const colour[] = { "channels", "3", "bits", "16", NULL };
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/variation/field", test_field);
  g_test_add_func ("/variation/roughness", test_roughness);
  g_test_add_func ("/variation/moves", test_moves);
  g_test_add_func ("/variation/stage", test_stage);
  g_test_add_func ("/variation/picture", test_picture_grows);
  g_test_add_func ("/variation/texture", test_texture);
  g_test_add_func ("/variation/camera", test_camera);
  g_test_add_data_func ("/variation/clean/8", grey8, test_clean);
  g_test_add_data_func ("/variation/clean/16", grey16, test_clean);
  g_test_add_data_func ("/variation/clean/colour", colour, test_clean);
  return g_test_run ();
}
