/* score.h - what scoring is made of: trials, their statistics, and the ways to tell them */
#pragma once

#include <json-glib/json-glib.h>

#include "inspect/csv.h"

/* ---- statistics (fit.c) ------------------------------------------------------------------------------------------ */

/* 95 % confidence interval of a proportion k / n (Wilson 1927); 0 to 1 when n is 0. */
void notch_score_wilson (int k, int n, double *low, double *high);

/* 95 % confidence interval of the mean of a Poisson count k (Garwood 1936). */
void notch_score_poisson (int k, double *low, double *high);

/* Capture against SNR: P = top / (1 + exp (-slope (SNR - middle))). */
typedef struct {
  double top, slope, middle;
  double snr50, snr90; /* where P is 0.5 and 0.9; NAN where the curve does not get there among the trials */
} NotchScoreCurve;
/* Fits the curve to n trials by maximum likelihood. FALSE when there are fewer than 20 trials, 3 captured or 3 missed,
 * or capture does not rise with SNR: nothing can be said then. */
gboolean notch_score_fit (const double *snr, const gboolean *captured, int n, NotchScoreCurve *curve);

typedef struct {
  double low, high; /* NAN: open */
} NotchScoreInterval;
/* 95 % intervals of SNR50 and SNR90 over resampled trials (Efron 1979, percentiles; the curve's top is kept), always the
 * same for the same trials. With `other`, what another detector captured of the same defects, and its curve, `gap` is
 * that of this SNR90 less the other's: both are resampled together, so that what is hard for both cancels. */
typedef struct {
  NotchScoreInterval snr50, snr90, gap;
} NotchScoreSpread;
void notch_score_bootstrap (const double *snr, const gboolean *captured, const NotchScoreCurve *curve,
                            const gboolean *other, const NotchScoreCurve *other_curve, int n, NotchScoreSpread *spread);

/* ---- truth and detections (score.c) ------------------------------------------------------------------------------ */

typedef struct {
  const char *id, *type;  /* "" where the table has none; borrowed from the table */
  int image;              /* which pair, from 0 */
  double x, y;            /* px: centroid */
  double x0, y0, x1, y1;  /* px: box */
  double reach;           /* px: how far from the box a detection may be */
  double size, snr;       /* px; NAN where not known */
  gboolean counted;       /* by SNR and class */
  gboolean nuisance;      /* harmless: neither to be captured nor a false alarm */
  int n_found;            /* detections on it */
  double distance, peak;  /* px: of the nearest; the largest SNR of them */
  double found_size;      /* px: longer side of the largest of them; NAN where not known */
  const char *class_name; /* of the one with the largest */
} NotchTruth;

typedef struct {
  const char *id, *class_name;
  int image;
  double x, y, peak, size; /* NAN where not known */
  int truth;               /* index, -1: false alarm */
} NotchDetection;

/* One detector on all images. */
typedef struct {
  GPtrArray *table; /* NotchCsv, owned: what the strings below belong to */
  GArray *truth;    /* NotchTruth */
  GArray *found;    /* NotchDetection */
  int n_images;
} NotchTally;
NotchTally *notch_tally_new (const NotchScorePair *pair, int n, const NotchScoreOptions *options, GError **error);
void notch_tally_free (NotchTally *tally);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchTally, notch_tally_free)

static inline const NotchTruth *
notch_tally_truth (const NotchTally *tally, guint i)
{
  return &g_array_index (tally->truth, NotchTruth, i);
}

static inline const NotchDetection *
notch_tally_found (const NotchTally *tally, guint i)
{
  return &g_array_index (tally->found, NotchDetection, i);
}

/* ---- groups (group.c) -------------------------------------------------------------------------------------------- */

/* Defects whose capture is summed: a class, classes of a kind, or all. */
typedef struct {
  char *name;
  const char *type; /* of a single class; NULL: of a kind */
  int n, n_captured;
  double *snr; /* n_trials each: those whose SNR is known, in the truth's order */
  gboolean *captured, *other;
  int n_trials;
  gboolean fitted, other_fitted;
  NotchScoreCurve curve, other_curve;
  NotchScoreSpread spread;
} NotchScoreGroup;
/* The groups that have defects: points and blobs, scratches, stains, single classes that are not one of these by
 * themselves, and, last, all. `other` may be NULL, or another detector's tally of the same truth. */
GPtrArray *notch_score_groups (const NotchTally *tally, const NotchTally *other);
/* Whether a defect belongs to a group. */
gboolean notch_score_in_group (const NotchScoreGroup *group, const NotchTruth *truth);

/* Bins of SNR: from notch_score_bins[i] up to [i + 1]; the last has no end. */
#define NOTCH_SCORE_BINS 11
extern const double notch_score_bins[NOTCH_SCORE_BINS + 1];

/* ---- the trade (froc.c) ------------------------------------------------------------------------------------------ */

/* What would be left of a group if only peaks above a threshold were kept. */
typedef struct {
  double above; /* sigma; -INFINITY: all */
  int captured, alarms;
} NotchFrocPoint;
/* The points of a group from no false alarm to all, each the lowest threshold with so many; at most some 200. NULL when
 * a detection has no peak. */
GArray *notch_score_froc (const NotchTally *tally, const NotchScoreGroup *group);
gboolean notch_score_write_froc (const NotchTally *tally, const GPtrArray *groups, double megapixels, const char *path,
                                 GError **error);
/* Both curves as a picture (plot.c). */
gboolean notch_score_write_plot (const NotchTally *tally, const NotchTally *other, const GPtrArray *groups,
                                 double megapixels, const char *path, GError **error);

/* ---- the oracle (oracle.c) --------------------------------------------------------------------------------------- */

/* Inspects every pair's image with its clean image as reference and the noise known; the tally of what that finds. */
NotchTally *notch_score_oracle (const NotchScorePair *pair, int n, const NotchScoreOptions *options, GError **error);

/* ---- the report (tell.c) ----------------------------------------------------------------------------------------- */

/* Fills `score` and writes the text and the JSON object. `oracle` may be NULL. */
void notch_score_tell (const NotchTally *tally, const NotchTally *oracle, const GPtrArray *groups,
                       const NotchScoreOptions *options, NotchScore *score, GString *text, JsonBuilder *json);
