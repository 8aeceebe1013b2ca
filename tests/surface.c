/* surface.c - the mesh: what a background is measured to be, beside what it was drawn as */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "inspect/image/write.h"
#include "inspect/reference/reference.h"
#include "inspect/wafer/mesh.h"

/* ---- drawn surfaces -------------------------------------------------------------------------------------------- */

typedef double (*Shape) (double x, double y);

static double
flat (double x, double y)
{
  return 100;
}

static double
slope (double x, double y)
{
  return 60 + 0.06 * x - 0.03 * y;
}

/* A lamp's fall-off and the waves of a film. */
static double
shaded (double x, double y)
{
  double r = hypot (x - 600, y - 400);
  return 120 * (1 - 2e-7 * r * r) * (1 + 0.1 * cos (2 * G_PI * r / 1900));
}

typedef struct {
  NotchPlan plan;
  NotchRecipe *recipe;
  float *value;
  int width, height;
  double sigma;
  Shape shape;
  gboolean hole; /* no numbers from 200, 100 to 450, 300 */
} Scene;

static double
gaussian (GRand *random)
{
  return sqrt (-2 * log (1 - g_rand_double (random))) * cos (2 * G_PI * g_rand_double (random));
}

static Scene *
scene_new (int width, int height, Shape shape, double sigma, guint32 seed)
{
  Scene *scene = g_new0 (Scene, 1);
  g_autoptr (GRand) random = g_rand_new_with_seed (seed);
  scene->recipe = notch_recipe_new ();
  scene->width = width, scene->height = height;
  scene->sigma = sigma;
  scene->shape = shape;
  scene->value = g_new (float, (gsize) width *(gsize) height);
  for (int i = 0; i < width * height; i++)
    scene->value[i] = (float) (shape (i % width, i / width) + sigma * gaussian (random));
  return scene;
}

static void
scene_free (Scene *scene)
{
  g_clear_pointer (&scene->plan.mesh, notch_mesh_free);
  g_clear_pointer (&scene->plan.store, notch_store_free);
  g_clear_pointer (&scene->plan.source, notch_source_close);
  notch_recipe_free (scene->recipe);
  g_free (scene);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Scene, scene_free)

/* Round specks that cover a part of the image, each of another brightness. */
static void
add_blobs (Scene *scene, double share)
{
  g_autoptr (GRand) random = g_rand_new_with_seed (17);
  for (double covered = 0; covered < share * scene->width * scene->height;) {
    int x = g_rand_int_range (random, 0, scene->width), y = g_rand_int_range (random, 0, scene->height);
    double radius = g_rand_double_range (random, 1, 4), level = scene->sigma * g_rand_double_range (random, 5, 40);
    for (int v = MAX (y - 4, 0); v <= MIN (y + 4, scene->height - 1); v++)
      for (int u = MAX (x - 4, 0); u <= MIN (x + 4, scene->width - 1); u++)
        if (hypot (u - x, v - y) <= radius) {
          scene->value[v * scene->width + u] += (float) level;
          covered++;
        }
  }
}

static void
add_stain (Scene *scene, double x, double y, double spread, double level)
{
  for (int v = 0; v < scene->height; v++)
    for (int u = 0; u < scene->width; u++)
      scene->value[v * scene->width + u] +=
          (float) (level * exp (-((u - x) * (u - x) + (v - y) * (v - y)) / (2 * spread * spread)));
}

/* Gives the image to the plan, in whole numbers of so many bits, or as it is (32). */
static const NotchMesh *
measure (Scene *scene, int bits, int px)
{
  g_autoptr (GError) error = NULL;
  NotchPlan *plan = &scene->plan;
  if (bits == 32)
    plan->source = notch_source_from_memory ("drawn", scene->width, scene->height, NOTCH_SAMPLE_F32, scene->value);
  else {
    g_autofree char *folder = g_dir_make_tmp ("surface-XXXXXX", NULL);
    g_autofree char *path = g_build_filename (folder, "drawn.tif", NULL);
    NotchTiffLayout layout = { scene->width, scene->height, bits == 8 ? NOTCH_SAMPLE_U8 : NOTCH_SAMPLE_U16, bits,
                               .pages = 1 };
    g_autoptr (NotchTiffWriter) writer = notch_tiff_writer_new (path, &layout, &error);
    g_assert_no_error (error);
    g_autofree guint16 *row = g_new (guint16, scene->width);
    guint8 *narrow = (guint8 *) row;
    for (int y = 0; y < scene->height; y++) {
      for (int x = 0; x < scene->width; x++) {
        double value = CLAMP (rint ((double) scene->value[y * scene->width + x]), 0, (1 << bits) - 1);
        if (bits == 8)
          narrow[x] = (guint8) value;
        else
          row[x] = (guint16) value;
      }
      g_assert_true (notch_tiff_writer_rows (writer, row, 1, &error));
    }
    g_assert_true (notch_tiff_writer_commit (writer, &error));
    g_free (scene->value);
    plan->source = notch_source_open (path, NULL, &error);
    g_assert_no_error (error);
    g_unlink (path);
    g_rmdir (folder);
  }
  scene->value = NULL;
  plan->recipe = scene->recipe;
  plan->pixel_um = 1;
  plan->store = notch_store_new (plan->source, 64 << 20, 1);
  plan->mesh = notch_mesh_new (plan, px, &error);
  g_assert_no_error (error);
  return plan->mesh;
}

/* The rms and the largest distance of the background from the truth where the scene is inspected, in sigmas. */
static void
compare (const Scene *scene, double *rms, double *worst)
{
  const NotchMesh *mesh = scene->plan.mesh;
  NotchCare care = notch_care_new (&scene->plan);
  g_autofree float *row = g_new (float, scene->width);
  double sum = 0, n = 0;
  *worst = 0;
  for (int y = 0; y < scene->height; y++) {
    notch_mesh_row (mesh, 0.5 / mesh->px - 0.5, (y + 0.5) / mesh->px - 0.5, 1.0 / mesh->px, scene->width, row);
    for (int x = 0; x < scene->width; x++) {
      if (!(notch_care_at (&care, x, y) > 0) || (scene->hole && x >= 200 && x < 450 && y >= 100 && y < 300))
        continue;
      double off = ((double) row[x] - scene->shape (x, y)) / scene->sigma;
      sum += off * off, n++;
      *worst = MAX (*worst, fabs (off));
    }
  }
  *rms = sqrt (sum / n);
  g_test_message ("%d x %d px, cells of %d px: %.4f sigma rms, %.4f at most", scene->width, scene->height, mesh->px,
                  *rms, *worst);
}

static void
check (Scene *scene, int bits, double most_rms, double most)
{
  double rms, worst;
  measure (scene, bits, 64);
  compare (scene, &rms, &worst);
  g_assert_cmpfloat (rms, <=, most_rms);
  g_assert_cmpfloat (worst, <=, most);
}

/* ---- what a background is measured to be ----------------------------------------------------------------------- */

/* ALGORITHMS' figure, in all kinds of samples. */
static void
test_blobs (void)
{
  static const int bits[] = { 8, 16, 32 };
  for (guint i = 0; i < G_N_ELEMENTS (bits); i++) {
    g_autoptr (Scene) scene = scene_new (1024, 1024, flat, 2, 3);
    add_blobs (scene, 0.01);
    check (scene, bits[i], 0.02, 0.1);
    const NotchMesh *mesh = scene->plan.mesh;
    double sigma = 0, clipped = 0;
    for (gint64 k = 0; k < mesh->n_cols * mesh->n_rows; k++)
      sigma += (double) mesh->cell[k].sigma / 256, clipped += (double) mesh->cell[k].clipped / 256;
    g_assert_cmpfloat (fabs (sigma - sqrt (4 + (bits[i] == 32 ? 0 : 1 / 12.0))), <, 0.03);
    g_assert_cmpfloat (fabs (clipped - 0.0127), <, 0.003);
    g_assert_cmpint (mesh->n_crowded, ==, 0);
  }
}

static void
test_shapes (void)
{
  static const Shape shape[] = { slope, shaded };
  for (guint i = 0; i < G_N_ELEMENTS (shape); i++) {
    g_autoptr (Scene) scene = scene_new (1200, 800, shape[i], 2, 5);
    check (scene, 8, 0.02, 0.15); /* the corners, half a cell beyond any level, are the least sure */
  }
  /* A quiet camera on a steep slope: 4 sigmas a cell. */
  g_autoptr (Scene) quiet = scene_new (700, 700, slope, 1, 6);
  check (quiet, 32, 0.02, 0.08);
}

/* Outside of the wafer it is dark: nothing of that comes in, and cells that the edge cuts tell no other level. */
static void
test_rim (void)
{
  g_autoptr (Scene) scene = scene_new (1100, 1000, slope, 2, 7);
  scene->plan.outline = (NotchOutline){ .x = 540, .y = 480, .radius = 460, .notch_angle = NAN };
  scene->recipe->wafer.edge_exclusion_mm = 0;
  for (int y = 0; y < scene->height; y++)
    for (int x = 0; x < scene->width; x++)
      if (hypot (x - 540, y - 480) > 460)
        scene->value[y * scene->width + x] = 3;
  check (scene, 8, 0.03, 0.2);
  g_assert_cmpint (scene->plan.mesh->n_known, <, scene->plan.mesh->n_cols * scene->plan.mesh->n_rows);
}

static void
test_sizes (void)
{
  static const int size[][2] = { { 1000, 333 }, { 65, 700 }, { 97, 95 }, { 40, 40 }, { 20, 900 } };
  /* Few pixels tell little, and across a single column of cells nothing tells a slope. */
  static const double most[][2] = { { 0.02, 0.1 }, { 0.05, 0.25 }, { 0.05, 0.2 }, { 0.1, 0.3 }, { 0.3, 1.2 } };
  for (guint i = 0; i < G_N_ELEMENTS (size); i++) {
    g_autoptr (Scene) scene = scene_new (size[i][0], size[i][1], slope, 2, 9);
    check (scene, 32, most[i][0], most[i][1]);
  }
  static const int none[][2] = { { 1, 1 }, { 1, 500 } };
  for (guint i = 0; i < G_N_ELEMENTS (none); i++) {
    g_autoptr (Scene) scene = scene_new (none[i][0], none[i][1], flat, 2, 9);
    g_assert_cmpint (measure (scene, 32, 64)->n_known, ==, 0);
    g_assert_false (notch_mesh_is_bare (scene->plan.mesh));
  }
}

static void
test_no_numbers (void)
{
  g_autoptr (Scene) scene = scene_new (800, 600, slope, 2, 11);
  double rms, worst;
  for (int y = 100; y < 300; y++)
    for (int x = 200; x < 450; x++)
      scene->value[y * 800 + x] = x % 2 ? NAN : y % 2 ? INFINITY : -1e30f;
  scene->hole = TRUE;
  measure (scene, 32, 32);
  compare (scene, &rms, &worst);
  g_assert_cmpfloat (rms, <=, 0.03);
  g_assert_cmpfloat (worst, <=, 0.2);
  for (gint64 i = 0; i < scene->plan.mesh->n_cols * scene->plan.mesh->n_rows; i++)
    g_assert_true (isnan (scene->plan.mesh->cell[i].level) || scene->plan.mesh->cell[i].clipped < 0.05f);
}

/* The wafer lies beside the image: there is nothing to compare with, and the method says so. */
static void
test_all_masked (void)
{
  g_autoptr (Scene) scene = scene_new (300, 300, flat, 2, 13);
  g_autoptr (GError) error = NULL;
  scene->plan.outline = (NotchOutline){ .x = -2000, .y = -2000, .radius = 460, .notch_angle = NAN };
  g_assert_cmpint (measure (scene, 32, 64)->n_known, ==, 0);
  g_assert_false (notch_reference_surface.prepare (&scene->plan, NULL, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT);
  g_assert_nonnull (strstr (error->message, "mesh_px"));
}

/* One level everywhere: no noise, nothing to divide by, and surely no camera's bare wafer. */
static void
test_constant (void)
{
  g_autoptr (Scene) scene = scene_new (512, 512, flat, 0, 1);
  const NotchMesh *mesh = measure (scene, 8, 64);
  g_assert_cmpfloat (mesh->cell[0].level, ==, 100);
  g_assert_cmpfloat (mesh->cell[0].sigma, ==, 0);
  g_assert_false (notch_mesh_is_bare (mesh));
}

typedef struct {
  int asked, most; /* the last question is answered by no */
} Patience;

static gboolean
ask_patience (gpointer data)
{
  Patience *patience = data;
  return ++patience->asked < patience->most;
}

/* Whoever wants to stop is heard while nodes are filled, when all rows are read. */
static void
test_stopped (void)
{
  g_autoptr (Scene) scene = scene_new (256, 256, flat, 2, 3);
  g_autoptr (GError) error = NULL;
  Patience patience = { 0, G_MAXINT };
  gint64 n_rows = measure (scene, 32, 64)->n_rows;
  notch_store_watch (scene->plan.store, ask_patience, &patience);
  g_autoptr (NotchMesh) whole = notch_mesh_new (&scene->plan, 64, &error);
  g_assert_no_error (error);
  g_assert_cmpint (patience.asked, >, n_rows);
  patience = (Patience){ 0, patience.asked };
  g_assert_null (notch_mesh_new (&scene->plan, 64, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_CANCELLED);
}

/* A stain of the coarsest filter's width, wherever it lies in the cells, is no background; weak or strong. */
static void
test_stain (void)
{
  static const double place[][2] = { { 415.5, 415.5 }, { 448, 448 }, { 448, 415.5 }, { 430, 440 } };
  static const double level[] = { 0.5, 2, 20 };
  for (guint i = 0; i < G_N_ELEMENTS (place); i++)
    for (guint k = 0; k < G_N_ELEMENTS (level); k++) {
      g_autoptr (Scene) with = scene_new (832, 832, shaded, 1, 15), without = scene_new (832, 832, shaded, 1, 15);
      float stained[832], plain[832];
      double eaten = 0;
      add_stain (with, place[i][0], place[i][1], 14, level[k]);
      measure (with, 32, 64), measure (without, 32, 64);
      for (int y = 380; y < 480; y++) {
        notch_mesh_row (with->plan.mesh, 0.5 / 64 - 0.5, (y + 0.5) / 64 - 0.5, 1.0 / 64, 832, stained);
        notch_mesh_row (without->plan.mesh, 0.5 / 64 - 0.5, (y + 0.5) / 64 - 0.5, 1.0 / 64, 832, plain);
        for (int x = 380; x < 480; x++)
          eaten = MAX (eaten, fabs ((double) (stained[x] - plain[x])) / level[k]);
      }
      g_test_message ("stain of %.1f sigmas at %.1f, %.1f: %.3f of it eaten", level[k], place[i][0], place[i][1],
                      eaten);
      g_assert_cmpfloat (eaten, <, 0.08);
    }
}

/* ---- bare or not ----------------------------------------------------------------------------------------------- */

/* Blocks of 9 x 7 px that do not repeat. */
static double
blocks (double x, double y)
{
  guint hash = (guint) floor (x / 9) * 2654435761u ^ (guint) floor (y / 7) * 40503u;
  return 90 + 8 * (double) (hash * 2246822519u >> 9 & 3);
}

/* Lines that run down the image, as random as noise from one to the next. */
static double
lines (double x, double y)
{
  return 90 + (double) ((guint) x * 2654435761u >> 13 & 15);
}

/* Wide flat areas of two levels, as large dice out of focus. */
static double
areas (double x, double y)
{
  return 90 + 10 * tanh (3 * sin (x / 60)) * tanh (3 * sin (y / 70));
}

static void
test_bare (void)
{
  static const struct {
    Shape shape;
    double sigma;
    gboolean bare;
  } look[] = { { flat, 2, TRUE },    { slope, 0.6, TRUE }, { shaded, 2, TRUE }, { flat, 25, TRUE },
               { blocks, 2, FALSE }, { lines, 2, FALSE },  { areas, 2, FALSE } };
  for (guint i = 0; i < G_N_ELEMENTS (look); i++) {
    g_autoptr (Scene) scene = scene_new (768, 768, look[i].shape, look[i].sigma, 19);
    const NotchMesh *mesh = measure (scene, 8, 64);
    g_test_message ("%u: %d of %d cells patterned", i, (int) mesh->n_patterned, (int) mesh->n_known);
    g_assert_cmpint (notch_mesh_is_bare (mesh), ==, look[i].bare);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/surface/blobs", test_blobs);
  g_test_add_func ("/surface/shapes", test_shapes);
  g_test_add_func ("/surface/rim", test_rim);
  g_test_add_func ("/surface/sizes", test_sizes);
  g_test_add_func ("/surface/no-numbers", test_no_numbers);
  g_test_add_func ("/surface/all-masked", test_all_masked);
  g_test_add_func ("/surface/constant", test_constant);
  g_test_add_func ("/surface/stopped", test_stopped);
  g_test_add_func ("/surface/stain", test_stain);
  g_test_add_func ("/surface/bare", test_bare);
  return g_test_run ();
}
