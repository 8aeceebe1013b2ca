/* net.c - a network's shape, its weights, how they are kept, and what it says of images */
#include "inspect/classify/net.h"

#include "inspect/classify/engine.h"
#include "inspect/compute/parallel.h"

#include <math.h>
#include <string.h>

/* ---- shape ------------------------------------------------------------------------------------------------------- */

static gboolean
shape_is_possible (const NotchNetShape *shape)
{
  gboolean well = shape->channels >= 1 && shape->channels <= NOTCH_NET_MAX_WIDTH && shape->side >= 1
                  && shape->side <= NOTCH_NET_MAX_SIDE && shape->n_blocks >= 1
                  && shape->n_blocks <= NOTCH_NET_MAX_BLOCKS && shape->embedding >= 1
                  && shape->embedding <= NOTCH_NET_MAX_WIDTH && shape->classes >= 1
                  && shape->classes <= NOTCH_NET_MAX_WIDTH;
  for (int b = 0; well && b < shape->n_blocks; b++)
    well = shape->block[b].width >= 1 && shape->block[b].width <= NOTCH_NET_MAX_WIDTH && shape->block[b].stride >= 1
           && shape->block[b].stride <= 2;
  return well;
}

/* Adds a layer; its weights have their place, what is behind all weights is placed by place_rest. */
static void
add_layer (NotchNet *net, NotchNetGeometry is, gboolean normed)
{
  net->layer[net->n_layers++] = (NotchNetLayer){ .is = is, .normed = normed, .weight = net->n_weights };
  net->n_weights += (gsize) notch_net_weight_rows (&is) * (gsize) is.filters;
}

static void
place_rest (NotchNet *net)
{
  net->n_parameters = net->n_weights;
  for (int l = 0; l < net->n_layers; l++) {
    NotchNetLayer *layer = &net->layer[l];
    gsize filters = (gsize) layer->is.filters;
    layer->shift = net->n_parameters;
    net->n_parameters += filters;
    if (!layer->normed)
      continue;
    layer->gain = net->n_parameters;
    net->n_parameters += filters;
    layer->mean = net->n_running;
    layer->variance = net->n_running + filters;
    net->n_running += 2 * filters;
  }
}

/* A network all of zeros. */
static NotchNet *
make_net (const NotchNetShape *shape, GError **error)
{
  if (!shape_is_possible (shape)) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
                 "there is no network of %d blocks for %d classes of %d x %d x %d images; up to %d blocks of up to %d "
                 "channels, for images of up to %d px, can be had",
                 shape->n_blocks, shape->classes, shape->channels, shape->side, shape->side, NOTCH_NET_MAX_BLOCKS,
                 NOTCH_NET_MAX_WIDTH, NOTCH_NET_MAX_SIDE);
    return NULL;
  }
  NotchNet *net = g_new0 (NotchNet, 1);
  g_mutex_init (&net->lock);
  net->shape = *shape;
  NotchNetGeometry is = { .side = shape->side, .channels = shape->channels, .kernel = 3 };
  for (int b = 0; b < shape->n_blocks; b++) {
    is.stride = shape->block[b].stride, is.filters = shape->block[b].width;
    add_layer (net, is, TRUE);
    is.side = notch_net_side_out (&is), is.channels = is.filters;
  }
  is = (NotchNetGeometry){ .side = 1, .channels = is.channels, .kernel = 1, .stride = 1, .filters = shape->embedding };
  add_layer (net, is, TRUE);
  is.channels = shape->embedding, is.filters = shape->classes;
  add_layer (net, is, FALSE);
  place_rest (net);
  net->parameter = g_new0 (float, net->n_parameters);
  net->running = g_new0 (float, net->n_running);
  return net;
}

NotchNet *
notch_net_new (const NotchNetShape *shape, guint64 seed, GError **error)
{
  NotchNet *net = make_net (shape, error);
  for (int l = 0; net && l < net->n_layers; l++) {
    const NotchNetLayer *layer = &net->layer[l];
    NotchRandom random = notch_random_at (seed, NOTCH_STREAM_WEIGHTS, l, 0);
    int rows = notch_net_weight_rows (&layer->is), filters = layer->is.filters;
    double sigma = sqrt ((layer->normed ? 2.0 : 1.0) / rows), normal[2] = { 0 };
    for (gsize i = 0, n = (gsize) rows * (gsize) filters; i < n; i++) {
      if (i % 2 == 0)
        notch_random_normals (&random, normal);
      net->parameter[layer->weight + i] = (float) (sigma * normal[i % 2]);
    }
    for (int f = 0; layer->normed && f < filters; f++)
      net->parameter[layer->gain + f] = net->running[layer->variance + f] = 1;
  }
  return net;
}

void
notch_net_free (NotchNet *net)
{
  if (!net)
    return;
  notch_engine_free (net->engine);
  g_mutex_clear (&net->lock);
  g_free (net->parameter);
  g_free (net->running);
  g_free (net);
}

const NotchNetShape *
notch_net_shape (const NotchNet *net)
{
  return &net->shape;
}

gsize
notch_net_n_parameters (const NotchNet *net)
{
  return net->n_parameters;
}

/* ---- images ------------------------------------------------------------------------------------------------------ */

void
notch_net_draw (const NotchNetShape *shape, const NotchNetImages *images, gsize i, NotchRandom *random, float *scratch,
                float *to)
{
  gsize area = (gsize) shape->side * (gsize) shape->side, channels = (gsize) shape->channels;
  const float *from = scratch;
  if (images->draw)
    images->draw (images, i, random, scratch);
  else
    from = images->image + i * area * channels;
  for (gsize p = 0; p < area; p++)
    for (gsize c = 0; c < channels; c++)
      to[p * channels + c] = from[c * area + p];
}

/* Images that are drawn at once, so many a thread. */
typedef struct {
  const NotchNet *net;
  const NotchNetImages *images;
  gsize first;
  int n;
  float *to;
} Drawing;

static void
draw_slice (gpointer data, int slice)
{
  const Drawing *drawing = data;
  const NotchNetShape *shape = &drawing->net->shape;
  gsize pixels = notch_net_pixels (shape);
  g_autofree float *scratch = g_new (float, pixels);
  for (int i = slice * NOTCH_NET_SLICE; i < MIN (drawing->n, (slice + 1) * NOTCH_NET_SLICE); i++)
    notch_net_draw (shape, drawing->images, drawing->first + (gsize) i, NULL, scratch,
                    drawing->to + (gsize) i * pixels);
}

/* ---- use --------------------------------------------------------------------------------------------------------- */

gboolean
notch_net_changed (NotchNet *net, GError **error)
{
  g_mutex_lock (&net->lock);
  gboolean well = !net->engine || notch_engine_set (net->engine, net, error);
  g_mutex_unlock (&net->lock);
  return well;
}

/* An engine for a place is kept, for making one takes time. */
static NotchEngine *
engine_for (NotchNet *net, const NotchCompute *compute, GError **error)
{
  const NotchCompute wanted = compute ? *compute : (NotchCompute){ 0 };
  if (net->engine && net->compute.kernels == wanted.kernels && net->compute.device[0] == wanted.device[0]
      && net->compute.jobs == wanted.jobs)
    return net->engine;
  g_clear_pointer (&net->engine, notch_engine_free);
  net->compute = wanted;
  return net->engine = notch_engine_new (net, compute, notch_engine_images (compute), NOTCH_ENGINE_APPLIES, error);
}

static gboolean
apply_all (NotchNet *net, const NotchNetImages *images, const NotchCompute *compute, float *probability,
           float *embedding, GError **error)
{
  NotchEngine *engine = engine_for (net, compute, error);
  if (!engine)
    return FALSE;
  const NotchNetShape *shape = &net->shape;
  gsize at_once = (gsize) notch_engine_images (compute), classes = (gsize) shape->classes;
  gsize length = (gsize) shape->embedding;
  int jobs = notch_compute_jobs (compute);
  g_autofree float *image = g_try_new0 (float, at_once *notch_net_pixels (shape));
  g_autofree float *answers = g_new (float, at_once *classes), *vectors = g_new (float, at_once *length);
  if (!image)
    return g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_DEVICE, "out of memory for images of a network"), FALSE;
  for (gsize first = 0; first < images->n; first += at_once) {
    gsize n = MIN (at_once, images->n - first);
    Drawing drawing = { net, images, first, (int) n, image };
    notch_parallel (jobs, (int) ((n + NOTCH_NET_SLICE - 1) / NOTCH_NET_SLICE), draw_slice, &drawing);
    if (!notch_engine_apply (engine, image, answers, embedding ? vectors : NULL, error))
      return FALSE;
    memcpy (probability + first * classes, answers, n * classes * sizeof *answers);
    if (embedding)
      memcpy (embedding + first * length, vectors, n * length * sizeof *vectors);
  }
  return TRUE;
}

gboolean
notch_net_apply (const NotchNet *net, const NotchNetImages *images, const NotchCompute *compute, float *probability,
                 float *embedding, GError **error)
{
  NotchNet *own = (NotchNet *) net; /* what it says does not change: only what it keeps to say it with */
  g_mutex_lock (&own->lock);
  gboolean well = apply_all (own, images, compute, probability, embedding, error);
  g_mutex_unlock (&own->lock);
  return well;
}

/* ---- as it is kept ----------------------------------------------------------------------------------------------- */

#define WEIGHTS "net.weights"
#define VECTORS "net.vectors"

guint16
notch_half (float x)
{
  guint32 bits = 0;
  memcpy (&bits, &x, sizeof bits);
  guint16 sign = (guint16) ((bits >> 16) & 0x8000);
  double size = fabs ((double) x);
  if (!(size < 65520)) /* rounds to infinity; the largest stands for it */
    return sign | 0x7bff;
  if (size < 0x1p-14) /* steps of 2^-24 */
    return sign | (guint16) nearbyint (size * 0x1p24);
  int exponent = 0;
  double rest = frexp (size, &exponent); /* 0.5 to 1; 11 bits of it */
  return sign | (guint16) (((exponent + 13) << 10) + (int) nearbyint (rest * 0x1p11));
}

float
notch_half_to_float (guint16 half)
{
  int exponent = (half >> 10) & 31, rest = half & 0x3ff;
  double size = exponent == 0 ? rest * 0x1p-24 : ldexp (1024 + rest, exponent - 25);
  return (float) (half & 0x8000 ? -size : size);
}

void
notch_net_round (NotchNet *net)
{
  for (gsize i = 0; i < net->n_weights; i++)
    net->parameter[i] = notch_half_to_float (notch_half (net->parameter[i]));
}

void
notch_net_to_model (const NotchNet *net, NotchModel *model)
{
  const NotchNetShape *shape = &net->shape;
  JsonObject *is = json_object_new ();
  json_object_set_int_member (is, "channels", shape->channels);
  json_object_set_int_member (is, "side", shape->side);
  JsonArray *widths = json_array_new (), *strides = json_array_new ();
  for (int b = 0; b < shape->n_blocks; b++) {
    json_array_add_int_element (widths, shape->block[b].width);
    json_array_add_int_element (strides, shape->block[b].stride);
  }
  json_object_set_array_member (is, "widths", widths);
  json_object_set_array_member (is, "strides", strides);
  json_object_set_int_member (is, "embedding", shape->embedding);
  json_object_set_int_member (is, "classes", shape->classes);
  json_object_set_object_member (model->settings, "net", is);

  gsize n_rest = net->n_parameters - net->n_weights + net->n_running;
  guint16 *weights = g_new (guint16, net->n_weights);
  for (gsize i = 0; i < net->n_weights; i++)
    weights[i] = GUINT16_TO_LE (notch_half (net->parameter[i]));
  guint32 *vectors = g_new (guint32, n_rest);
  memcpy (vectors, net->parameter + net->n_weights, (net->n_parameters - net->n_weights) * sizeof (float));
  memcpy (vectors + (net->n_parameters - net->n_weights), net->running, net->n_running * sizeof (float));
  for (gsize i = 0; i < n_rest; i++)
    vectors[i] = GUINT32_TO_LE (vectors[i]);
  g_autoptr (GBytes) weight_bytes = g_bytes_new_take (weights, net->n_weights * sizeof *weights);
  g_autoptr (GBytes) vector_bytes = g_bytes_new_take (vectors, n_rest * sizeof *vectors);
  notch_model_set_section (model, WEIGHTS, weight_bytes);
  notch_model_set_section (model, VECTORS, vector_bytes);
}

/* A whole number of a node, or -1 where it is none that fits. */
static int
int_of (JsonNode *node)
{
  if (!node || !JSON_NODE_HOLDS_VALUE (node) || json_node_get_value_type (node) != G_TYPE_INT64)
    return -1;
  gint64 value = json_node_get_int (node);
  return value < 0 || value > G_MAXINT ? -1 : (int) value;
}

static JsonArray *
array_of (JsonObject *object, const char *name)
{
  JsonNode *node = json_object_get_member (object, name);
  return node && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
}

static NotchNetShape
shape_of (JsonObject *is)
{
  NotchNetShape shape = { .channels = int_of (json_object_get_member (is, "channels")),
                          .side = int_of (json_object_get_member (is, "side")),
                          .embedding = int_of (json_object_get_member (is, "embedding")),
                          .classes = int_of (json_object_get_member (is, "classes")) };
  JsonArray *widths = array_of (is, "widths"), *strides = array_of (is, "strides");
  guint n = widths ? json_array_get_length (widths) : 0;
  if (n > NOTCH_NET_MAX_BLOCKS || !strides || json_array_get_length (strides) != n)
    return shape;
  shape.n_blocks = (int) n;
  for (guint b = 0; b < n; b++) {
    shape.block[b].width = int_of (json_array_get_element (widths, b));
    shape.block[b].stride = int_of (json_array_get_element (strides, b));
  }
  return shape;
}

/* The numbers of a section, which must be n of `size` bytes. */
static gconstpointer
section_of (const NotchModel *model, const char *name, gsize n, gsize size, GError **error)
{
  GBytes *bytes = notch_model_section (model, name, error);
  if (!bytes || g_bytes_get_size (bytes) == n * size)
    return bytes ? g_bytes_get_data (bytes, NULL) : NULL;
  notch_model_refuse (model, error,
                      "section %s has %" G_GSIZE_FORMAT " bytes, but the network's shape wants %" G_GSIZE_FORMAT
                      "; train it anew",
                      name, g_bytes_get_size (bytes), n * size);
  return NULL;
}

/* Reads the weights; FALSE where they are not there or no numbers. */
static gboolean
read_weights (NotchNet *net, const NotchModel *model, GError **error)
{
  gsize n_vectors = net->n_parameters - net->n_weights, n_rest = n_vectors + net->n_running;
  const guint8 *weights = section_of (model, WEIGHTS, net->n_weights, sizeof (guint16), error);
  const guint8 *vectors = weights ? section_of (model, VECTORS, n_rest, sizeof (guint32), error) : NULL;
  if (!vectors)
    return FALSE;
  gboolean numbers = TRUE;
  for (gsize i = 0; i < net->n_weights; i++) {
    guint16 half = (guint16) (weights[2 * i] | weights[2 * i + 1] << 8);
    net->parameter[i] = notch_half_to_float (half);
    numbers = numbers && (half & 0x7c00) != 0x7c00;
  }
  for (gsize i = 0; i < n_rest; i++) {
    const guint8 *from = vectors + 4 * i;
    guint32 bits = (guint32) from[0] | (guint32) from[1] << 8 | (guint32) from[2] << 16 | (guint32) from[3] << 24;
    float *to = i < n_vectors ? net->parameter + net->n_weights + i : net->running + (i - n_vectors);
    memcpy (to, &bits, sizeof bits);
    numbers = numbers && isfinite (*to);
  }
  for (int l = 0; l < net->n_layers; l++)
    for (int f = 0; net->layer[l].normed && f < net->layer[l].is.filters; f++)
      numbers = numbers && net->running[net->layer[l].variance + f] >= 0;
  return numbers || notch_model_refuse (model, error, "some of its weights are no numbers; train it anew");
}

NotchNet *
notch_net_from_model (const NotchModel *model, GError **error)
{
  JsonNode *node = json_object_get_member (model->settings, "net");
  NotchNetShape shape = { 0 };
  if (node && JSON_NODE_HOLDS_OBJECT (node))
    shape = shape_of (json_node_get_object (node));
  if (!shape_is_possible (&shape)) {
    notch_model_refuse (model, error, "its settings describe no network that can be; train it anew");
    return NULL;
  }
  g_autoptr (NotchNet) net = make_net (&shape, error);
  return net && read_weights (net, model, error) ? g_steal_pointer (&net) : NULL;
}
