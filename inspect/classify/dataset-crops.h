/* dataset-crops.h - what examples look like: patches beside a table of defects, and images of single defects */
#pragma once

#include "inspect/classify/dataset.h"

/* patches.tif of a folder, where it has one: the examples from `first` on get theirs. */
gboolean notch_read_patches (NotchDataset *dataset, guint first, const char *folder, GError **error);

/* A folder with a folder of images for each class, at most 1024 px a side. */
gboolean notch_is_crops (const char *path);
gboolean notch_read_crops (NotchDataset *dataset, const char *path, GError **error);

/* Adds a note where patches had several sides. */
void notch_dataset_note_sides (NotchDataset *dataset);
