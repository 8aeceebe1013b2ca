/* surface.c - a smooth background, for bare and blanket wafers: the image's own level, without what is smaller than a cell
 * of the mesh */
#include "inspect/reference/reference.h"

#include "inspect/wafer/mesh.h"

#include <math.h>

/* The kernels interpolate by six taps, which follow a slope to a fiftieth of its rise from sample to sample. Samples this
 * near make that nothing, px. */
#define SAMPLE_PX 16

/* ---- the background as an image -------------------------------------------------------------------------------- */

typedef struct {
  NotchSource source;
  const NotchMesh *mesh; /* borrowed */
  int fine;              /* samples a cell */
} Background;

/* Sample (0, 0) lies in the middle of the margin's first cell. */
static gboolean
read_rows (NotchSource *source, gint64 y, gint64 n, void *to, int jobs, GError **error)
{
  const Background *background = (const Background *) source;
  for (gint64 row = 0; row < n; row++)
    notch_mesh_row (background->mesh, -NOTCH_MESH_MARGIN, (double) (y + row) / background->fine - NOTCH_MESH_MARGIN,
                    1.0 / background->fine, source->width, (float *) to + row * source->width);
  return TRUE;
}

static void
close_background (NotchSource *source)
{
  g_free (source->path);
  g_free (source);
}

static const NotchSourceFormat format = { .name = "mesh", .read_rows = read_rows, .close = close_background };

static int
fineness (const NotchMesh *mesh)
{
  return MAX (mesh->px / SAMPLE_PX, 1);
}

static NotchSource *
background_new (const NotchMesh *mesh)
{
  Background *background = g_new0 (Background, 1);
  background->mesh = mesh;
  background->fine = fineness (mesh);
  background->source = (NotchSource){
    .format = &format,
    .path = g_strdup ("background"),
    .width = (mesh->n_cols + 2 * NOTCH_MESH_MARGIN - 1) * background->fine + 1,
    .height = (mesh->n_rows + 2 * NOTCH_MESH_MARGIN - 1) * background->fine + 1,
    .sample = NOTCH_SAMPLE_F32,
    .block_rows = 64,
    .random_access = TRUE,
  };
  return &background->source;
}

/* ---- the method ------------------------------------------------------------------------------------------------ */

static NotchDiscovery *
discover (NotchPlan *plan, const NotchReduced *reduced, NotchRecipe *recipe, GError **error)
{
  return notch_discover_wafer (plan->store, plan->source, reduced, recipe, error);
}

static gboolean
prepare (NotchPlan *plan, const NotchCompute *compute, GError **error)
{
  if (plan->regions) /* a mesh that told whether the wafer is bare knew of no regions yet */
    g_clear_pointer (&plan->mesh, notch_mesh_free);
  if (!plan->mesh && !(plan->mesh = notch_mesh_new (plan, plan->recipe->reference.mesh_px, error)))
    return FALSE;
  if (plan->mesh->n_known == 0) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT,
                 "no square of %d px has enough pixels to tell the background by; check the wafer's edge and the "
                 "regions of the recipe, or give a smaller [reference] mesh_px",
                 plan->mesh->px);
    return FALSE;
  }
  if (!notch_mesh_is_smooth (plan->mesh))
    g_ptr_array_add (plan->warning,
                     g_strdup_printf ("%" G_GINT64_FORMAT " of %" G_GINT64_FORMAT
                                      " squares hold a pattern, and are no smooth background with noise; a patterned "
                                      "wafer wants dice or another image to compare with",
                                      plan->mesh->n_patterned, plan->mesh->n_known));
  plan->mem_source[NOTCH_MEM_MESH] = background_new (plan->mesh);
  plan->mem_store[NOTCH_MEM_MESH] =
      notch_store_new (plan->mem_source[NOTCH_MEM_MESH], (guint64) plan->recipe->detect.memory_mib << 20, 1);
  return TRUE;
}

/* Where a pixel's background lies: ((x + offset) zoom, (y + offset) zoom). */
static double
zoom_of (const NotchMesh *mesh)
{
  return (double) fineness (mesh) / mesh->px;
}

static double
offset_of (const NotchMesh *mesh)
{
  return (NOTCH_MESH_MARGIN - 0.5) * mesh->px + 0.5;
}

static void
needs (const NotchPlan *plan, gint64 y, int size, NotchNeeds *needs)
{
  double zoom = zoom_of (plan->mesh), offset = offset_of (plan->mesh);
  gint64 from = (gint64) floor (((double) y + offset) * zoom) - 3;
  gint64 to = (gint64) ceil (((double) (y + size) + offset) * zoom) + 4;
  needs->n[NOTCH_MEM_IMAGE] = needs->n[NOTCH_MEM_MESH] = 1;
  needs->rows[NOTCH_MEM_IMAGE][0] = (NotchRows){ y, size };
  needs->rows[NOTCH_MEM_MESH][0] = (NotchRows){ from, to - from };
}

static void
shift_at (const void *data, double x, double y, int k, NotchSourceShift *shift)
{
  const NotchMesh *mesh = data;
  *shift = (NotchSourceShift){
    .dx = offset_of (mesh), .dy = offset_of (mesh), .zoom = zoom_of (mesh), .mem = NOTCH_MEM_MESH
  };
}

/* A tile that the wafer's edge leaves nothing of has no piece. */
static void
pieces (const NotchPlan *plan, gint64 x, gint64 y, int size, GArray *piece, GArray *source)
{
  NotchCare care = notch_care_new (plan);
  gint64 x0 = MAX (x, 0), y0 = MAX (y, 0);
  gint64 x1 = MIN (x + size, plan->source->width), y1 = MIN (y + size, plan->source->height);
  double near_x = CLAMP (plan->outline.x, (double) x0, (double) x1);
  double near_y = CLAMP (plan->outline.y, (double) y0, (double) y1);
  if (care.radius > 0 && hypot (near_x - plan->outline.x, near_y - plan->outline.y) > care.radius)
    return;
  NotchPieceMaker maker = { x, y, 1, 0, 0, shift_at, plan->mesh };
  notch_reference_append (&maker, (int) (x0 - x), (int) (y0 - y), (int) (x1 - x0), (int) (y1 - y0), piece, source);
}

const NotchReference notch_reference_surface = {
  .name = "surface",
  .summary = "a smooth background, for wafers without a pattern",
  .smooth = TRUE,
  .discover = discover,
  .prepare = prepare,
  .needs = needs,
  .pieces = pieces,
};
