/* bytes.c - bytes that each stage moves for a pixel, counted: whatever goes in or out of memory once for every pass over it */
#include "inspect/bench/bench.h"

/* A tile's pixels to those of its core. */
static double
halo_factor (const NotchBenchTile *tile)
{
  return (double) tile->size->size * tile->size->size / ((double) tile->die * tile->die);
}

void
notch_bench_bytes_cpu (const NotchBenchTile *tile, double bytes[N_STAGES])
{
  const double sample = sizeof (guint16), plane = sizeof (float), complex = 2 * sizeof (float);
  const double side = tile->size->patch_side, core = (double) tile->die * tile->die;
  double pixels = (double) tile->size->size * tile->size->size / core; /* its pixels to those of its core */
  double half = complex / 2;                                           /* of a pixel's spectrum */
  double filters = 0;
  for (int c = 0; c < tile->size->n_channels; c++) {
    int d = tile->size->channel[c].decimate;
    /* columns back: spectrum and transfer function in, product out; rows back: product in; score in and out */
    filters += (half + plane / 2 + half + half + 2 * plane) / (d * d);
  }
  bytes[STAGE_gather] = pixels * (sample + plane);                  /* image in; TEST out */
  bytes[STAGE_refer] = pixels * (tile->n_sources * sample + plane); /* sources in; REF out */
  bytes[STAGE_fit] = pixels * 4 * plane;                            /* TEST and REF in; REF and RES out */
  /* RES and REF in, four planes out, and in for cells; RES and REF in, RES out; all of the first again, and in for edges; RES
   * out */
  bytes[STAGE_follow] = pixels * (2 * (2 + 4 + 4) + 3 + 1) * plane;
  bytes[STAGE_normalise] = pixels * 3 * plane; /* RES and REF in; Z out */
  /* rows: Z in, half a spectrum out; columns: in and out; the filters; FINE out */
  bytes[STAGE_filter] = pixels * (plane + 3 * half + filters + plane);
  bytes[STAGE_label] = pixels * 2 * plane;                                 /* SCORE and FINE in; blobs are few */
  bytes[STAGE_patch] = tile->crops / core * side * side * 2 * (2 * plane); /* TEST and REF in and out, of crops */
  /* two patches: samples in, rows out, columns in and out; both in, product out; back: columns in and out, rows in and out;
   * the peak is looked for in what came of it */
  bytes[STAGE_shift] = 2 * (sample + 3 * half) + 3 * half + 3 * half + plane + plane;
  /* rows: Z in, half a spectrum out; columns: in and out; squares: in, the sum in and out */
  bytes[STAGE_power] = pixels * (plane + 4 * half + 2 * sizeof (double) / 2);
}

/* ---- the CUDA backend's, as docs/cuda.md has them ----------------------------------------------------------------- */

enum { LEVELS = 3, GROUP = 8 }; /* resolutions; filters that go back at once, at most */

/* Filters of a resolution that is reduced 1 << level times, and groups that they go in (kernels/cuda/filter.cu). */
static int
count_filters (const NotchLaneSize *size, int level, int *n_groups)
{
  int n = 0, most = MIN (GROUP, 2 << 2 * level);
  for (int c = 0; c < size->n_channels; c++)
    n += size->channel[c].decimate == 1 << level;
  *n_groups = (n + most - 1) / most;
  return n;
}

double
notch_bench_bytes_transforms (const NotchBenchTile *tile)
{
  double bytes = 16;
  for (int l = 0, groups = 0; l < LEVELS; l++)
    bytes += 16.0 * count_filters (tile->size, l, &groups) / (1 << 2 * l);
  return halo_factor (tile) * bytes;
}

void
notch_bench_bytes_cuda (const NotchBenchTile *tile, double bytes[N_STAGES])
{
  const double pixels = halo_factor (tile), core = (double) tile->die * tile->die;
  const double sample = sizeof (guint16), plane = sizeof (float), side = tile->size->patch_side;
  double filter = 0;
  for (int l = 0, g = 0; l < LEVELS; l++) {
    int n = count_filters (tile->size, l, &g);
    double multiplied = plane * (g + n), kept = n > 0 ? plane * (n + 2 * g - 1) : 0;
    filter += (multiplied + kept) / (1 << 2 * l);
    filter += l == 0 ? 6 : 0; /* the last group also reads reduced scores, mask and weights, and writes FINE */
  }
  bytes[STAGE_gather] = pixels * (9 + sample); /* owner, what is known, judged; samples in, floats out */
  bytes[STAGE_refer] = pixels * (10 + tile->n_sources * sample);
  bytes[STAGE_fit] = pixels * 37;
  bytes[STAGE_follow] = pixels * 112;
  bytes[STAGE_normalise] = pixels * 15;
  bytes[STAGE_filter] = notch_bench_bytes_transforms (tile) + pixels * filter;
  bytes[STAGE_label] = pixels * 10; /* the mask; all else is listed chunks */
  bytes[STAGE_patch] = tile->crops / core * side * side * 2 * (2 * plane);
  /* two patches: samples in, floats out; two transforms; both spectra in, the product out; back; the peak is looked for */
  bytes[STAGE_shift] = 2 * (sample + plane) + 2 * 16 + 3 * plane + 16 + plane;
  bytes[STAGE_power] =
      pixels * (16 + plane + 2 * sizeof (double) / 2.0); /* a transform; a spectrum in; the sum in and out */
}
