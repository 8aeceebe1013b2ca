/* net.h - what the CPU's operations of a network share: threads, and the scratch of each */
#pragma once

#include "kernels/cpu/product.h"
#include "kernels/cpu/team.h"
#include "kernels/net.h"

typedef struct NotchCpuMemory NotchCpuMemory;

struct NotchNetLane {
  NotchFault fault;
  NotchTeam *team;
  NotchCpuMemory *memory;           /* all that was allocated */
  float *surroundings;              /* a thread each: of the images that one product takes */
  float *scratch;                   /* a thread each: of products */
  size_t n_surroundings, n_scratch; /* floats of a thread */
  float *partial;                   /* a slice each: derivatives by weights, then by bias */
  double *sums;                     /* a slice each: two a channel */
};

/* How many images one product takes: so many that it has some hundred rows. */
static inline int
notch_cpu_net_images (int area)
{
  int images = 256 / area;
  return images < 1 ? 1 : images > NOTCH_NET_SLICE ? NOTCH_NET_SLICE : images;
}

extern const NotchNetKernels notch_cpu_net;

#define NOTCH_NET_OPERATION(name, Args) int notch_cpu_net_##name (NotchNetLane *, const Args *);
NOTCH_NET_OPERATIONS (NOTCH_NET_OPERATION)
#undef NOTCH_NET_OPERATION
