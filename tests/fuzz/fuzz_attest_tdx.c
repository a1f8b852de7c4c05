/* SPDX-License-Identifier: Apache-2.0 */
/* The appraisal of TDX and SGX quotes with collateral and anchors: the checks keep their order. */
#include "tests/fuzz/evidence.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct appraised a;

	appraise((struct bytes){data, size}, TEE_TDX, TEE_SGX, 1750400000, &a);
	if (a.of && a.claims.tee == TEE_TDX) {
		MUST(!strcmp(a.checks.v[1].id, "tdx.format"));
		MUST(checks_find(&a.checks, "tdx.module") &&
		     checks_find(&a.checks, "tdx.attributes"));
		MUST(checks_overall(&a.checks) != CHECK_PASS || a.claims.tcb_status[0]);
	}
	if (a.of && a.claims.tee == TEE_SGX) {
		MUST(!strcmp(a.checks.v[1].id, "sgx.format"));
		MUST(checks_find(&a.checks, "sgx.tcb") && checks_find(&a.checks, "sgx.attributes"));
		MUST(checks_overall(&a.checks) != CHECK_PASS || a.claims.tcb_status[0]);
	}
	return 0;
}
