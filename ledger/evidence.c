/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence of a fork, judged by anybody: two heads that one log signed and that can't both be of a
 * tree that only grows. Of one size, two roots are enough. Of two sizes, hashes are needed that
 * lead to the larger root and show that its tree begins otherwise than the smaller head says. Knows
 * nothing of who noticed it, or how.
 */
#include "ledger/ledger.h"

#include <inttypes.h>
#include <string.h>

/* True when one of the policy's logs signed it. */
static int signed_head(const char *which, struct bytes note, const struct tlog_policy *policy,
                       struct checkpoint *out, struct checks *checks)
{
	const struct ledger_time any = {VERDICT_FOREVER, -1};
	struct ledger_head head;
	struct checks made = {0};
	const struct check *why;
	int ret = ledger_verify_checkpoint(note, policy, &any, &head, &made);

	if (ret)
		return ret;
	*out = head.cp;
	/* What the witnesses say of it is not asked: it is set once the log's signature held. */
	if (policy->logs && head.cp.origin[0]) {
		check_add(checks, "ledger.log-signature", CHECK_PASS,
		          "%s: size %" PRIu64 " of \"%s\"", which, head.cp.size, head.cp.origin);
		return 1;
	}
	why = checks_first(&made, CHECK_FAIL);
	check_add(checks, "ledger.log-signature",
	          !why && checks_first(&made, CHECK_UNAVAILABLE) ? CHECK_UNAVAILABLE : CHECK_FAIL,
	          "%s: %s", which, why ? why->detail : "no log of the policy signed it");
	return 0;
}

static const char *contradiction(const struct ledger_fork *f, const struct checkpoint *a,
                                 const struct checkpoint *b)
{
	const struct checkpoint *small = a->size < b->size ? a : b;
	const struct checkpoint *large = small == a ? b : a;

	if (strcmp(a->origin, b->origin) != 0)
		return NULL;
	if (a->size == b->size)
		return memcmp(&a->root, &b->root, sizeof(a->root)) ? "two roots for one size"
		                                                   : NULL;
	if (f->from != small->size || f->to != large->size || !small->size ||
	    ledger_consistency(small->size, &f->from_root, large->size, &large->root, f->proof,
	                       f->proof_n) ||
	    !memcmp(&f->from_root, &small->root, sizeof(small->root)))
		return NULL;
	return "the larger tree does not begin with the smaller one";
}

int ledger_judge_fork(const struct ledger_fork *f, const struct tlog_policy *policy,
                      struct checks *checks)
{
	struct checkpoint seen = {.size = 0}, offered = {.size = 0};
	const char *why;
	int a = signed_head("seen", f->seen, policy, &seen, checks);
	int b = signed_head("offered", f->offered, policy, &offered, checks);

	if (a < 0 || b < 0)
		return a < 0 ? a : b;
	if (!a || !b)
		return 0;
	why = contradiction(f, &seen, &offered);
	check_add(checks, "ledger.evidence", why ? CHECK_PASS : CHECK_FAIL, "%s",
	          why ? why : "nothing shows that the two heads can't be of one tree");
	return 0;
}
