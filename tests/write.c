/* write.c - files that are written are read back whole, and never appear under their name otherwise */
#include "inspect/image/write.h"
#include "inspect/image/source.h"

#include <glib/gstdio.h>
#include <math.h>
#include <png.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <tiffio.h>
#include <unistd.h>

#include "tests/few.h"

static char *folder;

static char *
path_of (const char *name)
{
  return g_build_filename (folder, name, NULL);
}

static int
count_files (void)
{
  int n = 0;
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  while (g_dir_read_name (dir) != NULL)
    n++;
  return n;
}

static void
assert_write_error (GError **error, const char *path, const char *pattern)
{
  g_assert_error (*error, NOTCH_ERROR, NOTCH_ERROR_WRITE);
  if (!g_str_has_prefix ((*error)->message, path) || strchr ((*error)->message, '\n') != NULL
      || !g_pattern_match_simple (pattern, (*error)->message))
    g_error ("the message does not say '%s': %s", pattern, (*error)->message);
  g_clear_error (error);
}

/* ---- files aside ------------------------------------------------------------------------------------------------- */

static void
test_file (void)
{
  g_autofree char *path = path_of ("a.txt"), *bytes = NULL;
  gsize n = 0;
  GError *error = NULL;
  g_assert_true (notch_write_file (path, "first", -1, &error));
  g_assert_true (notch_write_file (path, "a\0b", 3, &error));
  g_assert_no_error (error);
  g_assert_true (g_file_get_contents (path, &bytes, &n, NULL));
  g_assert_cmpmem (bytes, n, "a\0b", 3);
  g_assert_cmpint (count_files (), ==, 1);
  g_remove (path);
  g_assert_true (notch_write_file (path, "", 0, &error));
  g_assert_cmpint (count_files (), ==, 1);
  g_remove (path);

  g_autofree char *nowhere = path_of ("none/a.txt");
  g_assert_false (notch_write_file (nowhere, "x", 1, &error));
  assert_write_error (&error, nowhere, "*No such file or directory*permissions*");
  g_assert_false (notch_write_file (folder, "x", 1, &error)); /* a folder is in the way */
  assert_write_error (&error, folder, "*cannot be written*");
  g_assert_cmpint (count_files (), ==, 0);
}

static void
test_aside (void)
{
  g_autofree char *path = path_of ("b.txt");
  GError *error = NULL;
  NotchAside *aside = notch_aside_new (path);
  g_assert_cmpint (count_files (), ==, 0);
  g_assert_true (g_file_set_contents (aside->aside, "x", 1, NULL));
  notch_aside_free (aside);
  g_assert_cmpint (count_files (), ==, 0);

  aside = notch_aside_new (path);
  g_assert_false (notch_aside_commit (aside, &error)); /* nothing was written */
  assert_write_error (&error, path, "*");
  g_assert_true (g_file_set_contents (aside->aside, "x", 1, NULL));
  g_assert_true (notch_aside_commit (aside, &error));
  notch_aside_free (aside);
  g_assert_true (g_file_test (path, G_FILE_TEST_EXISTS));
  g_remove (path);
  notch_aside_free (NULL);

  g_autoptr (NotchAside) bare = notch_aside_new ("name"); /* without a folder: beside it all the same */
  g_autoptr (NotchAside) twin = notch_aside_new ("name");
  g_assert_true (g_str_has_prefix (bare->aside, "./.name."));
  g_assert_true (g_str_has_suffix (bare->aside, ".partial"));
  g_assert_cmpstr (bare->aside, !=, twin->aside);

  /* What a process that is gone has left is swept away; a living one's stays, and so does what only looks like it. */
  g_autofree char *mine = g_strdup_printf (".c.txt.%ld-0000000a.partial", (long) getpid ());
  const char *const left[] = { ".c.txt.2147483647-0000000a.partial", mine, ".c.txt.partial", "c-1.partial" };
  for (gsize i = 0; i < G_N_ELEMENTS (left); i++) {
    g_autofree char *file = path_of (left[i]);
    g_assert_true (g_file_set_contents (file, "x", 1, NULL));
  }
  notch_aside_sweep (folder);
  for (gsize i = 0; i < G_N_ELEMENTS (left); i++) {
    g_autofree char *file = path_of (left[i]);
    g_assert_cmpint (g_file_test (file, G_FILE_TEST_EXISTS), ==, i > 0);
    g_remove (file);
  }
}

static gpointer
read_all (gpointer path)
{
  g_autofree char *bytes = NULL;
  g_autoptr (GIOChannel) channel = g_io_channel_new_file (path, "r", NULL);
  g_io_channel_set_encoding (channel, NULL, NULL);
  gsize n = 0;
  g_io_channel_read_to_end (channel, &bytes, &n, NULL);
  return g_bytes_new_take (g_steal_pointer (&bytes), n);
}

/* A pipe gets the bytes, and stays a pipe; a TIFF is whole, though its writer goes back and forth in it. */
static void
test_stream (void)
{
  g_autofree char *pipe = path_of ("pipe"), *file = path_of ("file"), *bytes = NULL;
  static const guint8 row[40000] = { 7, 8, 9 };
  gsize n = 0;
  GError *error = NULL;
  g_assert_cmpint (mkfifo (pipe, 0600), ==, 0);
  g_assert_true (notch_is_stream (pipe));
  g_assert_false (notch_is_stream (folder));
  GThread *reader = g_thread_new ("reader", read_all, pipe);
  for (int k = 0; k < 2; k++) {
    NotchTiffLayout layout = { .width = sizeof row, .height = 9, .sample = NOTCH_SAMPLE_U8, .bits = 8, .pages = 2 };
    g_autoptr (NotchTiffWriter) writer = notch_tiff_writer_new (k ? pipe : file, &layout, &error);
    g_assert_no_error (error);
    for (int i = 0; i < 18; i++) {
      g_assert_true (i != 9 || notch_tiff_writer_next_page (writer, &error));
      g_assert_true (notch_tiff_writer_rows (writer, row, 1, &error));
    }
    g_assert_true (notch_tiff_writer_commit (writer, &error));
  }
  g_autoptr (GBytes) got = g_thread_join (reader);
  g_assert_true (g_file_get_contents (file, &bytes, &n, NULL));
  g_assert_cmpmem (g_bytes_get_data (got, NULL), g_bytes_get_size (got), bytes, n);
  g_assert_true (notch_is_stream (pipe));
  g_assert_cmpint (count_files (), ==, 2);
  g_remove (pipe);
  g_remove (file);
}

/* ---- TIFF -------------------------------------------------------------------------------------------------------- */

static void
test_tiff (void)
{
  static const struct {
    NotchTiffLayout layout;
    double full_scale;
  } cases[] = {
    { { 61, 47, NOTCH_SAMPLE_U8, 8, 0, FALSE, NULL, 1 }, 255 },
    { { 61, 47, NOTCH_SAMPLE_U16, 12, 0.35, FALSE, "wafer 7", 1 }, 4095 },
    { { 6100, 470, NOTCH_SAMPLE_U16, 16, 0, TRUE, NULL, 1 }, 65535 },
    { { 6100, 470, NOTCH_SAMPLE_U16, 16, 2, FALSE, NULL, 1 }, 65535 },
    { { 601, 900, NOTCH_SAMPLE_F32, 32, 12.5, TRUE, "z", 1 }, 0 },
    { { 601, 900, NOTCH_SAMPLE_F32, 32, 0, FALSE, NULL, 1 }, 0 },
    { { 900, 601, NOTCH_SAMPLE_U8, 8, 0, TRUE, NULL, 1 }, 255 },
    { { 1, 1, NOTCH_SAMPLE_U8, 8, 0, TRUE, NULL, 1 }, 255 },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    const NotchTiffLayout *layout = &cases[i].layout;
    g_autofree char *path = path_of ("a.tif");
    gsize row_bytes = (gsize) layout->width * notch_sample_size (layout->sample),
          n = row_bytes * (gsize) layout->height;
    g_autofree guint8 *rows = g_malloc (n), *back = g_malloc (n);
    g_autoptr (GRand) rand = g_rand_new_with_seed ((guint32) i);
    for (gsize k = 0; k < n; k++)
      rows[k] = (guint8) (k % 2 ? 0x3f & k : (gsize) g_rand_int_range (rand, 0, 256));
    GError *error = NULL;
    g_autoptr (NotchTiffWriter) writer = notch_tiff_writer_new (path, layout, &error);
    g_assert_no_error (error);
    for (gint64 y = 0; y < layout->height;) {
      gint64 take = g_rand_int_range (rand, 0, 100);
      take = MIN (take, layout->height - y);
      g_assert_true (notch_tiff_writer_rows (writer, rows + (gsize) y * row_bytes, take, &error));
      y += take;
    }
    g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
    g_assert_true (notch_tiff_writer_commit (writer, &error));
    g_assert_no_error (error);
    g_assert_cmpint (count_files (), ==, 1);

    g_autoptr (NotchSource) source = notch_source_open (path, NULL, &error);
    g_assert_no_error (error);
    g_assert_cmpint (source->width, ==, layout->width);
    g_assert_cmpint (source->height, ==, layout->height);
    g_assert_cmpint (source->sample, ==, layout->sample);
    g_assert_cmpfloat (source->full_scale, ==, cases[i].full_scale);
    g_assert_cmpfloat_with_epsilon (source->pixel_um_x, layout->pixel_um, 1e-5); /* tags are 32-bit floats */
    g_assert_cmpfloat_with_epsilon (source->pixel_um_y, layout->pixel_um, 1e-5);
    g_assert_true (notch_source_read (source, 0, layout->height, back, 2, &error));
    g_assert_cmpmem (back, n, rows, n);
    TIFF *tiff = TIFFOpen (path, "r");
    char *description = NULL;
    TIFFGetField (tiff, TIFFTAG_IMAGEDESCRIPTION, &description);
    g_assert_cmpstr (description, ==, layout->description);
    TIFFClose (tiff);
    g_remove (path);
  }
}

static void
test_tiff_big (void)
{
  static const struct {
    gint64 width, height;
    guint8 version;
  } cases[] = { { 60000, 60000, 42 }, { 70000, 70000, 43 } };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *path = path_of ("big.tif"), *bytes = NULL;
    gsize n = 0;
    NotchTiffLayout layout = { cases[i].width, cases[i].height, NOTCH_SAMPLE_U8, 8, 0, FALSE, NULL, 1 };
    g_autofree guint8 *row = g_malloc0 ((gsize) layout.width * 10);
    g_autoptr (NotchTiffWriter) writer = notch_tiff_writer_new (path, &layout, NULL);
    g_assert_nonnull (writer);
    g_assert_true (notch_tiff_writer_rows (writer, row, 10, NULL));
    g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
    g_autofree char *aside = path_of (g_dir_read_name (dir)); /* the only file is the one aside */
    g_assert_true (g_file_get_contents (aside, &bytes, &n, NULL));
    g_assert_cmpint (bytes[G_BYTE_ORDER == G_LITTLE_ENDIAN ? 2 : 3], ==, cases[i].version);
  }
  g_assert_cmpint (count_files (), ==, 0); /* not committed: nothing stays */
}

static void
test_tiff_refused (void)
{
  static const NotchTiffLayout cases[] = { { 10, 10, NOTCH_SAMPLE_U8, 16, 0, FALSE, NULL, 1 },
                                           { 0, 10, NOTCH_SAMPLE_U8, 8, 0, FALSE, NULL, 1 },
                                           { 10, -1, NOTCH_SAMPLE_U8, 8, 0, FALSE, NULL, 1 },
                                           { 10, (gint64) 1 << 33, NOTCH_SAMPLE_U8, 8, 0, FALSE, NULL, 1 },
                                           { (gint64) 1 << 33, 1, NOTCH_SAMPLE_U8, 8, 0, FALSE, NULL, 1 } };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *path = path_of ("no.tif");
    GError *error = NULL;
    g_assert_null (notch_tiff_writer_new (path, &cases[i], &error));
    g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE);
    g_clear_error (&error);
  }
  g_assert_cmpint (count_files (), ==, 0);
}

/* ---- PNG --------------------------------------------------------------------------------------------------------- */

static const guint8 colours[256][3] = { { 0, 0, 0 }, { 255, 0, 0 }, { 1, 2, 3 }, [255] = { 9, 8, 7 } };

typedef enum { NOISE, FLAT, MAP, RAMP, ONE_ODD, SKEWED, HALF, N_CONTENTS } Content;

static void
fill (guint8 *to, gsize n, gsize row_bytes, Content content)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (11);
  for (gsize i = 0; i < n; i++) {
    gsize x = i % row_bytes, y = i / row_bytes;
    switch (content) {
    case NOISE:
      to[i] = (guint8) (100 + g_rand_int_range (rand, -9, 9) + g_rand_int_range (rand, -9, 9));
      break;
    case FLAT:
      to[i] = 7;
      break;
    case MAP:
      to[i] = (guint8) (x / 40 % 3 == 0 || y / 30 % 3 == 0 ? 1 : 2);
      break;
    case RAMP:
      to[i] = (guint8) (x * x / 7 + y);
      break;
    case ONE_ODD:
      to[i] = i == n / 2 ? 255 : 0;
      break;
    case SKEWED: { /* differences 1, 2, 3 … are each half as frequent: the longest codes */
      guint32 bits = g_rand_int (rand), step = 0;
      while (step < 31 && bits >> step & 1)
        step++;
      to[i] = (guint8) ((x > 0 ? to[i - 1] : 0) + (i % 9973 == 0 ? i / 9973 : step));
      break;
    }
    default:
      to[i] = (guint8) (y * row_bytes < n / 2 ? 3 : g_rand_int_range (rand, 0, 256));
      break;
    }
  }
}

static char *
write_image (const char *path, int width, int height, gboolean palette, int jobs, const guint8 *rows, gsize *n)
{
  static const char *const text[] = { "Title", "wafer", "Software", "notch \xb5m", NULL };
  GError *error = NULL;
  NotchPngLayout layout = { width, height, palette ? 256 : 0, colours, jobs, text };
  g_autoptr (NotchPngWriter) writer = notch_png_writer_new (path, &layout, &error);
  g_assert_no_error (error);
  gsize row_bytes = (gsize) width * (palette ? 1 : 3);
  for (int y = 0, step = 0; y < height; step = (step + 13) % 300) { /* also no rows at all */
    int take = MIN (step, height - y);
    g_assert_true (notch_png_writer_rows (writer, rows + (gsize) y * row_bytes, take, &error));
    y += take;
  }
  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
  g_assert_true (notch_png_writer_commit (writer, &error));
  g_assert_no_error (error);
  char *bytes = NULL;
  g_assert_true (g_file_get_contents (path, &bytes, n, NULL));
  return bytes;
}

static void
on_warning (png_structp png, png_const_charp text)
{
  g_error ("libpng warns: %s", text);
}

/* What libpng makes of the file, which may not even warn. */
static void
check_image (const char *path, int width, int height, gboolean palette, const guint8 *rows)
{
  FILE *file = g_fopen (path, "rb");
  png_structp png = png_create_read_struct (PNG_LIBPNG_VER_STRING, NULL, NULL, on_warning);
  png_infop info = png_create_info_struct (png), end = png_create_info_struct (png);
  png_init_io (png, file);
  png_set_crc_action (png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
  png_set_user_limits (png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  png_read_info (png, info);
  g_assert_cmpint (png_get_image_width (png, info), ==, width);
  g_assert_cmpint (png_get_image_height (png, info), ==, height);
  g_assert_cmpint (png_get_color_type (png, info), ==, palette ? PNG_COLOR_TYPE_PALETTE : PNG_COLOR_TYPE_RGB);
  if (palette) {
    png_colorp map = NULL;
    int n = 0;
    png_get_PLTE (png, info, &map, &n);
    g_assert_cmpmem (map, (gsize) n * 3, colours, sizeof colours);
  }
  png_textp text = NULL;
  int n_text = 0;
  png_get_text (png, info, &text, &n_text);
  g_assert_cmpint (n_text, ==, 2);
  g_assert_cmpstr (text[0].key, ==, "Title");
  g_assert_cmpstr (text[1].text, ==, "notch \xb5m");
  gsize row_bytes = (gsize) width * (palette ? 1 : 3);
  g_autofree guint8 *row = g_malloc (row_bytes);
  for (int y = 0; y < height; y++) {
    png_read_row (png, row, NULL);
    g_assert_cmpmem (row, row_bytes, rows + (gsize) y * row_bytes, row_bytes);
  }
  png_read_end (png, end);
  png_destroy_read_struct (&png, &info, &end);
  fclose (file);
}

static void
test_png (void)
{
  static const struct {
    int width, height;
  } sizes[] = { { 1, 1 }, { 1, 3000 }, { 3001, 1 }, { 1003, 1301 }, { 700000, 3 } };
  g_autofree char *path = path_of ("a.png");
  for (gsize s = 0; s < G_N_ELEMENTS (sizes); s++)
    for (int palette = 0; palette < 2; palette++)
      for (int content = 0; content < N_CONTENTS; content += few (1, 2)) {
        int w = sizes[s].width, h = sizes[s].height;
        gsize row_bytes = (gsize) w * (palette ? 1 : 3), n = row_bytes * (gsize) h, n_first = 0;
        g_autofree guint8 *rows = g_malloc (n);
        g_autofree char *first = NULL;
        fill (rows, n, row_bytes, (Content) content);
        for (int jobs = 1; jobs <= 5; jobs += 2) {
          gsize n_bytes = 0;
          g_autofree char *bytes = write_image (path, w, h, palette, jobs, rows, &n_bytes);
          if (jobs == 1) {
            check_image (path, w, h, palette, rows);
            n_first = n_bytes;
            first = g_steal_pointer (&bytes);
          } else {
            g_assert_cmpmem (bytes, n_bytes, first, n_first);
          }
          g_remove (path);
        }
        if (n < 1000000)
          continue;
        if (content == FLAT || content == MAP || content == ONE_ODD)
          g_assert_cmpuint (n_first, <, n / 50);
        if (content == NOISE && palette) { /* two dice of 18: the entropy of a difference is 5.4 bits */
          g_assert_cmpuint (n_first, <, n * 70 / 100);
          g_assert_cmpuint (n_first, >, n * 60 / 100);
        }
      }
  g_assert_cmpint (count_files (), ==, 0);
}

static void
test_png_dropped (void)
{
  g_autofree char *path = path_of ("b.png");
  g_autofree guint8 *rows = g_malloc0 (3000 * 3000);
  NotchPngLayout layout = { 3000, 3000, 3, colours, 4, NULL };
  for (int n = 0; n <= 3000; n += 1000) {
    g_autoptr (NotchPngWriter) writer = notch_png_writer_new (path, &layout, NULL);
    g_assert_true (notch_png_writer_rows (writer, rows, n, NULL));
  }
  g_assert_cmpint (count_files (), ==, 0);
  static const NotchPngLayout bad[] = { { 0, 1, 0, NULL, 1, NULL },
                                        { 1, 0, 0, NULL, 1, NULL },
                                        { 1, 1, 257, NULL, 1, NULL },
                                        { G_MAXINT, 1, 0, NULL, 1, NULL } };
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++) {
    GError *error = NULL;
    g_assert_null (notch_png_writer_new (path, &bad[i], &error));
    g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE);
    g_clear_error (&error);
  }
}

/* ---- full disks -------------------------------------------------------------------------------------------------- */

/* The size that a file may have stands in for the room on a disk. */
static void
test_full (void)
{
  if (!g_test_subprocess ()) {
    g_test_trap_subprocess (NULL, 0, 0);
    g_test_trap_assert_passed ();
    g_test_trap_assert_stderr ("");
    return;
  }
  const int w = 1000, h = 1000;
  gsize n = (gsize) w * (gsize) h;
  g_autofree guint8 *rows = g_malloc (n);
  g_autofree char *path = path_of ("full"), *report = g_malloc0 (200000);
  fill (rows, n, (gsize) w, NOISE);
  signal (SIGXFSZ, SIG_IGN);
  static const rlim_t rooms[] = { 0, 100, 100000, 500000, 1000050 }; /* at the last only the TIFF's tables miss */
  for (gsize i = 0; i < G_N_ELEMENTS (rooms); i++) {
    struct rlimit limit = { rooms[i], RLIM_INFINITY };
    g_assert_cmpint (setrlimit (RLIMIT_FSIZE, &limit), ==, 0);
    GError *error = NULL;
    gboolean well = notch_write_file (path, report, 200000, &error);
    g_assert_cmpint (well, ==, rooms[i] >= 200000);
    if (!well)
      assert_write_error (&error, path, "*File too large*make room*");
    g_remove (path);

    for (int deflate = 0; deflate < 2; deflate++) {
      NotchTiffLayout tiff = { w, h, NOTCH_SAMPLE_U8, 8, 1, deflate, "x", 1 };
      g_autoptr (NotchTiffWriter) writer = notch_tiff_writer_new (path, &tiff, &error);
      well = writer != NULL && notch_tiff_writer_rows (writer, rows, h, &error)
             && notch_tiff_writer_commit (writer, &error);
      g_assert_cmpint (well, ==, deflate && rooms[i] > 900000);
      if (!well)
        assert_write_error (&error, path, "*File too large*make room*");
      g_assert_cmpint (g_file_test (path, G_FILE_TEST_EXISTS), ==, well);
      g_remove (path);
    }
    for (int jobs = 1; jobs < 3; jobs++) {
      NotchPngLayout png = { w, h, 256, colours, jobs, NULL };
      g_autoptr (NotchPngWriter) writer = notch_png_writer_new (path, &png, &error);
      well =
          writer != NULL && notch_png_writer_rows (writer, rows, h, &error) && notch_png_writer_commit (writer, &error);
      g_assert_cmpint (well, ==, rooms[i] > 900000);
      if (!well)
        assert_write_error (&error, path, "*File too large*make room*");
      g_assert_cmpint (g_file_test (path, G_FILE_TEST_EXISTS), ==, well);
      g_remove (path);
    }
  }
  g_assert_cmpint (count_files (), ==, 0);
  g_rmdir (folder);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("notch-write-XXXXXX", NULL);
  g_assert_nonnull (folder);
  g_test_add_func ("/write/file", test_file);
  g_test_add_func ("/write/aside", test_aside);
  g_test_add_func ("/write/stream", test_stream);
  g_test_add_func ("/write/tiff", test_tiff);
  g_test_add_func ("/write/tiff/big", test_tiff_big);
  g_test_add_func ("/write/tiff/refused", test_tiff_refused);
  g_test_add_func ("/write/png", test_png);
  g_test_add_func ("/write/png/dropped", test_png_dropped);
  g_test_add_func ("/write/full", test_full);
  int status = g_test_run ();
  g_rmdir (folder);
  g_free (folder);
  return status;
}
