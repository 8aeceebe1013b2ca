/* scratch.c - see scratch.h */
#include "inspect/sign/scratch.h"

#include "inspect/near.h"

#include <math.h>
#include <stdlib.h>

#define REACH       100  /* px: no gap is wider */
#define GAP         4    /* nor than so many lengths */
#define SLACK       2.5  /* px: that a piece may lie beside the line */
#define SEEN        12   /* sigmas: what ends two pieces as strong as that would be seen between them, at half of it */
#define ALIKE       3    /* times as strong as the next piece is one at most, where the two do not touch */
#define UNSEEN      10   /* px: but in a gap no wider */
#define SAME_PLACE  3    /* px */
#define AROUND      256  /* px: where the density of pieces is counted */
#define LIKELY      0.3  /* a neighbour by chance: no link */
#define FALSE_LINKS 0.3  /* chains of found blobs, an image */
#define FALSE_TAILS 0.01 /* of one found blob and candidates: all of a speck's place and shape is at stake */
#define LINK_WAYS   5000 /* places and shapes that a link can lead to, as different to the noise */
#define SLOPE       0.26794919 /* tan 15 degrees */
#define OPEN_SLOPE  0.57735027 /* tan 30 degrees: where a piece has no direction, but the chain has */

typedef struct {
  NotchPoint at;
  double ux, uy; /* direction, image axes */
  gboolean directed, bright, found;
  double half, length, peak; /* px, px, sigmas */
  double echo;               /* px: how far the noise in its filter's responses is one noise */
  double rank;  /* the part of all candidates that are as strong where there is but noise; 1 for a found blob */
  double sum;   /* sigmas: of the residuals of its pixels */
  double area;  /* px */
  guint blob;   /* index in its array */
  gint link[2]; /* the neighbours, by side; -1: none */
} Node;

typedef struct {
  guint a, b;
  double chance;
} Link;

/* What is found, and candidates and all: how many an area, and how many of them have a direction. */
typedef struct {
  gint64 n;
  double density, directed;
  NotchPoint *point;
  NotchNear *near;
} Kind;

typedef struct {
  GArray *node; /* Node */
  Kind kind[2]; /* candidates and found ones; found ones */
  double area, false_chains, least_weight;
  gboolean surely;       /* every link must do without the others' help */
  GArray *near_by;       /* guint */
  GArray *accepted;      /* GArray * of guint: chains */
  const NotchGrid *grid; /* NULL: no dice */
} Linker;

static Node *
node_at (const Linker *linker, guint i)
{
  return &g_array_index (linker->node, Node, i);
}

/* ---- nodes ----------------------------------------------------------------------------------------------------- */

static void
add_nodes (Linker *linker, GArray *blobs, gboolean found, const NotchFeatureContext *context)
{
  for (guint i = 0; blobs && i < blobs->len; i++) {
    const NotchJoined *blob = &g_array_index (blobs, NotchJoined, i);
    double value[NOTCH_N_FEATURES];
    notch_features_measure (blob, context, value);
    Node node = { .at = { value[NOTCH_FEATURE_X], value[NOTCH_FEATURE_Y] },
                  .half = 0.5 * value[NOTCH_FEATURE_SIZE_UM] / context->frame.pixel_um,
                  .peak = value[NOTCH_FEATURE_PEAK_SNR],
                  .bright = blob->res > 0,
                  .found = found,
                  .rank = 1,
                  .sum = (double) blob->z / 256,
                  .area = (double) blob->n,
                  .blob = i,
                  .link = { -1, -1 } };
    double angle = -value[NOTCH_FEATURE_ANGLE_DEG] * G_PI / 180; /* y runs down */
    const NotchChannel *filter = blob->peak_channel >= 0 && blob->peak_channel < context->n_channels
                                     ? &context->channel[blob->peak_channel]
                                     : NULL;
    node.length = 2 * node.half;
    node.echo = filter ? MAX (4 * filter->sigma, 2 * filter->length) : 0;
    node.directed = value[NOTCH_FEATURE_ELONGATION] > 2 && node.half > 2.5;
    if (filter && filter->kind == NOTCH_CHANNEL_LINE) {
      /* Few pixels tell less of a direction than the filter that saw more of it. */
      if (!node.directed || node.half < (double) filter->length / 2)
        angle = filter->angle;
      node.directed = TRUE;
      node.length = MAX (node.length, 2 * (double) filter->length);
    }
    node.ux = cos (angle), node.uy = sin (angle);
    g_array_append_val (linker->node, node);
  }
}

/* Peaks of a smooth Gaussian field are as many above u as u exp (-u^2 / 2) says (noise.h), and the gains see to it that
 * the responses are such fields. */
static void
rank_candidates (Linker *linker)
{
  double least = G_MAXDOUBLE;
  for (guint i = 0; i < linker->node->len; i++)
    if (!node_at (linker, i)->found)
      least = MIN (least, node_at (linker, i)->peak);
  for (guint i = 0; i < linker->node->len; i++) {
    Node *node = node_at (linker, i);
    if (!node->found)
      node->rank = MIN (node->peak / least * exp (0.5 * (least * least - node->peak * node->peak)), 1);
  }
}

static void
count_kinds (Linker *linker)
{
  for (int k = 0; k < 2; k++) {
    Kind *kind = &linker->kind[k];
    gint64 n_directed = 0;
    kind->point = g_new (NotchPoint, linker->node->len);
    for (guint i = 0; i < linker->node->len; i++) {
      const Node *node = node_at (linker, i);
      if (k == 1 && !node->found)
        continue;
      kind->point[kind->n++] = node->at;
      n_directed += node->directed;
    }
    kind->density = MAX (kind->n, 1) / linker->area;
    kind->directed = (n_directed + 1.0) / (kind->n + 2.0);
    kind->near = notch_near_new (kind->point, (guint) kind->n, AROUND);
  }
}

/* ---- links ----------------------------------------------------------------------------------------------------- */

/* Where a node ends: one point where it has no direction, two where it has. */
static int
tips_of (const Node *node, NotchPoint tip[2])
{
  double along = node->directed ? node->half : 0;
  tip[0] = (NotchPoint){ node->at.x + along * node->ux, node->at.y + along * node->uy };
  tip[1] = (NotchPoint){ node->at.x - along * node->ux, node->at.y - along * node->uy };
  return node->directed ? 2 : 1;
}

static double
tip_to_tip (const Node *a, const Node *b)
{
  NotchPoint p[2], q[2];
  int n = tips_of (a, p), m = tips_of (b, q);
  double least = G_MAXDOUBLE;
  for (int i = 0; i < n; i++)
    for (int k = 0; k < m; k++)
      least = MIN (least, hypot (p[i].x - q[k].x, p[i].y - q[k].y));
  return least;
}

static double
gap_between (const Node *a, const Node *b)
{
  return MAX (tip_to_tip (a, b) - (a->directed ? 0 : a->half) - (b->directed ? 0 : b->half), 0);
}

/* Does a's direction lead to b? */
static gboolean
leads_to (const Node *a, const Node *b)
{
  double dx = b->at.x - a->at.x, dy = b->at.y - a->at.y;
  double along = fabs (dx * a->ux + dy * a->uy), beside = fabs (dy * a->ux - dx * a->uy);
  return !a->directed || (along >= 0.7 * a->half && beside <= SLACK + SLOPE * hypot (dx, dy));
}

static gboolean
fit (const Node *a, const Node *b)
{
  double gap = gap_between (a, b), weak = MIN (a->peak, b->peak), strong = MAX (a->peak, b->peak);
  return a->bright == b->bright && leads_to (a, b) && leads_to (b, a)
         && gap <= MIN (GAP * MAX (a->length, b->length), REACH)
         && (gap <= UNSEEN || (weak < SEEN && strong < ALIKE * weak));
}

/* How many nodes chance puts where b is seen from a, and as near: of b's kind, sign and, if it has one, direction.
 * start: the chain begins at a, so that without a direction all around counts. */
static double
chance_of (const Linker *linker, const Node *a, const Node *b, double density, gboolean start)
{
  const Kind *kind = &linker->kind[b->found];
  double away = hypot (b->at.x - a->at.x, b->at.y - a->at.y), half = a->directed ? MIN (a->half, away) : 0;
  double slope = a->directed ? SLOPE : OPEN_SLOPE;
  double sector =
      start && !a->directed ? G_PI * away * away : slope * (away * away - half * half) + 2 * SLACK * (away - half);
  double ahead = 0.5 * G_PI * tip_to_tip (a, b) * tip_to_tip (a, b); /* long pieces that nearly touch */
  if (a->directed)
    sector = MIN (sector, ahead);
  double turned = MIN (2 * atan (SLOPE + SLACK / away) / G_PI, 1);
  return MAX (sector, 4 * SLACK) * density * 0.5 * (b->directed ? kind->directed * turned : 1 - kind->directed);
}

static int
compare_links (gconstpointer a, gconstpointer b)
{
  const Link *p = a, *q = b;
  if (p->chance != q->chance)
    return p->chance < q->chance ? -1 : 1;
  if (p->a != q->a)
    return p->a < q->a ? -1 : 1;
  return (p->b > q->b) - (p->b < q->b);
}

/* All pairs that fit, the surest first. */
static GArray *
find_links (Linker *linker)
{
  GArray *links = g_array_new (FALSE, FALSE, sizeof (Link));
  const guint n = linker->node->len;
  g_autofree NotchPoint *tip = g_new (NotchPoint, 2 * (gsize) n);
  double widest = 0;
  for (guint i = 0; i < n; i++) {
    const Node *node = node_at (linker, i);
    tips_of (node, tip + 2 * (gsize) i);
    widest = MAX (widest, node->directed ? 0 : node->half);
  }
  g_autoptr (NotchNear) near = notch_near_new (tip, 2 * n, REACH + 2 * MIN (widest, REACH));
  g_autoptr (GArray) seen = g_array_sized_new (FALSE, TRUE, sizeof (guint), n); /* by node: the last that saw it, + 1 */
  g_array_set_size (seen, n);
  for (guint t = 0; t < 2 * n; t++) {
    guint a = t / 2;
    notch_near_find (near, tip[t].x, tip[t].y, REACH + 2 * MIN (widest, REACH), linker->near_by);
    for (guint k = 0; k < linker->near_by->len; k++) {
      guint b = g_array_index (linker->near_by, guint, k) / 2;
      if (b <= a || g_array_index (seen, guint, b) == a + 1)
        continue;
      g_array_index (seen, guint, b) = a + 1;
      const Node *p = node_at (linker, a), *q = node_at (linker, b);
      if (!fit (p, q))
        continue;
      double there = chance_of (linker, p, q, linker->kind[q->found].density, FALSE);
      double back = chance_of (linker, q, p, linker->kind[p->found].density, FALSE);
      Link link = { a, b, MAX (there, back) };
      if (link.chance < LIKELY)
        g_array_append_val (links, link);
    }
  }
  g_array_sort (links, compare_links);
  return links;
}

/* The side of a that b is on, or -1 where that side is taken. A node without a direction gets one by its first link. */
static int
free_side (const Linker *linker, const Node *a, const Node *b)
{
  double dx = b->at.x - a->at.x, dy = b->at.y - a->at.y;
  if (a->directed) {
    int side = dx * a->ux + dy * a->uy > 0;
    return a->link[side] < 0 ? side : -1;
  }
  if (a->link[0] < 0)
    return 0;
  const Node *other = node_at (linker, (guint) a->link[0]);
  double ox = other->at.x - a->at.x, oy = other->at.y - a->at.y;
  gboolean opposite = dx * ox + dy * oy <= -cos (G_PI / 6) * hypot (dx, dy) * hypot (ox, oy);
  return opposite && a->link[1] < 0 ? 1 : -1;
}

static guint
root_of (guint *parent, guint i)
{
  while (parent[i] != i)
    i = parent[i] = parent[parent[i]];
  return i;
}

/* Takes links, the surest first, as long as every node has one neighbour a side and no chain closes. */
static void
take_links (Linker *linker, const GArray *links)
{
  g_autofree guint *parent = g_new (guint, linker->node->len);
  for (guint i = 0; i < linker->node->len; i++)
    parent[i] = i;
  for (guint k = 0; k < links->len; k++) {
    const Link *link = &g_array_index (links, Link, k);
    Node *a = node_at (linker, link->a), *b = node_at (linker, link->b);
    int side_a = free_side (linker, a, b), side_b = free_side (linker, b, a);
    guint root_a = root_of (parent, link->a), root_b = root_of (parent, link->b);
    if (side_a < 0 || side_b < 0 || root_a == root_b)
      continue;
    if (linker->surely && link->chance * (double) linker->kind[1].n >= FALSE_LINKS)
      break; /* they are in order */
    parent[MAX (root_a, root_b)] = MIN (root_a, root_b);
    a->link[side_a] = (gint) link->b;
    b->link[side_b] = (gint) link->a;
  }
}

/* ---- chains ---------------------------------------------------------------------------------------------------- */

/* The density of b's kind around it, far and near, the chain itself left out: in a cluster chance does more. */
static double
density_around (const Linker *linker, const Node *b, const guint *chain, guint n)
{
  const Kind *kind = &linker->kind[b->found];
  double most = kind->density;
  for (double r = AROUND; r >= AROUND / 4; r /= 2) {
    guint own = 0;
    notch_near_find (kind->near, b->at.x, b->at.y, r, linker->near_by);
    for (guint i = 0; i < n; i++) {
      const Node *node = node_at (linker, chain[i]);
      own += (node->found || !b->found) && hypot (node->at.x - b->at.x, node->at.y - b->at.y) <= r;
    }
    most = MAX (most, (linker->near_by->len - own) / (G_PI * r * r));
  }
  return most;
}

/* The upper tail of a Gamma variable of whole-numbered shape. */
static double
gamma_tail (guint shape, double t)
{
  double sum = 0, term = exp (-t);
  for (guint j = 0; j < shape; j++) {
    sum += term;
    term *= t / (j + 1);
  }
  return MIN (sum, 1);
}

/* Are two nodes at one place of two dice? */
static gboolean
repeat (const Linker *linker, const Node *a, const Node *b)
{
  double col, row, other_col, other_row;
  if (!linker->grid)
    return FALSE;
  notch_grid_to_cells (linker->grid, a->at.x, a->at.y, &col, &row);
  notch_grid_to_cells (linker->grid, b->at.x, b->at.y, &other_col, &other_row);
  double x, y, cols = round (col - other_col), rows = round (row - other_row);
  notch_grid_from_cells (linker->grid, other_col + cols, other_row + rows, &x, &y);
  return (cols != 0 || rows != 0) && hypot (x - a->at.x, y - a->at.y) < SAME_PLACE;
}

/* Found blobs that repeat lie in line because the dice do. */
static gboolean
holds_repeaters (const Linker *linker, const guint *chain, guint n)
{
  for (guint i = 0; i < n; i++)
    for (guint k = i + 1; k < n; k++) {
      const Node *a = node_at (linker, chain[i]), *b = node_at (linker, chain[k]);
      if (a->found && b->found && repeat (linker, a, b))
        return TRUE;
    }
  return FALSE;
}

/* What the pixels of a chain say together, sigmas. */
static double
weight_of (const Linker *linker, const guint *chain, guint n)
{
  double sum = 0, area = 0;
  for (guint i = 0; i < n; i++)
    sum += node_at (linker, chain[i])->sum, area += node_at (linker, chain[i])->area;
  return fabs (sum) / sqrt (MAX (area, 1));
}

/* Keeps a chain, or the parts of it, that chance does not explain. */
static void
judge (Linker *linker, const guint *chain, guint n)
{
  guint start = 0, weakest = 1, n_links = 0, shape = 0, n_found = 0;
  double sum = 0, most = 0;
  if (n < 2)
    return;
  for (guint i = 1; i < n; i++) {
    const Node *a = node_at (linker, chain[start]), *b = node_at (linker, chain[i]);
    if (b->found != a->found ? b->found : b->peak > a->peak)
      start = i;
  }
  for (int way = -1; way <= 1; way += 2) { /* from the start to both ends */
    const Node *from = node_at (linker, chain[start]);
    for (gint64 i = (gint64) start + way; i >= 0 && i < n; i += way) {
      const Node *to = node_at (linker, chain[i]);
      /* The same noise peaks twice within a filter's reach: a candidate so close says nothing new. */
      if (!to->found && hypot (to->at.x - from->at.x, to->at.y - from->at.y) <= MAX (from->echo, to->echo))
        continue;
      double chance = chance_of (linker, from, to, density_around (linker, to, chain, n), n_links == 0);
      sum -= log (-expm1 (-chance)) + log (to->rank);
      shape += to->found ? 1 : 2;
      n_links++;
      from = to;
      if (chance > most) {
        most = chance;
        weakest = (guint) (way > 0 ? i : i + 1);
      }
    }
  }
  for (guint i = 0; i < n; i++)
    n_found += node_at (linker, chain[i])->found;
  gboolean found = n_found > 0;
  if (!found) {
    sum -= log (node_at (linker, chain[start])->rank);
    shape++;
  }
  double expected = (double) linker->kind[found].n * (n_links + 1) * gamma_tail (shape, sum);
  double allowed = n_found > 1 ? FALSE_LINKS : found ? FALSE_TAILS : linker->false_chains;
  gboolean unlikely = n_links > 0 && expected < allowed;
  double least = hypot (linker->least_weight, sqrt (2 * log (LINK_WAYS) * n_links)); /* a search so much wider */
  gboolean heavy = !found && weight_of (linker, chain, n) >= least;
  if ((unlikely || heavy) && !holds_repeaters (linker, chain, n)) {
    GArray *kept = g_array_sized_new (FALSE, FALSE, sizeof (guint), n);
    g_array_append_vals (kept, chain, n);
    g_array_append_val (linker->accepted, kept);
    return;
  }
  judge (linker, chain, weakest);
  judge (linker, chain + weakest, n - weakest);
}

/* Follows every chain from one of its ends. */
static void
judge_chains (Linker *linker)
{
  g_autoptr (GArray) chain = g_array_new (FALSE, FALSE, sizeof (guint));
  g_autofree gboolean *done = g_new0 (gboolean, linker->node->len);
  for (guint i = 0; i < linker->node->len; i++) {
    const Node *end = node_at (linker, i);
    if (done[i] || (end->link[0] < 0) == (end->link[1] < 0))
      continue;
    g_array_set_size (chain, 0);
    for (gint k = (gint) i, before = -1; k >= 0;) {
      const Node *node = node_at (linker, (guint) k);
      guint here = (guint) k;
      g_array_append_val (chain, here);
      done[here] = TRUE;
      k = node->link[0] == before ? node->link[1] : node->link[0];
      before = (gint) here;
    }
    judge (linker, (const guint *) chain->data, chain->len);
  }
}

/* ---- merging --------------------------------------------------------------------------------------------------- */

static void
add_die (GHashTable *dice, const NotchGrid *grid, double x, double y)
{
  NotchDie *die = notch_grid_locate (grid, x, y);
  if (die)
    g_hash_table_add (dice, die);
}

/* The dice on the way along the chain. */
static int
count_dice (const Linker *linker, const GArray *chain, const NotchGrid *grid)
{
  if (!grid)
    return 0;
  g_autoptr (GHashTable) dice = g_hash_table_new (NULL, NULL);
  double step = 0.1 * MIN (hypot (grid->ax, grid->ay), hypot (grid->bx, grid->by));
  NotchPoint end[2], last = node_at (linker, g_array_index (chain, guint, 0))->at;
  for (guint i = 0; i < chain->len; i++) {
    const Node *node = node_at (linker, g_array_index (chain, guint, i));
    int n = tips_of (node, end);
    for (int k = 0; k < n; k++)
      add_die (dice, grid, end[k].x, end[k].y);
    double dx = node->at.x - last.x, dy = node->at.y - last.y, away = hypot (dx, dy);
    for (double along = 0; along < away; along += step)
      add_die (dice, grid, last.x + dx * along / away, last.y + dy * along / away);
    add_die (dice, grid, node->at.x, node->at.y);
    last = node->at;
  }
  return (int) g_hash_table_size (dice);
}

/* Appends what a blob is made of. */
static void
add_parts (GArray *part, const NotchJoined *blob)
{
  const NotchPart whole = { .x = (double) blob->x / (double) blob->n,
                            .y = (double) blob->y / (double) blob->n,
                            .x0 = blob->x0,
                            .y0 = blob->y0,
                            .x1 = blob->x1,
                            .y1 = blob->y1,
                            .n = blob->n };
  if (blob->linked.part)
    g_array_append_vals (part, blob->linked.part->data, blob->linked.part->len);
  else
    g_array_append_val (part, whole);
}

static void
merge_chain (const Linker *linker, const GArray *chain, GArray *blobs, GArray *candidates, const NotchGrid *grid)
{
  const Node *last = node_at (linker, g_array_index (chain, guint, chain->len - 1));
  NotchJoined *to = NULL;
  double length = last->half;
  int parts = 0;
  for (guint i = 0; i < chain->len; i++) {
    const Node *node = node_at (linker, g_array_index (chain, guint, i));
    const Node *before = i ? node_at (linker, g_array_index (chain, guint, i - 1)) : NULL;
    length += before ? hypot (node->at.x - before->at.x, node->at.y - before->at.y) : node->half;
    if (node->found && (!to || &g_array_index (blobs, NotchJoined, node->blob) < to))
      to = &g_array_index (blobs, NotchJoined, node->blob);
  }
  if (!to) {
    const Node *first = node_at (linker, g_array_index (chain, guint, 0));
    NotchJoined *promoted = &g_array_index (candidates, NotchJoined, first->blob);
    g_array_append_vals (blobs, promoted, 1);
    to = &g_array_index (blobs, NotchJoined, blobs->len - 1);
    notch_joined_forget (promoted);
    promoted->n = 0;
  }
  GArray *all = g_array_new (FALSE, FALSE, sizeof (NotchPart));
  add_parts (all, to);
  for (guint i = 0; i < chain->len; i++) {
    const Node *node = node_at (linker, g_array_index (chain, guint, i));
    NotchJoined *from = &g_array_index (node->found ? blobs : candidates, NotchJoined, node->blob);
    if (from == to || from->n == 0)
      continue;
    add_parts (all, from);
    notch_joined_merge (to, from);
    parts += MAX (from->linked.parts, 1);
    from->n = 0;
  }
  g_clear_pointer (&to->linked.part, g_array_unref);
  to->linked = (NotchLinked){ MAX (to->linked.parts, 1) + parts, count_dice (linker, chain, grid), length, all };
}

/* Takes out what was merged away. */
static void
drop_merged (GArray *blobs)
{
  guint kept = 0;
  for (guint i = 0; i < blobs->len; i++) {
    NotchJoined *blob = &g_array_index (blobs, NotchJoined, i);
    if (blob->n > 0)
      notch_joined_move (blobs, kept++, blob);
  }
  g_array_set_size (blobs, kept);
}

/* One round; gives how many chains became one blob. */
static guint
link_round (GArray *blob, GArray *candidate, const NotchFeatureContext *context, double area, double false_chains,
            double least_weight, gboolean surely)
{
  Linker linker = { .area = MAX (area, 1),
                    .false_chains = false_chains,
                    .least_weight = least_weight,
                    .surely = surely,
                    .grid = context->grid };
  g_autoptr (GArray) node = linker.node = g_array_new (FALSE, FALSE, sizeof (Node));
  g_autoptr (GArray) near_by = linker.near_by = g_array_new (FALSE, FALSE, sizeof (guint));
  g_autoptr (GArray) accepted = linker.accepted = g_array_new (FALSE, FALSE, sizeof (GArray *));
  add_nodes (&linker, blob, TRUE, context);
  add_nodes (&linker, candidate, FALSE, context);
  rank_candidates (&linker);
  count_kinds (&linker);
  g_autoptr (GArray) links = find_links (&linker);
  take_links (&linker, links);
  judge_chains (&linker);
  for (guint i = 0; i < accepted->len; i++) {
    g_autoptr (GArray) chain = g_array_index (accepted, GArray *, i);
    merge_chain (&linker, chain, blob, candidate, context->grid);
  }
  drop_merged (blob);
  for (int k = 0; k < 2; k++) {
    notch_near_free (linker.kind[k].near);
    g_free (linker.kind[k].point);
  }
  return accepted->len;
}

void
notch_scratch_link (GArray *blob, GArray *candidate, const NotchFeatureContext *context, double area,
                    double false_chains, double least_weight)
{
  const int most_rounds = 4;
  for (int i = 0; i < most_rounds && link_round (blob, NULL, context, area, 0, G_MAXDOUBLE, TRUE) > 0; i++)
    ;
  link_round (blob, candidate, context, area, false_chains, least_weight, FALSE);
}
