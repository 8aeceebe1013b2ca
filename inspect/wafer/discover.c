/* discover.c - completes a recipe from an image: outline, pixel size, grid of dice */
#include "inspect/wafer/discover.h"

#include <math.h>

#include "inspect/wafer/lattice.h"
#include "inspect/wafer/outline.h"
#include "inspect/wafer/period.h"

/* The period is looked for in so many px a side: large enough for streets, small enough to be quick. */
#define PERIOD_PX 1024
/* Dice smaller than this at full size are not looked for: they would rather be cells. */
#define LEAST_DIE NOTCH_LEAST_DIE_PX

/* A single row of dice that would be so many times as high as wide may be several rows that are not alike. */
#define LONGEST_DIE 3

/* The image in work, and what is known about it. */
typedef struct {
  NotchStore *store;
  const NotchSource *source;
  const NotchReduced *overview;
  NotchRecipe *recipe;
  NotchDiscovery *found;
  GString *report;
} Discovery;

void
notch_discovery_free (NotchDiscovery *discovery)
{
  if (!discovery)
    return;
  g_clear_pointer (&discovery->grid, notch_grid_free);
  g_clear_pointer (&discovery->arrays, notch_arrays_free);
  g_free (discovery->report);
  g_clear_pointer (&discovery->warning, g_ptr_array_unref);
  g_free (discovery);
}

static void note (const Discovery *d, const char *format, ...) G_GNUC_PRINTF (2, 3);

static void
note (const Discovery *d, const char *format, ...)
{
  va_list arguments;
  va_start (arguments, format);
  g_string_append_vprintf (d->report, format, arguments);
  g_string_append_c (d->report, '\n');
  va_end (arguments);
}

/* To a millionth: more digits would only look exact. */
static double
rounded (double value)
{
  return rint (value * 1e6) / 1e6;
}

/* ---- the wafer --------------------------------------------------------------------------------------------------- */

static void warn (const Discovery *d, const char *format, ...) G_GNUC_PRINTF (2, 3);

/* Says what the user must see, in the report as well. */
static void
warn (const Discovery *d, const char *format, ...)
{
  va_list arguments;
  va_start (arguments, format);
  char *text = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  note (d, "%s", text);
  g_ptr_array_add (d->found->warning, text);
}

static const char *const side_name[] = { "down", "left", "up", "right" };

/* Diameters that are made, mm: a measured one within 2 % of one of them is that one. */
static double
usual_diameter (double diameter)
{
  static const double usual[] = { 25.4, 50.8, 76.2, 100, 125, 150, 200, 300, 450 };
  for (gsize i = 0; i < G_N_ELEMENTS (usual); i++)
    if (fabs (diameter / usual[i] - 1) < 0.02)
      return usual[i];
  return diameter;
}

/* Squares to a hundredth: tags are rounded. */
#define SQUARE 0.01

double
notch_pixel_um (const NotchRecipe *recipe, const NotchSource *source, GPtrArray *warning)
{
  double x = source->pixel_um_x, y = source->pixel_um_y;
  char *line = NULL;
  if (recipe->wafer.pixel_um > 0 || !(x > 0))
    return recipe->wafer.pixel_um;
  if (!notch_recipe_allows ("wafer", "pixel_um", x)) {
    line = g_strdup_printf ("its resolution tags say that a pixel is %.6g µm wide, which is not believed; give [wafer] "
                            "pixel_um",
                            x);
    x = 0;
  } else if (y > 0 && fabs (x / y - 1) > SQUARE)
    line = g_strdup_printf ("its resolution tags say that a pixel is %.6g µm wide and %.6g µm high; it is taken to be "
                            "as high as it is wide, check [wafer] pixel_um",
                            x, y);
  if (line && warning)
    g_ptr_array_add (warning, line);
  else
    g_free (line);
  return x;
}

static void
discover_pixel (Discovery *d)
{
  NotchRecipe *recipe = d->recipe;
  const char *from = recipe->wafer.pixel_um > 0 ? "given" : "from the image's resolution";
  d->found->pixel_um = notch_pixel_um (recipe, d->source, NULL);
  if (!(d->found->pixel_um > 0) && d->found->outline.radius > 0 && recipe->wafer.diameter_mm > 0) {
    d->found->pixel_um = recipe->wafer.diameter_mm * 1000 / (2 * d->found->outline.radius);
    from = "from the wafer's diameter";
  }
  if (d->found->pixel_um > 0) {
    note (d, "pixel: %.6g µm, %s", d->found->pixel_um, from);
    recipe->wafer.pixel_um = d->found->pixel_um;
  } else
    note (d, "pixel: size not known, lengths in µm will be in px; set [wafer] pixel_um");
}

/* A ring that leaves little of the disc: the pixel size is not this wafer's, as in small pictures of round things. */
static void
check_exclusion (Discovery *d)
{
  double *ring = &d->recipe->wafer.edge_exclusion_mm;
  double part = notch_outline_exclusion (&d->found->outline, d->recipe, d->found->pixel_um) / d->found->outline.radius;
  if (part < 1 / 3.0)
    return;
  warn (d,
        "the edge exclusion of %.4g mm is %.0f %% of the wafer's radius, so it is left out; check [wafer] pixel_um and "
        "edge_exclusion_mm",
        *ring, 100 * part);
  *ring = 0;
}

/* Which side the notch is on, for the recipe. A wafer that is turned by more than the dice of a wafer can be lies as the
 * notch says, to the degree; no side of the image is right. */
static void
orient (const Discovery *d)
{
  const NotchOutline *outline = &d->found->outline;
  int *given = &d->recipe->wafer.notch;
  const char *what = outline->flat ? "flat" : "notch";
  double quarters = -outline->notch_angle / G_PI_2 - 1; /* down is -90 degrees, then left, up, right: clockwise */
  int side = (int) lround (quarters) & 3;
  double off = fabs (remainder (quarters, 1)) * 90;
  note (d, "wafer: %s %s, at %.1f degrees", what, side_name[side], outline->notch_angle * 180 / G_PI);
  if (*given >= 0 && *given != side)
    warn (d, "the %s is %s in the image, and [wafer] notch says %s, which is believed; check how the wafer was loaded",
          what, side_name[side], side_name[*given]);
  else if (*given < 0 && off < NOTCH_MOST_TURN)
    *given = side;
}

static void
discover_wafer (Discovery *d)
{
  NotchOutline *outline = &d->found->outline;
  NotchRecipe *recipe = d->recipe;
  *outline = (NotchOutline){ .notch_angle = NAN };
  gboolean given = recipe->wafer.radius_px > 0;
  if (given || recipe->wafer.round)
    notch_outline_find (d->overview, outline);
  if (given) { /* what was found serves for the notch alone */
    outline->x = recipe->wafer.centre_x_px;
    outline->y = recipe->wafer.centre_y_px;
    outline->radius = recipe->wafer.radius_px;
  }
  discover_pixel (d);
  if (!(outline->radius > 0)) {
    note (d, "wafer: no edge is in the image, so it shows a part of a wafer, or dice alone");
    return;
  }
  recipe->wafer.centre_x_px = rounded (outline->x);
  recipe->wafer.centre_y_px = rounded (outline->y);
  recipe->wafer.radius_px = rounded (outline->radius);
  double diameter = recipe->wafer.diameter_mm;
  if (!(diameter > 0) && d->found->pixel_um > 0) {
    diameter = usual_diameter (2 * outline->radius * d->found->pixel_um / 1000);
    if (diameter >= NOTCH_LEAST_WAFER_MM && diameter <= 450)
      recipe->wafer.diameter_mm = rounded (diameter);
  }
  g_autofree char *seen =
      given ? g_strdup ("given")
            : g_strdup_printf ("%.0f %% of the edge seen, %.2f px rms about it", 100 * outline->arc, outline->rms);
  note (d, "wafer: radius %.1f px, centre %.1f, %.1f, %s%s", outline->radius, outline->x, outline->y, seen,
        !given && outline->arc < 0.9 ? "; the image shows a part of the wafer" : "");
  if (recipe->wafer.diameter_mm > 0)
    note (d, "wafer: diameter %.4g mm", recipe->wafer.diameter_mm);
  else if (diameter > 0)
    note (d, "wafer: %.4g mm would be its diameter, which is none; check the pixel size", diameter);
  check_exclusion (d);
  if (isnan (outline->notch_angle)) {
    note (d, "wafer: no notch or flat was found");
    return;
  }
  orient (d);
}

/* ---- the dice ---------------------------------------------------------------------------------------------------- */

static gboolean
guess_period (const NotchReduced *overview, const NotchOutline *outline, NotchPeriod *period, double *error_px,
              GError **error)
{
  int factor = notch_reduce_factor (overview->width, overview->height, PERIOD_PX);
  g_autoptr (NotchReduced) reduced = notch_reduce_again (overview, factor, error);
  if (!reduced)
    return FALSE;
  g_autofree float *mask = notch_outline_mask (outline, reduced, 0.02 * outline->radius + 2 * reduced->factor);
  if (!notch_period_find (reduced->value, mask, (int) reduced->width, (int) reduced->height,
                          fmax (4, (double) LEAST_DIE / reduced->factor), period, error))
    return FALSE;
  period->pitch_x *= reduced->factor;
  period->pitch_y *= reduced->factor;
  *error_px = 0.5 * reduced->factor;
  return TRUE;
}

/* Rough pitches from the overview; for a huge image with small dice, from a part of it that shows more detail. */
static gboolean
discover_period (const Discovery *d, NotchPeriod *period, double *error_px, GError **error)
{
  if (!guess_period (d->overview, &d->found->outline, period, error_px, error))
    return FALSE;
  if (period->sure >= NOTCH_SURE || d->overview->factor < 4)
    return TRUE;
  gint64 side = 2 * PERIOD_PX, w = MIN (side, d->source->width), h = MIN (side, d->source->height);
  gboolean round = d->found->outline.radius > 0;
  double middle_x = round ? d->found->outline.x : (double) d->source->width / 2;
  double middle_y = round ? d->found->outline.y : (double) d->source->height / 2;
  gint64 x = CLAMP ((gint64) middle_x - w / 2, 0, d->source->width - w);
  gint64 y = CLAMP ((gint64) middle_y - h / 2, 0, d->source->height - h);
  g_autoptr (NotchReduced) part = notch_reduce (d->store, x, y, w, h, 1, error);
  NotchPeriod closer = { 0 };
  double closer_error = 0;
  if (!part || !guess_period (part, &d->found->outline, &closer, &closer_error, error))
    return FALSE;
  if (closer.sure > period->sure) {
    *period = closer;
    *error_px = closer_error;
  }
  return TRUE;
}

/* Where only one row of dice, or one column, is in the image, its cells are as high, or wide, as a strip that the image
 * holds however the row slants. */
typedef struct {
  gboolean row, column;
} Single;

static Single
make_cells (const Discovery *d, NotchPeriod *period)
{
  Single single = { period->pitch_x > 0 && !(period->pitch_y > 0), period->pitch_y > 0 && !(period->pitch_x > 0) };
  double width = (double) d->source->width, height = (double) d->source->height, slope = fabs (tan (period->angle));
  if (single.row)
    period->pitch_y = floor (height - slope * width);
  if (single.column)
    period->pitch_x = floor (width - slope * height);
  if (d->found->outline.radius > 0 || MIN (period->pitch_x, period->pitch_y) < LEAST_DIE)
    period->sure = (single.row || single.column) ? 0 : period->sure;
  double longer = MAX (period->pitch_x, period->pitch_y), shorter = MIN (period->pitch_x, period->pitch_y);
  if ((single.row || single.column) && longer > LONGEST_DIE * shorter)
    period->sure = MIN (period->sure, 0.5 * (NOTCH_SURE + NOTCH_QUITE_SURE));
  return single;
}

/* Puts the strip into the middle of the image. */
static void
centre_cells (const Discovery *d, Single single, NotchLattice *l)
{
  double u = 0.5 * ((double) d->source->width - 1) - l->x, v = 0.5 * ((double) d->source->height - 1) - l->y;
  double c = cos (l->angle), s = sin (l->angle), along = c * u + s * v, down = c * v - s * u;
  double by_x = single.column ? along - 0.5 * l->pitch_x : 0, by_y = single.row ? down - 0.5 * l->pitch_y : 0;
  l->x += c * by_x - s * by_y;
  l->y += s * by_x + c * by_y;
  l->error_x = single.column ? 0 : l->error_x;
  l->error_y = single.row ? 0 : l->error_y;
}

/* Finds the lattice. A pitch that the recipe gives without the origin is where the search starts, and what stays if the
 * dice do not show better. */
static gboolean
discover_lattice (const Discovery *d, NotchLattice *lattice, GError **error)
{
  const NotchRecipe *recipe = d->recipe;
  double given_x = recipe->dice.pitch_x_px > 0 ? recipe->dice.pitch_x_px : recipe->dice.pitch_x_um / d->found->pixel_um;
  double given_y = recipe->dice.pitch_y_px > 0 ? recipe->dice.pitch_y_px : recipe->dice.pitch_y_um / d->found->pixel_um;
  gboolean given = given_x > 0 && given_y > 0; /* and so the pixel size is known, if it was needed */
  NotchPeriod period = { given_x, given_y, recipe->dice.angle_mrad / 1000, 1 };
  /* A pitch from a design is as good as the pixel size. */
  double error_px = 0.005 * MAX (given_x, given_y);
  *lattice = (NotchLattice){ 0 };
  if (!given && !discover_period (d, &period, &error_px, error))
    return FALSE;
  Single single = make_cells (d, &period);
  *lattice = (NotchLattice){ .pitch_x = period.pitch_x, .pitch_y = period.pitch_y, .angle = period.angle };
  if (period.sure > 0.2
      && !notch_lattice_refine (d->store, d->source->width, d->source->height, &d->found->outline, error_px,
                                recipe->dice.search_px, lattice, error))
    return FALSE;
  d->found->strip = single.row || single.column;
  if (d->found->strip)
    centre_cells (d, single, lattice);
  /* Most of the dice in their places is no doubt about the lattice; a fifth is. */
  double kept = CLAMP ((lattice->sure - 0.2) / 0.4, 0, 1);
  if (given && kept < NOTCH_SURE) {
    lattice->pitch_x = given_x;
    lattice->pitch_y = given_y;
    lattice->angle = period.angle;
    lattice->error_x = lattice->error_y = 0;
  }
  lattice->sure = given ? MAX (0.9, kept) : MIN (period.sure, kept);
  return TRUE;
}

static NotchGrid *
make_grid (const Discovery *d, GError **error)
{
  return notch_grid_new (d->recipe, d->source->width, d->source->height, d->found->pixel_um, &d->found->outline, error);
}

/* The grid of a lattice that was found, which goes into the recipe. Die (0, 0) is in the leftmost column and the topmost
 * row that have a whole die. */
static NotchGrid *
number_dice (const Discovery *d, const NotchLattice *lattice, GError **error)
{
  NotchRecipe *recipe = d->recipe;
  recipe->dice.pitch_x_px = rounded (lattice->pitch_x);
  recipe->dice.pitch_y_px = rounded (lattice->pitch_y);
  recipe->dice.angle_mrad = rounded (lattice->angle * 1000);
  recipe->dice.origin_x_px = rounded (lattice->x);
  recipe->dice.origin_y_px = rounded (lattice->y);
  g_autoptr (NotchGrid) grid = make_grid (d, error);
  if (!grid)
    return NULL;
  int col = G_MAXINT, row = G_MAXINT;
  for (guint i = 0; i < grid->die->len; i++) {
    const NotchDie *die = &g_array_index (grid->die, NotchDie, i);
    if (die->kind == NOTCH_DIE_WHOLE) {
      col = MIN (col, die->col);
      row = MIN (row, die->row);
    }
  }
  if (col != G_MAXINT && (col != 0 || row != 0)) {
    double x = 0, y = 0;
    notch_grid_from_cells (grid, col, row, &x, &y);
    recipe->dice.origin_x_px = rounded (x);
    recipe->dice.origin_y_px = rounded (y);
    g_clear_pointer (&grid, notch_grid_free);
    grid = make_grid (d, error);
  }
  if (grid)
    grid->sure = lattice->sure;
  return g_steal_pointer (&grid);
}

/* Whether the dice, and the regions in them, can be: what a recipe was written for another image by mistake shows. */
static gboolean
check_grid (const Discovery *d, const NotchGrid *grid, GError **error)
{
  double width = hypot (grid->ax, grid->ay), height = hypot (grid->bx, grid->by);
  double pixel_um = d->found->pixel_um > 0 ? d->found->pixel_um : 1;
  if (!notch_recipe_check_regions (d->recipe, width * pixel_um, height * pixel_um, d->found->pixel_um > 0 ? "µm" : "px",
                                   error))
    return FALSE;
  int whole = notch_grid_count (grid, NOTCH_DIE_WHOLE);
  if (whole == 0 && !d->recipe->dice.partial) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE,
                 "not one die of the recipe's grid is whole in the image; check [dice] origin and [wafer] "
                 "edge_exclusion_mm, or set [dice] partial");
    return FALSE;
  }
  g_autofree char *um = d->found->pixel_um > 0
                            ? g_strdup_printf (" (%.6g x %.6g µm)", width * pixel_um, height * pixel_um)
                            : g_strdup ("");
  note (d, "dice: %.4f x %.4f px%s, die 0,0 begins at %.1f, %.1f, turned by %.3f mrad", width, height, um, grid->x,
        grid->y, d->recipe->dice.angle_mrad);
  note (d, "dice: %d whole, %d partial", whole, notch_grid_count (grid, NOTCH_DIE_PARTIAL));
  return TRUE;
}

/* A grid that stands and yet may be wrong. */
static void
doubt_grid (const Discovery *d, const NotchGrid *grid)
{
  double off = 2 * d->found->pitch_error * MAX (grid->n_cols, grid->n_rows);
  if (grid->sure < NOTCH_QUITE_SURE)
    warn (d,
          "the grid of dice is %.0f %% sure only; look whether it lies on the streets in the overlay, or give [dice] "
          "pitch and origin in a recipe",
          100 * grid->sure);
  else if (isinf (off))
    warn (d,
          "too few dice are seen to tell how sure their grid is; look whether it lies on the streets in the overlay, "
          "or give [dice] pitch and origin in a recipe");
  else if (off > 2)
    warn (d, "the grid of dice is unsure: its far dice may lie %.1f px off; give [dice] pitch in a recipe", off);
}

static gboolean
discover_dice (const Discovery *d, GError **error)
{
  /* A pitch that makes no sense is an error whether or not the origin is given. */
  GError *local = NULL;
  NotchGrid **grid = &d->found->grid;
  *grid = make_grid (d, &local);
  if (local) {
    g_propagate_error (error, local);
    return FALSE;
  }
  if (*grid && !isnan (d->recipe->dice.origin_x_px) && !isnan (d->recipe->dice.origin_y_px)) {
    note (d, "dice: given");
    return check_grid (d, *grid, error);
  }
  g_clear_pointer (grid, notch_grid_free);
  NotchLattice lattice = { 0 };
  if (!discover_lattice (d, &lattice, error))
    return FALSE;
  d->found->pitch_error = MAX (lattice.error_x, lattice.error_y);
  if (lattice.sure >= NOTCH_SURE) {
    g_autofree char *pitch = isinf (d->found->pitch_error) ? g_strdup ("too few to tell how exact the pitch is")
                                                           : g_strdup_printf ("pitch to %.4f x %.4f px",
                                                                              2 * lattice.error_x, 2 * lattice.error_y);
    note (d, "dice: %.0f %% sure, from %d places that lie %.2f px rms about the grid; %s%s", 100 * lattice.sure,
          lattice.n, lattice.rms, pitch,
          lattice.street ? "" : "; no street shows where a die begins, so that is a guess");
    *grid = number_dice (d, &lattice, error);
    if (!*grid || !check_grid (d, *grid, error))
      return FALSE;
    doubt_grid (d, *grid);
    return TRUE;
  }
  if (lattice.sure > 0.1)
    note (d, "dice: something repeats every %.1f x %.1f px, but %.0f %% sure is not enough for a grid", lattice.pitch_x,
          lattice.pitch_y, 100 * lattice.sure);
  else
    note (d, "dice: nothing in the image repeats as dice do");
  return TRUE;
}

/* Arrays are what is compared where the recipe says so, or where there is nothing else. */
static gboolean
discover_arrays (const Discovery *d, GError **error)
{
  const NotchRecipe *recipe = d->recipe;
  gboolean given =
      (recipe->reference.golden && *recipe->reference.golden) || (recipe->reference.image && *recipe->reference.image);
  gboolean alone = recipe->reference.method == NOTCH_REFERENCE_AUTO && !given && !d->found->grid;
  if (!notch_recipe_asks_for (recipe, NOTCH_REFERENCE_ARRAY) && !alone)
    return TRUE;
  g_autoptr (NotchArrays) arrays =
      notch_arrays_find (d->store, d->source->width, d->source->height, d->found->grid, error);
  if (!arrays)
    return FALSE;
  g_autofree char *text = notch_arrays_describe (arrays);
  g_string_append (d->report, arrays->n > 0 ? text : "arrays: no cell is repeated\n");
  if (arrays->n > 0)
    d->found->arrays = g_steal_pointer (&arrays);
  return TRUE;
}

static NotchDiscovery *
discover (NotchStore *store, const NotchSource *source, const NotchReduced *reduced, NotchRecipe *recipe,
          gboolean patterned, GError **error)
{
  g_autoptr (NotchDiscovery) found = g_new0 (NotchDiscovery, 1);
  found->warning = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GString) report = g_string_new (NULL);
  Discovery d = { store, source, reduced, recipe, found, report };
  discover_wafer (&d);
  if (patterned && (!discover_dice (&d, error) || !discover_arrays (&d, error)))
    return NULL;
  GError *local = NULL;
  if (!patterned && !(found->grid = make_grid (&d, &local)) && local) {
    g_propagate_error (error, local);
    return NULL;
  }
  found->report = g_strdup (report->str);
  return g_steal_pointer (&found);
}

NotchDiscovery *
notch_discover (NotchStore *store, const NotchSource *source, const NotchReduced *reduced, NotchRecipe *recipe,
                GError **error)
{
  return discover (store, source, reduced, recipe, TRUE, error);
}

NotchDiscovery *
notch_discover_wafer (NotchStore *store, const NotchSource *source, const NotchReduced *reduced, NotchRecipe *recipe,
                      GError **error)
{
  return discover (store, source, reduced, recipe, FALSE, error);
}

NotchRecipe *
notch_recipe_discover (const char *image_path, int page, const NotchRecipe *base, char **report, GError **error)
{
  g_autoptr (NotchRecipe) recipe = base ? notch_recipe_copy (base) : notch_recipe_new ();
  guint64 budget = (guint64) recipe->detect.memory_mib << 20;
  NotchSourceOptions options = { page, recipe->detect.colour, budget };
  g_autoptr (NotchSource) source = notch_source_open (image_path, &options, error);
  if (!source)
    return NULL;
  g_autoptr (NotchStore) store = notch_store_new (source, budget, (int) g_get_num_processors ());
  int factor = notch_reduce_factor (source->width, source->height, NOTCH_OVERVIEW_PX);
  g_autoptr (NotchReduced) reduced = notch_reduce (store, 0, 0, source->width, source->height, factor, error);
  if (!reduced)
    return NULL;
  g_autoptr (GPtrArray) doubt = g_ptr_array_new_with_free_func (g_free);
  notch_pixel_um (recipe, source, doubt);
  g_autoptr (NotchDiscovery) found = notch_discover (store, source, reduced, recipe, error);
  if (!found) {
    g_prefix_error (error, "%s: ", image_path);
    return NULL;
  }
  g_autofree char *lines = doubt->len > 0 ? g_strconcat (doubt->pdata[0], "\n", NULL) : g_strdup ("");
  if (report && found->grid && !found->arrays) { /* dice are compared, but who writes a recipe may want to know */
    g_autoptr (NotchArrays) arrays = notch_arrays_find (store, source->width, source->height, found->grid, error);
    if (!arrays)
      return NULL;
    g_autofree char *text = notch_arrays_describe (arrays);
    *report = g_strconcat (lines, found->report, text, NULL);
  } else if (report)
    *report = g_strconcat (lines, found->report, NULL);
  return g_steal_pointer (&recipe);
}
