/* lattice.h - the lattice of dice at full size: a rough period made exact, and where a die begins */
#pragma once

#include "inspect/image/store.h"
#include "inspect/wafer/grid.h"

typedef struct {
  double x, y;             /* px: a corner of dice */
  double pitch_x, pitch_y; /* px */
  double error_x, error_y; /* px: standard errors of the pitches, from how the dice scatter */
  double angle;            /* rad, of the rows, from +x towards +y (down) */
  double sure;             /* 0 to 1: of the dice that were looked at, how many are where the lattice says */
  double rms;              /* px: of the dice about the lattice */
  int n;                   /* dice that were looked at */
  gboolean street;         /* the corner is in streets; else nothing showed where a die begins */
} NotchLattice;

/* Refines pitch and angle of `lattice`, whose rough values are within `error_px` a pitch, by registering dice near and
 * far against one in the middle, then finds the streets and sets (x, y). `search` is how far a die may be off its place,
 * px. The image is width x height px. FALSE only when reading fails. */
gboolean notch_lattice_refine (NotchStore *store, gint64 width, gint64 height, const NotchOutline *outline,
                               double error_px, double search, NotchLattice *lattice, GError **error);
