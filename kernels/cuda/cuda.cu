/* cuda.cu - the CUDA backend: lanes, and what comes home */
#include "kernels/cuda/lane.cuh"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- lanes ------------------------------------------------------------------------------------------------------------- * */

int
notch_cuda_allocate_bytes (NotchLane *lane, void **memory, size_t bytes, bool pinned)
{
  NotchDevice *device = lane->device;
  std::lock_guard<std::mutex> guard (device->lock);
  NotchCudaMemory **spare = &device->free_memory;
  bytes = bytes > 0 ? bytes : 1;
  while (*spare && ((*spare)->bytes != bytes || (*spare)->pinned != pinned))
    spare = &(*spare)->next;
  NotchCudaMemory *taken = *spare;
  if (taken)
    *spare = taken->next;
  else {
    taken = (NotchCudaMemory *) calloc (1, sizeof *taken);
    if (!taken)
      return notch_cuda_fail_at (lane, cudaErrorMemoryAllocation, "memory of the host");
    taken->bytes = bytes, taken->pinned = pinned;
    cudaError_t error = notch_cuda_allocate_held (device, &taken->at, bytes, pinned);
    if (error != cudaSuccess)
      free (taken);
    NOTCH_CUDA (lane, pinned ? "memory of the host" : "memory of the device", error);
  }
  taken->next = lane->memory;
  lane->memory = taken;
  *memory = taken->at;
  return 0;
}

int
notch_cuda_send_bytes (NotchLane *lane, const char *doing, void *to, const void *from, size_t bytes)
{
  NOTCH_CUDA (lane, doing, cudaMemcpyAsync (to, from, bytes, cudaMemcpyHostToDevice, lane->stream));
  NOTCH_CUDA (lane, doing, cudaStreamSynchronize (lane->stream));
  return 0;
}

/* The lane's buffers, for lanes to come. */
static void
keep_memory (NotchLane *lane)
{
  NotchDevice *device = lane->device;
  std::lock_guard<std::mutex> guard (device->lock);
  while (lane->memory) {
    NotchCudaMemory *next = lane->memory->next;
    lane->memory->next = device->free_memory;
    device->free_memory = lane->memory;
    lane->memory = next;
  }
}

static void
lane_free (NotchLane *lane)
{
  if (!lane)
    return;
  cudaSetDevice (lane->device->index);
  if (lane->stream)
    cudaStreamSynchronize (lane->stream);
  notch_cuda_shift_free (lane);
  notch_cuda_label_free (lane);
  notch_cuda_filter_free (lane);
  notch_cuda_fit_free (lane);
  notch_cuda_refer_free (lane);
  keep_memory (lane);
  if (lane->tables_up)
    cudaEventDestroy (lane->tables_up);
  if (lane->stream)
    cudaStreamDestroy (lane->stream);
  free ((void *) lane->is.channel);
  free (lane);
  cudaGetLastError ();
}

static int
allocate_tables (NotchLane *lane)
{
  size_t tiles = (size_t) lane->is.batch, pieces = NOTCH_MAX_PIECES,
         sources = (size_t) NOTCH_MAX_PIECES * (NOTCH_MAX_SOURCES + 1);
  return notch_cuda_allocate (lane, &lane->tile, tiles) || notch_cuda_allocate (lane, &lane->piece, pieces)
                 || notch_cuda_allocate (lane, &lane->piece_tile, pieces)
                 || notch_cuda_allocate (lane, &lane->piece_rim, pieces)
                 || notch_cuda_allocate (lane, &lane->cell, pieces * NOTCH_FOLLOW_CELLS * NOTCH_FOLLOW_CELLS)
                 || notch_cuda_allocate (lane, &lane->source, sources) || notch_cuda_allocate (lane, &lane->fit, pieces)
                 || notch_cuda_allocate (lane, &lane->ref_noise, pieces)
                 || notch_cuda_allocate_pinned (lane, &lane->home_tile, tiles)
                 || notch_cuda_allocate_pinned (lane, &lane->home_piece, pieces)
                 || notch_cuda_allocate_pinned (lane, &lane->home_piece_tile, pieces)
                 || notch_cuda_allocate_pinned (lane, &lane->home_source, sources)
                 || notch_cuda_allocate_pinned (lane, &lane->home_fit, pieces)
             ? -1
             : 0;
}

static int
allocate_pixels (NotchLane *lane)
{
  size_t pixels = lane->area * (size_t) lane->is.batch;
  for (int i = 0; i < NOTCH_N_PLANES; i++)
    if (notch_cuda_allocate (lane, &lane->plane[i], pixels))
      return -1;
  lane->max_rim = (int64_t) (lane->area + 8 * (size_t) lane->is.size);
  return notch_cuda_allocate (lane, &lane->judged, pixels) || notch_cuda_allocate (lane, &lane->known, pixels)
                 || notch_cuda_allocate (lane, &lane->owner, pixels)
                 || notch_cuda_allocate (lane, &lane->weight, pixels)
                 || notch_cuda_allocate (lane, &lane->scratch, 2 * pixels)
                 || notch_cuda_allocate (lane, &lane->rim, (size_t) lane->max_rim * (size_t) lane->is.batch)
                 || notch_cuda_allocate (lane, &lane->state, (size_t) lane->is.batch)
                 || notch_cuda_allocate_pinned (lane, &lane->home_weight, pixels)
             ? -1
             : 0;
}

static int
allocate_results (NotchLane *lane)
{
  const NotchLaneSize *is = &lane->is;
  size_t tiles = (size_t) is->batch, blobs = tiles * ((size_t) is->max_blobs + 1);
  lane->max_seams = 8 * 32 * is->size;
  size_t seams = tiles * (size_t) lane->max_seams, patches = tiles * (size_t) is->max_patches;
  size_t pixels = patches * 2 * (size_t) is->patch_side * (size_t) is->patch_side;
  return notch_cuda_allocate (lane, &lane->head, tiles) || notch_cuda_allocate (lane, &lane->blob, blobs)
                 || notch_cuda_allocate (lane, &lane->seam, seams)
                 || notch_cuda_allocate (lane, &lane->patch_blob, patches)
                 || notch_cuda_allocate (lane, &lane->patch, pixels)
                 || notch_cuda_allocate_pinned (lane, &lane->home_head, tiles)
                 || notch_cuda_allocate_pinned (lane, &lane->home_blob, blobs)
                 || notch_cuda_allocate_pinned (lane, &lane->home_seam, seams)
                 || notch_cuda_allocate_pinned (lane, &lane->home_patch_blob, patches)
                 || notch_cuda_allocate_pinned (lane, &lane->home_patch, pixels)
             ? -1
             : 0;
}

/* Planes that no stage has written to yet hold 0, so that a batch which fills them in part computes with numbers. */
static int
fill_lane (NotchLane *lane)
{
  if (notch_cuda_enter (lane))
    return -1;
  NOTCH_CUDA (lane, "a stream", cudaStreamCreateWithFlags (&lane->stream, cudaStreamNonBlocking));
  NOTCH_CUDA (lane, "an event", cudaEventCreateWithFlags (&lane->tables_up, NOTCH_CUDA_EVENT));
  if (allocate_pixels (lane) || allocate_tables (lane) || allocate_results (lane))
    return -1;
  for (int i = 0; i < NOTCH_N_PLANES; i++)
    NOTCH_CUDA (
        lane, "clearing planes",
        cudaMemsetAsync (lane->plane[i], 0, lane->area * (size_t) lane->is.batch * sizeof (float), lane->stream));
  if (notch_cuda_refer_new (lane) || notch_cuda_fit_new (lane) || notch_cuda_filter_new (lane)
      || notch_cuda_label_new (lane) || notch_cuda_shift_new (lane))
    return -1;
  NOTCH_CUDA (lane, "making a lane", cudaStreamSynchronize (lane->stream));
  return 0;
}

static NotchLane *
lane_new (NotchDevice *device, const NotchLaneSize *is, NotchFault *fault)
{
  NotchLane *lane = (NotchLane *) calloc (1, sizeof *lane);
  size_t channels = sizeof *is->channel * (size_t) is->n_channels;
  NotchChannel *copy = lane ? (NotchChannel *) malloc (channels > 0 ? channels : 1) : NULL;
  if (!copy) {
    *fault = { "out of memory", true };
    free (lane);
    return NULL;
  }
  if (channels > 0)
    memcpy (copy, is->channel, channels);
  lane->device = device;
  lane->is = *is;
  lane->is.channel = copy;
  lane->area = (size_t) is->size * (size_t) is->size;
  if (fill_lane (lane) != 0) {
    *fault = lane->fault;
    lane_free (lane);
    return NULL;
  }
  return lane;
}

static const NotchFault *
fault_of (NotchLane *lane)
{
  return &lane->fault;
}

/* ---- home ---------------------------------------------------------------------------------------------------------------- */

template <class T>
static __device__ void
send_words (T *to, const T *from, size_t n)
{
  static_assert (sizeof (T) % sizeof (int) == 0, "tables are made of words");
  const int *word = (const int *) from;
  for (size_t i = threadIdx.x; i < n * (sizeof (T) / sizeof (int)); i += blockDim.x)
    ((int *) to)[i] = word[i];
}

/* Tables are written to the host's memory by the device, which alone knows how long they are: so the host waits once. */
static __global__ void
send_home (NotchLane lane)
{
  size_t t = blockIdx.x, blobs = (size_t) lane.is.max_blobs + 1, seams = (size_t) lane.max_seams;
  size_t patches = (size_t) lane.is.max_patches;
  size_t patch = 2 * (size_t) lane.is.patch_side * (size_t) lane.is.patch_side;
  const NotchTileHead *head = &lane.head[t];
  send_words (lane.home_head + t, head, 1);
  send_words (lane.home_blob + t * blobs, lane.blob + t * blobs, (size_t) head->n_blobs);
  send_words (lane.home_seam + t * seams, lane.seam + t * seams, (size_t) head->n_seams);
  send_words (lane.home_patch_blob + t * patches, lane.patch_blob + t * patches, (size_t) head->n_patches);
  send_words (lane.home_patch + t * patches * patch, lane.patch + t * patches * patch,
              (size_t) head->n_patches * patch);
}

static int
finish (NotchLane *lane, NotchTileFound *found)
{
  if (notch_cuda_enter (lane))
    return -1;
  NOTCH_LAUNCH (send_home, dim3 ((unsigned) lane->n_tiles), dim3 (256), 0, lane->stream, *lane);
  NOTCH_CUDA_LAUNCHED (lane, "bringing home");
  if (lane->n_pieces > 0)
    NOTCH_CUDA (lane, "bringing home",
                cudaMemcpyAsync (lane->home_fit, lane->fit, (size_t) lane->n_pieces * sizeof *lane->fit,
                                 cudaMemcpyDeviceToHost, lane->stream));
  NOTCH_CUDA (lane, "computing", cudaStreamSynchronize (lane->stream));
  size_t blobs = (size_t) lane->is.max_blobs + 1, patches = (size_t) lane->is.max_patches;
  size_t side = (size_t) lane->is.patch_side;
  for (size_t t = 0; t < (size_t) lane->n_tiles; t++) {
    const NotchTileHead *head = &lane->home_head[t];
    found[t].n_blobs = head->n_blobs;
    found[t].n_seams = head->n_seams;
    found[t].n_patches = head->n_patches;
    found[t].blob = lane->home_blob + t * blobs;
    found[t].seam = lane->home_seam + t * (size_t) lane->max_seams;
    found[t].patch_blob = lane->home_patch_blob + t * patches;
    found[t].patch = lane->home_patch + t * patches * 2 * side * side;
    found[t].swamped = head->swamped != 0;
    found[t].n_inspected = (int64_t) head->n_inspected;
    found[t].n_lost = (int64_t) head->n_lost;
    found[t].fit = lane->home_fit + lane->home_tile[t].first_piece;
  }
  return 0;
}

static int
peek (NotchLane *lane, int tile, NotchPlane plane, float *to)
{
  if (notch_cuda_enter (lane))
    return -1;
  NOTCH_CUDA (lane, "reading a plane",
              cudaMemcpyAsync (to, lane->plane[plane] + (size_t) tile * lane->area, lane->area * sizeof (float),
                               cudaMemcpyDeviceToHost, lane->stream));
  NOTCH_CUDA (lane, "computing", cudaStreamSynchronize (lane->stream));
  return 0;
}

static __global__ void
lose_poked (NotchLane lane, int tile)
{
  size_t i = (size_t) blockIdx.x * blockDim.x + threadIdx.x, at = (size_t) tile * lane.area + i;
  if (i >= lane.area || !isnan (lane.plane[NOTCH_PLANE_RES][at]))
    return;
  lane.known[at] |= NOTCH_KNOWN_TEST_LOST;
  NOTCH_STORE (&lane.state[tile].any_lost, 1);
}

static int
poke (NotchLane *lane, int tile, NotchPlane plane, const float *from)
{
  if (notch_cuda_enter (lane))
    return -1;
  NOTCH_CUDA (lane, "writing a plane",
              cudaMemcpyAsync (lane->plane[plane] + (size_t) tile * lane->area, from, lane->area * sizeof (float),
                               cudaMemcpyHostToDevice, lane->stream));
  NOTCH_CUDA (lane, "writing a plane", cudaStreamSynchronize (lane->stream));
  if (plane != NOTCH_PLANE_RES)
    return 0;
  NOTCH_LAUNCH (lose_poked, dim3 ((unsigned) ((lane->area + 255) / 256)), dim3 (256), 0, lane->stream, *lane, tile);
  NOTCH_CUDA_LAUNCHED (lane, "writing a plane");
  return notch_cuda_judge (lane);
}

/* Buffers for benchmarks. A lane keeps its memory to the end, so those of a call that wanted less stay beside those of one that
 * wants more. */
static int
make_buffers (NotchLane *lane, void **from, void **to, size_t *has, size_t bytes, bool pinned)
{
  if (notch_cuda_enter (lane))
    return -1;
  if (bytes <= *has)
    return 0;
  *has = 0;
  if (notch_cuda_allocate_bytes (lane, from, bytes, pinned) || notch_cuda_allocate_bytes (lane, to, bytes, false))
    return -1;
  *has = bytes;
  return 0;
}

static int
copy_buffers (NotchLane *lane, void *to, const void *from, size_t bytes, int times, cudaMemcpyKind kind)
{
  for (int i = 0; i < times; i++)
    NOTCH_CUDA (lane, "copying", cudaMemcpyAsync (to, from, bytes, kind, lane->stream));
  NOTCH_CUDA (lane, "copying", cudaStreamSynchronize (lane->stream));
  return 0;
}

static int
copy (NotchLane *lane, size_t bytes, int times)
{
  if (make_buffers (lane, &lane->copy_from, &lane->copy_to, &lane->copy_bytes, bytes, false))
    return -1;
  return copy_buffers (lane, lane->copy_to, lane->copy_from, bytes, times, cudaMemcpyDeviceToDevice);
}

static int
up (NotchLane *lane, size_t bytes, int times)
{
  if (make_buffers (lane, &lane->up_from, &lane->up_to, &lane->up_bytes, bytes, true))
    return -1;
  return copy_buffers (lane, lane->up_to, lane->up_from, bytes, times, cudaMemcpyHostToDevice);
}

static const NotchKernels kernels = {
  "cuda",
  notch_cuda_count,
  notch_cuda_open,
  notch_cuda_close,
  notch_cuda_works,
  notch_cuda_describe,
  notch_cuda_workers,
  notch_cuda_batch,
  notch_cuda_strip_up,
  notch_cuda_strip_free,
  notch_cuda_sent,
  lane_new,
  lane_free,
  fault_of,
  finish,
  peek,
  poke,
  copy,
  up,
  notch_cuda_transform,
#define NOTCH_STAGE(name, Args) notch_cuda_##name,
  NOTCH_STAGES (NOTCH_STAGE)
#undef NOTCH_STAGE
      & notch_cuda_net,
  notch_cuda_trees_up,
  notch_cuda_trees_free,
  notch_cuda_trees_sum,
  NOTCH_CUDA_TREES_ROWS,
};

extern "C" __attribute__ ((visibility ("default"))) const NotchKernels *
notch_kernels_module (int abi)
{
  return abi == NOTCH_KERNELS_ABI ? &kernels : NULL;
}
