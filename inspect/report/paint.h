/* paint.h - pictures of any size: a list of drawn things over a ground, rendered tile by tile into a palette PNG
 *
 * What is drawn (paths, words, legends) is collected once, in page pixels; the page is then made in strips of rows, and
 * only tiles that something is drawn on pass through cairo. The ground below is given by its owner as palette indices,
 * so that a large image costs one table look-up a pixel. No page is ever whole in memory, and its bytes do not depend
 * on the number of threads.
 *
 * The palette is the same for all pictures: greys, a diverging ramp, and a ramp from black over the colour to white for
 * each of the inks. */
#pragma once

#include <cairo.h>

#include "inspect/report/report.h"

/* 0xRRGGBB. The colours of Okabe and Ito (2008), which people with any kind of colour vision tell apart. */
typedef guint32 NotchInk;
enum {
  NOTCH_INK_BLACK = 0x000000,
  NOTCH_INK_CARBON = 0x161616,
  NOTCH_INK_SLATE = 0x5a5a5a,
  NOTCH_INK_ASH = 0xb0b0b0,
  NOTCH_INK_SILVER = 0xe4e4e4,
  NOTCH_INK_WHITE = 0xffffff,
  NOTCH_INK_ORANGE = 0xe69f00,
  NOTCH_INK_SKY = 0x56b4e9,
  NOTCH_INK_GREEN = 0x009e73,
  NOTCH_INK_YELLOW = 0xf0e442,
  NOTCH_INK_BLUE = 0x0072b2,
  NOTCH_INK_VERMILLION = 0xd55e00,
  NOTCH_INK_PURPLE = 0xcc79a7
};
/* `share` of the way from one ink to another. */
NotchInk notch_ink_mix (NotchInk from, NotchInk to, double share);

/* Palette entries 0 to NOTCH_N_GREYS - 1 are greys from black to white. */
enum { NOTCH_N_GREYS = 96 };
/* Blue at -1, white at 0, vermillion at 1. */
guint8 notch_palette_diverging (double t);
/* The entry nearest to a colour. */
guint8 notch_palette_nearest (NotchInk ink);

/* ---- drawing --------------------------------------------------------------------------------------------------- */

typedef struct {
  double x, y, width, height;
} NotchBox;

typedef struct NotchPaint NotchPaint;
NotchPaint *notch_paint_new (void);
void notch_paint_free (NotchPaint *paint);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchPaint, notch_paint_free)

/* For building the next path, in page px: the first pixel's centre is (0.5, 0.5). */
cairo_t *notch_paint_pen (NotchPaint *paint);
/* Add the path to the picture and begin a new one. */
void notch_paint_fill (NotchPaint *paint, NotchInk ink, double alpha);
void notch_paint_stroke (NotchPaint *paint, NotchInk ink, double alpha, double width, double dash);
/* What follows is drawn inside the box only; NULL: anywhere. */
void notch_paint_clip (NotchPaint *paint, const NotchBox *clip);

typedef struct {
  double size; /* px */
  gboolean bold;
  NotchInk ink;
  double wrap;       /* px: width to break lines at; 0: none */
  gboolean one_line; /* shorten with an ellipsis instead of breaking */
  double halo;       /* px: a dark edge around the letters */
} NotchWords;
/* The room that words take, at (0, 0). */
NotchBox notch_paint_measure (NotchPaint *paint, const char *text, const NotchWords *style);
/* Words with their upper left corner at (x, y); gives the room they take. */
NotchBox notch_paint_words (NotchPaint *paint, double x, double y, const char *text, const NotchWords *style);
/* The same, centred on (x, y). */
void notch_paint_words_at (NotchPaint *paint, double x, double y, const char *text, const NotchWords *style);

/* ---- the page -------------------------------------------------------------------------------------------------- */

typedef struct {
  int width, height;
  NotchInk paper;
  /* Fills n rows of `width` palette indices from row y, which hold paper so far. NULL: paper everywhere. Called from
   * one thread, top to bottom. */
  gboolean (*ground) (gpointer data, int y, int n, guint8 *to, GError **error);
  gpointer data;
  int jobs;
  /* px: side of the squares that are drawn one by one, each of them going through all of a path that touches it: large for
   * a small page of words. 0: what suits a large page. */
  int tile;
  const char *source, *description; /* for the file's text chunks */
} NotchPage;

gboolean notch_paint_write (const NotchPaint *paint, const NotchPage *page, const char *path, GError **error);

/* ---- furniture (furniture.c) ----------------------------------------------------------------------------------- */

/* How a class looks: colour and shape, so that neither is needed alone. */
NotchInk notch_class_ink (const NotchResult *result, int class_index);
/* Strokes a class's frame around a box, dark on both sides of the line. Its corners are cut by at most `corner` px; it
 * is at least `corner` px from the box's centre and half of that off the box. Gives the frame's box. */
NotchBox notch_paint_mark (NotchPaint *paint, const NotchResult *result, int class_index, const NotchBox *around,
                           double corner, double width);
/* Fills a class's shape, `radius` px around (x, y), with a dark rim. */
void notch_paint_dot (NotchPaint *paint, const NotchResult *result, int class_index, double x, double y, double radius);

/* How a place in the image becomes a place on the page. */
typedef struct {
  double x, y;  /* px on the page: of the image's upper left corner */
  double scale; /* page px an image px */
} NotchView;
/* Image coordinates have pixel centres at whole numbers. */
static inline double
notch_view_x (const NotchView *view, double x)
{
  return view->x + (x + 0.5) * view->scale;
}
static inline double
notch_view_y (const NotchView *view, double y)
{
  return view->y + (y + 0.5) * view->scale;
}

/* The corners of a die's cell on the page: upper left, upper right, lower right, lower left. */
void notch_view_cell (const NotchView *view, const NotchGrid *grid, const NotchDie *die, double x[4], double y[4]);
/* The least of 1, 2, 5, 10, 20, … that is at least `least`: how many columns apart labels can be. */
int notch_round_step (double least);
/* The wafer's edge with its notch or flat, and the edge exclusion inside it, where they are known. */
void notch_paint_wafer (NotchPaint *paint, const NotchResult *result, const NotchView *view, NotchInk ink,
                        double width);
/* Frames around clusters, with their numbers, and numbered rings around what repeats; letters and rings grow with `unit` px. */
void notch_paint_signatures (NotchPaint *paint, const NotchResult *result, const NotchView *view, NotchInk ink,
                             double unit);
/* Margins of a page: words on paper, in the size that suits the page. */
typedef struct {
  double x, width; /* px: where lines begin, and how long they may be */
  double size;     /* px: of the words */
  NotchInk ink;
} NotchColumn;

/* File name, verdict, then lines of facts; gives the y below. */
double notch_paint_header (NotchPaint *paint, const NotchColumn *column, double y, const NotchResult *result,
                           const char *facts);

/* An entry of a legend: a figure in a box as high as the words, then words. */
typedef void (*NotchFigure) (NotchPaint *paint, const NotchBox *box, const NotchResult *result, int which);
typedef struct {
  NotchFigure figure;
  int which;    /* class, status, whatever the figure knows */
  double width; /* px of the figure; 0: as wide as high */
  char *text;
} NotchLegendEntry;
GArray *notch_legend_new (void);
/* Takes `text` over. */
void notch_legend_add (GArray *legend, NotchFigure figure, int which, double width, char *text);
/* The classes that were found, with their counts. */
void notch_legend_add_classes (GArray *legend, const NotchResult *result, NotchFigure figure);
/* What notch_paint_wafer draws. */
void notch_legend_add_wafer (GArray *legend, const NotchResult *result, NotchInk ink);
/* What notch_paint_signatures draws. */
void notch_legend_add_signatures (GArray *legend, const NotchResult *result, NotchInk ink);
/* A scale bar of a round length, at most `most` page px long. */
void notch_legend_add_scale (GArray *legend, const NotchResult *result, double scale, double most, NotchInk ink);
/* Entries side by side, lines broken where the column ends; gives the y below. */
double notch_paint_legend (NotchPaint *paint, const NotchColumn *column, double y, const NotchResult *result,
                           const GArray *legend);
