/* gds.c - layouts from GDSII: shapes where the file puts them, and no trust in what it says */
#include "inspect/simulate/gds.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

typedef struct {
  char *folder, *path;
  GByteArray *bytes;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  f->folder = g_dir_make_tmp ("notch-gds-XXXXXX", NULL);
  f->path = g_build_filename (f->folder, "a.gds", NULL);
  f->bytes = g_byte_array_new ();
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  g_remove (f->path);
  g_assert_cmpint (g_rmdir (f->folder), ==, 0);
  g_free (f->path);
  g_free (f->folder);
  g_byte_array_unref (f->bytes);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static void
put (Fixture *f, int type, const void *data, gsize n)
{
  const guint8 head[4] = { (guint8) ((n + 4) >> 8), (guint8) (n + 4), (guint8) (type >> 8), (guint8) type };
  g_byte_array_append (f->bytes, head, 4);
  g_byte_array_append (f->bytes, data, (guint) n);
}

static void
put_i16 (Fixture *f, int type, int a, int b, int n)
{
  const guint8 data[4] = { (guint8) (a >> 8), (guint8) a, (guint8) (b >> 8), (guint8) b };
  put (f, type, data, 2 * (gsize) n);
}

static void
put_points (Fixture *f, int type, const int *xy, int n)
{
  guint8 data[800];
  for (int i = 0; i < n; i++)
    for (int k = 0; k < 4; k++)
      data[4 * i + k] = (guint8) ((guint32) xy[i] >> (24 - 8 * k));
  put (f, type, data, 4 * (gsize) n);
}

static void
encode (double value, guint8 to[8])
{
  int exponent = 64;
  double a = fabs (value);
  for (; a >= 1; a /= 16)
    exponent++;
  for (; a > 0 && a < 1 / 16.0; a *= 16)
    exponent--;
  to[0] = (guint8) (exponent | (value < 0 ? 0x80 : 0));
  for (int i = 1; i < 8; i++) {
    a *= 256;
    to[i] = (guint8) a;
    a -= to[i];
  }
}

static void
put_real (Fixture *f, int type, double a, double b, int n)
{
  guint8 data[16];
  encode (a, data);
  encode (b, data + 8);
  put (f, type, data, 8 * (gsize) n);
}

static void
put_name (Fixture *f, int type, const char *name)
{
  char data[64] = { 0 };
  gsize n = strlen (name);
  memcpy (data, name, n);
  put (f, type, data, n + n % 2);
}

static void
begin (Fixture *f)
{
  g_byte_array_set_size (f->bytes, 0);
  put_i16 (f, 0x0002, 600, 0, 1);
  put_real (f, 0x0305, 1e-3, 1e-9, 2); /* a database unit is 1 nm */
}

static void
begin_cell (Fixture *f, const char *name)
{
  put (f, 0x0502, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24);
  put_name (f, 0x0606, name);
}

static void
end_cell (Fixture *f)
{
  put (f, 0x0700, "", 0);
}

static void
put_box (Fixture *f, int layer, int x0, int y0, int x1, int y1)
{
  put (f, 0x0800, "", 0);
  put_i16 (f, 0x0d02, layer, 0, 1);
  put_i16 (f, 0x0e02, 0, 0, 1);
  put_points (f, 0x1003, (const int[]){ x0, y0, x1, y0, x1, y1, x0, y1, x0, y0 }, 10);
  put (f, 0x1100, "", 0);
}

static void
put_reference (Fixture *f, const char *name, gboolean mirror, double magnification, double angle, int x, int y)
{
  put (f, 0x0a00, "", 0);
  put_name (f, 0x1206, name);
  put_i16 (f, 0x1a01, mirror ? 0x8000 : 0, 0, 1);
  put_real (f, 0x1b05, magnification, 0, 1);
  put_real (f, 0x1c05, angle, 0, 1);
  put_points (f, 0x1003, (const int[]){ x, y }, 2);
  put (f, 0x1100, "", 0);
}

static void
put_array (Fixture *f, const char *name, int cols, int rows, int step_x, int step_y)
{
  put (f, 0x0b00, "", 0);
  put_name (f, 0x1206, name);
  put_i16 (f, 0x1302, cols, rows, 2);
  put_points (f, 0x1003, (const int[]){ 0, 0, cols * step_x, 0, 0, rows * step_y }, 6);
  put (f, 0x1100, "", 0);
}

static void
end (Fixture *f)
{
  put (f, 0x0400, "", 0);
}

static float *
draw (Fixture *f, const char *list, gint64 *w, gint64 *h, GError **error)
{
  g_assert_true (g_file_set_contents (f->path, (const char *) f->bytes->data, (gssize) f->bytes->len, NULL));
  return notch_gds_draw (f->path, 10, list, w, h, error);
}

/* Grey level at (x, y) px of the drawing, y up from the lower left corner of what is drawn. */
#define AT(x, y) picture[(h - 1 - NOTCH_GDS_STREET_PX - (y)) * w + NOTCH_GDS_STREET_PX + (x)]

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

/* A pixel is as grey as the part of it that is covered; what overlaps counts once, whichever way round it goes. */
static void
test_coverage (Fixture *f, gconstpointer data)
{
  gint64 w = 0, h = 0;
  g_autoptr (GError) error = NULL;
  begin (f);
  begin_cell (f, "top");
  put_box (f, 1, 0, 0, 105, 203);
  put_box (f, 1, 50, 100, 0, 203); /* the other way round */
  put_box (f, 2, 20, 20, 40, 40);
  end_cell (f);
  end (f);
  g_autofree float *picture = draw (f, "1/0=140,2/0=240", &w, &h, &error);
  g_assert_no_error (error);
  g_assert_cmpint (w, ==, 11 + 2 * NOTCH_GDS_STREET_PX);
  g_assert_cmpint (h, ==, 21 + 2 * NOTCH_GDS_STREET_PX);
  double sum = 0;
  for (gint64 i = 0; i < w * h; i++)
    sum += picture[i] - 40;
  g_assert_cmpfloat_with_epsilon (sum, 10.5 * 20.3 * 100 + 4 * 100, 0.02 * 10.5 * 20.3 * 100);
  g_assert_cmpfloat_with_epsilon (picture[(NOTCH_GDS_STREET_PX + 5) * w + NOTCH_GDS_STREET_PX + 4], 140, 1e-3);
  g_assert_cmpfloat_with_epsilon (picture[(NOTCH_GDS_STREET_PX + 5) * w + NOTCH_GDS_STREET_PX + 10], 90, 1e-3);
  /* the top edge of the drawing is the cell's; its lower left corner is at 20.3 px below */
  g_assert_cmpfloat_with_epsilon (picture[(NOTCH_GDS_STREET_PX + 17) * w + NOTCH_GDS_STREET_PX + 3], 240, 1e-3);
  g_assert_cmpfloat_with_epsilon (picture[0], 40, 1e-6);
}

/* Mirror, magnify, turn, move, in this order, over two levels and in an array. */
static void
test_references (Fixture *f, gconstpointer data)
{
  gint64 w = 0, h = 0;
  g_autoptr (GError) error = NULL;
  begin (f);
  begin_cell (f, "top"); /* refers to what comes later */
  put_box (f, 9, 0, 0, 400, 400);
  put_reference (f, "L", TRUE, 2, 90, 100, 100);
  put_array (f, "dot", 3, 2, 100, 200);
  end_cell (f);
  begin_cell (f, "L");
  put_box (f, 1, 0, 0, 100, 20); /* a foot along x */
  end_cell (f);
  begin_cell (f, "dot");
  put_box (f, 2, 10, 10, 30, 30);
  end_cell (f);
  end (f);
  g_autofree float *picture = draw (f, "9/0=60,1/0=140,2/0=240", &w, &h, &error);
  g_assert_no_error (error);
  /* mirrored about x: y from -20 to 0; doubled; a quarter turn: x from 0 to 40, y from 0 to 200; moved by 100 */
  for (int y = 0; y < 40; y++)
    for (int x = 0; x < 40; x++) {
      gboolean foot = x >= 10 && x < 14 && y >= 10 && y < 30;
      gboolean dot = x < 30 && y < 40 && x % 10 >= 1 && x % 10 < 3 && y % 20 >= 1 && y % 20 < 3;
      g_assert_cmpfloat_with_epsilon (AT (x, y), dot ? 240 : foot ? 140 : 60, 1e-3);
    }
}

/* A path is a band around its line; its ends and bends are square. A box is drawn, text is not. */
static void
test_paths (Fixture *f, gconstpointer data)
{
  gint64 w = 0, h = 0;
  g_autoptr (GError) error = NULL;
  static const int types[] = { 0, 2, 4 };
  static const double lengths[] = { 20 + 10, 20 + 10 + 2 * 2, 20 + 10 + 1 + 3 };
  for (int k = 0; k < 3; k++) {
    begin (f);
    begin_cell (f, "top");
    put_box (f, 9, -100, -100, 400, 300);
    put (f, 0x0900, "", 0);
    put_i16 (f, 0x0d02, 1, 0, 1);
    put_i16 (f, 0x0e02, 0, 0, 1);
    put_i16 (f, 0x2102, types[k], 0, 1);
    put_points (f, 0x0f03, (const int[]){ 40 }, 1);
    put_points (f, 0x3003, (const int[]){ 10 }, 1);
    put_points (f, 0x3103, (const int[]){ 30 }, 1);
    put_points (f, 0x1003, (const int[]){ 0, 0, 200, 0, 200, 100 }, 6);
    put (f, 0x1100, "", 0);
    put (f, 0x2d00, "", 0);
    put_i16 (f, 0x0d02, 3, 0, 1);
    put_i16 (f, 0x2e02, 0, 0, 1);
    put_points (f, 0x1003, (const int[]){ 300, 200, 320, 200, 320, 220, 300, 220, 300, 200 }, 10);
    put (f, 0x1100, "", 0);
    put (f, 0x0c00, "", 0);
    put_i16 (f, 0x0d02, 1, 0, 1);
    put_points (f, 0x1003, (const int[]){ 0, 0 }, 2);
    put_name (f, 0x1906, "text");
    put (f, 0x1100, "", 0);
    end_cell (f);
    end (f);
    g_autofree float *picture = draw (f, "9/0=40,1/0=140,3/0=240", &w, &h, &error);
    g_assert_no_error (error);
    double path = 0, box = 0;
    for (gint64 i = 0; i < w * h; i++) {
      path += picture[i] <= 140 ? (picture[i] - 40) / 100 : 0;
      box += picture[i] > 150;
    }
    g_assert_cmpfloat_with_epsilon (path, 4 * lengths[k], 0.5);
    g_assert_cmpfloat (box, ==, 4);
  }
}

/* ---- trouble ----------------------------------------------------------------------------------------------------- */

static void
refused (Fixture *f, const char *list, const char *part)
{
  gint64 w, h;
  g_autoptr (GError) error = NULL;
  g_autofree float *picture = draw (f, list, &w, &h, &error);
  g_assert_null (picture);
  g_assert_nonnull (error);
  g_assert_nonnull (strstr (error->message, part));
  g_assert_nonnull (strstr (error->message, list ? "" : f->path));
  g_assert_null (strchr (error->message, '\n'));
}

static void
test_trouble (Fixture *f, gconstpointer data)
{
  begin (f);
  begin_cell (f, "a");
  put_reference (f, "b", FALSE, 1, 0, 0, 0);
  end_cell (f);
  end (f);
  refused (f, NULL, "there is no cell b");
  begin (f);
  begin_cell (f, "top");
  put_reference (f, "a", FALSE, 1, 0, 0, 0);
  end_cell (f);
  begin_cell (f, "a");
  put_reference (f, "b", FALSE, 1, 0, 0, 0);
  end_cell (f);
  begin_cell (f, "b");
  put_reference (f, "a", FALSE, 1, 0, 0, 0);
  end_cell (f);
  end (f);
  refused (f, NULL, "contains itself");
  refused (f, NULL, "record at byte ");
  begin (f);
  begin_cell (f, "a");
  put_reference (f, "a", FALSE, 1, 0, 0, 0);
  end_cell (f);
  end (f);
  refused (f, NULL, "no cell is on top");
  begin (f);
  begin_cell (f, "top");
  put_box (f, 1, 0, 0, 100, 100);
  put_reference (f, "a", FALSE, -1, 0, 0, 0);
  end_cell (f);
  end (f);
  refused (f, NULL, "magnified by -1");
  begin (f);
  begin_cell (f, "top");
  put_box (f, 1, 0, 0, 2000000, 2000000);
  end_cell (f);
  end (f);
  refused (f, NULL, "choose more nm-per-px");
  refused (f, "2/0=100", "nothing to draw");
  refused (f, "1=100", "layers wants");
  refused (f, "1/0=300", "layers wants");
  begin (f);
  end (f);
  refused (f, NULL, "no cell is on top");
}

/* Arrays of arrays of arrays: a few bytes that stand for billions of cells, with and without shapes in them. */
static void
test_bombs (Fixture *f, gconstpointer data)
{
  for (int shapes = 0; shapes < 2; shapes++) {
    begin (f);
    begin_cell (f, "top");
    put_array (f, "b", 1000, 1000, 10, 10);
    end_cell (f);
    begin_cell (f, "b");
    put_array (f, "c", 1000, 1000, 10, 10);
    end_cell (f);
    begin_cell (f, "c");
    if (shapes)
      put_box (f, 1, 0, 0, 100, 100);
    end_cell (f);
    end (f);
    refused (f, NULL, "expands to more than");
  }
}

/* A file that is cut off anywhere, or has one byte changed, is drawn or refused, and nothing else. */
static void
test_damage (Fixture *f, gconstpointer data)
{
  begin (f);
  begin_cell (f, "top");
  put_box (f, 1, 0, 0, 100, 200);
  put_reference (f, "a", FALSE, 1, 90, 0, 0);
  put_array (f, "a", 2, 2, 100, 100);
  end_cell (f);
  begin_cell (f, "a");
  put_box (f, 1, 0, 0, 10, 20);
  end_cell (f);
  end (f);
  guint whole = f->bytes->len;
  g_autofree guint8 *kept = g_memdup2 (f->bytes->data, whole);
  gint64 w, h;
  for (guint n = 0; n < whole; n++) {
    g_autoptr (GError) error = NULL;
    g_byte_array_set_size (f->bytes, 0);
    g_byte_array_append (f->bytes, kept, n);
    g_autofree float *picture = draw (f, NULL, &w, &h, &error);
    g_assert_null (picture);
    g_assert_nonnull (error);
  }
  for (guint n = 0; n < whole; n++) {
    g_autoptr (GError) error = NULL;
    g_byte_array_set_size (f->bytes, 0);
    g_byte_array_append (f->bytes, kept, whole);
    f->bytes->data[n] ^= 0x41;
    g_autofree float *picture = draw (f, NULL, &w, &h, &error);
    g_assert_true ((picture == NULL) == (error != NULL));
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define TEST(name) g_test_add ("/gds/" #name, Fixture, NULL, set_up, test_##name, tear_down)
  TEST (coverage);
  TEST (references);
  TEST (paths);
  TEST (trouble);
  TEST (bombs);
  TEST (damage);
  return g_test_run ();
}
