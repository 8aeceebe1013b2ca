/* overlay.c - overlay.png: the image with every defect marked by class, the dice, and margins that say what is seen
 *
 * Words stand above and below the image, never on it: page pixel (x, y + offset) is image pixel (x, y), and the file's
 * Description says the offset. An image that is larger than the recipe's overlay_px gets an overview made of its
 * reduced copy. */
#include <math.h>
#include <string.h>

#include "inspect/compute/parallel.h"
#include "inspect/report/paint.h"

/* ---- the ground: samples to greys ------------------------------------------------------------------------------ */

typedef struct {
  const NotchReportJob *job;
  int top, width, height; /* px: where the image lies on the page */
  int page_width;
  int reduction;    /* of result->reduced, again; 0: full size, from the store */
  double low, gain; /* grey = (sample - low) x gain */
  guint8 *tone;     /* of every 8- or 16-bit sample; NULL for floats */
  /* the strip at hand */
  int y, n;
  guint8 *to;
  const NotchPixels *pixels;
} Ground;

static inline guint8
to_grey (float value, float low, float gain)
{
  float grey = (value - low) * gain + 0.5f;
  grey = grey > 0 ? grey : 0; /* also what is not a number */
  return (guint8) (grey < NOTCH_N_GREYS - 1 ? grey : NOTCH_N_GREYS - 1);
}

static void
prepare_tone (Ground *ground)
{
  const NotchResult *result = ground->job->result;
  ground->low = result->grey_low;
  ground->gain = (NOTCH_N_GREYS - 1) / MAX (result->grey_high - result->grey_low, 1e-30);
  if (ground->reduction || result->sample == NOTCH_SAMPLE_F32)
    return;
  int n = result->sample == NOTCH_SAMPLE_U8 ? 1 << 8 : 1 << 16;
  ground->tone = g_new (guint8, n);
  for (int i = 0; i < n; i++)
    ground->tone[i] = to_grey ((float) i, (float) ground->low, (float) ground->gain);
}

static void
tone_row (const Ground *ground, const void *row, guint8 *to)
{
  NotchSample sample = ground->pixels->sample;
  if (sample == NOTCH_SAMPLE_F32)
    for (int x = 0; x < ground->width; x++)
      to[x] = to_grey (((const float *) row)[x], (float) ground->low, (float) ground->gain);
  else if (sample == NOTCH_SAMPLE_U8)
    for (int x = 0; x < ground->width; x++)
      to[x] = ground->tone[((const guint8 *) row)[x]];
  else
    for (int x = 0; x < ground->width; x++)
      to[x] = ground->tone[((const guint16 *) row)[x]];
}

static void
tone_reduced (const Ground *ground, int y, guint8 *to)
{
  const NotchResult *result = ground->job->result;
  int k = ground->reduction;
  for (int x = 0; x < ground->width; x++) {
    double sum = 0;
    for (int j = 0; j < k; j++)
      for (int i = 0; i < k; i++)
        sum += result->reduced[((gint64) y * k + j) * result->reduced_width + (gint64) x * k + i];
    to[x] = to_grey ((float) (sum / (k * k)), (float) ground->low, (float) ground->gain);
  }
}

enum { ROWS = 32 }; /* of one call of fill_rows */

static void
fill_rows (gpointer data, int part)
{
  const Ground *ground = data;
  for (int i = part * ROWS; i < MIN ((part + 1) * ROWS, ground->n); i++) {
    int y = ground->y + i;
    guint8 *to = ground->to + (gsize) i * ground->page_width;
    if (ground->reduction)
      tone_reduced (ground, y, to);
    else
      tone_row (ground, ground->pixels->row[y - ground->pixels->y], to);
  }
}

static gboolean
fill_ground (gpointer data, int y, int n, guint8 *to, GError **error)
{
  Ground *ground = data;
  int first = MAX (y, ground->top), end = MIN (y + n, ground->top + ground->height);
  if (first >= end)
    return TRUE;
  ground->y = first - ground->top;
  ground->n = end - first;
  ground->to = to + (gsize) (first - y) * ground->page_width;
  g_autoptr (NotchStrip) strip = NULL;
  if (!ground->reduction) {
    NotchRows rows = { ground->y, ground->n };
    strip = notch_store_strip (ground->job->store, &rows, 1, error);
    if (!strip)
      return FALSE;
    ground->pixels = notch_strip_pixels (strip);
  }
  notch_parallel (ground->job->jobs, (ground->n + ROWS - 1) / ROWS, fill_rows, ground);
  return TRUE;
}

/* ---- room for labels ------------------------------------------------------------------------------------------- */

/* Boxes that are taken, found by a coarse lattice of cells. */
typedef struct {
  double cell; /* px */
  int n_across, n_down;
  GArray **in; /* of each cell: NotchBox that touch it; NULL for none */
} Room;

static Room *
room_new (double width, double height, double cell)
{
  Room *room = g_new0 (Room, 1);
  room->cell = cell;
  room->n_across = (int) (width / cell) + 1;
  room->n_down = (int) (height / cell) + 1;
  room->in = g_new0 (GArray *, (gsize) room->n_across * room->n_down);
  return room;
}

static void
room_free (Room *room)
{
  for (gsize i = 0; i < (gsize) room->n_across * room->n_down; i++)
    if (room->in[i])
      g_array_unref (room->in[i]);
  g_free (room->in);
  g_free (room);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Room, room_free)

typedef struct {
  int x0, y0, x1, y1; /* inclusive */
} Cells;

static Cells
cells_of (const Room *room, const NotchBox *box)
{
  return (Cells){ CLAMP ((int) (box->x / room->cell), 0, room->n_across - 1),
                  CLAMP ((int) (box->y / room->cell), 0, room->n_down - 1),
                  CLAMP ((int) ((box->x + box->width) / room->cell), 0, room->n_across - 1),
                  CLAMP ((int) ((box->y + box->height) / room->cell), 0, room->n_down - 1) };
}

static void
room_take (Room *room, const NotchBox *box)
{
  Cells cells = cells_of (room, box);
  for (int y = cells.y0; y <= cells.y1; y++)
    for (int x = cells.x0; x <= cells.x1; x++) {
      GArray **in = &room->in[(gsize) y * room->n_across + x];
      if (!*in)
        *in = g_array_new (FALSE, FALSE, sizeof (NotchBox));
      g_array_append_val (*in, *box);
    }
}

static gboolean
overlap (const NotchBox *a, const NotchBox *b)
{
  return a->x < b->x + b->width && b->x < a->x + a->width && a->y < b->y + b->height && b->y < a->y + a->height;
}

static gboolean
room_is_free (const Room *room, const NotchBox *box)
{
  Cells cells = cells_of (room, box);
  for (int y = cells.y0; y <= cells.y1; y++)
    for (int x = cells.x0; x <= cells.x1; x++) {
      const GArray *in = room->in[(gsize) y * room->n_across + x];
      for (guint i = 0; in && i < in->len; i++)
        if (overlap (box, &g_array_index (in, NotchBox, i)))
          return FALSE;
    }
  return TRUE;
}

/* A large frame takes the room of its lines only: what is inside may have labels. */
static void
room_take_frame (Room *room, const NotchBox *frame, double line, double large)
{
  if (MIN (frame->width, frame->height) < large) {
    room_take (room, frame);
    return;
  }
  const NotchBox side[] = { { frame->x, frame->y, frame->width, line },
                            { frame->x, frame->y + frame->height - line, frame->width, line },
                            { frame->x, frame->y, line, frame->height },
                            { frame->x + frame->width - line, frame->y, line, frame->height } };
  for (guint i = 0; i < G_N_ELEMENTS (side); i++)
    room_take (room, &side[i]);
}

/* ---- what is drawn on the image -------------------------------------------------------------------------------- */

typedef struct {
  const NotchResult *result;
  NotchPaint *paint;
  NotchView view;
  NotchBox image;  /* on the page */
  double unit;     /* px: what one px of a picture for a screen is here */
  double mark;     /* the same for marks: less where they are crowded */
  Room *room;      /* px of the page */
  double to_cover; /* px^2: what labels may still take, for they hide the image */
  guint n_unlabelled;
} Scene;

static void
paint_edge (const Scene *scene, double x0, double y0, double x1, double y1, double dash)
{
  cairo_t *pen = notch_paint_pen (scene->paint);
  cairo_move_to (pen, x0, y0);
  cairo_line_to (pen, x1, y1);
  notch_paint_stroke (scene->paint, NOTCH_INK_SKY, 0.6, scene->unit, dash);
}

static gboolean
on_wafer (const NotchDie *die)
{
  return die && die->kind != NOTCH_DIE_OUTSIDE;
}

/* Every edge once: a die draws its left and upper one, and the others where it has no neighbour. Its name has letters
 * of `letters` px; 0: no name. */
static void
paint_die (const Scene *scene, const NotchDie *die, double letters)
{
  const NotchGrid *grid = scene->result->grid;
  NotchDieStatus status = notch_die_status (die);
  double x[4], y[4];
  notch_view_cell (&scene->view, grid, die, x, y);
  paint_edge (scene, x[0], y[0], x[1], y[1], 0);
  paint_edge (scene, x[0], y[0], x[3], y[3], 0);
  if (!on_wafer (notch_grid_die (grid, die->col + 1, die->row)))
    paint_edge (scene, x[1], y[1], x[2], y[2], 0);
  if (!on_wafer (notch_grid_die (grid, die->col, die->row + 1)))
    paint_edge (scene, x[3], y[3], x[2], y[2], 0);
  if (status == NOTCH_STATUS_EXCLUDED)
    for (int i = 0; i < 2; i++)
      paint_edge (scene, x[i], y[i], x[i + 2], y[i + 2], 4 * scene->unit);
  if (status == NOTCH_STATUS_FAILED) {
    cairo_t *pen = notch_paint_pen (scene->paint);
    double inset = 4 * scene->unit;
    cairo_rectangle (pen, x[0] + inset, y[0] + inset, x[1] - x[0] - 2 * inset, y[3] - y[0] - 2 * inset);
    notch_paint_stroke (scene->paint, NOTCH_INK_VERMILLION, 0.9, 2 * scene->unit, 0);
  }
  if (!(letters > 0))
    return;
  NotchWords words = {
    .size = letters, .bold = TRUE, .ink = notch_ink_mix (NOTCH_INK_SKY, NOTCH_INK_WHITE, 0.5), .halo = letters * 0.13
  };
  gboolean plain = status == NOTCH_STATUS_OK || status == NOTCH_STATUS_DEFECTIVE;
  g_autofree char *name = g_strdup_printf ("%d,%d", die->col, die->row);
  g_autofree char *text = plain ? g_strdup (name) : g_strdup_printf ("%s %s", name, notch_status_name[status]);
  /* A cell that begins outside the image is labelled where it enters; one of which little is seen, with less or not. */
  double label_x = MAX (x[0], scene->image.x) + 5 * scene->unit, label_y = MAX (y[0], scene->image.y) + 3 * scene->unit;
  double right = scene->image.x + scene->image.width, bottom = scene->image.y + scene->image.height;
  if (notch_paint_measure (scene->paint, text, &words).width > MIN (x[1], right) - label_x - 3 * scene->unit) {
    g_free (text);
    text = g_steal_pointer (&name);
  }
  NotchBox least = notch_paint_measure (scene->paint, text, &words);
  if (label_x + least.width > right || label_y + least.height > bottom)
    return;
  NotchBox box = notch_paint_words (scene->paint, label_x, label_y, text, &words);
  room_take (scene->room, &box);
}

static void
paint_grid (const Scene *scene)
{
  const NotchGrid *grid = scene->result->grid;
  const double finest = 6; /* px: closer lines would hide the image */
  if (!grid)
    return;
  double pitch_x = hypot (grid->ax, grid->ay) * scene->view.scale;
  double pitch_y = hypot (grid->bx, grid->by) * scene->view.scale;
  if (MIN (pitch_x, pitch_y) < finest)
    return;
  double letters = CLAMP (MIN (pitch_x, pitch_y) * 0.12, 9, 10.5 * scene->unit);
  int cols = notch_round_step (6 * letters / pitch_x), rows = notch_round_step (3 * letters / pitch_y);
  for (guint i = 0; i < grid->die->len; i++) {
    const NotchDie *die = &g_array_index (grid->die, NotchDie, i);
    if (on_wafer (die))
      paint_die (scene, die, die->col % cols == 0 && die->row % rows == 0 ? letters : 0);
  }
}

static NotchBox
defect_box (const Scene *scene, const NotchDefect *defect)
{
  double x = notch_view_x (&scene->view, defect->x0 - 0.5), y = notch_view_y (&scene->view, defect->y0 - 0.5);
  return (NotchBox){ x, y, (double) (defect->x1 - defect->x0 + 1) * scene->view.scale,
                     (double) (defect->y1 - defect->y0 + 1) * scene->view.scale };
}

static gboolean
inside (const NotchBox *box, const NotchBox *of)
{
  return box->x >= of->x && box->y >= of->y && box->x + box->width <= of->x + of->width
         && box->y + box->height <= of->y + of->height;
}

/* The first free place beside a frame: its corners, then its sides, then the same further away. */
static gboolean
find_place (const Scene *scene, const NotchBox *frame, double gap, NotchBox *plate, gboolean *far)
{
  static const signed char way[][2] = { { 1, -1 }, { 1, 1 },  { -1, -1 }, { -1, 1 },
                                        { 1, 0 },  { -1, 0 }, { 0, -1 },  { 0, 1 } };
  const double distance[] = { gap, gap + plate->height * 1.3, gap + plate->height * 3 };
  double x = frame->x + frame->width / 2, y = frame->y + frame->height / 2;
  for (guint d = 0; d < G_N_ELEMENTS (distance); d++)
    for (guint i = 0; i < G_N_ELEMENTS (way); i++) {
      plate->x = x + way[i][0] * ((frame->width + plate->width) / 2 + distance[d]) - plate->width / 2;
      plate->y =
          y + way[i][1] * ((frame->height + plate->height) / 2 + (way[i][0] ? 0 : distance[d])) - plate->height / 2;
      if (inside (plate, &scene->image) && room_is_free (scene->room, plate)) {
        *far = d > 0;
        return TRUE;
      }
    }
  return FALSE;
}

static void
paint_label (Scene *scene, const NotchDefect *defect, const NotchBox *frame)
{
  const double least = 9; /* px: smaller letters cannot be read */
  NotchInk ink = notch_class_ink (scene->result, defect->class_index);
  NotchWords words = { .size = MAX (11.5 * scene->mark, least),
                       .bold = TRUE,
                       .ink = notch_ink_mix (ink, NOTCH_INK_WHITE, 0.45) };
  double pad = words.size * 0.28, gap = words.size * 0.2;
  g_autofree char *text = g_strdup_printf ("%" G_GINT64_FORMAT, defect->id);
  NotchBox room = notch_paint_measure (scene->paint, text, &words);
  NotchBox plate = { 0, 0, room.width + 2 * pad, room.height };
  gboolean far = FALSE;
  if (scene->to_cover < 0 || !find_place (scene, frame, gap, &plate, &far)) {
    scene->n_unlabelled++;
    return;
  }
  scene->to_cover -= plate.width * plate.height;
  room_take (scene->room, &plate);
  cairo_t *pen = notch_paint_pen (scene->paint);
  if (far) {
    double x = frame->x + frame->width / 2, y = frame->y + frame->height / 2;
    double from_x = CLAMP (plate.x + plate.width / 2, frame->x, frame->x + frame->width);
    double from_y = CLAMP (plate.y + plate.height / 2, frame->y, frame->y + frame->height);
    cairo_move_to (pen, from_x, from_y);
    cairo_line_to (pen, CLAMP (x, plate.x, plate.x + plate.width), CLAMP (y, plate.y, plate.y + plate.height));
    notch_paint_stroke (scene->paint, ink, 0.9, scene->mark, 0);
  }
  cairo_rectangle (pen, plate.x, plate.y, plate.width, plate.height);
  notch_paint_fill (scene->paint, NOTCH_INK_BLACK, 0.72);
  notch_paint_words (scene->paint, plate.x + pad, plate.y, text, &words);
}

/* All marks first, so that no label covers one; then labels, the strongest defects first. */
static void
paint_defects (Scene *scene)
{
  const NotchResult *result = scene->result;
  guint n = notch_n_defects (result);
  const double corner = 7.5 * scene->mark, width = 1.7 * scene->mark;
  g_autoptr (GHashTable) frame_of = g_hash_table_new_full (NULL, NULL, NULL, g_free);
  g_autoptr (GPtrArray) order = g_ptr_array_new ();
  for (guint i = 0; i < n; i++) {
    const NotchDefect *defect = notch_defect (result, i);
    NotchBox box = defect_box (scene, defect);
    NotchBox frame = notch_paint_mark (scene->paint, result, defect->class_index, &box, corner, width);
    room_take_frame (scene->room, &frame, width, 8 * corner);
    g_hash_table_insert (frame_of, (gpointer) defect, g_memdup2 (&frame, sizeof frame));
    g_ptr_array_add (order, (gpointer) defect);
  }
  g_ptr_array_sort (order, notch_defect_compare_strength);
  for (guint i = 0; i < n; i++)
    paint_label (scene, g_ptr_array_index (order, i), g_hash_table_lookup (frame_of, g_ptr_array_index (order, i)));
}

/* ---- margins --------------------------------------------------------------------------------------------------- */

static void
figure_mark (NotchPaint *paint, const NotchBox *box, const NotchResult *result, int class_index)
{
  NotchBox middle = { box->x + box->width / 2, box->y + box->height / 2, 0, 0 };
  notch_paint_mark (paint, result, class_index, &middle, box->height * 0.45, box->height * 0.12);
}

static void
figure_cell (NotchPaint *paint, const NotchBox *box, const NotchResult *result, int ink)
{
  cairo_t *pen = notch_paint_pen (paint);
  double line = box->height / 12;
  cairo_rectangle (pen, box->x + line, box->y + line, box->width - 2 * line, box->height - 2 * line);
  notch_paint_stroke (paint, (NotchInk) ink, 0.9, line, 0);
}

static char *
describe (const NotchResult *result, int reduction)
{
  NotchDiceCount count = notch_count_dice (result);
  guint n = notch_n_defects (result);
  g_autoptr (GString) text = g_string_new (NULL);
  g_string_append_printf (text, "%u defect%s at or above ", n, n == 1 ? "" : "s");
  notch_append_number (text, result->threshold, 2);
  g_string_append (text, " σ");
  if (result->grid)
    g_string_append_printf (text, " · %" G_GINT64_FORMAT " dice inspected", count.dice);
  if (count.failed)
    g_string_append_printf (text, ", %" G_GINT64_FORMAT " failed", count.failed);
  g_string_append_printf (text, " · %" G_GINT64_FORMAT " × %" G_GINT64_FORMAT " px", result->width, result->height);
  if (result->pixel_known) {
    g_string_append (text, " · ");
    notch_append_number (text, result->pixel_um, result->pixel_um < 10 ? 3 : 1);
    g_string_append (text, " µm a px");
  }
  if (reduction > 1)
    g_string_append_printf (text, " · drawn at 1:%d", reduction);
  return g_string_free (g_steal_pointer (&text), FALSE);
}

static double
paint_footer (const Scene *scene, const NotchColumn *column, double y)
{
  const NotchResult *result = scene->result;
  g_autoptr (GArray) legend = notch_legend_new ();
  notch_legend_add_scale (legend, result, scene->view.scale, MIN (scene->image.width / 2, 160 * scene->unit),
                          column->ink);
  notch_legend_add_classes (legend, result, figure_mark);
  notch_legend_add_signatures (legend, result, NOTCH_INK_SKY);
  if (result->grid)
    notch_legend_add (legend, figure_cell, NOTCH_INK_SKY, 0, g_strdup ("die col,row"));
  notch_legend_add_wafer (legend, result, NOTCH_INK_SKY);
  y = notch_paint_legend (scene->paint, column, y, result, legend);
  if (!scene->n_unlabelled)
    return y;
  g_autofree char *text =
      g_strdup_printf ("%u of %u marks have no room for their number; defects.csv lists all of them",
                       scene->n_unlabelled, notch_n_defects (result));
  NotchWords words = { .size = column->size, .ink = column->ink, .wrap = column->width };
  return y + notch_paint_words (scene->paint, column->x, y, text, &words).height;
}

/* Full size where the recipe allows it, else the reduced copy, reduced again if it is still too large. */
static void
choose_size (const NotchReportJob *job, Ground *ground)
{
  const NotchResult *result = job->result;
  gint64 most = MAX (result->recipe->report.overlay_px, 1);
  if (MAX (result->width, result->height) <= most) {
    ground->width = (int) result->width;
    ground->height = (int) result->height;
    return;
  }
  gint64 longer = MAX (result->reduced_width, result->reduced_height);
  ground->reduction = (int) ((longer + most - 1) / most);
  ground->width = (int) MAX (result->reduced_width / ground->reduction, 1);
  ground->height = (int) MAX (result->reduced_height / ground->reduction, 1);
}

gboolean
notch_report_overlay (const NotchReportJob *job, GError **error)
{
  const NotchResult *result = job->result;
  const double screen = 1400, narrow = 520, least_width = 460; /* px */
  Ground ground = { .job = job };
  choose_size (job, &ground);
  prepare_tone (&ground);
  g_autofree guint8 *tone = ground.tone;
  int times = ground.reduction ? ground.reduction * result->reduction : 1;

  g_autoptr (NotchPaint) paint = notch_paint_new ();
  double width = MAX (ground.width, least_width);
  double unit = MAX (MIN (MAX (ground.width, ground.height) / screen, width / narrow), 1);
  NotchColumn column = { .x = 12 * unit, .width = width - 24 * unit, .size = 13 * unit, .ink = NOTCH_INK_SILVER };
  g_autofree char *facts = describe (result, times);
  double top = notch_paint_header (paint, &column, 8 * unit, result, facts) + 9 * unit;
  ground.top = (int) ceil (top);
  ground.page_width = (int) ceil (width);

  double area = (double) ground.width * ground.height;
  double apart = sqrt (area / MAX (notch_n_defects (result), 1)); /* px between defects, about */
  double room = MIN (apart / 60, MIN (ground.width, ground.height) / 150.);
  Scene scene = { .result = result,
                  .paint = paint,
                  .view = { 0, ground.top, 1. / times },
                  .image = { 0, ground.top, ground.width, ground.height },
                  .unit = unit,
                  .mark = CLAMP (room, 0.6, unit),
                  .to_cover = area * 0.12 };
  g_autoptr (Room) taken = room_new (width, ground.top + ground.height, 48 * scene.mark);
  scene.room = taken;
  notch_paint_clip (paint, &scene.image);
  paint_grid (&scene);
  notch_paint_wafer (paint, result, &scene.view, NOTCH_INK_SKY, 2 * unit);
  notch_paint_signatures (paint, result, &scene.view, NOTCH_INK_SKY, scene.mark);
  paint_defects (&scene);
  notch_paint_clip (paint, NULL);
  double bottom = paint_footer (&scene, &column, ground.top + ground.height + 9 * unit) + 7 * unit;

  g_autofree char *description = g_strdup_printf (
      "Defects of %s. Image pixel (x, y) is page pixel (x / %d, y / %d + %d).", result->stem, times, times, ground.top);
  NotchPage page = { .width = ground.page_width,
                     .height = (int) ceil (bottom),
                     .paper = NOTCH_INK_CARBON,
                     .ground = fill_ground,
                     .data = &ground,
                     .jobs = job->jobs,
                     .source = result->stem,
                     .description = description };
  g_autofree char *path = g_build_filename (job->folder, "overlay.png", NULL);
  return notch_paint_write (paint, &page, path, error);
}
