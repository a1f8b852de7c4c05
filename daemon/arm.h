/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arming without keygated: the kernel half put in place with a policy's table and no listener, so
 * that whatever is gated is refused until keygated runs, or if it never does. For early at boot.
 * The policy is that of the files; if they are wrong, the last one that was in force, which
 * keygated keeps in its state for this.
 */
#ifndef KEYGATE_DAEMON_ARM_H
#define KEYGATE_DAEMON_ARM_H

#include "daemon/bundle.h"

/* STATE/policy.last: the bundle, without collateral. */
#define ARM_KEPT "policy.last"

struct gate_options;

/* The exit status: 0 when the host is armed. What happened is in the audit record. */
int arm_without_keygated(const struct gate_options *opt);
/* Keeps a policy that is in force. 0 or -errno; the one before stays then. */
int arm_keep(const struct bundle *b, const char *path);

#endif
