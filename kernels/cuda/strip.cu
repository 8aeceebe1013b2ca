/* strip.cu - rows of images on a device: each goes up once, as long as there is room to keep it
 *
 * A *shelf* has the rows of one image, in slots of a row each. A strip pins those that it holds; the others stay for strips
 * to come, until their slots are wanted: those that came first go first, for an inspection goes through an image from the top
 * down.
 *
 * What goes up is cut into parts. Threads of the device copy them to pinned memory, outside of its lock, and send them off on
 * one stream; so who asks for a strip goes on reading the next one. A strip has arrived when all parts up to its last one
 * have, for it may share rows with an earlier one. */
#include "kernels/cuda/lane.cuh"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <memory>
#include <new>
#include <stdio.h>
#include <string.h>
#include <system_error>
#include <thread>
#include <vector>

enum {
  PART_BYTES = 4 << 20, /* of a pinned buffer */
  BUFFERS = 2,          /* of a thread: one leaves while the other is filled */
  LEAST_THREADS = 2,
  MOST_THREADS = 4,
  MOST_SHELVES = NOTCH_MAX_MEM, /* an image has no more strips beside each other */
  STRIPS = 16,                  /* made at once: more than a crew has waiting and in work */
  SHELF_SHARE = 4,              /* of the memory that there is, an image's rows get one part of so many */
  ALIGNMENT = 256
};

struct Slot {
  unsigned char *at;
  int64_t y; /* the row that it has; -1: none */
  int pins;  /* strips that hold it */
};

struct Shelf {
  uint64_t image;
  bool nameless; /* of an image that is not known again */
  uint64_t used; /* counts up: which one was used last */
  size_t pitch, bytes;
  std::vector<void *> block; /* memory that slots lie in */
  std::vector<Slot> slot;
  std::vector<int32_t> slot_of; /* each image row's; -1: it is not there */
  size_t hand, n_pinned;        /* the slot to be looked at next; slots with pins */
};

struct Strip : NotchStripMem {
  NotchDevice *device;
  Shelf *shelf;
  std::vector<int32_t> pinned;             /* slots */
  std::vector<const unsigned char *> home; /* what the view's table on the device is to be */
  const unsigned char **table;
  size_t most_rows; /* of the table */
  uint64_t last;    /* the part that it has arrived with */
  bool arrives;     /* `ready` tells when */
  cudaEvent_t ready;
};

struct Piece {
  unsigned char *to;
  const unsigned char *from;
  size_t n;
};

struct Part {
  uint64_t number; /* from 1 */
  size_t bytes;    /* of the buffer */
  std::vector<Piece> piece;
};

struct Copier {
  unsigned char *buffer[BUFFERS];
  cudaEvent_t left[BUFFERS];
  int turn; /* the buffer to use next */
  std::thread thread;
};

/* The device's lock guards all but the copiers. */
struct NotchCudaStrips {
  std::vector<Copier> copier;
  std::condition_variable changed; /* a part came or went */
  std::deque<Part> waiting;
  uint64_t given, sent;         /* parts so far; up to which all have been sent */
  std::vector<uint64_t> beyond; /* numbers of parts that were sent before an earlier one */
  std::deque<Strip *> expected; /* by rising `last` */
  cudaError_t error;            /* what spoiled the device, met by a copier */
  bool over;
  uint64_t bytes;       /* that went up */
  uint64_t uses;        /* of shelves so far */
  const Shelf *in_hand; /* that strip_up works at, so that it stays */
  std::vector<std::unique_ptr<Shelf> > shelf;
  std::vector<std::unique_ptr<Strip> > spare;
};

/* ---- copiers ------------------------------------------------------------------------------------------------------------- */

/* Sends a part off through the buffer in turn: pieces that lie one behind the other on the device go together. */
static cudaError_t
send_part (NotchDevice *device, Copier *copier, const Part &part)
{
  unsigned char *buffer = copier->buffer[copier->turn];
  cudaEvent_t left = copier->left[copier->turn];
  copier->turn = (copier->turn + 1) % BUFFERS;
  cudaError_t error = cudaEventSynchronize (left);
  size_t at = 0, first = 0, end = 0; /* in the buffer: of the piece, and of the run that it goes with */
  unsigned char *to = nullptr;       /* the run's */
  for (const Piece &piece : part.piece) {
    if (error == cudaSuccess && end > first && piece.to != to + (at - first)) {
      error = cudaMemcpyAsync (to, buffer + first, end - first, cudaMemcpyHostToDevice, device->copies);
      first = end = at;
    }
    if (error != cudaSuccess)
      return error;
    to = end > first ? to : piece.to;
    memcpy (buffer + at, piece.from, piece.n);
    end = at + piece.n;
    at += (piece.n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  }
  if (error == cudaSuccess && end > first)
    error = cudaMemcpyAsync (to, buffer + first, end - first, cudaMemcpyHostToDevice, device->copies);
  return error == cudaSuccess ? cudaEventRecord (left, device->copies) : error;
}

/* Strips whose parts have all been sent arrive with what the stream was given so far. Holds the lock. */
static void
tell_arrivals (NotchDevice *device)
{
  NotchCudaStrips *strips = device->strips;
  for (; !strips->expected.empty () && strips->expected.front ()->last <= strips->sent; strips->expected.pop_front ()) {
    cudaError_t error = cudaEventRecord (strips->expected.front ()->ready, device->copies);
    strips->error = strips->error == cudaSuccess ? error : strips->error;
    strips->expected.front ()->arrives = true;
  }
  strips->changed.notify_all ();
}

static void
note_sent (NotchCudaStrips *strips, uint64_t number)
{
  strips->beyond.push_back (number);
  for (auto next = strips->beyond.begin (); next != strips->beyond.end ();) {
    next = std::find (strips->beyond.begin (), strips->beyond.end (), strips->sent + 1);
    if (next == strips->beyond.end ())
      return;
    strips->beyond.erase (next);
    strips->sent++;
    next = strips->beyond.begin ();
  }
}

/* A copier's life: parts in their order, whatever becomes of them, for somebody waits. */
static void
copy_parts (NotchDevice *device, Copier *copier)
{
  NotchCudaStrips *strips = device->strips;
  cudaError_t error = cudaSetDevice (device->index);
  std::unique_lock<std::mutex> hold (device->lock);
  for (;;) {
    strips->changed.wait (hold, [=] { return strips->over || !strips->waiting.empty (); });
    if (strips->waiting.empty ())
      return;
    Part part = std::move (strips->waiting.front ());
    strips->waiting.pop_front ();
    hold.unlock ();
    error = error == cudaSuccess ? send_part (device, copier, part) : error;
    hold.lock ();
    strips->error = strips->error == cudaSuccess ? error : strips->error;
    note_sent (strips, part.number);
    tell_arrivals (device);
  }
}

/* Hands over what is to be copied. Holds the lock. */
static void
give_parts (NotchCudaStrips *strips, const std::vector<Piece> &pieces)
{
  Part part = {};
  auto give = [&] {
    part.number = ++strips->given;
    strips->waiting.push_back (std::move (part));
    part = {};
  };
  for (Piece piece : pieces)
    while (piece.n > 0) {
      if (part.bytes == PART_BYTES)
        give ();
      size_t n = std::min<size_t> (piece.n, PART_BYTES - part.bytes);
      part.piece.push_back ({ piece.to, piece.from, n });
      part.bytes += (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
      strips->bytes += n;
      piece = { piece.to + n, piece.from + n, piece.n - n };
    }
  if (!part.piece.empty ())
    give ();
}

/* ---- shelves ------------------------------------------------------------------------------------------------------------- */

/* Takes a shelf down. Holds the lock. */
static void
drop_shelf (NotchCudaStrips *strips, const Shelf *shelf)
{
  for (void *block : shelf->block)
    cudaFree (block);
  strips->shelf.erase (std::find_if (strips->shelf.begin (), strips->shelf.end (),
                                     [=] (const std::unique_ptr<Shelf> &one) { return one.get () == shelf; }));
}

/* The shelf that was not used for longest goes first, tables last. */
bool
notch_cuda_strips_release (NotchDevice *device)
{
  NotchCudaStrips *strips = device->strips;
  const Shelf *oldest = nullptr;
  for (const std::unique_ptr<Shelf> &one : strips->shelf)
    if (one->n_pinned == 0 && one.get () != strips->in_hand && (!oldest || one->used < oldest->used))
      oldest = one.get ();
  if (oldest) {
    drop_shelf (strips, oldest);
    return true;
  }
  if (strips->spare.empty ())
    return false;
  for (const std::unique_ptr<Strip> &strip : strips->spare) {
    cudaFree (strip->table);
    cudaEventDestroy (strip->ready);
  }
  strips->spare.clear ();
  return true;
}

size_t
notch_cuda_strips_spare (const NotchDevice *device)
{
  size_t bytes = 0;
  for (const std::unique_ptr<Shelf> &one : device->strips->shelf)
    bytes += one->n_pinned == 0 ? one->bytes : 0;
  for (const std::unique_ptr<Strip> &strip : device->strips->spare)
    bytes += strip->most_rows * sizeof *strip->table;
  return bytes;
}

static cudaError_t
add_slots (NotchDevice *device, Shelf *shelf, size_t n)
{
  void *block = nullptr;
  cudaError_t error = notch_cuda_allocate_held (device, &block, n * shelf->pitch, false);
  if (error != cudaSuccess)
    return error;
  shelf->block.push_back (block);
  shelf->bytes += n * shelf->pitch;
  for (size_t i = 0; i < n; i++)
    shelf->slot.push_back ({ (unsigned char *) block + i * shelf->pitch, -1, 0 });
  return cudaSuccess;
}

/* The image's shelf, made where there is none: for all of its rows, as far as its share of the memory goes. */
static cudaError_t
find_shelf (NotchDevice *device, const NotchPixels *pixels, size_t pitch, size_t n_held, Shelf **found)
{
  NotchCudaStrips *strips = device->strips;
  *found = nullptr;
  for (const std::unique_ptr<Shelf> &one : strips->shelf)
    if (!one->nameless && one->image == pixels->image && one->pitch == pitch)
      *found = one.get ();
  strips->in_hand = *found;
  if (*found)
    return cudaSuccess;
  if (strips->shelf.size () >= MOST_SHELVES)
    notch_cuda_strips_release (device);
  std::unique_ptr<Shelf> shelf (new Shelf{});
  shelf->image = pixels->image;
  shelf->nameless = pixels->image == 0;
  shelf->pitch = pitch;
  size_t share = notch_cuda_available (device) / SHELF_SHARE / pitch;
  size_t rows = shelf->nameless ? 0 : std::min ((size_t) pixels->height, share);
  strips->in_hand = *found = shelf.get ();
  strips->shelf.push_back (std::move (shelf));
  cudaError_t error = add_slots (device, *found, std::max<size_t> (std::max (rows, n_held), 1));
  if (error == cudaErrorMemoryAllocation && rows > n_held)
    error = add_slots (device, *found, std::max<size_t> (n_held, 1));
  if (error == cudaSuccess)
    return error;
  drop_shelf (strips, *found);
  *found = nullptr;
  return error;
}

static void
pin (Strip *strip, int32_t slot)
{
  strip->shelf->n_pinned += strip->shelf->slot[(size_t) slot].pins++ == 0;
  strip->pinned.push_back (slot);
}

static void
unpin (Strip *strip)
{
  for (int32_t slot : strip->pinned)
    strip->shelf->n_pinned -= --strip->shelf->slot[(size_t) slot].pins == 0;
  strip->pinned.clear ();
}

/* A slot without pins, of which there is one; what was in it is forgotten. */
static int32_t
clear_slot (Shelf *shelf)
{
  while (shelf->slot[shelf->hand].pins > 0)
    shelf->hand = (shelf->hand + 1) % shelf->slot.size ();
  int32_t slot = (int32_t) shelf->hand;
  shelf->hand = (shelf->hand + 1) % shelf->slot.size ();
  int64_t y = shelf->slot[(size_t) slot].y;
  if (y >= 0)
    shelf->slot_of[(size_t) y] = -1;
  shelf->slot[(size_t) slot].y = -1;
  return slot;
}

/* ---- strips -------------------------------------------------------------------------------------------------------------- */

/* Makes strips for tables of so many rows. Holds the lock. */
static cudaError_t
make_strips (NotchDevice *device, size_t n_rows)
{
  for (int i = 0; i < STRIPS; i++) {
    std::unique_ptr<Strip> strip (new Strip{});
    strip->device = device;
    strip->most_rows = n_rows;
    cudaError_t error =
        notch_cuda_allocate_held (device, (void **) &strip->table, n_rows * sizeof *strip->table, false);
    if (error == cudaSuccess)
      error = cudaEventCreateWithFlags (&strip->ready, cudaEventDisableTiming);
    if (error != cudaSuccess) {
      cudaFree (strip->table);
      return i > 0 && error == cudaErrorMemoryAllocation ? cudaSuccess : error;
    }
    device->strips->spare.push_back (std::move (strip));
  }
  return cudaSuccess;
}

/* One of those that wait, with a table of so many rows; new ones where there is none. */
static cudaError_t
take_strip (NotchDevice *device, size_t n_rows, size_t most_rows, Strip **taken)
{
  std::vector<std::unique_ptr<Strip> > &spare = device->strips->spare;
  auto find = [&] {
    return std::find_if (spare.begin (), spare.end (),
                         [=] (const std::unique_ptr<Strip> &one) { return one->most_rows >= n_rows; });
  };
  auto one = find ();
  if (one == spare.end ()) {
    cudaError_t error = make_strips (device, most_rows);
    if (error != cudaSuccess)
      return error;
    one = find ();
    if (one == spare.end ()) /* there was room for nothing else */
      return cudaErrorMemoryAllocation;
  }
  *taken = one->release ();
  spare.erase (one);
  return cudaSuccess;
}

/* Where rows are that a strip does not hold: at the nearest one that it does, the upper one of two. */
static void
fill_gaps (std::vector<const unsigned char *> &row)
{
  std::vector<size_t> below (row.size ());
  for (size_t i = row.size (), next = row.size (); i-- > 0; below[i] = next)
    next = row[i] ? i : next;
  for (size_t i = 0, last = row.size (); i < row.size (); i++) {
    if (row[i] && below[i] == i) {
      last = i;
      continue;
    }
    bool upper = last < row.size () && (below[i] == row.size () || i - last <= below[i] - i);
    row[i] = row[upper ? last : below[i]];
  }
}

/* Pins the strip's rows, and says what is to be copied for that. */
static cudaError_t
place_rows (NotchDevice *device, Strip *strip, const NotchPixels *pixels, size_t line, std::vector<Piece> &pieces)
{
  Shelf *shelf = strip->shelf;
  size_t first = (size_t) pixels->y, n_rows = (size_t) pixels->n_rows, missing = 0;
  if (shelf->slot_of.size () < first + n_rows)
    shelf->slot_of.resize (std::max ((size_t) pixels->height, first + n_rows), -1);
  for (size_t i = 0; i < n_rows; i++) {
    int32_t slot = pixels->row[i] ? shelf->slot_of[first + i] : -1;
    if (slot >= 0)
      pin (strip, slot);
    missing += pixels->row[i] && slot < 0;
  }
  bool black = missing == 0 && strip->pinned.empty (); /* without any row it is */
  size_t wanted = missing + black, there = shelf->slot.size () - shelf->n_pinned;
  cudaError_t error = there < wanted ? add_slots (device, shelf, wanted - there) : cudaSuccess;
  if (error != cudaSuccess)
    return error;
  strip->home.assign (n_rows, nullptr);
  for (size_t i = 0; i < n_rows; i++) {
    if (!pixels->row[i])
      continue;
    int32_t slot = shelf->slot_of[first + i];
    if (slot < 0) {
      slot = shelf->slot_of[first + i] = clear_slot (shelf);
      shelf->slot[(size_t) slot].y = (int64_t) (first + i);
      pieces.push_back ({ shelf->slot[(size_t) slot].at, (const unsigned char *) pixels->row[i], line });
      pin (strip, slot);
    }
    strip->home[i] = shelf->slot[(size_t) slot].at;
  }
  if (black) {
    int32_t slot = clear_slot (shelf);
    pin (strip, slot);
    strip->home[0] = shelf->slot[(size_t) slot].at;
    error = cudaMemsetAsync (shelf->slot[(size_t) slot].at, 0, shelf->pitch, device->copies);
  }
  fill_gaps (strip->home);
  pieces.push_back (
      { (unsigned char *) strip->table, (const unsigned char *) strip->home.data (), n_rows * sizeof strip->home[0] });
  return error;
}

/* Gives a strip back, and what it pinned. Holds the lock. */
static void
put_back (Strip *strip)
{
  NotchCudaStrips *strips = strip->device->strips;
  if (strip->shelf) {
    unpin (strip);
    if (strip->shelf->nameless)
      drop_shelf (strips, strip->shelf);
    strip->shelf = nullptr;
  }
  strips->spare.emplace_back (strip);
}

static size_t
bytes_of (NotchSample sample)
{
  return sample == NOTCH_SAMPLE_U8 ? 1 : sample == NOTCH_SAMPLE_U16 ? 2 : 4;
}

static cudaError_t
send_strip (NotchDevice *device, const NotchPixels *pixels, Strip **sent)
{
  NotchCudaStrips *strips = device->strips;
  size_t line = (size_t) pixels->width * bytes_of (pixels->sample), n_rows = (size_t) pixels->n_rows, n_held = 0;
  size_t pitch = std::max<size_t> ((line + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT, ALIGNMENT);
  for (size_t i = 0; i < n_rows; i++)
    n_held += pixels->row[i] != nullptr;
  cudaError_t error = cudaSetDevice (device->index);
  if (error == cudaSuccess)
    error = strips->error;
  if (error == cudaSuccess)
    error = take_strip (device, n_rows, std::max (n_rows, (size_t) pixels->height), sent);
  if (error != cudaSuccess)
    return error;
  Strip *strip = *sent;
  std::vector<Piece> pieces;
  error = find_shelf (device, pixels, pitch, n_held, &strip->shelf);
  if (error == cudaSuccess) {
    strip->shelf->used = ++strips->uses;
    error = place_rows (device, strip, pixels, line, pieces);
  }
  strips->in_hand = nullptr;
  if (error != cudaSuccess)
    return error;
  strip->view = { strip->table, pixels->y, (int32_t) pixels->width, (int32_t) n_rows, pixels->sample };
  give_parts (strips, pieces);
  strip->last = strips->given;
  strip->arrives = false;
  strips->expected.push_back (strip);
  strips->changed.notify_all ();
  return cudaSuccess;
}

NotchStripMem *
notch_cuda_strip_up (NotchDevice *device, const NotchPixels *pixels, NotchFault *fault)
{
  if (pixels->width > INT32_MAX || pixels->n_rows > INT32_MAX || pixels->n_rows < 1) {
    snprintf (fault->text, sizeof fault->text, "a strip of %lld x %lld pixels is more than a GPU's tables hold",
              (long long) pixels->width, (long long) pixels->n_rows);
    fault->full = true;
    return nullptr;
  }
  Strip *strip = nullptr;
  std::lock_guard<std::mutex> guard (device->lock);
  cudaError_t error = send_strip (device, pixels, &strip);
  if (error == cudaSuccess)
    return strip;
  notch_cuda_tell (fault, "bringing a strip up", error);
  if (strip)
    put_back (strip);
  return nullptr;
}

/* Its rows are the caller's again, so they must have been copied. */
void
notch_cuda_strip_free (NotchStripMem *mem)
{
  if (!mem)
    return;
  Strip *strip = static_cast<Strip *> (mem);
  NotchDevice *device = strip->device;
  std::unique_lock<std::mutex> hold (device->lock);
  device->strips->changed.wait (hold, [=] { return strip->arrives; });
  cudaSetDevice (device->index);
  put_back (strip);
  cudaGetLastError ();
}

int
notch_cuda_await (NotchLane *lane, const NotchStripMem *mem)
{
  const Strip *strip = static_cast<const Strip *> (mem);
  std::unique_lock<std::mutex> hold (strip->device->lock);
  strip->device->strips->changed.wait (hold, [=] { return strip->arrives; });
  cudaError_t error = strip->device->strips->error;
  hold.unlock ();
  NOTCH_CUDA (lane, "bringing a strip up", error);
  NOTCH_CUDA (lane, "waiting for a strip", cudaStreamWaitEvent (lane->stream, strip->ready, 0));
  return 0;
}

uint64_t
notch_cuda_sent (NotchDevice *device)
{
  std::lock_guard<std::mutex> guard (device->lock);
  return device->strips->bytes;
}

/* ---- beginning and end ------------------------------------------------------------------------------------------------- */

static cudaError_t
make_copier (NotchDevice *device, Copier *copier)
{
  cudaError_t error = cudaSuccess;
  for (int b = 0; b < BUFFERS && error == cudaSuccess; b++) {
    error = cudaHostAlloc ((void **) &copier->buffer[b], PART_BYTES, cudaHostAllocPortable);
    if (error == cudaSuccess)
      error = cudaEventCreateWithFlags (&copier->left[b], NOTCH_CUDA_EVENT);
  }
  if (error != cudaSuccess)
    return error;
  try {
    copier->thread = std::thread (copy_parts, device, copier);
  } catch (const std::system_error &) {
    error = cudaErrorMemoryAllocation;
  }
  return error;
}

cudaError_t
notch_cuda_strips_new (NotchDevice *device)
{
  device->strips = new (std::nothrow) NotchCudaStrips{};
  if (!device->strips)
    return cudaErrorMemoryAllocation;
  unsigned n = std::clamp<unsigned> (std::thread::hardware_concurrency () / 4, LEAST_THREADS, MOST_THREADS);
  device->strips->copier.resize (n);
  cudaError_t error = cudaSuccess;
  for (unsigned i = 0; i < n && error == cudaSuccess; i++)
    error = make_copier (device, &device->strips->copier[i]);
  return error;
}

void
notch_cuda_strips_free (NotchDevice *device)
{
  NotchCudaStrips *strips = device->strips;
  if (!strips)
    return;
  {
    std::lock_guard<std::mutex> guard (device->lock);
    strips->over = true;
    strips->changed.notify_all ();
  }
  for (Copier &copier : strips->copier) {
    if (copier.thread.joinable ())
      copier.thread.join ();
    for (int b = 0; b < BUFFERS; b++) {
      if (copier.left[b])
        cudaEventDestroy (copier.left[b]);
      cudaFreeHost (copier.buffer[b]);
    }
  }
  while (notch_cuda_strips_release (device))
    ;
  delete strips;
  device->strips = nullptr;
}
