/* recipe.c - recipes: what is written can be read, and what is wrong is said with its line */
#include "inspect/wafer/recipe.h"

#include <glib/gstdio.h>
#include <locale.h>
#include <string.h>

static void
test_round_trip (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchRecipe) recipe = notch_recipe_new ();
  const char *const settings[] = {
    "wafer.diameter_mm=200",
    "wafer.notch=left",
    "wafer.round=false",
    "dice.pitch_x_px=512.0123456789",
    "dice.pitch_y_px=0.1e3",
    "dice.excluded=1,2; -3,4",
    "reference.method=template",
    "reference.image= my file\\x.tif",
    "detect.polarity=dark",
    "detect.memory_mib=4096",
    "detect.colour=green",
    "detect.tile_px=600",
    "region core.kind=exclude",
    "region core.width_um=12.5",
    "region core.height_um=7",
    "region pad row.width_um=1",
    "region pad row.height_um=1",
    "region pad row.sensitivity=2",
    "region by mask.mask=/some where/mask.png",
    "region by mask.frame=image",
    "region by polygons.polygons=/care.csv",
    "classify.class.scratch=elongation > 9",
    "classify.class.pit=",
    "classify.class.big-one=area_px >= 1e4 || width_px = 3",
    "limits.defects=10",
    "limits.class.scratch=0",
    "report.crops=7",
  };
  for (gsize i = 0; i < G_N_ELEMENTS (settings); i++) {
    notch_recipe_set (recipe, settings[i], &error);
    g_assert_no_error (error);
  }
  g_assert_true (notch_recipe_check (recipe, &error));
  g_autofree char *text = notch_recipe_to_string (recipe);
  g_autoptr (NotchRecipe) again = notch_recipe_parse (text, "again", &error);
  g_assert_no_error (error);
  g_autofree char *text_again = notch_recipe_to_string (again);
  g_assert_cmpstr (text, ==, text_again);
  g_autoptr (NotchRecipe) copy = notch_recipe_copy (again);
  g_autofree char *text_copy = notch_recipe_to_string (copy);
  g_assert_cmpstr (text, ==, text_copy);

  g_assert_cmpfloat (copy->dice.pitch_x_px, ==, 512.0123456789);
  g_assert_cmpfloat (copy->dice.pitch_y_px, ==, 100);
  g_assert_cmpint (copy->wafer.notch, ==, 1);
  g_assert_false (copy->wafer.round);
  g_assert_cmpuint (copy->dice.excluded->len, ==, 2);
  const int *pairs = (const int *) (gconstpointer) copy->dice.excluded->data;
  g_assert_true (pairs[0] == 1 && pairs[1] == 2 && pairs[2] == -3 && pairs[3] == 4);
  g_assert_cmpstr (copy->reference.image, ==, "my file\\x.tif");
  g_assert_cmpint (copy->detect.colour, ==, 1);
  g_assert_cmpint (copy->detect.memory_mib, ==, 4096);
  g_assert_cmpuint (copy->region->len, ==, 4);
  const NotchRegion *region = copy->region->pdata[1];
  g_assert_cmpstr (region->name, ==, "pad row");
  g_assert_cmpfloat (region->sensitivity, ==, 2);
  g_assert_cmpuint (copy->classify.rule->len, ==, 4);
  const NotchRule *rule = copy->classify.rule->pdata[3];
  g_assert_cmpstr (rule->name, ==, "big-one");
  g_assert_cmpstr (rule->expression, ==, "area_px >= 1e4 || width_px = 3");
  g_assert_cmpuint (copy->limits.per_class->len, ==, 1);
}

static void
test_defaults (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchRecipe) recipe = notch_recipe_new ();
  g_autofree char *text = notch_recipe_to_string (recipe);
  g_autoptr (NotchRecipe) empty = notch_recipe_parse ("", "empty", &error);
  g_assert_no_error (error);
  g_autofree char *text_empty = notch_recipe_to_string (empty);
  g_assert_cmpstr (text, ==, text_empty);
  g_assert_cmpfloat (recipe->detect.false_alarms, ==, 0.1);
  g_assert_cmpfloat (recipe->limits.defects, ==, -1);
  g_assert_cmpint (recipe->reference.neighbours, ==, 8);
  g_assert_cmpuint (recipe->classify.rule->len, ==, 4);

  g_autoptr (NotchRecipe) no_rules = notch_recipe_parse ("[classify]\n", "no rules", &error);
  g_assert_no_error (error);
  g_assert_cmpuint (no_rules->classify.rule->len, ==, 0);
  g_assert_cmpstr (no_rules->classify.model, ==, NOTCH_MODEL_SHIPPED);
  g_autoptr (NotchRecipe) blank =
      notch_recipe_parse ("[detect]\r\nfalse_alarms=\r\ntile_px = 256\r\n", "blank", &error);
  g_assert_no_error (error);
  g_assert_cmpfloat (blank->detect.false_alarms, ==, 0.1);
  g_assert_cmpint (blank->detect.tile_px, ==, 256);
}

/* The model that comes with notch decides, until a rule or a model is given, in whichever order; of signatures whatever the
 * rules. */
static void
test_model (void)
{
  static const struct {
    const char *text, *set, *model, *signature;
  } given[] = {
    { "", NULL, NOTCH_MODEL_SHIPPED, NOTCH_MODEL_SHIPPED },
    { "[classify]\nsignature_model = maps.model\n", NULL, NOTCH_MODEL_SHIPPED, "maps.model" },
    { "[classify]\nclass.a = area_px > 3\n", NULL, NULL, NOTCH_MODEL_SHIPPED },
    { "[classify]\nmodel =\n", NULL, NULL, NOTCH_MODEL_SHIPPED },
    { "[classify]\nclass.a = area_px > 3\nmodel = own.model\n", NULL, "own.model", NOTCH_MODEL_SHIPPED },
    { "[classify]\nmodel = own.model\nclass.a = area_px > 3\n", NULL, "own.model", NOTCH_MODEL_SHIPPED },
    { "", "classify.class.a = area_px > 3", NULL, NOTCH_MODEL_SHIPPED },
    { "", "classify.model =", NULL, NOTCH_MODEL_SHIPPED },
    { "[classify]\nmodel = own.model\n", "classify.class.a = area_px > 3", "own.model", NOTCH_MODEL_SHIPPED },
    { "[classify]\nsignature_model =\n", NULL, NOTCH_MODEL_SHIPPED, NULL },
    { "", "classify.signature_model =", NOTCH_MODEL_SHIPPED, NULL },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (given); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (NotchRecipe) recipe = notch_recipe_parse (given[i].text, "r", &error);
    g_assert_no_error (error);
    if (given[i].set)
      g_assert_true (notch_recipe_set (recipe, given[i].set, &error));
    g_assert_cmpstr (recipe->classify.model, ==, given[i].model);
    g_assert_cmpstr (recipe->classify.signature_model, ==, given[i].signature);
    g_autofree char *text = notch_recipe_to_string (recipe);
    g_autoptr (NotchRecipe) again = notch_recipe_parse (text, "again", &error);
    g_assert_no_error (error);
    g_assert_cmpstr (again->classify.model, ==, given[i].model);
    g_assert_cmpstr (again->classify.signature_model, ==, given[i].signature);
  }
}

static void
test_errors (void)
{
  static const struct {
    const char *text, *message;
  } bad[] = {
    { "[detect]\n\nfalse_alarm=1\n", "r:3: [detect] false_alarm: there is no such key; did you mean false_alarms?" },
    { "[detekt]\n", "r:1: [detekt]: there is no such group; did you mean [detect]?" },
    { "[unheard of]\n", "r:1: [unheard of]: there is no such group; there are wafer" },
    { "# a\n[detect]\nfalse_alarms=many\n",
      "r:3: [detect] false_alarms: \"many\" is not a number; it may be 1e-06 to 1000000 per image, default 0.1" },
    { "[detect]\nfalse_alarms=0\n", "r:2: [detect] false_alarms: \"0\" is out of range" },
    { "[detect]\nfalse_alarms=nan\n", "r:2: [detect] false_alarms: \"nan\" is out of range" },
    { "[detect]\nfalse_alarms=0,5\n", "r:2: [detect] false_alarms: \"0,5\" is not a number" },
    { "[detect]\nlines=maybe\n", "r:2: [detect] lines: \"maybe\" is neither; it may be true or false, default true" },
    { "[detect]\npolarity=grey\n", "it may be both, bright or dark, default both" },
    { "[detect]\ntile_px=511.5\n", "r:2: [detect] tile_px: \"511.5\" is not a whole number" },
    { "[detect]\nlines=true\ntile_px=511\n", "r:3: [detect] tile_px: 511 is no multiple of 8, or has a prime" },
    { "[detect]\ntile_px=500\n", "r:2: [detect] tile_px: 500 is no multiple of 8" },
    { "[detect]\ntile_px=180\n", "r:2: [detect] tile_px: 180 is no multiple of 8" },
    { "[detect]\nhalo_px=64\ntile_px=128\n", "r:2: [detect] halo_px: 64 leaves little" },
    { "[report]\ncrop_px=128\n", "r:2: [report] crop_px: 128 is more than twice halo_px" },
    { "[dice]\npitch_x_px=100\n", "r:1: [dice] pitch_y_px: one pitch is given and the other is not" },
    { "[dice]\nexcluded=1;2\n", "r:2: [dice] excluded: \"1;2\" is not such a list" },
    { "[region a]\nx_um=1\n", "r:1: [region a] width_um: it must be given" },
    { "[region a]\nmask=a.png\npolygons=a.csv\n", "r:3: [region a] polygons: there is a mask already" },
    { "[region a]\nx_um=1\npolygons=a.csv\n", "r:2: [region a] x_um: the polygons say themselves where they are" },
    { "[region a]\nmask=a.png\nwidth_um=3\n", "r:1: [region a] height_um: it must be given" },
    { "[region a]\nmask=a.png\ny_um=3\n", "r:1: [region a] width_um: without it the mask lies over all" },
    { "[region a]\nx_um=-1\nwidth_um=3\nheight_um=3\n", "r:2: [region a] x_um: it is outside the die" },
    { "[region a]\nframe=chip\n", "it may be die, wafer or image, default die" },
    { "[region]\n", "r:1: [region]: a region wants a name" },
    { "[region a]\nwidht_um=1\n", "r:2: [region a] widht_um: there is no such key; did you mean width_um?" },
    { "[classify]\nclass.a b=1\n", "r:2: [classify] class.a b: a class's name has" },
    { "[limits]\nclass.pit=-2\n", "r:2: [limits] class.pit: \"-2\" is out of range" },
    { "[limits]\nclass.pit=1.5\n", "is not a whole number" },
    { "[detect]\nlines=true\nlines=false\n", "r:3: [detect] lines: it stands here for the second time" },
    { "[wafer]\npixel_um=2\n[dice]\npitch_x_px=100\npitch_y_px=100\npitch_y_um=250\n",
      "r:5: [dice] pitch_y_px: 100 px are 200 µm, and pitch_y_um is 250; set one of the two to 0" },
    { "[limits]\ndefects=1.5\n", "r:2: [limits] defects: \"1.5\" is not a whole number" },
    { "[limits]\nfailed_dice=0.1\n", "is not a whole number" },
    { "[detect]\n[dice]\n[detect]\n", "r:3: [detect]: it stands here for the second time" },
    { "lines=true\n", "r:1: this is neither" },
    { "[detect]\nlines\n", "r:2: this is neither" },
    { "[detect\n", "r:1: this is neither" },
    { "[detect]\nlines[de]=true\n", "r:2: this is neither" },
    { "[reference]\nimage=a\\qb\n", "r:2: " },
    { "\xff\xfe", "r: it is not UTF-8 text" },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (NotchRecipe) recipe = notch_recipe_parse (bad[i].text, "r", &error);
    g_assert_null (recipe);
    g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE);
    if (!strstr (error->message, bad[i].message))
      g_error ("case %" G_GSIZE_FORMAT ": \"%s\" is not in \"%s\"", i, bad[i].message, error->message);
    g_assert_null (strchr (error->message, '\n'));
  }
  static const char *const bad_settings[] = { "",           "=",           "detect",   "detect.lines",
                                              "lines=true", ".lines=true", "detect.=1" };
  g_autoptr (NotchRecipe) recipe = notch_recipe_new ();
  for (gsize i = 0; i < G_N_ELEMENTS (bad_settings); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_false (notch_recipe_set (recipe, bad_settings[i], &error));
    g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE);
  }
  g_autoptr (GError) error = NULL;
  g_autoptr (NotchRecipe) agrees = notch_recipe_parse (
      "[wafer]\npixel_um=2\n[dice]\npitch_x_px=100.4\npitch_y_px=100\npitch_x_um=200\n", "r", &error);
  g_assert_no_error (error);
  /* What --set breaks is told as such, also for a copy; what it does not touch keeps its line. */
  g_assert_true (notch_recipe_set (agrees, "detect.halo_px=200", &error));
  g_autoptr (NotchRecipe) copy = notch_recipe_copy (agrees);
  g_assert_false (notch_recipe_check (copy, &error));
  g_assert_true (g_str_has_prefix (error->message, "--set detect.halo_px=200: [detect] halo_px: 200 leaves little"));
  g_clear_error (&error);
  g_autofree char *place = notch_recipe_place (copy, "dice", "pitch_x_px"),
                  *nowhere = notch_recipe_place (copy, "report", "crops");
  g_assert_cmpstr (place, ==, "r:4: [dice] pitch_x_px");
  g_assert_cmpstr (nowhere, ==, "r: [report] crops");

  static const struct {
    double x, width, die;
    const char *message;
  } region[] = { { 10, 80, 100, NULL },
                 { 10, 95, 100,
                   "[region a] width_um: the region reaches out of the die, which is 100 µm wide; with this "
                   "x_um it may be at most 90 µm" },
                 { 110, 5, 100, "[region a] x_um: the region begins outside the die" } };
  for (gsize i = 0; i < G_N_ELEMENTS (region); i++) {
    g_autofree char *text =
        g_strdup_printf ("[region a]\nx_um=%d\nwidth_um=%d\nheight_um=1\n", (int) region[i].x, (int) region[i].width);
    g_autoptr (NotchRecipe) wide = notch_recipe_parse (text, "r", &error);
    g_assert_no_error (error);
    gboolean fits = notch_recipe_check_regions (wide, region[i].die, 100, "µm", &error);
    g_assert_true (fits == !region[i].message);
    g_assert_true (fits || strstr (error->message, region[i].message));
    g_clear_error (&error);
  }
  g_assert_null (notch_recipe_load ("/nonexistent/recipe.ini", &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_READ);
}

static void
test_file (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_dir_make_tmp ("notch-recipe-XXXXXX", &error);
  g_assert_no_error (error);
  g_autofree char *path = g_build_filename (folder, "a.ini", NULL);
  g_autoptr (NotchRecipe) recipe = notch_recipe_new ();
  recipe->detect.false_alarms = 1.0 / 3;
  g_assert_true (notch_recipe_save (recipe, path, &error));
  g_autoptr (NotchRecipe) again = notch_recipe_load (path, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (again->path, ==, path);
  g_assert_cmpfloat (again->detect.false_alarms, ==, 1.0 / 3);
  g_remove (path);
  g_rmdir (folder);
  g_assert_false (notch_recipe_save (recipe, path, &error));
  g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_WRITE);
}

/* Every key of a written recipe is in the man page's rows. */
static void
test_describe (void)
{
  g_autofree char *page = notch_recipe_describe ();
  g_autoptr (NotchRecipe) recipe = notch_recipe_new ();
  g_autofree char *text = notch_recipe_to_string (recipe);
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  int n = 0;
  for (int i = 0; lines[i]; i++) {
    char *equals = strchr (lines[i], '=');
    if (!equals || *lines[i] == '#' || g_str_has_prefix (lines[i], "class."))
      continue;
    g_autofree char *row = g_strdup_printf (".BR %.*s\n", (int) (equals - lines[i]), lines[i]);
    g_assert_nonnull (strstr (page, row));
    g_assert_true (g_str_has_prefix (lines[i - 1], "# "));
    n++;
  }
  g_assert_cmpint (n, >, 40);
}

int
main (int argc, char **argv)
{
  /* Where there is a locale with a decimal comma, numbers must not take it. */
  if (!setlocale (LC_ALL, "de_DE.UTF-8"))
    setlocale (LC_ALL, "");
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/recipe/defaults", test_defaults);
  g_test_add_func ("/recipe/model", test_model);
  g_test_add_func ("/recipe/round-trip", test_round_trip);
  g_test_add_func ("/recipe/errors", test_errors);
  g_test_add_func ("/recipe/file", test_file);
  g_test_add_func ("/recipe/describe", test_describe);
  return g_test_run ();
}
