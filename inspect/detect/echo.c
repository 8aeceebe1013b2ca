/* echo.c - see echo.h */
#include "inspect/detect/echo.h"

#include "inspect/detect/join.h"
#include "inspect/near.h"
#include "kernels/math/template.h"

#include <math.h>

/* How much stronger than its lobes and ghosts a defect is at least. */
#define LOBE 2

/* How much stronger than the least of its echoes. */
#define LEAST 1.2

/* How far from a strong blob's place a candidate may be in another die, px; or what several of them explain. */
#define SLACK 3

/* What a filter answers a defect with, beside it. */
typedef struct {
  NotchTemplate template;
  gint64 lobes; /* px from a blob that it found: no lobe is further away */
  gint64 skirt; /* px: no skirt is further away from a peak than those of both filters together */
} Filter;

static Filter *
make_filters (const NotchPlan *plan)
{
  Filter *filter = g_new (Filter, plan->n_channels);
  for (int i = 0; i < plan->n_channels; i++) {
    const NotchChannel *channel = &plan->channel[i];
    NotchTemplate t = notch_template_of (channel);
    filter[i].template = t;
    filter[i].lobes = (gint64) ceil (4 * MAX (channel->sigma, channel->length / 2));
    /* Where notch_template_skirt ends, for the widths of both add up at most; and a pixel for rounding. */
    filter[i].skirt =
        (gint64) ceil (sqrt (NOTCH_TEMPLATE_END) * hypotf (t.along, t.across) + t.flat + 2 * t.coarse) + 1;
  }
  return filter;
}

/* What all blobs are held against. */
typedef struct {
  const NotchPlan *plan;
  const Filter *filter;  /* of each channel */
  const GArray *all;     /* NotchJoined, as they were before any was dropped */
  const int *die_of;     /* of each of them, die_under */
  const NotchNear *near; /* their peaks */
  int least;             /* that one has which has echoes, 1/256 sigma */
  double reach;          /* px from a peak: none further away matters */
  GArray *near_by;       /* what was last found in `near` */
  gboolean candidate;    /* is it candidates that are looked at? */
} Search;

static const Filter *
filter_of (const NotchJoined *blob, const Search *search)
{
  return &search->filter[MIN (blob->peak_channel, search->plan->n_channels - 1)];
}

/* What a filter answers a defect with beside it: lobes of the other sign, at most half as strong and no further away than a
 * few of its widths; and, where it is wide, a skirt. */
static gboolean
is_lobe (const NotchJoined *blob, const NotchJoined *strong, const Search *search)
{
  const Filter *filter = filter_of (blob, search), *other = filter_of (strong, search);
  gboolean beside = strong->peak / LOBE >= blob->peak && strong->x0 - filter->lobes <= blob->x1
                    && blob->x0 - filter->lobes <= strong->x1 && strong->y0 - filter->lobes <= blob->y1
                    && blob->y0 - filter->lobes <= strong->y1;
  if (beside && (search->candidate || strong->peak_dark != blob->peak_dark))
    return TRUE;
  gint64 dx = blob->peak_x - strong->peak_x, dy = blob->peak_y - strong->peak_y;
  if (strong->peak_dark != blob->peak_dark || MAX (ABS (dx), ABS (dy)) > filter->skirt + other->skirt)
    return FALSE;
  NotchTemplate of = other->template;
  if (of.flat < filter->template.flat) /* to a longer filter a short scratch is a speck */
    of.flat = 0;
  float score = (float) blob->peak / 256;
  float seen = (float) strong->peak / 256 * notch_template_skirt (&filter->template, &of, (float) dx, (float) dy);
  /* What is found has to stick out of a skirt as far as elsewhere out of the noise. */
  gboolean hidden = !search->candidate && seen > 0 && score < seen + (float) search->plan->threshold;
  return hidden || notch_template_explains (seen, score);
}

/* Index of the die that holds a blob's peak; -1: none, or dice are not compared with dice. */
static int
die_under (const NotchPlan *plan, const NotchJoined *blob)
{
  const NotchDie *die =
      plan->neighbours ? notch_grid_locate (plan->grid, (double) blob->peak_x, (double) blob->peak_y) : NULL;
  return die ? (int) (die - (const NotchDie *) plan->grid->die->data) : -1;
}

/* Lies a place in a blob, or `slack` px beside it? */
static gboolean
lies_under (double x, double y, const NotchJoined *blob, double slack)
{
  return x >= (double) blob->x0 - slack && x <= (double) blob->x1 + slack && y >= (double) blob->y0 - slack
         && y <= (double) blob->y1 + slack;
}

/* What a median of n Gaussians is off by when k of them are far out on one side, in sigmas. */
static double
median_pulled (int k, int n)
{
  double low = 0, high = 8, p = 0.5 * n / (n - k);
  for (int i = 0; i < 40 && 2 * k < n; i++) {
    double middle = 0.5 * (low + high);
    if (1 - 0.5 * erfc (middle / G_SQRT2) < p)
      low = middle;
    else
      high = middle;
  }
  return high;
}

/* The ghost that defects at one place of several dice leave in the reference of a die that is compared with them: as strong
 * as they pull the median at each of their pixels, and what noise adds. That is less than half of what they are, unless they
 * are two and half of the sources or more, as a repeater may be: then it is of any strength below theirs, and may lie a
 * little beside them, for chance puts so many defects nowhere. But where half as many sources have what it has, either may be
 * the ghost. */
static gboolean
is_ghost (const NotchJoined *blob, int die, const Search *search)
{
  double area = 0;
  int n = 0, n_spoilt = 0, n_alike = 0;
  const NotchPlan *plan = search->plan;
  for (int k = 0; die >= 0 && k < plan->neighbours[die].n; k++) {
    int from = plan->neighbours[die].die[k];
    const NotchDie *here = &g_array_index (plan->grid->die, NotchDie, die),
                   *there = &g_array_index (plan->grid->die, NotchDie, from);
    double x = (double) blob->peak_x + there->x - here->x, y = (double) blob->peak_y + there->y - here->y;
    gboolean spoilt = FALSE, alike = FALSE;
    notch_near_find (search->near, x, y, search->reach, search->near_by);
    for (guint m = 0; m < search->near_by->len; m++) {
      guint i = g_array_index (search->near_by, guint, m);
      const NotchJoined *other = &g_array_index (search->all, NotchJoined, i);
      if (search->die_of[i] != from || !lies_under (x, y, other, SLACK))
        continue;
      alike |= other->peak_dark == blob->peak_dark;
      if (other->peak_dark == blob->peak_dark || other->peak / LEAST < blob->peak)
        continue;
      spoilt = TRUE;
      if (other->peak / LOBE < blob->peak || !lies_under (x, y, other, search->candidate ? SLACK : 0))
        continue;
      area = MAX (area, (double) (other->x1 - other->x0 + 1) * (double) (other->y1 - other->y0 + 1));
      n++;
    }
    n_spoilt += spoilt, n_alike += alike;
  }
  if (n_spoilt >= 2 && n_spoilt > 2 * n_alike && 2 * n_spoilt >= plan->neighbours[die].n)
    return TRUE;
  return n > 0
         && (search->candidate || blob->peak / 256.0 <= median_pulled (n, plan->neighbours[die].n) * sqrt (area) + 3.5);
}

/* Is it on the side that the recipe looks at? */
static gboolean
side_counts (const NotchJoined *blob, const NotchRecipe *recipe)
{
  return recipe->detect.polarity == NOTCH_POLARITY_BOTH
         || (recipe->detect.polarity == NOTCH_POLARITY_DARK) == (blob->peak_dark != 0);
}

static gboolean
is_echo (const NotchJoined *blob, const Search *search)
{
  notch_near_find (search->near, (double) blob->peak_x, (double) blob->peak_y, search->reach, search->near_by);
  for (guint m = 0; m < search->near_by->len; m++) {
    const NotchJoined *other = &g_array_index (search->all, NotchJoined, g_array_index (search->near_by, guint, m));
    if (other->peak >= search->least && other->peak > blob->peak && is_lobe (blob, other, search))
      return TRUE;
  }
  return is_ghost (blob, die_under (search->plan, blob), search);
}

/* How far the farthest of some blobs reach from their peaks, px along a row or column. */
static gint64
widest (const GArray *blobs)
{
  gint64 most = 0;
  for (guint i = 0; i < blobs->len; i++) {
    const NotchJoined *blob = &g_array_index (blobs, NotchJoined, i);
    most = MAX (most, MAX (MAX (blob->peak_x - blob->x0, blob->x1 - blob->peak_x),
                           MAX (blob->peak_y - blob->y0, blob->y1 - blob->peak_y)));
  }
  return most;
}

/* How far apart the peaks of a blob and of one that it may be an echo of can lie, px. */
static double
reach_of (const GArray *blobs, const GArray *all, const Filter *filter, int n_filters)
{
  gint64 lobes = SLACK, skirt = 0;
  for (int i = 0; i < n_filters; i++)
    lobes = MAX (lobes, filter[i].lobes), skirt = MAX (skirt, filter[i].skirt);
  return G_SQRT2 * (double) MAX (widest (blobs) + widest (all) + lobes, 2 * skirt);
}

void
notch_echo_drop (NotchFound *found, const NotchPlan *plan)
{
  GArray *list[] = { found->blob, found->candidate };
  const double least[] = { plan->threshold, plan->recipe->detect.candidate_sigma };
  guint n = found->blob->len;
  g_autoptr (GArray) all = g_array_new (FALSE, FALSE, sizeof (NotchJoined));
  g_array_append_vals (all, found->blob->data, n);
  g_autofree Filter *filter = make_filters (plan);
  g_autoptr (GArray) near_by = g_array_new (FALSE, FALSE, sizeof (guint));
  g_autofree int *die_of = g_new (int, n + 1);
  g_autofree NotchPoint *peak = g_new (NotchPoint, n);
  for (guint i = 0; i < n; i++) {
    const NotchJoined *blob = &g_array_index (all, NotchJoined, i);
    die_of[i] = die_under (plan, blob);
    peak[i] = (NotchPoint){ (double) blob->peak_x, (double) blob->peak_y };
  }
  for (guint k = 0; k < G_N_ELEMENTS (list) && list[k]; k++) {
    double reach = reach_of (list[k], all, filter, plan->n_channels);
    g_autoptr (NotchNear) near = notch_near_new (peak, n, reach);
    Search search = { plan, filter, all, die_of, near, (int) ceil (256 * LEAST * least[k]), reach, near_by, k > 0 };
    guint kept = 0;
    for (guint i = 0; i < list[k]->len; i++) {
      NotchJoined *blob = &g_array_index (list[k], NotchJoined, i);
      if (!side_counts (blob, plan->recipe) || is_echo (blob, &search))
        notch_joined_clear (blob);
      else
        notch_joined_move (list[k], kept++, blob);
    }
    g_array_set_size (list[k], kept);
  }
}
