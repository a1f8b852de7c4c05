/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries of a watched log: whatever is in one, it is judged within bounds, what is a statement of
 * a watched name is alerted, and its alert is expected once its leaf hash is.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include "policy/policy.h"

static char names[2][WATCH_NAME_MAX] = {"pay*", "service"};
static struct policy_expected known = {.len = HASH_LEN};
static struct policy_ledger ledger = {.watch = names, .watches = 2, .expected = &known};
static const struct policy policy = {.ledger = &ledger, .ledgers = 1};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes entry = {data, size};
	struct policy_alert a;
	struct checks checks = {0};
	struct statement s;
	int ret;

	if (size > ENTRY_MAX)
		return 0;
	ledger.expecteds = 0;
	ret = policy_watch(&policy, 0, 5, entry, &a);
	MUST(ret == 0 || ret == 1);
	if (ledger_statement_parse(entry, 0, &s, &checks) == 0)
		MUST(ret == (!strncmp(s.subject, "pay", 3) || !strcmp(s.subject, "service")));
	if (!ret)
		return 0;
	MUST(a.index == 5 && a.code[0] && a.launches <= STATEMENT_TEES_MAX);
	MUST(memchr(a.subject, 0, sizeof(a.subject)) && memchr(a.version, 0, sizeof(a.version)));
	MUST(!policy_alert_expected(&policy, 0, &a));
	memcpy(known.value, a.leaf.v, HASH_LEN);
	ledger.expecteds = 1;
	MUST(policy_alert_expected(&policy, 0, &a));
	MUST(policy_watch(&policy, 0, 5, entry, &a) == 0);
	return 0;
}
