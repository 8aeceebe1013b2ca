/* dataset.c - what examples are read from, how they are dealt, and what is told about them */
#include "inspect/classify/dataset.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "inspect/image/write.h"

typedef struct {
  char *folder;
} Fixture;

static void
set_up (Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
  f->folder = g_dir_make_tmp ("notch-dataset-XXXXXX", NULL);
}

static void
remove_all (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  for (const char *name; dir && (name = g_dir_read_name (dir));) {
    g_autofree char *inner = g_build_filename (path, name, NULL);
    remove_all (inner);
  }
  g_remove (path);
}

static void
tear_down (Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
  remove_all (f->folder);
  g_free (f->folder);
}

/* Writes a file, and the folders that it is in. */
static void
put (const Fixture *f, const char *name, const char *text)
{
  g_autofree char *path = g_build_filename (f->folder, name, NULL), *folder = g_path_get_dirname (path);
  g_assert_cmpint (g_mkdir_with_parents (folder, 0700), ==, 0);
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
}

/* A table of n defects at (10 i, 20); `column` i has the value. */
static void
put_defects (const Fixture *f, const char *name, int n, const char *classes)
{
  g_autoptr (GString) text = g_string_new ("defect_id,class,confidence");
  g_auto (GStrv) class_name = g_strsplit (classes, ",", -1);
  for (int k = 0; k < NOTCH_N_FEATURES; k++)
    g_string_append_printf (text, ",%s", notch_feature_info[k].name);
  for (int i = 0; i < n; i++) {
    g_string_append_printf (text, "\n%d,%s,0.5", i + 1, class_name[i % (int) g_strv_length (class_name)]);
    for (int k = 0; k < NOTCH_N_FEATURES; k++)
      if (k == NOTCH_FEATURE_X || k == NOTCH_FEATURE_Y)
        g_string_append_printf (text, ",%d", k == NOTCH_FEATURE_X ? 10 * i : 20);
      else if (k == NOTCH_FEATURE_AREA)
        g_string_append_printf (text, ",%d", i + 1);
      else
        g_string_append_c (text, ',');
  }
  g_string_append_c (text, '\n');
  put (f, name, text->str);
}

static NotchDataset *
load (const Fixture *f, const char *name, GError **error)
{
  g_autofree char *path = g_build_filename (f->folder, name, NULL);
  char *paths[] = { path, NULL };
  return notch_dataset_load (paths, error);
}

static void
assert_class (const NotchDataset *dataset, guint i, const char *name)
{
  int at = notch_example (dataset, i)->class_index;
  g_assert_cmpstr (at < 0 ? "" : dataset->class_name->pdata[at], ==, name);
}

static void
test_table (Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  put_defects (f, "defects.csv", 5, "pit,area,unknown,");
  g_autoptr (NotchDataset) dataset = load (f, "defects.csv", &error);
  g_assert_no_error (error);
  g_assert_cmpuint (dataset->example->len, ==, 5);
  g_assert_cmpuint (dataset->class_name->len, ==, 2);
  g_assert_cmpstr (dataset->class_name->pdata[0], ==, "area"); /* in the order of the alphabet */
  static const char *const is[] = { "pit", "area", "", "", "pit" };
  for (guint i = 0; i < 5; i++) {
    assert_class (dataset, i, is[i]);
    g_assert_cmpfloat (notch_example (dataset, i)->value[NOTCH_FEATURE_AREA], ==, i + 1);
    g_assert_true (isnan (notch_example (dataset, i)->value[NOTCH_FEATURE_CONTRAST]));
  }
  static const int index[] = { 1, 0, -1, -1, 1 };
  g_autofree int *class_index = notch_dataset_class_index (dataset);
  g_assert_cmpmem (class_index, sizeof index, index, sizeof index);
}

static void
test_folder (Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  put_defects (f, "out/b/defects.csv", 4, "other");
  g_assert_null (load (f, "out", &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
  g_assert_nonnull (strstr (error->message, "review.csv"));
  g_clear_error (&error);
  put (f, "out/b/review.csv", "defect_id,class\n3,open\n1,pit\n2,\n");
  put_defects (f, "out/a/defects.csv", 3, "other");
  put (f, "out/a/truth.csv", "id,type,x,y,w,h\n1,stain,1,20,3,3\n2,open,21,21,3,3\n");
  g_autoptr (NotchDataset) dataset = load (f, "out", &error);
  g_assert_no_error (error);
  static const char *const is[] = { "stain", "", "open", "pit", "", "open", "" };
  g_assert_cmpuint (dataset->example->len, ==, 7);
  g_assert_cmpuint (dataset->wafer_name->len, ==, 2);
  for (guint i = 0; i < 7; i++) {
    assert_class (dataset, i, is[i]);
    g_assert_cmpint (notch_example (dataset, i)->wafer, ==, i < 3 ? 0 : 1);
  }
  g_assert_cmpuint (dataset->note->len, ==, 1); /* the one that no truth is near */
  put (f, "truth.csv", "id,type,x,y,w,h\n1,ring,1,20,3,3\n");
  g_autofree char *pair = g_strdup_printf ("out/a=%s/truth.csv", f->folder);
  g_autoptr (NotchDataset) other = load (f, pair, &error);
  g_assert_no_error (error);
  assert_class (other, 0, "ring");
  put (f, "out/b/review.csv", "defect_id,class\n9,open\n");
  g_assert_null (load (f, "out", &error));
  g_assert_nonnull (strstr (error->message, "line 2: there is no defect 9"));
  g_clear_error (&error);
  put (f, "out/b/review.csv", "defect_id,class\n1,open\n3,pit\n1,pit\n");
  g_assert_null (load (f, "out", &error));
  g_assert_nonnull (strstr (error->message, "line 4: defect 1 is there twice"));
  g_clear_error (&error);
  put_defects (f, "out/c/defects.csv", 1, "other");
  put (f, "out/c/summary.json", "{ \"file\" : \"elsewhere/c.tif\" }");
  g_assert_null (load (f, "out/c", &error));
  g_assert_nonnull (strstr (error->message, ", and there is no elsewhere/c-truth.csv; "));
}

/* Patches come back as they were, what is no number included; a file of another length is refused. */
static void
test_patches (Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
  enum { SIDE = 4, N = 3 };
  g_autoptr (GError) error = NULL;
  g_autofree char *path = g_build_filename (f->folder, "patches.tif", NULL);
  float rows[N * SIDE * SIDE];
  put_defects (f, "defects.csv", N, "pit");
  for (int lines = N * SIDE; lines >= 2 * SIDE; lines -= SIDE) {
    const NotchTiffLayout layout = { SIDE, lines, NOTCH_SAMPLE_F32, 32, 0, TRUE, NULL, 2 };
    g_autoptr (NotchTiffWriter) writer = notch_tiff_writer_new (path, &layout, &error);
    for (int page = 0; page < 2; page++) {
      for (int i = 0; i < N * SIDE * SIDE; i++)
        rows[i] = i / (SIDE * SIDE) == 1 ? NAN : (float) i + 0.25f + 1000 * (float) page;
      g_assert_true (notch_tiff_writer_rows (writer, rows, lines, &error));
      if (page == 0)
        g_assert_true (notch_tiff_writer_next_page (writer, &error));
    }
    g_assert_true (notch_tiff_writer_commit (writer, &error));
    g_autoptr (NotchDataset) dataset = load (f, "defects.csv", &error);
    if (lines < N * SIDE) {
      g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
      g_assert_nonnull (strstr (error->message, "patches.tif"));
      continue;
    }
    g_assert_no_error (error);
    g_assert_cmpint (dataset->patch_side, ==, SIDE);
    g_assert_null (notch_example (dataset, 1)->patch);
    g_assert_cmpfloat ((double) notch_example (dataset, 2)->patch[0], ==, 2 * SIDE * SIDE + 0.25);
    g_assert_cmpfloat ((double) notch_example (dataset, 0)->patch[SIDE * SIDE], ==, 1000.25);
  }
}

static void
test_refused (Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
  static const struct {
    const char *name, *says;
  } bad[] = { { "none", "does not exist" }, { "empty", "holds no examples" }, { "columns.csv", "has no column" } };
  put (f, "empty/file.txt", "");
  put (f, "columns.csv", "defect_id,x_px,y_px,class\n1,2,3,pit\n");
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_null (load (f, bad[i].name, &error));
    g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
    g_assert_nonnull (strstr (error->message, bad[i].says));
  }
}

/* n examples on each of several wafers; classes take turns. */
static NotchDataset *
make (int wafers, int n)
{
  NotchDataset *dataset = notch_dataset_new ();
  notch_dataset_name (dataset->class_name, "a");
  notch_dataset_name (dataset->class_name, "b");
  for (int w = 0; w < wafers; w++)
    for (int i = 0; i < n; i++) {
      g_autofree char *name = g_strdup_printf ("wafer %d", w);
      NotchExample example = { .name = g_strdup_printf ("%s #%d", name, i), .class_index = i % 2 };
      example.wafer = notch_dataset_name (dataset->wafer_name, name);
      example.value[NOTCH_FEATURE_AREA] = w * n + i;
      g_array_append_val (dataset->example, example);
    }
  return dataset;
}

/* Wafers stay whole, whatever the seed, and something is on both sides. */
static void
test_split (void)
{
  int differ = 0;
  for (guint64 seed = 0; seed < 20; seed++) {
    g_autoptr (NotchDataset) dataset = make (10, 7);
    g_autofree guint8 *part = notch_dataset_split (dataset, 0.2, seed),
                      *again = notch_dataset_split (dataset, 0.2, seed);
    g_autofree guint8 *other = notch_dataset_split (dataset, 0.2, seed + 100);
    g_autofree int *fold = notch_dataset_folds (dataset, 4, seed);
    int held = 0, size[4] = { 0 };
    for (guint i = 0; i < 70; i++) {
      g_assert_cmpint (part[i], ==, part[i / 7 * 7]);
      g_assert_cmpint (fold[i], ==, fold[i / 7 * 7]);
      g_assert_cmpint (part[i], ==, again[i]);
      differ += part[i] != other[i];
      held += part[i] == NOTCH_PART_HELD_OUT;
      size[fold[i]]++;
    }
    g_assert_cmpint (held, ==, 14);
    for (int k = 0; k < 4; k++)
      g_assert_cmpint (size[k], >=, 14);
  }
  g_assert_cmpint (differ, >, 0);
  g_autoptr (NotchDataset) two = make (2, 3), one = make (1, 3);
  g_autofree guint8 *part = notch_dataset_split (two, 0.01, 1), *all = notch_dataset_split (one, 0.5, 1);
  g_autofree gint64 *held = notch_dataset_count (two, part, NOTCH_PART_HELD_OUT);
  g_assert_cmpint (held[0] + held[1], ==, 3);
  g_assert_cmpint (all[0], ==, NOTCH_PART_TRAIN);
  g_assert_cmpuint (one->note->len, ==, 1);
  /* A wafer with most of the examples is not held out for a fifth of them, whichever comes first. */
  for (guint64 seed = 0; seed < 20; seed++) {
    g_autoptr (NotchDataset) uneven = make (4, 30);
    for (guint i = 0; i < uneven->example->len; i++)
      if (i % 30 >= 5 && i >= 30)
        g_array_index (uneven->example, NotchExample, i).class_index = -1;
    g_autofree guint8 *parts = notch_dataset_split (uneven, 0.2, seed);
    g_autofree gint64 *count = notch_dataset_count (uneven, parts, NOTCH_PART_HELD_OUT);
    g_assert_cmpint (count[0] + count[1], >=, 5);
    g_assert_cmpint (count[0] + count[1], <=, 10);
  }
}

/* What a review calls odd is of no class, but there to learn from: its wafers are dealt as others are. */
static void
test_odd (Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
  put_defects (f, "w1/defects.csv", 6, "odd,pit,odd,dust,unknown,pit");
  put_defects (f, "w2/defects.csv", 6, "odd");
  g_autoptr (GError) error = NULL;
  char *paths[] = { g_build_filename (f->folder, "w1", "defects.csv", NULL),
                    g_build_filename (f->folder, "w2", "defects.csv", NULL), NULL };
  g_autoptr (NotchDataset) dataset = notch_dataset_load (paths, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (dataset->class_name->len, ==, 2);
  g_assert_cmpint (notch_example (dataset, 0)->class_index, ==, NOTCH_CLASS_ODD);
  g_assert_cmpint (notch_example (dataset, 4)->class_index, ==, -1);
  assert_class (dataset, 1, "pit");
  g_autofree guint8 *part =
      notch_dataset_split (dataset, 0.5, 1); /* one wafer with classes, one without: both are learned from */
  g_assert_cmpint (part[0], ==, NOTCH_PART_TRAIN);
  g_assert_cmpint (part[4], ==, NOTCH_PART_NONE);
  g_assert_cmpint (part[6], ==, NOTCH_PART_TRAIN);
  g_autofree gint64 *count = notch_dataset_count (dataset, NULL, 0);
  g_assert_cmpint (count[2], ==, 8);
  g_assert_cmpint (count[0] + count[1], ==, 3);
  g_free (paths[0]);
  g_free (paths[1]);
}

static gboolean
is_noted (const NotchDataset *dataset, const char *what)
{
  for (guint i = 0; i < dataset->note->len; i++)
    if (strstr (dataset->note->pdata[i], what))
      return TRUE;
  return FALSE;
}

static void
test_notes (void)
{
  g_autoptr (NotchDataset) dataset = make (4, 50), clean = make (4, 50);
  g_autofree guint8 *part = g_new0 (guint8, 200);
  for (int i = 0; i < 200; i++)
    part[i] = i < 100 ? NOTCH_PART_TRAIN : NOTCH_PART_HELD_OUT;
  notch_dataset_check (clean, part);
  g_assert_cmpuint (clean->note->len, ==, 0);
  static const int same[][2] = { { 0, 3 }, { 10, 110 }, { 20, 22 } }; /* another class; another part; neither */
  for (gsize i = 0; i < G_N_ELEMENTS (same); i++)
    g_array_index (dataset->example, NotchExample, same[i][1]).value[NOTCH_FEATURE_AREA] =
        notch_example (dataset, (guint) same[i][0])->value[NOTCH_FEATURE_AREA];
  notch_dataset_name (dataset->class_name, "rare");
  notch_dataset_check (dataset, part);
  g_assert_true (is_noted (dataset, "class rare has 0 examples"));
  g_assert_true (is_noted (dataset, "1 example is the same as another but of another class"));
  g_assert_true (is_noted (dataset, "wafer 0 #10 and wafer 2 #10"));
  g_assert_true (is_noted (dataset, "count twice"));
  g_assert_cmpuint (dataset->note->len, ==, 4);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/dataset/table", Fixture, NULL, set_up, test_table, tear_down);
  g_test_add ("/dataset/folder", Fixture, NULL, set_up, test_folder, tear_down);
  g_test_add ("/dataset/patches", Fixture, NULL, set_up, test_patches, tear_down);
  g_test_add ("/dataset/refused", Fixture, NULL, set_up, test_refused, tear_down);
  g_test_add ("/dataset/odd", Fixture, NULL, set_up, test_odd, tear_down);
  g_test_add_func ("/dataset/split", test_split);
  g_test_add_func ("/dataset/notes", test_notes);
  return g_test_run ();
}
