/* array.c - cells and arrays found without being told, and what a place in one is compared with */
#include <math.h>
#include <string.h>

#include "inspect/detect/survey.h"
#include "inspect/wafer/arrays.h"
#include "inspect/wafer/spectrum.h"

/* ---- drawn patterns -------------------------------------------------------------------------------------------- */

typedef enum { PATTERN_MEMORY, PATTERN_HOLES, PATTERN_GRATING, PATTERN_RANDOM, PATTERN_FLAT } Pattern;

/* An array in a rectangle of the image. */
typedef struct {
  Pattern pattern;
  NotchCell cell;
  int x0, y0, x1, y1;
} Field;

static double
gaussian (GRand *random)
{
  return sqrt (-2 * log (1 - g_rand_double (random))) * cos (2 * G_PI * g_rand_double (random));
}

/* A bump that repeats with every whole number, its width a part of it. */
static double
bump (double phase, double width)
{
  return exp ((cos (2 * G_PI * phase) - 1) / (4 * G_PI * G_PI * width * width) * 2);
}

static double
tone (const Field *field, double x, double y)
{
  NotchCell f = notch_cell_reciprocal (&field->cell);
  double u = f.ax * x + f.ay * y, v = f.bx * x + f.by * y;
  switch (field->pattern) {
  case PATTERN_MEMORY:
    return 70 + 40 * bump (v, 0.15) + 30 * bump (u, 0.12) + 35 * bump (u - 0.5, 0.1) * bump (v - 0.3, 0.1);
  case PATTERN_HOLES: /* dark-field: little but dots */
    return 12 + 25 * bump (u, 0.09) * bump (v, 0.09);
  case PATTERN_GRATING:
    return 70 + 60 * bump (v, 0.15);
  case PATTERN_RANDOM: /* blocks that do not repeat */
    return 50
           + 30
                 * (((guint) (floor (x / 9) + 1000) * 2654435761u ^ (guint) (floor (y / 7) + 1000) * 40503u)
                            * 2246822519u
                        >> 9
                    & 3);
  default:
    return 60;
  }
}

/* The later field covers the earlier. */
static float *
draw (int width, int height, const Field *field, int n, double noise)
{
  g_autoptr (GRand) random = g_rand_new_with_seed (5);
  float *value = g_new (float, (gsize) width *(gsize) height);
  for (int y = 0; y < height; y++)
    for (int x = 0; x < width; x++) {
      double level = 60;
      for (int i = 0; i < n; i++)
        if (x >= field[i].x0 && x < field[i].x1 && y >= field[i].y0 && y < field[i].y1)
          level = tone (&field[i], x, y);
      value[(gsize) y * (gsize) width + (gsize) x] = (float) rint (level + noise * gaussian (random));
    }
  return value;
}

static NotchArrays *
find (int width, int height, const Field *field, int n, double noise)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchSource) source =
      notch_source_from_memory ("drawn", width, height, NOTCH_SAMPLE_F32, draw (width, height, field, n, noise));
  g_autoptr (NotchStore) store = notch_store_new (source, 64 << 20, 1);
  NotchArrays *arrays = notch_arrays_find (store, width, height, NULL, &error);
  g_assert_no_error (error);
  g_autofree char *text = notch_arrays_describe (arrays);
  g_test_message ("%s", text);
  return arrays;
}

/* ---- cells ----------------------------------------------------------------------------------------------------- */

/* How far the sides of a found cell are from whole combinations of the true ones, px. */
static double
miss (const NotchCell *found, const NotchCell *truth)
{
  NotchCell f = notch_cell_reciprocal (truth);
  const double side[2][2] = { { found->ax, found->ay }, { found->bx, found->by } };
  double worst = fabs (notch_cell_area (found) / notch_cell_area (truth) - 1) > 0.1 ? INFINITY : 0;
  for (int k = 0; k < 2; k++) {
    double i = rint (f.ax * side[k][0] + f.ay * side[k][1]), j = rint (f.bx * side[k][0] + f.by * side[k][1]);
    worst = MAX (worst, hypot (side[k][0] - i * truth->ax - j * truth->bx, side[k][1] - i * truth->ay - j * truth->by));
  }
  return worst;
}

static void
check_cell (Pattern pattern, NotchCell cell, double noise, double tolerance)
{
  Field field = { pattern, cell, 0, 0, 1100, 900 };
  g_autoptr (NotchArrays) arrays = find (1100, 900, &field, 1, noise);
  g_assert_cmpint (arrays->n, ==, 1);
  g_assert_cmpfloat (miss (&arrays->cell[0], &cell), <=, tolerance);
  g_assert_cmpfloat (arrays->share[0], >, 0.97);
}

static void
test_exact (void)
{
  const double c = cos (0.0005), s = sin (0.0005);
  check_cell (PATTERN_MEMORY, (NotchCell){ 12 + sqrt (0.5), 0, 0, 9.3 + sqrt (2) / 10 }, 3, 0.001);
  check_cell (PATTERN_MEMORY, (NotchCell){ 11.27 * c, 11.27 * s, -8.91 * s, 8.91 * c }, 3, 0.001);
  check_cell (PATTERN_MEMORY, (NotchCell){ 4.37, 0, 0, 5.13 }, 2, 0.001);
  check_cell (PATTERN_MEMORY, (NotchCell){ 61.8, 0, 0, 47.1 }, 3, 0.005); /* fewer cells on the same way */
}

static void
test_oblique (void)
{
  check_cell (PATTERN_HOLES, (NotchCell){ 13.7, 0, 6.85, 13.7 * sqrt (0.75) }, 2, 0.001); /* hexagonal */
  check_cell (PATTERN_HOLES, (NotchCell){ 10.31, 1.7, -2.9, 14.2 }, 2, 0.001);
  check_cell (PATTERN_HOLES, (NotchCell){ 9.77, 0, 0, 9.77 }, 4, 0.001);
}

static void
test_none (void)
{
  const NotchCell cell = { 10.3, 0, 0, 10.3 };
  for (Pattern pattern = PATTERN_GRATING; pattern <= PATTERN_FLAT; pattern++) {
    Field field = { pattern, cell, 0, 0, 700, 600 };
    g_autoptr (NotchArrays) arrays = find (700, 600, &field, 1, 2);
    g_assert_cmpint (arrays->n, ==, 0);
  }
  Field small = { PATTERN_MEMORY, cell, 100, 100, 160, 160 }; /* six cells are no array */
  g_autoptr (NotchArrays) arrays = find (500, 400, &small, 1, 2);
  g_assert_cmpint (arrays->n, ==, 0);
  g_autoptr (NotchArrays) tiny = find (40, 30, &small, 1, 2);
  g_assert_cmpint (tiny->n, ==, 0);
}

static void
test_reduce (void)
{
  NotchCell cell = { 3 * 10 + 2 * 1, 3 * 0 + 2 * 9, 2 * 10 + 1, 9 }; /* of (10, 0) and (1, 9) */
  notch_cell_reduce (&cell);
  g_assert_cmpfloat_with_epsilon (cell.ax, 1, 1e-9);
  g_assert_cmpfloat_with_epsilon (cell.ay, 9, 1e-9);
  g_assert_cmpfloat_with_epsilon (cell.bx, 10, 1e-9);
  g_assert_cmpfloat_with_epsilon (cell.by, 0, 1e-9);
  NotchCell twice = { 20, 0, 1, 9 };
  g_assert_true (notch_cell_holds (&cell, &twice, 0.01));
  g_assert_false (notch_cell_holds (&twice, &cell, 0.01));
}

/* ---- regions --------------------------------------------------------------------------------------------------- */

static const Field mixed[] = {
  { PATTERN_RANDOM, { 1, 0, 0, 1 }, 0, 0, 1200, 900 },
  { PATTERN_MEMORY, { 12.37, 0, 0, 9.61 }, 100, 80, 600, 700 },
  { PATTERN_HOLES, { 8.23, 0, 0, 11.4 }, 640, 200, 1100, 820 },
};

/* Two arrays among what is none: each with its own cell, inside its border, and not far inside. */
static void
test_regions (void)
{
  g_autoptr (NotchArrays) arrays = find (1200, 900, mixed, 3, 2);
  g_assert_cmpint (arrays->n, ==, 2);
  gint64 covered = 0;
  for (guint i = 0; i < arrays->rect->len; i++) {
    const NotchArrayRect *rect = &g_array_index (arrays->rect, NotchArrayRect, i);
    covered += (rect->x1 - rect->x0) * (rect->y1 - rect->y0);
    if (rect->array < 0)
      continue;
    const Field *field = miss (&arrays->cell[rect->array], &mixed[1].cell) < 0.002 ? &mixed[1] : &mixed[2];
    g_assert_cmpfloat (miss (&arrays->cell[rect->array], &field->cell), <, 0.002);
    g_assert_true (rect->x0 >= field->x0 && rect->x1 <= field->x1 && rect->y0 >= field->y0 && rect->y1 <= field->y1);
    g_assert_true (notch_arrays_hold (arrays, rect->array, rect->x0, rect->y0, rect->x1, rect->y1));
    g_assert_false (notch_arrays_hold (arrays, rect->array, rect->x0, field->y0 - 8, rect->x1, rect->y1));
  }
  g_assert_cmpint (covered, ==, 1200 * 900);
  for (int i = 1; i <= 2; i++) {
    int cell = miss (&arrays->cell[0], &mixed[i].cell) < 0.002 ? 0 : 1;
    g_assert_true (
        notch_arrays_hold (arrays, cell, mixed[i].x0 + 20, mixed[i].y0 + 20, mixed[i].x1 - 20, mixed[i].y1 - 20));
  }
}

/* A defect in an array is no hole of it: it is to be inspected. */
static void
test_hole (void)
{
  const Field field[] = { { PATTERN_MEMORY, { 12.37, 0, 0, 9.61 }, 0, 0, 800, 700 },
                          { PATTERN_FLAT, { 1, 0, 0, 1 }, 400, 300, 460, 340 } };
  g_autoptr (NotchArrays) arrays = find (800, 700, field, 2, 2);
  g_assert_cmpint (arrays->n, ==, 1);
  g_assert_true (notch_arrays_hold (arrays, 0, 8, 8, 792, 692));
}

/* ---- sources --------------------------------------------------------------------------------------------------- */

/* Every pixel of an array is compared once, with cells that lie in the array as it does, in more than one direction. */
static void
check_sources (const NotchSpeed *speed)
{
  enum { W = 1200, H = 900, TILE = 512 };
  g_autoptr (NotchPlan) plan = g_new0 (NotchPlan, 1);
  NotchSource source = { .width = W, .height = H };
  plan->speed = speed;
  plan->source = &source;
  plan->arrays = find (W, H, mixed, 3, 2);
  g_autofree guint8 *seen = g_new0 (guint8, W * H);
  for (int y = 0; y < H; y += TILE)
    for (int x = 0; x < W; x += TILE) {
      g_autoptr (GArray) piece = g_array_new (FALSE, FALSE, sizeof (NotchPiece));
      g_autoptr (GArray) sources = g_array_new (FALSE, FALSE, sizeof (NotchSourceShift));
      notch_reference_array.pieces (plan, x, y, TILE, piece, sources);
      NotchNeeds needs = { 0 };
      notch_reference_array.needs (plan, y, TILE, &needs);
      for (guint i = 0; i < piece->len; i++) {
        const NotchPiece *p = &g_array_index (piece, NotchPiece, i);
        int cell = notch_arrays_hold (plan->arrays, 0, x + p->x, y + p->y, x + p->x + p->w, y + p->y + p->h) ? 0 : 1;
        double turn = 0;
        if (p->n_sources == 0) /* masked */
          continue;
        g_assert_cmpint (p->n_sources, >=, 5);
        g_assert_cmpint (p->n_sources, <=, speed->sources);
        for (int v = 0; v < p->h; v++)
          for (int u = 0; u < p->w; u++)
            g_assert_cmpint (seen[(gsize) (y + p->y + v) * W + (gsize) (x + p->x + u)]++, ==, 0);
        for (int k = 0; k < p->n_sources; k++) {
          const NotchSourceShift *s = &g_array_index (sources, NotchSourceShift, p->first_source + k);
          const NotchSourceShift *first = &g_array_index (sources, NotchSourceShift, p->first_source);
          gint64 left = x + p->x + (gint64) floor (s->dx), top = y + p->y + (gint64) floor (s->dy);
          g_assert_true (notch_arrays_hold (plan->arrays, cell, left - 2, top - 2, left + p->w + 3, top + p->h + 3));
          g_assert_cmpint (top - 2, >=, needs.rows[0][0].y);
          g_assert_cmpint (top + p->h + 3, <=, needs.rows[0][0].y + needs.rows[0][0].n);
          NotchCell step = { s->dx, s->dy, s->dx, s->dy };
          g_assert_true (notch_cell_holds (&plan->arrays->cell[cell], &step, 1e-6));
          turn = MAX (turn, fabs (s->dx * first->dy - s->dy * first->dx) / hypot (s->dx, s->dy)
                                / hypot (first->dx, first->dy));
        }
        g_assert_cmpfloat (turn, >, 0.5);
      }
    }
  for (int cell = 0; cell < 2; cell++)
    for (int y = 0; y < H - 4; y += 4)
      for (int x = 0; x < W - 4; x += 4)
        if (notch_arrays_hold (plan->arrays, cell, x, y, x + 4, y + 4))
          g_assert_cmpint (seen[(gsize) y * W + (gsize) x], ==, 1);
}

static void
test_sources (void)
{
  check_sources (&notch_speed_full);
  check_sources (&notch_speed_fast);
}

/* ---- lines ----------------------------------------------------------------------------------------------------- */

#define SIZE 256

/* Of the spectrum's row y: it changes slowly. */
static double
background (int y)
{
  return 1 + MIN (y, SIZE - y) / 64.0;
}

static void
test_lines (void)
{
  enum { COLUMNS = SIZE / 2 + 1, TILES = 6 };
  g_autoptr (GRand) random = g_rand_new_with_seed (3);
  g_autofree double *sum = g_new0 (double, SIZE *COLUMNS);
  NotchArrays arrays = { .n = 1, .cell = { { 12.8, 0, 0, 10.24 } } }; /* 20 and 25 bins */
  for (int i = 0; i < SIZE * COLUMNS; i++)
    for (int k = 0; k < TILES; k++)
      sum[i] -= log (1 - g_rand_double (random)) * background (i / COLUMNS);
  g_autofree double *quiet = g_memdup2 (sum, sizeof *sum * SIZE * COLUMNS);
  g_autoptr (NotchSpectrum) none = notch_spectrum_new (SIZE);
  notch_spectrum_find_lines (none, &arrays, quiet, TILES);
  g_assert_cmpint (none->n_notches, ==, 0);
  g_assert_cmpfloat (none->removed, ==, 0);
  const int line[3][2] = { { 20, 0 }, { 40, 25 }, { 20, 125 } };
  for (int i = 0; i < 3; i++)
    sum[line[i][1] * COLUMNS + line[i][0]] = 40 * TILES;
  sum[77 * COLUMNS + 33] = 40 * TILES; /* on no lattice: something else, to be whitened, not notched */
  g_autoptr (NotchSpectrum) found = notch_spectrum_new (SIZE);
  notch_spectrum_find_lines (found, &arrays, sum, TILES);
  g_assert_cmpint (found->n_notches, ==, 3);
  for (int i = 0; i < 3; i++) {
    int at = line[i][1] * COLUMNS + line[i][0];
    double level = background (line[i][1]);
    g_assert_cmpfloat_with_epsilon (found->lift[at] * level / 40, 1, 0.35);
    g_assert_cmpfloat (sum[at], <, 2 * TILES * level);
  }
  g_assert_cmpfloat (found->lift[77 * COLUMNS + 33], ==, 1);
  g_assert_cmpfloat_with_epsilon (found->removed, 6.0 / (SIZE * SIZE), 0.5 / (SIZE * SIZE));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/array/reduce", test_reduce);
  g_test_add_func ("/array/exact", test_exact);
  g_test_add_func ("/array/oblique", test_oblique);
  g_test_add_func ("/array/none", test_none);
  g_test_add_func ("/array/regions", test_regions);
  g_test_add_func ("/array/hole", test_hole);
  g_test_add_func ("/array/sources", test_sources);
  g_test_add_func ("/array/lines", test_lines);
  return g_test_run ();
}
