/* convolve.c - convolutions and their derivatives on the CPU, as products of matrices
 *
 * The surroundings of the pixels of some images are copied to a matrix that fits the cache, and multiplied with the weights
 * (Chellapilla, Puri and Simard 2006). */
#include "kernels/cpu/lane.h"
#include "kernels/cpu/net.h"

#include <string.h>

/* What a part of a convolution needs to know, forward or back. */
typedef struct {
  NotchNetLane *lane;
  const NotchNetGeometry *is;
  const NotchNetConvolve *forward;
  const NotchNetConvolveBack *back;
  int out, rows;              /* side of what comes out; of weights */
  size_t image_in, image_out; /* floats */
} Task;

static Task
task_of (NotchNetLane *lane, const NotchNetGeometry *is)
{
  Task task = { .lane = lane, .is = is, .out = notch_net_side_out (is), .rows = notch_net_weight_rows (is) };
  task.image_in = (size_t) is->side * (size_t) is->side * (size_t) is->channels;
  task.image_out = (size_t) task.out * (size_t) task.out * (size_t) is->filters;
  return task;
}

/* A stretch of a line of the kernel that lies on the image: pixel (x, y) of what comes out sees `n` pixels of line iy from ix
 * on, which are the kernel's from `first` on; n 0: none. */
typedef struct {
  int ix, iy, first, n;
} Stretch;

static inline Stretch
stretch_of (const NotchNetGeometry *is, int x, int y, int line)
{
  int half = is->kernel / 2, left = x * is->stride - half, right = left + is->kernel;
  Stretch s = { left < 0 ? 0 : left, y * is->stride - half + line, left < 0 ? -left : 0, 0 };
  if (s.iy >= 0 && s.iy < is->side)
    s.n = (right > is->side ? is->side : right) - s.ix;
  return s;
}

/* Copies the surroundings of an image's pixels, a row each. */
static void
gather (const NotchNetGeometry *is, int out, const float *x, float *to)
{
  size_t channels = (size_t) is->channels, line = (size_t) is->kernel * channels;
  for (int oy = 0; oy < out; oy++)
    for (int ox = 0; ox < out; ox++)
      for (int k = 0; k < is->kernel; k++, to += line) {
        Stretch s = stretch_of (is, ox, oy, k);
        size_t before = s.n ? (size_t) s.first * channels : line, within = (size_t) s.n * channels;
        memset (to, 0, before * sizeof *to);
        if (!s.n)
          continue;
        memcpy (to + before, x + ((size_t) s.iy * (size_t) is->side + (size_t) s.ix) * channels, within * sizeof *to);
        memset (to + before + within, 0, (line - before - within) * sizeof *to);
      }
}

NOTCH_CLONES static void
add (float *to, const float *from, size_t n)
{
  for (size_t i = 0; i < n; i++)
    to[i] += from[i];
}

/* Adds what was found for the surroundings to the pixels that they are of. */
static void
scatter (const NotchNetGeometry *is, int out, const float *from, float *dx)
{
  size_t channels = (size_t) is->channels, line = (size_t) is->kernel * channels;
  for (int oy = 0; oy < out; oy++)
    for (int ox = 0; ox < out; ox++)
      for (int k = 0; k < is->kernel; k++, from += line) {
        Stretch s = stretch_of (is, ox, oy, k);
        if (s.n == 0)
          continue;
        add (dx + ((size_t) s.iy * (size_t) is->side + (size_t) s.ix) * channels, from + (size_t) s.first * channels,
             (size_t) s.n * channels);
      }
}

/* The surroundings of images `first` to `first + n`, in the member's scratch; what comes in itself where that is the same. */
static const float *
surroundings (const Task *task, const float *x, int first, int n, int member)
{
  const NotchNetGeometry *is = task->is;
  const float *from = x + (size_t) first * task->image_in;
  if (is->kernel == 1 && is->stride == 1)
    return from;
  float *to = task->lane->surroundings + (size_t) member * task->lane->n_surroundings, *at = to;
  for (int i = 0; i < n; i++, from += task->image_in, at += notch_net_surroundings (is))
    gather (is, task->out, from, at);
  return to;
}

static inline NotchCpuMatrix
rows_of (const float *at, int columns)
{
  return (NotchCpuMatrix){ at, columns, 1 };
}

static inline NotchCpuMatrix
turned (const float *at, int columns)
{
  return (NotchCpuMatrix){ at, 1, columns };
}

/* ---- forward ----------------------------------------------------------------------------------------------------- */

NOTCH_CLONES static void
finish_rows (float *y, int64_t rows, int filters, const float *bias, bool rectify)
{
  for (int64_t r = 0; r < rows; r++, y += filters)
    for (int f = 0; f < filters; f++) {
      float v = y[f] + bias[f];
      y[f] = rectify && !(v > 0) ? 0 : v;
    }
}

static void
convolve_part (void *data, int part, int member)
{
  const Task *task = data;
  const NotchNetConvolve *a = task->forward;
  int area = task->out * task->out, most = notch_cpu_net_images (area), end = (part + 1) * NOTCH_NET_SLICE;
  float *scratch = task->lane->scratch + (size_t) member * task->lane->n_scratch;
  for (int i = part * NOTCH_NET_SLICE, n; i < end; i += n) {
    n = end - i < most ? end - i : most;
    float *y = a->y + (size_t) i * task->image_out;
    notch_cpu_product (n * area, a->is.filters, task->rows,
                       rows_of (surroundings (task, a->x, i, n, member), task->rows),
                       rows_of (a->weight, a->is.filters), y, a->is.filters, false, scratch);
    if (a->bias)
      finish_rows (y, (int64_t) n * area, a->is.filters, a->bias, a->rectify);
  }
}

int
notch_cpu_net_convolve (NotchNetLane *lane, const NotchNetConvolve *a)
{
  Task task = task_of (lane, &a->is);
  task.forward = a;
  notch_team_do (lane->team, a->is.n / NOTCH_NET_SLICE, convolve_part, &task);
  return 0;
}

/* ---- back -------------------------------------------------------------------------------------------------------- */

/* Floats of a slice's own sums. */
static inline size_t
partial_size (const Task *task)
{
  return ((size_t) task->rows + 1) * (size_t) task->is->filters;
}

static void
back_part (void *data, int part, int member)
{
  const Task *task = data;
  const NotchNetConvolveBack *a = task->back;
  int area = task->out * task->out, most = notch_cpu_net_images (area), filters = a->is.filters;
  int first = part * NOTCH_NET_SLICE, end = first + NOTCH_NET_SLICE;
  float *scratch = task->lane->scratch + (size_t) member * task->lane->n_scratch;
  float *dweight = task->lane->partial + (size_t) part * partial_size (task);
  float *dbias = dweight + (size_t) task->rows * (size_t) filters;
  float *dsurroundings = task->lane->surroundings + (size_t) member * task->lane->n_surroundings;
  memset (dbias, 0, (size_t) filters * sizeof *dbias);
  for (int i = first, n; i < end; i += n) {
    n = end - i < most ? end - i : most;
    const float *dy = a->dy + (size_t) i * task->image_out;
    notch_cpu_product (task->rows, filters, n * area, turned (surroundings (task, a->x, i, n, member), task->rows),
                       rows_of (dy, filters), dweight, filters, i > first, scratch);
    for (int r = 0; a->dbias && r < n * area; r++)
      add (dbias, dy + (size_t) r * (size_t) filters, (size_t) filters);
    if (!a->dx)
      continue;
    float *dx = a->dx + (size_t) i * task->image_in;
    notch_cpu_product (n * area, task->rows, filters, rows_of (dy, filters), turned (a->weight, filters), dsurroundings,
                       task->rows, false, scratch);
    memset (dx, 0, (size_t) n * task->image_in * sizeof *dx);
    for (int k = 0; k < n; k++)
      scatter (&a->is, task->out, dsurroundings + (size_t) k * notch_net_surroundings (&a->is),
               dx + (size_t) k * task->image_in);
  }
}

enum { SUM_PART = 1 << 12 };

/* Adds up the slices' sums, a stretch of weights. */
static void
sum_part (void *data, int part, int member)
{
  const Task *task = data;
  const NotchNetConvolveBack *a = task->back;
  size_t weights = (size_t) task->rows * (size_t) a->is.filters, size = partial_size (task);
  size_t all = a->dbias ? size : weights, first = (size_t) part * SUM_PART;
  size_t end = first + SUM_PART < all ? first + SUM_PART : all;
  float *sum = task->lane->partial;
  if (first >= all)
    return;
  for (int slice = 1; slice < a->is.n / NOTCH_NET_SLICE; slice++)
    add (sum + first, sum + (size_t) slice * size + first, end - first);
  size_t middle = end < weights ? end : weights;
  if (first < middle)
    memcpy (a->dweight + first, sum + first, (middle - first) * sizeof *sum);
  middle = first > weights ? first : weights;
  if (middle < end)
    memcpy (a->dbias + (middle - weights), sum + middle, (end - middle) * sizeof *sum);
}

int
notch_cpu_net_convolve_back (NotchNetLane *lane, const NotchNetConvolveBack *a)
{
  Task task = task_of (lane, &a->is);
  task.back = a;
  notch_team_do (lane->team, a->is.n / NOTCH_NET_SLICE, back_part, &task);
  notch_team_do (lane->team, (int) ((partial_size (&task) + SUM_PART - 1) / SUM_PART), sum_part, &task);
  return 0;
}
