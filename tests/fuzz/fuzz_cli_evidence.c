/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that are to prove that a log forked: whatever is read stays in bounds, and without the
 * signatures of the log nothing is ever proved.
 */
#include "tests/fuzz/fuzz.h"

#include "cli/evidence.h"

#define LOG "log.example/x+eb31814a+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tlog_policy policy;
	static struct ledger_fork fork;
	struct checks checks = {0};
	struct vkey log;
	json_t *o;

	if (!policy.logs) {
		MUST(ledger_vkey_parse(bytes_str(LOG), &log) == 0);
		MUST(ledger_policy_flat(&policy, &log, 1, NULL, 0, 0) == 0);
	}
	o = evidence_parse((struct bytes){data, size}, &fork);
	if (!o)
		return 0;
	MUST(fork.proof_n <= PATH_MAX_HASHES && fork.from <= fork.to);
	MUST(fork.seen.n <= NOTE_MAX && fork.offered.n <= NOTE_MAX);
	MUST(ledger_judge_fork(&fork, &policy, &checks) == 0);
	MUST(checks_overall(&checks) != CHECK_PASS);
	json_decref(o);
	return 0;
}
