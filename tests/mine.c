/* mine.c - what is worth a look */
#include "inspect/classify/mine.h"

#include <math.h>

static void
test_worth (void)
{
  static const float sure[] = { 0, 1, 0 }, torn[] = { 0.45f, 0.1f, 0.45f }, leaning[] = { 0.3f, 0.2f, 0.5f };
  g_assert_cmpfloat_with_epsilon (notch_mine_worth (sure, 3, 1), 0, 1e-6);
  g_assert_cmpfloat_with_epsilon (notch_mine_worth (torn, 3, 0.5), 0.5, 1e-6);
  g_assert_cmpfloat_with_epsilon (notch_mine_worth (leaning, 3, 1), 0.8, 1e-6);
  static const double distance[] = { 3, 1, 1, 7 };
  double rarity[4];
  notch_mine_rarity (distance, 4, rarity);
  g_assert_cmpfloat (rarity[0], ==, 0.75);
  g_assert_cmpfloat (rarity[1], ==, 0.25);
  g_assert_cmpfloat (rarity[2], ==, 0.25);
  g_assert_cmpfloat (rarity[3], ==, 1);
}

#define chosen_at(array, i) g_array_index (array, gsize, i)

/* Twins of the best one wait behind what is worth half of it but lies elsewhere. */
static void
test_diverse (void)
{
  static const double place[] = { 0, 0, 0, 0.1, 10, 0, 0, 10 }, worth[] = { 1, 0.9, 0.4, 0.5 };
  g_autoptr (GArray) three = notch_mine (worth, place, 4, 2, 3);
  g_assert_cmpuint (three->len, ==, 3);
  g_assert_cmpuint (chosen_at (three, 0), ==, 0);
  g_assert_cmpuint (chosen_at (three, 1), ==, 3);
  g_assert_cmpuint (chosen_at (three, 2), ==, 2);
  g_autoptr (GArray) all = notch_mine (worth, place, 4, 2, 9);
  g_assert_cmpuint (all->len, ==, 4);
  g_assert_cmpuint (chosen_at (all, 3), ==, 1);
}

static void
test_worthless (void)
{
  static const double place[] = { 1, 1, 2, 5 }, worth[] = { 1, 1, 1, 0 };
  g_autoptr (GArray) chosen =
      notch_mine (worth, place, 4, 1, 4); /* the second lies on the first, the last is worth nothing */
  g_assert_cmpuint (chosen->len, ==, 2);
  g_assert_cmpuint (chosen_at (chosen, 1), ==, 2);
  g_autoptr (GArray) none = notch_mine (worth, place, 0, 1, 4);
  g_assert_cmpuint (none->len, ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/mine/worth", test_worth);
  g_test_add_func ("/mine/diverse", test_diverse);
  g_test_add_func ("/mine/worthless", test_worthless);
  return g_test_run ();
}
