/* store.h - rows of a source, kept in memory under a budget
 *
 * The store reads chunks of rows, keeps the latest used as long as the budget allows, and reads again what it had to
 * drop: results never depend on the budget, only speed does. One thread asks for strips; any thread may release one. */
#pragma once

#include "inspect/image/source.h"

typedef struct NotchStore NotchStore;
typedef struct NotchStrip NotchStrip;

/* A range of image rows; y may be negative or beyond the image: such rows do not exist and are left out. */
typedef struct {
  gint64 y, n;
} NotchRows;

/* A number for NotchPixels.image, which no other image of this process has: by it devices know rows again. */
guint64 notch_image_number (void);

/* `source` is borrowed and must outlive the store. */
NotchStore *notch_store_new (NotchSource *source, guint64 budget, int jobs);
void notch_store_free (NotchStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchStore, notch_store_free)
/* How many threads it was given, which who works on its rows may have, too. */
int notch_store_jobs (const NotchStore *store);

/* Asked before rows are given or read, by the thread that wants them: FALSE ends it, here and in all that waits for the
 * rows, with NOTCH_ERROR_CANCELLED. */
typedef gboolean (*NotchStoreGoOn) (gpointer data);
void notch_store_watch (NotchStore *store, NotchStoreGoOn go_on, gpointer data);
/* The same question from those who are busy with something else; a store that is NULL or not watched goes on. */
gboolean notch_store_go_on (NotchStore *store, GError **error);

/* Rows of one or more ranges as one strip, counted; its pixels point into the store's chunks, which stay while it
 * lives. NULL with error set when reading fails, or when memory for the rows that are needed at once is not to be had
 * (said with both figures). */
NotchStrip *notch_store_strip (NotchStore *store, const NotchRows *rows, int n_ranges, GError **error);
const NotchPixels *notch_strip_pixels (const NotchStrip *strip);
NotchStrip *notch_strip_acquire (NotchStrip *strip);
void notch_strip_release (NotchStrip *strip);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchStrip, notch_strip_release)

/* Sample x of a row as a number, whatever its type. */
static inline float
notch_sample_at (const void *row, NotchSample sample, gint64 x)
{
  return sample == NOTCH_SAMPLE_U8    ? (float) ((const guint8 *) row)[x]
         : sample == NOTCH_SAMPLE_U16 ? (float) ((const guint16 *) row)[x]
                                      : ((const float *) row)[x];
}
