/* lane.cuh - what the CUDA stages share: a device, strips on it, and one worker's memory
 *
 * A lane is a stream. Every stage of it starts kernels on that stream and returns; `finish`, `peek` and the stages whose
 * results lie in the caller's memory (stats, power, shift) wait. All tiles of a batch are worked on together: in a launch
 * over pixels blockIdx.z is the tile. Planes lie one tile behind the other, rows of `size` floats, so that a warp reads
 * 128 bytes that lie in a row. Everything is allocated when the lane is made. */
#pragma once

#include "kernels/cuda/launch.cuh"
#include "kernels/kernels.h"
#include "kernels/math/follow.h"
#include "kernels/math/source.h"

#include <cufft.h>
#include <mutex>
#include <vector>

/* ---- devices and strips ------------------------------------------------------------------------------------------ */

/* A strip as kernels see it: where each of its rows lies. */
struct NotchStripView {
  const unsigned char *const *row; /* n_rows: image row y + i, or the nearest one that the strip holds */
  int64_t y;                       /* image row of row[0] */
  int32_t width, n_rows;
  int32_t sample; /* NotchSample */
};

struct NotchStripMem {
  NotchStripView view; /* the rest is strip.cu's */
};

struct NotchCudaStrips; /* strip.cu */

/* A buffer of a lane, or one that waits for the next lane that wants as much. */
struct NotchCudaMemory {
  void *at;
  size_t bytes;
  bool pinned;
  NotchCudaMemory *next;
};

/* Transforms of cuFFT (fft.cuh). */
struct NotchCudaPlan {
  cufftHandle handle;
  bool made;
  size_t bytes; /* of work area */
  cufftType type;
  int side, n;
};

struct NotchCudaBank; /* filter.cu: transfer functions that lanes share */

struct NotchDevice {
  int index;
  char name[256];
  int major, minor, processors;
  size_t memory;                /* bytes */
  cudaStream_t copies;          /* strips go up on it, beside what lanes compute */
  std::mutex lock;              /* guards what follows */
  NotchCudaStrips *strips;      /* that are up, and rows kept for those to come */
  NotchCudaMemory *free_memory; /* of lanes that went: a survey makes and frees many of one size */
  std::vector<NotchCudaPlan> free_plan;
  std::mutex bank_lock; /* guards the next; whoever holds it may take `lock`, and not the other way round */
  NotchCudaBank *bank;  /* the latest one */
};

/* ---- lanes ----------------------------------------------------------------------------------------------------------- */

/* What a lane knows of a pixel. */
enum {
  NOTCH_KNOWN_COVERED = 1,   /* it has a reference */
  NOTCH_KNOWN_TEST_LOST = 2, /* it is no number */
  NOTCH_KNOWN_REF_LOST = 4   /* none of its sources is a number */
};

/* What kernels found out of a whole tile. */
struct NotchTileState {
  int any_lost;  /* a pixel is lost */
  int uncovered; /* a pixel has no reference */
};

/* What comes home of a tile, besides the tables that it counts. */
struct NotchTileHead {
  int n_blobs, n_seams, n_patches;
  int swamped;
  unsigned long long n_inspected, n_lost;
};

struct NotchCudaRefer;  /* refer.cu */
struct NotchCudaFit;    /* fit.cu */
struct NotchCudaFilter; /* filter.cu */
struct NotchCudaLabel;  /* label.cu */
struct NotchCudaShift;  /* shift.cu */

struct NotchLane {
  NotchDevice *device;
  NotchLaneSize is; /* its channels are the lane's own copy */
  NotchFault fault;
  cudaStream_t stream;
  NotchCudaMemory *memory; /* all that was allocated */
  size_t area;             /* size x size */

  /* On the device; tile t begins at t area. */
  float *plane[NOTCH_N_PLANES];
  uint8_t *judged; /* 1 where the pixel and its neighbours have a reference and a weight */
  uint8_t *known;  /* NOTCH_KNOWN_* */
  int16_t *owner;  /* the last piece over a pixel that has sources, counted from the tile's first; -1: none */
  NotchTileState *state;
  NotchTile *tile;        /* the batch's tiles; weights are pointers to device memory */
  NotchPiece *piece;      /* all tiles' pieces, those of a tile from its first_piece on */
  int32_t *piece_tile;    /* a piece each: whose it is */
  int64_t *piece_rim;     /* where its rim begins in `rim`; -1: none is kept */
  NotchFollowShift *cell; /* NOTCH_FOLLOW_CELLS squared a piece (math/follow.h) */
  NotchSourceShift *source;
  float *weight;
  float *rim;                  /* what a piece's own reference is one pixel beyond it (math/source.h) */
  NotchRefNoise *ref_noise;    /* a piece each */
  float (*fit)[NOTCH_FIT_MAX]; /* a row a piece */
  float *scratch;              /* 2 batch area floats that no stage counts on when it begins */

  /* The batch in work, in pinned memory. */
  int n_tiles, n_pieces, n_sources;
  NotchTile *home_tile;
  NotchPiece *home_piece;
  int32_t *home_piece_tile;
  int64_t max_rim; /* floats of `rim` for a tile */
  NotchSourceShift *home_source;
  float *home_weight;
  cudaEvent_t tables_up; /* the pinned tables may be written again */

  /* Results: on the device, filled by `label` and `patch`, tile t's at t times what a tile may have; and what came home. */
  int max_seams;       /* a tile; of blobs there are max_blobs + 1, of patches max_patches */
  NotchTileHead *head; /* a tile each; `gather` clears it */
  NotchBlob *blob;
  NotchSeam *seam;
  int32_t *patch_blob;
  float *patch; /* 2 x patch_side x patch_side a patch, test and reference */
  NotchTileHead *home_head;
  NotchBlob *home_blob;
  NotchSeam *home_seam;
  int32_t *home_patch_blob;
  float *home_patch;
  float (*home_fit)[NOTCH_FIT_MAX];

  void *copy_from, *copy_to; /* of `copy`, copy_bytes each */
  size_t copy_bytes;
  void *up_from, *up_to; /* of `up` */
  size_t up_bytes;

  NotchCudaRefer *refer;
  NotchCudaFit *fitting;
  NotchCudaFilter *filter;
  NotchCudaLabel *label;
  NotchCudaShift *shift;
};

/* Fills the lane's fault; -1. */
int notch_cuda_fail (NotchLane *lane, const char *format, ...) __attribute__ ((format (printf, 2, 3)));
int notch_cuda_fail_at (NotchLane *lane, cudaError_t error, const char *doing);
/* The same where there is no lane. */
void notch_cuda_tell (NotchFault *fault, const char *doing, cudaError_t error);

/* Leaves the function with -1 and a fault where a call of the runtime does not work; `doing` is what was tried. */
#define NOTCH_CUDA(lane, doing, call)                                                                                  \
  do {                                                                                                                 \
    cudaError_t error_ = (call);                                                                                       \
    if (error_ != cudaSuccess)                                                                                         \
      return notch_cuda_fail_at (lane, error_, doing);                                                                 \
  } while (0)

/* The same behind launches. */
#define NOTCH_CUDA_LAUNCHED(lane, doing) NOTCH_CUDA (lane, doing, cudaGetLastError ())

/* Of events: a thread that waits for one sleeps. */
#define NOTCH_CUDA_EVENT (cudaEventDisableTiming | cudaEventBlockingSync)

/* Makes the lane's device that of the calling thread; first thing in every stage. */
int notch_cuda_enter (NotchLane *lane);

/* Gives back what is kept for lanes and strips to come, where a library found no memory for what it allocates itself; false
 * where there was nothing. */
bool notch_cuda_make_room (NotchDevice *device);

/* Memory of a device that is the caller's, who frees it by cudaFree; what is kept for lanes and strips to come goes where there
 * is not enough. */
cudaError_t notch_cuda_device_memory (NotchDevice *device, void **memory, size_t bytes);

/* For those who hold the device's lock, and are on it: the same, of the device or, pinned, of the host; bytes that are free, or
 * would be without what is kept. */
cudaError_t notch_cuda_allocate_held (NotchDevice *device, void **memory, size_t bytes, bool pinned);
size_t notch_cuda_available (const NotchDevice *device);

/* The strips of a device, when it is opened and closed; and, for those who hold its lock, bytes of rows that no strip has, and
 * giving some of them back: false where there are none. */
cudaError_t notch_cuda_strips_new (NotchDevice *device);
void notch_cuda_strips_free (NotchDevice *device);
size_t notch_cuda_strips_spare (const NotchDevice *device);
bool notch_cuda_strips_release (NotchDevice *device);
bool notch_cuda_plans_release (NotchDevice *device); /* likewise */
void notch_cuda_bank_forget (NotchDevice *device);   /* when the device is closed */

/* Memory that lane_free gives back; its values are anything at first. -1 and a fault where there is none. */
int notch_cuda_allocate_bytes (NotchLane *lane, void **memory, size_t bytes, bool pinned);
template <class T>
static inline int
notch_cuda_allocate (NotchLane *lane, T **memory, size_t n)
{
  return notch_cuda_allocate_bytes (lane, (void **) memory, n * sizeof (T), false);
}
template <class T>
static inline int
notch_cuda_allocate_pinned (NotchLane *lane, T **memory, size_t n)
{
  return notch_cuda_allocate_bytes (lane, (void **) memory, n * sizeof (T), true);
}

/* Copies to the lane's memory and waits, for the host's memory need not be pinned and may be gone when the call is back. */
int notch_cuda_send_bytes (NotchLane *lane, const char *doing, void *to, const void *from, size_t bytes);
template <class T>
static inline int
notch_cuda_send (NotchLane *lane, const char *doing, T *to, const T *from, size_t n)
{
  return notch_cuda_send_bytes (lane, doing, to, from, n * sizeof (T));
}

/* What a file of stages keeps in a lane: made by lane_new after everything above; freed by lane_free, also half made. */
int notch_cuda_refer_new (NotchLane *lane);
void notch_cuda_refer_free (NotchLane *lane);
int notch_cuda_fit_new (NotchLane *lane);
void notch_cuda_fit_free (NotchLane *lane);
int notch_cuda_filter_new (NotchLane *lane);
void notch_cuda_filter_free (NotchLane *lane);
int notch_cuda_label_new (NotchLane *lane);
void notch_cuda_label_free (NotchLane *lane);
int notch_cuda_shift_new (NotchLane *lane);
void notch_cuda_shift_free (NotchLane *lane);

/* Marks what can be judged, after `known` changed. */
int notch_cuda_judge (NotchLane *lane);
/* Takes out of RES what the fitted reference has up to `reach` px beside the place. */
int notch_cuda_wander (NotchLane *lane, int reach);
/* Has the lane's stream wait until a strip has arrived. */
int notch_cuda_await (NotchLane *lane, const NotchStripMem *mem);

int notch_cuda_count (NotchFault *fault);
NotchDevice *notch_cuda_open (int index, NotchFault *fault);
void notch_cuda_close (NotchDevice *device);
bool notch_cuda_works (NotchDevice *device, NotchFault *fault);
void notch_cuda_describe (NotchDevice *device, char text[256]);
int notch_cuda_workers (NotchDevice *device, int jobs);
int notch_cuda_batch (NotchDevice *device);
NotchStripMem *notch_cuda_strip_up (NotchDevice *device, const NotchPixels *pixels, NotchFault *fault);
void notch_cuda_strip_free (NotchStripMem *mem);
uint64_t notch_cuda_sent (NotchDevice *device);

int notch_cuda_transform (NotchLane *lane); /* filter.cu */

extern const NotchNetKernels notch_cuda_net;

enum { NOTCH_CUDA_TREES_ROWS = 1 << 17 };
NotchTreesMem *notch_cuda_trees_up (NotchDevice *device, const NotchTrees *trees, NotchFault *fault);
void notch_cuda_trees_free (NotchTreesMem *mem);
int notch_cuda_trees_sum (NotchTreesMem *mem, const float *row, size_t n, float *sum, NotchFault *fault);

#define NOTCH_STAGE(name, Args) int notch_cuda_##name (NotchLane *, const Args *);
NOTCH_STAGES (NOTCH_STAGE)
#undef NOTCH_STAGE

/* ---- in kernels ------------------------------------------------------------------------------------------------------ */

/* Blocks over the pixels of all tiles of a batch: 32 x 8 threads, a pixel each. */
static inline dim3
notch_cuda_pixel_grid (const NotchLane *lane)
{
  unsigned size = (unsigned) lane->is.size;
  return dim3 ((size + 31) / 32, (size + 7) / 8, (unsigned) lane->n_tiles);
}
#define NOTCH_CUDA_PIXEL_BLOCK dim3 (32, 8)

/* Is nothing of a tile masked? Then `judged` is 1 but for the tile's outermost pixels, and those need not be looked at. */
static __device__ __forceinline__ bool
notch_cuda_all_judged (const NotchTile *tile, const NotchTileState *state, int size)
{
  return !tile->weight && !state->uncovered && !state->any_lost && tile->inside_x <= 0 && tile->inside_y <= 0
         && tile->inside_x + tile->inside_w >= size && tile->inside_y + tile->inside_h >= size;
}

/* The first sample of image row y; of the nearest row where the strip does not hold it. */
static __device__ __forceinline__ const unsigned char *
notch_cuda_row (const NotchStripView &strip, int64_t y)
{
  int64_t i = y - strip.y;
  i = i < 0 ? 0 : i >= strip.n_rows ? strip.n_rows - 1 : i;
  return strip.row[i];
}

/* Pixel x of a row; beyond the image's edge the edge's pixel is repeated. */
static __device__ __forceinline__ float
notch_cuda_sample (const NotchStripView &strip, const unsigned char *row, int64_t x)
{
  int32_t at = x < 0 ? 0 : x >= strip.width ? strip.width - 1 : (int32_t) x;
  if (strip.sample == NOTCH_SAMPLE_U8)
    return (float) row[at];
  if (strip.sample == NOTCH_SAMPLE_U16)
    return (float) ((const uint16_t *) row)[at];
  return ((const float *) row)[at];
}
