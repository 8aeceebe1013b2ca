/* reduce.h - a smaller copy of an image, read in one pass over its rows */
#pragma once

#include "inspect/image/store.h"

typedef struct {
  int factor;  /* a pixel is the mean over factor x factor px of the image, fewer at the right and lower edge */
  gint64 x, y; /* px in the image: the first one's */
  gint64 width, height; /* of the copy */
  float *value;         /* row by row */
} NotchReduced;

void notch_reduced_free (NotchReduced *reduced);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchReduced, notch_reduced_free)

/* Reduces a part of an image, w x h px from (x, y), all inside. Pixels that are not finite count as 0. */
NotchReduced *notch_reduce (NotchStore *store, gint64 x, gint64 y, gint64 w, gint64 h, int factor, GError **error);
/* The least factor that brings both sides to at most `most` px. */
int notch_reduce_factor (gint64 width, gint64 height, gint64 most);
/* A reduced image reduced further. */
NotchReduced *notch_reduce_again (const NotchReduced *reduced, int factor, GError **error);
