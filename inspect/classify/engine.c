/* engine.c - forward and back through the layers, on whatever device */
#include "inspect/classify/engine.h"

#include <math.h>

/* Memory of one that learns holds every layer's values, for the way back needs them; one that does not has two buffers that
 * layers write by turns. */
struct NotchEngine {
  const NotchNetKernels *kernels;
  NotchNetLane *lane;
  NotchDevice *device; /* opened by the engine, or NULL */
  void (*close) (NotchDevice *);
  NotchNetShape shape;
  int n_layers, images;
  NotchNetLayer layer[NOTCH_NET_MAX_LAYERS]; /* with n */
  gsize n_weights, n_parameters, n_running;
  gboolean learns;
  float *state[NOTCH_ENGINE_N_STATES]; /* one that only applies has folded parameters, and nothing else */
  float *x[NOTCH_NET_MAX_LAYERS];      /* what goes into a layer; x[0] is the images */
  float *y[NOTCH_NET_MAX_LAYERS];      /* what its convolution makes */
  float *mean[NOTCH_NET_MAX_LAYERS], *inverse[NOTCH_NET_MAX_LAYERS];
  float *before_pool, *logit, *probability, *target, *loss;
  float *d[2]; /* derivatives by what a layer makes and what goes into it, by turns */
};

static gboolean
engine_fault (NotchEngine *engine, GError **error)
{
  return notch_fault_error (engine->kernels->fault (engine->lane), "a network cannot be computed", error);
}

/* Floats that come out of a layer, of all images. */
static gsize
out_size (const NotchNetLayer *layer)
{
  gsize side = (gsize) notch_net_side_out (&layer->is);
  return (gsize) layer->is.n * side * side * (gsize) layer->is.filters;
}

static gsize
in_size (const NotchNetLayer *layer)
{
  return (gsize) layer->is.n * (gsize) layer->is.side * (gsize) layer->is.side * (gsize) layer->is.channels;
}

/* The first layer behind the pool. */
static inline int
pooled (const NotchEngine *engine)
{
  return engine->n_layers - 2;
}

gsize
notch_engine_state_size (const NotchNet *net, NotchEngineState which)
{
  return which == NOTCH_ENGINE_RUNNING ? net->n_running : net->n_parameters;
}

static gsize
state_size (const NotchEngine *engine, NotchEngineState which)
{
  return which == NOTCH_ENGINE_RUNNING ? engine->n_running : engine->n_parameters;
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static gboolean
allocate (NotchEngine *engine, gsize n, float **memory)
{
  return engine->kernels->allocate (engine->lane, n, memory) == 0;
}

static gboolean
allocate_layers (NotchEngine *engine)
{
  gsize largest = 0;
  for (int l = 0; l < engine->n_layers; l++) {
    const NotchNetLayer *layer = &engine->layer[l];
    largest = MAX (largest, MAX (in_size (layer), out_size (layer)));
    gsize filters = (gsize) layer->is.filters;
    if (engine->learns
        && (!allocate (engine, in_size (layer), &engine->x[l]) || !allocate (engine, out_size (layer), &engine->y[l])
            || !allocate (engine, filters, &engine->mean[l]) || !allocate (engine, filters, &engine->inverse[l])))
      return FALSE;
  }
  return engine->learns || allocate (engine, in_size (&engine->layer[0]), &engine->x[0])
             ? allocate (engine, largest, &engine->d[0]) && allocate (engine, largest, &engine->d[1])
             : FALSE;
}

static gboolean
allocate_all (NotchEngine *engine)
{
  gsize answers = (gsize) engine->images * (gsize) engine->shape.classes;
  if (!allocate_layers (engine) || !allocate (engine, answers, &engine->logit)
      || !allocate (engine, answers, &engine->probability)
      || !allocate (engine, engine->n_parameters, &engine->state[NOTCH_ENGINE_PARAMETER]))
    return FALSE;
  if (!engine->learns)
    return TRUE;
  for (int s = NOTCH_ENGINE_PARAMETER + 1; s < NOTCH_ENGINE_N_STATES; s++)
    if (!allocate (engine, state_size (engine, s), &engine->state[s]))
      return FALSE;
  return allocate (engine, out_size (&engine->layer[pooled (engine) - 1]), &engine->before_pool)
         && allocate (engine, answers, &engine->target) && allocate (engine, (gsize) engine->images, &engine->loss);
}

int
notch_engine_images (const NotchCompute *compute)
{
  return (compute && compute->kernels ? compute->kernels : &notch_kernels_cpu)->net->images;
}

NotchEngine *
notch_engine_new (const NotchNet *net, const NotchCompute *compute, int images, NotchEngineUse use, GError **error)
{
  NotchFault fault = { 0 };
  const NotchKernels *kernels = compute && compute->kernels ? compute->kernels : &notch_kernels_cpu;
  g_autoptr (NotchEngine) engine = g_new0 (NotchEngine, 1);
  NotchNetGeometry geometry[NOTCH_NET_MAX_LAYERS];
  engine->kernels = kernels->net;
  engine->close = kernels->close;
  engine->shape = net->shape;
  engine->n_layers = net->n_layers;
  engine->images = images;
  engine->learns = use != NOTCH_ENGINE_APPLIES;
  engine->n_weights = net->n_weights, engine->n_parameters = net->n_parameters, engine->n_running = net->n_running;
  for (int l = 0; l < net->n_layers; l++) {
    engine->layer[l] = net->layer[l];
    engine->layer[l].is.n = images;
    geometry[l] = engine->layer[l].is;
  }
  NotchDevice *device = compute && compute->n_devices > 0 ? compute->device[0] : NULL;
  if (!device)
    device = engine->device = kernels->open (0, &fault);
  NotchNetSize size = { notch_compute_jobs (compute), images, net->n_layers, geometry, use == NOTCH_ENGINE_LEARNS };
  if (device)
    engine->lane = engine->kernels->lane_new (device, &size, &fault);
  if (!engine->lane) {
    notch_fault_error (&fault, "a network cannot be computed", error);
    return NULL;
  }
  if (!allocate_all (engine)) {
    engine_fault (engine, error);
    return NULL;
  }
  return notch_engine_set (engine, net, error) ? g_steal_pointer (&engine) : NULL;
}

void
notch_engine_free (NotchEngine *engine)
{
  if (!engine)
    return;
  if (engine->lane)
    engine->kernels->lane_free (engine->lane);
  if (engine->device)
    engine->close (engine->device);
  g_free (engine);
}

/* ---- weights ----------------------------------------------------------------------------------------------------- */

/* What a layer does to what it normalises is a factor and a shift a channel, once mean and variance are settled: they go into
 * its weights and its bias. */
static float *
fold (const NotchNet *net)
{
  float *to = g_memdup2 (net->parameter, net->n_parameters * sizeof *to);
  for (int l = 0; l < net->n_layers; l++) {
    const NotchNetLayer *layer = &net->layer[l];
    int filters = layer->is.filters;
    for (int f = 0; f < filters && layer->normed; f++) {
      float factor = net->parameter[layer->gain + f] / sqrtf (net->running[layer->variance + f] + NOTCH_NET_EPSILON);
      for (int r = 0; r < notch_net_weight_rows (&layer->is); r++)
        to[layer->weight + (gsize) r * filters + f] *= factor;
      to[layer->shift + f] = net->parameter[layer->shift + f] - net->running[layer->mean + f] * factor;
    }
  }
  return to;
}

gboolean
notch_engine_set (NotchEngine *engine, const NotchNet *net, GError **error)
{
  if (engine->learns)
    return notch_engine_set_state (engine, NOTCH_ENGINE_PARAMETER, net->parameter, error)
           && notch_engine_set_state (engine, NOTCH_ENGINE_RUNNING, net->running, error);
  g_autofree float *folded = fold (net);
  return notch_engine_set_state (engine, NOTCH_ENGINE_PARAMETER, folded, error);
}

gboolean
notch_engine_get_state (NotchEngine *engine, NotchEngineState which, float *to, GError **error)
{
  return engine->kernels->down (engine->lane, to, engine->state[which], state_size (engine, which)) == 0
         || engine_fault (engine, error);
}

gboolean
notch_engine_set_state (NotchEngine *engine, NotchEngineState which, const float *from, GError **error)
{
  return engine->kernels->up (engine->lane, engine->state[which], from, state_size (engine, which)) == 0
         || engine_fault (engine, error);
}

/* ---- forward ----------------------------------------------------------------------------------------------------- */

static int
pool (NotchEngine *engine, const float *x, float *y)
{
  const NotchNetLayer *last = &engine->layer[pooled (engine) - 1];
  int side = notch_net_side_out (&last->is);
  return engine->kernels->pool (engine->lane, &(NotchNetPool){ engine->images, side * side, last->is.filters, x, y });
}

/* The answers' loss as well where there are targets. */
static int
judge (NotchEngine *engine, gboolean with_loss)
{
  NotchNetLoss loss = {
    .n = engine->images, .classes = engine->shape.classes, .logit = engine->logit, .probability = engine->probability
  };
  if (with_loss)
    loss.target = engine->target, loss.weight = (float) (1.0 / engine->images), loss.loss = engine->loss,
    loss.dlogit = engine->d[0];
  return engine->kernels->loss (engine->lane, &loss);
}

/* Layers with folded weights; *embedding is where the embedding is. */
static int
apply_layers (NotchEngine *engine, const float **embedding)
{
  const float *weights = engine->state[NOTCH_ENGINE_PARAMETER];
  const float *x = engine->x[0];
  for (int l = 0; l < engine->n_layers; l++) {
    const NotchNetLayer *layer = &engine->layer[l];
    if (l == pooled (engine)) {
      float *y = x == engine->d[0] ? engine->d[1] : engine->d[0];
      if (pool (engine, x, y) != 0)
        return -1;
      x = y;
    }
    float *y = l == engine->n_layers - 1 ? engine->logit : x == engine->d[0] ? engine->d[1] : engine->d[0];
    if (engine->kernels->convolve (engine->lane, &(NotchNetConvolve){ layer->is, x, weights + layer->weight,
                                                                      weights + layer->shift, layer->normed, y })
        != 0)
      return -1;
    if (l == engine->n_layers - 1)
      *embedding = x;
    x = y;
  }
  return judge (engine, FALSE);
}

gboolean
notch_engine_apply (NotchEngine *engine, const float *image, float *probability, float *embedding, GError **error)
{
  gsize n = (gsize) engine->images, pixels = notch_net_pixels (&engine->shape);
  const float *embedded = NULL;
  const NotchNetKernels *kernels = engine->kernels;
  return (kernels->up (engine->lane, engine->x[0], image, n * pixels) == 0 && apply_layers (engine, &embedded) == 0
          && kernels->down (engine->lane, probability, engine->probability, n * (gsize) engine->shape.classes) == 0
          && (!embedding
              || kernels->down (engine->lane, embedding, embedded, n * (gsize) engine->shape.embedding) == 0))
         || engine_fault (engine, error);
}

/* What a normalised layer makes. */
static float *
made_by (const NotchEngine *engine, int l)
{
  return l + 1 == pooled (engine) ? engine->before_pool : engine->x[l + 1];
}

/* Layers that learn: every value is kept. */
static int
learn_forward (NotchEngine *engine)
{
  const NotchNetKernels *kernels = engine->kernels;
  const float *weights = engine->state[NOTCH_ENGINE_PARAMETER];
  float *running = engine->state[NOTCH_ENGINE_RUNNING];
  for (int l = 0; l < engine->n_layers; l++) {
    const NotchNetLayer *layer = &engine->layer[l];
    gboolean last = l == engine->n_layers - 1;
    if (l == pooled (engine) && pool (engine, engine->before_pool, engine->x[l]) != 0)
      return -1;
    NotchNetConvolve convolve = { .is = layer->is, .x = engine->x[l], .weight = weights + layer->weight };
    convolve.y = last ? engine->logit : engine->y[l];
    convolve.bias = last ? weights + layer->shift : NULL;
    if (kernels->convolve (engine->lane, &convolve) != 0)
      return -1;
    if (last)
      break;
    NotchNetNorm norm = { .rows = (gint64) (out_size (layer) / (gsize) layer->is.filters),
                          .channels = layer->is.filters,
                          .x = engine->y[l],
                          .gain = weights + layer->gain,
                          .shift = weights + layer->shift,
                          .mean = engine->mean[l],
                          .inverse = engine->inverse[l],
                          .running_mean = running + layer->mean,
                          .running_variance = running + layer->variance,
                          .momentum = 0.1f,
                          .y = made_by (engine, l) };
    if (kernels->norm (engine->lane, &norm) != 0)
      return -1;
  }
  return judge (engine, TRUE);
}

/* ---- back -------------------------------------------------------------------------------------------------------- */

/* From the derivatives by what a layer makes, in dy, to those by what it has before max (0, x) and normalisation, there too. */
static int
norm_back (NotchEngine *engine, int l, float *dy)
{
  const NotchNetLayer *layer = &engine->layer[l];
  const float *weights = engine->state[NOTCH_ENGINE_PARAMETER];
  float *gradient = engine->state[NOTCH_ENGINE_GRADIENT];
  NotchNetNormBack back = { .rows = (gint64) (out_size (layer) / (gsize) layer->is.filters),
                            .channels = layer->is.filters,
                            .x = engine->y[l],
                            .y = made_by (engine, l),
                            .gain = weights + layer->gain,
                            .mean = engine->mean[l],
                            .inverse = engine->inverse[l],
                            .dy = dy,
                            .dx = dy,
                            .dgain = gradient + layer->gain,
                            .dshift = gradient + layer->shift };
  return engine->kernels->norm_back (engine->lane, &back);
}

/* To those by what goes into the layer, and by its weights. */
static int
convolve_back (NotchEngine *engine, int l, const float *dy, float *dx)
{
  const NotchNetLayer *layer = &engine->layer[l];
  float *gradient = engine->state[NOTCH_ENGINE_GRADIENT];
  NotchNetConvolveBack back = { .is = layer->is,
                                .x = engine->x[l],
                                .weight = engine->state[NOTCH_ENGINE_PARAMETER] + layer->weight,
                                .dy = dy,
                                .dx = l > 0 ? dx : NULL,
                                .dweight = gradient + layer->weight,
                                .dbias = layer->normed ? NULL : gradient + layer->shift };
  return engine->kernels->convolve_back (engine->lane, &back);
}

/* From the derivatives by the logits, in d[0], to those by all parameters. */
static int
learn_back (NotchEngine *engine)
{
  int at = 0;
  for (int l = engine->n_layers - 1; l >= 0; l--, at = 1 - at) {
    const NotchNetLayer *layer = &engine->layer[l];
    if (l + 1 == pooled (engine)) {
      int side = notch_net_side_out (&layer->is);
      NotchNetPoolBack back = { engine->images, side * side, layer->is.filters, engine->d[at], engine->d[1 - at] };
      if (engine->kernels->pool_back (engine->lane, &back) != 0)
        return -1;
      at = 1 - at;
    }
    if ((layer->normed && norm_back (engine, l, engine->d[at]) != 0)
        || convolve_back (engine, l, engine->d[at], engine->d[1 - at]) != 0)
      return -1;
  }
  return 0;
}

gboolean
notch_engine_derive (NotchEngine *engine, const float *image, const float *target, float *loss, float *probability,
                     GError **error)
{
  const NotchNetKernels *kernels = engine->kernels;
  gsize n = (gsize) engine->images, answers = n * (gsize) engine->shape.classes;
  return (kernels->up (engine->lane, engine->x[0], image, n * notch_net_pixels (&engine->shape)) == 0
          && kernels->up (engine->lane, engine->target, target, answers) == 0 && learn_forward (engine) == 0
          && learn_back (engine) == 0 && kernels->down (engine->lane, loss, engine->loss, n) == 0
          && kernels->down (engine->lane, probability, engine->probability, answers) == 0)
         || engine_fault (engine, error);
}

gboolean
notch_engine_step (NotchEngine *engine, double rate, double decay, gint64 step, GError **error)
{
  float *const *state = engine->state;
  NotchNetAdamW weights = { engine->n_weights,
                            state[NOTCH_ENGINE_PARAMETER],
                            state[NOTCH_ENGINE_MEAN],
                            state[NOTCH_ENGINE_SQUARE],
                            state[NOTCH_ENGINE_GRADIENT],
                            (float) rate,
                            (float) decay,
                            step };
  NotchNetAdamW others = weights;
  others.n = engine->n_parameters - engine->n_weights;
  others.weight += engine->n_weights, others.mean += engine->n_weights, others.square += engine->n_weights;
  others.gradient += engine->n_weights;
  others.decay = 0;
  return (engine->kernels->adamw (engine->lane, &weights) == 0 && engine->kernels->adamw (engine->lane, &others) == 0)
         || engine_fault (engine, error);
}
