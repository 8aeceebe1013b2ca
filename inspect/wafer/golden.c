/* golden.c - the golden reference's file, and where its pixels lie in an image */
#include "inspect/wafer/golden.h"

#include "inspect/wafer/phase.h"

#include <json-glib/json-glib.h>
#include <math.h>

#define VERSION 1

/* A die may be so much larger or smaller than the golden one: what a lens does, not another product. */
#define SIZE_SLACK  0.003
#define LEAST_SLACK 1.5 /* px */
/* Pixel sizes come from tags with few digits. */
#define PIXEL_SLACK 0.005

void
notch_golden_free (NotchGolden *golden)
{
  if (!golden)
    return;
  g_free (golden->recipe);
  g_free (golden);
}

void
notch_golden_size (const NotchGolden *golden, gint64 *width, gint64 *height)
{
  *width = (gint64) floor (golden->die_width + 0.5) + 2 * NOTCH_GOLDEN_MARGIN;
  *height = (gint64) floor (golden->die_height + 0.5) + 2 * NOTCH_GOLDEN_MARGIN;
}

static gboolean
alike (double a, double b)
{
  return fabs (a - b) <= MAX (SIZE_SLACK * MAX (a, b), LEAST_SLACK);
}

/* ---- the description ------------------------------------------------------------------------------------------- */

static const char noise_name[] = "abcde";

static void
noise_numbers (const NotchNoise *noise, double number[5])
{
  const float value[5] = { noise->a, noise->b, noise->c, noise->d, noise->e };
  for (int i = 0; i < 5; i++)
    number[i] = value[i];
}

static void
add_number (JsonBuilder *to, const char *name, double value)
{
  json_builder_set_member_name (to, name);
  json_builder_add_double_value (to, value);
}

static void
add_count (JsonBuilder *to, const char *name, gint64 value)
{
  json_builder_set_member_name (to, name);
  json_builder_add_int_value (to, value);
}

char *
notch_golden_describe (const NotchGolden *golden)
{
  g_autoptr (JsonBuilder) to = json_builder_new ();
  json_builder_begin_object (to);
  add_count (to, "notch_golden", VERSION);
  add_number (to, "die_width_px", golden->die_width);
  add_number (to, "die_height_px", golden->die_height);
  add_count (to, "margin_px", NOTCH_GOLDEN_MARGIN);
  add_number (to, "pixel_um", golden->pixel_um);
  add_count (to, "images", golden->n_images);
  add_count (to, "dice", golden->n_dice);
  json_builder_set_member_name (to, "noise");
  json_builder_begin_object (to);
  double noise[5];
  noise_numbers (&golden->noise, noise);
  for (int i = 0; i < 5; i++) {
    const char name[] = { noise_name[i], 0 };
    add_number (to, name, noise[i]);
  }
  json_builder_end_object (to);
  json_builder_set_member_name (to, "recipe_sha256");
  json_builder_add_string_value (to, golden->recipe);
  json_builder_end_object (to);
  g_autoptr (JsonNode) root = json_builder_get_root (to);
  return json_to_string (root, TRUE);
}

/* A number of an object within bounds; anything else is not there. */
static gboolean
take_number (JsonObject *from, const char *name, double least, double most, double *value)
{
  JsonNode *node = json_object_get_member (from, name);
  if (!node || !JSON_NODE_HOLDS_VALUE (node)
      || (json_node_get_value_type (node) != G_TYPE_DOUBLE && json_node_get_value_type (node) != G_TYPE_INT64))
    return FALSE;
  *value = json_node_get_double (node);
  return *value >= least && *value <= most;
}

static gboolean
take_noise (JsonObject *from, NotchNoise *noise)
{
  JsonNode *node = json_object_get_member (from, "noise");
  float *const to[5] = { &noise->a, &noise->b, &noise->c, &noise->d, &noise->e };
  for (int i = 0; i < 5; i++) {
    const char name[] = { noise_name[i], 0 };
    double value = 0;
    if (!node || !JSON_NODE_HOLDS_OBJECT (node) || !take_number (json_node_get_object (node), name, 0, 1e30, &value))
      return FALSE;
    *to[i] = (float) value;
  }
  return TRUE;
}

static gboolean
take_all (JsonObject *from, NotchGolden *golden)
{
  double margin = 0, images = 0, dice = 0;
  JsonNode *recipe = json_object_get_member (from, "recipe_sha256");
  if (!take_number (from, "die_width_px", 8, 1e6, &golden->die_width)
      || !take_number (from, "die_height_px", 8, 1e6, &golden->die_height)
      || !take_number (from, "margin_px", NOTCH_GOLDEN_MARGIN, NOTCH_GOLDEN_MARGIN, &margin)
      || !take_number (from, "pixel_um", 0, 1e6, &golden->pixel_um) || !take_number (from, "images", 1, 1e12, &images)
      || !take_number (from, "dice", 1, 1e12, &dice) || !take_noise (from, &golden->noise) || !recipe
      || !JSON_NODE_HOLDS_VALUE (recipe) || json_node_get_value_type (recipe) != G_TYPE_STRING)
    return FALSE;
  golden->n_images = (gint64) images, golden->n_dice = (gint64) dice;
  golden->recipe = g_strdup (json_node_get_string (recipe));
  return TRUE;
}

static NotchGolden *
parse (const NotchSource *source, GError **error)
{
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (NotchGolden) golden = g_new0 (NotchGolden, 1);
  JsonNode *root = NULL;
  double version = 0;
  if (source->description && json_parser_load_from_data (parser, source->description, -1, NULL))
    root = json_parser_get_root (parser);
  if (!root || !JSON_NODE_HOLDS_OBJECT (root)
      || !take_number (json_node_get_object (root), "notch_golden", 1, G_MAXINT, &version)) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                 "%s: is no golden reference; make one with notch learn, or compare with an image by --reference",
                 source->path);
    return NULL;
  }
  if (version != VERSION) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                 "%s: is a golden reference of version %.0f and this program reads version %d; learn it again",
                 source->path, version, VERSION);
    return NULL;
  }
  gint64 width = 0, height = 0;
  gboolean well = take_all (json_node_get_object (root), golden);
  if (well)
    notch_golden_size (golden, &width, &height);
  if (!well || source->width != width || source->height != height || source->sample != NOTCH_SAMPLE_F32) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                 "%s: the golden reference's description is damaged or belongs to another image; learn it again",
                 source->path);
    return NULL;
  }
  return g_steal_pointer (&golden);
}

NotchSource *
notch_golden_open (const char *path, int page, guint64 budget, NotchGolden **golden, GError **error)
{
  NotchSourceOptions options = { NOTCH_GOLDEN_MEAN, NOTCH_CHANNEL_LUMINANCE, budget };
  g_autoptr (NotchSource) first = notch_source_open (path, &options, error);
  g_autoptr (NotchGolden) found = first ? parse (first, error) : NULL;
  if (!found)
    return NULL;
  options.page = page;
  g_autoptr (NotchSource) source =
      page == NOTCH_GOLDEN_MEAN ? g_steal_pointer (&first) : notch_source_open (path, &options, error);
  if (!source)
    return NULL;
  gint64 width, height;
  notch_golden_size (found, &width, &height);
  if (source->width != width || source->height != height || source->sample != NOTCH_SAMPLE_F32) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                 "%s: the pages of the golden reference differ in size or type; learn it again", path);
    return NULL;
  }
  if (golden)
    *golden = g_steal_pointer (&found);
  return g_steal_pointer (&source);
}

/* ---- does it fit ----------------------------------------------------------------------------------------------- */

gboolean
notch_golden_fits (const NotchGolden *golden, const char *path, const NotchGrid *grid, double pixel_um, GError **error)
{
  if (golden->pixel_um > 0 && pixel_um > 0
      && fabs (golden->pixel_um - pixel_um) > PIXEL_SLACK * MAX (golden->pixel_um, pixel_um)) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT,
                 "%s was learned with pixels of %.6g µm and these have %.6g µm; learn one from images of this scale, "
                 "or correct [wafer] pixel_um",
                 path, golden->pixel_um, pixel_um);
    return FALSE;
  }
  double width = hypot (grid->ax, grid->ay), height = hypot (grid->bx, grid->by);
  if (alike (width, golden->die_width) && alike (height, golden->die_height))
    return TRUE;
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT,
               "%s shows a die of %.2f x %.2f px and these dice have %.2f x %.2f px; learn one from this product, or "
               "correct [dice] pitch",
               path, golden->die_width, golden->die_height, width, height);
  return FALSE;
}

/* ---- which dice ------------------------------------------------------------------------------------------------- */

/* A grid of one die in the middle of the image. */
static NotchGrid *
single_die (NotchRecipe *recipe, double die_width, double die_height, gint64 width, gint64 height)
{
  NotchGrid *grid = g_new0 (NotchGrid, 1);
  grid->x = floor (((double) width - die_width) / 2 + 0.5) - 0.5;
  grid->y = floor (((double) height - die_height) / 2 + 0.5) - 0.5;
  grid->ax = die_width, grid->by = die_height;
  grid->sure = 1;
  grid->n_cols = grid->n_rows = 1;
  grid->die = g_array_new (FALSE, TRUE, sizeof (NotchDie));
  const NotchDie die = { .kind = NOTCH_DIE_WHOLE, .x = grid->x, .y = grid->y };
  g_array_append_val (grid->die, die);
  recipe->dice.pitch_x_px = die_width, recipe->dice.pitch_y_px = die_height;
  recipe->dice.origin_x_px = grid->x, recipe->dice.origin_y_px = grid->y;
  return grid;
}

/* Neither room for a second die, nor so little that it would be a piece of one. */
static gboolean
holds_one (const NotchGolden *golden, const NotchSource *source)
{
  double x = (double) source->width / golden->die_width, y = (double) source->height / golden->die_height;
  return x > 0.9 && x < 1.5 && y > 0.9 && y < 1.5;
}

/* The dice before they are moved. */
static NotchDiscovery *
find_dice (const NotchGolden *golden, gboolean single, NotchStore *store, const NotchSource *source,
           const NotchReduced *reduced, NotchRecipe *recipe, GError **error)
{
  if (single) {
    NotchDiscovery *one = g_new0 (NotchDiscovery, 1);
    one->pixel_um = notch_pixel_um (recipe, source, NULL);
    one->warning = g_ptr_array_new_with_free_func (g_free);
    one->report = g_strdup ("dice: the image is one die\n");
    one->outline.notch_angle = NAN;
    one->grid = single_die (recipe, golden->die_width, golden->die_height, source->width, source->height);
    return one;
  }
  g_autoptr (NotchDiscovery) found = notch_discover (store, source, reduced, recipe, error);
  if (!found)
    return NULL;
  if (golden && (!found->grid || found->strip)) { /* too few dice to tell their pitch; their places may show yet */
    recipe->dice.pitch_x_px = golden->die_width, recipe->dice.pitch_y_px = golden->die_height;
    recipe->dice.origin_x_px = recipe->dice.origin_y_px = NAN;
    g_clear_pointer (&found, notch_discovery_free);
    found = notch_discover (store, source, reduced, recipe, error);
    if (!found)
      return NULL;
  } else if (!found->grid)
    found->grid = single_die (recipe, (double) source->width, (double) source->height, source->width, source->height);
  if (!found->grid) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT,
                 "no dice of %.1f x %.1f px were found; give their places in a recipe ([dice] origin_x_px and "
                 "origin_y_px)",
                 golden->die_width, golden->die_height);
    return NULL;
  }
  return g_steal_pointer (&found);
}

NotchDiscovery *
notch_golden_discover (const NotchGolden *golden, const NotchReduced *picture, NotchStore *store,
                       const NotchSource *source, const NotchReduced *reduced, NotchRecipe *recipe, GError **error)
{
  gboolean given = !isnan (recipe->dice.origin_x_px) && !isnan (recipe->dice.origin_y_px);
  gboolean single = golden && !given && holds_one (golden, source);
  g_autoptr (NotchDiscovery) found = find_dice (golden, single, store, source, reduced, recipe, error);
  double dx = 0, dy = 0;
  if (!found)
    return NULL;
  /* Another size is another product, which is told later. */
  if (!picture || given || !alike (hypot (found->grid->ax, found->grid->ay), golden->die_width)
      || !alike (hypot (found->grid->bx, found->grid->by), golden->die_height))
    return g_steal_pointer (&found);
  if (!notch_phase_find (picture, store, source->width, source->height, found->grid, recipe->dice.search_px / 2, &dx,
                         &dy, error))
    return NULL;
  if (dx == 0 && dy == 0)
    return g_steal_pointer (&found);
  g_info ("dice: moved by %.0f, %.0f px to where they look like the golden die", dx, dy);
  recipe->dice.origin_x_px = found->grid->x + dx, recipe->dice.origin_y_px = found->grid->y + dy;
  if (!single)
    return notch_discover (store, source, reduced, recipe, error);
  NotchDie *die = &g_array_index (found->grid->die, NotchDie, 0);
  found->grid->x = die->x = recipe->dice.origin_x_px;
  found->grid->y = die->y = recipe->dice.origin_y_px;
  return g_steal_pointer (&found);
}

/* ---- where pixels lie ------------------------------------------------------------------------------------------ */

NotchGoldenDie
notch_golden_die (const NotchGrid *grid, const NotchDie *die, const NotchWarp *warp)
{
  return (NotchGoldenDie){ die->x, die->y, grid->ax, grid->ay, grid->bx, grid->by, *warp };
}

void
notch_golden_from_image (const NotchGolden *golden, const NotchGoldenDie *die, double x, double y, double *golden_x,
                         double *golden_y)
{
  double dx, dy, determinant = die->ax * die->by - die->ay * die->bx;
  notch_warp_at (&die->warp, x, y, &dx, &dy);
  double u = x - dx - die->x, v = y - dy - die->y;
  *golden_x = golden->die_width * (u * die->by - v * die->bx) / determinant + NOTCH_GOLDEN_MARGIN - 0.5;
  *golden_y = golden->die_height * (v * die->ax - u * die->ay) / determinant + NOTCH_GOLDEN_MARGIN - 0.5;
}

void
notch_golden_to_image (const NotchGolden *golden, const NotchGoldenDie *die, double golden_x, double golden_y,
                       double *x, double *y)
{
  double col = (golden_x - NOTCH_GOLDEN_MARGIN + 0.5) / golden->die_width;
  double row = (golden_y - NOTCH_GOLDEN_MARGIN + 0.5) / golden->die_height, dx, dy;
  double at_x = die->x + col * die->ax + row * die->bx, at_y = die->y + col * die->ay + row * die->by;
  notch_warp_at (&die->warp, at_x, at_y, &dx, &dy);
  *x = at_x + dx, *y = at_y + dy;
}

double
notch_golden_slope (const NotchGolden *golden, const NotchGoldenDie *die)
{
  const NotchWarp *warp = &die->warp;
  double x = fabs (die->ax / golden->die_width - 1) + fabs (die->bx / golden->die_height);
  double y = fabs (die->ay / golden->die_width) + fabs (die->by / golden->die_height - 1);
  return MAX (x + fabs (warp->xx) + fabs (warp->xy), y + fabs (warp->yx) + fabs (warp->yy));
}
