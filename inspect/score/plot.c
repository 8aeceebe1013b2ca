/* plot.c - capture against SNR, and against false alarms, side by side */
#include <math.h>

#include "inspect/report/paint.h"
#include "inspect/score/score.h"
#include "inspect/simulate/number.h"

#define WIDTH  1400
#define HEIGHT 640
#define SIZE   17. /* px: of words */

/* A diagram's frame on the page, and what its edges stand for. */
typedef struct {
  NotchPaint *paint;
  NotchBox box;
  double left, right; /* of the axis below; its logarithm where `is_log` */
  gboolean is_log;
} Axes;

static double
at_x (const Axes *axes, double x)
{
  double value = axes->is_log ? log10 (x) : x;
  return axes->box.x + (value - axes->left) / (axes->right - axes->left) * axes->box.width;
}

static double
at_y (const Axes *axes, double share)
{
  return axes->box.y + (1 - share) * axes->box.height;
}

static void
words (const Axes *axes, double x, double y, const char *text, gboolean bold)
{
  const NotchWords style = { .size = SIZE, .bold = bold, .ink = NOTCH_INK_CARBON };
  notch_paint_words_at (axes->paint, x, y, text, &style);
}

static void
rule (const Axes *axes, double x0, double y0, double x1, double y1, NotchInk ink, double width)
{
  cairo_t *pen = notch_paint_pen (axes->paint);
  cairo_move_to (pen, x0, y0);
  cairo_line_to (pen, x1, y1);
  notch_paint_stroke (axes->paint, ink, 1, width, 0);
}

static void
tick (const Axes *axes, double x, const char *label)
{
  rule (axes, at_x (axes, x), axes->box.y, at_x (axes, x), axes->box.y + axes->box.height, NOTCH_INK_SILVER, 1);
  words (axes, at_x (axes, x), axes->box.y + axes->box.height + SIZE, label, FALSE);
}

/* Frame, lines every 20 %, ticks and titles. */
static void
draw_axes (const Axes *axes, const char *title, const char *below)
{
  const NotchBox *box = &axes->box;
  for (int percent = 0; percent <= 100; percent += 20) {
    double y = at_y (axes, percent / 100.0);
    g_autofree char *label = g_strdup_printf ("%d %%", percent);
    rule (axes, box->x, y, box->x + box->width, y, NOTCH_INK_SILVER, 1);
    words (axes, box->x - 2 * SIZE, y, label, FALSE);
  }
  if (axes->is_log)
    for (double power = ceil (axes->left - 1e-9); power <= axes->right + 1e-9; power++)
      tick (axes, pow (10, power), notch_number (pow (10, power), -1).text);
  else {
    int step = notch_round_step ((axes->right - axes->left) / 12);
    for (int x = (int) ceil (axes->left / step) * step; x <= axes->right; x += step)
      tick (axes, x, notch_number (x, 0).text);
  }
  cairo_rectangle (notch_paint_pen (axes->paint), box->x, box->y, box->width, box->height);
  notch_paint_stroke (axes->paint, NOTCH_INK_SLATE, 1, 1.5, 0);
  words (axes, box->x + box->width / 2, box->y - 1.3 * SIZE, title, TRUE);
  words (axes, box->x + box->width / 2, box->y + box->height + 2.6 * SIZE, below, FALSE);
}

/* What is drawn: kinds and all; single classes would be too many lines. */
static gboolean
is_drawn (const NotchScoreGroup *group)
{
  return !group->type;
}

static const NotchInk inks[] = { NOTCH_INK_BLUE, NOTCH_INK_VERMILLION, NOTCH_INK_GREEN, NOTCH_INK_PURPLE };

/* Shapes, so that colour is not needed. */
static void
draw_mark (const Axes *axes, int which, double x, double y)
{
  static const int corners[] = { 24, 4, 3, 5 };
  cairo_t *pen = notch_paint_pen (axes->paint);
  int n = corners[which % (int) G_N_ELEMENTS (corners)];
  for (int i = 0; i < n; i++) {
    double angle = 2 * G_PI * i / n - G_PI / 2;
    cairo_line_to (pen, x + 6 * cos (angle), y + 6 * sin (angle));
  }
  cairo_close_path (pen);
  notch_paint_fill (axes->paint, inks[which % (int) G_N_ELEMENTS (inks)], 1);
}

static void
draw_curve (const Axes *axes, const NotchScoreCurve *curve, NotchInk ink, double dash)
{
  cairo_t *pen = notch_paint_pen (axes->paint);
  for (int i = 0; i <= 200; i++) {
    double snr = axes->left + (axes->right - axes->left) * i / 200;
    double p = curve->top / (1 + exp (-curve->slope * (snr - curve->middle)));
    cairo_line_to (pen, at_x (axes, snr), at_y (axes, p));
  }
  notch_paint_stroke (axes->paint, ink, 1, 2, dash);
}

/* Bins with their Wilson intervals, moved a little so that groups do not cover each other. */
static void
draw_bins (const Axes *axes, const NotchScoreGroup *group, int which)
{
  NotchInk ink = inks[which % (int) G_N_ELEMENTS (inks)];
  for (int bin = 0; bin < NOTCH_SCORE_BINS; bin++) {
    int n = 0, captured = 0;
    double sum = 0, low, high;
    for (int i = 0; i < group->n_trials; i++)
      if (group->snr[i] >= notch_score_bins[bin] && group->snr[i] < notch_score_bins[bin + 1]) {
        n++;
        captured += group->captured[i] != 0;
        sum += group->snr[i];
      }
    if (n < 3 || sum / n > axes->right)
      continue;
    notch_score_wilson (captured, n, &low, &high);
    double x = at_x (axes, sum / n) + 3 * (which - 1.5);
    rule (axes, x, at_y (axes, low), x, at_y (axes, high), ink, 1.5);
    draw_mark (axes, which, x, at_y (axes, (double) captured / n));
  }
}

static void
draw_trade (const Axes *axes, const NotchTally *tally, const NotchScoreGroup *group, double unit, int which)
{
  g_autoptr (GArray) points = notch_score_froc (tally, group);
  cairo_t *pen = notch_paint_pen (axes->paint);
  double y = 0, x = axes->box.x, last = 0;
  for (guint i = 0; points && i < points->len; i++) { /* steps: capture holds until the next false alarm */
    const NotchFrocPoint *p = &g_array_index (points, NotchFrocPoint, i);
    x = p->alarms == 0 ? axes->box.x : at_x (axes, p->alarms / unit);
    if (i > 0)
      cairo_line_to (pen, x, at_y (axes, last));
    y = at_y (axes, last = (double) p->captured / group->n);
    cairo_line_to (pen, x, y);
  }
  if (!points || points->len == 0)
    return;
  notch_paint_stroke (axes->paint, inks[which % (int) G_N_ELEMENTS (inks)], 1, 2, 0);
  draw_mark (axes, which, x, y);
}

static double
largest_snr (const NotchScoreGroup *all)
{
  double largest = 10;
  for (int i = 0; i < all->n_trials; i++)
    largest = MAX (largest, all->snr[i]);
  return MIN (largest, 40);
}

static void
draw_legend (const Axes *axes, const NotchScoreGroup *group, int which, gboolean other, double y)
{
  const NotchWords style = { .size = SIZE, .ink = NOTCH_INK_CARBON };
  g_autoptr (GString) text = g_string_new (group->name);
  g_string_append_printf (text, ": %d, SNR90 %s", group->n,
                          isnan (group->curve.snr90) ? "not reached" : notch_number (group->curve.snr90, 1).text);
  if (other)
    g_string_append_printf (text, ", oracle %s (dashed)",
                            isnan (group->other_curve.snr90) ? "not reached"
                                                             : notch_number (group->other_curve.snr90, 1).text);
  double x = axes->box.x + 10 + (which % 2) * 660;
  draw_mark (axes, which, x, y + SIZE * 0.45);
  notch_paint_words (axes->paint, x + 16, y, text->str, &style);
}

gboolean
notch_score_write_plot (const NotchTally *tally, const NotchTally *other, const GPtrArray *groups, double megapixels,
                        const char *path, GError **error)
{
  if (groups->len == 0) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: no defect to draw; leave --plot out", path);
    return FALSE;
  }
  g_autoptr (NotchPaint) paint = notch_paint_new ();
  const NotchScoreGroup *all = groups->pdata[groups->len - 1];
  double unit = tally->n_images * (megapixels > 0 ? megapixels : 1), alarms = 1;
  for (guint i = 0; i < tally->found->len; i++)
    alarms += notch_tally_found (tally, i)->truth < 0;
  const Axes snr = { paint, { 80, 60, 580, 420 }, 0, largest_snr (all), FALSE };
  const Axes trade = { paint, { 780, 60, 580, 420 }, floor (log10 (0.5 / unit)), ceil (log10 (alarms / unit)), TRUE };
  draw_axes (&snr, "Capture against SNR", "matched SNR of a defect");
  draw_axes (&trade, "Capture against false alarms",
             megapixels > 0 ? "false alarms per Mpx (left edge: none)" : "false alarms per image (left edge: none)");
  for (guint g = 0, which = 0; g < groups->len; g++) {
    const NotchScoreGroup *group = groups->pdata[g];
    if (!is_drawn (group))
      continue;
    NotchInk ink = inks[which % G_N_ELEMENTS (inks)];
    notch_paint_clip (paint, &snr.box);
    if (group->fitted)
      draw_curve (&snr, &group->curve, ink, 0);
    if (group->other_fitted)
      draw_curve (&snr, &group->other_curve, ink, 8);
    notch_paint_clip (paint, NULL);
    draw_bins (&snr, group, (int) which);
    draw_trade (&trade, tally, group, unit, (int) which);
    draw_legend (&snr, group, (int) which, other != NULL, 555 + (which / 2) * 1.8 * SIZE);
    which++;
  }
  NotchPage page = { .width = WIDTH, .height = HEIGHT, .paper = NOTCH_INK_WHITE, .jobs = 1 };
  page.source = path;
  page.description = "capture of defects against their SNR and against false alarms";
  return notch_paint_write (paint, &page, path, error);
}
