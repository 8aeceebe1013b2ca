/* layout.h - what one die looks like, before any optics
 *
 * A generated die is a sum of rectangles: each adds its tone to what lies under it, so that blur, shift and focus act
 * on every rectangle alone and are exact. Positions are px in the die's cell, whose first pixel reaches from 0 to 1. */
#pragma once

#include "inspect/notch.h"

typedef struct {
  double x0, y0, x1, y1; /* px */
  double tone;           /* grey levels of an 8-bit image that it adds */
} NotchRect;

/* A conductor, or the space between two: what an open cuts and a bridge fills. */
typedef struct {
  NotchRect rect;
  gboolean along_x; /* the direction of the conductors */
} NotchWire;

typedef struct {
  gint64 width, height; /* of a die's cell */
  double street;        /* px from the cell's border to the chip */
  double base;          /* grey level of the street, which everything adds to */
  GArray *rect;         /* NotchRect */
  GArray *wire, *gap;   /* NotchWire; the tone of a gap is that of the conductors beside it */
  float *picture;       /* width x height grey levels instead of rectangles, or NULL; repeats seamlessly or not */
} NotchLayout;

/* `layout` is "mixed", "array", "logic", "blank" or a file that is one die, an image or GDSII, which then sets width
 * and height. */
NotchLayout *notch_layout_new (const NotchSimulation *simulation, GError **error);
void notch_layout_free (NotchLayout *layout);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchLayout, notch_layout_free)
