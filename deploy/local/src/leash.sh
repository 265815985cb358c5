# Runs a program until it ends or until our standard input closes, whichever is first.
# $1: the signal that asks it to end; $2: a directory to remove afterwards, or nothing.
farewell=$1 leftovers=$2
shift 2
exec 3<&0
"$@" >&2 </dev/null 3<&- &
program=$!
echo "$program"
exec >&2
(read -r _ <&3; kill -s "$farewell" "$program") &
watch=$!
trap 'kill -s "$farewell" "$program"' TERM INT HUP
while :; do
  wait "$program"
  status=$?
  # A signal to this shell ends `wait` early; the program is gone only when it cannot be signalled.
  kill -0 "$program" 2>/dev/null || break
done
kill "$watch" 2>/dev/null
[ -z "$leftovers" ] || rm -rf -- "$leftovers"
exit "$status"
