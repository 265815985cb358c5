#!/usr/bin/env bash
# Installs what is missing for the purposes named: build, run, test, bench, demo. That is system
# packages, and for `test` a few of npm. Does nothing, and asks nobody, when nothing is missing.
set -euo pipefail

missing=()
# need PACKAGE COMMAND: the package is missing when the command is.
need() { command -v "$2" >/dev/null || missing+=("$1"); }

for purpose in "$@"; do
  case $purpose in
    build)
      need gcc cc
      need make make
      need cmake cmake
      need g++ c++
      # The compiler does not ask for the headers by itself.
      [ -e /usr/include/stdlib.h ] || missing+=(libc6-dev)
      ;;
    run)
      # Debian keeps the server off the PATH.
      compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || need postgresql initdb
      ;;
    test)
      need redis-server redis-server
      need nodejs node
      need npm npm
      need chromium chromium
      # What an authenticator app shows.
      need oathtool oathtool
      # Debian's Python makes no rooms for packages by itself.
      python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
      ;;
    bench)
      # nginx lives where only root's PATH looks.
      [ -x /usr/sbin/nginx ] || need nginx nginx
      need wrk wrk
      ;;
    demo)
      need curl curl
      need jq jq
      ;;
    *)
      echo "install.sh: no such purpose: $purpose" >&2
      exit 2
      ;;
  esac
done

# What comes from npm and PyPI, once node and Python are there. Offline, the tests that need it say so,
# and only they fail.
from_elsewhere() {
  case " $* " in *" test "*)
    for name in browser openid-client provider twilio; do
      "$(dirname "$0")/npm.sh" $name || echo "npm's packages for $name could not be installed" >&2
    done
    "$(dirname "$0")/pip.sh" schemathesis || echo "schemathesis could not be installed from PyPI" >&2 ;;
  esac
}
[ ${#missing[@]} -gt 0 ] || { from_elsewhere "$@"; exit 0; }

if ! command -v apt-get >/dev/null; then
  echo "Missing here, by the names of Debian's packages: ${missing[*]}" >&2
  echo "Install what your system calls them, and start again." >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  # Without a terminal nobody can type a password.
  if [ -t 0 ] && command -v sudo >/dev/null; then
    as_root=(sudo)
  elif sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
  else
    echo "Missing packages: ${missing[*]}" >&2
    echo "As root: apt-get update && apt-get install ${missing[*]}" >&2
    exit 1
  fi
fi
echo "Installing ${missing[*]}"
apt() {
  ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 "$@" </dev/null
}
apt update
apt install -y --no-install-recommends "${missing[@]}"
from_elsewhere "$@"
