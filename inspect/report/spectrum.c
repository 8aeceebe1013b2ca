/* spectrum.c - spectrum.png: power spectra of the image and of what is left of it, with the arrays' lattice and the notches */
#include <math.h>
#include <string.h>

#include "inspect/report/paint.h"

#define PANEL   512 /* px a side */
#define MARGIN  30
#define AXIS    46
#define LETTERS 15
#define PAGE    (2 * (PANEL + AXIS) + 3 * MARGIN)

typedef struct {
  const NotchSpectrum *spectrum;
  const float *power; /* of this panel */
  int x, y;           /* px on the page */
  double low, high;   /* ln of the power that is black, white */
} Panel;

typedef struct {
  Panel panel[2];
} Ground;

/* ln of the largest power that a panel's pixel covers; no frequency in the middle. */
static double
level_at (const Panel *panel, int px, int py)
{
  int size = panel->spectrum->size, columns = size / 2 + 1;
  int u0 = px * size / PANEL - size / 2, u1 = MAX ((px + 1) * size / PANEL - size / 2, u0 + 1);
  int v0 = py * size / PANEL - size / 2, v1 = MAX ((py + 1) * size / PANEL - size / 2, v0 + 1);
  float most = 0;
  for (int v = v0; v < v1; v++)
    for (int u = u0; u < u1; u++) {
      int row = u < 0 ? -v : v, column = u < 0 ? -u : u; /* what is not kept is the other half turned */
      most = MAX (most, panel->power[(gsize) ((row % size + size) % size) * (gsize) columns + (gsize) column]);
    }
  return log (MAX ((double) most, 1e-30));
}

static int
compare_doubles (gconstpointer a, gconstpointer b)
{
  double x = *(const double *) a, y = *(const double *) b;
  return (x > y) - (x < y);
}

/* From the median, so that noise is dark grey, to all but the highest lines. */
static void
stretch (Panel *panel, double least_range)
{
  g_autoptr (GArray) sorted = g_array_new (FALSE, FALSE, sizeof (double));
  for (int y = 0; y < PANEL; y += 3)
    for (int x = 0; x < PANEL; x += 3) {
      double level = level_at (panel, x, y);
      g_array_append_val (sorted, level);
    }
  g_array_sort (sorted, compare_doubles);
  double median = g_array_index (sorted, double, sorted->len / 2);
  double top = g_array_index (sorted, double, sorted->len - 1 - sorted->len / 3000);
  double range = MAX (top - median, least_range);
  panel->low = median - 0.3 * range;
  panel->high = median + range;
}

static gboolean
fill_ground (gpointer data, int y, int n, guint8 *to, GError **error)
{
  const Ground *ground = data;
  for (int row = y; row < y + n; row++)
    for (int k = 0; k < 2; k++) {
      const Panel *panel = &ground->panel[k];
      if (row < panel->y || row >= panel->y + PANEL)
        continue;
      guint8 *line = to + (gsize) (row - y) * PAGE + panel->x;
      for (int x = 0; x < PANEL; x++) {
        double share = (level_at (panel, x, row - panel->y) - panel->low) / (panel->high - panel->low);
        line[x] = (guint8) lround (CLAMP (share, 0, 1) * (NOTCH_N_GREYS - 1));
      }
    }
  return TRUE;
}

/* ---- over it --------------------------------------------------------------------------------------------------- */

static double
page_x (const Panel *panel, double cycles)
{
  return panel->x + (cycles + 0.5) * PANEL;
}

static double
page_y (const Panel *panel, double cycles)
{
  return panel->y + (cycles + 0.5) * PANEL;
}

static void
paint_axes (NotchPaint *paint, const Panel *panel, const char *title)
{
  static const char *const tick[] = { "-0.5", "-0.25", "0", "0.25", "0.5" };
  const NotchWords words = { .size = LETTERS * 0.85, .ink = NOTCH_INK_SLATE };
  const NotchWords bold = { .size = LETTERS, .bold = TRUE, .ink = NOTCH_INK_CARBON };
  notch_paint_words (paint, panel->x, panel->y - LETTERS * 1.9, title, &bold);
  for (int i = 0; i < 5; i++) {
    double at = 0.25 * i - 0.5;
    cairo_t *pen = notch_paint_pen (paint);
    cairo_move_to (pen, page_x (panel, at), panel->y + PANEL);
    cairo_line_to (pen, page_x (panel, at), panel->y + PANEL + 6);
    cairo_move_to (pen, panel->x, page_y (panel, at));
    cairo_line_to (pen, panel->x - 6, page_y (panel, at));
    notch_paint_stroke (paint, NOTCH_INK_SLATE, 1, 1, 0);
    notch_paint_words_at (paint, page_x (panel, at), panel->y + PANEL + 15, tick[i], &words);
    notch_paint_words_at (paint, panel->x - 24, page_y (panel, at), tick[i], &words);
  }
  notch_paint_words_at (paint, panel->x + PANEL / 2.0, panel->y + PANEL + 33,
                        "cycles a pixel along x; along y downwards", &words);
}

static const NotchInk cell_ink[] = { NOTCH_INK_SKY, NOTCH_INK_YELLOW, NOTCH_INK_GREEN, NOTCH_INK_PURPLE };

static void
figure_lattice (NotchPaint *paint, const NotchBox *box, const NotchResult *result, int cell)
{
  cairo_arc (notch_paint_pen (paint), box->x + box->width / 2, box->y + box->height / 2, box->height * 0.35, 0,
             2 * G_PI);
  notch_paint_stroke (paint, notch_ink_mix (cell_ink[cell % 4], NOTCH_INK_BLACK, 0.25), 1, 2, 0);
}

static void
figure_notch (NotchPaint *paint, const NotchBox *box, const NotchResult *result, int which)
{
  cairo_rectangle (notch_paint_pen (paint), box->x + box->width * 0.2, box->y + box->height * 0.2, box->width * 0.6,
                   box->height * 0.6);
  notch_paint_stroke (paint, NOTCH_INK_VERMILLION, 1, 2, 0);
}

/* Circles around the harmonics of a cell, and the names of the first two. */
static void
paint_lattice (NotchPaint *paint, const Panel *panel, const NotchCell *cell, int which)
{
  NotchCell f = notch_cell_reciprocal (cell);
  NotchInk ink = cell_ink[which % 4];
  int most = (int) ceil (0.5 * hypot (cell->bx, cell->by)) + 2;
  for (int m = -most; m <= most; m++)
    for (int n = -most; n <= most; n++) {
      double fx = m * f.ax + n * f.bx, fy = m * f.ay + n * f.by;
      if ((m == 0 && n == 0) || fabs (fx) > 0.49 || fabs (fy) > 0.49)
        continue;
      cairo_new_sub_path (notch_paint_pen (paint));
      cairo_arc (notch_paint_pen (paint), page_x (panel, fx), page_y (panel, fy), 6, 0, 2 * G_PI);
    }
  notch_paint_stroke (paint, ink, 0.75, 1.2, 0);
  const NotchWords words = { .size = LETTERS * 0.8, .bold = TRUE, .ink = ink, .halo = 2 };
  notch_paint_words_at (paint, page_x (panel, f.ax) + 14, page_y (panel, f.ay) - 12, "1,0", &words);
  notch_paint_words_at (paint, page_x (panel, f.bx) + 14, page_y (panel, f.by) - 12, "0,1", &words);
}

static void
paint_notches (NotchPaint *paint, const Panel *panel)
{
  const NotchSpectrum *spectrum = panel->spectrum;
  int size = spectrum->size, columns = size / 2 + 1;
  double bin = (double) PANEL / size;
  for (int y = 0; y < size; y++)
    for (int x = 0; x < columns; x++) {
      double v = (double) (y < size / 2 ? y : y - size) / size, u = (double) x / size;
      if (!(spectrum->lift[(gsize) y * (gsize) columns + (gsize) x] > 1))
        continue;
      for (int sign = -1; sign <= 1; sign += 2)
        cairo_rectangle (notch_paint_pen (paint), page_x (panel, sign * u) - 2, page_y (panel, sign * v) - 2, bin + 4,
                         bin + 4);
    }
  notch_paint_stroke (paint, NOTCH_INK_VERMILLION, 0.9, 1.2, 0);
}

static char *
describe (const NotchResult *result)
{
  const NotchSpectrum *spectrum = result->spectrum;
  char removed[G_ASCII_DTOSTR_BUF_SIZE];
  g_ascii_formatd (removed, sizeof removed, "%.3f", 100 * spectrum->removed);
  return g_strdup_printf ("%d x %d px from %" G_GINT64_FORMAT ", %" G_GINT64_FORMAT " · %" G_GINT64_FORMAT
                          " notches take out %s %% of the spectrum",
                          spectrum->size, spectrum->size, spectrum->x, spectrum->y, spectrum->n_notches, removed);
}

static GArray *
make_legend (const NotchResult *result)
{
  GArray *legend = notch_legend_new ();
  for (int i = 0; result->arrays && i < result->arrays->n; i++) {
    const NotchCell *cell = &result->arrays->cell[i];
    char a[G_ASCII_DTOSTR_BUF_SIZE], b[G_ASCII_DTOSTR_BUF_SIZE];
    g_ascii_formatd (a, sizeof a, "%.3f", hypot (cell->ax, cell->ay));
    g_ascii_formatd (b, sizeof b, "%.3f", hypot (cell->bx, cell->by));
    notch_legend_add (legend, figure_lattice, i, 0,
                      g_strdup_printf ("harmonics of the cell of %s x %s px; 1,0 is one cycle in the first, 0,1 in the "
                                       "second",
                                       a, b));
  }
  if (result->spectrum->n_notches > 0)
    notch_legend_add (legend, figure_notch, 0, 0, g_strdup ("notched: what is left of them"));
  return legend;
}

gboolean
notch_report_spectrum (const NotchReportJob *job, GError **error)
{
  const NotchResult *result = job->result;
  if (!result->spectrum)
    return TRUE; /* no tile was uniform enough to have one */
  g_autoptr (NotchPaint) paint = notch_paint_new ();
  NotchColumn column = { .x = MARGIN, .width = PAGE - 2 * MARGIN, .size = LETTERS, .ink = NOTCH_INK_CARBON };
  g_autofree char *facts = describe (result);
  int top = (int) ceil (notch_paint_header (paint, &column, MARGIN * 0.7, result, facts) + MARGIN + LETTERS);
  Ground ground = { { { result->spectrum, result->spectrum->image, MARGIN + AXIS, top, 0, 0 },
                      { result->spectrum, result->spectrum->residual, 2 * (MARGIN + AXIS) + PANEL, top, 0, 0 } } };
  static const char *const title[] = { "image", "residual, in sigmas" };
  for (int k = 0; k < 2; k++) {
    const Panel *panel = &ground.panel[k];
    stretch (&ground.panel[k], 3);
    paint_axes (paint, panel, title[k]);
    notch_paint_clip (paint, &(NotchBox){ panel->x, panel->y, PANEL, PANEL });
    for (int i = 0; k == 0 && result->arrays && i < result->arrays->n; i++)
      paint_lattice (paint, panel, &result->arrays->cell[i], i);
    if (k == 1)
      paint_notches (paint, panel);
    notch_paint_clip (paint, NULL);
  }
  g_autoptr (GArray) legend = make_legend (result);
  double bottom = notch_paint_legend (paint, &column, top + PANEL + AXIS + MARGIN * 0.5, result, legend);
  g_autofree char *description = g_strdup_printf ("Power spectra of a piece of %s and of its residual.", result->stem);
  NotchPage page = { .width = PAGE,
                     .height = (int) ceil (bottom + MARGIN * 0.5),
                     .paper = NOTCH_INK_WHITE,
                     .ground = fill_ground,
                     .data = &ground,
                     .jobs = job->jobs,
                     .source = result->stem,
                     .description = description };
  g_autofree char *path = g_build_filename (job->folder, "spectrum.png", NULL);
  return notch_paint_write (paint, &page, path, error);
}
