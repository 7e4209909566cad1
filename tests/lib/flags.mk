# Compiler and linker flags; every flag that a compiler may lack is probed once.
comma := ,
probe = $(shell $(CC) $(1) -Werror -x c -c /dev/null -o /dev/null 2>/dev/null && echo '$(1)')

# goals that compile nothing themselves, or not yet
ifeq ($(filter-out help clean deps run,$(or $(MAKECMDGOALS),all)),)
HAVE_LIBS := skip
endif
ifeq ($(HAVE_LIBS),)
# zlib is optional: with it the informer store keeps objects compressed (libwebsockets-dev brings it)
ZLIB := $(shell pkg-config --exists zlib 2>/dev/null && echo zlib)
PKGS := libcurl libcjson yaml-0.1 libwebsockets openssl libpcre2-8 $(ZLIB)
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null) $(if $(ZLIB),-DEA_HAVE_ZLIB=1)
PKG_LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
PROBED := $(call probe,-ftrivial-auto-var-init=zero) $(call probe,-fstack-clash-protection) $(call probe,-fcf-protection)
endif

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wundef -Wpointer-arith -Wwrite-strings \
	-Wno-unused-parameter -Wno-missing-field-initializers
CPPFLAGS_ALL = -Iagent -D_GNU_SOURCE -DEA_VERSION='"$(VERSION)"' $(if $(filter none,$(SAN)),-D_FORTIFY_SOURCE=2) $(PKG_CFLAGS) $(CPPFLAGS)
CFLAGS_ALL = -std=gnu17 -O2 -g -fPIE -fstack-protector-strong -fno-strict-aliasing -fvisibility=hidden -pthread $(WARN) $(PROBED) \
	$(if $(filter 1,$(ERR)),-Werror) $(SAN_FLAGS) $(CFLAGS)
LDFLAGS_ALL = -pie -Wl,-z,relro,-z,now,-z,noexecstack -pthread $(LDFLAGS)
LIBS = $(PKG_LIBS) -lm

SAN_FLAGS_none :=
SAN_FLAGS_address := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
SAN_FLAGS_thread := -fsanitize=thread -fno-omit-frame-pointer
SAN_FLAGS_fuzz := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
SAN_FLAGS = $(SAN_FLAGS_$(SAN))
