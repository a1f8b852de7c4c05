/* SPDX-License-Identifier: Apache-2.0 */
/* The appraisal of SNP evidence with endorsements and anchors: the checks keep their order. */
#include "tests/fuzz/evidence.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct appraised a;

	appraise((struct bytes){data, size}, TEE_SNP, TEE_SNP, 1750000000, &a);
	if (a.of && a.claims.tee == TEE_SNP) {
		MUST(!strcmp(a.checks.v[1].id, "snp.format"));
		MUST(checks_find(&a.checks, "snp.tcb-order"));
	}
	return 0;
}
