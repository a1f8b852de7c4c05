/* SPDX-License-Identifier: Apache-2.0 */
/* The appraisal of Nitro documents with anchors: the checks keep their order. */
#include "tests/fuzz/evidence.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct appraised a;

	appraise((struct bytes){data, size}, TEE_NITRO, TEE_NITRO, 1750000000, &a);
	if (a.of && a.claims.tee == TEE_NITRO) {
		MUST(!strcmp(a.checks.v[1].id, "nitro.format"));
		MUST(checks_find(&a.checks, "nitro.time"));
		MUST(checks_overall(&a.checks) != CHECK_PASS || a.claims.chip_id_len);
	}
	return 0;
}
