/* dataset.h - defects of known class: what classifiers learn from and are measured on */
#pragma once

#include "inspect/csv.h"
#include "inspect/detect/result.h"
#include "inspect/sign/binmap.h"

/* What an example is for. */
typedef enum { NOTCH_PART_NONE, NOTCH_PART_TRAIN, NOTCH_PART_HELD_OUT } NotchSplit;

/* What is of none of the classes, and shows a model what that looks like. As a class's name it is NOTCH_ODD. */
enum { NOTCH_CLASS_ODD = -2 };
#define NOTCH_ODD "odd"

/* px: side of the middle of a patch that is kept, which is as much as networks look at. */
enum { NOTCH_MOST_PATCH_SIDE = 64 };

/* Bytes that a reader may need to decode an image of examples, whatever it says of itself. */
#define NOTCH_EXAMPLE_BUDGET (G_GUINT64_CONSTANT (64) << 20)

/* A defect, or a wafer map, as a classifier sees it. */
typedef struct {
  char *name;      /* for messages: the folder or file, and the defect's number */
  int class_index; /* into NotchDataset.class_name; -1: not known; NOTCH_CLASS_ODD */
  int wafer;       /* into NotchDataset.wafer_name: the image that it is from */
  double
      value[NOTCH_N_FEATURES]; /* as defects.csv has them, so that classes do not depend on what it rounds; NAN: none */
  union {
    float *patch;        /* 2 x patch_side^2, test and reference as NotchDefect.patch has them, or NULL */
    NotchRaster *raster; /* of a wafer map, whose two planes are as large as those of a patch of NOTCH_RASTER_SIDE */
  };
  NotchSplit mark; /* what the data says that it is for */
} NotchExample;

typedef struct {
  GPtrArray *class_name; /* char *, in the order of the alphabet */
  GPtrArray *wafer_name; /* char *, in the order that they were read in */
  GArray *example;       /* NotchExample, in the order that they were read in */
  int patch_side;        /* px; of all patches, the largest's, at most NOTCH_MOST_PATCH_SIDE; 0: no example has one */
  guint n_of_side[NOTCH_MOST_PATCH_SIDE + 1]; /* patches of that side, before they were all brought to one */
  gboolean maps;                              /* the examples are wafer maps */
  GPtrArray *note;                            /* char *: what the user should know of the data, a line each */
} NotchDataset;

/* Reads what the paths hold, all into one dataset. A path is one of
 *
 *   a folder of `notch inspect` (OUT/STEM), or one that holds such folders (OUT). Which class a defect is says review.csv in
 *     it (defect_id or id, and class), or else the truth: truth.csv in it, or IMAGE-truth.csv beside the image, as
 *     `notch simulate` names it, wherever that lies now as seen from the folder; a defect has the class of the truth that it
 *     is matched with, as `notch score` matches
 *   FOLDER=TRUTH.csv, the same with the truth named
 *   a defects.csv whose column `class` was reviewed
 *   wafer maps: a table of them, or a folder with a folder of them for each class (dataset-maps.h); not with others
 *   a folder with a folder of images for each class, each image the test alone, or in two pages test and reference; the
 *     images of a wafer in a folder of its name in the class's, CLASS/WAFER, else each is a wafer, and a note says so
 *
 * Patches are those of patches.tif, which `notch inspect --format patches` writes: two pages, test and reference, of
 * side x (n side) px, a patch a row of defects.csv, floats; what is no number is not known, and a patch of nothing else is
 * none. Of large ones the middle is kept, small ones are continued by their edges, and a note says how many. The order of
 * the paths and of what is in them decides the order of the examples, nothing else does. */
NotchDataset *notch_dataset_load (char **paths, GError **error);
NotchDataset *notch_dataset_new (void);
void notch_dataset_free (NotchDataset *dataset);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchDataset, notch_dataset_free)

/* Adds the defects of a folder of `notch inspect` (OUT/STEM), without classes, and their patches where it has them. The
 * table that they are from, owned by the caller. */
NotchCsv *notch_dataset_add_folder (NotchDataset *dataset, const char *folder, GError **error);

/* Paths of what a folder holds, in the order of their names; empty where it cannot be read. */
GPtrArray *notch_list_folder (const char *folder);

/* The index of a name in a list of char *, added at the end where there is none. */
int notch_dataset_name (GPtrArray *list, const char *name);
/* What a class's name is in NotchExample.class_index: nothing and "unknown" leave it open, NOTCH_ODD is none. */
int notch_dataset_class (NotchDataset *dataset, const char *name);
/* Brings the class names into the order of the alphabet; the examples' indices follow. */
void notch_dataset_sort_classes (NotchDataset *dataset);

static inline const NotchExample *
notch_example (const NotchDataset *dataset, guint i)
{
  return &g_array_index (dataset->example, NotchExample, i);
}

/* Leaves out the examples that the data itself marks for the other purpose: what is marked as a test from what a model learns
 * from (part NOTCH_PART_TRAIN), what is marked for training from a test (NOTCH_PART_HELD_OUT). A note says how many. */
void notch_dataset_keep (NotchDataset *dataset, NotchSplit part);

/* Deals whole wafers to training and to what is held out, about `share` of the examples (0 to 1), in an order that the
 * wafers' names and the seed give; where each wafer is far more than that, one of the smallest. One NotchSplit an example;
 * examples whose class is not known are in neither. With one wafer nothing can be held out and a note says so. Freed with
 * g_free. */
guint8 *notch_dataset_split (NotchDataset *dataset, double share, guint64 seed);
/* Likewise k parts for cross-validation: the part of each example, 0 to k - 1; -1: no class. */
int *notch_dataset_folds (const NotchDataset *dataset, int k, guint64 seed);

/* The class_index of each example. Freed with g_free. */
int *notch_dataset_class_index (const NotchDataset *dataset);
/* Examples of each class, for those of one part (or all, with parts NULL), and last those that are odd; class_name->len + 1
 * numbers, freed with g_free. */
gint64 *notch_dataset_count (const NotchDataset *dataset, const guint8 *parts, int part);
/* Adds notes about classes that are too small or have nothing in what is learned from, and examples that are the same: twice in
 * one part, in both parts, or with different classes. Those in no part do not count. */
void notch_dataset_check (NotchDataset *dataset, const guint8 *parts);
