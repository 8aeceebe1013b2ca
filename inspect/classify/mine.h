/* mine.h - which examples are worth a person's look */
#pragma once

#include <glib.h>

/* How much an answer would teach: 0 to 1. The margin is the largest of c probabilities less the second; `rarity` is that
 * of notch_mine_rarity. */
double notch_mine_worth (const float *probability, int n_classes, double rarity);

/* The share of n distances that are below each of them, which counts itself: so the nearest, or the only one, is worth
 * something, too. 1 / n to 1. */
void notch_mine_rarity (const double *distance, gsize n, double *rarity);

/* Chooses `most` of n examples, one after the other: the one whose worth times its distance from the nearest that was chosen
 * before is largest (k-centre, Gonzalez 1985, weighted; Sener and Savarese, ICLR 2018), so that ten of a kind do not take ten
 * places. `place` has a row of `length` for each. The first is the one of largest worth; of equals the first in the list.
 * Fewer where the rest is worth nothing, or lies where others were chosen. Indices (gsize), in the order they were chosen. */
GArray *notch_mine (const double *worth, const double *place, gsize n, int length, gsize most);
