# tap.sh - what shell tests share: each check is a line of TAP. Source it, check, end with `done_testing`.
# shellcheck shell=sh

tap_n=0

# What is told has signs like µ, which a machine without a locale would print as question marks.
LC_ALL=C.UTF-8
export LC_ALL

# ok NAME COMMAND…: the command succeeds; what it printed is shown where it does not.
ok () {
  tap_name=$1
  shift
  tap_n=$((tap_n + 1))
  if tap_output=$("$@" 2>&1); then
    echo "ok $tap_n - $tap_name"
  else
    echo "not ok $tap_n - $tap_name"
    echo "$tap_output" | sed 's/^/# /'
  fi
}

# is NAME GOT WANTED: two strings are the same.
is () {
  tap_n=$((tap_n + 1))
  if [ "$2" = "$3" ]; then
    echo "ok $tap_n - $1"
  else
    echo "not ok $tap_n - $1"
    printf 'got:    %s\nwanted: %s\n' "$2" "$3" | sed 's/^/# /'
  fi
}

# skip NAME REASON
skip () {
  tap_n=$((tap_n + 1))
  echo "ok $tap_n - $1 # SKIP $2"
}

# status COMMAND…: prints its exit status; its output is dropped.
status () {
  "$@" >/dev/null 2>&1 && echo 0 || echo $?
}

# few ALL SOME: the cases to go through: all, and where FEW is set some (tests/few.h says what for).
few () {
  if [ -n "${FEW-}" ]; then echo "$2"; else echo "$1"; fi
}

done_testing () {
  echo "1..$tap_n"
}
