/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intel SGX: what a quote says of an enclave, and which of its attributes are acceptable at all.
 * How quotes are shown to be genuine is attest/intel_appraise.c's.
 */
#include "attest/intel_appraise.h"

#include <stdio.h>
#include <string.h>

static uint64_t flags_of(const struct intel_quote *q)
{
	return attest_intel_u64(q->body.p, SGX_OFF_FLAGS);
}

static void claim(const struct intel_quote *q, struct claims *c)
{
	static const struct {
		const char *name;
		enum register_role role;
		uint16_t off;
		uint8_t len;
	} registers[] = {
	        {"mrenclave", REGISTER_CODE, SGX_OFF_MRENCLAVE, 32},
	        {"mrsigner", REGISTER_IDENTITY, SGX_OFF_MRSIGNER, 32},
	        {"configid", REGISTER_CONFIG, SGX_OFF_CONFIGID, 64},
	        {"configsvn", REGISTER_CONFIG, SGX_OFF_CONFIGSVN, 2},
	        {"isvprodid", REGISTER_IDENTITY, SGX_OFF_ISVPRODID, 2},
	        /* Whoever signs the same code anew chooses these, and the code can read them. */
	        {"isvextprodid", REGISTER_CONFIG, SGX_OFF_ISVEXTPRODID, 16},
	        {"isvfamilyid", REGISTER_CONFIG, SGX_OFF_ISVFAMILYID, 16},
	};

	for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++)
		attest_register(c, registers[i].name, registers[i].role,
		                (struct bytes){q->body.p + registers[i].off, registers[i].len});
	memcpy(c->report_data, q->body.p + SGX_OFF_REPORT_DATA, sizeof(c->report_data));
	c->policy = flags_of(q);
	c->debug = c->policy & SGX_FLAG_DEBUG;
	c->guest_svn = attest_intel_u16(q->body.p, SGX_OFF_ISVSVN);
}

static bool debug(const struct intel_quote *q)
{
	return flags_of(q) & SGX_FLAG_DEBUG;
}

static const char *attributes(const struct intel_quote *q, bool judges_registers)
{
	uint64_t flags = flags_of(q);

	(void)judges_registers;
	/* INIT is not looked at: only an enclave that was initialised can make a report, and
	 * Intel's own sample of a quote that holds has the bit clear. */
	if (flags & SGX_FLAG_PROVISION_KEY)
		return "the enclave may derive the provisioning key";
	if (flags & SGX_FLAG_EINITTOKEN)
		return "the enclave may derive the launch key";
	if (flags & ~SGX_FLAGS_KNOWN)
		return "an unknown attribute is set";
	return NULL;
}

static const struct intel_platform sgx = {
        .tee = TEE_SGX,
        .id =
                {
                        [INTEL_CHECK_FORMAT] = "sgx.format",
                        [INTEL_CHECK_CHAIN] = "sgx.pck-chain",
                        [INTEL_CHECK_CERT_TIME] = "sgx.cert-time",
                        [INTEL_CHECK_REVOCATION] = "sgx.revocation",
                        [INTEL_CHECK_QE_SIGNATURE] = "sgx.qe-signature",
                        [INTEL_CHECK_QE_BINDING] = "sgx.qe-binding",
                        [INTEL_CHECK_SIGNATURE] = "sgx.signature",
                        [INTEL_CHECK_QE_IDENTITY] = "sgx.qe-identity",
                        [INTEL_CHECK_TCB_INFO] = "sgx.tcb-info",
                        [INTEL_CHECK_TCB] = "sgx.tcb",
                        [INTEL_CHECK_DEBUG] = "sgx.debug",
                        [INTEL_CHECK_ATTRIBUTES] = "sgx.attributes",
                        [INTEL_CHECK_REPORT_DATA] = "sgx.report-data",
                },
        .tcb_id = INTEL_ID_SGX,
        .qe_id = INTEL_ID_QE,
        .guest = "enclave",
        .claim = claim,
        .report_data = SGX_OFF_REPORT_DATA,
        .debug = debug,
        .attributes = attributes,
};

static bool recognise(struct bytes evidence)
{
	return attest_intel_recognise(evidence) == TEE_SGX;
}

static void appraise(const struct attest_input *in, struct claims *claims, struct checks *checks)
{
	attest_intel_appraise(&sgx, in, claims, checks);
}

static int explain(struct bytes evidence, struct buf *out)
{
	return attest_intel_explain(TEE_SGX, evidence, out);
}

const struct attest_platform attest_platform_sgx = {
        .tee = TEE_SGX,
        .recognise = recognise,
        .appraise = appraise,
        .explain = explain,
};
