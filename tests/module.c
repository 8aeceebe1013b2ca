/* module.c - a device module for tests of the loader: four devices that are the CPU, but the first of them does not work, and
 * the third finds nothing, and the fourth has no room for trees. The environment's NOTCH_TEST_DEVICES is how many there are;
 * two where it is not set. */
#include "kernels/kernels.h"

#include <stdio.h>
#include <stdlib.h>

static NotchDevice *device[4];
static NotchLane *blind;

static int
count (NotchFault *fault)
{
  const char *n = getenv ("NOTCH_TEST_DEVICES");
  snprintf (fault->text, sizeof fault->text, "nothing is plugged in");
  return n ? *n - '0' : 2;
}

static NotchDevice *
open_device (int index, NotchFault *fault)
{
  if (index > 0)
    return device[index] = notch_kernels_cpu.open (0, fault);
  *fault = (NotchFault){ "it is on fire", false };
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
lane_new (NotchDevice *which, const NotchLaneSize *size, NotchFault *fault)
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

static NotchTreesMem *
trees_up (NotchDevice *which, const NotchTrees *trees, NotchFault *fault)
{
  if (which != device[3])
    return notch_kernels_cpu.trees_up (which, trees, fault);
  *fault = (NotchFault){ "no room for trees", true };
  return NULL;
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
  kernels.trees_up = trees_up;
  return abi == ABI ? &kernels : NULL;
}
