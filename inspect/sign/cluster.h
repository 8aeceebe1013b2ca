/* cluster.h - defects that lie closer together than chance would have it */
#pragma once

#include "inspect/near.h"

/* Where defects can be: a rectangle from (0, 0), and what of it was inspected. */
typedef struct {
  double width, height; /* px */
  gboolean (*inspected) (gconstpointer data, double x, double y);
  gconstpointer data;
} NotchField;

/* Groups points by DBSCAN (Ester, Kriegel, Sander and Xu 1996: four points within reach make a core) and keeps the groups
 * that are larger than those of points that lie anywhere in the field with equal chance: as many points are thrown 99 times,
 * from a fixed seed, and a group counts when fewer than one in 20 of the throws has as large a one.
 *
 * reach: px; 0: three of them, in which a point has a tenth, half and one and a half others by chance, one as good as the
 * other for what a wafer shows, and so a third of the chance each. A wider reach has to bring half as many points again into
 * a cluster as a narrow one saw.
 *
 * cluster: n numbers, from 1 in the order of the points, 0 for none. p: for each cluster the part of all throws, the observed
 * one among them, with as large a group (double; owned by the caller). With more than NOTCH_CLUSTER_MOST points, or hardly
 * any field, there are none. */
#define NOTCH_CLUSTER_MOST 20000
GArray *notch_cluster_find (const NotchPoint *point, guint n, const NotchField *field, double reach, int *cluster);
