/* defects.c - plants defects whose matched signal to noise ratio is known
 *
 * A defect is drawn with a peak near 1, then scaled so that the square root of the sum of (delta / sigma)^2 over its
 * pixels is the ratio that was drawn, sigma being the sensor's noise on the clean image. That is what the best linear
 * detector would see if the reference were perfect. Repeaters and clusters are groups of such; a scratch across dice is
 * a row for each die, of one contrast. */
#include "inspect/simulate/canvas.h"

#include <string.h>

#define APART_PX       40    /* between two defects in the image */
#define APART_GROUP_PX 6     /* likewise of one group */
#define APART_CELL_PX  30    /* between their places in the cell, for dice that may serve each other as reference */
#define NEAR_DICE      2     /* which these are: so many columns and rows away */
#define BORDER_PX      8     /* from the image's border */
#define MASK_LEVEL     0.25  /* of the peak: what counts as the defect's extent */
#define TRIES          2000  /* a defect */
#define MOST_IDS       65535 /* what a pixel of the mask can hold */

/* Centroid, mask and peak of what a class has drawn. FALSE when that is nothing. */
static gboolean
measure (const NotchCanvas *canvas, NotchPlanted *p)
{
  const float *shape = canvas->shape ? canvas->shape : canvas->delta;
  double sum = 0, sx = 0, sy = 0;
  float top = 0;
  int x0 = canvas->w, y0 = canvas->h, x1 = -1, y1 = -1;
  for (gsize i = 0; i < (gsize) canvas->w * (gsize) canvas->h; i++)
    top = MAX (top, fabsf (shape[i]));
  if (!(top > 0))
    return FALSE;
  p->level = (float) MASK_LEVEL * top;
  for (int j = 0; j < canvas->h; j++)
    for (int i = 0; i < canvas->w; i++) {
      double a = fabsf (shape[j * canvas->w + i]);
      sum += a, sx += a * i, sy += a * j;
      if (a >= MASK_LEVEL * top) {
        x0 = MIN (x0, i), x1 = MAX (x1, i), y0 = MIN (y0, j), y1 = MAX (y1, j);
        p->area++;
      }
    }
  p->x0 = canvas->x0, p->y0 = canvas->y0, p->w = canvas->w, p->h = canvas->h;
  p->x = (double) canvas->x0 + sx / sum;
  p->y = (double) canvas->y0 + sy / sum;
  p->box_x = canvas->x0 + x0;
  p->box_y = canvas->y0 + y0;
  p->box_w = x1 - x0 + 1;
  p->box_h = y1 - y0 + 1;
  return TRUE;
}

/* Whether two boxes are at least `apart` from each other along x or y. */
static gboolean
clear_of (double ax, double ay, const NotchPlanted *a, double bx, double by, const NotchPlanted *b, double apart)
{
  return ax + a->box_w + apart <= bx || bx + b->box_w + apart <= ax || ay + a->box_h + apart <= by
         || by + b->box_h + apart <= ay;
}

/* Whether no pixel of a thin thing's mask, moved by (dx, dy), is within `apart` of a box: its own box may span a die. */
static gboolean
clear_of_thin (const NotchPlanted *box, const NotchPlanted *thin, gint64 dx, gint64 dy, gint64 apart)
{
  gint64 x0 = box->box_x - apart - thin->x0 - dx, y0 = box->box_y - apart - thin->y0 - dy;
  gint64 x1 = x0 + box->box_w + 2 * apart, y1 = y0 + box->box_h + 2 * apart;
  for (gint64 j = MAX (y0, 0); j < MIN (y1, thin->h); j++)
    for (gint64 i = MAX (x0, 0); i < MIN (x1, thin->w); i++)
      if (notch_planted_covers (thin, (int) i, (int) j))
        return FALSE;
  return TRUE;
}

/* Whether p is away from another one: in the image, and from its place in the cell where the dice may serve each other
 * as reference. Members of one group lie as the group wants it: a cluster's closer, a repeater's at one place. */
static gboolean
keeps_away (const NotchScene *scene, const NotchPlanted *p, const NotchPlanted *q, double apart_cell)
{
  const NotchSimulation *s = scene->simulation;
  gboolean related = p->group != 0 && p->group == q->group;
  int cols = q->col - p->col, rows = q->row - p->row;
  gint64 dx = -cols * s->die_width, dy = -rows * s->die_height;
  gboolean near = ABS (cols) <= NEAR_DICE && ABS (rows) <= NEAR_DICE && !p->nuisance && !q->nuisance;
  if (q->thin)
    return clear_of_thin (p, q, 0, 0, APART_PX / 2)
           && (!near || clear_of_thin (p, q, dx, dy, (gint64) (apart_cell / 2)));
  if (!clear_of ((double) p->box_x, (double) p->box_y, p, (double) q->box_x, (double) q->box_y, q,
                 related ? APART_GROUP_PX : APART_PX))
    return FALSE;
  return related || !near
         || clear_of ((double) p->box_x, (double) p->box_y, p, (double) (q->box_x + dx), (double) (q->box_y + dy), q,
                      apart_cell);
}

/* Whether a defect may stay: inside its cell and the image, and away from all others. */
static gboolean
has_room (const NotchScene *scene, const NotchSceneDie *die, const NotchPlanted *p)
{
  const NotchSimulation *s = scene->simulation;
  if (p->box_x < BORDER_PX || p->box_y < BORDER_PX || p->box_x + p->box_w > s->width - BORDER_PX
      || p->box_y + p->box_h > s->height - BORDER_PX)
    return FALSE;
  double u0, v0, u1, v1;
  notch_scene_to_frame (scene, (double) p->box_x, (double) p->box_y, &u0, &v0);
  notch_scene_to_frame (scene, (double) (p->box_x + p->box_w), (double) (p->box_y + p->box_h), &u1, &v1);
  if (MIN (u0, u1) < die->x + 2 || MIN (v0, v1) < die->y + 2 || MAX (u0, u1) > die->x + s->die_width - 2
      || MAX (v0, v1) > die->y + s->die_height - 2)
    return FALSE;
  double apart = MIN (APART_CELL_PX, MIN (s->die_width, s->die_height) / 16.0);
  for (guint i = 0; i < scene->planted->len; i++)
    if (!keeps_away (scene, p, &g_array_index (scene->planted, NotchPlanted, i), apart))
      return FALSE;
  return TRUE;
}

/* The sum of (delta / sigma)^2 of what was drawn; `clean` receives the grey levels below it. */
static double
energy_of (const NotchScene *scene, const NotchCanvas *canvas, float *clean)
{
  double energy = 0;
  notch_scene_render (scene, canvas->x0, canvas->y0, canvas->w, canvas->h, clean);
  for (gsize i = 0; i < (gsize) canvas->w * (gsize) canvas->h; i++)
    energy += canvas->delta[i] * (double) canvas->delta[i] / notch_scene_variance (scene->simulation, clean[i]);
  return energy;
}

/* Scales what was drawn. FALSE when the sensor would clip it, or the class does not go that far. */
static gboolean
scale (const NotchScene *scene, const NotchCanvas *canvas, const float *clean, double factor, NotchPlanted *p)
{
  gsize n = (gsize) canvas->w * (gsize) canvas->h;
  double top = MIN (250, scene->simulation->saturation - 5);
  if (!isfinite (factor) || factor < canvas->least || (canvas->most > 0 && factor > canvas->most))
    return FALSE;
  p->snr = 0;
  p->peak = 0;
  for (gsize i = 0; i < n; i++) {
    double variance = notch_scene_variance (scene->simulation, clean[i]), grey;
    canvas->delta[i] = (float) (factor * canvas->delta[i]);
    grey = clean[i] + canvas->delta[i];
    if (grey < 3 || grey > top)
      return FALSE;
    p->snr += canvas->delta[i] * (double) canvas->delta[i] / variance;
    if (fabs (canvas->delta[i]) > fabs (p->peak)) {
      p->peak = canvas->delta[i];
      p->sigma = sqrt (variance);
    }
  }
  p->snr = sqrt (p->snr);
  if (!canvas->shape)
    p->level *= (float) factor;
  return TRUE;
}

/* Draws on a canvas that has its die, and plants what was drawn if it may be there. */
static gboolean
try_one (NotchScene *scene, const NotchDefectClass *class, NotchCanvas *canvas, double snr, int group)
{
  NotchPlanted p = { .type = class->name, .col = canvas->die->col, .row = canvas->die->row, .group = group };
  p.nuisance = class->kind == NOTCH_CLASS_NUISANCE;
  gboolean planted = FALSE;
  if (class->draw (canvas) && measure (canvas, &p) && has_room (scene, canvas->die, &p)) {
    g_autofree float *clean = g_new (float, (gsize) canvas->w *(gsize) canvas->h);
    double energy = energy_of (scene, canvas, clean);
    planted = scale (scene, canvas, clean, snr / sqrt (energy), &p);
  }
  if (planted) {
    p.delta = g_steal_pointer (&canvas->delta);
    p.shape = g_steal_pointer (&canvas->shape);
    g_array_append_val (scene->planted, p);
  }
  notch_canvas_clear (canvas);
  return planted;
}

static const NotchSceneDie *
choose_die (const GArray *dice, NotchRandom *random)
{
  return g_array_index (dice, const NotchSceneDie *, notch_random_below (random, (int) dice->len));
}

static double
choose_snr (const NotchSimulation *s, NotchRandom *random)
{
  return notch_random_between (random, s->snr_min, s->snr_max);
}

static gboolean
plant_one (NotchScene *scene, const GArray *dice, const NotchDefectClass *class, NotchRandom *random)
{
  for (int try = 0; try < TRIES; try++) {
    NotchCanvas canvas = { .scene = scene, .random = random };
    canvas.die = choose_die (dice, random);
    double snr = choose_snr (scene->simulation, random);
    if (try_one (scene, class, &canvas, snr, 0))
      return TRUE;
  }
  return FALSE;
}

/* Takes back what was planted from an index on. */
static void
uproot (NotchScene *scene, guint from)
{
  for (guint i = from; i < scene->planted->len; i++) {
    g_free (g_array_index (scene->planted, NotchPlanted, i).delta);
    g_free (g_array_index (scene->planted, NotchPlanted, i).shape);
  }
  g_array_set_size (scene->planted, from);
}

static int
modulo (int a, gint64 n)
{
  return (int) ((a % n + n) % n);
}

/* The same defect at the same place of every die, or of one die of every field of the reticle: the random numbers that
 * draw it begin anew in each. */
static gboolean
plant_repeater (NotchScene *scene, const GArray *dice, const NotchDefectClass *class, int group, NotchRandom *random)
{
  const NotchSimulation *s = scene->simulation;
  for (int try = 0; try < TRIES; try++) {
    int col = notch_random_below (random, (int) s->reticle_cols),
        row = notch_random_below (random, (int) s->reticle_rows);
    double snr = choose_snr (s, random), place[2];
    NotchRandom start = { notch_random_next (random) };
    guint before = scene->planted->len, n = 0;
    gboolean planted = TRUE;
    for (guint k = 0; k < dice->len && planted; k++) {
      const NotchSceneDie *die = g_array_index (dice, const NotchSceneDie *, k);
      if (modulo (die->col, s->reticle_cols) != col || modulo (die->row, s->reticle_rows) != row)
        continue;
      NotchRandom again = start;
      NotchCanvas canvas = { .scene = scene, .die = die, .random = &again, .place = n > 0 ? place : NULL };
      planted = try_one (scene, class, &canvas, snr, group);
      if (n++ == 0)
        place[0] = canvas.chosen[0], place[1] = canvas.chosen[1];
    }
    if (planted && n > 0)
      return TRUE;
    uproot (scene, before);
  }
  return FALSE;
}

#define CLUSTER_LEAST 6
#define CLUSTER_MOST  18

/* Particles and pits around one place. */
static gboolean
plant_cluster (NotchScene *scene, const GArray *dice, int group, NotchRandom *random)
{
  const NotchSimulation *s = scene->simulation;
  double side = (double) MIN (s->die_width, s->die_height), spread = MIN (side / 8, 50);
  for (int try = 0; try < TRIES; try++) {
    const NotchSceneDie *die = choose_die (dice, random);
    double u = notch_random_between (random, 2 * spread, (double) s->die_width - 2 * spread);
    double v = notch_random_between (random, 2 * spread, (double) s->die_height - 2 * spread);
    int wanted = CLUSTER_LEAST + notch_random_below (random, CLUSTER_MOST - CLUSTER_LEAST + 1), n = 0;
    guint before = scene->planted->len;
    for (int member = 0; member < 10 * wanted && n < wanted; member++) {
      double normal[2];
      notch_random_normals (random, normal);
      const double place[2] = { u + spread * normal[0], v + spread * normal[1] };
      NotchCanvas canvas = { .scene = scene, .die = die, .random = random, .place = place };
      const NotchDefectClass *class = notch_defect_class (notch_random_unit (random) < 0.7 ? 0 : 1);
      n += try_one (scene, class, &canvas, choose_snr (s, random), group);
    }
    if (n >= CLUSTER_LEAST)
      return TRUE;
    uproot (scene, before);
  }
  return FALSE;
}

/* ---- scratches across dice --------------------------------------------------------------------------------------- */

#define LONG_STEP     0.25 /* px */
#define LONG_PIECE_PX 12   /* less of it on a die is not drawn */
#define LONG_MOST_PX  3000

typedef struct {
  double x, y;
} Point;

static const NotchSceneDie *
die_at (const NotchScene *scene, double x, double y)
{
  const NotchSimulation *s = scene->simulation;
  double u, v;
  notch_scene_to_frame (scene, x, y, &u, &v);
  double col = floor ((u - scene->die[0].x) / (double) s->die_width);
  double row = floor ((v - scene->die[0].y) / (double) s->die_height);
  if (col < 0 || row < 0 || col >= scene->n_cols || row >= scene->n_rows)
    return NULL;
  const NotchSceneDie *die = &scene->die[(gint64) row * scene->n_cols + (gint64) col];
  return die->present ? die : NULL;
}

/* Plants the part of a scratch that lies on one die, unscaled. */
static gboolean
plant_piece (NotchScene *scene, const NotchSceneDie *die, const Point *point, guint n, double width, double sign,
             int group)
{
  double x0 = G_MAXDOUBLE, y0 = G_MAXDOUBLE, x1 = -G_MAXDOUBLE, y1 = -G_MAXDOUBLE;
  double sigma = hypot (width / sqrt (12), die->blur), reach = 5 * sigma + 1;
  for (guint i = 0; i < n; i++) {
    x0 = MIN (x0, point[i].x), x1 = MAX (x1, point[i].x);
    y0 = MIN (y0, point[i].y), y1 = MAX (y1, point[i].y);
  }
  NotchCanvas canvas = { .scene = scene, .die = die };
  notch_canvas_open (&canvas, (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2 + reach, (y1 - y0) / 2 + reach);
  for (guint i = 0; i < n; i++)
    notch_canvas_add_gaussian (&canvas, point[i].x, point[i].y, sigma, sigma, 0,
                               sign * LONG_STEP / (sigma * sqrt (2 * G_PI)));
  NotchPlanted p = { .type = "scratch", .col = die->col, .row = die->row, .group = group, .thin = TRUE };
  gboolean fits = measure (&canvas, &p);
  p.delta = canvas.delta; /* lent until it fits */
  for (guint i = 0; i < scene->planted->len && fits; i++) {
    const NotchPlanted *q = &g_array_index (scene->planted, NotchPlanted, i);
    fits = q->thin || clear_of_thin (q, &p, 0, 0, APART_PX / 2);
  }
  if (fits) {
    p.delta = g_steal_pointer (&canvas.delta);
    g_array_append_val (scene->planted, p);
  }
  notch_canvas_clear (&canvas);
  return fits;
}

/* Gives all pieces the one contrast with which their mean ratio, as a power, is the one wanted. */
static gboolean
scale_pieces (NotchScene *scene, guint from, double snr)
{
  double energy = 0;
  guint n = scene->planted->len - from;
  g_autoptr (GPtrArray) clean = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < n; i++) {
    const NotchPlanted *p = &g_array_index (scene->planted, NotchPlanted, from + i);
    const NotchCanvas canvas = { .x0 = p->x0, .y0 = p->y0, .w = p->w, .h = p->h, .delta = p->delta };
    float *grey = g_new (float, (gsize) p->w *(gsize) p->h);
    g_ptr_array_add (clean, grey);
    energy += energy_of (scene, &canvas, grey);
  }
  for (guint i = 0; i < n; i++) {
    NotchPlanted *p = &g_array_index (scene->planted, NotchPlanted, from + i);
    const NotchCanvas canvas = { .x0 = p->x0, .y0 = p->y0, .w = p->w, .h = p->h, .delta = p->delta };
    if (!scale (scene, &canvas, g_ptr_array_index (clean, i), snr / sqrt (energy / n), p))
      return FALSE;
  }
  return TRUE;
}

/* One arc over several dice: a row of the truth for each die that it crosses. */
static gboolean
plant_long_scratch (NotchScene *scene, int group, NotchRandom *r)
{
  const NotchSimulation *s = scene->simulation;
  for (int try = 0; try < TRIES; try++) {
    double most = MIN (0.8 * (double) MIN (s->width, s->height), LONG_MOST_PX);
    double length = notch_random_between (r, MIN (1.5 * (double) MAX (s->die_width, s->die_height), most), most);
    double x = notch_random_between (r, 0, (double) s->width), y = notch_random_between (r, 0, (double) s->height);
    double heading = notch_random_between (r, 0, 2 * G_PI), bend = notch_random_between (r, -0.6, 0.6);
    double width = notch_random_between (r, 0.6, 2), snr = choose_snr (s, r),
           sign = notch_random_unit (r) < 0.5 ? -1 : 1;
    guint before = scene->planted->len, n = 0, steps = (guint) (length / LONG_STEP);
    const NotchSceneDie *on = NULL;
    gboolean fits = TRUE;
    g_autoptr (GArray) points = g_array_new (FALSE, FALSE, sizeof (Point));
    for (guint i = 0; i <= steps && fits; i++) {
      gboolean inside =
          x > BORDER_PX && y > BORDER_PX && x < (double) s->width - BORDER_PX && y < (double) s->height - BORDER_PX;
      const NotchSceneDie *die = inside && i < steps ? die_at (scene, x, y) : NULL;
      if (die != on) {
        if (on && points->len * LONG_STEP >= LONG_PIECE_PX) {
          fits = plant_piece (scene, on, &g_array_index (points, Point, 0), points->len, width, sign, group);
          n++;
        }
        g_array_set_size (points, 0);
        on = die;
      }
      const Point point = { x, y };
      g_array_append_val (points, point);
      double angle = heading + bend * (double) i / steps;
      x += LONG_STEP * cos (angle), y += LONG_STEP * sin (angle);
    }
    if (fits && n >= 2 && scale_pieces (scene, before, snr))
      return TRUE;
    uproot (scene, before);
  }
  return FALSE;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

/* Pixels of the sensor that are always white belong to what is there without defects and noise. */
static void
plant_hot_pixels (NotchScene *scene)
{
  const NotchSimulation *s = scene->simulation;
  NotchRandom random = notch_random_at (s->seed, NOTCH_STREAM_HOT, 0, 0);
  int n = (int) MIN (floor (s->hot_pixels * (double) s->width * (double) s->height + 0.5), MOST_IDS);
  for (int i = 0; i < n && scene->planted->len < MOST_IDS; i++) {
    gint64 x = (gint64) (notch_random_unit (&random) * (double) s->width);
    gint64 y = (gint64) (notch_random_unit (&random) * (double) s->height);
    const NotchSceneDie *die = die_at (scene, (double) x, (double) y);
    float clean;
    notch_scene_render (scene, x, y, 1, 1, &clean);
    NotchPlanted p = { .type = "hot-pixel", .nuisance = TRUE, .x = (double) x, .y = (double) y, .x0 = x, .y0 = y };
    p.w = p.h = p.box_w = p.box_h = p.area = 1;
    p.box_x = x, p.box_y = y;
    p.col = die ? die->col : 0, p.row = die ? die->row : 0;
    p.delta = g_new (float, 1);
    *p.delta = (float) s->saturation - MIN (clean, (float) s->saturation);
    p.peak = *p.delta;
    p.sigma = sqrt (notch_scene_variance (s, clean));
    p.snr = p.peak / p.sigma;
    g_array_append_val (scene->planted, p);
  }
}

/* The classes to plant, of NotchDefectClass. */
static GPtrArray *
chosen_classes (const NotchScene *scene, GError **error)
{
  static const char *const lacks[] = { "", "conductors", "contacts or vias", "pattern" };
  const NotchSimulation *s = scene->simulation;
  g_autoptr (GPtrArray) chosen = g_ptr_array_new ();
  g_auto (GStrv) names = s->classes ? g_strsplit (s->classes, ",", -1) : NULL;
  gboolean all = names && g_strv_contains ((const char *const *) names, "all");
  for (guint i = 0; notch_defect_class (i); i++) {
    const NotchDefectClass *class = notch_defect_class (i);
    gboolean asked = names && g_strv_contains ((const char *const *) names, class->name);
    gboolean fits = notch_defect_class_fits (class, scene->layout);
    if (class->kind == NOTCH_CLASS_NUISANCE)
      continue;
    if (asked && !fits)
      return g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
                          "classes has %s, but layout %s has no %s; leave it out", class->name, s->layout,
                          lacks[class->need]),
             NULL;
    if (asked || (fits && class->kind != NOTCH_CLASS_NONE && (all || (!names && class->kind == NOTCH_CLASS_BASIC))))
      g_ptr_array_add (chosen, (gpointer) class);
  }
  return g_steal_pointer (&chosen);
}

static GPtrArray *
fitting_nuisances (const NotchScene *scene)
{
  GPtrArray *chosen = g_ptr_array_new ();
  for (guint i = 0; notch_defect_class (i); i++)
    if (notch_defect_class (i)->kind == NOTCH_CLASS_NUISANCE
        && notch_defect_class_fits (notch_defect_class (i), scene->layout))
      g_ptr_array_add (chosen, (gpointer) notch_defect_class (i));
  return chosen;
}

static gboolean
no_room (GError **error, int done, int wanted, const char *what)
{
  return g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
                      "there is room for %d of %d %s only; ask for fewer, for a lower snr or for more dice", done,
                      wanted, what),
         FALSE;
}

/* Groups first, for they need most room. */
static gboolean
plant_all (NotchScene *scene, const GArray *dice, const GPtrArray *classes, GError **error)
{
  const NotchSimulation *s = scene->simulation;
  NotchRandom repeaters = notch_random_at (s->seed, NOTCH_STREAM_REPEATERS, 0, 0);
  NotchRandom scratches = notch_random_at (s->seed, NOTCH_STREAM_SCRATCHES, 0, 0);
  NotchRandom clusters = notch_random_at (s->seed, NOTCH_STREAM_CLUSTERS, 0, 0);
  NotchRandom singles = notch_random_at (s->seed, NOTCH_STREAM_DEFECTS, 0, 0);
  NotchRandom nuisances = notch_random_at (s->seed, NOTCH_STREAM_NUISANCES, 0, 0);
  g_autoptr (GPtrArray) harmless = fitting_nuisances (scene);
  int group = 0;
  for (int k = 0; k < s->n_repeaters; k++)
    if (!plant_repeater (scene, dice, g_ptr_array_index (classes, (guint) k % classes->len), ++group, &repeaters))
      return no_room (error, k, s->n_repeaters, "repeaters");
  for (int k = 0; k < s->n_long_scratches; k++)
    if (!plant_long_scratch (scene, ++group, &scratches))
      return no_room (error, k, s->n_long_scratches, "long scratches");
  for (int k = 0; k < s->n_clusters; k++)
    if (!plant_cluster (scene, dice, ++group, &clusters))
      return no_room (error, k, s->n_clusters, "clusters");
  for (int k = 0; k < s->n_defects; k++)
    if (!plant_one (scene, dice, g_ptr_array_index (classes, (guint) k % classes->len), &singles))
      return no_room (error, k, s->n_defects, "defects");
  for (int k = 0; k < s->n_nuisances; k++)
    if (!plant_one (scene, dice, g_ptr_array_index (harmless, (guint) k % harmless->len), &nuisances))
      return no_room (error, k, s->n_nuisances, "nuisances");
  return TRUE;
}

gboolean
notch_scene_plant (NotchScene *scene, GError **error)
{
  const NotchSimulation *s = scene->simulation;
  if (s->n_defects + s->n_repeaters + s->n_clusters + s->n_long_scratches + s->n_nuisances > 0) {
    if (notch_scene_variance (s, 0) <= 0 && s->shot_noise <= 0)
      return g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
                          "defects are planted by their signal to noise ratio: read-noise and shot-noise are both 0"),
             FALSE;
    g_autoptr (GPtrArray) classes = chosen_classes (scene, error);
    if (!classes)
      return FALSE;
    g_autoptr (GArray) dice = g_array_new (FALSE, FALSE, sizeof (NotchSceneDie *));
    for (gint64 k = 0; k < (gint64) scene->n_cols * scene->n_rows; k++) {
      const NotchSceneDie *die = &scene->die[k];
      if (die->present && die->whole)
        g_array_append_val (dice, die);
    }
    if (dice->len == 0)
      return g_set_error (
                 error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
                 "no die is whole on this image, so no defect can be planted; choose smaller dice, a larger size "
                 "or 0 defects"),
             FALSE;
    if (!plant_all (scene, dice, classes, error))
      return FALSE;
  }
  plant_hot_pixels (scene);
  if (scene->planted->len > MOST_IDS)
    return g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
                        "%u defects with all repeaters are more than %d; ask for fewer repeaters", scene->planted->len,
                        MOST_IDS),
           FALSE;
  return TRUE;
}
