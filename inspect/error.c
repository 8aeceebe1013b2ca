/* error.c - the error domain, and which versions are in use */
#include "config.h"

#include "inspect/classify/boost.h"

#include <cairo.h>
#include <json-glib/json-glib.h>
#include <pango/pango.h>
#include <png.h>
#include <string.h>
#include <tiffio.h>
#include <zlib.h>

#include "kernels/cpu/fft.h"

G_DEFINE_QUARK (notch_error_quark, notch_error)

const char *
notch_version (void)
{
  return PACKAGE_VERSION;
}

char *
notch_version_long (void)
{
  g_autofree char *devices = notch_devices_describe ();
  g_autofree char *boost = notch_boost_library ();
  g_autoptr (GString) text = g_string_new (NULL);
  g_autofree char *tiff_line = g_strndup (TIFFGetVersion (), strcspn (TIFFGetVersion (), "\n"));
  const char *tiff = strrchr (tiff_line, ' '); /* "LIBTIFF, Version 4.5.0", then a line of copyright */
  g_string_append_printf (text, "notch %s\n%s", PACKAGE_VERSION, devices);
  if (text->str[text->len - 1] != '\n')
    g_string_append_c (text, '\n');
  g_string_append_printf (
      text, "glib %u.%u.%u, libtiff %s, libpng %s, zlib %s, cairo %s, pango %s, json-glib %d.%d.%d\n%s, %s\n",
      glib_major_version, glib_minor_version, glib_micro_version, tiff ? tiff + 1 : tiff_line,
      png_get_libpng_ver (NULL), zlibVersion (), cairo_version_string (), pango_version_string (), JSON_MAJOR_VERSION,
      JSON_MINOR_VERSION, JSON_MICRO_VERSION, notch_fft_library (), boost ? boost : "no XGBoost");
  return g_string_free (g_steal_pointer (&text), FALSE);
}
