/* tiff.c - TIFF and BigTIFF files as rows of samples, by libtiff
 *
 * Rows reach memory in one of four ways:
 *   raw      uncompressed strips: straight from the file, whatever the size of the strips
 *   strips   a strip is decoded whole, by several threads with a libtiff handle each
 *   tiles    likewise for tiles
 *   stream   compressed strips that are too large to be decoded whole: row by row from top to bottom
 * then samples are unpacked, one channel is made of the colours, and levels are mapped. Nothing that a file says about
 * itself is trusted: sizes are compared with libtiff's and with the length of the file before memory is asked for. */
#include "inspect/image/source.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <tiffio.h>
#include <unistd.h>

/* A strip that needs more memory than this is streamed. */
#define STREAM_BYTES ((guint64) 64 << 20)
/* Rows read at once from uncompressed strips. */
#define RAW_BYTES ((gsize) 1 << 20)
/* No compression packs more bytes than this into one; a file that claims more is lying about its size. */
#define RATIO_MAX ((guint64) 1 << 17)

typedef enum { ACCESS_RAW, ACCESS_STRIPS, ACCESS_TILES, ACCESS_STREAM } Access;

/* What one thread decodes with. */
typedef struct {
  TIFF *tiff;       /* NULL for raw access */
  char *fault;      /* libtiff's last complaint since the last call: the first ones may be about other things */
  guint8 *decoded;  /* a block before conversion: n_planes blocks one after the other */
  guint8 *unpacked; /* a row of every plane, unpacked */
  gint64 next;      /* stream: the row that comes next */
} Handle;

typedef struct {
  NotchSource source; /* first: a NotchSource is one of these */
  Access access;
  guint32 page; /* from 0 */
  guint64 budget;
  int fd; /* raw */
  guint16 compression, photometric, format;
  int bits, spp;      /* of the file: bits a sample, samples a pixel */
  gboolean separate;  /* every sample in a plane of its own */
  gboolean swapped;   /* raw: the file has the other byte order */
  gboolean direct;    /* decoded rows are the rows that are asked for */
  gboolean invert;    /* full_scale - v */
  gboolean use_table; /* samples of at most 8 bits go through `table` */
  guint8 table[256];
  int channel[3], n_channels;   /* the samples that make a pixel: 1, or 3 for luminance */
  int n_planes, plane_samples;  /* decoded side by side: planes, and samples a pixel in each */
  gsize row_bytes;              /* of one plane, of a whole row or a tile's row, as decoded */
  gint64 block_width;           /* px: the tile's width, or the image's */
  gint64 block_rows;            /* rows of a strip or tile */
  gint64 blocks_a_row, n_block; /* blocks side by side; blocks of one plane */
  gint64 unit_rows;             /* rows that `decoded` holds of a plane */
  guint64 *offset;              /* raw: where strips begin, plane by plane */
  GPtrArray *handles;           /* Handle, the first for the calling thread */
} Tiff;

/* ---- handles ----------------------------------------------------------------------------------------------------- */

static int
on_error (TIFF *tiff, void *data, const char *module, const char *format, va_list list)
{
  Handle *handle = data;
  g_autofree char *text = g_strdup_vprintf (format, list);
  g_autofree char *name = tiff ? g_strconcat (TIFFFileName (tiff), ": ", NULL) : g_strdup ("");
  const char *reason = g_strstrip (g_strdelimit (text, "\r\n\t", ' '));
  g_free (handle->fault);
  handle->fault = g_utf8_make_valid (g_str_has_prefix (reason, name) ? reason + strlen (name) : reason, -1);
  return 1; /* handled: libtiff prints nothing */
}

static int
on_warning (TIFF *tiff, void *data, const char *module, const char *format, va_list list)
{
  return 1;
}

static void
handle_free (Handle *handle)
{
  if (handle == NULL)
    return;
  if (handle->tiff != NULL)
    TIFFClose (handle->tiff);
  g_free (handle->fault);
  g_free (handle->decoded);
  g_free (handle->unpacked);
  g_free (handle);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Handle, handle_free)

static const char *
handle_fault (const Handle *handle)
{
  return handle->fault != NULL ? handle->fault : "no reason is given";
}

static Handle *
handle_new (const Tiff *t, GError **error)
{
  g_autoptr (Handle) handle = g_new0 (Handle, 1);
  TIFFOpenOptions *options = TIFFOpenOptionsAlloc ();
  TIFFOpenOptionsSetErrorHandlerExtR (options, on_error, handle);
  TIFFOpenOptionsSetWarningHandlerExtR (options, on_warning, handle);
  if (t->budget > 0)
    TIFFOpenOptionsSetMaxSingleMemAlloc (options, (tmsize_t) CLAMP (t->budget, 1 << 28, (guint64) G_MAXINT64));
  /* Reading is safer than mapping: a file that shrinks meanwhile is an error and no signal. Only a strip that is
   * streamed is mapped, for libtiff would hold its compressed bytes whole. */
  handle->tiff = TIFFOpenExt (t->source.path, t->access == ACCESS_STREAM ? "rhc" : "rhmc", options);
  TIFFOpenOptionsFree (options);
  if (handle->tiff == NULL) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: is not a whole TIFF file (%s); copy or export it again",
                 t->source.path, handle_fault (handle));
    return NULL;
  }
  if (!TIFFSetDirectory (handle->tiff, t->page)) {
    g_autofree char *reason = g_strdup (handle_fault (handle));
    guint32 n = t->page > 0 ? TIFFNumberOfDirectories (handle->tiff) : 0;
    if (n > 0 && t->page >= n)
      g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_PAGE, "%s: has %u page%s; page %u was asked for", t->source.path, n,
                   n == 1 ? "" : "s", t->page + 1);
    else
      g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                   "%s: page %u cannot be read (%s); the file may be damaged or cut short, copy or export it again",
                   t->source.path, t->page + 1, reason);
    return NULL;
  }
  guint16 photometric = 0, compression = 0;
  TIFFGetField (handle->tiff, TIFFTAG_PHOTOMETRIC, &photometric);
  TIFFGetFieldDefaulted (handle->tiff, TIFFTAG_COMPRESSION, &compression);
  if (photometric == PHOTOMETRIC_YCBCR && compression == COMPRESSION_JPEG)
    TIFFSetField (handle->tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
  g_clear_pointer (&handle->fault, g_free); /* complaints about what is not needed */
  return g_steal_pointer (&handle);
}

/* ---- what a row needs on its way to the caller ------------------------------------------------------------------- */

static gboolean
is_native (const Tiff *t)
{
  gboolean is_float = t->format == SAMPLEFORMAT_IEEEFP;
  return (t->format == SAMPLEFORMAT_UINT && (t->bits == 8 || t->bits == 16)) || (is_float && t->bits == 32);
}

/* n samples of the file to NotchSample, without any change of level. */
static void
unpack (const Tiff *t, const guint8 *from, gint64 n, void *to)
{
  gboolean is_signed = t->format == SAMPLEFORMAT_INT;
  if (t->bits == 32 && is_signed) {
    for (gint64 i = 0; i < n; i++)
      ((float *) to)[i] = (float) ((const gint32 *) from)[i];
  } else if (t->bits == 32) {
    for (gint64 i = 0; i < n; i++)
      ((float *) to)[i] = (float) ((const guint32 *) from)[i];
  } else if (t->bits == 16 && is_signed) {
    for (gint64 i = 0; i < n; i++)
      ((float *) to)[i] = (float) ((const gint16 *) from)[i];
  } else if (t->bits == 8 && is_signed) {
    for (gint64 i = 0; i < n; i++)
      ((float *) to)[i] = (float) ((const gint8 *) from)[i];
  } else { /* fields of bits, the highest first */
    guint32 bits = (guint32) t->bits, mask = (1u << bits) - 1, kept = 0, n_kept = 0;
    for (gint64 i = 0; i < n; i++) {
      for (; n_kept < bits; n_kept += 8)
        kept = kept << 8 | *from++;
      n_kept -= bits;
      guint32 value = kept >> n_kept & mask;
      if (t->source.sample == NOTCH_SAMPLE_U8)
        ((guint8 *) to)[i] = (guint8) value;
      else
        ((guint16 *) to)[i] = (guint16) value;
    }
  }
}

static gsize
unpacked_bytes (const Tiff *t)
{
  return (gsize) t->block_width * (gsize) t->plane_samples * notch_sample_size (t->source.sample);
}

/* One row of n pixels, as decoded into t->n_planes planes, to one channel. */
static void
convert_row (const Tiff *t, Handle *handle, const guint8 *const plane[3], gint64 n, void *to)
{
  NotchSample sample = t->source.sample;
  gsize size = notch_sample_size (sample);
  const void *row[3] = { NULL, NULL, NULL }, *from[3] = { NULL, NULL, NULL };
  for (int p = 0; p < t->n_planes; p++) {
    row[p] = plane[p];
    if (!is_native (t)) {
      guint8 *unpacked = handle->unpacked + (gsize) p * unpacked_bytes (t);
      unpack (t, plane[p], n * t->plane_samples, unpacked);
      row[p] = unpacked;
    }
  }
  for (int c = 0; c < t->n_channels; c++)
    from[c] = t->separate ? row[c] : (const guint8 *) row[0] + (gsize) t->channel[c] * size;
  if (t->n_channels == 3)
    notch_row_luminance (sample, from, t->plane_samples, n, to);
  else
    notch_row_pick (sample, from[0], t->plane_samples, n, to);
  if (t->use_table) {
    for (gint64 i = 0; i < n; i++)
      ((guint8 *) to)[i] = t->table[((guint8 *) to)[i]];
  } else if (t->invert) {
    guint16 white = (guint16) t->source.full_scale;
    for (gint64 i = 0; i < n; i++)
      ((guint16 *) to)[i] = (guint16) (white - MIN (white, ((guint16 *) to)[i]));
  }
}

/* ---- units of work ----------------------------------------------------------------------------------------------- */

/* One call of read_rows. Units are taken in order, so the first unit that fails is the same however many threads run. */
typedef struct {
  Tiff *t;
  gint64 y, n;
  guint8 *to;
  gsize to_stride; /* bytes */
  gint64 n_units;
  gsize next; /* atomic */
  gint stop;  /* atomic */
} Job;

typedef struct {
  Job *job;
  Handle *handle;
  gint64 failed; /* unit */
  GError *error;
} Worker;

static gboolean
fail_rows (const Tiff *t, gint64 y, gint64 n, const char *reason, GError **error)
{
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
               "%s: rows %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT " cannot be read (%s); the file may be damaged or "
               "cut short, copy or export it again",
               t->source.path, y, y + n - 1, reason);
  return FALSE;
}

static gboolean
read_at (const Tiff *t, guint8 *to, gsize n, guint64 offset, GError **error, gint64 y, gint64 rows)
{
  while (n > 0) {
    gssize got = pread (t->fd, to, n, (off_t) offset);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return fail_rows (t, y, rows, got < 0 ? g_strerror (errno) : "the file ends here", error);
    to += got;
    n -= (gsize) got;
    offset += (guint64) got;
  }
  return TRUE;
}

static void
swap (const Tiff *t, guint8 *row, gsize n)
{
  if (t->bits == 16)
    TIFFSwabArrayOfShort ((guint16 *) (void *) row, (tmsize_t) (n / 2));
  else if (t->bits == 32)
    TIFFSwabArrayOfLong ((guint32 *) (void *) row, (tmsize_t) (n / 4));
}

static gboolean
read_raw (Job *job, Handle *handle, gint64 unit, GError **error)
{
  const Tiff *t = job->t;
  gint64 y = job->y + unit * t->unit_rows, n = MIN (t->unit_rows, job->y + job->n - y);
  guint8 *to = job->to + (gsize) (y - job->y) * job->to_stride;
  guint8 *plane[3] = { t->direct ? to : handle->decoded, NULL, NULL };
  for (int p = 0; p < t->n_planes; p++) {
    const guint64 *offset = t->offset + (gsize) (t->separate ? t->channel[p] : 0) * (gsize) t->n_block;
    plane[p] = plane[0] + (gsize) p * (gsize) t->unit_rows * t->row_bytes;
    for (gint64 row = y; row < y + n;) {
      gint64 block = row / t->block_rows, end = MIN ((block + 1) * t->block_rows, y + n);
      guint64 start = offset[block] + (guint64) (row % t->block_rows) * t->row_bytes;
      /* Strips mostly follow each other without a gap. */
      while (end < y + n && offset[end / t->block_rows] == start + (guint64) (end - row) * t->row_bytes)
        end = MIN (end + t->block_rows, y + n);
      if (!read_at (t, plane[p] + (gsize) (row - y) * t->row_bytes, (gsize) (end - row) * t->row_bytes, start, error,
                    row, end - row))
        return FALSE;
      row = end;
    }
    if (t->swapped)
      swap (t, plane[p], (gsize) n * t->row_bytes);
  }
  for (gint64 i = 0; i < n && !t->direct; i++) {
    const guint8 *row[3] = { NULL, NULL, NULL };
    for (int p = 0; p < t->n_planes; p++)
      row[p] = plane[p] + (gsize) i * t->row_bytes;
    convert_row (t, handle, row, t->block_width, to + (gsize) i * job->to_stride);
  }
  return TRUE;
}

/* Decodes a strip or tile: n rows of every plane that is needed. */
static gboolean
decode_block (const Tiff *t, Handle *handle, gint64 block, gint64 n, guint8 *to, GError **error)
{
  tmsize_t bytes = (tmsize_t) ((gsize) n * t->row_bytes);
  for (int p = 0; p < t->n_planes; p++) {
    guint32 index = (guint32) ((t->separate ? t->channel[p] * t->n_block : 0) + block);
    guint8 *plane = to + (gsize) p * (gsize) t->unit_rows * t->row_bytes;
    g_clear_pointer (&handle->fault, g_free);
    tmsize_t got = t->access == ACCESS_TILES ? TIFFReadEncodedTile (handle->tiff, index, plane, bytes)
                                             : TIFFReadEncodedStrip (handle->tiff, index, plane, bytes);
    if (got != bytes) {
      gint64 y = block / t->blocks_a_row * t->block_rows;
      return fail_rows (t, y, MIN (n, t->source.height - y), got < 0 ? handle_fault (handle) : "data is missing",
                        error);
    }
  }
  return TRUE;
}

/* Strips and tiles: a unit is one block. */
static gboolean
read_block (Job *job, Handle *handle, gint64 unit, GError **error)
{
  const Tiff *t = job->t;
  gint64 block = job->y / t->block_rows * t->blocks_a_row + unit;
  gint64 x = block % t->blocks_a_row * t->block_width, w = MIN (t->block_width, t->source.width - x);
  gint64 top = block / t->blocks_a_row * t->block_rows;
  gint64 y0 = MAX (top, job->y), y1 = MIN (top + t->block_rows, job->y + job->n);
  gint64 n = t->access == ACCESS_TILES ? t->block_rows : MIN (t->block_rows, t->source.height - top);
  guint8 *to = job->to + (gsize) (y0 - job->y) * job->to_stride + (gsize) x * notch_sample_size (t->source.sample);
  if (t->direct && t->access == ACCESS_STRIPS && y1 - y0 == n)
    return decode_block (t, handle, block, n, to, error);
  if (!decode_block (t, handle, block, n, handle->decoded, error))
    return FALSE;
  for (gint64 y = y0; y < y1; y++) {
    const guint8 *row[3] = { NULL, NULL, NULL };
    for (int p = 0; p < t->n_planes; p++)
      row[p] = handle->decoded + ((gsize) p * (gsize) t->unit_rows + (gsize) (y - top)) * t->row_bytes;
    convert_row (t, handle, row, w, to + (gsize) (y - y0) * job->to_stride);
  }
  return TRUE;
}

/* A handle a plane, each at its own place in the file. A row that was passed starts its strip again. */
static gboolean
stream_rows (Job *job, GError **error)
{
  Tiff *t = job->t;
  for (gint64 y = job->y; y < job->y + job->n; y++) {
    const guint8 *row[3] = { NULL, NULL, NULL };
    for (int p = 0; p < t->n_planes; p++) {
      Handle *handle = t->handles->pdata[p];
      gint64 top = y - y % t->block_rows;
      if (handle->next < top || handle->next > y)
        handle->next = top;
      for (; handle->next <= y; handle->next++) {
        g_clear_pointer (&handle->fault, g_free);
        if (TIFFReadScanline (handle->tiff, handle->decoded, (guint32) handle->next,
                              (guint16) (t->separate ? t->channel[p] : 0))
            != 1) {
          gint64 failed = handle->next;
          handle->next = G_MAXINT64; /* next time from the strip's start */
          return fail_rows (t, failed, 1, handle_fault (handle), error);
        }
      }
      row[p] = handle->decoded;
    }
    convert_row (t, t->handles->pdata[0], row, t->block_width, job->to + (gsize) (y - job->y) * job->to_stride);
  }
  return TRUE;
}

static gpointer
work (gpointer data)
{
  Worker *worker = data;
  Job *job = worker->job;
  while (!g_atomic_int_get (&job->stop)) {
    gint64 unit = (gint64) g_atomic_pointer_add (&job->next, 1);
    if (unit >= job->n_units)
      break;
    gboolean well = job->t->access == ACCESS_RAW ? read_raw (job, worker->handle, unit, &worker->error)
                                                 : read_block (job, worker->handle, unit, &worker->error);
    if (!well) {
      worker->failed = unit;
      g_atomic_int_set (&job->stop, 1);
    }
  }
  return NULL;
}

/* Gives a thread's handle the memory it needs; at the first use of a handle only. */
static gboolean
handle_prepare (const Tiff *t, Handle *handle, GError **error)
{
  gsize decoded = 0, unpacked = 0;
  gboolean fits = g_size_checked_mul (&decoded, (gsize) t->unit_rows, t->row_bytes)
                  && g_size_checked_mul (&decoded, decoded, (gsize) t->n_planes)
                  && g_size_checked_mul (&unpacked, (gsize) t->n_planes, unpacked_bytes (t));
  if (fits && handle->decoded == NULL && !(t->access == ACCESS_RAW && t->direct))
    fits = (handle->decoded = g_try_malloc (decoded)) != NULL;
  if (fits && handle->unpacked == NULL && !is_native (t))
    fits = (handle->unpacked = g_try_malloc (unpacked)) != NULL;
  if (!fits)
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                 "%s: no memory to decode blocks of %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT
                 " pixels (%.0f MiB); convert it to smaller strips or tiles",
                 t->source.path, t->block_width, t->unit_rows, ((double) decoded + (double) unpacked) / 1048576);
  return fits;
}

static gboolean
prepare_handles (Tiff *t, int n, GError **error)
{
  for (int i = 0; i < n; i++) {
    if ((guint) i == t->handles->len) {
      Handle *handle = t->access == ACCESS_RAW ? g_new0 (Handle, 1) : handle_new (t, error);
      if (handle == NULL)
        return FALSE;
      g_ptr_array_add (t->handles, handle);
      /* The file may have been replaced: a row that is longer now would be written past its memory. */
      if (t->access == ACCESS_STREAM && (guint64) TIFFScanlineSize64 (handle->tiff) != t->row_bytes)
        return fail_rows (t, 0, t->source.height, "the file changed while it was read", error);
    }
    if (!handle_prepare (t, t->handles->pdata[i], error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
read_rows (NotchSource *source, gint64 y, gint64 n, void *to, int jobs, GError **error)
{
  Tiff *t = (Tiff *) source;
  Job job = { .t = t, .y = y, .n = n, .to = to };
  job.to_stride = (gsize) source->width * notch_sample_size (source->sample);
  if (t->access == ACCESS_STREAM)
    return prepare_handles (t, t->n_planes, error) && stream_rows (&job, error);

  gint64 per_unit = t->access == ACCESS_RAW ? t->unit_rows : t->block_rows;
  gint64 first = t->access == ACCESS_RAW ? 0 : y / per_unit;
  job.n_units =
      t->access == ACCESS_RAW ? (n + per_unit - 1) / per_unit : ((y + n - 1) / per_unit - first + 1) * t->blocks_a_row;
  int n_workers = (int) MIN (jobs, job.n_units);
  if (t->budget > 0) /* what they decode into is a part of the budget */
    n_workers = (int) CLAMP (t->budget / 4 / (t->row_bytes * (gsize) t->unit_rows), 1, (guint64) n_workers);
  if (!prepare_handles (t, n_workers, error))
    return FALSE;
  g_autofree Worker *worker = g_new0 (Worker, n_workers);
  g_autofree GThread **thread = g_new0 (GThread *, n_workers);
  for (int i = 0; i < n_workers; i++)
    worker[i] = (Worker){ .job = &job, .handle = t->handles->pdata[i] };
  for (int i = 1; i < n_workers; i++) /* without a thread there is only less help */
    thread[i] = g_thread_try_new ("tiff", work, &worker[i], NULL);
  work (&worker[0]);
  Worker *failed = NULL;
  for (int i = 0; i < n_workers; i++) {
    if (thread[i] != NULL)
      g_thread_join (thread[i]);
    if (worker[i].error != NULL && (failed == NULL || worker[i].failed < failed->failed))
      failed = &worker[i];
  }
  if (failed != NULL)
    g_propagate_error (error, g_steal_pointer (&failed->error));
  for (int i = 0; i < n_workers; i++)
    g_clear_error (&worker[i].error);
  return failed == NULL;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static gboolean
detect (const guint8 *head, gsize n)
{
  static const guint8 magic[4][4] = {
    { 'I', 'I', 42, 0 }, { 'M', 'M', 0, 42 }, { 'I', 'I', 43, 0 }, { 'M', 'M', 0, 43 }
  };
  for (int i = 0; i < 4 && n >= 4; i++)
    if (memcmp (head, magic[i], 4) == 0)
      return TRUE;
  return FALSE;
}

static void
close_source (NotchSource *source)
{
  Tiff *t = (Tiff *) source;
  g_ptr_array_unref (t->handles);
  if (t->fd >= 0)
    close (t->fd);
  g_free (t->offset);
  g_free (t->source.path);
  g_free (t->source.description);
  g_free (t);
}

static gboolean refuse (const Tiff *t, GError **error, const char *format, ...) G_GNUC_PRINTF (3, 4);
static gboolean
refuse (const Tiff *t, GError **error, const char *format, ...)
{
  va_list list;
  va_start (list, format);
  g_autofree char *text = g_strdup_vprintf (format, list);
  va_end (list);
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: %s", t->source.path, text);
  return FALSE;
}

/* What a sample is, and to which levels it is mapped. */
static gboolean
describe_samples (Tiff *t, TIFF *tiff, NotchColour chosen, GError **error)
{
  NotchSource *source = &t->source;
  guint16 bits = 1, spp = 1, planar = PLANARCONFIG_CONTIG, max = 0;
  TIFFGetFieldDefaulted (tiff, TIFFTAG_BITSPERSAMPLE, &bits);
  TIFFGetFieldDefaulted (tiff, TIFFTAG_SAMPLESPERPIXEL, &spp);
  TIFFGetFieldDefaulted (tiff, TIFFTAG_PLANARCONFIG, &planar);
  TIFFGetFieldDefaulted (tiff, TIFFTAG_SAMPLEFORMAT, &t->format);
  TIFFGetFieldDefaulted (tiff, TIFFTAG_COMPRESSION, &t->compression);
  if (!TIFFGetField (tiff, TIFFTAG_PHOTOMETRIC, &t->photometric))
    t->photometric = spp >= 3 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK;
  t->bits = bits;
  t->spp = spp;
  t->separate = planar == PLANARCONFIG_SEPARATE && spp > 1;
  if (t->format == SAMPLEFORMAT_VOID)
    t->format = SAMPLEFORMAT_UINT;

  if (!TIFFIsCODECConfigured (t->compression)) {
    const TIFFCodec *codec = TIFFFindCODEC (t->compression);
    return refuse (t, error, "is compressed by %s (%d), which this libtiff cannot decode; convert it to Deflate",
                   codec != NULL ? codec->name : "an unknown method", t->compression);
  }
  gboolean is_float = t->format == SAMPLEFORMAT_IEEEFP, is_signed = t->format == SAMPLEFORMAT_INT;
  gboolean is_unsigned = t->format == SAMPLEFORMAT_UINT;
  gboolean known = (is_unsigned && (bits == 1 || bits == 2 || bits == 4 || bits == 8 || bits == 32))
                   || (is_unsigned && bits >= 10 && bits <= 16 && bits % 2 == 0) || (is_float && bits == 32)
                   || (is_signed && (bits == 8 || bits == 16 || bits == 32));
  if (spp == 0 || !known)
    return refuse (t, error,
                   "has %s samples of %d bits; convert it to 8, 12 or 16-bit unsigned or 32-bit float samples",
                   is_float      ? "floating-point"
                   : is_signed   ? "signed"
                   : is_unsigned ? "unsigned"
                                 : "complex",
                   bits);
  source->sample = is_float || is_signed || bits == 32 ? NOTCH_SAMPLE_F32
                   : bits > 8                          ? NOTCH_SAMPLE_U16
                                                       : NOTCH_SAMPLE_U8;
  source->full_scale = source->sample == NOTCH_SAMPLE_F32 ? 0 : bits <= 8 ? 255 : (1 << bits) - 1;
  /* A camera's 10, 12 or 14 bits in 16: trusted only where it is the largest value of a depth. */
  if (bits == 16 && is_unsigned && TIFFGetField (tiff, TIFFTAG_MAXSAMPLEVALUE, &max)
      && (max == 1023 || max == 4095 || max == 16383))
    source->full_scale = max;

  gboolean colour = FALSE;
  switch (t->photometric) {
  case PHOTOMETRIC_MINISWHITE:
    if (source->sample == NOTCH_SAMPLE_F32)
      return refuse (t, error,
                     "is MinIsWhite with signed, float or 32-bit samples, so that white is not known; convert "
                     "it to MinIsBlack");
    t->invert = TRUE;
    break;
  case PHOTOMETRIC_MINISBLACK:
    break;
  case PHOTOMETRIC_RGB:
    colour = TRUE;
    break;
  case PHOTOMETRIC_YCBCR:
    if (t->compression != COMPRESSION_JPEG || t->separate)
      return refuse (t, error, "has YCbCr colours that are not JPEG; convert it to grey or RGB");
    colour = TRUE;
    break;
  case PHOTOMETRIC_PALETTE:
    if (bits > 8 || !is_unsigned || spp != 1)
      return refuse (t, error, "has a palette for %d samples of %d bits; convert it to grey", spp, bits);
    break;
  default:
    return refuse (t, error,
                   "has colours of an unsuitable kind (photometric interpretation %d); convert it to grey or "
                   "RGB",
                   t->photometric);
  }
  if (colour && (spp < 3 || (bits < 8)))
    return refuse (t, error, "is a colour image with %d samples of %d bits; convert it to grey or RGB of 8 or 16 bits",
                   spp, bits);

  gboolean merged = colour && chosen == NOTCH_CHANNEL_LUMINANCE;
  t->n_channels = merged ? 3 : 1;
  for (int c = 0; c < 3; c++)
    t->channel[c] = merged ? c : colour ? (int) chosen : 0;
  t->n_planes = t->separate ? t->n_channels : 1;
  t->plane_samples = t->separate ? 1 : t->spp;
  return TRUE;
}

/* Levels of samples with at most 8 bits: scaled to 0..255, inverted, or looked up in the palette. */
static gboolean
fill_table (Tiff *t, TIFF *tiff, NotchColour chosen, GError **error)
{
  if (t->photometric != PHOTOMETRIC_PALETTE) {
    int top = (1 << t->bits) - 1;
    for (int v = 0; v <= top; v++)
      t->table[v] = (guint8) ((t->invert ? top - v : v) * (255 / top));
    t->use_table = t->invert || t->bits < 8;
    return TRUE;
  }
  guint16 *map[3] = { NULL, NULL, NULL };
  if (!TIFFGetField (tiff, TIFFTAG_COLORMAP, &map[0], &map[1], &map[2]))
    return refuse (t, error, "has a palette image without a palette; the file is damaged");
  int n = 1 << t->bits;
  guint16 largest = 0;
  for (int v = 0; v < n; v++)
    largest = MAX (largest, MAX (map[0][v], MAX (map[1][v], map[2][v])));
  for (int v = 0; v < n; v++) {
    guint16 level = 0;
    const void *rgb[3] = { &map[0][v], &map[1][v], &map[2][v] };
    if (chosen == NOTCH_CHANNEL_LUMINANCE)
      notch_row_luminance (NOTCH_SAMPLE_U16, rgb, 1, 1, &level);
    else
      level = map[chosen][v];
    t->table[v] = (guint8) (largest < 256 ? level : (level + 128) / 257); /* old writers left palettes at 8 bits */
  }
  t->use_table = TRUE;
  return TRUE;
}

/* Sizes of the image and its blocks, compared with what libtiff makes of them. */
static gboolean
describe_blocks (Tiff *t, TIFF *tiff, guint64 file_bytes, GError **error)
{
  NotchSource *source = &t->source;
  guint32 width = 0, height = 0, rows = G_MAXUINT32, tile_width = 0, tile_height = 0;
  guint16 fill = FILLORDER_MSB2LSB;
  TIFFGetField (tiff, TIFFTAG_IMAGEWIDTH, &width);
  TIFFGetField (tiff, TIFFTAG_IMAGELENGTH, &height);
  TIFFGetFieldDefaulted (tiff, TIFFTAG_ROWSPERSTRIP, &rows);
  TIFFGetFieldDefaulted (tiff, TIFFTAG_FILLORDER, &fill);
  TIFFGetField (tiff, TIFFTAG_TILEWIDTH, &tile_width);
  TIFFGetField (tiff, TIFFTAG_TILELENGTH, &tile_height);
  gboolean tiled = TIFFIsTiled (tiff) != 0;
  if (width == 0 || height == 0 || rows == 0 || (tiled && (tile_width == 0 || tile_height == 0)))
    return refuse (t, error, "says that it has %u x %u pixels in blocks of %u rows; the file is damaged", width, height,
                   tiled ? tile_height : rows);
  source->width = width;
  source->height = height;
  t->block_width = tiled ? tile_width : width;
  t->block_rows = tiled ? tile_height : MIN (rows, height);
  t->blocks_a_row = (width + t->block_width - 1) / t->block_width;
  t->n_block = (height + t->block_rows - 1) / t->block_rows * t->blocks_a_row;

  /* At most 2^32 pixels of 2^16 samples of 2^5 bits: no overflow up to here. */
  guint64 row_bytes = ((guint64) t->block_width * (guint64) t->plane_samples * (guint64) t->bits + 7) / 8;
  gsize block_bytes = 0, image_bytes = 0;
  gint64 n_blocks = tiled ? TIFFNumberOfTiles (tiff) : TIFFNumberOfStrips (tiff);
  t->row_bytes = (gsize) row_bytes;
  if (!g_size_checked_mul (&block_bytes, t->row_bytes, (gsize) t->block_rows)
      || !g_size_checked_mul (&image_bytes, t->row_bytes * (gsize) (t->separate ? t->spp : 1) * (gsize) t->blocks_a_row,
                              (gsize) height)
      || image_bytes / RATIO_MAX > file_bytes)
    return refuse (t, error,
                   "says that it has %u x %u pixels, which a file of %" G_GUINT64_FORMAT " bytes cannot hold; "
                   "the file is damaged",
                   width, height, file_bytes);
  if (n_blocks != t->n_block * (t->separate ? t->spp : 1)
      || row_bytes != (tiled ? TIFFTileRowSize64 (tiff) : TIFFScanlineSize64 (tiff))
      || block_bytes != (tiled ? TIFFTileSize64 (tiff) : TIFFVStripSize64 (tiff, (guint32) t->block_rows)))
    return refuse (t, error, "has strips or tiles of a size that does not follow from its pixels; export it again");

  guint64 asked = (guint64) width * notch_sample_size (source->sample);
  guint64 decoded = tiled ? 0 : row_bytes * (guint64) t->n_planes;
  if (!notch_source_check_row (source->path, MAX (asked, decoded), t->budget, error))
    return FALSE;

  gboolean whole_bytes = t->bits % 8 == 0;
  if (tiled) {
    t->access = ACCESS_TILES;
    if (t->budget > 0 && block_bytes > t->budget)
      return refuse (t, error,
                     "has tiles of %u x %u pixels, which need %.0f MiB each; convert it to tiles of 512 x 512",
                     tile_width, tile_height, (double) block_bytes / 1048576);
  } else if (t->compression == COMPRESSION_NONE && (fill == FILLORDER_MSB2LSB || whole_bytes)) {
    t->access = ACCESS_RAW;
  } else {
    t->access = block_bytes <= STREAM_BYTES || t->block_rows == 1 ? ACCESS_STRIPS : ACCESS_STREAM;
  }
  t->unit_rows = t->access == ACCESS_RAW      ? (gint64) MAX (RAW_BYTES / t->row_bytes, 1)
                 : t->access == ACCESS_STREAM ? 1
                                              : t->block_rows;
  source->block_rows = t->access == ACCESS_STRIPS || t->access == ACCESS_TILES ? t->block_rows : 1;
  source->random_access = t->access != ACCESS_STREAM;
  t->swapped = TIFFIsByteSwapped (tiff) != 0;
  t->direct = is_native (t) && !t->invert && !t->use_table && t->n_channels == 1 && t->plane_samples == 1;
  return TRUE;
}

/* Every strip and tile must lie inside the file: a file that was cut short is told before hours of work. */
static gboolean
check_blocks (Tiff *t, TIFF *tiff, guint64 file_bytes, GError **error)
{
  gint64 n = t->n_block * (t->separate ? t->spp : 1);
  if (t->access == ACCESS_RAW && (t->offset = g_try_new (guint64, n)) == NULL)
    return refuse (t, error, "no memory for a table of %" G_GINT64_FORMAT " strips; convert it to larger strips", n);
  for (gint64 i = 0; i < n; i++) {
    int bad_offset = 0, bad_count = 0;
    guint64 offset = TIFFGetStrileOffsetWithErr (tiff, (guint32) i, &bad_offset);
    guint64 count = TIFFGetStrileByteCountWithErr (tiff, (guint32) i, &bad_count);
    gint64 y = i % t->n_block / t->blocks_a_row * t->block_rows, rows = MIN (t->block_rows, t->source.height - y);
    guint64 needed = t->access == ACCESS_RAW ? (guint64) rows * t->row_bytes : 1;
    if (bad_offset || bad_count || offset == 0 || count < needed)
      return fail_rows (t, y, rows, "their data is missing", error);
    if (offset > file_bytes || MAX (count, needed) > file_bytes - offset)
      return fail_rows (t, y, rows, "they lie beyond the end of the file", error);
    if (t->offset != NULL)
      t->offset[i] = offset;
  }
  return TRUE;
}

/* A resolution is a float, so a size that is made of it is known to seven digits. */
static double
pixel_size (double unit_um, float resolution)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];
  return g_ascii_strtod (g_ascii_formatd (text, sizeof text, "%.7g", unit_um / (double) resolution), NULL);
}

static void
read_resolution (NotchSource *source, TIFF *tiff)
{
  guint16 unit = RESUNIT_INCH;
  float x = 0, y = 0;
  TIFFGetFieldDefaulted (tiff, TIFFTAG_RESOLUTIONUNIT, &unit);
  double unit_um = unit == RESUNIT_INCH ? 25400 : unit == RESUNIT_CENTIMETER ? 10000 : 0;
  if (TIFFGetField (tiff, TIFFTAG_XRESOLUTION, &x) && x > 0)
    source->pixel_um_x = pixel_size (unit_um, x);
  if (TIFFGetField (tiff, TIFFTAG_YRESOLUTION, &y) && y > 0)
    source->pixel_um_y = pixel_size (unit_um, y);
}

static void
read_description (NotchSource *source, TIFF *tiff)
{
  const char *text = NULL;
  if (TIFFGetField (tiff, TIFFTAG_IMAGEDESCRIPTION, &text) && text && strlen (text) <= 65536
      && g_utf8_validate (text, -1, NULL))
    source->description = g_strdup (text);
}

static NotchSource *
open_source (const char *path, const NotchSourceOptions *options, GError **error)
{
  Tiff *t = g_new0 (Tiff, 1);
  g_autoptr (NotchSource) source = &t->source;
  source->format = &notch_source_tiff;
  source->path = g_strdup (path);
  t->handles = g_ptr_array_new_with_free_func ((GDestroyNotify) handle_free);
  t->page = options->page > 0 ? (guint32) options->page - 1 : 0;
  t->budget = options->budget;

  struct stat info;
  t->fd = g_open (path, O_RDONLY | O_CLOEXEC, 0);
  if (t->fd < 0 || fstat (t->fd, &info) != 0) {
    refuse (t, error, "%s", g_strerror (errno));
    return NULL;
  }
  g_autoptr (Handle) handle = handle_new (t, error);
  if (handle == NULL || !describe_samples (t, handle->tiff, options->colour, error)
      || (source->sample == NOTCH_SAMPLE_U8 && !fill_table (t, handle->tiff, options->colour, error))
      || !describe_blocks (t, handle->tiff, (guint64) info.st_size, error)
      || !check_blocks (t, handle->tiff, (guint64) info.st_size, error))
    return NULL;
  read_resolution (source, handle->tiff);
  read_description (source, handle->tiff);
  /* A stream wants its own mode of opening, raw access no handle at all. */
  if (t->access == ACCESS_STRIPS || t->access == ACCESS_TILES)
    g_ptr_array_add (t->handles, g_steal_pointer (&handle));
  return g_steal_pointer (&source);
}

const NotchSourceFormat notch_source_tiff = {
  .name = "TIFF",
  .detect = detect,
  .open = open_source,
  .read_rows = read_rows,
  .close = close_source,
};
