/* dataset-maps.h - wafer maps as examples */
#pragma once

#include "inspect/classify/dataset.h"
#include "inspect/sign/binmap.h"

/* Adds a map to the dataset; as a raster of what is present and what failed. Takes name. class_name: NULL or
 * "" for one that is not known. */
void notch_dataset_add_map (NotchDataset *dataset, const NotchBinMap *map, char *name, const char *class_name,
                            NotchSplit mark);

/* A table of maps, one a row: columns class and map (or map_WxH_…), digits row by row from the top, 0 no die, 1 pass, 2
 * fail; index for its name, split (train, test or nothing), width and height where maps are not square and the column's
 * name does not tell. */
gboolean notch_is_map_table (const char *path);
gboolean notch_read_map_table (NotchDataset *dataset, const char *path, GError **error);

/* A folder with a folder for each class, in which a map is a file: .csv or .txt with a line of digits for each row of
 * dice, blanks or commas between them or not; or .png whose grey levels are 0, 1 and 2. The first one found tells whether
 * images are maps. */
gboolean notch_is_map_folder (const char *path);
gboolean notch_read_map_folder (NotchDataset *dataset, const char *path, GError **error);

/* Reads one such file. */
NotchBinMap *notch_read_map (const char *path, GError **error);
