/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The collection of a hostile server. What is read lies within the input, and written again it is
 * read as the same; to who did not ask for a lease, one with a lease is none.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include "attest/cmw.h"

static void must_lie_within(struct bytes v, struct bytes all)
{
	if (v.n)
		MUST(v.p >= all.p && v.n <= all.n && (size_t)(v.p - all.p) <= all.n - v.n);
}

static void must_be_the_same(const struct cmw *a, const struct cmw *b)
{
	MUST(!strcmp(a->evidence_type, b->evidence_type));
	MUST(bytes_equal(a->evidence, b->evidence));
	MUST(bytes_equal(a->leaf, b->leaf));
	MUST(bytes_equal(a->proof, b->proof));
	MUST(bytes_equal(a->bundle, b->bundle));
	MUST(bytes_equal(a->statement, b->statement));
	MUST(a->endorsements_n == b->endorsements_n);
	MUST(a->lease_s == b->lease_s);
	for (uint32_t i = 0; i < a->endorsements_n; i++)
		MUST(bytes_equal(a->endorsements[i], b->endorsements[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = {data, size};
	struct buf b = buf_make(size + 256);
	struct cmw c, again;

	if (cmw_parse(in, true, &c) == 0) {
		MUST(!cmw_parse(in, false, &again) == !c.lease_s);
		must_lie_within(c.evidence, in);
		must_lie_within(c.leaf, in);
		must_lie_within(c.proof, in);
		must_lie_within(c.bundle, in);
		must_lie_within(c.statement, in);
		for (uint32_t i = 0; i < c.endorsements_n; i++)
			must_lie_within(c.endorsements[i], in);
		MUST(c.evidence.n);
		MUST(cmw_build(&c, &b) == 0);
		MUST(cmw_parse(buf_view(&b), true, &again) == 0);
		must_be_the_same(&c, &again);
	}
	buf_free(&b);
	return 0;
}
