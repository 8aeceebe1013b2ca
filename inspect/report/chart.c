/* chart.c - diagrams with two axes */
#include "inspect/report/chart.h"

#include <math.h>

double
notch_chart_x (const NotchChart *chart, double x)
{
  double value = chart->is_log ? log10 (x) : x;
  return chart->box.x + (value - chart->left) / (chart->right - chart->left) * chart->box.width;
}

double
notch_chart_y (const NotchChart *chart, double y)
{
  return chart->box.y + (chart->top - y) / (chart->top - chart->bottom) * chart->box.height;
}

void
notch_chart_words (const NotchChart *chart, double x, double y, const char *text, gboolean bold)
{
  const NotchWords style = { .size = NOTCH_CHART_WORDS, .bold = bold, .ink = NOTCH_INK_CARBON };
  notch_paint_words_at (chart->paint, x, y, text, &style);
}

void
notch_chart_rule (const NotchChart *chart, double x0, double y0, double x1, double y1, NotchInk ink, double width)
{
  cairo_t *pen = notch_paint_pen (chart->paint);
  cairo_move_to (pen, x0, y0);
  cairo_line_to (pen, x1, y1);
  notch_paint_stroke (chart->paint, ink, 1, width, 0);
}

/* The least of …, 0.1, 0.2, 0.5, 1, 2, 5, … that is at least `least`. */
static double
round_step (double least)
{
  double power = pow (10, floor (log10 (least)));
  return power * notch_round_step (least / power - 1e-9);
}

static void
write_number (double value, const char *unit, char *text, gsize size)
{
  char number[G_ASCII_DTOSTR_BUF_SIZE];
  g_snprintf (text, (gulong) size, "%s%s", g_ascii_formatd (number, sizeof number, "%g", value), unit);
}

static void
draw_tick (const NotchChart *chart, double x)
{
  char text[64];
  double at = notch_chart_x (chart, x), foot = chart->box.y + chart->box.height;
  write_number (x, "", text, sizeof text);
  notch_chart_rule (chart, at, chart->box.y, at, foot, NOTCH_INK_SILVER, 1);
  notch_chart_words (chart, at, foot + NOTCH_CHART_WORDS, text, FALSE);
}

/* Words that end left of the frame. */
static void
write_beside (const NotchChart *chart, double y, const char *text)
{
  const NotchWords style = { .size = NOTCH_CHART_WORDS, .ink = NOTCH_INK_CARBON };
  const double room = notch_paint_measure (chart->paint, text, &style).width;
  notch_chart_words (chart, chart->box.x - NOTCH_CHART_WORDS / 2.0 - room / 2, y, text, FALSE);
}

/* Multiples of a step, counted so that 0.3 is no 0.30000000000000004. */
static void
draw_levels (const NotchChart *chart)
{
  double scale = chart->percent ? 100 : 1, step = round_step (scale * (chart->top - chart->bottom) / 6);
  gint64 last = (gint64) floor (scale * chart->top / step + 1e-9);
  for (gint64 i = (gint64) ceil (scale * chart->bottom / step - 1e-9); i <= last; i++) {
    char text[64];
    double y = notch_chart_y (chart, (double) i * step / scale);
    write_number (round (1e9 * (double) i * step) / 1e9, chart->percent ? " %" : "", text, sizeof text);
    notch_chart_rule (chart, chart->box.x, y, chart->box.x + chart->box.width, y, NOTCH_INK_SILVER, 1);
    write_beside (chart, y, text);
  }
}

static void
draw_ticks (const NotchChart *chart)
{
  if (chart->is_log) {
    for (double power = ceil (chart->left - 1e-9); power <= chart->right + 1e-9; power++)
      draw_tick (chart, pow (10, power));
    return;
  }
  double step = MAX (round_step ((chart->right - chart->left) / 12), chart->whole ? 1 : 0);
  gint64 last = (gint64) floor (chart->right / step + 1e-9);
  for (gint64 i = (gint64) ceil (chart->left / step - 1e-9); i <= last; i++)
    draw_tick (chart, round (1e9 * (double) i * step) / 1e9);
}

void
notch_chart_axes (const NotchChart *chart, const char *title, const char *below)
{
  const NotchBox *box = &chart->box;
  draw_levels (chart);
  draw_ticks (chart);
  cairo_rectangle (notch_paint_pen (chart->paint), box->x, box->y, box->width, box->height);
  notch_paint_stroke (chart->paint, NOTCH_INK_SLATE, 1, 1.5, 0);
  notch_chart_words (chart, box->x + box->width / 2, box->y - 1.3 * NOTCH_CHART_WORDS, title, TRUE);
  notch_chart_words (chart, box->x + box->width / 2, box->y + box->height + 2.6 * NOTCH_CHART_WORDS, below, FALSE);
}

void
notch_chart_line (const NotchChart *chart, const double *x, const double *y, gsize n, NotchInk ink, double dash)
{
  cairo_t *pen = notch_paint_pen (chart->paint);
  gboolean down = FALSE;
  notch_paint_clip (chart->paint, &chart->box);
  for (gsize i = 0; i < n; i++) {
    gboolean known = !isnan (x[i]) && !isnan (y[i]);
    if (known && down)
      cairo_line_to (pen, notch_chart_x (chart, x[i]), notch_chart_y (chart, y[i]));
    else if (known)
      cairo_move_to (pen, notch_chart_x (chart, x[i]), notch_chart_y (chart, y[i]));
    down = known;
  }
  notch_paint_stroke (chart->paint, ink, 1, 2, dash);
  notch_paint_clip (chart->paint, NULL);
}

NotchInk
notch_chart_ink (int which)
{
  static const NotchInk ink[] = { NOTCH_INK_BLUE, NOTCH_INK_VERMILLION, NOTCH_INK_GREEN, NOTCH_INK_PURPLE };
  return ink[which % (int) G_N_ELEMENTS (ink)];
}

void
notch_chart_mark (const NotchChart *chart, int which, double x, double y)
{
  static const int corners[] = { 24, 4, 3, 5 };
  cairo_t *pen = notch_paint_pen (chart->paint);
  int n = corners[which % (int) G_N_ELEMENTS (corners)];
  for (int i = 0; i < n; i++) {
    double angle = 2 * G_PI * i / n - G_PI / 2;
    cairo_line_to (pen, x + 6 * cos (angle), y + 6 * sin (angle));
  }
  cairo_close_path (pen);
  notch_paint_fill (chart->paint, notch_chart_ink (which), 1);
}
