/* mine.c - which examples are worth a person's look */
#include "inspect/classify/mine.h"

#include "inspect/order.h"

#include <math.h>
#include <stdlib.h>

double
notch_mine_worth (const float *probability, int n_classes, double rarity)
{
  double first = 0, second = 0;
  for (int k = 0; k < n_classes; k++) {
    double p = (double) probability[k];
    second = p > first ? first : MAX (second, p);
    first = MAX (first, p);
  }
  return (1 - (first - second)) * rarity;
}

void
notch_mine_rarity (const double *distance, gsize n, double *rarity)
{
  g_autofree double *sorted = g_memdup2 (distance, n * sizeof *distance);
  qsort (sorted, n, sizeof *sorted, notch_compare_up);
  for (gsize i = 0; i < n; i++) {
    gsize below = 0, end = n;
    while (below < end) {
      gsize middle = below + (end - below) / 2;
      if (sorted[middle] < distance[i])
        below = middle + 1;
      else
        end = middle;
    }
    rarity[i] = ((double) below + 1) / (double) n;
  }
}

static double
distance_of (const double *a, const double *b, int length)
{
  double sum = 0;
  for (int j = 0; j < length; j++)
    sum += (a[j] - b[j]) * (a[j] - b[j]);
  return sqrt (sum);
}

GArray *
notch_mine (const double *worth, const double *place, gsize n, int length, gsize most)
{
  GArray *chosen = g_array_new (FALSE, FALSE, sizeof (gsize));
  g_autofree double *away = g_new (double, n + 1);
  for (gsize i = 0; i < n; i++)
    away[i] = 1;
  while (chosen->len < MIN (most, n)) {
    gsize best = 0;
    for (gsize i = 1; i < n; i++)
      if (worth[i] * away[i] > worth[best] * away[best])
        best = i;
    if (!(worth[best] * away[best] > 0))
      break;
    for (gsize i = 0; i < n; i++) {
      double now = distance_of (place + i * (gsize) length, place + best * (gsize) length, length);
      away[i] = chosen->len == 0 ? now : MIN (away[i], now);
    }
    g_array_append_val (chosen, best);
  }
  return chosen;
}
