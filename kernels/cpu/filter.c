/* filter.c - the bank of matched filters, in the Fourier domain: filter, power */
#include "kernels/math/filter.h"
#include "kernels/cpu/lane.h"
#include "kernels/math/score.h"

#include <stdlib.h>
#include <string.h>

static int
make_filter (NotchLane *lane, int c)
{
  const NotchChannel copy = lane->is.channel[c], *channel = &copy; /* nothing that is written below may be in it */
  NotchFilterPlan *plan = &lane->filter[c];
  int size = lane->is.size, level = notch_channel_level (channel->decimate);
  if (level < 0 || size % (2 * channel->decimate) != 0)
    return notch_cpu_fail (lane, "a filter cannot be reduced %d times in tiles of %d pixels", channel->decimate, size);
  int side = size / channel->decimate, n_blocks = notch_cpu_n_blocks (side / 2);
  plan->decimate = channel->decimate;
  plan->side = side;
  plan->transfer = notch_fft_alloc ((size_t) side * (size_t) n_blocks * NOTCH_FFT_COLUMNS);
  if (!lane->fft[level])
    lane->fft[level] = notch_fft_pass_new (side, notch_cpu_product_stride (side));
  if (level > 0 && !lane->reduced_score[level])
    lane->reduced_score[level] = notch_fft_alloc ((size_t) side * (size_t) side);
  if (!plan->transfer || !lane->fft[level] || (level > 0 && !lane->reduced_score[level]))
    return notch_cpu_fail (lane, "out of memory for filters of %d x %d pixels", side, side);
  double variance = 0;
  for (int y = 0; y < side; y++)
    for (int x = 0; x < n_blocks * NOTCH_FFT_COLUMNS; x++) {
      double transfer = notch_channel_bin (channel, lane->is.whiten, lane->is.halo, size, side, x, y, &variance);
      plan->transfer[((ptrdiff_t) (x / NOTCH_FFT_COLUMNS) * side + y) * NOTCH_FFT_COLUMNS + x % NOTCH_FFT_COLUMNS] =
          (float) transfer;
    }
  double scale = notch_channel_scale (variance, size);
  for (ptrdiff_t i = 0; i < (ptrdiff_t) side * n_blocks * NOTCH_FFT_COLUMNS; i++)
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
  int stride = notch_cpu_product_stride (lane->is.size);
  if (!lane->fft[0] && !(lane->fft[0] = notch_fft_pass_new (lane->is.size, stride)))
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

/* n complex numbers times as many real ones. */
NOTCH_CLONES static void
multiply (const float *spectrum, const float *transfer, int n, float *product)
{
  for (int i = 0; i < n; i++) {
    product[2 * i] = spectrum[2 * i] * transfer[i];
    product[2 * i + 1] = spectrum[2 * i + 1] * transfer[i];
  }
}

/* The spectrum of Z, in blocks of columns. */
static void
transform (NotchLane *lane)
{
  int size = lane->is.size, n_blocks = notch_cpu_n_blocks (size / 2 + 1);
  float *half = lane->line + (size + 15) / 16 * 16;
  for (int y = 0; y < size; y++) {
    memcpy (lane->line, lane->plane[NOTCH_PLANE_Z] + (ptrdiff_t) y * size, sizeof (float) * (size_t) size);
    notch_fft_row_forward (lane->fft[0], lane->line, half);
    for (int b = 0; b < n_blocks; b++) {
      int left = size / 2 + 1 - b * NOTCH_FFT_COLUMNS, n = left < NOTCH_FFT_COLUMNS ? left : NOTCH_FFT_COLUMNS;
      float *to = lane->spectrum + notch_cpu_spectrum_block (size, b) + (ptrdiff_t) y * 2 * NOTCH_FFT_COLUMNS;
      if (n == NOTCH_FFT_COLUMNS)
        memcpy (to, half + b * 2 * NOTCH_FFT_COLUMNS, sizeof (float) * 2 * NOTCH_FFT_COLUMNS);
      else
        memcpy (to, half + b * 2 * NOTCH_FFT_COLUMNS, sizeof (float) * 2 * (size_t) n);
    }
  }
  for (int b = 0; b < n_blocks; b++)
    notch_fft_columns_forward (lane->fft[0], lane->spectrum + notch_cpu_spectrum_block (size, b));
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

/* Keeps the larger of a score and what a reduced row says of it (math/score.h), so that nothing moves. */
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

/* Filters the tile's spectrum by channel c and transforms the columns back; they lie in lane->product. */
static void
respond (NotchLane *lane, int c)
{
  const NotchFilterPlan *plan = &lane->filter[c];
  int size = lane->is.size, side = plan->side,
      upper = side / 2 + 1; /* rows up to the highest frequency, then negative ones */
  const int many = NOTCH_FFT_COLUMNS;
  for (int b = 0; b < notch_cpu_n_blocks (side / 2); b++) {
    const float *from = lane->spectrum + notch_cpu_spectrum_block (size, b);
    const float *transfer = plan->transfer + (ptrdiff_t) b * side * many;
    multiply (from, transfer, upper * many, lane->block);
    multiply (from + (ptrdiff_t) (size - side + upper) * 2 * many, transfer + (ptrdiff_t) upper * many,
              (side - upper) * many, lane->block + (ptrdiff_t) upper * 2 * many);
    notch_fft_columns_inverse (lane->fft[notch_channel_level (plan->decimate)], lane->block,
                               lane->product + b * 2 * many);
  }
}

/* Row y of the response. */
static const float *
response_row (NotchLane *lane, int c, int y)
{
  int side = lane->filter[c].side;
  float *row = lane->product + (ptrdiff_t) y * 2 * notch_cpu_product_stride (side);
  row[side] = row[side + 1] = 0; /* the highest frequency */
  notch_fft_row_inverse (lane->fft[notch_channel_level (lane->filter[c].decimate)], row, lane->line);
  return lane->line;
}

/* Adds the null statistics of a response over the core. */
static void
add_stats (const NotchLane *lane, int c, float gain, NotchChannelStats *stats)
{
  const NotchTile *tile = lane->tile;
  int d = lane->filter[c].decimate, side = lane->filter[c].side;
  int x0, y0, x1, y1;
  notch_null_range (tile->core_x, tile->core_w, d, &x0, &x1);
  notch_null_range (tile->core_y, tile->core_h, d, &y0, &y1);
  double sum2 = 0, dx2 = 0, dy2 = 0, dxdy = 0;
  for (int y = y0; y < y1; y++)
    for (int x = x0; x < x1; x++) {
      if (!lane->judged[(ptrdiff_t) y * d * lane->is.size + x * d])
        continue;
      const float *f = lane->response + (ptrdiff_t) y * side + x;
      float value = f[0] * gain, size = fabsf (value);
      stats->histogram[notch_histogram_bin (size)]++;
      if (size < NOTCH_NULL_SIGMA) {
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
    int last = notch_score_last (y, times);
    for (int row = notch_score_first (y, times); row <= last && row < side; row++)
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
  transform (lane);
  for (int c = 0; c < a->n_channels; c++) {
    int d = lane->filter[c].decimate, side = lane->filter[c].side, level = notch_channel_level (d);
    float gain = a->channel[c].gain;
    int y0 = tile->core_y / d, y1 = (tile->core_y + tile->core_h - 1 + d / 2) / d + 1;
    y1 = y1 < side ? y1 : side;
    respond (lane, c);
    for (int y = y0; y < y1; y++) {
      const float *row = response_row (lane, c, y);
      keep_largest_row (row, gain, c, side, (Word *) score[level] + (ptrdiff_t) y * side);
      if (c == 0)
        scale_row (row, gain, side, lane->plane[NOTCH_PLANE_FINE] + (ptrdiff_t) y * size);
      if (a->stats)
        memcpy (lane->response + (ptrdiff_t) y * side, row, sizeof (float) * (size_t) side);
    }
    if (a->stats)
      add_stats (lane, c, gain, &a->stats[c]);
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
  transform (lane);
  double scale = 1.0 / ((double) size * size);
  for (int y = 0; y < size; y++)
    for (int x = 0; x <= size / 2; x++) {
      const float *at = lane->spectrum + notch_cpu_spectrum_block (size, x / NOTCH_FFT_COLUMNS)
                        + 2 * ((ptrdiff_t) y * NOTCH_FFT_COLUMNS + x % NOTCH_FFT_COLUMNS);
      double re = at[0], im = at[1];
      a->sum[(ptrdiff_t) y * (size / 2 + 1) + x] += (re * re + im * im) * scale;
    }
  ++*a->n;
  return 0;
}
