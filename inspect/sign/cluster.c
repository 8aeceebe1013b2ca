/* cluster.c - see cluster.h */
#include "inspect/sign/cluster.h"

#include <math.h>
#include <string.h>

#define LEAST_POINTS 4    /* within reach of a core, itself included */
#define THROWS       99   /* of the null */
#define LEVEL        0.05 /* the chance of any cluster where there are none */
#define SEED         20260101

/* How many others chance puts within reach; far below 4.5, where discs that overlap span the plane. */
static const double others[] = { 0.1, 0.5, 1.5 };
enum { N_SCALES = G_N_ELEMENTS (others) };

/* Labels from 1, by the first core point; 0 is noise. Gives their number. */
static int
group (const NotchPoint *point, guint n, double reach, int *label)
{
  g_autoptr (NotchNear) near = notch_near_new (point, n, reach);
  g_autoptr (GArray) found = g_array_new (FALSE, FALSE, sizeof (guint));
  g_autoptr (GArray) open = g_array_new (FALSE, FALSE, sizeof (guint));
  int n_groups = 0;
  memset (label, 0, sizeof *label * n);
  for (guint i = 0; i < n; i++) {
    if (label[i])
      continue;
    notch_near_find (near, point[i].x, point[i].y, reach, found);
    if (found->len < LEAST_POINTS)
      continue;
    label[i] = ++n_groups;
    g_array_set_size (open, 0);
    g_array_append_val (open, i);
    while (open->len > 0) {
      guint k = g_array_index (open, guint, open->len - 1);
      g_array_set_size (open, open->len - 1);
      notch_near_find (near, point[k].x, point[k].y, reach, found);
      for (guint m = 0; m < found->len && found->len >= LEAST_POINTS; m++) {
        guint next = g_array_index (found, guint, m);
        if (label[next])
          continue;
        label[next] = n_groups;
        g_array_append_val (open, next);
      }
    }
  }
  return n_groups;
}

static guint *
count_sizes (const int *label, guint n, int n_groups)
{
  guint *size = g_new0 (guint, n_groups + 1);
  for (guint i = 0; i < n; i++)
    size[label[i]]++;
  return size;
}

static guint
largest (const NotchPoint *point, guint n, double reach, int *label)
{
  int n_groups = group (point, n, reach, label);
  g_autofree guint *size = count_sizes (label, n, n_groups);
  guint most = 0;
  for (int g = 1; g <= n_groups; g++)
    most = MAX (most, size[g]);
  return most;
}

static NotchPoint
throw_one (GRand *rand, const NotchField *field, gint64 *tries)
{
  NotchPoint p;
  do {
    p.x = g_rand_double_range (rand, 0, field->width), p.y = g_rand_double_range (rand, 0, field->height);
    ++*tries;
  } while (!field->inspected (field->data, p.x, p.y) && *tries > 0);
  return p;
}

/* Does enough of the field count to throw points into it? How much of it does. */
static double
inspected_share (GRand *rand, const NotchField *field)
{
  const int n = 20000;
  int in = 0;
  for (int i = 0; i < n; i++) {
    double x = g_rand_double_range (rand, 0, field->width), y = g_rand_double_range (rand, 0, field->height);
    in += field->inspected (field->data, x, y) != FALSE;
  }
  return in >= 20 ? (double) in / n : 0;
}

GArray *
notch_cluster_find (const NotchPoint *point, guint n, const NotchField *field, double reach, int *cluster)
{
  GArray *p_values = g_array_new (FALSE, FALSE, sizeof (double));
  for (guint i = 0; i < n; i++)
    cluster[i] = 0;
  if (n < LEAST_POINTS || n > NOTCH_CLUSTER_MOST || !(field->width > 0) || !(field->height > 0))
    return p_values;
  g_autoptr (GRand) rand = g_rand_new_with_seed (SEED);
  double share = inspected_share (rand, field);
  if (share == 0)
    return p_values;
  const int n_scales = reach > 0 ? 1 : N_SCALES;
  double scale[N_SCALES] = { reach };
  for (int s = 0; s < n_scales && !(reach > 0); s++)
    scale[s] = sqrt (others[s] * share * field->width * field->height / (G_PI * n));

  g_autofree NotchPoint *thrown = g_new (NotchPoint, n);
  g_autofree int *label = g_new (int, n);
  guint null[N_SCALES][THROWS];
  for (int t = 0; t < THROWS; t++) {
    gint64 tries = 0;
    for (guint i = 0; i < n; i++)
      thrown[i] = throw_one (rand, field, &tries);
    for (int s = 0; s < n_scales; s++)
      null[s][t] = largest (thrown, n, scale[s], label);
  }

  /* A wider reach sees all of a cluster, and who happens to live next door: it has to bring in half as much again. All
   * that a narrow reach groups is in one group of a wider. */
  g_autofree double *p_of = g_new0 (double, (gsize) n *N_SCALES);
  int n_found = 0;
  for (int s = 0; s < n_scales; s++) {
    int n_groups = group (point, n, scale[s], label);
    g_autofree guint *size = count_sizes (label, n, n_groups);
    g_autofree guint *inside = g_new0 (guint, n_groups + 1);
    g_autofree int *number = g_new0 (int, n_groups + 1);
    for (guint i = 0; i < n; i++)
      inside[label[i]] += cluster[i] > 0;
    for (int g = 1; g <= n_groups; g++) {
      int at_least = 1;
      for (int t = 0; t < THROWS; t++)
        at_least += null[s][t] >= size[g];
      double p = (double) at_least / (THROWS + 1);
      if (p * n_scales > LEVEL || 2 * size[g] < 3 * inside[g])
        continue;
      p_of[n_found] = p;
      number[g] = ++n_found;
    }
    for (guint i = 0; i < n; i++)
      if (number[label[i]])
        cluster[i] = number[label[i]];
  }

  /* Numbers in the order of the points. */
  g_autofree int *rank = g_new0 (int, n_found + 1);
  for (guint i = 0; i < n; i++) {
    if (cluster[i] && !rank[cluster[i]]) {
      g_array_append_val (p_values, p_of[cluster[i] - 1]);
      rank[cluster[i]] = (int) p_values->len;
    }
    cluster[i] = rank[cluster[i]];
  }
  return p_values;
}
