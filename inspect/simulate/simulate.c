/* simulate.c - draws a wafer and writes it down with the truth about it */
#include "inspect/image/source.h"
#include "inspect/image/write.h"
#include "inspect/simulate/number.h"
#include "inspect/simulate/scene.h"
#include "inspect/simulate/sensor.h"

#include <string.h>

#define BAND_PIXELS 2000000 /* that a thread renders at a time */

void
notch_simulate_defaults (NotchSimulation *simulation)
{
  *simulation = (NotchSimulation){
    .width = 4096,
    .height = 4096,
    .die_width = 512,
    .die_height = 512,
    .bits = 8,
    .seed = 1,
    .pixel_um = 0.5,
    .blur = 0.9,
    .jitter = 0.2,
    .gain = 0.01,
    .focus = 0.05,
    .vignetting = 0.15,
    .read_noise = 1,
    .shot_noise = 0.02,
    .layout = "mixed",
    .n_defects = 40,
    .snr_min = 6,
    .snr_max = 40,
  };
}

/* The numbers that have a range, by the names of the command's options. */
static const struct {
  const char *name;
  gsize offset;
  double least, most;
  const char *unit;
} ranges[] = {
  { "pixel-um", G_STRUCT_OFFSET (NotchSimulation, pixel_um), 0, 10000, "um" },
  { "blur", G_STRUCT_OFFSET (NotchSimulation, blur), 0.3, 10, "px" },
  { "jitter", G_STRUCT_OFFSET (NotchSimulation, jitter), 0, 20, "px" },
  { "rotation", G_STRUCT_OFFSET (NotchSimulation, rotation_mrad), -50, 50, "mrad" },
  { "gain", G_STRUCT_OFFSET (NotchSimulation, gain), 0, 0.3, "" },
  { "focus", G_STRUCT_OFFSET (NotchSimulation, focus), 0, 0.3, "" },
  { "vignetting", G_STRUCT_OFFSET (NotchSimulation, vignetting), 0, 0.9, "" },
  { "read-noise", G_STRUCT_OFFSET (NotchSimulation, read_noise), 0, 50, "grey levels" },
  { "shot-noise", G_STRUCT_OFFSET (NotchSimulation, shot_noise), 0, 10, "" },
  { "snr", G_STRUCT_OFFSET (NotchSimulation, snr_min), 0.1, 10000, "" },
  { "snr", G_STRUCT_OFFSET (NotchSimulation, snr_max), 0.1, 10000, "" },
};

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

static gboolean
check (const NotchSimulation *s, GError **error)
{
  for (guint i = 0; i < G_N_ELEMENTS (ranges); i++) {
    double value = G_STRUCT_MEMBER (double, s, ranges[i].offset);
    if (!(value >= ranges[i].least && value <= ranges[i].most))
      return refuse (error, "%s %s is outside %s to %s%s%s", ranges[i].name, notch_number (value, -1).text,
                     notch_number (ranges[i].least, -1).text, notch_number (ranges[i].most, -1).text,
                     *ranges[i].unit ? " " : "", ranges[i].unit);
  }
  if (s->snr_min > s->snr_max)
    return refuse (error, "snr %s:%s has its larger end first", notch_number (s->snr_min, -1).text,
                   notch_number (s->snr_max, -1).text);
  if (s->bits != 8 && s->bits != 12 && s->bits != 16 && s->bits != 32)
    return refuse (error, "bits %d is none of 8, 12, 16 and 32 (float)", s->bits);
  if (s->n_defects < 0 || s->n_defects > 10000)
    return refuse (error, "defects %d is outside 0 to 10000", s->n_defects);
  if (s->n_cols < 0 || s->n_rows < 0 || s->n_cols > 10000 || s->n_rows > 10000)
    return refuse (error, "dice %dx%d is outside 1 to 10000", s->n_cols, s->n_rows);
  g_auto (GStrv) names = g_strsplit (s->classes ? s->classes : "particle", ",", -1);
  for (int i = 0; names[i] || i == 0; i++)
    if (!names[i] || !notch_defect_class_known (names[i]))
      return refuse (error, "classes has \"%s\"; choose from particle,pit,scratch,bridge,open,stain",
                     names[i] ? names[i] : "");
  return TRUE;
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

/* A band of rows that one thread makes: the image's, and the clean image's where it is wanted. */
typedef struct {
  const NotchScene *scene;
  gint64 y;
  int n;
  float *grey;
  guint8 *image, *clean;
} Band;

static gpointer
make_band (gpointer data)
{
  Band *band = data;
  const NotchSimulation *s = band->scene->simulation;
  gsize width = (gsize) s->width, row = width * notch_sample_size (notch_sensor_sample (s->bits));
  notch_scene_render (band->scene, 0, band->y, (int) s->width, band->n, band->grey);
  for (int j = 0; band->clean && j < band->n; j++)
    notch_sensor_expose (s, band->grey + (gsize) j * width, band->y + j, FALSE, band->clean + (gsize) j * row);
  notch_scene_add_planted (band->scene, 0, band->y, (int) s->width, band->n, band->grey);
  for (int j = 0; j < band->n; j++)
    notch_sensor_expose (s, band->grey + (gsize) j * width, band->y + j, TRUE, band->image + (gsize) j * row);
  return NULL;
}

static gboolean
write_images (const NotchScene *scene, NotchTiffWriter *image, NotchTiffWriter *clean, GError **error)
{
  const NotchSimulation *s = scene->simulation;
  guint n_threads = CLAMP (g_get_num_processors (), 1, 16);
  gint64 rows = CLAMP (BAND_PIXELS / s->width, 1, 64), width = s->width;
  gsize row = (gsize) width * notch_sample_size (notch_sensor_sample (s->bits)), n = n_threads * (gsize) rows;
  g_autofree float *grey = g_try_malloc_n (n, (gsize) width * sizeof (float));
  g_autofree guint8 *out = g_try_malloc_n (n, row), *out_clean = clean ? g_try_malloc_n (n, row) : NULL;
  if (!grey || !out || (clean && !out_clean))
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
      band[used].image = out + first * row;
      band[used].clean = clean ? out_clean + first * row : NULL;
      thread[used] = g_thread_new ("band", make_band, &band[used]);
    }
    for (guint k = 0; k < used; k++)
      g_thread_join (thread[k]);
    gint64 done = MIN ((gint64) n, s->height - y);
    if (!notch_tiff_writer_rows (image, out, done, error)
        || (clean && !notch_tiff_writer_rows (clean, out_clean, done, error)))
      return FALSE;
  }
  return TRUE;
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
      g_string_new ("id,type,die_row,die_col,x,y,w,h,amp_sigma,snr,contrast,area_px,box_x,box_y\n");
  for (guint i = 0; i < scene->planted->len; i++) {
    const NotchPlanted *p = &g_array_index (scene->planted, NotchPlanted, i);
    g_string_append_printf (text, "%u,%s,%d,%d", i + 1, p->type, p->row, p->col);
    append_numbers (text, 3, (const double[]){ p->x, p->y }, 2);
    g_string_append_printf (text, ",%d,%d", p->box_w, p->box_h);
    append_numbers (text, 3, (const double[]){ p->peak / p->sigma, p->snr, p->peak * scale }, 3);
    g_string_append_printf (text, ",%d,%" G_GINT64_FORMAT ",%" G_GINT64_FORMAT "\n", p->area, p->box_x, p->box_y);
  }
  return notch_write_file (path, text->str, (gssize) text->len, error);
}

static gboolean
write_dice (const NotchScene *scene, const char *path, GError **error)
{
  g_autoptr (GString) text = g_string_new ("die_col,die_row,x_px,y_px,dx,dy,gain,focus,whole\n");
  for (gint64 k = 0; k < (gint64) scene->n_cols * scene->n_rows; k++) {
    const NotchSceneDie *die = &scene->die[k];
    double x, y;
    if (!die->present)
      continue;
    notch_scene_to_image (scene, die->x, die->y, &x, &y);
    g_string_append_printf (text, "%d,%d", die->col, die->row);
    append_numbers (text, 5, (const double[]){ x, y, die->dx, die->dy, die->gain, die->blur / scene->simulation->blur },
                    6);
    g_string_append_printf (text, ",%d\n", die->whole);
  }
  return notch_write_file (path, text->str, (gssize) text->len, error);
}

gboolean
notch_simulate (const NotchSimulation *simulation, const char *image_path, const char *truth_path,
                const char *dice_path, GError **error)
{
  if (!check (simulation, error))
    return FALSE;
  NotchSimulation s = *simulation;
  g_autoptr (NotchLayout) layout = notch_layout_new (s.layout, s.die_width, s.die_height, s.seed, error);
  if (!layout || !resolve_size (&s, layout, error))
    return FALSE;
  g_autoptr (NotchScene) scene = notch_scene_new (&s, layout, error);
  if (!scene || !notch_scene_plant (scene, error))
    return FALSE;
  g_autofree char *about = g_strdup_printf ("notch simulate, seed %" G_GUINT64_FORMAT, s.seed);
  const NotchTiffLayout form = { .width = s.width,
                                 .height = s.height,
                                 .sample = notch_sensor_sample (s.bits),
                                 .bits = s.bits,
                                 .pixel_um = s.pixel_um,
                                 .description = about };
  g_autoptr (NotchTiffWriter) image = notch_tiff_writer_new (image_path, &form, error);
  g_autoptr (NotchTiffWriter) clean = image && s.clean ? notch_tiff_writer_new (s.clean, &form, error) : NULL;
  if (!image || (s.clean && !clean) || !write_images (scene, image, clean, error))
    return FALSE;
  if (!write_truth (scene, truth_path, error) || !write_dice (scene, dice_path, error))
    return FALSE;
  return (!clean || notch_tiff_writer_commit (clean, error)) && notch_tiff_writer_commit (image, error);
}
