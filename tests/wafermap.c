/* wafermap.c - draws a wafer bin map as an image: wafermap IMAGE.tif FAILS.txt, a line of digits a row on standard input
 *
 * 0 no die, 1 pass, 2 fail; all lines are of one length. Every die, and the place of none, is 32 x 32 px of one pattern with
 * a little noise; a failing die has a bright spot besides, each at another place. FAILS.txt gets "col row" of each failing
 * die. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "inspect/image/write.h"

enum { SIDE = 32, MOST = 1000 };

int
main (int argc, char **argv)
{
  char line[MOST + 2] = "";
  g_autoptr (GError) error = NULL;
  g_autoptr (GString) map = g_string_new (NULL);
  int n_cols = 0, n_rows = 0;
  while (argc == 3 && n_rows < MOST && fgets (line, sizeof line, stdin)) {
    int length = (int) strlen (g_strchomp (line));
    if (length == 0 || (n_rows > 0 && length != n_cols))
      return 2;
    n_cols = length, n_rows++;
    g_string_append (map, line);
  }
  if (n_rows == 0)
    return 2;
  const int width = n_cols * SIDE, height = n_rows * SIDE;
  const NotchTiffLayout layout = { .width = width, .height = height, .sample = NOTCH_SAMPLE_U8, .bits = 8 };
  g_autoptr (NotchTiffWriter) writer = notch_tiff_writer_new (argv[1], &layout, &error);
  g_autoptr (GString) fails = g_string_new (NULL);
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  g_autofree guint8 *row = g_new (guint8, width);
  for (int y = 0; writer && y < height; y++) {
    for (int x = 0; x < width; x++) {
      int u = x % SIDE, v = y % SIDE;
      double value = u < 3 || v < 3 ? 40 : 90 + 25 * sin (u * 0.55) * cos (v * 0.4) + 15 * sin (u * 0.2 + v * 0.9);
      int die = y / SIDE * n_cols + x / SIDE, du = u - 8 - die * 7 % 17, dv = v - 8 - die * 11 % 19;
      if (map->str[die] == '2') /* not at one place in all dice, or the neighbours' median would show it too */
        value += 60 * exp (-(du * du + dv * dv) / 4.0);
      for (int k = 0; k < 4; k++) /* the sum of four is near enough a Gaussian of sigma 1.7 */
        value += g_rand_double_range (rand, -1.5, 1.5);
      row[x] = (guint8) CLAMP (value + 0.5, 0, 255);
    }
    if (!notch_tiff_writer_rows (writer, row, 1, &error))
      return 2;
  }
  for (int i = 0; i < n_cols * n_rows; i++)
    if (map->str[i] == '2')
      g_string_append_printf (fails, "%d %d\n", i % n_cols, i / n_cols);
  return writer && notch_tiff_writer_commit (writer, &error)
                 && notch_write_file (argv[2], fails->str, (gssize) fails->len, &error)
             ? 0
             : 2;
}
