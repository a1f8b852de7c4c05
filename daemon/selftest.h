/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this kernel can be trusted with, found out by doing it: bytes through kTLS on a loopback
 * connection, for each cipher suite, and a change of keys. Run by gate before anything else touches
 * the kernel.
 */
#ifndef KEYGATE_DAEMON_SELFTEST_H
#define KEYGATE_DAEMON_SELFTEST_H

#include <stdbool.h>

struct selftest {
	const char *id; /* "ktls.aes-128-gcm" ..., "ktls.rekey" */
	bool ok;
	char detail[160]; /* what was done, or the step and error, and what to load */
};

/* The last one: without it sessions end at a KeyUpdate, and before their keys are used up. */
enum { SELFTEST_REKEY = 3, SELFTESTS };

/* Fills all; true when everything passed that keygate can't do without, which is all but the last.
 * As root the kernel loads its tls module by itself. */
bool selftest_run(struct selftest out[static SELFTESTS]);

#endif
