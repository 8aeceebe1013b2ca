/* json.c - summary.json: everything about an image but the rows of its tables; written last, it marks the image as
 * finished */
#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

#include "inspect/image/write.h"
#include "inspect/report/report.h"
#include "inspect/text.h"

static void
add_number (JsonBuilder *to, const char *name, double value)
{
  json_builder_set_member_name (to, name);
  if (isfinite (value))
    json_builder_add_double_value (to, value);
  else
    json_builder_add_null_value (to);
}

static void
add_count (JsonBuilder *to, const char *name, gint64 value)
{
  json_builder_set_member_name (to, name);
  json_builder_add_int_value (to, value);
}

static void
add_flag (JsonBuilder *to, const char *name, gboolean value)
{
  json_builder_set_member_name (to, name);
  json_builder_add_boolean_value (to, value);
}

/* JSON is UTF-8, file names need not be. NULL as name: an element of an array. */
static void
add_text (JsonBuilder *to, const char *name, const char *value)
{
  g_autofree char *valid = value ? g_utf8_make_valid (value, -1) : NULL;
  if (name)
    json_builder_set_member_name (to, name);
  if (valid)
    json_builder_add_string_value (to, valid);
  else
    json_builder_add_null_value (to);
}

static void
add_lines (JsonBuilder *to, const char *name, const GPtrArray *line)
{
  json_builder_set_member_name (to, name);
  json_builder_begin_array (to);
  for (guint i = 0; line && i < line->len; i++)
    add_text (to, NULL, g_ptr_array_index (line, i));
  json_builder_end_array (to);
}

static void
begin (JsonBuilder *to, const char *name)
{
  json_builder_set_member_name (to, name);
  json_builder_begin_object (to);
}

/* The way from a folder to a file, neither of which needs to be there, without a look at links. */
static char *
way_from (const char *folder, const char *file)
{
  g_autofree char *start = g_canonicalize_filename (folder, NULL), *end = g_canonicalize_filename (file, NULL);
  g_auto (GStrv) from = g_strsplit (start, G_DIR_SEPARATOR_S, -1), to = g_strsplit (end, G_DIR_SEPARATOR_S, -1);
  GString *way = g_string_new (NULL);
  guint same = 0;
  while (from[same] && to[same] && strcmp (from[same], to[same]) == 0)
    same++;
  for (guint i = same; from[i]; i++)
    g_string_append (way, ".." G_DIR_SEPARATOR_S);
  g_autofree char *rest = g_strjoinv (G_DIR_SEPARATOR_S, to + same);
  g_string_append (way, rest);
  return g_string_free (way, FALSE);
}

static void
add_image (JsonBuilder *to, const NotchReportJob *job)
{
  const NotchResult *result = job->result;
  g_autofree char *from_here = way_from (job->folder, result->path);
  static const char *const sample[] = {
    [NOTCH_SAMPLE_U8] = "uint8", [NOTCH_SAMPLE_U16] = "uint16", [NOTCH_SAMPLE_F32] = "float32"
  };
  add_text (to, "file", result->path);
  add_text (to, "file_from_here", from_here);
  add_text (to, "stem", result->stem);
  begin (to, "image");
  add_count (to, "width_px", result->width);
  add_count (to, "height_px", result->height);
  add_count (to, "page", result->page);
  add_text (to, "sample", sample[result->sample]);
  add_number (to, "full_scale", result->full_scale);
  add_number (to, "pixel_um", result->pixel_um > 0 ? result->pixel_um : NAN);
  add_flag (to, "pixel_known", result->pixel_known);
  json_builder_end_object (to);
}

static void
add_grid (JsonBuilder *to, const NotchResult *result)
{
  const NotchGrid *grid = result->grid;
  if (!grid) {
    add_text (to, "grid", NULL);
    return;
  }
  begin (to, "grid");
  add_number (to, "x_px", grid->x);
  add_number (to, "y_px", grid->y);
  add_number (to, "column_dx_px", grid->ax);
  add_number (to, "column_dy_px", grid->ay);
  add_number (to, "row_dx_px", grid->bx);
  add_number (to, "row_dy_px", grid->by);
  add_number (to, "pitch_x_px", hypot (grid->ax, grid->ay));
  add_number (to, "pitch_y_px", hypot (grid->bx, grid->by));
  add_number (to, "angle_mrad", atan2 (grid->ay, grid->ax) * 1e3);
  add_number (to, "sure", grid->sure);
  add_count (to, "first_col", grid->first_col);
  add_count (to, "first_row", grid->first_row);
  add_count (to, "n_cols", grid->n_cols);
  add_count (to, "n_rows", grid->n_rows);
  json_builder_end_object (to);
}

static void
add_wafer (JsonBuilder *to, const NotchOutline *outline)
{
  if (!(outline->radius > 0)) {
    add_text (to, "wafer", NULL);
    return;
  }
  begin (to, "wafer");
  add_number (to, "x_px", outline->x);
  add_number (to, "y_px", outline->y);
  add_number (to, "radius_px", outline->radius);
  add_number (to, "rms_px", outline->rms);
  add_number (to, "arc", outline->arc);
  add_number (to, "notch_angle_deg", outline->notch_angle * 180 / G_PI);
  add_flag (to, "flat", outline->flat);
  json_builder_end_object (to);
}

static void
add_detection (JsonBuilder *to, const NotchResult *result)
{
  begin (to, "detection");
  add_text (to, "reference", result->reference_name);
  json_builder_set_member_name (to, "references");
  json_builder_begin_array (to);
  for (guint i = 0; result->reference_names && i < result->reference_names->len; i++)
    json_builder_add_string_value (to, result->reference_names->pdata[i]);
  json_builder_end_array (to);
  add_count (to, "inspected_px", result->inspected_px);
  add_number (to, "false_alarms", result->recipe->detect.false_alarms);
  add_number (to, "threshold", result->threshold);
  add_number (to, "z_rms", result->z_rms);
  add_number (to, "shift_rms_px", result->shift_rms);
  add_number (to, "distortion_rms_px", result->distortion[0]);
  add_number (to, "distortion_peak_px", result->distortion[1]);
  begin (to, "noise");
  for (guint i = 0; i < G_N_ELEMENTS (result->noise); i++) {
    const char name[] = { (char) ('a' + i), 0 };
    add_number (to, name, result->noise[i]);
  }
  json_builder_end_object (to);
  if (result->spectrum) {
    begin (to, "notches");
    add_count (to, "count", result->spectrum->n_notches);
    add_number (to, "removed", result->spectrum->removed);
    json_builder_end_object (to);
  }
  json_builder_end_object (to);
}

/* null where no surface was inspected. */
static void
add_haze (JsonBuilder *to, const NotchResult *result)
{
  if (!result->mesh) {
    add_text (to, "haze", NULL);
    return;
  }
  NotchHaze haze = notch_haze_of (result);
  begin (to, "haze");
  add_text (to, "unit", haze.unit);
  add_number (to, "median", haze.median);
  add_number (to, "p95", haze.p95);
  add_number (to, "sigma", haze.noise);
  add_count (to, "mesh_px", result->mesh->px);
  add_count (to, "cells", result->mesh->n_known);
  add_number (to, "crowded", haze.crowded);
  json_builder_end_object (to);
}

/* Both sides of every cell, px, and how much of a die or of the image repeats it. */
static void
add_arrays (JsonBuilder *to, const NotchResult *result)
{
  json_builder_set_member_name (to, "arrays");
  json_builder_begin_array (to);
  for (int i = 0; result->arrays && i < result->arrays->n; i++) {
    const NotchCell *cell = &result->arrays->cell[i];
    json_builder_begin_object (to);
    add_number (to, "ax_px", cell->ax);
    add_number (to, "ay_px", cell->ay);
    add_number (to, "bx_px", cell->bx);
    add_number (to, "by_px", cell->by);
    add_number (to, "share", result->arrays->share[i]);
    json_builder_end_object (to);
  }
  json_builder_end_array (to);
}

static void
add_clusters (JsonBuilder *to, const NotchResult *result)
{
  json_builder_set_member_name (to, "clusters");
  json_builder_begin_array (to);
  for (guint i = 0; result->cluster && i < result->cluster->len; i++) {
    const NotchCluster *cluster = &g_array_index (result->cluster, NotchCluster, i);
    json_builder_begin_object (to);
    add_count (to, "cluster", i + 1);
    add_count (to, "defects", cluster->n);
    add_number (to, "x0_px", cluster->x0);
    add_number (to, "y0_px", cluster->y0);
    add_number (to, "x1_px", cluster->x1);
    add_number (to, "y1_px", cluster->y1);
    add_number (to, "p", cluster->p);
    json_builder_end_object (to);
  }
  json_builder_end_array (to);
}

/* What was linked of several pieces. */
static void
add_scratches (JsonBuilder *to, const NotchResult *result)
{
  json_builder_set_member_name (to, "scratches");
  json_builder_begin_array (to);
  for (guint i = 0; i < notch_n_defects (result); i++) {
    const NotchDefect *defect = notch_defect (result, i);
    if (!(defect->value[NOTCH_FEATURE_PARTS] > 1))
      continue;
    json_builder_begin_object (to);
    add_count (to, "defect_id", defect->id);
    add_number (to, "length_um", defect->value[NOTCH_FEATURE_LENGTH_UM]);
    add_count (to, "parts", (gint64) defect->value[NOTCH_FEATURE_PARTS]);
    add_count (to, "dice", (gint64) defect->value[NOTCH_FEATURE_DICE]);
    json_builder_end_object (to);
  }
  json_builder_end_array (to);
}

static void
add_repeaters (JsonBuilder *to, const NotchResult *result)
{
  json_builder_set_member_name (to, "repeaters");
  json_builder_begin_array (to);
  for (guint i = 0; result->repeater && i < result->repeater->len; i++) {
    const NotchRepeater *repeater = &g_array_index (result->repeater, NotchRepeater, i);
    json_builder_begin_object (to);
    add_count (to, "repeater", i + 1);
    add_count (to, "dice", repeater->n);
    add_number (to, "die_x_um", repeater->die_x);
    add_number (to, "die_y_um", repeater->die_y);
    add_count (to, "reticle_col", repeater->reticle_col);
    add_count (to, "reticle_row", repeater->reticle_row);
    add_number (to, "p", repeater->p);
    json_builder_end_object (to);
  }
  json_builder_end_array (to);
  if (result->reticle_cols == 0) {
    add_text (to, "reticle", NULL);
    return;
  }
  begin (to, "reticle");
  add_count (to, "cols", result->reticle_cols);
  add_count (to, "rows", result->reticle_rows);
  json_builder_end_object (to);
}

static void
add_counts (JsonBuilder *to, const NotchResult *result)
{
  NotchDiceCount count = notch_count_dice (result);
  begin (to, "dice");
  add_count (to, "inspected", count.dice);
  for (int i = 0; i < NOTCH_N_STATUS; i++)
    add_count (to, notch_status_name[i], count.status[i]);
  json_builder_end_object (to);
  gint64 nuisances = 0;
  for (guint i = 0; i < notch_n_defects (result); i++)
    nuisances += notch_defect (result, i)->nuisance;
  add_count (to, "defects", notch_n_defects (result));
  add_count (to, "nuisances", nuisances);
  begin (to, "classes");
  for (guint i = 0; i < notch_n_classes (result); i++)
    add_count (to, notch_class_name (result, (int) i), result->class_count[i]);
  json_builder_end_object (to);
}

/* What the failed dice look like together; null: no model says. */
static void
add_signature (JsonBuilder *to, const NotchResult *result)
{
  if (!result->signature) {
    add_text (to, "signature", NULL);
    return;
  }
  begin (to, "signature");
  add_text (to, "class", result->signature);
  add_number (to, "confidence", result->signature_confidence);
  add_number (to, "chance", result->signature_chance);
  add_text (to, "file", result->signature_model);
  add_text (to, "sha256", result->signature_model_hash);
  json_builder_end_object (to);
}

/* null where the model does not know what it learned from. */
static void
add_drift (JsonBuilder *to, const GArray *drift)
{
  if (!drift) {
    add_text (to, "drift", NULL);
    return;
  }
  const NotchDrift *largest = notch_drift_largest (drift);
  begin (to, "drift");
  add_number (to, "largest", largest->index);
  add_text (to, "column", largest->name);
  begin (to, "columns");
  for (guint i = 0; i < drift->len; i++)
    add_number (to, g_array_index (drift, NotchDrift, i).name, g_array_index (drift, NotchDrift, i).index);
  json_builder_end_object (to);
  json_builder_end_object (to);
}

/* What decided the classes; null: the recipe's rules. */
static void
add_model (JsonBuilder *to, const NotchResult *result)
{
  if (!result->model) {
    add_text (to, "model", NULL);
    return;
  }
  begin (to, "model");
  add_text (to, "file", result->model);
  add_text (to, "sha256", result->model_hash);
  add_drift (to, result->drift);
  json_builder_end_object (to);
}

/* Limits that are not set are null. */
static void
add_limits (JsonBuilder *to, const NotchRecipe *recipe)
{
  const struct {
    const char *name;
    double most;
  } limit[] = { { "defects", recipe->limits.defects },
                { "defects_per_die", recipe->limits.defects_per_die },
                { "density_per_cm2", recipe->limits.density_per_cm2 },
                { "failed_dice", recipe->limits.failed_dice },
                { "drift", recipe->limits.drift } };
  begin (to, "limits");
  for (guint i = 0; i < G_N_ELEMENTS (limit); i++)
    add_number (to, limit[i].name, limit[i].most < 0 ? NAN : limit[i].most);
  begin (to, "classes");
  for (guint i = 0; recipe->limits.per_class && i < recipe->limits.per_class->len; i++) {
    const NotchClassLimit *per_class = g_ptr_array_index (recipe->limits.per_class, i);
    add_count (to, per_class->name, per_class->most);
  }
  json_builder_end_object (to);
  json_builder_end_object (to);
}

static void
add_files (JsonBuilder *to, const NotchReportJob *job)
{
  g_autoptr (GPtrArray) chosen = notch_crops_chosen (job->result);
  json_builder_set_member_name (to, "files");
  json_builder_begin_array (to);
  for (const NotchReport *const *report = notch_reports; *report; report++) {
    if (!notch_reports_wanted (*report, job->formats))
      continue;
    const char *name = (*report)->files, *id = strstr (name, "ID");
    if (!id)
      add_text (to, NULL, name);
    for (guint i = 0; id && i < chosen->len; i++) {
      const NotchDefect *defect = g_ptr_array_index (chosen, i);
      g_autofree char *file =
          g_strdup_printf ("%.*s%" G_GINT64_FORMAT "%s", (int) (id - name), name, defect->id, id + strlen ("ID"));
      add_text (to, NULL, file);
    }
  }
  json_builder_end_array (to);
}

/* This file is the last report, so that what the reports took is known but for itself. */
static void
add_seconds (JsonBuilder *to, const NotchReportJob *job)
{
  const double *seconds = job->result->seconds;
  double report = job->start > 0 ? (double) (g_get_monotonic_time () - job->start) / 1e6 : seconds[2];
  double whole = seconds[3] + (job->start > 0 ? report : 0);
  const struct {
    const char *name;
    double value;
  } step[] = { { "read", seconds[0] }, { "inspect", seconds[1] }, { "report", report }, { "whole", whole } };
  begin (to, "seconds");
  for (guint i = 0; i < G_N_ELEMENTS (step); i++)
    add_number (to, step[i].name, round (step[i].value * 1e6) / 1e6);
  json_builder_end_object (to);
}

gboolean
notch_report_json (const NotchReportJob *job, GError **error)
{
  const NotchResult *result = job->result;
  g_autoptr (JsonBuilder) to = json_builder_new ();
  json_builder_begin_object (to);
  add_text (to, "version", notch_version ());
  add_text (to, "device", result->device);
  add_text (to, "asked", result->asked);
  add_image (to, job);
  add_text (to, "verdict", notch_verdict_name[result->verdict]);
  add_lines (to, "reasons", result->reason);
  add_lines (to, "warnings", result->warning);
  add_counts (to, result);
  add_model (to, result);
  add_signature (to, result);
  add_clusters (to, result);
  add_scratches (to, result);
  add_repeaters (to, result);
  add_limits (to, result->recipe);
  add_detection (to, result);
  add_haze (to, result);
  add_arrays (to, result);
  add_grid (to, result);
  add_wafer (to, &result->outline);
  add_seconds (to, job);
  add_files (to, job);
  json_builder_end_object (to);

  g_autoptr (JsonNode) root = json_builder_get_root (to);
  g_autofree char *text = notch_json_text (root);
  g_autofree char *lines = g_strconcat (text, "\n", NULL);
  g_autofree char *path = g_build_filename (job->folder, "summary.json", NULL);
  return notch_write_file (path, lines, -1, error);
}
