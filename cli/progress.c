/* progress.c - see progress.h */
#include "cli/progress.h"

#include "cli/cli.h"

#include <string.h>
#include <unistd.h>

#define BAR_CELLS 24
#define REDRAW_US 100000

struct NotchProgressLine {
  gboolean quiet, no_bar, terminal;
  gboolean drawn;
  gint64 start, last;
};

NotchProgressLine *
notch_progress_new (gboolean quiet, gboolean no_bar)
{
  NotchProgressLine *line = g_new0 (NotchProgressLine, 1);
  line->quiet = quiet;
  line->no_bar = quiet || no_bar;
  line->terminal = isatty (STDERR_FILENO) && g_strcmp0 (g_getenv ("TERM"), "dumb") != 0;
  line->start = g_get_monotonic_time ();
  return line;
}

void
notch_progress_end (NotchProgressLine *line)
{
  if (line->drawn)
    g_printerr ("\r\033[K");
  line->drawn = FALSE;
}

static void
draw_bar (NotchProgressLine *line, const NotchProgress *progress)
{
  gint64 now = g_get_monotonic_time ();
  if (line->drawn && now - line->last < REDRAW_US)
    return;
  line->last = now;
  double seconds = (double) (now - line->start) / 1e6;
  double share = progress->pixels_total > 0 ? (double) progress->pixels_done / (double) progress->pixels_total : 0;
  double rate = seconds > 0 ? (double) progress->pixels_done / 1e6 / seconds : 0;
  int full = (int) (share * BAR_CELLS + 0.5);
  g_autoptr (GString) bar = g_string_new (NULL);
  gboolean utf8 = g_get_charset (NULL);
  for (int i = 0; i < BAR_CELLS; i++)
    g_string_append (bar, utf8 ? i < full ? "█" : "░" : i < full ? "#" : ".");
  g_autofree char *whole_name = g_path_get_basename (progress->image), *name = notch_one_line (whole_name);
  g_printerr ("\r\033[K\033[?7l%s %3.0f %%  %d/%d images  %.0f Mpx/s", bar->str, 100 * share, progress->index,
              progress->n_images, rate);
  if (share > 0.02)
    g_printerr ("  %.0f s left", seconds * (1 - share) / share);
  g_printerr ("  %s: %s\033[?7h", name, progress->step); /* no wrapping: what is too long is cut off */
  line->drawn = TRUE;
}

void
notch_progress_show (NotchProgressLine *line, const NotchProgress *progress)
{
  if (progress->warning) {
    notch_progress_end (line);
    notch_say ("%s", progress->warning);
  }
  if (progress->finished && !line->no_bar) {
    notch_progress_end (line);
    g_autofree char *text = notch_one_line (progress->finished);
    g_printerr ("%s\n", text);
  } else if (!progress->finished && !progress->warning && line->terminal && !line->no_bar)
    draw_bar (line, progress);
}

void
notch_progress_free (NotchProgressLine *line)
{
  if (!line)
    return;
  notch_progress_end (line);
  g_free (line);
}
