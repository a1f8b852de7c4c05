/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quotes of the simulated Intel platform: what its quoting enclave would sign for a TD or an
 * enclave. Knows the layout and nothing of who asks.
 */
#include "attester/sim_intel.h"

#include <errno.h>
#include <string.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include "attester/sim_pki.h"

static const uint8_t qe_vendor[INTEL_QE_VENDOR_LEN] = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c,
                                                       0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3,
                                                       0x95, 0x7f, 0x06, 0x07};

static void put_le(uint8_t *p, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

/* -------------------------------------------------------------------- contents */

static void put_qe_report(struct sim_intel *p)
{
	static const uint8_t qe[32] = {0x8c, 0x4f, 0x57, 0x75, 0xd7, 0x96, 0x50, 0x3e,
	                               0x96, 0x13, 0x7f, 0x77, 0xc6, 0x8a, 0x82, 0x9a,
	                               0x00, 0x56, 0xac, 0x8d, 0xed, 0x70, 0x14, 0x0b,
	                               0x08, 0x1b, 0x09, 0x44, 0x90, 0xc5, 0x7b, 0xff};
	static const uint8_t td_qe[32] = {0xdc, 0x9e, 0x2a, 0x7c, 0x6f, 0x94, 0x8f, 0x17,
	                                  0x47, 0x4e, 0x34, 0xa7, 0xfc, 0x43, 0xed, 0x03,
	                                  0x0f, 0x7c, 0x15, 0x63, 0xf1, 0xba, 0xbd, 0xdf,
	                                  0x63, 0x40, 0xc8, 0x2e, 0x0e, 0x54, 0xa8, 0xc5};
	uint8_t *r = p->qe_report;

	memcpy(r + SGX_OFF_CPUSVN, p->machine.cpusvn, sizeof(p->machine.cpusvn));
	put_le(r + SGX_OFF_FLAGS, SGX_FLAG_INIT | SGX_FLAG_MODE64 | SGX_FLAG_PROVISION_KEY, 8);
	put_le(r + SGX_OFF_XFRM, 0xe7, 8);
	memset(r + SGX_OFF_MRENCLAVE, 0xe1, 32);
	memcpy(r + SGX_OFF_MRSIGNER, p->tee == TEE_TDX ? td_qe : qe, 32);
	put_le(r + SGX_OFF_ISVPRODID, p->tee == TEE_TDX ? 2 : 1, 2);
	put_le(r + SGX_OFF_ISVSVN, 4, 2);
}

static void put_enclave(struct sim_intel *p)
{
	uint8_t *b = p->body;

	memcpy(b + SGX_OFF_CPUSVN, p->machine.cpusvn, sizeof(p->machine.cpusvn));
	put_le(b + SGX_OFF_FLAGS, SGX_FLAG_INIT | SGX_FLAG_MODE64, 8);
	put_le(b + SGX_OFF_XFRM, 0xe7, 8);
	memset(b + SGX_OFF_MRENCLAVE, 0x11, 32);
	memset(b + SGX_OFF_MRSIGNER, 0x22, 32);
	put_le(b + SGX_OFF_ISVPRODID, 3, 2);
	put_le(b + SGX_OFF_ISVSVN, 7, 2);
}

static void put_td(struct sim_intel *p)
{
	static const uint8_t svn[16] = {5, 1, 6}; /* of a module whose major version is 1 */
	uint8_t *b = p->body;

	memcpy(b + TDX_OFF_TEE_TCB_SVN, svn, sizeof(svn));
	memset(b + TDX_OFF_MRSEAM, 0x5e, TDX_HASH_LEN);
	put_le(b + TDX_OFF_TDATTRIBUTES, TDX_ATTR_SEPT_VE_DISABLE, 8);
	put_le(b + TDX_OFF_XFAM, 0xe7, 8);
	memset(b + TDX_OFF_MRTD, 0x11, TDX_HASH_LEN);
	for (int i = 0; i < TDX_RTMRS; i++)
		memset(b + TDX_OFF_RTMR0 + (size_t)i * TDX_HASH_LEN, 0x20 + i, TDX_HASH_LEN);
	if (p->body_n == INTEL_TD15_BODY_LEN)
		memcpy(b + TDX_OFF_TEE_TCB_SVN_2, svn, sizeof(svn));
}

int sim_intel_layout(struct sim_intel *p, uint16_t version, uint16_t body_type)
{
	bool tdx = p->tee == TEE_TDX, td15 = version == INTEL_V5 && body_type == INTEL_BODY_TD15;

	if ((p->tee != TEE_TDX && p->tee != TEE_SGX) || version < INTEL_V3 || version > INTEL_V5)
		return -EINVAL;
	p->body_type = body_type;
	p->body_n = !tdx ? INTEL_SGX_BODY_LEN : td15 ? INTEL_TD15_BODY_LEN : INTEL_TD10_BODY_LEN;
	p->report_data_at = tdx ? TDX_OFF_REPORT_DATA : SGX_OFF_REPORT_DATA;
	put_le(p->header + INTEL_OFF_VERSION, version, 2);
	put_le(p->header + INTEL_OFF_KEY_TYPE, INTEL_KEY_ECDSA_P256, 2);
	put_le(p->header + INTEL_OFF_TEE_TYPE, tdx ? INTEL_TEE_TDX : INTEL_TEE_SGX, 4);
	if (version == INTEL_V3) {
		put_le(p->header + INTEL_OFF_QE_SVN, 4, 2);
		put_le(p->header + INTEL_OFF_PCE_SVN, p->machine.pcesvn, 2);
	}
	memcpy(p->header + INTEL_OFF_QE_VENDOR, qe_vendor, INTEL_QE_VENDOR_LEN);
	if (tdx)
		put_td(p);
	else
		put_enclave(p);
	memset(p->body + p->report_data_at, 0x5a, 64);
	put_qe_report(p);
	p->qe_auth_n = sizeof(p->qe_auth);
	for (size_t i = 0; i < sizeof(p->qe_auth); i++)
		p->qe_auth[i] = (uint8_t)i;
	p->cert_type = INTEL_CERT_PCK_CHAIN;
	return 0;
}

/* ------------------------------------------------------------------ signatures */

static int raw_key(const EVP_PKEY *key, uint8_t out[static INTEL_KEY_LEN])
{
	uint8_t point[1 + INTEL_KEY_LEN];
	size_t n = 0;

	/* The uncompressed point: 04 || x || y. */
	if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point),
	                                    &n) != 1 ||
	    n != sizeof(point))
		return -EIO;
	memcpy(out, point + 1, INTEL_KEY_LEN);
	return 0;
}

static int put_signed(struct buf *out, EVP_PKEY *key, struct bytes msg)
{
	uint8_t sig[INTEL_SIG_LEN];
	int rc = sim_sign_raw(key, EVP_sha256(), msg, false, INTEL_SIG_LEN / 2, sig);

	if (rc == 0)
		buf_put(out, sig, sizeof(sig));
	return rc;
}

/* QE report, its signature, authentication data and certificates. */
static int put_endorsed(const struct sim_intel *p, const uint8_t key[static INTEL_KEY_LEN],
                        struct buf *out)
{
	EVP_PKEY *signer = p->qe_signer ? p->qe_signer : p->cert[SIM_INTEL_PCK].key;
	uint8_t report[INTEL_SGX_BODY_LEN], tie[INTEL_KEY_LEN + sizeof(p->qe_auth)];
	int rc;

	memcpy(report, p->qe_report, sizeof(report));
	memcpy(tie, key, INTEL_KEY_LEN);
	memcpy(tie + INTEL_KEY_LEN, p->qe_auth, p->qe_auth_n);
	if (!p->qe_report_data_kept &&
	    EVP_Digest(tie, INTEL_KEY_LEN + (size_t)p->qe_auth_n, report + SGX_OFF_REPORT_DATA,
	               NULL, EVP_sha256(), NULL) != 1)
		return -EIO;
	buf_put(out, report, sizeof(report));
	rc = put_signed(out, signer, BYTES_OF(report));
	buf_le16(out, p->qe_auth_n);
	buf_put(out, p->qe_auth, p->qe_auth_n);
	buf_le16(out, p->cert_type);
	buf_le32(out, (uint32_t)p->pck_chain.n);
	buf_bytes(out, buf_view(&p->pck_chain));
	return rc;
}

int sim_intel_quote(const struct sim_intel *p, const uint8_t *report_data, struct buf *out)
{
	uint16_t version = p->header[INTEL_OFF_VERSION];
	struct buf head = buf_make(4096), auth = buf_make(SIM_INTEL_QUOTE_MAX);
	struct buf endorsed = buf_make(SIM_INTEL_QUOTE_MAX);
	uint8_t key[INTEL_KEY_LEN];
	int rc = raw_key(p->attestation_key, key);

	buf_put(&head, p->header, sizeof(p->header));
	if (version == INTEL_V5) {
		buf_le16(&head, p->body_type);
		buf_le32(&head, (uint32_t)p->body_n);
	}
	buf_put(&head, p->body, p->report_data_at);
	buf_put(&head, report_data ? report_data : p->body + p->report_data_at, 64);
	buf_put(&head, p->body + p->report_data_at + 64, p->body_n - p->report_data_at - 64);
	if (rc == 0)
		rc = put_signed(&auth, p->quote_signer ? p->quote_signer : p->attestation_key,
		                buf_view(&head));
	buf_put(&auth, key, sizeof(key));
	if (rc == 0)
		rc = put_endorsed(p, key, &endorsed);
	if (version != INTEL_V3) {
		buf_le16(&auth, INTEL_CERT_QE_REPORT);
		buf_le32(&auth, (uint32_t)endorsed.n);
	}
	buf_bytes(&auth, buf_view(&endorsed));
	buf_bytes(out, buf_view(&head));
	buf_le32(out, (uint32_t)auth.n);
	buf_bytes(out, buf_view(&auth));
	if (head.bad || auth.bad || endorsed.bad || out->bad)
		rc = -EIO;
	buf_free(&head);
	buf_free(&auth);
	buf_free(&endorsed);
	return rc;
}
