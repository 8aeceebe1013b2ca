/* grid.h - where dice are: a lattice on the image, and the dice on it
 *
 * Die (col, row) counts to the right and down; (0, 0) is the leftmost column and the topmost row that hold a die that
 * lies in the image, unless the recipe names another origin. A die is its pitch cell, street included. Positions are px
 * in the image, pixel centres whole numbers, so a cell whose first pixel is 0 begins at -0.5. */
#pragma once

#include "inspect/wafer/recipe.h"

/* px that a cell may stick out of the image and still be whole, and reach into it and still be outside */
#define NOTCH_GRID_SLACK 1.0

typedef enum {
  NOTCH_DIE_WHOLE,    /* inspected */
  NOTCH_DIE_PARTIAL,  /* cut by the image's or the wafer's edge */
  NOTCH_DIE_EXCLUDED, /* by the recipe */
  NOTCH_DIE_OUTSIDE   /* not on the wafer */
} NotchDieKind;

typedef struct {
  int col, row;
  NotchDieKind kind;
  double x, y;     /* px: upper left corner of the cell by the lattice */
  double dx, dy;   /* px: measured shift of the pattern from there */
  float trust;     /* 0 to 1: how sure the shift is; 0 when it is the neighbours' */
  gboolean blank;  /* nothing in it to register by */
  gboolean failed; /* differs from its neighbours nearly everywhere */
  gint64 n_defects;
  double fit[2]; /* mean gain and offset against the reference, for the report */
} NotchDie;

typedef struct {
  double x, y;                              /* px: corner of die (0, 0) */
  double ax, ay;                            /* px: one column to the right */
  double bx, by;                            /* px: one row down */
  double sure;                              /* 0 to 1; 1 when the recipe said so */
  int first_col, first_row, n_cols, n_rows; /* the index range of `die` */
  GArray *die;                              /* NotchDie, row by row; n_cols x n_rows */
} NotchGrid;

void notch_grid_free (NotchGrid *grid);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchGrid, notch_grid_free)

/* The wafer's edge. radius 0: no edge is in the image, all of it is wafer. */
typedef struct {
  double x, y, radius; /* px */
  double rms;          /* px, of the fit */
  double arc;          /* fraction of the circumference seen */
  double notch_angle;  /* rad, from +x towards -y (up); NAN: not found */
  gboolean flat;       /* a flat, not a notch */
} NotchOutline;

/* Die (col, row), or NULL. */
NotchDie *notch_grid_die (const NotchGrid *grid, int col, int row);
/* The die whose cell holds a point, or NULL. A cell owns its left and its lower border, as in KLARF. */
NotchDie *notch_grid_locate (const NotchGrid *grid, double x, double y);
/* Where a point lies, in cells from the corner of die (0, 0): *col columns to the right, *row rows down. */
void notch_grid_to_cells (const NotchGrid *grid, double x, double y, double *col, double *row);
/* The inverse. */
void notch_grid_from_cells (const NotchGrid *grid, double col, double row, double *x, double *y);
/* Dice of a kind. */
int notch_grid_count (const NotchGrid *grid, NotchDieKind kind);

/* The dice of a recipe's lattice on an image of width x height px. `pixel_um` is 0 where it is not known; `outline` has
 * radius 0 where no wafer's edge is in the image; without an origin, dice begin with the first pixel. NULL without an error
 * when the recipe gives no pitch; an error when the pitch makes no sense for the image: a die larger than the image, µm
 * without a pixel size, too many dice. */
NotchGrid *notch_grid_new (const NotchRecipe *recipe, gint64 width, gint64 height, double pixel_um,
                           const NotchOutline *outline, GError **error);

/* Nothing smaller is a wafer; a pixel size that says so is wrong. */
#define NOTCH_LEAST_WAFER_MM 20

/* The ring along the wafer's edge that holds no whole die, px. Where the pixel size is not known, or would make a wafer
 * of less than NOTCH_LEAST_WAFER_MM, the diameter in the recipe gives the scale, and without one a wafer of 300 mm is
 * assumed. */
double notch_outline_exclusion (const NotchOutline *outline, const NotchRecipe *recipe, double pixel_um);
