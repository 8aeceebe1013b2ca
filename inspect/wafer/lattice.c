/* lattice.c - the lattice of dice, from patches of the image at full size
 *
 * Patches of one die are looked for in dice at distance 1, 2, 4, … and after each round pitch and angle are fitted anew,
 * so the prediction is always better than the search reaches; last come dice all over the image, so that what each of
 * them is off its place averages out. A patch that looks like itself shifted, as an array of cells does, tells nothing
 * about dice: patches are chosen that do not. */
#include "inspect/wafer/lattice.h"

#include <math.h>
#include <string.h>

#include "inspect/compute/parallel.h"
#include "inspect/wafer/median.h"
#include "kernels/kernels.h"

#define ANCHORS      2     /* on the way */
#define MOST_ANCHORS 16    /* in the last round */
#define CLEAR        0.85f /* ambiguity below which a patch is unlike itself shifted */
#define MOST_AT_ONCE 16    /* dice a row, and rows of dice, in the last round */
#define MOST_LANES   8     /* that share a row of dice */
#define MOST_SIGHTS  640   /* in the last round */
#define FINE         3e-4  /* px: of a pitch, is sure enough */

/* A patch of the reference die that is worth looking for. */
typedef struct {
  gint64 x, y; /* px: its first pixel */
  float crlb, ambiguity;
} Anchor;

typedef struct {
  NotchStore *store;
  gint64 width, height;
  const NotchOutline *outline;
  NotchDevice *device;
  NotchLane **lane; /* n_lanes */
  int n_lanes;
  int patch;     /* px, its side */
  double search; /* px */
  double x0, y0; /* a corner of the reference cell, any phase */
  NotchLattice *lattice;
  Anchor anchor[MOST_ANCHORS];
  int n_anchors;
} Search;

/* One patch found again. */
typedef struct {
  int col, row; /* from the reference die */
  int anchor;
  int die;       /* its number among those of one look */
  double u, v;   /* px: from the reference patch to where the lattice says */
  double dx, dy; /* px: how far from there it was */
  double rest;   /* px, after the fit */
} Sight;

static const NotchKernels *const kernels = &notch_kernels_cpu;

static void
advance (const NotchLattice *l, double col, double row, double *x, double *y)
{
  double c = cos (l->angle), s = sin (l->angle);
  *x += col * l->pitch_x * c - row * l->pitch_y * s;
  *y += col * l->pitch_x * s + row * l->pitch_y * c;
}

/* Whether a patch lies in the image and on the wafer. */
static gboolean
is_inside (const Search *s, double x, double y, double w, double h)
{
  if (x < 0 || y < 0 || x + w > (double) s->width || y + h > (double) s->height)
    return FALSE;
  if (!(s->outline->radius > 0))
    return TRUE;
  for (int k = 0; k < 4; k++)
    if (hypot (x + (k & 1) * w - s->outline->x, y + (k >> 1) * h - s->outline->y) > 0.98 * s->outline->radius)
      return FALSE;
  return TRUE;
}

/* Pairs that are run side by side, a lane a share. */
typedef struct {
  const Search *search;
  const NotchStripMem *mem;
  const NotchPair *pair;
  int n, shares;
  NotchShiftFound *found;
  int failed; /* atomic: one more than the lane that did; 0: none */
} Pairs;

static void
run_share (gpointer data, int i)
{
  Pairs *pairs = data;
  int from = i * pairs->n / pairs->shares, to = (i + 1) * pairs->n / pairs->shares;
  NotchShift arguments = { { pairs->mem, NULL }, to - from, pairs->pair + from, 0, pairs->found + from };
  if (kernels->shift (pairs->search->lane[i], &arguments) != 0)
    g_atomic_int_set (&pairs->failed, i + 1);
}

/* Runs n pairs over the rows of some ranges. */
static gboolean
shift (Search *s, const NotchRows *rows, int n_rows, const NotchPair *pair, int n, NotchShiftFound *found,
       GError **error)
{
  g_autoptr (NotchStrip) strip = notch_store_strip (s->store, rows, n_rows, error);
  if (!strip)
    return FALSE;
  NotchFault fault = { 0 };
  NotchStripMem *mem = kernels->strip_up (s->device, notch_strip_pixels (strip), &fault);
  Pairs pairs = { s, mem, pair, n, MIN (n, s->n_lanes), found, 0 };
  if (mem) {
    notch_parallel (pairs.shares, pairs.shares, run_share, &pairs);
    if (pairs.failed)
      fault = *kernels->fault (s->lane[pairs.failed - 1]);
    kernels->strip_free (mem);
  }
  if (!mem || pairs.failed)
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT, "dice could not be registered: %s", fault.text);
  return mem && !pairs.failed;
}

static int
compare_anchors (gconstpointer a, gconstpointer b)
{
  const Anchor *p = a, *q = b;
  gboolean clear_p = p->ambiguity < CLEAR, clear_q = q->ambiguity < CLEAR;
  if (clear_p != clear_q)
    return clear_q - clear_p;
  return clear_p ? (p->crlb > q->crlb) - (p->crlb < q->crlb)
                 : (p->ambiguity > q->ambiguity) - (p->ambiguity < q->ambiguity);
}

/* Patches all over the reference cell, each against itself: the sharpest of those that are unlike themselves shifted. */
static gboolean
choose_anchors (Search *s, GError **error)
{
  const NotchLattice *l = s->lattice;
  double reach = fmin (s->patch / 2 - 3, 0.6 * MIN (l->pitch_x, l->pitch_y));
  int cols = (int) CLAMP (2 * l->pitch_x / s->patch, 3, 9), rows = (int) CLAMP (2 * l->pitch_y / s->patch, 3, 9);
  g_autoptr (GArray) all = g_array_new (FALSE, FALSE, sizeof (Anchor));
  for (int j = 0; j < rows; j++) {
    NotchPair pair[9];
    NotchShiftFound found[9];
    int n = 0;
    NotchRows range = { G_MAXINT64, 0 };
    for (int i = 0; i < cols; i++) {
      double x = s->x0, y = s->y0;
      advance (l, (double) i / cols, (double) j / rows, &x, &y);
      x = floor (x);
      y = floor (y);
      if (!is_inside (s, x, y, s->patch, s->patch))
        continue;
      pair[n++] = (NotchPair){ (gint64) x, (gint64) y, (gint64) x, (gint64) y, 0, 0, (float) reach };
      gint64 end = MAX (range.y == G_MAXINT64 ? 0 : range.y + range.n, (gint64) y + s->patch);
      range.y = MIN (range.y, (gint64) y);
      range.n = end - range.y;
    }
    if (n == 0)
      continue;
    if (!shift (s, &range, 1, pair, n, found, error))
      return FALSE;
    for (int i = 0; i < n; i++) {
      Anchor anchor = { pair[i].ax, pair[i].ay, found[i].crlb, found[i].ambiguity };
      if (isfinite (anchor.crlb) && anchor.crlb < 0.2f)
        g_array_append_val (all, anchor);
    }
  }
  g_array_sort (all, compare_anchors);
  for (guint i = 0; i < all->len && s->n_anchors < MOST_ANCHORS; i++) {
    const Anchor *anchor = &g_array_index (all, Anchor, i);
    if (s->n_anchors > 0 && anchor->crlb > 2 * s->anchor[0].crlb) /* would only add noise */
      break;
    gboolean apart = TRUE;
    for (int k = 0; k < s->n_anchors; k++)
      apart = apart && MAX (ABS (anchor->x - s->anchor[k].x), ABS (anchor->y - s->anchor[k].y)) >= s->patch / 2;
    if (apart)
      s->anchor[s->n_anchors++] = *anchor;
  }
  return TRUE;
}

/* Dice to look at: at most MOST_AT_ONCE each way. */
typedef struct {
  int n_cols, n_rows;
  int col[MOST_AT_ONCE], row[MOST_AT_ONCE];
} Dice;

/* Looks for anchors, from one to before another, in dice; adds what it finds to `sights`. */
static gboolean
look (Search *s, int from, int to, const Dice *dice, GArray *sights, GError **error)
{
  const int *col = dice->col, *row = dice->row, n_cols = dice->n_cols;
  for (int j = 0; j < dice->n_rows; j++)
    for (int a = from; a < MIN (to, s->n_anchors); a++) {
      const Anchor *anchor = &s->anchor[a];
      g_autofree NotchPair *pair = g_new (NotchPair, n_cols);
      g_autofree NotchShiftFound *found = g_new (NotchShiftFound, n_cols);
      g_autofree Sight *sight = g_new0 (Sight, n_cols);
      int n = 0;
      NotchRows range[2] = { { anchor->y, s->patch }, { G_MAXINT64, 0 } };
      for (int i = 0; i < n_cols; i++) {
        double u = 0, v = 0;
        advance (s->lattice, col[i], row[j], &u, &v);
        double x = rint ((double) anchor->x + u), y = rint ((double) anchor->y + v);
        if ((col[i] == 0 && row[j] == 0) || !is_inside (s, x, y, s->patch, s->patch))
          continue;
        sight[n] = (Sight){
          col[i], row[j], a, j * n_cols + i, u, v, x - (double) anchor->x - u, y - (double) anchor->y - v, 0
        };
        pair[n++] = (NotchPair){ anchor->x, anchor->y, (gint64) x, (gint64) y, 0, 0, (float) s->search };
        gint64 end = MAX (range[1].n ? range[1].y + range[1].n : 0, (gint64) y + s->patch);
        range[1].y = MIN (range[1].y, (gint64) y);
        range[1].n = end - range[1].y;
      }
      if (n == 0)
        continue;
      if (!shift (s, range, 2, pair, n, found, error))
        return FALSE;
      for (int i = 0; i < n; i++) {
        sight[i].dx += found[i].dx;
        sight[i].dy += found[i].dy;
      }
      g_array_append_vals (sights, sight, (guint) n);
    }
  return TRUE;
}

static double
median_rest (const GArray *sights)
{
  g_autofree float *rest = g_new (float, sights->len);
  for (guint i = 0; i < sights->len; i++)
    rest[i] = (float) g_array_index (sights, Sight, i).rest;
  return notch_median (rest, sights->len);
}

/* Solves three equations in place by elimination, the right side last; unknowns that nothing depends on become 0. What is
 * left on the diagonal is what each unknown has for itself: the inverse of its variance. */
static void
solve (double m[3][4], double own[3])
{
  double scale = fmax (m[0][0], fmax (m[1][1], m[2][2]));
  for (int j = 0; j < 3; j++) {
    gboolean empty = !(m[j][j] > 1e-12 * scale); /* all of them where each anchor was seen once */
    own[j] = empty ? 0 : m[j][j];
    for (int k = 3; k >= j; k--)
      m[j][k] = empty ? 0 : m[j][k] / own[j];
    for (int i = 0; i < 3; i++)
      if (i != j && !empty) {
        double f = m[i][j];
        for (int k = j; k < 4; k++)
          m[i][k] -= f * m[j][k];
      }
  }
}

/* Sights along the lattice's axes, lengths in units of the farthest so that the system is well scaled. */
typedef struct {
  double u, v, dx, dy, weight;
} Turned;

/* What the noise in an anchor itself does to all of its sights. */
typedef struct {
  double weight, u, v, dx, dy;
} Common;

/* Takes from each anchor's sights their weighted mean. */
static void
centre (const GArray *sights, Turned *turned, Common common[MOST_ANCHORS])
{
  memset (common, 0, sizeof *common * MOST_ANCHORS);
  for (guint i = 0; i < sights->len; i++) {
    const Turned *t = &turned[i];
    Common *c = &common[g_array_index (sights, Sight, i).anchor];
    c->weight += t->weight;
    c->u += t->weight * t->u;
    c->v += t->weight * t->v;
    c->dx += t->weight * t->dx;
    c->dy += t->weight * t->dy;
  }
  for (guint i = 0; i < sights->len; i++) {
    const Common *c = &common[g_array_index (sights, Sight, i).anchor];
    double share = c->weight > 0 ? 1 / c->weight : 0;
    turned[i].u -= share * c->u;
    turned[i].v -= share * c->v;
    turned[i].dx -= share * c->dx;
    turned[i].dy -= share * c->dy;
  }
}

/* How far the sum over all sights of distance times residual strays. The sights of one die share what the die itself is
 * off, so it is dice that count as independent (White, Econometrica 48 (1980), by groups). */
static double
scatter (const GArray *sights, const Turned *turned, gboolean down)
{
  double sum[MOST_AT_ONCE * MOST_AT_ONCE] = { 0 }, square = 0, used = 0;
  gboolean seen[MOST_AT_ONCE * MOST_AT_ONCE] = { FALSE };
  for (guint i = 0; i < sights->len; i++) {
    const Turned *t = &turned[i];
    int die = g_array_index (sights, Sight, i).die;
    sum[die] += t->weight * (down ? t->v * t->dy : t->u * t->dx);
    seen[die] |= t->weight > 0;
  }
  for (guint i = 0; i < G_N_ELEMENTS (sum); i++) {
    square += sum[i] * sum[i];
    used += seen[i];
  }
  return used > 2 ? sqrt (square * used / (used - 2)) : INFINITY;
}

#define FIT_ROUNDS 12

/* Corrects pitch and angle by what was seen: dx = tx + ex u - turn v, dy = ty + ey v + turn u. The shift (tx, ty) is an
 * anchor's own and is dropped. Robust: sights count by Cauchy's weights, in the last rounds only if they are within
 * 3.5 MAD. */
static void
fit (NotchLattice *l, GArray *sights)
{
  double far = 1, c = cos (l->angle), s = sin (l->angle), q[3] = { 0 }, own[3] = { 0 };
  g_autofree Turned *turned = g_new (Turned, sights->len);
  for (guint i = 0; i < sights->len; i++) {
    Sight *p = &g_array_index (sights, Sight, i);
    far = fmax (far, hypot (p->u, p->v));
    p->rest = hypot (p->dx, p->dy);
  }
  for (int round = 0; round < FIT_ROUNDS; round++) {
    Common common[MOST_ANCHORS];
    double m[3][4] = { { 0 } }, scale = fmax (1.4826 * median_rest (sights), 0.02);
    gboolean hard = round >= FIT_ROUNDS - 3;
    for (guint i = 0; i < sights->len; i++) {
      const Sight *p = &g_array_index (sights, Sight, i);
      double away = p->rest / scale, weight = hard ? away <= 3.5 : 1 / (1 + away * away);
      turned[i] = (Turned){ (c * p->u + s * p->v) / far, (c * p->v - s * p->u) / far, c * p->dx + s * p->dy,
                            c * p->dy - s * p->dx, weight };
    }
    centre (sights, turned, common);
    for (guint i = 0; i < sights->len; i++) {
      const Turned *t = &turned[i];
      const double gx[4] = { t->u, 0, -t->v, t->dx }, gy[4] = { 0, t->v, t->u, t->dy };
      for (int j = 0; j < 3; j++)
        for (int k = 0; k < 4; k++)
          m[j][k] += t->weight * (gx[j] * gx[k] + gy[j] * gy[k]);
    }
    solve (m, own);
    for (int j = 0; j < 3; j++)
      q[j] = m[j][3];
    for (guint i = 0; i < sights->len; i++) {
      Turned *t = &turned[i];
      t->dx -= q[0] * t->u - q[2] * t->v;
      t->dy -= q[1] * t->v + q[2] * t->u;
      g_array_index (sights, Sight, i).rest = hypot (t->dx, t->dy);
    }
  }
  l->error_x = own[0] > 0 ? l->pitch_x / far * scatter (sights, turned, FALSE) / own[0] : INFINITY;
  l->error_y = own[1] > 0 ? l->pitch_y / far * scatter (sights, turned, TRUE) / own[1] : INFINITY;
  l->pitch_x *= 1 + q[0] / far;
  l->pitch_y *= 1 + q[1] / far;
  l->angle += q[2] / far;
}

/* How many of the dice lie where the fit says, to within a pixel or thrice what is usual; chance would put few there. */
static void
judge (NotchLattice *l, const GArray *sights, double search)
{
  double near = fmin (fmax (1, 3 * median_rest (sights)), fmax (1, 0.25 * search)), square = 0;
  int good = 0;
  for (guint i = 0; i < sights->len; i++) {
    double rest = g_array_index (sights, Sight, i).rest;
    if (rest > near)
      continue;
    square += rest * rest;
    good++;
  }
  l->n = (int) sights->len;
  l->rms = good > 0 ? sqrt (square / good) : 0;
  l->sure = good / (double) sights->len;
}

/* Columns, or rows, of dice that the image can hold, from the reference die: at most MOST_AT_ONCE, evenly spread. */
static int
spread_evenly (double low, double high, int *index)
{
  int first = (int) ceil (low), last = (int) floor (high), n = 0;
  int count = MIN (last - first + 1, MOST_AT_ONCE);
  for (int k = 0; k < count; k++)
    index[n++] = count > 1 ? first + (int) lround ((double) k * (last - first) / (count - 1)) : first;
  return n;
}

static gboolean
measure_pitch (Search *s, GError **error)
{
  NotchLattice *l = s->lattice;
  g_autoptr (GArray) sights = g_array_new (FALSE, FALSE, sizeof (Sight));
  double cols = (double) s->width / l->pitch_x, rows = (double) s->height / l->pitch_y;
  for (int d = 1; d < MAX (cols, rows); d *= 2) {
    const Dice dice = { 3, 3, { -d, 0, d }, { -d, 0, d } };
    guint before = sights->len;
    if (!look (s, 0, ANCHORS, &dice, sights, error))
      return FALSE;
    if (sights->len == before)
      break;
    fit (l, sights);
    /* Sights keep their positions; what they were off is now less by what the fit took. */
    for (guint i = 0; i < sights->len; i++) {
      Sight *p = &g_array_index (sights, Sight, i);
      double u = 0, v = 0;
      advance (l, p->col, p->row, &u, &v);
      p->dx += p->u - u;
      p->dy += p->v - v;
      p->u = u;
      p->v = v;
    }
  }
  g_array_set_size (sights, 0);
  Dice dice;
  dice.n_cols = spread_evenly (-s->x0 / l->pitch_x - 1, ((double) s->width - s->x0) / l->pitch_x, dice.col);
  dice.n_rows = spread_evenly (-s->y0 / l->pitch_y - 1, ((double) s->height - s->y0) / l->pitch_y, dice.row);
  /* More anchors for as long as they make the pitches surer: noise averages out, dice that are off their places do not. */
  const NotchLattice expected = *l;
  double before = INFINITY;
  for (int n = ANCHORS;; n *= 2) {
    *l = expected;
    if (!look (s, n == ANCHORS ? 0 : n / 2, n, &dice, sights, error))
      return FALSE;
    if (sights->len < 2)
      return TRUE;
    fit (l, sights);
    double now = MAX (l->error_x, l->error_y);
    if (n >= s->n_anchors || now < FINE || now > before || 2 * sights->len > MOST_SIGHTS)
      break;
    before = now;
  }
  judge (l, sights, s->search);
  return TRUE;
}

/* ---- where a die begins ------------------------------------------------------------------------------------------ */

#define MOST_COPIES  8
#define MOST_SAMPLES 512 /* a line: enough for a median */

/* How much a line of the folded die, one column or one row of it, differs from being one tone: by the median, which a few
 * test keys in a street do not move, and by the mean. */
typedef struct {
  int n;
  float *tone, *median, *mean;
} Evenness;

static void
set_evenness (Evenness *e, int i, float *line, int n)
{
  float tone = notch_median (line, (gsize) n);
  double sum = 0;
  for (int k = 0; k < n; k++) {
    line[k] = fabsf (line[k] - tone);
    sum += line[k];
  }
  e->tone[i] = tone;
  e->median[i] = notch_median (line, (gsize) n);
  e->mean[i] = (float) (sum / n);
}

/* Dice that lie on each other: corners of whole dice, and the lattice's directions. */
typedef struct {
  int n, col[MOST_COPIES];
  double x[MOST_COPIES], y[MOST_COPIES];
  double c, s;
} Copies;

/* The whole dice of the reference die's row, nearest first. */
static void
choose_copies (const Search *s, Copies *copies)
{
  const NotchLattice *l = s->lattice;
  int reach = (int) ((double) s->width / l->pitch_x) + 1;
  copies->n = 0;
  copies->c = cos (l->angle);
  copies->s = sin (l->angle);
  for (int k = 0; k <= 2 * reach && copies->n < MOST_COPIES; k++) {
    int col = (k & 1 ? 1 : -1) * ((k + 1) / 2);
    gboolean inside = TRUE;
    for (int corner = 3; corner >= 0; corner--) {
      double x = s->x0, y = s->y0;
      advance (l, col + (corner & 1), corner >> 1, &x, &y);
      inside = inside && is_inside (s, x, y, 0, 0);
      copies->x[copies->n] = x;
      copies->y[copies->n] = y;
    }
    if (inside)
      copies->col[copies->n++] = col;
  }
}

/* Mean over the copies at (column, row) px of the cell, to the nearest pixel. */
static float
folded (const Search *s, const NotchPixels *pixels, const Copies *copies, int column, int row)
{
  gint64 first = MAX (pixels->y, 0), last = MIN (pixels->y + pixels->n_rows, s->height) - 1;
  float sum = 0;
  for (int k = 0; k < copies->n; k++) {
    gint64 x = (gint64) floor (copies->x[k] + copies->c * column - copies->s * row + 0.5);
    gint64 y = (gint64) floor (copies->y[k] + copies->s * column + copies->c * row + 0.5);
    const void *pixel_row = pixels->row[CLAMP (y, first, last) - pixels->y];
    float value = notch_sample_at (pixel_row, pixels->sample, CLAMP (x, 0, s->width - 1));
    sum += isfinite (value) ? value : 0;
  }
  return sum / (float) copies->n;
}

/* Folds the reference die's row of dice and judges its columns and rows. */
static gboolean
measure_evenness (Search *s, Evenness *columns, Evenness *rows, GError **error)
{
  Copies copies = { 0 };
  choose_copies (s, &copies);
  if (copies.n == 0)
    return TRUE;
  int step_x = MAX (1, columns->n / MOST_SAMPLES), step_y = MAX (1, rows->n / MOST_SAMPLES);
  int samples_x = (columns->n + step_x - 1) / step_x, samples_y = (rows->n + step_y - 1) / step_y;
  g_autofree float *line = g_new (float, samples_x);
  /* Of the sampled rows all columns are kept, one column after the other. */
  g_autofree float *kept = g_try_new (float, (gsize) columns->n *(gsize) samples_y);
  if (!kept) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT, "there is no memory to look for the streets between dice");
    return FALSE;
  }
  for (int first = 0; first < rows->n; first += 64) {
    int last = MIN (first + 64, rows->n) - 1;
    double low = INFINITY, high = -INFINITY;
    for (int k = 0; k < copies.n; k++)
      for (int corner = 0; corner < 4; corner++) {
        double y = copies.y[k] + copies.s * (corner & 1) * columns->n + copies.c * (corner & 2 ? last : first);
        low = fmin (low, y);
        high = fmax (high, y);
      }
    NotchRows range = { (gint64) floor (low), (gint64) (ceil (high) - floor (low)) + 1 };
    g_autoptr (NotchStrip) strip = notch_store_strip (s->store, &range, 1, error);
    if (!strip)
      return FALSE;
    const NotchPixels *pixels = notch_strip_pixels (strip);
    for (int row = first; row <= last; row++) {
      if (row % step_y == 0)
        for (int column = 0; column < columns->n; column++)
          kept[(gsize) column * (gsize) samples_y + (gsize) (row / step_y)] = folded (s, pixels, &copies, column, row);
      for (int k = 0; k < samples_x; k++)
        line[k] = folded (s, pixels, &copies, k * step_x, row);
      set_evenness (rows, row, line, samples_x);
    }
  }
  for (int column = 0; column < columns->n; column++)
    set_evenness (columns, column, kept + (gsize) column * (gsize) samples_y, samples_y);
  return TRUE;
}

/* The street: the evenest line by the mean, for any other line crosses a street of another tone, and those around it that
 * have the same tone and, but for test keys, nothing else. FALSE when nothing stands out. */
static gboolean
find_street (const Evenness *e, double *middle, int *length)
{
  int n = e->n, line = 0;
  g_autofree float *mean = g_new (float, n);
  g_autofree float *sorted = g_new (float, n);
  for (int i = 0; i < n; i++) {
    mean[i] = sorted[i] = (e->mean[(i + n - 1) % n] + e->mean[i] + e->mean[(i + 1) % n]) / 3;
    if (mean[i] < mean[line])
      line = i;
  }
  float usual = notch_median (sorted, (gsize) n);
  if (mean[line] > 0.7f * usual)
    return FALSE;
  /* What counts as another tone: a good part of the range of tones, or what noise cannot be. */
  memcpy (sorted, e->tone, sizeof *sorted * (gsize) n);
  float range = notch_quantile (sorted, (gsize) n, 0.9) - notch_quantile (sorted, (gsize) n, 0.1);
  float tolerance = fmaxf (0.25f * range, 3 * e->median[line]);
  memcpy (sorted, e->median, sizeof *sorted * (gsize) n);
  float cut = fmaxf (0.5f * notch_median (sorted, (gsize) n), 2 * e->median[line]);
  int end[2] = { 0 };
  for (int side = 0; side < 2; side++)
    for (int k = 1; k < n; k++) {
      int i = (line + (side ? k : n - k)) % n;
      if (fabsf (e->tone[i] - e->tone[line]) > tolerance || e->median[i] > cut)
        break;
      end[side] = k;
    }
  *length = end[0] + end[1] + 1;
  *middle = line + 0.5 * (end[1] - end[0]);
  return *length >= 2 && *length < n / 2;
}

/* A corner near `corner` modulo the pitch, such that the image holds as many whole dice as it can; no farther from it
 * than `most` px. */
static double
fit_into_image (double corner, double pitch, double size, double most)
{
  double count = floor ((size + 1) / pitch), low = -0.5, high = size - 0.5 - count * pitch;
  if (high < low)
    low = high = (low + high) / 2;
  double nearest = corner + pitch * rint (((low + high) / 2 - corner) / pitch), fitted = CLAMP (nearest, low, high);
  return fabs (fitted - nearest) <= most ? fitted : corner;
}

/* Keeps of a range of columns those with `low` <= start + step · column <= `high`. */
static void
narrow (double start, double step, double low, double high, double *from, double *to)
{
  if (fabs (step) < 1e-9) {
    if (start < low || start > high)
      *from = INFINITY;
    return;
  }
  double a = (low - start) / step, b = (high - start) / step;
  *from = fmax (*from, fmin (a, b));
  *to = fmin (*to, fmax (a, b));
}

/* How many dice are whole in the image, as the grid judges that, when the corner is moved. */
static int
count_whole (const Search *s, double by_x, double by_y)
{
  const NotchLattice *l = s->lattice;
  double c = cos (l->angle), t = sin (l->angle), low = -0.5 - NOTCH_GRID_SLACK;
  double right = (double) s->width - 0.5 + NOTCH_GRID_SLACK, bottom = (double) s->height - 0.5 + NOTCH_GRID_SLACK;
  double reach = (double) (s->width + s->height) / l->pitch_y + 1, n = 0;
  for (int row = (int) -reach; row <= (int) reach; row++) {
    double from = -INFINITY, to = INFINITY;
    for (int corner = 0; corner < 4; corner++) {
      double u = (corner & 1) * l->pitch_x, v = (row + (corner >> 1)) * l->pitch_y;
      narrow (l->x + by_x + c * u - t * v, c * l->pitch_x, low, right, &from, &to);
      narrow (l->y + by_y + t * u + c * v, t * l->pitch_x, low, bottom, &from, &to);
    }
    n += from <= to ? floor (to) - ceil (from) + 1 : 0;
  }
  return (int) n;
}

/* Moves the corner within the street, along x and then along y, to where most dice are whole, and no farther: anywhere in
 * a street is as good a border between dice, and a row that only lacks a part of its street can be inspected. */
static void
fit_turned (const Search *s, int most_x, int most_y)
{
  double by[2] = { 0, 0 };
  int best = count_whole (s, 0, 0);
  for (int round = 0; round < 2; round++)
    for (int axis = 0; axis < 2; axis++) {
      double start = by[axis], most = axis ? most_y : most_x, chosen = start;
      for (int k = 1; k <= 4 * (int) most; k++) {
        double to = start + (k & 1 ? 0.5 : -0.5) * ((k + 1) / 2);
        int n = fabs (to) > most ? 0 : count_whole (s, axis ? by[0] : to, axis ? to : by[1]);
        if (n > best)
          best = n, chosen = to;
      }
      by[axis] = chosen;
    }
  s->lattice->x += by[0];
  s->lattice->y += by[1];
}

static void
evenness_clear (Evenness *e)
{
  g_free (e->tone);
  g_free (e->median);
  g_free (e->mean);
}

static gboolean
find_corner (Search *s, GError **error)
{
  NotchLattice *l = s->lattice;
  Evenness columns = { .n = (int) lround (l->pitch_x) }, rows = { .n = (int) lround (l->pitch_y) };
  for (int k = 0; k < 2; k++) {
    Evenness *e = k ? &rows : &columns;
    e->tone = g_new0 (float, e->n);
    e->median = g_new0 (float, e->n);
    e->mean = g_new0 (float, e->n);
  }
  gboolean ok = measure_evenness (s, &columns, &rows, error);
  if (ok) {
    double x = 0, y = 0;
    int width = 0, height = 0;
    gboolean street_x = find_street (&columns, &x, &width), street_y = find_street (&rows, &y, &height);
    l->street = street_x && street_y;
    l->x = s->x0;
    l->y = s->y0;
    advance (l, street_x ? x / l->pitch_x : 0, street_y ? y / l->pitch_y : 0, &l->x, &l->y);
    /* Where the rows run straight, an image that was cut at dice's corners is believed. */
    if (fabs (l->angle) * (double) MAX (s->width, s->height) < 1 && !(s->outline->radius > 0)) {
      l->x = fit_into_image (l->x, l->pitch_x, (double) s->width, street_x ? width / 2 + 2 : l->pitch_x);
      l->y = fit_into_image (l->y, l->pitch_y, (double) s->height, street_y ? height / 2 + 2 : l->pitch_y);
    } else if (!(s->outline->radius > 0)) {
      /* Where a row slants by more than half a street, the image was not cut in the streets. */
      double slant = fabs (tan (l->angle));
      gboolean fits_x = street_x && slant * (double) s->height < 0.5 * width;
      gboolean fits_y = street_y && slant * (double) s->width < 0.5 * height;
      fit_turned (s, fits_x ? width / 2 : 0, fits_y ? height / 2 : 0);
    }
  }
  evenness_clear (&columns);
  evenness_clear (&rows);
  return ok;
}

/* ------------------------------------------------------------------------------------------------------------------ */

static gboolean
open_lanes (Search *s, GError **error)
{
  NotchFault fault = { 0 };
  NotchLaneSize size = {
    .batch = 1, .size = 64, .halo = 8, .shift_size = s->patch, .max_blobs = 1, .patch_side = 1, .max_patches = 1
  };
  s->device = kernels->open (0, &fault);
  s->n_lanes = MIN (notch_store_jobs (s->store), MOST_LANES);
  s->lane = g_new0 (NotchLane *, s->n_lanes);
  gboolean well = s->device != NULL;
  for (int i = 0; i < s->n_lanes && well; i++)
    well = (s->lane[i] = kernels->lane_new (s->device, &size, &fault)) != NULL;
  if (!well)
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_DEVICE, "dice cannot be registered: %s", fault.text);
  return well;
}

static void
close_lanes (Search *s)
{
  for (int i = 0; i < s->n_lanes; i++)
    kernels->lane_free (s->lane[i]);
  g_free (s->lane);
  if (s->device)
    kernels->close (s->device);
}

gboolean
notch_lattice_refine (NotchStore *store, gint64 width, gint64 height, const NotchOutline *outline, double error_px,
                      double search, NotchLattice *lattice, GError **error)
{
  Search s = { .store = store, .width = width, .height = height, .outline = outline, .lattice = lattice };
  double least = MIN (lattice->pitch_x, lattice->pitch_y);
  gint64 side = MIN (width, height);
  s.patch = side >= 512 ? 128 : side >= 256 ? 64 : 32; /* more than a die, if it is small, does no harm */
  s.search = fmin (fmin (error_px + search, 0.4 * least), s.patch / 2 - 3);
  /* The cell in the middle of the image, or of the wafer. */
  double middle_x = outline->radius > 0 ? CLAMP (outline->x, 0, width) : (double) width / 2;
  double middle_y = outline->radius > 0 ? CLAMP (outline->y, 0, height) : (double) height / 2;
  s.x0 = middle_x;
  s.y0 = middle_y;
  advance (lattice, -0.5, -0.5, &s.x0, &s.y0);
  lattice->sure = 0;
  gboolean ok = open_lanes (&s, error) && choose_anchors (&s, error);
  if (ok && s.n_anchors > 0)
    ok = measure_pitch (&s, error);
  /* A patch that is like itself a few pixels on cannot tell a die from the next row of cells. */
  if (s.n_anchors > 0 && s.anchor[0].ambiguity >= CLEAR)
    lattice->sure *= 0.3;
  if (ok) {
    s.x0 = middle_x;
    s.y0 = middle_y;
    advance (lattice, -0.5, -0.5, &s.x0, &s.y0);
    ok = find_corner (&s, error);
  }
  close_lanes (&s);
  return ok;
}
