/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tlog-proofs: what parses comes out again as it was; and with the keys of the seeds a proof
 * passes only for what the seeds' log signed.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include "ledger/ledger.h"

/* The log and the witness of the seeds (RFC 8032 7.1, test 1). */
#define LOG     "log.example/x+eb31814a+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
#define WITNESS "w.example+4a98ebc3+BNdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
#define SIGNED  "\n\nlog.example/x\n1\nDSfif3gnzNdFGZ6Os6avNo4QZK9Crp+DdA6YEh4rwCU=\n\n"

static void both_ways(struct bytes in)
{
	struct buf out = buf_make(TLOG_PROOF_MAX);
	struct tlog_proof p;

	if (ledger_proof_parse(in, &p) == 0) {
		MUST(p.path_n <= PATH_MAX_HASHES && p.checkpoint.n > 0);
		MUST(ledger_proof_format(&p, &out) == 0);
		/* An extra line that holds nothing is not written again. */
		if (!memmem(in.p, in.n, "extra \n", 7))
			MUST(bytes_equal(buf_view(&out), in));
	}
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tlog_policy policy;
	struct ledger_time t = {1800000000, 3600};
	struct bytes in = {data, size};
	struct checks checks = {0};
	struct ledger_head head;
	struct vkey log;
	struct vkey witness;

	if (!policy.logs) {
		MUST(ledger_vkey_parse(bytes_str(LOG), &log) == 0);
		MUST(ledger_vkey_parse(bytes_str(WITNESS), &witness) == 0);
		MUST(ledger_policy_flat(&policy, &log, 1, &witness, 1, 1) == 0);
	}
	both_ways(in);
	MUST(ledger_verify_proof(in, bytes_str("leaf"), &policy, &t, &head, &checks) == 0);
	if (checks_overall(&checks) == CHECK_PASS)
		MUST(memmem(data, size, SIGNED, strlen(SIGNED)));
	checks = (struct checks){0};
	MUST(ledger_verify_proof(in, bytes_str("another"), &policy, &t, &head, &checks) == 0);
	MUST(checks_overall(&checks) == CHECK_FAIL);
	return 0;
}
