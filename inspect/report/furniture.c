/* furniture.c - what several pictures show alike: marks of classes, the wafer, headers, legends, scale bars */
#include "inspect/report/paint.h"

#include <math.h>
#include <string.h>

/* ---- classes --------------------------------------------------------------------------------------------------- */

typedef enum {
  SHAPE_ROUND,
  SHAPE_SQUARE,
  SHAPE_DIAMOND,
  SHAPE_HEXAGON,
  SHAPE_BRACKETS,
  SHAPE_ROUND_DASHED,
  N_SHAPES,
  SHAPE_OTHER = N_SHAPES /* of the last class, which says that no rule fits: a dashed square */
} Shape;

static const NotchInk class_ink[] = { NOTCH_INK_VERMILLION, NOTCH_INK_YELLOW, NOTCH_INK_PURPLE,
                                      NOTCH_INK_GREEN,      NOTCH_INK_ORANGE, NOTCH_INK_SKY };

/* Names that every fab knows look the same whatever the order of the rules, one for each ink. */
static const char *const usual_class[G_N_ELEMENTS (class_ink)] = { "scratch",  "stain",  "pit",
                                                                   "particle", "bridge", "open" };

static gboolean
is_other (const NotchResult *result, int class_index)
{
  return class_index < 0 || class_index + 1 >= (int) notch_n_classes (result);
}

static int
usual_slot (const char *name)
{
  for (int i = 0; i < (int) G_N_ELEMENTS (usual_class); i++)
    if (strcmp (name, usual_class[i]) == 0)
      return i;
  return -1;
}

/* The look of a class: a usual one has its own; others have those that no usual class of this recipe needs, then new
 * pairs of a colour and a shape. */
static int
class_slot (const NotchResult *result, int class_index)
{
  int slot = usual_slot (notch_class_name (result, class_index)), before = 0;
  if (slot >= 0)
    return slot;
  guint taken = 0; /* a bit a slot */
  for (int i = 0; i + 1 < (int) notch_n_classes (result); i++) {
    int usual = usual_slot (notch_class_name (result, i));
    taken |= usual >= 0 ? 1u << usual : 0;
    before += usual < 0 && i < class_index;
  }
  for (slot = 0; slot < (int) G_N_ELEMENTS (class_ink); slot++)
    if (!(taken & 1u << slot) && before-- == 0)
      return slot;
  return slot + before;
}

NotchInk
notch_class_ink (const NotchResult *result, int class_index)
{
  return is_other (result, class_index) ? NOTCH_INK_WHITE
                                        : class_ink[class_slot (result, class_index) % (int) G_N_ELEMENTS (class_ink)];
}

/* After the colours have all been used, shapes are one further, so that no pair comes twice soon. */
static Shape
class_shape (const NotchResult *result, int class_index)
{
  if (is_other (result, class_index))
    return SHAPE_OTHER;
  int slot = class_slot (result, class_index);
  return (Shape) ((slot + slot / (int) G_N_ELEMENTS (class_ink)) % N_SHAPES);
}

static void
trace (cairo_t *pen, const double (*point)[2], int n)
{
  for (int i = 0; i < n; i++)
    cairo_line_to (pen, point[i][0], point[i][1]);
  cairo_close_path (pen);
}

/* A box whose corners are cut cx px along its horizontal and cy px along its vertical sides. */
static void
trace_cut (cairo_t *pen, const NotchBox *box, double cx, double cy)
{
  double x0 = box->x, x1 = box->x + box->width, y0 = box->y, y1 = box->y + box->height;
  const double point[][2] = { { x0 + cx, y0 }, { x1 - cx, y0 }, { x1, y0 + cy }, { x1, y1 - cy },
                              { x1 - cx, y1 }, { x0 + cx, y1 }, { x0, y1 - cy }, { x0, y0 + cy } };
  trace (pen, point, G_N_ELEMENTS (point));
}

static void
trace_round (cairo_t *pen, const NotchBox *box, double radius)
{
  double x0 = box->x + radius, x1 = box->x + box->width - radius;
  double y0 = box->y + radius, y1 = box->y + box->height - radius;
  cairo_new_sub_path (pen);
  cairo_arc (pen, x1, y0, radius, -G_PI_2, 0);
  cairo_arc (pen, x1, y1, radius, 0, G_PI_2);
  cairo_arc (pen, x0, y1, radius, G_PI_2, G_PI);
  cairo_arc (pen, x0, y0, radius, G_PI, 1.5 * G_PI);
  cairo_close_path (pen);
}

static void
trace_brackets (cairo_t *pen, const NotchBox *box, double arm)
{
  for (int i = 0; i < 4; i++) {
    double sx = i & 1 ? -1 : 1, sy = i & 2 ? -1 : 1;
    double x = i & 1 ? box->x + box->width : box->x, y = i & 2 ? box->y + box->height : box->y;
    cairo_move_to (pen, x + sx * arm, y);
    cairo_line_to (pen, x, y);
    cairo_line_to (pen, x, y + sy * arm);
  }
}

static void
trace_frame (cairo_t *pen, Shape shape, const NotchBox *box, double corner)
{
  double cut = MIN (corner, MIN (box->width, box->height) / 2);
  switch (shape) {
  case SHAPE_ROUND:
  case SHAPE_ROUND_DASHED:
    trace_round (pen, box, cut);
    break;
  case SHAPE_DIAMOND:
    trace_cut (pen, box, cut, cut);
    break;
  case SHAPE_HEXAGON:
    trace_cut (pen, box, cut / 2, box->height / 2);
    break;
  case SHAPE_BRACKETS:
    trace_brackets (pen, box, MAX (cut * 0.65, MIN (box->width, box->height) * 0.25));
    break;
  case SHAPE_SQUARE:
  case SHAPE_OTHER:
    cairo_rectangle (pen, box->x, box->y, box->width, box->height);
    break;
  }
}

NotchBox
notch_paint_mark (NotchPaint *paint, const NotchResult *result, int class_index, const NotchBox *around, double corner,
                  double width)
{
  Shape shape = class_shape (result, class_index);
  double half_width = MAX (around->width / 2 + corner / 2, corner);
  double half_height = MAX (around->height / 2 + corner / 2, corner);
  NotchBox box = { around->x + around->width / 2 - half_width, around->y + around->height / 2 - half_height,
                   2 * half_width, 2 * half_height };
  double dash = shape == SHAPE_ROUND_DASHED || shape == SHAPE_OTHER ? corner * 0.5 : 0;
  trace_frame (notch_paint_pen (paint), shape, &box, corner);
  notch_paint_stroke (paint, NOTCH_INK_BLACK, 0.7, width * 2, 0);
  trace_frame (notch_paint_pen (paint), shape, &box, corner);
  notch_paint_stroke (paint, notch_class_ink (result, class_index), 1, width, dash);
  return box;
}

static void
trace_triangle (cairo_t *pen, double x, double y, double radius, double up)
{
  const double point[][2] = { { x, y - up * radius },
                              { x + radius, y + up * radius * 0.75 },
                              { x - radius, y + up * radius * 0.75 } };
  trace (pen, point, G_N_ELEMENTS (point));
}

static void
trace_cross (cairo_t *pen, double x, double y, double a)
{
  const double b = a * 0.4;
  const double point[][2] = { { x - b, y - a }, { x + b, y - a }, { x + b, y - b }, { x + a, y - b },
                              { x + a, y + b }, { x + b, y + b }, { x + b, y + a }, { x - b, y + a },
                              { x - b, y + b }, { x - a, y + b }, { x - a, y - b }, { x - b, y - b } };
  trace (pen, point, G_N_ELEMENTS (point));
}

static void
trace_dot (cairo_t *pen, Shape shape, double x, double y, double radius)
{
  const double square = radius * 0.85;
  NotchBox box = { x - radius, y - radius, 2 * radius, 2 * radius };
  switch (shape) {
  case SHAPE_SQUARE:
    cairo_rectangle (pen, x - square, y - square, 2 * square, 2 * square);
    break;
  case SHAPE_BRACKETS:
    trace_triangle (pen, x, y, radius, 1);
    break;
  case SHAPE_ROUND_DASHED:
    trace_triangle (pen, x, y, radius, -1);
    break;
  case SHAPE_OTHER:
    trace_cross (pen, x, y, radius);
    break;
  default:
    trace_frame (pen, shape, &box, radius);
  }
}

void
notch_paint_dot (NotchPaint *paint, const NotchResult *result, int class_index, double x, double y, double radius)
{
  Shape shape = class_shape (result, class_index);
  trace_dot (notch_paint_pen (paint), shape, x, y, radius);
  notch_paint_stroke (paint, NOTCH_INK_BLACK, 0.85, radius * 0.5, 0);
  trace_dot (notch_paint_pen (paint), shape, x, y, radius);
  notch_paint_fill (paint, notch_class_ink (result, class_index), 1);
}

/* ---- dice and wafer -------------------------------------------------------------------------------------------- */

void
notch_view_cell (const NotchView *view, const NotchGrid *grid, const NotchDie *die, double x[4], double y[4])
{
  const double right[4] = { 0, 1, 1, 0 }, down[4] = { 0, 0, 1, 1 };
  for (int i = 0; i < 4; i++) {
    x[i] = notch_view_x (view, die->x + right[i] * grid->ax + down[i] * grid->bx);
    y[i] = notch_view_y (view, die->y + right[i] * grid->ay + down[i] * grid->by);
  }
}

int
notch_round_step (double least)
{
  int step = 1;
  for (int i = 0; step < least && step < G_MAXINT / 5; i++)
    step = i % 3 == 1 ? step / 2 * 5 : step * 2;
  return step;
}

/* A circle in short pieces, so that each touches few tiles; dashed: every other one is left out. */
static void
paint_ring (NotchPaint *paint, double x, double y, double radius, NotchInk ink, double width, gboolean dashed)
{
  const double piece = dashed ? width * 6 : 100, most = 4e6; /* px; what cairo can hold */
  if (!(radius > 0) || radius > most)
    return;
  int n = CLAMP ((int) (2 * G_PI * radius / piece), 16, 1 << 16) & ~1;
  for (int i = 0; i < n; i += dashed ? 2 : 1) {
    cairo_arc (notch_paint_pen (paint), x, y, radius, 2 * G_PI * i / n, 2 * G_PI * (i + 1) / n);
    notch_paint_stroke (paint, ink, 0.9, width, 0);
  }
}

/* px in the image; 0: there is no edge exclusion. */
static double
exclusion_radius (const NotchResult *result)
{
  double ring = notch_outline_exclusion (&result->outline, result->recipe, result->pixel_um);
  return ring > 0 && ring < result->outline.radius ? result->outline.radius - ring : 0;
}

/* rad, from +x up; NAN: nobody knows. */
static double
notch_angle (const NotchResult *result)
{
  if (isfinite (result->outline.notch_angle))
    return result->outline.notch_angle;
  int side = result->recipe->wafer.notch; /* down, left, up, right */
  return side < 0 ? NAN : -G_PI_2 - side * G_PI_2;
}

/* A triangle inside the edge whose tip is at the notch. */
static void
trace_notch (cairo_t *pen, double x, double y, double radius, double angle, double size)
{
  double ux = cos (angle), uy = -sin (angle);
  double bx = x + ux * (radius - size), by = y + uy * (radius - size);
  const double point[][2] = { { x + ux * radius, y + uy * radius },
                              { bx - uy * size / 2, by + ux * size / 2 },
                              { bx + uy * size / 2, by - ux * size / 2 } };
  trace (pen, point, G_N_ELEMENTS (point));
}

void
notch_paint_wafer (NotchPaint *paint, const NotchResult *result, const NotchView *view, NotchInk ink, double width)
{
  if (!(result->outline.radius > 0))
    return;
  double x = notch_view_x (view, result->outline.x), y = notch_view_y (view, result->outline.y);
  double radius = result->outline.radius * view->scale, angle = notch_angle (result);
  paint_ring (paint, x, y, radius, ink, width, FALSE);
  paint_ring (paint, x, y, exclusion_radius (result) * view->scale, ink, width / 2, TRUE);
  if (isfinite (angle)) {
    trace_notch (notch_paint_pen (paint), x, y, radius, angle, MAX (radius * 0.035, width * 5));
    notch_paint_fill (paint, ink, 1);
  }
}

/* ---- header ---------------------------------------------------------------------------------------------------- */

static const struct {
  NotchInk plate, words;
} badge[] = { [NOTCH_VERDICT_PASS] = { NOTCH_INK_GREEN, NOTCH_INK_WHITE },
              [NOTCH_VERDICT_REJECT] = { NOTCH_INK_VERMILLION, NOTCH_INK_WHITE },
              [NOTCH_VERDICT_TROUBLE] = { NOTCH_INK_YELLOW, NOTCH_INK_BLACK } };

double
notch_paint_header (NotchPaint *paint, const NotchColumn *column, double y, const NotchResult *result,
                    const char *facts)
{
  double size = column->size, pad = size * 0.5;
  NotchWords verdict = { .size = size, .bold = TRUE, .ink = badge[result->verdict].words };
  g_autofree char *loud = g_ascii_strup (notch_verdict_name[result->verdict], -1);
  NotchBox plate = notch_paint_measure (paint, loud, &verdict);
  NotchWords title = { .size = size * 1.35,
                       .bold = TRUE,
                       .ink = column->ink,
                       .one_line = TRUE,
                       .wrap = MAX (column->width - plate.width - 4 * pad, size) };
  g_autofree char *name = g_path_get_basename (result->path ? result->path : result->stem);
  NotchBox line = notch_paint_words (paint, column->x, y, name, &title);
  plate.x = column->x + line.width + 2 * pad;
  plate.y = y + (line.height - plate.height) / 2;
  NotchBox around = { plate.x, plate.y - pad * 0.2, plate.width + 2 * pad, plate.height + pad * 0.4 };
  trace_round (notch_paint_pen (paint), &around, around.height / 4);
  notch_paint_fill (paint, badge[result->verdict].plate, 1);
  notch_paint_words (paint, plate.x + pad, plate.y, loud, &verdict);
  y += line.height + pad * 0.4;

  NotchWords words = { .size = size, .ink = column->ink, .wrap = column->width };
  y += notch_paint_words (paint, column->x, y, facts, &words).height;
  words.bold = TRUE;
  for (guint i = 0; result->reason && i < result->reason->len; i++)
    y += notch_paint_words (paint, column->x, y, g_ptr_array_index (result->reason, i), &words).height;
  return y;
}

/* ---- legend ---------------------------------------------------------------------------------------------------- */

static void
clear_entry (gpointer entry)
{
  g_free (((NotchLegendEntry *) entry)->text);
}

GArray *
notch_legend_new (void)
{
  GArray *legend = g_array_new (FALSE, FALSE, sizeof (NotchLegendEntry));
  g_array_set_clear_func (legend, clear_entry);
  return legend;
}

void
notch_legend_add (GArray *legend, NotchFigure figure, int which, double width, char *text)
{
  NotchLegendEntry entry = { figure, which, width, text };
  g_array_append_val (legend, entry);
}

void
notch_legend_add_classes (GArray *legend, const NotchResult *result, NotchFigure figure)
{
  for (int i = 0; i < (int) notch_n_classes (result); i++)
    if (result->class_count[i] > 0)
      notch_legend_add (legend, figure, i, 0,
                        g_strdup_printf ("%s %" G_GINT64_FORMAT, notch_class_name (result, i), result->class_count[i]));
}

static void
figure_ring (NotchPaint *paint, const NotchBox *box, const NotchResult *result, int ink)
{
  cairo_arc (notch_paint_pen (paint), box->x + box->width / 2, box->y + box->height * 1.2, box->height, -2.3, -0.84);
  notch_paint_stroke (paint, (NotchInk) ink, 1, box->height / 8, 0);
}

static void
figure_exclusion (NotchPaint *paint, const NotchBox *box, const NotchResult *result, int ink)
{
  cairo_arc (notch_paint_pen (paint), box->x + box->width / 2, box->y + box->height * 1.2, box->height, -2.3, -0.84);
  notch_paint_stroke (paint, (NotchInk) ink, 1, box->height / 12, box->height / 4);
}

static void
figure_notch (NotchPaint *paint, const NotchBox *box, const NotchResult *result, int ink)
{
  trace_triangle (notch_paint_pen (paint), box->x + box->width / 2, box->y + box->height / 2, box->height * 0.45, -1);
  notch_paint_fill (paint, (NotchInk) ink, 1);
}

void
notch_legend_add_wafer (GArray *legend, const NotchResult *result, NotchInk ink)
{
  if (!(result->outline.radius > 0))
    return;
  notch_legend_add (legend, figure_ring, (int) ink, 0, g_strdup ("wafer edge"));
  if (exclusion_radius (result) > 0)
    notch_legend_add (legend, figure_exclusion, (int) ink, 0, g_strdup ("edge exclusion"));
  if (isfinite (notch_angle (result)))
    notch_legend_add (legend, figure_notch, (int) ink, 0, g_strdup (result->outline.flat ? "flat" : "notch"));
}

/* ---- clusters and repeaters ------------------------------------------------------------------------------------ */

static void
paint_clusters (NotchPaint *paint, const NotchResult *result, const NotchView *view, NotchInk ink, double unit)
{
  NotchWords words = { .size = 12 * unit, .bold = TRUE, .ink = ink };
  for (guint i = 0; result->cluster && i < result->cluster->len; i++) {
    const NotchCluster *cluster = &g_array_index (result->cluster, NotchCluster, i);
    double room = 12 * unit, x = notch_view_x (view, cluster->x0) - room, y = notch_view_y (view, cluster->y0) - room;
    g_autofree char *text = g_strdup_printf ("C%u", i + 1);
    cairo_rectangle (notch_paint_pen (paint), x, y, notch_view_x (view, cluster->x1) + room - x,
                     notch_view_y (view, cluster->y1) + room - y);
    notch_paint_stroke (paint, ink, 1, 1.5 * unit, 6 * unit);
    NotchBox size = notch_paint_measure (paint, text, &words);
    notch_paint_words (paint, x + 3 * unit, y - size.height, text, &words);
  }
}

static void
paint_repeaters (NotchPaint *paint, const NotchResult *result, const NotchView *view, NotchInk ink, double unit)
{
  NotchWords words = { .size = MAX (10 * unit, 9), .bold = TRUE, .ink = ink };
  for (guint i = 0; i < notch_n_defects (result); i++) {
    const double *value = notch_defect (result, i)->value;
    if (!(value[NOTCH_FEATURE_REPEATER] > 0))
      continue;
    double x = notch_view_x (view, value[NOTCH_FEATURE_X]), y = notch_view_y (view, value[NOTCH_FEATURE_Y]);
    g_autofree char *text = g_strdup_printf ("R%d", (int) value[NOTCH_FEATURE_REPEATER]);
    cairo_arc (notch_paint_pen (paint), x, y, 12 * unit, 0, 2 * G_PI);
    notch_paint_stroke (paint, ink, 1, 1.5 * unit, 0);
    NotchBox size = notch_paint_measure (paint, text, &words);
    notch_paint_words (paint, x + 14 * unit, y - size.height / 2, text, &words);
  }
}

void
notch_paint_signatures (NotchPaint *paint, const NotchResult *result, const NotchView *view, NotchInk ink, double unit)
{
  paint_clusters (paint, result, view, ink, unit);
  paint_repeaters (paint, result, view, ink, unit);
}

static void
figure_circle (NotchPaint *paint, const NotchBox *box, const NotchResult *result, int ink)
{
  cairo_arc (notch_paint_pen (paint), box->x + box->width / 2, box->y + box->height / 2, box->height * 0.4, 0,
             2 * G_PI);
  notch_paint_stroke (paint, (NotchInk) ink, 1, box->height / 9, 0);
}

static void
figure_frame (NotchPaint *paint, const NotchBox *box, const NotchResult *result, int ink)
{
  cairo_rectangle (notch_paint_pen (paint), box->x, box->y + box->height * 0.15, box->width, box->height * 0.7);
  notch_paint_stroke (paint, (NotchInk) ink, 1, box->height / 9, box->height / 4);
}

void
notch_legend_add_signatures (GArray *legend, const NotchResult *result, NotchInk ink)
{
  guint n_clusters = result->cluster ? result->cluster->len : 0;
  guint n_repeaters = result->repeater ? result->repeater->len : 0;
  if (n_clusters)
    notch_legend_add (legend, figure_frame, (int) ink, 0, g_strdup_printf ("C1…: cluster %u", n_clusters));
  if (n_repeaters && result->reticle_cols * result->reticle_rows > 1)
    notch_legend_add (legend, figure_circle, (int) ink, 0,
                      g_strdup_printf ("R1…: repeater %u, in one die of each %d × %d", n_repeaters,
                                       result->reticle_cols, result->reticle_rows));
  else if (n_repeaters)
    notch_legend_add (legend, figure_circle, (int) ink, 0, g_strdup_printf ("R1…: repeater %u", n_repeaters));
}

/* ---- scale bar ------------------------------------------------------------------------------------------------- */

static void
figure_scale (NotchPaint *paint, const NotchBox *box, const NotchResult *result, int ink)
{
  cairo_t *pen = notch_paint_pen (paint);
  double y = box->y + box->height / 2, tick = box->height * 0.3;
  cairo_move_to (pen, box->x, y - tick);
  cairo_line_to (pen, box->x, y + tick);
  cairo_move_to (pen, box->x, y);
  cairo_line_to (pen, box->x + box->width, y);
  cairo_move_to (pen, box->x + box->width, y - tick);
  cairo_line_to (pen, box->x + box->width, y + tick);
  notch_paint_stroke (paint, (NotchInk) ink, 1, box->height / 7, 0);
}

void
notch_legend_add_scale (GArray *legend, const NotchResult *result, double scale, double most, NotchInk ink)
{
  double unit = result->pixel_known && result->pixel_um > 0 ? result->pixel_um : 1; /* of an image px */
  double longest = most / scale * unit, length = pow (10, floor (log10 (longest)));
  length *= longest >= 5 * length ? 5 : longest >= 2 * length ? 2 : 1;
  const char *name = result->pixel_known ? "µm" : "px";
  double shown = length;
  if (result->pixel_known && length >= 1000) {
    name = "mm";
    shown /= 1000;
  }
  g_autoptr (GString) text = g_string_new (NULL);
  notch_append_number (text, shown, (int) MAX (0, -floor (log10 (shown) + 1e-9)));
  g_string_append_printf (text, " %s", name);
  notch_legend_add (legend, figure_scale, (int) ink, length / unit * scale,
                    g_string_free (g_steal_pointer (&text), FALSE));
}

double
notch_paint_legend (NotchPaint *paint, const NotchColumn *column, double y, const NotchResult *result,
                    const GArray *legend)
{
  NotchWords words = { .size = column->size, .ink = column->ink };
  const double gap = column->size * 0.45, space = column->size * 1.3;
  double x = column->x, high = 0;
  for (guint i = 0; i < legend->len; i++) {
    const NotchLegendEntry *entry = &g_array_index (legend, NotchLegendEntry, i);
    NotchBox room = notch_paint_measure (paint, entry->text, &words);
    double width = entry->width > 0 ? entry->width : column->size;
    if (x > column->x && x + width + gap + room.width > column->x + column->width) {
      x = column->x;
      y += high;
    }
    high = room.height * 1.2;
    NotchBox box = { x, y + (room.height - column->size) / 2, width, column->size };
    entry->figure (paint, &box, result, entry->which);
    notch_paint_words (paint, x + width + gap, y, entry->text, &words);
    x += width + gap + room.width + space;
  }
  return y + high;
}
