/* grid.c - the dice of a lattice on an image */
#include "inspect/wafer/grid.h"

#include <math.h>

/* More dice than a wafer can hold: the pitch is wrong, or its unit. */
#define MOST_DICE 4000000

#define SLACK NOTCH_GRID_SLACK

void
notch_grid_free (NotchGrid *grid)
{
  if (!grid)
    return;
  g_array_unref (grid->die);
  g_free (grid);
}

NotchDie *
notch_grid_die (const NotchGrid *grid, int col, int row)
{
  int i = col - grid->first_col, j = row - grid->first_row;
  if (i < 0 || j < 0 || i >= grid->n_cols || j >= grid->n_rows)
    return NULL;
  return &g_array_index (grid->die, NotchDie, (gsize) j * (gsize) grid->n_cols + (gsize) i);
}

void
notch_grid_to_cells (const NotchGrid *grid, double x, double y, double *col, double *row)
{
  double determinant = grid->ax * grid->by - grid->ay * grid->bx;
  double u = x - grid->x, v = y - grid->y;
  *col = (u * grid->by - v * grid->bx) / determinant;
  *row = (v * grid->ax - u * grid->ay) / determinant;
}

void
notch_grid_from_cells (const NotchGrid *grid, double col, double row, double *x, double *y)
{
  *x = grid->x + col * grid->ax + row * grid->bx;
  *y = grid->y + col * grid->ay + row * grid->by;
}

NotchDie *
notch_grid_locate (const NotchGrid *grid, double x, double y)
{
  double col = 0, row = 0;
  notch_grid_to_cells (grid, x, y, &col, &row);
  col = floor (col);
  row = ceil (row) - 1;
  if (!(fabs (col) < G_MAXINT / 2) || !(fabs (row) < G_MAXINT / 2))
    return NULL;
  return notch_grid_die (grid, (int) col, (int) row);
}

int
notch_grid_count (const NotchGrid *grid, NotchDieKind kind)
{
  int n = 0;
  for (guint i = 0; i < grid->die->len; i++)
    n += g_array_index (grid->die, NotchDie, i).kind == kind;
  return n;
}

double
notch_outline_exclusion (const NotchOutline *outline, const NotchRecipe *recipe, double pixel_um)
{
  if (!(outline->radius > 0))
    return 0;
  if (2 * outline->radius * pixel_um >= NOTCH_LEAST_WAFER_MM * 1000)
    return recipe->wafer.edge_exclusion_mm * 1000 / pixel_um;
  double diameter = recipe->wafer.diameter_mm > 0 ? recipe->wafer.diameter_mm : 300;
  return recipe->wafer.edge_exclusion_mm / diameter * 2 * outline->radius;
}

static gboolean
is_excluded (const NotchRecipe *recipe, int col, int row)
{
  for (guint i = 0; i < recipe->dice.excluded->len; i++) {
    const int *pair = (const int *) (gconstpointer) recipe->dice.excluded->data + 2 * i;
    if (pair[0] == col && pair[1] == row)
      return TRUE;
  }
  return FALSE;
}

/* The image's rectangle with its borders, and the usable disc (radius 0: all). */
typedef struct {
  double right, bottom; /* px: the first pixel begins at -0.5 */
  double x, y, radius;
} Field;

static NotchDieKind
judge (const NotchGrid *grid, int col, int row, const Field *field)
{
  double left = INFINITY, top = INFINITY, right = -INFINITY, bottom = -INFINITY;
  int on_wafer = 0;
  for (int k = 0; k < 4; k++) {
    double x = 0, y = 0;
    notch_grid_from_cells (grid, col + (k & 1), row + (k >> 1), &x, &y);
    left = fmin (left, x);
    right = fmax (right, x);
    top = fmin (top, y);
    bottom = fmax (bottom, y);
    on_wafer += field->radius <= 0 || hypot (x - field->x, y - field->y) <= field->radius;
  }
  if (right < -0.5 + SLACK || bottom < -0.5 + SLACK || left > field->right - SLACK || top > field->bottom - SLACK)
    return NOTCH_DIE_OUTSIDE;
  double x = 0, y = 0;
  notch_grid_from_cells (grid, col + 0.5, row + 0.5, &x, &y);
  if (on_wafer == 0 && hypot (x - field->x, y - field->y) > field->radius)
    return NOTCH_DIE_OUTSIDE;
  if (on_wafer == 4 && left >= -0.5 - SLACK && top >= -0.5 - SLACK && right <= field->right + SLACK
      && bottom <= field->bottom + SLACK)
    return NOTCH_DIE_WHOLE;
  return NOTCH_DIE_PARTIAL;
}

/* The range of cells that the image touches. */
static gboolean
span (NotchGrid *grid, const Field *field, GError **error)
{
  double low_col = INFINITY, low_row = INFINITY, high_col = -INFINITY, high_row = -INFINITY;
  for (int k = 0; k < 4; k++) {
    double col = 0, row = 0;
    notch_grid_to_cells (grid, k & 1 ? field->right : -0.5, k >> 1 ? field->bottom : -0.5, &col, &row);
    low_col = fmin (low_col, col);
    high_col = fmax (high_col, col);
    low_row = fmin (low_row, row);
    high_row = fmax (high_row, row);
  }
  double slack_col = SLACK / hypot (grid->ax, grid->ay), slack_row = SLACK / hypot (grid->bx, grid->by);
  low_col = floor (low_col + slack_col);
  low_row = floor (low_row + slack_row);
  high_col = fmax (ceil (high_col - slack_col), low_col + 1);
  high_row = fmax (ceil (high_row - slack_row), low_row + 1);
  if (!((high_col - low_col) * (high_row - low_row) <= MOST_DICE)) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE,
                 "the recipe's pitch puts more than %d dice on the image; check [dice] and [wafer] pixel_um",
                 MOST_DICE);
    return FALSE;
  }
  grid->first_col = (int) low_col;
  grid->first_row = (int) low_row;
  grid->n_cols = (int) (high_col - low_col);
  grid->n_rows = (int) (high_row - low_row);
  return TRUE;
}

static gboolean
get_pitch (double px, double um, double pixel_um, double *pitch, GError **error)
{
  *pitch = px;
  if (px > 0 || !(um > 0))
    return TRUE;
  if (!(pixel_um > 0)) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE,
                 "the recipe gives the dice's pitch in µm and the pixel size is not known; set [wafer] pixel_um");
    return FALSE;
  }
  *pitch = um / pixel_um;
  return TRUE;
}

NotchGrid *
notch_grid_new (const NotchRecipe *recipe, gint64 width, gint64 height, double pixel_um, const NotchOutline *outline,
                GError **error)
{
  double pitch_x = 0, pitch_y = 0;
  if (!get_pitch (recipe->dice.pitch_x_px, recipe->dice.pitch_x_um, pixel_um, &pitch_x, error)
      || !get_pitch (recipe->dice.pitch_y_px, recipe->dice.pitch_y_um, pixel_um, &pitch_y, error))
    return NULL;
  if (!(pitch_x > 0) || !(pitch_y > 0))
    return NULL;
  if (pitch_x > width + 2 * SLACK || pitch_y > height + 2 * SLACK) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE,
                 "the recipe's die of %.1f x %.1f px is larger than the image of %" G_GINT64_FORMAT
                 " x %" G_GINT64_FORMAT " px; check [dice] and [wafer] pixel_um",
                 pitch_x, pitch_y, width, height);
    return NULL;
  }
  double angle = recipe->dice.angle_mrad / 1000;
  g_autoptr (NotchGrid) grid = g_new0 (NotchGrid, 1);
  grid->die = g_array_new (FALSE, TRUE, sizeof (NotchDie));
  grid->x = isnan (recipe->dice.origin_x_px) ? -0.5 : recipe->dice.origin_x_px;
  grid->y = isnan (recipe->dice.origin_y_px) ? -0.5 : recipe->dice.origin_y_px;
  grid->ax = pitch_x * cos (angle);
  grid->ay = pitch_x * sin (angle);
  grid->bx = -pitch_y * sin (angle);
  grid->by = pitch_y * cos (angle);
  grid->sure = 1;
  Field field = { width - 0.5, height - 0.5, outline->x, outline->y, 0 };
  if (outline->radius > 0)
    field.radius = fmax (outline->radius - notch_outline_exclusion (outline, recipe, pixel_um), G_MINDOUBLE);
  if (!span (grid, &field, error))
    return NULL;
  g_array_set_size (grid->die, (guint) (grid->n_cols * grid->n_rows));
  for (int j = 0; j < grid->n_rows; j++)
    for (int i = 0; i < grid->n_cols; i++) {
      int col = grid->first_col + i, row = grid->first_row + j;
      NotchDie *die = notch_grid_die (grid, col, row);
      die->col = col;
      die->row = row;
      die->kind = judge (grid, col, row, &field);
      if (die->kind != NOTCH_DIE_OUTSIDE && is_excluded (recipe, col, row))
        die->kind = NOTCH_DIE_EXCLUDED;
      notch_grid_from_cells (grid, col, row, &die->x, &die->y);
    }
  return g_steal_pointer (&grid);
}
