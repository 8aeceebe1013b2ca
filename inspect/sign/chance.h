/* chance.h - whether failed dice lie as chance would have it */
#pragma once

#include "inspect/sign/binmap.h"

/* The chance that as many failed dice, anywhere on the wafer with equal chance, lie together as much as these do in any of
 * the ways of notch_signature_stand_out: a test by permutation. Failed dice are dealt anew to all dice 199 times, from a
 * fixed seed; each number has its rank among all 200 maps, the best rank of a map counts, and that has its rank again
 * (Westfall and Young 1993), so that a wafer whose dice fail by chance gets p or less with chance p, 0.005 to 1. Up to
 * `jobs` threads; the result does not depend on them. 1 where none or all failed. */
double notch_binmap_chance (const NotchBinMap *map, int jobs);
