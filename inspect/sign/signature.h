/* signature.h - a wafer map as numbers that do not change when it is turned by a right angle or mirrored
 *
 * After Wu, Jang and Chen (IEEE Trans. Semicond. Manuf. 28, 2015): densities of zones, projections and the geometry of the
 * largest region; besides, harmonics around the centre, blobs at several scales, lines, and how failed dice adjoin. */
#pragma once

#include "inspect/sign/binmap.h"

enum { NOTCH_SIGNATURE_MOST = 160, NOTCH_STAND_OUTS = 8 };

int notch_signature_count (void);
/* The name of a feature, 0 to notch_signature_count () - 1: "ring_3", "region_area". */
const char *notch_signature_name (int index);
/* Fills notch_signature_count () numbers. Lengths are in units of the wafer's radius. */
void notch_signature_measure (const NotchRaster *raster, double *value);

/* Numbers that are large where failed dice lie together, one for each way to do so: the densest place at three scales, the
 * ring that differs most from the rest, the line that stands out most at two lengths, and neighbours over sides and over
 * corners. Faster than all features. */
void notch_signature_stand_out (const NotchRaster *raster, double value[NOTCH_STAND_OUTS]);
