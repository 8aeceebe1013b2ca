/* cuda.cu - the CUDA backend: devices, strips, lanes, and what comes home */
#include "kernels/cuda/lane.cuh"

#include <new>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- faults -------------------------------------------------------------------------------------------------------- */

int
notch_cuda_fail (NotchLane *lane, const char *format, ...)
{
  va_list arguments;
  va_start (arguments, format);
  vsnprintf (lane->fault.text, sizeof lane->fault.text, format, arguments);
  va_end (arguments);
  lane->fault.full = false;
  return -1;
}

void
notch_cuda_tell (NotchFault *fault, const char *doing, cudaError_t error)
{
  cudaGetLastError (); /* what was not fatal is forgotten with this batch */
  snprintf (fault->text, sizeof fault->text, "%s: %s (%s)", doing, cudaGetErrorString (error),
            cudaGetErrorName (error));
  fault->full = error == cudaErrorMemoryAllocation;
}

int
notch_cuda_fail_at (NotchLane *lane, cudaError_t error, const char *doing)
{
  notch_cuda_tell (&lane->fault, doing, error);
  return -1;
}

int
notch_cuda_enter (NotchLane *lane)
{
  NOTCH_CUDA (lane, "taking the device", cudaSetDevice (lane->device->index));
  return 0;
}

/* ---- devices ---------------------------------------------------------------------------------------------------------- */

enum { RING_BYTES = 8 << 20, MOST_LANES = 3, MOST_TILES = 16 };

static int
count (NotchFault *fault)
{
  int n = 0;
  cudaError_t error = cudaGetDeviceCount (&n);
  if (error == cudaSuccess)
    return n;
  notch_cuda_tell (fault, "looking for devices", error);
  return 0;
}

/* Gives back what is kept for strips and lanes to come; false where that is nothing. Holds the device's lock. */
static bool
release_spare (NotchDevice *device)
{
  bool any = device->free_strip || device->free_memory;
  while (device->free_strip) {
    NotchStripMem *next = device->free_strip->next;
    cudaEventDestroy (device->free_strip->ready);
    cudaFree (device->free_strip->memory);
    free (device->free_strip);
    device->free_strip = next;
  }
  while (device->free_memory) {
    NotchCudaMemory *next = device->free_memory->next;
    if (device->free_memory->pinned)
      cudaFreeHost (device->free_memory->at);
    else
      cudaFree (device->free_memory->at);
    free (device->free_memory);
    device->free_memory = next;
  }
  cudaGetLastError ();
  return any;
}

bool
notch_cuda_make_room (NotchDevice *device)
{
  std::lock_guard<std::mutex> guard (device->lock);
  return release_spare (device);
}

/* Memory of the device or, pinned, of the host; what is kept for others goes where there is not enough. Holds the device's
 * lock. */
static cudaError_t
allocate (NotchDevice *device, void **memory, size_t bytes, bool pinned)
{
  cudaError_t error;
  do
    error = pinned ? cudaHostAlloc (memory, bytes, cudaHostAllocPortable) : cudaMalloc (memory, bytes);
  while (error == cudaErrorMemoryAllocation && release_spare (device));
  return error;
}

cudaError_t
notch_cuda_device_memory (NotchDevice *device, void **memory, size_t bytes)
{
  std::lock_guard<std::mutex> guard (device->lock);
  cudaError_t error = cudaSetDevice (device->index);
  return error == cudaSuccess ? allocate (device, memory, bytes, false) : error;
}

static void
close_device (NotchDevice *device)
{
  cudaSetDevice (device->index);
  release_spare (device);
  for (int i = 0; i < NOTCH_CUDA_RING; i++) {
    if (device->ring_free[i])
      cudaEventDestroy (device->ring_free[i]);
    if (device->ring[i])
      cudaFreeHost (device->ring[i]);
  }
  if (device->copies)
    cudaStreamDestroy (device->copies);
  delete device;
}

static NotchDevice *
open_device (int index, NotchFault *fault)
{
  cudaDeviceProp is;
  cudaError_t error = cudaSetDevice (index);
  if (error == cudaSuccess) {
    /* A thread that waits for the card sleeps: those that decode images have use for the core. Where somebody else has set
     * flags before, it spins. */
    if (cudaSetDeviceFlags (cudaDeviceScheduleBlockingSync) != cudaSuccess)
      cudaGetLastError ();
    error = cudaGetDeviceProperties (&is, index);
  }
  if (error != cudaSuccess) {
    notch_cuda_tell (fault, "opening it", error);
    return NULL;
  }
  NotchDevice *device = new (std::nothrow) NotchDevice ();
  if (!device) {
    *fault = { "out of memory", true };
    return NULL;
  }
  device->index = index;
  snprintf (device->name, sizeof device->name, "%s", is.name);
  device->major = is.major, device->minor = is.minor;
  device->processors = is.multiProcessorCount;
  device->memory = is.totalGlobalMem;
  error = cudaStreamCreateWithFlags (&device->copies, cudaStreamNonBlocking);
  for (int i = 0; i < NOTCH_CUDA_RING && error == cudaSuccess; i++) {
    error = cudaHostAlloc ((void **) &device->ring[i], RING_BYTES, cudaHostAllocPortable);
    if (error == cudaSuccess)
      error = cudaEventCreateWithFlags (&device->ring_free[i], NOTCH_CUDA_EVENT);
  }
  if (error != cudaSuccess) {
    notch_cuda_tell (fault, "opening it", error);
    close_device (device);
    return NULL;
  }
  return device;
}

/* What spoils a device is told by whatever is asked of it next. */
static bool
works (NotchDevice *device, NotchFault *fault)
{
  cudaError_t error = cudaSetDevice (device->index);
  if (error == cudaSuccess)
    error = cudaStreamSynchronize (device->copies);
  if (error != cudaSuccess)
    notch_cuda_tell (fault, "asking the device", error);
  return error == cudaSuccess;
}

static void
describe (NotchDevice *device, char text[256])
{
  int driver = 0, runtime = 0;
  cudaDriverGetVersion (&driver);
  cudaRuntimeGetVersion (&runtime);
  snprintf (text, 256, "%.100s, compute capability %d.%d, %.1f GiB, driver for CUDA %d.%d, built with %d.%d for %s",
            device->name, device->major, device->minor, (double) device->memory / (1 << 30), driver / 1000,
            driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10, NOTCH_CUDA_ARCHS);
}

/* One lane computes while another one's tables go up and a third one's blobs come home. */
static int
workers (NotchDevice *device, int jobs)
{
  return jobs > 0 && jobs < MOST_LANES ? jobs : MOST_LANES;
}

/* As many tiles of up to 1024 px, of 160 bytes a pixel, as half of the free memory holds; 16 of 512 px already fill a card. */
static int
batch (NotchDevice *device)
{
  size_t available = 0, total = 0;
  if (cudaSetDevice (device->index) != cudaSuccess || cudaMemGetInfo (&available, &total) != cudaSuccess) {
    cudaGetLastError ();
    return 1;
  }
  std::lock_guard<std::mutex> guard (device->lock);
  for (const NotchCudaMemory *spare = device->free_memory; spare; spare = spare->next)
    available += spare->pinned ? 0 : spare->bytes;
  for (const NotchStripMem *spare = device->free_strip; spare; spare = spare->next)
    available += spare->bytes;
  size_t tiles = available / 2 / MOST_LANES / ((size_t) 160 << 20);
  return tiles < 1 ? 1 : tiles > MOST_TILES ? MOST_TILES : (int) tiles;
}

/* ---- strips -------------------------------------------------------------------------------------------------------------- */

static size_t
bytes_of (NotchSample sample)
{
  return sample == NOTCH_SAMPLE_U8 ? 1 : sample == NOTCH_SAMPLE_U16 ? 2 : 4;
}

/* A strip's memory, from those that went or anew. Holds the device's lock. */
static NotchStripMem *
take_strip (NotchDevice *device, size_t bytes, NotchFault *fault)
{
  NotchStripMem **best = NULL;
  for (NotchStripMem **at = &device->free_strip; *at; at = &(*at)->next)
    if ((*at)->bytes >= bytes && (!best || (*at)->bytes < (*best)->bytes))
      best = at;
  if (best) {
    NotchStripMem *mem = *best;
    *best = mem->next;
    return mem;
  }
  NotchStripMem *mem = (NotchStripMem *) calloc (1, sizeof *mem);
  if (!mem) {
    *fault = { "out of memory", true };
    return NULL;
  }
  mem->device = device;
  cudaError_t error = allocate (device, (void **) &mem->memory, bytes, false);
  if (error == cudaSuccess)
    error = cudaEventCreateWithFlags (&mem->ready, cudaEventDisableTiming);
  if (error != cudaSuccess) {
    notch_cuda_tell (fault, "memory for a strip", error);
    cudaFree (mem->memory);
    free (mem);
    return NULL;
  }
  mem->bytes = bytes;
  return mem;
}

static void
strip_free (NotchStripMem *mem)
{
  if (!mem)
    return;
  std::lock_guard<std::mutex> guard (mem->device->lock);
  mem->next = mem->device->free_strip;
  mem->device->free_strip = mem;
}

/* What goes up through the ring, piece by piece. */
typedef struct {
  NotchDevice *device;
  unsigned char *to; /* on the device */
  size_t filled;     /* bytes of the buffer in turn */
  cudaError_t error;
} Upload;

/* Waits until the buffer in turn has left. */
static void
begin_buffer (Upload *upload)
{
  upload->error = cudaEventSynchronize (upload->device->ring_free[upload->device->turn]);
}

static void
send_buffer (Upload *upload)
{
  NotchDevice *device = upload->device;
  int turn = device->turn;
  if (upload->filled == 0 || upload->error != cudaSuccess)
    return;
  upload->error =
      cudaMemcpyAsync (upload->to, device->ring[turn], upload->filled, cudaMemcpyHostToDevice, device->copies);
  if (upload->error == cudaSuccess)
    upload->error = cudaEventRecord (device->ring_free[turn], device->copies);
  upload->to += upload->filled;
  upload->filled = 0;
  device->turn = (turn + 1) % NOTCH_CUDA_RING;
}

static void
send (Upload *upload, const void *from, size_t n)
{
  while (n > 0 && upload->error == cudaSuccess) {
    if (upload->filled == 0)
      begin_buffer (upload);
    size_t fits = RING_BYTES - upload->filled, part = n < fits ? n : fits;
    if (upload->error != cudaSuccess)
      return;
    memcpy (upload->device->ring[upload->device->turn] + upload->filled, from, part);
    upload->filled += part;
    from = (const unsigned char *) from + part, n -= part;
    if (upload->filled == RING_BYTES)
      send_buffer (upload);
  }
}

/* Where each row of a strip is among those that it holds; one that it does not is the nearest that it does, the upper one of
 * two. Returns how many it holds. */
static int32_t
place_rows (const NotchPixels *pixels, int32_t *place)
{
  int32_t n = 0, n_rows = (int32_t) pixels->n_rows, last = -1, next;
  for (int32_t i = 0; i < n_rows; i++)
    place[i] = pixels->row[i] ? n++ : -1;
  for (int32_t i = 0; i < n_rows; i++) {
    if (pixels->row[i]) {
      last = i;
      continue;
    }
    for (next = i; next < n_rows && !pixels->row[next]; next++)
      ;
    for (int32_t end = next; i < end; i++) { /* a gap */
      bool upper = last >= 0 && (next == n_rows || i - last <= next - i);
      place[i] = upper ? place[last] : next < n_rows ? place[next] : 0;
    }
    i--;
  }
  return n;
}

static NotchStripMem *
strip_up (NotchDevice *device, const NotchPixels *pixels, NotchFault *fault)
{
  size_t line = (size_t) pixels->width * bytes_of (pixels->sample), pitch = (line + 255) / 256 * 256;
  size_t n_rows = (size_t) pixels->n_rows;
  static const unsigned char zeros[256] = { 0 };
  if (pixels->width > INT32_MAX || pixels->n_rows > INT32_MAX || pixels->n_rows < 1) {
    snprintf (fault->text, sizeof fault->text, "a strip of %lld x %lld pixels is more than a GPU's tables hold",
              (long long) pixels->width, (long long) pixels->n_rows);
    fault->full = true;
    return NULL;
  }
  int32_t *place = (int32_t *) malloc (n_rows * sizeof *place);
  if (!place) {
    *fault = { "out of memory", true };
    return NULL;
  }
  size_t held = (size_t) place_rows (pixels, place), table = pitch * (held > 0 ? held : 1);
  std::lock_guard<std::mutex> guard (device->lock);
  cudaError_t error = cudaSetDevice (device->index);
  NotchStripMem *mem = error == cudaSuccess ? take_strip (device, table + n_rows * sizeof *place, fault) : NULL;
  if (mem) {
    Upload upload = { device, mem->memory, 0, cudaSuccess };
    for (size_t i = 0; i < n_rows; i++)
      if (pixels->row[i]) {
        send (&upload, pixels->row[i], line);
        send (&upload, zeros, pitch - line);
      }
    for (size_t sent = 0; held == 0 && sent < pitch; sent += sizeof zeros) /* without any row it is black */
      send (&upload, zeros, sizeof zeros);
    send (&upload, place, n_rows * sizeof *place);
    send_buffer (&upload);
    if (upload.error == cudaSuccess)
      upload.error = cudaEventRecord (mem->ready, device->copies);
    error = upload.error;
    mem->view = { mem->memory,
                  (const int32_t *) (mem->memory + table),
                  pitch,
                  pixels->y,
                  (int32_t) pixels->width,
                  (int32_t) n_rows,
                  pixels->sample };
  }
  free (place);
  if (error != cudaSuccess) {
    notch_cuda_tell (fault, "bringing a strip up", error);
    if (mem) {
      mem->next = device->free_strip;
      device->free_strip = mem;
    }
    return NULL;
  }
  return mem;
}

int
notch_cuda_await (NotchLane *lane, const NotchStripMem *mem)
{
  NOTCH_CUDA (lane, "waiting for a strip", cudaStreamWaitEvent (lane->stream, mem->ready, 0));
  return 0;
}

/* ---- lanes ------------------------------------------------------------------------------------------------------------- */

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
    cudaError_t error = allocate (device, &taken->at, bytes, pinned);
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

/* ---- home ----------------------------------------------------------------------------------------------------------------- */

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

/* A lane keeps its memory to the end, so the buffers of a call that wanted less stay beside those of one that wants more. */
static int
copy (NotchLane *lane, size_t bytes, int times)
{
  if (notch_cuda_enter (lane))
    return -1;
  if (bytes > lane->copy_bytes) {
    lane->copy_bytes = 0;
    if (notch_cuda_allocate_bytes (lane, &lane->copy_from, bytes, false)
        || notch_cuda_allocate_bytes (lane, &lane->copy_to, bytes, false))
      return -1;
    NOTCH_CUDA (lane, "copying", cudaMemsetAsync (lane->copy_from, 1, bytes, lane->stream));
    lane->copy_bytes = bytes;
  }
  for (int i = 0; i < times; i++)
    NOTCH_CUDA (lane, "copying",
                cudaMemcpyAsync (lane->copy_to, lane->copy_from, bytes, cudaMemcpyDeviceToDevice, lane->stream));
  NOTCH_CUDA (lane, "copying", cudaStreamSynchronize (lane->stream));
  return 0;
}

static const NotchKernels kernels = {
  "cuda",
  count,
  open_device,
  close_device,
  works,
  describe,
  workers,
  batch,
  strip_up,
  strip_free,
  lane_new,
  lane_free,
  fault_of,
  finish,
  peek,
  poke,
  copy,
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
