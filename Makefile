# SPDX-License-Identifier: Apache-2.0
#
# keygate: all check demo bench fuzz lint vm-shell install deb
#
# A room is a folder; <room>/*.c becomes $(O)/lib<room>.a. Programs: daemon/main.c -> keygated,
# cli/*.c -> keygate, cli/log/*.c -> keygate-log, attester/*.c -> keygate-attester.
# SAN=1 builds the same tree under AddressSanitizer and UBSan into build/san.

SHELL := /bin/bash
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules

CC := gcc
CLANG := clang-14
BPFTOOL := $(firstword $(wildcard /usr/sbin/bpftool /usr/local/sbin/bpftool) bpftool)
PREFIX ?= /usr
DESTDIR ?=
V ?= 0
Q := $(if $(filter 1,$(V)),,@)

O := build/$(if $(filter 1,$(SAN)),san,out)

PKGS := libnl-genl-3.0 libcrypto libssl jansson libcbor libconfuse libcurl zlib libbpf libmnl libcap-ng libseccomp libkeyutils
WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
	-Wformat=2 -Wpointer-arith -Wcast-qual -Wundef -Wwrite-strings -Wimplicit-fallthrough
HARD := -fPIE -fstack-protector-strong -fstack-clash-protection -fcf-protection -ftrivial-auto-var-init=zero \
	-fno-strict-aliasing -fno-delete-null-pointer-checks
# clang 14 has the zero pattern behind a second switch; later ones need it no more.
HARD += $(if $(findstring clang-14,$(CC)),-enable-trivial-auto-var-init-zero-knowing-it-will-be-removed-from-clang)
ifeq ($(SAN),1)
OPT := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
LDSAN := -fsanitize=address,undefined
else
OPT := -O2 -g -D_FORTIFY_SOURCE=2
LDSAN := -Wl,-z,relro,-z,now,-z,noexecstack
endif
# -isystem silences nothing of ours: only the libraries' own headers.
CPPFLAGS := -I. -I$(O) -Ibuild/gen -isystem /usr/include/libnl3 -D_GNU_SOURCE -DOPENSSL_API_COMPAT=30000 -DOPENSSL_NO_DEPRECATED
# What a distribution adds.
EXTRA_CFLAGS ?=
EXTRA_LDFLAGS ?=
CFLAGS := -std=gnu17 $(OPT) $(WARN) $(HARD) -pthread $(EXTRA_CFLAGS)
LDFLAGS := -pie -pthread $(LDSAN) $(EXTRA_LDFLAGS)
LIBS := -lssl -lcrypto -ljansson -lcbor -lconfuse -lcurl -lz -lhttp_parser -lbpf -lmnl -lnl-genl-3 -lnl-3 -lcap-ng -lseccomp -lkeyutils -lresolv

ROOMS := core attest ledger policy keyring transport
LIBROOMS := $(foreach r,policy keyring transport attest ledger core,$(O)/lib$(r).a)
PROGS := keygated keygate keygate-log keygate-attester

src = $(sort $(wildcard $(1)/*.c))
obj = $(patsubst %.c,$(O)/obj/%.o,$(1))

DAEMON_SRC := $(filter-out daemon/main.c,$(call src,daemon))
UNIT_SRC := $(sort $(wildcard tests/unit/test_$(if $(ROOM),$(ROOM)_)*.c))
UNIT := $(patsubst tests/unit/%.c,$(O)/tests/%,$(UNIT_SRC))
FUZZ := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))

have_prog = $(if $(wildcard $(1)),$(O)/bin/$(2))
BINS := $(call have_prog,daemon/main.c,keygated) $(call have_prog,cli/main.c,keygate) \
	$(call have_prog,cli/log/main.c,keygate-log) \
	$(call have_prog,attester/main.c,keygate-attester)

.PHONY: all clean build-deps
all: $(BINS)

build-deps:
	$(Q)packaging/install-build-deps

# ------------------------------------------------------------------ compile

$(O)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(if $(filter 0,$(V)),@echo "  CC      $@")
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

define room_rule
$(O)/lib$(1).a: $(call obj,$(call src,$(1)))
	@mkdir -p $$(@D)
	$$(Q)rm -f $$@ && ar rcs $$@ $$^
.PHONY: build-$(1)
build-$(1): $(O)/lib$(1).a
endef
$(foreach r,$(ROOMS),$(eval $(call room_rule,$(r))))

$(O)/libdaemon.a: $(call obj,$(DAEMON_SRC))
	@mkdir -p $(@D)
	$(Q)rm -f $@ && ar rcs $@ $^
$(O)/libattester.a: $(call obj,$(filter-out attester/main.c,$(call src,attester)))
	@mkdir -p $(@D)
	$(Q)rm -f $@ && ar rcs $@ $^
$(O)/libcli.a: $(call obj,$(filter-out cli/main.c,$(call src,cli)))
	@mkdir -p $(@D)
	$(Q)rm -f $@ && ar rcs $@ $^
.PHONY: build-daemon build-attester build-cli build-bpf
build-daemon: $(O)/bin/keygated
build-attester: $(O)/bin/keygate-attester
build-cli: $(O)/bin/keygate $(O)/bin/keygate-log
build-bpf: build/gen/gate.skel.h

link = $(if $(filter 0,$(V)),@echo "  LD      $@";) mkdir -p $(@D) && \
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o %.a,$^) $(LIBS)

$(O)/bin/keygated: $(call obj,daemon/main.c) $(O)/libdaemon.a $(LIBROOMS)
	@$(link)
$(O)/bin/keygate: $(call obj,cli/main.c) $(O)/libcli.a $(LIBROOMS)
	@$(link)
$(O)/bin/keygate-log: LIBS += -lmicrohttpd
$(O)/bin/keygate-log: $(call obj,$(call src,cli/log)) $(O)/libledger.a $(O)/libcore.a
	@$(link)
$(O)/bin/keygate-attester: $(call obj,attester/main.c) $(O)/libattester.a $(O)/libattest.a $(O)/libcore.a
	@$(link)

# The end-to-end tests' cheating attester.
$(O)/tests/liar $(O)/tests/incident: $(O)/tests/%: $(O)/obj/tests/e2e/%.o $(O)/libattester.a $(O)/libattest.a \
		$(O)/libcore.a
	@$(link)

# keygated as of another version whose maps are laid out differently: the pins bear another number.
$(O)/obj/abi/%.o: %.c $(call obj,$(call src,daemon))
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -DGATE_ABI=9999 -c -o $@ $<
$(O)/tests/keygated-abi: $(O)/obj/abi/daemon/intercept_pin.o $(O)/obj/abi/daemon/intercept_guard.o \
		$(O)/obj/abi/daemon/intercept_others.o $(call obj,daemon/main.c) $(O)/libdaemon.a $(LIBROOMS)
	@$(link)

# What the end-to-end tests load into programs.
$(O)/tests/meddle.so: tests/e2e/meddle.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -fPIC -shared -o $@ $<

# Every way out of a host that a program has.
$(O)/tests/ways: $(call obj,tests/e2e/ways.c)
	@$(link)

# The appraisal of evidence beside its bare signature checks.
$(O)/tests/bench-evidence: $(call obj,tests/bench/evidence.c tests/bench/floor.c) $(O)/libattest.a $(O)/libcore.a
	@$(link)
# The same for a proof of inclusion.
$(O)/tests/bench-proof: $(call obj,tests/bench/proof.c) $(O)/libledger.a $(O)/libcore.a
	@$(link)
# A connection by a lease beside one by a certificate.
$(O)/tests/bench-lease: $(call obj,tests/bench/lease.c) $(O)/libattester.a $(O)/libtransport.a \
		$(O)/libattest.a $(O)/libcore.a
	@$(link)
# A log of many leaves; it runs the programs and is linked with nothing of them.
$(O)/tests/bench-log: $(call obj,tests/bench/log.c)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^
# Very many rules, and what they cost those that they are not about.
$(O)/tests/bench-rules: $(call obj,tests/bench/rules.c) $(O)/libdaemon.a $(LIBROOMS)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS) -lcmocka
BENCHES := evidence lease proof log rules

# ---------------------------------------------------------------------- bpf

# Their line information goes into the program: without the path of where it was built.
BPF_CFLAGS := -target bpf -mcpu=v3 -O2 -g -fdebug-prefix-map=$(CURDIR)=. -Wall -Wextra -Werror -I. -D__TARGET_ARCH_x86 \
	-idirafter /usr/include/$(shell gcc -dumpmachine)

build/gen/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h)
	@mkdir -p $(@D)
	@echo "  BPF     $@"
	$(Q)$(CLANG) $(BPF_CFLAGS) -c -o $@ $< && llvm-strip-14 -g $@
build/gen/%.skel.h: build/gen/%.bpf.o
	$(Q)echo '/* NOLINTBEGIN: generated */' >$@ && \
		$(BPFTOOL) gen skeleton $< name $(subst -,_,$*)_bpf >>$@ && echo '/* NOLINTEND */' >>$@
BPF_SKELS := $(patsubst bpf/%.bpf.c,build/gen/%.skel.h,$(wildcard bpf/*.bpf.c))
# Whatever includes a skeleton needs it first; the daemon and its tests do.
$(call obj,$(call src,daemon) $(wildcard tests/unit/test_daemon_*.c tests/unit/test_bpf_*.c)): | $(BPF_SKELS)

# -------------------------------------------------------------------- tests

# A test links the room that its name begins with and what that room may know, nothing else; so
# it can be built while other rooms can't.
LINK_core := core
LINK_attest := attest core
# On the evidence of simulated platforms.
LINK_attest_sim := attester $(LINK_attest)
LINK_ledger := ledger core
LINK_policy := policy attest ledger core
LINK_policy_sim := attester $(LINK_policy)
LINK_keyring := keyring core
LINK_transport := transport attest core
LINK_daemon := daemon policy keyring transport attest ledger core
LINK_bpf := $(LINK_daemon)
LINK_cli := cli policy transport attest ledger core
LINK_cli_sim := attester $(LINK_cli)
LINK_attester := attester policy attest ledger core
# Both ends of a connection.
LINK_ends := attester transport policy ledger keyring attest core

link_test = mkdir -p $(@D) && $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)
define test_rule
$(O)/tests/test_$(1)_%: $(O)/obj/tests/unit/test_$(1)_%.o $(LINK_$(1):%=$(O)/lib%.a)
	$$(Q)$$(link_test) -lcmocka
$(O)/fuzz/$(1)_%: $(O)/obj/tests/fuzz/fuzz_$(1)_%.o $(LINK_$(1):%=$(O)/lib%.a)
	$$(Q)$$(link_test)
endef
$(foreach r,$(ROOMS) attest_sim policy_sim cli_sim daemon bpf cli attester ends,$(eval $(call test_rule,$(r))))

.PHONY: unit unit-run
# Unit tests always run under the sanitizers. ROOM=attest limits them to one room.
unit:
	$(Q)$(MAKE) SAN=1 unit-run
unit-run: $(UNIT)
	$(Q)tests/run-unit $(UNIT)

include tests/tests.mk

-include $(shell find $(O)/obj -name '*.d' 2>/dev/null)

clean:
	rm -rf build
