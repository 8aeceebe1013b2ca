/* skirt.h - what is a peak of the score, and what is only the skirt of one
 *
 * Peaks are looked up by squares of the tile: a square has the number of its last peak, a peak that of the one before it. */
#pragma once

#include "kernels/kernels.h"
#include "kernels/math/fn.h"
#include "kernels/math/score.h"
#include "kernels/math/template.h"

#define NOTCH_PEAK_SQUARE 32   /* px, side of a square */
#define NOTCH_PEAK_APART  3    /* px: two peaks are not closer */
#define NOTCH_MAX_PEAKS   2048 /* more of them in a tile are no defects beside each other but a tile that differs */

/* A peak of the score, px in the tile, and the next one in its square; -1: there is none. */
typedef struct {
  int32_t x, y, next;
  float score;
} NotchPeak;

/* The peaks of a tile and the templates of the filters that see them. */
typedef struct {
  const NotchPeak *peak;
  const int32_t *square; /* squares x squares: the last peak of each, -1: it has none */
  int squares;           /* along a side, notch_peak_squares */
  const NotchTemplate *template_;
  int n_templates;
} NotchPeaks;

NOTCH_FN int
notch_peak_squares (int size)
{
  return size / NOTCH_PEAK_SQUARE + 1;
}

/* Is a seed the largest of those around it that are in the mask and the core? Of equals the first one counts. */
NOTCH_FN bool
notch_peak_is (const float *score, const uint8_t *mask, const NotchTile *tile, int size, int x, int y)
{
  float own = score[(ptrdiff_t) y * size + x];
  for (int v = y - NOTCH_PEAK_APART; v <= y + NOTCH_PEAK_APART; v++)
    for (int u = x - NOTCH_PEAK_APART; u <= x + NOTCH_PEAK_APART; u++) {
      ptrdiff_t at = (ptrdiff_t) v * size + u;
      if ((u == x && v == y) || u < tile->core_x || v < tile->core_y || u >= tile->core_x + tile->core_w
          || v >= tile->core_y + tile->core_h || !mask[at])
        continue;
      float other = score[at];
      if (other > own || (other == own && (v < y || (v == y && u < x))))
        return false;
    }
  return true;
}

/* Is a score no more than what its wide filter sees of the stronger peaks around it? */
NOTCH_FN bool
notch_peak_explains (const NotchPeaks *peaks, int x, int y, float score)
{
  int squares = peaks->squares, channel = notch_score_channel (score);
  if (channel >= peaks->n_templates)
    return false;
  const NotchTemplate own = peaks->template_[channel];
  int reach =
      (int) (6 * own.along) + 1; /* further away no skirt reaches (template.h), that of a narrower peak less so */
  int x0 = (x - reach) / NOTCH_PEAK_SQUARE, y0 = (y - reach) / NOTCH_PEAK_SQUARE;
  int x1 = (x + reach) / NOTCH_PEAK_SQUARE, y1 = (y + reach) / NOTCH_PEAK_SQUARE;
  x0 = x0 < 0 || x < reach ? 0 : x0, y0 = y0 < 0 || y < reach ? 0 : y0;
  x1 = x1 < squares ? x1 : squares - 1, y1 = y1 < squares ? y1 : squares - 1;
  float specks = 0, line = 0; /* specks add up; the peaks along a scratch are one defect */
  for (int v = y0; v <= y1; v++)
    for (int u = x0; u <= x1; u++)
      for (int32_t i = peaks->square[v * squares + u]; i >= 0; i = peaks->peak[i].next) {
        const NotchPeak *peak = &peaks->peak[i];
        if (peak->score <= score)
          continue;
        const NotchTemplate *of = &peaks->template_[notch_score_channel (peak->score)];
        float seen = peak->score * notch_template_skirt (&own, of, (float) (x - peak->x), (float) (y - peak->y));
        if (!of->line)
          specks += seen;
        else if (seen > line)
          line = seen;
      }
  return notch_template_explains (specks + line, score);
}
