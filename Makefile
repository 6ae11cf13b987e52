# The project's commands. `make run` starts it, `make test` checks and tests all of it; both set up what they need on Debian with Rust and Node.

SHELL := /bin/bash
CACHE := $(HOME)/.cache/gogochat
# Outside the checkout, so that a fresh clone builds on what was built before.
export CARGO_TARGET_DIR ?= $(CACHE)/target
export PATH := $(CACHE)/tools/bin:$(PATH)
export CARGO_TERM_PROGRESS_WHEN := never
CRATES := proto storage core edge server client testkit loadtest

# What `cargo test` runs against: real ones, started by the project itself.
SERVICES := mysql redis kafka etcd s3

.PHONY: run build page test check fmt bench e2e setup setup-page setup-tools setup-browsers setup-services setup-deploy services clean-page

## Builds page and server, and starts everything with data under ./data: http://localhost:8080
run: build
	$(CARGO_TARGET_DIR)/release/gogochat dev

build: page
	@scripts/setup services build
	cargo build --release --locked -p gogochat-server -p gogochat-loadtest

page: setup-page
	cd web && npm run build

## Everything that CI runs.
test: setup check services
	cargo test --workspace --locked --no-fail-fast
	GOGOCHAT_BIN=$(CARGO_TARGET_DIR)/debug/gogochat scripts/try-cluster
	cd web && npm test
	cd web && npm run e2e

## The static checks: format, lints, dependency rules, documentation, types.
check: setup-page setup-tools setup-services setup-deploy page
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo deny --all-features --locked check bans licenses sources
	scripts/prove-rules
	$(CACHE)/python/bin/python scripts/check-deploy
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
	scripts/check-alone $(CRATES)
	cd web && npm run check

## Figures on this machine, into docs/benchmarks.
bench: build
	scripts/bench

## The browser tests alone.
e2e: setup page
	cargo build --locked -p gogochat-server
	cd web && npm run e2e

## Starts the real services of the tests where they are not up; `scripts/services down` stops them.
services: setup-services
	scripts/services up $(SERVICES)

fmt:
	cargo fmt --all

setup: setup-page setup-tools setup-browsers setup-services

setup-page:
	@scripts/setup page
setup-tools:
	@scripts/setup tools
setup-browsers:
	@scripts/setup browsers
setup-deploy:
	@scripts/setup deploy
setup-services:
	@scripts/setup services
