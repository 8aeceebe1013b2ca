/* number.h - which pixels are numbers */
#pragma once

#include "kernels/kernels.h"
#include "kernels/math/fn.h"

NOTCH_FN bool
notch_is_number (float value)
{
  return fabsf (value) <= NOTCH_LARGEST_PIXEL;
}
