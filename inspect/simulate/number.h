/* number.h - numbers as text that no locale changes */
#pragma once

#include <glib.h>

typedef struct {
  char text[G_ASCII_DTOSTR_BUF_SIZE];
} NotchNumber;

/* With 0 to 9 decimals; -1: as short as six digits can be. Use as notch_number (value, 2).text in a call. */
static inline NotchNumber
notch_number (double value, int decimals)
{
  const char fixed[] = { '%', '.', (char) ('0' + decimals), 'f', 0 }, brief[] = { '%', 'g', 0 };
  NotchNumber number;
  g_ascii_formatd (number.text, sizeof number.text, decimals < 0 ? brief : fixed, value);
  return number;
}
