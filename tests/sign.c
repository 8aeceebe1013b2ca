/* sign.c - clusters, repeaters and linked scratches that were planted, and none where chance alone was at work */
#include "inspect/sign/cluster.h"
#include "inspect/sign/repeat.h"
#include "inspect/sign/scratch.h"

#include <math.h>

#include "kernels/math/blob.h"

/* ---- clusters -------------------------------------------------------------------------------------------------- */

/* A round wafer in a square image. */
static gboolean
on_wafer (gconstpointer data, double x, double y)
{
  double side = *(const double *) data;
  return hypot (x - side / 2, y - side / 2) < side * 0.45;
}

static double side = 5000;
static const NotchField wafer = { 5000, 5000, on_wafer, &side };

static void
throw_points (GRand *rand, NotchPoint *point, guint n)
{
  for (guint i = 0; i < n; i++)
    do
      point[i] = (NotchPoint){ g_rand_double_range (rand, 0, side), g_rand_double_range (rand, 0, side) };
    while (!on_wafer (&side, point[i].x, point[i].y));
}

static void
test_no_cluster (void)
{
  const guint sizes[] = { 10, 40, 150 };
  for (guint s = 0; s < G_N_ELEMENTS (sizes); s++) {
    int with = 0;
    for (guint seed = 0; seed < 200; seed++) {
      g_autoptr (GRand) rand = g_rand_new_with_seed (1000 * s + seed);
      g_autofree NotchPoint *point = g_new (NotchPoint, sizes[s]);
      g_autofree int *number = g_new (int, sizes[s]);
      throw_points (rand, point, sizes[s]);
      g_autoptr (GArray) p = notch_cluster_find (point, sizes[s], &wafer, 0, number);
      with += p->len > 0;
    }
    g_test_message ("%u points: %d of 200 wafers have a cluster", sizes[s], with);
    g_assert_cmpint (with, <=, 14); /* 5 %, and two sigmas more */
  }
}

static void
test_cluster (void)
{
  const guint n = 60, members = 9;
  int found = 0, missed = 0, strangers = 0;
  for (guint seed = 0; seed < 50; seed++) {
    g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
    NotchPoint point[60];
    int number[60];
    throw_points (rand, point, n);
    double x = g_rand_double_range (rand, 1500, 3500), y = g_rand_double_range (rand, 1500, 3500);
    for (guint i = 20; i < 20 + members; i++)
      point[i] = (NotchPoint){ x + g_rand_double_range (rand, -60, 60), y + g_rand_double_range (rand, -60, 60) };
    g_autoptr (GArray) p = notch_cluster_find (point, n, &wafer, 0, number);
    found += number[20] > 0;
    for (guint i = 0; i < n && number[20]; i++) {
      if (i >= 20 && i < 20 + members)
        missed += number[i] != number[20];
      else
        strangers += number[i] == number[20];
    }
    for (guint i = 0; i < n; i++) {
      g_assert_cmpint (number[i], <=, (int) p->len);
      if (number[i])
        g_assert_cmpfloat (g_array_index (p, double, number[i] - 1), <=, 0.05);
    }
  }
  g_assert_cmpint (found, ==, 50);
  g_assert_cmpint (missed, ==, 0);
  g_assert_cmpint (strangers, <=, 75); /* one or two lie next door by chance */
}

/* The slow and obvious way to a group: what is linked to the first point by steps within reach from points with three
 * others within reach. */
static void
test_cluster_reach (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (5);
  NotchPoint point[80];
  int number[80];
  gboolean member[80] = { FALSE };
  throw_points (rand, point, 80);
  for (int i = 0; i < 12; i++) /* a chain, 40 px a step */
    point[i] = (NotchPoint){ 2000 + 40 * i, 2500 };
  g_autoptr (GArray) p = notch_cluster_find (point, 80, &wafer, 100, number);
  g_assert_cmpuint (p->len, ==, 1);
  member[5] = TRUE;
  for (gboolean more = TRUE; more;) {
    more = FALSE;
    for (int i = 0; i < 80; i++) {
      int others = 0;
      for (int k = 0; k < 80; k++)
        others += hypot (point[i].x - point[k].x, point[i].y - point[k].y) <= 100;
      for (int k = 0; k < 80 && member[i] && others >= 4; k++)
        if (!member[k] && hypot (point[i].x - point[k].x, point[i].y - point[k].y) <= 100)
          member[k] = more = TRUE;
    }
  }
  for (int i = 0; i < 80; i++)
    g_assert_cmpint (number[i] > 0, ==, member[i]);
}

/* ---- repeaters ------------------------------------------------------------------------------------------------- */

typedef struct {
  NotchGrid *grid;
  GArray *place;
  GRand *rand;
} Dice;

static gboolean
is_whole (gconstpointer data, const NotchDie *die)
{
  return data == NULL && die->kind == NOTCH_DIE_WHOLE;
}

static Dice
dice_new (int cols, int rows, guint seed)
{
  Dice dice = { g_new0 (NotchGrid, 1), g_array_new (FALSE, FALSE, sizeof (NotchPlace)), g_rand_new_with_seed (seed) };
  *dice.grid = (NotchGrid){ .ax = 400, .by = 300, .n_cols = cols, .n_rows = rows, .first_col = -2, .first_row = -1 };
  dice.grid->die = g_array_new (FALSE, TRUE, sizeof (NotchDie));
  for (int i = 0; i < cols * rows; i++) {
    NotchDie die = { .col = i % cols - 2, .row = i / cols - 1 };
    g_array_append_val (dice.grid->die, die);
  }
  return dice;
}

static void
dice_clear (Dice *dice)
{
  notch_grid_free (dice->grid);
  g_array_unref (dice->place);
  g_rand_free (dice->rand);
}

static void
add_place (Dice *dice, guint die, double x, double y, double peak, gboolean bright)
{
  NotchPlace place = { &g_array_index (dice->grid->die, NotchDie, die), x, y, 2, peak, bright };
  g_array_append_val (dice->place, place);
}

static void
add_strangers (Dice *dice, int n)
{
  for (int i = 0; i < n; i++)
    add_place (dice, (guint) g_rand_int_range (dice->rand, 0, (int) dice->grid->die->len),
               g_rand_double_range (dice->rand, 0, 400), g_rand_double_range (dice->rand, 0, 300), 10,
               g_rand_boolean (dice->rand));
}

static GArray *
find_repeaters (Dice *dice, int **number, int *cols, int *rows)
{
  *number = g_new (int, dice->place->len);
  return notch_repeat_find ((const NotchPlace *) dice->place->data, dice->place->len, dice->grid, is_whole, NULL,
                            *number, cols, rows);
}

static void
test_no_repeater (void)
{
  for (guint seed = 0; seed < 200; seed++) {
    int cols, rows;
    g_autofree int *number = NULL;
    Dice dice = dice_new (12, 10, seed);
    add_strangers (&dice, seed % 2 ? 60 : 400);
    g_autoptr (GArray) groups = find_repeaters (&dice, &number, &cols, &rows);
    g_assert_cmpuint (groups->len, ==, 0);
    g_assert_cmpint (cols + rows, ==, 0);
    dice_clear (&dice);
  }
}

/* Two places in one die of every field, seen in four of five dice. */
static void
test_repeater (void)
{
  for (int field_cols = 1; field_cols <= 4; field_cols++)
    for (int field_rows = 1; field_rows <= 3; field_rows++) {
      int cols, rows, n = 0, hit = 0;
      g_autofree int *number = NULL;
      Dice dice = dice_new (13, 11, (guint) (10 * field_cols + field_rows));
      add_strangers (&dice, 80);
      for (guint d = 0; d < dice.grid->die->len; d++) {
        int col = (int) d % 13, row = (int) d / 13;
        if (col % field_cols != field_cols - 1 || row % field_rows != 0 || g_rand_int_range (dice.rand, 0, 5) == 0)
          continue;
        for (int k = 0; k < 2; k++)
          add_place (&dice, d, 100 + 150 * k + g_rand_double_range (dice.rand, -0.7, 0.7),
                     80 + g_rand_double_range (dice.rand, -0.7, 0.7), 8, k);
        n++;
      }
      g_autoptr (GArray) groups = find_repeaters (&dice, &number, &cols, &rows);
      g_assert_cmpuint (groups->len, ==, 2);
      g_assert_cmpint (cols, ==, field_cols);
      g_assert_cmpint (rows, ==, field_rows);
      for (guint i = 80; i < dice.place->len; i++)
        hit += number[i] > 0;
      g_assert_cmpint (hit, ==, 2 * n);
      for (guint k = 0; k < 2; k++) {
        const NotchRepeat *repeat = &g_array_index (groups, NotchRepeat, k);
        g_assert_cmpint (repeat->col, ==, field_cols - 1);
        g_assert_cmpint (repeat->row, ==, 0);
        g_assert_cmpfloat (fabs (repeat->y - 80), <, 0.6);
        g_assert_cmpfloat (repeat->p, <, 1e-9);
      }
      dice_clear (&dice);
    }
}

/* Ghosts of one strong defect in the dice around it are no repeater. */
static void
test_ghosts (void)
{
  int cols, rows;
  g_autofree int *number = NULL;
  Dice dice = dice_new (12, 10, 3);
  add_place (&dice, 50, 200, 150, 60, TRUE);
  for (guint d = 48; d <= 52; d++)
    if (d != 50)
      add_place (&dice, d, 200.3, 150.2, 8, FALSE);
  g_autoptr (GArray) groups = find_repeaters (&dice, &number, &cols, &rows);
  g_assert_cmpuint (groups->len, ==, 0);
  dice_clear (&dice);
}

/* ---- scratches ------------------------------------------------------------------------------------------------- */

static const NotchChannel channels[] = { { NOTCH_CHANNEL_BLOB, 0.8f, 0, 0, 1, 1 },
                                         { NOTCH_CHANNEL_LINE, 1.3f, 10, 0, 2, 1 },
                                         { NOTCH_CHANNEL_LINE, 1.3f, 10, (float) G_PI_2, 2, 1 } };
static const NotchFeatureContext context = { .frame = { .pixel_um = 0.5, .cos = 1 },
                                             .channel = channels,
                                             .n_channels = G_N_ELEMENTS (channels) };
enum { FIELD = 3000 }; /* px */

/* A piece of a line of `length` px around (x, y). */
static void
add_piece (GArray *blobs, double x, double y, double length, double angle, double peak, int channel, int sign)
{
  NotchBlob blob;
  NotchJoined joined;
  int last_u = G_MAXINT, last_v = 0;
  notch_blob_clear (&blob);
  for (double s = -length / 2; s <= length / 2; s += 0.25) {
    NotchBlobPixel pixel = { .x = (int) round (s * cos (angle)) + 100,
                             .y = (int) round (s * sin (angle)) + 100,
                             .fine = 5,
                             .res = (float) (20 * sign),
                             .z = 5,
                             .seed = peak > 6 };
    if (pixel.x == last_u && pixel.y == last_v)
      continue;
    last_u = pixel.x, last_v = pixel.y;
    notch_blob_add (&blob, &pixel);
    notch_blob_peak (&blob, pixel.x, pixel.y, (float) peak, channel, false);
  }
  notch_joined_init (&joined, &blob, (gint64) round (x) - 100, (gint64) round (y) - 100);
  g_array_append_val (blobs, joined);
}

static GArray *
blobs_new (void)
{
  GArray *blobs = g_array_new (FALSE, FALSE, sizeof (NotchJoined));
  g_array_set_clear_func (blobs, (GDestroyNotify) notch_joined_clear);
  return blobs;
}

static double
anywhere (GRand *rand)
{
  return g_rand_double_range (rand, 200, FIELD - 200);
}

/* Noise as candidates: line filters of any direction answer, peaks fall off as those of a Gaussian field. */
static void
add_noise (GArray *candidates, GRand *rand, int n)
{
  for (int i = 0; i < n; i++) {
    double peak = sqrt (16 - 2 * log (1 - g_rand_double (rand)));
    int channel = g_rand_int_range (rand, 0, 3);
    double angle = channel ? channels[channel].angle : 0;
    add_piece (candidates, anywhere (rand), anywhere (rand), channel ? 4 : 1, angle, peak, channel,
               g_rand_boolean (rand) ? 1 : -1);
  }
}

/* An arc in pieces with gaps among dirt: one defect, as long as the arc, and the dirt stays, but for 0.3 links an image that
 * chance may make. */
static void
test_scratch (void)
{
  int taken = 0;
  for (guint seed = 0; seed < 20; seed++) {
    g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
    g_autoptr (GArray) blobs = blobs_new ();
    const int dirt = 60, pieces = 6;
    gint64 n_px = 0;
    int linked = 0;
    double heading = g_rand_double_range (rand, 0, G_PI), x = anywhere (rand), y = anywhere (rand);
    double bend = g_rand_double_range (rand, -0.12, 0.12);
    for (int i = 0; i < dirt; i++)
      add_piece (blobs, anywhere (rand), anywhere (rand), 2, 0, 12, 0, g_rand_boolean (rand) ? 1 : -1);
    for (int i = 0; i < pieces; i++) {
      add_piece (blobs, x, y, 16, heading, 9, 0, -1);
      n_px += g_array_index (blobs, NotchJoined, blobs->len - 1).n;
      x += 26 * cos (heading + bend / 2), y += 26 * sin (heading + bend / 2);
      heading += bend;
    }
    notch_scratch_link (blobs, NULL, &context, (double) FIELD * FIELD, 0, G_MAXDOUBLE);
    g_assert_cmpuint (blobs->len, <=, dirt + 1);
    taken += (int) (dirt + 1 - blobs->len);
    if (blobs->len <= dirt)
      continue;
    for (guint i = 0; i < blobs->len; i++) {
      const NotchJoined *blob = &g_array_index (blobs, NotchJoined, i);
      double value[NOTCH_N_FEATURES];
      notch_features_measure (blob, &context, value);
      if (!blob->linked.parts) {
        g_assert_cmpfloat (value[NOTCH_FEATURE_PARTS], ==, 1);
        continue;
      }
      linked++;
      g_assert_cmpint (blob->n, ==, n_px);
      g_assert_cmpfloat (value[NOTCH_FEATURE_PARTS], ==, pieces);
      g_assert_cmpfloat (value[NOTCH_FEATURE_ELONGATION], >, 4);
      g_assert_cmpfloat (fabs (value[NOTCH_FEATURE_LENGTH_UM] - 0.5 * (5 * 26 + 16)), <, 4);
    }
    g_assert_cmpint (linked, ==, 1);
  }
  g_test_message ("%d specks linked on 20 wafers", taken);
  g_assert_cmpint (taken, <=, 6);
}

/* Two pieces in line, 16 px long and 26 px apart: a scratch that fades between them if they are faint themselves, two defects
 * if they are so strong that what is between would have been seen, or one of them is much stronger. Of long ones each is a
 * scratch, and what is between may not have been inspected. */
static void
test_strong_pieces (void)
{
  static const struct {
    double length, peak, other, apart;
    guint left;
  } pieces[] = { { 16, 9, 9, 42, 1 },  { 16, 18, 18, 42, 2 }, { 16, 18, 18, 22, 1 },
                 { 16, 18, 8, 42, 1 }, { 16, 30, 8, 42, 2 },  { 60, 18, 18, 86, 1 } };
  for (gsize i = 0; i < G_N_ELEMENTS (pieces); i++) {
    g_autoptr (GArray) blobs = blobs_new ();
    add_piece (blobs, 700, 900, pieces[i].length, 0.4, pieces[i].peak, 0, -1);
    add_piece (blobs, 700 + pieces[i].apart * cos (0.4), 900 + pieces[i].apart * sin (0.4), pieces[i].length, 0.4,
               pieces[i].other, 0, -1);
    notch_scratch_link (blobs, NULL, &context, (double) FIELD * FIELD, 0, G_MAXDOUBLE);
    g_assert_cmpuint (blobs->len, ==, pieces[i].left);
  }
}

/* Pieces that lie side by side, or of two signs, or turned, are not one scratch. */
static void
test_no_scratch (void)
{
  const struct {
    double dx, dy, turn;
    int sign;
  } other[] = { { 0, 12, 0, 1 }, { 30, 0, 0, -1 }, { 30, 0, 0.7, 1 }, { 30, 25, 0, 1 }, { 140, 0, 0, 1 } };
  for (guint i = 0; i < G_N_ELEMENTS (other); i++) {
    g_autoptr (GArray) blobs = blobs_new ();
    add_piece (blobs, 1000, 1000, 20, 0, 9, 0, 1);
    add_piece (blobs, 1000 + other[i].dx, 1000 + other[i].dy, 20, other[i].turn, 9, 0, other[i].sign);
    notch_scratch_link (blobs, NULL, &context, (double) FIELD * FIELD, 0, G_MAXDOUBLE);
    g_assert_cmpuint (blobs->len, ==, 2);
  }
}

/* Two pieces far apart in line, as a faint scratch leaves them; whatever the few pixels of the smaller one look like, the
 * filter that found it has its direction. */
static void
test_gap (void)
{
  int linked = 0;
  for (guint seed = 0; seed < 20; seed++) {
    g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
    g_autoptr (GArray) blobs = blobs_new ();
    const int dirt = 80;
    double x = anywhere (rand), y = anywhere (rand);
    for (int i = 0; i < dirt; i++)
      add_piece (blobs, anywhere (rand), anywhere (rand), 2, 0, 12, 0, g_rand_boolean (rand) ? 1 : -1);
    add_piece (blobs, x, y, 40, 0, 9, 1, 1);
    add_piece (blobs, x + 60, y + 2, 7, 0.8, 7, 1, 1);
    notch_scratch_link (blobs, NULL, &context, (double) FIELD * FIELD, 0, G_MAXDOUBLE);
    linked += blobs->len == (guint) dirt + 1;
  }
  g_test_message ("%d of 20", linked);
  g_assert_cmpint (linked, >=, 18);
}

/* Dirt alone is linked no more often than is allowed, 0.3 times an image. */
static void
test_dirt (void)
{
  int linked = 0;
  for (guint seed = 0; seed < 100; seed++) {
    g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
    g_autoptr (GArray) blobs = blobs_new ();
    for (int i = 0; i < 100; i++)
      add_piece (blobs, anywhere (rand), anywhere (rand), g_rand_double_range (rand, 1, 8),
                 g_rand_double_range (rand, 0, G_PI), 12, 0, g_rand_boolean (rand) ? 1 : -1);
    notch_scratch_link (blobs, NULL, &context, (double) FIELD * FIELD, 0, G_MAXDOUBLE);
    linked += (int) (100 - blobs->len);
  }
  g_test_message ("%d links on 100 wafers", linked);
  g_assert_cmpint (linked, <=, 30);
}

/* Noise is not promoted more often than was allowed; a faint line in it is. */
static void
test_promotion (void)
{
  int by_chance = 0, found = 0;
  for (guint seed = 0; seed < 60; seed++) {
    g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
    g_autoptr (GArray) blobs = blobs_new (), candidates = blobs_new ();
    add_noise (candidates, rand, 1000);
    notch_scratch_link (blobs, candidates, &context, (double) FIELD * FIELD, 0.01, G_MAXDOUBLE);
    by_chance += (int) blobs->len;
    g_array_set_size (blobs, 0);
    g_array_set_size (candidates, 0);
    add_noise (candidates, rand, 1000);
    double x = anywhere (rand), y = anywhere (rand);
    for (int i = 0; i < 6; i++)
      add_piece (candidates, x + 26 * i, y + g_rand_double_range (rand, -1, 1), 5, 0, 5, 1, 1);
    notch_scratch_link (blobs, candidates, &context, (double) FIELD * FIELD, 0.01, G_MAXDOUBLE);
    for (guint i = 0; i < blobs->len; i++)
      found += g_array_index (blobs, NotchJoined, i).linked.parts >= 5;
  }
  g_test_message ("by chance %d of 60, found %d of 60", by_chance, found);
  g_assert_cmpint (by_chance, <=, 3);
  g_assert_cmpint (found, >=, 54);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/sign/cluster/none", test_no_cluster);
  g_test_add_func ("/sign/cluster/planted", test_cluster);
  g_test_add_func ("/sign/cluster/reach", test_cluster_reach);
  g_test_add_func ("/sign/repeat/none", test_no_repeater);
  g_test_add_func ("/sign/repeat/planted", test_repeater);
  g_test_add_func ("/sign/repeat/ghosts", test_ghosts);
  g_test_add_func ("/sign/scratch/pieces", test_scratch);
  g_test_add_func ("/sign/scratch/none", test_no_scratch);
  g_test_add_func ("/sign/scratch/strong", test_strong_pieces);
  g_test_add_func ("/sign/scratch/gap", test_gap);
  g_test_add_func ("/sign/scratch/dirt", test_dirt);
  g_test_add_func ("/sign/scratch/promotion", test_promotion);
  return g_test_run ();
}
