# eucs-agent - a plain GNU Makefile; `make help` prints this manual.
#
#   make              build build/eucs-agent
#   make run          install what is missing, build, start the agent on the embedded default
#   make test         install, build, unit and integration tests under ASan+UBSan; no Go needed
#   make e2e          tests against a real kube-apiserver (needs a recent Go)
#   make check        layers, format, tidy, cppcheck, shellcheck, sizes, gcc and clang with -Werror, TSan
#   make bench        one line a figure, each beside its baseline
#   make fuzz         libFuzzer on every target, FUZZ_SECONDS each (default 20)
#   make asan tsan    the unit tests under one sanitizer
#   make unit-ROOM    unit tests of one room, linked with the rooms it may use (with `make unit-cel T=test_vm`: one file)
#   make integration  the integration tests alone
#   make controls-test  lint all controls and run their cases
#   make docs         write the generated parts of docs/ anew; `make check` fails when they are stale
#   make format       clang-format in place
#   make deps         install the Debian packages needed
#   make clean        remove build/
#
# Variables: BUILD=build (another output folder), CC=gcc|clang, SAN=address|thread|none, ERR=1 (-Werror), V=1 (show commands),
#            JOBS=N (parallel jobs of the targets that build more than one thing; default: one a core)

BUILD ?= build
CC := $(if $(filter default,$(origin CC)),gcc,$(CC))
SAN ?= none
ERR ?= 0
V ?= 0
Q := $(if $(filter 1,$(V)),,@)
PYTHON := $(if $(wildcard /usr/bin/python3),/usr/bin/python3,python3)
FUZZ_SECONDS ?= 20
VERSION := $(shell cat agent/VERSION)
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
# Jobs of a make below this one, unless that one's own -j already reaches it.
PAR = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(JOBS))

.DEFAULT_GOAL := all
.SUFFIXES:
.DELETE_ON_ERROR:

include tests/lib/flags.mk

# ---- rooms and objects: by wildcard, no hand-kept list --------------------------------------------------------------

ROOMS := $(shell sed -n 's/^[0-9]* \([a-z]*\):.*/\1/p' agent/LAYERS)
uses = $(shell sed -n 's/^[0-9]* $(1): *//p' agent/LAYERS)
srcs = $(sort $(wildcard agent/$(1)/*.c agent/$(1)/*/*.c))
O := $(BUILD)/$(if $(filter none,$(SAN)),obj,obj-$(SAN))
objs = $(patsubst %.c,$(O)/%.o,$(call srcs,$(1)))
GEN := $(BUILD)/gen

AGENT_OBJS := $(foreach r,$(ROOMS),$(call objs,$(r)))
BIN := $(BUILD)/$(if $(filter none,$(SAN)),eucs-agent,eucs-agent-$(SAN))

.PHONY: all
all: $(BIN)

$(BIN): $(AGENT_OBJS) $(O)/gen/sinks.o $(O)/gen/controls.o
	@echo "  LINK  $@"
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

# Objects of other flags, another compiler or another version are built again.
ifeq ($(HAVE_LIBS),)
FLAGS_NOW := $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL)
ifneq ($(FLAGS_NOW),$(file <$(O)/flags))
$(shell mkdir -p $(O); [ -e $(O)/flags ] || touch -d @0 $(O)/flags.first)
$(file >$(O)/flags,$(FLAGS_NOW))
$(shell [ ! -e $(O)/flags.first ] || { touch -r $(O)/flags.first $(O)/flags; rm $(O)/flags.first; })
endif
endif
# (only when the same command line cleaned it away)
$(O)/flags:
	@$(shell mkdir -p $(@D))$(file >$@,$(FLAGS_NOW)):

$(O)/%.o: %.c $(O)/flags
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(O)/gen/%.o: $(GEN)/%.c $(O)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# ---- generated tables ---------------------------------------------------------------------------------------------------

SINKS := $(sort $(notdir $(patsubst %/,%,$(dir $(wildcard agent/sinks/*/*.c)))))
CONTROL_FILES := $(sort $(wildcard controls/*.yaml controls/*/*.yaml))

# A sink is a folder agent/sinks/NAME/NAME.c that exports `const struct ea_sink_ops ea_sink_NAME`.
# (A folder is newer than the table once a file was added or taken away.)
$(GEN)/sinks.c: $(wildcard agent/sinks/*/*.c) agent/sinks $(wildcard agent/sinks/*/) Makefile
	@mkdir -p $(@D)
	$(Q){ echo '/* generated from the folders of agent/sinks */'; echo '#include "sinks/sink.h"'; \
	  for s in $(SINKS); do echo "extern const struct ea_sink_ops ea_sink_$$s;"; done; \
	  echo 'const struct ea_sink_ops *const ea_sinks[] = {'; \
	  for s in $(SINKS); do echo "    &ea_sink_$$s,"; done; echo '    NULL};'; } > $@

# The catalogue and every control are also inside the binary, so that it runs without a folder of files.
$(GEN)/controls.c: $(CONTROL_FILES) $(sort $(dir $(CONTROL_FILES))) tests/lib/embed.py Makefile
	@mkdir -p $(@D)
	$(Q)$(PYTHON) tests/lib/embed.py $@ $(CONTROL_FILES)

# ---- unit tests: one binary per file, linked with the room and what it may use ---------------------------------------------

closure = $(sort $(1) $(foreach u,$(call uses,$(1)),$(u) $(call uses,$(u)) $(foreach w,$(call uses,$(u)),$(call uses,$(w)))))
unit_srcs = $(sort $(wildcard tests/unit/$(1)/test_*.c))
T ?=

define unit_rules
UNIT_BINS_$(1) := $$(patsubst tests/unit/$(1)/%.c,$(BUILD)/unit-$(SAN)/$(1)/%,$$(call unit_srcs,$(1)))
$(BUILD)/unit-$(SAN)/$(1)/%: tests/unit/$(1)/%.c $$(filter-out %/app/main.o,$$(foreach r,$$(call closure,$(1)),$$(call objs,$$(r)))) $$(if $$(filter sinks,$$(call closure,$(1))),$(O)/gen/sinks.o) $$(if $$(filter controls,$$(call closure,$(1))),$(O)/gen/controls.o)
	@mkdir -p $$(@D)
	@echo "  TEST  $$@"
	$$(Q)$$(CC) $$(CPPFLAGS_ALL) -Itests $$(CFLAGS_ALL) -MMD -MP -MT $$@ -DEA_TEST_DATA='"tests"' $$(LDFLAGS_ALL) -o $$@ $$< $$(filter %.o,$$^) $$(LIBS) -lcmocka
.PHONY: unit-$(1)
unit-$(1): $$(if $$(T),$(BUILD)/unit-$(SAN)/$(1)/$$(T),$$(UNIT_BINS_$(1)))
	$$(Q)tests/lib/run-unit.sh $$^
-include $$(wildcard $(BUILD)/unit-$(SAN)/$(1)/*.d)
endef
$(foreach r,$(ROOMS),$(eval $(call unit_rules,$(r))))

.PHONY: unit unit-bins
unit-bins: $(foreach r,$(ROOMS),$(UNIT_BINS_$(r)))
unit: $(foreach r,$(ROOMS),$(UNIT_BINS_$(r)))
	$(Q)tests/lib/run-unit.sh $^

-include $(wildcard $(O)/*/*/*.d $(O)/*/*/*/*.d $(O)/gen/*.d)

include tests/lib/targets.mk
