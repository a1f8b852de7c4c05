# SPDX-License-Identifier: Apache-2.0
# The test targets: lint, arrows, fuzz, e2e, bench, check, demo, install.
