/* layout.c - draws a die: street and test keys, seal ring, pads, blocks of memory and of logic */
#include "inspect/simulate/layout.h"

#include "inspect/image/source.h"
#include "inspect/simulate/gds.h"
#include "inspect/random.h"

#include <string.h>

typedef struct {
  NotchLayout *layout;
  NotchRandom random;
} Pen;

static void
draw (Pen *pen, double x0, double y0, double x1, double y1, double tone)
{
  NotchRect rect = { x0, y0, x1, y1, tone };
  if (x1 > x0 && y1 > y0)
    g_array_append_val (pen->layout->rect, rect);
}

/* A conductor that runs along x or y: `from` to `to` that way, `at` to `at + width` across. */
static NotchWire
wire (gboolean along_x, double from, double to, double at, double width, double tone)
{
  return along_x ? (NotchWire){ { from, at, to, at + width, tone }, TRUE }
                 : (NotchWire){ { at, from, at + width, to, tone }, FALSE };
}

static void
draw_wire (Pen *pen, NotchWire w)
{
  g_array_append_val (pen->layout->rect, w.rect);
  g_array_append_val (pen->layout->wire, w);
}

/* A frame of four rectangles that do not overlap. */
static void
draw_frame (Pen *pen, double x0, double y0, double x1, double y1, double width, double tone)
{
  draw (pen, x0, y0, x1, y0 + width, tone);
  draw (pen, x0, y1 - width, x1, y1, tone);
  draw (pen, x0, y0 + width, x0 + width, y1 - width, tone);
  draw (pen, x1 - width, y0 + width, x1, y1 - width, tone);
}

/* A memory: word lines, bit lines over them, and in each cell up to three more shapes. Its periods are no whole numbers
 * of pixels. */
static void
draw_array (Pen *pen, double x0, double y0, double x1, double y1)
{
  NotchRandom *r = &pen->random;
  double px = notch_random_between (r, 10, 15), py = notch_random_between (r, 8.5, 12);
  int nx = (int) floor ((x1 - x0 - 4) / px), ny = (int) floor ((y1 - y0 - 4) / py), shapes = notch_random_below (r, 4);
  draw (pen, x0, y0, x1, y1, notch_random_between (r, -8, 14));
  if (nx < 1 || ny < 1)
    return;
  double left = (x0 + x1 - nx * px) / 2, top = (y0 + y1 - ny * py) / 2;
  double word = 0.36 * py, bit = 0.3 * px, word_tone = 40, bit_tone = 24;
  for (int j = 0; j < ny; j++) {
    double y = top + (j + 0.32) * py;
    draw_wire (pen, wire (TRUE, left, left + nx * px, y, word, word_tone));
    if (j + 1 < ny) {
      NotchWire gap = wire (TRUE, left, left + nx * px, y + word, py - word, word_tone);
      g_array_append_val (pen->layout->gap, gap);
    }
  }
  for (int i = 0; i < nx; i++) {
    double x = left + (i + 0.1) * px;
    draw_wire (pen, wire (FALSE, top, top + ny * py, x, bit, bit_tone));
    if (i + 1 < nx) {
      NotchWire gap = wire (FALSE, top, top + ny * py, x + bit, px - bit, bit_tone);
      g_array_append_val (pen->layout->gap, gap);
    }
  }
  for (int j = 0; j < ny; j++)
    for (int i = 0; i < nx; i++) {
      double x = left + i * px, y = top + j * py;
      if (shapes > 0) /* contact beside the bit line */
        draw (pen, x + 0.62 * px, y + 0.06 * py, x + 0.84 * px, y + 0.3 * py, 45);
      if (shapes > 1) /* trench under the word line */
        draw (pen, x + 0.48 * px, y + 0.42 * py, x + 0.92 * px, y + 0.62 * py, -34);
      if (shapes > 2) /* via on the bit line */
        draw (pen, x + 0.13 * px, y + 0.72 * py, x + 0.37 * px, y + 0.96 * py, 30);
    }
}

/* One layer of routing on parallel tracks: segments of any length, a wide rail now and then, jogs to the next track.
 * The segments of every track are returned for vias: n_tracks arrays of pairs (from, to). */
static GPtrArray *
draw_tracks (Pen *pen, gboolean along_x, double from, double to, double first, double last, double pitch, double width,
             double tone, double density, int rail_every)
{
  NotchRandom *r = &pen->random;
  GPtrArray *tracks = g_ptr_array_new_with_free_func ((GDestroyNotify) g_array_unref);
  const GArray *before = NULL;
  for (int k = 0; first + k * pitch + width <= last; k++) {
    double at = first + k * pitch;
    GArray *track = g_array_new (FALSE, FALSE, 2 * sizeof (double));
    if (rail_every > 0 && k % rail_every == rail_every / 2) {
      double rail[2] = { from, to };
      g_array_append_val (track, rail);
    } else {
      for (double a = from + notch_random_between (r, 0, 30); a < to - 12;) {
        double length = 12 + 90 * pow (notch_random_unit (r), 2), segment[2] = { a, MIN (a + length, to) };
        if (notch_random_unit (r) < density)
          g_array_append_val (track, segment);
        a = segment[1] + notch_random_between (r, 5, 16);
      }
    }
    for (guint i = 0; i < track->len; i++) {
      const double *s = &g_array_index (track, double, 2 * i);
      draw_wire (pen, wire (along_x, s[0], s[1], at, width, tone));
      for (guint j = 0; before && j < before->len; j++) {
        const double *b = &g_array_index (before, double, 2 * j);
        double a0 = MAX (s[0], b[0]) + 2, a1 = MIN (s[1], b[1]) - 2;
        if (a1 - a0 < 12)
          continue;
        if (a1 - a0 < 60 && notch_random_unit (r) < 0.12) {
          NotchWire jog = wire (along_x, a1 - width, a1, at - pitch + width, pitch - width, tone);
          g_array_append_val (pen->layout->rect, jog.rect);
          a1 -= width + 6; /* what lies on the other side of the jog is no gap between two nets */
        }
        NotchWire gap = wire (along_x, a0, a1, at - pitch + width, pitch - width, tone);
        if (a1 - a0 >= 12)
          g_array_append_val (pen->layout->gap, gap);
      }
    }
    g_ptr_array_add (tracks, track);
    before = track;
  }
  return tracks;
}

static gboolean
track_covers (const GArray *track, double from, double to)
{
  for (guint i = 0; i < track->len; i++) {
    const double *s = &g_array_index (track, double, 2 * i);
    if (s[0] <= from && to <= s[1])
      return TRUE;
  }
  return FALSE;
}

/* Random logic: one layer of horizontal and one of vertical routing, vias where they cross. */
static void
draw_logic (Pen *pen, double x0, double y0, double x1, double y1)
{
  NotchRandom *r = &pen->random;
  double p1 = notch_random_between (r, 7, 9.5), p2 = notch_random_between (r, 8, 11), w1 = 0.5 * p1, w2 = 0.45 * p2;
  draw (pen, x0, y0, x1, y1, notch_random_between (r, -4, 8));
  g_autoptr (GPtrArray) rows = draw_tracks (pen, TRUE, x0 + 3, x1 - 3, y0 + 3, y1 - 3, p1, w1, 42, 0.93, 9);
  g_autoptr (GPtrArray) cols = draw_tracks (pen, FALSE, y0 + 3, y1 - 3, x0 + 3, x1 - 3, p2, w2, 27, 0.75, 0);
  for (guint j = 0; j < rows->len; j++)
    for (guint i = 0; i < cols->len; i++) {
      double x = x0 + 3 + i * p2, y = y0 + 3 + j * p1;
      if (notch_random_unit (r) < 0.2 && track_covers (g_ptr_array_index (rows, j), x, x + w2)
          && track_covers (g_ptr_array_index (cols, i), y, y + w1))
        draw (pen, x + 0.15 * w2, y + 0.15 * w1, x + 0.85 * w2, y + 0.85 * w1, 35);
    }
}

typedef enum { BLOCK_ANY, BLOCK_ARRAY, BLOCK_LOGIC } Block;

/* Cuts a region in two until the parts are small enough; a bus runs in the channel between them. Siblings differ in
 * kind where there is a choice, so a mixed die has both. */
static void
draw_blocks (Pen *pen, double x0, double y0, double x1, double y1, int depth, Block kind)
{
  NotchRandom *r = &pen->random;
  double w = x1 - x0, h = y1 - y0;
  if (depth == 0 || MAX (w, h) < 110) {
    Block choice = kind != BLOCK_ANY ? kind : notch_random_unit (r) < 0.5 ? BLOCK_ARRAY : BLOCK_LOGIC;
    (choice == BLOCK_ARRAY ? draw_array : draw_logic) (pen, x0, y0, x1, y1);
    return;
  }
  gboolean cut_x = w > h;
  double cut = (cut_x ? x0 : y0) + (cut_x ? w : h) * notch_random_between (r, 0.35, 0.65), half = 7;
  for (int i = -1; i <= 1; i++)
    draw_wire (pen, wire (!cut_x, cut_x ? y0 : x0, cut_x ? y1 : x1, cut + 4.1 * i - 1.1, 2.2, 38));
  Block first = kind, second = kind;
  if (kind == BLOCK_ANY && depth == 1) {
    first = notch_random_unit (r) < 0.5 ? BLOCK_ARRAY : BLOCK_LOGIC;
    second = first == BLOCK_ARRAY ? BLOCK_LOGIC : BLOCK_ARRAY;
  }
  draw_blocks (pen, x0, y0, cut_x ? cut - half : x1, cut_x ? y1 : cut - half, depth - 1, first);
  draw_blocks (pen, cut_x ? cut + half : x0, cut_x ? y0 : cut + half, x1, y1, depth - 1, second);
}

/* A row of pads between (x0, y0) and (x1, y1), along the longer side. */
static void
draw_pads (Pen *pen, double x0, double y0, double x1, double y1)
{
  gboolean along_x = x1 - x0 > y1 - y0;
  double side = along_x ? y1 - y0 : x1 - x0, length = along_x ? x1 - x0 : y1 - y0;
  int n = (int) ((length - side) / (1.55 * side));
  double step = n > 0 ? length / n : 0, rim = MAX (1.6, 0.12 * side);
  for (int i = 0; i < n; i++) {
    double x = along_x ? x0 + (i + 0.5) * step - side / 2 : x0, y = along_x ? y0 : y0 + (i + 0.5) * step - side / 2;
    draw (pen, x, y, x + side, y + side, 70);
    draw (pen, x + rim, y + rim, x + side - rim, y + side - rim, 26);
    if (i == 0) /* pad 1 is marked */
      draw (pen, x + 0.35 * side, y + 0.35 * side, x + 0.65 * side, y + 0.65 * side, -50);
  }
}

/* Test keys: groups of probe pads and a cross in the upper and the left half street, so far from the cell's border that
 * their blur stays with their own die. */
static void
draw_keys (Pen *pen, double street)
{
  NotchRandom *r = &pen->random;
  double w = (double) pen->layout->width, h = (double) pen->layout->height, at = 5, side = street - at - 2;
  if (side < 2)
    return;
  for (double x = notch_random_between (r, 20, 60); x < w - 60;) {
    int n = 3 + notch_random_below (r, 6);
    for (int i = 0; i < n && x < w - 30; i++, x += 1.5 * side)
      draw (pen, x, at, x + side, at + side, i % 2 ? 52 : 66);
    x += notch_random_between (r, 30, 120);
  }
  for (double y = notch_random_between (r, 30, 90); y < h - 40; y += notch_random_between (r, 60, 180)) {
    double arm = side / 2, cx = at + arm, bar = side / 8;
    draw (pen, cx - arm, y - bar, cx + arm, y + bar, 48);
    draw (pen, cx - bar, y - arm, cx + bar, y - bar, 48);
    draw (pen, cx - bar, y + bar, cx + bar, y + arm, 48);
  }
}

static void
draw_die (Pen *pen, const char *name)
{
  double w = (double) pen->layout->width, h = (double) pen->layout->height, least = MIN (w, h);
  double street = CLAMP (6 + 0.02 * least, 7, 20);
  pen->layout->street = street;
  draw_keys (pen, street);
  draw (pen, street, street, w - street, h - street, 16);
  draw_frame (pen, street + 2.3, street + 2.3, w - street - 2.3, h - street - 2.3, 2.4, 44);
  double inset = street + 9;
  if (least >= 200) {
    double pad = CLAMP (0.035 * least, 9, 40), corner = inset + pad;
    draw_pads (pen, corner, inset, w - corner, inset + pad);
    draw_pads (pen, corner, h - inset - pad, w - corner, h - inset);
    draw_pads (pen, inset, corner, inset + pad, h - corner);
    draw_pads (pen, w - inset - pad, corner, w - inset, h - corner);
    inset += pad + 6;
  }
  int depth = (int) CLAMP (3 + lround (log2 (least / 512)), 1, 12);
  if (strcmp (name, "array") == 0)
    draw_array (pen, inset, inset, w - inset, h - inset);
  else
    draw_blocks (pen, inset, inset, w - inset, h - inset, depth, strcmp (name, "logic") == 0 ? BLOCK_LOGIC : BLOCK_ANY);
}

static gboolean
load_picture (NotchLayout *layout, const char *path, GError **error)
{
  const NotchSourceOptions options = { .colour = NOTCH_CHANNEL_LUMINANCE, .budget = (guint64) 1 << 30 };
  g_autoptr (NotchSource) source = notch_source_open (path, &options, error);
  if (!source)
    return FALSE;
  gint64 w = source->width, h = source->height;
  if (w < 16 || h < 16 || w > 32768 || h > 32768)
    return g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
                        "%s: a die of %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT
                        " px cannot be a layout; it must be 16 to 32768 px on a side",
                        path, w, h),
           FALSE;
  g_autofree float *picture = g_try_malloc_n ((gsize) w * (gsize) h, sizeof (float));
  g_autofree guint8 *row = g_try_malloc_n ((gsize) w, notch_sample_size (source->sample));
  if (!picture || !row)
    return g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                        "%s: not enough memory for its %" G_GINT64_FORMAT " pixels", path, w * h),
           FALSE;
  double scale = source->full_scale > 0 ? 255 / source->full_scale : 1;
  for (gint64 y = 0; y < h; y++) {
    if (!notch_source_read (source, y, 1, row, 1, error))
      return FALSE;
    for (gint64 x = 0; x < w; x++) {
      double value = scale
                     * (source->sample == NOTCH_SAMPLE_U8    ? row[x]
                        : source->sample == NOTCH_SAMPLE_U16 ? ((const guint16 *) (const void *) row)[x]
                                                             : ((const float *) (const void *) row)[x]);
      picture[y * w + x] = isfinite (value) ? (float) CLAMP (value, 0, 255) : 0;
    }
  }
  layout->width = w;
  layout->height = h;
  layout->picture = g_steal_pointer (&picture);
  return TRUE;
}

NotchLayout *
notch_layout_new (const NotchSimulation *s, GError **error)
{
  const char *name = s->layout;
  gint64 width = s->die_width, height = s->die_height;
  g_autoptr (NotchLayout) layout = g_new0 (NotchLayout, 1);
  layout->width = width;
  layout->height = height;
  layout->base = 62;
  layout->street = 4;
  layout->rect = g_array_new (FALSE, FALSE, sizeof (NotchRect));
  layout->wire = g_array_new (FALSE, FALSE, sizeof (NotchWire));
  layout->gap = g_array_new (FALSE, FALSE, sizeof (NotchWire));
  const char *const generated[] = { "mixed", "array", "logic", "blank", NULL };
  if (!g_strv_contains (generated, name)) {
    layout->base = 0;
    if (notch_gds_detect (name)) {
      layout->street = NOTCH_GDS_STREET_PX;
      layout->picture = notch_gds_draw (name, s->nm_per_px, s->layers, &layout->width, &layout->height, error);
      return layout->picture ? g_steal_pointer (&layout) : NULL;
    }
    if (!load_picture (layout, name, error)) {
      g_prefix_error (error, "layout is neither mixed, array, logic, blank nor a readable image or GDSII file: ");
      return NULL;
    }
    return g_steal_pointer (&layout);
  }
  if (width < 64 || height < 64 || width > 65536 || height > 65536)
    return g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
                        "die %" G_GINT64_FORMAT "x%" G_GINT64_FORMAT " is outside 64 to 65536 px", width, height),
           NULL;
  Pen pen = { layout, notch_random_at (s->seed, NOTCH_STREAM_LAYOUT, 0, 0) };
  if (strcmp (name, "blank") == 0)
    layout->base = 118;
  else
    draw_die (&pen, name);
  return g_steal_pointer (&layout);
}

void
notch_layout_free (NotchLayout *layout)
{
  if (!layout)
    return;
  g_array_unref (layout->rect);
  g_array_unref (layout->wire);
  g_array_unref (layout->gap);
  g_free (layout->picture);
  g_free (layout);
}
