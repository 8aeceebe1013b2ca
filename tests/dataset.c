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
  put (f, "out/c/summary.json", "{ \"file\" : \"elsewhere/c.tif\", \"file_from_here\" : \"../../elsewhere/c.tif\" }");
  g_assert_null (load (f, "out/c", &error));
  g_autofree char *missing = g_strdup_printf (", and there is no %s/elsewhere/c-truth.csv; ", f->folder);
  g_assert_nonnull (strstr (error->message, missing));
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

/* A crop of 8 bits that begins with 1 and grows by 1 to the right and by 10 downwards; with pages 2 also a reference. */
static void
put_crop (const Fixture *f, const char *name, int w, int h, int pages)
{
  g_autofree char *path = g_build_filename (f->folder, name, NULL), *folder = g_path_get_dirname (path);
  g_autofree guint8 *rows = g_new (guint8, w * h);
  g_autoptr (GError) error = NULL;
  g_assert_cmpint (g_mkdir_with_parents (folder, 0700), ==, 0);
  const NotchTiffLayout layout = { w, h, NOTCH_SAMPLE_U8, 8, 0, FALSE, NULL, pages };
  g_autoptr (NotchTiffWriter) writer = notch_tiff_writer_new (path, &layout, &error);
  for (int page = 0; page < pages; page++) {
    for (int i = 0; i < w * h; i++)
      rows[i] = (guint8) (1 + i % w + 10 * (i / w) + page);
    g_assert_true (notch_tiff_writer_rows (writer, rows, h, &error));
    if (page + 1 < pages)
      g_assert_true (notch_tiff_writer_next_page (writer, &error));
  }
  g_assert_true (notch_tiff_writer_commit (writer, &error));
}

static gboolean
is_noted (const NotchDataset *dataset, const char *what)
{
  for (guint i = 0; i < dataset->note->len; i++)
    if (strstr (dataset->note->pdata[i], what))
      return TRUE;
  return FALSE;
}

/* The first crop, of one pixel, decides nothing: all have the side of the largest, as far as a network looks. */
static void
test_sides (Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  put_crop (f, "some/pit/1.tif", 1, 1, 1);
  put_crop (f, "some/pit/2.tif", 5, 3, 2);
  put_crop (f, "some/pit/3.tif", 10, 10, 2);
  g_autoptr (NotchDataset) some = load (f, "some", &error);
  g_assert_no_error (error);
  g_assert_cmpint (some->patch_side, ==, 10);
  g_assert_true (is_noted (some, "2 of 3 patches are smaller than the largest, which is of 10 px"));
  const float *one = notch_example (some, 0)->patch, *small = notch_example (some, 1)->patch,
              *largest = notch_example (some, 2)->patch;
  g_assert_cmpfloat ((double) one[0], ==, 1);
  g_assert_cmpfloat ((double) one[99], ==, 1);
  g_assert_true (isnan (one[100]));
  g_assert_cmpfloat ((double) largest[0], ==, 1);
  g_assert_cmpfloat ((double) largest[199], ==, 101);
  g_assert_cmpfloat ((double) small[5 * 10 + 5], ==, 13); /* (2, 1) is its middle, and 5 that of 10 */
  g_assert_cmpfloat ((double) small[0], ==, 1);
  g_assert_cmpfloat ((double) small[99], ==, 25);
  g_assert_cmpfloat ((double) small[100 + 5 * 10 + 5], ==, 14);

  put_crop (f, "large/pit/0.tif", 20, 20, 1);
  put_crop (f, "large/pit/1.tif", 200, 100, 1);
  put_crop (f, "large/pit/2.tif", 64, 64, 1);
  g_autoptr (NotchDataset) large = load (f, "large", &error);
  g_assert_no_error (error);
  g_assert_cmpint (large->patch_side, ==, NOTCH_MOST_PATCH_SIDE);
  const int middle = NOTCH_MOST_PATCH_SIDE / 2 * NOTCH_MOST_PATCH_SIDE + NOTCH_MOST_PATCH_SIDE / 2;
  g_assert_cmpfloat ((double) notch_example (large, 0)->patch[middle], ==, 1 + 10 + 10 * 10);
  g_assert_cmpfloat ((double) notch_example (large, 1)->patch[middle], ==, (1 + 100 + 10 * 50) % 256);
  g_assert_true (is_noted (large, "1 of 3 patches are smaller than the largest, which is of 64 px"));

  put_crop (f, "alike/pit/1.tif", 32, 32, 1);
  put_crop (f, "alike/pit/2.tif", 32, 32, 1);
  g_autoptr (NotchDataset) alike = load (f, "alike", &error);
  g_assert_no_error (error);
  g_assert_false (is_noted (alike, "smaller"));
}

/* The head of a PNG of 1024 x 200 000 px, and zeros: it is refused before a row of it is read. */
static void
test_lies (Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
  static const guint8 head[] = { 0x89, 'P',  'N',  'G',  '\r', '\n', 0x1a, '\n', 0,    0,    0,   13,  'I', 'H',
                                 'D',  'R',  0,    0,    4,    0,    0,    3,    0x0d, 0x40, 8,   0,   0,   0,
                                 0,    0x4e, 0x39, 0x3c, 0x03, 0,    4,    0,    0,    'I',  'D', 'A', 'T' };
  g_autofree char *path = g_build_filename (f->folder, "crops", "pit", "long.png", NULL);
  g_autofree char *bytes = g_malloc0 (300000);
  g_autoptr (GError) error = NULL;
  put (f, "crops/pit/.keep", "");
  memcpy (bytes, head, sizeof head);
  g_assert_true (g_file_set_contents (path, bytes, 300000, NULL));
  g_assert_null (load (f, "crops", &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
  g_assert_nonnull (strstr (error->message, "long.png: is 1024 x 200000 px, too large for a crop of at most 1024 px"));
}

/* Crops in a wafer's folder are of that wafer, whatever their class; others are of nobody knows which, which is said. */
static void
test_wafers (Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  put_crop (f, "crops/a/w1/1.tif", 8, 8, 1);
  put_crop (f, "crops/a/w1/2.tif", 8, 8, 1);
  put_crop (f, "crops/a/w2/1.tif", 8, 8, 1);
  put_crop (f, "crops/b/w1/1.tif", 8, 8, 1);
  g_autoptr (NotchDataset) known = load (f, "crops", &error);
  g_assert_no_error (error);
  g_assert_cmpuint (known->note->len, ==, 0);
  g_assert_cmpuint (known->wafer_name->len, ==, 2);
  static const int wafer[] = { 0, 0, 1, 0 };
  for (guint i = 0; i < 4; i++) {
    g_assert_cmpint (notch_example (known, i)->wafer, ==, wafer[i]);
    assert_class (known, i, i < 3 ? "a" : "b");
  }
  put_crop (f, "crops/b/1.tif", 8, 8, 1);
  put_crop (f, "crops/b/2.tif", 8, 8, 1);
  g_autoptr (NotchDataset) loose = load (f, "crops", &error);
  g_assert_no_error (error);
  g_assert_cmpuint (loose->wafer_name->len, ==, 4);
  g_assert_true (is_noted (loose, "crops: 2 crops count as a wafer each"));
  g_assert_true (is_noted (loose, "CLASS/WAFER/"));
}

/* The truth is sought where the results say that the image is, and not where somebody happens to be. */
static void
test_elsewhere (Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *here = g_get_current_dir (), *other = g_build_filename (f->folder, "other", NULL);
  put_defects (f, "run/out/w1/defects.csv", 3, "?");
  put (f, "run/w1-truth.csv", "id,type,x,y,w,h\n1,stain,1,20,3,3\n");
  put (f, "other/w1-truth.csv", "id,type,x,y,w,h\n1,wrong,1,20,3,3\n");
  put (f, "run/out/w1/summary.json", "{\"file\": \"w1.tif\", \"file_from_here\": \"../../w1.tif\"}");
  g_assert_cmpint (g_chdir (other), ==, 0);
  g_autoptr (NotchDataset) dataset = load (f, "run/out", &error);
  put (f, "run/out/w1/summary.json", "{\"file\": \"w1.tif\"}");
  g_autoptr (NotchDataset) none = load (f, "run/out", NULL);
  g_assert_cmpint (g_chdir (here), ==, 0);
  g_assert_no_error (error);
  assert_class (dataset, 0, "stain");
  g_assert_null (none);
}

/* Keeps what is told until examples that have no patch are spoken of, and ends it then. */
static gboolean
keep_lines (const char *line, G_GNUC_UNUSED double done, gpointer data)
{
  GString *lines = data;
  g_string_append_printf (lines, "%s\n", line ? line : "");
  return !line || !strstr (line, "no patch");
}

/* A network learns from patches: what is told of the classes is what has one. */
static void
test_told (Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GString) lines = g_string_new (NULL);
  g_autofree char *model = g_build_filename (f->folder, "m.model", NULL);
  put_crop (f, "crops/pit/w1/1.tif", 8, 8, 1);
  put_crop (f, "crops/pit/w1/2.tif", 8, 8, 1);
  put_defects (f, "defects.csv", 5, "pit,dust");
  char *paths[] = { g_build_filename (f->folder, "crops", NULL), g_build_filename (f->folder, "defects.csv", NULL),
                    NULL };
  const NotchTrainOptions options = { .classifier = "net", .hold_out = -1, .jobs = 1, .device = "cpu" };
  g_assert_false (notch_train (paths, model, &options, keep_lines, lines, NULL, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_CANCELLED);
  g_assert_nonnull (strstr (lines->str, "  pit                       2 to learn from,      0 held out\n"));
  g_assert_nonnull (strstr (lines->str, "  dust                      0 to learn from,      0 held out\n"));
  g_assert_nonnull (strstr (lines->str, "\n5 examples have no patch and are left out\n"));
  g_free (paths[0]);
  g_free (paths[1]);
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
  /* A class that lies wholly in what is held out. */
  for (guint i = 0; i < 200; i++)
    if (notch_example (clean, i)->class_index == 1)
      part[i] = NOTCH_PART_HELD_OUT;
  notch_dataset_check (clean, part);
  g_autofree char *lost = g_strdup_printf ("class %s: none of its ", (char *) clean->class_name->pdata[1]);
  g_assert_true (is_noted (clean, lost));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/dataset/table", Fixture, NULL, set_up, test_table, tear_down);
  g_test_add ("/dataset/folder", Fixture, NULL, set_up, test_folder, tear_down);
  g_test_add ("/dataset/patches", Fixture, NULL, set_up, test_patches, tear_down);
  g_test_add ("/dataset/sides", Fixture, NULL, set_up, test_sides, tear_down);
  g_test_add ("/dataset/lies", Fixture, NULL, set_up, test_lies, tear_down);
  g_test_add ("/dataset/wafers", Fixture, NULL, set_up, test_wafers, tear_down);
  g_test_add ("/dataset/elsewhere", Fixture, NULL, set_up, test_elsewhere, tear_down);
  g_test_add ("/dataset/told", Fixture, NULL, set_up, test_told, tear_down);
  g_test_add ("/dataset/refused", Fixture, NULL, set_up, test_refused, tear_down);
  g_test_add ("/dataset/odd", Fixture, NULL, set_up, test_odd, tear_down);
  g_test_add_func ("/dataset/split", test_split);
  g_test_add_func ("/dataset/notes", test_notes);
  return g_test_run ();
}
