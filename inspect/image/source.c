/* source.c - the table of image formats, and what all of them have in common */
#include "inspect/image/source.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const NotchSourceFormat *const formats[] = { &notch_source_tiff, &notch_source_png };

#define HEAD_BYTES 16

/* Reads a file's first bytes; what cannot be an image at all is refused here, once for all formats. */
static gboolean
read_head (const char *path, guint8 head[HEAD_BYTES], gsize *n, GError **error)
{
  struct stat info;
  if (!*path) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "an empty file name; name an image");
    return FALSE;
  }
  if (stat (path, &info) != 0) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: cannot be opened (%s); check the name and its permissions",
                 path, g_strerror (errno));
    return FALSE;
  }
  if (S_ISDIR (info.st_mode)) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: is a folder; name the image files in it", path);
    return FALSE;
  }
  if (!S_ISREG (info.st_mode)) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: is not a regular file; copy the image to a file first",
                 path);
    return FALSE;
  }
  int fd = g_open (path, O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: cannot be opened (%s); check the name and its permissions",
                 path, g_strerror (errno));
    return FALSE;
  }
  gssize got;
  do
    got = read (fd, head, HEAD_BYTES);
  while (got < 0 && errno == EINTR);
  int reason = errno;
  close (fd);
  if (got < 0) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: %s", path, g_strerror (reason));
    return FALSE;
  }
  if (got == 0) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: is empty; was it copied to the end?", path);
    return FALSE;
  }
  *n = (gsize) got;
  return TRUE;
}

NotchSource *
notch_source_open (const char *path, const NotchSourceOptions *options, GError **error)
{
  static const NotchSourceOptions defaults = { .colour = NOTCH_CHANNEL_LUMINANCE };
  guint8 head[HEAD_BYTES];
  gsize n = 0;
  g_return_val_if_fail (path != NULL, NULL);
  if (!read_head (path, head, &n, error))
    return NULL;

  g_autoptr (GString) names = g_string_new (NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (formats); i++) {
    if (formats[i]->detect (head, n)) {
      GError *reason = NULL;
      NotchSource *source = formats[i]->open (path, options != NULL ? options : &defaults, &reason);
      g_assert ((source != NULL) == (reason == NULL));
      if (source == NULL)
        g_propagate_error (error, reason);
      return source;
    }
    g_string_append_printf (names, "%s%s", i == 0 ? "" : ", ", formats[i]->name);
  }
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: is not an image of a known format; convert it to one of: %s",
               path, names->str);
  return NULL;
}

gboolean
notch_source_check_row (const char *path, guint64 row_bytes, guint64 budget, GError **error)
{
  const guint64 mib = (guint64) 1 << 20;
  if (budget == 0 || row_bytes <= budget / NOTCH_ROWS_AT_ONCE)
    return TRUE;
  g_set_error (
      error, NOTCH_ERROR, NOTCH_ERROR_READ,
      "%s: has rows of %.1f MiB, and %d of them must fit into the %.0f MiB of [detect] memory_mib; raise it to "
      "%" G_GUINT64_FORMAT ", or cut the image into narrower ones",
      path, (double) row_bytes / (double) mib, NOTCH_ROWS_AT_ONCE, (double) budget / (double) mib,
      row_bytes / (mib / NOTCH_ROWS_AT_ONCE) + 1);
  return FALSE;
}

gboolean
notch_source_read (NotchSource *source, gint64 y, gint64 n, void *to, int jobs, GError **error)
{
  GError *reason = NULL;
  if (y < 0 || y > source->height || n < 0 || n > source->height - y) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
                 "%s: has %" G_GINT64_FORMAT " rows; %" G_GINT64_FORMAT " from row %" G_GINT64_FORMAT " were asked for",
                 source->path, source->height, n, y);
    return FALSE;
  }
  if (n == 0)
    return TRUE;
  gboolean well = source->format->read_rows (source, y, n, to, MAX (jobs, 1), &reason);
  g_assert (well == (reason == NULL));
  if (!well)
    g_propagate_error (error, reason);
  return well;
}

void
notch_source_close (NotchSource *source)
{
  if (source != NULL)
    source->format->close (source);
}

gsize
notch_sample_size (NotchSample sample)
{
  return sample == NOTCH_SAMPLE_U8 ? 1 : sample == NOTCH_SAMPLE_U16 ? 2 : 4;
}

/* ---- colour ------------------------------------------------------------------------------------------------------ */

void
notch_row_pick (NotchSample sample, const void *from, int stride, gint64 n, void *to)
{
  if (stride == 1) {
    memcpy (to, from, (gsize) n * notch_sample_size (sample));
    return;
  }
  switch (sample) {
  case NOTCH_SAMPLE_U8:
    for (gint64 i = 0; i < n; i++)
      ((guint8 *) to)[i] = ((const guint8 *) from)[i * stride];
    break;
  case NOTCH_SAMPLE_U16:
    for (gint64 i = 0; i < n; i++)
      ((guint16 *) to)[i] = ((const guint16 *) from)[i * stride];
    break;
  case NOTCH_SAMPLE_F32:
    for (gint64 i = 0; i < n; i++)
      ((float *) to)[i] = ((const float *) from)[i * stride];
    break;
  }
}

/* Rec. 709 in 1/65536: the weights sum to one, so white stays white and grey keeps its value exactly. */
static inline guint32
luma (guint32 r, guint32 g, guint32 b)
{
  return (13933 * r + 46871 * g + 4732 * b + 32768) >> 16;
}

static inline __attribute__ ((always_inline)) void
luminance (NotchSample sample, const void *const rgb[3], int stride, gint64 n, void *to)
{
  switch (sample) {
  case NOTCH_SAMPLE_U8: {
    const guint8 *r = rgb[0], *g = rgb[1], *b = rgb[2];
    for (gint64 i = 0; i < n; i++)
      ((guint8 *) to)[i] = (guint8) luma (r[i * stride], g[i * stride], b[i * stride]);
    break;
  }
  case NOTCH_SAMPLE_U16: {
    const guint16 *r = rgb[0], *g = rgb[1], *b = rgb[2];
    for (gint64 i = 0; i < n; i++)
      ((guint16 *) to)[i] = (guint16) luma (r[i * stride], g[i * stride], b[i * stride]);
    break;
  }
  case NOTCH_SAMPLE_F32: {
    const float *r = rgb[0], *g = rgb[1], *b = rgb[2];
    for (gint64 i = 0; i < n; i++)
      ((float *) to)[i] = 0.2126f * r[i * stride] + 0.7152f * g[i * stride] + 0.0722f * b[i * stride];
    break;
  }
  }
}

void
notch_row_luminance (NotchSample sample, const void *const rgb[3], int stride, gint64 n, void *to)
{
  if (stride == 3) /* a known stride vectorises */
    luminance (sample, rgb, 3, n, to);
  else if (stride == 1)
    luminance (sample, rgb, 1, n, to);
  else
    luminance (sample, rgb, stride, n, to);
}
