/* reference.c - the table of methods, and the registration that they share */
#include "inspect/reference/reference.h"

static const NotchReference *
of_kind (NotchReferenceKind kind)
{
  static const NotchReference *const table[] = {
    [NOTCH_REFERENCE_DIE] = &notch_reference_die,     [NOTCH_REFERENCE_TEMPLATE] = &notch_reference_template,
    [NOTCH_REFERENCE_EXACT] = &notch_reference_exact, [NOTCH_REFERENCE_GOLDEN] = &notch_reference_golden,
    [NOTCH_REFERENCE_ARRAY] = &notch_reference_array, [NOTCH_REFERENCE_SURFACE] = &notch_reference_surface,
  };
  return table[kind];
}

const NotchReference *
notch_reference_of (const NotchRecipe *recipe)
{
  if (recipe->reference.method != NOTCH_REFERENCE_AUTO)
    return of_kind (recipe->reference.method);
  if (recipe->reference.golden && *recipe->reference.golden)
    return &notch_reference_golden;
  return recipe->reference.image && *recipe->reference.image ? &notch_reference_template : &notch_reference_die;
}

/* ---- methods of regions ------------------------------------------------------------------------------------------ */

const NotchReference *
notch_reference_of_region (const NotchRegion *region)
{
  return of_kind (region->method);
}

NotchMethods
notch_reference_methods (const NotchRecipe *recipe, const NotchReference *own)
{
  NotchMethods methods = { 1, { own } };
  for (guint i = 0; i < recipe->region->len; i++) {
    const NotchReference *method = notch_reference_of_region (recipe->region->pdata[i]);
    gboolean known = method == NULL || methods.n == NOTCH_MAX_METHODS;
    for (int k = 0; k < methods.n && !known; k++)
      known = methods.method[k] == method;
    if (!known)
      methods.method[methods.n++] = method;
  }
  return methods;
}

const NotchReference *
notch_reference_finder (const NotchMethods *methods)
{
  const NotchReference *finder = NULL;
  for (int k = 0; k < methods->n; k++) {
    const NotchReference *method = methods->method[k];
    if (method->discover && (!finder || (method->file_key && !finder->file_key)))
      finder = method;
  }
  return finder;
}

/* Whether a method can be beside the image's own and what is given already; and has its file, if it must be there now. */
static gboolean
check_method (const NotchRecipe *recipe, const NotchReference *method, const NotchReference *given, gboolean complete,
              const char *place, GError **error)
{
  const NotchReference *own = notch_reference_of (recipe);
  const char *file = method->file_key ? G_STRUCT_MEMBER (char *, recipe, method->file) : NULL;
  if (own->exact || method->exact)
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE, "%s: the method %s goes with no other in one image", place,
                 own->exact ? own->name : method->name);
  else if (method->file_key && given && given != method)
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE,
                 "%s: the methods %s and %s both compare with something given, and an image has room for one; choose",
                 place, given->name, method->name);
  else if (complete && method->file_key && (!file || !*file))
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE,
                 "%s: the method %s needs something to compare with; name its file in [reference] %s", place,
                 method->name, method->file_key);
  else
    return TRUE;
  return FALSE;
}

gboolean
notch_reference_check (const NotchRecipe *recipe, gboolean complete, GError **error)
{
  const NotchReference *own = notch_reference_of (recipe), *given = own->file_key ? own : NULL;
  for (guint i = 0; i < recipe->region->len; i++) {
    const NotchRegion *region = recipe->region->pdata[i];
    const NotchReference *method = notch_reference_of_region (region);
    g_autofree char *group = g_strconcat ("region ", region->name, NULL);
    g_autofree char *place = notch_recipe_place (recipe, group, "method");
    if (!method || method == own)
      continue;
    if (!check_method (recipe, method, given, complete, place, error))
      return FALSE;
    given = method->file_key ? method : given;
  }
  return TRUE;
}

void
notch_reference_add_needs (NotchNeeds *to, const NotchNeeds *more)
{
  for (int mem = 0; mem < NOTCH_MAX_MEM; mem++)
    for (int i = 0; i < more->n[mem]; i++) {
      NotchRows *rows = to->rows[mem], added = more->rows[mem][i];
      int nearest = 0;
      gint64 least = G_MAXINT64; /* rows that a range would grow by */
      for (int k = 0; k < to->n[mem]; k++) {
        gint64 first = MIN (rows[k].y, added.y), end = MAX (rows[k].y + rows[k].n, added.y + added.n);
        if (end - first - rows[k].n < least)
          least = end - first - rows[k].n, nearest = k;
      }
      if (least <= added.n || to->n[mem] == NOTCH_MAX_RANGES) { /* they meet, or there is no room */
        gint64 first = MIN (rows[nearest].y, added.y);
        gint64 end = MAX (rows[nearest].y + rows[nearest].n, added.y + added.n);
        rows[nearest] = (NotchRows){ first, end - first };
      } else
        rows[to->n[mem]++] = added;
    }
}

/* ---- registration ------------------------------------------------------------------------------------------------ */

typedef struct {
  const NotchKernels *kernels;
  NotchShift shift;
} Task;

static gboolean
measure (NotchLane *lane, gpointer data, GError **error)
{
  g_autofree Task *task = data;
  if (lane && task->kernels->shift (lane, &task->shift) != 0)
    return notch_kernels_error (task->kernels, lane, error);
  return lane != NULL;
}

/* Strips to a device's memory. */
static gboolean
send_up (const NotchCompute *compute, int device, const NotchPixels *const *pixels, NotchStripMem **mem, GError **error)
{
  char fault[256] = "";
  for (int i = 0; i < NOTCH_MAX_MEM; i++) {
    mem[i] = pixels[i] ? compute->kernels->strip_up (compute->device[device], pixels[i], fault) : NULL;
    if (pixels[i] && !mem[i]) {
      g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_DEVICE_FULL, "%s: %s", compute->kernels->name, fault);
      return FALSE;
    }
  }
  return TRUE;
}

gboolean
notch_reference_shifts (NotchCrew *crew, const NotchCompute *compute, const NotchPixels *image,
                        const NotchPixels *other, int n, const NotchPair *pair, NotchShiftFound *found, GError **error)
{
  const NotchPixels *const pixels[NOTCH_MAX_MEM] = { [NOTCH_MEM_IMAGE] = image, [NOTCH_MEM_REFERENCE] = other };
  NotchStripMem *mem[NOTCH_MAX_DEVICES][NOTCH_MAX_MEM] = { { NULL } };
  gboolean up = TRUE, well = TRUE;
  for (int d = 0; d < compute->n_devices && up; d++)
    up = send_up (compute, d, pixels, mem[d], error);
  int share = MAX (1, n / (4 * notch_crew_size (crew)));
  for (int i = 0; i < n && up && well; i += share) {
    int device = i / share % compute->n_devices;
    Task *task = g_new0 (Task, 1);
    task->kernels = compute->kernels;
    task->shift = (NotchShift){ .n = MIN (share, n - i), .pair = pair + i, .found = found + i };
    memcpy (task->shift.mem, mem[device], sizeof task->shift.mem);
    well = notch_crew_push (crew, device, measure, task);
  }
  well = up && notch_crew_wait (crew, error);
  for (int d = 0; d < compute->n_devices; d++)
    for (int i = 0; i < NOTCH_MAX_MEM; i++)
      if (mem[d][i])
        compute->kernels->strip_free (mem[d][i]);
  return well;
}

int
notch_reference_patch_size (double width, double height)
{
  static const int side[] = { 256, 192, 160, 128, 96, 80, 64, 48, 40, 32, 24 };
  double least = MIN (width, height);
  /* Several small patches see more of a die than one that fills it, and cost less; below 64 px they see too little. */
  double wanted = MAX (least / 4, MIN (least, 64));
  for (gsize i = 0; i < G_N_ELEMENTS (side); i++)
    if (side[i] <= wanted)
      return side[i];
  return 0;
}

gboolean
notch_reference_trusted (const NotchShiftFound *found)
{
  return found->crlb < 0.05 && found->psr > 3 && found->ambiguity < 0.97;
}

/* How a source's shift changes over a piece of w x h px. */
static void
add_slopes (const NotchPieceMaker *maker, double x, double y, int w, int h, int k, NotchSourceShift *shift)
{
  NotchSourceShift at[4] = { { 0 } };
  for (int i = 0; i < 4; i++)
    maker->shift_at (maker->context,
                     x
                         + (i == 0   ? -0.5
                            : i == 1 ? 0.5
                                     : 0)
                               * w,
                     y
                         + (i == 2   ? -0.5
                            : i == 3 ? 0.5
                                     : 0)
                               * h,
                     k, &at[i]);
  shift->xx = (at[1].dx - at[0].dx) / w, shift->yx = (at[1].dy - at[0].dy) / w;
  shift->xy = (at[3].dx - at[2].dx) / h, shift->yy = (at[3].dy - at[2].dy) / h;
}

void
notch_reference_append (const NotchPieceMaker *maker, int x, int y, int w, int h, GArray *piece, GArray *source)
{
  if (maker->uneven * MAX (w, h) > 0.04 && MAX (w, h) >= 64) { /* the middle's is off by half of that at the ends */
    int left = w >= h ? w / 2 : w, top = w >= h ? h : h / 2;
    notch_reference_append (maker, x, y, left, top, piece, source);
    if (w >= h)
      notch_reference_append (maker, x + left, y, w - left, h, piece, source);
    else
      notch_reference_append (maker, x, y + top, w, h - top, piece, source);
    return;
  }
  NotchPiece added = { x, y, w, h, (int) source->len, maker->n_sources, maker->n_spreads };
  double middle_x = (double) (maker->tile_x + x) + 0.5 * (w - 1),
         middle_y = (double) (maker->tile_y + y) + 0.5 * (h - 1);
  for (int k = 0; k < maker->n_sources + maker->n_spreads; k++) {
    NotchSourceShift shift = { 0 };
    maker->shift_at (maker->context, middle_x, middle_y, k, &shift);
    add_slopes (maker, middle_x, middle_y, w, h, k, &shift);
    g_array_append_val (source, shift);
  }
  g_array_append_val (piece, added);
}
