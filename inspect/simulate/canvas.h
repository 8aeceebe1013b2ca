/* canvas.h - what a class of defect draws on, and the table of classes */
#pragma once

#include "inspect/random.h"
#include "inspect/simulate/scene.h"

/* w x h pixels from (x0, y0). What is drawn has a peak near 1, or is grey levels a px of an edge's way. */
typedef struct {
  const NotchScene *scene;
  const NotchSceneDie *die;
  NotchRandom *random;
  gint64 x0, y0;
  int w, h;
  float *delta;        /* the sign included */
  float *shape;        /* what the mask is taken from, or NULL: delta */
  const double *place; /* px in the cell where a class that may choose must draw, or NULL */
  double chosen[2];    /* px in the cell that it drew at */
  double least, most;  /* factors by which delta may be scaled; 0, 0: any */
} NotchCanvas;

typedef enum { NOTCH_NEEDS_NOTHING, NOTCH_NEEDS_WIRES, NOTCH_NEEDS_FEATURES, NOTCH_NEEDS_PATTERN } NotchNeed;
typedef enum { NOTCH_CLASS_BASIC, NOTCH_CLASS_FURTHER, NOTCH_CLASS_NUISANCE, NOTCH_CLASS_NONE } NotchClassKind;

typedef struct {
  const char *name;
  NotchClassKind kind; /* basic: planted when no class is asked for */
  NotchNeed need;
  gboolean (*draw) (NotchCanvas *canvas); /* opens the canvas and draws; FALSE: not here */
} NotchDefectClass;

/* The class of an index from 0, or NULL behind the last. */
const NotchDefectClass *notch_defect_class (guint index);
/* Whether a layout has what a class needs. */
gboolean notch_defect_class_fits (const NotchDefectClass *class, const NotchLayout *layout);

/* Makes the canvas reach this far from a place in the image, empty. */
void notch_canvas_open (NotchCanvas *canvas, double x, double y, double reach_x, double reach_y);
/* An elliptical Gaussian of sigmas a and b, a turned by `angle` from +x towards +y. */
void notch_canvas_add_gaussian (const NotchCanvas *canvas, double x, double y, double a, double b, double angle,
                                double peak);
/* A place in the canvas's die, px in the image, `margin` away from the cell's border. */
void notch_canvas_choose_place (NotchCanvas *canvas, double margin, double *x, double *y);
/* Opens the canvas around a rectangle of the cell and draws it, shifted and blurred as its die. */
void notch_canvas_draw_rect (NotchCanvas *canvas, const NotchRect *rect);
/* Smooth noise of sigma 1 on the canvas, another one each time; free with g_free. */
float *notch_canvas_make_field (const NotchCanvas *canvas, double cell_x, double cell_y);
/* What is there without the defect, and how it rises a px along x and y: w x h each. */
void notch_canvas_render_slopes (const NotchCanvas *canvas, float *clean, float *along_x, float *along_y);
/* odd.c: what is of no class. */
gboolean notch_draw_odd (NotchCanvas *canvas);
/* Frees what was drawn. */
void notch_canvas_clear (NotchCanvas *canvas);
