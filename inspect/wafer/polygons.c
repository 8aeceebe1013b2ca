/* polygons.c - see polygons.h
 *
 * Sides lie in bands of rows, so that a row looks at those that it may cross and no others. */
#include "inspect/wafer/polygons.h"

#include <math.h>
#include <string.h>

#include "inspect/csv.h"

typedef struct {
  double x0, y0, x1, y1;
} Side;

struct NotchPolygons {
  GArray *um, *px;          /* Side */
  double top, bottom, band; /* px: first and last row that any side meets, height of a band */
  int n_bands;
  guint *first; /* n_bands + 1: of each band in `side` */
  guint *side;  /* indices into px */
  guint most;   /* sides of a band */
};

#define MOST_BANDS 4096
/* Sides are in so many bands on average, at most. */
#define MOST_SHARES 8

static NotchPolygons *
polygons_new (void)
{
  NotchPolygons *polygons = g_new0 (NotchPolygons, 1);
  polygons->um = g_array_new (FALSE, FALSE, sizeof (Side));
  polygons->px = g_array_new (FALSE, FALSE, sizeof (Side));
  return polygons;
}

void
notch_polygons_free (NotchPolygons *polygons)
{
  if (!polygons)
    return;
  g_array_unref (polygons->um);
  g_array_unref (polygons->px);
  g_free (polygons->first);
  g_free (polygons->side);
  g_free (polygons);
}

NotchPolygons *
notch_polygons_rectangle (double x_um, double y_um, double width_um, double height_um)
{
  NotchPolygons *polygons = polygons_new ();
  double x1 = x_um + width_um, y1 = y_um + height_um;
  const Side side[] = {
    { x_um, y_um, x1, y_um }, { x1, y_um, x1, y1 }, { x1, y1, x_um, y1 }, { x_um, y1, x_um, y_um }
  };
  g_array_append_vals (polygons->um, side, G_N_ELEMENTS (side));
  return polygons;
}

void
notch_polygons_extent (const NotchPolygons *polygons, double *x0_um, double *y0_um, double *x1_um, double *y1_um)
{
  *x0_um = *y0_um = INFINITY, *x1_um = *y1_um = -INFINITY;
  for (guint i = 0; i < polygons->um->len; i++) { /* every corner begins a side */
    const Side *side = &g_array_index (polygons->um, Side, i);
    *x0_um = MIN (*x0_um, side->x0), *x1_um = MAX (*x1_um, side->x0);
    *y0_um = MIN (*y0_um, side->y0), *y1_um = MAX (*y1_um, side->y0);
  }
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* The corners `from` to `to` - 1 are a polygon. */
static gboolean
close_polygon (NotchPolygons *polygons, const NotchCsv *csv, const GArray *corner, guint from, guint to, GError **error)
{
  if (to - from < 3) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                 "%s: line %" G_GINT64_FORMAT
                 ": polygon \"%s\" has %u corner%s; it needs three, in rows that follow each "
                 "other",
                 csv->path, g_array_index (csv->line, gint64, from),
                 notch_csv_text (csv, from, notch_csv_column (csv, "polygon")), to - from, to - from == 1 ? "" : "s");
    return FALSE;
  }
  for (guint i = from; i < to; i++) {
    const double *a = &g_array_index (corner, double, 2 * i);
    const double *b = &g_array_index (corner, double, 2 * (i + 1 < to ? i + 1 : from));
    const Side side = { a[0], a[1], b[0], b[1] };
    g_array_append_val (polygons->um, side);
  }
  return TRUE;
}

static gboolean
read_corner (const NotchCsv *csv, guint row, const char *name, GArray *corner, GError **error)
{
  double value = NAN;
  if (!notch_csv_number (csv, row, notch_csv_column (csv, name), &value, error))
    return FALSE;
  if (isnan (value)) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: line %" G_GINT64_FORMAT ": %s is empty; give a number",
                 csv->path, g_array_index (csv->line, gint64, row), name);
    return FALSE;
  }
  g_array_append_val (corner, value);
  return TRUE;
}

NotchPolygons *
notch_polygons_load (const char *path, GError **error)
{
  static const char *const column[] = { "polygon", "x_um", "y_um" };
  g_autoptr (NotchCsv) csv = notch_csv_load (path, error);
  if (!csv)
    return NULL;
  for (gsize i = 0; i < G_N_ELEMENTS (column); i++)
    if (notch_csv_column (csv, column[i]) < 0) {
      g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                   "%s: there is no column %s; the first line must be polygon,x_um,y_um", path, column[i]);
      return NULL;
    }
  g_autoptr (NotchPolygons) polygons = polygons_new ();
  g_autoptr (GArray) corner = g_array_new (FALSE, FALSE, sizeof (double));
  int name = notch_csv_column (csv, column[0]);
  guint from = 0;
  for (guint row = 0; row < csv->row->len; row++) {
    if (row > from && strcmp (notch_csv_text (csv, row, name), notch_csv_text (csv, from, name)) != 0) {
      if (!close_polygon (polygons, csv, corner, from, row, error))
        return NULL;
      from = row;
    }
    if (!read_corner (csv, row, column[1], corner, error) || !read_corner (csv, row, column[2], corner, error))
      return NULL;
  }
  if (csv->row->len == 0) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: there is no polygon in it; give a row a corner", path);
    return NULL;
  }
  if (!close_polygon (polygons, csv, corner, from, csv->row->len, error))
    return NULL;
  double x0, y0, x1, y1;
  notch_polygons_extent (polygons, &x0, &y0, &x1, &y1);
  if (!(x1 > x0) || !(y1 > y0)) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: all corners lie on one line, so nothing is inside", path);
    return NULL;
  }
  return g_steal_pointer (&polygons);
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

/* The bands that a side meets. */
static void
bands_of (const NotchPolygons *polygons, const Side *side, int *from, int *to)
{
  double low = MIN (side->y0, side->y1) - polygons->top, high = MAX (side->y0, side->y1) - polygons->top;
  *from = CLAMP ((int) (low / polygons->band), 0, polygons->n_bands - 1);
  *to = CLAMP ((int) (high / polygons->band), 0, polygons->n_bands - 1);
}

static gsize
count_shares (const NotchPolygons *polygons)
{
  gsize n = 0;
  for (guint i = 0; i < polygons->px->len; i++) {
    int from, to;
    bands_of (polygons, &g_array_index (polygons->px, Side, i), &from, &to);
    n += (gsize) (to - from + 1);
  }
  return n;
}

/* Sorts the sides into bands; long sides allow fewer of them. */
static void
make_bands (NotchPolygons *polygons)
{
  gsize n = polygons->px->len, shares;
  polygons->n_bands = (int) CLAMP (n, 1, MOST_BANDS);
  for (;; polygons->n_bands /= 2) {
    polygons->band = MAX ((polygons->bottom - polygons->top) / polygons->n_bands, 1e-9);
    shares = count_shares (polygons);
    if (shares <= MOST_SHARES * n || polygons->n_bands == 1)
      break;
  }
  polygons->first = g_new0 (guint, polygons->n_bands + 1);
  polygons->side = g_new (guint, shares);
  for (int pass = 0; pass < 2; pass++) { /* count, then fill from the back */
    for (guint i = 0; i < n; i++) {
      int from, to;
      bands_of (polygons, &g_array_index (polygons->px, Side, i), &from, &to);
      for (int b = from; b <= to; b++)
        if (pass == 0)
          polygons->first[b]++;
        else
          polygons->side[--polygons->first[b]] = i;
    }
    for (int b = 0; b <= polygons->n_bands && pass == 0; b++) {
      polygons->most = MAX (polygons->most, polygons->first[b]);
      polygons->first[b] += b > 0 ? polygons->first[b - 1] : 0;
    }
  }
}

void
notch_polygons_place (NotchPolygons *polygons, const NotchAffine *to_px)
{
  g_array_set_size (polygons->px, 0);
  g_clear_pointer (&polygons->first, g_free);
  g_clear_pointer (&polygons->side, g_free);
  polygons->top = INFINITY, polygons->bottom = -INFINITY, polygons->most = 0;
  for (guint i = 0; i < polygons->um->len; i++) {
    const Side *um = &g_array_index (polygons->um, Side, i);
    Side px;
    notch_affine_at (to_px, um->x0, um->y0, &px.x0, &px.y0);
    notch_affine_at (to_px, um->x1, um->y1, &px.x1, &px.y1);
    polygons->top = MIN (polygons->top, px.y0), polygons->bottom = MAX (polygons->bottom, px.y0);
    g_array_append_val (polygons->px, px);
  }
  make_bands (polygons);
}

static int
compare_doubles (const void *a, const void *b)
{
  double x = *(const double *) a, y = *(const double *) b;
  return (x > y) - (x < y);
}

void
notch_polygons_row (const NotchPolygons *polygons, double x, double y, int n, guint8 *inside)
{
  memset (inside, 0, (gsize) n);
  if (!(y >= polygons->top && y <= polygons->bottom))
    return;
  int band = CLAMP ((int) ((y - polygons->top) / polygons->band), 0, polygons->n_bands - 1);
  double few[64];
  g_autofree double *many = polygons->most > G_N_ELEMENTS (few) ? g_new (double, polygons->most) : NULL;
  double *crossing = many ? many : few;
  gsize k = 0;
  for (guint i = polygons->first[band]; i < polygons->first[band + 1]; i++) {
    const Side *s = &g_array_index (polygons->px, Side, polygons->side[i]);
    if ((s->y0 <= y) != (s->y1 <= y)) /* a corner on the row counts for one of its sides only, or for both */
      crossing[k++] = s->x0 + (y - s->y0) / (s->y1 - s->y0) * (s->x1 - s->x0);
  }
  qsort (crossing, k, sizeof *crossing, compare_doubles);
  for (gsize i = 0; i + 1 < k; i += 2) {
    double from = ceil (crossing[i] - x), to = ceil (crossing[i + 1] - x);
    int first = from > 0 ? (int) MIN (from, n) : 0, end = to > 0 ? (int) MIN (to, n) : 0;
    if (end > first)
      memset (inside + first, 1, (gsize) (end - first));
  }
}
