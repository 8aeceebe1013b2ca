/* patches.c - patches.tif: test and reference around every defect, in grey levels as they were compared
 *
 * Two pages, test and reference, of side x (n side) px: a patch a row of defects.csv, from top to bottom, as floats; what
 * is no number is not known. */
#include <glib/gstdio.h>
#include <math.h>

#include "inspect/image/write.h"
#include "inspect/report/report.h"

static gboolean
write_page (NotchTiffWriter *writer, const NotchResult *result, gsize plane, const float *nothing, GError **error)
{
  const gsize area = (gsize) result->patch_side * (gsize) result->patch_side;
  for (guint i = 0; i < notch_n_defects (result); i++) {
    const float *patch = notch_defect (result, i)->patch;
    if (!notch_tiff_writer_rows (writer, patch ? patch + plane * area : nothing, result->patch_side, error))
      return FALSE;
  }
  return TRUE;
}

gboolean
notch_report_patches (const NotchReportJob *job, GError **error)
{
  const NotchResult *result = job->result;
  const gint64 side = result->patch_side, n = notch_n_defects (result);
  g_autofree char *path = g_build_filename (job->folder, "patches.tif", NULL);
  if (n == 0) { /* an image has at least one row; what an earlier run left is of other defects */
    g_unlink (path);
    return TRUE;
  }
  g_autofree float *nothing = g_new (float, side *side);
  for (gint64 i = 0; i < side * side; i++)
    nothing[i] = NAN;
  const NotchTiffLayout layout = { .width = side,
                                   .height = side * n,
                                   .sample = NOTCH_SAMPLE_F32,
                                   .bits = 32,
                                   .pixel_um = result->pixel_um,
                                   .deflate = TRUE,
                                   .pages = 2 };
  g_autoptr (NotchTiffWriter) writer = notch_tiff_writer_new (path, &layout, error);
  return writer && write_page (writer, result, 0, nothing, error) && notch_tiff_writer_next_page (writer, error)
         && write_page (writer, result, 1, nothing, error) && notch_tiff_writer_commit (writer, error);
}
