/* module.c - a device module for tests of the loader: two devices, the first of which does not work. The environment's
 * NOTCH_TEST_DEVICES is how many there are. */
#include "kernels/kernels.h"

#include <stdio.h>
#include <stdlib.h>

struct NotchDevice {
  int index;
};

static NotchDevice devices[2] = { { 0 }, { 1 } };

static int
count (void)
{
  const char *n = getenv ("NOTCH_TEST_DEVICES");
  return n ? *n - '0' : 2;
}

static NotchDevice *
open_device (int index, char fault[256])
{
  if (index == 0) {
    snprintf (fault, 256, "it is on fire");
    return NULL;
  }
  return &devices[index];
}

static void
close_device (NotchDevice *device)
{
}

static void
describe (NotchDevice *device, char text[256])
{
  snprintf (text, 256, "a card of paper, number %d", device->index);
}

static const NotchKernels kernels = {
  .name = "cuda",
  .count = count,
  .open = open_device,
  .close = close_device,
  .describe = describe,
};

__attribute__ ((visibility ("default"))) const NotchKernels *notch_kernels_module (int abi);

const NotchKernels *
notch_kernels_module (int abi)
{
  return abi == ABI ? &kernels : NULL;
}
