/* repeat.c - see repeat.h */
#include "inspect/sign/repeat.h"

#include <math.h>
#include <string.h>

#define LARGEST_FIELD 6    /* dice along a row or a column */
#define LEAST_DICE    3    /* that a repeater has */
#define BY_CHANCE     1e-3 /* groups an image */
#define GHOST_PEAK    3    /* how much stronger the defect is than its ghost */
#define GHOST_DICE    2    /* how far away its die may be */

typedef struct {
  const NotchPlace *place;
  guint n;
  const NotchGrid *grid;
  NotchNear *near;
  double reach;
  gboolean *ghost;
  int *die; /* its index in the grid */
  /* the field at hand */
  int cols, rows;
  int n_dice[LARGEST_FIELD * LARGEST_FIELD]; /* inspected, of each die of the field */
  guint *best;                               /* of every die, the member nearest to the seed, + 1 */
  GArray *found;
} Search;

typedef struct {
  guint seed, n;
} Candidate;

static int
class_of (const Search *search, const NotchDie *die)
{
  int col = (die->col - search->grid->first_col) % search->cols,
      row = (die->row - search->grid->first_row) % search->rows;
  return row * search->cols + col;
}

static double
apart (const NotchPlace *a, const NotchPlace *b)
{
  return hypot (a->x - b->x, a->y - b->y);
}

static void
find_ghosts (Search *search)
{
  for (guint i = 0; i < search->n; i++) {
    const NotchPlace *p = &search->place[i];
    notch_near_find (search->near, p->x, p->y, search->reach, search->found);
    for (guint k = 0; k < search->found->len && !search->ghost[i]; k++) {
      const NotchPlace *q = &search->place[g_array_index (search->found, guint, k)];
      search->ghost[i] = q->bright != p->bright && q->peak >= GHOST_PEAK * p->peak
                         && apart (p, q) <= MAX (p->reach, q->reach) && ABS (q->die->col - p->die->col) <= GHOST_DICE
                         && ABS (q->die->row - p->die->row) <= GHOST_DICE;
    }
  }
}

/* Fills `member` with the places that are one with the seed's, the nearest of every die; taken ones are no one's. */
static void
find_members (Search *search, guint seed, const int *taken, GArray *member)
{
  const NotchPlace *p = &search->place[seed];
  int class = class_of (search, p->die);
  notch_near_find (search->near, p->x, p->y, p->reach, search->found);
  g_array_set_size (member, 0);
  for (guint k = 0; k < search->found->len; k++) {
    guint i = g_array_index (search->found, guint, k);
    const NotchPlace *q = &search->place[i];
    if (taken[i] || search->ghost[i] || q->bright != p->bright || class_of (search, q->die) != class)
      continue;
    guint *best = &search->best[search->die[i]];
    if (!*best)
      g_array_append_val (member, search->die[i]);
    if (!*best || apart (p, q) < apart (p, &search->place[*best - 1]))
      *best = i + 1;
  }
  for (guint k = 0; k < member->len; k++) { /* from dice to their places */
    int die = g_array_index (member, int, k);
    g_array_index (member, guint, k) = search->best[die] - 1;
    search->best[die] = 0;
  }
}

/* ln P (X >= k) of a Poisson count. */
static double
log_tail (double mean, guint k)
{
  if (!(mean > 0))
    return -G_MAXDOUBLE;
  if (k <= mean)
    return 0;
  double sum = 1, term = 1;
  for (guint j = k + 1; term > 1e-12 * sum; j++)
    sum += term *= mean / j;
  return MIN (k * log (mean) - mean - lgamma (k + 1.0) + log (sum), 0);
}

static int
compare_candidates (gconstpointer a, gconstpointer b)
{
  const Candidate *p = a, *q = b;
  if (p->n != q->n)
    return p->n > q->n ? -1 : 1;
  return (p->seed > q->seed) - (p->seed < q->seed);
}

/* How much better a group of n of n_dice is explained by a repeater than by chance, as a log of likelihoods. */
static double
log_gain (guint n, int n_dice, double by_chance)
{
  double share = (double) n / n_dice, p = MIN (by_chance, share);
  double gain = n * log (share / p);
  return (guint) n_dice > n ? gain + (n_dice - n) * log ((1 - share) / (1 - p)) : gain;
}

/* All repeaters under the field at hand; gives what they are worth. */
static double
find_groups (Search *search, int *taken, GArray *groups)
{
  g_autoptr (GArray) order = g_array_new (FALSE, FALSE, sizeof (Candidate));
  g_autoptr (GArray) member = g_array_new (FALSE, FALSE, sizeof (guint));
  int all_dice = 0;
  double area = hypot (search->grid->ax, search->grid->ay) * hypot (search->grid->bx, search->grid->by), worth = 0;
  gint64 n_left[2] = { 0 }; /* dark, bright: what is in no group yet */
  for (int c = 0; c < search->cols * search->rows; c++)
    all_dice += search->n_dice[c];
  memset (taken, 0, sizeof *taken * search->n);
  g_array_set_size (groups, 0);
  for (guint i = 0; i < search->n; i++) {
    n_left[search->place[i].bright != FALSE] += !search->ghost[i];
    if (search->ghost[i])
      continue;
    find_members (search, i, taken, member);
    Candidate candidate = { i, member->len };
    if (candidate.n >= LEAST_DICE)
      g_array_append_val (order, candidate);
  }
  g_array_sort (order, compare_candidates);
  for (guint k = 0; k < order->len; k++) {
    guint seed = g_array_index (order, Candidate, k).seed;
    const NotchPlace *p = &search->place[seed];
    if (taken[seed])
      continue;
    find_members (search, seed, taken, member);
    /* The density of what else there is: the group's own is no chance. */
    gint64 others = MAX (n_left[p->bright != FALSE] - member->len, 1);
    int class = class_of (search, p->die), n_dice = search->n_dice[class];
    double spot = G_PI * p->reach * p->reach, by_chance = others / (area * all_dice) * spot;
    double tests = MAX (area / spot, 1) * search->cols * search->rows * LARGEST_FIELD * LARGEST_FIELD;
    double p_log = log_tail (n_dice * by_chance, member->len);
    if (member->len < LEAST_DICE || p_log + log (tests) >= log (BY_CHANCE))
      continue;
    NotchRepeat repeat = {
      .n = member->len, .p = exp (p_log), .col = class % search->cols, .row = class / search->cols
    };
    for (guint m = 0; m < member->len; m++) {
      guint i = g_array_index (member, guint, m);
      taken[i] = (int) groups->len + 1;
      repeat.x += search->place[i].x / member->len, repeat.y += search->place[i].y / member->len;
    }
    n_left[p->bright != FALSE] -= member->len;
    worth += log_gain (member->len, MAX (n_dice, (int) member->len), by_chance) - log (tests);
    g_array_append_val (groups, repeat);
  }
  return worth;
}

static gboolean
set_field (Search *search, int cols, int rows, gboolean (*inspected) (gconstpointer, const NotchDie *),
           gconstpointer data)
{
  if ((cols > 1 && 2 * cols > search->grid->n_cols) || (rows > 1 && 2 * rows > search->grid->n_rows))
    return FALSE;
  search->cols = cols, search->rows = rows;
  memset (search->n_dice, 0, sizeof search->n_dice);
  for (guint d = 0; d < search->grid->die->len; d++) {
    const NotchDie *die = &g_array_index (search->grid->die, NotchDie, d);
    search->n_dice[class_of (search, die)] += inspected (data, die) != FALSE;
  }
  return TRUE;
}

GArray *
notch_repeat_find (const NotchPlace *place, guint n, const NotchGrid *grid,
                   gboolean (*inspected) (gconstpointer data, const NotchDie *die), gconstpointer data, int *repeat,
                   int *field_cols, int *field_rows)
{
  GArray *best = g_array_new (FALSE, FALSE, sizeof (NotchRepeat));
  Search search = { .place = place, .n = n, .grid = grid };
  double most = 0;
  *field_cols = *field_rows = 0;
  memset (repeat, 0, sizeof *repeat * n);
  g_autofree NotchPoint *point = g_new (NotchPoint, n);
  g_autofree gboolean *ghost = search.ghost = g_new0 (gboolean, n);
  g_autofree int *die = search.die = g_new (int, n);
  g_autofree guint *nearest = search.best = g_new0 (guint, grid->die->len);
  g_autofree int *taken = g_new0 (int, n);
  g_autoptr (GArray) groups = g_array_new (FALSE, FALSE, sizeof (NotchRepeat));
  g_autoptr (GArray) found = search.found = g_array_new (FALSE, FALSE, sizeof (guint));
  for (guint i = 0; i < n; i++) {
    point[i] = (NotchPoint){ place[i].x, place[i].y };
    die[i] = (int) (place[i].die - (const NotchDie *) grid->die->data);
    search.reach = MAX (search.reach, place[i].reach);
  }
  g_autoptr (NotchNear) near = search.near = notch_near_new (point, n, search.reach);
  find_ghosts (&search);
  for (int size = 1; size <= LARGEST_FIELD * LARGEST_FIELD; size++) /* the smaller field first */
    for (int rows = 1; rows <= LARGEST_FIELD; rows++) {
      if (size % rows || size / rows > LARGEST_FIELD || !set_field (&search, size / rows, rows, inspected, data))
        continue;
      double worth = find_groups (&search, taken, groups);
      if (worth <= most)
        continue;
      most = worth;
      *field_cols = search.cols, *field_rows = search.rows;
      memcpy (repeat, taken, sizeof *repeat * n);
      g_array_set_size (best, 0);
      g_array_append_vals (best, groups->data, groups->len);
    }
  return best;
}
