/* write.c - TIFF and PNG files written aside, row by row */
#include "inspect/image/write.h"

#include "inspect/image/source.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <tiffio.h>
#include <unistd.h>
#include <zlib.h>

static gboolean
fail_write (const char *path, int reason, GError **error)
{
  gboolean full = reason == ENOSPC || reason == EDQUOT || reason == EFBIG;
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_WRITE, "%s: cannot be written (%s); %s", path, g_strerror (reason),
               full ? "make room or choose another disk" : "check the folder and its permissions");
  return FALSE;
}

static gboolean
write_all (int fd, const char *path, const void *bytes, gsize n, GError **error)
{
  const guint8 *from = bytes;
  while (n > 0) {
    gssize done = write (fd, from, n);
    if (done < 0 && errno == EINTR)
      continue;
    if (done < 0)
      return fail_write (path, errno, error);
    from += done;
    n -= (gsize) done;
  }
  return TRUE;
}

/* Some file systems tell only here that the disk is full. */
static gboolean
close_all (int *fd, const char *path, GError **error)
{
  int closing = *fd;
  *fd = -1;
  return close (closing) == 0 || errno == EINTR || fail_write (path, errno, error);
}

/* ---- files aside ------------------------------------------------------------------------------------------------- */

gboolean
notch_is_stream (const char *path)
{
  struct stat is;
  return stat (path, &is) == 0 && !S_ISREG (is.st_mode) && !S_ISDIR (is.st_mode);
}

char *
notch_aside_folder (const char *path)
{
  return notch_is_stream (path) ? g_strdup (g_get_tmp_dir ()) : g_path_get_dirname (path);
}

NotchAside *
notch_aside_new (const char *path)
{
  NotchAside *aside = g_new0 (NotchAside, 1);
  g_autofree char *folder = notch_aside_folder (path), *name = g_path_get_basename (path);
  g_autofree char *hidden = g_strdup_printf (".%s.%ld-%08x.partial", name, (long) getpid (), g_random_int ());
  aside->path = g_strdup (path);
  aside->streams = notch_is_stream (path);
  aside->aside = g_build_filename (folder, hidden, NULL);
  return aside;
}

/* Sends what lies aside down a stream. */
static gboolean
copy_aside (const NotchAside *aside, GError **error)
{
  enum { BYTES = 1 << 16 };
  g_autofree guint8 *bytes = g_malloc (BYTES);
  int from = g_open (aside->aside, O_RDONLY | O_CLOEXEC, 0), to = g_open (aside->path, O_WRONLY | O_CLOEXEC, 0);
  gboolean well = (from >= 0 && to >= 0) || fail_write (aside->path, errno, error);
  for (gssize n = 1; well && n != 0;) {
    n = read (from, bytes, BYTES);
    well = n < 0 ? errno == EINTR || fail_write (aside->path, errno, error)
                 : write_all (to, aside->path, bytes, (gsize) n, error);
  }
  if (from >= 0)
    close (from);
  if (to >= 0)
    well = close_all (&to, aside->path, well ? error : NULL) && well;
  return well;
}

gboolean
notch_aside_commit (NotchAside *aside, GError **error)
{
  if (aside->streams)
    return copy_aside (aside, error);
  if (g_rename (aside->aside, aside->path) != 0)
    return fail_write (aside->path, errno, error);
  g_clear_pointer (&aside->aside, g_free);
  return TRUE;
}

void
notch_aside_free (NotchAside *aside)
{
  if (aside == NULL)
    return;
  if (aside->aside != NULL)
    g_unlink (aside->aside);
  g_free (aside->aside);
  g_free (aside->path);
  g_free (aside);
}

/* The file descriptor, or -1 with error set. */
static int
aside_create (NotchAside *aside, GError **error)
{
  int fd = g_open (aside->aside, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) {
    fail_write (aside->path, errno, error);
    g_clear_pointer (&aside->aside, g_free); /* what may be there is not ours to remove */
  }
  return fd;
}

void
notch_aside_sweep (const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  for (const char *name; dir && (name = g_dir_read_name (dir));) {
    const char *dash = g_str_has_suffix (name, ".partial") ? strrchr (name, '-') : NULL;
    const char *dot = dash ? g_strrstr_len (name, dash - name, ".") : NULL;
    gint64 process = dot && *name == '.' ? g_ascii_strtoll (dot + 1, NULL, 10) : 0;
    g_autofree char *path = g_build_filename (folder, name, NULL);
    if (process > 0 && process <= G_MAXINT32 && kill ((pid_t) process, 0) != 0 && errno == ESRCH)
      g_unlink (path);
  }
}

gboolean
notch_can_write (const char *path, GError **error)
{
  g_autofree char *folder = g_path_get_dirname (path);
  if (notch_is_stream (path))
    return TRUE;
  if (g_file_test (path, G_FILE_TEST_IS_DIR))
    return fail_write (path, EISDIR, error);
  return g_access (folder, W_OK | X_OK) == 0 || fail_write (path, errno, error);
}

gboolean
notch_can_replace (const char *path, const char *magic, GError **error)
{
  char head[16];
  const gsize n = strlen (magic);
  g_assert (n <= sizeof head);
  FILE *file = g_file_test (path, G_FILE_TEST_IS_REGULAR) ? g_fopen (path, "rbe") : NULL;
  const gsize got = file ? fread (head, 1, n, file) : 0;
  if (file)
    fclose (file);
  if (got > 0 && (got < n || memcmp (head, magic, n) != 0)) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_WRITE,
                 "%s: is there already, and is something else; take it away or give another name", path);
    return FALSE;
  }
  return notch_can_write (path, error);
}

gboolean
notch_write_file (const char *path, const char *bytes, gssize n, GError **error)
{
  g_autoptr (NotchAside) aside = notch_aside_new (path);
  int fd = aside_create (aside, error);
  if (fd < 0)
    return FALSE;
  if (!write_all (fd, path, bytes, n < 0 ? strlen (bytes) : (gsize) n, error)) {
    close (fd);
    return FALSE;
  }
  return close_all (&fd, path, error) && notch_aside_commit (aside, error);
}

/* ---- TIFF -------------------------------------------------------------------------------------------------------- */

#define STRIP_BYTES ((gsize) 256 << 10)
/* Classic TIFF ends at 4 GiB; some room is left for tables and for data that Deflate makes larger. */
#define CLASSIC_BYTES ((guint64) 4000 << 20)

struct NotchTiffWriter {
  NotchAside *aside;
  TIFF *tiff;
  int fd;
  int reason; /* errno of libtiff's first complaint */
  gboolean failed;
  NotchTiffLayout layout; /* of the next page */
  int channels;
  gint64 height, y; /* y: rows that were given */
  gsize row_bytes;
  gint64 strip_rows;
  guint8 *strip; /* rows of the strip that is not full; a copy, for libtiff works in it */
};

static int
on_error (TIFF *tiff, void *data, const char *module, const char *format, va_list list)
{
  NotchTiffWriter *writer = data;
  if (writer->reason == 0)
    writer->reason = errno != 0 ? errno : EIO;
  return 1; /* handled: libtiff prints nothing */
}

static int
on_warning (TIFF *tiff, void *data, const char *module, const char *format, va_list list)
{
  return 1;
}

static gboolean
fail_tiff (NotchTiffWriter *writer, GError **error)
{
  writer->failed = TRUE;
  return fail_write (writer->aside->path, writer->reason != 0 ? writer->reason : EIO, error);
}

static void
set_fields (TIFF *tiff, const NotchTiffLayout *layout, int channels, gint64 strip_rows)
{
  gboolean is_float = layout->sample == NOTCH_SAMPLE_F32;
  TIFFSetField (tiff, TIFFTAG_IMAGEWIDTH, (guint32) layout->width);
  TIFFSetField (tiff, TIFFTAG_IMAGELENGTH, (guint32) layout->height);
  TIFFSetField (tiff, TIFFTAG_SAMPLESPERPIXEL, channels);
  TIFFSetField (tiff, TIFFTAG_BITSPERSAMPLE, (int) notch_sample_size (layout->sample) * 8);
  TIFFSetField (tiff, TIFFTAG_SAMPLEFORMAT, is_float ? SAMPLEFORMAT_IEEEFP : SAMPLEFORMAT_UINT);
  TIFFSetField (tiff, TIFFTAG_PHOTOMETRIC, channels == 3 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK);
  TIFFSetField (tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
  TIFFSetField (tiff, TIFFTAG_ROWSPERSTRIP, (guint32) strip_rows);
  if (layout->bits == 12)
    TIFFSetField (tiff, TIFFTAG_MAXSAMPLEVALUE, 4095);
  if (layout->deflate) {
    TIFFSetField (tiff, TIFFTAG_COMPRESSION, COMPRESSION_ADOBE_DEFLATE);
    TIFFSetField (tiff, TIFFTAG_ZIPQUALITY, 1); /* a longer search finds no repetitions in noise either */
    TIFFSetField (tiff, TIFFTAG_PREDICTOR, is_float ? PREDICTOR_FLOATINGPOINT : PREDICTOR_HORIZONTAL);
  }
  if (layout->pixel_um > 0) {
    TIFFSetField (tiff, TIFFTAG_RESOLUTIONUNIT, RESUNIT_CENTIMETER);
    TIFFSetField (tiff, TIFFTAG_XRESOLUTION, 10000 / layout->pixel_um);
    TIFFSetField (tiff, TIFFTAG_YRESOLUTION, 10000 / layout->pixel_um);
  }
  if (layout->description != NULL)
    TIFFSetField (tiff, TIFFTAG_IMAGEDESCRIPTION, layout->description);
}

static NotchTiffWriter *
new_writer (const char *path, const NotchTiffLayout *layout, int channels, GError **error)
{
  gsize size = notch_sample_size (layout->sample), bytes = 0;
  gboolean fits = layout->bits == (int) size * 8 || (layout->bits == 12 && layout->sample == NOTCH_SAMPLE_U16);
  size *= (gsize) channels;
  if (!fits || layout->width < 1 || layout->width > G_MAXUINT32 / 8 || layout->height < 1
      || layout->height > G_MAXUINT32
      || !g_size_checked_mul (&bytes, (gsize) layout->width * size, (gsize) layout->height)
      || !g_size_checked_mul (&bytes, bytes, (gsize) MAX (layout->pages, 1))) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
                 "%s: a TIFF cannot have %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT " pixels of %d bits", path,
                 layout->width, layout->height, layout->bits);
    return NULL;
  }
  g_autoptr (NotchTiffWriter) writer = g_new0 (NotchTiffWriter, 1);
  writer->aside = notch_aside_new (path);
  writer->layout = *layout;
  writer->channels = channels;
  writer->layout.description = NULL;
  writer->height = layout->height;
  writer->row_bytes = (gsize) layout->width * size;
  writer->strip_rows = MIN ((gint64) MAX (STRIP_BYTES / writer->row_bytes, 1), layout->height);
  writer->fd = -1;
  if ((writer->strip = g_try_malloc ((gsize) writer->strip_rows * writer->row_bytes)) == NULL) {
    fail_write (path, ENOMEM, error);
    return NULL;
  }
  if ((writer->fd = aside_create (writer->aside, error)) < 0)
    return NULL;
  guint64 tables = 16 * (guint64) (layout->height / writer->strip_rows + 1) * (guint64) MAX (layout->pages, 1);
  TIFFOpenOptions *options = TIFFOpenOptionsAlloc ();
  TIFFOpenOptionsSetErrorHandlerExtR (options, on_error, writer);
  TIFFOpenOptionsSetWarningHandlerExtR (options, on_warning, writer);
  errno = 0;
  writer->tiff = TIFFFdOpenExt (writer->fd, path, bytes + tables > CLASSIC_BYTES ? "w8" : "w", options);
  TIFFOpenOptionsFree (options);
  if (writer->tiff == NULL) {
    fail_tiff (writer, error);
    return NULL;
  }
  set_fields (writer->tiff, layout, channels, writer->strip_rows);
  return g_steal_pointer (&writer);
}

NotchTiffWriter *
notch_tiff_writer_new (const char *path, const NotchTiffLayout *layout, GError **error)
{
  return new_writer (path, layout, 1, error);
}

NotchTiffWriter *
notch_tiff_writer_new_rgb (const char *path, const NotchTiffLayout *layout, GError **error)
{
  return new_writer (path, layout, 3, error);
}

gboolean
notch_tiff_writer_rows (NotchTiffWriter *writer, const void *rows, gint64 n, GError **error)
{
  const guint8 *from = rows;
  g_return_val_if_fail (n >= 0 && n <= writer->height - writer->y, FALSE);
  while (n > 0 && !writer->failed) {
    gint64 filled = writer->y % writer->strip_rows, take = MIN (n, writer->strip_rows - filled);
    memcpy (writer->strip + (gsize) filled * writer->row_bytes, from, (gsize) take * writer->row_bytes);
    from += (gsize) take * writer->row_bytes;
    n -= take;
    writer->y += take;
    filled += take;
    if (filled < writer->strip_rows && writer->y < writer->height)
      break;
    guint32 index = (guint32) ((writer->y - 1) / writer->strip_rows);
    tmsize_t bytes = (tmsize_t) ((gsize) filled * writer->row_bytes);
    errno = 0;
    if (TIFFWriteEncodedStrip (writer->tiff, index, writer->strip, bytes) != bytes)
      return fail_tiff (writer, error);
  }
  return !writer->failed || fail_tiff (writer, error);
}

gboolean
notch_tiff_writer_next_page (NotchTiffWriter *writer, GError **error)
{
  g_return_val_if_fail (writer->y == writer->height || writer->failed, FALSE);
  errno = 0;
  if (writer->failed || !TIFFWriteDirectory (writer->tiff))
    return fail_tiff (writer, error);
  set_fields (writer->tiff, &writer->layout, writer->channels, writer->strip_rows);
  writer->y = 0;
  return TRUE;
}

gboolean
notch_tiff_writer_commit (NotchTiffWriter *writer, GError **error)
{
  g_return_val_if_fail (writer->y == writer->height || writer->failed, FALSE);
  errno = 0;
  if (writer->failed || !TIFFWriteDirectory (writer->tiff))
    return fail_tiff (writer, error);
  TIFFCleanup (writer->tiff);
  writer->tiff = NULL;
  if (writer->reason != 0)
    return fail_tiff (writer, error);
  return close_all (&writer->fd, writer->aside->path, error) && notch_aside_commit (writer->aside, error);
}

void
notch_tiff_writer_free (NotchTiffWriter *writer)
{
  if (writer == NULL)
    return;
  if (writer->tiff != NULL)
    TIFFCleanup (writer->tiff); /* like TIFFClose, but leaves the descriptor to us */
  if (writer->fd >= 0)
    close (writer->fd);
  notch_aside_free (writer->aside);
  g_free (writer->strip);
  g_free (writer);
}

/* ---- Deflate ----------------------------------------------------------------------------------------------------- */

/* An image from a sensor is noise: it holds no repetitions worth a search, and the codes of its differences are all
 * there is to gain. Such a stripe becomes one block of literals with its own Huffman code (RFC 1951, 3.2.7), which is
 * ten times as fast as zlib and as small. Where most differences are zero, as in maps, zlib finds the runs. */

#define N_LITERALS 257 /* the bytes, and the end of the block */
#define MAX_BITS   12  /* four codes and seven bits fit into 64; rarer bytes would hardly gain by longer codes */

typedef struct {
  guint8 *to;
  guint64 kept; /* bits that are not yet a whole byte */
  guint n_kept;
} BitWriter;

static inline void
put_bits (BitWriter *bits, guint64 value, guint n)
{
  bits->kept |= value << bits->n_kept;
  bits->n_kept += n;
}

/* Room for 8 bytes is needed, of which the whole ones count. */
static inline void
flush_bits (BitWriter *bits)
{
  guint64 bytes = GUINT64_TO_LE (bits->kept);
  memcpy (bits->to, &bytes, 8);
  bits->to += bits->n_kept / 8;
  bits->kept >>= bits->n_kept & ~7u;
  bits->n_kept &= 7;
}

typedef struct {
  guint32 n;
  guint16 symbol;
} Count;

static int
compare_count (const void *a, const void *b)
{
  const Count *i = a, *j = b;
  return i->n != j->n ? (i->n < j->n ? -1 : 1) : i->symbol - j->symbol;
}

/* Lengths of a Huffman code for symbols that occur n times (Huffman 1952), none longer than MAX_BITS; 0 for symbols that
 * do not occur. At least two must occur. */
static void
code_lengths (const guint32 n[N_LITERALS], guint8 length[N_LITERALS])
{
  Count leaf[N_LITERALS];
  int n_leaves = 0, depth[2 * N_LITERALS], parent[2 * N_LITERALS], n_of_length[2 * N_LITERALS] = { 0 };
  guint32 weight[2 * N_LITERALS];
  for (guint16 s = 0; s < N_LITERALS; s++)
    if (n[s] > 0)
      leaf[n_leaves++] = (Count){ n[s], s };
  qsort (leaf, (size_t) n_leaves, sizeof leaf[0], compare_count);

  /* Sorted leaves and the nodes made of them are two rising queues: the two lightest are always at their heads. */
  int next_leaf = 0, next_node = n_leaves, root = 2 * n_leaves - 2;
  for (int i = 0; i < n_leaves; i++)
    weight[i] = leaf[i].n;
  for (int node = n_leaves; node <= root; node++) {
    weight[node] = 0;
    for (int k = 0; k < 2; k++) {
      int light = next_leaf < n_leaves && (next_node == node || weight[next_leaf] <= weight[next_node]) ? next_leaf++
                                                                                                        : next_node++;
      weight[node] += weight[light];
      parent[light] = node;
    }
  }
  depth[root] = 0;
  for (int node = root - 1; node >= 0; node--) {
    depth[node] = depth[parent[node]] + 1;
    if (node < n_leaves)
      n_of_length[MIN (depth[node], MAX_BITS)]++;
  }

  /* Codes that were cut to MAX_BITS take more room than there is: one of them after the other is hung beside the
   * longest code that is shorter, which then is one bit longer. Every step frees one place of length MAX_BITS. */
  int used = 0;
  for (int bits = 1; bits <= MAX_BITS; bits++)
    used += n_of_length[bits] << (MAX_BITS - bits);
  for (; used > 1 << MAX_BITS; used--) {
    int bits = MAX_BITS - 1;
    while (n_of_length[bits] == 0)
      bits--;
    n_of_length[bits]--;
    n_of_length[bits + 1] += 2;
    n_of_length[MAX_BITS]--;
  }
  memset (length, 0, N_LITERALS);
  for (int bits = MAX_BITS, i = 0; bits > 0; bits--)
    for (int k = n_of_length[bits]; k > 0; k--)
      length[leaf[i++].symbol] = (guint8) bits;
}

typedef struct {
  guint16 bits, length; /* the first bit is the lowest */
} Code;

/* The codes that follow from their lengths (RFC 1951, 3.2.2). */
static void
make_codes (const guint8 length[N_LITERALS], Code code[N_LITERALS])
{
  guint32 next = 0;
  for (guint32 bits = 1; bits <= MAX_BITS; bits++) {
    for (int s = 0; s < N_LITERALS; s++) {
      if (length[s] != bits)
        continue;
      guint32 turned = 0;
      for (guint32 b = 0; b < bits; b++)
        turned |= (next >> b & 1) << (bits - 1 - b);
      code[s] = (Code){ (guint16) turned, (guint16) bits };
      next++;
    }
    next <<= 1;
  }
}

/* How often each byte occurs, and one end. Four tables: equal bytes in a row do not wait for each other. */
static void
count_literals (const guint8 *from, gsize n, guint32 total[N_LITERALS])
{
  guint32 count[4][256] = { { 0 } };
  gsize i = 0;
  for (; i + 4 <= n; i += 4) {
    count[0][from[i]]++;
    count[1][from[i + 1]]++;
    count[2][from[i + 2]]++;
    count[3][from[i + 3]]++;
  }
  for (; i < n; i++)
    count[0][from[i]]++;
  for (int s = 0; s < 256; s++)
    total[s] = count[0][s] + count[1][s] + count[2][s] + count[3][s];
  total[256] = 1;
}

/* n bytes as one block of literals, ended at a byte; `to` has room for literals_bound (n). */
static gsize
deflate_literals (const guint8 *from, gsize n, const guint32 total[N_LITERALS], gboolean last, guint8 *to)
{
  Code code[N_LITERALS];
  guint8 length[N_LITERALS];
  code_lengths (total, length);
  make_codes (length, code);

  BitWriter bits = { .to = to };
  /* Dynamic block; 257 literals, 2 distances, 19 code lengths. */
  put_bits (&bits, (last ? 1 : 0) | 2 << 1 | 0 << 3 | 1 << 8 | 15 << 13, 17);
  flush_bits (&bits);
  /* Lengths 0 to 15 get four bits each, the repetitions (16 to 18, sent first) none. */
  for (int i = 0; i < 19; i++, flush_bits (&bits))
    put_bits (&bits, i < 3 ? 0 : 4, 3);
  /* The code of length v is v with its four bits turned round. Two distances that never occur end the list. */
  for (int s = 0; s < N_LITERALS + 2; s++, flush_bits (&bits)) {
    guint v = s < N_LITERALS ? length[s] : 1;
    put_bits (&bits, (v & 1) << 3 | (v & 2) << 1 | (v & 4) >> 1 | v >> 3, 4);
  }
  gsize i = 0;
  for (; i + 4 <= n; i += 4, flush_bits (&bits)) { /* pairs are joined side by side, before they must wait for `bits` */
    Code a = code[from[i]], b = code[from[i + 1]], c = code[from[i + 2]], d = code[from[i + 3]];
    guint64 ab = a.bits | (guint64) b.bits << a.length, cd = c.bits | (guint64) d.bits << c.length;
    put_bits (&bits, ab | cd << (a.length + b.length), (guint) a.length + b.length + c.length + d.length);
  }
  for (; i < n; i++, flush_bits (&bits))
    put_bits (&bits, code[from[i]].bits, code[from[i]].length);
  put_bits (&bits, code[256].bits, code[256].length);
  if (!last)
    put_bits (&bits, 0, 3); /* an empty stored block, which begins with the next byte */
  bits.n_kept = (bits.n_kept + 7) & ~7u;
  flush_bits (&bits);
  if (!last) {
    memcpy (bits.to, "\0\0\377\377", 4);
    bits.to += 4;
  }
  return (gsize) (bits.to - to);
}

static gsize
literals_bound (gsize n)
{
  return n / 8 * MAX_BITS + 1024;
}

/* The same by zlib, which looks for runs only: repeated rows are zeros by now, and a longer search takes four times as long
 * for a tenth of the bytes. `to` has room for what deflateBound says and the flush. 0: no memory. */
static gsize
deflate_search (guint8 *from, gsize n, gboolean last, guint8 *to, gsize room)
{
  z_stream z = { .next_in = from, .avail_in = (uInt) n, .next_out = to, .avail_out = (uInt) room };
  if (deflateInit2 (&z, 1, Z_DEFLATED, -15, 9, Z_RLE) != Z_OK)
    return 0;
  int state = deflate (&z, last ? Z_FINISH : Z_SYNC_FLUSH);
  gboolean whole = z.avail_in == 0 && (last ? state == Z_STREAM_END : state == Z_OK && z.avail_out > 0);
  deflateEnd (&z);
  return whole ? room - z.avail_out : 0;
}

/* ---- PNG --------------------------------------------------------------------------------------------------------- */

/* Fixed, so that the bytes of the file follow from the image alone. */
#define STRIPE_BYTES ((gsize) 1 << 20)

/* Rows on their way to an IDAT chunk. */
typedef struct {
  guint8 *rows, *filtered, *chunk;
  gint64 n_rows;
  gboolean first, last; /* of the image */
  gboolean done;
  gsize n_filtered, n_chunk; /* bytes; n_chunk 0 says that there was no memory */
  guint32 adler;
} Stripe;

struct NotchPngWriter {
  NotchAside *aside;
  int fd;
  gboolean failed;
  gint64 height, y;   /* y: rows that were given */
  gsize row_bytes;    /* without the filter's byte */
  gsize pixel_bytes;  /* 1 or 3 */
  gint64 stripe_rows; /* but for the last stripe */
  gsize room;         /* of a chunk's data */
  guint32 adler;      /* of the stripes that were written */
  Stripe *stripe;     /* a ring: stripe number i lives in stripe[i % n_stripes] */
  gint64 n_stripes;
  GPtrArray *threads;
  gint64 written; /* stripes */

  pthread_mutex_t lock; /* plain POSIX: the thread sanitizer knows it */
  pthread_cond_t more, done;
  gint64 filled, taken; /* stripes that were filled, and of these taken by a thread */
  gboolean quit;
};

typedef guint8 Vector __attribute__ ((vector_size (16)));

/* A row with its filter: Up where it repeats the row above, which leaves zeros, and Sub elsewhere. */
static void
filter_row (const guint8 *row, const guint8 *above, gsize n, gsize pixel, guint8 *to)
{
  if (above != NULL && memcmp (row, above, n) == 0) {
    *to = 2;
    memset (to + 1, 0, n);
    return;
  }
  *to++ = 1;
  memcpy (to, row, pixel);
  gsize i = pixel;
  for (; i + sizeof (Vector) <= n; i += sizeof (Vector)) {
    Vector a, b;
    memcpy (&a, row + i, sizeof a);
    memcpy (&b, row + i - pixel, sizeof b);
    a -= b;
    memcpy (to + i, &a, sizeof a);
  }
  for (; i < n; i++)
    to[i] = (guint8) (row[i] - row[i - pixel]);
}

static void
put_32 (guint8 *to, guint32 value)
{
  value = GUINT32_TO_BE (value);
  memcpy (to, &value, 4);
}

/* Length and name before the data, and the checksum behind it. */
static gsize
wrap_chunk (guint8 *chunk, const char *name, gsize n)
{
  put_32 (chunk, (guint32) n);
  memcpy (chunk + 4, name, 4);
  put_32 (chunk + 8 + n, (guint32) crc32 (0, chunk + 4, (uInt) n + 4));
  return n + 12;
}

static void
compress_stripe (const NotchPngWriter *writer, Stripe *stripe)
{
  gsize filtered = writer->row_bytes + 1, n = (gsize) stripe->n_rows * filtered, head = 0;
  guint32 total[N_LITERALS];
  for (gint64 y = 0; y < stripe->n_rows; y++) {
    const guint8 *row = stripe->rows + (gsize) y * writer->row_bytes;
    filter_row (row, y > 0 ? row - writer->row_bytes : NULL, writer->row_bytes, writer->pixel_bytes,
                stripe->filtered + (gsize) y * filtered);
  }
  count_literals (stripe->filtered, n, total);
  if (stripe->first) { /* the zlib stream's head: 32 KiB window, fast (RFC 1950) */
    memcpy (stripe->chunk + 8, "\x78\x01", 2);
    head = 2;
  }
  guint8 *to = stripe->chunk + 8 + head;
  gsize bytes = total[0] > n - n / 5 ? deflate_search (stripe->filtered, n, stripe->last, to, writer->room)
                                     : deflate_literals (stripe->filtered, n, total, stripe->last, to);
  stripe->n_chunk = bytes > 0 ? wrap_chunk (stripe->chunk, "IDAT", head + bytes) : 0;
  stripe->n_filtered = n;
  stripe->adler = (guint32) adler32 (1, stripe->filtered, (uInt) n);
}

/* Compresses the next stripe that nobody has taken; FALSE when there is none. The lock is held, and left meanwhile. */
static gboolean
take_stripe (NotchPngWriter *writer)
{
  if (writer->taken == writer->filled)
    return FALSE;
  Stripe *stripe = &writer->stripe[writer->taken++ % writer->n_stripes];
  pthread_mutex_unlock (&writer->lock);
  compress_stripe (writer, stripe);
  pthread_mutex_lock (&writer->lock);
  stripe->done = TRUE;
  pthread_cond_signal (&writer->done); /* only the caller waits for it */
  return TRUE;
}

static gpointer
work (gpointer data)
{
  NotchPngWriter *writer = data;
  pthread_mutex_lock (&writer->lock);
  while (!writer->quit)
    if (!take_stripe (writer))
      pthread_cond_wait (&writer->more, &writer->lock);
  pthread_mutex_unlock (&writer->lock);
  return NULL;
}

static gboolean
fail_png (NotchPngWriter *writer, int reason, GError **error)
{
  writer->failed = TRUE;
  return fail_write (writer->aside->path, reason, error);
}

/* Writes the oldest stripe; helps to compress while it is not done. */
static gboolean
write_stripe (NotchPngWriter *writer, GError **error)
{
  Stripe *stripe = &writer->stripe[writer->written % writer->n_stripes];
  pthread_mutex_lock (&writer->lock);
  while (!stripe->done)
    if (!take_stripe (writer))
      pthread_cond_wait (&writer->done, &writer->lock);
  pthread_mutex_unlock (&writer->lock);
  writer->written++;
  writer->adler = (guint32) adler32_combine (writer->adler, stripe->adler, (z_off_t) stripe->n_filtered);
  if (stripe->n_chunk == 0)
    return fail_png (writer, ENOMEM, error);
  writer->failed = !write_all (writer->fd, writer->aside->path, stripe->chunk, stripe->n_chunk, error);
  return !writer->failed;
}

static void
add_chunk (GByteArray *bytes, const char *name, const void *data, gsize n)
{
  g_autofree guint8 *chunk = g_malloc (n + 12);
  if (n > 0)
    memcpy (chunk + 8, data, n);
  g_byte_array_append (bytes, chunk, (guint) wrap_chunk (chunk, name, n));
}

static gboolean
write_head (NotchPngWriter *writer, const NotchPngLayout *layout, GError **error)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  guint8 header[13] = { [8] = 8, [9] = layout->n_colours > 0 ? 3 : 2 };
  put_32 (header, (guint32) layout->width);
  put_32 (header + 4, (guint32) layout->height);
  g_byte_array_append (bytes, (const guint8 *) "\x89PNG\r\n\x1a\n", 8);
  add_chunk (bytes, "IHDR", header, sizeof header);
  if (layout->n_colours > 0)
    add_chunk (bytes, "PLTE", layout->colour, 3 * (gsize) layout->n_colours);
  for (const char *const *text = layout->text; text != NULL && text[0] != NULL && text[1] != NULL; text += 2) {
    g_autoptr (GByteArray) pair = g_byte_array_new (); /* keyword, zero, value without a zero */
    g_byte_array_append (pair, (const guint8 *) text[0], (guint) strlen (text[0]) + 1);
    g_byte_array_append (pair, (const guint8 *) text[1], (guint) strlen (text[1]));
    add_chunk (bytes, "tEXt", pair->data, pair->len);
  }
  return write_all (writer->fd, writer->aside->path, bytes->data, bytes->len, error);
}

static gboolean
prepare_stripes (NotchPngWriter *writer, const NotchPngLayout *layout)
{
  gsize n = (gsize) writer->stripe_rows * (writer->row_bytes + 1);
  gint64 n_needed = (writer->height + writer->stripe_rows - 1) / writer->stripe_rows;
  writer->n_stripes = layout->jobs > 1 ? MIN (layout->jobs + 1, n_needed) : 1;
  writer->room = MAX (literals_bound (n), deflateBound (NULL, (uLong) n) + 16);
  writer->stripe = g_new0 (Stripe, writer->n_stripes);
  for (gint64 i = 0; i < writer->n_stripes; i++) {
    writer->stripe[i].rows = g_try_malloc (n);
    writer->stripe[i].filtered = g_try_malloc (n);
    writer->stripe[i].chunk = g_try_malloc (writer->room + 32);
    if (writer->stripe[i].rows == NULL || writer->stripe[i].filtered == NULL || writer->stripe[i].chunk == NULL)
      return FALSE;
  }
  for (gint64 i = 1; i < writer->n_stripes && i < layout->jobs; i++) { /* without a thread there is only less help */
    GThread *thread = g_thread_try_new ("png", work, writer, NULL);
    if (thread != NULL)
      g_ptr_array_add (writer->threads, thread);
  }
  return TRUE;
}

NotchPngWriter *
notch_png_writer_new (const char *path, const NotchPngLayout *layout, GError **error)
{
  gboolean palette = layout->n_colours > 0;
  gint64 row_bytes = (gint64) layout->width * (palette ? 1 : 3);
  if (layout->width < 1 || layout->height < 1 || layout->n_colours < 0 || layout->n_colours > 256
      || row_bytes > 1 << 30) { /* zlib counts in 32 bits */
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE, "%s: a PNG cannot have %d x %d pixels of %d colours", path,
                 layout->width, layout->height, layout->n_colours);
    return NULL;
  }
  g_autoptr (NotchPngWriter) writer = g_new0 (NotchPngWriter, 1);
  pthread_mutex_init (&writer->lock, NULL);
  pthread_cond_init (&writer->more, NULL);
  pthread_cond_init (&writer->done, NULL);
  writer->threads = g_ptr_array_new ();
  writer->aside = notch_aside_new (path);
  writer->height = layout->height;
  writer->pixel_bytes = palette ? 1 : 3;
  writer->row_bytes = (gsize) row_bytes;
  writer->stripe_rows = MIN ((gint64) MAX (STRIPE_BYTES / writer->row_bytes, 1), writer->height);
  writer->adler = 1;
  if ((writer->fd = aside_create (writer->aside, error)) < 0 || !write_head (writer, layout, error))
    return NULL;
  if (!prepare_stripes (writer, layout)) {
    fail_write (path, ENOMEM, error);
    return NULL;
  }
  return g_steal_pointer (&writer);
}

gboolean
notch_png_writer_rows (NotchPngWriter *writer, const guint8 *rows, int n, GError **error)
{
  g_return_val_if_fail (n >= 0 && n <= writer->height - writer->y, FALSE);
  while (n > 0 && !writer->failed) {
    gint64 filled = writer->y % writer->stripe_rows, take = MIN (n, writer->stripe_rows - filled);
    if (filled == 0 && writer->filled - writer->written == writer->n_stripes && !write_stripe (writer, error))
      return FALSE;
    Stripe *stripe = &writer->stripe[writer->filled % writer->n_stripes];
    memcpy (stripe->rows + (gsize) filled * writer->row_bytes, rows, (gsize) take * writer->row_bytes);
    rows += (gsize) take * writer->row_bytes;
    n -= (int) take;
    writer->y += take;
    if (filled + take < writer->stripe_rows && writer->y < writer->height)
      break;
    stripe->n_rows = filled + take;
    stripe->first = writer->filled == 0;
    stripe->last = writer->y == writer->height;
    stripe->done = FALSE;
    pthread_mutex_lock (&writer->lock);
    writer->filled++;
    pthread_cond_signal (&writer->more);
    pthread_mutex_unlock (&writer->lock);
  }
  return !writer->failed || fail_png (writer, EIO, error);
}

gboolean
notch_png_writer_commit (NotchPngWriter *writer, GError **error)
{
  g_return_val_if_fail (writer->y == writer->height || writer->failed, FALSE);
  if (writer->failed)
    return fail_png (writer, EIO, error);
  while (writer->written < writer->filled)
    if (!write_stripe (writer, error))
      return FALSE;
  /* The checksum of all stripes ends the zlib stream; it is known only now and has a chunk of its own. */
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  guint8 adler[4];
  put_32 (adler, writer->adler);
  add_chunk (bytes, "IDAT", adler, sizeof adler);
  add_chunk (bytes, "IEND", NULL, 0);
  return write_all (writer->fd, writer->aside->path, bytes->data, bytes->len, error)
         && close_all (&writer->fd, writer->aside->path, error) && notch_aside_commit (writer->aside, error);
}

void
notch_png_writer_free (NotchPngWriter *writer)
{
  if (writer == NULL)
    return;
  pthread_mutex_lock (&writer->lock);
  writer->quit = TRUE;
  pthread_cond_broadcast (&writer->more);
  pthread_mutex_unlock (&writer->lock);
  for (guint i = 0; i < writer->threads->len; i++)
    g_thread_join (writer->threads->pdata[i]);
  g_ptr_array_unref (writer->threads);
  for (gint64 i = 0; i < writer->n_stripes && writer->stripe != NULL; i++) {
    g_free (writer->stripe[i].rows);
    g_free (writer->stripe[i].filtered);
    g_free (writer->stripe[i].chunk);
  }
  g_free (writer->stripe);
  if (writer->fd >= 0)
    close (writer->fd);
  notch_aside_free (writer->aside);
  pthread_mutex_destroy (&writer->lock);
  pthread_cond_destroy (&writer->more);
  pthread_cond_destroy (&writer->done);
  g_free (writer);
}
