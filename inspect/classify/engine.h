/* engine.h - a network on a device: its layers one after the other, forward and back */
#pragma once

#include "inspect/classify/net.h"

enum { NOTCH_NET_MAX_LAYERS = NOTCH_NET_MAX_BLOCKS + 2 };

/* A convolution, and what follows it: normalisation and max (0, x), or just a bias. */
typedef struct {
  NotchNetGeometry is;
  gboolean normed;
  gsize weight;         /* where its weights begin among the parameters */
  gsize gain, shift;    /* likewise; without normalisation only the shift, its bias */
  gsize mean, variance; /* where they begin among what runs along */
} NotchNetLayer;

/* The blocks, the layer of the embedding, the layer of the classes. Parameters are the weights of all layers, which decay,
 * then gains and shifts, which do not. */
struct NotchNet {
  NotchNetShape shape;
  int n_layers;
  NotchNetLayer layer[NOTCH_NET_MAX_LAYERS];
  gsize n_weights, n_parameters, n_running;
  float *parameter;
  float *running; /* means and variances of what is normalised */
  GMutex lock;    /* guards what notch_net_apply keeps */
  struct NotchEngine *engine;
  NotchCompute compute; /* that the engine is for */
};

/* Floats of an image. */
static inline gsize
notch_net_pixels (const NotchNetShape *shape)
{
  return (gsize) shape->channels * (gsize) shape->side * (gsize) shape->side;
}

/* Writes image i with its channels side by side, changed by chance where there is `random`; `scratch` is of the same size. */
void notch_net_draw (const NotchNetShape *shape, const NotchNetImages *images, gsize i, NotchRandom *random,
                     float *scratch, float *to);

/* A number in 16 bits (IEEE 754 binary16): the nearest, of two as near the even one; the largest for what is larger. */
guint16 notch_half (float x);
float notch_half_to_float (guint16 half);
/* Rounds the weights to what 16 bits hold. */
void notch_net_round (NotchNet *net);

/* To be called when the weights are other ones. */
gboolean notch_net_changed (NotchNet *net, GError **error);

typedef struct NotchEngine NotchEngine;

/* What it is for. One that learns multiplies in bfloat16 where a card can, and keeps all that it multiplies, weights first, in
 * single precision (Micikevicius et al., ICLR 2018; Kalamkar et al. 2019). */
typedef enum { NOTCH_ENGINE_APPLIES, NOTCH_ENGINE_LEARNS, NOTCH_ENGINE_LEARNS_IN_SINGLE } NotchEngineUse;

/* `images`, a multiple of NOTCH_NET_SLICE, at once. One that learns starts with the net's weights; one that does not has
 * what runs along folded into them (notch_engine_set). */
NotchEngine *notch_engine_new (const NotchNet *net, const NotchCompute *compute, int images, NotchEngineUse use,
                               GError **error);
void notch_engine_free (NotchEngine *engine);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchEngine, notch_engine_free)

/* How many images keep a device busy. */
int notch_engine_images (const NotchCompute *compute);

/* Gives the engine the weights of a net of its shape. */
gboolean notch_engine_set (NotchEngine *engine, const NotchNet *net, GError **error);

/* Classifies `images` images, rows of pixels with their channels side by side; `embedding` may be NULL. */
gboolean notch_engine_apply (NotchEngine *engine, const float *image, float *probability, float *embedding,
                             GError **error);

/* Mean loss of `images` images, a share each, and its derivatives by all parameters. Targets are images x classes, as
 * NotchNetLoss has them. */
gboolean notch_engine_derive (NotchEngine *engine, const float *image, const float *target, float *loss,
                              float *probability, GError **error);
/* A step down what was derived; `step` counts from 1. */
gboolean notch_engine_step (NotchEngine *engine, double rate, double decay, gint64 step, GError **error);

/* What an engine that learns knows, for tests and checkpoints: n_parameters each, and n_running. */
typedef enum {
  NOTCH_ENGINE_PARAMETER,
  NOTCH_ENGINE_GRADIENT,
  NOTCH_ENGINE_MEAN,
  NOTCH_ENGINE_SQUARE,
  NOTCH_ENGINE_RUNNING,
  NOTCH_ENGINE_N_STATES
} NotchEngineState;
gsize notch_engine_state_size (const NotchNet *net, NotchEngineState which);
gboolean notch_engine_get_state (NotchEngine *engine, NotchEngineState which, float *to, GError **error);
gboolean notch_engine_set_state (NotchEngine *engine, NotchEngineState which, const float *from, GError **error);
