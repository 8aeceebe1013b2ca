/* text.c - see text.h */
#include "inspect/text.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

char *
notch_text_load (const char *path, const char *wanted, GError **error)
{
  g_autofree char *text = NULL;
  gsize n = 0;
  if (!*path)
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "an empty file name; name %s", wanted);
  else if (g_file_test (path, G_FILE_TEST_IS_DIR))
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: is a folder; name %s", path, wanted);
  else if (g_access (path, R_OK) != 0)
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: cannot be read (%s); check the name and its permissions",
                 path, g_strerror (errno));
  else if (!g_file_get_contents (path, &text, &n, NULL))
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: cannot be read to its end; check the disk it is on", path);
  else if (memchr (text, 0, n))
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: is not text; name %s", path, wanted);
  else
    return g_steal_pointer (&text);
  return NULL;
}
