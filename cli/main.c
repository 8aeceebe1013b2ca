/* main.c - the table of commands */
#include "cli/cli.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const NotchCommand *const commands[] = {
  &notch_command_simulate,
  &notch_command_score,
  &notch_command_inspect,
  &notch_command_learn,
  &notch_command_train,
  &notch_command_validate,
  &notch_command_classify,
  &notch_command_recipe,
  &notch_command_devices,
  &notch_command_bench,
  NULL,
};

static int put_fault; /* errno of a write that failed */

void
notch_put (const char *text)
{
  if ((fputs (text, stdout) < 0 || fflush (stdout) != 0) && put_fault == 0)
    put_fault = errno;
}

/* A full disk or a closed descriptor shows when what is left is written, so this is the last thing that is done, also
 * after a help text that GLib prints. */
static void
check_put (void)
{
  if (fflush (stdout) != 0 && put_fault == 0)
    put_fault = errno;
  if (put_fault == 0 && !ferror (stdout))
    return;
  notch_say ("standard output: it cannot be written%s%s; make room, or send it elsewhere", put_fault ? ": " : "",
             put_fault ? g_strerror (put_fault) : "");
  _exit (NOTCH_EXIT_TROUBLE);
}

char *
notch_one_line (const char *text)
{
  GString *line = g_string_new (NULL);
  for (const char *c = text; *c; c++)
    if (g_ascii_iscntrl (*c))
      g_string_append_printf (line, "\\x%02x", (guchar) *c);
    else
      g_string_append_c (line, *c);
  return g_string_free (line, FALSE);
}

void
notch_say (const char *format, ...)
{
  va_list arguments;
  va_start (arguments, format);
  g_autofree char *text = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_autofree char *line = notch_one_line (text);
  g_printerr ("notch: %s\n", line);
}

int
notch_complain (const GError *error)
{
  notch_say ("%s", error->message);
  return NOTCH_EXIT_TROUBLE;
}

gboolean
notch_read_whole (const char *option, const char *text, int least, int most, int *value)
{
  gint64 number = 0;
  if (!text)
    return TRUE;
  if (!g_ascii_string_to_signed (text, 10, least, most, &number, NULL)) {
    notch_say ("%s %s: give a whole number from %d to %d", option, text, least, most);
    return FALSE;
  }
  *value = (int) number;
  return TRUE;
}

gboolean
notch_apply_settings (NotchRecipe *recipe, char **settings, GError **error)
{
  for (int i = 0; settings && settings[i]; i++)
    if (!notch_recipe_set (recipe, settings[i], error))
      return FALSE;
  return TRUE;
}

static void
print_help (void)
{
  g_autoptr (GString) text = g_string_new ("usage: notch COMMAND [OPTION…] [ARGUMENT…]\n\n"
                                           "Finds, measures and classifies defects in images of wafers.\n\n");
  for (int i = 0; commands[i]; i++)
    g_string_append_printf (text, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
  g_string_append (text,
                   "\n`notch COMMAND --help` tells a command's options; `notch --version` what this build has.\n");
  notch_put (text->str);
}

/* What the library tells about its work: with --verbose, in lines like all others. */
static GLogWriterOutput
write_log (GLogLevelFlags level, const GLogField *fields, gsize n, gpointer verbose)
{
  const char *message = NULL, *domain = NULL;
  for (gsize i = 0; i < n; i++)
    if (strcmp (fields[i].key, "MESSAGE") == 0)
      message = fields[i].value;
    else if (strcmp (fields[i].key, "GLIB_DOMAIN") == 0)
      domain = fields[i].value;
  if (!*(const gboolean *) verbose || !message || !(level & G_LOG_LEVEL_INFO) || g_strcmp0 (domain, G_LOG_DOMAIN) != 0)
    return g_log_writer_default (level, fields, n, NULL);
  notch_say ("%s", message);
  return G_LOG_WRITER_HANDLED;
}

/* GOption reads "-j 2" but not "-j2", which everybody types: a short option with its value attached is cut in two. */
static char **
part_values (int argc, char **argv, const GOptionEntry *entries)
{
  g_autoptr (GStrvBuilder) parted = g_strv_builder_new ();
  gboolean options = TRUE;
  for (int i = 0; i < argc; i++) {
    const GOptionEntry *entry = entries;
    options = options && strcmp (argv[i], "--") != 0;
    gboolean attached = options && i > 0 && argv[i][0] == '-' && argv[i][1] && argv[i][1] != '-' && argv[i][2];
    while (attached && entry && entry->long_name && entry->short_name != argv[i][1])
      entry++;
    if (attached && entry && entry->long_name && entry->arg != G_OPTION_ARG_NONE) {
      const char option[] = { '-', argv[i][1], 0 };
      g_strv_builder_add (parted, option);
      g_strv_builder_add (parted, argv[i] + 2);
    } else
      g_strv_builder_add (parted, argv[i]);
  }
  return g_strv_builder_end (parted);
}

static int
run_command (const NotchCommand *command, int argc, char **argv)
{
  static NotchCommon common;
  const GOptionEntry shared[] = {
    { "quiet", 'q', 0, G_OPTION_ARG_NONE, &common.quiet, "say only what went wrong", NULL },
    { "verbose", 'v', 0, G_OPTION_ARG_NONE, &common.verbose, "say what is being done", NULL },
    { "device", 0, 0, G_OPTION_ARG_STRING, &common.device, "auto, cpu, cuda or cuda:N", "DEVICE" },
    G_OPTION_ENTRY_NULL,
  };
  if (command->prepare)
    command->prepare ();
  g_autoptr (GOptionContext) context = g_option_context_new (command->arguments);
  g_option_context_set_summary (context, command->summary);
  if (command->description)
    g_option_context_set_description (context, command->description);
  if (command->options)
    g_option_context_add_main_entries (context, command->options, NULL);
  g_option_context_add_main_entries (context, shared, NULL);
  g_autofree char *program = g_strconcat ("notch ", command->name, NULL);
  g_set_prgname (program);
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) words = part_values (argc, argv, command->options);
  if (!g_option_context_parse_strv (context, &words, &error)) {
    notch_say ("%s; `%s --help` lists the options", error->message, program);
    return NOTCH_EXIT_TROUBLE;
  }
  char **arguments = words + 1;
  int n = (int) g_strv_length (arguments);
  if (n > 0 && strcmp (arguments[0], "--") == 0)
    arguments++, n--;
  if (n < command->least || (command->most >= 0 && n > command->most)) {
    notch_say ("%s %s%s; `%s --help` tells more", command->name, command->most == 0 ? "takes no arguments" : "wants ",
               command->most == 0 ? "" : command->arguments, program);
    return NOTCH_EXIT_TROUBLE;
  }
  g_log_set_writer_func (write_log, &common.verbose, NULL);
  int status = command->run (n, arguments, &common);
  g_free (common.device);
  return status;
}

/* A copy of notch that brings a font along (make bundle) draws with it, for its machine may have none. */
static void
use_own_font (void)
{
  g_autofree char *program = g_file_read_link ("/proc/self/exe", NULL);
  g_autofree char *folder = program ? g_path_get_dirname (program) : NULL;
  g_autofree char *fonts = folder ? g_canonicalize_filename ("../share/notch/fonts/fonts.conf", folder) : NULL;
  if (fonts && g_file_test (fonts, G_FILE_TEST_EXISTS))
    g_setenv ("FONTCONFIG_FILE", fonts, FALSE);
}

int
main (int argc, char **argv)
{
  setlocale (LC_ALL, "");
  signal (SIGXFSZ, SIG_IGN); /* a file that may not grow is a write that fails, like a full disk */
  atexit (check_put);
  use_own_font ();
  if (argc < 2 || strcmp (argv[1], "--help") == 0 || strcmp (argv[1], "-h") == 0 || strcmp (argv[1], "help") == 0) {
    print_help ();
    return argc < 2 ? NOTCH_EXIT_TROUBLE : NOTCH_EXIT_OK;
  }
  if (strcmp (argv[1], "--version") == 0) {
    g_autofree char *text = notch_version_long ();
    notch_put (text);
    return NOTCH_EXIT_OK;
  }
  for (int i = 0; commands[i]; i++)
    if (strcmp (argv[1], commands[i]->name) == 0)
      return run_command (commands[i], argc - 1, argv + 1);
  notch_say ("there is no command \"%s\"; `notch --help` lists them", argv[1]);
  return NOTCH_EXIT_TROUBLE;
}
