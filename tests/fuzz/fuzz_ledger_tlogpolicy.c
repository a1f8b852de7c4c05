/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tlog-policies. What parses has members that exist and stand before their groups, a quorum that
 * all witnesses together meet, and that none of them meet only if it is "none".
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include "ledger/ledger.h"

static void shape(const struct tlog_policy *p)
{
	bool seen[TLOG_KEYS_MAX];

	MUST(p->logs <= TLOG_KEYS_MAX && p->witnesses <= TLOG_KEYS_MAX);
	MUST(p->groups <= TLOG_GROUPS_MAX && p->origin[0] == '\0');
	for (uint32_t i = 0; i < p->groups; i++) {
		const struct tlog_group *g = &p->group[i];

		MUST(g->name[0] && g->members >= 1 && g->k >= 1 && g->k <= g->members);
		for (uint32_t j = 0; j < g->members; j++)
			MUST(g->member[j] < p->witnesses ||
			     (g->member[j] >= TLOG_KEYS_MAX && g->member[j] < TLOG_KEYS_MAX + i));
	}
	MUST(p->quorum == -1 || (p->quorum >= 0 && (uint32_t)p->quorum < p->witnesses) ||
	     (p->quorum >= TLOG_KEYS_MAX && (uint32_t)p->quorum < TLOG_KEYS_MAX + p->groups));
	memset(seen, 1, sizeof(seen));
	MUST(ledger_quorum(p, seen));
	memset(seen, 0, sizeof(seen));
	MUST(ledger_quorum(p, seen) == (p->quorum == -1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tlog_policy policy;
	const char *why = NULL;
	uint32_t line = 0;

	if (ledger_policy_parse((struct bytes){data, size}, &policy, &line, &why) == 0) {
		MUST(!why);
		shape(&policy);
	} else {
		MUST(why && line <= size + 1);
		MUST(policy.logs == 0 && policy.quorum == 0);
	}
	return 0;
}
