/* error.c - the error domain, and which versions are in use */
#include "config.h"

#include "inspect/notch.h"

G_DEFINE_QUARK (notch - error - quark, notch_error)

const char *
notch_version (void)
{
  return PACKAGE_VERSION;
}

char *
notch_version_long (void)
{
  return g_strdup_printf ("notch %s\n", PACKAGE_VERSION);
}
