/* crops.c - crops/ID.png: test, reference and difference of a defect, side by side */
#include <errno.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "inspect/compute/parallel.h"
#include "inspect/report/paint.h"
#include "inspect/wafer/median.h"

enum { ZOOM = 4, MARGIN = 10, GAP = 8, LETTERS = 13, N_PANELS = 3, LEAST_WIDTH = 380 }; /* px */
enum { NOTHING = -1 };

static int
by_id (gconstpointer a, gconstpointer b)
{
  const NotchDefect *p = *(const NotchDefect *const *) a, *q = *(const NotchDefect *const *) b;
  return (p->id > q->id) - (p->id < q->id);
}

GPtrArray *
notch_crops_chosen (const NotchResult *result)
{
  GPtrArray *chosen = g_ptr_array_new ();
  for (guint i = 0; i < notch_n_defects (result); i++)
    if (notch_defect (result, i)->patch)
      g_ptr_array_add (chosen, (gpointer) notch_defect (result, i));
  guint most = (guint) MAX (result->recipe->report.crops, 0);
  if (chosen->len > most) {
    g_ptr_array_sort (chosen, notch_defect_compare_strength);
    g_ptr_array_set_size (chosen, (int) most);
    g_ptr_array_sort (chosen, by_id);
  }
  return chosen;
}

/* ---- one crop -------------------------------------------------------------------------------------------------- */

typedef struct {
  const float *test, *reference;
  int side;
  double low, high; /* grey levels: black and white */
  double range;     /* grey levels: the strongest colours are at + and - */
  int top, width;   /* px on the page */
  gint16 *tone;     /* N_PANELS x side x side palette entries, or NOTHING */
} Crop;

/* Black and white leave out half a percent at either end; what is not finite does not count. */
static void
choose_tones (Crop *crop)
{
  gsize n = (gsize) crop->side * crop->side, kept = 0;
  g_autofree float *value = g_new (float, 2 * n);
  for (gsize i = 0; i < 2 * n; i++)
    if (isfinite (crop->test[i])) /* the reference follows the test */
      value[kept++] = crop->test[i];
  crop->low = kept ? notch_select (value, kept, kept / 200) : 0;
  crop->high = kept ? notch_select (value, kept, kept - 1 - kept / 200) : 1;
  if (!(crop->high > crop->low))
    crop->high = crop->low + 1;
  for (gsize i = 0; i < n; i++) {
    double away = fabs ((double) crop->test[i] - (double) crop->reference[i]);
    if (isfinite (away))
      crop->range = MAX (crop->range, away);
  }
}

/* The palette's entry for a sample of a panel; NOTHING: there is nothing to show. */
static gint16
tone_of (const Crop *crop, int panel, gsize i)
{
  double value = panel == 0 ? crop->test[i] : panel == 1 ? crop->reference[i] : crop->test[i] - crop->reference[i];
  if (!isfinite (value))
    return NOTHING;
  if (panel == 2)
    return notch_palette_diverging (crop->range > 0 ? value / crop->range : 0);
  double grey = (value - crop->low) / (crop->high - crop->low) * (NOTCH_N_GREYS - 1) + 0.5;
  return (guint8) (grey > 0 ? MIN (grey, NOTCH_N_GREYS - 1) : 0);
}

static gint16 *
make_tones (const Crop *crop)
{
  gsize n = (gsize) crop->side * crop->side;
  gint16 *to = g_new (gint16, N_PANELS * n);
  for (int panel = 0; panel < N_PANELS; panel++)
    for (gsize i = 0; i < n; i++)
      to[panel * n + i] = tone_of (crop, panel, i);
  return to;
}

static int
panel_x (const Crop *crop, int panel)
{
  return MARGIN + panel * (crop->side * ZOOM + GAP);
}

/* Where there is nothing to show; px of a panel. */
static guint8
hatch (int x, int y)
{
  return (guint8) ((x + y) / 3 % 3 == 0 ? NOTCH_N_GREYS * 5 / 12 : NOTCH_N_GREYS / 4);
}

static gboolean
fill_panels (gpointer data, int y, int n, guint8 *to, GError **error)
{
  const Crop *crop = data;
  for (int i = 0; i < n; i++) {
    int row = y + i - crop->top;
    if (row < 0 || row >= crop->side * ZOOM)
      continue;
    for (int panel = 0; panel < N_PANELS; panel++) {
      const gint16 *from = crop->tone + (gsize) (panel * crop->side + row / ZOOM) * crop->side;
      guint8 *at = to + (gsize) i * crop->width + panel_x (crop, panel);
      for (int x = 0; x < crop->side * ZOOM; x++)
        at[x] = from[x / ZOOM] == NOTHING ? hatch (x, row) : (guint8) from[x / ZOOM];
    }
  }
  return TRUE;
}

static void
append_value (GString *text, const char *before, double value, int decimals, const char *unit)
{
  if (!isfinite (value))
    return;
  g_string_append (text, before);
  notch_append_number (text, value, decimals);
  g_string_append (text, unit);
}

static char *
describe (const NotchResult *result, const NotchDefect *defect)
{
  const double *value = defect->value;
  g_autoptr (GString) text = g_string_new (NULL);
  append_value (text, "SNR ", value[NOTCH_FEATURE_PEAK_SNR], 1, "");
  append_value (text, " · size ", value[NOTCH_FEATURE_SIZE_UM], 2, result->pixel_known ? " µm" : " px");
  append_value (text, " · ", value[NOTCH_FEATURE_WIDTH], 0, "");
  append_value (text, " × ", value[NOTCH_FEATURE_HEIGHT], 0, " px");
  append_value (text, " at (", value[NOTCH_FEATURE_X], 1, "");
  append_value (text, ", ", value[NOTCH_FEATURE_Y], 1, ")");
  append_value (text, " · die ", value[NOTCH_FEATURE_DIE_COL], 0, "");
  append_value (text, ",", value[NOTCH_FEATURE_DIE_ROW], 0, "");
  return g_string_free (g_steal_pointer (&text), FALSE);
}

static void
figure_mark (NotchPaint *paint, const NotchBox *box, const NotchResult *result, int class_index)
{
  NotchBox middle = { box->x + box->width / 2, box->y + box->height / 2, 0, 0 };
  notch_paint_mark (paint, result, class_index, &middle, box->height * 0.45, box->height * 0.12);
}

static gboolean
write_crop (const NotchReportJob *job, const NotchDefect *defect, const char *folder, GError **error)
{
  const NotchResult *result = job->result;
  gsize n = (gsize) result->patch_side * result->patch_side;
  Crop crop = { .test = defect->patch, .reference = defect->patch + n, .side = result->patch_side };
  choose_tones (&crop);
  g_autofree gint16 *tone = crop.tone = make_tones (&crop);
  int panels = panel_x (&crop, N_PANELS) - GAP + MARGIN;
  crop.width = MAX (panels, LEAST_WIDTH);

  g_autoptr (NotchPaint) paint = notch_paint_new ();
  NotchColumn column = { .x = MARGIN, .width = crop.width - 2 * MARGIN, .size = LETTERS, .ink = NOTCH_INK_SILVER };
  NotchWords title = {
    .size = LETTERS * 1.15, .bold = TRUE, .ink = NOTCH_INK_WHITE, .wrap = column.width - LETTERS * 2
  };
  NotchWords words = { .size = LETTERS, .ink = NOTCH_INK_SILVER, .wrap = column.width };
  g_autofree char *name =
      g_strdup_printf ("%" G_GINT64_FORMAT " %s", defect->id, notch_class_name (result, defect->class_index));
  g_autofree char *facts = describe (result, defect);
  NotchBox line = notch_paint_measure (paint, name, &title);
  NotchBox figure = { MARGIN, MARGIN * 0.7 + (line.height - LETTERS * 1.2) / 2, LETTERS * 1.2, LETTERS * 1.2 };
  figure_mark (paint, &figure, result, defect->class_index);
  notch_paint_words (paint, MARGIN + LETTERS * 1.7, MARGIN * 0.7, name, &title);
  double y = MARGIN * 0.7 + line.height;
  y += notch_paint_words (paint, MARGIN, y, facts, &words).height + GAP;
  crop.top = (int) ceil (y);
  y = crop.top + crop.side * ZOOM + GAP / 2.;

  g_autoptr (GString) range = g_string_new ("difference ±");
  notch_append_number (range, crop.range, crop.range < 1 ? 3 : crop.range < 10 ? 1 : 0);
  g_string_append (range, " grey levels, orange brighter");
  const char *const under[N_PANELS] = { "test", "reference", range->str };
  words.wrap = crop.side * ZOOM;
  double high = 0;
  for (int panel = 0; panel < N_PANELS; panel++)
    high = MAX (high, notch_paint_words (paint, panel_x (&crop, panel), y, under[panel], &words).height);
  NotchPage page = { .width = crop.width,
                     .height = (int) ceil (y + high + MARGIN * 0.6),
                     .paper = NOTCH_INK_CARBON,
                     .ground = fill_panels,
                     .data = &crop,
                     .jobs = 1,
                     .tile = MAX (crop.width, (int) y),
                     .source = result->stem,
                     .description = facts };
  g_autofree char *file = g_strdup_printf ("%" G_GINT64_FORMAT ".png", defect->id);
  g_autofree char *path = g_build_filename (folder, file, NULL);
  return notch_paint_write (paint, &page, path, error);
}

/* ---- all crops ------------------------------------------------------------------------------------------------- */

/* A former run may have found more. */
static void
remove_crops (const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  for (const char *name; dir && (name = g_dir_read_name (dir));) {
    gsize digits = strspn (name, "0123456789");
    g_autofree char *path = g_build_filename (folder, name, NULL);
    if (digits && !strcmp (name + digits, ".png"))
      g_unlink (path);
  }
}

typedef struct {
  const NotchReportJob *job;
  const GPtrArray *chosen;
  const char *folder;
  GMutex lock;
  int first;     /* of the crops that failed */
  GError *error; /* of that one */
} Batch;

static void
write_one (gpointer data, int i)
{
  Batch *batch = data;
  GError *error = NULL;
  if (write_crop (batch->job, g_ptr_array_index (batch->chosen, i), batch->folder, &error))
    return;
  g_mutex_lock (&batch->lock);
  if (!batch->error || i < batch->first) {
    batch->first = i;
    GError *later = batch->error;
    batch->error = error;
    error = later;
  }
  g_mutex_unlock (&batch->lock);
  g_clear_error (&error);
}

gboolean
notch_report_crops (const NotchReportJob *job, GError **error)
{
  g_autofree char *folder = g_build_filename (job->folder, "crops", NULL);
  g_autoptr (GPtrArray) chosen = notch_crops_chosen (job->result);
  if (g_mkdir_with_parents (folder, 0777) < 0) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_WRITE, "%s: cannot make the folder: %s", folder, g_strerror (errno));
    return FALSE;
  }
  remove_crops (folder);
  Batch batch = { .job = job, .chosen = chosen, .folder = folder };
  g_mutex_init (&batch.lock);
  notch_parallel (job->jobs, (int) chosen->len, write_one, &batch);
  g_mutex_clear (&batch.lock);
  if (batch.error)
    g_propagate_error (error, batch.error);
  return !batch.error;
}
