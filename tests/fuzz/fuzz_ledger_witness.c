/* SPDX-License-Identifier: Apache-2.0 */
/*
 * add-checkpoint. Requests: whatever is sent, a witness cosigns only what the seeds' log signed,
 * and never steps back. Answers: whatever is sent, a log takes only lines of its witness that hold.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include "ledger/ledger.h"

/* The log of the seeds, and the key of both (RFC 8032 7.1, test 1). */
#define LOG    "log.example/x+eb31814a+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
#define SECRET "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
#define HEAD \
	"log.example/x\n1\nDSfif3gnzNdFGZ6Os6avNo4QZK9Crp+DdA6YEh4rwCU=\n\n" \
	"\xe2\x80\x94 log.example/x 6zGBSqXtHHyhkOHhuunn3UKTdhxkz2f8B82CoMXByzKQvn2OCbava5gBK0pnfy6M" \
	"dH+Xe1pxff8p8KyNPRDQqR5dswk=\n"
/* Its witness's, of 2027-01-15; the one of the clock below. */
#define COSIGNATURE \
	"SpjrwwAAAABrSdIA1W1NhaJyP8veryMrUyZm8lz9abU5VxhISJKfPV8yh0lh/+Yx5Y0ePzxewkGOR2RD4E3Lphs42zf1A0+Nzj1oDQ=="
#define SIGNED "\nlog.example/x\n1\nDSfif3gnzNdFGZ6Os6avNo4QZK9Crp+DdA6YEh4rwCU=\n\n"

/* What is taken of an answer about the seeds' head is its witness's word for that head. */
static void answer(struct bytes reply, const struct witness_self *self)
{
	static const char note[] = HEAD;
	static const struct ledger_time t = {1800000000, 60};
	struct buf lines = buf_make(WITNESS_ANSWER_MAX);
	struct checks c = {0};
	struct vkey k;
	uint64_t n;

	MUST(ledger_vkey_of(self->key, self->name, NOTE_COSIGNATURE, &k) == 0);
	MUST(ledger_witness_reply(reply, bytes_str(note), &k, &t, &lines, &c) == 0);
	MUST((lines.n > 0) == (checks_overall(&c) == CHECK_PASS));
	MUST(lines.n == 0 || memmem(reply.p, reply.n, COSIGNATURE, strlen(COSIGNATURE)));
	if (ledger_witness_size_parse(reply, &n) == 0)
		MUST(n <= INT64_MAX && reply.n <= 20);
	buf_free(&lines);
}

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
	answer((struct bytes){data, size}, &self);
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
