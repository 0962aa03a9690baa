# sporekit: `make demo` shows it, `make test` proves it, `make install` puts it where you want it.
#
# The binaries are linked statically where the C library allows it (Linux with glibc or musl) and at
# a fixed address: they start faster and run in any sandbox. `make build STATIC=` does neither.
# Everything is built below target/.

HOST    := $(shell rustc -vV | sed -n 's/^host: //p')
BIN     := target/$(HOST)/release
PREFIX  ?= /usr/local
DESTDIR ?=
STATIC  := $(if $(findstring linux,$(HOST)),-C target-feature=+crt-static -C relocation-model=static)
TOOLS   := $(sort $(patsubst src/bin/%.rs,%,$(subst _,-,$(wildcard src/bin/*.rs))))

.PHONY: help build demo test deps lint fresh bench coverage fuzz soak powercut torture install clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 12

build: ## Build the release binaries
	RUSTFLAGS="$(STATIC)" cargo build --release --bins --target $(HOST)

demo: build ## Run the main job end to end, offline, on files alone
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh

test: deps build ## Install what the tests need and run the whole suite; nothing may be skipped
	SPORE_TEST_STRICT=1 cargo test
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh >/dev/null && echo "demo: ok"

deps: ## Install the Debian packages that the tests use
	@sh tests/deps.sh

lint: ## Format, clippy, rustdoc and the man pages
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo clippy --no-default-features --lib -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet
	@sh tests/lint-man.sh

fresh: ## Write man pages and completions anew from the definitions
	SNAPSHOTS=overwrite cargo test --test suite documents::

bench: build ## Measure, side by side with what else there is (see BENCHMARKS.md)
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh benches/run.sh

coverage: ## Print the line coverage of the library
	@sh .ci/coverage

fuzz: ## A short run of each fuzz target on the committed corpus
	@sh .ci/fuzz

soak: ## Hurt the four buses for minutes while messages flow, and count what arrives
	SPORE_TEST_STRICT=1 SPORE_SOAK=$${SPORE_SOAK:-40} cargo test --test suite soak -- --ignored --nocapture

powercut: build ## As root: cut the power under spore-send on ext4, XFS and btrfs, and count what is lost
	@PATH="$(CURDIR)/$(BIN):$$PATH" python3 tests/powercut.py

torture: build ## A thousand tasks with fake agents that go wrong in every way; nothing may be lost
	@for style in claude codex gemini opencode kiro aider plain; do \
	  PATH="$(CURDIR)/$(BIN):$$PATH" swarm-torture --seed $${SEED:-1} --agents 8 --tasks $${TASKS:-143} --kills 10 --timeout 30m --style $$style || exit 1; \
	done

install: build ## Install binaries, man pages and completions below PREFIX (DESTDIR in front)
	install -d "$(DESTDIR)$(PREFIX)/bin"
	install -m 755 $(addprefix $(BIN)/,$(TOOLS)) "$(DESTDIR)$(PREFIX)/bin"
	for section in 1 5 7; do \
	  install -d "$(DESTDIR)$(PREFIX)/share/man/man$$section"; \
	  for page in man/*.$$section; do \
	    [ ! -e "$$page" ] || install -m 644 "$$page" "$(DESTDIR)$(PREFIX)/share/man/man$$section"; \
	  done; \
	done
	install -d "$(DESTDIR)$(PREFIX)/share/bash-completion/completions" \
	  "$(DESTDIR)$(PREFIX)/share/zsh/site-functions" "$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d"
	install -m 644 completions/bash/* "$(DESTDIR)$(PREFIX)/share/bash-completion/completions"
	install -m 644 completions/zsh/* "$(DESTDIR)$(PREFIX)/share/zsh/site-functions"
	install -m 644 completions/fish/* "$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d"

clean: ## Remove what was built
	cargo clean
