# make run and make test do all their own set-up; make help lists the rest.
MAKEFLAGS += --no-print-directory
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

TOOL := go tool -modfile=internal/tools/go.mod
# RACE=-race has make test run with the race detector, which takes cgo, a C compiler, and about twice the time.
RACE ?=
PACKAGES ?= ./...
POOLED ?= ./outbox ./relay/... ./beat/... ./internal/api ./internal/results ./internal/verify ./internal/replay ./internal/projection ./internal/redeliver ./internal/matrix
# These have PostgreSQL servers of their own, or a direct connection, in either run.
DIRECT := ^(TestPostgres(Crashes|Down|ReadOnly|Busy|DiskFull)|TestStandbyPromoted|TestRestoredElsewhere|TestStoppedRelayDelaysNobody)$$
# These measure, which one version of PostgreSQL does for all.
SLOW := ^(TestStorm|TestManyDjangoTasksAtOnce|TestManyAtOnceAreAsEachAlone)$$
# Paths are trimmed as in make build, so that what it has compiled is not compiled again.
GO_TEST := TACTUS_TEST_PROGRAM='$(CURDIR)/bin/test/tactus' go test -trimpath -json -timeout 30m
SUMMARY := '$(CURDIR)/bin/test/summary'
PLATFORMS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64
MODULES := $(shell find . -name go.mod -not -path './go.mod' -not -path './internal/tools/*' -exec dirname {} \; | sort)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## start everything here: PostgreSQL, Redis, api, relay and beat
	@bin/tactus dev

.PHONY: build
build: go ## build bin/tactus
	@echo "building bin/tactus (minutes the first time, a dot for every ten packages; seconds afterwards)"
	@CGO_ENABLED=0 go build -v -trimpath -o bin/tactus ./cmd/tactus 2>&1 | \
	  awk '/^[a-z0-9]+[^ :]*$$/ { if (++n % 10 == 0) { printf "."; fflush() }; next } { print } END { if (n >= 10) print "" }'

.PHONY: release
release: go ## build versioned binaries for each platform into dist, with their checksums
	@test -z "$$(git status --porcelain)" || { echo "commit or remove what has changed: a release is built from a commit"; exit 1; }
	@rm -rf dist && mkdir dist
	@for platform in $(PLATFORMS); do \
	  GOOS=$${platform%/*} GOARCH=$${platform#*/} CGO_ENABLED=0 go build -trimpath -buildvcs=true -ldflags '-s -w' -o dist/tactus ./cmd/tactus; \
	  version=$$(go version -m dist/tactus | awk '$$1 == "mod" { print $$3 }'); \
	  name=tactus-$$version-$${platform/\//-}; mv dist/tactus dist/$$name; echo "dist/$$name"; \
	done
	@sum=sha256sum; command -v $$sum >/dev/null || sum="shasum -a 256"; cd dist && $$sum tactus-* >SHA256SUMS && echo dist/SHA256SUMS

.PHONY: test
test: test-programs ## run every test, against real servers that the tests bring up
	@echo "testing (minutes; packages are told as they end)"
	@CGO_ENABLED=$(if $(RACE),1,0) $(GO_TEST) $(RACE) $(PACKAGES) | $(SUMMARY)
	@for module in $(MODULES); do echo "-- $$module"; (cd $$module && CGO_ENABLED=0 $(GO_TEST) -count=1 ./... | $(SUMMARY)); done

.PHONY: race
race: ## run every test with the race detector, as CI does
	@$(MAKE) test RACE=-race

# test-programs builds what the tests of several packages start, and what tells of a run.
.PHONY: test-programs
test-programs: go
	@echo "building what is tested"
	@mkdir -p bin/test
	@CGO_ENABLED=0 go build -trimpath -o bin/test/ ./cmd/tactus ./internal/summary

.PHONY: versions
versions: test-programs ## run what depends on the versions of the servers on PostgreSQL 13 and 18, Redis 8 and Valkey 8 (of other suites of Debian)
	@grep -qx ID=debian /etc/os-release || { echo "-- other versions of the servers: only on Debian, which has its other suites beside its own"; exit 0; }; \
	for suite in bullseye forky; do \
	  echo "-- PostgreSQL of $$suite"; CGO_ENABLED=0 TACTUS_TEST_POSTGRES=$$suite $(GO_TEST) -count=1 -skip '$(SLOW)' ./migrations ./outbox ./relay/... ./internal/adopt | $(SUMMARY); \
	done; \
	for kind in trixie trixie/valkey; do \
	  echo "-- Redis of $$kind"; CGO_ENABLED=0 TACTUS_TEST_REDIS=$$kind $(GO_TEST) -count=1 ./internal/redis | $(SUMMARY); \
	done

.PHONY: pooled
pooled: test-programs ## run what speaks to PostgreSQL again, through PgBouncer in transaction mode
	@CGO_ENABLED=0 TACTUS_TEST_VIA_PGBOUNCER=1 $(GO_TEST) -count=1 -skip '$(DIRECT)' $(POOLED) | $(SUMMARY)

.PHONY: check
check: go ## formatting, vet, staticcheck, dead code, tidy modules, and that macOS builds
	@out=$$($(TOOL) gofumpt -l .); test -z "$$out" || { echo "gofumpt -w:"; echo "$$out"; exit 1; }
	@go vet ./...
	@GOOS=darwin go vet ./...
	@go fix -diff ./...
	@$(TOOL) staticcheck ./...
	@out=$$($(TOOL) deadcode -test ./...); test -z "$$out" || { echo "nothing calls:"; echo "$$out"; exit 1; }
	@go mod tidy -diff
	@for module in $(MODULES); do (cd $$module && go vet ./... && go mod tidy -diff); done

.PHONY: e2e
e2e: test-programs ## run only what a Celery team tries before it switches, with real workers (make test has it too)
	@CGO_ENABLED=0 $(GO_TEST) -count=1 ./internal/e2e | $(SUMMARY)

.PHONY: chaos
chaos: go ## let everything fail at random, then check that nothing is lost (TACTUS_CHAOS_FOR=90s TACTUS_CHAOS_SEED=n)
	@TACTUS_CHAOS_FOR=$${TACTUS_CHAOS_FOR:-90s} go test -count=1 -v -timeout 0 -run TestChaos ./internal/chaos
	@TACTUS_CHAOS_FOR=$${TACTUS_CHAOS_FOR:-90s} go test -count=1 -v -timeout 0 -run TestRedisPyThroughRestarts ./relay

.PHONY: bench
bench: go ## measure what is promised, beside peers, on servers of its own (BENCH="--quick", BENCH="-o json cron relay")
	@cd internal/bench/peers && go run . $(BENCH)

.PHONY: fuzz
fuzz: go ## compare the engines of cron, recurrences and calendars with their oracles for longer (TACTUS_FUZZ_CASES=2000000 TACTUS_FUZZ_RULES=40000)
	@TACTUS_FUZZ_CASES=$${TACTUS_FUZZ_CASES:-2000000} go test -count=1 -timeout 0 -run 'Oracle' ./domain/cron
	@TACTUS_FUZZ_CASES=$${TACTUS_FUZZ_RULES:-40000} go test -count=1 -timeout 0 -run 'Oracle' ./domain/rrule
	@go test -count=1 -timeout 0 -run AgainstDays ./domain/calendar -rapid.checks $${TACTUS_FUZZ_CALENDARS:-5000}
	@for target in FuzzParse FuzzNext; do go test -run '^$$' -fuzz $$target -fuzztime $${TACTUS_FUZZ_TIME:-60s} ./domain/cron; done

.PHONY: screenshots
screenshots: test-programs ## take the screenshots of the documentation anew, in a browser
	@TACTUS_TEST_PROGRAM='$(CURDIR)/bin/test/tactus' go test -count=1 ./internal/pages -run 'TestJourneysInABrowser/the_screenshots' -update

.PHONY: zones
zones: go ## embed the newest time zone data that Debian has
	@go generate ./domain/zone

.PHONY: go
go:
	@command -v go >/dev/null 2>&1 || { \
	  echo "tactus is written in Go, which is not installed. Go 1.21 or newer fetches the version it needs:"; \
	  echo "  Debian 13, Ubuntu 24.04: sudo apt-get install golang-go    macOS: brew install go"; \
	  echo "  else: https://go.dev/doc/install"; exit 1; }
	@v=$$(go env GOVERSION | sed 's/^go1\.//; s/[^0-9].*//'); test "$${v:-0}" -ge 21 || { \
	  echo "$$(go version) is too old: Go 1.21 or newer fetches the version it needs."; \
	  echo "  Debian 12: sudo apt-get install -t bookworm-backports golang-go    else: https://go.dev/doc/install"; exit 1; }
