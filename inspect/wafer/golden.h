/* golden.h - the golden reference: what known-good dice look like, and by how much they differ
 *
 * A TIFF of three pages of 32-bit floats, all of one size: the mean, the standard deviation, both in grey levels, and the
 * number of dice that each pixel was learned from. The pages show one upright die with a margin of its neighbourhood. The
 * first page's ImageDescription is a JSON object with what the file must tell besides. */
#pragma once

#include "inspect/image/source.h"
#include "inspect/wafer/discover.h"
#include "inspect/wafer/plan.h"

/* px on each side of the die: interpolation needs 3, a turned cell the rest. */
#define NOTCH_GOLDEN_MARGIN 8

enum { NOTCH_GOLDEN_MEAN = 1, NOTCH_GOLDEN_SIGMA, NOTCH_GOLDEN_COUNT }; /* pages */

struct NotchGolden {
  double die_width, die_height; /* px: the pitch, street included */
  double pixel_um;              /* 0: not known */
  gint64 n_images, n_dice;      /* that it was learned from */
  NotchNoise noise;             /* of the dice against the mean */
  char *recipe;                 /* SHA-256 of the recipe that it was learned with; owned */
};

void notch_golden_free (NotchGolden *golden);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchGolden, notch_golden_free)

/* Size of the pages, px. */
void notch_golden_size (const NotchGolden *golden, gint64 *width, gint64 *height);
/* The JSON of the first page. */
char *notch_golden_describe (const NotchGolden *golden);
/* Opens one page (from 1) of a golden reference and, unless `golden` is NULL, tells what it is. Errors name the file:
 * another kind of TIFF, another version, sizes that contradict each other. */
NotchSource *notch_golden_open (const char *path, int page, guint64 budget, NotchGolden **golden, GError **error);
/* Finds the dice of an image that shows dice like the golden one, as notch_discover does; an image of about the die's size
 * is one die. Where the recipe gives no origin, the grid is moved to where the dice look like `picture`. Both NULL: dice of
 * any size, and an image in which nothing repeats is one die. */
NotchDiscovery *notch_golden_discover (const NotchGolden *golden, const NotchReduced *picture, NotchStore *store,
                                       const NotchSource *source, const NotchReduced *reduced, NotchRecipe *recipe,
                                       GError **error);
/* May dice of this size and pixel size (0: not known) be compared with the golden die? `path` names it, `image` the other
 * in the error. */
gboolean notch_golden_fits (const NotchGolden *golden, const char *path, const NotchGrid *grid, double pixel_um,
                            GError **error);

/* A die in an image: its lattice and how its pattern lies against that. */
typedef struct {
  double x, y, ax, ay, bx, by; /* px: corner and sides of the cell */
  NotchWarp warp;
} NotchGoldenDie;
NotchGoldenDie notch_golden_die (const NotchGrid *grid, const NotchDie *die, const NotchWarp *warp);
/* The golden pixel that shows what is at an image position, and the other way. */
void notch_golden_from_image (const NotchGolden *golden, const NotchGoldenDie *die, double x, double y,
                              double *golden_x, double *golden_y);
void notch_golden_to_image (const NotchGolden *golden, const NotchGoldenDie *die, double golden_x, double golden_y,
                            double *x, double *y);
/* How fast the shift between the two changes, px a px. */
double notch_golden_slope (const NotchGolden *golden, const NotchGoldenDie *die);
