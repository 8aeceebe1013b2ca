/* filter.c - the bank of matched filters, in the Fourier domain: filter, power */
#include "kernels/math/filter.h"
#include "kernels/cpu/lane.h"
#include "kernels/math/score.h"

#include <stdlib.h>
#include <string.h>

static bool
make_filter (const NotchLaneSize *is, NotchFilterBank *bank, int c)
{
  const NotchChannel copy = is->channel[c], *channel = &copy; /* nothing that is written below may be in it */
  NotchFilterPlan *plan = &bank->filter[c];
  int size = is->size, side = size / channel->decimate, n_blocks = notch_cpu_n_blocks (side / 2);
  plan->decimate = channel->decimate;
  plan->side = side;
  plan->transfer = notch_fft_alloc ((size_t) side * (size_t) n_blocks * NOTCH_FFT_COLUMNS);
  if (!plan->transfer)
    return false;
  double variance = 0;
  for (int y = 0; y < side; y++)
    for (int x = 0; x < n_blocks * NOTCH_FFT_COLUMNS; x++) {
      double transfer = notch_channel_bin (channel, is->whiten, is->halo, size, side, x, y, &variance);
      plan->transfer[((ptrdiff_t) (x / NOTCH_FFT_COLUMNS) * side + y) * NOTCH_FFT_COLUMNS + x % NOTCH_FFT_COLUMNS] =
          (float) transfer;
    }
  double scale = notch_channel_scale (variance, size);
  for (ptrdiff_t i = 0; i < (ptrdiff_t) side * n_blocks * NOTCH_FFT_COLUMNS; i++)
    plan->transfer[i] = (float) (plan->transfer[i] * scale);
  return true;
}

void
notch_cpu_bank_release (NotchFilterBank *bank)
{
  if (!bank || atomic_fetch_sub (&bank->refs, 1) > 1)
    return;
  for (int c = 0; c < bank->n_channels; c++)
    notch_fft_release (bank->filter[c].transfer);
  free (bank->whiten);
  free (bank);
}

static size_t
whiten_bytes (int size)
{
  return sizeof (float) * (size_t) size * (size_t) (size / 2 + 1);
}

/* NULL: out of memory. */
static NotchFilterBank *
bank_new (const NotchLaneSize *is)
{
  NotchFilterBank *bank = calloc (1, sizeof *bank);
  if (!bank)
    return NULL;
  atomic_init (&bank->refs, 1);
  bank->size = is->size, bank->halo = is->halo, bank->n_channels = is->n_channels;
  memcpy (bank->channel, is->channel, sizeof *is->channel * (size_t) is->n_channels);
  bool well = !is->whiten || (bank->whiten = malloc (whiten_bytes (is->size)));
  if (well && is->whiten)
    memcpy (bank->whiten, is->whiten, whiten_bytes (is->size));
  for (int c = 0; c < is->n_channels && well; c++)
    well = make_filter (is, bank, c);
  if (well)
    return bank;
  notch_cpu_bank_release (bank);
  return NULL;
}

/* Are these the filters of such a lane? Gains do not matter. */
static bool
bank_serves (const NotchFilterBank *bank, const NotchLaneSize *is)
{
  if (bank->size != is->size || bank->halo != is->halo || bank->n_channels != is->n_channels
      || !bank->whiten != !is->whiten)
    return false;
  for (int c = 0; c < is->n_channels; c++) {
    const NotchChannel *a = &bank->channel[c], *b = &is->channel[c];
    if (a->kind != b->kind || a->sigma != b->sigma || a->length != b->length || a->angle != b->angle
        || a->decimate != b->decimate)
      return false;
  }
  return !is->whiten || memcmp (bank->whiten, is->whiten, whiten_bytes (is->size)) == 0;
}

/* The device's bank if it serves, else a new one in its place: whoever comes first makes it, and the others wait for it. */
static NotchFilterBank *
bank_acquire (NotchDevice *device, const NotchLaneSize *is)
{
  pthread_mutex_lock (&device->lock);
  if (!device->bank || !bank_serves (device->bank, is)) {
    notch_cpu_bank_release (device->bank);
    device->bank = bank_new (is);
  }
  NotchFilterBank *bank = device->bank;
  if (bank)
    atomic_fetch_add (&bank->refs, 1);
  pthread_mutex_unlock (&device->lock);
  return bank;
}

/* The transforms of a level, and the score of one that is reduced. */
static int
make_level (NotchLane *lane, int level)
{
  int side = lane->is.size >> level;
  if (!lane->fft[level])
    lane->fft[level] = notch_fft_pass_new (side, notch_cpu_product_stride (side));
  if (level > 0 && !lane->reduced_score[level])
    lane->reduced_score[level] = notch_fft_alloc ((size_t) side * (size_t) side);
  if (!lane->fft[level] || (level > 0 && !lane->reduced_score[level]))
    return notch_cpu_fail (lane, "out of memory for filters of %d x %d pixels", side, side);
  return 0;
}

int
notch_cpu_filter_new (NotchLane *lane, NotchDevice *device)
{
  const NotchLaneSize *is = &lane->is;
  if (is->n_channels > NOTCH_MAX_CHANNELS)
    return notch_cpu_fail (lane, "%d filters are more than %d", is->n_channels, NOTCH_MAX_CHANNELS);
  for (int c = 0; c < is->n_channels; c++) {
    int decimate = is->channel[c].decimate, level = notch_channel_level (decimate);
    if (level < 0 || is->size % (2 * decimate) != 0)
      return notch_cpu_fail (lane, "a filter cannot be reduced %d times in tiles of %d pixels", decimate, is->size);
    if (make_level (lane, level) != 0)
      return -1;
  }
  lane->bank = bank_acquire (device, is);
  if (!lane->bank)
    return notch_cpu_fail (lane, "out of memory for filters of %d x %d pixels", is->size, is->size);
  return make_level (lane, 0);
}

void
notch_cpu_filter_free (NotchLane *lane)
{
  notch_cpu_bank_release (lane->bank);
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
  const NotchFilterPlan *plan = &lane->bank->filter[c];
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
  int side = lane->bank->filter[c].side;
  float *row = lane->product + (ptrdiff_t) y * 2 * notch_cpu_product_stride (side);
  row[side] = row[side + 1] = 0; /* the highest frequency */
  notch_fft_row_inverse (lane->fft[notch_channel_level (lane->bank->filter[c].decimate)], row, lane->line);
  return lane->line;
}

/* Adds the null statistics of a response over the core. */
static void
add_stats (const NotchLane *lane, int c, float gain, NotchChannelStats *stats)
{
  const NotchTile *tile = lane->tile;
  int d = lane->bank->filter[c].decimate, side = lane->bank->filter[c].side;
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
    int d = lane->bank->filter[c].decimate, side = lane->bank->filter[c].side, level = notch_channel_level (d);
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
