/* chart.h - diagrams with two axes */
#pragma once

#include "inspect/report/paint.h"

/* A diagram's frame on the page, and what its edges stand for. */
typedef struct {
  NotchPaint *paint;
  NotchBox box;
  double left, right, bottom, top;
  gboolean is_log;  /* the axis below is in logarithms: left and right are those to the base of 10 */
  gboolean percent; /* 0 to 1 beside is written as 0 to 100 % */
  gboolean whole;   /* the axis below counts: whole numbers only */
} NotchChart;

enum { NOTCH_CHART_WORDS = 17 }; /* px: size of words */

/* px on the page */
double notch_chart_x (const NotchChart *chart, double x);
double notch_chart_y (const NotchChart *chart, double y);

/* Frame, lines, what they stand for, and titles: above, and of the axis below. */
void notch_chart_axes (const NotchChart *chart, const char *title, const char *below);
/* Words centred on a place of the page. */
void notch_chart_words (const NotchChart *chart, double x, double y, const char *text, gboolean bold);
/* A straight line between two places of the page. */
void notch_chart_rule (const NotchChart *chart, double x0, double y0, double x1, double y1, NotchInk ink, double width);
/* A line through n places of the diagram, broken where one is NAN, inside the frame only. */
void notch_chart_line (const NotchChart *chart, const double *x, const double *y, gsize n, NotchInk ink, double dash);

/* How the series of a diagram look: colour and shape, so that neither is needed alone. */
NotchInk notch_chart_ink (int which);
/* On a place of the page. */
void notch_chart_mark (const NotchChart *chart, int which, double x, double y);
