/* mesh.h - a smooth background and what scatters about it, cell by cell (Bertin and Arnouts, Astronomy and Astrophysics
 * Supplement 117 (1996), 393)
 *
 * Each square cell of the image tells the level of its pixels but for those that stick out. A parabola through the cells
 * around makes the background of it, also where a cell has few pixels or none in what is inspected. */
#pragma once

#include "inspect/wafer/care.h"

typedef struct {
  float level, sigma; /* grey levels; NAN: too few of its pixels count */
  float share;        /* 0 to 1: of its pixels those that count */
  float u, v;         /* where their middle lies off the cell's, in cells */
  float clipped;      /* 0 to 1: the share of them that sticks out by more than three sigmas */
  gboolean
      patterned; /* its pixels have more in common than white noise has, or it does not go on as its neighbours do */
} NotchMeshCell;

/* Cells beyond the image on each side that `node` goes on for, so that nobody has to guess at the image's edge. */
#define NOTCH_MESH_MARGIN 3

struct NotchMesh {
  int px;                /* side of a cell */
  gint64 n_cols, n_rows; /* cells that cover the image; the last ones may reach beyond it */
  NotchMeshCell *cell;   /* row by row */
  float *node;        /* the background in the middle of each cell and of the margin's, without what sticks out of its
                          * neighbours; (n_cols + 2 margins) x (n_rows + 2 margins) */
  gint64 n_known;     /* cells with a level of their own */
  gint64 n_crowded;   /* of them, those with more than NOTCH_MESH_CROWDED clipped: structure as large as a cell */
  gint64 n_patterned; /* of them */
};

#define NOTCH_MESH_CROWDED 0.3

/* Measures a plan's image, a row of cells in memory at a time. What lies beyond the wafer's edge exclusion, in an excluded
 * region, or is no number does not count. Small images have smaller cells. */
NotchMesh *notch_mesh_new (const NotchPlan *plan, int px, GError **error);
void notch_mesh_free (NotchMesh *mesh);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchMesh, notch_mesh_free)

/* Is next to nothing in it but noise on a smooth background? */
gboolean notch_mesh_is_smooth (const NotchMesh *mesh);
/* So surely that it may be inspected unasked. */
gboolean notch_mesh_is_bare (const NotchMesh *mesh);

/* The background at n places of row y from x on, `step` cells apart; cell (0, 0) has its middle at (0, 0). Bicubic
 * (Keys, IEEE Transactions ASSP 29 (1981), 1153), so that planes and parabolas stay what they are. */
void notch_mesh_row (const NotchMesh *mesh, double x, double y, double step, gint64 n, float *to);
