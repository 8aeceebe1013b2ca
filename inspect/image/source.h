/* source.h - image files as rows of samples
 *
 * A format is one file and one row of the table in source.c. Rows come as one channel of NotchSample: 1-bit becomes 0
 * and 255, 12-bit keeps its values in 16 bits, signed and 32-bit integers become floats, MinIsWhite is inverted, RGB
 * becomes luminance (Rec. 709) of the same depth, or one chosen channel. */
#pragma once

#include "inspect/notch.h"
#include "kernels/kernels.h"

typedef struct NotchSource NotchSource;
typedef struct NotchSourceFormat NotchSourceFormat;

typedef enum { NOTCH_CHANNEL_LUMINANCE = -1, NOTCH_CHANNEL_RED, NOTCH_CHANNEL_GREEN, NOTCH_CHANNEL_BLUE } NotchColour;

typedef struct {
  int page;           /* from 1; 0 is the first */
  NotchColour colour; /* which channel of a colour image */
  guint64 budget;     /* bytes: what must be whole in memory may not exceed it */
} NotchSourceOptions;

struct NotchSource {
  const NotchSourceFormat *format;
  char *path;
  gint64 width, height; /* px, both at least 1 */
  NotchSample sample;
  double full_scale;             /* largest value a pixel can have: 255, 4095, 65535; 0 for float */
  double pixel_um_x, pixel_um_y; /* from resolution tags; 0 where there are none */
  char *description;             /* a TIFF's ImageDescription, at most 64 KiB of UTF-8; NULL: none */
  gint64 block_rows;             /* rows that are cheapest to read together, from a multiple of this */
  gboolean random_access;        /* FALSE: reading backwards starts the file again */
};

struct NotchSourceFormat {
  const char *name;                                 /* "TIFF" */
  gboolean (*detect) (const guint8 *head, gsize n); /* the file's first bytes */
  NotchSource *(*open) (const char *path, const NotchSourceOptions *options, GError **error);
  /* Fills n rows from row y; `to` has n rows of width samples. May use up to `jobs` threads. */
  gboolean (*read_rows) (NotchSource *source, gint64 y, gint64 n, void *to, int jobs, GError **error);
  void (*close) (NotchSource *source);
};

/* Opens an image of any known format; `options` may be NULL: first page, luminance, no budget. Errors name the file. */
NotchSource *notch_source_open (const char *path, const NotchSourceOptions *options, GError **error);
/* Samples that are in memory already, as a source: width x height of them, row by row. Takes `values`, from g_malloc or
 * g_try_malloc. */
NotchSource *notch_source_from_memory (const char *name, gint64 width, gint64 height, NotchSample sample, void *values);
/* Reads rows y to y + n - 1, all inside the image; one call at a time. Errors name the file. */
gboolean notch_source_read (NotchSource *source, gint64 y, gint64 n, void *to, int jobs, GError **error);
void notch_source_close (NotchSource *source);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchSource, notch_source_close)

/* Rows that are in memory together at least, whatever the budget. */
#define NOTCH_ROWS_AT_ONCE 64
/* For formats: whether rows of so many bytes are so few in a budget, 0 for none, that it could not be kept; said with the
 * budget that has room for them. */
gboolean notch_source_check_row (const char *path, guint64 row_bytes, guint64 budget, GError **error);

/* Bytes of a sample. */
gsize notch_sample_size (NotchSample sample);

/* For formats: n samples that stand `stride` samples apart, as they are; and the luminance of n pixels, rounded, whose
 * red, green and blue samples stand likewise. */
void notch_row_pick (NotchSample sample, const void *from, int stride, gint64 n, void *to);
void notch_row_luminance (NotchSample sample, const void *const rgb[3], int stride, gint64 n, void *to);

extern const NotchSourceFormat notch_source_tiff, notch_source_png;
