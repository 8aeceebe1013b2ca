/* template.c - a given image: the same place in it, after a shift and, where the residual asks for it, an affine warp; or
 * exactly as it lies */
#include "inspect/reference/reference.h"
#include "inspect/wafer/distortion.h"

#include <math.h>

#define MOST_AN_AXIS 5

/* Of the patches that the reference has anything to align by in. */
typedef struct {
  int n, alike; /* alike: where the image has the same */
} Alignment;

/* Registers patches spread over the image, row of patches by row of patches. */
static gboolean
register_patches (NotchPlan *plan, NotchCrew *crew, const NotchCompute *compute, int side, Alignment *alignment,
                  GError **error)
{
  gint64 width = plan->source->width, height = plan->source->height;
  int nx = CLAMP ((int) (width / side), 1, MOST_AN_AXIS), ny = CLAMP ((int) (height / side), 1, MOST_AN_AXIS);
  double x[MOST_AN_AXIS * MOST_AN_AXIS], y[MOST_AN_AXIS * MOST_AN_AXIS], weight[MOST_AN_AXIS * MOST_AN_AXIS];
  double dx[MOST_AN_AXIS * MOST_AN_AXIS], dy[MOST_AN_AXIS * MOST_AN_AXIS];
  int n = 0;
  for (int j = 0; j < ny; j++) {
    NotchPair pair[2 * MOST_AN_AXIS];
    NotchShiftFound
        found[2 * MOST_AN_AXIS]; /* first the image's patches, then the reference's, both in the reference */
    gint64 top = ny == 1 ? (height - side) / 2 : j * (height - side) / (ny - 1);
    for (int i = 0; i < nx; i++) {
      gint64 left = nx == 1 ? (width - side) / 2 : i * (width - side) / (nx - 1);
      pair[i] = (NotchPair){ left, top, left, top, 0, 1, (float) plan->recipe->dice.search_px };
      pair[nx + i] = (NotchPair){ left, top, left, top, 1, 1, (float) plan->recipe->dice.search_px };
    }
    NotchRows rows = { top, side };
    g_autoptr (NotchStrip) test = notch_store_strip (plan->store, &rows, 1, error);
    g_autoptr (NotchStrip) other =
        test ? notch_store_strip (plan->mem_store[NOTCH_MEM_REFERENCE], &rows, 1, error) : NULL;
    if (!other
        || !notch_reference_shifts (crew, compute, notch_strip_pixels (test), notch_strip_pixels (other), 2 * nx, pair,
                                    found, error))
      return FALSE;
    for (int i = 0; i < nx; i++, n++) {
      double bound = MAX (found[i].crlb, 0.002);
      x[n] = (double) pair[i].ax + 0.5 * side, y[n] = (double) pair[i].ay + 0.5 * side;
      dx[n] = found[i].dx, dy[n] = found[i].dy;
      gboolean well = notch_reference_trusted (&found[i]), tells = notch_reference_trusted (&found[nx + i]);
      weight[n] = well ? 1 / (bound * bound) : 0;
      alignment->n += tells;
      alignment->alike += tells && well;
    }
  }
  NotchWarp *warp = &plan->template_warp;
  *warp = (NotchWarp){ .centre_x = 0.5 * (double) width, .centre_y = 0.5 * (double) height };
  notch_warp_fit (warp, n, x, y, dx, dy, weight);
  double sum = 0, total = 0;
  for (int i = 0; i < n; i++) {
    double px, py;
    notch_warp_at (warp, x[i], y[i], &px, &py);
    sum += weight[i] * ((dx[i] - px) * (dx[i] - px) + (dy[i] - py) * (dy[i] - py));
    total += weight[i];
  }
  plan->shift_rms = total > 0 ? sqrt (sum / total) : 0;
  return TRUE;
}

/* Opens the second image, which is as large as the first. */
static gboolean
open_template (NotchPlan *plan, const NotchCompute *compute, GError **error)
{
  const char *path = plan->recipe->reference.image;
  if (!path || !*path) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE,
                 "the method %s needs an image to compare with; give --reference IMAGE or [reference] image",
                 notch_reference_of (plan->recipe)->name);
    return FALSE;
  }
  guint64 budget = (guint64) plan->recipe->detect.memory_mib << 20;
  NotchSourceOptions options = { 0, plan->recipe->detect.colour, budget };
  NotchSource *other = plan->mem_source[NOTCH_MEM_REFERENCE] = notch_source_open (path, &options, error);
  if (!other)
    return FALSE;
  if (other->width != plan->source->width || other->height != plan->source->height) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT,
                 "%s: the reference has %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT " px, the image %" G_GINT64_FORMAT
                 " x %" G_GINT64_FORMAT "; crop one to the other's field",
                 path, other->width, other->height, plan->source->width, plan->source->height);
    return FALSE;
  }
  plan->mem_store[NOTCH_MEM_REFERENCE] = notch_store_new (other, budget, compute->jobs);
  plan->template_warp = (NotchWarp){ 0 };
  return TRUE;
}

/* Says what alignment cannot be trusted. */
static void
warn_of_alignment (NotchPlan *plan, const Alignment *alignment)
{
  char *text = NULL;
  if (plan->distortion && plan->distortion->at_limit)
    text = g_strdup_printf (
        "image and reference are distorted against each other by more than %.0f px in places, which are "
        "compared with the wrong place",
        NOTCH_DISTORTION_REACH);
  else if (!plan->distortion && alignment->n == 0)
    text = g_strdup ("the reference has nothing to align by; the image is compared as it lies");
  else if (!plan->distortion && 2 * alignment->alike < alignment->n)
    text = g_strdup_printf ("the image looks like the reference at %d of %d places only; is it of the same product?",
                            alignment->alike, alignment->n);
  else if (!plan->distortion && plan->shift_rms > 1)
    text = g_strdup_printf (
        "parts of image and reference lie %.1f px rms from where the others have them; their alignment "
        "cannot be trusted",
        plan->shift_rms);
  if (text)
    g_ptr_array_add (plan->warning, text);
}

static gboolean
prepare (NotchPlan *plan, const NotchCompute *compute, GError **error)
{
  if (!open_template (plan, compute, error))
    return FALSE;
  int side = notch_reference_patch_size ((double) plan->source->width, (double) plan->source->height);
  if (side == 0) {
    g_ptr_array_add (plan->warning, g_strdup ("the image is too small to be aligned; it is compared as it lies"));
    return TRUE;
  }
  NotchLaneSize size = {
    .batch = 1, .size = 32, .halo = 4, .shift_size = side, .max_blobs = 1, .patch_side = 1, .max_patches = 1
  };
  g_autoptr (NotchCrew) crew = notch_crew_new (compute, &size, error);
  Alignment alignment = { 0 };
  if (!crew || !register_patches (plan, crew, compute, side, &alignment, error)
      || !notch_distortion_fit (plan->store, plan->mem_store[NOTCH_MEM_REFERENCE], plan->source->width,
                                plan->source->height, &plan->template_warp, &plan->distortion, error))
    return FALSE;
  if (!plan->distortion && alignment.n > 0 && alignment.alike == 0) {
    g_set_error (
        error, NOTCH_ERROR, NOTCH_ERROR_INSPECT,
        "nothing in it looks like the reference %s; give the reference of the same product and magnification, or "
        "a larger [dice] search_px if they lie further apart than %g px",
        plan->recipe->reference.image, plan->recipe->dice.search_px);
    return FALSE;
  }
  warn_of_alignment (plan, &alignment);
  return TRUE;
}

static void
needs (const NotchPlan *plan, gint64 y, int size, NotchNeeds *needs)
{
  const NotchWarp *warp = &plan->template_warp;
  double low = warp->dy, high = warp->dy;
  for (int corner = 0; corner < 4; corner++) {
    double dx, dy;
    notch_warp_at (warp, corner % 2 ? (double) plan->source->width : 0, (double) (corner / 2 ? y + size : y), &dx, &dy);
    low = MIN (low, dy), high = MAX (high, dy);
  }
  if (plan->distortion)
    low += plan->distortion->low_dy, high += plan->distortion->high_dy;
  needs->n[NOTCH_MEM_IMAGE] = needs->n[NOTCH_MEM_REFERENCE] = 1;
  needs->rows[NOTCH_MEM_IMAGE][0] = (NotchRows){ y, size };
  needs->rows[NOTCH_MEM_REFERENCE][0] =
      (NotchRows){ y + (gint64) floor (low) - 3, size + (gint64) (ceil (high) - floor (low)) + 7 };
}

static void
shift_at (const void *data, double x, double y, int k, NotchSourceShift *shift)
{
  const NotchPlan *plan = data;
  double dx = 0, dy = 0;
  notch_warp_at (&plan->template_warp, x, y, &shift->dx, &shift->dy);
  if (plan->distortion)
    notch_distortion_at (plan->distortion, x, y, &dx, &dy);
  shift->dx += dx, shift->dy += dy;
  shift->zoom = 1;
  shift->mem = NOTCH_MEM_REFERENCE;
}

static void
pieces (const NotchPlan *plan, gint64 x, gint64 y, int size, GArray *piece, GArray *source)
{
  double uneven = 0;
  gint64 x0 = MAX (x, 0), y0 = MAX (y, 0);
  gint64 x1 = MIN (x + size, plan->source->width), y1 = MIN (y + size, plan->source->height);
  if (plan->distortion)
    uneven = notch_distortion_steepness (plan->distortion, (double) x0, (double) y0, (double) x1, (double) y1);
  NotchPieceMaker maker = { x, y, 1, 0, uneven, shift_at, plan };
  notch_reference_append (&maker, (int) (x0 - x), (int) (y0 - y), (int) (x1 - x0), (int) (y1 - y0), piece, source);
}

const NotchReference notch_reference_template = {
  .name = "template",
  .summary = "a given image",
  .file_key = "image",
  .file = G_STRUCT_OFFSET (NotchRecipe, reference.image),
  .prepare = prepare,
  .needs = needs,
  .pieces = pieces,
};

/* The image without defects and noise, pixel by pixel, as a simulator knows it: no shift, no fit, and the noise is what
 * the recipe says. What this method misses, no reference finds. */
const NotchReference notch_reference_exact = {
  .name = "exact",
  .summary = "the image's own truth, from a simulator",
  .exact = TRUE,
  .file_key = "image",
  .file = G_STRUCT_OFFSET (NotchRecipe, reference.image),
  .prepare = open_template,
  .needs = needs,
  .pieces = pieces,
};
