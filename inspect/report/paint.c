/* paint.c - the palette, the list of drawn things, and the page that is made of them tile by tile */
#include "inspect/report/paint.h"

#include <math.h>
#include <pango/pangocairo.h>
#include <pthread.h>
#include <string.h>

#include "inspect/compute/parallel.h"
#include "inspect/image/write.h"

/* ---- palette --------------------------------------------------------------------------------------------------- */

static const NotchInk hue[] = { NOTCH_INK_ORANGE, NOTCH_INK_SKY,        NOTCH_INK_GREEN, NOTCH_INK_YELLOW,
                                NOTCH_INK_BLUE,   NOTCH_INK_VERMILLION, NOTCH_INK_PURPLE };

enum {
  N_COLOURS = 256,
  N_HUES = G_N_ELEMENTS (hue),
  RAMP_HALF = 7, /* steps from black to the hue, and from there to white */
  N_RAMP = 2 * RAMP_HALF - 1,
  FIRST_RAMP = NOTCH_N_GREYS,
  FIRST_DIVERGING = FIRST_RAMP + N_HUES * N_RAMP,
  N_DIVERGING = (N_COLOURS - FIRST_DIVERGING - 1) | 1, /* odd: white is in the middle */
  LEVELS = 32,                                         /* of each colour in the table of nearest entries */
  LEVEL_SHIFT = 3
};

typedef struct {
  guint8 colour[N_COLOURS][3];
  guint8 nearest[LEVELS * LEVELS * LEVELS];
} Palette;

static inline int
red (NotchInk ink)
{
  return ink >> 16 & 255;
}

static inline int
green (NotchInk ink)
{
  return ink >> 8 & 255;
}

static inline int
blue (NotchInk ink)
{
  return ink & 255;
}

NotchInk
notch_ink_mix (NotchInk from, NotchInk to, double share)
{
  int r = (int) lround (red (from) + (red (to) - red (from)) * share);
  int g = (int) lround (green (from) + (green (to) - green (from)) * share);
  int b = (int) lround (blue (from) + (blue (to) - blue (from)) * share);
  return (NotchInk) (r << 16 | g << 8 | b);
}

static inline guint8
nearest_grey (int level)
{
  return (guint8) ((level * (NOTCH_N_GREYS - 1) + 127) / 255);
}

static void
set_colour (Palette *palette, int i, NotchInk ink)
{
  palette->colour[i][0] = (guint8) red (ink);
  palette->colour[i][1] = (guint8) green (ink);
  palette->colour[i][2] = (guint8) blue (ink);
}

/* The eye weighs red, green and blue differences about as 2 : 4 : 3. */
static guint8
search_nearest (const Palette *palette, int r, int g, int b)
{
  int best = 0, least = G_MAXINT;
  for (int i = 0; i < N_COLOURS; i++) {
    int dr = palette->colour[i][0] - r, dg = palette->colour[i][1] - g, db = palette->colour[i][2] - b;
    int far = 2 * dr * dr + 4 * dg * dg + 3 * db * db;
    if (far < least) {
      least = far;
      best = i;
    }
  }
  return (guint8) best;
}

static Palette the_palette; /* constant once it is made */

static void
make_palette (void)
{
  Palette *palette = &the_palette;
  for (int i = 0; i < NOTCH_N_GREYS; i++)
    set_colour (palette, i, notch_ink_mix (NOTCH_INK_BLACK, NOTCH_INK_WHITE, i / (NOTCH_N_GREYS - 1.)));
  for (int h = 0; h < N_HUES; h++)
    for (int i = 0; i < N_RAMP; i++)
      set_colour (palette, FIRST_RAMP + h * N_RAMP + i,
                  i < RAMP_HALF ? notch_ink_mix (NOTCH_INK_BLACK, hue[h], (i + 1.) / RAMP_HALF)
                                : notch_ink_mix (hue[h], NOTCH_INK_WHITE, (i + 1. - RAMP_HALF) / RAMP_HALF));
  for (int i = 0; i < N_DIVERGING; i++) {
    double t = 2. * i / (N_DIVERGING - 1) - 1;
    set_colour (palette, FIRST_DIVERGING + i,
                notch_ink_mix (NOTCH_INK_WHITE, t < 0 ? NOTCH_INK_BLUE : NOTCH_INK_VERMILLION, fabs (t)));
  }
  const int half = (1 << LEVEL_SHIFT) / 2;
  for (int r = 0, i = 0; r < LEVELS; r++)
    for (int g = 0; g < LEVELS; g++)
      for (int b = 0; b < LEVELS; b++, i++)
        palette->nearest[i] =
            search_nearest (palette, (r << LEVEL_SHIFT) + half, (g << LEVEL_SHIFT) + half, (b << LEVEL_SHIFT) + half);
}

static const Palette *
get_palette (void)
{
  /* Not GOnce: the thread sanitizer cannot see into GLib. */
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once (&once, make_palette);
  return &the_palette;
}

/* Greys have more levels than the table of nearest entries. */
static inline guint8
nearest_entry (const Palette *palette, int r, int g, int b)
{
  const int tint = 3;
  if (ABS (r - g) <= tint && ABS (g - b) <= tint && ABS (r - b) <= tint)
    return nearest_grey (g);
  return palette->nearest[((r >> LEVEL_SHIFT) * LEVELS + (g >> LEVEL_SHIFT)) * LEVELS + (b >> LEVEL_SHIFT)];
}

guint8
notch_palette_diverging (double t)
{
  t = t > -1 ? MIN (t, 1) : -1;
  return (guint8) (FIRST_DIVERGING + lround ((t + 1) / 2 * (N_DIVERGING - 1)));
}

guint8
notch_palette_nearest (NotchInk ink)
{
  return nearest_entry (get_palette (), red (ink), green (ink), blue (ink));
}

/* ---- the list -------------------------------------------------------------------------------------------------- */

typedef struct {
  cairo_path_t *path;
  NotchInk ink;
  double alpha, width, dash; /* width 0: filled */
  NotchBox box;              /* what it may touch */
  gboolean clipped;          /* to the box */
} Item;

struct NotchPaint {
  cairo_t *pen; /* on a surface that nobody sees: builds and measures paths */
  PangoLayout *layout;
  GArray *item;
  NotchBox clip;
  gboolean clipped;
};

static void
clear_item (gpointer item)
{
  cairo_path_destroy (((Item *) item)->path);
}

NotchPaint *
notch_paint_new (void)
{
  NotchPaint *paint = g_new0 (NotchPaint, 1);
  /* Without bounds: cairo leaves letters out of a path that lie far outside the surface. */
  cairo_surface_t *surface = cairo_recording_surface_create (CAIRO_CONTENT_ALPHA, NULL);
  paint->pen = cairo_create (surface);
  cairo_surface_destroy (surface);
  /* Words become paths, so hinting would only make their places depend on their size. */
  cairo_font_options_t *plain = cairo_font_options_create ();
  cairo_font_options_set_hint_style (plain, CAIRO_HINT_STYLE_NONE);
  cairo_font_options_set_hint_metrics (plain, CAIRO_HINT_METRICS_OFF);
  paint->layout = pango_cairo_create_layout (paint->pen);
  pango_cairo_context_set_font_options (pango_layout_get_context (paint->layout), plain);
  cairo_font_options_destroy (plain);
  paint->item = g_array_new (FALSE, FALSE, sizeof (Item));
  g_array_set_clear_func (paint->item, clear_item);
  return paint;
}

void
notch_paint_free (NotchPaint *paint)
{
  if (!paint)
    return;
  g_array_unref (paint->item);
  g_object_unref (paint->layout);
  cairo_destroy (paint->pen);
  g_free (paint);
}

cairo_t *
notch_paint_pen (NotchPaint *paint)
{
  return paint->pen;
}

void
notch_paint_clip (NotchPaint *paint, const NotchBox *clip)
{
  paint->clipped = clip != NULL;
  if (clip)
    paint->clip = *clip;
}

static void
set_line (cairo_t *pen, double width, double dash)
{
  const double on_off[] = { dash, dash * 0.6 };
  cairo_set_line_width (pen, width);
  cairo_set_line_join (pen, CAIRO_LINE_JOIN_ROUND);
  cairo_set_dash (pen, on_off, dash > 0 ? G_N_ELEMENTS (on_off) : 0, 0);
}

static void
add_item (NotchPaint *paint, NotchInk ink, double alpha, double width, double dash)
{
  double x0, y0, x1, y1;
  set_line (paint->pen, width, dash);
  if (width > 0)
    cairo_stroke_extents (paint->pen, &x0, &y0, &x1, &y1);
  else if (paint->clipped)
    cairo_fill_extents (paint->pen, &x0, &y0, &x1, &y1);
  else /* as good where the box clips nothing, and without filling the letters for it */
    cairo_path_extents (paint->pen, &x0, &y0, &x1, &y1);
  if (paint->clipped) {
    x0 = MAX (x0, paint->clip.x);
    y0 = MAX (y0, paint->clip.y);
    x1 = MIN (x1, paint->clip.x + paint->clip.width);
    y1 = MIN (y1, paint->clip.y + paint->clip.height);
  }
  if (x0 < x1 && y0 < y1) {
    Item item = { cairo_copy_path (paint->pen), ink, alpha, width, dash, { x0, y0, x1 - x0, y1 - y0 }, paint->clipped };
    g_array_append_val (paint->item, item);
  }
  cairo_new_path (paint->pen);
}

void
notch_paint_fill (NotchPaint *paint, NotchInk ink, double alpha)
{
  add_item (paint, ink, alpha, 0, 0);
}

void
notch_paint_stroke (NotchPaint *paint, NotchInk ink, double alpha, double width, double dash)
{
  add_item (paint, ink, alpha, width, dash);
}

/* Sets the layout; gives what the words cover. */
static PangoRectangle
set_words (NotchPaint *paint, const char *text, const NotchWords *style)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  PangoFontDescription *font = pango_font_description_from_string (style->bold ? "Sans Bold" : "Sans");
  pango_font_description_set_absolute_size (font, style->size * PANGO_SCALE);
  pango_layout_set_font_description (paint->layout, font);
  pango_font_description_free (font);
  pango_layout_set_single_paragraph_mode (paint->layout, style->one_line);
  pango_layout_set_wrap (paint->layout, PANGO_WRAP_WORD_CHAR);
  pango_layout_set_ellipsize (paint->layout, style->one_line ? PANGO_ELLIPSIZE_MIDDLE : PANGO_ELLIPSIZE_NONE);
  pango_layout_set_width (paint->layout, style->wrap > 0 ? (int) (style->wrap * PANGO_SCALE) : -1);
  pango_layout_set_text (paint->layout, valid, -1);
  PangoRectangle covers;
  pango_layout_get_extents (paint->layout, NULL, &covers);
  return covers;
}

static NotchBox
put_words (NotchPaint *paint, double x, double y, const PangoRectangle *covers, const NotchWords *style, gboolean draw)
{
  NotchBox box = { x, y, (double) covers->width / PANGO_SCALE, (double) covers->height / PANGO_SCALE };
  if (draw && style->halo > 0) {
    cairo_move_to (paint->pen, x, y);
    pango_cairo_layout_path (paint->pen, paint->layout);
    notch_paint_stroke (paint, NOTCH_INK_BLACK, 0.6, 2 * style->halo, 0);
  }
  if (draw) {
    cairo_move_to (paint->pen, x, y);
    pango_cairo_layout_path (paint->pen, paint->layout);
    notch_paint_fill (paint, style->ink, 1);
  }
  return box;
}

NotchBox
notch_paint_measure (NotchPaint *paint, const char *text, const NotchWords *style)
{
  PangoRectangle covers = set_words (paint, text, style);
  return put_words (paint, 0, 0, &covers, style, FALSE);
}

NotchBox
notch_paint_words (NotchPaint *paint, double x, double y, const char *text, const NotchWords *style)
{
  PangoRectangle covers = set_words (paint, text, style);
  return put_words (paint, x, y, &covers, style, TRUE);
}

void
notch_paint_words_at (NotchPaint *paint, double x, double y, const char *text, const NotchWords *style)
{
  PangoRectangle covers = set_words (paint, text, style);
  put_words (paint, x - covers.width / 2. / PANGO_SCALE, y - covers.height / 2. / PANGO_SCALE, &covers, style, TRUE);
}

/* ---- the page -------------------------------------------------------------------------------------------------- */

enum { TILE = 256, TILES_DOWN = 2 }; /* px of a tile, unless the page has its own; tiles of a strip of rows */

typedef struct {
  const NotchPaint *paint;
  const NotchPage *page;
  const Palette *palette;
  int tile;       /* px: side of the tiles */
  int n_across;   /* tiles */
  GArray **touch; /* of each tile: indices of the items that touch it, in their order; NULL for none */
  int y, n;       /* the strip's rows */
  guint8 *strip;
  int failed; /* atomic */
} Work;

/* Tiles, of `tile` px, from *from to *to - 1 hold pixels from `at` to `at + length`. */
static void
tile_range (double at, double length, int tile, int n_tiles, int *from, int *to)
{
  *from = CLAMP ((int) floor (at / tile), 0, n_tiles);
  *to = CLAMP ((int) floor ((at + length) / tile) + 1, *from, n_tiles);
}

static GArray **
sort_into_tiles (const NotchPaint *paint, int tile, int n_across, int n_down)
{
  GArray **touch = g_new0 (GArray *, (gsize) n_across * n_down);
  for (guint i = 0; i < paint->item->len; i++) {
    const NotchBox *box = &g_array_index (paint->item, Item, i).box;
    int x0, x1, y0, y1;
    tile_range (box->x, box->width, tile, n_across, &x0, &x1);
    tile_range (box->y, box->height, tile, n_down, &y0, &y1);
    for (int ty = y0; ty < y1; ty++)
      for (int tx = x0; tx < x1; tx++) {
        GArray **list = &touch[(gsize) ty * n_across + tx];
        if (!*list)
          *list = g_array_new (FALSE, FALSE, sizeof (guint));
        g_array_append_val (*list, i);
      }
  }
  return touch;
}

static void
draw_item (cairo_t *to, const Item *item)
{
  if (item->clipped) {
    cairo_rectangle (to, item->box.x, item->box.y, item->box.width, item->box.height);
    cairo_clip (to);
  }
  cairo_append_path (to, item->path);
  cairo_set_source_rgba (to, red (item->ink) / 255., green (item->ink) / 255., blue (item->ink) / 255., item->alpha);
  if (item->width > 0) {
    set_line (to, item->width, item->dash);
    cairo_stroke (to);
  } else {
    cairo_fill (to);
  }
  if (item->clipped)
    cairo_reset_clip (to);
}

/* Lays premultiplied pixels over palette entries. */
static void
blend_row (const Palette *palette, const guint32 *over, int n, guint8 *to)
{
  for (int x = 0; x < n; x++) {
    int clear = 255 - (int) (over[x] >> 24);
    if (clear == 255)
      continue;
    const guint8 *under = palette->colour[to[x]];
    int r = red (over[x]) + (under[0] * clear + 127) / 255;
    int g = green (over[x]) + (under[1] * clear + 127) / 255;
    int b = blue (over[x]) + (under[2] * clear + 127) / 255;
    to[x] = nearest_entry (palette, MIN (r, 255), MIN (g, 255), MIN (b, 255));
  }
}

/* What is drawn on in a row of a tile; px. Most tiles have a few thin lines. */
typedef struct {
  int from, end; /* from >= end: nothing */
} Span;

/* To the pixels that an item may touch, and one more around them, in a tile of n rows whose first pixel is (x, y) of the
 * page. */
static void
widen_spans (Span *span, int n, const NotchBox *box, int x, int y)
{
  int top = CLAMP ((int) floor (box->y) - 1 - y, 0, n),
      bottom = CLAMP ((int) ceil (box->y + box->height) + 1 - y, 0, n);
  int from = MAX ((int) floor (box->x) - 1 - x, 0), end = (int) ceil (box->x + box->width) + 1 - x;
  for (int row = top; row < bottom; row++) {
    span[row].from = MIN (span[row].from, from);
    span[row].end = MAX (span[row].end, end);
  }
}

static void
draw_tile (gpointer data, int i)
{
  Work *work = data;
  int tx = i % work->n_across, ty = i / work->n_across;
  int x = tx * work->tile, y = work->y + ty * work->tile;
  const GArray *touch = work->touch[(gsize) (y / work->tile) * work->n_across + tx];
  if (!touch)
    return;
  int width = MIN (work->tile, work->page->width - x), height = MIN (work->tile, work->y + work->n - y);
  g_autofree Span *span = g_new (Span, height);
  for (int row = 0; row < height; row++)
    span[row] = (Span){ width, 0 };
  cairo_surface_t *surface = cairo_image_surface_create (CAIRO_FORMAT_ARGB32, width, height);
  cairo_t *to = cairo_create (surface);
  cairo_translate (to, -x, -y);
  for (guint k = 0; k < touch->len; k++) {
    const Item *item = &g_array_index (work->paint->item, Item, g_array_index (touch, guint, k));
    draw_item (to, item);
    widen_spans (span, height, &item->box, x, y);
  }
  cairo_surface_flush (surface);
  if (cairo_status (to) == CAIRO_STATUS_SUCCESS) {
    const guint8 *pixel = cairo_image_surface_get_data (surface);
    int stride = cairo_image_surface_get_stride (surface);
    for (int row = 0; row < height; row++) {
      const guint32 *over = (const guint32 *) (const void *) (pixel + (gsize) row * stride);
      int from = span[row].from, end = MIN (span[row].end, width);
      blend_row (work->palette, over + from, end - from,
                 work->strip + (gsize) (y - work->y + row) * work->page->width + x + from);
    }
  } else {
    g_atomic_int_set (&work->failed, cairo_status (to));
  }
  cairo_destroy (to);
  cairo_surface_destroy (surface);
}

static gboolean
write_strips (Work *work, NotchPngWriter *writer, const char *path, GError **error)
{
  const NotchPage *page = work->page;
  guint8 paper = notch_palette_nearest (page->paper);
  for (work->y = 0; work->y < page->height; work->y += TILES_DOWN * work->tile) {
    work->n = MIN (TILES_DOWN * work->tile, page->height - work->y);
    memset (work->strip, paper, (gsize) work->n * page->width);
    if (page->ground && !page->ground (page->data, work->y, work->n, work->strip, error))
      return FALSE;
    notch_parallel (page->jobs, work->n_across * ((work->n + work->tile - 1) / work->tile), draw_tile, work);
    int failed = g_atomic_int_get (&work->failed);
    if (failed) {
      g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_WRITE, "%s: cannot draw: %s", path,
                   cairo_status_to_string ((cairo_status_t) failed));
      return FALSE;
    }
    if (!notch_png_writer_rows (writer, work->strip, work->n, error))
      return FALSE;
  }
  return notch_png_writer_commit (writer, error);
}

/* The text chunks of PNG are Latin-1. */
static char *
to_latin (const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  char *latin = g_convert_with_fallback (valid, -1, "ISO-8859-1", "UTF-8", "?", NULL, NULL, NULL);
  return latin ? latin : g_str_to_ascii (valid, NULL);
}

gboolean
notch_paint_write (const NotchPaint *paint, const NotchPage *page, const char *path, GError **error)
{
  g_autofree char *software = g_strdup_printf ("notch %s", notch_version ());
  g_autofree char *source = to_latin (page->source), *description = to_latin (page->description);
  const char *const text[] = { "Software", software, "Source", source, "Description", description, NULL };
  const Palette *palette = get_palette ();
  NotchPngLayout layout = { .width = page->width,
                            .height = page->height,
                            .n_colours = N_COLOURS,
                            .colour = palette->colour,
                            .jobs = page->jobs,
                            .text = text };
  g_autoptr (NotchPngWriter) writer = notch_png_writer_new (path, &layout, error);
  if (!writer)
    return FALSE;
  int tile = page->tile > 0 ? page->tile : TILE;
  gsize bytes = (gsize) page->width * MIN (TILES_DOWN * tile, page->height);
  g_autofree guint8 *strip = g_try_malloc (bytes);
  if (!strip) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_WRITE, "%s: no memory for a strip of %" G_GSIZE_FORMAT " bytes", path,
                 bytes);
    return FALSE;
  }
  int n_across = (page->width + tile - 1) / tile, n_down = (page->height + tile - 1) / tile;
  Work work = { .paint = paint, .page = page, .palette = palette, .tile = tile, .n_across = n_across, .strip = strip };
  work.touch = sort_into_tiles (paint, tile, n_across, n_down);
  gboolean done = write_strips (&work, writer, path, error);
  for (int i = 0; i < n_across * n_down; i++)
    g_clear_pointer (&work.touch[i], g_array_unref);
  g_free (work.touch);
  return done;
}
