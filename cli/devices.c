/* devices.c - notch devices: what can compute here */
#include "cli/cli.h"

static int
run (int n, char **arguments, const NotchCommon *common)
{
  g_autoptr (GError) error = NULL;
  if (common->device && !notch_device_check (common->device, &error))
    return notch_complain (error);
  g_autofree char *text = notch_devices_describe ();
  notch_put (text);
  return NOTCH_EXIT_OK;
}

const NotchCommand notch_command_devices = {
  .name = "devices",
  .arguments = "",
  .summary = "tells what can compute here, and what --device auto takes",
  .least = 0,
  .most = 0,
  .run = run,
};
