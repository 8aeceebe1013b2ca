/* progress.h - the only place that draws on a terminal: a bar there, a line an image elsewhere */
#pragma once

#include "inspect/notch.h"

typedef struct NotchProgressLine NotchProgressLine;

/* quiet: warnings and errors only. no_bar: neither a bar nor a line an image. */
NotchProgressLine *notch_progress_new (gboolean quiet, gboolean no_bar);
void notch_progress_show (NotchProgressLine *line, const NotchProgress *progress);
/* Takes the bar away. */
void notch_progress_end (NotchProgressLine *line);
void notch_progress_free (NotchProgressLine *line);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchProgressLine, notch_progress_free)
