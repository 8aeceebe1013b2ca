/* spectrum.c - see spectrum.h */
#include "inspect/wafer/spectrum.h"

#include <math.h>
#include <stdlib.h>

#include "kernels/cpu/fft.h"

/* A line stands out by this factor of power at least. */
#define STANDS_OUT 4
/* Bins around a line that tell its surroundings. */
#define AROUND 6
/* Lines that would take more than this part of the spectrum are none: the cell is too large for the square. */
#define MOST_LINES 0.3

G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchFft, notch_fft_free)

NotchSpectrum *
notch_spectrum_new (int size)
{
  NotchSpectrum *spectrum = g_new0 (NotchSpectrum, 1);
  gsize bins = (gsize) size * (gsize) (size / 2 + 1);
  spectrum->size = size;
  spectrum->image = g_new0 (float, bins);
  spectrum->residual = g_new0 (float, bins);
  spectrum->lift = g_new (float, bins);
  for (gsize i = 0; i < bins; i++)
    spectrum->lift[i] = 1;
  return spectrum;
}

void
notch_spectrum_free (NotchSpectrum *spectrum)
{
  if (!spectrum)
    return;
  g_free (spectrum->image);
  g_free (spectrum->residual);
  g_free (spectrum->lift);
  g_free (spectrum);
}

/* The place of a frequency given in bins, any sign, any period; -1: on the half that is not kept. */
static gssize
bin_at (int size, int x, int y)
{
  x = (x % size + size) % size;
  y = (y % size + size) % size;
  return x <= size / 2 ? (gssize) y * (size / 2 + 1) + x : -1;
}

/* Marks the lattice of a cell, and its aliases: sampling folds a harmonic, but it stays a line. */
static void
mark_lattice (int size, const NotchCell *cell, guint8 *mark)
{
  NotchCell f = notch_cell_reciprocal (cell);
  int most = (int) ceil (hypot (cell->bx, cell->by)) + 1;
  for (int m = -most; m <= most; m++)
    for (int n = -most; n <= most; n++) {
      double fx = m * f.ax + n * f.bx, fy = m * f.ay + n * f.by;
      if ((m == 0 && n == 0) || hypot (fx, fy) > 1)
        continue;
      int x = (int) lround (fx * size), y = (int) lround (fy * size);
      for (int i = 0; i < 9; i++) {
        gssize at = bin_at (size, x + i % 3 - 1, y + i / 3 - 1);
        if (at >= 0)
          mark[at] = 1;
      }
    }
}

static int
compare_doubles (const void *a, const void *b)
{
  double x = *(const double *) a, y = *(const double *) b;
  return (x > y) - (x < y);
}

/* The median of what is not on the lattice around a bin; 0: there is nothing. */
static double
surroundings (int size, const double *sum, const guint8 *mark, int x, int y)
{
  double near[(2 * AROUND + 1) * (2 * AROUND + 1)];
  int n = 0;
  for (int v = -AROUND; v <= AROUND; v++)
    for (int u = -AROUND; u <= AROUND; u++) {
      gssize at = bin_at (size, x + u, y + v);
      if (at >= 0 && !mark[at])
        near[n++] = sum[at];
    }
  qsort (near, (size_t) n, sizeof *near, compare_doubles);
  return n > 0 ? near[n / 2] : 0;
}

void
notch_spectrum_find_lines (NotchSpectrum *spectrum, const NotchArrays *arrays, double *sum, gint64 n)
{
  int size = spectrum->size, columns = size / 2 + 1;
  gsize bins = (gsize) size * (gsize) columns, marked = 0;
  if (!arrays || n < 1)
    return;
  g_autofree guint8 *mark = g_new0 (guint8, bins);
  for (int i = 0; i < arrays->n; i++)
    mark_lattice (size, &arrays->cell[i], mark);
  for (gsize i = 0; i < bins; i++)
    marked += mark[i];
  if ((double) marked > MOST_LINES * (double) bins)
    return;
  /* The mean of n exponential variables is beyond this once in a hundred thousand (Wilson and Hilferty 1931). */
  double chance = pow (1 - 1 / (9.0 * (double) n) + 4.3 / sqrt (9.0 * (double) n), 3);
  double least = MAX (STANDS_OUT, chance), removed = 0;
  g_autofree double *level = g_new0 (double, bins);
  for (int y = 0; y < size; y++)
    for (int x = 0; x < columns; x++) {
      gsize at = (gsize) y * (gsize) columns + (gsize) x;
      level[at] = mark[at] ? surroundings (size, sum, mark, x, y) : 0;
      if (level[at] > 0 && sum[at] > least * level[at])
        spectrum->lift[at] = (float) (sum[at] / level[at]);
    }
  for (int y = 0; y < size; y++)
    for (int x = 0; x < columns; x++) {
      gsize at = (gsize) y * (gsize) columns + (gsize) x;
      if (!(spectrum->lift[at] > 1))
        continue;
      sum[at] = level[at];
      spectrum->n_notches++;
      removed += (x == 0 || 2 * x == size ? 1 : 2) * (1 - 1 / (double) spectrum->lift[at]);
    }
  spectrum->removed = removed / ((double) size * size);
}

gboolean
notch_spectrum_take_image (NotchSpectrum *spectrum, const float *value)
{
  int size = spectrum->size, columns = size / 2 + 1;
  g_autoptr (NotchFft) fft = notch_fft_new (size, size);
  float *in = notch_fft_alloc ((size_t) size * (size_t) size);
  float *out = notch_fft_alloc (2 * (size_t) size * (size_t) columns);
  gboolean well = fft && in && out;
  if (well) {
    double mean = 0;
    for (int i = 0; i < size * size; i++)
      mean += (double) value[i] / ((double) size * size);
    for (int y = 0; y < size; y++)
      for (int x = 0; x < size; x++) {
        double wx = sin (G_PI * (x + 0.5) / size), wy = sin (G_PI * (y + 0.5) / size);
        gsize at = (gsize) y * (gsize) size + (gsize) x;
        in[at] = (float) (((double) value[at] - mean) * wx * wx * wy * wy);
      }
    notch_fft_forward (fft, in, out);
    for (gsize i = 0; i < (gsize) size * (gsize) columns; i++)
      spectrum->image[i] = out[2 * i] * out[2 * i] + out[2 * i + 1] * out[2 * i + 1];
  }
  notch_fft_release (in);
  notch_fft_release (out);
  return well;
}
