/* fit.cu - the reference brought to the test's scale, and what is left in sigmas: fit, normalise
 *
 * A CUDA block a piece finds the coefficients; then all pixels are done at once, each by the piece that owns it. */
#include "kernels/cuda/block.cuh"
#include "kernels/cuda/lane.cuh"
#include "kernels/math/fit.h"

#include <stdlib.h>

enum {
  FIT_THREADS = 256,
  FIT_COLUMNS = 8, /* of a sample: NotchFitPixel, u, v, the right side, and the size of what is left of it */
  FIT_SIDE = NOTCH_FIT_MAX + 1,
  FIT_SUMS = FIT_SIDE * (FIT_SIDE + 1) / 2 + 1 /* products of terms and right side, and how many samples */
};

struct NotchCudaFit {
  NotchFitArea *area; /* a piece each */
  float *sample;      /* FIT_COLUMNS x NOTCH_FIT_SAMPLES a piece in work */
  int at_once;        /* pieces in work */
};

int
notch_cuda_fit_new (NotchLane *lane)
{
  NotchCudaFit *fit = lane->fitting = (NotchCudaFit *) calloc (1, sizeof *fit);
  if (!fit)
    return notch_cuda_fail_at (lane, cudaErrorMemoryAllocation, "memory of the host");
  fit->at_once = 8 * lane->is.batch;
  return notch_cuda_allocate (lane, &fit->area, NOTCH_MAX_PIECES)
                 || notch_cuda_allocate (lane, &fit->sample, (size_t) fit->at_once * FIT_COLUMNS * NOTCH_FIT_SAMPLES)
             ? -1
             : 0;
}

void
notch_cuda_fit_free (NotchLane *lane)
{
  free (lane->fitting);
}

/* ---- coefficients ------------------------------------------------------------------------------------------------------ */

/* The raw reference at a pixel of a piece; beyond the piece it is the piece's own where a rim is kept, for another one's is off
 * by its own brightness: a jump that a difference of focus would draw along the border. `ref`: the tile's plane. */
static __device__ __forceinline__ NotchFitPixel
pixel_of (const float *ref, int size, const NotchPiece *piece, const float *rim, int x, int y)
{
  const float *g = ref + (size_t) y * size + x;
  float cross[9];
  cross[1] = rim && y == piece->y ? rim[notch_rim_at (piece, x, y - 1)] : g[-size];
  cross[3] = rim && x == piece->x ? rim[notch_rim_at (piece, x - 1, y)] : g[-1];
  cross[4] = g[0];
  cross[5] = rim && x == piece->x + piece->w - 1 ? rim[notch_rim_at (piece, x + 1, y)] : g[1];
  cross[7] = rim && y == piece->y + piece->h - 1 ? rim[notch_rim_at (piece, x, y + 1)] : g[size];
  return notch_fit_pixel (cross + 4, 3);
}

static __device__ __forceinline__ const float *
rim_of (const NotchLane &lane, int p)
{
  return lane.piece_rim[p] >= 0 ? lane.rim + lane.piece_rim[p] : NULL;
}

/* Takes a piece's samples; those that do not count have NAN for what is left of them. Returns how many do. */
static __device__ int
take_samples (const NotchLane &lane, int p, const NotchFitArea *area, int n, int columns, float *sample, int *word)
{
  const NotchPiece *piece = &lane.piece[p];
  int size = lane.is.size, t = lane.piece_tile[p], owner = p - lane.tile[t].first_piece, found = 0;
  const float *rim = rim_of (lane, p), *ref = lane.plane[NOTCH_PLANE_REF] + (size_t) t * lane.area;
  for (int i = threadIdx.x; i < n; i += FIT_THREADS) {
    int x, y;
    bool well =
        notch_fit_sample (area, area->x0 + i % columns * area->step, area->y0 + i / columns * area->step, &x, &y);
    size_t at = (size_t) t * lane.area + (size_t) y * size + x;
    well = well && lane.judged[at] && lane.owner[at] == owner;
    sample[7 * NOTCH_FIT_SAMPLES + i] = well ? 0.0f : NAN;
    if (!well)
      continue;
    NotchFitPixel pixel = pixel_of (ref, size, piece, rim, x, y);
    sample[i] = pixel.g;
    sample[NOTCH_FIT_SAMPLES + i] = pixel.x;
    sample[2 * NOTCH_FIT_SAMPLES + i] = pixel.y;
    sample[3 * NOTCH_FIT_SAMPLES + i] = pixel.laplacian;
    sample[4 * NOTCH_FIT_SAMPLES + i] = notch_fit_u (area, piece, x);
    sample[5 * NOTCH_FIT_SAMPLES + i] = notch_fit_v (area, piece, y);
    sample[6 * NOTCH_FIT_SAMPLES + i] = lane.plane[NOTCH_PLANE_TEST][at] - pixel.g;
    found++;
  }
  return notch_block_sum (found, word);
}

/* A sample's terms and its right side. */
static __device__ __forceinline__ void
read_sample (const float *sample, int i, float term[FIT_SIDE])
{
  const int step = NOTCH_FIT_SAMPLES;
  NotchFitPixel pixel = { sample[i], sample[step + i], sample[2 * step + i], sample[3 * step + i] };
  notch_fit_terms (&pixel, sample[4 * step + i], sample[5 * step + i], term);
  term[NOTCH_FIT_MAX] = sample[6 * step + i];
}

/* Sums of products over the samples of which no more than `cut` is left; `sums`: FIT_SUMS a warp, the first of which become the
 * block's. */
static __device__ void
sum_products (const float *sample, int n, double cut, double *sums)
{
  const float *left = sample + 7 * NOTCH_FIT_SAMPLES;
  double sum[FIT_SUMS];
#pragma unroll
  for (int i = 0; i < FIT_SUMS; i++)
    sum[i] = 0;
  for (int i = threadIdx.x; i < n; i += FIT_THREADS) {
    float term[FIT_SIDE];
    if (!((double) left[i] <= cut))
      continue;
    read_sample (sample, i, term);
#pragma unroll
    for (int a = 0; a < FIT_SIDE; a++)
#pragma unroll
      for (int b = 0; b <= a; b++)
        sum[a * (a + 1) / 2 + b] += (double) term[a] * (double) term[b];
    sum[FIT_SUMS - 1] += 1;
  }
  __syncthreads ();
#pragma unroll
  for (int i = 0; i < FIT_SUMS; i++) {
    double of_warp = notch_warp_sum (sum[i]);
    if (threadIdx.x % 32 == 0)
      sums[threadIdx.x / 32 * FIT_SUMS + i] = of_warp;
  }
  __syncthreads ();
  for (int i = threadIdx.x; i < FIT_SUMS; i += FIT_THREADS)
    for (int warp = 1; warp < FIT_THREADS / 32; warp++)
      sums[i] += sums[warp * FIT_SUMS + i];
  __syncthreads ();
}

/* What the coefficients leave of each sample. */
static __device__ void
take_residuals (float *sample, int n, const float c[NOTCH_FIT_MAX])
{
  float *left = sample + 7 * NOTCH_FIT_SAMPLES;
  for (int i = threadIdx.x; i < n; i += FIT_THREADS) {
    float term[FIT_SIDE];
    if (isnan (left[i]))
      continue;
    read_sample (sample, i, term);
    float rest = term[NOTCH_FIT_MAX];
#pragma unroll
    for (int j = 0; j < NOTCH_FIT_MAX; j++)
      rest -= c[j] * term[j];
    left[i] = fabsf (rest);
  }
}

/* The coefficients of piece first + blockIdx.x, by the same rounds as on the CPU (kernels/cpu/regress.c). */
static __global__ void
__launch_bounds__ (FIT_THREADS, 1) regress (NotchLane lane, NotchCudaFit fit, int first, int terms, int samples,
                                            float gain, float quiet, float contrast)
{
  NOTCH_SHARED (double, sums, FIT_THREADS / 32 * FIT_SUMS);
  NOTCH_SHARED (double, matrix, FIT_SIDE *FIT_SIDE);
  NOTCH_SHARED (float, c, NOTCH_FIT_MAX);
  NOTCH_SHARED (int, word, FIT_THREADS / 32);
  NOTCH_SHARED (unsigned, count, 256);
  NOTCH_SHARED (unsigned, pick, 2);
  int p = first + (int) blockIdx.x, size = lane.is.size;
  const NotchPiece *piece = &lane.piece[p];
  const NotchFitArea area = notch_fit_area (piece, size, samples);
  float *sample = fit.sample + (size_t) blockIdx.x * FIT_COLUMNS * NOTCH_FIT_SAMPLES;
  int columns = (area.x1 - area.x0 + area.step - 1) / area.step, rows = (area.y1 - area.y0 + area.step - 1) / area.step;
  int n = columns > 0 && rows > 0 ? columns * rows : 0, found = 0;
  if (threadIdx.x < NOTCH_FIT_MAX)
    c[threadIdx.x] = terms == NOTCH_FIT_NOTHING && threadIdx.x == 1 && piece->n_sources > 0 ? gain - 1 : 0.0f;
  if (threadIdx.x == 0)
    fit.area[p] = area;
  if (terms != NOTCH_FIT_NOTHING && piece->n_sources > 0)
    found = take_samples (lane, p, &area, n, columns, sample, word);
  double cut = INFINITY, variance = 0;
  for (int round = 0; round < 3 && found >= NOTCH_FIT_LEAST; round++) {
    sum_products (sample, n, cut, sums);
    if (threadIdx.x == 0) {
      int use[NOTCH_FIT_MAX], m = notch_fit_use (terms, piece->w * piece->h, use);
      for (int i = 0; i <= m; i++)
        for (int j = 0; j <= i && j < m; j++) {
          int a = i < m ? use[i] : NOTCH_FIT_MAX;
          matrix[i * FIT_SIDE + j] = sums[a * (a + 1) / 2 + use[j]];
        }
      notch_fit_round ((double (*)[FIT_SIDE]) matrix, use, m, sums[FIT_SUMS - 1], variance, &lane.ref_noise[p],
                       contrast, c);
    }
    __syncthreads ();
    if (round == 2)
      break;
    take_residuals (sample, n, c);
    const float *left = sample + 7 * NOTCH_FIT_SAMPLES;
    float median = notch_block_select ((unsigned) found / 2,
                                       [=] (auto take) {
                                         for (int i = threadIdx.x; i < n; i += FIT_THREADS)
                                           if (!isnan (left[i]))
                                             take (left[i]);
                                       },
                                       count, pick);
    notch_fit_spread (median, quiet, &lane.ref_noise[p], &cut, &variance);
  }
  __syncthreads ();
  if (threadIdx.x < NOTCH_FIT_MAX)
    lane.fit[p][threadIdx.x] = c[threadIdx.x];
}

/* ---- the model ---------------------------------------------------------------------------------------------------------- */

/* The fitted reference, to Z for now, for its raw neighbours are needed until the last pixel is done; and the residual. */
static __global__ void
apply (NotchLane lane, NotchCudaFit fit)
{
  int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y, size = lane.is.size;
  const NotchTile *tile = &lane.tile[blockIdx.z];
  if (x >= size || y >= size)
    return;
  size_t first = (size_t) blockIdx.z * lane.area, at = first + (size_t) y * size + x;
  const float *ref = lane.plane[NOTCH_PLANE_REF] + first;
  float model = lane.plane[NOTCH_PLANE_REF][at], res = 0;
  if (lane.owner[at] >= 0 && x > 0 && y > 0 && x < size - 1 && y < size - 1) { /* the tile's rim has no derivatives */
    int p = tile->first_piece + lane.owner[at];
    const NotchPiece *piece = &lane.piece[p];
    const NotchFitArea *area = &fit.area[p];
    NotchFitPixel pixel = pixel_of (ref, size, piece, rim_of (lane, p), x, y);
    NotchFitRow row = notch_fit_row (lane.fit[p], notch_fit_v (area, piece, y));
    model = notch_fit_model (&row, &pixel, notch_fit_u (area, piece, area->x0) + area->du * (float) (x - area->x0));
    res = lane.plane[NOTCH_PLANE_TEST][at] - model;
  }
  if (lane.state[blockIdx.z].any_lost && !lane.judged[at] && (lane.known[at] & NOTCH_KNOWN_COVERED))
    res = NAN;
  lane.plane[NOTCH_PLANE_Z][at] = model;
  lane.plane[NOTCH_PLANE_RES][at] = res;
}

/* ---- borders ------------------------------------------------------------------------------------------------------------- */

/* Levels the lines along a piece's borders one after the other, as kernels/cpu/border.c tells; a CUDA block a piece. The fitted
 * reference is in Z. */
static __global__ void
__launch_bounds__ (FIT_THREADS, 1) level_borders (NotchLane lane)
{
  NOTCH_SHARED (double, sum, FIT_THREADS / 32);
  NOTCH_SHARED (int, word, FIT_THREADS / 32);
  NOTCH_SHARED (unsigned, count, 256);
  NOTCH_SHARED (unsigned, pick, 2);
  int p = blockIdx.x, t = lane.piece_tile[p], owner = p - lane.tile[t].first_piece, size = lane.is.size;
  const NotchPiece *piece = &lane.piece[p];
  for (int l = 0; l < 4 * NOTCH_BORDER_WIDTH && piece->n_sources > 0; l++) {
    NotchBorderLine line;
    if (!notch_border_line (piece, size, l, &line))
      continue;
    size_t first = (size_t) t * lane.area + (size_t) line.y * size + line.x, step = line.upright ? (size_t) size : 1;
    float *res = lane.plane[NOTCH_PLANE_RES] + first, *ref = lane.plane[NOTCH_PLANE_Z] + first;
    const uint8_t *judged = lane.judged + first;
    const int16_t *owns = lane.owner + first;
    auto counts = [=] (int i) { return judged[i * step] && owns[i * step] == owner; };
    int found = 0;
    for (int i = threadIdx.x; i < line.n; i += FIT_THREADS)
      found += counts (i);
    found = notch_block_sum (found, word);
    if (found < NOTCH_BORDER_LEAST)
      continue;
    float cut = NOTCH_BORDER_CUT
                * notch_block_select ((unsigned) found / 2,
                                      [=] (auto take) {
                                        for (int i = threadIdx.x; i < line.n; i += FIT_THREADS)
                                          if (counts (i))
                                            take (fabsf (res[i * step]));
                                      },
                                      count, pick);
    double products = 0, squares = 0;
    for (int i = threadIdx.x; i < line.n; i += FIT_THREADS) {
      const float *at = lane.plane[NOTCH_PLANE_REF] + first + i * step;
      float r = res[i * step], g = ref[i * step];
      if (!counts (i) || fabsf (r) > cut)
        continue;
      double weight = (double) notch_border_weight (cut / 4, notch_grad_x (at), notch_grad_y (at, size));
      products += weight * (double) r * (double) g;
      squares += weight * (double) g * (double) g;
    }
    products = notch_block_sum (products, sum);
    squares = notch_block_sum (squares, sum);
    float share = squares > 0 ? (float) (products / squares) : 0;
    for (int i = threadIdx.x; i < line.n; i += FIT_THREADS)
      if (counts (i)) {
        res[i * step] -= share * ref[i * step];
        ref[i * step] += share * ref[i * step];
      }
    __syncthreads (); /* lines cross */
  }
}

/* ---- the stages ---------------------------------------------------------------------------------------------------------- */

int
notch_cuda_fit (NotchLane *lane, const NotchFit *a)
{
  NotchCudaFit *fit = lane->fitting;
  if (notch_cuda_enter (lane))
    return -1;
  for (int first = 0; first < lane->n_pieces; first += fit->at_once) {
    int n = lane->n_pieces - first < fit->at_once ? lane->n_pieces - first : fit->at_once;
    NOTCH_LAUNCH (regress, dim3 ((unsigned) n), dim3 (FIT_THREADS), 0, lane->stream, *lane, *fit, first, a->terms,
                  a->samples, a->gain, a->least, a->contrast);
  }
  NOTCH_LAUNCH (apply, notch_cuda_pixel_grid (lane), NOTCH_CUDA_PIXEL_BLOCK, 0, lane->stream, *lane, *fit);
  if (a->terms != NOTCH_FIT_NOTHING && lane->n_pieces > 0)
    NOTCH_LAUNCH (level_borders, dim3 ((unsigned) lane->n_pieces), dim3 (FIT_THREADS), 0, lane->stream, *lane);
  NOTCH_CUDA_LAUNCHED (lane, "fitting");
  float *model = lane->plane[NOTCH_PLANE_Z];
  lane->plane[NOTCH_PLANE_Z] = lane->plane[NOTCH_PLANE_REF];
  lane->plane[NOTCH_PLANE_REF] = model;
  return a->wander > 0 ? notch_cuda_wander (lane, a->wander) : 0;
}

static __global__ void
normalise (NotchLane lane, NotchNoise noise, float trust)
{
  int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y, size = lane.is.size;
  if (x >= size || y >= size)
    return;
  size_t at = (size_t) blockIdx.z * lane.area + (size_t) y * size + x;
  float z = 0;
  if (lane.judged[at]) {
    const float *g = lane.plane[NOTCH_PLANE_REF] + at;
    float variance =
        notch_noise_variance (&noise, g[0], notch_grad_x (g), notch_grad_y (g, size), notch_laplacian (g, size));
    if (lane.piece[lane.tile[blockIdx.z].first_piece + lane.owner[at]].n_spreads > 0)
      variance = notch_noise_joined (variance, lane.plane[NOTCH_PLANE_SPREAD][at], trust);
    z = lane.plane[NOTCH_PLANE_RES][at] / sqrtf (variance);
  }
  lane.plane[NOTCH_PLANE_Z][at] = z;
}

int
notch_cuda_normalise (NotchLane *lane, const NotchNormalise *a)
{
  if (notch_cuda_enter (lane))
    return -1;
  NOTCH_LAUNCH (normalise, notch_cuda_pixel_grid (lane), NOTCH_CUDA_PIXEL_BLOCK, 0, lane->stream, *lane, a->noise,
                a->trust);
  NOTCH_CUDA_LAUNCHED (lane, "normalising");
  return 0;
}
