/* main.c - the table of commands */
#include "cli/cli.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

static const NotchCommand *const commands[] = {
  &notch_command_simulate, &notch_command_score,   &notch_command_inspect,
  &notch_command_recipe,   &notch_command_devices, NULL,
};

void
notch_put (const char *text)
{
  fputs (text, stdout);
}

void
notch_say (const char *format, ...)
{
  va_list arguments;
  va_start (arguments, format);
  g_autofree char *text = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_printerr ("notch: %s\n", text);
}

int
notch_complain (const GError *error)
{
  notch_say ("%s", error->message);
  return NOTCH_EXIT_TROUBLE;
}

static void
print_help (void)
{
  g_print (
      "usage: notch COMMAND [OPTION…] [ARGUMENT…]\n\nFinds, measures and classifies defects in images of wafers.\n\n");
  for (int i = 0; commands[i]; i++)
    g_print ("  %-10s %s\n", commands[i]->name, commands[i]->summary);
  g_print ("\n`notch COMMAND --help` tells a command's options; `notch --version` what this build has.\n");
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
  NotchCommon common = { 0 };
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
    notch_say ("%s wants %s; `%s --help` tells more", command->name, command->arguments, program);
    return NOTCH_EXIT_TROUBLE;
  }
  g_log_writer_default_set_use_stderr (TRUE); /* stdout carries what was asked for */
  if (common.verbose)
    g_setenv ("G_MESSAGES_DEBUG", "notch", FALSE);
  int status = command->run (n, arguments, &common);
  g_free (common.device);
  return status;
}

int
main (int argc, char **argv)
{
  setlocale (LC_ALL, "");
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
