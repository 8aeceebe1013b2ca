/* store.c - chunks of rows under a budget, the least recently used dropped first
 *
 * Locks here are plain POSIX ones: the thread sanitizer knows them, and GLib's it cannot see into. */
#include "inspect/image/store.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#define CHUNK_BYTES ((guint64) 4 << 20) /* a job: enough for every thread to have something to decode */
#define HUGE_PAGE   ((gsize) 2 << 20)

/* chunk_rows rows from row index * chunk_rows, or what is left of the image. */
typedef struct {
  gint64 index;
  int pins;      /* strips that point into it */
  GList link;    /* in `idle` while there is none */
  guint8 *bytes; /* store->chunk_bytes */
} Chunk;

struct NotchStore {
  NotchStoreGoOn go_on; /* NULL: nobody wants to stop */
  gpointer data;
  gint refs;      /* the owner, and every strip */
  guint64 number; /* notch_image_number */
  NotchSource *source;
  guint64 budget;
  int jobs;
  gsize row_bytes, chunk_bytes;
  gint64 chunk_rows;
  gint64 passed; /* chunks that a source without random access has left behind */

  pthread_mutex_t lock; /* for all below, and the pins */
  GHashTable *chunks;   /* by index */
  GQueue idle;          /* chunks without pins, the latest used last */
  guint64 held;         /* bytes */
};

struct NotchStrip {
  gint refs;
  NotchStore *store;
  NotchPixels pixels;
  const void **row;
  GPtrArray *chunks; /* pinned, by rising index */
};

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* Fresh memory is slow at its first touch; huge pages make that cheap. */
static guint8 *
allocate (gsize n)
{
  void *bytes = NULL;
  if (n > (gsize) G_MAXSSIZE || posix_memalign (&bytes, n < HUGE_PAGE ? 64 : HUGE_PAGE, n) != 0)
    return NULL;
#ifdef MADV_HUGEPAGE
  if (n >= HUGE_PAGE)
    madvise (bytes, n, MADV_HUGEPAGE);
#endif
  return bytes;
}

/* Takes the least recently used chunk's memory; NULL when all are pinned. The lock is held. */
static guint8 *
evict (NotchStore *store)
{
  GList *link = g_queue_pop_head_link (&store->idle);
  if (link == NULL)
    return NULL;
  Chunk *chunk = link->data;
  guint8 *bytes = chunk->bytes;
  g_hash_table_remove (store->chunks, &chunk->index);
  g_free (chunk);
  return bytes;
}

/* Memory for a chunk: new within the budget, then the least recently used one's, then beyond the budget, for pinned
 * rows cannot be done without. A chunk that is only `spare` gets what is left of the budget or nothing. */
static guint8 *
obtain (NotchStore *store, gboolean spare)
{
  guint8 *bytes = NULL;
  pthread_mutex_lock (&store->lock);
  gboolean within = store->held <= store->budget && store->chunk_bytes <= store->budget - store->held;
  if (!within && !spare)
    bytes = evict (store);
  gboolean fresh = bytes == NULL && (within || !spare);
  store->held += fresh ? store->chunk_bytes : 0;
  pthread_mutex_unlock (&store->lock);

  if (fresh && (bytes = allocate (store->chunk_bytes)) == NULL) {
    pthread_mutex_lock (&store->lock);
    store->held -= store->chunk_bytes;
    if (!spare)
      bytes = evict (store);
    pthread_mutex_unlock (&store->lock);
  }
  return bytes;
}

/* ---- chunks ------------------------------------------------------------------------------------------------------ */

static Chunk *
find_pinned (NotchStore *store, gint64 index)
{
  pthread_mutex_lock (&store->lock);
  Chunk *chunk = g_hash_table_lookup (store->chunks, &index);
  if (chunk != NULL && chunk->pins++ == 0)
    g_queue_unlink (&store->idle, &chunk->link);
  pthread_mutex_unlock (&store->lock);
  return chunk;
}

static void
unpin (NotchStore *store, Chunk *chunk)
{
  pthread_mutex_lock (&store->lock);
  if (--chunk->pins == 0)
    g_queue_push_tail_link (&store->idle, &chunk->link);
  while (store->held > store->budget && store->idle.length > 0) {
    free (evict (store));
    store->held -= store->chunk_bytes;
  }
  pthread_mutex_unlock (&store->lock);
}

/* Reads a chunk and pins it. NULL without an error: there was no memory. */
static Chunk *
read_chunk (NotchStore *store, gint64 index, gboolean spare, GError **error)
{
  gint64 y = index * store->chunk_rows;
  guint8 *bytes = obtain (store, spare);
  if (bytes == NULL)
    return NULL;
  if (!notch_source_read (store->source, y, MIN (store->chunk_rows, store->source->height - y), bytes, store->jobs,
                          error)) {
    free (bytes);
    pthread_mutex_lock (&store->lock);
    store->held -= store->chunk_bytes;
    pthread_mutex_unlock (&store->lock);
    return NULL;
  }
  store->passed = index + 1;
  Chunk *chunk = g_new0 (Chunk, 1);
  *chunk = (Chunk){ .index = index, .pins = 1, .link.data = chunk, .bytes = bytes };
  pthread_mutex_lock (&store->lock);
  g_hash_table_insert (store->chunks, &chunk->index, chunk);
  pthread_mutex_unlock (&store->lock);
  return chunk;
}

void
notch_store_watch (NotchStore *store, NotchStoreGoOn go_on, gpointer data)
{
  store->go_on = go_on;
  store->data = data;
}

gboolean
notch_store_go_on (NotchStore *store, GError **error)
{
  if (store == NULL || store->go_on == NULL || store->go_on (store->data))
    return TRUE;
  g_set_error_literal (error, NOTCH_ERROR, NOTCH_ERROR_CANCELLED, "interrupted");
  return FALSE;
}

/* A source without random access decodes everything on its way to a row: keep of it what fits. */
static gboolean
read_on_the_way (NotchStore *store, gint64 index, GError **error)
{
  GError *reason = NULL;
  for (gint64 k = index < store->passed ? 0 : store->passed; k < index && notch_store_go_on (store, &reason); k++) {
    Chunk *chunk = find_pinned (store, k);
    if (chunk == NULL && (chunk = read_chunk (store, k, TRUE, &reason)) == NULL)
      break;
    unpin (store, chunk);
  }
  if (reason != NULL)
    g_propagate_error (error, reason);
  return reason == NULL;
}

/* ---- strips ------------------------------------------------------------------------------------------------------ */

static void
store_unref (NotchStore *store)
{
  if (!g_atomic_int_dec_and_test (&store->refs))
    return;
  for (guint8 *bytes = evict (store); bytes != NULL; bytes = evict (store))
    free (bytes);
  g_hash_table_unref (store->chunks);
  pthread_mutex_destroy (&store->lock);
  g_free (store);
}

guint64
notch_image_number (void)
{
  static gint given;
  return (guint64) (guint) g_atomic_int_add (&given, 1) + 1;
}

NotchStore *
notch_store_new (NotchSource *source, guint64 budget, int jobs)
{
  NotchStore *store = g_new0 (NotchStore, 1);
  store->refs = 1;
  store->number = notch_image_number ();
  store->source = source;
  store->budget = budget;
  store->jobs = MAX (jobs, 1);
  store->row_bytes = (gsize) source->width * notch_sample_size (source->sample);
  /* Not so large that little of the budget is left for other places of the image. */
  guint64 bytes = MIN (CHUNK_BYTES * (guint64) store->jobs, budget / 16);
  gint64 block = MAX (source->block_rows, 1), rows = MAX ((gint64) (bytes / store->row_bytes), NOTCH_ROWS_AT_ONCE);
  store->chunk_rows = MIN ((rows + block - 1) / block * block, source->height);
  if (!g_size_checked_mul (&store->chunk_bytes, store->row_bytes, (gsize) store->chunk_rows))
    store->chunk_bytes = G_MAXSIZE; /* never to be had: said when it is asked for */
  pthread_mutex_init (&store->lock, NULL);
  store->chunks = g_hash_table_new (g_int64_hash, g_int64_equal);
  return store;
}

void
notch_store_free (NotchStore *store)
{
  if (store != NULL)
    store_unref (store);
}

int
notch_store_jobs (const NotchStore *store)
{
  return store->jobs;
}

/* The part of a range that is inside the image: y to end - 1. */
static gboolean
clip (const NotchRows *rows, gint64 height, gint64 *y, gint64 *end)
{
  if (rows->n <= 0 || rows->y >= height)
    return FALSE;
  *y = MAX (rows->y, 0);
  *end = rows->y > 0 && rows->n > height - rows->y ? height : MIN (rows->y + rows->n, height);
  return *y < *end;
}

static gint
compare_index (gconstpointer a, gconstpointer b)
{
  gint64 i = *(const gint64 *) a, j = *(const gint64 *) b;
  return i < j ? -1 : i > j;
}

static GError *
no_memory (NotchStore *store, guint n_chunks)
{
  pthread_mutex_lock (&store->lock);
  guint64 held = store->held;
  pthread_mutex_unlock (&store->lock);
  return g_error_new (NOTCH_ERROR, NOTCH_ERROR_READ,
                      "%s: no memory: up to %.0f MiB of rows are needed at once, %.0f MiB are in use already; free "
                      "memory, or use smaller tiles",
                      store->source->path, (double) n_chunks * (double) store->chunk_bytes / 1048576,
                      (double) held / 1048576);
}

/* Pins what the ranges need, by rising index, which is also the order that streams want. */
static gboolean
pin_chunks (NotchStrip *strip, const NotchRows *rows, int n_ranges, GError **error)
{
  NotchStore *store = strip->store;
  g_autoptr (GArray) wanted = g_array_new (FALSE, FALSE, sizeof (gint64));
  for (int i = 0; i < n_ranges; i++) {
    gint64 y = 0, end = 0;
    if (clip (&rows[i], store->source->height, &y, &end))
      for (gint64 k = y / store->chunk_rows; k <= (end - 1) / store->chunk_rows; k++)
        g_array_append_val (wanted, k);
  }
  g_array_sort (wanted, compare_index);
  for (guint i = 0; i < wanted->len; i++) {
    gint64 index = g_array_index (wanted, gint64, i);
    if (i > 0 && index == g_array_index (wanted, gint64, i - 1))
      continue;
    Chunk *chunk = find_pinned (store, index);
    if (chunk == NULL) {
      GError *reason = NULL;
      if (!store->source->random_access && !read_on_the_way (store, index, error))
        return FALSE;
      if ((chunk = read_chunk (store, index, FALSE, &reason)) == NULL) {
        if (reason == NULL)
          reason = no_memory (store, wanted->len);
        g_propagate_error (error, reason);
        return FALSE;
      }
    }
    g_ptr_array_add (strip->chunks, chunk);
  }
  return TRUE;
}

NotchStrip *
notch_store_strip (NotchStore *store, const NotchRows *rows, int n_ranges, GError **error)
{
  gint64 height = store->source->height, first = height, last = 0, y = 0, end = 0;
  for (int i = 0; i < n_ranges; i++)
    if (clip (&rows[i], height, &y, &end)) {
      first = MIN (first, y);
      last = MAX (last, end);
    }
  gint64 n_rows = MAX (last - first, 0);
  if (!notch_store_go_on (store, error))
    return NULL;

  g_autoptr (NotchStrip) strip = g_new0 (NotchStrip, 1);
  strip->refs = 1;
  strip->store = store;
  strip->chunks = g_ptr_array_new ();
  g_atomic_int_inc (&store->refs);
  strip->row = g_try_new0 (const void *, n_rows + 1);
  if (strip->row == NULL) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: no memory for a list of %" G_GINT64_FORMAT " rows",
                 store->source->path, n_rows);
    return NULL;
  }
  if (!pin_chunks (strip, rows, n_ranges, error))
    return NULL;
  for (guint k = 0; k < strip->chunks->len; k++) {
    const Chunk *chunk = strip->chunks->pdata[k];
    gint64 top = chunk->index * store->chunk_rows;
    for (int i = 0; i < n_ranges; i++)
      if (clip (&rows[i], height, &y, &end))
        for (gint64 at = MAX (y, top); at < MIN (end, top + store->chunk_rows); at++)
          strip->row[at - first] = chunk->bytes + (gsize) (at - top) * store->row_bytes;
  }
  strip->pixels = (NotchPixels){ .sample = store->source->sample,
                                 .width = store->source->width,
                                 .height = height,
                                 .y = n_rows > 0 ? first : 0,
                                 .n_rows = n_rows,
                                 .row = strip->row,
                                 .image = store->number };
  return g_steal_pointer (&strip);
}

const NotchPixels *
notch_strip_pixels (const NotchStrip *strip)
{
  return &strip->pixels;
}

NotchStrip *
notch_strip_acquire (NotchStrip *strip)
{
  g_atomic_int_inc (&strip->refs);
  return strip;
}

void
notch_strip_release (NotchStrip *strip)
{
  if (strip == NULL || !g_atomic_int_dec_and_test (&strip->refs))
    return;
  for (guint i = 0; i < strip->chunks->len; i++)
    unpin (strip->store, strip->chunks->pdata[i]);
  g_ptr_array_unref (strip->chunks);
  store_unref (strip->store);
  g_free (strip->row);
  g_free (strip);
}
