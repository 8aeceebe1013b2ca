/* plan.h - what the survey decided about an image, and the inspection follows; immutable once made
 *
 * A pure function of the image and the recipe, so that shards agree without talking. */
#pragma once

#include "inspect/image/store.h"
#include "inspect/wafer/arrays.h"
#include "inspect/wafer/grid.h"
#include "inspect/wafer/recipe.h"
#include "inspect/wafer/regions.h"
#include "inspect/wafer/spectrum.h"

/* How the pattern of a die, or of a template, lies against its place: at (u, v) px from `centre` it is shifted by
 * (dx + xx u + xy v, dy + yx u + yy v) px. */
typedef struct {
  double centre_x, centre_y;
  double dx, dy;
  double xx, xy, yx, yy;
} NotchWarp;

#define NOTCH_WARP_NEIGHBOURS NOTCH_MAX_SOURCES

/* What an inspection spends on an image. */
typedef struct {
  int sources;      /* places that a place is compared with, at most */
  int fit_samples;  /* NotchFit.samples */
  int sample_tiles; /* that noise and threshold are measured on, about so many */
  gboolean lines;   /* whether there are filters for scratches */
} NotchSpeed;

/* Every filter; and what a quick screen needs. */
extern const NotchSpeed notch_speed_full, notch_speed_fast;

/* The dice that one die is compared with. */
typedef struct {
  int n;
  int die[NOTCH_WARP_NEIGHBOURS]; /* indices into grid->die */
} NotchNeighbours;

typedef struct {
  int size, halo, core;  /* px: of a tile, its halo, its core */
  gint64 n_cols, n_rows; /* tiles that cover the image */
} NotchTiling;

typedef struct NotchGolden NotchGolden;
typedef struct NotchDistortion NotchDistortion;
typedef struct NotchMesh NotchMesh;

typedef struct {
  const NotchRecipe *recipe;              /* borrowed */
  const NotchSpeed *speed;                /* borrowed */
  gboolean all_patches;                   /* crops of all defects are kept, up to thousands */
  NotchSource *source;                    /* borrowed */
  NotchStore *store;                      /* borrowed: rows of the image */
  NotchSource *mem_source[NOTCH_MAX_MEM]; /* owned: what the method compares with; NULL where it needs none. The */
  NotchStore *mem_store[NOTCH_MAX_MEM];   /* image itself is not among them */
  NotchTiling tiling;
  NotchGrid *grid; /* owned; NULL: none */
  NotchOutline outline;
  NotchArrays *arrays;   /* owned; NULL: none that count */
  NotchRegions *regions; /* owned; NULL: none */
  double pixel_um;       /* 1 when not known */
  gboolean pixel_known;
  NotchWarp *warp;             /* of every die, in the order of grid->die */
  NotchNeighbours *neighbours; /* likewise */
  NotchWarp template_warp;
  NotchDistortion *distortion; /* of a template beyond its warp, owned; NULL: none */
  NotchGolden *golden;         /* owned; NULL without a golden reference */
  NotchMesh *mesh;             /* owned; NULL unless it is the background that is compared with */
  double shift_rms;            /* px: of the shifts about their mean */
  NotchNoise noise;
  NotchNoise follow;     /* the noise before edges were followed; c = 0: they are not */
  float spread_trust;    /* NotchNormalise.trust */
  double noise_left_out; /* share of the sampled pixels beyond 5 sigmas */
  gboolean noise_known;  /* there is a sample tile that is like its reference */
  double z_rms;
  int n_channels;
  NotchChannel channel[NOTCH_MAX_CHANNELS];
  float *whiten;           /* size x (size/2 + 1), owned */
  NotchSpectrum *spectrum; /* NULL: no tile could tell; owned */
  double threshold;        /* sigmas */
  double keenest;          /* the largest sensitivity of what is inspected, which is a weight of 1; 0: not known yet */
  GPtrArray *warning;      /* char *, owned */
} NotchPlan;

void notch_plan_free (NotchPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchPlan, notch_plan_free)

/* Tiles of `size` px with a halo on each side that cover width x height px. */
NotchTiling notch_tiling_new (gint64 width, gint64 height, int size, int halo);

/* The shift at an image position. */
static inline void
notch_warp_at (const NotchWarp *warp, double x, double y, double *dx, double *dy)
{
  double u = x - warp->centre_x, v = y - warp->centre_y;
  *dx = warp->dx + warp->xx * u + warp->xy * v;
  *dy = warp->dy + warp->yx * u + warp->yy * v;
}

/* Fits a warp to n shifts (dx, dy) measured at (x, y) with weights, robustly (outliers beyond 3.5 MAD are dropped: of the
 * median shift first, then, with more than six left, of what an affine warp explains). The
 * affine part stays 0 unless it explains more than three times its share of the residual; FALSE: no shift could be used. */
gboolean notch_warp_fit (NotchWarp *warp, int n, const double *x, const double *y, const double *dx, const double *dy,
                         const double *weight);
