/* net-maps.c - the network as a classifier of wafer maps */
#include "inspect/classify/augment.h"
#include "inspect/classify/classifier.h"
#include "tests/few.h"
#include "tests/maps.h"

#include <glib/gstdio.h>
#include <math.h>

static const char signatures[] = "Center,Edge-Ring,none";

static gboolean
stop_after (G_GNUC_UNUSED const char *line, G_GNUC_UNUSED double done, gpointer data)
{
  return --*(int *) data > 0;
}

/* A network learns three signatures, says the same of a map whichever way it lies, and ends with the same bytes when it was
 * interrupted. */
static void
test_network (void)
{
  enum { CLASSES = 3 };
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchDataset) learn = maps_to_learn (signatures, 1, 60);
  g_autoptr (NotchDataset) test = maps_to_learn (signatures, 2, 30);
  const guint n = test->example->len;
  g_autofree guint8 *part = g_malloc (learn->example->len);
  for (guint i = 0; i < learn->example->len; i++)
    part[i] = i % 5 == 0 ? NOTCH_PART_HELD_OUT : NOTCH_PART_TRAIN;
  const NotchTrainHow how = { .seed = 1, .rounds = 2, .compute = &(NotchCompute){ .jobs = 2 } };
  NotchModel *model = notch_classifier_signature_net.train (learn, part, &how, &error);
  g_assert_no_error (error);
  g_autoptr (GBytes) bytes = notch_model_to_bytes (model, &error);
  g_autoptr (NotchTrained) trained = notch_trained_new (model, &error);
  g_assert_no_error (error);

  float probability[CLASSES], turned[CLASSES];
  guint right = 0;
  for (guint i = 0; i < n; i++) {
    NotchExample example = *notch_example (test, i);
    NotchRaster other = *example.raster;
    float scratch[NOTCH_RASTER_CELLS];
    double confidence;
    g_assert_true (notch_trained_probabilities (trained, &example, 1, NOTCH_RASTER_SIDE, NULL, probability, &error));
    right += notch_trained_decide (trained, probability, NAN, &confidence) == example.class_index;
    notch_view (&(NotchPatchPair){ NOTCH_RASTER_SIDE, 0, other.fail, other.present, scratch }, (int) i % 8);
    example.raster = &other;
    g_assert_true (notch_trained_probabilities (trained, &example, 1, NOTCH_RASTER_SIDE, NULL, turned, &error));
    for (int c = 0; c < CLASSES; c++)
      g_assert_cmpfloat_with_epsilon (turned[c], probability[c], 1e-5);
  }
  g_assert_cmpuint (right, >=, n - 3);

  if (few (FALSE, TRUE)) /* what is resumed is told by tests/net-defects */
    return;
  g_autofree char *folder = g_dir_make_tmp ("notch-signature-XXXXXX", NULL);
  g_autofree char *checkpoint = g_build_filename (folder, "c", NULL);
  int stop = 1;
  NotchTrainHow again = how;
  again.checkpoint = checkpoint, again.step = stop_after, again.data = &stop;
  g_assert_null (notch_classifier_signature_net.train (learn, part, &again, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_CANCELLED);
  g_clear_error (&error);
  stop = 2, again.resume = TRUE; /* one more epoch */
  g_autoptr (NotchModel) resumed = notch_classifier_signature_net.train (learn, part, &again, &error);
  g_assert_no_error (error);
  g_assert_cmpint (stop, ==, 1);
  g_autoptr (GBytes) same = notch_model_to_bytes (resumed, &error);
  g_assert_true (g_bytes_equal (bytes, same));
  g_assert_cmpint (g_rmdir (folder), ==, 0);
}

/* A model whose network is for smaller images than maps make is refused, whatever else fits. */
static void
test_side (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchDataset) learn = maps_to_learn (signatures, 1, 6);
  g_autofree guint8 *part = g_malloc (learn->example->len);
  memset (part, NOTCH_PART_TRAIN, learn->example->len);
  const NotchTrainHow how = { .seed = 1, .rounds = 1 };
  NotchModel *model = notch_classifier_signature_net.train (learn, part, &how, &error);
  g_assert_no_error (error);
  json_object_set_int_member (json_object_get_object_member (model->settings, "net"), "side", 1);
  g_assert_null (notch_trained_new (model, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/net/maps", test_network);
  g_test_add_func ("/net/side", test_side);
  return g_test_run ();
}
