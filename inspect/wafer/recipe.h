/* recipe.h - everything that decides a result, typed
 *
 * The table of keys in recipe.c is the one place that knows names, types, defaults, ranges, units and the one-line
 * comments; the parser, `notch recipe new`, `recipe check` and notch-recipe(5) read it. Lengths that a fab engineer
 * knows from the design are µm or mm; what depends on the camera is px. */
#pragma once

#include "inspect/notch.h"

typedef enum {
  NOTCH_REFERENCE_AUTO,
  NOTCH_REFERENCE_DIE,
  NOTCH_REFERENCE_TEMPLATE,
  NOTCH_REFERENCE_EXACT,
  NOTCH_REFERENCE_GOLDEN,
  NOTCH_REFERENCE_ARRAY,
  NOTCH_REFERENCE_SURFACE
} NotchReferenceKind;
typedef enum { NOTCH_POLARITY_BOTH, NOTCH_POLARITY_BRIGHT, NOTCH_POLARITY_DARK } NotchPolarity;

#define NOTCH_MODEL_SHIPPED "shipped" /* names no file, but the model that is built in */

/* What a region counts from: every die's lower left corner, the wafer's centre, the image's lower left corner; y up. */
typedef enum { NOTCH_FRAME_DIE, NOTCH_FRAME_WAFER, NOTCH_FRAME_IMAGE } NotchFrameKind;

/* [region NAME]: a rectangle, a mask laid over it or over all of the frame, or polygons. */
typedef struct {
  char *name;
  NotchFrameKind frame;
  double x_um, y_um, width_um, height_um;
  char *mask, *polygons;     /* files, or NULL */
  gboolean exclude;          /* FALSE: a care area */
  NotchReferenceKind method; /* AUTO: the image\'s; of a rectangle only */
  double sensitivity;        /* against the others: 2 needs half the SNR that 1 needs */
} NotchRegion;

typedef struct { /* a row of [classify]: class.NAME = expression */
  char *name, *expression;
} NotchRule;

typedef struct { /* a row of [limits]: class.NAME = count */
  char *name;
  gint64 most;
} NotchClassLimit;

struct NotchRecipe {
  char *path;        /* where it was read from, or NULL */
  GHashTable *place; /* "group]key" and "group]" to "FILE:LINE" or "--set …": where they were given */
  struct {
    double diameter_mm, edge_exclusion_mm;      /* diameter 0: found in the image or none */
    int notch;                                  /* 0 down, 1 left, 2 up, 3 right; -1 found in the image */
    double pixel_um;                            /* 0: from the image's resolution tags, else 1 */
    double centre_x_px, centre_y_px, radius_px; /* radius 0: found */
    gboolean round;                             /* look for a wafer's edge at all */
  } wafer;
  struct {
    double pitch_x_um, pitch_y_um;   /* 0: found */
    double pitch_x_px, pitch_y_px;   /* 0: from _um */
    double origin_x_px, origin_y_px; /* corner of die (0, 0); NAN: found */
    double angle_mrad;               /* of the lattice, from +x towards +y (down) */
    gboolean partial;                /* inspect partial dice too */
    double search_px;                /* how far a die may be from its place */
    GArray *excluded;                /* int pairs col, row */
  } dice;
  struct {
    NotchReferenceKind method;
    char *image;             /* template */
    char *golden;            /* what notch learn made */
    int wander_px;           /* how far a feature may be from its place and be harmless */
    int neighbours;          /* K, 1 to NOTCH_MAX_SOURCES */
    int mesh_px;             /* surface: side of a cell of the background's mesh */
    double contrast;         /* times the reference's, that is still matched; 0: any */
    gboolean shading, focus; /* regress them out */
    double noise_a, noise_b; /* exact: the noise's variance is a + b grey */
    double scale;            /* exact: of the image's grey levels to the reference's */
  } reference;
  struct {
    double false_alarms; /* expected on an image without defects */
    NotchPolarity polarity;
    double smallest_px, largest_px; /* range of the filters' sigma */
    double least_sigma;             /* grey levels: no pixel is taken to be quieter */
    double edge_px;                 /* how far an edge may wander at least */
    gboolean lines;                 /* oriented filters too */
    double grow_sigma;              /* hysteresis */
    int merge_px;                   /* blobs this close are one */
    double candidate_sigma;         /* what peaks above it may be part of a scratch or a repeater; 0: nothing */
    double cluster_px;              /* reach of clusters; 0: found */
    int tile_px, halo_px;
    gint64 memory_mib; /* budget for image rows */
    int colour;        /* -1 luminance, 0 1 2 red green blue */
  } detect;
  GPtrArray *region; /* NotchRegion */
  struct {
    char *model;           /* what notch train made, or NOTCH_MODEL_SHIPPED, the default; NULL: the rules count */
    char *signature_model; /* likewise of wafer maps, whatever the rules; NULL: no signature */
    GPtrArray *rule;       /* NotchRule, in order */
  } classify;
  struct { /* -1: no limit */
    double defects, defects_per_die, density_per_cm2, failed_dice, drift;
    GPtrArray *per_class; /* NotchClassLimit */
  } limits;
  struct {
    int crops; /* at most so many, the strongest */
    int crop_px;
    int overlay_px; /* a longer side gets a reduced overview */
  } report;
};

/* Reads a recipe from text; `name` stands for the file in errors. */
NotchRecipe *notch_recipe_parse (const char *text, const char *name, GError **error);
/* Whether the keys fit each other; a recipe that was loaded does, one that was changed by notch_recipe_set may not. */
gboolean notch_recipe_check (const NotchRecipe *recipe, GError **error);
/* Whether the regions lie in a die of a size, in `unit`, which is what their lengths are then. */
gboolean notch_recipe_check_regions (const NotchRecipe *recipe, double width, double height, const char *unit,
                                     GError **error);
/* Whether it names a method, for the image or for a region. */
gboolean notch_recipe_asks_for (const NotchRecipe *recipe, NotchReferenceKind method);
/* Whether a number is in a key's range. */
gboolean notch_recipe_allows (const char *group, const char *key, double value);
/* What a message about a key begins with: "FILE:LINE: [group] key", "--set …: [group] key". */
char *notch_recipe_place (const NotchRecipe *recipe, const char *group, const char *key);
