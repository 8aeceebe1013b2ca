/* discover.c - completes a recipe from an image: outline, pixel size, grid of dice */
#include "inspect/wafer/discover.h"

#include <math.h>

#include "inspect/wafer/lattice.h"
#include "inspect/wafer/outline.h"
#include "inspect/wafer/period.h"

/* The period is looked for in so many px a side: large enough for streets, small enough to be quick. */
#define PERIOD_PX 1024
/* Dice smaller than this at full size are not looked for: they would rather be cells. */
#define LEAST_DIE 48

void
notch_discovery_free (NotchDiscovery *discovery)
{
  if (!discovery)
    return;
  g_clear_pointer (&discovery->grid, notch_grid_free);
  g_free (discovery->report);
  g_free (discovery);
}

/* ---- the wafer --------------------------------------------------------------------------------------------------- */

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

static void
discover_wafer (NotchDiscovery *found, const NotchSource *source, const NotchReduced *reduced, NotchRecipe *recipe,
                GString *report)
{
  NotchOutline *outline = &found->outline;
  *outline = (NotchOutline){ .notch_angle = NAN };
  gboolean given = recipe->wafer.radius_px > 0;
  if (given || recipe->wafer.round)
    notch_outline_find (reduced, outline);
  if (given) { /* what was found serves for the notch alone */
    outline->x = recipe->wafer.centre_x_px;
    outline->y = recipe->wafer.centre_y_px;
    outline->radius = recipe->wafer.radius_px;
  }
  found->pixel_um = recipe->wafer.pixel_um > 0 ? recipe->wafer.pixel_um : source->pixel_um_x;
  const char *from = recipe->wafer.pixel_um > 0 ? "given" : "from the image's resolution";
  if (!(found->pixel_um > 0) && outline->radius > 0 && recipe->wafer.diameter_mm > 0) {
    found->pixel_um = recipe->wafer.diameter_mm * 1000 / (2 * outline->radius);
    from = "from the wafer's diameter";
  }
  if (found->pixel_um > 0)
    g_string_append_printf (report, "pixel: %.6g µm, %s\n", found->pixel_um, from);
  else
    g_string_append (report, "pixel: size not known, lengths in µm will be in px; set [wafer] pixel_um\n");
  if (!(outline->radius > 0)) {
    g_string_append (report, "wafer: no edge is in the image\n");
    return;
  }
  g_string_append_printf (report, "wafer: radius %.1f px, centre %.1f, %.1f", outline->radius, outline->x, outline->y);
  if (given)
    g_string_append (report, ", given");
  else
    g_string_append_printf (report, ", %.0f %% of the edge seen, rms %.2f px", 100 * outline->arc, outline->rms);
  recipe->wafer.centre_x_px = outline->x;
  recipe->wafer.centre_y_px = outline->y;
  recipe->wafer.radius_px = outline->radius;
  if (!(recipe->wafer.diameter_mm > 0) && found->pixel_um > 0) {
    double diameter = usual_diameter (2 * outline->radius * found->pixel_um / 1000);
    if (diameter >= 1 && diameter <= 450) {
      recipe->wafer.diameter_mm = diameter;
      g_string_append_printf (report, ", diameter %.4g mm", diameter);
    }
  }
  if (!isnan (outline->notch_angle)) {
    /* Down is -90 degrees, then left, up, right: clockwise. */
    int side = (int) lround (-(outline->notch_angle / G_PI_2) - 1) & 3;
    g_string_append_printf (report, ", %s %s (%.1f degrees)", outline->flat ? "flat" : "notch", side_name[side],
                            outline->notch_angle * 180 / G_PI);
  } else
    g_string_append (report, ", no notch or flat found");
  g_string_append_c (report, '\n');
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
discover_period (NotchStore *store, const NotchSource *source, const NotchReduced *reduced, const NotchOutline *outline,
                 NotchPeriod *period, double *error_px, GError **error)
{
  if (!guess_period (reduced, outline, period, error_px, error))
    return FALSE;
  if (period->sure >= NOTCH_SURE || reduced->factor < 4)
    return TRUE;
  gint64 side = 2 * PERIOD_PX, w = MIN (side, source->width), h = MIN (side, source->height);
  double middle_x = outline->radius > 0 ? outline->x : (double) source->width / 2;
  double middle_y = outline->radius > 0 ? outline->y : (double) source->height / 2;
  gint64 x = CLAMP ((gint64) middle_x - w / 2, 0, source->width - w);
  gint64 y = CLAMP ((gint64) middle_y - h / 2, 0, source->height - h);
  g_autoptr (NotchReduced) part = notch_reduce (store, x, y, w, h, 1, error);
  NotchPeriod closer = { 0 };
  double closer_error = 0;
  if (!part || !guess_period (part, outline, &closer, &closer_error, error))
    return FALSE;
  if (closer.sure > period->sure) {
    *period = closer;
    *error_px = closer_error;
  }
  return TRUE;
}

/* The lattice, if it is sure enough, into the recipe. What the recipe gives is kept: a pitch in px with its origin as it
 * is, any other pitch as a start. */
static gboolean
discover_lattice (NotchDiscovery *found, NotchStore *store, const NotchSource *source, const NotchReduced *reduced,
                  NotchRecipe *recipe, NotchLattice *lattice, GString *report, GError **error)
{
  double given_x = recipe->dice.pitch_x_px > 0 ? recipe->dice.pitch_x_px : recipe->dice.pitch_x_um / found->pixel_um;
  double given_y = recipe->dice.pitch_y_px > 0 ? recipe->dice.pitch_y_px : recipe->dice.pitch_y_um / found->pixel_um;
  gboolean given = given_x > 0 && given_y > 0 && isfinite (given_x) && isfinite (given_y);
  NotchPeriod period = { given_x, given_y, recipe->dice.angle_mrad / 1000, 1 };
  /* A pitch from a design is as good as the pixel size. */
  double error_px = given ? 0.005 * MAX (given_x, given_y) : 0;
  if (!given && !discover_period (store, source, reduced, &found->outline, &period, &error_px, error))
    return FALSE;
  if (!(period.pitch_x > 0) || period.pitch_x > (double) source->width || period.pitch_y > (double) source->height)
    return TRUE;
  *lattice = (NotchLattice){ .pitch_x = period.pitch_x, .pitch_y = period.pitch_y, .angle = period.angle };
  if (period.sure > 0.2
      && !notch_lattice_refine (store, source->width, source->height, &found->outline, error_px, recipe->dice.search_px,
                                lattice, error))
    return FALSE;
  /* Half of the dice in their places is no doubt about the lattice; a fifth is. */
  double kept = CLAMP ((lattice->sure - 0.2) / 0.4, 0, 1);
  if (given && kept < NOTCH_SURE) {
    lattice->pitch_x = given_x;
    lattice->pitch_y = given_y;
    lattice->angle = period.angle;
  }
  lattice->sure = given ? MAX (0.9, kept) : MIN (period.sure, kept);
  return TRUE;
}

/* To a millionth: more digits would only look exact. */
static double
rounded (double value)
{
  return rint (value * 1e6) / 1e6;
}

/* Moves the origin so that die (0, 0) is in the leftmost column and the topmost row that have a whole die. */
static NotchGrid *
number_dice (NotchRecipe *recipe, const NotchSource *source, const NotchDiscovery *found, GError **error)
{
  g_autoptr (NotchGrid) grid =
      notch_grid_new (recipe, source->width, source->height, found->pixel_um, &found->outline, error);
  if (!grid)
    return NULL;
  int col = G_MAXINT, row = G_MAXINT;
  for (guint i = 0; i < grid->die->len; i++) {
    const NotchDie *die = &g_array_index (grid->die, NotchDie, i);
    if (die->kind != NOTCH_DIE_WHOLE)
      continue;
    col = MIN (col, die->col);
    row = MIN (row, die->row);
  }
  if (col == G_MAXINT || (col == 0 && row == 0))
    return g_steal_pointer (&grid);
  double x = 0, y = 0;
  notch_grid_from_cells (grid, col, row, &x, &y);
  recipe->dice.origin_x_px = rounded (x);
  recipe->dice.origin_y_px = rounded (y);
  return notch_grid_new (recipe, source->width, source->height, found->pixel_um, &found->outline, error);
}

static gboolean
discover_dice (NotchDiscovery *found, NotchStore *store, const NotchSource *source, const NotchReduced *reduced,
               NotchRecipe *recipe, GString *report, GError **error)
{
  gboolean has_pitch = recipe->dice.pitch_x_px > 0 || recipe->dice.pitch_x_um > 0;
  gboolean has_origin = !isnan (recipe->dice.origin_x_px) && !isnan (recipe->dice.origin_y_px);
  NotchLattice lattice = { .sure = 1 };
  GError *local = NULL;
  if (has_pitch) { /* says what is impossible about it */
    found->grid = notch_grid_new (recipe, source->width, source->height, found->pixel_um, &found->outline, &local);
    if (local) {
      g_propagate_error (error, local);
      return FALSE;
    }
  }
  if (!has_pitch || !has_origin) {
    lattice.sure = 0;
    if (!discover_lattice (found, store, source, reduced, recipe, &lattice, report, error))
      return FALSE;
    if (lattice.sure < NOTCH_SURE) {
      if (lattice.sure > 0.1)
        g_string_append_printf (report,
                                "dice: something repeats every %.1f x %.1f px, but %.0f %% sure is not enough for a "
                                "grid; give [dice] pitch and origin if there are dice\n",
                                lattice.pitch_x, lattice.pitch_y, 100 * lattice.sure);
      else
        g_string_append (report, "dice: no grid is in the image; give [dice] pitch and origin if there is one\n");
      return TRUE;
    }
    g_clear_pointer (&found->grid, notch_grid_free);
    recipe->dice.pitch_x_px = rounded (lattice.pitch_x);
    recipe->dice.pitch_y_px = rounded (lattice.pitch_y);
    recipe->dice.angle_mrad = rounded (lattice.angle * 1000);
    recipe->dice.origin_x_px = rounded (lattice.x);
    recipe->dice.origin_y_px = rounded (lattice.y);
    found->grid = number_dice (recipe, source, found, error);
    if (!found->grid)
      return FALSE;
    found->grid->sure = lattice.sure;
  }
  const NotchGrid *grid = found->grid;
  g_string_append_printf (report, "dice: %.4f x %.4f px", hypot (grid->ax, grid->ay), hypot (grid->bx, grid->by));
  if (found->pixel_um > 0)
    g_string_append_printf (report, " (%.6g x %.6g µm)", hypot (grid->ax, grid->ay) * found->pixel_um,
                            hypot (grid->bx, grid->by) * found->pixel_um);
  g_string_append_printf (report, ", die 0,0 begins at %.1f, %.1f", grid->x, grid->y);
  if (recipe->dice.angle_mrad != 0)
    g_string_append_printf (report, ", turned by %.3f mrad", recipe->dice.angle_mrad);
  if (has_pitch && has_origin)
    g_string_append (report, ", given\n");
  else
    g_string_append_printf (report, ", %.0f %% sure; %d sights %.2f px rms about it%s\n", 100 * lattice.sure, lattice.n,
                            lattice.rms,
                            lattice.street ? "" : "; no street shows where a die begins, so that is a guess");
  g_string_append_printf (report, "dice: %d whole, %d partial\n", notch_grid_count (grid, NOTCH_DIE_WHOLE),
                          notch_grid_count (grid, NOTCH_DIE_PARTIAL));
  return TRUE;
}

NotchDiscovery *
notch_discover (NotchStore *store, const NotchSource *source, const NotchReduced *reduced, NotchRecipe *recipe,
                GError **error)
{
  g_autoptr (NotchDiscovery) found = g_new0 (NotchDiscovery, 1);
  g_autoptr (GString) report = g_string_new (NULL);
  discover_wafer (found, source, reduced, recipe, report);
  if (!discover_dice (found, store, source, reduced, recipe, report, error)) {
    g_prefix_error (error, "%s: ", source->path);
    return NULL;
  }
  found->report = g_string_free (g_steal_pointer (&report), FALSE);
  return g_steal_pointer (&found);
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
  g_autoptr (NotchDiscovery) found = notch_discover (store, source, reduced, recipe, error);
  if (!found)
    return NULL;
  if (!(recipe->wafer.pixel_um > 0) && found->pixel_um > 0)
    recipe->wafer.pixel_um = found->pixel_um;
  if (report)
    *report = g_steal_pointer (&found->report);
  return g_steal_pointer (&recipe);
}
