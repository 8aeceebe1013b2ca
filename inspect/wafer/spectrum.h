/* spectrum.h - power spectra, and the lines in them that a lattice of cells makes */
#pragma once

#include "inspect/wafer/arrays.h"

/* Spectra of squares of size x size px, size x (size/2 + 1) values each: column x is x/size cycles a px along x, row y is
 * y/size along y, and (y - size)/size from the middle on. */
typedef struct {
  int size;
  float *image;     /* power of a representative piece, its mean taken off, under a Hann window */
  gint64 x, y;      /* px in the image: that piece's first one */
  float *residual;  /* mean power of the normalised residual; white noise has 1 */
  float *lift;      /* how far a notched line stood out of its surroundings; 1: not notched */
  gint64 n_notches; /* values above 1 in `lift` */
  double removed;   /* 0 to 1: the part of white noise, and so of the spectrum, that the notches take away */
} NotchSpectrum;

NotchSpectrum *notch_spectrum_new (int size);
void notch_spectrum_free (NotchSpectrum *spectrum);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchSpectrum, notch_spectrum_free)

/* Looks for lines in the sum of n power spectra: places on the reciprocal lattice of a cell, give or take one, where the
 * power is more than four times (ln 4 in ALGORITHMS' terms), or chance's most, of the median around them. Their surplus is
 * taken out of `sum` and noted in spectrum->lift. */
void notch_spectrum_find_lines (NotchSpectrum *spectrum, const NotchArrays *arrays, double *sum, gint64 n);

/* The power of size x size values into spectrum->image. FALSE when there is no memory. */
gboolean notch_spectrum_take_image (NotchSpectrum *spectrum, const float *value);
