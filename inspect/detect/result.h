/* result.h - what is known about one inspected image; reports read it and change nothing */
#pragma once

#include "inspect/image/store.h"
#include "inspect/wafer/grid.h"
#include "inspect/wafer/mesh.h"
#include "inspect/wafer/recipe.h"
#include "inspect/wafer/spectrum.h"

/* The columns of numbers that a defect has, in the order of features.c's table. */
typedef enum {
  NOTCH_FEATURE_X,
  NOTCH_FEATURE_Y,
  NOTCH_FEATURE_WIDTH,
  NOTCH_FEATURE_HEIGHT,
  NOTCH_FEATURE_AREA,
  NOTCH_FEATURE_DIE_COL,
  NOTCH_FEATURE_DIE_ROW,
  NOTCH_FEATURE_DIE_X_UM,
  NOTCH_FEATURE_DIE_Y_UM,
  NOTCH_FEATURE_WAFER_X_UM,
  NOTCH_FEATURE_WAFER_Y_UM,
  NOTCH_FEATURE_SIZE_UM,
  NOTCH_FEATURE_AREA_UM2,
  NOTCH_FEATURE_PEAK_SNR,
  NOTCH_FEATURE_CONTRAST,
  NOTCH_FEATURE_ELONGATION,
  NOTCH_FEATURE_ANGLE_DEG,
  NOTCH_FEATURE_CLUSTER,
  NOTCH_FEATURE_REPEATER,
  NOTCH_FEATURE_SEED_PX,
  NOTCH_FEATURE_FLUX,
  NOTCH_FEATURE_BIPOLARITY,
  NOTCH_FEATURE_SCALE_PX,
  NOTCH_FEATURE_FILL,
  NOTCH_FEATURE_REFERENCE,
  NOTCH_FEATURE_EDGE,
  NOTCH_FEATURE_LINE,
  NOTCH_FEATURE_PARTS,
  NOTCH_FEATURE_LENGTH_UM,
  NOTCH_FEATURE_DICE,
  NOTCH_FEATURE_DIE_EDGE_PX,
  NOTCH_FEATURE_POLARITY,
  NOTCH_FEATURE_CORE_PX,
  NOTCH_FEATURE_ROUNDNESS,
  NOTCH_FEATURE_STRETCH,
  NOTCH_FEATURE_HOLES,
  NOTCH_FEATURE_HOLLOW,
  NOTCH_FEATURE_SKIRT,
  NOTCH_FEATURE_ROUGHNESS,
  NOTCH_FEATURE_CLARITY,
  NOTCH_FEATURE_STEP,
  NOTCH_FEATURE_TONE,
  NOTCH_FEATURE_BRIGHT,
  NOTCH_FEATURE_CHANGED,
  NOTCH_FEATURE_TOUCHED,
  NOTCH_FEATURE_LEFT,
  NOTCH_FEATURE_TAKEN,
  NOTCH_FEATURE_RIM,
  NOTCH_FEATURE_EDGE_FIT,
  NOTCH_FEATURE_TONE_FIT,
  NOTCH_FEATURE_SPOT_PX,
  NOTCH_FEATURE_SPOT_RATIO,
  NOTCH_FEATURE_SPOT_SNR,
  NOTCH_FEATURE_BOX_LONG,
  NOTCH_FEATURE_BOX_SHORT,
  NOTCH_FEATURE_BOX_GAIN,
  NOTCH_FEATURE_BOTH_LOSS,
  NOTCH_FEATURE_ONE_LOSS,
  NOTCH_FEATURE_FOUR_LOSS,
  NOTCH_FEATURE_GAP_PX,
  NOTCH_FEATURE_GAP_FILL,
  NOTCH_FEATURE_GAP_OFF,
  NOTCH_FEATURE_EDGES,
  NOTCH_FEATURE_DISC_PX,
  NOTCH_FEATURE_DISC_SOFT,
  NOTCH_FEATURE_DISC_GAIN,
  NOTCH_FEATURE_WAVY,
  NOTCH_FEATURE_WAVY_GAIN,
  NOTCH_FEATURE_BOX_SHARE,
  NOTCH_FEATURE_BOTH_SHARE,
  NOTCH_FEATURE_ONE_SHARE,
  NOTCH_FEATURE_FOUR_SHARE,
  NOTCH_FEATURE_DISC_SHARE,
  NOTCH_FEATURE_WAVY_SHARE,
  NOTCH_FEATURE_DISC_RIM_PX,
  NOTCH_FEATURE_LUMPS_FINE,
  NOTCH_FEATURE_LUMPS_COARSE,
  NOTCH_FEATURE_RIM_FINE,
  NOTCH_FEATURE_RIM_COARSE,
  NOTCH_FEATURE_FAR_1,
  NOTCH_FEATURE_FAR_2,
  NOTCH_FEATURE_FAR_4,
  NOTCH_FEATURE_FAR_8,
  NOTCH_FEATURE_WIDE_PX,
  NOTCH_FEATURE_WIDE_OFF,
  NOTCH_FEATURE_FILM,
  NOTCH_FEATURE_FILM_SNR,
  NOTCH_N_FEATURES
} NotchFeature;

typedef struct {
  const char *name;    /* CSV column, JSON key, name in rules */
  const char *unit;    /* "px", "um", "" */
  const char *summary; /* one line */
  int decimals;        /* in CSV */
  gboolean learn;      /* says the same on every wafer: classifiers learn from it */
} NotchFeatureInfo;
extern const NotchFeatureInfo notch_feature_info[NOTCH_N_FEATURES];

typedef struct {
  gint64 id;                      /* from 1 */
  double value[NOTCH_N_FEATURES]; /* NAN: does not apply, an empty CSV field */
  gint64 x0, y0, x1, y1;          /* bounding box in the image, inclusive */
  int class_index;                /* into NotchResult.class_name */
  double confidence;              /* 0 to 1 */
  gboolean nuisance;              /* it is flagged as one */
  GArray *part;                   /* NotchPart: what a linked scratch was put together from; NULL: one blob */
  float *patch;                   /* 2 x patch_side^2 (test, reference; NAN: none), or NULL */
} NotchDefect;

/* Defects that lie closer together than chance would have it; its number is its place in the list, from 1. */
typedef struct {
  guint n;
  double x0, y0, x1, y1; /* px: what holds their centroids */
  double p;              /* chance of as large a one among as many defects that lie anywhere */
} NotchCluster;

/* Defects at one place of several dice. */
typedef struct {
  guint n;                      /* dice */
  double die_x, die_y;          /* um */
  int reticle_col, reticle_row; /* which die of the reticle's field, from 0 */
  double p;                     /* chance of as many dice with a defect at one place */
} NotchRepeater;

/* How far what was found is from what the model learned from: a population stability index (classify/drift.h). */
typedef struct {
  char *name; /* of a column; "class": the mix of classes */
  double index;
} NotchDrift;

typedef struct {
  char *path, *stem;
  char *asked; /* what --resume compares; NULL: nothing */
  gint64 width, height;
  int page;
  NotchSample sample;
  double full_scale;
  double pixel_um; /* 0: unknown, µm columns are then px */
  gboolean pixel_known;
  const NotchRecipe *recipe; /* as used, every discovered number filled in; borrowed */
  NotchGrid *grid;           /* NULL: no dice (template on a whole image) */
  NotchOutline outline;
  char *reference_name;           /* the method's */
  GPtrArray *reference_names;     /* of all methods in use, the image's own first; NULL before it is inspected */
  GArray *defect;                 /* NotchDefect, ordered by die then position */
  GArray *cluster, *repeater;     /* NotchCluster, NotchRepeater; NULL: not looked for */
  int reticle_cols, reticle_rows; /* dice that are exposed at once, 0: nothing tells */
  int patch_side;
  GPtrArray *class_name; /* char *, in the order of the rules, "other" last, or of the model, "unknown" last */
  gint64 *class_count;   /* beside it */
  char *signature;       /* what the failed dice look like together; NULL: no model of maps, or too few dice */
  double signature_confidence, signature_chance; /* as in NotchSignature */
  char *signature_model, *signature_model_hash;  /* NULL: none */
  char *model, *model_hash;                      /* of the classifier: its file and SHA-256; NULL: the recipe's rules */
  GArray *drift;       /* NotchDrift, of every column that the model looks at, then of the classes; NULL: not known */
  gint64 inspected_px; /* pixels that were compared */
  double threshold;    /* sigmas */
  double noise[5];     /* a to e */
  double z_rms;        /* of the normalised residual, 1 when the noise model is right */
  NotchArrays *arrays; /* NULL: none */
  NotchSpectrum *spectrum; /* NULL: nothing was uniform enough */
  NotchMesh *mesh;         /* NULL: no surface was inspected */
  double shift_rms;        /* px, of the dice against the lattice, or of a template's patches against its warp */
  double distortion[2];    /* px, of a template beyond its warp: rms at edges, peak; 0 without */
  GPtrArray *warning;      /* char *: what the user must know */
  NotchVerdict verdict;
  GPtrArray *reason; /* char *: why it is rejected, or in trouble */
  double seconds[4]; /* reading and survey, inspection, reports, whole */
  char *device;
  /* A reduced image for maps and overviews: means over `reduction` x `reduction` px, width/reduction columns. */
  int reduction;
  gint64 reduced_width, reduced_height;
  float *reduced;
  double grey_low, grey_high; /* what to draw as black and white */
} NotchResult;

/* Frees everything but `recipe`; patches too, so `defect` has no clear function. The pointer arrays free their strings. */
void notch_result_free (NotchResult *result);
/* The largest of a list, the first of equals. */
const NotchDrift *notch_drift_largest (const GArray *drift);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchResult, notch_result_free)
