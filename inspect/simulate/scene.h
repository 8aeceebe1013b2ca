/* scene.h - dice on an image as the optics show them, before the sensor; and what is planted on them
 *
 * The *frame* is the image before it is turned by the rotation about its centre. Grey levels are those of an 8-bit
 * image whatever the file's depth. Pixel centres are whole numbers, y down. */
#pragma once

#include "inspect/notch.h"
#include "inspect/simulate/layout.h"

typedef struct {
  gboolean printed;        /* on the wafer */
  gboolean present, whole; /* in the image, partly or not; whole: no edge of image or wafer cuts it */
  int col, row;
  double x, y;   /* px in the frame: corner of the cell */
  double dx, dy; /* px in the image: shift of the pattern */
  double gain;   /* factor of the pattern over the street */
  double blur;   /* px: sigma of the optics here */
} NotchSceneDie;

typedef struct {
  const char *type;    /* class name */
  int col, row;        /* die */
  double x, y;         /* px in the image: centroid weighted by what it adds */
  gint64 x0, y0;       /* px: first pixel of what it adds */
  int w, h;            /* px: extent of what it adds */
  float *delta;        /* w x h grey levels */
  gint64 box_x, box_y; /* px: first pixel of the mask, where it adds more than a quarter of its peak */
  int box_w, box_h, area;
  double snr;         /* matched: sqrt of the sum of (delta / sigma)^2 */
  double peak, sigma; /* signed grey levels where it adds most, and the noise there */
} NotchPlanted;

typedef struct {
  const NotchSimulation *simulation; /* borrowed; width, height and die size as resolved */
  NotchLayout *layout;               /* borrowed */
  int n_cols, n_rows;                /* of `die` */
  NotchSceneDie *die;                /* row by row; not all present */
  double cx, cy, cosine, sine;       /* of the image's turn */
  double radius;                     /* px of the wafer, 0: none */
  GArray *planted;                   /* NotchPlanted */
} NotchScene;

/* Places the dice. Both arguments must outlive the scene. */
NotchScene *notch_scene_new (const NotchSimulation *simulation, NotchLayout *layout, GError **error);
void notch_scene_free (NotchScene *scene);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchScene, notch_scene_free)

/* Image position of a frame position, and back. */
void notch_scene_to_image (const NotchScene *scene, double u, double v, double *x, double *y);
void notch_scene_to_frame (const NotchScene *scene, double x, double y, double *u, double *v);

/* Grey levels without noise and defects: w x h pixels from (x, y), which may lie outside the image. */
void notch_scene_render (const NotchScene *scene, gint64 x, gint64 y, int w, int h, float *to);
/* Adds the defects that reach into a region. */
void notch_scene_add_planted (const NotchScene *scene, gint64 x, gint64 y, int w, int h, float *to);
/* Adds one rectangle of a die's pattern, blurred as the die is. */
void notch_scene_add_rect (const NotchScene *scene, const NotchSceneDie *die, const NotchRect *rect, gint64 x, gint64 y,
                           int w, int h, float *to);
/* (1 + erf (t / sqrt 2)) / 2, from a table, to 1e-7; exactly 0 and 1 beyond 5 sigma. */
double notch_scene_edge (double t);

/* Variance of a pixel in grey levels squared at a grey level. */
double notch_scene_variance (const NotchSimulation *simulation, double grey);

/* Plants the defects that the simulation asks for; fills `planted`. */
gboolean notch_scene_plant (NotchScene *scene, GError **error);
/* Whether a name is a class of defect. */
gboolean notch_defect_class_known (const char *name);
