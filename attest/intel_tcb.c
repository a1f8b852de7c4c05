/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intel's rules for matching a machine with the levels of its TCB info: of the quoting enclave, of
 * the TDX module and of the platform, and how the three become one status. Judges numbers that were
 * shown to be genuine elsewhere.
 */
#include "attest/intel_appraise.h"

#include <stdio.h>
#include <string.h>

const struct intel_isv_level *attest_intel_isv_level(const struct intel_identity *id,
                                                     uint16_t isvsvn)
{
	for (uint32_t i = 0; i < id->levels; i++)
		if (id->level[i].isvsvn <= isvsvn)
			return &id->level[i];
	return NULL;
}

/* Under its mask, bit by bit. */
static bool masked_equal(const uint8_t *is, const uint8_t *mask, const uint8_t *want, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((is[i] & mask[i]) != want[i])
			return false;
	return true;
}

const char *attest_intel_qe_wrong(const struct intel_identity *id, const uint8_t *report)
{
	if (memcmp(report + SGX_OFF_MRSIGNER, id->signer, 32) != 0)
		return "the quoting enclave is of another signer";
	if (attest_intel_u16(report, SGX_OFF_ISVPRODID) != id->isvprodid)
		return "the quoting enclave is another product of its signer";
	if ((attest_intel_u32(report, SGX_OFF_MISCSELECT) & id->miscselect_mask) != id->miscselect)
		return "the quoting enclave has another MISCSELECT";
	if (!masked_equal(report + SGX_OFF_FLAGS, id->attributes_mask, id->attributes, 16))
		return "the quoting enclave has other attributes";
	return NULL;
}

static bool module_equal(const struct intel_identity *id, const uint8_t *body)
{
	return !memcmp(body + TDX_OFF_MRSIGNERSEAM, id->signer, TDX_HASH_LEN) &&
	       masked_equal(body + TDX_OFF_SEAMATTRIBUTES, id->attributes_mask, id->attributes, 8);
}

const char *attest_intel_module(const struct intel_tcb_info *info, const uint8_t *body,
                                const uint8_t svn[static INTEL_SVNS],
                                const struct intel_rating **rating)
{
	const struct intel_isv_level *level;
	char id[16];

	*rating = NULL;
	if (!svn[1])
		return module_equal(&info->module, body)
		               ? NULL
		               : "another signer or other attributes than Intel's module";
	snprintf(id, sizeof(id), "TDX_%02X", svn[1]);
	for (uint32_t i = 0; i < info->modules; i++) {
		if (strcmp(info->identity[i].id, id) != 0)
			continue;
		if (!module_equal(&info->identity[i], body))
			return "another signer or other attributes than Intel's module";
		level = attest_intel_isv_level(&info->identity[i], svn[0]);
		if (!level)
			return "older than any module of its kind that the TCB info lists";
		*rating = &level->rating;
		return NULL;
	}
	return "the TCB info has no module of this major version";
}

static bool reaches(const struct intel_level *level, const struct intel_pck *pck,
                    const uint8_t *svn)
{
	for (size_t i = 0; i < INTEL_SVNS; i++)
		if (pck->svn[i] < level->sgx[i])
			return false;
	if (pck->pcesvn < level->pcesvn)
		return false;
	/* With a module of a major version, the first two are the module's and rated with it. */
	for (size_t i = svn && svn[1] ? 2 : 0; svn && i < INTEL_SVNS; i++)
		if (svn[i] < level->tdx[i])
			return false;
	return true;
}

const struct intel_level *attest_intel_level(const struct intel_tcb_info *info,
                                             const struct intel_pck *pck, const uint8_t *svn)
{
	for (uint32_t i = 0; i < info->levels; i++)
		if (reaches(&info->level[i], pck, svn))
			return &info->level[i];
	return NULL;
}

enum intel_status attest_intel_converge(enum intel_status whole, enum intel_status part)
{
	/* Intel rates parts as up to date, out of date or revoked; of anything else, the worse. */
	if (part != INTEL_OUT_OF_DATE)
		return part > whole ? part : whole;
	switch (whole) {
	case INTEL_UP_TO_DATE:
	case INTEL_SW_HARDENING:
		return INTEL_OUT_OF_DATE;
	case INTEL_CONFIGURATION:
	case INTEL_CONFIGURATION_AND_SW:
		return INTEL_OUT_OF_DATE_CONFIGURATION;
	default:
		return whole;
	}
}
