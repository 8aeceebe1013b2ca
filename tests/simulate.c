/* simulate.c - the simulator: what it plants, shifts and adds is what it says */
#include "inspect/csv.h"
#include "inspect/image/source.h"
#include "inspect/simulate/scene.h"
#include "inspect/simulate/sensor.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

typedef struct {
  char *folder;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  f->folder = g_dir_make_tmp ("notch-simulate-XXXXXX", NULL);
  g_assert_nonnull (f->folder);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  g_autoptr (GDir) folder = g_dir_open (f->folder, 0, NULL);
  for (const char *name; (name = g_dir_read_name (folder));) {
    g_autofree char *path = g_build_filename (f->folder, name, NULL);
    g_assert_cmpint (g_remove (path), ==, 0);
  }
  g_assert_cmpint (g_rmdir (f->folder), ==, 0);
  g_free (f->folder);
}

static NotchSimulation
small (void)
{
  NotchSimulation s;
  notch_simulate_defaults (&s);
  s.width = s.height = 768;
  s.die_width = s.die_height = 192;
  s.n_defects = 12;
  return s;
}

/* The scene of a simulation without anything planted. */
static NotchScene *
scene_of (const NotchSimulation *s, NotchLayout **layout)
{
  g_autoptr (GError) error = NULL;
  *layout = notch_layout_new (s, &error);
  g_assert_no_error (error);
  NotchScene *scene = notch_scene_new (s, *layout, &error);
  g_assert_no_error (error);
  return scene;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

typedef struct {
  char *bytes[4]; /* image, truth, dice, clean */
  gsize n[4];
} Output;

static void
free_output (Output *o)
{
  for (int i = 0; i < 4; i++)
    g_free (o->bytes[i]);
}

static void
simulate (Fixture *f, NotchSimulation *s, Output *o)
{
  static const char *const names[] = { "a.tif", "a-truth.csv", "a-dice.csv", "clean.tif" };
  char *path[4];
  g_autoptr (GError) error = NULL;
  for (int i = 0; i < 4; i++)
    path[i] = g_build_filename (f->folder, names[i], NULL);
  s->clean = path[3];
  notch_simulate (s, path[0], path[1], path[2], &error);
  g_assert_no_error (error);
  for (int i = 0; i < 4; i++) {
    g_assert_true (g_file_get_contents (path[i], &o->bytes[i], &o->n[i], &error));
    g_free (path[i]);
  }
  s->clean = NULL;
}

static gboolean
same (const Output *a, const Output *b, int i)
{
  return a->n[i] == b->n[i] && memcmp (a->bytes[i], b->bytes[i], a->n[i]) == 0;
}

static void
test_reproducible (Fixture *f, gconstpointer data)
{
  NotchSimulation s = small ();
  Output a, b, c;
  simulate (f, &s, &a);
  simulate (f, &s, &b);
  s.seed = 2;
  simulate (f, &s, &c);
  for (int i = 0; i < 4; i++) {
    g_assert_true (same (&a, &b, i));
    g_assert_false (same (&a, &c, i));
  }
  g_assert_false (a.n[0] == a.n[3] && memcmp (a.bytes[0], a.bytes[3], a.n[0]) == 0);
  free_output (&a);
  free_output (&b);
  free_output (&c);
}

static void
test_tables (Fixture *f, gconstpointer data)
{
  NotchSimulation s = small ();
  Output o;
  simulate (f, &s, &o);
  g_autofree char *truth_path = g_build_filename (f->folder, "a-truth.csv", NULL);
  g_autofree char *dice_path = g_build_filename (f->folder, "a-dice.csv", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchCsv) truth = notch_csv_load (truth_path, &error), dice = notch_csv_load (dice_path, &error);
  g_assert_no_error (error);
  g_assert_true (g_str_has_prefix (o.bytes[1], "id,type,die_row,die_col,x,y,w,h,amp_sigma,snr,contrast,area_px"));
  g_assert_true (g_str_has_prefix (o.bytes[2], "die_col,die_row,x_px,y_px,dx,dy,gain,focus"));
  g_assert_cmpuint (truth->row->len, ==, 12);
  g_assert_cmpuint (dice->row->len, ==, 16);
  int n_particles = 0;
  for (guint i = 0; i < truth->row->len; i++) {
    double x, y, col, row;
    g_assert_true (notch_csv_number (truth, i, notch_csv_column (truth, "x"), &x, &error));
    g_assert_true (notch_csv_number (truth, i, notch_csv_column (truth, "y"), &y, &error));
    g_assert_true (notch_csv_number (truth, i, notch_csv_column (truth, "die_col"), &col, &error));
    g_assert_true (notch_csv_number (truth, i, notch_csv_column (truth, "die_row"), &row, &error));
    g_assert_cmpfloat (floor ((x + 0.5) / 192), ==, col);
    g_assert_cmpfloat (floor ((y + 0.5) / 192), ==, row);
    n_particles += strcmp (notch_csv_text (truth, i, notch_csv_column (truth, "type")), "particle") == 0;
  }
  g_assert_cmpint (n_particles, ==, 2); /* six classes in turn */
  free_output (&o);
}

/* The clean image of one die is a layout like any other: the dice then look as it does. */
static void
test_picture (Fixture *f, gconstpointer data)
{
  NotchSimulation s = small ();
  s.n_cols = s.n_rows = 1;
  s.n_defects = 0;
  s.jitter = s.vignetting = s.gain = s.focus = 0;
  s.bits = 16;
  Output o;
  simulate (f, &s, &o);
  free_output (&o);
  g_autofree char *picture = g_build_filename (f->folder, "clean.tif", NULL);
  g_autofree char *image = g_build_filename (f->folder, "b.tif", NULL);
  g_autofree char *truth = g_build_filename (f->folder, "b.csv", NULL);
  g_autofree char *dice = g_build_filename (f->folder, "c.csv", NULL);
  g_autoptr (GError) error = NULL;
  NotchSimulation t = s;
  t.layout = picture;
  t.die_width = t.die_height = 7; /* the picture knows better */
  t.n_cols = 3, t.n_rows = 2;
  t.blur = 0.5;
  t.classes = "particle,pit";
  t.n_defects = 2;
  notch_simulate (&t, image, truth, dice, &error);
  g_assert_no_error (error);
  NotchSourceOptions options = { .budget = 1 << 28 };
  g_autoptr (NotchSource) source = notch_source_open (image, &options, &error);
  g_assert_no_error (error);
  g_assert_cmpint (source->width, ==, 576);
  g_assert_cmpint (source->height, ==, 384);
  g_autoptr (NotchLayout) loaded = notch_layout_new (&t, &error);
  g_assert_no_error (error);
  t.width = 576, t.height = 384, t.die_width = t.die_height = 192;
  g_autoptr (NotchScene) scene = notch_scene_new (&t, loaded, &error);
  g_assert_no_error (error);
  g_autofree float *grey = g_new (float, 192 * 192), *other = g_new (float, 192 * 192);
  notch_scene_render (scene, 192, 192, 192, 192, grey);
  notch_scene_render (scene, 0, 0, 192, 192, other);
  double sum = 0, whole = 0;
  for (int i = 0; i < 192 * 192; i++) {
    g_assert_cmpfloat_with_epsilon (grey[i], other[i], 1e-3); /* every die is the same */
    sum += grey[i];
    whole += loaded->picture[i];
  }
  g_assert_cmpfloat_with_epsilon (sum / whole, 1, 1e-3); /* blur keeps light */
  t.classes = "open";
  notch_simulate (&t, image, truth, dice, &error);
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE);
  g_assert_nonnull (strstr (error->message, "no conductors"));
}

/* ---- optics ------------------------------------------------------------------------------------------------------ */

/* One rectangle, alone in its die: its centroid is where the table of dice says, whatever the rotation, and blur keeps
 * its light. */
static void
test_shift (gconstpointer data)
{
  NotchSimulation s = small ();
  s.jitter = 0.7;
  s.gain = 0.05;
  s.vignetting = 0;
  s.rotation_mrad = *(const double *) data;
  s.layout = "blank";
  NotchLayout *l = NULL;
  g_autoptr (NotchScene) scene = scene_of (&s, &l);
  g_autoptr (NotchLayout) layout = l;
  const NotchRect rect = { 90.3, 61.4, 99.1, 66.9, 40 };
  g_array_append_val (layout->rect, rect);
  int n = 0;
  for (int k = 0; k < scene->n_cols * scene->n_rows; k++) {
    const NotchSceneDie *die = &scene->die[k];
    double x, y, sum = 0, sx = 0, sy = 0;
    float grey[64 * 64];
    if (!die->whole)
      continue;
    notch_scene_to_image (scene, die->x + 94.7, die->y + 64.15, &x, &y);
    gint64 x0 = (gint64) x - 32, y0 = (gint64) y - 32;
    notch_scene_render (scene, x0, y0, 64, 64, grey);
    for (int i = 0; i < 64 * 64; i++) {
      double v = grey[i] - layout->base;
      sum += v, sx += v * (double) (x0 + i % 64), sy += v * (double) (y0 + i / 64);
    }
    g_assert_cmpfloat_with_epsilon (sum, 8.8 * 5.5 * 40 * die->gain, 0.5);
    g_assert_cmpfloat_with_epsilon (sx / sum, x + die->dx, 2e-3);
    g_assert_cmpfloat_with_epsilon (sy / sum, y + die->dy, 2e-3);
    n++;
  }
  g_assert_cmpint (n, >=, s.rotation_mrad == 0 ? 16 : 4); /* turned, dice at the border are cut */
}

/* A row of the picture does not depend on which rows are drawn with it. */
static void
test_bands (void)
{
  NotchSimulation s = small ();
  s.rotation_mrad = 1;
  s.wafer = TRUE;
  NotchLayout *l = NULL;
  g_autoptr (NotchScene) scene = scene_of (&s, &l);
  g_autoptr (NotchLayout) layout = l;
  g_autofree float *whole = g_new (float, 768 * 768), *band = g_new (float, 768 * 10);
  notch_scene_render (scene, 0, 0, 768, 768, whole);
  for (gint64 y = 0; y + 10 <= 768; y += 107) {
    notch_scene_render (scene, 0, y, 768, 10, band);
    for (int i = 0; i < 7680; i++)
      g_assert_cmpfloat_with_epsilon (band[i], whole[y * 768 + i], 1e-3);
  }
}

/* The image is cut from a wafer that goes on: a die at its border looks as one inside does. */
static void
test_border (void)
{
  NotchSimulation s = small ();
  s.jitter = s.gain = s.focus = s.vignetting = 0;
  NotchLayout *l = NULL;
  g_autoptr (NotchScene) scene = scene_of (&s, &l);
  g_autoptr (NotchLayout) layout = l;
  g_autofree float *inside = g_new (float, 192 * 192), *corner = g_new (float, 192 * 192);
  notch_scene_render (scene, 192, 192, 192, 192, inside);
  for (int k = 0; k < 4; k++) {
    notch_scene_render (scene, (k & 1) * 576, (k >> 1) * 576, 192, 192, corner);
    for (int i = 0; i < 192 * 192; i++)
      g_assert_cmpfloat_with_epsilon (corner[i], inside[i], 1e-3);
  }
}

static void
test_layouts (void)
{
  static const char *const names[] = { "mixed", "array", "logic" };
  for (int k = 0; k < 3; k++)
    for (int side = 64; side <= 800; side += 184) {
      NotchSimulation s = small ();
      s.layout = names[k];
      s.die_width = side, s.die_height = side + 40;
      s.seed = 3;
      g_autoptr (NotchLayout) layout = notch_layout_new (&s, NULL);
      g_assert_cmpuint (layout->rect->len, >, 10);
      for (guint i = 0; i < layout->rect->len; i++) {
        const NotchRect *r = &g_array_index (layout->rect, NotchRect, i);
        g_assert_true (r->x0 >= 0 && r->y0 >= 0 && r->x1 <= side && r->y1 <= side + 40);
        g_assert_true (r->x1 > r->x0 && r->y1 > r->y0);
      }
      g_assert_true (side < 200 || (layout->wire->len > 0 && layout->gap->len > 0));
    }
}

static void
test_wafer (void)
{
  NotchSimulation s = small ();
  s.wafer = TRUE;
  s.die_width = s.die_height = 64;
  s.n_defects = 8;
  NotchLayout *l = NULL;
  g_autoptr (NotchScene) scene = scene_of (&s, &l);
  g_autoptr (NotchLayout) layout = l;
  g_autoptr (GError) error = NULL;
  int whole = 0, missing = 0, least_col = G_MAXINT, least_row = G_MAXINT;
  for (int k = 0; k < scene->n_cols * scene->n_rows; k++) {
    const NotchSceneDie *die = &scene->die[k];
    missing += !die->present;
    if (!die->whole)
      continue;
    whole++;
    least_col = MIN (least_col, die->col), least_row = MIN (least_row, die->row);
    for (int i = 0; i < 4; i++)
      g_assert_cmpfloat (hypot (die->x + (i & 1) * 64 - scene->cx, die->y + (i >> 1) * 64 - scene->cy), <, 372.5);
  }
  g_assert_cmpint (whole, >, 60);
  g_assert_cmpint (missing, >, 4);
  g_assert_cmpint (least_col, ==, 0);
  g_assert_cmpint (least_row, ==, 0);
  float corner, edge, notch;
  notch_scene_render (scene, 5, 5, 1, 1, &corner);
  notch_scene_render (scene, 384 - 370, 384, 1, 1, &edge); /* beyond the pattern, on the wafer */
  notch_scene_render (scene, 384, 384 + 371, 1, 1, &notch);
  g_assert_cmpfloat (corner, <, 10);
  g_assert_cmpfloat (edge, >, 45);
  g_assert_cmpfloat (notch, <, 25);
  notch_scene_plant (scene, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < scene->planted->len; i++) {
    const NotchPlanted *p = &g_array_index (scene->planted, NotchPlanted, i);
    g_assert_cmpfloat (hypot (p->x - scene->cx, p->y - scene->cy), <, 372.5);
  }
}

/* ---- defects ----------------------------------------------------------------------------------------------------- */

/* The SNR in the truth is that of the difference between the image with and without the defect. */
static void
test_snr (gconstpointer data)
{
  NotchSimulation s = small ();
  s.width = s.height = 1536;
  s.die_width = s.die_height = 256;
  s.bits = GPOINTER_TO_INT (data);
  s.n_defects = 36;
  s.snr_min = 8, s.snr_max = 25;
  NotchLayout *l = NULL;
  g_autoptr (NotchScene) scene = scene_of (&s, &l);
  g_autoptr (NotchLayout) layout = l;
  g_autoptr (GError) error = NULL;
  g_autofree float *clean = g_new (float, 1536 * 1536), *full = g_new (float, 1536 * 1536);
  notch_scene_plant (scene, &error);
  g_assert_no_error (error);
  notch_scene_render (scene, 0, 0, 1536, 1536, clean);
  memcpy (full, clean, 1536 * 1536 * sizeof (float));
  notch_scene_add_planted (scene, 0, 0, 1536, 1536, full);
  double step = 255 / (pow (2, s.bits) - 1), least = G_MAXDOUBLE, most = 0;
  gint64 changed = 0;
  g_assert_cmpuint (scene->planted->len, ==, 36);
  for (guint i = 0; i < scene->planted->len; i++) {
    const NotchPlanted *p = &g_array_index (scene->planted, NotchPlanted, i);
    double sum = 0, peak = 0;
    for (gint64 y = MAX (p->y0, 0); y < MIN (p->y0 + p->h, 1536); y++)
      for (gint64 x = MAX (p->x0, 0); x < MIN (p->x0 + p->w, 1536); x++) {
        double d = p->delta[(y - p->y0) * p->w + x - p->x0], grey = clean[y * 1536 + x];
        sum += d * d / (1 + 0.02 * grey + step * step / 12);
        if (fabs (full[y * 1536 + x] - grey) > fabs (peak))
          peak = full[y * 1536 + x] - grey;
      }
    g_assert_cmpfloat_with_epsilon (sqrt (sum), p->snr, 0.01);
    g_assert_cmpfloat_with_epsilon (peak, p->peak, 1e-2);
    g_assert_true (p->snr >= 8 && p->snr <= 25);
    least = MIN (least, p->snr), most = MAX (most, p->snr);
    g_assert_true (p->x >= p->box_x - 1 && p->x <= p->box_x + p->box_w && p->y >= p->box_y - 1
                   && p->y <= p->box_y + p->box_h);
    changed += p->area;
    for (guint k = 0; k < i; k++) {
      const NotchPlanted *q = &g_array_index (scene->planted, NotchPlanted, k);
      g_assert_cmpfloat (MAX (fabs (p->x - q->x), fabs (p->y - q->y)), >, 40);
      if (ABS (p->col - q->col) <= 1 && ABS (p->row - q->row) <= 1) {
        double dx = (p->x - q->x) - 256.0 * (p->col - q->col), dy = (p->y - q->y) - 256.0 * (p->row - q->row);
        g_assert_cmpfloat (MAX (fabs (dx), fabs (dy)), >, 15);
      }
    }
  }
  g_assert_cmpfloat (least, <, 12); /* they spread over the range */
  g_assert_cmpfloat (most, >, 21);
  g_assert_cmpint (changed, <, 1536 * 1536 / 200);
}

/* ---- sensor ------------------------------------------------------------------------------------------------------ */

static void
test_noise (gconstpointer data)
{
  enum { SIDE = 512 };
  NotchSimulation s = small ();
  s.bits = GPOINTER_TO_INT (data);
  s.width = SIDE;
  double scale = s.bits == 32 ? 1 : (pow (2, s.bits) - 1) / 255, step = s.bits == 32 ? 0 : 1 / scale;
  g_autofree double *value = g_new (double, SIDE *SIDE);
  for (double grey = 40; grey < 220; grey += 80.25) {
    float row[SIDE];
    guint8 out[SIDE * 4];
    double sum = 0, square = 0, right = 0, below = 0;
    for (int x = 0; x < SIDE; x++)
      row[x] = (float) grey;
    for (int y = 0; y < SIDE; y++) {
      notch_sensor_expose (&s, row, y, TRUE, out);
      for (int x = 0; x < SIDE; x++) {
        float v;
        if (s.bits == 8)
          v = out[x];
        else if (s.bits == 32)
          memcpy (&v, out + 4 * x, 4);
        else {
          guint16 w;
          memcpy (&w, out + 2 * x, 2);
          v = w;
        }
        value[y * SIDE + x] = v / scale - grey;
      }
    }
    const double n = SIDE * SIDE;
    for (int i = 0; i < SIDE * (SIDE - 1) - 1; i++) {
      sum += value[i];
      square += value[i] * value[i];
      right += value[i] * value[i + 1];
      below += value[i] * value[i + SIDE];
    }
    double variance = 1 + 0.02 * grey + step * step / 12;
    g_assert_cmpfloat_with_epsilon (sum / n, 0, 5 * sqrt (variance / n));
    g_assert_cmpfloat_with_epsilon (square / n / variance, 1, 5 * sqrt (2 / n) + 1 / (double) SIDE);
    g_assert_cmpfloat_with_epsilon (right / n / variance, 0, 5 / sqrt (n));
    g_assert_cmpfloat_with_epsilon (below / n / variance, 0, 5 / sqrt (n));
    g_assert_cmpfloat_with_epsilon (notch_scene_variance (&s, grey), variance, 1e-9);
  }
}

static void
test_saturation (void)
{
  NotchSimulation s = small ();
  float row[4] = { -50, 0, 255, 400 };
  guint8 bytes[4];
  guint16 words[4];
  s.width = 4;
  notch_sensor_expose (&s, row, 0, FALSE, bytes);
  g_assert_cmpint (bytes[0], ==, 0);
  g_assert_cmpint (bytes[3], ==, 255);
  s.bits = 12;
  notch_sensor_expose (&s, row, 0, FALSE, words);
  g_assert_cmpint (words[1], ==, 0);
  g_assert_cmpint (words[2], ==, 4095);
  g_assert_cmpint (words[3], ==, 4095);
}

/* ---- trouble ----------------------------------------------------------------------------------------------------- */

static void
expect (Fixture *f, const NotchSimulation *s, const char *part)
{
  g_autofree char *image = g_build_filename (f->folder, "x.tif", NULL);
  g_autofree char *truth = g_build_filename (f->folder, "x.csv", NULL);
  g_autofree char *dice = g_build_filename (f->folder, "y.csv", NULL);
  g_autoptr (GError) error = NULL;
  g_assert_false (notch_simulate (s, image, truth, dice, &error));
  g_assert_nonnull (error);
  g_assert_nonnull (strstr (error->message, part));
  g_assert_null (strchr (error->message, '\n'));
  g_assert_false (g_file_test (image, G_FILE_TEST_EXISTS));
}

static void
test_usage (Fixture *f, gconstpointer data)
{
  NotchSimulation s = small ();
#define EXPECT(change, part)                                                                                           \
  s = small ();                                                                                                        \
  change;                                                                                                              \
  expect (f, &s, part)
  EXPECT (s.bits = 10, "bits 10 is none of 8, 12, 16 and 32");
  EXPECT (s.blur = 0, "blur 0 is outside 0.3 to 10 px");
  EXPECT (s.jitter = NAN, "jitter nan is outside 0 to 20 px");
  EXPECT (s.snr_min = 50, "snr 50:40");
  EXPECT (s.die_width = 10, "die 10x192 is outside 64 to 65536 px");
  EXPECT (s.width = 3, "size 3x768 is outside 32 to 1048576 px");
  EXPECT (s.n_defects = -1, "defects -1 is outside 0 to 10000");
  EXPECT (s.n_defects = 10000, "room for");
  EXPECT (s.classes = "pit,dent", "classes has \"dent\"");
  EXPECT (s.classes = "", "classes has \"\"");
  EXPECT (s.layout = "/nonexistent.tif", "/nonexistent.tif");
  EXPECT ((s.layout = "blank", s.classes = "bridge"), "no conductors");
  EXPECT ((s.read_noise = s.shot_noise = 0, s.bits = 32), "read-noise and shot-noise are both 0");
  EXPECT (s.die_width = 2000, "no die is whole");
  EXPECT (s.n_cols = -4, "dice -4x0");
}

int
main (int argc, char **argv)
{
  static const double straight = 0, turned = 7;
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/simulate/reproducible", Fixture, NULL, set_up, test_reproducible, tear_down);
  g_test_add ("/simulate/tables", Fixture, NULL, set_up, test_tables, tear_down);
  g_test_add ("/simulate/picture", Fixture, NULL, set_up, test_picture, tear_down);
  g_test_add_data_func ("/simulate/shift/straight", &straight, test_shift);
  g_test_add_data_func ("/simulate/shift/turned", &turned, test_shift);
  g_test_add_func ("/simulate/bands", test_bands);
  g_test_add_func ("/simulate/border", test_border);
  g_test_add_func ("/simulate/layouts", test_layouts);
  g_test_add_func ("/simulate/wafer", test_wafer);
  g_test_add_data_func ("/simulate/snr/8", GINT_TO_POINTER (8), test_snr);
  g_test_add_data_func ("/simulate/snr/16", GINT_TO_POINTER (16), test_snr);
  g_test_add_data_func ("/simulate/noise/8", GINT_TO_POINTER (8), test_noise);
  g_test_add_data_func ("/simulate/noise/12", GINT_TO_POINTER (12), test_noise);
  g_test_add_data_func ("/simulate/noise/float", GINT_TO_POINTER (32), test_noise);
  g_test_add_func ("/simulate/saturation", test_saturation);
  g_test_add ("/simulate/usage", Fixture, NULL, set_up, test_usage, tear_down);
  return g_test_run ();
}
