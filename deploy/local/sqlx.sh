#!/usr/bin/env bash
# Writes every crate's .sqlx anew, from the empty database that DATABASE_URL names. The migrations
# are applied here, not by the backend: that one only compiles once its queries have been checked.
set -euo pipefail
cd "$(dirname "$0")/../.."

psql=(psql -XqAt -v ON_ERROR_STOP=1)
for migrations in backends/*/migrations; do
  crate=$(basename "$(dirname "$migrations")")
  "${psql[@]}" -c "create schema $crate" "$DATABASE_URL"
  for step in "$migrations"/*.sql; do
    "${psql[@]}" -1 -f "$step" "$DATABASE_URL"
  done
done
for folder in backends/*/.sqlx; do
  crate=$(basename "$(dirname "$folder")")
  rm -f "$folder"/query-*.json
  # A macro speaks to the database only when its crate is compiled anew.
  touch "backends/$crate/src/lib.rs"
  SQLX_OFFLINE=false SQLX_OFFLINE_DIR="$PWD/$folder" cargo check --locked -p "$crate"
done
git --no-pager diff --stat -- 'backends/*/.sqlx'
