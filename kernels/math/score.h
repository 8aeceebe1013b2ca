/* score.h - a pixel's largest response and the filter that gave it, in one word
 *
 * A non-negative float orders like its bits, so the largest response is an integer maximum; the lowest six bits of the
 * mantissa carry the filter's number, which costs the score 4e-6 of its value. */
#pragma once

#include <string.h>

#include "kernels/kernels.h"
#include "kernels/math/fn.h"

#define NOTCH_SCORE_CHANNELS 64 /* what six bits can count */

/* The bits of a response that is not negative, with its channel. */
NOTCH_FN int32_t
notch_score_pack (float response, int32_t channel)
{
  int32_t bits;
  memcpy (&bits, &response, sizeof bits);
  return (bits & ~(NOTCH_SCORE_CHANNELS - 1)) | channel;
}

NOTCH_FN int32_t
notch_score_channel (float score)
{
  int32_t bits;
  memcpy (&bits, &score, sizeof bits);
  return bits & (NOTCH_SCORE_CHANNELS - 1);
}
