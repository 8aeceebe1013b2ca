/* filter.c - the bank of matched filters, in the Fourier domain: filter, power */
#include "kernels/math/filter.h"
#include "kernels/cpu/lane.h"
#include "kernels/math/score.h"

#include <stdlib.h>
#include <string.h>

static int
log2_of (int decimate)
{
  return decimate == 1 ? 0 : decimate == 2 ? 1 : decimate == 4 ? 2 : -1;
}

/* The signed frequency of bin i of n, cycles a pixel. */
static double
frequency (int i, int n)
{
  return (double) (i <= n / 2 ? i : i - n) / n;
}

static int
make_filter (NotchLane *lane, int c)
{
  const NotchChannel *channel = &lane->is.channel[c];
  NotchFilterPlan *plan = &lane->filter[c];
  int size = lane->is.size, level = log2_of (channel->decimate);
  if (level < 0 || size % (2 * channel->decimate) != 0)
    return notch_cpu_fail (lane, "a filter cannot be reduced %d times in tiles of %d pixels", channel->decimate, size);
  int side = size / channel->decimate, columns = side / 2 + 1;
  plan->decimate = channel->decimate;
  plan->side = side;
  plan->transfer = notch_fft_alloc ((size_t) side * (size_t) columns);
  if (!lane->fft[level])
    lane->fft[level] = notch_fft_new (side, side);
  if (level > 0 && !lane->reduced_score[level])
    lane->reduced_score[level] = notch_fft_alloc ((size_t) side * (size_t) side);
  if (!plan->transfer || !lane->fft[level] || (level > 0 && !lane->reduced_score[level]))
    return notch_cpu_fail (lane, "out of memory for filters of %d x %d pixels", side, side);
  double variance = 0;
  for (int y = 0; y < side; y++)
    for (int x = 0; x < columns; x++) {
      double fy = frequency (y, side) * side / size, fx = (double) x / size, transfer = 0;
      /* The highest frequency of a reduced spectrum has no partner; it carries next to nothing. */
      if (y != side / 2 && x != side / 2) {
        ptrdiff_t at = (ptrdiff_t) (fy < 0 ? y - side + size : y) * (size / 2 + 1) + x;
        double noise = lane->is.whiten ? lane->is.whiten[at] : 1;
        transfer = notch_channel_transfer (channel, lane->is.halo, fx, fy) / noise;
        variance += (x == 0 ? 1 : 2) * transfer * transfer * noise;
      }
      plan->transfer[(ptrdiff_t) y * columns + x] = (float) transfer;
    }
  /* White noise of sigma 1 has E |Z|^2 = size^2 in every bin, and the inverse transform is not divided by size^2. */
  double scale = variance > 0 ? 1 / (sqrt (variance) * size) : 0;
  for (ptrdiff_t i = 0; i < (ptrdiff_t) side * columns; i++)
    plan->transfer[i] = (float) (plan->transfer[i] * scale);
  return 0;
}

int
notch_cpu_filter_new (NotchLane *lane)
{
  if (lane->is.n_channels > NOTCH_MAX_CHANNELS)
    return notch_cpu_fail (lane, "%d filters are more than %d", lane->is.n_channels, NOTCH_MAX_CHANNELS);
  for (int c = 0; c < lane->is.n_channels; c++)
    if (make_filter (lane, c) != 0)
      return -1;
  if (!lane->fft[0] && !(lane->fft[0] = notch_fft_new (lane->is.size, lane->is.size)))
    return notch_cpu_fail (lane, "no transform of %d x %d pixels", lane->is.size, lane->is.size);
  return 0;
}

void
notch_cpu_filter_free (NotchLane *lane)
{
  for (int c = 0; c < NOTCH_MAX_CHANNELS; c++)
    notch_fft_release (lane->filter[c].transfer);
  for (int level = 1; level < 3; level++)
    notch_fft_release (lane->reduced_score[level]);
}

NOTCH_CLONES static void
multiply_row (const float *spectrum, const float *transfer, int n, float *product)
{
  for (int i = 0; i < n; i++) {
    product[2 * i] = spectrum[2 * i] * transfer[i];
    product[2 * i + 1] = spectrum[2 * i + 1] * transfer[i];
  }
}

/* A plane of scores, seen as the words that they are. */
typedef int32_t __attribute__ ((may_alias)) Word;

/* Keeps the largest response and its channel. */
NOTCH_CLONES static void
keep_largest_row (const float *response, float gain, int32_t channel, int n, Word *score)
{
  for (int i = 0; i < n; i++) {
    int32_t packed = notch_score_pack (response[i] * gain, channel);
    score[i] = packed > score[i] ? packed : score[i];
  }
}

static inline int32_t
larger (int32_t a, int32_t b)
{
  return a > b ? a : b;
}

/* Keeps the larger of a score and what a reduced row says of it: sample i stands for the pixels up to times / 2 on both
 * sides of pixel times * i, so that nothing moves. */
NOTCH_CLONES static void
keep_spread_row (const Word *reduced, int times, int n, Word *score)
{
  int last = n / times - 1;
  if (times == 2)
    for (int i = 0; i < last; i++) {
      score[2 * i] = larger (score[2 * i], reduced[i]);
      score[2 * i + 1] = larger (score[2 * i + 1], larger (reduced[i], reduced[i + 1]));
    }
  else
    for (int i = 0; i < last; i++) {
      int32_t between = larger (reduced[i], reduced[i + 1]);
      score[4 * i] = larger (score[4 * i], reduced[i]);
      score[4 * i + 1] = larger (score[4 * i + 1], reduced[i]);
      score[4 * i + 2] = larger (score[4 * i + 2], between);
      score[4 * i + 3] = larger (score[4 * i + 3], reduced[i + 1]);
    }
  for (int x = last * times; x < n; x++)
    score[x] = larger (score[x], reduced[last]);
}

NOTCH_CLONES static void
scale_row (const float *from, float gain, int n, float *to)
{
  for (int i = 0; i < n; i++)
    to[i] = from[i] * gain;
}

/* Filters the tile's spectrum by channel c; the response lies in lane->response, side x side. */
static void
respond (NotchLane *lane, int c)
{
  const NotchFilterPlan *plan = &lane->filter[c];
  int size = lane->is.size, side = plan->side, columns = side / 2 + 1;
  for (int y = 0; y < side; y++) {
    ptrdiff_t from = (ptrdiff_t) (y <= side / 2 ? y : y - side + size) * (size / 2 + 1);
    multiply_row (lane->spectrum + 2 * from, plan->transfer + (ptrdiff_t) y * columns, columns,
                  lane->product + 2 * (ptrdiff_t) y * columns);
  }
  notch_fft_inverse (lane->fft[log2_of (plan->decimate)], lane->product, lane->response);
}

/* Adds the null statistics of a response over the core. */
static void
add_stats (const NotchLane *lane, int c, float gain, NotchChannelStats *stats)
{
  const NotchTile *tile = lane->tile;
  int d = lane->filter[c].decimate, side = lane->filter[c].side;
  int x0 = (tile->core_x + d - 1) / d, y0 = (tile->core_y + d - 1) / d;
  int x1 = (tile->core_x + tile->core_w) / d - 1, y1 = (tile->core_y + tile->core_h) / d - 1;
  double sum2 = 0, dx2 = 0, dy2 = 0, dxdy = 0;
  for (int y = y0; y < y1; y++)
    for (int x = x0; x < x1; x++) {
      if (!lane->judged[(ptrdiff_t) y * d * lane->is.size + x * d])
        continue;
      const float *f = lane->response + (ptrdiff_t) y * side + x;
      float value = f[0] * gain, size = fabsf (value);
      float bin = size / NOTCH_HISTOGRAM_STEP; /* compared before the cast, which knows no large number */
      stats->histogram[bin < NOTCH_HISTOGRAM_BINS ? (int) bin : NOTCH_HISTOGRAM_BINS - 1]++;
      if (size < 4) {
        double dx = f[1] * gain - value, dy = f[side] * gain - value;
        sum2 += (double) value * value;
        dx2 += dx * dx, dy2 += dy * dy, dxdy += dx * dy;
        stats->n++;
      }
    }
  stats->sum2 += sum2, stats->sum_dx2 += dx2, stats->sum_dy2 += dy2, stats->sum_dxdy += dxdy;
}

/* Nothing is found where nothing can be judged; elsewhere the sensitivity counts. */
static void
apply_weight (NotchLane *lane, const NotchTile *tile)
{
  float *score = lane->plane[NOTCH_PLANE_SCORE], *fine = lane->plane[NOTCH_PLANE_FINE];
  for (ptrdiff_t i = 0; i < (ptrdiff_t) lane->is.size * lane->is.size; i++) {
    float weight = !lane->judged[i] ? 0 : tile->weight ? tile->weight[i] : 1;
    ((Word *) score)[i] = notch_score_scale (score[i], weight);
    fine[i] *= weight;
  }
}

/* The largest score of a level that any channel used, kept in the full one. */
static void
merge_level (NotchLane *lane, int level)
{
  const NotchTile *tile = lane->tile;
  int size = lane->is.size, times = 1 << level, side = size >> level;
  for (int y = tile->core_y; y < tile->core_y + tile->core_h; y++) { /* a row between two takes both */
    Word *score = (Word *) lane->plane[NOTCH_PLANE_SCORE] + (ptrdiff_t) y * size;
    int first = (y + times / 2 - 1) / times, second = (y + times / 2) / times;
    for (int row = first; row <= second && row < side; row++)
      keep_spread_row ((const Word *) lane->reduced_score[level] + (ptrdiff_t) row * side, times, size, score);
  }
}

int
notch_cpu_filter (NotchLane *lane, const NotchFilter *a)
{
  const NotchTile *tile = lane->tile;
  int size = lane->is.size;
  float *score[3] = { lane->plane[NOTCH_PLANE_SCORE], lane->reduced_score[1], lane->reduced_score[2] };
  for (int level = 0; level < 3; level++) {
    size_t side = (size_t) (size >> level);
    if (score[level])
      memset (score[level], 0, sizeof (float) * side * side);
  }
  notch_fft_forward (lane->fft[0], lane->plane[NOTCH_PLANE_Z], lane->spectrum);
  for (int c = 0; c < a->n_channels; c++) {
    int d = lane->filter[c].decimate, side = lane->filter[c].side, level = log2_of (d);
    float gain = a->channel[c].gain;
    respond (lane, c);
    if (a->stats)
      add_stats (lane, c, gain, &a->stats[c]);
    int y0 = tile->core_y / d, y1 = (tile->core_y + tile->core_h - 1 + d / 2) / d + 1;
    y1 = y1 < side ? y1 : side;
    for (int y = y0; y < y1; y++)
      keep_largest_row (lane->response + (ptrdiff_t) y * side, gain, c, side,
                        (Word *) score[level] + (ptrdiff_t) y * side);
    for (int y = y0; c == 0 && y < y1; y++)
      scale_row (lane->response + (ptrdiff_t) y * size, gain, size,
                 lane->plane[NOTCH_PLANE_FINE] + (ptrdiff_t) y * size);
  }
  for (int level = 1; level < 3; level++)
    if (score[level])
      merge_level (lane, level);
  if (!lane->all_judged)
    apply_weight (lane, tile);
  return 0;
}

int
notch_cpu_power (NotchLane *lane, const NotchPower *a)
{
  int size = lane->is.size;
  notch_fft_forward (lane->fft[0], lane->plane[NOTCH_PLANE_Z], lane->spectrum);
  double scale = 1.0 / ((double) size * size);
  for (ptrdiff_t i = 0; i < (ptrdiff_t) size * (size / 2 + 1); i++) {
    double re = lane->spectrum[2 * i], im = lane->spectrum[2 * i + 1];
    a->sum[i] += (re * re + im * im) * scale;
  }
  ++*a->n;
  return 0;
}
