/* odd.c - see odd.h */
#include "inspect/wafer/odd.h"

#include <math.h>

#include "inspect/wafer/median.h"

/* Places a pitch, and px: a place has enough pixels to tell pattern from noise. */
#define PLACES      6
#define LEAST_PLACE 8
/* px: every such pixel of a row, and every such row; the pattern is smoothed by more. */
#define STEP 2
/* Parts of the usual agreement: with less a place is unlike the others (half the contrast makes 0.8), or odd. */
#define ALIKE 0.85f
#define ODD   0.5f
/* The part of the mean energy below which a place is flat. */
#define FLAT 0.05f
/* The least usual agreement that tells anything. */
#define LEAST_USUAL 0.2f

typedef struct {
  const float *g, *mask;
  int width, height;
  int side, n_cols, n_rows; /* px of a place; places */
  float flat;               /* energy a pixel */
} Places;

/* 2 <g g'> / (<g g> + <g' g'>) of the place with its first pixel at (x0, y0) and the one a lag away: 1 where they are equal,
 * less also where one has more contrast. NAN where less than half of it can be compared. */
static float
agreement (const Places *p, int x0, int y0, int dx, int dy)
{
  int from = MAX (x0, -dx), to = MIN (MIN (x0 + p->side, p->width), p->width - dx), n = 0;
  int top = MAX (y0, -dy), bottom = MIN (MIN (y0 + p->side, p->height), p->height - dy);
  float both = 0, one = 0, other = 0;
  for (int y = top; y < bottom; y += STEP) {
    gsize at = (gsize) y * (gsize) p->width, away = (gsize) (y + dy) * (gsize) p->width;
    for (int x = from; x < to; x += STEP) {
      if (p->mask && !(p->mask[at + (gsize) x] > 0 && p->mask[away + (gsize) (x + dx)] > 0))
        continue;
      float a = p->g[at + (gsize) x], b = p->g[away + (gsize) (x + dx)];
      both += a * b;
      one += a * a;
      other += b * b;
      n++;
    }
  }
  if (2 * n * STEP * STEP < p->side * p->side)
    return NAN;
  return one + other < 2 * p->flat * (float) n ? 1 : 2 * both / (one + other);
}

/* What is known about a place. */
enum { COMPARED = 1, UNLIKE = 2, IS_ODD = 4, LEFT_OUT = 8 };

/* Compares each place with those away along an axis. */
static void
compare (const Places *p, double dx, double dy, float *best, float *sorted, guint8 *known)
{
  gsize n = 0;
  for (int row = 0, at = 0; row < p->n_rows; row++)
    for (int col = 0; col < p->n_cols; col++, at++) {
      best[at] = NAN;
      for (int k = -2; k <= 2; k++)
        if (k != 0)
          best[at] = fmaxf (best[at],
                            agreement (p, col * p->side, row * p->side, (int) lround (k * dx), (int) lround (k * dy)));
      if (!isnan (best[at]))
        sorted[n++] = best[at];
    }
  float usual = n > 0 ? notch_median (sorted, n) : 0;
  if (usual < LEAST_USUAL)
    return;
  for (int at = 0; at < p->n_cols * p->n_rows; at++)
    if (!isnan (best[at]))
      known[at] |= COMPARED | (best[at] < ALIKE * usual ? UNLIKE : 0) | (best[at] < ODD * usual ? IS_ODD : 0);
}

float *
notch_odd_places (const float *g, const float *mask, int width, int height, const NotchPeriod *period,
                  NotchOddPart *part)
{
  gsize size = (gsize) width * (gsize) height;
  double x = period->pitch_x, y = period->pitch_y, c = cos (period->angle), s = sin (period->angle), energy = 0;
  Places p = { .g = g, .mask = mask, .width = width, .height = height };
  p.side = MAX (LEAST_PLACE, (int) (fmin (x, y) / PLACES));
  p.n_cols = (width - 1) / p.side + 1, p.n_rows = (height - 1) / p.side + 1;
  gsize n = (gsize) p.n_cols * (gsize) p.n_rows;
  float *weight = g_try_new (float, size);
  g_autofree float *best = g_try_new (float, n), *sorted = g_try_new (float, n);
  g_autofree guint8 *known = g_try_malloc0 (n);
  if (!weight || !best || !sorted || !known) {
    g_free (weight);
    return NULL;
  }
  for (gsize i = 0; i < size; i++)
    energy += (double) (g[i] * g[i]);
  p.flat = (float) (FLAT * energy / (double) size);
  compare (&p, x * c, x * s, best, sorted, known);
  compare (&p, -y * s, y * c, best, sorted, known);
  double compared = 0;
  *part = (NotchOddPart){ 0 };
  for (int row = 0, at = 0; row < p.n_rows; row++)
    for (int col = 0; col < p.n_cols; col++, at++) {
      compared += (known[at] & COMPARED) != 0;
      part->unlike += (known[at] & UNLIKE) != 0;
      part->odd += (known[at] & IS_ODD) != 0;
      /* A place that is half in an odd die may pass. */
      for (int k = 0; k < 9 && (known[at] & UNLIKE); k++) {
        int r = CLAMP (row + k / 3 - 1, 0, p.n_rows - 1), q = CLAMP (col + k % 3 - 1, 0, p.n_cols - 1);
        known[r * p.n_cols + q] |= LEFT_OUT;
      }
    }
  part->unlike /= fmax (compared, 1);
  part->odd /= fmax (compared, 1);
  for (int row = 0; row < height; row++)
    for (int col = 0; col < width; col++) {
      gsize at = (gsize) row * (gsize) width + (gsize) col;
      gboolean out = known[(gsize) (row / p.side) * (gsize) p.n_cols + (gsize) (col / p.side)] & LEFT_OUT;
      weight[at] = out ? 0 : mask ? mask[at] : 1;
    }
  return weight;
}
