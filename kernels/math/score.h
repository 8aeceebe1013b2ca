/* score.h - a pixel's largest response, the filter that gave it and the side it is on, in one word
 *
 * A non-negative float orders like its bits, so the largest response is an integer maximum; the lowest six bits of the
 * mantissa carry the filter's number and the seventh the sign, which costs the score 1e-5 of its value. */
#pragma once

#include <string.h>

#include "kernels/kernels.h"
#include "kernels/math/fn.h"

#define NOTCH_SCORE_CHANNELS 64 /* what six bits can count */

#define NOTCH_SCORE_DARK 64 /* the bit of what is darker than the reference */

/* The size of a response, its channel and its side. */
NOTCH_FN int32_t
notch_score_pack (float response, int32_t channel)
{
  int32_t bits;
  memcpy (&bits, &response, sizeof bits);
  int32_t dark = bits < 0 ? NOTCH_SCORE_DARK : 0;
  return (bits & 0x7fffff80) | dark | channel;
}

/* A score made smaller or larger; its channel and side stay. */
NOTCH_FN int32_t
notch_score_scale (float score, float factor)
{
  int32_t bits;
  memcpy (&bits, &score, sizeof bits);
  int32_t kept = bits & 127;
  score *= factor;
  memcpy (&bits, &score, sizeof bits);
  return (bits & 0x7fffff80) | kept;
}

NOTCH_FN bool
notch_score_dark (float score)
{
  int32_t bits;
  memcpy (&bits, &score, sizeof bits);
  return (bits & NOTCH_SCORE_DARK) != 0;
}

NOTCH_FN int32_t
notch_score_channel (float score)
{
  int32_t bits;
  memcpy (&bits, &score, sizeof bits);
  return bits & (NOTCH_SCORE_CHANNELS - 1);
}

/* Sample i of a response on every `times`-th pixel, 2 or 4, stands for the pixels up to times / 2 on both sides of pixel
 * times * i; so a pixel has one sample, or two when it lies between them. */
NOTCH_FN int
notch_score_first (int at, int times)
{
  return (at + times / 2 - 1) / times;
}

NOTCH_FN int
notch_score_last (int at, int times)
{
  return (at + times / 2) / times;
}
