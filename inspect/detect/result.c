/* result.c - the end of a result */
#include "inspect/detect/result.h"

static void
clear_defect (NotchDefect *defect)
{
  g_clear_pointer (&defect->part, g_array_unref);
  g_clear_pointer (&defect->patch, g_free);
}

const NotchDrift *
notch_drift_largest (const GArray *drift)
{
  const NotchDrift *largest = &g_array_index (drift, NotchDrift, 0);
  for (guint i = 1; i < drift->len; i++)
    if (g_array_index (drift, NotchDrift, i).index > largest->index)
      largest = &g_array_index (drift, NotchDrift, i);
  return largest;
}

void
notch_result_free (NotchResult *result)
{
  if (!result)
    return;
  for (guint i = 0; result->defect && i < result->defect->len; i++)
    clear_defect (&g_array_index (result->defect, NotchDefect, i));
  g_clear_pointer (&result->defect, g_array_unref);
  g_clear_pointer (&result->cluster, g_array_unref);
  g_clear_pointer (&result->repeater, g_array_unref);
  g_clear_pointer (&result->grid, notch_grid_free);
  g_clear_pointer (&result->arrays, notch_arrays_free);
  g_clear_pointer (&result->spectrum, notch_spectrum_free);
  g_clear_pointer (&result->mesh, notch_mesh_free);
  g_clear_pointer (&result->class_name, g_ptr_array_unref);
  g_clear_pointer (&result->warning, g_ptr_array_unref);
  g_clear_pointer (&result->reason, g_ptr_array_unref);
  g_free (result->path);
  g_free (result->stem);
  g_free (result->asked);
  g_free (result->reference_name);
  g_clear_pointer (&result->reference_names, g_ptr_array_unref);
  g_free (result->class_count);
  g_free (result->model);
  g_free (result->model_hash);
  g_free (result->signature);
  g_free (result->signature_model);
  g_free (result->signature_model_hash);
  g_clear_pointer (&result->drift, g_array_unref);
  g_free (result->device);
  g_free (result->reduced);
  g_free (result);
}
