/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence of an NVIDIA device with endorsements and anchors. Input: a byte of options, then parts
 * of {kind, 16-bit length, content}. Nothing passes without an anchor of the caller, since nobody
 * here has NVIDIA's keys.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include "attest/attest.h"

enum { OPT_REPORT_DATA = 1, OPT_CRL = 4, OPT_AUTO = 8 };
enum { PART_EVIDENCE = 0, PART_ENDORSEMENT = 1, PART_ANCHOR = 2 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of((struct bytes){data, size});
	uint8_t options = rd_u8(&r);
	struct attest_input in = {
	        .type = options & OPT_AUTO ? TEE_NONE : TEE_NVIDIA,
	        .at = 1800000000,
	        .check_report_data = options & OPT_REPORT_DATA,
	        .require_crl = options & OPT_CRL,
	};
	struct buf page = buf_make(1 << 16);
	struct checks checks = {0};
	struct claims claims;

	while (r.left && !r.bad) {
		uint8_t kind = rd_u8(&r);
		struct bytes part = rd_vec16(&r);

		if (r.bad)
			break;
		if (kind == PART_EVIDENCE)
			in.evidence = part;
		else if (kind == PART_ENDORSEMENT && in.endorsements_n < ATTEST_ENDORSEMENTS_MAX)
			in.endorsements[in.endorsements_n++] = part;
		else if (kind == PART_ANCHOR && in.anchors_n < ATTEST_ANCHORS_MAX)
			in.anchors[in.anchors_n++] = part;
	}
	if (attest_appraise(&in, &claims, &checks) == 0 && claims.tee == TEE_NVIDIA) {
		MUST(!strcmp(checks.v[1].id, "nvidia.format"));
		MUST(checks_find(&checks, "nvidia.fwid"));
	}
	MUST(checks.n > 0 && !checks.overflow);
	if (checks_overall(&checks) == CHECK_PASS && claims.tee == TEE_NVIDIA)
		MUST(in.anchors_n && claims.extra_anchor && claims.valid_until >= in.at);
	(void)attest_explain(in.type, in.evidence, &page);
	buf_free(&page);
	return 0;
}
