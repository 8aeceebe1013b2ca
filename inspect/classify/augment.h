/* augment.h - a defect's patch as another image of it might have shown it
 *
 * What changes from one image of the same defect to another is the image's physics: where the pixels lie, how bright, how
 * sharp and how noisy it is. Each of these is a row in a table. */
#pragma once

#include "inspect/random.h"

/* A test and its reference, side x side grey levels each, without NAN. */
typedef struct {
  int side;     /* px */
  double noise; /* sigma of a pixel of the test, grey levels */
  float *test, *reference;
  float *scratch; /* side x side */
} NotchPatchPair;

/* What may be done; a class whose look depends on its direction allows no NOTCH_AUGMENT_DIRECTION. */
typedef enum {
  NOTCH_AUGMENT_SHIFT = 1,    /* the patch lies up to 2 px aside, in fractions of a pixel */
  NOTCH_AUGMENT_REGISTER = 2, /* the reference lies up to 0.1 px off the test */
  NOTCH_AUGMENT_MIRROR = 4,
  NOTCH_AUGMENT_TURN = 8,     /* by 90 degrees */
  NOTCH_AUGMENT_GAIN = 16,    /* the test is up to 3 % brighter or darker about its mean */
  NOTCH_AUGMENT_OFFSET = 32,  /* by up to half a sigma of its noise */
  NOTCH_AUGMENT_DEFOCUS = 64, /* both are blurred by up to a Gaussian of 0.7 px, the test a little more or less */
  NOTCH_AUGMENT_NOISE = 128,  /* of up to a sigma is added to the test */
  NOTCH_AUGMENT_PATCH = 255,  /* all of these */
  NOTCH_AUGMENT_FLIP = 256,   /* up to 4 % of the test's pixels become 1 less themselves */
  NOTCH_AUGMENT_DIRECTION = NOTCH_AUGMENT_MIRROR | NOTCH_AUGMENT_TURN,
  /* of a wafer map: the test is what failed, 0 to 1, the reference where there are dice */
  NOTCH_AUGMENT_MAP = NOTCH_AUGMENT_DIRECTION | NOTCH_AUGMENT_FLIP
} NotchAugment;

/* Does each thing of `allowed` to the pair, as the numbers of `random` have it. */
void notch_augment (NotchPatchPair *pair, guint allowed, NotchRandom *random);

/* Turns and mirrors the pair in one of the eight ways that lay a square on itself, 0 to 7; 0 leaves it as it is. */
void notch_view (NotchPatchPair *pair, int way);
