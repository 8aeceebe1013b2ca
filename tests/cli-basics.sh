#!/bin/sh
# The program's outside that no single command owns: help, version, usage errors, one man page a command.
# shellcheck source=tests/tap.sh
. "$srcdir/tests/tap.sh"

is "--help succeeds" "$(status "$NOTCH" --help)" 0
is "--version succeeds" "$(status "$NOTCH" --version)" 0
version=$(sed -n 's/^AC_INIT(\[notch\], \[\([0-9.]*\)\].*/\1/p' "$srcdir/configure.ac")
is "--version begins with name and version" "$("$NOTCH" --version | head -n 1)" "notch $version"
is "no argument is a usage error" "$(status "$NOTCH")" 2
is "an unknown command is a usage error" "$(status "$NOTCH" polish)" 2
is "its message is one line on stderr that says what to do" "$("$NOTCH" polish 2>&1 >/dev/null)" \
  "notch: there is no command \"polish\"; \`notch --help\` lists them"
is "and nothing is on stdout" "$("$NOTCH" polish 2>/dev/null)" ""

commands=$("$NOTCH" --help | sed -n 's/^  \([a-z]*\) .*/\1/p')
ok "there are commands" test -n "$commands"
for command in $commands; do
  is "$command --help succeeds" "$(status "$NOTCH" "$command" --help)" 0
  is "$command: an unknown option is a usage error" "$(status "$NOTCH" "$command" --polish)" 2
  ok "$command has a man page" test -f "$srcdir/docs/notch-$command.1"
  ok "notch.1 names it" grep -q "notch-$command" "$srcdir/docs/notch.1"
  for option in $("$NOTCH" "$command" --help | sed -n 's/^ .*--\([a-z-]*\).*/\1/p'); do
    ok "notch-$command.1 or notch.1 has --$option" \
      grep -qw "Fl Fl $option" "$srcdir/docs/notch-$command.1" "$srcdir/docs/notch.1"
  done
  page_options=$(sed -n '/^\.It/p' "$srcdir/docs/notch-$command.1" | grep -o 'Fl Fl [a-z-]*' | sed 's/Fl Fl /--/')
  for option in $page_options; do
    ok "$command has $option, as its man page says" sh -c "\"$NOTCH\" $command --help | grep -qw -e $option"
  done
done
done_testing
