# The other targets of the Makefile: tests, gates, benchmarks, fuzzing, packaging.

.PHONY: help clean deps run test e2e check bench fuzz asan tsan controls-test check-layers check-format check-tidy check-cppcheck \
	check-shell check-sizes check-werror check-docs docs integration format image chart

help:
	@sed -n '/^#/!q;s/^# \{0,1\}//p' Makefile
clean:
	rm -rf build

deps:
	@tests/lib/deps.sh build test check bench

# ---- run: the embedded default ----------------------------------------------------------------------------------------------

RUN_DIR := $(BUILD)/run
run:
	@tests/lib/deps.sh build
	@$(MAKE) $(PAR) --no-print-directory all
	@mkdir -p $(RUN_DIR)
	@exec $(BUILD)/eucs-agent run --state-dir $(RUN_DIR) --watch-dir manifests/samples

# ---- test: unit and integration under ASan and UBSan ---------------------------------------------------------------------------

test:
	@tests/lib/deps.sh build test
	@$(MAKE) $(PAR) --no-print-directory all
	@$(MAKE) $(PAR) --no-print-directory SAN=address BUILD=$(BUILD)/asan all unit-bins
	@tests/lib/run-test.sh $(BUILD)

asan tsan: %:
	@tests/lib/deps.sh build test
	$(Q)$(MAKE) $(PAR) -k --no-print-directory BUILD=$(BUILD)/$@ SAN=$(if $(filter tsan,$@),thread,address) unit

integration: all
	$(Q)EUCS_AGENT=$(abspath $(BIN)) tests/lib/run-integration.sh

controls-test: all
	$(Q)$(BIN) controls lint --controls controls
	$(Q)$(BIN) controls test --controls controls

# ---- e2e: a real control plane; needs Go --------------------------------------------------------------------------------------

e2e:
	@tests/lib/deps.sh build e2e
	@$(MAKE) $(PAR) --no-print-directory all
	@EUCS_AGENT=$(abspath $(BUILD)/eucs-agent) tests/e2e/run.sh

# ---- gates ------------------------------------------------------------------------------------------------------------------------

check:
	@tests/lib/deps.sh build test check
	@tests/lib/run-check.sh $(BUILD)

check-layers:
	$(Q)tests/lib/check-layers.sh
check-sizes:
	$(Q)tests/lib/check-sizes.sh
# by find, not from git: a copy without history has the same gates
C_FILES = $(shell find agent tests -name '*.[ch]')
CLANG_FORMAT ?= clang-format
check-format:
	$(Q)$(CLANG_FORMAT) --dry-run --Werror $(C_FILES)
format:
	$(Q)$(CLANG_FORMAT) -i $(C_FILES)
check-cppcheck:
	$(Q)cppcheck --quiet --error-exitcode=1 --std=c11 -j $(JOBS) --enable=warning,portability --inline-suppr \
	  --suppressions-list=tests/lib/cppcheck.suppress -Iagent -D_GNU_SOURCE -DEA_VERSION='"0"' agent
check-shell:
	$(Q)shellcheck -x $$(find tests -name '*.sh') .ci/run
check-werror:
	$(Q)$(MAKE) $(PAR) --no-print-directory BUILD=$(BUILD)/gcc-werror CC=gcc ERR=1 all
	$(Q)$(MAKE) $(PAR) --no-print-directory BUILD=$(BUILD)/clang-werror CC=clang ERR=1 all

# A file is read again when it, any header or the settings changed; -k shows the findings of all files.
HEADERS := $(wildcard agent/*/*.h agent/*/*/*.h agent/*/*.def)
TIDY_OKS = $(patsubst %.c,$(BUILD)/tidy/%.ok,$(foreach r,$(ROOMS),$(call srcs,$(r))))
.PHONY: tidy-oks
check-tidy:
	$(Q)$(MAKE) $(PAR) -k --no-print-directory BUILD=$(BUILD) tidy-oks
tidy-oks: $(TIDY_OKS)
$(BUILD)/tidy/%.ok: %.c $(HEADERS) .clang-tidy
	@mkdir -p $(@D)
	@echo "  TIDY  $<"
	$(Q)clang-tidy --quiet --warnings-as-errors='*' $< -- $(CPPFLAGS_ALL) -std=gnu17 -Wno-unknown-warning-option \
	  2>$(@:.ok=.err) || { grep -v 'warnings\? generated' $(@:.ok=.err); exit 1; }
	@touch $@

# The generated parts of docs/ say what the binary says.
docs: all
	$(Q)tests/lib/docs.sh write $(BIN)
check-docs: all
	$(Q)tests/lib/docs.sh check $(BIN)

# ---- fuzzing: every tests/fuzz/fuzz_X.c, linked with all rooms but app -----------------------------------------------------------

FUZZ_SRCS := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_DIR := $(BUILD)/fuzz
fuzz:
	@tests/lib/deps.sh build check
	$(Q)$(MAKE) $(PAR) --no-print-directory CC=clang SAN=fuzz BUILD=$(FUZZ_DIR) fuzz-bins
	$(Q)FUZZ_SECONDS=$(FUZZ_SECONDS) tests/lib/run-fuzz.sh $(FUZZ_DIR)

FUZZ_BINS := $(patsubst tests/fuzz/%.c,$(BUILD)/bin/%,$(FUZZ_SRCS))
FUZZ_OBJS := $(foreach r,$(filter-out app,$(ROOMS)),$(call objs,$(r)))
.PHONY: fuzz-bins
fuzz-bins: $(FUZZ_BINS)
$(BUILD)/bin/fuzz_%: tests/fuzz/fuzz_%.c $(FUZZ_OBJS) $(O)/gen/sinks.o $(O)/gen/controls.o
	@mkdir -p $(@D)
	@echo "  FUZZ  $@"
	$(Q)$(CC) $(CPPFLAGS_ALL) -Itests $(CFLAGS_ALL) -fsanitize=fuzzer $(LDFLAGS_ALL) -o $@ $< $(filter %.o,$^) $(LIBS)

# ---- bench ------------------------------------------------------------------------------------------------------------------------

BENCH_SRCS := $(sort $(wildcard tests/bench/bench_*.c))
BENCH_BINS := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(BENCH_SRCS))
.PHONY: bench-bins
bench-bins: $(BENCH_BINS)
$(BUILD)/bench/bench_%: tests/bench/bench_%.c $(FUZZ_OBJS) $(O)/gen/sinks.o $(O)/gen/controls.o
	@mkdir -p $(@D)
	@echo "  BENCH $@"
	$(Q)$(CC) $(CPPFLAGS_ALL) -Itests $(CFLAGS_ALL) -DEA_TEST_DATA='"tests"' $(LDFLAGS_ALL) -o $@ $< $(filter %.o,$^) $(LIBS)
bench:
	@tests/lib/deps.sh build bench
	@$(MAKE) $(PAR) --no-print-directory all bench-bins
	@EUCS_AGENT=$(abspath $(BUILD)/eucs-agent) tests/bench/run.sh $(BUILD)/bench

# ---- packaging ---------------------------------------------------------------------------------------------------------------------

IMAGE ?= eucs-agent:$(VERSION)
image:
	docker build -t $(IMAGE) .
# helm comes from tests/cluster (make e2e builds it once), or from HELM=
HELM ?= $(firstword $(wildcard $(BUILD)/cluster/bin/helm) $(shell command -v helm 2>/dev/null))
chart:
	@test -n "$(HELM)" || { echo "helm is not there: make e2e builds it, or say HELM=/path/to/helm" >&2; exit 1; }
	tests/lib/render-chart.sh $(HELM) manifests/eucs-agent.yaml
.PHONY: image-test
image-test:
	@tests/e2e/image.sh

# ---- the exam of cel-spec: CEL_SPEC is its folder tests/simple/testdata ---------------------------------------------------------------

.PHONY: cel-conformance
CEL_SPEC ?= ../shared/cel-spec
cel-conformance: all
	$(Q)$(PYTHON) tests/unit/cel/conformance.py $(CEL_SPEC) $(BIN) cel eval --env cel --batch
