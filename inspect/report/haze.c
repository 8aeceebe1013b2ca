/* haze.c - haze.png and haze.csv: level and noise of a surface, cell by cell of the mesh */
#include <math.h>
#include <string.h>

#include "inspect/image/write.h"
#include "inspect/report/paint.h"

enum { PAGE = 1240, MARGIN = 28, LETTERS = 15, BAR = 14, TALLEST = 1100 }; /* px */

static int
compare_doubles (gconstpointer a, gconstpointer b)
{
  double x = *(const double *) a, y = *(const double *) b;
  return (x > y) - (x < y);
}

/* What grey levels are multiplied by: ppm of full scale, where there is one. */
static double
scale_of (const NotchResult *result)
{
  return result->full_scale > 0 ? 1e6 / result->full_scale : 1;
}

static double
value_of (const NotchMeshCell *cell, gboolean noise)
{
  return (double) (noise ? cell->sigma : cell->level);
}

/* The levels, or the noise, of all cells that have one, in order. */
static GArray *
sorted_values (const NotchMesh *mesh, gboolean noise)
{
  GArray *sorted = g_array_new (FALSE, FALSE, sizeof (double));
  for (gint64 i = 0; i < mesh->n_cols * mesh->n_rows; i++) {
    double value = value_of (&mesh->cell[i], noise);
    if (isfinite (value))
      g_array_append_val (sorted, value);
  }
  g_array_sort (sorted, compare_doubles);
  return sorted;
}

static double
quantile (const GArray *sorted, double share)
{
  return sorted->len ? g_array_index (sorted, double, (guint) (share * (sorted->len - 1) + 0.5)) : NAN;
}

NotchHaze
notch_haze_of (const NotchResult *result)
{
  double scale = scale_of (result);
  g_autoptr (GArray) level = sorted_values (result->mesh, FALSE), noise = sorted_values (result->mesh, TRUE);
  return (NotchHaze){ .unit = result->full_scale > 0 ? "ppm" : "grey levels",
                      .median = scale * quantile (level, 0.5),
                      .p95 = scale * quantile (level, 0.95),
                      .noise = scale * quantile (noise, 0.5),
                      .crowded = (double) result->mesh->n_crowded / (double) MAX (result->mesh->n_known, 1) };
}

/* ---- the table ------------------------------------------------------------------------------------------------- */

gboolean
notch_report_haze_table (const NotchReportJob *job, GError **error)
{
  const NotchResult *result = job->result;
  const NotchMesh *mesh = result->mesh;
  double ppm = result->full_scale > 0 ? scale_of (result) : NAN;
  g_autoptr (GString) text = g_string_new ("col,row,x_px,y_px,level,sigma,level_ppm,sigma_ppm,clipped\n");
  for (gint64 i = 0; mesh && i < mesh->n_cols * mesh->n_rows; i++) {
    const NotchMeshCell *cell = &mesh->cell[i];
    gint64 col = i % mesh->n_cols, row = i / mesh->n_cols;
    const double number[] = { ((double) col + 0.5) * mesh->px - 0.5,
                              ((double) row + 0.5) * mesh->px - 0.5,
                              (double) cell->level,
                              (double) cell->sigma,
                              ppm * (double) cell->level,
                              ppm * (double) cell->sigma,
                              (double) cell->clipped };
    static const int decimals[] = { 1, 1, 4, 4, 1, 1, 4 };
    if (isnan (cell->level))
      continue;
    g_string_append_printf (text, "%" G_GINT64_FORMAT ",%" G_GINT64_FORMAT, col, row);
    for (guint k = 0; k < G_N_ELEMENTS (number); k++) {
      g_string_append_c (text, ',');
      notch_append_number (text, number[k], decimals[k]);
    }
    g_string_append_c (text, '\n');
  }
  g_autofree char *path = g_build_filename (job->folder, "haze.csv", NULL);
  return !mesh || notch_write_file (path, text->str, (gssize) text->len, error);
}

/* ---- the picture ----------------------------------------------------------------------------------------------- */

typedef struct {
  const NotchMesh *mesh;
  const char *title;
  gboolean noise;
  NotchView view;
  NotchBox frame;   /* of the image, on the page */
  double low, high; /* grey levels: bluest and reddest */
} Panel;

typedef struct {
  Panel panel[2];
} Ground;

static gboolean
fill_ground (gpointer data, int y, int n, guint8 *to, GError **error)
{
  const Ground *ground = data;
  for (int row = y; row < y + n; row++)
    for (int k = 0; k < 2; k++) {
      const Panel *panel = &ground->panel[k];
      const NotchMesh *mesh = panel->mesh;
      double down = (row + 0.5 - panel->frame.y) / panel->view.scale;
      guint8 *line = to + (gsize) (row - y) * PAGE;
      if (down < 0 || down >= panel->frame.height / panel->view.scale)
        continue;
      for (int x = (int) ceil (panel->frame.x); x + 1 <= panel->frame.x + panel->frame.width; x++) {
        gint64 col = MIN ((gint64) ((x + 0.5 - panel->frame.x) / panel->view.scale / mesh->px), mesh->n_cols - 1);
        gint64 at = MIN ((gint64) (down / mesh->px), mesh->n_rows - 1) * mesh->n_cols + col;
        double value = value_of (&mesh->cell[at], panel->noise);
        if (!isnan (value))
          line[x] = notch_palette_diverging (2 * (value - panel->low) / (panel->high - panel->low) - 1);
      }
    }
  return TRUE;
}

/* Four digits, without an exponent. */
static const char *
tell_number (double value, char text[G_ASCII_DTOSTR_BUF_SIZE])
{
  return g_ascii_formatd (text, G_ASCII_DTOSTR_BUF_SIZE, fabs (value) >= 1000 ? "%.0f" : "%.4g", value);
}

/* The colours with their ends' values below a panel. */
static void
paint_bar (NotchPaint *paint, const NotchResult *result, const Panel *panel)
{
  const NotchWords words = { .size = LETTERS * 0.85, .ink = NOTCH_INK_SLATE };
  NotchBox bar = { panel->frame.x, panel->frame.y + panel->frame.height + MARGIN * 0.5, panel->frame.width, BAR };
  const int n = 64;
  for (int i = 0; i < n; i++) {
    cairo_rectangle (notch_paint_pen (paint), bar.x + bar.width * i / n, bar.y, bar.width / n + 0.5, bar.height);
    double t = 2 * (i + 0.5) / n - 1;
    notch_paint_fill (paint, notch_ink_mix (NOTCH_INK_WHITE, t < 0 ? NOTCH_INK_BLUE : NOTCH_INK_VERMILLION, fabs (t)),
                      1);
  }
  cairo_rectangle (notch_paint_pen (paint), bar.x, bar.y, bar.width, bar.height);
  notch_paint_stroke (paint, NOTCH_INK_ASH, 1, 1, 0);
  for (int i = 0; i < 3; i++) {
    char number[G_ASCII_DTOSTR_BUF_SIZE];
    tell_number ((panel->low + (panel->high - panel->low) * i / 2) * scale_of (result), number);
    double width = notch_paint_measure (paint, number, &words).width;
    notch_paint_words (paint, bar.x + (bar.width - width) * i / 2, bar.y + bar.height + 3, number, &words);
  }
}

/* Cells of which much sticks out. */
static void
paint_crowded (NotchPaint *paint, const Panel *panel)
{
  const NotchMesh *mesh = panel->mesh;
  double side = mesh->px * panel->view.scale;
  for (gint64 i = 0; i < mesh->n_cols * mesh->n_rows; i++)
    if (mesh->cell[i].clipped > (float) NOTCH_MESH_CROWDED)
      cairo_rectangle (notch_paint_pen (paint), panel->frame.x + (double) (i % mesh->n_cols) * side,
                       panel->frame.y + (double) (i / mesh->n_cols) * side, side, side);
  notch_paint_stroke (paint, NOTCH_INK_CARBON, 1, 1.5, 0);
}

static void
figure_crowded (NotchPaint *paint, const NotchBox *box, const NotchResult *result, int which)
{
  cairo_rectangle (notch_paint_pen (paint), box->x + box->width * 0.2, box->y + box->height * 0.2, box->width * 0.6,
                   box->height * 0.6);
  notch_paint_stroke (paint, NOTCH_INK_CARBON, 1, 2, 0);
}

static void
paint_panel (NotchPaint *paint, const NotchResult *result, const Panel *panel)
{
  const NotchWords bold = { .size = LETTERS, .bold = TRUE, .ink = NOTCH_INK_CARBON };
  g_autofree char *title =
      g_strdup_printf ("%s, %s", panel->title, result->full_scale > 0 ? "ppm of full scale" : "grey levels");
  notch_paint_words (paint, panel->frame.x, panel->frame.y - LETTERS * 1.9, title, &bold);
  notch_paint_clip (paint, &panel->frame);
  paint_crowded (paint, panel);
  notch_paint_wafer (paint, result, &panel->view, NOTCH_INK_SLATE, 2);
  notch_paint_clip (paint, NULL);
  cairo_rectangle (notch_paint_pen (paint), panel->frame.x, panel->frame.y, panel->frame.width, panel->frame.height);
  notch_paint_stroke (paint, NOTCH_INK_ASH, 1, 1, 0);
  paint_bar (paint, result, panel);
}

static char *
describe (const NotchResult *result)
{
  NotchHaze haze = notch_haze_of (result);
  char number[4][G_ASCII_DTOSTR_BUF_SIZE];
  const double value[] = { haze.median, haze.p95, haze.noise, 100 * haze.crowded };
  for (guint i = 0; i < G_N_ELEMENTS (value); i++)
    tell_number (value[i], number[i]);
  return g_strdup_printf (
      "median %s, 95 %% of %" G_GINT64_FORMAT " cells of %d px below %s, noise %s %s · %s %% crowded", number[0],
      result->mesh->n_known, result->mesh->px, number[1], number[2], haze.unit, number[3]);
}

gboolean
notch_report_haze (const NotchReportJob *job, GError **error)
{
  static const char *const title[] = { "Haze", "Noise" };
  const NotchResult *result = job->result;
  if (!result->mesh)
    return TRUE; /* another method has no background */
  g_autoptr (NotchPaint) paint = notch_paint_new ();
  NotchColumn column = { .x = MARGIN, .width = PAGE - 2 * MARGIN, .size = LETTERS, .ink = NOTCH_INK_CARBON };
  g_autofree char *facts = describe (result);
  double top = ceil (notch_paint_header (paint, &column, MARGIN * 0.7, result, facts) + MARGIN + LETTERS);
  double room = (PAGE - 3 * MARGIN) / 2.0, width = (double) result->width, height = (double) result->height;
  double scale = MIN (room / width, TALLEST / height);
  Ground ground;
  for (int k = 0; k < 2; k++) {
    g_autoptr (GArray) sorted = sorted_values (result->mesh, k);
    Panel *panel = &ground.panel[k];
    *panel = (Panel){ .mesh = result->mesh, .title = title[k], .noise = k };
    panel->view = (NotchView){ MARGIN + k * (room + MARGIN), top, scale };
    panel->frame = (NotchBox){ panel->view.x, top, width * scale, height * scale };
    panel->low = quantile (sorted, 0.005), panel->high = quantile (sorted, 0.995);
    if (!(panel->high > panel->low))
      panel->high = panel->low + 1;
    paint_panel (paint, result, panel);
  }
  g_autoptr (GArray) legend = notch_legend_new ();
  notch_legend_add_scale (legend, result, scale, MIN (220, width * scale), NOTCH_INK_CARBON);
  notch_legend_add_wafer (legend, result, NOTCH_INK_SLATE);
  if (result->mesh->n_crowded > 0)
    notch_legend_add (legend, figure_crowded, 0, 0,
                      g_strdup_printf ("crowded %" G_GINT64_FORMAT ": more than %.0f %% sticks out",
                                       result->mesh->n_crowded, 100 * NOTCH_MESH_CROWDED));
  double bottom = top + height * scale + MARGIN * 0.5 + BAR + LETTERS * 2;
  bottom = notch_paint_legend (paint, &column, bottom, result, legend);
  g_autofree char *description = g_strdup_printf ("Maps of the haze and the noise of %s.", result->stem);
  NotchPage page = { .width = PAGE,
                     .height = (int) ceil (bottom + MARGIN * 0.5),
                     .paper = NOTCH_INK_WHITE,
                     .ground = fill_ground,
                     .data = &ground,
                     .jobs = job->jobs,
                     .source = result->stem,
                     .description = description };
  g_autofree char *path = g_build_filename (job->folder, "haze.png", NULL);
  return notch_paint_write (paint, &page, path, error);
}
