/* signature.c - wafer maps: how they are simulated, read, measured, told from chance and classified */
#include "inspect/classify/signature.h"
#include "inspect/classify/boost.h"
#include "inspect/sign/chance.h"
#include "inspect/sign/signature.h"
#include "tests/few.h"
#include "tests/maps.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

static NotchBinMap *
map_of (const NotchSimulation *s, int index)
{
  const char *signature = NULL;
  NotchBinMap *map = notch_simulate_map (s, index, &signature);
  g_assert_nonnull (map);
  g_assert_nonnull (signature);
  return map;
}

/* Part of the dice between two distances from the centre that failed, over n maps. */
static double
density (const NotchSimulation *s, int n, double from, double to)
{
  gint64 dice = 0, fails = 0;
  for (int i = 0; i < n; i++) {
    g_autoptr (NotchBinMap) map = map_of (s, i);
    for (int y = 0; y < map->height; y++)
      for (int x = 0; x < map->width; x++) {
        double r = hypot ((x + 0.5) * 2 / map->width - 1, (y + 0.5) * 2 / map->height - 1);
        int bin = map->bin[y * map->width + x];
        dice += bin != NOTCH_BIN_NONE && r >= from && r < to;
        fails += bin == NOTCH_BIN_FAIL && r >= from && r < to;
      }
  }
  return (double) fails / (double) dice;
}

static void
test_simulate (void)
{
  NotchSimulation s = maps_of ("none", 3);
  s.map_edge_max = 0;
  s.map_density_min = s.map_density_max = 0.1;
  g_assert_cmpfloat_with_epsilon (density (&s, 20, 0, 2), 0.1, 0.01);
  s.map_edge_min = s.map_edge_max = 3; /* (1 + 3 r^8) times as many: at r from 0.95 on about three and a half times */
  g_assert_cmpfloat_with_epsilon (density (&s, 20, 0, 0.5), 0.1, 0.01);
  g_assert_cmpfloat_with_epsilon (density (&s, 20, 0.95, 2), 0.36, 0.05);
  s = maps_of ("Near-full", 3);
  g_assert_cmpfloat (density (&s, 10, 0, 2), >, 0.8);
  s = maps_of ("Center", 3);
  g_assert_cmpfloat (density (&s, 10, 0, 0.1), >, 0.7);
  g_assert_cmpfloat (density (&s, 10, 0.7, 2), <, 0.25);
  s = maps_of ("Edge-Ring", 3);
  g_assert_cmpfloat (density (&s, 10, 0.95, 2), >, 0.7);
  g_assert_cmpfloat (density (&s, 10, 0, 0.6), <, 0.15);
  s = maps_of ("Donut", 3);
  g_assert_cmpfloat (density (&s, 10, 0.35, 0.5), >, 2 * density (&s, 10, 0, 0.15));
}

static void
test_simulate_list (void)
{
  NotchSimulation s = maps_of ("all,mixed,Scratch", 1);
  const char *signature = NULL;
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  for (int i = 0; i < 23; i++) {
    g_autoptr (NotchBinMap) map = notch_simulate_map (&s, i, &signature);
    g_assert_cmpint (map->width, >=, 20);
    g_assert_cmpint (map->height, <=, 60);
    g_hash_table_add (seen, (gpointer) signature);
  }
  g_assert_cmpint (g_hash_table_size (seen), ==, 22); /* nine, thirteen mixtures, and Scratch again */
  g_assert_true (g_hash_table_contains (seen, "Edge-Ring+Scratch"));
  g_autoptr (NotchBinMap) one = map_of (&s, 5), same = map_of (&s, 5);
  s.seed = 2;
  g_autoptr (NotchBinMap) other = map_of (&s, 5);
  gsize n = (gsize) one->width * (gsize) one->height;
  g_assert_cmpmem (one->bin, n, same->bin, (gsize) same->width * (gsize) same->height);
  g_assert_false (other->width == one->width && other->height == one->height && memcmp (one->bin, other->bin, n) == 0);
}

/* ---- raster ------------------------------------------------------------------------------------------------------ */

static void
test_raster (void)
{
  g_autoptr (NotchBinMap) same = notch_binmap_new (NOTCH_RASTER_SIDE, NOTCH_RASTER_SIDE);
  g_autoptr (NotchBinMap) wide = notch_binmap_new (60, 41);
  NotchRaster raster;
  for (int i = 0; i < NOTCH_RASTER_CELLS; i++)
    same->bin[i] = (guint8) (i % 3 == 0 && i % 26 > 0 && i % 26 < 25 ? 2 : 1);
  notch_binmap_rasterize (same, &raster);
  for (int i = 0; i < NOTCH_RASTER_CELLS; i++) {
    g_assert_true (raster.present[i] == 1);
    g_assert_true (raster.fail[i] == (same->bin[i] == 2));
  }
  /* of another size: areas are kept, and what is around the dice is left out */
  double dice = 0, fails = 0, area = 0, failed = 0;
  for (int y = 1; y < 40; y++)
    for (int x = 3; x < 57; x++) {
      wide->bin[y * 60 + x] = (guint8) (hypot (x - 30, y - 20) < 15 ? 2 : 1);
      dice++;
      fails += wide->bin[y * 60 + x] == 2;
    }
  notch_binmap_rasterize (wide, &raster);
  for (int i = 0; i < NOTCH_RASTER_CELLS; i++) {
    area += (double) raster.present[i];
    failed += (double) (raster.present[i] * raster.fail[i]);
  }
  g_assert_cmpfloat_with_epsilon (area, NOTCH_RASTER_CELLS, 1e-3);
  g_assert_cmpfloat_with_epsilon (failed / area, fails / dice, 1e-6);
  memset (wide->bin, NOTCH_BIN_NONE, 60 * 41);
  notch_binmap_rasterize (wide, &raster);
  for (int i = 0; i < NOTCH_RASTER_CELLS; i++)
    g_assert_true (raster.present[i] == 0 && raster.fail[i] == 0);
}

/* ---- features ---------------------------------------------------------------------------------------------------- */

/* One of the eight ways to lay a square on itself. */
static void
turn (const NotchRaster *from, int way, NotchRaster *to)
{
  const int side = NOTCH_RASTER_SIDE;
  for (int y = 0; y < side; y++)
    for (int x = 0; x < side; x++) {
      int u = way & 1 ? side - 1 - x : x, v = way & 2 ? side - 1 - y : y;
      int at = way & 4 ? u * side + v : v * side + u;
      to->present[y * side + x] = from->present[at];
      to->fail[y * side + x] = from->fail[at];
    }
}

static void
test_invariance (void)
{
  NotchSimulation s = maps_of ("all", 11);
  const int n = notch_signature_count ();
  g_assert_cmpint (n, <=, NOTCH_SIGNATURE_MOST);
  for (int i = 0; i < 9; i++) {
    g_autoptr (NotchBinMap) map = map_of (&s, i);
    NotchRaster raster, turned;
    double value[NOTCH_SIGNATURE_MOST], again[NOTCH_SIGNATURE_MOST];
    notch_binmap_rasterize (map, &raster);
    notch_signature_measure (&raster, value);
    for (int way = 1; way < 8; way++) {
      turn (&raster, way, &turned);
      notch_signature_measure (&turned, again);
      for (int f = 0; f < n; f++) {
        g_assert_true (isfinite (value[f]));
        if (!g_str_has_prefix (notch_signature_name (f), "line_") && fabs (value[f] - again[f]) > 1e-6)
          g_error ("map %d, turned by way %d: %s is %g and was %g", i, way, notch_signature_name (f), again[f],
                   value[f]);
        /* of lines that are as good as each other another one may be found */
      }
    }
  }
}

/* A map without dice, and one of which all or none failed, are numbers, too. */
static void
test_empty (void)
{
  NotchRaster raster = { 0 };
  double value[NOTCH_SIGNATURE_MOST];
  for (int k = 0; k < 3; k++) {
    for (int i = 0; i < NOTCH_RASTER_CELLS && k > 0; i++)
      raster.present[i] = 1, raster.fail[i] = k == 2;
    notch_signature_measure (&raster, value);
    for (int f = 0; f < notch_signature_count (); f++)
      g_assert_true (isfinite (value[f]));
  }
}

/* ---- chance ------------------------------------------------------------------------------------------------------ */

static void
test_chance (void)
{
  NotchSimulation random = maps_of ("none,Random", 5), marked = maps_of ("Center,Edge-Ring", 5);
  random.map_edge_max = 0;
  random.map_side_max = 30;
  int n = 0;
  for (int i = 0; i < 12; i++) {
    g_autoptr (NotchBinMap) map = map_of (&random, i);
    double p = notch_binmap_chance (map, 2);
    g_assert_cmpfloat (p, >, 0);
    g_assert_cmpfloat (p, <=, 1);
    n += p <= 0.05;
  }
  g_assert_cmpint (n, <=, 3); /* 0.6 is expected; 4 or more have a chance of 0.002 */
  for (int i = 0; i < 2; i++) {
    g_autoptr (NotchBinMap) map = map_of (&marked, i);
    double p = notch_binmap_chance (map, 1);
    g_assert_cmpfloat (p, <=, 0.01);
    g_assert_true (p == notch_binmap_chance (map, 3));
  }
  g_autoptr (NotchBinMap) none = notch_binmap_new (9, 9);
  memset (none->bin, NOTCH_BIN_PASS, 81);
  g_assert_true (notch_binmap_chance (none, 1) == 1);
}

/* ---- dice -------------------------------------------------------------------------------------------------------- */

/* A wafer of 10 x 10 dice whose border is cut: all that is cut has defects, and chance has nothing to explain. */
static void
test_dice (void)
{
  enum { SIDE = 10 };
  static const struct {
    NotchDie die;
    int bin;
  } inner[] = {
    { { .kind = NOTCH_DIE_WHOLE, .n_defects = 2 }, NOTCH_BIN_FAIL },
    { { .kind = NOTCH_DIE_WHOLE, .failed = TRUE }, NOTCH_BIN_FAIL },
    { { .kind = NOTCH_DIE_WHOLE, .blank = TRUE }, NOTCH_BIN_PASS },
    { { .kind = NOTCH_DIE_WHOLE, .blank = TRUE, .failed = TRUE }, NOTCH_BIN_FAIL },
    { { .kind = NOTCH_DIE_EXCLUDED, .n_defects = 1 }, NOTCH_BIN_NONE },
    { { .kind = NOTCH_DIE_OUTSIDE }, NOTCH_BIN_NONE },
    { { .kind = NOTCH_DIE_WHOLE }, NOTCH_BIN_PASS },
  };
  NotchGrid grid = { .n_cols = SIDE, .n_rows = SIDE, .die = g_array_new (FALSE, TRUE, sizeof (NotchDie)) };
  g_array_set_size (grid.die, SIDE * SIDE);
  NotchDie *die = (NotchDie *) (gpointer) grid.die->data;
  for (int y = 0; y < SIDE; y++)
    for (int x = 0; x < SIDE; x++) {
      gboolean cut = x == 0 || y == 0 || x == SIDE - 1 || y == SIDE - 1;
      die[y * SIDE + x] = (NotchDie){ .kind = cut ? NOTCH_DIE_PARTIAL : NOTCH_DIE_WHOLE, .n_defects = cut };
    }
  for (gsize i = 0; i < G_N_ELEMENTS (inner); i++) /* a knight's move apart */
    die[(1 + i) * SIDE + 1 + i * 3 % 8] = inner[i].die;
  g_autoptr (NotchBinMap) map = notch_binmap_of_grid (&grid);
  g_assert_nonnull (map);
  for (gsize i = 0; i < G_N_ELEMENTS (inner); i++)
    g_assert_cmpint (map->bin[(1 + i) * SIDE + 1 + i * 3 % 8], ==, inner[i].bin);
  g_assert_cmpint (notch_binmap_count (map, NOTCH_BIN_FAIL), ==, 3);
  g_assert_cmpfloat (notch_binmap_chance (map, 1), >, 0.05);
  for (int i = 0; i < SIDE * SIDE; i++) /* less than half of them are too few */
    die[i].kind = i / SIDE > 3 ? NOTCH_DIE_PARTIAL : die[i].kind;
  g_assert_null (notch_binmap_of_grid (&grid));
  g_array_unref (grid.die);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void
refused (const char *folder, const char *file, const char *text, const char *complaint)
{
  g_autofree char *path = g_build_filename (folder, file, NULL);
  g_autoptr (GError) error = NULL;
  char *paths[] = { path, NULL };
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  g_autoptr (NotchDataset) dataset = notch_dataset_load (paths, &error);
  g_assert_null (dataset);
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
  if (!strstr (error->message, complaint) || !strstr (error->message, path))
    g_error ("\"%s\" says neither %s nor %s", error->message, path, complaint);
}

static void
test_read (void)
{
  g_autofree char *folder = g_dir_make_tmp ("notch-signature-XXXXXX", NULL);
  g_autofree char *table = g_build_filename (folder, "maps.csv", NULL);
  g_autoptr (GError) error = NULL;
  char *paths[] = { table, NULL };
  refused (folder, "maps.csv", "index,class,map\n7,none,011\n", "line 2: its map has 3 dice");
  refused (folder, "maps.csv", "index,class,map\n7,none,0113\n", "line 2: its map has more than the digits");
  refused (folder, "maps.csv", "index,split,class,map\n7,tset,none,0112\n", "line 2: its split");
  refused (folder, "maps.csv", "index,class,map,width,height\n7,none,0112,1e9,1\n", "no whole rows");
  g_assert_true (g_file_set_contents (table,
                                      "index,split,class,map_3x2_rowmajor\n1,train,none,011112\n2,test,Loc,222111\n"
                                      "3,,,012012\n",
                                      -1, NULL));
  g_autoptr (NotchDataset) dataset = notch_dataset_load (paths, &error);
  g_assert_no_error (error);
  g_assert_true (dataset->maps);
  g_assert_cmpint (dataset->example->len, ==, 3);
  g_assert_cmpint (dataset->patch_side, ==, NOTCH_RASTER_SIDE);
  g_assert_cmpint (notch_example (dataset, 2)->class_index, ==, -1);
  g_assert_true (g_str_has_suffix (notch_example (dataset, 1)->name, "maps.csv: map 2"));
  notch_dataset_keep (dataset, NOTCH_PART_TRAIN);
  g_assert_cmpint (dataset->example->len, ==, 2);
  g_assert_cmpint (dataset->note->len, ==, 1);
  /* a folder a class */
  static const char *const file[] = { "Loc/a.csv", "Loc/b.txt", "none/c.csv" };
  g_autofree char *maps = g_build_filename (folder, "maps", NULL);
  for (int i = 0; i < 3; i++) {
    g_autofree char *path = g_build_filename (maps, file[i], NULL), *parent = g_path_get_dirname (path);
    g_assert_cmpint (g_mkdir_with_parents (parent, 0777), ==, 0);
    g_assert_true (g_file_set_contents (path, i == 1 ? "011\n122\n" : "0,1,1\n1,2,2\n", -1, NULL));
  }
  char *folders[] = { maps, NULL };
  g_autoptr (NotchDataset) read = notch_dataset_load (folders, &error);
  g_assert_no_error (error);
  g_assert_cmpint (read->example->len, ==, 3);
  g_assert_cmpmem (notch_example (read, 0)->raster, sizeof (NotchRaster), notch_example (read, 1)->raster,
                   sizeof (NotchRaster));
  g_assert_cmpstr (read->class_name->pdata[notch_example (read, 2)->class_index], ==, "none");
  g_autofree char *ragged = g_build_filename (maps, "none", "d.csv", NULL);
  g_assert_true (g_file_set_contents (ragged, "011\n12\n", -1, NULL));
  g_assert_null (notch_read_map (ragged, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
  for (int i = 0; i < 3; i++) {
    g_autofree char *path = g_build_filename (maps, file[i], NULL);
    g_assert_cmpint (g_remove (path), ==, 0);
  }
  g_assert_cmpint (g_remove (ragged), ==, 0);
  g_autofree char *loc = g_build_filename (maps, "Loc", NULL), *none = g_build_filename (maps, "none", NULL);
  const char *const rest[] = { loc, none, maps, table, folder };
  for (gsize i = 0; i < G_N_ELEMENTS (rest); i++)
    g_assert_cmpint (g_remove (rest[i]), ==, 0);
}

/* ---- learning ---------------------------------------------------------------------------------------------------- */

/* What a model has to say of a map whose dice fail by chance is no surer than its own probability, keeps to its thresholds,
 * and is nothing where it knows places only. */
static void
check_by_chance (NotchTrained *trained, const NotchBinMap *map)
{
  static const char *const no_place[] = { "none", "Random", "Near-full" };
  NotchModel *model = trained->model;
  const int none = notch_model_class (model, "none");
  float probability[9];
  NotchRaster raster;
  NotchSignature signature;
  g_autoptr (GError) error = NULL;
  notch_binmap_rasterize (map, &raster);
  const NotchExample example = { .raster = &raster };
  g_assert_true (notch_trained_probabilities (trained, &example, 1, NOTCH_RASTER_SIDE, NULL, probability, &error));
  g_assert_true (notch_signature_read (trained, map, NULL, &signature, &error));
  g_assert_cmpfloat (signature.chance, >, 0.05);
  g_assert_cmpfloat (signature.confidence, ==, (double) probability[none]);
  g_assert_cmpfloat (signature.confidence, <, 1);
  model->threshold[none] = 1;
  g_assert_true (notch_signature_read (trained, map, NULL, &signature, &error));
  g_assert_cmpstr (signature.name, ==, "unknown");
  for (gsize k = 0; k < G_N_ELEMENTS (no_place); k++) {
    char **name = (char **) &model->class_name->pdata[notch_model_class (model, no_place[k])];
    g_free (*name);
    *name = g_strdup_printf ("place %d", (int) k);
  }
  g_assert_true (notch_signature_read (trained, map, NULL, &signature, &error));
  g_assert_cmpstr (signature.name, ==, "none");
  g_assert_true (isnan (signature.confidence));
}

static void
test_learn (void)
{
  g_autofree char *library = notch_boost_library ();
  if (!library) {
    g_test_skip ("built without XGBoost");
    return;
  }
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchDataset) learn = maps_to_learn ("all", 1, 180), test = maps_to_learn ("all", 2, 45);
  g_autofree guint8 *part = g_malloc (learn->example->len);
  memset (part, NOTCH_PART_TRAIN, learn->example->len);
  const NotchTrainHow how = { .seed = 1, .rounds = 15, .compute = &(NotchCompute){ .jobs = 2 } };
  NotchModel *model = notch_classifier_signature.train (learn, part, &how, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (model->purpose, ==, "signature");
  g_autoptr (NotchTrained) trained = notch_trained_new (model, &error);
  g_assert_no_error (error);
  int right = 0;
  for (guint i = 0; i < test->example->len; i++) {
    float probability[9];
    double confidence;
    g_assert_true (notch_trained_probabilities (trained, notch_example (test, i), 1, NOTCH_RASTER_SIDE, NULL,
                                                probability, &error));
    right += notch_trained_decide (trained, probability, NAN, &confidence) == notch_example (test, i)->class_index;
  }
  g_assert_cmpint (right, >=, 40);
  /* of a whole wafer, with the test against chance before it */
  NotchSimulation center = maps_of ("Center", 9), none = maps_of ("none", 9);
  none.map_edge_max = 0;
  g_autoptr (NotchBinMap) one = map_of (&center, 0), other = map_of (&none, 0);
  NotchSignature signature;
  g_assert_true (notch_signature_read (trained, one, NULL, &signature, &error));
  g_assert_cmpstr (signature.name, ==, "Center");
  g_assert_cmpfloat (signature.chance, <=, 0.05);
  g_assert_true (notch_signature_read (trained, other, NULL, &signature, &error));
  g_assert_cmpstr (signature.name, ==, "none");
  /* nobody is asked about chance where the model sees no place */
  NotchSimulation full = maps_of ("Near-full", 9);
  g_autoptr (NotchBinMap) all = map_of (&full, 0);
  g_assert_true (notch_signature_read (trained, all, NULL, &signature, &error));
  g_assert_cmpstr (signature.name, ==, "Near-full");
  g_assert_true (isnan (signature.chance));
  check_by_chance (trained, other);
}

/* ---- the model that comes with notch ----------------------------------------------------------------------------- */

static NotchSignature
ask (const NotchTrained *trained, const NotchBinMap *map)
{
  NotchSignature signature;
  g_autoptr (GError) error = NULL;
  g_assert_true (notch_signature_read (trained, map, NULL, &signature, &error));
  g_assert_no_error (error);
  return signature;
}

static void
test_shipped (void)
{
  enum { N_CLASSES = 9 };
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchTrained) trained = notch_trained_load (NOTCH_MODEL_SHIPPED, "signature", &error);
  g_assert_no_error (error);
  const int n = few (18, 2) * N_CLASSES, n_random = few (60, 10);
  NotchSimulation s = maps_of ("all", 90210), random = maps_of ("none,Random", 90211);
  int right = 0, wrong = 0;
  for (int i = 0; i < n; i++) { /* as many of each class, so accuracy is mean recall */
    const char *name = NULL;
    g_autoptr (NotchBinMap) map = notch_simulate_map (&s, i, &name);
    right += strcmp (ask (trained, map).name, name) == 0;
  }
  g_test_message ("recall %d of %d", right, n);
  g_assert_cmpint (right, >=, 9 * n / 10); /* 97 of 100 are expected */
  random.map_edge_max = 0;
  random.map_side_min = 6;
  random.map_side_max = 30;
  static const char *const by_chance[] = { "none", "Random", "Near-full", NULL };
  for (int i = 0; i < n_random; i++) {
    g_autoptr (NotchBinMap) map = map_of (&random, i);
    wrong += !g_strv_contains (by_chance, ask (trained, map).name);
  }
  g_test_message ("%d of %d random wafers have a signature", wrong, n_random);
  g_assert_cmpint (wrong, <=, n_random / 10); /* at most 5 % are promised */
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/signature/simulate", test_simulate);
  g_test_add_func ("/signature/simulate-list", test_simulate_list);
  g_test_add_func ("/signature/raster", test_raster);
  g_test_add_func ("/signature/invariance", test_invariance);
  g_test_add_func ("/signature/empty", test_empty);
  g_test_add_func ("/signature/chance", test_chance);
  g_test_add_func ("/signature/dice", test_dice);
  g_test_add_func ("/signature/read", test_read);
  g_test_add_func ("/signature/learn", test_learn);
  g_test_add_func ("/signature/shipped", test_shipped);
  return g_test_run ();
}
