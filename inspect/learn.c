/* learn.c - a golden reference from images of known-good dice
 *
 * A survey finds and registers the dice of every image. Then the golden die is made run of tiles by run of tiles, each as
 * long as memory allows: once through the images for the witnesses, once for the sums. What is finished waits in a file
 * without a name until all is known. */
#include "inspect/compute/device.h"
#include "inspect/detect/average.h"
#include "inspect/detect/noise.h"
#include "inspect/detect/survey.h"
#include "inspect/image/reduce.h"
#include "inspect/image/write.h"
#include "inspect/reference/register.h"
#include "inspect/wafer/golden.h"
#include "inspect/wafer/phase.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#define LEAST_DICE    3       /* two cannot tell which of them is wrong */
#define NOISE_SAMPLES 1000000 /* about so many make the noise model */
#define N_PAGES       3

typedef struct {
  NotchGoldenDie at;
  int grid_row; /* dice of one row share their image rows */
  int witness;  /* or -1 */
  gboolean left_out;
} Die;

typedef struct {
  const char *path;
  gint64 width, height;
  GArray *die; /* Die, row by row */
} Image;

typedef struct {
  const NotchLearnOptions *options;
  NotchRecipe *recipe;
  const NotchCompute *compute;
  const char *path;
  Image *image;
  int n_images;
  gint64 n_dice;
  NotchGolden *golden;
  NotchAnchor *anchor;
  NotchReduced *picture; /* of a die of the first image */
  NotchTiling tiling;
  NotchCrew *crew;
  int stride;
  int spool; /* file descriptor: the pages' pixels, one page after the other */
  GArray *sample;
  NotchProgressFunc progress;
  gpointer data;
  NotchProgress now;
} Learn;

static gboolean
cancelled (GError **error)
{
  g_set_error_literal (error, NOTCH_ERROR, NOTCH_ERROR_CANCELLED, "interrupted; nothing was written");
  return FALSE;
}

static gboolean
tell (Learn *learn, int image, const char *step, gint64 pixels, GError **error)
{
  learn->now.image = learn->image[image].path;
  learn->now.index = image;
  learn->now.step = step;
  learn->now.pixels_done += pixels;
  return !learn->progress || learn->progress (&learn->now, learn->data) || cancelled (error);
}

/* ---- the survey ------------------------------------------------------------------------------------------------ */

typedef struct {
  NotchSource *source;
  NotchStore *store;
} Opened;

static void
opened_close (Opened *opened)
{
  g_clear_pointer (&opened->store, notch_store_free);
  g_clear_pointer (&opened->source, notch_source_close);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Opened, opened_close)

/* Half of the memory is for rows, half for tiles. */
static guint64
half_budget (const Learn *learn)
{
  return (guint64) learn->recipe->detect.memory_mib << 19;
}

static gboolean
open_image (const Learn *learn, const char *path, Opened *opened, GError **error)
{
  NotchSourceOptions options = { learn->options->page, learn->recipe->detect.colour, half_budget (learn) };
  opened->source = notch_source_open (path, &options, error);
  if (!opened->source)
    return FALSE;
  opened->store = notch_store_new (opened->source, half_budget (learn), learn->compute->jobs);
  return TRUE;
}

/* The first image's die is the frame of all. */
static void
set_frame (Learn *learn, const NotchGrid *grid, double pixel_um)
{
  NotchGolden *golden = learn->golden = g_new0 (NotchGolden, 1);
  g_autoptr (NotchRecipe) plain = notch_recipe_copy (learn->recipe), defaults = notch_recipe_new ();
  plain->detect.memory_mib = defaults->detect.memory_mib; /* decides nothing */
  g_autofree char *text = notch_recipe_to_string (plain);
  golden->recipe = g_compute_checksum_for_string (G_CHECKSUM_SHA256, text, -1);
  golden->die_width = hypot (grid->ax, grid->ay);
  golden->die_height = hypot (grid->bx, grid->by);
  golden->pixel_um = pixel_um;
}

/* Takes the dice that were registered; all whole ones where there is nothing to register by. */
static gboolean
take_dice (Learn *learn, Image *image, const NotchPlan *plan, GError **error)
{
  gboolean any = FALSE;
  for (guint i = 0; i < plan->grid->die->len; i++)
    any |= g_array_index (plan->grid->die, NotchDie, i).trust > 0;
  int whole = 0;
  for (guint i = 0; i < plan->grid->die->len; i++) {
    const NotchDie *die = &g_array_index (plan->grid->die, NotchDie, i);
    whole += die->kind == NOTCH_DIE_WHOLE;
    if (die->kind != NOTCH_DIE_WHOLE || (any && die->trust == 0))
      continue;
    Die taken = { notch_golden_die (plan->grid, die, &plan->warp[i]), die->row, -1, FALSE };
    g_array_append_val (image->die, taken);
  }
  learn->n_dice += image->die->len;
  if (2 * (int) image->die->len >= whole && whole > 0)
    return TRUE;
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT,
               "%s: only %u of %d dice look like those of %s; leave the image out, or correct [dice]", image->path,
               image->die->len, whole, learn->image[0].path);
  return FALSE;
}

/* Of the first whole die: its place is what the dice of other images are given. */
static gboolean
take_picture (Learn *learn, const NotchPlan *plan, GError **error)
{
  for (guint i = 0; i < plan->grid->die->len; i++) {
    const NotchDie *die = &g_array_index (plan->grid->die, NotchDie, i);
    if (die->kind != NOTCH_DIE_WHOLE)
      continue;
    learn->picture = notch_phase_picture (plan->store, plan->source->width, plan->source->height, die->x + 0.5,
                                          die->y + 0.5, learn->golden->die_width, learn->golden->die_height, error);
    return learn->picture != NULL;
  }
  return TRUE;
}

static gboolean
check_likeness (const Learn *learn, const Image *image, const NotchPlan *plan, GError **error)
{
  double likeness = 1;
  if (learn->picture && !notch_anchor_is_empty (learn->anchor)
      && !notch_phase_likeness (learn->picture, plan->store, plan->source->width, plan->source->height, plan->grid,
                                &likeness, error))
    return FALSE;
  if (likeness >= NOTCH_ALIKE)
    return TRUE;
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT,
               "%s: its dice do not look like those of %s (correlation %d %%); leave the image out", image->path,
               learn->image[0].path, (int) (100 * likeness));
  return FALSE;
}

static gboolean
survey_plan (Learn *learn, Image *image, const Opened *opened, NotchPlan *plan, NotchRecipe *recipe, GError **error)
{
  const NotchSource *source = opened->source;
  int factor = notch_reduce_factor (source->width, source->height, NOTCH_OVERVIEW_PX);
  g_autoptr (NotchReduced) reduced = notch_reduce (opened->store, 0, 0, source->width, source->height, factor, error);
  if (!reduced)
    return FALSE;
  g_autoptr (NotchDiscovery) found =
      notch_golden_discover (learn->golden, learn->picture, opened->store, source, reduced, recipe, error);
  if (!found)
    return FALSE;
  g_info ("%s: %s", image->path, found->report);
  plan->grid = g_steal_pointer (&found->grid);
  plan->outline = found->outline;
  if (!learn->golden)
    set_frame (learn, plan->grid, MAX (found->pixel_um, 0));
  else if (!notch_golden_fits (learn->golden, learn->image[0].path, plan->grid, found->pixel_um, error))
    return FALSE;
  if (!learn->anchor)
    learn->anchor = notch_anchor_find (plan, learn->compute, error);
  if (!learn->picture && learn->anchor && !take_picture (learn, plan, error))
    return FALSE;
  return learn->anchor && notch_register_dice (plan, learn->compute, learn->anchor, error)
         && check_likeness (learn, image, plan, error) && take_dice (learn, image, plan, error);
}

static gboolean
survey_image (Learn *learn, int i, GError **error)
{
  Image *image = &learn->image[i];
  g_auto (Opened) opened = { 0 };
  if (!open_image (learn, image->path, &opened, error))
    return FALSE;
  image->width = opened.source->width, image->height = opened.source->height;
  learn->now.pixels_total += 3 * image->width * image->height;
  g_autoptr (NotchRecipe) recipe = notch_recipe_copy (learn->recipe);
  g_autoptr (NotchPlan) plan = g_new0 (NotchPlan, 1);
  plan->recipe = recipe;
  plan->speed = &notch_speed_full;
  plan->source = opened.source;
  plan->store = opened.store;
  plan->warning = g_ptr_array_new_with_free_func (g_free);
  if (!survey_plan (learn, image, &opened, plan, recipe, error)) {
    g_autofree char *name = g_strconcat (image->path, ": ", NULL);
    if (error && *error && !g_str_has_prefix ((*error)->message, name))
      g_prefix_error_literal (error, name);
    return FALSE;
  }
  return tell (learn, i, "survey", image->width * image->height, error);
}

/* Spread over all dice, so that no image and no part of a wafer is the measure. */
static void
choose_witnesses (Learn *learn)
{
  gint64 n = MIN (learn->n_dice, NOTCH_WITNESSES), at = 0;
  for (int i = 0; i < learn->n_images; i++)
    for (guint d = 0; d < learn->image[i].die->len; d++, at++)
      for (gint64 k = 0; k < n; k++)
        if (at == (2 * k + 1) * learn->n_dice / (2 * n))
          g_array_index (learn->image[i].die, Die, d).witness = (int) k;
}

/* ---- a run of tiles -------------------------------------------------------------------------------------------- */

typedef struct {
  Learn *learn;
  GPtrArray *average; /* NotchAverage */
  gint64 first;       /* tile, row by row */
  gboolean witnesses; /* the first time through the images */
  guint turn;         /* of the devices: they take strips in turn */
} Run;

/* A group of dice that the crew works on side by side; what they give is taken in order. */
static gboolean
work_off (Run *run, int device, GPtrArray *group, const GArray *member, GError **error)
{
  NotchCrewWork work = run->witnesses ? notch_average_interpolate : notch_average_compare;
  for (guint i = 0; i < group->len; i++)
    if (!notch_crew_push (run->learn->crew, device, work, group->pdata[i]))
      break;
  if (!notch_crew_wait (run->learn->crew, error))
    return FALSE;
  for (guint i = 0; i < group->len; i++) {
    NotchAverageDie *die = group->pdata[i];
    if (run->witnesses)
      notch_average_witness (die->average, die);
    else if (!notch_average_add (die->average, die))
      g_array_index (member, Die *, i)->left_out = TRUE;
  }
  return TRUE;
}

/* Dice of one row of an image, in the run's tiles of one row: what shares image rows. */
static gboolean
do_rows (Run *run, const Image *image, NotchStore *store, guint first_die, guint n_dice, guint first_tile,
         guint n_tiles, GError **error)
{
  Learn *learn = run->learn;
  gint64 low = G_MAXINT64, high = G_MININT64;
  gboolean any = FALSE;
  for (guint d = first_die; d < first_die + n_dice; d++) {
    const Die *die = &g_array_index (image->die, Die, d);
    if (run->witnesses && die->witness < 0)
      continue;
    any = TRUE;
    NotchRows rows = notch_average_rows (run->average->pdata[first_tile], &die->at);
    low = MIN (low, rows.y), high = MAX (high, rows.y + rows.n);
  }
  if (!any)
    return TRUE;
  NotchFault fault = { 0 };
  NotchRows rows = { low, high - low };
  g_autoptr (NotchStrip) strip = notch_store_strip (store, &rows, 1, error);
  if (!strip)
    return FALSE;
  int device = (int) (run->turn++ % (guint) learn->compute->n_devices);
  NotchStripMem *mem =
      learn->compute->kernels->strip_up (learn->compute->device[device], notch_strip_pixels (strip), &fault);
  if (!mem) {
    return notch_fault_error (&fault, learn->compute->kernels->name, error);
  }
  guint most = 4 * (guint) notch_crew_size (learn->crew);
  gboolean well = TRUE;
  g_autoptr (GPtrArray) group = g_ptr_array_new_with_free_func ((GDestroyNotify) notch_average_die_free);
  g_autoptr (GArray) member = g_array_new (FALSE, FALSE, sizeof (Die *));
  for (guint d = first_die; d < first_die + n_dice && well; d++) {
    Die *die = &g_array_index (image->die, Die, d);
    for (guint t = first_tile; t < first_tile + n_tiles && well && (!run->witnesses || die->witness >= 0); t++) {
      g_ptr_array_add (group,
                       notch_average_die_new (run->average->pdata[t], &die->at, mem, image->width, image->height));
      g_array_append_val (member, die);
      if (group->len == most) {
        well = work_off (run, device, group, member, error);
        g_ptr_array_set_size (group, 0);
        g_array_set_size (member, 0);
      }
    }
  }
  well = well && work_off (run, device, group, member, error);
  learn->compute->kernels->strip_free (mem);
  return well;
}

static gboolean
do_image (Run *run, const Image *image, GError **error)
{
  gboolean any = FALSE;
  for (guint d = 0; d < image->die->len; d++)
    any |= !run->witnesses || g_array_index (image->die, Die, d).witness >= 0;
  g_auto (Opened) opened = { 0 };
  if (!any)
    return TRUE;
  if (!open_image (run->learn, image->path, &opened, error))
    return FALSE;
  if (opened.source->width != image->width || opened.source->height != image->height) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ, "%s: changed while it was read; start again", image->path);
    return FALSE;
  }
  gint64 n_cols = run->learn->tiling.n_cols;
  for (guint d = 0, n; d < image->die->len; d += n) {
    int row = g_array_index (image->die, Die, d).grid_row;
    for (n = 1; d + n < image->die->len && g_array_index (image->die, Die, d + n).grid_row == row;)
      n++;
    for (guint t = 0, m; t < run->average->len; t += m) {
      m = (guint) MIN (n_cols - (run->first + t) % n_cols, (gint64) (run->average->len - t));
      if (!do_rows (run, image, opened.store, d, n, t, m, error))
        return FALSE;
    }
  }
  return TRUE;
}

static gboolean
do_images (Run *run, GError **error)
{
  Learn *learn = run->learn;
  gint64 tiles = learn->tiling.n_cols * learn->tiling.n_rows;
  for (int i = 0; i < learn->n_images; i++)
    if (!do_image (run, &learn->image[i], error)
        || !tell (learn, i, "learning", learn->image[i].width * learn->image[i].height * run->average->len / tiles,
                  error))
      return FALSE;
  return TRUE;
}

/* ---- the file -------------------------------------------------------------------------------------------------- */

static gboolean
fail_spool (const Learn *learn, GError **error)
{
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_WRITE,
               "%s: what is learned cannot be kept beside it (%s); make room or "
               "choose another disk",
               learn->path, g_strerror (errno != 0 ? errno : EIO));
  return FALSE;
}

/* A file beside the golden reference that loses its name at once: it goes away whatever happens. */
static gboolean
open_spool (Learn *learn, GError **error)
{
  g_autofree char *folder = notch_aside_folder (learn->path);
  g_autofree char *name = g_build_filename (folder, ".notch-learn-XXXXXX", NULL);
  learn->spool = g_mkstemp_full (name, O_RDWR | O_CLOEXEC, 0600);
  if (learn->spool < 0)
    return fail_spool (learn, error);
  g_unlink (name);
  return TRUE;
}

/* Where a pixel of a page lies in the spool, bytes. */
static gint64
spool_offset (const Learn *learn, int page, gint64 x, gint64 y)
{
  gint64 width, height;
  notch_golden_size (learn->golden, &width, &height);
  return ((page * height + y) * width + x) * (gint64) sizeof (float);
}

static gboolean
keep_tile (Learn *learn, NotchAverage *average, GError **error)
{
  const NotchTile *tile = &average->tile;
  gsize w = (gsize) tile->core_w, h = (gsize) tile->core_h;
  g_autofree float *value = g_new (float, N_PAGES *w *h);
  notch_average_finish (average, value, value + w * h, value + 2 * w * h);
  for (int page = 0; page < N_PAGES; page++)
    for (gsize row = 0; row < h; row++) {
      errno = 0;
      gint64 to = spool_offset (learn, page, tile->x + tile->core_x, tile->y + tile->core_y + (gint64) row);
      if (pwrite (learn->spool, value + ((gsize) page * h + row) * w, w * sizeof (float), to)
          != (gssize) (w * sizeof (float)))
        return fail_spool (learn, error);
    }
  g_array_append_vals (learn->sample, average->sample->data, average->sample->len);
  return TRUE;
}

static gboolean
write_pages (Learn *learn, GError **error)
{
  gint64 width, height;
  NotchGolden *golden = learn->golden;
  notch_golden_size (golden, &width, &height);
  golden->noise = notch_noise_fit ((const NotchNoiseSample *) learn->sample->data, learn->sample->len, 1e-12, 1);
  g_autofree char *text = notch_golden_describe (golden);
  NotchTiffLayout layout = { .width = width,
                             .height = height,
                             .sample = NOTCH_SAMPLE_F32,
                             .bits = 32,
                             .pixel_um = golden->pixel_um,
                             .deflate = TRUE,
                             .description = text,
                             .pages = N_PAGES };
  g_autoptr (NotchTiffWriter) writer = notch_tiff_writer_new (learn->path, &layout, error);
  g_autofree float *row = g_try_new (float, width);
  if (!writer || !row)
    return writer && fail_spool (learn, error);
  gssize bytes = (gssize) sizeof (float) * (gssize) width;
  for (int page = 0; page < N_PAGES; page++) {
    if (page > 0 && !notch_tiff_writer_next_page (writer, error))
      return FALSE;
    for (gint64 y = 0; y < height; y++) {
      errno = 0;
      if (pread (learn->spool, row, (gsize) bytes, spool_offset (learn, page, 0, y)) != bytes)
        return fail_spool (learn, error);
      if (!notch_tiff_writer_rows (writer, row, 1, error))
        return FALSE;
    }
  }
  return notch_tiff_writer_commit (writer, error);
}

/* ---- all of it ------------------------------------------------------------------------------------------------- */

static gboolean
do_run (Learn *learn, gint64 first, gint64 n, GError **error)
{
  const NotchTiling *tiling = &learn->tiling;
  NotchPlan terms = { .recipe = learn->recipe, .speed = &notch_speed_full };
  g_autoptr (GPtrArray) average = g_ptr_array_new_with_free_func ((GDestroyNotify) notch_average_free);
  for (gint64 i = first; i < first + n; i++)
    g_ptr_array_add (average,
                     notch_average_new (learn->golden, learn->compute->kernels, tiling, i % tiling->n_cols,
                                        i / tiling->n_cols, notch_plan_fit (&terms, &notch_reference_golden, NULL),
                                        learn->stride));
  Run run = { learn, average, first, TRUE, 0 };
  if (!do_images (&run, error))
    return FALSE;
  for (guint i = 0; i < average->len; i++)
    if (!notch_crew_push (learn->crew, (int) (i % (guint) learn->compute->n_devices), notch_average_settle,
                          average->pdata[i]))
      break;
  run.witnesses = FALSE;
  if (!notch_crew_wait (learn->crew, error) || !do_images (&run, error))
    return FALSE;
  for (guint i = 0; i < average->len; i++)
    if (!keep_tile (learn, average->pdata[i], error))
      return FALSE;
  return TRUE;
}

static gboolean
learn_tiles (Learn *learn, GError **error)
{
  gint64 width, height;
  notch_golden_size (learn->golden, &width, &height);
  learn->tiling = notch_tiling_new (width, height, learn->recipe->detect.tile_px, learn->recipe->detect.halo_px);
  learn->stride = (int) CLAMP ((double) width * (double) height * (double) learn->n_dice / NOISE_SAMPLES, 1, 1e6);
  NotchLaneSize size = { .batch = 1,
                         .size = learn->tiling.size,
                         .halo = learn->tiling.halo,
                         .max_blobs = 1,
                         .patch_side = 1,
                         .max_patches = 1 };
  learn->crew = notch_crew_new (learn->compute, &size, error);
  if (!learn->crew || !open_spool (learn, error))
    return FALSE;
  gint64 total = learn->tiling.n_cols * learn->tiling.n_rows;
  gint64 at_once = MAX ((gint64) (half_budget (learn) / notch_average_bytes (size.size)), 1);
  for (gint64 first = 0; first < total; first += at_once)
    if (!do_run (learn, first, MIN (at_once, total - first), error))
      return FALSE;
  return TRUE;
}

static gboolean
learn_all (Learn *learn, GError **error)
{
  if (!notch_recipe_check (learn->recipe, error))
    return FALSE;
  for (int i = 0; i < learn->n_images; i++)
    if (!survey_image (learn, i, error))
      return FALSE;
  if (learn->n_dice < LEAST_DICE) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT,
                 "%s: %" G_GINT64_FORMAT " usable dice are too few to learn from; name images with at least %d",
                 learn->image[0].path, learn->n_dice, LEAST_DICE);
    return FALSE;
  }
  choose_witnesses (learn);
  learn->golden->n_images = learn->n_images;
  learn->golden->n_dice = learn->n_dice;
  return learn_tiles (learn, error) && write_pages (learn, error);
}

static char *
report_of (const Learn *learn)
{
  gint64 left_out = 0;
  for (int i = 0; i < learn->n_images; i++)
    for (guint d = 0; d < learn->image[i].die->len; d++)
      left_out += g_array_index (learn->image[i].die, Die, d).left_out;
  char width[32], height[32];
  g_ascii_formatd (width, sizeof width, "%.2f", learn->golden->die_width);
  g_ascii_formatd (height, sizeof height, "%.2f", learn->golden->die_height);
  g_autoptr (GString) text = g_string_new (NULL);
  g_string_append_printf (text, "%s: a die of %s x %s px from %" G_GINT64_FORMAT " dice of %d image%s", learn->path,
                          width, height, learn->n_dice, learn->n_images, learn->n_images == 1 ? "" : "s");
  if (left_out > 0)
    g_string_append_printf (text, "; %" G_GINT64_FORMAT " of them differ and were left out there", left_out);
  g_string_append (text, "\n");
  return g_string_free (g_steal_pointer (&text), FALSE);
}

/* On some devices. */
static gboolean
learn_on (const NotchCompute *compute, char **images, const char *path, const NotchLearnOptions *options,
          NotchProgressFunc progress, gpointer data, char **report, GError **error)
{
  Learn learn = {
    .options = options,
    .compute = compute,
    .path = path,
    .n_images = (int) g_strv_length (images),
    .progress = progress,
    .data = data,
    .spool = -1,
    .sample = g_array_new (FALSE, FALSE, sizeof (NotchNoiseSample)),
  };
  learn.recipe = learn.options->recipe ? notch_recipe_copy (learn.options->recipe) : notch_recipe_new ();
  learn.now.n_images = learn.n_images;
  learn.image = g_new0 (Image, learn.n_images + 1);
  for (int i = 0; i < learn.n_images; i++) {
    learn.image[i].path = images[i];
    learn.image[i].die = g_array_new (FALSE, FALSE, sizeof (Die));
  }
  gboolean well = learn_all (&learn, error);
  if (well && report)
    *report = report_of (&learn);
  g_clear_pointer (&learn.crew, notch_crew_free);
  g_clear_pointer (&learn.anchor, notch_anchor_free);
  g_clear_pointer (&learn.picture, notch_reduced_free);
  if (learn.spool >= 0)
    close (learn.spool);
  for (int i = 0; i < learn.n_images; i++)
    g_array_unref (learn.image[i].die);
  g_free (learn.image);
  g_array_unref (learn.sample);
  g_clear_pointer (&learn.golden, notch_golden_free);
  notch_recipe_free (learn.recipe);
  return well;
}

/* The same on the processors, where the devices could not take it. */
static gboolean
learn_instead (const char *why, char **images, const char *path, const NotchLearnOptions *options,
               NotchProgressFunc progress, gpointer data, char **report, GError **error)
{
  NotchCompute compute;
  g_autofree char *warning = g_strdup_printf ("%s: learned on the CPU, for the GPU could not take it: %s", path, why);
  const NotchProgress told = { .image = images[0], .n_images = (int) g_strv_length (images), .warning = warning };
  if (progress && !progress (&told, data))
    return cancelled (error);
  if (!notch_compute_open (&compute, "cpu", 1, options->jobs, NULL, error))
    return FALSE;
  gboolean well = learn_on (&compute, images, path, options, progress, data, report, error);
  notch_compute_close (&compute);
  return well;
}

gboolean
notch_learn (char **images, const char *path, const NotchLearnOptions *options, NotchProgressFunc progress,
             gpointer data, char **report, GError **error)
{
  static const NotchLearnOptions defaults = { 0 };
  g_autoptr (GError) fault = NULL;
  NotchCompute compute;
  if (!options)
    options = &defaults;
  if (!notch_compute_open (&compute, options->device, NOTCH_MAX_DEVICES, options->jobs, NULL, error))
    return FALSE;
  gboolean well = learn_on (&compute, images, path, options, progress, data, report, &fault);
  notch_compute_close (&compute);
  if (!well && compute.kernels != &notch_kernels_cpu && g_error_matches (fault, NOTCH_ERROR, NOTCH_ERROR_DEVICE_FULL))
    return learn_instead (fault->message, images, path, options, progress, data, report, error);
  if (fault)
    g_propagate_error (error, g_steal_pointer (&fault));
  return well;
}
