# Millrace: `make` alone prints the targets.

SHELL         := bash
.SHELLFLAGS   := -euo pipefail -c
MAKEFLAGS     += --warn-undefined-variables --no-builtin-rules
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

GO        ?= go
FUZZTIME  ?= 60s
KEEP      ?= 32
# Flags of bench-serving, such as -d 30s or -soak 1h.
SERVING   ?=
N         ?= 1000
BASE      ?= main
# What make release releases.
VERSION   ?=
comma     := ,
GOLANGCI  := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# What is linked: grpc's tracing pages and the xDS client in Google's storage client are used by nothing here, and the
# first keeps the linker from leaving out any exported method; .ko.yaml has the same tags. A program exports nothing of
# the C libraries in it, whose names alone would be 6 MB in memory.
TAGS      := disable_grpc_modules,grpcnotrace
LDFLAGS   := -s -w$(if $(filter Linux,$(shell uname -s)), -extldflags=-Wl$(comma)--exclude-libs$(comma)ALL)

# Every module of the workspace, and every function that has a command.
MODULES   := $(shell sed -n 's|^[[:space:]]*\./||p' go.work)
FUNCTIONS := $(patsubst %/cmd,%,$(wildcard functions/*/cmd))
# The programs whose linked modules are listed in a deps.txt.
PROGRAMS  := $(FUNCTIONS) deploy/replay
COMMANDS  := $(addsuffix /cmd/...,$(addprefix ./,$(FUNCTIONS))) ./deploy/millrace/...

# ONNX Runtime is loaded at run time. What is run from bin/ finds it in bin/lib; tests are told.
ONNXRUNTIME := $(CURDIR)/bin/lib/libonnxruntime.$(if $(filter Darwin,$(shell uname -s)),dylib,so)
export MILLRACE_ONNXRUNTIME ?= $(ONNXRUNTIME)

.PHONY: help
help: ## Print this help
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: onnxruntime ## Build bin/millrace, the runner, every function, and get ONNX Runtime
	@mkdir -p bin
	$(GO) build -trimpath -tags $(TAGS) -ldflags '$(LDFLAGS)' -o bin/ $(COMMANDS)
	if [ -d functions/train-launcher/cmd/runner ]; then CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o bin/runner ./functions/train-launcher/cmd/runner; fi

.PHONY: onnxruntime
onnxruntime:
	@shared/onnx/library.sh

.PHONY: examples
examples: ## Set up the Python environments of the examples' trainers
	@if [ -x config/examples/setup.sh ]; then config/examples/setup.sh; fi

.PHONY: run
run: build examples ## Play a year of flights and stay up until Ctrl-C
	bin/millrace demo --keep

.PHONY: demo
demo: build examples ## Play a year of flights and end with a summary
	bin/millrace demo

# The S3 server of the tests, kept in Go's build cache.
.PHONY: versitygw
versitygw:
	@cd deploy/e2e/versitygw && GOWORK=off $(GO) tool -n versitygw >/dev/null

.PHONY: check
check: onnxruntime ## Before a commit: build, vet, lint and fast tests of what differs from BASE (main)
	@BASE=$(BASE) GOLANGCI=$(GOLANGCI) .ci/check

# Four packages at a time, whatever the machine has: they wait for processes and sockets as much as they work.
.PHONY: test
test: onnxruntime examples versitygw ## Test every module with the race detector
	$(GO) test -race -p 4 work

.PHONY: e2e
e2e: build examples versitygw ## Test the whole chain only
	$(GO) test -race -count=1 ./deploy/e2e/...

.PHONY: e2e-cluster
e2e-cluster: ## Build the images, install on the cluster of KUBECONFIG in a namespace of its own, and test the whole chain there
	@PATH="$$($(GO) env GOPATH)/bin:$$PATH" deploy/e2e/knative/run.sh

.PHONY: crashtest
crashtest: onnxruntime ## Kill Millrace N times (1000) while it works, and examine what it leaves
	$(GO) run ./deploy/e2e/crashtest -n $(N)

.PHONY: e2e-clients
e2e-clients: build ## Ask a running system with KServe's, MLServer's and Triton's clients (needs uv)
	deploy/e2e/clients/run.sh

.PHONY: fuzz
fuzz: onnxruntime ## Fuzz every decoder of outside bytes for FUZZTIME each (60s)
	@$(GO) list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' work | while read -r package; do \
		for target in $$($(GO) test -list '^Fuzz' "$$package" | grep '^Fuzz' || true); do \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x "$$package"; \
		done; \
	done

.PHONY: fuzz-keep
fuzz-keep: ## Keep what make fuzz found: up to KEEP inputs (32) for each target
	@KEEP=$(KEEP) .ci/fuzz-keep

.PHONY: exact
exact: ## Hold real data sets from PyPI, cell by cell, against pandas, and write the table into shared/table/README.md
	python3 -m venv bin/exact/venv
	bin/exact/venv/bin/pip install -q -r shared/table/duck/testdata/exact/requirements.txt
	bin/exact/venv/bin/python shared/table/duck/testdata/exact/sets.py bin/exact/data
	$(GO) test -count=1 ./shared/table/duck -run '^TestExact$$' -exact $(CURDIR)/bin/exact/data -exact-readme $(CURDIR)/shared/table/README.md

.PHONY: bench
bench: build ## Run the benchmarks
	@for b in $(filter-out %/serving,$(patsubst %/main.go,%,$(wildcard deploy/bench/*/main.go))); do echo "== $$b"; $(GO) run "./$$b"; done

.PHONY: images
images: ## Build and push the images of an installation to KO_DOCKER_REPO
	@PATH="$$($(GO) env GOPATH)/bin:$$PATH" deploy/knative/images.sh

.PHONY: bench-serving
bench-serving: build examples ## Measure inference against other model servers, which it installs
	$(GO) run ./deploy/bench/serving $(SERVING)

.PHONY: bench-cluster
bench-cluster: ## Measure the installation on the cluster of KUBECONFIG beside a bare Knative Service
	deploy/bench/cluster/run.sh

.PHONY: lint
lint: ## Run golangci-lint, and look for words that are out
	@.ci/words
	$(GO) run $(GOLANGCI) run $(patsubst %,./%/...,$(MODULES))

.PHONY: generate
generate: ## Write what is generated: JSON Schemas, the AsyncAPI document, references
	$(GO) generate work

.PHONY: tidy
tidy: ## Bring every module to the same versions, tidy it, and format its files
	$(GO) work sync
	@for m in $(MODULES); do (cd "$$m" && GOWORK=off $(GO) mod tidy); done
	gofmt -l -w $(MODULES)

# For Linux on amd64 wherever it runs, so that the lists don't depend on the machine.
define linked
(cd "$(1)" && GOWORK=off GOOS=linux GOARCH=amd64 CGO_ENABLED=1 $(GO) list -tags $(TAGS) -deps \
	-f '{{with .Module}}{{if not .Main}}{{.Path}}{{if not .Replace}} {{.Version}}{{end}}{{end}}{{end}}' ./cmd/... | sort -u)
endef

.PHONY: deps
deps: ## Write the deps.txt of every function and of replay: the modules that each links
	@$(foreach f,$(PROGRAMS),$(call linked,$(f)) >$(f)/deps.txt;)

.PHONY: verify
verify: verify-tidy verify-deps verify-build verify-generate verify-pages verify-triggers verify-manifests ## Check that the tree is as it claims to be

.PHONY: verify-tidy
verify-tidy:
	@echo "every module is tidy, every file formatted"
	@for m in $(MODULES); do (cd "$$m" && GOWORK=off $(GO) mod tidy -diff) || { echo "$$m is not tidy: run make tidy" >&2; exit 1; }; done
	@unformatted=$$(gofmt -l $(MODULES)); [ -z "$$unformatted" ] || { printf 'not formatted, run make tidy:\n%s\n' "$$unformatted" >&2; exit 1; }

.PHONY: verify-deps
verify-deps:
	@echo "every deps.txt is what its program links"
	@$(foreach f,$(PROGRAMS),$(call linked,$(f)) | diff -u $(f)/deps.txt - || { echo "$(f)/deps.txt is old: run make deps" >&2; exit 1; };)

# vet compiles what a package needs and checks its types; what it leaves out, linking, the tests do.
.PHONY: verify-build
verify-build:
	@echo "every module builds on its own"
	@for m in $(MODULES); do (cd "$$m" && GOWORK=off $(GO) vet ./...) || { echo "$$m does not build with GOWORK=off" >&2; exit 1; }; done

GENERATED := events/schema events/asyncapi.json config/pipeline.schema.json config/reference.md \
	deploy/settings.md deploy/millrace/commands.md ARCHITECTURE.md functions/inference/oip

.PHONY: verify-generate
verify-generate:
	@echo "what is generated is up to date"
	@digest() { find $(GENERATED) -type f -exec git hash-object --no-filters {} + | git hash-object --stdin; }; \
	before=$$(find $(GENERATED) -type f | sort; digest); $(MAKE) --no-print-directory generate >/dev/null; \
	[ "$$before" = "$$(find $(GENERATED) -type f | sort; digest)" ] || { echo "generated files were old and are new now: commit them" >&2; exit 1; }

.PHONY: verify-pages
verify-pages:
	@echo "what the pages link to and name is there"
	@cd deploy/e2e && GOWORK=off $(GO) test ./pages

.PHONY: verify-triggers
verify-triggers:
	@echo "Knative takes the triggers and filters as they are filtered here"
	@cd deploy/e2e && GOWORK=off $(GO) test ./knative

.PHONY: verify-manifests
verify-manifests:
	@echo "every overlay builds, and Kubernetes and Knative take it"
	@cd deploy/knative && GOWORK=off $(GO) test ./...

.PHONY: release
release: ## Build what users install as VERSION (v0.1.0): archives, wheels, module tags, SBOMs, checksums
	@deploy/release/release.sh "$(VERSION)"

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin
