/* memory.c - samples that are in memory already, as a source */
#include "inspect/image/source.h"

#include <string.h>

typedef struct {
  NotchSource source;
  guint8 *values;
} Memory;

static gboolean
read_rows (NotchSource *source, gint64 y, gint64 n, void *to, int jobs, GError **error)
{
  const Memory *memory = (const Memory *) source;
  gsize row = (gsize) source->width * notch_sample_size (source->sample);
  memcpy (to, memory->values + (gsize) y * row, row * (gsize) n);
  return TRUE;
}

static void
close_memory (NotchSource *source)
{
  Memory *memory = (Memory *) source;
  g_free (memory->values);
  g_free (source->path);
  g_free (memory);
}

/* No row of the table of formats: nothing is detected, nothing opened. */
static const NotchSourceFormat format = { .name = "memory", .read_rows = read_rows, .close = close_memory };

NotchSource *
notch_source_from_memory (const char *name, gint64 width, gint64 height, NotchSample sample, void *values)
{
  Memory *memory = g_new0 (Memory, 1);
  memory->values = values;
  memory->source = (NotchSource){
    .format = &format,
    .path = g_strdup (name),
    .width = width,
    .height = height,
    .sample = sample,
    .full_scale = sample == NOTCH_SAMPLE_U8    ? 255
                  : sample == NOTCH_SAMPLE_U16 ? 65535
                                               : 0,
    .block_rows = 64,
    .random_access = TRUE,
  };
  return &memory->source;
}
