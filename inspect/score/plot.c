/* plot.c - capture against SNR, and against false alarms, side by side */
#include <math.h>

#include "inspect/report/chart.h"
#include "inspect/score/score.h"
#include "inspect/simulate/number.h"

#define WIDTH  1400
#define HEIGHT 640

/* What is drawn: kinds and all; single classes would be too many lines. */
static gboolean
is_drawn (const NotchScoreGroup *group)
{
  return !group->type;
}

static void
draw_curve (const NotchChart *chart, const NotchScoreCurve *curve, NotchInk ink, double dash)
{
  double snr[201], p[G_N_ELEMENTS (snr)];
  for (int i = 0; i < (int) G_N_ELEMENTS (snr); i++) {
    snr[i] = chart->left + (chart->right - chart->left) * i / (G_N_ELEMENTS (snr) - 1);
    p[i] = curve->top / (1 + exp (-curve->slope * (snr[i] - curve->middle)));
  }
  notch_chart_line (chart, snr, p, G_N_ELEMENTS (snr), ink, dash);
}

/* Bins with their Wilson intervals, moved a little so that groups do not cover each other. */
static void
draw_bins (const NotchChart *chart, const NotchScoreGroup *group, int which)
{
  NotchInk ink = notch_chart_ink (which);
  for (int bin = 0; bin < NOTCH_SCORE_BINS; bin++) {
    int n = 0, captured = 0;
    double sum = 0, low, high;
    for (int i = 0; i < group->n_trials; i++)
      if (group->snr[i] >= notch_score_bins[bin] && group->snr[i] < notch_score_bins[bin + 1]) {
        n++;
        captured += group->captured[i] != 0;
        sum += group->snr[i];
      }
    if (n < 3 || sum / n > chart->right)
      continue;
    notch_score_wilson (captured, n, &low, &high);
    double x = notch_chart_x (chart, sum / n) + 3 * (which - 1.5);
    notch_chart_rule (chart, x, notch_chart_y (chart, low), x, notch_chart_y (chart, high), ink, 1.5);
    notch_chart_mark (chart, which, x, notch_chart_y (chart, (double) captured / n));
  }
}

static void
draw_trade (const NotchChart *chart, const NotchTally *tally, const NotchScoreGroup *group, double unit, int which)
{
  g_autoptr (GArray) points = notch_score_froc (tally, group);
  cairo_t *pen = notch_paint_pen (chart->paint);
  double y = 0, x = chart->box.x, last = 0;
  for (guint i = 0; points && i < points->len; i++) { /* steps: capture holds until the next false alarm */
    const NotchFrocPoint *p = &g_array_index (points, NotchFrocPoint, i);
    x = p->alarms == 0 ? chart->box.x : notch_chart_x (chart, p->alarms / unit);
    if (i > 0)
      cairo_line_to (pen, x, notch_chart_y (chart, last));
    y = notch_chart_y (chart, last = (double) p->captured / group->n);
    cairo_line_to (pen, x, y);
  }
  if (!points || points->len == 0)
    return;
  notch_paint_stroke (chart->paint, notch_chart_ink (which), 1, 2, 0);
  notch_chart_mark (chart, which, x, y);
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
draw_legend (const NotchChart *chart, const NotchScoreGroup *group, int which, gboolean other, double y)
{
  const NotchWords style = { .size = NOTCH_CHART_WORDS, .ink = NOTCH_INK_CARBON };
  g_autoptr (GString) text = g_string_new (group->name);
  g_string_append_printf (text, ": %d, SNR90 %s", group->n,
                          isnan (group->curve.snr90) ? "not reached" : notch_number (group->curve.snr90, 1).text);
  if (other)
    g_string_append_printf (text, ", oracle %s (dashed)",
                            isnan (group->other_curve.snr90) ? "not reached"
                                                             : notch_number (group->other_curve.snr90, 1).text);
  double x = chart->box.x + 10 + (which % 2) * 660;
  notch_chart_mark (chart, which, x, y + NOTCH_CHART_WORDS * 0.45);
  notch_paint_words (chart->paint, x + 16, y, text->str, &style);
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
  const NotchChart snr = { paint, { 80, 60, 580, 420 }, 0, largest_snr (all), 0, 1, FALSE, TRUE, FALSE };
  const NotchChart trade = {
    paint, { 780, 60, 580, 420 }, floor (log10 (0.5 / unit)), ceil (log10 (alarms / unit)), 0, 1, TRUE, TRUE, FALSE
  };
  notch_chart_axes (&snr, "Capture against SNR", "matched SNR of a defect");
  notch_chart_axes (&trade, "Capture against false alarms",
                    megapixels > 0 ? "false alarms per Mpx (left edge: none)"
                                   : "false alarms per image (left edge: none)");
  for (guint g = 0, which = 0; g < groups->len; g++) {
    const NotchScoreGroup *group = groups->pdata[g];
    if (!is_drawn (group))
      continue;
    NotchInk ink = notch_chart_ink ((int) which);
    if (group->fitted)
      draw_curve (&snr, &group->curve, ink, 0);
    if (group->other_fitted)
      draw_curve (&snr, &group->other_curve, ink, 8);
    draw_bins (&snr, group, (int) which);
    draw_trade (&trade, tally, group, unit, (int) which);
    draw_legend (&snr, group, (int) which, other != NULL, 555 + (which / 2) * 1.8 * NOTCH_CHART_WORDS);
    which++;
  }
  NotchPage page = { .width = WIDTH, .height = HEIGHT, .paper = NOTCH_INK_WHITE, .jobs = 1 };
  page.source = path;
  page.description = "capture of defects against their SNR and against false alarms";
  return notch_paint_write (paint, &page, path, error);
}
