/* cli.h - a command is a struct; main.c has the table. Only this folder prints, parses arguments or exits. */
#pragma once

#include "inspect/notch.h"

enum { NOTCH_EXIT_OK = 0, NOTCH_EXIT_REJECT = 1, NOTCH_EXIT_TROUBLE = 2 };

/* What options may be at most. */
enum { NOTCH_MAX_JOBS = 4096, NOTCH_MAX_PAGE = 65535 };

/* What every command takes. */
typedef struct {
  gboolean quiet, verbose;
  char *device;
} NotchCommon;

typedef struct {
  const char *name;
  const char *arguments;   /* "IMAGE…" */
  const char *summary;     /* one line for `notch --help` */
  const char *description; /* below the options, or NULL */
  const GOptionEntry *options;
  void (*prepare) (void); /* NULL, or gives what the options change its defaults */
  int least, most;        /* arguments that are left; most -1: any number */
  int (*run) (int n, char **arguments, const NotchCommon *common); /* gives the exit status */
} NotchCommand;

extern const NotchCommand notch_command_bench, notch_command_classify, notch_command_devices, notch_command_inspect,
    notch_command_learn, notch_command_recipe, notch_command_score, notch_command_simulate, notch_command_train,
    notch_command_validate;

/* "notch: what is wrong and what to do" on stderr; gives NOTCH_EXIT_TROUBLE. */
int notch_complain (const GError *error);
/* Data that was asked for, on stdout, byte by byte: g_print would write question marks for what the locale cannot show. */
void notch_put (const char *text);
/* A whole number from `least` to `most`; without a text *value stays. FALSE, and said, for anything else. */
gboolean notch_read_whole (const char *option, const char *text, int least, int most, int *value);
/* Every --set on a recipe. */
gboolean notch_apply_settings (NotchRecipe *recipe, char **settings, GError **error);
/* Control characters, which a file's name may hold, as \xNN. */
char *notch_one_line (const char *text);
void notch_say (const char *format, ...) G_GNUC_PRINTF (1, 2); /* stderr, with the program's name before it */
