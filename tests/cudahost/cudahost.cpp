/* cudahost.cpp - runs kernels on the host
 *
 * The threads of a block are fibers of the thread that launches, blocks run in turn, and each has shared memory of its own,
 * exact in size. A fiber runs thread after thread until one has to wait; a kernel without barriers costs no switch. To the
 * thread sanitizer every thread of a launch is a thread, ordered by barriers alone; this file must be compiled without it.
 *
 * The environment says how:
 *   CUDAHOST_ORDER    forward, backward or shuffled: the order of threads and blocks. All but the first also put off what a
 *                     stream is given until something waits for it. New memory holds other garbage in each
 *   CUDAHOST_DEVICES  how many there are, 1
 *   CUDAHOST_MEMORY   bytes of each, 512 MiB
 *   CUDAHOST_COUNTS   a file that is told at the end how often memory of a device was allocated, and how many plans of cuFFT
 *                     were made: "allocations plans"
 *   CUDAHOST_FAULT    this launch of the process, counted from 1, or the next one, spoils its device for good */
#include <cuda_runtime.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <deque>
#include <map>
#include <mutex>
#include <numeric>
#include <random>
#include <set>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

/* Only where the thread sanitizer is. */
extern "C" {
void *__tsan_get_current_fiber () __attribute__ ((weak));
void *__tsan_create_fiber (unsigned flags) __attribute__ ((weak));
void __tsan_switch_to_fiber (void *fiber, unsigned flags) __attribute__ ((weak));
void __tsan_acquire (void *address) __attribute__ ((weak));
void __tsan_release (void *address) __attribute__ ((weak));
}

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

const size_t stack_bytes = 256 << 10;

#if defined(__x86_64__)

typedef void *Place; /* where a stack stopped */

/* Keeps what a called function must keep, and goes on where `to` stopped: a hundred times faster than swapcontext. */
extern "C" __attribute__ ((visibility ("hidden"))) void cudahost_switch (Place *from, Place *to);
asm(".text\n.hidden cudahost_switch\n.globl cudahost_switch\n.type cudahost_switch, @function\n"
    "cudahost_switch:\n"
    "push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
    "mov %rsp, (%rdi)\n mov (%rsi), %rsp\n"
    "pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n ret\n"
    ".size cudahost_switch, .-cudahost_switch\n");

static void
make_place (Place *place, char *stack, void (*start) ())
{
  void **top = reinterpret_cast<void **> (stack + stack_bytes);
  *--top = nullptr; /* a call leaves the stack so that its address is 8 more than a multiple of 16 */
  *--top = reinterpret_cast<void *> (start);
  *place = top - 6;
}

#else

typedef ucontext_t Place;

static void
cudahost_switch (Place *from, Place *to)
{
  swapcontext (from, to);
}

static void
make_place (Place *place, char *stack, void (*start) ())
{
  getcontext (place);
  place->uc_stack.ss_sp = stack;
  place->uc_stack.ss_size = stack_bytes;
  makecontext (place, start, 0);
}

#endif

namespace {

const unsigned most_threads = 1024;
const size_t most_shared = 48 << 10; /* bytes */

std::recursive_mutex machine; /* whoever has it is the only one that the devices work for */

size_t
setting (const char *name, size_t otherwise)
{
  const char *text = getenv (name);
  return text ? strtoull (text, nullptr, 10) : otherwise; /* lint: allow: there is no GLib here */
}

struct Order {
  const char *name;
  int garbage; /* a byte of new memory: huge, NAN and -1, negative */
  bool late;
};

const Order &
order ()
{
  static const Order known[] = { { "forward", 0x7f, false }, { "backward", 0xff, true }, { "shuffled", 0xa5, true } };
  static const Order *chosen = nullptr;
  const char *name = getenv ("CUDAHOST_ORDER");
  for (const Order &one : known)
    if (!chosen && strcmp (name ? name : "forward", one.name) == 0)
      chosen = &one;
  if (!chosen) {
    fprintf (stderr, "cudahost: CUDAHOST_ORDER is forward, backward or shuffled\n");
    abort ();
  }
  return *chosen;
}

/* The numbers from 0 to n in the order in which they have their turn. */
void
arrange (std::vector<unsigned> &turn, unsigned n)
{
  static std::minstd_rand random;
  turn.resize (n);
  std::iota (turn.begin (), turn.end (), 0);
  if (strcmp (order ().name, "backward") == 0)
    std::reverse (turn.begin (), turn.end ());
  else if (strcmp (order ().name, "shuffled") == 0)
    std::shuffle (turn.begin (), turn.end (), random);
}

void
acquire (void *address)
{
  if (__tsan_acquire)
    __tsan_acquire (address);
}

void
release (void *address)
{
  if (__tsan_release)
    __tsan_release (address);
}

/* ---- fibers ----------------------------------------------------------------------------------------------------------- */

struct Fiber {
  Place place;
  void *tsan;
};

Fiber *
fiber_new (void (*start) ())
{
  Fiber *fiber = new Fiber{};
  void *stack = mmap (nullptr, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (stack == MAP_FAILED || mprotect (stack, 4096, PROT_NONE) != 0)
    abort ();
  make_place (&fiber->place, static_cast<char *> (stack), start);
  if (__tsan_create_fiber)
    fiber->tsan = __tsan_create_fiber (0);
  return fiber;
}

Place scheduler;
Fiber *running;

/* Goes on with a fiber until it waits or has nothing to do. */
void
resume (Fiber *fiber)
{
  void *host = __tsan_get_current_fiber ? __tsan_get_current_fiber () : nullptr;
  running = fiber;
  if (host)
    __tsan_switch_to_fiber (fiber->tsan, 1); /* 1: which orders nothing */
  cudahost_switch (&scheduler, &fiber->place);
  if (host)
    __tsan_switch_to_fiber (host, 1);
}

void
pause ()
{
  cudahost_switch (&running->place, &scheduler);
}

/* ---- the block that runs ----------------------------------------------------------------------------------------------- */

/* Where threads wait for each other. While some are on their way from one wait others may be in the next, so what a wait
 * leaves behind has two sides, used by turns. */
struct Gate {
  unsigned live, waiting, opened;
  cudahost_votes votes[2];
  char ordered[2]; /* their addresses stand for the order that the wait makes */
};

struct Warp {
  Gate gate;
  unsigned size, lanes[2];
  uint64_t word[2][warpSize];
};

struct Thread {
  uint3 index;
  Fiber *fiber;
  const Gate *at; /* waits here */
  unsigned since; /* and until this has been opened more often */
};

struct Shared {
  const void *declaration;
  void *memory;
  size_t bytes;
};

struct Block {
  const char *kernel;
  const std::function<void ()> *body;
  unsigned n, now, next; /* threads; the one that runs; how many of `turn` have begun */
  std::vector<Thread> thread;
  std::vector<unsigned> turn;
  std::vector<Warp> warp;
  Gate gate;
  std::vector<Shared> shared;
  char begun, ended; /* as `ordered` */
} block;

[[noreturn]] void
die (const char *what)
{
  fprintf (stderr, "cudahost: %s, block (%u, %u, %u), thread (%u, %u, %u): %s\n", block.kernel, blockIdx.x, blockIdx.y,
           blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z, what);
  abort ();
}

void
open (Gate &gate)
{
  gate.waiting = 0;
  gate.opened++;
}

/* Waits until all of a gate's threads have come; which side of it was used. The block's orders memory, a warp's does not. */
unsigned
arrive (Gate &gate, bool yes)
{
  unsigned side = gate.opened & 1;
  bool ordered = &gate == &block.gate;
  Thread &self = block.thread[block.now];
  if (gate.waiting == 0)
    gate.votes[side] = { 0, 0 };
  gate.votes[side].n++;
  gate.votes[side].yes += yes;
  if (ordered)
    release (&gate.ordered[side]);
  self.at = &gate;
  self.since = gate.opened;
  if (++gate.waiting == gate.live)
    open (gate);
  else
    pause ();
  self.at = nullptr;
  if (ordered)
    acquire (&gate.ordered[side]);
  return side;
}

void
leave (Gate &gate)
{
  if (--gate.live > 0 && gate.waiting == gate.live)
    open (gate);
}

void
enter (unsigned thread)
{
  block.now = thread;
  threadIdx = block.thread[thread].index;
}

void
run_thread (unsigned thread)
{
  Warp &warp = block.warp[thread / warpSize];
  enter (thread);
  block.thread[thread].fiber = running;
  acquire (&block.begun);
  (*block.body) ();
  release (&block.ended);
  if (warp.gate.waiting)
    die ("it leaves while its warp waits for it");
  leave (warp.gate);
  leave (block.gate);
}

/* Kept until the process ends: fibers have no end of their own. */
std::vector<Fiber *> &idle = *new std::vector<Fiber *>;

void
fiber_life ()
{
  for (;;) {
    do
      run_thread (block.turn[block.next++]);
    while (block.next < block.n && !running->tsan);
    if (!running->tsan)
      idle.push_back (running);
    pause ();
  }
}

/* A fiber for the next thread. For the thread sanitizer it and its stack are the thread's own, and the next block's are
 * others, so that no order between the two seems to come from being the same fiber. */
Fiber *
fiber_for (unsigned thread)
{
  if (__tsan_create_fiber) {
    static std::vector<Fiber *> own[2];
    static unsigned odd;
    odd ^= block.next == 0;
    if (own[odd].size () <= thread)
      own[odd].resize (thread + 1);
    if (!own[odd][thread])
      own[odd][thread] = fiber_new (fiber_life);
    return own[odd][thread];
  }
  if (idle.empty ())
    return fiber_new (fiber_life);
  Fiber *fiber = idle.back ();
  idle.pop_back ();
  return fiber;
}

/* Frees the block's shared memory, as someone of whom no other block hears. */
void
shared_free ()
{
  static void *janitor = __tsan_create_fiber ? __tsan_create_fiber (0) : nullptr;
  void *host = janitor ? __tsan_get_current_fiber () : nullptr;
  if (janitor)
    __tsan_switch_to_fiber (janitor, 1);
  acquire (&block.ended);
  for (Shared &one : block.shared)
    free (one.memory);
  if (janitor)
    __tsan_switch_to_fiber (host, 1);
  block.shared.clear ();
}

void
run_block ()
{
  arrange (block.turn, block.n);
  block.gate = {};
  block.gate.live = block.n;
  block.next = 0;
  for (unsigned i = 0; i < block.warp.size (); i++) {
    block.warp[i].gate = {};
    block.warp[i].gate.live = block.warp[i].size = std::min<unsigned> (warpSize, block.n - i * warpSize);
  }
  while (block.next < block.n)
    resume (fiber_for (block.turn[block.next]));
  while (block.gate.live > 0) {
    bool any = false;
    for (unsigned thread : block.turn) {
      const Thread &one = block.thread[thread];
      if (!one.at || one.at->opened == one.since)
        continue;
      any = true;
      enter (thread);
      resume (one.fiber);
    }
    if (!any)
      die ("threads wait at different barriers, for ever");
  }
  shared_free ();
}

void
run_grid (const char *kernel, dim3 grid, dim3 size, size_t shared, const std::function<void ()> &body)
{
  std::vector<unsigned> turn;
  block.kernel = kernel;
  block.body = &body;
  block.n = size.x * size.y * size.z;
  block.thread.assign (block.n, Thread{});
  block.warp.resize ((block.n + warpSize - 1) / warpSize);
  for (unsigned i = 0; i < block.n; i++)
    block.thread[i].index = { i % size.x, i / size.x % size.y, i / size.x / size.y };
  gridDim = grid;
  blockDim = size;
  release (&block.begun);
  arrange (turn, grid.x * grid.y * grid.z);
  for (unsigned i : turn) {
    blockIdx = { i % grid.x, i / grid.x % grid.y, i / grid.x / grid.y };
    if (shared)
      cudahost_shared (nullptr, shared);
    run_block ();
  }
  acquire (&block.ended);
}

/* ---- what the devices are -------------------------------------------------------------------------------------------- */

const int most_devices = 16;
thread_local int device;
thread_local cudaError_t last;
std::atomic<cudaError_t> broken[most_devices]; /* what spoiled a device for good */

cudaError_t
tell (cudaError_t error)
{
  if (broken[device])
    error = broken[device];
  if (error)
    last = error;
  return error;
}

}

struct CUstream_st {
  int device;
  std::deque<std::function<void ()> > work;
  uint64_t given, done;
};

struct CUevent_st {
  cudaStream_t stream;
  uint64_t ticket; /* how much the stream had been given then */
};

namespace {

std::set<cudaStream_t> streams;

/* Has a stream do what it was given first, up to a number of things. */
void
advance (cudaStream_t stream, uint64_t until)
{
  while (streams.count (stream) && stream->done < until && !stream->work.empty ()) {
    std::function<void ()> work = std::move (stream->work.front ());
    stream->work.pop_front ();
    stream->done++;
    acquire (stream);
    if (!broken[stream->device])
      work ();
  }
}

void
finish (cudaStream_t stream)
{
  advance (stream, UINT64_MAX);
}

void
finish_all ()
{
  for (cudaStream_t stream : std::set<cudaStream_t> (streams))
    finish (stream);
}

struct Memory {
  size_t bytes;
  int device; /* -1: the host's, pinned */
};

std::map<const char *, Memory> memories;

/* What holds these bytes, or NULL. */
const Memory *
find (const void *address, size_t bytes)
{
  const char *from = static_cast<const char *> (address);
  auto next = memories.upper_bound (from);
  if (next == memories.begin ())
    return nullptr;
  --next;
  return from + bytes <= next->first + next->second.bytes ? &next->second : nullptr;
}

size_t
used (int by)
{
  size_t sum = 0;
  for (const auto &one : memories)
    sum += one.second.device == by ? one.second.bytes : 0;
  return sum;
}

/* Tells them when the process ends. */
struct Counts {
  size_t allocations, plans;
  ~Counts ()
  {
    const char *path = getenv ("CUDAHOST_COUNTS");
    FILE *file = path ? fopen (path, "w") : nullptr; /* lint: allow: there is no GLib here */
    if (file) {
      fprintf (file, "%zu %zu\n", allocations, plans);
      fclose (file);
    }
  }
} counts;

cudaError_t
allocate (void **memory, size_t bytes, int by)
{
  std::lock_guard<std::recursive_mutex> lock (machine);
  *memory = nullptr;
  if (broken[device] || bytes == 0)
    return tell (cudaSuccess);
  if ((by >= 0 && bytes > setting ("CUDAHOST_MEMORY", 512 << 20) - used (by))
      || posix_memalign (memory, 256, bytes) != 0)
    return tell (cudaErrorMemoryAllocation);
  memset (*memory, order ().garbage, bytes);
  memories[static_cast<char *> (*memory)] = { bytes, by };
  counts.allocations += by >= 0;
  return tell (cudaSuccess);
}

cudaError_t
give_back (void *memory, bool pinned)
{
  std::lock_guard<std::recursive_mutex> lock (machine);
  auto known = memories.find (static_cast<char *> (memory));
  if (!memory)
    return tell (cudaSuccess);
  if (known == memories.end () || (known->second.device < 0) != pinned)
    return tell (cudaErrorInvalidValue);
  finish_all ();
  memories.erase (known);
  free (memory);
  return tell (cudaSuccess);
}

size_t launches;

bool
is_fault ()
{
  const char *which = getenv ("CUDAHOST_FAULT");
  return ++launches == setting ("CUDAHOST_FAULT", 0) || (which && strcmp (which, "next") == 0);
}

cudaError_t
copy (void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream)
{
  std::lock_guard<std::recursive_mutex> lock (machine);
  if (bytes == 0)
    return tell (cudaSuccess);
  const Memory *target = find (to, bytes), *origin = find (from, bytes);
  bool up = target && target->device >= 0, down = origin && origin->device >= 0;
  if (up != (kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice)
      || down != (kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice))
    return tell (cudaErrorInvalidValue);
  /* Memory that is not pinned may, on a card, have been read or written when the call returns; nothing promises it. */
  return cudahost_enqueue (stream, [=] { memmove (to, from, bytes); });
}

}

cudaError_t
cudahost_enqueue (cudaStream_t stream, std::function<void ()> work)
{
  std::lock_guard<std::recursive_mutex> lock (machine);
  if (broken[device] || (stream && !streams.count (stream)))
    return tell (cudaErrorInvalidResourceHandle);
  if (!stream) { /* the default stream waits for none: all others are cudaStreamNonBlocking */
    work ();
    return tell (cudaSuccess);
  }
  stream->work.push_back (std::move (work));
  stream->given++;
  release (stream);
  if (!order ().late)
    finish (stream);
  return tell (cudaSuccess);
}

void
cudahost_run (const char *name, dim3 grid, dim3 size, size_t shared, cudaStream_t stream, std::function<void ()> thread)
{
  std::lock_guard<std::recursive_mutex> lock (machine);
  uint64_t n = uint64_t (size.x) * size.y * size.z;
  if (n == 0 || n > most_threads || size.z > 64 || grid.x > INT32_MAX || grid.y > UINT16_MAX || grid.z > UINT16_MAX
      || grid.x == 0 || grid.y == 0 || grid.z == 0 || uint64_t (grid.x) * grid.y * grid.z > INT32_MAX)
    tell (cudaErrorInvalidConfiguration);
  else if (shared > most_shared)
    tell (cudaErrorInvalidValue);
  else
    cudahost_enqueue (stream, [=] {
      if (is_fault ())
        broken[stream ? stream->device : device] = cudaErrorIllegalAddress;
      else
        run_grid (name, grid, size, shared, thread);
    });
}

void
cudahost_count_plan ()
{
  std::lock_guard<std::recursive_mutex> lock (machine);
  counts.plans++;
}

void *
cudahost_shared (const void *declaration, size_t bytes)
{
  size_t sum = bytes;
  for (Shared &one : block.shared) {
    if (one.declaration == declaration) {
      acquire (&one);
      return one.memory;
    }
    sum += one.declaration ? one.bytes : 0;
  }
  if (declaration && sum > most_shared)
    die ("it has more than 48 KiB of shared memory besides what the launch asked for");
  if (bytes == 0)
    die ("the launch asked for no shared memory");
  void *memory = nullptr;
  if (posix_memalign (&memory, 16, bytes) != 0)
    abort ();
  memset (memory, order ().garbage, bytes);
  if (block.shared.empty ())
    block.shared.reserve (64); /* their addresses stand for an order */
  block.shared.push_back ({ declaration, memory, bytes });
  release (&block.shared.back ());
  return memory;
}

cudahost_votes
cudahost_barrier (bool yes)
{
  return block.gate.votes[arrive (block.gate, yes)];
}

int
cudahost_lane ()
{
  return static_cast<int> (block.now % warpSize);
}

cudahost_words
cudahost_exchange (unsigned mask, uint64_t mine)
{
  Warp &warp = block.warp[block.now / warpSize];
  unsigned side = warp.gate.opened & 1, lane = block.now % warpSize;
  if (mask != 0xffffffffu)
    die ("only whole warps shuffle and vote");
  if (warp.gate.live != warp.size)
    die ("a thread of its warp has left");
  if (warp.gate.waiting == 0)
    warp.lanes[side] = 0;
  warp.lanes[side] |= 1u << lane;
  warp.word[side][lane] = mine;
  arrive (warp.gate, false);
  return { warp.word[side], warp.lanes[side] };
}

void
cudahost_fence ()
{
  static char all;
  release (&all);
  acquire (&all);
}

/* ---- the runtime's calls ------------------------------------------------------------------------------------------------ */

cudaError_t
cudaGetLastError ()
{
  cudaError_t error = broken[device] ? broken[device].load () : last;
  last = cudaSuccess;
  return error;
}

namespace {

const struct {
  cudaError_t error;
  const char *name, *text;
} errors[] = {
  { cudaSuccess, "cudaSuccess", "no error" },
  { cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument" },
  { cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory" },
  { cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument" },
  { cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected" },
  { cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal" },
  { cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle" },
  { cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered" },
};

}

const char *
cudaGetErrorString (cudaError_t error)
{
  auto one = std::find_if (std::begin (errors), std::end (errors), [=] (auto &is) { return is.error == error; });
  return one != std::end (errors) ? one->text : "unrecognized error code";
}

const char *
cudaGetErrorName (cudaError_t error)
{
  auto one = std::find_if (std::begin (errors), std::end (errors), [=] (auto &is) { return is.error == error; });
  return one != std::end (errors) ? one->name : "unrecognized error code";
}

cudaError_t
cudaGetDeviceCount (int *n)
{
  *n = static_cast<int> (std::min<size_t> (setting ("CUDAHOST_DEVICES", 1), most_devices));
  return tell (*n > 0 ? cudaSuccess : cudaErrorNoDevice);
}

cudaError_t
cudaSetDevice (int index)
{
  if (index < 0 || index >= most_devices || static_cast<size_t> (index) >= setting ("CUDAHOST_DEVICES", 1))
    return tell (cudaErrorInvalidDevice);
  device = index;
  return tell (cudaSuccess);
}

cudaError_t
cudaSetDeviceFlags (unsigned)
{
  return tell (cudaSuccess);
}

cudaError_t
cudaGetDeviceProperties (cudaDeviceProp *is, int index)
{
  *is = {};
  if (index < 0 || static_cast<size_t> (index) >= setting ("CUDAHOST_DEVICES", 1))
    return tell (cudaErrorInvalidDevice);
  snprintf (is->name, sizeof is->name, "cudahost");
  is->major = static_cast<int> (setting ("CUDAHOST_MAJOR", 7));
  is->minor = 5;
  is->totalGlobalMem = setting ("CUDAHOST_MEMORY", 512 << 20);
  is->multiProcessorCount = 2;
  return tell (cudaSuccess);
}

cudaError_t
cudaDriverGetVersion (int *version)
{
  *version = 13000;
  return tell (cudaSuccess);
}

cudaError_t
cudaRuntimeGetVersion (int *version)
{
  return cudaDriverGetVersion (version);
}

cudaError_t
cudaMalloc (void **memory, size_t bytes)
{
  return allocate (memory, bytes, device);
}

cudaError_t
cudaFree (void *memory)
{
  return give_back (memory, false);
}

cudaError_t
cudaHostAlloc (void **memory, size_t bytes, unsigned)
{
  return allocate (memory, bytes, -1);
}

cudaError_t
cudaFreeHost (void *memory)
{
  return give_back (memory, true);
}

cudaError_t
cudaMemGetInfo (size_t *available, size_t *total)
{
  std::lock_guard<std::recursive_mutex> lock (machine);
  *total = setting ("CUDAHOST_MEMORY", 512 << 20);
  *available = *total - used (device);
  return tell (cudaSuccess);
}

bool
cudahost_on_device (const void *address, size_t bytes)
{
  std::lock_guard<std::recursive_mutex> lock (machine);
  const Memory *memory = find (address, bytes);
  return memory && memory->device >= 0;
}

cudaError_t
cudaStreamCreateWithFlags (cudaStream_t *stream, unsigned flags)
{
  std::lock_guard<std::recursive_mutex> lock (machine);
  if (flags != cudaStreamNonBlocking)
    return tell (cudaErrorInvalidValue);
  *stream = new CUstream_st{};
  (*stream)->device = device;
  streams.insert (*stream);
  return tell (cudaSuccess);
}

cudaError_t
cudaStreamDestroy (cudaStream_t stream)
{
  std::lock_guard<std::recursive_mutex> lock (machine);
  if (!streams.count (stream))
    return tell (cudaErrorInvalidResourceHandle);
  finish (stream);
  streams.erase (stream);
  delete stream;
  return tell (cudaSuccess);
}

cudaError_t
cudaStreamSynchronize (cudaStream_t stream)
{
  std::lock_guard<std::recursive_mutex> lock (machine);
  finish (stream);
  return tell (streams.count (stream) ? cudaSuccess : cudaErrorInvalidResourceHandle);
}

cudaError_t
cudaStreamWaitEvent (cudaStream_t stream, cudaEvent_t event, unsigned)
{
  CUevent_st is = *event;
  return cudahost_enqueue (stream, [=] { advance (is.stream, is.ticket); });
}

cudaError_t
cudaEventCreateWithFlags (cudaEvent_t *event, unsigned)
{
  *event = new CUevent_st{};
  return tell (cudaSuccess);
}

cudaError_t
cudaEventDestroy (cudaEvent_t event)
{
  delete event;
  return tell (cudaSuccess);
}

cudaError_t
cudaEventRecord (cudaEvent_t event, cudaStream_t stream)
{
  std::lock_guard<std::recursive_mutex> lock (machine);
  if (!streams.count (stream))
    return tell (cudaErrorInvalidResourceHandle);
  *event = { stream, stream->given };
  return tell (cudaSuccess);
}

cudaError_t
cudaEventSynchronize (cudaEvent_t event)
{
  std::lock_guard<std::recursive_mutex> lock (machine);
  advance (event->stream, event->ticket);
  return tell (cudaSuccess);
}

cudaError_t
cudaMemcpy (void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
  return copy (to, from, bytes, kind, nullptr);
}

cudaError_t
cudaMemcpyAsync (void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream)
{
  return copy (to, from, bytes, kind, stream);
}

cudaError_t
cudaMemset (void *memory, int value, size_t bytes)
{
  return cudaMemsetAsync (memory, value, bytes, nullptr);
}

cudaError_t
cudaMemsetAsync (void *memory, int value, size_t bytes, cudaStream_t stream)
{
  if (!cudahost_on_device (memory, bytes))
    return tell (cudaErrorInvalidValue);
  return cudahost_enqueue (stream, [=] { memset (memory, value, bytes); });
}
