# Runs a program until it ends or until our standard input closes, whichever is first.
# $1: the signal that asks it to end; $2: after how many seconds it is killed; $3: a directory to
# remove afterwards, or nothing. We are the leader of a process group of our own.
farewell=$1 grace=$2 leftovers=$3
shift 3
exec 3<&0
"$@" >&2 </dev/null 3<&- &
program=$!
echo "$program"
exec >&2
(
  read -r _ <&3
  kill -s "$farewell" "$program"
  sleep "$grace"
  kill -s KILL "$program"
) 2>/dev/null &
trap 'kill -s "$farewell" "$program"' TERM INT HUP
while :; do
  wait "$program"
  status=$?
  # A signal to this shell ends `wait` early; the program is gone only when it cannot be signalled.
  kill -0 "$program" 2>/dev/null || break
done
# The rest of the group: the lines in brackets above, and what the program has left behind.
trap '' TERM
kill -s TERM 0
[ -z "$leftovers" ] || rm -rf -- "$leftovers"
exit "$status"
