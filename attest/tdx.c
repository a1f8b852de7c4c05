/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intel TDX: what a quote says of a trust domain, and which of its attributes are acceptable at
 * all. How quotes are shown to be genuine is attest/intel_appraise.c's.
 */
#include "attest/intel_appraise.h"

#include <stdio.h>
#include <string.h>

static uint64_t field(const struct intel_quote *q, size_t off)
{
	return attest_intel_u64(q->body.p, off);
}

static void claim(const struct intel_quote *q, struct claims *c)
{
	static const struct {
		const char *name;
		enum register_role role;
		uint16_t off;
	} registers[] = {
	        {"mrtd", REGISTER_CODE, TDX_OFF_MRTD},
	        {"rtmr0", REGISTER_CODE, TDX_OFF_RTMR0},
	        {"rtmr1", REGISTER_CODE, TDX_OFF_RTMR0 + TDX_HASH_LEN},
	        {"rtmr2", REGISTER_CODE, TDX_OFF_RTMR0 + 2 * TDX_HASH_LEN},
	        {"rtmr3", REGISTER_CODE, TDX_OFF_RTMR0 + 3 * TDX_HASH_LEN},
	        {"mrconfigid", REGISTER_CONFIG, TDX_OFF_MRCONFIGID},
	        {"mrowner", REGISTER_CONFIG, TDX_OFF_MROWNER},
	        {"mrownerconfig", REGISTER_CONFIG, TDX_OFF_MROWNERCONFIG},
	};

	for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++)
		attest_register(c, registers[i].name, registers[i].role,
		                (struct bytes){q->body.p + registers[i].off, TDX_HASH_LEN});
	if (q->kind == INTEL_BODY_TD15)
		attest_register(c, "mrservicetd", REGISTER_CODE,
		                (struct bytes){q->body.p + TDX_OFF_MRSERVICETD, TDX_HASH_LEN});
	/* The module is vouched for by its signer and the TCB, and changes with every update. */
	attest_register(c, "mrseam", REGISTER_COVERED,
	                (struct bytes){q->body.p + TDX_OFF_MRSEAM, TDX_HASH_LEN});
	memcpy(c->report_data, q->body.p + TDX_OFF_REPORT_DATA, sizeof(c->report_data));
	c->policy = field(q, TDX_OFF_TDATTRIBUTES);
	c->debug = c->policy & TDX_ATTR_DEBUG;
}

static bool debug(const struct intel_quote *q)
{
	return field(q, TDX_OFF_TDATTRIBUTES) & TDX_ATTR_DEBUG;
}

static const char *attributes(const struct intel_quote *q, bool judges_registers)
{
	uint64_t attributes = field(q, TDX_OFF_TDATTRIBUTES);
	uint64_t xfam = field(q, TDX_OFF_XFAM);

	if (attributes & TDX_ATTR_TUD & ~TDX_ATTR_DEBUG)
		return "an attribute that makes the TD untrusted is set";
	if (!(attributes & TDX_ATTR_SEPT_VE_DISABLE))
		return "SEPT_VE_DISABLE is clear: the host can inject #VE";
	if (attributes & TDX_ATTR_MIGRATABLE)
		return "MIGRATABLE is set";
	if (attributes & TDX_ATTR_PERFMON)
		return "PERFMON is set";
	if (attributes & ~(TDX_ATTR_ACCEPTED | TDX_ATTR_DEBUG))
		return "an unknown attribute is set";
	if (!bytes_all_zero(q->body.p + TDX_OFF_MRSIGNERSEAM, TDX_HASH_LEN))
		return "the TDX module is not signed by Intel";
	if (field(q, TDX_OFF_SEAMATTRIBUTES))
		return "the TDX module has attributes";
	if ((xfam & TDX_XFAM_REQUIRED) != TDX_XFAM_REQUIRED || (xfam & ~TDX_XFAM_ALLOWED))
		return "XFAM without x87 and SSE, or with an unknown feature";
	if (q->kind == INTEL_BODY_TD15 && !judges_registers &&
	    !bytes_all_zero(q->body.p + TDX_OFF_MRSERVICETD, TDX_HASH_LEN))
		return "a service TD is bound to it (MRSERVICETD)";
	return NULL;
}

static const struct intel_platform tdx = {
        .tee = TEE_TDX,
        .id =
                {
                        [INTEL_CHECK_FORMAT] = "tdx.format",
                        [INTEL_CHECK_CHAIN] = "tdx.pck-chain",
                        [INTEL_CHECK_CERT_TIME] = "tdx.cert-time",
                        [INTEL_CHECK_REVOCATION] = "tdx.revocation",
                        [INTEL_CHECK_QE_SIGNATURE] = "tdx.qe-signature",
                        [INTEL_CHECK_QE_BINDING] = "tdx.qe-binding",
                        [INTEL_CHECK_SIGNATURE] = "tdx.signature",
                        [INTEL_CHECK_QE_IDENTITY] = "tdx.qe-identity",
                        [INTEL_CHECK_TCB_INFO] = "tdx.tcb-info",
                        [INTEL_CHECK_MODULE] = "tdx.module",
                        [INTEL_CHECK_TCB] = "tdx.tcb",
                        [INTEL_CHECK_DEBUG] = "tdx.debug",
                        [INTEL_CHECK_ATTRIBUTES] = "tdx.attributes",
                        [INTEL_CHECK_REPORT_DATA] = "tdx.report-data",
                },
        .tcb_id = INTEL_ID_TDX,
        .qe_id = INTEL_ID_TD_QE,
        .guest = "trust domain",
        .claim = claim,
        .report_data = TDX_OFF_REPORT_DATA,
        .debug = debug,
        .attributes = attributes,
};

static bool recognise(struct bytes evidence)
{
	return attest_intel_recognise(evidence) == TEE_TDX;
}

static void appraise(const struct attest_input *in, struct claims *claims, struct checks *checks)
{
	attest_intel_appraise(&tdx, in, claims, checks);
}

static int explain(struct bytes evidence, struct buf *out)
{
	return attest_intel_explain(TEE_TDX, evidence, out);
}

const struct attest_platform attest_platform_tdx = {
        .tee = TEE_TDX,
        .recognise = recognise,
        .appraise = appraise,
        .explain = explain,
};
