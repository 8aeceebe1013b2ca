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
  double x, y;          /* px in the frame: corner of the cell */
  double dx, dy;        /* px in the image: shift of the pattern */
  double gain;          /* factor of the pattern over the street */
  double blur;          /* px: sigma of the optics here */
  double turn, stretch; /* rad, fraction: about its middle */
  double grow;          /* px by which every edge is further out */
  double warp[4];       /* px at its border: two bows, trapezium, barrel */
  guint64 key;          /* of its roughness */
} NotchSceneDie;

typedef struct {
  const char *type;    /* class name */
  int col, row;        /* die */
  double x, y;         /* px in the image: centroid weighted by what it adds */
  gint64 x0, y0;       /* px: first pixel of what it adds */
  int w, h;            /* px: extent of what it adds */
  float *delta;        /* w x h grey levels */
  float *shape;        /* w x h, what the mask is taken from; NULL: delta */
  float level;         /* which the mask begins at */
  gboolean thin;       /* its box says little about where it is */
  gboolean nuisance;   /* belongs to the clean image */
  int group;           /* of defects that belong together; 0: none */
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

/* px of a round wafer on this image. */
double notch_scene_wafer_radius (const NotchSimulation *simulation);
/* Image position of a frame position, and back. */
void notch_scene_to_image (const NotchScene *scene, double u, double v, double *x, double *y);
void notch_scene_to_frame (const NotchScene *scene, double x, double y, double *u, double *v);

/* Grey levels without noise and defects, but with nuisances: w x h pixels from (x, y), which may lie outside the image. */
void notch_scene_render (const NotchScene *scene, gint64 x, gint64 y, int w, int h, float *to);
/* Adds the defects that reach into a region. */
void notch_scene_add_planted (const NotchScene *scene, gint64 x, gint64 y, int w, int h, float *to);
/* Adds one rectangle of a die's pattern, blurred as the die is. */
void notch_scene_add_rect (const NotchScene *scene, const NotchSceneDie *die, const NotchRect *rect, gint64 x, gint64 y,
                           int w, int h, float *to);
/* (1 + erf (t / sqrt 2)) / 2, from a table, to 1e-7; exactly 0 and 1 beyond 5 sigma. */
double notch_scene_edge (double t);

/* ---- variation.c ---- */

/* Draws a die's rotation, scale, growth and warp. */
void notch_scene_vary_die (const NotchSimulation *simulation, gint64 col, gint64 row, NotchSceneDie *die);
/* Whether any pixel of the pattern moves beside its die's shift; and how far at most. */
gboolean notch_scene_moves (const NotchSimulation *simulation);
double notch_scene_move_reach (const NotchScene *scene, const NotchSceneDie *die);
/* px by which the pattern of a die is moved at w x h pixels from (x, y): rotation, scale, warp, roughness, swaths,
 * vibration. Rows are `stride` apart. */
void notch_scene_moves_at (const NotchScene *scene, const NotchSceneDie *die, gint64 x, gint64 y, int w, int h,
                           gsize stride, float *mx, float *my);
/* Adds texture where the pattern is bright. */
void notch_scene_add_grain (const NotchScene *scene, gint64 x, gint64 y, int w, int h, float *pattern);
/* The factor of brightness of w columns from x. */
void notch_scene_stage_gains (const NotchScene *scene, gint64 x, int w, float *gain);

/* ---- pattern.c ---- */

/* Fills the tables behind notch_scene_edge; before anything else is called. */
void notch_scene_prepare (void);
/* Adds the pattern of all dice to w x h pixels from (x, y). */
void notch_scene_add_pattern (const NotchScene *scene, gint64 x, gint64 y, int w, int h, float *to);

/* ---- sensor.c ---- */

/* Variance of a pixel in grey levels squared at a grey level; of the luminance where there is colour. */
double notch_scene_variance (const NotchSimulation *simulation, double grey);

/* Plants the defects that the simulation asks for; fills `planted`. */
gboolean notch_scene_plant (NotchScene *scene, GError **error);
/* Whether a name is a class of defect, or "all"; and their names with commas between. */
gboolean notch_defect_class_known (const char *name);
char *notch_defect_class_names (void);
/* Whether a pixel of its w x h belongs to the mask. */
gboolean notch_planted_covers (const NotchPlanted *planted, int i, int j);
