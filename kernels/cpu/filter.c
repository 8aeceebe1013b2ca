/* filter.c - the bank of matched filters, in the Fourier domain: filter, power */
#include "kernels/math/filter.h"
#include "kernels/cpu/lane.h"
#include "kernels/math/score.h"

#include <stdlib.h>
#include <string.h>

static int
plan_blocks (const NotchFilterPlan *plan)
{
  return notch_cpu_n_bundles (plan->side / 2);
}

static void
make_filter (const NotchFilterBank *bank, int c)
{
  const NotchChannel copy = bank->channel[c], *channel = &copy; /* nothing that is written below may be in it */
  const NotchFilterPlan *plan = &bank->filter[c];
  int size = bank->size, side = plan->side, n_blocks = plan_blocks (plan);
  double variance = 0;
  for (int y = 0; y < side; y++)
    for (int x = 0; x < n_blocks * NOTCH_BUNDLE; x++) {
      double transfer = notch_channel_bin (channel, bank->whiten, bank->halo, size, side, x, y, &variance);
      plan->transfer[((ptrdiff_t) (x / NOTCH_BUNDLE) * side + y) * NOTCH_BUNDLE + x % NOTCH_BUNDLE] = (float) transfer;
    }
  double scale = notch_channel_scale (variance, size);
  for (ptrdiff_t i = 0; i < (ptrdiff_t) side * n_blocks * NOTCH_BUNDLE; i++)
    plan->transfer[i] = (float) (plan->transfer[i] * scale);
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

/* Filters to be made; NULL: out of memory. */
static NotchFilterBank *
bank_new (const NotchLaneSize *is)
{
  NotchFilterBank *bank = calloc (1, sizeof *bank);
  if (!bank)
    return NULL;
  atomic_init (&bank->refs, 1);
  atomic_init (&bank->begun, 0);
  bank->size = is->size, bank->halo = is->halo, bank->n_channels = is->n_channels;
  memcpy (bank->channel, is->channel, sizeof *is->channel * (size_t) is->n_channels);
  bool well = !is->whiten || (bank->whiten = malloc (whiten_bytes (is->size)));
  if (well && is->whiten)
    memcpy (bank->whiten, is->whiten, whiten_bytes (is->size));
  for (int c = 0; c < is->n_channels && well; c++) {
    NotchFilterPlan *plan = &bank->filter[c];
    plan->decimate = is->channel[c].decimate;
    plan->side = is->size / plan->decimate;
    plan->transfer = notch_fft_alloc ((size_t) plan->side * (size_t) plan_blocks (plan) * NOTCH_BUNDLE);
    well = plan->transfer != NULL;
  }
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

/* The device's bank if it serves, else a new one in its place. Whoever comes helps to make its filters, and waits for those
 * that others are making. */
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
  if (!bank)
    return NULL;
  for (int c; (c = atomic_fetch_add (&bank->begun, 1)) < bank->n_channels;) {
    make_filter (bank, c);
    pthread_mutex_lock (&device->lock);
    if (++bank->made == bank->n_channels)
      pthread_cond_broadcast (&device->filters_made);
    pthread_mutex_unlock (&device->lock);
  }
  pthread_mutex_lock (&device->lock);
  while (bank->made < bank->n_channels)
    pthread_cond_wait (&device->filters_made, &device->lock);
  pthread_mutex_unlock (&device->lock);
  return bank;
}

/* Floats in a strip of NOTCH_BUNDLE rows. */
static size_t
strip_floats (int side)
{
  return (size_t) side * NOTCH_BUNDLE;
}

/* The transforms of a level, and its score. */
static int
make_level (NotchLane *lane, int level)
{
  int side = lane->is.size >> level;
  if (!lane->fft[level])
    lane->fft[level] = notch_bundle_fft_new (side);
  if (!lane->level_score[level])
    lane->level_score[level] = notch_fft_alloc (strip_floats (side) * (size_t) notch_cpu_n_bundles (side));
  if (!lane->fft[level] || !lane->level_score[level])
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
  for (int level = 0; level < 3; level++)
    notch_fft_release (lane->level_score[level]);
}

/* Rows of a block times as many of a transfer function. */
NOTCH_CLONES static void
multiply (const float *restrict spectrum, const float *restrict transfer, int rows, float *restrict product)
{
  for (int y = 0; y < rows; y++, spectrum += 2 * NOTCH_BUNDLE, product += 2 * NOTCH_BUNDLE, transfer += NOTCH_BUNDLE)
    for (int i = 0; i < NOTCH_BUNDLE; i++) {
      product[i] = spectrum[i] * transfer[i];
      product[NOTCH_BUNDLE + i] = spectrum[NOTCH_BUNDLE + i] * transfer[i];
    }
}

/* Puts the complex numbers of a bundle's first rows, 16 at most, where those of another one's columns are. */
static void
turn_complex (const float *from, int rows, float *to)
{
  for (int part = 0; part < 2; part++)
    notch_bundle_turn (from + part * NOTCH_BUNDLE, 2 * NOTCH_BUNDLE, rows, NOTCH_BUNDLE, to + part * NOTCH_BUNDLE,
                       2 * NOTCH_BUNDLE);
}

/* The spectrum of Z, in blocks of columns. */
static void
transform (NotchLane *lane)
{
  int size = lane->is.size, columns = size / 2 + 1;
  const int many = NOTCH_BUNDLE;
  for (int y = 0; y < size; y += many) {
    notch_bundle_turn (lane->plane[NOTCH_PLANE_Z] + (ptrdiff_t) y * size, size, size - y < many ? size - y : many, size,
                       lane->bundle[0], many);
    notch_bundle_real_forward (lane->fft[0], lane->bundle[0], lane->bundle[1], lane->bundle[2]);
    for (int x = 0; x < columns; x += many)
      turn_complex (lane->bundle[2] + (ptrdiff_t) x * 2 * many, columns - x < many ? columns - x : many,
                    lane->product + notch_cpu_block (size, x / many) + (ptrdiff_t) y * 2 * many);
  }
  for (int b = 0; b < notch_cpu_n_bundles (columns); b++)
    notch_bundle_forward (lane->fft[0], lane->product + notch_cpu_block (size, b), lane->bundle[0],
                          lane->spectrum + notch_cpu_block (size, b));
}

/* A plane of scores, seen as the words that they are. */
typedef int32_t __attribute__ ((may_alias)) Word;

/* Keeps the largest response and its channel; the first one is. */
NOTCH_CLONES static void
keep_largest (const float *response, float gain, int32_t channel, bool first, int n, Word *score)
{
  for (int i = 0; i < n && first; i++)
    score[i] = notch_score_pack (response[i] * gain, channel);
  for (int i = 0; i < n && !first; i++) {
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
multiply_by (float *row, float gain, int n)
{
  for (int i = 0; i < n; i++)
    row[i] *= gain;
}

/* Filters the tile's spectrum by channel c and transforms the columns back; they lie in lane->product. */
static void
respond (NotchLane *lane, int c)
{
  const NotchFilterPlan *plan = &lane->bank->filter[c];
  int size = lane->is.size, side = plan->side,
      upper = side / 2 + 1; /* rows up to the highest frequency, then negative ones */
  const int many = NOTCH_BUNDLE;
  for (int b = 0; b < notch_cpu_n_bundles (side / 2); b++) {
    const float *from = lane->spectrum + notch_cpu_block (size, b);
    const float *transfer = plan->transfer + (ptrdiff_t) b * side * many;
    multiply (from, transfer, upper, lane->bundle[0]);
    multiply (from + (ptrdiff_t) (size - side + upper) * 2 * many, transfer + (ptrdiff_t) upper * many, side - upper,
              lane->bundle[0] + (ptrdiff_t) upper * 2 * many);
    notch_bundle_inverse (lane->fft[notch_channel_level (plan->decimate)], lane->bundle[0], lane->bundle[1],
                          lane->product + notch_cpu_block (side, b));
  }
}

/* A strip of the response: its columns, one after the other. */
static float *
response_strip (NotchLane *lane, int c, int strip)
{
  const NotchFilterPlan *plan = &lane->bank->filter[c];
  for (int b = 0; b < notch_cpu_n_bundles (plan->side / 2); b++)
    turn_complex (lane->product + notch_cpu_block (plan->side, b) + strip * 2 * (ptrdiff_t) NOTCH_BUNDLE * NOTCH_BUNDLE,
                  NOTCH_BUNDLE, lane->bundle[0] + b * 2 * (ptrdiff_t) NOTCH_BUNDLE * NOTCH_BUNDLE);
  notch_bundle_real_inverse (lane->fft[notch_channel_level (plan->decimate)], lane->bundle[0], lane->bundle[1],
                             lane->bundle[2]);
  return lane->bundle[2];
}

/* Puts rows `begin` to `end` - 1 of strips into a plane of such rows. */
static void
put_rows (const float *strips, int side, int begin, int end, float *plane)
{
  for (int y = begin, n; y < end; y += n) {
    int strip = y / NOTCH_BUNDLE, within = y % NOTCH_BUNDLE;
    n = end - y < NOTCH_BUNDLE - within ? end - y : NOTCH_BUNDLE - within;
    notch_bundle_turn (strips + strip * (ptrdiff_t) strip_floats (side) + within, NOTCH_BUNDLE, side, n,
                       plane + (ptrdiff_t) y * side, side);
  }
}

/* A row of a response as its null sees it: values, and what they differ by from those beside and below, 0 where they do not
 * count; and where each is in the histogram, one beyond its end for what is not judged. How many count. */
typedef struct {
  float *value, *dx, *dy;
  int32_t *bin;
} NullRow;

NOTCH_CLONES static int
null_row (const float *restrict f, const float *restrict below, float gain, const uint8_t *restrict judged, int n,
          NullRow row)
{
  float *restrict kept = row.value, *restrict dx = row.dx, *restrict dy = row.dy;
  int32_t *restrict bin = row.bin;
  int counted = 0;
  for (int i = 0; i < n; i++) {
    float value = f[i] * gain, right = f[i + 1] * gain, under = below[i] * gain, size = fabsf (value);
    int here = notch_histogram_bin (size);
    bool counts = judged[i] & (size < NOTCH_NULL_SIGMA);
    bin[i] = judged[i] ? here : NOTCH_HISTOGRAM_BINS;
    kept[i] = counts ? value : 0, dx[i] = counts ? right - value : 0, dy[i] = counts ? under - value : 0;
    counted += counts;
  }
  return counted;
}

/* The sum of products of two rows, in lanes that a vector unit fills; their order is fixed. */
NOTCH_CLONES static double
row_product (const float *a, const float *b, int n)
{
  double lane[8] = { 0 }, sum = 0;
  int last = n / 8 * 8;
  for (int x = 0; x < last; x += 8)
    for (int i = 0; i < 8; i++)
      lane[i] += (double) a[x + i] * (double) b[x + i];
  for (int x = last; x < n; x++)
    sum += (double) a[x] * (double) b[x];
  for (int i = 0; i < 8; i++)
    sum += lane[i];
  return sum;
}

/* Adds the null statistics of a response over the core. */
static void
add_stats (NotchLane *lane, int c, float gain, NotchChannelStats *stats)
{
  const NotchTile *tile = lane->tile;
  int d = lane->bank->filter[c].decimate, side = lane->bank->filter[c].side, size = lane->is.size;
  int64_t count[NOTCH_HISTOGRAM_BINS + 1] = { 0 };
  uint8_t *judged = (uint8_t *) lane->bundle[0];
  NullRow row = { lane->bundle[1], lane->bundle[1] + size, lane->bundle[2], (int32_t *) lane->bundle[2] + size };
  int x0, y0, x1, y1;
  notch_null_range (tile->core_x, tile->core_w, d, &x0, &x1);
  notch_null_range (tile->core_y, tile->core_h, d, &y0, &y1);
  for (int y = y0, n = x1 - x0; y < y1 && n > 0; y++) {
    const float *f = lane->response + (ptrdiff_t) y * side + x0;
    for (int x = 0; x < n; x++)
      judged[x] = lane->judged[(ptrdiff_t) y * d * size + (x0 + x) * d];
    stats->n += null_row (f, f + side, gain, judged, n, row);
    stats->sum2 += row_product (row.value, row.value, n);
    stats->sum_dx2 += row_product (row.dx, row.dx, n);
    stats->sum_dy2 += row_product (row.dy, row.dy, n);
    stats->sum_dxdy += row_product (row.dx, row.dy, n);
    for (int x = 0; x < n; x++)
      count[row.bin[x]]++;
  }
  for (int i = 0; i < NOTCH_HISTOGRAM_BINS; i++)
    stats->histogram[i] += count[i];
}

/* Nothing is found where nothing can be judged; elsewhere the sensitivity counts. */
NOTCH_CLONES static void
weigh (const uint8_t *restrict judged, const float *restrict weight, ptrdiff_t n, Word *restrict score,
       float *restrict fine)
{
  for (ptrdiff_t i = 0; i < n; i++) {
    float here = !judged[i] ? 0 : weight ? weight[i] : 1, value;
    memcpy (&value, &score[i], sizeof value);
    score[i] = notch_score_scale (value, here);
    fine[i] *= here;
  }
}

/* Rows of a channel's response that the core asks for. */
static void
core_rows (const NotchTile *tile, int decimate, int side, int *begin, int *end)
{
  int last = (tile->core_y + tile->core_h - 1 + decimate / 2) / decimate;
  *begin = tile->core_y / decimate;
  *end = last < side ? last + 1 : side;
}

/* The largest score of a level that any channel used, kept in the full one. */
static void
merge_level (NotchLane *lane, int level)
{
  const NotchTile *tile = lane->tile;
  int size = lane->is.size, times = 1 << level, side = size >> level, begin, end;
  core_rows (tile, times, side, &begin, &end);
  put_rows (lane->level_score[level], side, begin, end, lane->response);
  for (int y = tile->core_y; y < tile->core_y + tile->core_h; y++) { /* a row between two takes both */
    Word *score = (Word *) lane->plane[NOTCH_PLANE_SCORE] + (ptrdiff_t) y * size;
    int last = notch_score_last (y, times);
    for (int row = notch_score_first (y, times); row <= last && row < side; row++)
      keep_spread_row ((const Word *) lane->response + (ptrdiff_t) row * side, times, size, score);
  }
}

/* The score of the levels that were used, 0 outside the core's rows. */
static void
merge (NotchLane *lane, const bool used[3])
{
  const NotchTile *tile = lane->tile;
  int size = lane->is.size, begin = tile->core_y, end = used[0] ? begin + tile->core_h : begin;
  float *score = lane->plane[NOTCH_PLANE_SCORE];
  memset (score, 0, sizeof (float) * (size_t) begin * (size_t) size);
  put_rows (lane->level_score[0], size, begin, end, score);
  memset (score + (ptrdiff_t) end * size, 0, sizeof (float) * (size_t) (size - end) * (size_t) size);
  for (int level = 1; level < 3; level++)
    if (used[level])
      merge_level (lane, level);
}

int
notch_cpu_filter (NotchLane *lane, const NotchFilter *a)
{
  int size = lane->is.size;
  bool used[3] = { false };
  transform (lane);
  for (int c = 0; c < a->n_channels; c++) {
    int d = lane->bank->filter[c].decimate, side = lane->bank->filter[c].side, level = notch_channel_level (d);
    int n = (int) strip_floats (side), begin, end;
    float gain = a->channel[c].gain;
    core_rows (lane->tile, d, side, &begin, &end);
    respond (lane, c);
    for (int strip = begin / NOTCH_BUNDLE; strip < notch_cpu_n_bundles (end); strip++) {
      float *response = response_strip (lane, c, strip);
      int top = strip * NOTCH_BUNDLE, rows = side - top < NOTCH_BUNDLE ? side - top : NOTCH_BUNDLE;
      keep_largest (response, gain, c, !used[level], n, (Word *) lane->level_score[level] + (ptrdiff_t) strip * n);
      if (a->stats)
        notch_bundle_turn (response, NOTCH_BUNDLE, side, rows, lane->response + (ptrdiff_t) top * side, side);
      if (c > 0)
        continue;
      multiply_by (response, gain, n);
      notch_bundle_turn (response, NOTCH_BUNDLE, side, rows, lane->plane[NOTCH_PLANE_FINE] + (ptrdiff_t) top * size,
                         size);
    }
    used[level] = true;
    if (a->stats)
      add_stats (lane, c, gain, &a->stats[c]);
  }
  merge (lane, used);
  if (!lane->all_judged)
    weigh (lane->judged, lane->tile->weight, (ptrdiff_t) size * size, (Word *) lane->plane[NOTCH_PLANE_SCORE],
           lane->plane[NOTCH_PLANE_FINE]);
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
      const float *at = lane->spectrum + notch_cpu_block (size, x / NOTCH_BUNDLE) + (ptrdiff_t) y * 2 * NOTCH_BUNDLE
                        + x % NOTCH_BUNDLE;
      double re = at[0], im = at[NOTCH_BUNDLE];
      a->sum[(ptrdiff_t) y * (size / 2 + 1) + x] += (re * re + im * im) * scale;
    }
  ++*a->n;
  return 0;
}
