# The front door. Every target is what CI runs, by the same name.

# Made absolute, so that recipes may change directory. Not by make: it takes a space for an end.
target := $(shell realpath -m -- "$(or $(CARGO_TARGET_DIR),target)")

.DEFAULT_GOAL := help
.PHONY: help run test check demo bench bench-ledger bench-limits bench-users fuzz schema sqlx

help: ## Show this
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | while IFS='	' read -r name what; do printf 'make %-13s %s\n' "$$name" "$$what"; done

run: ## Start everything on https://localhost:8443, until Ctrl-C
	@# The lines that it prints to paste, and `make demo`, want the tools of a demo.
	@deploy/local/install.sh build run demo
	cargo build --release --locked -p local -p gateway -p backend
	@exec "$(target)/release/local" run

test: ## Run every test, with a PostgreSQL and a Redis of their own
	@deploy/local/install.sh build run test
	@# Builds the programs too, since each has tests of its own: the journeys find them beside theirs.
	cargo test --locked --workspace

check: ## Check format, lints and the house rules
	@deploy/local/install.sh build
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo test --locked -p loadtest --test tidy

demo: ## Play the story with curl against what `make run` has started
	@deploy/local/install.sh demo
	@loadtest/demo.sh

bench: ## Weigh the gateway's work, policy by policy, beside nginx's
	@deploy/local/install.sh build run bench
	cargo build --release --locked -p loadtest -p gateway
	@"$(target)/release/loadtest" bench

bench-limits: ## Measure how well three gateways hold a limit together
	@deploy/local/install.sh build run
	cargo build --release --locked -p loadtest -p gateway
	@"$(target)/release/loadtest" limits

bench-ledger: ## Measure what transfers cost PostgreSQL, beside a transaction for each
	@deploy/local/install.sh build run
	cargo bench --locked -p ledger --bench group_commit

bench-users: ## Measure what sign-ins and refreshes cost, and a flood of them
	@deploy/local/install.sh build run
	cargo build --release --locked -p loadtest -p gateway -p backend
	@"$(target)/release/loadtest" users

fuzz: ## Give the gateway's parsers random bytes, each for MINUTES (12)
	@deploy/local/install.sh build
	@gateway/fuzz/run.sh

schema: ## Write the schema of routes.yaml and the OpenAPI documents anew
	@deploy/local/install.sh build
	cargo build --locked -p gateway -p backend
	@deploy/local/schema.sh "$(target)/debug"

sqlx: ## Check the queries against a real PostgreSQL and write .sqlx anew
	@deploy/local/install.sh build run
	cargo build --locked -p local
	@"$(target)/debug/local" postgres -- deploy/local/sqlx.sh
