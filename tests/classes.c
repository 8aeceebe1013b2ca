/* classes.c - every class of defect and nuisance, groups of defects, and the suites */
#include "inspect/simulate/canvas.h"
#include "inspect/simulate/settings.h"

#include <math.h>
#include <string.h>

static NotchSimulation
small (void)
{
  NotchSimulation s;
  notch_simulate_defaults (&s);
  s.width = s.height = 1024;
  s.die_width = s.die_height = 256;
  s.n_defects = 0;
  s.snr_min = 15, s.snr_max = 40;
  return s;
}

typedef struct {
  NotchSimulation s;
  NotchLayout *layout;
  NotchScene *scene;
} Plant;

static Plant *
plant (const NotchSimulation *s)
{
  g_autoptr (GError) error = NULL;
  Plant *p = g_new0 (Plant, 1);
  p->s = *s;
  p->layout = notch_layout_new (&p->s, &error);
  g_assert_no_error (error);
  p->scene = notch_scene_new (&p->s, p->layout, &error);
  g_assert_no_error (error);
  notch_scene_plant (p->scene, &error);
  g_assert_no_error (error);
  return p;
}

static void
free_plant (Plant *p)
{
  notch_scene_free (p->scene);
  notch_layout_free (p->layout);
  g_free (p);
}

#define PLANTED(p, i) (&g_array_index ((p)->scene->planted, NotchPlanted, i))

/* What the truth says of one: SNR as the sum over its pixels, area and box as its mask, in its own die. */
static void
check_one (const Plant *p, const NotchPlanted *q)
{
  double sum = 0;
  int area = 0, x0 = q->w, y0 = q->h, x1 = -1, y1 = -1;
  float top = 0;
  g_autofree float *clean = g_new (float, (gsize) q->w *(gsize) q->h);
  notch_scene_render (p->scene, q->x0, q->y0, q->w, q->h, clean);
  for (int j = 0; j < q->h; j++)
    for (int i = 0; i < q->w; i++) {
      double d = q->delta[j * q->w + i], grey = clean[j * q->w + i] - (q->nuisance ? d : 0);
      sum += d * d / notch_scene_variance (&p->s, grey);
      top = MAX (top, fabsf (q->delta[j * q->w + i]));
      if (notch_planted_covers (q, i, j)) {
        x0 = MIN (x0, i), x1 = MAX (x1, i), y0 = MIN (y0, j), y1 = MAX (y1, j);
        area++;
      }
    }
  g_assert_cmpfloat_with_epsilon (sqrt (sum), q->snr, 0.01 * q->snr);
  g_assert_cmpfloat_with_epsilon (fabs (q->peak), top, 1e-4);
  g_assert_cmpint (area, ==, q->area);
  g_assert_cmpint (q->x0 + x0, ==, q->box_x);
  g_assert_cmpint (q->y0 + y0, ==, q->box_y);
  g_assert_cmpint (x1 - x0 + 1, ==, q->box_w);
  g_assert_cmpint (y1 - y0 + 1, ==, q->box_h);
  g_assert_true (q->x > q->box_x - 2 && q->x < q->box_x + q->box_w + 1);
  g_assert_true (q->y > q->box_y - 2 && q->y < q->box_y + q->box_h + 1);
  g_assert_cmpint ((int) floor ((q->x + 0.5) / 256), ==, q->col);
  g_assert_cmpint ((int) floor ((q->y + 0.5) / 256), ==, q->row);
}

/* What is there without the defect; free with g_free. */
static float *
clean_of (const Plant *p, const NotchPlanted *q)
{
  float *clean = g_new (float, (gsize) q->w *(gsize) q->h);
  notch_scene_render (p->scene, q->x0, q->y0, q->w, q->h, clean);
  return clean;
}

/* How much what is wholly covered changes as its grey levels do, both over their means: 1 for a
 * factor, 0 where the same is added everywhere. */
static double
film_of (const Plant *p, const NotchPlanted *q)
{
  g_autofree float *clean = clean_of (p, q);
  double n = 0, grey = 0, change = 0, both = 0, square = 0;
  for (int pass = 0; pass < 2; pass++)
    for (int i = 0; i < q->w * q->h; i++) {
      if (q->shape[i] < 0.98f)
        continue;
      if (pass == 0)
        n++, grey += (double) clean[i], change += (double) q->delta[i];
      else {
        const double off = (double) clean[i] * n / grey - 1;
        both += off * ((double) q->delta[i] * n / change - 1), square += off * off;
      }
    }
  return square > 0 ? both / square : NAN;
}

/* Of the grey levels below what is seen of a defect. */
static double
range_under (const Plant *p, const NotchPlanted *q)
{
  g_autofree float *clean = clean_of (p, q);
  float low = G_MAXFLOAT, high = -G_MAXFLOAT;
  for (int i = 0; i < q->w * q->h; i++)
    if (fabsf (q->delta[i]) > 0.1 * fabs (q->peak))
      low = MIN (low, clean[i]), high = MAX (high, clean[i]);
  return (double) (high - low);
}

static void
test_class (gconstpointer data)
{
  NotchSimulation s = small ();
  s.classes = data;
  s.n_defects = 10;
  s.ler = 0.1; /* what hangs on the pattern moves with it */
  Plant *p = plant (&s);
  g_assert_cmpuint (p->scene->planted->len, ==, 10);
  for (guint i = 0; i < 10; i++) {
    const NotchPlanted *q = PLANTED (p, i);
    g_assert_cmpstr (q->type, ==, data);
    g_assert_false (q->nuisance);
    g_assert_true (q->snr >= 15 && q->snr <= 40.01);
    check_one (p, q);
    double u = q->x + 0.5 - 256 * q->col, v = q->y + 0.5 - 256 * q->row,
           border = MIN (MIN (u, v), MIN (256 - u, 256 - v));
    if (strcmp (data, "chip") == 0) { /* at the chip's edge, and only this */
      g_assert_cmpfloat (border, >, p->layout->street - 3);
      g_assert_cmpfloat (border, <, p->layout->street + 12);
    }
    if (strcmp (data, "open") == 0 || strcmp (data, "missing") == 0 || strcmp (data, "chip") == 0)
      g_assert_true (q->peak < 0 || strcmp (data, "missing") == 0); /* what is missing may be dark itself */
    if (strcmp (data, "haze") == 0) { /* more noise, and no light: many bright and dark specks */
      double sum = 0, size = 0;
      for (int k = 0; k < q->w * q->h; k++)
        sum += q->delta[k], size += fabs (q->delta[k]);
      g_assert_cmpfloat (fabs (sum), <, 0.2 * size);
    }
    if (strcmp (data, "extra") == 0) /* on one tone */
      g_assert_cmpfloat (range_under (p, q), <, 8);
    if (strcmp (data, "discoloration") == 0) /* a factor, whatever the pattern */
      g_assert_cmpfloat_with_epsilon (film_of (p, q), 1, 0.05);
    if (strcmp (data, "residue") == 0 && q->peak > 0) /* it adds least where it is bright below */
      g_assert_cmpfloat (film_of (p, q), <, 0);
    if (strcmp (data, "ring") == 0) { /* hollow */
      g_assert_cmpint (q->area, <, (int) (0.9 * G_PI / 4 * q->box_w * q->box_h));
      g_assert_false (
          notch_planted_covers (q, (int) (q->box_x - q->x0) + q->box_w / 2, (int) (q->box_y - q->y0) + q->box_h / 2));
    }
  }
  free_plant (p);
}

/* Edges of a cd patch move by no more than half a pixel, where there are edges. */
static void
test_cd (void)
{
  NotchSimulation s = small ();
  s.classes = "cd";
  s.n_defects = 12;
  Plant *p = plant (&s);
  for (guint i = 0; i < 12; i++) {
    const NotchPlanted *q = PLANTED (p, i);
    int w = q->w + 2;
    g_autofree float *clean = g_new (float, (gsize) w *(gsize) (q->h + 2));
    notch_scene_render (p->scene, q->x0 - 1, q->y0 - 1, w, q->h + 2, clean);
    double most = 0;
    for (int y = 0; y < q->h; y++)
      for (int x = 0; x < q->w; x++) {
        const float *at = clean + (y + 1) * w + x + 1;
        double slope = hypot (at[1] - at[-1], at[w] - at[-w]) / 2;
        if (slope > 1)
          most = MAX (most, fabs (q->delta[y * q->w + x]) / slope);
      }
    g_assert_cmpfloat (most, >=, 0.045);
    g_assert_cmpfloat (most, <=, 0.505);
  }
  free_plant (p);
}

/* Nuisances are told as such, are in what is rendered without defects, and are not planted as defects. */
static void
test_nuisances (void)
{
  NotchSimulation s = small ();
  s.n_nuisances = 8;
  s.n_defects = 2;
  Plant *p = plant (&s);
  static const char *const types[] = { "ler", "grain", "colour", "layer" };
  g_assert_cmpuint (p->scene->planted->len, ==, 10);
  NotchSimulation bare = s;
  bare.n_nuisances = 0;
  Plant *without = plant (&bare);
  for (guint i = 2; i < 10; i++) {
    const NotchPlanted *q = PLANTED (p, i);
    g_assert_true (q->nuisance);
    g_assert_cmpstr (q->type, ==, types[(i - 2) % 4]);
    check_one (p, q);
    gsize n = (gsize) q->w * (gsize) q->h;
    g_autofree float *a = g_new (float, n), *b = g_new (float, n);
    notch_scene_render (p->scene, q->x0, q->y0, q->w, q->h, a);
    notch_scene_render (without->scene, q->x0, q->y0, q->w, q->h, b);
    double most = 0;
    for (gsize k = 0; k < n; k++)
      most = MAX (most, fabs (a[k] - b[k]));
    g_assert_cmpfloat (most, >, 0.9 * fabs (q->peak));
  }
  free_plant (p);
  free_plant (without);
}

/* At one place of every die, or of one die of each field. */
static void
test_repeaters (gconstpointer data)
{
  NotchSimulation s = small ();
  int field = GPOINTER_TO_INT (data);
  s.n_repeaters = 3;
  s.classes = "particle,open,residue";
  s.reticle_cols = s.reticle_rows = field;
  Plant *p = plant (&s);
  guint each = field == 1 ? 16 : 4;
  g_assert_cmpuint (p->scene->planted->len, ==, 3 * each);
  for (guint i = 0; i < 3 * each; i++) {
    const NotchPlanted *q = PLANTED (p, i), *first = PLANTED (p, i - i % each);
    g_assert_cmpint (q->group, ==, 1 + (int) (i / each));
    g_assert_cmpstr (q->type, ==, first->type);
    g_assert_cmpint ((q->col - first->col) % field, ==, 0);
    g_assert_cmpint ((q->row - first->row) % field, ==, 0);
    g_assert_cmpfloat_with_epsilon (q->x - 256 * q->col, first->x - 256 * first->col, 1.5); /* the die's shift */
    g_assert_cmpfloat_with_epsilon (q->y - 256 * q->row, first->y - 256 * first->row, 1.5);
    check_one (p, q);
  }
  free_plant (p);
}

static void
test_clusters (void)
{
  NotchSimulation s = small ();
  s.n_clusters = 2;
  s.n_defects = 6;
  Plant *p = plant (&s);
  for (int group = 1; group <= 2; group++) {
    int n = 0;
    double sx = 0, sy = 0, square = 0;
    for (guint i = 0; i < p->scene->planted->len; i++)
      if (PLANTED (p, i)->group == group)
        sx += PLANTED (p, i)->x, sy += PLANTED (p, i)->y, n++;
    g_assert_cmpint (n, >=, 6);
    for (guint i = 0; i < p->scene->planted->len; i++)
      if (PLANTED (p, i)->group == group)
        square += pow (PLANTED (p, i)->x - sx / n, 2) + pow (PLANTED (p, i)->y - sy / n, 2);
    g_assert_cmpfloat (sqrt (square / n), <, 2 * 32); /* an eighth of the die along each axis */
  }
  for (guint i = 0; i < p->scene->planted->len; i++)
    check_one (p, PLANTED (p, i));
  free_plant (p);
}

/* A row for each die that it crosses, which meet, and one contrast. */
static void
test_long_scratches (void)
{
  NotchSimulation s = small ();
  s.n_long_scratches = 2;
  s.n_defects = 10;
  s.vignetting = s.focus = 0;
  Plant *p = plant (&s);
  for (int group = 1; group <= 2; group++) {
    const NotchPlanted *last = NULL;
    double power = 0;
    int n = 0;
    for (guint i = 0; i < p->scene->planted->len; i++) {
      const NotchPlanted *q = PLANTED (p, i);
      if (q->group != group)
        continue;
      g_assert_cmpstr (q->type, ==, "scratch");
      if (last) {
        g_assert_false (last->col == q->col && last->row == q->row);
        g_assert_cmpfloat_with_epsilon (q->peak, last->peak, 0.1 * fabs (q->peak));
        g_assert_cmpint (MAX (q->box_x, last->box_x), <=, MIN (q->box_x + q->box_w, last->box_x + last->box_w) + 12);
        g_assert_cmpint (MAX (q->box_y, last->box_y), <=, MIN (q->box_y + q->box_h, last->box_y + last->box_h) + 12);
      }
      power += q->snr * q->snr;
      last = q;
      n++;
    }
    g_assert_cmpint (n, >=, 2);
    g_assert_true (sqrt (power / n) >= 15 && sqrt (power / n) <= 40);
  }
  free_plant (p);
}

/* Every suite can be taken, is in its ranges, and runs at a small size; what is set after it counts. */
static void
test_suites (void)
{
  g_autofree char *list = notch_simulation_suites ();
  for (int i = 1; i <= 8; i++) {
    NotchSimulation s;
    g_autoptr (GError) error = NULL;
    g_autofree char *name = g_strdup_printf ("S%d", i), *line = g_strdup_printf ("  %s  ", name);
    g_assert_nonnull (strstr (list, line));
    notch_simulate_defaults (&s);
    notch_simulation_take_suite (&s, name, &error);
    g_assert_no_error (error);
    g_assert_true (notch_simulation_check (&s, &error));
    g_assert_cmpstr (s.suite, ==, name);
    g_assert_true (i != 2 || s.width * s.height >= 50000000);
    g_assert_true (i != 8 || s.width * s.height >= 1000000000);
    g_assert_true (i != 7 || (s.n_cols == 3 && s.n_rows == 1));
    g_assert_cmpint (s.channels, ==, i == 6 ? 3 : 1);
    notch_simulation_set (&s, "size", "768x768", &error);
    notch_simulation_set (&s, "die", "192x192", &error);
    notch_simulation_set (&s, "defects", "4", &error);
    notch_simulation_set (&s, "nuisances", "0", &error);
    g_assert_no_error (error);
    g_assert_cmpint (s.width, ==, 768);
    g_assert_cmpint (s.n_cols, ==, 0);
    Plant *p = plant (&s);
    g_assert_cmpuint (p->scene->planted->len, ==, 4);
    free_plant (p);
  }
}

static void
test_settings (void)
{
  const char *name = NULL, *sign = NULL;
  char *help = NULL;
  int n = 0;
  for (; notch_simulation_option (n, &name, &sign, &help); n++) {
    g_assert_cmpuint (strlen (help), <, 80);
    g_free (help);
  }
  g_assert_cmpint (n, >, 40);
  static const char *const wrong[][3] = {
    { "blur", "wide", "blur wants a number from 0.3 to 10, not wide" },
    { "bits", "8.5", "bits wants a whole number" },
    { "size", "30", "size wants two whole numbers from 32 to 1048576 as WxH, not 30" },
    { "reticle", "0x1", "reticle wants two whole numbers from 1 to 100 as CxR, not 0x1" },
    { "snr", "8:", "snr wants MIN or MIN:MAX" },
    { "snr", "", "snr wants MIN or MIN:MAX" },
    { "polish", "1", "a simulation has no polish" },
  };
  NotchSimulation s;
  notch_simulate_defaults (&s);
  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_false (notch_simulation_set (&s, wrong[i][0], wrong[i][1], &error));
    g_assert_nonnull (strstr (error->message, wrong[i][2]));
  }
  g_autoptr (GError) error = NULL;
  g_assert_false (notch_simulation_take_suite (&s, "S9", &error));
  g_assert_nonnull (strstr (error->message, "choose from S1 to S8"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; notch_defect_class (i); i++) {
    const NotchDefectClass *class = notch_defect_class (i);
    g_autofree char *path = g_strdup_printf ("/classes/%s", class->name);
    if (class->kind != NOTCH_CLASS_NUISANCE)
      g_test_add_data_func (path, class->name, test_class);
  }
  g_test_add_func ("/classes/cd-way", test_cd);
  g_test_add_func ("/classes/nuisances", test_nuisances);
  g_test_add_data_func ("/classes/repeaters/dice", GINT_TO_POINTER (1), test_repeaters);
  g_test_add_data_func ("/classes/repeaters/fields", GINT_TO_POINTER (2), test_repeaters);
  g_test_add_func ("/classes/clusters", test_clusters);
  g_test_add_func ("/classes/long-scratches", test_long_scratches);
  g_test_add_func ("/classes/suites", test_suites);
  g_test_add_func ("/classes/settings", test_settings);
  return g_test_run ();
}
