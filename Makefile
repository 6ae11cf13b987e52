# The project's commands. `make run` starts it, `make test` checks and tests all of it; both set up what they need on Debian with Rust and Node.

SHELL := /bin/bash
CACHE := $(HOME)/.cache/gogochat
# Outside the checkout, so that a fresh clone builds on what was built before.
export CARGO_TARGET_DIR ?= $(CACHE)/target
export PATH := $(CACHE)/tools/bin:$(PATH)
# What `make run` builds: no clients of what only a cluster needs.
ONE_PROCESS := -p gogochat-server --no-default-features --locked
PAGE := web/app/dist/page/index.html

# What `cargo test` runs against: real ones, started by the project itself. Tests of blobs start the S3 store by themselves.
SERVICES := mysql redis kafka etcd

.PHONY: run build page test check check-rules check-lints test-rust test-web fmt bench e2e services

## Builds page and server for one process, and starts everything with data under ./data: http://localhost:8080
run:
	@scripts/setup compiler page
	@$(MAKE) --no-print-directory page
	@echo "building the server for one process: some six minutes on two cores the first time, a minute or two after a change"
	@cargo build --profile quick $(ONE_PROCESS)
	@$(CARGO_TARGET_DIR)/quick/gogochat dev

## Builds the page and, with it inside, the binary that a release has.
build:
	@scripts/setup full page
	@$(MAKE) --no-print-directory page
	@echo "building the server with everything, and the load test: a quarter of an hour on two cores the first time"
	cargo build --release --locked -p gogochat-server -p gogochat-loadtest
	@# Debug information apart: 43 MB instead of 71. The binary names the file, and backtraces read it where it lies beside it.
	@cd $(CARGO_TARGET_DIR)/release && objcopy --only-keep-debug gogochat gogochat.debug \
	  && objcopy --strip-debug --add-gnu-debuglink=gogochat.debug gogochat gogochat.part && mv gogochat.part gogochat

page:
	@scripts/setup page
	@$(MAKE) --no-print-directory $(PAGE)

# Not built anew where nothing has changed: it is part of the binary, which would be built anew too.
$(PAGE): $(shell find web/app web/packages -type f -not -path '*/node_modules/*' -not -path '*/dist/*' -not -path '*/test/*')
	@echo "building the page (a few seconds)"
	@cd web && npm run build --silent

## Everything that CI runs.
test:
	@scripts/setup full page tools tests python tls redis etcd kafka
	$(MAKE) check
	$(MAKE) test-rust
	$(MAKE) test-web

## The static checks: format, lints, dependency rules, documentation, types.
check:
	@scripts/setup full page tools python
	cd web && npm run check
	@# Together: the lints leave a core alone most of the time.
	@$(MAKE) --no-print-directory -j2 --output-sync=recurse check-rules check-lints

check-rules:
	cargo fmt --all --check
	scripts/check-layers
	scripts/check-paths
	cargo deny --all-features --locked check -D unmatched-skip bans licenses sources
	scripts/prove-rules
	scripts/check-alone
	$(CACHE)/python/bin/python scripts/check-deploy

check-lints:
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy $(ONE_PROCESS) --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

test-rust: services
	@scripts/setup full tests python
	cargo test $(ONE_PROCESS) -p gogochat-storage --lib --bin gogochat --test cli
	scripts/test-rust
	cargo test --workspace --locked --doc
	GOGOCHAT_BIN=$(CARGO_TARGET_DIR)/debug/gogochat scripts/try-cluster

test-web: page
	@scripts/setup full tests python
	cargo test --workspace --locked --no-run --quiet
	cd web && npm test
	cd web && npm run e2e

## Figures on this machine, into docs/benchmarks.
bench: build
	scripts/bench

## The browser tests alone.
e2e: page
	@scripts/setup full tests python
	cargo test --workspace --locked --no-run --quiet
	cd web && npm run e2e

## Starts the real services of the tests where they are not up; `scripts/services down` stops them.
services:
	scripts/services up $(SERVICES)

fmt:
	cargo fmt --all
