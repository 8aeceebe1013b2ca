/* plots.c - confusion, reliability, nuisances and learning as pictures */
#include "inspect/validate/plots.h"

#include <math.h>

#include "inspect/report/chart.h"
#include "inspect/simulate/number.h"

#define WORDS NOTCH_CHART_WORDS

static gboolean
write_page (const NotchPaint *paint, double width, double height, const char *description, const char *path,
            GError **error)
{
  const NotchPage page = { .width = (int) ceil (width),
                           .height = (int) ceil (height),
                           .paper = NOTCH_INK_WHITE,
                           .jobs = 1,
                           .source = path,
                           .description = description };
  return notch_paint_write (paint, &page, path, error);
}

/* ---- confusion ----------------------------------------------------------------------------------------------------- */

/* Where things are on the page, px. */
typedef struct {
  NotchPaint *paint;
  const NotchMetrics *m;
  const char *const *class_name;
  double x, y; /* of the first cell */
  double cell;
} Matrix;

static const char *
column_name (const Matrix *matrix, int k)
{
  return k < matrix->m->n_classes ? matrix->class_name[k] : "unknown";
}

static double
longest_name (const Matrix *matrix)
{
  const NotchWords style = { .size = WORDS };
  double longest = 0;
  for (int k = 0; k <= matrix->m->n_classes; k++)
    longest = MAX (longest, notch_paint_measure (matrix->paint, column_name (matrix, k), &style).width);
  return longest;
}

static gint64
row_sum (const NotchMetrics *m, int row)
{
  gint64 sum = 0;
  for (int k = 0; k <= m->n_classes; k++)
    sum += m->confusion[row * (m->n_classes + 1) + k];
  return sum;
}

/* Blue is right and vermillion wrong; words turn white where it is dark. Small numbers are made
 * smaller until they fit. */
static void
draw_cell (const Matrix *matrix, int row, int column)
{
  const NotchMetrics *m = matrix->m;
  gint64 n = m->confusion[row * (m->n_classes + 1) + column], all = row_sum (m, row);
  double share = all > 0 ? (double) n / (double) all : 0, cell = matrix->cell;
  double x = matrix->x + column * cell, y = matrix->y + row * cell;
  cairo_t *pen = notch_paint_pen (matrix->paint);
  /* what is rare among many is still seen */
  double shade = n > 0 ? 0.08 + 0.92 * sqrt (share) : 0;
  cairo_rectangle (pen, x, y, cell, cell);
  notch_paint_fill (matrix->paint,
                    notch_ink_mix (NOTCH_INK_WHITE, row == column ? NOTCH_INK_BLUE : NOTCH_INK_VERMILLION, shade), 1);
  cairo_rectangle (pen, x, y, cell, cell);
  notch_paint_stroke (matrix->paint, NOTCH_INK_SILVER, 1, 1, 0);
  if (n == 0)
    return;
  g_autofree char *text = g_strdup_printf ("%" G_GINT64_FORMAT, n);
  NotchWords style = { .size = WORDS, .ink = shade > 0.7 ? NOTCH_INK_WHITE : NOTCH_INK_CARBON };
  double width = notch_paint_measure (matrix->paint, text, &style).width;
  if (width > cell - 6)
    style.size *= (cell - 6) / width;
  notch_paint_words_at (matrix->paint, x + cell / 2, y + cell / 2, text, &style);
}

static void
draw_percent (const Matrix *matrix, double x, double y, double value)
{
  const NotchWords style = { .size = WORDS * 0.85, .ink = NOTCH_INK_CARBON };
  g_autofree char *text = isnan (value) ? g_strdup ("–") : g_strdup_printf ("%s", notch_number (100 * value, 1).text);
  notch_paint_words_at (matrix->paint, x, y, text, &style);
}

/* A row's name and recall; a column's name and purity. */
static void
draw_margins (const Matrix *matrix)
{
  const NotchMetrics *m = matrix->m;
  const NotchWords style = { .size = WORDS, .ink = NOTCH_INK_CARBON },
                   rising = { .size = WORDS, .ink = NOTCH_INK_CARBON, .rising = TRUE };
  double cell = matrix->cell, gap = 0.5 * WORDS, right = matrix->x + (m->n_classes + 1) * cell,
         below = matrix->y + m->n_classes * cell;
  for (int k = 0; k <= m->n_classes; k++) {
    double middle = (k + 0.5) * cell;
    NotchBox room = notch_paint_measure (matrix->paint, column_name (matrix, k), &rising);
    notch_paint_words (matrix->paint, matrix->x + middle - room.width / 2, matrix->y - gap - room.height,
                       column_name (matrix, k), &rising);
    if (k == m->n_classes)
      continue;
    room = notch_paint_measure (matrix->paint, matrix->class_name[k], &style);
    notch_paint_words (matrix->paint, matrix->x - gap - room.width, matrix->y + middle - room.height / 2,
                       matrix->class_name[k], &style);
    draw_percent (matrix, right + 2 * WORDS, matrix->y + middle, m->recall[k].value);
    draw_percent (matrix, matrix->x + middle, below + WORDS, m->purity[k].value);
  }
}

/* The titles of rows and columns, and what the whole is. */
static void
draw_titles (const Matrix *matrix, double names)
{
  const NotchMetrics *m = matrix->m;
  const NotchWords bold = { .size = WORDS, .bold = TRUE, .ink = NOTCH_INK_CARBON },
                   rising = { .size = WORDS, .bold = TRUE, .ink = NOTCH_INK_CARBON, .rising = TRUE },
                   plain = { .size = WORDS, .ink = NOTCH_INK_CARBON };
  double width = (m->n_classes + 1) * matrix->cell, height = m->n_classes * matrix->cell;
  double x = matrix->x + width / 2, y = matrix->y + height / 2;
  g_autoptr (GString) text = g_string_new (NULL);
  g_string_append_printf (text, "%" G_GINT64_FORMAT " examples of %d %s: macro-F1 %s, accuracy %s, kappa %s", m->n,
                          m->n_wafers, m->n_wafers == 1 ? "wafer" : "wafers", notch_number (m->macro_f1.value, 3).text,
                          notch_number (m->accuracy.value, 3).text, notch_number (m->kappa.value, 3).text);
  notch_paint_words (matrix->paint, WORDS, WORDS, text->str, &plain);
  notch_paint_words_at (matrix->paint, x, matrix->y - names - 2 * WORDS, "called", &bold);
  notch_paint_words_at (matrix->paint, matrix->x - names - 2 * WORDS, y, "true class", &rising);
  notch_paint_words_at (matrix->paint, x, matrix->y + height + 2.3 * WORDS, "purity, %", &bold);
  notch_paint_words_at (matrix->paint, matrix->x + width + 4.3 * WORDS, y, "recall, %", &rising);
}

gboolean
notch_plot_confusion (const NotchMetrics *metrics, const char *const *class_name, const char *path, GError **error)
{
  g_autoptr (NotchPaint) paint = notch_paint_new ();
  Matrix matrix = { .paint = paint, .m = metrics, .class_name = class_name };
  double names = longest_name (&matrix);
  matrix.cell = CLAMP (800. / (metrics->n_classes + 1), 36, 80);
  matrix.x = names + 4 * WORDS;
  matrix.y = names + 6 * WORDS;
  for (int row = 0; row < metrics->n_classes; row++)
    for (int column = 0; column <= metrics->n_classes; column++)
      draw_cell (&matrix, row, column);
  draw_margins (&matrix);
  draw_titles (&matrix, names);
  /* the line of figures above may be longer than the matrix */
  double width = MAX (matrix.x + (metrics->n_classes + 1) * matrix.cell + 6 * WORDS, 42 * WORDS);
  double height = matrix.y + metrics->n_classes * matrix.cell + 4 * WORDS;
  return write_page (paint, width, height, "classes that were said against true ones", path, error);
}

/* ---- reliability --------------------------------------------------------------------------------------------------- */

/* Bars from 0, of a bin's width less a gap. */
static void
draw_bars (const NotchChart *chart, const double value[NOTCH_RELIABILITY_BINS], NotchInk ink)
{
  cairo_t *pen = notch_paint_pen (chart->paint);
  for (int i = 0; i < NOTCH_RELIABILITY_BINS; i++) {
    double x0 = notch_chart_x (chart, (i + 0.08) / NOTCH_RELIABILITY_BINS),
           x1 = notch_chart_x (chart, (i + 0.92) / NOTCH_RELIABILITY_BINS);
    if (!(value[i] > 0))
      continue;
    cairo_rectangle (pen, x0, notch_chart_y (chart, value[i]), x1 - x0,
                     notch_chart_y (chart, 0) - notch_chart_y (chart, value[i]));
    notch_paint_fill (chart->paint, ink, 1);
  }
}

gboolean
notch_plot_reliability (const NotchMetrics *metrics, double temperature, const char *path, GError **error)
{
  static const double ends[] = { 0, 1 };
  g_autoptr (NotchPaint) paint = notch_paint_new ();
  double accuracy[NOTCH_RELIABILITY_BINS], share[NOTCH_RELIABILITY_BINS];
  for (int i = 0; i < NOTCH_RELIABILITY_BINS; i++) {
    accuracy[i] = metrics->bin[i].accuracy;
    share[i] = metrics->n > 0 ? (double) metrics->bin[i].n / (double) metrics->n : 0;
  }
  const NotchChart left = { paint, { 90, 60, 480, 480 }, 0, 1, 0, 1, FALSE, TRUE, FALSE };
  const NotchChart right = { paint, { 690, 60, 480, 480 }, 0, 1, 0, 1, FALSE, TRUE, FALSE };
  notch_chart_axes (&left, "Accuracy by confidence", "confidence");
  notch_chart_axes (&right, "Share of the examples by confidence", "confidence");
  draw_bars (&left, accuracy, NOTCH_INK_SKY);
  draw_bars (&right, share, NOTCH_INK_SKY);
  notch_chart_line (&left, ends, ends, 2, NOTCH_INK_VERMILLION, 8);
  for (int i = 0; i < NOTCH_RELIABILITY_BINS; i++)
    if (metrics->bin[i].n > 0)
      notch_chart_mark (&left, 0, notch_chart_x (&left, metrics->bin[i].confidence),
                        notch_chart_y (&left, metrics->bin[i].accuracy));
  g_autofree char *text =
      g_strdup_printf ("expected calibration error %s, Brier score %s, temperature %s; "
                       "bars end on the dashed line where confidence is true",
                       notch_number (metrics->ece.value, 4).text, notch_number (metrics->brier.value, 4).text,
                       notch_number (temperature, 3).text);
  notch_chart_words (&left, 630, 625, text, FALSE);
  return write_page (paint, 1260, 650, "accuracy against confidence", path, error);
}

/* ---- nuisances ----------------------------------------------------------------------------------------------------- */

gboolean
notch_plot_nuisance (const GArray *curve, const NotchNuisancePoint *chosen, const char *path, GError **error)
{
  g_autoptr (NotchPaint) paint = notch_paint_new ();
  g_autofree double *x = g_new (double, curve->len), *y = g_new (double, curve->len);
  for (guint i = 0; i < curve->len; i++) {
    const NotchNuisancePoint *point = &g_array_index (curve, NotchNuisancePoint, i);
    x[i] = point->removed;
    y[i] = point->kept;
  }
  const NotchChart chart = { paint, { 90, 60, 640, 420 }, 0, 1, 0.8, 1, FALSE, TRUE, FALSE };
  notch_chart_axes (&chart, "Defects of interest that are kept", "nuisances that are taken out, as a share");
  notch_chart_line (&chart, x, y, curve->len, notch_chart_ink (0), 0);
  notch_chart_mark (&chart, 1, notch_chart_x (&chart, chosen->removed),
                    notch_chart_y (&chart, MAX (chosen->kept, chart.bottom)));
  g_autofree char *text =
      g_strdup_printf ("marked: %s %% kept, %s %% taken out, at a nuisance probability of %s",
                       notch_number (100 * chosen->kept, 2).text, notch_number (100 * chosen->removed, 1).text,
                       isfinite (chosen->above) ? notch_number (chosen->above, 3).text : "none");
  notch_chart_words (&chart, 410, 565, text, FALSE);
  return write_page (paint, 800, 590, "defects of interest kept against nuisances taken out", path, error);
}

/* ---- learning ------------------------------------------------------------------------------------------------------ */

static double
largest_of (const double *a, const double *b, gsize n)
{
  double largest = 0;
  for (gsize i = 0; i < n; i++)
    largest = MAX (largest, MAX (isnan (a[i]) ? 0 : a[i], isnan (b[i]) ? 0 : b[i]));
  return largest > 0 ? largest : 1;
}

static void
draw_pair (const NotchChart *chart, const NotchLearning *learning, const double *learned, const double *held)
{
  g_autofree double *epoch = g_new (double, learning->n);
  for (gsize i = 0; i < learning->n; i++)
    epoch[i] = (double) i + 1;
  notch_chart_line (chart, epoch, learned, learning->n, notch_chart_ink (0), 0);
  notch_chart_line (chart, epoch, held, learning->n, notch_chart_ink (1), 8);
  if (learning->best > 0 && learning->best <= learning->n && !isnan (held[learning->best - 1]))
    notch_chart_mark (chart, 1, notch_chart_x (chart, (double) learning->best),
                      notch_chart_y (chart, held[learning->best - 1]));
}

gboolean
notch_plot_learning (const NotchLearning *learning, const char *path, GError **error)
{
  g_autoptr (NotchPaint) paint = notch_paint_new ();
  double last = (double) MAX (learning->n, 2),
         top = 1.05 * largest_of (learning->loss, learning->held_loss, learning->n);
  const NotchChart loss = { paint, { 90, 60, 540, 400 }, 1, last, 0, top, FALSE, FALSE, TRUE };
  const NotchChart accuracy = { paint, { 740, 60, 540, 400 }, 1, last, 0, 1, FALSE, TRUE, TRUE };
  notch_chart_axes (&loss, "Loss", "epoch");
  notch_chart_axes (&accuracy, "Accuracy", "epoch");
  draw_pair (&loss, learning, learning->loss, learning->held_loss);
  draw_pair (&accuracy, learning, learning->accuracy, learning->held_accuracy);
  const double y = 555;
  const NotchWords style = { .size = WORDS, .ink = NOTCH_INK_CARBON };
  notch_chart_rule (&loss, 90, y, 130, y, notch_chart_ink (0), 2);
  notch_paint_words (paint, 140, y - 0.7 * WORDS, "learned from", &style);
  notch_chart_rule (&loss, 290, y, 306, y, notch_chart_ink (1), 2);
  notch_chart_rule (&loss, 314, y, 330, y, notch_chart_ink (1), 2);
  notch_paint_words (paint, 340, y - 0.7 * WORDS, "held out (dashed)", &style);
  notch_chart_mark (&loss, 1, 540, y);
  notch_paint_words (paint, 556, y - 0.7 * WORDS, "the weights that were taken", &style);
  return write_page (paint, 1340, 590, "loss and accuracy, epoch by epoch", path, error);
}
