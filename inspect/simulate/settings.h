/* settings.h - the options of a simulation: one row each */
#pragma once

#include "inspect/notch.h"

/* Whether every value is in its range and they fit each other. */
gboolean notch_simulation_check (const NotchSimulation *simulation, GError **error);
