/* border.c - the part of `fit` that levels what runs along the borders of pieces */
#include "kernels/cpu/lane.h"

#include <math.h>

/* Takes what a line of pixels has in common off its residual: a part of the reference, by least squares without what sticks
 * out. `step` apart, n of them, and which of them count. `raw`: the reference before it was fitted, which is there on both
 * sides of the border. */
static void
level_line (NotchLane *lane, const float *raw, float *res, float *ref, const uint8_t *counts, ptrdiff_t step, int n)
{
  float *sizes = lane->normal_sorted;
  int size = lane->is.size;
  double products = 0, squares = 0;
  int found = 0;
  for (int i = 0; i < n; i++)
    if (counts[i])
      sizes[found++] = fabsf (res[i * step]);
  if (found < NOTCH_BORDER_LEAST)
    return;
  float cut = NOTCH_BORDER_CUT * notch_cpu_select (sizes, found, found / 2);
  for (int i = 0; i < n; i++) {
    const float *at = raw + i * step;
    float r = res[i * step], g = ref[i * step];
    if (!counts[i] || fabsf (r) > cut)
      continue;
    double weight = (double) notch_border_weight (cut / 4, notch_grad_x (at), notch_grad_y (at, size));
    products += weight * (double) r * (double) g;
    squares += weight * (double) g * (double) g;
  }
  float share = squares > 0 ? (float) (products / squares) : 0;
  for (int i = 0; i < n; i++)
    if (counts[i]) {
      res[i * step] -= share * ref[i * step];
      ref[i * step] += share * ref[i * step];
    }
}

void
notch_cpu_level_borders (NotchLane *lane, const NotchPiece *piece, const NotchPiece *const *above, int n_above,
                         float *res, float *ref)
{
  int size = lane->is.size;
  uint8_t *counts = (uint8_t *) lane->response; /* of a line */
  for (int i = 0; i < 4 * NOTCH_BORDER_WIDTH; i++) {
    NotchBorderLine line;
    if (!notch_border_line (piece, size, i, &line))
      continue;
    ptrdiff_t first = (ptrdiff_t) line.y * size + line.x, step = line.upright ? size : 1;
    for (int j = 0; j < line.n; j++) {
      int x = line.upright ? line.x : line.x + j, y = line.upright ? line.y + j : line.y;
      counts[j] = lane->judged[first + j * step] && !notch_cpu_is_hidden (above, n_above, x, y);
    }
    level_line (lane, lane->plane[NOTCH_PLANE_REF] + first, res + first, ref + first, counts, step, line.n);
  }
}
