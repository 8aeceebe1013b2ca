/* module.c - a device module for tests of the loader: four devices that are the CPU, but the first of them does not work, and
 * the third finds nothing. The environment's NOTCH_TEST_DEVICES is how many there are; two where it is not set. */
#include "kernels/kernels.h"

#include <stdio.h>
#include <stdlib.h>

static NotchDevice *device[4];
static NotchLane *blind;

static int
count (char fault[256])
{
  const char *n = getenv ("NOTCH_TEST_DEVICES");
  snprintf (fault, 256, "nothing is plugged in");
  return n ? *n - '0' : 2;
}

static NotchDevice *
open_device (int index, char fault[256])
{
  if (index > 0)
    return device[index] = notch_kernels_cpu.open (0, fault);
  snprintf (fault, 256, "it is on fire");
  return NULL;
}

static void
close_device (NotchDevice *which)
{
  for (int i = 0; i < 4; i++)
    device[i] = device[i] == which ? NULL : device[i];
  notch_kernels_cpu.close (which);
}

static void
describe (NotchDevice *which, char text[256])
{
  snprintf (text, 256, "a card of paper, number %d", which == device[1] ? 1 : which == device[2] ? 2 : 3);
}

static NotchLane *
lane_new (NotchDevice *which, const NotchLaneSize *size, char fault[256])
{
  NotchLane *lane = notch_kernels_cpu.lane_new (which, size, fault);
  blind = which == device[2] ? lane : blind == lane ? NULL : blind;
  return lane;
}

static int
finish (NotchLane *lane, NotchTileFound *found)
{
  int status = notch_kernels_cpu.finish (lane, found);
  if (lane == blind)
    found->n_blobs = 0;
  return status;
}

__attribute__ ((visibility ("default"))) const NotchKernels *notch_kernels_module (int abi);

const NotchKernels *
notch_kernels_module (int abi)
{
  static NotchKernels kernels;
  kernels = notch_kernels_cpu;
  kernels.name = "cuda";
  kernels.count = count;
  kernels.open = open_device;
  kernels.close = close_device;
  kernels.describe = describe;
  kernels.lane_new = lane_new;
  kernels.finish = finish;
  return abi == ABI ? &kernels : NULL;
}
