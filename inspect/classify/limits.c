/* limits.c - the verdict */
#include "inspect/classify/limits.h"

#include <string.h>

static gboolean
find_class (const GPtrArray *names, const char *name, guint *index)
{
  for (*index = 0; *index < names->len; (*index)++)
    if (strcmp (names->pdata[*index], name) == 0)
      return TRUE;
  return FALSE;
}

gboolean
notch_limits_find_class (const GPtrArray *class_names, const char *name, const char *place, guint *index,
                         GError **error)
{
  if (find_class (class_names, name, index))
    return TRUE;
  g_autoptr (GString) names = g_string_new (NULL);
  for (guint i = 0; i < class_names->len; i++)
    g_string_append_printf (names, "%s%s", i > 0 ? ", " : "", (const char *) class_names->pdata[i]);
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE,
               "%s: no rule or model of [classify] gives this class; classes are %s", place, names->str);
  return FALSE;
}

gboolean
notch_limits_check (const NotchRecipe *recipe, const GPtrArray *class_names, GError **error)
{
  for (guint i = 0; i < recipe->limits.per_class->len; i++) {
    const NotchClassLimit *limit = recipe->limits.per_class->pdata[i];
    guint index = 0;
    g_autofree char *key = g_strconcat ("class.", limit->name, NULL);
    g_autofree char *place = notch_recipe_place (recipe, "limits", key);
    if (!notch_limits_find_class (class_names, limit->name, place, &index, error))
      return FALSE;
  }
  return TRUE;
}

static void
reject (NotchResult *result, char *reason)
{
  g_ptr_array_add (result->reason, reason);
  if (result->verdict == NOTCH_VERDICT_PASS)
    result->verdict = NOTCH_VERDICT_REJECT;
}

/* Why a limit cannot be judged. */
enum { NO_DICE, NO_AREA, NO_PIXEL_SIZE, NO_DRIFT };
static const char *const unjudged[] = {
  [NO_DICE] = "the image has no dice, so limits per die cannot be judged; give the pitch in [dice], or take "
              "defects_per_die and failed_dice out of [limits]",
  [NO_AREA] = "nothing was inspected, so the density of defects cannot be judged; check [dice] and the regions",
  [NO_PIXEL_SIZE] =
      "the pixel size is not known, so the density of defects cannot be judged; give pixel_um in [wafer], or "
      "take density_per_cm2 out of [limits]",
  [NO_DRIFT] = "no model tells what it learned from, so drift cannot be judged; name one that notch train made in "
               "[classify], or take drift out of [limits]",
};

gboolean
notch_limits_unjudged (const char *reason)
{
  for (gsize i = 0; i < G_N_ELEMENTS (unjudged); i++)
    if (strcmp (unjudged[i], reason) == 0)
      return TRUE;
  return FALSE;
}

static void
cannot_judge (NotchResult *result, int why)
{
  g_ptr_array_add (result->reason, g_strdup (unjudged[why]));
  result->verdict = NOTCH_VERDICT_TROUBLE;
}

/* A limit as its owner wrote it. */
static const char *
format_limit (char text[G_ASCII_DTOSTR_BUF_SIZE], double limit)
{
  return g_ascii_formatd (text, G_ASCII_DTOSTR_BUF_SIZE, "%.15g", limit);
}

/* `one` and `many` name what is counted; a limit below 0 is none. */
static char *
tell_count (gint64 n, double most, const char *one, const char *many)
{
  char limit[G_ASCII_DTOSTR_BUF_SIZE];

  if (most < 0 || (double) n <= most)
    return NULL;
  return g_strdup_printf ("%" G_GINT64_FORMAT " %s, at most %s allowed", n, n == 1 ? one : many,
                          format_limit (limit, most));
}

static void
judge_count (NotchResult *result, gint64 n, double most, const char *one, const char *many)
{
  char *reason = tell_count (n, most, one, many);

  if (reason)
    reject (result, reason);
}

char *
notch_limits_class_reason (const char *name, gint64 most, gint64 n)
{
  g_autofree char *one = g_strdup_printf ("defect of class %s", name);
  g_autofree char *many = g_strdup_printf ("defects of class %s", name);
  return tell_count (n, (double) most, one, many);
}

static void
judge_dice (NotchResult *result)
{
  const double per_die = result->recipe->limits.defects_per_die, failed_dice = result->recipe->limits.failed_dice;
  const NotchDie *worst = NULL;
  gint64 n_over = 0, n_failed = 0;
  char limit[G_ASCII_DTOSTR_BUF_SIZE];

  if (per_die < 0 && failed_dice < 0)
    return;
  if (result->grid == NULL) {
    cannot_judge (result, NO_DICE);
    return;
  }
  for (guint i = 0; i < result->grid->die->len; i++) {
    const NotchDie *die = &g_array_index (result->grid->die, NotchDie, i);
    n_failed += die->failed || die->blank;
    if (per_die < 0 || (double) die->n_defects <= per_die)
      continue;
    n_over++;
    if (worst == NULL || die->n_defects > worst->n_defects)
      worst = die;
  }
  if (worst != NULL)
    reject (result, g_strdup_printf ("dice with too many defects: %" G_GINT64_FORMAT
                                     "; die (%d, %d) has most, %" G_GINT64_FORMAT ", at most %s allowed",
                                     n_over, worst->col, worst->row, worst->n_defects, format_limit (limit, per_die)));
  judge_count (result, n_failed, failed_dice, "failed die", "failed dice");
}

static void
judge_density (NotchResult *result)
{
  const double most = result->recipe->limits.density_per_cm2;
  const double area = (double) result->inspected_px * result->pixel_um * result->pixel_um * 1e-8; /* cm^2 */
  char limit[G_ASCII_DTOSTR_BUF_SIZE], found[G_ASCII_DTOSTR_BUF_SIZE];

  if (most < 0)
    return;
  if (!result->pixel_known || !(area > 0)) {
    cannot_judge (result, result->pixel_known ? NO_AREA : NO_PIXEL_SIZE);
    return;
  }
  if (result->defect->len / area > most)
    reject (result, g_strdup_printf ("%s defects per cm², at most %s allowed",
                                     g_ascii_formatd (found, sizeof found, "%.4g", result->defect->len / area),
                                     format_limit (limit, most)));
}

static void
judge_classes (NotchResult *result)
{
  const GPtrArray *limits = result->recipe->limits.per_class;

  for (guint i = 0; i < limits->len; i++) {
    const NotchClassLimit *limit = limits->pdata[i];
    guint index = 0;
    if (!find_class (result->class_name, limit->name, &index))
      continue; /* notch_limits_check tells */
    char *reason = notch_limits_class_reason (limit->name, limit->most, result->class_count[index]);
    if (reason)
      reject (result, reason);
  }
}

char *
notch_limits_drift_reason (const char *column, double most, double index)
{
  char limit[G_ASCII_DTOSTR_BUF_SIZE], found[G_ASCII_DTOSTR_BUF_SIZE];
  if (most < 0 || (column && index <= most))
    return NULL;
  if (!column)
    return g_strdup (unjudged[NO_DRIFT]);
  return g_strdup_printf ("%s has drifted by %s from what the model learned from, at most %s allowed", column,
                          g_ascii_formatd (found, sizeof found, "%.4g", index), format_limit (limit, most));
}

static void
judge_drift (NotchResult *result)
{
  const NotchDrift *drift = result->drift ? notch_drift_largest (result->drift) : NULL;
  char *reason =
      notch_limits_drift_reason (drift ? drift->name : NULL, result->recipe->limits.drift, drift ? drift->index : 0);
  if (!reason)
    return;
  reject (result, reason);
  if (!drift)
    result->verdict = NOTCH_VERDICT_TROUBLE;
}

void
notch_limits_judge (NotchResult *result)
{
  if (result->verdict == NOTCH_VERDICT_TROUBLE)
    return;
  result->verdict = NOTCH_VERDICT_PASS;
  judge_count (result, result->defect->len, result->recipe->limits.defects, "defect", "defects");
  judge_dice (result);
  judge_density (result);
  judge_classes (result);
  judge_drift (result);
}
