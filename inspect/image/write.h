/* write.h - images out of memory into files, row by row; no partial file ever carries its final name */
#pragma once

#include "inspect/notch.h"
#include "kernels/kernels.h"

/* Is there something that is neither file nor folder: a device or a pipe, which bytes go into and nothing may replace? */
gboolean notch_is_stream (const char *path);
/* Where files that are not finished lie: the path's folder, or that for temporary files if the path is a stream. */
char *notch_aside_folder (const char *path);

/* A file that is written aside and renamed on commit, or then copied into a stream. */
typedef struct {
  char *path, *aside;
  gboolean streams; /* the path is a stream */
} NotchAside;
/* Chooses a name aside that no other process has, nor another thread; creates nothing. */
NotchAside *notch_aside_new (const char *path);
/* Renames or copies; FALSE with error when the file system refuses. */
gboolean notch_aside_commit (NotchAside *aside, GError **error);
/* Without a commit, removes the file aside. */
void notch_aside_free (NotchAside *aside);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchAside, notch_aside_free)

/* Removes from a folder the files aside of processes that are gone. */
void notch_aside_sweep (const char *folder);

/* Whether a file could be written here, as far as can be told before: its folder is there and lets files be made in it, and the
 * path is no folder itself. */
gboolean notch_can_write (const char *path, GError **error);
/* Likewise; what is there already, and is no empty file, has to begin like what shall stand in its place, so that no data are
 * lost to a slip of the pen. */
gboolean notch_can_replace (const char *path, const char *magic, GError **error);
#define NOTCH_PNG_MAGIC "\x89PNG\r\n"

/* Writes text or bytes aside and renames. */
gboolean notch_write_file (const char *path, const char *bytes, gssize n, GError **error);

/* TIFF, one channel or RGB, uncompressed or Deflate, BigTIFF when it would pass 4 GiB. Rows in order, top to bottom. */
typedef struct NotchTiffWriter NotchTiffWriter;
typedef struct {
  gint64 width, height;
  NotchSample sample;
  int bits;        /* 8, 12 (stored in 16), 16, 32 */
  double pixel_um; /* 0: no resolution tags */
  gboolean deflate;
  const char *description; /* NULL or ImageDescription, of the first page */
  int pages;               /* of this size; 0: one */
} NotchTiffLayout;
NotchTiffWriter *notch_tiff_writer_new (const char *path, const NotchTiffLayout *layout, GError **error);
/* Likewise with red, green and blue samples for each pixel. */
NotchTiffWriter *notch_tiff_writer_new_rgb (const char *path, const NotchTiffLayout *layout, GError **error);
/* n rows of width pixels, the next ones. */
gboolean notch_tiff_writer_rows (NotchTiffWriter *writer, const void *rows, gint64 n, GError **error);
/* The page is full: begins the next one. */
gboolean notch_tiff_writer_next_page (NotchTiffWriter *writer, GError **error);
/* Finishes the file and gives it its name. */
gboolean notch_tiff_writer_commit (NotchTiffWriter *writer, GError **error);
void notch_tiff_writer_free (NotchTiffWriter *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchTiffWriter, notch_tiff_writer_free)

/* PNG with an 8-bit palette (n_colours > 0) or RGB. Stripes of rows are compressed side by side by `jobs` threads and
 * joined to one zlib stream, so the bytes do not depend on jobs. */
typedef struct NotchPngWriter NotchPngWriter;
typedef struct {
  int width, height;
  int n_colours; /* 0 for RGB */
  const guint8 (*colour)[3];
  int jobs;
  const char *const *text; /* NULL, or keyword, value, keyword, value, …, NULL (Latin-1) */
} NotchPngLayout;
NotchPngWriter *notch_png_writer_new (const char *path, const NotchPngLayout *layout, GError **error);
/* n rows of width bytes (palette) or 3 width bytes (RGB), the next ones. */
gboolean notch_png_writer_rows (NotchPngWriter *writer, const guint8 *rows, int n, GError **error);
gboolean notch_png_writer_commit (NotchPngWriter *writer, GError **error);
void notch_png_writer_free (NotchPngWriter *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchPngWriter, notch_png_writer_free)
