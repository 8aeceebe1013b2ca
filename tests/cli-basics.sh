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

# ---- one line that says what is wrong and what to do ----------------------------------------------------------------------
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
"$NOTCH" simulate -q -o tiny.tif --size 100x100 --die 100x100 --defects 0
"$NOTCH" simulate -q -o dice.tif --size 256x256 --die 64x64 --defects 0 --pixel-um 1
"$NOTCH" inspect -q -o out --format defects dice.tif
says () {
  name=$1 wanted=$2
  shift 2
  is "$name: exit status" "$(status "$NOTCH" "$@")" 2
  message=$("$NOTCH" "$@" 2>&1 >/dev/null)
  case $message in
    "notch: "*"$wanted"*) is "$name: one line" "$(echo "$message" | wc -l)" 1 ;;
    *) is "$name" "$message" "$wanted" ;;
  esac
}
says "jobs that are none" "--jobs abc: give a whole number from 1 to" inspect -j abc x.tif
says "no jobs" "--jobs 0: give" inspect -j0 x.tif
says "no page" "--page 0: give" inspect --page 0 x.tif
says "no page of a recipe's image" "--page 0: give" recipe new --page 0 x.tif
says "false alarms below zero" 'false_alarms: "-1" is out of range; it may be 1e-06 to' inspect --false-alarms -1 x.tif
says "false alarms that are no number" '"abc" is not a number; it may be' inspect --false-alarms abc x.tif
says "empty false alarms" "is not a number" inspect --false-alarms "" x.tif
says "a setting that is wrong" "--set detect.halo_pxx=3: [detect] halo_pxx: there is no such key" inspect --set detect.halo_pxx=3 x.tif
says "a setting that does not fit" "--set detect.halo_px=200: [detect] halo_px: " inspect --set detect.halo_px=200 x.tif
says "a class that is none" "--set limits.class.tea=1: [limits] class.tea: no rule" inspect --set limits.class.tea=1 x.tif
printf '[limits]\n\nclass.tea=1\n' >tea.ini
says "the same in a file" "tea.ini:3: [limits] class.tea: no rule" inspect -r tea.ini x.tif
printf '[classify]\nclass.tea=colour > 3\n' >tea.ini
says "a rule in a file" "tea.ini:2: [classify] class.tea = colour > 3: " inspect -r tea.ini x.tif
printf '[region a]\nx_um=1\nwidth_um=70\nheight_um=10\n' >region.ini
says "a region out of the die" "region.ini:3: [region a] width_um: the region reaches out of the die, which is 6" \
  inspect -r region.ini --format defects -o out dice.tif
says "an empty name" "an empty file name" inspect ""
says "a folder for a recipe" ".: is a folder; name a recipe" inspect -r . x.tif
says "a file for a folder" "tiny.tif: is a file; name a folder" inspect -o tiny.tif x.tif
says "an image too small for dice" "in its 100 x 100 px; at least two of 32 px" inspect -o out tiny.tif
says "no such list" "none.csv: cannot be read (No such file" score none.csv none.csv
says "a folder that is not there" "nodir/x.ini: cannot be written (No such file" recipe new -q -o nodir/x.ini dice.tif
says "a word that is mistyped" "recipe nwe: there is no such word" recipe nwe dice.tif
says "arguments that nothing takes" "devices takes no arguments" devices foo
says "a device that is not there" "device cuda:63 cannot be used" devices --device cuda:63
says "another format's name" "x.png: what is written is TIFF" simulate -o x.png
"$NOTCH" inspect -q -o out --format defects dice.tif # what failed above took its results away
says "files that are swapped" "are the files swapped?" score out/dice/defects.csv dice-truth.csv
says "a class that is mistyped" '"partcle"' score --classes partcle dice-truth.csv out/dice/defects.csv

"$NOTCH" inspect -v --no-progress --format defects -o out dice.tif 2>verbose.txt
is "--verbose: every line names program and file" "$(grep -vc '^notch: dice.tif: ' verbose.txt)" 0
ok "--verbose says what was found" grep -q '^notch: dice.tif: dice: ' verbose.txt
is "simulate --verbose names what it wrote" \
  "$("$NOTCH" simulate -v -o s.tif --size 128x128 --die 64x64 --defects 0 2>&1 | tr '\n' ' ')" \
  "notch: s.tif: written notch: s-truth.csv: written notch: s-dice.csv: written "

if [ -w /dev/full ]; then
  for call in "--version" "--help" "inspect --help" "devices" "recipe new -q dice.tif" \
    "inspect -q --json --format defects -o out dice.tif" "score dice-truth.csv out/dice/defects.csv"; do
    # shellcheck disable=SC2086 # a list of words
    "$NOTCH" $call >/dev/full 2>full.txt
    is "$call: what cannot be written is trouble" "$?/$(grep -c '^notch: standard output: ' full.txt)" 2/1
  done
else
  skip "a full standard output" "there is no /dev/full"
fi

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
