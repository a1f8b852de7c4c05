/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading SGX and TDX quotes. Structure only: this file knows nothing of keys, certificates or of
 * what is acceptable.
 */
#include "attest/intel.h"

#include <errno.h>
#include <string.h>

const uint8_t attest_intel_qe_vendor[INTEL_QE_VENDOR_LEN] = {
        0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
        0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07,
};

uint16_t attest_intel_u16(const uint8_t *body, size_t off)
{
	struct reader r = reader_of((struct bytes){body + off, 2});

	return rd_le16(&r);
}

uint32_t attest_intel_u32(const uint8_t *body, size_t off)
{
	struct reader r = reader_of((struct bytes){body + off, 4});

	return rd_le32(&r);
}

uint64_t attest_intel_u64(const uint8_t *body, size_t off)
{
	struct reader r = reader_of((struct bytes){body + off, 8});

	return rd_le64(&r);
}

/* What version and TEE type say, for which version 5 has a field beside them. */
static enum tee tee_of(uint16_t version, uint32_t tee_type)
{
	if (version == INTEL_V3)
		return tee_type == 0 ? TEE_SGX : TEE_NONE;
	if (version != INTEL_V4 && version != INTEL_V5)
		return TEE_NONE;
	return tee_type == INTEL_TEE_SGX ? TEE_SGX : tee_type == INTEL_TEE_TDX ? TEE_TDX : TEE_NONE;
}

enum tee attest_intel_recognise(struct bytes evidence)
{
	/* The key type is what no report of another vendor has there. */
	if (evidence.n < INTEL_HEADER_LEN || !attest_intel_u16(evidence.p, INTEL_OFF_KEY_TYPE) ||
	    memcmp(evidence.p + INTEL_OFF_QE_VENDOR, attest_intel_qe_vendor, INTEL_QE_VENDOR_LEN))
		return TEE_NONE;
	return tee_of(attest_intel_u16(evidence.p, INTEL_OFF_VERSION),
	              attest_intel_u32(evidence.p, INTEL_OFF_TEE_TYPE));
}

static size_t body_len(enum intel_body kind)
{
	switch (kind) {
	case INTEL_BODY_SGX:
		return INTEL_SGX_BODY_LEN;
	case INTEL_BODY_TD10:
		return INTEL_TD10_BODY_LEN;
	case INTEL_BODY_TD15:
		return INTEL_TD15_BODY_LEN;
	case INTEL_BODY_NONE:
		break;
	}
	return 0;
}

/* NULL, or what is wrong. So below. */
static const char *sgx_body_wrong(const uint8_t *body)
{
	static const struct {
		uint16_t from, to;
	} zero[] = {
	        {SGX_OFF_MBZ_20, SGX_OFF_ISVEXTPRODID},
	        {SGX_OFF_MBZ_96, SGX_OFF_MRSIGNER},
	        {SGX_OFF_MBZ_160, SGX_OFF_CONFIGID},
	        {SGX_OFF_MBZ_262, SGX_OFF_ISVFAMILYID},
	};

	for (size_t i = 0; i < sizeof(zero) / sizeof(zero[0]); i++)
		if (!bytes_all_zero(body + zero[i].from, zero[i].to - zero[i].from))
			return "reserved bytes of an enclave's report are not zero";
	return NULL;
}

static const char *take_header(struct reader *r, enum tee tee, struct intel_quote *q)
{
	struct bytes header = rd_take(r, INTEL_HEADER_LEN);
	enum tee is;

	if (r->bad)
		return "shorter than a quote's header";
	q->raw = header;
	q->version = attest_intel_u16(header.p, INTEL_OFF_VERSION);
	q->key_type = attest_intel_u16(header.p, INTEL_OFF_KEY_TYPE);
	q->tee_type = attest_intel_u32(header.p, INTEL_OFF_TEE_TYPE);
	if (q->version != INTEL_V3 && q->version != INTEL_V4 && q->version != INTEL_V5)
		return "unknown quote version";
	is = tee_of(q->version, q->tee_type);
	if (is == TEE_NONE)
		return "unknown TEE type";
	if (is != tee)
		return is == TEE_SGX ? "an SGX quote, where a TDX quote is wanted"
		                     : "a TDX quote, where an SGX quote is wanted";
	if (q->key_type != INTEL_KEY_ECDSA_P256)
		return "unknown type of attestation key";
	if (memcmp(header.p + INTEL_OFF_QE_VENDOR, attest_intel_qe_vendor, INTEL_QE_VENDOR_LEN))
		return "not made by a quoting enclave of Intel's";
	return NULL;
}

static const char *take_body(struct reader *r, enum tee tee, struct intel_quote *q)
{
	uint16_t type;
	uint32_t len;

	q->kind = tee == TEE_SGX ? INTEL_BODY_SGX : INTEL_BODY_TD10;
	if (q->version == INTEL_V5) {
		type = rd_le16(r);
		len = rd_le32(r);
		if (r->bad)
			return "cut short before its body";
		if (type != (uint16_t)q->kind && (tee != TEE_TDX || type != INTEL_BODY_TD15))
			return "a body of an unknown type, or of another TEE";
		q->kind = (enum intel_body)type;
		if (len != body_len(q->kind))
			return "the body's length is not that of its type";
	}
	q->body = rd_take(r, body_len(q->kind));
	if (r->bad)
		return "cut short within its body";
	return q->kind == INTEL_BODY_SGX ? sgx_body_wrong(q->body.p) : NULL;
}

/* From the QE report on: the same in all versions. */
static const char *take_qe(struct reader *r, struct intel_quote *q)
{
	q->qe_report = rd_take(r, INTEL_SGX_BODY_LEN).p;
	q->qe_signature = rd_take(r, INTEL_SIG_LEN).p;
	q->qe_auth = rd_take(r, rd_le16(r));
	q->cert_type = rd_le16(r);
	q->cert_data = rd_take(r, rd_le32(r));
	if (r->bad)
		return "the authentication data is cut short";
	if (r->left)
		return "bytes behind the certification data";
	if (q->cert_data.n > INTEL_CERT_DATA_MAX)
		return "more certification data than anybody needs";
	if (q->cert_type < INTEL_CERT_PPID_CLEAR || q->cert_type > INTEL_CERT_PCK_CHAIN)
		return "unknown type of certification data";
	return sgx_body_wrong(q->qe_report);
}

static const char *take_auth(struct bytes auth, struct intel_quote *q)
{
	struct reader r = reader_of(auth);
	uint16_t type;
	uint32_t len;

	q->signature = rd_take(&r, INTEL_SIG_LEN).p;
	q->attest_key = rd_take(&r, INTEL_KEY_LEN).p;
	if (q->version != INTEL_V3) {
		type = rd_le16(&r);
		len = rd_le32(&r);
		if (r.bad)
			return "the authentication data is cut short";
		if (type != INTEL_CERT_QE_REPORT || len != r.left)
			return "no report of the quoting enclave where it should be";
	}
	return take_qe(&r, q);
}

int attest_intel_parse(struct bytes evidence, enum tee tee, struct intel_quote *out,
                       const char **why)
{
	struct intel_quote q = {0};
	struct reader r = reader_of(evidence);
	struct bytes auth;

	*why = evidence.n > INTEL_QUOTE_MAX ? "larger than a quote may be"
	                                    : take_header(&r, tee, &q);
	if (!*why)
		*why = take_body(&r, tee, &q);
	if (*why)
		goto out;
	q.signed_part = (struct bytes){evidence.p, evidence.n - r.left};
	auth = rd_take(&r, rd_le32(&r));
	if (r.bad) {
		*why = "the authentication data is longer than what is left";
		goto out;
	}
	q.raw = (struct bytes){evidence.p, evidence.n - r.left};
	q.padding = r.left;
	*why = take_auth(auth, &q);
out:
	*out = q;
	return *why ? -EINVAL : 0;
}
