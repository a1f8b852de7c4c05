# SPDX-License-Identifier: Apache-2.0
# The test targets: lint, arrows, fuzz, e2e, bench, check, demo, install.

# ------------------------------------------------------------------- arrows

.PHONY: arrows
# Which room may know which; the pure ones are looked at as they are built for the programs.
arrows:
	$(Q)$(MAKE) SAN=0 $(foreach r,attest ledger policy,build-$(r))
	$(Q)tests/arrows
