/* model.c - model files: there and back, and what lies about itself */
#include "inspect/classify/classes.h"
#include "inspect/classify/classifier.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "inspect/classify/forest.h"

/* Two trees over two columns: one asks twice, one is a leaf. */
static NotchModel *
small_model (void)
{
  static const NotchForestNode node[] = { { 1, 2, 0, 1, 10.5f },  { -1, -1, 0, 0, -0.25f }, { 3, 4, 1, 0, 2 },
                                          { -1, -1, 0, 0, 0.5f }, { -1, -1, 0, 0, 1 },      { -1, -1, 0, 0, 0.125f } };
  static const NotchForestTree tree[] = { { 5, 1 }, { 1, 0 } };
  g_autoptr (GArray) nodes = g_array_new (FALSE, FALSE, sizeof *node);
  g_autoptr (GArray) trees = g_array_new (FALSE, FALSE, sizeof *tree);
  NotchModel *model = notch_model_new ("defects", "forest");
  notch_model_add_class (model, "particle");
  notch_model_add_class (model, "line, \"broken\"");
  model->threshold[1] = 0.7;
  model->temperature = 1.25;
  g_ptr_array_add (model->feature, g_strdup ("area_px"));
  g_ptr_array_add (model->feature, g_strdup ("elongation"));
  model->training = json_object_new ();
  json_object_set_int_member (model->training, "seed", 7);
  g_array_append_vals (nodes, node, G_N_ELEMENTS (node));
  g_array_append_vals (trees, tree, G_N_ELEMENTS (tree));
  notch_forest_write (model, nodes, trees, (const float[]){ 0, 0.5f });
  return model;
}

static void
test_round (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchModel) model = small_model ();
  g_autoptr (GBytes) bytes = notch_model_to_bytes (model, NULL), once_more = NULL;
  g_autoptr (NotchModel) again = notch_model_from_bytes (bytes, "a file", &error);
  g_assert_no_error (error);
  g_assert_cmpstr (again->hash, ==, model->hash);
  g_assert_cmpint ((int) strlen (again->hash), ==, 64);
  g_assert_cmpstr (again->class_name->pdata[1], ==, "line, \"broken\"");
  g_assert_cmpfloat (again->threshold[0], ==, 0);
  g_assert_cmpfloat (again->threshold[1], ==, 0.7);
  g_assert_cmpfloat (again->temperature, ==, 1.25);
  g_assert_cmpint ((int) json_object_get_int_member (again->training, "seed"), ==, 7);
  g_assert_null (again->validation);
  g_assert_cmpint (notch_model_class (again, "particle"), ==, 0);
  g_assert_cmpint (notch_model_class (again, "none"), ==, -1);
  once_more = notch_model_to_bytes (again, NULL);
  g_assert_true (g_bytes_equal (bytes, once_more));
  g_assert_null (notch_model_section (again, "none", &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
}

/* 10.5 and 2 are what the tree asks; what is missing goes the way that the node says. */
static void
test_classify (void)
{
  static const struct {
    double area, elongation;
    float sums[2];
  } row[] = { { 10, 9, { 0.125f, 0.25f } },      { NAN, 9, { 0.125f, 0.25f } }, { 10.5, 1.9, { 0.125f, 1 } },
              { 11, 2, { 0.125f, 1.5f } },       { 11, NAN, { 0.125f, 1.5f } }, { INFINITY, -INFINITY, { 0.125f, 1 } },
              { -1e300, NAN, { 0.125f, 0.25f } } };
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchTrained) trained = notch_trained_new (small_model (), &error);
  g_assert_no_error (error);
  trained->model->temperature = 1;
  for (gsize i = 0; i < G_N_ELEMENTS (row); i++) {
    NotchExample example = { 0 };
    float probability[2];
    double confidence = 0;
    example.value[NOTCH_FEATURE_AREA] = row[i].area;
    example.value[NOTCH_FEATURE_ELONGATION] = row[i].elongation;
    g_assert_true (notch_trained_probabilities (trained, &example, 1, 0, NULL, probability, NULL));
    double second = 1 / (1 + exp ((double) row[i].sums[0] - (double) row[i].sums[1]));
    g_assert_cmpfloat_with_epsilon ((double) probability[1], second, 1e-6);
    g_assert_cmpfloat_with_epsilon ((double) (probability[0] + probability[1]), 1, 1e-6);
    int called = notch_trained_decide (trained, probability, NAN, &confidence);
    g_assert_cmpint (called, ==, second < 0.5 ? 0 : second < 0.7 ? 2 : 1);
    g_assert_cmpfloat (confidence, ==, (double) MAX (probability[0], probability[1]));
  }
}

/* Whether bytes are refused, in one line that names the file. */
static void
assert_refused (const char *data, gsize n)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = g_bytes_new (data, n);
  g_autoptr (NotchModel) model = notch_model_from_bytes (bytes, "a file", &error);
  g_assert_null (model);
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
  g_assert_true (g_str_has_prefix (error->message, "a file: "));
  g_assert_null (strchr (error->message, '\n'));
}

static void
test_damaged (void)
{
  g_autoptr (NotchModel) model = small_model ();
  g_autoptr (GBytes) bytes = notch_model_to_bytes (model, NULL);
  gsize n = 0;
  const char *data = g_bytes_get_data (bytes, &n);
  for (gsize cut = 0; cut < n; cut++)
    assert_refused (data, cut);
  for (gsize at = 0; at < n; at++) {
    g_autofree char *flipped = g_memdup2 (data, n);
    flipped[at] ^= (char) (1 << at % 8);
    assert_refused (flipped, n);
  }
}

/* A section that is larger than a file can have is refused before it is looked at. */
static void
test_large (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchModel) model = small_model ();
  g_autoptr (GBytes) huge = g_bytes_new_static ("", (gsize) 5 << 30), half = g_bytes_new_static ("", (gsize) 5 << 29);
  notch_model_set_section (model, "huge", huge);
  g_assert_null (notch_model_to_bytes (model, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
  g_assert_nonnull (strstr (error->message, "4 GiB"));
  g_clear_error (&error);
  notch_model_set_section (model, "huge", half); /* none is too large, but both are */
  notch_model_set_section (model, "another", half);
  g_assert_false (notch_model_save (model, "no.model", &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
}

/* Replaces text in a model's bytes by other text and makes sizes and hash right again. */
static GBytes *
rewrite (NotchModel *model, const char *from, const char *to)
{
  g_autoptr (GBytes) bytes = notch_model_to_bytes (model, NULL);
  gsize n = 0, header = 0;
  const char *data = g_bytes_get_data (bytes, &n);
  g_autofree char *first = g_strndup (data, 40);
  g_auto (GStrv) word = g_strsplit (first, " ", 5);
  header = (gsize) g_ascii_strtoull (word[3], NULL, 10);
  gsize begin = (40 + header + 63) / 64 * 64;
  g_autoptr (GString) text = g_string_new_len (data + 40, (gssize) header);
  g_assert_cmpint ((int) g_string_replace (text, from, to, 1), ==, 1);
  gsize now = (40 + text->len + 63) / 64 * 64;
  g_autoptr (GByteArray) all = g_byte_array_new ();
  g_autofree char *line =
      g_strdup_printf ("notch model 1 %012" G_GSIZE_FORMAT " %012" G_GSIZE_FORMAT "\n", text->len, now + n - begin);
  g_byte_array_append (all, (const guint8 *) line, 40);
  g_byte_array_append (all, (const guint8 *) text->str, (guint) text->len);
  while (all->len < now)
    g_byte_array_append (all, (const guint8 *) "", 1);
  g_byte_array_append (all, (const guint8 *) data + begin, (guint) (n - begin - 32));
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  guint8 hash[32];
  gsize size = sizeof hash;
  g_checksum_update (sum, all->data, (gssize) all->len);
  g_checksum_get_digest (sum, hash, &size);
  g_byte_array_append (all, hash, sizeof hash);
  return g_bytes_new (all->data, all->len);
}

#define COLUMN "{\"column\":\"a\",\"edges\":[],\"counts\":[1,1]}"
/* Headers that lie, and one that does not, with a hash that is right. */
static void
test_lies (void)
{
  static const struct {
    const char *from, *to, *says;
  } lie[] = {
    { "\"features_version\" : 1", "\"features_version\" : 99", "version 99" },
    { "\"size\" : 96", "\"size\" : 9600000000000000000", "header" },
    { "\"size\" : 96", "\"size\" : -96", "header" },
    { "\"size\" : 96", "\"size\" : 1e400", "header" },
    { "\"offset\" : 0", "\"offset\" : 64", "header" },
    { "\"temperature\" : 1.25", "\"temperature\" : 0", "header" },
    { "\"thresholds\" : [", "\"thresholds\" : [ 0.5,", "header" },
    { "\"particle\"", "\"\"", "header" },
    { "\"sections\" : [", "\"sections\" : 7, \"more\" : [", "header" },
    { "{", "[{", "JSON" },
    { "\"area_px\"", "\"colour_of_moon\"", "colour_of_moon" },
    { "\"particle\"", "\"unknown\"", "unknown" },
    { "\"forest\"", "\"swamp\"", "swamp" },
    { "\"base\" : [", "\"base\" : [ 1,", "base" },
    { "\"seed\" : 7", "\"wafers\" : [ \"a\", 7 ]", "\"wafers\" of its training record" },
    { "\"seed\" : 7", "\"wafers\" : \"a\"", "\"wafers\" of its training record" },
    { "\"seed\" : 7", "\"profile\" : []", "\"profile\" of its training record" },
    { "\"seed\" : 7", "\"profile\" : null", "\"profile\" of its training record" },
    { "\"seed\" : 7", "\"profile\" : [" COLUMN "," COLUMN ",{\"counts\":[1,1]}]",
      "\"profile\" of its training record" },
    { "\"seed\" : 7", "\"profile\" : [" COLUMN "," COLUMN ",{\"counts\":[1,1,0]}]", NULL },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (lie); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (NotchModel) model = small_model ();
    g_autoptr (GBytes) bytes = rewrite (model, lie[i].from, lie[i].to);
    NotchModel *read = notch_model_from_bytes (bytes, "a file", &error);
    g_autoptr (NotchTrained) trained = read ? notch_trained_new (read, &error) : NULL;
    if (!lie[i].says) {
      g_assert_no_error (error);
      continue;
    }
    g_assert_null (trained);
    g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
    if (!strstr (error->message, lie[i].says))
      g_error ("%s: %s", lie[i].to, error->message);
    g_assert_null (strchr (error->message, '\n'));
  }
}

/* Sections of a forest that no walk may follow. */
static void
test_trees (void)
{
  static const NotchForestNode bad[][3] = {
    { { 0, 1, 0, 0, 1 }, { -1, -1, 0, 0, 1 }, { -1, -1, 0, 0, 1 } },   /* leads to itself */
    { { 1, 3, 0, 0, 1 }, { -1, -1, 0, 0, 1 }, { -1, -1, 0, 0, 1 } },   /* beyond the end */
    { { 1, 1, 0, 0, 1 }, { -1, -1, 0, 0, 1 }, { -1, -1, 0, 0, 1 } },   /* twice the same */
    { { 1, 2, 2, 0, 1 }, { -1, -1, 0, 0, 1 }, { -1, -1, 0, 0, 1 } },   /* no such feature */
    { { 1, 2, 0, 0, NAN }, { -1, -1, 0, 0, 1 }, { -1, -1, 0, 0, 1 } }, /* compares with nothing */
    { { 1, -1, 0, 0, 1 }, { -1, -1, 0, 0, 1 }, { -1, -1, 0, 0, 1 } },  /* half a leaf */
    { { -5, 2, 0, 0, 1 }, { -1, -1, 0, 0, 1 }, { -1, -1, 0, 0, 1 } },
    { { 1, 2, 0, 0, 1 }, { -1, -1, 0, 0, INFINITY }, { -1, -1, 0, 0, 1 } },
  };
  static const NotchForestTree rows[][2] = {
    { { 3, 0 }, { 0, 0 } }, { { 2, 0 }, { 2, 0 } }, { { 2, 0 }, { 1, 9 } }, { { 2, 0 }, { 0xffffffff, 0 } }
  };
  for (gsize i = 0; i < G_N_ELEMENTS (bad) + G_N_ELEMENTS (rows); i++) {
    static const NotchForestNode leaf[] = { { -1, -1, 0, 0, 1 }, { -1, -1, 0, 0, 1 }, { -1, -1, 0, 0, 1 } };
    const NotchForestTree whole = { 3, 0 };
    const gsize k = i - G_N_ELEMENTS (bad);
    g_autoptr (GError) error = NULL;
    g_autoptr (GArray) nodes = g_array_new (FALSE, FALSE, sizeof (NotchForestNode));
    g_autoptr (GArray) trees = g_array_new (FALSE, FALSE, sizeof (NotchForestTree));
    NotchModel *model = small_model ();
    g_array_append_vals (nodes, i < G_N_ELEMENTS (bad) ? bad[i] : leaf, 3);
    g_array_append_vals (trees, i < G_N_ELEMENTS (bad) ? &whole : rows[k], i < G_N_ELEMENTS (bad) ? 1 : 2);
    notch_forest_write (model, nodes, trees, (const float[]){ 0, 0 });
    g_assert_null (notch_trained_new (model, &error));
    g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
  }
}

static gboolean
fail (gconstpointer state, const NotchExample *example, guint n, int patch_side, const NotchCompute *compute,
      const NotchSaid *said, GError **error)
{
  (void) state, (void) example, (void) n, (void) patch_side, (void) compute, (void) said;
  g_set_error_literal (error, NOTCH_ERROR, NOTCH_ERROR_DEVICE, "out of memory for images of a network");
  return FALSE;
}

/* A classifier that cannot is an error, and no defect has a class for it. */
static void
test_fails (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchTrained) trained = notch_trained_new (small_model (), &error);
  g_assert_no_error (error);
  const NotchClassifier *own = trained->classifier;
  NotchClassifier failing = *own;
  failing.classify = fail;
  trained->classifier = &failing;
  const NotchClasses classes = { .trained = trained };
  NotchDefect defect = { .class_index = 7 };
  g_assert_false (notch_classes_assign (&classes, &defect, 1, 0, NULL, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_DEVICE);
  g_assert_cmpint (defect.class_index, ==, 7);
  trained->classifier = own;
}

/* Of two classes as much speaks for one as for the other. */
static gboolean
shrug (gconstpointer state, const NotchExample *example, guint n, int patch_side, const NotchCompute *compute,
       const NotchSaid *said, GError **error)
{
  (void) state, (void) example, (void) patch_side, (void) compute, (void) error;
  for (guint i = 0; i < 2 * n; i++)
    said->probability[i] = 0.5f;
  return TRUE;
}

/* What a classifier of patches had no patch of is no nuisance, however likely nuisances are. */
static void
test_bare (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchTrained) trained = notch_trained_new (small_model (), &error);
  g_assert_no_error (error);
  const NotchClassifier *own = trained->classifier;
  NotchClassifier shrugs = *own;
  shrugs.classify = shrug, shrugs.patches = TRUE;
  trained->classifier = &shrugs;
  trained->nuisance[0] = trained->nuisance[1] = TRUE;
  trained->model->nuisance = 0.7;
  const NotchClasses classes = { .trained = trained };
  float patch[2] = { 0 };
  NotchDefect defect[] = { { .patch = patch }, { .patch = NULL } };
  g_assert_true (notch_classes_assign (&classes, defect, 2, 1, NULL, &error));
  g_assert_true (defect[0].nuisance);
  g_assert_false (defect[1].nuisance);
  g_assert_cmpint (defect[1].class_index, ==, 2);
  trained->classifier = own;
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/model/there-and-back", test_round);
  g_test_add_func ("/model/classify", test_classify);
  g_test_add_func ("/model/bare", test_bare);
  g_test_add_func ("/model/fails", test_fails);
  g_test_add_func ("/model/damaged", test_damaged);
  g_test_add_func ("/model/large", test_large);
  g_test_add_func ("/model/lies", test_lies);
  g_test_add_func ("/model/trees", test_trees);
  return g_test_run ();
}
