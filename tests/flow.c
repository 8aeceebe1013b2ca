/* flow.c - what the CUDA backend does where memory ends or a device breaks, on the stand-in, which can be made to do either */
#include <string.h>

#include "tests/backend.h"

enum { SIDE = 256, TILE = 64 };

static const NotchLaneSize lane_size = {
  .batch = 2, .size = TILE, .halo = 8, .shift_size = 32, .max_blobs = 8, .patch_side = 8, .max_patches = 2
};

static void
set_number (const char *name, gsize value)
{
  g_autofree char *text = g_strdup_printf ("%" G_GSIZE_FORMAT, value);
  g_setenv (name, text, TRUE);
}

/* Opens a device of those that work. */
static NotchDevice *
open_device (int index)
{
  NotchFault fault = { 0 };
  NotchDevice *device = backend->open (index, &fault);
  g_assert_cmpstr (fault.text, ==, "");
  return device;
}

/* An image of zeros, as many rows as are wanted of it, which a device may keep. */
static NotchStripMem *
send_rows (NotchDevice *device, gsize n_rows, NotchFault *fault)
{
  static const guint8 zeros[SIDE];
  g_autofree const void **row = g_new (const void *, n_rows);
  for (gsize i = 0; i < n_rows; i++)
    row[i] = zeros;
  const NotchPixels pixels = { NOTCH_SAMPLE_U8, SIDE, (gint64) n_rows, 0, (gint64) n_rows, row, 1 };
  return backend->strip_up (device, &pixels, fault);
}

static gboolean
has_room_for (NotchDevice *device, gsize n_rows, NotchFault *fault)
{
  NotchStripMem *mem = send_rows (device, n_rows, fault);
  backend->strip_free (mem);
  return mem != NULL;
}

/* Whether a device of so many bytes has room for a lane, beside what a strip of so many rows left behind. */
static gboolean
has_room_beside (gsize bytes, gsize n_rows)
{
  NotchFault fault = { 0 };
  set_number ("CUDAHOST_MEMORY", bytes);
  NotchDevice *device = open_device (0);
  g_assert_true (n_rows == 0 || has_room_for (device, n_rows, &fault));
  NotchLane *lane = backend->lane_new (device, &lane_size, &fault);
  g_assert_true (lane || fault.full);
  backend->lane_free (lane);
  backend->close (device);
  g_unsetenv ("CUDAHOST_MEMORY");
  return lane != NULL;
}

/* Bytes that a lane takes. */
static gsize
bytes_of_lane (void)
{
  gsize least = 0, enough = (gsize) 64 << 20;
  while (enough - least > 4096) {
    gsize middle = (least + enough) / 2;
    if (has_room_beside (middle, 0))
      enough = middle;
    else
      least = middle;
  }
  return enough;
}

/* ---- faults ---------------------------------------------------------------------------------------------------------- */

/* What cannot be had for want of memory is told from what a spoiled device does not do any more. */
static void
test_spoiled (void)
{
  g_setenv ("CUDAHOST_DEVICES", "2", TRUE);
  NotchCompute compute = { .kernels = backend, .n_devices = 2, .device = { open_device (0), open_device (1) } };
  NotchDevice *bad = compute.device[0], *good = compute.device[1];
  NotchFault fault = { 0 };
  NotchLane *lane = backend->lane_new (bad, &lane_size, &fault);
  g_assert_nonnull (lane);
  g_assert_false (has_room_for (bad, (gsize) 4 << 20, &fault));
  g_assert_true (fault.full);
  g_assert_true (backend->works (bad, &fault));
  g_assert_cmpint (notch_compute_leave_out (&compute), ==, 0);

  const NotchTile tile = { .core_w = TILE, .core_h = TILE, .inside_w = TILE, .inside_h = TILE };
  const NotchBatch batch = { .n_tiles = 1, .tile = &tile };
  NotchTileFound found;
  g_assert_cmpint (backend->gather (lane, &(NotchGather){ &batch }), ==, 0);
  g_setenv ("CUDAHOST_FAULT", "next", TRUE);
  g_assert_cmpint (backend->finish (lane, &found), !=, 0);
  g_unsetenv ("CUDAHOST_FAULT");
  g_assert_nonnull (strstr (backend->fault (lane)->text, "illegal memory access"));
  g_assert_false (backend->fault (lane)->full);

  const NotchTrees trees = { 0 };
  NotchFault each[3] = { { .full = TRUE }, { .full = TRUE }, { .full = TRUE } };
  g_assert_false (has_room_for (bad, SIDE, &each[0]));
  g_assert_null (backend->lane_new (bad, &lane_size, &each[1]));
  g_assert_null (backend->trees_up (bad, &trees, &each[2]));
  for (int i = 0; i < 3; i++) {
    g_assert_false (each[i].full);
    g_assert_nonnull (strstr (each[i].text, "illegal memory access"));
  }
  backend->lane_free (lane);

  fault = (NotchFault){ 0 };
  g_assert_false (backend->works (bad, &fault));
  g_assert_nonnull (strstr (fault.text, "illegal memory access"));
  g_assert_true (has_room_for (good, SIDE, &fault));
  g_assert_cmpint (notch_compute_leave_out (&compute), ==, 1);
  g_assert_cmpint (compute.n_devices, ==, 1);
  g_assert_true (compute.device[0] == good && compute.device[1] == bad);
  g_assert_cmpint (notch_compute_leave_out (&compute), ==, 0);
  notch_compute_close (&compute);
  g_unsetenv ("CUDAHOST_DEVICES");
}

/* ---- rows ------------------------------------------------------------------------------------------------------------ */

enum { IMAGE_WIDTH = 300, IMAGE_HEIGHT = 1000, RANGE = 96 };

/* Takes up so many rows of an image from y on, every gap-th left out, and looks whether a tile has what it should. */
static NotchStripMem *
check_rows (NotchDevice *device, NotchLane *lane, const guint16 *image, guint64 number, gint64 y, int n, int gap)
{
  g_autofree const void **row = g_new0 (const void *, n);
  g_autofree float *plane = g_new (float, TILE *TILE);
  NotchFault fault = { 0 };
  for (int i = 0; i < n; i++)
    row[i] = (i + 1) % gap ? image + (y + i) * IMAGE_WIDTH : NULL;
  const NotchPixels pixels = { NOTCH_SAMPLE_U16, IMAGE_WIDTH, IMAGE_HEIGHT, y, n, row, number };
  NotchStripMem *mem = backend->strip_up (device, &pixels, &fault);
  g_assert_cmpstr (fault.text, ==, "");
  const NotchTile tile = { .x = 31, .y = y + 7, .core_w = TILE, .core_h = TILE, .inside_w = TILE, .inside_h = TILE };
  const NotchBatch batch = { .n_tiles = 1, .tile = &tile, .mem = { mem } };
  g_assert_cmpint (backend->gather (lane, &(NotchGather){ &batch }), ==, 0);
  g_assert_cmpint (backend->peek (lane, 0, NOTCH_PLANE_TEST, plane), ==, 0);
  for (int v = 0; v < TILE; v++)
    for (int u = 0; u < TILE; u++) {
      int i = MIN (v + 7, n - 1);
      i -= (i + 1) % gap == 0; /* the nearest above */
      g_assert_cmpfloat (plane[v * TILE + u], ==, image[(y + i) * IMAGE_WIDTH + 31 + u]);
    }
  return mem;
}

/* Rows go up once, and what comes down is what they are: over an image from the top down, with neighbours above and below, as
 * rows of tiles with those of dice; in any order; and where there is no room to keep them all, oftener, but not wrong. Another
 * image's rows are others. */
static void
test_rows_once (void)
{
  enum { STEP = 60, REACH = 200, LINE = IMAGE_WIDTH * 2, PITCH = 768 };
  g_autofree guint16 *image = g_new (guint16, IMAGE_WIDTH * IMAGE_HEIGHT);
  g_autofree guint16 *other = g_new (guint16, IMAGE_WIDTH * IMAGE_HEIGHT);
  g_autoptr (GRand) random = g_rand_new_with_seed (3);
  for (int i = 0; i < IMAGE_WIDTH * IMAGE_HEIGHT; i++)
    image[i] = (guint16) g_rand_int_range (random, 0, 65536), other[i] = (guint16) ~image[i];
  for (int small = 0; small < 2; small++) {
    NotchFault fault = { 0 };
    if (small) /* room for a fifth of an image, as its part of what a lane and 16 tables leave */
      set_number ("CUDAHOST_MEMORY", bytes_of_lane () + 16 * 8 * IMAGE_HEIGHT + 4 * (IMAGE_HEIGHT / 5) * PITCH);
    NotchDevice *device = open_device (0);
    NotchLane *lane = backend->lane_new (device, &lane_size, &fault);
    g_assert_nonnull (lane);
    guint64 before = backend->sent (device);
    NotchStripMem *last[3] = { NULL };
    int n = 0;
    for (int y = 0; y + RANGE <= IMAGE_HEIGHT; y += STEP)
      for (int k = 0; k < 3; k++) {
        int top = CLAMP (y + (k - 1) * REACH, 0, IMAGE_HEIGHT - RANGE);
        backend->strip_free (last[k]);
        n++;
        last[k] = check_rows (device, lane, image, 7, top, RANGE, k == 1 ? 1000 : 5);
      }
    double tables = n * RANGE * sizeof (void *);
    double times = ((double) (backend->sent (device) - before) - tables) / (IMAGE_HEIGHT * LINE);
    g_test_message ("%s: %.3f times the image", small ? "a fifth kept" : "all kept", times);
    if (small)
      g_assert_cmpfloat (times, >, 1.5);
    else
      g_assert_cmpfloat (times, <=, 1);
    NotchStripMem *mem = check_rows (device, lane, other, 8, 100, RANGE, 1000);
    backend->strip_free (mem);
    for (int k = 0; k < 3; k++)
      backend->strip_free (last[k]);
    backend->lane_free (lane);
    backend->close (device);
    g_unsetenv ("CUDAHOST_MEMORY");
  }
}

/* ---- room ------------------------------------------------------------------------------------------------------------ */

/* A strip that went leaves its memory for the next; it goes where the lane, or cuFFT for itself, finds none: whatever is short
 * of it, from nothing on by steps of what cuFFT takes. */
static void
test_room_for_transforms (void)
{
  enum { STEP = 32 << 10, SPARE = 1 << 20 };
  gsize enough = bytes_of_lane ();
  for (gsize lacks = 0; lacks <= 8 * STEP; lacks += STEP)
    g_assert_true (has_room_beside (enough + SPARE - lacks, SPARE / SIDE));
}

/* Likewise for cuBLAS. */
static void
test_room_for_products (void)
{
  const NotchNetGeometry layer = { NOTCH_NET_SLICE, 4, 2, 3, 1, 4 };
  const NotchNetSize size = { 1, NOTCH_NET_SLICE, 1, &layer, 0 };
  NotchFault fault = { 0 };
  set_number ("CUDAHOST_MEMORY", (gsize) 8 << 20);
  NotchDevice *device = open_device (0);
  g_assert_true (has_room_for (device, (gsize) 6 << 20 >> 8, &fault));
  NotchNetLane *lane = backend->net->lane_new (device, &size, &fault);
  g_assert_cmpstr (fault.text, ==, "");
  g_assert_nonnull (lane);
  backend->net->lane_free (lane);

  set_number ("CUDAHOST_MEMORY", (gsize) 3 << 20);
  g_assert_null (backend->net->lane_new (device, &size, &fault));
  g_assert_true (fault.full);
  backend->close (device);
  g_unsetenv ("CUDAHOST_MEMORY");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  backend_add_to ("cudahost", "/flow/rows/once", (BackendTest){ .plain = test_rows_once });
  backend_add_to ("cudahost", "/flow/room/transforms", (BackendTest){ .plain = test_room_for_transforms });
  backend_add_to ("cudahost", "/flow/room/products", (BackendTest){ .plain = test_room_for_products });
  backend_add_to ("cudahost", "/flow/trouble/spoiled",
                  (BackendTest){ .plain = test_spoiled }); /* the last: it stays so */
  return g_test_run ();
}
