/* join.h - blobs of tiles become blobs of the image
 *
 * Two pixels of the mask belong together when they are at most `reach` px apart in x and in y. Each tile was labelled
 * by itself; join finds what belongs together across seams, adds the sums up, and drops what holds no seed pixel. Sums
 * are whole numbers and ties are broken by position, so nothing depends on the order in which tiles come, and patches
 * alone on how the image was cut into them. */
#pragma once

#include "inspect/detect/look.h"
#include "inspect/notch.h"
#include "kernels/kernels.h"

/* Sums of absolute coordinates: products of 10^9 px and as many pixels as an image has, without rounding. */
__extension__ typedef __int128 NotchWide;

/* A blob that became a part of a defect. */
typedef struct {
  double x, y;           /* px: its middle */
  gint64 x0, y0, x1, y1; /* px, inclusive */
  gint64 n;              /* pixels */
} NotchPart;

/* What a defect was put together from (inspect/sign/scratch.h). */
typedef struct {
  int parts;     /* 0: one blob, as it was found */
  int n_dice;    /* that they lie in */
  double length; /* px: from end to end along the parts */
  GArray *part;  /* NotchPart; NULL: one blob */
} NotchLinked;

/* A NotchBlob in image coordinates, with the same units (1/256), maxima and tie rule. */
typedef struct {
  gint64 n, n_seed;
  NotchWide x, y, xx, yy, xy;
  NotchWide w, wx, wy;
  NotchWide res, res_abs, ref, ref_edge, z;
  gint64 x0, y0, x1, y1; /* px, inclusive */
  gint64 feret[NOTCH_FERET_DIRECTIONS];
  int peak, peak_channel, peak_dark;
  gint64 peak_x, peak_y; /* px */
  int peak_dx, peak_dy;  /* 1/256 px */
  float *patch;          /* 2 x side x side (test, reference) of the strongest part that has one, or NULL */
  NotchLook look;        /* of that part, with or without a patch that is kept */
  int patch_peak;        /* that part's peak, and where; 0: there was none */
  gint64 patch_x, patch_y;
  NotchLinked linked;
} NotchJoined;

/* A blob of the tile whose first pixel is (x, y) of the image; no patch. */
void notch_joined_init (NotchJoined *joined, const NotchBlob *blob, gint64 x, gint64 y);
/* Frees the patch; the clear function of arrays of NotchJoined. */
void notch_joined_clear (NotchJoined *joined);

/* Forgets what a copy of it owns from now on. */
void notch_joined_forget (NotchJoined *joined);
/* Moves a blob to place i of an array of them, whose own blob was moved or cleared before. */
void notch_joined_move (GArray *to, guint i, NotchJoined *from);
/* Adds `from` to `to`; of two patches the stronger part's stays, `from` has none afterwards. */
void notch_joined_merge (NotchJoined *to, NotchJoined *from);

typedef struct NotchJoin NotchJoin;

/* tiles_in_row holds n_rows counts: so many tiles of each row of tiles will be added. Rows run from top to bottom:
 * every core pixel of a row lies below all of the rows before. reach is what `label` was given, at least 1 px. Of all
 * patches, of patch_side px, the max_patches with the strongest peaks are kept. */
NotchJoin *notch_join_new (int reach, int n_rows, const int *tiles_in_row, int patch_side, gsize max_patches);
void notch_join_free (NotchJoin *join);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchJoin, notch_join_free)

/* Adds a tile of row `row`, in any order, and what its patches look like, beside them, or NULL; everything is copied. One
 * thread at a time. Once all tiles of a row and of the rows above it are there, their seams are resolved, and only blobs that
 * a later row can touch stay open: besides the result, memory is that of the rows with tiles missing. */
void notch_join_add (NotchJoin *join, int row, const NotchTile *tile, const NotchTileFound *found,
                     const NotchLook *look);

/* The blobs with a seed, ordered by y0, x0, then peak (NotchJoined, owned by the caller). Tiles that were never added
 * count as empty. The join holds nothing afterwards. */
GArray *notch_join_finish (NotchJoin *join);
