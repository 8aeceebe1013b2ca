/* units.c - the unit tests as one program, for the bundle: each by itself would have the whole library in it. Which of them
 * runs, the name says by which it is called. units.list has a line UNIT (NAME, FUNCTION) for each. */
#include <stdio.h>
#include <string.h>

#define UNIT(name, run) int run (int argc, char **argv);
#include "units.list"
#undef UNIT

#define UNIT(name, run) { name, run },
static const struct {
  const char *name;
  int (*run) (int argc, char **argv);
} units[] = {
#include "units.list"
};

int
main (int argc, char **argv)
{
  const char *slash = strrchr (argv[0], '/'), *name = slash ? slash + 1 : argv[0];
  for (size_t i = 0; i < sizeof units / sizeof *units; i++)
    if (strcmp (units[i].name, name) == 0)
      return units[i].run (argc, argv);
  fprintf (stderr, "%s: there is no such unit test\n", name);
  return 2;
}
