/* sensor.h - what the camera makes of light: colour, fixed pattern, noise, saturation, whole numbers */
#pragma once

#include "inspect/notch.h"
#include "kernels/kernels.h"

/* The sample type of a depth in bits, and how many of its steps an 8-bit grey level is. */
NotchSample notch_sensor_sample (int bits);
double notch_sensor_scale (int bits);
/* Turns a row of grey levels, image row y, all of its width, into samples, `channels` a pixel. Noise depends on the
 * seed and the place alone; the fixed pattern of the camera's columns is there without noise, too. */
void notch_sensor_expose (const NotchSimulation *simulation, const float *grey, gint64 y, gboolean noise, void *to);
/* Noise of the file's pixels, as it is read (of colour, the luminance): variance = a + b x grey level of the file,
 * rounding included. */
void notch_sensor_noise (const NotchSimulation *simulation, double *a, double *b);
