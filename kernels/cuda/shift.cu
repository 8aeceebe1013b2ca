/* shift.cu - how far one patch is from another, to a hundredth of a pixel: the method of kernels/cpu/shift.c
 *
 * So many pairs go at once: a block fetches, judges and windows a patch, one call transforms all patches, a kernel multiplies
 * the spectra of the pairs, one call transforms back, and a block finds and refines a pair's peak. Sums are added in one
 * order, whatever else runs. */
#include "kernels/cuda/fft.cuh"
#include "kernels/math/noise.h"
#include "kernels/math/number.h"
#include "kernels/math/shift.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <vector>

enum {
  BLOCK = 256,          /* threads that share a patch */
  MOST_PAIRS = 16,      /* at once; */
  MOST_PIXELS = 1 << 21 /* fewer where their patches would have more */
};

/* A pair's strips and what is wanted of it, on the device. */
struct Pair {
  int64_t x[2], y[2]; /* of patches a and b */
  int mem[2];
  float search;
};

struct Strips {
  NotchStripView of[2]; /* NOTCH_MEM_IMAGE, NOTCH_MEM_REFERENCE */
};

struct NotchCudaShift {
  int n_pairs; /* at once */
  NotchCudaPlan forward, inverse;
  float *patch;           /* n x n; all patches a, then all b */
  cufftComplex *spectrum; /* n x (n / 2 + 1) likewise; b's becomes that of the correlation */
  cufftComplex *product;  /* a copy of it, which the transform spoils */
  float *correlation;     /* n x n a pair */
  float *window;          /* n */
  float *coarse;          /* (NOTCH_COARSE + 1) x (2 NOTCH_COARSE + 1) weights, from ky = -NOTCH_COARSE on */
  NotchQuality *quality;  /* of the patches */
  Pair *pair, *home_pair;
  NotchShiftFound *found, *home_found;
};

/* ---- what a block does together ---------------------------------------------------------------------------------------- */

/* The sum of what each thread of a block has, in every thread; `shared` has BLOCK places. */
static __device__ double
block_sum (double value, double *shared)
{
  int thread = (int) threadIdx.x;
  shared[thread] = value;
  __syncthreads ();
  for (int half = BLOCK / 2; half > 0; half /= 2) {
    if (thread < half)
      shared[thread] += shared[thread + half];
    __syncthreads ();
  }
  double sum = shared[0];
  __syncthreads ();
  return sum;
}

/* ---- kernels --------------------------------------------------------------------------------------------------------- */

/* Copies the block's patch out of its strip; what is no number becomes the mean of the rest, which pulls nowhere. */
static __device__ void
fetch_patch (const NotchStripView &strip, int64_t x, int64_t y, int n, float *to, double *shared)
{
  double sum = 0, numbers = 0;
  for (int i = (int) threadIdx.x; i < n * n; i += BLOCK) {
    float pixel = notch_cuda_sample (strip, notch_cuda_row (strip, y + i / n), x + i % n);
    to[i] = pixel;
    if (notch_is_number (pixel))
      sum += pixel, numbers++;
  }
  if (strip.sample == NOTCH_SAMPLE_F32) {
    sum = block_sum (sum, shared), numbers = block_sum (numbers, shared);
    float mean = numbers > 0 ? (float) (sum / numbers) : 0;
    for (int i = (int) threadIdx.x; i < n * n; i += BLOCK)
      if (!notch_is_number (to[i]))
        to[i] = mean;
  }
  __syncthreads ();
}

/* What the block's patch tells of how well it can be registered; whole in thread 0. */
static __device__ NotchQuality
quality_of (const float *p, int n, double *shared)
{
  NotchQuality quality = { INFINITY, 0, 0, 0, 0 };
  int rows = (n - 2) / NOTCH_QUALITY_BANDS, columns = (n - 2) / NOTCH_QUALITY_COLUMNS * NOTCH_QUALITY_COLUMNS;
  double xx = 0, xy = 0, yy = 0;
  for (int band = 0; band < NOTCH_QUALITY_BANDS; band++) {
    double laplace2 = 0;
    for (int i = (int) threadIdx.x; i < rows * columns; i += BLOCK) {
      const float *q = p + (ptrdiff_t) (1 + band * rows + i / columns) * n + 1 + i % columns;
      float r = notch_quality_mask (q, n), gx = notch_grad_x (q), gy = notch_grad_y (q, n);
      laplace2 += (double) (r * r), xx += (double) (gx * gx), xy += (double) (gx * gy), yy += (double) (gy * gy);
    }
    double variance = block_sum (laplace2, shared) / (36.0 * rows * columns);
    quality.variance = variance < quality.variance ? variance : quality.variance;
  }
  quality.xx = block_sum (xx, shared), quality.xy = block_sum (xy, shared), quality.yy = block_sum (yy, shared);
  quality.pixels = (double) NOTCH_QUALITY_BANDS * rows * columns;
  return quality;
}

/* Fetches and judges a patch, takes its mean off and lets it fade out: blockIdx.x is the pair, blockIdx.y 0 for a, 1 for b. */
static __global__ void
patch_kernel (Strips strips, const Pair *pairs, int n_pairs, const float *window, int n, float *patches,
              NotchQuality *qualities)
{
  NOTCH_SHARED (double, shared, BLOCK);
  const Pair *pair = &pairs[blockIdx.x];
  size_t index = (size_t) blockIdx.y * n_pairs + blockIdx.x;
  float *p = patches + index * n * n;
  fetch_patch (strips.of[pair->mem[blockIdx.y]], pair->x[blockIdx.y], pair->y[blockIdx.y], n, p, shared);
  NotchQuality quality = quality_of (p, n, shared);
  if (threadIdx.x == 0)
    qualities[index] = quality;
  double sum = 0;
  for (int i = (int) threadIdx.x; i < n * n; i += BLOCK)
    sum += p[i];
  float mean = (float) (block_sum (sum, shared) / ((double) n * n));
  for (int i = (int) threadIdx.x; i < n * n; i += BLOCK)
    p[i] = (p[i] - mean) * window[i % n] * window[i / n];
}

/* The spectra of the correlations, b times the conjugate of a, to b and to `product`. blockIdx.y is the pair. */
static __global__ void
correlate_kernel (cufftComplex *spectrum, const float *coarse, int n_pairs, int n, cufftComplex *product)
{
  int bins = n * (n / 2 + 1), i = (int) (blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= bins)
    return;
  int row = i / (n / 2 + 1), x = i - row * (n / 2 + 1), y = row <= n / 2 ? row : row - n;
  size_t at = (size_t) blockIdx.y * bins + i;
  cufftComplex a = spectrum[at], *to = &spectrum[(size_t) n_pairs * bins + at], b = *to;
  if (x <= NOTCH_COARSE && y >= -NOTCH_COARSE && y <= NOTCH_COARSE) {
    float weight = coarse[(y + NOTCH_COARSE) * (NOTCH_COARSE + 1) + x];
    a.x *= weight, a.y *= weight;
  }
  cufftComplex both = { a.x * b.x + a.y * b.y, a.x * b.y - a.y * b.x };
  *to = both;
  product[at] = both;
}

/* A sample of the correlation, and its place in the order of a search. */
struct Sample {
  float value;
  int place;
};

/* The largest sample that a thread of the block has, and of equals the first one; in every thread. */
static __device__ Sample
block_largest (Sample mine, Sample *shared)
{
  int thread = (int) threadIdx.x;
  shared[thread] = mine;
  __syncthreads ();
  for (int half = BLOCK / 2; half > 0; half /= 2) {
    Sample other = shared[thread < half ? thread + half : thread];
    if (thread < half
        && (other.value > shared[thread].value
            || (other.value == shared[thread].value && other.place < shared[thread].place)))
      shared[thread] = other;
    __syncthreads ();
  }
  Sample largest = shared[0];
  __syncthreads ();
  return largest;
}

/* The peak of the block's correlation; whole in thread 0. */
static __device__ NotchCorrelation
find_peak (const float *r, int n, float search, double *shared, Sample *samples)
{
  int reach = notch_correlation_reach (search, n), side = 2 * reach + 1;
  Sample first = { -INFINITY, side * side }, second = first;
  for (int i = (int) threadIdx.x; i < side * side; i += BLOCK) {
    float v = notch_correlation_at (r, n, i % side - reach, i / side - reach);
    if (v > first.value)
      first.value = v, first.place = i;
  }
  first = block_largest (first, samples);
  NotchCorrelation peak = { 0, 0, first.value, -INFINITY, 0, 0 };
  if (first.place < side * side)
    peak.x = first.place % side - reach, peak.y = first.place / side - reach;
  for (int i = (int) threadIdx.x; i < side * side; i += BLOCK) {
    int x = i % side - reach, y = i / side - reach;
    if (abs (x - peak.x) <= NOTCH_PEAK_NEAR && abs (y - peak.y) <= NOTCH_PEAK_NEAR)
      continue;
    float v = notch_correlation_at (r, n, x, y);
    if (v > second.value && notch_correlation_rival (r, n, x, y, v))
      second.value = v, second.place = i;
  }
  peak.second = block_largest (second, samples).value;
  double sum = 0, sum2 = 0;
  for (int i = (int) threadIdx.x; i < n * n; i += BLOCK)
    sum += r[i], sum2 += (double) r[i] * r[i];
  sum = block_sum (sum, shared), sum2 = block_sum (sum2, shared);
  if (threadIdx.x == 0)
    notch_correlation_lobes (r, n, sum, sum2, &peak);
  return peak;
}

/* Value and derivatives of the block's correlation at (x, y), from its half spectrum; in every thread. A thread goes down
 * columns; `wave` holds cosine and sine of the rows. */
static __device__ NotchSeries
series_at (const cufftComplex *spectrum, int n, double x, double y, double *wave, double *shared)
{
  const double step = 2 * 3.14159265358979323846 / n;
  int width = n / 2 + 1;
  double sum[6] = { 0, 0, 0, 0, 0, 0 };
  for (int row = (int) threadIdx.x; row < n; row += BLOCK) {
    double phase = step * (row <= n / 2 ? row : row - n) * y;
    wave[2 * row] = cos (phase), wave[2 * row + 1] = sin (phase);
  }
  __syncthreads ();
  for (int kx = (int) threadIdx.x; kx < n / 2; kx += BLOCK) {
    double re[3] = { 0, 0, 0 }, im[3] = { 0, 0, 0 }, wx = step * kx, c = cos (wx * x), s = sin (wx * x);
    for (int row = 0; row < n; row++) {
      if (2 * row == n)
        continue; /* the highest frequency has no partner */
      double a = spectrum[(size_t) row * width + kx].x, b = spectrum[(size_t) row * width + kx].y;
      double wy = step * (row <= n / 2 ? row : row - n);
      double u = a * wave[2 * row] - b * wave[2 * row + 1], v = a * wave[2 * row + 1] + b * wave[2 * row];
      re[0] += u, re[1] += wy * u, re[2] += wy * wy * u;
      im[0] += v, im[1] += wy * v, im[2] += wy * wy * v;
    }
    double weight = notch_series_weight (kx, n);
    double re0 = weight * (re[0] * c - im[0] * s), im0 = weight * (re[0] * s + im[0] * c);
    double re1 = weight * (re[1] * c - im[1] * s), im1 = weight * (re[1] * s + im[1] * c);
    double re2 = weight * (re[2] * c - im[2] * s);
    sum[0] += re0;
    sum[1] -= wx * im0, sum[2] -= im1;
    sum[3] -= wx * wx * re0, sum[4] -= wx * re1, sum[5] -= re2;
  }
  for (int k = 0; k < 6; k++)
    sum[k] = block_sum (sum[k], shared);
  NotchSeries series = { sum[0], sum[1], sum[2], sum[3], sum[4], sum[5] };
  return series;
}

/* Finds and refines the peak of a pair: blockIdx.x. Dynamic shared memory: 2 n doubles. */
static __global__ void
refine_kernel (const float *correlations, const cufftComplex *spectrum, const NotchQuality *quality, const Pair *pairs,
               int n_pairs, int n, float noise, NotchShiftFound *found)
{
  NOTCH_SHARED (double, shared, BLOCK);
  NOTCH_SHARED (Sample, samples, BLOCK);
  NOTCH_SHARED (int, goes_on, 1);
  NOTCH_SHARED_DYNAMIC (double, wave);
  int i = (int) blockIdx.x;
  spectrum += (size_t) (n_pairs + i) * n * (n / 2 + 1);
  NotchCorrelation peak = find_peak (correlations + (size_t) i * n * n, n, pairs[i].search, shared, samples);
  NotchShiftFound is = { 0, 0, 0, 1, 0 };
  double x = peak.x, y = peak.y;
  if (threadIdx.x == 0) {
    const NotchQuality *a = &quality[i], *b = &quality[n_pairs + i];
    float bound_a = notch_quality_bound (a, notch_quality_noise (a, b, (double) noise));
    float bound_b = notch_quality_bound (b, notch_quality_noise (b, a, (double) noise));
    is.crlb = bound_a > bound_b ? bound_a : bound_b;
    goes_on[0] = notch_shift_begin (&peak, &is);
  }
  __syncthreads ();
  bool believed = goes_on[0];
  for (int step = 0; step < NOTCH_SERIES_STEPS && believed; step++) {
    double dx, dy;
    NotchSeries s = series_at (spectrum, n, x, y, wave, shared); /* the same in every thread, and so is what follows */
    if (!notch_series_step (&s, &dx, &dy))
      break;
    x += dx, y += dy;
    if (notch_series_done (dx, dy))
      break;
  }
  if (threadIdx.x == 0) {
    if (believed)
      notch_shift_end (&peak, x, y, &is);
    found[i] = is;
  }
}

/* ---- what a lane keeps ------------------------------------------------------------------------------------------------- */

static int
make_tables (NotchLane *lane)
{
  NotchCudaShift *s = lane->shift;
  int n = lane->is.shift_size;
  std::vector<float> window (n), coarse ((NOTCH_COARSE + 1) * (2 * NOTCH_COARSE + 1));
  for (int i = 0; i < n; i++)
    window[i] = notch_shift_window (i, n);
  for (int y = -NOTCH_COARSE; y <= NOTCH_COARSE; y++)
    for (int x = 0; x <= NOTCH_COARSE; x++)
      coarse[(y + NOTCH_COARSE) * (NOTCH_COARSE + 1) + x] = notch_coarse_weight (x * x + y * y);
  if (notch_cuda_allocate (lane, &s->window, window.size ()) != 0
      || notch_cuda_allocate (lane, &s->coarse, coarse.size ()) != 0
      || notch_cuda_send (lane, "preparing to register", s->window, window.data (), window.size ()) != 0)
    return -1;
  return notch_cuda_send (lane, "preparing to register", s->coarse, coarse.data (), coarse.size ());
}

int
notch_cuda_shift_new (NotchLane *lane)
{
  int n = lane->is.shift_size;
  if (n <= 0)
    return 0;
  NotchCudaShift *s = lane->shift = new (std::nothrow) NotchCudaShift{};
  if (!s)
    return notch_cuda_fail_at (lane, cudaErrorMemoryAllocation, "memory of the host");
  size_t pixels = (size_t) n * n, bins = (size_t) n * (n / 2 + 1);
  s->n_pairs = (int) std::clamp<size_t> (MOST_PIXELS / pixels, 1, MOST_PAIRS);
  size_t pairs = (size_t) s->n_pairs;
  NotchCudaPlan *plan[] = { &s->forward, &s->inverse };
  return make_tables (lane) == 0 && notch_cuda_plan_new (lane, &s->forward, CUFFT_R2C, n, 2 * s->n_pairs) == 0
                 && notch_cuda_plan_new (lane, &s->inverse, CUFFT_C2R, n, s->n_pairs) == 0
                 && notch_cuda_plan_share (lane, plan, 2) == 0
                 && notch_cuda_allocate (lane, &s->patch, 2 * pairs * pixels) == 0
                 && notch_cuda_allocate (lane, &s->spectrum, 2 * pairs * bins) == 0
                 && notch_cuda_allocate (lane, &s->product, pairs * bins) == 0
                 && notch_cuda_allocate (lane, &s->correlation, pairs * pixels) == 0
                 && notch_cuda_allocate (lane, &s->quality, 2 * pairs) == 0
                 && notch_cuda_allocate (lane, &s->pair, pairs) == 0
                 && notch_cuda_allocate_pinned (lane, &s->home_pair, pairs) == 0
                 && notch_cuda_allocate (lane, &s->found, pairs) == 0
                 && notch_cuda_allocate_pinned (lane, &s->home_found, pairs) == 0
             ? 0
             : -1;
}

void
notch_cuda_shift_free (NotchLane *lane)
{
  if (!lane->shift)
    return;
  notch_cuda_plan_free (lane, &lane->shift->forward);
  notch_cuda_plan_free (lane, &lane->shift->inverse);
  delete lane->shift;
  lane->shift = nullptr;
}

/* ---- the stage --------------------------------------------------------------------------------------------------------- */

/* Registers n pairs, not more than go at once. */
static int
shift_some (NotchLane *lane, const Strips &strips, const NotchPair *pair, int n, float noise, NotchShiftFound *found)
{
  NotchCudaShift *s = lane->shift;
  int side = lane->is.shift_size, bins = side * (side / 2 + 1);
  for (int i = 0; i < n; i++)
    s->home_pair[i] = Pair{
      { pair[i].ax, pair[i].bx }, { pair[i].ay, pair[i].by }, { pair[i].mem_a, pair[i].mem_b }, pair[i].search
    };
  NOTCH_CUDA (lane, "registering",
              cudaMemcpyAsync (s->pair, s->home_pair, sizeof *s->pair * n, cudaMemcpyHostToDevice, lane->stream));
  NOTCH_LAUNCH (patch_kernel, dim3 ((unsigned) n, 2), BLOCK, 0, lane->stream, strips, s->pair, s->n_pairs, s->window,
                side, s->patch, s->quality);
  NOTCH_CUDA_LAUNCHED (lane, "registering");
  if (notch_cuda_forward (lane, &s->forward, s->patch, s->spectrum) != 0)
    return -1;
  NOTCH_LAUNCH (correlate_kernel, dim3 ((unsigned) (bins + BLOCK - 1) / BLOCK, (unsigned) n), BLOCK, 0, lane->stream,
                s->spectrum, s->coarse, s->n_pairs, side, s->product);
  NOTCH_CUDA_LAUNCHED (lane, "registering");
  if (notch_cuda_inverse (lane, &s->inverse, s->product, s->correlation) != 0)
    return -1;
  NOTCH_LAUNCH (refine_kernel, (unsigned) n, BLOCK, 2 * sizeof (double) * side, lane->stream, s->correlation,
                s->spectrum, s->quality, s->pair, s->n_pairs, side, noise, s->found);
  NOTCH_CUDA_LAUNCHED (lane, "registering");
  NOTCH_CUDA (lane, "registering",
              cudaMemcpyAsync (s->home_found, s->found, sizeof *found * n, cudaMemcpyDeviceToHost, lane->stream));
  NOTCH_CUDA (lane, "registering", cudaStreamSynchronize (lane->stream));
  std::copy_n (s->home_found, n, found);
  return 0;
}

int
notch_cuda_shift (NotchLane *lane, const NotchShift *a)
{
  Strips strips = {};
  if (notch_cuda_enter (lane) != 0)
    return -1;
  if (!lane->shift)
    return notch_cuda_fail (lane, "the lane was made without a patch size");
  for (int m = 0; m < 2; m++)
    if (a->mem[m]) {
      strips.of[m] = a->mem[m]->view;
      if (notch_cuda_await (lane, a->mem[m]) != 0)
        return -1;
    }
  for (int i = 0; i < a->n; i += lane->shift->n_pairs)
    if (shift_some (lane, strips, a->pair + i, std::min (lane->shift->n_pairs, a->n - i), a->noise, a->found + i) != 0)
      return -1;
  return 0;
}
