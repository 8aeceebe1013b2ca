/* filter.cu - the bank of matched filters: filter, power
 *
 * A batch is transformed once. Filters go over it in groups of one resolution: a kernel multiplies the part of the spectrum
 * that the resolution keeps by the transfer functions of a group, one call transforms the products of all tiles back, and a
 * kernel keeps the largest response. The full resolution comes last, and the first filter in its last group: the kernel
 * behind it writes SCORE and FINE once, with what the reduced resolutions found and with the weights. */
#include "kernels/cuda/fft.cuh"
#include "kernels/math/filter.h"
#include "kernels/math/score.h"

#include <algorithm>
#include <new>
#include <vector>

enum {
  LEVELS = 3,       /* by log2 of the decimation */
  MOST_GROUP = 8,   /* filters that go back at once, */
  GROUP_TILES = 2,  /* but no more than make so many tiles' pixels: what one kernel writes the next reads from cache */
  FLAT_BLOCK = 256, /* threads of kernels that have no use for rows */
};

/* The filters of one resolution, in the order of their work. */
struct Level {
  int side;                                 /* px of the response */
  int n, most, channel[NOTCH_MAX_CHANNELS]; /* filters; in a group; which */
  NotchCudaPlan inverse;
  int32_t *score; /* side x side a tile; NULL at full resolution, which has the plane */
};

/* A group in work. */
struct Group {
  int n;
  int channel[MOST_GROUP];
  float gain[MOST_GROUP];
  const float *transfer[MOST_GROUP];
};

/* Transfer functions, and what they follow from. Lanes of the same filters share them. */
struct NotchCudaBank {
  int refs; /* lanes, and the device */
  int size, halo;
  std::vector<NotchChannel> channel;
  std::vector<float> whiten;                    /* size x (size / 2 + 1), or nothing */
  float *memory, *transfer[NOTCH_MAX_CHANNELS]; /* side x (side / 2 + 1) each, one behind the other in `memory` */
};

struct NotchCudaFilter {
  NotchCudaPlan forward;
  Level level[LEVELS];
  NotchCudaBank *bank;
  cufftComplex *spectrum;        /* size x (size / 2 + 1) a tile */
  cufftComplex *product;         /* of a group: a filter after the other, side x (side / 2 + 1) a tile */
  float *response;               /* likewise, side x side a tile */
  NotchChannelStats *stats;      /* a tile after the other, a filter each */
  NotchChannelStats *home_stats; /* the same in pinned memory */
  double *power;                 /* size x (size / 2 + 1) */
};

/* ---- kernels --------------------------------------------------------------------------------------------------------- */

/* The part of the spectrum that a response of side x side keeps, times the filters of a group. blockIdx.y: the tile. */
static __global__ void
multiply_kernel (const cufftComplex *spectrum, Group group, int size, int side, cufftComplex *product)
{
  unsigned width = (unsigned) side / 2 + 1, plane = (unsigned) side * width;
  unsigned i = blockIdx.x * blockDim.x + threadIdx.x, tile = blockIdx.y, n_tiles = gridDim.y;
  if (i >= plane)
    return;
  unsigned y = i / width, x = i - y * width, row = (int) y <= side / 2 ? y : y + (unsigned) (size - side);
  cufftComplex z = spectrum[(size_t) tile * size * (size / 2 + 1) + (size_t) row * (size / 2 + 1) + x];
  for (int g = 0; g < MOST_GROUP; g++)
    if (g < group.n) {
      float transfer = group.transfer[g][i];
      cufftComplex filtered = { z.x * transfer, z.y * transfer };
      product[((size_t) g * n_tiles + tile) * plane + i] = filtered;
    }
}

/* Keeps the largest response of a group in four places, and of those before it where there are. Only rows that the core needs
 * are looked at. blockIdx.y: the tile. */
static __global__ void
keep_kernel (const float4 *response, Group group, const NotchTile *tiles, int n_tiles, int side, int decimate,
             bool first, int4 *score)
{
  const NotchTile *tile = &tiles[blockIdx.y];
  int y0 = tile->core_y / decimate, y1 = (tile->core_y + tile->core_h - 1 + decimate / 2) / decimate + 1;
  int fours = side * side / 4, end = y1 < side ? (y1 * side + 3) / 4 : fours;
  int i = y0 * side / 4 + (int) (blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= end)
    return;
  int4 *to = score + (size_t) blockIdx.y * fours + i;
  int4 best = { 0, 0, 0, 0 };
  if (!first)
    best = *to;
  for (int g = 0; g < MOST_GROUP; g++)
    if (g < group.n) {
      float4 r = response[((size_t) g * n_tiles + blockIdx.y) * fours + i];
      float gain = group.gain[g];
      int channel = group.channel[g];
      best.x = max (best.x, notch_score_pack (r.x * gain, channel));
      best.y = max (best.y, notch_score_pack (r.y * gain, channel));
      best.z = max (best.z, notch_score_pack (r.z * gain, channel));
      best.w = max (best.w, notch_score_pack (r.w * gain, channel));
    }
  *to = best;
}

/* The largest score of what a reduced response has for pixel (x, y). */
static __device__ __forceinline__ int32_t
reduced_score (const int32_t *score, int side, int times, int x, int y)
{
  int32_t best = 0;
  int last_x = min (notch_score_last (x, times), side - 1), last_y = min (notch_score_last (y, times), side - 1);
  for (int v = notch_score_first (y, times); v <= last_y; v++)
    for (int u = min (notch_score_first (x, times), side - 1); u <= last_x; u++)
      best = max (best, score[(size_t) v * side + u]);
  return best;
}

/* The last group: largest score of all, the finest filter's response, and what either is worth where. Nothing is found where
 * nothing can be judged; elsewhere the sensitivity counts. Pixels of tiles; `half` and `quarter` may be NULL. */
static __global__ void
merge_kernel (const float *response, Group group, bool first, const int32_t *half, const int32_t *quarter,
              const NotchTile *tiles, const NotchTileState *state, const uint8_t *judged, int n_tiles, int size,
              float *score, float *fine)
{
  int x = (int) (blockIdx.x * blockDim.x + threadIdx.x), y = (int) (blockIdx.y * blockDim.y + threadIdx.y);
  int t = (int) blockIdx.z;
  const NotchTile *tile = &tiles[t];
  if (x >= size || y >= size)
    return;
  size_t area = (size_t) size * size, in_tile = (size_t) y * size + x, at = t * area + in_tile;
  if (y < tile->core_y || y >= tile->core_y + tile->core_h) {
    score[at] = 0;
    return;
  }
  int32_t best = 0;
  float finest = 0;
  if (!first)
    best = __float_as_int (score[at]);
  for (int g = 0; g < MOST_GROUP; g++)
    if (g < group.n) {
      float r = response[((size_t) g * n_tiles + t) * area + in_tile] * group.gain[g];
      best = max (best, notch_score_pack (r, group.channel[g]));
      if (group.channel[g] == 0)
        finest = r;
    }
  if (half)
    best = max (best, reduced_score (half + t * (area / 4), size / 2, 2, x, y));
  if (quarter)
    best = max (best, reduced_score (quarter + t * (area / 16), size / 4, 4, x, y));
  if (!notch_cuda_all_judged (tile, &state[t], size)) {
    float weight = !judged[at] ? 0 : tile->weight ? tile->weight[in_tile] : 1;
    best = notch_score_scale (__int_as_float (best), weight);
    finest *= weight;
  }
  score[at] = __int_as_float (best);
  fine[at] = finest;
}

/* The null statistics of a filter over a tile's core: blockIdx.x is the filter in the group, blockIdx.y the tile. Sums are
 * added in one order whatever else runs. */
static __global__ void
stats_kernel (const float *response, Group group, const NotchTile *tiles, const uint8_t *judged, int n_channels,
              int n_tiles, int size, int side, NotchChannelStats *stats)
{
  NOTCH_SHARED (int, histogram, NOTCH_HISTOGRAM_BINS);
  NOTCH_SHARED (int, counted, 1);
  NOTCH_SHARED (double, sums, 4 * FLAT_BLOCK);
  int thread = (int) threadIdx.x, g = (int) blockIdx.x, t = (int) blockIdx.y, d = size / side;
  const NotchTile *tile = &tiles[t];
  const float *from = response + ((size_t) g * n_tiles + t) * side * side;
  const uint8_t *counts = judged + (size_t) t * size * size;
  float gain = group.gain[g];
  for (int b = thread; b < NOTCH_HISTOGRAM_BINS; b += FLAT_BLOCK)
    histogram[b] = 0;
  if (thread == 0)
    counted[0] = 0;
  __syncthreads ();
  int x0, y0, x1, y1, n = 0;
  notch_null_range (tile->core_x, tile->core_w, d, &x0, &x1);
  notch_null_range (tile->core_y, tile->core_h, d, &y0, &y1);
  double sum[4] = { 0, 0, 0, 0 };
  for (int i = thread; x1 > x0 && y1 > y0 && i < (x1 - x0) * (y1 - y0); i += FLAT_BLOCK) {
    int y = y0 + i / (x1 - x0), x = x0 + i % (x1 - x0);
    if (!counts[(size_t) y * d * size + x * d])
      continue;
    const float *f = from + (size_t) y * side + x;
    float value = f[0] * gain, strength = fabsf (value);
    atomicAdd (&histogram[notch_histogram_bin (strength)], 1);
    if (strength < NOTCH_NULL_SIGMA) {
      double dx = f[1] * gain - value, dy = f[side] * gain - value;
      sum[0] += (double) value * value;
      sum[1] += dx * dx, sum[2] += dy * dy, sum[3] += dx * dy;
      n++;
    }
  }
  for (int k = 0; k < 4; k++)
    sums[k * FLAT_BLOCK + thread] = sum[k];
  atomicAdd (&counted[0], n);
  __syncthreads ();
  NotchChannelStats *to = &stats[(size_t) t * n_channels + group.channel[g]];
  for (int half = FLAT_BLOCK / 2; half > 0; half /= 2) {
    for (int k = 0; thread < half && k < 4; k++)
      sums[k * FLAT_BLOCK + thread] += sums[k * FLAT_BLOCK + thread + half];
    __syncthreads ();
  }
  for (int b = thread; b < NOTCH_HISTOGRAM_BINS; b += FLAT_BLOCK)
    to->histogram[b] = histogram[b];
  if (thread == 0) {
    to->n = counted[0];
    to->sum2 = sums[0], to->sum_dx2 = sums[FLAT_BLOCK];
    to->sum_dy2 = sums[2 * FLAT_BLOCK], to->sum_dxdy = sums[3 * FLAT_BLOCK];
  }
}

/* Adds the power of the tiles, one after the other. */
static __global__ void
power_kernel (const cufftComplex *spectrum, int n_tiles, int n_bins, double scale, double *power)
{
  int i = (int) (blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= n_bins)
    return;
  double sum = power[i];
  for (int t = 0; t < n_tiles; t++) {
    cufftComplex z = spectrum[(size_t) t * n_bins + i];
    double re = z.x, im = z.y;
    sum += (re * re + im * im) * scale;
  }
  power[i] = sum;
}

/* ---- what a lane keeps ------------------------------------------------------------------------------------------------- */

/* Makes a filter's transfer function. */
static int
make_transfer (NotchLane *lane, int c, float *table)
{
  const NotchChannel *channel = &lane->is.channel[c];
  int size = lane->is.size, level = notch_channel_level (channel->decimate);
  if (level < 0 || size % (2 * channel->decimate) != 0)
    return notch_cuda_fail (lane, "a filter cannot be reduced %d times in tiles of %d pixels", channel->decimate, size);
  int side = size / channel->decimate, width = side / 2 + 1;
  double variance = 0;
  for (int y = 0; y < side; y++)
    for (int x = 0; x < width; x++)
      table[(size_t) y * width + x] =
          (float) notch_channel_bin (channel, lane->is.whiten, lane->is.halo, size, side, x, y, &variance);
  double scale = notch_channel_scale (variance, size);
  for (size_t i = 0; i < (size_t) side * width; i++)
    table[i] = (float) (table[i] * scale);
  return 0;
}

/* Makes and uploads all of them. */
static int
make_transfers (NotchLane *lane, NotchCudaBank *bank)
{
  size_t at[NOTCH_MAX_CHANNELS], n = 0;
  for (int c = 0; c < lane->is.n_channels; c++) {
    int side = lane->is.size / std::max (lane->is.channel[c].decimate, 1);
    at[c] = n;
    n += (size_t) side * (size_t) (side / 2 + 1);
  }
  std::vector<float> table (n);
  for (int c = 0; c < lane->is.n_channels; c++)
    if (make_transfer (lane, c, &table[at[c]]) != 0)
      return -1;
  NOTCH_CUDA (lane, "memory for filters",
              notch_cuda_device_memory (lane->device, (void **) &bank->memory, n * sizeof *bank->memory));
  for (int c = 0; c < lane->is.n_channels; c++)
    bank->transfer[c] = bank->memory + at[c];
  return notch_cuda_send (lane, "uploading filters", bank->memory, table.data (), n);
}

/* Gains do not matter. */
static bool
is_same (const NotchChannel &a, const NotchChannel &b)
{
  return a.kind == b.kind && a.sigma == b.sigma && a.length == b.length && a.angle == b.angle
         && a.decimate == b.decimate;
}

static bool
serves (const NotchCudaBank *bank, const NotchLaneSize *is)
{
  size_t bins = is->whiten ? (size_t) is->size * (size_t) (is->size / 2 + 1) : 0;
  return bank->size == is->size && bank->halo == is->halo && bank->channel.size () == (size_t) is->n_channels
         && std::equal (bank->channel.begin (), bank->channel.end (), is->channel, is_same)
         && bank->whiten.size () == bins && std::equal (bank->whiten.begin (), bank->whiten.end (), is->whiten);
}

/* Holds the device's bank_lock, as whoever touches `refs`. */
static void
release_bank (NotchCudaBank *bank)
{
  if (!bank || --bank->refs > 0)
    return;
  cudaFree (bank->memory);
  delete bank;
}

void
notch_cuda_bank_forget (NotchDevice *device)
{
  std::lock_guard<std::mutex> guard (device->bank_lock);
  release_bank (device->bank);
  device->bank = nullptr;
}

/* Takes the device's latest bank where it serves, else makes one; lanes that want the same meanwhile wait for it. */
static int
take_bank (NotchLane *lane)
{
  NotchDevice *device = lane->device;
  const NotchLaneSize *is = &lane->is;
  std::lock_guard<std::mutex> guard (device->bank_lock);
  if (!device->bank || !serves (device->bank, is)) {
    NotchCudaBank *bank = new (std::nothrow) NotchCudaBank{};
    if (!bank)
      return notch_cuda_fail_at (lane, cudaErrorMemoryAllocation, "memory of the host");
    bank->refs = 1;
    bank->size = is->size, bank->halo = is->halo;
    bank->channel.assign (is->channel, is->channel + is->n_channels);
    if (is->whiten)
      bank->whiten.assign (is->whiten, is->whiten + (size_t) is->size * (size_t) (is->size / 2 + 1));
    if (make_transfers (lane, bank) != 0) {
      release_bank (bank);
      return -1;
    }
    release_bank (device->bank);
    device->bank = bank;
  }
  lane->filter->bank = device->bank;
  device->bank->refs++;
  return 0;
}

/* Sorts the filters by resolution, and each resolution's into groups that are as even as can be. */
static void
plan_levels (NotchLane *lane)
{
  for (int l = 0; l < LEVELS; l++) {
    Level *level = &lane->filter->level[l];
    level->side = lane->is.size >> l;
    for (int c = lane->is.n_channels - 1; c >= 0; c--)
      if (lane->is.channel[c].decimate == 1 << l)
        level->channel[level->n++] = c;
    int most = std::min<int> (MOST_GROUP, GROUP_TILES << 2 * l), n_groups = (level->n + most - 1) / most;
    level->most = n_groups > 0 ? (level->n + n_groups - 1) / n_groups : 0;
  }
}

static int
make_plans (NotchLane *lane)
{
  NotchCudaFilter *f = lane->filter;
  NotchCudaPlan *plan[LEVELS + 1];
  int n_plans = 0, batch = lane->is.batch;
  size_t product = 0, response = 0;
  plan[n_plans++] = &f->forward;
  if (notch_cuda_plan_new (lane, &f->forward, CUFFT_R2C, lane->is.size, batch) != 0)
    return -1;
  for (int l = 0; l < LEVELS; l++) {
    Level *level = &f->level[l];
    if (level->n == 0)
      continue;
    size_t many = (size_t) level->most * batch, side = (size_t) level->side;
    product = std::max (product, many * side * (side / 2 + 1));
    response = std::max (response, many * side * side);
    if (notch_cuda_plan_new (lane, &level->inverse, CUFFT_C2R, level->side, (int) many) != 0
        || (l > 0 && notch_cuda_allocate (lane, &level->score, side * side * batch) != 0))
      return -1;
    plan[n_plans++] = &level->inverse;
  }
  size_t size = (size_t) lane->is.size, bins = size * (size / 2 + 1), stats = (size_t) batch * lane->is.n_channels;
  return notch_cuda_plan_share (lane, plan, n_plans) == 0 && notch_cuda_allocate (lane, &f->product, product) == 0
                 && notch_cuda_allocate (lane, &f->response, response) == 0
                 && notch_cuda_allocate (lane, &f->spectrum, bins * batch) == 0
                 && notch_cuda_allocate (lane, &f->power, bins) == 0
                 && notch_cuda_allocate (lane, &f->stats, stats) == 0
                 && notch_cuda_allocate_pinned (lane, &f->home_stats, stats) == 0
             ? 0
             : -1;
}

int
notch_cuda_filter_new (NotchLane *lane)
{
  if (lane->is.n_channels == 0)
    return 0;
  if (lane->is.n_channels > NOTCH_MAX_CHANNELS)
    return notch_cuda_fail (lane, "%d filters are more than %d", lane->is.n_channels, NOTCH_MAX_CHANNELS);
  lane->filter = new (std::nothrow) NotchCudaFilter{};
  if (!lane->filter)
    return notch_cuda_fail_at (lane, cudaErrorMemoryAllocation, "memory of the host");
  if (take_bank (lane) != 0)
    return -1;
  if (lane->is.channel[0].decimate != 1)
    return notch_cuda_fail (lane, "the first filter is not at full resolution");
  plan_levels (lane);
  return make_plans (lane);
}

void
notch_cuda_filter_free (NotchLane *lane)
{
  if (!lane->filter)
    return;
  notch_cuda_plan_free (lane, &lane->filter->forward);
  for (Level &level : lane->filter->level)
    notch_cuda_plan_free (lane, &level.inverse);
  {
    std::lock_guard<std::mutex> guard (lane->device->bank_lock);
    release_bank (lane->filter->bank);
  }
  delete lane->filter;
  lane->filter = nullptr;
}

/* ---- stages ------------------------------------------------------------------------------------------------------------ */

static unsigned
blocks_of (size_t n)
{
  return (unsigned) ((n + FLAT_BLOCK - 1) / FLAT_BLOCK);
}

/* The next group of a level, from filter `from` of its list on, of the first n_channels filters. */
static Group
next_group (const NotchLane *lane, const Level *level, const NotchFilter *a, int *from)
{
  Group group = {};
  for (; *from < level->n && group.n < level->most; ++*from) {
    int c = level->channel[*from];
    if (c >= a->n_channels)
      continue;
    group.channel[group.n] = c;
    group.gain[group.n] = a->channel[c].gain;
    group.transfer[group.n++] = lane->filter->bank->transfer[c];
  }
  return group;
}

/* Takes the filters of a resolution over the batch. Returns 1 where there was one, 0 where not, and -1 with a fault. */
static int
filter_level (NotchLane *lane, int l, const NotchFilter *a, const int32_t *half, const int32_t *quarter)
{
  NotchCudaFilter *f = lane->filter;
  Level *level = &f->level[l];
  int side = level->side, batch = lane->is.batch, size = lane->is.size;
  unsigned plane = (unsigned) (side * (side / 2 + 1));
  int32_t *score = l > 0 ? level->score : (int32_t *) lane->plane[NOTCH_PLANE_SCORE];
  bool first = true;
  for (int from = 0; from < level->n;) {
    Group group = next_group (lane, level, a, &from);
    if (group.n == 0)
      continue;
    NOTCH_LAUNCH (multiply_kernel, dim3 (blocks_of (plane), (unsigned) batch), FLAT_BLOCK, 0, lane->stream, f->spectrum,
                  group, size, side, f->product);
    NOTCH_CUDA_LAUNCHED (lane, "filtering");
    if (notch_cuda_inverse (lane, &level->inverse, f->product, f->response) != 0)
      return -1;
    if (l == 0 && from == level->n)
      NOTCH_LAUNCH (merge_kernel, notch_cuda_pixel_grid (lane), NOTCH_CUDA_PIXEL_BLOCK, 0, lane->stream, f->response,
                    group, first, half, quarter, lane->tile, lane->state, lane->judged, batch, size,
                    lane->plane[NOTCH_PLANE_SCORE], lane->plane[NOTCH_PLANE_FINE]);
    else
      NOTCH_LAUNCH (keep_kernel, dim3 (blocks_of ((size_t) side * side / 4), (unsigned) lane->n_tiles), FLAT_BLOCK, 0,
                    lane->stream, (const float4 *) f->response, group, lane->tile, batch, side, size / side, first,
                    (int4 *) score);
    NOTCH_CUDA_LAUNCHED (lane, "filtering");
    if (a->stats)
      NOTCH_LAUNCH (stats_kernel, dim3 ((unsigned) group.n, (unsigned) lane->n_tiles), FLAT_BLOCK, 0, lane->stream,
                    f->response, group, lane->tile, lane->judged, lane->is.n_channels, batch, size, side, f->stats);
    NOTCH_CUDA_LAUNCHED (lane, "filtering");
    first = false;
  }
  return !first;
}

/* Brings the statistics home and adds them, tile by tile. */
static int
add_stats (NotchLane *lane, const NotchFilter *a)
{
  NotchCudaFilter *f = lane->filter;
  int n_channels = lane->is.n_channels;
  NOTCH_CUDA (lane, "filtering",
              cudaMemcpyAsync (f->home_stats, f->stats, sizeof *f->stats * n_channels * lane->n_tiles,
                               cudaMemcpyDeviceToHost, lane->stream));
  NOTCH_CUDA (lane, "filtering", cudaStreamSynchronize (lane->stream));
  for (int t = 0; t < lane->n_tiles; t++)
    for (int c = 0; c < a->n_channels; c++) {
      const NotchChannelStats *from = &f->home_stats[t * n_channels + c];
      NotchChannelStats *to = &a->stats[c];
      for (int b = 0; b < NOTCH_HISTOGRAM_BINS; b++)
        to->histogram[b] += from->histogram[b];
      to->sum2 += from->sum2, to->n += from->n;
      to->sum_dx2 += from->sum_dx2, to->sum_dy2 += from->sum_dy2, to->sum_dxdy += from->sum_dxdy;
    }
  return 0;
}

/* The spectrum of Z. */
static int
transform (NotchLane *lane)
{
  if (notch_cuda_enter (lane) != 0)
    return -1;
  if (!lane->filter)
    return notch_cuda_fail (lane, "the lane was made without filters");
  return notch_cuda_forward (lane, &lane->filter->forward, lane->plane[NOTCH_PLANE_Z], lane->filter->spectrum);
}

int
notch_cuda_transform (NotchLane *lane)
{
  if (transform (lane) != 0)
    return -1;
  NotchCudaFilter *f = lane->filter;
  for (Level &level : f->level)
    for (int from = 0; from < level.n; from += level.most)
      if (notch_cuda_inverse (lane, &level.inverse, f->product, f->response) != 0)
        return -1;
  return 0;
}

int
notch_cuda_filter (NotchLane *lane, const NotchFilter *a)
{
  if (a->n_channels < 1 || a->n_channels > lane->is.n_channels)
    return notch_cuda_fail (lane, "%d filters are wanted of %d", a->n_channels, lane->is.n_channels);
  if (transform (lane) != 0)
    return -1;
  int quarter = filter_level (lane, 2, a, nullptr, nullptr);
  int half = quarter < 0 ? -1 : filter_level (lane, 1, a, nullptr, nullptr);
  if (half < 0
      || filter_level (lane, 0, a, half ? lane->filter->level[1].score : nullptr,
                       quarter ? lane->filter->level[2].score : nullptr)
             < 0)
    return -1;
  return a->stats ? add_stats (lane, a) : 0;
}

int
notch_cuda_power (NotchLane *lane, const NotchPower *a)
{
  int size = lane->is.size, n_bins = size * (size / 2 + 1);
  if (transform (lane) != 0)
    return -1;
  double *power = lane->filter->power;
  NOTCH_CUDA (lane, "adding a spectrum",
              cudaMemcpyAsync (power, a->sum, sizeof (double) * n_bins, cudaMemcpyHostToDevice, lane->stream));
  NOTCH_LAUNCH (power_kernel, blocks_of ((size_t) n_bins), FLAT_BLOCK, 0, lane->stream, lane->filter->spectrum,
                lane->n_tiles, n_bins, 1.0 / ((double) size * size), power);
  NOTCH_CUDA_LAUNCHED (lane, "adding a spectrum");
  NOTCH_CUDA (lane, "adding a spectrum",
              cudaMemcpyAsync (a->sum, power, sizeof (double) * n_bins, cudaMemcpyDeviceToHost, lane->stream));
  NOTCH_CUDA (lane, "adding a spectrum", cudaStreamSynchronize (lane->stream));
  *a->n += lane->n_tiles;
  return 0;
}
