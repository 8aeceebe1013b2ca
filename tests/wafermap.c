/* wafermap.c - draws a wafer bin map as an image: wafermap IMAGE.tif FAILS.txt, the map's digits on standard input
 *
 * 26 x 26 digits, row by row: 0 no die, 1 pass, 2 fail. Every die, and the place of none, is 32 x 32 px of one pattern with
 * a little noise; a failing die has a bright spot besides, each at another place. FAILS.txt gets "col row" of each failing die. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "inspect/image/write.h"

enum { DICE = 26, SIDE = 32 };

int
main (int argc, char **argv)
{
  char map[DICE * DICE + 2] = "";
  g_autoptr (GError) error = NULL;
  if (argc != 3 || !fgets (map, sizeof map, stdin) || strlen (g_strchomp (map)) != DICE * DICE)
    return 2;
  const int width = DICE * SIDE;
  const NotchTiffLayout layout = { .width = width, .height = width, .sample = NOTCH_SAMPLE_U8, .bits = 8 };
  g_autoptr (NotchTiffWriter) writer = notch_tiff_writer_new (argv[1], &layout, &error);
  g_autoptr (GString) fails = g_string_new (NULL);
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  g_autofree guint8 *row = g_new (guint8, width);
  for (int y = 0; writer && y < width; y++) {
    for (int x = 0; x < width; x++) {
      int u = x % SIDE, v = y % SIDE;
      double value = u < 3 || v < 3 ? 40 : 90 + 25 * sin (u * 0.55) * cos (v * 0.4) + 15 * sin (u * 0.2 + v * 0.9);
      int die = y / SIDE * DICE + x / SIDE, du = u - 8 - die * 7 % 17, dv = v - 8 - die * 11 % 19;
      if (map[die] == '2') /* not at one place in all dice, or the neighbours' median would show it too */
        value += 60 * exp (-(du * du + dv * dv) / 4.0);
      for (int k = 0; k < 4; k++) /* the sum of four is near enough a Gaussian of sigma 1.7 */
        value += g_rand_double_range (rand, -1.5, 1.5);
      row[x] = (guint8) CLAMP (value + 0.5, 0, 255);
    }
    if (!notch_tiff_writer_rows (writer, row, 1, &error))
      return 2;
  }
  for (int i = 0; i < DICE * DICE; i++)
    if (map[i] == '2')
      g_string_append_printf (fails, "%d %d\n", i % DICE, i / DICE);
  return writer && notch_tiff_writer_commit (writer, &error)
                 && notch_write_file (argv[2], fails->str, (gssize) fails->len, &error)
             ? 0
             : 2;
}
