/* fault.h - what a backend tells of a call that failed */
#pragma once

#include <stdbool.h>

/* `full`: it was for want of memory; then less of it, or another device, may do. */
typedef struct {
  char text[256];
  bool full;
} NotchFault;
