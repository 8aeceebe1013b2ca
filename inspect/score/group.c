/* group.c - defects whose capture is summed, and their curves */
#include "inspect/score/score.h"

#include <math.h>
#include <string.h>

const double notch_score_bins[NOTCH_SCORE_BINS + 1] = { 0, 4, 5, 6, 7, 8, 10, 12, 16, 20, 30, G_MAXDOUBLE };

/* Kinds by words in their classes' names; a class belongs to the first that fits. */
static const struct {
  const char *name, *word[2];
} kinds[] = {
  { "points and blobs", { "particle", "pit" } },
  { "scratches", { "scratch", "scratch" } },
  { "stains", { "stain", "stain" } },
};

/* The kind of a class, or NULL. */
static const char *
kind_of (const char *type)
{
  for (guint k = 0; k < G_N_ELEMENTS (kinds); k++)
    if (strstr (type, kinds[k].word[0]) || strstr (type, kinds[k].word[1]))
      return kinds[k].name;
  return NULL;
}

static void
group_free (gpointer data)
{
  NotchScoreGroup *group = data;
  g_free (group->name);
  g_free (group->snr);
  g_free (group->captured);
  g_free (group->other);
  g_free (group);
}

gboolean
notch_score_in_group (const NotchScoreGroup *group, const NotchTruth *truth)
{
  if (!truth->counted)
    return FALSE;
  if (group->type)
    return strcmp (group->type, truth->type) == 0;
  return strcmp (group->name, "all") == 0 || g_strcmp0 (group->name, kind_of (truth->type)) == 0;
}

/* Fills a group in; one without defects is dropped. */
static void
add (GPtrArray *groups, const char *name, const char *type, const NotchTally *tally, const NotchTally *other)
{
  guint most = tally->truth->len + 1;
  NotchScoreGroup *group = g_new0 (NotchScoreGroup, 1);
  group->name = g_strdup (name);
  group->type = type;
  group->snr = g_new (double, most);
  group->captured = g_new (gboolean, most);
  group->other = other ? g_new (gboolean, most) : NULL;
  for (guint i = 0; i < tally->truth->len; i++) {
    const NotchTruth *t = notch_tally_truth (tally, i);
    if (!notch_score_in_group (group, t))
      continue;
    group->n++;
    group->n_captured += t->n_found > 0;
    if (isnan (t->snr))
      continue;
    group->snr[group->n_trials] = t->snr;
    group->captured[group->n_trials] = t->n_found > 0;
    if (other)
      group->other[group->n_trials] = notch_tally_truth (other, i)->n_found > 0;
    group->n_trials++;
  }
  if (group->n == 0) {
    group_free (group);
    return;
  }
  const NotchScoreCurve none = { NAN, NAN, NAN, NAN, NAN };
  group->curve = group->other_curve = none;
  int n = group->n_trials;
  group->fitted = notch_score_fit (group->snr, group->captured, n, &group->curve);
  group->other_fitted = other && notch_score_fit (group->snr, group->other, n, &group->other_curve);
  const double open = NAN;
  group->spread = (NotchScoreSpread){ { open, open }, { open, open }, { open, open } };
  if (group->fitted)
    notch_score_bootstrap (group->snr, group->captured, &group->curve, group->other_fitted ? group->other : NULL,
                           &group->other_curve, n, &group->spread);
  g_ptr_array_add (groups, group);
}

GPtrArray *
notch_score_groups (const NotchTally *tally, const NotchTally *other)
{
  g_autoptr (GPtrArray) types = g_ptr_array_new ();
  GPtrArray *groups = g_ptr_array_new_with_free_func (group_free);
  int of_kind[G_N_ELEMENTS (kinds)] = { 0 };
  for (guint i = 0; i < tally->truth->len; i++) {
    const NotchTruth *t = notch_tally_truth (tally, i);
    if (t->counted && *t->type && !g_ptr_array_find_with_equal_func (types, t->type, g_str_equal, NULL))
      g_ptr_array_add (types, (char *) t->type);
  }
  for (guint k = 0; k < G_N_ELEMENTS (kinds); k++) {
    for (guint i = 0; i < types->len; i++)
      of_kind[k] += g_strcmp0 (kind_of (types->pdata[i]), kinds[k].name) == 0;
    add (groups, kinds[k].name, NULL, tally, other);
  }
  for (guint i = 0; i < types->len; i++) {
    int alone = 0;
    for (guint k = 0; k < G_N_ELEMENTS (kinds); k++)
      alone |= of_kind[k] == 1 && g_strcmp0 (kind_of (types->pdata[i]), kinds[k].name) == 0;
    if (!alone)
      add (groups, types->pdata[i], types->pdata[i], tally, other);
  }
  add (groups, "all", NULL, tally, other);
  return groups;
}
