/* cpu.c - the CPU backend: a lane is a thread, a batch is one tile, so that a tile's whole chain stays in cache */
#include "kernels/cpu/lane.h"
#include "kernels/cpu/net.h"
#include "kernels/cpu/trees.h"
#include "kernels/math/shift.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int
count (NotchFault *fault)
{
  (void) fault;
  return 1;
}

static NotchDevice *
open_device (int index, NotchFault *fault)
{
  NotchDevice *device = calloc (1, sizeof *device);
  if (!device) {
    *fault = (NotchFault){ "out of memory", true };
    return NULL;
  }
  long n = sysconf (_SC_NPROCESSORS_ONLN);
  device->processors = n > 0 ? (int) n : 1;
  pthread_mutex_init (&device->lock, NULL);
  pthread_cond_init (&device->filters_made, NULL);
  return device;
}

static void
close_device (NotchDevice *device)
{
  if (!device)
    return;
  notch_cpu_bank_release (device->bank);
  pthread_cond_destroy (&device->filters_made);
  pthread_mutex_destroy (&device->lock);
  free (device);
}

static bool
works (NotchDevice *device, NotchFault *fault)
{
  return true;
}

static void
describe (NotchDevice *device, char text[256])
{
  snprintf (text, 256, "%d processor%s", device->processors, device->processors == 1 ? "" : "s");
}

static int
workers (NotchDevice *device, int jobs)
{
  return jobs > 0 ? jobs : device->processors;
}

static int
batch (NotchDevice *device)
{
  return 1;
}

static NotchStripMem *
strip_up (NotchDevice *device, const NotchPixels *pixels, NotchFault *fault)
{
  NotchStripMem *mem = calloc (1, sizeof *mem);
  if (!mem) {
    *fault = (NotchFault){ "out of memory", true };
    return NULL;
  }
  mem->pixels = *pixels;
  return mem;
}

static void
strip_free (NotchStripMem *mem)
{
  free (mem);
}

/* Rows are read where they are. */
static uint64_t
sent (NotchDevice *device)
{
  return 0;
}

int
notch_cpu_fail (NotchLane *lane, const char *format, ...)
{
  va_list arguments;
  va_start (arguments, format);
  vsnprintf (lane->fault.text, sizeof lane->fault.text, format, arguments);
  va_end (arguments);
  return -1;
}

static const NotchFault *
fault_of (NotchLane *lane)
{
  return &lane->fault;
}

static void
lane_free (NotchLane *lane)
{
  if (!lane)
    return;
  notch_cpu_filter_free (lane);
  for (int i = 0; i < NOTCH_N_PLANES; i++)
    notch_fft_release (lane->plane[i]);
  for (int i = 0; i < 3; i++)
    notch_bundle_fft_free (lane->fft[i]);
  notch_fft_free (lane->shift_fft);
  float *floats[] = { lane->spectrum, lane->product,      lane->bundle[0], lane->bundle[1],     lane->bundle[2],
                      lane->response, lane->stack,        lane->basis,     lane->normal_sorted, lane->patch,
                      lane->shift_a,  lane->shift_b,      lane->shift_fa,  lane->shift_fb,      lane->shift_product,
                      lane->rim,      lane->shift_window, lane->copy_from, lane->copy_to };
  for (size_t i = 0; i < sizeof floats / sizeof *floats; i++)
    notch_fft_release (floats[i]);
  free (lane->shift_wave);
  free (lane->judged);
  free (lane->known);
  free (lane->fit);
  free (lane->ref_noise);
  free (lane->rim_at);
  free (lane->run);
  free (lane->run_blob);
  free (lane->row_start);
  free (lane->blob);
  free (lane->peak);
  free (lane->peak_square);
  free (lane->blob_peak);
  free (lane->seam);
  free (lane->patch_blob);
  free (lane);
}

static bool
lane_allocate (NotchLane *lane)
{
  const NotchLaneSize *is = &lane->is;
  size_t size = (size_t) is->size, area = size * size, shift = (size_t) is->shift_size;
  for (int i = 0; i < NOTCH_N_PLANES; i++)
    if (!(lane->plane[i] = notch_fft_alloc (area)))
      return false;
  lane->max_pieces = NOTCH_MAX_PIECES;
  lane->max_seams = (int) (8 * 32 * size);
  lane->judged = calloc (area, 1);
  lane->known = calloc (area, 1);
  size_t blocks = (size_t) notch_cpu_block (is->size, notch_cpu_n_bundles (is->size / 2 + 1));
  size_t bundle = 2 * (size + NOTCH_BUNDLE) * NOTCH_BUNDLE;
  lane->spectrum = notch_fft_alloc (blocks);
  lane->product = notch_fft_alloc (blocks);
  for (int i = 0; i < 3; i++)
    lane->bundle[i] = notch_fft_alloc (bundle);
  lane->response = notch_fft_alloc (area);
  lane->stack = notch_fft_alloc ((size_t) NOTCH_MAX_SOURCES * NOTCH_SOURCE_ROWS * (size + NOTCH_SOURCE_PAD));
  lane->basis = notch_fft_alloc ((NOTCH_FIT_MAX + 2) * (size_t) (NOTCH_FIT_SAMPLES + 64));
  lane->normal_sorted = notch_fft_alloc (NOTCH_FIT_SAMPLES + 64);
  lane->fit = calloc ((size_t) lane->max_pieces, sizeof *lane->fit);
  lane->ref_noise = calloc ((size_t) lane->max_pieces, sizeof *lane->ref_noise);
  lane->rim_at = calloc ((size_t) lane->max_pieces, sizeof *lane->rim_at);
  lane->max_rim = (ptrdiff_t) (area + 8 * size);
  lane->rim = notch_fft_alloc ((size_t) lane->max_rim);
  lane->run = calloc (area / 2 + size, sizeof *lane->run);
  lane->run_blob = calloc (area / 2 + size, sizeof *lane->run_blob);
  lane->row_start = calloc (size + 2, sizeof *lane->row_start);
  lane->blob = calloc ((size_t) is->max_blobs + 1, sizeof *lane->blob);
  size_t squares = (size_t) notch_peak_squares (is->size);
  lane->peak = calloc (NOTCH_MAX_PEAKS, sizeof *lane->peak);
  lane->peak_square = calloc (squares * squares, sizeof *lane->peak_square);
  lane->blob_peak = calloc ((size_t) is->max_blobs + 1, sizeof *lane->blob_peak);
  for (int c = 0; c < is->n_channels && c < NOTCH_MAX_CHANNELS; c++)
    lane->template_[c] = notch_template_of (&is->channel[c]);
  lane->seam = calloc ((size_t) lane->max_seams, sizeof *lane->seam);
  lane->patch = notch_fft_alloc (2 * (size_t) is->patch_side * (size_t) is->patch_side * (size_t) is->max_patches + 1);
  lane->patch_blob = calloc ((size_t) is->max_patches + 1, sizeof *lane->patch_blob);
  lane->shift_a = notch_fft_alloc (shift * shift + 1);
  lane->shift_b = notch_fft_alloc (shift * shift + 1);
  lane->shift_fa = notch_fft_alloc (2 * shift * (shift / 2 + 1) + 1);
  lane->shift_fb = notch_fft_alloc (2 * shift * (shift / 2 + 1) + 8); /* a row is read in fours */
  lane->shift_product = notch_fft_alloc (2 * shift * (shift / 2 + 1) + 1);
  lane->shift_window = notch_fft_alloc (shift + 1);
  if (lane->shift_fb)
    memset (lane->shift_fb, 0, sizeof (float) * (2 * shift * (shift / 2 + 1) + 8));
  /* What is only there to fill a bundle or a block is a number, too. */
  for (int i = 0; i < 3 && lane->bundle[i]; i++)
    memset (lane->bundle[i], 0, sizeof (float) * bundle);
  if (lane->spectrum && lane->product)
    memset (lane->spectrum, 0, sizeof (float) * blocks), memset (lane->product, 0, sizeof (float) * blocks);
  lane->shift_wave = calloc (3 * (shift / 2 + 4), sizeof *lane->shift_wave);
  return lane->judged && lane->known && lane->shift_wave && lane->spectrum && lane->product && lane->bundle[0]
         && lane->bundle[1] && lane->bundle[2] && lane->response && lane->stack && lane->basis && lane->normal_sorted
         && lane->fit && lane->ref_noise && lane->rim_at && lane->rim && lane->run && lane->run_blob && lane->row_start
         && lane->blob && lane->peak && lane->peak_square && lane->blob_peak && lane->seam && lane->patch
         && lane->patch_blob && lane->shift_a && lane->shift_b && lane->shift_fa && lane->shift_fb
         && lane->shift_product && lane->shift_window;
}

static NotchLane *
lane_new (NotchDevice *device, const NotchLaneSize *is, NotchFault *fault)
{
  NotchLane *lane = calloc (1, sizeof *lane);
  if (!lane) {
    *fault = (NotchFault){ "out of memory", true };
    return NULL;
  }
  lane->is = *is;
  bool well = lane_allocate (lane);
  if (!well) {
    snprintf (fault->text, sizeof fault->text, "out of memory for tiles of %d x %d pixels", is->size, is->size);
    fault->full = true;
  }
  if (well && is->n_channels > 0 && notch_cpu_filter_new (lane, device) != 0) {
    *fault = lane->fault;
    well = false;
  }
  if (well && is->shift_size > 0 && !(lane->shift_fft = notch_fft_new (is->shift_size, is->shift_size))) {
    snprintf (fault->text, sizeof fault->text, "no transform of %d x %d pixels", is->shift_size, is->shift_size);
    well = false;
  }
  if (!well) {
    lane_free (lane);
    return NULL;
  }
  for (int i = 0; i < is->shift_size; i++)
    lane->shift_window[i] = notch_shift_window (i, is->shift_size);
  return lane;
}

static int
finish (NotchLane *lane, NotchTileFound *found)
{
  *found = (NotchTileFound){
    .n_blobs = lane->n_blobs,
    .n_seams = lane->n_seams,
    .n_patches = lane->n_patches,
    .blob = lane->blob,
    .seam = lane->seam,
    .patch_blob = lane->patch_blob,
    .patch = lane->patch,
    .swamped = lane->swamped,
    .n_inspected = lane->n_inspected,
    .n_lost = lane->n_lost,
    .fit = (const float (*)[NOTCH_FIT_MAX]) lane->fit,
  };
  return 0;
}

static int
peek (NotchLane *lane, int tile, NotchPlane plane, float *to)
{
  memcpy (to, lane->plane[plane], sizeof (float) * (size_t) lane->is.size * (size_t) lane->is.size);
  return 0;
}

static int
poke (NotchLane *lane, int tile, NotchPlane plane, const float *from)
{
  ptrdiff_t area = (ptrdiff_t) lane->is.size * lane->is.size;
  memcpy (lane->plane[plane], from, sizeof (float) * (size_t) area);
  for (ptrdiff_t i = 0; i < area && plane == NOTCH_PLANE_RES; i++)
    if (isnan (from[i]))
      notch_cpu_lose (lane, i, NOTCH_KNOWN_TEST_LOST);
  if (lane->any_lost)
    notch_cpu_judge (lane);
  return 0;
}

static int
copy (NotchLane *lane, size_t bytes, int times)
{
  if (bytes > lane->copy_bytes) {
    notch_fft_release (lane->copy_from);
    notch_fft_release (lane->copy_to);
    lane->copy_bytes = 0;
    lane->copy_from = notch_fft_alloc (bytes / sizeof (float) + 1);
    lane->copy_to = notch_fft_alloc (bytes / sizeof (float) + 1);
    if (!lane->copy_from || !lane->copy_to)
      return notch_cpu_fail (lane, "out of memory for two buffers of %zu bytes", bytes);
    memset (lane->copy_from, 1, bytes); /* memory that was never written is none yet */
    memset (lane->copy_to, 0, bytes);
    lane->copy_bytes = bytes;
  }
  for (int i = 0; i < times; i++)
    memcpy (lane->copy_to, lane->copy_from, bytes);
  return 0;
}

const NotchKernels notch_kernels_cpu = {
  .name = "cpu",
  .count = count,
  .open = open_device,
  .close = close_device,
  .works = works,
  .describe = describe,
  .workers = workers,
  .batch = batch,
  .strip_up = strip_up,
  .strip_free = strip_free,
  .sent = sent,
  .lane_new = lane_new,
  .lane_free = lane_free,
  .fault = fault_of,
  .finish = finish,
  .peek = peek,
  .poke = poke,
  .copy = copy,
#define NOTCH_STAGE(name, Args) .name = notch_cpu_##name,
  NOTCH_STAGES (NOTCH_STAGE)
#undef NOTCH_STAGE
      .net = &notch_cpu_net,
  .trees_up = notch_cpu_trees_up,
  .trees_free = notch_cpu_trees_free,
  .trees_sum = notch_cpu_trees_sum,
  .trees_rows = NOTCH_CPU_TREES_ROWS,
};
