#!/bin/sh
# The example of docs/library.md compiles, links with the library that was built, and does what it says.
# shellcheck source=tests/tap.sh
. "$srcdir/tests/tap.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
built=$(dirname "$NOTCH")/.libs
mkdir notch
cp "$srcdir/inspect/notch.h" notch/
sed -n '/^    #include/,/^With notch installed/p' "$srcdir/docs/library.md" | sed '$d; s/^    //' >example.c
ok "there is an example" grep -q '^main' example.c
if ldd "$built/libnotch.so" 2>/dev/null | grep -q 'lib[a-z]*san'; then
  skip "it compiles" "the library has sanitizers in it, which the whole program would need"
elif ${CC-cc} -fsyntax-only -xc /dev/null 2>/dev/null && [ -e "$built/libnotch.so" ]; then
  # shellcheck disable=SC2046,SC2086 # lists of words
  ok "it compiles" ${CC-cc} -Wall -Werror -I. example.c -o example $(pkg-config --cflags glib-2.0) \
    -L"$built" -lnotch $(pkg-config --libs glib-2.0) -Wl,-rpath,"$built"
  "$NOTCH" simulate -q --size 512x512 --die 128x128 --defects 0 --seed 4 -o clean.tif
  is "it inspects" "$(./example clean.tif | tail -n 1)" "0 of 1 rejected, found/*/defects.csv has why"
  ok "and writes" test -s found/clean/defects.csv
  is "its messages say what is wrong" "$(./example missing.tif >/dev/null; echo $?)" 2
else
  skip "it compiles" "there is no compiler, or no shared library"
fi
done_testing
