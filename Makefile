# Apus. `make run` shows it working, `make test` proves it; `make help` lists the rest.

PREFIX  ?= /usr/local
DESTDIR ?=
BIN     := build/bin
export DEBIAN_FRONTEND := noninteractive

# Release flags. The daemon and the CLI carry the Swift library inside; apus-runtime carries libc too (docs/decisions/0001).
SWIFT_HOST    := swift build -c release --static-swift-stdlib
# Its functions are put in the order of a file (Scripts/order-functions): what a command executes lies together.
SWIFT_RUNTIME := swift build --package-path runtime -c release --static-swift-stdlib -Xswiftc -static-executable \
  -Xswiftc -use-ld=lld -Xlinker --symbol-ordering-file=$(CURDIR)/runtime/functions.order -Xlinker --no-warn-symbol-ordering

.DEFAULT_GOAL := help
.PHONY: help deps test-deps build build-runtime build-host run test test-unit test-integration test-vm fuzz bench format lint install uninstall clean

help: ## Say what can be made.
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps: ## Install what a build needs and is missing (Debian packages).
	@Scripts/install-packages build

test-deps: deps ## Install what the tests need and is missing.
	@Scripts/install-packages test

build: deps build-runtime build-host ## Build apus, apusd and apus-runtime (release) into build/bin.

build-runtime:
	@echo "building apus-runtime (static)"
	@Scripts/swift-quiet $(SWIFT_RUNTIME) --product apus-runtime
	@mkdir -p $(BIN)
	@Scripts/put "$$($(SWIFT_RUNTIME) --show-bin-path)/apus-runtime" $(BIN)/apus-runtime

build-host:
	@echo "building apusd and apus (a first build compiles the libraries too: several minutes)"
	@Scripts/swift-quiet $(SWIFT_HOST) --product apusd
	@Scripts/swift-quiet $(SWIFT_HOST) --product apus
	@mkdir -p $(BIN)
	@Scripts/put "$$($(SWIFT_HOST) --show-bin-path)/apusd" $(BIN)/apusd
	@Scripts/put "$$($(SWIFT_HOST) --show-bin-path)/apus" $(BIN)/apus

run: ## On a fresh machine: install, build, make the image debian:12, run it, say how long each step took.
	@Scripts/run

test: test-deps test-unit test-integration ## Unit tests, then integration tests on real containers.

test-unit: deps ## Unit tests only; need no root.
	@Scripts/swift-quiet swift test --package-path runtime
	@Scripts/swift-quiet swift test

test-integration: test-deps build ## Integration tests only (root): real containers, the stock docker CLI.
	@Scripts/as-root python3 -m pytest IntegrationTests $(PYTEST)

test-vm: deps build ## The runtime's tests in a virtual machine: Debian's kernel, cgroup v2, AppArmor (VM="pytest test_oci.py" for some).
	@Scripts/install-packages vm
	@echo "building ContainerProbe (static)"
	@Scripts/swift-quiet $(SWIFT_RUNTIME) --product ContainerProbe
	@Scripts/put "$$($(SWIFT_RUNTIME) --show-bin-path)/ContainerProbe" $(BIN)/ContainerProbe
	@Scripts/test-vm $(VM)

fuzz: ## Fuzz one parser: make fuzz TARGET=layer SECONDS=600 (Fuzzing/run names the targets).
	@Fuzzing/run $(TARGET) $(SECONDS)

bench: build ## Compare with the peers in one run (root); results go to docs/performance.md.
	@Scripts/install-packages bench
	@Scripts/as-root python3 Benchmarks/run.py $(BENCH)
	@Scripts/as-root python3 Benchmarks/bridges.py
	@Scripts/as-root python3 Benchmarks/runtimes.py

SWIFT_SOURCES := Sources Tests Package.swift runtime/Sources runtime/Tests runtime/Package.swift \
  Fuzzing/Package.swift Fuzzing/Sources/fuzz

format: ## Rewrite the Swift sources in the project's format.
	@swift format format --in-place --parallel --recursive $(SWIFT_SOURCES)

lint: ## Check the format; warnings are errors.
	@swift format lint --strict --parallel --recursive $(SWIFT_SOURCES) && echo "lint: clean"

install: build ## Install under PREFIX (/usr/local), with systemd units where systemd is.
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" Scripts/install $(BIN)

uninstall: ## Remove what `make install` put there; images and instances stay.
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" Scripts/uninstall

clean: ## Remove everything that was built here.
	rm -rf build .build runtime/.build
