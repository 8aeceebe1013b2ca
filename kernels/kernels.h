/* kernels.h - the list of stages that every backend fills in
 *
 * A *tile* is a square of `size` x `size` pixels cut from a *strip* (raw image rows in memory). Its *core* is what it
 * answers for; the rest is halo, shared with its neighbours, so that no stage needs a border case. A *piece* is a
 * rectangle of a tile that has one set of reference sources: a part of one die. Where pieces overlap the last one counts,
 * and one without sources masks what came before it.
 *
 * A *lane* owns one worker's scratch, planes and FFT plans, all made by lane_new, which workers call at the same time.
 * Stages are called in the order of the list on one batch, `follow` between `fit` and `normalise`; nothing is allocated in
 * between, so a lane can live on any device.
 *
 * This folder knows no file, recipe or die, and no GLib. A stage returns 0, or -1 with the reason in fault (lane).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/fault.h"
#include "kernels/math/trees.h"
#include "kernels/net.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- what a strip holds ---------------------------------------------------------------------------------------- */

typedef enum { NOTCH_SAMPLE_U8, NOTCH_SAMPLE_U16, NOTCH_SAMPLE_F32 } NotchSample;

/* A float pixel beyond this, infinite or NAN is no number: it is never judged, and as a source it does not count. The
 * squares of what is within still fit a float. */
#define NOTCH_LARGEST_PIXEL 1e18f

/* Rows of an image in host memory; they stay what they are as long as the strip that is made of them is up. row[i] is image
 * row y + i over the whole width, or NULL where it was not asked for: a strip of the die method has gaps between the rows of
 * one die and those of the next. */
typedef struct {
  NotchSample sample;
  int64_t width, height; /* of the whole image, px */
  int64_t y;             /* image row of row[0] */
  int64_t n_rows;
  const void *const *row;
  uint64_t image; /* 0, or its number: rows of one number are the same whenever they come, so a device may keep them */
} NotchPixels;

typedef struct NotchDevice NotchDevice;     /* opaque: what a backend keeps per device */
typedef struct NotchStripMem NotchStripMem; /* opaque: a strip where the device can read it */
typedef struct NotchLane NotchLane;         /* opaque: one worker's memory */
typedef struct NotchTreesMem NotchTreesMem; /* opaque: decision trees where the device can read them */

/* ---- what a batch is ------------------------------------------------------------------------------------------- */

/* What a strip can be a part of. */
enum {
  NOTCH_MEM_IMAGE,     /* the image under test */
  NOTCH_MEM_REFERENCE, /* a template, or the mean of a golden die */
  NOTCH_MEM_SPREAD,    /* the sigma of a golden die */
  NOTCH_MEM_MESH,      /* a smooth background, a sample a cell of the mesh */
  NOTCH_MAX_MEM
};

/* Where a reference pixel comes from: for the tile pixel at image position (x, y) it is `mem` at
 * ((x + dx) zoom, (y + dy) zoom), interpolated. Where the slopes are not 0, dx and dy are those of the piece's middle, and at
 * (u, v) px from it they are (dx + xx u + xy v, dy + yx u + yy v); blocks of the piece may have one shift each. */
typedef struct {
  double dx, dy; /* px */
  double zoom;   /* samples of mem a pixel, above 0 and at most 1 */
  int mem;
  double xx, xy, yx, yy; /* px a px */
} NotchSourceShift;

typedef struct {
  int x, y, w, h;              /* px, in the tile */
  int first_source, n_sources; /* in NotchBatch.source; 0 sources: nothing to compare with, the piece is masked */
  int n_spreads;               /* 1: the source behind these tells a sigma; 0: none does */
} NotchPiece;

typedef struct {
  int64_t x, y;       /* image position of the tile's first pixel; the halo may lie outside the image */
  int core_x, core_y; /* first core pixel, in the tile */
  int core_w, core_h; /* px */
  int inside_x, inside_y, inside_w,
      inside_h; /* px, in the tile: what is far enough from the image's edge to be judged */
  int first_piece, n_pieces;
  const float *weight; /* size x size sensitivities, 0 where masked; NULL: 1 everywhere */
} NotchTile;

#define NOTCH_MAX_SOURCES 16   /* reference dice per piece */
#define NOTCH_MAX_PIECES  4096 /* per batch */

typedef struct {
  int n_tiles;
  const NotchTile *tile;
  const NotchPiece *piece;
  const NotchSourceShift *source;
  const NotchStripMem *mem[NOTCH_MAX_MEM]; /* NULL where no source is in it */
} NotchBatch;

/* ---- the stages' arguments ------------------------------------------------------------------------------------- */

/* Planes of a tile, size x size floats each, for peek and poke. */
typedef enum {
  NOTCH_PLANE_TEST,   /* grey levels */
  NOTCH_PLANE_REF,    /* grey levels; after `fit` on the test's scale */
  NOTCH_PLANE_RES,    /* test - reference, grey levels; NAN where one of them is no number */
  NOTCH_PLANE_Z,      /* residual in sigmas, 0 where masked */
  NOTCH_PLANE_SCORE,  /* size of the largest calibrated filter response, sigmas; its filter and sign in the last bits
                       * (math/score.h) */
  NOTCH_PLANE_FINE,   /* signed response of the first, finest filter, sigmas */
  NOTCH_PLANE_SPREAD, /* sigma that a golden die knows, grey levels; only of tiles that have a piece with a spread */
  NOTCH_N_PLANES
} NotchPlane;

/* Begin a batch: cut test tiles from the strip as floats; beyond the image its edge is repeated. Without a strip (mem[0]
 * NULL) the planes stay as they are, to be poked; a reference that is poked and not made by `refer` counts as free of
 * noise. */
typedef struct {
  const NotchBatch *batch;
} NotchGather;

typedef struct
{ /* reference tiles: interpolate every source (Lanczos-3), make three or more equally bright (a ratio that is
                  * a plane over the piece), take the median over them; SPREAD likewise */
  const NotchBatch *batch;
} NotchRefer;

/* Terms of the least-squares fit of the test on the reference, a bit each. SHADE is G*(u, v, u^2, uv, v^2), u and v
 * running over the piece; SHIFT is the reference's gradient; FOCUS its Laplacian. Without any of them there is still an
 * offset; NOTHING takes the reference, times `gain`, as it is. */
enum { NOTCH_FIT_NOTHING = -1, NOTCH_FIT_GAIN = 1, NOTCH_FIT_SHADE = 2, NOTCH_FIT_SHIFT = 4, NOTCH_FIT_FOCUS = 8 };
#define NOTCH_FIT_MAX 10 /* coefficients: 1, G, Gx, Gy, lap G, G*u, G*v, G*u*u, G*u*v, G*v*v */

typedef struct { /* regress gain, offset, shading, shift and focus out of every piece; leaves RES */
  const NotchBatch *batch;
  int terms;
  float gain; /* for NOTHING */
  int wander; /* px: what the fitted reference has this near, in a square, is no difference; 0: only its own place counts */
  float least;    /* grey levels: a pixel that is off by 4 of these is not left out, however quiet the others are */
  float contrast; /* a piece with more than so many times its reference's contrast, or less than that part of it, is not
                   * matched: nothing but an offset is taken out; 0: any contrast is matched, the opposite one too */
  int samples;    /* pixels of a piece that are regressed on, at most; 0: as many as a lane holds */
} NotchFit;

/* variance = a + b G + c |grad G|^2 + d (lap G)^2 + e G^2, grey levels squared; see math/noise.h */
typedef struct {
  float a, b, c, d, e;
} NotchNoise;

typedef struct
{ /* takes out of RES what edges that wander are off by, as far as the pixels along them tell (math/follow.h);
                  * c > 0. Only called where edges are rough */
  const NotchBatch *batch;
  NotchNoise noise; /* as it is before */
} NotchFollow;

typedef struct { /* sigmas away from the reference */
  const NotchBatch *batch;
  NotchNoise noise;
  float trust; /* 0 to 1: how much SPREAD counts where it says more than the model */
} NotchNormalise;

/* One matched filter. Its transfer function is made by lane_new from these numbers (math/filter.h). */
typedef enum { NOTCH_CHANNEL_BLOB, NOTCH_CHANNEL_LINE } NotchChannelKind;
typedef struct {
  NotchChannelKind kind;
  float sigma;  /* px: of the Gaussian; across the line */
  float length; /* px: half length of a line; 0 for a blob */
  float angle;  /* rad, direction of the line from +x towards +y (down); 0 for a blob */
  int decimate; /* 1, 2 or 4: the response is computed on every decimate-th pixel */
  float gain;   /* calibration: the response is multiplied by it; 1 before calibration */
} NotchChannel;

#define NOTCH_MAX_CHANNELS   48
#define NOTCH_HISTOGRAM_BINS 512 /* of |response|, NOTCH_HISTOGRAM_STEP sigmas each; the last is "and above" */
#define NOTCH_HISTOGRAM_STEP 0.03125f

/* A channel's null statistics over the cores of a batch: exact counts, and the mean squares that give the
 * gradient's covariance. */
typedef struct {
  int64_t histogram[NOTCH_HISTOGRAM_BINS];
  double sum2, sum_dx2, sum_dy2, sum_dxdy; /* of responses below 4 sigmas, and of their forward differences */
  int64_t n;
} NotchChannelStats;

typedef struct {
  const NotchBatch *batch;
  int n_channels;
  const NotchChannel *channel; /* the ones given to lane_new, now with their gains */
  NotchChannelStats *stats;    /* NULL, or n_channels to add to */
} NotchFilter;

typedef struct { /* pixels at or above `seed`, grown over |fine| >= grow; within `reach` px is connected */
  const NotchBatch *batch;
  float seed, grow; /* sigmas */
  int reach;        /* px, 1 is plain 8-connectivity */
} NotchLabel;

typedef struct { /* crops of TEST and REF around the blobs that `label` found with a seed, strongest
                  * first; TEST is NAN outside the image, REF where there is none */
  const NotchBatch *batch;
  int side;     /* px, at most twice the halo */
  int per_tile; /* at most so many a tile */
} NotchPatch;

/* Survey: how far is patch b from patch a? (Guizar-Sicairos et al. 2008, refined by Newton steps.) Frequencies of a few
 * cycles a patch count little: shading lives there. */
typedef struct {
  int64_t ax, ay, bx, by; /* first pixels in mem[0] or mem[1] */
  int mem_a, mem_b;
  float search; /* px: the largest |shift| to consider */
} NotchPair;

typedef struct {
  float dx, dy;    /* px: b(x + d) looks like a(x) */
  float psr;       /* peak over side lobes, in their sigmas */
  float ambiguity; /* second peak / first peak, 0 to 1 */
  float crlb;      /* px: the bound that noise sets on the shift's error */
} NotchShiftFound;

typedef struct {
  const NotchStripMem *mem[NOTCH_MAX_MEM];
  int n;
  const NotchPair *pair;
  float noise;            /* sigma of a pixel, grey levels, for crlb; 0: estimated from the two patches */
  NotchShiftFound *found; /* n */
} NotchShift;

typedef struct
{ /* add |FFT z|^2 of the tiles to `sum`, size x (size/2 + 1), in units where white noise of sigma 1 is 1 */
  const NotchBatch *batch;
  double *sum;
  int64_t *n;
} NotchPower;

#define NOTCH_STAGES(S)                                                                                                \
  S (gather, NotchGather)                                                                                              \
  S (refer, NotchRefer)                                                                                                \
  S (fit, NotchFit)                                                                                                    \
  S (normalise, NotchNormalise)                                                                                        \
  S (filter, NotchFilter)                                                                                              \
  S (label, NotchLabel)                                                                                                \
  S (patch, NotchPatch)                                                                                                \
  S (shift, NotchShift)                                                                                                \
  S (power, NotchPower)                                                                                                \
  S (follow, NotchFollow)

/* ---- what comes back ------------------------------------------------------------------------------------------- */

#define NOTCH_FERET_DIRECTIONS 16

/* Sums over the core pixels of one blob. Integers, and maxima with a total order, so that blobs join in any order to
 * the same bytes. Coordinates are image pixels relative to the tile's first pixel until join makes them absolute. */
typedef struct {
  int64_t n;                             /* pixels */
  int64_t n_seed;                        /* of them at or above the seed threshold */
  int64_t x, y, xx, yy, xy;              /* sums of coordinates and their products */
  int64_t w, wx, wy;                     /* weight fine^2 in 1/256 sigma^2, and weighted coordinates */
  int64_t res, res_abs;                  /* residual in 1/256 grey level: signed, absolute */
  int64_t ref, ref_edge;                 /* reference and |gradient| of it in 1/256 grey level */
  int64_t z;                             /* residual in sigmas, 1/256, signed */
  int32_t x0, y0, x1, y1;                /* bounding box, inclusive */
  int32_t feret[NOTCH_FERET_DIRECTIONS]; /* largest x cos + y sin over directions k pi / 8, in 1/256 px */
  int32_t peak;                          /* largest score, 1/256 sigma */
  int32_t peak_x, peak_y;                /* where; ties go to the smaller y, then x */
  int32_t peak_channel;                  /* which filter gave it */
  int32_t peak_dx, peak_dy;              /* from there to the middle of what that filter sees, 1/256 px (math/blob.h) */
  int32_t peak_dark;                     /* 1: it is darker than the reference */
} NotchBlob;

/* A masked core pixel within `reach` of the core's border: what join needs to see across the seam. */
typedef struct {
  int32_t x, y; /* in the tile */
  int32_t blob; /* index into the tile's blobs */
} NotchSeam;

typedef struct {
  int n_blobs, n_seams, n_patches;
  const NotchBlob *blob;
  const NotchSeam *seam;
  const int32_t *patch_blob;         /* n_patches: index into blob */
  const float *patch;                /* n_patches x 2 x side x side: test, reference */
  bool swamped;                      /* more blobs than the lane holds: all were joined to one */
  int64_t n_inspected;               /* core pixels that were not masked */
  int64_t n_lost;                    /* core pixels that are no number, or have no reference that is one */
  const float (*fit)[NOTCH_FIT_MAX]; /* a row a piece, what `fit` found */
} NotchTileFound;

/* ---- the backend ----------------------------------------------------------------------------------------------- */

typedef struct {
  int batch;                   /* tiles at once */
  int size;                    /* px, side of a tile: 2^a 3^b 5^c */
  int halo;                    /* px */
  int shift_size;              /* px, side of a registration patch */
  int max_blobs;               /* a tile */
  int patch_side, max_patches; /* px; a tile */
  int n_channels;
  const NotchChannel *channel; /* gains do not matter here */
  const float *whiten;         /* size x (size/2 + 1) power spectrum to divide by, or NULL for white noise */
} NotchLaneSize;

typedef struct {
  const char *name;                 /* "cpu", "cuda" */
  int (*count) (NotchFault *fault); /* devices; where there are none, why, or nothing that is known */
  NotchDevice *(*open) (int index, NotchFault *fault);
  void (*close) (NotchDevice *);
  bool (*works) (NotchDevice *,
                 NotchFault *fault); /* false and why: an error has spoiled it, and nothing will run on it */
  void (*describe) (NotchDevice *, char text[256]);
  int (*workers) (NotchDevice *, int jobs); /* lanes that keep the device busy */
  int (*batch) (NotchDevice *);             /* tiles a lane wants at once */
  NotchStripMem *(*strip_up) (NotchDevice *, const NotchPixels *, NotchFault *fault);
  void (*strip_free) (NotchStripMem *);
  uint64_t (*sent) (NotchDevice *); /* bytes that went up for strips since it was opened */
  NotchLane *(*lane_new) (NotchDevice *, const NotchLaneSize *, NotchFault *fault);
  void (*lane_free) (NotchLane *);
  const NotchFault *(*fault) (NotchLane *);
  int (*finish) (NotchLane *, NotchTileFound *); /* wait; one NotchTileFound a tile, valid until the next batch */
  int (*peek) (NotchLane *, int tile, NotchPlane, float *to); /* for tests, the survey and saved planes */
  int (*poke) (NotchLane *, int tile, NotchPlane, const float *from);
  /* Copies `bytes` from one place of the device's memory to another, `times` times, and waits until it is done: what the
   * device's memory gives, for benchmarks. Both places are the lane's; they are allocated by a call that wants more than
   * those before. */
  int (*copy) (NotchLane *, size_t bytes, int times);
  /* Likewise from pinned memory of the host to the device's; NULL where the two are one. */
  int (*up) (NotchLane *, size_t bytes, int times);
  /* Does the transforms of `filter` on the batch, all channels', and nothing else; for benchmarks. NULL where they are no calls
   * of a library. */
  int (*transform) (NotchLane *);
#define NOTCH_STAGE(name, Args) int (*name) (NotchLane *, const Args *);
  NOTCH_STAGES (NOTCH_STAGE)
#undef NOTCH_STAGE
  const NotchNetKernels *net; /* operations of networks, on lanes of their own */
  /* Decision trees; what they borrow stays until trees_free. */
  NotchTreesMem *(*trees_up) (NotchDevice *, const NotchTrees *, NotchFault *fault);
  void (*trees_free) (NotchTreesMem *);
  /* What they say of n rows of n_features values each (NAN: missing): n x n_classes sums, those of a class in the order of
   * its trees. The same bits on every device. Several threads may call at once. */
  int (*trees_sum) (NotchTreesMem *, const float *row, size_t n, float *sum, NotchFault *fault);
  size_t trees_rows; /* so many keep it busy: threads share out what is more */
} NotchKernels;

extern const NotchKernels notch_kernels_cpu;

/* The one symbol of a device module. `abi` is NOTCH_KERNELS_ABI of the program; a module built for another returns
 * NULL. */
#define NOTCH_KERNELS_ABI           11
#define NOTCH_KERNELS_MODULE_SYMBOL "notch_kernels_module"
typedef const NotchKernels *(*NotchKernelsModule) (int abi);

#ifdef __cplusplus
}
#endif
