/* regions.c - see regions.h */
#include "inspect/wafer/regions.h"

#include <math.h>
#include <string.h>

#include "inspect/wafer/mask.h"
#include "inspect/wafer/polygons.h"

typedef struct {
  const NotchRegion *is; /* borrowed from the recipe */
  NotchPolygons *polygons;
  NotchMask *mask;   /* one of the two */
  gboolean in_dice;  /* it is placed in every die, else in the image */
  NotchAffine to_px; /* from µm, as in_dice says */
} Region;

struct NotchRegions {
  const NotchRecipe *recipe; /* borrowed */
  int n;
  Region *region;
  gboolean any_care, any_in_dice;
  const NotchGrid *grid; /* borrowed */
};

/* ---- files ------------------------------------------------------------------------------------------------------- */

void
notch_regions_free (NotchRegions *regions)
{
  if (!regions)
    return;
  for (int i = 0; i < regions->n; i++) {
    notch_polygons_free (regions->region[i].polygons);
    notch_mask_free (regions->region[i].mask);
  }
  g_free (regions->region);
  g_free (regions);
}

static gboolean
is_given (const char *path)
{
  return path && *path;
}

static char *
place_of (const NotchRegions *regions, const Region *region, const char *key)
{
  g_autofree char *group = g_strconcat ("region ", region->is->name, NULL);
  return notch_recipe_place (regions->recipe, group, key);
}

static gboolean
load_region (const NotchRegions *regions, Region *region, GError **error)
{
  const NotchRegion *is = region->is;
  g_autoptr (GError) local = NULL;
  const char *key = is_given (is->mask) ? "mask" : "polygons";
  if (is_given (is->mask))
    region->mask = notch_mask_load (is->mask, (guint64) regions->recipe->detect.memory_mib << 20, &local);
  else if (is_given (is->polygons))
    region->polygons = notch_polygons_load (is->polygons, &local);
  else
    region->polygons = notch_polygons_rectangle (is->x_um, is->y_um, is->width_um, is->height_um);
  if (region->mask || region->polygons)
    return TRUE;
  g_autofree char *place = place_of (regions, region, key);
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE, "%s: %s", place, local->message);
  return FALSE;
}

NotchRegions *
notch_regions_load (const NotchRecipe *recipe, GError **error)
{
  g_autoptr (NotchRegions) regions = g_new0 (NotchRegions, 1);
  regions->recipe = recipe;
  regions->n = (int) recipe->region->len;
  regions->region = g_new0 (Region, MAX (regions->n, 1));
  for (int i = 0; i < regions->n; i++) {
    regions->region[i].is = recipe->region->pdata[i];
    regions->any_care |= !regions->region[i].is->exclude;
    if (!load_region (regions, &regions->region[i], error))
      return NULL;
  }
  return g_steal_pointer (&regions);
}

/* ---- places ------------------------------------------------------------------------------------------------------ */

static gboolean refuse (const NotchRegions *regions, const Region *region, const char *key, GError **error,
                        const char *format, ...) G_GNUC_PRINTF (5, 6);

static gboolean
refuse (const NotchRegions *regions, const Region *region, const char *key, GError **error, const char *format, ...)
{
  va_list arguments;
  va_start (arguments, format);
  g_autofree char *what = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_autofree char *place = place_of (regions, region, key);
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE, "%s: %s", place, what);
  return FALSE;
}

/* Whether corners from a file lie in the die or the image; those of a rectangle have been checked already. */
static gboolean
check_extent (const NotchRegions *regions, const Region *region, double width, double height, GError **error)
{
  const double slack = 0.01; /* a pitch that was found in the image may be off, too */
  double x0, y0, x1, y1;
  if (!is_given (region->is->polygons))
    return TRUE;
  notch_polygons_extent (region->polygons, &x0, &y0, &x1, &y1);
  gboolean aside = x0 < -slack * width || x1 > (1 + slack) * width;
  if (!aside && y0 >= -slack * height && y1 <= (1 + slack) * height)
    return TRUE;
  char text[3][G_ASCII_DTOSTR_BUF_SIZE];
  const double value[] = { aside ? x0 : y0, aside ? x1 : y1, aside ? width : height };
  for (int i = 0; i < 3; i++)
    g_ascii_formatd (text[i], sizeof text[i], "%.6g", value[i]);
  return refuse (regions, region, "polygons", error,
                 "%s: corners lie between %s of %s and %s, and the %s ends at %s; check the unit and the frame",
                 region->is->polygons, aside ? "x_um" : "y_um", text[0], text[1], region->in_dice ? "die" : "image",
                 text[2]);
}

/* A mask of the whole image has its shape. */
static gboolean
check_mask (const NotchRegions *regions, const Region *region, gint64 width, gint64 height, GError **error)
{
  gint64 w = notch_mask_width (region->mask), h = notch_mask_height (region->mask);
  double along = (double) width / (double) w, down = (double) height / (double) h;
  /* Half a pixel of a reduced mask is rounding. */
  if (fabs (along / down - 1) <= MAX (0.01, 0.5 / (double) MIN (w, h)))
    return TRUE;
  return refuse (regions, region, "mask", error,
                 "%s: it has %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT " px and the image %" G_GINT64_FORMAT
                 " x %" G_GINT64_FORMAT
                 "; it must show the whole image, or have a place (x_um, y_um, width_um, height_um)",
                 region->is->mask, w, h, width, height);
}

static gboolean
place_region (const NotchRegions *regions, Region *region, const NotchRegionPlace *place, GError **error)
{
  const NotchRegion *is = region->is;
  double pixel_um = place->pixel_um > 0 ? place->pixel_um : 1;
  double x = 0, y = 0, width = (double) place->width * pixel_um, height = (double) place->height * pixel_um;
  NotchAffine to_px = notch_affine_of_image (place->height, pixel_um);
  region->in_dice = is->frame == NOTCH_FRAME_DIE && place->grid;
  if (is->frame == NOTCH_FRAME_WAFER) {
    if (!(place->outline->radius > 0))
      return refuse (regions, region, "frame", error,
                     "the image shows no wafer's edge to count from; give [wafer] radius_px and its centre, or another "
                     "frame");
    const NotchFrame frame =
        notch_frame_new (regions->recipe, place->grid, place->outline, place->width, place->height, pixel_um);
    to_px = notch_affine_of_frame (&frame);
    x = y = -place->outline->radius * pixel_um;
    width = height = -2 * x;
  } else if (region->in_dice) {
    const NotchGrid *grid = place->grid;
    to_px = notch_affine_of_die (grid, pixel_um);
    width = hypot (grid->ax, grid->ay) * pixel_um, height = hypot (grid->bx, grid->by) * pixel_um;
  }
  region->to_px = to_px;
  if (is->frame != NOTCH_FRAME_WAFER && !check_extent (regions, region, width, height, error))
    return FALSE;
  if (region->polygons)
    notch_polygons_place (region->polygons, &to_px);
  else if (is->width_um > 0)
    notch_mask_place (region->mask, &to_px, is->x_um, is->y_um, is->width_um, is->height_um);
  else if (is->frame != NOTCH_FRAME_IMAGE || check_mask (regions, region, place->width, place->height, error))
    notch_mask_place (region->mask, &to_px, x, y, width, height);
  else
    return FALSE;
  return TRUE;
}

gboolean
notch_regions_place (NotchRegions *regions, const NotchRegionPlace *place, GError **error)
{
  regions->grid = place->grid;
  regions->any_in_dice = FALSE;
  for (int i = 0; i < regions->n; i++) {
    if (!place_region (regions, &regions->region[i], place, error))
      return FALSE;
    regions->any_in_dice |= regions->region[i].in_dice;
  }
  return TRUE;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static void
mark_row (const Region *region, double x, double y, int n, guint8 *inside)
{
  if (region->mask)
    notch_mask_row (region->mask, x, y, n, inside);
  else
    notch_polygons_row (region->polygons, x, y, n, inside);
}

/* Places of a row that lie in one die. */
typedef struct {
  const NotchDie *die; /* NULL: in none */
  int from, to;
} Run;

static GArray *
runs_of (const NotchGrid *grid, double x, double y, int n)
{
  GArray *runs = g_array_new (FALSE, FALSE, sizeof (Run));
  double last_col = NAN, last_row = NAN;
  for (int i = 0; i < n; i++) {
    double col, row;
    notch_grid_to_cells (grid, x + i, y, &col, &row);
    if (floor (col) == last_col && floor (row) == last_row) {
      g_array_index (runs, Run, runs->len - 1).to++;
      continue;
    }
    last_col = floor (col), last_row = floor (row);
    const Run run = { notch_grid_locate (grid, x + i, y), i, i + 1 };
    g_array_append_val (runs, run);
  }
  return runs;
}

/* Gives the places that care areas hold, or those that are excluded, their sensitivity. */
static void
lay_row (const NotchRegions *regions, gboolean exclude, double x, double y, int n, float *sensitivity)
{
  g_autoptr (GArray) runs = regions->any_in_dice ? runs_of (regions->grid, x, y, n) : NULL;
  g_autofree guint8 *inside = g_new (guint8, (guint) n);
  for (int k = 0; k < regions->n; k++) {
    const Region *region = &regions->region[k];
    float value = exclude ? 0 : (float) region->is->sensitivity;
    if (region->is->exclude != exclude)
      continue;
    if (!region->in_dice)
      mark_row (region, x, y, n, inside);
    for (guint r = 0; region->in_dice && r < runs->len; r++) {
      const Run *run = &g_array_index (runs, Run, r);
      if (run->die)
        mark_row (region, x + run->from - run->die->x, y - run->die->y, run->to - run->from, inside + run->from);
      else
        memset (inside + run->from, 0, (gsize) (run->to - run->from));
    }
    for (int i = 0; i < n; i++)
      if (inside[i])
        sensitivity[i] = value;
  }
}

void
notch_regions_exclude_row (const NotchRegions *regions, double x, double y, int n, float *sensitivity)
{
  lay_row (regions, TRUE, x, y, n, sensitivity);
}

void
notch_regions_row (const NotchRegions *regions, double x, double y, int n, float *sensitivity)
{
  for (int i = 0; i < n; i++)
    sensitivity[i] = regions->any_care ? 0 : 1;
  lay_row (regions, FALSE, x, y, n, sensitivity);
  lay_row (regions, TRUE, x, y, n, sensitivity);
}

/* ---- methods ----------------------------------------------------------------------------------------------------- */

static int
compare_doubles (const void *a, const void *b)
{
  double x = *(const double *) a, y = *(const double *) b;
  return (x > y) - (x < y);
}

/* The upright rectangle inside, about the die's corner or the image's. */
static void
inner_box (const Region *region, double *x0, double *y0, double *x1, double *y1)
{
  const NotchRegion *is = region->is;
  double x[4], y[4];
  for (int k = 0; k < 4; k++)
    notch_affine_at (&region->to_px, is->x_um + (k & 1 ? is->width_um : 0), is->y_um + (k >> 1 ? is->height_um : 0),
                     &x[k], &y[k]);
  qsort (x, 4, sizeof *x, compare_doubles);
  qsort (y, 4, sizeof *y, compare_doubles);
  *x0 = x[1], *x1 = x[2], *y0 = y[1], *y1 = y[2];
}

/* Indices of dice, first and last. */
typedef struct {
  gint64 col0, row0, col1, row1;
} Span;

/* The dice around the corners of w x h px at (x, y), and one more on every side. */
static Span
span_of (const NotchGrid *grid, gint64 x, gint64 y, gint64 w, gint64 h)
{
  Span span = { G_MAXINT, G_MAXINT, G_MININT, G_MININT };
  for (int corner = 0; corner < 4; corner++) {
    double col, row;
    notch_grid_to_cells (grid, (double) (corner & 1 ? x + w : x), (double) (corner >> 1 ? y + h : y), &col, &row);
    span.col0 = MIN (span.col0, (gint64) floor (col) - 1), span.col1 = MAX (span.col1, (gint64) floor (col) + 1);
    span.row0 = MIN (span.row0, (gint64) floor (row) - 1), span.row1 = MAX (span.row1, (gint64) floor (row) + 1);
  }
  return span;
}

void
notch_regions_boxes (const NotchRegions *regions, gint64 x, gint64 y, gint64 w, gint64 h, NotchRegionBoxFunc each,
                     gpointer data)
{
  for (int k = 0; k < regions->n; k++) {
    const Region *region = &regions->region[k];
    double left, top, right, bottom;
    if (region->is->method == NOTCH_REFERENCE_AUTO)
      continue;
    inner_box (region, &left, &top, &right, &bottom);
    Span span = region->in_dice ? span_of (regions->grid, x, y, w, h) : (Span){ 0, 0, 0, 0 };
    for (gint64 row = span.row0; row <= span.row1; row++)
      for (gint64 col = span.col0; col <= span.col1; col++) {
        const NotchDie *die = region->in_dice ? notch_grid_die (regions->grid, (int) col, (int) row) : NULL;
        if (region->in_dice && !die)
          continue;
        double from_x = die ? die->x : 0, from_y = die ? die->y : 0;
        const NotchRegionBox box = { MAX (x, (gint64) ceil (from_x + left)), MAX (y, (gint64) ceil (from_y + top)),
                                     MIN (x + w, (gint64) ceil (from_x + right)),
                                     MIN (y + h, (gint64) ceil (from_y + bottom)) };
        if (box.x0 < box.x1 && box.y0 < box.y1)
          each (region->is, die, &box, data);
      }
  }
}
