/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The appraisal of SNP evidence with endorsements and anchors. Input: a byte of options, then
 * parts of {kind, 16-bit length, content}. Whatever comes in: the checks keep their order, and
 * nothing passes without an anchor of the caller, since nobody here has AMD's keys.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include "attest/attest.h"

enum { OPT_REPORT_DATA = 1, OPT_DEBUG = 2, OPT_CRL = 4, OPT_AUTO = 8 };
enum { PART_EVIDENCE = 0, PART_ENDORSEMENT = 1, PART_ANCHOR = 2 };

static void take_parts(struct reader *r, struct attest_input *in)
{
	while (r->left && !r->bad) {
		uint8_t kind = rd_u8(r);
		struct bytes part = rd_vec16(r);

		if (r->bad)
			break;
		if (kind == PART_EVIDENCE)
			in->evidence = part;
		else if (kind == PART_ENDORSEMENT && in->endorsements_n < ATTEST_ENDORSEMENTS_MAX)
			in->endorsements[in->endorsements_n++] = part;
		else if (kind == PART_ANCHOR && in->anchors_n < ATTEST_ANCHORS_MAX)
			in->anchors[in->anchors_n++] = part;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of((struct bytes){data, size});
	uint8_t options = rd_u8(&r);
	struct attest_input in = {
	        .type = options & OPT_AUTO ? TEE_NONE : TEE_SNP,
	        .at = 1750000000,
	        .check_report_data = options & OPT_REPORT_DATA,
	        .allow_debug = options & OPT_DEBUG,
	        .require_crl = options & OPT_CRL,
	};
	struct buf page = buf_make(1 << 16);
	struct checks checks = {0};
	struct claims claims;

	take_parts(&r, &in);
	memset(in.report_data, 0x5a, sizeof(in.report_data));
	if (attest_appraise(&in, &claims, &checks) == 0 && claims.tee == TEE_SNP) {
		MUST(!strcmp(checks.v[1].id, "snp.format"));
		MUST(checks_find(&checks, "snp.tcb-order"));
	}
	MUST(checks.n > 0 && !checks.overflow);
	if (checks_overall(&checks) == CHECK_PASS && claims.tee == TEE_SNP) {
		MUST(in.anchors_n && claims.extra_anchor);
		MUST(claims.valid_until >= in.at);
		MUST(!claims.debug || in.allow_debug);
	}
	(void)attest_explain(in.type, in.evidence, &page);
	buf_free(&page);
	return 0;
}
