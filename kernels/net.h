/* net.h - the operations that a convolutional network is made of, which every backend fills in
 *
 * What goes through a network is a matrix: a row for each pixel of each image, a column for each channel, so that a row's
 * channels lie side by side. A convolution is the product of the matrix of every pixel's surroundings with the weights; a
 * layer without surroundings (kernel 1) is the product itself, also for images of one pixel.
 *
 * Memory is the device's; a lane allocates it and gives it back when it is freed. Operations follow each other in the order
 * of the calls, `down` waits for them. They return 0, or -1 with the reason in fault (lane). The same numbers come out for
 * any number of threads, for sums are made of fixed parts in a fixed order; images of one call do not see each other but
 * in `norm`. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/fault.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct NotchNetLane NotchNetLane; /* opaque: threads or a stream, and memory */

/* The number of images of a call is a multiple of this. */
#define NOTCH_NET_SLICE 16

/* A convolution's shape. Around an image are zeros. */
typedef struct {
  int n;              /* images */
  int side, channels; /* of an image that comes in */
  int kernel;         /* px: 3 or 1 */
  int stride;         /* 1 or 2 */
  int filters;        /* channels that come out */
} NotchNetGeometry;

/* Side of what comes out; rows of weights, kernel x kernel x channels; floats of the surroundings of one image. */
static inline int
notch_net_side_out (const NotchNetGeometry *is)
{
  return (is->side + is->stride - 1) / is->stride;
}
static inline int
notch_net_weight_rows (const NotchNetGeometry *is)
{
  return is->kernel * is->kernel * is->channels;
}
static inline size_t
notch_net_surroundings (const NotchNetGeometry *is)
{
  size_t side = (size_t) notch_net_side_out (is);
  return side * side * (size_t) notch_net_weight_rows (is);
}

typedef struct { /* y = x * weight, or with a bias x * weight + bias, or max (0, that) */
  NotchNetGeometry is;
  const float *x;      /* n side^2 x channels */
  const float *weight; /* weight_rows x filters; rows by line, column and channel of the kernel */
  const float *bias;   /* filters, or NULL */
  bool rectify;        /* where there is a bias */
  float *y;            /* n side_out^2 x filters */
} NotchNetConvolve;

typedef struct { /* the derivatives of the loss by x, weight and bias, from that by y */
  NotchNetGeometry is;
  const float *x, *weight, *dy;
  float *dx;      /* NULL where it is not wanted */
  float *dweight; /* overwritten, as is */
  float *dbias;   /* which may be NULL */
} NotchNetConvolveBack;

#define NOTCH_NET_EPSILON 1e-5f /* added to a variance */

/* Batch normalisation (Ioffe and Szegedy 2015) and max (0, y): y = max (0, gain (x - mean) / sd + shift), mean and sd of
 * each column over all rows. */
typedef struct {
  int64_t rows; /* a multiple of NOTCH_NET_SLICE */
  int channels;
  const float *x, *gain, *shift;
  float *mean, *inverse;                  /* channels each: what they were, 1 / sd */
  float *running_mean, *running_variance; /* moved towards them by `momentum` */
  float momentum;
  float *y;
} NotchNetNorm;

typedef struct {
  int64_t rows;
  int channels;
  const float *x, *y, *gain, *mean, *inverse; /* as `norm` left them */
  const float *dy;
  float *dx; /* may be dy */
  float *dgain, *dshift;
} NotchNetNormBack;

typedef struct { /* y: the mean over an image's pixels */
  int n, area, channels;
  const float *x;
  float *y; /* n x channels */
} NotchNetPool;

typedef struct {
  int n, area, channels;
  const float *dy;
  float *dx;
} NotchNetPoolBack;

/* Probabilities by softmax, and, where there is a target, the cross entropy and its derivative, times `weight`. */
typedef struct {
  int n, classes;
  const float *logit;
  float *probability;  /* n x classes */
  const float *target; /* n x classes, 0 to 1; NULL: nothing of what follows is looked at */
  float weight;
  float *loss, *dlogit; /* n; n x classes */
} NotchNetLoss;

/* AdamW (Kingma and Ba 2015, Loshchilov and Hutter 2019) on n weights. */
typedef struct {
  size_t n;
  float *weight, *mean, *square; /* mean and square: running ones of the gradient */
  const float *gradient;
  float rate, decay; /* decay: of the weights, times rate */
  int64_t step;      /* from 1 */
} NotchNetAdamW;

#define NOTCH_NET_OPERATIONS(S)                                                                                        \
  S (convolve, NotchNetConvolve)                                                                                       \
  S (convolve_back, NotchNetConvolveBack)                                                                              \
  S (norm, NotchNetNorm)                                                                                               \
  S (norm_back, NotchNetNormBack)                                                                                      \
  S (pool, NotchNetPool)                                                                                               \
  S (pool_back, NotchNetPoolBack)                                                                                      \
  S (loss, NotchNetLoss)                                                                                               \
  S (adamw, NotchNetAdamW)

/* The most that a lane will be asked for: a convolution of each of these shapes, of up to `images`. */
typedef struct {
  int jobs; /* threads, where they are the host's */
  int images;
  int n_layers;
  const NotchNetGeometry *layer; /* their n does not count */
  int brief; /* not 0: a device with tensor cores for bfloat16 may round to that what it multiplies; sums stay single */
} NotchNetSize;

struct NotchDevice;

typedef struct {
  int images; /* at once, that keep a device busy */
  NotchNetLane *(*lane_new) (struct NotchDevice *, const NotchNetSize *, NotchFault *fault);
  void (*lane_free) (NotchNetLane *);
  const NotchFault *(*fault) (NotchNetLane *);
  int (*allocate) (NotchNetLane *, size_t n, float **memory); /* zeros */
  int (*up) (NotchNetLane *, float *to, const float *from, size_t n);
  int (*down) (NotchNetLane *, float *to, const float *from, size_t n);
#define NOTCH_NET_OPERATION(name, Args) int (*name) (NotchNetLane *, const Args *);
  NOTCH_NET_OPERATIONS (NOTCH_NET_OPERATION)
#undef NOTCH_NET_OPERATION
} NotchNetKernels;

#ifdef __cplusplus
}
#endif
