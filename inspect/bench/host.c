/* host.c - the way up to a device that has memory of its own: from pinned memory, and as strips from memory that is not */
#include "inspect/bench/bench.h"

#include "inspect/compute/crew.h"

#define UP_BYTES ((gsize) 64 << 20)
#define TIMES    4
#define WIDTH    8192 /* px of a strip's rows */
#define HEIGHT   4096

/* What the lane's thread does. */
typedef struct {
  const NotchCompute *compute;
  const NotchPixels *pixels;
  double pinned, strip; /* seconds that it took */
} Ride;

/* A strip is up when a lane has read of it. */
static gboolean
send_strip (const Ride *ride, NotchLane *lane, GError **error)
{
  const NotchKernels *k = ride->compute->kernels;
  NotchFault fault = { 0 };
  NotchStripMem *mem = k->strip_up (ride->compute->device[0], ride->pixels, &fault);
  if (!mem)
    return notch_fault_error (&fault, k->name, error);
  const NotchTile tile = { .core_w = 1, .core_h = 1, .inside_w = 1, .inside_h = 1 };
  const NotchBatch batch = { .n_tiles = 1, .tile = &tile, .mem = { mem } };
  NotchTileFound found;
  gboolean well = k->gather (lane, &(NotchGather){ &batch }) == 0 && k->finish (lane, &found) == 0;
  k->strip_free (mem);
  return well || notch_kernels_error (k, lane, error);
}

static gboolean
work (NotchLane *lane, gpointer data, GError **error)
{
  Ride *ride = data;
  if (!lane)
    return FALSE;
  const NotchKernels *k = ride->compute->kernels;
  if (!send_strip (ride, lane, error) || (k->up (lane, UP_BYTES, 1) != 0 && !notch_kernels_error (k, lane, error)))
    return FALSE;
  double start = notch_bench_now ();
  if (k->up (lane, UP_BYTES, TIMES) != 0)
    return notch_kernels_error (k, lane, error);
  ride->pinned = notch_bench_now () - start;
  start = notch_bench_now ();
  gboolean well = send_strip (ride, lane, error);
  ride->strip = notch_bench_now () - start;
  return well;
}

int
notch_bench_host_steps (const NotchBench *bench)
{
  return bench->compute.kernels->up ? bench->rounds : 0;
}

gboolean
notch_bench_host (NotchBench *bench, GError **error)
{
  if (!bench->compute.kernels->up)
    return TRUE;
  NotchCompute one = bench->compute;
  one.jobs = 1;
  const NotchLaneSize size = { .batch = 1, .size = 16, .halo = 2, .max_blobs = 1, .patch_side = 1 };
  g_autoptr (NotchCrew) crew = notch_crew_new (&one, &size, error);
  g_autofree guint16 *row = g_new0 (guint16, WIDTH);
  g_autofree const void **rows = g_new (const void *, HEIGHT);
  for (int y = 0; y < HEIGHT; y++)
    rows[y] = row;
  const NotchPixels pixels = { NOTCH_SAMPLE_U16, WIDTH, HEIGHT, 0, HEIGHT, rows, 0 };
  gboolean well = crew != NULL;
  for (int round = 0; round < bench->rounds && well; round++) {
    Ride ride = { .compute = &one, .pixels = &pixels };
    well = notch_bench_next (bench, "the way up", error) && notch_crew_push (crew, 0, work, &ride);
    well = notch_crew_wait (crew, well ? error : NULL) && well;
    if (!well)
      break;
    const double pinned = sizeof (float), strip = sizeof *row;
    notch_bench_note (bench, NOTCH_BENCH_HOST, "pinned", 1, pinned, 1e9 * ride.pinned * pinned / (TIMES * UP_BYTES));
    notch_bench_note (bench, NOTCH_BENCH_HOST, "strip", 1, strip, 1e9 * ride.strip / ((double) WIDTH * HEIGHT));
  }
  return well;
}
