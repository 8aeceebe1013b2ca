/* border.c - the part of `fit` that levels what runs along the borders of pieces */
#include "kernels/cpu/lane.h"

#include <math.h>

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
  if (found < NOTCH_BORDER_LEAST)
    return;
  float cut = NOTCH_BORDER_CUT * notch_cpu_select (size, found, found / 2);
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
  int size = lane->is.size;
  for (int i = 0; i < 4 * NOTCH_BORDER_WIDTH; i++) {
    NotchBorderLine line;
    if (!notch_border_line (piece, size, i, &line))
      continue;
    ptrdiff_t first = (ptrdiff_t) line.y * size + line.x;
    level_line (lane, res + first, ref + first, lane->judged + first, line.upright ? size : 1, line.n);
  }
}
