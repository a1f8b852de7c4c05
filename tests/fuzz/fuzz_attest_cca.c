/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The appraisal of CCA tokens with anchors. Input: a byte of options, then parts of {kind,
 * 16-bit length, content}. Whatever comes in: the checks keep their order, and nothing
 * passes without an anchor of the caller, since nobody else knows a platform's key.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include "attest/attest.h"

enum { OPT_REPORT_DATA = 1, OPT_DEBUG = 2, OPT_AUTO = 4 };
enum { PART_EVIDENCE = 0, PART_ANCHOR = 1 };

static void take_parts(struct reader *r, struct attest_input *in)
{
	while (r->left && !r->bad) {
		uint8_t kind = rd_u8(r);
		struct bytes part = rd_vec16(r);

		if (r->bad)
			break;
		if (kind == PART_EVIDENCE)
			in->evidence = part;
		else if (kind == PART_ANCHOR && in->anchors_n < ATTEST_ANCHORS_MAX)
			in->anchors[in->anchors_n++] = part;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of((struct bytes){data, size});
	uint8_t options = rd_u8(&r);
	struct attest_input in = {
	        .type = options & OPT_AUTO ? TEE_NONE : TEE_CCA,
	        .at = 1750000000,
	        .check_report_data = options & OPT_REPORT_DATA,
	        .allow_debug = options & OPT_DEBUG,
	};
	struct buf page = buf_make(1 << 16);
	struct checks checks = {0};
	struct claims claims;

	take_parts(&r, &in);
	memset(in.report_data, 0x5a, sizeof(in.report_data));
	if (attest_appraise(&in, &claims, &checks) == 0 && claims.tee == TEE_CCA) {
		MUST(!strcmp(checks.v[1].id, "cca.format"));
		MUST(checks_find(&checks, "cca.lifecycle"));
	}
	MUST(checks.n > 0 && !checks.overflow);
	if (checks_overall(&checks) == CHECK_PASS && claims.tee == TEE_CCA) {
		MUST(claims.extra_anchor && in.anchors_n);
		MUST(claims.valid_until >= in.at);
		MUST(!claims.debug || in.allow_debug);
		MUST(claims.chip_id_len);
	}
	(void)attest_explain(in.type, in.evidence, &page);
	buf_free(&page);
	return 0;
}
