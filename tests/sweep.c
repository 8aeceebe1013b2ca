/* sweep.c - wafers of random geometry, each with no parameters given: is the grid right, and if not, was that said?
 *
 * Ten in a check. In the environment NOTCH_SWEEP=100 takes so many, NOTCH_SWEEP_FROM=100 begins with the hundredth, and
 * NOTCH_SWEEP_NOISE=8 multiplies their noise; --verbose tells about each. */
#include "inspect/wafer/discover.h"

#include <glib/gstdio.h>
#include <string.h>

#include "inspect/image/write.h"
#include "tests/scene.h"

#define LEAST   64     /* px: of the pitch */
#define TURN    0.0349 /* rad, either way: 2 degrees */
#define CHECKED 10     /* wafers, when nothing else is asked for */

/* The truth about the dice of a wafer. */
typedef struct {
  int width, height;
  double x, y; /* px: corner of a die */
  double pitch_x, pitch_y, angle;
  double jitter;
  double radius; /* px: printed; 0: everywhere */
  double street; /* px: half of it */
  char *what;
} Truth;

typedef enum { RIGHT, FLAGGED, WRONG } Outcome;

static char *folder, *path, *truth_path, *dice_path;

static double
between (GRand *rand, double least, double most)
{
  return g_rand_double_range (rand, least, most);
}

/* A number from the environment. */
static int
wanted (const char *name, int otherwise)
{
  const char *text = g_getenv (name);
  return text ? (int) g_ascii_strtoll (text, NULL, 10) : otherwise;
}

/* Noise is that many times the usual. */
static double
loudness (void)
{
  return wanted ("NOTCH_SWEEP_NOISE", 1);
}

static double
log_between (GRand *rand, double least, double most)
{
  return exp (between (rand, log (least), log (most)));
}

/* Pitches of which two dice each way are whole in the image, however they lie and are turned. */
static void
choose_pitch (GRand *rand, double width, double height, double *x, double *y)
{
  double most_x = (width - 2 * TURN * height) / 3.1, most_y = (height - 2 * TURN * width) / 3.1;
  *x = log_between (rand, LEAST, most_x);
  double aspired = *x * log_between (rand, 0.6, 1.6);
  *y = CLAMP (aspired, LEAST, most_y);
}

/* By the simulator: everything that it can vary, pitches that are whole numbers before the turn. */
static Truth
simulate (GRand *rand)
{
  static const char *const layouts[] = { "mixed", "array", "logic" };
  g_autoptr (GError) error = NULL;
  NotchSimulation s;
  notch_simulate_defaults (&s);
  s.width = g_rand_int_range (rand, 1000, 2049);
  s.height = g_rand_int_range (rand, 1000, 2049);
  double pitch_x = 0, pitch_y = 0;
  choose_pitch (rand, (double) s.width, (double) s.height, &pitch_x, &pitch_y);
  s.die_width = (gint64) pitch_x;
  s.die_height = (gint64) pitch_y;
  s.origin_x = g_rand_int_range (rand, 0, (int) s.die_width);
  s.origin_y = g_rand_int_range (rand, 0, (int) s.die_height);
  s.wafer = MIN (s.width, s.height) > 6 * MAX (s.die_width, s.die_height) && g_rand_boolean (rand);
  s.bits = g_rand_boolean (rand) ? 8 : 16;
  s.seed = g_rand_int (rand);
  s.rotation_mrad = g_rand_int_range (rand, 0, 4) == 0 ? 0 : 1000 * between (rand, -TURN, TURN);
  s.jitter = g_rand_boolean (rand) ? 0 : between (rand, 0, 0.5);
  s.blur = between (rand, 0.8, 1.5);
  s.gain = between (rand, 0, 0.03);
  s.focus = between (rand, 0, 0.1);
  s.vignetting = between (rand, 0, 0.3);
  s.read_noise = loudness () * log_between (rand, 0.5, 4);
  s.shot_noise = between (rand, 0, 0.05);
  s.n_defects = g_rand_int_range (rand, 0, (int) (s.width * s.height / 120000));
  s.snr_max = 100;
  s.layout = layouts[g_rand_int_range (rand, 0, 3)];
  notch_simulate (&s, path, truth_path, dice_path, &error);
  g_assert_no_error (error);
  double angle = s.rotation_mrad / 1000, cx = ((double) s.width - 1) / 2, cy = ((double) s.height - 1) / 2;
  double u = (double) s.origin_x - 0.5 - cx, v = (double) s.origin_y - 0.5 - cy;
  return (Truth){
    .width = (int) s.width,
    .height = (int) s.height,
    .x = cx + cos (angle) * u - sin (angle) * v,
    .y = cy + sin (angle) * u + cos (angle) * v,
    .pitch_x = (double) s.die_width,
    .pitch_y = (double) s.die_height,
    .angle = angle,
    .jitter = s.jitter,
    .radius = s.wafer ? 0.475 * (double) MIN (s.width, s.height) : 0,
    .street = CLAMP (6 + 0.02 * (double) MIN (s.die_width, s.die_height), 7, 20),
    .what = g_strdup_printf ("%s%s noise %.1f blur %.1f", s.layout, s.wafer ? " wafer" : "", s.read_noise, s.blur),
  };
}

/* By the tests' own scene: pitches of any fraction. */
static Truth
draw (GRand *rand)
{
  static const SceneLayout layouts[] = { SCENE_MIXED, SCENE_ARRAY, SCENE_TWINS };
  static const char *const names[] = { "mixed", "array", "blank", "twins" };
  g_autoptr (GError) error = NULL;
  Scene scene = { .width = g_rand_int_range (rand, 1000, 1700), .height = g_rand_int_range (rand, 1000, 1700) };
  choose_pitch (rand, scene.width, scene.height, &scene.pitch_x, &scene.pitch_y);
  scene.x = between (rand, 0, scene.pitch_x);
  scene.y = between (rand, 0, scene.pitch_y);
  scene.angle = g_rand_int_range (rand, 0, 4) == 0 ? 0 : between (rand, -TURN, TURN);
  scene.jitter = g_rand_boolean (rand) ? 0 : between (rand, 0, 0.5);
  scene.noise = loudness () * log_between (rand, 1, 4);
  scene.vignetting = between (rand, 0, 0.3);
  gboolean round = MIN (scene.width, scene.height) > 6 * MAX (scene.pitch_x, scene.pitch_y) && g_rand_boolean (rand);
  scene.radius = round ? 0.47 * MIN (scene.width, scene.height) : 0;
  scene.layout = layouts[g_rand_int_range (rand, 0, 3)];
  scene.soft = TRUE;
  scene.seed = g_rand_int (rand);
  g_autofree float *image = scene_draw (&scene);
  g_autofree guint8 *row = g_new (guint8, scene.width);
  NotchTiffLayout layout = { scene.width, scene.height, NOTCH_SAMPLE_U8, 8, 0, FALSE, NULL, 0 };
  g_autoptr (NotchTiffWriter) writer = notch_tiff_writer_new (path, &layout, &error);
  for (int y = 0; y < scene.height; y++) {
    for (int x = 0; x < scene.width; x++)
      row[x] = (guint8) image[(gsize) y * (gsize) scene.width + (gsize) x];
    g_assert_true (notch_tiff_writer_rows (writer, row, 1, &error));
  }
  g_assert_true (notch_tiff_writer_commit (writer, &error));
  return (Truth){
    .width = scene.width,
    .height = scene.height,
    .x = scene.x,
    .y = scene.y,
    .pitch_x = scene.pitch_x,
    .pitch_y = scene.pitch_y,
    .angle = scene.angle,
    .jitter = scene.jitter,
    .radius = scene.radius,
    .street = 6,
    .what = g_strdup_printf ("drawn %s%s noise %.1f", names[scene.layout], round ? " wafer" : "", scene.noise),
  };
}

/* What a jitter of 1 px leaves uncertain, sigmas: of either pitch, px, and of the angle, rad, when every whole die counts
 * alike. */
typedef struct {
  double pitch_x, pitch_y, angle;
} Spread;

static Spread
spread_of (const Truth *t)
{
  double n = 0, i1 = 0, i2 = 0, j1 = 0, j2 = 0, c = cos (t->angle), s = sin (t->angle);
  int reach = 4 + (int) (hypot (t->width, t->height) / MIN (t->pitch_x, t->pitch_y));
  for (int j = -reach; j <= reach; j++)
    for (int i = -reach; i <= reach; i++) {
      gboolean whole = TRUE;
      for (int k = 0; k < 4; k++) {
        double u = (i + (k & 1)) * t->pitch_x, v = (j + (k >> 1)) * t->pitch_y;
        double x = t->x + c * u - s * v, y = t->y + s * u + c * v;
        whole = whole && x >= -0.5 && y >= -0.5 && x <= t->width - 0.5 && y <= t->height - 0.5
                && (t->radius <= 0 || hypot (x - t->width / 2.0, y - t->height / 2.0) < t->radius);
      }
      if (!whole)
        continue;
      n++;
      i1 += i, i2 += i * i;
      j1 += j, j2 += j * j;
    }
  i2 -= i1 * i1 / n, j2 -= j1 * j1 / n;
  return (Spread){ 1 / sqrt (i2), 1 / sqrt (j2),
                   1 / sqrt (i2 * t->pitch_x * t->pitch_x + j2 * t->pitch_y * t->pitch_y) };
}

static NotchDiscovery *
discover (NotchRecipe **recipe)
{
  g_autoptr (GError) error = NULL;
  *recipe = notch_recipe_new ();
  g_autoptr (NotchSource) source = notch_source_open (path, NULL, &error);
  g_assert_no_error (error);
  g_autoptr (NotchStore) store = notch_store_new (source, 1 << 26, 1);
  int factor = notch_reduce_factor (source->width, source->height, NOTCH_OVERVIEW_PX);
  g_autoptr (NotchReduced) reduced = notch_reduce (store, 0, 0, source->width, source->height, factor, &error);
  NotchDiscovery *found = notch_discover (store, source, reduced, *recipe, &error);
  g_assert_no_error (error);
  return found;
}

static Outcome
judge (int number, const Truth *t)
{
  g_autoptr (NotchRecipe) recipe = NULL;
  gint64 before = g_get_monotonic_time ();
  g_autoptr (NotchDiscovery) found = discover (&recipe);
  double ms = (double) (g_get_monotonic_time () - before) / 1000;
  Spread spread = spread_of (t);
  double extent = MAX (t->width, t->height), exact = 0.002 * (1 + 1e-6 * extent), jitter = 4 * t->jitter;
  double ex = recipe->dice.pitch_x_px - t->pitch_x, ey = recipe->dice.pitch_y_px - t->pitch_y;
  double ea = recipe->dice.angle_mrad - t->angle * 1000;
  double c = cos (t->angle), s = sin (t->angle), u = recipe->dice.origin_x_px - t->x,
         v = recipe->dice.origin_y_px - t->y;
  double ox = remainder (c * u + s * v, t->pitch_x), oy = remainder (c * v - s * u, t->pitch_y);
  gboolean right = fabs (ex) <= exact + jitter * spread.pitch_x && fabs (ey) <= exact + jitter * spread.pitch_y
                   && fabs (ea) <= 0.1 + 1000 * jitter * spread.angle;
  /* What the report itself calls uncertain is no claim. */
  double claim = 4 * found->pitch_error;
  gboolean flagged = !found->grid || found->warning->len > 0 || (fabs (ex) < claim && fabs (ey) < claim);

  Outcome outcome = right && found->grid ? RIGHT : flagged ? FLAGGED : WRONG;
  static const char *const names[] = { "right", "wrong, said so", "WRONG" };
  g_test_message ("%3d %-14s sure %.2f  %4d x %4d  pitch %8.3f %8.3f  off %+.4f (%.4f) %+.4f (%.4f) se %.4f  angle "
                  "%+6.2f off %+.3f "
                  "(%.3f)  corner %+.1f %+.1f of %.0f  jitter %.2f  %s  %.0f ms%s",
                  number, names[outcome], found->grid ? found->grid->sure : 0, t->width, t->height, t->pitch_x,
                  t->pitch_y, ex, exact + jitter * spread.pitch_x, ey, exact + jitter * spread.pitch_y,
                  found->pitch_error, t->angle * 1000, ea, 0.1 + 1000 * jitter * spread.angle, ox, oy, t->street,
                  t->jitter, t->what, ms, found->warning->len > 0 ? "; warned" : "");
  if (outcome != RIGHT)
    g_test_message ("%s", found->report);
  return outcome;
}

static void
test_sweep (void)
{
  int n = wanted ("NOTCH_SWEEP", CHECKED), from = wanted ("NOTCH_SWEEP_FROM", 0), count[3] = { 0 };
  for (int k = from; k < from + n; k++) {
    g_autoptr (GRand) rand = g_rand_new_with_seed (4711 + (guint32) k);
    Truth truth = k % 2 ? draw (rand) : simulate (rand);
    count[judge (k, &truth)]++;
    g_free (truth.what);
  }
  g_test_message ("%d wafers: %d right, %d wrong and said so, %d wrong", n, count[RIGHT], count[FLAGGED], count[WRONG]);
  if (loudness () <= 1)
    g_assert_cmpint (count[RIGHT], >=, n - n / 50);
  if (n >= 100)
    g_assert_cmpint (count[WRONG], <=, MAX (1, (count[WRONG] + count[FLAGGED]) / 20));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("notch-sweep-XXXXXX", NULL);
  path = g_build_filename (folder, "wafer.tif", NULL);
  truth_path = g_build_filename (folder, "truth.csv", NULL);
  dice_path = g_build_filename (folder, "dice.csv", NULL);
  g_test_add_func ("/sweep", test_sweep);
  int status = g_test_run ();
  g_remove (path);
  g_remove (truth_path);
  g_remove (dice_path);
  g_rmdir (folder);
  g_free (path);
  g_free (truth_path);
  g_free (dice_path);
  g_free (folder);
  return status;
}
