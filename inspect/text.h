/* text.h - small files of text, read whole */
#pragma once

#include "inspect/notch.h"

/* The file's text. The error says what is wrong and to name `wanted`, "a recipe". */
char *notch_text_load (const char *path, const char *wanted, GError **error);
