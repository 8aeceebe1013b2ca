/* png.c - PNG files as rows of samples, by libpng
 *
 * Rows are decoded from top to bottom; going back starts the file again. Only an interlaced image must be whole in
 * memory. libpng reports errors by longjmp: every call of it stands in a function that `guarded` runs, and such a
 * function keeps nothing in locals that would be lost. */
#include "inspect/image/source.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <png.h>
#include <setjmp.h>
#include <sys/stat.h>

/* Deflate packs at most 1032 bytes into one. */
#define RATIO_MAX 1100

typedef struct {
  NotchSource source; /* first: a NotchSource is one of these */
  FILE *file;
  png_structp png;
  png_infop info;
  char *fault; /* why libpng gave up */
  NotchColour colour;
  guint64 budget, file_bytes;
  int channels;     /* samples a pixel, after libpng's transformations */
  gsize row_bytes;  /* likewise */
  gint64 next;      /* the row that comes next */
  guint8 *row;      /* one row as decoded */
  guint8 *whole;    /* interlaced: all rows as decoded */
  gboolean started; /* the header was read */
  gboolean interlaced;
} Png;

/* ---- libpng ------------------------------------------------------------------------------------------------------ */

static void
on_error (png_structp png, png_const_charp text)
{
  Png *p = png_get_error_ptr (png);
  if (p->fault == NULL)
    p->fault = g_utf8_make_valid (text, -1);
  png_longjmp (png, 1);
}

static void
on_warning (png_structp png, png_const_charp text)
{
}

static void
read_bytes (png_structp png, png_bytep to, size_t n)
{
  Png *p = png_get_io_ptr (png);
  if (fread (to, 1, n, p->file) == n)
    return;
  if (p->fault == NULL)
    p->fault = g_strdup (ferror (p->file) ? g_strerror (errno) : "the file ends too early");
  png_error (png, "read");
}

static gboolean
guarded (Png *p, void (*step) (Png *p))
{
  if (setjmp (png_jmpbuf (p->png)))
    return FALSE;
  step (p);
  return TRUE;
}

/* Reads everything before the first row. */
static void
start (Png *p)
{
  png_set_user_limits (p->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  png_set_read_fn (p->png, p, read_bytes);
  png_read_info (p->png, p->info);
}

/* Asks for rows of 8 or 16-bit grey or RGB samples in host order, and has libpng make room for some. */
static void
transform (Png *p)
{
  png_set_expand_gray_1_2_4_to_8 (p->png);
  if (png_get_color_type (p->png, p->info) == PNG_COLOR_TYPE_PALETTE)
    png_set_palette_to_rgb (p->png);
  png_set_strip_alpha (p->png);
#if G_BYTE_ORDER == G_LITTLE_ENDIAN
  png_set_swap (p->png);
#endif
  png_set_interlace_handling (p->png);
  png_read_update_info (p->png, p->info);
}

static void
read_row (Png *p)
{
  png_read_row (p->png, p->row, NULL);
}

/* What comes behind the last row: a file that was cut there is not whole. */
static void
read_end (Png *p)
{
  png_read_end (p->png, NULL);
}

static void
read_all (Png *p)
{
  for (int pass = p->interlaced ? 7 : 1; pass > 0; pass--)
    for (gint64 y = 0; y < p->source.height; y++)
      png_read_row (p->png, p->whole + (gsize) y * p->row_bytes, NULL);
  read_end (p);
}

static void
stop (Png *p)
{
  if (p->png != NULL)
    png_destroy_read_struct (&p->png, &p->info, NULL);
  g_clear_pointer (&p->fault, g_free);
  p->started = FALSE;
}

static gboolean fail (const Png *p, GError **error, const char *format, ...) G_GNUC_PRINTF (3, 4);
static gboolean
fail (const Png *p, GError **error, const char *format, ...)
{
  va_list list;
  va_start (list, format);
  g_autofree char *text = g_strdup_vprintf (format, list);
  va_end (list);
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: %s", p->source.path, text);
  return FALSE;
}

/* What a file says about its size is held against its length and the budget before memory is asked for. */
static gboolean
check_size (const Png *p, GError **error)
{
  gint64 width = png_get_image_width (p->png, p->info), height = png_get_image_height (p->png, p->info);
  gboolean palette = png_get_color_type (p->png, p->info) == PNG_COLOR_TYPE_PALETTE;
  guint64 channels = palette ? 4 : png_get_channels (p->png, p->info), packed = 0; /* a palette may have opacities */
  if (!g_uint64_checked_mul (&packed, png_get_rowbytes (p->png, p->info) + 1, (guint64) height) /* with its filter */
      || packed / RATIO_MAX > p->file_bytes)
    return fail (p, error,
                 "says that it has %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT
                 " pixels, which a file of %" G_GUINT64_FORMAT " bytes cannot hold; the file is damaged",
                 width, height, p->file_bytes);
  guint64 row_bytes = (guint64) width * channels * (png_get_bit_depth (p->png, p->info) == 16 ? 2 : 1);
  if (!notch_source_check_row (p->source.path, row_bytes, p->budget, error))
    return FALSE;
  if (p->source.width > 0 && (width != p->source.width || height != p->source.height))
    return fail (p, error, "was written to while it was read; inspect it again");
  return TRUE;
}

/* Goes to the first row. */
static gboolean
restart (Png *p, GError **error)
{
  stop (p);
  rewind (p->file);
  p->png = png_create_read_struct (PNG_LIBPNG_VER_STRING, p, on_error, on_warning);
  p->info = p->png != NULL ? png_create_info_struct (p->png) : NULL;
  if (p->info == NULL)
    return fail (p, error, "libpng %s does not start; is it the one that notch was built with (%s)?",
                 png_get_libpng_ver (NULL), PNG_LIBPNG_VER_STRING);
  gboolean well = guarded (p, start);
  if (well && !check_size (p, error))
    return FALSE;
  if (!well || !guarded (p, transform))
    return fail (p, error, "its header cannot be read (%s); the file is damaged, copy or export it again", p->fault);
  p->started = TRUE;
  p->next = 0;
  return TRUE;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static void
convert_row (const Png *p, const guint8 *row, void *to)
{
  gsize size = notch_sample_size (p->source.sample);
  const void *rgb[3] = { row, row + size, row + 2 * size };
  if (p->channels == 3 && p->colour == NOTCH_CHANNEL_LUMINANCE)
    notch_row_luminance (p->source.sample, rgb, 3, p->source.width, to);
  else
    notch_row_pick (p->source.sample, rgb[p->channels == 3 ? p->colour : 0], p->channels, p->source.width, to);
}

static gboolean
read_whole (Png *p, GError **error)
{
  gsize bytes = p->row_bytes * (gsize) p->source.height; /* checked when it was opened */
  if (!p->started && !restart (p, error))
    return FALSE;
  if ((p->whole = g_try_malloc (bytes)) == NULL)
    return fail (p, error,
                 "is interlaced and needs %.0f MiB at once, which are not to be had; convert it to a PNG "
                 "without interlacing or to TIFF",
                 (double) bytes / 1048576);
  if (!guarded (p, read_all)) {
    fail (p, error, "cannot be decoded (%s); the file is damaged or cut short, copy or export it again", p->fault);
    g_clear_pointer (&p->whole, g_free);
  }
  stop (p);
  return p->whole != NULL;
}

static gboolean
read_rows (NotchSource *source, gint64 y, gint64 n, void *to, int jobs, GError **error)
{
  Png *p = (Png *) source;
  gsize stride = (gsize) source->width * notch_sample_size (source->sample);
  if (p->interlaced) {
    if (p->whole == NULL && !read_whole (p, error))
      return FALSE;
    for (gint64 i = 0; i < n; i++)
      convert_row (p, p->whole + (gsize) (y + i) * p->row_bytes, (guint8 *) to + (gsize) i * stride);
    return TRUE;
  }
  if ((!p->started || y < p->next) && !restart (p, error))
    return FALSE;
  for (; p->next < y + n; p->next++) {
    if (!guarded (p, read_row)) {
      fail (p, error,
            "row %" G_GINT64_FORMAT " cannot be decoded (%s); the file is damaged or cut short, copy or "
            "export it again",
            p->next, p->fault);
      stop (p);
      return FALSE;
    }
    if (p->next >= y)
      convert_row (p, p->row, (guint8 *) to + (gsize) (p->next - y) * stride);
  }
  if (p->next < source->height)
    return TRUE;
  gboolean whole = guarded (p, read_end);
  if (!whole)
    fail (p, error, "its end cannot be read (%s); the file is damaged or cut short, copy or export it again", p->fault);
  stop (p); /* a stream that has ended has no more rows */
  return whole;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static gboolean
detect (const guint8 *head, gsize n)
{
  return n >= 8 && png_sig_cmp (head, 0, 8) == 0;
}

static void
close_source (NotchSource *source)
{
  Png *p = (Png *) source;
  stop (p);
  if (p->file != NULL)
    fclose (p->file);
  g_free (p->row);
  g_free (p->whole);
  g_free (p->source.path);
  g_free (p);
}

static NotchSource *
open_source (const char *path, const NotchSourceOptions *options, GError **error)
{
  Png *p = g_new0 (Png, 1);
  g_autoptr (NotchSource) source = &p->source;
  source->format = &notch_source_png;
  source->path = g_strdup (path);
  p->colour = options->colour;
  p->budget = options->budget;
  if (options->page > 1) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_PAGE, "%s: has 1 page; page %d was asked for", path, options->page);
    return NULL;
  }
  struct stat info;
  if ((p->file = g_fopen (path, "rbe")) == NULL || fstat (fileno (p->file), &info) != 0) {
    fail (p, error, "%s", g_strerror (errno));
    return NULL;
  }
  p->file_bytes = (guint64) info.st_size;
  if (!restart (p, error))
    return NULL;

  int depth = png_get_bit_depth (p->png, p->info);
  source->width = png_get_image_width (p->png, p->info);
  source->height = png_get_image_height (p->png, p->info);
  source->sample = depth == 16 ? NOTCH_SAMPLE_U16 : NOTCH_SAMPLE_U8;
  source->full_scale = depth == 16 ? 65535 : 255;
  source->block_rows = 1;
  p->interlaced = png_get_interlace_type (p->png, p->info) != PNG_INTERLACE_NONE;
  source->random_access = p->interlaced;
  p->channels = png_get_channels (p->png, p->info);
  p->row_bytes = png_get_rowbytes (p->png, p->info);
  png_uint_32 x = 0, y = 0;
  int unit = PNG_RESOLUTION_UNKNOWN;
  if (png_get_pHYs (p->png, p->info, &x, &y, &unit) && unit == PNG_RESOLUTION_METER && x > 0 && y > 0) {
    source->pixel_um_x = 1e6 / x;
    source->pixel_um_y = 1e6 / y;
  }

  gsize whole = 0;
  g_assert (p->row_bytes == (gsize) source->width * (gsize) p->channels * notch_sample_size (source->sample));
  gboolean fits = g_size_checked_mul (&whole, p->row_bytes, (gsize) source->height);
  if (p->interlaced && (!fits || (p->budget > 0 && whole > p->budget))) {
    fail (p, error,
          "is interlaced and needs %.0f MiB at once, more than the %.0f MiB of [detect] memory_mib; convert it "
          "to a PNG without interlacing or to TIFF, or raise memory_mib",
          (double) whole / 1048576, (double) p->budget / 1048576);
    return NULL;
  }
  if (!p->interlaced && (p->row = g_try_malloc (p->row_bytes)) == NULL) {
    fail (p, error, "no memory for a row of %.0f MiB", (double) p->row_bytes / 1048576);
    return NULL;
  }
  return g_steal_pointer (&source);
}

const NotchSourceFormat notch_source_png = {
  .name = "PNG",
  .detect = detect,
  .open = open_source,
  .read_rows = read_rows,
  .close = close_source,
};
