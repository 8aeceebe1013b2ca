/* boost.h - training of forests, by XGBoost's library (Chen and Guestrin 2016) */
#pragma once

#include "inspect/classify/classifier.h"

/* What a forest learns from; all borrowed. */
typedef struct {
  const GPtrArray *feature, *class_name; /* char * */
  const float *row;                      /* n x features; NAN: missing */
  const int *class_index;                /* n; -1: left out; NOTCH_CLASS_ODD: of none of the classes */
  const guint8 *part;                    /* n: NotchSplit */
  guint n;
  int depth;      /* of a tree, levels; 0: 6 */
  int trees;      /* a class and round, each on other examples, their mean is what counts; 0: 1 */
  double rate;    /* of learning; 0: 0.1 */
  double rows;    /* share of the examples that a tree is grown on; 0: all */
  double columns; /* of the columns that a split may use; 0: all */
} NotchBoostData;

/* Trees with lambda 1, over histograms, until the loss of what is held out has not fallen for 30 rounds (at most
 * how->rounds, 300; where nothing is held out 100). Examples weigh as 1 / sqrt (n of their class). What is odd is one
 * class more, which the forest tells nobody, but as evidence (forest.h). The same data and seed give the same model,
 * whatever the number of threads. The error says so where notch was built without the library. */
NotchModel *notch_boost_fit (const NotchBoostData *data, const NotchTrainHow *how, GError **error);

/* The row "forest" of the table: over the columns of defects whose `learn` is set. */
NotchModel *notch_boost_train (const NotchDataset *dataset, const guint8 *part, const NotchTrainHow *how,
                               GError **error);
/* "XGBoost 1.7.4", or NULL where it is not built in. */
char *notch_boost_library (void);
