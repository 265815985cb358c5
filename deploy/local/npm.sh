#!/usr/bin/env bash
# npm.sh NAME: installs npm's packages for the tests that are named in the folder NAME, exactly those
# of its package-lock.json, into the user's cache: a fresh clone finds them there. Does nothing when
# they are there already.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)/$1
home=${XDG_CACHE_HOME:-${HOME:?neither XDG_CACHE_HOME nor HOME is set}/.cache}/vorota/$1
cmp -s "$here/package-lock.json" "$home/package-lock.json" && exit 0

mkdir -p "$(dirname "$home")"
room=$(mktemp -d "$home.XXXXXX")
trap 'rm -rf "$room"' EXIT
cp "$here/package.json" "$here/package-lock.json" "$room"
echo "Installing npm's packages for $1 into $home"
(cd "$room" && npm ci --silent --no-audit --no-fund --omit=dev --ignore-scripts </dev/null)
# The lock is the last to be seen: whoever finds it finds the packages.
rm -rf "$home"
mv -T "$room" "$home"
