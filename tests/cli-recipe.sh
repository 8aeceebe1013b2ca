#!/bin/sh
# notch recipe from the outside: what it finds, what it refuses, and where it says so.
# shellcheck source=tests/tap.sh
. "$srcdir/tests/tap.sh"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
"$NOTCH" simulate -q -o a.tif --size 1024x768 --die 256x192 --jitter 0 --defects 0

"$NOTCH" recipe new a.tif >a.ini 2>a.txt
ok "the pitch is found" grep -q '^pitch_x_px=256$\|^pitch_x_px=25[56]\.[09]' a.ini
ok "and the other one" grep -q '^pitch_y_px=192$\|^pitch_y_px=19[12]\.[09]' a.ini
ok "what was found is told on stderr" grep -q 'notch: a.tif: dice: 16 whole' a.txt
ok "and how sure it is" grep -q '% sure' a.txt
# Test keys hide the middle of the streets, and the image ends in streets that slant.
"$NOTCH" simulate -q -o turned.tif --size 2060x2060 --die 511x511 --layout array --rotation 1 --defects 0 --seed 1
"$NOTCH" recipe new turned.tif 2>turned.txt >/dev/null
ok "turned dice that lack a part of their street are whole" grep -q 'notch: turned.tif: dice: 16 whole' turned.txt
is "a recipe that was written is right" "$(status "$NOTCH" recipe check a.ini a.tif)" 0
"$NOTCH" recipe new -q -o b.ini a.tif 2>b.txt
ok "--output gives the same recipe" cmp a.ini b.ini
is "--quiet says nothing" "$(cat b.txt)" ""
"$NOTCH" recipe new -q --set detect.false_alarms=7 -r a.ini a.tif >c.ini
is "--recipe and --set are kept" "$(diff a.ini c.ini | sed -n 's/^> //p')" "false_alarms=7"

{ printf '\357\273\277'; cat a.ini; } >mark.ini
is "a byte order mark is no line" "$(status "$NOTCH" recipe check mark.ini)" 0

says () {
  name=$1 wanted=$2
  shift 2
  is "$name: exit status" "$(status "$NOTCH" recipe "$@")" 2
  message=$("$NOTCH" recipe "$@" 2>&1 >/dev/null)
  case $message in
    "notch: "*"$wanted"*) ok "$name" true ;;
    *) is "$name" "$message" "$wanted" ;;
  esac
}

printf '[detect]\nfalse_alarm=1\n' >bad.ini
says "an unknown key has its line" "bad.ini:2: [detect] false_alarm: there is no such key; did you mean false_alarms?" check bad.ini
printf '[classify]\nclass.pit=contrst < 0\n' >bad.ini
says "a rule that makes no sense" "contrst" check bad.ini
printf '[limits]\nclass.pits=3\n' >bad.ini
says "a limit of a class that is none" "pits" check bad.ini
printf '[dice]\npitch_x_px=5000\npitch_y_px=5000\n' >bad.ini
is "a large die is right without an image" "$(status "$NOTCH" recipe check bad.ini)" 0
says "and does not fit a small one" "larger than the image" check bad.ini a.tif
says "keys that do not fit each other" "halo_px" new a.tif --set detect.halo_px=200
says "no such image" "none.tif" new none.tif
says "no such recipe" "none.ini" check none.ini
says "no such word" "check RECIPE [IMAGE]" polish a.tif
done_testing
