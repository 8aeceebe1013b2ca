/* device.cu - faults, devices and their memory */
#include "kernels/cuda/lane.cuh"

#include <new>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

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

enum { MOST_LANES = 3, MOST_TILES = 16 };

int
notch_cuda_count (NotchFault *fault)
{
  int n = 0;
  cudaError_t error = cudaGetDeviceCount (&n);
  if (error == cudaSuccess)
    return n;
  notch_cuda_tell (fault, "looking for devices", error);
  return 0;
}

/* Gives some of what is kept for lanes and strips to come back, the lanes' first; false where that is nothing. Holds the
 * device's lock. */
static bool
release_spare (NotchDevice *device)
{
  if (!device->free_memory)
    return notch_cuda_plans_release (device) || notch_cuda_strips_release (device);
  while (device->free_memory) {
    NotchCudaMemory *next = device->free_memory->next;
    if (device->free_memory->pinned)
      cudaFreeHost (device->free_memory->at);
    else
      cudaFree (device->free_memory->at);
    free (device->free_memory);
    device->free_memory = next;
  }
  return true;
}

bool
notch_cuda_make_room (NotchDevice *device)
{
  std::lock_guard<std::mutex> guard (device->lock);
  return release_spare (device);
}

cudaError_t
notch_cuda_allocate_held (NotchDevice *device, void **memory, size_t bytes, bool pinned)
{
  for (;;) {
    cudaError_t error = pinned ? cudaHostAlloc (memory, bytes, cudaHostAllocPortable) : cudaMalloc (memory, bytes);
    if (error != cudaErrorMemoryAllocation || !release_spare (device))
      return error;
    cudaGetLastError ();
  }
}

cudaError_t
notch_cuda_device_memory (NotchDevice *device, void **memory, size_t bytes)
{
  std::lock_guard<std::mutex> guard (device->lock);
  cudaError_t error = cudaSetDevice (device->index);
  return error == cudaSuccess ? notch_cuda_allocate_held (device, memory, bytes, false) : error;
}

size_t
notch_cuda_available (const NotchDevice *device)
{
  size_t available = 0, total = 0;
  if (cudaMemGetInfo (&available, &total) != cudaSuccess)
    return 0;
  for (const NotchCudaMemory *spare = device->free_memory; spare; spare = spare->next)
    available += spare->pinned ? 0 : spare->bytes;
  return available + notch_cuda_strips_spare (device);
}

void
notch_cuda_close (NotchDevice *device)
{
  cudaSetDevice (device->index);
  notch_cuda_strips_free (device);
  notch_cuda_bank_forget (device);
  while (device->free_memory)
    release_spare (device);
  notch_cuda_plans_release (device);
  if (device->copies)
    cudaStreamDestroy (device->copies);
  delete device;
  cudaGetLastError ();
}

NotchDevice *
notch_cuda_open (int index, NotchFault *fault)
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
  if (error == cudaSuccess)
    error = notch_cuda_strips_new (device);
  if (error != cudaSuccess) {
    notch_cuda_tell (fault, "opening it", error);
    notch_cuda_close (device);
    return NULL;
  }
  return device;
}

/* What spoils a device is told by whatever is asked of it next. */
bool
notch_cuda_works (NotchDevice *device, NotchFault *fault)
{
  cudaError_t error = cudaSetDevice (device->index);
  if (error == cudaSuccess)
    error = cudaStreamSynchronize (device->copies);
  if (error != cudaSuccess)
    notch_cuda_tell (fault, "asking the device", error);
  return error == cudaSuccess;
}

void
notch_cuda_describe (NotchDevice *device, char text[256])
{
  int driver = 0, runtime = 0;
  cudaDriverGetVersion (&driver);
  cudaRuntimeGetVersion (&runtime);
  snprintf (text, 256, "%.100s, compute capability %d.%d, %.1f GiB, driver for CUDA %d.%d, built with %d.%d for %s",
            device->name, device->major, device->minor, (double) device->memory / (1 << 30), driver / 1000,
            driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10, NOTCH_CUDA_ARCHS);
}

/* One lane computes while another one's tables go up and a third one's blobs come home. */
int
notch_cuda_workers (NotchDevice *device, int jobs)
{
  return jobs > 0 && jobs < MOST_LANES ? jobs : MOST_LANES;
}

/* As many tiles of up to 1024 px, of 160 bytes a pixel, as half of the free memory holds; 16 of 512 px already fill a card. */
int
notch_cuda_batch (NotchDevice *device)
{
  std::lock_guard<std::mutex> guard (device->lock);
  size_t available = cudaSetDevice (device->index) == cudaSuccess ? notch_cuda_available (device) : 0;
  size_t tiles = available / 2 / MOST_LANES / ((size_t) 160 << 20);
  cudaGetLastError ();
  return tiles < 1 ? 1 : tiles > MOST_TILES ? MOST_TILES : (int) tiles;
}
