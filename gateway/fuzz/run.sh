#!/usr/bin/env bash
# Gives each fuzz target (or those that are named) random bytes for MINUTES, one after the other.
# What one breaks at lies in artifacts/ then; put it among seeds/ together with the cure.
set -euo pipefail
cd "$(dirname "$0")"
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(table path framing jwt validate proxied)
# The instrumentation is nightly's; a stable compiler does it too when it is told that it may.
toolchain=()
if rustup toolchain list 2>/dev/null | grep -q '^nightly'; then toolchain=(+nightly); else export RUSTC_BOOTSTRAP=1; fi
command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
# The same versions as in the product.
cp ../../Cargo.lock .
for target in "${targets[@]}"; do
  mkdir -p "corpus/$target"
  # No sanitizer: there is no unsafe code of ours, and without it ten times as much is tried.
  nice -n 19 cargo "${toolchain[@]}" fuzz run --fuzz-dir . --sanitizer none "$target" "corpus/$target" "seeds/$target" -- \
    -max_total_time=$((60 * ${MINUTES:-12})) -rss_limit_mb=2048 -max_len=16384 -timeout=10 -print_final_stats=1
done
