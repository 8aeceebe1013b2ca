/* novelty.h - how far an example is from all that a classifier has learned
 *
 * Every example is a vector: a network's embedding, or the columns that a forest looks at. Its distance is that of
 * Mahalanobis to the nearest class's mean, with the scatter that the classes have in common (Lee et al., NeurIPS 2018); the
 * scatter is shrunk towards its diagonal as far as its own uncertainty asks (Schaefer and Strimmer 2005), so that a few
 * examples in many dimensions do.
 *
 * A classifier may tell besides how much speaks for any of its classes (classifier.h). Then it is strange to be far, and it is
 * strange to have little of that: with P the share of known examples that are as far or have as little, each taken as normal,
 * the distance as its logarithm, - ln P(distance) - 4 ln P(evidence) (Fisher 1932; with what weight, classes that were left out
 * of training say). */
#pragma once

#include <glib.h>

#define NOTCH_NOVELTY_SHARE 0.995 /* of known examples that are no farther than the limit */

enum { NOTCH_NOVELTY_MOST = 1024 }; /* numbers of a vector, and classes */

typedef struct {
  int length, n_classes;
  double *centre, *scale;  /* length: mean and standard deviation in a class; a number that is missing is the mean */
  double *factor;          /* length x length: lower triangle of the correlation's Cholesky factor */
  double *mean;            /* n_classes x length: of the classes, where the scatter is the unit; NAN: no example */
  double far_mean, far_sd; /* of the known examples' logarithms of distance */
  double evidence_mean, evidence_sd; /* of what speaks for them; NAN: the classifier does not tell */
  double evidence_weight;            /* above: 4 */
  double limit;                      /* that 99.5 % of the examples are within that set it; INFINITY: none did */
} NotchNovelty;

/* Learns from n vectors, NAN where a number is missing; those whose class is below 0 are left out. NULL where fewer than two
 * have a class, or there are more than NOTCH_NOVELTY_MOST numbers or classes. */
NotchNovelty *notch_novelty_new (const float *vector, const int *class_index, gsize n, int length, int n_classes);
void notch_novelty_free (NotchNovelty *novelty);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchNovelty, notch_novelty_free)

/* The vector where the scatter is the unit: distances there are distances of looks. */
void notch_novelty_place (const NotchNovelty *novelty, const float *vector, double *place);
/* From the nearest class; 0 or more. */
double notch_novelty_distance (const NotchNovelty *novelty, const float *vector);
/* How strange that is: the distance itself where evidence_mean is NAN. */
double notch_novelty_strangeness (const NotchNovelty *novelty, const float *vector, double evidence);
/* Sets the limit by n examples of known classes, better those that were not learned from; `evidence` is NULL where the
 * classifier does not tell. */
void notch_novelty_set_limit (NotchNovelty *novelty, const float *vector, const double *evidence, gsize n);

/* For a section of a model file: the same on every machine. From bytes: NULL where they are none that fit `n_classes` and
 * `length`. */
GBytes *notch_novelty_to_bytes (const NotchNovelty *novelty);
NotchNovelty *notch_novelty_from_bytes (GBytes *bytes, int length, int n_classes);
