/* mask.h - an image whose pixels above 0 mark what is inside, and which pixels of a row lie there
 *
 * Only where rows change from out to in and back is kept, so a mask as large as the image takes little memory. */
#pragma once

#include "inspect/wafer/coords.h"

typedef struct NotchMask NotchMask;

/* Reads an image. Errors name the file: it cannot be read, marks nothing, or is too ragged for `budget` bytes. */
NotchMask *notch_mask_load (const char *path, guint64 budget, GError **error);
void notch_mask_free (NotchMask *mask);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchMask, notch_mask_free)

gint64 notch_mask_width (const NotchMask *mask);
gint64 notch_mask_height (const NotchMask *mask);
/* Lays it upright over a box in µm, y up, whose places in px `to_px` gives; needed before rows are asked for. */
void notch_mask_place (NotchMask *mask, const NotchAffine *to_px, double x_um, double y_um, double width_um,
                       double height_um);
/* For the n places (x, y), (x + 1, y), …: 1 inside, else 0. */
void notch_mask_row (const NotchMask *mask, double x, double y, int n, guint8 *inside);
