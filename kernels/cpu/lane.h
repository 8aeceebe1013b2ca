/* lane.h - what the CPU's stages share: one worker's memory */
#pragma once

#include "kernels/cpu/bundle.h"
#include "kernels/cpu/fft.h"
#include "kernels/kernels.h"
#include "kernels/math/fit.h"
#include "kernels/math/skirt.h"

#include <pthread.h>
#include <stdatomic.h>

/* The few hot loops are compiled for three generations of x86-64 and chosen at load time. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(NOTCH_NO_CLONES)
#define NOTCH_CLONES __attribute__ ((target_clones ("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define NOTCH_CLONES
#endif

struct NotchStripMem {
  NotchPixels pixels; /* the caller's own rows; they outlive the strip */
};

/* A filter made ready: its transfer function over the part of the spectrum that its resolution keeps. */
typedef struct {
  float *transfer; /* a block of columns after the other: side rows of NOTCH_BUNDLE; 0 beyond side / 2 */
  int decimate, side;
} NotchFilterPlan;

/* Filters take long to make, and lanes that are made together, or one after the other for the same image, want the same
 * ones: they make them together and share them, and a device keeps the last. Nothing but `refs` changes once they are made. */
typedef struct {
  atomic_int refs;
  atomic_int begun; /* filters that somebody makes or made, and more once all are */
  int made;         /* guarded by the device's lock */
  int size, halo, n_channels;
  NotchChannel channel[NOTCH_MAX_CHANNELS];
  float *whiten; /* as in NotchLaneSize, a copy */
  NotchFilterPlan filter[NOTCH_MAX_CHANNELS];
} NotchFilterBank;

struct NotchDevice {
  int processors;
  pthread_mutex_t lock; /* for the bank, and what of it is made */
  pthread_cond_t filters_made;
  NotchFilterBank *bank; /* NULL: none was made yet */
};

/* A row's stretch of masked pixels. */
typedef struct {
  int32_t y, x0, x1; /* inclusive */
  int32_t parent;    /* union-find over runs; the root is the smallest index */
} NotchRun;

/* refer: rows that a source works on, and what they are longer than a tile */
#define NOTCH_SOURCE_ROWS 8
#define NOTCH_SOURCE_PAD  64

/* What a lane knows of a pixel. */
enum {
  NOTCH_KNOWN_COVERED = 1,   /* it has a reference */
  NOTCH_KNOWN_TEST_LOST = 2, /* it is no number */
  NOTCH_KNOWN_REF_LOST = 4   /* none of its sources is a number */
};

struct NotchLane {
  NotchLaneSize is;
  NotchFault fault;
  float *plane[NOTCH_N_PLANES]; /* size x size each */
  const NotchTile *tile;        /* in work */
  float *level_score[3];        /* the score on every pixel, every 2nd, every 4th: strips of NOTCH_BUNDLE rows, each its
                                 * columns one after the other */
  uint8_t *judged;              /* size x size: 1 where the pixel and its neighbours have a reference and a weight */
  uint8_t *known;               /* size x size: what is known of a pixel, NOTCH_KNOWN_* */
  bool all_covered, all_judged, any_spread, any_lost;

  NotchBundleFft *fft[3]; /* by log2 of the decimation */
  float *spectrum;        /* blocks of columns, a bundle each; notch_cpu_block */
  float *product;         /* such blocks before their columns are transformed, or after it */
  float *bundle[3];       /* in work */
  float
      *response; /* of a filter, or a score by rows; size x size at most. `refer`, `fit` and `label` keep bytes in it */

  NotchFilterBank *bank; /* counted; NULL: the lane has no filters */

  float *stack;                 /* refer: ring of rows a source */
  float *basis, *normal_sorted; /* fit: sampled terms */
  float (*fit)[NOTCH_FIT_MAX];  /* a row a piece */
  NotchRefNoise *ref_noise;     /* likewise */
  ptrdiff_t *rim_at;            /* likewise: where its rim begins in `rim`; -1: none is kept */
  float *rim; /* what a piece's own reference is one pixel beyond the piece: a row above, a row below, then
                                 * left and right by turns */
  ptrdiff_t n_rim, max_rim;
  int max_pieces;

  NotchRun *run;
  int32_t *run_blob, *row_start;
  NotchBlob *blob;
  NotchPeak *peak;      /* of the score, in the order of their pixels */
  int32_t *peak_square; /* the last peak of each square, -1: it has none */
  int32_t *blob_peak;   /* where the peaks of the blobs were before their skirts were cut: y size + x */
  NotchTemplate template_[NOTCH_MAX_CHANNELS];
  int n_peaks;
  NotchSeam *seam;
  int n_blobs, n_seams, n_patches, max_seams;
  bool swamped;
  int64_t n_inspected, n_lost;
  float *patch;
  int32_t *patch_blob;

  NotchFft *shift_fft;
  float *shift_a, *shift_b, *shift_fa, *shift_fb, *shift_product, *shift_window;
  double *shift_wave; /* of series */

  float *copy_from, *copy_to; /* of `copy`, copy_bytes each; NULL before it is called */
  size_t copy_bytes;
};

int notch_cpu_fail (NotchLane *lane, const char *format, ...) __attribute__ ((format (printf, 2, 3)));

/* Marks a pixel that cannot be compared; what was marked counts once notch_cpu_judge has run. */
void notch_cpu_lose (NotchLane *lane, ptrdiff_t at, uint8_t why);
void notch_cpu_judge (NotchLane *lane);

/* Robust least squares of test - reference on a piece's terms, `area` px of them, reweighted three times: pixels beyond four
 * robust sigmas of the last round are left out (Holland and Welsch 1977). `n` samples lie in columns of `basis`. */
void notch_cpu_regress (NotchLane *lane, int n, const NotchFit *a, int area, const NotchRefNoise *noise,
                        float coefficient[NOTCH_FIT_MAX]);
/* Where two dice meet, interpolation mixes what belongs to one with what belongs to the other, and they are not lit and
 * placed alike. All along such a border this makes a faint line, which the long filters would see. */
void notch_cpu_level_borders (NotchLane *lane, const NotchPiece *piece, const NotchPiece *const *above, int n_above,
                              float *res, float *ref);
/* Later pieces that overlap one, at most so many; how many. */
#define NOTCH_CPU_MOST_ABOVE 256
int notch_cpu_pieces_above (const NotchLane *lane, const NotchBatch *batch, int p,
                            const NotchPiece *above[NOTCH_CPU_MOST_ABOVE]);
/* Does one of n later pieces cover a pixel? There the reference is theirs, and may be of another kind. */
static inline bool
notch_cpu_is_hidden (const NotchPiece *const *above, int n, int x, int y)
{
  for (int i = 0; i < n; i++)
    if (x >= above[i]->x && y >= above[i]->y && x < above[i]->x + above[i]->w && y < above[i]->y + above[i]->h)
      return true;
  return false;
}
/* The value that k of n are less than; they are put in another order. */
float notch_cpu_select (float *v, int n, int k);
/* Swaps a piece's rim and what the plane has there. */
void notch_cpu_swap_rim (float *plane, const NotchPiece *piece, int size, float *rim);

/* Takes out of RES what the fitted reference has up to `reach` px beside the place. */
void notch_cpu_wander (NotchLane *lane, int reach);

/* Are all of n pixels numbers? */
bool notch_cpu_all_numbers (const float *row, int n);
/* Copies n pixels of row y from column x as floats; beyond the image's edge the edge's pixel is repeated. A row that the
 * strip does not hold is taken from the nearest one that it does; the caller keeps to rows that it asked for. */
void notch_cpu_fetch (const NotchPixels *pixels, int64_t x, int64_t y, int n, float *to);

/* How many bundles hold n series; where a block of `spectrum` or `product` begins whose columns are `side` long. A row more
 * than there is keeps the blocks of a power of two off each other's places in the cache. */
static inline int
notch_cpu_n_bundles (int n)
{
  return (n + NOTCH_BUNDLE - 1) / NOTCH_BUNDLE;
}

static inline ptrdiff_t
notch_cpu_block (int side, int block)
{
  return (ptrdiff_t) block * (notch_cpu_n_bundles (side) * NOTCH_BUNDLE + 1) * 2 * NOTCH_BUNDLE;
}

/* Gives a lane its filters, the device's where those are the same, and what they work on. */
int notch_cpu_filter_new (NotchLane *lane, NotchDevice *device);
void notch_cpu_filter_free (NotchLane *lane);
void notch_cpu_bank_release (NotchFilterBank *bank); /* which may be NULL */

#define NOTCH_STAGE(name, Args) int notch_cpu_##name (NotchLane *, const Args *);
NOTCH_STAGES (NOTCH_STAGE)
#undef NOTCH_STAGE
