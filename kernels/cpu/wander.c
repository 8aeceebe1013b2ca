/* wander.c - the part of `fit` that forgives edges which wander */
#include "kernels/cpu/lane.h"
#include "kernels/math/noise.h"

/* The least and the largest of what lies up to `reach` beside each pixel of a row; beyond its ends there is nothing. */
NOTCH_CLONES static void
extremes_along (const float *from, int reach, int n, float *low, float *high)
{
  for (int i = 0; i < n; i++)
    low[i] = high[i] = from[i];
  for (int away = 1; away <= reach && away < n; away++)
    for (int i = 0; i < n - away; i++) {
      float right = from[i + away], left = from[i];
      low[i] = right < low[i] ? right : low[i];
      high[i] = right > high[i] ? right : high[i];
      low[i + away] = left < low[i + away] ? left : low[i + away];
      high[i + away] = left > high[i + away] ? left : high[i + away];
    }
}

NOTCH_CLONES static void
widen_row (const float *low, const float *high, int n, float *least, float *most)
{
  for (int i = 0; i < n; i++) {
    least[i] = low[i] < least[i] ? low[i] : least[i];
    most[i] = high[i] > most[i] ? high[i] : most[i];
  }
}

/* A residual that is no number stays one; where nothing is compared it stays 0. */
NOTCH_CLONES static void
forgive_row (const float *test, const float *least, const float *most, int n, float *res)
{
  for (int i = 0; i < n; i++) {
    float beyond = notch_noise_beyond (test[i], least[i], most[i]);
    res[i] = res[i] > 0.0f || res[i] < 0.0f ? beyond : res[i];
  }
}

void
notch_cpu_wander (NotchLane *lane, int reach)
{
  int size = lane->is.size;
  const float *ref = lane->plane[NOTCH_PLANE_REF], *test = lane->plane[NOTCH_PLANE_TEST];
  float *low = lane->plane[NOTCH_PLANE_Z], *high = lane->response; /* neither is in use before normalise */
  float *least = lane->product, *most = least + size;
  for (int y = 0; y < size; y++)
    extremes_along (ref + (ptrdiff_t) y * size, reach, size, low + (ptrdiff_t) y * size, high + (ptrdiff_t) y * size);
  for (int y = 0; y < size; y++) {
    int first = y > reach ? y - reach : 0, last = y + reach < size ? y + reach : size - 1;
    for (int x = 0; x < size; x++)
      least[x] = low[(ptrdiff_t) first * size + x], most[x] = high[(ptrdiff_t) first * size + x];
    for (int v = first + 1; v <= last; v++)
      widen_row (low + (ptrdiff_t) v * size, high + (ptrdiff_t) v * size, size, least, most);
    forgive_row (test + (ptrdiff_t) y * size, least, most, size, lane->plane[NOTCH_PLANE_RES] + (ptrdiff_t) y * size);
  }
}
