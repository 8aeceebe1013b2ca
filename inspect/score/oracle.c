/* oracle.c - the detector that knows what each image is without defects, and its noise
 *
 * It is the same inspection but for the reference, so that what lies between the two is what the reference costs. */
#include <json-glib/json-glib.h>
#include <string.h>

#include "inspect/score/score.h"
#include "inspect/wafer/recipe.h"

/* What the simulator says of an image. */
typedef struct {
  char *image, *clean; /* paths, owned */
  double a, b, scale;
} Secret;

static void
secret_clear (Secret *secret)
{
  g_free (secret->image);
  g_free (secret->clean);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Secret, secret_clear)

static JsonObject *
object_of (JsonObject *parent, const char *name)
{
  JsonNode *node = parent ? json_object_get_member (parent, name) : NULL;
  return node && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
}

static double
number_of (JsonObject *object, const char *name, double otherwise)
{
  JsonNode *node = object ? json_object_get_member (object, name) : NULL;
  return node && JSON_NODE_HOLDS_VALUE (node) ? json_node_get_double (node) : otherwise;
}

/* The path of a file that `object` names, from the folder of `beside`; NULL: it names none. */
static char *
file_of (JsonObject *object, const char *beside)
{
  JsonNode *node = object ? json_object_get_member (object, "file") : NULL;
  if (!node || json_node_get_value_type (node) != G_TYPE_STRING)
    return NULL;
  const char *name = json_node_get_string (node);
  g_autofree char *folder = g_path_get_dirname (beside);
  return strchr (name, G_DIR_SEPARATOR) ? g_strdup (name) : g_build_filename (folder, name, NULL);
}

static char *
without_extension (const char *path)
{
  const char *dot = strrchr (path, '.'), *slash = strrchr (path, G_DIR_SEPARATOR);
  return dot && dot > path && (!slash || dot > slash + 1) ? g_strndup (path, (gsize) (dot - path)) : g_strdup (path);
}

static gboolean
read_secret (const char *truth, Secret *secret, GError **error)
{
  g_autofree char *stem = without_extension (truth), *path = g_strconcat (stem, ".json", NULL);
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (GError) why = NULL;
  if (!json_parser_load_from_file (parser, path, &why)) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
                 "%s: the oracle needs it and cannot read it: %s; notch simulate "
                 "--clean writes it",
                 path, why->message);
    return FALSE;
  }
  JsonNode *root = json_parser_get_root (parser);
  JsonObject *top = root && JSON_NODE_HOLDS_OBJECT (root) ? json_node_get_object (root) : NULL;
  JsonObject *image = object_of (top, "image"), *clean = object_of (top, "clean"), *noise = object_of (top, "noise");
  secret->image = file_of (image, path);
  secret->clean = file_of (clean, path);
  secret->scale = number_of (clean, "scale", 1);
  secret->a = number_of (noise, "a", -1);
  secret->b = number_of (noise, "b", 0);
  if (secret->image && secret->clean && secret->a > 0 && secret->b >= 0 && secret->scale > 0)
    return TRUE;
  g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_READ,
               "%s: does not name an image, its clean image and the noise; simulate the image with --clean", path);
  return FALSE;
}

/* The recipe that the image was inspected with, as far as it is known. */
static NotchRecipe *
choose_recipe (const NotchScorePair *pair, const NotchScoreOptions *options, GError **error)
{
  g_autofree char *folder = g_path_get_dirname (pair->defects), *beside = g_build_filename (folder, "recipe.ini", NULL);
  if (options->recipe)
    return notch_recipe_load (options->recipe, error);
  return g_file_test (beside, G_FILE_TEST_EXISTS) ? notch_recipe_load (beside, error) : notch_recipe_new ();
}

/* Keeps the last thing that went wrong. */
static gboolean
keep_warning (const NotchProgress *progress, gpointer data)
{
  char **kept = data;
  if (progress->warning) {
    g_free (*kept);
    *kept = g_strdup (progress->warning);
  }
  return TRUE;
}

/* Inspects one image into `folder`; gives the path of the list of what was found. */
static char *
inspect_image (const NotchScorePair *pair, const char *folder, const NotchScoreOptions *options, GError **error)
{
  g_auto (Secret) secret = { 0 };
  g_autoptr (NotchRecipe) recipe = NULL;
  if (!read_secret (pair->truth, &secret, error) || !(recipe = choose_recipe (pair, options, error)))
    return NULL;
  recipe->reference.method = NOTCH_REFERENCE_EXACT;
  g_free (recipe->reference.image);
  recipe->reference.image = g_canonicalize_filename (secret.clean, NULL);
  recipe->reference.noise_a = secret.a;
  recipe->reference.noise_b = secret.b;
  recipe->reference.scale = secret.scale;
  NotchInspectOptions how = { .recipe = recipe, .output = folder, .device = options->device, .jobs = options->jobs };
  how.formats = "defects,recipe";
  char *images[] = { secret.image, NULL };
  g_autofree char *warning = NULL, *name = g_path_get_basename (secret.image), *stem = without_extension (name);
  g_autofree char *path = g_build_filename (folder, stem, "defects.csv", NULL);
  NotchRunSummary summary = { 0 };
  if (!notch_inspect_run (images, &how, keep_warning, &warning, &summary, NULL, error))
    return NULL;
  if (summary.n_defects == 0 && summary.n_trouble > 0) {
    g_set_error_literal (error, NOTCH_ERROR, NOTCH_ERROR_INSPECT, warning ? warning : secret.image);
    return NULL;
  }
  return g_steal_pointer (&path);
}

NotchTally *
notch_score_oracle (const NotchScorePair *pair, int n, const NotchScoreOptions *options, GError **error)
{
  g_autofree NotchScorePair *own = g_new0 (NotchScorePair, n);
  g_autoptr (GPtrArray) found = g_ptr_array_new_with_free_func (g_free);
  for (int i = 0; i < n; i++) {
    g_autofree char *number = g_strdup_printf ("%d", i + 1),
                    *folder = n > 1 ? g_build_filename (options->oracle, number, NULL) : g_strdup (options->oracle);
    char *path = inspect_image (&pair[i], folder, options, error);
    if (!path)
      return NULL;
    g_ptr_array_add (found, path);
    own[i] = (NotchScorePair){ pair[i].truth, path };
  }
  return notch_tally_new (own, n, options, error);
}
