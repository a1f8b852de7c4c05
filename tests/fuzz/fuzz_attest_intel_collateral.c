/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intel's signed JSON. Whatever comes in: the signed span lies within the input and is just one
 * object, and what is read of it stays within its bounds.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include "attest/intel_appraise.h"

static void match(const struct intel_tcb_info *info)
{
	const uint8_t body[INTEL_TD10_BODY_LEN] = {0}, svn[INTEL_SVNS] = {5, 1, 5};
	const struct intel_pck pck = {.svn = {5, 5, 2, 2, 3, 1}, .pcesvn = 11};
	const struct intel_rating *rating;

	MUST(info->levels > 0 && info->levels <= INTEL_LEVELS_MAX);
	MUST(info->modules <= INTEL_MODULES_MAX);
	for (uint32_t i = 1; i < info->levels; i++)
		MUST(memcmp(&info->level[i - 1].sgx[0], &info->level[i].sgx[0], 2) == 0 ||
		     info->level[i - 1].sgx[0] > info->level[i].sgx[0]);
	(void)attest_intel_level(info, &pck, svn);
	(void)attest_intel_level(info, &pck, NULL);
	if (!attest_intel_module(info, body, svn, &rating))
		MUST(rating && rating->status != INTEL_TCB_NONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = {data, size};
	const uint8_t report[INTEL_SGX_BODY_LEN] = {0};
	struct intel_tcb_info info;
	struct intel_identity id;
	struct intel_document d;

	if (!attest_intel_document(in, INTEL_JSON_TCB_INFO, &d)) {
		MUST(d.text.p > data && d.text.p + d.text.n < data + size);
		MUST(d.text.p[0] == '{' && d.text.p[d.text.n - 1] == '}');
		MUST(d.issued <= d.ends);
		if (!attest_intel_tcb_info(&d, true, &info))
			match(&info);
		if (!attest_intel_tcb_info(&d, false, &info))
			MUST(info.levels > 0 && !info.modules);
		attest_intel_document_free(&d);
	}
	if (!attest_intel_document(in, INTEL_JSON_IDENTITY, &d)) {
		if (!attest_intel_qe_identity(&d, &id)) {
			MUST(id.levels > 0 && id.levels <= INTEL_ISV_LEVELS_MAX);
			(void)attest_intel_qe_wrong(&id, report);
			(void)attest_intel_isv_level(&id, 5);
		}
		attest_intel_document_free(&d);
	}
	return 0;
}
