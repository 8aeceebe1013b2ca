/* source.c - images of every kind that is read, written here by libtiff and libpng, against their samples by formula */
#include "inspect/image/source.h"

#include <glib/gstdio.h>
#include <math.h>
#include <png.h>
#include <string.h>
#include <sys/resource.h>
#include <tiffio.h>
#include <zlib.h>

static char *folder;

static char *
path_of (const char *name)
{
  return g_build_filename (folder, name, NULL);
}

static void
store (const char *path, const char *bytes, gsize n)
{
  FILE *file = g_fopen (path, "wb"); /* g_file_set_contents would wait for the disk */
  g_assert_nonnull (file);
  g_assert_cmpuint (fwrite (bytes, 1, n, file), ==, n);
  g_assert_cmpint (fclose (file), ==, 0);
}

static guint32
hash (guint32 x, guint32 y, guint32 c)
{
  guint32 h = x * 0x9e3779b1u + y * 0x85ebca77u + c * 0xc2b2ae3du;
  h = (h ^ h >> 15) * 0x2c1b3c6du;
  return h ^ h >> 13;
}

/* ---- TIFF -------------------------------------------------------------------------------------------------------- */

typedef struct {
  const char *name;
  guint32 width, height;
  int bits, format, spp, photometric, compression;
  gboolean separate;
  guint32 rows, tile; /* rows a strip, or side of a tile */
  const char *mode;
  int predictor, fill_order, tolerance;
} Kind;

#define UINT  SAMPLEFORMAT_UINT
#define INT   SAMPLEFORMAT_INT
#define FLOAT SAMPLEFORMAT_IEEEFP
#define BLACK PHOTOMETRIC_MINISBLACK
#define WHITE PHOTOMETRIC_MINISWHITE
#define RGB   PHOTOMETRIC_RGB

static const Kind kinds[] = {
  { "u8", 61, 47, 8, UINT, 1, BLACK, COMPRESSION_NONE, .rows = 7 },
  { "u8-one-strip", 61, 47, 8, UINT, 1, BLACK, COMPRESSION_NONE, .rows = 47 },
  { "u16-le", 61, 47, 16, UINT, 1, BLACK, COMPRESSION_NONE, .rows = 1, .mode = "wl" },
  { "u16-be", 61, 47, 16, UINT, 1, BLACK, COMPRESSION_NONE, .rows = 5, .mode = "wb" },
  { "u16-big", 61, 47, 16, UINT, 1, BLACK, COMPRESSION_NONE, .rows = 5, .mode = "w8" },
  { "u16-big-be", 61, 47, 16, UINT, 1, BLACK, COMPRESSION_LZW, .rows = 5, .mode = "w8b", .predictor = 2 },
  { "u16-tiles", 61, 47, 16, UINT, 1, BLACK, COMPRESSION_NONE, .tile = 16 },
  { "u16-tiles-deflate", 61, 47, 16, UINT, 1, BLACK, COMPRESSION_ADOBE_DEFLATE, .tile = 32, .predictor = 2 },
  { "u16-tile-be", 20, 18, 16, UINT, 1, BLACK, COMPRESSION_LZW, .tile = 64, .mode = "wb" },
  { "u8-deflate", 200, 100, 8, UINT, 1, BLACK, COMPRESSION_ADOBE_DEFLATE, .rows = 9, .predictor = 2 },
  { "u8-deflate-rows", 200, 100, 8, UINT, 1, BLACK, COMPRESSION_DEFLATE, .rows = 1 },
  { "u8-packbits", 61, 47, 8, UINT, 1, BLACK, COMPRESSION_PACKBITS, .rows = 16 },
  { "u16-zstd", 61, 47, 16, UINT, 1, BLACK, COMPRESSION_ZSTD, .rows = 47, .predictor = 2 },
  { "u8-jpeg", 64, 48, 8, UINT, 1, BLACK, COMPRESSION_JPEG, .rows = 16, .tolerance = 4 },
  { "u1", 61, 47, 1, UINT, 1, BLACK, COMPRESSION_NONE, .rows = 7 },
  { "u1-white", 61, 47, 1, UINT, 1, WHITE, COMPRESSION_NONE, .rows = 7 },
  { "u1-fill", 61, 47, 1, UINT, 1, BLACK, COMPRESSION_NONE, .rows = 7, .fill_order = FILLORDER_LSB2MSB },
  { "u1-fax", 61, 47, 1, UINT, 1, WHITE, COMPRESSION_CCITTFAX4, .rows = 47 },
  { "u2", 61, 47, 2, UINT, 1, BLACK, COMPRESSION_NONE, .rows = 7 },
  { "u4-white", 61, 47, 4, UINT, 1, WHITE, COMPRESSION_LZW, .rows = 7 },
  { "u4-tiles", 61, 47, 4, UINT, 1, BLACK, COMPRESSION_NONE, .tile = 16 },
  { "u8-white", 61, 47, 8, UINT, 1, WHITE, COMPRESSION_NONE, .rows = 7 },
  { "u10", 61, 47, 10, UINT, 1, BLACK, COMPRESSION_NONE, .rows = 7 },
  { "u12", 61, 47, 12, UINT, 1, BLACK, COMPRESSION_NONE, .rows = 7 },
  { "u12-white-lzw", 61, 47, 12, UINT, 1, WHITE, COMPRESSION_LZW, .rows = 7 },
  { "u12-be", 61, 47, 12, UINT, 1, BLACK, COMPRESSION_NONE, .rows = 7, .mode = "wb" },
  { "u12-tiles", 61, 47, 12, UINT, 1, BLACK, COMPRESSION_ADOBE_DEFLATE, .tile = 16 },
  { "u16-white", 61, 47, 16, UINT, 1, WHITE, COMPRESSION_NONE, .rows = 7 },
  { "u32", 61, 47, 32, UINT, 1, BLACK, COMPRESSION_NONE, .rows = 7 },
  { "u32-be", 61, 47, 32, UINT, 1, BLACK, COMPRESSION_NONE, .rows = 7, .mode = "wb" },
  { "s8", 61, 47, 8, INT, 1, BLACK, COMPRESSION_NONE, .rows = 7 },
  { "s16-be", 61, 47, 16, INT, 1, BLACK, COMPRESSION_NONE, .rows = 7, .mode = "wb" },
  { "s32", 61, 47, 32, INT, 1, BLACK, COMPRESSION_ADOBE_DEFLATE, .rows = 7 },
  { "f32", 61, 47, 32, FLOAT, 1, BLACK, COMPRESSION_NONE, .rows = 7 },
  { "f32-be", 61, 47, 32, FLOAT, 1, BLACK, COMPRESSION_NONE, .rows = 7, .mode = "wb" },
  { "f32-deflate", 61, 47, 32, FLOAT, 1, BLACK, COMPRESSION_ADOBE_DEFLATE, .rows = 7, .predictor = 3 },
  { "rgb8", 61, 47, 8, UINT, 3, RGB, COMPRESSION_NONE, .rows = 7 },
  { "rgb8-planes", 61, 47, 8, UINT, 3, RGB, COMPRESSION_NONE, TRUE, .rows = 7 },
  { "rgb8-planes-tiles", 61, 47, 8, UINT, 3, RGB, COMPRESSION_LZW, TRUE, .tile = 16 },
  { "rgb16-be", 61, 47, 16, UINT, 3, RGB, COMPRESSION_NONE, .rows = 7, .mode = "wb" },
  { "rgb16-planes", 61, 47, 16, UINT, 3, RGB, COMPRESSION_ADOBE_DEFLATE, TRUE, .rows = 7, .predictor = 2 },
  { "rgb12", 61, 47, 12, UINT, 3, RGB, COMPRESSION_NONE, .rows = 7 },
  { "rgbf", 61, 47, 32, FLOAT, 3, RGB, COMPRESSION_NONE, .rows = 7 },
  { "rgba8", 61, 47, 8, UINT, 4, RGB, COMPRESSION_LZW, .rows = 7, .predictor = 2 },
  { "rgba16-planes", 61, 47, 16, UINT, 4, RGB, COMPRESSION_NONE, TRUE, .rows = 7 },
  { "rgba8-tiles", 61, 47, 8, UINT, 4, RGB, COMPRESSION_NONE, .tile = 16 },
  { "ga8", 61, 47, 8, UINT, 2, BLACK, COMPRESSION_NONE, .rows = 7 },
  { "ga16-planes", 61, 47, 16, UINT, 2, BLACK, COMPRESSION_NONE, TRUE, .rows = 7 },
  { "rgb8-jpeg", 64, 48, 8, UINT, 3, PHOTOMETRIC_YCBCR, COMPRESSION_JPEG, .rows = 16, .tolerance = 8 },
  { "u16-threads", 1100, 600, 16, UINT, 1, BLACK, COMPRESSION_NONE, .rows = 11, .mode = "wb" },
  { "pixel", 1, 1, 16, UINT, 1, BLACK, COMPRESSION_NONE, .rows = 1 },
  { "tall", 1, 300, 8, UINT, 1, BLACK, COMPRESSION_LZW, .rows = 64 },
};

/* What the file holds: a bit pattern of the sample's size, or a float. */
static guint32
stored (const Kind *kind, guint32 x, guint32 y, int c)
{
  if (kind->tolerance > 0) /* lossy: smooth, and nearly grey */
    return (guint32) (100 + x + y + (guint32) c);
  guint32 bits = hash (x, y, (guint32) c);
  if (kind->format == FLOAT) {
    float value = (float) bits / 65536.0f - 20000.0f;
    memcpy (&bits, &value, sizeof bits);
  }
  return kind->bits == 32 ? bits : bits & ((1u << kind->bits) - 1);
}

/* The level of one sample as the reader promises it. */
static double
level_of (const Kind *kind, guint32 x, guint32 y, int c)
{
  guint32 v = stored (kind, x, y, c), top = kind->bits == 32 ? G_MAXUINT32 : (1u << kind->bits) - 1;
  if (kind->format == FLOAT) {
    float value;
    memcpy (&value, &v, sizeof value);
    return (double) value;
  }
  if (kind->format == INT)
    return (double) (float) (v > top / 2 ? (gint64) v - (gint64) top - 1 : (gint64) v);
  if (kind->bits == 32)
    return (double) (float) v;
  if (kind->photometric == WHITE)
    v = top - v;
  return kind->bits < 8 ? v * 255.0 / top : v;
}

static double
expected (const Kind *kind, guint32 x, guint32 y, NotchColour colour)
{
  if (kind->photometric != RGB && kind->photometric != PHOTOMETRIC_YCBCR)
    return level_of (kind, x, y, 0);
  if (colour != NOTCH_CHANNEL_LUMINANCE)
    return level_of (kind, x, y, colour);
  return 0.2126 * level_of (kind, x, y, 0) + 0.7152 * level_of (kind, x, y, 1) + 0.0722 * level_of (kind, x, y, 2);
}

/* Samples of w x h pixels from (x0, y0), packed as libtiff takes them; zeros beyond the image. */
static guint8 *
pack (const Kind *kind, guint32 x0, guint32 y0, guint32 w, guint32 h, int plane, gsize *n)
{
  int samples = kind->separate ? 1 : kind->spp;
  gsize row_bytes = ((gsize) w * (gsize) samples * (gsize) kind->bits + 7) / 8;
  guint8 *bytes = g_malloc0 (row_bytes * h);
  *n = row_bytes * h;
  for (guint32 y = 0; y < h; y++) {
    guint8 *row = bytes + y * row_bytes;
    for (guint32 i = 0; i < w * (guint32) samples; i++) {
      guint32 x = x0 + i / (guint32) samples;
      int c = kind->separate ? plane : (int) (i % (guint32) samples);
      guint32 v = x < kind->width && y0 + y < kind->height ? stored (kind, x, y0 + y, c) : 0;
      if (kind->bits == 32)
        memcpy (row + i * 4, &v, 4);
      else if (kind->bits == 16)
        ((guint16 *) (void *) row)[i] = (guint16) v;
      else
        for (int b = 0; b < kind->bits; b++) {
          gsize at = (gsize) i * (gsize) kind->bits + (gsize) b;
          row[at / 8] |= (guint8) ((v >> (kind->bits - 1 - b) & 1) << (7 - at % 8));
        }
    }
  }
  return bytes;
}

static void
set_fields (TIFF *tiff, const Kind *kind)
{
  TIFFSetField (tiff, TIFFTAG_IMAGEWIDTH, kind->width);
  TIFFSetField (tiff, TIFFTAG_IMAGELENGTH, kind->height);
  TIFFSetField (tiff, TIFFTAG_BITSPERSAMPLE, kind->bits);
  TIFFSetField (tiff, TIFFTAG_SAMPLESPERPIXEL, kind->spp);
  TIFFSetField (tiff, TIFFTAG_SAMPLEFORMAT, kind->format);
  TIFFSetField (tiff, TIFFTAG_COMPRESSION, kind->compression);
  TIFFSetField (tiff, TIFFTAG_PHOTOMETRIC, kind->photometric);
  TIFFSetField (tiff, TIFFTAG_PLANARCONFIG, kind->separate ? PLANARCONFIG_SEPARATE : PLANARCONFIG_CONTIG);
  guint16 extra = EXTRASAMPLE_UNASSALPHA;
  if (kind->spp == 2 || kind->spp == 4)
    TIFFSetField (tiff, TIFFTAG_EXTRASAMPLES, 1, &extra);
  if (kind->predictor != 0)
    TIFFSetField (tiff, TIFFTAG_PREDICTOR, kind->predictor);
  if (kind->fill_order != 0)
    TIFFSetField (tiff, TIFFTAG_FILLORDER, kind->fill_order);
  if (kind->compression == COMPRESSION_JPEG) {
    TIFFSetField (tiff, TIFFTAG_JPEGQUALITY, 98);
    TIFFSetField (tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
  }
  if (kind->tile != 0) {
    TIFFSetField (tiff, TIFFTAG_TILEWIDTH, kind->tile);
    TIFFSetField (tiff, TIFFTAG_TILELENGTH, kind->tile);
  } else {
    TIFFSetField (tiff, TIFFTAG_ROWSPERSTRIP, kind->rows);
  }
}

static void
write_page (TIFF *tiff, const Kind *kind)
{
  set_fields (tiff, kind);
  guint32 w = kind->tile != 0 ? kind->tile : kind->width, h = kind->tile != 0 ? kind->tile : kind->rows, index = 0;
  for (int plane = 0; plane < (kind->separate ? kind->spp : 1); plane++)
    for (guint32 y = 0; y < kind->height; y += h)
      for (guint32 x = 0; x < kind->width; x += w) {
        gsize n = 0;
        guint32 rows = kind->tile != 0 ? h : MIN (h, kind->height - y);
        g_autofree guint8 *bytes = pack (kind, x, y, w, rows, plane, &n);
        tmsize_t written = kind->tile != 0 ? TIFFWriteEncodedTile (tiff, index, bytes, (tmsize_t) n)
                                           : TIFFWriteEncodedStrip (tiff, index, bytes, (tmsize_t) n);
        g_assert_cmpint (written, ==, (gint64) n);
        index++;
      }
}

static char *
write_kind (const Kind *kind)
{
  g_autofree char *name = g_strdup_printf ("%s.tif", kind->name);
  char *path = path_of (name);
  TIFFErrorHandler handler = TIFFSetWarningHandler (NULL); /* old codecs are meant here */
  TIFF *tiff = TIFFOpen (path, kind->mode != NULL ? kind->mode : "w");
  g_assert_nonnull (tiff);
  write_page (tiff, kind);
  TIFFClose (tiff);
  TIFFSetWarningHandler (handler);
  return path;
}

static double
sample_at (const NotchSource *source, const void *rows, gsize i)
{
  return source->sample == NOTCH_SAMPLE_U8    ? ((const guint8 *) rows)[i]
         : source->sample == NOTCH_SAMPLE_U16 ? ((const guint16 *) rows)[i]
                                              : (double) ((const float *) rows)[i];
}

static void
check_kind (const char *path, const Kind *kind, NotchColour colour, int jobs)
{
  GError *error = NULL;
  NotchSourceOptions options = { .colour = colour, .budget = 64 << 20 };
  g_autoptr (NotchSource) source = notch_source_open (path, &options, &error);
  g_assert_no_error (error);
  g_assert_cmpint (source->width, ==, kind->width);
  g_assert_cmpint (source->height, ==, kind->height);
  static const gint64 outside[][2] = { { -1, 1 }, { 0, G_MAXINT64 }, { G_MAXINT64, 1 }, { 1, -1 }, { G_MAXINT64, 0 } };
  for (gsize i = 0; i < G_N_ELEMENTS (outside); i++) {
    g_assert_false (notch_source_read (source, outside[i][0], outside[i][1], NULL, jobs, &error));
    g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE);
    g_clear_error (&error);
  }
  gboolean is_float = kind->bits == 32 || kind->format == INT;
  g_assert_cmpint (source->sample, ==,
                   is_float          ? NOTCH_SAMPLE_F32
                   : kind->bits <= 8 ? NOTCH_SAMPLE_U8
                                     : NOTCH_SAMPLE_U16);
  g_assert_cmpfloat (source->full_scale, ==, is_float ? 0 : kind->bits <= 8 ? 255 : (1 << kind->bits) - 1);
  /* Lossless integers exactly; luminance within rounding and the weights' own 2^-17; floats within their precision. */
  gboolean colours = kind->photometric == RGB && colour == NOTCH_CHANNEL_LUMINANCE;
  double tolerance = kind->tolerance > 0 ? kind->tolerance
                     : !colours          ? 0
                     : is_float          ? 0.01
                                         : 0.5 + source->full_scale / 65536;

  gsize size = notch_sample_size (source->sample), stride = kind->width * size;
  guint8 canary[64];
  memset (canary, 0xa5, sizeof canary);
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  for (int turn = 0; turn < 12; turn++) {
    gint64 y = turn == 0 ? 0 : (gint64) g_rand_int_range (rand, 0, (gint32) kind->height);
    gint64 n = turn == 0 ? (gint64) kind->height : (gint64) g_rand_int_range (rand, 1, (gint32) (kind->height - y) + 1);
    g_autofree guint8 *rows = g_malloc ((gsize) n * stride + sizeof canary);
    memcpy (rows + (gsize) n * stride, canary, sizeof canary);
    gboolean well = notch_source_read (source, y, n, rows, jobs, &error);
    g_assert_no_error (error);
    g_assert_true (well);
    g_assert_cmpmem (rows + (gsize) n * stride, sizeof canary, canary, sizeof canary);
    for (gint64 i = 0; i < n; i++)
      for (guint32 x = 0; x < kind->width; x++) {
        double got = sample_at (source, rows, (gsize) i * kind->width + x);
        double want = expected (kind, x, (guint32) (y + i), colour);
        if (!(fabs (got - want) <= tolerance))
          g_error ("%s: (%u, %d) is %g and should be %g", kind->name, x, (int) (y + i), got, want);
      }
  }
}

static void
test_kinds (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (kinds); i++) {
    if (!TIFFIsCODECConfigured ((guint16) kinds[i].compression)) {
      g_test_message ("%s: this libtiff lacks compression %d", kinds[i].name, kinds[i].compression);
      continue;
    }
    g_autofree char *path = write_kind (&kinds[i]);
    check_kind (path, &kinds[i], NOTCH_CHANNEL_LUMINANCE, 1);
    check_kind (path, &kinds[i], NOTCH_CHANNEL_LUMINANCE, 3);
    check_kind (path, &kinds[i], NOTCH_CHANNEL_BLUE, 2);
    g_assert_cmpint (g_remove (path), ==, 0);
  }
}

static void
assert_fails_as (NotchError code, const char *path, const NotchSourceOptions *options, const char *pattern)
{
  GError *error = NULL;
  g_autoptr (NotchSource) source = notch_source_open (path, options, &error);
  g_autofree guint8 *row = NULL;
  if (source != NULL) {
    row = g_try_malloc ((gsize) source->width * 4);
    g_assert_nonnull (row);
    g_assert_false (notch_source_read (source, 0, 1, row, 2, &error));
  }
  g_assert_error (error, NOTCH_ERROR, (int) code);
  if (!g_str_has_prefix (error->message, path) || strchr (error->message, '\n') != NULL
      || !g_pattern_match_simple (pattern, error->message))
    g_error ("the message does not say '%s': %s", pattern, error->message);
  g_clear_error (&error);
}

static void
assert_fails (const char *path, const NotchSourceOptions *options, const char *pattern)
{
  assert_fails_as (NOTCH_ERROR_READ, path, options, pattern);
}

static void
test_pages (void)
{
  g_autofree char *path = path_of ("pages.tif");
  Kind first = { "pages", 20, 10, 8, UINT, 1, BLACK, COMPRESSION_NONE, .rows = 4 };
  Kind second = { "pages", 31, 17, 16, UINT, 1, BLACK, COMPRESSION_LZW, .tile = 16 };
  TIFF *tiff = TIFFOpen (path, "w");
  write_page (tiff, &first);
  TIFFWriteDirectory (tiff);
  write_page (tiff, &second);
  TIFFClose (tiff);

  GError *error = NULL;
  for (int page = 0; page <= 2; page++) {
    NotchSourceOptions options = { .page = page, .colour = NOTCH_CHANNEL_LUMINANCE };
    const Kind *kind = page == 2 ? &second : &first;
    g_autoptr (NotchSource) source = notch_source_open (path, &options, &error);
    g_assert_no_error (error);
    g_assert_cmpint (source->width, ==, kind->width);
    g_autofree guint8 *rows = g_malloc (kind->width * kind->height * 2);
    g_assert_true (notch_source_read (source, 0, kind->height, rows, 2, &error));
    for (guint32 i = 0; i < kind->width * kind->height; i++)
      g_assert_cmpfloat (sample_at (source, rows, i), ==, level_of (kind, i % kind->width, i / kind->width, 0));
  }
  NotchSourceOptions options = { .page = 7 };
  assert_fails_as (NOTCH_ERROR_PAGE, path, &options, "*has 2 pages; page 7 was asked for");
  g_remove (path);
}

static void
test_resolution (void)
{
  static const struct {
    int unit;
    float x, y;
    double um_x, um_y;
  } cases[] = { { RESUNIT_INCH, 254, 508, 100, 50 },
                { RESUNIT_CENTIMETER, 20000, 10000, 0.5, 1 },
                { RESUNIT_NONE, 72, 72, 0, 0 },
                { 0, 254, 254, 100, 100 } }; /* no unit tag means inches */
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *path = path_of ("resolution.tif");
    Kind kind = { "", 4, 4, 8, UINT, 1, BLACK, COMPRESSION_NONE, .rows = 4 };
    TIFF *tiff = TIFFOpen (path, "w");
    if (cases[i].unit != 0)
      TIFFSetField (tiff, TIFFTAG_RESOLUTIONUNIT, cases[i].unit);
    TIFFSetField (tiff, TIFFTAG_XRESOLUTION, (double) cases[i].x);
    TIFFSetField (tiff, TIFFTAG_YRESOLUTION, (double) cases[i].y);
    write_page (tiff, &kind);
    TIFFClose (tiff);
    g_autoptr (NotchSource) source = notch_source_open (path, NULL, NULL);
    g_assert_nonnull (source);
    g_assert_cmpfloat_with_epsilon (source->pixel_um_x, cases[i].um_x, 1e-6);
    g_assert_cmpfloat_with_epsilon (source->pixel_um_y, cases[i].um_y, 1e-6);
    g_remove (path);
  }
}

static void
test_twelve_in_sixteen (void)
{
  g_autofree char *path = path_of ("camera.tif");
  static const int max[] = { 4095, 3900 };
  for (int i = 0; i < 2; i++) {
    Kind kind = { "", 4, 4, 16, UINT, 1, BLACK, COMPRESSION_NONE, .rows = 4 };
    TIFF *tiff = TIFFOpen (path, "w");
    TIFFSetField (tiff, TIFFTAG_MAXSAMPLEVALUE, max[i]);
    write_page (tiff, &kind);
    TIFFClose (tiff);
    g_autoptr (NotchSource) source = notch_source_open (path, NULL, NULL);
    g_assert_cmpfloat (source->full_scale, ==, i == 0 ? 4095 : 65535);
  }
  g_remove (path);
}

static void
test_palette (void)
{
  g_autofree char *path = path_of ("palette.tif");
  for (int wide = 0; wide < 2; wide++) {
    Kind kind = { "", 40, 9, 8, UINT, 1, PHOTOMETRIC_PALETTE, COMPRESSION_LZW, .rows = 4 };
    guint16 map[3][256];
    for (guint32 c = 0; c < 3; c++)
      for (guint32 v = 0; v < 256; v++)
        map[c][v] = (guint16) ((hash (v, c, 9) & 255) * (wide ? 257 : 1));
    TIFF *tiff = TIFFOpen (path, "w");
    TIFFSetField (tiff, TIFFTAG_BITSPERSAMPLE, 8);
    TIFFSetField (tiff, TIFFTAG_COLORMAP, map[0], map[1], map[2]);
    write_page (tiff, &kind);
    TIFFClose (tiff);
    for (int colour = -1; colour < 3; colour++) {
      NotchSourceOptions options = { .colour = (NotchColour) colour };
      GError *error = NULL;
      guint8 rows[9][40];
      g_autoptr (NotchSource) source = notch_source_open (path, &options, &error);
      g_assert_no_error (error);
      g_assert_true (notch_source_read (source, 0, 9, rows, 1, &error));
      for (guint32 y = 0; y < 9; y++)
        for (guint32 x = 0; x < 40; x++) {
          guint32 v = stored (&kind, x, y, 0);
          double f = wide ? 257 : 1, luminance = 0.2126 * map[0][v] + 0.7152 * map[1][v] + 0.0722 * map[2][v];
          g_assert_cmpfloat_with_epsilon (rows[y][x], (colour < 0 ? luminance : map[colour][v]) / f, 0.51);
        }
    }
  }
  g_remove (path);
}

/* A compressed strip of more than 64 MiB is read row by row, in any order. */
static void
test_stream (void)
{
  for (int colour = 0; colour < 2; colour++) {
    const guint32 w = 66000, h = 1050;
    Kind kind = { "", w, h, 8, UINT, colour ? 3 : 1, colour ? RGB : BLACK, COMPRESSION_PACKBITS, colour, .rows = h };
    g_autofree char *path = path_of ("stream.tif");
    g_autofree guint8 *row = g_malloc (w);
    TIFF *tiff = TIFFOpen (path, "w");
    set_fields (tiff, &kind);
    for (int plane = 0; plane < kind.spp; plane++)
      for (guint32 y = 0; y < h; y++) {
        memset (row, (int) (hash (y, (guint32) plane, 5) & 255), w);
        row[y] ^= 1;
        g_assert_cmpint (TIFFWriteScanline (tiff, row, y, (guint16) plane), ==, 1);
      }
    TIFFClose (tiff);

    GError *error = NULL;
    g_autoptr (NotchSource) source = notch_source_open (path, NULL, &error);
    g_assert_no_error (error);
    g_assert_false (source->random_access);
    static const gint64 at[] = { 0, 3, 700, 600, 601, 1040 };
    g_autofree guint8 *rows = g_malloc ((gsize) w * 10);
    for (gsize i = 0; i < G_N_ELEMENTS (at); i++) {
      gboolean well = notch_source_read (source, at[i], 10, rows, 2, &error);
      g_assert_no_error (error);
      g_assert_true (well);
      for (gint64 y = at[i]; y < at[i] + 10; y++)
        for (gint64 x = 0; x < w; x += x < 1100 ? 1 : 997) {
          double v[3], f[3] = { 0.2126, 0.7152, 0.0722 };
          for (guint32 c = 0; c < 3; c++)
            v[c] = (hash ((guint32) y, c, 5) & 255) ^ (x == y);
          double want = colour ? f[0] * v[0] + f[1] * v[1] + f[2] * v[2] : v[0];
          g_assert_cmpfloat_with_epsilon (rows[(y - at[i]) * w + x], want, 0.51);
        }
    }
    g_remove (path);
  }
}

/* ---- PNG --------------------------------------------------------------------------------------------------------- */

static void
write_png (const char *path, guint32 w, guint32 h, int depth, int type, gboolean interlaced, guint32 per_metre)
{
  FILE *file = g_fopen (path, "wb");
  png_structp png = png_create_write_struct (PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
  png_infop info = png_create_info_struct (png);
  int channels = type == PNG_COLOR_TYPE_GRAY || type == PNG_COLOR_TYPE_PALETTE ? 1
                 : type == PNG_COLOR_TYPE_GRAY_ALPHA                           ? 2
                 : type == PNG_COLOR_TYPE_RGB                                  ? 3
                                                                               : 4;
  png_init_io (png, file);
  png_set_IHDR (png, info, w, h, depth, type, interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, 0, 0);
  if (per_metre > 0)
    png_set_pHYs (png, info, per_metre, 2 * per_metre, PNG_RESOLUTION_METER);
  png_color palette[256];
  png_byte opacity[256];
  for (guint32 v = 0; v < 256; v++) {
    palette[v] = (png_color){ (png_byte) hash (v, 0, 7), (png_byte) hash (v, 1, 7), (png_byte) hash (v, 2, 7) };
    opacity[v] = (png_byte) v;
  }
  if (type == PNG_COLOR_TYPE_PALETTE) {
    png_set_PLTE (png, info, palette, 1 << depth);
    png_set_tRNS (png, info, opacity, 1 << depth, NULL);
  }
  png_write_info (png, info);
  gsize row_bytes = ((gsize) w * (gsize) (channels * depth) + 7) / 8;
  g_autofree guint8 *bytes = g_malloc0 (row_bytes * h);
  g_autofree guint8 **rows = g_new (guint8 *, h);
  for (guint32 y = 0; y < h; y++) {
    rows[y] = bytes + y * row_bytes;
    for (guint32 i = 0; i < w * (guint32) channels; i++) {
      guint32 v = hash (i / (guint32) channels, y, i % (guint32) channels) & ((1u << depth) - 1);
      for (int b = 0; b < depth; b++) {
        gsize at = (gsize) i * (gsize) depth + (gsize) b;
        rows[y][at / 8] |= (guint8) ((v >> (depth - 1 - b) & 1) << (7 - at % 8));
      }
    }
  }
  png_write_image (png, rows);
  png_write_end (png, info);
  png_destroy_write_struct (&png, &info);
  fclose (file);
}

static double
png_level (guint32 x, guint32 y, int depth, int type, NotchColour colour)
{
  static const double weight[] = { 0.2126, 0.7152, 0.0722 };
  guint32 mask = (1u << depth) - 1, v = hash (x, y, 0) & mask;
  if (type == PNG_COLOR_TYPE_GRAY || type == PNG_COLOR_TYPE_GRAY_ALPHA)
    return depth < 8 ? v * 255.0 / mask : v;
  double level[3], sum = 0;
  for (guint32 c = 0; c < 3; c++) {
    level[c] = type == PNG_COLOR_TYPE_PALETTE ? hash (v, c, 7) & 255 : hash (x, y, c) & mask;
    sum += weight[c] * level[c];
  }
  return colour == NOTCH_CHANNEL_LUMINANCE ? sum : level[colour];
}

static void
test_png (void)
{
  static const struct {
    int depth, type;
  } cases[] = { { 1, PNG_COLOR_TYPE_GRAY },        { 2, PNG_COLOR_TYPE_GRAY },       { 4, PNG_COLOR_TYPE_GRAY },
                { 8, PNG_COLOR_TYPE_GRAY },        { 16, PNG_COLOR_TYPE_GRAY },      { 8, PNG_COLOR_TYPE_GRAY_ALPHA },
                { 16, PNG_COLOR_TYPE_GRAY_ALPHA }, { 8, PNG_COLOR_TYPE_RGB },        { 16, PNG_COLOR_TYPE_RGB },
                { 8, PNG_COLOR_TYPE_RGB_ALPHA },   { 16, PNG_COLOR_TYPE_RGB_ALPHA }, { 1, PNG_COLOR_TYPE_PALETTE },
                { 4, PNG_COLOR_TYPE_PALETTE },     { 8, PNG_COLOR_TYPE_PALETTE } };
  const gint64 w = 45, h = 31;
  g_autofree char *path = path_of ("a.png");
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    for (int interlaced = 0; interlaced < 2; interlaced++)
      for (int colour = -1; colour < 3; colour += 3) {
        int depth = cases[i].depth, type = cases[i].type;
        write_png (path, (guint32) w, (guint32) h, depth, type, interlaced, 2000000);
        NotchSourceOptions options = { .colour = (NotchColour) colour };
        GError *error = NULL;
        g_autoptr (NotchSource) source = notch_source_open (path, &options, &error);
        g_assert_no_error (error);
        g_assert_cmpint (source->width, ==, w);
        g_assert_cmpint (source->height, ==, h);
        g_assert_cmpfloat (source->full_scale, ==, depth == 16 ? 65535 : 255);
        g_assert_cmpfloat (source->pixel_um_x, ==, 0.5);
        g_assert_cmpfloat (source->pixel_um_y, ==, 0.25);
        g_assert_cmpint (source->random_access, ==, interlaced);
        static const struct {
          gint64 y, n;
        } ranges[] = { { 0, 31 }, { 5, 4 }, { 9, 1 }, { 20, 11 }, { 0, 1 } };
        for (gsize k = 0; k < G_N_ELEMENTS (ranges); k++) {
          g_autofree guint8 *rows = g_malloc ((gsize) (w * ranges[k].n * 2));
          gboolean well = notch_source_read (source, ranges[k].y, ranges[k].n, rows, 2, &error);
          g_assert_no_error (error);
          g_assert_true (well);
          for (gint64 y = 0; y < ranges[k].n; y++)
            for (gint64 x = 0; x < w; x++)
              g_assert_cmpfloat_with_epsilon (
                  sample_at (source, rows, (gsize) (y * w + x)),
                  png_level ((guint32) x, (guint32) (ranges[k].y + y), depth, type, (NotchColour) colour), 1.5);
        }
      }
  /* 65536 levels: 1.5 above is rounding and the weights' own error; grey and one channel are exact. */
  write_png (path, 300, 200, 16, PNG_COLOR_TYPE_RGB, TRUE, 0);
  NotchSourceOptions options = { .budget = 300 * 200 * 6 - 1 };
  assert_fails (path, &options, "*interlaced*memory_mib*");
  options = (NotchSourceOptions){ .page = 2 };
  assert_fails_as (NOTCH_ERROR_PAGE, path, &options, "*has 1 page*");
  g_remove (path);
}

static void
append_chunk (GByteArray *png, const char *name, const guint8 *data, guint32 n)
{
  guint32 length = GUINT32_TO_BE (n);
  guint32 crc = (guint32) crc32 (crc32 (0, (const Bytef *) name, 4), data, n), sum = GUINT32_TO_BE (crc);
  g_byte_array_append (png, (const guint8 *) &length, 4);
  g_byte_array_append (png, (const guint8 *) name, 4);
  g_byte_array_append (png, data, n);
  g_byte_array_append (png, (const guint8 *) &sum, 4);
}

/* A PNG of 16-bit RGBA with a right header and eight bytes of rows. */
static void
write_promise (const char *path, guint32 width, guint32 height, guint8 interlaced)
{
  guint8 header[13] = { 0, 0, 0, 0, 0, 0, 0, 0, 16, PNG_COLOR_TYPE_RGB_ALPHA, 0, 0, interlaced };
  guint32 size[2] = { GUINT32_TO_BE (width), GUINT32_TO_BE (height) };
  memcpy (header, size, sizeof size);
  g_autoptr (GByteArray) png = g_byte_array_new ();
  g_byte_array_append (png, (const guint8 *) "\211PNG\r\n\032\n", 8);
  append_chunk (png, "IHDR", header, sizeof header);
  append_chunk (png, "IDAT", (const guint8 *) "\170\1\0\0\0\0\0\1", 8);
  append_chunk (png, "IEND", NULL, 0);
  store (path, (const char *) png->data, png->len);
}

static gint64
most_resident (void)
{
  struct rusage usage;
  g_assert_cmpint (getrusage (RUSAGE_SELF, &usage), ==, 0);
  return usage.ru_maxrss; /* KiB */
}

/* Nothing is made for rows that a file cannot have. */
static void
test_promises (void)
{
  static const guint32 sizes[][2] = {
    { 300000000, 1 }, { 0x7fffffff, 0x7fffffff }, { 1, 0x7fffffff }, { 40000, 40000 }
  };
  g_autofree char *path = path_of ("promise.png");
  gint64 before = most_resident ();
  for (gsize i = 0; i < G_N_ELEMENTS (sizes); i++)
    for (guint8 interlaced = 0; interlaced < 2; interlaced++) {
      write_promise (path, sizes[i][0], sizes[i][1], interlaced);
      assert_fails (path, NULL, "*pixels*cannot hold*damaged");
    }
  g_assert_cmpint (most_resident () - before, <, 100 << 10);
  g_remove (path);
}

/* Rows that the budget has no room for are refused before they are decoded, with the budget that they want. */
static void
test_wide (void)
{
  const NotchSourceOptions options = { .colour = NOTCH_CHANNEL_LUMINANCE, .budget = (guint64) 16 << 20 };
  const NotchSourceOptions more = { .colour = NOTCH_CHANNEL_LUMINANCE, .budget = (guint64) 32 << 20 };
  const Kind kind = { "wide", 300000, 2, 8, UINT, 1, BLACK, COMPRESSION_ADOBE_DEFLATE, .rows = 1 };
  g_autofree char *tiff = write_kind (&kind), *png = path_of ("wide.png");
  write_png (png, 100000, 2, 8, PNG_COLOR_TYPE_RGB, FALSE, 0);
  const char *path[] = { tiff, png };
  for (gsize i = 0; i < G_N_ELEMENTS (path); i++) {
    assert_fails (path[i], &options, "*rows of 0.3 MiB*16 MiB of ?detect? memory_mib; raise it to 19*");
    g_autoptr (NotchSource) source = notch_source_open (path[i], &more, NULL);
    g_assert_nonnull (source);
    g_remove (path[i]);
  }
}

/* A file that is written over while it is read is an error, whatever size it has now. */
static void
test_replaced (void)
{
  g_autofree char *path = path_of ("replaced.png"), *bytes = NULL;
  guint8 row[90];
  gsize n = 0;
  g_autoptr (GError) error = NULL;
  write_png (path, 3000, 20, 8, PNG_COLOR_TYPE_GRAY, FALSE, 0);
  g_assert_true (g_file_get_contents (path, &bytes, &n, NULL));
  write_png (path, 90, 400, 8, PNG_COLOR_TYPE_GRAY, FALSE, 0);
  g_autoptr (NotchSource) source = notch_source_open (path, NULL, NULL);
  g_assert_true (notch_source_read (source, 300, 1, row, 1, NULL));
  store (path, bytes, n);
  g_assert_false (notch_source_read (source, 0, 1, row, 1, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
  g_assert_nonnull (strstr (error->message, "written to while it was read"));
  g_remove (path);
}

/* ---- bad files --------------------------------------------------------------------------------------------------- */

/* A little-endian classic TIFF with one strip that claims anything. */
static void
write_claim (const char *path, guint32 width, guint32 height, guint32 rows, guint16 bits, guint16 spp,
             guint16 compression, guint32 count, gboolean tiled)
{
  const struct {
    guint16 tag, type;
    guint32 n, value;
  } entry[] = { { 256, 4, 1, width },
                { 257, 4, 1, height },
                { 258, 3, 1, bits },
                { 259, 3, 1, compression },
                { 262, 3, 1, 1 },
                { tiled ? 322 : 273, 4, 1, tiled ? width : 8 },
                { tiled ? 323 : 277, tiled ? 4 : 3, 1, tiled ? height : spp },
                { tiled ? 324 : 278, 4, 1, tiled ? 8 : rows },
                { tiled ? 325 : 279, 4, 1, count } };
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  guint8 head[] = { 'I', 'I', 42, 0, 16, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, G_N_ELEMENTS (entry), 0 };
  g_byte_array_append (bytes, head, sizeof head);
  for (gsize i = 0; i < G_N_ELEMENTS (entry); i++) {
    guint16 small[2] = { GUINT16_TO_LE (entry[i].tag), GUINT16_TO_LE (entry[i].type) };
    guint32 large[2] = { GUINT32_TO_LE (entry[i].n), GUINT32_TO_LE (entry[i].value) };
    g_byte_array_append (bytes, (guint8 *) small, sizeof small);
    g_byte_array_append (bytes, (guint8 *) large, sizeof large);
  }
  g_byte_array_append (bytes, (const guint8 *) "\0\0\0\0", 4);
  store (path, (char *) bytes->data, bytes->len);
}

static void
test_claims (void)
{
  static const guint16 compressions[] = { COMPRESSION_NONE,          COMPRESSION_LZW,
                                          COMPRESSION_ADOBE_DEFLATE, COMPRESSION_CCITTFAX4,
                                          COMPRESSION_PACKBITS,      COMPRESSION_JPEG,
                                          COMPRESSION_ZSTD,          12345 };
  static const guint32 sizes[][3] = { { 0x7fffffff, 0x7fffffff, 0x7fffffff },
                                      { 0xffffffff, 0xffffffff, 1 },
                                      { 0x7fffffff, 1, 1 },
                                      { 1, 0x7fffffff, 0x7fffffff },
                                      { 1, 0xffffffff, 1 },
                                      { 0, 5, 5 },
                                      { 5, 0, 5 },
                                      { 5, 5, 0 },
                                      { 100000, 100000, 100000 },
                                      { 3000, 3000, 3000 } };
  g_autofree char *path = path_of ("claim.tif");
  for (gsize c = 0; c < G_N_ELEMENTS (compressions); c++)
    for (gsize s = 0; s < G_N_ELEMENTS (sizes); s++)
      for (guint16 bits = 1; bits <= 64; bits = (guint16) (bits * 2))
        for (int tiled = 0; tiled < 2; tiled++) {
          write_claim (path, sizes[s][0], sizes[s][1], sizes[s][2], bits, (guint16) (bits == 64 ? 65535 : 1),
                       compressions[c], tiled ? 0xffffffff : 8, tiled);
          NotchSourceOptions options = { .colour = NOTCH_CHANNEL_LUMINANCE, .budget = (guint64) 1 << 30 };
          assert_fails (path, &options, "*");
        }
  write_claim (path, 0x7fffffff, 0x7fffffff, 0x7fffffff, 8, 1, COMPRESSION_NONE, 8, FALSE);
  assert_fails (path, NULL, "*2147483647 x 2147483647 pixels*cannot hold*");
  write_claim (path, 100, 100, 100, 8, 1, COMPRESSION_NONE, 10000, FALSE);
  assert_fails (path, NULL, "*rows 0 to 99*beyond the end of the file*");
  g_remove (path);
}

static void
test_refused (void)
{
  static const struct {
    Kind kind;
    const char *pattern;
  } cases[] = {
    { { "", 8, 8, 32, FLOAT, 1, WHITE, COMPRESSION_NONE, .rows = 8 }, "*MinIsWhite*" },
    { { "", 8, 8, 8, UINT, 4, PHOTOMETRIC_SEPARATED, COMPRESSION_NONE, .rows = 8 }, "*photometric interpretation 5*" },
    { { "", 8, 8, 16, FLOAT, 1, BLACK, COMPRESSION_NONE, .rows = 8 }, "*floating-point samples of 16 bits*" },
    { { "", 8, 8, 4, UINT, 3, RGB, COMPRESSION_NONE, .rows = 8 }, "*3 samples of 4 bits*" },
  };
  g_autofree char *path = NULL;
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_free (path);
    path = write_kind (&cases[i].kind);
    assert_fails (path, NULL, cases[i].pattern);
  }
  g_remove (path);
  g_autofree char *missing = path_of ("missing.tif"), *empty = path_of ("empty.tif"), *text = path_of ("text.tif");
  assert_fails (missing, NULL, "*No such file*");
  assert_fails (folder, NULL, "*is a folder*");
  assert_fails ("/dev/null", NULL, "*not a regular file*");
  store (empty, "", 0);
  assert_fails (empty, NULL, "*is empty*");
  store (text, "hello", 5);
  assert_fails (text, NULL, "*TIFF, PNG");
  g_remove (empty);
  g_remove (text);
}

/* Reads whatever can be read of a file; both outcomes are fine, crashes and messages on stderr are not. Returns TRUE
 * when all of it was read. */
static gboolean
try_file (const char *path)
{
  GError *error = NULL;
  NotchSourceOptions options = { .colour = NOTCH_CHANNEL_LUMINANCE, .budget = (guint64) 64 << 20 };
  g_autoptr (NotchSource) source = notch_source_open (path, &options, &error);
  gboolean well = source != NULL;
  for (gint64 y = 0; well && y < source->height;) {
    gint64 n = MIN (source->height - y, 37);
    gsize bytes = (gsize) source->width * (gsize) n * notch_sample_size (source->sample);
    if (bytes > (gsize) 64 << 20)
      return TRUE; /* a claim that only memory could tell */
    g_autofree guint8 *rows = g_malloc (bytes);
    well = notch_source_read (source, y, n, rows, 2, &error);
    y += n;
  }
  g_assert_cmpint (well, ==, error == NULL);
  if (!well)
    g_assert_true (g_str_has_prefix (error->message, path) && strchr (error->message, '\n') == NULL);
  g_clear_error (&error);
  return well;
}

static void
damage (const char *path)
{
  g_autofree char *bytes = NULL;
  gsize n = 0;
  g_assert_true (g_file_get_contents (path, &bytes, &n, NULL));
  g_assert_true (try_file (path));
  g_autoptr (GRand) rand = g_rand_new_with_seed (3);
  int n_whole = 0;
  for (int i = 0; i < 24; i++) {
    store (path, bytes, n * (gsize) i / 24);
    n_whole += try_file (path);
  }
  g_assert_cmpint (n_whole, <=, 2); /* a PNG without its last chunk is whole for us */
  for (int i = 0; i < 120; i++) {
    g_autofree char *bad = g_memdup2 (bytes, n);
    for (int k = 0; k < 1 + i % 5; k++) /* headers stand at either end */
      bad[(gsize) g_rand_int_range (rand, 0, (gint32) n) % (i % 2 ? n : MIN (n, 300))] ^=
          (char) (1 << g_rand_int_range (rand, 0, 8));
    if (i % 4 == 0)
      bad[n - 1 - (gsize) g_rand_int_range (rand, 0, (gint32) MIN (n, 250))] ^= (char) g_rand_int_range (rand, 1, 256);
    store (path, bad, n);
    try_file (path);
  }
  g_remove (path);
}

static void
test_damaged (void)
{
  if (!g_test_subprocess ()) {
    g_test_trap_subprocess (NULL, 0, 0);
    g_test_trap_assert_passed ();
    g_test_trap_assert_stderr ("");
    return;
  }
  for (gsize i = 0; i < G_N_ELEMENTS (kinds); i++) {
    if (!TIFFIsCODECConfigured ((guint16) kinds[i].compression) || kinds[i].width * kinds[i].height < 1000
        || kinds[i].width > 1000)
      continue;
    g_autofree char *path = write_kind (&kinds[i]);
    damage (path);
  }
  for (int interlaced = 0; interlaced < 2; interlaced++) {
    g_autofree char *path = path_of ("bad.png");
    write_png (path, 50, 40, 16, PNG_COLOR_TYPE_RGB_ALPHA, interlaced, 1000);
    damage (path);
    write_png (path, 50, 40, 4, PNG_COLOR_TYPE_PALETTE, interlaced, 1000);
    damage (path);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("notch-source-XXXXXX", NULL);
  g_assert_nonnull (folder);
  g_test_add_func ("/source/tiff/kinds", test_kinds);
  g_test_add_func ("/source/tiff/pages", test_pages);
  g_test_add_func ("/source/tiff/resolution", test_resolution);
  g_test_add_func ("/source/tiff/twelve-in-sixteen", test_twelve_in_sixteen);
  g_test_add_func ("/source/tiff/palette", test_palette);
  g_test_add_func ("/source/tiff/stream", test_stream);
  g_test_add_func ("/source/tiff/claims", test_claims);
  g_test_add_func ("/source/png", test_png);
  g_test_add_func ("/source/png/promises", test_promises);
  g_test_add_func ("/source/png/replaced", test_replaced);
  g_test_add_func ("/source/wide", test_wide);
  g_test_add_func ("/source/refused", test_refused);
  g_test_add_func ("/source/damaged", test_damaged);
  int status = g_test_run ();
  g_rmdir (folder);
  g_free (folder);
  return status;
}
