/* near.h - which of many points are near a place: squares of the plane */
#pragma once

#include <glib.h>

typedef struct {
  double x, y;
} NotchPoint;

typedef struct NotchNear NotchNear;

/* n points, copied; nothing further away than `reach` will be asked for. */
NotchNear *notch_near_new (const NotchPoint *point, guint n, double reach);
void notch_near_free (NotchNear *near);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchNear, notch_near_free)

/* Sets `found` to the indices (guint) of the points at most r <= reach from (x, y), always in the same order. */
void notch_near_find (const NotchNear *near, double x, double y, double r, GArray *found);
