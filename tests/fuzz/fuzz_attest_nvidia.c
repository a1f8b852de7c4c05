/* SPDX-License-Identifier: Apache-2.0 */
/* Evidence of an NVIDIA device with endorsements and anchors. */
#include "tests/fuzz/evidence.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct appraised a;

	appraise((struct bytes){data, size}, TEE_NVIDIA, TEE_NVIDIA, 1800000000, &a);
	if (a.of && a.claims.tee == TEE_NVIDIA) {
		MUST(!strcmp(a.checks.v[1].id, "nvidia.format"));
		MUST(checks_find(&a.checks, "nvidia.fwid"));
	}
	return 0;
}
