/* stages-fit.c - references and what is fitted to them against a slow double-precision reference that is obviously right */
#include "tests/few.h"
#include "tests/stages.h"

#include "kernels/math/resample.h"

static int
compare_doubles (const void *a, const void *b)
{
  double x = *(const double *) a, y = *(const double *) b;
  return (x > y) - (x < y);
}

/* Lanczos-3 in two dimensions, in double precision. */
static double
interpolated (const Bench *bench, int side, double x, double y)
{
  float ax[NOTCH_TAPS], ay[NOTCH_TAPS];
  double sum = 0;
  notch_lanczos_taps (x - floor (x), ax);
  notch_lanczos_taps (y - floor (y), ay);
  for (int v = 0; v < NOTCH_TAPS; v++)
    for (int u = 0; u < NOTCH_TAPS; u++) {
      int px = (int) floor (x) - NOTCH_TAP_ORIGIN + u, py = (int) floor (y) - NOTCH_TAP_ORIGIN + v;
      sum += (double) ax[u] * ay[v] * bench->pixel[CLAMP (py, 0, side - 1) * side + CLAMP (px, 0, side - 1)];
    }
  return sum;
}

/* The reference of a piece is the median of its sources, fine and coarse; a source behind them tells the spread. */
static void
test_refer (void)
{
  Bench bench;
  bench_open (&bench, &tile_size, 300, 300);
  for (int i = 0; i < 300 * 300; i++)
    bench.pixel[i] = (float) (100 * g_rand_double (bench.random));
  bench_changed (&bench);
  for (int k = 1; k <= NOTCH_MAX_SOURCES; k++) {
    NotchTile tile = tile_at (100, 90);
    NotchPiece piece = { 5, 9, 37 + k, 41, 0, k, k % 2 };
    NotchSourceShift source[NOTCH_MAX_SOURCES + 1];
    for (int j = 0; j < k + piece.n_spreads; j++)
      source[j] = (NotchSourceShift){ .dx = g_rand_double_range (bench.random, -80, 80),
                                      .dy = g_rand_double_range (bench.random, -70, 70),
                                      .zoom = 1 };
    if (k > 2)
      source[1].dx = 12, source[2].dy = -7; /* whole shifts take another way */
    if (k > 1)
      source[0].zoom = 1.0 / k, source[k - 1].zoom = 1.0 / 64; /* and so do coarse sources */
    NotchBatch batch = { 1, &tile, &piece, source, { bench.mem } };
    static float got[AREA], spread[AREA];
    bench.k->gather (bench.lane, &(NotchGather){ &batch });
    g_assert_cmpint (bench.k->refer (bench.lane, &(NotchRefer){ &batch }), ==, 0);
    bench.k->peek (bench.lane, 0, NOTCH_PLANE_REF, got);
    bench.k->peek (bench.lane, 0, NOTCH_PLANE_SPREAD, spread);
    for (int y = 0; y < piece.h; y++)
      for (int x = 0; x < piece.w; x++) {
        double value[NOTCH_MAX_SOURCES + 1];
        for (int j = 0; j < k + piece.n_spreads; j++)
          value[j] = interpolated (&bench, 300, (100.0 + piece.x + x + source[j].dx) * source[j].zoom,
                                   (90.0 + piece.y + y + source[j].dy) * source[j].zoom);
        int at = (piece.y + y) * SIZE + piece.x + x;
        if (piece.n_spreads > 0)
          g_assert_cmpfloat_with_epsilon (spread[at], value[k], 1e-4);
        qsort (value, (gsize) k, sizeof *value, compare_doubles);
        double median = 0.5 * (value[(k - 1) / 2] + value[k / 2]);
        /* Twelve products of numbers up to 100, each rounded to 24 bits. */
        g_assert_cmpfloat_with_epsilon (got[at], median, 1e-4);
      }
    g_assert_cmpfloat (got[0], ==, 0);
    if (piece.n_spreads > 0)
      g_assert_cmpfloat (spread[0], ==, 0);
  }
  bench_close (&bench);
}

/* A smooth pattern with structure at every scale that the pixels can hold. */
static double
pattern (double x, double y)
{
  return 100 + 20 * sin (0.31 * x + 0.2 * y) + 15 * cos (0.17 * x - 0.41 * y + 1)
         + 10 * sin (0.05 * x * 0.7 + 0.9 * y * 0.5) + 8 * sin (0.8 * x + 0.1 * y);
}

/* A fit of so many samples; `shift`: what it finds. */
static void
check_fit (int samples, float shift[2])
{
  Bench bench;
  bench_open (&bench, &tile_size, 400, 200);
  /* Left: the reference; 200 px to the right: the same, brighter, shifted, a little shaded, with a defect in it. */
  for (int y = 0; y < 200; y++)
    for (int x = 0; x < 400; x++)
      bench.pixel[y * 400 + x] =
          (float) (x < 200 ? pattern (x, y) : (1.05 + 2e-4 * (x - 200)) * pattern (x - 200 + 0.05, y - 0.03) + 3);
  for (int y = 90; y < 95; y++)
    for (int x = 290; x < 295; x++)
      bench.pixel[y * 400 + x] += 500;
  bench_changed (&bench);
  bench_place (&bench, 250, 50, (NotchSourceShift){ .dx = -200, .zoom = 1 });
  static float res[AREA], ref[AREA], test[AREA];
  int terms = NOTCH_FIT_GAIN | NOTCH_FIT_SHADE | NOTCH_FIT_SHIFT | NOTCH_FIT_FOCUS;
  bench.k->gather (bench.lane, &(NotchGather){ &bench.batch });
  bench.k->refer (bench.lane, &(NotchRefer){ &bench.batch });
  g_assert_cmpint (bench.k->fit (bench.lane, &(NotchFit){ &bench.batch, terms, 1, 0, 0, 0, samples }), ==, 0);
  bench.k->peek (bench.lane, 0, NOTCH_PLANE_RES, res);
  bench.k->peek (bench.lane, 0, NOTCH_PLANE_REF, ref);
  bench.k->peek (bench.lane, 0, NOTCH_PLANE_TEST, test);
  NotchTileFound found;
  g_assert_cmpint (bench.k->finish (bench.lane, &found), ==, 0);
  double sum2 = 0, n = 0;
  for (int y = 2; y < SIZE - 2; y++)
    for (int x = 2; x < SIZE - 2; x++) {
      gboolean defect = y >= 40 && y < 45 && x >= 40 && x < 45;
      g_assert_cmpfloat_with_epsilon (test[y * SIZE + x] - ref[y * SIZE + x], res[y * SIZE + x], 1e-3);
      if (defect)
        g_assert_cmpfloat_with_epsilon (res[y * SIZE + x], 500, 5);
      else
        sum2 += (double) res[y * SIZE + x] * res[y * SIZE + x], n++;
    }
  /* The pattern's rms is 28; unfitted the residual would be 8. What is left is the shift's second order. */
  g_assert_cmpfloat (sqrt (sum2 / n), <, 0.1);
  /* Shift coefficients are those of the gradient, on the reference's scale: 1.05 times 0.05 and -0.03 px. */
  g_assert_cmpfloat_with_epsilon (found.fit[0][2], 1.07 * 0.05, 0.01);
  g_assert_cmpfloat_with_epsilon (found.fit[0][3], 1.07 * -0.03, 0.01);
  shift[0] = found.fit[0][2], shift[1] = found.fit[0][3];
  bench_close (&bench);
}

/* A part of the samples tells nearly the same; more than there are tell no more than all. */
static void
test_fit (void)
{
  float all[2], part[2], beyond[2];
  check_fit (0, all);
  check_fit (1000, part);
  check_fit (1 << 20, beyond);
  g_assert_true (part[0] != all[0] && part[1] != all[1]);
  g_assert_true (beyond[0] == all[0] && beyond[1] == all[1]);
}

/* What a later piece covers, with another kind of reference, has no say in the fit of the earlier one. */
static void
test_fit_overlap (void)
{
  Bench bench;
  bench_open (&bench, &tile_size, 400, 200);
  for (int y = 0; y < 200; y++)
    for (int x = 0; x < 400; x++)
      bench.pixel[y * 400 + x] = (float) (x < 200 ? pattern (x, y) : 1.1 * pattern (x - 200, y) + 3);
  bench_changed (&bench);
  NotchTile tile = tile_at (250, 50);
  tile.n_pieces = 2;
  const NotchPiece piece[] = { { 0, 0, SIZE, SIZE, 0, 1, 0 }, { 20, 10, 60, 70, 1, 1, 0 } };
  const NotchSourceShift source[] = { { .dx = -200, .zoom = 1 }, { .zoom = 1 } };
  NotchBatch batch = { 1, &tile, piece, source, { bench.mem } };
  static float res[AREA];
  NotchTileFound found;
  bench.k->gather (bench.lane, &(NotchGather){ &batch });
  bench.k->refer (bench.lane, &(NotchRefer){ &batch });
  g_assert_cmpint (bench.k->fit (bench.lane, &(NotchFit){ .batch = &batch, .terms = NOTCH_FIT_GAIN, .gain = 1 }), ==,
                   0);
  bench.k->peek (bench.lane, 0, NOTCH_PLANE_RES, res);
  g_assert_cmpint (bench.k->finish (bench.lane, &found), ==, 0);
  g_assert_cmpfloat_with_epsilon (found.fit[0][1], 0.1, 1e-4);
  g_assert_cmpfloat_with_epsilon (found.fit[1][1], 0, 1e-4);
  for (int y = 2; y < SIZE - 2; y++)
    for (int x = 2; x < SIZE - 2; x++)
      g_assert_cmpfloat_with_epsilon (res[y * SIZE + x], 0, 0.02);
  bench_close (&bench);
}

/* A reference that is to be taken as it is: all that differs is the residual, an offset too. */
static void
test_fit_nothing (void)
{
  Bench bench;
  bench_open (&bench, &tile_size, 400, 200);
  for (int y = 0; y < 200; y++)
    for (int x = 0; x < 400; x++)
      bench.pixel[y * 400 + x] = (float) (x < 200 ? pattern (x, y) : 3 * pattern (x - 200, y) + 7);
  bench_changed (&bench);
  bench_place (&bench, 250, 50, (NotchSourceShift){ .dx = -200, .zoom = 1 });
  static float res[AREA];
  bench.k->gather (bench.lane, &(NotchGather){ &bench.batch });
  bench.k->refer (bench.lane, &(NotchRefer){ &bench.batch });
  g_assert_cmpint (bench.k->fit (bench.lane, &(NotchFit){ &bench.batch, NOTCH_FIT_NOTHING, 3, 0, 0, 0, 0 }), ==, 0);
  bench.k->peek (bench.lane, 0, NOTCH_PLANE_RES, res);
  for (int y = 2; y < SIZE - 2; y++)
    for (int x = 2; x < SIZE - 2; x++) /* values up to 500 in 24 bits */
      g_assert_cmpfloat_with_epsilon (res[y * SIZE + x], 7, 1e-3);
  bench_close (&bench);
}

/* A shift that changes over a piece is followed to a fiftieth of a pixel where it is gentle, to half of 8 px of it where it is
 * steep; all pixels of the piece are filled. */
static void
test_refer_bent (void)
{
  Bench bench;
  bench_open (&bench, &tile_size, 400, 200);
  for (int y = 0; y < 200; y++)
    for (int x = 0; x < 400; x++)
      bench.pixel[y * 400 + x] = (float) (3 * x + 2 * y); /* a plane tells where each pixel comes from */
  bench_changed (&bench);
  NotchTile tile = tile_at (250, 50);
  NotchPiece piece = { 4, 6, SIZE - 9, SIZE - 20, 0, 1, 0 };
  static float ref[AREA];
  for (int steep = 0; steep < 2; steep++) {
    double slope = steep ? 0.05 : 0.004, most = steep ? 4 * slope : 0.02;
    NotchSourceShift source = {
      .dx = -200.3, .dy = 2, .zoom = 1, .xx = slope, .xy = -slope / 2, .yx = slope / 3, .yy = slope
    };
    NotchBatch batch = { 1, &tile, &piece, &source, { bench.mem } };
    bench.k->gather (bench.lane, &(NotchGather){ &batch });
    g_assert_cmpint (bench.k->refer (bench.lane, &(NotchRefer){ &batch }), ==, 0);
    bench.k->peek (bench.lane, 0, NOTCH_PLANE_REF, ref);
    for (int y = piece.y; y < piece.y + piece.h; y++)
      for (int x = piece.x; x < piece.x + piece.w; x++) {
        double u = x - piece.x - 0.5 * (piece.w - 1), v = y - piece.y - 0.5 * (piece.h - 1);
        double from_x = 250 + x + source.dx + source.xx * u + source.xy * v;
        double from_y = 50 + y + source.dy + source.yx * u + source.yy * v;
        g_assert_cmpfloat_with_epsilon (ref[y * SIZE + x], 3 * from_x + 2 * from_y, 1.5 * 5 * most);
      }
  }
  bench_close (&bench);
}

static const double light[] = { 1, 0.8, 0.6, 1 };

/* Four sources' mean at pixel (x, y) of a tile at (20, 30), each lit by a plane of its own. */
static double
even (int x, int y)
{
  double sum = 0;
  for (int j = 0; j < 4; j++)
    sum += light[j] * (100 + 0.1 * (20 + x)) * (1 + 1e-3 * j * (30 + y)) / 4;
  return sum;
}

/* Sources that are lit differently are made equally bright over all of a piece, also where shifts that change cut it into
 * blocks; not so, their median would be that of the middle two. */
static void
test_refer_even (void)
{
  enum { K = 4, APART = 160 };
  Bench bench;
  bench_open (&bench, &tile_size, K * APART, 200);
  for (int y = 0; y < 200; y++)
    for (int x = 0; x < K * APART; x++)
      bench.pixel[y * K * APART + x] =
          (float) (light[x / APART] * (100 + 0.1 * (x % APART)) * (1 + 1e-3 * (x / APART) * y));
  bench_changed (&bench);
  NotchTile tile = tile_at (20, 30);
  NotchPiece piece = { 2, 3, SIZE - 6, SIZE - 5, 0, K, 0 };
  static float ref[AREA];
  for (int bent = 0; bent < 2; bent++) {
    NotchSourceShift source[K];
    for (int j = 0; j < K; j++)
      source[j] = (NotchSourceShift){ .dx = j * APART, .zoom = 1, .xx = bent * 0.004, .xy = bent * 0.002 };
    NotchBatch batch = { 1, &tile, &piece, source, { bench.mem } };
    bench.k->gather (bench.lane, &(NotchGather){ &batch });
    g_assert_cmpint (bench.k->refer (bench.lane, &(NotchRefer){ &batch }), ==, 0);
    bench.k->peek (bench.lane, 0, NOTCH_PLANE_REF, ref);
    for (int y = piece.y; y < piece.y + piece.h; y++)
      for (int x = piece.x; x < piece.x + piece.w; x++)
        g_assert_cmpfloat_with_epsilon (ref[y * SIZE + x], even (x, y), 0.5);
  }
  bench_close (&bench);
}

/* The gain of a piece that is an array of little contrast but for one bright pad: what noise makes of it is not to lift or
 * sink the pad by what a wide filter sees there. */
static void
test_fit_pad (void)
{
  enum { SIDE = 384, PAD = 20 };
  const int trials = few (12, 3);
  const double sigma = 2, contrast = 6, pad = 65;
  Bench bench;
  NotchLaneSize size = tile_size;
  size.size = SIDE;
  bench_open (&bench, &size, SIDE, SIDE);
  NotchTile tile = { 0, 0, HALO, HALO, SIDE - 2 * HALO, SIDE - 2 * HALO, 0, 0, SIDE, SIDE, 0, 1, NULL };
  NotchPiece piece = { 0, 0, SIDE, SIDE, 0, 1, 0 };
  NotchSourceShift source = { .zoom = 0.5 }; /* one that has no noise of its own; the plane is poked */
  g_autofree float *ref = g_new (float, SIDE *SIDE), *fitted = g_new (float, SIDE *SIDE);
  for (int y = 0; y < SIDE; y++)
    for (int x = 0; x < SIDE; x++)
      ref[y * SIDE + x] = (float) (x >= 300 && x < 300 + PAD && y >= 60 && y < 60 + PAD
                                       ? 95 + pad
                                       : 95 + 2 * contrast * sin (2 * G_PI * x / 8.7) * sin (2 * G_PI * y / 7.3));
  double squares = 0;
  for (int trial = 0; trial < trials; trial++) {
    for (int i = 0; i < SIDE * SIDE; i++)
      bench.pixel[i] = (float) ((double) ref[i] + sigma * gaussian (bench.random));
    bench_changed (&bench);
    const NotchBatch batch = { 1, &tile, &piece, &source, { bench.mem } };
    bench.k->gather (bench.lane, &(NotchGather){ &batch });
    bench.k->refer (bench.lane, &(NotchRefer){ &batch });
    bench.k->poke (bench.lane, 0, NOTCH_PLANE_REF, ref);
    const NotchFit fit = {
      &batch, NOTCH_FIT_GAIN | NOTCH_FIT_SHADE | NOTCH_FIT_SHIFT | NOTCH_FIT_FOCUS, 1, 0, 0, 0, 0
    };
    g_assert_cmpint (bench.k->fit (bench.lane, &fit), ==, 0);
    bench.k->peek (bench.lane, 0, NOTCH_PLANE_REF, fitted);
    const int middle = (60 + PAD / 2) * SIDE + 300 + PAD / 2;
    squares += pow ((double) fitted[middle] - (double) ref[middle], 2);
  }
  g_test_message ("rms %.3f", sqrt (squares / trials));
  g_assert_cmpfloat (sqrt (squares / trials), <, 0.4);
  bench_close (&bench);
}

/* In an image in black and white most pixels fit exactly; the edges of a shifted pattern are no outliers for that. */
static void
test_fit_quiet (void)
{
  Bench bench;
  bench_open (&bench, &tile_size, 400, 200);
  for (int y = 0; y < 200; y++)
    for (int x = 0; x < 400; x++) /* black, and a white block near the corner */
      bench.pixel[y * 400 + x] = x % 200 >= 62 && x % 200 < 70 && y >= 55 && y < 65 ? 255 : 0;
  bench_changed (&bench);
  bench_place (&bench, 250, 50, (NotchSourceShift){ .dx = -199.7, .zoom = 1 });
  static float ref[AREA];
  bench.k->gather (bench.lane, &(NotchGather){ &bench.batch });
  bench.k->refer (bench.lane, &(NotchRefer){ &bench.batch });
  g_assert_cmpint (
      bench.k->fit (bench.lane, &(NotchFit){ &bench.batch, NOTCH_FIT_GAIN | NOTCH_FIT_SHIFT, 1, 0, 60, 0, 0 }), ==, 0);
  bench.k->peek (bench.lane, 0, NOTCH_PLANE_REF, ref);
  g_assert_cmpfloat (ref[10 * SIZE + 16], >, 200);
  g_assert_cmpfloat (fabsf (ref[30 * SIZE + 30]), <, 5);
  bench_close (&bench);
}

/* A reference that is poked has no noise that is known, whatever the lane made before. */
static void
test_fit_poked (void)
{
  Bench bench;
  bench_open (&bench, &tile_size, 400, 200);
  static float test[AREA], ref[AREA], res[2][AREA];
  for (int i = 0; i < 400 * 200; i++)
    bench.pixel[i] = (float) gaussian (bench.random);
  for (int i = 0; i < AREA; i++) {
    ref[i] = (float) g_rand_double_range (bench.random, 90, 110);
    test[i] = ref[i] + (float) gaussian (bench.random);
  }
  bench_place (&bench, 100, 50, (NotchSourceShift){ .dx = 100.3, .dy = 0.4, .zoom = 1 });
  NotchBatch bare = bench.batch;
  bare.mem[0] = NULL;
  for (int k = 0; k < 2; k++) {
    bench.k->gather (bench.lane, &(NotchGather){ &bare });
    bench.k->poke (bench.lane, 0, NOTCH_PLANE_TEST, test);
    bench.k->poke (bench.lane, 0, NOTCH_PLANE_REF, ref);
    g_assert_cmpint (bench.k->fit (bench.lane, &(NotchFit){ &bare, NOTCH_FIT_GAIN | NOTCH_FIT_FOCUS, 1, 0, 0, 0, 0 }),
                     ==, 0);
    bench.k->peek (bench.lane, 0, NOTCH_PLANE_RES, res[k]);
    bench.k->gather (bench.lane, &(NotchGather){ &bench.batch }); /* another tile, whose reference is noisy */
    g_assert_cmpint (bench.k->refer (bench.lane, &(NotchRefer){ &bench.batch }), ==, 0);
  }
  g_assert_cmpmem (res[0], sizeof res[0], res[1], sizeof res[1]);
  bench_close (&bench);
}

/* What the fitted reference has within two pixels is no difference; what is beyond it differs by how far. */
static void
test_fit_wander (void)
{
  Bench bench;
  bench_open (&bench, &tile_size, 400, 200);
  for (int y = 0; y < 200; y++)
    for (int x = 0; x < 400; x++)
      bench.pixel[y * 400 + x] = (float) (100 * g_rand_double (bench.random));
  bench_changed (&bench);
  bench_place (&bench, 250, 50, (NotchSourceShift){ .dx = -200, .zoom = 1 });
  bench.piece.h = SIZE - 20;
  static float res[AREA], ref[AREA], test[AREA];
  int n_beyond = 0;
  bench.k->gather (bench.lane, &(NotchGather){ &bench.batch });
  bench.k->refer (bench.lane, &(NotchRefer){ &bench.batch });
  g_assert_cmpint (bench.k->fit (bench.lane, &(NotchFit){ &bench.batch, NOTCH_FIT_NOTHING, 1.02f, 2, 0, 0, 0 }), ==, 0);
  bench.k->peek (bench.lane, 0, NOTCH_PLANE_RES, res);
  bench.k->peek (bench.lane, 0, NOTCH_PLANE_REF, ref);
  bench.k->peek (bench.lane, 0, NOTCH_PLANE_TEST, test);
  for (int y = 1; y < SIZE - 1; y++)
    for (int x = 1; x < SIZE - 1; x++) {
      float low = INFINITY, high = -INFINITY;
      for (int v = MAX (y - 2, 0); v <= MIN (y + 2, SIZE - 1); v++)
        for (int u = MAX (x - 2, 0); u <= MIN (x + 2, SIZE - 1); u++)
          low = MIN (low, ref[v * SIZE + u]), high = MAX (high, ref[v * SIZE + u]);
      float t = test[y * SIZE + x], beyond = t > high ? t - high : t < low ? t - low : 0;
      g_assert_cmpfloat (res[y * SIZE + x], ==, y < SIZE - 20 ? beyond : 0); /* no reference: nothing differs */
      n_beyond += y < SIZE - 20 && beyond != 0;
    }
  g_assert_cmpint (n_beyond, >, 20);
  bench_close (&bench);
}

/* A bright bar of which all edges are off: what lies along them tells by how much. A defect on an edge stays, and so does
 * what is flat; what is masked neither tells anything nor changes. */
static void
test_follow (void)
{
  enum { LEFT = 12, RIGHT = 44, TOP = 10, BOTTOM = 50, BAD_X = 11, BAD_Y = 30 };
  Bench bench;
  bench_open (&bench, &tile_size, 200, 200);
  static float weight[AREA], ref[AREA], res[AREA], left[AREA];
  double off2 = 0, left2 = 0;
  for (int y = 0; y < SIZE; y++)
    for (int x = 0; x < SIZE; x++) {
      ref[y * SIZE + x] = x >= LEFT && x < RIGHT && y >= TOP && y < BOTTOM ? 120 : 40;
      weight[y * SIZE + x] = !(x == BAD_X && y >= BAD_Y + 8);
    }
  for (int y = 1; y < SIZE - 1; y++)
    for (int x = 1; x < SIZE - 1; x++) {
      const float *g = ref + y * SIZE + x;
      res[y * SIZE + x] = 0.1f * 0.5f * (g[1] - g[-1]) - 0.1f * 0.5f * (g[SIZE] - g[-SIZE]);
    }
  res[BAD_Y * SIZE + BAD_X] += 20;
  res[5 * SIZE + 5] = 9;
  bench_place (&bench, 0, 0, (NotchSourceShift){ .zoom = 1 });
  bench.tile.weight = weight;
  const NotchNoise noise = { .a = 1, .b = 0.01f, .c = 0.01f };
  bench.k->gather (bench.lane, &(NotchGather){ &bench.batch });
  bench.k->poke (bench.lane, 0, NOTCH_PLANE_REF, ref);
  bench.k->poke (bench.lane, 0, NOTCH_PLANE_RES, res);
  g_assert_cmpint (bench.k->follow (bench.lane, &(NotchFollow){ &bench.batch, noise }), ==, 0);
  bench.k->peek (bench.lane, 0, NOTCH_PLANE_RES, left);
  for (int y = 1; y < SIZE - 1; y++)
    for (int x = 1; x < SIZE - 1; x++) {
      int at = y * SIZE + x;
      gboolean flat = ref[at + 1] == ref[at - 1] && ref[at + SIZE] == ref[at - SIZE];
      if (flat || weight[at] == 0)
        g_assert_cmpfloat (left[at], ==, res[at]);
      else if (x != BAD_X || y != BAD_Y)
        off2 += res[at] * res[at], left2 += left[at] * left[at];
    }
  g_assert_cmpfloat (left2, <, 0.05 * off2);
  g_assert_cmpfloat (left[BAD_Y * SIZE + BAD_X], >, 18);
  g_assert_cmpfloat (left[5 * SIZE + 5], ==, 9);
  bench_close (&bench);
}

/* Edges of a die that is turned by more than is known are off by what grows from its middle on; that is told by all edges of
 * a region, though those along one edge may say nothing: c is next to 0. Two pieces that are turned against each other have
 * nothing to do with each other. */
static void
test_follow_turned (void)
{
  enum { SIDE = 256, PERIOD = 16 };
  Bench bench;
  NotchLaneSize size = tile_size;
  size.size = SIDE;
  bench_open (&bench, &size, SIDE, SIDE);
  g_autofree float *ref = g_new (float, SIDE *SIDE), *res = g_new0 (float, SIDE *SIDE),
                   *left = g_new (float, SIDE *SIDE);
  double off2 = 0, left2 = 0;
  for (int y = 0; y < SIDE; y++)
    for (int x = 0; x < SIDE; x++)
      ref[y * SIDE + x] = (float) (90 + 40 * sin (2 * G_PI * x / PERIOD) + 30 * sin (2 * G_PI * y / PERIOD));
  for (int y = 1; y < SIDE - 1; y++)
    for (int x = 1; x < SIDE - 1; x++) {
      const float *g = ref + y * SIDE + x;
      double turn = x < SIDE / 2 ? 2e-3 : -1e-3, middle = x < SIDE / 2 ? 0.25 * SIDE : 0.75 * SIDE;
      double dx = turn * (y - 0.5 * SIDE), dy = -turn * (x - middle);
      res[y * SIDE + x] = (float) (dx * 0.5 * (double) (g[1] - g[-1]) + dy * 0.5 * (double) (g[SIDE] - g[-SIDE]));
    }
  NotchTile tile = { 0, 0, HALO, HALO, SIDE - 2 * HALO, SIDE - 2 * HALO, 0, 0, SIDE, SIDE, 0, 2, NULL };
  const NotchPiece piece[2] = { { 0, 0, SIDE / 2, SIDE, 0, 1, 0 }, { SIDE / 2, 0, SIDE / 2, SIDE, 1, 1, 0 } };
  const NotchSourceShift source[2] = { { .zoom = 1 }, { .zoom = 1 } };
  const NotchBatch batch = { 1, &tile, piece, source, { bench.mem } };
  bench.k->gather (bench.lane, &(NotchGather){ &batch });
  bench.k->poke (bench.lane, 0, NOTCH_PLANE_REF, ref);
  bench.k->poke (bench.lane, 0, NOTCH_PLANE_RES, res);
  g_assert_cmpint (bench.k->follow (bench.lane, &(NotchFollow){ &batch, { .a = 1, .c = 1e-7f } }), ==, 0);
  bench.k->peek (bench.lane, 0, NOTCH_PLANE_RES, left);
  for (int y = 40; y < SIDE - 40; y++) /* beyond the middle of the last cell a shift goes on as it is there */
    for (int x = 1; x < SIDE - 1; x++) {
      int at = y * SIDE + x;
      off2 += (double) res[at] * (double) res[at], left2 += (double) left[at] * (double) left[at];
    }
  g_test_message ("%.4f of the squares left", left2 / off2);
  g_assert_cmpfloat (left2, <, 0.05 * off2);
  bench_close (&bench);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  backend_add ("/stages/refer", (BackendTest){ .plain = test_refer });
  backend_add ("/stages/fit", (BackendTest){ .plain = test_fit });
  backend_add ("/stages/fit/nothing", (BackendTest){ .plain = test_fit_nothing });
  backend_add ("/stages/refer/bent", (BackendTest){ .plain = test_refer_bent });
  backend_add ("/stages/refer/even", (BackendTest){ .plain = test_refer_even });
  backend_add ("/stages/fit/quiet", (BackendTest){ .plain = test_fit_quiet });
  backend_add ("/stages/fit/poked", (BackendTest){ .plain = test_fit_poked });
  backend_add ("/stages/fit/pad", (BackendTest){ .plain = test_fit_pad });
  backend_add ("/stages/fit/wander", (BackendTest){ .plain = test_fit_wander });
  backend_add ("/stages/fit/overlap", (BackendTest){ .plain = test_fit_overlap });
  backend_add ("/stages/follow", (BackendTest){ .plain = test_follow });
  backend_add ("/stages/follow/turned", (BackendTest){ .plain = test_follow_turned });
  return g_test_run ();
}
