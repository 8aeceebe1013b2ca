/* near.c - which points are near a place, against asking each of them */
#include "inspect/near.h"
#include "inspect/random.h"

static gint
compare_indices (gconstpointer a, gconstpointer b)
{
  guint i = *(const guint *) a, k = *(const guint *) b;
  return (i > k) - (i < k);
}

/* Asks for what is at most r from (x, y), and sees whether that is so. Gives how many there are. */
static guint
ask (const NotchNear *near, const NotchPoint *point, guint n, double x, double y, double r)
{
  g_autoptr (GArray) found = g_array_new (FALSE, FALSE, sizeof (guint));
  notch_near_find (near, x, y, r, found);
  g_array_sort (found, compare_indices);
  guint k = 0;
  for (guint i = 0; i < n; i++) {
    double dx = point[i].x - x, dy = point[i].y - y;
    if (dx * dx + dy * dy > r * r)
      continue;
    g_assert_cmpuint (k, <, found->len);
    g_assert_cmpuint (g_array_index (found, guint, k++), ==, i);
  }
  g_assert_cmpuint (k, ==, found->len);
  return k;
}

/* Points over an area, asked for at points and anywhere, outside too. Gives how many were found in all. */
static guint64
sweep (guint n, double wide, double high, double reach)
{
  NotchRandom random = notch_random_at (n, NOTCH_STREAM_CHANCE, 0, 0);
  g_autofree NotchPoint *point = g_new (NotchPoint, n);
  for (guint i = 0; i < n; i++)
    point[i] = (NotchPoint){ wide * notch_random_unit (&random) - 5, high * notch_random_unit (&random) + 1e6 };
  g_autoptr (NotchNear) near = notch_near_new (point, n, reach);
  guint64 sum = 0;
  for (guint i = 0; i < n; i++)
    sum += ask (near, point, n, point[i].x, point[i].y, i % 2 ? reach : reach / 3);
  for (int i = 0; i < 200; i++)
    sum += ask (near, point, n, (3 * notch_random_unit (&random) - 1) * wide - 5,
                (3 * notch_random_unit (&random) - 1) * high + 1e6, reach);
  return sum;
}

static void
test_area (void)
{
  g_assert_cmpuint (sweep (700, 1000, 800, 40), >, 700);
  g_assert_cmpuint (sweep (700, 1000, 800, 0.5), >=, 700);
  g_assert_cmpuint (sweep (300, 1000, 800, 5000), >, 300 * 300 / 2); /* all are near */
}

static void
test_line (void)
{
  g_assert_cmpuint (sweep (500, 1e7, 0, 1e4), >, 500);
  g_assert_cmpuint (sweep (500, 0, 1e7, 1e4), >, 500);
}

static void
test_few (void)
{
  g_assert_cmpuint (sweep (200, 0, 0, 0), >, 200 * 100); /* at one place: whoever asks there gets all */
  g_assert_cmpuint (sweep (1, 10, 10, 1), >=, 1);
  g_assert_cmpuint (sweep (0, 10, 10, 1), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/near/area", test_area);
  g_test_add_func ("/near/line", test_line);
  g_test_add_func ("/near/few", test_few);
  return g_test_run ();
}
