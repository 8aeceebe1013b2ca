/* report.c - reports of made-up results, read back; pictures.c looks at those that are pictures */
#include "tests/result.h"

#include <json-glib/json-glib.h>

/* ---- text ------------------------------------------------------------------------------------------------------ */

static void
test_number (void)
{
  const struct {
    double value;
    int decimals;
    const char *text;
  } of[] = { { 1.0 / 3, 3, "0.333" },
             { -2.5, 1, "-2.5" },
             { 7, 0, "7" },
             { -0.0004, 3, "0.000" },
             { NAN, 3, "" },
             { INFINITY, 3, "" },
             { -0.0005001, 3, "-0.001" },
             { 1e15, 0, "1000000000000000" },
             { -0.0, 0, "0" } };
  for (guint i = 0; i < G_N_ELEMENTS (of); i++) {
    g_autoptr (GString) text = g_string_new ("|");
    notch_append_number (text, of[i].value, of[i].decimals);
    g_assert_cmpstr (text->str + 1, ==, of[i].text);
  }
  g_autoptr (GString) large = g_string_new (NULL);
  notch_append_number (large, -G_MAXDOUBLE, 40);
  g_assert_cmpuint (large->len, ==, 1 + 309 + 1 + 40);
}

static void
test_field (void)
{
  const char *const of[][2] = { { "plain", "plain" },
                                { "a,b", "\"a,b\"" },
                                { "say \"a\"", "\"say \"\"a\"\"\"" },
                                { "two words", "two words" },
                                { " edge", "\" edge\"" },
                                { "a\nb", "\"a\nb\"" },
                                { "Größe µm", "Größe µm" },
                                { "", "" },
                                { "\xff", "\xef\xbf\xbd" } };
  for (guint i = 0; i < G_N_ELEMENTS (of); i++) {
    g_autoptr (GString) text = g_string_new (NULL);
    notch_append_field (text, of[i][0]);
    g_assert_cmpstr (text->str, ==, of[i][1]);
  }
}

static void
test_formats (void)
{
  const char *const good[] = { "defects", "defects,dice", "overlay, map ,crops,recipe,json", "spectrum" };
  const char *const bad[] = { "", "defects,", "klarf", "defects,,dice", "Defects" };
  for (guint i = 0; i < G_N_ELEMENTS (good); i++)
    g_assert_true (notch_reports_check (good[i], NULL));
  g_assert_true (notch_reports_check (NULL, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_false (notch_reports_check (bad[i], &error));
    g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_USAGE);
    g_assert_nonnull (
        strstr (error->message, "defects, dice, overlay, map, crops, patches, spectrum, haze, recipe, json"));
  }
  guint n = 0;
  while (notch_reports[n])
    n++;
  g_assert_cmpstr (notch_reports[n - 1]->files, ==, "summary.json");
}

static void
test_only_wanted (void)
{
  g_autoptr (Scene) scene = scene_new (&(Setup){ .width = 64, .height = 64, .n_defects = 1 });
  write_reports (scene, "dice", 1);
  g_assert_true (is_there (scene, "dice.csv"));
  g_assert_true (is_there (scene, "summary.json")); /* marks the image as finished */
  g_assert_false (is_there (scene, "defects.csv"));
  g_assert_false (is_there (scene, "overlay.png"));
}

/* Plain fields only: no quotes. */
static void
test_defects_csv (void)
{
  const char *const columns =
      "defect_id,x_px,y_px,width_px,height_px,area_px,die_col,die_row,die_x_um,die_y_um,wafer_x_um,wafer_y_um,size_um,"
      "area_um2,peak_snr,contrast,elongation,angle_deg,class,confidence,cluster,repeater,seed_px,";
  g_autoptr (Scene) scene =
      scene_new (&(Setup){ .width = 256, .height = 200, .cols = 2, .rows = 2, .n_defects = 20, .pixel_known = TRUE });
  NotchDefect *defect = &g_array_index (scene->result->defect, NotchDefect, 4);
  defect->value[NOTCH_FEATURE_DIE_COL] = defect->value[NOTCH_FEATURE_DIE_ROW] = NAN;
  defect->value[NOTCH_FEATURE_X] = 12.3456;
  defect->value[NOTCH_FEATURE_CLUSTER] = 3;
  defect->value[NOTCH_FEATURE_REPEATER] = 9;
  write_reports (scene, "defects", 1);
  g_autofree char *text = read_file (scene, "defects.csv", NULL);
  g_auto (GStrv) line = g_strsplit (text, "\n", -1);
  g_assert_cmpuint (g_strv_length (line), ==, 22);
  g_assert_cmpstr (line[21], ==, "");
  g_assert_true (g_str_has_prefix (line[0], columns));
  g_auto (GStrv) head = g_strsplit (line[0], ",", -1);
  g_assert_cmpuint (g_strv_length (head), ==, 1 + NOTCH_N_FEATURES + 3);
  for (int f = NOTCH_FEATURE_CLUSTER; f < NOTCH_N_FEATURES; f++)
    g_assert_cmpstr (head[1 + 2 + f], ==, notch_feature_info[f].name);
  for (int i = 1; i <= 20; i++) {
    g_auto (GStrv) field = g_strsplit (line[i], ",", -1);
    g_assert_cmpuint (g_strv_length (field), ==, g_strv_length (head));
    g_assert_cmpint (g_ascii_strtoll (field[0], NULL, 10), ==, i);
    g_assert_cmpstr (field[18], ==, class_name[g_array_index (scene->result->defect, NotchDefect, i - 1).class_index]);
  }
  g_auto (GStrv) field = g_strsplit (line[5], ",", -1);
  g_assert_cmpstr (field[1], ==, "12.346");
  g_assert_cmpstr (field[6], ==, "");
  g_assert_cmpstr (field[7], ==, "");
  g_assert_cmpstr (field[20], ==, "3");
  g_assert_cmpstr (field[21], ==, "9");
}

static void
test_dice_csv (void)
{
  g_autoptr (Scene) scene = scene_new (&(Setup){ .width = 256, .height = 256, .cols = 4, .rows = 4, .n_defects = 0 });
  NotchGrid *grid = scene->result->grid;
  notch_grid_die (grid, 0, 0)->kind = NOTCH_DIE_OUTSIDE;
  notch_grid_die (grid, 1, 0)->kind = NOTCH_DIE_PARTIAL;
  notch_grid_die (grid, 2, 0)->n_defects = 5;
  write_reports (scene, "dice", 1);
  g_autofree char *text = read_file (scene, "dice.csv", NULL);
  g_auto (GStrv) line = g_strsplit (text, "\n", -1);
  g_assert_cmpuint (g_strv_length (line), ==, 1 + 16 + 1);
  g_assert_cmpstr (line[0], ==, "die_col,die_row,x_px,y_px,width_px,height_px,dx_px,dy_px,defects,status");
  g_assert_cmpstr (line[1], ==, "0,0,-0.500,-0.500,64.000,64.000,0.120,0.000,0,outside");
  g_assert_cmpstr (line[2], ==, "1,0,63.500,-0.500,64.000,64.000,0.120,0.000,0,partial");
  g_assert_cmpstr (line[3], ==, "2,0,127.500,-0.500,64.000,64.000,0.120,0.000,5,defective");
  g_assert_true (g_str_has_suffix (line[4], ",ok"));
  g_assert_true (g_str_has_suffix (line[1 + 2 * 4 + 2], ",failed"));
  g_assert_true (g_str_has_suffix (line[1 + 2 * 4 + 3], ",excluded"));
  g_assert_true (g_str_has_suffix (line[1 + 3 * 4 + 1], ",blank"));

  NotchDiceCount count = notch_count_dice (scene->result);
  g_assert_cmpint (count.dice, ==, 16 - 3); /* outside, partial, excluded are not inspected */
  g_assert_cmpint (count.failed, ==, 2);
  scene->recipe->dice.partial = TRUE;
  g_assert_cmpint (notch_count_dice (scene->result).dice, ==, 16 - 2);
}

/* Fields of a line with quotes. */
static GPtrArray *
split (const char *line)
{
  GPtrArray *field = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GString) text = g_string_new (NULL);
  gboolean quoted = FALSE;
  for (const char *c = line; *c && (quoted || *c != '\n'); c++)
    if (*c == '"' && quoted && c[1] == '"')
      g_string_append_c (text, *c++);
    else if (*c == '"')
      quoted = !quoted;
    else if (*c == ',' && !quoted) {
      g_ptr_array_add (field, g_strdup (text->str));
      g_string_truncate (text, 0);
    } else
      g_string_append_c (text, *c);
  g_ptr_array_add (field, g_strdup (text->str));
  return field;
}

static const char *
field_of (const GPtrArray *head, const GPtrArray *row, const char *name)
{
  for (guint i = 0; i < head->len; i++)
    if (!strcmp (g_ptr_array_index (head, i), name))
      return g_ptr_array_index (row, i);
  g_test_fail_printf ("no column %s", name);
  return "";
}

static void
test_summary_csv (void)
{
  g_autoptr (Scene) scene = scene_new (
      &(Setup){ .width = 128, .height = 96, .cols = 2, .rows = 2, .n_defects = 9, .stem = "lot \"7\", wafer µ" });
  g_ptr_array_add (scene->result->reason, g_strdup ("2 of pit, at most 1"));
  g_ptr_array_add (scene->result->warning, g_strdup ("a warning"));
  g_autofree char *header = notch_summary_header (scene->result), *line = notch_summary_row (scene->result);
  g_assert_true (g_str_has_suffix (header, "\n"));
  g_assert_true (g_str_has_suffix (line, "\n"));
  g_autoptr (GPtrArray) head = split (header), row = split (line);
  g_assert_cmpuint (head->len, ==, row->len);
  g_assert_cmpstr (field_of (head, row, "file"), ==, scene->result->path);
  g_assert_cmpstr (field_of (head, row, "stem"), ==, "lot \"7\", wafer µ");
  g_assert_cmpstr (field_of (head, row, "verdict"), ==, "reject");
  g_assert_cmpstr (field_of (head, row, "reasons"), ==, "9 defects, at most 3 are allowed; 2 of pit, at most 1");
  g_assert_cmpstr (field_of (head, row, "width_px"), ==, "128");
  g_assert_cmpstr (field_of (head, row, "height_px"), ==, "96");
  g_assert_cmpstr (field_of (head, row, "dice"), ==, "4");
  g_assert_cmpstr (field_of (head, row, "defects"), ==, "9");
  g_assert_cmpstr (field_of (head, row, "threshold"), ==, "5.310");
  g_assert_cmpstr (field_of (head, row, "warnings"), ==, "a warning");
  g_assert_cmpstr (field_of (head, row, "device"), ==, "cpu");
  g_assert_cmpstr (field_of (head, row, "version"), ==, notch_version ());
  gint64 sum = 0;
  for (guint i = 0; i < G_N_ELEMENTS (class_name); i++) {
    g_autofree char *name = g_strconcat ("class_", class_name[i], NULL);
    sum += g_ascii_strtoll (field_of (head, row, name), NULL, 10);
  }
  g_assert_cmpint (sum, ==, 9);
}

static void
test_json (void)
{
  g_autoptr (Scene) scene = scene_new (&(Setup){ .width = 256,
                                                 .height = 256,
                                                 .cols = 4,
                                                 .rows = 4,
                                                 .n_defects = 12,
                                                 .pixel_known = TRUE,
                                                 .wafer = TRUE,
                                                 .stem = "a \"b\" ü" });
  write_reports (scene, "json,defects,crops", 2);
  g_autofree char *text = read_file (scene, "summary.json", NULL);
  g_autoptr (JsonNode) root = json_from_string (text, NULL);
  g_assert_nonnull (root);
  JsonObject *object = json_node_get_object (root);
  g_assert_cmpstr (json_object_get_string_member (object, "stem"), ==, "a \"b\" ü");
  g_assert_cmpstr (json_object_get_string_member (object, "verdict"), ==, "reject");
  g_assert_cmpint (json_object_get_int_member (object, "defects"), ==, 12);
  JsonObject *image = json_object_get_object_member (object, "image");
  g_assert_cmpint (json_object_get_int_member (image, "width_px"), ==, 256);
  g_assert_cmpfloat (json_object_get_double_member (image, "pixel_um"), ==, 0.65);
  g_assert_cmpstr (json_object_get_string_member (image, "sample"), ==, "uint8");
  JsonObject *limits = json_object_get_object_member (object, "limits");
  g_assert_cmpfloat (json_object_get_double_member (limits, "defects"), ==, 3);
  g_assert_true (json_object_get_null_member (limits, "failed_dice"));
  JsonObject *dice = json_object_get_object_member (object, "dice");
  g_assert_cmpint (json_object_get_int_member (dice, "failed"), ==, 1);
  g_assert_cmpint (json_object_get_int_member (dice, "excluded"), ==, 1);
  g_assert_cmpfloat (json_object_get_double_member (json_object_get_object_member (object, "wafer"), "notch_angle_deg"),
                     ==, -90);
  g_assert_cmpfloat (json_object_get_double_member (json_object_get_object_member (object, "grid"), "sure"), ==, 0.97);
  JsonObject *detection = json_object_get_object_member (object, "detection");
  g_assert_cmpfloat (json_object_get_double_member (detection, "threshold"), ==, 5.31);
  g_assert_cmpfloat (json_object_get_double_member (json_object_get_object_member (detection, "noise"), "a"), ==, 2.5);
  JsonObject *classes = json_object_get_object_member (object, "classes");
  for (guint i = 0; i < G_N_ELEMENTS (class_name); i++)
    g_assert_cmpint (json_object_get_int_member (classes, class_name[i]), ==, scene->result->class_count[i]);
  JsonArray *files = json_object_get_array_member (object, "files");
  g_assert_cmpuint (json_array_get_length (files), ==, 1 + 12 + 1);
  for (guint i = 0; i < json_array_get_length (files); i++)
    g_assert_true (is_there (scene, json_array_get_string_element (files, i)));
}

static void
test_json_unknowns (void)
{
  g_autoptr (Scene) scene = scene_new (&(Setup){ .width = 64, .height = 64 });
  scene->result->z_rms = NAN;
  write_reports (scene, "json", 1);
  g_autofree char *text = read_file (scene, "summary.json", NULL);
  g_autoptr (JsonNode) root = json_from_string (text, NULL);
  g_assert_nonnull (root);
  JsonObject *object = json_node_get_object (root);
  g_assert_true (json_object_get_null_member (object, "grid"));
  g_assert_true (json_object_get_null_member (object, "wafer"));
  g_assert_true (json_object_get_null_member (json_object_get_object_member (object, "image"), "pixel_um"));
  g_assert_true (json_object_get_null_member (json_object_get_object_member (object, "detection"), "z_rms"));
}

/* ---- all together ---------------------------------------------------------------------------------------------- */

/* A result that holds nothing but an image. */
static void
test_bare (void)
{
  g_autoptr (Scene) scene = scene_new (&(Setup){ .width = 100, .height = 80 });
  NotchResult *result = scene->result;
  g_clear_pointer (&result->defect, g_array_unref);
  g_clear_pointer (&result->class_name, g_ptr_array_unref);
  g_clear_pointer (&result->warning, g_ptr_array_unref);
  g_clear_pointer (&result->reason, g_ptr_array_unref);
  result->verdict = NOTCH_VERDICT_TROUBLE;
  write_reports (scene, NULL, 1);
  g_autofree char *row = notch_summary_row (result);
  g_assert_nonnull (strstr (row, ",trouble,"));
}

static void
test_jobs (void)
{
  const char *const name[] = { "defects.csv", "dice.csv", "overlay.png", "map.png", "crops/3.png", "summary.json" };
  g_autoptr (Scene) scene =
      scene_new (&(Setup){ .width = 900, .height = 800, .cols = 5, .rows = 5, .n_defects = 40, .wafer = TRUE });
  char *before[G_N_ELEMENTS (name)] = { NULL };
  gsize length[G_N_ELEMENTS (name)];
  const int jobs[] = { 1, 2, 7 };
  for (guint j = 0; j < G_N_ELEMENTS (jobs); j++) {
    write_reports (scene, NULL, jobs[j]);
    for (guint i = 0; i < G_N_ELEMENTS (name); i++) {
      gsize n;
      char *now = read_file (scene, name[i], &n);
      if (before[i])
        g_assert_cmpmem (before[i], length[i], now, n);
      g_free (before[i]);
      before[i] = now;
      length[i] = n;
    }
  }
  for (guint i = 0; i < G_N_ELEMENTS (name); i++)
    g_free (before[i]);
}

static void
test_unwritable (void)
{
  g_autoptr (Scene) scene = scene_new (&(Setup){ .width = 64, .height = 64, .n_defects = 2 });
  add_spectrum (scene->result);
  /* A file where the folder should be: nobody can write below it. */
  g_autofree char *folder = g_build_filename (scene->folder, "file", NULL);
  g_file_set_contents (folder, "", 0, NULL);
  for (const NotchReport *const *report = notch_reports; *report; report++) {
    g_autoptr (GError) error = NULL;
    NotchReportJob job = { .result = scene->result, .folder = folder, .store = scene->store, .jobs = 2 };
    if (strcmp ((*report)->name, "haze") == 0) /* dice have none, so nothing is written */
      continue;
    g_assert_false ((*report)->write (&job, &error));
    g_assert_error (error, NOTCH_ERROR, NOTCH_ERROR_WRITE);
    g_assert_nonnull (strstr (error->message, folder));
    g_autoptr (GError) all = NULL;
    g_assert_false (notch_reports_write (&job, (*report)->name, &all));
    g_assert_nonnull (all);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/report/number", test_number);
  g_test_add_func ("/report/field", test_field);
  g_test_add_func ("/report/formats", test_formats);
  g_test_add_func ("/report/only-wanted", test_only_wanted);
  g_test_add_func ("/report/defects-csv", test_defects_csv);
  g_test_add_func ("/report/dice-csv", test_dice_csv);
  g_test_add_func ("/report/summary-csv", test_summary_csv);
  g_test_add_func ("/report/json", test_json);
  g_test_add_func ("/report/json-unknowns", test_json_unknowns);
  g_test_add_func ("/report/bare", test_bare);
  g_test_add_func ("/report/jobs", test_jobs);
  g_test_add_func ("/report/unwritable", test_unwritable);
  return g_test_run ();
}
