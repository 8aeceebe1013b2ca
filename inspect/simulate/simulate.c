/* simulate.c - draws a wafer and writes it down with the truth about it */
#include "inspect/image/source.h"
#include "inspect/image/write.h"
#include "inspect/simulate/number.h"
#include "inspect/simulate/scene.h"
#include "inspect/simulate/sensor.h"
#include "inspect/simulate/settings.h"

#include <string.h>

#define BAND_PIXELS 2000000 /* that a thread renders at a time */

static gboolean refuse (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

static gboolean
refuse (GError **error, const char *format, ...)
{
  va_list arguments;
  va_start (arguments, format);
  g_autofree char *text = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_set_error_literal (error, NOTCH_ERROR, NOTCH_ERROR_USAGE, text);
  return FALSE;
}

/* The size of the image once the die's size is known. */
static gboolean
resolve_size (NotchSimulation *s, const NotchLayout *layout, GError **error)
{
  s->die_width = layout->width;
  s->die_height = layout->height;
  if (s->n_cols > 0)
    s->width = s->origin_x + s->n_cols * s->die_width;
  if (s->n_rows > 0)
    s->height = s->origin_y + s->n_rows * s->die_height;
  const gint64 most = 1 << 20;
  if (s->width < 32 || s->height < 32 || s->width > most || s->height > most)
    return refuse (error, "size %" G_GINT64_FORMAT "x%" G_GINT64_FORMAT " is outside 32 to 1048576 px", s->width,
                   s->height);
  if (ABS (s->origin_x) > most || ABS (s->origin_y) > most)
    return refuse (error, "origin %" G_GINT64_FORMAT ",%" G_GINT64_FORMAT " is further than 1048576 px from the image",
                   s->origin_x, s->origin_y);
  return TRUE;
}

/* ---- images ------------------------------------------------------------------------------------------------------ */

enum { OUT_IMAGE, OUT_CLEAN, OUT_MASK, N_OUTS };

/* One of the files: what a pixel of it takes, and who writes it. */
typedef struct {
  NotchTiffWriter *writer; /* NULL: not wanted */
  gsize row;               /* bytes */
  guint8 *rows;            /* of all threads */
} Out;

/* A band of rows that one thread makes. */
typedef struct {
  const NotchScene *scene;
  gint64 y;
  int n;
  float *grey;
  guint8 *to[N_OUTS];
} Band;

/* The ids of the planted things on a band of rows; of two on one pixel, the later one's. */
static void
mark (const NotchScene *scene, gint64 y, int n, guint16 *to)
{
  gint64 width = scene->simulation->width;
  for (gint64 i = 0; i < n * width; i++)
    to[i] = 0;
  for (guint k = 0; k < scene->planted->len; k++) {
    const NotchPlanted *p = &g_array_index (scene->planted, NotchPlanted, k);
    gint64 left = MAX (p->x0, 0), right = MIN (p->x0 + p->w, width);
    for (gint64 j = MAX (p->y0, y); j < MIN (p->y0 + p->h, y + n); j++)
      for (gint64 i = left; i < right; i++)
        if (notch_planted_covers (p, (int) (i - p->x0), (int) (j - p->y0)))
          to[(j - y) * width + i] = (guint16) (k + 1);
  }
}

static NotchSimulation
clean_camera (const NotchSimulation *s)
{
  NotchSimulation camera = *s;
  if (s->clean_bits != 0)
    camera.bits = s->clean_bits;
  return camera;
}

static gpointer
make_band (gpointer data)
{
  Band *band = data;
  const NotchSimulation *s = band->scene->simulation, camera = clean_camera (s);
  gsize pixels = (gsize) s->width * (gsize) s->channels;
  gsize row = pixels * notch_sample_size (notch_sensor_sample (s->bits));
  gsize clean_row = pixels * notch_sample_size (notch_sensor_sample (camera.bits));
  notch_scene_render (band->scene, 0, band->y, (int) s->width, band->n, band->grey);
  for (int j = 0; band->to[OUT_CLEAN] && j < band->n; j++)
    notch_sensor_expose (&camera, band->grey + (gsize) j * (gsize) s->width, band->y + j, FALSE,
                         band->to[OUT_CLEAN] + (gsize) j * clean_row);
  notch_scene_add_planted (band->scene, 0, band->y, (int) s->width, band->n, band->grey);
  for (int j = 0; j < band->n; j++)
    notch_sensor_expose (s, band->grey + (gsize) j * (gsize) s->width, band->y + j, TRUE,
                         band->to[OUT_IMAGE] + (gsize) j * row);
  if (band->to[OUT_MASK])
    mark (band->scene, band->y, band->n, (guint16 *) (void *) band->to[OUT_MASK]);
  return NULL;
}

static gboolean
write_rows (const NotchScene *scene, Out out[N_OUTS], GError **error)
{
  const NotchSimulation *s = scene->simulation;
  guint n_threads = CLAMP (g_get_num_processors (), 1, 16);
  gint64 rows = CLAMP (BAND_PIXELS / s->width, 1, 64), width = s->width;
  gsize n = n_threads * (gsize) rows;
  g_autofree float *grey = g_try_malloc_n (n, (gsize) width * sizeof (float));
  gboolean enough = grey != NULL;
  for (int k = 0; k < N_OUTS; k++)
    if (out[k].writer)
      enough = (out[k].rows = g_try_malloc_n (n, out[k].row)) != NULL && enough;
  if (!enough)
    return g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_WRITE,
                        "not enough memory for %" G_GSIZE_FORMAT " rows of %" G_GINT64_FORMAT " px", n, width),
           FALSE;
  for (gint64 y = 0; y < s->height; y += (gint64) n) {
    Band band[16];
    GThread *thread[16];
    guint used = 0;
    for (; used < n_threads && y + used * rows < s->height; used++) {
      gsize first = used * (gsize) rows;
      band[used] = (Band){ .scene = scene, .y = y + used * rows, .grey = grey + first * (gsize) width };
      band[used].n = (int) MIN (rows, s->height - band[used].y);
      for (int k = 0; k < N_OUTS; k++)
        band[used].to[k] = out[k].rows ? out[k].rows + first * out[k].row : NULL;
      thread[used] = g_thread_new ("band", make_band, &band[used]);
    }
    for (guint k = 0; k < used; k++)
      g_thread_join (thread[k]);
    gint64 done = MIN ((gint64) n, s->height - y);
    for (int k = 0; k < N_OUTS; k++)
      if (out[k].writer && !notch_tiff_writer_rows (out[k].writer, out[k].rows, done, error))
        return FALSE;
  }
  return TRUE;
}

static gboolean
open_out (const NotchSimulation *s, const char *path, int bits, int channels, const char *about, gboolean deflate,
          Out *out, GError **error)
{
  const NotchTiffLayout form = { .width = s->width,
                                 .height = s->height,
                                 .sample = notch_sensor_sample (bits),
                                 .bits = bits,
                                 .pixel_um = s->pixel_um,
                                 .deflate = deflate,
                                 .description = about };
  out->row = (gsize) s->width * (gsize) channels * notch_sample_size (form.sample);
  out->writer = (channels == 3 ? notch_tiff_writer_new_rgb : notch_tiff_writer_new) (path, &form, error);
  return out->writer != NULL;
}

/* Writes all files under names aside; what is asked for is committed by the caller, the image last. */
static gboolean
write_images (const NotchScene *scene, const char *image_path, Out out[N_OUTS], GError **error)
{
  const NotchSimulation *s = scene->simulation, camera = clean_camera (s);
  g_autofree char *about = g_strdup_printf ("notch simulate, seed %" G_GUINT64_FORMAT, s->seed);
  return open_out (s, image_path, s->bits, s->channels, about, FALSE, &out[OUT_IMAGE], error)
         && (!s->clean || open_out (s, s->clean, camera.bits, s->channels, about, FALSE, &out[OUT_CLEAN], error))
         && (!s->mask || open_out (s, s->mask, 16, 1, about, TRUE, &out[OUT_MASK], error))
         && write_rows (scene, out, error);
}

/* ---- truth ------------------------------------------------------------------------------------------------------- */

/* Appends numbers with a comma before each. */
static void
append_numbers (GString *text, int decimals, const double *value, int n)
{
  for (int i = 0; i < n; i++)
    g_string_append_printf (text, ",%s", notch_number (value[i], decimals).text);
}

static gboolean
write_truth (const NotchScene *scene, const char *path, GError **error)
{
  double scale = notch_sensor_scale (scene->simulation->bits);
  g_autoptr (GString) text =
      g_string_new ("id,type,die_row,die_col,x,y,w,h,amp_sigma,snr,contrast,area_px,box_x,box_y,nuisance,group\n");
  for (guint i = 0; i < scene->planted->len; i++) {
    const NotchPlanted *p = &g_array_index (scene->planted, NotchPlanted, i);
    g_string_append_printf (text, "%u,%s,%d,%d", i + 1, p->type, p->row, p->col);
    append_numbers (text, 3, (const double[]){ p->x, p->y }, 2);
    g_string_append_printf (text, ",%d,%d", p->box_w, p->box_h);
    append_numbers (text, 3, (const double[]){ p->peak / p->sigma, p->snr, p->peak * scale }, 3);
    g_string_append_printf (text, ",%d,%" G_GINT64_FORMAT ",%" G_GINT64_FORMAT ",%d,%d\n", p->area, p->box_x, p->box_y,
                            p->nuisance, p->group);
  }
  return notch_write_file (path, text->str, (gssize) text->len, error);
}

static gboolean
write_dice (const NotchScene *scene, const char *path, GError **error)
{
  g_autoptr (GString) text =
      g_string_new ("die_col,die_row,x_px,y_px,dx,dy,gain,focus,whole,rotation_mrad,scale_ppm,cd_px\n");
  for (gint64 k = 0; k < (gint64) scene->n_cols * scene->n_rows; k++) {
    const NotchSceneDie *die = &scene->die[k];
    double x, y;
    if (!die->present)
      continue;
    notch_scene_to_image (scene, die->x, die->y, &x, &y);
    g_string_append_printf (text, "%d,%d", die->col, die->row);
    append_numbers (text, 5, (const double[]){ x, y, die->dx, die->dy, die->gain, die->blur / scene->simulation->blur },
                    6);
    g_string_append_printf (text, ",%d", die->whole);
    append_numbers (text, 5, (const double[]){ 1e3 * die->turn + 0, 1e6 * die->stretch + 0, die->grow + 0 }, 3);
    g_string_append_c (text, '\n');
  }
  return notch_write_file (path, text->str, (gssize) text->len, error);
}

/* A path as text in JSON, without its folder. */
static char *
quote (const char *path)
{
  g_autofree char *name = path ? g_path_get_basename (path) : NULL;
  g_autofree char *text = name ? g_utf8_make_valid (name, -1) : NULL;
  if (!text)
    return g_strdup ("null");
  GString *quoted = g_string_new ("\"");
  for (const char *c = text; *c; c++) {
    if (*c == '"' || *c == '\\')
      g_string_append_c (quoted, '\\');
    if ((guchar) *c < ' ')
      g_string_append_printf (quoted, "\\u%04x", (guint) *c);
    else
      g_string_append_c (quoted, *c);
  }
  return g_string_free (g_string_append_c (quoted, '"'), FALSE);
}

/* What somebody who knows the clean image must know besides: how its grey levels and the noise relate to the image's. */
static gboolean
write_facts (const NotchScene *scene, const char *image_path, const char *truth_path, GError **error)
{
  const NotchSimulation *s = scene->simulation, camera = clean_camera (s);
  const char *dot = strrchr (truth_path, '.'), *slash = strrchr (truth_path, G_DIR_SEPARATOR);
  gsize stem =
      dot && (!slash || dot > slash + 1) && dot > truth_path ? (gsize) (dot - truth_path) : strlen (truth_path);
  g_autofree char *path = g_strdup_printf ("%.*s.json", (int) stem, truth_path);
  g_autofree char *image = quote (image_path), *clean = quote (s->clean), *mask = quote (s->mask);
  g_autofree char *suite = quote (s->suite);
  guint n_nuisances = 0;
  for (guint i = 0; i < scene->planted->len; i++)
    n_nuisances += g_array_index (scene->planted, NotchPlanted, i).nuisance ? 1 : 0;
  double a, b;
  notch_sensor_noise (s, &a, &b);
  g_autoptr (GString) text = g_string_new ("{\n");
  g_string_append_printf (
      text,
      "  \"image\": {\"file\": %s, \"width\": %" G_GINT64_FORMAT ", \"height\": %" G_GINT64_FORMAT
      ", \"bits\": %d, \"channels\": %d, \"pixel_um\": %s, \"seed\": %" G_GUINT64_FORMAT ", \"suite\": %s},\n",
      image, s->width, s->height, s->bits, s->channels, notch_number (s->pixel_um, -1).text, s->seed, suite);
  g_string_append_printf (text,
                          "  \"die\": {\"width_px\": %" G_GINT64_FORMAT ", \"height_px\": %" G_GINT64_FORMAT "},\n",
                          s->die_width, s->die_height);
  if (s->clean)
    g_string_append_printf (text, "  \"clean\": {\"file\": %s, \"bits\": %d, \"scale\": %s},\n", clean, camera.bits,
                            notch_number (notch_sensor_scale (s->bits) / notch_sensor_scale (camera.bits), 9).text);
  else
    g_string_append (text, "  \"clean\": null,\n");
  g_string_append_printf (text, "  \"noise\": {\"a\": %s, \"b\": %s},\n  \"mask\": %s,\n", notch_number (a, 9).text,
                          notch_number (b, 9).text, mask);
  g_string_append_printf (text, "  \"defects\": %u, \"nuisance\": %u\n}\n", scene->planted->len - n_nuisances,
                          n_nuisances);
  return notch_write_file (path, text->str, (gssize) text->len, error);
}

static gboolean
simulate (const NotchSimulation *s, NotchLayout *layout, const char *image_path, const char *truth_path,
          const char *dice_path, Out out[N_OUTS], GError **error)
{
  g_autoptr (NotchScene) scene = notch_scene_new (s, layout, error);
  if (!scene || !notch_scene_plant (scene, error) || !write_images (scene, image_path, out, error))
    return FALSE;
  if ((truth_path && !write_truth (scene, truth_path, error)) || (dice_path && !write_dice (scene, dice_path, error)))
    return FALSE;
  if (truth_path && !notch_is_stream (truth_path) && !write_facts (scene, image_path, truth_path, error))
    return FALSE;
  for (int k = N_OUTS - 1; k >= 0; k--)
    if (out[k].writer && !notch_tiff_writer_commit (out[k].writer, error))
      return FALSE;
  return TRUE;
}

gboolean
notch_simulate (const NotchSimulation *simulation, const char *image_path, const char *truth_path,
                const char *dice_path, GError **error)
{
  if (!notch_simulation_check (simulation, error))
    return FALSE;
  NotchSimulation s = *simulation;
  g_autoptr (NotchLayout) layout = notch_layout_new (&s, error);
  if (!layout || !resolve_size (&s, layout, error))
    return FALSE;
  Out out[N_OUTS] = { 0 };
  gboolean ok = simulate (&s, layout, image_path, truth_path, dice_path, out, error);
  for (int k = 0; k < N_OUTS; k++) {
    notch_tiff_writer_free (out[k].writer);
    g_free (out[k].rows);
  }
  return ok;
}
