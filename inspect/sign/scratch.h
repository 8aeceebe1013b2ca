/* scratch.h - a scratch that was found in pieces becomes one defect */
#pragma once

#include "inspect/detect/features.h"
#include "inspect/detect/join.h"

/* Links blobs that follow each other like the pieces of one line or arc.
 *
 * Two pieces of one sign are neighbours when the way from one to the other is within 15 degrees of the direction of each of
 * them that has one (and so within 30 of each other: pieces of an arc), and the gap between them is less than four times the
 * length of the longer. How likely is a neighbour as good by chance? With a density of pieces around, and the area of the
 * sector that reaches as far, the count in it is Poisson. A chain of m links has the product of their chances; -log of it is
 * a Gamma variable of shape m, whose tail times the number of chains that could have begun anywhere is the number of such
 * chains to expect by chance (the a-contrario reasoning of Desolneux, Moisan and Morel 2000). A candidate that lies within
 * reach of the same filter is the same noise, and adds nothing; another adds a second chance, that of noise as strong. A
 * chain that is likelier loses its weakest link, and both halves are judged again. Links between found blobs that need no
 * others to be sure are taken first, so that they do not carry along what just happens to lie at their end.
 *
 * blob: NotchJoined that were found; linked ones are merged into the first of them, and say how many they were. candidate:
 * NotchJoined below the threshold; a chain of them alone counts when fewer than `false_chains` are to be expected, with one
 * found blob in it when fewer than a hundredth are, with more of them when fewer than 0.3 are, and moves to `blob`; the rest
 * stays where it is. Candidates alone count, too, when the residuals of all their pixels add up to `least_weight` sigmas of
 * their sum, or to as much more as the search over all places that a link can lead to asks for. area: px^2 that were
 * inspected. */
void notch_scratch_link (GArray *blob, GArray *candidate, const NotchFeatureContext *context, double area,
                         double false_chains, double least_weight);
