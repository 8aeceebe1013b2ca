/* dataset-maps.c - see dataset-maps.h */
#include "inspect/classify/dataset-maps.h"

#include "inspect/csv.h"
#include "inspect/image/source.h"
#include "inspect/text.h"

#include <math.h>
#include <string.h>

enum { MOST_SIDE = NOTCH_BINMAP_MOST_SIDE, HEAD = 4096 };

G_STATIC_ASSERT (sizeof (NotchRaster) == 2 * NOTCH_RASTER_CELLS * sizeof (float));

void
notch_dataset_add_map (NotchDataset *dataset, const NotchBinMap *map, char *name, const char *class_name,
                       NotchSplit mark)
{
  NotchRaster raster;
  notch_binmap_rasterize (map, &raster);
  NotchExample example = { .name = name, .wafer = (int) dataset->wafer_name->len, .mark = mark };
  g_ptr_array_add (dataset->wafer_name, g_strdup (name)); /* each is a wafer of its own */
  example.class_index = class_name ? notch_dataset_class (dataset, class_name) : -1;
  for (int f = 0; f < NOTCH_N_FEATURES; f++)
    example.value[f] = NAN;
  example.raster = g_memdup2 (&raster, sizeof raster);
  dataset->patch_side = NOTCH_RASTER_SIDE;
  g_array_append_val (dataset->example, example);
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

static int
map_column (const NotchCsv *csv)
{
  int c = 0;
  while (c < csv->n_columns && strcmp (csv->name[c], "map") != 0 && !g_str_has_prefix (csv->name[c], "map_"))
    c++;
  return c < csv->n_columns ? c : -1;
}

gboolean
notch_is_map_table (const char *path)
{
  char head[HEAD + 1] = "";
  if (!g_file_test (path, G_FILE_TEST_IS_REGULAR))
    return FALSE;
  g_autoptr (GFile) file = g_file_new_for_path (path);
  g_autoptr (GFileInputStream) stream = g_file_read (file, NULL, NULL);
  if (!stream || g_input_stream_read (G_INPUT_STREAM (stream), head, HEAD, NULL, NULL) <= 0)
    return FALSE;
  head[strcspn (head, "\r\n")] = 0;
  g_auto (GStrv) names = g_strsplit (head, ",", -1);
  gboolean class_name = FALSE, map = FALSE;
  for (int i = 0; names[i]; i++) {
    class_name = class_name || strcmp (names[i], "class") == 0;
    map = map || strcmp (names[i], "map") == 0 || g_str_has_prefix (names[i], "map_");
  }
  return class_name && map;
}

static gboolean
refuse_row (const NotchCsv *csv, guint row, GError **error, const char *what)
{
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: line %" G_GINT64_FORMAT ": %s", csv->path,
               g_array_index (csv->line, gint64, row), what);
  return FALSE;
}

/* How many columns and rows of dice a row's map has. */
static gboolean
size_of_map (const NotchCsv *csv, guint row, gsize n, int *width, int *height, GError **error)
{
  const int columns[2] = { notch_csv_column (csv, "width"), notch_csv_column (csv, "height") };
  double side[2] = { NAN, NAN };
  for (int k = 0; k < 2; k++)
    if (!notch_csv_number (csv, row, columns[k], &side[k], error))
      return FALSE;
  g_auto (GStrv) words = g_strsplit (csv->name[map_column (csv)], "_", 3); /* map_26x26_rowmajor */
  g_auto (GStrv) sides = g_strsplit (words[1] ? words[1] : "", "x", 2);
  for (int k = 0; k < 2; k++)
    if (isnan (side[k]))
      side[k] = sides[0] && sides[1] ? g_ascii_strtod (sides[k], NULL) : floor (sqrt ((double) n) + 0.5);
  if (!(side[0] >= 1 && side[0] <= MOST_SIDE && side[1] >= 1 && side[1] <= MOST_SIDE)
      || side[0] * side[1] != (double) n) {
    g_autofree char *what =
        g_strdup_printf ("its map has %" G_GSIZE_FORMAT " dice, which are no whole rows; give columns "
                         "width and height, 1 to %d",
                         n, MOST_SIDE);
    return refuse_row (csv, row, error, what);
  }
  *width = (int) side[0];
  *height = (int) side[1];
  return TRUE;
}

static gboolean
read_row (NotchDataset *dataset, const NotchCsv *csv, guint row, GError **error)
{
  const char *digits = notch_csv_text (csv, row, map_column (csv));
  const char *split = notch_csv_text (csv, row, notch_csv_column (csv, "split"));
  const char *index = notch_csv_text (csv, row, notch_csv_column (csv, "index"));
  int width = 0, height = 0;
  if (!size_of_map (csv, row, strlen (digits), &width, &height, error))
    return FALSE;
  if (digits[strspn (digits, "012")])
    return refuse_row (csv, row, error, "its map has more than the digits 0 (no die), 1 (pass) and 2 (fail)");
  if (*split && strcmp (split, "train") != 0 && strcmp (split, "test") != 0)
    return refuse_row (csv, row, error, "its split is neither train nor test nor empty");
  g_autoptr (NotchBinMap) map = notch_binmap_new (width, height);
  if (!map)
    return refuse_row (csv, row, error, "no memory for its map");
  for (gsize i = 0; digits[i]; i++)
    map->bin[i] = (guint8) (digits[i] - '0');
  char *name = *index
                   ? g_strdup_printf ("%s: map %s", csv->path, index)
                   : g_strdup_printf ("%s: line %" G_GINT64_FORMAT, csv->path, g_array_index (csv->line, gint64, row));
  notch_dataset_add_map (dataset, map, name, notch_csv_text (csv, row, notch_csv_column (csv, "class")),
                         !*split                        ? NOTCH_PART_NONE
                         : strcmp (split, "train") == 0 ? NOTCH_PART_TRAIN
                                                        : NOTCH_PART_HELD_OUT);
  return TRUE;
}

gboolean
notch_read_map_table (NotchDataset *dataset, const char *path, GError **error)
{
  g_autoptr (NotchCsv) csv = notch_csv_load (path, error);
  if (!csv)
    return FALSE;
  if (map_column (csv) < 0 || notch_csv_column (csv, "class") < 0) { /* quotes hid what the first line seemed to say */
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: line 1: a table of wafer maps has columns class and map",
                 path);
    return FALSE;
  }
  for (guint row = 0; row < csv->row->len; row++)
    if (!read_row (dataset, csv, row, error))
      return FALSE;
  return TRUE;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static NotchBinMap *
read_text (const char *path, GError **error)
{
  g_autofree char *text = notch_text_load (path, "a wafer map", error);
  if (!text)
    return NULL;
  g_autoptr (GString) digits = g_string_new (NULL);
  gsize width = 0, height = 0;
  g_auto (GStrv) lines = g_strsplit_set (text, "\r\n", -1);
  for (int i = 0; lines[i]; i++) {
    gsize before = digits->len;
    for (const char *c = lines[i]; *c; c++)
      if (*c >= '0' && *c <= '2')
        g_string_append_c (digits, *c);
      else if (!strchr (" \t,;", *c))
        return g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                            "%s: has more than the digits 0 (no die), 1 (pass) and 2 (fail)", path),
               NULL;
    gsize n = digits->len - before;
    if (n == 0)
      continue;
    if (n > MOST_SIDE || height >= MOST_SIDE || (width > 0 && n != width))
      return g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                          "%s: its rows are not of one length, or are more than %d", path, MOST_SIDE),
             NULL;
    width = n;
    height++;
  }
  if (height == 0)
    return g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: holds no map; give a line of digits a row", path),
           NULL;
  NotchBinMap *map = notch_binmap_new ((int) width, (int) height);
  for (gsize i = 0; map && i < digits->len; i++)
    map->bin[i] = (guint8) (digits->str[i] - '0');
  if (!map)
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: no memory for it", path);
  return map;
}

static NotchBinMap *
read_image (const char *path, GError **error)
{
  const NotchSourceOptions options = { 1, NOTCH_CHANNEL_LUMINANCE, NOTCH_EXAMPLE_BUDGET };
  g_autoptr (NotchSource) source = notch_source_open (path, &options, error);
  if (!source)
    return NULL;
  if (source->width > MOST_SIDE || source->height > MOST_SIDE || source->sample != NOTCH_SAMPLE_U8)
    return g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                        "%s: is no map: one has 8 bits and at most %d dice a side", path, MOST_SIDE),
           NULL;
  g_autoptr (NotchBinMap) map = notch_binmap_new ((int) source->width, (int) source->height);
  if (!map)
    return g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: no memory for it", path), NULL;
  if (!notch_source_read (source, 0, source->height, map->bin, 1, error))
    return NULL;
  for (gsize i = 0; i < (gsize) map->width * (gsize) map->height; i++)
    if (map->bin[i] > NOTCH_BIN_FAIL)
      return g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                          "%s: is no map: it has a grey level of %d besides 0 (no die), 1 (pass) and 2 (fail)", path,
                          map->bin[i]),
             NULL;
  return g_steal_pointer (&map);
}

NotchBinMap *
notch_read_map (const char *path, GError **error)
{
  g_autofree char *lower = g_ascii_strdown (path, -1);
  return g_str_has_suffix (lower, ".png") ? read_image (path, error) : read_text (path, error);
}

static gboolean
has_name_of_map (const char *path)
{
  g_autofree char *lower = g_ascii_strdown (path, -1);
  return g_str_has_suffix (lower, ".png") || g_str_has_suffix (lower, ".csv") || g_str_has_suffix (lower, ".txt");
}

/* Whether the first file that may be a map is one. */
gboolean
notch_is_map_folder (const char *path)
{
  g_autoptr (GPtrArray) classes = notch_list_folder (path);
  for (guint c = 0; c < classes->len; c++) {
    g_autoptr (GPtrArray) files = notch_list_folder (classes->pdata[c]);
    for (guint i = 0; i < files->len; i++)
      if (has_name_of_map (files->pdata[i])) {
        g_autoptr (NotchBinMap) map = notch_read_map (files->pdata[i], NULL);
        return map != NULL;
      }
  }
  return FALSE;
}

gboolean
notch_read_map_folder (NotchDataset *dataset, const char *path, GError **error)
{
  g_autoptr (GPtrArray) classes = notch_list_folder (path);
  for (guint c = 0; c < classes->len; c++) {
    g_autoptr (GPtrArray) files = notch_list_folder (classes->pdata[c]);
    g_autofree char *name = g_path_get_basename (classes->pdata[c]);
    for (guint i = 0; i < files->len; i++) {
      if (!has_name_of_map (files->pdata[i]))
        continue;
      g_autoptr (NotchBinMap) map = notch_read_map (files->pdata[i], error);
      if (!map)
        return FALSE;
      notch_dataset_add_map (dataset, map, g_strdup (files->pdata[i]), name, NOTCH_PART_NONE);
    }
  }
  return TRUE;
}
