/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints: the text, written again, is how the input begins; and under the keys of the seeds
 * only what the seeds' log signed passes, with all its cosignatures judged.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include "ledger/ledger.h"

/* The log and the witness of the seeds (RFC 8032 7.1, test 1). */
#define LOG     "log.example/x+eb31814a+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
#define WITNESS "w.example+4a98ebc3+BNdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
#define SIGNED  "log.example/x\n1\nDSfif3gnzNdFGZ6Os6avNo4QZK9Crp+DdA6YEh4rwCU=\n"

static void body(struct bytes in)
{
	struct buf out = buf_make(NOTE_MAX);
	struct checkpoint cp;

	if (ledger_checkpoint_parse(in, &cp) == 0) {
		MUST(ledger_checkpoint_format(&cp, &out) == 0);
		MUST(out.n <= in.n && memcmp(out.p, in.p, out.n) == 0);
		MUST(cp.size <= INT64_MAX && cp.origin[0]);
	}
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tlog_policy policy;
	static const int64_t ages[] = {-1, 0, 3600, INT64_MAX};
	struct bytes in = {data, size};
	struct vkey log;
	struct vkey witness;

	if (!policy.logs) {
		MUST(ledger_vkey_parse(bytes_str(LOG), &log) == 0);
		MUST(ledger_vkey_parse(bytes_str(WITNESS), &witness) == 0);
		MUST(ledger_policy_flat(&policy, &log, 1, &witness, 1, 1) == 0);
	}
	body(in);
	for (size_t i = 0; i < sizeof(ages) / sizeof(ages[0]); i++) {
		struct ledger_time t = {1800000000, ages[i]};
		struct checks checks = {0};
		struct ledger_head head;

		MUST(ledger_verify_checkpoint(in, &policy, &t, &head, &checks) == 0);
		MUST(checks.n > 0 && !checks.overflow);
		if (checks_overall(&checks) == CHECK_PASS)
			MUST(size > strlen(SIGNED) && memcmp(data, SIGNED, strlen(SIGNED)) == 0);
	}
	return 0;
}
