/* net.c - a network's memory and its operations on the CPU, but for convolution
 *
 * A part of an operation is a slice: NOTCH_NET_SLICE images, or as many rows. What is summed over images is summed slice by
 * slice, and the slices in their order, so that the number of threads changes nothing. */
#include "kernels/cpu/net.h"

#include "kernels/cpu/fft.h"
#include "kernels/cpu/lane.h"
#include "kernels/math/net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct NotchCpuMemory {
  float *at;
  NotchCpuMemory *next;
};

/* ---- lanes ------------------------------------------------------------------------------------------------------- */

static void
lane_free (NotchNetLane *lane)
{
  if (!lane)
    return;
  notch_team_free (lane->team);
  for (NotchCpuMemory *memory = lane->memory, *next; memory; memory = next) {
    next = memory->next;
    notch_fft_release (memory->at);
    free (memory);
  }
  free (lane->sums);
  free (lane);
}

static int
allocate (NotchNetLane *lane, size_t n, float **memory)
{
  NotchCpuMemory *is = calloc (1, sizeof *is);
  *memory = n < SIZE_MAX / sizeof (float) - 16 ? notch_fft_alloc (n + 16) : NULL;
  if (!is || !*memory) {
    free (is);
    notch_fft_release (*memory);
    *memory = NULL;
    snprintf (lane->fault.text, sizeof lane->fault.text, "out of memory for %zu numbers of a network", n);
    lane->fault.full = true;
    return -1;
  }
  memset (*memory, 0, (n + 16) * sizeof (float));
  *is = (NotchCpuMemory){ *memory, lane->memory };
  lane->memory = is;
  return 0;
}

static NotchNetLane *
lane_new (NotchDevice *device, const NotchNetSize *is, NotchFault *fault)
{
  NotchNetLane *lane = calloc (1, sizeof *lane);
  size_t slices = (size_t) (is->images / NOTCH_NET_SLICE), weights = 0;
  int channels = 1;
  for (int i = 0; lane && i < is->n_layers; i++) {
    const NotchNetGeometry *layer = &is->layer[i];
    int out = notch_net_side_out (layer);
    size_t surroundings = (size_t) notch_cpu_net_images (out * out) * notch_net_surroundings (layer);
    size_t scratch = notch_cpu_product_scratch (layer->filters);
    size_t back = notch_cpu_product_scratch (notch_net_weight_rows (layer));
    size_t own = ((size_t) notch_net_weight_rows (layer) + 1) * (size_t) layer->filters;
    lane->n_surroundings = surroundings > lane->n_surroundings ? surroundings : lane->n_surroundings;
    scratch = back > scratch ? back : scratch;
    lane->n_scratch = scratch > lane->n_scratch ? scratch : lane->n_scratch;
    weights = own > weights ? own : weights;
    channels = layer->filters > channels ? layer->filters : channels;
  }
  if (!lane || !(lane->team = notch_team_new (is->jobs))
      || !(lane->sums = calloc (2 * NOTCH_NET_SLICE * (size_t) channels, sizeof *lane->sums))) {
    *fault = (NotchFault){ "out of memory for a network", true };
    lane_free (lane);
    return NULL;
  }
  size_t members = (size_t) notch_team_members (lane->team);
  lane->n_surroundings = (lane->n_surroundings + 15) / 16 * 16;
  if (allocate (lane, members * lane->n_surroundings, &lane->surroundings) != 0
      || allocate (lane, members * lane->n_scratch, &lane->scratch) != 0
      || allocate (lane, slices * weights, &lane->partial) != 0) {
    *fault = lane->fault;
    lane_free (lane);
    return NULL;
  }
  return lane;
}

static const NotchFault *
fault_of (NotchNetLane *lane)
{
  return &lane->fault;
}

static int
copy (NotchNetLane *lane, float *to, const float *from, size_t n)
{
  memcpy (to, from, n * sizeof (float));
  return 0;
}

/* ---- norm -------------------------------------------------------------------------------------------------------- */

/* What a slice of rows is of `rows`. */
static inline int64_t
slice_rows (int64_t rows)
{
  return rows / NOTCH_NET_SLICE;
}

typedef struct {
  NotchNetLane *lane;
  union {
    const NotchNetNorm *norm;
    const NotchNetNormBack *back;
    const NotchNetPool *pool;
    const NotchNetPoolBack *pool_back;
    const NotchNetLoss *loss;
    const NotchNetAdamW *adamw;
  };
} Task;

NOTCH_CLONES static void
sum_rows (const float *x, int64_t rows, int channels, double *sum, double *squares)
{
  for (int64_t r = 0; r < rows; r++, x += channels)
    for (int c = 0; c < channels; c++)
      sum[c] += (double) x[c], squares[c] += (double) x[c] * (double) x[c];
}

NOTCH_CLONES static void
norm_rows (const NotchNetNorm *a, int64_t first, int64_t rows)
{
  const float *x = a->x + first * a->channels;
  float *y = a->y + first * a->channels;
  for (int64_t r = 0; r < rows; r++, x += a->channels, y += a->channels)
    for (int c = 0; c < a->channels; c++)
      y[c] = notch_net_normal (x[c], a->mean[c], a->inverse[c], a->gain[c], a->shift[c]);
}

static double *
slice_sums (NotchNetLane *lane, int slice, int channels)
{
  double *sums = lane->sums + 2 * (ptrdiff_t) slice * channels;
  memset (sums, 0, 2 * (size_t) channels * sizeof *sums);
  return sums;
}

static void
norm_sums (void *data, int part, int member)
{
  const Task *task = data;
  const NotchNetNorm *a = task->norm;
  double *sums = slice_sums (task->lane, part, a->channels);
  int64_t rows = slice_rows (a->rows);
  sum_rows (a->x + part * rows * a->channels, rows, a->channels, sums, sums + a->channels);
}

static void
norm_part (void *data, int part, int member)
{
  const NotchNetNorm *a = ((const Task *) data)->norm;
  norm_rows (a, part * slice_rows (a->rows), slice_rows (a->rows));
}

/* Adds the slices' sums to those of the first. */
static const double *
all_sums (NotchNetLane *lane, int channels)
{
  for (int slice = 1; slice < NOTCH_NET_SLICE; slice++)
    for (int i = 0; i < 2 * channels; i++)
      lane->sums[i] += lane->sums[(ptrdiff_t) 2 * slice * channels + i];
  return lane->sums;
}

int
notch_cpu_net_norm (NotchNetLane *lane, const NotchNetNorm *a)
{
  Task task = { lane, { .norm = a } };
  notch_team_do (lane->team, NOTCH_NET_SLICE, norm_sums, &task);
  const double *sums = all_sums (lane, a->channels);
  for (int c = 0; c < a->channels; c++)
    notch_net_settle (sums[c], sums[a->channels + c], (double) a->rows, a->momentum, &a->mean[c], &a->inverse[c],
                      &a->running_mean[c], &a->running_variance[c]);
  notch_team_do (lane->team, NOTCH_NET_SLICE, norm_part, &task);
  return 0;
}

NOTCH_CLONES static void
sum_derivatives (const NotchNetNormBack *a, int64_t first, int64_t rows, double *shift, double *gain)
{
  const float *x = a->x + first * a->channels, *y = a->y + first * a->channels, *dy = a->dy + first * a->channels;
  for (int64_t r = 0; r < rows; r++, x += a->channels, y += a->channels, dy += a->channels)
    for (int c = 0; c < a->channels; c++) {
      float d = y[c] > 0 ? dy[c] : 0;
      shift[c] += (double) d;
      gain[c] += (double) (d * ((x[c] - a->mean[c]) * a->inverse[c]));
    }
}

NOTCH_CLONES static void
norm_back_rows (const NotchNetNormBack *a, int64_t first, int64_t rows)
{
  const float *x = a->x + first * a->channels, *y = a->y + first * a->channels, *dy = a->dy + first * a->channels;
  float *dx = a->dx + first * a->channels, share = 1 / (float) a->rows;
  for (int64_t r = 0; r < rows; r++, x += a->channels, y += a->channels, dy += a->channels, dx += a->channels)
    for (int c = 0; c < a->channels; c++)
      dx[c] = notch_net_normal_back (x[c], y[c], dy[c], a->mean[c], a->inverse[c], a->gain[c], a->dshift[c] * share,
                                     a->dgain[c] * share);
}

static void
norm_back_sums (void *data, int part, int member)
{
  const Task *task = data;
  const NotchNetNormBack *a = task->back;
  double *sums = slice_sums (task->lane, part, a->channels);
  sum_derivatives (a, part * slice_rows (a->rows), slice_rows (a->rows), sums, sums + a->channels);
}

static void
norm_back_part (void *data, int part, int member)
{
  const NotchNetNormBack *a = ((const Task *) data)->back;
  norm_back_rows (a, part * slice_rows (a->rows), slice_rows (a->rows));
}

int
notch_cpu_net_norm_back (NotchNetLane *lane, const NotchNetNormBack *a)
{
  Task task = { lane, { .back = a } };
  notch_team_do (lane->team, NOTCH_NET_SLICE, norm_back_sums, &task);
  const double *sums = all_sums (lane, a->channels);
  for (int c = 0; c < a->channels; c++)
    a->dshift[c] = (float) sums[c], a->dgain[c] = (float) sums[a->channels + c];
  notch_team_do (lane->team, NOTCH_NET_SLICE, norm_back_part, &task);
  return 0;
}

/* ---- pool, loss, AdamW -------------------------------------------------------------------------------------------- */

static void
pool_part (void *data, int part, int member)
{
  const NotchNetPool *a = ((const Task *) data)->pool;
  for (int i = part * NOTCH_NET_SLICE; i < (part + 1) * NOTCH_NET_SLICE; i++) {
    const float *x = a->x + (ptrdiff_t) i * a->area * a->channels;
    float *y = a->y + (ptrdiff_t) i * a->channels;
    memset (y, 0, (size_t) a->channels * sizeof *y);
    for (int p = 0; p < a->area; p++, x += a->channels)
      for (int c = 0; c < a->channels; c++)
        y[c] += x[c];
    for (int c = 0; c < a->channels; c++)
      y[c] /= (float) a->area;
  }
}

int
notch_cpu_net_pool (NotchNetLane *lane, const NotchNetPool *a)
{
  Task task = { lane, { .pool = a } };
  notch_team_do (lane->team, a->n / NOTCH_NET_SLICE, pool_part, &task);
  return 0;
}

static void
pool_back_part (void *data, int part, int member)
{
  const NotchNetPoolBack *a = ((const Task *) data)->pool_back;
  for (int i = part * NOTCH_NET_SLICE; i < (part + 1) * NOTCH_NET_SLICE; i++) {
    float *dx = a->dx + (ptrdiff_t) i * a->area * a->channels;
    const float *dy = a->dy + (ptrdiff_t) i * a->channels;
    for (int p = 0; p < a->area; p++, dx += a->channels)
      for (int c = 0; c < a->channels; c++)
        dx[c] = dy[c] / (float) a->area;
  }
}

int
notch_cpu_net_pool_back (NotchNetLane *lane, const NotchNetPoolBack *a)
{
  Task task = { lane, { .pool_back = a } };
  notch_team_do (lane->team, a->n / NOTCH_NET_SLICE, pool_back_part, &task);
  return 0;
}

static void
loss_part (void *data, int part, int member)
{
  const NotchNetLoss *a = ((const Task *) data)->loss;
  for (int i = part * NOTCH_NET_SLICE; i < (part + 1) * NOTCH_NET_SLICE; i++)
    notch_net_loss_row (a, i);
}

int
notch_cpu_net_loss (NotchNetLane *lane, const NotchNetLoss *a)
{
  Task task = { lane, { .loss = a } };
  notch_team_do (lane->team, a->n / NOTCH_NET_SLICE, loss_part, &task);
  return 0;
}

enum { ADAMW_PART = 1 << 14 };

NOTCH_CLONES static void
adamw_some (const NotchNetAdamW *a, size_t first, size_t end, float unbias1, float unbias2)
{
  for (size_t i = first; i < end; i++)
    notch_net_adamw (&a->weight[i], &a->mean[i], &a->square[i], a->gradient[i], a->rate, a->decay, unbias1, unbias2);
}

static void
adamw_part (void *data, int part, int member)
{
  const NotchNetAdamW *a = ((const Task *) data)->adamw;
  size_t first = (size_t) part * ADAMW_PART, end = first + ADAMW_PART < a->n ? first + ADAMW_PART : a->n;
  adamw_some (a, first, end, notch_net_unbias ((double) NOTCH_NET_BETA1, a->step),
              notch_net_unbias ((double) NOTCH_NET_BETA2, a->step));
}

int
notch_cpu_net_adamw (NotchNetLane *lane, const NotchNetAdamW *a)
{
  Task task = { lane, { .adamw = a } };
  notch_team_do (lane->team, (int) ((a->n + ADAMW_PART - 1) / ADAMW_PART), adamw_part, &task);
  return 0;
}

const NotchNetKernels notch_cpu_net = { .images = 64,
                                        .lane_new = lane_new,
                                        .lane_free = lane_free,
                                        .fault = fault_of,
                                        .allocate = allocate,
                                        .up = copy,
                                        .down = copy,
#define NOTCH_NET_OPERATION(name, Args) .name = notch_cpu_net_##name,
                                        NOTCH_NET_OPERATIONS (NOTCH_NET_OPERATION)
#undef NOTCH_NET_OPERATION
};
