# SPDX-License-Identifier: Apache-2.0
# The test targets: lint, arrows, fuzz, e2e, bench, check, demo, install.

# ------------------------------------------------------------------- arrows

.PHONY: arrows
# Which room may know which; all are looked at as they are built for the programs.
arrows:
	$(Q)$(MAKE) SAN=0 all
	$(Q)tests/arrows

# --------------------------------------------------------------------- lint

# A stamp a source in build/lint, so that only what changed is looked at again. clang's own warnings, the
# same that gcc is asked for, are among what clang-tidy says.
LINT_DIRS := core attest ledger policy keyring transport bpf daemon cli attester tests
LINT_FILES := $(sort $(shell find $(LINT_DIRS) -name '*.[ch]'))
LINT_C := $(filter-out bpf/%,$(filter %.c,$(LINT_FILES)))
TIDY := clang-tidy-14 --quiet --warnings-as-errors='*'
TIDY_FLAGS := -I. -Ibuild/gen -isystem /usr/include/libnl3 -D_GNU_SOURCE -DOPENSSL_API_COMPAT=30000 -DOPENSSL_NO_DEPRECATED \
	-std=gnu17 $(filter-out -Werror,$(WARN))
TIDY_STAMPS := $(patsubst %,build/lint/tidy/%.ok,$(LINT_C) $(wildcard bpf/*.bpf.c))

.PHONY: lint lint-format lint-tidy lint-cppcheck lint-shell
lint:
	$(Q)tests/run-lint

lint-format:
	$(Q)clang-format-14 --dry-run -Werror $(LINT_FILES)

lint-tidy: $(TIDY_STAMPS)
# $(1): flags. The compiler writes what the stamp depends on; clang-tidy counts what it hides.
tidy = mkdir -p $(@D) && clang-14 $(1) -MM -MP -MT $@ -MF $(@:.ok=.d) $< && \
	{ $(TIDY) $< -- $(1) 2>$(@:.ok=.log) || { cat $(@:.ok=.log); exit 1; }; } && touch $@
$(filter build/lint/tidy/daemon/% build/lint/tidy/tests/%,$(TIDY_STAMPS)): | $(BPF_SKELS)
build/lint/tidy/%.c.ok: %.c .clang-tidy tests/.clang-tidy
	@echo "  TIDY    $<"
	$(Q)$(call tidy,$(TIDY_FLAGS))
build/lint/tidy/bpf/%.c.ok: bpf/%.c .clang-tidy
	@echo "  TIDY    $<"
	$(Q)$(call tidy,$(BPF_CFLAGS))
-include $(TIDY_STAMPS:.ok=.d)

# Of the product only: what tests do on purpose is what it warns of.
lint-cppcheck:
	@mkdir -p build/lint/cppcheck
	$(Q)cppcheck --quiet --enable=warning,style,performance,portability --error-exitcode=1 \
		--std=c11 --library=posix -D_GNU_SOURCE -D__x86_64__ -I. -j2 \
		'-DLIBBPF_OPTS(type, name, ...)=struct type name = {0}' \
		--inline-suppr --suppressions-list=tests/cppcheck.txt \
		--cppcheck-build-dir=build/lint/cppcheck $(filter-out tests/%,$(LINT_C))

# Whatever says that a shell reads it.
lint-shell:
	$(Q)grep -rlIE '^#!/(bin|usr/bin)/(env )?(ba|da)?sh' .ci packaging tests attester | \
		xargs -r shellcheck -x

# --------------------------------------------------------------------- fuzz

# make fuzz [SECONDS=60] [TARGET=name]: everything again under libFuzzer and the sanitizers, each target
# for that long on a processor.
SECONDS ?= 60
FUZZ_RUN := $(if $(TARGET),$(filter $(TARGET),$(FUZZ)),$(FUZZ))
FUZZ_ARGS := --no-print-directory CC=$(CLANG) O=build/fuzz LDSAN=-fsanitize=fuzzer,address,undefined \
	OPT='-O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer'

.PHONY: fuzz fuzz-regress fuzz-build
fuzz:
	$(Q)$(if $(FUZZ_RUN),,$(error no fuzz target $(TARGET)))$(MAKE) $(FUZZ_ARGS) fuzz-build
	$(Q)tests/run-fuzz time $(SECONDS) $(FUZZ_RUN)
fuzz-regress:
	$(Q)$(MAKE) $(FUZZ_ARGS) fuzz-build
	$(Q)tests/run-fuzz regress $(FUZZ_RUN)
fuzz-build: $(patsubst %,$(O)/fuzz/%,$(FUZZ_RUN))

# -------------------------------------------------------------------- whole

.PHONY: check docs-check demo bench vm-shell install
check:
	$(Q)MAKE='$(MAKE)' tests/check
docs-check: all
	$(Q)tests/docs-check
	$(Q)tests/man-check
demo bench:
	$(Q)packaging/install-build-deps
	$(Q)$(MAKE) all $(O)/tests/liar $(O)/tests/incident $(O)/tests/meddle.so $(BENCHES:%=$(O)/tests/bench-%)
	$(Q)tests/$@/run
vm-shell: all
	$(Q)tests/vm/shell

# The daemons go to sbin, the tools to bin. The units name /usr: PREFIX is put in its place.
SBIN := keygated keygate-attester
UNITS := keygated.service keygate-arm.service keygate-attester.service
MANS := $(wildcard docs/man/*.[1-8])
COMPLETIONS := $(wildcard packaging/*.bash-completion)
UNITDIR ?= $(PREFIX)/lib/systemd/system
install: all
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(UNITDIR)
	$(foreach b,$(BINS),install -m 755 $(b) \
		$(DESTDIR)$(PREFIX)/$(if $(filter $(SBIN),$(notdir $(b))),sbin,bin)/ &&) true
	$(foreach u,$(UNITS),sed 's,/usr/\(s\?bin/keygate\),$(PREFIX)/\1,' packaging/$(u) \
		>$(DESTDIR)$(UNITDIR)/$(u) && chmod 644 $(DESTDIR)$(UNITDIR)/$(u) &&) true
	install -D -m 644 packaging/sysusers.d/keygate.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/keygate.conf
	install -D -m 644 packaging/modules-load.d/keygate.conf \
		$(DESTDIR)$(PREFIX)/lib/modules-load.d/keygate.conf
	$(foreach m,$(MANS),install -D -m 644 -t \
		$(DESTDIR)$(PREFIX)/share/man/man$(subst .,,$(suffix $(m))) $(m) &&) true
	$(foreach c,$(COMPLETIONS),install -D -m 644 $(c) \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/$(basename $(notdir $(c))) &&) true
	install -d -m 755 $(DESTDIR)/etc/keygate $(DESTDIR)/etc/keygate/policy.d
	[ -e $(DESTDIR)/etc/keygate/keygate.conf ] || \
		install -m 644 packaging/keygate.conf $(DESTDIR)/etc/keygate/keygate.conf
	install -d -m 700 $(DESTDIR)/var/lib/keygate

# ---------------------------------------------------------------------- deb

.PHONY: deb
# Debian packages, in build/deb, of the tree as it stands.
deb:
	$(Q)packaging/build-deb build/deb
