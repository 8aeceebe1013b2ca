/* reference.h - what a place should look like; one method a file, one row in the table of reference.c */
#pragma once

#include "inspect/compute/crew.h"
#include "inspect/compute/device.h"
#include "inspect/wafer/discover.h"
#include "inspect/wafer/plan.h"

/* Pixels along the image's edge that are not inspected: interpolation would look beyond it. */
#define NOTCH_BORDER 3

/* Rows that a row of tiles needs, of every image that it is cut from. */
#define NOTCH_MAX_RANGES 3
typedef struct {
  int n[NOTCH_MAX_MEM];
  NotchRows rows[NOTCH_MAX_MEM][NOTCH_MAX_RANGES];
} NotchNeeds;

typedef struct {
  const char *name, *summary;
  /* The reference is what the image is without defects and noise: nothing is fitted, the noise is the recipe's. */
  gboolean exact;
  /* The reference has no pattern that a fit could go by: nothing is fitted. */
  gboolean smooth;
  /* It compares dice, and has nothing to do without them. */
  gboolean dice;
  /* What is given to compare with, in NOTCH_MEM_REFERENCE: the key of [reference] that names it, and where a recipe has it.
   * NULL: nothing. */
  const char *file_key;
  gsize file;
  /* Finds the dice that the method compares, and completes the recipe; NULL: it needs none. A discovery without a grid
   * when there are none. */
  NotchDiscovery *(*discover) (NotchPlan *plan, const NotchReduced *reduced, NotchRecipe *recipe, GError **error);
  /* Registers what there is to register; fills the plan's warps. */
  gboolean (*prepare) (NotchPlan *plan, const NotchCompute *compute, GError **error);
  /* Rows for tiles whose first row is image row y, `size` rows high. */
  void (*needs) (const NotchPlan *plan, gint64 y, int size, NotchNeeds *needs);
  /* The pieces of a tile at (x, y), and their sources; both arrays are appended to. */
  void (*pieces) (const NotchPlan *plan, gint64 x, gint64 y, int size, GArray *piece, GArray *source);
} NotchReference;

extern const NotchReference notch_reference_array, notch_reference_die, notch_reference_exact, notch_reference_golden,
    notch_reference_surface, notch_reference_template;

/* The method that a recipe asks for. */
const NotchReference *notch_reference_of (const NotchRecipe *recipe);

/* The methods that an image is inspected with, each once: its own, then those of the recipe's regions. */
#define NOTCH_MAX_METHODS 8
typedef struct {
  int n;
  const NotchReference *method[NOTCH_MAX_METHODS];
} NotchMethods;
NotchMethods notch_reference_methods (const NotchRecipe *recipe, const NotchReference *own);
/* That of a region; NULL: the image's own. */
const NotchReference *notch_reference_of_region (const NotchRegion *region);
/* The one of them that says where dice are: what is given knows that best. NULL: none looks for dice. */
const NotchReference *notch_reference_finder (const NotchMethods *methods);
/* Whether the recipe's regions ask for methods that go together; and, if it is complete, name what they compare with, which
 * may yet come with an option. */
gboolean notch_reference_check (const NotchRecipe *recipe, gboolean complete, GError **error);
/* Adds rows to those that are needed. */
void notch_reference_add_needs (NotchNeeds *to, const NotchNeeds *more);

/* Measures n shifts between pairs of patches, spread over the crew's lanes; `strip` holds the rows of all of them. */
gboolean notch_reference_shifts (NotchCrew *crew, const NotchCompute *compute, const NotchPixels *image,
                                 const NotchPixels *other, int n, const NotchPair *pair, NotchShiftFound *found,
                                 GError **error);
/* The largest patch side that a shift can be measured with in width x height px; 0: too small. */
int notch_reference_patch_size (double width, double height);
/* Is a shift to be believed? */
gboolean notch_reference_trusted (const NotchShiftFound *found);
/* Appends one piece, within which shifts go on changing as they do across its middle; where `slope` tells that they change by
 * more than a twenty-fifth of a pixel, it is cut into some of 32 to 63 px, and `fit` finds what is wrong with the shift of
 * each. shift_at (x, y, k) gives source k's shift for the image position. */
typedef struct {
  gint64 tile_x, tile_y;
  int n_sources;
  int n_spreads; /* 1: source n_sources is where a sigma comes from */
  double slope;  /* px a px: the steepest change of any source's shift; 0: what is wrong with it, `follow` finds */
  void (*shift_at) (const void *context, double x, double y, int k, NotchSourceShift *shift);
  const void *context;
} NotchPieceMaker;
void notch_reference_append (const NotchPieceMaker *maker, int x, int y, int w, int h, GArray *piece, GArray *source);
