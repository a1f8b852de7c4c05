/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signed notes. What parses is made of exactly the bytes that came in, and nothing passes for a
 * key whose private half nobody has used.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include "ledger/ledger.h"

/* RFC 8032 7.1, test 2: not among the seeds' keys. */
#define VKEY "fuzz.example+fc66e362+AT1AF8PoQ4lakrcKp00bfrycmCzPLsSWjMDNVfEq9GYM"

static void parts(struct bytes in, const struct note *n)
{
	const char *dash = "\xe2\x80\x94 ";

	MUST(n->sigs >= 1 && n->sigs <= NOTE_SIGS_MAX);
	MUST(n->text.p == in.p && n->text.n > 0 && n->text.n + 1 < in.n);
	MUST(n->text.p[n->text.n - 1] == '\n' && in.p[n->text.n] == '\n');
	MUST(memcmp(in.p + n->text.n + 1, dash, strlen(dash)) == 0);
	for (uint32_t i = 0; i < n->sigs; i++) {
		MUST(n->sig[i].name.p > in.p + n->text.n && n->sig[i].name.n > 0);
		MUST(n->sig[i].name.p + n->sig[i].name.n < in.p + in.n);
		MUST(n->sig[i].sig_len <= sizeof(n->sig[i].sig));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tlog_policy policy;
	static struct note note;
	struct bytes in = {data, size};
	struct checks checks = {0};
	struct bytes text;
	struct vkey k;

	if (!policy.logs) {
		MUST(ledger_vkey_parse(bytes_str(VKEY), &k) == 0);
		MUST(ledger_policy_flat(&policy, &k, 1, NULL, 0, 0) == 0);
	}
	if (ledger_note_parse(in, &note) == 0)
		parts(in, &note);
	MUST(ledger_verify_note(in, &policy, &text, &checks) == 0);
	MUST(checks_overall(&checks) == CHECK_FAIL && text.n == 0);
	return 0;
}
