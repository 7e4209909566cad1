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
#   make controls-test  lint all controls and run their cases
#   make deps         install the Debian packages needed
#   make clean        remove build/
#
# Variables: BUILD=build (another output folder), CC=gcc|clang, SAN=address|thread|none, ERR=1 (-Werror), V=1 (show commands)

BUILD ?= build
CC := $(if $(filter default,$(origin CC)),gcc,$(CC))
SAN ?= none
ERR ?= 0
V ?= 0
Q := $(if $(filter 1,$(V)),,@)
PYTHON := $(if $(wildcard /usr/bin/python3),/usr/bin/python3,python3)
FUZZ_SECONDS ?= 20
VERSION := $(shell cat agent/VERSION)

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

$(O)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(O)/gen/%.o: $(GEN)/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# ---- generated tables ---------------------------------------------------------------------------------------------------

SINKS := $(sort $(notdir $(patsubst %/,%,$(dir $(wildcard agent/sinks/*/*.c)))))
CONTROL_FILES := $(sort $(wildcard controls/*.yaml controls/*/*.yaml))

# A sink is a folder agent/sinks/NAME/NAME.c that exports `const struct ea_sink_ops ea_sink_NAME`.
$(GEN)/sinks.c: $(wildcard agent/sinks/*/*.c) Makefile
	@mkdir -p $(@D)
	$(Q){ echo '/* generated from the folders of agent/sinks */'; echo '#include "sinks/sink.h"'; \
	  for s in $(SINKS); do echo "extern const struct ea_sink_ops ea_sink_$$s;"; done; \
	  echo 'const struct ea_sink_ops *const ea_sinks[] = {'; \
	  for s in $(SINKS); do echo "    &ea_sink_$$s,"; done; echo '    NULL};'; } > $@

# The catalogue and every control are also inside the binary, so that it runs without a folder of files.
$(GEN)/controls.c: $(CONTROL_FILES) tests/lib/embed.py Makefile
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

.PHONY: unit
unit: $(foreach r,$(ROOMS),$(UNIT_BINS_$(r)))
	$(Q)tests/lib/run-unit.sh $^

-include $(wildcard $(O)/*/*/*.d $(O)/*/*/*/*.d $(O)/gen/*.d)

include tests/lib/targets.mk
