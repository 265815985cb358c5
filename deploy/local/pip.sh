#!/usr/bin/env bash
# pip.sh NAME: installs PyPI's packages for the tests that are named in the folder NAME, exactly those
# of its requirements.txt, into the user's cache: a fresh clone finds them there. Does nothing when they
# are there already.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)/$1
home=${XDG_CACHE_HOME:-${HOME:?neither XDG_CACHE_HOME nor HOME is set}/.cache}/vorota/$1
cmp -s "$here/requirements.txt" "$home/requirements.txt" && exit 0

echo "Installing PyPI's packages for $1 into $home"
# Its programs name their place, so it is made where it stays.
rm -rf "$home"
mkdir -p "$(dirname "$home")"
python3 -m venv "$home"
"$home/bin/pip" install --quiet --no-deps --disable-pip-version-check -r "$here/requirements.txt" </dev/null
# The list is the last to be seen: whoever finds it finds the packages.
cp "$here/requirements.txt" "$home"
