/* SPDX-License-Identifier: Apache-2.0 */
/* The appraisal of CCA tokens with anchors: the checks keep their order. */
#include "tests/fuzz/evidence.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct appraised a;

	appraise((struct bytes){data, size}, TEE_CCA, TEE_CCA, 1750000000, &a);
	if (a.of && a.claims.tee == TEE_CCA) {
		MUST(!strcmp(a.checks.v[1].id, "cca.format"));
		MUST(checks_find(&a.checks, "cca.lifecycle"));
		MUST(checks_overall(&a.checks) != CHECK_PASS || a.claims.chip_id_len);
	}
	return 0;
}
