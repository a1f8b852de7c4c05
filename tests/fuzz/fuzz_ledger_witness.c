/* SPDX-License-Identifier: Apache-2.0 */
/*
 * add-checkpoint requests: whatever is sent, a witness cosigns only what the seeds' log signed,
 * and never steps back.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include "ledger/ledger.h"

/* The log of the seeds, and the key of both (RFC 8032 7.1, test 1). */
#define LOG    "log.example/x+eb31814a+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
#define SECRET "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
#define SIGNED "\nlog.example/x\n1\nDSfif3gnzNdFGZ6Os6avNo4QZK9Crp+DdA6YEh4rwCU=\n\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tlog_policy logs;
	static struct witness_self self = {"w.example", NULL, 1800000000};
	struct ledger_last last = {0};
	struct buf body = buf_make(WITNESS_REPLY_MAX);
	struct witness_request r;
	struct witness_answer a;
	uint8_t raw[32];

	if (!self.key) {
		MUST(ledger_vkey_parse(bytes_str(LOG), &logs.log[0]) == 0);
		logs.logs = 1;
		logs.quorum = -1;
		MUST(hex_decode(bytes_str(SECRET), raw, sizeof(raw)) == 0);
		self.key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, raw, sizeof(raw));
		MUST(self.key);
	}
	if (ledger_witness_parse((struct bytes){data, size}, &r) == 0) {
		MUST(r.proof_n <= PATH_MAX_HASHES && r.note.n <= NOTE_MAX);
		MUST(ledger_witness_step(&r, &logs, &last, &self, &a, &body) == 0);
		MUST(a.status >= 200 && a.status < 500 && body.n > 0);
		if (a.status == 200)
			MUST(memmem(data, size, SIGNED, strlen(SIGNED)));
		/* It remembers a larger tree: nothing that is sent is cosigned. */
		last = (struct ledger_last){.known = true, .cp = r.cp};
		last.cp.size = INT64_MAX;
		if (r.cp.size < INT64_MAX) {
			MUST(ledger_witness_step(&r, &logs, &last, &self, &a, &body) == 0);
			MUST(a.status != 200);
		}
	}
	buf_free(&body);
	return 0;
}
