/* survey.h - the first pass: from an image and a recipe to a plan */
#pragma once

#include "inspect/reference/reference.h"
#include "inspect/wafer/care.h"

/* Fills a plan whose recipe, speed, source, store, grid, outline and pixel size are set: registers, then measures the noise on
 * tiles spread over the image and sets the filters and the threshold. */
gboolean notch_survey (NotchPlan *plan, const NotchReference *reference, const NotchCompute *compute, GError **error);

/* The filters of the plan's recipe and speed, gains 1. */
void notch_plan_make_bank (NotchPlan *plan);

/* A tile with all that belongs to it: what a task of the survey or the inspection is made from. */
typedef struct {
  NotchTile tile;
  GArray *piece;  /* NotchPiece */
  GArray *source; /* NotchSourceShift */
  float *weight;  /* NULL: 1 everywhere, or not weighed yet */
} NotchTileJob;

/* Whether the methods of the recipe's regions have something to compare them with. */
gboolean notch_tile_jobs_check (const NotchPlan *plan, GError **error);
/* Tile (col, row) of the plan; NULL when nothing of its core is to be inspected. */
NotchTileJob *notch_tile_job_new (const NotchPlan *plan, const NotchReference *reference, gint64 col, gint64 row);
/* Gives a tile its weights, where they are not 1 everywhere. It looks at every pixel: a worker's job. */
gboolean notch_tile_job_weigh (const NotchPlan *plan, NotchTileJob *job, GError **error);
void notch_tile_job_free (NotchTileJob *job);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchTileJob, notch_tile_job_free)

/* Finds the plan's keenest sensitivity. Returns NotchNoiseArea, in order of their weights: how many pixels have something
 * to be compared with at each of them, counted on a grid of places. */
GArray *notch_care_measure (NotchPlan *plan, const NotchReference *reference);

/* The strips that a row of tiles reads, up on the device; counted. */
typedef struct NotchBand NotchBand;
NotchBand *notch_band_new (const NotchPlan *plan, const NotchReference *reference, const NotchCompute *compute,
                           gint64 row, GError **error);
NotchBand *notch_band_acquire (NotchBand *band);
void notch_band_release (NotchBand *band);
/* Which device of those that compute it is up on: they take rows of tiles in turn. */
int notch_band_device (const NotchBand *band);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchBand, notch_band_release)

/* A batch of tiles over a band, with its tables. Weights stay the jobs' own. */
typedef struct {
  NotchBatch batch;
  GArray *tile, *piece, *source;
} NotchTileBatch;

NotchTileBatch *notch_tile_batch_new (const NotchBand *band, NotchTileJob *const *job, int n);
void notch_tile_batch_free (NotchTileBatch *batch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchTileBatch, notch_tile_batch_free)

/* What `fit` is to do with a batch. */
NotchFit notch_plan_fit (const NotchPlan *plan, const NotchReference *reference, const NotchBatch *batch);
