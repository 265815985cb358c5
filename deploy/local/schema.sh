#!/usr/bin/env bash
# Writes what is generated and committed: the schema of routes.yaml, and each app's OpenAPI
# document. $1: where the two programs are.
set -euo pipefail
cd "$(dirname "$0")/../.."

# write FILE COMMAND...: replaces the file once the command has succeeded.
write() {
  local file=$1
  shift
  "$@" >"$file.new" || { rm -f "$file.new"; return 1; }
  mv "$file.new" "$file"
  echo "$file"
}
write deploy/routes.schema.json "$1/gateway" schema
for app in $("$1/backend" openapi); do
  write "backends/$app/openapi.json" "$1/backend" openapi "$app"
done
