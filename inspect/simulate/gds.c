/* gds.c - reads GDSII: cells of polygons, paths and boxes that refer to each other
 *
 * The stream is a row of records: length, type, data, big-endian. What it says of itself is not believed: every length,
 * count and reference is checked, and what would grow beyond MOST_POINTS when it is expanded is refused. */
#include "inspect/simulate/gds.h"

#include "inspect/simulate/number.h"
#include "inspect/simulate/raster.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#define MOST_POINTS    4000000  /* of all polygons, expanded */
#define MOST_INSTANCES 10000000 /* of cells, expanded */
#define MOST_DEPTH     64
#define MOST_SIDE      32768
#define MOST_PIXELS    ((gint64) 1 << 27)
#define STREET_GREY    40.0

enum {
  GDS_HEADER = 0x00,
  GDS_UNITS = 0x03,
  GDS_ENDLIB = 0x04,
  GDS_BGNSTR = 0x05,
  GDS_STRNAME = 0x06,
  GDS_ENDSTR = 0x07,
  GDS_BOUNDARY = 0x08,
  GDS_PATH = 0x09,
  GDS_SREF = 0x0a,
  GDS_AREF = 0x0b,
  GDS_TEXT = 0x0c,
  GDS_LAYER = 0x0d,
  GDS_DATATYPE = 0x0e,
  GDS_WIDTH = 0x0f,
  GDS_XY = 0x10,
  GDS_ENDEL = 0x11,
  GDS_SNAME = 0x12,
  GDS_COLROW = 0x13,
  GDS_NODE = 0x15,
  GDS_STRANS = 0x1a,
  GDS_MAG = 0x1b,
  GDS_ANGLE = 0x1c,
  GDS_PATHTYPE = 0x21,
  GDS_BOX = 0x2d,
  GDS_BOXTYPE = 0x2e,
  GDS_BGNEXTN = 0x30,
  GDS_ENDEXTN = 0x31,
};

typedef struct {
  int layer, datatype;
  GArray *point; /* NotchPoint, database units, not closed */
} Polygon;

typedef struct {
  char *name; /* of the cell that is meant */
  gsize offset;
  gboolean mirror;
  double magnification, angle; /* degrees */
  int cols, rows;
  NotchPoint at, col_step, row_step;
} Reference;

typedef struct {
  char *name;
  GArray *polygon, *reference;
  gboolean open, referred; /* being expanded; some cell refers to it */
} Cell;

typedef struct {
  const char *path;
  const guint8 *bytes;
  gsize n, at;
  double unit_nm; /* of the database */
  GPtrArray *cell;
  GHashTable *by_name;
} Library;

typedef struct {
  int type;
  gsize offset, n;
  const guint8 *data;
} Record;

/* What an element says until its end. */
typedef struct {
  int type;
  gsize offset;
  int layer, datatype, path_type, cols, rows;
  double width, extension[2], magnification, angle;
  gboolean mirror;
  char *name;
  GArray *xy; /* NotchPoint */
} Element;

static gboolean fail (const Library *library, gsize offset, GError **error, const char *format, ...)
    G_GNUC_PRINTF (4, 5);

static gboolean
fail (const Library *library, gsize offset, GError **error, const char *format, ...)
{
  va_list arguments;
  va_start (arguments, format);
  g_autofree char *text = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: record at byte %" G_GSIZE_FORMAT ": %s", library->path,
               offset, text);
  return FALSE;
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

static int
read_i16 (const guint8 *at)
{
  return (gint16) (at[0] << 8 | at[1]);
}

static double
read_i32 (const guint8 *at)
{
  return (gint32) ((guint32) at[0] << 24 | (guint32) at[1] << 16 | (guint32) at[2] << 8 | at[3]);
}

/* Sign, exponent of 16 with an excess of 64, mantissa of 56 bits. */
static double
read_real (const guint8 *at)
{
  double mantissa = 0;
  for (int i = 7; i > 0; i--)
    mantissa = (mantissa + at[i]) / 256;
  double value = ldexp (mantissa, 4 * ((at[0] & 0x7f) - 64));
  return at[0] & 0x80 ? -value : value;
}

static char *
read_text (const Record *record)
{
  return g_strndup ((const char *) record->data, record->n); /* names are padded with a zero to an even length */
}

static gboolean
next_record (Library *library, Record *record, GError **error)
{
  gsize at = library->at;
  if (library->n - at < 4)
    return fail (library, at, error, "the file ends without ENDLIB; it is cut off");
  gsize length = (gsize) library->bytes[at] << 8 | library->bytes[at + 1];
  if (length < 4 || length % 2 != 0)
    return fail (library, at, error, "a record of %" G_GSIZE_FORMAT " bytes; the file is damaged", length);
  if (length > library->n - at)
    return fail (library, at, error,
                 "a record of %" G_GSIZE_FORMAT " bytes, but only %" G_GSIZE_FORMAT " are left; the file is cut off",
                 length, library->n - at);
  *record = (Record){ library->bytes[at + 2], at, length - 4, library->bytes + at + 4 };
  library->at = at + length;
  return TRUE;
}

/* Whether a record has room for what is read of it. */
static gboolean
has (const Library *library, const Record *record, gsize n, GError **error)
{
  return record->n >= n
         || fail (library, record->offset, error,
                  "type 0x%02x with %" G_GSIZE_FORMAT " bytes of data instead of %" G_GSIZE_FORMAT,
                  (guint) record->type, record->n, n);
}

static gboolean
take_points (const Library *library, const Record *record, GArray *xy, GError **error)
{
  if (record->n == 0 || record->n % 8 != 0)
    return fail (library, record->offset, error, "XY of %" G_GSIZE_FORMAT " bytes is no list of points", record->n);
  g_array_set_size (xy, 0);
  for (gsize i = 0; i < record->n; i += 8) {
    const NotchPoint point = { read_i32 (record->data + i), read_i32 (record->data + i + 4) };
    g_array_append_val (xy, point);
  }
  return TRUE;
}

/* ---- elements ---------------------------------------------------------------------------------------------------- */

static void
free_polygon (gpointer data)
{
  g_array_unref (((Polygon *) data)->point);
}

static void
free_reference (gpointer data)
{
  g_free (((Reference *) data)->name);
}

static void
free_cell (gpointer data)
{
  Cell *cell = data;
  g_array_unref (cell->polygon);
  g_array_unref (cell->reference);
  g_free (cell->name);
  g_free (cell);
}

static void
add_polygon (Cell *cell, const Element *element, GArray *point)
{
  const NotchPoint *p = &g_array_index (point, NotchPoint, 0);
  if (point->len > 1 && p[0].x == p[point->len - 1].x && p[0].y == p[point->len - 1].y)
    g_array_set_size (point, point->len - 1);
  Polygon polygon = { element->layer, element->datatype, g_array_ref (point) };
  if (point->len >= 3)
    g_array_append_val (cell->polygon, polygon);
  else
    free_polygon (&polygon);
}

/* The outline of a path: along its left side and back along its right, mitred at the bends. */
static void
add_path (Cell *cell, const Element *element)
{
  const double half = fabs (element->width) / 2, *extension = element->extension;
  g_autoptr (GArray) line = g_array_new (FALSE, FALSE, sizeof (NotchPoint));
  for (guint i = 0; i < element->xy->len; i++) {
    const NotchPoint *p = &g_array_index (element->xy, NotchPoint, i);
    const NotchPoint *last = line->len > 0 ? &g_array_index (line, NotchPoint, line->len - 1) : NULL;
    if (!last || last->x != p->x || last->y != p->y)
      g_array_append_val (line, *p);
  }
  guint n = line->len;
  if (half == 0 || n < 2)
    return;
  const NotchPoint *p = &g_array_index (line, NotchPoint, 0);
  double longer[2] = { extension[0], extension[1] };
  if (element->path_type == 1 || element->path_type == 2) /* a round end is drawn square */
    longer[0] = longer[1] = half;
  else if (element->path_type == 0)
    longer[0] = longer[1] = 0;
  g_autoptr (GArray) outline = g_array_sized_new (FALSE, TRUE, sizeof (NotchPoint), 2 * n);
  g_array_set_size (outline, 2 * n);
  NotchPoint *to = &g_array_index (outline, NotchPoint, 0);
  for (guint i = 0; i < n; i++) {
    guint before = i > 0 ? i - 1 : 0, after = i + 1 < n ? i + 1 : n - 1;
    double ax = p[i].x - p[before].x, ay = p[i].y - p[before].y, bx = p[after].x - p[i].x, by = p[after].y - p[i].y;
    if (i == 0)
      ax = bx, ay = by;
    if (i + 1 == n)
      bx = ax, by = ay;
    double a = hypot (ax, ay), b = hypot (bx, by);
    ax /= a, ay /= a, bx /= b, by /= b;
    double mx = -(ay + by), my = ax + bx, square = mx * mx + my * my;
    double reach = half * (square > 0.25 ? 2 / square : 8); /* sharper bends than 30 degrees are cut off */
    double on = i == 0 ? -longer[0] : i + 1 == n ? longer[1] : 0, x = p[i].x + on * ax, y = p[i].y + on * ay;
    if (square == 0)
      mx = -ay, my = ax, reach = half;
    to[i] = (NotchPoint){ x + reach * mx, y + reach * my };
    to[2 * n - 1 - i] = (NotchPoint){ x - reach * mx, y - reach * my };
  }
  add_polygon (cell, element, outline);
}

static gboolean
add_reference (const Library *library, Cell *cell, Element *element, GError **error)
{
  Reference r = { .offset = element->offset, .mirror = element->mirror, .cols = 1, .rows = 1 };
  const NotchPoint *xy = &g_array_index (element->xy, NotchPoint, 0);
  guint wanted = element->type == GDS_AREF ? 3 : 1;
  if (!element->name || element->xy->len < wanted)
    return fail (library, element->offset, error, "a reference without a name or with %u of %u points",
                 element->xy->len, wanted);
  if (!(element->magnification > 0) || !isfinite (element->magnification) || !isfinite (element->angle))
    return fail (library, element->offset, error, "a reference magnified by %s",
                 notch_number (element->magnification, -1).text);
  if (element->type == GDS_AREF && (element->cols < 1 || element->rows < 1))
    return fail (library, element->offset, error, "an array of %d x %d cells", element->cols, element->rows);
  r.magnification = element->magnification;
  r.angle = element->angle;
  r.at = xy[0];
  if (element->type == GDS_AREF) {
    r.cols = element->cols, r.rows = element->rows;
    r.col_step = (NotchPoint){ (xy[1].x - xy[0].x) / r.cols, (xy[1].y - xy[0].y) / r.cols };
    r.row_step = (NotchPoint){ (xy[2].x - xy[0].x) / r.rows, (xy[2].y - xy[0].y) / r.rows };
  }
  r.name = g_steal_pointer (&element->name);
  g_array_append_val (cell->reference, r);
  return TRUE;
}

static gboolean
end_element (const Library *library, Cell *cell, Element *element, GError **error)
{
  if (element->type == GDS_TEXT || element->type == GDS_NODE)
    return TRUE;
  if (element->xy->len == 0)
    return fail (library, element->offset, error, "an element without XY");
  if (element->type == GDS_SREF || element->type == GDS_AREF)
    return add_reference (library, cell, element, error);
  if (element->type == GDS_PATH)
    add_path (cell, element);
  else {
    g_autoptr (GArray) copy = g_array_copy (element->xy);
    add_polygon (cell, element, copy);
  }
  return TRUE;
}

static gboolean
read_field (const Library *library, const Record *record, Element *element, GError **error)
{
  static const struct {
    int type;
    gsize least;
  } sizes[] = { { GDS_LAYER, 2 },  { GDS_DATATYPE, 2 }, { GDS_BOXTYPE, 2 }, { GDS_PATHTYPE, 2 },
                { GDS_WIDTH, 4 },  { GDS_BGNEXTN, 4 },  { GDS_ENDEXTN, 4 }, { GDS_COLROW, 4 },
                { GDS_STRANS, 2 }, { GDS_MAG, 8 },      { GDS_ANGLE, 8 } };
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    if (sizes[i].type == record->type && !has (library, record, sizes[i].least, error))
      return FALSE;
  const guint8 *data = record->data;
  switch (record->type) {
  case GDS_LAYER:
    element->layer = read_i16 (data);
    break;
  case GDS_DATATYPE:
  case GDS_BOXTYPE:
    element->datatype = read_i16 (data);
    break;
  case GDS_PATHTYPE:
    element->path_type = read_i16 (data);
    break;
  case GDS_WIDTH:
    element->width = read_i32 (data);
    break;
  case GDS_BGNEXTN:
  case GDS_ENDEXTN:
    element->extension[record->type == GDS_ENDEXTN] = read_i32 (data);
    break;
  case GDS_COLROW:
    element->cols = read_i16 (data);
    element->rows = read_i16 (data + 2);
    break;
  case GDS_STRANS:
    element->mirror = (data[0] & 0x80) != 0;
    break;
  case GDS_MAG:
    element->magnification = read_real (data);
    break;
  case GDS_ANGLE:
    element->angle = read_real (data);
    break;
  case GDS_SNAME:
    g_free (element->name);
    element->name = read_text (record);
    break;
  case GDS_XY:
    return take_points (library, record, element->xy, error);
  default: /* properties and the like */
    break;
  }
  return TRUE;
}

static gboolean
read_element (Library *library, Cell *cell, const Record *start, GError **error)
{
  g_autoptr (GArray) xy = g_array_new (FALSE, FALSE, sizeof (NotchPoint));
  Element element = { .type = start->type, .offset = start->offset, .xy = xy, .magnification = 1 };
  Record record = { 0 };
  gboolean ok = TRUE;
  while (ok && (ok = next_record (library, &record, error)) && record.type != GDS_ENDEL) {
    if (record.type == GDS_ENDSTR || record.type == GDS_ENDLIB || record.type == GDS_BGNSTR)
      ok = fail (library, record.offset, error, "the element at byte %" G_GSIZE_FORMAT " has no ENDEL", start->offset);
    else
      ok = read_field (library, &record, &element, error);
  }
  ok = ok && end_element (library, cell, &element, error);
  g_free (element.name);
  return ok;
}

static gboolean
read_cell (Library *library, GError **error)
{
  Cell *cell = g_new0 (Cell, 1);
  cell->polygon = g_array_new (FALSE, FALSE, sizeof (Polygon));
  cell->reference = g_array_new (FALSE, FALSE, sizeof (Reference));
  g_array_set_clear_func (cell->polygon, free_polygon);
  g_array_set_clear_func (cell->reference, free_reference);
  g_ptr_array_add (library->cell, cell);
  Record record = { 0 };
  for (;;) {
    if (!next_record (library, &record, error))
      return FALSE;
    switch (record.type) {
    case GDS_ENDSTR:
      return TRUE;
    case GDS_STRNAME:
      if (cell->name)
        return fail (library, record.offset, error, "a second name of cell %s", cell->name);
      cell->name = read_text (&record);
      if (!g_hash_table_insert (library->by_name, cell->name, cell))
        return fail (library, record.offset, error, "there are two cells %s", cell->name);
      break;
    case GDS_BOUNDARY:
    case GDS_PATH:
    case GDS_BOX:
    case GDS_SREF:
    case GDS_AREF:
    case GDS_TEXT:
    case GDS_NODE:
      if (!read_element (library, cell, &record, error))
        return FALSE;
      break;
    case GDS_ENDLIB:
    case GDS_BGNSTR:
      return fail (library, record.offset, error, "the cell before it has no ENDSTR");
    default:
      break;
    }
  }
}

static gboolean
read_library (Library *library, GError **error)
{
  Record record = { 0 };
  do {
    if (!next_record (library, &record, error))
      return FALSE;
    if (record.offset == 0 && record.type != GDS_HEADER)
      return fail (library, 0, error, "this is no GDSII file");
    if (record.type == GDS_UNITS) {
      if (!has (library, &record, 16, error))
        return FALSE;
      library->unit_nm = read_real (record.data + 8) * 1e9;
      if (!(library->unit_nm > 1e-6 && library->unit_nm < 1e6))
        return fail (library, record.offset, error, "a database unit of %s nm",
                     notch_number (library->unit_nm, -1).text);
    }
    if (record.type == GDS_BGNSTR && !read_cell (library, error))
      return FALSE;
  } while (record.type != GDS_ENDLIB);
  return library->unit_nm > 0 || fail (library, record.offset, error, "the library has no UNITS");
}

/* ---- expanding --------------------------------------------------------------------------------------------------- */

/* x' = a x + b y + e, y' = c x + d y + f. */
typedef struct {
  double a, b, c, d, e, f;
} Transform;

typedef struct {
  const Library *library;
  const char *list;
  GPtrArray *shape; /* NotchShape, one a layer */
  guint n_points, n_instances;
} Flat;

static Transform
chain (const Transform *outer, const Transform *inner)
{
  return (Transform){ outer->a * inner->a + outer->b * inner->c,
                      outer->a * inner->b + outer->b * inner->d,
                      outer->c * inner->a + outer->d * inner->c,
                      outer->c * inner->b + outer->d * inner->d,
                      outer->a * inner->e + outer->b * inner->f + outer->e,
                      outer->c * inner->e + outer->d * inner->f + outer->f };
}

/* Mirrored about x, magnified, turned, moved, in this order. */
static Transform
place (const Reference *r, int col, int row)
{
  double turns = fmod (r->angle / 90, 4), c = cos (turns * G_PI_2), s = sin (turns * G_PI_2);
  if (turns == floor (turns)) /* right angles are exact */
    c = round (c), s = round (s);
  double m = r->magnification, flip = r->mirror ? -1 : 1;
  return (Transform){ m * c,
                      -m * s * flip,
                      m * s,
                      m * c * flip,
                      r->at.x + col * r->col_step.x + row * r->row_step.x,
                      r->at.y + col * r->col_step.y + row * r->row_step.y };
}

static NotchShape *
shape_of (Flat *flat, int layer, int datatype)
{
  for (guint i = 0; i < flat->shape->len; i++) {
    NotchShape *shape = g_ptr_array_index (flat->shape, i);
    if (shape->layer == layer && shape->datatype == datatype)
      return shape;
  }
  if (flat->list) /* what is listed is there already */
    return NULL;
  NotchShape *shape = notch_shape_new (layer, datatype);
  g_ptr_array_add (flat->shape, shape);
  return shape;
}

static gboolean
expand (Flat *flat, Cell *cell, const Transform *t, int depth, GError **error)
{
  const Library *library = flat->library;
  g_autoptr (GArray) moved = g_array_new (FALSE, FALSE, sizeof (NotchPoint));
  if (++flat->n_instances > MOST_INSTANCES)
    return fail (library, 0, error, "cell %s: the layout expands to more than %d cells", cell->name, MOST_INSTANCES);
  for (guint i = 0; i < cell->polygon->len; i++) {
    const Polygon *polygon = &g_array_index (cell->polygon, Polygon, i);
    NotchShape *shape = shape_of (flat, polygon->layer, polygon->datatype);
    if (!shape)
      continue;
    if ((flat->n_points += polygon->point->len) > MOST_POINTS)
      return fail (library, 0, error, "cell %s: the layout expands to more than %d points", cell->name, MOST_POINTS);
    g_array_set_size (moved, polygon->point->len);
    for (guint k = 0; k < moved->len; k++) {
      const NotchPoint *p = &g_array_index (polygon->point, NotchPoint, k);
      g_array_index (moved, NotchPoint, k) =
          (NotchPoint){ t->a * p->x + t->b * p->y + t->e, t->c * p->x + t->d * p->y + t->f };
    }
    notch_shape_add (shape, &g_array_index (moved, NotchPoint, 0), moved->len);
  }
  cell->open = TRUE;
  for (guint i = 0; i < cell->reference->len; i++) {
    const Reference *r = &g_array_index (cell->reference, Reference, i);
    Cell *other = g_hash_table_lookup (library->by_name, r->name);
    if (other->open || depth >= MOST_DEPTH)
      return fail (library, r->offset, error,
                   other->open ? "cell %s contains itself" : "cell %s lies deeper than can be drawn", r->name);
    for (int row = 0; row < r->rows; row++)
      for (int col = 0; col < r->cols; col++) {
        const Transform inner = place (r, col, row), both = chain (t, &inner);
        if (!expand (flat, other, &both, depth + 1, error))
          return FALSE;
      }
  }
  cell->open = FALSE;
  return TRUE;
}

static Cell *
top_cell (const Library *library, GError **error)
{
  for (guint i = 0; i < library->cell->len; i++) {
    const Cell *cell = g_ptr_array_index (library->cell, i);
    for (guint k = 0; k < cell->reference->len; k++) {
      const Reference *r = &g_array_index (cell->reference, Reference, k);
      Cell *other = g_hash_table_lookup (library->by_name, r->name);
      if (!other)
        return fail (library, r->offset, error, "there is no cell %s", r->name), NULL;
      other->referred = TRUE;
    }
  }
  for (guint i = 0; i < library->cell->len; i++) {
    Cell *cell = g_ptr_array_index (library->cell, i);
    if (!cell->referred && cell->name)
      return cell;
  }
  return fail (library, 0, error, "no cell is on top: there is none, or they contain each other"), NULL;
}

/* ---- drawing ----------------------------------------------------------------------------------------------------- */

static gboolean
read_list (const char *list, GPtrArray *shape, GError **error)
{
  g_auto (GStrv) words = g_strsplit (list, ",", -1);
  for (int i = 0; words[i]; i++) {
    char *end = words[i];
    gint64 layer = g_ascii_strtoll (words[i], &end, 10), datatype = 0;
    gboolean ok = end > words[i] && *end == '/';
    if (ok)
      datatype = g_ascii_strtoll (end + 1, &end, 10);
    ok = ok && *end == '=';
    double grey = ok ? g_ascii_strtod (end + 1, &end) : 0;
    if (!ok || *end || ABS (layer) > 32767 || ABS (datatype) > 32767 || !(grey >= 0 && grey <= 255))
      return g_set_error (
                 error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
                 "layers wants LAYER/DATATYPE=GREY with commas between, for example 68/20=120,69/20=180, not %s",
                 words[i]),
             FALSE;
    NotchShape *one = notch_shape_new ((int) layer, (int) datatype);
    one->grey = grey;
    g_ptr_array_add (shape, one);
  }
  return TRUE;
}

/* Wide layers below, so that nothing hides what is smaller; of equal ones the higher number is above. */
static int
by_area (gconstpointer a, gconstpointer b)
{
  const NotchShape *p = *(NotchShape *const *) a, *q = *(NotchShape *const *) b;
  if (p->area != q->area)
    return p->area > q->area ? -1 : 1;
  return p->layer != q->layer ? p->layer - q->layer : p->datatype - q->datatype;
}

static float *
draw (const Flat *flat, double nm_per_px, gint64 *width, gint64 *height, GError **error)
{
  const Library *library = flat->library;
  double x0 = G_MAXDOUBLE, y0 = G_MAXDOUBLE, x1 = -G_MAXDOUBLE, y1 = -G_MAXDOUBLE;
  double scale = library->unit_nm / nm_per_px;
  for (guint i = 0; i < flat->shape->len; i++) {
    const NotchShape *shape = g_ptr_array_index (flat->shape, i);
    x0 = MIN (x0, shape->x0), x1 = MAX (x1, shape->x1), y0 = MIN (y0, shape->y0), y1 = MAX (y1, shape->y1);
  }
  if (!(x1 > x0 && y1 > y0))
    return g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: nothing to draw on the layers that are asked for",
                        library->path),
           NULL;
  double w = ceil ((x1 - x0) * scale) + 2 * NOTCH_GDS_STREET_PX, h = ceil ((y1 - y0) * scale) + 2 * NOTCH_GDS_STREET_PX;
  if (w > MOST_SIDE || h > MOST_SIDE || w * h > (double) MOST_PIXELS)
    return g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
                        "%s: %s x %s px at %s nm-per-px is too large for a die; choose more nm-per-px", library->path,
                        notch_number (w, 0).text, notch_number (h, 0).text, notch_number (nm_per_px, -1).text),
           NULL;
  *width = (gint64) w;
  *height = (gint64) h;
  gsize n = (gsize) *width * (gsize) *height;
  g_autofree float *picture = g_try_malloc_n (n, sizeof (float));
  if (!picture)
    return g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: not enough memory for %" G_GSIZE_FORMAT " pixels",
                        library->path, n),
           NULL;
  for (gsize i = 0; i < n; i++)
    picture[i] = STREET_GREY;
  for (guint i = 0; i < flat->shape->len; i++) {
    NotchShape *shape = g_ptr_array_index (flat->shape, i);
    if (!flat->list)
      shape->grey = 70 + 140.0 * i / MAX (flat->shape->len - 1, 1);
    notch_shape_draw (shape, scale, NOTCH_GDS_STREET_PX - x0 * scale, NOTCH_GDS_STREET_PX + y1 * scale, *width, *height,
                      picture);
  }
  return g_steal_pointer (&picture);
}

gboolean
notch_gds_detect (const char *path)
{
  guint8 head[4] = { 0 };
  FILE *file = g_fopen (path, "rb");
  gsize n = file ? fread (head, 1, 4, file) : 0;
  if (file)
    fclose (file);
  return n == 4 && head[0] == 0 && head[1] == 6 && head[2] == GDS_HEADER && head[3] == 2;
}

float *
notch_gds_draw (const char *path, double nm_per_px, const char *list, gint64 *width, gint64 *height, GError **error)
{
  GError *reason = NULL;
  g_autoptr (GMappedFile) file = g_mapped_file_new (path, FALSE, &reason);
  if (!file) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: cannot be read: %s", path, reason->message);
    g_error_free (reason);
    return NULL;
  }
  g_autoptr (GPtrArray) cells = g_ptr_array_new_with_free_func (free_cell);
  g_autoptr (GHashTable) by_name = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GPtrArray) shapes = g_ptr_array_new_with_free_func ((GDestroyNotify) notch_shape_free);
  Library library = { .path = path, .cell = cells, .by_name = by_name };
  library.bytes = (const guint8 *) g_mapped_file_get_contents (file);
  library.n = g_mapped_file_get_length (file);
  Flat flat = { .library = &library, .list = list, .shape = shapes };
  const Transform as_is = { 1, 0, 0, 1, 0, 0 };
  if ((list && !read_list (list, shapes, error)) || !read_library (&library, error))
    return NULL;
  Cell *top = top_cell (&library, error);
  if (!top || !expand (&flat, top, &as_is, 0, error))
    return NULL;
  if (!list)
    g_ptr_array_sort (shapes, by_area);
  return draw (&flat, nm_per_px, width, height, error);
}
