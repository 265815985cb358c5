#!/usr/bin/env bash
# Writes every crate's .sqlx anew, from the empty database that DATABASE_URL names. The migrations
# are applied here, not by the backend: that one only compiles once its queries have been checked.
set -euo pipefail
cd "$(dirname "$0")/../.."

psql=(psql -Xq -v ON_ERROR_STOP=1 -o /dev/null)
for migrations in backends/*/migrations; do
  crate=$(basename "$(dirname "$migrations")")
  "${psql[@]}" -c "create schema $crate" "$DATABASE_URL"
  for step in "$migrations"/*.sql; do
    "${psql[@]}" -1 -f "$step" "$DATABASE_URL"
  done
done

# The new answers are gathered beside the old ones, which stay when a query is wrong.
room=$(mktemp -d)
trap 'rm -rf "$room" backends/*/.sqlx.new' EXIT
packages=()
for folder in backends/*/.sqlx; do
  crate=$(basename "$(dirname "$folder")")
  mkdir "$folder.new"
  packages+=(-p "$crate")
  # A macro speaks to the database only when its crate is compiled anew.
  touch "backends/$crate/src/lib.rs"
done
# cargo compiles several crates in one go, and each has a folder of its own.
cat >"$room/rustc" <<'EOS'
#!/usr/bin/env bash
if [ -d "$CARGO_MANIFEST_DIR/.sqlx.new" ]; then
  export SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$CARGO_MANIFEST_DIR/.sqlx.new
fi
exec "$@"
EOS
chmod +x "$room/rustc"
RUSTC_WORKSPACE_WRAPPER=$room/rustc cargo check --locked "${packages[@]}"

for folder in backends/*/.sqlx; do
  rm -r "$folder"
  mv "$folder.new" "$folder"
done
git --no-pager diff --stat -- 'backends/*/.sqlx'
