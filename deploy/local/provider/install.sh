#!/usr/bin/env bash
# Installs the packages of the tests' OpenID provider, exactly those of package-lock.json, into the
# user's cache: a fresh clone finds them there. Does nothing when they are there already.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
home=${XDG_CACHE_HOME:-${HOME:?neither XDG_CACHE_HOME nor HOME is set}/.cache}/vorota/provider
cmp -s "$here/package-lock.json" "$home/package-lock.json" && exit 0

mkdir -p "$(dirname "$home")"
room=$(mktemp -d "$home.XXXXXX")
trap 'rm -rf "$room"' EXIT
cp "$here/package.json" "$here/package-lock.json" "$room"
echo "Installing oidc-provider from npm into $home"
(cd "$room" && npm ci --silent --no-audit --no-fund --omit=dev --ignore-scripts </dev/null)
# The lock is the last to be seen: whoever finds it finds the packages.
rm -rf "$home"
mv -T "$room" "$home"
