/* net-classifier.c - from examples to a network, and from a network to what it says of examples */
#include "inspect/classify/net-classifier.h"

#include <math.h>
#include <string.h>

NotchNetShape
notch_net_sight_shape (const NotchNetSight *sight, int patch_side, int classes)
{
  NotchNetShape shape = sight->shape;
  shape.side = MIN (shape.side, patch_side);
  shape.classes = classes;
  return shape;
}

NotchNetImages
notch_net_sight_images (const NotchNetSight *sight, const NotchNetExamples *examples, gsize n, const int *label)
{
  return (NotchNetImages){ .n = n, .draw = sight->draw, .data = examples, .label = label };
}

/* ---- training ---------------------------------------------------------------------------------------------------- */

/* Examples of one part that have a patch and a class. */
typedef struct {
  GPtrArray *example; /* const NotchExample * */
  GArray *label;      /* int */
} Part;

static void
clear_part (Part *part)
{
  g_ptr_array_unref (part->example);
  g_array_unref (part->label);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Part, clear_part)

static Part
part_of (const NotchDataset *dataset, const guint8 *parts, int which)
{
  Part part = { g_ptr_array_new (), g_array_new (FALSE, FALSE, sizeof (int)) };
  for (guint i = 0; i < dataset->example->len; i++) {
    const NotchExample *example = notch_example (dataset, i);
    if (parts[i] != which || !example->patch || example->class_index < 0)
      continue;
    g_ptr_array_add (part.example, (gpointer) example);
    g_array_append_val (part.label, example->class_index);
  }
  return part;
}

/* `examples` is filled in, and borrowed. */
static NotchNetImages
images_of (const NotchNetSight *sight, const Part *part, int patch_side, NotchNetExamples *examples)
{
  *examples = (NotchNetExamples){ .example = (const NotchExample **) part->example->pdata,
                                  .patch_side = patch_side,
                                  .side = MIN (patch_side, sight->shape.side),
                                  .views = 1 };
  return notch_net_sight_images (sight, examples, part->example->len, (const int *) (gpointer) part->label->data);
}

/* With a decimal point, whatever the locale. */
static void
add_figures (GString *line, double loss, double accuracy)
{
  char text[2][G_ASCII_DTOSTR_BUF_SIZE];
  g_ascii_formatd (text[0], sizeof text[0], "%.4f", loss);
  g_ascii_formatd (text[1], sizeof text[1], "%5.1f", 100 * accuracy);
  g_string_append_printf (line, "loss %s, right %s %%", text[0], text[1]);
}

static gboolean
tell (const NotchNetEpoch *is, gpointer data)
{
  const NotchTrainHow *how = data;
  if (!how->step)
    return TRUE;
  g_autoptr (GString) line = g_string_new (NULL);
  g_string_append_printf (line, "epoch %2d of %d, %4d s: ", is->epoch, is->epochs, (int) is->seconds);
  add_figures (line, is->loss, is->accuracy);
  if (!isnan (is->held_loss)) {
    g_string_append (line, "; held out: ");
    add_figures (line, is->held_loss, is->held_accuracy);
    g_string_append (line, is->best ? ", the best" : "");
  }
  return how->step (line->str, (double) is->epoch / is->epochs, how->data);
}

/* A row an epoch: loss, accuracy, and those of what is held out, null where nothing is. */
static JsonArray *
curve_to_json (const GArray *curve)
{
  JsonArray *rows = json_array_new ();
  for (guint i = 0; i < curve->len; i += NOTCH_NET_FIGURES) {
    JsonArray *row = json_array_new ();
    for (guint k = i; k < i + NOTCH_NET_FIGURES; k++) {
      double value = g_array_index (curve, double, k);
      if (isnan (value))
        json_array_add_null_element (row);
      else
        json_array_add_double_element (row, value);
    }
    json_array_add_array_element (rows, row);
  }
  return rows;
}

/* What NotchNetTraining.manner is. */
static char *
describe_manner (const gboolean *oriented, guint n_classes)
{
  GString *text = g_string_new ("oriented:");
  for (guint c = 0; oriented && c < n_classes; c++)
    if (oriented[c])
      g_string_append_printf (text, " %u", c);
  return g_string_free (text, FALSE);
}

static NotchModel *
make_model (const NotchNetSight *sight, const NotchDataset *dataset, const NotchNet *net, const GArray *curve)
{
  NotchModel *model = notch_model_new (sight->purpose, sight->name);
  for (guint c = 0; c < dataset->class_name->len; c++)
    notch_model_add_class (model, dataset->class_name->pdata[c]);
  notch_net_to_model (net, model);
  json_object_set_array_member (model->settings, "curve", curve_to_json (curve));
  return model;
}

NotchModel *
notch_net_learn (const NotchNetSight *sight, const NotchDataset *dataset, const guint8 *part, const NotchTrainHow *how,
                 GError **error)
{
  g_auto (Part) learn = part_of (dataset, part, NOTCH_PART_TRAIN), held = part_of (dataset, part, NOTCH_PART_HELD_OUT);
  if (!notch_enough_classes (dataset->class_name, error))
    return NULL;
  if (learn.example->len == 0) {
    g_set_error_literal (error, NOTCH_ERROR, NOTCH_ERROR_USAGE, sight->none);
    return NULL;
  }
  const NotchNetShape shape = notch_net_sight_shape (sight, dataset->patch_side, (int) dataset->class_name->len);
  g_autoptr (NotchNet) net = notch_net_new (&shape, how->seed, error);
  if (!net)
    return NULL;
  NotchNetExamples examples[2];
  const NotchNetImages images = images_of (sight, &learn, dataset->patch_side, &examples[0]);
  const NotchNetImages held_out = images_of (sight, &held, dataset->patch_side, &examples[1]);
  examples[0].oriented = how->oriented;
  g_autoptr (GArray) curve = g_array_new (FALSE, FALSE, sizeof (double));
  g_autofree char *manner = describe_manner (how->oriented, dataset->class_name->len);
  const NotchNetTraining training = { .seed = how->seed,
                                      .epochs = how->rounds,
                                      .batch = sight->batch,
                                      .rate = sight->rate,
                                      .per_epoch = MAX (learn.example->len, sight->least_per_epoch),
                                      .manner = manner,
                                      .checkpoint = how->checkpoint,
                                      .resume = how->resume,
                                      .curve = curve,
                                      .step = tell,
                                      .data = (gpointer) how };
  return notch_net_train (net, &images, &held_out, &training, how->compute, error)
             ? make_model (sight, dataset, net, curve)
             : NULL;
}

/* ---- use --------------------------------------------------------------------------------------------------------- */

typedef struct {
  const NotchNetSight *sight;
  NotchNet *net;
  gsize classes, embedding;
} State;

gpointer
notch_net_open (const NotchNetSight *sight, const NotchModel *model, GError **error)
{
  g_autoptr (NotchNet) net = notch_net_from_model (model, error);
  if (!net)
    return NULL;
  const NotchNetShape *shape = notch_net_shape (net);
  if (shape->channels != sight->shape.channels || shape->side < sight->least_side || shape->side > sight->shape.side
      || shape->classes != (int) model->class_name->len) {
    notch_model_refuse (model, error, "its network is not one for the images of a %s and its classes; train it anew",
                        sight->name);
    return NULL;
  }
  State *state = g_new (State, 1);
  *state = (State){ sight, g_steal_pointer (&net), (gsize) shape->classes, (gsize) shape->embedding };
  return state;
}

void
notch_net_close (gpointer data)
{
  State *state = data;
  notch_net_free (state->net);
  g_free (state);
}

/* The mean of an example's views, rows of `length`. */
static void
mean_of_views (const float *view, int views, gsize length, float *mean)
{
  for (gsize k = 0; k < length; k++) {
    double sum = 0;
    for (gsize v = 0; v < (gsize) views; v++)
      sum += (double) view[v * length + k];
    mean[k] = (float) (sum / views);
  }
}

/* Only those that have a patch are shown to the network. */
gboolean
notch_net_classify (gconstpointer data, const NotchExample *example, guint n, int patch_side,
                    const NotchCompute *compute, const NotchSaid *said, GError **error)
{
  const State *state = data;
  const gsize views = (gsize) state->sight->views, classes = state->classes, length = state->embedding;
  g_autoptr (GPtrArray) with = g_ptr_array_new ();
  for (guint i = 0; i < n; i++)
    if (example[i].patch && patch_side > 0)
      g_ptr_array_add (with, (gpointer) &example[i]);
  const NotchNetExamples examples = { .example = (const NotchExample **) with->pdata,
                                      .patch_side = patch_side,
                                      .side = notch_net_shape (state->net)->side,
                                      .views = state->sight->views };
  const NotchNetImages images = notch_net_sight_images (state->sight, &examples, with->len * views, NULL);
  g_autofree float *answers = g_new (float, images.n *classes + 1);
  g_autofree float *vectors = said->vector ? g_new (float, images.n *length + 1) : NULL;
  if (!notch_net_apply (state->net, &images, compute, answers, vectors, error))
    return FALSE;
  for (gsize k = 0; said->probability && k < n * classes; k++)
    said->probability[k] = 1 / (float) classes;
  if (said->vector)
    memset (said->vector, 0, n * length * sizeof *said->vector);
  for (gsize k = 0; k < with->len; k++) {
    gsize i = (gsize) ((const NotchExample *) with->pdata[k] - example);
    if (said->probability)
      mean_of_views (answers + k * views * classes, (int) views, classes, said->probability + i * classes);
    if (said->vector)
      mean_of_views (vectors + k * views * length, (int) views, length, said->vector + i * length);
  }
  return TRUE;
}

int
notch_net_embedding_length (gconstpointer data)
{
  return (int) ((const State *) data)->embedding;
}
