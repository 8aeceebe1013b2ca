/* border.c - the part of `fit` that levels what runs along the borders of pieces */
#include "kernels/cpu/lane.h"

#include <math.h>

#define BORDER_WIDTH 3   /* px: as far as interpolation looks */
#define BORDER_LEAST 128 /* px: a shorter line tells too little of itself */

/* Takes what a line of pixels has in common off its residual: a part of the reference, by least squares without what
 * sticks out. `step` apart, n of them. */
static void
level_line (NotchLane *lane, float *res, float *ref, const uint8_t *judged, ptrdiff_t step, int n)
{
  float *size = lane->normal_sorted;
  double products = 0, squares = 0;
  int found = 0;
  for (int i = 0; i < n; i++)
    if (judged[i * step])
      size[found++] = fabsf (res[i * step]);
  if (found < BORDER_LEAST)
    return;
  float cut = 4 * 1.4826f * notch_cpu_select (size, found, found / 2);
  for (int i = 0; i < n; i++) {
    float r = res[i * step], g = ref[i * step];
    if (!judged[i * step] || fabsf (r) > cut)
      continue;
    products += (double) r * (double) g;
    squares += (double) g * (double) g;
  }
  float share = squares > 0 ? (float) (products / squares) : 0;
  for (int i = 0; i < n; i++)
    if (judged[i * step]) {
      res[i * step] -= share * ref[i * step];
      ref[i * step] += share * ref[i * step];
    }
}

void
notch_cpu_level_borders (NotchLane *lane, const NotchPiece *piece, float *res, float *ref)
{
  int size = lane->is.size, right = piece->x + piece->w, below = piece->y + piece->h;
  for (int k = 0; k < BORDER_WIDTH; k++) {
    const int column[2] = { piece->x + k, right - 1 - k }, row[2] = { piece->y + k, below - 1 - k };
    const bool at_column[2] = { piece->x > 0, right < size }, at_row[2] = { piece->y > 0, below < size };
    for (int side = 0; side < 2; side++) {
      ptrdiff_t first = (ptrdiff_t) piece->y * size + column[side];
      if (at_column[side] && 2 * k < piece->w)
        level_line (lane, res + first, ref + first, lane->judged + first, size, piece->h);
      first = (ptrdiff_t) row[side] * size + piece->x;
      if (at_row[side] && 2 * k < piece->h)
        level_line (lane, res + first, ref + first, lane->judged + first, 1, piece->w);
    }
  }
}
