/* map.c - map.png: the wafer, or the image's frame, with dice by status and defects as dots */
#include <math.h>

#include "inspect/report/paint.h"

enum { PAGE = 1240, MARGIN = 28, AXIS = 34, LETTERS = 15 }; /* px */

typedef struct {
  const NotchResult *result;
  NotchPaint *paint;
  NotchView view;
  NotchBox frame;  /* of the image, on the page */
  NotchBox extent; /* what the map shows, on the page */
  gint64 most;     /* defects on a die */
} Map;

/* ---- dice ------------------------------------------------------------------------------------------------------ */

/* Paler with fewer defects; on a logarithmic scale, for a few dice hold most of them. */
static NotchInk
count_ink (gint64 n, gint64 most)
{
  const double palest = 0.2, fullest = 0.72;
  double share = most > 1 ? log ((double) MAX (n, 1)) / log ((double) most) : 0;
  return notch_ink_mix (NOTCH_INK_WHITE, NOTCH_INK_VERMILLION, palest + (fullest - palest) * share);
}

static NotchInk
status_ink (NotchDieStatus status, gint64 n, gint64 most)
{
  switch (status) {
  case NOTCH_STATUS_OK:
    return notch_ink_mix (NOTCH_INK_WHITE, NOTCH_INK_GREEN, 0.15);
  case NOTCH_STATUS_DEFECTIVE:
    return count_ink (n, most);
  case NOTCH_STATUS_FAILED:
    return NOTCH_INK_SLATE;
  case NOTCH_STATUS_BLANK:
    return notch_ink_mix (NOTCH_INK_WHITE, NOTCH_INK_SKY, 0.3);
  default:
    return NOTCH_INK_SILVER;
  }
}

static void
trace_line (cairo_t *pen, const double x[4], const double y[4], int from, int to)
{
  cairo_move_to (pen, x[from], y[from]);
  cairo_line_to (pen, x[to], y[to]);
}

static void
trace_cell (cairo_t *pen, const double x[4], const double y[4])
{
  for (int i = 0; i < 4; i++)
    cairo_line_to (pen, x[i], y[i]);
  cairo_close_path (pen);
}

/* Colour and pattern: a failed die is crossed out, an excluded one crossed out in pale, a partial one struck once. */
static void
fill_cell (NotchPaint *paint, const double x[4], const double y[4], NotchDieStatus status, NotchInk ink)
{
  cairo_t *pen = notch_paint_pen (paint);
  gboolean failed = status == NOTCH_STATUS_FAILED;
  trace_cell (pen, x, y);
  notch_paint_fill (paint, ink, 1);
  if (failed || status == NOTCH_STATUS_EXCLUDED)
    trace_line (pen, x, y, 0, 2);
  if (failed || status == NOTCH_STATUS_EXCLUDED || status == NOTCH_STATUS_PARTIAL)
    trace_line (pen, x, y, 3, 1);
  notch_paint_stroke (paint, failed ? NOTCH_INK_WHITE : NOTCH_INK_ASH, 1, 1.5, 0);
}

static void
edge_cell (NotchPaint *paint, const double x[4], const double y[4])
{
  trace_cell (notch_paint_pen (paint), x, y);
  notch_paint_stroke (paint, NOTCH_INK_SLATE, 0.6, 0.8, 0);
}

static double
dot_radius (const Map *map)
{
  double apart = sqrt (map->frame.width * map->frame.height / MAX (notch_n_defects (map->result), 1));
  return CLAMP (apart / 8, 2.5, 6);
}

static gboolean
has_dot (const Map *map, const NotchBox *box)
{
  double radius = dot_radius (map) * 1.25; /* with its rim */
  for (guint i = 0; i < notch_n_defects (map->result); i++) {
    const double *value = notch_defect (map->result, i)->value;
    double x = notch_view_x (&map->view, value[NOTCH_FEATURE_X]), y = notch_view_y (&map->view, value[NOTCH_FEATURE_Y]);
    if (x > box->x - radius && x < box->x + box->width + radius && y > box->y - radius
        && y < box->y + box->height + radius)
      return TRUE;
  }
  return FALSE;
}

static void
write_count (const Map *map, const NotchDie *die, const double x[4], const double y[4])
{
  const double roomy = 34; /* px: a die this wide has room for its count */
  gboolean dark = notch_die_status (die) == NOTCH_STATUS_FAILED;
  NotchWords words = { .size = LETTERS * 0.75, .ink = dark ? NOTCH_INK_WHITE : NOTCH_INK_CARBON };
  if (!die->n_defects || x[1] - x[0] < roomy || y[3] - y[0] < roomy)
    return;
  g_autofree char *count = g_strdup_printf ("%" G_GINT64_FORMAT, die->n_defects);
  NotchBox room = notch_paint_measure (map->paint, count, &words);
  for (int corner = 0; corner < 4; corner++) { /* the first that no dot covers: lower right, lower left, upper ones */
    room.x = corner % 2 ? x[3] + 4 : x[2] - room.width - 4;
    room.y = corner < 2 ? y[2] - room.height - 2 : y[1] + 2;
    if (!has_dot (map, &room))
      break;
  }
  notch_paint_words (map->paint, room.x, room.y, count, &words);
}

/* First all cells, then what a neighbour's cell must not cover. */
static void
paint_dice (const Map *map)
{
  const NotchGrid *grid = map->result->grid;
  for (int pass = 0; pass < 2; pass++)
    for (guint i = 0; i < grid->die->len; i++) {
      const NotchDie *die = &g_array_index (grid->die, NotchDie, i);
      NotchDieStatus status = notch_die_status (die);
      double x[4], y[4];
      if (status == NOTCH_STATUS_OUTSIDE)
        continue;
      notch_view_cell (&map->view, grid, die, x, y);
      if (pass == 0) {
        fill_cell (map->paint, x, y, status, status_ink (status, die->n_defects, map->most));
      } else {
        edge_cell (map->paint, x, y);
        write_count (map, die, x, y);
      }
    }
}

/* Numbers of the columns above the map and of the rows beside it. */
static void
paint_axes (const Map *map)
{
  const NotchGrid *grid = map->result->grid;
  NotchWords words = { .size = LETTERS * 0.85, .ink = NOTCH_INK_SLATE };
  int cols = notch_round_step (26 / (hypot (grid->ax, grid->ay) * map->view.scale));
  int rows = notch_round_step (18 / (hypot (grid->bx, grid->by) * map->view.scale));
  for (int c = grid->first_col; c < grid->first_col + grid->n_cols; c++) {
    double x = notch_view_x (&map->view, grid->x + (c + 0.5) * grid->ax + (grid->first_row + 0.5) * grid->bx);
    g_autofree char *text = g_strdup_printf ("%d", c);
    if (c % cols == 0 && x > map->extent.x && x < map->extent.x + map->extent.width)
      notch_paint_words_at (map->paint, x, map->extent.y - AXIS * 0.4, text, &words);
  }
  for (int r = grid->first_row; r < grid->first_row + grid->n_rows; r++) {
    double y = notch_view_y (&map->view, grid->y + (r + 0.5) * grid->by + (grid->first_col + 0.5) * grid->ay);
    g_autofree char *text = g_strdup_printf ("%d", r);
    if (r % rows == 0 && y > map->extent.y && y < map->extent.y + map->extent.height)
      notch_paint_words_at (map->paint, map->extent.x - AXIS * 0.5, y, text, &words);
  }
}

/* ---- defects --------------------------------------------------------------------------------------------------- */

static void
paint_dots (const Map *map)
{
  const NotchResult *result = map->result;
  guint n = notch_n_defects (result);
  double radius = dot_radius (map);
  for (guint i = 0; i < n; i++) {
    const NotchDefect *defect = notch_defect (result, i);
    notch_paint_dot (map->paint, result, defect->class_index, notch_view_x (&map->view, defect->value[NOTCH_FEATURE_X]),
                     notch_view_y (&map->view, defect->value[NOTCH_FEATURE_Y]), radius);
  }
}

/* ---- margins --------------------------------------------------------------------------------------------------- */

static void
figure_dot (NotchPaint *paint, const NotchBox *box, const NotchResult *result, int class_index)
{
  notch_paint_dot (paint, result, class_index, box->x + box->width / 2, box->y + box->height / 2, box->height * 0.4);
}

static void
corners (const NotchBox *box, double x[4], double y[4])
{
  for (int i = 0; i < 4; i++) {
    x[i] = box->x + (i == 1 || i == 2 ? box->width : 0);
    y[i] = box->y + (i > 1 ? box->height : 0);
  }
}

static void
figure_status (NotchPaint *paint, const NotchBox *box, const NotchResult *result, int status)
{
  double x[4], y[4];
  corners (box, x, y);
  fill_cell (paint, x, y, (NotchDieStatus) status, status_ink ((NotchDieStatus) status, 1, 1));
  edge_cell (paint, x, y);
}

/* The shades from one defect to the most. */
static void
figure_shades (NotchPaint *paint, const NotchBox *box, const NotchResult *result, int most)
{
  const int n = MIN (most, 5);
  for (int i = 0; i < n; i++) {
    NotchBox shade = { box->x + box->width * i / n, box->y, box->width / n, box->height };
    double x[4], y[4];
    corners (&shade, x, y);
    gint64 count = (gint64) round (pow (most, (double) i / (n - 1)));
    fill_cell (paint, x, y, NOTCH_STATUS_DEFECTIVE, count_ink (count, most));
    edge_cell (paint, x, y);
  }
}

static GArray *
make_legend (const Map *map)
{
  const NotchResult *result = map->result;
  NotchDiceCount count = notch_count_dice (result);
  GArray *legend = notch_legend_new ();
  notch_legend_add_scale (legend, result, map->view.scale, MIN (220, map->frame.width), NOTCH_INK_CARBON);
  notch_legend_add_wafer (legend, result, NOTCH_INK_BLUE);
  for (int i = 0; i < NOTCH_STATUS_OUTSIDE; i++)
    if (count.status[i] && (i != NOTCH_STATUS_DEFECTIVE || map->most == 1))
      notch_legend_add (legend, figure_status, i, 0,
                        g_strdup_printf ("%s %" G_GINT64_FORMAT, notch_status_name[i], count.status[i]));
    else if (count.status[i])
      notch_legend_add (legend, figure_shades, (int) MIN (map->most, G_MAXINT), LETTERS * 5,
                        g_strdup_printf ("defective %" G_GINT64_FORMAT ", 1 to %" G_GINT64_FORMAT " defects a die",
                                         count.status[i], map->most));
  notch_legend_add_classes (legend, result, figure_dot);
  notch_legend_add_signatures (legend, result, NOTCH_INK_BLUE);
  return legend;
}

static char *
describe (const NotchResult *result)
{
  NotchDiceCount count = notch_count_dice (result);
  guint n = notch_n_defects (result);
  g_autoptr (GString) text = g_string_new (NULL);
  g_string_append_printf (text, "%u defect%s", n, n == 1 ? "" : "s");
  if (result->grid)
    g_string_append_printf (
        text, " · %" G_GINT64_FORMAT " dice inspected, %" G_GINT64_FORMAT " with defects, %" G_GINT64_FORMAT " failed",
        count.dice, count.status[NOTCH_STATUS_DEFECTIVE], count.failed);
  if (result->signature)
    g_string_append_printf (text, " · signature %s", result->signature);
  return g_string_free (g_steal_pointer (&text), FALSE);
}

/* The image's frame; the whole wafer where the image cuts off little of it. Image px, from the first pixel's corner. */
static NotchBox
choose_extent (const NotchResult *result)
{
  const double little = 0.15;
  const NotchOutline *outline = &result->outline;
  double width = (double) result->width, height = (double) result->height;
  NotchBox extent = { 0, 0, width, height };
  double edge = outline->radius * 0.015; /* keeps the line clear of the page's words */
  double x0 = outline->x + 0.5 - outline->radius - edge, x1 = outline->x + 0.5 + outline->radius + edge;
  double y0 = outline->y + 0.5 - outline->radius - edge, y1 = outline->y + 0.5 + outline->radius + edge;
  gboolean close =
      x0 > -little * width && x1 < (1 + little) * width && y0 > -little * height && y1 < (1 + little) * height;
  if (outline->radius > 0 && close) {
    extent.x = MIN (0, x0);
    extent.y = MIN (0, y0);
    extent.width = MAX (width, x1) - extent.x;
    extent.height = MAX (height, y1) - extent.y;
  }
  return extent;
}

static void
paint_floor (const Map *map)
{
  cairo_t *pen = notch_paint_pen (map->paint);
  const NotchOutline *outline = &map->result->outline;
  const NotchInk floor = 0xf4f4f4;
  if (outline->radius > 0)
    cairo_arc (pen, notch_view_x (&map->view, outline->x), notch_view_y (&map->view, outline->y),
               outline->radius * map->view.scale, 0, 2 * G_PI);
  else
    cairo_rectangle (pen, map->frame.x, map->frame.y, map->frame.width, map->frame.height);
  notch_paint_fill (map->paint, floor, 1);
}

gboolean
notch_report_map (const NotchReportJob *job, GError **error)
{
  const NotchResult *result = job->result;
  g_autoptr (NotchPaint) paint = notch_paint_new ();
  NotchColumn column = { .x = MARGIN, .width = PAGE - 2 * MARGIN, .size = LETTERS, .ink = NOTCH_INK_CARBON };
  g_autofree char *facts = describe (result);
  double top = notch_paint_header (paint, &column, MARGIN * 0.7, result, facts) + MARGIN * 0.6;
  double axis = result->grid ? AXIS : 0;

  NotchBox extent = choose_extent (result);
  double room = PAGE - 2 * MARGIN - 2 * axis; /* both sides alike: the map stays in the middle */
  double scale = MIN (room / extent.width, room / extent.height);
  Map map = { .result = result, .paint = paint, .view.scale = scale };
  map.extent =
      (NotchBox){ (PAGE - extent.width * scale) / 2, top + axis * 0.8, extent.width * scale, extent.height * scale };
  map.view.x = map.extent.x - extent.x * scale;
  map.view.y = map.extent.y - extent.y * scale;
  map.frame = (NotchBox){ map.view.x, map.view.y, (double) result->width * scale, (double) result->height * scale };
  for (guint i = 0; result->grid && i < result->grid->die->len; i++)
    map.most = MAX (map.most, g_array_index (result->grid->die, NotchDie, i).n_defects);

  notch_paint_clip (paint, &map.extent);
  paint_floor (&map);
  if (result->grid)
    paint_dice (&map);
  notch_paint_wafer (paint, result, &map.view, NOTCH_INK_BLUE, 2.5);
  paint_dots (&map);
  notch_paint_signatures (paint, result, &map.view, NOTCH_INK_BLUE, 1.3);
  notch_paint_clip (paint, NULL);
  cairo_rectangle (notch_paint_pen (paint), map.frame.x, map.frame.y, map.frame.width, map.frame.height);
  notch_paint_stroke (paint, NOTCH_INK_ASH, 1, 1, 0);
  if (result->grid)
    paint_axes (&map);
  g_autoptr (GArray) legend = make_legend (&map);
  double bottom = map.extent.y + map.extent.height + MARGIN * 0.7;
  bottom = notch_paint_legend (paint, &column, bottom, result, legend) + MARGIN * 0.5;

  g_autofree char *description = g_strdup_printf ("Map of the defects of %s.", result->stem);
  NotchPage page = { .width = PAGE,
                     .height = (int) ceil (bottom),
                     .paper = NOTCH_INK_WHITE,
                     .jobs = job->jobs,
                     .source = result->stem,
                     .description = description };
  g_autofree char *path = g_build_filename (job->folder, "map.png", NULL);
  return notch_paint_write (paint, &page, path, error);
}
